"""Where an interchange begins, and with which separators: ISA by its positions, or by its delimiters where somebody trimmed it.

    ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260301*0930*U*00401*000000001*0*P*>~
    0  3                                                                              82            99    104 105

The separators stand in fixed places: element after ISA, component and segment at the end, repetition (since 00402) in ISA11.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

ISA_LENGTH: Final = 106
_WIDTHS: Final = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_HEAD_MAX: Final = 600
_ENDS: Final = "\r\n"
_BLANKS: Final = " \t\r\n"
_FIRST: Final = re.compile(
    rb"(?<![A-Za-z0-9])(?:ISA[^A-Za-z0-9\s]|(?:ST|GS)([^A-Za-z0-9\s])[A-Za-z0-9 ]{2,3}\1)", re.IGNORECASE
)
_BARE_SET: Final = re.compile(r"ST(.)([A-Z0-9]{3})\1([^\W_]{1,15})[ \t]*(?:\1[\w.]{0,35})?(\W)", re.IGNORECASE)
_BARE_GROUP: Final = re.compile(r"GS(.)(?:(?!\1)[^\r\n]*?\1){7}[\w.]{1,15}[ \t]*(\W)", re.IGNORECASE)


class Separators(NamedTuple):
    """What parts an interchange. Components and repetitions may be unknown: then they are empty."""

    element: str
    component: str
    segment: str
    repetition: str = ""

    def told(self) -> str:
        """As an envelope's `separators` has them."""
        return self.element + self.component + self.segment + self.repetition


class Head(NamedTuple):
    """What was found: the elements of ISA (`isa[1]` is ISA01; empty for a fragment), how many characters of the text it takes,
    what was tolerated, and the fault that makes it unreadable. `wrapped` is the width of lines that the file was cut into.
    """

    separators: Separators
    isa: list[str]
    length: int
    notes: tuple[str, ...] = ()
    fault: tuple[str, str, str] | None = None
    wrapped: int = 0


def first(data: bytes, at: int) -> int:
    """Where the next interchange, group or set begins; -1 where none does."""
    match = _FIRST.search(data, at)
    return match.start() if match else -1


def head(text: str) -> Head | None:
    """Read what an interchange, or a fragment of one, begins with; None where its separators cannot be told."""
    text = text[: _HEAD_MAX + ISA_LENGTH]
    if text[:3].upper() != "ISA":
        return _fragment(text)
    if len(text) < 4:
        return None
    element = text[3]
    if len(text) >= ISA_LENGTH and not any(end in text[:105] for end in _ENDS):
        isa = text[:105].split(element)
        if len(isa) == 17 and all(len(each) == width for each, width in zip(isa[1:], _WIDTHS, strict=True)):
            return _ended(text, isa, element, text[104], text[105:106], ISA_LENGTH, ())
    return _by_delimiters(text, element)


def _by_delimiters(text: str, element: str) -> Head | None:
    isa = text.split(element, 16)
    if len(isa) < 17:
        return None
    rest = isa.pop()
    broken = [place for place, each in enumerate(isa) if any(end in each for end in _ENDS)]
    whole = [each.replace("\r", "").replace("\n", "") for each in isa]
    short = [
        place
        for place, (each, width) in enumerate(zip(whole[1:], _WIDTHS[:15], strict=True), start=1)
        if len(each) != width
    ]
    head_length = len(element.join(isa)) + 1
    notes = tuple(f"ISA{place:02} has {len(whole[place])} characters, not {_WIDTHS[place - 1]}" for place in short)
    wrapped = 0
    fault = None
    if broken:
        if len(short) > 2:
            place = broken[0]
            fault = (f"ISA{place:02}", isa[place], "an element without a line break, in an ISA of 106 characters")
        wrapped = _width(text)
        notes += (f"ISA{broken[0]:02} is broken by the end of a line",)
    if not rest:
        return None
    component, segment = rest[0], rest[1:2]
    whole.append(component)
    return _ended(text, whole, element, component, segment, head_length + 2, notes, fault, wrapped)


def _ended(
    text: str,
    isa: list[str],
    element: str,
    component: str,
    segment: str,
    length: int,
    notes: tuple[str, ...],
    fault: tuple[str, str, str] | None = None,
    wrapped: int = 0,
) -> Head | None:
    """ISA16 and the terminator, where one of them may be missing."""
    if component.isalnum() or component in _ENDS or not segment:
        # No ISA16 and no terminator of its own: the line's end is one.
        if component not in _ENDS:
            return None
        segment, component = component, ""
        length -= 1
        notes += ("ISA16 is missing",)
    elif segment in _ENDS and _line_ends_with(text[length - 1 :], component):
        # ISA15*~ and a new line, and so do the lines after it end: what stands in ISA16's place is the terminator.
        segment, component = component, ""
        length -= 1
        notes += ("ISA16 is missing",)
    elif segment == " ":
        ahead = text[length - 1 :].lstrip(" ")
        if not ahead:
            return None
        length += len(text) - (length - 1) - len(ahead)
        segment = ahead[0]
        notes += ("blanks before the end of ISA",)
    if (
        segment.isalnum()
        or element.isalnum()
        or element in _BLANKS
        or len({element, component, segment}) < 3 - (not component)
    ):
        return None
    version = isa[12].strip() if len(isa) > 12 else ""
    repetition = isa[11].strip() if len(isa) > 11 else ""
    if version < "00402" or len(repetition) != 1 or repetition.isalnum():
        repetition = ""
    return Head(Separators(element, component, segment, repetition), isa, length, notes, fault, wrapped)


def _line_ends_with(text: str, character: str) -> bool:
    lines = [line.rstrip() for line in _lines(text)[:-1] if line.strip()]
    return bool(lines) and all(line.endswith(character) for line in lines[:5])


def _lines(text: str) -> list[str]:
    # Not splitlines: that also splits at signs which are separators to some.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _width(text: str) -> int:
    """The width of the lines, where all of them are as long as the first: the file was cut at it."""
    lines = _lines(text)
    width = len(lines[0])
    return width if len(lines) > 2 and all(len(line) == width for line in lines[1:-1]) else 0


def _fragment(text: str) -> Head | None:
    match = _BARE_SET.match(text)
    segment = match[4] if match else ""
    if match is None:
        match = _BARE_GROUP.match(text)
        segment = match[2] if match else ""
    if match is None or segment == match[1]:
        return None
    return Head(
        Separators(match[1], "", segment), [], 0, (f"no ISA: separators {match[1]} and {segment!r} were guessed",)
    )


def head_text(raw: bytes, encoding: str) -> tuple[str, str]:
    """The head's encoding and its text: as stated, or UTF-8 if it is that, or ISO 8859-1."""
    if encoding and encoding.lower().replace("_", "-") in ("utf-8", "utf-8-sig", "ascii", "us-ascii"):
        return "utf-8", raw.decode("utf-8", "replace")
    # A head that is cut off somewhere may end within a character.
    for cut in range(4 if len(raw) > _HEAD_MAX else 1):
        try:
            return "utf-8", raw[: len(raw) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return "latin-1", raw.decode("latin-1")
