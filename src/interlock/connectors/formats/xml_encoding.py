"""In which encoding XML is: by the link's word, its byte order mark, its first bytes, or what it declares, in this order.

Expat reads UTF-8 and the encodings of one byte that are like ASCII; all others (UTF-16 and -32, Shift JIS, EBCDIC ...) are
made UTF-8 on the way in, and made what they were again where an element's bytes are kept.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from interlock.connectors.formats.document import FormatUnreadable

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; that of UTF-32 begins with that of UTF-16."""
_FIRST: Final = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
    (b"\x4c\x6f\xa7\x94", "cp037"),
)
"""How `<` or `<?xm` begins where there is no mark (XML 1.0, appendix F)."""
_DECLARED: Final = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._\- ]{1,40})[\"']")
_HEAD_BYTES: Final = 1024
_WIDE: Final = ("utf-16", "utf-32", "utf_16", "utf_32")


class Encoded:
    """An input whose encoding is known. `override` is the encoding that the parser is told, whatever the XML declares."""

    def __init__(
        self, blocks: Iterator[bytes], override: str, codec: str, lines_before: int, notes: tuple[str, ...]
    ) -> None:
        self.override = override
        self.lines_before = lines_before
        self.notes = notes
        self._blocks = blocks
        self._codec = codec  # empty where the parser reads the bytes as they are

    def pieces(self, size: int) -> Iterator[bytes]:
        """The input in pieces of at most `size` bytes (three times that where it is recoded). Raises FormatUnreadable."""
        decoder = codecs.getincrementaldecoder(self._codec)() if self._codec else None
        place = 0
        for block in self._blocks:
            for begin in range(0, len(block), size):
                piece = block[begin : begin + size]
                if decoder is not None:
                    piece, place = self._recoded(decoder, piece, place), place + len(piece)
                yield piece

    def original(self, piece: bytes) -> bytes:
        """The bytes as they came in; a piece may end within a letter, which is left out then."""
        return piece.decode("utf-8", "ignore").encode(self._codec, "replace") if self._codec else piece

    def _recoded(self, decoder: codecs.IncrementalDecoder, piece: bytes, place: int) -> bytes:
        try:
            return decoder.decode(piece).encode("utf-8")
        except UnicodeError as error:
            at = error.start if isinstance(error, UnicodeDecodeError) else 0
            value = piece[at : at + 4].hex() if isinstance(error, UnicodeDecodeError) else str(error)
            raise FormatUnreadable(
                "bad_encoding", f"bytes near {place + at}", value, f"text in {self._codec}"
            ) from None


def opened(source: Iterable[bytes], encoding: str) -> Encoded:
    """The input with its encoding found out. Raises FormatUnreadable."""
    blocks = iter(source)
    head = b""
    for block in blocks:
        head += block
        if len(head) >= _HEAD_BYTES:
            break
    notes: list[str] = []
    lines_before = 0
    found = _marked(head)
    if found and head.startswith(_MARKS[0][0]) or found.startswith("utf-16") or found.startswith("utf-32"):
        head = _without_mark(head)
    if not found or found == "utf-8":
        rest = head.lstrip(b" \t\r\n\f\v")
        if len(rest) < len(head):
            # An XML declaration may only stand at the very beginning: what is before it is dropped, but its lines count.
            lines_before = head[: len(head) - len(rest)].count(b"\n")
            if rest.startswith(b"<?xml"):
                notes.append("blanks before the XML declaration")
            head = rest
    if not head:
        raise FormatUnreadable("empty", "the file", "", "an XML document")
    name = _name(encoding or found or _declared(head))
    told = _declared(head)
    if not encoding and not found and name.startswith(_WIDE):
        notes.append(f"declared as {told}, but in UTF-8")
        name = "utf-8"
    return Encoded(chain([head], blocks), *_for_parser(name), lines_before, tuple(notes))


def _marked(head: bytes) -> str:
    for mark, name in (*_MARKS, *_FIRST):
        if head.startswith(mark):
            return name
    return ""


def _without_mark(head: bytes) -> bytes:
    for mark, _ in _MARKS:
        if head.startswith(mark):
            return head[len(mark) :]
    return head


def _declared(head: bytes) -> str:
    declared = _DECLARED.match(head)
    return declared[1].decode("ascii").strip() if declared else "utf-8"


def _name(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise FormatUnreadable("bad_encoding", "encoding", encoding, "a known encoding, such as UTF-8") from None


def _for_parser(name: str) -> tuple[str, str]:
    """What the parser is told, and the codec by which the input is recoded before, if it must be."""
    if name in ("utf-8", "utf-8-sig", "ascii"):
        return "utf-8", ""
    plain = bytes(range(128))
    try:
        single = len(bytes(range(256)).decode(name, "replace")) == 256 and plain.decode(name) == plain.decode("ascii")
    except (UnicodeError, LookupError):
        single = False
    return (name, "") if single else ("utf-8", name)
