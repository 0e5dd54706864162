"""A message of an interchange: its segments as a tree, and whether it is what its trailer and the standard say.

The tree's root is UNH; below it, by tag, are the segments that belong to the message itself, and below those what belongs to
them (edifact_groups). The trailer UNT is checked and left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from interlock.connectors.formats.document import Document, Element, Flaw, Node, SetResult
from interlock.connectors.formats.edifact_groups import BEGIN_WITH_BGM, EXPECTED, MANDATORY, Move, State, start
from interlock.connectors.formats.edifact_segments import KNOWN, TOO_MANY, Checker, Finding
from interlock.connectors.formats.edifact_syntax import CHARACTER_SETS, CONTROLS, BadEncoding, Cut, Separators, decoded

SEGMENTS_KEPT_MAX: Final = 4_000
SEGMENT_KEPT_CHARACTERS_MAX: Final = 96
FRESH_KEPT_MAX: Final = 1_000
"""Of a message with more segments that were not seen before, none is kept: it would cost more than it saves."""
NOTES_MAX: Final = 20
FINDINGS_MAX: Final = 100
FLAW_BYTES_MAX: Final = 64 * 1024
VALUE_CHARACTERS_MAX: Final = 80
DEPTH_MAX: Final = 12

_TAG: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_REASONS: Final = {
    "12": "bad_value",
    "13": "missing_element",
    "15": "unknown_segment",
    "21": "bad_character",
    "28": "wrong_reference",
    "29": "wrong_count",
    "37": "bad_value",
    "39": "too_long",
}


Extra = dict[str, tuple[list[Element], list[list[Element]]]]
"""Segments of which an element is repeated: their elements, and those of the segments that the repetitions become."""


class _NotPlain(Exception):
    """A text holds more between its terminators than segments."""


class Around(NamedTuple):
    """What a message stands in: where (for people), from which byte, the interchange's level, what documents are told of it."""

    place: str
    byte: int
    level: str
    context: dict[str, Any]
    notes: tuple[str, ...] = ()


class Header(NamedTuple):
    """What UNH says: the message's reference and identifier."""

    reference: str
    kind: str
    version: str
    release: str
    agency: str
    association: str

    @classmethod
    def of(cls, elements: list[Element]) -> Header:
        """From the elements of UNH."""
        second = elements[2] if len(elements) > 2 else ""
        parts = [each.strip() for each in ([second] if isinstance(second, str) else second[:5])]
        return cls(component(elements, 1, 1).strip(), *parts, *[""] * (5 - len(parts)))

    def identifier(self) -> str:
        """Version, release, agency and association, as S009 has them after the type."""
        return ":".join([self.version, self.release, self.agency, self.association]).rstrip(":")


class Read(NamedTuple):
    """What became of a message."""

    item: Document | Flaw
    result: SetResult


class _Flat(State):
    """The state of a message that is read flat: every segment belongs to the message itself."""

    def __missing__(self, tag: str) -> Move:
        if not _TAG.fullmatch(tag[:3]) or tag[3:].isalnum():
            raise KeyError(tag)
        self[tag] = move = Move(0, self, opens=False, tag=tag[:3])
        return move


class _Moves(dict[str, tuple[int, Any, bool, str, Node]]):
    """What segments of known texts do in a state: as Move says it, with the moves of the state after it, and the segment."""

    __slots__ = ("state",)

    def __init__(self, state: State) -> None:
        self.state = state


