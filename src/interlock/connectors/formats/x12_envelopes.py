"""X12 envelopes: interchanges, groups and sets in a stream of bytes, each with what is wrong with it.

    ISA … (TA1 …) GS … ST … SE  ST … SE … GE  GS … GE  IEA      ISA … IEA

A set is whole or refused; its neighbours go on. What is wrong with an envelope is told after the sets in it have been given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Answer,
    Document,
    Flaw,
    FormatUnreadable,
    GroupResult,
    Interchange,
    Item,
    SetResult,
)
from interlock.connectors.formats.x12_answers import answers_of_set, answers_of_ta1
from interlock.connectors.formats.x12_bytes import Window
from interlock.connectors.formats.x12_cuts import Cuts, offset_of
from interlock.connectors.formats.x12_group import OLDEST, READ_AS, Group, told
from interlock.connectors.formats.x12_head import Head, Separators, first, head, head_text
from interlock.connectors.formats.x12_set import NOT_SUPPORTED, NOT_UNIQUE, SetRead, read_set, same_number
from interlock.connectors.formats.x12_sets import ACKNOWLEDGMENTS, GROUPS
from interlock.connectors.formats.x12_tree import Seen, Wrong
from interlock.domain.links import Format

_HEAD_BYTES: Final = 1400
_OVERLAP: Final = 20
_CONTROLS_MAX: Final = 100_000
_ERRORS_MAX: Final = 20
_HEADLESS_MAX: Final = 100


class Reading:
    """One source, read through."""

    def __init__(self, source: Iterable[bytes], form: Format) -> None:
        self.window = Window(source, form.encoding)
        self.encoding = form.encoding
        self.seps: Separators | None = None
        self.group: Group | None = None
        self.groups: list[GroupResult] = []
        self.answers: list[Answer] = []
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.seen: set[tuple[tuple[str, str], str]] = set()
        self.context: dict[str, Any] = {}
        self.isa: list[str] = []
        self.read_any = False
        self.headless = 0

    def items(self) -> Iterator[Item]:
        """Everything in it. Raises FormatUnreadable if there is nothing of X12 in it."""
        while self.window.skip_blanks():
            if self.seps is None:
                yield from self._opened()
            else:
                yield from self._next()
        if self.seps is not None:
            yield from self._cut()
        elif not self.read_any:
            raise FormatUnreadable("no_interchange", "the file", "", "an X12 interchange: there is nothing in it")

    # Interchanges

    def _opened(self) -> Iterator[Item]:
        window = self.window
        sample, began = window.ahead(_HEAD_BYTES)[:200], window.base + window.at
        while (at := first(window.data, window.at)) < 0:
            window.drop(_OVERLAP)
            if not window.more():
                break
        if at < 0:
            window.at = len(window.data)
            yield from self._garbage(sample)
            return
        if window.base + at > began and sample[: window.base + at - began].strip(b"\xef\xbb\xbf"):
            self.notes.append("something stands before the interchange")
        window.at = at
        yield from self._begin()

    def _garbage(self, sample: bytes) -> Iterator[Item]:
        text = sample.decode("latin-1")[:80]
        expected = "an X12 interchange: ISA and 16 elements"
        if not self.read_any:
            raise FormatUnreadable("no_interchange", "the file", text, expected)
        yield Flaw(self._byte(), "no_interchange", "", text, f"{expected}, or the end of the file", sample)

    def _begin(self) -> Iterator[Item]:
        window = self.window
        raw = window.ahead(_HEAD_BYTES)
        self.encoding_now, text = head_text(raw, self.encoding)
        found = head(text)
        if found is not None and found.wrapped and found.separators.segment not in "\r\n":
            self.notes.append(f"lines of {found.wrapped} characters are read as one")
            window.unwrap()
            self.encoding_now, text = head_text(window.ahead(_HEAD_BYTES), self.encoding)
            found = head(text)
        if found is None:
            yield from self._headless(raw)
            return
        self.read_any = True
        self._use(found)
        window.at += len(text[: found.length].encode(self.encoding_now))
        if found.fault is not None:
            yield from self._refused(found)

    def _headless(self, raw: bytes) -> Iterator[Item]:
        sample = raw[:160].decode("latin-1")
        expected = "ISA with 16 elements, the component separator and the segment terminator"
        self.headless += 1
        alone = not self.read_any and self.window.ended and first(self.window.data, self.window.at + 3) < 0
        if alone or self.headless > _HEADLESS_MAX:
            raise FormatUnreadable("bad_envelope", "ISA", sample, expected)
        self.read_any = True
        yield Flaw(self._byte(), "bad_envelope", "ISA", sample, expected, raw[:160])
        self.window.at += 3

    def _use(self, found: Head) -> None:
        self.seps = found.separators
        self.isa = [each.strip() for each in found.isa]
        self.told = f"interchange {self.isa[13]}" if self.isa else "interchange -"
        self.notes += [*self.window.notes, *found.notes]
        self.window.notes = []
        self.group, self.groups, self.answers, self.errors = None, [], [], []
        self.cuts = Cuts(self.seps, self.encoding_now)
        self.seen_segments: Seen = {}
        fixed = any(not each.isascii() for each in self.seps)
        self.only = self.encoding_now if fixed or self.encoding else ""
        isa = self.isa
        if not isa:
            self.context = {"interchange": {}}
            return
        self.context = {"interchange": told(isa)}
        known = ((isa[5], isa[6]), isa[13])
        if known in self.seen:
            self._error(f"025: ISA13 {isa[13]} was there before in this file")
        if len(self.seen) < _CONTROLS_MAX:
            self.seen.add(known)

    def _refused(self, found: Head) -> Iterator[Item]:
        """An interchange whose head cannot be trusted: nothing in it is taken."""
        assert found.fault is not None and self.seps is not None
        field, value, expected = found.fault
        start = self.window.base + self.window.at
        self._error(f"022: {field} {value!r} is not {expected}")
        kept = self.cuts.interchange(self.window)
        yield Flaw(f"interchange {self.isa[13]} at byte {start}", "bad_envelope", field, value, expected, kept)
        yield from self._done()

    def _done(self) -> Iterator[Item]:
        """The end of the interchange, however it came."""
        if self.seps is None:
            return
        if self.isa:
            isa = self.isa
            yield Interchange(
                standard="x12",
                control=isa[13],
                sender=(isa[5], isa[6]),
                receiver=(isa[7], isa[8]),
                version=isa[12],
                test=isa[15] == "T",
                groups=tuple(self.groups),
                answers=tuple(self.answers),
                separators=self.seps.told(),
                errors=tuple(self.errors),
                dated=f"{isa[9]} {isa[10]}",
            )
        elif self.answers:
            yield Interchange(
                standard="x12",
                control="",
                sender=("", ""),
                receiver=("", ""),
                version="",
                test=False,
                groups=tuple(self.groups),
                answers=tuple(self.answers),
                separators=self.seps.told(),
            )
        self.seps = None

    def _cut(self) -> Iterator[Item]:
        """The source ends, or another interchange begins, before this one has come to its end."""
        yield from self._left(None)
        if self.isa:
            self._error("023: IEA is missing")
            control = self.isa[13]
            expected = f"IEA*{len(self.groups)}*{control}: the interchange ends before it"
            yield Flaw(self._place("end"), "truncated", "IEA", "", expected)
        yield from self._done()

    def _error(self, text: str) -> None:
        if len(self.errors) < _ERRORS_MAX:
            self.errors.append(text)

    # Inside of an interchange

    def _next(self) -> Iterator[Item]:
        window = self.window
        tag = self.cuts.tag(window)
        if tag == "ST":
            yield from self._sets()
            return
        if tag == "ISA" or (tag == "GS" and not self.isa and self.group is None and self.groups):
            yield from self._cut()
            return
        if tag not in ("GS", "GE", "IEA", "TA1", "ISB", "ISE", "TA3"):
            yield from self._stray()
            return
        start, element = window.base + window.at, self.seps.element if self.seps else ""
        elements = [each.strip() for each in self.cuts.segment(window).split(element)]
        elements += [""] * (17 - len(elements))
        match tag:
            case "GS":
                yield from self._group(elements)
            case "GE":
                yield from self._left(elements)
            case "IEA":
                yield from self._ended(elements, start)
            case "TA1":
                self.answers += answers_of_ta1(elements)

    def _group(self, gs: list[str]) -> Iterator[Item]:
        yield from self._left(None)
        group = self.group = Group(gs[1], gs[6], gs[8], gs[2], gs[3])
        if not group.refused and not group.known:
            self.notes.append(f"version {group.release or 'unknown'} is read as {READ_AS}")

    def _left(self, ge: list[str] | None) -> Iterator[Item]:
        """The end of a group: its GE, or nothing where there is none."""
        group = self.group
        if group is None:
            if ge is not None:
                yield Flaw(
                    self._place("GE"), "stray_segment", "GE", "*".join(ge[:3]), "the end of a group that GS began"
                )
            return
        wrong = group.ended(ge)
        if wrong is not None:
            reason, field, value, expected = wrong
            yield Flaw(self._place("GE"), reason, field, value[:200], expected)
        self.groups.append(group.result())
        self.group = None

    def _ended(self, iea: list[str], start: int) -> Iterator[Item]:
        yield from self._left(None)
        if self.isa:
            problem: tuple[str, str, str, str] | None = None
            if not same_number(iea[2], self.isa[13]):
                problem = ("001", "IEA02", iea[2], f"{self.isa[13]}, as in ISA13")
            elif not same_number(iea[1], str(len(self.groups))) and not (self.answers and not self.groups):
                problem = ("021", "IEA01", iea[1], f"{len(self.groups)}, the number of its groups")
            if problem is not None:
                code, field, value, expected = problem
                self._error(f"{code}: {field} {value} is not {expected}")
                reason = "control_count" if code == "021" else "control_number"
                place = f"interchange {self.isa[13]}, IEA at byte {start}"
                yield Flaw(place, reason, field, value[:200], expected)
        yield from self._done()

    def _stray(self) -> Iterator[Item]:
        """What is no envelope and in no set."""
        place, kept = self._place("segment"), self.cuts.stray(self.window)
        sample = kept[:80].decode(self.encoding_now, "replace")
        yield Flaw(place, "stray_segment", "", sample, "a segment of an envelope, or in a set that ST began", kept)

    # Sets

    def _sets(self) -> Iterator[Item]:
        """The sets that follow one another here."""
        window, cuts = self.window, self.cuts
        while True:
            start = window.base + window.at
            raw, closed = cuts.whole_set(window)
            if raw is None:
                expected = f"a set of at most {DOCUMENT_BYTES_MAX} bytes"
                yield Flaw(self._place("set", start), "too_large", "ST", "", expected, b"")
            else:
                item = self._set(raw, start, closed)
                if item is not None:
                    yield item
            # Seldom anything but the next set follows, with or without an end of line before it.
            window.skip_ends()
            if not window.data.startswith(cuts.set_begins, window.at):
                return

    def _set(self, raw: bytes, start: int, closed: bool) -> Item | None:
        """What a set comes to; None for an acknowledgment, which is kept among the answers."""
        assert self.seps is not None
        terminator = self.cuts.terminator
        body = raw[: -len(terminator)] if raw.endswith(terminator) else raw
        if self.group is None:
            self.group = Group()
            if self.isa:
                self.notes.append("a set stands outside of any group")
        group = self.group
        read = read_set(self._decode(body), self.seps, group.release, self.seen_segments)
        wrongs, notes, refused = read.wrongs, read.notes, read.refused
        if read.control in group.controls:
            expected = "a control number that no other set of the group has"
            wrongs.append(Wrong("ST", 1, 0, NOT_UNIQUE, read.control, expected, False))
            notes.append(f"ST02 is not {expected}")
        group.controls.add(read.control)
        if group.refused:
            refused = Wrong("ST", 1, 0, NOT_SUPPORTED, group.version, f"version {OLDEST} or later", True)
            wrongs = [refused]
        errors = (
            tuple((each.tag, each.position, each.element, each.code, each.value) for each in wrongs) if wrongs else ()
        )
        group.results.append(SetResult(kind=read.kind, control=read.control, accepted=refused is None, errors=errors))
        if refused is not None:
            return self._flawed(read, refused, raw, start, closed)
        if read.kind in ACKNOWLEDGMENTS:
            self.answers += answers_of_set(read.node)
            return None
        expected_code = GROUPS.get(read.kind)
        if group.code != expected_code and group.code and expected_code:
            notes.append(f"{read.kind} is in a group {group.code}, not {expected_code}")
        if self.notes:
            notes, self.notes = [*self.notes, *notes], []
        context = {**self.context, "group": group.context, "set": {"code": read.kind, "control": read.control}}
        place = f"{self.told}, group {group.control or '-'}, set {read.control}"
        return Document(read.kind, place, read.node, raw, context, tuple(dict.fromkeys(notes)) if notes else ())

    def _flawed(self, read: SetRead, refused: Wrong, raw: bytes, start: int, closed: bool) -> Flaw:
        field = f"{refused.tag}{refused.element:02}" if refused.element else refused.tag
        others = sum(each.fatal for each in read.wrongs) - 1
        expected = refused.expected + (f" (and {others} more)" if others > 0 else "")
        offset = start + offset_of(raw, self.cuts.terminator, refused.position)
        place = (
            f"{self._place('set', None)} {read.control}, segment {refused.position} ({refused.tag}) at byte {offset}"
        )
        reason = "syntax" if closed else "truncated"
        if self.group is not None and self.group.refused:
            reason = "version"
        elif refused.tag == "SE" and closed:
            reason = "control_number" if refused.code == "3" else "control_count"
        return Flaw(place, reason, field, refused.value, expected, raw, read.kind)

    def _decode(self, raw: bytes) -> str:
        if raw.isascii():
            return raw.decode("ascii")
        if self.only:
            return raw.decode(self.only, "replace")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    # Places

    def _byte(self) -> str:
        return f"byte {self.window.base + self.window.at}"

    def _place(self, what: str, start: int | None = -1) -> str:
        parts = [f"interchange {self.isa[13]}"] if self.isa else []
        if self.group is not None and self.group.control:
            parts.append(f"group {self.group.control}")
        at = "" if start is None else f" at byte {start}" if start >= 0 else f" at {self._byte()}"
        return ", ".join([*parts, what]) + at
