"""Rows of a file to records: the same field names and shapes as a JSON body, so that one mapping reads both.

    for item in read_records(table, system, folder):
        match item:
            case Record():  mapper.record(system, item.action, item.fields)
            case Reject():  a row that is part of no record, and why

Consecutive rows of one order, or of one warehouse message, are one record; a row of stock is a record by itself. A row
that cannot be part of its record (nothing was sold on it) is rejected alone, and the rest of the record goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

from interlock.connectors.formats.tabular import Row, Table
from interlock.connectors.record_columns import ADJUSTMENT, COUNT, DONE, EVENT, LINE, ORDER, PLACE, Columns, kind_of
from interlock.domain.decision import FieldError, Problem
from interlock.domain.estate import RecordKind, System
from interlock.domain.links import Files

RECORD_ROWS_MAX: Final = 10_000

EVENTS: Final = {
    "acknowledged": "shipment.acknowledge",
    "packed": "shipment.pack",
    "shipped": "shipment.confirm",
    "short_pick": "shipment.reject",
    "damaged": "shipment.reject",
    "not_found": "shipment.reject",
    "refused": "shipment.reject",
}
"""What a warehouse reports, and the action that it means."""


class Reject(NamedTuple):
    """A row that is in no record, or in one that cannot be read: what is wrong with it."""

    line: int
    field: str
    value: str
    expected: str
    reason: str
    cells: Sequence[str]


class Record(msgspec.Struct, gc=False):
    """What some rows say together. `rows` is all of them, `sources` the row of each entry of `fields["lines"]`."""

    action: str
    fields: dict[str, object]
    rows: list[Row]
    sources: list[Row]
    refused: int = 0
    problem: Problem | None = None

    @property
    def place(self) -> str:
        """Where it stands in the file: the lines from its first to its last row."""
        last = self.rows[-1]
        return f"rows {self.rows[0].line}-{last.line + last.lines - 1}"

    @property
    def body(self) -> bytes:
        """Its rows, verbatim."""
        return self.rows[0].raw if len(self.rows) == 1 else b"".join([row.raw for row in self.rows])


def read_records(table: Table, system: System, folder: Files) -> Iterator[Record | Reject]:
    """The records of a table and the rows that are in none, in the order of the file.

    Raises TableUnreadable if a column that the estate names, or that this kind of record needs, is not there.
    """
    columns = Columns(table.columns, system, folder)
    read: dict[RecordKind, Callable[[Iterable[Row | Reject], Columns], Iterator[Record | Reject]]] = {
        "sales": _sales,
        "stock_counts": _stock_counts,
        "stock_adjustments": _stock_adjustments,
        "fulfillment": _fulfillment,
    }
    return read[kind_of(folder)](_rows(table), columns)


def _rows(table: Table) -> Iterator[Row | Reject]:
    """The rows, and what is none: that passes through the readers below, and parts no record."""
    for chunk in table:
        for bad in chunk.bad:
            yield Reject(bad.line, bad.field, bad.value, bad.expected, bad.reason, bad.cells)
        yield from chunk.rows


def rejects(record: Record, problem: Problem, columns: Columns) -> list[Reject]:
    """Why each row of a record that cannot be read was rejected, at least one for each of the rows that it still has."""
    found: dict[int, list[Reject]] = {row.line: [] for row in record.sources or record.rows}
    first = next(iter(found))
    by_line = {row.line: row for row in record.rows}
    for error in problem.errors:
        place = _LINE_PATH.match(error.field)
        line = first
        if place and int(place[1]) < len(record.sources):
            line = record.sources[int(place[1])].line
        field, cells = error.field.rpartition(".")[2], by_line[line].cells
        value = columns.cell(field, cells)
        shown = error.value if value is None else value
        found[line].append(Reject(line, columns.theirs(field), shown, error.expected, problem.reason, cells))
    guilty = next((line for line, reasons in found.items() if reasons), None)
    why = problem.explanation if guilty is None else f"a record that can be read: see row {guilty}"
    for line, reasons in found.items():
        if not reasons:
            reasons.append(Reject(line, "", "", why, problem.reason, by_line[line].cells))
    return [reject for reasons in found.values() for reject in reasons]


_LINE_PATH: Final = re.compile(r"lines\[(\d{1,6})\]")


# Sales: consecutive rows of one order


def _sales(rows: Iterable[Row | Reject], columns: Columns) -> Iterator[Record | Reject]:
    head_of, line_of = columns.getter(ORDER), columns.getter(LINE)
    order: Record | None = None
    head: list[str] = []
    line_fields = LINE[1:]
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        this = head_of(row.cells)
        if order is None or this[0] != head[0] or len(order.rows) >= RECORD_ROWS_MAX:
            if order is not None:
                yield _finished_order(order)
            if not this[0]:
                yield _reject(row, columns, "order_id", "", "an order's number", "missing_value")
                order = None
                continue
            goes_on = order is not None and this[0] == head[0]
            head = this
            order = Record("order.create", _order_fields(head), [], [])
            if goes_on:
                order.problem = _TOO_LONG
        elif this != head:
            _compare(order, head, this, columns)
        order.rows.append(row)
        quantity, *rest = line_of(row.cells)
        wrong = None if quantity.isdecimal() and quantity.strip("0") else _no_quantity(quantity)
        if wrong:
            order.refused += 1
            yield _reject(row, columns, "quantity", quantity, "more than zero", wrong)
            continue
        line: dict[str, object] = {"quantity": quantity}
        for name, value in zip(line_fields, rest, strict=True):
            if value:
                line[name] = value
        if "line_no" not in line:
            line["line_no"] = len(order.rows)
        order.sources.append(row)
        lines: list[object] = order.fields["lines"]  # type: ignore[assignment]
        lines.append(line)
    if order is not None:
        yield _finished_order(order)


_TOO_LONG: Final = Problem(
    reason="too_many_rows",
    explanation=f"an order has at most {RECORD_ROWS_MAX} rows, and these continue one that had as many already",
)
_NO_LINES: Final = Problem(reason="no_lines", explanation="every row of it was rejected, so that it has no line left")


def _order_fields(head: list[str]) -> dict[str, object]:
    given = {name: value for name, value in zip(ORDER, head, strict=True) if value}
    place = {name: given.pop(name) for name in PLACE if name in given}
    payment = {name: given.pop(name) for name in ("authorized", "captured") if name in given}
    fields: dict[str, object] = {**given, "lines": []}
    if place:
        fields["destination"] = place
    if payment:
        fields["payment"] = payment
    return fields


def _compare(order: Record, head: list[str], this: list[str], columns: Columns) -> None:
    """Further rows of an order may leave out what the first has said, but not say something else."""
    errors = [
        FieldError(columns.theirs(name), now, f"{before!r}, as the order's first row says")
        for name, before, now in zip(ORDER, head, this, strict=True)
        if now and now != before
    ]
    if errors and order.problem is None:
        order.problem = Problem(
            reason="contradicting_rows",
            explanation="the rows of this order do not agree about it",
            errors=tuple(
                FieldError(f"lines[{len(order.sources)}].{each.field}", each.value, each.expected) for each in errors
            ),
        )


def _finished_order(order: Record) -> Record:
    if not order.sources and order.problem is None:
        order.problem = _NO_LINES
    return order


# Stock: each row by itself


def _stock_counts(rows: Iterable[Row | Reject], columns: Columns) -> Iterator[Record | Reject]:
    values_of = columns.getter(COUNT)
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        fields: dict[str, object] = {n: v for n, v in zip(COUNT, values_of(row.cells), strict=True) if v}
        if "ref" not in fields and "occurred_at" in fields:
            fields["ref"] = fields["occurred_at"]  # a shelf is counted once at a time
        yield Record("stock.count", fields, [row], [])


def _stock_adjustments(rows: Iterable[Row | Reject], columns: Columns) -> Iterator[Record | Reject]:
    values_of = columns.getter(ADJUSTMENT)
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        fields: dict[str, object] = {n: v for n, v in zip(ADJUSTMENT, values_of(row.cells), strict=True) if v}
        yield Record("stock.adjust", fields, [row], [])


# Fulfillment: consecutive rows of one warehouse message


class _Done(NamedTuple):
    """What one row of a warehouse's message says."""

    line_no: str
    quantity: str
    warehouse_ref: str
    tracking: str
    carrier: str
    occurred_at: str


