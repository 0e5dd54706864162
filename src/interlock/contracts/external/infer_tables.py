"""Columns drafted from rows: the narrowest type that every filled cell has, and how long the longest is."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from interlock.contracts.external.cells import is_of
from interlock.domain.partner_contracts import CellType

TYPES: Final[tuple[CellType, ...]] = ("boolean", "integer", "number", "date", "time")
LENGTHS: Final = (1, 2, 3, 5, 10, 20, 40, 80, 160, 255, 500, 1000, 2000, 4000, 10_000, 100_000, 1_000_000)
WORDS_MAX: Final = 12
WORDS_KEPT_MAX: Final = 100
ROWS_FOR_WORDS: Final = 50


class CellSeen:
    """All values of one column, or of one element of a segment."""

    __slots__ = ("filled", "leading_zero", "length_max", "types", "words")

    def __init__(self) -> None:
        self.filled = 0
        self.types: list[CellType] = list(TYPES)
        self.length_max = 0
        self.leading_zero = False
        self.words: Counter[str] = Counter()

    def add(self, value: Any) -> None:
        """One more; nothing and blanks do not count."""
        text = value.strip() if isinstance(value, str) else "" if value is None else str(value)
        if not text:
            return
        self.filled += 1
        self.types = [kind for kind in self.types if is_of(kind, value)]
        self.length_max = max(self.length_max, len(text))
        self.leading_zero = self.leading_zero or (len(text) > 1 and text[0] == "0" and text.isdigit())
        if len(self.words) < WORDS_KEPT_MAX:
            self.words[text[:100]] += 1

    def described(self, name: str, notes: list[str]) -> dict[str, Any]:
        """Type, length and words."""
        kind = self._type()
        if kind == "boolean" and set(self.words) <= {"0", "1"}:
            kind = "integer"
            notes.append(f"{name}: only 0 and 1; a number, or yes and no?")
        elif kind in ("date", "time") and all(word.isdigit() for word in self.words):
            notes.append(f"{name}: only digits that could be a {kind}; is it one?")
        made: dict[str, Any] = {}
        if kind != "text":
            made["type"] = kind
            return made
        if (
            2 <= len(self.words) <= WORDS_MAX
            and self.filled >= max(ROWS_FOR_WORDS, 5 * len(self.words))
            and self.length_max <= 40
            and not any(word.isdigit() for word in self.words)
        ):
            made["words"] = sorted(self.words)
            notes.append(f"{name}: {len(self.words)} words in {self.filled} values; are there others?")
        elif self.filled:
            made["length_max"] = next((each for each in LENGTHS if each >= 2 * self.length_max), 2 * self.length_max)
        return made

    def _type(self) -> CellType:
        if not self.filled or not self.types:
            return "text"
        # 00017 is a name that is made of digits, and a number would lose its zeros.
        if self.leading_zero and self.types[0] in ("boolean", "integer", "number"):
            others = [kind for kind in self.types if kind in ("date", "time")]
            return others[0] if others and self.length_max >= 8 else "text"
        # Eight digits that are a day in every row are more likely a day than a number.
        if self.types[0] == "integer" and "date" in self.types and self.length_max == 8:
            return "date"
        return self.types[0]


class ColumnsSeen:
    """All rows of a table."""

    def __init__(self) -> None:
        self._rows = 0
        self._cells: dict[str, CellSeen] = {}
        self._is_group: bool | None = None

    def add(self, data: Any) -> None:
        """One document: a row, or several that belong together. Raises ValueError for what is none."""
        rows = data.get("rows") if isinstance(data, dict) else None
        for row in rows if isinstance(rows, list) else [data]:
            if not isinstance(row, dict):
                raise ValueError("a document is no row of a table")
            self._rows += 1
            for name, value in row.items():
                if isinstance(value, dict | list | tuple):
                    raise ValueError(f"{name} holds more than one value: it is a tree, and no row")
                if not str(name).strip():
                    raise ValueError("a column has no name")
                (self._cells.get(name) or self._cells.setdefault(name, CellSeen())).add(value)

    def described(self, notes: list[str]) -> list[dict[str, Any]]:
        """The columns, in the order in which they came. Raises ValueError where there are none."""
        if not self._cells:
            raise ValueError("there is no column among the samples")
        columns = []
        for name, cell in self._cells.items():
            column = {"name": name, **cell.described(name, notes)}
            if cell.filled < self._rows:
                column["required"] = False
            if not cell.filled:
                notes.append(f"{name}: always empty")
            columns.append(column)
        return columns
