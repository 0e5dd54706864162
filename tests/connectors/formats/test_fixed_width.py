"""Fixed-width records: lines and blocks, ASCII and EBCDIC, headers with details, and every way in which one can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from interlock.connectors.formats import fixed_width
from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Document,
    Flaw,
    FormatUnreadable,
    Numbers,
    WriteRefused,
)
from interlock.domain.links import Field, Format, Layout

ORDERS = Format(
    kind="fixed",
    layouts=(
        Layout(
            name="order",
            is_="H",
            fields=(
                Field(name="ORDER", start=2, length=6),
                Field(name="TOTAL", start=8, length=7, kind="number", decimals=2),
                Field(name="NAME", start=15, length=10),
            ),
        ),
        Layout(
            name="line",
            is_="D",
            within="order",
            fields=(
                Field(name="SKU", start=2, length=6),
                Field(name="QTY", start=8, length=4, kind="signed"),
            ),
        ),
        Layout(name="serial", is_="S", within="line", fields=(Field(name="NO", start=2, length=5),)),
        Layout(name="trailer", is_="T", fields=(Field(name="COUNT", start=2, length=4, kind="number"),)),
    ),
)
TEXT = b"H0000010001250Ann       \nDSKU-1    2\nS00001\nS00002\nDSKU-2   -1\nH0000020000100\nT0002\n"
NUMBERS = Numbers(interchange=1, at=None)


def read(data: bytes, form: Format = ORDERS, block: int = 7) -> list[Document | Flaw]:
    """Everything in the bytes, which come in blocks of an awkward size."""
    found = list(fixed_width.read((data[at : at + block] for at in range(0, len(data), block)), form))
    return [item for item in found if isinstance(item, Document | Flaw)]


def one(kind: str, data: bytes, encoding: str = "", decimals: int = 0) -> object:
    """What the bytes are as a field of that kind; a Flaw where they are none, None where they are blank."""
    field = Field(name="X", start=1, length=len(data), kind=kind, decimals=decimals)  # type: ignore[arg-type]
    form = Format(kind="fixed", encoding=encoding, record_bytes=len(data), layouts=(Layout(name="r", fields=(field,)),))
    (item,) = read(data, form)
    return item if isinstance(item, Flaw) else item.data.get("X")


def test_a_header_and_its_details_are_one_document() -> None:
    first, second, trailer = read(TEXT)

    assert isinstance(first, Document)
    assert first.data == {
        "ORDER": "000001",
        "TOTAL": Decimal("12.50"),
        "NAME": "Ann",
        "line": [
            {"SKU": "SKU-1", "QTY": 2, "serial": [{"NO": "00001"}, {"NO": "00002"}]},
            {"SKU": "SKU-2", "QTY": -1},
        ],
    }
    assert (first.kind, first.place) == ("order", "line 1")
    assert first.raw == TEXT[: TEXT.index(b"H000002")]
    assert isinstance(second, Document)
    assert second.data == {"ORDER": "000002", "TOTAL": Decimal("1.00")}
    assert second.notes == ("a record ends before its layout does; what is missing counts as blank",)
    assert isinstance(trailer, Document)
    assert (trailer.kind, trailer.data, trailer.place) == ("trailer", {"COUNT": 2}, "line 7")


@pytest.mark.parametrize("block", [1, 2, 3, 25, 1000])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_blocks_and_line_ends_make_no_difference(block: int, ends: bytes) -> None:
    expected = [(item.kind, item.data) for item in read(TEXT) if isinstance(item, Document)]

    found = read(b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"   " + ends) + ends + b"\x1a", block=block)

    assert [(item.kind, item.data) for item in found if isinstance(item, Document)] == expected


def test_a_detail_without_its_header_is_refused_alone() -> None:
    orphan, *rest = read(b"DSKU-1    2\n" + TEXT)

    assert orphan == Flaw("line 1", "orphan_record", "record", "DSKU-1    2", "a record of type order before it",
                          b"DSKU-1    2\n")  # fmt: skip
    assert [item.kind for item in rest] == ["order", "order", "trailer"]


def test_a_header_with_a_detail_that_cannot_be_read_is_refused_as_a_whole_and_its_neighbours_go_on() -> None:
    flaw, second, _ = read(TEXT.replace(b"DSKU-2   -1", b"DSKU-2  1x1"))

    assert isinstance(flaw, Flaw)
    assert (flaw.place, flaw.reason, flaw.field, flaw.value, flaw.kind) == (
        "line 5", "bad_number", "QTY", "1x1", "order"
    )  # fmt: skip
    assert flaw.expected == "digits with a sign before or after them (bytes 8-11 of the record)"
    assert flaw.raw.count(b"\n") == 5
    assert isinstance(second, Document)


def test_an_unknown_record_among_details_refuses_their_header_and_alone_only_itself() -> None:
    flaw, _, _ = read(TEXT.replace(b"DSKU-2", b"XSKU-2"))
    assert isinstance(flaw, Flaw)
    assert (flaw.place, flaw.reason, flaw.kind) == ("line 5", "unknown_record", "order")
    assert flaw.expected.startswith("a record of one of these types: 'H' at byte 1 (order), 'D' at byte 1 (line)")

    first, *rest = read(b"X\n" + TEXT)
    assert isinstance(first, Flaw)
    assert (first.place, first.reason) == ("line 1", "unknown_record")
    assert [item.kind for item in rest] == ["order", "order", "trailer"]


def test_a_record_that_ends_inside_of_a_number_is_refused_by_its_bytes() -> None:
    (flaw,) = read(b"H00000100012")

    assert isinstance(flaw, Flaw)
    assert (flaw.reason, flaw.field, flaw.value) == ("record_too_short", "TOTAL", "5 bytes")
    assert flaw.expected == "7 bytes: the record ends in this field (bytes 8-14 of the record)"


def test_a_line_of_many_megabytes_is_refused_without_being_kept() -> None:
    found = read(b"H0000010001250Ann\n" + b"x" * 3_000_000 + b"\nT0001\n", block=100_000)

    assert [(item.kind, getattr(item, "reason", "")) for item in found] == [("order", "line_too_long"), ("trailer", "")]


def test_a_document_of_many_megabytes_is_refused_without_being_kept() -> None:
    def blocks() -> Iterator[bytes]:
        yield b"H0000010001250Ann\n"
        for _ in range(DOCUMENT_BYTES_MAX // 120_000 + 1):
            yield b"DSKU-1    2\n" * 10_000
        yield b"T0001\n"

    flaw, trailer = fixed_width.read(blocks(), ORDERS)

    assert isinstance(flaw, Flaw)
    assert (flaw.reason, flaw.place, len(flaw.raw)) == ("document_too_large", "line 1", 18)
    assert isinstance(trailer, Document)


def test_rows_with_equal_values_in_the_group_columns_are_one_document() -> None:
    layout = Layout(
        name="row",
        fields=(Field(name="ORDER", start=1, length=2), Field(name="SKU", start=3, length=2)),
    )
    form = Format(kind="fixed", layouts=(layout,), group_by=("ORDER",))

    first, second = read(b"01AA\n01BB\n02AA\n", form)

    assert isinstance(first, Document)
    assert [row["SKU"] for row in first.data["rows"]] == ["AA", "BB"]
    assert (first.data["ORDER"], first.place) == ("01", "line 1")
    assert isinstance(second, Document)
    assert second.data["ORDER"] == "02"


BLOCK = Format(
    kind="fixed",
    encoding="cp037",
    record_bytes=16,
    layouts=(
        Layout(
            name="stock",
            fields=(
                Field(name="SKU", start=1, length=6),
                Field(name="QTY", start=7, length=4, kind="packed"),
                Field(name="PRICE", start=11, length=6, kind="zoned", decimals=2),
            ),
        ),
    ),
)


def test_ebcdic_with_packed_and_zoned_numbers_is_read_as_it_lies_there() -> None:
    data = "SKU-é ".encode("cp037") + bytes.fromhex("0012345d") + bytes.fromhex("f0f0f1f2f5d0")

    (item,) = read(data, BLOCK)

    assert isinstance(item, Document)
    assert item.data == {"SKU": "SKU-é", "QTY": -12345, "PRICE": Decimal("-12.50")}
    assert item.place == "record 1 (byte 1)"
    assert item.raw == data


@pytest.mark.parametrize("end", [b"\x25", b"\x15", b"\x0d\x25"])
def test_in_ebcdic_lines_a_packed_number_may_hold_what_looks_like_the_end_of_a_line(end: bytes) -> None:
    records = [{"SKU": "A", "QTY": quantity, "PRICE": 1} for quantity in (2525252, 1515151, 25, 15, 152515)]
    blank = fixed_width.write([{"records": [record]} for record in records], BLOCK, NUMBERS)
    data = b"".join(blank[at : at + 16] + end for at in range(0, len(blank), 16))

    found = read(data, replace(BLOCK, record_bytes=0), block=3)

    assert [item.data["QTY"] for item in found if isinstance(item, Document)] == [2525252, 1515151, 25, 15, 152515]


def test_what_is_left_at_the_end_of_a_file_of_blocks_is_told_with_its_byte() -> None:
    record = fixed_width.write([{"SKU": "A", "QTY": 1, "PRICE": 1}], BLOCK, NUMBERS)

    good, flaw = read(record + record[:9], BLOCK)

    assert isinstance(good, Document)
    assert isinstance(flaw, Flaw)
    assert (flaw.place, flaw.reason) == ("record 2 (byte 17)", "record_too_short")
    assert flaw.expected == "16 bytes; the file ends after 9 of them"


def test_blocks_that_stand_on_lines_of_their_own_are_read_and_that_is_noted() -> None:
    record = fixed_width.write([{"SKU": "A", "QTY": 1, "PRICE": 1}], BLOCK, NUMBERS)

    found = read((record + b"\x15") * 3, BLOCK)

    assert [item.data["SKU"] for item in found if isinstance(item, Document)] == ["A"] * 3
    assert {item.notes for item in found if isinstance(item, Document)} == {
        ("records of a fixed length are on lines of their own",)
    }


@pytest.mark.parametrize(
    ("kind", "data", "encoding", "decimals", "value"),
    [
        ("number", b"00120", "", 0, 120),
        ("number", b"  120", "", 1, Decimal("12.0")),
        ("number", b" 1.25", "", 2, Decimal("1.25")),
        ("number", b"     ", "", 2, None),
        ("number", b"\0\0\0", "", 0, None),
        ("signed", b"+0012", "", 0, 12),
        ("signed", b"12-", "", 1, Decimal("-1.2")),
        ("signed", b"- 12", "", 0, -12),
        ("signed", b"12CR", "", 0, -12),
        ("signed", b"12DB", "", 0, 12),
        ("signed", b"-1.5", "", 2, Decimal("-1.5")),
        ("zoned", b"12{", "", 0, 120),
        ("zoned", b"12C", "", 0, 123),
        ("zoned", b"12}", "", 1, Decimal("-12.0")),
        ("zoned", b"12R", "", 0, -129),
        ("zoned", b"12t", "", 0, -124),
        ("zoned", b"123", "", 0, 123),
        ("zoned", b"\xf1\xf2\xc3", "cp037", 0, 123),
        ("zoned", b"\x40\xf2\xf3", "cp037", 0, 23),
        ("zoned", b"\xf1\xf2\xb3", "cp037", 0, -123),
        ("zoned", b"\x00\x00", "cp037", 0, None),
        ("packed", b"\x12\x3c", "", 0, 123),
        ("packed", b"\x12\x3f", "", 0, 123),
        ("packed", b"\x12\x3b", "", 2, Decimal("-1.23")),
        ("packed", b"\x20\x20", "", 0, None),
        ("packed", b"\x40\x40", "cp037", 0, None),
        ("packed", b"\x00\x00", "cp037", 0, None),
        ("text", b"ab \0", "", 0, "ab"),
        ("text", b"  ab", "", 0, "  ab"),
        ("text", "é".encode(), "", 0, "é"),
        ("text", b"\xe9", "cp1252", 0, "é"),
    ],
)
def test_every_kind_of_field_is_read(kind: str, data: bytes, encoding: str, decimals: int, value: object) -> None:
    found = one(kind, data, encoding, decimals)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "data", "encoding", "expected"),
    [
        ("number", b"12x", "", "digits"),
        ("number", b"-12", "", "digits"),
        ("number", b"1.2.3", "", "digits"),
        ("number", "١٢".encode(), "", "digits"),
        ("signed", b"-1-", "", "digits with a sign before or after them"),
        ("zoned", b"1{2", "", "digits, the last one with the sign in it: 0-9, {A-I or }J-R"),
        ("zoned", b"\xf1\x12", "cp037", "zoned digits: F0 to F9, the sign in the upper half of the last byte"),
        ("packed", b"\x12\x34", "", "packed digits, the last half byte a sign (A to F)"),
        ("packed", b"\x1a\x3c", "", "packed digits, the last half byte a sign (A to F)"),
    ],
)
def test_bad_digits_are_told_with_their_bytes(kind: str, data: bytes, encoding: str, expected: str) -> None:
    flaw = one(kind, data, encoding)

    assert isinstance(flaw, Flaw)
    assert (flaw.reason, flaw.field, flaw.expected) == (
        "bad_number", "X", f"{expected} (bytes 1-{len(data)} of the record)"
    )  # fmt: skip


def test_text_that_is_none_in_the_encoding_is_told_with_its_byte() -> None:
    (flaw,) = read(b"H0000010001250An\xff", block=100)

    assert isinstance(flaw, Flaw)
    assert (flaw.reason, flaw.field) == ("bad_encoding", "NAME")
    assert flaw.expected == "text in utf-8: byte 17 of the record is 0xff (bytes 15-24 of the record)"


def test_a_written_point_in_a_number_is_noted() -> None:
    form = Format(
        kind="fixed",
        layouts=(Layout(name="r", fields=(Field(name="X", start=1, length=5, kind="number", decimals=2),)),),
    )

    (item,) = read(b"01.50\n", form)

    assert isinstance(item, Document)
    assert (item.data, item.notes) == ({"X": Decimal("1.50")}, ("a number has a written point",))


@pytest.mark.parametrize("encoding", ["klingon", "utf-16"])
def test_an_encoding_that_fixed_width_cannot_have_is_refused(encoding: str) -> None:
    with pytest.raises(FormatUnreadable) as caught:
        read(TEXT, replace(ORDERS, encoding=encoding))
    assert caught.value.reason == "bad_encoding"


def test_a_layout_that_is_longer_than_its_record_is_refused() -> None:
    with pytest.raises(FormatUnreadable, match="at most record_bytes, 10"):
        read(TEXT, replace(ORDERS, record_bytes=10))


# Writing


def test_what_is_written_is_what_was_read() -> None:
    documents = [
        {"records": [{"layout": "order", **item.data} if item.kind == "order" else {"layout": "trailer", **item.data}]}
        for item in read(TEXT)
        if isinstance(item, Document)
    ]

    written = fixed_width.write(documents, ORDERS, NUMBERS)

    assert written.splitlines() == [
        b"H0000010001250Ann       ",
        b"DSKU-1 +002",
        b"S00001",
        b"S00002",
        b"DSKU-2 -001",
        b"H0000020000100          ",
        b"T0002",
    ]


def test_records_may_stand_in_lists_in_lists_as_templates_make_them() -> None:
    document = {"records": [{"layout": "order", "ORDER": "1"}, [{"layout": "line", "SKU": "A", "QTY": 1}], None]}

    assert fixed_width.write([document], ORDERS, NUMBERS) == b"H1                      \nDA     +001\n"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"layout": "order", "ORDER": "1234567"}, "order.ORDER: '1234567' is not at most 6 bytes"),
        ({"layout": "order", "NAME": "☃"}, "order.NAME: '☃' is not text that cp1252 has: '☃' is not in it"),
        ({"layout": "order", "NAME": "a\nb"}, "order.NAME: 'a\\nb' is not text without control characters"),
        ({"layout": "order", "TOTAL": -1}, "order.TOTAL: '-1' is not a number that is not below zero"),
        ({"layout": "order", "TOTAL": "1.255"}, "order.TOTAL: '1.255' is not a number of at most 2 decimals"),
        ({"layout": "order", "TOTAL": 100000}, "order.TOTAL: '100000' is not a number of at most 7 digits"),
        ({"layout": "order", "TOTAL": "many"}, "order.TOTAL: 'many' is not a number"),
        ({"layout": "order", "NOMBRE": "x"}, "order.NOMBRE: 'x' is not one of: ORDER, TOTAL, NAME"),
        ({"layout": "header"}, "layout: 'header' is not one of: order, line, serial, trailer"),
        ("text", "records: 'text' is not a list of records"),
    ],
)
def test_what_does_not_fit_is_not_written(record: object, message: str) -> None:
    with pytest.raises(WriteRefused) as caught:
        fixed_width.write([{"records": [record]}], replace(ORDERS, encoding="cp1252"), NUMBERS)
    assert str(caught.value).startswith(message)


def test_a_field_that_would_say_another_type_is_not_written() -> None:
    layout = Layout(name="order", is_="H", fields=(Field(name="TYPE", start=1, length=1),))
    form = Format(kind="fixed", layouts=(layout,))

    assert fixed_width.write([{"TYPE": "H"}], form, NUMBERS) == b"H\n"
    with pytest.raises(WriteRefused, match="which tells its type"):
        fixed_width.write([{"TYPE": "D"}], form, NUMBERS)


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="cp037", categories=("L", "N", "P")), max_size=6),
            st.integers(-9_999_999, 9_999_999),
            st.integers(-999_999, 999_999),
        ),
        max_size=5,
    ),
    lines=st.booleans(),
)
def test_every_value_that_fits_is_read_as_it_was_written(rows: list[tuple[str, int, int]], lines: bool) -> None:
    form = replace(BLOCK, record_bytes=0 if lines else 16)
    given_rows = [{"SKU": sku, "QTY": quantity, "PRICE": Decimal(price) / 100} for sku, quantity, price in rows]

    written = fixed_width.write([{"records": given_rows}], form, NUMBERS)

    found = [item.data for item in read(written, form, block=5) if isinstance(item, Document)]
    assert found == [{name: value for name, value in row.items() if value != ""} for row in given_rows]


@given(st.binary(max_size=200), st.sampled_from([ORDERS, BLOCK, replace(BLOCK, record_bytes=0)]))
def test_no_bytes_make_the_reader_fail(data: bytes, form: Format) -> None:
    for item in read(data, form):
        assert isinstance(item, Document | Flaw)
