"""CONTRL: what is said of an interchange that came in, and what is understood of one about ours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from interlock.connectors.formats.document import Answer, GroupResult, Interchange, Numbers, SetResult, WriteRefused
from interlock.connectors.formats.edifact import acknowledge
from interlock.domain.links import Envelope, Party
from tests.connectors.formats.edifact_parts import ORDER, SAMPLES, documents, ends, flaws, interchange, items, message

OURS = Envelope(ours=Party(id="4000002000004", qualifier="14"), theirs=Party(id="4000001000005", qualifier="14"))
NUMBERS = Numbers(12, datetime(2026, 3, 2, 9, 30, tzinfo=UTC))


def contrl(text: str | bytes, envelope: Envelope = OURS) -> list[str]:
    """The segments of the CONTRL for an interchange, without those of its envelope."""
    [end] = ends(items(text))
    written = acknowledge(end, "contrl", envelope, NUMBERS).decode("iso8859-1")
    assert flaws(items(written.encode("iso8859-1"))) == []
    return written.removeprefix("UNA:+.? '").split("'")[2:-3]


def test_a_good_interchange_is_acknowledged_as_a_whole() -> None:
    [end] = ends(items(interchange(message(*ORDER))))

    assert acknowledge(end, "contrl", OURS, NUMBERS) == (
        b"UNA:+.? 'UNB+UNOC:3+4000002000004:14+4000001000005:14+260302:0930+12'"
        b"UNH+1+CONTRL:D:3:UN'UCI+77+4000001000005:14+4000002000004:14+7'UNT+3+1'UNZ+1+12'"
    )


def test_a_message_that_is_refused_is_named_with_segment_and_element() -> None:
    bad = message(*ORDER[:3], "QTY+21:X", "PRI+AAA:Y", "UNS+S", reference="2")

    assert contrl(interchange(message(*ORDER), bad)) == [
        "UCI+77+4000001000005:14+4000002000004:14+7",
        "UCM+2+ORDERS:D:96A:UN+4",
        "UCS+5",
        "UCD+37+2",
        "UCS+6",
        "UCD+37+2",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (message(*ORDER, count=9), ["UCM+1+ORDERS:D:96A:UN+4+29+UNT+2"]),
        (message(*ORDER).replace("UNT+7+1", "UNT+7+5"), ["UCM+1+ORDERS:D:96A:UN+4+28+UNT+3"]),
        (message("BGM+220+1"), ["UCM+1+ORDERS:D:96A:UN+4", "UCS+2+13"]),
        (message(*ORDER[:3], "ZZZ+1", "UNS+S"), ["UCM+1+ORDERS:D:96A:UN+4", "UCS+5+15"]),
    ],
)
def test_what_is_wrong_with_a_message_has_its_code(text: str, said: list[str]) -> None:
    assert contrl(interchange(text))[1:] == said


def test_a_wrong_count_of_the_interchange_is_told_in_uci() -> None:
    text = interchange(message(*ORDER), count=2)

    assert contrl(text) == ["UCI+77+4000001000005:14+4000002000004:14+7+29+UNZ+2"]


def test_a_missing_trailer_is_told_in_uci() -> None:
    text = interchange(message(*ORDER)).replace("UNZ+1+77'", "")

    assert contrl(text) == ["UCI+77+4000001000005:14+4000002000004:14+7+13+UNZ"]


def test_a_group_is_named_where_something_in_it_is_refused() -> None:
    bad = message(*ORDER[:3], "QTY+21:X", "UNS+S", reference="2")
    text = "UNG+ORDERS+A+B+260302:0815+5+UN+D:96A'" + message(*ORDER) + bad + "UNE+2+5'"

    assert contrl(interchange(text)) == [
        "UCI+77+4000001000005:14+4000002000004:14+7",
        "UCF+5+++7",
        "UCM+2+ORDERS:D:96A:UN+4",
        "UCS+5",
        "UCD+37+2",
    ]


def test_syntax_version_4_has_its_own_contrl() -> None:
    [end] = ends(items((SAMPLES / "orders-d01b.edi").read_bytes()))
    written = acknowledge(end, "contrl", OURS, NUMBERS)

    assert b"UNB+UNOW:4+4000002000004:14+4000001000005:14+20260302:0930+12'UNH+1+CONTRL:4:1:UN'UCI+1002+" in written


def test_names_outside_of_the_level_are_answered_in_a_wider_one() -> None:
    text = interchange(message(*ORDER), level="UNOA:2").replace("4000001000005", "Müller")
    [end] = ends(items(text.encode("iso8859-1")))

    assert "UCI+77+Müller:14+4000002000004:14+7'".encode("iso8859-1") in acknowledge(end, "contrl", OURS, NUMBERS)


def test_a_contrl_is_never_answered_and_is_no_document() -> None:
    found = items((SAMPLES / "contrl.edi").read_bytes())
    [end] = ends(found)

    assert documents(found) == []
    assert flaws(found) == []
    assert acknowledge(end, "contrl", OURS, NUMBERS) == b""


def test_what_a_partner_says_of_our_interchanges_is_understood() -> None:
    [end] = ends(items((SAMPLES / "contrl.edi").read_bytes()))

    assert end.answers == (
        Answer(
            scope="interchange",
            control="17",
            code="7",
            state="partly",
            sets={"2": "rejected"},
            errors=("UCM 2, segment 6, position 2: 37",),
        ),
        Answer(scope="interchange", control="18", code="4", state="rejected", errors=("UCI 18: 29 UNZ",)),
        Answer(scope="interchange", control="19", code="8", state="accepted"),
    )


def test_our_own_contrl_is_understood_by_ourselves() -> None:
    bad = message(*ORDER[:3], "QTY+21:X", "UNS+S", reference="2")
    [end] = ends(items(interchange(message(*ORDER), bad)))
    [back] = ends(items(acknowledge(end, "contrl", OURS, NUMBERS)))

    assert [(each.control, each.state, each.sets) for each in back.answers] == [("77", "partly", {"2": "rejected"})]


def test_a_contrl_that_cannot_be_read_is_a_flaw() -> None:
    found = items(interchange(message("UCM+1+ORDERS+4", kind="CONTRL", release="3")))

    assert [(each.reason, each.field) for each in flaws(found)] == [("missing_segment", "UCI")]
    assert ends(found)[0].answers == ()


def test_another_standard_is_not_acknowledged_with_contrl() -> None:
    other = Interchange(
        standard="x12", control="1", sender=("", ""), receiver=("", ""), version="00401", test=False, groups=()
    )

    with pytest.raises(WriteRefused):
        acknowledge(other, "contrl", OURS, NUMBERS)


def test_as_many_errors_as_a_message_has_are_named_in_their_order() -> None:
    result = SetResult(
        kind="ORDERS",
        control="1",
        version="D:01B:UN:EAN010",
        accepted=False,
        errors=(("UNT", 9, 1, "29", "8"), ("RFF", 7, 1, "39", ""), ("RFF", 7, 2, "13", ""), ("DTM", 3, 0, "13", "")),
    )
    group = GroupResult(code="", control="", version="", stated=1, sets=(result,))
    end = Interchange(
        standard="edifact",
        control="1",
        sender=("14", "A"),
        receiver=("14", "B"),
        version="UNOC:3",
        test=False,
        groups=(group,),
    )
    written = acknowledge(end, "contrl", OURS, NUMBERS).decode()

    assert "UCM+1+ORDERS:D:01B:UN:EAN010+4+29+UNT+2'UCS+3+13'UCS+7'UCD+39+2'UCD+13+3'UNT+8+1'" in written
