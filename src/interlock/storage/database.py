"""The door to PostgreSQL: a pool, the one owner of transactions, named queries, migrations.

    db = Database(dsn)
    migrate(db)
    standings = db.transaction(lambda tx: ledger.open_many(tx, commands))

Nothing else begins, commits or retries. Storage functions are handed a `Transaction` and run the statements
of the `.sql` file beside their module:

    q = queries(__file__)        # at import; a name that the module uses and the file lacks is an error here
    rows = tx.query(q.open_many, keys=Texts(keys))

Besides the errors of `interlock.domain.errors`, two that only a programmer meets: `QueryFileError` when a
`.sql` file and its module do not fit, `MigrationFailed` when PostgreSQL refuses a migration.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import msgspec
import psycopg
import psycopg_pool
from psycopg import conninfo
from psycopg.types.json import set_json_loads

from interlock.domain.errors import (
    DatabaseIsNewer,
    DatabaseUnavailable,
    MigrationChanged,
    StorageError,
    TransactionConflict,
)
from interlock.storage import arrays  # noqa: F401 - importing it teaches psycopg our arrays
from interlock.storage.queries import Queries as Queries
from interlock.storage.queries import Query as Query
from interlock.storage.queries import QueryFileError as QueryFileError
from interlock.storage.queries import queries as queries

T = TypeVar("T")
Row = tuple[Any, ...]
Phase = Literal["pre", "post"]

IDLE_IN_TRANSACTION_S_MAX: Final = 60
CONNECTION_WAIT_S_MAX: Final = 30.0
RETRY_FIRST_S: Final = 0.01
RETRY_S_MAX: Final = 2.0
STATEMENTS_PREPARED_MAX: Final = 400
MIGRATIONS: Final = Path(__file__).parent / "migrations"


class MigrationFailed(StorageError):
    """A migration has no proper name, or PostgreSQL refused a statement: nothing of the file was kept."""


class Database:
    """A pool of sessions on one PostgreSQL, whether embedded or given by URL.

    Sessions speak UTC, commit synchronously (never less than `synchronous_commit = on`), give up an idle
    transaction after a minute, and, over TCP, notice a dead peer within about four seconds.
    Safe to share between threads; after a fork, the child opens its own.
    """

    def __init__(self, dsn: str, *, pool_max: int = 8, application_name: str = "interlock") -> None:
        self.dsn = dsn
        self._pool = psycopg_pool.ConnectionPool(
            _session_dsn(dsn, application_name),
            connection_class=psycopg.Connection[Row],
            kwargs={"prepare_threshold": 1},
            min_size=min(1, pool_max),
            max_size=pool_max,
            timeout=CONNECTION_WAIT_S_MAX,
            configure=_configure,
            name=application_name,
            open=False,
        )
        self._pool.open()

    def transaction(
        self, work: Callable[[Transaction], T], *, retries_max: int = 8, retry_busy_locks: bool = False
    ) -> T:
        """Begin, run `work(tx)`, commit, and give back what it returned; the only place where these happen.

        A serialization failure, a deadlock or a lost connection rolls everything back and runs `work` again,
        up to `retries_max` times with a growing, jittered pause: `work` must be repeatable, so it touches
        nothing but `tx`. With `retry_busy_locks` a lock that was not free in time (`nowait`, `lock_timeout`)
        counts as such too.

        A connection that dies during commit leaves open whether the commit was done. Running `work` again is
        right in both cases, because every action of it is in the ledger: what was committed is answered as
        "the same".

        Raises DatabaseUnavailable or TransactionConflict when the attempts are used up; any other error of
        `work` or of the database is passed on at once, after the rollback.
        """
        for attempt in range(retries_max + 1):
            try:
                return self._attempt(work)
            except psycopg.Error as error:
                trouble = _trouble(error, retry_busy_locks)
                if trouble is None:
                    raise
                if attempt == retries_max:
                    raise trouble(
                        f"the transaction failed {attempt + 1} times, last with {_said(error)}; "
                        + (
                            "other transactions hold the same rows: try again later, or with a smaller batch"
                            if trouble is TransactionConflict
                            else f"check that PostgreSQL runs and can be reached ({_where(self.dsn)})"
                        )
                    ) from error
                if trouble is DatabaseUnavailable:
                    self._pool.check()  # the server has probably gone for the idle sessions as well
            _pause(attempt)
        raise AssertionError(f"retries_max must be 0 or more, it is {retries_max}")

    def _attempt(self, work: Callable[[Transaction], T]) -> T:
        try:
            connection = self._pool.getconn()
        except psycopg_pool.PoolTimeout as error:
            raise DatabaseUnavailable(
                f"no session within {CONNECTION_WAIT_S_MAX:.0f} s from {_where(self.dsn)}: check that "
                f"PostgreSQL runs, "
                "that the URL is right and that the pool is large enough for the threads that share it"
            ) from error
        except psycopg_pool.PoolClosed as error:
            raise DatabaseUnavailable("this Database was closed; open another one") from error
        try:
            result = work(Transaction(connection))
            connection.commit()
            return result
        except BaseException as error:
            _roll_back(connection)
            if isinstance(error, psycopg.Error) and _session_is_stale(error):
                connection.close()  # the pool opens another one
            raise
        finally:
            self._pool.putconn(connection)

    def wait_until_ready(self, timeout_s: float = CONNECTION_WAIT_S_MAX) -> None:
        """Return when one session is open; raises DatabaseUnavailable after `timeout_s`."""
        try:
            self._pool.wait(timeout_s)
        except psycopg_pool.PoolTimeout as error:
            raise DatabaseUnavailable(
                f"no session within {timeout_s:.0f} s from {_where(self.dsn)}: check that PostgreSQL runs"
            ) from error

    def close(self) -> None:
        """Close all sessions; one that is still lent to another thread is closed when it comes back."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transaction:
    """One open transaction, lent to the storage functions; only `Database.transaction` begins and ends it."""

    __slots__ = ("_connection", "_pipeline")

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection
        self._pipeline: psycopg.Pipeline | None = None

    def query(self, sql: str, /, **params: Any) -> list[Row]:
        """Run a statement that answers with rows, and give all of them."""
        return self.send(sql, **params).rows()

    def execute(self, sql: str, /, **params: Any) -> int:
        """Run a statement and give the number of rows that it touched."""
        return self.send(sql, **params).count()

    @contextmanager
    def pipeline(self) -> Iterator[None]:
        """Statements sent inside do not wait for each other: one round trip for all that is `send`ed in a row.

        Reading a `Pending` sends what was gathered before it. When one statement fails, those after it are not run.
        """
        if self._pipeline is not None:
            yield
            return
        with self._connection.pipeline() as pipeline:
            self._pipeline = pipeline
            # The driver would talk to the server at each statement: both sides wake up a dozen times for one batch.
            pipeline._communicate_gen = _later  # type: ignore[method-assign]
            try:
                yield
                # All of it, and the first error, while we are still inside: leaving would tell of a later one.
                self._connection.wait(psycopg.Pipeline._communicate_gen(pipeline))
                self._connection.wait(pipeline._fetch_gen(flush=True))
            finally:
                self._pipeline = None
                del pipeline._communicate_gen

    def send(self, sql: str, /, **params: Any) -> Pending:
        """Send a statement and read its result later; outside of a `pipeline` it is run at once."""
        if isinstance(sql, Query):
            raw = psycopg.RawCursor(self._connection)
            raw.execute(sql.raw, [params[name] for name in sql.names] or None, binary=True)
            return Pending(raw, self._pipeline)
        cursor = self._connection.cursor(binary=True)
        cursor.execute(sql, params or None)
        return Pending(cursor, self._pipeline)

    def script(self, text: str) -> None:
        """Run a text of several statements, without parameters and results: migrations."""
        self._connection.execute(text, None, prepare=False)


