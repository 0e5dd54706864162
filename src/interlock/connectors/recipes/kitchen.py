"""From what is written in a mapping to values: every operation of docs/mappings.md#values, with every mistake named.

The kitchen knows the mapping's settings, tables and rates, and the system that it is cooked for. It never stops at a mistake:
what cannot be read becomes a value that gives nothing, and the mistake is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from interlock.connectors.recipes.conditions import Holds, read_condition
from interlock.connectors.recipes.following import follower
from interlock.connectors.recipes.modifiers import ORDER, Simple, read_modifiers
from interlock.connectors.recipes.numbers import Rates
from interlock.connectors.recipes.paths import Path, read_path
from interlock.connectors.recipes.scopes import Scope, text_of, word
from interlock.connectors.recipes.times import TimeReader, check_format, zone_named
from interlock.connectors.recipes.values import (
    Changed,
    Choice,
    Constant,
    Count,
    Each,
    Entries,
    First,
    FromPath,
    Join,
    ListOf,
    Object,
    Sum,
    Time,
    Value,
)
from interlock.connectors.recipes.wrong import Mistakes, PathWrong, Place, Unfit
from interlock.domain.estate import System

_MODIFIERS: Final = frozenset(ORDER)
OPERATIONS: Final[dict[str, frozenset[str]]] = {
    "sum": frozenset({"each", "times", "default", "required", "abs", "negate", "round", "text"}),
    "time": frozenset({"format", "zone", "gap", "fold", "as", "default", "required"}),
    "each": frozenset({"when", "fields", "by", "add"}),
    "object": frozenset({"when"}),
    "if": frozenset({"then", "else"}) | _MODIFIERS,
    "first": _MODIFIERS,
    "join": frozenset({"with"}) | _MODIFIERS,
    "count": frozenset({"default", "required", "text", "negate", "abs"}),
    "from": _MODIFIERS,
    "value": _MODIFIERS,
}
"""The operations, by the key that tells them (of two, the first in this order), and what else may be there."""

TIMES: Final = frozenset({"placed_at", "occurred_at", "shipped_at"})
TEXTS: Final = frozenset(
    [
        "order_id",
        "number",
        "ref",
        "order",
        "sku",
        "node",
        "assignment",
        "channel",
        "currency",
        "customer",
        "status",
        "reason",
        "carrier",
        "tracking",
        "warehouse_ref",
        "return_ref",
        "pickup_node",
        "fulfillment",
        "country",
        "region",
        "postal_code",
        "uom",
        "disposition",
        "name",
        "street",
        "street_2",
        "city",
        "phone",
        "email",
    ]
)
"""Fields of ours that hold text: numbers in the document become text for them."""


class Kitchen:
    """Reads the values of one mapping for one system. With `ours`, fields are those of our records."""

    def __init__(
        self,
        mistakes: Mistakes,
        system: System,
        settings: Mapping[str, Any],
        tables: Mapping[str, Mapping[str, Any]],
        rates: Mapping[str, Rates],
        *,
        ours: bool,
    ) -> None:
        self.mistakes = mistakes
        self.tables = tables
        self.rates = rates
        self._settings = settings
        self._ours = ours
        self._zone = ZoneInfo(system.time_zone)

    # Values

    def value(self, raw: Any, place: Place, name: str = "") -> Value:
        """The value that stands at a place of the mapping, for the field `name` of ours."""
        made = self._value(raw, place, name)
        if not self._ours:
            return made
        if name in TIMES and not isinstance(made, Time | Constant):
            return self._read_as_time([made], {}, place)
        if name in TEXTS:
            return _as_text(made)
        return made

    def getter(self, raw: Any, place: Place) -> Callable[[Scope], Any]:
        """The function of a value."""
        return self._value(raw, place).get

    def operand(self, raw: Any, place: Place) -> Value:
        """The value itself."""
        return self._value(raw, place)

    def asked(self, path: str, place: Place) -> tuple[Callable[[Scope], Any], Path | None]:
        """What stands at a path, for a condition: a segment is there, whatever it holds."""
        made = self._text(path, place)
        if isinstance(made, Constant):
            return made.get, None
        assert isinstance(made, FromPath)
        return follower(made.path, "asked"), made.path

    def condition(self, raw: Any, place: Place) -> Holds | None:
        """A condition; None where nothing is asked."""
        return read_condition(self, raw, place)

    def _value(self, raw: Any, place: Place, name: str = "") -> Value:
        if isinstance(raw, str):
            return self._text(raw, place)
        if isinstance(raw, Mapping):
            return self._mapping(raw, place, name)
        if isinstance(raw, list):
            return ListOf([self._value(each, (*place, at)) for at, each in enumerate(raw)])
        return Constant(raw)

    def _text(self, raw: str, place: Place) -> Value:
        """A path, a setting, or text itself; "" is nothing."""
        if not raw:
            return Constant(None)
        if raw.startswith("="):
            return Constant(raw[1:] or None)
        if raw.startswith("%"):
            return Constant(self._setting(raw, place))
        path = self.path(raw, place)
        return Constant(None) if path is None else FromPath(path)

    def path(self, raw: Any, place: Place) -> Path | None:
        """A path; None where it cannot be read."""
        if not isinstance(raw, str) or not raw:
            self.mistakes.tell(place, raw, "a path")
            return None
        try:
            return read_path(raw)
        except PathWrong as wrong:
            self.mistakes.tell(place, raw, f"a path: {wrong}")
            return None

    def _setting(self, raw: str, place: Place) -> Any:
        name = raw[1:]
        if name not in self._settings:
            self.mistakes.unknown(place, raw, [f"%{each}" for each in self._settings], "a setting of this mapping")
            return None
        value = self._settings[name]
        return None if value == "" else value

    # Operations

    def _mapping(self, raw: Mapping[str, Any], place: Place, name: str) -> Value:
        word = next((each for each in OPERATIONS if each in raw), None)
        if word is None:
            return self.object(raw, place)
        for key in raw:
            if key != word and key not in OPERATIONS[word]:
                expected = f"something that goes with {word} (an object with a field {word} is written {{object: ...}})"
                self.mistakes.unknown((*place, key), key, OPERATIONS[word], expected)
        made = self._if(raw, place, name) if word == "if" else _READERS[word](self, raw, place)
        if word in ("time", "each", "object"):
            last = {key: raw[key] for key in ("default", "required") if key in raw}
        else:
            last = {key: raw[key] for key in raw if key in _MODIFIERS and key != "trim"}
        return self._changed(made, last, place)

    def object(self, raw: Any, place: Place, holds: Holds | None = None) -> Object:
        """An object whose entries are values."""
        if not isinstance(raw, Mapping):
            self.mistakes.tell(place, raw, "names and what each is: {name: value}")
            return Object({})
        return Object({name: self.value(each, (*place, name), name) for name, each in raw.items()}, holds)

    def _changed(self, value: Value, raw: Mapping[str, Any], place: Place) -> Value:
        change = read_modifiers(self, raw, place)
        return value if change is None else Changed(value, change)

    def _from(self, raw: Mapping[str, Any], place: Place) -> Value:
        made = self._text(raw["from"], (*place, "from")) if isinstance(raw["from"], str) else None
        if made is None:
            self.path(raw["from"], (*place, "from"))
            return Constant(None)
        if raw.get("trim") is False and isinstance(made, FromPath):
            return FromPath(made.path, trim=False)
        return made

    def _literal(self, raw: Mapping[str, Any], place: Place) -> Value:  # noqa: ARG002 - as all readers
        return Constant(raw["value"])

    def _first(self, raw: Mapping[str, Any], place: Place) -> Value:
        return First(self._several(raw["first"], (*place, "first")))

    def _join(self, raw: Mapping[str, Any], place: Place) -> Value:
        between = raw.get("with", "")
        if not isinstance(between, str):
            self.mistakes.tell((*place, "with"), between, "text")
            between = ""
        return Join(self._several(raw["join"], (*place, "join")), between)

    def _several(self, raw: Any, place: Place) -> list[Value]:
        if not isinstance(raw, list) or not raw:
            self.mistakes.tell(place, raw, "a list of values")
            return []
        return [self._value(each, (*place, at)) for at, each in enumerate(raw)]

    def _if(self, raw: Mapping[str, Any], place: Place, name: str) -> Value:
        holds = self.condition(raw["if"], (*place, "if"))
        if "then" not in raw and "else" not in raw:
            self.mistakes.missing((*place, "then"), "what it is then")
        then, otherwise = (self.value(raw.get(word), (*place, word), name) for word in ("then", "else"))
        return Choice(holds or (lambda _: True), then, otherwise)

    def _object(self, raw: Mapping[str, Any], place: Place) -> Value:
        return self.object(raw["object"], (*place, "object"), self.condition(raw.get("when"), (*place, "when")))

    def entries(self, raw: Any, place: Place) -> Entries | None:
        """The entries of `each`: a path, or a list of paths, each inside of the one before."""
        paths = [self.path(each, place) for each in (raw if isinstance(raw, list) and raw else [raw])]
        return Entries([each for each in paths if each is not None]) if None not in paths else None

    def _each(self, raw: Mapping[str, Any], place: Place) -> Value:
        entries = self.entries(raw["each"], (*place, "each"))
        holds = self.condition(raw.get("when"), (*place, "when"))
        if "fields" not in raw:
            self.mistakes.missing((*place, "fields"), "what each entry becomes")
        made = self.value(raw.get("fields"), (*place, "fields"))
        by, add = self._names(raw, "by", place), self._names(raw, "add", place)
        if (by or add) and not isinstance(made, Object):
            self.mistakes.tell((*place, "by"), by, "left out, since the entries are no objects with fields")
            by = []
        elif isinstance(made, Object):
            for word, names in (("by", by), ("add", add)):
                for name in names:
                    if name not in made.fields:
                        self.mistakes.unknown((*place, word), name, made.fields, "a field of the entries")
        return Constant(None) if entries is None else Each(entries, holds, made, by, add or ["quantity"])

    def _names(self, raw: Mapping[str, Any], word: str, place: Place) -> list[str]:
        names = raw.get(word, [])
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
        self.mistakes.tell((*place, word), names, "a list of names of fields")
        return []

    def _sum(self, raw: Mapping[str, Any], place: Place) -> Value:
        number = self.path(raw["sum"], (*place, "sum"))
        entries = self.entries(raw["each"], (*place, "each")) if "each" in raw else None
        times = self._value(raw["times"], (*place, "times")) if "times" in raw else None
        if times is not None and "each" not in raw:
            self.mistakes.missing((*place, "each"), "the entries of which sum and times are multiplied")
        return Constant(None) if number is None else Sum(entries, number, times)

    def _count(self, raw: Mapping[str, Any], place: Place) -> Value:
        path = self.path(raw["count"], (*place, "count"))
        return Constant(None) if path is None else Count(path)

    # Times

    def _time(self, raw: Mapping[str, Any], place: Place) -> Value:
        written = raw["time"]
        is_pair = isinstance(written, list)
        if is_pair and len(written) != 2:
            self.mistakes.tell((*place, "time"), written, "a path, or two: the date and the time of the day")
            return Constant(None)
        return self._read_as_time(
            [self._value(each, (*place, "time")) for each in (written if is_pair else [written])], raw, place
        )

    def _read_as_time(self, parts: list[Value], raw: Mapping[str, Any], place: Place) -> Value:
        formats = raw.get("format", [])
        formats = formats if isinstance(formats, list) else [formats]
        for each in formats:
            wrong = check_format(str(each))
            if wrong:
                self.mistakes.tell((*place, "format"), each, wrong)
        gap = self._one_of(raw, "gap", ("refuse", "forward"), place)
        fold = self._one_of(raw, "fold", ("earlier", "later", "refuse"), place)
        reader = TimeReader(
            [] if any(check_format(str(each)) for each in formats) else list(map(str, formats)), gap, fold
        )
        zone = self._zone_of(raw.get("zone"), (*place, "zone"))
        read = reader.read_pair if len(parts) == 2 else None

        def at(scope: Scope, found: list[Any]) -> datetime:
            where = zone if isinstance(zone, ZoneInfo) else zone(scope)
            return reader.read(found[0], where) if read is None else read(found[0], found[1], where)

        if "as" not in raw:
            return Time(parts, at)
        pattern = raw["as"]
        if not isinstance(pattern, str):
            self.mistakes.tell((*place, "as"), pattern, "a pattern such as %Y%m%d, or iso")
            return Constant(None)

        def shown(scope: Scope, found: list[Any]) -> str:
            where = zone if isinstance(zone, ZoneInfo) else zone(scope)
            local = at(scope, found).astimezone(where)
            if pattern == "iso":
                return local.isoformat()
            if pattern == "utc":
                return local.astimezone(UTC).isoformat().replace("+00:00", "Z")
            return local.strftime(pattern)

        return Time(parts, shown)

    def _one_of(self, raw: Mapping[str, Any], key: str, words: tuple[str, ...], place: Place) -> Any:
        word = raw.get(key, words[0])
        if word not in words:
            self.mistakes.tell((*place, key), word, f"one of {', '.join(words)}")
            return words[0]
        return word

    def _zone_of(self, raw: Any, place: Place) -> ZoneInfo | Callable[[Scope], ZoneInfo]:
        """The zone of local times: the system's, one that is named, or one that the document names."""
        if raw is None:
            return self._zone
        if isinstance(raw, str) and (named := zone_named(raw.removeprefix("="))):
            return named
        made = self._value(raw, place)
        if isinstance(made, Constant):
            if made.value is None:
                return self._zone
            named = zone_named(text_of(made.value))
            if named is None:
                self.mistakes.tell(place, made.value, "the IANA name of a zone, such as Europe/Berlin, or a path")
            return named or self._zone
        own = self._zone

        def zone(scope: Scope) -> ZoneInfo:
            name = made.get(scope)
            if name is None:
                return own
            found = zone_named(text_of(name))
            if found is None:
                raise Unfit(name, "the IANA name of a time zone, such as Europe/Berlin")
            return found

        return zone


_READERS: Final[dict[str, Callable[[Kitchen, Mapping[str, Any], Place], Value]]] = {
    "from": Kitchen._from,
    "value": Kitchen._literal,
    "first": Kitchen._first,
    "join": Kitchen._join,
    "object": Kitchen._object,
    "each": Kitchen._each,
    "sum": Kitchen._sum,
    "count": Kitchen._count,
    "time": Kitchen._time,
}


def _as_text(made: Value) -> Value:
    """The value, numbers in it as text."""
    if isinstance(made, Constant):
        return Constant(word(made.value))
    if isinstance(made, Choice | Object | Each | ListOf):
        return made
    if type(made) is FromPath and made.trim:
        return FromPath(made.path, as_word=True)
    return Changed(made, Simple(word))
