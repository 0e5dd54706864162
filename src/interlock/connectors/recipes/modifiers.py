"""What is done to a value after it was found: words become ours, numbers and article numbers are read, signs and packs applied.

    change = read_modifiers(kitchen, raw, place)      # raw: {"from": ..., "table": ..., "negate": true}
    value = change(scope, found)                      # raises Unfit

They are applied in the order of docs/mappings.md#modifiers, whatever their order in the mapping. What is not given stays so
up to `default` and `required`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from interlock.connectors.mapping_errors import suggestion
from interlock.connectors.recipes import gtin as gtins
from interlock.connectors.recipes import numbers
from interlock.connectors.recipes.scopes import Scope, text_of
from interlock.connectors.recipes.wrong import Mistakes, Place, Unfit

Change = Callable[[Scope, Any], Any]
Get = Callable[[Scope], Any]

ORDER: Final = (
    *("trim", "match", "upper", "lower", "strip_zeros", "table", "gtin", "number", "currency", "abs", "negate"),
    *("pack", "per", "rate", "round", "default", "required", "text", "pad", "cut"),
)
"""Every modifier, in the order of their work; `currency` belongs to `number: minor`."""
_NUMBERS: Final = ("abs", "negate", "pack", "per", "rate", "round")
KNOWN_SHOWN_MAX: Final = 20
PLACES_MAX: Final = 12
LENGTH_MAX: Final = 500


class Kitchen(Protocol):
    """What modifiers need of the compiler."""

    mistakes: Mistakes
    tables: Mapping[str, Mapping[str, Any]]
    rates: Mapping[str, numbers.Rates]

    def getter(self, raw: Any, place: Place) -> Get:
        """The function of a value; mistakes in it are noted."""

    def operand(self, raw: Any, place: Place) -> Operand:
        """The value itself; mistakes in it are noted."""


class Operand(Protocol):
    """A value that a change needs."""

    get: Get


def read_modifiers(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    """The modifiers of an operation as one function; None where it has none (then text is only trimmed)."""
    changes: list[Change] = []
    if "currency" in raw and raw.get("number") != "minor":
        kitchen.mistakes.tell((*place, "currency"), raw["currency"], "left out, since it goes with number: minor")
    for name in ORDER:
        if name not in raw or name in ("trim", "currency", "default", "required", "text", "pad", "cut"):
            continue
        if name in _NUMBERS and "number" not in raw and not any(each in raw for each in _before(name)):
            changes.append(Simple(numbers.number))
        change = _MAKERS[name](kitchen, raw, (*place, name))
        if change is not None:
            changes.append(change)
    if any(name in raw for name in ("number", *_NUMBERS)):
        changes.append(Simple(numbers.tidy))
    last = [
        change
        for name in ("default", "required", "text", "pad", "cut")
        if name in raw and (change := _MAKERS[name](kitchen, raw, (*place, name))) is not None
    ]
    if not changes and not last:
        return None
    return _chain(changes, last)


def _before(name: str) -> tuple[str, ...]:
    return _NUMBERS[: _NUMBERS.index(name)]


class Simple:
    """A change that needs nothing but the value, which is given."""

    __slots__ = ("of", "steps")

    def __init__(self, of: Callable[[Any], Any], steps: tuple[Callable[[Any], Any], ...] = ()) -> None:
        self.of = of
        self.steps = steps or (of,)

    def __call__(self, _: Scope, value: Any) -> Any:
        return None if value is None else self.of(value)


class Default:
    """Another value where none is given."""

    __slots__ = ("_get", "value")

    def __init__(self, value: Operand) -> None:
        self.value = value
        self._get = value.get

    def __call__(self, scope: Scope, value: Any) -> Any:
        return self._get(scope) if value is None else value


class Required:
    """A value that must be given."""

    __slots__ = ()

    def __call__(self, _: Scope | None, value: Any) -> Any:
        if value is None:
            raise Unfit(None, "a value, because the mapping requires one; it is missing")
        return value


class Chain:
    """Changes one after the other: `changes` of what is given, `last` of anything."""

    __slots__ = ("changes", "last")

    def __init__(self, changes: list[Change], last: list[Change]) -> None:
        self.changes, self.last = changes, last

    def __call__(self, scope: Scope, value: Any) -> Any:
        for change in self.changes:
            if value is None:
                break
            value = change(scope, value)
        for change in self.last:
            value = change(scope, value)
        return value


def _chain(changes: list[Change], last: list[Change]) -> Change:
    if all(isinstance(each, Simple) for each in (*changes, *last)):
        return _composed([each.of for each in (*changes, *last) if isinstance(each, Simple)])
    return Chain(changes, last)


def _composed(steps: list[Callable[[Any], Any]]) -> Change:
    if numbers.number in steps and steps[steps.index(numbers.number) + 1 :][:1] == [numbers.tidy]:
        at = steps.index(numbers.number)
        steps = [*steps[:at], numbers.tidy_number, *steps[at + 2 :]]
    if len(steps) == 1:
        return Simple(steps[0])

    def all_of(value: Any) -> Any:
        for step in steps:
            value = step(value)
            if value is None:
                break
        return value

    return Simple(all_of, tuple(steps))


# Words


def _match(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    written = raw["match"]
    try:
        pattern = re.compile(written)
    except (re.error, TypeError) as error:
        kitchen.mistakes.tell(place, written, f"a regular expression: {error}")
        return None

    def change(value: Any) -> Any:
        text = text_of(value)
        found = pattern.search(text)
        if not found:
            raise Unfit(value, f"text that matches {written}")
        return (found[1] if pattern.groups else found[0]) or None

    return Simple(change)


def _upper(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    return Simple(lambda value: text_of(value).upper()) if _flag(kitchen, raw, place) else None


def _lower(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    return Simple(lambda value: text_of(value).lower()) if _flag(kitchen, raw, place) else None


def _strip_zeros(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    return Simple(lambda value: text_of(value).lstrip("0") or "0") if _flag(kitchen, raw, place) else None


def _table(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    named = raw["table"]
    words = kitchen.tables.get(named) if isinstance(named, str) else named
    if not isinstance(words, Mapping):
        if isinstance(named, str):
            kitchen.mistakes.unknown(place, named, kitchen.tables, "the name of a table of this mapping")
        else:
            kitchen.mistakes.tell(place, named, "the name of a table, or words and ours for them")
        return None
    known = {str(theirs): ours for theirs, ours in words.items() if theirs != "*"}
    has_other, other = "*" in words, words.get("*")

    def change(value: Any) -> Any:
        text = value if type(value) is str else text_of(value)
        if text in known:
            return known[text]
        if has_other:
            return other
        listed = ", ".join(list(known)[:KNOWN_SHOWN_MAX]) + (" ..." if len(known) > KNOWN_SHOWN_MAX else "")
        of = f" {named}" if isinstance(named, str) else ""
        raise Unfit(value, f"a word of the table{of}{suggestion(text, known)}; known are {listed}")

    return Simple(change)


def _gtin(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    wanted = raw["gtin"]
    if wanted is False:
        return None
    if wanted == "try":

        def change(value: Any) -> Any:
            try:
                return gtins.gtin(value)
            except Unfit:
                return value

        return Simple(change)
    if wanted is not True and wanted not in gtins.LENGTHS:
        kitchen.mistakes.tell(place, wanted, f"true, try, or a length: {', '.join(map(str, gtins.LENGTHS))}")
        return None
    length = 13 if wanted is True else int(wanted)
    return Simple(lambda value: gtins.gtin(value, length))


# Numbers


def _number(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    kind = raw["number"]
    if kind == "plain" or kind is True:
        return Simple(numbers.number)
    if kind == "comma":
        return Simple(numbers.comma_number)
    if kind == "minor":
        if "currency" not in raw:
            kitchen.mistakes.missing((*place[:-1], "currency"), "the currency whose minor units they are")
            return None
        currency = kitchen.getter(raw["currency"], (*place[:-1], "currency"))

        def change(scope: Scope, value: Any) -> Any:
            code = currency(scope)
            if code is None:
                raise Unfit(None, "an ISO 4217 currency code; it is missing")
            return numbers.minor_number(value, text_of(code))

        return change
    implied = re.fullmatch(r"implied:([0-9]{1,2})", kind) if isinstance(kind, str) else None
    if implied and int(implied[1]) <= PLACES_MAX:
        decimals = int(implied[1])
        return Simple(lambda value: numbers.implied_number(value, decimals))
    kitchen.mistakes.tell(place, kind, "plain, comma, minor, or implied: and how many decimals")
    return None


def _abs(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    return Simple(abs) if _flag(kitchen, raw, place) else None


def _negate(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    return Simple(lambda value: -value) if _flag(kitchen, raw, place) else None


def _pack(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    units = kitchen.getter(raw["pack"], place)

    def change(scope: Scope, value: Any) -> Any:
        packed = units(scope)
        return value if packed is None else value * numbers.number(packed)

    return change


def _per(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    """An amount for all units becomes that for one; the rest of the division goes into the last place that is kept."""
    units = kitchen.getter(raw["per"], place)

    def change(scope: Scope, value: Any) -> Any:
        found = units(scope)
        if found is None:
            return value
        number = numbers.number(found)
        if not number:
            raise Unfit(found, "more than zero, to divide by")
        return numbers.rounded(value / number, PLACES_MAX)

    return change


def _rate(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    spec = raw["rate"]
    if not isinstance(spec, Mapping) or not {"from", "to", "at"} <= spec.keys() <= {"table", "from", "to", "at"}:
        kitchen.mistakes.tell(
            place, spec, "{from: currency, to: currency, at: day, table: name}, of which table may be left out"
        )
        return None
    name = spec.get("table", "")
    rates = kitchen.rates.get(name)
    if rates is None:
        kitchen.mistakes.unknown((*place, "table"), str(name), kitchen.rates, "the name of rates of this mapping")
        return None
    source, target, at = (kitchen.getter(spec[each], (*place, each)) for each in ("from", "to", "at"))

    def change(scope: Scope, value: Any) -> Any:
        codes = [source(scope), target(scope)]
        day = at(scope)
        if None in codes or day is None:
            raise Unfit(value, "an amount with both currencies and a day for the exchange rate")
        return rates.exchanged(value, text_of(codes[0]), text_of(codes[1]), day)

    return change


def _round(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    places = _whole(kitchen, raw, place, PLACES_MAX)
    return None if places is None else Simple(lambda value: numbers.rounded(value, places))


# What comes last


def _default(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change:
    return Default(kitchen.operand(raw["default"], place))


def _required(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    if not _flag(kitchen, raw, place):
        return None

    return Required()


def _text(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    if not _flag(kitchen, raw, place):
        return None
    return Simple(text_of)


def _pad(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    length = _whole(kitchen, raw, place, LENGTH_MAX)
    if length is None:
        return None
    return Simple(lambda value: text_of(value).rjust(length, "0"))


def _cut(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Change | None:
    length = _whole(kitchen, raw, place, LENGTH_MAX)
    if length is None:
        return None
    return Simple(lambda value: text_of(value)[:length].rstrip() or None)


def _flag(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> bool:
    value = raw[str(place[-1])]
    if not isinstance(value, bool):
        kitchen.mistakes.tell(place, value, "true or false")
        return False
    return value


def _whole(kitchen: Kitchen, raw: Mapping[str, Any], place: Place, most: int) -> int | None:
    value = raw[str(place[-1])]
    if type(value) is int and 0 <= value <= most:
        return value
    kitchen.mistakes.tell(place, value, f"a whole number from 0 to {most}")
    return None


_MAKERS: Final[dict[str, Callable[[Kitchen, Mapping[str, Any], Place], Change | None]]] = {
    "match": _match,
    "upper": _upper,
    "lower": _lower,
    "strip_zeros": _strip_zeros,
    "table": _table,
    "gtin": _gtin,
    "number": _number,
    "abs": _abs,
    "negate": _negate,
    "pack": _pack,
    "per": _per,
    "rate": _rate,
    "round": _round,
    "default": _default,
    "required": _required,
    "text": _text,
    "pad": _pad,
    "cut": _cut,
}
