"""More pairs of schemas, with schemas inside of them: objects, arrays, combinations, references. See cases.py."""

from __future__ import annotations

from typing import Any

from tests.contracts.compatibility.cases import (
    D7,
    D2019,
    D2020,
    SKU,
    B,
    Case,
    N,
    S,
    W,
    Z,
    array,
    closed,
    every,
    number,
    obj,
    one,
    some,
    text,
)  # fmt: skip

CONTENT = [
    Case(
        "open: a property came",
        obj(SKU),
        obj({**SKU, "gift": B}),
        ["!PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "open: a property came that may be anything",
        obj(SKU),
        obj({**SKU, "gift": {}}),
        ["PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "open: a property went",
        obj({**SKU, "gift": B}),
        obj(SKU),
        ["PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "closed: an optional property came",
        closed(SKU),
        closed({**SKU, "gift": B}),
        ["OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "closed: a required property came",
        closed(SKU),
        closed({**SKU, "gift": B}, required=["gift"]),
        ["!REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "closed: a required property with a default came",
        closed(SKU),
        closed({**SKU, "gift": {"type": "boolean", "default": False}}, required=["gift"]),
        ["REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "closed: a property went",
        closed({**SKU, "gift": B}),
        closed(SKU),
        ["!PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "closed: a property went that never was",
        closed({**SKU, "gift": False}),
        closed(SKU),
        ["PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "partially open: a covered property came",
        obj(SKU, additionalProperties=W),
        obj({**SKU, "weight": N}, additionalProperties=W),
        [
            "TYPE_EXTENDED /properties/weight",
            "PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /properties/weight",
            "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL /properties/weight",
        ],
    ),
    Case(
        "partially open: a property came that is not covered",
        obj(SKU, additionalProperties=N),
        obj({**SKU, "weight": W}, additionalProperties=N),
        [
            "!TYPE_NARROWED /properties/weight",
            "!PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /properties/weight",
            "OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL /properties/weight",
        ],
    ),
    Case(
        "partially open: a property went that a pattern covers",
        closed({**SKU, "x_a": W}),
        closed(SKU, patternProperties={"^x_": N}),
        [
            "TYPE_EXTENDED /properties/x_a",
            "PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /properties/x_a",
        ],
    ),
    Case(
        "partially open: a property went that the pattern does not take",
        closed({**SKU, "x_a": S}),
        closed(SKU, patternProperties={"^x_": N}),
        [
            "!TYPE_CHANGED /properties/x_a",
            "!PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /properties/x_a",
        ],
    ),
    Case(
        "partially open: a property went that no pattern names",
        closed({**SKU, "y": S}),
        closed(SKU, patternProperties={"^x_": S}),
        ["!PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL /properties/y"],
    ),
    Case("closed was opened", closed(SKU), obj(SKU), ["ADDITIONAL_PROPERTIES_ADDED /additionalProperties"]),
    Case("open was closed", obj(SKU), closed(SKU), ["!ADDITIONAL_PROPERTIES_REMOVED /additionalProperties"]),
    Case(
        "open became partially open",
        obj(SKU),
        obj(SKU, additionalProperties=S),
        ["!ADDITIONAL_PROPERTIES_NARROWED /additionalProperties"],
    ),
    Case(
        "partially open became open",
        obj(SKU, additionalProperties=S),
        obj(SKU, additionalProperties=True),
        ["ADDITIONAL_PROPERTIES_EXTENDED /additionalProperties"],
    ),
    Case(
        "what may come in addition changed",
        obj(SKU, additionalProperties=S),
        obj(SKU, additionalProperties=text(maxLength=3)),
        ["!MAX_LENGTH_ADDED /additionalProperties/maxLength"],
    ),
    Case(
        "closed by unevaluatedProperties",
        obj(SKU),
        obj(SKU, unevaluatedProperties=False),
        ["!UNEVALUATED_PROPERTIES_REMOVED /unevaluatedProperties"],
    ),
    Case(
        "a property came where unevaluatedProperties had closed",
        obj(SKU, unevaluatedProperties=False),
        obj({**SKU, "gift": B}, unevaluatedProperties=False),
        ["OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL /properties/gift"],
    ),
    Case(
        "unevaluatedProperties must be text",
        obj(SKU, unevaluatedProperties={}),
        obj(SKU, unevaluatedProperties=S),
        ["!UNEVALUATED_PROPERTIES_NARROWED /unevaluatedProperties"],
    ),
    Case("a name with signs", obj({"a/b~c": W}), obj({"a/b~c": N}), ["TYPE_EXTENDED /properties/a~1b~0c"]),
    Case(
        "a property called required", obj({"required": W}), obj({"required": N}), ["TYPE_EXTENDED /properties/required"]
    ),
    Case(
        "deep inside",
        obj({"lines": array(items=obj({"quantity": number(maximum=9)}))}),
        obj({"lines": array(items=obj({"quantity": number(maximum=8)}))}),
        ["!MAXIMUM_DECREASED /properties/lines/items/properties/quantity/maximum"],
    ),
]

OBJECTS = [
    Case("became required", obj(SKU), obj(SKU, required=["sku"]), ["!REQUIRED_ATTRIBUTE_ADDED /required/sku"]),
    Case(
        "became required with a default",
        obj(SKU),
        obj({"sku": text(default="")}, required=["sku"]),
        ["REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED /required/sku", "DEFAULT_CHANGED /properties/sku"],
    ),
    Case("became optional", obj(SKU, required=["sku"]), obj(SKU), ["REQUIRED_ATTRIBUTE_REMOVED /required/sku"]),
    Case("required without a schema of its own is not looked at", obj(), obj(required=["sku"]), []),
    Case("maxProperties came", obj(), obj(maxProperties=3), ["!MAX_PROPERTIES_ADDED /maxProperties"]),
    Case(
        "maxProperties shrank", obj(maxProperties=3), obj(maxProperties=2), ["!MAX_PROPERTIES_DECREASED /maxProperties"]
    ),
    Case("maxProperties grew", obj(maxProperties=3), obj(maxProperties=4), ["MAX_PROPERTIES_INCREASED /maxProperties"]),
    Case("minProperties came", obj(), obj(minProperties=1), ["!MIN_PROPERTIES_ADDED /minProperties"]),
    Case("minProperties went", obj(minProperties=1), obj(), ["MIN_PROPERTIES_REMOVED /minProperties"]),
    Case(
        "minProperties grew", obj(minProperties=1), obj(minProperties=2), ["!MIN_PROPERTIES_INCREASED /minProperties"]
    ),
    Case(
        "a dependency came",
        obj(),
        obj(dependentRequired={"gift": ["card"]}),
        ["!DEPENDENCY_ARRAY_ADDED /dependentRequired/gift"],
    ),
    Case(
        "a dependency went",
        {"$schema": D7, "type": "object", "dependencies": {"gift": ["card"]}},
        {"$schema": D7, "type": "object"},
        ["DEPENDENCY_ARRAY_REMOVED /dependencies/gift"],
    ),
    Case(
        "a dependency asks for more",
        obj(dependentRequired={"gift": ["card"]}),
        obj(dependentRequired={"gift": ["card", "paper"]}),
        ["!DEPENDENCY_ARRAY_EXTENDED /dependentRequired/gift"],
    ),
    Case(
        "a dependency asks for less",
        obj(dependentRequired={"gift": ["card", "paper"]}),
        obj(dependentRequired={"gift": ["card"]}),
        ["DEPENDENCY_ARRAY_NARROWED /dependentRequired/gift"],
    ),
    Case(
        "a dependency asks for something else",
        obj(dependentRequired={"gift": ["paper"]}),
        obj(dependentRequired={"gift": ["card"]}),
        ["!DEPENDENCY_ARRAY_CHANGED /dependentRequired/gift"],
    ),
    Case(
        "a dependency under its newer name",
        {"$schema": D7, "type": "object", "dependencies": {"gift": ["card"], "tax": {"required": ["rate"]}}},
        obj(dependentRequired={"gift": ["card"]}, dependentSchemas={"tax": {"required": ["rate"]}}),
        [],
    ),
    Case(
        "a schema came with a property",
        obj(),
        obj(dependentSchemas={"gift": obj({"card": S})}),
        ["!DEPENDENCY_SCHEMA_ADDED /dependentSchemas/gift"],
    ),
    Case(
        "a schema went",
        obj(dependentSchemas={"gift": obj({"card": S})}),
        obj(),
        ["DEPENDENCY_SCHEMA_REMOVED /dependentSchemas/gift"],
    ),
    Case(
        "a schema changed with a property",
        obj(dependentSchemas={"gift": obj({"card": N})}),
        obj(dependentSchemas={"gift": obj({"card": W})}),
        ["!TYPE_NARROWED /dependentSchemas/gift/properties/card"],
    ),
]

ARRAYS = [
    Case("items are looked at", array(), array(items=S), ["!SCHEMA_ADDED /items"]),
    Case("items are no longer looked at", array(items=S), array(), ["SCHEMA_REMOVED /items"]),
    Case("items changed", array(items=W), array(items=N), ["TYPE_EXTENDED /items"]),
    Case("maxItems came", array(), array(maxItems=3), ["!MAX_ITEMS_ADDED /maxItems"]),
    Case("maxItems grew", array(maxItems=3), array(maxItems=4), ["MAX_ITEMS_INCREASED /maxItems"]),
    Case("maxItems shrank", array(maxItems=3), array(maxItems=2), ["!MAX_ITEMS_DECREASED /maxItems"]),
    Case("minItems came", array(), array(minItems=1), ["!MIN_ITEMS_ADDED /minItems"]),
    Case("minItems grew", array(minItems=1), array(minItems=2), ["!MIN_ITEMS_INCREASED /minItems"]),
    Case("minItems shrank", array(minItems=2), array(minItems=1), ["MIN_ITEMS_DECREASED /minItems"]),
    Case("uniqueItems came", array(), array(uniqueItems=True), ["!UNIQUE_ITEMS_ADDED /uniqueItems"]),
    Case("uniqueItems went", array(uniqueItems=True), array(uniqueItems=False), ["UNIQUE_ITEMS_REMOVED /uniqueItems"]),
    Case(
        "an open list knows one more",
        array(prefixItems=[S]),
        array(prefixItems=[S, N]),
        ["!ITEM_ADDED_TO_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "an open list knows one more, that may be anything",
        array(prefixItems=[S]),
        array(prefixItems=[S, True]),
        ["ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "an open list knows one less",
        array(prefixItems=[S, N]),
        array(prefixItems=[S]),
        ["ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "a closed list knows one more",
        array(prefixItems=[S], items=False),
        array(prefixItems=[S, N], items=False),
        ["ITEM_ADDED_TO_CLOSED_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "a closed list knows one less",
        array(prefixItems=[S, N], items=False),
        array(prefixItems=[S], items=False),
        ["!ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "a closed list no longer knows what never was",
        array(prefixItems=[S, False], items=False),
        array(prefixItems=[S], items=False),
        ["ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "one more that the rest covers",
        array(prefixItems=[S], items=W),
        array(prefixItems=[S, N], items=W),
        ["TYPE_EXTENDED /prefixItems/1", "ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "one more that the rest does not cover",
        array(prefixItems=[S], items=S),
        array(prefixItems=[S, N], items=S),
        ["!TYPE_CHANGED /prefixItems/1", "!ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "one less that the rest covers",
        array(prefixItems=[S, W], items=N),
        array(prefixItems=[S], items=N),
        ["TYPE_EXTENDED /prefixItems/1", "ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "one less that the rest does not cover",
        array(prefixItems=[S, B], items=N),
        array(prefixItems=[S], items=N),
        ["!TYPE_CHANGED /prefixItems/1", "!ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /prefixItems/1"],
    ),
    Case(
        "the rest was closed",
        array(prefixItems=[S]),
        array(prefixItems=[S], items=False),
        ["!ADDITIONAL_ITEMS_REMOVED /items"],
    ),
    Case(
        "the rest was opened",
        array(prefixItems=[S], items=False),
        array(prefixItems=[S]),
        ["ADDITIONAL_ITEMS_ADDED /items"],
    ),
    Case(
        "the rest must be text",
        array(prefixItems=[N]),
        array(prefixItems=[N], items=S),
        ["!ADDITIONAL_ITEMS_NARROWED /items"],
    ),
    Case(
        "the rest may be anything",
        array(prefixItems=[N], items=S),
        array(prefixItems=[N]),
        ["ADDITIONAL_ITEMS_EXTENDED /items"],
    ),
    Case(
        "the rest changed", array(prefixItems=[N], items=S), array(prefixItems=[N], items=B), ["!TYPE_CHANGED /items"]
    ),
    Case(
        "tuples of draft 7",
        {"$schema": D7, "items": [S, W], "additionalItems": False},
        {"$schema": D7, "items": [S, N, B], "additionalItems": False},
        ["TYPE_EXTENDED /items/1", "ITEM_ADDED_TO_CLOSED_CONTENT_MODEL /items/2"],
    ),
    Case(
        "tuples without a draft are of draft 7",
        {"type": "array", "items": [S], "additionalItems": True},
        {"type": "array", "items": [S], "additionalItems": False},
        ["!ADDITIONAL_ITEMS_REMOVED /additionalItems"],
    ),
    Case(
        "a tuple of draft 7 became one of 2020-12",
        {"$schema": D7, "type": "array", "items": [W, S], "additionalItems": B},
        {"$schema": D2020, "type": "array", "prefixItems": [N, S], "items": B},
        ["TYPE_EXTENDED /prefixItems/0"],
    ),
    Case(
        "additionalItems is no word of 2020-12",
        {"$schema": D2020, "type": "array", "additionalItems": True},
        {"$schema": D2020, "type": "array", "additionalItems": False},
        [],
    ),
    Case("contains asks for one", array(), array(contains=S), ["!MIN_CONTAINS_ADDED /minContains"]),
    Case(
        "contains asks for two",
        array(contains=S),
        array(contains=S, minContains=2, maxContains=5),
        ["!MAX_CONTAINS_ADDED /maxContains", "!MIN_CONTAINS_INCREASED /minContains"],
    ),
    Case(
        "contains may fit fewer",
        array(contains=S, maxContains=5),
        array(contains=S, maxContains=4),
        ["!MAX_CONTAINS_DECREASED /maxContains"],
    ),
    Case(
        "unevaluated items must be text",
        array(unevaluatedItems=True),
        array(unevaluatedItems=S),
        ["!UNEVALUATED_ITEMS_NARROWED /unevaluatedItems"],
    ),
    Case(
        "unevaluatedItems closes",
        array(prefixItems=[S]),
        array(prefixItems=[S], unevaluatedItems=False),
        ["!UNEVALUATED_ITEMS_REMOVED /unevaluatedItems"],
    ),
    Case(
        "unevaluatedItems had closed",
        array(prefixItems=[S], unevaluatedItems=False),
        array(prefixItems=[S, N], unevaluatedItems=False),
        ["ITEM_ADDED_TO_CLOSED_CONTENT_MODEL /prefixItems/1"],
    ),
]

COMBINED = [
    Case("a sum grew", one(S), one(N, S), ["SUM_TYPE_EXTENDED "]),
    Case("a sum shrank", one(N, S), one(S), ["!SUM_TYPE_NARROWED "]),
    Case("a product grew", every(S), every(S, {"maxLength": 3}), ["!PRODUCT_TYPE_EXTENDED "]),
    Case("a product shrank", every(S, {"enum": ["a"]}), every(S), ["PRODUCT_TYPE_NARROWED "]),
    Case("another order", every(S, {"enum": ["a"]}), every({"enum": ["a"]}, S), []),
    Case("a part twice", every(S, S), every(S), []),
    Case("a part changed its shape", one(S), one(N), ["!COMBINED_TYPE_SUBSCHEMAS_CHANGED "]),
    Case(
        "a part was narrowed",
        some(text(maxLength=9), N),
        some(N, text(maxLength=8)),
        ["!COMBINED_TYPE_SUBSCHEMAS_CHANGED ", "!MAX_LENGTH_DECREASED /anyOf/0/maxLength"],
    ),
    Case(
        "a part was widened",
        one(text(maxLength=3)),
        one(B, text(maxLength=4)),
        ["SUM_TYPE_EXTENDED ", "MAX_LENGTH_INCREASED /oneOf/0/maxLength"],
    ),
    Case("one became any", one(S, N), some(S, N), ["COMBINED_TYPE_EXTENDED "]),
    Case("all became any", every(S, {"minLength": 1}), some(S, {"minLength": 1}), ["COMBINED_TYPE_EXTENDED "]),
    Case("any became one", some(S, N), one(S, N), ["!COMBINED_TYPE_CHANGED "]),
    Case("any became all", some(S, N), every(S, N), ["!COMBINED_TYPE_CHANGED "]),
    Case("one of one became all of one", one(S), every(S), ["COMBINED_TYPE_EXTENDED "]),
    Case("one of two became all of one", one(S, W), every(S), ["!COMBINED_TYPE_CHANGED "]),
    Case("any of one became one of two", some(S), one(N, S), ["COMBINED_TYPE_EXTENDED ", "SUM_TYPE_EXTENDED "]),
    Case(
        "all of two became one of one",
        every(S, {"minLength": 1}),
        one(S),
        ["COMBINED_TYPE_EXTENDED ", "PRODUCT_TYPE_NARROWED "],
    ),
    Case("plain became a sum", S, some(N, S), ["SUM_TYPE_EXTENDED "]),
    Case("plain became a product of one", S, every(S), []),
    Case(
        "plain became a product of two",
        S,
        every(S, {"minLength": 1}),
        ["!TYPE_CHANGED ", "!MIN_LENGTH_ADDED /allOf/1/minLength"],
    ),
    Case("a sum of one became plain", one(S), S, []),
    Case("a sum of two became plain", one(S, N), S, ["!TYPE_CHANGED "]),
    Case("a product became plain", every(S, {"minLength": 1}), S, ["PRODUCT_TYPE_NARROWED "]),
    Case(
        "parts find the best counterparts",
        some(text(maxLength=5), text(maxLength=9)),
        some(text(maxLength=9), text(maxLength=5)),
        [],
    ),
    Case(
        "a part moves so that all have a counterpart",
        some(text(maxLength=5), text(maxLength=9)),
        some(text(maxLength=10), text(maxLength=6)),
        ["MAX_LENGTH_INCREASED /anyOf/0/maxLength", "MAX_LENGTH_INCREASED /anyOf/1/maxLength"],
    ),
    Case("beside a property", obj(SKU, anyOf=[obj(SKU)]), obj(SKU), ["PRODUCT_TYPE_NARROWED "]),
    Case("not forbids less", {"not": N}, {"not": W}, ["NOT_TYPE_NARROWED /not"]),
    Case("not forbids more", {"not": W}, {"not": N}, ["!NOT_TYPE_EXTENDED /not"]),
    Case("not stayed", {"not": W}, {"not": W}, []),
    Case("not came", S, text(**{"not": {"enum": ["x"]}}), ["!TYPE_CHANGED "]),
    Case(
        "a condition came",
        obj(SKU),
        obj(SKU, **{"if": {"required": ["gift"]}, "then": {"required": ["card"]}}),
        ["!TYPE_CHANGED "],
    ),
    Case("a condition changed", obj(SKU, **{"if": obj(), "then": S}), obj(SKU, **{"if": obj(), "then": N}), []),
]


def with_line(line: Any, **said: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": "#/$defs/line"}, "$defs": {"line": line}, **said}


def tree(value: Any) -> dict[str, Any]:
    node = obj({"value": value, "left": one(Z, {"$ref": "#/$defs/node"}), "right": {"$ref": "#/$defs/node"}})
    return {"$ref": "#/$defs/node", "$defs": {"node": node}}


REFERENCES = [
    Case(
        "what is referred to changed",
        with_line(obj({"sku": S})),
        with_line(obj({"sku": N})),
        ["!TYPE_CHANGED /items/properties/sku"],
    ),
    Case("a definition that nobody refers to", with_line(S), {**with_line(S), "$defs": {"line": S, "x": N}}, []),
    Case("moved to a definition", array(items=S), with_line(S), []),
    Case("moved from a definition", with_line(S), array(items=S), []),
    Case(
        "definitions became $defs",
        {"$schema": D7, "items": {"$ref": "#/definitions/l"}, "definitions": {"l": S}},
        {"items": {"$ref": "#/$defs/l"}, "$defs": {"l": S}},
        [],
    ),
    Case(
        "a reference to a reference",
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": S}},
        N,
        ["!TYPE_CHANGED "],
    ),
    Case("by anchor", {"$ref": "#line", "$defs": {"line": {"$anchor": "line", **W}}}, N, ["TYPE_EXTENDED "]),
    Case(
        "by id",
        {"$id": "https://shop.example/a.json", "$ref": "b.json", "$defs": {"b": {"$id": "b.json", **W}}},
        N,
        ["ID_CHANGED ", "TYPE_EXTENDED "],
    ),
    Case(
        "by urn",
        {"$id": "urn:shop:order:1", "$ref": "urn:shop:order:1#/$defs/b", "$defs": {"b": W}},
        N,
        ["TYPE_EXTENDED "],
    ),
    Case("escaped", {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": W}}, N, ["TYPE_EXTENDED "]),
    Case(
        "up to draft 7 nothing beside $ref counts",
        {"$schema": D7, "$ref": "#/definitions/a", "maxLength": 3, "definitions": {"a": S}},
        S,
        [],
    ),
    Case(
        "since 2019-09 it does",
        {"$schema": D2019, "$ref": "#/$defs/a", "maxLength": 3, "$defs": {"a": S}},
        {"$schema": D2019, "$ref": "#/$defs/a", "maxLength": 2, "$defs": {"a": S}},
        ["!COMBINED_TYPE_SUBSCHEMAS_CHANGED ", "!MAX_LENGTH_DECREASED /maxLength"],
    ),
    Case("a tree stayed", tree(W), tree(W), []),
    Case("a tree was widened", tree(W), tree(N), ["TYPE_EXTENDED /properties/value"]),
    Case("a tree was narrowed", tree(N), tree(W), ["!TYPE_NARROWED /properties/value"]),
    Case(
        "the whole inside of itself",
        obj({"child": {"$ref": "#"}, "n": W}),
        obj({"child": {"$ref": "#"}, "n": N}),
        ["TYPE_EXTENDED /properties/n"],
    ),
]

ELSEWHERE = [
    Case(
        "definitions under a word that has no schemas",
        {"$ref": "#/components/a", "components": {"a": {"items": {"$ref": "#/components/b"}}, "b": W}},
        {"$ref": "#/components/a", "components": {"a": {"items": {"$ref": "#/components/b"}}, "b": N}},
        ["TYPE_EXTENDED /items"],
    ),
    Case(
        "an example is no schema",
        {"examples": [{"$ref": "#/nowhere"}], "default": {"type": "int"}, "const": {"$ref": "x"}},
        {"examples": [{"$ref": "#/nowhere"}], "default": {"type": "int"}, "const": {"$ref": "x"}},
        [],
    ),
    Case(
        "a pattern that only loose engines read covers nothing stricter than it says",
        closed({"a-b": S}),
        closed(patternProperties={"^[\\w-.]+$": S}),
        ["PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL /properties/a-b"],
    ),
    Case(
        "a dynamic reference is followed to its anchor",
        {"$dynamicRef": "#node", "$defs": {"n": {"$dynamicAnchor": "node", **W}}},
        {"$dynamicRef": "#node", "$defs": {"n": {"$dynamicAnchor": "node", **N}}},
        ["TYPE_EXTENDED "],
    ),
    Case(
        "a recursive reference leads to the root",
        {"$schema": D2019, **obj({"inner": {"$recursiveRef": "#"}, "n": W})},
        {"$schema": D2019, **obj({"inner": {"$recursiveRef": "#"}, "n": N})},
        ["TYPE_EXTENDED /properties/n"],
    ),
]

INNER = [*CONTENT, *OBJECTS, *ARRAYS, *COMBINED, *REFERENCES, *ELSEWHERE]
