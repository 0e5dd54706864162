"""Reading EDIFACT: what a message becomes, and the dialects in which partners write it."""

from __future__ import annotations

import pytest

from interlock.connectors.formats.document import FormatUnreadable, GroupResult, Interchange, Node, SetResult
from interlock.connectors.formats.edifact import MEDIA_TYPE
from interlock.connectors.formats.readers import media_type, reader, writer
from interlock.domain.links import Format
from tests.connectors.formats.edifact_parts import (
    ORDER,
    SAMPLES,
    documents,
    ends,
    flaw,
    flaws,
    interchange,
    items,
    message,
    only,
)


def tags(node: Node) -> dict[str, int]:
    return {tag: len(nodes) for tag, nodes in (node.children or {}).items()}


def at(node: Node, *tags_and_places: str | int) -> Node:
    for step in tags_and_places:
        if isinstance(step, str):
            nodes = (node.children or {})[step]
            node = nodes[0]
        else:
            node = nodes[step]
    return node


def test_a_message_is_a_tree_below_unh() -> None:
    tree = only(interchange(message(*ORDER))).data

    assert tree.elements == ["UNH", "1", ["ORDERS", "D", "96A", "UN"]]
    assert tags(tree) == {"BGM": 1, "DTM": 1, "LIN": 1, "UNS": 1}
    assert at(tree, "BGM").elements == ["BGM", "220", "4711", "9"]
    assert at(tree, "LIN").elements == ["LIN", "1", "", ["4000862141404", "EN"]]
    assert at(tree, "LIN", "QTY").elements == ["QTY", ["21", "3", "PCE"]]
    assert at(tree, "LIN", "QTY").children is None


def test_raw_is_the_message_verbatim_and_the_context_tells_of_its_envelope() -> None:
    text = interchange(message(*ORDER), una="UNA:+.? '")
    document = only(text)

    assert document.kind == "ORDERS"
    assert document.place == "interchange 77, message 1"
    assert document.notes == ()
    assert document.raw == message(*ORDER).encode()
    assert document.context == {
        "interchange": {
            "sender": "4000001000005",
            "receiver": "4000002000004",
            "sender_qualifier": "14",
            "receiver_qualifier": "14",
            "control": "77",
            "date": "260302",
            "time": "0815",
            "syntax": "UNOC:3",
            "test": False,
        },
        "message": {
            "type": "ORDERS",
            "version": "D",
            "release": "96A",
            "agency": "UN",
            "association": "",
            "control": "1",
        },
    }


def test_the_end_of_an_interchange_says_what_was_in_it() -> None:
    found = items(interchange(message(*ORDER), message(*ORDER, kind="ORDCHG", reference="2")))
    result = SetResult(kind="ORDERS", control="1", version="D:96A:UN", accepted=True)

    assert ends(found) == [
        Interchange(
            standard="edifact",
            control="77",
            sender=("14", "4000001000005"),
            receiver=("14", "4000002000004"),
            version="UNOC:3",
            test=False,
            groups=(
                GroupResult(
                    code="",
                    control="",
                    version="D:96A:UN",
                    stated=2,
                    sets=(result, SetResult(kind="ORDCHG", control="2", version="D:96A:UN", accepted=True)),
                ),
            ),
            separators=":+.? '",
            dated="260302 0815",
        )
    ]


def test_segments_belong_to_the_innermost_group_that_knows_them() -> None:
    tree = documents(items((SAMPLES / "desadv.edi").read_bytes()))[0].data

    assert [tags(each) for each in tree.children["CPS"]] == [{"PAC": 1}, {"PAC": 1, "LIN": 1}, {"PAC": 1, "LIN": 3}]
    assert at(tree, "CPS", 2, "PAC", "PCI", "GIN").elements == ["GIN", "BJ", "340123450000000025"]
    assert at(tree, "CPS", 2, "LIN", 1, "RFF").elements == ["RFF", ["LI", "2"]]
    assert at(tree, "CNT").elements == ["CNT", ["2", "4"]]


