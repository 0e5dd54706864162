"""What was put away because it could not be read or processed, and what became of it when it was tried again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from interlock.storage.arrays import Ints, SmallInts, Texts, Times
from interlock.storage.database import Transaction, queries
from interlock.storage.history import Kept

q = queries(__file__)


class Wanted(NamedTuple):
    """Which are meant: of these systems (none: of all), with this text in their reason, received since then."""

    systems: tuple[str, ...] = ()
    reason: str | None = None
    since: datetime | None = None


class Mended(NamedTuple):
    """The exception of one that was taken after all, and what to write there."""

    part: int
    subject: str
    exception_id: str
    evidence: str


def put_away_many(tx: Transaction, wanted: Wanted, after: UUID | None, limit: int) -> list[Kept]:
    """Quarantined messages that still wait for a person, after a given one, the oldest first."""
    rows = tx.query(
        q.put_away_many,
        systems=list(wanted.systems) or None,
        reason=wanted.reason,
        since=wanted.since,
        after=after,
        limit=limit,
    )
    return [Kept(*row) for row in rows]


def firsts_many(tx: Transaction, further: Sequence[tuple[Kept, str]]) -> dict[UUID, Kept]:
    """The message with a document's bytes, for further records of it: each given with the document's place."""
    rows = tx.query(
        q.firsts_many,
        places=Ints(range(len(further))),
        systems=Texts([kept.system for kept, _ in further]),
        times=Times([kept.received_at for kept, _ in further]),
        records=Texts([record for _, record in further]),
    )
    return {further[place][0].message_id: Kept(*row) for place, *row in reversed(rows)}


def exception_id(kept: Kept) -> str:
    """Under which the exceptions of its subject have it."""
    return f"quarantined/{(kept.reason or '').partition(': ')[0]}"


def close_many(tx: Transaction, mended: Sequence[Mended], now: datetime) -> int:
    """Close the exceptions of what was taken after all; gives how many were still open."""
    ordered = sorted(mended)
    return len(
        tx.query(
            q.close_many,
            now=now,
            parts=SmallInts([each.part for each in ordered]),
            subjects=Texts([each.subject for each in ordered]),
            exception_ids=Texts([each.exception_id for each in ordered]),
            evidence=Texts([each.evidence for each in ordered]),
        )
    )
