"""What other nodes are taken to have done: history's warehouses spoke of assignments that the candidate has not made.

Where the candidate has placed an order otherwise, a warehouse's word about history's assignment would be refused, and the
order would stand still for ever. Instead its nodes are taken to do what those of history did, when they did it: to
acknowledge, to pack and to ship the same units of the same lines, as far as the candidate holds them. What a node of history
could not find is left out: the others were not asked. So what differs is what the candidate decided, and not the silence of
warehouses that nobody asked.

    for arrival in stand_ins(arrival, events, order, estate, now): ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from interlock.domain.commands import (
    AcknowledgeShipment,
    AnyCommand,
    AssignmentCommand,
    ConfirmShipment,
    LineUnits,
    PackShipment,
    encode,
)
from interlock.domain.decision import Arrival
from interlock.domain.estate import Estate
from interlock.domain.events import AnyEvent, AssignmentAcknowledged, UnitsPacked, UnitsShipped
from interlock.domain.model import Order, Reservation
from interlock.domain.values import Quantity


def placed_alike(one: Order, other: Order) -> bool:
    """Whether two accounts of an order have given the same units of it to the same nodes, under the same numbers."""
    mine, theirs = one.reservations, other.reservations
    return mine.keys() == theirs.keys() and all(
        r.node == theirs[key].node and r.quantity == theirs[key].quantity for key, r in mine.items()
    )


def stand_ins(
    arrival: Arrival, events: Sequence[AnyEvent], order: Order, estate: Estate, now: datetime
) -> Iterator[Arrival]:
    """What the candidate's nodes say instead of this message, by what followed from it in history."""
    command = arrival.command
    if not isinstance(command, AssignmentCommand):
        return
    name = f"{command.ref}@{command.assignment_no}"
    for event in events:
        said: list[AnyCommand] = []
        match event:
            case AssignmentAcknowledged() if not any(isinstance(e, UnitsPacked | UnitsShipped) for e in events):
                said = [
                    AcknowledgeShipment(order_id=order.order_id, assignment_no=number, ref=name)
                    for number, mine in sorted(order.assignments.items())
                    if mine.acknowledged_at is None and any(r.held for r in order.held_at(number))
                ]
            case UnitsPacked():
                for number, units in _shared(order, event.units, packed=False):
                    said.append(
                        PackShipment(order_id=order.order_id, assignment_no=number, ref=name, lines=tuple(units))
                    )
            case UnitsShipped():
                for number, units in _shared(order, (*event.units, *event.after_cancel), packed=True):
                    said.append(
                        ConfirmShipment(
                            order_id=order.order_id,
                            assignment_no=number,
                            ref=name,
                            lines=tuple(units),
                            carrier=event.carrier,
                        )
                    )
        for each in said:
            yield _arrival(arrival, each, order, estate, now)


def _shared(order: Order, units: Sequence[LineUnits], *, packed: bool) -> Iterator[tuple[int, list[LineUnits]]]:
    """Units of lines over the assignments that hold them, by number: what was packed goes before what was not."""
    by_number: dict[int, list[LineUnits]] = {}
    for unit in units:
        left = unit.quantity
        held = [r for r in order.reservations.values() if r.line_no == unit.line_no and _can(r, packed=packed)]
        held.sort(key=lambda r: (-r.packed if packed else 0, r.assignment_no))
        for r in held:
            some = min(left, _can(r, packed=packed))
            if some:
                by_number.setdefault(r.assignment_no, []).append(LineUnits(unit.line_no, some))
                left -= some
    yield from sorted(by_number.items())


def _can(r: Reservation, *, packed: bool) -> Quantity:
    return r.held if packed else r.held - r.packed


def _arrival(arrival: Arrival, command: AnyCommand, order: Order, estate: Estate, now: datetime) -> Arrival:
    assert isinstance(command, AssignmentCommand)
    node = order.assignments[command.assignment_no].node
    return Arrival(
        message_id=_id(arrival.message_id, command),
        system=estate.nodes[node].system if node in estate.nodes else arrival.system,
        received_at=now,
        body=encode(command),
        content_type="application/json",
        command=command,
    )


def _id(message_id: UUID, command: AnyCommand) -> UUID:
    return uuid5(message_id, f"{command.action}/{command.key}")
