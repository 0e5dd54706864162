"""The floor: the rows that the engine wrote, written again by bare set-based SQL that decides nothing.

Each worker reads the rows of its batches back from the engine's database, column by column, in PostgreSQL's own binary
form. The clock starts when all of that is in memory: then one transaction a batch, one `insert … select from unnest` a
table and one update of the positions, sent in one go, the same batches by as many processes. Nothing is looked up,
compared, locked ahead or encoded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from interlock.bench.engine import Done
from interlock.bench.processes import Clock
from interlock.bench.workload import Workload
from interlock.storage.database import Database, Transaction, queries

q = queries(__file__)

_KEYS: Final = {
    "messages": "subject",
    "ledger": "subject",
    "orders": "order_id",
    "lines": "order_id, line_no",
    "payments": "order_id",
    "assignments": "order_id, assignment_no",
    "reservations": "order_id, line_no, assignment_no",
    "events": "order_id, seq",
    "outbox": "order_id, seq",
    "movements": "cause",
}
"""The tables that the engine writes for a new order, in its order, each with the order of its rows."""

TABLES: Final = (*_KEYS, "positions")


class FloorSpec(msgspec.Struct, frozen=True):
    """What one worker does: replay this many measured batches of its share, from the engine's database to another."""

    source_dsn: str
    dsn: str
    work: Workload
    worker: int
    batches: int


class FloorDone(msgspec.Struct, frozen=True):
    """What was written: batches as for the engine, and rows by table, measured ones alone."""

    done: Done
    rows: dict[str, int]


class Column:
    """An array as PostgreSQL sent it, to be sent back as it is."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class _ColumnDumper(Dumper):
    format = Format.BINARY
    oid = 0  # the statement says which type it is

    def dump(self, obj: Column) -> bytes:
        return obj.data


psycopg.adapters.register_dumper(Column, _ColumnDumper)


class Statement(msgspec.Struct, frozen=True):
    """One statement of a batch, with all its parameters."""

    table: str
    text: str
    params: dict[str, Any]
    rows: int


def prepare(source_dsn: str) -> None:
    """Make the engine's database ready to be read back; after the engine was measured."""
    with psycopg.connect(source_dsn) as connection:
        connection.execute(q.index_causes)


def work_floor(spec: FloorSpec, clock: Clock) -> FloorDone:
    """Replay one worker's batches."""
    warm_up, measured = spec.work.batches_of(spec.worker)
    with psycopg.connect(spec.source_dsn, autocommit=True) as source:
        reader = _Reader(source)
        early = [reader.statements(batch.part, spec.work.order_ids(batch)) for batch in warm_up]
        ready = [reader.statements(batch.part, spec.work.order_ids(batch)) for batch in measured[: spec.batches]]
    with Database(spec.dsn, pool_max=1) as db:
        for statements in early:
            _write(db, statements)
        took: list[float] = []
        clock.start()
        for statements in ready:
            began = time.monotonic()
            _write(db, statements)
            took.append(time.monotonic() - began)
        clock.stop()
    rows = dict.fromkeys(TABLES, 0)
    for statement in (one for batch in ready for one in batch):
        rows[statement.table] += statement.rows
    orders = spec.work.batch_orders
    return FloorDone(Done(len(took), len(took) * orders, len(early) * orders, took), rows)


def _write(db: Database, statements: Sequence[Statement]) -> None:
    def write(tx: Transaction) -> None:
        with tx.pipeline():
            sent = [tx.send(statement.text, **statement.params) for statement in statements]
            for pending, statement in zip(sent, statements, strict=True):
                if pending.count() != statement.rows:
                    raise AssertionError(f"{statement.table}: {pending.count()} rows, expected {statement.rows}")

    db.transaction(write)


class _Reader:
    """Makes the statements of a batch from the rows that the engine left."""

    def __init__(self, source: psycopg.Connection[Any]) -> None:
        self._source = source
        self._columns = {table: self._written(table) for table in _KEYS}

    def statements(self, part: int, order_ids: Sequence[str]) -> list[Statement]:
        """Everything that was written for these orders of one part, stock last."""
        given = {"part": part, "ids": list(order_ids)}
        return [*[self._insert(table, given) for table in _KEYS], self._positions(given)]

    def _written(self, table: str) -> list[tuple[str, str]]:
        """The columns with their types; what is null in every row needs no writing."""
        columns = self._source.execute(q.columns, {"table": table}).fetchall()
        counts = ", ".join(f"count({name})" for name, _ in columns)
        used = self._source.execute(f"select {counts} from {table}").fetchone()
        assert used is not None
        return [column for column, some in zip(columns, used, strict=True) if some]

    def _insert(self, table: str, given: dict[str, Any]) -> Statement:
        columns, key = self._columns[table], _KEYS[table]
        if table == "movements":  # whose part is the SKU's
            constant, where = "", "split_part(cause, '/', 1) = any(%(ids)s)"
        else:
            columns = [column for column in columns if column[0] != "part"]
            constant, where = "%(part)s::smallint, ", f"part = %(part)s and {key.partition(',')[0]} = any(%(ids)s)"
        rows, arrays = self._arrays([name for name, _ in columns], f"from {table} where {where}", key, given)
        names = ", ".join([name for name, _ in columns])
        return Statement(
            table,
            f"insert into {table} ({'part, ' if constant else ''}{names}) select {constant}* from {_unnest(columns)}",
            {**{f"c_{name}": array for name, array in arrays.items()}, **({"part": given["part"]} if constant else {})},
            rows,
        )

    def _positions(self, given: dict[str, Any]) -> Statement:
        sums = [(name, "numeric") for name in ("physical", "unsellable", "reserved")]
        columns = [("part", "smallint"), ("sku", "text"), ("node", "text"), *sums]
        changes = (
            "from (select part, sku, node, sum(physical) as physical, sum(unsellable) as unsellable,"
            " sum(reserved) as reserved from movements where split_part(cause, '/', 1) = any(%(ids)s)"
            " group by part, sku, node) as changes"
        )
        rows, arrays = self._arrays([name for name, _ in columns], changes, "part, sku, node", given)
        text = (
            "update positions as p set "
            + ", ".join(f"{name} = p.{name} + t.{name}" for name, _ in sums)
            + f", changed_at = now() from {_unnest(columns)} as t (part, sku, node, physical, unsellable, reserved)"
            " where p.part = t.part and p.sku = t.sku and p.node = t.node"
        )
        return Statement("positions", text, {f"c_{name}": array for name, array in arrays.items()}, rows)

    def _arrays(
        self, names: Sequence[str], source: str, key: str, given: dict[str, Any]
    ) -> tuple[int, dict[str, Column]]:
        """How many rows there are, and each column of them as one binary array."""
        wanted = ", ".join(f"array_agg({name} order by {key})" for name in names)
        cursor = self._source.cursor(binary=True)
        cursor.execute(f"select count(*)::int4, {wanted} {source}", given)
        result = cursor.pgresult
        assert result is not None
        count, *arrays = [result.get_value(0, place) or b"" for place in range(result.nfields)]
        return int.from_bytes(count), {name: Column(bytes(array)) for name, array in zip(names, arrays, strict=True)}


def _unnest(columns: Sequence[tuple[str, str]]) -> str:
    return f"unnest({', '.join(f'%(c_{name})s::{kind}[]' for name, kind in columns)})"
