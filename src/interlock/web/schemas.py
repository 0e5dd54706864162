"""What bodies look like: structs from which the API's description is made.

They say what may be sent and what it means; what is read is decided by `connectors/mapping_actions.py`. A test holds the two
to the same fields.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from interlock.domain.commands import COMMANDS, Disposition, RejectReason
from interlock.domain.decision import OutcomeWord
from interlock.domain.estate import Fulfillment
from interlock.storage.story import Step

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(max_length=500)]
Time = Annotated[
    str, msgspec.Meta(description="ISO 8601 with an offset from UTC", examples=["2026-03-01T09:30:00+01:00"])
]
Amount = Annotated[str | float, msgspec.Meta(description='Money, at most four places: "19.99" or 19.99')]
Units = Annotated[int | float | str, msgspec.Meta(description="More than zero; a whole number where the unit is each")]
LineNo = Annotated[int, msgspec.Meta(ge=1)]


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What all bodies may have."""

    occurred_at: Time | None = None
    status: Annotated[str | None, msgspec.Meta(description="the source's own word")] = None
    version: Annotated[int, msgspec.Meta(ge=0, description="the source's own number of this statement")] | None = None


class Piece(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A piece of a body."""


class OrderedLine(Piece):
    """One line as ordered; `line_no` counts from 1 if it is left out."""

    sku: Key
    quantity: Units
    line_no: LineNo | None = None
    uom: Key = "each"
    unit_price: Amount | None = None


class UnitsOfLine(Piece):
    """Units of one line."""

    line_no: LineNo
    quantity: Units


class ReturnedUnits(Piece):
    """Units of one line that came back, and what is done with them."""

    line_no: LineNo
    quantity: Units
    disposition: Disposition = "restock"


class Parcel(Piece):
    """One package."""

    tracking: Key
    carrier: Text | None = None
    lines: list[UnitsOfLine] | None = None


class Destination(Piece):
    """Where the order goes; coordinates in degrees (WGS 84), both or none."""

    country: Annotated[str, msgspec.Meta(description="ISO 3166, two letters")]
    region: Text | None = None
    postal_code: Text | None = None
    latitude: float | None = None
    longitude: float | None = None


class Receiver(Piece):
    """Who takes delivery, and at which door: what a label needs beside the destination."""

    name: Text | None = None
    street: Text | None = None
    street_2: Text | None = None
    city: Text | None = None
    phone: Text | None = None
    email: Text | None = None


class Paid(Piece):
    """What the channel has obtained already."""

    authorized: Amount | None = None
    captured: Amount | None = None


Lines = Annotated[list[UnitsOfLine], msgspec.Meta(min_length=1, max_length=10_000)] | None


class CreateOrder(Body):
    """Take an order. `delivery` needs a destination, every other fulfillment a pickup_node."""

    order_id: Annotated[str, msgspec.Meta(description="the sender's own number of the order", max_length=200)]
    channel: Key
    placed_at: Time
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    lines: Annotated[list[OrderedLine], msgspec.Meta(min_length=1, max_length=10_000)]
    number: Key | None = None
    fulfillment: Fulfillment = "delivery"
    destination: Destination | None = None
    pickup_node: Key | None = None
    customer: Text | None = None
    recipient: Receiver | None = None
    total: Annotated[Amount | None, msgspec.Meta(description="if left out: lines, tax and shipping")] = None
    tax: Amount | None = None
    shipping: Amount | None = None
    payment: Paid | None = None


class AuthorizeOrder(Body):
    """The payment was authorized for an amount more."""

    order: Key
    ref: Key
    amount: Amount


class CaptureOrder(AuthorizeOrder):
    """The payment was captured for an amount more."""


class VoidOrder(AuthorizeOrder):
    """So much of the authorization was given up again."""


class HoldReservation(Body):
    """Source and reserve open units: all, or those named; at the node named only, if one is."""

    order: Key
    ref: Key
    lines: Lines = None
    node: Key | None = None


class CancelReservation(Body):
    """Take held units back from their nodes: all, those of an assignment, or those named. They are sourced again."""

    order: Key
    ref: Key
    assignment: str | int | None = None
    lines: Lines = None
    exclude: Annotated[bool, msgspec.Meta(description="leave the nodes out for these SKUs for a time")] = False
    reason: Text | None = None


class ReleaseShipment(Body):
    """Tell nodes to start: one assignment's, or all that are allocated."""

    order: Key
    ref: Key | None = None
    assignment: str | int | None = None


class AcknowledgeShipment(Body):
    """The node has taken the assignment."""

    assignment: Key
    ref: Key | None = None
    warehouse_ref: Key | None = None


class PackShipment(Body):
    """Units were packed; no lines means all that is held."""

    assignment: Key
    ref: Key
    lines: Lines = None


class ConfirmShipment(Body):
    """Units left the node; no lines means all that is held. `ref` is the shipment's number."""

    assignment: Key
    ref: Key
    lines: Lines = None
    packages: list[Parcel] | None = None
    carrier: Text | None = None
    shipped_at: Time | None = None


class RejectShipment(Body):
    """The node cannot ship these units; no lines means all that is held. They are sourced again."""

    assignment: Key
    ref: Key
    reason: RejectReason
    lines: Lines = None


class CancelOrder(Body):
    """Cancel the order, or only the units named."""

    order: Key
    ref: Key
    lines: Lines = None
    reason: Text | None = None


class AuthorizeReturn(Body):
    """The customer may send units back; `ref` is the return's number."""

    order: Key
    ref: Key
    lines: Annotated[list[UnitsOfLine], msgspec.Meta(min_length=1)]
    reason: Text | None = None


class CancelReturn(Body):
    """What has not come yet of a return is not awaited any more."""

    order: Key
    ref: Key
    return_ref: Key
    reason: Text | None = None


class ReceiveReturn(Body):
    """Units came back to a node."""

    order: Key
    ref: Key
    node: Key
    lines: Annotated[list[ReturnedUnits], msgspec.Meta(min_length=1)]
    return_ref: Key | None = None


class IssueRefund(Body):
    """Money went back, for units that were canceled or returned."""

    order: Key
    ref: Key
    amount: Amount
    lines: Lines = None


class CloseOrder(Body):
    """Nothing is left to do for the order."""

    order: Key
    ref: Key | None = None


class AdjustStock(Body):
    """The stock of a SKU at a node changed by `delta` units, up or down."""

    sku: Key
    node: Key
    ref: Key
    delta: Annotated[int | float | str, msgspec.Meta(description="other than zero")]
    reason: Text | None = None
    uom: Key = "each"


class CountStock(Body):
    """The stock of a SKU at a node was counted, held units included."""

    sku: Key
    node: Key
    ref: Key
    counted: Annotated[int | float | str, msgspec.Meta(description="zero or more")]
    uom: Key = "each"


class CloseException(Piece):
    """An exception that is over, and how that was seen."""

    subject: str
    exception_id: str
    evidence: str


class Answer(msgspec.Struct, kw_only=True):
    """What became of a command. What the action itself answers stands beside these fields."""

    outcome: OutcomeWord
    message_id: str
    replayed: bool
    order_id: str = ""
    state: str = ""
    seq: int = 0
    reason: str = ""
    waits_for: str = ""


class Story(msgspec.Struct):
    """Everything that happened to an order, in time order."""

    identifier: str
    steps: list[Step]


_HERE: Final = {kind.__name__: kind for kind in Body.__subclasses__() + AuthorizeOrder.__subclasses__()}
BODIES: Final[dict[str, type[Body]]] = {action: _HERE[kind.__name__] for action, kind in COMMANDS.items()}
"""Every action's body."""
