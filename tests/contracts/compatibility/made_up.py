"""Schemas, changes to them, and values near to them, all drawn from one seeded source of chance.

`plain_schema` leaves out what the registry's rules are known to let pass although data may break on it; the page
docs/contracts-compatibility.md lists them: keywords without the `type` that they are about, `required` names that are no
properties, `required` with a default, overlapping `oneOf`, `patternProperties`, and what is not compared at all.
`any_schema` has all of them.
"""

from __future__ import annotations

import copy
import random
from typing import Any

NAMES = ["sku", "qty", "gift", "note"]
SCALARS: list[Any] = [None, True, False, 0, 1, 2, 3, 5, 7, 10, -1, 1.5, "", "a", "ab", "abc", "abcd"]


def plain_schema(chance: random.Random, depth: int = 2) -> Any:
    """A schema by whose rules compatible means compatible."""
    kinds = ["string", "number", "integer", "boolean", "null", "enum", "const", "any"]
    if depth:
        kinds += ["object", "object", "array", "array", "types", "anyOf", "allOf", "not"]
    kind = chance.choice(kinds)
    if kind == "any":
        return chance.choice([True, {}])
    if kind in ("anyOf", "allOf"):
        return {kind: [plain_schema(chance, depth - 1) for _ in range(chance.randint(1, 3))]}
    if kind == "not":
        return {"not": plain_schema(chance, 0)}
    if kind == "enum":
        return {"enum": chance.sample(SCALARS[4:], chance.randint(1, 4))}
    if kind == "const":
        return {"const": chance.choice(SCALARS[4:])}
    if kind == "types":
        return {"type": chance.sample(["string", "number", "null", "boolean"], chance.randint(1, 3))}
    return _typed(chance, kind, depth)


