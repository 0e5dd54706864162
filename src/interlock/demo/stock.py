"""The stock that the demo begins with: derived from what the slice will ask for, with stated shortages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal

import msgspec

from interlock.demo.rules import share

DC, QUICK = "DC-CENTRAL", "3PL-EAST"

TILL_SHORT = 0.003
"""Of the till stores' positions: counted one unit below what will be sold, as real counts are."""
PICKUP_MISSING = 0.03
"""Of the positions for pick-up in store: not there at all, so that these units cannot be filled."""
LOCAL_MISSING = 0.15
"""Of the positions for shipping from store: not there, so that the order is split or goes elsewhere."""
HOT = 0.01
"""Of the shipped SKUs that are asked for at least four times: half of what is asked for, in one place."""
QUICK_ONLY = 0.01
"""Of the shipped SKUs: only at the third party's, so that orders split."""
QUICK_UNITS_MIN = 4
"""SKUs that are asked for so often are at the third party's too."""


class Demand(msgspec.Struct):
    """Units that the slice asks for, by (store, SKU), or by SKU where they are shipped."""

    till: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    pump: dict[tuple[str, str], Decimal] = {}
    pickup: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    local: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    shipped: Counter[str] = msgspec.field(default_factory=Counter)


class Count(msgspec.Struct, frozen=True):
    """One counted position."""

    sku: str
    node: str
    counted: Decimal
    uom: str = "each"


def initial_counts(demand: Demand, seed: int) -> Iterator[Count]:
    """One count for each position of the demo, sorted by node and SKU."""
    shelves: Counter[tuple[str, str]] = Counter()
    for key, units in demand.till.items():
        shelves[key] += units - 1 if share(seed, "short at the till", key) < TILL_SHORT else units
    for key, units in demand.pickup.items():
        if share(seed, "missing for pickup", key) >= PICKUP_MISSING:
            shelves[key] += units
    shipped = Counter(demand.shipped)
    for key, units in demand.local.items():
        if share(seed, "missing locally", key) < LOCAL_MISSING:
            shipped[key[1]] += units
        else:
            shelves[key] += units
    warehouses = {(node, sku): units for sku, asked in shipped.items() for node, units in _warehoused(sku, asked, seed)}
    pumps = {key: asked.to_integral_value(ROUND_CEILING) + 10 for key, asked in demand.pump.items()}
    for node, sku in sorted({*shelves, *warehouses, *pumps}):
        if (node, sku) in pumps:
            yield Count(sku, node, pumps[node, sku], "gallon")
        else:
            yield Count(sku, node, Decimal(shelves[node, sku] + warehouses.get((node, sku), 0)))


def _warehoused(sku: str, asked: int, seed: int) -> Iterator[tuple[str, int]]:
    """Where a shipped SKU lies, and how much: the DC has four fifths, the third party half of what is asked for."""
    if asked >= 4 and share(seed, "hot", sku) < HOT:
        yield QUICK, asked // 2
        return
    only_quick = share(seed, "quick only", sku) < QUICK_ONLY
    if not only_quick:
        yield DC, asked * 4 // 5 + 1
    if only_quick or asked >= QUICK_UNITS_MIN:
        yield QUICK, asked + 1 if only_quick else asked // 2 + 1
