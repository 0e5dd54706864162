"""The bytes of a fixed-width file cut into records: lines, or so many bytes each, with the place of each for people.

Lines end with LF or CRLF; in EBCDIC with LF (25) or NEL (15), and perhaps CR (0D) before it. A packed number may hold such a
byte: a line that ends inside of its packed fields is no line yet, and goes on. What follows the last record and is blank, or a
Ctrl-Z (1A), is nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from interlock.connectors.formats.fixed_numbers import is_ebcdic
from interlock.domain.links import Format

LINE_BYTES_MAX: Final = 1024 * 1024
LINE_ENDS: Final = "records of a fixed length are on lines of their own"
_CTRL_Z: Final = b"\x1a"
_BOM: Final = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """One record: its place for people, its bytes, and verbatim with the end of its line; or why it is none."""

    place: str
    data: bytes
    raw: bytes
    problem: str = ""
    expected: str = ""
    note: str = ""


def records(source: Iterable[bytes], form: Format, bytes_least: Callable[[bytes], int]) -> Iterator[Record]:
    """The records in their order; blank lines are none. `bytes_least` says how long one that begins so must be."""
    if form.record_bytes:
        return _by_length(source, form)
    return _by_line(source, form, bytes_least)


def _by_line(source: Iterable[bytes], form: Format, bytes_least: Callable[[bytes], int]) -> Iterator[Record]:
    encoding = form.encoding or "utf-8"
    blank = " ".encode(encoding) + b"\0" + _CTRL_Z
    ends = b"\x25\x15" if is_ebcdic(encoding) else b"\n"
    packed = any(field.kind == "packed" for layout in form.layouts for field in layout.fields)
    waiting = b""
    begun = 0
    for number, raw in _lines(source, ends):
        if number == 1 and raw is not None:
            raw = raw.removeprefix(_BOM)
        if raw is None:
            expected = f"a line of at most {LINE_BYTES_MAX} bytes"
            yield Record(f"line {number}", b"", b"", "line_too_long", expected)
            waiting = b""
            continue
        if not packed:
            data = raw.rstrip(ends + b"\r")
            if data.strip(blank):
                yield Record(f"line {number}", data, raw)
            continue
        if waiting:
            raw, number = waiting + raw, begun
        data = _without_end(raw, ends)
        least = bytes_least(data)
        if len(data) < least:
            if len(raw) <= least:
                waiting, begun = raw, number  # an end of line inside of a packed number is none
                continue
            data = raw[:least]  # the last packed byte looks like the end that follows it
        waiting = b""
        if data.strip(blank):
            yield Record(f"line {number}", data, raw)
    if waiting.strip(blank):
        expected = f"{bytes_least(waiting)} bytes, as its packed fields want"
        yield Record(f"line {begun}", waiting, waiting, "record_too_short", expected)


def _without_end(raw: bytes, ends: bytes) -> bytes:
    if raw and raw[-1] in ends:
        raw = raw[:-1]
        if raw.endswith(b"\r"):
            raw = raw[:-1]
    return raw


def _lines(source: Iterable[bytes], ends: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their ends and numbers; None for one that is too long, which is dropped as it comes."""
    end_of_line = re.compile(rb"[%b]" % ends)
    number, tail, dropping = 1, b"", False
    for block in source:
        data = tail + block
        start = 0
        for found in end_of_line.finditer(data, len(tail)):
            end = found.end()
            yield number, None if dropping or end - start > LINE_BYTES_MAX else data[start:end]
            number, start, dropping = number + 1, end, False
        tail = data[start:]
        if len(tail) > LINE_BYTES_MAX:
            tail, dropping = b"", True
    if tail or dropping:
        yield number, None if dropping else tail


def _by_length(source: Iterable[bytes], form: Format) -> Iterator[Record]:
    size = form.record_bytes
    blank = " ".encode(form.encoding or "utf-8") + b"\0\r\n" + _CTRL_Z
    data, number, at = b"", 0, 0
    ends: bytes | None = None
    for block in source:
        data += block
        if ends is None and len(data) < size * 2 + 2:
            continue
        if ends is None:
            ends = _ends_between(data, form)
        step = size + len(ends)
        start = 0
        while start + step <= len(data):
            number += 1
            yield _cut(data[start : start + step], size, number, at + start, ends)
            start += step
        data, at = data[start:], at + start
    if ends is None:
        ends = _ends_between(data, form)
    step = size + len(ends)
    start = 0
    while start + size <= len(data):
        number += 1
        yield _cut(data[start : start + step], size, number, at + start, ends)
        start += step
    rest = data[start:]
    if rest.strip(blank):
        place = f"record {number + 1} (byte {at + start + 1})"
        yield Record(place, rest, rest, "record_too_short", f"{size} bytes; the file ends after {len(rest)} of them")


def _cut(raw: bytes, size: int, number: int, at: int, ends: bytes) -> Record:
    place = f"record {number} (byte {at + 1})"
    if not ends:
        return Record(place, raw, raw)
    if len(raw) > size and raw[size:] != ends:
        return Record(place, raw, raw, "record_length", f"{size} bytes and the end of a line, as before")
    return Record(place, raw[:size], raw, note=LINE_ENDS)


def _ends_between(data: bytes, form: Format) -> bytes:
    """The end of a line that follows the first record, although none was said to; empty where none does."""
    size = form.record_bytes
    candidates = (b"\r\n", b"\x0d\x25", b"\x0d\x15", b"\n", b"\x25", b"\x15")
    after = data[size : size + 2]
    for ends in candidates:
        if after.startswith(ends) and not _may_begin(ends, form):
            second = data[size * 2 + len(ends) : size * 2 + len(ends) * 2]
            if ends.startswith(second) or not second:
                return ends
    return b""


def _may_begin(ends: bytes, form: Format) -> bool:
    """Whether a record may begin with these bytes: a packed number can hold any."""
    return any(
        field.kind == "packed" and field.start <= len(ends) for layout in form.layouts for field in layout.fields
    )
