"""JSON as documents: whole texts, lists in them, large ones piece by piece, and broken ones up to the broken place."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.formats import json_documents, json_lines
from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Document,
    Flaw,
    FormatUnreadable,
    Numbers,
    WriteRefused,
)
from interlock.connectors.formats.json_split import Split, TooLarge, split
from interlock.domain.links import Format

NUMBERS = Numbers(1, None)


def read(text: bytes, item: str = "", encoding: str = "", block: int = 0) -> list[Any]:
    blocks = [text[at : at + block] for at in range(0, len(text), block)] if block else [text]
    return list(json_documents.read(blocks, Format(kind="json", item=item, encoding=encoding)))


@pytest.mark.parametrize(
    ("text", "item", "expected"),
    [
        (b'{"a": 1.10}', "", [("object", "object", {"a": Decimal("1.10")}, b'{"a": 1.10}', {})]),
        (
            b' [{"a":1}, 2 ,"x"]\n',
            "",
            [
                ("item", "item 1", {"a": 1}, b'{"a":1}', {}),
                ("item", "item 2", 2, b"2", {}),
                ("item", "item 3", "x", b'"x"', {}),
            ],
        ),
        (b"[]", "", []),
        (
            b'{"store": 5, "at": null, "x": {"y": 1}, "orders": [{"n": 1}, {"n": 2}], "z": 1}',
            "orders",
            [
                ("item", "item 1", {"n": 1}, b'{"n": 1}', {"around": {"store": 5, "at": None}}),
                ("item", "item 2", {"n": 2}, b'{"n": 2}', {"around": {"store": 5, "at": None}}),
            ],
        ),
        (
            b'{"data": {"page": 2, "orders": [{"n": 1}]}}',
            "data.orders",
            [("item", "item 1", {"n": 1}, b'{"n": 1}', {"around": {"page": 2}})],
        ),
        (b'{"order": {"n": 1}}', "order", [("object", "object", {"n": 1}, b'{"n": 1}', {})]),
        (b'{"orders": null}', "orders", []),
        (b'\xef\xbb\xbf{"a": 1}', "", [("object", "object", {"a": 1}, b'{"a": 1}', {})]),
        (
            b'{"a": 1}\n{"a": 2}',
            "",
            [("object", "object", {"a": 1}, b'{"a": 1}', {}), ("object", "object", {"a": 2}, b'{"a": 2}', {})],
        ),
    ],
)
def test_a_text_becomes_documents(text: bytes, item: str, expected: list[Any]) -> None:
    found = read(text, item)

    assert [(each.kind, each.place, each.data, each.raw, each.context) for each in found] == expected


def test_a_text_in_another_encoding_is_read_in_it() -> None:
    assert read('{"a":"é"}'.encode("cp1252"), encoding="cp1252")[0].data == {"a": "é"}
    assert read('{"a":"é"}'.encode("utf-16"))[0].data == {"a": "é"}
    with pytest.raises(FormatUnreadable) as raised:
        read(b'{"a":"\x81"}', encoding="cp1252")
    assert (raised.value.reason, raised.value.value) == ("bad_encoding", "byte 0x81")
    with pytest.raises(FormatUnreadable):
        read(b"{}", encoding="klingon")


@pytest.mark.parametrize(
    ("text", "item", "good", "place", "value", "expected"),
    [
        (b"", "", 0, "beginning", "the end of the text", "the rest of it"),
        (b"nonsense", "", 0, "beginning", "nonsense", "an object or a list"),
        (b'[{"a": 1}, {"a": 2}, {"a": ', "", 2, "after item 2", "the end of the text", "the rest of this entry"),
        (b'[{"a": 1}, {"a": 2}', "", 2, "after item 2", "the end of the text", "a ] that ends the list"),
        (b'{"x": {"l": [{"a": 1}]', "x.l", 1, "after item 1", "the end of the text", "the rest of it"),
        (b'{"a": 1} and more', "", 1, "after item 1", "and more", "the end of the text"),
        (b'{"orders": [1', "items", 0, "beginning", "the end of the text", "the rest of it"),
        (b'{"orders": [1]}', "items", 0, "file", "", "a list or an object at items; it is missing"),
    ],
)
def test_what_stands_before_a_broken_place_comes_through(
    text: bytes, item: str, good: int, place: str, value: str, expected: str
) -> None:
    *documents, flaw = read(text, item)

    assert [type(each) for each in documents] == [Document] * good
    assert (type(flaw), flaw.place, flaw.value, flaw.expected) == (Flaw, place, value, expected)


def test_an_entry_that_is_no_json_is_a_flaw_and_its_neighbours_go_on() -> None:
    first, second, third = read(b'[{"a": 1}, {"a": NaN}, {"a": 3}]')

    assert (first.data, third.data) == ({"a": 1}, {"a": 3})
    assert (second.place, second.raw) == ("item 2", b'{"a": NaN}')


def test_a_key_that_is_there_twice_is_a_flaw() -> None:
    (flaw,) = read(b'[{"a": {"b": 1, "b": 2}}]')

    assert (flaw.field, flaw.expected) == ("b", "a key that is there only once in its object")


def test_brackets_in_texts_are_no_brackets() -> None:
    first, second, flaw = read(b'[{"a": "]}\\"{["}, "]"]!', block=3)

    assert (first.data, second.data, flaw.value) == ({"a": ']}"{['}, "]", "!")


def test_a_text_of_any_size_needs_the_memory_of_an_entry() -> None:
    entry = b'{"sku": "A", "text": "' + b"x" * 1000 + b'"}'

    def blocks() -> Iterator[bytes]:
        yield b'{"orders": ['
        for place in range(40_000):
            yield (b"," if place else b"") + entry
        yield b"]}"

    tracemalloc.start()
    count = sum(
        1 for each in json_documents.read(blocks(), Format(kind="json", item="orders")) if each.data["sku"] == "A"
    )  # type: ignore[union-attr]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 40_000
    assert peak < 3 * json_documents.AT_ONCE_BYTES_MAX


def test_an_entry_that_is_too_large_is_a_flaw_and_its_neighbours_go_on() -> None:
    state = Split([], 1000)
    text = b'[{"a": 1}, {"a": [' + b"1," * 2000 + b'1]}, {"a": 2}]'

    found = list(split(state, [text[at : at + 100] for at in range(0, len(text), 100)]))

    assert found == [b'{"a": 1}', TooLarge(4010), b'{"a": 2}']
    assert (state.problem, DOCUMENT_BYTES_MAX) == ("", 16 * 1024 * 1024)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text('ab"\\[]{},: ', max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["a", "orders", "b", '"'],
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=4), VALUES, VALUES, st.integers(1, 20), st.sampled_from([None, 2]), st.data())
def test_pieces_are_the_entries_wherever_blocks_end_and_a_text_cut_off_is_noticed(
    entries: list[Any], before: Any, after: Any, block: int, indent: int | None, data: st.DataObject
) -> None:
    text = json.dumps(
        {"b": before, "a": {"b": before, "orders": entries, "c": after}, "d": after}, indent=indent
    ).encode()

    def pieces(text: bytes) -> tuple[list[Any], Split]:
        state = Split(["a", "orders"], 10_000)
        return [each for each in split(state, [text[at : at + block] for at in range(0, len(text), block)])], state

    found, state = pieces(text)
    assert ([json.loads(each) for each in found], state.problem) == (entries, "")

    cut = data.draw(st.integers(0, len(text) - 1))
    found, state = pieces(text[:cut])
    assert [json.loads(each) for each in found][: len(entries)] == entries[: len(found)]
    assert state.problem or not state.reached


def test_lines_are_documents_each() -> None:
    text = b'\xef\xbb\xbf{"a": 1.5}\r\n\n {"a": 2}\nnonsense\n{"a": 3}'

    found = list(json_lines.read([text[at : at + 4] for at in range(0, len(text), 4)], Format(kind="ndjson")))

    assert [(each.place, each.data if isinstance(each, Document) else each.raw) for each in found] == [
        ("line 1", {"a": Decimal("1.5")}),
        ("line 3", {"a": 2}),
        ("line 4", b"nonsense"),
        ("line 5", {"a": 3}),
    ]


def test_a_line_that_is_too_long_is_a_flaw_and_the_next_one_goes_on() -> None:
    long = [b'{"a": "', *[b"x" * 1024 * 1024] * 17, b'"}\n{"a": 2}']

    first, second = json_lines.read(long, Format(kind="ndjson"))

    assert isinstance(first, Flaw)
    assert (first.place, first.raw) == ("line 1", b"")
    assert isinstance(second, Document)
    assert (second.place, second.data) == ("line 2", {"a": 2})


@pytest.mark.parametrize(
    ("documents", "item", "written"),
    [
        ([{"a": Decimal("1.50")}], "", b'{"a":1.50}'),
        ([{"a": 1}, {"a": 2}], "", b'[{"a":1},{"a":2}]'),
        ([{"a": 1}], "data.orders", b'{"data":{"orders":[{"a":1}]}}'),
    ],
)
def test_documents_are_written_as_json(documents: list[Any], item: str, written: bytes) -> None:
    assert json_documents.write(documents, Format(kind="json", item=item), NUMBERS) == written


def test_documents_are_written_as_lines() -> None:
    assert json_lines.write([{"a": 1}, {"a": 2}], Format(kind="ndjson"), NUMBERS) == b'{"a":1}\n{"a":2}\n'


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(WriteRefused):
        json_documents.write([{"a": object()}], Format(kind="json"), NUMBERS)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    text = json_documents.write([{"v": value}], Format(kind="json"), NUMBERS)

    assert [each.data for each in read(text)] == [{"v": msgspec.json.decode(msgspec.json.encode(value))}]
