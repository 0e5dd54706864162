"""Reading X12: envelopes with any separators, what is tolerated with a note, and what is refused at which place."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Document,
    Flaw,
    FormatUnreadable,
    Interchange,
    Node,
)
from interlock.connectors.formats.readers import media_type, reader
from interlock.connectors.formats.x12 import read
from interlock.domain.links import Format
from tests.connectors.formats.x12_making import (
    FORM,
    ORDER,
    a_group,
    a_set,
    an_interchange,
    as_bytes,
    documents,
    everything,
    flaws,
    interchanges,
    shape,
)

ONE = an_interchange(a_group(a_set()))


def test_a_set_becomes_a_tree_with_its_envelope_as_context() -> None:
    [document] = documents(as_bytes(ONE))

    assert document.kind == "850"
    assert document.place == "interchange 000000042, group 7, set 0001"
    assert document.notes == ()
    assert document.context == {
        "interchange": {
            "sender": "SHOP",
            "sender_qualifier": "ZZ",
            "receiver": "0012345678905",
            "receiver_qualifier": "14",
            "control": "000000042",
            "date": "260302",
            "time": "0930",
            "version": "00401",
            "test": True,
        },
        "group": {"code": "PO", "control": "7", "version": "004010", "sender": "SHOP", "receiver": "US"},
        "set": {"code": "850", "control": "0001"},
    }
    assert document.data.elements == ["ST", "850", "0001"]
    assert shape(document.data) == {
        "BEG": [(["00", "SA", "PO-1", "", "20260301"], {})],
        "CUR": [(["BY", "USD"], {})],
        "N1": [
            (
                ["ST", "Jane Doe", "92", "0042"],
                {"N3": [(["12 Elm Street"], {})], "N4": [(["Springfield", "IL", "62701", "US"], {})]},
            )
        ],
        "PO1": [
            (["1", "2", "EA", "19.95", "PE", "VN", "SKU-1"], {"PID": [(["F", "", "", "", "Blue mug"], {})]}),
            (["2", "1", "EA", "5", "PE", "VN", "SKU-2"], {}),
        ],
        "CTT": [(["2"], {})],
    }


def test_raw_is_the_set_from_st_to_se_as_it_came() -> None:
    data = as_bytes(ONE, end="\r\n")

    [document] = documents(data)

    assert document.raw == data[data.index(b"ST*") : data.index(b"GE*")].rstrip()


def test_the_envelope_is_given_at_its_end() -> None:
    *_, last = everything(as_bytes(ONE))

    assert isinstance(last, Interchange)
    assert (last.standard, last.control, last.version, last.test) == ("x12", "000000042", "00401", True)
    assert (last.sender, last.receiver) == (("ZZ", "SHOP"), ("14", "0012345678905"))
    assert last.separators == "*>~"
    assert last.dated == "260302 0930"
    [group] = last.groups
    assert (group.code, group.control, group.version, group.stated) == ("PO", "7", "004010", 1)
    [result] = group.sets
    assert (result.kind, result.control, result.accepted, result.errors) == ("850", "0001", True, ())


@pytest.mark.parametrize("separators", ["*>~", "|:\n", "~>^", "\x1d\x1f\x1c", "*\\~", "+:'", "^>\r"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n    "])
def test_any_separators_and_any_ends_of_lines_say_the_same(separators: str, end: str) -> None:
    [plain] = documents(as_bytes(ONE))

    [document] = documents(as_bytes(ONE, separators=separators, end=end))

    assert shape(document.data) == shape(plain.data)
    assert document.notes == ()


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 105, 106, 107, 4096])
def test_the_size_of_the_blocks_makes_no_difference(block: int) -> None:
    data = as_bytes(an_interchange(a_group(a_set(), a_set(control="0002"))), end="\n")

    assert [(i.place, i.raw) for i in documents(data, block=block)] == [(i.place, i.raw) for i in documents(data)]


def test_the_repetition_separator_is_known_since_00402() -> None:
    [old], [new] = (
        interchanges(as_bytes(ONE)),
        interchanges(as_bytes(an_interchange(a_group(a_set()), version="00501"))),
    )

    assert (old.separators, new.separators) == ("*>~", "*>~^")


def test_a_composite_is_a_list_and_only_where_the_standard_has_one() -> None:
    rows = ["BEG*00*SA*PO>1**20260301", "PO1*1*2*EA*5**VN*A", "PO4*1", "SLN*1**I*2*PC>1>2", "XYZ*a>b"]
    [document] = documents(as_bytes(an_interchange(a_group(a_set(body=rows)))))

    children = document.data.children
    assert children["BEG"][0].elements[3] == "PO>1"
    assert children["PO1"][0].children["SLN"][0].elements[5] == ["PC", "1", "2"]


def test_several_interchanges_groups_and_sets_in_one_file() -> None:
    first = an_interchange(
        a_group(a_set(), a_set(control="0002"), control="1"),
        a_group(a_set(control="0003"), control="2"),
        control="000000001",
    )
    second = an_interchange(a_group(a_set(), control="3"), control="000000002")

    found = everything(as_bytes(first) + b"\r\n\r\n" + as_bytes(second, separators="|:'"))

    assert [type(each).__name__ for each in found] == [
        *["Document"] * 3,
        "Interchange",
        "Document",
        "Interchange",
    ]
    assert [each.place for each in found if isinstance(each, Document)] == [
        "interchange 000000001, group 1, set 0001",
        "interchange 000000001, group 1, set 0002",
        "interchange 000000001, group 2, set 0003",
        "interchange 000000002, group 3, set 0001",
    ]


# What is tolerated, with a note


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\r\n \t\n", b"\x00\x00"])
def test_a_byte_order_mark_and_blanks_before_isa_are_nothing_to_speak_of(before: bytes) -> None:
    [document] = documents(before + as_bytes(ONE))

    assert document.notes == ()


def test_something_before_isa_is_passed_over() -> None:
    [document] = documents(b"MIME-Version: 1.0\r\nContent-Type: application/EDI-X12\r\n\r\n" + as_bytes(ONE))

    assert document.notes == ("something stands before the interchange",)


def test_a_trimmed_isa_is_read_by_its_delimiters() -> None:
    head = "ISA*00* *00* *ZZ*SHOP*14*0012345678905*260302*0930*U*00401*42*0*P*>"
    rows = [head, *a_group(a_set()), "IEA*1*42"]

    [document] = documents(as_bytes(rows))

    assert document.context["interchange"]["receiver"] == "0012345678905"
    assert document.notes == (
        "ISA02 has 1 characters, not 10",
        "ISA04 has 1 characters, not 10",
        "ISA06 has 4 characters, not 15",
        "ISA08 has 13 characters, not 15",
        "ISA13 has 2 characters, not 9",
    )


def test_an_isa_without_isa16_is_read_if_its_lines_end_alike() -> None:
    rows = an_interchange(a_group(a_set()))
    data = as_bytes([rows[0].removesuffix(">").removesuffix("*") + "*", *rows[1:]], end="\n").replace(
        b"*~\nGS", b"*~\nGS", 1
    )

    [document] = documents(data)

    assert document.notes == ("ISA16 is missing",)


def test_lines_cut_at_80_characters_are_read_as_one() -> None:
    data = as_bytes(ONE)
    cut = b"\r\n".join(data[at : at + 80] for at in range(0, len(data), 80))

    [document] = documents(cut)

    assert shape(document.data) == shape(documents(data)[0].data)
    assert document.notes[0] == "lines of 80 characters are read as one"


def test_a_line_end_inside_of_an_element_is_a_blank() -> None:
    rows = ["BEG*00*SA*PO-1**20260301", "N9*L1*NOTES", "MTX**first line\nsecond line", "PO1*1*2*EA*5**VN*A"]

    [document] = documents(as_bytes(an_interchange(a_group(a_set(body=rows)))))

    assert document.data.children["N9"][0].children["MTX"][0].elements[2] == "first line second line"
    assert document.notes == ("an element is broken by the end of a line",)


def test_tags_in_small_letters_are_read() -> None:
    data = as_bytes(an_interchange(a_group(a_set(body=[ORDER[0].lower().replace("sa", "SA"), *ORDER[5:]]))))

    [document] = documents(data)

    assert document.data.children["BEG"][0].elements[3] == "po-1"
    assert document.notes == ("the tag 'beg' is read as BEG",)


def test_blanks_at_the_ends_of_codes_and_numbers_are_no_part_of_them() -> None:
    [document] = documents(
        as_bytes(an_interchange(a_group(a_set(body=["BEG*00*SA *PO-1 ** 20260301", "PO1*1* 2*EA*5**VN*A "]))))
    )

    assert document.data.children["BEG"][0].elements == ["BEG", "00", "SA", "PO-1", "", "20260301"]
    assert document.data.children["PO1"][0].elements == ["PO1", "1", "2", "EA", "5", "", "VN", "A"]


def test_a_segment_that_nobody_knows_is_kept_and_noted() -> None:
    [document] = documents(as_bytes(an_interchange(a_group(a_set(body=[*ORDER, "ZZZ*1*2"])))))

    assert document.notes == ("ZZZ is not a segment of 850",)
    assert document.data.children["CTT"][0].children["ZZZ"][0].elements == ["ZZZ", "1", "2"]


def test_other_versions_are_read_with_a_note_and_those_before_003010_are_refused() -> None:
    [document] = documents(as_bytes(an_interchange(a_group(a_set(), version="003060"))))
    [flaw] = flaws(as_bytes(an_interchange(a_group(a_set(), version="002040"))))

    assert document.notes == ("version 003060 is read as 004010",)
    assert (flaw.reason, flaw.value, flaw.expected) == ("version", "002040", "version 003010 or later")


def test_a_set_in_a_group_of_another_kind_is_read_with_a_note() -> None:
    [document] = documents(as_bytes(an_interchange(a_group(a_set(), code="SC"))))

    assert document.notes == ("850 is in a group SC, not PO",)


@pytest.mark.parametrize(
    ("text", "kind", "notes"),
    [
        ("ST*850*0001~" + "~".join(ORDER) + "~SE*11*0001~", "850", ("no ISA: separators * and '~' were guessed",)),
        ("ST|850|0001\n" + "\n".join(ORDER).replace("*", "|") + "\nSE|11|0001\n", "850", None),
        ("GS*PO*A*B*20260301*0930*1*X*004010~" + "~".join(a_set()) + "~GE*1*1~", "850", None),
    ],
)
def test_a_fragment_without_isa_is_read(text: str, kind: str, notes: tuple[str, ...] | None) -> None:
    [document] = documents(text.encode())

    assert document.kind == kind
    assert document.data.children["BEG"][0].elements[3] == "PO-1"
    assert notes is None or document.notes == notes


def test_a_set_without_a_table_is_read_flat() -> None:
    rows = ["BPR*C*100*C*ACH", "TRN*1*77", "N1*PR*A", "N3*B", "ENT*1"]

    [document] = documents(as_bytes(an_interchange(a_group(a_set("820", rows), code="RA"))))

    assert list(document.data.children) == ["BPR", "TRN", "N1", "N3", "ENT"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_text_is_iso_8859_1_unless_it_is_utf_8(encoding: str) -> None:
    rows = ["BEG*00*SA*PO-1**20260301", "N1*ST*Café Zoë", "PO1*1*2*EA*5**VN*A"]

    [document] = documents(as_bytes(an_interchange(a_group(a_set(body=rows))), encoding=encoding))

    assert document.data.children["N1"][0].elements[2] == "Café Zoë"


def test_a_separator_may_be_a_sign_of_two_bytes() -> None:
    [document] = documents(as_bytes(ONE, separators="*¦~", encoding="utf-8"))

    assert document.notes == ()
    assert document.data.children["BEG"][0].elements[3] == "PO-1"


@pytest.mark.parametrize("encoding", ["cp037", "utf-16"])
def test_ebcdic_and_utf_16_are_recognised(encoding: str) -> None:
    data = as_bytes(ONE).decode("latin-1").encode(encoding)

    [document] = documents(data, block=100)

    assert document.data.children["BEG"][0].elements[3] == "PO-1"
    assert document.notes == (f"read as {encoding}",)


def test_bytes_that_are_no_text_in_the_stated_encoding_end_the_file() -> None:
    with pytest.raises(FormatUnreadable) as caught:
        everything(b"\x00\xd8" * 50, form=Format(kind="x12", encoding="utf-16-le"))

    assert caught.value.reason == "encoding"


# Bounds


def test_a_set_that_is_too_large_is_passed_over_without_being_kept() -> None:
    def blocks() -> Iterator[bytes]:
        yield as_bytes([*ONE[:2], "ST*850*0001", ORDER[0]])
        for _ in range(2 * DOCUMENT_BYTES_MAX // 1_000_000):
            yield b"MSG*" + b"x" * 999_995 + b"~"
        yield as_bytes(["SE*2*0001", *a_set(control="0002"), "GE*2*7", "IEA*1*000000042"])

    tracemalloc.start()
    found = list(read(blocks(), FORM))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    flaw, document = found[0], found[1]
    assert isinstance(flaw, Flaw) and isinstance(document, Document)
    assert (flaw.reason, flaw.raw) == ("too_large", b"")
    assert document.context["set"]["control"] == "0002"
    assert peak < 6 * DOCUMENT_BYTES_MAX


def test_memory_does_not_grow_with_the_file() -> None:
    def blocks(sets: int) -> Iterator[bytes]:
        yield as_bytes(ONE[:2])
        for at in range(sets):
            yield as_bytes(a_set(control=f"{at:09}"))
        yield as_bytes([f"GE*{sets}*7", "IEA*1*000000042"])

    def peak(sets: int) -> int:
        tracemalloc.start()
        assert sum(isinstance(each, Document) for each in read(blocks(sets), FORM)) == sets
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # A result and a control number are kept of each set, for the acknowledgment: nothing of what it says.
    assert peak(20_000) - peak(2_000) < 18_000 * 700


def test_x12_is_in_the_table_of_formats() -> None:
    assert reader("x12") is read
    assert media_type("x12") == "application/edi-x12"


def test_a_node_without_children_has_none() -> None:
    [document] = documents(as_bytes(ONE))

    assert isinstance(document.data, Node)
    assert document.data.children["BEG"][0].children is None
