"""Fixed-width records: read and written by layouts that say at which byte each field begins.

A record is a line, or `record_bytes` bytes with nothing between them. Positions count bytes, from 1, in the file's encoding, so
that EBCDIC (cp037) with zoned and packed decimals is read as it lies there. Record types are told apart by a text at a place; a
detail type is `within` its header, and header and details are one document:

    {"ORDER": "10001", "line": [{"SKU": "A", "QTY": 2}, {"SKU": "B", "QTY": 1}]}

A field that holds nothing but blanks is left out. A header with a record among its details that cannot be read is one Flaw:
half an order is none. What was tolerated is in the document's notes. Records are cut in `fixed_records.py`, and the kinds of
numbers are in `fixed_numbers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Document,
    Flaw,
    FormatUnreadable,
    Item,
    Numbers,
    Tree,
    WriteRefused,
)
from interlock.connectors.formats.fixed_numbers import BadNumber, is_ebcdic, reading_of, write_number
from interlock.connectors.formats.fixed_records import Record, records
from interlock.domain.links import Field, Format, Layout

MEDIA_TYPE: Final = "text/plain"
SHOWN_BYTES_MAX: Final = 200
_CUT_SHORT: Final = "a record ends before its layout does; what is missing counts as blank"


def read(source: Iterable[bytes], form: Format) -> Iterator[Item]:
    """The records as documents, each header with its details. Raises FormatUnreadable for a format that cannot be."""
    plan = _Plan(form)
    gathered = _Gathered(form)
    for record in records(source, form, plan.bytes_least):
        layout = plan.layout_of(record.data)
        if record.problem:
            yield from gathered.spoil(record, record.problem, record.expected)
        elif layout is None:
            yield from gathered.spoil(record, "unknown_record", f"a record of one of these types: {plan.types()}")
        else:
            yield from gathered.add(record, layout)
    yield from gathered.end()


def count_records(source: Iterable[bytes], form: Format) -> int:
    """How many records there are, of whatever type, the unreadable ones among them."""
    return sum(1 for _ in records(source, form, _Plan(form).bytes_least))


class _Plan:
    """How records are told apart and cut, worked out once."""

    def __init__(self, form: Format) -> None:
        if not form.layouts:
            raise FormatUnreadable("no_layouts", "layouts", "", "at least one layout")
        encoding = form.encoding or "utf-8"
        try:
            narrow = len("\n".encode(encoding)) == 1
        except LookupError:
            narrow = False
        if not narrow:
            expected = "the name of an encoding whose digits and line ends are one byte each"
            raise FormatUnreadable("bad_encoding", "encoding", encoding, expected)
        self.layouts = [_Cut(layout, encoding, form.layouts) for layout in form.layouts]
        if form.record_bytes:
            for cut in self.layouts:
                if cut.bytes > form.record_bytes:
                    expected = f"at most record_bytes, {form.record_bytes}"
                    raise FormatUnreadable("bad_layout", cut.layout.name, f"{cut.bytes} bytes", expected)
        self._any = next((cut for cut in self.layouts if not cut.mark), None)
        places = sorted({cut.place for cut in self.layouts if cut.mark}, key=lambda place: (place[0], -place[1]))
        self._marks = [
            (start, end, {cut.mark: cut for cut in self.layouts if cut.mark and cut.place == (start, end)})
            for start, end in places
        ]

    def layout_of(self, data: bytes) -> _Cut | None:
        """Which type of record this is."""
        for start, end, known in self._marks:
            found = known.get(data[start:end])
            if found is not None:
                return found
        return self._any

    def bytes_least(self, data: bytes) -> int:
        """How long the record must be at least, where a packed number may hold what looks like the end of a line."""
        found = self.layout_of(data)
        return found.packed_end if found is not None else 0

    def types(self) -> str:
        """The types of records, for people."""
        return ", ".join(f"{cut.layout.is_!r} at byte {cut.layout.at} ({cut.layout.name})" for cut in self.layouts)


class _Cut:
    """A layout made ready: where each field lies and how its bytes become a value."""

    def __init__(self, layout: Layout, encoding: str, all_layouts: tuple[Layout, ...]) -> None:
        self.layout = layout
        self.name = layout.name
        self.mark = layout.is_.encode(encoding)
        self.place = (layout.at - 1, layout.at - 1 + len(self.mark))
        self.has_details = any(other.within == layout.name for other in all_layouts)
        ends = [field.start - 1 + field.length for field in layout.fields]
        self.bytes = max(ends, default=0)
        packed = [end for end, field in zip(ends, layout.fields, strict=True) if field.kind == "packed"]
        self.packed_end = max(packed, default=0)
        single = len("A\xe9".encode(encoding, "replace")) == 2
        self.fields = [
            (field.name, field.start - 1, end, reading_of(field, encoding, single), field)
            for field, end in zip(layout.fields, ends, strict=True)
        ]

    def values(self, record: Record) -> tuple[dict[str, Tree], tuple[str, ...]]:
        """The fields that hold something, and what was tolerated. Raises BadNumber and UnicodeDecodeError."""
        data = record.data
        found: dict[str, Tree] = {}
        notes: list[str] = []
        size = len(data)
        for name, start, end, reading, _ in self.fields:
            value = reading(data[start:end], notes)
            if value is not None:
                found[name] = value
        if size < self.bytes:
            self._tell_cut(size)
            notes.append(_CUT_SHORT)
        return found, tuple(notes)

    def _tell_cut(self, size: int) -> None:
        for name, start, end, _, field in self.fields:
            if start < size < end and field.kind != "text":
                raise BadNumber(name, f"{size - start} bytes", f"{field.length} bytes: the record ends in this field")

    def flaw(self, record: Record, error: Exception) -> Flaw:
        """Which field is wrong: its bytes, and what was expected there."""
        for _, start, end, reading, field in self.fields:
            try:
                reading(record.data[start:end], [])
            except BadNumber as bad:
                return _field_flaw(record, field, bad.value, bad.expected, "bad_number", self.name)
            except UnicodeDecodeError as bad:
                at = start + bad.start + 1
                expected = f"text in {bad.encoding}: byte {at} of the record is {record.data[at - 1]:#04x}"
                return _field_flaw(record, field, "", expected, "bad_encoding", self.name)
        if isinstance(error, BadNumber):
            field = next(each for each in self.layout.fields if each.name == error.field)
            return _field_flaw(record, field, error.value, error.expected, "record_too_short", self.name)
        raise error


class _Gathered:
    """The document that is being put together: a header with the details that came until now, or rows of a group."""

    def __init__(self, form: Format) -> None:
        self._group_by = form.group_by
        self._clear()

    def _clear(self) -> None:
        self._top: dict[str, Tree] | None = None
        self._cut: _Cut | None = None
        self._place = ""
        self._open: dict[str, dict[str, Tree]] = {}
        self._raw: list[bytes] = []
        self._bytes = 0
        self._notes: set[str] = set()
        self._flaw: Flaw | None = None
        self._key: tuple[Tree, ...] | None = None

    def add(self, record: Record, cut: _Cut) -> Iterator[Item]:
        """Take one record; gives what is complete by that."""
        flaw = None
        values: dict[str, Tree] = {}
        notes: tuple[str, ...] = ()
        try:
            values, notes = cut.values(record)
        except (BadNumber, UnicodeDecodeError) as error:
            flaw = cut.flaw(record, error)
        if record.note:
            notes = (*notes, record.note)
        if cut.layout.within:
            yield from self._detail(record, cut, values, notes, flaw)
        elif cut.has_details:
            yield from self.end()
            self._top, self._cut, self._place = values, cut, record.place
            self._keep(record, notes, flaw)
            self._now_open(cut, values)
        elif self._group_by and flaw is None:
            yield from self._row(record, cut, values, notes)
        else:
            yield from self.end()
            yield flaw or Document(cut.name, record.place, values, record.raw, {}, notes)

    def spoil(self, record: Record, reason: str, expected: str) -> Iterator[Item]:
        """A record that is none: the header that it may belong to is not whole, so it is refused with it."""
        flaw = Flaw(record.place, reason, "record", _shown(record.data), expected, record.raw)
        if self._open:
            self._keep(record, (), flaw)
        else:
            yield from self.end()
            yield flaw

    def end(self) -> Iterator[Item]:
        """What was gathered is whole: a document, or one flaw in its place."""
        if self._top is not None and self._cut is not None:
            raw, kind = b"".join(self._raw), self._cut.name
            if self._flaw is not None:
                yield self._flaw._replace(raw=raw, kind=kind)
            else:
                yield Document(kind, self._place, self._top, raw, {}, tuple(sorted(self._notes)))
        self._clear()

    def _row(self, record: Record, cut: _Cut, values: dict[str, Tree], notes: tuple[str, ...]) -> Iterator[Item]:
        key = tuple(values.get(name) for name in self._group_by)
        if self._cut is not cut or self._key != key:
            yield from self.end()
            self._top, self._cut, self._place, self._key = {**values, "rows": []}, cut, record.place, key
        if self._keep(record, notes, None) and self._top is not None:
            self._top["rows"].append(values)

    def _detail(
        self, record: Record, cut: _Cut, values: dict[str, Tree], notes: tuple[str, ...], flaw: Flaw | None
    ) -> Iterator[Item]:
        above = self._open.get(cut.layout.within)
        if above is None:
            yield from self.spoil(record, "orphan_record", f"a record of type {cut.layout.within} before it")
            return
        if self._keep(record, notes, flaw):
            above.setdefault(cut.name, []).append(values)
        self._now_open(cut, values)

    def _now_open(self, cut: _Cut, values: dict[str, Tree]) -> None:
        """Details that follow belong to this record; those below an earlier one of its type are closed."""
        opened = list(self._open)
        if cut.name in self._open:
            closed = opened[opened.index(cut.name) :]
        else:
            closed = opened[opened.index(cut.layout.within) + 1 :] if cut.layout.within else opened
        for name in closed:
            del self._open[name]
        self._open[cut.name] = values

    def _keep(self, record: Record, notes: tuple[str, ...], flaw: Flaw | None) -> bool:
        """Keep a record's bytes with its document; False where the document is refused already, or too large now."""
        self._bytes += len(record.raw)
        if self._bytes > DOCUMENT_BYTES_MAX:
            if self._flaw is None or self._flaw.reason != "document_too_large":
                expected = f"a document of at most {DOCUMENT_BYTES_MAX} bytes"
                self._flaw = Flaw(self._place, "document_too_large", "document", "", expected)
                del self._raw[1:]
            return False
        self._raw.append(record.raw)
        self._notes.update(notes)
        self._flaw = self._flaw or flaw
        return self._flaw is None


