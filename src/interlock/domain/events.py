"""Canonical facts about orders: appended, numbered per order, never edited. `evolve.fold` makes the order of them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

import msgspec

from interlock.domain.commands import LineUnits, NewLine, Package, Received
from interlock.domain.estate import Fulfillment, Place, Recipient
from interlock.domain.values import ZERO, NodeId, OrderId, Quantity, SystemId


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """A fact about one order. When it was recorded and its number stand beside it in the table, not in it."""

    type: ClassVar[str]


class Held(msgspec.Struct, frozen=True):
    """Units of a line that were reserved at an assignment's node."""

    line_no: int
    assignment_no: int
    quantity: Quantity


class OrderCreated(Event, frozen=True, kw_only=True, tag="order.created"):
    """The order was accepted."""

    type = "order.created"

    order_id: OrderId
    system: SystemId
    channel: str
    number: str
    currency: str
    placed_at: datetime
    created_at: datetime
    lines: tuple[NewLine, ...]
    time_zone: str = ""
    word: str = ""
    fulfillment: Fulfillment = "delivery"
    destination: Place | None = None
    pickup_node: NodeId | None = None
    customer: str = ""
    total: Decimal = ZERO
    tax: Decimal = ZERO
    shipping: Decimal = ZERO
    recipient: Recipient | None = None
    preferred_node: NodeId | None = None
    promotions: tuple[str, ...] = ()


class PaymentAuthorized(Event, frozen=True, kw_only=True, tag="payment.authorized"):
    """The payment was authorized for this much more."""

    type = "payment.authorized"

    ref: str
    amount: Decimal


class PaymentCaptured(Event, frozen=True, kw_only=True, tag="payment.captured"):
    """This much more of the payment was captured."""

    type = "payment.captured"

    ref: str
    amount: Decimal


class PaymentVoided(Event, frozen=True, kw_only=True, tag="payment.voided"):
    """This much of the authorization was given up again."""

    type = "payment.voided"

    ref: str
    amount: Decimal


class UnitsAllocated(Event, frozen=True, kw_only=True, tag="units.allocated"):
    """Open units were reserved at nodes: new assignments by number, what each holds, and the receipt of the choice."""

    type = "units.allocated"

    at: datetime
    nodes: dict[int, NodeId]
    held: tuple[Held, ...]
    receipt: msgspec.Raw = msgspec.Raw(b"null")


class UnitsBackordered(Event, frozen=True, kw_only=True, tag="units.backordered"):
    """No plan fills these units now; they stay open and are tried again at `retry_at`."""

    type = "units.backordered"

    units: tuple[LineUnits, ...]
    retry_at: datetime | None
    receipt: msgspec.Raw = msgspec.Raw(b"null")


class ReservationCanceled(Event, frozen=True, kw_only=True, tag="reservation.canceled"):
    """Held units were taken back from their nodes: they are open again, and sourced again at `retry_at`."""

    type = "reservation.canceled"

    ref: str
    held: tuple[Held, ...]
    retry_at: datetime
    reason: str = ""


class AssignmentReleased(Event, frozen=True, kw_only=True, tag="assignment.released"):
    """The node was told to start."""

    type = "assignment.released"

    assignment_no: int
    at: datetime


class AssignmentAcknowledged(Event, frozen=True, kw_only=True, tag="assignment.acknowledged"):
    """The node has taken the assignment, in its own words or by what it did."""

    type = "assignment.acknowledged"

    assignment_no: int
    at: datetime
    warehouse_ref: str = ""


class UnitsPacked(Event, frozen=True, kw_only=True, tag="units.packed"):
    """Units were packed."""

    type = "units.packed"

    assignment_no: int
    units: tuple[LineUnits, ...]


class UnitsShipped(Event, frozen=True, kw_only=True, tag="units.shipped"):
    """Units left the node. `after_cancel` are units that we had canceled and that went all the same."""

    type = "units.shipped"

    shipment_no: int
    assignment_no: int
    ref: str
    at: datetime
    units: tuple[LineUnits, ...]
    after_cancel: tuple[LineUnits, ...] = ()
    packages: tuple[Package, ...] = ()
    carrier: str = ""
    word: str = ""


class UnitsRejected(Event, frozen=True, kw_only=True, tag="units.rejected"):
    """The node cannot ship these units: they are open again."""

    type = "units.rejected"

    assignment_no: int
    reason: str
    units: tuple[LineUnits, ...]


class UnitsCanceled(Event, frozen=True, kw_only=True, tag="units.canceled"):
    """Units were canceled: open ones by line, held ones by assignment."""

    type = "units.canceled"

    ref: str
    reason: str
    open: tuple[LineUnits, ...] = ()
    held: tuple[Held, ...] = ()


class ReturnAuthorized(Event, frozen=True, kw_only=True, tag="return.authorized"):
    """The customer may send these units back."""

    type = "return.authorized"

    ref: str
    units: tuple[LineUnits, ...]
    reason: str = ""


class ReturnCanceled(Event, frozen=True, kw_only=True, tag="return.canceled"):
    """These units of a return are not awaited any more."""

    type = "return.canceled"

    ref: str
    return_ref: str
    units: tuple[LineUnits, ...]
    reason: str = ""


class UnitsReturned(Event, frozen=True, kw_only=True, tag="units.returned"):
    """Units came back to a node."""

    type = "units.returned"

    ref: str
    return_ref: str
    node: NodeId
    units: tuple[Received, ...]


class RefundIssued(Event, frozen=True, kw_only=True, tag="refund.issued"):
    """Money went back."""

    type = "refund.issued"

    ref: str
    amount: Decimal
    units: tuple[LineUnits, ...] = ()


class OrderClosed(Event, frozen=True, kw_only=True, tag="order.closed"):
    """Nothing is left to do."""

    type = "order.closed"

    at: datetime


class OrderReopened(Event, frozen=True, kw_only=True, tag="order.reopened"):
    """Something happened to a closed order that leaves work to do: a return, most often."""

    type = "order.reopened"

    because: str


AnyEvent = (
    OrderCreated
    | PaymentAuthorized
    | PaymentCaptured
    | PaymentVoided
    | UnitsAllocated
    | UnitsBackordered
    | ReservationCanceled
    | AssignmentReleased
    | AssignmentAcknowledged
    | UnitsPacked
    | UnitsShipped
    | UnitsRejected
    | UnitsCanceled
    | ReturnAuthorized
    | ReturnCanceled
    | UnitsReturned
    | RefundIssued
    | OrderClosed
    | OrderReopened
)

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent, strict=False)


def encode(event: AnyEvent) -> bytes:
    """The event as JSON."""
    return _encode(event)


def decode(body: bytes | str) -> AnyEvent:
    """The event that `encode` wrote."""
    return _decoder.decode(body)
