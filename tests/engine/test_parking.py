"""What comes too early waits for what it needs, and goes on in the transaction that brings it, on a real PostgreSQL."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    AnyCommand,
    AuthorizeOrder,
    AuthorizeReturn,
    CancelOrder,
    CancelReturn,
    CaptureOrder,
    ConfirmShipment,
    HoldReservation,
    IssueRefund,
    LineUnits,
    Received,
    ReceiveReturn,
    ReleaseShipment,
    VoidOrder,
)
from interlock.domain.decision import Arrival
from interlock.domain.estate import Estate
from interlock.domain.values import NodeId, OrderId, Sku, SystemId, part_of
from interlock.engine.batch import BATCH_COMMANDS_MAX
from interlock.engine.door import Door
from interlock.engine.steps import PARKED_MAX
from interlock.engine.worker import Worker
from interlock.operations.audit import audit
from interlock.storage import messages
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.engine.test_batch import run_together
from tests.engine.truths import check_database, exceptions, rows, sold, stored_orders

ONE = OrderId("web:1")
TOTAL = order(1, [("s1", 2)]).total
TWO, ONE_UNIT = (LineUnits(1, 2),), (LineUnits(1, 1),)

CREATE = order(1, [("s1", 2)])
UNPAID = order(1, [("s1", 2)], authorized=Decimal(0))
PAID = order(1, [("s1", 2)], captured=TOTAL)
AUTHORIZE = AuthorizeOrder(order_id=ONE, ref="a", amount=TOTAL)
CAPTURE = CaptureOrder(order_id=ONE, ref="p", amount=TOTAL)
ACKNOWLEDGE = AcknowledgeShipment(order_id=ONE, assignment_no=1, ref="ack")
CONFIRM = ConfirmShipment(order_id=ONE, assignment_no=1, ref="gone")
CANCEL = CancelOrder(order_id=ONE, ref="c")
RMA = AuthorizeReturn(order_id=ONE, ref="RMA", lines=TWO)
BACK = ReceiveReturn(
    order_id=ONE, ref="box", return_ref="RMA", node=NodeId("n1"), lines=(Received(line_no=1, quantity=2),)
)
REFUND = IssueRefund(order_id=ONE, ref="r", amount=TOTAL, lines=TWO)

WAITS: dict[str, tuple[str, list[AnyCommand], AnyCommand, list[AnyCommand]]] = {
    # what is waited for, what was said before, what is parked, and what lets it go on
    "a cancellation waits for its order": ("web:1", [], CANCEL, [CREATE]),
    "an authorization waits for its order": ("web:1", [], AUTHORIZE, [UNPAID]),
    "a shipment waits for its order": ("web:1", [], CONFIRM, [CREATE]),
    "a capture waits for its authorization": ("authorization", [UNPAID], CAPTURE, [AUTHORIZE]),
    "a void waits for its authorization": (
        "authorization", [UNPAID], VoidOrder(order_id=ONE, ref="v", amount=TOTAL), [AUTHORIZE],
    ),
    "an acknowledgment waits for its release": ("release", [UNPAID], ACKNOWLEDGE, [AUTHORIZE]),
    "a release waits for the allocation": (
        "allocation",
        [order(1, [("s4", 2)], authorized=Decimal(0))],
        ReleaseShipment(order_id=ONE, ref="go"),
        [AdjustStock(sku=Sku("s4"), node=NodeId("n1"), ref="in", delta=2), HoldReservation(order_id=ONE, ref="h")],
    ),
    "a return waits for its shipment": ("shipment", [CREATE], RMA, [CONFIRM]),
    "goods that come back wait for their shipment": (
        "shipment", [CREATE], msgspec.structs.replace(BACK, return_ref=""), [CONFIRM],
    ),
    "goods that come back wait for their return": ("return", [CREATE, CONFIRM], BACK, [RMA]),
    "the end of a return waits for the return": (
        "return", [CREATE, CONFIRM], CancelReturn(order_id=ONE, ref="x", return_ref="RMA"), [RMA],
    ),
    "a refund waits for its units": ("return", [PAID], REFUND, [CANCEL]),
    "a refund of whatever comes back waits for it": (
        "return",
        [PAID, CONFIRM],
        IssueRefund(order_id=ONE, ref="r", amount=TOTAL),
        [msgspec.structs.replace(BACK, return_ref="")],
    ),
    "a refund waits for its capture": ("capture", [CREATE, CANCEL], REFUND, [CAPTURE]),
}  # fmt: skip


Say = Callable[[Door, Sequence[AnyCommand]], None]


def in_one_batch(door: Door, said: Sequence[AnyCommand]) -> None:
    """All at once, by a caller who waits."""
    door.process([by_office(command) for command in said])


def one_by_one(door: Door, said: Sequence[AnyCommand]) -> None:
    """Each in a request of its own."""
    for command in said:
        door.process([by_office(command)])


def by_a_worker(door: Door, said: Sequence[AnyCommand]) -> None:
    """Kept, and taken up by a worker later."""
    for command in said:
        door.accept([by_office(command)])
        work(door)


def work(door: Door) -> None:
    """Let a worker process all that waits for one."""
    for part in range(64):
        while door.batcher.work(part, BATCH_COMMANDS_MAX, messages.waiting_many, kept=True):
            pass


def by_office(command: AnyCommand, **changes: Any) -> Arrival:
    """The back office, which may do everything, says so."""
    return arrival(command, "office", **changes)


def outcome_of(door: Door, command: AnyCommand) -> str:
    """What the ledger answers to the command now."""
    [(word,)] = rows(
        door.db,
        "select outcome from ledger where subject = %(subject)s and action = %(action)s and business_key = %(key)s",
        subject=command.subject,
        action=command.action,
        key=command.key,
    )
    return str(word)


def is_sound(db: Database, estate: Estate) -> None:
    """Assert what is always true, twice over."""
    check_database(db)
    assert {f.name: f.rows for f in audit(db, estate=estate, now=datetime.now(UTC)) if not f.holds} == {}


@pytest.fixture
def door(db: Database) -> Door:
    """A hundred s1 at n1."""
    door = Door(db, make_estate())
    door.process([arrival(stock("s1"), "wms")])
    return door


@pytest.mark.parametrize("road", [in_one_batch, one_by_one, by_a_worker])
@pytest.mark.parametrize("wait", WAITS)
def test_what_comes_early_goes_on_when_its_wait_is_fulfilled(door: Door, wait: str, road: Say) -> None:
    token, before, early, fulfilling = WAITS[wait]
    one_by_one(door, before)
    if road is not in_one_batch:
        road(door, [early])
        assert rows(
            door.db, "select waits_for, command is null from messages where outcome = 'parked'"
        ) == [(token, False)]  # fmt: skip
        assert outcome_of(door, early) == "parked"
        is_sound(door.db, door.batcher.estate)
        road(door, fulfilling)
    else:
        # The stock of another part is seen by a later batch only.
        of_stock = [command for command in fulfilling if command.subject != ONE]
        one_by_one(door, of_stock)
        road(door, [early, *(command for command in fulfilling if command not in of_stock)])

    assert outcome_of(door, early) == "processed"
    assert rows(door.db, "select count(*) from messages where outcome = 'parked'") == [(0,)]
    [again] = door.process([by_office(early)])
    assert (again.outcome, again.first) == ("duplicate", "processed")
    is_sound(door.db, door.batcher.estate)


def test_what_is_parked_is_answered_as_parked_until_it_has_gone_on(door: Door) -> None:
    one_by_one(door, [UNPAID])
    first, again = door.process([by_office(CAPTURE)])[0], door.process([by_office(CAPTURE)])[0]
    assert (first.outcome, first.waits_for) == ("parked", "authorization")
    assert msgspec.json.decode(first.answer)["waits_for"] == "authorization"
    assert (again.outcome, again.first, bytes(again.answer)) == ("duplicate", "parked", bytes(first.answer))

    one_by_one(door, [AUTHORIZE])

    [at_last] = door.process([by_office(CAPTURE)])
    assert (at_last.outcome, at_last.first) == ("duplicate", "processed")
    assert msgspec.json.decode(at_last.answer)["outcome"] == "processed"
    assert stored_orders(door.db)[ONE].payment.captured == TOTAL
    is_sound(door.db, door.batcher.estate)


@pytest.mark.parametrize("road", [in_one_batch, one_by_one, by_a_worker])
def test_several_that_wait_go_on_in_order_of_arrival_as_far_as_it_goes(door: Door, road: Say) -> None:
    captures = [CaptureOrder(order_id=ONE, ref=ref, amount=Decimal(6)) for ref in ("third", "first", "second")]
    half = AuthorizeOrder(order_id=ONE, ref="half", amount=Decimal("12.50"))

    one_by_one(door, [UNPAID])
    road(door, [*captures, half])

    captured = "select body ->> 'ref' from events where type = 'payment.captured' order by seq"
    assert rows(door.db, captured) == [("third",), ("first",)]
    assert [outcome_of(door, capture) for capture in captures] == ["processed", "processed", "parked"]
    road(door, [msgspec.structs.replace(half, ref="other half", amount=Decimal("7.48"))])
    assert rows(door.db, captured) == [("third",), ("first",), ("second",)]
    is_sound(door.db, door.batcher.estate)


def test_a_smaller_one_behind_a_larger_one_need_not_wait_for_it(door: Door) -> None:
    large, small = (CaptureOrder(order_id=ONE, ref=f"of {n}", amount=Decimal(n)) for n in (15, 4))
    one_by_one(door, [UNPAID, large, small, AuthorizeOrder(order_id=ONE, ref="some", amount=Decimal(5))])

    assert [outcome_of(door, each) for each in (large, small)] == ["parked", "processed"]
    is_sound(door.db, door.batcher.estate)


@pytest.mark.parametrize("road", [in_one_batch, one_by_one, by_a_worker])
def test_a_chain_of_waits_is_undone_by_its_first_link(door: Door, road: Say) -> None:
    road(door, [REFUND, BACK, RMA, CONFIRM])
    assert rows(door.db, "select distinct waits_for from messages where outcome = 'parked'") == [("web:1",)]

    road(door, [PAID])

    mine = stored_orders(door.db)[ONE]
    assert (mine.state, mine.payment.refunded, mine.lines[1].returned) == ("refunded", TOTAL, 2)
    assert sold(door.db, "s1") == (100, 0)
    assert rows(door.db, "select count(*) from messages where outcome = 'parked'") == [(0,)]
    is_sound(door.db, door.batcher.estate)


def test_every_order_of_a_whole_life_ends_alike(door: Door) -> None:
    lives = list(itertools.permutations(range(5)))
    for step in range(5):
        batch = []
        for number, life in enumerate(lives):
            order_id = OrderId(f"web:{number}")
            said = [order(number, [("s7", 2)], captured=TOTAL), CONFIRM, RMA, BACK, REFUND][life[step]]
            batch.append(by_office(msgspec.structs.replace(said, order_id=order_id)))
        if step == 0:
            door.process([arrival(stock("s7", units=2 * len(lives)), "wms")])
        door.process(batch)

    orders = stored_orders(door.db)
    ends = {(o.state, o.payment.captured, o.payment.refunded, o.lines[1].returned) for o in orders.values()}
    assert ends == {("refunded", TOTAL, TOTAL, 2)}
    assert len(orders) == len(lives) == 120
    assert sold(door.db, "s7") == (240, 0)
    assert rows(door.db, "select outcome, count(*) from messages where subject like 'web:%%' group by 1") == [
        ("processed", 5 * 120)
    ]
    is_sound(door.db, door.batcher.estate)


@pytest.mark.parametrize("road", [in_one_batch, one_by_one, by_a_worker])
def test_a_cancellation_goes_before_what_came_before_it_and_no_node_hears_of_the_order(door: Door, road: Say) -> None:
    road(door, [AUTHORIZE, CONFIRM, CANCEL, UNPAID])

    assert [outcome_of(door, each) for each in (CANCEL, AUTHORIZE, CONFIRM)] == ["processed", "refused", "refused"]
    assert stored_orders(door.db)[ONE].state == "canceled"
    assert rows(door.db, "select count(*) from outbox") == [(0,)]
    assert sold(door.db, "s1") == (100, 0)
    is_sound(door.db, door.batcher.estate)


def test_what_an_early_cancellation_leaves_is_sourced_a_moment_later(door: Door) -> None:
    some = CancelOrder(order_id=ONE, ref="some", lines=ONE_UNIT)
    one_by_one(door, [some, CREATE])
    assert rows(door.db, "select count(*) from outbox") == [(0,)]

    Worker(door.batcher).run_once()

    line = stored_orders(door.db)[ONE].lines[1]
    assert (line.canceled, line.released) == (1, 1)
    assert rows(door.db, "select message, body -> 'lines' -> 0 ->> 'quantity' from outbox") == [
        ("shipment.release", "1")
    ]
    is_sound(door.db, door.batcher.estate)


def test_an_early_cancellation_that_cannot_be_does_not_hold_its_order_back(door: Door) -> None:
    wrong = CancelOrder(order_id=ONE, ref="wrong", lines=(LineUnits(9, 1),))
    one_by_one(door, [wrong, CREATE])
    Worker(door.batcher).run_once()

    assert outcome_of(door, wrong) == "refused"
    assert stored_orders(door.db)[ONE].state == "released"
    is_sound(door.db, door.batcher.estate)


@pytest.mark.parametrize("road", [in_one_batch, one_by_one, by_a_worker])
def test_a_channel_may_refuse_cancellations_that_come_first(db: Database, road: Say) -> None:
    estate = make_estate()
    web = msgspec.structs.replace(estate.channels["web"], early_cancel="refuse")
    estate = msgspec.structs.replace(estate, channels=estate.channels | {"web": web})
    door = Door(db, estate)
    door.process([arrival(stock("s1"), "wms")])

    road(door, [CANCEL, CREATE])

    assert outcome_of(door, CANCEL) == "refused"
    assert stored_orders(db)[ONE].state == "released"
    assert exceptions(db) == [("web:1", "early_cancel/order.cancel", 1)]
    [again] = door.process([by_office(CANCEL)])
    assert msgspec.json.decode(again.answer)["reason"] == "early_cancel"
    later = msgspec.structs.replace(CANCEL, ref="later")
    one_by_one(door, [later])  # the order is there now: that is no early cancellation
    assert (outcome_of(door, later), stored_orders(db)[ONE].state) == ("processed", "canceled")
    is_sound(db, estate)


def test_what_can_never_be_any_more_is_refused_when_that_is_known(door: Door) -> None:
    one_by_one(door, [CREATE, RMA, CANCEL])

    assert outcome_of(door, RMA) == "refused"
    assert rows(door.db, "select count(*) from messages where outcome = 'parked'") == [(0,)]
    is_sound(door.db, door.batcher.estate)


def test_a_wait_may_change_while_it_lasts(door: Door) -> None:
    road = "select waits_for from messages where outcome = 'parked'"
    one_by_one(door, [REFUND])
    seen = rows(door.db, road)
    for command in (CREATE, CONFIRM, RMA, BACK):
        one_by_one(door, [command])
        seen += rows(door.db, road)

    assert [token for (token,) in seen] == ["web:1", "return", "return", "return", "capture"]
    one_by_one(door, [CAPTURE])
    assert outcome_of(door, REFUND) == "processed"
    is_sound(door.db, door.batcher.estate)


def patient(db: Database, **parking: float) -> Door:
    """A door to an estate whose back office has this patience."""
    estate = make_estate()
    office = msgspec.structs.replace(
        estate.systems[SystemId("office")], parking={name.replace("_", "."): s for name, s in parking.items()}
    )
    door = Door(db, msgspec.structs.replace(estate, systems=estate.systems | {office.id: office}))
    door.process([arrival(stock("s1"), "wms")])
    return door


def chase(door: Door) -> int:
    """What the workers' round does about what is parked too long."""
    duty = door.batcher.estate.duty("parked_too_long")
    return door.db.transaction(lambda tx: messages.overdue_parked(tx, part_of(ONE), datetime.now(UTC), duty))


