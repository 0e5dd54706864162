"""Delivery that is killed again and again in the middle: every message arrives, in one interchange, the same whenever it came."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from interlock.connectors.deliver import Delivery
from interlock.storage.database import Database
from tests.connectors.edi import WAREHOUSE_X12, X12, envelope_of, sets_of
from tests.connectors.outgoing import DC, after, fill, states
from tests.connectors.test_deliver_formatted import of_dc, x12_folder

ROOT = Path(__file__).resolve().parents[2]
MESSAGES, KILLS = 600, 6
PROGRAM = """
import sys, threading
from datetime import timedelta
from pathlib import Path
from interlock.connectors.deliver import Delivery
from interlock.storage.database import Database
from tests.connectors.outgoing import NOW
from tests.connectors.test_deliver_formatted import WAREHOUSE_X12, of_dc, x12_folder
dsn, folder, minutes = sys.argv[1:]
now = NOW + timedelta(minutes=int(minutes))  # so that the leases of the one that was killed have ended
with Database(dsn, pool_max=2) as db:
    delivery = Delivery(db, of_dc(x12_folder(Path(folder), rows_max=5), WAREHOUSE_X12), clock=lambda: now)
    print("ready", flush=True)
    delivery.loop(threading.Event())
"""


def test_whoever_is_killed_in_the_middle_leaves_nothing_out_and_nothing_in_two_interchanges(
    db: Database, tmp_path: Path
) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(MESSAGES)], to=DC)
    folder, chance = tmp_path / "out", random.Random(4)
    seen: dict[str, bytes] = {}
    for minutes in range(1, KILLS + 1):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, db.dsn, str(folder), str(minutes)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/bin"},
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        wanted, end = files(folder) + chance.randint(1, 8), time.monotonic() + 60
        while files(folder) < wanted and time.monotonic() < end:
            time.sleep(0.0005)
        process.kill()
        process.wait()
        process.stdout.close()
        for path in folder.glob("*.x12") if folder.exists() else ():
            content = path.read_bytes()
            assert seen.setdefault(path.name, content) == content
    killed_with = states(db).get((DC, "waiting"), 0)

    delivery = Delivery(db, of_dc(x12_folder(folder, rows_max=5), WAREHOUSE_X12))
    for minutes in (KILLS + 1, KILLS + 2):
        delivery.run_once(after(minutes * 60))
    delivery.close()

    bodies = {path.name: path.read_bytes() for path in folder.glob("*.x12")}
    assert {name: bodies[name] for name in seen} == seen
    told = Counter(each.data.children["W05"][0].elements[2] for body in bodies.values() for each in sets_of(body, X12))
    assert told == {f"w:{n}/1": 1 for n in range(MESSAGES)}
    controls = [envelope_of(body, X12).control for body in bodies.values()]
    assert sorted(controls) == [f"{n:09}" for n in range(1, len(controls) + 1)]
    assert states(db) == {(DC, "sent"): MESSAGES}
    assert 0 < killed_with < MESSAGES


def files(folder: Path) -> int:
    return len(list(folder.glob("*.x12"))) if folder.exists() else 0
