"""What a template makes for each kind of format: plain objects, rows, records of fixed width, or segments.

    JSON, NDJSON, XML, IDoc (both)    the object itself
    CSV                               {"rows": [{column: value}, ...]}
    fixed width                       {"records": [{"layout": NAME, field: value, ...}, ...]}
    X12, EDIFACT                      {"set": "940", "segments": [["W05", "N", "10001"], ["N1", ...], ...]}

Elements of segments are text, or a list of text for one with components; empty ones at the end are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from interlock.connectors.recipes.conditions import Holds
from interlock.connectors.recipes.following import Getter
from interlock.connectors.recipes.kitchen import Kitchen
from interlock.connectors.recipes.scopes import Scope, text_of
from interlock.connectors.recipes.values import Entries, Value
from interlock.connectors.recipes.wrong import Place
from interlock.domain.links import Format

_INTERCHANGES: Final = ("x12", "edifact")
_FLAT: Final = ("fixed",)


def document_of(kitchen: Kitchen, raw: Any, form: Format | None, place: Place) -> Getter:
    """The function that makes a document of a message's scope."""
    kind = form.kind if form is not None else "json"
    if isinstance(raw, Mapping):
        if kind in _INTERCHANGES:
            return _segments_document(kitchen, raw, place)
        if kind in _FLAT:
            return _records_document(kitchen, raw, place)
        if kind == "csv":
            return _rows_document(kitchen, raw, place)
        return kitchen.value(raw, place).get
    kitchen.mistakes.tell(place, raw, "a mapping from names to values")
    return lambda _: None


# Rows


