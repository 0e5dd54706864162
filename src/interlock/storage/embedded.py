"""A real PostgreSQL of our own, shared by all Interlock processes that name the same data directory.

    with EmbeddedPostgres(Path("var")) as server:
        db = Database(server.dsn)

    var/
      postgres/       the cluster; its log is in postgres/log
      run/            the socket, unless the path is too long or hidden from the server's account: then under
      /tmp start.lock      one process at a time initialises, starts or stops
      users.lock      every process that uses the server holds it shared, from start() to stop()
      server.lock     the server's own processes hold it, from the first to the last of them

All three are flocks: the kernel drops them with their last holder, however that ended, so they never lie and
no pid is ever believed. The server outlives whoever started it. The last user's stop() ends it; after a kill
-9 of all users the next start() finds it running and takes it over. server.lock is opened here and inherited
by the postmaster and its backends: if it is free, no process of this cluster is alive, and left-over pid and
socket files can go; if it is held and nobody answers, the server is starting, stopping or dying, and we wait.
A server that is killed under its users is started again by one of them within a second.
Why not a signal at the parent's death: docs/decisions/0001-embedded-postgresql.md.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from interlock.domain.errors import EmbeddedPostgresFailed
from interlock.storage.binaries import Account, find_programs, server_account
from interlock.storage.cluster import (
    ROLE,
    SETTINGS,
    advise,
    check_major,
    initialise,
    last_words,
    launch,
    parent_of,
    sweep,
)

SOCKET_PORT: Final = 5432  # only a part of the socket's file name
SOCKET_PATH_BYTES_MAX: Final = 103  # macOS; Linux has 107
KEEPER_PAUSE_S: Final = 0.5
KEEPER_PAUSE_S_MAX: Final = 10.0
SHORT_SOCKETS: Final = Path("/tmp")

log = logging.getLogger(__name__)


def resolve(
    database_url: str | None, data_dir: Path, bin_dir: Path | None = None
) -> tuple[str, EmbeddedPostgres | None]:
    """The DSN to use: the given URL, or that of the embedded server, started here (stop it at the end)."""
    if database_url:
        return database_url, None
    server = EmbeddedPostgres(data_dir, bin_dir=bin_dir)
    return server.start(), server


def resolve_from(environment: Mapping[str, str] = os.environ) -> tuple[str, EmbeddedPostgres | None]:
    """`resolve` by INTERLOCK_DATABASE_URL, INTERLOCK_DATA_DIR (default ./var) and INTERLOCK_PG_BIN."""
    bin_dir = environment.get("INTERLOCK_PG_BIN")
    return resolve(
        environment.get("INTERLOCK_DATABASE_URL"),
        Path(environment.get("INTERLOCK_DATA_DIR") or "var"),
        Path(bin_dir) if bin_dir else None,
    )


class EmbeddedPostgres:
    """One process's use of the server of one data directory.

    `port` asks for TCP on 127.0.0.1 as well, with a password (see `tcp_dsn`). `settings` are added to
    `SETTINGS`. Settings count for the process that starts the server; those that find it running take it as
    it is.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        port: int | None = None,
        shared_buffers: str = "256MB",
        settings: Mapping[str, str] | None = None,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.cluster_dir = self.data_dir / "postgres"
        self._bin_dir, self._port, self._start_timeout_s = bin_dir, port, start_timeout_s
        self._settings = {**SETTINGS, "shared_buffers": shared_buffers, **(settings or {})}
        self._users_lock: int | None = None
        self._socket_dir: Path | None = None
        self._left = threading.Event()
        self._keeper: threading.Thread | None = None

    @property
    def dsn(self) -> str:
        """URL of the server through its socket; only after start()."""
        if self._socket_dir is None:
            raise EmbeddedPostgresFailed(f"the server of {self.data_dir} is not started: call start() first")
        return self._url(ROLE)

    @property
    def tcp_dsn(self) -> str:
        """URL through TCP with its password, which is kept in `postgres.password`; only with a `port`."""
        if self._port is None:
            raise EmbeddedPostgresFailed("the server has no TCP port: give one as EmbeddedPostgres(..., port=…)")
        password = self._password()
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{self._port}/{ROLE}"

    def start(self) -> str:
        """Start the server, or join the one that runs, and give its DSN once it answers.

        May be called again to wait for a server that was killed. Raises EmbeddedPostgresFailed.
        """
        account = server_account()
        if self._users_lock is not None:
            with _os_errors_named(self.data_dir), self._start_lock():
                self._start_or_join(account)
            return self.dsn
        with _os_errors_named(self.data_dir):
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with self._start_lock():
                users_lock = os.open(self.data_dir / "users.lock", os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(users_lock, fcntl.LOCK_SH)
                    self._socket_dir = self._private_socket_dir(account)
                    self._start_or_join(account)
                except BaseException:
                    os.close(users_lock)
                    self._remove_socket_dir()  # unless a socket is in it: then it is not empty, and stays
                    self._socket_dir = None
                    raise
                self._users_lock = users_lock
        self._left.clear()
        self._keeper = threading.Thread(target=self._keep, name="interlock-postgres-keeper", daemon=True)
        self._keeper.start()
        return self.dsn

    def stop(self) -> None:
        """Leave the server; the last process that leaves ends it, with all that is committed on disk."""
        if self._users_lock is None or self._keeper is None:
            return
        self._left.set()
        self._keeper.join()
        with _os_errors_named(self.data_dir), self._start_lock():
            os.close(self._users_lock)
            self._users_lock = None
            with _file(self.data_dir / "users.lock") as users:
                if _locked(users):
                    self._end_server()
                    self._remove_socket_dir()
        self._socket_dir = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Keeping

    def _keep(self) -> None:
        """Until stop(): start the server again when somebody killed it."""
        pause_s = KEEPER_PAUSE_S
        while not self._left.wait(pause_s):
            try:
                self._revive()
                pause_s = KEEPER_PAUSE_S
            except EmbeddedPostgresFailed as failed:
                pause_s = min(KEEPER_PAUSE_S_MAX, pause_s * 2)
                log.error("the embedded server is gone and does not come back yet: %s", failed)

    def _revive(self) -> None:
        with _os_errors_named(self.data_dir):
            with _file(self.data_dir / "server.lock") as lock:
                if not _locked(lock):
                    return
            with self._start_lock():
                self._start_or_join(server_account())

    # Starting

    def _start_or_join(self, account: Account) -> None:
        """Wait for a server that answers; where no process of one is alive, start one. Needs start.lock."""
        deadline = time.monotonic() + self._start_timeout_s
        started = False
        while True:
            with _file(self.data_dir / "server.lock") as lock:
                if _locked(lock):
                    if started:
                        raise EmbeddedPostgresFailed(
                            f"PostgreSQL in {self.cluster_dir} ended while it started: {last_words(self.cluster_dir)}"
                        )
                    self._launch(account, lock)
                    started = True
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(
                    f"PostgreSQL in {self.cluster_dir} did not answer within {self._start_timeout_s:.0f} s: "
                    f"{last_words(self.cluster_dir)}; if it is still recovering after a crash, start again "
                    f"later"
                )
            time.sleep(0.02)

    def _launch(self, account: Account, server_lock: int) -> None:
        assert self._socket_dir is not None
        programs = find_programs(self._bin_dir, account)
        if not (self.cluster_dir / "PG_VERSION").exists():
            initialise(self.cluster_dir, programs, account)
        check_major(self.cluster_dir, programs)
        sweep(self.cluster_dir, self._socket_dir)
        place = {
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or SOCKET_PORT),
            "unix_socket_directories": str(self._socket_dir),
            "unix_socket_permissions": "0700",
        }
        launch(self.cluster_dir, programs, account, {**self._settings, **place}, server_lock)

    def _private_socket_dir(self, account: Account) -> Path:
        """A directory that only the server's account and root can enter, short enough for a socket's path."""
        beside = self.data_dir / "run"
        longest = os.fsencode(beside / f".s.PGSQL.{self._port or SOCKET_PORT}")
        if len(longest) <= SOCKET_PATH_BYTES_MAX and account.can("-x", self.data_dir):
            return _private_directory(beside, account)
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:20]
        return _private_directory(SHORT_SOCKETS / f"interlock-{account.uid}-{digest}", account)

    def _answers(self) -> bool:
        """Whether the server takes a connection; if so, our database, and TCP's password, are made."""
        assert self._socket_dir is not None
        try:
            with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=5) as connection:
                if not connection.execute("select from pg_database where datname = %s", (ROLE,)).fetchall():
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(ROLE)))
                if self._port is not None:
                    self._open_tcp(connection)
            return True
        except psycopg.OperationalError:
            return False

    def _url(self, database: str) -> str:
        """Through the one socket in the directory; who started the server chose its port."""
        assert self._socket_dir is not None
        ports = [path.name.rpartition(".")[2] for path in self._socket_dir.glob(".s.PGSQL.*[0-9]")]
        port = ports[0] if ports else SOCKET_PORT
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self._socket_dir), safe='')}&port={port}"

    def _open_tcp(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        listens = connection.execute(
            "select current_setting('listen_addresses') <> '' and current_setting('port')::int = %s",
            (self._port,),
        ).fetchone()
        if listens != (True,):
            raise EmbeddedPostgresFailed(
                f"the server of {self.data_dir} runs already, without TCP port {self._port}: "
                "stop all its users, and start first the one that asks for the port"
            )
        connection.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(ROLE), sql.Literal(self._password()))
        )

    def _password(self) -> str:
        path = self.data_dir / "postgres.password"
        if not path.exists():
            with _file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as out:
                os.write(out, os.urandom(24).hex().encode())
        return path.read_text()

    # Ending

    def _end_server(self) -> None:
        """Ask the postmaster for a fast shutdown, and wait until no process of it is left."""
        for how, patience_s in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0)):
            postmaster = self._postmaster()
            if postmaster is not None:
                with suppress(ProcessLookupError):
                    os.kill(postmaster, how)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                with _file(self.data_dir / "server.lock") as lock:
                    if _locked(lock):
                        return
                time.sleep(0.01)
        raise EmbeddedPostgresFailed(f"PostgreSQL in {self.cluster_dir} did not end: {last_words(self.cluster_dir)}")

    def _remove_socket_dir(self) -> None:
        if self._socket_dir is not None and self._socket_dir.parent == SHORT_SOCKETS:
            with suppress(OSError):
                self._socket_dir.rmdir()  # leave nothing in a place that is everybody's

    def _postmaster(self) -> int | None:
        """The pid of the server that answers on our socket: the parent of the backend that serves us."""
        try:
            with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=5) as connection:
                return parent_of(connection.info.backend_pid)
        except psycopg.OperationalError:
            return None

    @contextmanager
    def _start_lock(self) -> Iterator[None]:
        with _file(self.data_dir / "start.lock") as lock:
            deadline = time.monotonic() + self._start_timeout_s
            while not _locked(lock):
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresFailed(
                        f"another process has been starting or stopping the server of {self.data_dir} for "
                        f"{self._start_timeout_s:.0f} s: see who holds {self.data_dir / 'start.lock'}"
                    )
                time.sleep(0.02)
            yield


# Files, directories and locks


@contextmanager
def _file(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock for ourselves alone, if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _private_directory(path: Path, account: Account) -> Path:
    try:
        path.mkdir(mode=0o700)
        if account.is_other:
            os.chown(path, account.uid, account.gid)
    except FileExistsError:
        pass
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
        raise EmbeddedPostgresFailed(
            f"{path} must be a directory of {account.name} (uid {account.uid}) with mode 0700, because who "
            f"enters it "
            f"may do everything in the database; it has uid {found.st_uid} and mode "
            f"{stat.filemode(found.st_mode)}: "
            "remove it if it is not somebody's, or choose another data directory"
        )
    return path


@contextmanager
def _os_errors_named(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or data_dir
        raise EmbeddedPostgresFailed(
            f"the data directory {data_dir} cannot be used: {where}: {advise(str(error.strerror or error))}; "
            "choose a directory that you may write to in INTERLOCK_DATA_DIR"
        ) from error
