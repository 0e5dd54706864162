"""The small values that everything is made of; an invalid one cannot be built.

`part` is the one published hash: which of 64 parts a key belongs to. It never changes.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NewType
from zlib import crc32

from interlock.domain.errors import InvalidValue

PARTS = 64
KEY_LENGTH_MAX = 200
QUANTITY_MAX = Decimal(10) ** 12
QUANTITY_SCALE_MAX = 6
AMOUNT_MAX = Decimal(10) ** 15

OrderId = NewType("OrderId", str)
"""`scope:source id`, for example `webshop:10001`. The scope is the system (or its namespace) that numbered the order."""

Sku = NewType("Sku", str)
NodeId = NewType("NodeId", str)
SystemId = NewType("SystemId", str)

EACH = "each"
Quantity = int | Decimal
"""Units of a SKU: a whole number where the unit of measure is "each", else a decimal of that unit."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_CURRENCY = re.compile(r"[A-Z]{3}")

ZERO = Decimal(0)


def part_of(key: str) -> int:
    """The part (0..63) that a key belongs to: CRC-32 of its UTF-8 bytes, modulo 64.

    Test vectors: part_of("") == 0, part_of("123456789") == 38, part_of("webshop:10001") == 33, part_of("SKU-1") == 52.
    """
    return crc32(key.encode()) % PARTS


def key(field: str, value: object) -> str:
    """A key from outside, checked: text, not empty, at most 200 characters, no control characters, no outer blanks."""
    if not isinstance(value, str):
        raise InvalidValue(field, value, "text")
    if not value or len(value) > KEY_LENGTH_MAX:
        raise InvalidValue(field, value, f"text of 1 to {KEY_LENGTH_MAX} characters")
    if _CONTROL.search(value) or value != value.strip():
        raise InvalidValue(field, value, "text without control characters or leading and trailing blanks")
    return value


def order_id(scope: str, source_id: str) -> OrderId:
    """The order's id: the scope that numbered it, a colon, and the number it was given there."""
    return OrderId(f"{scope}:{source_id}")


def quantity(field: str, value: object, uom: str = EACH, *, zero: bool = False, signed: bool = False) -> Quantity:
    """A quantity, checked: a whole number for "each", else a decimal of at most six places.

    `zero` allows 0, `signed` allows negatives. Whole decimals come back as int, so equal quantities look equal.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise InvalidValue(field, value, "a number")
    if isinstance(value, int):
        number: Quantity = value
    else:
        try:
            exact = Decimal(value)
        except InvalidOperation:
            raise InvalidValue(field, value, "a number") from None
        if exact.is_finite() and exact.adjusted() > QUANTITY_MAX.adjusted():
            raise InvalidValue(field, value, f"below {QUANTITY_MAX:f}")
        if not exact.is_finite() or int(exact.as_tuple().exponent) < -QUANTITY_SCALE_MAX:
            raise InvalidValue(field, value, f"a finite number of at most {QUANTITY_SCALE_MAX} decimal places")
        number = plain(exact)
    if isinstance(number, Decimal) and uom == EACH:
        raise InvalidValue(field, value, "a whole number, because its unit of measure is each")
    if not -QUANTITY_MAX < number < QUANTITY_MAX:
        raise InvalidValue(field, value, f"below {QUANTITY_MAX:f}")
    if number < 0 and not signed:
        raise InvalidValue(field, value, "positive")
    if number == 0 and not zero:
        raise InvalidValue(field, value, "positive" if not signed else "other than zero")
    return number


def plain(number: Decimal | int) -> Quantity:
    """The same number, as int where it is whole."""
    if isinstance(number, int):
        return number
    whole = int(number)
    return whole if whole == number else number


def currency(field: str, value: object) -> str:
    """An ISO 4217 code, by its form: three capital letters. Whether it exists is the estate's check."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise InvalidValue(field, value, "an ISO 4217 currency code such as USD")
    return value


def amount(field: str, value: object, *, zero: bool = True) -> Decimal:
    """An amount of money, checked: finite, not negative, at most four decimal places."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise InvalidValue(field, value, "an amount of money")
    try:
        exact = Decimal(value)
    except InvalidOperation:
        raise InvalidValue(field, value, "an amount of money") from None
    if not exact.is_finite() or int(exact.as_tuple().exponent) < -4:
        raise InvalidValue(field, value, "an amount of money with at most four decimal places")
    if exact < 0 or exact >= AMOUNT_MAX or (exact == 0 and not zero):
        raise InvalidValue(field, value, "an amount of zero or more" if zero else "an amount above zero")
    return exact
