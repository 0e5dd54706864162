"""CONTRL: what a partner says of our interchanges, and what we say of theirs.

    answer_of(tree)                                             # of a CONTRL that came in
    acknowledge(interchange, "contrl", envelope, numbers)       # the CONTRL for an interchange that came in

We say 7 of an interchange that could be read (acknowledged, and what is in it too unless it is rejected below) and 4 of each
message that could not, with the segment, the element and the code of its syntax errors. A CONTRL is never answered by a CONTRL.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from interlock.connectors.formats.document import (
    Answer,
    Element,
    GroupResult,
    Interchange,
    Node,
    Numbers,
    SetResult,
    WriteRefused,
)
from interlock.connectors.formats.edifact_messages import component
from interlock.connectors.formats.edifact_syntax import CHARACTER_SETS, DEFAULT, Separators
from interlock.connectors.formats.edifact_writer import Syntax, interchange, message
from interlock.domain.links import Envelope

ERRORS_MAX: Final = 20
ACKNOWLEDGED: Final = "7"
REJECTED: Final = "4"
State = Literal["accepted", "with_errors", "partly", "rejected"]
_SERVICE: Final = ("UNH", "UNT")
_REFUSED: Final = ("4", "5", "6")
_VERDICTS: Final[dict[str, State]] = {
    "4": "rejected",
    "5": "rejected",
    "6": "rejected",
    "7": "accepted",
    "8": "accepted",
}


def answer_of(tree: Node) -> list[Answer]:
    """The answers in a CONTRL that came in: for our interchange, or for each group of it that is named."""
    answers: list[Answer] = []
    children = tree.children or {}
    for receipt in children.get("UCI", ()):
        elements = receipt.elements
        code = component(elements, 4, 1).strip()
        errors = _told(receipt)
        messages = list((receipt.children or {}).get("UCM", ()))
        for group in (receipt.children or {}).get("UCF", ()):
            messages += (group.children or {}).get("UCM", ())
            errors += _told(group)
        sets = {component(each.elements, 1, 1).strip(): _verdict(each) for each in messages}
        for each in messages:
            errors += _told(each)
        answers.append(
            Answer(
                scope="interchange",
                control=component(elements, 1, 1).strip(),
                code=code,
                state=_state(code, sets, errors),
                sets=dict(sets),
                errors=tuple(errors[:ERRORS_MAX]),
            )
        )
    return answers


def _state(code: str, sets: dict[str, State], errors: list[str]) -> State:
    if code in _REFUSED:
        return "rejected"
    if "rejected" in sets.values():
        return "partly"
    return "with_errors" if errors else "accepted"


def _verdict(message: Node) -> State:
    return _VERDICTS.get(component(message.elements, 3, 1).strip(), "with_errors")


def _told(node: Node) -> list[str]:
    """The syntax errors at and below a UCI, UCF or UCM, each in a few words."""
    elements = node.elements
    tag, reference = str(elements[0]), component(elements, 1, 1)
    # UCI names two parties before the verdict, UCF as well, UCM the message's type.
    at = 4 if tag in ("UCI", "UCF") else 3
    told = []
    code, where = component(elements, at + 1, 1), component(elements, at + 2, 1)
    if code:
        told.append(f"{tag} {reference}: {code} {where}".rstrip())
    for segment in (node.children or {}).get("UCS", ()):
        number, code = component(segment.elements, 1, 1), component(segment.elements, 2, 1)
        if code:
            told.append(f"{tag} {reference}, segment {number}: {code}")
        for element in (segment.children or {}).get("UCD", ()):
            code, position = component(element.elements, 1, 1), component(element.elements, 2, 1)
            told.append(f"{tag} {reference}, segment {number}, position {position}: {code}")
    return told


def acknowledge(received: Interchange, kind: Literal["contrl"], envelope: Envelope, numbers: Numbers) -> bytes:
    """The CONTRL for an interchange; no bytes for one of CONTRL messages only, which is not acknowledged. Raises WriteRefused."""
    if kind != "contrl" or received.standard != "edifact":
        raise WriteRefused("acknowledge", kind, "contrl, for an EDIFACT interchange")
    kinds = {each.kind for group in received.groups for each in group.sets}
    if kinds == {"CONTRL"} or (received.answers and kinds <= {"CONTRL"}):
        return b""
    syntax = _syntax(received, envelope)
    segments: list[list[Element]] = [_receipt(received)]
    for group in received.groups:
        if group.code or group.control:
            segments += _group(group)
        else:
            for each in group.sets:
                if not each.accepted:
                    segments += _message(each)
    identifier: Element = ["CONTRL", "4", "1", "UN"] if syntax.version == "4" else ["CONTRL", "D", "3", "UN"]
    return interchange([message(segments, identifier, "1", syntax, "CONTRL")], envelope, syntax, numbers)


def _syntax(received: Interchange, envelope: Envelope) -> Syntax:
    """That of the interchange that came in, in a repertoire that holds what has to be repeated of it."""
    level, _, version = received.version.partition(":")
    if version not in ("1", "2", "3", "4"):
        version = "3"
    marks = Separators.of_una(envelope.separators) if len(envelope.separators) == 6 else DEFAULT
    repeated = "".join([received.control, *received.sender, *received.receiver])
    repeated += "".join(f"{group.control}{each.control}{each.kind}" for group in received.groups for each in group.sets)
    repeated += envelope.ours.id + envelope.theirs.id
    for each in (level, "UNOB", "UNOC", "UNOW"):
        known = CHARACTER_SETS.get(each)
        if known is None or (known.foreign and known.foreign.search(repeated)):
            continue
        try:
            repeated.encode(known.codec)
        except UnicodeEncodeError:
            continue
        level = each
        break
    else:
        raise WriteRefused("UCI", repeated[:80], "text without control characters")
    if CHARACTER_SETS[level].codec == "utf-8":
        version = "4"
    if marks.repetition and version != "4":
        marks = Separators(marks.component, marks.element, marks.decimal, marks.release, "", marks.terminator)
    return Syntax(level, version, marks)


def _receipt(received: Interchange) -> list[Element]:
    sender, receiver = received.sender, received.receiver
    parties: list[Element] = [[sender[1], sender[0]], [receiver[1], receiver[0]]]
    segment: list[Element] = ["UCI", received.control, *parties, ACKNOWLEDGED]
    return segment + _error(received.errors)


def _group(group: GroupResult) -> list[list[Element]]:
    rejected = [each for each in group.sets if not each.accepted]
    if not rejected and not group.errors:
        return []
    header: list[Element] = ["UCF", group.control, "", "", ACKNOWLEDGED]
    segments = [header + _error(group.errors)]
    for each in rejected:
        segments += _message(each)
    return segments


_ERROR: Final = re.compile(r"(\w{1,3}) (UN[A-Z])(?:\.(\d+))?")


def _error(errors: tuple[str, ...]) -> list[Element]:
    """Code, segment and position of the first error of an envelope."""
    found = _ERROR.match(errors[0]) if errors else None
    if found is None:
        return []
    position = [str(int(found[3]) + 1)] if found[3] else []
    return [found[1], found[2], position]


def _message(result: SetResult) -> list[list[Element]]:
    """UCM for a message that is rejected, UCS and UCD for what is wrong in it; a tag counts as an element's position 1."""
    identifier: list[str] = [result.kind, *result.version.split(":")]
    header: list[Element] = ["UCM", result.control, identifier, REJECTED]
    service = next((each for each in result.errors if each[0] in _SERVICE), None)
    if service is not None:
        tag, _, element, code, _ = service
        header += [code, tag, [str(element + 1)] if element else []]
    segments = [header]
    last = 0
    for tag, position, element, code, _ in sorted(result.errors, key=lambda each: each[1:3]):
        if tag in _SERVICE:
            continue
        if position != last or not element:
            segments.append(["UCS", str(position), "" if element else code])
            last = position
        if element:
            segments.append(["UCD", code, [str(element + 1)]])
    return segments
