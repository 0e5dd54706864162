"""Many at once on a real PostgreSQL: sold to the last unit and never below, within capacity, and nobody stands in the way."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from interlock.domain.commands import AdjustStock, CancelOrder, ConfirmShipment, CreateOrder
from interlock.domain.decision import Outcome
from interlock.domain.errors import TransactionConflict
from interlock.domain.estate import Estate, SourcingPolicy
from interlock.domain.values import NodeId, OrderId, Sku, part_of
from interlock.engine import desk
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.storage.stock import StockMissed
from tests.builders import arrival, make_estate, order, stock
from tests.engine.test_batch import run_together
from tests.engine.truths import check_database, exceptions, outcomes, rows, sold, stored_orders


@pytest.fixture
def wide(dsn: str) -> Iterator[Database]:
    """A database with a session for each of many threads."""
    with Database(dsn, pool_max=10) as db:
        yield db


def process_together(door: Door, batches: list[list[Any]], threads: int = 8) -> list[Outcome]:
    """Let threads take batch after batch until none is left."""
    waiting, results, lock = list(batches), [], threading.Lock()
    gate = threading.Barrier(threads)

    def work() -> None:
        gate.wait()
        while True:
            with lock:
                if not waiting:
                    return
                mine = waiting.pop()
            done = door.process(mine)
            with lock:
                results.extend(done)

    run_together([work] * threads)
    return results


def test_hot_stock_is_sold_to_the_last_unit_and_never_below(wide: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(wide, make_estate(nodes=2))
    have = {("s1", "n1"): 40, ("s1", "n2"): 25, ("s2", "n1"): 33, ("s3", "n2"): 17}
    door.process([arrival(stock(sku, node, units), "wms") for (sku, node), units in have.items()])
    misses = count_misses(monkeypatch)
    chance = random.Random(7)
    orders = [order(n, [(chance.choice(["s1", "s2", "s3"]), chance.randint(1, 2))]) for n in range(240)]
    wanted = {sku: sum(o.lines[0].quantity for o in orders if o.lines[0].sku == sku) for sku in ("s1", "s2", "s3")}
    assert all(wanted[sku] > sum(n for (s, _), n in have.items() if s == sku) for sku in wanted)

    results = process_together(door, [[arrival(o) for o in orders[start : start + 5]] for start in range(0, 240, 5)])

    assert {o.outcome for o in results} == {"processed"}
    for sku, node in have:
        assert sold(wide, sku, node) == (have[sku, node], have[sku, node])
    waiting = sum(line.open for o in stored_orders(wide).values() for line in o.lines.values())
    assert waiting == sum(wanted.values()) - sum(have.values())
    assert exceptions(wide) == []
    assert len(misses) > 0  # the threads did meet
    check_database(wide)


def count_misses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down how often stock went to somebody else between the look and the taking."""
    misses: list[str] = []
    made = StockMissed.__init__

    def counted(self: StockMissed, what: str) -> None:
        misses.append(what)
        made(self, what)

    monkeypatch.setattr(StockMissed, "__init__", counted)
    return misses


def test_stock_that_went_to_somebody_else_is_sourced_elsewhere(db: Database, dsn: str) -> None:
    estate = make_estate(nodes=2)
    door = Door(db, estate)
    door.process([arrival(stock("s1", "n1", 1), "wms"), arrival(stock("s1", "n2", 1), "wms")])
    first, second = (n for n in range(2, 4))
    taken = threading.Event()
    plan = door.batcher.setting.sourcing.plan

    class Slow:
        """Lets the other order through between the look at the stock and the taking of it."""

        def plan(self, *given: Any) -> Any:
            found = plan(*given)
            if not taken.is_set():
                taken.set()
                with Database(dsn, pool_max=1) as other:
                    assert Door(other, estate).process([arrival(order(second))])[0].outcome == "processed"
            return found

    door.batcher.setting.sourcing = Slow()  # type: ignore[assignment]
    assert part_of(f"web:{first}") != part_of(f"web:{second}")

    assert door.process([arrival(order(first))])[0].outcome == "processed"

    nodes = {i: o.assignments[1].node for i, o in stored_orders(db).items()}
    assert sorted(nodes.values()) == ["n1", "n2"]
    check_database(db)


def test_a_day_s_capacity_is_never_exceeded(wide: Database) -> None:
    estate = make_estate(
        nodes=3,
        node_changes={"n1": {"capacity_orders_per_day": 20}, "n2": {"capacity_orders_per_day": 13}},
    )
    door = Door(wide, estate)
    skus = ("s1", "s2", "s3")
    door.process([arrival(stock(sku, node, 1000), "wms") for sku in skus for node in ("n1", "n2", "n3")])

    process_together(
        door, [[arrival(order(n, [(skus[n % 3], 1)])) for n in range(start, start + 4)] for start in range(0, 120, 4)]
    )

    given = dict(rows(wide, "select node, count(*) from assignments group by node"))
    assert given == {"n1": 20, "n2": 13, "n3": 87}
    assert dict(rows(wide, "select node, sum(orders)::int from node_days group by node")) == {"n1": 20, "n2": 13}
    check_database(wide, estate)


