"""A budget of repeated attempts: a receiver in trouble is not met with ever more of the same.

Each process has its own, because it says what this process has sent.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from typing import Final

WINDOW_S: Final = 3_600
SLOT_S: Final = 60
REPEATS_FREE: Final = 10
"""So many repeated attempts in the window are always allowed: with few messages a share says nothing."""


class Budget:
    """Of the attempts of the last hour, the share that may be repeated ones; 1 is no limit. Counted by the minute."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._guard = threading.Lock()
        self._slots: deque[list[int]] = deque()  # minute, first attempts, repeated ones

    def allows_repeats(self, now: datetime) -> bool:
        """Whether a repeated attempt may be made now."""
        if self._share >= 1:
            return True
        with self._guard:
            self._forget(now)
            firsts = sum(slot[1] for slot in self._slots)
            repeats = sum(slot[2] for slot in self._slots)
        return repeats < REPEATS_FREE or repeats + 1 <= self._share * (firsts + repeats + 1)

    def tried(self, now: datetime, *, firsts: int = 0, repeats: int = 0) -> None:
        """So many attempts were made."""
        if self._share >= 1:
            return
        minute = int(now.timestamp()) // SLOT_S
        with self._guard:
            if not self._slots or self._slots[-1][0] != minute:
                self._slots.append([minute, 0, 0])
            self._slots[-1][1] += firsts
            self._slots[-1][2] += repeats

    def _forget(self, now: datetime) -> None:
        oldest = (int(now.timestamp()) - WINDOW_S) // SLOT_S
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
