"""The fields of a rule as one function: what the values of a mapping do, written out statement by statement.

    make = unrolled(fields)        # the same as fields.make

A record has tens of fields, and each is small functions that call one another; without the calls it takes half the time. What
has no statements of its own here is called as before. What is said in `values.py` counts: tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Any

from interlock.connectors.recipes.conditions import All, AnyOf, Check, Holds
from interlock.connectors.recipes.following import Ending, Names, ending_of, steps_to
from interlock.connectors.recipes.modifiers import Chain, Change, Default, Required, Simple
from interlock.connectors.recipes.paths import Path
from interlock.connectors.recipes.scopes import Scope, text_of, word
from interlock.connectors.recipes.shared import Lines, SegmentPaths, leads_to_segments
from interlock.connectors.recipes.values import (
    Changed,
    Choice,
    Constant,
    Each,
    First,
    FromPath,
    Join,
    ListOf,
    Object,
    Time,
    Value,
)

DEPTH_MAX = 40
"""Deeper statements than this are called as functions: Python reads no more than a hundred levels."""


def unrolled(fields: Object, *, segments: bool = False) -> Callable[[Scope], dict[str, Any]]:
    """The function that makes the object in a scope; whether it is wanted (`when`) is not asked.

    With `segments`, one that is quicker where the items are segments.
    """
    return _written(lambda code: code.object(fields), "v", segments)


def rules_that_hold(
    rules: Sequence[tuple[Any, Holds | None]], *, first: bool, segments: bool = False
) -> Callable[[Scope], list[Any]]:
    """The function that gives the rules whose conditions hold in a scope; with `first`, only the first of them."""

    def write(code: _Code) -> None:
        code.add("held = []")
        for rule, holds in rules:
            keep = [f"held.append({code.names.bind(rule)})", *(["return held"] if first else [])]
            if holds is None:
                code.add(*keep)
            else:
                code.condition(holds)
                code.add("if h:", *("    " + line for line in keep))

    return _written(write, "held", segments)


def entries_that_hold(
    paths: tuple[Path, ...], where: Holds | None, *, segments: bool = False
) -> Callable[[Scope], list[tuple[int, Scope]]]:
    """The function that gives, of the entries at the paths, those for which the condition holds: their places, and scopes."""

    def write(code: _Code) -> None:
        def keep() -> None:
            code.add("at += 1")
            if where is not None:
                code.condition(where)
                code.add("if not h:", "    continue")
            code.add(f"held.append((at, {code.scope()}))")

        code.add("held = []", "at = 0")
        code.entries(paths, keep)

    return _written(write, "held", segments)


def _written(write: Callable[[_Code], None], given: str, segments: bool) -> Callable[[Scope], Any]:
    """The function that is written; with `segments` it is two, of which that for all other items is written when it is needed."""

    @cache
    def any_items() -> Callable[[Scope], Any]:
        return _function(write, given, None)

    return _function(write, given, any_items) if segments else any_items()


def _function(
    write: Callable[[_Code], None], given: str, otherwise: Callable[[], Callable[[Scope], Any]] | None
) -> Callable[[Scope], Any]:
    before: _Code | None = None
    while True:
        code = _Code(before, segments=otherwise is not None)
        with code.frame():
            code.add("i0 = s0.item")
            if otherwise is not None:
                code.add("if type(i0) is not Node:", f"    return {code.names.bind(otherwise)}()(s0)")
            write(code)
            code.add(f"return {given}")
        if before is not None:
            return code.names.function("s0", code.text())
        before = code


class _Code(Lines):
    """Statements as they are written. A value is left in `v`; the item of the scope at a level is in `i0`, `i1` ...,
    its place in `p1` ..., the scope of the function in `s0`.
    """

    def __init__(self, before: _Code | None, *, segments: bool) -> None:
        super().__init__(Names(), before)
        self._level = 0
        self._paths: list[Path] = []
        self._are_segments = [segments]
        """Of each level, whether its item can be nothing else."""
        self._in_segments = SegmentPaths(self)

    def scope(self, level: int | None = None) -> str:
        """The variable of the scope of a level, which is made then."""
        at = self._level if level is None else level
        if at == 0:
            return "s0"

        def write(name: str) -> None:
            above, text = self.scope(at - 1), self.names.bind(self._paths[at - 1].text)
            self.add(f"{name} = Scope(i{at}, {above}, p{at}, {text})")

        return self.shared(at, "scope", write)

    # Values

    def value(self, value: Value) -> None:
        """The value, in `v`."""
        if self.deep > DEPTH_MAX:
            self._called(value.get)
            return
        match value:
            case Constant():
                self.add("v = None" if value.value is None else f"v = {self.names.bind(value.value)}")
            case FromPath() if value.trim:
                self._path(value.path, "word" if value.as_word else "text", value.get)
            case Changed():
                self._changed(value)
            case First():
                self._first(value)
            case Choice():
                self._choice(value)
            case Time():
                self._time(value)
            case Join():
                self._join(value)
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

    def _path(self, path: Path, ending: Ending, get: Callable[[Scope], Any]) -> None:
        """What stands at the path, in `v`; `get` gives it as well."""
        if path.origin in ("@", "$") or (self._level == 0 and not self._is_near(path)):
            # It is the same for all that is done here.
            name = self.shared(0, (path.text, ending), lambda name: self.add(f"{name} = {self.names.bind(get)}(s0)"))
            self.add(f"v = {name}")
            return
        if not self._is_near(path):
            self._called(get)
            return
        level = self._level - path.ups
        if path.origin == "#":
            self.add(f"v = p{level}" if level else "v = s0.place")
            if ending == "word":
                self.add("v = str(v)")
            return
        if self._are_segments[level]:
            found = self._in_segments.value(level, f"i{level}", path.steps, ending)
            if found is not None:
                self.add(f"v = {found}")
                return

        def write(name: str) -> None:
            self.add(f"v = i{level}", *steps_to(path.steps, self.names), *ending_of(ending), f"{name} = v")

        self.add(f"v = {self.shared(level, (path.steps, ending), write)}")

    def _changed(self, value: Changed) -> None:
        self.value(value.value)
        self._change(value.change)

    def _change(self, change: Change | None) -> None:
        """What is in `v`, changed."""
        match change:
            case None:
                pass
            case Simple():
                self._simple(change.steps)
            case Chain():
                with self.below("if v is not None:"):
                    for place, each in enumerate(change.changes):
                        if place and not isinstance(each, Simple):
                            with self.below("if v is not None:"):
                                self._change(each)
                        else:
                            self._change(each)
                    self.add("pass")
                for each in change.last:
                    self._change(each)
            case Default() if isinstance(change.value, Value):
                with self.below("if v is None:"):
                    self.value(change.value)
            case Required():
                self.add("if v is None:", f"    {self.names.bind(change)}(None, v)")
            case _:
                self.add(f"v = {self.names.bind(change)}({self.scope()}, v)")

    def _simple(self, steps: tuple[Callable[[Any], Any], ...]) -> None:
        for step in steps:
            if step is word or step is text_of:
                self.add("if type(v) is not str and v is not None:", f"    v = {step.__name__}(v)")
            else:
                self.add("if v is not None:", f"    v = {self.names.bind(step)}(v)")

    def _time(self, value: Time) -> None:
        parts = [self.new("t") for _ in value.parts]
        for part, each in zip(parts, value.parts, strict=True):
            self.value(each)
            self.add(f"{part} = v")
        self.add(f"v = {parts[0]}")
        with self.below("if v is not None:"):
            self.add(f"v = {self.names.bind(value.read)}({self.scope()}, [{', '.join(parts)}])")

    def _join(self, value: Join) -> None:
        texts = self.new("o")
        self.add(f"{texts} = []")
        for each in value.values:
            self.value(each)
            self.add("if v is not None:", f"    {texts}.append(v if type(v) is str else text_of(v))")
        self.add(f"v = {value.between!r}.join({texts}) if {texts} else None")

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
        self.entries(value.entries.paths, lambda: self._entry(value, made, groups))
        self.add(f"v = {made}")
        if value.by:
            self.add("if v is not None:", f"    v = list({groups}.values())")

    def entries(self, paths: tuple[Path, ...], write: Callable[[], None]) -> None:
        """A loop over the entries of the first path; in it one over those of the next, or what is done for each."""
        path = paths[0]
        self._list_of(path)
        near = self._is_near(path) and not path.origin
        below = near and self._are_segments[self._level - path.ups] and leads_to_segments(path.steps)
        level = self._level = self._level + 1
        self._paths.append(path)
        self._are_segments.append(below)
        with self.below(f"for p{level}, i{level} in enumerate(v, 1):"), self.frame():
            if len(paths) > 1:
                self.entries(paths[1:], write)
            else:
                write()
        self._are_segments.pop()
        self._paths.pop()
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
        level = self._level - path.ups
        item, name = f"i{level}", path.steps[0].name
        if self._are_segments[level] and path.steps[0].position is None:
            self.add(f"v = {self._in_segments.entries(level, item, path.steps[0])} or ()")
            return
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
        if isinstance(holds, All | AnyOf) and self.deep <= DEPTH_MAX:
            with ExitStack() as inside:
                for place, check in enumerate(holds.checks):
                    if place:
                        inside.enter_context(self.below("if h:" if isinstance(holds, All) else "if not h:"))
                    self.condition(check)
        elif isinstance(holds, Check) and holds.path is not None:
            self._path(holds.path, "asked", holds.get)
            test = f"{self.names.bind(holds.test)}(v)"
            if holds.words is None:
                self.add(f"h = {test}")
            else:
                self.add(f"h = v in {self.names.bind(holds.words)} if type(v) is str else {test}")
        else:
            self.add(f"h = {self.names.bind(holds)}({self.scope()})")
