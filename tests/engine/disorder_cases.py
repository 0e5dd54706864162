"""What the matrix of disorders is played with: for each action, the states around it, and the commands that meet them.

Every case has an order and SKUs of its own, so that all of them live in one database and none touches another. An order is
of four A, which node n1 has, and two B, which node n2 has: assignments 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    AnyCommand,
    AuthorizeOrder,
    AuthorizeReturn,
    CancelOrder,
    CancelReservation,
    CancelReturn,
    CaptureOrder,
    CloseOrder,
    ConfirmShipment,
    CountStock,
    CreateOrder,
    HoldReservation,
    IssueRefund,
    LineUnits,
    PackShipment,
    Received,
    ReceiveReturn,
    RejectShipment,
    ReleaseShipment,
    VoidOrder,
)
from interlock.domain.values import NodeId, OrderId, Sku
from tests.builders import PRICE, order, stock

N1, N2 = NodeId("n1"), NodeId("n2")
TOTAL = 6 * PRICE

Said = tuple[AnyCommand, str]
"""A command, and the system that says it."""


class Before(NamedTuple):
    """What was said before, and then the command that meets it."""

    said: list[Said]
    command: AnyCommand


class Case(NamedTuple):
    """An action with everything that can stand around it.

    `due`: where it is due, so that it is processed. `other` has its key and another payload. `early`: what it builds on is not
    there yet. `late`: it is over. `closed`: the order is closed. `half`: it names half of it. `another`: the same action on
    something else, which leaves this one to do. `wire`: its body over HTTP.
    """

    due: Before
    by: str
    other: AnyCommand
    early: Before
    late: Before
    closed: Before
    half: Before
    another: AnyCommand
    wire: dict[str, Any]


class Goods:
    """The order and the SKUs of one case, and how far they may have come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.order_id = OrderId(f"web:{name}")
        self.a, self.b = Sku(f"{name} A"), Sku(f"{name} B")
        self.stock: list[Said] = [(stock(self.a, N1), "wms"), (stock(self.b, N2), "wms")]
        self.all = (LineUnits(1, 4), LineUnits(2, 2))
        self.two_a, self.two_b, self.one_b = (LineUnits(1, 2),), (LineUnits(2, 2),), (LineUnits(2, 1),)

    def create(self, lines: int = 2, **changes: Any) -> CreateOrder:
        """The order, paid in advance."""
        wanted = [(self.a, 4), (self.b, 2)][:lines]
        return order(self.name, wanted, **{"total": TOTAL, "authorized": TOTAL, **changes})

    def placed(self, **changes: Any) -> list[Said]:
        """Released to both nodes; with `authorized=0` only allocated."""
        return [*self.stock, (self.create(**changes), "web")]

    def unfilled(self, **changes: Any) -> list[Said]:
        """Taken, and no node has a unit of it."""
        return [(self.create(**changes), "web")]

    def shipped(self, **changes: Any) -> list[Said]:
        """All units have left."""
        return [*self.placed(**changes), (self.confirm(1), "wms"), (self.confirm(2), "wms")]

    def closed(self, **changes: Any) -> list[Said]:
        """Nothing is left to do."""
        return [*self.shipped(**changes), (self.of(CloseOrder, ref="the end"), "office")]

    def awaited(self) -> list[Said]:
        """Two A may come back."""
        return [*self.shipped(), (self.of(AuthorizeReturn, ref="RMA", lines=self.two_a), "web")]

    def of(self, kind: Callable[..., Any], ref: str = "this", **fields: Any) -> Any:
        """A command about the order."""
        return kind(**{"order_id": self.order_id, "ref": ref, **fields})

    def confirm(self, number: int, ref: str = "gone") -> ConfirmShipment:
        """All that the assignment holds has left."""
        return ConfirmShipment(order_id=self.order_id, assignment_no=number, ref=ref)

    def back(self, units: int, ref: str = "this", return_ref: str = "") -> ReceiveReturn:
        """So many A came back to n1."""
        lines = (Received(line_no=1, quantity=units),)
        return ReceiveReturn(order_id=self.order_id, ref=ref, node=N1, lines=lines, return_ref=return_ref)

    def adjust(self, ref: str = "this", node: NodeId = N1, delta: int = 5) -> AdjustStock:
        """So many A more."""
        return AdjustStock(sku=self.a, node=node, ref=ref, delta=delta)

    def count(self, ref: str = "this", node: NodeId = N1, counted: int = 50) -> CountStock:
        """So many A are there."""
        return CountStock(sku=self.a, node=node, ref=ref, counted=counted)