def test_patience_is_by_action_and_begins_when_the_message_came(db: Database) -> None:
    door = patient(db, order_cancel=60, **{"*": 3_600})
    came = datetime.now(UTC).replace(microsecond=0)

    door.process([by_office(CANCEL, received_at=came), by_office(CAPTURE, received_at=came)])
    door.process([arrival(AUTHORIZE, "web", received_at=came)])

    assert rows(db, "select action, waits_until from messages where outcome = 'parked' order by 1") == [
        ("order.authorize", came + timedelta(days=1)),
        ("order.cancel", came + timedelta(seconds=60)),
        ("order.capture", came + timedelta(seconds=3_600)),
    ]


def test_when_patience_is_over_a_person_is_told_once_and_the_message_still_goes_on(db: Database) -> None:
    door = patient(db, order_cancel=60)
    now = datetime.now(UTC)
    early, patient_still = (
        by_office(msgspec.structs.replace(CANCEL, ref=f"{age}"), received_at=now - timedelta(seconds=age))
        for age in (61, 1)
    )
    door.process([early, patient_still])
    assert [chase(door), chase(door)] == [1, 0]
    name = f"parked_too_long/{early.message_id}"
    assert exceptions(db) == [("web:1", name, 1)]
    [(explanation,)] = rows(db, "select explanation from exceptions")
    assert explanation.startswith("office sent order.cancel 61 on ")
    assert explanation.endswith(": it still waits for web:1")
    is_sound(db, door.batcher.estate)

    one_by_one(door, [CREATE])

    assert stored_orders(db)[ONE].state == "canceled"
    assert exceptions(db) == []
    assert rows(db, "select exception_id, closed_by, evidence from exceptions") == [
        (name, "interlock", "what it waited for came, and it was processed")
    ]
    is_sound(db, door.batcher.estate)


