"""A circuit breaker: who fails again and again is left alone for a while, then asked once before it is trusted again.

Each process has its own, because it says what this process has seen of the receiver.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

FAILURES_MAX: Final = 5
PAUSE_FIRST_S: Final = 5.0
PAUSE_S_MAX: Final = 120.0


class Breaker:
    """Closed while all is well, open after `FAILURES_MAX` failures in a row, each time twice as long as before."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._failures = self._openings = 0
        self.open_until: datetime | None = None
        self.quiet_until: datetime | None = None

    def allows(self, now: datetime, wanted: int) -> int:
        """How many of the wanted messages may be tried: all, none while it is open, one after the pause."""
        with self._guard:
            if any(until is not None and now < until for until in (self.open_until, self.quiet_until)):
                return 0
            return min(wanted, 1) if self._failures >= FAILURES_MAX else wanted

    def succeeded(self) -> None:
        """The receiver took a message, or said clearly that it never will: it is there."""
        with self._guard:
            self._failures = self._openings = 0
            self.open_until = None

    def failed(self, now: datetime) -> None:
        """The receiver did not take a message and did not say why it never will."""
        with self._guard:
            self._failures += 1
            is_open = self.open_until is not None and now < self.open_until
            # Calls that were under way when it opened say nothing new.
            if self._failures >= FAILURES_MAX and not is_open:
                pause_s = min(PAUSE_S_MAX, PAUSE_FIRST_S * 2.0 ** min(self._openings, 10))
                self._openings += 1
                self.open_until = now + timedelta(seconds=pause_s)

    def asked_to_wait(self, now: datetime, after_s: float) -> None:
        """The receiver is there and wants nothing for so many seconds."""
        with self._guard:
            until = now + timedelta(seconds=after_s)
            if self.quiet_until is None or until > self.quiet_until:
                self.quiet_until = until
