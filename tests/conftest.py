"""Fixtures for every test: a real PostgreSQL shared by all workers of a run, and a fresh database per test.

`db` is the migrated database of one test, `dsn` its URL, `empty_dsn` that of a database without tables. With
INTERLOCK_TEST_DATABASE_URL the run uses that server instead of starting one; its role must be able to create
databases.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from interlock.storage.database import Database, migrate
from interlock.storage.embedded import EmbeddedPostgres
from tests.servers.brokers import TestBroker
from tests.servers.brokers import running as running_broker
from tests.servers.mariadb import running as running_mariadb


@pytest.fixture(scope="session")
def server_dsn(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[str]:
    """URL of the run's server. Workers share it as any processes would; the last to finish stops it."""
    given = os.environ.get("INTERLOCK_TEST_DATABASE_URL")
    if given:
        yield given
        return
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent  # the parent is common to the workers of one run
    with EmbeddedPostgres(shared / "server", shared_buffers="64MB") as server:
        yield server.dsn


@pytest.fixture(scope="session")
def template(server_dsn: str) -> str:
    """Name of the migrated database that the tests' databases are copied from, made once a run."""
    name = f"template_{os.environ.get('PYTEST_XDIST_TESTRUNUID', uuid.uuid4().hex)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        # A lock between the workers of a test run; the product itself relies on none of this kind.
        connection.execute("select pg_advisory_lock(hashtext(%s))", (name,))
        if not connection.execute("select from pg_database where datname = %s", (name,)).fetchall():
            making = f"{name}_new"
            connection.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(making)))
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(making)))
            with Database(_on(server_dsn, making), pool_max=1) as db:
                migrate(db)
            connection.execute(
                sql.SQL("alter database {} rename to {}").format(sql.Identifier(making), sql.Identifier(name))
            )
    return name


@pytest.fixture
def dsn(server_dsn: str, template: str) -> Iterator[str]:
    """URL of a fresh database with all migrations, dropped after the test."""
    with _database(server_dsn, template) as url:
        yield url


@pytest.fixture
def empty_dsn(server_dsn: str) -> Iterator[str]:
    """URL of a fresh database without any table, dropped after the test."""
    with _database(server_dsn, "template0") as url:
        yield url


@pytest.fixture
def db(dsn: str) -> Iterator[Database]:
    """A fresh database with all migrations."""
    with Database(dsn, pool_max=4) as database:
        yield database


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory for a server of the test's own."""
    return tmp_path / "var"


@contextmanager
def _database(server_dsn: str, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:16]}"
    create = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
    drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(create)
        try:
            yield _on(server_dsn, name)
        finally:
            connection.execute(drop)


def _on(server_dsn: str, database: str) -> str:
    return conninfo.make_conninfo(server_dsn, dbname=database)


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], TestBroker]]:
    """A running broker of a kind (nats, rabbitmq, kafka, redis, mqtt), started when it is first wanted."""
    with ExitStack() as stack:
        yield cache(
            lambda kind: stack.enter_context(running_broker(kind, tmp_path_factory.mktemp(f"{kind}-", numbered=True)))
        )


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MariaDB of the run's own."""
    with running_mariadb(tmp_path_factory.mktemp("mariadb")) as url:
        yield url
