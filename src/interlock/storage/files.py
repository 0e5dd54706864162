"""Files that were dropped: known by their bytes, so that the same file twice is applied once."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from interlock.domain.values import SystemId, part_of
from interlock.storage.database import Transaction, queries

q = queries(__file__)


class KnownFile(NamedTuple):
    """A file by its bytes: the name it first came under, and when; not finished while rows are still taken in."""

    name: str
    received_at: datetime
    finished_at: datetime | None
    times_seen: int


def take(
    tx: Transaction,
    *,
    system: SystemId,
    sha256: str,
    name: str,
    records_kind: str,
    size_bytes: int,
    now: datetime,
) -> KnownFile:
    """Note that these bytes came in, and give what is known of them; finished ones are counted as seen again."""
    rows = tx.query(
        q.take,
        part=part_of(sha256),
        sha256=sha256,
        system=system,
        name=name,
        records_kind=records_kind,
        bytes=size_bytes,
        now=now,
    )
    return KnownFile(*rows[0])


def look(tx: Transaction, *, system: SystemId, sha256: str) -> KnownFile | None:
    """What is known of these bytes, if they ever came."""
    rows = tx.query(q.look, part=part_of(sha256), system=system, sha256=sha256)
    return KnownFile(*rows[0]) if rows else None


def finish(
    tx: Transaction,
    *,
    system: SystemId,
    sha256: str,
    rows: int,
    rows_rejected: int,
    records: int,
    now: datetime,
) -> bool:
    """Every row has an outcome now. False where that was known already."""
    return (
        tx.execute(
            q.finish,
            part=part_of(sha256),
            system=system,
            sha256=sha256,
            rows=rows,
            rows_rejected=rows_rejected,
            records=records,
            now=now,
        )
        == 1
    )


def forget(tx: Transaction, *, system: SystemId, sha256: str) -> None:
    """Nothing of a file that was begun was applied: it may come again, as if for the first time."""
    tx.execute(q.forget, part=part_of(sha256), system=system, sha256=sha256)