def _typed(chance: random.Random, kind: str, depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    if kind == "string":
        _some(chance, schema, minLength=chance.randint(0, 2), maxLength=chance.randint(1, 4))
        _some(chance, schema, pattern=chance.choice(["^a", "b", "c$"]))
    elif kind in ("number", "integer"):
        _some(chance, schema, minimum=chance.randint(-2, 3), maximum=chance.randint(1, 9))
        _some(chance, schema, exclusiveMinimum=chance.randint(-2, 1), multipleOf=chance.choice([1, 2, 3, 4, 6]))
        _some(chance, schema, exclusiveMaximum=chance.randint(2, 9))
    elif kind == "object":
        _object(chance, schema, depth)
    elif kind == "array":
        _some(chance, schema, minItems=chance.randint(0, 2), maxItems=chance.randint(1, 3), uniqueItems=True)
        prefix = [plain_schema(chance, depth - 1) for _ in range(chance.randint(1, 2))]
        _some(chance, schema, prefixItems=prefix, items=chance.choice([False, plain_schema(chance, depth - 1)]))
    return schema


def any_schema(chance: random.Random) -> Any:
    """A schema of any kind, with references and everything else."""
    root = plain_schema(chance, 3)
    if isinstance(root, bool):
        return root
    more: list[dict[str, Any]] = [
        {"oneOf": [plain_schema(chance, 1), plain_schema(chance, 1)]},
        {"$ref": "#/$defs/a"},
        {"if": plain_schema(chance, 0), "then": plain_schema(chance, 0)},
        {"patternProperties": {"^q": plain_schema(chance, 0)}, "propertyNames": {"maxLength": 9}},
        {"required": ["nowhere"], "minProperties": 1, "maxLength": 5, "format": "date"},
        {"contains": plain_schema(chance, 0), "unevaluatedItems": plain_schema(chance, 0)},
        {"dependentSchemas": {"qty": plain_schema(chance, 1)}, "dependentRequired": {"gift": ["note"]}},
        {"unevaluatedProperties": plain_schema(chance, 0), "title": "made up", "default": None},
    ]
    for extra in chance.sample(more, chance.randint(0, 4)):
        root = {**root, **extra}
    inner = plain_schema(chance, 2)
    if isinstance(inner, dict) and "properties" in inner:
        inner["properties"]["again"] = {"$ref": "#/$defs/a"}
    return {**root, "$defs": {"a": inner}}


def changed(chance: random.Random, schema: Any) -> Any:
    """The schema with one to three things changed somewhere in it."""
    schema = copy.deepcopy(schema)
    for _ in range(chance.randint(1, 3)):
        holder: list[Any] = [schema]
        places = list(_places(holder))
        container, key = chance.choice(places)
        container[key] = _touched(chance, container[key])
        schema = holder[0]
    return schema


def value_for(chance: random.Random, schema: Any, depth: int = 4) -> Any:
    """A value that may well fit the schema."""
    if isinstance(schema, bool) or not schema or not depth or chance.random() < 0.06:
        return _anything(chance, min(depth, 2))
    for keyword in ("anyOf", "allOf"):
        if keyword in schema:
            return value_for(chance, chance.choice(schema[keyword]), depth - 1)
    if "enum" in schema:
        return chance.choice(schema["enum"])
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = chance.choice(kind) if isinstance(kind, list) else kind
    if kind == "object":
        named = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        names = [name for name in NAMES if name in schema.get("required", ()) or chance.random() < 0.5]
        allowed = [name for name in names if name in named or rest is not False]
        return {name: value_for(chance, named.get(name, rest), depth - 1) for name in allowed}
    if kind == "array":
        first, rest = schema.get("prefixItems", []), schema.get("items", True)
        return [
            value_for(chance, first[index] if index < len(first) else rest, depth - 1)
            for index in range(chance.randint(0, 3))
            if index < len(first) or rest is not False
        ]
    return _scalar(chance, kind, schema)


def _object(chance: random.Random, schema: dict[str, Any], depth: int) -> None:
    names = chance.sample(NAMES, chance.randint(0, 3))
    # An empty schema under a required name is one of the known gaps: see the page.
    schema["properties"] = {name: plain_schema(chance, depth - 1) for name in names}
    can_be_required = [name for name in names if schema["properties"][name] not in (True, {})]
    if can_be_required:
        _some(chance, schema, required=chance.sample(can_be_required, chance.randint(1, len(can_be_required))))
    _some(chance, schema, minProperties=chance.randint(0, 1), maxProperties=chance.randint(1, 4))
    _some(chance, schema, additionalProperties=chance.choice([False, False, True, plain_schema(chance, depth - 1)]))
    if len(names) > 1:
        _some(chance, schema, dependentRequired={names[0]: [names[1]]})


def _some(chance: random.Random, schema: dict[str, Any], **said: Any) -> None:
    for keyword, value in said.items():
        if chance.random() < 0.4:
            schema[keyword] = value


def _places(container: Any) -> Any:
    """Every schema in a container of schemas, as the container that holds it and its key."""
    for key, schema in container.items() if isinstance(container, dict) else enumerate(container):
        yield container, key
        if isinstance(schema, dict):
            for keyword in ("items", "additionalProperties", "not"):
                if isinstance(schema.get(keyword), dict):
                    yield from _places_in(schema, keyword)
            for keyword in ("properties", "anyOf", "allOf", "prefixItems"):
                if keyword in schema:
                    yield from _places(schema[keyword])


def _places_in(schema: dict[str, Any], keyword: str) -> Any:
    inner = [schema[keyword]]
    for container, key in _places(inner):
        yield (schema, keyword) if container is inner else (container, key)


def _touched(chance: random.Random, schema: Any) -> Any:
    """One schema changed a little, or put in place of another."""
    if not isinstance(schema, dict) or chance.random() < 0.1:
        return plain_schema(chance, 1)
    if chance.random() < 0.15:
        return {"anyOf": [schema, plain_schema(chance, 1)]}
    schema = dict(schema)
    if isinstance(schema.get("type"), str) and chance.random() < 0.3:
        return {**_added(chance, schema), **schema}
    keyword = chance.choice(sorted(schema)) if schema else "type"
    value = schema.get(keyword)
    if isinstance(value, int) and not isinstance(value, bool):
        low = 1 if keyword == "multipleOf" else 0
        schema[keyword] = value + chance.choice([-1, 1]) if value > low else value + 1
    elif keyword == "type" and value == "integer":
        schema["type"] = "number"
    elif keyword == "enum":
        schema["enum"] = chance.choice([[*value, "new"], value[1:] or value])
    elif keyword == "properties":
        inner = dict(value)
        inner[chance.choice(NAMES)] = plain_schema(chance, 1)
        gone = chance.choice(sorted(inner))
        if chance.random() < 0.4 and gone not in schema.get("required", ()):
            del inner[gone]
        if any(inner.get(name) in (True, {}) for name in schema.get("required", ())):
            return plain_schema(chance, 1)
        schema["properties"] = inner
    elif keyword in ("anyOf", "allOf", "prefixItems"):
        schema[keyword] = chance.choice([[*value, plain_schema(chance, 0)], value[1:] or value])
    elif keyword != "type" and len(schema) > 1:
        del schema[keyword]
    return schema


def _added(chance: random.Random, schema: dict[str, Any]) -> dict[str, Any]:
    """Keywords for a schema with a type; of properties, only those that it has become required."""
    more = _typed(chance, schema["type"], 1)
    if schema["type"] == "object":
        named = schema.get("properties", {})
        can_be_required = [name for name in named if named[name] not in (True, {})]
        more["required"] = chance.sample(can_be_required, min(1, len(can_be_required)))
        more.pop("properties", None)
    chosen = [keyword for keyword in more if keyword != "type"]
    return {keyword: more[keyword] for keyword in chance.sample(chosen, min(1, len(chosen)))}


def _scalar(chance: random.Random, kind: Any, schema: dict[str, Any]) -> Any:
    if kind == "string":
        least, most = schema.get("minLength", 0), schema.get("maxLength", 5)
        return "abcdef"[: chance.randint(least, max(least, most))]
    if kind in ("number", "integer"):
        return chance.randint(-2, 12) if chance.random() < 0.8 else 1.5
    return {"boolean": True, "null": None}.get(kind, chance.choice(SCALARS))


def _anything(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth <= 0 or kind < 0.5:
        return chance.choice(SCALARS)
    if kind < 0.75:
        return [_anything(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return {name: _anything(chance, depth - 1) for name in NAMES if chance.random() < 0.4}
