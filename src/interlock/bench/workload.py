"""The orders that are measured: three lines each, drawn by a fixed seed, so that every run takes in the same bytes.

An order's number decides its part, so numbers are picked until each batch is full: a batch is one part's. Of a hot
workload, four orders in five have one of ten SKUs as their first line; their other lines are like everybody's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final

import msgspec

from interlock.contracts.estate_file import read_estate
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.values import PARTS, part_of
from interlock.storage.arrays import Ints, SmallInts, Texts
from interlock.storage.database import Database, Transaction, queries

q = queries(__file__)

SYSTEM: Final = "shop"
API_KEY: Final = "bench"
LINES_PER_ORDER: Final = 3
SKUS: Final = 10_000
HOT_SKUS: Final = 10
HOT_SHARE: Final = 0.8
BATCH_ORDERS: Final = 400
PLENTY: Final = 1_000_000
PLACES: Final = 2_000
"""Customers' places: each costs the sourcing a table of its own once, as a new postal code would."""

_NODES: Final = {
    "dc-east": (40.8, -77.9),
    "dc-south": (32.8, -90.2),
    "dc-mountain": (39.7, -105.0),
    "dc-west": (37.3, -120.5),
}


def estate_text() -> str:
    """The estate of the benchmark: one web shop, four warehouses without a daily limit, one channel."""
    nodes = "".join(
        f"  {node}:\n    name: {node}\n    kind: dc\n    system: wms\n"
        f"    place: {{country: US, latitude: {latitude}, longitude: {longitude}}}\n"
        "    time_zone: UTC\n    fulfills: [delivery]\n"
        for node, (latitude, longitude) in _NODES.items()
    )
    return f"""\
interlock: 1
retailer: Benchmark
currency: USD
systems:
  {SYSTEM}:
    name: Web shop
    kind: webshop
    owner: {{team: Bench, escalation: bench@example.com}}
    authority: {{order: decide, payment: decide}}
    time_zone: UTC
    connection:
      api_key_sha256: ["{sha256(API_KEY.encode()).hexdigest()}"]
  wms:
    name: Warehouses
    kind: wms
    owner: {{team: Bench, escalation: bench@example.com}}
    authority: {{fulfillment: decide, stock: decide}}
    time_zone: UTC
    connection:
      outbound: {{kind: folder, path: out}}
nodes:
{nodes}channels:
  web:
    system: {SYSTEM}
    fulfills: [delivery]
    sourcing: {{version: bench-1, split_max: 3, unfillable: cancel, cost: distance, cost_per_km: 0.004}}
    release: when_authorized
"""


def estate() -> Estate:
    """The same, read and checked as an `estate.yaml` is."""
    found, mistakes = read_estate(estate_text(), "bench.yaml")
    if found is None:
        raise InvalidValue("estate", "; ".join(map(str, mistakes)), "the benchmark's own estate without a mistake")
    return found


class Batch(msgspec.Struct, frozen=True):
    """Orders of one part, by their numbers."""

    part: int
    numbers: tuple[int, ...]


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent: `orders` in full batches, the first `warm_up` batches of each worker not counted."""

    name: str
    orders: int
    workers: int = 1
    hot: bool = False
    skus: int = SKUS
    batch_orders: int = BATCH_ORDERS
    warm_up: int = 4

    def batches_of(self, worker: int) -> tuple[list[Batch], list[Batch]]:
        """Warm-up and measured batches of one worker; the parts of two workers differ."""
        mine = [part for part in range(PARTS) if part % self.workers == worker]
        wanted = max(1, -(-self.orders // (self.batch_orders * self.workers)))
        parts = [mine[place % len(mine)] for place in range(self.warm_up + wanted)]
        open_: dict[int, list[int]] = {part: [] for part in parts}
        room = {part: parts.count(part) * self.batch_orders for part in open_}
        left, number = sum(room.values()), 0
        while left:
            number += 1
            part = part_of(self.order_id(number))
            if part in room and len(open_[part]) < room[part]:
                open_[part].append(number)
                left -= 1
        batches: list[Batch] = []
        for part in parts:
            some, open_[part] = open_[part][: self.batch_orders], open_[part][self.batch_orders :]
            batches.append(Batch(part, tuple(some)))
        return batches[: self.warm_up], batches[self.warm_up :]

    def order_id(self, number: int) -> str:
        """The order's id in Interlock."""
        return f"{SYSTEM}:{self.name}-{number:07d}"

    def order_ids(self, batch: Batch) -> list[str]:
        """The ids of a batch's orders."""
        return [self.order_id(number) for number in batch.numbers]

    def body(self, number: int) -> bytes:
        """The order as the shop sends it; the same number always gives the same bytes."""
        chance = random.Random(number)
        skus = chance.sample(range(1, self.skus + 1), LINES_PER_ORDER)
        if self.hot and chance.random() < HOT_SHARE:
            skus[0] = chance.randint(1, HOT_SKUS)
            skus[1:] = [sku if sku > HOT_SKUS else sku + HOT_SKUS for sku in skus[1:]]
        total, lines = Decimal(0), []
        for sku in skus:
            quantity, cents = chance.randint(1, 2), chance.randint(199, 19_999)
            price = Decimal(cents) / 100
            total += price * quantity
            lines.append(f'{{"sku":"SKU-{sku:05d}","quantity":{quantity},"unit_price":"{price:.2f}"}}')
        place = chance.randrange(PLACES)
        latitude, longitude = 30 + place % 40 * 0.4, -122 + place // 40 * 1.0
        return (
            f'{{"order_id":"{self.name}-{number:07d}","number":"{number}","channel":"web",'
            f'"placed_at":"2026-03-01T{number % 24:02d}:{number % 60:02d}:00-05:00","currency":"USD",'
            f'"destination":{{"country":"US","postal_code":"{10_000 + place}",'
            f'"latitude":{latitude:.1f},"longitude":{longitude:.1f}}},'
            f'"customer":"c-{number % 50_000}","lines":[{",".join(lines)}],'
            f'"total":"{total:.2f}","payment":{{"authorized":"{total:.2f}"}}}}'
        ).encode()

    def bodies(self, batch: Batch) -> list[bytes]:
        """The bodies of a batch's orders."""
        return [self.body(number) for number in batch.numbers]


def seed(db: Database, *, skus: int = SKUS, hot_units: int | None = None) -> None:
    """Stock every SKU at every node, plentifully; `hot_units`: all that the hot SKUs have at each node."""
    now = datetime.now(UTC)
    for some in _chunks([(f"SKU-{number:05d}", number) for number in range(1, skus + 1)], 2_000):
        rows = [
            (part_of(sku), sku, node, hot_units if hot_units is not None and number <= HOT_SKUS else PLENTY)
            for sku, number in some
            for node in _NODES
        ]

        def write(tx: Transaction, rows: Sequence[tuple[int, str, str, int]] = rows) -> None:
            columns = {
                "parts": SmallInts([row[0] for row in rows]),
                "skus": Texts([row[1] for row in rows]),
                "nodes": Texts([row[2] for row in rows]),
                "units": Ints([row[3] for row in rows]),
            }
            tx.execute(q.seed_positions, now=now, **columns)
            tx.execute(q.seed_movements, now=now, **columns)

        db.transaction(write)


def _chunks(rows: Sequence[tuple[str, int]], size: int) -> Iterator[Sequence[tuple[str, int]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
