"""Writing X12: exactly by the standard, read back without a note, and refused where it would not be."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Document, Interchange, Numbers, WriteRefused
from interlock.connectors.formats.readers import writer
from interlock.connectors.formats.x12 import write
from interlock.domain.links import Envelope, Format, Party
from tests.connectors.formats.x12_making import everything, shape

ENVELOPE = Envelope(ours=Party(id="INTERLOCK"), theirs=Party(id="0012345678905", qualifier="14", application="WMS"))
NUMBERS = Numbers(interchange=7, at=datetime(2026, 3, 1, 9, 30), group=12)
RELEASE: list[list[Any]] = [
    ["W05", "N", "web:10001/1", None],
    ["N1", "SF", "", "92", "DC1"],
    ["N2"],
    ["G62", "10", date(2026, 3, 1)],
    ["LX", 1],
    ["W01", Decimal("2.50"), "EA", None, "SK", "SKU-1", ""],
    ["N9", "LI", 1],
    ["W76", Decimal("2")],
]


def form(**changes: Any) -> Format:
    return Format(kind="x12", envelope=msgspec.structs.replace(ENVELOPE, **changes))


def a_release(segments: list[list[Any]] = RELEASE, kind: str = "940") -> dict[str, Any]:
    return {"set": kind, "segments": segments}


def test_a_file_is_written_as_the_standard_has_it() -> None:
    assert write([a_release()], form(line_ends=True), NUMBERS).decode().split("\r\n") == [
        "ISA*00*          *00*          *ZZ*INTERLOCK      *14*0012345678905  *260301*0930*U*00401*000000007*0*P*>~",
        "GS*OW*INTERLOCK*WMS*20260301*0930*12*X*004010~",
        "ST*940*0001~",
        "W05*N*web:10001/1~",
        "N1*SF**92*DC1~",
        "G62*10*20260301~",
        "LX*1~",
        "W01*2.5*EA**SK*SKU-1~",
        "N9*LI*1~",
        "W76*2~",
        "SE*9*0001~",
        "GE*1*12~",
        "IEA*1*000000007~",
        "",
    ]


def test_the_same_documents_and_numbers_give_the_same_bytes() -> None:
    assert write([a_release()], form(), NUMBERS) == write([a_release()], form(), NUMBERS)


def test_sets_of_several_kinds_go_into_several_groups() -> None:
    other = a_release([["BEG", "00", "DS", "PO", None, "20260301"], ["PO1", 1, 2, "EA"]], "850")

    text = write([a_release(), a_release(), other], form(), NUMBERS).decode()

    rows = text.split("~")
    assert [each for each in rows if each[:2] in ("GS", "ST", "GE", "IE")] == [
        "GS*OW*INTERLOCK*WMS*20260301*0930*12*X*004010",
        "ST*940*0001",
        "ST*940*0002",
        "GE*2*12",
        "GS*PO*INTERLOCK*WMS*20260301*0930*12*X*004010",
        "ST*850*0003",
        "GE*1*12",
        "IEA*2*000000007",
    ]


def test_a_newer_version_names_its_repetition_separator() -> None:
    text = write([a_release()], form(version="005010", test=True), NUMBERS).decode()

    assert text[82:106] == "^*00501*000000007*0*T*>~"
    assert "*X*005010~" in text


def test_after_the_last_control_number_comes_the_first() -> None:
    numbers = Numbers(interchange=1_000_000_000, at=NUMBERS.at)

    text = write([a_release()], form(), numbers).decode()

    assert "*000000001*0*P" in text and "IEA*1*000000001~" in text


@pytest.mark.parametrize(
    ("segments", "field", "value", "expected"),
    [
        ([["W05", "N", "a*b"]], "W0502", "a*b", "text without the separators * > ~ ^"),
        ([["W05", "N", "a\nb"]], "W0502", "a\nb", "printable text without blanks at its ends"),
        ([["W05", "N", " a"]], "W0502", " a", "printable text without blanks at its ends"),
        ([["W05", "N", "x" * 23]], "940 segment 2 W0502", "x" * 23, "at most 22 characters"),
        ([["W05", "N"]], "940 segment 2 W0502", "", "given: it is mandatory"),
        ([["W05", "N", "A"], ["LX", "one"]], "940 segment 3 LX01", "one", "a whole number"),
        ([["W05", "N", "A"], ["N1", "SF", "B", "92"]], "940 segment 3 N104", "", "given: 03 and 04 go together"),
        ([["W05", "N", "A"], ["G62", "10", "260301"]], "G6202", "260301", "a date, CCYYMMDD"),
        ([["W05", "N", "A"], ["G62", "10", "20261301"]], "940 segment 3 G6202", "20261301", "a date, CCYYMMDD"),
        ([["W05", "N", "A"], ["BEG", "00"]], "940 segment 3 BEG", "BEG*00", "a segment of 940"),
        ([["LX", "1"]], "940 segment 2 W05", "", "in every 940: it is missing"),
        ([["W05", "N", "A"], ["LX", 1, 2]], "LX", "['LX', 1, 2]", "at most 1 elements"),
        ([["W05", "N", True]], "W0502", "True", "text or a number"),
        ([["W05", ["N", "M"], "A"]], "W0501", "['N', 'M']", "one value, not a composite"),
        ([["w05", "N", "A"]], "segments", "['w05', 'N', 'A']", "a list that begins with a segment's tag"),
    ],
)
def test_what_is_not_by_the_standard_is_refused(
    segments: list[list[Any]], field: str, value: str, expected: str
) -> None:
    with pytest.raises(WriteRefused) as caught:
        write([a_release(segments)], form(), NUMBERS)

    assert (caught.value.field, caught.value.value, caught.value.expected) == (field, value, expected)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"separators": "**~^"}, "envelope.separators"),
        ({"separators": "A>~^"}, "envelope.separators"),
        ({"separators": "*>.^"}, "envelope.separators"),
        ({"version": "4010"}, "envelope.version"),
        ({"ours": Party(id="X" * 16)}, "envelope.ours.id"),
        ({"ours": Party(id="US", qualifier="Z")}, "envelope.ours.qualifier"),
        ({"theirs": Party(id="THEM", application="T")}, "envelope.theirs.application"),
        ({"theirs": Party(id="TH*EM")}, "envelope"),
    ],
)
def test_an_envelope_that_cannot_be_written_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(WriteRefused) as caught:
        write([a_release()], form(**changes), NUMBERS)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("documents", "field"),
    [([], "documents"), ([{"set": "999999", "segments": []}], "set"), ([{"set": "940"}], "segments"), (["940"], "set")],
)
def test_what_is_no_set_is_refused(documents: list[Any], field: str) -> None:
    with pytest.raises(WriteRefused) as caught:
        write(documents, form(), NUMBERS)

    assert caught.value.field == field


def test_without_an_envelope_nothing_is_written() -> None:
    with pytest.raises(WriteRefused) as caught:
        write([a_release()], Format(kind="x12"), NUMBERS)

    assert caught.value.field == "format.envelope"


def test_a_sign_that_the_encoding_has_not_is_refused_and_utf_8_has_them_all() -> None:
    document = a_release([["W05", "N", "A"], ["N1", "ST", "Łódź"]])

    with pytest.raises(WriteRefused) as caught:
        write([document], form(), NUMBERS)
    assert caught.value.value == "Ł"
    assert "Łódź".encode() in write([document], Format(kind="x12", envelope=ENVELOPE, encoding="utf-8"), NUMBERS)


def test_x12_is_written_by_the_table_of_formats() -> None:
    assert writer("x12") is write


SIGNS = st.permutations(list("*>~^|:!'\n\r\x1c;<@{}")).map(lambda each: "".join(each[:4]))
TEXT = st.text(st.characters(codec="latin-1", exclude_categories=("C", "Z")), min_size=1, max_size=22)
LINES = st.lists(st.tuples(TEXT, st.decimals(0, 10**9, places=3), TEXT), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(SIGNS, TEXT, LINES, st.booleans(), st.sampled_from(["004010", "004030", "005010"]))
def test_whatever_is_written_is_read_back_without_a_note(
    separators: str, number: str, lines: list[tuple[str, Decimal, str]], line_ends: bool, version: str
) -> None:
    segments: list[list[Any]] = [["W05", "N", number]]
    for at, (sku, quantity, text) in enumerate(lines, 1):
        segments += [["LX", at], ["W01", quantity, "EA", None, "SK", sku], ["G69", text], ["N9", "LI", str(at), text]]
    shape_of = form(separators=separators, line_ends=line_ends, version=version)

    try:
        data = write([a_release(segments)], shape_of, NUMBERS)
    except WriteRefused:
        texts = [number, *(text for line in lines for text in (line[0], line[2]))]
        misplaced = any(sign in "\n\r" for sign in separators[:2] + separators[3])
        assert misplaced or any(sign in text for sign in separators for text in texts)
        return

    document, envelope = everything(data)
    assert isinstance(document, Document) and isinstance(envelope, Interchange)
    assert document.notes == ()
    assert envelope.errors == ()
    tree = shape(document.data)
    assert tree["W05"] == [(["N", number], {})]
    read = [item for loop in tree["LX"] for item in loop[1]["W01"]]
    assert [(item[0][4], Decimal(item[0][0])) for item in read] == [(sku, quantity) for sku, quantity, _ in lines]
    assert [item[1]["G69"][0][0] for item in read] == [[text] for *_, text in lines]
