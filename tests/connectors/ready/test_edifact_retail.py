"""The ready-made mapping for EDIFACT: what each message of a partner asks for, and ours as messages that our reader takes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from interlock.connectors.formats.document import Document, Numbers
from interlock.connectors.formats.edifact import read, write
from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    CancelOrder,
    ConfirmShipment,
    CountStock,
    LineUnits,
    NewLine,
    Package,
    Received,
    ReceiveReturn,
    RejectShipment,
)
from interlock.domain.estate import Place
from interlock.domain.links import Envelope, Format, Party
from interlock.domain.values import Sku
from tests.connectors.ready.taking import CANCEL, CORPORA, NO_CORPORA, RELEASE, document, take

SAMPLES = Path(__file__).parents[2] / "data" / "edifact"
MAPPING = "edifact-retail"


def commands(sample: str, **settings: str) -> list[Any]:
    """The commands that a sample's messages become, none refused."""
    readings = take(MAPPING, (SAMPLES / sample).read_bytes(), kind="edifact", settings=settings)
    assert [each.problem for each in readings] == [None] * len(readings)
    return [each.command for each in readings]


def told(command: Any, *fields: str) -> tuple[Any, ...]:
    """Some fields of a command."""
    return tuple(getattr(command, field) for field in fields)


def test_an_order_of_d96a_is_created_and_another_one_canceled() -> None:
    order, cancel = commands("orders-d96a.edi")

    assert told(order, "order_id", "number", "channel", "currency", "customer", "word", "total") == (
        "peer:PO-77001",
        "PO-77001",
        "edi",
        "USD",
        "4000001000104",
        "220",
        Decimal("89.85"),
    )
    assert order.placed_at == datetime(2026, 3, 2, 8, 10, tzinfo=UTC)
    assert order.destination == Place(country="US", region="NY", postal_code="10001")
    assert order.lines == (
        NewLine(line_no=1, sku=Sku("4000862141404"), quantity=12, uom="each", unit_price=Decimal("2.50")),
        # Its price is for a hundred, which is none for one.
        NewLine(line_no=20, sku=Sku("5412345111115"), quantity=3, uom="each", unit_price=Decimal(0)),
    )
    assert isinstance(cancel, CancelOrder)
    assert told(cancel, "order_id", "ref", "lines") == ("peer:PO-77002", "PO-77002-cancel", ())


def test_an_order_of_d01b_in_syntax_version_4_is_created() -> None:
    [order] = commands("orders-d01b.edi")

    assert told(order, "order_id", "currency") == ("peer:PO-88001", "EUR")
    assert order.destination == Place(country="PL", region="", postal_code="90-001")
    assert order.lines == (
        NewLine(line_no=1, sku=Sku("4000862141404"), quantity=4, uom="each", unit_price=Decimal("7.2")),
    )


def test_orders_in_groups_are_orders_and_a_setting_says_their_currency() -> None:
    orders = commands("orders-groups.edi", currency="USD")

    assert [told(each, "number", "currency") for each in orders] == [("G11", "USD"), ("G12", "USD"), ("G21", "USD")]


def test_a_change_cancels_lines_or_the_order_and_nothing_else_is_taken_for_it() -> None:
    readings = take(MAPPING, (SAMPLES / "ordchg.edi").read_bytes(), kind="edifact")
    lines, whole = readings[0].command, readings[1].command

    assert isinstance(lines, CancelOrder)
    assert told(lines, "order_id", "ref", "lines") == ("peer:PO-77001", "CHG-1", (LineUnits(line_no=20, quantity=3),))
    assert isinstance(whole, CancelOrder)
    assert told(whole, "order_id", "ref", "lines") == ("peer:PO-77001", "CHG-2-cancel", ())
    assert readings[2].problem is not None
    assert [each.field for each in readings[2].problem.errors] == ["reason (from LIN[02!=2|4|5].02)"]


def test_responses_acknowledge_refuse_or_both() -> None:
    accepted, refused, part, rest = commands("ordrsp.edi")

    assert isinstance(accepted, AcknowledgeShipment)
    assert told(accepted, "order_id", "assignment_no", "ref", "warehouse_ref") == ("web:10001", 1, "OR-1", "OR-1")
    assert isinstance(refused, RejectShipment)
    assert told(refused, "order_id", "reason", "lines") == ("web:10002", "refused", ())
    assert isinstance(part, AcknowledgeShipment)
    assert isinstance(rest, RejectShipment)
    assert told(rest, "order_id", "ref", "reason", "lines") == (
        "web:10003",
        "OR-3-refused",
        "not_found",
        (LineUnits(line_no=2, quantity=1),),
    )


def test_a_despatch_advice_confirms_lines_and_packages() -> None:
    [shipment] = commands("desadv.edi")

    assert isinstance(shipment, ConfirmShipment)
    assert told(shipment, "order_id", "assignment_no", "ref", "carrier") == ("web:10001", 1, "DN-5001", "DHL Express")
    assert shipment.occurred_at == datetime(2026, 3, 3, 16, 45, tzinfo=UTC)
    assert shipment.lines == (LineUnits(line_no=1, quantity=3), LineUnits(line_no=2, quantity=4))
    assert shipment.packages == (
        Package(tracking="340123450000000018", carrier="DHL Express", lines=(LineUnits(line_no=1, quantity=2),)),
        Package(
            tracking="340123450000000025",
            carrier="DHL Express",
            lines=(LineUnits(line_no=1, quantity=1), LineUnits(line_no=2, quantity=4)),
        ),
    )


