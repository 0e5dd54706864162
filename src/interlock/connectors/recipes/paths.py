"""Paths: where in a document a value stands. Their language is told in docs/mappings.md#paths.

    path = read_path("N1[01=ST].04")
    path.text                              # what was written
    follow(segment, path.steps)            # the one value there, as it is; None where there is nothing
    path.entries()(scope)                  # all entries there, for `each`

A path is read once; the functions that live links ask are made of it in `following.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from interlock.connectors.formats.document import Node
from interlock.connectors.recipes.scopes import Scope, plain, text_of
from interlock.connectors.recipes.wrong import PathWrong, Unfit

Getter = Callable[[Scope], Any]
_ENDS = ".["
STEPS_MAX = 32


class Filter(NamedTuple):
    """What stands between brackets: which entries are meant. `place` (from 1) is one of them by its place."""

    steps: tuple[Step, ...] = ()
    words: frozenset[str] = frozenset()
    equal: bool = True
    place: int = 0

    def holds(self, entry: Any) -> bool:
        """Whether the entry is meant."""
        try:
            value = plain(follow(entry, self.steps))
        except Unfit:
            return not self.words  # a whole segment: it is there
        if not self.words:
            return value is not None
        return (value is not None and text_of(value) in self.words) is self.equal


class Step(NamedTuple):
    """One step of a path: a name, which may be a position as well, and which of the entries there are meant."""

    name: str
    position: int | None = None
    filters: tuple[Filter, ...] = ()


class Path(NamedTuple):
    """A path that was read. `ups` is how many scopes it goes out, `origin` where it begins then."""

    text: str
    origin: str = ""  # "" the scope's item, "$" the document, "@" its context, "#" the place
    ups: int = 0
    steps: tuple[Step, ...] = ()

    def without_filters(self) -> Path:
        """The same path, whatever the entries on it hold."""
        return self._replace(steps=tuple(step._replace(filters=()) for step in self.steps))

    def entries(self) -> Callable[[Scope], list[Any]]:
        """A function that gives all entries there: lists on the way are gone through, one that is no list is one entry."""
        start, steps = _start(self), self.steps
        if len(steps) == 1 and not steps[0].filters and self.origin == "" and self.ups == 0:
            return _entries_of(steps[0])
        return lambda scope: list(_all(start(scope), steps))


def read_path(text: str) -> Path:
    """The path that a text says. Raises PathWrong."""
    at, ups, origin = 0, 0, ""
    steps: list[Step] = []
    if text == "#":
        return Path(text, "#")
    if text == ".":
        return Path(text)
    if text.startswith("$"):
        origin, at = "$", 1
    elif text.startswith("@"):
        origin, at = "@", 1
        if len(text) == 1:
            raise PathWrong(2, "a name of the context should follow the @")
    elif text.startswith("^"):
        while text.startswith("^", at):
            ups += 1
            at += 1
            if text.startswith(".^", at):
                at += 1
    if (origin == "$" or ups) and at < len(text):
        if text[at] != ".":
            raise PathWrong(at + 1, "a point should stand here")
        at += 1
        if ups and text[at:] == "#":
            return Path(text, "#", ups)
    elif text.startswith(".") and len(text) > 1:
        at = 1
    while at < len(text) or not (steps or ups or origin == "$"):
        step, at = _read_step(text, at)
        steps.append(step)
        if at == len(text):
            break
        at += 1
        if at == len(text):
            raise PathWrong(at + 1, "a step should follow the point")
    if len(steps) > STEPS_MAX:
        raise PathWrong(len(text), f"there should be at most {STEPS_MAX} steps")
    return Path(text, origin, ups, tuple(steps))


def _read_step(text: str, at: int, ends: str = "") -> tuple[Step, int]:
    """The step that begins here, and where it ends: at a point, one of `ends`, or the end of the text."""
    if text[at : at + 1] in ("'", '"'):
        name, at = _quoted(text, at)
        position = None
    else:
        begin = at
        while at < len(text) and text[at] not in _ENDS and text[at] not in ends:
            if text[at] in "]*^$ " and not (text[at] == " " and at > begin):
                raise PathWrong(
                    at + 1, f"a name should stand here, not {text[at]!r} (put it in quotes if it belongs to a name)"
                )
            at += 1
        name = text[begin:at].strip()
        if not name:
            raise PathWrong(at + 1, "a name should stand here")
        position = int(name) if name.isascii() and name.isdigit() and len(name) < 6 else None
    filters = []
    while text.startswith("[", at):
        each, at = _read_filter(text, at + 1)
        filters.append(each)
    if at < len(text) and text[at] != "." and text[at] not in ends:
        raise PathWrong(at + 1, "a point or the end should stand here")
    return Step(name, position, tuple(filters)), at


def _read_filter(text: str, at: int) -> tuple[Filter, int]:
    if text.startswith("#", at):
        end = text.find("]", at)
        number = text[at + 1 : end] if end > 0 else ""
        if not (number.isascii() and number.isdigit() and int(number) > 0):
            raise PathWrong(at + 2, "a place from 1 and a closing bracket should stand here")
        return Filter(place=int(number)), end + 1
    steps: list[Step] = []
    if text[at : at + 1] == "." and text[at + 1 : at + 2] in ("=", "!", "]"):
        at += 1
    else:
        if text.startswith(".", at):
            at += 1
        while True:
            step, at = _read_step(text, at, "=!]")
            steps.append(step)
            if text[at : at + 1] != ".":
                break
            at += 1
    equal = True
    if text.startswith("!", at):
        equal = False
        at += 1
        if not text.startswith("=", at):
            raise PathWrong(at + 1, "an = should follow the !")
    if text.startswith("]", at):
        return Filter(tuple(steps)), at + 1
    if not text.startswith("=", at):
        raise PathWrong(at + 1, "= or a closing bracket should stand here")
    words = []
    while True:
        word, at = _read_word(text, at + 1)
        words.append(word)
        if text.startswith("]", at):
            return Filter(tuple(steps), frozenset(words), equal), at + 1
        if not text.startswith("|", at):
            raise PathWrong(at + 1, "a closing bracket should stand here")


def _read_word(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] in ("'", '"'):
        return _quoted(text, at)
    begin = at
    while at < len(text) and text[at] not in "|]":
        at += 1
    if not text[begin:at].strip():
        raise PathWrong(at + 1, "a value should stand here")
    return text[begin:at].strip(), at


def _quoted(text: str, at: int) -> tuple[str, int]:
    end = text.find(text[at], at + 1)
    if end < 0:
        raise PathWrong(at + 1, "this quote should be closed")
    return text[at + 1 : end], end + 1


# Following a path


def follow(value: Any, steps: tuple[Step, ...]) -> Any:
    """What stands at the end of the steps, as it is; None where there is nothing. Of lists on the way, the first entry."""
    is_element = False
    for step in steps:
        if value is None:
            return None
        if is_element:
            value = _component(value, step.position)
            continue
        value, is_element = _next(value, step)
        for each in step.filters:
            value = next(iter(filtered(value, each)), None)
    return value


def _all(value: Any, steps: tuple[Step, ...], is_element: bool = False) -> Iterator[Any]:
    """Everything that stands at the end of the steps."""
    if value is None:
        return
    if not steps:
        if type(value) is list and not is_element:
            yield from value
        else:
            yield value
        return
    step, rest = steps[0], steps[1:]
    if is_element:
        yield from _all(_component(value, step.position), rest, True)
        return
    if type(value) is list and value and (step.position is None or type(value[0]) is Node):
        for entry in value:
            yield from _all(entry, steps)
        return
    value, is_element = _next(value, step)
    for each in step.filters:
        value = filtered(value, each)
    yield from _all(value, rest, is_element)


def _next(value: Any, step: Step) -> tuple[Any, bool]:
    """What the step leads to, and whether that is an element of a segment."""
    kind = type(value)
    if kind is list:
        if not value:
            return None, False
        if step.position is not None and type(value[0]) is not Node:
            return (value[step.position] if step.position < len(value) else None), False
        value = value[0]
        kind = type(value)
    if kind is dict:
        return value.get(step.name), False
    if kind is Node:
        if step.position is not None:
            elements = value.elements
            return (elements[step.position] if step.position < len(elements) else None), True
        return (value.children.get(step.name) if value.children else None), False
    return None, False


def _component(element: Any, position: int | None) -> Any:
    """A component of an element, from 1; an element without components is its own first."""
    if position is None:
        return None
    if type(element) is list:
        return element[position - 1] if 0 < position <= len(element) else None
    return element if position == 1 else None


def filtered(value: Any, by: Filter) -> list[Any]:
    """The entries that are meant; what is no list is the only entry."""
    if value is None:
        return []
    entries = value if type(value) is list else [value]
    if by.place:
        return entries[by.place - 1 : by.place]
    return [entry for entry in entries if by.holds(entry)]


# Functions for the most frequent forms


def _start(path: Path) -> Getter:
    if path.origin == "$":
        return lambda scope: scope.root().item
    if path.origin == "@":
        return context_of
    ups = path.ups
    if ups == 0:
        return lambda scope: scope.item
    return lambda scope: _above(scope, ups).item


def context_of(scope: Scope) -> Any:
    """What was said around the document, and what it is itself."""
    document = scope.root().document
    if document is None:
        return None
    return {"kind": document.kind, "place": document.place, **document.context}


def _above(scope: Scope, ups: int) -> Scope:
    for _ in range(ups):
        if scope.up is None:
            break
        scope = scope.up
    return scope


def _entries_of(step: Step) -> Callable[[Scope], list[Any]]:
    name, steps = step.name, (step,)

    def entries(scope: Scope) -> list[Any]:
        item = scope.item
        if type(item) is dict:
            found = item.get(name)
        elif type(item) is Node and step.position is None:
            found = item.children.get(name) if item.children else None
        else:
            return list(_all(item, steps))
        if type(found) is list:
            return found
        return [] if found is None else [found]

    return entries
