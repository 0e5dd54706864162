"""The bytes of a file as a window that moves on: where the next segment ends, where a message ends, what is skipped.

No more is kept than a message and a block. Offsets are of the whole input, from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from interlock.connectors.formats.document import DOCUMENT_BYTES_MAX
from interlock.connectors.formats.edifact_syntax import Separators

BLOCK_BYTES: Final = 256 * 1024
GROWTH_BYTES_MAX: Final = 4 * 1024 * 1024
SEGMENT_BYTES_MAX: Final = 64 * 1024
BLANKS: Final = b" \t\r\n\0\x1a"
"""What may stand between segments and around interchanges: blanks, line ends, and what old systems fill and end files with."""


class Service(NamedTuple):
    """Service segments that may follow UNH: a pattern for where one begins after the end of a segment, and their beginnings."""

    pattern: re.Pattern[bytes]
    end: bytes
    trailer: bytes
    header: bytes

    @classmethod
    def of(cls, marks: Separators) -> Service:
        """With these separators."""
        end, element = marks.terminator.encode(), marks.element.encode()
        pattern = rb"%b[\s\0\x1a]*UN([BEGHTZ](?=[%b%b])|A(?=[^a-zA-Z0-9\s]))"
        ends = re.escape(end)
        return cls(
            re.compile(pattern % (ends, re.escape(element), ends)),
            end,
            b"UNT" + element,
            b"UNH" + element,
        )


class Piece(NamedTuple):
    """Some bytes and what they are: `whole` if they end as they should."""

    raw: bytes
    whole: bool
    large: bool = False


class Feed:
    """The input from where it was read to."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._blocks: Iterator[bytes] = iter(source)
        self._kept = b""
        self._at = 0
        self._before = 0
        self._ended = False
        self._unwrapping = False
        self._searched_from = 0
        self._trailer_at = -1
        self._trailer_kind = b""
        self._has_trailer = False

    @property
    def byte(self) -> int:
        """Where in the whole input we are."""
        return self._before + self._at

    def peek(self, count: int) -> bytes:
        """The next bytes; fewer only at the end."""
        while len(self._kept) - self._at < count and self._more():
            pass
        return self._kept[self._at : self._at + count]

    def skip(self, count: int) -> None:
        """Go on."""
        self._at += count

    def skip_blanks(self) -> bool:
        """Go over blanks; whether anything follows."""
        while True:
            kept, at = self._kept, self._at
            end = len(kept)
            while at < end and kept[at] in BLANKS:
                at += 1
            self._at = at
            if at < end:
                return True
            if not self._more():
                return False

    def unwrap(self) -> None:
        """From here on, leave out all line ends: they stand inside of segments, after a number of characters."""
        self._unwrapping = True
        self._kept = self._kept[self._at :].translate(None, b"\r\n")
        self._before += self._at
        self._at = 0

    def segment(self, terminator: bytes, release: bytes) -> Piece:
        """The next segment without its terminator; not whole where the input ends, or where it is too long to be one."""
        start = self._at
        while True:
            end = self._kept.find(terminator, start)
            if end >= 0:
                if self._is_released(end, release, self._at):
                    start = end + 1
                    continue
                raw = self._kept[self._at : end]
                self._at = end + 1
                return Piece(raw, True)
            if len(self._kept) - self._at > SEGMENT_BYTES_MAX:
                raw = self._kept[self._at : self._at + SEGMENT_BYTES_MAX]
                return Piece(raw, False, large=True)
            start = len(self._kept) - self._at
            if not self._more():
                raw, self._at = self._kept[self._at :], len(self._kept)
                return Piece(raw, False)
            start += self._at

    def message(self, service: Service, terminator: bytes, release: bytes) -> Piece:
        """From UNH, where we are, to the end of its UNT; not whole where another service segment or the end comes before that.

        Of one that is too large the beginning is given, and we stand at what follows it.
        """
        piece = self._plain_message(service, terminator, release)
        if piece is not None:
            return piece
        searched = 0
        while True:
            found = service.pattern.search(self._kept, self._at + searched)
            if found is not None and self._is_released(found.start(), release, self._at):
                searched = found.start() + 1 - self._at
                continue
            if found is not None:
                if found[1] != b"T":
                    return self._taken(found.start() + 1, whole=False)
                end = self._end(found.end(), terminator, release)
                if end >= 0:
                    if end - self._at > DOCUMENT_BYTES_MAX:
                        raw, self._at = self._kept[self._at : self._at + SEGMENT_BYTES_MAX], end + 1
                        return Piece(raw, False, large=True)
                    return self._taken(end + 1, whole=True)
                if self._ended:
                    # The last terminator of a file is forgotten by many: what is there is judged as it stands.
                    return self._taken(len(self._kept), whole=True)
                searched = max(0, found.start() - self._at)
            else:
                searched = max(0, len(self._kept) - self._at - 64)
            if len(self._kept) - self._at > DOCUMENT_BYTES_MAX:
                return self._large(service.pattern)
            if not self._more():
                if found is None:
                    return self._taken(len(self._kept), whole=False)
                return self._taken(len(self._kept), whole=True)

    def _plain_message(self, service: Service, terminator: bytes, release: bytes) -> Piece | None:
        """A message that is here as a whole, with no other UNH in it; None where a closer look is needed."""
        kept, at = self._kept, self._at
        trailer = self._next_trailer(service.trailer)
        if trailer < 0:
            return None
        before = trailer - 1
        while before > at and kept[before] in BLANKS:
            before -= 1
        end = kept.find(terminator, trailer)
        if end < 0 or kept[before : before + 1] != terminator or (release and kept[before - 1 : before] == release):
            return None
        if release and kept[end - 1 : end] == release:
            return None
        if end - at > DOCUMENT_BYTES_MAX:
            return None
        if kept.find(service.header, at + 4, trailer) >= 0:
            return None
        self._at = end + 1
        return Piece(kept[at : end + 1], True)

    def _next_trailer(self, trailer: bytes) -> int:
        """Where the next UNT is; -1 where none is here. What was searched once is not searched again for the next message."""
        if not self._searched_from <= self.byte <= self._trailer_at or self._trailer_kind != trailer:
            found = self._kept.find(trailer, self._at)
            self._searched_from, self._trailer_kind = self.byte, trailer
            # Without one, up to the last bytes, which may be the beginning of one.
            self._has_trailer = found >= 0
            self._trailer_at = self._before + (found if found >= 0 else len(self._kept) - 4)
        return self._trailer_at - self._before if self._has_trailer else -1

    def find(self, pattern: re.Pattern[bytes]) -> int:
        """Go on to where the pattern is found; how many bytes were left behind, or -1 with all of the input left behind."""
        skipped = 0
        while True:
            found = pattern.search(self._kept, self._at)
            if found is not None:
                skipped += found.start() - self._at
                self._at = found.start()
                return skipped
            passed = max(0, len(self._kept) - self._at - 16)
            skipped += passed
            self._at += passed
            if not self._more():
                self._at = len(self._kept)
                return -1

    def stray(self, service: Service) -> Piece:
        """What stands here up to the next service segment, or to the end of a UNT that no UNH precedes; its beginning is kept."""
        start = self.byte
        kept = b""
        found = -1
        while True:
            match = service.pattern.search(self._kept, self._at)
            end = match.start() + 1 if match is not None else max(self._at, len(self._kept) - 1024)
            kept += self._kept[self._at : end][: max(0, SEGMENT_BYTES_MAX - len(kept))]
            self._at = end
            if match is not None:
                found = 0
                break
            if not self._more():
                break
        if found < 0:
            kept += self._kept[self._at :][: max(0, SEGMENT_BYTES_MAX - len(kept))]
            self._at = len(self._kept)
        elif match is not None and match[1] == b"T":
            self.skip_blanks()
            kept += self.segment(service.end, b"").raw
        return Piece(kept, found == 0, large=self.byte - start > SEGMENT_BYTES_MAX)

    def _large(self, service: re.Pattern[bytes]) -> Piece:
        raw = self._kept[self._at : self._at + SEGMENT_BYTES_MAX]
        self._at += SEGMENT_BYTES_MAX
        if self.find(service) >= 0:
            self._at += 1
        return Piece(raw, False, large=True)

    def _end(self, at: int, terminator: bytes, release: bytes) -> int:
        end = self._kept.find(terminator, at)
        while end >= 0 and self._is_released(end, release, at):
            end = self._kept.find(terminator, end + 1)
        return end

    def _is_released(self, at: int, release: bytes, least: int) -> bool:
        """Whether an odd number of release characters stands before that place."""
        if not release or self._kept[at - 1 : at] != release:
            return False
        count = 0
        while at - count > least and self._kept[at - count - 1 : at - count] == release:
            count += 1
        return count % 2 == 1

    def _taken(self, end: int, *, whole: bool) -> Piece:
        raw = self._kept[self._at : end]
        self._at = end
        return Piece(raw, whole)

    def _more(self) -> bool:
        """Have more of the input; whether there was more. It takes as much again as is kept, so that tiny blocks cost little."""
        if self._ended:
            return False
        rest = self._kept[self._at :]
        wanted = max(BLOCK_BYTES, min(len(rest), GROWTH_BYTES_MAX))
        parts, size = [rest], 0
        for block in self._blocks:
            if self._unwrapping:
                block = block.translate(None, b"\r\n")
            parts.append(block)
            size += len(block)
            if size >= wanted:
                break
        else:
            self._ended = True
        self._before += self._at
        self._kept = b"".join(parts)
        self._at = 0
        return size > 0
