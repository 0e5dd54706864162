"""Which fields each action's record has, and the command that they make: one function for each action.

A function reads every field, whatever was wrong with those before it, so that all mistakes are found. What it
gives is only good if the form's list of mistakes stayed empty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypedDict, get_args

from interlock.connectors.mapping_fields import ANY_UNIT, Form
from interlock.connectors.mapping_orders import (
    NEW_LINE,
    NEW_ORDER,
    PAYMENT,
    PLACE,
    RECIPIENT,
    create_order,
    refuse_double_lines,
)
from interlock.domain import commands
from interlock.domain.commands import AnyCommand, LineUnits, Package, Received
from interlock.domain.values import OrderId

# The other actions

ADJUSTED: Final = "adjusted"
_UNITS: Final = frozenset({"line_no", "quantity"})
_RECEIVED: Final = frozenset({"line_no", "quantity", "disposition"})
_PACKAGE: Final = frozenset({"tracking", "carrier", "lines"})
_REASONS: Final[tuple[commands.RejectReason, ...]] = get_args(commands.RejectReason)
_DISPOSITIONS: Final[tuple[commands.Disposition, ...]] = get_args(commands.Disposition)


class _Shared(TypedDict):
    occurred_at: Any
    time_zone: str
    word: str
    version: int | None


def _shared(form: Form, also: str | None = None) -> _Shared:
    """What every command has; `also` is another name that the action has for `occurred_at`."""
    occurred = form.time("occurred_at")
    if also is not None and form.given(also):
        if form.given("occurred_at"):
            form.wrong(also, f"only one of {also} and occurred_at")
        occurred = form.time(also)
    at, zone = occurred or (None, "")
    return {"occurred_at": at, "time_zone": zone, "word": form.text("status"), "version": form.version("version")}


def _units(form: Form) -> tuple[LineUnits, ...]:
    entries = form.forms("lines", _UNITS)
    lines = [
        LineUnits(line_no=entry.whole("line_no"), quantity=entry.quantity("quantity", ANY_UNIT)) for entry in entries
    ]
    refuse_double_lines(entries, lines)
    return tuple(lines)


def _authorize_order(form: Form) -> AnyCommand:
    return commands.AuthorizeOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        **_shared(form),
    )


def _capture_order(form: Form) -> AnyCommand:
    return commands.CaptureOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        **_shared(form),
    )


def _void_order(form: Form) -> AnyCommand:
    return commands.VoidOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        **_shared(form),
    )


def _hold_reservation(form: Form) -> AnyCommand:
    return commands.HoldReservation(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        lines=_units(form),
        node=form.node("node") if form.given("node") else None,
        **_shared(form),
    )


def _cancel_reservation(form: Form) -> AnyCommand:
    order_id = form.order_id("order")
    return commands.CancelReservation(
        order_id=order_id,
        assignment_no=_number_of_assignment(form, order_id),
        ref=form.key("ref"),
        lines=_units(form),
        exclude=form.flag("exclude"),
        reason=form.text("reason"),
        **_shared(form),
    )


def _release_shipment(form: Form) -> AnyCommand:
    order_id = form.order_id("order")
    number = _number_of_assignment(form, order_id)
    return commands.ReleaseShipment(order_id=order_id, assignment_no=number, ref=form.key("ref", ""), **_shared(form))


def _number_of_assignment(form: Form, order_id: OrderId) -> int | None:
    """The assignment of the order that is named, whole or by its number alone; None where none is."""
    if not form.given("assignment"):
        return None
    value = form.record["assignment"]
    if isinstance(value, str) and "/" in value:
        of, number = form.assignment("assignment")
        if of != order_id:
            form.wrong("assignment", f"an assignment of the order {order_id}")
        return number
    return form.whole("assignment")


def _acknowledge_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    return commands.AcknowledgeShipment(
        order_id=order_id,
        assignment_no=number,
        ref=form.key("ref", ""),
        warehouse_ref=form.key("warehouse_ref", ""),
        **_shared(form),
    )


def _pack_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    return commands.PackShipment(
        order_id=order_id, assignment_no=number, ref=form.key("ref"), lines=_units(form), **_shared(form)
    )


def _confirm_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    packages = form.forms("packages", _PACKAGE)
    return commands.ConfirmShipment(
        order_id=order_id,
        assignment_no=number,
        ref=form.key("ref"),
        lines=_units(form),
        packages=tuple(
            Package(tracking=each.key("tracking"), carrier=each.text("carrier"), lines=_units(each))
            for each in packages
        ),
        carrier=form.text("carrier"),
        **_shared(form, also="shipped_at"),
    )


def _reject_shipment(form: Form) -> AnyCommand:
    order_id, number = form.assignment("assignment")
    return commands.RejectShipment(
        order_id=order_id,
        assignment_no=number,
        ref=form.key("ref"),
        reason=form.one_of("reason", _REASONS),
        lines=_units(form),
        **_shared(form),
    )


def _cancel_order(form: Form) -> AnyCommand:
    return commands.CancelOrder(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        lines=_units(form),
        reason=form.text("reason"),
        **_shared(form),
    )


def _authorize_return(form: Form) -> AnyCommand:
    if form.record.get("lines") is None:
        form.missing("lines", "a list of what may come back")
    return commands.AuthorizeReturn(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        lines=_units(form),
        reason=form.text("reason"),
        **_shared(form),
    )


def _cancel_return(form: Form) -> AnyCommand:
    return commands.CancelReturn(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        return_ref=form.key("return_ref"),
        reason=form.text("reason"),
        **_shared(form),
    )


def _receive_return(form: Form) -> AnyCommand:
    if form.record.get("lines") is None:
        form.missing("lines", "a list of what came back")
    entries = form.forms("lines", _RECEIVED)
    lines = tuple(
        Received(
            line_no=entry.whole("line_no"),
            quantity=entry.quantity("quantity", ANY_UNIT),
            disposition=entry.one_of("disposition", _DISPOSITIONS, "restock"),
        )
        for entry in entries
    )
    # The same line may come twice with different dispositions: one shirt to the shelf, one to the bin.
    seen: set[tuple[int, str]] = set()
    for entry, line in zip(entries, lines, strict=True):
        if (line.line_no, line.disposition) in seen:
            entry.wrong("line_no", "a line that is named once for each disposition")
        seen.add((line.line_no, line.disposition))
    return commands.ReceiveReturn(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        node=form.node("node"),
        lines=lines,
        return_ref=form.key("return_ref", ""),
        **_shared(form),
    )


def _issue_refund(form: Form) -> AnyCommand:
    return commands.IssueRefund(
        order_id=form.order_id("order"),
        ref=form.key("ref"),
        amount=form.amount("amount", zero=False),
        lines=_units(form),
        **_shared(form),
    )


def _close_order(form: Form) -> AnyCommand:
    return commands.CloseOrder(order_id=form.order_id("order"), ref=form.key("ref", ""), **_shared(form))


def _adjust_stock(form: Form) -> AnyCommand:
    uom = form.uom()
    reason = form.text("reason")
    return commands.AdjustStock(
        sku=form.sku("sku"),
        node=form.node("node"),
        ref=form.key("ref"),
        delta=form.quantity("delta", uom, signed=True),
        uom=uom,
        reason=reason if reason not in ("", ADJUSTED) else ADJUSTED,
        **_shared(form),
    )


def _count_stock(form: Form) -> AnyCommand:
    uom = form.uom()
    return commands.CountStock(
        sku=form.sku("sku"),
        node=form.node("node"),
        ref=form.key("ref"),
        counted=form.quantity("counted", uom, zero=True),
        uom=uom,
        **_shared(form),
    )


_ALWAYS: Final = frozenset({"occurred_at", "status", "version"})
_ORDER: Final = frozenset({"order", "ref"}) | _ALWAYS
_ASSIGNMENT: Final = frozenset({"assignment", "ref"}) | _ALWAYS
_STOCK: Final = frozenset({"sku", "node", "ref", "uom"}) | _ALWAYS

ACTIONS: Final[dict[str, tuple[Callable[[Form], AnyCommand], frozenset[str]]]] = {
    "order.create": (
        create_order,
        NEW_ORDER | _ALWAYS,
    ),
    "order.authorize": (_authorize_order, _ORDER | {"amount"}),
    "order.capture": (_capture_order, _ORDER | {"amount"}),
    "order.void": (_void_order, _ORDER | {"amount"}),
    "reservation.hold": (_hold_reservation, _ORDER | {"lines", "node"}),
    "reservation.cancel": (_cancel_reservation, _ORDER | {"assignment", "lines", "exclude", "reason"}),
    "shipment.release": (_release_shipment, _ORDER | {"assignment"}),
    "shipment.acknowledge": (_acknowledge_shipment, _ASSIGNMENT | {"warehouse_ref"}),
    "shipment.pack": (_pack_shipment, _ASSIGNMENT | {"lines"}),
    "shipment.confirm": (_confirm_shipment, _ASSIGNMENT | {"lines", "packages", "carrier", "shipped_at"}),
    "shipment.reject": (_reject_shipment, _ASSIGNMENT | {"reason", "lines"}),
    "order.cancel": (_cancel_order, _ORDER | {"lines", "reason"}),
    "return.authorize": (_authorize_return, _ORDER | {"lines", "reason"}),
    "return.cancel": (_cancel_return, _ORDER | {"return_ref", "reason"}),
    "return.receive": (_receive_return, _ORDER | {"return_ref", "node", "lines"}),
    "refund.issue": (_issue_refund, _ORDER | {"amount", "lines"}),
    "stock.adjust": (_adjust_stock, _STOCK | {"delta", "reason"}),
    "stock.count": (_count_stock, _STOCK | {"counted"}),
    "order.close": (_close_order, _ORDER),
}
"""Every action's reader, and the fields that its record may hold."""

_PLAIN_LINES: Final[dict[str, tuple[frozenset[str], dict[str, Any]]]] = {"lines": (_UNITS, {})}
PARTS: Final[dict[str, dict[str, tuple[frozenset[str], dict[str, Any]]]]] = {
    action: _PLAIN_LINES for action, (_, fields) in ACTIONS.items() if "lines" in fields
} | {
    "order.create": {
        "lines": (NEW_LINE, {}),
        "destination": (PLACE, {}),
        "recipient": (RECIPIENT, {}),
        "payment": (PAYMENT, {}),
    },
    "shipment.confirm": {**_PLAIN_LINES, "packages": (_PACKAGE, _PLAIN_LINES)},
    "return.receive": {"lines": (_RECEIVED, {})},
}
"""The fields of the objects inside of an action's record, and of those inside of them."""
