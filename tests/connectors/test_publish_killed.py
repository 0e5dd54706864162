"""A publisher that is killed again and again in the middle: every event arrives, each order's in their order."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from interlock.storage.database import Database
from tests.connectors.subscribers import after, assert_in_order, history, publishing, subscription, webhook

ROOT = Path(__file__).resolve().parents[2]
KILLS = 5
PROGRAM = """
import sys, threading
from datetime import timedelta
from interlock.storage.database import Database
from tests.connectors.subscribers import NOW, publishing, subscription
dsn, url, minutes = sys.argv[1:]
now = NOW + timedelta(minutes=int(minutes))  # so that the leases of the one that was killed have ended
with Database(dsn, pool_max=2) as db, publishing(db, subscription(url), clock=lambda: now) as publication:
    print("ready", flush=True)
    publication.loop(threading.Event())
"""


def test_whoever_is_killed_in_the_middle_loses_nothing_and_breaks_no_order(db: Database) -> None:
    ids = history(db, [f"web:{number}" for number in range(60)], 30)
    chance = random.Random(5)
    with webhook() as crm:
        for minutes in range(1, KILLS + 1):
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, db.dsn, crm.url, str(minutes)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/bin"},
            )
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            wanted, end = len(crm.ids()) + chance.randint(20, 250), time.monotonic() + 60
            while len(crm.ids()) < wanted and time.monotonic() < end:
                time.sleep(0.0005)
            process.kill()
            process.wait()
            process.stdout.close()
        came = len(set(crm.ids()))
        assert 0 < came < len(ids)

        with publishing(db, subscription(crm)) as publication:
            publication.run_once(after((KILLS + 1) * 60))

    assert sorted(set(crm.ids())) == sorted(ids)
    assert len(crm.ids()) > len(ids), "nothing was under way when it was killed"
    assert_in_order(crm.ids(), repeated=True)
