"""Processes that begin together: each prepares in its own time, then all start at one instant and are timed.

Nothing is shared but that instant; a process's work, its CPU and its memory are its own.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import BrokenBarrierError, Thread
from typing import Any, Final, Protocol, TypeVar

import msgspec

from interlock.bootstrap import steady_memory
from interlock.domain.errors import InterlockError
from interlock.terminal import log_to_stderr

PREPARE_S_MAX: Final = 300.0
END_S_MAX: Final = 60.0

S = TypeVar("S")
S_in = TypeVar("S_in", contravariant=True)

context: Final = get_context("spawn")  # a fork would carry the parent's sessions and threads along


class BenchFailed(InterlockError):
    """A measure could not be taken, or what it left is not what it must be."""


class Usage(msgspec.Struct, frozen=True):
    """What a process has used: CPU seconds so far, and the most memory that it ever held."""

    cpu_s: float
    rss_mb: float

    @staticmethod
    def now() -> Usage:
        """Of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Usage(used.ru_utime + used.ru_stime, _peak_mb(used.ru_maxrss))


class Run(msgspec.Struct, frozen=True):
    """One process's measured time: from `began` to `ended` (monotonic seconds, one clock for all), and what it gave."""

    began: float
    ended: float
    cpu_s: float
    rss_mb: float
    result: Any


class Clock:
    """Handed to each process: `start` when it is ready, `stop` when it is done."""

    def __init__(self, barrier: Any) -> None:
        self._barrier = barrier
        self._cpu_s = 0.0
        self.began = self.ended = self.cpu_s = 0.0

    def start(self) -> None:
        """Wait for all others to be ready."""
        self._barrier.wait(PREPARE_S_MAX)
        self._cpu_s = Usage.now().cpu_s
        self.began = time.monotonic()

    def stop(self) -> None:
        """The measured work is done; what follows is only tidying."""
        self.ended = time.monotonic()
        self.cpu_s = Usage.now().cpu_s - self._cpu_s


class Work(Protocol[S_in]):
    """What a process does; a function of a module, so that a new process finds it."""

    def __call__(self, spec: S_in, clock: Clock, /) -> Any:
        """Prepare, `clock.start()`, work, `clock.stop()`, give a result."""


def run_together(work: Work[S], specs: Sequence[S], *, on_start: Callable[[], None] = lambda: None) -> list[Run]:
    """Run `work` on each spec in a process of its own; `on_start` is called here as they start.

    Raises BenchFailed with what the first process that failed said.
    """
    barrier = context.Barrier(len(specs) + 1)
    pipes, processes = [], []
    for spec in specs:
        mine, theirs = context.Pipe()
        process = context.Process(target=_child, args=(work, spec, barrier, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(mine)
        processes.append(process)
    Thread(target=_watch, args=([process.sentinel for process in processes], barrier), daemon=True).start()
    try:
        with suppress(BrokenBarrierError):  # the process that broke it says why
            barrier.wait(PREPARE_S_MAX)
        on_start()
        answers = [_answer(pipe) for pipe in pipes]
    finally:
        for process in processes:
            process.join(END_S_MAX)
            if process.is_alive():
                process.kill()
    failed = [answer for answer in answers if isinstance(answer, str)]
    if failed:
        raise BenchFailed(next((said for said in failed if "BrokenBarrierError" not in said), failed[0]))
    return [answer for answer in answers if isinstance(answer, Run)]


def _watch(sentinels: list[int], barrier: Any) -> None:
    """A process that ends before the start will never be ready: the others need not wait for it."""
    wait(sentinels)
    barrier.abort()  # after the start nobody waits, and it means nothing


def _child(work: Work[S], spec: S, barrier: Any, pipe: Connection) -> None:
    log_to_stderr(logging.WARNING)
    steady_memory()
    clock = Clock(barrier)
    try:
        result = work(spec, clock)
        pipe.send(Run(clock.began, clock.ended, clock.cpu_s, Usage.now().rss_mb, result))
    except BaseException:
        pipe.send(traceback.format_exc())
        barrier.abort()


def _answer(pipe: Connection) -> Run | str:
    try:
        answer: Run | str = pipe.recv()
        return answer
    except EOFError:
        return "a process of the benchmark ended without a word: was it killed, or out of memory?"


def _peak_mb(max_rss: int) -> float:
    # The kernel's getrusage also counts what the parent held before the program was loaded; this does not.
    with suppress(OSError):
        for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return max_rss / (1024 * 1024 if sys.platform == "darwin" else 1024)
