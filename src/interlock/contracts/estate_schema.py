"""Explains, against the published schema, every place where an estate departs from it.

`schemas/estate-1.json` is the one description of the file. Beside the JSON Schema keywords it carries ours,
which other validators pass over:

    x-expected    what should stand here, in words, for the message
    x-names       the value must be a name of this section of the file: systems, nodes, channels, policies
    x-key-names   the same, for the keys of a mapping
    x-check       a check that a schema cannot express: see CHECKS
    x-field       the field of `domain/estate.py` that takes the value, where its name differs

jsonschema-rs could say *that* a file is wrong; it cannot say it with a line, a name that was probably meant,
or in words that a store manager understands. So we walk the schema ourselves; `estate_file.py` still asks
jsonschema-rs whether all is well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from interlock.contracts.estate_checks import CHECKS, UNKNOWN
from interlock.contracts.estate_mistakes import (
    HOW_TO_HASH,
    SECRET_FIELDS,
    Mistake,
    Path,
    did_you_mean,
    dotted,
    expectation,
    may_be_secret,
    plainly,
    shown,
)
from interlock.contracts.estate_yaml import Flaw, Spot

Schema = Mapping[str, Any]

# The keywords that the walk below understands; a test holds the schema to them.
KEYWORDS = frozenset(
    [
        "$ref",
        "type",
        "const",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "properties",
        "required",
        "additionalProperties",
        "propertyNames",
        "minProperties",
        "items",
        "minItems",
        "uniqueItems",
        "oneOf",
        "default",
        "description",
        "x-expected",
        "x-names",
        "x-any",
        "x-key-names",
        "x-check",
        "x-field",
    ]
)
_NAMES_LISTED_MAX = 12
_SECTIONS = ("systems", "nodes", "channels", "policies", "contracts")


@cache
def schema() -> Schema:
    """The published schema of `estate.yaml`, version 1."""
    text = resources.files("interlock.contracts").joinpath("schemas/estate-1.json").read_text("utf-8")
    parsed: Schema = json.loads(text)
    return parsed


def resolved(part: Schema) -> Schema:
    """The part of the schema with what it refers to; its own words win."""
    reference = part.get("$ref")
    return part if reference is None else {**_definition(reference), **part}


@cache
def _definition(reference: str) -> Schema:
    definition: Schema = schema()["$defs"][reference.removeprefix("#/$defs/")]
    return definition


class Walk:
    """One walk over a file: collects mistakes, and gives back the values that can be trusted."""

    def __init__(self, file: str, root: Spot | None) -> None:
        self.file = file
        self.root = root
        self.mistakes: list[Mistake] = []
        self.names: dict[str, set[str] | None] = {}

    def walk(self) -> Any:
        """The whole file as plain values; what is wrong in it is `UNKNOWN`."""
        assert self.root is not None
        if isinstance(self.root.value, dict):
            sections = {
                name: self.root.value[key] for key, name in _meant(self.root.value, schema()["properties"]).items()
            }
            for name in _SECTIONS:
                # A section that is no mapping is one mistake; that every reference to it fails is not news.
                section = sections.get(name)
                known: set[str] | None = set() if section is None and name in ("policies", "contracts") else None
                self.names[name] = set(section.value) if section and isinstance(section.value, dict) else known
        return self.value(self.root, schema(), (), (self.root.line, self.root.column))

    def value(self, spot: Spot, part: Schema, path: Path, key_at: tuple[int, int]) -> Any:
        """The value as Python has it, or UNKNOWN with at least one mistake told."""
        rule = _rule(part)
        if not rule:
            return UNKNOWN  # a field of a connection whose kind is wrong: nothing can be said of it
        found = spot.value
        at = key_at if found is None else (spot.line, spot.column)
        if "oneOf" in rule:
            branch = _branch(rule["oneOf"], found)
            if branch is None:
                return self.wrong(at, path, found, rule)
            return self.value(spot, branch, path, key_at)
        if not _fits(found, rule.get("type")):
            return self.wrong(at, path, found, rule, _quotes(spot, rule))
        if "x-any" in rule:
            return spot.plain()
        if isinstance(found, dict):
            return self.mapping(spot, rule, path, key_at)
        if isinstance(found, list):
            return self.sequence(spot, rule, path, key_at)
        if "const" in rule and found != rule["const"]:
            return self.wrong(at, path, found, rule)
        if "enum" in rule and found not in rule["enum"]:
            return self.wrong(at, path, found, rule, did_you_mean(str(found), rule["enum"]))
        if (isinstance(found, str) and not _text_fits(found, rule)) or (
            _is_number(found) and not _number_fits(found, rule)
        ):
            return self.wrong(at, path, found, rule, HOW_TO_HASH if rule.get("x-check") == "sha256" else "")
        if isinstance(found, str) and "${" in found:
            what = "the text itself: only token_env and secrets_env name variables, nothing else is filled in"
            return self.wrong(at, path, found, {"x-expected": what})
        if "x-names" in rule and not self.known(at, path, found, rule["x-names"]):
            return UNKNOWN
        if "x-check" in rule:
            return self.checked(at, path, found, rule)
        return int(found) if rule.get("type") == "integer" else found  # 2e3 is a whole number too

    def mapping(self, spot: Spot, rule: Schema, path: Path, key_at: tuple[int, int]) -> Any:
        """Field by field, or entry by entry where the keys are free."""
        if "properties" in rule:
            return self.fields(spot, rule, path, key_at)
        if len(spot.value) < rule.get("minProperties", 0):
            return self.tell(key_at, path, {}, "found nothing in it", "at least one entry")
        entries: dict[str, Any] = {}
        for key, child in spot.value.items():
            at, here = spot.keys[key], (*path, key)
            if "propertyNames" in rule and not _text_fits(key, (names := _rule(rule["propertyNames"]))):
                self.tell(at, here, key, f"found {shown(key)}", expectation(names))
            elif "x-key-names" in rule:
                self.known(at, here, key, rule["x-key-names"])
            entries[key] = self.value(child, rule["additionalProperties"], here, at)
        return entries

    def fields(self, spot: Spot, rule: Schema, path: Path, key_at: tuple[int, int]) -> dict[str, Any]:
        """The named fields of a mapping; a misspelt one is told, then read as what was probably meant."""
        properties: Schema = rule["properties"]
        meant = _meant(spot.value, properties)
        fields: dict[str, Any] = {}
        for key, child in spot.value.items():
            at, name = spot.keys[key], meant.get(key)
            if key not in properties:
                self.unknown_field(at, (*path, key), key, name, properties, spot.value)
            if name is not None:
                fields[name] = self.value(child, properties[name], (*path, key), at)
        for name in rule.get("required", ()):
            if name not in fields:
                where = (*path, name)
                fields[name] = self.tell(key_at, where, None, "missing", expectation(_rule(properties[name])))
        return fields

    def sequence(self, spot: Spot, rule: Schema, path: Path, key_at: tuple[int, int]) -> Any:
        """Item by item."""
        if len(spot.value) < rule.get("minItems", 0):
            return self.tell(key_at, path, [], "found an empty list", "at least one entry")
        items = [
            self.value(child, rule["items"], (*path, place), (child.line, child.column))
            for place, child in enumerate(spot.value)
        ]
        if rule.get("uniqueItems"):
            for place, item in enumerate(items):
                if item is not UNKNOWN and item in items[:place]:
                    child = spot.value[place]
                    self.tell(
                        (child.line, child.column),
                        (*path, place),
                        item,
                        f"found {shown(item)} again",
                        "each entry once",
                    )
        return items

    def checked(self, at: tuple[int, int], path: Path, found: Any, rule: Schema) -> Any:
        """The value after a check that no schema can express."""
        try:
            return CHECKS[rule["x-check"]](found)
        except ValueError as error:
            meant = error.args[1] if len(error.args) > 1 else ()
            guess = f"did you mean {meant}?" if isinstance(meant, str) else did_you_mean(str(found), meant)
            return self.wrong(at, path, found, rule, guess)

    def known(self, at: tuple[int, int], path: Path, found: str, section: str) -> bool:
        """Whether the name is one of the section's; told where it is not."""
        names = self.names.get(section)
        if names is None or found in names:
            return True
        what = f"the id of one of {section}{_listed(names)}"
        self.tell(
            at,
            path,
            found,
            f"found {shown(found)}, which {section} does not have",
            what,
            did_you_mean(found, names),
        )
        return False

    def unknown_field(
        self,
        at: tuple[int, int],
        path: Path,
        key: str,
        meant: str | None,
        properties: Schema,
        siblings: Mapping[str, Spot],
    ) -> None:
        """A field that nobody knows: what was meant, how to keep a secret out, or what there is to choose
        from.
        """
        hint = f"did you mean {meant}?" if meant else ""
        if not hint and SECRET_FIELDS.search(key):
            hint = HOW_TO_HASH
        if not hint:
            there = get_close_matches(key.casefold(), [name for name in properties if name in siblings], 1, 0.7)
            hint = f"{there[0]} is there already" if there else ""
        what = "one of " + ", ".join(properties)
        self.tell(at, path, key, f"unknown field {shown(key)}", what, hint)

    def wrong(self, at: tuple[int, int], path: Path, found: Any, rule: Schema, suggestion: str = "") -> Any:
        """A value that is not what the schema wants; a secret's value is not repeated."""
        if found is None:
            return self.tell(at, path, None, "found nothing", expectation(rule), suggestion)
        if may_be_secret(path, found):
            hidden = "a value that is not repeated here, because it may be a secret"
            return self.tell(at, path, hidden, f"found {hidden}", expectation(rule), suggestion)
        return self.tell(at, path, found, f"found {shown(found)}", expectation(rule), suggestion)

    def tell(
        self, at: tuple[int, int], path: Path, value: Any, problem: str, expected: str, suggestion: str = ""
    ) -> Any:
        """Keep a mistake; gives UNKNOWN, for the place of the value."""
        self.mistakes.append(
            Mistake(
                file=self.file, line=at[0], column=at[1], path=dotted(path), value=plainly(value),
                problem=problem, expected=expected, suggestion=suggestion,
            )
        )  # fmt: skip
        return UNKNOWN

    def tell_flaw(self, flaw: Flaw) -> None:
        """Keep a flaw of the YAML as a mistake."""
        self.tell((flaw.line, flaw.column), flaw.path, None, flaw.problem, flaw.expected)

    def tell_at(self, path: Path, value: Any, problem: str, expected: str, suggestion: str = "") -> None:
        """Keep a mistake at the place in the file where the path leads, as far as it leads."""
        self.tell(self.place(path), path, value, problem, expected, suggestion)

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of the key or item that the path names, or of the nearest thing above it."""
        spot, at = self.root, (1, 1)
        for step in path:
            if spot is None:
                break
            if isinstance(spot.value, dict) and step in spot.value:
                at, spot = spot.keys[str(step)], spot.value[str(step)]
            elif isinstance(spot.value, list) and isinstance(step, int) and step < len(spot.value):
                spot = spot.value[step]
                at = (spot.line, spot.column)
            else:
                break
        return at


def _quotes(spot: Spot, rule: Schema) -> str:
    """What to do about a number without quotes where text belongs, or the other way round."""
    if rule.get("type") == "string" and _is_number(spot.value):
        return f'write it in quotes: "{spot.raw}"'
    if (
        rule.get("type") in ("integer", "number")
        and isinstance(spot.value, str)
        and re.fullmatch(r"-?[0-9.]+", spot.value)
    ):
        return f"write it without quotes: {spot.value}"
    return ""


def _meant(written: Iterable[str], properties: Schema) -> dict[str, str]:
    """For each key that was written, the field that it is or probably should be. Each field is given away
    once.
    """
    written = list(written)
    free = [name for name in properties if name not in written]
    meant: dict[str, str] = {}
    for key in written:
        if key in properties:
            meant[key] = key
        elif close := get_close_matches(key.casefold(), free, 1, 0.7):
            meant[key] = close[0]
            free.remove(close[0])
    return meant


def _listed(names: set[str]) -> str:
    """Names in brackets where they are few enough to read."""
    return f" ({', '.join(sorted(names))})" if 0 < len(names) <= _NAMES_LISTED_MAX else ""


_rules: dict[int, Schema] = {}


def _rule(part: Schema) -> Schema:
    """`resolved`, remembered: the schema's parts live as long as the program, so their identity is a key."""
    rule = _rules.get(id(part))
    if rule is None:
        rule = _rules[id(part)] = resolved(part)
    return rule