class Pending:
    """The result of a statement that was sent; reading it waits for it, and raises its error."""

    __slots__ = ("_cursor", "_pipeline")

    def __init__(self, cursor: psycopg.Cursor[Row], pipeline: psycopg.Pipeline | None) -> None:
        self._cursor, self._pipeline = cursor, pipeline

    def rows(self) -> list[Row]:
        """All rows of the answer; to be read once."""
        self._talk()
        return self._cursor.fetchall()

    def count(self) -> int:
        """The number of rows that the statement touched."""
        self._talk()
        self._cursor._fetch_pipeline()
        return self._cursor.rowcount

    def _talk(self) -> None:
        """Send what was gathered up to now."""
        if self._pipeline is not None and self._pipeline.command_queue:
            pipeline = self._pipeline
            self._cursor.connection.wait(psycopg.Pipeline._communicate_gen(pipeline))


def _later() -> Generator[Any, Any, None]:
    yield from ()


def migrate(db: Database, *, phases: tuple[Phase, ...] = ("pre", "post"), folder: Path = MIGRATIONS) -> list[str]:
    """Bring the database up to this program, file by file, and give the names that were applied now.

    Each file is one transaction, together with its row in `schema_migrations`. Processes that migrate at the
    same time wait for each other and apply each file once. "pre" files must suit the program before this
    one, so they may run while it still does; "post" files may not: a careful rollout runs `phases=("pre",)`
    first. Raises MigrationChanged, DatabaseIsNewer or MigrationFailed; the files before the failing one stay
    applied.
    """
    files = _migration_files(folder)
    _ensure_migration_table(db)
    applied_now: list[str] = []
    for name, text in files.items():
        if name.split("_")[1] not in phases:
            continue
        try:
            if db.transaction(partial(_apply, files=files, name=name, text=text)):
                applied_now.append(name)
        except psycopg.Error as error:
            raise MigrationFailed(f"{folder / name}: {_said(error)}; nothing of this file was kept") from error
    if not files:
        db.transaction(lambda tx: _check_applied(tx, files))
    return applied_now


