"""The statements that a rule's fields are written out as, and the values that they stand for, do the same."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Document, Node
from interlock.connectors.mapping import MappingFailed
from interlock.connectors.recipes import compile_recipe, settings_of
from interlock.connectors.recipes.scopes import Scope
from interlock.connectors.recipes.unrolled import entries_that_hold, rules_that_hold, unrolled
from interlock.connectors.recipes.wrong import Unfit
from interlock.contracts.mapping_files import ready_made, ready_mapping
from interlock.domain.decision import FieldError
from tests.connectors.recipes.kit import BERLIN, document

INBOUND = [name for name in ready_made() if "records" in ready_mapping(name)]
LEAVES = st.sampled_from(
    ["x", " A ", "", "1", "0", "-2", "2026-03-01T10:00:00Z", "20260301", "USD", "EA", 1, 7, None, True, Decimal("1.5")]
)


def compiled(name: str) -> Any:
    raw = ready_mapping(name)
    given_settings = {setting: "x" for setting, value in settings_of(raw).items() if value is None}
    return compile_recipe(name, raw, system=BERLIN, form=None, settings=given_settings)


def words_of(value: Any) -> set[str]:
    """Every word that stands in a mapping: its paths are made of them, and so are the documents that it finds something in."""
    if isinstance(value, dict):
        return set().union(*(words_of(each) for each in (*value, *value.values())))
    if isinstance(value, list):
        return set().union(*map(words_of, value))
    return set(re.findall(r"[@\w]+", value)) if isinstance(value, str) else set()


RECIPES = {name: compiled(name) for name in INBOUND}
BOTH = (False, True)
"""Written for any items, and for segments."""
RULES = [(name, rule) for name, made in RECIPES.items() for rule in made._rules]
MAKERS = {(name, rule.place): [unrolled(rule.fields, segments=segments) for segments in BOTH] for name, rule in RULES}
ENTRIES = {
    (name, rule.place): [entries_that_hold(rule.entries.paths, rule.where, segments=segments) for segments in BOTH]
    for name, rule in RULES
    if rule.entries is not None
}
HOLDING = {
    (name, first): [
        rules_that_hold([(rule.place, rule.holds) for rule in made._rules], first=first, segments=segments)
        for segments in BOTH
    ]
    for name, made in RECIPES.items()
    for first in (False, True)
}
WORDS = {name: st.sampled_from(sorted(words_of(ready_mapping(name)["records"]))) for name in INBOUND}


def trees(name: str) -> st.SearchStrategy[Any]:
    words = WORDS[name]
    leaves = st.one_of(LEAVES, words)

    def above(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        nodes = st.builds(
            lambda elements, children: Node(
                ["T", *elements],
                {tag: [each for each in found if type(each) is Node] for tag, found in children.items()},
            ),
            st.lists(st.one_of(words, st.lists(words, max_size=2)), max_size=5),
            st.dictionaries(words, st.lists(inner, max_size=2), max_size=4),
        )
        return st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=6), nodes)

    return st.recursive(leaves, above, max_leaves=25)


def segments_of(name: str) -> st.SearchStrategy[Node]:
    """Trees of segments alone, whose tags and elements are words of the mapping."""
    written = sorted(words_of(ready_mapping(name)["records"]))
    tags = st.sampled_from([word for word in written if word[:1].isupper() and word.isalnum()] or written)
    texts = st.one_of(WORDS[name], st.sampled_from(["", " ", "1", " A ", "2", "0", "20260301", "USD", "EA", "12.50"]))
    elements = st.lists(st.one_of(texts, st.lists(texts, max_size=4)), max_size=9)

    def above(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        below = st.dictionaries(tags, st.lists(inner, max_size=3), max_size=4)
        return st.builds(lambda found, children: Node(["T", *found], children), elements, below)

    return st.recursive(st.builds(lambda found: Node(["T", *found]), elements), above, max_leaves=20)


def given_by(make: Any, scope: Scope) -> Any:
    try:
        return make(scope)
    except Unfit as unfit:
        return (str(unfit.value), unfit.expected)


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", INBOUND)
def test_the_fields_of_every_ready_made_rule_are_the_same_both_ways(name: str, data: st.DataObject) -> None:
    tree = data.draw(st.one_of(trees(name), segments_of(name)))
    messages = {"kind": data.draw(WORDS[name]), "topic": "t", "message": {"type": data.draw(WORDS[name])}}
    whole = Document(data.draw(WORDS[name]), "set 1", tree, b"", messages)
    around = Scope(tree, None, 0, "", whole)

    for rule in RECIPES[name]._rules:
        scopes = [around]
        if rule.entries is not None:
            entries = rule.entries.scopes(around)
            meant = [
                (at, each.path, each.place) for at, each in enumerate(entries, 1) if not rule.where or rule.where(each)
            ]
            for of in ENTRIES[name, rule.place]:
                assert [(at, each.path, each.place) for at, each in of(around)] == meant
                assert [each.address() for _, each in of(around)] == [entries[at - 1].address() for at, *_ in meant]
            scopes = entries[:3]
        for scope in scopes:
            expected = given_by(rule.fields.make, scope)
            for make in MAKERS[name, rule.place]:
                assert given_by(make, scope) == expected


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", INBOUND)
def test_the_rules_of_every_ready_made_mapping_hold_the_same_both_ways(name: str, data: st.DataObject) -> None:
    tree = data.draw(st.one_of(trees(name), segments_of(name)))
    context = {"topic": data.draw(WORDS[name]), "message": {"type": data.draw(WORDS[name])}}
    scope = Scope(tree, None, 0, "", Document(data.draw(WORDS[name]), "set 1", tree, b"", context))

    places = [rule.place for rule in RECIPES[name]._rules if rule.holds is None or rule.holds(scope)]

    for of in HOLDING[name, False]:
        assert of(scope) == places
    for of in HOLDING[name, True]:
        assert of(scope) == places[:1]


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", INBOUND)
def test_whatever_a_document_holds_it_becomes_records_or_is_refused_and_both_can_be_told(
    name: str, data: st.DataObject
) -> None:
    tree = data.draw(trees(name))
    whole = Document("850", "set 1", tree, b"", {"topic": data.draw(WORDS[name])})

    try:
        made = RECIPES[name].records(whole)
    except MappingFailed as failed:
        assert failed.errors
        return
    for each in made:
        if each.action:
            RECIPES[name].origins(whole, each)
            RECIPES[name].traced(whole, each, MappingFailed([FieldError("ref", "", "given")]))
        each.body()


def test_what_is_nested_deeper_than_python_reads_is_called() -> None:
    value: Any = "x"
    for _ in range(120):
        value = {"if": {"b": "y"}, "else": value}
    raw = {"records": [{"action": "order.close", "fields": {"order": value}}]}

    (made,) = compile_recipe("deep", raw, system=BERLIN, form=None, settings={}).records(document({"x": "1"}))

    assert made.fields == {"order": "1"}


def test_what_is_asked_in_branches_and_in_loops_is_looked_up_for_each_item_anew() -> None:
    fields = {
        "ref": "=1",
        "order": {"if": {"A.01": "x"}, "then": "B[01=P].02", "else": {"first": ["B[01=Q].02", "B[01=P].02"]}},
        "reason": {"first": ["B[01=Q].02", "B[01=P].02"]},
        "lines": {
            "each": ["L", "M"],
            "fields": {
                "line_no": {"first": ["N[01=1].02", "^.N[01=1].02", "$.B[01=P].02"], "number": "plain"},
                "quantity": {"first": ["^.^.B[01=P].02", "^.N[01=1].02"], "number": True, "default": {"value": 9}},
            },
        },
    }
    raw = {"records": [{"action": "order.cancel", "fields": fields}]}
    (rule,) = compile_recipe("loops", raw, system=BERLIN, form=None, settings={})._rules
    n1, n2 = Node(["N", "1", "7"]), Node(["N", "1", "8"])
    lines = [
        Node(["L"], {"N": [n1], "M": [Node(["M"]), Node(["M"], {"N": [n2]})]}),
        Node(["L"], {"M": [Node(["M"])]}),
    ]
    tree = Node(["ST"], {"A": [Node(["A", "y"])], "B": [Node(["B", "P", "3"])], "L": lines})
    scope = Scope(tree, None, 0, "", Document("850", "set 1", tree, b""))
    expected = {
        "ref": "1",
        "order": "3",
        "reason": "3",
        "lines": [{"line_no": 7, "quantity": 3}, {"line_no": 8, "quantity": 3}, {"line_no": 3, "quantity": 3}],
    }

    assert rule.fields.make(scope) == expected
    assert unrolled(rule.fields)(scope) == expected
    assert unrolled(rule.fields, segments=True)(scope) == expected
