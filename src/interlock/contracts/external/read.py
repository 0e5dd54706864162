"""A partner's contract, from its file or from the estate: read, checked, and every mistake told with its place.

    contract, mistakes = read_contract("shop-orders", raw, folder)

A JSON Schema stands in it, or in a file beside it. Whatever a schema refers to must be inside of it: nothing is fetched.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec

from interlock.contracts.estate_yaml import BYTES_MAX, compose
from interlock.contracts.external.trees import closed, compiled, path_of
from interlock.contracts.external.weight import WEIGHT_MAX, too_heavy
from interlock.domain.partner_contracts import PartnerContract

MISTAKES_MAX: Final = 20
LEVELS_MAX: Final = 100
Mistakes = list[tuple[str, str]]


def read_contract(name: str, raw: Any, folder: Path) -> tuple[PartnerContract | None, Mistakes]:
    """The contract that stands there, or in the file that `file` names; schema files begin at its folder.

    A mistake is the path in the contract and a sentence.
    """
    if isinstance(raw, dict) and "file" in raw:
        if set(raw) != {"file"} or not isinstance(raw["file"], str):
            return None, [("file", "a contract in a file has nothing beside it: only file, the path")]
        path = folder / raw["file"]
        raw, flaws = read_file(path)
        if flaws:
            return None, [("", f"{path.name}: {flaw}") for flaw in flaws[:MISTAKES_MAX]]
        folder = path.parent
    mistakes = [
        (path_of(error.instance_path), str(error.message)[:300]) for error in _format().iter_errors(_plain(raw))
    ][:MISTAKES_MAX]
    if mistakes:
        return None, mistakes
    versions = [
        _with_schema(each, f"versions[{place}]", folder, mistakes) for place, each in enumerate(raw["versions"])
    ]
    _rules(raw, versions, mistakes)
    if mistakes:
        return None, mistakes[:MISTAKES_MAX]
    return msgspec.convert({**raw, "name": name, "versions": versions}, PartnerContract), []


def read_file(path: Path) -> tuple[Any, list[str]]:
    """A YAML or JSON file as plain values, or why not."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        return None, [error.strerror or "unreadable"]
    if len(content) > BYTES_MAX:
        return None, [f"it has more than {BYTES_MAX:,} bytes"]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [f"the byte 0x{content[error.start]:02x} at {error.start} is no text in UTF-8"]
    if path.suffix.lower() == ".json":
        return _json(text)
    root, flaws = compose(text)
    if flaws:
        return None, [f"line {flaw.line}: {flaw.problem}; expected {flaw.expected}" for flaw in flaws]
    return (root.plain() if root is not None else None), []


def schema_mistake(schema: Any) -> str:
    """Why a value is no usable JSON Schema; "" where it is one."""
    if not isinstance(schema, dict | bool):
        return f"a JSON Schema is an object, or true or false, not {type(schema).__name__}"
    if sentence := _unfit(schema):
        return sentence
    try:
        if too_heavy(schema):
            return f"its parts refer to one another so often that one value would meet more than {WEIGHT_MAX:,} of them"
        compiled(schema)
        compiled(closed(schema))
    except ValueError as error:
        where = ".".join(map(str, getattr(error, "instance_path", ()))) or "the schema"
        return f"{where}: {getattr(error, 'message', str(error))}"[:300]
    except (RecursionError, BaseExceptionGroup) as error:
        return f"it is nested too deeply: {type(error).__name__}"
    return ""


@cache
def _format() -> Any:
    """The published form of a contract, compiled."""
    text = resources.files("interlock.contracts").joinpath("schemas/partner-contract-1.json").read_text("utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(text))


def _plain(raw: Any) -> Any:
    """What is to be held against the form: the schemas in it are looked at by themselves."""
    if not isinstance(raw, dict) or not isinstance(raw.get("versions"), list):
        return raw
    versions = [
        {**each, "schema": True} if isinstance(each, dict) and isinstance(each.get("schema"), dict) else each
        for each in raw["versions"]
    ]
    return {**raw, "versions": versions}


def _with_schema(version: dict[str, Any], where: str, folder: Path, mistakes: Mistakes) -> dict[str, Any]:
    """The version with its schema read from the file that it names."""
    schema = version.get("schema")
    if schema is None:
        return version
    if isinstance(schema, str):
        name = schema
        schema, flaws = read_file(folder / name)
        if flaws:
            mistakes += [(f"{where}.schema", f"{name}: {flaw}") for flaw in flaws[:3]]
            return version
    if sentence := schema_mistake(schema):
        mistakes.append((f"{where}.schema", sentence))
    return {**version, "schema": schema}


def _rules(raw: dict[str, Any], versions: list[dict[str, Any]], mistakes: Mistakes) -> None:
    """What no form can say."""
    seen = set()
    for place, each in enumerate(versions):
        where = f"versions[{place}]"
        said = [name for name in ("schema", "columns", "segments") if name in each]
        if len(said) != 1:
            mistakes.append(
                (where, f"it should say one of schema, columns, segments; it says {' and '.join(said) or 'none'}")
            )
        if (key := (each.get("kind", ""), each["version"])) in seen:
            mistakes.append((f"{where}.version", f"the version {key[1]} is there twice"))
        seen.add(key)
        for part, names in (
            ("columns", [column["name"] for column in each.get("columns", ())]),
            ("segments", [segment["segment"] for segment in each.get("segments", ())]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None) if len(names) < 2000 else None
            if twice is not None:
                mistakes.append((f"{where}.{part}", f"{twice} is there twice"))
        for number, segment in enumerate(each.get("segments", ())):
            if segment.get("max", segment.get("min", 0)) < segment.get("min", 0):
                mistakes.append((f"{where}.segments[{number}]", "max is less than min"))
    of_kind: dict[str, set[str]] = {}
    for each in versions:
        of_kind.setdefault(each.get("kind", ""), set()).add(each["version"])
    several = any(len(known) > 1 for known in of_kind.values())
    if several and "version_at" not in raw and "version" not in raw:
        mistakes.append(("version_at", "it has several versions, and nothing says which one a document is of"))
    if "version" in raw and not any(raw["version"] in known for known in of_kind.values()):
        mistakes.append(("version", f"{raw['version']} is none of its versions"))


def _json(text: str) -> tuple[Any, list[str]]:
    """Strict JSON: no key twice, no NaN."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {key!r} is there twice")
            found[key] = value
        return found

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse), []
    except RecursionError:
        return None, ["it is nested too deeply"]
    except ValueError as error:
        return None, [str(error)[:200]]


def _unfit(schema: Any) -> str:
    """What keeps a value from being asked about at all: depth, lone surrogates, numbers that are none."""
    stack = [(schema, 1)]
    while stack:
        value, level = stack.pop()
        if level > LEVELS_MAX:
            return f"it is nested more than {LEVELS_MAX} levels deep"
        if isinstance(value, dict):
            stack += [(each, level + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            stack += [(each, level + 1) for each in value]
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                return f"a text in it holds a lone surrogate: {ascii(value)[:80]}"
        elif isinstance(value, float) and value - value != 0:
            return f"{value} is no number"
    return ""
