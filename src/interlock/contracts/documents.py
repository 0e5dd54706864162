"""Released schemas as parts of a larger document (OpenAPI, AsyncAPI): their parts hoisted, their references turned there.

A schema alone refers to its own `$defs`; in a document each part is a component of its own, `order.create.units_shipped`.
Both kinds of document take them as they are: OpenAPI 3.1 speaks 2020-12, AsyncAPI 3.0 draft 7, and nothing in ours differs
between the two once the references are turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from interlock.contracts.catalog import Catalog, Kind, schema

COMPONENTS: Final = "#/components/schemas/"


def components(known: Catalog, kind: Kind, prefix: str = "") -> dict[str, Any]:
    """The current schemas of a kind, and their parts, by the names that they have as components."""
    found: dict[str, Any] = {}
    for (of, name), contract in known.items():
        if of == kind and contract.current:
            whole = schema(kind, name, contract.current)
            found |= hoisted(
                f"{prefix}{name}", whole, {path: str(each.sunset or "") for path, each in contract.deprecated.items()}
            )
    return found


def hoisted(name: str, whole: Mapping[str, Any], deprecated: Mapping[str, str] = {}) -> dict[str, Any]:
    """A schema and its parts as components; fields that are deprecated (by their paths) are marked, with their sunset."""
    parts: dict[str, Any] = {name: {k: v for k, v in whole.items() if k not in ("$schema", "$id", "$defs")}}
    parts |= {f"{name}.{part}": of for part, of in whole.get("$defs", {}).items()}
    turned = {part: _turned(of, name) for part, of in parts.items()}
    for path, sunset in deprecated.items():
        _mark(turned, name, path.split("/"), sunset)
    return turned


def _turned(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {
            key: f"{COMPONENTS}{name}.{each.removeprefix('#/$defs/')}" if key == "$ref" else _turned(each, name)
            for key, each in value.items()
        }
    return [_turned(each, name) for each in value] if isinstance(value, list) else value


def _mark(parts: dict[str, Any], name: str, path: list[str], sunset: str) -> None:
    """Mark the property at the path, through the parts that lie between."""
    found = parts[name].get("properties", {}).get(path[0])
    if found is None:
        return
    if len(path) == 1:
        found["deprecated"] = True
        if sunset:
            found["description"] = f"{found.get('description', '')} Sunset: {sunset}.".strip()
        return
    for inner in (found, found.get("items", {}), *found.get("anyOf", ())):
        if "$ref" in inner:
            _mark(parts, inner["$ref"].removeprefix(COMPONENTS), path[1:], sunset)