class MessageReader:
    """Reads the messages of interchanges with the same separators."""

    def __init__(self, separators: Separators, encoding: str = "") -> None:
        self._marks = separators
        self._encoding = encoding
        self._check = Checker(separators)
        self._kept: dict[str, Node] = {}
        """Segments that were right before: the same text is the same segment wherever it stands, and nobody may change it."""
        self._moves: dict[int, _Moves] = {}
        allowed = re.escape(separators.special + "\r\n\t")
        self._control = re.compile(f"(?![{allowed}])[{CONTROLS}]").search
        self._foreign = {
            level: re.compile(f"(?![{allowed}]){known.foreign.pattern}").search
            for level, known in CHARACTER_SETS.items()
            if known.foreign is not None and known.codec == "ascii"
        }
        end = separators.terminator
        self._flat = _Flat()
        self._trailing = (separators.component + end, separators.element + end)

    def read(self, raw: bytes, around: Around) -> Read:
        """Read the bytes from UNH to the end of UNT."""
        try:
            text, codec, note = decoded(raw, around.level, self._encoding)
        except BadEncoding as wrong:
            text = raw.decode("iso8859-1")
            reading = Reading(raw, text, "iso8859-1", around)
            reading.header = Header.of(self.elements(self._marks.cut(text[:500]).segments[0]))
            value = f"0x{wrong.byte:02x}"
            reading.fatal("bad_encoding", 1, Finding("UNH", 0, 0, "21", value, wrong.expected, True), at=wrong.at)
            return reading.outcome(None)
        reading = Reading(raw, text, codec, around)
        if note:
            reading.notes.append(note)
        cut = self._marks.cut(text)
        try:
            root = self._read(cut, reading, note)
        except _NotPlain:
            cut = self._marks.cut(text, plain=False)
            root = self._read(cut, reading, note)
        return reading.outcome(root)

    def _read(self, cut: Cut, reading: Reading, note: str) -> Node:
        segments = reading.segments = cut.segments
        reading.fresh = ""
        header = self._marks.elements(segments[0])
        reading.header = Header.of(header)
        extra = self._look_closely(cut, reading)
        root = self._tree(segments, header, extra, reading)
        if cut.wrapped:
            reading.notes.append("line ends inside of segments were left out")
        self._characters(cut.text or reading.text, reading, note)
        self._complete(segments, reading, root)
        return root

    def elements(self, segment: str) -> list[Element]:
        """The elements of a segment."""
        elements = self._marks.elements(segment)
        elements[0] = _tag_of(elements)
        if "," in segment or self._marks.decimal == ",":
            self._check(str(elements[0]), elements)
        return elements

    def _node(self, segment: str) -> Node:
        """The segment with nothing below it, cut when it is first asked for its elements."""
        node = Node.__new__(Node)
        node.text = segment
        node.cut = self.elements
        node.children = None
        return node

    def _characters(self, text: str, reading: Reading, note: str) -> None:
        """Characters that do not belong into an interchange, or not into one of its level."""
        # What was right before has none, and does not end with separators.
        fresh = reading.fresh or text
        found = None if fresh.isprintable() else self._control(text)
        if found is not None:
            value = f"0x{ord(found[0]):02x}"
            finding = Finding("UNH", 0, 0, "21", value, "a character that can be printed", True)
            reading.fatal("bad_character", 1, finding, at=max(0, reading.text.find(found[0])))
        elif not note and not self._encoding:
            foreign = self._foreign.get(reading.around.level)
            if foreign is not None and (found := foreign(text)) is not None:
                reading.notes.append(f"the character {found[0]!r} is outside of {reading.around.level}")
        component, element = self._trailing
        if (component in fresh or element in fresh) and self._ends_with_separators(reading.segments):
            reading.notes.append("separators at the end of a segment")

    def _ends_with_separators(self, segments: list[str]) -> bool:
        marks = self._marks
        ends = (marks.component, marks.element)
        return any(each.endswith(ends) and not (marks.release and marks.release in each) for each in segments)

    def _look_closely(self, cut: Cut, reading: Reading) -> Extra:
        """Check the segments; the further repetitions of elements, by the segment, as segments of their own."""
        marks = self._marks
        places = self._doubtful(cut, reading) if cut.text else range(1, len(cut.segments) - 1)
        extra: Extra = {}
        for place in places:
            segment = cut.segments[place]
            elements = marks.elements(segment)
            tag = _tag_of(elements)
            if marks.repetition and marks.repetition in segment:
                elements, more = marks.repetitions(segment)
                extra[segment] = (elements, more)
                reading.found([finding for each in more for finding in self._check(tag, each)], place + 1)
            reading.found(self._check(tag, elements), place + 1)
            released = marks.needlessly_released(segment)
            if released:
                reading.notes.append(f"a release character before {released[1:]!r}, which needs none")
        return extra

    def _doubtful(self, cut: Cut, reading: Reading) -> Sequence[int]:
        """Which segments must be looked at closely: none that were right before. Those that are right now are kept."""
        kept, end = self._kept, self._marks.terminator
        fresh = [segment for segment in cut.segments[1:] if segment not in kept]
        text = f"{end}{end.join(fresh)}{end}"
        reading.fresh = cut.segments[0] + text
        doubts = [place - 1 for place in self._check.doubtful(text)]
        places: list[int] = []
        if doubts:
            at = [place for place, segment in enumerate(cut.segments) if place and segment not in kept]
            places = [at[doubt] for doubt in doubts]
            doubted = {fresh[doubt] for doubt in doubts}
            fresh = [segment for segment in fresh if segment not in doubted]
        component, element = self._trailing
        if len(fresh) <= FRESH_KEPT_MAX and "".join(fresh).isprintable() and not (component in text or element in text):
            if len(kept) > SEGMENTS_KEPT_MAX:
                kept.clear()
                self._moves = {}
            for segment in fresh[:-1]:  # not the trailer
                if len(segment) <= SEGMENT_KEPT_CHARACTERS_MAX:
                    kept[segment] = self._node(segment)
        return places

    def _tree(self, segments: list[str], header: list[Element], extra: Extra, reading: Reading) -> Node:
        """The segments between UNH and UNT below the root. Raises _NotPlain where one begins with a blank, or is empty."""
        new = Node.__new__
        top: dict[str, list[Node]] = {}
        root = Node(header, top)
        open_at: list[dict[str, list[Node]]] = [top] * DEPTH_MAX
        moves = self._moves_in(start(reading.header.kind, self._marks.element) or self._flat)
        level = 0
        for place, segment in enumerate(segments[1:-1], start=2):
            try:
                moved, moves, opens, tag, node = moves[segment]
            except KeyError:
                try:
                    move: Move | None = moves.state[segment[:4]]
                except KeyError:
                    move = self._unusual(segment, moves.state, place, reading)
                if move is None:
                    # It stays with what it stands beside.
                    node = Node(self.elements(segment))
                    open_at[level].setdefault(_tag_of(node.elements), []).append(node)
                    continue
                moved, state, opens, tag = move
                before, moves = moves, self._moves_in(state)
                known = self._kept.get(segment)
                if known is not None:
                    before[segment] = moved, moves, opens, tag, known
                node = known or self._node(segment)
            level = moved
            children = open_at[level]
            if opens:
                # A node of its own: what is below it differs.
                level += 1
                elements, node = node.elements, new(Node)
                node.elements = elements
                open_at[level] = node.children = {}
            if extra and segment in extra:
                elements, more = extra[segment]
                node = Node(elements, node.children)
                children.setdefault(tag, []).extend([node, *map(Node, more)])
            elif tag in children:
                children[tag].append(node)
            else:
                children[tag] = [node]
        return root

    def _moves_in(self, state: State) -> _Moves:
        """What is known of the state. States live as long as the reader does."""
        moves = self._moves.get(id(state))
        if moves is None:
            moves = self._moves[id(state)] = _Moves(state)
        return moves

    def _unusual(self, segment: str, state: State, place: int, reading: Reading) -> Move | None:
        """Where a segment goes whose tag is not followed by a separator; None for one that the message does not know."""
        if not segment.strip() or segment[0].isspace():
            raise _NotPlain
        tag = _tag_of(self._marks.elements(segment))
        if len(tag) == 3:
            try:
                return state[tag + self._marks.element]
            except KeyError:
                pass
        reading.unknown(tag, place)
        return None

    def _complete(self, segments: list[str], reading: Reading, root: Node) -> None:
        """The trailer says how many segments there are and repeats the reference; some segments must be there."""
        header, place = reading.header, len(segments)
        trailer = self._marks.elements(segments[-1])
        stated, reference = component(trailer, 1, 1).strip(), component(trailer, 2, 1).strip()
        if not header.kind:
            finding = Finding("UNH", 2, 1, "13", "", "the type of the message", True)
            reading.fatal("missing_element", 1, finding)
        if not stated.isdecimal() or int(stated[:10]) != place:
            finding = Finding("UNT", 1, 0, "29", stated, f"{place}, the segments from UNH to UNT", True)
            reading.fatal("wrong_count", place, finding)
        if reference != header.reference:
            if reference.lstrip("0") == header.reference.lstrip("0"):
                reading.notes.append("UNT.02 and UNH.01 differ in leading zeros")
            else:
                finding = Finding("UNT", 2, 0, "28", reference, f"{header.reference!r}, the reference in UNH", True)
                reading.fatal("wrong_reference", place, finding)
        children = root.children or {}
        needed = MANDATORY.get(header.kind) or (("BGM",) if header.kind in BEGIN_WITH_BGM else ())
        for tag in needed:
            if tag not in children:
                second = segments[1][:3] if place > 1 else ""
                value = second if tag == "BGM" else ""
                finding = Finding(tag, 0, 0, "13", value, f"the segment {tag}, which every {header.kind} has", True)
                reading.fatal("missing_segment", min(2, place), finding)
        for tag in EXPECTED.get(header.kind, ()):
            if tag not in children:
                reading.notes.append(f"{tag} is missing")
        if "BGM" in needed and "BGM" in children and not segments[1].startswith("BGM"):
            reading.notes.append("BGM is not the second segment")


