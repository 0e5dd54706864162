"""Processes die in the middle: what was answered is there, what was not is wholly there or wholly not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from interlock.engine.door import Door
from interlock.engine.worker import Worker
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.engine.truths import check_database, outcomes, rows, sold, stored_orders

ROOT = Path(__file__).resolve().parents[2]
EACH = 100_000


def test_two_processes_that_are_killed_in_the_middle_lose_and_double_nothing(db: Database, dsn: str) -> None:
    door = Door(db, make_estate())
    door.process([arrival(stock(sku, units=1_000_000), "wms") for sku in ("s1", "s2")])

    answered: set[int] = set()
    sellers = [start_selling(dsn, first) for first in (0, EACH)]
    for seller in sellers:
        assert seller.stdout is not None
        for _ in range(25):
            answered.add(int(seller.stdout.readline()))
        os.kill(seller.pid, signal.SIGKILL)
    for seller in sellers:
        rest, _ = seller.communicate()
        answered.update(int(line) for line in rest.split())
        assert seller.returncode == -signal.SIGKILL

    stored = {int(order_id.split(":")[1]) for order_id in stored_orders(db)}
    assert answered <= stored
    assert len(stored - answered) <= 2  # one each may have been done and not been told any more
    check_database(db)

    # Whoever does not know how it ended sends everything again, and goes on.
    again = sorted(stored | {number + 20 for number in stored})
    results = door.process([arrival(order(number, ["s1", "s2"])) for number in again])

    assert {n for n, o in zip(again, results, strict=True) if o.outcome == "duplicate"} == stored
    assert {o.outcome for o in results} == {"duplicate", "processed"}
    assert sold(db, "s1") == sold(db, "s2") == (1_000_000, len(again))
    check_database(db)


def start_selling(dsn: str, first: int) -> subprocess.Popen[str]:
    """A process that sells its share of the orders."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.selling_process", dsn, str(first), str(first + EACH)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_connection_that_is_cut_in_the_middle_of_a_batch_is_replaced_and_the_batch_done_once(db: Database) -> None:
    door = Door(db, make_estate())
    door.process([arrival(stock("s1"), "wms")])
    plan, cuts = door.batcher.setting.sourcing.plan, []

    class Cutting:
        """Cuts every session of this database but its own when the first plan is made."""

        def plan(self, *given: object) -> object:
            if not cuts:
                cuts.append(1)
                rows(
                    db,
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()",
                )
            return plan(*given)  # type: ignore[arg-type]

    door.batcher.setting.sourcing = Cutting()  # type: ignore[assignment]

    (outcome,) = door.process([arrival(order(1, [("s1", 2)]))])

    assert (outcome.outcome, cuts) == ("processed", [1])
    assert sold(db, "s1") == (100, 2)
    assert outcomes(db) == {"processed": 2}
    check_database(db)


def test_what_was_accepted_outlives_the_process_that_accepted_it(dsn: str) -> None:
    with Database(dsn, pool_max=2) as first:
        Door(first, make_estate()).accept([arrival(order(1)), arrival(stock("s1"), "wms")])
    with Database(dsn, pool_max=2) as second:
        worker = Worker(Door(second, make_estate()).batcher)
        assert worker.run_once() == 2
        check_database(second)
