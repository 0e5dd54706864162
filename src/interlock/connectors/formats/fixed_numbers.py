"""The fields of fixed-width records: text, and numbers as they are punched, printed, zoned and packed.

    number   00123        digits, `decimals` of them after a point that is not written
    signed   -123, 123-   a sign before or after the digits; CR and - after them say below zero
    zoned    12C, 12L     the sign in the zone of the last digit: in EBCDIC its upper half byte, else the characters {A-I and }J-R
    packed   X'012C'      two digits a byte, the sign in the last half byte: A, C, E, F above zero, B, D below

A number that should have no written point and has one is read by it, and that is noted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from interlock.connectors.formats.document import Tree, WriteRefused
from interlock.domain.errors import InterlockError
from interlock.domain.links import Field

Reading = Callable[[bytes, list[str]], Tree]
"""Bytes of a field to its value, None where it is blank; what was tolerated is added to the list."""

_POINT: Final = "a number has a written point"
_LOW_VALUES: Final = "a number of low-values counts as blank"
_SIGNED: Final = re.compile(r"([+-]?) *([0-9]*\.?[0-9]+|[0-9]+\.) *([+-]|CR|DB)?")
_POSITIVE: Final = "{ABCDEFGHI"
_NEGATIVE: Final = "}JKLMNOPQR"
_ZONES: Final = {
    **{character: (digit, "") for digit, character in enumerate(_POSITIVE)},
    **{character: (digit, "-") for digit, character in enumerate(_NEGATIVE)},
    # Without EBCDIC, some compilers write the negative digits 0 to 9 as p to y.
    **{character: (digit, "-") for digit, character in enumerate("pqrstuvwxy")},
}


class BadNumber(InterlockError):
    """A field holds what is no number of its kind."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: {value!r} is not {expected}")


@cache
def is_ebcdic(encoding: str) -> bool:
    """Whether the encoding writes its digits as F0 to F9."""
    return "09".encode(encoding) == b"\xf0\xf9"


def reading_of(field: Field, encoding: str, single: bool) -> Reading:
    """How the bytes of a field are read. `single`: each character of the encoding is one byte."""
    if field.kind == "text":
        return _text(encoding, single)
    if field.kind == "packed":
        return _packed(field, " ".encode(encoding))
    if field.kind == "zoned" and is_ebcdic(encoding):
        return _zoned_ebcdic(field)
    kinds = {"number": _number, "signed": _signed, "zoned": _zoned}
    return kinds[field.kind](field, encoding)


def _text(encoding: str, single: bool) -> Reading:
    def read(data: bytes, _: list[str]) -> Tree:
        text = data.decode(encoding).rstrip(" \0")
        return text or None

    def read_plain(data: bytes, _: list[str]) -> Tree:
        # Pure ASCII is the same in these encodings, and decoded faster; a wrong byte is found by the encoding's own rules.
        text = (data.decode("ascii") if data.isascii() else data.decode(encoding)).rstrip(" \0")
        return text or None

    return read_plain if not single or "A".encode(encoding) == b"A" else read


def _number(field: Field, encoding: str) -> Reading:
    whole, plain = not field.decimals, not is_ebcdic(encoding) and " ".encode(encoding) == b" "

    def read(data: bytes, notes: list[str]) -> Tree:
        if plain and whole and data.isdigit():
            return int(data)
        text = data.decode(encoding).strip(" \0")
        if not text:
            return None
        if text.isascii() and text.isdigit():
            return _scaled(text, field.decimals)
        if text.isascii() and text.count(".") == 1 and text.replace(".", "").isdigit():
            notes.append(_POINT)
            return Decimal(text)
        raise BadNumber(field.name, text, "digits")

    return read


def _signed(field: Field, encoding: str) -> Reading:
    def read(data: bytes, notes: list[str]) -> Tree:
        text = data.decode(encoding).strip(" \0")
        if not text:
            return None
        found = _SIGNED.fullmatch(text)
        if found is None or (found[1] and found[3]):
            raise BadNumber(field.name, text, "digits with a sign before or after them")
        sign = "-" if found[1] == "-" or found[3] in ("-", "CR") else ""
        if "." in found[2]:
            notes.append(_POINT)
            return Decimal(sign + found[2])
        return _scaled(sign + found[2], field.decimals)

    return read


