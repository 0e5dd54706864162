"""reservation.hold and .cancel, and the sourcing that every action shares which leaves units open."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import assert_never

import msgspec

from interlock.domain.commands import CancelReservation, HoldReservation, LineUnits
from interlock.domain.decide import releases
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.estate import Channel, Place, SourcingPolicy
from interlock.domain.events import Held, ReservationCanceled, UnitsAllocated, UnitsBackordered, UnitsCanceled
from interlock.domain.model import Order
from interlock.domain.sourcing import Plan, Request, Want
from interlock.domain.values import NodeId, Quantity, plain

_encode = msgspec.json.Encoder(decimal_format="string").encode


def hold(draft: Draft, command: HoldReservation) -> None:
    """Try to source and reserve open units: of the lines named, or of all. docs/lifecycle.md#reservationhold"""
    order = draft.order
    if command.node is not None and command.node not in draft.world.estate.nodes:
        raise Refusal("unknown_node", f"node {command.node} is not in the estate", "node")
    wanted: dict[int, Quantity] = {}
    for unit in command.lines:
        line = order.lines.get(unit.line_no)
        if line is None:
            raise Refusal("no_line", f"{order.order_id} has no line {unit.line_no}", "lines")
        units = wanted.get(unit.line_no, 0) + unit.quantity
        if units > line.open:
            raise Refusal("not_open", f"line {unit.line_no} has {line.open} open units, not {units}", "lines")
        wanted[unit.line_no] = units
    source(draft, wanted or None, command.node)


def cancel(draft: Draft, command: CancelReservation) -> None:
    """Take held units back from their nodes: they are open again. docs/lifecycle.md#reservationcancel

    A node that was told to start is told not to. Packed units are too late. The order is sourced again after the policy's
    wait, so that it never rests, unless a hold comes first.
    """
    order, now = draft.order, draft.world.now
    policy = draft.world.estate.channels[order.channel].sourcing
    held = _taken_back(order, command)
    told: dict[int, list[LineUnits]] = {}
    for unit in held:
        allocated = order.reservations[unit.line_no, unit.assignment_no].allocated
        if unit.quantity > allocated:
            told.setdefault(unit.assignment_no, []).append(LineUnits(unit.line_no, plain(unit.quantity - allocated)))
    retry_at = now + timedelta(seconds=policy.backorder_retry_s)
    draft.record(ReservationCanceled(ref=command.ref, held=tuple(held), retry_at=retry_at, reason=command.reason))
    for unit in held:
        mine = order.reservations[unit.line_no, unit.assignment_no]
        cause = f"{draft.cause(unit.line_no)}/{unit.assignment_no}"  # one line may be held twice at a node
        draft.move("unreserve", mine.sku, mine.node, cause, reserved=-unit.quantity)
        if command.exclude:
            draft.exclude(mine.sku, mine.node, now + timedelta(seconds=policy.exclusion_s), "reservation_canceled")
    for assignment_no, units in told.items():
        releases.take_back(draft, assignment_no, units)
        if not any(reservation.held for reservation in order.held_at(assignment_no)):
            draft.decision.answered.append(assignment_no)  # there is nothing left that the node could acknowledge


def _taken_back(order: Order, command: CancelReservation) -> list[Held]:
    """The unpacked units that the command means: all, or those that it names. Raises Refusal where there are not so many."""
    if command.assignment_no is not None and command.assignment_no not in order.assignments:
        raise Refusal("no_assignment", f"{order.order_id} has no assignment {command.assignment_no}", "assignment")
    mine = [r for r in order.reservations.values() if command.assignment_no in (None, r.assignment_no)]
    wanted: dict[int, Quantity] = {}
    for unit in command.lines:
        if unit.line_no not in order.lines:
            raise Refusal("no_line", f"{order.order_id} has no line {unit.line_no}", "lines")
        wanted[unit.line_no] = wanted.get(unit.line_no, 0) + unit.quantity
    if not command.lines:
        for r in mine:
            wanted[r.line_no] = wanted.get(r.line_no, 0) + r.allocated + r.released
    held: list[Held] = []
    for r in sorted(mine, key=lambda r: (not r.allocated, r.assignment_no)):
        some = min(wanted.get(r.line_no, 0), r.allocated + r.released)
        if some:
            held.append(Held(r.line_no, r.assignment_no, plain(some)))
            wanted[r.line_no] -= some
    if not held or any(wanted.values()):
        packed = any(r.packed and (not command.lines or wanted.get(r.line_no)) for r in mine)
        raise Refusal(
            "too_late" if packed else "not_held",
            f"{order.order_id}: {'the units are packed' if packed else 'so many units are not held'}",
            "lines",
        )
    return held


