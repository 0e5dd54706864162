"""Files that are no schemas: each is refused by name, place, what stands there and what was expected; none crashes or hangs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.contracts.compatibility import differences, schema_of
from interlock.contracts.compatibility.resolve import Draft
from interlock.contracts.json_text import read_json
from interlock.contracts.schema_files import load_schema, load_versions
from interlock.domain.errors import SchemaInvalid

STRING = b'{"type": "string"}'


def refused(path: Path, body: bytes) -> list[str]:
    """What is said of a file with this body, without the folder."""
    path.write_bytes(body)
    with pytest.raises(SchemaInvalid) as invalid:
        load_schema(path)
    assert all(each.startswith(f"{path}: ") for each in invalid.value.mistakes)
    return [each.removeprefix(f"{path}: ").removeprefix(f"{path}") for each in invalid.value.mistakes]


BAD_TEXTS: list[tuple[str, bytes, list[str]]] = [
    ("empty", b"", ["found an empty file; expected a JSON value"]),
    ("blank", b" \n\t", ["found an empty file; expected a JSON value"]),
    ("UTF-16 with a mark", STRING.decode().encode("utf-16"), ["byte 0: found text in UTF-16; expected text in UTF-8"]),
    ("UTF-16", STRING.decode().encode("utf-16-be"), ["byte 0: found text in UTF-16; expected text in UTF-8"]),
    ("UTF-32 with a mark", STRING.decode().encode("utf-32"), ["byte 0: found text in UTF-32; expected text in UTF-8"]),
    ("UTF-32", STRING.decode().encode("utf-32-le"), ["byte 0: found text in UTF-32; expected text in UTF-8"]),
    ("Latin-1", b'{\n"title": "Gr\xf6\xdfe"}', ["line 2, byte 14: found the byte 0xf6; expected text in UTF-8"]),
    ("half a character", b'{"title": "\xe2\x82"}', ["line 1, byte 11: found the byte 0xe2; expected text in UTF-8"]),
    ("a mark and a bad byte", b'\xef\xbb\xbf"\xff"', ["line 1, byte 4: found the byte 0xff; expected text in UTF-8"]),
    ("cut off", b'{"type": ', ["line 1, column 10: found the end of the text; expected JSON (Expecting value)"]),
    (
        "no JSON",
        b"{\n  type: string}",
        ["line 2, column 3: found 'type: string}'; expected JSON (Expecting property name enclosed in double quotes)"],
    ),
    ("more than one", b"{} {}", ["line 1, column 4: found '{}'; expected JSON (Extra data)"]),
    (
        "a key twice",
        b'{"properties": {"a/b": {"type": "string", "type": "number"}}}',
        ['/properties/a~1b/type: found the key "type" twice; expected each key once in an object'],
    ),
    (
        "several keys twice",
        b'{"a": 1, "a": 2, "b": {"c": 1, "c": 1, "c": 1}}',
        [
            '/a: found the key "a" twice; expected each key once in an object',
            '/b/c: found the key "c" twice; expected each key once in an object',
        ],
    ),
    ("NaN", b'{"maximum": NaN}', ["/maximum: found the number NaN; expected a number that a double can hold"]),
    (
        "infinity",
        b'{"items": [{"minimum": -Infinity}]}',
        ["/items/0/minimum: found the number -Infinity; expected a number that a double can hold"],
    ),
    (
        "too large",
        b'{"maximum": 1e999}',
        ["/maximum: found the number 1e999; expected a number that a double can hold"],
    ),
    (
        "too long",
        b'{"enum": [' + b"7" * 5000 + b"]}",
        [
            "/enum/0: found the number 77777777777777777777... (5000 characters); expected a number that a double can hold"
        ],
    ),
    (
        "a lone surrogate",
        b'{"properties": {"a": {"const": "x\\ud800"}}}',
        ['/properties/a/const: found a lone surrogate in "x\\ud800"; expected whole characters'],
    ),
    (
        "a lone surrogate in a key",
        b'{"properties": {"\\udc00": true}}',
        ['/properties: found a lone surrogate in the key "\\udc00"; expected whole characters'],
    ),
    (
        "a megabyte of brackets",
        b"[" * 1_000_000,
        ["found brackets nested 1000000 levels deep; expected at most 200 levels"],
    ),
    (
        "a megabyte of nesting",
        b'{"not":' * 150_000 + b"true" + b"}" * 150_000,
        ["found brackets nested 150000 levels deep; expected at most 200 levels"],
    ),
]


@pytest.mark.parametrize(("body", "said"), [case[1:] for case in BAD_TEXTS], ids=[case[0] for case in BAD_TEXTS])
def test_a_text_that_is_not_right_is_refused_with_its_place(tmp_path: Path, body: bytes, said: list[str]) -> None:
    began = time.process_time()

    assert refused(tmp_path / "order.json", body) == said
    assert time.process_time() - began < 2


BAD_SCHEMAS: list[tuple[str, Any, list[str]]] = [
    ("text", "string", ["found 'string'; expected a schema: a JSON object, true or false"]),
    ("a list", [], ["found []; expected a schema: a JSON object, true or false"]),
    ("null", None, ["found None; expected a schema: a JSON object, true or false"]),
    (
        "a type that there is not",
        {"properties": {"qty": {"type": "int"}}},
        [
            "/properties/qty/type: found 'int'; expected one of array, boolean, integer, null, number, object, string, "
            "or a list of them"
        ],
    ),
    (
        "properties that are no object",
        {"properties": ["a"]},
        ["/properties: found ['a']; expected the type object"],
    ),
    (
        "a draft that is not known",
        {"$schema": "https://shop.example/our-own"},
        [f"/$schema: found 'https://shop.example/our-own'; expected {', '.join(draft.value for draft in Draft)}"],
    ),
    (
        "a reference to nowhere",
        {"items": {"$ref": "#/$defs/line"}},
        ["/items/$ref: found '#/$defs/line'; expected a reference to a schema that is there"],
    ),
    (
        "a reference to something else",
        {"$ref": "#/title", "title": "x"},
        ["/$ref: found '#/title'; expected a reference to a schema that is there"],
    ),
    (
        "an anchor that is not there",
        {"$ref": "#line"},
        ["/$ref: found '#line'; expected a reference to a schema that is there"],
    ),
    (
        "a remote reference",
        {"properties": {"a": {"$ref": "https://shop.example/a.json#/x"}}},
        [
            "/properties/a/$ref: found 'https://shop.example/a.json#/x'; expected a reference into this file: nothing is fetched"
        ],
    ),
    (
        "a file beside it",
        {"$id": "https://shop.example/order.json", "$ref": "line.json"},
        ["/$ref: found 'line.json'; expected a reference into this file: nothing is fetched"],
    ),
    (
        "a reference to itself",
        {"$ref": "#"},
        [
            ": found 'asks itself again and again'; expected a recursion that steps into properties or items, so that it ends "
            "with the data"
        ],
    ),
    (
        "two that refer to each other",
        {
            "items": {"$ref": "#/$defs/a"},
            "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}},
        },
        [
            "/$defs/a: found 'asks itself again and again'; expected a recursion that steps into properties or items, so that "
            "it ends with the data"
        ],
    ),
    (
        "a mistake where only a reference leads",
        {"$ref": "#/components/a", "components": {"a": {"properties": {"b": 5}}}},
        ["/components/a/properties/b: found 5; expected one of the types boolean, object"],
    ),
    (
        "a reference that is no address",
        {"$ref": "http://[x"},
        ["/$ref: found 'http://[x'; expected a reference into this file: nothing is fetched"],
    ),
    ("nested groups without end", {"pattern": "(" * 5_000 + ")" * 5_000}, ["/pattern: found '(((((((((("]),
    ("a bad pattern", {"pattern": "(a"}, ["/pattern: found '(a'; expected a regular expression"]),
    (
        "a bad pattern as a name",
        {"patternProperties": {"[": True}},
        ["/patternProperties: found '['; expected regular expressions as names"],
    ),
]


@pytest.mark.parametrize(("value", "said"), [case[1:] for case in BAD_SCHEMAS], ids=[case[0] for case in BAD_SCHEMAS])
def test_a_value_that_is_no_schema_is_refused_with_its_place(tmp_path: Path, value: Any, said: list[str]) -> None:
    found = refused(tmp_path / "order.json", json.dumps(value).encode())

    assert [each[: len(told)] for each, told in zip(found, said, strict=True)] == [
        each.removeprefix(": ") for each in said
    ]
    assert all("; expected " in each for each in found)


@pytest.mark.parametrize("pattern", [r"^[\w-.]+$", r"^a\Z", r"(\w{1,1000}){1,100}", r"(?<!x)y", r"^\p{L}+$"])
def test_a_pattern_that_some_engine_reads_is_let_through(pattern: str) -> None:
    assert schema_of({"pattern": pattern}).value == {"pattern": pattern}


def test_all_mistakes_are_told_in_one_go(tmp_path: Path) -> None:
    body = json.dumps({"properties": {f"p{n}": {"maxLength": -1} for n in range(3)}, "required": [1]}).encode()

    assert [each.split(":")[0] for each in refused(tmp_path / "a.json", body)] == [
        "/properties/p0/maxLength",
        "/properties/p1/maxLength",
        "/properties/p2/maxLength",
        "/required/0",
    ]


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid, match=r"gone\.json: No such file or directory; expected a file with a schema"):
        load_schema(tmp_path / "gone.json")


def test_a_byte_order_mark_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    path.write_bytes(b"\xef\xbb\xbf" + STRING)

    assert load_schema(path).value == {"type": "string"}


def test_yaml_is_read_as_json_is(tmp_path: Path) -> None:
    path = tmp_path / "order.yaml"
    path.write_text("type: object\nproperties:\n  qty: {type: integer, maximum: 9}\nrequired: [qty]\n")

    assert load_schema(path).value == {
        "type": "object",
        "properties": {"qty": {"type": "integer", "maximum": 9}},
        "required": ["qty"],
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "found an empty file; expected a schema"),
        (
            b"type: string\ntype: number\n",
            "line 2, column 1: found written twice, first on line 1; expected each key once",
        ),
        (b"type: [string\n", "line 2, column 1: found"),
        (b"a: &a [*a]\n", "line 1, column 8: found the alias *a is inside its own anchor; expected a value that ends"),
        (b"type: !!python/object:os.system x\n", "line 1, column 7: found the tag"),
        (b"\xff\xfea\x00", "byte 0: found text in UTF-16; expected text in UTF-8"),
        (b"- - " * 100, "line 1, column"),
    ],
)
def test_yaml_that_is_not_right_is_refused_with_its_place(tmp_path: Path, body: bytes, said: str) -> None:
    assert refused(tmp_path / "order.yaml", body)[0].startswith(said)


def test_the_draft_is_the_declared_one_or_is_told_by_keywords() -> None:
    drafts = {
        "http://json-schema.org/draft-04/schema#": Draft.D4,
        "http://json-schema.org/draft-06/schema": Draft.D6,
        "http://json-schema.org/draft-07/schema#": Draft.D7,
        "https://json-schema.org/draft-07/schema#": Draft.D7,
        "https://json-schema.org/draft/2019-09/schema": Draft.D2019,
        "http://json-schema.org/draft/2020-12/schema#": Draft.D2020,
    }

    assert {name: schema_of({"$schema": name}).draft for name in drafts} == drafts
    assert schema_of({}).draft is Draft.D2020
    assert schema_of(True).draft is Draft.D2020
    assert schema_of({"properties": {"a": {"items": [True]}}}).draft is Draft.D7
    assert schema_of({"items": {"minimum": 0, "exclusiveMinimum": True}}).draft is Draft.D4


def test_versions_in_a_folder_come_by_their_numbers(tmp_path: Path) -> None:
    for name in ("10.json", "9.json", "2.yaml", "notes.txt"):
        (tmp_path / name).write_text('{"title": "' + name + '"}')

    assert [Path(each.name).name for each in load_versions([tmp_path])] == ["2.yaml", "9.json", "10.json"]


def test_a_folder_without_schemas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaInvalid, match="found a folder without schemas; expected files ending in .json or .yaml"):
        load_versions([tmp_path])


def test_a_deep_value_that_was_not_read_from_a_file_is_refused_too() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"not": schema}

    with pytest.raises(SchemaInvalid, match="nested too deeply; expected at most 200 levels"):
        schema_of(schema)


def test_two_hundred_levels_are_read_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(b'{"not":' * 199 + b"{}" + b"}" * 199)

    assert load_schema(path).root().shape == "not"


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_flaw(body: bytes) -> None:
    value, flaws = read_json(body)

    if not flaws:
        assert json.loads(body) == value or value != value


KEYWORDS = ["type", "properties", "items", "required", "enum", "const", "allOf", "oneOf", "not", "$ref", "$defs", "$id"]
KEYWORDS += [
    "$anchor",
    "maxLength",
    "pattern",
    "additionalProperties",
    "patternProperties",
    "dependencies",
    "if",
    "then",
]
KEYWORDS += ["$schema", "prefixItems", "multipleOf", "contains", "unevaluatedItems", "dependentRequired", "default"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["string", "object", "#", "#/items", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=500)
@given(JSON)
def test_any_value_is_a_schema_or_is_refused_in_words(value: Any) -> None:
    try:
        assert differences(schema_of(value, "it"), value) == []
    except SchemaInvalid as invalid:
        assert all(each.startswith("it: ") and "; expected " in each for each in invalid.mistakes)