class Reading:
    """One message while it is read: what was found in it so far."""

    def __init__(self, raw: bytes, text: str, codec: str, around: Around) -> None:
        self.raw = raw
        self.text = text
        self.codec = codec
        self.around = around
        self.header = Header("", "", "", "", "", "")
        self.segments: list[str] = []
        self.fresh = ""
        """The text of UNH and of the segments that were not right in a message before; "" where that was not asked."""
        self.notes = list(around.notes)
        self.errors: list[tuple[str, int, int, str, str]] = []
        self.first: tuple[str, int, Finding, int | None] | None = None

    def fatal(self, reason: str, place: int, finding: Finding, at: int | None = None) -> None:
        """Something for which the message is refused; `at` is its character, where that is known better than by its segment."""
        if self.first is None or place < self.first[1]:
            self.first = (reason, place, finding, at)
        if len(self.errors) < FINDINGS_MAX:
            found = finding.found[:VALUE_CHARACTERS_MAX]
            self.errors.append((finding.tag, place, finding.element, finding.code, found))

    def found(self, findings: list[Finding], place: int) -> None:
        """What a check of a segment found."""
        for finding in findings:
            if finding.fatal:
                self.fatal(_REASONS[finding.code], place, finding)
            elif len(self.notes) < FINDINGS_MAX:
                more = "has more than" if finding.code == TOO_MANY else "is not"
                self.notes.append(f"{finding.field()} {more} {finding.expected}")

    def unknown(self, tag: str, place: int) -> None:
        """A segment that the message's table does not know."""
        kind = self.header.kind
        if tag in KNOWN:
            self.notes.append(f"{tag} is no segment of {kind}")
            return
        if not any(error[1] == place for error in self.errors):
            finding = Finding(tag[:3], 0, 0, "15", tag[:VALUE_CHARACTERS_MAX], "a segment of the directory", True)
            self.fatal("unknown_segment", place, finding)

    def outcome(self, root: Node | None) -> Read:
        """The document, or the flaw in its place."""
        header, around = self.header, self.around
        result = SetResult(
            kind=header.kind,
            control=header.reference,
            version=header.identifier(),
            accepted=self.first is None,
            errors=tuple(self.errors),
        )
        place = f"{around.place}, message {header.reference}" if around.place else f"message {header.reference}"
        if self.first is None:
            message = {
                "type": header.kind,
                "version": header.version,
                "release": header.release,
                "agency": header.agency,
                "association": header.association,
                "control": header.reference,
            }
            notes = tuple(dict.fromkeys(self.notes))[:NOTES_MAX] if self.notes else ()
            return Read(
                Document(header.kind, place, root, self.raw, {**around.context, "message": message}, notes), result
            )
        reason, number, finding, at = self.first
        if at is None:
            at = self._character(number)
        byte = around.byte + len(self.text[:at].encode(self.codec)) if at is not None else around.byte
        where = f"{place}, segment {number} (byte {byte})"
        flaw = Flaw(
            where,
            reason,
            finding.field() if finding.code != "21" else "",
            finding.found[:VALUE_CHARACTERS_MAX],
            finding.expected,
            self.raw[:FLAW_BYTES_MAX],
            header.kind,
        )
        return Read(flaw, result)

    def _character(self, number: int) -> int | None:
        """Where the segment of that number begins."""
        at = 0
        for segment in self.segments[: number - 1]:
            found = self.text.find(segment, at)
            if found < 0:
                return None
            at = found + len(segment)
        found = self.text.find(self.segments[number - 1], at) if self.segments else -1
        return found if found >= 0 else None


def _tag_of(elements: list[Element]) -> str:
    """The tag alone: what may follow it tells its place, by explicit nesting."""
    first = elements[0]
    return first if isinstance(first, str) else first[0]


def component(elements: list[Element], element: int, number: int) -> str:
    """A component of an element, both from 1; "" where it is not given."""
    value = elements[element] if element < len(elements) else ""
    if isinstance(value, str):
        return value if number == 1 else ""
    return value[number - 1] if number <= len(value) else ""
