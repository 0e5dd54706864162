"""The file of the edge's queue: its tables, and how it is opened."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import Final

BUSY_S: Final = 10.0

TABLES: Final = """
-- One row for each thing to forward, in the order of its place. Streams keep their order; `dead` was refused for good.
create table if not exists items (
    place     integer primary key autoincrement,
    stream    text    not null,
    key       text    not null unique,              -- its Idempotency-Key at the centre
    path      text    not null,
    headers   text    not null,                     -- JSON
    body      blob    not null,
    digest    blob    not null,                     -- of path and body
    bytes     integer not null,
    queued_at text    not null,
    state     text    not null default 'waiting' check (state in ('waiting', 'dead')),
    attempts  integer not null default 0,
    said      text    not null default ''           -- what the centre said last
) strict;
create index if not exists items_waiting on items (stream, place) where state = 'waiting';
create index if not exists items_dead on items (place) where state = 'dead';
create table if not exists notes (
    name text primary key,
    text text not null
) strict, without rowid;
"""
INSERT: Final = (
    "insert into items (place, stream, key, path, headers, body, digest, bytes, queued_at)"
    " values (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a queue's file, whose tables are made if they are not there. Raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("pragma auto_vacuum = incremental")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("pragma journal_size_limit = 67108864")
        if not db.execute("select 1 from sqlite_schema where name = 'notes'").fetchone():
            db.executescript(f"begin immediate; {TABLES}; commit")
    except BaseException:
        db.close()
        raise
    return db


def digest_of(path: str, body: bytes) -> bytes:
    """The digest of an address and a body."""
    return blake2b(path.encode() + b"\0" + body, digest_size=16).digest()
