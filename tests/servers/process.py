"""A real server that a test starts for itself: on a free port of the loopback, its files in a directory of the test's, and
ended by its own process id. Nothing that runs already is used or touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pwd import getpwnam
from typing import Any

import pytest

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def program(name: str, *places: str) -> str:
    """The path of a program. Skips the test, saying so, where the machine does not have it."""
    found = shutil.which(name) or next((place for place in places if os.access(place, os.X_OK)), None)
    if found is None:
        pytest.skip(f"{name} is not installed on this machine: .ci/run installs it where it may")
    return found


class Server:
    """A server process, its port and what it says, which is in `log`."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        port: int,
        *,
        ready: Callable[[], bool] | None = None,
        environment: Mapping[str, str] | None = None,
        within_s: float = 30.0,
        user: str | None = None,
    ) -> None:
        self.command, self.folder, self.port = list(command), folder, port
        self.log = folder / "server.log"
        self._ready = ready or self._listens
        self._environment = {**os.environ, **(environment or {})}
        self._within_s = within_s
        self._as: dict[str, Any] = (
            {} if user is None else {"user": user, "group": getpwnam(user).pw_gid, "extra_groups": []}
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                **self._as,
            )
        end = time.monotonic() + self._within_s
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                said_last = self.log.read_text("utf-8", "replace")[-2_000:]
                raise AssertionError(f"{self.command[0]} did not come up within {self._within_s:.0f} s: {said_last}")
            time.sleep(0.03)

    def kill(self) -> None:
        """End it at once, with the processes that it started itself."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its session is its own: start_new_session
        self.process.wait(timeout=10)
        self.process = None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=0.5):
            return True
        return False
