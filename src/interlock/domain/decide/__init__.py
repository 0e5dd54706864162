"""decide: authority first, then by action. An action's name is its address: `shipment.confirm` is `shipments.confirm`.

Everything here is pure: it reads the world and the command, changes only the world in hand, and says what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from interlock.domain import authority, lifecycle
from interlock.domain.commands import AnyCommand, AssignmentCommand, CreateOrder, OrderCommand, StockCommand
from interlock.domain.decide import orders, refunds, reservations, returns, shipments, stock
from interlock.domain.decision import Arrival, Decision, Draft, Trouble, World
from interlock.domain.errors import Refusal
from interlock.domain.events import UnitsBackordered
from interlock.domain.model import Order
from interlock.domain.values import SystemId

DECIDERS: dict[str, Callable[[Draft, Any], None]] = {
    "order.create": orders.create,
    "order.authorize": orders.authorize,
    "order.capture": orders.capture,
    "order.cancel": orders.cancel,
    "order.close": orders.close,
    "reservation.hold": reservations.hold,
    "shipment.release": shipments.release,
    "shipment.acknowledge": shipments.acknowledge,
    "shipment.pack": shipments.pack,
    "shipment.confirm": shipments.confirm,
    "shipment.reject": shipments.reject,
    "return.authorize": returns.authorize,
    "return.receive": returns.receive,
    "refund.issue": refunds.issue,
    "stock.adjust": stock.adjust,
    "stock.count": stock.count,
}
"""What decides each action."""

UNRECORDED = frozenset({"unknown_system", "no_authority", "wrong_source"})
"""Refusals of the sender, not of the request: they leave the key free for the system that may use it."""


def decide_all(world: World, arrivals: Iterable[Arrival]) -> list[Decision]:
    """Decide arrivals one after the other, each seeing what those before it did. Every arrival must hold a command."""
    return [decide(world, arrival.system, _command(arrival)) for arrival in arrivals]


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
            if refusal.reason in UNRECORDED
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
    rule = lifecycle.verdict(command.action, standing)
    draft = Draft(world, system, order)
    decision = draft.decision
    match rule.verdict:
        case "park":
            decision.outcome, decision.waits_for = "parked", command.order_id
            decision.answer = {"order_id": command.order_id, "waits_for": command.order_id}
            return decision
        case "stale":
            decision.outcome, decision.reason, decision.explanation = "stale", standing, rule.because
        case _:
            DECIDERS[command.action](draft, command)
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
        if isinstance(event, UnitsBackordered):
            return event.retry_at
    if any(line.open for line in order.lines.values()):
        return order.wake_at
    close_after_s = world.estate.channels[order.channel].close_after_s
    if close_after_s is not None and order.closed_at is None and order.settled:
        return world.now + timedelta(seconds=close_after_s)
    return None


def _command(arrival: Arrival) -> AnyCommand:
    if arrival.command is None:
        raise ValueError(f"message {arrival.message_id} holds no command")
    return arrival.command
