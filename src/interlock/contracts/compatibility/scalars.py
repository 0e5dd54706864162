"""Numbers, strings, and lists of values: limits that were widened or narrowed."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any, Final

from interlock.contracts.compatibility.model import Node
from interlock.contracts.compatibility.resolve import Draft
from interlock.contracts.compatibility.walk import Finding, Findings

_STRING: Final = (("MAX_LENGTH", "maxLength"), ("MIN_LENGTH", "minLength"))
_BOUNDS: Final = (
    ("MAXIMUM", "maximum"),
    ("MINIMUM", "minimum"),
    ("EXCLUSIVE_MAXIMUM", "exclusiveMaximum"),
    ("EXCLUSIVE_MINIMUM", "exclusiveMinimum"),
)


def strings(writer: Node, reader: Node) -> Findings:
    """maxLength, minLength and pattern; two patterns are the same only if their text is. `format` is not compared."""
    found: Findings = []
    for name, keyword in _STRING:
        found += limit(name, keyword, writer.raw.get(keyword), reader.raw.get(keyword))
    before, after = writer.raw.get("pattern"), reader.raw.get("pattern")
    if before != after:
        kind = "PATTERN_ADDED" if before is None else "PATTERN_REMOVED" if after is None else "PATTERN_CHANGED"
        found.append(Finding(kind, "/pattern", "pattern", before, after))
    return found


def numbers(writer: Node, reader: Node) -> Findings:
    """Limits, multipleOf, and whether the number must be a whole one."""
    found: Findings = []
    for name, keyword in _BOUNDS:
        found += limit(name, keyword, _bound(writer, keyword), _bound(reader, keyword))
    before, after = writer.raw.get("multipleOf"), reader.raw.get("multipleOf")
    if before is None or after is None:
        if before is not None or after is not None:
            kind = "MULTIPLE_OF_ADDED" if before is None else "MULTIPLE_OF_REMOVED"
            found.append(Finding(kind, "/multipleOf", "multipleOf", before, after))
    elif exact(before) != exact(after):
        expanded, reduced = exact(after) % exact(before) == 0, exact(before) % exact(after) == 0
        kind = "MULTIPLE_OF_EXPANDED" if expanded else "MULTIPLE_OF_REDUCED" if reduced else "MULTIPLE_OF_CHANGED"
        found.append(Finding(kind, "/multipleOf", "multipleOf", before, after))
    if writer.integer != reader.integer:
        kind = "TYPE_EXTENDED" if writer.integer else "TYPE_NARROWED"
        names = ("number", "integer")
        found.append(Finding(kind, "", "type", names[writer.integer], names[reader.integer]))
    return found


def enumerations(writer: Node, reader: Node) -> Findings:
    """Values that were added or taken away; their order means nothing."""
    before, after = writer.raw["enum"], reader.raw["enum"]
    old, new = {canonical(each) for each in before}, {canonical(each) for each in after}
    if old == new:
        return []
    kind = "ENUM_ARRAY_EXTENDED" if old < new else "ENUM_ARRAY_NARROWED" if new < old else "ENUM_ARRAY_CHANGED"
    lost = [each for each in before if canonical(each) not in new]
    return [Finding(kind, "/enum", "enum", before, after, lost)]


def constants(writer: Node, reader: Node) -> Findings:
    """One value that became another."""
    before, after = writer.raw["const"], reader.raw["const"]
    if same_json(before, after):
        return []
    return [Finding("ENUM_ARRAY_CHANGED", "/const", "const", before, after, [before])]


def limit(name: str, keyword: str, before: Any, after: Any) -> Findings:
    """An upper or lower limit that was added, removed, raised or lowered."""
    if before is None and after is None:
        return []
    if before is None or after is None:
        kind = f"{name}_ADDED" if before is None else f"{name}_REMOVED"
    elif exact(before) == exact(after):
        return []
    else:
        kind = f"{name}_INCREASED" if exact(before) < exact(after) else f"{name}_DECREASED"
    return [Finding(kind, f"/{keyword}", keyword, before, after)]


def _bound(node: Node, keyword: str) -> Any:
    """A limit of a number. In draft 4 an exclusive one is a yes beside the other."""
    value = node.raw.get(keyword)
    if isinstance(value, bool):
        beside = "maximum" if keyword == "exclusiveMaximum" else "minimum"
        return node.raw.get(beside) if value and node.draft is Draft.D4 else None
    return value


def exact(number: Any) -> Fraction:
    """The number that was written: 0.1 is a tenth."""
    return Fraction(number) if isinstance(number, int) else Fraction(str(number))


def canonical(value: Any) -> str:
    """A text that is the same for equal JSON values: 1.0 is 1, the order of keys means nothing."""
    return json.dumps(_plain(value), sort_keys=True)


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return canonical(one) == canonical(other)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
