"""A hash of all that is known, by either store: equal stores have equal hashes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from interlock.domain.model import Order
from interlock.domain.values import Quantity, plain

_encode = msgspec.json.Encoder(decimal_format="string").encode
_PLAIN = ("order_id", "system", "channel", "number", "currency", "fulfillment", "seq", "hold_attempts")
_TIMES = ("placed_at", "created_at", "closed_at", "wake_at")


def digest(
    orders: Iterable[Order],
    positions: Iterable[tuple[str, str, Quantity, Quantity, Quantity]],
    answers: Iterable[tuple[str, str, str, str]],
    exceptions: Iterable[tuple[str, str, int, bool]],
    parked: Iterable[tuple[str, str]],
) -> str:
    """The hash, in hexadecimal.

    `positions`: sku, node, physical, unsellable, reserved; `answers`: the ledger's subject, action, key, outcome; `exceptions`:
    subject, id, times, whether open; `parked`: subject and what it waits for.
    """
    state = blake2b(digest_size=16)
    for order in sorted(orders, key=lambda each: each.order_id):
        state.update(_order(order))
    for sku, node, *layers in sorted(positions, key=lambda row: row[:2]):
        state.update(_encode([sku, node, *map(plain, layers)]))
    for rows in (sorted(answers), sorted(exceptions), sorted(parked)):
        state.update(_encode(rows))
    return state.hexdigest()


def _order(order: Order) -> bytes:
    payment = order.payment
    return _encode(
        [
            [getattr(order, name) for name in _PLAIN],
            [None if (at := getattr(order, name)) is None else at.timestamp() for name in _TIMES],
            [
                str(amount.normalize())
                for amount in (order.total, payment.authorized, payment.captured, payment.refunded)
            ],
            [order.lines[number] for number in sorted(order.lines)],
            [[a.assignment_no, a.node, a.warehouse_ref] for _, a in sorted(order.assignments.items())],
            [order.reservations[key] for key in sorted(order.reservations)],
            [[s.shipment_no, s.assignment_no, s.ref, sorted(s.units)] for _, s in sorted(order.shipments.items())],
            [
                [ref, sorted(mine.due.items()), sorted(mine.received.items())]
                for ref, mine in sorted(order.returns.items())
            ],
        ]
    )
