"""Documents that are rows, or rows that belong together, against the columns of a contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from interlock.contracts.external.cells import cell, differs
from interlock.contracts.external.drift import DRIFTS_MAX, Drift, renamed, shown
from interlock.domain.partner_contracts import Column


class ColumnsCheck:
    """The columns of one version. Safe to share between threads."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._cells = {each.name: cell(each.type, each.required, each.length_max, each.words) for each in columns}
        self._names = self._cells.keys()
        # What is asked for every row, in the order of the columns.
        self._hot = [
            (name, rule.matches, rule.required, rule.length_max or 0, rule.words)
            for name, rule in self._cells.items()
            if rule.matches is not None or rule.required or rule.length_max or rule.words
        ]

    def passes(self, data: Any) -> bool:
        """Whether nothing differs; False also where it takes a closer look to say."""
        return all(self._row_passes(row) for row in self._rows(data))

    def _row_passes(self, row: Any) -> bool:
        if type(row) is not dict or row.keys() != self._names:
            return False
        for name, matches, required, length_max, words in self._hot:
            value = row[name]
            if type(value) is not str:
                return False
            text = value.strip()
            if not text:
                if required:
                    return False
                continue
            if (
                (matches is not None and matches(text) is None)
                or (length_max and len(text) > length_max)
                or (words and text not in words)
            ):
                return False
        return True

    def drifts(self, data: Any) -> list[Drift]:
        """What differs, at most so many."""
        found: list[Drift] = []
        rows = self._rows(data)
        for place, row in enumerate(rows):
            if not isinstance(row, dict):
                found.append(Drift("changed_type", "", "a row", shown(row)))
            else:
                prefix = f"rows[{place}]." if len(rows) > 1 else ""
                self._row(row, prefix, found)
            if len(found) >= DRIFTS_MAX:
                break
        return renamed(found[:DRIFTS_MAX])

    def _row(self, row: dict[str, Any], prefix: str, found: list[Drift]) -> None:
        for name in row:
            if name not in self._cells:
                found.append(
                    Drift("unknown_field", f"{prefix}{str(name)[:100]}", "a column of the contract", shown(row[name]))
                )
        for name, rule in self._cells.items():
            value = row.get(name)
            if value is None or (isinstance(value, str) and not value.strip()):
                if rule.required:
                    what = "an empty cell" if name in row else "no such column"
                    found.append(Drift("missing_field", f"{prefix}{name}", "a value in every row", what))
            elif (drift := differs(rule, f"{prefix}{name}", value)) is not None:
                found.append(drift)

    def _rows(self, data: Any) -> list[Any]:
        """The rows of a document: of a group all that belong together."""
        if type(data) is dict and "rows" not in self._cells and isinstance(rows := data.get("rows"), list):
            return rows
        return [data]
