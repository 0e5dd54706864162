"""The ready-made mappings of POSLog, SAP IDocs, GS1 XML and UBL: what files become, and what our messages become."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.connectors.formats.document import Numbers
from interlock.connectors.formats.readers import reader, writer
from interlock.connectors.recipes import compile_template
from interlock.connectors.translate import Reading
from interlock.contracts.mapping_files import ready_mapping
from interlock.domain import commands
from interlock.domain.commands import LineUnits, Package, Received
from interlock.domain.estate import Estate
from interlock.domain.links import Envelope, Format, FormatKind, Party
from interlock.domain.sequences import Mark
from interlock.domain.values import SystemId
from tests.connectors.ready.taking import CANCEL, CORPORA, NO_CORPORA, RELEASE, estate_of, take, translator

DATA = Path(__file__).parents[2] / "data"
NUMBERS = Numbers(7, datetime(2026, 3, 1, 9, 30, tzinfo=UTC))


def estate(**aliases: str) -> Estate:
    """The estate, in whose words the peer calls our nodes."""
    made = estate_of(time_zone="America/New_York")
    named = {theirs.removeprefix("_"): made.nodes[ours].id for theirs, ours in aliases.items()}  # type: ignore[index]
    return msgspec.structs.replace(made, node_aliases={SystemId("peer"): named})


def sample(mapping: str, path: str, kind: FormatKind, **settings: str) -> list[Reading]:
    """What a sample file becomes."""
    known = estate(_0101="store1", _0102="store1", _4012345000016="n1")
    return take(mapping, (DATA / path).read_bytes(), kind, estate=known, settings=settings)


def made(readings: list[Reading]) -> list[Any]:
    """The commands; nothing may have gone wrong."""
    assert [each.problem for each in readings if each.problem is not None] == []
    return [each.command for each in readings if each.command is not None]


def written(mapping: str, message: dict[str, Any], kind: FormatKind, envelope: Envelope, **settings: str) -> bytes:
    """The bytes that one of our messages becomes."""
    form = Format(kind=kind, envelope=envelope)
    system = estate_of().systems[SystemId("peer")]
    template = compile_template(mapping, ready_mapping(mapping), system=system, form=form, settings=settings)
    write = writer(kind)
    assert write is not None
    document = template.document(message)
    assert document is not None
    return write([document], form, NUMBERS)


# POSLog


def test_a_sale_is_an_order_that_was_carried_out_and_paid() -> None:
    order = made(sample("poslog-store", "poslog/v2-day.xml", "poslog"))[0]
    assert isinstance(order, commands.CreateOrder)
    assert (order.order_id, order.fulfillment, order.pickup_node, order.channel) == (
        "peer:0101-3-20260307-451",
        "carry_out",
        "store1",
        "till",
    )
    assert order.placed_at == datetime(2026, 3, 7, 14, 15, 40, tzinfo=UTC)
    assert [(line.line_no, line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        (1, "TENT-2P-GRN", 1, Decimal("119")),
        (2, "PEG-10", 2, Decimal("4.5")),
    ]
    assert (order.total, order.tax, order.authorized, order.captured) == (
        Decimal("138.24"),
        Decimal("10.24"),
        Decimal("138.24"),
        Decimal("138.24"),
    )


def test_a_return_is_authorized_received_and_refunded_on_the_sale_that_it_names() -> None:
    authorize, receive, refund = made(sample("poslog-store", "poslog/v2-day.xml", "poslog"))[1:4]
    assert {authorize.order_id, receive.order_id, refund.order_id} == {"peer:0101-3-20260307-451"}
    assert authorize.lines == (LineUnits(2, 1),)
    assert (receive.lines, receive.node, receive.return_ref) == (
        (Received(line_no=2, quantity=1, disposition="damaged"),),
        "store1",
        authorize.ref,
    )
    assert (refund.amount, refund.lines) == (Decimal("4.86"), (LineUnits(2, 1),))


def test_an_exchange_is_a_sale_and_stock_that_came_back() -> None:
    order, adjust = made(sample("poslog-store", "poslog/v2-day.xml", "poslog"))[4:6]
    assert (order.order_id, order.total, [line.sku for line in order.lines]) == (
        "peer:0101-3-20260307-453",
        Decimal(42),
        ["KETTLE-1"],
    )
    assert (adjust.sku, adjust.node, adjust.delta, adjust.ref) == ("POT-1", "store1", 1, "0101-3-20260307-453/1")


def test_a_post_void_takes_everything_back_or_asks_to_cancel_where_it_lists_nothing() -> None:
    cancel = made(sample("poslog-store", "poslog/v2-day.xml", "poslog"))[6]
    assert (type(cancel), cancel.order_id, cancel.lines) == (commands.CancelOrder, "peer:0101-3-20260307-453", ())
    _, authorize, receive, refund = made(sample("poslog-store", "poslog/v6-store.xml", "poslog"))
    assert authorize.order_id == receive.order_id == refund.order_id == "peer:0102-002-20260307-88"
    assert [(line.line_no, line.quantity) for line in receive.lines] == [(1, 2), (2, Decimal("1.25"))]
    assert refund.amount == Decimal("25.6")


def test_every_transaction_has_its_mark_once_whatever_it_became() -> None:
    readings = sample("poslog-store", "poslog/v2-day.xml", "poslog")
    marks = [each.mark for each in readings if each.mark is not None]
    assert [mark.number for mark in marks] == list(range(451, 461))
    assert Counter(mark.kind for mark in marks)["sale"] == 1
    assert marks[-1] == Mark(
        store="0101",
        register="3",
        business_day=date(2026, 3, 7),
        number=460,
        kind="close",
        at=marks[-1].at,
        first=451,
        last=460,
        count=10,
    )
    assert [each.kind for each in readings if each.skipped] == [
        "no_sale",
        "training",
        "void",
        "suspend",
        "control",
        "close",
    ]


def test_layaways_and_orders_are_not_shipped_until_they_are_picked_up() -> None:
    layaway, order, pickup = made(sample("poslog-store", "poslog/v3-orders.xml", "poslog"))
    assert (layaway.fulfillment, layaway.pickup_node, layaway.total, layaway.captured) == (
        "bopis",
        "store1",
        Decimal(500),
        Decimal(50),
    )
    assert (order.fulfillment, order.destination.country, order.destination.postal_code, order.currency) == (
        "delivery",
        "US",
        "04530",
        "USD",
    )
    assert (type(pickup), pickup.order_id, pickup.assignment_no) == (commands.ConfirmShipment, layaway.order_id, 1)
    assert pickup.lines == (LineUnits(1, 1),)


@pytest.mark.parametrize("flag", ["CancelFlag", "TrainingModeFlag", "SuspendFlag"])
def test_lines_of_what_did_not_happen_move_nothing(flag: str) -> None:
    """A transaction that was broken off, practised or put aside is only counted, whatever is in it."""
    link = """<TransactionLink><RetailStoreID>0101</RetailStoreID><WorkstationID>3</WorkstationID>
        <SequenceNumber>1</SequenceNumber><BusinessDayDate>2026-03-01</BusinessDayDate><LineItemSequenceNumber>1</LineItemSequenceNumber></TransactionLink>"""
    kinds = ("Sale", "Return", "Layaway", "CustomerOrderForPickup", "PreviousLayaway")
    lines = "".join(
        f"<LineItem><SequenceNumber>{place}</SequenceNumber><{kind}><ItemID>A</ItemID><Quantity>1</Quantity>{link}</{kind}></LineItem>"
        for place, kind in enumerate(kinds, start=1)
    )
    whole = f"""<POSLog><Transaction {flag}="true"><RetailStoreID>0101</RetailStoreID><WorkstationID>3</WorkstationID>
        <SequenceNumber>9</SequenceNumber><BusinessDayDate>2026-03-02</BusinessDayDate><EndDateTime>2026-03-02T10:00:00</EndDateTime>
        <RetailTransaction>{lines}</RetailTransaction></Transaction></POSLog>"""
    [reading] = take("poslog-store", whole.encode(), "poslog", estate=estate(_0101="store1"))
    assert (reading.command, reading.problem) == (None, None)
    assert reading.skipped and reading.mark is not None


def test_everything_at_once_becomes_everything() -> None:
    """A sale, a return with its sale, one without, an order and a pickup in one transaction."""
    link = """<TransactionLink><RetailStoreID>0101</RetailStoreID><WorkstationID>3</WorkstationID>
        <SequenceNumber>1</SequenceNumber><BusinessDayDate>2026-03-01</BusinessDayDate>
        <LineItemSequenceNumber>4</LineItemSequenceNumber></TransactionLink>"""
    kinds = (
        ("Sale", ""),
        ("Return", link),
        ("Return", ""),
        ("CustomerOrderForPickup", ""),
        ("PreviousCustomerOrder", link),
    )
    lines = "".join(
        f"""<LineItem><SequenceNumber>{place}</SequenceNumber><{kind}><ItemID>SKU-{place}</ItemID><Quantity>1</Quantity>
            <ExtendedAmount>{place}.00</ExtendedAmount>{more}</{kind}></LineItem>"""
        for place, (kind, more) in enumerate(kinds, start=1)
    )
    whole = f"""<POSLog><Transaction><RetailStoreID>0101</RetailStoreID><WorkstationID>3</WorkstationID>
        <SequenceNumber>9</SequenceNumber><BusinessDayDate>2026-03-02</BusinessDayDate><EndDateTime>2026-03-02T10:00:00</EndDateTime>
        <RetailTransaction>{lines}<Total TotalType="TransactionGrandAmount">0.00</Total></RetailTransaction>
        </Transaction></POSLog>"""
    found = made(take("poslog-store", whole.encode(), "poslog", estate=estate(_0101="store1")))
    assert [type(each).__name__ for each in found] == [
        "CreateOrder",
        "AuthorizeReturn",
        "ReceiveReturn",
        "IssueRefund",
        "AdjustStock",
        "CreateOrder",
        "ConfirmShipment",
    ]
    sale, _, _, refund, adjust, order, pickup = found
    assert (sale.order_id, sale.total, refund.amount, adjust.sku) == ("peer:0101-3-20260302-9", 1, 2, "SKU-3")
    assert (order.order_id, order.total, order.fulfillment) == ("peer:0101-3-20260302-9-ORDER", 4, "bopis")
    assert (pickup.order_id, pickup.lines) == ("peer:0101-3-20260301-1", (LineUnits(4, 1),))


def test_goods_may_be_known_by_their_barcodes() -> None:
    order = made(sample("poslog-store", "poslog/v2-day.xml", "poslog", sku="gtin"))[0]
    assert [line.sku for line in order.lines] == ["4006381333931", "PEG-10"]


def test_a_store_that_the_estate_does_not_know_is_named_with_where_it_stands() -> None:
    if not CORPORA.is_dir():
        pytest.skip(NO_CORPORA)
    [reading] = take(
        "poslog-store", (CORPORA / "03-pos" / "arts_ixretail_v1__stockview_example.xml").read_bytes(), "poslog"
    )
    assert reading.problem is not None
    assert [(each.field, each.value) for each in reading.problem.errors] == [
        ("pickup_node (from store)", '"HighStreet"')
    ]
    assert reading.mark is not None and reading.mark.number == 4294967295


def test_poslog_becomes_commands_fast_enough() -> None:
    """5 MB a second on one core is promised; the test asks for less than half, for machines with other work."""
    whole = (DATA / "poslog" / "v2-day.xml").read_bytes().decode("cp1252")
    day = whole[whole.index("  <Transaction") : whole.index("</POSLog>")].encode()
    blocks = [b"<POSLog xmlns:TP='u'>", *[day] * 300, b"</POSLog>"]
    link = translator("poslog-store", "poslog", estate=estate(_0101="store1"))
    begun = time.process_time()
    count = sum(1 for _ in link.read(blocks))
    took = time.process_time() - begun
    assert count == 300 * 13
    assert sum(map(len, blocks)) / took > 2_000_000


# SAP

SAP = Envelope(ours=Party(id="INTERLOCK"), theirs=Party(id="SAPCLNT100"))


def test_a_shipping_confirmation_adds_up_its_batches_and_names_packages() -> None:
    [shipped] = made(sample("sap-idoc", "idoc/shpcon.xml", "idoc_xml"))
    assert (shipped.order_id, shipped.assignment_no, shipped.ref, shipped.carrier) == (
        "web:10001",
        1,
        "0080000123",
        "UPS",
    )
    assert shipped.lines == (LineUnits(1, 2),)
    assert shipped.packages == (Package(tracking="340123450000000012", carrier="UPS", lines=(LineUnits(1, 2),)),)
    assert shipped.occurred_at == datetime(2026, 3, 2, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["idoc_xml", "idoc_flat"])
@pytest.mark.parametrize("release", ["DELVRY", "ORDERS"])
def test_a_release_goes_to_sap_as_a_delivery_or_an_order(kind: FormatKind, release: str) -> None:
    whole = written("sap-idoc", RELEASE, kind, SAP, release=release)
    [found] = reader(kind)([whole], Format(kind=kind))
    assert found.kind == ("SHPORD" if release == "DELVRY" else "ORDERS")  # type: ignore[union-attr]
    data = found.data  # type: ignore[union-attr]
    if release == "DELVRY":
        assert data["E1EDL20"]["LIFEX"] == "web:10001/1"
        assert [(each["POSNR"], each["LFIMG"], each["MATNR_EXTERNAL"]) for each in data["E1EDL20"]["E1EDL24"]] == [
            ("000001", "2", "SKU-1"),
            ("000002", "1", "SKU-2"),
        ]
    else:
        assert data["E1EDK01"]["BELNR"] == "web:10001/1"
        assert [each["E1EDP19"]["IDTNR"] for each in data["E1EDP01"]] == ["SKU-1", "SKU-2"]


def test_an_order_that_we_send_to_sap_can_be_read_as_an_order() -> None:
    order = {**RELEASE, "assignment": "10001"}
    whole = written("sap-idoc", order, "idoc_flat", SAP, release="ORDERS")
    [again] = made(take("sap-idoc", whole, "idoc_flat"))
    assert (again.order_id, again.number, again.destination.postal_code) == ("peer:10001", "WEB-10001", "10001")
    assert [(line.line_no, line.sku, line.quantity, line.uom) for line in again.lines] == [
        (1, "SKU-1", 2, "each"),
        (2, "SKU-2", 1, "each"),
    ]


def test_a_movement_of_stock_has_the_sign_of_its_type() -> None:
    items = b"".join(
        b"<E1MBXYI><MATNR>A</MATNR><WERKS>n1</WERKS><BWART>%s</BWART><ERFMG>%s</ERFMG><ERFME>PCE</ERFME></E1MBXYI>"
        % each
        for each in ((b"101", b"5.000"), (b"551", b"2.000"))
    )
    head = b"<EDI_DC40><MESTYP>WMMBXY</MESTYP><DOCNUM>9</DOCNUM><CREDAT>20260301</CREDAT></EDI_DC40>"
    whole = b"<WMMBID01><IDOC>%s<E1MBXYH>%s</E1MBXYH></IDOC></WMMBID01>" % (head, items)
    assert [(each.sku, each.node, each.delta, each.reason) for each in made(take("sap-idoc", whole, "idoc_xml"))] == [
        ("A", "n1", 5, "movement 101"),
        ("A", "n1", -2, "movement 551"),
    ]


def test_real_idocs_become_orders_or_are_refused_with_the_reason() -> None:
    if not CORPORA.is_dir():
        pytest.skip(NO_CORPORA)
    told = {}
    for path in sorted((CORPORA / "06-sap-idoc").glob("*.xml")):
        [reading] = take("sap-idoc", path.read_bytes(), "idoc_xml")
        name = path.name.rpartition("__")[2]
        if reading.problem is not None:
            told[name] = reading.problem.errors[0].field
        else:
            told[name] = "skipped" if reading.skipped else type(reading.command).__name__
    assert told == {
        "minimal.xml": "assignment (from E1EDL20.LIFEX)",
        "idoc_DELVRY_0000004713.xml": "ConfirmShipment",
        "idoc_INVOIC_0000004712.xml": "skipped",
        "idoc_INVOIC_0000004713.xml": "skipped",
        "idoc_INVOIC_0000004714.xml": "skipped",
        "idoc_INVOIC_0000004715.xml": "skipped",
        "idoc_ORDERS_0000004712.xml": "CreateOrder",
        "idoc_ORDERS_0000004713.xml": "CreateOrder",
        "idoc_ORDERS_0000004714.xml": "lines[1].uom (from E1EDP01[#2].MENEE)",  # hours of work
        "idoc_ORDERS_0000004715.xml": "CreateOrder",
    }


def test_a_date_that_is_none_is_named_with_its_place() -> None:
    whole = b"""<ORDERS05><IDOC><EDI_DC40><MESTYP>ORDERS</MESTYP></EDI_DC40><E1EDK01><BELNR>1</BELNR><CURCY>EUR</CURCY></E1EDK01>
        <E1EDK03><IDDAT>012</IDDAT><DATUM>20261301</DATUM></E1EDK03><E1EDKA1><PARVW>WE</PARVW><LAND1>DE</LAND1></E1EDKA1>
        <E1EDP01><POSEX>1</POSEX><MENGE>1</MENGE><MATNR>A</MATNR></E1EDP01></IDOC></ORDERS05>"""
    [reading] = take("sap-idoc", whole, "idoc_xml")
    assert reading.problem is not None
    assert [(each.field.partition(" ")[0], each.value) for each in reading.problem.errors] == [
        ("placed_at", '"20261301"')
    ]


# GS1

GLNS = Envelope(ours=Party(id="4012345000009"), theirs=Party(id="4098765000010"))


@pytest.mark.parametrize(
    ("path", "order_id", "quantity", "price"),
    [("gs1/order-3.xml", "peer:PO-7001", 4, "10"), ("gs1/order-2.xml", "peer:PO-21", 3, "7.5")],
)
def test_gs1_orders_of_both_versions_become_the_same(path: str, order_id: str, quantity: int, price: str) -> None:
    order = made(sample("gs1-xml", path, "gs1"))[0]
    assert (order.order_id, order.customer, order.destination.country, order.currency) == (
        order_id,
        "4012345000009",
        "DE",
        "EUR",
    )
    assert [(line.line_no, line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        (1, "4006381333931", quantity, Decimal(price))
    ]


def test_a_gs1_order_that_is_deleted_is_canceled() -> None:
    cancel = made(sample("gs1-xml", "gs1/order-3.xml", "gs1"))[1]
    assert (type(cancel), cancel.order_id) == (commands.CancelOrder, "peer:PO-6900")


def test_gs1_messages_of_a_warehouse_become_shipments_and_stock() -> None:
    shipped, received, counted = made(sample("gs1-xml", "gs1/warehouse-3.xml", "gs1"))
    assert (shipped.order_id, shipped.lines) == ("web:10001", (LineUnits(1, 3), LineUnits(2, 1)))
    assert [(each.tracking, each.lines) for each in shipped.packages] == [
        ("340123450000000012", (LineUnits(1, 2),)),
        ("340123450000000029", (LineUnits(1, 1), LineUnits(2, 1))),
    ]
    assert (received.sku, received.node, received.delta) == ("4006381333931", "n1", 24)
    assert (counted.sku, counted.node, counted.counted, counted.ref) == ("4006381333931", "n1", 40, "IR-1")


def test_a_release_goes_out_as_a_gs1_order_and_its_end_as_a_deletion() -> None:
    [order] = reader("gs1")([written("gs1-xml", RELEASE, "gs1", GLNS)], Format(kind="gs1"))
    [deletion] = reader("gs1")([written("gs1-xml", CANCEL, "gs1", GLNS)], Format(kind="gs1"))
    assert order.data["orderIdentification"] == {"entityIdentification": "web:10001/1"}  # type: ignore[union-attr]
    assert [each["requestedQuantity"]["#text"] for each in order.data["orderLineItem"]] == ["2", "1"]  # type: ignore[union-attr]
    assert deletion.data["documentActionCode"] == "DELETE"  # type: ignore[union-attr]


# UBL


def test_a_ubl_order_becomes_an_order_with_the_price_of_one() -> None:
    [order] = made(sample("ubl", "ubl/order.xml", "ubl"))
    assert (order.order_id, order.total, order.tax, order.destination.postal_code) == (
        "peer:AEG-34",
        Decimal("47.6"),
        Decimal("7.6"),
        "28195",
    )
    assert [(line.line_no, line.sku, line.quantity, line.unit_price) for line in order.lines] == [
        (1, "FUEL-1", 4, Decimal(10))
    ]


def test_a_ubl_despatch_advice_becomes_a_shipment_of_what_left() -> None:
    [shipped] = made(sample("ubl", "ubl/despatch.xml", "ubl"))
    assert (shipped.order_id, shipped.ref, shipped.lines, shipped.carrier) == (
        "web:10001",
        "D-77",
        (LineUnits(1, 2),),
        "Posten",
    )
    assert shipped.occurred_at == datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(("code", "command"), [("AP", commands.AcknowledgeShipment), ("RE", commands.RejectShipment)])
def test_a_ubl_order_response_takes_or_refuses_a_release(code: str, command: type) -> None:
    whole = f"""<OrderResponse><ID>R1</ID><IssueDate>2026-03-01</IssueDate><OrderResponseCode>{code}</OrderResponseCode>
        <OrderReference><ID>web:10001/1</ID></OrderReference></OrderResponse>""".encode()
    [answer] = made(take("ubl", whole, "ubl"))
    assert (type(answer), answer.order_id, answer.assignment_no) == (command, "web:10001", 1)


def test_a_release_goes_out_as_a_ubl_order_and_its_end_as_a_cancellation() -> None:
    [order] = reader("ubl")([written("ubl", RELEASE, "ubl", GLNS)], Format(kind="ubl"))
    [end] = reader("ubl")([written("ubl", CANCEL, "ubl", GLNS)], Format(kind="ubl"))
    assert (order.kind, order.data["ID"], len(order.data["OrderLine"])) == ("Order", "web:10001/1", 2)  # type: ignore[union-attr]
    assert (end.kind, end.data["OrderReference"]) == ("OrderCancellation", {"ID": "web:10001/1"})  # type: ignore[union-attr]
