"""Messages of X12 and EDIFACT against the segments of a contract: which there are, how often, and what their elements hold.

The standards' own syntax is checked by the readers; a contract says what a partner agreed to send within it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from interlock.contracts.external.cells import Cell, cell, differs
from interlock.contracts.external.drift import DRIFTS_MAX, Drift, shown
from interlock.domain.partner_contracts import SegmentRule

DEPTH_MAX: Final = 16


class Segment(Protocol):
    """What the check needs of a segment: `elements[0]` is its tag; `children` are those below it, by tag."""

    elements: list[Any]
    children: Any


class _Element(NamedTuple):
    at: int
    component: int | None
    name: str
    cell: Cell


_Hot = tuple[int, int | None, Callable[[str], object] | None, bool, int, frozenset[str]]
"""What is asked of an element of every segment: where it stands, what matches it, required, length, words."""


class _Rule:
    """What may stand at one place of the tree, and below it."""

    __slots__ = ("below", "closed", "elements", "hot", "max", "min", "needed")

    def __init__(self) -> None:
        self.min = 0
        self.max: int | None = None
        self.elements: list[_Element] = []
        self.closed = False
        self.below: dict[str, _Rule] = {}
        self.needed: list[tuple[str, int]] = []
        self.hot: list[_Hot] = []


class SegmentsCheck:
    """The segments of one version. Safe to share between threads."""

    def __init__(self, rules: Sequence[SegmentRule]) -> None:
        self._root = _Rule()
        for each in rules:
            rule = self._root
            for tag in each.segment.split("/"):
                rule = rule.below.setdefault(tag, _Rule())
            rule.min, rule.max, rule.closed = each.min, each.max, each.closed
            rule.elements = [
                _Element(
                    e.at,
                    e.component,
                    f"{e.at:02}" if e.component is None else f"{e.at:02}.{e.component}",
                    cell(e.type, e.required, e.length_max, e.words),
                )
                for e in each.elements
            ]
        stack = [self._root]
        while stack:
            rule = stack.pop()
            rule.needed = [(tag, below.min) for tag, below in rule.below.items() if below.min]
            rule.hot = [
                (at, component, asked.matches, asked.required, asked.length_max or 0, asked.words)
                for at, component, _, asked in rule.elements
                if asked.matches is not None or asked.required or asked.length_max or asked.words
            ]
            stack += rule.below.values()

    def passes(self, data: Any) -> bool:
        """Whether nothing differs; False also where it takes a closer look to say."""
        head = getattr(data, "elements", None)
        if not head or str(head[0]) in self._root.below:
            return not self._walk(data, 1)
        return _passes(data, self._root, 0)

    def drifts(self, data: Any) -> list[Drift]:
        """What differs, at most so many."""
        return self._walk(data, DRIFTS_MAX)

    def _walk(self, data: Any, limit: int) -> list[Drift]:
        found: list[Drift] = []
        if not hasattr(data, "elements"):
            return [Drift("changed_type", "", "a message of segments", shown(data))]
        # The first segment (ST, UNH) is no rule's, unless one names it.
        head = self._root.below.get(str(data.elements[0]) if data.elements else "")
        if head is not None and head.elements:
            _elements(data, head, str(data.elements[0]), found)
        _children(data, self._root, "", found, limit, 0, str(data.elements[0]) if data.elements else "")
        return found[:limit]


def _passes(parent: Segment, rule: _Rule, depth: int) -> bool:
    """Whether nothing below a segment differs: what is asked of all messages, and says no more than yes or no."""
    children = parent.children or {}
    for tag, least in rule.needed:
        if tag not in children or len(children[tag]) < least:
            return False
    rules = rule.below
    for tag, segments in children.items():
        below = rules.get(tag)
        if below is None or (below.max is not None and len(segments) > below.max):
            return False
        hot, closed = below.hot, below.closed
        for segment in segments:
            if hot and not _elements_pass(segment.elements, hot):
                return False
            if closed and _has_others(segment, below):
                return False
            if (segment.children or below.needed) and (depth >= DEPTH_MAX or not _passes(segment, below, depth + 1)):
                return False
    return True


def _elements_pass(elements: list[Any], hot: list[_Hot]) -> bool:
    count = len(elements)
    for at, component, matches, required, length_max, words in hot:
        if at >= count:
            if required:
                return False
            continue
        value = elements[at]
        if component is not None:
            if type(value) is list:
                value = value[component - 1] if component <= len(value) else ""
            elif component > 1:
                value = ""
        elif type(value) is list:
            value = value[0] if value else ""
        text = value.strip()
        if not text:
            if required:
                return False
        elif (
            (length_max and len(text) > length_max)
            or (words and text not in words)
            or (matches is not None and matches(text) is None)
        ):
            return False
    return True


def _has_others(segment: Segment, rule: _Rule) -> bool:
    named = {each.at for each in rule.elements}
    return any(value and at not in named for at, value in enumerate(segment.elements[1:], 1))


def _children(
    parent: Segment, rule: _Rule, path: str, found: list[Drift], limit: int, depth: int, root: str = ""
) -> None:
    children = parent.children or {}
    for tag, least in rule.needed:
        count = len(children.get(tag, ()))
        if count < least and tag != root:
            expected = "a segment" if least == 1 else f"at least {least} segments"
            found.append(Drift("missing_field", _at(path, tag), expected, f"{count} of them" if count else "nothing"))
    for tag, segments in children.items():
        here = _at(path, tag)
        below = rule.below.get(tag)
        if below is None:
            found.append(
                Drift(
                    "unknown_field",
                    here,
                    "a segment of the contract",
                    shown("*".join(map(_text, segments[0].elements))),
                )
            )
            continue
        if below.max is not None and len(segments) > below.max:
            found.append(Drift("other", here, f"at most {below.max} of them", str(len(segments))))
        if len(found) >= limit:
            return
        is_leaf = not below.elements and not below.below
        for place, segment in enumerate(segments):
            if is_leaf and not segment.children:
                continue
            at = here if len(segments) == 1 else f"{here}[{place}]"
            if below.elements:
                _elements(segment, below, at, found)
            if (below.below or segment.children) and depth < DEPTH_MAX:
                _children(segment, below, at, found, limit, depth + 1)
            if len(found) >= limit:
                return


def _elements(segment: Segment, rule: _Rule, path: str, found: list[Drift]) -> None:
    elements = segment.elements
    for at, component, name, asked in rule.elements:
        value: Any = elements[at] if at < len(elements) else ""
        if component is not None:
            parts = value if isinstance(value, list) else [value]
            value = parts[component - 1] if component <= len(parts) else ""
        elif isinstance(value, list):
            value = value[0] if value else ""
        if not value.strip():
            if asked.required:
                found.append(Drift("missing_field", f"{path}.{name}", "an element that is filled", "nothing"))
        elif (drift := differs(asked, f"{path}.{name}", value)) is not None:
            found.append(drift)
    if rule.closed:
        named = {each.at for each in rule.elements}
        for at, value in enumerate(elements[1:], 1):
            if value and at not in named:
                found.append(
                    Drift("unknown_field", f"{path}.{at:02}", "an element of the contract", shown(_text(value)))
                )


def _at(path: str, tag: str) -> str:
    return f"{path}/{tag}" if path else tag


def _text(element: Any) -> str:
    return ":".join(map(str, element)) if isinstance(element, list) else str(element)
