"""EDIFACT (ISO 9735, syntax versions 1 to 4): interchanges to documents and back.

    for item in read(blocks, format):       # Document (a message), Flaw, Interchange (its end: what is acknowledged)
    write(documents, format, numbers)       # UNA, UNB, messages, UNZ
    acknowledge(interchange, "contrl", envelope, numbers)

A document's data is UNH with its segments below it (edifact_messages), so that paths are `NAD[01=BY].02.1` or `LIN.QTY.01.2`.
Reading is tolerant and says in notes what it tolerated; docs/formats-edifact.md has the list. CONTRL messages are no documents:
they are the answers of their interchange.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

from interlock.connectors.formats.document import Flaw, FormatUnreadable, Item
from interlock.connectors.formats.edifact_contrl import acknowledge as acknowledge
from interlock.connectors.formats.edifact_contrl import answer_of
from interlock.connectors.formats.edifact_envelopes import Envelope, looks_wrapped, separators_of
from interlock.connectors.formats.edifact_feed import BLANKS, SEGMENT_BYTES_MAX, Feed, Piece, Service
from interlock.connectors.formats.edifact_messages import Around, MessageReader
from interlock.connectors.formats.edifact_syntax import (
    DEFAULT,
    UNA_BYTES,
    Separators,
    codec_named,
    is_like_ascii,
)
from interlock.connectors.formats.edifact_writer import write as write
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/EDIFACT"

_BEGINNING: Final = re.compile(rb"UNA[^a-zA-Z0-9\s]{2}|UN[BH][^a-zA-Z0-9\s]")
_INTERCHANGE: Final = re.compile(rb"UNA[^a-zA-Z0-9\s]{2}|UNB[^a-zA-Z0-9\s]")
_OTHERS: Final = {
    b"ISA": "X12",
    b"<": "XML",
    b"{": "JSON",
    b"[": "JSON",
    b"PK": "a zip file",
    b"\x1f\x8b": "a gzip file",
}
_ENVELOPE: Final = (b"UNG", b"UNE", b"UNZ", b"UNT")
_SHOWN_BYTES_MAX: Final = 60


def read(source: Iterable[bytes], format: Format) -> Iterator[Item]:
    """The messages of a file, and the end of each interchange. Raises FormatUnreadable where there is no interchange at all."""
    try:
        codec = codec_named(format.encoding)
        if codec and not is_like_ascii(codec):
            source, codec = _as_utf8(source, codec), "utf-8"
    except LookupError:
        raise FormatUnreadable(
            "bad_encoding", "encoding", format.encoding, "a level such as UNOC, or a codec"
        ) from None
    return _File(source, codec).items()


def _as_utf8(source: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Blocks in an encoding of another kind (EBCDIC, UTF-16) as UTF-8. Raises FormatUnreadable."""
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for block in source:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as wrong:
        raise FormatUnreadable("bad_encoding", "the input", str(wrong)[:80], f"text in {codec}") from None