def order_create(g: Goods) -> Case:
    """The key is the order's id, so that a later one is always the same or another payload."""
    return Case(
        due=Before(g.stock, g.create()),
        by="web",
        other=g.create(customer="somebody else"),
        early=Before([], g.create()),
        late=Before(g.shipped(), g.create()),
        closed=Before(g.closed(), g.create()),
        half=Before(g.placed(), g.create(lines=1)),
        another=g.create(customer="told anew"),
        wire={
            "order_id": g.name,
            "channel": "web",
            "placed_at": "2026-03-01T12:00:00Z",
            "currency": "USD",
            "destination": {"country": "US"},
            "lines": [{"sku": g.a, "quantity": 4}, {"sku": g.b, "quantity": 2}],
        },
    )


def _money(g: Goods, kind: Callable[..., Any], due: list[Said], early: list[Said], late: Before) -> Case:
    return Case(
        due=Before(due, g.of(kind, amount=TOTAL - PRICE)),
        by="web",
        other=g.of(kind, amount=TOTAL),
        early=Before(early, g.of(kind, amount=TOTAL)),
        late=late,
        closed=Before(g.closed(), g.of(kind, amount=TOTAL)),
        half=Before(due, g.of(kind, amount=TOTAL / 2)),
        another=g.of(kind, ref="another", amount=PRICE),
        wire={"order": g.order_id, "ref": "this", "amount": str(TOTAL - PRICE)},
    )


def order_authorize(g: Goods) -> Case:
    """Money promised."""
    unpaid = g.placed(authorized=Decimal(0))
    early = g.unfilled(authorized=Decimal(0))
    return _money(g, AuthorizeOrder, unpaid, early, Before(g.shipped(), g.of(AuthorizeOrder, amount=PRICE)))


def order_capture(g: Goods) -> Case:
    """Money taken."""
    early = g.placed(authorized=Decimal(0))
    return _money(g, CaptureOrder, g.placed(), early, Before(g.shipped(), g.of(CaptureOrder, amount=TOTAL)))


def order_void(g: Goods) -> Case:
    """Money given up."""
    taken = Before(g.placed(captured=TOTAL), g.of(VoidOrder, amount=PRICE))
    return _money(g, VoidOrder, g.placed(), g.placed(authorized=Decimal(0)), taken)


def order_cancel(g: Goods) -> Case:
    """One unit, while another was canceled before."""
    return Case(
        due=Before(g.placed(), g.of(CancelOrder, lines=g.one_b)),
        by="web",
        other=g.of(CancelOrder, lines=g.two_a),
        early=Before(g.unfilled(), g.of(CancelOrder)),
        late=Before(g.shipped(), g.of(CancelOrder)),
        closed=Before(g.closed(), g.of(CancelOrder)),
        half=Before(g.placed(), g.of(CancelOrder, lines=g.two_a)),
        another=g.of(CancelOrder, ref="another", lines=g.one_b),
        wire={"order": g.order_id, "ref": "this", "lines": [{"line_no": 2, "quantity": 1}]},
    )


def order_close(g: Goods) -> Case:
    """There is one end only: `another` is one that came too early."""
    return Case(
        due=Before(g.shipped(), g.of(CloseOrder)),
        by="office",
        other=g.of(CloseOrder, word="finished"),
        early=Before(g.placed(), g.of(CloseOrder)),
        late=Before(g.awaited(), g.of(CloseOrder)),
        closed=Before(g.closed(), g.of(CloseOrder)),
        half=Before([*g.placed(), (g.confirm(1), "wms")], g.of(CloseOrder)),
        another=g.of(AuthorizeOrder, ref="another", amount=PRICE),
        wire={"order": g.order_id, "ref": "this"},
    )


def reservation_hold(g: Goods) -> Case:
    """Units have come that the order waits for."""
    due = [*g.unfilled(), *g.stock]
    return Case(
        due=Before(due, g.of(HoldReservation, lines=(LineUnits(1, 4),))),
        by="office",
        other=g.of(HoldReservation, lines=g.two_a),
        early=Before(g.unfilled(), g.of(HoldReservation)),
        late=Before(g.placed(), g.of(HoldReservation)),
        closed=Before(g.closed(), g.of(HoldReservation)),
        half=Before(due, g.of(HoldReservation, lines=g.two_a)),
        another=g.of(HoldReservation, ref="another", lines=g.two_b),
        wire={"order": g.order_id, "ref": "this", "lines": [{"line_no": 1, "quantity": 4}]},
    )