def _zoned(field: Field, encoding: str) -> Reading:
    def read(data: bytes, _: list[str]) -> Tree:
        text = data.decode(encoding).strip(" \0")
        if not text:
            return None
        digit, sign = _ZONES.get(text[-1], (text[-1], ""))
        digits = f"{text[:-1]}{digit}"
        if not (digits.isascii() and digits.isdigit()):
            raise BadNumber(field.name, text, "digits, the last one with the sign in it: 0-9, {A-I or }J-R")
        return _scaled(sign + digits, field.decimals)

    return read


def _zoned_ebcdic(field: Field) -> Reading:
    def read(data: bytes, notes: list[str]) -> Tree:
        trimmed = data.strip(b"\x40")
        if not trimmed:
            return None
        if not trimmed.strip(b"\0"):
            notes.append(_LOW_VALUES)
            return None
        shown = trimmed.hex()
        zones, digits = shown[0::2], shown[1::2]
        if not digits.isdigit() or zones[:-1].strip("f") or zones[-1] not in "abcdef":
            expected = "zoned digits: F0 to F9, the sign in the upper half of the last byte"
            raise BadNumber(field.name, f"X'{data.hex().upper()}'", expected)
        return _scaled(("-" if zones[-1] in "bd" else "") + digits, field.decimals)

    return read


def _packed(field: Field, blank: bytes) -> Reading:
    def read(data: bytes, notes: list[str]) -> Tree:
        shown = data.hex()
        digits, sign = shown[:-1], shown[-1:]
        if digits.isdigit() and sign in "abcdef":
            return _scaled(("-" if sign in "bd" else "") + digits, field.decimals)
        if not data.strip(blank):
            return None
        if not data.strip(b"\0"):
            notes.append(_LOW_VALUES)
            return None
        expected = "packed digits, the last half byte a sign (A to F)"
        raise BadNumber(field.name, f"X'{shown.upper()}'", expected)

    return read


def _scaled(digits: str, decimals: int) -> int | Decimal:
    return Decimal(digits).scaleb(-decimals) if decimals else int(digits)


# Writing


def write_number(where: str, field: Field, value: Any, encoding: str, ebcdic: bool) -> bytes:
    """A number in the bytes of its field. Raises WriteRefused where it has no room, or the field no sign."""
    digits, negative = _digits(where, field, value)
    room = field.length * 2 - 1 if field.kind == "packed" else field.length
    if field.kind == "signed":
        room -= 1
    if negative and field.kind == "number":
        raise WriteRefused(where, str(value), "a number that is not below zero: the field has no sign")
    if len(digits) > room:
        raise WriteRefused(where, str(value), f"a number of at most {room} digits, {field.decimals} of them decimals")
    digits = digits.zfill(room)
    if field.kind == "packed":
        return bytes.fromhex(digits + ("d" if negative else "c"))
    if field.kind == "signed":
        return (("-" if negative else "+") + digits).encode(encoding)
    if field.kind == "zoned":
        if ebcdic:
            data = bytearray(digits.encode(encoding))
            data[-1] = (0xD0 if negative else 0xC0) | (data[-1] & 0x0F)
            return bytes(data)
        digits = digits[:-1] + (_NEGATIVE if negative else _POSITIVE)[int(digits[-1])]
    return digits.encode(encoding)


def _digits(where: str, field: Field, value: Any) -> tuple[str, bool]:
    """The digits with the implied decimals, and whether it is below zero."""
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise WriteRefused(where, str(value)[:80], "a number")
    scaled = number.scaleb(field.decimals)
    if scaled != scaled.to_integral_value():
        raise WriteRefused(where, str(value), f"a number of at most {field.decimals} decimals")
    whole = int(scaled)
    return str(abs(whole)), whole < 0
