"""order.create, .authorize, .capture, .void, .cancel and .close."""

from __future__ import annotations

from interlock.domain.commands import (
    AuthorizeOrder,
    CancelOrder,
    CaptureOrder,
    CloseOrder,
    CreateOrder,
    LineUnits,
    VoidOrder,
)
from interlock.domain.decide import releases, reservations
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.events import (
    Held,
    OrderClosed,
    OrderCreated,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentVoided,
    UnitsAllocated,
    UnitsCanceled,
    UnitsShipped,
)
from interlock.domain.values import NodeId, Quantity, plain
from interlock.domain.versions import fact_of, number_of


def create(draft: Draft, command: CreateOrder) -> None:
    """Accept the order, source it and release what may go. docs/lifecycle.md#ordercreate"""
    estate, now = draft.world.estate, draft.world.now
    channel = estate.channels.get(command.channel)
    if channel is None:
        raise Refusal("unknown_channel", f"channel {command.channel} is not in the estate", "channel")
    if command.fulfillment not in channel.fulfills:
        raise Refusal(
            "not_fulfilled", f"channel {channel.id} does not take {command.fulfillment} orders", "fulfillment"
        )
    pickup_node = command.pickup_node
    if pickup_node is not None and pickup_node not in estate.nodes:
        raise Refusal("unknown_node", f"node {pickup_node} is not in the estate", "pickup_node")
    if pickup_node is None and command.fulfillment != "delivery":
        raise Refusal("no_pickup_node", f"a {command.fulfillment} order needs a pickup_node", "pickup_node")
    if not command.lines:
        raise Refusal("no_lines", "an order needs at least one line", "lines")
    if command.captured > command.authorized:
        raise Refusal(
            "over_captured", f"captured {command.captured} is above authorized {command.authorized}", "captured"
        )
    draft.record(
        OrderCreated(
            order_id=command.order_id,
            system=draft.system,
            channel=command.channel,
            number=command.number,
            currency=command.currency,
            placed_at=command.placed_at,
            created_at=now,
            lines=command.lines,
            time_zone=command.time_zone,
            word=command.word,
            fulfillment=command.fulfillment,
            destination=command.destination,
            pickup_node=pickup_node,
            customer=command.customer,
            recipient=command.recipient,
            preferred_node=command.preferred_node,
            promotions=command.promotions,
            total=command.total,
            tax=command.tax,
            shipping=command.shipping,
        )
    )
    if command.authorized:
        draft.record(PaymentAuthorized(ref=command.ref, amount=command.authorized))
    if command.captured:
        draft.record(PaymentCaptured(ref=command.ref, amount=command.captured))
    if command.fulfillment == "carry_out" and pickup_node is not None:
        _carry_out(draft, command, pickup_node)
    elif command.order_id not in draft.world.early or channel.early_cancel == "refuse":
        # What was canceled before it came is told to no node. What the cancellation leaves is sourced a moment later.
        reservations.source(draft)
    system = estate.systems.get(draft.system)
    if system is not None:
        draft.supersede((command.order_id, fact_of(command), draft.system), number_of(system, command, now))


def _carry_out(draft: Draft, command: CreateOrder, node: NodeId) -> None:
    """The goods have left the store already: a fact, whatever our stock says."""
    now = draft.world.now
    draft.record(
        UnitsAllocated(
            at=now, nodes={1: node}, held=tuple([Held(line.line_no, 1, line.quantity) for line in command.lines])
        )
    )
    draft.record(
        UnitsShipped(
            shipment_no=1,
            assignment_no=1,
            ref=command.number,
            at=command.placed_at,
            units=tuple([LineUnits(line.line_no, line.quantity) for line in command.lines]),
            word=command.word,
        )
    )
    for line in command.lines:
        draft.move("sale", line.sku, node, draft.cause(line.line_no), physical=-line.quantity)


def authorize(draft: Draft, command: AuthorizeOrder) -> None:
    """The payment was authorized; what waited for it is released. docs/lifecycle.md#orderauthorize"""
    order = draft.order
    draft.record(PaymentAuthorized(ref=command.ref, amount=command.amount))
    if draft.world.estate.channels[order.channel].release == "when_authorized" and order.authorized:
        releases.release_allocated(draft)


