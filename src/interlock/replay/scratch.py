"""A scratch copy of Interlock: the real steps on a store in memory, with what each batch decided kept for comparison.

    scratch = Scratch(estate)
    decided = scratch.run(arrivals, now)

Time and ids are those of history, so that the same history always comes to the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from interlock.domain.decision import Arrival, Decision, Outcome, OutcomeWord, Problem
from interlock.domain.estate import Estate
from interlock.domain.events import AnyEvent
from interlock.domain.evolve import fold
from interlock.domain.model import Order, Position
from interlock.domain.values import NodeId, OrderId, Quantity, Sku
from interlock.simulation.memory import MemoryInterlock
from interlock.simulation.port import Violation


class Seen(NamedTuple):
    """What a scratch has seen of one message: what became of it, and why."""

    outcome: OutcomeWord
    reason: str


class Scratch(MemoryInterlock):
    """One account of history. `events` are those of each order, `decided` what the last batch came to."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(estate)
        self.events: dict[OrderId, list[AnyEvent]] = {}
        self.decided: list[tuple[Arrival, Decision]] = []
        self.seen: dict[UUID, Seen] = {}
        self.sent: Counter[tuple[str, str]] = Counter()
        self._truths = _Record(self)  # type: ignore[assignment]  # the statements are the simulator's to ask

    def run(self, arrivals: Sequence[Arrival], now: datetime) -> list[tuple[Arrival, Decision]]:
        """One batch at its time; gives every decision of it, of what was parked and went on as well."""
        self._lose_patience(now)
        self.decided = []
        self._run(arrivals, now)
        return self.decided

    def _run(self, arrivals: Sequence[Arrival], now: datetime) -> None:
        """As the batches of the service do: what our own code cannot process is put away alone."""
        try:
            self.take(arrivals, now)
        except Exception as error:
            if len(arrivals) > 1:
                middle = len(arrivals) // 2
                self._run(arrivals[:middle], now)
                self._run(arrivals[middle:], now)
                return
            if arrivals[0].problem is not None:
                raise
            problem = Problem(reason="internal_error", explanation=f"{type(error).__name__}: {error}"[:500])
            self._run([replace(arrivals[0], problem=problem)], now)

    def finish(self, now: datetime) -> None:
        """The range has come to its end: what was parked too long until then is shown."""
        self._lose_patience(now)

    # How it begins

    def know_order(self, order_id: OrderId, events: list[AnyEvent], wake_at: datetime | None) -> None:
        """An order that was there when the range began."""
        order = fold(events)
        order.wake_at = wake_at
        self.events[order_id] = list(events)
        self.store.orders[order_id] = order

    def know_position(
        self,
        sku: Sku,
        node: NodeId,
        layers: tuple[Quantity, Quantity, Quantity],
        excluded_until: datetime | None,
    ) -> None:
        """Stock that was there when the range began."""
        physical, unsellable, reserved = layers
        buffer = self.estate.buffer(sku, node) if node in self.estate.nodes else 0
        sellable = physical - unsellable - reserved - buffer
        position = Position(physical, unsellable, reserved, buffer, sellable, excluded_until)
        self.store.positions.setdefault(sku, {})[node] = position

    def exclude(self, sku: Sku, node: NodeId, until: datetime) -> None:
        """Sourcing left this node out for the SKU when the range began."""
        position = self.store.positions.get(sku, {}).get(node)
        if position is not None and (position.excluded_until is None or position.excluded_until < until):
            position.excluded_until = until
            self.store.excluded[sku, node] = until

    def physical(self, sku: Sku, node: NodeId) -> Quantity:
        """Units of a SKU that stand at a node."""
        position = self.store.positions.get(sku, {}).get(node)
        return position.physical if position is not None else 0

    # Taking back

    def _take_back(self, desk: object, decided: Sequence[tuple[Arrival, Decision]]) -> None:
        loaded: dict[OrderId, datetime | None] = getattr(desk, "loaded", {})
        for order_id in loaded:
            self.store.shadows[order_id] = fold(self.events[order_id])
        super()._take_back(desk, decided)  # type: ignore[arg-type]  # it is the desk that we were given
        for order_id in loaded:
            del self.store.shadows[order_id]


class _Record:
    """Stands where the simulator asks its statements: writes down what was committed."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch

    def committed(
        self, decided: Sequence[tuple[Arrival, Decision]], arrivals: Sequence[Arrival], results: Sequence[Outcome]
    ) -> None:
        scratch = self._scratch
        scratch.decided += decided
        seen = scratch.seen
        for arrival, outcome in zip(arrivals, results, strict=True):
            seen[arrival.message_id] = Seen(outcome.outcome, outcome.reason)
        for arrival, decision in decided:
            if decision.events and decision.order_id is not None:
                scratch.events.setdefault(decision.order_id, []).extend(decision.events)
                seen[arrival.message_id] = Seen(decision.outcome, decision.reason)
            for notice in decision.notices:
                scratch.sent[notice.receiver, notice.message] += 1

    def check(self) -> list[Violation]:
        return []

    def check_all(self) -> list[Violation]:
        return []


def orders_equal(one: Order, other: Order) -> bool:
    """Whether two orders are the same in everything but their timers."""
    if one.wake_at != other.wake_at:
        other = copy(other)
        other.wake_at = one.wake_at
    return one == other
