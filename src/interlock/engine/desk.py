"""What an attempt at a micro-batch needs of a store, and how PostgreSQL gives it.

`steps.py` is written against the protocol alone, so that the simulator runs the very same steps on a store in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import msgspec

from interlock.domain.decision import Arrival, Decision, Outcome, VersionKey, World
from interlock.domain.estate import Estate
from interlock.domain.sourcing import Sourcing
from interlock.domain.two_masters import Report, ReportKey
from interlock.domain.values import NodeId, OrderId, Sku, SystemId
from interlock.storage import ledger, messages, stock, two_masters, versions
from interlock.storage import world as worlds
from interlock.storage.database import Transaction
from interlock.storage.save import Before, save_decisions
from interlock.storage.together import Together


class Wanted(msgspec.Struct):
    """What a batch must see: orders whole, all nodes of SKUs, the SKUs of `sourced` orders too, counted positions, versions."""

    orders: set[OrderId] = set()
    skus: set[Sku] = set()
    sourced: set[OrderId] = set()
    counted: list[tuple[Sku, NodeId]] = []
    versions: list[VersionKey] = []


class Written(msgspec.Struct):
    """What a batch has come to.

    `results` are the outcomes of `arrivals` in order; `woken` are parked messages with what became of them. `entries` are
    ledger keys to write down, `again` known keys with attempts and conflicts to count, `freed` parked keys to forget.
    `silent` are orders whose timer changed though no event did; `days` is each node's local day.
    """

    arrivals: Sequence[Arrival]
    results: Sequence[Outcome]
    woken: Sequence[tuple[Arrival, Outcome]]
    entries: Sequence[ledger.Entry]
    again: Mapping[ledger.Key, tuple[int, int]]
    freed: Sequence[ledger.Key]
    decided: Sequence[tuple[Arrival, Decision]]
    silent: Iterable[OrderId]
    days: Mapping[NodeId, date]
    reports: Sequence[Report] = ()


class Desk(Protocol):
    """A store as one attempt sees it, inside of its transaction."""

    def known(
        self, keys: Sequence[ledger.Key], subjects: Sequence[str]
    ) -> tuple[dict[ledger.Key, ledger.Known], set[str]]:
        """What the ledger knows of the keys, and on which of the subjects something is parked."""

    def parked(self, subjects: Sequence[str]) -> list[Arrival]:
        """The messages that are parked on these subjects, in order of arrival."""

    def load(self, wanted: Wanted, days: Mapping[NodeId, date], now: datetime) -> World:
        """The world that the batch decides on."""

    def reports(self, keys: Sequence[ReportKey]) -> dict[ReportKey, dict[SystemId, bytes]]:
        """What each of two masters said under these keys before: the facts, by system."""

    def save(self, world: World, written: Written) -> None:
        """Write everything down. Raises StockMissed where it must be decided again, on locked rows."""


class SqlDesk:
    """The store on PostgreSQL: one part, one transaction. `kept`: the arrivals are in the database already."""

    def __init__(
        self, tx: Transaction, part: int, estate: Estate, sourcing: Sourcing, *, kept: bool, strict: bool
    ) -> None:
        self.tx, self.part, self.estate, self.sourcing = tx, part, estate, sourcing
        self.kept, self.strict = kept, strict
        self._before: dict[OrderId, Before] = {}

    def known(
        self, keys: Sequence[ledger.Key], subjects: Sequence[str]
    ) -> tuple[dict[ledger.Key, ledger.Known], set[str]]:
        """One round trip for keys and what is parked."""
        return ledger.known(ledger.ask_many(self.tx, self.part, keys, subjects))

    def parked(self, subjects: Sequence[str]) -> list[Arrival]:
        """Asked only where the ledger says that there are any."""
        return messages.parked_many(self.tx, self.part, subjects)

    def load(self, wanted: Wanted, days: Mapping[NodeId, date], now: datetime) -> World:
        """Orders first (their SKUs may be wanted), then days, then positions: the order in which they are locked."""
        orders = worlds.load_orders(self.tx, self.part, wanted.orders) if wanted.orders else {}
        skus = wanted.skus.union(
            [line.sku for order_id in wanted.sourced & orders.keys() for line in orders[order_id].lines.values()]
        )
        load = worlds.load_node_days(self.tx, days, locked=self.strict) if skus else {}
        if wanted.counted:
            stock.open_many(self.tx, wanted.counted, now)  # a row that is not there cannot be locked
        asked = worlds.ask_positions(self.tx, skus, locked=self.strict) if skus else None
        positions = worlds.positions(asked, self.estate) if asked else {}
        self._before = {order_id: Before.of(order) for order_id, order in orders.items()}
        newest = versions.load_many(self.tx, self.part, wanted.versions) if wanted.versions else {}
        return World(self.estate, self.sourcing, now, orders, positions, load, newest)

    def reports(self, keys: Sequence[ReportKey]) -> dict[ReportKey, dict[SystemId, bytes]]:
        """Asked only for arrivals of two masters."""
        return two_masters.load_many(self.tx, self.part, keys)

    def save(self, world: World, written: Written) -> None:
        """All of it in one round trip where that is possible, the stock last."""
        tx, part, now = self.tx, self.part, world.now
        writes = Together(tx)
        write: Any = messages.settle_many if self.kept else messages.keep_many
        write(writes, part, written.arrivals, written.results, now)
        if written.woken:
            messages.settle_many(writes, part, [a for a, _ in written.woken], [o for _, o in written.woken], now)
        if written.entries:
            ledger.record_many(writes, part, written.entries, now)
        if written.reports:
            two_masters.save_many(writes, part, written.reports, now)
        found = [version for _, decision in written.decided for version in decision.versions]
        if found:
            versions.save_many(writes, part, found, now)
        save_decisions(
            tx, writes, part, world, self._before, written.decided, written.silent, written.days, strict=self.strict
        )
        if written.woken:
            messages.close_parked(tx, part, written.woken, now)
        if written.again:
            # After the new keys: one of them may have come again in the same batch.
            ledger.touch_many(tx, part, written.again, now)
        if written.freed:
            ledger.forget_many(tx, part, written.freed)
