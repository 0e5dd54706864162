"""A table or view in somebody's SQL database is read for what is new, and remembered how far it was taken.

    source = TableSource(inlet, link, db)
    source.run(stop)                # every `every_s`, until the event is set; in a thread of its own
    source.poll(stop)               # one round: gives what it took

Rows are read in the order of the key, or of `changed` and the key, from the last one on (keyset, never OFFSET). A transaction
over there may commit after one with a greater key was read: so each round begins at the row that was the last one `overlap_s`
before the round before it. Rows that were taken already are known by their content and left out; the ledger knows what slips
through.

Nothing is written over there: the transaction is read-only, and each statement has a time limit. Names come from the estate and
are quoted by SQLAlchemy; values are bound.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from interlock.connectors.inlet import Inlet, Origin
from interlock.domain.errors import InterlockError, StorageError
from interlock.domain.links import TableIn
from interlock.storage.database import Database
from interlock.storage.link_positions import NotHeld, Position, Tenure

STATEMENT_S_MAX: Final = 30
CONNECT_S_MAX: Final = 10
ROUNDS_MAX: Final = 50
SEEN_MAX: Final = 5_000
TROUBLE_PAUSE_S: Final = 5.0

log = structlog.get_logger(__name__)


class TableUnreadable(InterlockError):
    """The table cannot be read as the estate says; names the table or column, and what there is."""


class Round(msgspec.Struct, kw_only=True):
    """What one round took. `known` of the rows were the very same ones as before. `more`: there is more at once."""

    rows: int = 0
    known: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    more: bool = False


class TableSource:
    """One link to one table. `run` or `poll` in one thread at a time."""

    def __init__(
        self,
        inlet: Inlet,
        link: TableIn,
        db: Database,
        *,
        environment: Mapping[str, str] = os.environ,
        trouble_pause_s: float = TROUBLE_PAUSE_S,
    ) -> None:
        self.inlet, self.link = inlet, link
        self._trouble_pause_s = trouble_pause_s
        self._system = inlet.translator.system
        self._zone = ZoneInfo(self._system.time_zone)
        self.name = link.name or link.table
        self._tenure = Tenure(db, self._system.id, f"table:{self.name}", held_s=4.0 * STATEMENT_S_MAX)
        self._environment = environment
        self._engine: sa.Engine | None = None
        self._table: sa.Table | None = None

    def run(self, stop: threading.Event) -> None:
        """Read every `every_s` until the event is set; a database that is away, theirs or ours, is waited for."""
        try:
            while not stop.is_set():
                pause_s = self.link.every_s
                try:
                    done = self.poll(stop)
                    if done is not None and done.rows > done.known:
                        log.info("table_round", **self._names(), rows=done.rows, outcomes=dict(done.outcomes))
                except (StorageError, SQLAlchemyError, TableUnreadable) as error:
                    log.warning("table_waits", **self._names(), error=_said(error))
                    pause_s = max(self._trouble_pause_s, min(pause_s, 60.0))
                except Exception:  # one table that holds something unheard of ends no thread
                    log.exception("table_failed", **self._names())
                stop.wait(pause_s)
        finally:
            self.close()

    def poll(self, stop: threading.Event) -> Round | None:
        """One round, in reads of `rows_max`; None where another process reads this link.

        Raises what either database raises, and TableUnreadable: what was taken by then stays, the rest comes again.
        """
        position = self._tenure.hold(datetime.now(UTC))
        if position is None:
            return None
        done = Round()
        table = self._reflected()
        for _ in range(ROUNDS_MAX):
            began = datetime.now(UTC)
            with self._reading() as connection:
                rows = connection.execute(self._select(table, position)).mappings().fetchall()
            done.more = len(rows) == self.link.rows_max
            try:
                position = self._take([dict(row) for row in rows], position, began, done)
            except NotHeld:
                return done
            if not done.more or stop.is_set():
                break
        return done

    def close(self) -> None:
        """End the connection, and let another process read."""
        if self._engine is not None:
            self._engine.dispose()
        try:
            self._tenure.release()
        except StorageError as error:
            log.info("table_not_released", link=self.name, error=str(error))

    # Reading

    def _reflected(self) -> sa.Table:
        """The table with its columns, as that database describes it."""
        if self._table is not None:
            return self._table
        schema, _, name = self.link.table.rpartition(".")
        with self._reading() as connection:
            try:
                table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=connection)
            except sa.exc.NoSuchTableError as error:
                raise TableUnreadable(f"{self.link.table}: there is no such table or view over there") from error
        wanted = [*self.link.key, *([self.link.changed] if self.link.changed else []), *self.link.columns]
        missing = [each for each in wanted if each not in table.c]
        if missing:
            raise TableUnreadable(
                f"{self.link.table} has no column {', '.join(missing)}; it has {', '.join(table.c.keys())}"
            )
        self._table = table
        return table

    def _select(self, table: sa.Table, position: Position) -> sa.Select[Any]:
        key = [table.c[name] for name in self.link.key]
        by = [table.c[self.link.changed], *key] if self.link.changed else key
        wanted = [*by, *(table.c[name] for name in self.link.columns)] if self.link.columns else list(table.c)
        names = dict.fromkeys(column.name for column in wanted)
        query = sa.select(*(table.c[name] for name in names)).order_by(*by).limit(self.link.rows_max)
        if self.link.changed:
            query = query.where(table.c[self.link.changed].is_not(None))
        start = _start(position, self.link.overlap_s)[1]
        if start is not None:
            query = query.where(_after(by, [_bound(column, value) for column, value in zip(by, start, strict=True)]))
        return query

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """A read-only transaction with a time limit for each statement."""
        if self._engine is None:
            self._engine = sa.create_engine(self._url(), **_engine_options(self._url()))
        with self._engine.connect() as connection:
            for statement in _LIMITS[self._engine.dialect.name]:
                connection.execute(sa.text(statement))
            yield connection
            connection.rollback()

    def _url(self) -> sa.URL:
        given = self._environment.get(self.link.url_env, "").strip()
        if not given:
            raise TableUnreadable(
                f"{self.link.url_env}: this environment variable is not set; expected the database's address"
            )
        try:
            url = sa.make_url(given)
        except sa.exc.ArgumentError:
            raise TableUnreadable(
                f"{self.link.url_env}: expected an address like mariadb://user:password@host/name"
            ) from None
        driver = _DRIVERS.get(url.get_backend_name())
        if driver is None:
            raise TableUnreadable(f"{self.link.url_env}: {url.get_backend_name()} is none of {', '.join(_DRIVERS)}")
        return url.set(drivername=driver)

    # Taking

    def _take(self, rows: list[dict[str, Any]], position: Position, began: datetime, done: Round) -> Position:
        """Hand over rows; when each has its outcome, the position is moved."""
        now = datetime.now(UTC)
        seen: dict[str, str] = dict(position.get("seen") or [])
        known = set(seen)
        messages: list[tuple[bytes, Origin]] = []
        for row in rows:
            body = msgspec.json.encode({name: self._plain(value) for name, value in row.items()})
            digest = sha256(body).hexdigest()[:16]
            if digest in known:
                done.known += 1
                continue
            seen[digest] = now.isoformat()
            name = "/".join(str(self._plain(row[each])) for each in self.link.key)[:200]
            context = {"table": self.link.table, "link": self.link.name}
            messages.append((body, Origin(name=self.name, received_at=now, source_message_id=name, context=context)))
        for taken in self.inlet.take_many(messages):
            done.outcomes.update(taken.outcomes)
        done.rows += len(rows)
        return self._move(rows, position, seen, began, now, more=done.more)

    def _move(
        self,
        rows: Sequence[dict[str, Any]],
        position: Position,
        seen: dict[str, str],
        began: datetime,
        now: datetime,
        *,
        more: bool,
    ) -> Position:
        """Write down how far it is. `trail` says which row was the last one at which time; `began` is when this read did."""
        by = ([self.link.changed] if self.link.changed else []) + list(self.link.key)
        trail: list[list[Any]] = list(position.get("trail") or [])
        if rows:
            last = [_kept(rows[-1][name]) for name in by]
            if not trail or trail[-1][1] != last:
                trail.append([now.isoformat(), last])
        moved: Position = {"trail": trail, "settled": not more, "began": began.isoformat(), "seen": list(seen.items())}
        start = _start({**moved, "settled": True}, self.link.overlap_s)
        if start[0]:
            moved["trail"] = [each for each in trail if each[0] >= start[0]]
            moved["seen"] = [[digest, at] for digest, at in seen.items() if at > start[0]]
        moved["seen"] = moved["seen"][-SEEN_MAX:]
        # A table where nothing happens is not written down again and again: its trail is one row long.
        if rows or len(position.get("trail") or []) > 1 or position.get("settled") != moved["settled"]:
            self._tenure.move(moved, now)
            return moved
        if self._tenure.hold(now) is None:
            raise NotHeld(f"{self.name}: another process reads it now")
        return position

    def _plain(self, value: Any) -> Any:
        """A value of a column as JSON has it; a time without a zone is the system's."""
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=self._zone)).isoformat()
        if isinstance(value, Decimal):
            return format(value, "f")
        if isinstance(value, bytes | bytearray | memoryview):
            data = bytes(value)
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError:
                return data.hex()
        if isinstance(value, timedelta):
            return (datetime.min + value).time().isoformat() if timedelta() <= value < timedelta(days=1) else str(value)
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, dict):
            return {str(name): self._plain(each) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(each) for each in value]
        if value is None or isinstance(value, str | int | float | bool):
            return value
        return str(value)

    def _names(self) -> dict[str, str]:
        return {"system": self._system.id, "link": self.name}


