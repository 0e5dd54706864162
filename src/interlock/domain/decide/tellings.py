"""Telling the channel: that its order was taken, what left and what was canceled, as far as the channel wants to know it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from interlock.domain.commands import LineUnits
from interlock.domain.decision import Draft, Notice
from interlock.domain.estate import ChannelMessage
from interlock.domain.events import AnyEvent, OrderCreated, UnitsCanceled, UnitsShipped
from interlock.domain.model import Order

_encode = msgspec.json.Encoder(decimal_format="string").encode

MESSAGES: dict[type[AnyEvent], ChannelMessage] = {
    OrderCreated: "order.accepted",
    UnitsShipped: "order.shipped",
    UnitsCanceled: "order.canceled",
}
"""Which event is told as what."""


def tell_channel(draft: Draft) -> None:
    """For each event of the decision that the order's channel is to be told, one notice to the channel's system."""
    estate, decision = draft.world.estate, draft.decision
    if not decision.events:
        return
    channel = estate.channels.get(draft.order.channel)
    if channel is None or not channel.tells:
        return
    for seq, event in enumerate(decision.events, start=decision.seq_before + 1):
        message = MESSAGES.get(type(event))
        if message is not None and message in channel.tells:
            decision.notices.append(
                Notice(
                    receiver=channel.system,
                    message=message,
                    assignment_no=event.assignment_no if isinstance(event, UnitsShipped) else 0,
                    seq=seq,
                    body=_encode({**_head(draft.order, message, seq), **_said(draft, event), "at": draft.world.now}),
                    answer_within_s=None,
                )
            )


def _head(order: Order, message: str, seq: int) -> dict[str, object]:
    return {
        "message": message,
        "id": f"{order.order_id}/{seq}",
        "order": order.order_id,
        "source_id": order.order_id.partition(":")[2],
        "number": order.number,
        "channel": order.channel,
        "currency": order.currency,
    }


def _said(draft: Draft, event: AnyEvent) -> dict[str, object]:
    order = draft.order
    if isinstance(event, OrderCreated):
        every = [LineUnits(line.line_no, line.quantity) for line in event.lines]
        return {
            "placed_at": event.placed_at,
            "lines": _lines(order, every),
            "total": event.total,
            "tax": event.tax,
            "shipping": event.shipping,
        }
    if isinstance(event, UnitsShipped):
        return {
            "assignment": f"{order.order_id}/{event.assignment_no}",
            "shipment": event.ref,
            "node": order.assignments[event.assignment_no].node,
            "shipped_at": event.at,
            "carrier": event.carrier,
            "lines": _lines(order, [*event.units, *event.after_cancel]),
            "packages": event.packages,
        }
    assert isinstance(event, UnitsCanceled)
    gone = [*event.open, *(LineUnits(held.line_no, held.quantity) for held in event.held)]
    return {"reason": event.reason, "lines": _lines(order, gone)}


def _lines(order: Order, units: Iterable[LineUnits]) -> list[dict[str, object]]:
    """Units by line, each with what the channel called it."""
    by_line: dict[int, LineUnits] = {}
    for each in units:
        before = by_line.get(each.line_no)
        by_line[each.line_no] = LineUnits(each.line_no, each.quantity + before.quantity) if before else each
    return [
        {
            "line_no": each.line_no,
            "sku": order.lines[each.line_no].source_sku or order.lines[each.line_no].sku,
            "quantity": each.quantity,
            "ordered": order.lines[each.line_no].quantity,
            "uom": order.lines[each.line_no].uom,
            "unit_price": order.lines[each.line_no].unit_price,
        }
        for each in by_line.values()
    ]
