"""What tests of the published contracts share: validators, and a body of every action that is as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs

from interlock.contracts.catalog import Kind, catalog, schema

AT = "2026-03-01T09:30:00+01:00"
LINES = [{"line_no": 1, "quantity": 2}]

BODIES: dict[str, dict[str, Any]] = {
    "order.create": {
        "order_id": "10001",
        "number": "WEB-10001",
        "channel": "web",
        "placed_at": AT,
        "currency": "USD",
        "fulfillment": "delivery",
        "destination": {"country": "US", "region": "NY", "postal_code": "10001", "latitude": 40.7, "longitude": -74.0},
        "recipient": {
            "name": "A. Smith",
            "street": "1 Main St",
            "street_2": "4B",
            "city": "New York",
            "phone": "+1 555 0100",
            "email": "a.smith@example.com",
            "instructions": "ring twice",
        },
        "pickup_node": "E",
        "preferred_node": "E",
        "promotions": ["SPRING", "VIP"],
        "customer": "C-1",
        "lines": [{"line_no": 1, "sku": "SKU-1", "quantity": 2, "uom": "each", "unit_price": "9.99"}],
        "total": "22.50",
        "tax": 1.52,
        "shipping": 1,
        "payment": {"authorized": "22.50", "captured": 0},
    },
    "order.authorize": {"order": "10001", "ref": "a-1", "amount": "19.98"},
    "order.capture": {"order": "10001", "ref": "a-1", "amount": 19.98},
    "order.void": {"order": "webshop:10001", "ref": "a-1", "amount": 20},
    "reservation.hold": {"order": "10001", "ref": "a-1", "lines": LINES, "node": "E"},
    "reservation.cancel": {
        "order": "10001",
        "ref": "a-1",
        "assignment": "10001/1",
        "lines": LINES,
        "exclude": True,
        "reason": "flooded",
    },
    "shipment.release": {"order": "10001", "ref": "a-1", "assignment": 1},
    "shipment.acknowledge": {"assignment": "webshop:10001/1", "ref": "a-1", "warehouse_ref": "W-1"},
    "shipment.pack": {"assignment": "webshop:10001/1", "ref": "a-1", "lines": LINES},
    "shipment.confirm": {
        "assignment": "webshop:10001/1",
        "ref": "S-1",
        "lines": LINES,
        "packages": [{"tracking": "1Z1", "carrier": "UPS", "lines": LINES}],
        "carrier": "UPS",
        "shipped_at": AT,
    },
    "shipment.reject": {"assignment": "webshop:10001/1", "ref": "a-1", "reason": "damaged", "lines": LINES},
    "order.cancel": {"order": "10001", "ref": "a-1", "lines": LINES, "reason": "changed mind"},
    "return.authorize": {"order": "10001", "ref": "RMA-1", "lines": LINES, "reason": "too small"},
    "return.cancel": {"order": "10001", "ref": "a-1", "return_ref": "RMA-1", "reason": "kept"},
    "return.receive": {
        "order": "10001",
        "ref": "a-1",
        "return_ref": "RMA-1",
        "node": "E",
        "lines": [{"line_no": 1, "quantity": 1, "disposition": "damaged"}],
    },
    "refund.issue": {"order": "10001", "ref": "a-1", "amount": "9.99", "lines": LINES},
    "order.close": {"order": "10001", "ref": "a-1"},
    "stock.adjust": {"sku": "SKU-1", "node": "E", "ref": "a-1", "uom": "each", "delta": -2, "reason": "broken"},
    "stock.count": {"sku": "SKU-1", "node": "E", "ref": "a-1", "uom": "each", "counted": 40},
}
"""A body of every action, with every field of it but those that all have."""

ALWAYS: dict[str, Any] = {"occurred_at": AT, "status": "tendered", "version": 3}


@cache
def validator(kind: Kind, name: str) -> jsonschema_rs.Draft202012Validator:
    """The validator of a contract's current version; times are checked too."""
    return jsonschema_rs.Draft202012Validator(
        dict(schema(kind, name, catalog()[kind, name].current)), validate_formats=True
    )


def flaws(kind: Kind, name: str, value: object) -> list[str]:
    """What is wrong with a value, by its contract."""
    return [
        f"{'/'.join(map(str, e.instance_path))}: {e.message[:120]}" for e in validator(kind, name).iter_errors(value)
    ]


def properties(
    whole: dict[str, Any], part: dict[str, Any] | None = None, path: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema with its path, through the parts that it refers to."""
    for name, said in (whole if part is None else part).get("properties", {}).items():
        yield f"{path}{name}", said
        for inner in (said, said.get("items", {}), *said.get("anyOf", ())):
            if "$ref" in inner:
                yield from properties(whole, whole["$defs"][inner["$ref"].rpartition("/")[2]], f"{path}{name}/")
