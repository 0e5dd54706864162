"""Generic XML: which elements are documents, and what is written back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.formats import xml_documents
from interlock.connectors.formats.document import Document, Numbers, WriteRefused
from interlock.domain.links import Format

NUMBERS = Numbers(1, datetime(2026, 3, 1, tzinfo=UTC))


def read(whole: bytes, item: str = "") -> list[Any]:
    return list(xml_documents.read([whole], Format(kind="xml", item=item)))


def write(*documents: Any, encoding: str = "") -> bytes:
    return xml_documents.write(list(documents), Format(kind="xml", encoding=encoding), NUMBERS)


def refused(*documents: Any) -> tuple[str, str, str]:
    with pytest.raises(WriteRefused) as caught:
        write(*documents)
    return caught.value.field, caught.value.value, caught.value.expected


def test_each_element_of_the_items_name_is_a_document() -> None:
    found = read(b"<orders><n:order xmlns:n='u'><id>1</id></n:order><order><id>2</id></order></orders>", "orders/order")
    assert [(each.kind, each.data) for each in found] == [("order", {"id": "1"}), ("order", {"id": "2"})]


def test_without_an_item_the_whole_is_one_document() -> None:
    assert read(b"<order id='7'><line>a</line></order>") == [
        Document(
            "order",
            "order 1, line 1",
            {"@id": "7", "line": "a"},
            b"<order id='7'><line>a</line></order>",
            {"root": {"name": "order", "@id": "7"}, "envelope": {}},
        )
    ]


def test_a_tree_is_written_with_its_attributes_lists_and_plain_values() -> None:
    tree = {
        "Order": {
            "@id": 7,
            "Paid": True,
            "Total": Decimal("1E+2"),
            "Line": [{"Sku": "A&B"}, {"Sku": "<C>"}],
            "Note": None,
            "Empty": "",
        }
    }
    assert write(tree) == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<Order id="7"><Paid>true</Paid><Total>100</Total>'
        b"<Line><Sku>A&amp;B</Sku></Line><Line><Sku>&lt;C&gt;</Sku></Line><Empty/></Order>\n"
    )


def test_what_an_encoding_does_not_have_is_written_as_its_number() -> None:
    assert write({"a": "Zoë €"}, encoding="iso-8859-1").splitlines()[1] == b"<a>Zo\xeb &#8364;</a>"


def test_several_documents_with_the_same_root_become_one_file() -> None:
    whole = write({"orders": {"@v": "1", "order": {"id": 1}}}, {"orders": {"@v": "1", "order": [{"id": 2}]}})
    assert whole.splitlines()[1] == b'<orders v="1"><order><id>1</id></order><order><id>2</id></order></orders>'


def test_documents_with_other_roots_are_refused() -> None:
    field, value, _ = refused({"orders": {"a": 1}}, {"order": {"a": 1}})
    assert (field, value) == ("document 2", "order")


@pytest.mark.parametrize(
    ("tree", "field", "value"),
    [
        ({"a b": "1"}, "a b", "a b"),
        ({"a": {"1st": "x"}}, "a.1st", "1st"),
        ({"a": {"@x y": "1"}}, "a.@x y", "x y"),
        ({"a": {"p:b": "1"}}, "a.p:b", "p"),
        ({"a": {"b": "\x00"}}, "a.b", "U+0000"),
        ({"a": {"b": "\ud800"}}, "a.b", "U+D800"),
        ({"a": {"b": 1.5}}, "a.b", "1.5"),
        ({"a": "1", "b": "2"}, "document 1", "{'a': '1', 'b': '2'}"),
        ([], "document 1", "[]"),
    ],
)
def test_what_xml_does_not_allow_is_refused_with_its_path(tree: Any, field: str, value: str) -> None:
    assert refused(tree)[:2] == (field, value)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20).filter(
    lambda text: not text.isspace()
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.\-]{0,8}", fullmatch=True).filter(
    lambda name: not name.lower().startswith("xml")
)
TREES = st.recursive(
    TEXTS,
    lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=4),
    max_leaves=12,
)


@given(NAMES, TREES)
def test_what_is_written_is_read_again_as_it_was(name: str, tree: Any) -> None:
    [found] = read(write({name: tree}))
    assert (found.kind, found.data) == (name, tree)
