"""Ready-made mappings of shops, marketplaces and 3PLs with JSON APIs: what their payloads become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from interlock.connectors.recipes import compile_recipe, compile_template
from interlock.contracts.mapping_files import ready_made, ready_mapping
from interlock.domain.commands import (
    AcknowledgeShipment,
    CancelOrder,
    ConfirmShipment,
    CountStock,
    CreateOrder,
    IssueRefund,
    LineUnits,
)
from interlock.domain.links import Format
from interlock.domain.values import SystemId
from tests.connectors.ready.taking import CANCEL, CORPORA, NO_CORPORA, RELEASE, document, estate_of, one, take

needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason=NO_CORPORA)
JSON = CORPORA / "05-api-json"


@pytest.mark.parametrize("name", ready_made())
def test_every_ready_made_mapping_compiles_for_each_of_its_formats(name: str) -> None:
    raw = ready_mapping(name)
    system = estate_of().systems[SystemId("peer")]
    needed = {setting: "web" for setting, default in (raw.get("settings") or {}).items() if default is None}
    for kind in raw["format"]:
        if "records" in raw:
            assert compile_recipe(name, raw, system=system, form=Format(kind=kind), settings=needed).rules()
        if "messages" in raw:
            compile_template(name, raw, system=system, form=Format(kind=kind), settings=needed)
    assert raw["about"]


# Shopify


def shopify(**changes: Any) -> dict[str, Any]:
    """A paid order of two lines, as its webhook has it."""
    return {
        "id": 5551234567890,
        "name": "#2001",
        "order_number": 2001,
        "created_at": "2026-03-01T09:30:00-05:00",
        "processed_at": "2026-03-01T09:30:02-05:00",
        "updated_at": "2026-03-01T09:31:00-05:00",
        "cancelled_at": None,
        "currency": "USD",
        "email": "kim@example.com",
        "financial_status": "paid",
        "test": False,
        "total_price": "47.50",
        "total_tax": "2.50",
        "customer": {"id": 77},
        "shipping_address": {
            "country_code": "US",
            "province_code": "KY",
            "zip": "40202",
            "latitude": 38.2,
            "longitude": -85.7,
        },
        "shipping_lines": [{"code": "Standard", "price": "5.00"}],
        "line_items": [
            {"id": 13265841234567, "sku": "MUG", "quantity": 2, "price": "10.00", "variant_id": 1},
            {"id": 13265841234568, "sku": "", "quantity": 1, "price": "20.00", "variant_id": 39072856},
            {"id": 13265841234569, "sku": "GONE", "quantity": 0, "price": "9.00", "variant_id": 2},
        ],
        **changes,
    }


def test_a_shopify_order_becomes_an_order() -> None:
    command = one("shopify", shopify(), context={"topic": "orders/create"})

    assert isinstance(command, CreateOrder)
    assert (command.order_id, command.number, command.channel) == ("peer:5551234567890", "#2001", "web")
    assert command.placed_at == datetime(2026, 3, 1, 14, 30, 2, tzinfo=UTC)
    assert [(line.line_no, line.sku, line.quantity, line.unit_price) for line in command.lines] == [
        (1, "MUG", 2, 10),
        (2, "39072856", 1, 20),
    ]
    assert (command.total, command.tax, command.shipping) == (Decimal("47.5"), Decimal("2.5"), 5)
    assert (command.authorized, command.captured, command.word) == (Decimal("47.5"), Decimal("47.5"), "paid")
    assert command.destination is not None
    assert (command.destination.country, command.destination.region) == ("US", "KY")


@pytest.mark.parametrize(
    ("status", "authorized", "captured"), [("pending", 0, 0), ("authorized", 1, 0), ("paid", 1, 1)]
)
def test_a_shopify_order_is_paid_as_far_as_it_says(status: str, authorized: int, captured: int) -> None:
    command = one("shopify", shopify(financial_status=status))
    assert (command.authorized, command.captured) == (authorized * command.total, captured * command.total)


def test_a_shopify_cancellation_cancels_the_order_by_topic_or_by_its_time() -> None:
    gone = shopify(cancelled_at="2026-03-02T10:00:00Z", cancel_reason="customer")
    by_topic = one("shopify", gone, context={"topic": "orders/cancelled"})
    assert isinstance(by_topic, CancelOrder)
    assert (by_topic.order_id, by_topic.ref, by_topic.reason) == (
        "peer:5551234567890",
        "5551234567890-cancelled",
        "customer",
    )
    created, canceled = (each.command for each in take("shopify", gone, context={"topic": "orders/updated"}))
    assert isinstance(created, CreateOrder)
    assert canceled == by_topic


def test_a_shopify_refund_pays_back_each_of_its_transactions() -> None:
    refund = {
        "id": 1,
        "order_id": 5551234567890,
        "refund_line_items": [],
        "transactions": [
            {"id": 11, "kind": "refund", "amount": "4.00", "processed_at": "2026-03-03T00:00:00Z"},
            {"id": 12, "kind": "void", "amount": "1.00"},
            {"id": 13, "kind": "refund", "amount": "6.00", "processed_at": "2026-03-03T00:00:00Z"},
        ],
    }
    found = [each.command for each in take("shopify", refund)]
    assert [(c.order_id, c.ref, c.amount) for c in found if isinstance(c, IssueRefund)] == [
        ("peer:5551234567890", "11", 4),
        ("peer:5551234567890", "13", 6),
    ]


def test_what_does_not_matter_to_us_is_read_and_skipped() -> None:
    [test] = take("shopify", shopify(test=True))
    assert (test.command, test.problem, test.skipped) == (None, None, "it is a test order of the shop")
    [cart] = take("shopify", {"id": 1}, context={"topic": "carts/update"})
    assert cart.skipped
    [unknown] = take("shopify", {"what": "is this"})
    assert unknown.problem is not None
    assert unknown.problem.reason == "no_rule"


@needs_corpora
def test_the_shopify_payloads_of_others_are_read() -> None:
    order = one("shopify", (JSON / "shopify__order.json").read_bytes(), item="order")
    assert (order.order_id, [line.sku for line in order.lines]) == (
        "peer:450789469",
        ["IPOD2008GREEN", "IPOD2008RED", "IPOD2008BLACK"],
    )
    assert (order.total, order.authorized, order.captured) == (Decimal("409.94"), Decimal("409.94"), 0)
    levels = take("shopify", (JSON / "shopify__inventory_levels.json").read_bytes(), item="inventory_levels")
    assert [
        (c.command.sku, c.command.node, c.command.counted) for c in levels if isinstance(c.command, CountStock)
    ] == [
        ("39072856", "n1", 27),
        ("808950810", "n2", 1),
        ("808950810", "n1", 9),
        ("39072856", "n2", 3),
    ]


# Other shops


def test_a_woocommerce_order_becomes_an_order_with_the_price_of_one_unit() -> None:
    payload = {
        "id": 727,
        "number": "727",
        "status": "processing",
        "currency": "EUR",
        "date_created_gmt": "2026-03-22T16:28:02",
        "date_modified_gmt": "2026-03-22T16:28:08",
        "date_paid_gmt": "2026-03-22T16:28:08",
        "total": "29.35",
        "total_tax": "1.35",
        "shipping_total": "10.00",
        "customer_id": 5,
        "billing": {"country": "DE", "postcode": "10115", "email": "a@example.com"},
        "shipping": {"country": "DE", "state": "BE", "postcode": "10117"},
        "line_items": [
            {"id": 315, "product_id": 93, "variation_id": 0, "quantity": 2, "sku": "TEE", "total": "6.00", "price": 3},
            {
                "id": 316,
                "product_id": 22,
                "variation_id": 23,
                "quantity": 3,
                "sku": "",
                "total": "10.00",
                "price": 3.333,
            },
        ],
    }
    command = one("woocommerce", payload)
    assert isinstance(command, CreateOrder)
    assert command.placed_at == datetime(2026, 3, 22, 16, 28, 2, tzinfo=UTC)
    assert [(line.sku, line.quantity, line.unit_price) for line in command.lines] == [
        ("TEE", 2, 3),
        ("product-23", 3, Decimal("3.3333")),
    ]
    assert (command.captured, command.total) == (Decimal("29.35"), Decimal("29.35"))
    assert isinstance(one("woocommerce", payload | {"status": "cancelled"}), CancelOrder)
    created, refund = take("woocommerce", payload | {"status": "refunded", "refunds": [{"id": 9, "total": "-10.00"}]})
    assert isinstance(created.command, CreateOrder)
    assert isinstance(refund.command, IssueRefund)
    assert refund.command.amount == 10
    assert take("woocommerce", {"webhook_id": 12})[0].skipped


def test_a_bigcommerce_order_becomes_an_order_and_its_webhook_only_says_that_there_is_one() -> None:
    payload = {
        "id": 118,
        "status_id": 11,
        "status": "Awaiting Fulfillment",
        "date_created": "Tue, 05 Mar 2026 21:40:11 +0000",
        "date_modified": "Tue, 05 Mar 2026 21:40:12 +0000",
        "currency_code": "USD",
        "total_inc_tax": "21.00",
        "total_tax": "1.0000",
        "shipping_cost_ex_tax": "5.00",
        "payment_status": "captured",
        "billing_address": {"country_iso2": "US", "email": "a@example.com"},
        "consignments": {
            "shipping": [
                {
                    "shipping_address": {"country_iso2": "US", "state": "Texas", "zip": "78704"},
                    "line_items": [{"id": 1, "sku": "CUP", "product_id": 86, "quantity": 3, "price_ex_tax": "5.0000"}],
                }
            ]
        },
    }
    command = one("bigcommerce", payload)
    assert isinstance(command, CreateOrder)
    assert command.placed_at == datetime(2026, 3, 5, 21, 40, 11, tzinfo=UTC)
    assert [(line.sku, line.quantity, line.unit_price) for line in command.lines] == [("CUP", 3, 5)]
    assert (command.captured, command.shipping) == (21, 5)
    assert isinstance(one("bigcommerce", payload | {"status_id": 5, "status": "Cancelled"}), CancelOrder)
    assert take("bigcommerce", {"scope": "store/order/created", "data": {"type": "order", "id": 250}})[0].skipped


def test_a_magento_order_counts_a_configurable_product_once() -> None:
    payload = {
        "increment_id": "000000013",
        "entity_id": 13,
        "state": "processing",
        "status": "processing",
        "created_at": "2026-03-01 23:04:52",
        "updated_at": "2026-03-01 23:05:00",
        "order_currency_code": "USD",
        "grand_total": 59.5,
        "tax_amount": 4.5,
        "shipping_amount": 5,
        "customer_email": "a@example.com",
        "total_paid": 59.5,
        "payment": {"amount_authorized": 59.5, "amount_paid": 59.5},
        "extension_attributes": {
            "shipping_assignments": [
                {"shipping": {"address": {"country_id": "US", "region_code": "MI", "postcode": "49628"}}}
            ]
        },
        "items": [
            {"item_id": 1, "sku": "WS12-M-Orange", "product_type": "configurable", "qty_ordered": 1, "price": 22},
            {
                "item_id": 2,
                "sku": "WS12-M-Orange",
                "product_type": "simple",
                "parent_item_id": 1,
                "qty_ordered": 1,
                "price": 0,
            },
            {"item_id": 3, "sku": "24-WB04", "product_type": "simple", "qty_ordered": 2.0, "price": 14},
            {"item_id": 4, "sku": "EBOOK", "product_type": "downloadable", "qty_ordered": 1, "price": 3},
        ],
    }
    command = one("magento2", payload)
    assert isinstance(command, CreateOrder)
    assert [(line.sku, line.quantity) for line in command.lines] == [("WS12-M-Orange", 1), ("24-WB04", 2)]
    assert command.placed_at == datetime(2026, 3, 1, 23, 4, 52, tzinfo=UTC)
    assert isinstance(one("magento2", payload | {"state": "canceled"}), CancelOrder)


def test_a_square_sale_is_carried_out_and_a_shipment_is_delivered() -> None:
    sale: dict[str, Any] = {
        "id": "CAISENgvlJ6jLWAzERDzjyHVybY",
        "location_id": "LOC1",
        "state": "COMPLETED",
        "created_at": "2026-03-04T20:12:51.214Z",
        "updated_at": "2026-03-04T20:12:53Z",
        "closed_at": "2026-03-04T20:12:53Z",
        "total_money": {"amount": 1250, "currency": "USD"},
        "total_tax_money": {"amount": 50, "currency": "USD"},
        "line_items": [
            {
                "uid": "a",
                "catalog_object_id": "BEAN",
                "quantity": "3",
                "base_price_money": {"amount": 400, "currency": "USD"},
            }
        ],
    }
    command = one("square", sale)
    assert isinstance(command, CreateOrder)
    assert (command.fulfillment, command.pickup_node, command.total, command.captured) == (
        "carry_out",
        "store1",
        Decimal("12.5"),
        Decimal("12.5"),
    )
    assert command.lines[0].unit_price == 4
    yen = json.loads(json.dumps(sale).replace("USD", "JPY"))
    assert one("square", yen).total == 1250
    recipient = {"address": {"country": "US", "administrative_district_level_1": "CA", "postal_code": "94103"}}
    shipped = sale | {
        "fulfillments": [{"type": "SHIPMENT", "shipment_details": {"recipient": recipient}}],
        "state": "OPEN",
    }
    ordered = one("square", shipped)
    assert (ordered.fulfillment, ordered.channel, ordered.destination.region) == ("delivery", "web", "CA")
    assert isinstance(
        one("square", {"id": "X", "state": "CANCELED", "updated_at": "2026-03-04T20:12:53Z"}), CancelOrder
    )


# Marketplaces


def amazon(**changes: Any) -> dict[str, Any]:
    """An order that the seller ships, with its items."""
    money = {"CurrencyCode": "USD", "Amount": "31.00"}
    return {
        "AmazonOrderId": "902-3159896-1390916",
        "PurchaseDate": "2026-01-20T19:49:35Z",
        "LastUpdateDate": "2026-01-20T19:51:35Z",
        "OrderStatus": "Unshipped",
        "FulfillmentChannel": "MFN",
        "OrderTotal": money,
        "ShippingAddress": {"CountryCode": "US", "StateOrRegion": "MI", "PostalCode": "48817"},
        "OrderItems": [
            {
                "ASIN": "B1",
                "SellerSKU": "CBA_OTF_1",
                "QuantityOrdered": 3,
                "ItemPrice": {"CurrencyCode": "USD", "Amount": "25.00"},
                "ItemTax": {"Amount": "2.00"},
                "ShippingPrice": {"Amount": "4.00"},
            },
        ],
        **changes,
    }


def test_an_amazon_order_is_paid_and_its_prices_are_for_one_unit() -> None:
    command = one("amazon-orders", amazon())
    assert isinstance(command, CreateOrder)
    assert (command.channel, command.captured, command.tax, command.shipping) == ("amazon", 31, 2, 4)
    assert [(line.sku, line.quantity, line.unit_price) for line in command.lines] == [
        ("CBA_OTF_1", 3, Decimal("8.3333"))
    ]
    assert take("amazon-orders", amazon(FulfillmentChannel="AFN"))[0].skipped.startswith("Amazon ships it")
    assert take("amazon-orders", amazon(OrderStatus="Pending"))[0].skipped
    assert isinstance(one("amazon-orders", amazon(OrderStatus="Canceled")), CancelOrder)
    bare = amazon()
    del bare["OrderItems"]
    [reading] = take("amazon-orders", bare)
    assert reading.problem is not None
    assert "OrderItems" in str(reading.problem.errors)


@needs_corpora
def test_the_amazon_payloads_of_others_are_read() -> None:
    orders = take(
        "amazon-orders",
        (JSON / "amazon_spapi__ordersV0__getOrders_200_example.json").read_bytes(),
        item="response.payload.Orders",
    )
    assert [each.skipped for each in orders] == ["Amazon has not released the order to the seller yet"]
    direct = one(
        "amazon-vendor",
        (JSON / "amazon_spapi__vendorDF_orders__getOrder_200_example.json").read_bytes(),
        item="response",
    )
    assert (direct.order_id, direct.number, direct.destination.country) == ("peer:2JK3S9VC", "123-ABC", "US")
    assert [(line.line_no, line.sku, line.quantity) for line in direct.lines] == [
        (1, "8806098286500", 1),
        (2, "8806098286123", 2),
    ]
    retail = take(
        "amazon-vendor",
        (JSON / "amazon_spapi__vendorOrders__getPurchaseOrder_200_1.json").read_bytes(),
        item="sandbox.response.payload",
    )
    assert "Amazon's own warehouse" in retail[0].skipped


def test_a_walmart_order_becomes_an_order_and_its_cancelled_lines_cancellations() -> None:
    def line(number: str, sku: str, status: str) -> dict[str, Any]:
        charge = {
            "chargeType": "PRODUCT",
            "chargeAmount": {"currency": "USD", "amount": 25},
            "tax": {"taxAmount": {"amount": 2.06}},
        }
        return {
            "lineNumber": number,
            "item": {"sku": sku},
            "charges": {"charge": [charge]},
            "orderLineQuantity": {"unitOfMeasurement": "EACH", "amount": "2"},
            "orderLineStatuses": {"orderLineStatus": [{"status": status, "statusQuantity": {"amount": "2"}}]},
        }

    payload = {
        "purchaseOrderId": "1796277083022",
        "customerOrderId": "5281956426648",
        "orderDate": 1767225600000,
        "shipNode": {"type": "SellerFulfilled"},
        "shippingInfo": {"postalAddress": {"country": "USA", "state": "CA", "postalCode": "92121"}},
        "orderLines": {"orderLine": [line("1", "FOO", "Created"), line("2", "BAR", "Cancelled")]},
    }
    created, canceled = (each.command for each in take("walmart", payload))
    assert isinstance(created, CreateOrder)
    assert created.placed_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert [(each.line_no, each.sku, each.unit_price) for each in created.lines] == [
        (1, "FOO", Decimal("12.5")),
        (2, "BAR", Decimal("12.5")),
    ]
    assert (created.tax, created.destination and created.destination.country) == (Decimal("4.12"), "US")
    assert isinstance(canceled, CancelOrder)
    assert canceled.lines == (LineUnits(line_no=2, quantity=2),)
    assert take("walmart", payload | {"shipNode": {"type": "WFSFulfilled"}})[0].skipped


# 3PLs and tills


def test_shipstation_is_told_orders_and_tells_shipments() -> None:
    told = document("shipstation", RELEASE)
    assert (told["orderNumber"], told["orderStatus"], told["shipTo"]["postalCode"]) == (
        "web:10001/1",
        "awaiting_shipment",
        "10001",
    )
    assert told["items"] == [
        {"lineItemKey": "1", "sku": "SKU-1", "quantity": 2},
        {"lineItemKey": "2", "sku": "SKU-2", "quantity": 1},
    ]
    assert document("shipstation", CANCEL)["orderStatus"] == "cancelled"
    shipment = {
        "shipmentId": 33974374,
        "orderNumber": "web:10001/1",
        "createDate": "2026-03-02T12:00:00.0000000",
        "shipDate": "2026-03-02",
        "trackingNumber": "1Z999",
        "carrierCode": "ups",
        "voided": False,
        "shipmentItems": [{"lineItemKey": "1", "sku": "SKU-1", "quantity": 2}],
    }
    command = one("shipstation", shipment)
    assert isinstance(command, ConfirmShipment)
    assert (command.order_id, command.assignment_no, command.ref) == ("web:10001", 1, "33974374")
    assert command.lines == (LineUnits(line_no=1, quantity=2),)
    assert [(each.tracking, each.carrier) for each in command.packages] == [("1Z999", "ups")]
    assert command.occurred_at == datetime(2026, 3, 2, 20, tzinfo=UTC)
    assert take("shipstation", shipment | {"voided": True})[0].skipped


def test_shiphero_tells_what_it_packs_ships_and_has() -> None:
    update = {
        "webhook_type": "Shipment Update",
        "fulfillment": {
            "shipment_id": 1,
            "shipment_uuid": "U1",
            "order_number": "web:10001/1",
            "tracking_number": "T1",
            "shipping_carrier": "fedex",
            "created_at": "2026-03-02T12:00:00+00:00",
            "line_items": [{"partner_line_item_id": "2", "sku": "SKU-2", "quantity": 1}],
        },
    }
    command = one("shiphero", update)
    assert isinstance(command, ConfirmShipment)
    assert (command.ref, command.lines) == ("U1", (LineUnits(line_no=2, quantity=1),))
    counts = {
        "webhook_type": "Inventory Update",
        "timestamp": "2026-03-02T12:00:00+00:00",
        "inventory": [
            {"sku": "A", "warehouse_id": "W1", "on_hand": 3, "inventory_id": 1},
            {"sku": "B", "warehouse_id": "W1", "on_hand": 0, "inventory_id": 2},
        ],
    }
    found = [each.command for each in take("shiphero", counts)]
    assert [(c.sku, c.node, c.counted) for c in found if isinstance(c, CountStock)] == [("A", "n1", 3), ("B", "n1", 0)]
    allocated = {"webhook_type": "Order Allocated", "allocation": {"order_number": "web:10001/1", "order_id": 9}}
    assert isinstance(one("shiphero", allocated), AcknowledgeShipment)
    assert document("shiphero", RELEASE)["line_items"][1] == {
        "partner_line_item_id": "2",
        "sku": "SKU-2",
        "quantity": 1,
    }


@needs_corpora
def test_lightspeed_sales_of_one_line_and_of_two_are_read() -> None:
    for name, count in (("sale_270_one_line_is_object", 1), ("sale_277_two_lines", 2)):
        command = one("lightspeed", (JSON / f"lightspeed__{name}.json").read_bytes())
        assert isinstance(command, CreateOrder)
        assert len(command.lines) == count
        assert (command.fulfillment, command.pickup_node) == ("carry_out", "store1")
        assert command.captured == command.total
