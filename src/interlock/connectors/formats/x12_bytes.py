"""The bytes of an X12 source as they come: a window on them that is read on when more is wanted."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Final

from interlock.connectors.formats.document import FormatUnreadable

_STEP: Final = 256 * 1024
_PLAIN: Final = frozenset({"utf-8", "ascii", "iso8859-1", "cp1252", "utf-8-sig"})
_BLANKS: Final = b"\r\n\t \x00\x1a\x0b\x0c"
_LINE_ENDS: Final = str.maketrans("", "", "\r\n")


class Window:
    """`data` from `at` on is not read yet; `base` is the place in the source where `data` begins."""

    def __init__(self, source: Iterable[bytes], encoding: str) -> None:
        self.data = b""
        self.at = 0
        self.base = 0
        self.ended = False
        self.unwrapped = False
        self.notes: list[str] = []
        self._blocks = self._decoded(iter(source), encoding)

    def more(self) -> bool:
        """Read on, as much again as there is; False at the end of the source."""
        if self.ended:
            return False
        kept = self.data[self.at :]
        self.base += self.at
        self.at = 0
        parts, size, wanted = [kept], len(kept), max(_STEP, 2 * len(kept))
        while size < wanted:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
                break
            if self.unwrapped:
                block = block.translate(None, b"\r\n")
            parts.append(block)
            size += len(block)
        self.data = b"".join(parts)
        return len(self.data) > len(kept)

    def drop(self, keep: int) -> None:
        """Forget all but the last bytes."""
        self.at = max(self.at, len(self.data) - keep)

    def skip_blanks(self) -> bool:
        """Go on to the next byte that is not blank; False where there is none."""
        while True:
            rest = len(self.data.lstrip(_BLANKS)) if self.at == 0 else self._rest()
            if rest:
                self.at = len(self.data) - rest
                return True
            self.at = len(self.data)
            if not self.more():
                return False

    def _rest(self) -> int:
        data, at, end = self.data, self.at, len(self.data)
        while at < end and data[at] in _BLANKS:
            at += 1
        return end - at

    def skip_ends(self) -> None:
        """Go on over the end of a line, where one is here."""
        data, at = self.data, self.at
        if data.startswith(b"\n", at):
            self.at = at + 1
        elif data.startswith(b"\r\n", at):
            self.at = at + 2

    def ahead(self, size: int) -> bytes:
        """The next bytes, or as many as there are."""
        while len(self.data) - self.at < size and self.more():
            pass
        return self.data[self.at : self.at + size]

    def unwrap(self) -> None:
        """From here on the ends of lines are no part of what is said."""
        self.data = self.data[: self.at] + self.data[self.at :].translate(None, b"\r\n")
        self.unwrapped = True

    def _decoded(self, blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
        """The blocks in a code that has ASCII's characters in ASCII's places, as the separators are looked for in it."""
        first = b""
        while len(first) < 4 and (block := next(blocks, None)) is not None:
            first += block
        name = codecs.lookup(encoding).name if encoding else _guessed(first)
        if name in _PLAIN:
            yield first
            yield from blocks
            return
        if not encoding:
            self.notes.append(f"read as {name}")
        decoder = codecs.getincrementaldecoder(name)()
        try:
            yield decoder.decode(first).lstrip("\ufeff").encode()
            for block in blocks:
                yield decoder.decode(block).encode()
            yield decoder.decode(b"", final=True).encode()
        except UnicodeError as error:
            raise FormatUnreadable("encoding", "the text", str(error)[:200], f"text in {name}") from None


def _guessed(first: bytes) -> str:
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if first[:3] in (b"\xc9\xe2\xc1", b"\x89\xa2\x81"):
        return "cp037"
    return "iso8859-1"
