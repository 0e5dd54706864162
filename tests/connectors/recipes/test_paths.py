"""Paths: what each form leads to, and that the functions made of them agree with the slow way on anything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Document, Node
from interlock.connectors.recipes.following import follower
from interlock.connectors.recipes.paths import follow, read_path
from interlock.connectors.recipes.scopes import Scope, absolute, plain
from interlock.connectors.recipes.wrong import PathWrong, Unfit

ORDER = {
    "id": 7,
    "name": "  Zoë ",
    "empty": " ",
    "none": None,
    "to": {"country": "DE", "lines": ["Straße 1", "Hof"]},
    "lines": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2, "gift": True}],
    "tags": ["x", "y"],
    "total": {"#text": " 9.90 ", "@Currency": "EUR"},
    "unit.price": {"[net]": 3},
    "10": "ten",
}
SEGMENT = Node(
    ["ST", "850", "0001"],
    {
        "BEG": [Node(["BEG", "00", "SA", "PO1 ", "", "20260301"])],
        "N1": [
            Node(["N1", "BT", "Billing"], {"N4": [Node(["N4", "Rome", "", "00100", "IT"])]}),
            Node(["N1", "ST", "Shipping"], {"N4": [Node(["N4", "Berlin", "", "10115", "DE"])]}),
        ],
        "NAD": [Node(["NAD", "BY", ["4012345000009", "", "9"]])],
    },
)


def value(text: str, data: Any, **context: Any) -> Any:
    return follower(read_path(text), "text")(Scope(data, None, 0, "", Document("850", "set 1", data, b"", context)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("id", 7),
        ("name", "Zoë"),
        ("empty", None),
        ("none", None),
        ("nothing.at.all", None),
        ("id.deeper", None),
        ("to.country", "DE"),
        ("to.lines", "Straße 1"),
        ("to.lines.1", "Hof"),
        ("to.lines.9", None),
        ("lines.sku", "A"),
        ("lines.1.sku", "B"),
        ("lines[#2].sku", "B"),
        ("lines[#3].sku", None),
        ("lines[sku=B].n", 2),
        ("lines[sku=C|B].n", 2),
        ("lines[sku!=A].n", 2),
        ("lines[gift].sku", "B"),
        ("lines[gift=true].sku", "B"),
        ("lines[n=2].sku", "B"),
        ("lines[sku='B'].n", 2),
        ("lines[sku!=A][n=2].sku", "B"),
        ("tags[.=y]", "y"),
        ("to[country=DE].country", "DE"),
        ("to[country=FR].country", None),
        ("total", "9.90"),
        ("total.@Currency", "EUR"),
        ("'unit.price'.'[net]'", 3),
        ("10", "ten"),
        ("$.to.country", "DE"),
        ("@topic", "orders/create"),
        ("@kind", "850"),
        ("@place", "set 1"),
        ("@deep.er", 1),
        ("@other", None),
    ],
)
def test_a_path_into_objects_leads_there(path: str, expected: Any) -> None:
    assert value(path, ORDER, topic="orders/create", deep={"er": 1}) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("01", "850"),
        ("BEG.03", "PO1"),
        ("BEG.04", None),
        ("BEG.99", None),
        ("N1.02", "Billing"),
        ("N1[01=ST].02", "Shipping"),
        ("N1[01=ST].N4.04", "DE"),
        ("N1[N4.04=DE].02", "Shipping"),
        ("N1[#2].02", "Shipping"),
        ("N1[01=XX].02", None),
        ("N1[01!=BT].02", "Shipping"),
        ("NAD.02", "4012345000009"),
        ("NAD.02.1", "4012345000009"),
        ("NAD.02.3", "9"),
        ("NAD.02.4", None),
        ("NAD.02.0", None),
        ("NAD.01.1", "BY"),
        ("NAD.01.2", None),
        ("ZZZ.01", None),
    ],
)
def test_a_path_into_segments_leads_there(path: str, expected: Any) -> None:
    assert value(path, SEGMENT) == expected


def test_a_segment_alone_is_no_value_but_it_is_there() -> None:
    with pytest.raises(Unfit) as raised:
        value("BEG", SEGMENT)

    assert (raised.value.value, raised.value.expected) == ("BEG", "one element of the segment, such as PO1.02")
    assert follower(read_path("BEG"), "asked")(Scope(SEGMENT)) is SEGMENT.children["BEG"][0]  # type: ignore[index]


def test_scopes_are_gone_out_of() -> None:
    document = Scope(ORDER)
    line = Scope(ORDER["lines"][1], document, 2, "lines")  # type: ignore[index]
    inner = Scope("x", line, 1, "parts")

    assert follower(read_path("^.sku"), "text")(inner) == "B"
    assert follower(read_path("^.^.id"), "text")(inner) == 7
    assert follower(read_path("$.id"), "text")(inner) == 7
    assert follower(read_path("#"), "text")(inner) == 1
    assert follower(read_path("^.#"), "text")(inner) == 2
    assert follower(read_path("."), "text")(inner) == "x"
    assert follower(read_path("^.^.^.id"), "text")(inner) == 7


def test_an_address_is_a_path_of_the_document() -> None:
    line = Scope(ORDER["lines"][1], Scope(ORDER), 2, "lines")  # type: ignore[index]

    assert absolute("sku", line) == "lines[#2].sku"
    assert absolute("^.id", line) == "id"
    assert absolute("$.to.country", line) == "to.country"
    assert absolute(".@Currency", line) == "lines[#2].@Currency"
    assert absolute(".", line) == "lines[#2]"
    assert absolute("#", line) == "lines[#2]"
    assert value("lines[#2].sku", ORDER) == "B"


@pytest.mark.parametrize(
    ("path", "position", "expected"),
    [
        ("a..b", 3, "a name should stand here"),
        ("a.", 3, "a step should follow the point"),
        ("a[b", 4, "= or a closing bracket should stand here"),
        ("a[b=", 5, "a value should stand here"),
        ("a[b=1", 6, "a closing bracket should stand here"),
        ("a[b=1]c", 7, "a point or the end should stand here"),
        ("a[#0]", 4, "a place from 1 and a closing bracket should stand here"),
        ("a[b!1]", 5, "an = should follow the !"),
        ("'a.b", 1, "this quote should be closed"),
        ("*.x", 1, "a name should stand here, not '*' (put it in quotes if it belongs to a name)"),
        ("@", 2, "a name of the context should follow the @"),
        ("^a", 2, "a point should stand here"),
        ("$a", 2, "a point should stand here"),
    ],
)
def test_a_path_that_cannot_be_read_says_where(path: str, position: int, expected: str) -> None:
    with pytest.raises(PathWrong) as raised:
        read_path(path)

    assert (raised.value.position, raised.value.expected) == (position, expected)


NAMES = st.sampled_from(["a", "b", "1", "2", "02"])
LEAVES = st.sampled_from(["x", " x", "", "1", 1, None, True, Decimal("1.5")])
ELEMENTS = st.lists(
    st.one_of(st.sampled_from(["x", " 1", ""]), st.lists(st.sampled_from(["x", "1"]), max_size=3)), max_size=4
)


def trees() -> st.SearchStrategy[Any]:
    def above(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        nodes = st.builds(
            lambda elements, children: Node(
                ["T", *elements], {tag: [one for one in ones if type(one) is Node] for tag, ones in children.items()}
            ),
            ELEMENTS,
            st.dictionaries(NAMES, st.lists(inner, max_size=3), max_size=3),
        )
        return st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3), nodes)

    return st.recursive(LEAVES, above, max_leaves=20)


STEPS = st.builds(
    lambda name, brackets: name + "".join(brackets),
    NAMES,
    st.lists(
        st.sampled_from(["[a=x]", "[1=x]", "[1=x|1]", "[1!=x]", "[a]", "[#1]", "[#2]", "[.=x]", "[b.1=x]"]), max_size=2
    ),
)


@settings(max_examples=600)
@given(trees(), st.lists(STEPS, min_size=1, max_size=4))
def test_the_functions_of_a_path_give_what_following_it_step_by_step_gives(tree: Any, steps: list[str]) -> None:
    path = read_path(".".join(steps))
    raw = follow(tree, path.steps)

    assert follower(path, "raw")(Scope(tree)) is raw or follower(path, "raw")(Scope(tree)) == raw
    try:
        expected = plain(raw)
    except Unfit:
        with pytest.raises(Unfit):
            follower(path, "text")(Scope(tree))
    else:
        assert follower(path, "text")(Scope(tree)) == expected
