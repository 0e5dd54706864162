"""What commands print: tables for people, JSON for programs, and the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence

import msgspec
import structlog
from rich.console import Console
from rich.table import Table

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_json = msgspec.json.Encoder(decimal_format="string")


def log_to_stderr(level: int) -> None:
    """Log as JSON lines beside the output, from this level on."""
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # A plain trace: one with all local variables takes long to draw, and shows whole orders.
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def say(text: str) -> None:
    """A word about what is going on, beside the output."""
    err.print(text, style="dim", markup=False, highlight=False)


def print_json(value: object) -> None:
    """One JSON value on a line; decimals as text, times as ISO 8601."""
    sys.stdout.write(_json.encode(value).decode() + "\n")


def print_rows(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """A titled table of rows that have the same names; nothing where there is no row."""
    if rows:
        out.print(f"\n{title}", style="bold")
        print_table(list(rows[0]), [[_cell(row.get(name)) for name in rows[0]] for row in rows])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; wide where the output is not a terminal, so that nothing is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    (out if out.is_terminal else Console(width=200)).print(table, markup=False, highlight=False)


def _cell(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else value


def lag(seconds: object) -> str:
    """Seconds, for people."""
    if not isinstance(seconds, int | float):
        return ""
    return f"+{seconds:.3f} s" if seconds < 60 else f"+{seconds / 60:.1f} min"
