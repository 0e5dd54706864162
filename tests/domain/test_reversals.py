"""Reversals: the table is whole and on its page, and an automated one restores what its row says."""

from __future__ import annotations

import copy
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.domain import reversals
from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import (
    COMMANDS,
    AdjustStock,
    AnyCommand,
    AuthorizeOrder,
    AuthorizeReturn,
    CancelOrder,
    CancelReservation,
    CancelReturn,
    CaptureOrder,
    CloseOrder,
    CountStock,
    HoldReservation,
    IssueRefund,
    Received,
    ReceiveReturn,
    ReleaseShipment,
    StockCommand,
    VoidOrder,
)
from interlock.domain.decision import Decision
from interlock.domain.estate import Estate
from interlock.domain.events import UnitsCanceled
from interlock.domain.model import Order
from interlock.domain.reversals import REVERSALS, Deed, Scene
from tests.domain.test_always_true import ESTATES, STOCK
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    ORDER,
    SHIRT,
    WEST,
    Stage,
    acknowledge,
    cancel,
    check_units,
    confirm,
    counts,
    create,
    make_estate,
    moves,
    pack,
    reject,
    told,
    units,
)
from tests.strategies import stories

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reversals.md"
BY_COMMAND = make_estate(channel={"release": "by_command"})


def scene(stage: Stage, command: AnyCommand, decision: Decision, *, counted_since: bool = False) -> Scene:
    """What a reversal sees of a command that was just decided."""
    stock = isinstance(command, StockCommand)
    deed = Deed(
        action=command.action,
        subject=command.subject,
        key=command.key,
        events=tuple(decision.events),
        node=command.node if isinstance(command, StockCommand) else None,
        change=sum(m.physical for m in decision.movements) if stock else 0,
        counted_since=counted_since,
    )
    return Scene(deed=deed, estate=stage.estate, order=stage.world.orders.get(command.subject), by="Ann")  # type: ignore[call-overload]


class Done:
    """A command that was processed, and what is said of undoing it."""

    def __init__(self, stage: Stage, command: AnyCommand) -> None:
        self.stage, self.command = stage, command
        self.decision = stage.does(command)

    def stands(self) -> tuple[str, str]:
        """(standing, how) as things are now."""
        standing, way = reversals.way(scene(self.stage, self.command, self.decision))
        return standing, way.how

    def undo(self) -> list[Decision]:
        """Do what the table says, all of it."""
        made = reversals.commands_for(scene(self.stage, self.command, self.decision))
        decisions = [self.stage.does(each, by=INTERLOCK) for each in made]
        assert [reversals.shortfall(c, d) for c, d in zip(made, decisions, strict=True)] == [""] * len(made)
        return decisions


def test_every_action_has_its_row_and_every_row_says_what_to_do() -> None:
    assert REVERSALS.keys() == COMMANDS.keys()
    for row in reversals.as_rows():
        assert row["then"], row
        assert all(by in COMMANDS for by in row["by"].split(", ") if by), row
        assert row["by"] or row["how"] in ("impossible", "done"), row
    for action, reversal in REVERSALS.items():
        automated = any(way.how == "automated" for way in reversal.ways.values())
        assert bool(reversal.restores) == automated, action


def test_the_page_shows_the_table_as_it_is() -> None:
    between = re.search(r"<!-- the table begins.*?-->\n(.*)<!-- the table ends -->", PAGE.read_text(), flags=re.DOTALL)

    assert between is not None
    assert between[1].strip() == reversals.as_markdown().strip(), "run scripts/write_pages.py"


def test_a_row_of_one_action_can_be_asked_for() -> None:
    rows = reversals.as_rows("refund.issue")

    assert [(row["action"], row["standing"], row["how"]) for row in rows] == [("refund.issue", "any", "impossible")]


def test_an_order_is_undone_until_it_is_packed() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    order = Done(stage, create((SHIRT, 2), captured=Decimal(5)))
    assert order.stands() == ("not packed", "automated")

    canceled, refunded, voided = order.undo()

    assert told(canceled) == [(EAST_WMS, "shipment.cancel", 1)]
    assert [event.amount for d in (refunded, voided) for event in d.events] == [5, 15]  # type: ignore[union-attr]
    assert (counts(stage.line()), stage.stock(SHIRT, EAST)) == ({"canceled": 2}, (2, 0, 0))
    payment = stage.order.payment
    assert (payment.authorized, payment.captured, payment.refunded) == (5, 5, 5)
    assert order.stands() == ("canceled", "done")