def test_a_reference_of_a_party_is_not_one_of_the_order() -> None:
    tree = only(
        interchange(
            message(
                "BGM+220+1+9",
                "DTM+137:20260302:102",
                "RFF+CT:1",
                "DTM+171:20260101:102",
                "NAD+BY+1::9",
                "RFF+VA:2",
                "LIN+1",
                "RFF+ON:3",
                "PRI+AAA:1",
                "CUX+2:EUR",
                "LIN+2",
                "UNS+S",
            )
        )
    ).data

    assert tags(tree) == {"BGM": 1, "DTM": 1, "RFF": 1, "NAD": 1, "LIN": 2, "UNS": 1}
    assert at(tree, "RFF", "DTM").elements == ["DTM", ["171", "20260101", "102"]]
    assert at(tree, "NAD", "RFF").elements == ["RFF", ["VA", "2"]]
    assert tags(at(tree, "LIN")) == {"RFF": 1, "PRI": 1}
    assert at(tree, "LIN", "PRI", "CUX").elements == ["CUX", ["2", "EUR"]]


def test_a_message_without_a_table_is_read_flat() -> None:
    tree = only(interchange(message("BGM+340+1+9", "DTM+137:20260302:102", "NAD+CZ+1", "RFF+CN:1", kind="IFTSTA"))).data

    assert tags(tree) == {"BGM": 1, "DTM": 1, "NAD": 1, "RFF": 1}


@pytest.mark.parametrize("una", ["UNA:+.? '", "UNA|*.# ~", "UNA;/,\\ $", "UNA:+.  '", "UNA\x1f\x1d.? \x1c"])
def test_any_separators_that_una_names(una: str) -> None:
    text = interchange(message(*ORDER))
    text = text.translate(str.maketrans(":+'", una[3] + una[4] + una[8]))

    document = only(una + text)

    assert document.notes == ()
    assert at(document.data, "LIN").elements == ["LIN", "1", "", ["4000862141404", "EN"]]


def test_a_released_separator_is_text_and_a_doubled_release_character_is_one() -> None:
    tree = only(interchange(message(*ORDER[:2], "FTX+AAI+++5?+5?: it?'s 10??:B", "NAD+BY+++A ??", "UNS+S"))).data

    assert at(tree, "FTX").elements == ["FTX", "AAI", "", "", ["5+5: it's 10?", "B"]]
    assert at(tree, "NAD").elements == ["NAD", "BY", "", "", "A ?"]


def test_a_release_character_before_an_ordinary_one_is_kept_and_noted() -> None:
    document = only(interchange(message(*ORDER[:2], "FTX+AAI+++WHY? NOT", "UNS+S")))

    assert at(document.data, "FTX").elements == ["FTX", "AAI", "", "", "WHY? NOT"]
    assert document.notes == ("a release character before ' ', which needs none",)


@pytest.mark.parametrize("end", ["'\n", "'\r\n", "'  \n", "'\n\t  ", "' ", "'\n\n"])
def test_line_ends_and_blanks_after_segments_mean_nothing(end: str) -> None:
    text = interchange(message(*ORDER), una="UNA:+.? '").replace("'", end)
    if "\n" not in end:
        text = "UNA:+.? '" + text[len("UNA:+.? ' ") :]
    document = only(text)

    assert document.notes == ()
    assert tags(document.data) == {"BGM": 1, "DTM": 1, "LIN": 1, "UNS": 1}
    assert at(document.data, "BGM").elements == ["BGM", "220", "4711", "9"]


def test_lines_wrapped_anywhere_are_joined() -> None:
    text = interchange(message(*ORDER))
    wrapped = "\n".join(text[at : at + 50] for at in range(0, len(text), 50))
    document = only(wrapped)

    assert document.notes == ("line ends inside of segments were left out",)
    assert at(document.data, "LIN", "QTY").elements == ["QTY", ["21", "3", "PCE"]]


