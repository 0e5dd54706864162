"""Orders and stock as they stand. Units move through the lifecycle; every state here is derived from units.

A line's units are either `open` (not yet at a node), held at nodes (`allocated`, `released`, `packed`), gone (`shipped`),
back (`returned`) or `canceled`; the seven counts always add up to the quantity ordered. A reservation tells the same of one
line at one assignment. The objects are changed only by `evolve.evolve`.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from interlock.domain.estate import Fulfillment, Place, Recipient
from interlock.domain.values import EACH, ZERO, NodeId, OrderId, Quantity, Sku, SystemId


class State(StrEnum):
    """The canonical lifecycle."""

    CREATED = "created"
    AUTHORIZED = "authorized"
    ALLOCATED = "allocated"
    RELEASED = "released"
    PACKED = "packed"
    SHIPPED = "shipped"
    CLOSED = "closed"
    CANCELED = "canceled"
    RETURNED = "returned"
    REFUNDED = "refunded"


class Line(msgspec.Struct, kw_only=True):
    """What the customer wants of one SKU, and how far its units have come. `refunded` counts canceled or returned units."""

    line_no: int
    sku: Sku
    quantity: Quantity
    uom: str = EACH
    unit_price: Decimal = ZERO
    source_sku: str = ""
    open: Quantity = 0
    allocated: Quantity = 0
    released: Quantity = 0
    packed: Quantity = 0
    shipped: Quantity = 0
    canceled: Quantity = 0
    returned: Quantity = 0
    refunded: Quantity = 0
    return_due: Quantity = 0

    @property
    def held(self) -> Quantity:
        """Units that are promised at nodes and have not left."""
        return self.allocated + self.released + self.packed

    @property
    def state(self) -> State:
        """The state of the units that have come least far; canceled and returned only when no other is left."""
        if self.open:
            return State.CREATED
        return _least(self.allocated, self.released, self.packed, self.shipped, self.returned)


class Reservation(msgspec.Struct, kw_only=True):
    """Units of a line at one assignment's node: held, or what became of them. `rejected` ones went back to open."""

    line_no: int
    assignment_no: int
    sku: Sku
    node: NodeId
    quantity: Quantity
    allocated: Quantity = 0
    released: Quantity = 0
    packed: Quantity = 0
    shipped: Quantity = 0
    canceled: Quantity = 0
    rejected: Quantity = 0

    @property
    def held(self) -> Quantity:
        """Units promised here that have not left."""
        return self.allocated + self.released + self.packed


class Assignment(msgspec.Struct, kw_only=True):
    """The part of an order that one node fulfills; `seq_released` is None until the node is told to start."""

    assignment_no: int
    node: NodeId
    created_at: datetime
    released_at: datetime | None = None
    acknowledged_at: datetime | None = None
    warehouse_ref: str = ""


class Parcel(msgspec.Struct, kw_only=True):
    """One package of a shipment."""

    package_no: int
    tracking: str
    carrier: str = ""


class Shipment(msgspec.Struct, kw_only=True):
    """What physically left a node: units of an assignment, in packages."""

    shipment_no: int
    assignment_no: int
    node: NodeId
    ref: str
    shipped_at: datetime
    units: tuple[tuple[int, Quantity], ...]
    packages: tuple[Parcel, ...] = ()


class Return(msgspec.Struct, kw_only=True):
    """Units that the customer may send back (`due`) and what came (`received`), by line."""

    ref: str
    due: dict[int, Quantity]
    received: dict[int, Quantity]


class Payment(msgspec.Struct, kw_only=True):
    """The order's financial status: one per order however many nodes."""

    authorized: Decimal = ZERO
    captured: Decimal = ZERO
    refunded: Decimal = ZERO


class Order(msgspec.Struct, kw_only=True):
    """An order with all its parts. `seq` is the number of its last event; `wake_at` when time itself acts on it next."""

    order_id: OrderId
    system: SystemId
    channel: str
    number: str
    currency: str
    placed_at: datetime
    created_at: datetime
    time_zone: str = ""
    word: str = ""
    fulfillment: Fulfillment = "delivery"
    destination: Place | None = None
    pickup_node: NodeId | None = None
    customer: str = ""
    recipient: Recipient | None = None
    total: Decimal = ZERO
    tax: Decimal = ZERO
    shipping: Decimal = ZERO
    seq: int = 0
    closed_at: datetime | None = None
    wake_at: datetime | None = None
    hold_attempts: int = 0
    lines: dict[int, Line] = {}
    assignments: dict[int, Assignment] = {}
    reservations: dict[tuple[int, int], Reservation] = {}
    shipments: dict[int, Shipment] = {}
    payment: Payment = msgspec.field(default_factory=Payment)
    returns: dict[str, Return] = {}

    @property
    def state(self) -> State:
        """The order's state, derived: closed if it is, else that of the units that have come least far."""
        if self.closed_at is not None:
            return State.CLOSED
        # One pass, because every answer asks: the same as the least of the lines' states.
        allocated = released = packed = shipped = canceled = False
        for line in self.lines.values():
            if line.open:
                return State.AUTHORIZED if self.authorized else State.CREATED
            if line.allocated:
                allocated = True
            elif line.released:
                released = True
            elif line.packed:
                packed = True
            elif line.shipped:
                shipped = True
            elif not line.returned:
                canceled = True
        if allocated or released or packed or shipped:
            return _least(allocated, released, packed, shipped, 0)
        if self.payment.refunded > 0:
            return State.REFUNDED
        return State.CANCELED if canceled else State.RETURNED

    @property
    def authorized(self) -> bool:
        """Whether the payment covers what the order costs."""
        return self.payment.authorized >= self.total

    @property
    def settled(self) -> bool:
        """Whether every unit has reached an end: shipped, returned or canceled, with no return on its way."""
        for line in self.lines.values():  # noqa: SIM110 - asked after every decision: a loop is several times faster
            if line.open or line.allocated or line.released or line.packed or line.return_due:
                return False
        return True

    def held_at(self, assignment_no: int) -> list[Reservation]:
        """The reservations of an assignment, by line."""
        return [r for r in self.reservations.values() if r.assignment_no == assignment_no]

    def assignment_state(self, assignment_no: int) -> State:
        """The state of the units of one assignment that have come least far."""
        mine = self.held_at(assignment_no)
        return _least(
            sum(r.allocated for r in mine),
            sum(r.released for r in mine),
            sum(r.packed for r in mine),
            sum(r.shipped for r in mine),
            0,
        )


def _least(allocated: Quantity, released: Quantity, packed: Quantity, shipped: Quantity, returned: Quantity) -> State:
    if allocated:
        return State.ALLOCATED
    if released:
        return State.RELEASED
    if packed:
        return State.PACKED
    if shipped:
        return State.SHIPPED
    if returned:
        return State.RETURNED
    return State.CANCELED


class Position(msgspec.Struct):
    """Stock of one SKU at one node, in layers.

    `physical` is what stands there, `unsellable` the part of it that is damaged or blocked, `reserved` what we have promised.
    Available is physical less unsellable; `sellable` is available less reserved less the buffer, and is kept in step here
    because sourcing reads it often.
    """

    physical: Quantity
    unsellable: Quantity
    reserved: Quantity
    buffer: Quantity
    sellable: Quantity
    excluded_until: datetime | None = None
    exists: bool = True

    @property
    def available(self) -> Quantity:
        """Units that could be promised if nothing were."""
        return self.physical - self.unsellable