def test_what_is_parked_again_after_its_patience_is_not_told_of_twice(db: Database) -> None:
    door = patient(db, refund_issue=60)
    door.process([by_office(REFUND, received_at=datetime.now(UTC) - timedelta(hours=1))])
    assert chase(door) == 1

    one_by_one(door, [CREATE])  # now it waits for its units

    assert rows(db, "select waits_for, waits_until < now() from messages where outcome = 'parked'") == [
        ("return", True)
    ]
    assert chase(door) == 0
    assert rows(db, "select waits_for, waits_until from messages where outcome = 'parked'") == [("return", None)]
    assert [times for _, _, times in exceptions(db)] == [1]
    one_by_one(door, [CANCEL, CAPTURE])
    assert (outcome_of(door, REFUND), exceptions(db)) == ("processed", [])
    is_sound(db, door.batcher.estate)


def test_an_order_and_its_cancellation_at_once_by_two_doors_leave_nothing_parked(dsn: str) -> None:
    with Database(dsn, pool_max=8) as wide:
        estate = make_estate()
        doors = [Door(wide, estate) for _ in range(4)]
        doors[0].process([arrival(stock("s1", units=1_000), "wms")])
        orders = [OrderId(f"web:{number}") for number in range(40)]

        def create() -> None:
            for number in range(40):
                doors[0].process([arrival(order(number))])

        def say(door: Door, ref: str) -> None:
            for order_id in orders:
                door.process([arrival(CancelOrder(order_id=order_id, ref=ref))])

        run_together([create, *(lambda door=door, n=n: say(door, f"c{n}") for n, door in enumerate(doors[1:]))])

        assert {o.state for o in stored_orders(wide).values()} == {"canceled"}
        assert rows(
            wide, "select outcome, count(*) from messages where action = 'order.cancel' group by 1 order by 1"
        ) == [
            ("processed", 40),
            ("stale", 80),
        ]
        assert sold(wide, "s1") == (1_000, 0)
        is_sound(wide, estate)


