"""SAP IDocs as XML and as flat files: the same tree of both, written strictly."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interlock.connectors.formats import idoc_flat, idoc_xml
from interlock.connectors.formats.document import Document, Flaw, FormatUnreadable, Numbers, WriteRefused
from interlock.connectors.formats.idoc_segments import CONTROL_BYTES, CONTROL_FIELDS, FIELDS, PARENTS, type_of
from interlock.domain.links import Envelope, Format, Party

CORPORA = Path(__file__).parents[3].parent / "shared" / "corpora" / "06-sap-idoc"
NUMBERS = Numbers(7, datetime(2026, 3, 1, 9, 30, tzinfo=UTC))
ENVELOPE = Envelope(ours=Party(id="INTERLOCK"), theirs=Party(id="SAPCLNT100"))
XML = Format(kind="idoc_xml", envelope=ENVELOPE)
FLAT = Format(kind="idoc_flat", envelope=ENVELOPE)
ORDER: dict[str, Any] = {
    "ORDERS05": {
        "EDI_DC40": {"MESTYP": "ORDERS", "MANDT": "100"},
        "E1EDK01": {"BELNR": "WEB-1", "CURCY": "EUR"},
        "E1EDKA1": [{"PARVW": "WE", "ORT01": "Köln"}, {"PARVW": "AG", "PARTN": "10"}],
        "E1EDP01": [
            {"POSEX": "000010", "MENGE": 2, "E1EDP19": [{"QUALF": "002", "IDTNR": "SKU-1"}]},
            {"POSEX": "000020", "MENGE": 1},
        ],
    }
}


def flat(source: bytes | Iterable[bytes], encoding: str = "") -> list[Any]:
    return list(
        idoc_flat.read([source] if isinstance(source, bytes) else source, Format(kind="idoc_flat", encoding=encoding))
    )


def without_marks(tree: Any) -> Any:
    """The tree without XML's attributes."""
    if isinstance(tree, dict):
        return {name: without_marks(value) for name, value in tree.items() if name[0] != "@"}
    return [without_marks(each) for each in tree] if isinstance(tree, list) else tree


def record(segment: str, number: int, parent: int, data: str) -> str:
    return f"{segment:<30}100{'1':0>16}{number:06d}{parent:06d}02{data}"


def control(message: str = "ORDERS") -> str:
    fields = {"TABNAM": "EDI_DC40", "DOCNUM": "0000000000000001", "IDOCTYP": "ORDERS05", "MESTYP": message}
    return "".join(f"{fields.get(name, ''):<{width}}" for name, width in CONTROL_FIELDS.items())


# Reading


def test_the_control_record_is_as_long_as_saps() -> None:
    assert sum(CONTROL_FIELDS.values()) == CONTROL_BYTES == 524
    assert set(PARENTS) | set(PARENTS.values()) <= set(FIELDS)
    assert all(sum(widths.values()) <= 1000 for widths in FIELDS.values())


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("E2EDK01005", "E1EDK01"),
        ("E2EDK01", "E1EDK01"),
        ("E2EDKA1003", "E1EDKA1"),
        ("E2EDL24", "E1EDL24"),
        ("E1EDP01", "E1EDP01"),
        ("ZE1X", "ZE1X"),
    ],
)
def test_segments_are_named_by_their_types(name: str, ours: str) -> None:
    assert type_of(name) == ours


def test_xml_and_flat_file_of_one_idoc_give_the_same_tree() -> None:
    [of_xml] = idoc_xml.read([idoc_xml.write([ORDER], XML, NUMBERS)], XML)
    [of_flat] = flat(idoc_flat.write([ORDER], FLAT, NUMBERS))
    assert isinstance(of_xml, Document)
    assert of_flat.kind == of_xml.kind == "ORDERS"
    assert without_marks(of_xml.data) == of_flat.data
    assert of_flat.data["E1EDP01"] == [
        {"POSEX": "000010", "MENGE": "2", "E1EDP19": {"QUALF": "002", "IDTNR": "SKU-1"}},
        {"POSEX": "000020", "MENGE": "1"},
    ]


def test_several_idocs_are_several_documents_with_their_own_bytes() -> None:
    whole = idoc_flat.write([ORDER, ORDER], FLAT, NUMBERS)
    first, second = flat(whole)
    assert first.raw + second.raw == whole
    assert (first.place, second.place) == ("IDoc 1, line 1", "IDoc 2, line 8")
    assert [each.data["EDI_DC40"]["DOCNUM"] for each in (first, second)] == ["0000000000070000", "0000000000070001"]


