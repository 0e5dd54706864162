"""JSON as it should be, typed: what the ordinary bodies hold, and the single values in them.

What is not as it should be is `Unusual`, or fails to decode; either way it is left to the careful way of reading.
What is read here has the value that `mapping_fields.py` would give it. See `mapping_fast.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from interlock.connectors.mapping_fields import (
    LINE_NO_MAX,
    LINES_MAX,
    TEXT_LENGTH_MAX,
    plain,
)
from interlock.domain.commands import (
    LineUnits,
)
from interlock.domain.estate import Place, Recipient
from interlock.domain.values import KEY_LENGTH_MAX, Quantity

Number = Any
"""A number, its text, or what a recipe made of it. Of anything there may be, what is no such thing is seen and declined: asked
for `int` alone, the decoder would round 1.00000000000000000001 to 1."""
Time = Any
"""A time as text, or a datetime that a recipe has made."""

QUICK_QUANTITY_MAX: Final = 1_000_000_000
QUICK_AMOUNT_MAX: Final = 10**15
WHOLE_DIGITS_MAX: Final = 15
DECIMALS_MAX: Final = 4
ASSIGNMENT_DIGITS_MAX: Final = 9


class Unusual(Exception):
    """Not for the quick way."""


# What is on the wire. A field that must be there has no default; for the others, None says that it was not there
# (if it was null instead, then one key less is seen than there is).


class Wire(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What all of these share: an unknown field makes a body unusual."""


class WireLine(Wire):
    """A line of an order."""

    sku: str
    quantity: Number
    line_no: Number = None
    uom: str | None = None
    unit_price: Number = None


class WirePlace(Wire):
    """Where an order goes."""

    country: str
    region: str | None = None
    postal_code: str | None = None
    latitude: Number = None
    longitude: Number = None


class WireRecipient(Wire):
    """Who takes delivery of an order."""

    name: str | None = None
    street: str | None = None
    street_2: str | None = None
    city: str | None = None
    phone: str | None = None
    email: str | None = None
    instructions: str | None = None


class WirePayment(Wire):
    """What the channel has obtained already."""

    authorized: Number = None
    captured: Number = None


class WireOrder(Wire):
    """order.create."""

    order_id: str
    channel: str
    placed_at: Time
    currency: str
    lines: list[WireLine]
    number: str | None = None
    fulfillment: str | None = None
    destination: WirePlace | None = None
    pickup_node: str | None = None
    customer: str | None = None
    recipient: WireRecipient | None = None
    total: Number = None
    tax: Number = None
    shipping: Number = None
    payment: WirePayment | None = None
    occurred_at: Time = None
    status: str | None = None


class WireReport(Wire, kw_only=True):
    """What reports share: the number of the fact, when it was, and their word for it."""

    ref: str | None = None
    occurred_at: Time = None
    status: str | None = None


class WireCapture(WireReport, kw_only=True):
    """order.capture."""

    order: str
    amount: Number


class WireAcknowledgment(WireReport, kw_only=True):
    """shipment.acknowledge."""

    assignment: str
    warehouse_ref: str | None = None


class WireUnits(Wire):
    """Units of a line."""

    line_no: Number
    quantity: Number


class WirePackage(Wire):
    """A parcel."""

    tracking: str
    carrier: str | None = None
    lines: list[WireUnits] | None = None


class WireConfirmation(WireReport, kw_only=True):
    """shipment.confirm."""

    assignment: str
    lines: list[WireUnits] | None = None
    packages: list[WirePackage] | None = None
    carrier: str | None = None
    shipped_at: Time = None


class WireRejection(WireReport, kw_only=True):
    """shipment.reject."""

    assignment: str
    reason: str
    lines: list[WireUnits] | None = None


class WireCount(WireReport, kw_only=True):
    """stock.count."""

    sku: str
    node: str
    counted: Number
    uom: str | None = None


class WireAdjustment(WireReport, kw_only=True):
    """stock.adjust."""

    sku: str
    node: str
    delta: Number
    reason: str | None = None
    uom: str | None = None


# Single values


def refuse_hidden_keys(body: bytes, keys: int) -> None:
    """Make sure that the body has as many keys as were seen: of a key that is there twice, the decoder shows one.

    Where there is no backslash and no blank stands before a colon, `":` ends every key. It also begins a text that
    begins with a colon, so the count is never below the number of keys: if it is what was seen, none was hidden.
    """
    if body.count(b'":') != keys or b"\\" in body:
        raise Unusual
    # Looking for one byte is far cheaper than for two.
    for blank, before_colon in BLANKS:
        if blank in body and before_colon in body:
            raise Unusual


BLANKS: Final = tuple((blank, blank + b":") for blank in (b" ", b"\n", b"\t", b"\r"))


