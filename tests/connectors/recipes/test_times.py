"""Times: how partners write them, where they are, and what becomes of those that clocks skip or show twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from interlock.connectors.mapping import MappingFailed
from interlock.connectors.recipes.times import read_day
from tests.connectors.recipes.kit import counted, made_of, template

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "data", "expected"),
    [
        ("{time: a}", "2026-03-01T09:30:00-05:00", datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=-5)))),
        ("{time: a}", "2026-03-01T09:30:00Z", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("{time: a}", "2026-03-01 09:30", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
        ("{time: a}", "2026-03-01", datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: a}", "2026-03-01T24:00:00", datetime(2026, 3, 2, tzinfo=BERLIN)),
        ("{time: a}", "20260301", datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: a}", 20260301, datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: a}", "202603010930", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
        ("{time: a}", "20260301093059", datetime(2026, 3, 1, 9, 30, 59, tzinfo=BERLIN)),
        ("{time: a}", "202603012400", datetime(2026, 3, 2, tzinfo=BERLIN)),
        ("{time: a}", "260301", datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: a}", "991231", datetime(1999, 12, 31, tzinfo=BERLIN)),
        ("{time: a}", "2603010930", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
        ("{time: a, format: epoch}", 1772357400, datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("{time: a, format: epoch_ms}", "1772357400500", datetime(2026, 3, 1, 9, 30, 0, 500_000, tzinfo=UTC)),
        ('{time: a, format: "%d.%m.%Y %H:%M"}', "01.03.2026 09:30", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
        ('{time: a, format: ["%d.%m.%Y", iso]}', "2026-03-01", datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: a, format: '102'}", "20260301", datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: a, format: '303'}", "202603010930UTC", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("{time: a, format: '304'}", "20260301093000+02", datetime(2026, 3, 1, 7, 30, tzinfo=UTC)),
        ("{time: a, zone: America/New_York}", "2026-03-01T09:30", datetime(2026, 3, 1, 9, 30, tzinfo=NEW_YORK)),
        ("{time: a, zone: z}", "2026-03-01T09:30", datetime(2026, 3, 1, 9, 30, tzinfo=NEW_YORK)),
        ("{time: a, zone: nothing}", "2026-03-01T09:30", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
        ("{time: [a, b]}", "20260301", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
        ("{time: [a, c]}", "2026-03-01", datetime(2026, 3, 1, 21, 30, 15, tzinfo=BERLIN)),
        ("{time: [a, nothing]}", "20260301", datetime(2026, 3, 1, tzinfo=BERLIN)),
        ("{time: [a, d]}", "20260301", datetime(2026, 3, 2, tzinfo=BERLIN)),
        ("{time: [a, e]}", "20260301", datetime(2026, 3, 1, 9, 30, 5, 250_000, tzinfo=BERLIN)),
        ("{time: [a, f]}", "20260301", datetime(2026, 3, 1, 9, 5, tzinfo=BERLIN)),
        ('{time: [a, b], format: "%Y%m%d %H%M"}', "20260301", datetime(2026, 3, 1, 9, 30, tzinfo=BERLIN)),
    ],
)
def test_a_time_is_read_as_partners_write_it(value: str, data: Any, expected: datetime) -> None:
    beside = {"b": "0930", "c": "9:30:15 PM", "d": "2400", "e": "09300525", "f": "905", "z": "America/New_York"}

    given = counted(value, {"a": data, **beside})

    assert given == expected
    assert given.utcoffset() is not None


@pytest.mark.parametrize(
    ("value", "data", "expected"),
    [
        ("{time: a}", "tomorrow", "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a}", "20261301", "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a}", "2026030109", "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a}", "202603012430", "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a}", "999912312400", "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a}", {"x": 1}, "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a}", True, "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: [a, c]}", "99991231", "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: [a, c]}", {"x": 1}, "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        ("{time: a, format: epoch}", "1e30", "a time written as epoch"),
        ("{time: a, format: '203'}", "20260301", "a time written as 203"),
        ("{time: a, format: '303'}", "202603010930XYZ", "a time written as 303"),
        ("{time: [a, b]}", "20260301", "a time of the day such as 0930 or 09:30:00"),
        ("{time: a, zone: b}", "2026-03-01T09:30", "the IANA name of a time zone, such as Europe/Berlin"),
    ],
)
def test_what_is_no_time_is_refused(value: str, data: Any, expected: str) -> None:
    with pytest.raises(MappingFailed) as raised:
        counted(value, {"a": data, "b": "9960", "c": "2400"})

    assert [error.expected for error in raised.value.errors] == [expected]


def test_a_local_time_that_clocks_skip_is_refused_or_moved_by_the_gap() -> None:
    with pytest.raises(MappingFailed) as raised:
        counted("{time: a}", {"a": "2026-03-29T02:30:00"})
    assert raised.value.errors[0].expected == "a time that there is in Europe/Berlin: clocks were set forward over it"

    moved = counted("{time: a, gap: forward}", {"a": "2026-03-29T02:30:00"})
    assert moved.isoformat() == "2026-03-29T03:30:00+02:00"


def test_a_local_time_that_is_there_twice_is_the_earlier_the_later_or_refused() -> None:
    at = {"a": "2026-10-25T02:30:00"}

    assert counted("{time: a}", at).isoformat() == "2026-10-25T02:30:00+02:00"
    assert counted("{time: a, fold: later}", at).isoformat() == "2026-10-25T02:30:00+01:00"
    with pytest.raises(MappingFailed) as raised:
        counted("{time: a, fold: refuse}", at)
    assert (
        raised.value.errors[0].expected
        == "a time that there is only once in Europe/Berlin: clocks were set back over it"
    )


def test_our_own_times_are_read_without_saying_so() -> None:
    text = "records: [{action: stock.count, fields: {sku: =S, node: =N, ref: =R, counted: 1, occurred_at: {first: [x, at]}}}]"

    (made,) = made_of(text, {"at": "202607010930"})

    assert made.fields["occurred_at"] == datetime(2026, 7, 1, 9, 30, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('"%Y%m%d"', "20260228"),
        ('"%H%M"', "2100"),
        ("iso", "2026-02-28T21:00:00-05:00"),
        ("utc", "2026-03-01T02:00:00Z"),
    ],
)
def test_a_time_goes_out_in_a_zone_and_a_form(written: str, shown: str) -> None:
    text = f"messages: [{{document: {{at: {{time: at, zone: America/New_York, as: {written}}}}}}}]"

    assert template(text).document({"at": "2026-03-01T02:00:00+00:00"}) == {"at": shown}


def test_a_day_is_read_out_of_days_and_times() -> None:
    assert (
        read_day("20260301") == read_day("2026-03-01T23:00:00-05:00") == read_day(date(2026, 3, 1)) == date(2026, 3, 1)
    )
