"""The demo's stated rules: which store is what, and what becomes of a basket and of each of its lines.

Everything here is a pure function of the data and a seed; docs/demo.md tells the same in prose.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from hashlib import blake2b
from typing import Literal

from interlock.demo.baskets import Basket, Row

TILL_STORES = 16
TENDERED_SHARE = 0.03
GALLON_PRICE_MAX = Decimal("0.10")

Road = Literal["delivery", "ship_from_store", "bopis", "ship_to_store"]
ROADS: tuple[tuple[Road, float], ...] = (
    ("delivery", 0.76),
    ("ship_from_store", 0.06),
    ("bopis", 0.09),
    ("ship_to_store", 0.09),
)

RowOutcome = Literal[
    "web_line",
    "till_line",
    "tendered_line",
    "pump_line",
    "zero_quantity_exported",
    "zero_quantity_coupon",
    "zero_quantity_item",
    "not_in_catalog",
]
ROW_OUTCOMES: dict[RowOutcome, str] = {
    "web_line": "a line of a web order",
    "till_line": "a line of a sale that left the shop with the customer",
    "tendered_line": "a line of an order that was paid at the till and is fetched later",
    "pump_line": "fuel, sold at the pump of its store",
    "zero_quantity_exported": "a till's line of quantity 0: the export has it, Interlock rejects the row by name",
    "zero_quantity_coupon": "a web basket's line of quantity 0 without a product: a coupon's bookkeeping, not ordered",
    "zero_quantity_item": "a web basket's line of quantity 0 with a product: voided, not ordered",
    "not_in_catalog": "a web basket's line of a product that the catalog does not have: cannot be ordered",
}

COORDINATES = {"latitude": (33.0, 42.0), "longitude": (-97.0, -77.0)}
REGIONS = ((-90.0, "west"), (-83.5, "central"), (-77.0, "east"))
"""Regions by their eastern edge, in degrees of longitude."""


def till_stores(baskets_per_store: Mapping[int, int]) -> frozenset[int]:
    """The stores whose baskets are sales at the till: the sixteen with the most baskets, the lower number first."""
    busiest = sorted(baskets_per_store, key=lambda store: (-baskets_per_store[store], store))
    return frozenset(busiest[: min(TILL_STORES, max(1, len(busiest) // 6))])


def road(basket: Basket, seed: int) -> Road:
    """How a web order reaches its customer, by the hash of the basket's number."""
    drawn = share(seed, "road", basket.number)
    for name, width in ROADS:
        drawn -= width
        if drawn < 0:
            return name
    return "delivery"


def is_tendered(basket: Basket, seed: int) -> bool:
    """Whether a till's basket was only paid there and is fetched later; one with fuel never is."""
    return not any(row.gasoline for row in basket.rows) and share(seed, "tendered", basket.number) < TENDERED_SHARE


def outcome_of(row: Row, at_till: bool, tendered: bool) -> RowOutcome:
    """What becomes of a line. Quantity 0 comes first, then fuel, then where it was bought."""
    if row.quantity == 0:
        if at_till:
            return "zero_quantity_exported"
        return "zero_quantity_item" if row.known else "zero_quantity_coupon"
    if row.gasoline:
        return "pump_line"
    if at_till:
        return "tendered_line" if tendered else "till_line"
    return "web_line" if row.known else "not_in_catalog"


def by_volume(row: Row) -> bool:
    """Whether the line's quantity is a volume: fuel whose unit costs below ten cents is in thousandths of a gallon."""
    return row.gasoline and row.quantity > 0 and row.paid < GALLON_PRICE_MAX * row.quantity


def sku_of(row: Row) -> str:
    """The product's number; fuel by volume has a SKU of its own, because a SKU has one unit of measure."""
    return f"{row.product}-GAL" if by_volume(row) else str(row.product)


def units_of(row: Row) -> tuple[Decimal, str]:
    """Quantity and unit of measure: gallons with three decimals for fuel by volume, else whole pieces."""
    if by_volume(row):
        return Decimal(row.quantity) / 1000, "gallon"
    return Decimal(row.quantity), "each"


def unit_price(row: Row) -> Decimal:
    """What one unit brought the shop, to four decimals; an order's total is the sum over these."""
    quantity, _ = units_of(row)
    return (row.paid / quantity).quantize(Decimal("0.0001")) if quantity else Decimal(0)


def total_of(rows: list[Row]) -> Decimal:
    """The order's total: quantity times unit price over its lines, to four decimals, rounded up."""
    exact = sum((units_of(row)[0] * unit_price(row) for row in rows), Decimal(0))
    return exact.quantize(Decimal("0.0001"), ROUND_CEILING)


def place_of(seed: int, what: str, number: int) -> tuple[float, float, str]:
    """Latitude, longitude and region of a store or household. The data has none, so a hash gives them."""
    low, high = COORDINATES["latitude"]
    latitude = round(low + (high - low) * share(seed, f"latitude of {what}", number), 4)
    low, high = COORDINATES["longitude"]
    longitude = round(low + (high - low) * share(seed, f"longitude of {what}", number), 4)
    return latitude, longitude, region_at(longitude)


def region_at(longitude: float) -> str:
    """The region in which a longitude lies."""
    return next((region for edge, region in REGIONS if longitude < edge), REGIONS[-1][1])


def share(seed: int, what: str, key: object) -> float:
    """A number from 0 to below 1 that follows from seed, purpose and key alone."""
    digest = blake2b(f"{seed}|{what}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
