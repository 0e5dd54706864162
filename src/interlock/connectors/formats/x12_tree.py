"""A transaction set's segments, as text, become a tree of nodes by its table; each is checked on the way.

The hot loop of X12: what a segment may do in a loop is looked up in the loop's dictionary of moves, which fills itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from interlock.connectors.formats.document import Element, Node
from interlock.connectors.formats.x12_checks import check, examine
from interlock.connectors.formats.x12_segments import segments
from interlock.connectors.formats.x12_sets import ACKNOWLEDGMENTS, BEGINNINGS, Loop, known_tags, loops

UNKNOWN_SEGMENT, UNEXPECTED, SEGMENT_MISSING, ELEMENTS_WRONG = ["1", "2", "3", "8"]
"""Codes of AK304 and IK304, X12 element 720."""
_DEPTH_MAX: Final = 16
_WRONGS_MAX: Final = 50
_LONG: Final = 2000
_LEVELS: Final = {"S": 0, "V": 0, "O": 1, "T": 2, "P": 3, "I": 4}
"""The usual order of hierarchical levels: for those who do not number the parents."""

Move = tuple[int, dict[Any, Any], str, Callable[[str], object] | None]
"""Below which open loop a segment goes, the moves after it, `loop` or `HL` if it begins one, and what checks it."""
Children = dict[str, list[Node]]
Seen = dict[str, tuple[str, Node]]
SEEN_MAX: Final = 300


class Wrong(NamedTuple):
    """A syntax error of a set: the segment's tag and position (ST is 1), the element's or 0, the standard's code, and so on."""

    tag: str
    position: int
    element: int
    code: str
    value: str
    expected: str
    fatal: bool


class Grammar:
    """How one kind of set is read with certain separators. Safe to share between threads: moves are only ever added."""

    def __init__(self, kind: str, element: str, component: str) -> None:
        self.kind = kind
        self.element = element
        self.component = component
        self.table = loops(kind)
        self.known = known_tags(kind)
        self._states: dict[tuple[Loop, ...], dict[Any, Any]] = {}
        self.start: dict[Any, Any] = self._after((self.table,)) if self.table is not None else {}

    def move(self, state: dict[Any, Any], tag: str) -> Move | None:
        """What a segment does after those before it; None for one that the set does not know here."""
        path: tuple[Loop, ...] = state[None]
        for depth in range(len(path) - 1, -1, -1):
            loop = path[depth]
            if tag in loop.loops:
                opens = "HL" if tag == "HL" else "loop"
                after = self._after((*path[: depth + 1], loop.loops[tag]))
            elif tag in loop.plain:
                opens = ""
                after = state if depth == len(path) - 1 else self._after(path[: depth + 1])
            else:
                continue
            known = check(tag, self.element, self.component)
            move: Move = (depth, after, opens, known.matches if known is not None else self._whole())
            state[tag] = move
            return move
        return None

    def _after(self, path: tuple[Loop, ...]) -> dict[Any, Any]:
        return self._states.setdefault(path, {None: path})

    def _whole(self) -> Callable[[str], object] | None:
        """The check of a segment without a rule: only that it has no components."""
        component = self.component
        return (lambda segment: None if component in segment else True) if component else None


@lru_cache(maxsize=256)
def grammar(kind: str, element: str, component: str) -> Grammar:
    """The grammar of a set with these separators."""
    return Grammar(kind, element, component)


class _Unkept(dict[str, tuple[str, Node]]):
    """For a set that is so long that keeping its segments costs more than it saves."""

    def __setitem__(self, text: str, known: tuple[str, Node]) -> None:
        pass


