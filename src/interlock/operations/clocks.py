"""Is a system's clock right? Judged by its own messages, shown to people, told as the exception `clock_skew`.

A lag is when a message came less when it says that it was sent, or that its fact happened. A message is never early, so a
negative lag is a clock ahead of ours. It may be late for many reasons, so the *least* lag of many messages is what is left
of the clock: where even that is large, the clock is behind, or all that the system sends is late.

Nothing is decided by these clocks: messages count in the order in which they came (docs/clocks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from interlock.domain.estate import Estate, System
from interlock.domain.values import SystemId, part_of
from interlock.storage import clocks as store
from interlock.storage import contract_use
from interlock.storage.clocks import Lags
from interlock.storage.database import Database, Transaction

MESSAGES_BEHIND_MIN = 20

Verdict = Literal["right", "ahead", "behind", "unknown"]


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """A system's clock by what it sent in its last quarter of an hour, seconds; no figures where it stated no time yet.

    `skew_s` is the estimate: the least lag, negative where the clock is ahead.
    """

    system: SystemId
    verdict: Verdict
    tolerance_s: float
    skew_s: float | None = None
    lag_max_s: float | None = None
    messages: int = 0
    since: datetime | None = None
    last_at: datetime | None = None


def judge(lags: Lags, tolerance_s: float) -> Verdict:
    """What the lags say of the clock. Behind takes many messages to say: a few may simply be late."""
    if lags.lag_min_s < -tolerance_s:
        return "ahead"
    if lags.lag_min_s > tolerance_s:
        return "behind" if lags.messages >= MESSAGES_BEHIND_MIN else "unknown"
    return "right"


def clocks(db: Database, estate: Estate) -> list[Clock]:
    """The clock of every system, in the order of the estate."""
    known = {lags.system: lags for lags in db.transaction(lambda tx: store.read_many(tx, list(estate.systems)))}
    return [_clock(system, known.get(system.id)) for system in estate.systems.values()]


class ClockWatch:
    """The worker's chore: opens `clock_skew` where a clock is wrong, and closes it where it is right again."""

    def __init__(self, estate: Estate) -> None:
        self._duty = estate.duty("clock_skew")
        self._systems: dict[int, list[System]] = {}
        for system in estate.systems.values():
            self._systems.setdefault(part_of(system.id), []).append(system)

    def __call__(self, tx: Transaction, part: int, now: datetime) -> int:
        """Look at the clocks of the part's systems; gives how many exceptions were opened, seen again or closed."""
        systems = self._systems.get(part)
        if not systems:
            return 0
        store.forget_many(tx, part, now)
        contract_use.forget_many(tx, part, now)
        return self._tell(tx, part, now, systems)

    def _tell(self, tx: Transaction, part: int, now: datetime, systems: Sequence[System]) -> int:
        by_id = {system.id: system for system in systems}
        wrong: dict[SystemId, tuple[str, datetime]] = {}
        right: dict[SystemId, str] = {}
        for lags in store.read_many(tx, list(by_id)):
            tolerance_s = by_id[lags.system].clock_tolerance_s
            verdict = judge(lags, tolerance_s)
            if verdict in ("ahead", "behind"):
                wrong[lags.system] = (explanation(lags, verdict, tolerance_s), lags.last_at)
            elif verdict == "right":
                right[lags.system] = (
                    f"{_counted(lags)} up to {_minute(lags.last_at)}: the least lag is {lags.lag_min_s:.1f} s, within "
                    f"{tolerance_s:g} s"
                )
        told = store.open_many(tx, part, wrong, now, self._duty) if wrong else 0
        return told + (store.close_many(tx, part, right, now) if right else 0)


def explanation(lags: Lags, verdict: Verdict, tolerance_s: float) -> str:
    """What is wrong with a clock, in a sentence with its figures."""
    figures = f"{_counted(lags)} from {_minute(lags.since)} to {_minute(lags.last_at)}, tolerance {tolerance_s:g} s"
    if verdict == "ahead":
        return f"the clock of {lags.system} is {-lags.lag_min_s:.1f} s ahead of ours or more ({figures})"
    return (
        f"the clock of {lags.system} is {lags.lag_min_s:.1f} s behind ours, or all that it sends is at least so late "
        f"({figures})"
    )


def _clock(system: System, lags: Lags | None) -> Clock:
    if lags is None:
        return Clock(system=system.id, verdict="unknown", tolerance_s=system.clock_tolerance_s)
    return Clock(
        system=system.id,
        verdict=judge(lags, system.clock_tolerance_s),
        tolerance_s=system.clock_tolerance_s,
        skew_s=lags.lag_min_s,
        lag_max_s=lags.lag_max_s,
        messages=lags.messages,
        since=lags.since,
        last_at=lags.last_at,
    )


def _counted(lags: Lags) -> str:
    return "1 message" if lags.messages == 1 else f"{lags.messages} messages"


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%MZ")
