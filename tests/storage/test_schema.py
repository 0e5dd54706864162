"""schema.sql is the page to read; the migrations are what is run: they must come to the same database."""

from __future__ import annotations

from pathlib import Path

import psycopg

from interlock import storage
from interlock.storage.database import Database

CATALOG = """
    select 'column', table_name, column_name, data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
      from information_schema.columns where table_schema = 'public' and table_name <> 'schema_migrations'
    union all
    select 'index', tablename, indexname, indexdef
      from pg_indexes where schemaname = 'public' and tablename <> 'schema_migrations'
    union all
    select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
      from pg_constraint where connamespace = 'public'::regnamespace and conrelid::regclass::text <> 'schema_migrations'
    union all
    select 'storage', relname, array_to_string(reloptions, ','), relkind::text
      from pg_class where relnamespace = 'public'::regnamespace and relname <> 'schema_migrations' and relkind = 'r'
     order by 1, 2, 3, 4
"""


def test_the_schema_page_and_the_migrations_make_the_same_database(dsn: str, empty_dsn: str) -> None:
    schema = (Path(storage.__file__).parent / "schema.sql").read_text("utf-8")
    with psycopg.connect(empty_dsn, autocommit=True) as plain, psycopg.connect(dsn) as migrated:
        plain.execute(schema)

        assert migrated.execute(CATALOG).fetchall() == plain.execute(CATALOG).fetchall()


def test_what_was_parked_before_there_was_patience_is_given_a_day(empty_dsn: str) -> None:
    first, second = sorted((Path(storage.__file__).parent / "migrations").glob("000[12]_*.sql"))
    with psycopg.connect(empty_dsn, autocommit=True) as old:
        old.execute(first.read_text("utf-8"))
        for outcome in ("parked", "processed"):
            old.execute(
                "insert into messages (part, subject, message_id, system, received_at, content_type, body, action,"
                " business_key, command, outcome, settled_at, waits_for)"
                " values (1, 'web:1', gen_random_uuid(), 'web', '2026-03-01T12:00Z', 'application/json', '', 'order.cancel',"
                " 'c', '{}', %(outcome)s, now(), case when %(outcome)s = 'parked' then 'web:1' end)",
                {"outcome": outcome},
            )
        old.execute(second.read_text("utf-8"))

        assert old.execute(
            "select outcome, waits_until = '2026-03-02T12:00Z' from messages order by outcome"
        ).fetchall() == [("parked", True), ("processed", None)]


def test_every_part_has_its_lock_row(db: Database) -> None:
    parts = db.transaction(lambda tx: tx.query("select part from part_lock order by part"))

    assert parts == [(part,) for part in range(64)]
