"""Canonical requests to change something: one frozen struct for each action.

A command's `subject` is the aggregate that it changes: an order's id, or a SKU for the stock actions. The subject gives the
part. Its `key` is what makes it the same request when it comes again: `ref` is the source's own id of the fact.
Who sent it and when is not here: that is the arrival's (see `decision.Arrival`), so that the same request by another road
has the same payload hash.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import ClassVar, Literal

import msgspec
from msgspec.structs import force_setattr

from interlock.domain.estate import Fact, Fulfillment, Place, Recipient
from interlock.domain.values import EACH, ZERO, NodeId, OrderId, Quantity, Sku

RejectReason = Literal["short_pick", "damaged", "not_found", "refused"]
Disposition = Literal["restock", "damaged", "scrap"]


class Canonical(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Equal values encode to equal bytes, and so have equal hashes.

    The encoder leaves a field out where it *is* its default, which an equal text or decimal that was read from outside is
    not: such values are replaced by the default itself.
    """

    def __post_init__(self) -> None:
        for name, default in _EQUAL_DEFAULTS[type(self)]:
            value = getattr(self, name)
            if value is not default and value == default:
                force_setattr(self, name, default)


class _EqualDefaults(dict[type[msgspec.Struct], list[tuple[str, object]]]):
    """Of each struct, the fields whose default may be equal to a value without being it."""

    def __missing__(self, kind: type[msgspec.Struct]) -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = [
            (field.name, field.default)
            for field in msgspec.structs.fields(kind)
            if isinstance(field.default, str | Decimal) and field.default != ""
        ]
        self[kind] = found
        return found


_EQUAL_DEFAULTS = _EqualDefaults()


class Part(Canonical, frozen=True, kw_only=True):
    """A piece of a command."""


class NewLine(Part, frozen=True, kw_only=True):
    """One line as ordered; `unit_price` is in the order's currency, before tax."""

    line_no: int
    sku: Sku
    quantity: Quantity
    uom: str = EACH
    unit_price: Decimal = ZERO
    source_sku: str = ""

    def __post_init__(self) -> None:
        # The same as for all others, written out: of these there are more than of all others together.
        if self.uom is not EACH and self.uom == EACH:
            force_setattr(self, "uom", EACH)
        if self.unit_price is not ZERO and self.unit_price == ZERO:
            force_setattr(self, "unit_price", ZERO)


class LineUnits(msgspec.Struct, frozen=True):
    """Units of one line."""

    line_no: int
    quantity: Quantity


class Received(Part, frozen=True, kw_only=True):
    """Units of one line that came back, and what is done with them."""

    line_no: int
    quantity: Quantity
    disposition: Disposition = "restock"


class Package(Part, frozen=True, kw_only=True):
    """One parcel: its carrier's tracking number and what is in it."""

    tracking: str
    carrier: str = ""
    lines: tuple[LineUnits, ...] = ()


class Command(Canonical, frozen=True, kw_only=True, tag_field="action"):
    """What all commands share. `word` is the source's own word for what it asks, `occurred_at` when it says it was.

    `version` is the source's own number of this statement. It is no part of the payload: the same statement under a newer
    number says nothing new.
    """

    action: ClassVar[str]
    fact: ClassVar[Fact]

    occurred_at: datetime | None = None
    time_zone: str = ""
    word: str = ""
    version: int | None = None

    @property
    def subject(self) -> str:
        """The order's id or the SKU: the first part of every key of what this command writes."""
        raise TypeError(f"{type(self).__name__} has no subject")

    @property
    def key(self) -> str:
        """What makes this the same request when it comes again, within its subject and action."""
        raise TypeError(f"{type(self).__name__} has no key")


class OrderCommand(Command, frozen=True, kw_only=True):
    """A command about one order; `ref` is the source's own id of the fact that it reports."""

    order_id: OrderId
    ref: str = ""

    @property
    def subject(self) -> str:
        return self.order_id

    @property
    def key(self) -> str:
        return self.ref


class AssignmentCommand(OrderCommand, frozen=True, kw_only=True):
    """A command about one assignment of an order: the part of it that one node fulfills."""

    assignment_no: int

    @property
    def key(self) -> str:
        return f"{self.assignment_no}/{self.ref}"


