"""XML as a stream: what is read, what is refused and where, and that memory stays bounded."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.formats.document import DOCUMENT_BYTES_MAX, Flaw, FormatUnreadable
from interlock.connectors.formats.xml_stream import DEPTH_MAX, Element, elements

ROOT = Path(__file__).parents[3]
GOOD = b"<r><o><a>1</a></o>"


def read(source: bytes | Iterable[bytes], item: str = "o", encoding: str = "") -> list[Element | Flaw]:
    blocks = [source] if isinstance(source, bytes) else source
    return list(elements(blocks, wanted=lambda name, _: name == item, encoding=encoding, expected=f"<{item}>"))


def data(source: bytes | Iterable[bytes], item: str = "o", encoding: str = "") -> list[object]:
    found = read(source, item, encoding)
    assert all(isinstance(each, Element) for each in found), found
    return [each.data for each in found if isinstance(each, Element)]


def flaw_behind_one(source: bytes | Iterable[bytes]) -> Flaw:
    """The flaw that follows the one good element at the beginning."""
    first, second = read(source)
    assert isinstance(first, Element) and first.data == {"a": "1"}
    assert isinstance(second, Flaw)
    return second


def refusal(source: bytes | Iterable[bytes]) -> FormatUnreadable:
    with pytest.raises(FormatUnreadable) as caught:
        read(source)
    return caught.value


# The tree


def test_children_attributes_and_text_have_their_places() -> None:
    assert data(b"<r><o n='1'>x<a>1</a><a>2</a><b c='3'>4</b><d/></o></r>") == [
        {"@n": "1", "#text": "x", "a": ["1", "2"], "b": {"@c": "3", "#text": "4"}, "d": ""}
    ]


def test_prefixes_and_namespaces_do_not_matter() -> None:
    plain = data(b"<r><o><a t='1'>2</a></o></r>")
    assert data(b"<p:r xmlns:p='urn:x'><p:o><p:a p:t='1'>2</p:a></p:o></p:r>") == plain
    assert data(b"<r xmlns='urn:y'><o xmlns:q='urn:z'><q:a t='1'>2</q:a></o></r>") == plain


def test_comments_instructions_and_cdata_do_not_break_a_text() -> None:
    assert data(b"<r><o><a>1<!-- </a> -->2<![CDATA[<&>]]>3<?pi x?></a></o></r>") == [{"a": "12<&>3"}]


def test_the_bytes_of_an_element_are_kept_as_they_came() -> None:
    written = [
        b"<o/>",
        b"<o></o>",
        b"<o a='/'></o >",
        b"<o>\r\n<b/></o>",
        b"<x:o xmlns:x='u' c=\"'>'\"><b d='>'/></x:o>",
        b"<o><o>1</o></o>",
    ]
    found = read(b"<r> " + b" \n".join(written) + b"</r>")
    assert [each.raw for each in found] == written


def test_an_element_says_its_place_and_what_stands_around_it() -> None:
    found = read(b"<r v='2'>\n<sender>ACME</sender>\n <o>1</o>\n <sent>now</sent><o>2</o></r>")
    assert [each.place for each in found] == ["o 1, line 3", "o 2, line 4"]
    assert isinstance(found[0], Element) and isinstance(found[1], Element)
    assert found[0].context == {"root": {"name": "r", "@v": "2"}, "envelope": {"sender": "ACME"}}
    assert found[1].context["envelope"] == {"sender": "ACME", "sent": "now"}


@given(st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=40))
def test_it_does_not_matter_where_blocks_end(cuts: list[int]) -> None:
    """Every cut of the same bytes gives the same elements with the same bytes."""
    whole = "<r><h>é</h><o k='v'>€<a/></o>\n<o>&amp;</o><o/></r>".encode()
    blocks: list[bytes] = []
    at = 0
    for cut in cuts:
        blocks.append(whole[at : at + cut])
        at += cut
    blocks.append(whole[at:])
    assert read(blocks) == read(whole)


# Encodings


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "windows-1252", "iso-8859-15"]
)
def test_encodings_are_found_by_mark_first_bytes_or_declaration(codec: str) -> None:
    declared = codec.removesuffix("-sig")
    whole = f'<?xml version="1.0" encoding="{declared}"?><r><o>Zoë €</o></r>'.encode(codec)
    [found] = read(whole)
    assert isinstance(found, Element)
    assert found.data == "Zoë €"
    assert found.raw in whole


def test_encodings_of_several_bytes_and_of_mainframes_are_read() -> None:
    assert data('<?xml version="1.0" encoding="Shift_JIS"?><r><o>日本</o></r>'.encode("shift_jis")) == ["日本"]
    [found] = read('<?xml version="1.0" encoding="cp037"?><r><o>abc</o></r>'.encode("cp037"))
    assert isinstance(found, Element)
    assert (found.data, found.raw.decode("cp037")) == ("abc", "<o>abc</o>")


def test_a_flaw_in_two_bytes_a_letter_keeps_whole_letters() -> None:
    text = "<r><o>" + "€" * 5_000_000 + "</o><o>3</o></r>"
    flaw, good = read(f'<?xml version="1.0" encoding="UTF-16"?>{text}'.encode("utf-16"))
    assert isinstance(flaw, Flaw) and isinstance(good, Element)
    assert (flaw.reason, good.data) == ("text_too_long", "3")
    assert set(flaw.raw.decode("utf-16-le")) == set("<o>€")


def test_a_link_may_overrule_the_declared_encoding() -> None:
    assert data("<?xml version='1.0' encoding='utf-8'?><r><o>Zoë</o></r>".encode("cp1252"), encoding="cp1252") == [
        "Zoë"
    ]


def test_utf_16_that_is_none_is_read_and_noted() -> None:
    [found] = read(b'<?xml version="1.0" encoding="utf-16"?><r><o>x</o></r>')
    assert isinstance(found, Element)
    assert (found.data, found.notes) == ("x", ("declared as utf-16, but in UTF-8",))


def test_blanks_before_the_declaration_are_tolerated_and_lines_still_count() -> None:
    [found] = read(b'\n\n <?xml version="1.0"?>\n<r><o>x</o></r>')
    assert isinstance(found, Element)
    assert (found.line, found.notes) == (4, ("blanks before the XML declaration",))


def test_a_byte_that_is_no_text_is_named_with_its_place() -> None:
    flaw = flaw_behind_one(GOOD + b"\n<o>Zo\xeb x</o></r>")
    assert (flaw.reason, flaw.field, flaw.value, flaw.expected) == (
        "bad_encoding",
        "XML at line 2, column 6",
        "0xeb20783c",
        "text in utf-8",
    )


def test_an_unknown_encoding_is_refused_by_its_name() -> None:
    refused = refusal(b'<?xml version="1.0" encoding="klingon"?><r/>')
    assert (refused.reason, refused.value) == ("bad_encoding", "klingon")


# Attacks


@pytest.mark.parametrize(
    "doctype",
    [
        b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/evil.dtd">',
        b"<!DOCTYPE r>",
    ],
)
def test_any_doctype_is_refused_at_its_place(doctype: bytes) -> None:
    refused = refusal(b'<?xml version="1.0"?>\n' + doctype + b"<r><o>&c;&x;</o></r>")
    assert refused.reason == "doctype"
    assert refused.field.startswith("DOCTYPE at line 2")


def test_an_entity_that_xml_does_not_have_ends_the_reading_there() -> None:
    flaw = flaw_behind_one(GOOD + b"<o>&eacute;</o></r>")
    assert (flaw.reason, flaw.field) == ("unknown_entity", "XML at line 1, column 22")


def test_an_element_that_is_too_deep_is_a_flaw_and_its_neighbours_go_on() -> None:
    deep = DEPTH_MAX + 1
    first, second, third = read(GOOD + b"<o>" + b"<d>" * deep + b"</d>" * deep + b"</o><o>3</o></r>")
    assert isinstance(second, Flaw) and isinstance(third, Element)
    assert (second.reason, second.place, third.data) == ("too_deep", "o 2, line 1", "3")


def test_a_hundred_thousand_open_elements_end_the_reading() -> None:
    flaw = flaw_behind_one([GOOD, b"<o>", b"<d>" * 100_000, b"</d>" * 100_000, b"</o></r>"])
    assert flaw.reason == "too_deep"
    assert refusal([b"<r>" * 100_000]).reason == "too_deep"


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ([b"<o>"] + [b"x" * 1_048_576] * 10 + [b"</o>"], "text_too_long"),
        ([b"<o>"] + [b"<i>abcdefgh</i>" * 70_000] * (DOCUMENT_BYTES_MAX // 1_050_000 + 1) + [b"</o>"], "too_large"),
        ([b"<o " + b" ".join(b'a%d="1"' % i for i in range(2000)) + b"/>"], "too_many_attributes"),
        ([b"<o>"] + [b"<i a=''/>" * 100_000] * 5 + [b"<b><c/></b></o>"], "too_many_elements"),
    ],
)
def test_an_element_that_is_too_much_is_a_flaw_and_its_neighbours_go_on(inside: list[bytes], reason: str) -> None:
    first, second, third = read([GOOD, *inside, b"<o>3</o></r>"])
    assert isinstance(second, Flaw) and isinstance(third, Element)
    assert (second.reason, third.data) == (reason, "3")
    assert 0 < len(second.raw) <= 65_536


@pytest.mark.parametrize("opening", [b"<o x='", b"<!--", b"<?pi "])
def test_a_tag_or_comment_without_end_is_refused_before_it_fills_memory(opening: bytes) -> None:
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        yield GOOD + opening
        for _ in range(1000):
            taken += 65_536
            yield b"y" * 65_536

    assert flaw_behind_one(blocks()).reason == "too_large"
    assert taken < 6 * 1024 * 1024


def test_names_without_end_are_refused() -> None:
    many = [b"".join(b"<n%dx%d/>" % (i, j) for j in range(3000)) for i in range(20)]
    assert flaw_behind_one([GOOD, *many, b"</r>"]).reason == "too_many_names"


# Broken files


@pytest.mark.parametrize(
    ("rest", "reason", "field"),
    [
        (b"<o><a>2</a>", "truncated", "XML at line 1, column 30"),
        (b"<o><a>2</a></o", "truncated", "XML at line 1, column 30"),
        (b"<o><![CDATA[x", "truncated", "XML at line 1, column 32"),
        (b"</r><r/>", "two_roots", "XML at line 1, column 23"),
        (b'</r><?xml version="1.0"?><r/>', "two_roots", "XML at line 1, column 23"),
        (b"<o><a>2</b></o></r>", "wrong_end_tag", "XML at line 1, column 28"),
        (b"<o>\0</o></r>", "bad_character", "XML at line 1, column 22"),
        (b"<o>&#0;</o></r>", "bad_character", "XML at line 1, column 22"),
        (b"<o>A & B</o></r>", "bad_character", "XML at line 1, column 25"),
        (b"<o a='1' a='2'/></r>", "double_attribute", "XML at line 1, column 28"),
        (b"<o><</o></r>", "not_well_formed", "XML at line 1, column 23"),
    ],
)
def test_what_stands_before_a_fault_was_given_and_the_fault_has_its_place(rest: bytes, reason: str, field: str) -> None:
    flaw = flaw_behind_one(GOOD + rest)
    assert (flaw.reason, flaw.field) == (reason, field)


def test_a_file_that_breaks_off_in_its_first_element_is_unreadable() -> None:
    refused = refusal(b"<r>\n<o><a>2</a>")
    assert (refused.reason, refused.value) == ("truncated", "the end inside of <o> of line 2")


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"hello", "not_well_formed"),
        (b'{"a": 1}', "not_well_formed"),
        (b"<r><z/></r>", "no_document"),
    ],
)
def test_what_is_no_such_xml_at_all_is_unreadable(whole: bytes, reason: str) -> None:
    assert refusal(whole).reason == reason


def test_an_empty_root_is_a_file_without_documents() -> None:
    assert read(b"<r/>") == []


# Memory


def test_memory_does_not_grow_with_the_file() -> None:
    """60 MB of transactions, in a process of its own: its largest memory is that of a few elements."""
    script = """
        import resource, sys
        from interlock.connectors.formats.xml_stream import elements
        one = b"<Transaction><A>" + b"<Line n='1'><Item>SKU-1</Item><Quantity>2</Quantity></Line>" * 60 + b"</A></Transaction>"
        block = one * 20
        def source():
            yield b"<POSLog>"
            for _ in range(60_000_000 // len(block)):
                yield block
            yield b"</POSLog>"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = sum(1 for _ in elements(source(), wanted=lambda name, _: name == "Transaction"))
        print(count, 60_000_000 // len(block) * 20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    count, expected, grown_kib = map(int, done.stdout.split())
    assert count == expected > 16_000
    assert grown_kib < 16 * 1024
