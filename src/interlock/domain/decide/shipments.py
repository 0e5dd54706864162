"""shipment.release, .acknowledge, .pack, .confirm and .reject: what we tell nodes, and what they tell us."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from interlock.domain.commands import (
    AcknowledgeShipment,
    AssignmentCommand,
    ConfirmShipment,
    LineUnits,
    PackShipment,
    RejectShipment,
    ReleaseShipment,
)
from interlock.domain.decide import releases, reservations
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.events import AssignmentAcknowledged, UnitsPacked, UnitsRejected, UnitsShipped
from interlock.domain.model import Reservation
from interlock.domain.values import Quantity, plain


def release(draft: Draft, command: ReleaseShipment) -> None:
    """Tell the nodes to start. docs/lifecycle.md#shipmentrelease"""
    if not releases.release_allocated(draft, command.assignment_no):
        if command.assignment_no is None and any(line.open for line in draft.order.lines.values()):
            draft.wait("allocation")
            return
        raise Refusal("nothing_allocated", f"{draft.order.order_id} holds no unit that waits for its release")


def acknowledge(draft: Draft, command: AcknowledgeShipment) -> None:
    """The node has taken it: its clock stops. docs/lifecycle.md#shipmentacknowledge"""
    _answered(draft, command, command.warehouse_ref)


def pack(draft: Draft, command: PackShipment) -> None:
    """Units are packed; canceling them is too late from now on. docs/lifecycle.md#shipmentpack"""
    units = [
        LineUnits(held.line_no, asked) for held, asked in _asked(draft, command.assignment_no, command.lines) if asked
    ]
    over = [u for u in units if u.quantity > _unpacked(draft, command.assignment_no, u.line_no)]
    if over and command.lines:
        raise Refusal("not_held", _more_than_held(draft, command.assignment_no, over), "lines")
    packed = tuple(
        LineUnits(u.line_no, min(u.quantity, unpacked))
        for u in units
        if (unpacked := _unpacked(draft, command.assignment_no, u.line_no))
    )
    if not packed:
        raise Refusal("not_held", f"assignment {command.assignment_no} holds no unit that is not packed")
    _answered(draft, command)
    draft.record(UnitsPacked(assignment_no=command.assignment_no, units=packed))


def confirm(draft: Draft, command: ConfirmShipment) -> None:
    """Goods left: never refused, only explained. docs/lifecycle.md#shipmentconfirm"""
    order, number = draft.order, command.assignment_no
    shipped_before = list(order.shipments.values())
    units: list[LineUnits] = []
    after_cancel: list[LineUnits] = []
    over: list[LineUnits] = []
    early = False
    for held, asked in _asked(draft, number, command.lines):
        mine = min(asked, held.held)
        early = early or bool(held.allocated)
        line = order.lines[held.line_no]
        # Units whose money went back stay canceled, whatever the goods did.
        unrefunded = max(0, line.canceled + line.returned - line.refunded)
        late = min(asked - mine, held.canceled, line.canceled, unrefunded)
        if mine:
            units.append(LineUnits(held.line_no, mine))
        if late:
            after_cancel.append(LineUnits(held.line_no, late))
        if asked > mine + late:
            over.append(LineUnits(held.line_no, asked - mine - late))
    if units or after_cancel:
        _answered(draft, command)
        draft.record(
            UnitsShipped(
                shipment_no=len(order.shipments) + 1,
                assignment_no=number,
                ref=command.ref,
                at=command.occurred_at or draft.world.now,
                units=tuple(units),
                after_cancel=tuple(after_cancel),
                packages=command.packages,
                carrier=command.carrier,
                word=command.word,
            )
        )
        kept = {u.line_no: u.quantity for u in units}
        for unit in _sum([*units, *after_cancel]):
            held = order.reservations[unit.line_no, number]
            draft.move(
                "ship",
                held.sku,
                held.node,
                draft.cause(unit.line_no),
                physical=-unit.quantity,
                reserved=-kept.get(unit.line_no, 0),
            )
    name = f"{order.order_id}/{number}"
    if early:
        draft.trouble("shipped_without_release", name, f"{name} left its node before it was released")
    if after_cancel:
        draft.trouble(
            "shipped_after_cancel", f"{name}/{command.ref}", f"{name}: {_told(after_cancel)} shipped after canceled"
        )
    told_before = any(s.ref == command.ref and s.assignment_no == number for s in shipped_before)
    if over and not told_before:
        draft.trouble(
            "over_shipped", f"{name}/{command.ref}", f"{name}: {_told(over)} shipped beyond what the node held"
        )
    if not units and not after_cancel:
        draft.decision.outcome = "stale"
        draft.decision.reason = "nothing_held"


