"""return.authorize, return.cancel and return.receive."""

from __future__ import annotations

import pytest

from interlock.domain.commands import AuthorizeReturn, CancelReturn, CloseOrder, Received, ReceiveReturn
from interlock.domain.model import State
from interlock.domain.values import Quantity
from tests.domain.worlds import (
    EAST,
    NOW,
    ORDER,
    RETURNS,
    SHIRT,
    SHOES,
    SHOP,
    STORE,
    Stage,
    cancel,
    check_units,
    confirm,
    counts,
    create,
    kinds,
    moves,
    troubles,
    units,
)


def authorize(*pairs: tuple[int, Quantity], ref: str = "RMA-1") -> AuthorizeReturn:
    return AuthorizeReturn(order_id=ORDER, ref=ref, lines=units(*pairs))


def receive(
    *pieces: tuple[int, Quantity, str], ref: str = "box-1", rma: str = "RMA-1", node: str = EAST
) -> ReceiveReturn:
    lines = tuple(Received(line_no=n, quantity=q, disposition=what) for n, q, what in pieces)  # type: ignore[arg-type]
    return ReceiveReturn(order_id=ORDER, ref=ref, return_ref=rma, node=node, lines=lines)


def shipped(quantity: int = 3) -> Stage:
    """An order of that many shirts, shipped from east, which has none left."""
    stage = Stage({(SHIRT, EAST): quantity})
    stage.does(create((SHIRT, quantity)))
    stage.does(confirm())
    return stage


def test_a_return_is_awaited_and_keeps_the_order_from_being_settled() -> None:
    stage = shipped()

    decision = stage.does(authorize((1, 2)), by=SHOP)

    assert kinds(decision) == ["return.authorized"]
    assert (stage.line().return_due, stage.order.returns["RMA-1"].due) == (2, {1: 2})
    assert (stage.order.settled, stage.order.wake_at) == (False, None)
    assert stage.refuses(CloseOrder(order_id=ORDER, ref="x")) == "not_settled"


def test_no_more_may_come_back_than_was_shipped_and_is_not_on_its_way() -> None:
    stage = shipped(3)
    assert stage.refuses(authorize((1, 4))) == "not_shipped"
    assert stage.refuses(authorize((1, 2), (1, 2))) == "not_shipped"
    stage.does(authorize((1, 2)))
    assert stage.refuses(authorize((1, 2), ref="RMA-2")) == "not_shipped"
    stage.does(authorize((1, 1), ref="RMA-2"))
    assert stage.line().return_due == 3


def test_a_return_number_is_given_once() -> None:
    stage = shipped()
    stage.does(authorize((1, 1)))

    assert stage.refuses(authorize((1, 1))) == "return_exists"


@pytest.mark.parametrize(
    ("command", "reason"),
    [(authorize((1, 1)), "not_shipped"), (receive((1, 1, "restock"), rma=""), "unexpected_return")],
)
def test_goods_that_have_not_left_come_back_after_they_left_and_never_if_they_do_not(
    command: AuthorizeReturn | ReceiveReturn, reason: str
) -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))
    assert stage.parks(command) == "shipment"
    stage.does(cancel((1, 2)))
    assert stage.parks(command) == "shipment"
    stage.does(cancel(ref="c-2"))
    assert stage.refuses(command) == reason


def test_what_was_shipped_may_come_back_while_another_line_is_still_waited_for() -> None:
    stage = Stage({(SHIRT, EAST): 1})
    stage.does(create((SHIRT, 1), (SHOES, 1)))
    stage.does(confirm())
    assert stage.order.state == State.AUTHORIZED

    stage.does(authorize((1, 1)))
    stage.does(receive((1, 1, "restock")))

    assert [counts(line) for line in stage.order.lines.values()] == [{"returned": 1}, {"open": 1}]


def test_a_receipt_waits_for_its_return_and_the_return_for_its_shipment() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    assert stage.parks(receive((1, 1, "restock"))) == "return"
    assert stage.parks(authorize((1, 2))) == "shipment"
    stage.does(confirm((1, 1)))
    assert stage.parks(authorize((1, 2))) == "shipment"  # one of two has left
    stage.does(confirm((1, 1), ref="ship-2"))
    stage.does(authorize((1, 2)))
    assert kinds(stage.does(receive((1, 1, "restock")))) == ["units.returned"]


def test_each_disposition_has_its_own_effect_on_the_stock() -> None:
    stage = shipped(3)
    stage.does(authorize((1, 3)))

    decision = stage.does(receive((1, 1, "restock"), (1, 1, "damaged"), (1, 1, "scrap")), by=RETURNS)

    assert moves(decision) == [("return", SHIRT, EAST, 1, 0, 0), ("return", SHIRT, EAST, 1, 1, 0)]
    assert len({m.cause for m in decision.movements}) == 2
    assert stage.stock(SHIRT, EAST) == (2, 1, 0)
    assert stage.world.position(SHIRT, EAST).sellable == 1
    assert (counts(stage.line()), stage.line().return_due) == ({"returned": 3}, 0)
    assert (stage.order.state, stage.order.wake_at) == (State.RETURNED, NOW)


def test_a_return_may_come_in_several_boxes_and_to_another_node() -> None:
    stage = shipped(3)
    stage.does(authorize((1, 2)))

    stage.does(receive((1, 1, "restock"), node=STORE))
    assert (stage.line().return_due, stage.order.settled) == (1, False)
    stage.does(receive((1, 1, "restock"), ref="box-2"))

    assert (stage.line().return_due, stage.order.settled) == (0, True)
    assert stage.order.returns["RMA-1"].received == {1: 2}
    assert (stage.stock(SHIRT, STORE), stage.stock(SHIRT, EAST)) == ((1, 0, 0), (1, 0, 0))


