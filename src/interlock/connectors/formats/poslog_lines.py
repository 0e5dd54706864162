"""The lines of a POSLog transaction: what was sold, came back, was ordered or paid, in one shape whatever the version.

Quantities are positive, and `kind` says which way the goods went: a sale of minus one is a return. A line that was voided keeps
its place with `voided`, and counts for nothing; so does the line that it voids.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from interlock.connectors.formats.poslog_words import (
    DISPOSITIONS,
    GOODS,
    KNOWN,
    LINES,
    UNITS,
    Values,
    day,
    flag,
    many,
    number,
    part,
    plain,
    text,
)

_BARCODES: Final = ("ean", "upc", "gtin", "barcode", "jan")
_DIGITS_MAX: Final = 10


def read_lines(items: list[Any], notes: set[str]) -> list[Values]:
    """The lines; what was tolerated is added to `notes`."""
    lines = []
    for place, item in enumerate(items, start=1):
        if item.__class__ is dict:
            lines.append(_line(item, place, notes))
    _number(lines, notes)
    _void_pairs(lines, notes)
    return lines


def _line(item: Values, place: int, notes: set[str]) -> Values:
    kind, content = "other", item
    for key, value in item.items():
        if key in LINES:
            kind, content = LINES[key], part(value)
            break
        if key[0] != "@" and key not in KNOWN:
            notes.add(key)
    sequence = text(item.get("SequenceNumber"))
    line: Values = {
        "number": int(sequence) if sequence.isdecimal() and len(sequence) < _DIGITS_MAX else 0,
        "kind": kind,
    }
    if kind in GOODS:
        _goods(line, item, content, notes)
    elif kind == "tender":
        _tender(line, content)
    elif kind in ("tax", "discount", "fee", "payment", "rounding"):
        amount = number(content.get("Amount"))
        line["amount"] = plain(amount) if amount is not None else "0"
    line["voided"] = flag(item.get("@VoidFlag")) or flag(content.get("@VoidFlag")) or flag(item.get("@CancelFlag"))
    if link := text(content.get("ItemLink")) or text(item.get("ItemLink")) or text(item.get("CreateRefNumber")):
        line["link"] = link
    line["place"] = place
    return line


# Goods


def _goods(line: Values, item: Values, content: Values, notes: set[str]) -> None:
    unknown = content.keys() - KNOWN
    if unknown:
        notes.update([name for name in unknown if name[0] != "@"])
    _identify(line, item, content)
    quantity, uom = _quantity(content.get("Quantity"), notes)
    if quantity < 0:
        quantity = -quantity
        if line["kind"] == "sale":
            line["kind"] = "return"
    line["quantity"] = int(quantity) if quantity == quantity.to_integral_value() else quantity.normalize()
    line["uom"] = uom
    extended = number(content.get("ExtendedAmount"))
    price = _price(content)
    if price is None and extended is not None and quantity:
        price = round(abs(extended) / quantity, 4)
    if extended is None and price is not None:
        extended = price * quantity
    if price is not None:
        line["unit_price"] = plain(abs(price))
    if extended is not None:
        line["extended"] = plain(abs(extended))
    if (discount := _discount(content)) is not None:
        line["discount"] = plain(discount)
    if "Tax" in content:
        _tax(line, content["Tax"])
    link = content.get("TransactionLink") or item.get("TransactionLink")
    if link is not None:
        original = origin(part(link))
        if original:
            line["original"] = original
    if line["kind"] == "return":
        disposal = part(content.get("Disposal"))
        word = disposal.get("@Method") or text(content.get("Disposal")) or text(content.get("ItemCondition"))
        line["disposal"] = word or text(disposal.get("Method"))
        line["disposition"] = DISPOSITIONS.get(line["disposal"].replace("_", "").replace(" ", "").casefold(), "restock")
    if delivery := content.get("Delivery") or item.get("Delivery"):
        line["delivery"] = delivery_of(part(delivery))


def _identify(line: Values, item: Values, content: Values) -> None:
    identity = content.get("POSIdentity")
    pos_item = barcode = ""
    for each in many(identity):
        told = part(each)
        mine = text(told.get("POSItemID"))
        pos_item = pos_item or mine
        if not barcode and _is_barcode(told.get("@POSIDType", "")):
            barcode = mine
    ours = content.get("ItemID")
    item_id = text(ours)
    if item_id and _is_barcode(part(ours).get("@Type", "")):
        barcode = item_id
    line["item"] = item_id or pos_item
    if pos_item:
        line["pos_item"] = pos_item
    if barcode or pos_item:
        line["gtin"] = barcode or pos_item
    elif scanned := text(item.get("ScanData")):
        line["gtin"] = scanned
        line["item"] = line["item"] or scanned
    if description := text(content.get("Description")):
        line["description"] = description
    if kind := content.get("@ItemType"):
        line["type"] = kind


def _is_barcode(kind: str) -> bool:
    folded = kind.casefold()
    return bool(folded) and any(word in folded for word in _BARCODES)


def _quantity(value: Any, notes: set[str]) -> tuple[Decimal, str]:
    """How much, and of which unit. What is weighed has its weight in `Units`, beside a count of one."""
    entries = many(value)
    if not entries:
        return Decimal(1), "each"
    if len(entries) > 1:
        notes.add("Quantity several times")
    first = entries[0]
    quantity = number(first)
    if first.__class__ is not dict:
        return (quantity if quantity is not None else Decimal(1)), "each"
    word = first.get("@UnitOfMeasureCode", "").strip().upper()
    uom = UNITS.get(word) or word.casefold()
    units = number(first.get("@Units"))
    if quantity is None:
        quantity = units if units is not None else Decimal(1)
    elif units and uom != "each" and abs(quantity) == 1 and abs(units) != 1:
        quantity = abs(units) if quantity > 0 else -abs(units)
    return quantity, uom


def _price(content: Values) -> Decimal | None:
    for name in ("ActualSalesUnitPrice", "RegularSalesUnitPrice", "UnitListPrice"):
        value = content.get(name)
        price = number(value) if value is not None else None
        if price is not None:
            per = number(value.get("@Quantity")) if value.__class__ is dict else None
            return round(price / per, 4) if per and per != 1 else price
    return None


def _discount(content: Values) -> Decimal | None:
    told = number(content.get("ExtendedDiscountAmount"))
    if told is not None or "RetailPriceModifier" not in content:
        return told
    total = Decimal(0)
    for modifier in many(content["RetailPriceModifier"]):
        amount = part(modifier).get("Amount")
        value = number(amount)
        action = part(amount).get("@Action", "Subtract")
        if value is not None and action in ("Subtract", "Add"):
            total += value if action == "Subtract" else -value
    return total or None


def _tax(line: Values, value: Any) -> None:
    total, included = Decimal(0), False
    for each in many(value):
        tax = part(each)
        amount = number(tax.get("Amount"))
        if amount is not None:
            total += abs(amount)
        included = included or flag(part(tax.get("TaxableAmount")).get("@TaxIncludedInTaxableAmountFlag"))
    line["tax"] = plain(total)
    line["tax_included"] = included


def origin(link: Values) -> Values:
    """The transaction that a link names, and the line of it, as far as it says so; `key` where it says all."""
    found: Values = {}
    unit = part(link.get("BusinessUnit")).get("UnitID")
    if store := text(link.get("RetailStoreID")) or text(unit):
        found["store"] = store
    if register := text(link.get("WorkstationID")):
        found["register"] = register
    told = text(link.get("BusinessDayDate")) or text(link.get("BeginDateTime")) or text(link.get("EndDateTime"))
    if business_day := day(told):
        found["day"] = business_day
    if sequence := text(link.get("SequenceNumber")):
        found["sequence"] = sequence.lstrip("0") or "0"
    line = (
        text(link.get("LineItemSequenceNumber"))
        or text(link.get("LineItemSequenceNo"))
        or text(link.get("LineItemNumber"))
    )
    if line.isdecimal() and len(line) < _DIGITS_MAX and int(line) > 0:
        found["line"] = int(line)
    if len(found.keys() & {"store", "register", "day", "sequence"}) == 4:
        found["key"] = key_of(found["store"], found["register"], found["day"], found["sequence"])
    return found


def key_of(store: str, register: str, business_day: str, sequence: str) -> str:
    """The one number of a transaction that is never given twice: STORE-REGISTER-DAY-SEQUENCE."""
    return f"{store}-{register}-{business_day.replace('-', '')}-{sequence}"


def delivery_of(delivery: Values) -> Values:
    """Where goods are to go."""
    address = part(delivery.get("Address")) or part(delivery.get("DeliveryAddress")) or delivery
    country = address.get("Country") or address.get("CountryCode")
    told = {
        "name": text(delivery.get("Name")) or text(address.get("Name")) or text(delivery.get("CustomerName")),
        "address": ", ".join(filter(None, (text(each) for each in many(address.get("AddressLine"))))),
        "city": text(address.get("City")),
        "region": text(address.get("Territory")) or text(address.get("State")) or text(address.get("Region")),
        "postal_code": text(address.get("PostalCode")),
        "country": part(country).get("@Code", "") or text(country),
        "date": text(delivery.get("PreferredDateTime")) or text(delivery.get("DeliveryDate")),
    }
    return {name: value for name, value in told.items() if value}


# Tenders


def _tender(line: Values, content: Values) -> None:
    amount = number(content.get("Amount")) or Decimal(0)
    kind = content.get("@TenderType") or text(content.get("TenderType")) or text(content.get("TenderID")) or "unknown"
    refund = content.get("@TypeCode", "").casefold() in ("refund", "return") or amount < 0
    change = sum(
        (abs(number(part(each).get("Amount")) or Decimal(0)) for each in many(content.get("TenderChange"))), Decimal(0)
    )
    line["tender"] = {
        "kind": kind,
        "type": "refund" if refund else "sale",
        "amount": plain(abs(amount)),
        "change": plain(change),
    }
    if currency := part(content.get("Amount")).get("@Currency"):
        line["tender"]["currency"] = currency


# The lines together


def _number(lines: list[Values], notes: set[str]) -> None:
    """Lines are numbered as the till did, unless it gave none, or one twice: then by their places."""
    goods = [line["number"] for line in lines if line["kind"] in GOODS]
    if len(set(goods)) != len(goods) or 0 in goods:
        notes.add("line numbers: by their places")
        for line in lines:
            line["number"] = line["place"]
    for line in lines:
        del line["place"]


def _void_pairs(lines: list[Values], notes: set[str]) -> None:
    """Some tills void a line by another one that is flagged and names it: then both are void, or part of it."""
    flagged = [line for line in lines if line["voided"] and "link" in line and line["kind"] in GOODS]
    if flagged:
        by_number = {str(line["number"]): line for line in lines}
        for line in flagged:
            other = by_number.get(line["link"])
            if other is None or other is line or other["voided"] or other.get("item") != line["item"]:
                continue
            notes.add("lines voided by other lines")
            if line["quantity"] >= other["quantity"]:
                other["voided"] = True
            else:
                other["quantity"] -= line["quantity"]
    for line in lines:
        line.pop("link", None)
