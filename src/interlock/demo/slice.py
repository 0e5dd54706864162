"""Makes the demo's workload from the baskets: `prepare` writes what the simulated estate needs into a directory.

    estate.yaml          the estate, with the hashes of the API keys
    keys.json            the keys themselves, for the simulated systems (only its owner may read it)
    plan.json            what there is to do, with exact counts: rows in, and what became of every one
    web/DAY.ndjson       the web orders of a day, one body of order.create a line
    tills/SALES_DAY.xml  the tills' night as POSLog
    tills/*_DAY.csv      what was paid at the till and is fetched later
    counts/COUNT_*.csv   the stock that everything begins with
    exchange/            the empty folders through which files will go
    dc_host_key          the private key of the DC's SFTP server

The same arguments give the same files, but for the keys.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from interlock.demo import exports, rules
from interlock.demo.baskets import FIRST_DAY, LAST_DAY, PACKAGE, Basket, Row, baskets_by_day, baskets_per_store
from interlock.demo.estate_writer import CALLERS, FOLDERS, estate_text
from interlock.demo.made_up import made_up_baskets
from interlock.demo.poslog_export import Registers, Sale, write_poslog
from interlock.demo.stock import DC, QUICK, Demand, initial_counts
from interlock.simulation.estate_program.plan import HOST_KEY_FILE

FIRST_DAY_OF_DEMO = date(2017, 6, 30)
"""The fortnight from here on has the most baskets of the year: 6,401."""

COUNT_ROWS_MAX = 5000
DC_MAILBOX = "dc-sftp"
"""Whose password is in keys.json, for the DC's SFTP server and, by its variable, for Interlock."""
RECOUNTED_MAX = 12


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What `prepare` wrote; `plan` is the content of plan.json."""

    folder: Path
    estate: Path
    keys: Path
    plan: dict[str, Any]


def prepare(folder: Path, *, days: int = 14, all_: bool = False, orders: int | None = None, seed: int = 1) -> Prepared:
    """Write the workload into `folder`: `days` days, `all_` of the year, or so many made-up `orders` without the data.

    Raises BasketsMissing where the data is asked for and not installed, FileExistsError where the folder holds a plan.
    """
    if (folder / "plan.json").exists():
        raise FileExistsError(f"{folder / 'plan.json'} is there already; name a new or empty directory")
    first = FIRST_DAY if all_ else FIRST_DAY_OF_DEMO
    last = LAST_DAY if all_ else first + timedelta(days=days - 1)

    def baskets() -> Iterator[tuple[date, list[Basket]]]:
        if orders is not None:
            return made_up_baskets(orders, seed, first)
        return baskets_by_day(first, last)

    for name in ("web", "tills", "counts", *FOLDERS.values()):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if orders is None:
        per_store = baskets_per_store(first, last)
    else:
        per_store = Counter(basket.store for _, day in baskets() for basket in day)
    workload = _Workload(folder, seed, per_store)
    for day, todays in baskets():
        workload.write_day(day, todays)
    return workload.finish("made up" if orders is not None else PACKAGE, first)


class _Workload:
    """Writes the days one after the other and counts."""

    def __init__(self, folder: Path, seed: int, per_store: Mapping[int, int]) -> None:
        self.folder = folder
        self.seed = seed
        self.stores = set(per_store)
        self.tills = rules.till_stores(per_store)
        self.demand = Demand()
        self.pump_skus: set[str] = set()
        self.rows: Counter[str] = Counter(dict.fromkeys(rules.ROW_OUTCOMES, 0))
        self.baskets: Counter[str] = Counter()
        self.orders: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.oddities: Counter[str] = Counter()
        self.nights: list[dict[str, object]] = []
        self.registers = Registers(seed)
        self.last_night: tuple[Path, list[str]] = (folder, [])

    def write_day(self, day: date, baskets: list[Basket]) -> None:
        """The web orders and the exports of one day."""
        web: list[dict[str, object]] = []
        sales: list[Sale] = []
        tendered: list[list[str]] = []
        before = Counter(self.orders)
        for basket in baskets:
            self._note_oddities(basket)
            if basket.store in self.tills:
                self._till(basket, sales, tendered)
            else:
                self._web(basket, web, sales)
        names = {"web": f"web/{day}.ndjson", "sales": f"tills/SALES_{day}.xml", "tendered": f"tills/TENDERED_{day}.csv"}
        exports.write_web_orders(self.folder / names["web"], web)
        transactions = self.registers.night(len(self.nights), day, sales)
        write_poslog(self.folder / names["sales"], transactions)
        self.last_night = self.folder / names["sales"], transactions
        exports.write_till_export(self.folder / names["tendered"], tendered)
        made = self.orders - before
        self.nights.append(
            {
                "day": str(day),
                **names,
                "web_orders": len(web),
                "sales_orders": made["till"] + made["pump"],
                "sales_rows": sum(len(sale.rows) for sale in sales),
                "sales_transactions": len(transactions),
                "tendered_orders": made["tendered"],
                "tendered_rows": len(tendered),
            }
        )

    def _till(self, basket: Basket, sales: list[Sale], tendered: list[list[str]]) -> None:
        """A basket of a till store: a sale that left with the customer, or one that is fetched later."""
        later = rules.is_tendered(basket, self.seed)
        sold = self._sort_rows(basket, at_till=True, tendered=later)
        kind = "tendered" if later else "till"
        if later:
            tendered += exports.till_rows(basket, list(basket.rows), str(basket.number), "TENDERED")
        else:
            sales.append(_sale(basket, basket.rows, pump=False))
        if not sold:
            self.baskets["till_basket_of_quantity_zero_only"] += 1
            return
        if len(sold) < len(basket.rows):
            self.oddities["till_orders_with_a_zero_quantity_row"] += 1
        self.baskets["tendered_order" if later else "till_sale"] += 1
        self._count_order(kind, sold)
        for row in sold:
            self._demand_at_store(basket.store, row)

    def _web(self, basket: Basket, web: list[dict[str, object]], sales: list[Sale]) -> None:
        """A basket of any other store: a web order, and a sale at the pump for its fuel."""
        ordered = self._sort_rows(basket, at_till=False, tendered=False)
        pumped = [row for row in ordered if row.gasoline]
        ordered = [row for row in ordered if not row.gasoline]
        if pumped:
            sales.append(_sale(basket, pumped, pump=True))
            self._count_order("pump", pumped)
            for row in pumped:
                self._demand_at_store(basket.store, row)
        if ordered:
            road = rules.road(basket, self.seed)
            web.append(exports.web_order(basket, ordered, road, self.seed))
            self._count_order("web", ordered)
            self.orders[f"web_{road}"] += 1
            for row in ordered:
                self._demand_of_web(f"STORE-{basket.store}", row, road)
        if pumped and ordered:
            self.baskets["web_order_and_pump_sale"] += 1
        elif pumped:
            self.baskets["pump_sale"] += 1
        else:
            self.baskets["web_order" if ordered else "web_basket_with_nothing_to_order"] += 1

    def _sort_rows(self, basket: Basket, at_till: bool, tendered: bool) -> list[Row]:
        """Count what becomes of each line, and give those that are bought."""
        bought = []
        for row in basket.rows:
            outcome = rules.outcome_of(row, at_till, tendered)
            self.rows[outcome] += 1
            if outcome in ("web_line", "till_line", "tendered_line", "pump_line"):
                bought.append(row)
        return bought

    def _count_order(self, kind: str, rows: list[Row]) -> None:
        self.orders[kind] += 1
        self.lines[kind] += len(rows)
        for row in rows:
            quantity, uom = rules.units_of(row)
            if uom == "each":
                self.units[kind] += int(quantity)
            else:
                self.units["thousandths_of_a_gallon"] += row.quantity

    def _demand_at_store(self, store: int, row: Row) -> None:
        quantity, uom = rules.units_of(row)
        key = (f"STORE-{store}", rules.sku_of(row))
        if uom == "each":
            self.demand.till[key] += int(quantity)
        else:
            self.demand.pump[key] = self.demand.pump.get(key, 0 * quantity) + quantity
            self.pump_skus.add(key[1])

    def _demand_of_web(self, store: str, row: Row, road: rules.Road) -> None:
        quantity, sku = int(rules.units_of(row)[0]), rules.sku_of(row)
        if road == "bopis":
            self.demand.pickup[store, sku] += quantity
        elif road == "ship_from_store":
            self.demand.local[store, sku] += quantity
        else:
            self.demand.shipped[sku] += quantity

    def _note_oddities(self, basket: Basket) -> None:
        """Count what the data has of odd lines, whatever becomes of them."""
        odd = self.oddities
        skus = [rules.sku_of(row) for row in basket.rows if row.quantity]
        odd["baskets_with_one_sku_twice"] += len(skus) != len(set(skus))
        odd["baskets_of_more_than_60_lines"] += len(basket.rows) > 60
        for row in basket.rows:
            odd["rows_of_quantity_zero"] += row.quantity == 0
            odd["rows_of_quantity_zero_with_money"] += row.quantity == 0 and row.paid > 0
            odd["rows_given_away_free"] += row.quantity > 0 and row.paid == 0
            odd["rows_of_fuel_by_volume"] += rules.by_volume(row)
            odd["rows_of_fuel_prepaid"] += row.gasoline and row.quantity > 0 and not rules.by_volume(row)
            odd["rows_with_a_coupon"] += row.coupon
            odd["rows_discounted"] += row.discounted
            odd["rows_of_unknown_products"] += not row.known

    def finish(self, source: str, first: date) -> Prepared:
        """The counts, the estate, the keys and the plan."""
        if late := self.registers.left():
            path, transactions = self.last_night
            write_poslog(path, [*transactions, *late])
        counts = list(initial_counts(self.demand, self.seed))
        sheets, positions, bad = exports.write_counts(
            self.folder / "counts", counts, COUNT_ROWS_MAX, first - timedelta(days=1)
        )
        keys = {caller: secrets.token_urlsafe(24) for caller in CALLERS}
        ports = _free_ports("third_party", "stores", "dc_sftp")
        hashes = {caller: hashlib.sha256(key.encode()).hexdigest() for caller, key in keys.items()}
        estate, keys_file = self.folder / "estate.yaml", self.folder / "keys.json"
        host_key = _host_key(self.folder / HOST_KEY_FILE)
        estate.write_text(
            estate_text(self.stores, self.pump_skus, hashes, ports, host_key, self.seed), encoding="utf-8"
        )
        keys[DC_MAILBOX] = secrets.token_urlsafe(24)
        with os.fdopen(os.open(keys_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(keys, file)
        whole = [count for count in counts if count.uom == "each" and count.node in (DC, QUICK)]
        plan = {
            "version": 1,
            "source": source,
            "seed": self.seed,
            "first_day": self.nights[0]["day"],
            "last_day": self.nights[-1]["day"],
            "rows": {"in": sum(self.rows.values()), "outcomes": dict(self.rows)},
            "baskets": {"in": sum(self.baskets.values()), "outcomes": dict(sorted(self.baskets.items()))},
            "orders": {
                "total": sum(self.orders[kind] for kind in ("web", "till", "pump", "tendered")),
                **dict(sorted(self.orders.items())),
            },
            "lines": {"total": sum(self.lines.values()), **dict(sorted(self.lines.items()))},
            "units": dict(sorted(self.units.items())),
            "oddities": dict(sorted(self.oddities.items())),
            "stores": {"total": len(self.stores), "tills": [f"STORE-{store}" for store in sorted(self.tills)]},
            "transactions": {
                "all": self.registers.transactions,
                "late": self.registers.late,
                "registers": self.registers.count,
                "days": self.registers.days,
            },
            "stock": {"positions": positions, "bad_rows": bad, "rows": positions + bad},
            "counts": [f"counts/{name}" for name in sheets],
            "nights": self.nights,
            "folders": FOLDERS,
            "ports": ports,
            "nodes": {"dc": DC, "third_party": QUICK},
            "recount": [
                [count.sku, count.node] for count in whole[:: max(1, len(whole) // RECOUNTED_MAX)][:RECOUNTED_MAX]
            ],
        }
        (self.folder / "plan.json").write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        return Prepared(folder=self.folder, estate=estate, keys=keys_file, plan=plan)


def _sale(basket: Basket, rows: Sequence[Row], *, pump: bool) -> Sale:
    return Sale(basket, tuple(rows), tuple(exports.till_item(row) for row in rows), pump)


def _host_key(path: Path) -> str:
    """A new key of an SSH server: the private half in the file, the public one as known_hosts has it."""
    import asyncssh  # takes a while, and only this needs it

    key = asyncssh.generate_private_key("ssh-ed25519")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(key.export_private_key())
    return str(key.export_public_key().decode().strip())


def _free_ports(*names: str) -> dict[str, int]:
    """Ports of the loopback address that nobody listens on now."""
    sockets = [socket.socket() for _ in names]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
    finally:
        for each in sockets:
            each.close()
