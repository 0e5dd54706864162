"""Large schemas take seconds, deep and recursive ones end, and what would take for ever is refused."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest

from interlock.contracts.compatibility import compare, differences
from interlock.contracts.compatibility.walk import FINDINGS_MAX
from interlock.contracts.json_text import read_json
from interlock.domain.errors import SchemaInvalid

# On one core these take a fifth or less of the seconds allowed here: a slow machine is no failure, a wrong turn is.


def wide(properties: int) -> dict[str, Any]:
    named = {
        f"property_{n:05}": {"type": "string", "maxLength": n, "description": "what it means, in some words"}
        for n in range(properties)
    }
    return {"type": "object", "properties": named, "additionalProperties": False}


def test_a_megabyte_with_ten_thousand_properties_is_read_and_compared_in_seconds() -> None:
    old = wide(10_000)
    body = json.dumps(old).encode()
    assert len(body) > 1_000_000
    new = copy.deepcopy(old)
    new["properties"]["property_00077"]["maxLength"] = 3
    began = time.process_time()

    value, flaws = read_json(body)
    broken = compare(value, new, "FULL")

    assert time.process_time() - began < 5
    assert flaws == []
    assert [(each.kind, each.pointer) for each in broken] == [
        ("MAX_LENGTH_DECREASED", "/properties/property_00077/maxLength")
    ]


def test_ten_thousand_breaks_are_all_named() -> None:
    old, new = wide(10_000), wide(10_000)
    for each in new["properties"].values():
        each["type"] = "integer"

    broken = compare(old, new)

    assert [each.kind for each in broken] == ["TYPE_CHANGED"] * 10_000
    assert {each.pointer for each in broken} == {f"/properties/property_{n:05}" for n in range(10_000)}


def chain(length: int, end: str) -> dict[str, Any]:
    """Each definition holds the next one."""
    defs: dict[str, Any] = {
        f"d{n}": {"type": "object", "properties": {"x": {"$ref": f"#/$defs/d{n + 1}"}}} for n in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{length}": {"type": end}}}


def test_definitions_may_lead_on_as_deep_as_they_like() -> None:
    broken = compare(chain(10_000, "string"), chain(10_000, "integer"))

    assert [(each.kind, each.pointer) for each in broken] == [("TYPE_CHANGED", "/properties/x" * 10_000)]


def test_a_chain_of_bare_references_has_no_depth_at_all() -> None:
    defs: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(5_000)}
    old = {"$ref": "#/$defs/d0", "$defs": {**defs, "d5000": {"type": "integer"}}}

    assert [each.kind for each in differences(old, {"type": "number"})] == ["TYPE_EXTENDED"]


def catalog(products: int, references: int, number: str) -> dict[str, Any]:
    """Products of many kinds that hold one another, or an id in place of one."""
    defs: dict[str, Any] = {
        "Id": {"type": "object", "properties": {"id": {"type": number}}, "required": ["id"]},
        "Named": {"type": "object", "properties": {"name": {"type": "string"}}},
        "ProductOrId": {"oneOf": [{"$ref": "#/$defs/Id"}, {"$ref": "#/$defs/Product"}]},
        "Product": {"oneOf": [{"$ref": f"#/$defs/Kind{n}"} for n in range(products)]},
    }
    for n in range(products):
        held = {f"part{place}": {"$ref": "#/$defs/ProductOrId"} for place in range(references)}
        tagged = {**held, "kind": {"const": f"kind {n}"}}
        defs[f"Kind{n}"] = {"$ref": "#/$defs/Named", "type": "object", "properties": tagged, "required": ["kind"]}
    return {"$ref": "#/$defs/Product", "$defs": defs}


def test_kinds_that_hold_one_another_end_quickly() -> None:
    began = time.process_time()

    assert compare(catalog(12, 5, "string"), catalog(12, 5, "string"), "FULL") == []
    broken = compare(catalog(12, 5, "number"), catalog(12, 5, "integer"))

    assert time.process_time() - began < 5
    assert {each.kind for each in broken} == {"TYPE_NARROWED", "COMBINED_TYPE_SUBSCHEMAS_CHANGED"}
    assert compare(catalog(12, 5, "integer"), catalog(12, 5, "number")) == []


def fork(depth: int, end: str) -> dict[str, Any]:
    """Two ways to the next definition, so that there are 2 to the power of `depth` ways to the end."""
    defs: dict[str, Any] = {
        f"d{n}": {"type": "object", "properties": {way: {"$ref": f"#/$defs/d{n + 1}"} for way in ("a", "b")}}
        for n in range(depth)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{depth}": {"type": end}}}


def test_a_change_is_named_by_every_way_that_leads_to_it() -> None:
    broken = compare(fork(3, "string"), fork(3, "integer"))

    ways = [f"/properties/{a}/properties/{b}/properties/{c}" for a in "ab" for b in "ab" for c in "ab"]
    assert [each.pointer for each in broken] == ways


def test_where_the_ways_are_without_number_some_thousands_are_named() -> None:
    broken = compare(fork(60, "string"), fork(60, "integer"))

    assert len(broken) == FINDINGS_MAX
    assert compare(fork(60, "string"), fork(60, "string"), "FULL") == []


def kinds(count: int, first: int, shift: int = 0) -> dict[str, Any]:
    parts = [
        {
            "type": "object",
            "properties": {"kind": {"const": first + n}, "name": {"type": "string", "maxLength": n + shift}},
        }
        for n in range(count)
    ]
    return {"oneOf": parts}


def test_a_thousand_kinds_in_another_order_find_their_counterparts_at_once() -> None:
    turned = kinds(1000, 0, shift=1)
    turned["oneOf"].reverse()
    began = time.process_time()

    found = differences(kinds(1000, 0), turned)

    assert time.process_time() - began < 3
    assert [each.kind for each in found] == ["MAX_LENGTH_INCREASED"] * 1000


def test_more_comparisons_than_anybody_waits_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.contracts.compatibility.walk.PAIRS_MAX", 10_000)

    with pytest.raises(SchemaInvalid, match="need more than 10,000 comparisons; expected smaller ones"):
        compare(kinds(500, 0), kinds(500, 10_000))


def test_a_pattern_that_would_take_for_ever_elsewhere_is_tried_at_once() -> None:
    old = {"type": "object", "properties": {"a" * 60 + "!": {"type": "integer"}}, "additionalProperties": False}
    new = {"type": "object", "patternProperties": {"^(a+)+$": {"type": "string"}}, "additionalProperties": False}
    began = time.process_time()

    assert [each.kind for each in compare(old, new)] == ["PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL"]
    assert time.process_time() - began < 1
