"""The syntax of EDIFACT (ISO 9735): separators, character sets, and a message's text to segments, elements and components.

    separators = Separators.of_una("UNA:+.? '")
    separators.cut(text).segments               # "NAD+BY+4000001000005::9", ...
    separators.elements("NAD+BY+4000001000005::9")            # ["NAD", "BY", ["4000001000005", "", "9"]]

A text is cut in bulk; only what holds a release character is looked at more closely.
"""

from __future__ import annotations

import codecs
import re
from functools import cached_property
from typing import Final, NamedTuple

from interlock.connectors.formats.document import Element

UNA_BYTES: Final = 9
_UNUSED: Final = " "


class Cut(NamedTuple):
    """The segments of a text; the text itself where they are nothing but its pieces ("" elsewhere), without line ends; and
    whether those stood inside of segments.
    """

    segments: list[str]
    text: str
    wrapped: bool


class Separators:
    """What separates and releases; "" for a release or repetition character that is not used."""

    def __init__(
        self, component: str, element: str, decimal: str, release: str, repetition: str, terminator: str
    ) -> None:
        self.component = component
        self.element = element
        self.decimal = decimal
        self.release = release
        self.repetition = repetition
        self.terminator = terminator

    @classmethod
    def of_una(cls, una: str) -> Separators:
        """From a service string advice, or the six characters of it. Raises ValueError with what is wrong with them."""
        marks = una.removeprefix("UNA")
        if len(marks) < 6:
            raise ValueError("six characters after UNA")
        component, element, decimal, release, repetition, terminator = list(marks[:6])
        used = [component, element, terminator] + [each for each in (release, repetition) if each != _UNUSED]
        if len(set(used)) < len(used):
            raise ValueError("separators that differ from one another")
        wrong = [each for each in used if each.isalnum() or each == _UNUSED or ord(each) > 126]
        if wrong:
            raise ValueError("separators that are no letters, digits or blanks")
        return cls(
            component,
            element,
            decimal if decimal in ".," else ".",
            release.strip(_UNUSED),
            repetition.strip(_UNUSED),
            "\n" if terminator == "\r" else terminator,
        )

    def una(self) -> str:
        """The service string advice that says them."""
        release, repetition = self.release or _UNUSED, self.repetition or _UNUSED
        return f"UNA{self.component}{self.element}{self.decimal}{release}{repetition}{self.terminator}"

    def marks(self) -> str:
        """The six characters of the service string advice."""
        return self.una()[3:]

    # Reading

    def cut(self, text: str, *, plain: bool = True) -> Cut:
        """The segments of a text, without line ends; if it is not `plain`, without empty ones and blanks before them."""
        mark = self.terminator
        wrapped = False
        if mark == "\n":
            if "\r" in text:
                text = text.replace("\r", "")
        elif "\r" not in text and "\n" not in (joined := text.replace(mark + "\n", mark)):
            text = joined
        elif "\n" in text or "\r" in text:
            ends = text.count("\n") - text.count(mark + "\n") - text.count(mark + "\r\n")
            wrapped = ends > 0 and self._has_wraps(text)
            text = text.replace("\r", "").replace("\n", "")
        pieces = text.split(mark)
        if not pieces[-1].strip():
            pieces.pop()
        if self.release and self.release in text and self.release + mark in text:
            pieces = self._rejoined(pieces, mark)
            text = ""
        if not plain:
            pieces = [piece for each in pieces if (piece := each.lstrip())]
            text = ""
        return Cut(pieces, text, wrapped)

    def elements(self, segment: str) -> list[Element]:
        """The elements of a segment; one with components is a list of them."""
        component = self.component
        if self.release and self.release in segment:
            return [self._components(each) for each in self._rejoined(segment.split(self.element), self.element)]
        if component in segment:
            return [each.split(component) if component in each else each for each in segment.split(self.element)]
        return segment.split(self.element)  # type: ignore[return-value]  # a list of texts is a list of elements

    def repetitions(self, segment: str) -> tuple[list[Element], list[list[Element]]]:
        """The elements of a segment with the first repetition of each, and the further ones as segments of their own."""
        parts = [
            self._rejoined(each.split(self.repetition), self.repetition)
            for each in self._rejoined(segment.split(self.element), self.element)
        ]
        lines: list[list[Element]] = []
        for number in range(max(map(len, parts))):
            # A further repetition keeps the segment's first element, which says what the others are.
            values = [
                each[number] if number < len(each) else each[0] if place < 2 else "" for place, each in enumerate(parts)
            ]
            lines.append([self._components(value) for value in values])
        return lines[0], lines[1:]

    def _components(self, element: str) -> Element:
        parts = self._rejoined(element.split(self.component), self.component)
        if len(parts) == 1:
            return self._plain(parts[0])
        return [self._plain(part) for part in parts]

    def _plain(self, text: str) -> str:
        return self._released.sub(r"\1", text) if self.release in text else text

    def needlessly_released(self, segment: str) -> str:
        """The first character after a release character that needs none; "" where there is none. It keeps both."""
        if not self.release or self.release not in segment:
            return ""
        rest = self._released.sub("", segment)
        at = rest.find(self.release)
        return "" if at < 0 else rest[at : at + 2]

    def _rejoined(self, pieces: list[str], mark: str) -> list[str]:
        """Pieces of which some end with a release character: those go on with the next one."""
        release = self.release
        if not release:
            return pieces
        whole: list[str] = []
        begun: list[str] = []
        for piece in pieces:
            begun.append(piece)
            if piece.endswith(release) and (len(piece) - len(piece.rstrip(release))) % 2:
                continue
            whole.append(mark.join(begun) if len(begun) > 1 else piece)
            begun = []
        if begun:
            whole.append(mark.join(begun))
        return whole

    def _has_wraps(self, text: str) -> bool:
        return re.search(rf"[^\s{re.escape(self.terminator)}][^\S\n]*\n", text) is not None

    @cached_property
    def _released(self) -> re.Pattern[str]:
        marks = self.component + self.element + self.terminator + self.release + self.repetition
        return re.compile(f"{re.escape(self.release)}([{re.escape(marks)}])", re.DOTALL)

    # Writing

    def escaped(self, text: str) -> str:
        """A value with every character released that would separate."""
        return self._special.sub(lambda found: self.release + found[0], text)

    @cached_property
    def special(self) -> str:
        """The characters that cannot stand in a value without a release character."""
        return self.component + self.element + self.release + self.repetition + self.terminator

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return re.compile(f"[{re.escape(self.special)}]")


