"""Numbers as partners write them, and money: minor units (ISO 4217) and exchange rates by date."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import cache
from typing import Any, Final

from interlock.connectors.recipes.scopes import text_of
from interlock.connectors.recipes.wrong import Unfit

DIGITS_MAX: Final = 28
ZERO: Final = Decimal(0)
_PLAIN: Final = re.compile(r"[0-9]*(?:\.[0-9]*)?")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[,' \u00a0\u202f][0-9]{3})+(?:\.[0-9]*)?")
_COMMA: Final = re.compile(r"[0-9]*(?:,[0-9]*)?")
_COMMA_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[.' \u00a0\u202f][0-9]{3})+(?:,[0-9]*)?")
_GROUPS: Final = str.maketrans("", "", ",' \u00a0\u202f")
_COMMA_GROUPS: Final = str.maketrans(",", ".", ".' \u00a0\u202f")


def number(value: Any) -> Decimal:
    """A number with a decimal point: `1,234.50`, `12.50-` and `(12.50)` are numbers too. Raises Unfit."""
    if type(value) is str and value.isdigit() and value.isascii() and len(value) <= DIGITS_MAX:
        return Decimal(value)
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    return _read(value, _PLAIN, _GROUPED, _GROUPS, "a number such as 1234.50")


def comma_number(value: Any) -> Decimal:
    """A number with a decimal comma, such as `1.234,50`. Raises Unfit."""
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    return _read(value, _COMMA, _COMMA_GROUPED, _COMMA_GROUPS, "a number with a decimal comma, such as 1234,50")


def implied_number(value: Any, decimals: int) -> Decimal:
    """Digits of which the last `decimals` stand after a point that is not written. Raises Unfit."""
    text = text_of(value)
    sign, digits = _signed(text)
    if not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS_MAX:
        raise Unfit(value, f"digits without a point, of which the last {decimals} are decimals")
    return (sign * Decimal(digits)).scaleb(-decimals)


def minor_number(value: Any, currency: str) -> Decimal:
    """An amount in minor units (cents) as one in units of the currency. Raises Unfit."""
    exact = number(value)
    if exact != exact.to_integral_value():
        raise Unfit(value, "a whole number of minor units")
    return exact.scaleb(-minor_digits(currency))


def tidy(value: Decimal) -> int | Decimal:
    """The same number without zeros at its end: whole ones as int."""
    whole = value.to_integral_value()
    if whole == value:
        return int(whole)
    return value.normalize()


def tidy_number(value: Any) -> int | Decimal:
    """The number as `tidy` gives it. Raises Unfit."""
    if type(value) is str and value.isdigit() and value.isascii() and len(value) <= DIGITS_MAX:
        return int(value)
    return tidy(number(value))


def rounded(value: Decimal, places: int) -> Decimal:
    """The number with so many decimals, half to even."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


@cache
def minor_digits(currency: str) -> int:
    """How many decimals amounts of a currency have by ISO 4217. Raises Unfit for what is no currency."""
    # Imported here: most mappings need no table of currencies.
    from babel.numbers import get_currency_precision, list_currencies

    if currency not in list_currencies():
        raise Unfit(currency, "an ISO 4217 currency code such as USD")
    return get_currency_precision(currency)


def _signed(text: str) -> tuple[int, str]:
    """The sign and what is signed; a sign may stand behind, and a number in parentheses is below zero."""
    text = text.strip()
    if text[:1] in "+-" and text:
        return (-1 if text[0] == "-" else 1), text[1:].strip()
    if text.endswith(("-", "+")):
        return (-1 if text[-1] == "-" else 1), text[:-1].strip()
    if text.startswith("(") and text.endswith(")"):
        return -1, text[1:-1].strip()
    return 1, text


def _read(
    value: Any, simple: re.Pattern[str], grouped: re.Pattern[str], groups: dict[int, int | None], expected: str
) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str):
        raise Unfit(value, expected)
    sign, digits = _signed(value)
    if len(digits) <= DIGITS_MAX and (simple.fullmatch(digits) or grouped.fullmatch(digits)):
        try:
            return sign * Decimal(digits.translate(groups))
        except InvalidOperation:
            pass
    elif "e" in digits.lower() and len(digits) <= DIGITS_MAX:
        try:
            exact = sign * Decimal(digits)
        except InvalidOperation:
            raise Unfit(value, expected) from None
        if exact.is_finite() and abs(exact.adjusted()) <= DIGITS_MAX:
            return exact
    raise Unfit(value, expected)


class Rates:
    """Exchange rates of a mapping: for each pair such as EUR/USD, what one EUR is in USD from a day on."""

    def __init__(self, pairs: Mapping[str, Mapping[date, Decimal]]) -> None:
        self._pairs = {
            pair: (sorted(by_day), [rate for _, rate in sorted(by_day.items())]) for pair, by_day in pairs.items()
        }

    def exchanged(self, amount: Decimal, source: str, target: str, at: Any) -> Decimal:
        """The amount in the other currency, by the newest rate on or before the day, rounded to its minor unit half to even.

        Raises Unfit where there is no rate for the pair or the day.
        """
        if source != target:
            amount = self._converted(amount, source, target, _day(at))
        return rounded(amount, minor_digits(target))

    def _converted(self, amount: Decimal, source: str, target: str, day: date) -> Decimal:
        if f"{source}/{target}" in self._pairs:
            return amount * self._rate(f"{source}/{target}", day)
        if f"{target}/{source}" in self._pairs:
            return amount / self._rate(f"{target}/{source}", day)
        raise Unfit(
            f"{source}/{target}", f"a pair of currencies with rates; there are {', '.join(self._pairs) or 'none'}"
        )

    def _rate(self, pair: str, day: date) -> Decimal:
        days, rates = self._pairs[pair]
        at = bisect_right(days, day)
        if at == 0:
            raise Unfit(day.isoformat(), f"a day from {days[0].isoformat()} on, when the rates for {pair} begin")
        return rates[at - 1]


def _day(at: Any) -> date:
    if isinstance(at, datetime):
        return at.date()
    if isinstance(at, date):
        return at
    text = text_of(at)[:10]
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unfit(at, "a day such as 2026-03-01 for the exchange rate") from None
