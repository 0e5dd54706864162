"""SAP IDocs as flat files: a control record of 524 bytes, then a record for each segment: a head of 63 bytes, up to 1000 of data.

The tree is the one that idoc_xml makes of the same IDoc: segments by their types, each in the one that it belongs to (by PSGNUM;
by our own table where the file does not say). Records end with line ends, or are all of their full length (524 and 1063).
Fields are without blanks around them; empty ones are left out. Of a segment that is not in idoc_segments, the data is kept
whole, as `SDATA`; so is, as `REST`, what a newer version has behind the fields that we know.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, NamedTuple

from interlock.connectors.formats.document import DOCUMENT_BYTES_MAX, Document, Flaw, FormatUnreadable, Numbers, Tree
from interlock.connectors.formats.idoc_segments import (
    CONTROL,
    CONTROL_BYTES,
    CONTROL_FIELDS,
    DATA_BYTES,
    FIELDS,
    HEAD_BYTES,
    HEAD_FIELDS,
    OLD_CONTROL,
    OLD_CONTROL_FIELDS,
    PARENTS,
    type_of,
)
from interlock.connectors.formats.idoc_write import idocs_of
from interlock.domain.links import Format

MEDIA_TYPE: Final = "text/plain"
_RECORD_BYTES_MAX: Final = 8192
_HEAD_SHORTEST: Final = 10


class _Record(NamedTuple):
    line: int
    raw: bytes
    text: str


def read(source: Iterable[bytes], form: Format) -> Iterator[Document | Flaw]:
    """Every IDoc of a flat file. Raises FormatUnreadable where it does not begin with a control record."""
    encoding = form.encoding or "utf-8-sig"
    open_idoc: list[_Record] = []
    size = 0
    count = 0
    for record in _records(source, encoding):
        begins = record.text.startswith((CONTROL, OLD_CONTROL))
        if begins:
            if open_idoc:
                count += 1
                yield _idoc(open_idoc, size, count)
            open_idoc, size = [record], len(record.raw)
        elif not open_idoc:
            raise FormatUnreadable("no_control_record", "line 1", record.text[:40], f"a control record, {CONTROL}")
        else:
            size += len(record.raw)
            if size <= DOCUMENT_BYTES_MAX:
                open_idoc.append(record)
    if open_idoc:
        yield _idoc(open_idoc, size, count + 1)
    elif not count:
        raise FormatUnreadable("empty", "the file", "", f"a control record, {CONTROL}")


def _records(source: Iterable[bytes], encoding: str) -> Iterator[_Record]:
    """The records: lines, or, where the first is not ended, pieces of their full length."""
    blocks = iter(source)
    head = b""
    for block in blocks:
        head += block
        if len(head) > CONTROL_BYTES + 2:
            break
    source = chain([head], blocks)
    return (
        _lines(source, encoding)
        if b"\n" in head[: CONTROL_BYTES + 2] or not head[CONTROL_BYTES:]
        else _pieces(source, encoding)
    )


def _lines(source: Iterable[bytes], encoding: str) -> Iterator[_Record]:
    rest = b""
    line = 0
    for block in chain(source, [b"\n"]):
        *whole, rest = (rest + block).split(b"\n")
        if len(rest) > _RECORD_BYTES_MAX:
            where = f"line {line + len(whole) + 1}"
            raise FormatUnreadable("record_too_long", where, f"{len(rest)} bytes", f"at most {_RECORD_BYTES_MAX} bytes")
        for raw in whole:
            line += 1
            if raw.strip(b" \r\0\x1a"):
                yield _decoded(line, raw + b"\n", encoding)


def _pieces(source: Iterable[bytes], encoding: str) -> Iterator[_Record]:
    """Records of their full length; a letter may be several bytes, so they are counted in letters."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
    except LookupError:
        raise FormatUnreadable("bad_encoding", "encoding", encoding, "a known encoding, such as UTF-8") from None
    rest = ""
    line = 0
    for block in source:
        rest += decoder.decode(block)
        while len(rest) >= (width := _full(rest)):
            line += 1
            text, rest = rest[:width], rest[width:]
            yield _decoded(line, text.encode(encoding.removesuffix("-sig"), "surrogateescape"), encoding)
    if rest.strip():
        raise FormatUnreadable("truncated", f"record {line + 1}", f"{len(rest)} letters", f"a record of {_full(rest)}")


def _full(record: str) -> int:
    return CONTROL_BYTES if record.startswith((CONTROL, OLD_CONTROL)) else HEAD_BYTES + DATA_BYTES


def _decoded(line: int, raw: bytes, encoding: str) -> _Record:
    try:
        return _Record(line, raw, raw.decode(encoding).rstrip("\r\n"))
    except UnicodeDecodeError as error:
        if encoding == "utf-8-sig":
            # SAP systems without Unicode write in the code page of the host: Western Europe unless the link says otherwise.
            return _Record(line, raw, raw.decode("cp1252", "replace").rstrip("\r\n"))
        value = raw[error.start : error.start + 4].hex()
        raise FormatUnreadable(
            "bad_encoding", f"line {line}, byte {error.start + 1}", value, f"text in {encoding}"
        ) from None
    except LookupError:
        raise FormatUnreadable("bad_encoding", "encoding", encoding, "a known encoding, such as UTF-8") from None