class _File:
    """A file while it is read: any number of interchanges."""

    def __init__(self, source: Iterable[bytes], encoding: str) -> None:
        self._feed = Feed(source)
        self._encoding = encoding
        self._readers: dict[str, MessageReader] = {}
        self._notes: tuple[str, ...] = ()

    def items(self) -> Iterator[Item]:
        """Everything that is in it, in its order."""
        feed = self._feed
        self._begin()
        said: Separators | None = None
        while feed.skip_blanks():
            head = feed.peek(UNA_BYTES)
            if head.startswith(b"UNA") and _BEGINNING.match(head):
                advice = self._advice(head)
                if isinstance(advice, Flaw):
                    yield advice
                else:
                    said = advice
            elif head.startswith(b"UNB"):
                yield from self._interchange(said)
                said, self._notes = None, ()
            elif head.startswith(b"UNH"):
                yield from self._without_interchange(said)
                said = None
            elif said is not None:
                yield stray(feed, Service.of(said), "")
            else:
                yield from self._garbage()

    def _begin(self) -> None:
        """Go to the beginning of the first interchange."""
        feed, notes = self._feed, []
        if not feed.skip_blanks():
            raise FormatUnreadable("empty", "the input", "", "an interchange, which begins with UNA or UNB")
        if feed.peek(3) == b"\xef\xbb\xbf":
            feed.skip(3)
            feed.skip_blanks()
            notes.append("a byte order mark at the beginning")
        head = feed.peek(_SHOWN_BYTES_MAX)
        if _BEGINNING.match(head):
            self._notes = tuple(notes)
            return
        if head.startswith(b"STX="):
            expected = "EDIFACT, which begins with UNA or UNB: this is TRADACOMS, whose segments are written TAG=..."
            raise FormatUnreadable("tradacoms", "the first segment", _shown(head), expected)
        skipped = feed.find(_BEGINNING)
        if skipped < 0:
            other = next((name for mark, name in _OTHERS.items() if head.startswith(mark)), "")
            expected = "UNA or UNB, with which an interchange begins" + (f": this looks like {other}" if other else "")
            raise FormatUnreadable("no_interchange", "the first segment", _shown(head), expected)
        notes.append("something before the interchange was left out")
        self._notes = tuple(notes)

    def _advice(self, head: bytes) -> Separators | Flaw:
        """UNA: the separators of what follows."""
        feed = self._feed
        try:
            said = Separators.of_una(head.decode("iso8859-1"))
        except ValueError as wrong:
            problem = FormatUnreadable("wrong_separators", "UNA", _shown(head), str(wrong))
            if feed.byte == 0 or self._notes:
                raise problem from None
            feed.skip(UNA_BYTES)
            return Flaw(f"byte {feed.byte}", problem.reason, problem.field, problem.value, problem.expected, head)
        feed.skip(UNA_BYTES)
        return said

    def _reader(self, marks: Separators) -> MessageReader:
        key = marks.una()
        if key not in self._readers:
            self._readers[key] = MessageReader(marks, self._encoding)
        return self._readers[key]

    def _interchange(self, said: Separators | None) -> Iterator[Item]:
        """From UNB, where we are, to UNZ."""
        feed = self._feed
        notes = list(self._notes)
        try:
            marks, note = separators_of(feed.peek(1024), said)
        except FormatUnreadable as wrong:
            if not self._readers:
                raise
            yield Flaw(f"byte {feed.byte}", wrong.reason, wrong.field, wrong.value, wrong.expected, feed.peek(100))
            feed.skip(3)
            feed.find(_INTERCHANGE)
            return
        if note:
            notes.append(note)
        if looks_wrapped(feed.peek(2048), marks):
            feed.unwrap()
            notes.append("line ends inside of segments were left out")
        terminator, release = marks.terminator.encode(), marks.release.encode()
        piece = feed.segment(terminator, release)
        if not piece.whole:
            expected = f"a segment that ends with {marks.terminator!r}"
            if not self._readers:
                raise FormatUnreadable("truncated", "UNB", _shown(piece.raw), expected)
            yield Flaw(f"byte {feed.byte}", "truncated", "UNB", _shown(piece.raw), expected, piece.raw)
            feed.find(_INTERCHANGE)
            return
        envelope = Envelope(marks, piece.raw, notes)
        yield from _Body(feed, envelope, self._reader(envelope.marks)).items()

    def _without_interchange(self, said: Separators | None) -> Iterator[Item]:
        """Messages that no UNB precedes."""
        feed = self._feed
        marks = said or DEFAULT
        head = feed.peek(4)
        if head[3:] != marks.element.encode():
            yield Flaw(
                f"byte {feed.byte}",
                "wrong_separators",
                "UNH",
                _shown(head),
                f"UNH{marks.element}, as {'UNA says' if said else 'there is neither UNA nor UNB'}",
                feed.peek(100),
            )
            feed.skip(3)
            yield from self._garbage()
            return
        around = Around("", feed.byte, "", {}, (*self._notes, "no interchange around the message: UNB is missing"))
        reader = self._reader(marks)
        terminator, release = marks.terminator.encode(), marks.release.encode()
        service = Service.of(marks)
        while feed.skip_blanks() and feed.peek(4) == b"UNH" + marks.element.encode():
            start = feed.byte
            piece = feed.message(service, terminator, release)
            if piece.whole:
                yield reader.read(piece.raw, around._replace(byte=start)).item
            else:
                yield unfinished(piece, "", start)
        while feed.skip_blanks() and not _BEGINNING.match(feed.peek(UNA_BYTES)):
            yield stray(feed, service, "")

    def _garbage(self) -> Iterator[Item]:
        """What is no interchange, up to the next one."""
        feed = self._feed
        start, head = feed.byte, feed.peek(_SHOWN_BYTES_MAX)
        if _BEGINNING.match(head):
            return
        feed.find(_BEGINNING)
        expected = "UNA or UNB, with which an interchange begins"
        yield Flaw(f"byte {start}", "no_interchange", "what follows the interchange", _shown(head), expected, head)


