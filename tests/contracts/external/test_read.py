"""Contracts as files: what is wrong with one is told with its place, whatever it is; nothing crashes or hangs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from interlock.contracts.estate_file import read_estate
from interlock.contracts.external.read import read_contract, read_file, schema_mistake
from interlock.domain.links import WebhookIn
from tests.contracts.tiny_estate import SMALL

ZONE = "    time_zone: America/New_York\n"
GOOD = {"versions": [{"version": "1", "schema": {"type": "object"}}]}


def mistakes(raw: Any, folder: Path = Path()) -> list[tuple[str, str]]:
    contract, found = read_contract("agreed", raw, folder)
    assert (contract is None) == bool(found)
    return found


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"versions": []}, "versions", "less than 1"),
        ({"policy": {"unknown_field": "shout"}}, "policy.unknown_field", "shout"),
        ({"policy": {"odd": "warn"}}, "policy", "odd"),
        ({"colour": "red"}, "", "colour"),
        ({"compatibility": "SIDEWARD"}, "compatibility", "SIDEWARD"),
        ({"version": "7"}, "version", "7 is none of its versions"),
        ({"versions": [{"version": 1, "schema": {}}]}, "versions[0].version", "string"),
        ({"versions": [{"version": "1"}]}, "versions[0]", "it says none"),
        (
            {"versions": [{"version": "1", "schema": {}, "columns": [{"name": "a"}]}]},
            "versions[0]",
            "it says schema and columns",
        ),
        ({"versions": [{"version": "1", "schema": {}}] * 2}, "versions[1].version", "twice"),
        (
            {"versions": [{"version": "1", "schema": {}}, {"version": "2", "schema": {}}]},
            "version_at",
            "nothing says which",
        ),
        ({"versions": [{"version": "1", "columns": [{"name": "a"}] * 2}]}, "versions[0].columns", "a is there twice"),
        ({"versions": [{"version": "1", "segments": [{"segment": "b"}]}]}, "versions[0].segments[0].segment", "match"),
        (
            {"versions": [{"version": "1", "segments": [{"segment": "N1", "min": 3, "max": 2}]}]},
            "versions[0].segments[0]",
            "max is less than min",
        ),
    ],
)
def test_a_contract_that_makes_no_sense_is_told_with_its_place(change: dict[str, Any], place: str, says: str) -> None:
    ((path, sentence), *_) = mistakes({**GOOD, **change})

    assert path == place
    assert says in sentence


BOMB: Any = {
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "string"}},
    "properties": {"a": {"$ref": "#/$defs/d0"}},
}
NESTED: Any = {"type": "object"}
for _ in range(200):
    NESTED = {"properties": {"a": NESTED}}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (5, "a JSON Schema is an object"),
        ({"type": "strin"}, "strin"),
        ({"properties": 5}, "5 is not of type"),
        ({"$ref": "#/nope"}, "nope"),
        ({"$ref": "other.json"}, "other.json"),
        ({"$ref": "http://127.0.0.1:1/x.json"}, "127.0.0.1"),
        ({"pattern": "("}, "regex"),
        ({"minimum": float("nan")}, "nan is no number"),
        ({"const": "\ud800"}, "lone surrogate"),
        ({"$schema": "urn:odd"}, "urn:odd"),
        (BOMB, "its parts refer to one another so often"),
        ({"pattern": "((a{100}){100}){100}"}, "regex"),
        (NESTED, "nested more than 100 levels"),
    ],
)
def test_a_schema_that_is_none_is_told(schema: Any, says: str) -> None:
    assert says in schema_mistake(schema)


@pytest.mark.parametrize(
    "schema",
    [True, {}, {"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}],
)
def test_schemas_that_refer_to_themselves_are_schemas(schema: Any) -> None:
    assert schema_mistake(schema) == ""


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ("a.json", b'{"a": NaN}', "NaN is no JSON"),
        ("a.json", b"[" * 1_000_000, "nested too deeply"),
        ("a.json", b'{"a": ', "Expecting value"),
        ("a.json", '{"a": "é"}'.encode("cp1252"), "0xe9"),
        ("a.json", '{"a": 1}'.encode("utf-16"), "0xff"),
        ("a.yaml", b"a: 1\na: 2\n", "line 2"),
        ("a.yaml", b"[" * 1_000_000, "line 1"),
        ("a.yaml", b"a: !!python/object 1\n", "line 1"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)

    value, flaws = read_file(tmp_path / name)

    assert value is None
    assert says in flaws[0]


def test_a_lone_surrogate_in_a_schema_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"const": "\\ud800"}')

    assert mistakes({"versions": [{"version": "1", "schema": "s.json"}]}, tmp_path) == [
        ("versions[0].schema", "a text in it holds a lone surrogate: '\\ud800'")
    ]


def test_a_contract_and_its_schemas_may_stand_in_files_beside_the_estate(tmp_path: Path) -> None:
    (tmp_path / "partners").mkdir()
    (tmp_path / "partners" / "orders.json").write_bytes(msgspec.json.encode({"required": ["id"]}))
    (tmp_path / "partners" / "shop.yaml").write_text('versions:\n- {version: "1", schema: orders.json}\n')

    contract, found = read_contract("shop", {"file": "partners/shop.yaml"}, tmp_path)

    assert found == []
    assert contract is not None
    assert (contract.name, contract.versions[0].schema) == ("shop", {"required": ["id"]})


def test_a_file_that_is_not_there_is_told() -> None:
    assert mistakes({"file": "gone.yaml"}) == [("", "gone.yaml: No such file or directory")]
    assert mistakes({"versions": [{"version": "1", "schema": "gone.json"}]}) == [
        ("versions[0].schema", "gone.json: No such file or directory")
    ]


def test_two_texts_of_a_contract_have_two_digests_and_the_same_text_has_one() -> None:
    one, other = (
        read_contract("a", GOOD, Path())[0],
        read_contract("a", {**GOOD, "policy": {"other": "warn"}}, Path())[0],
    )

    assert one is not None
    assert other is not None
    assert one.digest() == read_contract("a", dict(GOOD), Path())[0].digest()  # type: ignore[union-attr]
    assert one.digest() != other.digest()


# In the estate


def with_link(link: str, contracts: str) -> str:
    listed = f"    connection:\n      inbound:\n        - {link}\n"
    return SMALL.replace(ZONE, ZONE + listed, 1) + "mappings: {own: {records: []}}\n" + contracts


HOOK = "{{kind: webhook, name: hook, format: {form}, mapping: own, contract: agreed}}"
SCHEMA = 'contracts:\n  agreed:\n    versions:\n    - {version: "1", schema: {type: object}}\n'
COLUMNS = 'contracts:\n  agreed:\n    versions:\n    - {version: "1", columns: [{name: a}]}\n'
SEGMENTS = 'contracts:\n  agreed:\n    versions:\n    - {version: "1", segments: [{segment: N1}]}\n'


@pytest.mark.parametrize(
    ("form", "contract"),
    [("json", SCHEMA), ("csv", COLUMNS), ("json", COLUMNS), ("csv", SCHEMA), ("x12", SEGMENTS), ("poslog", SCHEMA)],
)
def test_a_link_names_the_contract_of_what_comes_by_it(form: str, contract: str) -> None:
    estate, found = read_estate(with_link(HOOK.format(form=form), contract), "estate.yaml")

    assert found == []
    assert estate is not None
    (link,) = estate.systems["shop"].inbound  # type: ignore[index]
    assert isinstance(link, WebhookIn)
    assert link.contract == "agreed"
    assert estate.contracts["agreed"].versions[0].version == "1"


@pytest.mark.parametrize(
    ("link", "contract", "says"),
    [
        (
            HOOK.format(form="x12"),
            SCHEMA,
            "the contract agreed says schema, which documents of the format x12 do not have",
        ),
        (HOOK.format(form="poslog"), COLUMNS, "says columns, which documents of the format poslog do not have"),
        (HOOK.format(form="json").replace("agreed", "agred"), SCHEMA, "did you mean agreed?"),
        ("{kind: folder, path: in, records: sales, contract: agreed}", SCHEMA, "rows that no mapping reads"),
        (HOOK.format(form="json"), SCHEMA.replace("object}", "strin}"), "contracts.agreed.versions[0].schema: type: "),
        (HOOK.format(form="json"), "contracts: {agreed: {file: gone.yaml}}\n", "contracts.agreed: gone.yaml"),
    ],
)
def test_a_contract_that_does_not_fit_is_told_at_its_line(link: str, contract: str, says: str) -> None:
    _, found = read_estate(with_link(link, contract), "estate.yaml")

    assert len(found) == 1, found
    assert says in str(found[0])


def test_the_published_form_of_a_contract_is_a_schema() -> None:
    path = Path(__file__).parents[3] / "src/interlock/contracts/schemas/partner-contract-1.json"

    assert jsonschema_rs.meta.is_valid(msgspec.json.decode(path.read_bytes()))
