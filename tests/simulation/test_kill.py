"""The service is killed with -9 again and again while the whole estate trades with it; nothing is lost or doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from interlock.bootstrap import Settings, open_app
from interlock.demo.run import Service, estate_program, secrets_of
from interlock.demo.slice import Prepared, prepare
from interlock.operations.audit import audit
from interlock.storage.status import totals

ORDERS = 150
KILLS = 4
PATIENCE_S = 150.0


def test_a_service_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    seed = 20261123
    chance = random.Random(seed)
    prepared = prepare(tmp_path / "plan", orders=ORDERS, seed=seed)
    settings = Settings(estate=prepared.estate, data_dir=tmp_path / "data")
    service = Service(settings, tmp_path / "serve.log", secrets=secrets_of(prepared))
    service.start()
    kills = 0
    try:
        with (
            estate_program(prepared, service, tmp_path / "estate.log", "usual") as peers,
            _worker(settings, tmp_path / "work.log") as workers,
        ):
            until = time.monotonic() + PATIENCE_S
            while peers.poll() is None:
                assert time.monotonic() < until, _tail(tmp_path / "estate.log")
                if kills < KILLS:
                    time.sleep(chance.uniform(0.5, 2.0))
                    service.kill()
                    workers.restart()
                    service.start()
                    kills += 1
                else:
                    time.sleep(0.2)
            code = peers.returncode
    finally:
        service.stop()

    with open_app(settings) as interlock:
        findings = audit(interlock.db, estate=interlock.estate, now=datetime.now(UTC))
        counted = totals(interlock.db)
    assert (kills, [(f.name, f.rows) for f in findings if not f.holds]) == (KILLS, []), f"seed {seed}"
    assert counted["orders"] == prepared.plan["orders"]["total"]
    assert counted["lines"] == prepared.plan["lines"]["total"]
    assert code == 0, _report(prepared)


class _Worker:
    """`interlock work` beside the service, on the same database."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings, self._log = settings, log
        self._process: subprocess.Popen[bytes] | None = None

    def restart(self) -> None:
        self.kill()
        command = [sys.executable, "-m", "interlock.cli", "work", "--estate", str(self._settings.estate)]
        command += ["--data-dir", str(self._settings.data_dir)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def _worker(settings: Settings, log: Path) -> Iterator[_Worker]:
    worker = _Worker(settings, log)
    worker.restart()
    try:
        yield worker
    finally:
        worker.kill()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-30:])


def _report(prepared: Prepared) -> str:
    return (prepared.folder / "report.json").read_text()[-3000:]