class _Body:
    """An interchange while it is read, after its UNB."""

    def __init__(self, feed: Feed, envelope: Envelope, reader: MessageReader) -> None:
        self._feed = feed
        self._envelope = envelope
        self._reader = reader
        marks = envelope.marks
        self._terminator, self._release = marks.terminator.encode(), marks.release.encode()
        self._message = b"UNH" + marks.element.encode()
        self._ends = tuple(tag + end for tag in _ENVELOPE for end in (marks.element.encode(), self._terminator))
        self._service = Service.of(marks)

    def items(self) -> Iterator[Item]:
        """Everything up to UNZ, or to what shows that there is none."""
        feed, envelope = self._feed, self._envelope
        after_large = False
        while feed.skip_blanks():
            head = feed.peek(UNA_BYTES)
            start = feed.byte
            if head.startswith(self._message):
                piece = feed.message(self._service, self._terminator, self._release)
                yield from self._read(piece, start)
                after_large = piece.large
                continue
            if _BEGINNING.match(head):
                if not (head.startswith(b"UNB") and envelope.is_empty()):
                    break
                envelope.header_again(feed.segment(self._terminator, self._release).raw)
                continue
            if not head.startswith(self._ends):
                yield stray(feed, self._service, envelope.place)
                continue
            piece = feed.segment(self._terminator, self._release)
            if piece.large:
                feed.skip(len(piece.raw))
            elements = envelope.elements(piece.raw)
            tag = elements[0]
            if tag == "UNZ":
                yield from envelope.end(elements, start)
                yield envelope.interchange()
                return
            if tag == "UNG":
                envelope.begin_group(elements)
            elif tag == "UNE":
                yield from envelope.end_group(elements, start)
            elif not after_large:
                yield outside(piece, envelope.place, start)
            after_large = False
        yield envelope.truncated(feed.byte)
        yield envelope.interchange()

    def _read(self, piece: Piece, start: int) -> Iterator[Item]:
        envelope = self._envelope
        if not piece.whole:
            flaw = unfinished(piece, envelope.place, start)
            envelope.add_unfinished(piece.raw, flaw)
            yield flaw
            return
        done = self._reader.read(piece.raw, envelope.around(start))
        envelope.add(done.result)
        if isinstance(done.item, Flaw):
            yield done.item
        elif done.result.kind == "CONTRL":
            envelope.answers += answer_of(done.item.data)
        else:
            note = envelope.note_of(done.result)
            yield done.item._replace(notes=(*done.item.notes, note)) if note else done.item


def unfinished(piece: Piece, place: str, start: int) -> Flaw:
    """The flaw in the place of a message that does not end, or of one that is too large."""
    where = f"{place}, byte {start}" if place else f"byte {start}"
    kept = piece.raw[:SEGMENT_BYTES_MAX]
    if piece.large:
        return Flaw(where, "too_large", "UNH", _shown(piece.raw), "a message of at most 16 MiB", kept)
    expected = "the segment UNT, with which a message ends"
    return Flaw(where, "truncated", "UNT", _shown(piece.raw[-_SHOWN_BYTES_MAX:]), expected, kept)


def stray(feed: Feed, service: Service, place: str) -> Flaw:
    """The flaw for what stands where a message should begin, up to the next service segment."""
    start = feed.byte
    return outside(feed.stray(service), place, start)


def outside(piece: Piece, place: str, start: int) -> Flaw:
    """The flaw for segments between messages."""
    where = f"{place}, byte {start}" if place else f"byte {start}"
    expected = "UNH, with which a message begins" if piece.whole else "a segment that ends as the others do"
    reason = "segment_outside" if piece.whole else "truncated"
    return Flaw(where, reason, _tag(piece.raw), _shown(piece.raw), expected, piece.raw[:SEGMENT_BYTES_MAX])


def _tag(raw: bytes) -> str:
    tag = raw[:3].decode("ascii", "replace")
    return tag if tag.isalnum() else "a segment"


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN_BYTES_MAX].strip(BLANKS).decode("iso8859-1")
