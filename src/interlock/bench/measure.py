"""The benchmark from first to last: engine, floor, HTTP, hot stock, hot stock that sells out; one after the other.

The engine comes before the floor, because the floor writes the rows that the engine wrote.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from interlock.bench import floor, workload
from interlock.bench.engine import EngineSpec, work_engine
from interlock.bench.floor import FloorSpec, work_floor
from interlock.bench.http import ClientSpec, serving, work_client
from interlock.bench.lab import Cpu, Lab, check, hot_left, open_lab
from interlock.bench.processes import BenchFailed, Run, run_together
from interlock.bench.report import CpuSplit, Measure, Percentiles, Report, SellOut
from interlock.bench.workload import HOT_SKUS, SKUS, Workload
from interlock.domain.errors import InvalidValue

ORDERS_DEFAULT: Final = 24_000
SECONDS_DEFAULT: Final = 60.0
SERVERS: Final = 2
WORKERS_DEFAULT: Final = 2
CONNECTIONS_DEFAULT: Final = 512
HTTP_SHARE: Final = 0.4
SELL_OUT_SHARE: Final = 0.2
_SECONDS_SHARE: Final = 0.33


def run(
    *,
    data_dir: Path | None = None,
    database_url: str | None = None,
    pg_bin: Path | None = None,
    orders: int = ORDERS_DEFAULT,
    seconds: float = SECONDS_DEFAULT,
    workers: int = WORKERS_DEFAULT,
    connections: int = CONNECTIONS_DEFAULT,
    skus: int = SKUS,
    batch_orders: int = workload.BATCH_ORDERS,
    json: bool = False,
) -> Report:
    """Measure, and prove after each measure that nothing was lost or doubled.

    `orders`: of the engine's measure, rounded up to full batches; the others are scaled to it. `seconds`: the most that the
    measured loops take together, without what prepares them. Without a URL the embedded server is used: of `data_dir`,
    else of a directory that is removed at the end. Progress goes to stderr, unless `json`.
    Raises BenchFailed, and what opening a database raises.
    """
    if min(orders, workers, connections, batch_orders) < 1 or skus <= HOT_SKUS + workload.LINES_PER_ORDER:
        given = f"orders {orders}, workers {workers}, connections {connections}, SKUs {skus}, batch {batch_orders}"
        raise InvalidValue("size", given, "at least 1 of each, and more than 13 SKUs")
    with tempfile.TemporaryDirectory(prefix="interlock-bench-", ignore_cleanup_errors=True) as own:
        Path(own).chmod(0o755)  # the server's account must get to its directory inside
        with open_lab(data_dir or Path(own), database_url, pg_bin) as lab:
            tell = Console(stderr=True, quiet=json).print
            bench = _Bench(lab, orders, seconds, workers, connections, skus, batch_orders, tell)
            return bench.report()


class _Bench:
    def __init__(
        self,
        lab: Lab,
        orders: int,
        seconds: float,
        workers: int,
        connections: int,
        skus: int,
        batch_orders: int,
        tell: Callable[[str], None],
    ) -> None:
        self.lab, self.workers, self.connections, self.skus, self.tell = lab, workers, connections, skus, tell
        self.seconds = seconds * _SECONDS_SHARE
        self.orders, self.batch_orders = orders, batch_orders

    def report(self) -> Report:
        began, began_at, facts = time.monotonic(), datetime.now(UTC), self.lab.facts()
        work = self._workload("E", self.orders)
        source, engine, done = self._engine(work)
        base, rows = self._floor(work, source, [run.result.batches for run in done])
        web = self._http(self._workload("H", max(1, round(self.orders * HTTP_SHARE))))
        hot_dsn, hot, _ = self._engine(self._workload("T", self.orders, hot=True))
        self.lab.drop(hot_dsn)
        return Report(
            floor_orders_per_s=base.orders_per_s,
            engine_orders_per_s=engine.orders_per_s,
            http_orders_per_s=web.orders_per_s,
            hot_orders_per_s=hot.orders_per_s,
            engine_to_floor=round(engine.orders_per_s / base.orders_per_s, 3),
            http_to_engine=round(web.orders_per_s / engine.orders_per_s, 3),
            hot_to_engine=round(hot.orders_per_s / engine.orders_per_s, 3),
            rss_mb=max(engine.rss_mb, web.rss_mb, hot.rss_mb),
            workers=self.workers,
            connections=self.connections,
            rows_per_order=rows,
            floor=base,
            engine=engine,
            http=web,
            hot=hot,
            sell_out=self._sell_out(),
            began_at=began_at.isoformat(timespec="seconds"),
            took_s=round(time.monotonic() - began, 1),
            facts=facts,
        )

    def _workload(self, name: str, orders: int, *, hot: bool = False) -> Workload:
        return Workload(
            name=name, orders=orders, workers=self.workers, hot=hot, skus=self.skus, batch_orders=self.batch_orders
        )

    def _engine(self, work: Workload, *, hot_units: int | None = None) -> tuple[str, Measure, list[Run]]:
        name = "sell_out" if hot_units is not None else "hot" if work.hot else "engine"
        self._say(f"{name}: {work.orders:,} orders by {work.workers} workers, {work.batch_orders} a transaction")
        dsn = self.lab.stocked(name, skus=self.skus, hot_units=hot_units)
        self.lab.settle(dsn)
        seconds = self.seconds if hot_units is None else float("inf")
        specs = [EngineSpec(dsn, work, worker, seconds) for worker in range(work.workers)]
        with self._cpu() as cpu:
            runs = run_together(work_engine, specs, on_start=cpu.start)
        return dsn, self._measure(name, f"batch of {work.batch_orders}", dsn, runs, cpu), runs

    def _floor(self, work: Workload, source: str, batches: Sequence[int]) -> tuple[Measure, dict[str, float]]:
        self._say("floor: the same rows by bare SQL")
        floor.prepare(source)
        dsn = self.lab.stocked("floor", skus=self.skus)
        self.lab.settle(dsn)
        specs = [FloorSpec(source, dsn, work, worker, count) for worker, count in enumerate(batches)]
        with self._cpu() as cpu:
            runs = run_together(work_floor, specs, on_start=cpu.start)
        rows = {table: sum(run.result.rows[table] for run in runs) for table in floor.TABLES}
        orders = sum(run.result.done.orders for run in runs)
        plain = [Run(run.began, run.ended, run.cpu_s, run.rss_mb, run.result.done) for run in runs]
        measure = self._measure("floor", f"batch of {work.batch_orders}", dsn, plain, cpu)
        self.lab.drop(dsn)
        self.lab.drop(source)
        return measure, {table: round(count / orders, 2) for table, count in rows.items()}

    def _http(self, work: Workload) -> Measure:
        self._say(f"http: {work.orders:,} orders, one a request, {self.connections} connections")
        dsn = self.lab.stocked("http", skus=self.skus)
        self.lab.settle(dsn)
        with serving(dsn, SERVERS) as server, self._cpu() as cpu:
            spec = ClientSpec(server.port, work, self.connections, self.seconds)

            def start() -> None:
                cpu.start()
                cpu.server = server.usage()

            client = run_together(work_client, [spec], on_start=start)
            used, before = server.usage(), cpu.server
        if before is None:
            raise BenchFailed("the HTTP measure did not begin")
        cpu.python_s = sum(one.cpu_s for one in used) - sum(one.cpu_s for one in before)
        cpu.rss_mb = max(one.rss_mb for one in used)
        measure = self._measure("http", "request", dsn, client, cpu)
        self.lab.drop(dsn)
        return measure

    def _sell_out(self) -> SellOut:
        work = self._workload("S", max(1, round(self.orders * SELL_OUT_SHARE)), hot=True)
        nodes = len(workload.estate().nodes)
        hot_units = max(1, work.orders // (HOT_SKUS * nodes * 4))  # a fifth or so of what will be asked for
        dsn, measure, _ = self._engine(work, hot_units=hot_units)
        left, in_vain = hot_left(dsn)
        self.lab.drop(dsn)
        if left or not in_vain:
            raise BenchFailed(f"hot stock: {left} units were left though {in_vain} more were asked for")
        return SellOut(
            orders=measure.orders,
            orders_per_s=measure.orders_per_s,
            units=hot_units * HOT_SKUS * nodes,
            units_left=left,
            units_in_vain=in_vain,
            checks=measure.checks,
        )

    def _measure(self, name: str, unit: str, dsn: str, runs: Sequence[Run], cpu: _CpuMeter) -> Measure:
        """Sum up what the processes did. The clock runs from the first one's start to the last one's end."""
        seconds = max(run.ended for run in runs) - min(run.began for run in runs)
        results: list[Any] = [run.result for run in runs]
        orders = sum(result.orders for result in results)
        sent_s = sum(run.cpu_s for run in runs)
        is_http = cpu.python_s is not None
        python_s, client_s = (cpu.python_s or 0.0, sent_s) if is_http else (sent_s, 0.0)
        others = None
        if cpu.used.machine_s is not None and cpu.used.postgres_s is not None:
            others = round(max(0.0, cpu.used.machine_s - cpu.used.postgres_s - python_s - client_s), 2)
        split = CpuSplit(
            python=round(python_s, 2),
            postgres=None if cpu.used.postgres_s is None else round(cpu.used.postgres_s, 2),
            client=round(client_s, 2),
            others=others,
        )
        return Measure(
            name=name,
            orders=orders,
            seconds=round(seconds, 3),
            orders_per_s=round(orders / seconds, 1),
            unit=unit,
            ms=Percentiles.of([one for result in results for one in result.took_s]),
            cpu=split,
            cpu_us_per_order=split.us_per(orders),
            rss_mb=round(cpu.rss_mb if is_http else max(run.rss_mb for run in runs), 1),
            checks=check(dsn, orders + sum(result.warm_up_orders for result in results)),
        )

    @contextmanager
    def _cpu(self) -> Any:
        meter = _CpuMeter(self.lab)
        yield meter
        meter.stop()

    def _say(self, text: str) -> None:
        self.tell(text)


class _CpuMeter:
    """CPU of PostgreSQL and of the machine between the start of a measure and its end."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._before = lab.cpu()
        self.used = Cpu(None, None)
        self.server: Any = None
        self.python_s: float | None = None
        self.rss_mb = 0.0

    def start(self) -> None:
        self._before = self._lab.cpu()

    def stop(self) -> None:
        self.used = self._lab.cpu().since(self._before)
