"""refund.issue: money back, for goods that were canceled or came back, and never more than they cost."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

from interlock.domain.commands import IssueRefund, LineUnits
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.events import RefundIssued
from interlock.domain.model import Order
from interlock.domain.values import Quantity, plain

_CENT = Decimal("0.01")


def issue(draft: Draft, command: IssueRefund) -> None:
    """Refund units that were canceled or returned (all that are, where no line is named). docs/lifecycle.md#refundissue"""
    order = draft.order
    refundable = {line.line_no: line.canceled + line.returned - line.refunded for line in order.lines.values()}
    wanted: dict[int, Quantity] = {}
    for unit in command.lines:
        wanted[unit.line_no] = wanted.get(unit.line_no, 0) + unit.quantity
    if not command.lines:
        wanted = {line_no: units for line_no, units in refundable.items() if units}
    for line_no, units in wanted.items():
        if line_no not in refundable:
            raise Refusal("no_line", f"{order.order_id} has no line {line_no}", "lines")
        line = order.lines[line_no]
        if units > line.quantity - line.refunded:
            raise Refusal(
                "not_returned",
                f"line {line_no} has {refundable[line_no]} canceled or returned units without a refund, not {units}",
                "lines",
            )
    if any(units > refundable[line_no] for line_no, units in wanted.items()) or (
        not wanted and any(line.refunded < line.quantity for line in order.lines.values())
    ):
        draft.wait("return")
        return
    if not wanted:
        raise Refusal("nothing_to_refund", f"no unit of {order.order_id} was canceled or returned without a refund")
    payment = order.payment
    if payment.captured < payment.refunded + command.amount <= payment.authorized:
        draft.wait("capture")
        return
    if payment.refunded + command.amount > payment.captured:
        raise Refusal(
            "over_refunded",
            f"{payment.refunded} of {payment.captured} captured went back already; {command.amount} more is too much",
            "amount",
        )
    worth = worth_of(order, wanted)
    if command.amount > worth:
        raise Refusal("over_refunded", f"the units are worth {worth} {order.currency}, not {command.amount}", "amount")
    units_refunded = tuple(LineUnits(line_no, plain(units)) for line_no, units in wanted.items())
    draft.record(RefundIssued(ref=command.ref, amount=command.amount, units=units_refunded))


def worth_of(order: Order, units: dict[int, Quantity]) -> Decimal:
    """What these units cost the customer: their price, with their share of tax and shipping, rounded up to a cent."""
    goods = sum((line.unit_price * line.quantity for line in order.lines.values()), Decimal(0))
    if not goods:
        return order.total
    mine = sum((order.lines[line_no].unit_price * quantity for line_no, quantity in units.items()), Decimal(0))
    return (mine * order.total / goods).quantize(_CENT, ROUND_UP)
