"""Made-up baskets for tests and for machines without the data: the same shapes and oddities, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from interlock.demo.baskets import Basket, Row

STORES = 12
PRODUCTS = 400
BASKETS_PER_DAY = 250


def made_up_baskets(orders: int, seed: int, first: date) -> Iterator[tuple[date, list[Basket]]]:
    """`orders` baskets, at most 250 a day from `first` on; the same for the same seed."""
    chance = random.Random(f"baskets {seed}")
    made = 0
    day = first
    while made < orders:
        today = [_basket(chance, 50_000_000 + place, day) for place in range(made, min(orders, made + BASKETS_PER_DAY))]
        made += len(today)
        yield day, sorted(today, key=lambda basket: (basket.at, basket.number))
        day += timedelta(days=1)


def _basket(chance: random.Random, number: int, day: date) -> Basket:
    """One basket: mostly a few lines, some many, one in fifty with fuel, one in fifty with a line of quantity 0."""
    store = 300 + int(STORES * chance.random() ** 2)
    products = {1000 + int(PRODUCTS * chance.random() ** 2) for _ in range(min(60, 1 + int(chance.expovariate(0.25))))}
    rows = [_row(chance, product) for product in sorted(products)]
    if chance.random() < 0.02:
        rows.append(Row(6_534_178, 8_000 + chance.randrange(9_000), Decimal("24.80"), gasoline=True))
    if chance.random() < 0.02:
        rows.append(Row(900_001, 0, Decimal(0), coupon=True, known=False))
    at = datetime(day.year, day.month, day.day, 13, tzinfo=UTC) + timedelta(seconds=chance.randrange(12 * 3600))
    return Basket(number, store, 1 + chance.randrange(500), at, tuple(rows))


def _row(chance: random.Random, product: int) -> Row:
    """One line; its price follows from the product."""
    quantity = 1 if chance.random() < 0.8 else 2 + chance.randrange(5)
    cents = 99 + product * 37 % 900
    return Row(product, quantity, Decimal(cents * quantity) / 100, coupon=chance.random() < 0.02)
