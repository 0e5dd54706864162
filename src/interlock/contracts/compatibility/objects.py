"""Objects: what must be there, what may be there, and what of the rest.

The content of an object is open (any property may come in addition), closed (none) or partially open (those that fit
`patternProperties`, or the schema of `additionalProperties` or `unevaluatedProperties`). A property may be added
where the writer's schema was not open, and taken away where the reader's is.
"""

from __future__ import annotations

from typing import Any, Final

from interlock.contracts.compatibility.model import OLD_DRAFTS, Node, described
from interlock.contracts.compatibility.patterns import fits
from interlock.contracts.compatibility.resolve import escaped
from interlock.contracts.compatibility.scalars import limit
from interlock.contracts.compatibility.walk import Finding, Findings, Steps, below, breaks

_COUNTS: Final = (("MAX_PROPERTIES", "maxProperties"), ("MIN_PROPERTIES", "minProperties"))
_NOTHING: Final[dict[str, Any]] = {}


def objects(writer: Node, reader: Node) -> Steps:
    """The findings of two objects."""
    found = required(writer, reader)
    found += yield from properties(writer, reader)
    found += yield from dependencies(writer, reader)
    found += yield from rest(writer, reader, "additionalProperties", "ADDITIONAL_PROPERTIES")
    if writer.draft not in OLD_DRAFTS or reader.draft not in OLD_DRAFTS:
        found += yield from unevaluated(writer, reader, "unevaluatedProperties", "UNEVALUATED_PROPERTIES")
    for name, keyword in _COUNTS:
        found += limit(name, keyword, writer.raw.get(keyword), reader.raw.get(keyword))
    return found


def required(writer: Node, reader: Node) -> Findings:
    """Properties that both schemas name and that only one requires."""
    found: Findings = []
    before, after = _required(writer), _required(reader)
    both = reader.raw.get("properties", _NOTHING)
    if before == after:
        return found
    for name in writer.raw.get("properties", _NOTHING):
        if name in both and (name in before) != (name in after):
            kind = "REQUIRED_ATTRIBUTE_REMOVED"
            if name in after:
                has_default = _has_default(reader, both[name])
                kind = "REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED" if has_default else "REQUIRED_ATTRIBUTE_ADDED"
            found.append(Finding(kind, f"/required/{escaped(name)}", "required", name in before, name in after))
    return found


def properties(writer: Node, reader: Node) -> Steps:
    """Properties that stayed, that are new to the reader, and that it no longer names."""
    found: Findings = []
    before, after = writer.raw.get("properties", _NOTHING), reader.raw.get("properties", _NOTHING)
    needed = _required(reader)
    for name in [*before, *(name for name in after if name not in before)]:
        at = f"/properties/{escaped(name)}"
        if name not in after:
            found += below(at, (yield from _removed(writer.child(before[name]), reader, name)))
        elif name not in before:
            default = name in needed and _has_default(reader, after[name])
            found += below(at, (yield from _added(writer, reader.child(after[name]), name, name in needed, default)))
        else:
            found += below(at, (yield writer.child(before[name]), reader.child(after[name])))
    return found


def _removed(was: Node, reader: Node, name: str) -> Steps:
    if is_open(reader):
        return [Finding("PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL", "", "properties", described(was), None)]
    covering = _partial(reader, name)
    if covering is not None:
        found = yield was, covering
        word = "NOT_COVERED" if breaks(found) else "IS_COVERED"
        kind = f"PROPERTY_REMOVED_{word}_BY_PARTIALLY_OPEN_CONTENT_MODEL"
        return [*found, Finding(kind, "", "properties", described(was), described(covering))]
    never = was.shape == "never"
    kind = "PROPERTY_WITH_FALSE_REMOVED" if never else "PROPERTY_REMOVED"
    return [Finding(f"{kind}_FROM_CLOSED_CONTENT_MODEL", "", "properties", described(was), None)]


def _added(writer: Node, now: Node, name: str, is_required: bool, has_default: bool) -> Steps:
    if is_open(writer):
        anything = now.shape == "any"
        kind = "PROPERTY_WITH_EMPTY_SCHEMA_ADDED" if anything else "PROPERTY_ADDED"
        return [Finding(f"{kind}_TO_OPEN_CONTENT_MODEL", "", "properties", None, described(now))]
    found: Findings = []
    covering = _partial(writer, name)
    if covering is not None:
        found = yield covering, now
        word = "NOT_COVERED" if breaks(found) else "IS_COVERED"
        kind = f"PROPERTY_ADDED_{word}_BY_PARTIALLY_OPEN_CONTENT_MODEL"
        found = [*found, Finding(kind, "", "properties", described(covering), described(now))]
    kind = "OPTIONAL_PROPERTY_ADDED"
    if is_required:
        kind = "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED" if has_default else "REQUIRED_PROPERTY_ADDED"
    return [*found, Finding(f"{kind}_TO_UNOPEN_CONTENT_MODEL", "", "properties", None, described(now))]


