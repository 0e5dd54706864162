"""Documents that are trees, against a JSON Schema: drafts 4 to 2020-12, by jsonschema-rs.

A schema leaves open what it does not name, and yet a field that nobody agreed on should be seen. So an object whose schema names
`properties` and does not say `additionalProperties` itself is checked as if it said false; what becomes of unknown fields is the
policy's. What a schema says in so many words (`additionalProperties: true`) counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import msgspec

from interlock.contracts.external.drift import DRIFTS_MAX, Drift, renamed, shown, type_name

Schema = dict[str, Any] | bool
_SINGLE: Final = ("not", "if", "then", "else")
_MANY: Final = ("allOf", "anyOf", "oneOf")
_BELOW: Final = ("items", "additionalItems", "additionalProperties", "contains", "unevaluatedItems")
_BELOW_BY_NAME: Final = ("properties", "patternProperties")
_DEFINITIONS: Final = ("$defs", "definitions")
_OLD: Final = ("draft-04", "draft-06", "draft-07")
_BACKTRACK_MAX: Final = 100_000


class TreeCheck:
    """One schema, compiled. Safe to share between threads."""

    def __init__(self, schema: Schema, *, unknown_fields: bool) -> None:
        """`unknown_fields`: whether fields that the schema does not name are looked for."""
        schema = closed(schema) if unknown_fields else schema
        self._validator = compiled(schema)
        self._names = _plain_names(schema)

    def passes(self, data: Any) -> bool:
        """Whether nothing differs; False also where it takes a closer look to say."""
        try:
            return bool(self._validator.is_valid(data))
        except ValueError:
            return False

    def drifts(self, data: Any) -> list[Drift]:
        """What differs, at most so many."""
        try:
            return self._drifts(data)
        except UnicodeEncodeError:
            return [Drift("other", "", "text that is Unicode", "a lone surrogate")]
        except ValueError:
            pass
        try:  # values that are no JSON (dates of a reader) as the text that they are in it
            return self._drifts(msgspec.to_builtins(data, str_keys=True, enc_hook=str))
        except (ValueError, TypeError, RecursionError) as error:
            return [Drift("other", "", "a tree of plain values", str(error)[:120])]

    def _drifts(self, data: Any) -> list[Drift]:
        # A new field beside all that was agreed is what comes most, and then in every message: five times as fast.
        if self._names and type(data) is dict and len(data) > len(unknown := data.keys() - self._names) > 0:
            known = {name: value for name, value in data.items() if name not in unknown}
            if self._validator.is_valid(known):
                new = [
                    Drift("unknown_field", _below("", str(name)), "a field of the contract", shown(data[name]))
                    for name in data
                    if name in unknown
                ]
                return new[:DRIFTS_MAX]
        found = dict.fromkeys(islice(_told(self._validator.iter_errors(data), data), DRIFTS_MAX))
        return renamed(list(found))


def compiled(schema: Schema) -> Any:
    """The validator of a schema. Raises ValueError, which says what is wrong with it; nothing is fetched from anywhere."""
    return jsonschema_rs.validator_for(
        schema,
        validate_formats=True,
        offline=True,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACK_MAX),
    )


def _told(errors: Iterable[Any], data: Any, depth: int = 0) -> Iterator[Drift]:
    """What the validator found, in our words."""
    for error in errors:
        kind, steps = error.kind, error.instance_path
        # Looked up in what we have: the validator would make a copy of all of it.
        name, path, value = kind.name, path_of(steps), _at(data, steps)
        if name in ("additionalProperties", "unevaluatedProperties"):
            for field in kind.unexpected:
                found = value.get(field) if isinstance(value, dict) else None
                yield Drift("unknown_field", _below(path, field), "a field of the contract", shown(found))
        elif name == "required":
            yield Drift("missing_field", _below(path, kind.property), "a value, which is required", "nothing")
        elif name == "type":
            yield Drift(
                "changed_type",
                path,
                " or ".join(_types(error)),
                f"{type_name(value)} {shown(value)}" if value is not None else "null",
            )
        elif name == "format":
            yield Drift("changed_type", path, f"text that is a {kind.format}", shown(value))
        elif name in ("anyOf", "oneOf") and depth < 8 and (branch := _meant(kind)):
            yield from _told(branch, data, depth + 1)
        else:
            yield Drift("other", path, f"{name}: {str(error.message)[:200]}", shown(value))


_SAYS_NOTHING_OF_OTHERS: Final = frozenset(
    {
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
        "title",
        "description",
        "examples",
        "type",
        "properties",
        "required",
    }
)


def _plain_names(schema: Schema) -> frozenset[str]:
    """The fields of a closed object, where nothing but `properties` says which there may be; none otherwise."""
    if not isinstance(schema, dict) or schema.get("additionalProperties", True) is not False:
        return frozenset()
    if not schema.keys() - {"additionalProperties"} <= _SAYS_NOTHING_OF_OTHERS:
        return frozenset()
    return frozenset(schema.get("properties", ()))


def _at(data: Any, steps: Iterable[str | int]) -> Any:
    """What stands at a path; None where there is nothing."""
    try:
        for step in steps:
            data = data[step]
    except (LookupError, TypeError):
        return None
    return data


def _types(error: Any) -> list[str]:
    return sorted(str(each) for each in error.kind.types)


def _meant(kind: Any) -> list[Any]:
    """Of several alternatives that all fail, the one that was probably meant: its type fits, and it has the fewest mistakes."""
    branches: list[list[Any]] = [branch for branch in getattr(kind, "context", ()) if branch]
    fitting = [branch for branch in branches if not any(e.kind.name == "type" and _is_top(e, branch) for e in branch)]
    return min(fitting or branches, key=len, default=[]) if len(fitting) == 1 or len(branches) == 1 else []


def _is_top(error: Any, branch: list[Any]) -> bool:
    return len(error.instance_path) == min(len(each.instance_path) for each in branch)


def path_of(steps: Iterable[str | int]) -> str:
    """A path as people read it: `line_items[0].price`."""
    path = ""
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else _below(path, step)
    return path


def _below(path: str, name: str) -> str:
    name = name[:100] if name.isprintable() else ascii(name)[:100]
    return f"{path}.{name}" if path else name


# Unknown fields


def closed(schema: Schema) -> Schema:
    """The schema with objects closed that name their properties and do not say whether there may be others."""
    if not isinstance(schema, dict):
        return schema
    return _Closing(schema).run()


class _Closing:
    """One schema being closed.

    What several parts say together (allOf and the like) is closed by the part that puts them together, never in the parts.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._root = schema
        self._is_old = any(draft in str(schema.get("$schema", "")) for draft in _OLD)
        self._shared: set[str] = set()
        self._gather(schema, False, set())

    def run(self) -> Schema:
        whole: Schema = self._location(self._root)
        return whole

    def _gather(self, part: Any, in_place: bool, seen: set[tuple[int, bool]]) -> None:
        """Find the definitions that are only parts of something."""
        if isinstance(part, list):
            for each in part:
                self._gather(each, in_place, seen)
            return
        if not isinstance(part, dict) or (id(part), in_place) in seen:
            return
        seen.add((id(part), in_place))
        reference = part.get("$ref")
        if isinstance(reference, str) and (in_place or (not self._is_old and "properties" in part)):
            self._shared.add(reference)
            self._gather(self._target(reference), True, seen)
        for name, value in part.items():
            if name in _MANY:
                self._gather(value, in_place or _nullable(part) is None, seen)
            elif name in (*_SINGLE, "dependentSchemas"):
                self._gather(list(value.values()) if name == "dependentSchemas" else value, True, seen)
            elif name in (*_BELOW_BY_NAME, *_DEFINITIONS):
                self._gather(list(value.values()) if isinstance(value, dict) else value, False, seen)
            elif name in (*_BELOW, "prefixItems"):
                self._gather(value, False, seen)

    def _location(self, part: Any) -> Any:
        """The part of the schema that alone says what a value is."""
        if not isinstance(part, dict):
            return part
        mine = {name: self._child(name, value, part) for name, value in part.items()}
        if any(name in part for name in ("additionalProperties", "unevaluatedProperties")):
            return mine
        is_composed = _nullable(part) is None and any(
            name in part for name in (*_MANY, "if", "dependentSchemas", *(("$ref",) if "properties" in part else ()))
        )
        if not is_composed and "properties" in part:
            mine["additionalProperties"] = False
        elif is_composed and not self._is_old and self._names_all(part, set()):
            mine["unevaluatedProperties"] = False
        return mine

    def _child(self, name: str, value: Any, part: dict[str, Any]) -> Any:
        if name in _BELOW_BY_NAME and isinstance(value, dict):
            return {key: self._location(each) for key, each in value.items()}
        if name in _BELOW:
            return [self._location(each) for each in value] if isinstance(value, list) else self._location(value)
        if name == "prefixItems" and isinstance(value, list):
            return [self._location(each) for each in value]
        if name in _DEFINITIONS and isinstance(value, dict):
            return {
                key: each if f"#/{name}/{key}" in self._shared else self._location(each) for key, each in value.items()
            }
        if name in _MANY and _nullable(part) is not None:
            return [self._location(each) for each in value]
        return value

    def _names_all(self, part: Any, seen: set[str]) -> bool:
        """Whether the parts together name properties, and none says that there may be others."""
        found = False
        stack: list[Any] = [part]
        while stack:
            each = stack.pop()
            if not isinstance(each, dict):
                continue
            if each.get("additionalProperties", False) is not False or "unevaluatedProperties" in each:
                return False
            found = found or "properties" in each
            for name in _MANY:
                branches = each.get(name, ())
                # An alternative that names nothing may be anything.
                if name != "allOf" and any(isinstance(b, dict) and _is_free(b) for b in branches):
                    return False
                stack += branches
            stack += [each[name] for name in ("then", "else") if name in each]
            reference = each.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                stack.append(self._target(reference))
        return found

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            return self._root if reference == "#" else None
        part: Any = self._root
        for step in reference[2:].split("/"):
            part = part.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(part, dict) else None
        return part


def _is_free(branch: dict[str, Any]) -> bool:
    kinds = branch.get("type")
    return kinds in (None, "object") and not any(name in branch for name in ("properties", "$ref", *_MANY, "required"))


def _nullable(part: dict[str, Any]) -> Any:
    """What else than null a value may be, where that is all that its alternatives say; None otherwise."""
    found = None
    for name in _MANY:
        if name not in part:
            continue
        branches = [each for each in part[name] if each != {"type": "null"}] if isinstance(part[name], list) else []
        if name == "allOf" or len(branches) != 1 or len(branches) == len(part[name]) or found is not None:
            return None
        found = branches[0]
    return found