def test_an_order_that_is_packed_is_for_a_person_and_one_that_left_comes_back_as_a_return() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    order = Done(stage, create((SHIRT, 2)))

    stage.does(pack((1, 1)))
    assert order.stands() == ("packed", "manual")
    stage.does(confirm((1, 1)))
    assert order.stands() == ("shipped", "impossible")


def test_an_order_that_is_overpaid_is_for_a_person() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    order = Done(stage, create((SHIRT, 2), authorized=Decimal(50), captured=Decimal(30)))

    assert order.stands() == ("overpaid", "manual")


def test_an_authorization_is_undone_with_what_it_released() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), authorized=Decimal(0)))
    paid = Done(stage, AuthorizeOrder(order_id=ORDER, ref="a", amount=Decimal(20)))
    assert counts(stage.line()) == {"released": 2}

    _, taken_back, held = paid.undo()

    assert told(taken_back) == [(EAST_WMS, "shipment.cancel", 1)]
    assert told(held) == []
    assert (counts(stage.line()), stage.order.payment.authorized) == ({"allocated": 2}, 0)
    assert stage.stock(SHIRT, EAST) == (2, 0, 2)


def test_an_authorization_is_not_undone_once_it_is_captured_or_its_goods_are_packed() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), authorized=Decimal(0)))
    paid = Done(stage, AuthorizeOrder(order_id=ORDER, ref="a", amount=Decimal(20)))

    stage.does(pack((1, 1)))
    assert paid.stands() == ("packed", "manual")
    stage.does(CaptureOrder(order_id=ORDER, ref="c", amount=Decimal(1)))
    assert paid.stands() == ("captured", "manual")


def test_a_capture_goes_back_only_for_units_that_were_canceled_or_returned() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))
    capture = Done(stage, CaptureOrder(order_id=ORDER, ref="c", amount=Decimal("10.01")))
    assert capture.stands() == ("goods are kept", "manual")
    stage.does(cancel((1, 1)))
    assert capture.stands() == ("goods are kept", "manual")
    stage.does(cancel((1, 2), ref="c-2"))

    capture.undo()

    assert (stage.line().refunded, stage.order.payment.refunded) == (2, Decimal("10.01"))


def test_a_hold_is_undone_at_every_node_that_it_took() -> None:
    stage = Stage()
    stage.does(create((SHIRT, 3)))
    stage.does(AdjustStock(sku=SHIRT, node=EAST, ref="t", delta=2))
    stage.does(AdjustStock(sku=SHIRT, node=WEST, ref="t", delta=1))
    hold = Done(stage, HoldReservation(order_id=ORDER, ref="h"))

    first, second = hold.undo()

    assert [moves(first), moves(second)] == [
        [("unreserve", SHIRT, EAST, 0, 0, -2)],
        [("unreserve", SHIRT, WEST, 0, 0, -1)],
    ]
    assert counts(stage.line()) == {"open": 3}
    assert hold.stands() == ("not held", "done")


def test_what_a_hold_reserved_is_for_a_person_when_packed_and_impossible_when_gone() -> None:
    stage = Stage()
    stage.does(create((SHIRT, 1)))
    stage.does(AdjustStock(sku=SHIRT, node=EAST, ref="t", delta=1))
    hold = Done(stage, HoldReservation(order_id=ORDER, ref="h"))
    stage.does(pack())
    assert hold.stands() == ("packed", "manual")
    stage.does(confirm())
    assert hold.stands() == ("shipped", "impossible")


def test_a_release_is_undone_and_the_node_keeps_the_units_for_the_order() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHIRT, WEST): 9}, estate=BY_COMMAND)
    stage.does(create((SHIRT, 2)))
    release = Done(stage, ReleaseShipment(order_id=ORDER, ref="go"))

    release.undo()

    assert [counts(r) for r in stage.order.reservations.values()] == [{"rejected": 2}, {"allocated": 2}]
    assert stage.order.assignments[2].node == EAST


