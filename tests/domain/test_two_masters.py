"""What two reports of one fact say, compared: the facts count, not the words, the times nor the order of lines."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from interlock.domain.commands import CancelOrder, LineUnits
from interlock.domain.estate import Place
from interlock.domain.two_masters import differences, facts_of, told
from interlock.domain.values import OrderId
from tests.builders import order

ORDER = order(1, [("s1", 2), ("s2", 1), ("s1", 5)])


@given(st.permutations(range(3)), st.text(max_size=5), st.integers(-600, 600))
def test_an_order_told_in_other_words_at_another_time_with_lines_in_any_order_is_the_same(
    places: list[int], word: str, minutes: int
) -> None:
    lines = tuple(
        msgspec.structs.replace(ORDER.lines[place], line_no=number, source_sku=word)
        for number, place in enumerate(places, start=1)
    )
    again = msgspec.structs.replace(
        ORDER,
        lines=lines,
        word=word,
        placed_at=ORDER.placed_at + timedelta(minutes=minutes),
        total=ORDER.total * Decimal("1.00"),
    )
    assert differences(facts_of(ORDER), facts_of(again)) == ()


def test_every_field_that_differs_is_named_with_what_both_say() -> None:
    place = Place(country="US", region="NY", postal_code="10001", latitude=1.0, longitude=2.0)
    first = msgspec.structs.replace(ORDER, destination=place)
    second = msgspec.structs.replace(
        ORDER, destination=Place(country="US", region="NY", postal_code="10002"), currency="CAD", lines=ORDER.lines[:2]
    )
    found = differences(facts_of(first), facts_of(second))
    assert [each.field for each in found] == ["currency", "destination", "lines"]
    assert (found[0].first, found[0].second) == ('"USD"', '"CAD"')
    assert told(found[:1]) == 'currency is "USD" in one and "CAD" in the other'
    assert facts_of(first) == facts_of(
        msgspec.structs.replace(first, destination=msgspec.structs.replace(place, latitude=None))
    )


def test_only_named_fields_are_compared_where_fields_are_named() -> None:
    other = msgspec.structs.replace(ORDER, total=Decimal(999), lines=ORDER.lines[:1])
    assert differences(facts_of(ORDER, ["currency"]), facts_of(other, ["currency"])) == ()
    assert [d.field for d in differences(facts_of(ORDER, ["total"]), facts_of(other, ["total"]))] == ["total"]


def test_lines_of_other_actions_keep_their_numbers() -> None:
    one = CancelOrder(order_id=OrderId("web:1"), ref="C1", lines=(LineUnits(line_no=1, quantity=1),))
    two = msgspec.structs.replace(one, ref="other", lines=(LineUnits(line_no=2, quantity=1),))
    assert [each.field for each in differences(facts_of(one), facts_of(two))] == ["lines"]
