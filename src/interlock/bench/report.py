"""What was measured, for programs (JSON) and for people (a table)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from interlock.bench.lab import Checks, Facts


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds within which half, and 99 in 100, were done."""

    p50: float
    p99: float

    @staticmethod
    def of(took_s: Sequence[float]) -> Percentiles:
        """Of times in seconds, of which there must be one."""
        ranked = sorted(took_s)
        at = [ranked[min(len(ranked) - 1, len(ranked) * percent // 100)] for percent in (50, 99)]
        return Percentiles(*(round(seconds * 1_000, 2) for seconds in at))


class CpuSplit(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds during the measure. None: PostgreSQL is on another machine, or this one does not tell.

    `python`: Interlock's own processes (of the floor: the processes that send its rows). `client`: who sends the orders.
    `others`: what the rest of the machine took meanwhile.
    """

    python: float
    postgres: float | None
    client: float
    others: float | None

    def us_per(self, orders: int) -> CpuSplit:
        """The same in microseconds for each order: on a busy machine steadier than orders per second."""
        us = [
            None if seconds is None else round(seconds * 1e6 / orders, 1)
            for seconds in (self.python, self.postgres, self.client, self.others)
        ]
        return CpuSplit(python=us[0] or 0.0, postgres=us[1], client=us[2] or 0.0, others=us[3])


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure: how many orders in how many seconds, and what that took: `cpu` in seconds, `ms` per `unit`."""

    name: str
    orders: int
    seconds: float
    orders_per_s: float
    unit: str
    ms: Percentiles
    cpu: CpuSplit
    cpu_us_per_order: CpuSplit
    rss_mb: float
    checks: Checks


class SellOut(msgspec.Struct, frozen=True, kw_only=True):
    """Hot stock that does not last: units of it at first and at the end, and units of all orders asked for in vain."""

    orders: int
    orders_per_s: float
    units: int
    units_left: int
    units_in_vain: int
    checks: Checks


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole benchmark. The ratios are of orders per second; `rss_mb` is the largest of Interlock's processes."""

    floor_orders_per_s: float
    engine_orders_per_s: float
    http_orders_per_s: float
    hot_orders_per_s: float
    engine_to_floor: float
    http_to_engine: float
    hot_to_engine: float
    rss_mb: float
    workers: int
    connections: int
    rows_per_order: dict[str, float]
    floor: Measure
    engine: Measure
    http: Measure
    hot: Measure
    sell_out: SellOut
    began_at: str
    took_s: float
    facts: Facts

    def as_json(self) -> bytes:
        """One JSON object."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def print_report(report: Report, console: Console) -> None:
    """The tables for people."""
    console.print(Group(_speeds(report), "", _sell_out(report.sell_out), _rows(report), _where(report)))


def _speeds(report: Report) -> Table:
    table = Table(title=f"Orders of 3 lines, {report.workers} workers, {report.connections} connections")
    table.add_column("measure")
    for name in ("orders", "orders/s", "ratio", "p50 ms", "p99 ms", "per", "RSS MB"):
        table.add_column(name, justify="left" if name == "per" else "right")
    for name in ("python", "postgres", "client", "others"):
        table.add_column(f"CPU µs/order {name}", justify="right")
    ratios = {
        "engine": f"{report.engine_to_floor:.0%} of floor",
        "http": f"{report.http_to_engine:.0%} of engine",
        "hot": f"{report.hot_to_engine:.0%} of engine",
    }
    for one in (report.floor, report.engine, report.http, report.hot):
        cpu = one.cpu_us_per_order
        table.add_row(
            one.name,
            f"{one.orders:,}",
            f"{one.orders_per_s:,.0f}",
            ratios.get(one.name, ""),
            f"{one.ms.p50:,.1f}",
            f"{one.ms.p99:,.1f}",
            one.unit,
            f"{one.rss_mb:,.0f}",
            *("?" if us is None else f"{us:,.0f}" for us in (cpu.python, cpu.postgres, cpu.client, cpu.others)),
        )
    return table


def _sell_out(found: SellOut) -> Text:
    return Text(
        f"Sell-out: {found.units:,} hot units, {found.units_left} left after {found.orders:,} orders "
        f"({found.orders_per_s:,.0f}/s), {found.units_in_vain:,} units asked for in vain, {found.checks.oversold} oversold."
    )


def _rows(report: Report) -> Text:
    each = ", ".join(f"{table} {count:.2f}" for table, count in report.rows_per_order.items())
    return Text(f"Rows per order: {sum(report.rows_per_order.values()):.1f} ({each}).")


def _where(report: Report) -> Text:
    facts = report.facts
    told = [
        " ".join(f"{name}={value}" for name, value in group.items())
        for group in (facts.machine, facts.versions, facts.settings)
    ]
    return Text("\n".join(["Checked after every measure: all orders there once, stock equal to its movements.", *told]))
