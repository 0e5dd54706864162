"""A JSON Schema that has been looked through: its draft is known, its meta-schema allows it, its references lead somewhere.

Whatever is no such schema is refused with every mistake in it: where, what stands there, and what was expected.
Nothing here reads a file or fetches anything.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from interlock.contracts.compatibility.model import Model, Node
from interlock.contracts.compatibility.patterns import is_pattern
from interlock.contracts.compatibility.resolve import Draft, References, Unresolved, draft_of, escaped, schemas_in
from interlock.domain.errors import SchemaInvalid

DEPTH_MAX: Final = 200
MISTAKES_MAX: Final = 20
_SHOWN_MAX: Final = 80
_TYPES: Final = "one of array, boolean, integer, null, number, object, string, or a list of them"


class Schema:
    """A schema document and its name, ready to be compared."""

    def __init__(self, name: str, value: dict[str, Any] | bool, references: References) -> None:
        self.name = name
        self.value = value
        self.draft = references.draft
        self._references = references

    def root(self) -> Node:
        """The schema as a node; each call begins afresh."""
        return Model(self._references).root()


def schema_of(value: Any, name: str = "the schema") -> Schema:
    """The value as a schema.

    Raises SchemaInvalid with a sentence for each mistake, at most MISTAKES_MAX; `name` is what they call the document.
    """
    if not isinstance(value, dict | bool):
        raise _invalid(name, [Unresolved("", value, "a schema: a JSON object, true or false")])
    if too_deep(value):
        expected = f"at most {DEPTH_MAX} levels"
        raise SchemaInvalid([f"{name}: it is nested too deeply; expected {expected}"])
    draft = draft_of(value)
    if draft is None:
        known = ", ".join(draft.value for draft in Draft)
        raise _invalid(name, [Unresolved("/$schema", value["$schema"] if isinstance(value, dict) else "", known)])
    references = References(value, draft)
    # Besides the document, what its references lead to where no keyword has schemas.
    for schema, pointer in [(value, ""), *references.elsewhere]:
        if mistakes := _against_meta_schema(schema, draft, pointer) or _bad_patterns(schema, pointer):
            raise _invalid(name, mistakes)
    if references.problems:
        raise _invalid(name, references.problems)
    return Schema(name, value, references)


def too_deep(value: Any) -> bool:
    """Whether a value is nested deeper than DEPTH_MAX; found level by level, without recursion."""
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _against_meta_schema(value: Any, draft: Draft, place: str) -> list[Unresolved]:
    found: dict[str, Unresolved] = {}
    for error in _meta_validator(draft).iter_errors(value):
        pointer = place + "".join(f"/{escaped(str(step))}" for step in error.instance_path)
        last = error.instance_path[-1] if error.instance_path else ""
        expected = _TYPES if last == "type" else _expected(error)
        found.setdefault(pointer, Unresolved(pointer, error.instance, expected))
        if len(found) >= MISTAKES_MAX:
            break
    return list(found.values())


def _expected(error: Any) -> str:
    """What the meta-schema wants instead, from the validator's words."""
    said: str = error.message
    for before, after in ((" is not of types ", "one of the types "), (" is not of type ", "the type ")):
        if before in said:
            return after + said.rpartition(before)[2].replace('"', "")
    return f"what the meta-schema allows ({shown(said)})"


@cache
def _meta_validator(draft: Draft) -> Any:
    """A validator by the meta-schema, which lies inside of the library: nothing is fetched."""
    import jsonschema_rs

    classes = {
        Draft.D4: jsonschema_rs.Draft4Validator,
        Draft.D6: jsonschema_rs.Draft6Validator,
        Draft.D7: jsonschema_rs.Draft7Validator,
        Draft.D2019: jsonschema_rs.Draft201909Validator,
        Draft.D2020: jsonschema_rs.Draft202012Validator,
    }
    address = draft.value if draft in (Draft.D2019, Draft.D2020) else f"{draft.value}#"
    return classes[draft]({"$ref": address})


def _bad_patterns(value: Any, place: str) -> list[Unresolved]:
    """Regular expressions that no validator could read."""
    bad: list[Unresolved] = []
    for schema, pointer in schemas_in(value, place):
        if isinstance(schema.get("pattern"), str) and not is_pattern(schema["pattern"]):
            bad.append(Unresolved(f"{pointer}/pattern", schema["pattern"], "a regular expression"))
        for pattern in schema.get("patternProperties", ()):
            if not is_pattern(pattern):
                bad.append(Unresolved(f"{pointer}/patternProperties", pattern, "regular expressions as names"))
    return bad[:MISTAKES_MAX]


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def _invalid(name: str, mistakes: list[Unresolved]) -> SchemaInvalid:
    return SchemaInvalid([sentence(name, each.pointer, shown(each.found), each.expected) for each in mistakes])


def sentence(name: str, place: str, found: str, expected: str) -> str:
    """A mistake as one line: the file, the place, what stands there, and what was expected."""
    where = f"{name}: {place}" if place else name
    return f"{where}: found {found}; expected {expected}"
