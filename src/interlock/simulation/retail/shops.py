"""The web shop and the marketplace: orders, their payments, changes of mind, cancellations."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from interlock.domain.commands import (
    AuthorizeOrder,
    CancelOrder,
    CaptureOrder,
    CreateOrder,
    IssueRefund,
    LineUnits,
    NewLine,
)
from interlock.domain.decision import Outcome
from interlock.domain.values import NodeId, OrderId, Quantity, Sku, SystemId
from interlock.simulation.retail.agenda import DAY, HOUR, MINUTE, Agenda, chance_of, moment
from interlock.simulation.retail.estate import HOMES, MARKET, PSP, STORES, Goods
from interlock.simulation.retail.post import Letter, Post

ZERO = Decimal(0)

BUSY = (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 9, 9, 10, 9, 8, 8, 9, 10, 12, 14, 14, 11, 7, 4)
"""How busy each hour of a day is."""

CANCELED, AMENDED, PAID_LATER = 0.06, 0.04, 0.45
"""Shares of orders: canceled in whole or in part, told again with fewer units, and paid by a message of its own."""


class Sale:
    """An order as its customer knows it. `shipped` are units by line that came by post; `captured`: the money was taken."""

    __slots__ = ("canceled", "captured", "command", "lines", "order_id", "refunded", "shipped", "system")

    def __init__(self, system: SystemId, command: CreateOrder) -> None:
        self.system = system
        self.command = command
        self.order_id: OrderId = command.order_id
        self.lines = {line.line_no: line for line in command.lines}
        self.shipped: dict[int, Quantity] = {}
        self.refunded: set[int] = set()
        self.captured = command.captured > 0
        self.canceled = False


class Shop:
    """One channel that sells `orders_a_day`; `sold` is told of every order."""

    def __init__(
        self,
        system: SystemId,
        agenda: Agenda,
        post: Post,
        goods: Goods,
        seed: int,
        orders_a_day: int,
        sold: Callable[[Sale], None],
    ) -> None:
        self.system, self.agenda, self.post, self.goods, self.sold = system, agenda, post, goods, sold
        self.orders_a_day = orders_a_day
        self.die = chance_of(seed, f"shop/{system}")
        self.ends = 0.0
        self._number = 0
        self._refs = 0
        self._hours = [share / sum(BUSY) for share in BUSY]

    def open(self, ends: float) -> None:
        """Sell from now on, until this time."""
        self.ends = ends
        self._plan_next()

    def _plan_next(self) -> None:
        hour = int(self.agenda.now / HOUR) % 24
        pace = self.orders_a_day * self._hours[hour] / HOUR
        self.agenda.after(self.die.expovariate(pace), self._sell)

    def _sell(self, _: Any) -> None:
        if self.agenda.now >= self.ends:
            return
        self._plan_next()
        die, market = self.die, self.system == MARKET
        self._number += 1
        number = f"{self._number:06d}"
        lines = self._lines()
        total = sum((line.unit_price * line.quantity for line in lines), ZERO)
        paid = total if market or die.random() >= PAID_LATER else ZERO
        at_store = not market and die.random() < 0.06
        pickup: NodeId | None = STORES[die.randrange(len(STORES))] if at_store else None
        command = CreateOrder(
            order_id=OrderId(f"{self.system}:{number}"),
            ref=f"pay-{number}",
            channel=str(self.system),
            number=number,
            placed_at=moment(self.agenda.now),
            currency="USD",
            lines=lines,
            fulfillment="bopis" if at_store else "delivery",
            destination=None if at_store else HOMES[die.randrange(len(HOMES))],
            pickup_node=pickup,
            total=total,
            authorized=paid,
            version=None if market else 1,
        )
        sale = Sale(self.system, command)
        self.post.send(self.system, command)
        self.sold(sale)
        if not market:
            self._pay(sale, paid, total)
        else:
            self.agenda.after(die.uniform(0.1, 2.0) * DAY, self._restate_captured, sale)
        drawn = die.random()
        if drawn < CANCELED:
            # Some think again within seconds: their cancellation may overtake the order.
            wait = die.uniform(1.0, 600.0) if die.random() < 0.5 else die.expovariate(1.0 / (6 * HOUR))
            self.agenda.after(wait, self._cancel, sale)
        elif drawn < CANCELED + AMENDED:
            self.agenda.after(die.expovariate(1.0 / HOUR), self._amend, sale)

    def _lines(self) -> tuple[NewLine, ...]:
        die, goods = self.die, self.goods
        found: dict[Sku, int] = {}
        for _ in range(1 if die.random() < 0.6 else die.randrange(2, 4)):
            sku = goods.pick(die.random())
            found[sku] = 1 if die.random() < 0.75 else die.randrange(2, 5)
        return tuple(
            [
                NewLine(line_no=line_no, sku=sku, quantity=units, unit_price=goods.prices[sku])
                for line_no, (sku, units) in enumerate(found.items(), 1)
            ]
        )

    def _pay(self, sale: Sale, paid: Decimal, total: Decimal) -> None:
        die = self.die
        if not paid:
            self.agenda.after(die.uniform(0.0, 20.0) * MINUTE, self._authorize, (sale, total))
        if die.random() < 0.9:
            self.agenda.after(die.uniform(0.5, 30.0) * HOUR, self._capture, (sale, total))

    def _authorize(self, what: tuple[Sale, Decimal]) -> None:
        sale, amount = what
        self.post.send(
            PSP,
            AuthorizeOrder(
                order_id=sale.order_id, ref=self._ref("auth"), amount=amount, occurred_at=self.post.clock(PSP)
            ),
        )

    def _capture(self, what: tuple[Sale, Decimal]) -> None:
        sale, total = what
        if sale.canceled:
            return
        first = total if self.die.random() < 0.8 else (total / 2).quantize(Decimal("0.01"))
        self.post.send(
            PSP, CaptureOrder(order_id=sale.order_id, ref=self._ref("cap"), amount=first), self._captured(sale)
        )
        if first < total:
            self.agenda.after(self.die.uniform(0.1, 1.0) * DAY, self._capture_rest, (sale, total - first))

    def _capture_rest(self, what: tuple[Sale, Decimal]) -> None:
        sale, amount = what
        self.post.send(PSP, CaptureOrder(order_id=sale.order_id, ref=self._ref("cap"), amount=amount))

    @staticmethod
    def _captured(sale: Sale) -> Callable[[Letter, Outcome], None]:
        def done(letter: Letter, _: Outcome) -> None:
            sale.captured = letter.answer == "processed"

        return done

    def _restate_captured(self, sale: Sale) -> None:
        """The marketplace tells the whole order again, with the money taken."""
        if sale.canceled:
            return
        sale.captured = True
        sale.command = msgspec.structs.replace(sale.command, captured=sale.command.authorized)
        self.post.send(MARKET, sale.command)

    def _amend(self, sale: Sale) -> None:
        """Fewer units of one line, told as a whole order again."""
        if sale.canceled or all(line.quantity < 2 for line in sale.command.lines):
            return
        line_no = next(line.line_no for line in sale.command.lines if line.quantity > 1)
        lines = tuple(
            [
                msgspec.structs.replace(line, quantity=1) if line.line_no == line_no else line
                for line in sale.command.lines
            ]
        )
        version = sale.command.version
        sale.command = msgspec.structs.replace(
            sale.command, lines=lines, version=None if version is None else version + 1
        )
        self.post.send(self.system, sale.command)

    def _cancel(self, sale: Sale) -> None:
        die = self.die
        units: tuple[LineUnits, ...] = ()
        if die.random() < 0.35:
            line = sale.command.lines[die.randrange(len(sale.command.lines))]
            units = (LineUnits(line.line_no, 1),)
        else:
            sale.canceled = True
        command = CancelOrder(order_id=sale.order_id, ref=self._ref("cancel"), lines=units, reason="customer")
        self.post.send(self.system, command, self._give_back(sale, units))

    def _give_back(self, sale: Sale, units: tuple[LineUnits, ...]) -> Callable[[Letter, Outcome], None]:
        """What was canceled after it was paid is paid back; the payment service does not ask how far the goods are."""

        def done(letter: Letter, _: Outcome) -> None:
            if letter.answer == "processed" and sale.captured:
                self.agenda.after(self.die.uniform(0.0, 3.0) * HOUR, self._refund, (sale, units))

        return done

    def _refund(self, what: tuple[Sale, tuple[LineUnits, ...]]) -> None:
        sale, units = what
        if not units:
            units = tuple([LineUnits(line.line_no, line.quantity) for line in sale.command.lines])
        amount = sum((sale.lines[u.line_no].unit_price * u.quantity for u in units), ZERO)
        self.post.send(PSP, IssueRefund(order_id=sale.order_id, ref=self._ref("refund"), amount=amount, lines=units))

    def _ref(self, kind: str) -> str:
        self._refs += 1
        return f"{self.system}-{kind}-{self._refs}"
