"""X12's tables: loops nest by their first segment, HL by its parent, and the tables agree with one another."""

from __future__ import annotations

import pytest

from interlock.connectors.formats.document import Document
from interlock.connectors.formats.x12_checks import check, examine
from interlock.connectors.formats.x12_segments import segments
from interlock.connectors.formats.x12_sets import BEGINNINGS, GROUPS, known_tags, loops
from tests.connectors.formats.x12_making import a_group, a_set, an_interchange, as_bytes, documents, shape

ASKED = ["850", "855", "860", "856", "940", "943", "944", "945", "846", "947", "180", "810", "997", "999"]


def read_one(kind: str, body: list[str]) -> Document:
    [document] = documents(as_bytes(an_interchange(a_group(a_set(kind, body), code=GROUPS[kind]))))
    return document


@pytest.mark.parametrize("kind", ASKED)
def test_every_set_that_is_asked_for_has_a_table_a_beginning_and_a_group(kind: str) -> None:
    table = loops(kind)

    assert table is not None
    assert BEGINNINGS[kind] in table.mandatory
    assert len(GROUPS[kind]) == 2
    assert set(table.mandatory) <= known_tags(kind)


def test_a_segment_belongs_to_the_innermost_loop_that_may_have_it() -> None:
    document = read_one(
        "850",
        [
            *("BEG*00*SA*P**20260301", "REF*DP*1", "N1*ST*A", "REF*ZZ*2", "N1*BY*B", "N9*L1*NOTES", "MSG*text"),
            *(
                "PO1*1*1*EA*1**VN*S",
                "REF*LI*3",
                "N1*SF*C",
                "N4*Paris",
                "SLN*1**I",
                "PID*F****x",
                "PO1*2*1*EA",
                "CTT*2",
                "AMT*TT*9",
            ),
        ],
    )

    assert document.notes == ()
    tree = shape(document.data)
    assert tree["REF"] == [(["DP", "1"], {})]
    assert tree["N1"] == [(["ST", "A"], {"REF": [(["ZZ", "2"], {})]}), (["BY", "B"], {})]
    assert tree["N9"] == [(["L1", "NOTES"], {"MSG": [(["text"], {})]})]
    first, second = tree["PO1"]
    assert list(first[1]) == ["REF", "N1", "SLN"]
    assert first[1]["N1"] == [(["SF", "C"], {"N4": [(["Paris"], {})]})]
    assert first[1]["SLN"] == [(["1", "", "I"], {"PID": [(["F", "", "", "", "x"], {})]})]
    assert second == (["2", "1", "EA"], {})
    assert tree["CTT"] == [(["2"], {"AMT": [(["TT", "9"], {})]})]


def test_hierarchical_levels_nest_by_the_number_of_their_parent() -> None:
    document = read_one(
        "856",
        [
            *("BSN*00*ASN*20260301*1200", "HL*1**S", "TD5*B*2*UPSN", "HL*2*1*O", "PRF*A", "HL*3*2*P", "MAN*CP*T1"),
            *(
                "HL*4*3*I",
                "SN1**1*EA",
                "HL*5*2*P",
                "MAN*CP*T2",
                "HL*6*5*I",
                "SN1**2*EA",
                "HL*7*1*O",
                "PRF*B",
                "HL*8*7*I",
                "SN1**3*EA",
            ),
        ],
    )

    def levels(node: object) -> list[object]:
        return [(each.elements[1], levels(each)) for each in (node.children or {}).get("HL", [])]  # type: ignore[attr-defined]

    assert levels(document.data) == [
        ("1", [("2", [("3", [("4", [])]), ("5", [("6", [])])]), ("7", [("8", [])])]),
    ]
    assert document.notes == ()


def test_levels_without_parents_are_placed_by_what_they_are() -> None:
    document = read_one(
        "856",
        ["BSN*00*ASN*20260301*1200", "HL*1**S", "HL*2**O", "HL*3**I", "SN1**1*EA", "HL*4**I", "SN1**2*EA", "HL*5**O"],
    )

    shipment = shape(document.data)["HL"]
    assert [(each[0], [item[0][0] for item in each[1].get("HL", [])]) for each in shipment[0][1]["HL"]] == [
        (["2", "", "O"], ["3", "4"]),
        (["5", "", "O"], []),
    ]
    assert document.notes == ("HL without a parent is placed by its level",)


def test_a_level_whose_parent_is_not_there_stands_alone() -> None:
    document = read_one("856", ["BSN*00*ASN*20260301*1200", "HL*1**S", "HL*2*9*O"])

    assert [each[0] for each in shape(document.data)["HL"]] == [["1", "", "S"], ["2", "9", "O"]]
    assert document.notes == ("HL names a parent that is not before it",)


def test_a_segment_that_belongs_elsewhere_in_the_set_is_kept_with_a_note() -> None:
    document = read_one("940", ["W05*N*A", "G69*text", "LX*1", "W01*1*EA"])

    assert document.notes == ("G69 is not expected here",)
    assert shape(document.data)["G69"] == [(["text"], {})]


@pytest.mark.parametrize(
    ("segment", "faults"),
    [
        ("N1*ST*A*92*BC", []),
        ("N1*ST", [(2, "2")]),
        ("N1*ST*A*92", [(4, "2")]),
        ("N1**A", [(1, "1")]),
        ("PO4*1**EA", [(2, "2")]),
        ("PO4****PLT94*G", [(6, "2")]),
        ("QTY*17*5**AN", [(4, "10")]),
        ("QTY*17", [(2, "2")]),
        ("TD5**2", [(3, "2")]),
        ("CTT*1.5", [(1, "6")]),
        ("CTT*-3", []),
        ("AMT*TT*-.5", []),
        ("AMT*TT*1e3", []),
        ("AMT*TT*1,5", [(2, "6")]),
        ("DTM*011*260301", []),
        ("DTM*011*20260229", [(2, "8")]),
        ("DTM*011*20280229", []),
        ("DTM*011*20260301*2460", [(3, "9")]),
        ("DTM*011**1200", []),
        ("DTM*011", [(2, "2")]),
        ("LX*1*2", [(2, "3")]),
        ("LX*1*", []),
        ("N4*A*ILL", [(2, "5")]),
        ("BSN*00*A*20260301*1200", [(2, "4")]),
        ("UIT*EA>1", []),
    ],
)
def test_elements_are_checked_by_the_rules_of_their_segment(segment: str, faults: list[tuple[int, str]]) -> None:
    elements = segment.split("*")
    quick = check(elements[0], "*", ">")
    assert quick is not None

    found = examine(quick.rule, elements, ">", "004010")[1]

    assert [(each.place, each.code) for each in found] == faults
    # The quick way may ask for a closer look, but never passes what that would find.
    assert not (faults and quick.learns(segment, elements))


def test_conditions_are_not_asked_of_versions_that_had_others() -> None:
    rule = segments()["DTM"]

    assert examine(rule, ["DTM", "002", "010808", "", "", "20"], ">", "003050")[1] == []
    assert [each.code for each in examine(rule, ["DTM", "002", "010808", "", "", "20"], ">", "004010")[1]] == ["2"]


def test_the_end_of_a_segment_that_is_missing_is_recognised() -> None:
    [fault] = examine(segments()["N1"], ["N1", "ST", "A", "92", "B\r\n N3", "12 Elm"], ">", "004010")[1][:1]

    assert (fault.place, fault.code) == (5, "5")
