"""NDJSON: every line is a JSON value and a document. A line that is none is a Flaw, and its neighbours go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from interlock.connectors.formats.document import DOCUMENT_BYTES_MAX, Flaw, Item, Numbers, Tree
from interlock.connectors.formats.json_documents import document, encoded
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/x-ndjson"


def read(source: Iterable[bytes], form: Format) -> Iterator[Item]:  # noqa: ARG001 - NDJSON is always UTF-8
    """The lines as documents; blank ones are none."""
    for number, raw in _lines(source):
        place = f"line {number}"
        if raw is None:
            yield Flaw(place, "unreadable", "line", "", f"a line of at most {DOCUMENT_BYTES_MAX} bytes")
        elif raw:
            yield document(raw, "line", place, {})


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:  # noqa: ARG001 - NDJSON has no control numbers
    """Each document on a line. Raises WriteRefused for what JSON cannot say."""
    return b"".join(encoded(each) + b"\n" for each in documents)


def _lines(source: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers, without blanks around them; None for one that is too long to keep."""
    number, tail, is_dropping = 1, b"", False
    for block in source:
        lines = block.split(b"\n")
        lines[0] = tail + lines[0]
        tail = lines.pop()
        for line in lines:
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, None if is_dropping or len(line) > DOCUMENT_BYTES_MAX else line.strip()
            is_dropping = False
            number += 1
        if len(tail) > DOCUMENT_BYTES_MAX:
            tail, is_dropping = b"", True
    if tail or is_dropping:
        if number == 1:
            tail = tail.removeprefix(b"\xef\xbb\xbf")
        yield number, None if is_dropping else tail.strip()