def _branch(branches: Sequence[Schema], found: Any) -> Schema | None:
    """The alternative that the value means: for a mapping the one of its `kind`, else the one of its type."""
    mappings = [rule for rule in map(_rule, branches) if rule.get("type") == "object"]
    if isinstance(found, dict):
        kind = found["kind"].value if "kind" in found else None
        tagged = [rule for rule in mappings if rule["properties"].get("kind", {}).get("const") == kind]
        if tagged or len(mappings) == 1:
            return (tagged or mappings)[0]
        kinds = tuple(rule["properties"]["kind"]["const"] for rule in mappings)
        return _any_kind(kinds, tuple(name for rule in mappings for name in rule["properties"]))
    for rule in map(_rule, branches):
        if rule.get("type") != "object" and _fits(found, rule.get("type")) and found == rule.get("const", found):
            return rule
    return None


@cache
def _any_kind(kinds: tuple[str, ...], fields: tuple[str, ...]) -> Schema:
    """Where the kind itself is wrong: all that is checked is the kind; the other fields are anybody's."""
    anything: dict[str, Schema] = {name: {} for name in fields}
    return {
        "type": "object",
        "properties": {**anything, "kind": {"type": "string", "enum": kinds}},
        "required": ["kind"],
    }


def _fits(found: Any, kind: str | Sequence[str] | None) -> bool:
    """Whether the value is of the JSON type, or of one of them."""
    if kind is None:
        return True
    if not isinstance(kind, str):
        return any(_fits(found, one) for one in kind)
    return _TYPES[kind](found)


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda found: isinstance(found, dict),
    "array": lambda found: isinstance(found, list),
    "string": lambda found: isinstance(found, str),
    "boolean": lambda found: isinstance(found, bool),
    "number": _is_number,
    "integer": lambda found: _is_number(found) and (isinstance(found, int) or found.is_integer()),
}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def _text_fits(found: str, rule: Schema) -> bool:
    """Length and pattern. Our patterns are anchored, and fullmatch keeps `$` from passing a last line
    break.
    """
    if not rule.get("minLength", 0) <= len(found) <= rule.get("maxLength", len(found)):
        return False
    return "pattern" not in rule or _pattern(rule["pattern"]).fullmatch(found) is not None


def _number_fits(found: float, rule: Schema) -> bool:
    """Within the limits."""
    if "exclusiveMinimum" in rule and found <= rule["exclusiveMinimum"]:
        return False
    return bool(rule.get("minimum", found) <= found <= rule.get("maximum", found))
