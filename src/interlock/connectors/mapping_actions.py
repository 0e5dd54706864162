"""Which fields each action's record has, and the command that they make: one function for each action.

A function reads every field, whatever was wrong with those before it, so that all mistakes are found. What it
gives is only good if the form's list of mistakes stayed empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypedDict, cast, get_args

from interlock.connectors.mapping_errors import suggestion
from interlock.connectors.mapping_fields import ANY_UNIT, Form, plain
from interlock.domain import commands
from interlock.domain.commands import AnyCommand, LineUnits, NewLine, Package, Received
from interlock.domain.estate import Fulfillment, Place
from interlock.domain.values import ZERO, OrderId

PAID: Final = frozenset({"authorized", "allocated", "released", "packed", "shipped", "closed"})
CAPTURED: Final = frozenset({"shipped", "closed"})
OVER: Final = frozenset({"canceled", "returned", "refunded"})
_FULFILLMENTS: Final[tuple[Fulfillment, ...]] = get_args(Fulfillment)
_NEW_ORDER: Final = frozenset(
    ["order_id", "number", "channel", "placed_at", "currency", "fulfillment", "destination", "pickup_node"]
    + ["customer", "lines", "total", "tax", "shipping", "payment"]
)
_NEW_LINE: Final = frozenset({"line_no", "sku", "quantity", "uom", "unit_price"})
_PLACE: Final = frozenset({"country", "region", "postal_code", "latitude", "longitude"})
_PAYMENT: Final = frozenset({"authorized", "captured"})


def create_order(form: Form) -> AnyCommand:
    """A new order: no `ref`, because the order's id alone makes it the same order again."""
    source_id, order_id = form.new_order_id("order_id")
    placed = form.time("placed_at")
    if placed is None and not form.given("placed_at"):
        form.missing("placed_at", "a time with an offset from UTC, such as 2026-03-01T09:30:00+01:00")
    occurred = form.time("occurred_at")
    fulfillment = form.one_of("fulfillment", _FULFILLMENTS, "delivery")
    place = form.form("destination", _PLACE)
    if fulfillment == "delivery" and not form.given("destination"):
        form.missing("destination", "an object with at least the country, because the order is to be delivered")
    pickup_node = form.node("pickup_node") if form.given("pickup_node") else None
    if fulfillment != "delivery" and not form.given("pickup_node"):
        form.missing("pickup_node", f"a node of the estate, because the fulfillment is {fulfillment}")
    lines = _new_lines(form)
    tax, shipping = form.amount("tax", ZERO), form.amount("shipping", ZERO)
    total = form.amount("total", ZERO) if form.given("total") else total_of(lines, tax, shipping)
    state = _order_state(form)
    authorized, captured = (total if state in PAID else ZERO), (total if state in CAPTURED else ZERO)
    payment = form.form("payment", _PAYMENT)
    if payment is not None:
        captured = payment.amount("captured", ZERO)
        authorized = payment.amount("authorized", captured)
        if captured > authorized:
            payment.wrong("captured", "at most what was authorized")
    return commands.CreateOrder(
        order_id=order_id,
        channel=form.channel("channel"),
        number=form.key("number", source_id),
        placed_at=cast(Any, placed and placed[0]),
        occurred_at=occurred and occurred[0],
        time_zone=placed[1] if placed else "",
        currency=form.currency("currency"),
        lines=tuple(lines),
        fulfillment=fulfillment,
        destination=_place(place) if place else None,
        pickup_node=pickup_node,
        customer=form.text("customer"),
        total=total,
        tax=tax,
        shipping=shipping,
        authorized=authorized,
        captured=captured,
        word=form.text("status"),
        version=form.version("version"),
    )


def _new_lines(form: Form) -> list[NewLine]:
    lines = []
    entries = form.forms("lines", _NEW_LINE)
    for place, entry in enumerate(entries, start=1):
        theirs = entry.record.get("sku")
        sku = entry.sku("sku")
        uom = entry.uom()
        lines.append(
            NewLine(
                line_no=entry.whole("line_no", place),
                sku=sku,
                quantity=entry.quantity("quantity", uom),
                uom=uom,
                unit_price=entry.amount("unit_price", ZERO),
                source_sku=cast(str, theirs) if theirs != sku else "",
            )
        )
    if not entries and form.record.get("lines") is None:
        form.missing("lines", "a list of what was ordered")
    _refuse_double_lines(entries, lines)
    return lines


def _refuse_double_lines(entries: Sequence[Form], lines: Sequence[NewLine | LineUnits | Received]) -> None:
    if len({line.line_no for line in lines}) == len(lines):
        return
    seen: set[int] = set()
    for entry, line in zip(entries, lines, strict=True):
        if line.line_no and line.line_no in seen:
            entry.wrong("line_no", f"a number that no other line has, and {line.line_no} is another line's already")
        seen.add(line.line_no)