def test_a_release_whose_node_cannot_hold_the_units_again_falls_short() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHIRT, WEST): 9}, estate=BY_COMMAND)
    stage.does(create((SHIRT, 2)))
    release = Done(stage, ReleaseShipment(order_id=ORDER, ref="go"))
    stage.does(AdjustStock(sku=SHIRT, node=EAST, ref="stolen", delta=-1))

    made = reversals.commands_for(scene(stage, release.command, release.decision))
    decisions = [stage.does(each, by=INTERLOCK) for each in made]

    assert [bool(reversals.shortfall(c, d)) for c, d in zip(made, decisions, strict=True)] == [False, True]


def test_units_that_were_taken_back_are_held_again_and_released_if_they_had_been() -> None:
    stage = Stage({(SHIRT, EAST): 2}, estate=BY_COMMAND)
    stage.does(create((SHIRT, 2)))
    stage.does(ReleaseShipment(order_id=ORDER, ref="go"))
    taken = Done(stage, CancelReservation(order_id=ORDER, ref="b"))

    _, released = taken.undo()

    assert told(released) == [(EAST_WMS, "shipment.release", 2)]
    assert counts(stage.line()) == {"released": 2}
    assert taken.stands() == ("not open", "done")


def test_a_rejection_s_stock_comes_back_and_the_units_stay_where_they_went() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHIRT, WEST): 2})
    stage.does(create((SHIRT, 2)))
    no = Done(stage, reject())
    assert (stage.stock(SHIRT, EAST), stage.stock(SHIRT, WEST)) == ((0, 0, 0), (2, 0, 2))

    no.undo()

    assert (stage.stock(SHIRT, EAST), stage.stock(SHIRT, WEST)) == ((2, 0, 0), (2, 0, 2))


@pytest.mark.parametrize(("reason", "stands"), [("damaged", ("damaged", "manual")), ("refused", ("refused", "done"))])
def test_a_rejection_that_took_no_stock_off_is_not_automated(reason: str, stands: tuple[str, str]) -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    assert Done(stage, reject(reason=reason)).stands() == stands


def test_what_a_node_has_told_is_for_a_person() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    taken = Done(stage, acknowledge())
    packed = Done(stage, pack())
    assert (taken.stands(), packed.stands()) == (("any", "impossible"), ("packed", "manual"))
    shipped = Done(stage, confirm())
    assert (shipped.stands(), packed.stands()) == (("shipped", "manual"), ("not packed", "done"))


def test_a_return_is_undone_until_all_of_it_came() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))
    stage.does(confirm())
    rma = Done(stage, AuthorizeReturn(order_id=ORDER, ref="R", lines=units((1, 2))))
    came = Received(line_no=1, quantity=1)
    box = Done(stage, ReceiveReturn(order_id=ORDER, ref="b", return_ref="R", node=EAST, lines=(came,)))
    assert (rma.stands(), box.stands()) == (("awaited", "automated"), ("any", "manual"))

    rma.undo()

    assert (stage.line().return_due, counts(stage.line())) == (0, {"shipped": 2, "returned": 1})
    assert rma.stands() == ("received", "impossible")


def test_money_that_went_back_and_units_that_were_canceled_stay_so() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), captured=Decimal(20)))

    gone = Done(stage, cancel((1, 1)))
    back = Done(stage, IssueRefund(order_id=ORDER, ref="r", amount=Decimal(10)))
    assert (gone.stands(), back.stands()) == (("any", "impossible"), ("any", "impossible"))


def test_a_void_is_undone_while_there_is_something_to_pay_for() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    void = Done(stage, VoidOrder(order_id=ORDER, ref="v", amount=Decimal(5)))
    stage.does(CancelOrder(order_id=ORDER, ref="c"))

    assert void.stands() == ("the order is over", "impossible")


def test_a_close_is_opened_by_what_comes_after_it() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    stage.does(confirm())
    closed = Done(stage, CloseOrder(order_id=ORDER, ref="x"))
    assert closed.stands() == ("closed", "manual")

    rma = Done(stage, AuthorizeReturn(order_id=ORDER, ref="R", lines=units((1, 2))))
    assert closed.stands() == ("open again", "done")
    rma.undo()
    assert rma.stands() == ("canceled", "done")
    off = Done(Stage({(SHIRT, EAST): 2}), create((SHIRT, 2)))
    off.stage.does(confirm())
    off.stage.does(AuthorizeReturn(order_id=ORDER, ref="R", lines=units((1, 2))))
    assert Done(off.stage, CancelReturn(order_id=ORDER, ref="o", return_ref="R")).stands() == ("any", "manual")


