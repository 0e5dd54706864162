"""Documents to an EDIFACT interchange, strictly: what does not fit the standard is refused before a byte is written.

    {"set": "ORDERS", "segments": [["BGM", "220", "4711", "9"], ["DTM", ["137", "2026-03-01T09:30:00Z", "102"]], ...]}

A segment is a list: its tag, then its elements; one with components is a list again. UNA, UNB, UNH, UNT and UNZ are added, with
their counts and references. A time in DTM is written in the format that its third component names (data element 2379).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from interlock.connectors.formats.document import Element, Numbers, Tree, WriteRefused
from interlock.connectors.formats.edifact_groups import EXPECTED, MANDATORY, start
from interlock.connectors.formats.edifact_segments import KNOWN, SLOTS, closely
from interlock.connectors.formats.edifact_syntax import CHARACTER_SETS, DEFAULT, CharacterSet, Separators
from interlock.domain.links import Envelope, Format

_LEVELS: Final = {"utf-8": "UNOW", "utf8": "UNOW", "ascii": "UNOB", "iso-8859-1": "UNOC", "latin-1": "UNOC", "": "UNOC"}
_VERSION: Final = re.compile(r"D[:.]?(\d\d[AB])(?::?UN)?(?::?([A-Z0-9]{1,6}))?")
_TIME_FORMATS: Final = {
    "101": "%y%m%d",
    "102": "%Y%m%d",
    "201": "%y%m%d%H%M",
    "203": "%Y%m%d%H%M",
    "204": "%Y%m%d%H%M%S",
}
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(T.*)?")


class Syntax(NamedTuple):
    """How an interchange is written: repertoire, syntax version and separators."""

    level: str
    version: str
    marks: Separators

    @property
    def characters(self) -> CharacterSet:
        """The repertoire."""
        return CHARACTER_SETS[self.level]


def write(documents: list[Tree], format: Format, numbers: Numbers) -> bytes:
    """One interchange with a message for each document. Raises WriteRefused."""
    if format.envelope is None:
        raise WriteRefused("envelope", "", "the addresses of both parties in the link's format")
    if not documents:
        raise WriteRefused("documents", "", "at least one document")
    envelope = format.envelope
    syntax = syntax_of(envelope, format.encoding)
    release, association = _version(envelope.version)
    messages = []
    for number, document in enumerate(documents, start=1):
        kind, segments = _document(document, number)
        identifier: Element = [kind, "D", release, "UN", association]
        messages.append(message(segments, identifier, str(number), syntax, f"{kind}[{number}]"))
    return interchange(messages, envelope, syntax, numbers)


def syntax_of(envelope: Envelope, encoding: str) -> Syntax:
    """Repertoire, version and separators by what the estate says: `encoding` is UNOA ... UNOY, UNOC:4, or a codec."""
    level, _, version = encoding.upper().partition(":")
    level = _LEVELS.get(encoding.lower(), level)
    if level not in CHARACTER_SETS:
        raise WriteRefused("encoding", encoding, f"one of {', '.join(CHARACTER_SETS)}, utf-8, iso-8859-1 or ascii")
    marks = DEFAULT
    if envelope.separators:
        if len(envelope.separators) != 6:
            raise WriteRefused("separators", envelope.separators, "the six characters that follow UNA")
        try:
            marks = Separators.of_una(envelope.separators)
        except ValueError as wrong:
            raise WriteRefused("separators", envelope.separators, str(wrong)) from None
    if not version:
        version = "4" if marks.repetition or CHARACTER_SETS[level].codec == "utf-8" else "3"
    if version not in ("1", "2", "3", "4"):
        raise WriteRefused("encoding", encoding, "a syntax version from 1 to 4 after the colon")
    if marks.repetition and version != "4":
        raise WriteRefused("separators", envelope.separators, "a blank for repetition, which only version 4 has")
    return Syntax(level, version, marks)


def interchange(messages: Sequence[Sequence[str]], envelope: Envelope, syntax: Syntax, numbers: Numbers) -> bytes:
    """UNA, UNB, the messages' segments, UNZ."""
    control = str(numbers.interchange)
    if len(control) > 14:
        raise WriteRefused("UNB.05", control, "a reference of at most 14 characters")
    at: datetime = numbers.at
    day = at.strftime("%Y%m%d" if syntax.version == "4" else "%y%m%d")
    header: list[Element] = ["UNB", [syntax.level, syntax.version]]
    for name, party in (("UNB.02", envelope.ours), ("UNB.03", envelope.theirs)):
        _bounded(f"{name}.1", party.id, 35, needed=True)
        _bounded(f"{name}.2", party.qualifier, 4)
        _bounded(f"{name}.3", party.application, 35)
        header.append([party.id, party.qualifier, party.application])
    header += [[day, at.strftime("%H%M")], control, "", "", "", "", "", "1" if envelope.test else ""]
    segments = [rendered(header, syntax, "")]
    for each in messages:
        segments += each
    segments.append(rendered(["UNZ", str(len(messages)), control], syntax, ""))
    end = syntax.marks.terminator
    if envelope.line_ends and end != "\n":
        end += "\n"
    advice = syntax.marks.una() + ("\n" if end.endswith("\n") and syntax.marks.terminator != "\n" else "")
    text = advice + end.join(segments) + end
    return text.encode(syntax.characters.codec)


