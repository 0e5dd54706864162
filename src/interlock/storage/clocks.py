"""Clocks of the systems: how long after its stated time each live message came, and what is told to people of it.

Never a write for a message: the edge gathers in memory, and adds the least, the most and the count of each system and slot
in one statement a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from interlock.domain.estate import Duty
from interlock.domain.values import SystemId, part_of
from interlock.storage.arrays import BigInts, Numerics, SmallInts, Texts, Times
from interlock.storage.database import Transaction, queries

q = queries(__file__)

SLOT_S = 300
WINDOW_S = 900
KEPT_S = 604_800
TOUCHED_EVERY_S = 60


class Lags(msgspec.Struct, frozen=True, kw_only=True):
    """Lags of a system's messages in seconds, received less stated; `since` is when the first of them came, about."""

    system: SystemId
    messages: int
    lag_min_s: float
    lag_max_s: float
    since: datetime
    last_at: datetime


class Slot(NamedTuple):
    """Five minutes of one system; `starts_at` is their begin."""

    system: SystemId
    starts_at: datetime


def slot_of(system: SystemId, at: datetime) -> Slot:
    """The slot that a moment belongs to."""
    seconds = int(at.timestamp())
    return Slot(system, datetime.fromtimestamp(seconds - seconds % SLOT_S, UTC))


def add_many(tx: Transaction, seen: Mapping[Slot, Lags]) -> None:
    """Add lags that were gathered, by slot."""
    tx.execute(
        q.add_many,
        parts=SmallInts([part_of(slot.system) for slot in seen]),
        systems=Texts([slot.system for slot in seen]),
        slots=Times([slot.starts_at for slot in seen]),
        messages=BigInts([lags.messages for lags in seen.values()]),
        lag_min_s=Numerics([_exact(lags.lag_min_s) for lags in seen.values()]),
        lag_max_s=Numerics([_exact(lags.lag_max_s) for lags in seen.values()]),
        last_at=Times([lags.last_at for lags in seen.values()]),
    )


def read_many(tx: Transaction, systems: Sequence[SystemId]) -> list[Lags]:
    """Of each system the last quarter of an hour in which it stated a time; nothing of those that never did."""
    rows = tx.query(
        q.read_many,
        parts=SmallInts(sorted({part_of(system) for system in systems})),
        systems=Texts(systems),
        window_s=float(WINDOW_S),
    )
    return [
        Lags(system=row[0], messages=row[1], lag_min_s=row[2], lag_max_s=row[3], since=row[4], last_at=row[5])
        for row in rows
    ]


def forget_many(tx: Transaction, part: int, now: datetime) -> int:
    """Drop what is older than a week; gives how many slots that were."""
    return tx.execute(q.forget_many, part=part, before=now - timedelta(seconds=KEPT_S))


def open_many(
    tx: Transaction, part: int, wrong: Mapping[SystemId, tuple[str, datetime]], now: datetime, duty: Duty
) -> int:
    """Open `clock_skew` for systems of the part: the explanation, and when it was last seen. Gives how many rows changed."""
    return tx.execute(
        q.open_many,
        part=part,
        systems=Texts(list(wrong)),
        explanations=Texts([explanation for explanation, _ in wrong.values()]),
        seen_at=Times([seen_at for _, seen_at in wrong.values()]),
        owner=duty.owner,
        now=now,
        due_at=now + timedelta(seconds=duty.within_s),
        touched_before=now - timedelta(seconds=TOUCHED_EVERY_S),
    )


def close_many(tx: Transaction, part: int, right: Mapping[SystemId, str], now: datetime) -> int:
    """Close `clock_skew` of systems of the part, where it is open, on this evidence. Gives how many were closed."""
    return tx.execute(
        q.close_many, part=part, systems=Texts(list(right)), evidence=Texts(list(right.values())), now=now
    )


def _exact(seconds: float) -> Decimal:
    return Decimal(f"{seconds:.3f}")