def source(draft: Draft, wanted: Mapping[int, Quantity] | None = None, only_node: NodeId | None = None) -> None:
    """Reserve open units (of the lines wanted, or of all), release what may go, and settle what no plan fills."""
    order, world = draft.order, draft.world
    channel = world.estate.channels[order.channel]
    policy = channel.sourcing
    wants = tuple(
        [
            Want(line.line_no, line.sku, line.open if wanted is None else wanted[line.line_no])
            for line in order.lines.values()
            if line.open and (wanted is None or line.line_no in wanted)
        ]
    )
    if not wants:
        return
    request = Request(order.channel, order.fulfillment, wants, _destination(draft), order.pickup_node, only_node)
    plan = world.sourcing.plan(policy, request, world.positions, world.load, world.now)
    receipt = msgspec.Raw(_encode(plan.receipt))
    if plan.picks:
        _reserve(draft, plan, receipt)
    if plan.unfilled:
        _unfilled(draft, policy, plan, receipt)
    if plan.picks and _may_release(order, channel):
        releases.release_allocated(draft)


def _reserve(draft: Draft, plan: Plan, receipt: msgspec.Raw) -> None:
    order, world = draft.order, draft.world
    numbers: dict[NodeId, int] = {}
    for pick in plan.picks:
        if pick.node not in numbers:
            numbers[pick.node] = len(order.assignments) + len(numbers) + 1
    draft.record(
        UnitsAllocated(
            at=world.now,
            nodes={number: node for node, number in numbers.items()},
            held=tuple([Held(p.line_no, numbers[p.node], p.quantity) for p in plan.picks]),
            receipt=receipt,
        )
    )
    for pick in plan.picks:
        draft.move(
            "reserve", order.lines[pick.line_no].sku, pick.node, draft.cause(pick.line_no), reserved=pick.quantity
        )
    for node in numbers:
        world.load[node] = world.load.get(node, 0) + 1
        draft.decision.given.append(node)


def _unfilled(draft: Draft, policy: SourcingPolicy, plan: Plan, receipt: msgspec.Raw) -> None:
    order, now = draft.order, draft.world.now
    units = tuple([LineUnits(line_no, quantity) for line_no, quantity in plan.unfilled])
    match policy.unfillable:
        case "cancel":
            draft.record(UnitsCanceled(ref="", reason="unfillable", open=units))
        case "backorder":
            tired = order.hold_attempts + 1 >= policy.backorder_attempts_max
            retry_at = None if tired else now + timedelta(seconds=policy.backorder_retry_s)
            draft.record(UnitsBackordered(units=units, retry_at=retry_at, receipt=receipt))
            if tired:
                draft.trouble(
                    "backorder_exhausted",
                    order.order_id,
                    f"{order.order_id}: units are still open after {order.hold_attempts} attempts to source them",
                )
        case _:
            assert_never(policy.unfillable)


def _may_release(order: Order, channel: Channel) -> bool:
    match channel.release:
        case "at_once":
            return True
        case "when_authorized":
            return order.authorized
        case "by_command":
            return False
        case _:
            assert_never(channel.release)


def _destination(draft: Draft) -> Place | None:
    order = draft.order
    if order.fulfillment == "ship_to_store" and order.pickup_node is not None:
        return draft.world.estate.nodes[order.pickup_node].place
    return order.destination
