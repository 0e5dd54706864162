"""The fields of a rule as one function: what the values of a mapping do, written out statement by statement.

    make = unrolled(fields)        # the same as fields.make

A record has tens of fields, and each is small functions that call one another; without the calls it takes half the time. What
has no statements of its own here is called as before. What is said in `values.py` counts: tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from interlock.connectors.recipes.conditions import All, Check, Holds
from interlock.connectors.recipes.following import Ending, Names, ending_of, steps_to
from interlock.connectors.recipes.modifiers import Simple
from interlock.connectors.recipes.paths import Path
from interlock.connectors.recipes.scopes import Scope
from interlock.connectors.recipes.values import (
    Changed,
    Choice,
    Constant,
    Each,
    First,
    FromPath,
    ListOf,
    Object,
    Time,
    Value,
)

DEPTH_MAX = 40
"""Deeper statements than this are called as functions: Python reads no more than a hundred levels."""


def unrolled(fields: Object) -> Callable[[Scope], dict[str, Any]]:
    """The function that makes the object in a scope; whether it is wanted (`when`) is not asked."""
    code = _Code()
    code.add("i0 = s0.item")
    code.object(fields)
    code.add("return v")
    return code.names.function("s0", code.lines)


class _Code:
    """Statements as they are written. A value is left in `v`; the item of the scope at a level is in `i0`, `i1` ...,
    its place in `p1` ..., the scope itself, where somebody asks for it, in `s0`, `s1` ...
    """

    def __init__(self) -> None:
        self.names = Names()
        self.lines: list[str] = []
        self._deep = 0
        self._level = 0
        self._scopes = {0}
        self._fresh = 0

    def add(self, *lines: str) -> None:
        """Write statements here."""
        self.lines += ["    " * self._deep + line for line in lines]

    @contextmanager
    def below(self, head: str) -> Iterator[None]:
        """Write what follows below a head such as `if h:`."""
        self.add(head)
        self._deep += 1
        yield
        self._deep -= 1

    def new(self, prefix: str) -> str:
        """A variable that nobody else has."""
        self._fresh += 1
        return f"{prefix}_{self._fresh}"

    def scope(self) -> str:
        """The variable of this scope, which is made then."""
        self._scopes.update(range(self._level + 1))
        return f"s{self._level}"

    # Values

    def value(self, value: Value) -> None:
        """The value, in `v`."""
        if self._deep > DEPTH_MAX:
            self._called(value.get)
            return
        match value:
            case Constant():
                self.add("v = None" if value.value is None else f"v = {self.names.bind(value.value)}")
            case FromPath() if value.trim and self._is_near(value.path):
                self._path(value.path, "word" if value.as_word else "text")
            case Changed():
                self._changed(value)
            case First():
                self._first(value)
            case Choice():
                self._choice(value)
            case Time() if len(value.parts) == 1:
                self.value(value.parts[0])
                with self.below("if v is not None:"):
                    self.add(f"v = {self.names.bind(value.read)}({self.scope()}, [v])")
            case ListOf():
                self._list(value)
            case Object():
                self._optional(value)
            case Each():
                self._each(value)
            case _:
                self._called(value.get)

    def object(self, value: Object) -> None:
        """The object, whether it is wanted or not."""
        made = self.new("m")
        self.add(f"{made} = {{}}")
        for name, each in value.fields.items():
            self.value(each)
            self.add("if v is not None:", f"    {made}[{name!r}] = v")
        self.add(f"v = {made}")

    def _called(self, get: Callable[[Scope], Any]) -> None:
        self.add(f"v = {self.names.bind(get)}({self.scope()})")

    def _is_near(self, path: Path) -> bool:
        """Whether the path begins at an item that has a variable here."""
        return path.origin in ("", "#") and path.ups <= self._level

    def _path(self, path: Path, ending: Ending) -> None:
        level = self._level - path.ups
        if path.origin == "#":
            self.add(f"v = p{level}" if level else "v = s0.place")
            if ending == "word":
                self.add("v = str(v)")
            return
        self.add(f"v = i{level}", *steps_to(path.steps, self.names), *ending_of(ending))

    def _changed(self, value: Changed) -> None:
        self.value(value.value)
        change = value.change
        if isinstance(change, Simple):
            self.add("if v is not None:", f"    v = {self.names.bind(change.of)}(v)")
        elif change is not None:
            self.add(f"v = {self.names.bind(change)}({self.scope()}, v)")

    def _first(self, value: First) -> None:
        self.add("v = None")
        for place, each in enumerate(value.values):
            if place == 0:
                self.value(each)
            else:
                with self.below("if v is None:"):
                    self.value(each)

    def _choice(self, value: Choice) -> None:
        self.condition(value.holds)
        with self.below("if h:"):
            self.value(value.then)
        with self.below("else:"):
            self.value(value.otherwise)

    def _list(self, value: ListOf) -> None:
        made = self.new("o")
        self.add(f"{made} = []")
        for each in value.values:
            self.value(each)
            self.add("if v is not None:", f"    {made}.append(v)")
        self.add(f"v = {made}")

    def _optional(self, value: Object) -> None:
        if value.holds is None:
            self.object(value)
            self.add("v = v or None")
            return
        self.condition(value.holds)
        with self.below("if h:"):
            self.object(value)
            self.add("v = v or None")
        with self.below("else:"):
            self.add("v = None")

    # Lists

    def _each(self, value: Each) -> None:
        made, groups = self.new("o"), self.new("g")
        self.add(f"{made} = None", f"{groups} = {{}}")
        self._entries(value, value.entries.paths, made, groups)
        self.add(f"v = {made}")
        if value.by:
            self.add("if v is not None:", f"    v = list({groups}.values())")

    def _entries(self, value: Each, paths: tuple[Path, ...], made: str, groups: str) -> None:
        """A loop over the entries of the first path; in it one over those of the next, or the entry itself."""
        self._list_of(paths[0])
        level = self._level = self._level + 1
        with self.below(f"for p{level}, i{level} in enumerate(v, 1):"):
            begin = len(self.lines)
            deep = self._deep
            if len(paths) > 1:
                self._entries(value, paths[1:], made, groups)
            else:
                self._entry(value, made, groups)
            if level in self._scopes:
                text = self.names.bind(paths[0].text)
                self.lines.insert(begin, "    " * deep + f"s{level} = Scope(i{level}, s{level - 1}, p{level}, {text})")
                self._scopes.discard(level)
        self._level -= 1

    def _entry(self, value: Each, made: str, groups: str) -> None:
        self.add(f"if {made} is None:", f"    {made} = []")
        if value.holds is not None:
            self.condition(value.holds)
            self.add("if not h:", "    continue")
        if isinstance(value.value, Object) and value.value.holds is None:
            self.object(value.value)
        else:
            self.value(value.value)
        keep = f"{self.names.bind(value.merge)}({groups}, v)" if value.by else f"{made}.append(v)"
        self.add("if v is not None:", f"    {keep}")

    def _list_of(self, path: Path) -> None:
        """The entries at a path, in `v`."""
        if not self._is_near(path) or path.origin or len(path.steps) != 1 or path.steps[0].filters:
            self._called(path.entries())
            return
        item, name = f"i{self._level - path.ups}", path.steps[0].name
        self.add(f"if type({item}) is dict:", f"    v = {item}.get({name!r})")
        if path.steps[0].position is None:
            self.add(
                f"elif type({item}) is Node:", f"    c = {item}.children", f"    v = c.get({name!r}) if c else None"
            )
        with self.below("else:"):
            self._called(path.entries())
        self.add("if type(v) is not list:", "    v = () if v is None else (v,)")

    # Conditions

    def condition(self, holds: Holds) -> None:
        """Whether a condition holds, in `h`."""
        if isinstance(holds, All):
            for place, check in enumerate(holds.checks):
                if place:
                    with self.below("if h:"):
                        self.condition(check)
                else:
                    self.condition(check)
        elif isinstance(holds, Check) and holds.path is not None and self._is_near(holds.path):
            self._path(holds.path, "asked")
            test = f"{self.names.bind(holds.test)}(v)"
            if holds.words is None:
                self.add(f"h = {test}")
            else:
                self.add(f"h = v in {self.names.bind(holds.words)} if type(v) is str else {test}")
        else:
            self.add(f"h = {self.names.bind(holds)}({self.scope()})")
