"""What is missing of a register's day, by its numbers alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.domain.errors import InvalidValue
from interlock.domain.sequences import (
    DaySeen,
    Hole,
    Range,
    Rules,
    Statement,
    covers,
    merged,
    rules_of,
    shown,
    state_day,
)

USUAL = Rules()
T0 = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def day(numbers: list[int], **more: object) -> DaySeen:
    """A day of these numbers, as the database sums it up."""
    known = sorted(set(numbers))
    holes = [Hole(a, b, T0) for a, b in pairwise(known) if b > a + 1]
    given: dict[str, object] = {"count": len(known), "least": known[0], "most": known[-1], "began_at": T0}
    return DaySeen(**(given | {"holes": holes} | more))  # type: ignore[arg-type]


def closed(numbers: list[int], rules: Rules = USUAL, **more: object) -> Statement:
    """What is stated of a closed day of these numbers."""
    return state_day(day(numbers, is_closed=True, **more), rules, T0)


def missing(numbers: list[int], rules: Rules = USUAL, **more: object) -> str:
    """What is missing of such a day, for people."""
    return shown(closed(numbers, rules, **more).missing)


def test_a_day_without_a_hole_is_complete_wherever_it_begins() -> None:
    stated = closed([7001, 7002, 7003])

    assert (stated.first, stated.last, stated.missing, stated.is_complete) == (7001, 7003, (), True)


def test_numbers_that_did_not_come_are_listed_as_ranges() -> None:
    stated = closed([1, 2, 5, 6, 8, 20])

    assert stated.missing == (Range(3, 4), Range(7, 7), Range(9, 19))
    assert (stated.missing_count, stated.is_complete) == (14, False)


@pytest.mark.parametrize(
    ("last_before", "numbers", "rules", "expected"),
    [
        (100, [101, 102], Rules(), ""),
        (100, [104, 105], Rules(), "101-103"),
        (100, [1, 2], Rules(), ""),  # it began anew
        (100, [1, 2], Rules(numbering="daily"), ""),
        (100, [104], Rules(numbering="daily"), ""),
        (None, [4, 5], Rules(numbering="daily", number_first=1), "1-3"),
        (9998, [9999], Rules(number_max=9999), ""),
        (9999, [1, 2], Rules(number_max=9999), ""),
        (9997, [3], Rules(number_max=9999), "1-2, 9998-9999"),
        (9999, [2], Rules(number_max=9999, number_first=0), "0-1"),
        (50, [1, 2], Rules(number_max=9999), ""),  # nobody loses ten thousand: it began anew
        (50, [1, 2], Rules(number_max=9999, numbering="continuous"), "51-9999"),
    ],
)
def test_between_two_days_it_depends_on_how_the_register_counts(
    last_before: int | None, numbers: list[int], rules: Rules, expected: str
) -> None:
    assert missing(numbers, rules, last_before=last_before) == expected


def test_a_day_that_goes_over_the_end_of_the_numbers_has_no_hole_there() -> None:
    stated = closed([9998, 9999, 1, 2, 3], Rules(number_max=9999))

    assert (stated.first, stated.last, stated.missing) == (9998, 3, ())


def test_what_is_missing_over_the_end_of_the_numbers_is_found() -> None:
    assert missing([9990, 9991, 9997, 2, 3, 5], Rules(number_max=9999)) == "1, 4, 9992-9996, 9998-9999"


def test_without_the_end_of_the_numbers_a_wrap_looks_like_a_hole() -> None:
    assert missing([9998, 9999, 1, 2]) == "3-9997"


def test_a_wide_hole_is_no_wrap_as_long_as_the_day_is_less_than_half_of_the_numbers() -> None:
    assert missing([100, 101, 1500], Rules(number_max=9999)) == "102-1499"


def test_what_the_register_says_of_its_ends_is_believed() -> None:
    stated = closed([5, 6, 7], said_first=3, said_last=9, said_count=7)

    assert (shown(stated.missing), stated.uncounted) == ("3-4, 8-9", 0)


@pytest.mark.parametrize(
    ("said", "closes", "expected", "complete"),
    [(5, 1, 0, True), (4, 1, 0, True), (7, 1, 2, False), (3, 1, -2, True), (5, 0, 0, True)],
)
def test_the_register_s_count_may_or_may_not_have_the_close_in_it(
    said: int, closes: int, expected: int, complete: bool
) -> None:
    stated = closed([1, 2, 3, 4, 5], said_count=said, closes=closes)

    assert (stated.uncounted, stated.is_complete) == (expected, complete)


def test_a_hole_is_told_of_when_it_was_waited_for_in_vain() -> None:
    seen = day([1, 4])

    before = state_day(seen, Rules(gap_grace_s=600), T0 + timedelta(seconds=599))
    after = state_day(seen, Rules(gap_grace_s=600), T0 + timedelta(seconds=600))

    assert (before.missing, before.due, before.waits_until) == ((Range(2, 3),), (), T0 + timedelta(seconds=600))
    assert (after.missing, after.due, after.waits_until) == ((Range(2, 3),), (Range(2, 3),), None)


def test_a_closed_day_waits_for_nothing() -> None:
    stated = closed([1, 4])

    assert (stated.due, stated.waits_until) == ((Range(2, 3),), None)


def test_a_day_is_over_by_the_midnight_of_its_store() -> None:
    rules = Rules(close_within_s=3_600)

    # Clocks go forward in New York on 8 March 2026: that day has 23 hours.
    assert rules.due_at(date(2026, 3, 7), "America/New_York") == datetime(2026, 3, 8, 6, tzinfo=UTC)
    assert rules.due_at(date(2026, 3, 8), "America/New_York") == datetime(2026, 3, 9, 5, tzinfo=UTC)
    assert rules.due_at(date(2026, 3, 8), "Asia/Tokyo") == datetime(2026, 3, 8, 16, tzinfo=UTC)


def test_rules_are_read_from_the_settings_of_a_link() -> None:
    given = {
        "channel": "stores",
        "pos_numbering": "continuous",
        "pos_number_first": "0",
        "pos_number_max": "9999",
        "pos_gap_grace_s": "60",
        "pos_close_within_s": "7200",
        "pos_closes": "false",
    }

    assert rules_of(given) == Rules(
        numbering="continuous",
        number_first=0,
        number_max=9999,
        gap_grace_s=60.0,
        close_within_s=7200.0,
        closes=False,
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pos_numbering", "weekly", "one of auto, continuous, daily"),
        ("pos_number_max", "many", "a whole number of zero or more"),
        ("pos_number_max", "0", "above pos_number_first"),
        ("pos_closes", "maybe", "true or false"),
        ("pos_grace", "5", "a setting of the sequence check; there are: pos_numbering, "),
    ],
)
def test_a_wrong_setting_is_named(name: str, text: str, expected: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        rules_of({name: text})

    assert str(raised.value).startswith(f"{name}: '{text}' is not {expected}")


def test_many_ranges_are_shown_shortened() -> None:
    assert shown([Range(n, n) for n in range(1, 60, 2)]).endswith(", 39 and 10 more ranges")


numbers = st.lists(st.integers(1, 300), min_size=1, unique=True)


@given(numbers)
def test_what_came_and_what_is_missing_make_up_the_whole(came: list[int]) -> None:
    stated = closed(came)
    absent = {n for each in stated.missing for n in range(each.first, each.last + 1)}

    assert absent | set(came) == set(range(min(came), max(came) + 1))
    assert not absent & set(came)


@given(st.integers(1, 9999), st.integers(1, 2000), st.sets(st.integers(1, 1998), max_size=50))
def test_in_a_round_exactly_what_was_taken_out_of_a_day_is_missing(first: int, length: int, lost: set[int]) -> None:
    taken = {(first - 1 + n) % 9999 + 1 for n in lost if n < length - 1}
    whole = [(first - 1 + n) % 9999 + 1 for n in range(length)]

    stated = closed([n for n in whole if n not in taken], Rules(number_max=9999))

    assert {n for each in stated.missing for n in range(each.first, each.last + 1)} == taken
    assert (stated.first, stated.last) == (whole[0], whole[-1])


@given(st.lists(st.builds(lambda a, n: Range(a, a + n), st.integers(0, 60), st.integers(0, 9))))
def test_merged_ranges_hold_the_same_numbers_and_do_not_touch(ranges: list[Range]) -> None:
    found = merged(ranges)

    assert {n for r in found for n in range(r.first, r.last + 1)} == {
        n for r in ranges for n in range(r.first, r.last + 1)
    }
    assert all(a.last + 1 < b.first for a, b in pairwise(found))
    assert covers(found, ranges)