DEFAULT: Final = Separators(":", "+", ".", "?", "", "'")
DEFAULT_4: Final = Separators(":", "+", ".", "?", "*", "'")
INFORMATION: Final = Separators("\x1f", "\x1d", ".", "", "", "\x1c")
"""What syntax level B has without UNA: the information separators."""


class CharacterSet(NamedTuple):
    """A repertoire by the syntax identifier of UNB: its codec, and a pattern of what does not belong to it (for writing)."""

    codec: str
    foreign: re.Pattern[str] | None = None


_LEVEL_A: Final = re.compile(r"[^A-Z0-9 .,\-()/='+:?!\"%&*;<>]")
_LEVEL_B: Final = re.compile(r"[^A-Za-z0-9 .,\-()/='+:?!\"%&*;<>]")
CONTROLS: Final = "\\x00-\\x1f\\x7f-\\x9f"
_CONTROL: Final = re.compile(f"[{CONTROLS}]")
CHARACTER_SETS: Final[dict[str, CharacterSet]] = {
    "UNOA": CharacterSet("ascii", _LEVEL_A),
    "UNOB": CharacterSet("ascii", _LEVEL_B),
    "UNOC": CharacterSet("iso8859-1", _CONTROL),
    "UNOD": CharacterSet("iso8859-2", _CONTROL),
    "UNOE": CharacterSet("iso8859-5", _CONTROL),
    "UNOF": CharacterSet("iso8859-7", _CONTROL),
    "UNOG": CharacterSet("iso8859-3", _CONTROL),
    "UNOH": CharacterSet("iso8859-4", _CONTROL),
    "UNOI": CharacterSet("iso8859-6", _CONTROL),
    "UNOJ": CharacterSet("iso8859-8", _CONTROL),
    "UNOK": CharacterSet("iso8859-9", _CONTROL),
    "UNOW": CharacterSet("utf-8", _CONTROL),
    "UNOX": CharacterSet("iso8859-1", _CONTROL),
    "UNOY": CharacterSet("utf-8", _CONTROL),
}


class BadEncoding(Exception):
    """A byte that is no text in the encoding that is said; `at` is its place from 0."""

    def __init__(self, at: int, byte: int, expected: str) -> None:
        self.at = at
        self.byte = byte
        self.expected = expected
        super().__init__(expected)


def codec_named(encoding: str) -> str:
    """The codec that a format's `encoding` names: a level such as UNOC or UNOC:3, or a codec; "" for none. Raises LookupError."""
    known = CHARACTER_SETS.get(encoding.upper().partition(":")[0])
    if known is not None:
        return known.codec
    return codecs.lookup(encoding).name if encoding else ""


def is_like_ascii(codec: str) -> bool:
    """Whether separators and tags are the same bytes in it as in ASCII. Raises LookupError for what is no encoding of text."""
    return "UNA:+.? '".encode(codec) == b"UNA:+.? '"


def decoded(raw: bytes, level: str, encoding: str) -> tuple[str, str, str]:
    """A message's text, its codec, and what was tolerated in reading it ("" if nothing).

    `encoding` is what the partner's format says in the estate, or "". Raises BadEncoding.
    """
    if raw.isascii():
        return raw.decode("ascii"), "ascii", ""
    if encoding:
        return _strictly(raw, encoding, f"text in {encoding}")
    known = CHARACTER_SETS.get(level)
    if known is not None and known.codec == "utf-8":
        return _strictly(raw, "utf-8", f"text in UTF-8, as {level} says")
    outside = f"letters outside of {level or 'the level'}"
    try:
        # Text in another encoding is valid UTF-8 only by a rare chance.
        return raw.decode("utf-8"), "utf-8", f"{outside}, read as UTF-8"
    except UnicodeDecodeError:
        pass
    if known is not None and known.codec != "ascii":
        return _strictly(raw, known.codec, f"text in {known.codec}, as {level} says")
    return raw.decode("iso8859-1"), "iso8859-1", f"{outside}, read as ISO 8859-1"


def _strictly(raw: bytes, codec: str, expected: str) -> tuple[str, str, str]:
    try:
        return raw.decode(codec), codec, ""
    except UnicodeDecodeError as wrong:
        raise BadEncoding(wrong.start, raw[wrong.start], expected) from None
