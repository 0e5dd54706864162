"""Writing EDIFACT: what is written is read again without a note, and what does not fit the standard is not written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Node, Numbers, Tree, WriteRefused
from interlock.connectors.formats.edifact import write
from interlock.domain.links import Envelope, Format, Party
from tests.connectors.formats.edifact_parts import documents, ends, flaws, items

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ENVELOPE = Envelope(
    ours=Party(id="4000001000005", qualifier="14"),
    theirs=Party(id="4000002000004", qualifier="14"),
    version="D96A:UN:EAN008",
)
FORM = Format(kind="edifact", envelope=ENVELOPE)
ORDER: Tree = {
    "set": "ORDERS",
    "segments": [
        ["BGM", "220", "web:10001/1", "9"],
        ["DTM", ["137", "2026-03-02T09:15:00Z", "203"]],
        ["NAD", "DP", None, "", "O'Brien + Söhne?"],
        ["LIN", 1, None, ["4000862141404", "EN", None]],
        ["QTY", ["21", Decimal("2.50"), "KGM"]],
        ["UNS", "S"],
        ["CNT", ["2", 1]],
    ],
}


def changed(**changes: Any) -> Format:
    return Format(kind="edifact", envelope=msgspec.structs.replace(ENVELOPE, **changes))


def with_segment(place: int, segment: list[Any]) -> list[Tree]:
    segments = list(ORDER["segments"])
    segments[place] = segment
    return [{"set": "ORDERS", "segments": segments}]


def test_an_interchange_has_una_counts_and_references() -> None:
    assert write([ORDER, ORDER], FORM, Numbers(77, AT)).decode("iso8859-1") == (
        "UNA:+.? 'UNB+UNOC:3+4000001000005:14+4000002000004:14+260302:0930+77'"
        "UNH+1+ORDERS:D:96A:UN:EAN008'BGM+220+web?:10001/1+9'DTM+137:202603020915:203'NAD+DP+++O?'Brien ?+ Söhne??'"
        "LIN+1++4000862141404:EN'QTY+21:2.5:KGM'UNS+S'CNT+2:1'UNT+9+1'"
        "UNH+2+ORDERS:D:96A:UN:EAN008'BGM+220+web?:10001/1+9'DTM+137:202603020915:203'NAD+DP+++O?'Brien ?+ Söhne??'"
        "LIN+1++4000862141404:EN'QTY+21:2.5:KGM'UNS+S'CNT+2:1'UNT+9+2'UNZ+2+77'"
    )


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert write([ORDER], FORM, Numbers(77, AT)) == write([ORDER], FORM, Numbers(77, AT))


def test_the_envelope_says_version_separators_line_ends_and_test() -> None:
    form = changed(version="D01B:UN:EAN010", separators="|*,# ~", line_ends=True, test=True)

    assert write([ORDER], form, Numbers(77, AT)).decode("iso8859-1").split("\n") == [
        "UNA|*,# ~",
        "UNB*UNOC|3*4000001000005|14*4000002000004|14*260302|0930*77******1~",
        "UNH*1*ORDERS|D|01B|UN|EAN010~",
        "BGM*220*web:10001/1*9~",
        "DTM*137|202603020915|203~",
        "NAD*DP***O'Brien + Söhne?~",
        "LIN*1**4000862141404|EN~",
        "QTY*21|2,5|KGM~",
        "UNS*S~",
        "CNT*2|1~",
        "UNT*9*1~",
        "UNZ*1*77~",
        "",
    ]


@pytest.mark.parametrize(
    ("code", "value", "written"),
    [
        ("102", "2026-03-02T09:15:00Z", "20260302"),
        ("203", "2026-03-02T09:15:00+01:00", "202603020915"),
        ("204", "2026-03-02T09:15:07", "20260302091507"),
        ("101", date(2026, 3, 2), "260302"),
        ("", date(2026, 3, 2), "20260302"),
        ("718", "20260302-20260304", "20260302-20260304"),
    ],
)
def test_a_time_is_written_as_its_format_says(code: str, value: object, written: str) -> None:
    text = write(with_segment(1, ["DTM", ["137", value, code]]), FORM, Numbers(77, AT)).decode("iso8859-1")

    assert f"DTM+137:{written}:{code or '102'}'" in text


@pytest.mark.parametrize(
    ("encoding", "level", "codec"),
    [("", "UNOC:3", "iso8859-1"), ("UNOC:2", "UNOC:2", "iso8859-1"), ("utf-8", "UNOW:4", "utf-8")],
)
def test_the_encoding_is_said_and_kept_to(encoding: str, level: str, codec: str) -> None:
    written = write([ORDER], Format(kind="edifact", encoding=encoding, envelope=ENVELOPE), Numbers(77, AT))

    assert f"UNB+{level}+" in written.decode(codec)
    assert "Söhne" in written.decode(codec)


@pytest.mark.parametrize(
    ("documents", "field", "expected"),
    [
        (with_segment(3, ["LIN", "1", None, ["SKU €", "IN"]]), "ORDERS[1].LIN.03.1", "text of UNOC only"),
        (with_segment(3, ["LIN", "1", None, ["A\nB", "IN"]]), "ORDERS[1].LIN.03.1", "text of UNOC only"),
        (
            with_segment(3, ["LIN", "1", None, ["A" * 36, "IN"]]),
            "ORDERS[1].LIN.03.1",
            "a text of at most 35 characters",
        ),
        (with_segment(4, ["QTY", ["21", "many"]]), "ORDERS[1].QTY.01.2", "a number of at most 35 digits"),
        (with_segment(4, ["QTY", ["21"]]), "ORDERS[1].QTY.01.2", "given"),
        (with_segment(4, ["QTY", ["21", 1, "PCE", "X"]]), "ORDERS[1].QTY.01.4", "3 components at most"),
        (with_segment(4, ["ZZZ", "1"]), "ORDERS[1].ZZZ", "a segment that ORDERS has there"),
        (with_segment(4, ["TMD", "1"]), "ORDERS[1].TMD", "a segment that ORDERS has there"),
        (with_segment(1, ["FTX", "AAI"]), "ORDERS[1].DTM", "there: every ORDERS has it"),
        (with_segment(5, ["FTX", "AAI"]), "ORDERS[1].UNS", "there: every ORDERS has it"),
        (with_segment(1, ["DTM", ["137", "2026-03-02", "999"]]), "DTM.01.3", "one of 101"),
        (with_segment(1, ["DTM", [137.5]]), "ORDERS[1], segment 3 DTM.01", "a text or a number"),
        ([{"set": "orders", "segments": []}], "document 1: set", "a message type such as ORDERS"),
        ([["BGM"]], "document 1", "an object with `set` and `segments`"),
        ([], "documents", "at least one document"),
    ],
)
def test_what_does_not_fit_the_standard_is_not_written(documents: list[Tree], field: str, expected: str) -> None:
    with pytest.raises(WriteRefused) as refused:
        write(documents, FORM, Numbers(77, AT))

    assert refused.value.field == field
    assert refused.value.expected.startswith(expected)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (Format(kind="edifact"), "envelope"),
        (changed(version="4010"), "version"),
        (changed(separators=":+.?"), "separators"),
        (changed(separators="::.? '"), "separators"),
        (changed(ours=Party(id="")), "UNB.02.1"),
        (changed(theirs=Party(id="A", qualifier="FIVE5")), "UNB.03.2"),
        (Format(kind="edifact", encoding="cp037", envelope=ENVELOPE), "encoding"),
        (Format(kind="edifact", encoding="UNOC:9", envelope=ENVELOPE), "encoding"),
    ],
)
def test_an_envelope_that_cannot_be_written_is_refused(form: Format, field: str) -> None:
    with pytest.raises(WriteRefused) as refused:
        write([ORDER], form, Numbers(77, AT))

    assert refused.value.field == field


def test_level_a_has_no_small_letters() -> None:
    with pytest.raises(WriteRefused) as refused:
        write([ORDER], Format(kind="edifact", encoding="UNOA", envelope=ENVELOPE), Numbers(77, AT))

    assert (refused.value.field, refused.value.expected) == (
        "ORDERS[1].BGM.02.1",
        "text of UNOA only, and 'w' is outside of it",
    )


MARKS = st.permutations(list(":+?'*|~^#$%&;<>=!/\\{}[]@_")).flatmap(
    lambda marks: st.builds(
        lambda release, end: f"{marks[0]}{marks[1]}.{release} {end}",
        st.sampled_from([marks[2], marks[3]]),
        st.sampled_from([marks[4], marks[5], "\n"]),
    )
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=30)


@settings(deadline=None)
@given(marks=MARKS, texts=st.lists(st.lists(TEXT, max_size=4), max_size=5), line_ends=st.booleans(), wide=st.booleans())
def test_what_is_written_is_read_again_without_a_note(
    marks: str, texts: list[list[str]], line_ends: bool, wide: bool
) -> None:
    segments = [ORDER["segments"][0], ORDER["segments"][1]]
    segments += [["FTX", "AAI", None, None, each] for each in texts]
    form = Format(
        kind="edifact",
        encoding="utf-8" if wide else "",
        envelope=msgspec.structs.replace(ENVELOPE, separators=marks, line_ends=line_ends),
    )
    written = write([{"set": "ORDERS", "segments": [*segments, ["UNS", "S"]]}], form, Numbers(77, AT))
    # Bytes of ISO 8859-1 that are UTF-8 by chance are read as that.
    assume(wide or written.isascii() or not is_utf8(written))
    found = items(written)

    assert flaws(found) == []
    [document] = documents(found)
    assert document.notes == ()
    assert ends(found)[0].errors == ()
    read = [given_texts(node) for node in (document.data.children or {}).get("FTX", ())]
    assert read == [trimmed(each) for each in texts]


def given_texts(node: Node) -> list[str]:
    element = node.elements[4] if len(node.elements) > 4 else ""
    return trimmed([element] if isinstance(element, str) else element)


def trimmed(texts: list[str]) -> list[str]:
    """Without empty ones at the end, which are not written."""
    last = max((place for place, text in enumerate(texts, 1) if text), default=0)
    return texts[:last]


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