class StockCommand(Command, frozen=True, kw_only=True):
    """A command about the stock of one SKU at one node."""

    sku: Sku
    node: NodeId
    ref: str

    @property
    def subject(self) -> str:
        return self.sku

    @property
    def key(self) -> str:
        return f"{self.node}/{self.ref}"


class CreateOrder(OrderCommand, frozen=True, kw_only=True, tag="order.create"):
    """Take an order. `carry_out` orders (a POS sale) have left the store already: `pickup_node` says which.

    `authorized` and `captured` are amounts that the channel has already obtained; `total` includes `tax` and `shipping`.
    `preferred_node` and `promotions` are told on to those who read the events; sourcing does not follow them.
    """

    action = "order.create"
    fact = "order"

    channel: str
    number: str
    placed_at: datetime
    currency: str
    lines: tuple[NewLine, ...]
    fulfillment: Fulfillment = "delivery"
    destination: Place | None = None
    pickup_node: NodeId | None = None
    customer: str = ""
    total: Decimal = ZERO
    tax: Decimal = ZERO
    shipping: Decimal = ZERO
    authorized: Decimal = ZERO
    captured: Decimal = ZERO
    recipient: Recipient | None = None
    preferred_node: NodeId | None = None
    promotions: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return ""


class AuthorizeOrder(OrderCommand, frozen=True, kw_only=True, tag="order.authorize"):
    """The payment was authorized for an amount."""

    action = "order.authorize"
    fact = "payment"

    amount: Decimal


class CaptureOrder(OrderCommand, frozen=True, kw_only=True, tag="order.capture"):
    """The payment was captured for an amount."""

    action = "order.capture"
    fact = "payment"

    amount: Decimal


class VoidOrder(OrderCommand, frozen=True, kw_only=True, tag="order.void"):
    """So much of the authorization was given up again, never of what is captured."""

    action = "order.void"
    fact = "payment"

    amount: Decimal


class HoldReservation(OrderCommand, frozen=True, kw_only=True, tag="reservation.hold"):
    """Source and reserve the open units of the order (of `lines`, if any are named), at `node` only if one is named."""

    action = "reservation.hold"
    fact = "fulfillment"

    lines: tuple[LineUnits, ...] = ()
    node: NodeId | None = None


class CancelReservation(OrderCommand, frozen=True, kw_only=True, tag="reservation.cancel"):
    """Take held units back from their nodes: of one assignment, of `lines`, or all. They are open again.

    With `exclude` sourcing leaves the nodes out for these SKUs for a time.
    """

    action = "reservation.cancel"
    fact = "fulfillment"

    assignment_no: int | None = None
    lines: tuple[LineUnits, ...] = ()
    exclude: bool = False
    reason: str = ""


class ReleaseShipment(OrderCommand, frozen=True, kw_only=True, tag="shipment.release"):
    """Tell the node to start: of one assignment, or of all that are allocated."""

    action = "shipment.release"
    fact = "order"

    assignment_no: int | None = None

    @property
    def key(self) -> str:
        return f"{self.assignment_no or 'all'}/{self.ref}"


class AcknowledgeShipment(AssignmentCommand, frozen=True, kw_only=True, tag="shipment.acknowledge"):
    """The node has taken the assignment; `warehouse_ref` is its own number for it."""

    action = "shipment.acknowledge"
    fact = "fulfillment"

    warehouse_ref: str = ""


class PackShipment(AssignmentCommand, frozen=True, kw_only=True, tag="shipment.pack"):
    """Units were packed; no lines means all that is held."""

    action = "shipment.pack"
    fact = "fulfillment"

    lines: tuple[LineUnits, ...] = ()


class ConfirmShipment(AssignmentCommand, frozen=True, kw_only=True, tag="shipment.confirm"):
    """Units left the node (or were collected at it); no lines means all that is held. `ref` is the shipment's number."""

    action = "shipment.confirm"
    fact = "fulfillment"

    lines: tuple[LineUnits, ...] = ()
    packages: tuple[Package, ...] = ()
    carrier: str = ""