def unusual() -> Any:
    """Decline, where an expression is wanted."""
    raise Unusual


def is_key(text: str) -> bool:
    """Whether this is surely a key as `values.key` wants it."""
    return 0 < len(text) <= KEY_LENGTH_MAX and text.isprintable() and text[0] != " " and text[-1] != " "


def read_key(text: str) -> str:
    """A key that the careful way would take as it is."""
    if is_key(text):
        return text
    raise Unusual


def read_text(text: str) -> str:
    """A short text, without the blanks around it."""
    if len(text) > TEXT_LENGTH_MAX or not text.isprintable():
        raise Unusual
    return text.strip()


SMALL: Final = {str(number): number for number in range(1, 1000)}
"""What nearly all numbers of lines and pieces are."""


def read_line_no(number: Number) -> int:
    """A line number."""
    if type(number) is str and number in SMALL:
        return SMALL[number]
    if type(number) is str and len(number) <= 9 and number.isascii() and number.isdigit():
        number = int(number)
    if type(number) is int and 0 < number <= LINE_NO_MAX:
        return number
    raise Unusual


def read_quantity(written: Number, least: int = 1) -> Quantity:
    """A whole quantity from `least` on, which is 1 or less; any other is left to the careful way."""
    if type(written) is str and written in SMALL:
        return SMALL[written]
    if type(written) is str and len(written) <= 9 and written.isascii():
        digits = written.removeprefix("-") if least < 0 else written
        written = int(written) if digits.isdigit() else unusual()
    if type(written) is int and least <= written < QUICK_QUANTITY_MAX:
        return written
    raise Unusual


def read_amount(written: Number) -> Decimal:
    """An amount of money in its shortest form: without the zeros at its end, and never with an exponent."""
    if type(written) is str:
        whole, point, decimals = written.partition(".")
        if whole.isdigit() and len(whole) <= WHOLE_DIGITS_MAX and written.isascii():
            if not point:
                return Decimal(whole)
            if decimals.isdigit() and len(decimals) <= DECIMALS_MAX:
                decimals = decimals.rstrip("0")
                return Decimal(f"{whole}.{decimals}") if decimals else Decimal(whole)
    elif type(written) is int and 0 <= written < QUICK_AMOUNT_MAX:
        return Decimal(written)
    elif type(written) is Decimal and written.is_finite() and 0 <= written < QUICK_AMOUNT_MAX:
        exponent = written.as_tuple().exponent
        if type(exponent) is int and -DECIMALS_MAX <= exponent <= 0:
            return plain(written)
    raise Unusual


def read_recipient(wire: WireRecipient) -> tuple[Recipient | None, int]:
    """Who takes delivery, and how many keys said it."""
    said = {}
    for name, text in zip(_RECIPIENT, msgspec.structs.astuple(wire), strict=True):
        if text is not None:
            said[name] = read_text(text)
    return Recipient(**said) if any(said.values()) else None, len(said)


_RECIPIENT: Final = WireRecipient.__struct_fields__


def read_place(wire: WirePlace) -> tuple[Place, int]:
    """The place, and how many keys said it."""
    keys = 1
    if not (len(wire.country) == 2 and wire.country.isascii() and wire.country.isalpha()):
        raise Unusual
    region = postal_code = ""
    if wire.region is not None:
        keys += 1
        region = read_text(wire.region)
    if wire.postal_code is not None:
        keys += 1
        postal_code = read_text(wire.postal_code)
    latitude, longitude = wire.latitude, wire.longitude
    if latitude is not None and longitude is not None:
        keys += 2
        # A float may have been rounded to the limit from beyond it, but never from beyond it to within.
        if type(latitude) not in _COORDINATES or type(longitude) not in _COORDINATES:
            raise Unusual
        if not (-90 < latitude < 90 and -180 < longitude < 180):
            raise Unusual
        latitude, longitude = float(latitude), float(longitude)
    elif latitude is not longitude:
        raise Unusual
    place = Place(
        country=wire.country.upper(),
        region=region,
        postal_code=postal_code,
        latitude=latitude,
        longitude=longitude,
    )
    return place, keys


_COORDINATES: Final = (int, float)


def read_units(entries: Sequence[WireUnits] | None) -> tuple[tuple[LineUnits, ...], int]:
    """The lines, and how many keys they had together, with that of their list."""
    if entries is None:
        return (), 0
    if not 0 < len(entries) <= LINES_MAX:
        raise Unusual
    lines = tuple([LineUnits(read_line_no(each.line_no), read_quantity(each.quantity)) for each in entries])
    if len({line.line_no for line in lines}) != len(lines):
        raise Unusual
    return lines, 1 + 2 * len(lines)
