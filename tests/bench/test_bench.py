"""The benchmark runs from first to last at a tiny size, and proves what it left. No test here asks how fast."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import msgspec
import psycopg
import pytest
from rich.console import Console

from interlock.bench import BenchFailed, Report, print_report, run
from interlock.bench.lab import check
from interlock.bench.processes import Clock, run_together
from interlock.bench.workload import HOT_SKUS, Workload, estate
from interlock.connectors.mapping import Mapper
from interlock.domain.commands import CreateOrder
from interlock.domain.errors import InvalidValue
from interlock.domain.values import part_of

ROWS = {
    "messages": 1.0,
    "ledger": 1.0,
    "orders": 1.0,
    "lines": 3.0,
    "payments": 1.0,
    "assignments": 1.0,
    "reservations": 3.0,
    "events": 4.0,
    "outbox": 1.0,
    "movements": 3.0,
}


@pytest.fixture(scope="module")
def report(server_dsn: str) -> Iterator[Report]:
    yield run(database_url=server_dsn, orders=80, batch_orders=10, skus=40, workers=2, connections=4, json=True)


def test_all_measures_run_and_every_order_sent_is_there_once(report: Report) -> None:
    measured = {one.name: one.orders for one in (report.floor, report.engine, report.http, report.hot)}
    assert measured == {"floor": 80, "engine": 80, "http": 32, "hot": 80}
    for one in (report.floor, report.engine, report.http, report.hot, report.sell_out):
        zeros = (one.checks.duplicates, one.checks.positions_off, one.checks.oversold, one.checks.reserved_off)
        assert zeros == (0, 0, 0, 0)
        assert one.checks.processed == one.checks.messages == one.checks.orders > one.orders


def test_the_floor_writes_the_rows_that_the_engine_wrote(report: Report) -> None:
    positions = report.rows_per_order["positions"]
    assert report.rows_per_order == {**ROWS, "positions": positions}
    assert 1.0 < positions <= 3.0


def test_hot_stock_that_does_not_last_is_sold_to_the_last_unit(report: Report) -> None:
    assert report.sell_out.units_left == 0
    assert report.sell_out.units_in_vain > 0


def test_the_json_has_the_figures_that_others_read(report: Report) -> None:
    told = msgspec.json.decode(report.as_json())
    for name in ("floor_orders_per_s", "engine_orders_per_s", "http_orders_per_s", "hot_orders_per_s"):
        assert told[name] > 0
    assert told["engine_to_floor"] == round(told["engine_orders_per_s"] / told["floor_orders_per_s"], 3)
    assert told["hot_to_engine"] == round(told["hot_orders_per_s"] / told["engine_orders_per_s"], 3)
    assert told["rss_mb"] > 10
    assert told["facts"]["settings"]["fsync"] == "on"
    assert told["facts"]["settings"]["synchronous_commit"] == "on"
    for name in ("floor", "engine", "http", "hot"):
        assert told[name]["ms"]["p99"] >= told[name]["ms"]["p50"] > 0
        assert set(told[name]["cpu"]) == {"python", "postgres", "client", "others"}


def test_the_table_shows_every_measure(report: Report) -> None:
    out = io.StringIO()
    print_report(report, Console(file=out, width=200))
    for word in ("floor", "engine", "http", "hot", "of floor", "Sell-out", "Rows per order", "fsync=on"):
        assert word in out.getvalue()


def test_nothing_of_a_run_stays_on_the_server(report: Report, server_dsn: str) -> None:
    with psycopg.connect(server_dsn) as connection:
        left = connection.execute("select datname from pg_database where datname like 'interlock_bench_%'").fetchall()
    assert left == []


def test_each_batch_is_one_part_s_and_workers_share_no_part() -> None:
    work = Workload(name="X", orders=200, workers=2, batch_orders=10)
    parts = []
    for worker in (0, 1):
        warm_up, measured = work.batches_of(worker)
        assert len(warm_up) == 4
        assert len(measured) == 10
        for batch in warm_up + measured:
            assert len(batch.numbers) == 10
            assert {part_of(order_id) for order_id in work.order_ids(batch)} == {batch.part}
        numbers = [number for batch in warm_up + measured for number in batch.numbers]
        assert len(set(numbers)) == len(numbers)
        parts.append({batch.part for batch in warm_up + measured})
    assert parts[0] & parts[1] == set()


def test_four_hot_orders_in_five_touch_a_hot_sku_and_the_others_none_by_preference() -> None:
    mapper, system = Mapper(estate()), estate().systems["shop"]  # type: ignore[index]
    hot = {f"SKU-{number:05d}" for number in range(1, HOT_SKUS + 1)}
    touched = 0
    for number in range(1, 2_001):
        command = mapper.read(system, "order.create", Workload(name="X", orders=1, hot=True).body(number))
        assert isinstance(command, CreateOrder)
        assert len({line.sku for line in command.lines}) == 3
        touched += bool(hot & {line.sku for line in command.lines})
    assert 1_550 <= touched <= 1_650


def test_the_same_number_is_the_same_order_byte_for_byte() -> None:
    work = Workload(name="X", orders=1)
    assert work.body(7) == Workload(name="X", orders=99).body(7)
    assert work.body(7) != work.body(8)


def test_a_measure_that_lost_an_order_is_an_error_and_no_figure(dsn: str) -> None:
    with pytest.raises(BenchFailed, match="1 orders were sent, but the database has"):
        check(dsn, 1)


def test_a_process_that_dies_before_the_start_fails_the_measure_at_once() -> None:
    with pytest.raises(BenchFailed, match="ended without a word"):
        run_together(die, [3])


def die(status: int, _: Clock) -> None:
    os._exit(status)


def test_a_size_that_measures_nothing_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at least 1 of each"):
        run(orders=0)
