"""Delimited text (CSV, TSV and their dialects) as documents: each row one, or consecutive rows with equal `group_by` columns.

    sku,qty            {"sku": "A", "qty": "2"}
    A,2

    order,sku,qty      group_by: [order]
    1,A,2              {"order": "1", "sku": "A", "qty": "2", "rows": [{"order": "1", "sku": "A", ...}, {...}]}
    1,B,3

A group has the cells of its first row, and all of its rows in `rows`. How text becomes rows, in which encodings and however it is
quoted, is in `tabular.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from io import StringIO
from operator import itemgetter
from typing import Any, Final

from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Document,
    Flaw,
    FormatUnreadable,
    Item,
    Numbers,
    Tree,
    WriteRefused,
)
from interlock.connectors.formats.tabular import BadRow, Chunk, Row, Table, TableUnreadable
from interlock.domain.links import Format, Totals

MEDIA_TYPE: Final = "text/csv"
GROUP_ROWS_MAX: Final = 10_000
_NOTHING: Final[dict[str, Tree]] = {}
_new: Final = tuple.__new__


def read(source: Iterable[bytes], form: Format) -> Iterator[Item]:
    """The rows or groups as documents. Raises FormatUnreadable: no header, a wrong encoding, or totals that do not agree."""
    try:
        table = _table(source, form)
        chunks: Iterator[Chunk] = iter(table)
        if form.totals is not None:
            chunks = _Check(table, form.totals).passed(chunks)
        if form.group_by:
            yield from _groups(table, chunks, form.group_by)
        else:
            yield from _rows(table, chunks)
    except TableUnreadable as error:
        raise FormatUnreadable(error.reason, error.field, error.value, error.expected) from None


def check_totals(source: Iterable[bytes], form: Format) -> None:
    """Read all of it once to see whether the trailer agrees with the rows. Raises FormatUnreadable where it does not."""
    if form.totals is None:
        return
    try:
        table = _table(source, form)
        for _ in _Check(table, form.totals).passed(iter(table)):
            pass
    except TableUnreadable as error:
        raise FormatUnreadable(error.reason, error.field, error.value, error.expected) from None


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:  # noqa: ARG001 - CSV has no control numbers
    """The rows of documents `{"rows": [{column: value}, ...]}` under one header, by RFC 4180.

    Columns are those of the format, or else those of the rows in the order in which they appear. Raises WriteRefused.
    """
    rows = [row for document in documents for row in _rows_of(document)]
    columns = list(form.columns) or list(dict.fromkeys(name for row in rows for name in row))
    text = StringIO()
    quoting = {"quotechar": form.quote} if form.quote else {"quoting": csv.QUOTE_NONE, "quotechar": None}
    writer = csv.writer(text, delimiter=form.delimiter, lineterminator="\r\n", **quoting)
    for place, row in enumerate([dict.fromkeys(columns), *rows]):
        unknown = next((name for name in row if name not in columns), None)
        if unknown is not None:
            raise WriteRefused(unknown, _text(row[unknown]), f"a column of the format: {', '.join(columns)}")
        if place == 0:
            cells = columns
            if not form.header:
                continue
        else:
            cells = [_cell(name, row.get(name)) for name in columns]
        try:
            writer.writerow(cells)
        except csv.Error as error:
            raise WriteRefused(f"row {place}", ", ".join(cells)[:200], f"cells that need no quotes: {error}") from None
    if form.totals is not None:
        writer.writerow(_trailer(form.totals, rows))
    try:
        return text.getvalue().encode(form.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError) as error:
        value = error.object[error.start] if isinstance(error, UnicodeEncodeError) else form.encoding
        raise WriteRefused("encoding", value, f"text in {form.encoding}") from None


# Documents


def _table(source: Iterable[bytes], form: Format) -> Table:
    delimiter = "\t" if form.delimiter in ("\\t", "tab") else form.delimiter
    return Table(
        source,
        encoding=form.encoding or "utf-8-sig",
        delimiter=delimiter,
        quote=form.quote,
        columns=() if form.header else form.columns,
    )


def _rows(table: Table, chunks: Iterable[Chunk]) -> Iterator[Item]:
    columns = table.columns
    for chunk in chunks:
        if chunk.bad:
            yield from _mixed(table, chunk)
            continue
        for line, _, cells, raw in chunk.rows:
            # The cells fit the columns; and a tuple is made in half the time of a named one.
            yield _new(Document, ("row", f"row {line}", dict(zip(columns, cells)), raw, _NOTHING, ()))  # noqa: B905


def _mixed(table: Table, chunk: Chunk) -> Iterator[Item]:
    """Rows and bad ones, in the order of the file."""
    for row in _in_order(chunk):
        if isinstance(row, BadRow):
            yield _flaw(row, table.delimiter)
        else:
            yield Document("row", f"row {row.line}", dict(zip(table.columns, row.cells, strict=True)), row.raw)


def _in_order(chunk: Chunk) -> Sequence[Row | BadRow]:
    """Rows and bad ones in the order of the file."""
    if not chunk.bad:
        return chunk.rows
    both: list[Row | BadRow] = [*chunk.rows, *chunk.bad]
    both.sort(key=itemgetter(0))
    return both


def _flaw(bad: BadRow, delimiter: str) -> Flaw:
    raw = delimiter.join(bad.cells).encode("utf-8", "replace")
    return Flaw(f"row {bad.line}", "unreadable", bad.field, bad.value, bad.expected, raw, "row")


def _groups(table: Table, chunks: Iterable[Chunk], group_by: tuple[str, ...]) -> Iterator[Item]:
    """Consecutive rows of one key as one document. One that lost a row within it is a Flaw: half an order is none."""
    places = []
    for name in group_by:
        if name not in table.columns:
            raise TableUnreadable("missing_column", "header", ", ".join(table.columns), f"complete: it has no {name!r}")
        places.append(table.columns.index(name))
    key_of = itemgetter(*places)
    rows: list[Row] = []
    key: Any = None
    size, lost, is_hurt = 0, False, False
    for chunk in chunks:
        for row in _in_order(chunk):
            if isinstance(row, BadRow):
                yield _flaw(row, table.delimiter)
                lost = True
                continue
            this = key_of(row.cells)
            if rows and this == key:
                is_hurt = is_hurt or lost
            elif rows:
                yield _group(table.columns, rows, is_hurt, size)
                rows, size, is_hurt = [], 0, False
            key, lost = this, False
            size += len(row.raw)
            # What is too large is counted, and not kept.
            if len(rows) <= GROUP_ROWS_MAX and size <= DOCUMENT_BYTES_MAX:
                rows.append(row)
    if rows:
        yield _group(table.columns, rows, is_hurt, size)


def _group(columns: tuple[str, ...], rows: list[Row], is_hurt: bool, size: int) -> Item:
    place = f"row {rows[0].line}" if len(rows) == 1 else f"rows {rows[0].line} to {rows[-1].line}"
    raw = b"".join([row.raw for row in rows])
    if size > DOCUMENT_BYTES_MAX or len(rows) > GROUP_ROWS_MAX:
        expected = f"at most {GROUP_ROWS_MAX} rows and {DOCUMENT_BYTES_MAX} bytes that belong together"
        return Flaw(place, "unreadable", "rows", f"{size} bytes", expected, b"", "rows")
    if is_hurt:
        expected = "whole: a row among these could not be read, so that something is missing"
        return Flaw(place, "unreadable", "rows", f"{len(rows)} rows", expected, raw, "rows")
    dicts = [dict(zip(columns, row.cells, strict=True)) for row in rows]
    return Document("rows", place, {**dicts[0], "rows": dicts}, raw)


# Totals


class _Check:
    """Counts and sums the rows between header and trailer and compares them with the trailer, which no reader sees."""

    def __init__(self, table: Table, totals: Totals) -> None:
        self._totals = totals
        self._of = -1
        if totals.sum is not None:
            if totals.of not in table.columns:
                header = ", ".join(table.columns)
                raise TableUnreadable("missing_column", "header", header, f"complete: it has no column {totals.of!r}")
            self._of = table.columns.index(totals.of)
        self._count = 0
        self._sum = Decimal(0)

    def passed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """The chunks without the trailer. Raises TableUnreadable at their end, where it is missing or does not agree."""
        trailer: list[str] | None = None
        mark = self._totals.mark
        for chunk in chunks:
            kept = Chunk([], [])
            for row in _in_order(chunk):
                if row.cells and row.cells[0].strip().startswith(mark):
                    if trailer is not None:
                        raise TableUnreadable("bad_totals", f"row {row.line}", mark, "the only trailer")
                    trailer = row.cells
                    continue
                if trailer is not None:
                    raise TableUnreadable(
                        "bad_totals", f"row {row.line}", _shown(row.cells), "nothing behind the trailer"
                    )
                self._add(row)
                (kept.bad if isinstance(row, BadRow) else kept.rows).append(row)  # type: ignore[arg-type]
            if kept.rows or kept.bad:
                yield kept
        if trailer is None:
            raise TableUnreadable("bad_totals", "trailer", "", f"a last row that begins with {mark}; it is missing")
        self._compare(trailer)

    def _add(self, row: Row | BadRow) -> None:
        self._count += 1
        if self._of >= 0 and isinstance(row, Row):
            self._sum += _number(row.cells[self._of], f"row {row.line}, {self._totals.of}")

    def _compare(self, trailer: list[str]) -> None:
        if self._totals.count is not None:
            stated = self._cell(trailer, self._totals.count, "count")
            if stated != self._count:
                raise TableUnreadable(
                    "bad_totals", "count", str(stated), f"{self._count}, the number of rows that are there"
                )
        if self._totals.sum is not None:
            stated = self._cell(trailer, self._totals.sum, "sum")
            if stated != self._sum:
                expected = f"{self._sum:f}, the sum of {self._totals.of} in the rows that are there"
                raise TableUnreadable("bad_totals", "sum", str(stated), expected)

    def _cell(self, trailer: list[str], place: int, name: str) -> Decimal:
        # A trailer that has fewer or more cells than the header comes as it was split; one that is not split, as its text.
        if place > len(trailer):
            raise TableUnreadable("bad_totals", name, _shown(trailer), f"a trailer with a cell {place}, the {name}")
        return _number(trailer[place - 1], name)


def _number(text: str, field: str) -> Decimal:
    written = text.strip()
    digits = written.lstrip("+-").replace(".", "", 1)
    if not (
        digits.isascii() and digits.isdigit() and len(digits) <= 28 and written.count("-") + written.count("+") <= 1
    ):
        raise TableUnreadable("bad_totals", field, text[:80], "a number, which the totals need")
    return Decimal(written)


def _shown(cells: list[str]) -> str:
    return ", ".join(cells)[:200]


# Writing


def _rows_of(document: Tree) -> list[dict[str, Any]]:
    rows = document.get("rows") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise WriteRefused("rows", _text(rows)[:200], "a list of rows, each with its columns")
    return rows


def _cell(name: str, value: Any) -> str:
    if isinstance(value, dict | list):
        raise WriteRefused(name, str(value)[:200], "one value")
    text = _text(value)
    if "\0" in text:
        raise WriteRefused(name, text[:200], "text without NUL characters")
    return text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _trailer(totals: Totals, rows: list[dict[str, Any]]) -> list[str]:
    cells = [""] * max(1, totals.count or 0, totals.sum or 0)
    cells[0] = totals.mark
    if totals.count is not None:
        cells[totals.count - 1] = str(len(rows))
    if totals.sum is not None:
        try:
            cells[totals.sum - 1] = _text(
                sum((_number(_text(row.get(totals.of)), totals.of) for row in rows), Decimal(0))
            )
        except TableUnreadable as error:
            raise WriteRefused(error.field, error.value, error.expected) from None
    return cells
