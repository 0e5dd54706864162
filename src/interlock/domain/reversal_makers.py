"""How a deed stands now, and the compensating commands that undo it: the functions behind the table of `reversals.py`.

Each pair reads the order as it stands and what a message did to it. Nothing here decides: the commands that it makes go the
way of all commands, and may still be refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import TypeVar, cast

import msgspec

from interlock.domain.commands import (
    AdjustStock,
    AnyCommand,
    AuthorizeOrder,
    CancelOrder,
    CancelReservation,
    CancelReturn,
    HoldReservation,
    IssueRefund,
    LineUnits,
    ReleaseShipment,
    VoidOrder,
)
from interlock.domain.decide.refunds import worth_of
from interlock.domain.estate import Estate
from interlock.domain.events import (
    AnyEvent,
    AssignmentReleased,
    OrderCreated,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentVoided,
    ReservationCanceled,
    ReturnAuthorized,
    UnitsAllocated,
    UnitsPacked,
    UnitsRejected,
    UnitsShipped,
)
from interlock.domain.model import Order, Reservation, State
from interlock.domain.values import NodeId, Quantity, Sku, plain

E = TypeVar("E")


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What one processed message did: its events, or (`node`) how many units of a SKU it moved.

    `counted_since` says that a newer count of the SKU at the node was processed.
    """

    action: str
    subject: str
    key: str
    events: tuple[AnyEvent, ...] = ()
    node: NodeId | None = None
    change: Quantity = 0
    counted_since: bool = False

    @property
    def ref(self) -> str:
        """What the first compensating command is known by: derived from the deed, so that it is undone once."""
        return f"undo/{self.action}/{self.key}".rstrip("/")

    @property
    def stock_ref(self) -> str:
        """The same, for commands about stock: there the order's id does not stand beside it."""
        return self.ref if self.node is not None else f"undo/{self.action}/{self.subject}/{self.key}"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What a reversal is made from. `by` is the person who asks for it."""

    deed: Deed
    estate: Estate
    order: Order | None = None
    by: str = ""

    @property
    def known(self) -> Order:
        """The order that the deed was done to."""
        if self.order is None:
            raise ValueError(f"{self.deed.action} was done to no order")
        return self.order

    @property
    def reason(self) -> str:
        """What the history says of it."""
        return f"undone by {self.by}" if self.by else "undone"

    def did(self, kind: type[E]) -> list[E]:
        """The deed's events of a kind."""
        return [event for event in self.deed.events if isinstance(event, kind)]

    def ref(self, number: int) -> str:
        """The ref of the compensating command of this number, counted from 1."""
        return self.deed.ref if number == 1 else f"{self.deed.ref}#{number}"


def always(_: Scene) -> str:
    """It makes no difference how far things have come."""
    return "any"


def nothing(_: Scene) -> list[AnyCommand]:
    """No command of ours undoes it."""
    return []


# Orders


def standing_of_order(scene: Scene) -> str:
    """How far the unit that has come farthest is, and whether what was paid can go back."""
    if not scene.did(OrderCreated):
        return "restated"
    lines = scene.known.lines.values()
    if any(line.shipped or line.returned for line in lines):
        return "shipped"
    if any(line.packed for line in lines):
        return "packed"
    if not any(line.open or line.held for line in lines):
        return "canceled"
    payment = scene.known.payment
    unrefunded = {line.line_no: line.quantity - line.refunded for line in lines}
    return "overpaid" if payment.captured - payment.refunded > worth_of(scene.known, unrefunded) else "not packed"


def cancel_order(scene: Scene) -> list[AnyCommand]:
    """Cancel all units, pay back what is captured, give up what is not."""
    order = scene.known
    payment = order.payment
    made: list[AnyCommand] = [CancelOrder(order_id=order.order_id, ref=scene.ref(1), reason=scene.reason)]
    if payment.captured > payment.refunded:
        amount = payment.captured - payment.refunded
        made.append(IssueRefund(order_id=order.order_id, ref=scene.ref(2), amount=amount, word=scene.reason))
    if payment.authorized > payment.captured:
        amount = payment.authorized - payment.captured
        made.append(VoidOrder(order_id=order.order_id, ref=scene.ref(3), amount=amount, word=scene.reason))
    return made


def standing_of_close(scene: Scene) -> str:
    """Whether it is still closed."""
    return "closed" if scene.known.closed_at is not None else "open again"


# Money


def standing_of_authorization(scene: Scene) -> str:
    """Whether the amount can be given up, and what it released taken back."""
    payment = scene.known.payment
    if payment.authorized - payment.captured < _amount(scene.did(PaymentAuthorized)):
        return "captured"
    released = _furthest(_released(scene))
    return "packed" if released in ("packed", "shipped") else "not captured"


