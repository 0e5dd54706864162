"""How often the parts of a JSON Schema are asked about one value: a small schema can be made so that checking never ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

WEIGHT_MAX: Final = 100_000
_LISTS: Final = ("allOf", "anyOf", "oneOf")
_SINGLE: Final = ("not", "if", "then", "else")


def too_heavy(schema: Any) -> bool:
    """Whether one value would be held against more than `WEIGHT_MAX` parts: definitions that name others twice, and so on.

    Raises RecursionError where parts refer to one another in very long chains.
    """
    known: dict[int, int] = {}
    return any(_weight(part, schema, known) > WEIGHT_MAX for part in _parts(schema))


def _weight(part: Any, root: Any, known: dict[int, int]) -> int:
    if not isinstance(part, dict):
        return 1
    if id(part) not in known:
        known[id(part)] = 1  # in a circle it counts once
        total = 1
        for below in _in_place(part, root):
            total += _weight(below, root, known)
        known[id(part)] = min(total, 10 * WEIGHT_MAX)
    return known[id(part)]


def _in_place(part: dict[str, Any], root: Any) -> Iterator[Any]:
    """The parts that are asked about the same value."""
    for name in _LISTS:
        if isinstance(part.get(name), list):
            yield from part[name]
    for name in _SINGLE:
        if name in part:
            yield part[name]
    if isinstance(part.get("dependentSchemas"), dict):
        yield from part["dependentSchemas"].values()
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        target = root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        yield target


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    stack = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack += value.values()
        elif isinstance(value, list):
            stack += value
