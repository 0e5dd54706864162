"""What people ask of an edge: how much waits, since when, what the centre said; and to try dead letters again.

Read from the queue's file, whether the process runs or not.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from interlock.domain.errors import InvalidValue
from interlock.edge.queue import QueueBroken
from interlock.edge.queue_file import BUSY_S

DEAD_SHOWN_MAX = 50
AGAIN = "again"


def status(path: Path, now: datetime | None = None) -> dict[str, Any]:
    """How it stands: waiting items and bytes, the oldest, streams, dead letters, the last word of the centre.

    Raises InvalidValue where there is no queue, QueueBroken where it cannot be read.
    """
    now = now or datetime.now(UTC)
    with closing(_open(path)) as db:
        try:
            items, size = db.execute(
                "select count(*), coalesce(sum(bytes), 0) from items where state = 'waiting'"
            ).fetchone()
            oldest = db.execute("select queued_at from items where state = 'waiting' order by place limit 1").fetchone()
            streams = db.execute(
                "select stream, count(*) from items where state = 'waiting' group by stream order by count(*) desc limit 50"
            ).fetchall()
            (dead,) = db.execute("select count(*) from items where state = 'dead'").fetchone()
            letters = db.execute(
                "select place, stream, path, key, queued_at, attempts, said from items where state = 'dead'"
                " order by place desc limit ?",
                (DEAD_SHOWN_MAX,),
            ).fetchall()
            notes = dict(db.execute("select name, text from notes").fetchall())
        except sqlite3.Error as error:
            raise QueueBroken(f"{path}: {error}") from error
    names = ("place", "stream", "path", "key", "queued_at", "attempts", "said")
    return {
        "waiting": items,
        "bytes": size,
        "oldest": oldest[0] if oldest else None,
        "oldest_s": _age_s(oldest[0], now) if oldest else None,
        "streams": dict(streams),
        "dead": dead,
        "dead_letters": [dict(zip(names, row, strict=True)) for row in letters],
        "last_error": notes.get("last_error") or None,
        "last_error_at": notes.get("last_error_at"),
        "last_forwarded_at": notes.get("last_forwarded_at"),
        "put_aside": notes.get("put_aside"),
    }


def again(path: Path, places: list[int]) -> int:
    """Have dead letters tried again, all or those at the places given; gives how many. Raises as `status` does."""
    with closing(_open(path)) as db:
        try:
            db.execute("begin immediate")
            changed = 0
            sql = "update items set state = 'waiting', attempts = 0 where state = 'dead'"
            if places:
                for place in places:
                    changed += db.execute(f"{sql} and place = ?", (place,)).rowcount
            else:
                changed = db.execute(sql).rowcount
            db.execute(
                "insert into notes values (?, ?) on conflict (name) do update set text = excluded.text",
                (AGAIN, uuid4().hex),
            )
            db.execute("commit")
        except sqlite3.Error as error:
            raise QueueBroken(f"{path}: {error}") from error
        return changed


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise InvalidValue("directory", str(path.parent), "the directory of an edge, with its queue.db")
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)


def _age_s(text: str, now: datetime) -> float:
    """Never negative, even where the clock was set back since."""
    return max(0.0, (now - datetime.fromisoformat(text)).total_seconds())
