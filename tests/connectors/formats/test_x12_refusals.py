"""What X12 is refused for: the reason, the field and the place of each error, and that what stands beside it is read."""

from __future__ import annotations

import pytest

from interlock.connectors.formats.document import (
    Document,
    Flaw,
    FormatUnreadable,
    Interchange,
)
from tests.connectors.formats.x12_making import (
    ORDER,
    a_group,
    a_set,
    an_interchange,
    as_bytes,
    documents,
    everything,
    flaws,
    interchanges,
)

ONE = an_interchange(a_group(a_set()))


@pytest.mark.parametrize(
    ("rows", "reason", "field", "value", "expected", "segment"),
    [
        (a_set(count=12), "control_count", "SE", "12", "11, the number of segments from ST to SE (SE01)", "11 (SE)"),
        ([*a_set()[:-1], "SE*11*0002"], "control_number", "SE", "0002", "0001, as in ST02 (SE02)", "11 (SE)"),
        (a_set(body=ORDER[1:]), "syntax", "BEG", "", "in every 850: it is missing", "2 (BEG)"),
        (a_set(body=ORDER[:5]), "syntax", "PO1", "", "in every 850: it is missing", "7 (PO1)"),
        (a_set(body=["BEG*00*SA***20260301", *ORDER[5:]]), "syntax", "BEG03", "", "given: it is mandatory", "2 (BEG)"),
        (
            a_set(body=["BEG*00*SA*P**20261301", *ORDER[5:]]),
            "syntax",
            "BEG05",
            "20261301",
            "a date, CCYYMMDD",
            "2 (BEG)",
        ),
        (
            a_set(body=["BEG*00*SA*P**20260230", *ORDER[5:]]),
            "syntax",
            "BEG05",
            "20260230",
            "a date, CCYYMMDD",
            "2 (BEG)",
        ),
        (a_set(body=[ORDER[0], "PO1*1*two*EA*5**VN*A"]), "syntax", "PO102", "two", "a number", "3 (PO1)"),
        (a_set(body=[ORDER[0], "PO1*1*2*EA*5**VN*"]), "syntax", "PO107", "", "given: 06 and 07 go together", "3 (PO1)"),
        (a_set(body=[*ORDER, "N1*ST"]), "syntax", "N102", "", "given: one of 02 and 03 must be", "11 (N1)"),
    ],
)
def test_a_syntax_error_refuses_its_set_with_its_place(
    rows: list[str], reason: str, field: str, value: str, expected: str, segment: str
) -> None:
    data = as_bytes(an_interchange(a_group(a_set(control="0009"), rows, a_set(control="0008"))))

    assert [each.context["set"]["control"] for each in documents(data)] == ["0009", "0008"]
    [flaw] = flaws(data)
    assert (flaw.reason, flaw.field, flaw.value, flaw.expected) == (reason, field, value, expected)
    assert flaw.kind == "850"
    assert flaw.raw == as_bytes(rows)
    assert flaw.place.startswith(f"interchange 000000042, group 7, set 0001, segment {segment} at byte ")


def test_the_byte_that_is_told_is_where_the_segment_begins() -> None:
    data = as_bytes(an_interchange(a_group(a_set(body=[ORDER[0], "PO1*1*two*EA"]))), end="\r\n")

    [flaw] = flaws(data)

    assert data[int(flaw.place.rpartition(" ")[2]) :].startswith(b"PO1*1*two")


def test_what_is_only_strange_is_accepted_with_errors() -> None:
    rows = [ORDER[0], "N1*ST*" + "x" * 61, "N4*A*ILL", "PO1*1*2*EA*5**VN*A"]

    found = everything(as_bytes(an_interchange(a_group(a_set(body=rows)))))

    document, interchange = found
    assert isinstance(document, Document) and isinstance(interchange, Interchange)
    assert document.notes == ("N102 is not at most 60 characters", "N402 is not at most 2 characters")
    [result] = interchange.groups[0].sets
    assert result.accepted
    assert result.errors == (("N1", 3, 2, "5", "x" * 61), ("N4", 4, 2, "5", "ILL"))


def test_a_set_without_se_is_refused_and_the_next_one_read() -> None:
    rows = an_interchange(a_group(a_set()[:-1], a_set(control="0002")))

    document, flaw = documents(as_bytes(rows)), flaws(as_bytes(rows))

    assert [each.context["set"]["control"] for each in document] == ["0002"]
    assert [(each.reason, each.field, each.expected) for each in flaw] == [
        ("truncated", "SE", "SE*11*0001: it is missing")
    ]


