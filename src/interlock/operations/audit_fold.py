"""History read again: every order's events, folded, give exactly the rows of its tables.

Orders are taken part by part and in the order of their key, a few hundred at a time, so memory is bounded whatever their
number. Their folded histories are laid out as the rows that the tables should hold, and compared table by table; only
where a table differs is it looked at row by row. `wake_at` is left out: it is our own timer, not history. The states that
are derived from units are proved by SQL, in audit.sql.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from interlock.domain import events
from interlock.domain.estate import Place, Recipient
from interlock.domain.evolve import fold
from interlock.domain.model import Line, Order, Reservation
from interlock.domain.values import OrderId, part_of
from interlock.storage.arrays import Texts
from interlock.storage.database import Query, Transaction, queries

q = queries(__file__)

ORDERS_MAX: Final = 500
DIFFERENCES_MAX: Final = 8
PROGRESS_EVERY: Final = 5_000

Row = dict[str, Any]
Cells = tuple[Any, ...]


def fold_all(tx: Transaction, rows_max: int, tell: Callable[[str], None]) -> tuple[int, list[Row]]:
    """How many orders are not what their events make of them, and the first of them with what differs."""
    rows: list[Row] = []
    count = done = 0
    orders: int = tx.query(q.count_orders)[0][0]
    for part, order_ids in _chunks(tx):
        for order_id, wrong in _fold_many(tx, part, order_ids).items():
            if not wrong:
                continue
            count += 1
            if len(rows) < rows_max:
                found = {"part": part, "order_id": order_id}
                rows.append({**found, "wrong": wrong[:DIFFERENCES_MAX], "wrong_total": len(wrong)})
        before, done = done, done + len(order_ids)
        if done // PROGRESS_EVERY > before // PROGRESS_EVERY or done == orders:
            tell(f"history_whole: {done:,} of {orders:,} orders folded")
    return count, rows


def _chunks(tx: Transaction) -> Iterator[tuple[int, list[OrderId]]]:
    for (part,) in tx.query(q.parts_of_orders):
        last = ""
        while found := tx.query(q.orders_after, part=part, order_id=last, limit=ORDERS_MAX):
            yield part, [row[0] for row in found]
            last = found[-1][0]


def _fold_many(tx: Transaction, part: int, order_ids: Sequence[OrderId]) -> dict[OrderId, list[str]]:
    """What is wrong with each of these orders of one part."""
    ids = Texts(order_ids)
    with tx.pipeline():
        asked = [tx.send(query, part=part, order_ids=ids) for query in (q.events_many, *(t.query for t in _TABLES))]
        history, *tables = [answer.rows() for answer in asked]
    bodies: dict[OrderId, list[tuple[str, str]]] = {order_id: [] for order_id in order_ids}
    for order_id, kind, body in history:
        bodies[order_id].append((kind, body))
    wrong: dict[OrderId, list[str]] = {order_id: [] for order_id in order_ids}
    folded: dict[OrderId, Order] = {}
    for order_id in order_ids:
        if part != part_of(order_id):
            wrong[order_id].append(f"it is in part {part}, where nobody looks: its part is {part_of(order_id)}")
        order = _fold(bodies[order_id], wrong[order_id])
        if order is not None:
            folded[order_id] = order
    for table, kept in zip(_TABLES, tables, strict=True):
        told = [(order_id, *cells) for order_id, order in folded.items() for cells in table.rows(order)]
        if table is _ORDERS:
            kept = [_with_json_read(row) for row in kept]
        if kept != told:
            _compare(table, [row for row in kept if row[0] in folded], told, wrong)
    return wrong


def _fold(history: Sequence[tuple[str, str]], wrong: list[str]) -> Order | None:
    try:
        told = [events.decode(body) for _, body in history]
        order = fold(told)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # what msgspec cannot read is a ValueError
        wrong.append(f"its events cannot be folded: {type(error).__name__}: {error}")
        return None
    for place, ((kind, _), event) in enumerate(zip(history, told, strict=True), 1):
        if kind != event.type:
            wrong.append(f"event {place} is kept as {kind} and says {event.type}")
    return order


class _Table(NamedTuple):
    """A table of the order family: what is read of it (order id, key, the rest), and the same rows of a folded order."""

    name: str
    query: Query
    keys: int
    columns: tuple[str, ...]
    rows: Callable[[Order], Iterator[Cells]]


def _compare(table: _Table, kept: Sequence[Cells], told: Sequence[Cells], wrong: Mapping[OrderId, list[str]]) -> None:
    """Add what differs between the table's rows and those that history tells of."""
    width = table.keys + 1
    kept_by = {row[:width]: row for row in kept}
    told_by = {row[:width]: row for row in told}
    for key in {**kept_by, **told_by}:
        mine, theirs = kept_by.get(key), told_by.get(key)
        if mine == theirs:
            continue
        name = " ".join([table.name, "/".join(map(str, key[1:]))]).strip()
        if mine is None or theirs is None:
            wrong[key[0]].append(f"{name}: {'it is missing' if mine is None else 'history does not know it'}")
            continue
        for column, here, there in zip(table.columns, mine[width:], theirs[width:], strict=True):
            if here != there:
                wrong[key[0]].append(f"{name}: {column} is {_said(here)}, history says {_said(there)}")


