"""Workers share the parts through the database alone; they are killed at random while hot SKUs sell out."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from interlock.domain.decision import Arrival
from interlock.domain.estate import SourcingPolicy
from interlock.engine.door import Door
from interlock.operations.audit import audit
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.engine.truths import rows

ROOT = Path(__file__).resolve().parents[2]
ESTATE = make_estate(nodes=4, policy=SourcingPolicy(version="1", unfillable="cancel"))
ORDERS = 3_000
DUPLICATES = 150
HOT_SKUS = 10
COLD_SKUS = 500
HOT_UNITS = 25
"""At each of the four nodes: 1,000 hot units in all, for about 2,400 orders that want one."""
WORKERS = 3
KILLS = 12
PATIENCE_S = 90.0


def test_workers_killed_at_random_lose_nothing_double_nothing_and_sell_hot_stock_to_the_last_unit(
    db: Database, dsn: str
) -> None:
    seed = 20261123
    chance = random.Random(seed)
    door = Door(db, ESTATE)
    door.process(
        [
            arrival(stock(sku, f"n{node}", units), "wms")
            for node in (1, 2, 3, 4)
            for sku, units in [(f"hot{n}", HOT_UNITS) for n in range(HOT_SKUS)]
            + [(f"cold{n}", 1_000) for n in range(COLD_SKUS)]
        ]
    )
    orders = [order(number, _lines(chance)) for number in range(ORDERS)]
    twice = chance.sample(range(ORDERS), DUPLICATES)
    sent: list[Arrival] = [arrival(each) for each in orders] + [arrival(orders[number]) for number in twice]
    chance.shuffle(sent)
    assert {o.outcome for o in door.accept(sent)} == {"received"}

    workers = [_worker(dsn) for _ in range(WORKERS)]
    kills = 0
    until = time.monotonic() + PATIENCE_S
    try:
        while rows(db, "select count(*) from messages where outcome is null") != [(0,)] or kills < KILLS:
            assert time.monotonic() < until, f"seed {seed}: still waiting after {PATIENCE_S} s and {kills} kills"
            time.sleep(chance.uniform(0.05, 0.3))
            if kills < KILLS:
                victim = chance.randrange(WORKERS)
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = _worker(dsn)
                kills += 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    assert rows(db, "select outcome, count(*) from messages where action = 'order.create' group by 1 order by 1") == [
        ("duplicate", DUPLICATES),
        ("processed", ORDERS),
    ]
    assert rows(db, "select count(*), count(distinct order_id) from orders") == [(ORDERS, ORDERS)]
    hot = rows(
        db, "select sum(physical), sum(reserved), bool_and(reserved <= physical) from positions where sku like 'hot%'"
    )
    assert hot == [(4 * HOT_SKUS * HOT_UNITS, 4 * HOT_SKUS * HOT_UNITS, True)]
    findings = audit(db, estate=ESTATE, now=datetime.now(UTC))
    # Nobody delivers here, so nothing is said of deliveries.
    assert [(f.name, f.rows) for f in findings if not f.holds] == [], f"seed {seed}"


def _lines(chance: random.Random) -> list[str]:
    """Three SKUs; four orders of five want a hot one."""
    cold = chance.sample(range(COLD_SKUS), 3)
    first = f"hot{chance.randrange(HOT_SKUS)}" if chance.random() < 0.8 else f"cold{cold[0]}"
    return [first, f"cold{cold[1]}", f"cold{cold[2]}"]


def _worker(dsn: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.engine.working_process", dsn]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