@pytest.mark.parametrize("size", [1, 100, 523, 600, 4096])
def test_records_without_line_ends_are_cut_at_their_length_in_letters(size: int) -> None:
    whole = idoc_flat.write([ORDER, ORDER], FLAT, NUMBERS).replace(b"\n", b"")
    found = flat([whole[at : at + size] for at in range(0, len(whole), size)])
    assert [each.data for each in found] == [each.data for each in flat(idoc_flat.write([ORDER, ORDER], FLAT, NUMBERS))]
    assert b"".join(each.raw for each in found) == whole


def test_short_records_and_windows_line_ends_are_read() -> None:
    lines = [control().rstrip(), record("E2EDK01005", 1, 0, "       EUR"), record("E2EDKA1", 2, 0, "WE ")]
    [found] = flat("\r\n".join(lines).encode() + b"\r\n\x1a")
    assert (found.data["E1EDK01"], found.data["E1EDKA1"]) == ({"HWAER": "EUR"}, {"PARVW": "WE"})


def test_segments_belong_where_their_number_says_or_else_our_table() -> None:
    numbered = [
        control(),
        record("E1EDP01", 1, 0, "10"),
        record("E1EDP01", 2, 0, "20"),
        record("E1EDP19", 3, 1, "002A"),
    ]
    [found] = flat("\n".join(numbered).encode())
    assert found.data["E1EDP01"][0] == {"POSEX": "10", "E1EDP19": {"QUALF": "002", "IDTNR": "A"}}
    unnumbered = [
        control(),
        record("E1EDP01", 0, 0, "10"),
        record("E1EDP01", 0, 0, "20"),
        record("E1EDP19", 0, 0, "002A"),
    ]
    [found] = flat("\n".join(unnumbered).encode())
    assert found.data["E1EDP01"][1] == {"POSEX": "20", "E1EDP19": {"QUALF": "002", "IDTNR": "A"}}


def test_segments_that_are_not_known_are_kept_whole_and_noted() -> None:
    [found] = flat("\n".join([control(), record("Z1EXTRA", 1, 0, "ABC  1")]).encode())
    assert found.data["Z1EXTRA"] == {"SDATA": "ABC  1"}
    assert found.notes == ("segment Z1EXTRA: not known by its fields",)


def test_what_a_newer_version_has_behind_the_known_fields_is_kept() -> None:
    [found] = flat("\n".join([control(), record("E1EDK14", 1, 0, f"{'006':<3}{'10':<35}NEW")]).encode())
    assert found.data["E1EDK14"] == {"QUALF": "006", "ORGID": "10", "REST": "NEW"}


def test_old_code_pages_are_read_as_western_europe() -> None:
    [found] = flat("\n".join([control(), record("E1EDKA1", 1, 0, f"{'WE':<3}{'':<34}Käse")]).encode("cp1252"))
    assert found.data["E1EDKA1"] == {"PARVW": "WE", "NAME1": "Käse"}


def test_an_old_control_record_is_read_as_far_as_it_says_the_message() -> None:
    old = f"{'EDI_DC':<10}300{'1':0>16}{'45B':<4}{'30':<2}{'ORDERS05':<8}2SAPXYZ{'':<300}20260301093000ORDERSORDERS05"
    [found] = flat("\n".join([old, record("E2EDK14", 1, 0, "00610")]).encode())
    assert (found.kind, found.data["EDI_DC40"]["IDOCTYP"]) == ("ORDERS", "ORDERS05")
    assert found.notes == ("EDI_DC: an old control record",)


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (b"", "empty"),
        (b"ISA*00*          *", "no_control_record"),
        (control().encode() + record("E1EDK14", 1, 0, "006").encode(), "truncated"),
    ],
)
def test_what_is_no_idoc_is_unreadable(whole: bytes, reason: str) -> None:
    with pytest.raises(FormatUnreadable) as caught:
        flat(whole)
    assert caught.value.reason == reason


def test_an_idoc_without_segments_is_a_flaw_and_the_next_one_is_read() -> None:
    first, second = flat("\n".join([control(), control(), record("E1EDK14", 1, 0, "00610")]).encode())
    assert isinstance(first, Flaw) and isinstance(second, Document)
    assert (first.reason, second.data["E1EDK14"]) == ("truncated", {"QUALF": "006", "ORGID": "10"})