def capture(draft: Draft, command: CaptureOrder) -> None:
    """The payment was captured, never above what was authorized. docs/lifecycle.md#ordercapture"""
    payment, captured = draft.order.payment, draft.order.payment.captured + command.amount
    if payment.authorized < captured <= draft.order.total:
        draft.wait("authorization")
        return
    if captured > payment.authorized:
        raise Refusal(
            "over_captured",
            f"{payment.captured} of {payment.authorized} authorized is captured already;"
            f" {command.amount} more is too much",
            "amount",
        )
    draft.record(PaymentCaptured(ref=command.ref, amount=command.amount))


def void(draft: Draft, command: VoidOrder) -> None:
    """Authorized money is given up again, never what is captured. docs/lifecycle.md#ordervoid"""
    payment = draft.order.payment
    if payment.authorized < payment.captured + command.amount <= draft.order.total:
        draft.wait("authorization")
        return
    if command.amount > payment.authorized - payment.captured:
        raise Refusal(
            "over_voided",
            f"{payment.captured} of {payment.authorized} authorized is captured: {command.amount} is more than is left",
            "amount",
        )
    draft.record(PaymentVoided(ref=command.ref, amount=command.amount))


def cancel(draft: Draft, command: CancelOrder) -> None:
    """Cancel the order, or these units: open ones first, then allocated, then released. docs/lifecycle.md#ordercancel

    Packed and shipped units are too late. What cannot be canceled of what was asked is named in the answer, and shown to
    a person; if nothing can be, the command is refused.
    """
    order = draft.order
    if order.order_id in draft.world.early and draft.world.estate.channels[order.channel].early_cancel == "refuse":
        raise Refusal(
            "early_cancel", f"{order.order_id} was canceled before it came: channel {order.channel} refuses that"
        )
    asked: dict[int, Quantity | None] = {}
    for unit in command.lines:
        line = order.lines.get(unit.line_no)
        if line is None:
            raise Refusal("no_line", f"{order.order_id} has no line {unit.line_no}", "lines")
        asked[unit.line_no] = (asked.get(unit.line_no) or 0) + unit.quantity
    if not asked:
        asked = dict.fromkeys(order.lines)
    free: list[LineUnits] = []
    held: list[Held] = []
    told: dict[int, list[LineUnits]] = {}
    late: list[LineUnits] = []
    for line_no, wanted in asked.items():
        line = order.lines[line_no]
        left = line.open + line.held if wanted is None else wanted
        some = min(left, line.open)
        if some:
            free.append(LineUnits(line_no, some))
            left -= some
        mine = [r for r in order.reservations.values() if r.line_no == line_no]
        for reservation in sorted(mine, key=lambda r: (not r.allocated, r.assignment_no)):
            some = min(left, reservation.allocated + reservation.released)
            if some:
                held.append(Held(line_no, reservation.assignment_no, some))
                left -= some
                told_of = some - min(some, reservation.allocated)
                if told_of:
                    told.setdefault(reservation.assignment_no, []).append(LineUnits(line_no, told_of))
        if left:
            late.append(LineUnits(line_no, plain(left)))
    if not free and not held:
        raise Refusal("too_late", f"no unit of {order.order_id} that was asked for can be canceled any more")
    draft.record(UnitsCanceled(ref=command.ref, reason=command.reason or "asked", open=tuple(free), held=tuple(held)))
    for unit_held in held:
        reservation = order.reservations[unit_held.line_no, unit_held.assignment_no]
        draft.move(
            "unreserve",
            reservation.sku,
            reservation.node,
            f"{draft.cause(unit_held.line_no)}/{unit_held.assignment_no}",  # one line may be held twice at a node
            reserved=-unit_held.quantity,
        )
    for assignment_no, units in told.items():
        releases.take_back(draft, assignment_no, units)
        if not any(reservation.held for reservation in order.held_at(assignment_no)):
            # There is nothing left that the node could acknowledge: nobody waits for its answer.
            draft.decision.answered.append(assignment_no)
    if late:
        draft.decision.answer["too_late"] = [{"line_no": u.line_no, "quantity": u.quantity} for u in late]
        draft.trouble(
            "cancel_too_late",
            command.ref or order.order_id,
            f"{order.order_id}: "
            + ", ".join(f"{u.quantity} of line {u.line_no}" for u in late)
            + " could not be canceled: packed or gone",
        )


def close(draft: Draft, _: CloseOrder) -> None:
    """Nothing is left to do. docs/lifecycle.md#orderclose"""
    order = draft.order
    if not order.settled:
        raise Refusal("not_settled", f"{order.order_id} has units that are open, held or on their way back")
    draft.record(OrderClosed(at=draft.world.now))
