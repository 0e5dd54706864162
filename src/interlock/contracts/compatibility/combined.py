"""Combinations: allOf is a product, anyOf and oneOf are sums.

Each part of the smaller side needs a counterpart of its own that takes its data: a matching, found by augmenting
paths. Pairs are compared only when the search asks for them, those with the same text or at the same place first, so
that long lists of parts that stayed as they were cost one comparison each.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Final

from interlock.contracts.compatibility.model import Node, described
from interlock.contracts.compatibility.scalars import canonical
from interlock.contracts.compatibility.walk import Finding, Findings, Pair, Steps, below, breaks, count_breaks

_CLOSEST_MAX: Final = 20


def combinations(writer: Node, reader: Node) -> Steps:
    """The findings of two combinations."""
    before, after = _distinct(writer), _distinct(reader)
    keyword = reader.rule if reader.written else "type"
    found: Findings = []
    if writer.rule != reader.rule:
        changed = _Changed(writer.rule, reader.rule, len(writer.members), len(reader.members))
        found.append(Finding(changed.kind(), "", keyword, writer.rule, reader.rule))
        if changed.kind() == "COMBINED_TYPE_CHANGED":
            return found
    if len(before) < len(after):
        kind = "PRODUCT_TYPE_EXTENDED" if reader.rule == "allOf" else "SUM_TYPE_EXTENDED"
        found.append(Finding(kind, "", keyword, described(writer), described(reader)))
    elif len(before) > len(after):
        kind = "PRODUCT_TYPE_NARROWED" if writer.rule == "allOf" else "SUM_TYPE_NARROWED"
        found.append(Finding(kind, "", keyword, described(writer), described(reader)))
    search = _Matching([part for _, part in before], [part for _, part in after])
    yield from search.run()
    for left, right in sorted(search.matched().items()):
        found += below(_at(writer, before[left][0]), search.compared[left, right])
    if len(search.matched()) < min(len(before), len(after)):
        found.append(Finding("COMBINED_TYPE_SUBSCHEMAS_CHANGED", "", keyword, described(writer), described(reader)))
        found += yield from _closest(writer, before, after, search)
    return found


class _Changed:
    """One rule that became another, such as oneOf that became anyOf."""

    def __init__(self, before: str, after: str, parts_before: int, parts_after: int) -> None:
        self.before = before
        self.after = after
        self.single_before = parts_before == 1
        self.single_after = parts_after == 1

    def kind(self) -> str:
        """Extended where every value that met the old question meets the new one."""
        fine = (
            self.after == "anyOf"
            or (self.single_before and (self.single_after or self.after == "oneOf"))
            or (self.single_after and self.before == "allOf")
        )
        return "COMBINED_TYPE_EXTENDED" if fine else "COMBINED_TYPE_CHANGED"


def nearest(one: Node, tried: list[tuple[Node, Findings]]) -> Findings:
    """Of what was tried in vain, the findings that say most: those of the same shape with the fewest breaks."""
    alike = [found for other, found in tried if other.shape == one.shape]
    return min(alike, key=count_breaks, default=[])


def _closest(writer: Node, before: list[_Part], after: list[_Part], search: _Matching) -> Steps:
    """What stands between the parts that found no counterpart and the free ones of their shape."""
    found: Findings = []
    free = [right for right in range(len(after)) if right not in search.left_of]
    for left, (place, part) in enumerate(before):
        if left in search.right_of or not free:
            continue
        alike = [right for right in free if after[right][1].shape == part.shape]
        marked = [right for right in alike if _mark(after[right][1]) == _mark(part)]
        tried = []
        for right in (marked or alike)[:_CLOSEST_MAX]:
            tried.append((right, (yield part, after[right][1])))
        if tried:
            right, closest = min(tried, key=lambda each: count_breaks(each[1]))
            free.remove(right)
            found += below(_at(writer, place), closest)
    return found


_Part = tuple[int, Node]


def _distinct(node: Node) -> list[_Part]:
    """The parts with their places; of equal ones that stand there twice, the first."""
    parts = list(enumerate(node.parts()))
    if not node.written:
        return parts
    seen: dict[str, _Part] = {}
    for place, part in parts:
        seen.setdefault(canonical(node.members[place]), (place, part))
    return list(seen.values())


def _text(part: Node) -> str:
    """Equal for parts that say the same."""
    return f"{part.shape} {part.rule} {canonical(part.raw)}" if part.raw else part.shape


def _mark(part: Node, depth: int = 3) -> str:
    """Equal for parts that call themselves the same: by properties that have one value, or listed ones."""
    if part.shape == "combined" and depth:
        return " ".join(sorted(_mark(each, depth - 1) for each in part.parts()[:20]))
    marks: list[str] = [part.shape]
    if part.shape == "object":
        for name, schema in part.raw.get("properties", {}).items():
            if isinstance(schema, dict) and ("const" in schema or "enum" in schema):
                marks.append(f"{name}={canonical(schema.get('const', schema.get('enum')))}")
    return " ".join(marks)


def _at(node: Node, place: int) -> str:
    return f"/{node.rule}/{place}" if node.written else ""


class _Matching:
    """A largest matching between the parts of two combinations; `compared` are the pairs that were looked at."""

    def __init__(self, before: list[Node], after: list[Node]) -> None:
        self.before = before
        self.after = after
        self.compared: dict[tuple[int, int], Findings] = {}
        self.right_of: dict[int, int] = {}
        self.left_of: dict[int, int] = {}
        self.turned = len(before) > len(after)  # the search goes out from the smaller side
        self.near, far = (after, before) if self.turned else (before, after)
        self.far = len(far)
        self.alike = [_places_of(far, _text), _places_of(far, _mark)]

    def matched(self) -> dict[int, int]:
        """The counterpart of each part of the writer that has one."""
        return self.right_of

    def run(self) -> Generator[Pair, Findings, None]:
        """Look for a counterpart for each part of the smaller side."""
        near, far = (self.left_of, self.right_of) if self.turned else (self.right_of, self.left_of)
        for start in range(len(self.near)):
            came_from: dict[int, int] = {}
            waiting, end = [start], None
            while waiting and end is None:
                at = waiting.pop(0)
                for other in self._order(at):
                    if other in came_from:
                        continue
                    fits = yield from self._fits(at, other)
                    if fits:
                        came_from[other] = at
                        if other not in far:
                            end = other
                            break
                        waiting.append(far[other])
            while end is not None:
                at = came_from[end]
                near[at], far[end], end = end, at, near.get(at)

    def _order(self, at: int) -> Iterator[int]:
        """In which order to try the other side's parts: those alike first; one may come twice."""
        yield from self.alike[0].get(_text(self.near[at]), ())
        if at < self.far:
            yield at
        yield from self.alike[1].get(_mark(self.near[at]), ())
        yield from range(self.far)

    def _fits(self, near: int, far: int) -> Generator[Pair, Findings, bool]:
        left, right = (far, near) if self.turned else (near, far)
        if (left, right) not in self.compared:
            self.compared[left, right] = yield self.before[left], self.after[right]
        return not breaks(self.compared[left, right])


def _places_of(parts: list[Node], key: Callable[[Node], str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for index, part in enumerate(parts):
        places.setdefault(key(part), []).append(index)
    return places