def pending(db: Database, *, folder: Path = MIGRATIONS) -> list[str]:
    """The names of migrations that the database does not have yet, in order; raises as `migrate` does."""
    files = _migration_files(folder)
    _ensure_migration_table(db)
    applied = db.transaction(lambda tx: _check_applied(tx, files))
    return [name for name in files if name not in applied]


# Sessions


def _session_dsn(dsn: str, application_name: str) -> str:
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        raise DatabaseUnavailable(
            f"the database URL cannot be read ({_said(error)}): expected postgresql://user:password@host:5432/name"
        ) from None
    # Keys are walked, not tables; and plans are made once, not for each batch's arrays.
    own = (
        "-c timezone=UTC -c random_page_cost=1.1 -c plan_cache_mode=force_generic_plan"
        f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S_MAX}s"
    )
    options: dict[str, Any] = {
        "application_name": application_name,
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "tcp_user_timeout": 4000,
    } | given  # what the URL says wins; sockets of the file system ignore the TCP settings
    options["options"] = f"{given.get('options', '')} {own}".strip()
    return conninfo.make_conninfo(**options)


def _configure(connection: psycopg.Connection[Row]) -> None:
    set_json_loads(msgspec.json.decode, connection)
    connection.prepared_max = STATEMENTS_PREPARED_MAX
    # Raised where a role or a server has less, left alone where it has more (remote_apply).
    connection.execute(
        "select set_config('synchronous_commit', 'on', false)"
        " where current_setting('synchronous_commit') in ('off', 'local', 'remote_write')"
    )
    connection.commit()


def _roll_back(connection: psycopg.Connection[Row]) -> None:
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()  # the pool replaces it


# Retries

