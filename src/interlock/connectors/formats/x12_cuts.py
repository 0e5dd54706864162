"""Cutting a window of bytes at X12's separators: single segments of an envelope, and whole sets."""

from __future__ import annotations

import re
from typing import Final

from interlock.connectors.formats.document import DOCUMENT_BYTES_MAX
from interlock.connectors.formats.x12_bytes import Window
from interlock.connectors.formats.x12_head import Separators

SEGMENT_BYTES_MAX: Final = 64 * 1024
KEPT_BYTES_MAX: Final = 64 * 1024
_OVERLAP: Final = 64
_MISSES_MAX: Final = 20
_LINE_ENDS: Final = (b"", b"\n", b"\r\n")


class Cuts:
    """How one interchange is cut. `terminator` is that of its segments, in bytes; `set_begins` what a set begins with."""

    def __init__(self, separators: Separators, encoding: str) -> None:
        self.terminator = separators.segment.encode(encoding)
        self.set_begins = b"ST" + separators.element.encode(encoding)
        self._se = b"SE" + separators.element.encode(encoding)
        self._end, self._misses = b"", 0
        self._encoding = encoding
        element, segment = re.escape(separators.element.encode(encoding)), re.escape(self.terminator)
        # The end of a set is its SE, or any segment that can only stand outside of sets.
        self._set_end = re.compile(segment + rb"\s*((?i:SE|ST|G[SE]|I[ES]A))(?=" + element + rb")")
        self._envelope = re.compile(segment + rb"\s*((?i:ST|G[SE]|I[ES]A|TA1))(?=" + element + rb")")
        self._tag = re.compile(rb"([A-Za-z0-9]{2,3})[ ]*(?=" + element + rb")")
        self._trailer = re.compile(segment + rb"\s*(?i:IEA)" + element)

    def tag(self, window: Window) -> str:
        """The tag of the segment that begins here; empty where none does."""
        match = self._tag.match(window.ahead(16))
        return match[1].upper().decode() if match else ""

    def segment(self, window: Window) -> str:
        """The segment that begins here, without its terminator."""
        while (end := window.data.find(self.terminator, window.at)) < 0:
            if len(window.data) - window.at > SEGMENT_BYTES_MAX or not window.more():
                end = min(len(window.data), window.at + SEGMENT_BYTES_MAX)
                break
        raw = window.data[window.at : end]
        window.at = min(end + len(self.terminator), len(window.data))
        return raw.decode(self._encoding, "replace")

    def whole_set(self, window: Window) -> tuple[bytes | None, bool]:
        """The set that begins here, and whether its trailer is there; None for one that is too large, which is passed over."""
        if (found := self._regular_set(window)) is not None:
            return found, True
        scan = window.at
        while (match := self._set_end.search(window.data, scan)) is None:
            seen = len(window.data) - window.at
            if seen > DOCUMENT_BYTES_MAX:
                self._pass_over(window)
                return None, False
            if not window.more():
                return self._rest(window), False
            scan = max(window.at, window.at + seen - _OVERLAP)
        if match[1].upper() != b"SE":
            return self._until(window, match.start() + len(self.terminator)), False
        begin = match.start(1) - window.at
        while (end := window.data.find(self.terminator, window.at + begin)) < 0:
            if len(window.data) - window.at - begin > SEGMENT_BYTES_MAX or not window.more():
                return self._rest(window).rstrip(), True
        raw = self._until(window, end + len(self.terminator))
        return (raw if len(raw) <= DOCUMENT_BYTES_MAX else None), True

    def _regular_set(self, window: Window) -> bytes | None:
        """The set that begins here, if SE comes before the next ST with the same end of line before it as the last time."""
        data, at = window.data, window.at
        if self._misses > _MISSES_MAX:
            return None
        for end in (self._end, *_LINE_ENDS):
            before = self.terminator + end
            se = data.find(before + self._se, at)
            if se < 0:
                continue
            st = data.find(before + self.set_begins, at, se)
            stop = data.find(self.terminator, se + len(before))
            if st >= 0 or stop < 0 or stop + len(self.terminator) - at > DOCUMENT_BYTES_MAX:
                return None
            self._end, self._misses = end, 0
            return self._until(window, stop + len(self.terminator))
        # Each look goes through all that is there: a source without any end of a set is not looked through for every set.
        self._misses += 1
        return None

    def _rest(self, window: Window) -> bytes:
        return self._until(window, len(window.data))

    def _until(self, window: Window, end: int) -> bytes:
        raw, window.at = window.data[window.at : end], end
        return raw

    def _pass_over(self, window: Window) -> None:
        while (match := self._set_end.search(window.data, window.at)) is None:
            window.drop(_OVERLAP)
            if not window.more():
                window.at = len(window.data)
                return
        if match[1].upper() != b"SE":
            window.at = match.start() + len(self.terminator)
        else:
            window.at = match.start(1)
            self.segment(window)

    def stray(self, window: Window) -> bytes:
        """What stands here before the next segment of an envelope, as far as it is kept; the window goes on to that."""
        return self._to(window, self._envelope, over=False)

    def interchange(self, window: Window) -> bytes:
        """The rest of the interchange, as far as it is kept; the window goes on behind its IEA."""
        return self._to(window, self._trailer, over=True)

    def _to(self, window: Window, pattern: re.Pattern[bytes], *, over: bool) -> bytes:
        kept = b""
        while (match := pattern.search(window.data, window.at)) is None:
            kept = kept or window.data[window.at : window.at + KEPT_BYTES_MAX]
            window.drop(_OVERLAP)
            if not window.more():
                window.at = len(window.data)
                return kept
        end = match.start() + len(self.terminator)
        kept = kept or window.data[window.at : min(end, window.at + KEPT_BYTES_MAX)]
        window.at = max(end, window.at + 1)
        if over:
            window.skip_blanks()
            self.segment(window)
        return kept


def offset_of(raw: bytes, terminator: bytes, position: int) -> int:
    """Where a segment of a set begins, in bytes from ST."""
    at = 0
    for _ in range(position - 1):
        found = raw.find(terminator, at)
        if found < 0 or found + len(terminator) >= len(raw):
            break
        at = found + len(terminator)
    while at < len(raw) and raw[at : at + 1].isspace():
        at += 1
    return at