def void_authorization(scene: Scene) -> list[AnyCommand]:
    """Give the amount up; take back what it released, and hold it again."""
    order, amount = scene.known, _amount(scene.did(PaymentAuthorized))
    void = VoidOrder(order_id=order.order_id, ref=scene.ref(1), amount=amount, word=scene.reason)
    released = _released(scene)
    if not any(r.allocated or r.released for r in released):
        return [void]
    covered = order.payment.authorized - amount >= order.total
    return [void, *_take_back(scene, released, 2, hold=not _releases_at_once(scene, covered=covered))]


def standing_of_capture(scene: Scene) -> str:
    """Whether enough units came back (or were canceled) to be worth the amount."""
    amount, payment = _amount(scene.did(PaymentCaptured)), scene.known.payment
    fits = amount <= payment.captured - payment.refunded and _units_worth(scene.known, amount) is not None
    return "units came back" if fits else "goods are kept"


def refund_capture(scene: Scene) -> list[AnyCommand]:
    """Pay the amount back, for units that came back."""
    order, amount = scene.known, _amount(scene.did(PaymentCaptured))
    lines = _units_worth(order, amount) or ()
    return [
        IssueRefund(order_id=order.order_id, ref=scene.ref(1), amount=amount, lines=tuple(lines), word=scene.reason)
    ]


def standing_of_void(scene: Scene) -> str:
    """Whether the order can still be paid for."""
    over = scene.known.state in (State.CANCELED, State.REFUNDED)
    return "the order is over" if over else "there is something to pay for"


def authorize_again(scene: Scene) -> list[AnyCommand]:
    """Authorize what was given up."""
    amount = _amount(scene.did(PaymentVoided))
    return [AuthorizeOrder(order_id=scene.known.order_id, ref=scene.ref(1), amount=amount, word=scene.reason)]


def _amount(events: Iterable[PaymentAuthorized | PaymentCaptured | PaymentVoided]) -> Decimal:
    return sum((event.amount for event in events), Decimal(0))


def _units_worth(order: Order, amount: Decimal) -> list[LineUnits] | None:
    """As few canceled or returned units without a refund as are worth the amount; None where all are worth less."""
    goods = sum((line.unit_price * line.quantity for line in order.lines.values()), Decimal(0))
    left, picked = amount, dict[int, Quantity]()
    for line in order.lines.values():
        free = line.canceled + line.returned - line.refunded
        each = line.unit_price * order.total / goods if goods else order.total
        if free <= 0 or each <= 0 or left <= 0:
            continue
        picked[line.line_no] = min(free, plain((left / each).to_integral_value(ROUND_CEILING)))
        left -= each * picked[line.line_no]
    if not picked or amount > worth_of(order, picked):
        return None
    return [LineUnits(line_no, plain(units)) for line_no, units in picked.items()]


# Reservations and releases


def standing_of_hold(scene: Scene) -> str:
    """How far the units are that it reserved."""
    return _furthest(_allocated(scene))


def take_back(scene: Scene) -> list[AnyCommand]:
    """Take back what it reserved, one assignment after the other."""
    return _take_back(scene, _allocated(scene), 1, hold=False)


def standing_of_release(scene: Scene) -> str:
    """How far the units are that it released."""
    return _furthest(_released(scene))


def take_back_and_hold(scene: Scene) -> list[AnyCommand]:
    """Take back what it released, and hold it there again, if the channel lets it rest there."""
    at_once = _releases_at_once(scene, covered=scene.known.authorized)
    return _take_back(scene, _released(scene), 1, hold=not at_once)


def standing_of_taken_back(scene: Scene) -> str:
    """Whether the units that were taken back are still open."""
    order = scene.known
    taken = _by_line((h.line_no, h.quantity) for event in scene.did(ReservationCanceled) for h in event.held)
    return "open" if all(order.lines[line_no].open >= units for line_no, units in taken.items()) else "not open"


def hold_again(scene: Scene) -> list[AnyCommand]:
    """Hold what was taken back where it was, and release what was released."""
    order = scene.known
    held = [h for event in scene.did(ReservationCanceled) for h in event.held]
    made: list[AnyCommand] = []
    at_once = _releases_at_once(scene, covered=order.authorized)
    for place, number in enumerate(sorted({h.assignment_no for h in held}), 1):
        lines = _by_line((h.line_no, h.quantity) for h in held if h.assignment_no == number)
        made.append(_hold(scene, len(made) + 1, order.assignments[number].node, lines))
        if order.assignments[number].released_at is not None and not at_once:
            ref, new = scene.ref(len(made) + 1), len(order.assignments) + place
            made.append(ReleaseShipment(order_id=order.order_id, ref=ref, assignment_no=new, word=scene.reason))
    return made


def _allocated(scene: Scene) -> list[Reservation]:
    return [r for event in scene.did(UnitsAllocated) for number in event.nodes for r in scene.known.held_at(number)]


def _released(scene: Scene) -> list[Reservation]:
    return [r for event in scene.did(AssignmentReleased) for r in scene.known.held_at(event.assignment_no)]


