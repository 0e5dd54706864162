"""The tills' night as POSLog: every transaction of every register with its number, and the close of its day.

Registers number their transactions on from day to day, sales and all else alike: now and then a drawer is opened without a
sale, and each register ends its day with a transaction that says how many there were. One transaction of the first night is
late: it comes with the second night's file, as from a till that was offline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from interlock.demo.baskets import SHOP_ZONE, Basket, Row
from interlock.demo.exports import plain
from interlock.demo.rules import share, total_of, unit_price, units_of

NAMESPACE = "http://www.nrf-arts.org/IXRetail/namespace/"
REGISTERS = 2
NO_SALE_SHARE = 0.02
LATE_NIGHT = 0
CLOSED_AT = "23:30:00"
UNITS = {"each": "EA", "gallon": "GLL"}

_ZONE = ZoneInfo(SHOP_ZONE)


class Sale(NamedTuple):
    """A basket, or the fuel of one, as a register sold it; `words` are the till's names of its items."""

    basket: Basket
    rows: Sequence[Row]
    words: Sequence[str]
    pump: bool


class Registers:
    """The registers of all stores, and how far each has counted."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._numbers: dict[tuple[int, str], int] = {}
        self._late: list[str] = []
        self.transactions = 0
        self.late = 0
        self.days = 0

    def night(self, place: int, day: date, sales: Iterable[Sale]) -> list[str]:
        """The transactions of a night, with those that are late from the one before."""
        found, self._late = self._late, []
        by_register: dict[tuple[int, str], list[Sale]] = {}
        for sale in sorted(sales, key=lambda each: each.basket.at):
            by_register.setdefault((sale.basket.store, self._register(sale)), []).append(sale)
        for (store, register), sold in sorted(by_register.items()):
            first = self._numbers.get((store, register), 0) + 1
            written: list[str] = []
            for sale in sold:
                if share(self._seed, "no sale", sale.basket.number) < NO_SALE_SHARE:
                    written.append(self._no_sale(store, register, day, sale.basket.at))
                written.append(self._sale(store, register, day, sale))
            if place == LATE_NIGHT and not self.late and len(written) > 2:
                self._late.append(written.pop(1))
                self.late += 1
            found += written
            found.append(self._close(store, register, day, first))
        self.transactions += len(found)
        self.days += len(by_register)
        return found

    def left(self) -> list[str]:
        """What is late and has no night after it."""
        found, self._late = self._late, []
        return found

    @property
    def count(self) -> int:
        """How many registers there are."""
        return len(self._numbers)

    def _register(self, sale: Sale) -> str:
        if sale.pump:
            return "P1"
        return str(1 + int(share(self._seed, "register", sale.basket.number) * REGISTERS))

    def _head(self, store: int, register: str, day: date, begun: str) -> str:
        number = self._numbers[store, register] = self._numbers.get((store, register), 0) + 1
        return (
            f"<RetailStoreID>{store:05}</RetailStoreID><WorkstationID>{register}</WorkstationID>"
            f"<SequenceNumber>{number}</SequenceNumber><BusinessDayDate>{day}</BusinessDayDate>"
            f"<BeginDateTime>{begun}</BeginDateTime><EndDateTime>{begun}</EndDateTime><CurrencyCode>USD</CurrencyCode>"
        )

    def _no_sale(self, store: int, register: str, day: date, at: datetime) -> str:
        head = self._head(store, register, day, _local(at - timedelta(seconds=30)))
        return f"<Transaction>{head}<ControlTransaction><NoSale/></ControlTransaction></Transaction>\n"

    def _close(self, store: int, register: str, day: date, first: int) -> str:
        head = self._head(store, register, day, f"{day}T{CLOSED_AT}")
        last = self._numbers[store, register]
        return (
            f"<Transaction>{head}<ControlTransaction><BusinessEOD>"
            f"<StartSequenceNumber>{first}</StartSequenceNumber><EndSequenceNumber>{last}</EndSequenceNumber>"
            f"<TransactionCount>{last - first + 1}</TransactionCount></BusinessEOD></ControlTransaction></Transaction>\n"
        )

    def _sale(self, store: int, register: str, day: date, sale: Sale) -> str:
        head = self._head(store, register, day, _local(sale.basket.at))
        items = "".join(
            f"<LineItem><SequenceNumber>{place}</SequenceNumber><Sale><ItemID>{escape(word)}</ItemID>"
            f'<Quantity UnitOfMeasureCode="{UNITS[units_of(row)[1]]}">{plain(units_of(row)[0])}</Quantity>'
            f"<ActualSalesUnitPrice>{plain(unit_price(row))}</ActualSalesUnitPrice>"
            f"<ExtendedAmount>{plain(row.paid)}</ExtendedAmount></Sale></LineItem>"
            for place, (row, word) in enumerate(zip(sale.rows, sale.words, strict=True), start=1)
        )
        total = plain(total_of(list(sale.rows)))
        return (
            f'<Transaction>{head}<RetailTransaction TransactionStatus="Finished">{items}'
            f"<LineItem><SequenceNumber>{len(sale.rows) + 1}</SequenceNumber>"
            f'<Tender TenderType="CreditDebit"><Amount>{total}</Amount></Tender></LineItem>'
            f'<Total TotalType="TransactionGrandAmount">{total}</Total>'
            f"<Customer><CustomerID>household-{sale.basket.household}</CustomerID></Customer>"
            "</RetailTransaction></Transaction>\n"
        )


def write_poslog(path: Path, transactions: Iterable[str]) -> None:
    """One night's file."""
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write(f'<POSLog xmlns="{NAMESPACE}" MajorVersion="6" MinorVersion="0">\n')
        file.writelines(transactions)
        file.write("</POSLog>\n")


def _local(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%Y-%m-%dT%H:%M:%S")
