"""The one owner of transactions, named queries and migrations, on a real PostgreSQL."""

from __future__ import annotations

import importlib.util
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from interlock.domain.errors import (
    DatabaseIsNewer,
    DatabaseUnavailable,
    MigrationChanged,
    TransactionConflict,
)
from interlock.storage import database
from interlock.storage.arrays import Ints, Numerics, Texts
from interlock.storage.database import (
    Database,
    MigrationFailed,
    Query,
    QueryFileError,
    Transaction,
    migrate,
    pending,
    queries,
)


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[Database]:
    with Database(empty_dsn, pool_max=4) as db:
        db.transaction(lambda tx: tx.script("create table stock (sku text primary key, units int not null)"))
        yield db


def put(tx: Transaction, **units: int) -> int:
    return tx.execute(
        "insert into stock select * from unnest(%(skus)s, %(units)s)",
        skus=Texts(list(units)),
        units=Ints(list(units.values())),
    )


def stock(db: Database) -> dict[str, int]:
    return dict(db.transaction(lambda tx: tx.query("select sku, units from stock order by sku")))


# Transactions


def test_a_transaction_commits_and_gives_back_what_its_work_returned(empty: Database) -> None:
    assert empty.transaction(lambda tx: put(tx, apple=3, pear=5)) == 2

    assert stock(empty) == {"apple": 3, "pear": 5}


def test_an_error_of_the_work_rolls_back_and_is_passed_on_at_once(empty: Database) -> None:
    runs: list[int] = []

    def work(tx: Transaction) -> None:
        runs.append(put(tx, apple=3))
        raise LookupError("no such node")

    with pytest.raises(LookupError, match="no such node"):
        empty.transaction(work)

    assert (runs, stock(empty)) == ([1], {})


def test_an_error_of_the_database_that_would_come_again_is_not_retried(empty: Database) -> None:
    empty.transaction(lambda tx: put(tx, apple=3))
    runs: list[int] = []

    with pytest.raises(psycopg.errors.UniqueViolation):
        empty.transaction(lambda tx: (runs.append(1), put(tx, apple=4)))

    assert (runs, stock(empty)) == ([1], {"apple": 3})