def _fulfillment(rows: Iterable[Row | Reject], columns: Columns) -> Iterator[Record | Reject]:
    key_of, done_of = columns.getter(EVENT), columns.getter(DONE)
    record: Record | None = None
    key: list[str] = []
    parts: list[_Done] = []
    for row in rows:
        if isinstance(row, Reject):
            yield row
            continue
        this = key_of(row.cells)
        if record is not None and (this != key or len(record.rows) >= RECORD_ROWS_MAX):
            yield _finished_message(record, key, parts, columns)
            goes_on, record = this == key, None
            if goes_on:
                record, parts = Record("", {}, [], [], problem=_TOO_LONG), []
        if record is None:
            record, key, parts = Record("", {}, [], []), this, []
        record.rows.append(row)
        done = _Done(*done_of(row.cells))
        wrong = _no_quantity(done.quantity) if done.line_no else None
        if wrong:
            record.refused += 1
            yield _reject(row, columns, "quantity", done.quantity, "more than zero", wrong)
            continue
        record.sources.append(row)
        parts.append(done)
    if record is not None:
        yield _finished_message(record, key, parts, columns)


def _finished_message(record: Record, key: list[str], parts: list[_Done], columns: Columns) -> Record:
    word, assignment, ref = key
    event = columns.system.states.get(word.casefold(), word)
    record.fields = {"assignment": assignment, "status": word}
    if ref:
        record.fields["ref"] = ref
    if event not in EVENTS:
        expected = f"a word that the estate maps, for {columns.system.id}, to one of {', '.join(EVENTS)}"
        record.problem = record.problem or Problem(
            reason="unknown_event",
            explanation=f"the estate does not say what {word!r} of {columns.system.id} means",
            errors=(FieldError("event", word, expected),),
        )
        return record
    record.action = EVENTS[event]
    if not parts:
        record.problem = record.problem or _NO_LINES
        return record
    _say_what_was_done(record, event, parts)
    return record