_CONFLICTS: Final = {"40001", "40P01"}
_LOCK_NOT_AVAILABLE: Final = "55P03"
# Shut down, crashed, starting, or cut off while idle.
_GONE: Final = {"57P01", "57P02", "57P03", "57P05", "25P03"}
_DEMOTED: Final = "25006"
_NOT_PREPARED: Final = "26000"


def _trouble(error: psycopg.Error, retry_busy_locks: bool) -> type[StorageError] | None:
    """Which error the failure becomes if it does not pass by itself; None for one that would come again."""
    code = error.sqlstate
    if code in _CONFLICTS or (code == _LOCK_NOT_AVAILABLE and retry_busy_locks):
        return TransactionConflict
    if code is None:
        # Without a state the message comes from the client library: the connection broke.
        return DatabaseUnavailable if isinstance(error, psycopg.OperationalError) else None
    gone = code in _GONE or code.startswith("08") or _session_is_stale(error)
    return DatabaseUnavailable if gone else None


def _session_is_stale(error: psycopg.Error) -> bool:
    """Whether another session would do: the server became a standby, or prepared statements no longer fit.

    They do not when a migration changed the columns of an answer, or a pooler between us and the server gave
    our session to others.
    """
    return error.sqlstate in (_DEMOTED, _NOT_PREPARED) or "cached plan must not change" in str(error)


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0.5, 1.0) * min(RETRY_S_MAX, RETRY_FIRST_S * 2**attempt))


def _said(error: psycopg.Error) -> str:
    first = str(error).strip().splitlines() or [type(error).__name__]
    return f"{error.sqlstate}: {first[0]}" if error.sqlstate else first[0]


def _where(dsn: str) -> str:
    """The place that a DSN names, without user and password."""
    given = conninfo.conninfo_to_dict(dsn)
    place = (given.get("host", "local"), given.get("port", 5432), given.get("dbname", "of the user's name"))
    return "host {}, port {}, database {}".format(*place)


# Migrations

_MIGRATION_NAME: Final = re.compile(r"^\d{4}_(pre|post)_[a-z0-9_]+\.sql$")


def _migration_files(folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        if not _MIGRATION_NAME.match(path.name):
            raise MigrationFailed(
                f"{path}: expected a name like 0007_pre_add_returns.sql or 0050_post_drop_returns.sql"
            )
        files[path.name] = path.read_text("utf-8")  # universal newlines: a checkout with CRLF has the same checksum
    return files


def _ensure_migration_table(db: Database) -> None:
    def create(tx: Transaction) -> None:
        if tx.query("select to_regclass('schema_migrations') is null") == [(True,)]:
            tx.script(
                "create table if not exists schema_migrations"
                " (name text primary key, sha256 text not null, applied_at timestamptz not null default "
                "now())"
            )

    # Refused when another process creates it at the same moment.
    with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DuplicateTable):
        db.transaction(create)


def _apply(tx: Transaction, files: Mapping[str, str], name: str, text: str) -> bool:
    tx.script("lock table schema_migrations in exclusive mode")
    if name in _check_applied(tx, files):
        return False
    tx.script(text)
    tx.execute(
        "insert into schema_migrations (name, sha256) values (%(name)s, %(sha256)s)",
        name=name,
        sha256=_sha256(text),
    )
    return True


def _check_applied(tx: Transaction, files: Mapping[str, str]) -> set[str]:
    applied: dict[str, str] = dict(tx.query("select name, sha256 from schema_migrations order by name"))
    for name, sha256 in applied.items():
        if name not in files:
            raise DatabaseIsNewer(
                f"the database has the migration {name}, which this program does not know: "
                "run a program at least as new as the one that migrated it"
            )
        if sha256 != _sha256(files[name]):
            raise MigrationChanged(
                f"the migration {name} was edited after it was applied (sha256 {sha256} then, "
                f"{_sha256(files[name])} now): restore the file, and put the change into a new migration"
            )
    return set(applied)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
