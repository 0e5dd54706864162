"""Values of a mapping: what a field becomes, as a function, and where that came from, for people.

Each value has `get(scope)`, which is all that a live link needs, and `walk`, which tells field by field what it gave, from where
in the document, or why it could not: for error messages and for `interlock connect try`. Both ask the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from interlock.connectors.recipes import numbers
from interlock.connectors.recipes.conditions import Holds
from interlock.connectors.recipes.following import Getter, follower
from interlock.connectors.recipes.modifiers import Change, Simple
from interlock.connectors.recipes.paths import Path
from interlock.connectors.recipes.scopes import Scope, absolute, plain, text_of
from interlock.connectors.recipes.wrong import Unfit

Source = tuple[str, Any]
"""A path from the document, and what stands there."""


class Found(NamedTuple):
    """What one of our fields came to: its value, or the `error`; and where in the document that came from."""

    field: str
    value: Any
    sources: tuple[Source, ...]
    error: Unfit | None = None


class Value:
    """What a field becomes."""

    get: Getter

    def sources(self, scope: Scope) -> list[Source]:  # noqa: ARG002 - what the mapping says itself comes from nowhere
        """Where in the document it comes from."""
        return []

    def walk(self, scope: Scope, field: str) -> Iterator[Found]:
        """What it gives for our field, part by part."""
        try:
            value, error = self.get(scope), None
        except Unfit as unfit:
            value, error = None, unfit
        yield Found(field, value, tuple(self.sources(scope)), error)


class Constant(Value):
    """What the mapping says itself."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.get = lambda _: value


class FromPath(Value):
    """What stands at a path."""

    def __init__(self, path: Path, *, trim: bool = True, as_word: bool = False) -> None:
        self.path = path
        self.trim = trim
        self.as_word = as_word
        self._raw = follower(path, "raw")
        self.get = follower(path, "word" if as_word else "text") if trim else _untrimmed(self._raw)

    def sources(self, scope: Scope) -> list[Source]:
        return [(absolute(self.path.text, scope), self._raw(scope))]


def _untrimmed(raw: Getter) -> Getter:
    def get(scope: Scope) -> Any:
        value = raw(scope)
        if type(value) is str:
            return value or None
        return None if value is None else plain(value)

    return get


class Changed(Value):
    """Another value, changed."""

    def __init__(self, value: Value, change: Change | None) -> None:
        self.value = value
        self.change = change
        get = value.get
        if change is None:
            self.get = get
        elif isinstance(change, Simple):
            of = change.of

            def changed(scope: Scope) -> Any:
                found = get(scope)
                return None if found is None else of(found)

            self.get = changed
        else:
            self.get = lambda scope: change(scope, get(scope))

    def sources(self, scope: Scope) -> list[Source]:
        return self.value.sources(scope)


