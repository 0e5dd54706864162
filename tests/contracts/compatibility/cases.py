"""Pairs of schemas and what differs between them, as a reader with the second sees it: `KIND pointer`, in order.

Kinds with a `!` before them break BACKWARD. All examples are made up for this table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

D4 = "http://json-schema.org/draft-04/schema#"
D7 = "http://json-schema.org/draft-07/schema#"
D2019 = "https://json-schema.org/draft/2019-09/schema"
D2020 = "https://json-schema.org/draft/2020-12/schema"


class Case(NamedTuple):
    name: str
    old: Any
    new: Any
    expected: list[str]


def text(**said: Any) -> dict[str, Any]:
    return {"type": "string", **said}


def number(**said: Any) -> dict[str, Any]:
    return {"type": "number", **said}


def obj(properties: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties or {}, **said}


def closed(properties: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    return obj(properties, additionalProperties=False, **said)


def array(**said: Any) -> dict[str, Any]:
    return {"type": "array", **said}


def one(*parts: Any) -> dict[str, Any]:
    return {"oneOf": list(parts)}


def some(*parts: Any) -> dict[str, Any]:
    return {"anyOf": list(parts)}


def every(*parts: Any) -> dict[str, Any]:
    return {"allOf": list(parts)}


SKU = {"sku": text()}
S, N, W, B, Z = text(), number(), {"type": "integer"}, {"type": "boolean"}, {"type": "null"}

WORDS = [
    Case("the same twice", obj({"sku": S}), obj({"sku": S}), []),
    Case("another title", {"title": "Order"}, {"title": "Orders"}, ["TITLE_CHANGED "]),
    Case("a description", S, text(description="what the buyer sees"), ["DESCRIPTION_CHANGED "]),
    Case("another default", text(default="EUR"), text(default="USD"), ["DEFAULT_CHANGED "]),
    Case("a default of null that came", S, text(default=None), []),
    Case("another id", text(**{"$id": "urn:x:1"}), text(**{"$id": "urn:x:2"}), ["ID_CHANGED "]),
    Case("an id of draft 4", {"$schema": D4, "id": "a"}, {"$schema": D4, "id": "b"}, ["ID_CHANGED "]),
    Case("a comment", S, text(**{"$comment": "see the manual", "examples": ["a"]}), []),
    Case("another format", text(format="date"), text(format="date-time"), []),
]

TYPES = [
    Case("text became a number", S, N, ["!TYPE_CHANGED "]),
    Case("an object became a list", obj(), array(), ["!TYPE_CHANGED "]),
    Case("whole numbers became any", W, N, ["TYPE_EXTENDED "]),
    Case("any number became whole ones", N, W, ["!TYPE_NARROWED "]),
    Case("null was let in", S, {"type": ["string", "null"]}, ["SUM_TYPE_EXTENDED "]),
    Case("null was let out", {"type": ["string", "null"]}, S, ["!TYPE_CHANGED "]),
    Case("a list of one type is that type", S, {"type": ["string"]}, []),
    Case("and back", {"type": ["string"]}, S, []),
    Case("a list grew", {"type": ["string"]}, {"type": ["string", "null"]}, ["SUM_TYPE_EXTENDED "]),
    Case("a list shrank", {"type": ["string", "null"]}, {"type": ["null"]}, ["!SUM_TYPE_NARROWED "]),
    Case("a list in another order", {"type": ["null", "string"]}, {"type": ["string", "null"]}, []),
    Case("widened inside a list", {"type": ["integer", "null"]}, {"type": ["number", "null"]}, ["TYPE_EXTENDED "]),
    Case(
        "narrowed inside a list",
        {"type": ["number", "null"]},
        {"type": ["integer", "null"]},
        ["!COMBINED_TYPE_SUBSCHEMAS_CHANGED ", "!TYPE_NARROWED "],
    ),
    Case(
        "a limit inside a list",
        {"type": ["string", "null"], "maxLength": 9},
        {"type": ["string", "null"], "maxLength": 12},
        ["MAX_LENGTH_INCREASED /maxLength"],
    ),
    Case(
        "whole numbers became text or number",
        W,
        {"type": ["string", "number"]},
        ["TYPE_EXTENDED ", "SUM_TYPE_EXTENDED "],
    ),
    Case("a type came where there was none", {}, S, ["!TYPE_CHANGED "]),
    Case("a type went", S, {}, []),
    Case("anything became nothing", True, False, ["!TYPE_CHANGED "]),
    Case("nothing became anything", False, True, []),
    Case("nothing became text", False, S, []),
    Case("text became nothing", S, False, ["!TYPE_CHANGED "]),
    Case("the empty schema and true are the same", {}, True, []),
    Case("true and the empty schema are the same", True, {}, []),
    Case("yes or no", B, B, []),
]

STRINGS = [
    Case("maxLength came", S, text(maxLength=9), ["!MAX_LENGTH_ADDED /maxLength"]),
    Case("maxLength went", text(maxLength=9), S, ["MAX_LENGTH_REMOVED /maxLength"]),
    Case("maxLength grew", text(maxLength=9), text(maxLength=10), ["MAX_LENGTH_INCREASED /maxLength"]),
    Case("maxLength shrank", text(maxLength=9), text(maxLength=8), ["!MAX_LENGTH_DECREASED /maxLength"]),
    Case("minLength came", S, text(minLength=1), ["!MIN_LENGTH_ADDED /minLength"]),
    Case("minLength went", text(minLength=1), S, ["MIN_LENGTH_REMOVED /minLength"]),
    Case("minLength grew", text(minLength=1), text(minLength=2), ["!MIN_LENGTH_INCREASED /minLength"]),
    Case("minLength shrank", text(minLength=2), text(minLength=1), ["MIN_LENGTH_DECREASED /minLength"]),
    Case("a length written as 9.0", text(maxLength=9), text(maxLength=9.0), []),
    Case("a pattern came", S, text(pattern="^A"), ["!PATTERN_ADDED /pattern"]),
    Case("a pattern went", text(pattern="^A"), S, ["PATTERN_REMOVED /pattern"]),
    Case("a pattern changed", text(pattern="^A"), text(pattern="^(A|B)"), ["!PATTERN_CHANGED /pattern"]),
    Case("a pattern stayed", text(pattern="^A"), text(pattern="^A"), []),
]

NUMBERS = [
    Case("maximum came", N, number(maximum=5), ["!MAXIMUM_ADDED /maximum"]),
    Case("maximum went", number(maximum=5), N, ["MAXIMUM_REMOVED /maximum"]),
    Case("maximum grew", number(maximum=5), number(maximum=5.5), ["MAXIMUM_INCREASED /maximum"]),
    Case("maximum shrank", number(maximum=5), number(maximum=4), ["!MAXIMUM_DECREASED /maximum"]),
    Case("minimum came", N, number(minimum=0), ["!MINIMUM_ADDED /minimum"]),
    Case("minimum went", number(minimum=0), N, ["MINIMUM_REMOVED /minimum"]),
    Case("minimum grew", number(minimum=0), number(minimum=1), ["!MINIMUM_INCREASED /minimum"]),
    Case("minimum shrank", number(minimum=0), number(minimum=-1), ["MINIMUM_DECREASED /minimum"]),
    Case(
        "a limit beyond every double",
        number(maximum=10**40),
        number(maximum=10**40 + 1),
        ["MAXIMUM_INCREASED /maximum"],
    ),
    Case("exclusiveMaximum came", N, number(exclusiveMaximum=5), ["!EXCLUSIVE_MAXIMUM_ADDED /exclusiveMaximum"]),
    Case("exclusiveMaximum went", number(exclusiveMaximum=5), N, ["EXCLUSIVE_MAXIMUM_REMOVED /exclusiveMaximum"]),
    Case(
        "exclusiveMaximum shrank",
        number(exclusiveMaximum=5),
        number(exclusiveMaximum=4),
        ["!EXCLUSIVE_MAXIMUM_DECREASED /exclusiveMaximum"],
    ),
    Case(
        "exclusiveMaximum grew",
        number(exclusiveMaximum=5),
        number(exclusiveMaximum=6),
        ["EXCLUSIVE_MAXIMUM_INCREASED /exclusiveMaximum"],
    ),
    Case(
        "exclusiveMinimum grew",
        number(exclusiveMinimum=5),
        number(exclusiveMinimum=6),
        ["!EXCLUSIVE_MINIMUM_INCREASED /exclusiveMinimum"],
    ),
    Case(
        "exclusiveMinimum shrank",
        number(exclusiveMinimum=5),
        number(exclusiveMinimum=4),
        ["EXCLUSIVE_MINIMUM_DECREASED /exclusiveMinimum"],
    ),
    Case("exclusiveMinimum came", N, number(exclusiveMinimum=0), ["!EXCLUSIVE_MINIMUM_ADDED /exclusiveMinimum"]),
    Case(
        "draft 4: the limit itself was let out",
        {"$schema": D4, "type": "number", "minimum": 0},
        {"$schema": D4, "type": "number", "minimum": 0, "exclusiveMinimum": True},
        ["!EXCLUSIVE_MINIMUM_ADDED /exclusiveMinimum"],
    ),
    Case(
        "draft 4: the limit itself was let in",
        {"$schema": D4, "type": "number", "maximum": 9, "exclusiveMaximum": True},
        {"$schema": D4, "type": "number", "maximum": 9, "exclusiveMaximum": False},
        ["EXCLUSIVE_MAXIMUM_REMOVED /exclusiveMaximum"],
    ),
    Case("multipleOf came", N, number(multipleOf=5), ["!MULTIPLE_OF_ADDED /multipleOf"]),
    Case("multipleOf went", number(multipleOf=5), N, ["MULTIPLE_OF_REMOVED /multipleOf"]),
    Case("multipleOf reduced", number(multipleOf=10), number(multipleOf=5), ["MULTIPLE_OF_REDUCED /multipleOf"]),
    Case("multipleOf expanded", number(multipleOf=5), number(multipleOf=10), ["!MULTIPLE_OF_EXPANDED /multipleOf"]),
    Case("multipleOf changed", number(multipleOf=5), number(multipleOf=7), ["!MULTIPLE_OF_CHANGED /multipleOf"]),
    Case(
        "cents became tenths of them",
        number(multipleOf=0.01),
        number(multipleOf=0.001),
        ["MULTIPLE_OF_REDUCED /multipleOf"],
    ),
    Case("tenths became cents", number(multipleOf=0.1), number(multipleOf=0.01), ["MULTIPLE_OF_REDUCED /multipleOf"]),
    Case("cents became tenths", number(multipleOf=0.01), number(multipleOf=0.1), ["!MULTIPLE_OF_EXPANDED /multipleOf"]),
]

VALUES = [
    Case("a value came", {"enum": ["a"]}, {"enum": ["a", "b"]}, ["ENUM_ARRAY_EXTENDED /enum"]),
    Case("a value went", {"enum": ["a", "b"]}, {"enum": ["b"]}, ["!ENUM_ARRAY_NARROWED /enum"]),
    Case("a value became another", {"enum": ["a"]}, {"enum": ["b"]}, ["!ENUM_ARRAY_CHANGED /enum"]),
    Case("another order", {"enum": ["a", "b"]}, {"enum": ["b", "a"]}, []),
    Case("1 and 1.0 are the same", {"enum": [1, {"a": [2.0]}]}, {"enum": [{"a": [2]}, 1.0]}, []),
    Case("1 and true are not", {"enum": [1]}, {"enum": [True]}, ["!ENUM_ARRAY_CHANGED /enum"]),
    Case(
        "a value went, beside the type",
        text(enum=["web", "pos"]),
        text(enum=["web"]),
        ["!COMBINED_TYPE_SUBSCHEMAS_CHANGED ", "!ENUM_ARRAY_NARROWED /enum"],
    ),
    Case("a value came, beside the type", text(enum=["web"]), text(enum=["web", "pos"]), ["ENUM_ARRAY_EXTENDED /enum"]),
    Case("values were listed", S, text(enum=["web"]), ["!TYPE_CHANGED "]),
    Case("values are no longer listed", text(enum=["web"]), S, ["PRODUCT_TYPE_NARROWED "]),
    Case("values alone are listed", {"enum": ["web"]}, S, ["!TYPE_CHANGED "]),
    Case("const changed", {"const": 1}, {"const": 2}, ["!ENUM_ARRAY_CHANGED /const"]),
    Case("const stayed", {"const": {"a": 1}}, {"const": {"a": 1.0}}, []),
    Case("const of null", {"const": None}, {"const": 0}, ["!ENUM_ARRAY_CHANGED /const"]),
    Case("const went", {"const": 1}, {}, []),
]

PLAIN = [*WORDS, *TYPES, *STRINGS, *NUMBERS, *VALUES]
