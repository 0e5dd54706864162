"""The estate of the crash tests: a web shop, a warehouse on HTTP, tills and a back office on files, and one who may not."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

KEYS = {caller: f"crash-test-{caller}" for caller in ("webshop", "warehouse", "backoffice", "watcher")}
"""Each caller's API key; they open nothing but the service that a crash test has started."""

SALES, COUNTS = "exchange/sales", "exchange/counts"
"""The drop folders, relative to the estate file."""

WAREHOUSES = ("DC-EAST", "DC-WEST")
STORE = "STORE-1"
PLENTY = tuple(f"SKU-{number}" for number in range(1, 31))
SCARCE = tuple(f"RARE-{number}" for number in range(1, 6))
TILL_SKUS = tuple(f"TILL-{number}" for number in range(1, 21))
PRICE = "10.00"
"""Of one unit of any SKU, so that everybody can do the sums."""

INITIAL_STOCK = {
    **{(sku, node): 5_000 for sku in PLENTY for node in WAREHOUSES},
    **{(sku, "DC-WEST"): 40 for sku in SCARCE},
    **{(sku, STORE): 100_000 for sku in TILL_SKUS},
}
"""Units by (SKU, node): a lot of most, and of some so little that they sell out."""

COUNTS_STABLE_S = 2.0
RECEIVER_TIMEOUT_S = 1


def write_estate(folder: Path, receiver_port: int) -> Path:
    """Write estate.yaml and make its drop folders; gives its path."""
    for exchange in (SALES, COUNTS):
        (folder / exchange).mkdir(parents=True, exist_ok=True)
    path = folder / "estate.yaml"
    estate = {
        "interlock": 1,
        "retailer": "Crash tests",
        "currency": "USD",
        "systems": _systems(receiver_port),
        "nodes": {
            **{node: _node(node, "dc", "warehouse", ["delivery"]) for node in WAREHOUSES},
            STORE: _node(STORE, "store", "pos", ["carry_out"]),
        },
        "policies": {"short": {"version": "crash-1", "split_max": 2, "unfillable": "cancel"}},
        "channels": {
            "web": {"system": "webshop", "fulfills": ["delivery"], "sourcing": "short"},
            "till": {"system": "pos", "fulfills": ["carry_out"], "sourcing": "short"},
        },
        "exceptions": {"default": {"owner": "Order desk", "within": "1d"}},
    }
    path.write_text(json.dumps(estate, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def _systems(receiver_port: int) -> dict[str, object]:
    def system(kind: str, decides: str, connection: dict[str, object], **more: object) -> dict[str, object]:
        return {
            "name": kind,
            "kind": kind,
            "owner": {"team": kind, "escalation": f"{kind}@crash.example"},
            "authority": dict.fromkeys(decides.split(), "decide"),
            "time_zone": "America/New_York",
            "connection": connection,
            **more,
        }

    def key(caller: str) -> list[str]:
        return [sha256(KEYS[caller].encode()).hexdigest()]

    outbound = {
        "kind": "http",
        "url": f"http://127.0.0.1:{receiver_port}/interlock",
        "timeout": f"{RECEIVER_TIMEOUT_S}s",
    }
    sales = {"kind": "folder", "path": SALES, "records": "sales", "done_suffix": ".done"}
    counts = {"kind": "folder", "path": COUNTS, "records": "stock_counts", "stable": f"{COUNTS_STABLE_S:g}s"}
    return {
        "webshop": system(
            "webshop", "order payment refund return", {"api_key_sha256": key("webshop"), "outbound": "none"}
        ),
        "warehouse": system(
            "wms",
            "fulfillment",
            {"api_key_sha256": key("warehouse"), "outbound": outbound},
            retry={"attempts_max": 60, "first": "200ms", "factor": 1.5, "max": "2s", "jitter": 0.3},
        ),
        "pos": system("pos", "order payment fulfillment stock", {"inbound": [sales], "outbound": "none"}),
        "backoffice": system(
            "backoffice",
            "stock",
            {"api_key_sha256": key("backoffice"), "inbound": [counts], "outbound": "none"},
        ),
        "watcher": system("erp", "", {"api_key_sha256": key("watcher"), "outbound": "none"}),
    }


def _node(name: str, kind: str, system: str, fulfills: list[str]) -> dict[str, object]:
    west = name == "DC-WEST"
    return {
        "name": name,
        "kind": kind,
        "system": system,
        "place": {
            "country": "US",
            "region": "NV" if west else "PA",
            "latitude": 39.6 if west else 40.4,
            "longitude": -119.9 if west else -79.9,
        },
        "time_zone": "America/New_York",
        "fulfills": fulfills,
    }
