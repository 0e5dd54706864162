"""History read again: every order's events, folded, give exactly the rows of its tables.

Orders are taken part by part and in the order of their key, a few hundred at a time, so memory is bounded whatever their
number. `wake_at` is left out: it is our own timer, not history. Derived states are proved by SQL, in audit.sql.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from interlock.domain import events
from interlock.domain.model import Order
from interlock.domain.values import OrderId, part_of
from interlock.storage.arrays import Texts
from interlock.storage.database import Transaction, queries
from interlock.storage.world import load_orders

q = queries(__file__)

ORDERS_MAX: Final = 500
DIFFERENCES_MAX: Final = 8
PROGRESS_EVERY: Final = 5_000

Row = dict[str, Any]


def fold_all(tx: Transaction, rows_max: int, tell: Callable[[str], None]) -> tuple[int, list[Row]]:
    """How many orders are not what their events make of them, and the first of them with what differs."""
    rows: list[Row] = []
    count = done = 0
    orders: int = tx.query(q.count_orders)[0][0]
    for part, order_ids in _chunks(tx):
        for row in _fold_many(tx, part, order_ids):
            count += 1
            if len(rows) < rows_max:
                rows.append(row)
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


def _fold_many(tx: Transaction, part: int, order_ids: Sequence[OrderId]) -> Iterator[Row]:
    history: dict[OrderId, list[tuple[str, str]]] = {order_id: [] for order_id in order_ids}
    for order_id, kind, body in tx.query(q.events_many, part=part, order_ids=Texts(order_ids)):
        history[order_id].append((kind, body))
    kept = load_orders(tx, part, order_ids)
    for order_id in order_ids:
        wrong = _wrong(kept[order_id], history[order_id])
        if part != part_of(order_id):
            wrong = [f"it is in part {part}, where nobody looks: part_of says {part_of(order_id)}", *wrong]
        if wrong:
            yield {"part": part, "order_id": order_id, "wrong": wrong[:DIFFERENCES_MAX], "wrong_total": len(wrong)}


def _wrong(kept: Order, history: Sequence[tuple[str, str]]) -> list[str]:
    try:
        told = [events.decode(body) for _, body in history]
        folded = events.fold(told)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # a body that does not read is a ValueError too
        return [f"its events cannot be folded: {type(error).__name__}: {error}"]
    wrong = [
        f"event {seq} is kept as {kind} and says {event.type}"
        for seq, ((kind, _), event) in enumerate(zip(history, told, strict=True), 1)
        if kind != event.type
    ]
    kept.wake_at = folded.wake_at = None
    for shipment in folded.shipments.values():
        shipment.units = tuple(sorted(shipment.units))
    if kept == folded:
        return wrong
    return wrong + [
        f"{path}: the table has {_said(table)}, history {_said(told_value)}"
        for path, table, told_value in _differences("", kept, folded)
    ]


def _differences(path: str, kept: Any, folded: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two values differ: the path to the smallest difference, and both sides."""
    if kept == folded:
        return
    if isinstance(kept, dict) and isinstance(folded, dict):
        for key in {**kept, **folded}:
            name = "/".join(map(str, key)) if isinstance(key, tuple) else key
            yield from _differences(f"{path}[{name}]", kept.get(key), folded.get(key))
    elif isinstance(kept, msgspec.Struct) and type(kept) is type(folded):
        for field in kept.__struct_fields__:
            inner = f"{path}.{field}" if path else field
            yield from _differences(inner, getattr(kept, field), getattr(folded, field))
    else:
        yield path, kept, folded


def _said(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case msgspec.Struct() | dict() | tuple():
            return msgspec.json.encode(value, enc_hook=str).decode()[:200]
        case _:
            return str(value)
