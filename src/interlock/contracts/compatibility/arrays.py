"""Arrays: what every item is, what the first ones are, what of further ones, and how many there may be."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from interlock.contracts.compatibility.model import OLD_DRAFTS, Node, described
from interlock.contracts.compatibility.objects import unevaluated
from interlock.contracts.compatibility.resolve import Draft
from interlock.contracts.compatibility.scalars import limit
from interlock.contracts.compatibility.walk import Finding, Findings, Steps, below, breaks

_COUNTS: Final = (("MAX_ITEMS", "maxItems"), ("MIN_ITEMS", "minItems"))


class _List(NamedTuple):
    """What a schema says of items. `every` is None where it says nothing; `further` is True, False or a schema."""

    every: Any
    first: list[Any]
    first_keyword: str
    further: Any
    further_keyword: str


def arrays(writer: Node, reader: Node) -> Steps:
    """The findings of two arrays."""
    before, after = _list(writer), _list(reader)
    found: Findings = []
    if before.every is None or after.every is None:
        if before.every is not None or after.every is not None:
            kind = "SCHEMA_ADDED" if before.every is None else "SCHEMA_REMOVED"
            was = None if before.every is None else described(writer.child(before.every))
            now = None if after.every is None else described(reader.child(after.every))
            found.append(Finding(kind, "/items", "items", was, now))
    else:
        found += below("/items", (yield writer.child(before.every), reader.child(after.every)))
    found += yield from _first_items(writer, reader, before, after)
    found += yield from _further_items(writer, reader, before, after)
    if writer.draft not in OLD_DRAFTS or reader.draft not in OLD_DRAFTS:
        found += yield from unevaluated(writer, reader, "unevaluatedItems", "UNEVALUATED_ITEMS")
    for name, keyword in _COUNTS:
        found += limit(name, keyword, writer.raw.get(keyword), reader.raw.get(keyword))
    unique, still_unique = bool(writer.raw.get("uniqueItems")), bool(reader.raw.get("uniqueItems"))
    if unique != still_unique:
        kind = "UNIQUE_ITEMS_REMOVED" if unique else "UNIQUE_ITEMS_ADDED"
        found.append(Finding(kind, "/uniqueItems", "uniqueItems", unique, still_unique))
    found += limit("MAX_CONTAINS", "maxContains", _contains(writer, "maxContains"), _contains(reader, "maxContains"))
    found += limit("MIN_CONTAINS", "minContains", _contains(writer, "minContains"), _contains(reader, "minContains"))
    return found


def _list(node: Node) -> _List:
    """Tuples are a list under `items` up to 2019-09, and `prefixItems` since."""
    raw = node.raw
    items = raw.get("items")
    if node.draft is Draft.D2020:
        first = raw.get("prefixItems", [])
        if items is None or isinstance(items, bool):
            return _List(None, first, "prefixItems", items is not False, "items")
        return _List(None if first else items, first, "prefixItems", items if first else True, "items")
    further = raw.get("additionalItems", True)
    if isinstance(items, list):
        return _List(None, items, "items", further, "additionalItems")
    return _List(items, [], "items", further, "additionalItems")


def _first_items(writer: Node, reader: Node, before: _List, after: _List) -> Steps:
    """The items that are named by their place."""
    found: Findings = []
    for index in range(max(len(before.first), len(after.first))):
        keyword = (after if index < len(after.first) else before).first_keyword
        at = f"/{keyword}/{index}"
        if index >= len(after.first):
            steps = _removed(writer.child(before.first[index]), reader, after)
        elif index >= len(before.first):
            steps = _added(writer, before, reader.child(after.first[index]))
        else:
            found += below(at, (yield writer.child(before.first[index]), reader.child(after.first[index])))
            continue
        found += below(at, (yield from steps))
    return found


def _removed(was: Node, reader: Node, after: _List) -> Steps:
    covering = _covering(reader, after)
    if covering is None:
        return [Finding("ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL", "", "items", described(was), None)]
    if covering.shape == "never":
        kind = "ITEM_WITH_FALSE_REMOVED" if was.shape == "never" else "ITEM_REMOVED"
        return [Finding(f"{kind}_FROM_CLOSED_CONTENT_MODEL", "", "items", described(was), None)]
    found = yield was, covering
    word = "NOT_COVERED" if breaks(found) else "IS_COVERED"
    kind = f"ITEM_REMOVED_{word}_BY_PARTIALLY_OPEN_CONTENT_MODEL"
    return [*found, Finding(kind, "", "items", described(was), described(covering))]


def _added(writer: Node, before: _List, now: Node) -> Steps:
    covering = _covering(writer, before)
    if covering is None:
        kind = "ITEM_WITH_EMPTY_SCHEMA_ADDED" if now.shape == "any" else "ITEM_ADDED"
        return [Finding(f"{kind}_TO_OPEN_CONTENT_MODEL", "", "items", None, described(now))]
    if covering.shape == "never":
        return [Finding("ITEM_ADDED_TO_CLOSED_CONTENT_MODEL", "", "items", None, described(now))]
    found = yield covering, now
    word = "NOT_COVERED" if breaks(found) else "IS_COVERED"
    kind = f"ITEM_ADDED_{word}_BY_PARTIALLY_OPEN_CONTENT_MODEL"
    return [*found, Finding(kind, "", "items", described(covering), described(now))]


def _covering(node: Node, said: _List) -> Node | None:
    """What further items must be: `never` where there may be none, None where they may be anything."""
    if said.further is not True:
        return node.child(said.further)
    if node.draft not in OLD_DRAFTS and "unevaluatedItems" in node.raw:
        others = node.child(node.raw["unevaluatedItems"])
        return None if others.shape == "any" else others
    return None


def _further_items(writer: Node, reader: Node, before: _List, after: _List) -> Steps:
    """What is said of items after those that are named."""
    kind = ""
    if (before.further is False) != (after.further is False):
        kind = "REMOVED" if after.further is False else "ADDED"
    elif before.further is True and after.further is not True:
        kind = "NARROWED"
    elif after.further is True and before.further is not True:
        kind = "EXTENDED"
    at = f"/{after.further_keyword}"
    if kind:
        was, now = described(writer.child(before.further)), described(reader.child(after.further))
        return [Finding(f"ADDITIONAL_ITEMS_{kind}", at, after.further_keyword, was, now)]
    if isinstance(before.further, bool):
        return []
    return below(at, (yield writer.child(before.further), reader.child(after.further)))


def _contains(node: Node, keyword: str) -> Any:
    """How many items must, or may, fit `contains`; it asks for one where it says no number. Since 2019-09."""
    if node.draft in OLD_DRAFTS or "contains" not in node.raw:
        return None
    return node.raw.get(keyword, 1 if keyword == "minContains" else None)