def _field_flaw(record: Record, field: Field, value: str, expected: str, reason: str, kind: str) -> Flaw:
    where = f"{expected} (bytes {field.start}-{field.start + field.length - 1} of the record)"
    found = value or _shown(record.data[field.start - 1 : field.start - 1 + field.length])
    return Flaw(record.place, reason, field.name, found, where, record.raw, kind)


def _shown(data: bytes) -> str:
    return data[:SHOWN_BYTES_MAX].decode("ascii", "backslashreplace")


# Writing


class _Target(NamedTuple):
    """How records are written: the layouts by name, the encoding, the length, the end."""

    layouts: dict[str, Layout]
    below: dict[str, list[Layout]]
    encoding: str
    record_bytes: int
    line_end: bytes


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:  # noqa: ARG001 - a file has no number
    """A file of these documents, each `{"records": [{"layout": NAME, fields ...}, ...]}` or one such record.

    A record's details may stand in it, in lists by their layouts' names. Every record has its layout's length (or
    `record_bytes`), filled with blanks. Raises WriteRefused for what does not fit.
    """
    encoding = form.encoding or "utf-8"
    below: dict[str, list[Layout]] = {}
    for layout in form.layouts:
        below.setdefault(layout.within, []).append(layout)
    line_end = b"" if form.record_bytes else "\n".encode(encoding)
    target = _Target({each.name: each for each in form.layouts}, below, encoding, form.record_bytes, line_end)
    written: list[bytes] = []
    for document in documents:
        given = document.get("records", document) if isinstance(document, dict) else document
        for record in _flat(given):
            _write_record(record, target, written, None)
    return b"".join(written)


