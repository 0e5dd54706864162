"""Functions that follow a path, made once for each path of a mapping: these are asked for every field of every record.

    get = follower(path, "text")       # a function of a scope

`follow` in `paths.py` says what a path means. What is made here does the same for the two shapes that documents nearly always
have, objects in objects (JSON, rows, XML) and segments below segments (EDI), written out as Python statements without a call,
and leaves everything else to `follow`. That is three to five times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from interlock.connectors.formats.document import Node
from interlock.connectors.recipes.paths import Filter, Path, Step, context_of, filtered, follow
from interlock.connectors.recipes.scopes import Scope, plain, text_of, word

Getter = Callable[[Scope], Any]
Ending = Literal["raw", "text", "word", "asked"]
"""What is given: what stands there as it is; as it counts (`scopes.plain`); that with numbers as text; or that too, but of a
segment that it is there."""


def follower(path: Path, ending: Ending) -> Getter:
    """The function that gives what stands at a path."""
    names = Names()
    if path.origin == "#":
        start = [*_out(path.ups), "v = scope.place"]
    elif path.origin == "@" and path.steps and not path.steps[0].filters:
        start = _to_context(path.steps[0].name)
        path = path._replace(steps=path.steps[1:])
    elif path.origin == "@":
        start = [*_TO_ROOT, f"v = {names.bind(context_of)}(scope)"]
    elif path.origin == "$":
        start = [*_TO_ROOT, "v = scope.item"]
    else:
        start = [*_out(path.ups), "v = scope.item"]
    return names.function("scope", [*start, *steps_to(path.steps, names), *ending_of(ending), "return v"])


class Names:
    """The objects that statements speak of, by names that are made up for them."""

    def __init__(self) -> None:
        self._space: dict[str, Any] = {
            **{"Node": Node, "Scope": Scope, "follow": follow, "plain": plain},
            **{
                "asked": _asked,
                "as_word": _as_word,
                "picked": _picked,
                "word": word,
                "text_of": text_of,
                "U": object(),
            },
        }
        self._count = 0

    def bind(self, value: Any) -> str:
        """A name for the object."""
        self._count += 1
        name = f"c{self._count}"
        self._space[name] = value
        return name

    def function(self, argument: str, body: list[str]) -> Callable[[Scope], Any]:
        """The statements as a function. Of a mapping's text they hold no more than literals."""
        source = f"def made({argument}):\n" + "".join(f"    {line}\n" for line in body)
        exec(compile(source, "<mapping>", "exec"), self._space)  # noqa: S102 - our own statements
        made: Callable[[Scope], Any] = self._space["made"]
        return made


_TO_ROOT: Final = ("while scope.up is not None:", "    scope = scope.up")


def _out(ups: int) -> list[str]:
    """Go out of so many scopes, as far as there are any."""
    return ["scope = scope.up or scope"] * ups


def _to_context(name: str) -> list[str]:
    """From the document's context: it is looked into without being put together."""
    own = ["if v is None:", f"    v = document.{name}"] if name in ("kind", "place") else []
    none = ["document = scope.document", "if document is None:", "    return None"]
    return [*_TO_ROOT, *none, f"v = document.context.get({name!r})", *own]


def ending_of(ending: Ending) -> list[str]:
    """From what stands there, in `v`, to what is given, again in `v`."""
    if ending == "raw":
        return []
    last = {"text": "plain", "word": "as_word", "asked": "asked"}[ending]
    return ["if type(v) is str:", "    v = v.strip() or None", "elif v is not None:", f"    v = {last}(v)"]


def _as_word(value: Any) -> Any:
    """A value as it counts, numbers as text."""
    return word(plain(value))


def _asked(value: Any) -> Any:
    """What a condition sees: a segment is there, whatever it holds."""
    if type(value) is list and value and type(value[0]) is Node:
        return value[0]
    return value if type(value) is Node else plain(value)


# Statements


