"""Which columns the rows of each kind of file have, and where they stand in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from operator import itemgetter
from typing import Final

from interlock.connectors.formats.tabular import TableUnreadable
from interlock.domain.estate import RecordKind, System
from interlock.domain.links import Files

PLACE: Final = ("country", "region", "postal_code", "latitude", "longitude")
ORDER: Final = (
    *("order_id", "number", "channel", "placed_at", "status", "fulfillment", "pickup_node", "currency"),
    *("customer", "authorized", "captured", "total", "tax", "shipping", *PLACE),
)
LINE: Final = ("quantity", "line_no", "sku", "uom", "unit_price")
EVENT: Final = ("event", "assignment", "ref")
DONE: Final = ("line_no", "quantity", "warehouse_ref", "tracking", "carrier", "occurred_at")
COUNT: Final = ("sku", "node", "counted", "uom", "ref", "occurred_at", "version")
ADJUSTMENT: Final = ("sku", "node", "delta", "uom", "reason", "ref", "occurred_at")

FIELDS: Final[dict[RecordKind, tuple[str, ...]]] = {
    "sales": (*ORDER, *LINE),
    "stock_counts": COUNT,
    "stock_adjustments": ADJUSTMENT,
    "fulfillment": (*EVENT, *DONE),
}
"""The columns that each kind of record may have, by our names."""

REQUIRED: Final[dict[RecordKind, tuple[str, ...]]] = {
    "sales": ("order_id", "channel", "placed_at", "sku", "quantity"),
    "stock_counts": ("sku", "node", "counted"),
    "stock_adjustments": ("sku", "node", "delta", "ref"),
    "fulfillment": ("event", "assignment"),
}
"""Those that a file must have, or the estate's `fixed` must give."""


def kind_of(folder: Files) -> RecordKind:
    """What its rows are. Only folders without a mapping come here, and the estate's rules have made sure that those say it."""
    assert folder.records is not None
    return folder.records


class Columns:
    """Where in a row each of our fields stands; what no column has is what the estate says is fixed, or ""."""

    def __init__(self, header: Sequence[str], system: System, folder: Files) -> None:
        self.system = system
        self._names = {ours: folder.columns.get(ours, ours) for ours in FIELDS[kind_of(folder)]}
        self._fixed = {"currency": system.currency, **folder.fixed} if folder.records == "sales" else folder.fixed
        self._places = {theirs: place for place, theirs in enumerate(header)}
        needed = [ours for ours in REQUIRED[kind_of(folder)] if ours not in self._fixed]
        for ours in dict.fromkeys([*needed, *(name for name in folder.columns if name in self._names)]):
            theirs = self._names[ours]
            if theirs not in self._places and ours not in folder.fixed:
                near = get_close_matches(theirs, header, 1)
                hint = f"; is it {near[0]!r}?" if near else ""
                raise TableUnreadable(
                    "missing_column", "header", ", ".join(header), f"complete: it has no column {theirs!r}{hint}"
                )

    def getter(self, fields: Sequence[str]) -> Callable[[list[str]], list[str]]:
        """A function that gives the values of these fields, without outer blanks, from the cells of a row."""
        places = [self._places.get(self._names[field], -1) for field in fields]
        fixed = [self._fixed.get(field, "") for field in fields]
        if all(place >= 0 for place in places) and len(places) > 1:
            pick = itemgetter(*places)
            return lambda cells: [cell.strip() for cell in pick(cells)]
        pairs = list(zip(places, fixed, strict=True))
        return lambda cells: [
            (cells[place].strip() or constant) if place >= 0 else constant for place, constant in pairs
        ]

    def cell(self, ours: str, cells: Sequence[str]) -> str | None:
        """What a row has in the column of one of our fields; None where there is no such column."""
        place = self._places.get(self.theirs(ours))
        return None if place is None else cells[place]

    def theirs(self, ours: str) -> str:
        """The system's name for one of our fields."""
        return self._names.get(ours, ours)
