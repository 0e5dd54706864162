"""`estate.yaml`: read it, check it, and tell every mistake in one go, each with its place and what was meant.

    text ─▶ estate_yaml   values that know their line          syntax, repeated keys, tags
         ─▶ estate_schema the published schema, walked         fields, types, words, names, codes, durations
         ─▶ estate_rules  rules between the fields             scopes, folders, who can serve what
         ─▶ here          Estate, as `domain/estate.py` has it

docs/estate.md tells what every field means; its tables come from the same schema.
"""

from __future__ import annotations

import os.path
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from interlock.contracts.estate_mistakes import Mistake, dotted
from interlock.contracts.estate_rules import check_rules
from interlock.contracts.estate_schema import Schema, Walk, resolved, schema
from interlock.contracts.estate_yaml import BYTES_MAX, Spot, compose
from interlock.contracts.mapping_files import read_mapping_file
from interlock.domain.errors import EstateInvalid
from interlock.domain.estate import FACTS, Estate

__all__ = ["Mistake", "check_estate", "load_estate", "read_estate", "schema", "starter"]


def load_estate(path: Path) -> Estate:
    """The estate in the file, its folders as absolute paths. Raises EstateInvalid with every mistake."""
    estate, mistakes = _read_file(path)
    if estate is None:
        raise EstateInvalid([str(mistake) for mistake in mistakes])
    return estate


def check_estate(path: Path) -> list[Mistake]:
    """Every mistake in the file, in the order of its lines; none where it is right."""
    return _read_file(path)[1]


def read_estate(text: str, name: str) -> tuple[Estate | None, list[Mistake]]:
    """The estate in the text and its mistakes; there is an estate exactly when there are no mistakes.

    `name` is the file's path as messages show it; relative folders begin at its directory.
    """
    return _read(text, name, Path(name).parent)


def starter() -> str:
    """A commented estate to begin with: a small retailer, valid as it is."""
    return resources.files("interlock.contracts").joinpath("starter/estate.yaml").read_text("utf-8")


def _read_file(path: Path) -> tuple[Estate | None, list[Mistake]]:
    """The file read and checked; that it cannot be read is a mistake as well."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        text = content.decode("utf-8")
    except OSError as error:
        return None, [
            _unread(path, 1, error.strerror or "unreadable", "a file; `interlock init` writes one to begin with")
        ]
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return None, [_unread(path, line, f"found the byte 0x{content[error.start]:02x}", "text in UTF-8")]
    return _read(text, str(path), path.absolute().parent)


def _unread(path: Path, line: int, problem: str, expected: str) -> Mistake:
    return Mistake(file=str(path), line=line, column=1, path="", value="", problem=problem, expected=expected)


def _read(text: str, name: str, base: Path) -> tuple[Estate | None, list[Mistake]]:
    """Text to estate: every step that can still say something adds its mistakes."""
    root, flaws = compose(text)
    walk = Walk(name, root)
    for flaw in flaws:
        walk.tell_flaw(flaw)
    values = None
    if root is not None:
        values = walk.walk()
        if isinstance(values, dict):
            check_rules(walk, values, base)
        if not walk.mistakes:
            _ask_published_schema(walk, root)
    if walk.mistakes or not isinstance(values, dict):
        return None, sorted(walk.mistakes, key=lambda mistake: (mistake.line, mistake.column))
    return _estate(values, base), []


@cache
def _validator() -> Any:
    """The published schema, compiled."""
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(dict(schema()))


def _ask_published_schema(walk: Walk, root: Spot) -> None:
    """What the published schema refuses is refused, even if our own walk had overlooked it."""
    for error in _validator().iter_errors(root.plain()):
        path = tuple(error.instance_path)
        walk.tell_at(path, None, f"{dotted(path) or 'the file'} does not fit the published schema", error.message)


def _estate(values: dict[str, Any], base: Path) -> Estate:
    """Checked values as the domain has them: fields renamed, what is not given filled in, paths made
    whole.
    """
    fields = _renamed(values, schema())
    currency = fields["currency"]
    duties = dict(fields.get("exceptions", {}))
    default_duty = {"default_duty": duties.pop("default")} if "default" in duties else {}
    policies = fields.get("policies", {})
    channels = {
        name: {
            "id": name,
            "currency": currency,
            **channel,
            "sourcing": _sourcing(channel["sourcing"], policies),
        }
        for name, channel in fields["channels"].items()
    }
    converted: Estate = msgspec.convert(
        {
            "retailer": fields["retailer"],
            "currency": currency,
            "systems": {name: _system(name, system, currency, base) for name, system in fields["systems"].items()},
            "nodes": {name: {"id": name, **node} for name, node in fields["nodes"].items()},
            "channels": channels,
            **{name: fields[name] for name in _AS_THEY_ARE if name in fields},
            "mappings": {name: _mapping(base, value) for name, value in fields.get("mappings", {}).items()},
            "subscriptions": {name: {"name": name, **value} for name, value in fields.get("subscriptions", {}).items()},
            "contracts": {name: _contract(name, base, value) for name, value in fields.get("contracts", {}).items()},
            "duties": duties,
            **default_duty,
        },
        Estate,
    )
    return converted


_AS_THEY_ARE = ("sku_aliases", "node_aliases", "buffers", "zones", "two_masters")


def _mapping(base: Path, value: dict[str, Any]) -> dict[str, Any]:
    """A mapping that stands in the estate itself, or in the file that it names; the rules have made sure that it is there."""
    return read_mapping_file(base / value["file"])[0] or {} if "file" in value else value


def _contract(name: str, base: Path, value: dict[str, Any]) -> Any:
    """A partner's contract, as plain values; the rules have made sure that it can be read."""
    from interlock.contracts.external.read import read_contract

    return msgspec.to_builtins(read_contract(name, value, base)[0])


