"""Modifiers: words, numbers, money, article numbers; each with what it takes and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from interlock.connectors.mapping import MappingFailed
from interlock.connectors.recipes.gtin import gtin
from interlock.connectors.recipes.numbers import number
from interlock.connectors.recipes.wrong import Unfit
from tests.connectors.recipes.kit import counted, made_of

RATES = "rates: {USD/EUR: {2026-01-01: 0.92, 2026-02-01: 0.95}}"


@pytest.mark.parametrize(
    ("value", "data", "expected"),
    [
        ("{from: a, trim: false}", " x ", " x "),
        ("{from: a}", " x ", "x"),
        ("{from: a, match: '^WH-(.*)$'}", "WH-7", "7"),
        ("{from: a, match: '[0-9]+'}", "WH-77-8", "77"),
        ("{from: a, upper: true}", "ab", "AB"),
        ("{from: a, lower: true}", "AB", "ab"),
        ("{from: a, strip_zeros: true}", "00010", "10"),
        ("{from: a, strip_zeros: true}", "000", "0"),
        ("{from: a, table: {x: y}}", "x", "y"),
        ("{from: a, table: {x: y, '*': z}}", "q", "z"),
        ("{from: a, table: {'1': 5}}", 1, 5),
        ("{from: a, number: plain}", "1,234.50", Decimal("1234.5")),
        ("{from: a, number: plain}", "12.50-", Decimal("-12.5")),
        ("{from: a, number: plain}", "(3)", -3),
        ("{from: a, number: plain}", "+7.00", 7),
        ("{from: a, number: plain}", "1e3", 1000),
        ("{from: a, number: comma}", "1.234,50", Decimal("1234.5")),
        ("{from: a, number: comma}", "1 234,5", Decimal("1234.5")),
        ("{from: a, number: 'implied:2'}", "1250", Decimal("12.5")),
        ("{from: a, number: 'implied:0'}", "-1250", -1250),
        ("{from: a, number: minor, currency: =USD}", 1250, Decimal("12.5")),
        ("{from: a, number: minor, currency: =JPY}", 1250, 1250),
        ("{from: a, number: minor, currency: =KWD}", "1250", Decimal("1.25")),
        ("{from: a, abs: true}", -3, 3),
        ("{from: a, negate: true}", "3", -3),
        ("{from: a, pack: 12}", "3", 36),
        ("{from: a, pack: {from: b, table: {CA: 6}}}", "3", 18),
        ("{from: a, pack: nothing}", "3", 3),
        ("{from: a, negate: true, pack: 2, abs: true}", "-3", -6),
        ("{from: a, per: 3, round: 2}", "10", Decimal("3.33")),
        ("{from: a, round: 0}", "2.5", 2),
        ("{from: a, default: =x}", None, "x"),
        ("{from: a, default: 0}", " ", 0),
        ("{from: a, default: b}", None, "CA"),
        ("{from: a, required: true}", "x", "x"),
        ("{from: a, text: true}", 12, "12"),
        ("{from: a, text: true}", Decimal("1E+3"), "1000"),
        ("{from: a, pad: 6}", 42, "000042"),
        ("{from: a, cut: 3}", "ab cd", "ab"),
        ("{first: [nothing, a], upper: true}", "x", "X"),
        ("{join: [a, nothing, b], with: '/', lower: true}", "X", "x/ca"),
        ("{value: 7, negate: true}", "x", -7),
        ("{if: {b: CA}, then: a, upper: true}", "x", "X"),
        ("{from: a, rate: {from: =USD, to: =EUR, at: day}}", "10", Decimal("9.5")),
        ("{from: a, rate: {from: =EUR, to: =USD, at: =2026-01-31}}", "9.20", 10),
        ("{from: a, rate: {from: =EUR, to: =EUR, at: day}}", "9.205", Decimal("9.2")),
    ],
)
def test_a_modifier_gives_what_it_should(value: str, data: Any, expected: Any) -> None:
    given = counted(value, {"a": data, "b": "CA", "day": "2026-02-28"}, RATES)

    assert (given, type(given)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "data", "shown", "expected"),
    [
        ("{from: a, match: '^WH-'}", "XX", '"XX"', "text that matches ^WH-"),
        ("{from: a, table: {x: y, xx: z}}", "xxx", '"xxx"', "a word of the table (did you mean xx?); known are x, xx"),
        ("{from: a, number: plain}", "1.2.3", '"1.2.3"', "a number such as 1234.50"),
        ("{from: a, number: plain}", "12,34", '"12,34"', "a number such as 1234.50"),
        ("{from: a, number: plain}", True, "true", "a number such as 1234.50"),
        ("{from: a, number: plain}", "NaN", '"NaN"', "a number such as 1234.50"),
        ("{from: a, number: plain}", "1e99", '"1e99"', "a number such as 1234.50"),
        ("{from: a, number: plain}", "1" * 29, f'"{"1" * 29}"', "a number such as 1234.50"),
        ("{from: a, number: comma}", "1.5", '"1.5"', "a number with a decimal comma, such as 1234,50"),
        (
            "{from: a, number: 'implied:2'}",
            "12.5",
            '"12.5"',
            "digits without a point, of which the last 2 are decimals",
        ),
        ("{from: a, number: minor, currency: =USD}", "1.5", '"1.5"', "a whole number of minor units"),
        ("{from: a, number: minor, currency: =ZZZ}", "1", '"ZZZ"', "an ISO 4217 currency code such as USD"),
        ("{from: a, number: minor, currency: nothing}", "1", '"1"', "an ISO 4217 currency code; it is missing"),
        ("{from: a, required: true}", None, "", "a value, because the mapping requires one; it is missing"),
        ("{from: a, per: b}", "1", '"0"', "more than zero, to divide by"),
        (
            "{from: a, rate: {from: =USD, to: =EUR, at: =2025-12-31}}",
            "1",
            '"2025-12-31"',
            "a day from 2026-01-01 on, when the rates for USD/EUR begin",
        ),
        (
            "{from: a, rate: {from: =GBP, to: =EUR, at: =2026-01-01}}",
            "1",
            '"GBP/EUR"',
            "a pair of currencies with rates; there are USD/EUR",
        ),
        (
            "{from: a, gtin: true}",
            "036000291453",
            '"036000291453"',
            "a GTIN (UPC, EAN) of 6 to 14 digits whose check digit is right",
        ),
    ],
)
def test_a_value_that_a_modifier_cannot_take_is_named(value: str, data: Any, shown: str, expected: str) -> None:
    with pytest.raises(MappingFailed) as raised:
        counted(value, {"a": data, "b": "0"}, RATES)

    (error,) = raised.value.errors
    assert (error.field, error.value, error.expected) == ("counted (from a)", shown, expected)


def test_rates_may_have_a_name() -> None:
    where = "rates: {ecb: {USD/EUR: {2026-01-01: 0.5}}, house: {USD/EUR: {2026-01-01: 0.25}}}"

    assert counted("{from: a, rate: {table: house, from: =USD, to: =EUR, at: =2026-03-01}}", {"a": 8}, where) == 2


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("4006381333931", "4006381333931"),  # EAN-13
        ("036000291452", "0036000291452"),  # UPC-A
        ("36000291452", "0036000291452"),  # the zero in front was lost
        ("0 36000-29145 2", "0036000291452"),
        ("40170725", "0000040170725"),  # EAN-8
        ("01234565", "0012345000065"),  # UPC-E, its last digit 6
        ("1234565", "0012345000065"),
        ("123456", "0012345000065"),
        ("04252614", "0042100005264"),  # UPC-E, its last digit 1
        ("00036000291452", "0036000291452"),
        ("10614141000415", "10614141000415"),  # a case: a GTIN-14 of its own
    ],
)
def test_an_article_number_has_one_form(written: str, whole: str) -> None:
    assert gtin(written) == whole


@pytest.mark.parametrize(
    ("written", "length", "given"),
    [
        ("0036000291452", 12, "036000291452"),
        ("4006381333931", 12, "4006381333931"),
        ("036000291452", 14, "00036000291452"),
        ("40170725", 8, "40170725"),
    ],
)
def test_an_article_number_has_the_length_that_is_asked_for_if_it_can(written: str, length: int, given: str) -> None:
    assert gtin(written, length) == given


@pytest.mark.parametrize(
    "written", ["", "x", "12345", "4006381333932", "036000291453", "123456789012345", "9123456", "٣٦٠٠٠٢٩١٤٥٢"]
)
def test_what_is_no_article_number_is_refused(written: str) -> None:
    with pytest.raises(Unfit):
        gtin(written)


def test_an_article_number_may_be_tried() -> None:
    assert counted("{from: a, gtin: try}", {"a": "SKU-1"}) == "SKU-1"
    assert counted("{from: a, gtin: try}", {"a": "36000291452"}) == "0036000291452"


def test_a_number_in_exact_types_stays_what_it_is() -> None:
    assert number(5) == 5
    assert number(Decimal("1.10")) == Decimal("1.10")


def test_a_text_field_of_ours_takes_numbers_as_text() -> None:
    text = "records: [{action: stock.count, fields: {sku: a, node: =N, ref: b, counted: a}}]"

    (made,) = made_of(text, {"a": 12, "b": Decimal("1.50")})

    assert made.fields == {"sku": "12", "node": "N", "ref": "1.50", "counted": 12}
