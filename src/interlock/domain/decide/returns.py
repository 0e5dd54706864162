"""return.authorize and return.receive."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.domain.commands import AuthorizeReturn, LineUnits, Received, ReceiveReturn
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.events import OrderReopened, ReturnAuthorized, UnitsReturned
from interlock.domain.values import Quantity, plain


def authorize(draft: Draft, command: AuthorizeReturn) -> None:
    """The customer may send units back that were shipped and are not on their way yet.

    docs/lifecycle.md#returnauthorize
    """
    order = draft.order
    if command.ref in order.returns:
        raise Refusal("return_exists", f"{order.order_id} has a return {command.ref} already", "ref")
    wanted = _by_line(command.lines)
    _check(draft, wanted, on_their_way=True)
    units = tuple(LineUnits(line_no, plain(quantity)) for line_no, quantity in wanted.items())
    _reopen(draft, f"return {command.ref}")
    draft.record(ReturnAuthorized(ref=command.ref, units=units, reason=command.reason))


def receive(draft: Draft, command: ReceiveReturn) -> None:
    """Units came back: they are stock again, or damaged stock, or scrap. docs/lifecycle.md#returnreceive"""
    order = draft.order
    if command.node not in draft.world.estate.nodes:
        raise Refusal("unknown_node", f"node {command.node} is not in the estate", "node")
    if command.return_ref and command.return_ref not in order.returns:
        raise Refusal("no_return", f"{order.order_id} has no return {command.return_ref}", "return_ref")
    _check(draft, _by_line(command.lines), on_their_way=False)
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


def _check(draft: Draft, wanted: dict[int, Quantity], *, on_their_way: bool) -> None:
    order = draft.order
    if not wanted:
        raise Refusal("no_lines", "a return names the lines and units that come back", "lines")
    for line_no, units in wanted.items():
        line = order.lines.get(line_no)
        if line is None:
            raise Refusal("no_line", f"{order.order_id} has no line {line_no}", "lines")
        free = line.shipped - (line.return_due if on_their_way else 0)
        if units > free:
            raise Refusal(
                "not_shipped", f"line {line_no} has {free} shipped units that could come back, not {units}", "lines"
            )


def _reopen(draft: Draft, because: str) -> None:
    if draft.order.closed_at is not None:
        draft.record(OrderReopened(because=because))