def test_a_receiving_advice_is_stock_that_came_in_by_what_was_accepted() -> None:
    receipts = commands("recadv.edi")

    assert all(isinstance(each, AdjustStock) for each in receipts)
    assert [told(each, "sku", "node", "delta", "reason", "ref") for each in receipts] == [
        ("4000862141404", "n1", 9, "received", "GR-9001-1"),
        ("5412345111115", "n1", 4, "received", "GR-9001-2"),
    ]


def test_a_receiving_advice_is_a_return_where_the_link_says_so() -> None:
    [back] = commands("recadv.edi", receipts="returns")

    assert isinstance(back, ReceiveReturn)
    assert told(back, "order_id", "ref", "node") == ("web:10001", "GR-9001", "n1")
    assert back.lines == (Received(line_no=1, quantity=9), Received(line_no=2, quantity=4))


def test_an_inventory_report_is_counts_by_its_places() -> None:
    counts = commands("invrpt.edi")

    assert all(isinstance(each, CountStock) for each in counts)
    assert [told(each, "sku", "node", "counted", "ref") for each in counts] == [
        ("4000862141404", "n1", 120, "INV-1-1-1"),
        ("5412345111115", "n2", 40, "INV-1-2-1"),
        ("5412345111115", "store1", 7, "INV-1-2-2"),
        ("4000862141404", "n1", 118, "INV-2-1-1"),
    ]
    assert [each.occurred_at.hour for each in counts] == [0, 0, 0, 6]


def test_a_sales_report_takes_from_the_store_what_it_sold_and_adds_what_came_back() -> None:
    changes = commands("slsrpt.edi")

    assert [told(each, "sku", "node", "delta", "reason", "ref") for each in changes] == [
        ("4000862141404", "store1", -17, "sold", "S-20260304-store1-1-1"),
        ("5412345111115", "store1", -1, "sold", "S-20260304-store1-2-1"),
        ("4000862141404", "store1", 2, "returned", "S-20260304-store1-1-1-returned"),
    ]


def test_what_says_nothing_of_orders_or_stock_is_skipped() -> None:
    text = "UNB+UNOC:3+A+B+260302:0815+1'UNH+1+INVOIC:D:96A:UN'BGM+380+1+9'UNT+3+1'UNZ+1+1'"
    [reading] = take(MAPPING, text.encode(), kind="edifact")

    assert reading.skipped == "it says nothing about an order or stock that we would act on"


def test_an_unknown_unit_is_refused_with_its_place() -> None:
    text = (SAMPLES / "orders-groups.edi").read_text().replace("QTY+21:1", "QTY+21:1:XXX")
    readings = take(MAPPING, text.encode(), kind="edifact", settings={"currency": "USD"})

    assert [each.problem.errors[0].field for each in readings if each.problem] == [
        "lines[0].uom (from LIN[#1].QTY[01.1=21|1|131].01.3)"
    ] * 3


ENVELOPE = Envelope(ours=Party(id="4000001000005", qualifier="14"), theirs=Party(id="4000002000004", qualifier="14"))
FORM = Format(kind="edifact", envelope=ENVELOPE)
AT = datetime(2026, 3, 1, 14, 31, tzinfo=UTC)


def written(message: dict[str, Any]) -> str:
    """The segments that one of our messages is written as, without the envelope; our own reader takes them without a note."""
    made = write([document(MAPPING, message, "edifact")], FORM, Numbers(5, AT))
    [back] = [item for item in read([made], FORM) if isinstance(item, Document)]
    assert back.notes == ()
    return made.decode("iso8859-1").split("'UNH+1+")[1].split("'UNT+")[0]


def test_a_release_is_an_order_to_the_vendor() -> None:
    assert written(RELEASE) == (
        "ORDERS:D:96A:UN'BGM+220+web?:10001/1+9'DTM+137:202603011430:203'RFF+CR:WEB-10001'NAD+DP++++++NY+10001+US'"
        "LIN+1++SKU-1:IN'QTY+21:2:PCE'LIN+2++SKU-2:IN'QTY+21:1:PCE'UNS+S'CNT+2:2"
    )


def test_a_release_for_pick_up_names_the_node() -> None:
    release = RELEASE | {"destination": None, "pickup_node": "store1"}

    assert "RFF+CR:WEB-10001'NAD+UC+store1::92'LIN+1++" in written(release)


def test_a_cancellation_is_a_change_that_deletes_lines() -> None:
    assert written(CANCEL) == (
        "ORDCHG:D:96A:UN'BGM+230+web?:10001/9/1+4'DTM+137:202603011500:203'RFF+ON:web?:10001/1'"
        "LIN+1+2+SKU-1:IN'QTY+21:2'UNS+S'CNT+2:1"
    )


@pytest.mark.skipif(not CORPORA.is_dir(), reason=NO_CORPORA)
def test_real_orders_come_to_orders_or_say_what_they_lack() -> None:
    readings = take(
        MAPPING,
        (CORPORA / "02-edifact" / "ORDERS__pydifact__order2.edi").read_bytes(),
        kind="edifact",
        settings={"currency": "EUR", "country": "DE"},
    )
    order = readings[0].command

    assert order is not None
    assert told(order, "order_id", "customer", "total") == ("peer:PO123456", "123456789", Decimal("250.00"))
    assert [each.problem.reason for each in readings if each.problem] == ["truncated"]
