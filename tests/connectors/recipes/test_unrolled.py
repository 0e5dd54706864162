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
from interlock.connectors.recipes.unrolled import unrolled
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
MAKERS = {(name, rule.place): unrolled(rule.fields) for name, made in RECIPES.items() for rule in made._rules}
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


def given_by(make: Any, scope: Scope) -> Any:
    try:
        return make(scope)
    except Unfit as unfit:
        return (str(unfit.value), unfit.expected)


@settings(max_examples=25, deadline=None)
@given(st.data())
@pytest.mark.parametrize("name", INBOUND)
def test_the_fields_of_every_ready_made_rule_are_the_same_both_ways(name: str, data: st.DataObject) -> None:
    tree = data.draw(trees(name))
    whole = Document("850", "set 1", tree, b"", {"topic": "t"})
    around = Scope(tree, None, 0, "", whole)

    for rule in RECIPES[name]._rules:
        scopes = [around]
        if rule.entries is not None:
            scopes = rule.entries.scopes(around)[:3]
        make = MAKERS[name, rule.place]
        for scope in scopes:
            assert given_by(make, scope) == given_by(rule.fields.make, scope)


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
