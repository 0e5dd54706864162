"""The envelope of an interchange: UNB to UNZ with its groups, what is counted in it, and what it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from interlock.connectors.formats.document import (
    Answer,
    Element,
    Flaw,
    FormatUnreadable,
    GroupResult,
    Interchange,
    Item,
    SetResult,
)
from interlock.connectors.formats.edifact_messages import Around, component
from interlock.connectors.formats.edifact_syntax import DEFAULT, DEFAULT_4, INFORMATION, Separators

RESULTS_KEPT_MAX: Final = 20_000
"""Of messages that are accepted; an acknowledgment need not name them."""
REFERENCES_KEPT_MAX: Final = 100_000
_WRAPPED_LINES_MIN: Final = 3


def separators_of(head: bytes, said: Separators | None) -> tuple[Separators, str]:
    """The separators of an interchange that begins with `head`, and what was tolerated; `said` are those of its UNA.

    Raises FormatUnreadable.
    """
    text = head.decode("iso8859-1")
    element = text[3:4]
    if said is not None:
        if element != said.element:
            expected = f"UNB{said.element}, as UNA says"
            raise FormatUnreadable("wrong_separators", "UNB", text[:20].strip(), expected)
        return said, ""
    if element == INFORMATION.element:
        return INFORMATION, ""
    if not element or element.isalnum() or element.isspace():
        raise FormatUnreadable("wrong_separators", "UNB", text[:20].strip(), "UNB+, or a UNA before it")
    level = re.match(rf"UNB{re.escape(element)}\w{{4}}([^a-zA-Z0-9\s])(\d)", text)
    component_mark = level[1] if level else ":"
    usual = DEFAULT_4 if level and level[2] == "4" else DEFAULT
    following = re.search(rf"(\S)(\s*)UN[HG]{re.escape(element)}", text[4:])
    terminator = "'"
    if following is not None:
        if not following[1].isalnum():
            terminator = following[1]
        elif "\n" in following[2] or "\r" in following[2]:
            terminator = "\n"
    if (element, component_mark, terminator) == ("+", ":", "'"):
        return usual, ""
    repetition = "" if usual.repetition in (element, component_mark, terminator) else usual.repetition
    try:
        guessed = Separators.of_una(f"{component_mark}{element}.?{repetition or ' '}{terminator}")
    except ValueError as wrong:
        raise FormatUnreadable("wrong_separators", "UNB", text[:20].strip(), str(wrong)) from None
    shown = "a line end" if terminator == "\n" else terminator
    return guessed, f"separators without UNA: {component_mark} {element} and {shown} at the end of a segment"


def looks_wrapped(head: bytes, marks: Separators) -> bool:
    """Whether lines end after a number of characters, wherever that is."""
    if marks.terminator == "\n" or b"\n" not in head:
        return False
    lines = head.decode("iso8859-1").splitlines()[:-1]
    if len(lines) < _WRAPPED_LINES_MIN or len({len(line) for line in lines}) > 1 or len(lines[0]) < 8:
        return False
    return any(not line.rstrip().endswith(marks.terminator) for line in lines)


class Envelope:
    """An interchange while it is read."""

    def __init__(self, marks: Separators, header: bytes, notes: list[str]) -> None:
        self.marks = marks
        self.answers: list[Answer] = []
        self._notes = notes
        self._errors: list[str] = []
        self._groups: list[GroupResult] = []
        self._group: list[Element] | None = None
        self._results: list[SetResult] = []
        self._messages = 0
        self._messages_outside = 0
        self._messages_in_group = 0
        self._group_count = 0
        self._references: set[str] = set()
        self._stated = 0
        self._header: list[Element] = []
        self._read_header(self.elements(header))

    def _read_header(self, header: list[Element]) -> None:
        self._header = header
        level, version = component(header, 1, 1).strip(), component(header, 1, 2).strip()
        self.level, self.version = level, version
        marks = self.marks
        if marks.repetition and version[:1] in ("1", "2", "3"):
            # A character of its own only since version 4.
            self.marks = Separators(marks.component, marks.element, marks.decimal, marks.release, "", marks.terminator)
        self.control = component(header, 5, 1).strip()
        self.sender = (component(header, 2, 2).strip(), component(header, 2, 1).strip())
        self.receiver = (component(header, 3, 2).strip(), component(header, 3, 1).strip())
        self.test = component(header, 11, 1).strip() == "1"
        self.place = f"interchange {self.control}"
        interchange = {
            "sender": self.sender[1],
            "receiver": self.receiver[1],
            "sender_qualifier": self.sender[0],
            "receiver_qualifier": self.receiver[0],
            "control": self.control,
            "date": component(header, 4, 1).strip(),
            "time": component(header, 4, 2).strip(),
            "syntax": f"{level}:{version}",
            "test": self.test,
        }
        self._context: dict[str, Any] = {"interchange": interchange}
        self._around = Around(self.place, 0, level, self._context, tuple(self._notes))

    def header_again(self, raw: bytes) -> None:
        """A second UNB with nothing before it: it counts, and what it does not say the first one does."""
        first, second = self._header, self.elements(raw)
        self._notes.append("UNB comes twice")
        width = max(len(first), len(second))
        both = [*second, *[""] * (width - len(second))]
        for place, element in enumerate(first):
            if not any(both[place]):
                both[place] = element
        self._read_header(both)

    def elements(self, raw: bytes) -> list[Element]:
        """The elements of a service segment."""
        text = raw.decode("iso8859-1").replace("\r", "").replace("\n", "").lstrip()
        elements = self.marks.elements(text)
        if not isinstance(elements[0], str):
            elements[0] = elements[0][0]
        return elements

    def is_empty(self) -> bool:
        """Whether nothing came after UNB yet."""
        return not self._messages and not self._group_count

    def around(self, start: int) -> Around:
        """What a message that begins at that byte stands in."""
        return self._around._replace(byte=start)

    def add(self, result: SetResult) -> None:
        """A message is read."""
        self._messages += 1
        if self._group is None:
            self._messages_outside += 1
        else:
            self._messages_in_group += 1
        if not result.accepted or len(self._results) < RESULTS_KEPT_MAX:
            self._results.append(result)

    def add_unfinished(self, raw: bytes, flaw: Flaw) -> None:
        """A message is there whose end is not."""
        elements = self.elements(raw[:200].split(self.marks.terminator.encode())[0])
        kind, control = component(elements, 2, 1), component(elements, 1, 1)
        errors = (("UNT", 1, 0, "13" if flaw.reason == "truncated" else "39", ""),)
        self.add(SetResult(kind=kind, control=control, accepted=False, errors=errors))

    def note_of(self, result: SetResult) -> str:
        """What was tolerated about a message's place in the interchange."""
        if result.control in self._references:
            return "another message of the interchange has this reference too"
        if len(self._references) < REFERENCES_KEPT_MAX:
            self._references.add(result.control)
        return ""

    def begin_group(self, elements: list[Element]) -> None:
        """UNG."""
        if self._group is not None:
            self._close_group(0, ("13 UNE: a group begins before the one before it has ended",))
        elif self._results or self._messages_outside:
            self._errors.append("30 UNG: groups and messages beside them")
        self._group = elements
        self._group_count += 1
        self._messages_in_group = 0
        group = {
            "code": component(elements, 1, 1),
            "sender": component(elements, 2, 1),
            "receiver": component(elements, 3, 1),
            "date": component(elements, 4, 1),
            "time": component(elements, 4, 2),
            "control": component(elements, 5, 1),
            "version": ":".join(component(elements, 7, number) for number in (1, 2)),
        }
        self._around = self._around._replace(
            place=f"{self.place}, group {group['control']}", context={**self._context, "group": group}
        )

    def end_group(self, elements: list[Element], start: int) -> Iterator[Item]:
        """UNE: how many messages, and the reference of UNG."""
        if self._group is None:
            yield self._flaw(start, "segment_outside", "UNE", component(elements, 2, 1), "preceded by UNG")
            return
        wrong: list[str] = []
        stated, control = component(elements, 1, 1).strip(), component(self._group, 5, 1).strip()
        if not _is_number(stated, self._messages_in_group):
            wrong.append(f"29 UNE.01: {stated}, not {self._messages_in_group}")
            expected = f"{self._messages_in_group}, the messages of the group {control}"
            yield self._flaw(start, "wrong_count", "UNE.01", stated, expected)
        if component(elements, 2, 1).strip() != control:
            wrong.append(f"28 UNE.02: {component(elements, 2, 1)}, not {control}")
        self._close_group(int(stated[:10]) if stated.isdecimal() else 0, tuple(wrong))

    def _close_group(self, stated: int, errors: tuple[str, ...]) -> None:
        group = self._group or []
        self._groups.append(
            GroupResult(
                code=component(group, 1, 1).strip(),
                control=component(group, 5, 1).strip(),
                version=":".join(component(group, 7, number) for number in (1, 2)).strip(":"),
                stated=stated,
                sets=tuple(self._results),
                errors=errors,
            )
        )
        self._group, self._results = None, []
        self._around = self._around._replace(place=self.place, context=self._context)

    def end(self, elements: list[Element], start: int) -> Iterator[Item]:
        """UNZ: how many groups or messages, and the reference of UNB."""
        if self._group is not None:
            self._close_group(0, ("13 UNE: the interchange ends before the group",))
            yield self._flaw(start, "truncated", "UNE", "UNZ", "the segment UNE, with which a group ends")
        counted = self._group_count or self._messages
        stated, control = component(elements, 1, 1).strip(), component(elements, 2, 1).strip()
        self._stated = int(stated[:10]) if stated.isdecimal() else 0
        if not _is_number(stated, counted):
            what = "groups" if self._group_count else "messages"
            self._errors.append(f"29 UNZ.01: {stated}, not {counted}")
            yield self._flaw(start, "wrong_count", "UNZ.01", stated, f"{counted}, the {what} of the interchange")
        if control != self.control:
            self._errors.append(f"28 UNZ.02: {control}, not {self.control}")
            if not self._is_same_interchange(control):
                expected = f"{self.control}, the reference in UNB"
                yield self._flaw(start, "wrong_reference", "UNZ.02", control, expected)

    def _is_same_interchange(self, control: str) -> bool:
        """Whether the trailer's reference is the header's in another way: without zeros, or one of its other references."""
        others = (component(self._header, 6, 1), component(self._header, 7, 1))
        return bool(control) and (control.lstrip("0") == self.control.lstrip("0") or control in others)

    def truncated(self, byte: int) -> Flaw:
        """The flaw that there is no UNZ."""
        if self._group is not None:
            self._close_group(0, ("13 UNE: the interchange ends before the group",))
        self._errors.append("13 UNZ: the interchange does not end")
        expected = f"the segment UNZ, with which an interchange ends, after {self._messages} messages"
        return self._flaw(byte, "truncated", "UNZ", "", expected)

    def interchange(self) -> Interchange:
        """What it comes to."""
        if self._results or not self._groups:
            versions = {result.version for result in self._results}
            self._groups.append(
                GroupResult(
                    code="",
                    control="",
                    version=versions.pop() if len(versions) == 1 else "",
                    stated=self._stated,
                    sets=tuple(self._results),
                )
            )
        return Interchange(
            standard="edifact",
            control=self.control,
            sender=self.sender,
            receiver=self.receiver,
            version=f"{self.level}:{self.version}",
            test=self.test,
            groups=tuple(self._groups),
            answers=tuple(self.answers),
            separators=self.marks.marks(),
            errors=tuple(self._errors),
            dated=" ".join(component(self._header, 4, number).strip() for number in (1, 2)).strip(),
        )

    def _flaw(self, byte: int, reason: str, field: str, value: str, expected: str) -> Flaw:
        return Flaw(f"{self.place}, byte {byte}", reason, field, value[:80], expected, b"", field[:3])


def _is_number(text: str, number: int) -> bool:
    return text.isdecimal() and len(text) <= 10 and int(text) == number