def _said(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case "":
            return "empty"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case msgspec.Struct():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)


_readers: Final[dict[str, Callable[[str], Any]]] = {
    "destination": msgspec.json.Decoder(Place).decode,
    "recipient": msgspec.json.Decoder(Recipient).decode,
}
"""What stands in a row as JSON, and how it is read."""


def _read(name: str, text: str | None) -> Any:
    try:
        return None if text is None else _readers[name](text)
    except msgspec.DecodeError:
        return text  # which is none, and differs from all


def _with_json_read(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row of an order, its JSON as values."""
    cells = list(row)
    for name in _readers:
        place = 1 + _ORDERS.columns.index(name)
        cells[place] = _read(name, cells[place])
    return tuple(cells)


# The rows that a folded order should have, in the order of their keys.


def _order(o: Order) -> Iterator[Cells]:
    yield (
        o.system, o.channel, o.number, o.currency, o.placed_at, o.created_at, o.time_zone, o.word, o.fulfillment,
        o.destination, o.pickup_node, o.customer, o.recipient, o.total, o.tax, o.shipping, o.seq, o.hold_attempts, o.closed_at,
    )  # fmt: skip


def _lines(order: Order) -> Iterator[Cells]:
    for _, line in sorted(order.lines.items()):
        yield astuple(line)


def _payment(order: Order) -> Iterator[Cells]:
    yield order.currency, order.payment.authorized, order.payment.captured, order.payment.refunded


def _assignments(order: Order) -> Iterator[Cells]:
    for number, a in sorted(order.assignments.items()):
        yield number, a.node, a.created_at, a.released_at, a.acknowledged_at, a.warehouse_ref


def _reservations(order: Order) -> Iterator[Cells]:
    for _, reservation in sorted(order.reservations.items()):
        yield astuple(reservation)


def _shipments(order: Order) -> Iterator[Cells]:
    for number, s in sorted(order.shipments.items()):
        yield number, s.assignment_no, s.node, s.ref, s.shipped_at


def _shipment_lines(order: Order) -> Iterator[Cells]:
    for number, shipment in sorted(order.shipments.items()):
        for line_no, units in sorted(shipment.units):
            yield number, line_no, units


def _packages(order: Order) -> Iterator[Cells]:
    for number, shipment in sorted(order.shipments.items()):
        for parcel in shipment.packages:
            yield number, parcel.package_no, parcel.tracking, parcel.carrier


def _return_lines(order: Order) -> Iterator[Cells]:
    for ref, mine in sorted(order.returns.items()):
        for line_no in sorted(mine.due.keys() | mine.received.keys()):
            yield ref, line_no, mine.due.get(line_no, 0), mine.received.get(line_no, 0)


_ORDERS: Final = _Table(
    "orders",
    q.orders_many,
    0,
    (
        *("system", "channel", "number", "currency", "placed_at", "created_at", "time_zone", "word", "fulfillment"),
        *(
            "destination",
            "pickup_node",
            "customer",
            "recipient",
            "total",
            "tax",
            "shipping",
            "seq",
            "hold_attempts",
            "closed_at",
        ),
    ),
    _order,
)
_TABLES: Final = (
    _ORDERS,
    _Table("lines", q.lines_many, 1, Line.__struct_fields__[1:], _lines),
    _Table("payments", q.payments_many, 0, ("currency", "authorized", "captured", "refunded"), _payment),
    _Table(
        "assignments",
        q.assignments_many,
        1,
        ("node", "created_at", "released_at", "acknowledged_at", "warehouse_ref"),
        _assignments,
    ),
    _Table("reservations", q.reservations_many, 2, Reservation.__struct_fields__[2:], _reservations),
    _Table("shipments", q.shipments_many, 1, ("assignment_no", "node", "ref", "shipped_at"), _shipments),
    _Table("shipment_lines", q.shipment_lines_many, 2, ("quantity",), _shipment_lines),
    _Table("packages", q.packages_many, 2, ("tracking", "carrier"), _packages),
    _Table("return_lines", q.return_lines_many, 2, ("due", "received"), _return_lines),
)
