"""What is bound as a binary array comes back from a real PostgreSQL as it was, or is refused before."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.storage import arrays
from interlock.storage.arrays import (
    Array,
    BigInts,
    Bools,
    Bytes,
    Ints,
    Jsons,
    Numerics,
    SmallInts,
    Texts,
    Times,
    UnstorableValue,
    Uuids,
)

Returned = Callable[[Array[Any]], list[Any]]

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def returned(server_dsn: str) -> Iterator[Returned]:
    """Send an array to PostgreSQL, take it apart there, and give what its elements are."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:

        def send(array: Array[Any]) -> list[Any]:
            cursor = connection.cursor(binary=True)
            cursor.execute(
                "select value from unnest(%(values)s) with ordinality as t (value, nth) order by nth",
                {"values": array},
            )
            return [value for (value,) in cursor.fetchall()]

        yield send


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, max_size=20)


@given(lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
@many
def test_texts_come_back_as_they_were(returned: Returned, values: list[str | None]) -> None:
    assert returned(Texts(values)) == values


@pytest.mark.parametrize(("array", "bits"), [(SmallInts, 16), (Ints, 32), (BigInts, 64)])
@given(data=st.data())
@many
def test_integers_come_back_as_they_were(
    returned: Returned, array: type[Array[int]], bits: int, data: st.DataObject
) -> None:
    values = data.draw(lists(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)))

    assert returned(array(values)) == values


@given(lists(st.integers(-(10**60), 10**60) | st.decimals(allow_nan=False, allow_infinity=False)))
@many
def test_numerics_come_back_with_every_digit_and_their_scale(
    returned: Returned, values: list[int | Decimal | None]
) -> None:
    assert [None if value is None else str(value) for value in returned(Numerics(values))] == [
        None if value is None else plain(Decimal(value)) for value in values
    ]


def plain(value: Decimal) -> str:
    """As PostgreSQL writes it: no exponent where the fraction says it all, and no negative zero."""
    return str(Decimal(f"{abs(value) if value == 0 else value:f}"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0"),
        ("0.000", "0.000"),
        ("-0.00", "0.00"),
        ("1.10", "1.10"),
        ("-9999.9999", "-9999.9999"),
        ("10000", "10000"),
        ("100000000", "100000000"),
        ("0.0001", "0.0001"),
        ("0.00000001", "0.00000001"),
        ("1E+12", "1000000000000"),
        ("-12345678901234567890.000000000000000000001", "-12345678901234567890.000000000000000000001"),
    ],
)
def test_the_server_reads_the_numeric_that_was_meant(server_dsn: str, value: str, shown: str) -> None:
    with psycopg.connect(server_dsn) as connection:
        row = connection.execute(
            "select value::text, value = %(text)s::numeric from unnest(%(values)s) as value",
            {"values": Numerics([Decimal(value)]), "text": value},
        ).fetchone()

    assert row == (shown, True)


def test_equal_numerics_of_another_scale_are_not_confused(returned: Returned) -> None:
    values = [Decimal("1.5"), Decimal("1.50"), Decimal("2.00"), 2, Decimal(2)]

    assert [str(value) for value in returned(Numerics(values))] == ["1.5", "1.50", "2.00", "2", "2"]


zones = st.sampled_from(
    [
        UTC,
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("Australia/Lord_Howe"),
        timezone(timedelta(hours=-11, minutes=-7)),
    ]
)


@given(lists(st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=zones)))
@many
def test_times_come_back_as_the_same_instant(returned: Returned, values: list[datetime | None]) -> None:
    expected = [None if value is None else value.astimezone(UTC) for value in values]

    assert returned(Times(values)) == expected


def test_the_repeated_hour_of_autumn_is_two_instants(returned: Returned) -> None:
    first = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))

    assert returned(Times([first, first.replace(fold=1)])) == [
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2024, 10, 27, 1, 30, tzinfo=UTC),
    ]


@given(lists(st.binary()), lists(st.uuids()), lists(st.booleans()))
@many
def test_bytes_uuids_and_booleans_come_back_as_they_were(
    returned: Returned, blobs: list[bytes | None], ids: list[uuid.UUID | None], flags: list[bool | None]
) -> None:
    assert returned(Bytes(blobs)) == blobs
    assert returned(Uuids(ids)) == ids
    assert returned(Bools(flags)) == flags


def test_encoded_json_documents_arrive_as_json(returned: Returned) -> None:
    assert returned(Jsons([b'{"a": [1, null]}', None, b'"\xc3\xbc"'])) == [{"a": [1, None]}, None, "ü"]


def test_an_array_without_elements_is_empty_and_keeps_its_type(server_dsn: str) -> None:
    with psycopg.connect(server_dsn) as connection:
        row = connection.execute(
            "select %(texts)s = '{}'::text[], cardinality(%(numerics)s), pg_typeof(%(times)s)::text",
            {"texts": Texts([]), "numerics": Numerics(iter(())), "times": Times([])},
        ).fetchone()

    assert row == (True, 0, "timestamp with time zone[]")


@pytest.mark.parametrize(
    "array",
    [
        Texts(["a\0b"]),
        Texts(["\ud800"]),
        Texts([7]),  # type: ignore[list-item]
        SmallInts([32768]),
        Ints([2**31]),
        Ints([1.5]),  # type: ignore[list-item]
        Ints([[1]]),  # type: ignore[list-item]
        BigInts([-(2**63) - 1]),
        Numerics([Decimal("NaN")]),
        Numerics([Decimal("-Infinity")]),
        Numerics([Decimal("1E-16384")]),
        Numerics([Decimal("1E+131072")]),
        Numerics([1.5]),  # type: ignore[list-item]
        Numerics(["1"]),  # type: ignore[list-item]
        Times([datetime(2024, 1, 1)]),
        Times(["2024-01-01"]),  # type: ignore[list-item]
        Bytes(["text"]),  # type: ignore[list-item]
        Uuids(["not-a-uuid"]),  # type: ignore[list-item]
        Bools(["yes"]),  # type: ignore[list-item]
        Jsons(["{}"]),  # type: ignore[list-item]
    ],
)
def test_a_value_that_cannot_be_kept_exactly_is_refused_by_name(array: Array[Any]) -> None:
    with pytest.raises(UnstorableValue) as refused:
        array.dump()

    assert refused.value.field == type(array).__name__


def test_the_largest_numerics_fit(returned: Returned) -> None:
    values = [Decimal("9" * 131072), Decimal("1E-16383")]

    assert returned(Numerics(values)) == values


def test_remembered_values_are_forgotten_when_they_become_too_many(
    returned: Returned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "CACHED_VALUES_MAX", 100)
    values = list(range(70_000, 71_000))

    assert returned(Ints(values)) == values
    assert len(arrays._INTS) <= 100
