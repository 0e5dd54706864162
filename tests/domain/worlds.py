"""A small world for tests of decisions: one estate, three nodes, and a stage on which commands are decided one by one.

No database: `Stage` holds the world in memory as a batch does, and checks after every decision that refusals leave no trace
and that an order is what its events say.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from interlock.domain.commands import (
    AcknowledgeShipment,
    AnyCommand,
    CancelOrder,
    ConfirmShipment,
    CreateOrder,
    LineUnits,
    NewLine,
    PackShipment,
    RejectShipment,
)
from interlock.domain.decide import decide
from interlock.domain.decision import Decision, World
from interlock.domain.estate import FACTS, Buffer, Channel, Contact, Estate, Fact, Node, Place, SourcingPolicy, System
from interlock.domain.events import AnyEvent
from interlock.domain.evolve import fold
from interlock.domain.model import Line, Order, Position
from interlock.domain.sourcing import Sourcing
from interlock.domain.values import NodeId, OrderId, Quantity, Sku, SystemId

NOW = datetime(2024, 5, 6, 16, tzinfo=UTC)
PLACED = datetime(2024, 5, 6, 15, 59, tzinfo=UTC)
HOME = Place(country="US", region="OH", postal_code="43004", latitude=40.0, longitude=-83.0)
PRICE = Decimal("10.00")

SHOP, EAST_WMS, WEST_WMS, TILL, RETURNS, OFFICE, WATCHER = (
    SystemId(name) for name in ("shop", "wms-east", "wms-west", "till", "returns", "office", "watcher")
)
EAST, WEST, STORE = (NodeId(name) for name in ("east", "west", "store"))
SHIRT, SHOES, TEA = (Sku(name) for name in ("SHIRT", "SHOES", "TEA"))
ORDER = OrderId("shop:1")

_SPEAKERS: dict[SystemId, tuple[str, tuple[Fact, ...]]] = {
    SHOP: ("webshop", ("order", "payment", "return")),
    EAST_WMS: ("wms", ("fulfillment", "stock")),
    WEST_WMS: ("wms", ("fulfillment", "stock")),
    TILL: ("pos", ("order", "payment", "fulfillment", "stock", "return", "refund")),
    RETURNS: ("returns", ("return", "refund")),
    OFFICE: ("backoffice", FACTS),
    WATCHER: ("replenishment", ()),
}


def system(system_id: SystemId, **changes: Any) -> System:
    """A system with the authority that its kind has in this world; what it may not decide it observes."""
    kind, decides = _SPEAKERS[system_id]
    fields: dict[str, Any] = {
        "id": system_id,
        "name": system_id,
        "kind": kind,
        "owner": Contact(team="commerce", escalation="call 1"),
        "authority": {fact: "decide" if fact in decides else "observe" for fact in FACTS},
        "time_zone": "UTC",
        "currency": "USD",
        "order_scope": system_id,
    }
    return System(**{**fields, **changes})


def node(node_id: NodeId, speaker: SystemId, longitude: float, kind: str = "dc", **changes: Any) -> Node:
    """A node on the latitude of the customer's home; `longitude` says how near it is."""
    fields: dict[str, Any] = {
        "id": node_id,
        "name": node_id,
        "kind": kind,
        "system": speaker,
        "place": Place(country="US", latitude=40.0, longitude=longitude),
        "time_zone": "America/New_York",
        "fulfills": ("delivery", "bopis", "ship_to_store", "carry_out"),
    }
    return Node(**{**fields, **changes})


def make_estate(
    *,
    policy: Mapping[str, Any] | None = None,
    channel: Mapping[str, Any] | None = None,
    capacities: Mapping[NodeId, int] | None = None,
    buffers: tuple[Buffer, ...] = (),
) -> Estate:
    """East is nearest to home, then west, then the store. `policy` and `channel` change the web channel's rules."""
    limits = capacities or {}
    sourcing = SourcingPolicy(**{"version": "1", **(policy or {})})
    web: dict[str, Any] = {
        "id": "web",
        "system": SHOP,
        "currency": "USD",
        "fulfills": ("delivery", "bopis", "ship_to_store"),
        "sourcing": sourcing,
    }
    till = Channel(id="till", system=TILL, currency="USD", fulfills=("carry_out",), sourcing=sourcing)
    nodes = [
        node(EAST, EAST_WMS, -82.0, capacity_orders_per_day=limits.get(EAST)),
        node(WEST, WEST_WMS, -90.0, capacity_orders_per_day=limits.get(WEST)),
        node(STORE, TILL, -100.0, "store", capacity_orders_per_day=limits.get(STORE)),
    ]
    return Estate(
        retailer="ours",
        currency="USD",
        systems={name: system(name) for name in _SPEAKERS},
        nodes={n.id: n for n in nodes},
        channels={"web": Channel(**{**web, **(channel or {})}), "till": till},
        buffers=buffers,
    )


