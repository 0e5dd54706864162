"""An order told again, whole and otherwise: what differs is worked out, and applied where that needs no person.

Fewer units of a line are canceled, more money is authorized or captured. Anything else that differs is a conflict, which names
every difference, and then nothing is applied. docs/parking.md#versions
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from interlock.domain import authority
from interlock.domain.commands import AuthorizeOrder, CancelOrder, CaptureOrder, CreateOrder, LineUnits
from interlock.domain.decide import orders
from interlock.domain.decision import Draft
from interlock.domain.model import Order
from interlock.domain.values import Quantity, plain
from interlock.domain.versions import fact_of, standing

_HEADER = ("channel", "number", "currency", "fulfillment", "pickup_node", "destination", "customer", "recipient")


def restate(draft: Draft, command: CreateOrder) -> None:
    """Bring the order to what its source says now; stale if that is old or nothing new, a conflict if it needs a person."""
    world, order = draft.world, draft.order
    key = (command.order_id, fact_of(command), draft.system)
    number, how_old = standing(world.estate.systems[draft.system], command, world.now, world.newest.get(key))
    if how_old == "older":
        _stale(draft, "older_version", f"{draft.system} has told a newer version of {command.order_id} before")
        return
    if how_old == "same":
        _conflict(draft, "same_version", "another payload as the version that was applied last")
        return
    if how_old == "unknown" and world.estate.systems[draft.system].updates != "restated":
        _conflict(draft, "no_version", "another payload, and nothing that says which is newer")
        return
    less = list(_fewer_units(order, command))
    differences = list(_differences(order, command, less))
    if differences:
        _conflict(draft, "differs", "; ".join(differences))
        return
    ref = f"restated/{order.seq}"
    cancel = CancelOrder(order_id=order.order_id, ref=ref, lines=tuple(less), reason="restated")
    authorize = AuthorizeOrder(
        order_id=order.order_id, ref=ref, amount=_more(command.authorized, order.payment.authorized)
    )
    capture = CaptureOrder(order_id=order.order_id, ref=ref, amount=_more(command.captured, order.payment.captured))
    # Every refusal comes before the first event.
    if authorize.amount or capture.amount:
        authority.check(world.estate, draft.system, authorize)
    if not (less or authorize.amount or capture.amount):
        draft.supersede(key, number)
        _stale(draft, "nothing_new", "it restates what is known")
        return
    if less:
        orders.cancel(draft, cancel)
    if authorize.amount:
        orders.authorize(draft, authorize)
    if capture.amount:
        orders.capture(draft, capture)
    draft.supersede(key, number)
    draft.decision.answer["restated"] = {
        "canceled": [{"line_no": u.line_no, "quantity": u.quantity} for u in less],
        "authorized": authorize.amount,
        "captured": capture.amount,
    }


def _fewer_units(order: Order, command: CreateOrder) -> Iterator[LineUnits]:
    """Units by line that the source does not want any more."""
    told = {line.line_no: line.quantity for line in command.lines}
    for line in order.lines.values():
        fewer = line.quantity - line.canceled - line.returned - told.get(line.line_no, 0)
        if fewer > 0:
            yield LineUnits(line.line_no, plain(fewer))


def _differences(order: Order, command: CreateOrder, less: list[LineUnits]) -> Iterator[str]:
    """What no rule of ours applies by itself, in words."""
    for name in _HEADER:
        known, told = getattr(order, name), getattr(command, name)
        if known != told:
            yield f"{name} is {known}, now {told}"
    for line in command.lines:
        mine = order.lines.get(line.line_no)
        if mine is None:
            yield f"line {line.line_no} ({line.quantity} of {line.sku}) is new"
            continue
        for name in ("sku", "uom", "unit_price"):
            if getattr(mine, name) != getattr(line, name):
                yield f"line {line.line_no}: {name} is {getattr(mine, name)}, now {getattr(line, name)}"
        wanted: Quantity = mine.quantity - mine.canceled
        if line.quantity > wanted:
            yield f"line {line.line_no}: {wanted} units are wanted, now {line.quantity}"
    for unit in less:
        held = order.lines[unit.line_no]
        able = held.open + held.allocated + held.released
        if unit.quantity > able:
            yield f"line {unit.line_no}: {unit.quantity} units are not wanted any more, {able} can still be canceled"
    # Once units are canceled or back, its source tells a lower total: the lines say why.
    whole = not less and not any(line.canceled or line.returned for line in order.lines.values())
    if whole and (order.total, order.tax, order.shipping) != (command.total, command.tax, command.shipping):
        yield f"total is {order.total}, now {command.total}"
    if command.captured > max(command.authorized, order.payment.authorized):
        yield f"captured {command.captured} is above authorized {command.authorized}"


def _more(told: Decimal, known: Decimal) -> Decimal:
    return max(told - known, Decimal(0))


def _stale(draft: Draft, reason: str, explanation: str) -> None:
    draft.decision.outcome, draft.decision.reason, draft.decision.explanation = "stale", reason, explanation


def _conflict(draft: Draft, reason: str, explanation: str) -> None:
    decision = draft.decision
    decision.outcome, decision.reason = "conflict", reason
    decision.explanation = f"{draft.order.order_id}: {explanation}"
    draft.trouble("conflict", "order.create/", decision.explanation)
