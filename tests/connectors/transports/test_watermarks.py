"""Watermarks of all kinds: which is greater, and how one is set back as the API itself would write it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from interlock.connectors.transports.watermarks import is_ahead, set_back, watermark


@pytest.mark.parametrize(
    ("less", "greater"),
    [
        ("9", "10"),
        (9, "10.5"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z"),
        ("2026-03-01T12:00:00+02:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01", "2026-03-01T00:00:01"),
        ("evt_a", "evt_b"),
    ],
)
def test_one_watermark_is_greater_than_another(less: Any, greater: Any) -> None:
    first, second = watermark(less), watermark(greater)

    assert first is not None and second is not None
    assert first.rank < second.rank


@pytest.mark.parametrize("nothing", [None, "", "  ", True, "x" * 300, "NaN", "Infinity"])
def test_what_is_no_value_is_no_watermark(nothing: Any) -> None:
    assert watermark(nothing) is None


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T11:58:30Z"),
        ("2026-03-01T12:00:00.123Z", "2026-03-01T11:58:30.123Z"),
        ("2026-03-01T12:00:00.123456+01:00", "2026-03-01T11:58:30.123456+01:00"),
        ("2026-03-01 12:00:00", "2026-03-01T11:58:30"),
        ("1772366400", "1772366310"),
        ("1772366400000", "1772366310000"),
        ("12345", "12345"),
        ("evt_b", "evt_b"),
    ],
)
def test_a_time_is_set_back_in_its_own_writing(text: str, earlier: str) -> None:
    mark = watermark(text)

    assert mark is not None
    assert set_back(mark, 90) == earlier
    assert set_back(mark, 0) == text


def test_a_day_ahead_of_the_servers_clock_is_too_far() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    assert [
        is_ahead(watermark(text), now) for text in ("2026-03-02T11:00:00Z", "2026-03-02T13:00:00Z", "99", "evt")
    ] == [  # type: ignore[arg-type]
        False,
        True,
        False,
        False,
    ]
