"""return.authorize, .cancel and .receive."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.domain.commands import AuthorizeReturn, CancelReturn, LineUnits, Received, ReceiveReturn
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.events import OrderReopened, ReturnAuthorized, ReturnCanceled, UnitsReturned
from interlock.domain.values import Quantity, plain


def authorize(draft: Draft, command: AuthorizeReturn) -> None:
    """The customer may send units back that were shipped and are not on their way yet.

    docs/lifecycle.md#returnauthorize
    """
    order = draft.order
    if command.ref in order.returns:
        raise Refusal("return_exists", f"{order.order_id} has a return {command.ref} already", "ref")
    wanted = _by_line(command.lines)
    if _comes_before_its_shipment(draft, wanted, on_their_way=True):
        draft.wait("shipment")
        return
    units = tuple(LineUnits(line_no, plain(quantity)) for line_no, quantity in wanted.items())
    _reopen(draft, f"return {command.ref}")
    draft.record(ReturnAuthorized(ref=command.ref, units=units, reason=command.reason))


def cancel(draft: Draft, command: CancelReturn) -> None:
    """What has not come yet of a return is not awaited any more. docs/lifecycle.md#returncancel"""
    mine = draft.order.returns.get(command.return_ref)
    if mine is None:
        draft.wait("return")
        return
    awaited = {line_no: due - mine.received.get(line_no, 0) for line_no, due in mine.due.items()}
    units = tuple(LineUnits(line_no, plain(left)) for line_no, left in awaited.items() if left > 0)
    if not units:
        draft.decision.outcome, draft.decision.reason = "stale", "nothing_due"
        draft.decision.explanation = f"nothing of the return {command.return_ref} is awaited any more"
        return
    draft.record(ReturnCanceled(ref=command.ref, return_ref=command.return_ref, units=units, reason=command.reason))


def receive(draft: Draft, command: ReceiveReturn) -> None:
    """Units came back: they are stock again, or damaged stock, or scrap. docs/lifecycle.md#returnreceive"""
    order = draft.order
    if command.node not in draft.world.estate.nodes:
        raise Refusal("unknown_node", f"node {command.node} is not in the estate", "node")
    if command.return_ref and command.return_ref not in order.returns:
        draft.wait("return")
        return
    if _comes_before_its_shipment(draft, _by_line(command.lines), on_their_way=False):
        draft.wait("shipment")
        return
    _reopen(draft, f"return received at {command.node}")
    draft.record(UnitsReturned(ref=command.ref, return_ref=command.return_ref, node=command.node, units=command.lines))
    for place, unit in enumerate(command.lines):
        if unit.disposition == "scrap":
            continue
        draft.move(
            "return",
            order.lines[unit.line_no].sku,
            command.node,
            f"{draft.cause(unit.line_no)}/{place}",
            physical=unit.quantity,
            unsellable=unit.quantity if unit.disposition == "damaged" else 0,
        )


def _by_line(units: Iterable[LineUnits | Received]) -> dict[int, Quantity]:
    total: dict[int, Quantity] = {}
    for unit in units:
        total[unit.line_no] = total.get(unit.line_no, 0) + unit.quantity
    return total


def _comes_before_its_shipment(draft: Draft, wanted: dict[int, Quantity], *, on_their_way: bool) -> bool:
    """Whether units come back of which we have not heard yet that they left. Raises Refusal where they cannot come back."""
    order, early = draft.order, False
    if not wanted:
        raise Refusal("no_lines", "a return names the lines and units that come back", "lines")
    for line_no, units in wanted.items():
        line = order.lines.get(line_no)
        if line is None:
            raise Refusal("no_line", f"{order.order_id} has no line {line_no}", "lines")
        free = line.shipped - (line.return_due if on_their_way else 0)
        if units > free + line.open + line.held:
            raise Refusal(
                "not_shipped" if on_their_way else "unexpected_return",
                f"line {line_no} has {free} shipped units that could come back, not {units}",
                "lines",
            )
        early = early or units > free
    return early


def _reopen(draft: Draft, because: str) -> None:
    if draft.order.closed_at is not None:
        draft.record(OrderReopened(because=because))