def test_a_count_is_undone_by_its_difference_while_it_is_the_newest() -> None:
    stage = Stage({(SHIRT, EAST): 7})
    count = Done(stage, CountStock(sku=SHIRT, node=EAST, ref="c", counted=4))

    (decision,) = count.undo()

    assert moves(decision) == [("adjust", SHIRT, EAST, 3, 0, 0)]
    later = scene(stage, count.command, count.decision, counted_since=True)
    assert reversals.way(later)[0] == "counted since"


def test_what_changed_nothing_has_nothing_to_undo() -> None:
    stage = Stage({(SHIRT, EAST): 7})
    same = Done(stage, CountStock(sku=SHIRT, node=EAST, ref="c", counted=7))
    assert same.stands() == ("no difference", "done")
    nothing = Scene(deed=Deed(action="order.cancel", subject=ORDER, key="c"), estate=stage.estate)
    assert (reversals.way(nothing)[0], reversals.commands_for(nothing)) == ("no effect", [])


def test_an_order_told_again_is_not_undone_by_canceling_it() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    first = Done(stage, create((SHIRT, 2)))
    again = scene(stage, first.command, stage.does(cancel((1, 1))))

    assert (reversals.way(again)[0], reversals.commands_for(again)) == ("restated", [])


def test_who_asked_for_it_stands_in_every_command_that_is_made() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    order = Done(stage, create((SHIRT, 2), captured=Decimal(5)))

    made = reversals.commands_for(scene(stage, order.command, order.decision))

    assert [each.key for each in made] == ["undo/order.create", "undo/order.create#2", "undo/order.create#3"]
    assert all("undone by Ann" in (each.word, getattr(each, "reason", "")) for each in made)


def restored(stage: Stage, order: Order | None) -> dict[str, Any]:
    """What a reversal may restore, as things stand."""
    payment = order.payment if order is not None else None
    lines = order.lines.values() if order is not None else ()
    positions = {(sku, node): p for sku, nodes in stage.world.positions.items() for node, p in nodes.items()}
    return {
        "units": [{**counts(line), "return_due": line.return_due} for line in lines],
        "stock": {key: (p.physical, p.unsellable) for key, p in positions.items() if p.physical or p.unsellable},
        "reserved": {key: p.reserved for key, p in positions.items() if p.reserved},
        "money": payment.captured - payment.refunded if payment else 0,
        "authorization": payment.authorized - payment.captured if payment else 0,
    }


@settings(max_examples=200, deadline=None)
@given(estate=st.sampled_from(list(ESTATES.values())), story=stories())
def test_what_is_done_and_undone_leaves_everything_but_history_as_it_was(
    estate: Estate, story: list[AnyCommand]
) -> None:
    stage = Stage(STOCK, estate=estate)
    for command in story:
        before = restored(stage, stage.world.orders.get(command.subject))  # type: ignore[call-overload]
        decision = stage.send(command)
        if decision.outcome != "processed":
            continue
        undone = copy.deepcopy(stage, {id(it): it for it in (stage.estate, stage.world.sourcing)})
        known = scene(undone, command, decision)
        standing, way = reversals.way(known)
        made = reversals.commands_for(known)
        assert bool(made) == (way.how == "automated"), (command, standing)
        decisions = [undone.send(each, by=INTERLOCK) for each in made]
        short = [s for c, d in zip(made, decisions, strict=True) if (s := reversals.shortfall(c, d))]
        check_units(undone.world.orders.values(), undone.world.positions)
        if not made or any(isinstance(event, UnitsCanceled) for event in decision.events):
            continue
        if short:
            # Only holding again may fail: the node was left out, or has too little to sell.
            assert "reservation.hold" in way.by, (command, short)
            continue
        after = restored(undone, undone.world.orders.get(command.subject))  # type: ignore[call-overload]
        for what in REVERSALS[command.action].restores:
            assert after[what] == before[what], (command, made, what)
        assert all(d.events or d.movements for d in decisions), made  # nothing was edited: entries were added
