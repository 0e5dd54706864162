"""How fast, against what the same PostgreSQL can do at all: docs/benchmarks.md.

report = interlock.bench.run(orders=24_000)
print_report(report, Console())
"""

from interlock.bench.measure import CONNECTIONS_DEFAULT, ORDERS_DEFAULT, SECONDS_DEFAULT, WORKERS_DEFAULT, run
from interlock.bench.processes import BenchFailed
from interlock.bench.report import Report, print_report

__all__ = [
    "CONNECTIONS_DEFAULT",
    "ORDERS_DEFAULT",
    "SECONDS_DEFAULT",
    "WORKERS_DEFAULT",
    "BenchFailed",
    "Report",
    "print_report",
    "run",
]
