"""What is always true, asked of the store in memory after every step: only of what the step has touched, so that it is cheap.

Each statement is worked out by another road than the one that made the effects: sums are kept beside positions, every order's
events are applied to a shadow of it, authority is read from the estate again.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlock.domain.authority import INTERLOCK, tells_for_others
from interlock.domain.commands import AssignmentCommand, CreateOrder, StockCommand
from interlock.domain.decision import Arrival, Decision, Movement, Outcome
from interlock.domain.estate import Estate
from interlock.domain.evolve import evolve
from interlock.domain.model import Order
from interlock.domain.values import NodeId, OrderId, Quantity, Sku
from interlock.domain.versions import may_restate
from interlock.simulation.port import Violation
from interlock.simulation.store import Store
from interlock.storage import ledger

_OUTCOMES = frozenset({"processed", "duplicate", "stale", "parked", "conflict", "refused", "quarantined"})
_OFFICE = frozenset({"backoffice", "erp"})

Spot = tuple[Sku, NodeId]


class Truths:
    """The statements, kept up with every commit. `violations` are what was found and not asked for yet."""

    def __init__(self, estate: Estate, store: Store) -> None:
        self.estate = estate
        self.store = store
        self.violations: list[Violation] = []
        self._sums: dict[Spot, list[Quantity]] = {}
        self._causes: set[tuple[Sku, NodeId, str]] = set()
        self._held: dict[OrderId, dict[Spot, Quantity]] = {}
        self._reserved: dict[Spot, Quantity] = {}
        self._effects: set[ledger.Key] = set()
        self._spots: set[Spot] = set()
        self._orders: set[OrderId] = set()

    def committed(
        self, decided: Sequence[tuple[Arrival, Decision]], arrivals: Sequence[Arrival], results: Sequence[Outcome]
    ) -> None:
        """A batch was committed: its effects are in the store."""
        if len(arrivals) != len(results) or any(o.outcome not in _OUTCOMES for o in results):
            self._say("nothing_vanishes", "", f"{len(arrivals)} messages have {len(results)} outcomes")
        for arrival, decision in decided:
            if decision.movements:
                for movement in decision.movements:
                    self._moved(movement)
            if decision.events or decision.movements:
                self._acted(arrival, decision)
            if decision.events and decision.order_id is not None:
                self._happened(decision.order_id, decision)

    def _moved(self, m: Movement) -> None:
        spot = (m.sku, m.node)
        sums = self._sums.get(spot)
        if sums is None:
            sums = self._sums[spot] = [0, 0, 0]
        sums[0] += m.physical
        sums[1] += m.unsellable
        sums[2] += m.reserved
        cause = (m.sku, m.node, m.cause)
        if cause in self._causes:
            self._say("once", m.sku, f"two movements at {m.node} have the cause {m.cause}")
        self._causes.add(cause)
        self._spots.add(spot)
        if m.kind == "reserve":
            position = self.store.positions[m.sku][m.node]
            if sums[0] - sums[1] - sums[2] < position.buffer:
                self._say(
                    "no_oversell", m.sku, f"{m.cause} reserved {m.reserved} at {m.node}, which had not as many to sell"
                )

    def _acted(self, arrival: Arrival, decision: Decision) -> None:
        """Something followed from this message: it may follow once, and from those who may decide."""
        command = arrival.command
        if command is None:
            self._say("nothing_vanishes", str(arrival.message_id), "a message that could not be read had effects")
            return
        if decision.outcome != "processed":
            self._say("once", command.subject, f"{command.action} was {decision.outcome} and had effects")
        key = (command.subject, command.action, command.key)
        system = self.estate.systems.get(arrival.system)
        if key in self._effects and not may_restate(system, command):
            self._say("once", command.subject, f"{command.action} {command.key} had effects twice")
        self._effects.add(key)
        if arrival.system == INTERLOCK:
            return
        if system is None or system.authority.get(command.fact) != "decide":
            self._say("within_authority", command.subject, f"{arrival.system} has decided {command.fact}")
        elif isinstance(command, CreateOrder | StockCommand) and not tells_for_others(system):
            teller = (
                self.estate.channels[command.channel].system
                if isinstance(command, CreateOrder)
                else self.estate.nodes[command.node].system
            )
            if teller != arrival.system:
                self._say("within_authority", command.subject, f"{arrival.system} has told what is {teller}'s")
        elif isinstance(command, AssignmentCommand) and system.kind not in _OFFICE:
            node = self.store.orders[command.order_id].assignments[command.assignment_no].node
            if self.estate.nodes[node].system != arrival.system:
                self._say("within_authority", command.subject, f"{arrival.system} has spoken for {node}")

    def _happened(self, order_id: OrderId, decision: Decision) -> None:
        shadow = self.store.shadows.get(order_id)
        if (shadow.seq if shadow else 0) != decision.seq_before:
            self._say(
                "history_whole", order_id, f"event {decision.seq_before + 1} follows {shadow.seq if shadow else 0}"
            )
        for event in decision.events:
            shadow = evolve(shadow, event)
        if shadow is not None:
            self.store.shadows[order_id] = shadow
        self._orders.add(order_id)

    def check(self) -> list[Violation]:
        """What does not hold of what was touched since the last time."""
        for order_id in sorted(self._orders):
            self._check_order(order_id)
        for spot in sorted(self._spots):
            self._check_spot(spot)
        self._orders.clear()
        self._spots.clear()
        found, self.violations = self.violations, []
        return found

    def check_all(self) -> list[Violation]:
        """The same of everything."""
        self._orders.update(self.store.orders)
        self._spots.update(self._sums)
        for (subject, exception_id), row in self.store.exceptions.items():
            if not row.owner or row.due_at <= row.opened_at:
                self._say("exceptions_owned", subject, f"{exception_id} has no owner or no clock")
        return self.check()

    def _check_order(self, order_id: OrderId) -> None:
        order = self.store.orders.get(order_id)
        shadow = self.store.shadows.get(order_id)
        if order is None or shadow is None:
            self._say("history_whole", order_id, "there is an order without events, or events without an order")
            return
        shadow.wake_at = order.wake_at
        if shadow != order:
            self._say("history_whole", order_id, "folding its events does not give the order")
        for line in order.lines.values():
            counts = (line.open, line.allocated, line.released, line.packed, line.shipped, line.canceled, line.returned)
            if sum(counts) != line.quantity or min(counts) < 0:
                self._say("units_conserved", order_id, f"line {line.line_no} of {line.quantity} has {counts}")
            if not 0 <= line.refunded <= line.canceled + line.returned:
                self._say(
                    "money_agrees", order_id, f"{line.refunded} units of line {line.line_no} are refunded for nothing"
                )
        payment = order.payment
        if not 0 <= payment.refunded <= payment.captured <= payment.authorized:
            self._say("money_agrees", order_id, f"payment {payment}")
        self._check_reservations(order)
        if any(parked.waits_for == order_id for parked in self.store.parked.get(order_id, ())):
            self._say("nothing_vanishes", order_id, "something waits for this order, which is there")

    def _check_reservations(self, order: Order) -> None:
        held: dict[Spot, Quantity] = {}
        by_line: dict[int, Quantity] = {}
        for r in order.reservations.values():
            if r.allocated + r.released + r.packed + r.shipped + r.canceled + r.rejected != r.quantity:
                self._say("units_conserved", order.order_id, f"reservation {r}")
            mine = r.allocated + r.released + r.packed
            if mine:
                by_line[r.line_no] = by_line.get(r.line_no, 0) + mine
                held[r.sku, r.node] = held.get((r.sku, r.node), 0) + mine
        for line in order.lines.values():
            if by_line.get(line.line_no, 0) != line.allocated + line.released + line.packed:
                self._say("units_conserved", order.order_id, f"line {line.line_no} and its reservations differ")
        before = self._held.get(order.order_id, {})
        if held != before:
            for spot in before.keys() | held.keys():
                change = held.get(spot, 0) - before.get(spot, 0)
                if change:
                    self._reserved[spot] = self._reserved.get(spot, 0) + change
                    self._spots.add(spot)
            self._held[order.order_id] = held

    def _check_spot(self, spot: Spot) -> None:
        position = self.store.positions[spot[0]][spot[1]]
        sums = self._sums.get(spot, [0, 0, 0])
        if [position.physical, position.unsellable, position.reserved] != sums:
            self._say("stock_balances", spot[0], f"{spot[1]} has {position}, its movements come to {sums}")
        if self._reserved.get(spot, 0) != position.reserved:
            self._say(
                "stock_balances",
                spot[0],
                f"{spot[1]}: {position.reserved} reserved, {self._reserved.get(spot, 0)} held",
            )
        if position.reserved > position.available and not self._told(spot):
            self._say("no_oversell", spot[0], f"{spot[1]} has promised more than it has, and nobody was told")

    def _told(self, spot: Spot) -> bool:
        return any(
            (row := self.store.exceptions.get((spot[0], f"{reason}/{spot[1]}"))) is not None and row.evidence is None
            for reason in ("promise_broken", "negative_stock")
        )

    def _say(self, statement: str, subject: str, detail: str) -> None:
        self.violations.append(Violation(statement, subject, detail))
