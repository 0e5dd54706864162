"""What must be true of the whole database after anything: history folds to the tables, stock is the sum of its movements."""

from __future__ import annotations

from typing import Any

from interlock.domain import events
from interlock.domain.estate import Estate
from interlock.domain.evolve import fold
from interlock.domain.model import Order, Position
from interlock.domain.values import NodeId, OrderId, Sku, part_of
from interlock.storage.database import Database
from interlock.storage.world import load_orders
from tests.domain.worlds import check_units


def rows(db: Database, query: str, **params: Any) -> list[tuple[Any, ...]]:
    """The answer to a question that only a test asks."""
    return db.transaction(lambda tx: tx.query(query, **params))


def stored_orders(db: Database) -> dict[OrderId, Order]:
    """Every order that the database holds, whole."""
    found: dict[OrderId, Order] = {}
    ids: dict[int, list[OrderId]] = {}
    for part, order_id in rows(db, "select part, order_id from orders"):
        assert part == part_of(order_id)
        ids.setdefault(part, []).append(order_id)
    for part, mine in ids.items():
        found.update(db.transaction(lambda tx, part=part, mine=mine: load_orders(tx, part, mine)))
    return found


def check_database(db: Database, estate: Estate | None = None) -> None:
    """Assert what is always true, of all rows. With an estate, that no node's day went beyond its capacity as well."""
    orders = stored_orders(db)
    histories: dict[OrderId, list[events.AnyEvent]] = {}
    for order_id, seq, body in rows(db, "select order_id, seq, body::text from events order by order_id, seq"):
        history = histories.setdefault(order_id, [])
        history.append(events.decode(body))
        assert seq == len(history), f"{order_id} has a gap in its history"
    assert histories.keys() == orders.keys()
    for order_id, history in histories.items():
        folded = fold(history)
        folded.wake_at = orders[order_id].wake_at  # a timer, no fact
        for mine in folded.returns.values():
            mine.due = {line_no: units for line_no, units in mine.due.items() if units}  # nothing due is not loaded
        assert folded == orders[order_id]
    states = dict(rows(db, "select order_id, state from orders"))
    assert states == {order_id: str(order.state) for order_id, order in orders.items()}

    positions: dict[Sku, dict[NodeId, Position]] = {}
    for sku, node, physical, unsellable, reserved in rows(
        db, "select sku, node, physical, unsellable, reserved from positions"
    ):
        layers = Position(physical, unsellable, reserved, 0, physical - unsellable - reserved)
        positions.setdefault(sku, {})[node] = layers
    check_units(orders.values(), positions)
    unbalanced = rows(
        db,
        "select p.sku, p.node from positions p full join"
        " (select part, sku, node, sum(physical) as physical, sum(unsellable) as unsellable, sum(reserved) as reserved"
        "    from movements group by part, sku, node) m using (part, sku, node)"
        " where (p.physical, p.unsellable, p.reserved) is distinct from (m.physical, m.unsellable, m.reserved)",
    )
    assert unbalanced == []
    doubled = rows(db, "select message_id from messages group by message_id having count(*) > 1")
    assert doubled == []
    if estate is not None:
        for node, most in rows(db, "select node, max(orders) from node_days group by node"):
            capacity = estate.nodes[node].capacity_orders_per_day
            assert capacity is not None
            assert most <= capacity


def outcomes(db: Database) -> dict[str | None, int]:
    """How many messages came to what; None is what still waits."""
    return dict(rows(db, "select outcome, count(*) from messages group by outcome"))


def exceptions(db: Database) -> list[tuple[str, str, int]]:
    """Open exceptions: (subject, id, how often it was seen)."""
    return rows(
        db, "select subject, exception_id, times from exceptions where closed_at is null order by subject, exception_id"
    )


def sold(db: Database, sku: str, node: str = "n1") -> tuple[int, int]:
    """Physical and reserved units of a SKU at a node."""
    ((physical, reserved),) = rows(
        db, "select physical, reserved from positions where sku = %(sku)s and node = %(node)s", sku=sku, node=node
    )
    return int(physical), int(reserved)