def test_goods_that_waited_for_a_shipment_which_will_never_be_are_shown_to_a_person(db: Database) -> None:
    door = Door(db, estate := make_estate())
    door.process([arrival(stock("s1"), "wms"), arrival(CREATE)])
    early = arrival(msgspec.structs.replace(BACK, return_ref=""), "wms")
    (parked,) = door.process([early])
    assert (parked.outcome, parked.waits_for, exceptions(db)) == ("parked", "shipment", [])

    door.process([arrival(CANCEL)])

    assert rows(db, "select outcome from messages where message_id = %(id)s", id=early.message_id) == [("refused",)]
    assert exceptions(db) == [("web:1", "unexpected_return/return.receive", 1)]
    assert sold(db, "s1") == (100, 0)
    (again,) = door.process([arrival(early.command, "wms")])
    assert (again.outcome, again.first, len(exceptions(db))) == ("duplicate", "refused", 1)
    is_sound(db, estate)


def test_no_more_than_so_many_messages_wait_on_one_order_and_the_next_may_come_again(db: Database) -> None:
    estate = make_estate()
    door = Door(db, estate)
    waiting = [CaptureOrder(order_id=OrderId("web:1"), ref=f"c{n}", amount=Decimal("0.01")) for n in range(PARKED_MAX)]
    assert {o.outcome for o in door.process([arrival(each) for each in waiting])} == {"parked"}
    one_more = CaptureOrder(order_id=OrderId("web:1"), ref="one more", amount=Decimal("0.01"))

    (refused,) = door.process([arrival(one_more)])

    assert (refused.outcome, msgspec.json.decode(refused.answer)["reason"]) == ("refused", "too_many_parked")
    assert exceptions(db) == [("web:1", "too_many_parked/order.capture", 1)]
    door.process([arrival(stock("s1"), "wms"), arrival(order(1, authorized=Decimal(100), total=Decimal(100)))])
    assert rows(db, "select count(*) from messages where outcome = 'parked'") == [(0,)]
    (again,) = door.process([arrival(one_more)])
    assert again.outcome == "processed"
    assert rows(db, "select captured from payments") == [(Decimal("2.01"),)]
    is_sound(db, estate)
