"""The files of the plan: web orders as NDJSON, what was paid at the tills and will be fetched, and the count sheets, as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from interlock.demo.baskets import SHOP_ZONE, Basket, Row
from interlock.demo.estate_writer import COUNT_COLUMNS, TILL_COLUMNS
from interlock.demo.rules import Road, place_of, sku_of, total_of, unit_price, units_of
from interlock.demo.stock import Count

COUNTED_AT = "23:00:00"
BAD_COUNTS = (("n/a", "a word"), ("-3", "a negative count"), ("", "nothing"), ("2.5", "half a piece"))
"""What the count sheets hold that is no count: Interlock rejects these rows and takes their neighbours."""

_ZONE = ZoneInfo(SHOP_ZONE)


def web_order(basket: Basket, rows: list[Row], road: Road, seed: int) -> dict[str, object]:
    """The body of order.create as the web shop posts it, without the payment, which the shop knows."""
    latitude, longitude, region = place_of(seed, "household", basket.household)
    body: dict[str, object] = {
        "order_id": str(basket.number),
        "number": f"WEB-{basket.number}",
        "channel": "web-local" if road == "ship_from_store" else "web",
        "placed_at": basket.at.isoformat(),
        "currency": "USD",
        "fulfillment": "delivery" if road == "ship_from_store" else road,
        "customer": f"household-{basket.household}",
        "lines": [
            {
                "line_no": place,
                "sku": sku_of(row),
                "quantity": int(units_of(row)[0]),
                "unit_price": plain(unit_price(row)),
            }
            for place, row in enumerate(rows, start=1)
        ],
        "total": plain(total_of(rows)),
    }
    if road in ("bopis", "ship_to_store"):
        body["pickup_node"] = f"STORE-{basket.store}"
    else:
        body["destination"] = {"country": "US", "region": region, "latitude": latitude, "longitude": longitude}
    return body


def write_web_orders(path: Path, orders: Iterable[dict[str, object]]) -> None:
    """One order a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(order, separators=(",", ":")) + "\n" for order in orders)


def till_rows(basket: Basket, rows: list[Row], number: str, word: str) -> list[list[str]]:
    """A sale as the tills export it: header fields repeated on each line, local time without an offset."""
    local = basket.at.astimezone(_ZONE).strftime("%Y-%m-%dT%H:%M:%S")
    total = plain(total_of(rows))
    return [
        [
            number, local, word, f"{basket.store:05}", str(place), till_item(row), plain(units_of(row)[0]),
            units_of(row)[1], plain(unit_price(row)), f"household-{basket.household}", total, total, total,
        ]
        for place, row in enumerate(rows, start=1)
    ]  # fmt: skip


def till_item(row: Row) -> str:
    """The tills' own word for an item; fuel by volume is a pump there."""
    sku = sku_of(row)
    return f"PUMP-{sku}" if sku.endswith("-GAL") else sku


def write_till_export(path: Path, rows: Iterable[list[str]]) -> None:
    """One night's export, semicolons and the code page of the tills."""
    with path.open("w", encoding="cp1252", newline="") as file:
        out = csv.writer(file, delimiter=";", lineterminator="\r\n")
        out.writerow(TILL_COLUMNS.values())
        out.writerows(rows)


def write_counts(folder: Path, counts: Iterable[Count], rows_max: int, day: date) -> tuple[list[str], int, int]:
    """Count sheets of at most `rows_max` rows; gives their names, the positions counted, and the bad rows put in."""
    names: list[str] = []
    positions = bad = 0
    file: TextIO | None = None
    for count in counts:
        if positions % rows_max == 0:
            if file:
                file.close()
            names.append(f"COUNT_{len(names) + 1:03}.csv")
            file = (folder / names[-1]).open("w", encoding="utf-8", newline="")
            out = csv.writer(file, lineterminator="\n")
            out.writerow(COUNT_COLUMNS.values())
            if len(names) == 1:
                for place, (value, _) in enumerate(BAD_COUNTS):
                    out.writerow([count.sku, count.node, value, "each", f"BAD-{place}", f"{day}T{COUNTED_AT}"])
                bad = len(BAD_COUNTS)
        out.writerow([count.sku, count.node, plain(count.counted), count.uom, f"INIT-{day}", f"{day}T{COUNTED_AT}"])
        positions += 1
    if file:
        file.close()
    return names, positions, bad


def plain(number: Decimal) -> str:
    """A number as people write it: no exponent, no zeros at the end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
