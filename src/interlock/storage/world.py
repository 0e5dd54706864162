"""Load what a batch must see: its orders with all their parts, and every node's stock of their SKUs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date

import msgspec

from interlock.domain.estate import Estate, Place, Recipient
from interlock.domain.model import Assignment, Line, Order, Parcel, Payment, Position, Reservation, Return, Shipment
from interlock.domain.values import NodeId, OrderId, Sku, part_of, plain
from interlock.storage.arrays import SmallInts, Texts
from interlock.storage.database import Pending, Transaction, queries

q = queries(__file__)

_place = msgspec.json.Decoder(Place).decode
_recipient = msgspec.json.Decoder(Recipient).decode


def load_orders(tx: Transaction, part: int, order_ids: Collection[OrderId]) -> dict[OrderId, Order]:
    """The orders of one part that exist among these, whole. All tables are asked in one round trip."""
    ids = Texts(sorted(order_ids))
    with tx.pipeline():
        headers, lines, payments, assignments, reservations, shipments, packages, returns = (
            tx.send(query, part=part, order_ids=ids)
            for query in (
                q.orders_many,
                q.lines_many,
                q.payments_many,
                q.assignments_many,
                q.reservations_many,
                q.shipments_many,
                q.packages_many,
                q.returns_many,
            )
        )
        orders = _headers(headers)
        _lines(orders, lines)
        for order_id, *amounts in payments.rows():
            orders[order_id].payment = Payment(authorized=amounts[0], captured=amounts[1], refunded=amounts[2])
        for order_id, number, node, created_at, released_at, acknowledged_at, warehouse_ref in assignments.rows():
            orders[order_id].assignments[number] = Assignment(
                assignment_no=number,
                node=node,
                created_at=created_at,
                released_at=released_at,
                acknowledged_at=acknowledged_at,
                warehouse_ref=warehouse_ref,
            )
        _reservations(orders, reservations)
        _shipments(orders, shipments, packages)
        for order_id, ref, line_no, due, received in returns.rows():
            mine = orders[order_id].returns.setdefault(ref, Return(ref=ref, due={}, received={}))
            if due:
                mine.due[line_no] = plain(due)
            if received:
                mine.received[line_no] = plain(received)
    return orders


def ask_positions(tx: Transaction, skus: Iterable[Sku], *, locked: bool) -> Pending:
    """Ask for all nodes' positions of these SKUs; read the answer with `positions`."""
    asked = sorted({(part_of(sku), sku) for sku in skus})
    return tx.send(
        q.positions_many_locked if locked else q.positions_many,
        parts=SmallInts([part for part, _ in asked]),
        skus=Texts([sku for _, sku in asked]),
    )


def positions(asked: Pending, estate: Estate) -> dict[Sku, dict[NodeId, Position]]:
    """What `ask_positions` found; a SKU without a row at a node has no stock there."""
    buffered = bool(estate.buffers)
    world: dict[Sku, dict[NodeId, Position]] = {}
    for sku, node, physical, unsellable, reserved, until in asked.rows():
        buffer = estate.buffer(sku, node) if buffered and node in estate.nodes else 0
        mine = world.get(sku)
        if mine is None:
            mine = world[sku] = {}
        sellable = physical - unsellable - reserved - buffer
        mine[node] = Position(physical, unsellable, reserved, buffer, sellable, until)
    return world


def load_node_days(tx: Transaction, days: Mapping[NodeId, date], *, locked: bool) -> dict[NodeId, int]:
    """How many orders each node was given on its day so far; a node without a row has none."""
    if not days:
        return {}
    asked = sorted((part_of(node), node, day) for node, day in days.items())
    columns = {
        "parts": SmallInts([part for part, _, _ in asked]),
        "nodes": Texts([node for _, node, _ in asked]),
        "days": Texts([day.isoformat() for _, _, day in asked]),
    }
    if locked:
        tx.send(q.new_node_days, **columns)
    rows = tx.query(q.node_days_many_locked if locked else q.node_days_many, **columns)
    return dict(rows)


def _headers(headers: Pending) -> dict[OrderId, Order]:
    orders: dict[OrderId, Order] = {}
    for (
        order_id, system, channel, number, currency, placed_at, created_at, time_zone, word, fulfillment,
        destination, pickup_node, customer, recipient, total, tax, shipping, seq, hold_attempts, closed_at, wake_at,
    ) in headers.rows():  # fmt: skip
        orders[order_id] = Order(
            order_id=order_id,
            system=system,
            channel=channel,
            number=number,
            currency=currency,
            placed_at=placed_at,
            created_at=created_at,
            time_zone=time_zone,
            word=word,
            fulfillment=fulfillment,
            destination=_place(destination) if destination is not None else None,
            pickup_node=pickup_node,
            customer=customer,
            recipient=_recipient(recipient) if recipient is not None else None,
            total=total,
            tax=tax,
            shipping=shipping,
            seq=seq,
            hold_attempts=hold_attempts,
            closed_at=closed_at,
            wake_at=wake_at,
        )
    return orders


def _lines(orders: dict[OrderId, Order], lines: Pending) -> None:
    for order_id, line_no, sku, quantity, uom, unit_price, source_sku, *counts in lines.rows():
        orders[order_id].lines[line_no] = Line(
            line_no=line_no,
            sku=sku,
            quantity=plain(quantity),
            uom=uom,
            unit_price=unit_price,
            source_sku=source_sku,
            **dict(zip(LINE_COUNTS, map(plain, counts), strict=True)),
        )


def _reservations(orders: dict[OrderId, Order], reservations: Pending) -> None:
    for order_id, line_no, number, sku, node, quantity, *counts in reservations.rows():
        orders[order_id].reservations[line_no, number] = Reservation(
            line_no=line_no,
            assignment_no=number,
            sku=sku,
            node=node,
            quantity=plain(quantity),
            **dict(zip(RESERVATION_COUNTS, map(plain, counts), strict=True)),
        )


def _shipments(orders: dict[OrderId, Order], shipments: Pending, packages: Pending) -> None:
    parcels: dict[tuple[OrderId, int], list[Parcel]] = {}
    for order_id, number, package_no, tracking, carrier in packages.rows():
        parcel = Parcel(package_no=package_no, tracking=tracking, carrier=carrier)
        parcels.setdefault((order_id, number), []).append(parcel)
    for order_id, number, assignment_no, node, ref, shipped_at, line_nos, quantities in shipments.rows():
        orders[order_id].shipments[number] = Shipment(
            shipment_no=number,
            assignment_no=assignment_no,
            node=node,
            ref=ref,
            shipped_at=shipped_at,
            units=tuple(zip(line_nos or (), map(plain, quantities or ()), strict=True)),
            packages=tuple(parcels.get((order_id, number), ())),
        )


LINE_COUNTS = (
    "open", "allocated", "released", "packed", "shipped", "canceled", "returned", "refunded", "return_due",
)  # fmt: skip
RESERVATION_COUNTS = ("allocated", "released", "packed", "shipped", "canceled", "rejected")
