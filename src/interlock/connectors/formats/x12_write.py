"""Writing X12, strictly: what is not by the standard, or would be read differently than it was meant, is refused.

Each set is read again by our own reader before it goes out. The same documents and numbers give the same bytes.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from interlock.connectors.formats.document import Numbers, Tree, WriteRefused
from interlock.connectors.formats.x12_head import Separators
from interlock.connectors.formats.x12_segments import segments
from interlock.connectors.formats.x12_set import read_set
from interlock.connectors.formats.x12_sets import GROUPS
from interlock.domain.links import Envelope, Format, Party

DEFAULT_VERSION: Final = "004010"
_SEPARATORS: Final = "*>~^"
_REPETITIONS: Final = "^!|}"
_REPETITION_SINCE: Final = "00402"
_VERSION: Final = re.compile(r"00[3-8][0-9]{3}[A-Z0-9]{0,6}")
_TAG: Final = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_CONTROLS_MAX: Final = 10**9


class Group(NamedTuple):
    """Sets that go into one functional group: each its number (850) and its segments, without ST and SE."""

    code: str
    version: str
    sets: list[tuple[str, list[list[Any]]]]


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:
    """One interchange of `{"set": "940", "segments": [[tag, element, …], …]}`. Raises WriteRefused."""
    envelope = form.envelope
    if envelope is None:
        raise WriteRefused("format.envelope", "", "given: an interchange says who sends it to whom")
    kinds = [_kind(document) for document in documents]
    if not kinds:
        raise WriteRefused("documents", "", "at least one")
    version = envelope.version or DEFAULT_VERSION
    groups = []
    for code, run in groupby(zip(kinds, documents, strict=True), key=lambda pair: GROUPS[pair[0]]):
        groups.append(Group(code, version, [(kind, document["segments"]) for kind, document in run]))
    return interchange(groups, envelope, numbers, form.encoding)


def _kind(document: Tree) -> str:
    kind = str(document.get("set", "")) if isinstance(document, dict) else ""
    if kind not in GROUPS:
        raise WriteRefused("set", kind, f"a transaction set that we know the group of: {', '.join(sorted(GROUPS))}")
    if not isinstance(document.get("segments"), list):
        raise WriteRefused("segments", "", f"the list of the segments of the {kind}")
    return kind


def interchange(groups: list[Group], envelope: Envelope, numbers: Numbers, encoding: str = "") -> bytes:
    """Groups of sets in their envelope. Raises WriteRefused."""
    seps = separators(envelope)
    at: datetime = numbers.at
    control = _control("interchange", numbers.interchange)
    group_control = _control("group", numbers.group or numbers.interchange)
    texts = [isa(envelope, seps, control, at, groups[0].version)]
    set_control = 0
    for group in groups:
        release = group.version
        if not _VERSION.fullmatch(release):
            raise WriteRefused("envelope.version", release, "a version such as 004010")
        parties = (_application("ours", envelope.ours), _application("theirs", envelope.theirs))
        _plain("envelope", (*parties, release), seps)
        gs = ["GS", group.code, *parties, at.strftime("%Y%m%d"), at.strftime("%H%M"), str(group_control), "X", release]
        texts.append(seps.element.join(gs))
        for kind, rows in group.sets:
            set_control += 1
            texts += _set(kind, rows, f"{set_control:04}", seps, release)
        texts.append(seps.element.join(["GE", str(len(group.sets)), str(group_control)]))
    texts.append(seps.element.join(["IEA", str(len(groups)), f"{control:09}"]))
    return encoded(texts, seps, envelope, encoding)


def encoded(texts: list[str], seps: Separators, envelope: Envelope, encoding: str = "") -> bytes:
    """Segments as bytes, each with its terminator. Raises WriteRefused for what the encoding has no character for."""
    end = seps.segment + ("\r\n" if envelope.line_ends and seps.segment not in "\r\n" else "")
    text = end.join([*texts, ""])
    try:
        return text.encode(encoding or "latin-1")
    except UnicodeEncodeError as error:
        expected = f"text that {encoding or 'ISO 8859-1'} can write (encoding: utf-8 writes all of it)"
        raise WriteRefused("the text", text[error.start : error.end][:20], expected) from None


def isa(envelope: Envelope, seps: Separators, control: int, at: datetime, version: str) -> str:
    """The segment ISA, 105 characters without its terminator. Raises WriteRefused."""
    control_version = version[:5]
    ours, theirs = envelope.ours, envelope.theirs
    fields = [
        *("ISA", "00", " " * 10, "00", " " * 10),
        *(_qualifier("ours", ours), _party("ours", ours), _qualifier("theirs", theirs), _party("theirs", theirs)),
        *(at.strftime("%y%m%d"), at.strftime("%H%M")),
        seps.repetition if control_version >= _REPETITION_SINCE else "U",
        *(control_version, f"{control:09}", "0", "T" if envelope.test else "P", seps.component),
    ]
    _plain("envelope", (ours.id, theirs.id), seps)
    return seps.element.join(fields)


def separators(envelope: Envelope) -> Separators:
    """The separators that an envelope asks for. Raises WriteRefused."""
    given = envelope.separators
    chosen = given or _SEPARATORS
    if len(given) == 3:
        chosen += next(each for each in _REPETITIONS if each not in given)
    usable = all(each.isascii() and not each.isalnum() and each not in " .-\t\0" for each in chosen)
    ends = any(each in "\r\n" for place, each in enumerate(chosen) if place != 2)
    if len(chosen) != 4 or len(set(chosen)) != 4 or not usable or ends:
        expected = "element, component, segment and repetition: different signs, not letters, digits, blanks, . or -"
        raise WriteRefused("envelope.separators", given, expected)
    return Separators(*chosen)


def _control(name: str, number: int) -> int:
    if number <= 0:
        raise WriteRefused(f"numbers.{name}", str(number), "a control number from 1")
    # After 999999999 the numbers begin again at 1, as the standard has it.
    return (number - 1) % (_CONTROLS_MAX - 1) + 1


def _qualifier(name: str, party: Party) -> str:
    if not (len(party.qualifier) == 2 and party.qualifier.isascii() and party.qualifier.isalnum()):
        raise WriteRefused(f"envelope.{name}.qualifier", party.qualifier, "two letters or digits, such as ZZ")
    return party.qualifier


def _party(name: str, party: Party) -> str:
    if not 1 <= len(party.id) <= 15 or party.id != party.id.strip() or not party.id.isprintable():
        raise WriteRefused(f"envelope.{name}.id", party.id, "1 to 15 characters")
    return party.id.ljust(15)


def _application(name: str, party: Party) -> str:
    code = party.application or party.id
    if not 2 <= len(code) <= 15 or code != code.strip():
        raise WriteRefused(f"envelope.{name}.application", code, "2 to 15 characters")
    return code


def _plain(name: str, values: tuple[str, ...], seps: Separators) -> None:
    for value in values:
        if any(each and each in value for each in seps):
            raise WriteRefused(name, value, "text without a separator")


# Sets


def _set(kind: str, rows: list[list[Any]], control: str, seps: Separators, version: str) -> list[str]:
    texts = [seps.element.join(["ST", kind, control])]
    for row in rows:
        text = _segment(row, seps)
        if text:
            texts.append(text)
    texts.append(seps.element.join(["SE", str(len(texts) + 1), control]))
    read = read_set(seps.segment.join(texts), seps, version[:6], {})
    for wrong in read.wrongs:
        field = f"{wrong.tag}{wrong.element:02}" if wrong.element else wrong.tag
        raise WriteRefused(f"{kind} segment {wrong.position} {field}", wrong.value, wrong.expected)
    if read.notes or len(read.texts) != len(texts):
        raise WriteRefused(
            kind, seps.segment.join(texts)[:200], f"a set that is read without a note ({read.notes[:1]})"
        )
    return texts


def _segment(row: list[Any], seps: Separators) -> str:
    if not row or not isinstance(row, list) or not isinstance(row[0], str) or not _TAG.fullmatch(row[0]):
        raise WriteRefused("segments", repr(row)[:80], "a list that begins with a segment's tag")
    tag = row[0]
    rule = segments().get(tag)
    if (
        rule is not None
        and len(row) - 1 > len(rule.elements)
        and any(each not in (None, "") for each in row[len(rule.elements) + 1 :])
    ):
        raise WriteRefused(tag, repr(row)[:80], f"at most {len(rule.elements)} elements")
    texts = []
    for place, value in enumerate(row[1:], start=1):
        kind = rule.elements[place - 1].type if rule is not None and place <= len(rule.elements) else ""
        if isinstance(value, list | tuple):
            inner = [_element(f"{tag}{place:02}", each, "", seps) for each in value]
            while inner and not inner[-1]:
                inner.pop()
            if kind not in ("", "C") and len(inner) > 1:
                raise WriteRefused(f"{tag}{place:02}", repr(value)[:80], "one value, not a composite")
            texts.append(seps.component.join(inner))
        else:
            texts.append(_element(f"{tag}{place:02}", value, kind, seps))
    while texts and not texts[-1]:
        texts.pop()
    return seps.element.join([tag, *texts]) if texts else ""


def _element(field: str, value: Any, kind: str, seps: Separators) -> str:
    text = _as_text(field, value, kind)
    if any(each and each in text for each in seps):
        raise WriteRefused(field, text[:80], f"text without the separators {' '.join(each for each in seps if each)}")
    if not text.isprintable() or text != text.strip():
        raise WriteRefused(field, text[:80], "printable text without blanks at its ends")
    if kind == "DT" and text and len(text) != 8:
        raise WriteRefused(field, text[:80], "a date, CCYYMMDD")
    return text


def _as_text(field: str, value: Any, kind: str) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            raise WriteRefused(field, str(value), "text or a number")
        case int():
            return str(value)
        case Decimal() if value.is_finite():
            text = format(value, "f")
            return text.rstrip("0").rstrip(".") if "." in text else text
        case datetime() if kind == "TM":
            return value.strftime("%H%M%S")
        case date():
            return value.strftime("%Y%m%d")
        case time():
            return value.strftime("%H%M%S")
    raise WriteRefused(field, repr(value)[:80], "text, a number, a date or a time")