def dependencies(writer: Node, reader: Node) -> Steps:
    """What a property asks for beside it: other properties, or a schema."""
    found: Findings = []
    before, after = _dependencies(writer), _dependencies(reader)
    for at in [*before, *(at for at in after if at not in before)]:
        was, now = before.get(at), after.get(at)
        pointer = f"/{(now or was or _MISSING)[0]}/{escaped(at[1])}"
        found += below(pointer, (yield from _dependency(writer, reader, was and was[1], now and now[1])))
    return found


_MISSING: Final = ("dependencies", None)


def _dependency(writer: Node, reader: Node, was: Any, now: Any) -> Steps:
    schema = "SCHEMA" if isinstance(now if was is None else was, dict | bool) else "ARRAY"
    if was is None or now is None:
        kind = f"DEPENDENCY_{schema}_{'ADDED' if was is None else 'REMOVED'}"
        values = (was, now)
        if schema == "SCHEMA":
            values = (
                described(writer.child(was)) if was is not None else None,
                described(reader.child(now)) if now is not None else None,
            )
        return [Finding(kind, "", "dependencies", *values)]
    if schema == "SCHEMA":
        return (yield writer.child(was), reader.child(now))
    old, new = set(was), set(now)
    if old == new:
        return []
    word = "EXTENDED" if old < new else "NARROWED" if new < old else "CHANGED"
    return [Finding(f"DEPENDENCY_ARRAY_{word}", "", "dependencies", was, now)]


def rest(writer: Node, reader: Node, keyword: str, name: str) -> Steps:
    """What is said of properties or items that are not named: none, any, or those that fit a schema."""
    before, after = writer.raw.get(keyword, True), reader.raw.get(keyword, True)
    kind = ""
    if (before is False) != (after is False):
        kind = "REMOVED" if after is False else "ADDED"
    elif before is True and after is not True:
        kind = "NARROWED"
    elif after is True and before is not True:
        kind = "EXTENDED"
    if kind:
        was, now = described(writer.child(before)), described(reader.child(after))
        return [Finding(f"{name}_{kind}", f"/{keyword}", keyword, was, now)]
    if before is True or before is False:
        return []
    return below(f"/{keyword}", (yield writer.child(before), reader.child(after)))


def unevaluated(writer: Node, reader: Node, keyword: str, name: str) -> Steps:
    """The same of what no keyword has looked at; here an empty schema is as good as none."""
    before, after = _unevaluated(writer, keyword), _unevaluated(reader, keyword)
    if before.shape == after.shape and before.shape in ("any", "never"):
        return []
    kind = ""
    if (before.shape == "never") != (after.shape == "never"):
        kind = "REMOVED" if after.shape == "never" else "ADDED"
    elif (before.shape == "any") != (after.shape == "any"):
        kind = "NARROWED" if before.shape == "any" else "EXTENDED"
    if kind:
        return [Finding(f"{name}_{kind}", f"/{keyword}", keyword, described(before), described(after))]
    return below(f"/{keyword}", (yield before, after))


def is_open(node: Node) -> bool:
    """Whether any property may come in addition to those that are named."""
    if node.raw.get("patternProperties") or node.raw.get("additionalProperties", True) is not True:
        return False
    return "additionalProperties" in node.raw or _unevaluated(node, "unevaluatedProperties").shape == "any"


def _partial(node: Node, name: str) -> Node | None:
    """What a property that is not named must be; None where it may not be there."""
    for pattern, schema in node.raw.get("patternProperties", _NOTHING).items():
        if fits(pattern, name):
            return node.child(schema)
    others = node.raw.get("additionalProperties")
    if others is None and "unevaluatedProperties" in node.raw and node.draft not in OLD_DRAFTS:
        others = node.raw["unevaluatedProperties"]
    return node.child(others) if isinstance(others, dict) else None


def _unevaluated(node: Node, keyword: str) -> Node:
    return node.child(True if node.draft in OLD_DRAFTS else node.raw.get(keyword, True))


def _required(node: Node) -> set[str]:
    needed = node.raw.get("required")
    return set(needed) if isinstance(needed, list) else set()


def _has_default(node: Node, schema: Any) -> bool:
    return "default" in node.child(schema).raw or (isinstance(schema, dict) and "default" in schema)


def _dependencies(node: Node) -> dict[tuple[bool, str], tuple[str, Any]]:
    """By whether it is a schema, and the property's name: the keyword where it stands, and what it asks for."""
    found: dict[tuple[bool, str], tuple[str, Any]] = {}
    for keyword in ("dependencies", "dependentRequired", "dependentSchemas"):
        for name, asked in node.raw.get(keyword, _NOTHING).items():
            found[isinstance(asked, dict | bool), name] = keyword, asked
    return found