def reject(draft: Draft, command: RejectShipment) -> None:
    """The node cannot: its stock is corrected, it is left out for a time, the rest is sourced again.

    docs/lifecycle.md#shipmentreject
    """
    order, number, now = draft.order, command.assignment_no, draft.world.now
    asked = _asked(draft, number, command.lines)
    over = [LineUnits(held.line_no, units) for held, units in asked if units > held.held]
    if over:
        raise Refusal("not_held", _more_than_held(draft, number, over), "lines")
    units = tuple(LineUnits(held.line_no, some) for held, some in asked if some)
    if not units:
        raise Refusal("not_held", f"assignment {number} holds no unit")
    _answered(draft, command)
    draft.record(UnitsRejected(assignment_no=number, reason=command.reason, units=units))
    policy = draft.world.estate.channels[order.channel].sourcing
    for unit in units:
        held = order.reservations[unit.line_no, number]
        gone = unit.quantity if command.reason in ("short_pick", "not_found") else 0
        draft.move(
            command.reason,
            held.sku,
            held.node,
            draft.cause(unit.line_no),
            physical=-gone,
            unsellable=unit.quantity if command.reason == "damaged" else 0,
            reserved=-unit.quantity,
        )
        draft.exclude(held.sku, held.node, now + timedelta(seconds=policy.exclusion_s), command.reason)
    reservations.source(draft, {u.line_no: order.lines[u.line_no].open for u in units})


def _answered(draft: Draft, command: AssignmentCommand, warehouse_ref: str = "") -> None:
    """Whatever the node says answers its release."""
    assignment = draft.order.assignments[command.assignment_no]
    draft.decision.answered.append(command.assignment_no)
    if assignment.acknowledged_at is None:
        draft.record(
            AssignmentAcknowledged(assignment_no=command.assignment_no, at=draft.world.now, warehouse_ref=warehouse_ref)
        )


def _asked(draft: Draft, number: int, lines: Sequence[LineUnits]) -> list[tuple[Reservation, Quantity]]:
    """The reservations that a message speaks of, with its units; all that is held where it names none."""
    order = draft.order
    if not lines:
        return [(held, held.held) for held in order.held_at(number)]
    asked = []
    for unit in _sum(lines):
        held = order.reservations.get((unit.line_no, number))
        if held is None:
            raise Refusal(
                "no_line", f"assignment {order.order_id}/{number} holds nothing of line {unit.line_no}", "lines"
            )
        asked.append((held, unit.quantity))
    return asked


def _unpacked(draft: Draft, number: int, line_no: int) -> Quantity:
    held = draft.order.reservations[line_no, number]
    return held.allocated + held.released


def _sum(units: Sequence[LineUnits]) -> list[LineUnits]:
    total: dict[int, Quantity] = {}
    for unit in units:
        total[unit.line_no] = total.get(unit.line_no, 0) + unit.quantity
    return [LineUnits(line_no, plain(quantity)) for line_no, quantity in total.items()]


def _told(units: Sequence[LineUnits]) -> str:
    return ", ".join(f"{u.quantity} of line {u.line_no}" for u in units)


def _more_than_held(draft: Draft, number: int, over: Sequence[LineUnits]) -> str:
    return f"{_told(over)} is more than assignment {draft.order.order_id}/{number} holds"