class Tree:
    """One set's tree as it grows.

    `seen` keeps segments that were right before, with the same separators: many come again in every set (N1*SF, CUR, W66 ...).
    So nodes are shared between sets, and nobody may change them.
    """

    __slots__ = ("grammar", "levels", "notes", "parents", "root", "seen", "version", "wrongs")

    def __init__(self, grammar: Grammar, version: str, seen: Seen) -> None:
        self.grammar = grammar
        self.seen = seen
        self.version = version
        self.root = Node([])
        self.wrongs: list[Wrong] = []
        self.notes: list[str] = []
        self.parents: dict[str, Children] = {}
        self.levels: list[tuple[int, Children]] = []

    def grow(self, texts: list[str]) -> Node:
        """The tree of a set's segments, from ST to the last before SE."""
        sep = self.grammar.element
        children: Children = {}
        self.root.elements = list(texts[0].split(sep))
        self.root.children = children
        if self.grammar.table is None:
            self._flat(texts, children)
        else:
            self._nested(texts, children)
        return self.root

    def _nested(self, texts: list[str], children: Children) -> None:
        sep, seen = self.grammar.element, self.seen if len(texts) < _LONG else _Unkept()
        stack: list[Children] = [children] * _DEPTH_MAX
        state = self.grammar.start
        position = 1
        new = Node.__new__
        for text in texts[1:]:
            position += 1
            known = seen.get(text)
            if known is not None:
                tag, node = known
                elements = node.elements
            else:
                elements = text.split(sep)  # type: ignore[assignment]
                tag = elements[0]  # type: ignore[assignment]
            try:
                depth, after, opens, matches = state[tag]
            except KeyError:
                move = self.grammar.move(state, tag) if tag else None
                if move is None:
                    state = self._strange(state, stack, position, text, text.split(sep))
                    continue
                depth, after, opens, matches = move
            if known is None:
                node = new(Node)
                if matches is None or matches(text) is not None:
                    node.elements = elements
                    seen[text] = (tag, node)
                else:
                    node.elements = elements = self._again(state, position, tag, text, elements)  # type: ignore[arg-type]
            if opens:
                # A node of its own, whatever was seen: what is below it differs.
                node = new(Node)
                node.elements = elements
                below: Children = {}
                node.children = stack[depth + 1] = below
                above = stack[depth] if opens == "loop" else self._above(elements, below, stack[depth])
            else:
                above = stack[depth]
            if tag in above:
                above[tag].append(node)
            else:
                above[tag] = [node]
            state = after
        if len(seen) > SEEN_MAX:
            seen.clear()
        table = self.grammar.table
        assert table is not None
        for tag in table.mandatory:
            if tag not in children:
                # Where it would have to be: the first one after ST, any other before the end.
                place = 2 if tag == BEGINNINGS.get(self.grammar.kind) else len(texts) + 1
                self._wrong(tag, place, 0, SEGMENT_MISSING, "", f"in every {self.grammar.kind}: it is missing", True)

    def _flat(self, texts: list[str], children: Children) -> None:
        sep, component = self.grammar.element, self.grammar.component
        for text in texts[1:]:
            elements = text.split(sep)
            node = Node([each.split(component) if component and component in each else each for each in elements])
            children.setdefault(elements[0], []).append(node)
        begins = BEGINNINGS.get(self.grammar.kind)
        if begins is not None and begins not in children:
            found = texts[1].split(sep)[0] if len(texts) > 1 else ""
            expected = f"in every {self.grammar.kind}: it is missing, and its place has {found or 'nothing'}"
            self._wrong(begins, 2, 0, SEGMENT_MISSING, "", expected, True)

    def _strange(
        self, state: dict[Any, Any], stack: list[Children], position: int, text: str, elements: list[str]
    ) -> dict[Any, Any]:
        """A segment that has no place here: one in small letters, one that belongs elsewhere, or one that nobody knows."""
        tag, kind = elements[0], self.grammar.kind
        better = tag.strip().upper()
        if better != tag and (move := state.get(better) or self.grammar.move(state, better)):
            self.notes.append(f"the tag {tag!r} is read as {better}")
            depth, after, opens, _ = move
            node = Node(self._examined(position, better, [better, *elements[1:]]))
            if opens:
                node.children = {}
                stack[depth + 1] = node.children
            at = stack[depth]
            if opens == "HL":
                at = self._above(node.elements, node.children or {}, at)
            at.setdefault(better, []).append(node)
            return after
        known = better in self.grammar.known
        code, told = (UNEXPECTED, "expected here") if known else (UNKNOWN_SEGMENT, f"a segment of {kind}")
        fatal = kind in ACKNOWLEDGMENTS or not (tag.isascii() and tag.isalnum() and 2 <= len(tag) <= 3)
        if not fatal:
            self.notes.append(f"{tag} is not {told}")
        self._wrong(tag[:20], position, 0, code, text[:80], told, fatal)
        path: tuple[Loop, ...] = state[None]
        node = Node(self._examined(position, better, elements))
        stack[len(path) - 1].setdefault(better or tag, []).append(node)
        return state

    def _again(self, state: dict[Any, Any], position: int, tag: str, text: str, elements: list[str]) -> list[Element]:
        """A segment of a shape that is new here, or one that is wrong."""
        known = check(tag, self.grammar.element, self.grammar.component)
        if known is not None:
            right = known.matches(text) is not None or known.learns(text, elements)
            state[tag] = (*state[tag][:3], known.matches)
            if right:
                return elements  # type: ignore[return-value]
        return self._examined(position, tag, elements)

    def _examined(self, position: int, tag: str, elements: list[str]) -> list[Element]:
        rule = segments().get(tag)
        component = self.grammar.component
        if rule is None:
            return [each.split(component) if component and component in each else each for each in elements]
        cleaned, faults = examine(rule, elements, component, self.version)
        strict = self.grammar.kind in ACKNOWLEDGMENTS
        for fault in faults:
            fatal = fault.fatal or strict
            self._wrong(tag, position, fault.place, fault.code, fault.value, fault.expected, fatal)
            if not fatal:
                self.notes.append(f"{tag}{fault.place:02} is not {fault.expected}")
        return cleaned

    def _wrong(self, tag: str, position: int, element: int, code: str, value: str, expected: str, fatal: bool) -> None:
        if len(self.wrongs) < _WRONGS_MAX or (fatal and not any(each.fatal for each in self.wrongs)):
            self.wrongs.append(Wrong(tag, position, element, code, value[:200], expected, fatal))

    def _above(self, elements: Sequence[Element], below: Children, root: Children) -> Children:
        """Where an HL goes: below the one that it names as its parent, or by its level where it names none."""
        number, parent, code = (str(each).strip() for each in (*elements[1:4], "", "", "")[:3])
        level = _LEVELS.get(code, -1)
        if parent:
            above = self.parents.get(parent)
            if above is None:
                self.notes.append("HL names a parent that is not before it")
                above = root
        else:
            above = root
            while self.levels and (level < 0 or self.levels[-1][0] >= level):
                self.levels.pop()
            if self.levels:
                above = self.levels[-1][1]
                self.notes.append("HL without a parent is placed by its level")
        if level >= 0:
            while self.levels and self.levels[-1][0] >= level:
                self.levels.pop()
            self.levels.append((level, below))
        self.parents[number] = below
        return above