def total_of(lines: Sequence[NewLine], tax: Decimal, shipping: Decimal) -> Decimal:
    """What an order costs that does not say it itself."""
    total = tax + shipping
    for line in lines:
        if line.unit_price:
            total += line.unit_price * line.quantity
    # Pounds and metres times a price have more places than money has.
    return plain(round(total, 4)) if cast(int, total.as_tuple().exponent) < -4 else plain(total)


def _order_state(form: Form) -> str | None:
    """How far the order has come, by the sender's word for it, where the estate knows the word."""
    word, system = form.text("status"), form.sender.system
    if not word or not system.states:
        return None
    state = form.sender.estate.state(system.id, word)
    if state is None or state in OVER:
        known = [theirs for theirs, ours in system.states.items() if ours not in OVER]
        form.wrong("status", f"a word for a new order that the estate maps for {system.id}{suggestion(word, known)}")
    return state


def _place(form: Form) -> Place:
    place = Place(
        country=form.country("country"),
        region=form.text("region"),
        postal_code=form.text("postal_code"),
        latitude=form.degrees("latitude", 90),
        longitude=form.degrees("longitude", 180),
    )
    for one, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if form.given(one) and not form.given(other):
            form.missing(other, f"degrees, because the {one} is given")
    return place


# The other actions

_ADJUSTED: Final = "adjusted"
_UNITS: Final = frozenset({"line_no", "quantity"})
_RECEIVED: Final = frozenset({"line_no", "quantity", "disposition"})
_PACKAGE: Final = frozenset({"tracking", "carrier", "lines"})
_REASONS: Final[tuple[commands.RejectReason, ...]] = get_args(commands.RejectReason)
_DISPOSITIONS: Final[tuple[commands.Disposition, ...]] = get_args(commands.Disposition)


class _Shared(TypedDict):
    occurred_at: Any
    time_zone: str
    word: str
    version: int | None


def _shared(form: Form, also: str | None = None) -> _Shared:
    """What every command has; `also` is another name that the action has for `occurred_at`."""
    occurred = form.time("occurred_at")
    if also is not None and form.given(also):
        if form.given("occurred_at"):
            form.wrong(also, f"only one of {also} and occurred_at")
        occurred = form.time(also)
    at, zone = occurred or (None, "")
    return {"occurred_at": at, "time_zone": zone, "word": form.text("status"), "version": form.version("version")}


def _units(form: Form) -> tuple[LineUnits, ...]:
    entries = form.forms("lines", _UNITS)
    lines = [
        LineUnits(line_no=entry.whole("line_no"), quantity=entry.quantity("quantity", ANY_UNIT)) for entry in entries
    ]
    _refuse_double_lines(entries, lines)
    return tuple(lines)


def _authorize_order(form: Form) -> AnyCommand:
    return commands.AuthorizeOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        **_shared(form),
    )


def _capture_order(form: Form) -> AnyCommand:
    return commands.CaptureOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        **_shared(form),
    )


def _void_order(form: Form) -> AnyCommand:
    return commands.VoidOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        **_shared(form),
    )


def _hold_reservation(form: Form) -> AnyCommand:
    return commands.HoldReservation(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        lines=_units(form),
        node=form.node("node") if form.given("node") else None,
        **_shared(form),
    )


def _cancel_reservation(form: Form) -> AnyCommand:
    order_id = form.order_id("order")
    return commands.CancelReservation(
        order_id=order_id,
        assignment_no=_number_of_assignment(form, order_id),
        ref=form.key("ref"),
        lines=_units(form),
        exclude=form.flag("exclude"),
        reason=form.text("reason"),
        **_shared(form),
    )


def _release_shipment(form: Form) -> AnyCommand:
    order_id = form.order_id("order")
    number = _number_of_assignment(form, order_id)
    return commands.ReleaseShipment(order_id=order_id, assignment_no=number, ref=form.key("ref", ""), **_shared(form))


def _number_of_assignment(form: Form, order_id: OrderId) -> int | None:
    """The assignment of the order that is named, whole or by its number alone; None where none is."""
    if not form.given("assignment"):
        return None
    value = form.record["assignment"]
    if isinstance(value, str) and "/" in value:
        of, number = form.assignment("assignment")
        if of != order_id:
            form.wrong("assignment", f"an assignment of the order {order_id}")
        return number
    return form.whole("assignment")


def _acknowledge_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    return commands.AcknowledgeShipment(
        order_id=order_id,
        assignment_no=number,
        ref=form.key("ref", ""),
        warehouse_ref=form.key("warehouse_ref", ""),
        **_shared(form),
    )


def _pack_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    return commands.PackShipment(
        order_id=order_id, assignment_no=number, ref=form.key("ref"), lines=_units(form), **_shared(form)
    )


def _confirm_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    packages = form.forms("packages", _PACKAGE)
    return commands.ConfirmShipment(
        order_id=order_id,
        assignment_no=number,
        ref=form.key("ref"),
        lines=_units(form),
        packages=tuple(
            Package(tracking=each.key("tracking"), carrier=each.text("carrier"), lines=_units(each))
            for each in packages
        ),
        carrier=form.text("carrier"),
        **_shared(form, also="shipped_at"),
    )


