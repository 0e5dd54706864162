"""A new order: which fields its record has, and the command that they make."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, cast, get_args

from interlock.connectors.mapping_errors import show, suggestion
from interlock.connectors.mapping_fields import Form, plain
from interlock.domain import commands, values
from interlock.domain.commands import AnyCommand, LineUnits, NewLine, Received
from interlock.domain.decision import FieldError
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Fulfillment, Place, Recipient
from interlock.domain.values import ZERO

PAID: Final = frozenset({"authorized", "allocated", "released", "packed", "shipped", "closed"})
CAPTURED: Final = frozenset({"shipped", "closed"})
OVER: Final = frozenset({"canceled", "returned", "refunded"})
_FULFILLMENTS: Final[tuple[Fulfillment, ...]] = get_args(Fulfillment)
NEW_ORDER: Final = frozenset(
    ["order_id", "number", "channel", "placed_at", "currency", "fulfillment", "destination", "pickup_node"]
    + ["customer", "recipient", "preferred_node", "promotions", "lines", "total", "tax", "shipping", "payment"]
)
NEW_LINE: Final = frozenset({"line_no", "sku", "quantity", "uom", "unit_price"})
PLACE: Final = frozenset({"country", "region", "postal_code", "latitude", "longitude"})
RECIPIENT: Final = frozenset({"name", "street", "street_2", "city", "phone", "email", "instructions"})
PAYMENT: Final = frozenset({"authorized", "captured"})
PROMOTIONS_MAX: Final = 100


def create_order(form: Form) -> AnyCommand:
    """A new order: no `ref`, because the order's id alone makes it the same order again."""
    source_id, order_id = form.new_order_id("order_id")
    placed = form.time("placed_at")
    if placed is None and not form.given("placed_at"):
        form.missing("placed_at", "a time with an offset from UTC, such as 2026-03-01T09:30:00+01:00")
    occurred = form.time("occurred_at")
    fulfillment = form.one_of("fulfillment", _FULFILLMENTS, "delivery")
    place = form.form("destination", PLACE)
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
    payment = form.form("payment", PAYMENT)
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
        recipient=_recipient(form.form("recipient", RECIPIENT)),
        preferred_node=form.node("preferred_node") if form.given("preferred_node") else None,
        promotions=_promotions(form),
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
    entries = form.forms("lines", NEW_LINE)
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
    refuse_double_lines(entries, lines)
    return lines


def refuse_double_lines(entries: Sequence[Form], lines: Sequence[NewLine | LineUnits | Received]) -> None:
    """Note each entry whose line another one has named before."""
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


def _recipient(form: Form | None) -> Recipient | None:
    """Who takes delivery; None where nothing is said of that."""
    if form is None:
        return None
    found = Recipient(
        name=form.text("name"),
        street=form.text("street"),
        street_2=form.text("street_2"),
        city=form.text("city"),
        phone=form.text("phone"),
        email=form.text("email"),
        instructions=form.text("instructions"),
    )
    return found if found != Recipient() else None


def _promotions(form: Form) -> tuple[str, ...]:
    """The ids of the promotions that were applied."""
    value = form.record.get("promotions")
    if value is None or value == "":
        return ()
    if not isinstance(value, list | tuple) or not 0 < len(value) <= PROMOTIONS_MAX:
        form.wrong("promotions", f"a list of 1 to {PROMOTIONS_MAX} identifiers")
        return ()
    found = []
    for place, each in enumerate(value):
        try:
            found.append(values.key("promotions", each))
        except InvalidValue as error:
            form.errors.append(FieldError(f"{form.path}promotions[{place}]", show(each), error.expected))
    return tuple(found)


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
