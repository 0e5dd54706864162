"""Bad EDIFACT: each mistake is refused with its place, and what stands beside it goes through."""

from __future__ import annotations

import pytest

from tests.connectors.formats.edifact_parts import ORDER, documents, ends, flaw, flaws, interchange, items, message


@pytest.mark.parametrize(
    ("segment", "reason", "field", "value", "expected"),
    [
        ("QTY+21:1O:PCE", "bad_value", "QTY.01.2", "1O", "a number of at most 35 digits"),
        ("QTY+21:1.000,5", "bad_value", "QTY.01.2", "1.000,5", "a number of at most 35 digits"),
        ("QTY+21", "missing_element", "QTY.01.2", "", "given"),
        ("QTY", "missing_element", "QTY.01", "", "given"),
        ("PRI+AAA:$1", "bad_value", "PRI.01.2", "$1", "a number of at most 15 digits"),
        ("MOA+203:twelve", "bad_value", "MOA.01.2", "twelve", "a number of at most 35 digits"),
        ("PIA+1", "missing_element", "PIA.02", "", "given"),
        ("RFF+ONXX:1", "too_long", "RFF.01.1", "ONXX", "a code of at most 3 characters"),
        ("LIN+1234567", "too_long", "LIN.01", "1234567", "a code of at most 6 characters"),
        ("NAD+BUYER+1::9", "too_long", "NAD.01", "BUYER", "a code of at most 3 characters"),
        ("ZZZ+1", "unknown_segment", "ZZZ", "ZZZ", "a segment of the directory"),
        ("qty+21:1", "unknown_segment", "qty", "qty", "a segment of the directory"),
        ("LINE+1", "unknown_segment", "LIN", "LINE", "a segment of the directory"),
    ],
)
def test_a_bad_segment_is_refused_with_its_place(
    segment: str, reason: str, field: str, value: str, expected: str
) -> None:
    text = interchange(message(*ORDER[:3], segment, "UNS+S"))
    found = flaw(text)

    assert found.place == f"interchange 77, message 1, segment 5 (byte {text.index(segment)})"
    assert (found.reason, found.field, found.value, found.expected) == (reason, field, value, expected)
    assert found.kind == "ORDERS"


def test_every_mistake_of_a_message_is_told_for_its_acknowledgment() -> None:
    text = interchange(message(*ORDER[:3], "QTY+21:X", "PRI+AAA:Y", "RFF+TOOL:1", "UNS+S", count=99))
    [result] = ends(items(text))[0].groups[0].sets

    assert result.accepted is False
    assert result.errors == (
        ("QTY", 5, 1, "37", "X"),
        ("PRI", 6, 1, "37", "Y"),
        ("RFF", 7, 1, "39", "TOOL"),
        ("UNT", 9, 1, "29", "99"),
    )


@pytest.mark.parametrize(
    ("body", "kind", "field"),
    [
        (("DTM+137:20260302:102", "UNS+S"), "ORDERS", "BGM"),
        (("BGM+220+1+9", "UNS+S"), "ORDERS", "DTM"),
        (("BGM+351+1+9",), "DESADV", ""),
        (("DTM+137:20260302:102",), "INVOIC", "BGM"),
        (("BGM+35+1+9",), "INVRPT", "DTM"),
    ],
)
def test_a_mandatory_segment_is_missed(body: tuple[str, ...], kind: str, field: str) -> None:
    found = items(interchange(message(*body, kind=kind)))

    assert [(each.reason, each.field, each.expected) for each in flaws(found)] == (
        [("missing_segment", field, f"the segment {field}, which every {kind} has")] if field else []
    )


@pytest.mark.parametrize("count", [0, 6, 8, 70])
def test_a_wrong_count_of_segments_is_refused(count: int) -> None:
    found = flaw(interchange(message(*ORDER, count=count)))

    assert (found.reason, found.field, found.value) == ("wrong_count", "UNT.01", str(count))
    assert found.expected == "7, the segments from UNH to UNT"


def test_a_trailer_with_another_reference_is_refused() -> None:
    found = flaw(interchange(message(*ORDER).replace("UNT+7+1", "UNT+7+2")))

    assert (found.reason, found.field, found.value) == ("wrong_reference", "UNT.02", "2")
    assert found.expected == "'1', the reference in UNH"


def test_leading_zeros_in_a_reference_are_noted() -> None:
    [document] = documents(items(interchange(message(*ORDER).replace("UNT+7+1", "UNT+7+0001"))))

    assert document.notes == ("UNT.02 and UNH.01 differ in leading zeros",)


def test_neighbours_of_a_bad_message_go_through() -> None:
    bad = message(*ORDER[:3], "QTY+21:X", "UNS+S", reference="2")
    found = items(interchange(message(*ORDER), bad, message(*ORDER, reference="3")))

    assert [each.place for each in documents(found)] == ["interchange 77, message 1", "interchange 77, message 3"]
    assert [each.accepted for each in ends(found)[0].groups[0].sets] == [True, False, True]
    assert ends(found)[0].errors == ()


@pytest.mark.parametrize(
    ("trailer", "reason", "field", "errors"),
    [
        ("UNZ+2+77'", "wrong_count", "UNZ.01", ("29 UNZ.01: 2, not 1",)),
        ("UNZ+x+77'", "wrong_count", "UNZ.01", ("29 UNZ.01: x, not 1",)),
        ("UNZ+1+78'", "wrong_reference", "UNZ.02", ("28 UNZ.02: 78, not 77",)),
        ("", "truncated", "UNZ", ("13 UNZ: the interchange does not end",)),
    ],
)
def test_a_wrong_trailer_of_an_interchange_is_told_beside_its_messages(
    trailer: str, reason: str, field: str, errors: tuple[str, ...]
) -> None:
    found = items(interchange(message(*ORDER)).replace("UNZ+1+77'", trailer))

    assert len(documents(found)) == 1
    assert [(each.reason, each.field) for each in flaws(found)] == [(reason, field)]
    assert ends(found)[0].errors == errors


