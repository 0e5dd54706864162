"""CSV as documents: rows and groups, dialects and encodings, rows that are none, totals, and what is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.formats.delimited import check_totals, read, write
from interlock.connectors.formats.document import Document, Flaw, FormatUnreadable, Numbers, WriteRefused
from interlock.domain.links import Format, Totals

NUMBERS = Numbers(1, None)


def csv(**options: Any) -> Format:
    return Format(kind="csv", **options)


def data(text: bytes, **options: Any) -> list[Any]:
    return [each.data if isinstance(each, Document) else each.place for each in read([text], csv(**options))]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (b"sku,qty\nA,2\n\nB, 3\n", {}, [{"sku": "A", "qty": "2"}, {"sku": "B", "qty": " 3"}]),
        (b'\xef\xbb\xbfsku;name\r\nA;"x;\r\ny"\r\n', {"delimiter": ";"}, [{"sku": "A", "name": "x;\r\ny"}]),
        (b"sku\tqty\nA\t2\n", {"delimiter": "tab"}, [{"sku": "A", "qty": "2"}]),
        (b"sku\tqty\nA\t2\n", {"delimiter": "\t"}, [{"sku": "A", "qty": "2"}]),
        (b"sku|name\nA|'x|y'\n", {"delimiter": "|", "quote": "'"}, [{"sku": "A", "name": "x|y"}]),
        (b'sku|name\nA|7" pipe\n', {"delimiter": "|", "quote": ""}, [{"sku": "A", "name": '7" pipe'}]),
        (b"A,2\n", {"header": False, "columns": ("sku", "qty")}, [{"sku": "A", "qty": "2"}]),
        ("sku,name\nA,Käse €\n".encode("cp1252"), {"encoding": "cp1252"}, [{"sku": "A", "name": "Käse €"}]),
        ("sku,name\nA,Käse\n".encode("utf-16"), {"encoding": "utf-16"}, [{"sku": "A", "name": "Käse"}]),
        ("sku,name\x85A,Käse\x85".encode("cp037"), {"encoding": "cp037"}, [{"sku": "A", "name": "Käse"}]),
    ],
)
def test_rows_are_read_in_their_dialect_and_encoding(text: bytes, options: dict[str, Any], expected: list[Any]) -> None:
    assert data(text, **options) == expected


def test_a_row_that_is_none_is_a_flaw_between_its_neighbours() -> None:
    first, flaw, last = read([b"sku,qty\nA,2\nB\nC,3\n"], csv())

    assert (first.place, first.raw, last.place) == ("row 2", b"A,2\n", "row 4")  # type: ignore[union-attr]
    assert flaw == Flaw("row 3", "unreadable", "row", "1 cells", "2 cells, as the header has", b"B", "row")


def test_consecutive_rows_of_one_key_are_a_document() -> None:
    text = b"order,sku,qty\n1,A,2\n1,B,3\n2,C,1\n1,D,1\n"

    found = list(read([text], csv(group_by=("order",))))

    assert [(each.place, each.raw) for each in found] == [  # type: ignore[union-attr]
        ("rows 2 to 3", b"1,A,2\n1,B,3\n"),
        ("row 4", b"2,C,1\n"),
        ("row 5", b"1,D,1\n"),
    ]
    assert found[0].data == {  # type: ignore[union-attr]
        **{"order": "1", "sku": "A", "qty": "2"},
        "rows": [{"order": "1", "sku": "A", "qty": "2"}, {"order": "1", "sku": "B", "qty": "3"}],
    }


def test_a_group_that_lost_a_row_within_it_is_a_flaw_as_a_whole() -> None:
    text = b"order,sku,qty\n1,A,2\n1,B\n1,C,1\n2,D,1\n2,E\n3,F,1\n"

    found = list(read([text], csv(group_by=("order",))))

    assert [(type(each).__name__, each.place) for each in found] == [  # type: ignore[union-attr]
        ("Flaw", "row 3"),
        ("Flaw", "rows 2 to 4"),
        ("Flaw", "row 6"),
        ("Document", "row 5"),
        ("Document", "row 7"),
    ]
    assert found[1].expected == "whole: a row among these could not be read, so that something is missing"  # type: ignore[union-attr]


def test_a_group_by_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(FormatUnreadable) as raised:
        list(read([b"a,b\n1,2\n"], csv(group_by=("order",))))

    assert (raised.value.reason, raised.value.expected) == ("missing_column", "complete: it has no 'order'")


def test_a_text_without_a_header_is_refused() -> None:
    with pytest.raises(FormatUnreadable) as raised:
        list(read([b""], csv()))

    assert raised.value.reason == "no_header"


# Totals

TOTALS = Totals(mark="TRL", count=2, sum=3, of="qty")


def test_a_trailer_that_agrees_is_no_row() -> None:
    text = b"sku,qty,x\nA,2,\nB,3.5,\nTRL,2,5.50\n"

    assert data(text, totals=TOTALS) == [{"sku": "A", "qty": "2", "x": ""}, {"sku": "B", "qty": "3.5", "x": ""}]
    check_totals([text], csv(totals=TOTALS))
    check_totals([b"anything"], csv())


@pytest.mark.parametrize(
    ("rows", "field", "value", "expected"),
    [
        (b"A,2\n", "trailer", "", "a last row that begins with TRL; it is missing"),
        (b"A,2\nTRL,2,2\n", "count", "2", "1, the number of rows that are there"),
        (b"A,2\nTRL,1,2.01\n", "sum", "2.01", "2, the sum of qty in the rows that are there"),
        (b"A,2\nTRL,1\n", "sum", "TRL, 1", "a trailer with a cell 3, the sum"),
        (b"A,2\nTRL,one,2\n", "count", "one", "a number, which the totals need"),
        (b"A,two\nTRL,1,2\n", "row 2, qty", "two", "a number, which the totals need"),
        (b"A,2\nTRL,1,2\nB,1\n", "row 4", "B, 1", "nothing behind the trailer"),
        (b"A,2\nTRL,1,2\nTRL,1,2\n", "row 4", "TRL", "the only trailer"),
        (b"A,2\nB\nTRL,1,2\n", "count", "1", "2, the number of rows that are there"),
    ],
)
def test_totals_that_do_not_agree_refuse_the_file(rows: bytes, field: str, value: str, expected: str) -> None:
    for check in (check_totals, lambda source, form: list(read(source, form))):
        with pytest.raises(FormatUnreadable) as raised:
            check([b"sku,qty\n" + rows], csv(totals=TOTALS))  # type: ignore[no-untyped-call]
        error = raised.value
        assert (error.reason, error.field, error.value, error.expected) == ("bad_totals", field, value, expected)


# Writing


@pytest.mark.parametrize(
    ("rows", "options", "written"),
    [
        ([{"a": "x,y", "b": None}, {"b": Decimal("1.50"), "a": True}], {}, b'a,b\r\n"x,y",\r\ntrue,1.50\r\n'),
        ([{"b": 1}], {"columns": ("a", "b")}, b"a,b\r\n,1\r\n"),
        ([{"a": 1}], {"header": False}, b"1\r\n"),
        ([{"a": "é;"}], {"delimiter": ";", "encoding": "cp1252"}, b'a\r\n"\xe9;"\r\n'),
        (
            [{"a": "A", "qty": 2}, {"a": "B", "qty": "3.5"}],
            {"totals": TOTALS},
            b"a,qty\r\nA,2\r\nB,3.5\r\nTRL,2,5.5\r\n",
        ),
    ],
)
def test_rows_are_written_under_one_header(rows: list[Any], options: dict[str, Any], written: bytes) -> None:
    assert write([{"rows": rows[:1]}, {"rows": rows[1:]}], csv(**options), NUMBERS) == written


@pytest.mark.parametrize(
    ("document", "options", "field"),
    [
        ({"rows": [{"c": 1}]}, {"columns": ("a",)}, "c"),
        ({"rows": [{"a": [1]}]}, {}, "a"),
        ({"rows": [{"a": "x\0"}]}, {}, "a"),
        ({"rows": [{"a": "€"}]}, {"encoding": "ascii"}, "encoding"),
        ({"rows": [{"a": "x,y"}]}, {"quote": ""}, "row 1"),
        ({"a": 1}, {}, "rows"),
    ],
)
def test_what_cannot_be_written_is_refused(document: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(WriteRefused) as raised:
        write([document], csv(**options), NUMBERS)

    assert raised.value.field == field


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), st.sampled_from([",", ";", "\t"]))
def test_what_is_written_is_read_again(rows: list[tuple[str, str]], delimiter: str) -> None:
    given_rows = [{"a": one, "b": two} for one, two in rows]

    text = write([{"rows": given_rows}], csv(delimiter=delimiter), NUMBERS)

    assert data(text, delimiter=delimiter) == given_rows
