"""The worker: what was only kept is processed, and what time alone causes is done."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from interlock.domain.commands import (
    AdjustStock,
    AuthorizeReturn,
    CancelOrder,
    ConfirmShipment,
    CreateOrder,
    HoldReservation,
    LineUnits,
)
from interlock.domain.decide import DECIDERS
from interlock.domain.decision import Draft
from interlock.domain.estate import SourcingPolicy
from interlock.domain.values import NodeId, OrderId, Sku, part_of
from interlock.engine.door import Door
from interlock.engine.worker import Worker
from interlock.storage import messages
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.engine.test_batch import confirm, one_part, poison, run_together
from tests.engine.truths import check_database, exceptions, outcomes, rows, sold, stored_orders

AT_ONCE = SourcingPolicy(version="1", backorder_retry_s=0.0)


@pytest.fixture
def door(db: Database) -> Door:
    """A door with a hundred s1 behind it; backorders are due again at once."""
    door = Door(db, make_estate(policy=AT_ONCE))
    door.process([arrival(stock("s1"), "wms")])
    return door


@pytest.fixture
def worker(door: Door) -> Worker:
    """A worker on the same database."""
    return Worker(door.batcher)


def work_through(worker: Worker) -> int:
    """Let the worker go on until nothing is left to do; gives how much it did."""
    done, passes = 0, 0
    while some := worker.run_once():
        done += some
        passes += 1
        assert passes < 50, "the worker finds no end"
    return done


def test_what_was_accepted_waits_until_a_worker_takes_it(door: Door, worker: Worker) -> None:
    sent = [arrival(order(number)) for number in range(10)]

    results = door.accept(sent)

    assert [(o.message_id, o.outcome) for o in results] == [(a.message_id, "received") for a in sent]
    assert outcomes(door.db) == {"processed": 1, None: 10}
    assert stored_orders(door.db) == {}

    assert worker.run_once() == 10
    assert outcomes(door.db) == {"processed": 11}
    assert len(stored_orders(door.db)) == 10
    assert worker.run_once() == 0
    check_database(door.db)


def test_accepted_messages_are_processed_in_their_order_of_arrival(door: Door, worker: Worker) -> None:
    order_id = OrderId("web:1")
    door.accept([arrival(order(1))])
    door.accept([arrival(confirm(), "wms"), arrival(order(1))])
    door.accept([arrival(CancelOrder(order_id=order_id, ref="c"))])

    work_through(worker)

    assert rows(
        door.db,
        "select action, outcome from messages where subject = 'web:1' and system <> 'interlock' order by message_id",
    ) == [
        ("order.create", "processed"),
        ("shipment.confirm", "processed"),
        ("order.create", "duplicate"),
        ("order.cancel", "refused"),
    ]
    check_database(door.db)


def test_accepting_puts_away_at_once_what_could_not_be_read(door: Door, worker: Worker) -> None:
    results = door.accept([arrival(order(1)), arrival(None), arrival(order(2))])

    assert [o.outcome for o in results] == ["received", "quarantined", "received"]
    work_through(worker)
    assert outcomes(door.db)["quarantined"] == 1


def test_one_poisonous_message_that_was_accepted_is_put_away_alone(
    door: Door, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = one_part(40)
    poison(monkeypatch, f"web:{numbers[23]}")
    door.accept([arrival(order(number)) for number in numbers])

    work_through(worker)

    assert outcomes(door.db) == {"processed": 40, "quarantined": 1}
    assert exceptions(door.db) == [(f"web:{numbers[23]}", "quarantined/internal_error", 1)]
    check_database(door.db)


def test_a_message_is_not_blamed_for_another_that_is_gone_meanwhile(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, innocent = one_part(2)
    part = part_of(f"web:{bad}")
    poison(monkeypatch, f"web:{bad}")
    door.accept([arrival(order(bad))])
    reads: list[int] = []

    def read(tx: Any, part: int, limit: int) -> Any:
        reads.append(limit)
        if len(reads) == 2:  # the part was free: another worker was faster, and another message has come
            rows(door.db, "update messages set outcome = 'quarantined' where outcome is null returning message_id")
            door.accept([arrival(order(innocent))])
        return messages.waiting_many(tx, part, limit)

    door.batcher.work(part, 400, read, kept=True)
    monkeypatch.undo()
    work_through(Worker(door.batcher))

    assert rows(door.db, "select subject, outcome from messages where action = 'order.create' order by message_id") == [
        (f"web:{bad}", "quarantined"),
        (f"web:{innocent}", "processed"),
    ]


def test_a_backorder_is_filled_when_stock_has_come(door: Door, worker: Worker) -> None:
    door.process([arrival(order(1, [("s2", 3)]))])
    worker.run_once()
    assert stored_orders(door.db)[OrderId("web:1")].hold_attempts == 2

    door.process([arrival(AdjustStock(sku=Sku("s2"), node=NodeId("n2"), ref="t", delta=3), "wms")])
    work_through(worker)

    filled = stored_orders(door.db)[OrderId("web:1")]
    assert (filled.state, filled.wake_at) == ("released", None)
    assert sold(door.db, "s2", "n2") == (3, 3)
    check_database(door.db)


def test_a_backorder_that_nothing_fills_ends_with_a_person(db: Database) -> None:
    door = Door(db, make_estate(policy=SourcingPolicy(version="1", backorder_retry_s=0.0, backorder_attempts_max=4)))
    door.process([arrival(order(1, [("s2", 3)]))])

    assert work_through(Worker(door.batcher)) == 3

    assert stored_orders(db)[OrderId("web:1")].hold_attempts == 4
    assert exceptions(db) == [("web:1", "backorder_exhausted/web:1", 1)]


def test_an_order_is_closed_by_time_once_it_is_settled_and_again_after_a_return(door: Door, worker: Worker) -> None:
    door.process([arrival(order(1))])
    assert work_through(worker) == 0
    door.process([arrival(confirm(), "wms")])

    assert work_through(worker) == 1
    closed = stored_orders(door.db)[OrderId("web:1")]
    assert (closed.state, closed.wake_at) == ("closed", None)

    rma = AuthorizeReturn(order_id=OrderId("web:1"), ref="R1", lines=(LineUnits(1, 1),))
    door.process([arrival(rma)])
    assert (stored_orders(door.db)[OrderId("web:1")].state, work_through(worker)) == ("shipped", 0)
    check_database(door.db)


def test_a_timer_that_has_nothing_to_do_is_silenced(door: Door, worker: Worker) -> None:
    door.process([arrival(order(1))])
    rows(door.db, "update orders set wake_at = now() where order_id = 'web:1' returning order_id")

    assert work_through(worker) == 1  # refused: not settled

    assert rows(door.db, "select wake_at from orders") == [(None,)]
    assert rows(door.db, "select outcome from messages where system = 'interlock'") == [("refused",)]


def test_a_timer_that_meets_a_mistake_of_ours_is_put_away_once(
    door: Door, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.process([arrival(order(1, [("s2", 1)])), arrival(order(2, [("s2", 1)]))])
    hold = DECIDERS["reservation.hold"]

    def failing(draft: Draft, command: HoldReservation) -> None:
        if command.order_id == "web:1":
            raise RuntimeError("we made a mistake")
        hold(draft, command)

    monkeypatch.setitem(DECIDERS, "reservation.hold", failing)
    worker.run_once()
    worker.run_once()

    assert rows(door.db, "select subject, count(*) from messages where outcome = 'quarantined' group by subject") == [
        ("web:1", 1)
    ]
    assert exceptions(door.db) == [("web:1", "quarantined/internal_error", 1)]
    assert stored_orders(door.db)[OrderId("web:2")].hold_attempts == 3


def test_several_workers_share_the_work_and_do_everything_once(dsn: str) -> None:
    with Database(dsn, pool_max=10) as wide:
        door = Door(wide, make_estate(policy=AT_ONCE))
        door.process([arrival(stock("s1", units=1000), "wms")])
        orders: list[CreateOrder] = [order(number) for number in range(200)]
        door.accept([arrival(o) for o in orders])
        door.accept([arrival(confirm(number), "wms") for number in range(200)])
        door.accept([arrival(o) for o in orders])

        run_together([lambda: work_until_idle(Worker(door.batcher))] * 4)
        work_until_idle(Worker(door.batcher))

        ours = "select outcome, count(*) from messages where system <> 'interlock' group by outcome"
        assert dict(rows(wide, ours)) == {"processed": 401, "duplicate": 200}
        assert {o.state for o in stored_orders(wide).values()} == {"closed"}
        assert sold(wide, "s1") == (800, 0)
        check_database(wide)


def work_until_idle(worker: Worker) -> None:
    """Passes until one finds nothing that nobody else has in hand."""
    while worker.run_once():
        pass


def test_a_worker_runs_until_it_is_told_to_stop(door: Door, worker: Worker) -> None:
    stop, done = threading.Event(), threading.Event()

    def chore(*_: Any) -> int:
        if not rows(door.db, "select from messages where outcome is null"):
            done.set()
        return 0

    running = Worker(door.batcher, chores=(chore,), chore_every_s=0.0)
    thread = threading.Thread(target=running.run, args=(stop,))
    thread.start()
    door.accept(
        [arrival(order(1)), arrival(ConfirmShipment(order_id=OrderId("web:1"), assignment_no=1, ref="s"), "wms")]
    )
    while rows(door.db, "select from messages where outcome is null"):
        done.wait(0.05)
    stop.set()
    thread.join(timeout=30)

    assert not thread.is_alive()
    assert stored_orders(door.db)[OrderId("web:1")].lines[1].shipped == 1
