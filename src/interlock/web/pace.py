"""How fast a system may call: a bucket of tokens for each, filled at `limits.inbound_per_s` up to `limits.inbound_burst`.

In the memory of each process: with several that share a port, a system may call as often at each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from time import monotonic

import msgspec

from interlock.domain.estate import System
from interlock.domain.values import SystemId
from interlock.web.problems import ProblemRaised


class _Bucket(msgspec.Struct):
    tokens: float
    filled_at: float


class Pace:
    """The buckets of all systems that have a limit; `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[SystemId, _Bucket] = {}

    def take(self, system: System) -> None:
        """One request of the system. Raises a 429 problem that says when to come again."""
        per_s, burst = system.limits.inbound_per_s, float(system.limits.inbound_burst)
        if per_s is None:
            return
        now = self._clock()
        bucket = self._buckets.get(system.id)
        if bucket is None:
            bucket = self._buckets[system.id] = _Bucket(burst, now)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled_at) * per_s)
        bucket.filled_at = now
        if bucket.tokens < 1:
            detail = (
                f"{system.id} may send {per_s:g} requests a second, {system.limits.inbound_burst} at once "
                "(limits.inbound_per_s and limits.inbound_burst in the estate); nothing of this one was read"
            )
            wait_s = max(1, ceil((1 - bucket.tokens) / per_s))
            raise ProblemRaised(429, "too_many_requests", detail, headers={"Retry-After": str(wait_s)})
        bucket.tokens -= 1