def message(
    segments: Sequence[list[Element]], identifier: Element, reference: str, syntax: Syntax, place: str
) -> list[str]:
    """UNH, the segments, UNT."""
    texts = [rendered(["UNH", reference, identifier], syntax, place)]
    texts += [rendered(each, syntax, place) for each in segments]
    texts.append(rendered(["UNT", str(len(segments) + 2), reference], syntax, place))
    return texts


def rendered(segment: list[Element], syntax: Syntax, place: str) -> str:
    """A segment's text without the terminator, empty elements at its end left out."""
    marks, foreign = syntax.marks, syntax.characters.foreign
    tag = str(segment[0])
    parts = [tag]
    slots = SLOTS.get(tag, ()) if marks.decimal == "," else ()
    for number, element in enumerate(segment[1:], start=1):
        values = [element] if isinstance(element, str) else list(element)
        for component, value in enumerate(values):
            field = f"{place}.{tag}.{number:02}.{component + 1}".lstrip(".")
            kinds = slots[number - 1].parts[component:] if number <= len(slots) else ()
            if kinds and kinds[0].kind == "n":
                value = value.replace(".", ",")
            wrong = foreign.search(value) if foreign else None
            if wrong:
                raise WriteRefused(field, value, f"text of {syntax.level} only, and {wrong[0]!r} is outside of it")
            try:
                value.encode(syntax.characters.codec)
            except UnicodeEncodeError as failed:
                odd = value[failed.start]
                raise WriteRefused(field, value, f"text of {syntax.level} only, and {odd!r} is outside of it") from None
            if not marks.release and any(each in marks.special for each in value):
                raise WriteRefused(field, value, "text without separators, since there is no release character")
            values[component] = marks.escaped(value)
        while values and not values[-1]:
            values.pop()
        parts.append(marks.component.join(values))
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return marks.element.join(parts)


def _version(text: str) -> tuple[str, str]:
    """Release and association by the envelope's version: D96A, D01B, D96A:UN:EAN008."""
    found = _VERSION.fullmatch(text or "D96A")
    if found is None:
        raise WriteRefused("version", text, "a directory such as D96A, D01B or D01B:UN:EAN010")
    return found[1], found[2] or ""


def _document(document: Tree, number: int) -> tuple[str, list[list[Element]]]:
    """A document's message type and its segments as texts, checked."""
    if not isinstance(document, dict) or not isinstance(document.get("segments"), list):
        raise WriteRefused(f"document {number}", str(document)[:80], "an object with `set` and `segments`")
    kind = str(document.get("set") or "")
    if not re.fullmatch(r"[A-Z]{6}", kind):
        raise WriteRefused(f"document {number}: set", kind, "a message type such as ORDERS")
    segments = [
        _segment(each, f"{kind}[{number}], segment {at}") for at, each in enumerate(document["segments"], start=2)
    ]
    state = start(kind, "")
    for segment in segments:
        tag = str(segment[0])
        if tag not in KNOWN or (state is not None and tag not in state):
            raise WriteRefused(f"{kind}[{number}].{tag}", tag, f"a segment that {kind} has there")
        state = state[tag].state if state is not None else None
        for finding in closely(tag, segment, "."):
            raise WriteRefused(f"{kind}[{number}].{finding.field()}", finding.found, finding.expected)
    there = {str(segment[0]) for segment in segments}
    for tag in (*MANDATORY.get(kind, ()), *EXPECTED.get(kind, ())):
        if tag not in there:
            raise WriteRefused(f"{kind}[{number}].{tag}", "", f"there: every {kind} has it")
    if "BGM" in there and segments[0][0] != "BGM":
        raise WriteRefused(f"{kind}[{number}].{segments[0][0]}", str(segments[0][0]), "BGM, which comes first")
    return kind, segments


def _segment(segment: Any, place: str) -> list[Element]:
    if not isinstance(segment, list) or not segment or not isinstance(segment[0], str):
        raise WriteRefused(place, str(segment)[:80], "a list of a tag and its elements")
    tag = segment[0]
    elements: list[Element] = [tag]
    for number, element in enumerate(segment[1:], start=1):
        field = f"{place} {tag}.{number:02}"
        if isinstance(element, list):
            values = _dated(element) if tag == "DTM" and number == 1 else element
            elements.append([_text(value, field) for value in values])
        else:
            elements.append(_text(element, field))
    while len(elements) > 1 and not any(elements[-1]):
        elements.pop()
    return elements


def _dated(element: list[Any]) -> list[Any]:
    """The components of DTM with a time written as its format's code says; 102, a day, where there is none."""
    if len(element) < 2:
        return element
    value = element[1]
    if isinstance(value, str) and _ISO.fullmatch(value):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return element
    if not isinstance(value, date):
        return element
    code = str(element[2]) if len(element) > 2 and element[2] else "102"
    form = _TIME_FORMATS.get(code)
    if form is None:
        raise WriteRefused("DTM.01.3", code, f"one of {', '.join(_TIME_FORMATS)} for a time")
    return [element[0], value.strftime(form), code, *element[3:]]


def _text(value: Any, field: str) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            raise WriteRefused(field, str(value), "a text or a number")
        case int():
            return str(value)
        case Decimal() if value.is_finite():
            text = format(value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case _:
            raise WriteRefused(field, str(value)[:80], "a text or a number")


def _bounded(field: str, value: str, most: int, *, needed: bool = False) -> None:
    if len(value) > most or (needed and not value):
        raise WriteRefused(field, value, f"a text of {1 if needed else 0} to {most} characters")