def test_two_transactions_in_a_deadlock_both_commit_in_the_end(empty: Database) -> None:
    empty.transaction(lambda tx: put(tx, apple=0, pear=0))
    both_hold_one = threading.Barrier(2)

    def run(first: str, second: str) -> None:
        runs: list[int] = []

        def work(tx: Transaction) -> None:
            runs.append(1)
            for sku in (first, second):
                tx.execute("update stock set units = units + 1 where sku = %(sku)s", sku=sku)
                if sku == first and len(runs) == 1:
                    both_hold_one.wait(10)

        empty.transaction(work)

    threads = [threading.Thread(target=run, args=skus) for skus in (("apple", "pear"), ("pear", "apple"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert stock(empty) == {"apple": 2, "pear": 2}


def test_conflicts_that_outlive_every_retry_raise_transaction_conflict(empty: Database) -> None:
    runs: list[int] = []

    def work(tx: Transaction) -> None:
        runs.append(put(tx, apple=1))
        tx.script("do $$ begin raise exception 'lost the race' using errcode = '40001'; end $$")

    with pytest.raises(TransactionConflict, match="failed 3 times, last with 40001: lost the race"):
        empty.transaction(work, retries_max=2)

    assert (runs, stock(empty)) == ([1, 1, 1], {})


def test_a_busy_lock_is_retried_only_when_asked(empty: Database) -> None:
    empty.transaction(lambda tx: put(tx, apple=1))
    sql = "select from stock where sku = 'apple' for update nowait"

    with psycopg.connect(empty.dsn) as holder:
        holder.execute("select from stock for update")

        with pytest.raises(psycopg.errors.LockNotAvailable):
            empty.transaction(lambda tx: tx.query(sql))
        with pytest.raises(TransactionConflict):
            empty.transaction(lambda tx: tx.query(sql), retries_max=1, retry_busy_locks=True)

    assert empty.transaction(lambda tx: tx.query(sql)) == [()]


def test_a_session_killed_in_the_middle_is_replaced_and_the_work_runs_again(empty: Database) -> None:
    runs: list[int] = []

    def work(tx: Transaction) -> int:
        ((pid,),) = tx.query("select pg_backend_pid()")
        runs.append(pid)
        done = put(tx, apple=3)
        if len(runs) <= 2:
            with psycopg.connect(empty.dsn, autocommit=True) as killer:
                killer.execute("select pg_terminate_backend(%s)", (pid,))
        return done

    assert empty.transaction(work) == 1
    assert len(set(runs)) == 3
    assert stock(empty) == {"apple": 3}


def test_a_migration_under_a_running_program_does_not_break_its_prepared_statements(empty: Database) -> None:
    empty.transaction(lambda tx: put(tx, apple=3))
    for _ in range(4):
        assert empty.transaction(lambda tx: tx.query("select * from stock")) == [("apple", 3)]

    with psycopg.connect(empty.dsn, autocommit=True) as migration:
        migration.execute("alter table stock add node text")

    assert empty.transaction(lambda tx: tx.query("select * from stock")) == [("apple", 3, None)]


def test_all_idle_sessions_killed_cost_one_retry(empty: Database) -> None:
    with psycopg.connect(empty.dsn, autocommit=True) as killer:
        killer.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )

    assert empty.transaction(lambda tx: put(tx, apple=3), retries_max=1) == 1


def test_an_unreachable_server_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECTION_WAIT_S_MAX", 0.3)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = reserved.getsockname()[1]
        url = f"postgresql://ann:secret@127.0.0.1:{port}/shop"
        with Database(url) as db, pytest.raises(DatabaseUnavailable) as unavailable:
            db.transaction(lambda tx: tx.query("select 1"))

    assert f"host 127.0.0.1, port {port}, database shop" in str(unavailable.value)
    assert "secret" not in str(unavailable.value)


def test_a_url_that_cannot_be_read_says_what_one_looks_like() -> None:
    with pytest.raises(DatabaseUnavailable, match=r"expected postgresql://user:password@host:5432/name"):
        Database("postgresql://[nonsense")


def test_sessions_speak_utc_commit_synchronously_and_end_idle_transactions(empty: Database) -> None:
    shown = empty.transaction(
        lambda tx: tx.query(
            "select current_setting(name) from unnest(%(names)s) as name",
            names=Texts(["timezone", "synchronous_commit", "idle_in_transaction_session_timeout", "application_name"]),
        )
    )

    assert shown == [("UTC",), ("on",), ("1min",), ("interlock",)]


def test_a_lax_synchronous_commit_of_the_database_is_raised_and_a_stricter_one_is_kept(
    empty: Database,
) -> None:
    for given, expected in (("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")):
        with psycopg.connect(empty.dsn, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f'alter database "{name}" set synchronous_commit = {given}')  # type: ignore[arg-type]
        with Database(empty.dsn) as db:
            assert db.transaction(lambda tx: tx.query("show synchronous_commit")) == [(expected,)]


# Pipelines


def test_statements_sent_in_a_pipeline_are_read_afterwards_in_any_order(empty: Database) -> None:
    def work(tx: Transaction) -> tuple[int, list[tuple[str]], int]:
        with tx.pipeline():
            inserted = tx.send("insert into stock values ('apple', 3), ('pear', 5)")
            read = tx.send("select sku from stock order by sku")
            updated = tx.send("update stock set units = units + 1 where sku = %(sku)s", sku="apple")
            return updated.count(), read.rows(), inserted.count()

    assert empty.transaction(work) == (1, [("apple",), ("pear",)], 2)
    assert stock(empty) == {"apple": 4, "pear": 5}


def test_a_failing_statement_of_a_pipeline_undoes_the_whole_transaction(empty: Database) -> None:
    def work(tx: Transaction) -> None:
        with tx.pipeline():
            tx.send("insert into stock values ('apple', 3)")
            tx.send("insert into stock values ('apple', 4)")
            tx.send("insert into stock values ('pear', 5)")

    with pytest.raises(psycopg.errors.UniqueViolation):
        empty.transaction(work)

    assert stock(empty) == {}


def test_results_are_binary_and_json_is_decoded(empty: Database) -> None:
    rows = empty.transaction(
        lambda tx: tx.query(
            """select value, '{"a": 1}'::jsonb from unnest(%(values)s) as value""",
            values=Numerics([Decimal("1.10")]),
        )
    )

    assert repr(rows) == "[(Decimal('1.10'), {'a': 1})]"


# Named queries

SQL = """\
-- count_all --
-- How many of 100 % there are,
-- whatever they are.
select count(*)  -- 80 % of them
  from stock where sku <> '-- no comment --' and sku <> $$--$$;

-- take_many_if_there --
update stock set units = units - 1 where sku = any(%(skus)s)
"""


@contextmanager
def module(folder: Path, source: str, sql: str) -> Iterator[Path]:
    (folder / "counting.sql").write_text(sql)
    (folder / "counting.py").write_text(source)
    yield folder / "counting.py"


def test_a_query_has_a_name_a_meaning_and_a_statement_without_comments(tmp_path: Path, empty: Database) -> None:
    with module(tmp_path, "", SQL) as path:
        q = queries(str(path))

    assert [query.name for query in q] == ["count_all", "take_many_if_there"]
    assert q.count_all.meaning == "How many of 100 % there are, whatever they are."
    assert q.count_all == "select count(*)\n  from stock where sku <> '-- no comment --' and sku <> $$--$$"
    assert isinstance(q.count_all, Query)
    empty.transaction(lambda tx: put(tx, apple=3))
    assert empty.transaction(lambda tx: tx.query(q.count_all)) == [(1,)]
    assert empty.transaction(lambda tx: tx.execute(q.take_many_if_there, skus=Texts(["apple"]))) == 1


def test_a_misspelt_query_stops_the_import_of_its_module(tmp_path: Path) -> None:
    source = """\
from interlock.storage.database import queries
q = queries(__file__)
def count(tx):
    return tx.query(q.count_al)
"""
    with module(tmp_path, source, SQL) as path:
        spec = importlib.util.spec_from_file_location("counting", path)
        assert spec is not None and spec.loader is not None

        with pytest.raises(QueryFileError, match="no query 'count_al'; it has count_all, take_many_if_there"):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("-- a --\nselect 1\n-- a --\nselect 2\n", "'a' is there twice"),
        ("-- a --\n-- only words\n", "'a' has no statement"),
        ("select 1\n", "no query found"),
    ],
)
def test_an_unclear_query_file_says_what_is_wrong(tmp_path: Path, sql: str, said: str) -> None:
    with module(tmp_path, "", sql) as path, pytest.raises(QueryFileError, match=said):
        queries(str(path))


