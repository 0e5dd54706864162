"""The demo: Interlock as a service on a fresh embedded PostgreSQL, and the simulated estate as a stranger to it.

Two programs of their own talk over files and sockets only; here they are started, watched, and their accounts compared.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from interlock.bootstrap import Settings, open_app
from interlock.demo.estate_writer import DC_PASSWORD_ENV
from interlock.demo.report import DemoOutcome, summarize
from interlock.demo.slice import DC_MAILBOX, Prepared, prepare
from interlock.domain.errors import InterlockError
from interlock.operations.audit import audit
from interlock.storage.status import status, totals

READY_WAIT_S = 60.0
STOP_WAIT_S = 30.0
REQUESTS_AT_ONCE = 160


class DemoFailed(InterlockError):
    """The demo could not be brought to its end."""


def run_demo(
    folder: Path,
    *,
    everything: bool = False,
    keep: bool = False,
    orders: int | None = None,
    profile: str = "usual",
    console: Console,
) -> DemoOutcome:
    """Prepare the workload in `folder`, run both programs to the end, audit, and sum up.

    `orders` takes that many made-up orders instead of the real baskets. What an earlier demo left in the folder is removed.
    Raises DemoFailed, or what `prepare` raises.
    """
    _clear(folder, keep=keep)
    begun = time.monotonic()
    console.print("preparing the workload", style="dim")
    prepared = prepare(folder / "plan", all_=everything, orders=orders)
    ready = time.monotonic()
    console.print("starting Interlock and the estate around it", style="dim")
    settings = Settings(estate=prepared.estate, data_dir=folder / "data")
    with Service(settings, folder / "serve.log", secrets=secrets_of(prepared)) as service:
        report = _play(prepared, service, folder, console, profile)
    played = time.monotonic()
    console.print("auditing", style="dim")
    with open_app(settings) as interlock:
        findings = audit(interlock.db, estate=interlock.estate, now=datetime.now(UTC))
        summary = summarize(prepared.plan, report, totals(interlock.db), status(interlock.db))
    summary["seconds"] = {
        "preparing": round(ready - begun, 1),
        "running": round(played - ready, 1),
        "auditing": round(time.monotonic() - played, 1),
    }
    return DemoOutcome(summary, findings)


def secrets_of(prepared: Prepared) -> dict[str, str]:
    """What Interlock finds in its environment: the password of the DC's SFTP server."""
    keys: dict[str, str] = json.loads(prepared.keys.read_text())
    return {DC_PASSWORD_ENV: keys[DC_MAILBOX]}


class Service:
    """`interlock serve` as a process of its own, with its log in a file."""

    def __init__(
        self, settings: Settings, log: Path, *, port: int | None = None, secrets: Mapping[str, str] | None = None
    ) -> None:
        self.settings = settings
        self.secrets = secrets or {}
        self.log = log
        self.port = port or _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers. Raises DemoFailed if it does not."""
        command = [sys.executable, "-m", "interlock.cli", "serve", "--port", str(self.port), "--processes", "2"]
        command += ["--estate", str(self.settings.estate), "--data-dir", str(self.settings.data_dir)]
        if self.settings.database_url:
            command += ["--database-url", self.settings.database_url]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, **self.secrets}
            )
        until = time.monotonic() + READY_WAIT_S
        while time.monotonic() < until and self.process.poll() is None:
            if self._answers():
                return
            time.sleep(0.1)
        raise DemoFailed(f"interlock serve did not come up; its log is {self.log}:\n{self._tail()}")

    def kill(self) -> None:
        """End all of its processes as a power cut would, by SIGKILL; PostgreSQL is in another session and goes on."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Service:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


@contextmanager
def estate_program(prepared: Prepared, service: Service, log: Path, profile: str) -> Iterator[subprocess.Popen[bytes]]:
    """The simulated estate as a process of its own; ended if the block is left before it has ended by itself."""
    command = [sys.executable, "-m", "interlock.simulation.estate_program", str(prepared.folder)]
    command += ["--interlock", service.url, "--profile", profile, "--concurrency", str(REQUESTS_AT_ONCE)]
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _play(prepared: Prepared, service: Service, folder: Path, console: Console, profile: str) -> dict[str, Any]:
    log = folder / "estate.log"
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with (
        estate_program(prepared, service, log, profile) as process,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("trading", total=None)
        said = ""
        while process.poll() is None:
            time.sleep(0.5)
            if service.process is not None and service.process.poll() is not None:
                raise DemoFailed(f"interlock serve ended by itself; its log is {service.log}")
            phase = _phase(prepared.folder / "progress.json")
            progress.update(task, description=phase)
            if phase != said and not console.is_terminal:
                console.print(phase, style="dim")
            said = phase
    report = prepared.folder / "report.json"
    if not report.exists():
        raise DemoFailed(f"the simulated estate ended without a report; its log is {log}")
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def _phase(progress: Path) -> str:
    try:
        return str(msgspec.json.decode(progress.read_bytes()).get("phase", "trading"))
    except (OSError, msgspec.DecodeError):
        return "trading"


def _clear(folder: Path, *, keep: bool) -> None:
    """Remove an earlier demo, and nothing else."""
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        return
    if keep or not (folder / "plan").exists():
        raise DemoFailed(
            f"{folder} holds something that is not an earlier demo, or that is to be kept: name another --dir"
        )
    for name in ("plan", "data"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("serve.log", "estate.log"):
        (folder / name).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