def _flat(given: Tree) -> Iterator[dict[str, Any]]:
    """Records out of lists in lists, as `each` makes them."""
    if isinstance(given, dict):
        yield given
    elif isinstance(given, list):
        for one in given:
            yield from _flat(one)
    elif given is not None:
        raise WriteRefused("records", str(given), "a list of records, each with its layout")


def _write_record(record: dict[str, Any], target: _Target, written: list[bytes], layout: Layout | None) -> None:
    layout = layout or _layout(record, target)
    details = {each.name for each in target.below.get(layout.name, ())}
    fields = {field.name: field for field in layout.fields}
    for name in record:
        if name not in fields and name not in details and name != "layout":
            raise WriteRefused(f"{layout.name}.{name}", str(record[name])[:80], f"one of: {', '.join(fields)}")
    ends = [field.start - 1 + field.length for field in layout.fields]
    blank = " ".encode(target.encoding)
    mark = layout.is_.encode(target.encoding)
    size = max([*ends, layout.at - 1 + len(mark)])
    data = bytearray(blank * (target.record_bytes or size))
    if size > len(data):
        raise WriteRefused(layout.name, f"{size} bytes", f"at most record_bytes, {target.record_bytes}")
    for field in layout.fields:
        value = record.get(field.name)
        if value is not None:
            data[field.start - 1 : field.start - 1 + field.length] = _written(layout, field, value, target.encoding)
    if mark:
        start = layout.at - 1
        found = bytes(data[start : start + len(mark)])
        if found not in (mark, blank * len(mark)):
            raise WriteRefused(layout.name, _shown(found), f"{layout.is_!r} at byte {layout.at}, which tells its type")
        data[start : start + len(mark)] = mark
    if target.line_end:
        data += target.line_end
    written.append(bytes(data))
    for below in target.below.get(layout.name, ()):
        for detail in _flat(record.get(below.name)):
            _write_record(detail, target, written, below)


def _layout(record: dict[str, Any], target: _Target) -> Layout:
    name = record.get("layout")
    if name is None and len(target.layouts) == 1:
        return next(iter(target.layouts.values()))
    layout = target.layouts.get(str(name))
    if layout is None:
        raise WriteRefused("layout", str(name), f"one of: {', '.join(target.layouts)}")
    return layout


def _written(layout: Layout, field: Field, value: Any, encoding: str) -> bytes:
    where = f"{layout.name}.{field.name}"
    if field.kind != "text":
        return write_number(where, field, value, encoding, is_ebcdic(encoding))
    text = str(value)
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError as error:
        raise WriteRefused(where, text[:80], f"text that {encoding} has: {text[error.start]!r} is not in it") from None
    if any(character < " " for character in text):
        raise WriteRefused(where, text[:80], "text without control characters")
    if len(data) > field.length:
        raise WriteRefused(where, text[:80], f"at most {field.length} bytes")
    return data + " ".encode(encoding) * (field.length - len(data))