def _rows_document(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Getter:
    if raw.keys() != {"rows"}:
        kitchen.mistakes.tell(place, raw, "{rows: ...}, as the format csv is written")
        return lambda _: None
    value = kitchen.value(raw["rows"], (*place, "rows"))

    def get(scope: Scope) -> Any:
        rows = value.get(scope)
        return {"rows": rows if isinstance(rows, list) else [rows] if rows else []}

    return get


# Records of fixed width

Lines = list[Any]


class _Parts:
    """Things in order, some of them for each entry of a list, some only where a condition holds."""

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts

    def all(self, scope: Scope) -> Iterator[Any]:
        """What they give."""
        for part in self._parts:
            yield from part.all(scope)


class _Part:
    """A record or segment, or several of them for each entry or on a condition."""

    def __init__(
        self,
        make: Getter | None = None,
        inner: _Parts | None = None,
        entries: Entries | None = None,
        holds: Holds | None = None,
        otherwise: _Parts | None = None,
    ) -> None:
        self._make, self._inner, self._entries = make, inner, entries
        self._holds, self._otherwise = holds, otherwise

    def all(self, scope: Scope) -> Iterator[Any]:
        """What it gives."""
        scopes = [scope] if self._entries is None else self._entries.scopes(scope)
        for each in scopes:
            if self._holds is not None and not self._holds(each):
                if self._otherwise is not None:
                    yield from self._otherwise.all(each)
                continue
            if self._make is not None:
                made = self._make(each)
                if made is not None:
                    yield made
            if self._inner is not None:
                yield from self._inner.all(each)


def _records_document(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Getter:
    if raw.keys() != {"records"}:
        kitchen.mistakes.tell(place, raw, "{records: ...}, as formats of fixed width are written")
        return lambda _: None
    parts = _record_parts(kitchen, raw["records"], (*place, "records"))
    return lambda scope: {"records": list(parts.all(scope))}


def _record_parts(kitchen: Kitchen, raw: Any, place: Place) -> _Parts:
    if not isinstance(raw, list):
        kitchen.mistakes.tell(place, raw, "a list of records: {layout: NAME, fields: {...}}")
        return _Parts([])
    return _Parts([_record(kitchen, each, (*place, at)) for at, each in enumerate(raw)])


def _record(kitchen: Kitchen, raw: Any, place: Place) -> _Part:
    if not isinstance(raw, Mapping) or not ("layout" in raw or "records" in raw):
        kitchen.mistakes.tell(place, raw, "a record: {layout: NAME, fields: {...}}, or {each: PATH, records: [...]}")
        return _Part()
    entries, holds = _where(kitchen, raw, place)
    make: Getter | None = None
    if "layout" in raw:
        layout = str(raw["layout"])
        # Fields stand under `fields`, or beside the layout.
        fields = raw.get("fields")
        if fields is None:
            fields = {name: each for name, each in raw.items() if name not in ("layout", "each", "when", "records")}
        made = kitchen.object(fields, (*place, "fields"))
        make = lambda scope: {"layout": layout, **made.make(scope)}  # noqa: E731
    inner = _record_parts(kitchen, raw["records"], (*place, "records")) if "records" in raw else None
    return _Part(make, inner, entries, holds)


def _where(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> tuple[Entries | None, Holds | None]:
    entries = kitchen.entries(raw["each"], (*place, "each")) if "each" in raw else None
    return entries, kitchen.condition(raw.get("when"), (*place, "when"))


# Segments


def _segments_document(kitchen: Kitchen, raw: Mapping[str, Any], place: Place) -> Getter:
    if raw.keys() != {"set", "segments"}:
        kitchen.mistakes.tell(place, sorted(raw), "{set: ..., segments: [...]}, as X12 and EDIFACT are written")
        return lambda _: None
    kind = text_of(raw["set"])
    parts = _segment_parts(kitchen, raw["segments"], (*place, "segments"))
    return lambda scope: {"set": kind, "segments": list(parts.all(scope))}


def _segment_parts(kitchen: Kitchen, raw: Any, place: Place) -> _Parts:
    if not isinstance(raw, list):
        kitchen.mistakes.tell(place, raw, "a list of segments: [TAG, value, ...]")
        return _Parts([])
    return _Parts([_segment_part(kitchen, each, (*place, at)) for at, each in enumerate(raw)])


def _segment_part(kitchen: Kitchen, raw: Any, place: Place) -> _Part:
    if isinstance(raw, list):
        return _Part(_segment(kitchen, raw, place))
    if isinstance(raw, Mapping) and "segments" in raw and raw.keys() <= {"each", "when", "if", "segments"}:
        entries, holds = _where(kitchen, raw, place)
        if "if" in raw:
            holds = kitchen.condition(raw["if"], (*place, "if"))
        return _Part(None, _segment_parts(kitchen, raw["segments"], (*place, "segments")), entries, holds)
    if isinstance(raw, Mapping) and "if" in raw and raw.keys() <= {"if", "then", "else"}:
        holds = kitchen.condition(raw["if"], (*place, "if"))
        then, otherwise = (_branch(kitchen, raw.get(word), (*place, word)) for word in ("then", "else"))
        return _Part(None, then, None, holds, otherwise)
    kitchen.mistakes.tell(
        place,
        raw,
        "a segment [TAG, value, ...], {each: PATH, segments: [...]}, or {if: {...}, then: [TAG, value, ...]}",
    )
    return _Part()


def _branch(kitchen: Kitchen, raw: Any, place: Place) -> _Parts | None:
    """One segment, or a list of them."""
    if raw is None:
        return None
    if isinstance(raw, list) and raw and isinstance(raw[0], str):
        return _Parts([_segment_part(kitchen, raw, place)])
    return _segment_parts(kitchen, raw, place)


def _segment(kitchen: Kitchen, raw: list[Any], place: Place) -> Getter:
    if not raw or not isinstance(raw[0], str) or not (raw[0].isascii() and raw[0].isalnum() and raw[0].isupper()):
        kitchen.mistakes.tell(place, raw, "a segment, whose first entry is its tag, such as W05")
        return lambda _: None
    tag = raw[0]
    elements = [_element(kitchen, each, (*place, at)) for at, each in enumerate(raw[1:], 1)]

    def get(scope: Scope) -> Any:
        made: list[Any] = [tag, *[element(scope) for element in elements]]
        while len(made) > 1 and not made[-1]:
            made.pop()
        return made if len(made) > 1 or not elements else None

    return get


def _element(kitchen: Kitchen, raw: Any, place: Place) -> Getter:
    if isinstance(raw, list):
        components = [_element(kitchen, each, (*place, at)) for at, each in enumerate(raw)]

        def composite(scope: Scope) -> Any:
            made = [component(scope) for component in components]
            while made and not made[-1]:
                made.pop()
            return made

        return composite
    value: Value = kitchen.value(raw, place)
    return lambda scope: text_of(value.get(scope))