@pytest.mark.parametrize("una", ["", "UNA:+.? \n", "UNA:+.? \r\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_end_may_end_segments(una: str, end: str) -> None:
    document = only(una + interchange(message(*ORDER)).replace("'", end))

    assert tags(document.data) == {"BGM": 1, "DTM": 1, "LIN": 1, "UNS": 1}
    assert at(document.data, "UNS").elements == ["UNS", "S"]
    noted = () if una else ("separators without UNA: : + and a line end at the end of a segment",)
    assert document.notes == noted


@pytest.mark.parametrize(
    ("marks", "noted"),
    [
        ("|^~", ("separators without UNA: | ^ and ~ at the end of a segment",)),
        (":+#", ("separators without UNA: : + and # at the end of a segment",)),
        ("\x1f\x1d\x1c", ()),
    ],
)
def test_separators_without_una_are_seen_in_the_header(marks: str, noted: tuple[str, ...]) -> None:
    text = interchange(message(*ORDER), level="UNOB:3").translate(str.maketrans(":+'", marks))
    document = only(text)

    assert document.notes == noted
    assert at(document.data, "LIN").elements == ["LIN", "1", "", ["4000862141404", "EN"]]


def test_repetitions_are_segments_of_their_own_in_syntax_version_4() -> None:
    text = message(*ORDER[:3], "PIA+5+SKU-1:IN*V-100:SA", "QTY+21:4", "UNS+S")
    tree = only(interchange(text, level="UNOC:4")).data

    assert [each.elements for each in tree.children["LIN"][0].children["PIA"]] == [
        ["PIA", "5", ["SKU-1", "IN"]],
        ["PIA", "5", ["V-100", "SA"]],
    ]


@pytest.mark.parametrize("una", ["", "UNA:+.?*'"])
def test_before_version_4_a_star_is_text(una: str) -> None:
    tree = only(interchange(message(*ORDER[:2], "FTX+AAI+++A*B", "UNS+S"), level="UNOC:2", una=una)).data

    assert at(tree, "FTX").elements == ["FTX", "AAI", "", "", "A*B"]


@pytest.mark.parametrize(
    ("una", "value", "read_as", "noted"),
    [
        ("UNA:+,? '", "2,5", "2.5", ()),
        ("UNA:+,? '", "2.5", "2.5", ()),
        ("UNA:+.? '", "2,5", "2.5", ("QTY.01.2 is not a number with a point as its decimal mark",)),
        ("UNA:+.? '", "-2.5", "-2.5", ()),
        ("UNA:+.? '", "  2.5", "  2.5", ("QTY.01.2 is not a number without blanks around it",)),
        ("UNA:+.? '", ".5", ".5", ("QTY.01.2 is not a number with digits before and after its decimal mark",)),
    ],
)
def test_numbers_have_a_point_whatever_their_decimal_mark_was(
    una: str, value: str, read_as: str, noted: tuple[str, ...]
) -> None:
    document = only(interchange(message(*ORDER[:3], f"QTY+21:{value}", "UNS+S"), una=una))

    assert at(document.data, "LIN", "QTY").elements == ["QTY", ["21", read_as]]
    assert document.notes == noted


@pytest.mark.parametrize(
    ("level", "codec", "noted"),
    [
        ("UNOC:3", "iso8859-1", ()),
        ("UNOD:3", "iso8859-2", ()),
        ("UNOE:3", "iso8859-5", ()),
        ("UNOF:3", "iso8859-7", ()),
        ("UNOW:4", "utf-8", ()),
        ("UNOY:4", "utf-8", ()),
        ("UNOC:3", "utf-8", ("letters outside of UNOC, read as UTF-8",)),
        ("UNOA:3", "iso8859-1", ("letters outside of UNOA, read as ISO 8859-1",)),
        ("XXXA:3", "utf-8", ("letters outside of XXXA, read as UTF-8",)),
    ],
)
def test_the_level_says_the_encoding(level: str, codec: str, noted: tuple[str, ...]) -> None:
    word = {"iso8859-2": "Łódź", "iso8859-5": "Київ", "iso8859-7": "Αθήνα"}.get(codec, "Köln")
    text = interchange(message(*ORDER[:2], f"FTX+AAI+++{word}", "UNS+S"), level=level)
    document = only(text.encode(codec))

    assert at(document.data, "FTX").elements[4] == word
    assert document.notes == noted


def test_the_estate_may_say_the_encoding() -> None:
    text = interchange(message(*ORDER[:2], "FTX+AAI+++10 €", "UNS+S"), level="UNOA:3")
    document = only(text.encode("cp1252"), Format(kind="edifact", encoding="cp1252"))

    assert at(document.data, "FTX").elements[4] == "10 €"
    assert document.notes == ()


@pytest.mark.parametrize("codec", ["cp037", "utf-16", "cp500"])
def test_an_encoding_of_another_kind_is_read_as_utf_8(codec: str) -> None:
    text = interchange(message(*ORDER[:2], "FTX+AAI+++Köln", "UNS+S"))
    document = only(text.encode(codec), Format(kind="edifact", encoding=codec))

    assert at(document.data, "FTX").elements[4] == "Köln"
    assert document.notes == ()


@pytest.mark.parametrize("encoding", ["UNOC", "unoc:3"])
def test_the_encoding_may_be_a_level(encoding: str) -> None:
    text = interchange(message(*ORDER[:2], "FTX+AAI+++Köln", "UNS+S"), level="UNOA:3")

    assert at(only(text, Format(kind="edifact", encoding=encoding)).data, "FTX").elements[4] == "Köln"


@pytest.mark.parametrize("encoding", ["klingon", "base64"])
def test_an_encoding_that_there_is_not_is_refused(encoding: str) -> None:
    with pytest.raises(FormatUnreadable) as refused:
        items(interchange(message(*ORDER)), Format(kind="edifact", encoding=encoding))

    assert (refused.value.reason, refused.value.value) == ("bad_encoding", encoding)


def test_of_accepted_messages_no_more_than_so_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.connectors.formats.edifact_envelopes.RESULTS_KEPT_MAX", 3)
    bad = message(*ORDER[:3], "QTY+21:X", "UNS+S", reference="9")
    found = items(interchange(*[message(*ORDER, reference=str(number)) for number in range(1, 9)], bad))

    assert len(documents(found)) == 8
    assert [each.control for each in ends(found)[0].groups[0].sets] == ["1", "2", "3", "9"]
    assert ends(found)[0].groups[0].stated == 9


def test_small_letters_in_level_a_are_noted() -> None:
    document = only(interchange(message(*ORDER[:2], "FTX+AAI+++please", "UNS+S"), level="UNOA:2"))

    assert document.notes == ("the character 'p' is outside of UNOA",)


def test_several_interchanges_in_a_file_each_with_its_own_separators() -> None:
    other = interchange(message(*ORDER), control="78").translate(str.maketrans(":+'", "|*~"))
    found = items(
        interchange(message(*ORDER)) + "\r\n" + "UNA|*.? ~" + other + interchange(message(*ORDER), control="79")
    )

    assert flaws(found) == []
    assert [each.place for each in documents(found)] == [f"interchange {each}, message 1" for each in (77, 78, 79)]
    assert [each.separators for each in ends(found)] == [":+.? '", "|*.? ~", ":+.? '"]


def test_groups_have_their_own_results_and_are_told_to_their_messages() -> None:
    found = items((SAMPLES / "orders-groups.edi").read_bytes())

    assert flaws(found) == []
    assert [each.place for each in documents(found)] == [
        "interchange 4001, group 1, message 11",
        "interchange 4001, group 1, message 12",
        "interchange 4001, group 2, message 21",
    ]
    assert documents(found)[2].context["group"] == {
        "code": "ORDERS",
        "sender": "S-APP",
        "receiver": "R-APP",
        "date": "260302",
        "time": "0815",
        "control": "2",
        "version": "D:96A",
    }
    [end] = ends(found)
    assert [(each.code, each.control, each.version, each.stated, len(each.sets)) for each in end.groups] == [
        ("ORDERS", "1", "D:96A", 2, 2),
        ("ORDERS", "2", "D:96A", 1, 1),
    ]
    assert end.errors == ()


def test_the_test_indicator_is_read() -> None:
    text = interchange(message(*ORDER)).replace("+77'UNH", "+77++++++1'UNH")

    assert only(text).context["interchange"]["test"] is True
    assert ends(items(text))[0].test is True


def test_a_message_without_an_interchange_is_read_and_not_answered() -> None:
    found = items("UNA:+.? '\n" + message(*ORDER) + message(*ORDER, reference="2"))

    assert [each.place for each in documents(found)] == ["message 1", "message 2"]
    assert documents(found)[0].notes == ("no interchange around the message: UNB is missing",)
    assert len(found) == 2


@pytest.mark.parametrize("before", ["\ufeff", "\r\n \0", "From: edi@example.com\r\n\r\n", "\x1a"])
def test_what_stands_before_an_interchange_is_left_out(before: str) -> None:
    document = only(before.encode() + interchange(message(*ORDER)).encode())

    noted = {"\ufeff": ("a byte order mark at the beginning",), "F": ("something before the interchange was left out",)}
    assert document.notes == noted.get(before[0], ())


def test_what_old_systems_fill_files_with_is_no_flaw() -> None:
    assert len(items(interchange(message(*ORDER)) + "\r\n\x1a\0\0\0")) == 2


def test_unb_twice_in_a_row_is_one_header() -> None:
    text = "UNB+++++4'" + interchange(message(*ORDER)).replace("+77'", "'", 1).replace("UNZ+1+77", "UNZ+1+4")
    document = only(text)

    assert document.notes == ("UNB comes twice",)
    assert document.context["interchange"]["control"] == "4"
    assert document.context["interchange"]["sender"] == "4000001000005"


def test_trailing_separators_are_noted() -> None:
    assert only(interchange(message(*ORDER[:2], "RFF+ON:1:", "UNS+S"))).notes == ("separators at the end of a segment",)


def test_a_last_segment_without_its_terminator_is_taken() -> None:
    assert len(items(interchange(message(*ORDER))[:-1])) == 2


def test_the_same_reference_twice_is_noted() -> None:
    found = items(interchange(message(*ORDER), message(*ORDER)))

    assert [each.notes for each in documents(found)] == [
        (),
        ("another message of the interchange has this reference too",),
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_blocks_of_any_size_give_the_same(size: int) -> None:
    for sample in sorted(SAMPLES.glob("*.edi")):
        whole, parts = items(sample.read_bytes()), items(sample.read_bytes(), block=size)

        assert repr(parts) == repr(whole), sample.name


@pytest.mark.parametrize(
    ("text", "reason", "expected"),
    [
        ("", "empty", "an interchange, which begins with UNA or UNB"),
        (
            "STX=ANA:1+5000000000000:SHOP+5010000000000:VENDOR+260302:081500+7+PASSW+ORDHDR+B'MHD=1+ORDHDR:9'",
            "tradacoms",
            "EDIFACT, which begins with UNA or UNB: this is TRADACOMS, whose segments are written TAG=...",
        ),
        ("ISA*00*", "no_interchange", "UNA or UNB, with which an interchange begins: this looks like X12"),
        ("<Order/>", "no_interchange", "UNA or UNB, with which an interchange begins: this looks like XML"),
        ("sku;count\r\nA;1\r\n", "no_interchange", "UNA or UNB, with which an interchange begins"),
        ("UNA:*.? 'UNB+UNOC:3+A+B+260302:0815+1'", "wrong_separators", "UNB*, as UNA says"),
        ("UNA::.? 'UNB+UNOC:3+A+B+260302:0815+1'", "wrong_separators", "separators that differ from one another"),
        ("UNB+UNOC:3+A+B+260302:0815+1", "truncated", 'a segment that ends with "\'"'),
    ],
)
def test_what_is_no_interchange_is_refused_as_a_whole(text: str, reason: str, expected: str) -> None:
    with pytest.raises(FormatUnreadable) as refused:
        items(text)

    assert (refused.value.reason, refused.value.expected) == (reason, expected)


def test_a_message_that_is_too_large_is_skipped_and_the_next_one_read() -> None:
    large = message(*ORDER[:2], *["FTX+AAI+++" + "X" * 400] * 45_000, "UNS+S")
    found = items(interchange(large, message(*ORDER, reference="2")), block=1 << 18)

    assert [(each.reason, each.expected) for each in flaws(found)] == [("too_large", "a message of at most 16 MiB")]
    assert len(flaws(found)[0].raw) == 64 * 1024
    assert [each.place for each in documents(found)] == ["interchange 77, message 2"]
    assert [each.accepted for each in ends(found)[0].groups[0].sets] == [False, True]


def test_a_segment_of_another_message_is_noted_and_stays_with_its_neighbour() -> None:
    document = only(interchange(message(*ORDER[:4], "TMD+3", "UNS+S")))

    assert document.notes == ("TMD is no segment of ORDERS",)
    assert at(document.data, "LIN", "TMD").elements == ["TMD", "3"]


def test_the_format_is_known_to_the_house() -> None:
    assert media_type("edifact") == MEDIA_TYPE == "application/EDIFACT"
    assert reader("edifact") is not None
    assert writer("edifact") is not None


def test_uns_is_missed_but_not_insisted_on() -> None:
    assert only(interchange(message(*ORDER[:4]))).notes == ("UNS is missing",)


def test_a_flaw_has_the_message_verbatim() -> None:
    assert flaw(interchange(message("BGM+220+1"))).raw == message("BGM+220+1").encode()
