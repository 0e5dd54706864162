"""A process that takes files from a real SSH server is killed again and again: every count is there in the end, once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path

from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.sftp_in import SftpFolder
from interlock.domain.links import SftpIn
from interlock.engine.door import Door
from interlock.operations.audit import audit
from interlock.storage.database import Database
from tests.connectors.transports.ssh_server import PASSWORD, ssh_server
from tests.connectors.transports.stock_files import CSV, counts, estate, inlet_of, later

FILES = 12
ROWS = 400
KILLS = 4


def take(dsn: str, link: SftpIn, spool: Path, begun: object) -> None:
    """The process: it runs until it is killed."""
    with Database(dsn, pool_max=3) as db:
        door = Door(db, estate(link))
        system, inlet = inlet_of(link, door)
        mapper = Mapper(estate(link))
        environment = {"SFTP_PASSWORD": PASSWORD}
        folder = SftpFolder(system, link, mapper, door, db, spool, inlet=inlet, environment=environment)
        begun.set()  # type: ignore[attr-defined]
        folder.run(threading.Event())


def test_every_count_of_every_file_is_taken_once_however_often_the_process_is_killed(
    db: Database, dsn: str, tmp_path: Path
) -> None:
    chance = random.Random(11)
    spawn = multiprocessing.get_context("spawn")
    with ssh_server(tmp_path / "server") as server:
        out = server.root / "out"
        out.mkdir()
        for n in range(FILES):
            (out / f"{n}.csv").write_bytes(counts(ROWS, first=n * ROWS + 1))
        link = SftpIn(server=server.host(), path="/out", format=CSV, mapping="counts", stable_s=0.05, every_s=0.05)
        kills = 0
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            begun = spawn.Event()
            child = spawn.Process(target=take, args=(dsn, link, tmp_path / "spool", begun))
            child.start()
            assert begun.wait(60)
            wait_s = chance.uniform(0.05, 0.8) if kills < KILLS else 100
            over = time.monotonic() + wait_s
            while time.monotonic() < over and list(out.glob("*.csv")):
                time.sleep(0.02)
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            kills += 1
            if kills > KILLS and not list(out.glob("*.csv")):
                break

        assert list(out.glob("*.csv")) == []
        assert {path.name for path in (out / "done").iterdir()} >= {f"{n}.csv" for n in range(FILES)}

    outcomes = dict(db.transaction(lambda tx: tx.query("select outcome, count(*) from messages group by 1")))
    assert outcomes["processed"] == FILES * ROWS
    assert set(outcomes) <= {"processed", "duplicate"}
    stock = db.transaction(lambda tx: tx.query("select count(*), sum(physical) from positions"))
    units = sum(range(1, FILES * ROWS + 1))
    assert stock == [(FILES * ROWS, units)]
    assert kills > KILLS
    findings = audit(db, estate=estate(link), now=later())
    assert [finding.name for finding in findings if not finding.holds] == []
