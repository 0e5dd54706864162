"""Article numbers of GS1 (GTIN: UPC-A, UPC-E, EAN-8, EAN-13, GTIN-14), brought to one length, their check digits verified."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from stdnum import ean

from interlock.connectors.recipes.scopes import text_of
from interlock.connectors.recipes.wrong import Unfit

_EXPECTED: Final = "a GTIN (UPC, EAN) of 6 to 14 digits whose check digit is right"
LENGTHS: Final = (8, 12, 13, 14)


def gtin(value: Any, length: int = 13) -> str:
    """The number in so many digits; a GTIN-14 of a case (its first digit not 0) keeps its fourteen. Raises Unfit."""
    text = text_of(value)
    whole = _fourteen(text.replace(" ", "").replace("-", ""))
    if whole is None:
        raise Unfit(value, _EXPECTED)
    short = whole.lstrip("0")
    return whole[14 - length :] if len(short) <= length else whole[14 - max(13, len(short)) :]


@lru_cache(50_000)
def _fourteen(digits: str) -> str | None:
    """The number in 14 digits; None for what is none.

    Eight digits are an EAN-8 if that is valid, else a UPC-E; those that begin with 0 a UPC-E first, since GS1 gives out no such
    EAN-8. Six and seven are a UPC-E without its first zero or its check digit.
    Spreadsheets drop zeros in front, so 9 to 11 digits are a UPC-A that has lost some.
    """
    if not (digits.isascii() and digits.isdigit()):
        return None
    count = len(digits)
    if 9 <= count <= 11:
        digits = digits.zfill(12)
    if count == 8 and digits[0] == "0" and (whole := _expanded(digits)):
        return whole
    if count >= 8 and ean.is_valid(digits):
        return digits.zfill(14)
    if count == 8:
        return _expanded(digits)
    if count == 7:
        return _expanded("0" + digits) or _expanded(digits + "?")
    if count == 6:
        return _expanded("0" + digits + "?")
    return None


def _expanded(short: str) -> str | None:
    """A UPC-E as the UPC-A that it abbreviates, by the rules of its last digit; `?` is a check digit that was left out."""
    system, body, check = short[0], short[1:7], short[7]
    if system not in "01":
        return None
    last = body[5]
    if last in "012":
        middle = body[:2] + last + "0000" + body[2:5]
    elif last == "3":
        middle = body[:3] + "00000" + body[3:5]
    elif last == "4":
        middle = body[:4] + "00000" + body[4]
    else:
        middle = body[:5] + "0000" + last
    whole = system + middle
    right: str = ean.calc_check_digit(whole)
    if check not in (right, "?"):
        return None
    return (whole + right).zfill(14)