def create(*lines: tuple[Sku, Quantity], order_id: OrderId = ORDER, **changes: Any) -> CreateOrder:
    """A web order of these SKUs, paid for in full unless `authorized` says otherwise; every unit costs PRICE."""
    total = sum((PRICE * quantity for _, quantity in lines), Decimal(0))
    fields: dict[str, Any] = {
        "order_id": order_id,
        "ref": "auth-1",
        "channel": "web",
        "number": order_id.partition(":")[2],
        "placed_at": PLACED,
        "currency": "USD",
        "lines": tuple(
            NewLine(line_no=place, sku=sku, quantity=quantity, unit_price=PRICE)
            for place, (sku, quantity) in enumerate(lines, 1)
        ),
        "destination": HOME,
        "total": total,
        "authorized": total,
    }
    return CreateOrder(**{**fields, **changes})


def sale(*lines: tuple[Sku, Quantity], order_id: OrderId, **changes: Any) -> CreateOrder:
    """A sale at the store's till: carried out of the door already."""
    total = sum((PRICE * quantity for _, quantity in lines), Decimal(0))
    return create(
        *lines,
        order_id=order_id,
        **{"channel": "till", "fulfillment": "carry_out", "pickup_node": STORE, "captured": total, **changes},
    )


def units(*pairs: tuple[int, Quantity]) -> tuple[LineUnits, ...]:
    """(line number, quantity) pairs as a command holds them."""
    return tuple(LineUnits(line_no, quantity) for line_no, quantity in pairs)


def acknowledge(number: int = 1, **changes: Any) -> AcknowledgeShipment:
    """The node has taken the assignment."""
    return AcknowledgeShipment(**{"order_id": ORDER, "assignment_no": number, "ref": "ack", **changes})


def pack(*pairs: tuple[int, Quantity], number: int = 1, **changes: Any) -> PackShipment:
    """Units were packed; all that is held where none is named."""
    fields = {"order_id": ORDER, "assignment_no": number, "ref": "pack", "lines": units(*pairs)}
    return PackShipment(**{**fields, **changes})


def confirm(*pairs: tuple[int, Quantity], number: int = 1, ref: str = "ship-1", **changes: Any) -> ConfirmShipment:
    """Units left; all that is held where none is named."""
    fields = {"order_id": ORDER, "assignment_no": number, "ref": ref, "lines": units(*pairs)}
    return ConfirmShipment(**{**fields, **changes})


def reject(*pairs: tuple[int, Quantity], number: int = 1, reason: str = "short_pick", **changes: Any) -> RejectShipment:
    """The node cannot ship units; all that is held where none is named."""
    fields = {"order_id": ORDER, "assignment_no": number, "ref": "no", "lines": units(*pairs), "reason": reason}
    return RejectShipment(**{**fields, **changes})


def cancel(*pairs: tuple[int, Quantity], ref: str = "c-1", **changes: Any) -> CancelOrder:
    """Cancel units, or the whole order where none is named."""
    return CancelOrder(**{"order_id": ORDER, "ref": ref, "lines": units(*pairs), **changes})


class Stage:
    """A world in memory, and what was decided on it so far."""

    def __init__(
        self, stock: Mapping[tuple[Sku, NodeId], Quantity] | None = None, *, estate: Estate | None = None
    ) -> None:
        self.estate = estate or make_estate()
        positions: dict[Sku, dict[NodeId, Position]] = {}
        for (sku, place), physical in (stock or {}).items():
            buffer = self.estate.buffer(sku, place)
            positions.setdefault(sku, {})[place] = Position(physical, 0, 0, buffer, physical - buffer)
        self.world = World(self.estate, Sourcing(self.estate), NOW, {}, positions, {})
        self.history: dict[OrderId, list[AnyEvent]] = {}

    @property
    def order(self) -> Order:
        """The order that most tests are about."""
        return self.world.orders[ORDER]

    def line(self, line_no: int = 1) -> Line:
        """A line of that order."""
        return self.order.lines[line_no]

    def stock(self, sku: Sku, place: NodeId) -> tuple[Quantity, Quantity, Quantity]:
        """Physical, unsellable and reserved units of a SKU at a node."""
        position = self.world.position(sku, place)
        return position.physical, position.unsellable, position.reserved

    def pass_time(self, **span: float) -> None:
        """Let the world's clock go on."""
        self.world.now += timedelta(**span)

    def send(self, command: AnyCommand, by: SystemId = OFFICE) -> Decision:
        """Decide a command; what was refused must have left no trace, and history must fold to the order."""
        before = copy.deepcopy((self.world.orders, self.world.positions, self.world.load))
        decision = decide(self.world, by, command)
        if decision.outcome in ("refused", "parked"):
            after = (self.world.orders, self.world.positions, self.world.load)
            assert after == before
            assert effects(decision) == []
        if decision.order_id is not None:
            history = self.history.setdefault(decision.order_id, [])
            assert decision.seq_before == len(history)
            history.extend(decision.events)
            if history:
                folded = fold(history)
                folded.wake_at = self.world.orders[decision.order_id].wake_at  # a timer, no fact
                assert folded == self.world.orders[decision.order_id]
        return decision

    def does(self, command: AnyCommand, by: SystemId = OFFICE) -> Decision:
        """Decide a command that must be processed."""
        decision = self.send(command, by)
        assert (decision.outcome, decision.reason, decision.explanation) == ("processed", "", "")
        return decision

    def refuses(self, command: AnyCommand, by: SystemId = OFFICE) -> str:
        """Decide a command that must be refused; gives the reason."""
        decision = self.send(command, by)
        assert decision.outcome == "refused"
        assert decision.answer == {"reason": decision.reason, "detail": decision.explanation}
        return decision.reason

    def parks(self, command: AnyCommand, by: SystemId = OFFICE) -> str:
        """Decide a command whose time has not come; gives what it waits for."""
        decision = self.send(command, by)
        assert (decision.outcome, decision.answer["waits_for"]) == ("parked", decision.waits_for)
        return decision.waits_for

    def ignores(self, command: AnyCommand, by: SystemId = OFFICE) -> Decision:
        """Decide a command that must be stale, without any effect but troubles."""
        before = copy.deepcopy((self.world.orders, self.world.positions))
        decision = self.send(command, by)
        assert decision.outcome == "stale"
        assert [*decision.events, *decision.movements, *decision.notices] == []
        assert (self.world.orders, self.world.positions) == before
        return decision


