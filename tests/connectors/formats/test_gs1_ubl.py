"""GS1 XML and UBL: which elements are documents, in whatever envelope, and what is written for partners."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interlock.connectors.formats import gs1, ubl, xml_documents
from interlock.connectors.formats.document import Document, FormatUnreadable, Numbers, WriteRefused
from interlock.domain.links import Envelope, Format, Party

DATA = Path(__file__).parents[2] / "data"
NUMBERS = Numbers(7, datetime(2026, 3, 1, 9, 30, tzinfo=UTC))
GS1 = Format(kind="gs1", envelope=Envelope(ours=Party(id="4012345000009"), theirs=Party(id="4098765000010")))
UBL = Format(kind="ubl")


def of_gs1(whole: bytes) -> list[Document]:
    return [each for each in gs1.read([whole], GS1) if isinstance(each, Document)]


def of_ubl(whole: bytes) -> list[Document]:
    return [each for each in ubl.read([whole], UBL) if isinstance(each, Document)]


def test_orders_of_version_3_are_found_in_their_message_with_its_header() -> None:
    first, second = of_gs1((DATA / "gs1" / "order-3.xml").read_bytes())
    assert [each.data["orderIdentification"]["entityIdentification"] for each in (first, second)] == [
        "PO-7001",
        "PO-6900",
    ]
    header = first.context["StandardBusinessDocumentHeader"]
    assert header["Sender"]["Identifier"] == {"@Authority": "GS1", "#text": "4012345000009"}
    assert first.raw.startswith(b"<order>\n") and first.raw.endswith(b"</order>")


def test_an_order_of_version_2_is_found_in_its_command() -> None:
    [found] = of_gs1((DATA / "gs1" / "order-2.xml").read_bytes())
    assert (found.kind, found.data["@creationDateTime"]) == ("order", "2026-03-01T09:30:00")
    assert found.context["documentCommandHeader"] == {"@type": "ADD"}


def test_several_kinds_are_read_from_one_envelope() -> None:
    found = of_gs1((DATA / "gs1" / "warehouse-3.xml").read_bytes())
    assert [each.kind for each in found] == ["despatchAdvice", "receivingAdvice", "inventoryReport"]


@pytest.mark.parametrize(
    ("whole", "kind"),
    [
        (
            b"<x:transportStatusMessage xmlns:x='u'><transportStatus><a/></transportStatus></x:transportStatusMessage>",
            "transportStatus",
        ),
        (b"<priceSync><a/></priceSync>", "priceSync"),
        (b"<order><a/></order>", "order"),
    ],
)
def test_messages_that_we_do_not_know_are_documents_too(whole: bytes, kind: str) -> None:
    assert [each.kind for each in of_gs1(whole)] == [kind]


def test_an_envelope_without_a_document_is_unreadable() -> None:
    with pytest.raises(FormatUnreadable) as caught:
        of_gs1(b"<Envelope><Body><nothing/></Body></Envelope>")
    assert caught.value.reason == "no_document"


def test_a_gs1_order_is_written_with_header_parties_and_order_of_elements() -> None:
    order: dict[str, Any] = {
        "orderLineItem": [
            {"transactionalTradeItem": {"gtin": "04006381333931"}, "requestedQuantity": 2, "lineItemNumber": 1}
        ],
        "orderIdentification": {"entityIdentification": "web:1/1"},
        "documentStatusCode": "ORIGINAL",
        "creationDateTime": "2026-03-01T09:30:00Z",
    }
    [whole] = xml_documents.read([gs1.write([{"order": order}], GS1, NUMBERS)], Format(kind="xml"))
    assert isinstance(whole, Document)
    assert list(whole.data["order"]) == [
        "creationDateTime",
        "documentStatusCode",
        "orderIdentification",
        "buyer",
        "seller",
        "orderLineItem",
    ]
    assert list(whole.data["order"]["orderLineItem"]) == [
        "lineItemNumber",
        "requestedQuantity",
        "transactionalTradeItem",
    ]
    assert whole.data["StandardBusinessDocumentHeader"]["DocumentIdentification"]["InstanceIdentifier"] == "7"
    [again] = of_gs1(gs1.write([{"order": order}], GS1, NUMBERS))
    assert again.data["buyer"] == {"gln": "4012345000009"}


@pytest.mark.parametrize(
    ("order", "field"),
    [({"invented": "1"}, "order.invented"), ({"creationDateTime": "x"}, "order.documentStatusCode")],
)
def test_a_gs1_order_that_is_not_by_the_standard_is_refused(order: dict[str, Any], field: str) -> None:
    with pytest.raises(WriteRefused) as caught:
        gs1.write([{"order": order}], GS1, NUMBERS)
    assert caught.value.field == field


def test_an_address_that_is_no_gln_is_refused() -> None:
    form = Format(kind="gs1", envelope=Envelope(ours=Party(id="US"), theirs=Party(id="THEM")))
    lines = [{"lineItemNumber": 1, "requestedQuantity": 1, "transactionalTradeItem": {"gtin": "1"}}]
    order = {
        "creationDateTime": "x",
        "documentStatusCode": "ORIGINAL",
        "orderIdentification": {"entityIdentification": "1"},
        "orderLineItem": lines,
    }
    with pytest.raises(WriteRefused) as caught:
        gs1.write([{"order": order}], form, NUMBERS)
    assert (caught.value.field, caught.value.value) == ("envelope", "US")


def test_ubl_documents_are_read_with_any_prefixes() -> None:
    [order] = of_ubl((DATA / "ubl" / "order.xml").read_bytes())
    [despatch] = of_ubl((DATA / "ubl" / "despatch.xml").read_bytes())
    assert (order.kind, order.data["ID"], order.data["OrderLine"]["LineItem"]["Quantity"]) == (
        "Order",
        "AEG-34",
        {"@unitCode": "C62", "#text": "4"},
    )
    assert (despatch.kind, [each["DeliveredQuantity"]["#text"] for each in despatch.data["DespatchLine"]]) == (
        "DespatchAdvice",
        ["2", "0"],
    )


def test_ubl_documents_are_found_in_envelopes() -> None:
    name = b"StandardBusinessDocument"
    header = b"<s:%sHeader><s:HeaderVersion>1.0</s:HeaderVersion></s:%sHeader>" % (name, name)
    orders = b"<Order><ID>1</ID></Order><Order><ID>2</ID></Order>"
    whole = b"<s:%s xmlns:s='u'>%s%s</s:%s>" % (name, header, orders, name)
    found = of_ubl(whole)
    assert [each.data["ID"] for each in found] == ["1", "2"]
    assert found[0].context["StandardBusinessDocumentHeader"] == {"HeaderVersion": "1.0"}


def test_a_ubl_order_is_written_with_namespaces_and_order_of_elements() -> None:
    order = {
        "OrderLine": [{"LineItem": {"Item": {"Name": "Tent"}, "Quantity": {"@unitCode": "C62", "#text": 2}, "ID": 1}}],
        "SellerSupplierParty": {"Party": {"PartyName": {"Name": "W"}}},
        "BuyerCustomerParty": {"Party": {"PartyName": {"Name": "R"}}},
        "IssueDate": "2026-03-01",
        "ID": "web:1/1",
    }
    whole = ubl.write([{"Order": order}], UBL, NUMBERS)
    assert b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"' in whole
    assert (
        b'<cac:OrderLine><cac:LineItem><cbc:ID>1</cbc:ID><cbc:Quantity unitCode="C62">2</cbc:Quantity><cac:Item>'
        b"<cbc:Name>Tent</cbc:Name></cac:Item></cac:LineItem></cac:OrderLine></Order>"
    ) in whole
    [again] = of_ubl(whole)
    assert list(again.data)[-6:] == [
        "UBLVersionID",
        "ID",
        "IssueDate",
        "BuyerCustomerParty",
        "SellerSupplierParty",
        "OrderLine",
    ]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"Order": {"ID": "1"}}, "Order.IssueDate"),
        ({"Order": {"ID": "1", "Id": "2"}}, "Order.Id"),
        ({"Orders": {"ID": "1"}}, "document 1"),
        ({"Order": "text"}, "Order"),
    ],
)
def test_a_ubl_document_that_is_not_by_the_standard_is_refused(document: dict[str, Any], field: str) -> None:
    with pytest.raises(WriteRefused) as caught:
        ubl.write([document], UBL, NUMBERS)
    assert caught.value.field == field


def test_a_ubl_file_holds_one_document() -> None:
    with pytest.raises(WriteRefused) as caught:
        ubl.write([{"Order": {}}, {"Order": {}}], UBL, NUMBERS)
    assert caught.value.field == "documents"