def _idoc(records: list[_Record], size: int, count: int) -> Document | Flaw:
    first = records[0]
    place = f"IDoc {count}, line {first.line}"
    raw = b"".join([record.raw for record in records])
    if size > DOCUMENT_BYTES_MAX:
        return Flaw(
            place, "too_large", "the IDoc", f"{size} bytes", f"at most {DOCUMENT_BYTES_MAX}", raw[:65536], "IDOC"
        )
    notes: list[str] = []
    control = _control(first, notes)
    tree: dict[str, Any] = {CONTROL: control}
    by_number: dict[str, dict[str, Any]] = {}
    last: dict[str, dict[str, Any]] = {}
    for record in records[1:]:
        if len(record.text) < _HEAD_SHORTEST:
            expected = f"a record with a head of {HEAD_BYTES} bytes"
            return Flaw(place, "truncated", f"line {record.line}", record.text[:40], expected, raw, "IDOC")
        head = _fields(record.text[:HEAD_BYTES], HEAD_FIELDS)
        name = type_of(head.get("SEGNAM", ""))
        segment = _segment(name, record.text[HEAD_BYTES:], notes)
        parent = by_number.get(head.get("PSGNUM", "").lstrip("0") or "none")
        if parent is None or parent is segment:
            parent = last.get(PARENTS.get(name, ""), tree)
        parent.setdefault(name, []).append(segment)
        last[name] = segment
        if number := head.get("SEGNUM", "").lstrip("0"):
            by_number[number] = segment
    if len(records) == 1:
        return Flaw(place, "truncated", "the IDoc", "only a control record", "at least one segment", raw, "IDOC")
    return Document(
        control.get("MESTYP") or "IDOC",
        place,
        _single(tree),
        raw,
        {"records": len(records)},
        tuple(dict.fromkeys(notes)),
    )


def _control(record: _Record, notes: list[str]) -> dict[str, str]:
    if record.text.startswith(CONTROL):
        return _fields(record.text, CONTROL_FIELDS)
    notes.append(f"{OLD_CONTROL}: an old control record")
    control = _fields(record.text, OLD_CONTROL_FIELDS)
    basic = control.pop("DOCTYP", "")
    # The message type stands before the basic type once more, towards the end of the record.
    again = re.search(rf"([A-Z]{{1,6}}) *{re.escape(basic)}\b", record.text[45:]) if basic else None
    control["IDOCTYP"] = basic
    control["MESTYP"] = again[1] if again else basic.rstrip("0123456789")
    return control


def _segment(name: str, data: str, notes: list[str]) -> dict[str, Any]:
    known = FIELDS.get(name)
    if known is None:
        notes.append(f"segment {name[:30]}: not known by its fields")
        return {"SDATA": data.rstrip()}
    segment: dict[str, Any] = _fields(data, known)
    rest = data[sum(known.values()) :].strip()
    if rest:
        segment["REST"] = rest
    return segment


def _fields(text: str, widths: Mapping[str, int]) -> dict[str, str]:
    fields = {}
    at = 0
    for name, width in widths.items():
        value = text[at : at + width].strip()
        if value:
            fields[name] = value
        at += width
    return fields


def _single(tree: dict[str, Any]) -> dict[str, Any]:
    """Segments that come once stand alone, as in XML."""
    for name, value in tree.items():
        if isinstance(value, list):
            each = [_single(entry) for entry in value]
            tree[name] = each[0] if len(each) == 1 else each
    return tree


# Writing


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:
    """One file of IDocs: each document is `{ORDERS05: {EDI_DC40: ..., E1EDK01: ...}}`. Records end with LF.

    Raises WriteRefused.
    """
    _, idocs = idocs_of(documents, form, numbers)
    out: list[str] = []
    for idoc in idocs:
        control = idoc[CONTROL]
        out.append("".join(f"{control.get(name, ''):<{width}}" for name, width in CONTROL_FIELDS.items()))
        counter = [0]
        for name, segments in idoc.items():
            if name != CONTROL:
                for segment in segments:
                    _write_segment(out, name, segment, control, counter, 0, 1)
    text = "\n".join(out) + "\n"
    return text.encode(form.encoding or "utf-8", "replace")


def _write_segment(
    out: list[str],
    name: str,
    segment: dict[str, Any],
    control: dict[str, str],
    counter: list[int],
    parent: int,
    level: int,
) -> None:
    counter[0] += 1
    number = counter[0]
    widths = FIELDS.get(name, {})
    data = "".join(f"{segment.get(field, ''):<{width}}" for field, width in widths.items()) or segment.get("SDATA", "")
    head = (name, control.get("MANDT", ""), control["DOCNUM"], f"{number:06d}", f"{parent:06d}", f"{level:02d}")
    record = "".join(f"{value:<{width}}" for value, width in zip(head, HEAD_FIELDS.values(), strict=True))
    out.append(f"{record}{data:<{DATA_BYTES}}")
    for below, segments in segment.items():
        if isinstance(segments, list):
            for each in segments:
                _write_segment(out, below, each, control, counter, number, level + 1)