@pytest.mark.parametrize(
    ("rows", "reason", "field", "value", "expected"),
    [
        (an_interchange(a_group(a_set(), count="2")), "control_count", "GE01", "2", "1, the number of its sets"),
        (an_interchange(a_group(a_set(), trailer="8")), "control_number", "GE02", "8", "7, as in GS06"),
        (an_interchange(a_group(a_set()), count="2"), "control_count", "IEA01", "2", "1, the number of its groups"),
        (
            an_interchange(a_group(a_set()), trailer="000000043"),
            *("control_number", "IEA02", "000000043", "000000042, as in ISA13"),
        ),
        (an_interchange(a_group(a_set())[:-1]), "truncated", "GE", "", "GE*1*7: it is missing"),
        (
            an_interchange(a_group(a_set()))[:-1],
            *("truncated", "IEA", "", "IEA*1*000000042: the interchange ends before it"),
        ),
    ],
)
def test_an_error_of_an_envelope_is_told_and_the_sets_in_it_are_taken(
    rows: list[str], reason: str, field: str, value: str, expected: str
) -> None:
    data = as_bytes(rows)

    [flaw] = flaws(data)

    assert len(documents(data)) == 1
    assert (flaw.reason, flaw.field, flaw.value, flaw.expected) == (reason, field, value, expected)
    [interchange] = interchanges(data)
    assert interchange.errors or interchange.groups[0].errors


def test_control_numbers_are_numbers_whatever_zeros_stand_before_them() -> None:
    assert flaws(as_bytes(an_interchange(a_group(a_set(), control="0007", trailer="7"), trailer="42"))) == []


def test_a_control_number_that_comes_again_is_told() -> None:
    sets = documents(as_bytes(an_interchange(a_group(a_set(), a_set()))))
    twice = interchanges(as_bytes(ONE) + as_bytes(ONE))

    assert [each.notes for each in sets] == [(), ("ST02 is not a control number that no other set of the group has",)]
    assert [each.errors for each in twice] == [(), ("025: ISA13 000000042 was there before in this file",)]


def test_a_file_cut_in_a_set_gives_those_before_it() -> None:
    data = as_bytes(an_interchange(a_group(a_set(), a_set(control="0002"))))

    found = everything(data[: data.rindex(b"PID")])

    document, cut, group, envelope, interchange = found
    assert isinstance(document, Document) and isinstance(interchange, Interchange)
    assert [each.reason for each in (cut, group, envelope) if isinstance(each, Flaw)] == ["truncated"] * 3
    assert [each.accepted for each in interchange.groups[0].sets] == [True, False]
    assert interchange.errors == ("023: IEA is missing",)


def test_an_isa_broken_by_a_line_and_out_of_place_refuses_its_interchange_alone() -> None:
    broken = [
        "ISA*00* *00* *01*054481205 *ZZ*RECEIVER\n*080403*1114*U*00400*000000001*0*P*>",
        *a_group(a_set()),
        "IEA*1*000000001",
    ]

    found = everything(as_bytes(broken, end="\n") + as_bytes(ONE))

    assert [type(each).__name__ for each in found] == ["Flaw", "Interchange", "Document", "Interchange"]
    flaw = found[0]
    assert isinstance(flaw, Flaw)
    assert (flaw.reason, flaw.field, flaw.value) == ("bad_envelope", "ISA08", "RECEIVER\n")


def test_garbage_between_envelopes_is_refused_and_the_rest_is_read() -> None:
    rows = an_interchange([*a_group(a_set())[:-1], "??garbage", "more*of*it", "GE*1*7"])

    [flaw] = flaws(as_bytes(rows))

    assert len(documents(as_bytes(rows))) == 1
    assert (flaw.reason, flaw.raw) == ("stray_segment", b"??garbage~more*of*it~")


def test_garbage_after_the_interchange_is_refused() -> None:
    *_, last = everything(as_bytes(ONE) + b"\nEND OF FILE\n")

    assert isinstance(last, Flaw)
    assert (last.reason, last.raw) == ("no_interchange", b"END OF FILE\n")


@pytest.mark.parametrize(
    "data", [b"", b" \r\n", b"order_id,sku\n1,2\n", b"UNB+UNOA:1+A+B", b"ISA", b"ISA*00*", b"\x00" * 500]
)
def test_what_is_no_x12_at_all_cannot_be_read(data: bytes) -> None:
    with pytest.raises(FormatUnreadable) as caught:
        everything(data)

    assert caught.value.reason in ("no_interchange", "bad_envelope")
