"""What is looked up more than once in a document is looked up once: the statements for it.

Paths of a mapping have much in common (`NAD[01=DP].07.1`, `NAD[01=DP].08`): where they begin at a segment, each of their steps is
a variable of its own, which the next path that goes the same way finds. A variable is filled where it is asked for first; if that
is in a branch, another branch asks whether it is filled (`Shared.UNASKED` if not).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from interlock.connectors.recipes.following import Ending, Names
from interlock.connectors.recipes.paths import Filter, Step

Thing = tuple[int, Hashable]
"""What is looked up: the number of its frame, and what it is."""
UNASKED: Final = "U"
_LAST: Final = {"text": "plain", "word": "as_word", "asked": "asked"}


class Lines:
    """Statements as they are written, with what is known at each place of them.

    A frame is what is done for one item: the whole function, or the body of a loop. All is written twice: how often each thing is
    asked for is known from the lines that were written `before`.
    """

    def __init__(self, names: Names, before: Lines | None) -> None:
        self.names = names
        self.deep = 0
        self._asked: Counter[Thing] = Counter()
        self._often = {thing for thing, times in before._asked.items() if times > 1} if before else set()
        self._variables: dict[Thing, str] = before._variables if before else {}
        self._written: list[tuple[int, str] | list[tuple[int, str]]] = []
        self._frames: list[tuple[int, int, list[tuple[int, str]]]] = []
        self._frames_begun = 0
        self._known: set[Thing] = set()
        self._news: list[Thing] = []
        self._lazy: set[Thing] = set()
        self._fresh = 0

    def add(self, *lines: str) -> None:
        """Write statements here."""
        self._written += [(self.deep, line) for line in lines]

    def text(self) -> list[str]:
        """All statements."""
        written: list[str] = []
        for each in self._written:
            for deep, line in each if isinstance(each, list) else [each]:
                written.append("    " * deep + line)
        return written

    @contextmanager
    def below(self, head: str) -> Iterator[None]:
        """Write what follows below a head such as `if h:`. What is found out there is not known behind it."""
        self.add(head)
        self.deep += 1
        begin = len(self._news)
        yield
        self._known.difference_update(self._news[begin:])
        del self._news[begin:]
        self.deep -= 1

    @contextmanager
    def frame(self) -> Iterator[None]:
        """What follows is done for another item."""
        first: list[tuple[int, str]] = []
        self._written.append(first)
        self._frames_begun += 1
        self._frames.append((self._frames_begun, self.deep, first))
        yield
        self._frames.pop()

    def new(self, prefix: str) -> str:
        """A variable that nobody else has."""
        self._fresh += 1
        return f"{prefix}_{self._fresh}"

    def shared(self, level: int, key: Hashable, write: Callable[[str], None]) -> str:
        """The variable of what is the same for the whole of the frame at that level; `write` writes how it is filled."""
        number, deep, first = self._frames[level]
        thing = number, key
        self._asked[thing] += 1
        name = self._variables.setdefault(thing, f"x{len(self._variables)}")
        if thing in self._known:
            return name
        is_often = thing in self._often or level < len(self._frames) - 1
        if self.deep > deep and is_often and thing not in self._lazy:
            self._lazy.add(thing)
            first.append((deep, f"{name} = {UNASKED}"))
        if thing in self._lazy:
            with self.below(f"if {name} is {UNASKED}:"):
                write(name)
        else:
            write(name)
        self._known.add(thing)
        self._news.append(thing)
        return name


class SegmentPaths:
    """Writes what stands at a path from a segment. The item's variable never holds anything else than a segment."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def value(self, level: int, item: str, steps: tuple[Step, ...], ending: Ending) -> str | None:
        """The variable of what stands there; None for steps that are left to `follow`."""
        if not can_be_written(steps) or (ending != "asked" and leads_to_segments(steps)):
            return None
        found, maybe = item, False
        at = 0
        while at < len(steps) and steps[at].position is None:
            found, maybe = self._segment(level, found, maybe, steps[at]), True
            at += 1
        if at < len(steps):
            found = self._element(level, found, maybe, steps[at].position or 0)
            if at + 1 < len(steps):
                found = self._component(level, found, steps[at + 1].position or 0)
        else:
            return found if maybe else None
        if ending == "raw":
            return found
        last = _LAST[ending]
        line = f"{{1}} = ({{0}}.strip() or None) if type({{0}}) is str else None if {{0}} is None else {last}({{0}})"
        return self._line(level, (found, ending), line, found)

    def entries(self, level: int, item: str, step: Step) -> str:
        """The variable of the list of segments with that tag; or of None."""
        return self._list(level, item, False, step.name)

    def _line(self, level: int, key: Hashable, line: str, found: str) -> str:
        return self._lines.shared(level, key, lambda name: self._lines.add(line.format(found, name)))

    def _list(self, level: int, found: str, maybe: bool, tag: str) -> str:
        children = "{1} = {0}.children if {0} is not None else None" if maybe else "{1} = {0}.children"
        below = self._line(level, (found, "children"), children, found)
        name = repr(tag).replace("{", "{{").replace("}", "}}")
        return self._line(level, (below, "tag", tag), f"{{1}} = {{0}}.get({name}) if {{0}} else None", below)

    def _segment(self, level: int, found: str, maybe: bool, step: Step) -> str:
        """The first segment with the tag that the filter lets pass."""
        several = self._list(level, found, maybe, step.name)
        if not step.filters:
            return self._line(level, (several, "first"), "{1} = {0}[0] if {0} else None", several)
        each = step.filters[0]
        return self._lines.shared(level, (several, each), lambda name: self._filtered(several, each, name))

    def _filtered(self, several: str, each: Filter, name: str) -> None:
        lines = self._lines
        if each.place:
            at = each.place - 1
            lines.add(f"{name} = {several}[{at}] if {several} and len({several}) > {at} else None")
            return
        positions = [step.position for step in each.steps]
        with lines.below(f"for {name} in {several} or ():"):
            if not (each.words and each.equal and all(positions) and len(positions) < 3) or any(
                step.filters for step in each.steps
            ):
                lines.add(f"if {lines.names.bind(each.holds)}({name}):", "    break")
            else:
                words, position = lines.names.bind(each.words), positions[0]
                lines.add(f"e = {name}.elements", f"y = e[{position}] if len(e) > {position} else None")
                if len(positions) == 2:
                    lines.add(*_component_of("y", "y", positions[1] or 0))
                lines.add(
                    f"if y.strip() in {words} if type(y) is str else y and {lines.names.bind(each.holds)}({name}):",
                    "    break",
                )
        lines.add("else:", f"    {name} = None")

    def _element(self, level: int, found: str, maybe: bool, position: int) -> str:
        elements = "{1} = {0}.elements if {0} is not None else ()" if maybe else "{1} = {0}.elements"
        of = self._line(level, (found, "elements"), elements, found)
        return self._line(level, (of, position), f"{{1}} = {{0}}[{position}] if len({{0}}) > {position} else None", of)

    def _component(self, level: int, found: str, component: int) -> str:
        def write(name: str) -> None:
            self._lines.add(*_component_of(found, name, component))

        return self._lines.shared(level, (found, "component", component), write)


def can_be_written(steps: tuple[Step, ...]) -> bool:
    """Whether the steps go by tags to a segment, with at most one filter each, and on to an element or a component of it."""
    at = 0
    while at < len(steps) and steps[at].position is None:
        if len(steps[at].filters) > 1:
            return False
        at += 1
    rest = steps[at:]
    return len(rest) < 3 and not any(step.position is None or step.filters for step in rest)


def leads_to_segments(steps: tuple[Step, ...]) -> bool:
    """Whether what stands there, from a segment, are segments."""
    return all(step.position is None for step in steps)


def _component_of(element: str, name: str, component: int) -> list[str]:
    """A component of an element, from 1; an element without components is its own first."""
    if component == 0:
        return [f"{name} = None"]
    if component == 1:
        return [f"{name} = ({element}[0] if {element} else None) if type({element}) is list else {element}"]
    at = component - 1
    return [f"{name} = {element}[{at}] if type({element}) is list and len({element}) > {at} else None"]