class RejectShipment(AssignmentCommand, frozen=True, kw_only=True, tag="shipment.reject"):
    """The node cannot ship these units; no lines means all that is held."""

    action = "shipment.reject"
    fact = "fulfillment"

    reason: RejectReason
    lines: tuple[LineUnits, ...] = ()


class CancelOrder(OrderCommand, frozen=True, kw_only=True, tag="order.cancel"):
    """Cancel the order, or only these units of it."""

    action = "order.cancel"
    fact = "order"

    lines: tuple[LineUnits, ...] = ()
    reason: str = ""


class AuthorizeReturn(OrderCommand, frozen=True, kw_only=True, tag="return.authorize"):
    """The customer may send these units back; `ref` is the return's number (RMA)."""

    action = "return.authorize"
    fact = "return"

    lines: tuple[LineUnits, ...]
    reason: str = ""


class CancelReturn(OrderCommand, frozen=True, kw_only=True, tag="return.cancel"):
    """What has not come yet of the return `return_ref` is not awaited any more."""

    action = "return.cancel"
    fact = "return"

    return_ref: str
    reason: str = ""


class ReceiveReturn(OrderCommand, frozen=True, kw_only=True, tag="return.receive"):
    """Units came back to a node; `return_ref` is the return's number, where there was one."""

    action = "return.receive"
    fact = "return"

    node: NodeId
    lines: tuple[Received, ...]
    return_ref: str = ""


class IssueRefund(OrderCommand, frozen=True, kw_only=True, tag="refund.issue"):
    """Money went back: for units that were canceled or returned (`lines`)."""

    action = "refund.issue"
    fact = "refund"

    amount: Decimal
    lines: tuple[LineUnits, ...] = ()


class CloseOrder(OrderCommand, frozen=True, kw_only=True, tag="order.close"):
    """Nothing is left to do for this order."""

    action = "order.close"
    fact = "order"


class AdjustStock(StockCommand, frozen=True, kw_only=True, tag="stock.adjust"):
    """The stock of a SKU at a node changed by `delta` units (received, sold elsewhere, broken, found)."""

    action = "stock.adjust"
    fact = "stock"

    delta: Quantity
    uom: str = EACH
    reason: str = "adjusted"


class CountStock(StockCommand, frozen=True, kw_only=True, tag="stock.count"):
    """The stock of a SKU at a node was counted: there are `counted` units, held ones included."""

    action = "stock.count"
    fact = "stock"

    counted: Quantity
    uom: str = EACH


AnyCommand = (
    CreateOrder
    | AuthorizeOrder
    | CaptureOrder
    | VoidOrder
    | HoldReservation
    | CancelReservation
    | ReleaseShipment
    | AcknowledgeShipment
    | PackShipment
    | ConfirmShipment
    | RejectShipment
    | CancelOrder
    | AuthorizeReturn
    | CancelReturn
    | ReceiveReturn
    | IssueRefund
    | CloseOrder
    | AdjustStock
    | CountStock
)

COMMANDS: dict[str, type[AnyCommand]] = {
    kind.action: kind
    for kind in (
        CreateOrder,
        AuthorizeOrder,
        CaptureOrder,
        VoidOrder,
        HoldReservation,
        CancelReservation,
        ReleaseShipment,
        AcknowledgeShipment,
        PackShipment,
        ConfirmShipment,
        RejectShipment,
        CancelOrder,
        AuthorizeReturn,
        CancelReturn,
        ReceiveReturn,
        IssueRefund,
        CloseOrder,
        AdjustStock,
        CountStock,
    )
}
"""Every action's command, by the action's name."""

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand, strict=False)


def encode(command: AnyCommand) -> bytes:
    """The command as canonical JSON: the same command always gives the same bytes."""
    return _encode(command)


def decode(body: bytes | str) -> AnyCommand:
    """The command that `encode` wrote."""
    return _decoder.decode(body)


def payload_hash(command: AnyCommand) -> bytes:
    """Sixteen bytes (BLAKE2b) that are the same exactly when the canonical payload is the same."""
    if command.version is not None:
        command = msgspec.structs.replace(command, version=None)
    return blake2b(_encode(command), digest_size=16).digest()
