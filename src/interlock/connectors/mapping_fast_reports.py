"""The quick way to read what is said about orders and stock: payments, shipments, counts. See `mapping_fast.py`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from interlock.connectors.mapping_actions import ADJUSTED
from interlock.connectors.mapping_fields import CACHED_MAX, LINES_MAX, YEAR_MAX, YEAR_MIN
from interlock.connectors.mapping_sender import Sender
from interlock.connectors.mapping_wire import (
    ASSIGNMENT_DIGITS_MAX,
    QUICK_QUANTITY_MAX,
    Unusual,
    WireAcknowledgment,
    WireAdjustment,
    WireCapture,
    WireConfirmation,
    WireCount,
    WireRejection,
    WireReport,
    is_key,
    read_amount,
    read_key,
    read_quantity,
    read_text,
    read_units,
    unusual,
)
from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    AnyCommand,
    CaptureOrder,
    ConfirmShipment,
    CountStock,
    Package,
    RejectReason,
    RejectShipment,
)
from interlock.domain.values import EACH, NodeId, OrderId, order_id

_REASONS: Final[dict[str, RejectReason]] = {word: word for word in get_args(RejectReason)}


class ReportReader:
    """Reads the ordinary reports of one system: each method gives a command, and how many keys the wire had."""

    def __init__(self, sender: Sender) -> None:
        estate, system = sender.estate, sender.system
        self.sender = sender
        self._zones: dict[tuple[int, timedelta], str] = {}
        nodes = {theirs: estate.node_id(system.id, theirs) for theirs in estate.nodes}
        nodes |= estate.node_aliases.get(system.id, {})  # type: ignore[arg-type]  # a system's word is any text
        self._nodes: dict[str, NodeId] = {
            theirs: ours for theirs, ours in nodes.items() if is_key(theirs) and ours in estate.nodes
        }

    # What is said about orders

    def _capture_order(self, wire: WireCapture, idempotency_key: str) -> tuple[AnyCommand, int]:
        keys = 2
        ref = idempotency_key
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        occurred_at, time_zone, word, inside = self._shared(wire)
        amount = read_amount(wire.amount)
        if not amount:
            raise Unusual
        return CaptureOrder(
            order_id=self._scoped(read_key(wire.order)),
            ref=read_key(ref),
            amount=amount,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        ), keys + inside

    def _acknowledge_shipment(self, wire: WireAcknowledgment, idempotency_key: str) -> tuple[AnyCommand, int]:
        keys = 1
        ref = idempotency_key
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        warehouse_ref = ""
        if wire.warehouse_ref is not None:
            keys += 1
            warehouse_ref = wire.warehouse_ref and read_key(wire.warehouse_ref)
        occurred_at, time_zone, word, inside = self._shared(wire)
        order, number = self._assignment(wire.assignment)
        return AcknowledgeShipment(
            order_id=order,
            assignment_no=number,
            ref=ref and read_key(ref),
            warehouse_ref=warehouse_ref,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        ), keys + inside

    def _confirm_shipment(self, wire: WireConfirmation, idempotency_key: str) -> tuple[AnyCommand, int]:
        keys = 1
        ref = idempotency_key
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        occurred_at, time_zone, word, inside = self._shared(wire)
        keys += inside
        if wire.shipped_at is not None:
            if wire.occurred_at is not None:
                raise Unusual
            keys += 1
            occurred_at, time_zone = self._time(wire.shipped_at)
        lines, inside = read_units(wire.lines)
        keys += inside
        carrier = ""
        if wire.carrier is not None:
            keys += 1
            carrier = read_text(wire.carrier)
        packages = []
        if wire.packages is not None:
            if not 0 < len(wire.packages) <= LINES_MAX:
                raise Unusual
            keys += 1
            for each in wire.packages:
                keys += 1
                of = ""
                if each.carrier is not None:
                    keys += 1
                    of = read_text(each.carrier)
                units, inside = read_units(each.lines)
                keys += inside
                packages.append(Package(tracking=read_key(each.tracking), carrier=of, lines=units))
        order, number = self._assignment(wire.assignment)
        return ConfirmShipment(
            order_id=order,
            assignment_no=number,
            ref=read_key(ref),
            lines=lines,
            packages=tuple(packages),
            carrier=carrier,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        ), keys

    def _reject_shipment(self, wire: WireRejection, idempotency_key: str) -> tuple[AnyCommand, int]:
        keys = 2
        ref = idempotency_key
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        occurred_at, time_zone, word, inside = self._shared(wire)
        lines, of_lines = read_units(wire.lines)
        order, number = self._assignment(wire.assignment)
        return RejectShipment(
            order_id=order,
            assignment_no=number,
            ref=read_key(ref),
            reason=_REASONS.get(wire.reason) or unusual(),
            lines=lines,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        ), keys + inside + of_lines

    # Stock

    def _count_stock(self, wire: WireCount, idempotency_key: str) -> tuple[AnyCommand, int]:
        ref, occurred_at, time_zone, word, keys = self._stock(wire, idempotency_key)
        return CountStock(
            sku=self.sender.skus.get(wire.sku) or self._sku(wire.sku),
            node=self._nodes.get(wire.node) or unusual(),
            ref=ref,
            counted=read_quantity(wire.counted, 0),
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        ), keys

    def _adjust_stock(self, wire: WireAdjustment, idempotency_key: str) -> tuple[AnyCommand, int]:
        ref, occurred_at, time_zone, word, keys = self._stock(wire, idempotency_key)
        reason = ADJUSTED
        if wire.reason is not None:
            keys += 1
            reason = (wire.reason and read_text(wire.reason)) or ADJUSTED
        return AdjustStock(
            sku=self.sender.skus.get(wire.sku) or self._sku(wire.sku),
            node=self._nodes.get(wire.node) or unusual(),
            ref=ref,
            delta=read_quantity(wire.delta, 1 - QUICK_QUANTITY_MAX) or unusual(),
            reason=reason if reason != ADJUSTED else ADJUSTED,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        ), keys

    def _stock(
        self, wire: WireCount | WireAdjustment, idempotency_key: str
    ) -> tuple[str, datetime | None, str, str, int]:
        """What both share: the number of the fact, when it was and in which zone, their word, and how many keys there were."""
        keys = 3
        ref = idempotency_key
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        if wire.uom is not None:
            keys += 1
            if wire.uom and wire.uom != EACH:
                raise Unusual
        occurred_at, time_zone, word, inside = self._shared(wire)
        return read_key(ref), occurred_at, time_zone, word, keys + inside

    # Their parts

    def _shared(self, wire: WireReport) -> tuple[datetime | None, str, str, int]:
        """When it was and in which zone, the sender's word for it, and how many keys said so."""
        occurred_at, time_zone, word, keys = None, "", "", 0
        if wire.occurred_at is not None:
            keys += 1
            occurred_at, time_zone = self._time(wire.occurred_at)
        if wire.status is not None:
            keys += 1
            word = read_text(wire.status)
        return occurred_at, time_zone, word, keys

    def _time(self, written: Any) -> tuple[datetime, str]:
        if type(written) is str:
            at = datetime.fromisoformat(written)
        elif type(written) is datetime:
            at = written
        else:
            raise Unusual
        offset = at.utcoffset()
        if offset is None or not YEAR_MIN <= at.year < YEAR_MAX:
            raise Unusual
        minute = at.toordinal() * 1440 + at.hour * 60 + at.minute, offset
        return at.astimezone(UTC), self._zones.get(minute) or self._zone(minute, at)

    def _zone(self, minute: tuple[int, timedelta], at: datetime) -> str:
        """The zone in which the source said the time: the system's own where its offset is this one."""
        local = at.replace(tzinfo=self.sender.zone)
        own = local.utcoffset() == minute[1]
        shown = at.strftime("%z")
        zone = self.sender.system.time_zone if own else f"{shown[:3]}:{shown[3:5]}" if minute[1] else "UTC"
        # Clocks are set at any second of the law's choice, so a minute is only kept if none was set within it.
        ends = (
            local.replace(second=0, microsecond=0).utcoffset(),
            local.replace(second=59, microsecond=999_999).utcoffset(),
        )
        if ends[0] == ends[1]:
            if len(self._zones) >= CACHED_MAX:
                self._zones.clear()
            self._zones[minute] = zone
        return zone

    def _assignment(self, written: str) -> tuple[OrderId, int]:
        order, _, number = read_key(written).rpartition("/")
        if not (order and number.isascii() and number.isdigit() and len(number) <= ASSIGNMENT_DIGITS_MAX):
            raise Unusual
        return self._scoped(order), int(number) or unusual()

    def _scoped(self, order: str) -> OrderId:
        scope, colon, _ = order.partition(":")
        if colon and scope in self.sender.scopes:
            return OrderId(order)
        return order_id(self.sender.system.order_scope, order)

    def _sku(self, theirs: str) -> Any:
        ours = self.sender.estate.sku(self.sender.system.id, read_key(theirs))
        known = self.sender.skus
        if len(known) >= CACHED_MAX:
            known.clear()
        known[theirs] = ours
        return ours
