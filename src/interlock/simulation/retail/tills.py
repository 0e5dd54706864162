"""The stores: sales over the counter and stock counts in nightly files, and replenishment of all nodes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from interlock.domain.commands import AdjustStock, CountStock, CreateOrder, NewLine
from interlock.domain.values import NodeId, OrderId, Sku
from interlock.simulation.retail.agenda import DAY, HOUR, MINUTE, Agenda, chance_of, moment
from interlock.simulation.retail.estate import DCS, OFFICE, POS, REPLENISHMENT, STORES, Goods
from interlock.simulation.retail.post import Letter, Post

ZERO = Decimal(0)
COUNTS_A_NIGHT = 6
"""SKUs that a store counts each night."""
STORE_SKUS = 40
"""SKUs that a store has on its shelves."""
WINDOW_SKUS = 2
"""SKUs that stand in the window, and are counted again every few hours."""


class Tills:
    """All stores. Each night at its own minute, a store drops a file of its day's sales and one of its counts."""

    def __init__(self, agenda: Agenda, post: Post, goods: Goods, seed: int, sales_a_day: int) -> None:
        self.agenda, self.post, self.goods = agenda, post, goods
        self.sales_a_night = sales_a_day / len(STORES)
        self.die = chance_of(seed, "tills")
        self.ends = 0.0
        self.shelves = {store: self._shelf() for store in STORES}
        self._receipts = 0
        self._version = 0

    def _shelf(self) -> list[Sku]:
        skus = self.goods.skus
        first = self.die.randrange(len(skus))
        return [skus[(first + place) % len(skus)] for place in range(min(STORE_SKUS, len(skus)))]

    def open(self, ends: float) -> None:
        """Close the first day's tills tonight, and every night until then."""
        self.ends = ends
        for place, store in enumerate(STORES):
            self.agenda.at(22 * HOUR + place * 7 * MINUTE, self._close_day, store)
            self.agenda.at(9 * HOUR + place * 11 * MINUTE, self._look_at_window, store)

    def _close_day(self, store: NodeId) -> None:
        if self.agenda.now >= self.ends:
            return
        self.agenda.after(DAY, self._close_day, store)
        sales = round(self.die.uniform(0.6, 1.4) * self.sales_a_night)
        letters = [self._sale(store) for _ in range(sales)]
        if letters:
            self.post.drop_file(POS, letters)
        self.agenda.after(30 * MINUTE, self._count, store)

    def _sale(self, store: NodeId) -> Letter:
        die, shelf = self.die, self.shelves[store]
        self._receipts += 1
        number = f"{self._receipts:07d}"
        skus = dict.fromkeys([shelf[die.randrange(len(shelf))] for _ in range(1 if die.random() < 0.7 else 2)])
        lines = tuple(
            [
                NewLine(line_no=line_no, sku=sku, quantity=1, unit_price=self.goods.prices[sku])
                for line_no, sku in enumerate(skus, 1)
            ]
        )
        total = sum((line.unit_price for line in lines), ZERO)
        placed = moment(self.agenda.now - die.uniform(0.0, 12.0) * HOUR)
        return self.post.write(
            POS,
            CreateOrder(
                order_id=OrderId(f"pos:{number}"),
                ref=f"till-{number}",
                channel="stores",
                number=number,
                placed_at=placed,
                occurred_at=self.post.clock(POS),
                word="INVOICED",
                currency="USD",
                lines=lines,
                fulfillment="carry_out",
                pickup_node=store,
                total=total,
                authorized=total,
                captured=total,
                version=1,
            ),
        )

    def _count(self, store: NodeId) -> None:
        """Some shelves are counted; what is told twice, or late, has the number of the night."""
        die, shelf = self.die, self.shelves[store]
        self._version += 1
        counted = die.sample(shelf, min(COUNTS_A_NIGHT, len(shelf)))
        self.post.drop_file(POS, [self.post.write(POS, self._counted(store, sku)) for sku in counted])

    def _look_at_window(self, store: NodeId) -> None:
        if self.agenda.now >= self.ends:
            return
        self.agenda.after(self.die.uniform(2.0, 5.0) * HOUR, self._look_at_window, store)
        self._version += 1
        for sku in self.shelves[store][:WINDOW_SKUS]:
            self.post.send(POS, self._counted(store, sku))

    def _counted(self, store: NodeId, sku: Sku) -> CountStock:
        return CountStock(
            sku=sku,
            node=store,
            ref=f"count-{self._version}",
            counted=self.die.randrange(2, 40),
            version=self._version,
            occurred_at=self.post.clock(POS),
        )


class Replenishment:
    """Fills DCs and stores: first by a count of everything, then by deliveries that are a little less than what sells."""

    def __init__(
        self, agenda: Agenda, post: Post, goods: Goods, seed: int, units_a_day: float, shelves: dict[NodeId, list[Sku]]
    ) -> None:
        self.agenda, self.post, self.goods = agenda, post, goods
        self.units_a_day, self.shelves = units_a_day, shelves
        self.die = chance_of(seed, "replenishment")
        self.ends = 0.0
        self._refs = 0

    def open(self, ends: float) -> None:
        """Count everything now; deliver every morning until then."""
        self.ends = ends
        for node in DCS:
            for sku in self.goods.skus:
                self._first(
                    sku, node, round(self.units_a_day * self.goods.shares[sku] * self.die.uniform(0.3, 2.0)) + 2
                )
        for store, shelf in self.shelves.items():
            for sku in shelf:
                self._first(sku, store, self.die.randrange(5, 30))
        self.agenda.at(5 * HOUR, self._deliver)

    def _first(self, sku: Sku, node: NodeId, counted: int) -> None:
        self.post.send(OFFICE, CountStock(sku=sku, node=node, ref="opening", counted=counted))

    def _deliver(self, _: Any) -> None:
        if self.agenda.now >= self.ends:
            return
        self.agenda.after(DAY, self._deliver)
        die = self.die
        for sku in self.goods.skus:
            if die.random() < 0.4:
                node = DCS[die.randrange(len(DCS))]
                units = round(self.units_a_day * self.goods.shares[sku] * die.uniform(1.3, 3.8)) + 1
                self._arrive(sku, node, units)
        for store, shelf in self.shelves.items():
            self._arrive(shelf[die.randrange(len(shelf))], store, die.randrange(5, 40))

    def _arrive(self, sku: Sku, node: NodeId, units: int) -> None:
        self._refs += 1
        self.post.send(
            REPLENISHMENT, AdjustStock(sku=sku, node=node, ref=f"delivery-{self._refs}", delta=units, reason="received")
        )
