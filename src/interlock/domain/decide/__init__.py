"""decide: authority first, then by action. An action's name is its address: `shipment.confirm` is `shipments.confirm`.

Everything here is pure: it reads the world and the command, changes only the world in hand, and says what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from interlock.domain import authority, lifecycle
from interlock.domain.commands import AnyCommand, AssignmentCommand, CreateOrder, OrderCommand, StockCommand
from interlock.domain.decide import orders, refunds, reservations, restatements, returns, shipments, stock, tellings
from interlock.domain.decision import Decision, Draft, Trouble, World
from interlock.domain.errors import Refusal
from interlock.domain.events import ReservationCanceled, UnitsBackordered
from interlock.domain.model import Order
from interlock.domain.values import SystemId
from interlock.domain.versions import may_restate

DECIDERS: dict[str, Callable[[Draft, Any], None]] = {
    "order.create": orders.create,
    "order.authorize": orders.authorize,
    "order.capture": orders.capture,
    "order.void": orders.void,
    "order.cancel": orders.cancel,
    "order.close": orders.close,
    "reservation.hold": reservations.hold,
    "reservation.cancel": reservations.cancel,
    "shipment.release": shipments.release,
    "shipment.acknowledge": shipments.acknowledge,
    "shipment.pack": shipments.pack,
    "shipment.confirm": shipments.confirm,
    "shipment.reject": shipments.reject,
    "return.authorize": returns.authorize,
    "return.cancel": returns.cancel,
    "return.receive": returns.receive,
    "refund.issue": refunds.issue,
    "stock.adjust": stock.adjust,
    "stock.count": stock.count,
}
"""What decides each action."""

UNRECORDED = frozenset({"unknown_system", "no_authority", "wrong_source", "too_many_parked"})
"""Refusals of the sender or the moment, not of the request: they leave the key free for who may use it, or for later."""

SHOWN = frozenset({"early_cancel", "unexpected_return"})
"""Refusals that a person must see, though the sender is told as well."""


def decide(world: World, system: SystemId, command: AnyCommand) -> Decision:
    """What follows from this command: authority, then lifecycle, then units, stock and money, always in this order."""
    try:
        authority.check(world.estate, system, command)
        if isinstance(command, StockCommand):
            draft = Draft(world, system, None)
            DECIDERS[command.action](draft, command)
            return draft.decision
        return _decide_order(world, system, command)
    except Refusal as refusal:
        return Decision(
            outcome="refused",
            reason=refusal.reason,
            explanation=refusal.explanation,
            answer={"reason": refusal.reason, "detail": refusal.explanation},
            troubles=[Trouble(reason=refusal.reason, what=command.action, explanation=refusal.explanation)]
            if refusal.reason in UNRECORDED or refusal.reason in SHOWN
            else [],
        )


def _decide_order(world: World, system: SystemId, command: OrderCommand) -> Decision:
    order = world.orders.get(command.order_id)
    if isinstance(command, CreateOrder):
        standing = lifecycle.UNKNOWN if order is None else str(order.state)
    elif order is None:
        standing = lifecycle.UNKNOWN
    elif isinstance(command, AssignmentCommand):
        authority.check_assignment(world.estate, system, command, order)
        standing = (
            str(order.assignment_state(command.assignment_no))
            if command.assignment_no in order.assignments
            else lifecycle.NO_ASSIGNMENT
        )
    else:
        standing = str(order.state)
    draft = Draft(world, system, order)
    decision = draft.decision
    if (
        order is not None
        and isinstance(command, CreateOrder)
        and may_restate(world.estate.systems.get(system), command)
    ):
        restatements.restate(draft, command)
        tellings.tell_channel(draft)
        order.wake_at = _wake_at(world, order, decision)
        decision.answer = {**answer(order), **decision.answer}
        return decision
    rule = lifecycle.verdict(command.action, standing)
    match rule.verdict:
        case "park":
            draft.wait(rule.reason or command.order_id, {"order_id": command.order_id})
            return decision
        case "stale":
            decision.outcome, decision.reason, decision.explanation = "stale", standing, rule.because
        case _:
            DECIDERS[command.action](draft, command)
            if decision.outcome != "parked":
                tellings.tell_channel(draft)
                draft.order.wake_at = _wake_at(world, draft.order, decision)
    decision.answer = {**answer(draft.order), **decision.answer}
    return decision


def answer(order: Order) -> dict[str, object]:
    """How the order stands, as every answer about it says."""
    return {
        "order_id": order.order_id,
        "state": order.state,
        "seq": order.seq,
        "assignments": [
            {"assignment": f"{order.order_id}/{number}", "node": assignment.node}
            for number, assignment in order.assignments.items()
        ],
    }


def _wake_at(world: World, order: Order, decision: Decision) -> datetime | None:
    """When time itself acts on the order next: to source open units again, or to close it."""
    for event in reversed(decision.events):
        if isinstance(event, UnitsBackordered | ReservationCanceled):
            return event.retry_at
    if any([line.open for line in order.lines.values()]):  # a list is faster than a generator here
        # What an early cancellation leaves has not been sourced yet: that is due at once.
        return order.wake_at or (world.now if order.order_id in world.early else None)
    close_after_s = world.estate.channels[order.channel].close_after_s
    if close_after_s is not None and order.closed_at is None and order.settled:
        return world.now + timedelta(seconds=close_after_s)
    return None
