"""Are a segment's elements what its rule says? Nearly all are, which a regular expression sees; the others are looked at exactly.

A fault that makes the meaning doubtful (a mandatory element missing, no number, no date, half of a pair) refuses the whole
set. What is only strange (too long, too many, an unknown length of a code) is told in the acknowledgment, and the set is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from interlock.connectors.formats.document import Element
from interlock.connectors.formats.x12_segments import UNBOUNDED, ElementRule, Note, SegmentRule, segments

MISSING, CONDITION, TOO_MANY, TOO_SHORT, TOO_LONG = ["1", "2", "3", "4", "5"]
CHARACTER, DATE, TIME, EXCLUDED = ["6", "8", "9", "10"]
"""The codes of AK403 and IK403, X12 element 723."""
_FATAL: Final = frozenset({MISSING, CONDITION, CHARACTER, DATE, TIME})
_NOTES_SINCE: Final = "004010"

_SHAPES_MAX: Final = 12
_DATE_8: Final = (
    "[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)"
)
_DATE: Final = "(?:[0-9]{2})?[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_TIME: Final = "(?:[01][0-9]|2[0-3])[0-5][0-9](?:[0-5][0-9](?:[0-9]{1,2})?)?"
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[Ee][+-]?[0-9]{1,3})?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_DATES: Final = re.compile(_DATE)
_TIMES: Final = re.compile(_TIME)
_TOLD: Final = {
    "R": "a number",
    "N": "a whole number",
    "DT": "a date, CCYYMMDD",
    "TM": "a time, HHMM or HHMMSS",
}
_LOST_TERMINATOR: Final = re.compile(r"\s[A-Z][A-Z0-9]{1,2}$")


class Fault(NamedTuple):
    """What is wrong with an element: its place, the code of AK403, what it holds and what was expected."""

    place: int
    code: str
    value: str
    expected: str

    @property
    def fatal(self) -> bool:
        """Whether the set is refused for it."""
        return self.code in _FATAL


class Check:
    """One segment's quick check with certain separators.

    A partner fills the same elements of a segment in nearly every set. So each such shape, once it is found to fulfil the
    conditions, becomes a plain regular expression, and those of one segment become one. Safe to share between threads.
    """

    __slots__ = ("_element", "_known", "_shapes", "_tag", "_within", "matches", "rule")

    def __init__(self, tag: str, rule: SegmentRule, element: str, component: str) -> None:
        self.rule = rule
        self._tag = tag
        self._element = re.escape(element)
        self._within = re.escape(component)
        self._shapes: list[str] = []
        self._known: set[tuple[bool, ...]] = set()
        self.matches: Callable[[str], object] = _never

    def learns(self, text: str, elements: list[str]) -> bool:
        """Whether a segment that `matches` has not known is right all the same; then its shape is known from now on."""
        shape = tuple(map(bool, elements[1:]))
        if shape in self._known or len(self._known) >= _SHAPES_MAX or not self._fulfils(shape):
            return False
        pattern = "".join(
            self._element + (self._pattern(rule) if filled else "")
            for rule, filled in zip(self.rule.elements, shape, strict=False)
        )
        if not re.compile(self._tag + pattern).fullmatch(text):
            return False
        self._known.add(shape)
        self._shapes.append(pattern)
        self.matches = re.compile(f"{self._tag}(?:{'|'.join(self._shapes)})").fullmatch
        return True

    def _fulfils(self, shape: tuple[bool, ...]) -> bool:
        rules = self.rule.elements
        if len(shape) > len(rules):
            return False
        filled = [*shape, *[False] * (len(rules) - len(shape))]
        if any(rule.mandatory and not there for rule, there in zip(rules, filled, strict=True)):
            return False
        given = ["", *("x" if there else "" for there in filled)]
        return not any(_condition(note, given) for note in self.rule.notes)

    def _pattern(self, rule: ElementRule) -> str:
        most = "" if rule.most >= UNBOUNDED else rule.most
        match rule.type:
            case "R":
                return rf"-?[0-9]{{1,{most}}}\.?[0-9]*"
            case "N":
                return f"-?[0-9]{{1,{most}}}"
            case "DT":
                return _DATE_8
            case "TM":
                return _TIME
            case "C":
                return f"[^{self._element}{self._within}]+"
            case "ID":
                return f"[^{self._element} ]{{{rule.least},{most}}}"
            case _:
                return f"[^{self._element}]{{{rule.least},{most}}}"


def _never(_: str) -> None:
    return None


@lru_cache(maxsize=4096)
def check(tag: str, element: str, component: str) -> Check | None:
    """The check of a segment; None for one without a rule."""
    rule = segments().get(tag)
    return Check(tag, rule, element, component) if rule is not None else None


def examine(rule: SegmentRule, elements: list[str], component: str, version: str) -> tuple[list[Element], list[Fault]]:
    """The elements, cleaned and with their components apart, and every fault in them. `elements[0]` is the tag."""
    faults: list[Fault] = []
    given: list[str] = [elements[0]]
    cleaned: list[Element] = [elements[0]]
    for place, text in enumerate(elements[1:], start=1):
        if place > len(rule.elements):
            if text.strip():
                faults.append(
                    Fault(place, TOO_MANY, text, f"one of the {len(rule.elements)} elements of {elements[0]}")
                )
            given.append(text)
            cleaned.append(text)
            continue
        each = rule.elements[place - 1]
        value = text.rstrip() if each.type == "AN" else text.strip()
        given.append(value)
        if each.type == "C" and component and component in value:
            cleaned.append(value.split(component))
            continue
        cleaned.append(value)
        if value:
            if fault := _fault(place, each, value):
                faults.append(fault)
        elif each.mandatory:
            faults.append(Fault(place, MISSING, "", "given: it is mandatory"))
    for place in range(len(elements), len(rule.elements) + 1):
        if rule.elements[place - 1].mandatory:
            faults.append(Fault(place, MISSING, "", "given: it is mandatory"))
    if not version or version >= _NOTES_SINCE:
        faults += filter(None, (_condition(note, given) for note in rule.notes))
    return cleaned, faults


def _fault(place: int, rule: ElementRule, value: str) -> Fault | None:
    match rule.type:
        case "R" if not _NUMBER.fullmatch(value):
            return Fault(place, CHARACTER, value, _TOLD["R"])
        case "N" if not _WHOLE.fullmatch(value):
            return Fault(place, CHARACTER, value, _TOLD["N"])
        case "DT" if not _is_date(value):
            return Fault(place, DATE, value, _TOLD["DT"])
        case "TM" if not _TIMES.fullmatch(value):
            return Fault(place, TIME, value, _TOLD["TM"])
    length = sum(character.isdigit() for character in value) if rule.type in "RN" else len(value)
    if length > rule.most:
        lost = "; the end of the segment is missing before it" if _LOST_TERMINATOR.search(value) else ""
        return Fault(place, TOO_LONG, value, f"at most {rule.most} characters{lost}")
    if length < rule.least:
        return Fault(place, TOO_SHORT, value, f"at least {rule.least} characters")
    return None


def _is_date(value: str) -> bool:
    if not _DATES.fullmatch(value):
        return False
    year = int(value[:4]) if len(value) == 8 else 2000 + int(value[:2])
    try:
        date(year, int(value[-4:-2]), int(value[-2:]))
    except ValueError:
        return False
    return True


def _condition(note: Note, given: list[str]) -> Fault | None:
    has = [place < len(given) and given[place] != "" for place in note.places]
    names = [f"{place:02}" for place in note.places]
    absent = next((place for place, there in zip(note.places, has, strict=True) if not there), note.places[0])
    match note.kind:
        case "P" if any(has) and not all(has):
            return Fault(absent, CONDITION, "", f"given: {' and '.join(names)} go together")
        case "R" if not any(has):
            return Fault(note.places[0], CONDITION, "", f"given: one of {' and '.join(names)} must be")
        case "C" if has[0] and not all(has):
            return Fault(absent, CONDITION, "", f"given: {names[0]} needs it")
        case "L" if has[0] and not any(has[1:]):
            return Fault(note.places[1], CONDITION, "", f"given: {names[0]} needs one of {' and '.join(names[1:])}")
        case "E" if sum(has) > 1:
            place = [place for place, there in zip(note.places, has, strict=True) if there][-1]
            return Fault(place, EXCLUDED, given[place], f"left out: at most one of {' and '.join(names)} is given")
    return None