def reservation_cancel(g: Goods) -> Case:
    """Units are taken back from their nodes."""
    return Case(
        due=Before(g.placed(), g.of(CancelReservation, assignment_no=1)),
        by="office",
        other=g.of(CancelReservation, assignment_no=1, exclude=True),
        early=Before(g.unfilled(), g.of(CancelReservation)),
        late=Before(g.shipped(), g.of(CancelReservation)),
        closed=Before(g.closed(), g.of(CancelReservation)),
        half=Before(g.placed(), g.of(CancelReservation, lines=g.two_a)),
        another=g.of(CancelReservation, ref="another", assignment_no=2),
        wire={"order": g.order_id, "ref": "this", "assignment": 1},
    )


def shipment_release(g: Goods) -> Case:
    """Told before it is paid for."""
    allocated = g.placed(authorized=Decimal(0))
    return Case(
        due=Before(allocated, g.of(ReleaseShipment, assignment_no=1)),
        by="office",
        other=g.of(ReleaseShipment, assignment_no=1, word="go"),
        early=Before(g.unfilled(authorized=Decimal(0)), g.of(ReleaseShipment)),
        late=Before(g.shipped(), g.of(ReleaseShipment)),
        closed=Before(g.closed(), g.of(ReleaseShipment)),
        half=Before(allocated, g.of(ReleaseShipment, assignment_no=2)),
        another=g.of(ReleaseShipment, ref="another", assignment_no=2),
        wire={"order": g.order_id, "ref": "this", "assignment": 1},
    )


def _node_says(g: Goods, kind: Callable[..., Any], other: dict[str, Any], half: dict[str, Any], **always: Any) -> Case:
    def say(number: int = 1, ref: str = "this", **fields: Any) -> Any:
        return g.of(kind, ref, **{"assignment_no": number, **always, **fields})

    return Case(
        due=Before(g.placed(), say()),
        by="wms",
        other=say(**other),
        early=Before(g.placed(authorized=Decimal(0)), say()),
        late=Before(g.shipped(), say()),
        closed=Before(g.closed(), say()),
        half=Before(g.placed(), say(**half)),
        another=say(2, "another"),
        wire={"assignment": f"{g.order_id}/1", "ref": "this", **always},
    )


def shipment_acknowledge(g: Goods) -> Case:
    """The node has it."""
    return _node_says(g, AcknowledgeShipment, {"warehouse_ref": "W-1"}, {})


def shipment_pack(g: Goods) -> Case:
    """All that is held."""
    return _node_says(g, PackShipment, {"lines": g.two_a}, {"lines": g.two_a})


def shipment_confirm(g: Goods) -> Case:
    """All that is held."""
    return _node_says(g, ConfirmShipment, {"lines": g.two_a}, {"lines": g.two_a})


def shipment_reject(g: Goods) -> Case:
    """All that is held, and the other node cannot help."""
    return _node_says(g, RejectShipment, {"lines": g.two_a}, {"lines": g.two_a}, reason="damaged")


def return_authorize(g: Goods) -> Case:
    """Two of the four A."""
    all_back: list[Said] = [*g.shipped(), (g.back(4, "box"), "wms")]
    return Case(
        due=Before(g.shipped(), g.of(AuthorizeReturn, lines=g.two_a)),
        by="web",
        other=g.of(AuthorizeReturn, lines=g.two_b),
        early=Before(g.placed(), g.of(AuthorizeReturn, lines=g.two_a)),
        late=Before(all_back, g.of(AuthorizeReturn, lines=g.two_a)),
        closed=Before(g.closed(), g.of(AuthorizeReturn, lines=g.two_a)),
        half=Before(g.shipped(), g.of(AuthorizeReturn, lines=g.one_b)),
        another=g.of(AuthorizeReturn, ref="another", lines=g.two_a),
        wire={"order": g.order_id, "ref": "this", "lines": [{"line_no": 1, "quantity": 2}]},
    )