def effects(decision: Decision) -> list[object]:
    """Everything that a decision would change."""
    return [
        *decision.events,
        *decision.movements,
        *decision.notices,
        *decision.answered,
        *decision.exclusions,
        *decision.given,
    ]


def counts(thing: Any) -> dict[str, Quantity]:
    """The units of a line or reservation that are anywhere, by state."""
    names = ("open", "allocated", "released", "packed", "shipped", "canceled", "returned", "rejected")
    return {name: getattr(thing, name) for name in names if getattr(thing, name, 0)}


def kinds(decision: Decision) -> list[str]:
    """The types of the events that a decision records, in order."""
    return [event.type for event in decision.events]


def troubles(decision: Decision) -> list[tuple[str, str]]:
    """The exceptions that a decision opens: (reason, what)."""
    return [(trouble.reason, trouble.what) for trouble in decision.troubles]


def moves(decision: Decision) -> list[tuple[str, Sku, NodeId, Quantity, Quantity, Quantity]]:
    """The movements of a decision: (kind, SKU, node, physical, unsellable, reserved)."""
    return [(m.kind, m.sku, m.node, m.physical, m.unsellable, m.reserved) for m in decision.movements]


def told(decision: Decision) -> list[tuple[str, str, int]]:
    """Who is told what by a decision: (receiver, message, assignment number)."""
    return [(n.receiver, n.message, n.assignment_no) for n in decision.notices]


def check_units(orders: Iterable[Order], positions: Mapping[Sku, Mapping[NodeId, Position]]) -> None:
    """Assert what is always true of units, stock and money."""
    promised: dict[tuple[Sku, NodeId], Quantity] = {}
    for order in orders:
        for line in order.lines.values():
            mine = [r for r in order.reservations.values() if r.line_no == line.line_no]
            everywhere = (
                line.open, line.allocated, line.released, line.packed, line.shipped, line.canceled, line.returned
            )  # fmt: skip
            assert sum(everywhere) == line.quantity
            assert min(*everywhere, line.refunded, line.return_due) >= 0
            for state in ("allocated", "released", "packed"):
                assert getattr(line, state) == sum(getattr(r, state) for r in mine)
            assert line.shipped + line.returned == sum(r.shipped for r in mine)
            assert line.canceled >= sum(r.canceled for r in mine)
            assert line.refunded <= line.canceled + line.returned
            assert line.return_due <= line.shipped
            awaited = [r.due.get(line.line_no, 0) - r.received.get(line.line_no, 0) for r in order.returns.values()]
            assert line.return_due == sum(max(0, units) for units in awaited)
        for r in order.reservations.values():
            everywhere = (r.allocated, r.released, r.packed, r.shipped, r.canceled, r.rejected)
            assert sum(everywhere) == r.quantity
            assert min(everywhere) >= 0
            promised[r.sku, r.node] = promised.get((r.sku, r.node), 0) + r.held
        payment = order.payment
        assert 0 <= payment.refunded <= payment.captured <= payment.authorized
    for sku, nodes in positions.items():
        for place, position in nodes.items():
            assert position.reserved == promised.get((sku, place), 0)
            layers = position.physical - position.unsellable - position.reserved - position.buffer
            assert position.sellable == layers