def _sourcing(sourcing: str | dict[str, Any], policies: dict[str, Any]) -> Any:
    """A channel's own policy, or the one that it names."""
    return policies[sourcing] if isinstance(sourcing, str) else sourcing


def _system(name: str, fields: dict[str, Any], currency: str, base: Path) -> dict[str, Any]:
    """One system: its connection laid open, facts that are not named observed, state words without
    capitals.
    """
    system = {"id": name, "currency": currency, "order_scope": name, **fields}
    connection = system.pop("connection", {})
    outbound = connection.get("outbound")
    system["authority"] = dict.fromkeys(FACTS, "observe") | system.get("authority", {})
    system["states"] = {word.casefold(): state for word, state in system.get("states", {}).items()}
    system["api_key_sha256"] = connection.get("api_key_sha256", [])
    system["inbound"] = [_at(base, folder) for folder in connection.get("inbound", [])]
    system["signature"] = connection.get("signature")
    system["outbound"] = _at(base, outbound) if isinstance(outbound, dict) else None
    return system


def _at(base: Path, connection: dict[str, Any]) -> dict[str, Any]:
    """A connection whose folder, if it is one, begins at the estate file's directory, and whose format has its options."""
    if isinstance(kind := connection.get("format"), str):
        connection = {**connection, "format": {"kind": kind}}
    if connection["kind"] != "folder":
        return connection
    return {**connection, "path": os.path.normpath(base / connection["path"])}


def _renamed(value: Any, part: Schema) -> Any:
    """The values under the names of `domain/estate.py`; what the file calls `ack_within` is `ack_within_s`
    there.
    """
    rule = resolved(part)
    if "x-any" in rule:
        return value
    if isinstance(value, dict):
        properties = rule.get("properties")
        if properties is None and "oneOf" in rule:
            branches = [resolved(branch) for branch in rule["oneOf"] if resolved(branch).get("type") == "object"]
            kind = value.get("kind")
            branch = next(
                b for b in branches if b["properties"].get("kind", {}).get("const") == kind or len(branches) == 1
            )
            return _renamed(value, branch)
        if properties is None:
            return {key: _renamed(entry, rule["additionalProperties"]) for key, entry in value.items()}
        return dict(_field(name, entry, properties[name]) for name, entry in value.items())
    if isinstance(value, list):
        return [_renamed(item, rule["items"]) for item in value]
    return value


def _field(name: str, value: Any, part: Schema) -> tuple[str, Any]:
    """A field's name and value in the domain; a field whose name ends in `_h` counts hours."""
    field = part.get("x-field", name)
    if field.endswith("_h"):
        value /= 3600
    return field, _renamed(value, part)
