"""Segments drafted from messages of X12 and EDIFACT: which there are, how often, and what their elements hold."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from interlock.contracts.external.infer_tables import LENGTHS, CellSeen
from interlock.contracts.external.segments import DEPTH_MAX, Segment

ELEMENTS_MAX: Final = 30
CODES_FOR: Final = 20
CODE_LENGTH_MAX: Final = 3
NUMBERS_FOR: Final = 10


class SegmentsSeen:
    """All messages of one kind."""

    def __init__(self) -> None:
        self._root = _Place()

    def add(self, data: Any) -> None:
        """One message. Raises ValueError for what is none."""
        if not hasattr(data, "elements"):
            raise ValueError("a document is no message of segments")
        self._root.add(data, 0)

    def described(self, notes: list[str]) -> list[dict[str, Any]]:
        """The segments, by their way from the first one. Raises ValueError where there are none."""
        found: list[dict[str, Any]] = []
        for tag, place in self._root.below.items():
            place.describe(tag, self._root, found, notes)
        if not found:
            raise ValueError("there is no segment in the messages")
        return found


class _Place:
    """All segments that stood at one place of the tree."""

    __slots__ = ("below", "count", "elements", "least", "most", "parents")

    def __init__(self) -> None:
        self.count = 0
        self.parents = 0
        self.least = 10**9
        self.most = 0
        self.below: dict[str, _Place] = {}
        self.elements: dict[tuple[int, int | None], CellSeen] = {}

    def add(self, segment: Segment, depth: int) -> None:
        self.count += 1
        if depth:
            self._add_elements(segment.elements)
        if depth > DEPTH_MAX:
            return
        for tag, segments in (segment.children or {}).items():
            place = self.below.setdefault(tag, _Place())
            place.parents += 1
            place.least = min(place.least, len(segments))
            place.most = max(place.most, len(segments))
            for each in segments:
                place.add(each, depth + 1)

    def _add_elements(self, elements: list[Any]) -> None:
        for at, value in enumerate(elements[1 : ELEMENTS_MAX + 1], 1):
            parts = [(None, value)] if not isinstance(value, list) else list(enumerate(value, 1))
            for component, text in parts:
                self.elements.setdefault((at, component), CellSeen()).add(text)

    def describe(self, path: str, parent: _Place, found: list[dict[str, Any]], notes: list[str]) -> None:
        made: dict[str, Any] = {"segment": path}
        if self.parents == parent.count:
            made["min"] = 1
        if self.most == 1 and self.parents >= CODES_FOR:
            made["max"] = 1
        elements = self._elements(path, notes)
        if elements:
            made["elements"] = elements
        found.append(made)
        if self.parents * 20 <= parent.count:
            notes.append(f"{path}: seldom there, in {self.parents} of {parent.count}")
        for tag, place in self.below.items():
            place.describe(f"{path}/{tag}", self, found, notes)

    def _elements(self, path: str, notes: list[str]) -> list[dict[str, Any]]:
        composed = Counter(at for at, component in self.elements if component is not None)
        made = []
        for (at, component), cell in sorted(self.elements.items(), key=lambda each: (each[0][0], each[0][1] or 0)):
            if not cell.filled or (component is None and at in composed):
                continue  # now and then it has components: then its first one is what stands there alone
            element: dict[str, Any] = {"at": at}
            if component is not None:
                element["component"] = component
            whole = self.elements.get((at, None))
            if component == 1 and whole is not None:
                _merge(cell, whole)
            if cell.filled == self.count:
                element["required"] = True
            name = f"{path}.{at:02}" + (f".{component}" if component is not None else "")
            element |= self._of(cell, name, notes)
            made.append(element)
        return made

    def _of(self, cell: CellSeen, name: str, notes: list[str]) -> dict[str, Any]:
        """Codes are short and few; of all else the type counts only where it is a number or a day for certain."""
        words = cell.words
        if (
            cell.filled >= CODES_FOR
            and len(words) <= 8
            and cell.filled >= 5 * len(words)
            and cell.length_max <= CODE_LENGTH_MAX
            and not any(word.isdigit() and len(words) > 3 for word in words)
            and any(word.isalpha() for word in words)
        ):
            notes.append(f"{name}: {len(words)} codes in {cell.filled} ({', '.join(sorted(words))}); are there others?")
            return {"words": sorted(words)}
        made = cell.described(name, [])
        made.pop("words", None)
        if made.get("type") in ("integer", "number", "boolean", "time"):
            # Digits may be a quantity or a name: few of them, many times, are more likely a quantity.
            is_number = made["type"] in ("integer", "number") and cell.filled >= NUMBERS_FOR and cell.length_max <= 10
            made["type"] = "number" if is_number else "text"
            if not is_number:
                made["length_max"] = next(each for each in LENGTHS if each >= 2 * cell.length_max)
        if made.get("type") == "text":
            made.pop("type")
        return made


def _merge(cell: CellSeen, other: CellSeen) -> None:
    cell.filled += other.filled
    cell.types = [kind for kind in cell.types if kind in other.types] if other.filled else cell.types
    cell.length_max = max(cell.length_max, other.length_max)
    cell.leading_zero = cell.leading_zero or other.leading_zero
    cell.words.update(other.words)
