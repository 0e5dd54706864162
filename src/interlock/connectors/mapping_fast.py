"""The quick way to read JSON that is as it should be: new orders, and what is said about every one of them.

    body ──▶ wire struct ──▶ checks ──▶ command            the same command as the careful way makes
                  └────────────┴──▶ Unusual                the careful way reads it, or names its mistakes

It knows one answer to anything that is out of the ordinary: not me. It refuses nothing and names no mistake, so
that all of that stays in one place (`mapping_actions.py`, `mapping_fields.py`), and it takes nothing that the
careful way would refuse or would read otherwise. Out of the ordinary are, among others, null, numbers with a point
other than coordinates (a float has lost digits), and escapes in text: without a backslash, a text ends at its first
quotation mark, and so it can be counted whether a key was there twice. What is on the wire, and its single values, are in
`mapping_wire.py`; what is no order is read in `mapping_fast_reports.py`. The records that recipes make come the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, cast, get_args

import msgspec

from interlock.connectors.mapping_fast_reports import ReportReader
from interlock.connectors.mapping_fields import CACHED_MAX, LINES_MAX
from interlock.connectors.mapping_orders import CAPTURED, OVER, PAID, total_of
from interlock.connectors.mapping_sender import Sender
from interlock.connectors.mapping_wire import (
    Unusual,
    WireAcknowledgment,
    WireAdjustment,
    WireCapture,
    WireConfirmation,
    WireCount,
    WireLine,
    WireOrder,
    WireRejection,
    is_key,
    read_amount,
    read_key,
    read_line_no,
    read_place,
    read_quantity,
    read_recipient,
    read_text,
    refuse_hidden_keys,
    unusual,
)
from interlock.domain.commands import AnyCommand, CreateOrder, NewLine
from interlock.domain.estate import Fulfillment
from interlock.domain.values import EACH, ZERO, order_id

WIRES: Final[dict[str, type[msgspec.Struct]]] = {
    "order.create": WireOrder,
    "order.capture": WireCapture,
    "shipment.acknowledge": WireAcknowledgment,
    "shipment.confirm": WireConfirmation,
    "shipment.reject": WireRejection,
    "stock.adjust": WireAdjustment,
    "stock.count": WireCount,
}
_TIMES: Final = ("placed_at", "occurred_at", "shipped_at")
DECODERS: Final = {action: msgspec.json.Decoder(wire).decode for action, wire in WIRES.items()}
_FULFILLMENTS: Final[dict[str, Fulfillment]] = {word: word for word in get_args(Fulfillment)}


class QuickReader(ReportReader):
    """Reads the ordinary bodies of one system. Safe to share between threads."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender)
        self._prices: dict[str, Decimal] = {}
        self._channels = frozenset(filter(is_key, sender.estate.channels))
        self._builders: dict[str, Callable[[Any, str], tuple[AnyCommand, int]]] = {
            "order.create": self._create_order,
            "order.capture": self._capture_order,
            "shipment.acknowledge": self._acknowledge_shipment,
            "shipment.confirm": self._confirm_shipment,
            "shipment.reject": self._reject_shipment,
            "stock.adjust": self._adjust_stock,
            "stock.count": self._count_stock,
        }
        """For each action what makes its command of the wire, and tells how many keys that had."""

    def read(self, action: str | None, body: bytes, idempotency_key: str | None) -> AnyCommand | None:
        """The command that the body asks for; None if it is for the careful way, for whatever reason."""
        decode = DECODERS.get(action) if action is not None else None
        if decode is None:
            return None
        try:
            command, keys = self._builders[cast(str, action)](decode(body), idempotency_key or "")
            refuse_hidden_keys(body, keys)
        except (Unusual, msgspec.DecodeError, ValueError, RecursionError):
            return None
        return command

    def record(self, action: str, record: Mapping[str, object]) -> AnyCommand | None:
        """The command that a record of a recipe or of a file's rows asks for, local times in the system's zone.

        None if it is for the careful way, for whatever reason.
        """
        wire = WIRES.get(action)
        if wire is None:
            return None
        try:
            for name in _TIMES:
                written = record.get(name)
                if type(written) is str and written:
                    at = datetime.fromisoformat(written)
                    record = {**record, name: at if at.tzinfo is not None else at.replace(tzinfo=self.sender.zone)}
            return self._builders[action](msgspec.convert(record, wire), "")[0]
        except (Unusual, msgspec.ValidationError, ValueError, OverflowError, RecursionError):
            return None

    # Orders

    def _create_order(self, wire: WireOrder, _: str) -> tuple[AnyCommand, int]:
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
        recipient = None
        if wire.recipient is not None:
            recipient, inside = read_recipient(wire.recipient)
            keys += 1 + inside
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
            recipient=recipient,
            total=total,
            tax=tax,
            shipping=shipping,
            authorized=authorized,
            captured=captured,
            word=word,
        ), keys

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
                number = entry.line_no
                line_no = number if type(number) is int and 0 < number < 1000 else read_line_no(number)
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
            if type(quantity) is not int or not 0 < quantity < 1000:
                quantity = read_quantity(quantity)
            lines.append(
                NewLine(
                    line_no=line_no,
                    sku=sku,
                    quantity=quantity,
                    uom=uom,
                    unit_price=unit_price,
                    source_sku="" if theirs == sku else theirs,
                )
            )
        if numbered and len({line.line_no for line in lines}) != len(lines):
            raise Unusual
        return lines, keys
