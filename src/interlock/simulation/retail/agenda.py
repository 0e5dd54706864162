"""Virtual time and chance: what happens when, in an order that only the seed decides.

Times are seconds since the simulation's start. Two things at the same time happen in the order in which they were planned.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

Act = Callable[[Any], None]


class Agenda:
    """What is planned; `now` is the time of what is happening."""

    __slots__ = ("_count", "_planned", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._count = 0
        self._planned: list[tuple[float, int, Act, Any]] = []

    def at(self, when: float, act: Act, what: Any = None) -> None:
        """Call `act(what)` at this time; at once, but not before we are done, where that is past."""
        self._count += 1
        heappush(self._planned, (when if when > self.now else self.now, self._count, act, what))

    def after(self, seconds: float, act: Act, what: Any = None) -> None:
        """Call `act(what)` after so many seconds."""
        self._count += 1
        heappush(self._planned, (self.now + seconds, self._count, act, what))

    def next_at(self) -> float:
        """When the next thing happens; infinity where nothing is planned."""
        return self._planned[0][0] if self._planned else float("inf")

    def step(self) -> None:
        """Let the next thing happen."""
        self.now, _, act, what = heappop(self._planned)
        act(what)


def chance_of(seed: int, name: str) -> random.Random:
    """A die of its own for each actor, so that a change in one does not shift all. The same in every process."""
    return random.Random(f"{seed}/{name}")


def moment(seconds: float) -> datetime:
    """The date and time of a virtual second."""
    return START + timedelta(seconds=seconds)
