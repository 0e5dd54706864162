"""Checks of single values that a JSON Schema cannot express: does this currency exist, is this a time zone.

Each takes the value as the file has it and gives the value as Interlock has it. A ValueError says no; its
second argument, where there is one, holds what was probably meant: one word, or names to find the nearest of.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from datetime import time
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlsplit


class _Unknown:
    """Stands where a value is wrong or missing, so that no rule draws conclusions from it."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __bool__(self) -> bool:
        return False


UNKNOWN: Final[Any] = _Unknown()

# Codes that the territory names hold but ISO 3166-1 does not. XK (Kosovo) is user-assigned, but in wide use:
# it stays.
_NOT_COUNTRIES = frozenset(["AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"])
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
DURATION_S_MAX = 31_622_400.0


def currency(value: str) -> str:
    """An ISO 4217 code that is legal tender somewhere today."""
    if value not in currencies():
        # Two codes of three letters are always near; only letters that changed places are worth a guess.
        raise ValueError(value, next((code for code in sorted(currencies()) if sorted(code) == sorted(value)), ()))
    return value


@cache
def currencies() -> frozenset[str]:
    """Every currency that is legal tender somewhere today."""
    from babel.core import get_global  # here, because it loads a large table

    territories: Any = get_global("territory_currencies")
    return frozenset(
        code for known in territories.values() for code, _, until, tender in known if until is None and tender
    )


def country(value: str) -> str:
    """An ISO 3166-1 code of two letters."""
    if value not in countries():
        raise ValueError(value, {"UK": "GB", "EN": "GB"}.get(value, ()))
    return value


@cache
def countries() -> frozenset[str]:
    """Every country code."""
    from babel import Locale

    codes = map(str, Locale("en").territories)
    return frozenset(code for code in codes if len(code) == 2) - _NOT_COUNTRIES


def time_zone(value: str) -> str:
    """An IANA time zone; what is no place but a system's own setting (`localtime`) is none."""
    if value not in time_zones():
        raise ValueError(value, time_zones())
    return value


@cache
def time_zones() -> frozenset[str]:
    """Every IANA time zone, by the data that we ship with: so that a file is right on every machine or on
    none.
    """
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def duration(value: float | str) -> float | None:
    """Seconds; None for never."""
    if value == "never":
        return None
    if isinstance(value, str):
        number = value.rstrip("dhms")
        seconds = float(number) * _UNIT_S[value[len(number) :]]
    else:
        seconds = float(value)
    if seconds > DURATION_S_MAX:
        raise ValueError(value)
    return seconds


def clock(value: str) -> time:
    """A time of day."""
    return time.fromisoformat(value)


def amount(value: float) -> Decimal:
    """An exact amount of at most four decimal places. The shortest text of a float is what was written, to 15
    digits.
    """
    return _exact(value, 4)


def quantity(value: float) -> int | Decimal:
    """Units: a whole number, or an exact decimal of at most six places."""
    exact = _exact(value, 6)
    return int(exact) if exact == int(exact) else exact


def _exact(value: float, places: int) -> Decimal:
    exact = Decimal(str(value)).normalize()
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -places:
        raise ValueError(value)
    return exact + 0 if exponent <= 0 else Decimal(int(exact))


def glob(value: str) -> str:
    """A pattern whose brackets close: an open one would silently match only itself."""
    if value != value.strip() or value.count("[") != value.count("]"):
        raise ValueError(value)
    return value


def url(value: str) -> str:
    """An address that can be called; a password in it would be a secret in a file that is shown to people."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(value)
    if any(blank in value for blank in " \t\r\n") or parts.port == 0:  # .port raises ValueError beyond 65535
        raise ValueError(value)
    return value


def encoding(value: str) -> str:
    """A character encoding that Python reads text with."""
    try:
        info = codecs.lookup(value)
    except (LookupError, ValueError):
        raise ValueError(
            value, ("utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "cp437", "cp850", "shift_jis")
        ) from None
    if not info._is_text_encoding:
        raise ValueError(value)
    return value


def sha256(value: str) -> str:
    """A hash in small letters."""
    return value.lower()


CHECKS: dict[str, Callable[[Any], Any]] = {
    check.__name__: check
    for check in (
        currency,
        country,
        time_zone,
        duration,
        clock,
        amount,
        quantity,
        glob,
        url,
        encoding,
        sha256,
    )
}