class First(Value):
    """The first of several that is given."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = values
        gets = [each.get for each in values]

        def get(scope: Scope) -> Any:
            for each in gets:
                value = each(scope)
                if value is not None:
                    return value
            return None

        self.get = get

    def sources(self, scope: Scope) -> list[Source]:
        for each in self.values:
            try:
                given = each.get(scope) is not None
            except Unfit:  # it is the first that is given, and cannot be taken
                given = True
            if given:
                return each.sources(scope)
        return [source for each in self.values for source in each.sources(scope)]


class Join(Value):
    """Several as one text; what is not given is left out."""

    def __init__(self, values: Sequence[Value], between: str) -> None:
        self.values, self.between = values, between
        gets = [each.get for each in values]

        def get(scope: Scope) -> Any:
            texts = [text_of(value) for each in gets if (value := each(scope)) is not None]
            return between.join(texts) if texts else None

        self.get = get

    def sources(self, scope: Scope) -> list[Source]:
        return [source for each in self.values for source in each.sources(scope)]


class Choice(Value):
    """One value where a condition holds, another where not."""

    def __init__(self, holds: Holds, then: Value, otherwise: Value) -> None:
        self.holds, self.then, self.otherwise = holds, then, otherwise
        yes, no = then.get, otherwise.get
        self.get = lambda scope: yes(scope) if holds(scope) else no(scope)

    def walk(self, scope: Scope, field: str) -> Iterator[Found]:
        yield from (self.then if self.holds(scope) else self.otherwise).walk(scope, field)

    def sources(self, scope: Scope) -> list[Source]:
        return (self.then if self.holds(scope) else self.otherwise).sources(scope)


class Time(Value):
    """A time, of one value or of a date and a time of the day."""

    def __init__(self, parts: Sequence[Value], read: Callable[[Scope, list[Any]], datetime | str]) -> None:
        self.parts, self.read = parts, read
        gets = [each.get for each in parts]

        def get(scope: Scope) -> Any:
            found = [each(scope) for each in gets]
            return None if found[0] is None else read(scope, found)

        self.get = get

    def sources(self, scope: Scope) -> list[Source]:
        return [source for each in self.parts for source in each.sources(scope)]


class Sum(Value):
    """The sum over entries of a number, or of the product of two."""

    def __init__(self, entries: Entries | None, number: Path, times: Value | None) -> None:
        self._text = number.text if entries is None else f"{entries.text}.{number.text}"
        each_number = number.entries()
        raw = follower(number, "text")

        def get(scope: Scope) -> Any:
            if entries is None:
                found = [numbers.number(value) for each in each_number(scope) if (value := plain(each)) is not None]
                return numbers.tidy(sum(found, numbers.ZERO)) if found else None
            total, any_given = numbers.ZERO, False
            for inner in entries.scopes(scope):
                value = raw(inner)
                if value is None:
                    continue
                factor = times.get(inner) if times is not None else 1
                total += numbers.number(value) * (numbers.ZERO if factor is None else numbers.number(factor))
                any_given = True
            return numbers.tidy(total) if any_given else None

        self.get = get

    def sources(self, scope: Scope) -> list[Source]:
        return [(absolute(self._text, scope), None)]


class Count(Value):
    """How many entries there are."""

    def __init__(self, path: Path) -> None:
        self._text = path.text
        entries = path.entries()
        self.get = lambda scope: len(entries(scope))

    def sources(self, scope: Scope) -> list[Source]:
        return [(absolute(self._text, scope), None)]


class Object(Value):
    """An object of named values; those not given are left out, and it is not given where all are not."""

    def __init__(self, fields: dict[str, Value], holds: Holds | None = None) -> None:
        self.fields, self.holds = fields, holds
        pairs = [(name, value.get) for name, value in fields.items()]

        def make(scope: Scope) -> dict[str, Any]:
            made = {}
            for name, get in pairs:
                value = get(scope)
                if value is not None:
                    made[name] = value
            return made

        self.make = make
        self.get = (
            (lambda scope: make(scope) or None)
            if holds is None
            else (lambda scope: (make(scope) or None) if holds(scope) else None)
        )

    def walk(self, scope: Scope, field: str) -> Iterator[Found]:
        if self.holds is not None and not self.holds(scope):
            return
        for name, value in self.fields.items():
            yield from value.walk(scope, f"{field}.{name}" if field else name)

    def sources(self, scope: Scope) -> list[Source]:
        return [source for each in self.fields.values() for source in each.sources(scope)]


class ListOf(Value):
    """A list of values; those not given are left out."""

    def __init__(self, values: Sequence[Value]) -> None:
        self.values = values
        gets = [each.get for each in values]
        self.get = lambda scope: [value for each in gets if (value := each(scope)) is not None]

    def walk(self, scope: Scope, field: str) -> Iterator[Found]:
        place = 0
        for each in self.values:
            found = list(each.walk(scope, f"{field}[{place}]"))
            yield from found
            place += any(one.value is not None for one in found)


class Entries:
    """The entries of a list in the document, and of lists inside of those: each opens a scope."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.text = ".".join(path.text for path in paths)
        self.paths = tuple(paths)
        self._levels = [(path.text, path.entries()) for path in paths]
        self._bare = follower(paths[0].without_filters(), "raw")

    def scopes(self, scope: Scope) -> list[Scope]:
        """A scope for each entry."""
        text, entries = self._levels[0]
        found = [Scope(item, scope, place, text) for place, item in enumerate(entries(scope), 1)]
        for text, entries in self._levels[1:]:
            found = [Scope(item, outer, place, text) for outer in found for place, item in enumerate(entries(outer), 1)]
        return found

    def are_there(self, scope: Scope) -> bool:
        """Whether the lists are there at all, though nothing in them may be meant."""
        return self._bare(scope) is not None


class Each(Value):
    """A list with a value for each entry; entries equal in the fields `by` become one, their `add` summed up.

    Where nothing is there, it is not given; where entries are there and none is meant, it is an empty list: so that what was
    meant as "nothing of it" never becomes "all of it".
    """

    def __init__(
        self, entries: Entries, holds: Holds | None, value: Value, by: Sequence[str] = (), add: Sequence[str] = ()
    ) -> None:
        self.entries, self.holds, self.value = entries, holds, value
        self.by, self._add = by, add
        # An entry is there, even if nothing in it is given.
        self._get = get = value.make if isinstance(value, Object) and value.holds is None else value.get
        scopes = entries.scopes

        def listed(scope: Scope) -> list[Any] | None:
            found = scopes(scope)
            if not found:
                return None
            if holds is None:
                return [made for inner in found if (made := get(inner)) is not None]
            return [made for inner in found if holds(inner) and (made := get(inner)) is not None]

        def merged(scope: Scope) -> list[Any] | None:
            made = listed(scope)
            if made is None:
                return None
            groups: dict[tuple[str, ...], Any] = {}
            for each in made:
                self.merge(groups, each)
            return list(groups.values())

        self.get = merged if by else listed

    def merge(self, groups: dict[tuple[str, ...], Any], made: Any) -> tuple[str, ...]:
        """Put an entry to those that are equal to it, or as a new one; gives what it is known by."""
        key = tuple([text_of(made.get(name)) for name in self.by])
        known = groups.setdefault(key, made)
        if known is not made:
            for name in self._add:
                if name in made:
                    before = numbers.number(known[name]) if name in known else numbers.ZERO
                    known[name] = numbers.tidy(before + numbers.number(made[name]))
        return key

    def walk(self, scope: Scope, field: str) -> Iterator[Found]:
        scopes = self.entries.scopes(scope)
        if not scopes:
            yield Found(field, None, ((absolute(self.entries.text, scope), None),))
            return
        place = 0
        groups: dict[tuple[str, ...], int] = {}
        for inner in scopes:
            if self.holds is not None and not self.holds(inner):
                continue
            try:
                made = self._get(inner)
            except Unfit:
                made = {}
            if made is None:
                continue
            at = place
            if self.by and made:
                at = groups.setdefault(tuple(text_of(made.get(name)) for name in self.by), place)
            yield from self.value.walk(inner, f"{field}[{at}]")
            place += at == place
        yield Found(field, [], ((absolute(self.entries.text, scope), None),))
