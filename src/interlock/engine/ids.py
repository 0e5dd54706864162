"""Message ids: UUIDs of version 7 (RFC 9562), so that their order is the order of arrival."""

from __future__ import annotations

import random
import threading
import time
from uuid import UUID

_last = 0
_one_at_a_time = threading.Lock()


def new_message_id() -> UUID:
    """Milliseconds since 1970, then chance; within a process each is greater than the one before."""
    global _last
    fresh = time.time_ns() // 1_000_000 << 80 | random.getrandbits(80)
    fresh = fresh & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    with _one_at_a_time:
        if fresh <= _last:
            # The same millisecond, or a clock that was set back: count on in the random bits.
            fresh = _last + 1
        _last = fresh
    return UUID(int=fresh)
