"""What a cell of a table or an element of a segment may hold: types of text, lengths and words.

Partners write numbers, days and times in many ways, and the mapping is what reads them. Here it only counts that what was a
number is still one, and so on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, NamedTuple

from interlock.contracts.external.drift import Drift, shown
from interlock.domain.partner_contracts import CellType

_DAY: Final = (
    r"(?:\d{4}-\d\d?-\d\d?|\d{4}/\d\d?/\d\d?|\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])|\d\d?\.\d\d?\.\d{4}|"
    r"\d\d?/\d\d?/\d{2}(?:\d\d)?|\d\d?-\d\d?-\d{4}|\d\d?-[A-Za-z]{3}-\d{2}(?:\d\d)?)"
)
_TIME: Final = (
    r"(?:\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?|(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\d\d)?)?)"
    r"(?: ?(?:Z|[+-]\d\d:?(?:\d\d)?))?"
)
_PATTERNS: Final[dict[CellType, str]] = {
    "integer": r"[+-]?\d+",
    "number": r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+|\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d{1,3}(?:\.\d{3})+(?:,\d*)?)(?:[eE][+-]?\d+)?-?",
    "boolean": r"(?i:true|false|yes|no|y|n|t|f|0|1|x)",
    "date": _DAY,
    "time": rf"(?:{_DAY}(?:[T ] ?{_TIME})?|{_TIME})",
}
_MATCHES: Final[dict[CellType, Callable[[str], object]]] = {
    kind: re.compile(pattern, re.ASCII).fullmatch for kind, pattern in _PATTERNS.items()
}
_EXPECTED: Final[dict[CellType, str]] = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "yes or no (true, false, Y, N, 1, 0)",
    "date": "a day, such as 2026-03-01",
    "time": "a time, such as 2026-03-01T09:30:00",
}


def is_of(kind: CellType, value: Any) -> bool:
    """Whether a cell holds that type; cells of databases and of fixed-width files have types of their own."""
    if isinstance(value, str):
        return kind == "text" or _MATCHES[kind](value.strip()) is not None
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, int | Decimal | float):
        if kind == "integer":
            return bool(value == value and -(10**30) < value < 10**30 and value == int(value))
        # A day may be 20260301, and yes 1; whether text may come as a number is told apart by nobody.
        return kind in ("number", "text") or (isinstance(value, int) and _MATCHES[kind](str(value)) is not None)
    if isinstance(value, datetime | date | time):
        return kind in ("date", "time")
    return False


class Cell(NamedTuple):
    """The rule of a cell, ready to be asked."""

    type: CellType
    matches: Callable[[str], object] | None
    required: bool
    length_max: int | None
    words: frozenset[str]


def cell(kind: CellType, required: bool, length_max: int | None, words: Sequence[str]) -> Cell:
    """A rule, compiled."""
    return Cell(kind, None if kind == "text" else _MATCHES[kind], required, length_max, frozenset(words))


def differs(rule: Cell, path: str, value: Any) -> Drift | None:
    """What is wrong with a value that is there; None where nothing is."""
    if not is_of(rule.type, value):
        return Drift("changed_type", path, _EXPECTED[rule.type], shown(value))
    text = value.strip() if isinstance(value, str) else str(value)
    if rule.words and text not in rule.words:
        return Drift("other", path, f"one of {', '.join(sorted(rule.words)[:20])}", shown(value))
    if rule.length_max is not None and len(text) > rule.length_max:
        return Drift("other", path, f"at most {rule.length_max} characters", f"{len(text)}: {shown(value)}")
    return None