def test_counts_amid_orders_and_shipments_leave_every_position_balanced(wide: Database) -> None:
    door = Door(wide, make_estate(nodes=2))
    door.process([arrival(stock(sku, "n1", 500), "wms") for sku in ("s1", "s2")])
    chance = random.Random(11)
    batches: list[list[Any]] = []
    for number in range(60):
        sku = chance.choice(["s1", "s2"])
        order_id = OrderId(f"web:{number}")
        batches.append([arrival(order(number, [(sku, 2)]))])
        last: CancelOrder | ConfirmShipment = (
            CancelOrder(order_id=order_id, ref="c")
            if number % 3
            else ConfirmShipment(order_id=order_id, assignment_no=1, ref="s")
        )
        batches.append([arrival(last, "office")])
        batches.append(
            [
                arrival(stock(sku, "n1", chance.randint(100, 400), ref=f"count-{number}"), "wms"),
                arrival(AdjustStock(sku=Sku(sku), node=NodeId("n2"), ref=f"truck-{number}", delta=1), "wms"),
            ]
        )
    chance.shuffle(batches)

    results = process_together(door, batches)

    assert len(results) == 240
    assert {o.outcome for o in results} <= {"processed", "parked"}
    assert outcomes(wide) == {"processed": 242}  # what was parked was woken
    check_database(wide)


def test_two_batches_that_lock_in_opposite_order_are_both_done(wide: Database, dsn: str) -> None:
    door = Door(wide, make_estate())
    door.process([arrival(stock("s1"), "wms"), arrival(stock("s2"), "wms")])
    first, second = sorted(["s1", "s2"], key=lambda sku: (part_of(sku), sku))
    hold = "select from positions where sku = %s for update"
    plan, plans = door.batcher.setting.sourcing.plan, []

    class Counting:
        """Counts how often the batch was decided."""

        def plan(self, *given: Any) -> Any:
            plans.append(1)
            return plan(*given)

    door.batcher.setting.sourcing = Counting()  # type: ignore[assignment]
    results: list[Outcome] = []
    numbers = iter(range(10))
    # Whoever waits longer finds the deadlock and gives way: that is the batch, unless this machine is very busy.
    while len(plans) == len(results):
        sent = [arrival(order(next(numbers), [(first, 1), (second, 1)]))]
        with psycopg.connect(dsn) as stranger, suppress(psycopg.errors.DeadlockDetected):
            stranger.execute(hold, (second,))
            thread = threading.Thread(target=lambda sent=sent: results.extend(door.process(sent)))
            thread.start()
            wait_for_a_lock(stranger)
            stranger.execute(hold, (first,))
        thread.join()

    assert {o.outcome for o in results} == {"processed"}
    assert (sold(wide, "s1"), sold(wide, "s2")) == ((100, len(results)), (100, len(results)))
    check_database(wide)


def wait_for_a_lock(connection: psycopg.Connection[Any]) -> None:
    """Return when some session of this database waits for a row."""
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    for _ in range(500):
        connection.execute("select pg_stat_clear_snapshot()")  # within a transaction the first look would be kept
        if connection.execute(waiting).fetchall():
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock after 5 s")


def test_a_batch_waits_for_whoever_works_on_its_part(wide: Database, dsn: str) -> None:
    door = Door(wide, make_estate())
    results: list[Outcome] = []
    with psycopg.connect(dsn) as stranger:
        stranger.execute("select from part_lock where part = %s for update", (part_of("web:1"),))
        thread = threading.Thread(target=lambda: results.extend(door.process([arrival(order(1))])))
        thread.start()
        wait_for_a_lock(stranger)
        assert results == []
        stranger.rollback()
        thread.join()

    assert [o.outcome for o in results] == ["processed"]


def test_stock_that_is_always_taken_by_others_is_a_conflict_and_blames_no_message(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(db, make_estate())

    def missed(*given: Any, **named: Any) -> None:
        raise StockMissed("somebody was faster")

    monkeypatch.setattr(desk, "save_decisions", missed)

    with pytest.raises(TransactionConflict, match="taken by others 6 times"):
        door.process([arrival(order(1))])

    assert outcomes(db) == {}


def test_the_estate_s_policy_may_forbid_to_split_under_pressure(wide: Database) -> None:
    estate: Estate = make_estate(nodes=2, policy=SourcingPolicy(version="1", split_max=1))
    door = Door(wide, estate)
    door.process([arrival(stock("s1", "n1", 7), "wms"), arrival(stock("s1", "n2", 7), "wms")])
    orders: list[CreateOrder] = [order(n, [("s1", 3)]) for n in range(12)]

    process_together(door, [[arrival(o)] for o in orders], threads=6)

    filled = [len(o.assignments) for o in stored_orders(wide).values()]
    assert max(filled) == 1
    assert sold(wide, "s1", "n1")[1] + sold(wide, "s1", "n2")[1] == 14
    check_database(wide)