def test_a_trailer_that_repeats_another_reference_of_the_header_is_only_told() -> None:
    found = items(interchange(message(*ORDER)).replace("+77'UNH", "+77++APP7'UNH").replace("UNZ+1+77", "UNZ+1+APP7"))

    assert flaws(found) == []
    assert ends(found)[0].errors == ("28 UNZ.02: APP7, not 77",)


@pytest.mark.parametrize("cut", [5, 20, 60, 100])
def test_a_truncated_file_gives_its_whole_messages_and_a_flaw_for_the_open_one(cut: int) -> None:
    text = interchange(message(*ORDER), message(*ORDER, reference="2"))
    found = items(text[: len(text) - len("UNZ+2+77'") - cut])

    assert [each.place for each in documents(found)] == ["interchange 77, message 1"]
    assert [each.reason for each in flaws(found)] == ["truncated", "truncated"]
    assert [each.accepted for each in ends(found)[0].groups[0].sets] == [True, False]


def test_a_message_without_its_trailer_does_not_swallow_the_next_one() -> None:
    text = interchange(message(*ORDER).replace("UNT+7+1'", ""), message(*ORDER, reference="2"))
    found = items(text)

    assert [(each.reason, each.field) for each in flaws(found)] == [("truncated", "UNT")]
    assert [each.place for each in documents(found)] == ["interchange 77, message 2"]


def test_an_interchange_without_its_trailer_does_not_swallow_the_next_one() -> None:
    first = interchange(message(*ORDER)).replace("UNZ+1+77'", "")
    found = items(first + interchange(message(*ORDER), control="78"))

    assert [each.reason for each in flaws(found)] == ["truncated"]
    assert [each.control for each in ends(found)] == ["77", "78"]
    assert len(documents(found)) == 2


def test_segments_between_messages_are_one_flaw() -> None:
    found = items(
        interchange(message(*ORDER), "BGM+220+9'DTM+137:20260302:102'", message(*ORDER, reference="2"), count=2)
    )

    assert [(each.reason, each.field) for each in flaws(found)] == [("segment_outside", "BGM")]
    assert flaws(found)[0].raw == b"BGM+220+9'DTM+137:20260302:102'"
    assert len(documents(found)) == 2


def test_a_message_without_its_header_is_one_flaw() -> None:
    found = items(interchange(message(*ORDER), message(*ORDER).partition("'")[2], count=1))

    assert [each.reason for each in flaws(found)] == ["segment_outside"]
    assert flaws(found)[0].raw.endswith(b"UNT+7+1")
    assert ends(found)[0].errors == ()


def test_wrong_counts_of_a_group_are_told() -> None:
    text = "UNG+ORDERS+A+B+260302:0815+5+UN+D:96A'" + message(*ORDER)
    found = items(interchange(text + "UNE+2+5'"))

    assert [(each.reason, each.field, each.value) for each in flaws(found)] == [("wrong_count", "UNE.01", "2")]
    assert ends(found)[0].groups[0].errors == ("29 UNE.01: 2, not 1",)


def test_a_group_that_does_not_end_is_told() -> None:
    found = items(interchange("UNG+ORDERS+A+B+260302:0815+5+UN+D:96A'" + message(*ORDER)))

    assert [(each.reason, each.field) for each in flaws(found)] == [("truncated", "UNE")]
    assert ends(found)[0].groups[0].errors == ("13 UNE: the interchange ends before the group",)


@pytest.mark.parametrize("control", ["\0", "\x07", "\x1b"])
def test_a_control_character_is_refused(control: str) -> None:
    text = interchange(message(*ORDER[:2], f"FTX+AAI+++A{control}B", "UNS+S"))
    found = flaw(text)

    assert (found.reason, found.value) == ("bad_character", f"0x{ord(control):02x}")
    assert found.place.endswith(f"(byte {text.index(control)})")


def test_bytes_that_are_no_text_in_the_encoding_that_is_said_are_refused_at_their_place() -> None:
    raw = interchange(message(*ORDER[:2], "FTX+AAI+++K@LN", "UNS+S"), level="UNOW:4").encode().replace(b"@", b"\xf6")
    found = flaw(raw)

    assert (found.reason, found.value, found.expected) == ("bad_encoding", "0xf6", "text in UTF-8, as UNOW says")
    assert found.place.endswith(f"(byte {raw.index(0xF6)})")


def test_wrong_separators_of_a_later_interchange_cost_only_that_one() -> None:
    good = interchange(message(*ORDER))
    found = items(good + "UNA:*.? '" + good + interchange(message(*ORDER), control="78"))

    assert [(each.reason, each.expected) for each in flaws(found)] == [("wrong_separators", "UNB*, as UNA says")]
    assert [each.place for each in documents(found)] == [f"interchange {each}, message 1" for each in (77, 78)]


def test_rubbish_after_an_interchange_is_a_flaw() -> None:
    found = items(interchange(message(*ORDER)) + "-- end of file --")

    assert [(each.reason, each.value) for each in flaws(found)] == [("no_interchange", "-- end of file --")]


def test_a_text_that_is_too_long_is_only_noted_and_a_code_is_not() -> None:
    [document] = documents(items(interchange(message(*ORDER[:2], f"NAD+DP++{'A' * 36}", "UNS+S"))))

    assert document.notes == ("NAD.03.1 is not a text of at most 35 characters",)
