"""The quick way to read JSON that is as it should be: new orders, and what is said about every one of them.

    body ──▶ wire struct ──▶ checks ──▶ command            the same command as the careful way makes
                  └────────────┴──▶ Unusual                the careful way reads it, or names its mistakes

It knows one answer to anything that is out of the ordinary: not me. It refuses nothing and names no mistake, so
that all of that stays in one place (`mapping_actions.py`, `mapping_fields.py`), and it takes nothing that the
careful way would refuse or would read otherwise. Out of the ordinary are, among others, null, numbers with a point
other than coordinates (a float has lost digits), and escapes in text: without a backslash, a text ends at its first
quotation mark, and so it can be counted whether a key was there twice. What is on the wire, and its single values, are in
`mapping_wire.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, get_args

import msgspec

from interlock.connectors.mapping_actions import CAPTURED, OVER, PAID, total_of
from interlock.connectors.mapping_fields import CACHED_MAX, LINES_MAX, YEAR_MAX, YEAR_MIN
from interlock.connectors.mapping_sender import Sender
from interlock.connectors.mapping_wire import (
    ASSIGNMENT_DIGITS_MAX,
    Unusual,
    WireLine,
    WireReport,
    decode_acknowledgment,
    decode_capture,
    decode_confirmation,
    decode_order,
    is_key,
    read_amount,
    read_key,
    read_line_no,
    read_place,
    read_quantity,
    read_text,
    read_units,
    refuse_hidden_keys,
    unusual,
)
from interlock.domain.commands import (
    AcknowledgeShipment,
    AnyCommand,
    CaptureOrder,
    ConfirmShipment,
    CreateOrder,
    NewLine,
    Package,
)
from interlock.domain.estate import Fulfillment
from interlock.domain.values import EACH, ZERO, NodeId, OrderId, order_id

_FULFILLMENTS: Final[dict[str, Fulfillment]] = {word: word for word in get_args(Fulfillment)}


class QuickReader:
    """Reads the ordinary bodies of one system. Safe to share between threads."""

    def __init__(self, sender: Sender) -> None:
        estate, system = sender.estate, sender.system
        self.sender = sender
        self._prices: dict[str, Decimal] = {}
        self._zones: dict[tuple[int, timedelta], str] = {}
        self._channels = frozenset(filter(is_key, estate.channels))
        nodes = {theirs: estate.node_id(system.id, theirs) for theirs in estate.nodes}
        nodes |= estate.node_aliases.get(system.id, {})  # type: ignore[arg-type]  # a system's word is any text
        self._nodes: dict[str, NodeId] = {
            theirs: ours for theirs, ours in nodes.items() if is_key(theirs) and ours in estate.nodes
        }
        self._readers: dict[str | None, Callable[[bytes, str | None], AnyCommand]] = {
            "order.create": self._create_order,
            "order.capture": self._capture_order,
            "shipment.acknowledge": self._acknowledge_shipment,
            "shipment.confirm": self._confirm_shipment,
        }

    def read(self, action: str | None, body: bytes, idempotency_key: str | None) -> AnyCommand | None:
        """The command that the body asks for; None if it is for the careful way, for whatever reason."""
        reader = self._readers.get(action)
        if reader is None:
            return None
        try:
            return reader(body, idempotency_key)
        except (Unusual, msgspec.DecodeError, ValueError, RecursionError):
            return None

    # Orders

    def _create_order(self, body: bytes, _: str | None) -> AnyCommand:
        wire = decode_order(body)
        keys = 5  # those that are always there
        theirs = source_id = read_key(wire.order_id)
        own = self.sender.system.order_scope
        if ":" in theirs:
            scope, _, rest = theirs.partition(":")
            if scope == own:
                source_id = rest or unusual()
            elif scope in self.sender.scopes:
                raise Unusual
        number = source_id
        if wire.number is not None:
            keys += 1
            number = read_key(wire.number) if wire.number else source_id
        if wire.channel not in self._channels:
            raise Unusual
        currency = wire.currency
        if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
            raise Unusual
        placed_at, time_zone = self._time(wire.placed_at)
        occurred_at = None
        if wire.occurred_at is not None:
            keys += 1
            occurred_at = self._time(wire.occurred_at)[0]

        fulfillment: Fulfillment = "delivery"
        if wire.fulfillment is not None:
            keys += 1
            fulfillment = _FULFILLMENTS[wire.fulfillment] if wire.fulfillment in _FULFILLMENTS else unusual()
        destination = None
        if wire.destination is not None:
            destination, inside = read_place(wire.destination)
            keys += 1 + inside
        elif fulfillment == "delivery":
            raise Unusual
        pickup_node = None
        if wire.pickup_node is not None:
            keys += 1
            pickup_node = self._nodes.get(wire.pickup_node) or unusual()
        elif fulfillment != "delivery":
            raise Unusual

        lines, inside = self._new_lines(wire.lines)
        keys += inside
        tax = shipping = ZERO
        if wire.tax is not None:
            keys += 1
            tax = read_amount(wire.tax)
        if wire.shipping is not None:
            keys += 1
            shipping = read_amount(wire.shipping)
        if wire.total is not None:
            keys += 1
            total = read_amount(wire.total)
        else:
            total = total_of(lines, tax, shipping)

        authorized = captured = ZERO
        word = customer = ""
        if wire.status is not None:
            keys += 1
            word = read_text(wire.status)
            if word and self.sender.system.states:
                state = self.sender.estate.state(self.sender.system.id, word)
                if state is None or state in OVER:
                    raise Unusual
                authorized = total if state in PAID else ZERO
                captured = total if state in CAPTURED else ZERO
        if wire.payment is not None:
            keys += 1
            authorized = captured = ZERO
            if wire.payment.captured is not None:
                keys += 1
                authorized = captured = read_amount(wire.payment.captured)
            if wire.payment.authorized is not None:
                keys += 1
                written = wire.payment.authorized
                authorized = total if type(written) is str and written == wire.total else read_amount(written)
            if captured > authorized:
                raise Unusual
        if wire.customer is not None:
            keys += 1
            customer = read_text(wire.customer)
        refuse_hidden_keys(body, keys)
        return CreateOrder(
            order_id=order_id(own, source_id),
            channel=wire.channel,
            number=number,
            placed_at=placed_at,
            occurred_at=occurred_at,
            time_zone=time_zone,
            currency=currency,
            lines=tuple(lines),
            fulfillment=fulfillment,
            destination=destination,
            pickup_node=pickup_node,
            customer=customer,
            total=total,
            tax=tax,
            shipping=shipping,
            authorized=authorized,
            captured=captured,
            word=word,
        )

    def _new_lines(self, entries: Sequence[WireLine]) -> tuple[list[NewLine], int]:
        """The lines, and how many keys they had together."""
        if not 0 < len(entries) <= LINES_MAX:
            raise Unusual
        skus, prices = self.sender.skus, self._prices
        lines = []
        keys = 2 * len(entries)
        numbered = False
        for place, entry in enumerate(entries, start=1):
            line_no, uom, unit_price, theirs = place, EACH, ZERO, entry.sku
            if entry.line_no is not None:
                keys += 1
                numbered = True
                line_no = read_line_no(entry.line_no)
            if entry.uom is not None:
                keys += 1
                if entry.uom and entry.uom != EACH:
                    uom = read_key(entry.uom)
            if entry.unit_price is not None:
                keys += 1
                written = entry.unit_price
                known = prices.get(written) if type(written) is str else None
                if known is None:
                    known = read_amount(written)
                    if type(written) is str:
                        if len(prices) >= CACHED_MAX:
                            prices.clear()
                        prices[written] = known
                unit_price = known
            sku = skus.get(theirs) or self._sku(theirs)
            quantity = entry.quantity
            lines.append(
                NewLine(
                    line_no=line_no,
                    sku=sku,
                    quantity=quantity if type(quantity) is int and 0 < quantity < 1000 else read_quantity(quantity),
                    uom=uom,
                    unit_price=unit_price,
                    source_sku="" if theirs == sku else theirs,
                )
            )
        if numbered and len({line.line_no for line in lines}) != len(lines):
            raise Unusual
        return lines, keys

    def _sku(self, theirs: str) -> Any:
        ours = self.sender.estate.sku(self.sender.system.id, read_key(theirs))
        known = self.sender.skus
        if len(known) >= CACHED_MAX:
            known.clear()
        known[theirs] = ours
        return ours

    # What is said about orders

    def _capture_order(self, body: bytes, idempotency_key: str | None) -> AnyCommand:
        wire = decode_capture(body)
        keys = 2
        ref = idempotency_key or ""
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        occurred_at, time_zone, word, inside = self._shared(wire)
        amount = read_amount(wire.amount)
        if not amount:
            raise Unusual
        refuse_hidden_keys(body, keys + inside)
        return CaptureOrder(
            order_id=self._scoped(read_key(wire.order)),
            ref=read_key(ref),
            amount=amount,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        )

    def _acknowledge_shipment(self, body: bytes, idempotency_key: str | None) -> AnyCommand:
        wire = decode_acknowledgment(body)
        keys = 1
        ref = idempotency_key or ""
        if wire.ref is not None:
            keys += 1
            ref = wire.ref or ref
        warehouse_ref = ""
        if wire.warehouse_ref is not None:
            keys += 1
            warehouse_ref = wire.warehouse_ref and read_key(wire.warehouse_ref)
        occurred_at, time_zone, word, inside = self._shared(wire)
        refuse_hidden_keys(body, keys + inside)
        order, number = self._assignment(wire.assignment)
        return AcknowledgeShipment(
            order_id=order,
            assignment_no=number,
            ref=ref and read_key(ref),
            warehouse_ref=warehouse_ref,
            occurred_at=occurred_at,
            time_zone=time_zone,
            word=word,
        )

    def _confirm_shipment(self, body: bytes, idempotency_key: str | None) -> AnyCommand:
        wire = decode_confirmation(body)
        keys = 1
        ref = idempotency_key or ""
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
        refuse_hidden_keys(body, keys)
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
        )

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

    def _time(self, written: str) -> tuple[datetime, str]:
        at = datetime.fromisoformat(written)
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