def _reject_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    return commands.RejectShipment(
        order_id=order_id,
        assignment_no=number,
        ref=form.key("ref"),
        reason=form.one_of("reason", _REASONS),
        lines=_units(form),
        **_shared(form),
    )


def _cancel_order(form: Form) -> AnyCommand:
    return commands.CancelOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        lines=_units(form),
        reason=form.text("reason"),
        **_shared(form),
    )


def _authorize_return(form: Form) -> AnyCommand:
    if form.record.get("lines") is None:
        form.missing("lines", "a list of what may come back")
    return commands.AuthorizeReturn(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        lines=_units(form),
        reason=form.text("reason"),
        **_shared(form),
    )


def _cancel_return(form: Form) -> AnyCommand:
    return commands.CancelReturn(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        return_ref=form.key("return_ref"),
        reason=form.text("reason"),
        **_shared(form),
    )


def _receive_return(form: Form) -> AnyCommand:
    if form.record.get("lines") is None:
        form.missing("lines", "a list of what came back")
    entries = form.forms("lines", _RECEIVED)
    lines = tuple(
        Received(
            line_no=entry.whole("line_no"),
            quantity=entry.quantity("quantity", ANY_UNIT),
            disposition=entry.one_of("disposition", _DISPOSITIONS, "restock"),
        )
        for entry in entries
    )
    # The same line may come twice with different dispositions: one shirt to the shelf, one to the bin.
    seen: set[tuple[int, str]] = set()
    for entry, line in zip(entries, lines, strict=True):
        if (line.line_no, line.disposition) in seen:
            entry.wrong("line_no", "a line that is named once for each disposition")
        seen.add((line.line_no, line.disposition))
    return commands.ReceiveReturn(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        node=form.node("node"),
        lines=lines,
        return_ref=form.key("return_ref", ""),
        **_shared(form),
    )


def _issue_refund(form: Form) -> AnyCommand:
    return commands.IssueRefund(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        lines=_units(form),
        **_shared(form),
    )


def _close_order(form: Form) -> AnyCommand:
    return commands.CloseOrder(order_id=form.order_id("order"), ref=form.key("ref", ""), **_shared(form))


def _adjust_stock(form: Form) -> AnyCommand:
    uom = form.uom()
    reason = form.text("reason")
    return commands.AdjustStock(
        sku=form.sku("sku"),
        node=form.node("node"),
        ref=form.key("ref"),
        delta=form.quantity("delta", uom, signed=True),
        uom=uom,
        reason=reason if reason not in ("", _ADJUSTED) else _ADJUSTED,
        **_shared(form),
    )


def _count_stock(form: Form) -> AnyCommand:
    uom = form.uom()
    return commands.CountStock(
        sku=form.sku("sku"),
        node=form.node("node"),
        ref=form.key("ref"),
        counted=form.quantity("counted", uom, zero=True),
        uom=uom,
        **_shared(form),
    )


_ALWAYS: Final = frozenset({"occurred_at", "status", "version"})
_ORDER: Final = frozenset({"order", "ref"}) | _ALWAYS
_ASSIGNMENT: Final = frozenset({"assignment", "ref"}) | _ALWAYS
_STOCK: Final = frozenset({"sku", "node", "ref", "uom"}) | _ALWAYS

ACTIONS: Final[dict[str, tuple[Callable[[Form], AnyCommand], frozenset[str]]]] = {
    "order.create": (
        create_order,
        _NEW_ORDER | _ALWAYS,
    ),
    "order.authorize": (_authorize_order, _ORDER | {"amount"}),
    "order.capture": (_capture_order, _ORDER | {"amount"}),
    "order.void": (_void_order, _ORDER | {"amount"}),
    "reservation.hold": (_hold_reservation, _ORDER | {"lines", "node"}),
    "reservation.cancel": (_cancel_reservation, _ORDER | {"assignment", "lines", "exclude", "reason"}),
    "shipment.release": (_release_shipment, _ORDER | {"assignment"}),
    "shipment.acknowledge": (_acknowledge_shipment, _ASSIGNMENT | {"warehouse_ref"}),
    "shipment.pack": (_pack_shipment, _ASSIGNMENT | {"lines"}),
    "shipment.confirm": (_confirm_shipment, _ASSIGNMENT | {"lines", "packages", "carrier", "shipped_at"}),
    "shipment.reject": (_reject_shipment, _ASSIGNMENT | {"reason", "lines"}),
    "order.cancel": (_cancel_order, _ORDER | {"lines", "reason"}),
    "return.authorize": (_authorize_return, _ORDER | {"lines", "reason"}),
    "return.cancel": (_cancel_return, _ORDER | {"return_ref", "reason"}),
    "return.receive": (_receive_return, _ORDER | {"return_ref", "node", "lines"}),
    "refund.issue": (_issue_refund, _ORDER | {"amount", "lines"}),
    "stock.adjust": (_adjust_stock, _STOCK | {"delta", "reason"}),
    "stock.count": (_count_stock, _STOCK | {"counted"}),
    "order.close": (_close_order, _ORDER),
}
"""Every action's reader, and the fields that its record may hold."""
