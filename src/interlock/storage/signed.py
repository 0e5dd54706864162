"""Signed requests: when one came first, and how many were refused.

A refused request leaves nothing but a count: whoever floods us with forged ones must not fill the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from interlock.domain.estate import Duty
from interlock.domain.values import SystemId, part_of
from interlock.storage.arrays import BigInts, SmallInts, Texts, Times
from interlock.storage.clocks import Slot
from interlock.storage.database import Transaction, queries

q = queries(__file__)

REFUSALS_MIN = 10
WINDOW_S = 900
KEPT_S = 604_800
TOUCHED_EVERY_S = 60


class Refusals(NamedTuple):
    """How many signatures were refused in a slot, and what was wrong with the last one, when."""

    times: int
    last_why: str
    last_at: datetime


def first_seen_many(tx: Transaction, keys: Sequence[tuple[SystemId, str]]) -> list[datetime | None]:
    """When each request key (system, key) came first; None where it did not come yet."""
    rows = tx.query(
        q.first_seen_many,
        parts=SmallInts([part_of(f"{system}/{key}") for system, key in keys]),
        systems=Texts([system for system, _ in keys]),
        keys=Texts([key for _, key in keys]),
    )
    return [row[0] for row in rows]


def refused_many(tx: Transaction, refused: Mapping[Slot, Refusals]) -> None:
    """Add refusals that were counted, by slot."""
    tx.execute(
        q.refused_many,
        parts=SmallInts([part_of(slot.system) for slot in refused]),
        systems=Texts([slot.system for slot in refused]),
        slots=Times([slot.starts_at for slot in refused]),
        refusals=BigInts([refusals.times for refusals in refused.values()]),
        whys=Texts([refusals.last_why for refusals in refused.values()]),
        last_at=Times([refusals.last_at for refusals in refused.values()]),
    )


def alarm_many(tx: Transaction, part: int, now: datetime, duty: Duty) -> int:
    """Open `bad_signature` for systems of the part with many refusals of late; drop counts older than a week.

    Gives how many exceptions were opened or seen again.
    """
    tx.execute(q.forget_many, part=part, before=now - timedelta(seconds=KEPT_S))
    return tx.execute(
        q.alarm_many,
        part=part,
        now=now,
        since=now - timedelta(seconds=WINDOW_S),
        owner=duty.owner,
        due_at=now + timedelta(seconds=duty.within_s),
        refusals_min=REFUSALS_MIN,
        touched_before=now - timedelta(seconds=TOUCHED_EVERY_S),
    )
