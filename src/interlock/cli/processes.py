"""One service of several processes on one port: the first starts the others, and starts one again that dies.

The others end when the first does, however that is: their input is a pipe that closes with it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

WATCH_S = 0.5
AGAIN_S_MAX = 30.0
STEADY_S = 60.0
"""One that ran so long did not die of its start: it is started again at once."""

log = structlog.get_logger()


class Stoppable(Protocol):
    """A server that can be told to stop."""

    def stop(self) -> None:
        """Take no more requests, answer those in hand, and end."""


class _Helper:
    """One more process like this one."""

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.failures = 0
        self.again_at = 0.0
        self.start()

    def start(self) -> None:
        self.began = time.monotonic()
        self.again_at = 0.0
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE)

    def watch(self) -> None:
        """Start it again if it is gone; one that dies at its start, after growing waits."""
        now = time.monotonic()
        if self.process.poll() is None:
            return
        if not self.again_at:
            self.failures = 0 if now - self.began > STEADY_S else self.failures + 1
            wait_s = min(AGAIN_S_MAX, 0.5 * 2**self.failures) if self.failures else 0.0
            log.warning("process_died", pid=self.process.pid, code=self.process.returncode, again_in_s=wait_s)
            self.close()
            self.again_at = now + wait_s
        if now >= self.again_at:
            self.start()

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()


@contextmanager
def helpers(count: int) -> Iterator[None]:
    """So many more processes like this one, on the same port, kept running until the block ends."""
    command = [sys.executable, "-m", "interlock.cli", *sys.argv[1:], "--joins", "--no-folders"]
    started = [_Helper(command) for _ in range(count)]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_S):
            for helper in started:
                helper.watch()

    watcher = threading.Thread(target=watch, name="processes", daemon=True)
    if started:
        watcher.start()
    try:
        yield
    finally:
        over.set()
        if started:
            watcher.join()
        for helper in started:
            helper.close()
        for helper in started:
            helper.process.wait()


def stop_with_starter(server: Stoppable) -> None:
    """Our input is a pipe that nobody writes to: it ends when the process that started us is gone."""
    sys.stdin.read()
    server.stop()