def _furthest(reservations: list[Reservation]) -> str:
    if any(r.shipped for r in reservations):
        return "shipped"
    if any(r.packed for r in reservations):
        return "packed"
    return "not packed" if any(r.held for r in reservations) else "not held"


def _take_back(scene: Scene, reservations: list[Reservation], first: int, *, hold: bool) -> list[AnyCommand]:
    order = scene.known
    made: list[AnyCommand] = []
    for number in sorted({r.assignment_no for r in reservations if r.allocated or r.released}):
        lines = _by_line((r.line_no, r.allocated + r.released) for r in reservations if r.assignment_no == number)
        made.append(
            CancelReservation(
                order_id=order.order_id,
                ref=scene.ref(first + len(made)),
                assignment_no=number,
                lines=_units(lines),
                reason=scene.reason,
            )
        )
        if hold:
            made.append(_hold(scene, first + len(made), order.assignments[number].node, lines))
    return made


def _hold(scene: Scene, number: int, node: NodeId, lines: dict[int, Quantity]) -> HoldReservation:
    order_id = scene.known.order_id
    return HoldReservation(order_id=order_id, ref=scene.ref(number), node=node, lines=_units(lines), word=scene.reason)


def _releases_at_once(scene: Scene, *, covered: bool) -> bool:
    """Whether units of the order that are held do not rest, but go out at once."""
    rule = scene.estate.channels[scene.known.channel].release
    return rule == "at_once" or (rule == "when_authorized" and covered)


def _by_line(units: Iterable[tuple[int, Quantity]]) -> dict[int, Quantity]:
    total: dict[int, Quantity] = {}
    for line_no, quantity in units:
        total[line_no] = total.get(line_no, 0) + quantity
    return total


def _units(lines: dict[int, Quantity]) -> tuple[LineUnits, ...]:
    return tuple(LineUnits(line_no, plain(units)) for line_no, units in lines.items() if units)


# What nodes told


def standing_of_pack(scene: Scene) -> str:
    """Whether what was packed still stands there."""
    held = scene.known.reservations
    packed = [held[u.line_no, event.assignment_no].packed for event in scene.did(UnitsPacked) for u in event.units]
    return "packed" if any(packed) else "not packed"


def standing_of_shipment(scene: Scene) -> str:
    """Whether units of the lines that left are still out."""
    lines = scene.known.lines
    gone = [u.line_no for event in scene.did(UnitsShipped) for u in (*event.units, *event.after_cancel)]
    return "shipped" if any(lines[line_no].shipped for line_no in gone) else "returned"


def standing_of_reject(scene: Scene) -> str:
    """What the rejection did to the stock."""
    (event,) = scene.did(UnitsRejected)
    return {"short_pick": "taken off stock", "not_found": "taken off stock"}.get(event.reason, event.reason)


def stock_back(scene: Scene) -> list[AnyCommand]:
    """Put the units that were taken off onto the stock again."""
    (event,) = scene.did(UnitsRejected)
    total: dict[tuple[Sku, NodeId], Quantity] = {}
    for unit in event.units:
        held = scene.known.reservations[unit.line_no, event.assignment_no]
        total[held.sku, held.node] = total.get((held.sku, held.node), 0) + unit.quantity
    return [_adjust(scene, sku, node, units) for (sku, node), units in total.items()]


# Returns


def standing_of_return(scene: Scene) -> str:
    """Whether anything of the return is still to come."""
    (event,) = scene.did(ReturnAuthorized)
    mine = scene.known.returns[event.ref]
    if any(due > mine.received.get(line_no, 0) for line_no, due in mine.due.items()):
        return "awaited"
    return "received" if mine.received else "canceled"


def cancel_return(scene: Scene) -> list[AnyCommand]:
    """Await nothing of it any more."""
    (event,) = scene.did(ReturnAuthorized)
    order_id = scene.known.order_id
    return [CancelReturn(order_id=order_id, ref=scene.ref(1), return_ref=event.ref, reason=scene.reason)]


# Stock


def standing_of_adjustment(scene: Scene) -> str:
    """Whether it changed anything."""
    return "any" if scene.deed.change else "no difference"


def standing_of_count(scene: Scene) -> str:
    """Whether it is the newest count of the SKU at its node."""
    if scene.deed.counted_since:
        return "counted since"
    return "newest count" if scene.deed.change else "no difference"


def adjust_back(scene: Scene) -> list[AnyCommand]:
    """The same number of units the other way."""
    deed = scene.deed
    return [_adjust(scene, Sku(deed.subject), cast(NodeId, deed.node), -deed.change)]


def _adjust(scene: Scene, sku: Sku, node: NodeId, delta: Quantity) -> AdjustStock:
    return AdjustStock(sku=sku, node=node, ref=scene.deed.stock_ref, delta=plain(delta), reason=scene.reason)
