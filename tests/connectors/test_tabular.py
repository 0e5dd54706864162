"""Delimited text to rows: every line of a file is a row, a bad row with a reason, or blank; whatever the file is like."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats import tabular
from interlock.connectors.formats.tabular import BadRow, Row, Table, TableUnreadable, blocks


def read(data: bytes, **how: str) -> tuple[Table, list[Row], list[BadRow]]:
    table = Table(blocks(io.BytesIO(data)), **how)
    chunks = list(table)
    return table, [row for chunk in chunks for row in chunk.rows], [bad for chunk in chunks for bad in chunk.bad]


def cells(rows: list[Row]) -> list[list[str]]:
    return [row.cells for row in rows]


def reasons(bad: list[BadRow]) -> list[tuple[int, str]]:
    return [(each.line, each.reason) for each in bad]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_they_do_on_any_system(end: str) -> None:
    table, rows, bad = read(end.join(["sku,n", "A,1", "", "B,2"]).encode())

    assert table.columns == ("sku", "n")
    assert [(row.line, row.cells) for row in rows] == [(2, ["A", "1"]), (4, ["B", "2"])]
    assert bad == []


def test_a_row_keeps_its_bytes_verbatim() -> None:
    _, rows, _ = read(b'sku,n\r\n"A",1\r\n"two\r\nlines",2\nC,3')

    assert [row.raw for row in rows] == [b'"A",1\r\n', b'"two\r\nlines",2\n', b"C,3"]
    assert [(row.line, row.lines) for row in rows] == [(2, 1), (3, 2), (5, 1)]
    assert cells(rows) == [["A", "1"], ["two\r\nlines", "2"], ["C", "3"]]


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert read(b"\xef\xbb\xbfsku,n\nA,1\n")[0].columns == ("sku", "n")
    assert read(b"\xef\xbb\xbfsku,n\nA,1\n", encoding="utf-8")[0].columns == ("sku", "n")


def test_legacy_encodings_are_read_as_the_estate_says() -> None:
    assert cells(read("sku,name\nA,Käse €\n".encode("cp1252"), encoding="cp1252")[1]) == [["A", "Käse €"]]
    assert cells(read("sku,name\nA,Käse\n".encode("utf-16"), encoding="utf-16")[1]) == [["A", "Käse"]]
    assert cells(read("sku,name\nA,Käse\n".encode("cp500"), encoding="cp500")[1]) == [["A", "Käse"]]


def test_a_row_that_is_no_text_in_the_encoding_is_bad_and_its_neighbours_are_read() -> None:
    _, rows, bad = read(b"sku,n\nA,1\nB\xe4,2\nC,3\n")

    assert cells(rows) == [["A", "1"], ["C", "3"]]
    assert reasons(bad) == [(3, "bad_encoding")]
    assert bad[0].value == "B\\xe4,2"
    assert bad[0].expected == "text in utf-8: byte 2 of the line is 0xe4"


def test_half_a_character_in_utf_16_costs_only_its_row() -> None:
    data = "sku,n\nA,1\nB".encode("utf-16-le") + b"\x00\xd8" + ",2\nC,3\n".encode("utf-16-le")

    _, rows, bad = read(data, encoding="utf-16-le")

    assert cells(rows) == [["A", "1"], ["C", "3"]]
    assert reasons(bad) == [(3, "bad_encoding")]


def test_a_stray_quote_costs_the_line_where_it_opens_and_not_the_file() -> None:
    lines = [f"{n},name {n}" for n in range(2, 2000)]
    lines[100] = '102,"27 inch TV'

    _, rows, bad = read("\n".join(["sku,n", *lines]).encode())

    assert reasons(bad) == [(102, "unreadable_row")]
    assert bad[0].cells == ['102,"27 inch TV']
    assert [row.line for row in rows] == [n for n in range(2, 2000) if n != 102]


def test_two_stray_quotes_do_not_swallow_what_is_between_them() -> None:
    _, rows, bad = read(b'sku,name,n\nA,"27 in,1\nB,b,2\nC,"32 in,3\nD,d,4\n')

    assert [row.cells[0] for row in rows] == ["B", "D"]
    assert reasons(bad) == [(2, "unreadable_row"), (4, "unreadable_row")]


def test_a_quote_inside_a_cell_is_what_it_looks_like() -> None:
    assert cells(read(b'sku,name\nA,27" TV\nB,"27"" TV"\n')[1]) == [["A", '27" TV'], ["B", '27" TV']]


def test_text_after_a_closing_quote_is_refused_and_not_joined() -> None:
    assert reasons(read(b'sku,name\nA,"27" TV\nB,b\n')[2]) == [(2, "unreadable_row")]


def test_a_row_with_too_few_or_too_many_cells_is_bad_and_says_how_many() -> None:
    _, rows, bad = read(b"a,b,c\n1,2\n1,2,3\n1,2,3,4\n1,2,3,,\n")

    assert cells(rows) == [["1", "2", "3"], ["1", "2", "3"]]  # empty cells at the end say nothing
    assert [(each.line, each.reason, each.value, each.expected, each.cells) for each in bad] == [
        (2, "wrong_column_count", "2 cells", "3 cells, as the header has", ["1", "2"]),
        (4, "wrong_column_count", "4 cells", "3 cells, as the header has", ["1", "2", "3", "4"]),
    ]


def test_a_nul_byte_costs_its_row() -> None:
    _, rows, bad = read(b"sku,n\nA,1\nB\0,2\nC,3\n")

    assert cells(rows) == [["A", "1"], ["C", "3"]]
    assert reasons(bad) == [(3, "nul_byte")]


def test_a_cell_of_ten_megabytes_is_dropped_as_it_comes_and_the_next_row_is_read() -> None:
    largest = 0

    def source() -> Iterator[bytes]:
        yield b"sku,n\nA,1\nB,"
        for _ in range(160):
            yield b"x" * 65_536
        yield b"\nC,3\n"

    table = Table(source())
    rows, bad = [], []
    for chunk in table:
        largest = max([largest, *(len(row.raw) for row in chunk.rows)])
        rows += chunk.rows
        bad += chunk.bad

    assert [(row.line, row.cells) for row in rows] == [(2, ["A", "1"]), (4, ["C", "3"])]
    assert [(each.line, each.reason) for each in bad] == [(3, "line_too_long")]
    assert largest < 100


def test_a_cell_beyond_the_limit_of_characters_is_refused() -> None:
    assert reasons(read(b"sku,n\nA," + b"x" * 200_000 + b"\nB,2\n")[2]) == [(2, "unreadable_row")]


def test_an_overlong_line_may_end_with_any_line_end_and_at_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabular, "LINE_BYTES_MAX", 20)
    for end in (b"\n", b"\r\n", b"\r"):
        data = end.join([b"a,b", b"1,2", b"3," + b"x" * 50, b"5,6", b""])
        for size in range(1, len(data)):
            pieces = [data[start : start + size] for start in range(0, len(data), size)]
            chunks = list(Table(pieces))

            assert [row.cells for chunk in chunks for row in chunk.rows] == [["1", "2"], ["5", "6"]]
            assert [each.line for chunk in chunks for each in chunk.bad] == [3]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no_header"),
        (b"\n\r\n", "no_header"),
        (b"sku,,n\nA,1,2\n", "bad_header"),
        (b"sku,n,sku\nA,1,2\n", "bad_header"),
        (b'"sku,n\nA,1\n', "bad_header"),
        (b"PK\x03\x04\x00\x00\x00\n", "bad_header"),
        (b"\xff\xfes\x00k\x00u\x00\n\x00", "bad_encoding"),
    ],
)
def test_what_is_no_table_is_refused_as_a_whole(data: bytes, reason: str) -> None:
    with pytest.raises(TableUnreadable) as caught:
        read(data)

    assert caught.value.reason == reason


def test_an_encoding_that_does_not_exist_is_named() -> None:
    with pytest.raises(TableUnreadable, match="'utf-9' is not the name of a text encoding"):
        read(b"a\n1\n", encoding="utf-9")


def test_other_delimiters_are_read_as_the_estate_says() -> None:
    assert cells(read(b"a;b\n1,5;2\n", delimiter=";")[1]) == [["1,5", "2"]]


PIECES = [b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"a", b"1,2\n", b'"x",y\n', b"\0", b"\xff", b" "]


@settings(max_examples=300, deadline=None)
@given(data=st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join), size=st.integers(1, 40))
def test_any_bytes_are_read_the_same_however_they_are_cut_and_nothing_is_lost(data: bytes, size: int) -> None:
    whole = b"a,b\n" + data
    chunks = list(Table([whole]))
    cut = list(Table([whole[start : start + size] for start in range(0, len(whole), size)]))

    def flat(found: list[tabular.Chunk]) -> tuple[list[Row], list[BadRow]]:
        return [row for chunk in found for row in chunk.rows], sorted(bad for chunk in found for bad in chunk.bad)

    rows, bad = flat(chunks)
    assert flat(cut) == (rows, bad)
    # Each line of the text is in a row, is bad, or is blank: none is lost and none is told twice.
    lines = {place for place, line in enumerate(whole.splitlines(), 1) if line.strip() and place > 1}
    of_rows = [place for row in rows for place in range(row.line, row.line + row.lines)]
    of_bad = [each.line for each in bad]
    assert len({*of_rows, *of_bad}) == len(of_rows) + len(of_bad)
    assert lines <= {*of_rows, *of_bad}
