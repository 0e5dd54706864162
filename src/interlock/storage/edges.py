"""What the edges of stores said last of what waits there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from interlock.domain.values import SystemId, part_of
from interlock.storage.arrays import BigInts, SmallInts, Texts, Times
from interlock.storage.database import Transaction, queries

q = queries(__file__)


class EdgeId(NamedTuple):
    """An edge: the system that it speaks for, and its name."""

    system: SystemId
    name: str


class EdgeReport(NamedTuple):
    """How many items wait at an edge behind the one that it sent at `seen_at`, which it had taken at `oldest_at`."""

    waiting: int
    oldest_at: datetime | None
    seen_at: datetime


def save_many(tx: Transaction, seen: Mapping[EdgeId, EdgeReport]) -> None:
    """Keep the newest report of each edge."""
    tx.execute(
        q.save_many,
        parts=SmallInts([part_of(f"{edge.system}/{edge.name}") for edge in seen]),
        systems=Texts([edge.system for edge in seen]),
        names=Texts([edge.name for edge in seen]),
        waiting=BigInts([report.waiting for report in seen.values()]),
        oldest_at=Times([report.oldest_at for report in seen.values()]),
        seen_at=Times([report.seen_at for report in seen.values()]),
    )


def waiting(tx: Transaction, part: int) -> dict[EdgeId, EdgeReport]:
    """The edges of a part where something waited when they were heard last; one that is named as a store is in its part."""
    rows = tx.query(q.waiting, part=part)
    return {EdgeId(SystemId(row[0]), row[1]): EdgeReport(*row[2:]) for row in rows}