_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql", "mysql": "mysql+pymysql"}
_LIMITS: Final[dict[str, tuple[str, ...]]] = {
    "postgresql": (f"set local statement_timeout = '{STATEMENT_S_MAX}s'", "set transaction read only"),
    "mariadb": (f"set session max_statement_time = {STATEMENT_S_MAX}",),
    "mysql": (f"set session max_execution_time = {STATEMENT_S_MAX * 1000}",),
}


def _engine_options(url: sa.URL) -> dict[str, Any]:
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_pre_ping": True, "pool_recycle": 600}
    if url.get_backend_name() == "postgresql":
        return {**options, "connect_args": {"connect_timeout": CONNECT_S_MAX}}
    # Read committed: each read sees what was committed until then, not what was when the session began.
    limits = {"connect_timeout": CONNECT_S_MAX, "read_timeout": STATEMENT_S_MAX + 5}
    return {
        **options,
        "isolation_level": "READ COMMITTED",
        "connect_args": {**limits, "init_command": "set session transaction read only"},
    }


def _after(columns: Sequence[sa.ColumnElement[Any]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Rows behind these values: (a > 1) or (a = 1 and b > 2) …, which every database can answer from an index."""
    first, value = columns[0], values[0]
    behind: sa.ColumnElement[bool] = first > value
    if len(columns) == 1:
        return behind
    return sa.and_(first >= value, sa.or_(behind, _after(columns[1:], values[1:])))


def _kept(value: Any) -> Any:
    """A value as the position keeps it: with its kind, so that it comes back as what it was."""
    match value:
        case datetime():
            return {"at": value.isoformat()}
        case Decimal():
            return {"number": str(value)}
        case bytes() | bytearray():
            return {"bytes": bytes(value).hex()}
        case date():
            return {"day": value.isoformat()}
        case None | str() | int() | float():
            return value
        case _:
            return {"text": str(value)}


def _unkept(kept: Any) -> Any:
    match kept:
        case {"at": text}:
            return datetime.fromisoformat(text)
        case {"number": text}:
            return Decimal(text)
        case {"bytes": text}:
            return bytes.fromhex(text)
        case {"day": text}:
            return date.fromisoformat(text)
        case {"text": text}:
            return text
        case _:
            return kept


def _bound(column: sa.Column[Any], kept: Any) -> Any:
    value = _unkept(kept)
    return sa.cast(value, column.type) if isinstance(kept, dict) and "text" in kept else value


def _start(position: Position, overlap_s: float) -> tuple[str, list[Any] | None]:
    """Where the next read begins: when that row was the last one, and its values; None for the table's beginning."""
    trail: list[list[Any]] = position.get("trail") or []
    if not trail:
        return "", None
    if not position.get("settled"):
        return trail[-1][0], trail[-1][1]
    limit = datetime.fromisoformat(position["began"]) - timedelta(seconds=overlap_s)
    for at, last in reversed(trail):
        if datetime.fromisoformat(at) <= limit:
            return at, last
    return "", None


def _said(error: Exception) -> str:
    """An error without the statement and its values."""
    origin = getattr(error, "orig", None)
    return f"{type(error).__name__}: {origin or error}".splitlines()[0][:500]
