"""A queue's file that is not whole: put aside under another name, and what can be read of it queued again.

What was forwarded already may come to light again with it; the centre's ledger answers that as a duplicate.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from interlock.edge.queue_file import INSERT, connect, digest_of

BROKEN: Final = "queue-broken-"
ROWS: Final = (
    "select place, stream, key, path, headers, body, digest, bytes, queued_at, state, attempts, said from items"
)

log = structlog.get_logger(__name__)


def mend(path: Path) -> Path | None:
    """Check a queue's file; None where it is whole or not there, else where the broken one lies now.

    May be killed anywhere and is then done again: the new file appears when it holds all that could be read.
    """
    _undo_half(path)
    if path.exists():
        if (trouble := _trouble(path)) is None:
            return None
        aside = path.with_name(f"{BROKEN}{datetime.now(UTC):%Y%m%dT%H%M%S%f}.db")
        for suffix in ("-shm", "-wal", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    elif left := sorted(path.parent.glob(f"{BROKEN}*.db")):
        aside, trouble = left[-1], "it was being put aside when the process ended"
    else:
        return None
    half = path.with_name("queue-new.db")
    for suffix in ("-shm", "-wal", ""):
        half.with_name(half.name + suffix).unlink(missing_ok=True)
    found = _copy(aside, half, trouble)
    half.rename(path)
    log.error("queue_put_aside", file=str(aside), trouble=trouble, queued_again=found)
    return aside


def _undo_half(path: Path) -> None:
    """A log that was put aside without its file goes back: without it the file would have forgotten the newest."""
    for suffix in ("-shm", "-wal"):
        for moved in path.parent.glob(f"{BROKEN}*.db{suffix}"):
            if not moved.with_name(moved.name.removesuffix(suffix)).exists() and path.exists():
                moved.rename(path.with_name(path.name + suffix))


def _copy(aside: Path, half: Path, trouble: str) -> int:
    found = 0
    with closing(connect(half)) as new:
        new.execute("begin immediate")
        for row in _readable(aside):
            place, stream, key, address, headers, body, digest, size, queued_at, state, attempts, said = row
            with suppress(sqlite3.IntegrityError):
                new.execute(INSERT, (place, stream, key, address, headers, body, digest, size, queued_at))
                found += 1
                new.execute(
                    "update items set state = ?, attempts = ?, said = ? where place = ?", (state, attempts, said, place)
                )
        note = f"{aside.name}: {trouble}; {found} items of it were queued again"
        new.execute("insert into notes values ('put_aside', ?)", (note,))
        new.execute("commit")
    return found


def _trouble(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            said = str(db.execute("pragma quick_check(1)").fetchone()[0])
            db.execute("select place, digest, said from items limit 1").fetchall()
            db.execute("select name, text from notes limit 1").fetchall()
            return None if said == "ok" else " ".join(said.split())
    except sqlite3.DatabaseError as error:
        return str(error)


def _readable(path: Path) -> Iterator[tuple[Any, ...]]:
    """The items that can be read and are what they were: from the first on, and from the last back."""
    seen: set[int] = set()
    for direction in ("asc", "desc"):
        with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path, isolation_level=None)) as db:
            for row in db.execute(f"{ROWS} not indexed order by place {direction}"):
                if row[0] in seen:
                    continue
                seen.add(row[0])
                if _is_sound(row):
                    yield row


def _is_sound(row: tuple[Any, ...]) -> bool:
    place, stream, key, address, headers, body, digest, size, queued_at, state, _, said = row
    texts = (stream, key, address, headers, queued_at, said)
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(place, int)
        and isinstance(body, bytes)
        and state in ("waiting", "dead")
        and size == len(body)
        and digest == digest_of(address, body)
    )