def steps_to(steps: tuple[Step, ...], names: Names) -> list[str]:
    """From what is in `v` to what stands at the end of the steps, again in `v`."""
    if not steps:
        return []
    bound = names.bind(steps)
    segments = _below_segments(steps, 0, names)
    return [
        "w = v",
        "if type(v) is dict:",
        *_in(_in_objects(steps, 0, names, bound)),
        *(["elif type(v) is Node:", *_in(segments)] if segments else []),
        "elif v is not None:",
        f"    v = follow(v, {bound})",
    ]


def _in(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _in_objects(steps: tuple[Step, ...], at: int, names: Names, bound: str) -> list[str]:
    """From the object in `v`, by names in objects; where something else is in between, again from the beginning, in `w`."""
    lines = [f"v = v.get({steps[at].name!r})"]
    if steps[at].filters:
        lines.append(f"v = picked(v, {names.bind(steps[at].filters)})")
    if at == len(steps) - 1:
        return lines
    deeper = _in(_in_objects(steps, at + 1, names, bound))
    return [*lines, "if type(v) is dict:", *deeper, "elif v is not None:", f"    v = follow(w, {bound})"]


def _below_segments(steps: tuple[Step, ...], at: int, names: Names) -> list[str]:
    """From the segment in `v`, by tags, to an element or a component of one; nothing for other shapes."""
    step = steps[at]
    if step.position is not None:
        return _element(steps[at:])
    lines = ["c = v.children", f"v = c.get({step.name!r}) if c else None"]
    if step.filters:
        if len(step.filters) > 1:
            return []
        lines += _filter(step.filters[0], names)
    if at == len(steps) - 1:
        return lines
    deeper = _in(_below_segments(steps, at + 1, names))
    first = [] if step.filters else ["v = v[0] if v else None"]
    return [*lines, *first, "if v is not None:", *deeper] if deeper else []


def _element(steps: tuple[Step, ...]) -> list[str]:
    """An element of the segment in `v`, or a component of it."""
    if len(steps) > 2 or any(step.position is None or step.filters for step in steps):
        return []
    at = steps[0].position
    lines = ["e = v.elements", f"v = e[{at}] if len(e) > {at} else None"]
    if len(steps) == 1:
        return lines
    component = steps[1].position or 0
    inside = f"v[{component - 1}] if len(v) >= {component} else None" if component else "None"
    return [*lines, "if type(v) is list:", f"    v = {inside}", *([] if component == 1 else ["else:", "    v = None"])]


def _filter(each: Filter, names: Names) -> list[str]:
    """Of the segments in `v`, the first that the filter lets pass."""
    if each.place:
        return [f"v = v[{each.place - 1}] if v and len(v) >= {each.place} else None"]
    holds = names.bind(each.holds)
    test = [f"    if {holds}(n):"]
    if len(each.steps) == 1 and each.steps[0].position is not None and each.words and each.equal:
        position = each.steps[0].position
        words = names.bind(each.words)
        test = [
            "    e = n.elements",
            f"    x = e[{position}] if len(e) > {position} else None",
            f"    if x.strip() in {words} if type(x) is str else x is not None and {holds}(n):",
        ]
    elif len(each.steps) == 2 and each.words and each.equal and all(s.position and not s.filters for s in each.steps):
        position, component = each.steps[0].position or 0, each.steps[1].position or 0
        words = names.bind(each.words)
        test = [
            "    e = n.elements",
            f"    x = e[{position}] if len(e) > {position} else None",
            "    if type(x) is list:",
            f"        x = x[{component - 1}] if len(x) >= {component} else None",
            *([] if component == 1 else ["    else:", "        x = None"]),
            f"    if type(x) is str and x.strip() in {words}:",
        ]
    return ["for n in v or ():", *test, "        v = n", "        break", "else:", "    v = None"]


def _picked(value: Any, filters: tuple[Filter, ...]) -> Any:
    """The first of the entries that all filters let pass."""
    for each in filters:
        value = next(iter(filtered(value, each)), None)
    return value
