"""Writes the demo's estate.yaml: nine outside systems, their folders and addresses, and every store of the slice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from interlock.demo.baskets import SHOP_ZONE
from interlock.demo.rules import place_of
from interlock.demo.stock import DC, QUICK
from interlock.simulation.estate_program.plan import DC_USER

FOLDERS = {
    "sales": "exchange/tills/sales",
    "tendered": "exchange/tills/tendered",
    "counts": "exchange/backoffice/counts",
    "dc_in": "exchange/dc/in",
    "dc_out": "exchange/dc/out",
}
"""The directories through which files go, relative to estate.yaml; those of the DC are behind its SFTP server."""

CALLERS = ("webshop", "third-party", "stores", "returns", "backoffice")
"""Systems that call our API, each with a key of its own."""

TILL_COLUMNS = {
    "order_id": "TRANS_NO", "placed_at": "TRANS_DT", "status": "STAT", "pickup_node": "STORE_NO", "line_no": "LN",
    "sku": "ITEM_NO", "quantity": "QTY", "uom": "UOM_CD", "unit_price": "UNIT_PRC", "customer": "LOYALTY_ID",
    "authorized": "AMT_AUTH", "captured": "AMT_PAID", "total": "AMT_TOTAL",
}  # fmt: skip
"""Our field: the tills' header, in the order in which the export has them."""

COUNT_COLUMNS = {
    "sku": "ITEM",
    "node": "SITE",
    "counted": "ON_HAND",
    "uom": "UNIT",
    "ref": "COUNT_ID",
    "occurred_at": "COUNTED_AT",
}
"""Our field: the count sheets' header."""

DC_PASSWORD_ENV = "DC_SFTP_PASSWORD"
DC_ENVELOPE = {
    "ours": {"id": "INTERLOCK"},
    "theirs": {"id": "DCWMS"},
    "version": "004010",
    "test": True,
}
"""Who we and the distribution center are in X12."""

HEAD = """\
# The estate of the demo: the stores of the dunnhumby baskets, two warehouses, and the systems around them.
# Written by `interlock demo`; docs/demo.md tells the rules. Places are made from hashes: the data has none.
"""


def estate_text(
    stores: Iterable[int],
    pump_skus: Iterable[str],
    keys_sha256: Mapping[str, str],
    ports: Mapping[str, int],
    dc_host_key: str,
    seed: int,
) -> str:
    """The text of estate.yaml. `ports`: where third party, stores and the DC's SFTP server listen on the loopback address."""
    stores = sorted(stores)
    sections: dict[str, object] = {
        "interlock": 1,
        "retailer": "Journey Markets (demo)",
        "currency": "USD",
        "systems": _systems(keys_sha256, ports, dc_host_key),
        "nodes": _nodes(stores, seed),
        "policies": _policies(),
        "channels": _channels(),
        "sku_aliases": {"pos": {f"PUMP-{sku}": sku for sku in sorted(pump_skus)}},
        "node_aliases": {"pos": {f"{store:05}": f"STORE-{store}" for store in stores}},
        "exceptions": {
            "default": {"owner": "Order desk", "within": "1d"},
            "conflict": {"owner": "Digital", "within": "4h"},
            "short_pick": {"owner": "Store operations", "within": "1d"},
        },
    }
    return HEAD + "".join(_section(name, value) for name, value in sections.items())


def _section(name: str, value: object) -> str:
    """One section; its entries one below the other, each on a line as JSON, which YAML contains."""
    if not isinstance(value, dict):
        return f"{name}: {json.dumps(value)}\n"
    entries = "".join(f"  {json.dumps(key)}: {json.dumps(entry)}\n" for key, entry in value.items())
    return f"\n{name}:\n{entries}"


