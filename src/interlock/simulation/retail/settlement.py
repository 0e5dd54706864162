"""At rest: what the estate's systems said and were told, against what Interlock has in its books.

Nothing is said of an order or a position on which something still waits, or whose answers are not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec

from interlock.domain.commands import (
    AdjustStock,
    AnyCommand,
    CaptureOrder,
    ConfirmShipment,
    CountStock,
    CreateOrder,
    IssueRefund,
    OrderCommand,
    ReceiveReturn,
    RejectShipment,
)
from interlock.domain.estate import Estate
from interlock.domain.model import Order, Reservation
from interlock.domain.values import NodeId, OrderId, Quantity, Sku, SystemId
from interlock.simulation.port import Violation
from interlock.simulation.retail.books import Books

Spot = tuple[Sku, NodeId]
Units = dict[int, Quantity]
_SETTLED = frozenset({"processed", "stale", "refused", "conflict", "quarantined"})


class Known(msgspec.Struct):
    """A key as the auditor knows it: the payload it stands for, who sent that, and what it came to the first time."""

    command: AnyCommand
    system: SystemId
    word: str


class Settlement:
    """What the auditor has seen, by order. `counted`: what counts have changed, as their answers said."""

    def __init__(
        self,
        estate: Estate,
        known: Mapping[tuple[str, str, str], Known],
        released: Mapping[tuple[OrderId, int], tuple[int, Units]],
        taken_back: Mapping[tuple[OrderId, int], Units],
        counted: Mapping[Spot, Quantity],
        unsure: set[Spot],
    ) -> None:
        self.estate, self.released, self.taken_back = estate, released, taken_back
        self.done: dict[OrderId, list[AnyCommand]] = {}
        self.open: set[str] = set()
        self.parked: list[tuple[str, str]] = []
        self.by_hand: set[OrderId] = set()
        self.moved: dict[Spot, Quantity] = dict(counted)
        self.unsure = set(unsure)
        for key, seen in known.items():
            command = seen.command
            if seen.word not in _SETTLED:
                self.open.add(key[0])
                if seen.word == "parked":
                    self.parked.append((key[0], key[1]))
                if isinstance(command, CountStock | AdjustStock):
                    self.unsure.add((command.sku, command.node))
            elif seen.word == "processed":
                if isinstance(command, OrderCommand):
                    self.done.setdefault(command.order_id, []).append(command)
                    if isinstance(command, ConfirmShipment) and estate.systems[seen.system].kind == "backoffice":
                        self.by_hand.add(command.order_id)  # the node will tell of the same goods
                elif isinstance(command, AdjustStock):
                    self._move((command.sku, command.node), command.delta)

    def compare(self, books: Books) -> list[Violation]:
        """What differs, order by order, then position by position."""
        found: list[Violation] = []
        troubles: dict[str, list[str]] = {}
        for subject, exception in books.exceptions:
            troubles.setdefault(subject, []).append(exception)
        for subject, action in sorted(self.parked):
            if subject not in troubles:
                found.append(Violation("nothing_vanishes", subject, f"{action} is parked, and nobody was told"))
        for order_id in sorted(self.done):
            order = books.orders.get(order_id)
            if order_id in self.open:
                if order is not None:
                    self._doubt(order)
                continue
            if order is None:
                found.append(Violation("books_agree", order_id, "it was accepted, and is not there"))
                continue
            done = self.done[order_id]
            details = [
                *self._orders(done),
                *self._money(order, done),
                *self._goods(order, done, troubles.get(order_id, [])),
            ]
            found += [Violation(statement, order_id, detail) for statement, detail in details]
        for order_id in sorted(books.orders):
            if order_id not in self.done and order_id not in self.open:
                found.append(
                    Violation("books_agree", order_id, "it is there, and no message about it was ever accepted")
                )
        for spot in sorted(books.physical):
            told, known = self.moved.get(spot, 0), books.physical[spot]
            if spot not in self.unsure and told != known:
                detail = f"{spot[1]} has {known} in the books; what was told of it comes to {told}"
                found.append(Violation("books_agree", spot[0], detail))
        return found

    @staticmethod
    def _orders(done: list[AnyCommand]) -> Iterator[tuple[str, str]]:
        created = sum(1 for command in done if isinstance(command, CreateOrder))
        if created != 1:
            yield "books_agree", f"it was accepted {created} times"

    @staticmethod
    def _money(order: Order, done: list[AnyCommand]) -> Iterator[tuple[str, str]]:
        zero = Decimal(0)
        refunded = sum((c.amount for c in done if isinstance(c, IssueRefund)), zero)
        if refunded != order.payment.refunded:
            yield "books_agree", f"payments say that {refunded} went back, the books {order.payment.refunded}"
        captured = sum((c.amount for c in done if isinstance(c, CaptureOrder)), zero)
        # A restated order may have told of a part of these.
        most = captured + max((c.captured for c in done if isinstance(c, CreateOrder)), default=zero)
        if not captured <= order.payment.captured <= most:
            yield (
                "books_agree",
                f"payments say that {captured} to {most} was captured, the books {order.payment.captured}",
            )

    def _goods(self, order: Order, done: list[AnyCommand], troubles: list[str]) -> Iterator[tuple[str, str]]:
        """Units by line and assignment: told, taken back, shipped as the node says, shipped as the books say."""
        said: dict[tuple[int, int], Quantity] = {}
        for command in done:
            if isinstance(command, ConfirmShipment):
                for unit in command.lines:
                    place = (unit.line_no, command.assignment_no)
                    said[place] = said.get(place, 0) + unit.quantity
            elif isinstance(command, RejectShipment) and command.reason in ("short_pick", "not_found"):
                for unit in command.lines:
                    held = order.reservations[unit.line_no, command.assignment_no]
                    self._move((held.sku, held.node), -unit.quantity)
            elif isinstance(command, ReceiveReturn):
                for back in command.lines:
                    if back.disposition != "scrap":
                        self._move((order.lines[back.line_no].sku, command.node), back.quantity)
        for shipment in order.shipments.values():
            for line_no, quantity in shipment.units:
                self._move((order.lines[line_no].sku, shipment.node), -quantity)
        if order.fulfillment != "carry_out":
            for place, reservation in sorted(order.reservations.items()):
                yield from self._place(order, reservation, said.get(place, 0))
            if order.order_id not in self.by_hand:
                yield from self._unheard(order, troubles)

    def _place(self, order: Order, held: Reservation, said: Quantity) -> Iterator[tuple[str, str]]:
        where = (order.order_id, held.assignment_no)
        back = self.taken_back.get(where, {}).get(held.line_no, 0)
        name = f"line {held.line_no} at assignment {held.assignment_no}"
        if order.order_id not in self.by_hand and not 0 <= said - held.shipped <= back:
            yield "books_agree", f"{name}: the node shipped {said}, the books say {held.shipped}"
        if where not in self.released:
            if back or held.released or (said and order.order_id not in self.by_hand):
                yield "books_agree", f"{name}: the node was never told to start"
            return
        told = self.released[where][1].get(held.line_no, 0)
        canceled = held.canceled - (held.quantity - told)
        if not canceled <= back <= canceled + held.shipped:
            yield "books_agree", f"{name}: {canceled} of {told} told units are canceled, but {back} were taken back"

    def _unheard(self, order: Order, troubles: list[str]) -> Iterator[tuple[str, str]]:
        """Goods that left after we canceled them: then their node was told, and too late."""
        for exception in troubles:
            reason, _, rest = exception.partition("/")
            if reason == "shipped_after_cancel":
                number = int(rest.removeprefix(f"{order.order_id}/").split("/")[0])
                if (order.order_id, number) not in self.taken_back:
                    yield "books_agree", f"assignment {number} was canceled, and its node was never told"

    def _doubt(self, order: Order) -> None:
        for held in order.reservations.values():
            self.unsure.add((held.sku, held.node))
        for line in order.lines.values():
            self.unsure.update([(line.sku, node) for node in self.estate.nodes])

    def _move(self, spot: Spot, units: Quantity) -> None:
        self.moved[spot] = self.moved.get(spot, 0) + units