def _say_what_was_done(record: Record, event: str, parts: list[_Done]) -> None:
    fields = record.fields
    occurred_at = next((part.occurred_at for part in parts if part.occurred_at), "")
    warehouse_ref = next((part.warehouse_ref for part in parts if part.warehouse_ref), "")
    if occurred_at:
        fields["occurred_at"] = occurred_at
    if warehouse_ref and event == "acknowledged":
        fields["warehouse_ref"] = warehouse_ref
    if event == "acknowledged":
        return
    if EVENTS[event] == "shipment.reject":
        fields["reason"] = event
    partial = [part for part in parts if part.line_no]
    loose = [place for place, part in enumerate(parts) if not part.line_no and (partial or part.quantity)]
    if loose:
        record.problem = record.problem or Problem(
            reason="unreadable",
            explanation="a row names no line, but a quantity, or its neighbours name lines",
            errors=tuple(FieldError(f"lines[{place}].line_no", "", "the number of a line") for place in loose),
        )
    if partial:
        fields["lines"] = _units(partial)
    if event == "shipped":
        _say_how_it_left(fields, parts)


def _say_how_it_left(fields: dict[str, object], parts: list[_Done]) -> None:
    packages: dict[str, list[_Done]] = {}
    for part in parts:
        if part.tracking:
            packages.setdefault(part.tracking, []).append(part)
    carrier = next((part.carrier for part in parts if part.carrier), "")
    if carrier:
        fields["carrier"] = carrier
    if packages:
        fields["packages"] = [_package(tracking, inside) for tracking, inside in packages.items()]


def _package(tracking: str, inside: list[_Done]) -> dict[str, object]:
    package: dict[str, object] = {"tracking": tracking}
    carrier = next((part.carrier for part in inside if part.carrier), "")
    if carrier:
        package["carrier"] = carrier
    partial = [part for part in inside if part.line_no]
    if partial:
        package["lines"] = _units(partial)
    return package


def _units(parts: list[_Done]) -> list[dict[str, object]]:
    """Units by line. A line that is in two parcels has two rows: their quantities add up."""
    units: dict[str, str] = {}
    for part in parts:
        before = _number(units.get(part.line_no, "0"))
        more = _number(part.quantity)
        # What is no number stays as it is, for the mapping to complain about.
        is_sum = part.line_no in units and before is not None and more is not None
        units[part.line_no] = f"{before + more:f}" if is_sum else part.quantity  # type: ignore[operator]
    return [{"line_no": line_no, "quantity": quantity} for line_no, quantity in units.items()]


# Rows alone


def _reject(row: Row, columns: Columns, field: str, value: str, expected: str, reason: str) -> Reject:
    return Reject(row.line, columns.theirs(field), value, expected, reason, row.cells)


def _no_quantity(text: str) -> str | None:
    """Why a line of this quantity can be no line of an order; None where it can, or where it is no number at all."""
    number = _number(text)
    if number is None or number > 0:
        return None
    return "negative_quantity" if number < 0 else "zero_quantity"


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