def test_an_xml_idoc_without_a_control_record_is_a_flaw() -> None:
    [flaw] = idoc_xml.read([b"<ORDERS05><IDOC><E1EDK01/></IDOC></ORDERS05>"], XML)
    assert isinstance(flaw, Flaw)
    assert (flaw.reason, flaw.field) == ("no_control_record", "EDI_DC40")


def test_definitions_in_xml_become_types() -> None:
    delivery = b"<E2EDL20><VBELN>8</VBELN><E2EDL24006><POSNR>1</POSNR></E2EDL24006></E2EDL20>"
    whole = b"<I><IDOC><EDI_DC40><MESTYP>SHPCON</MESTYP></EDI_DC40>" + delivery + b"</IDOC></I>"
    [found] = idoc_xml.read([whole], XML)
    assert isinstance(found, Document)
    assert found.data["E1EDL20"] == {"VBELN": "8", "E1EDL24": {"POSNR": "1"}}
    assert found.notes == ("segments named by their definitions",)


# Writing


def test_a_written_file_has_records_of_their_full_length() -> None:
    lines = idoc_flat.write([ORDER], FLAT, NUMBERS).decode().split("\n")
    assert [len(each) for each in lines] == [524, 1063, 1063, 1063, 1063, 1063, 1063, 0]
    assert lines[5][:63] == f"{'E1EDP19':<30}100000000000007000000000500000402"


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert idoc_xml.write([ORDER], XML, NUMBERS) == idoc_xml.write([ORDER], XML, NUMBERS)


@pytest.mark.parametrize(
    ("segments", "field", "value"),
    [
        ({"E1EDK99": {"A": "1"}}, "ORDERS05.E1EDK99", "E1EDK99"),
        ({"E1EDK01": {"BELNRX": "1"}}, "ORDERS05.E1EDK01.BELNRX", "BELNRX"),
        ({"E1EDK01": {"CURCY": "EURO"}}, "ORDERS05.E1EDK01.CURCY", "EURO"),
        ({"E1EDP19": [{"QUALF": "002"}]}, "ORDERS05.E1EDP19", "E1EDP19"),
        ({"E1EDK01": {"BELNR": "a\nb"}}, "ORDERS05.E1EDK01.BELNR", "'a\\nb'"),
        ({}, "ORDERS05", "no segment"),
        ({"E1EDK01": {}}, "ORDERS05.E1EDK01", "nothing"),
    ],
)
def test_what_sap_would_not_take_is_refused(segments: dict[str, Any], field: str, value: str) -> None:
    for write, form in ((idoc_xml.write, XML), (idoc_flat.write, FLAT)):
        with pytest.raises(WriteRefused) as caught:
            write([{"ORDERS05": {"EDI_DC40": {"MESTYP": "ORDERS"}, **segments}}], form, NUMBERS)
        assert (caught.value.field, caught.value.value) == (field, value)


def test_a_control_record_without_message_or_partner_is_refused() -> None:
    with pytest.raises(WriteRefused) as caught:
        idoc_xml.write([{"ORDERS05": {"E1EDK01": {"BELNR": "1"}}}], XML, NUMBERS)
    assert caught.value.field == "EDI_DC40.MESTYP"
    with pytest.raises(WriteRefused) as caught:
        idoc_xml.write([ORDER], Format(kind="idoc_xml"), NUMBERS)
    assert caught.value.field == "EDI_DC40.SNDPRN"


def test_segments_of_the_customers_own_are_written() -> None:
    whole = {"ORDERS05": {"EDI_DC40": {"MESTYP": "ORDERS"}, "E1EDK01": {"BELNR": "1", "Z1EDK01": [{"ZZ": "x"}]}}}
    [found] = idoc_xml.read([idoc_xml.write([whole], XML, NUMBERS)], XML)
    assert isinstance(found, Document)
    assert without_marks(found.data)["E1EDK01"] == {"BELNR": "1", "Z1EDK01": {"ZZ": "x"}}


def test_real_examples_are_read() -> None:
    if not CORPORA.is_dir():
        pytest.skip("the corpora of real inputs are not beside this checkout")
    kinds: dict[str, int] = {}
    for path in sorted(CORPORA.glob("*.xml")):
        [found] = idoc_xml.read([path.read_bytes()], XML)
        assert isinstance(found, Document)
        kinds[found.kind] = kinds.get(found.kind, 0) + 1
    assert kinds == {"DESADV": 1, "DELVRY": 1, "INVOIC": 4, "ORDERS": 4}