def return_cancel(g: Goods) -> Case:
    """Two A do not come after all."""
    came: list[Said] = [*g.awaited(), (g.back(2, "box", "RMA"), "wms")]
    second = g.of(AuthorizeReturn, ref="RMA-2", lines=g.two_b)
    some_came: list[Said] = [*g.awaited(), (g.back(1, "box", "RMA"), "wms")]
    return Case(
        due=Before([*g.awaited(), (second, "web")], g.of(CancelReturn, return_ref="RMA")),
        by="web",
        other=g.of(CancelReturn, return_ref="RMA", reason="kept"),
        early=Before(g.shipped(), g.of(CancelReturn, return_ref="RMA")),
        late=Before(came, g.of(CancelReturn, return_ref="RMA")),
        closed=Before([*came, (g.of(CloseOrder), "office")], g.of(CancelReturn, return_ref="RMA")),
        half=Before(some_came, g.of(CancelReturn, return_ref="RMA")),
        another=g.of(CancelReturn, ref="another", return_ref="RMA-2"),
        wire={"order": g.order_id, "ref": "this", "return_ref": "RMA"},
    )


def return_receive(g: Goods) -> Case:
    """One of two A that are awaited."""
    all_back: list[Said] = [*g.awaited(), (g.back(4, "box"), "wms")]
    return Case(
        due=Before(g.awaited(), g.back(1, return_ref="RMA")),
        by="wms",
        other=g.back(2, return_ref="RMA"),
        early=Before(g.shipped(), g.back(1, return_ref="RMA")),
        late=Before(all_back, g.back(1, return_ref="RMA")),
        closed=Before(g.closed(), g.back(1)),
        half=Before(g.awaited(), g.back(1, return_ref="RMA")),
        another=g.back(1, "another", "RMA"),
        wire={
            "order": g.order_id,
            "ref": "this",
            "node": "n1",
            "lines": [{"line_no": 1, "quantity": 1}],
            "return_ref": "RMA",
        },
    )


def refund_issue(g: Goods) -> Case:
    """For one of two B that were canceled."""
    canceled: list[Said] = [*g.placed(captured=TOTAL), (g.of(CancelOrder, ref="no", lines=g.two_b), "web")]
    ended: list[Said] = [*canceled, (g.confirm(1), "wms"), (g.of(CloseOrder), "office")]
    paid_back = g.of(IssueRefund, ref="before", amount=2 * PRICE, lines=g.two_b)
    refund = g.of(IssueRefund, amount=PRICE, lines=g.one_b)
    return Case(
        due=Before(canceled, refund),
        by="web",
        other=g.of(IssueRefund, amount=Decimal(1), lines=g.one_b),
        early=Before(g.placed(captured=TOTAL), refund),
        late=Before([*canceled, (paid_back, "web")], refund),
        closed=Before(ended, refund),
        half=Before(canceled, refund),
        another=g.of(IssueRefund, ref="another", amount=PRICE, lines=g.one_b),
        wire={
            "order": g.order_id,
            "ref": "this",
            "amount": str(PRICE),
            "lines": [{"line_no": 2, "quantity": 1}],
        },
    )


def stock_adjust(g: Goods) -> Case:
    """Five A more."""
    return Case(
        due=Before(g.stock, g.adjust()),
        by="wms",
        other=g.adjust(delta=6),
        early=Before([], g.adjust()),
        late=Before([*g.stock, (g.count("since"), "wms")], g.adjust()),
        closed=Before(g.closed(), g.adjust()),
        half=Before([*g.stock, (g.count("there too", N2), "wms")], g.adjust()),
        another=g.adjust("another"),
        wire={"sku": g.a, "node": "n1", "ref": "this", "delta": 5},
    )


def stock_count(g: Goods) -> Case:
    """Fifty A are there."""
    return Case(
        due=Before(g.stock, g.count()),
        by="wms",
        other=g.count(counted=60),
        early=Before([], g.count()),
        late=Before([*g.stock, (g.count("since", counted=70), "wms")], g.count()),
        closed=Before(g.closed(), g.count()),
        half=Before([*g.stock, (g.count("there too", N2), "wms")], g.count()),
        another=g.count("another", counted=80),
        wire={"sku": g.a, "node": "n1", "ref": "this", "counted": 50},
    )


CASES: dict[str, Callable[[Goods], Case]] = {
    builder.__name__.replace("_", ".", 1): builder
    for builder in (
        order_create,
        order_authorize,
        order_capture,
        order_void,
        order_cancel,
        order_close,
        reservation_hold,
        reservation_cancel,
        shipment_release,
        shipment_acknowledge,
        shipment_pack,
        shipment_confirm,
        shipment_reject,
        return_authorize,
        return_cancel,
        return_receive,
        refund_issue,
        stock_adjust,
        stock_count,
    )
}
