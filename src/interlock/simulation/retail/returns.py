"""Customers who send goods back: the returns portal, the node that gets the parcel, and the payment service that refunds."""

from __future__ import annotations

from collections.abc import Callable

from interlock.domain.commands import AuthorizeReturn, Disposition, IssueRefund, LineUnits, Received, ReceiveReturn
from interlock.domain.decision import Outcome
from interlock.domain.values import NodeId, OrderId, Quantity
from interlock.simulation.retail.agenda import DAY, HOUR, Agenda, chance_of
from interlock.simulation.retail.estate import DCS, PORTAL, PSP
from interlock.simulation.retail.post import Letter, Post
from interlock.simulation.retail.shops import Sale

RETURNED, AT_THE_DOOR, BLIND, AT_ONCE, GREEDY = 0.08, 0.3, 0.1, 0.3, 0.05
"""Shares: of parcels, what comes back; of these, refused at the door, sent without a number, refunded before it is back, and
refunded twice."""

_DISPOSITIONS: tuple[Disposition, ...] = ("restock", "restock", "restock", "damaged", "scrap")


class Returns:
    """Hears of every parcel that left, and sends some of it back."""

    def __init__(self, agenda: Agenda, post: Post, seed: int, sales: dict[OrderId, Sale]) -> None:
        self.agenda, self.post, self.sales = agenda, post, sales
        self.die = chance_of(seed, "returns")
        self._refs = 0

    def left(self, order_id: OrderId, _: NodeId, units: dict[int, Quantity]) -> None:
        """A parcel is on its way to its customer, or at the counter."""
        sale, die = self.sales.get(order_id), self.die
        if sale is None or die.random() >= RETURNED:
            return
        line_no = next(iter(units))
        some = LineUnits(line_no, 1 if die.random() < 0.5 else units[line_no])
        # A parcel that is refused at the door may be back before its node has told that it left.
        wait = die.uniform(60.0, 2 * HOUR) if die.random() < AT_THE_DOOR else die.uniform(0.5, 8.0) * DAY
        self.agenda.after(wait, self._authorize, (sale, some))

    def _authorize(self, what: tuple[Sale, LineUnits]) -> None:
        sale, unit = what
        die, rma = self.die, self._ref("RMA")
        if die.random() >= BLIND:
            self.post.send(
                PORTAL, AuthorizeReturn(order_id=sale.order_id, ref=rma, lines=(unit,), reason="changed mind")
            )
        else:
            rma = ""
        self.agenda.after(die.uniform(0.02, 4.0) * DAY, self._receive, (sale, unit, rma))
        if die.random() < AT_ONCE:
            self._refund((sale, unit))

    def _receive(self, what: tuple[Sale, LineUnits, str]) -> None:
        sale, unit, rma = what
        disposition = _DISPOSITIONS[self.die.randrange(len(_DISPOSITIONS))]
        self.post.send(
            PORTAL,
            ReceiveReturn(
                order_id=sale.order_id,
                ref=self._ref("back"),
                node=DCS[self.die.randrange(len(DCS))],
                lines=(Received(line_no=unit.line_no, quantity=unit.quantity, disposition=disposition),),
                return_ref=rma,
                occurred_at=self.post.clock(PORTAL),
            ),
            self._received(sale, unit),
        )

    def _received(self, sale: Sale, unit: LineUnits) -> Callable[[Letter, Outcome], None]:
        def done(letter: Letter, _: Outcome) -> None:
            if letter.answer == "processed":
                self.agenda.after(self.die.uniform(0.0, 12.0) * HOUR, self._refund, (sale, unit))

        return done

    def _refund(self, what: tuple[Sale, LineUnits]) -> None:
        """Once for each line; some clerks do it twice."""
        sale, unit = what
        if unit.line_no in sale.refunded and self.die.random() >= GREEDY:
            return
        times = 2 if self.die.random() < GREEDY else 1
        sale.refunded.add(unit.line_no)
        for _ in range(times):
            self.post.send(
                PSP,
                IssueRefund(
                    order_id=sale.order_id,
                    ref=self._ref("refund"),
                    amount=sale.lines[unit.line_no].unit_price * unit.quantity,
                    lines=(unit,),
                ),
            )

    def _ref(self, kind: str) -> str:
        self._refs += 1
        return f"{kind}-{self._refs}"
