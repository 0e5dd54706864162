"""Events to orders: what each event changes, and the order that a history comes to.

`evolve` is the only code that changes an order, both when a decision is taken and when history is read again: so the tables
and the history cannot disagree by construction, and `interlock audit` proves that they do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from interlock.domain.events import (
    AnyEvent,
    AssignmentAcknowledged,
    AssignmentReleased,
    OrderClosed,
    OrderCreated,
    OrderReopened,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentVoided,
    RefundIssued,
    ReservationCanceled,
    ReturnAuthorized,
    ReturnCanceled,
    UnitsAllocated,
    UnitsBackordered,
    UnitsCanceled,
    UnitsPacked,
    UnitsRejected,
    UnitsReturned,
    UnitsShipped,
)
from interlock.domain.model import Assignment, Line, Order, Parcel, Reservation, Return, Shipment
from interlock.domain.values import Quantity


def fold(events: Iterable[AnyEvent]) -> Order:
    """The order as its events, in their order, leave it. The first must be `order.created`."""
    order: Order | None = None
    for event in events:
        order = evolve(order, event)
    if order is None:
        raise ValueError("there is no event to fold")
    return order


def evolve(order: Order | None, event: AnyEvent) -> Order:
    """Apply one event to the order (in place) and give it back; its `seq` counts the events applied.

    Raises ValueError where the event cannot belong to this history: that is our own mistake, never a peer's.
    """
    if isinstance(event, OrderCreated):
        if order is not None:
            raise ValueError(f"{event.order_id} is created twice")
        order = _created(event)
    elif order is None:
        raise ValueError(f"{event.type} comes before order.created")
    else:
        _change(order, event)
    order.seq += 1
    return order


def _change(order: Order, event: AnyEvent) -> None:
    match event:
        case UnitsAllocated():
            _allocate(order, event)
        case AssignmentReleased():
            order.assignments[event.assignment_no].released_at = event.at
            for mine in order.held_at(event.assignment_no):
                line = order.lines[mine.line_no]
                line.allocated -= mine.allocated
                line.released += mine.allocated
                mine.released += mine.allocated
                mine.allocated = 0
        case AssignmentAcknowledged():
            assignment = order.assignments[event.assignment_no]
            assignment.acknowledged_at = event.at
            assignment.warehouse_ref = event.warehouse_ref or assignment.warehouse_ref
        case UnitsPacked():
            for unit in event.units:
                _move(order, unit.line_no, event.assignment_no, unit.quantity, ("released", "allocated"), "packed")
        case UnitsShipped():
            _ship(order, event)
        case UnitsRejected():
            for unit in event.units:
                _move(order, unit.line_no, event.assignment_no, unit.quantity, _UNPACKED_FIRST, "rejected")
        case ReservationCanceled():
            for held in event.held:
                _move(order, held.line_no, held.assignment_no, held.quantity, ("allocated", "released"), "rejected")
        case UnitsCanceled():
            for unit in event.open:
                line = order.lines[unit.line_no]
                line.open -= unit.quantity
                line.canceled += unit.quantity
            for held in event.held:
                _move(order, held.line_no, held.assignment_no, held.quantity, ("allocated", "released"), "canceled")
        case UnitsBackordered():
            order.hold_attempts += 1
        case PaymentAuthorized():
            order.payment.authorized += event.amount
        case PaymentCaptured():
            order.payment.captured += event.amount
        case PaymentVoided():
            order.payment.authorized -= event.amount
        case RefundIssued():
            order.payment.refunded += event.amount
            for unit in event.units:
                order.lines[unit.line_no].refunded += unit.quantity
        case ReturnAuthorized():
            order.returns[event.ref] = Return(
                ref=event.ref, due={u.line_no: u.quantity for u in event.units}, received={}
            )
            for unit in event.units:
                order.lines[unit.line_no].return_due += unit.quantity
        case ReturnCanceled():
            for unit in event.units:
                order.returns[event.return_ref].due[unit.line_no] -= unit.quantity
                order.lines[unit.line_no].return_due -= unit.quantity
        case UnitsReturned():
            _return(order, event)
        case OrderClosed():
            order.closed_at = event.at
        case OrderReopened():
            order.closed_at = None
        case OrderCreated():
            raise ValueError(f"{event.order_id} is created twice")
        case _:
            assert_never(event)


def _created(event: OrderCreated) -> Order:
    return Order(
        order_id=event.order_id,
        system=event.system,
        channel=event.channel,
        number=event.number,
        currency=event.currency,
        placed_at=event.placed_at,
        created_at=event.created_at,
        time_zone=event.time_zone,
        word=event.word,
        fulfillment=event.fulfillment,
        destination=event.destination,
        pickup_node=event.pickup_node,
        customer=event.customer,
        recipient=event.recipient,
        total=event.total,
        tax=event.tax,
        shipping=event.shipping,
        lines={
            new.line_no: Line(
                line_no=new.line_no,
                sku=new.sku,
                quantity=new.quantity,
                uom=new.uom,
                unit_price=new.unit_price,
                source_sku=new.source_sku,
                open=new.quantity,
            )
            for new in event.lines
        },
    )


def _allocate(order: Order, event: UnitsAllocated) -> None:
    for number, node in event.nodes.items():
        order.assignments[number] = Assignment(assignment_no=number, node=node, created_at=event.at)
    for held in event.held:
        line = order.lines[held.line_no]
        line.open -= held.quantity
        line.allocated += held.quantity
        order.reservations[held.line_no, held.assignment_no] = Reservation(
            line_no=held.line_no,
            assignment_no=held.assignment_no,
            sku=line.sku,
            node=order.assignments[held.assignment_no].node,
            quantity=held.quantity,
            allocated=held.quantity,
        )


_HELD = ("packed", "released", "allocated")
# What a node cannot find it has not packed; only when all else is gone is a packed unit meant.
_UNPACKED_FIRST = ("released", "allocated", "packed")


def _move(
    order: Order, line_no: int, assignment_no: int, units: Quantity, sources: tuple[str, ...], target: str
) -> None:
    """Move held units of a reservation, and of its line with it, from the states named (in that order) to another."""
    held, line = order.reservations[line_no, assignment_no], order.lines[line_no]
    setattr(held, target, getattr(held, target) + units)
    goal = "open" if target == "rejected" else target
    setattr(line, goal, getattr(line, goal) + units)
    for state in sources:
        some = min(units, getattr(held, state))
        if some:
            setattr(held, state, getattr(held, state) - some)
            setattr(line, state, getattr(line, state) - some)
            units -= some
    if units:
        raise ValueError(
            f"{order.order_id} line {line_no}: {units} more units to {target} than assignment {assignment_no} holds"
        )


def _ship(order: Order, event: UnitsShipped) -> None:
    for unit in event.units:
        _move(order, unit.line_no, event.assignment_no, unit.quantity, _HELD, "shipped")
    for unit in event.after_cancel:
        held, line = order.reservations[unit.line_no, event.assignment_no], order.lines[unit.line_no]
        held.canceled -= unit.quantity
        line.canceled -= unit.quantity
        held.shipped += unit.quantity
        line.shipped += unit.quantity
    gone: dict[int, Quantity] = {}
    for unit in (*event.units, *event.after_cancel):
        gone[unit.line_no] = gone.get(unit.line_no, 0) + unit.quantity
    order.shipments[event.shipment_no] = Shipment(
        shipment_no=event.shipment_no,
        assignment_no=event.assignment_no,
        node=order.assignments[event.assignment_no].node,
        ref=event.ref,
        shipped_at=event.at,
        units=tuple(gone.items()),
        packages=tuple(
            Parcel(package_no=number, tracking=package.tracking, carrier=package.carrier or event.carrier)
            for number, package in enumerate(event.packages, 1)
        ),
    )


def _return(order: Order, event: UnitsReturned) -> None:
    expected = order.returns.get(event.return_ref)
    for unit in event.units:
        line = order.lines[unit.line_no]
        line.shipped -= unit.quantity
        line.returned += unit.quantity
        if expected is not None:
            before = expected.received.get(unit.line_no, 0)
            awaited = max(0, expected.due.get(unit.line_no, 0) - before)
            line.return_due -= min(awaited, unit.quantity, line.return_due)
            expected.received[unit.line_no] = before + unit.quantity
        # What came back by another road, or without a number, is not awaited any more.
        beyond = line.return_due - line.shipped
        for mine in order.returns.values() if beyond > 0 else ():
            some = min(beyond, max(0, mine.due.get(unit.line_no, 0) - mine.received.get(unit.line_no, 0)))
            if some:
                mine.due[unit.line_no] -= some
                line.return_due -= some
                beyond -= some
