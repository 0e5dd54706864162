"""Interlock's books, read from whichever store is behind the port: orders, stock, and work for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from interlock.domain.model import Order
from interlock.domain.values import PARTS, NodeId, OrderId, Quantity, Sku
from interlock.simulation.memory import MemoryInterlock
from interlock.simulation.on_postgres import PostgresInterlock
from interlock.simulation.port import InterlockPort
from interlock.storage.arrays import SmallInts
from interlock.storage.database import Database, queries
from interlock.storage.world import load_orders

q = queries(__file__)

_ALL = SmallInts(range(PARTS))


class Books(msgspec.Struct, frozen=True):
    """What Interlock knows. `physical` is by SKU and node; `exceptions` are the open ones: subject and id."""

    orders: Mapping[OrderId, Order]
    physical: Mapping[tuple[Sku, NodeId], Quantity]
    exceptions: Sequence[tuple[str, str]]


def books_of(port: InterlockPort) -> Books:
    """Read everything. Raises TypeError for a port whose store is not known here."""
    if isinstance(port, MemoryInterlock):
        store = port.store
        return Books(
            orders=store.orders,
            physical={(sku, node): p.physical for sku, nodes in store.positions.items() for node, p in nodes.items()},
            exceptions=[key for key, row in store.exceptions.items() if row.evidence is None],
        )
    if isinstance(port, PostgresInterlock):
        return _from_database(port)
    raise TypeError(f"the books of {type(port).__name__} cannot be read")


def is_empty(db: Database) -> bool:
    """Whether no message ever came to this database."""
    return not db.transaction(lambda tx: tx.query(q.any_message, parts=_ALL))


def _from_database(port: PostgresInterlock) -> Books:
    orders: dict[OrderId, Order] = {}
    for part in range(PARTS):
        orders.update(
            port.db.transaction(
                lambda tx, part=part: load_orders(tx, part, {row[0] for row in tx.query(q.order_ids, part=part)})  # type: ignore[misc]
            )
        )
    stock = port.db.transaction(lambda tx: tx.query(q.physical, parts=_ALL))
    troubles = port.db.transaction(lambda tx: tx.query(q.open_exceptions, parts=_ALL))
    return Books(
        orders=orders,
        physical={(row[0], row[1]): row[2] for row in stock},
        exceptions=[(row[0], row[1]) for row in troubles],
    )