def test_goods_come_back_without_a_number_too() -> None:
    stage = shipped(2)

    stage.does(receive((1, 1, "restock"), rma=""))

    assert counts(stage.line()) == {"shipped": 1, "returned": 1}


def test_what_came_back_without_its_number_is_not_awaited_for_ever() -> None:
    stage = shipped(2)
    stage.does(authorize((1, 2)))

    stage.does(receive((1, 1, "restock"), rma=""))
    assert stage.line().return_due == 1
    stage.does(receive((1, 1, "restock"), ref="box-2", rma=""))

    assert (stage.line().return_due, stage.order.settled) == (0, True)
    check_units(stage.world.orders.values(), stage.world.positions)


def test_more_may_come_back_than_the_return_said() -> None:
    stage = shipped(3)
    stage.does(authorize((1, 1)))

    stage.does(receive((1, 2, "restock")))

    assert (counts(stage.line()), stage.line().return_due) == ({"shipped": 1, "returned": 2}, 0)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (receive((1, 1, "restock"), rma="", node="moon"), "unknown_node"),
        (receive((9, 1, "restock"), rma=""), "no_line"),
        (receive((1, 2, "restock"), (1, 2, "scrap"), rma=""), "unexpected_return"),
        (authorize((9, 1)), "no_line"),
    ],
)
def test_a_return_that_cannot_be_is_refused(command: AuthorizeReturn | ReceiveReturn, reason: str) -> None:
    assert shipped(3).refuses(command) == reason


def test_units_that_came_back_and_were_not_due_are_refused_and_shown_to_a_person() -> None:
    stage = shipped(2)
    stage.does(receive((1, 2, "restock"), rma=""))

    decision = stage.send(receive((1, 1, "restock"), ref="box-2", rma=""), by=RETURNS)

    assert (decision.outcome, decision.reason) == ("refused", "unexpected_return")
    assert decision.explanation == "line 1 has 0 shipped units that could come back, not 1"
    assert troubles(decision) == [("unexpected_return", "return.receive")]
    assert stage.stock(SHIRT, EAST) == (2, 0, 0)


def test_goods_of_a_canceled_order_are_shown_to_a_person_and_a_return_of_it_is_not() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    stage.does(cancel())

    came = stage.send(receive((1, 1, "restock"), rma=""), by=RETURNS)
    asked = stage.send(authorize((1, 1)), by=SHOP)

    assert (came.reason, troubles(came)) == ("unexpected_return", [("unexpected_return", "return.receive")])
    assert (asked.reason, troubles(asked)) == ("not_shipped", [])


def test_a_return_opens_a_closed_order_again() -> None:
    stage = shipped(2)
    stage.does(CloseOrder(order_id=ORDER, ref="x"))

    decision = stage.does(authorize((1, 1)))
    assert kinds(decision) == ["order.reopened", "return.authorized"]
    assert (stage.order.closed_at, stage.order.state, stage.order.wake_at) == (None, State.SHIPPED, None)

    stage.does(receive((1, 1, "restock")))
    assert stage.order.wake_at == NOW
    stage.does(CloseOrder(order_id=ORDER, ref="y"))
    assert kinds(stage.does(receive((1, 1, "scrap"), ref="box-2", rma=""))) == ["order.reopened", "units.returned"]


def call_off(ref: str = "off", rma: str = "RMA-1") -> CancelReturn:
    return CancelReturn(order_id=ORDER, ref=ref, return_ref=rma)


def test_what_has_not_come_of_a_canceled_return_is_not_awaited_any_more() -> None:
    stage = shipped(3)
    stage.does(authorize((1, 3)))
    stage.does(receive((1, 1, "restock")))

    decision = stage.does(call_off(), by=SHOP)

    assert kinds(decision) == ["return.canceled"]
    assert (stage.line().return_due, stage.order.returns["RMA-1"].due) == (0, {1: 1})
    assert (counts(stage.line()), stage.order.settled) == ({"shipped": 2, "returned": 1}, True)
    assert stage.order.wake_at == NOW
    check_units(stage.world.orders.values(), stage.world.positions)


def test_a_return_is_canceled_once_and_its_units_may_be_authorized_anew() -> None:
    stage = shipped(3)
    stage.does(authorize((1, 3)))
    stage.does(call_off())

    assert stage.ignores(call_off("again")).reason == "nothing_due"
    stage.does(authorize((1, 3), ref="RMA-2"))
    assert stage.line().return_due == 3


def test_goods_of_a_canceled_return_are_taken_in_all_the_same() -> None:
    stage = shipped(2)
    stage.does(authorize((1, 1)))
    stage.does(call_off())

    stage.does(receive((1, 1, "restock")))

    assert (counts(stage.line()), stage.line().return_due) == ({"shipped": 1, "returned": 1}, 0)


def test_a_cancellation_waits_for_its_return() -> None:
    decision = shipped(2).send(call_off())

    assert (decision.outcome, decision.waits_for) == ("parked", "return")


def test_what_came_back_without_a_number_is_taken_from_the_returns_that_await_it() -> None:
    stage = shipped(2)
    stage.does(authorize((1, 1), ref="RMA-1"))
    stage.does(authorize((1, 1), ref="RMA-2"))

    stage.does(receive((1, 1, "restock"), rma=""))

    assert {ref: mine.due for ref, mine in stage.order.returns.items()} == {"RMA-1": {1: 0}, "RMA-2": {1: 1}}
    check_units(stage.world.orders.values(), stage.world.positions)