def test_a_missing_query_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueryFileError, match=r"counting\.sql"):
        queries(str(tmp_path / "counting.py"))


# Migrations


def folder_of(path: Path, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name.removeprefix('m')}.sql").write_text(text)
    return path


def test_migrations_run_once_in_order_and_each_as_a_whole(tmp_path: Path, empty: Database) -> None:
    folder = folder_of(
        tmp_path / "m",
        m0002_pre_fill="insert into node values (1, '100 %'); insert into node values (2, 'two');",
        m0001_pre_nodes="create table node (id int primary key, name text);",
        m0050_post_name="alter table node alter name set not null;",
    )
    names = ["0001_pre_nodes.sql", "0002_pre_fill.sql", "0050_post_name.sql"]

    assert pending(empty, folder=folder) == names
    assert migrate(empty, phases=("pre",), folder=folder) == names[:2]
    assert pending(empty, folder=folder) == names[2:]
    assert migrate(empty, folder=folder) == names[2:]
    assert migrate(empty, folder=folder) == []
    assert empty.transaction(lambda tx: tx.query("select count(*) from node")) == [(2,)]


def test_a_failing_migration_keeps_nothing_of_its_file_and_all_before_it(tmp_path: Path, empty: Database) -> None:
    folder = folder_of(
        tmp_path / "m",
        m0001_pre_nodes="create table node (id int)",
        m0002_pre_wrong="create table half (id int); create table node (id int);",
    )

    with pytest.raises(MigrationFailed, match=r"0002_pre_wrong\.sql: 42P07"):
        migrate(empty, folder=folder)

    assert pending(empty, folder=folder) == ["0002_pre_wrong.sql"]
    assert empty.transaction(lambda tx: tx.query("select to_regclass('half') is null")) == [(True,)]


def test_an_edited_migration_and_a_newer_database_are_refused(tmp_path: Path, empty: Database) -> None:
    folder = folder_of(tmp_path / "m", m0001_pre_a="select 1", m0002_pre_b="select 2")
    migrate(empty, folder=folder)

    (folder / "0001_pre_a.sql").write_bytes(b"select 1 \r\n")
    with pytest.raises(MigrationChanged, match=r"0001_pre_a\.sql was edited"):
        migrate(empty, folder=folder)

    (folder / "0001_pre_a.sql").write_text("select 1")
    (folder / "0002_pre_b.sql").unlink()
    for ask in (migrate, pending):
        with pytest.raises(DatabaseIsNewer, match=r"0002_pre_b\.sql"):
            ask(empty, folder=folder)


def test_a_migration_needs_a_padded_number_and_a_phase(tmp_path: Path, empty: Database) -> None:
    with pytest.raises(MigrationFailed, match=r"1_add\.sql: expected a name like 0007_pre_add_returns\.sql"):
        migrate(empty, folder=folder_of(tmp_path / "m", m1_add="select 1"))


def test_processes_that_migrate_at_the_same_time_apply_each_file_once(tmp_path: Path, empty: Database) -> None:
    folder = folder_of(
        tmp_path / "m",
        **{f"m{n:04}_pre_t": f"create table t{n} (id int); select pg_sleep(0.01)" for n in range(1, 9)},
    )
    applied: list[str] = []
    threads = [threading.Thread(target=lambda: applied.extend(migrate(empty, folder=folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(applied) == [f"{n:04}_pre_t.sql" for n in range(1, 9)]


def test_a_test_database_has_every_migration_of_the_program(db: Database) -> None:
    assert pending(db) == []