def _systems(keys: Mapping[str, str], ports: Mapping[str, int], dc_host_key: str) -> dict[str, object]:
    """The outside systems. Retries are quick, so that the demo does not wait."""

    def system(
        name: str, kind: str, authority: str, connection: dict[str, object], **more: object
    ) -> dict[str, object]:
        return {
            "name": name,
            "kind": kind,
            "owner": {"team": name, "escalation": f"{kind}@journey.example"},
            "authority": dict.fromkeys(authority.split(), "decide"),
            "time_zone": SHOP_ZONE,
            "connection": connection,
            **more,
        }

    def key(caller: str) -> list[str]:
        return [keys[caller]]

    def folder(path: str, records: str, columns: dict[str, str], **more: object) -> dict[str, object]:
        return {
            "kind": "folder",
            "path": FOLDERS[path],
            "records": records,
            "columns": columns,
            "stable": "1s" if records == "sales" else "400ms",
            **more,
        }

    def http(port: int) -> dict[str, object]:
        return {"kind": "http", "url": f"http://127.0.0.1:{port}/interlock", "timeout": "5s"}

    retry = {"attempts_max": 40, "first": "300ms", "factor": 1.6, "max": "3s", "jitter": 0.3}
    mailbox = {
        "host": "127.0.0.1",
        "port": ports["dc_sftp"],
        "user": DC_USER,
        "host_key": dc_host_key,
        "password_env": DC_PASSWORD_ENV,
    }
    x12 = {"kind": "x12", "envelope": DC_ENVELOPE}
    till = {"currency": "USD", "channel": "till"}
    return {
        "webshop": system(
            "Web shop", "webshop", "order payment refund", {"api_key_sha256": key("webshop"), "outbound": "none"}
        ),
        "pos": system(
            "Tills (nightly export)", "pos", "order payment fulfillment stock",
            {
                "inbound": [
                    {"kind": "folder", "name": "sales", "path": FOLDERS["sales"], "pattern": "*.xml", "stable": "1s",
                     "format": "poslog", "mapping": "poslog-store", "settings": {"channel": "till"}},
                    folder("tendered", "sales", TILL_COLUMNS, delimiter=";", encoding="cp1252",
                           fixed={**till, "fulfillment": "bopis"}),
                ],
                "outbound": "none",
            },
            states={"TENDERED": "authorized", "INVOICED": "shipped"},
        ),
        "dc-wms": system(
            "Distribution center WMS", "wms", "fulfillment stock",
            {
                "inbound": [
                    {"kind": "sftp", "name": "advices", "server": mailbox, "path": "/out", "pattern": "*.edi", "every": "500ms",
                     "stable": "0s", "format": x12, "mapping": "x12-warehouse", "acknowledge": "997"},
                ],
                "outbound": {"kind": "sftp", "server": mailbox, "path": "/in", "rows_max": 2000, "timeout": "2s", "format": x12,
                             "mapping": "x12-warehouse", "acknowledged_by": "997", "acknowledged_within": "1h"},
            },
            retry=retry,
        ),
        "third-party": system(
            "Quick 3PL", "3pl", "fulfillment",
            {"api_key_sha256": key("third-party"), "outbound": http(ports["third_party"])}, retry=retry,
        ),
        "stores": system(
            "Store picking", "wms", "fulfillment",
            {"api_key_sha256": key("stores"), "outbound": http(ports["stores"])}, retry=retry,
        ),
        "returns": system("Returns desk", "returns", "return", {"api_key_sha256": key("returns"), "outbound": "none"}),
        "backoffice": system(
            "Back office", "backoffice", "stock",
            {
                "api_key_sha256": key("backoffice"),
                "inbound": [folder("counts", "stock_counts", COUNT_COLUMNS)],
                "outbound": "none",
            },
        ),
    }  # fmt: skip


def _nodes(stores: Iterable[int], seed: int) -> dict[str, object]:
    """The two warehouses at fixed places, the stores where their hash puts them."""

    def node(
        name: str, kind: str, system: str, at: tuple[float, float, str], fulfills: str, cost: float
    ) -> dict[str, object]:
        latitude, longitude, region = at
        return {
            "name": name,
            "kind": kind,
            "system": system,
            "place": {"country": "US", "region": region, "latitude": latitude, "longitude": longitude},
            "time_zone": SHOP_ZONE,
            "fulfills": fulfills.split(),
            "handling_cost": cost,
        }

    warehouses: dict[str, object] = {
        DC: node("Central distribution center", "dc", "dc-wms", (39.1, -94.6, "west"), "delivery ship_to_store", 1.0),
        QUICK: node("Quick 3PL East", "3pl", "third-party", (40.0, -83.0, "east"), "delivery ship_to_store", 2.5),
    }
    return warehouses | {
        f"STORE-{store}": node(
            f"Store {store}",
            "store",
            "stores",
            place_of(seed, "store", store),
            "delivery bopis ship_to_store carry_out",
            4.0,
        )
        for store in stores
    }


def _policies() -> dict[str, object]:
    """Warehouses first for the web; shops ship only for its local channel. What nobody has is canceled."""
    return {
        "warehouses": {
            "version": "demo-warehouses-1",
            "split_max": 3,
            "unfillable": "cancel",
            "ship_from_store": False,
        },
        "near-first": {"version": "demo-near-first-1", "split_max": 3, "unfillable": "cancel", "ship_from_store": True},
    }


def _channels() -> dict[str, object]:
    """Where orders come from."""
    return {
        "web": {"system": "webshop", "fulfills": ["delivery", "bopis", "ship_to_store"], "sourcing": "warehouses"},
        "web-local": {"system": "webshop", "fulfills": ["delivery"], "sourcing": "near-first"},
        "till": {"system": "pos", "fulfills": ["carry_out", "bopis"], "sourcing": "warehouses"},
    }
