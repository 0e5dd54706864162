"""ARTS / NRF / OMG POSLog, versions 1, 2.x, 3 and 6: each transaction becomes one normalised dict, whatever the version.

The shape is told in docs/poslog.md. In short: `key` (STORE-REGISTER-DAY-SEQUENCE), `kind` (sale, return, exchange, post_void
...), `lines` as they stand, and what they come to: `sold`, `returns` (by the transaction that they name), `blind` (returns that
name none), `order`, and the totals of each. Namespaces and elements that are not known do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

from interlock.connectors.formats.document import Document, Flaw
from interlock.connectors.formats.poslog_lines import delivery_of, key_of, origin, read_lines
from interlock.connectors.formats.poslog_words import (
    CLOSES,
    COUNTS,
    FIRSTS,
    GOODS,
    KNOWN,
    LASTS,
    POST_VOIDED,
    SUSPENDED,
    VOIDED,
    Values,
    day,
    flag,
    many,
    moment,
    number,
    part,
    plain,
    text,
)
from interlock.connectors.formats.xml_stream import elements
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/xml"
NOTES_MAX: Final = 8
_DIGITS_MAX: Final = 16
_BODIES: Final = (
    "RetailTransaction",
    "CustomerOrderTransaction",
    "LayawayTransaction",
    "PostVoidTransaction",
    "VoidTransaction",
)
_CONTROLS: Final = (
    "ControlTransaction",
    "TenderControlTransaction",
    "InventoryControlTransaction",
    "BusinessEODTransaction",
)
_MOVING: Final = frozenset({"sale", "return", "exchange", "layaway", "customer_order", "post_void"})
"""In all other transactions, whatever their lines say, no goods went anywhere."""
_MARKS: Final = {"layaway": "sale", "customer_order": "sale", "tender_control": "control"}


def read(source: Iterable[bytes], form: Format) -> Iterator[Document | Flaw]:
    """Every transaction of a POSLog. Raises FormatUnreadable."""
    found = elements(
        source,
        wanted=lambda name, _: name == "Transaction",
        encoding=form.encoding,
        expected="an element <Transaction>",
    )
    for element in found:
        if isinstance(element, Flaw):
            yield element
            continue
        noted: set[str] = set()
        data = transaction(element.data, element.context, noted)
        notes = element.notes
        if noted:
            names = sorted(noted)[:NOTES_MAX]
            notes = (*notes, *(name if " " in name else f"not read: {name}" for name in names))
        yield Document(data["kind"], element.place, data, element.raw, element.context, notes)


def transaction(tree: Any, context: Values, noted: set[str]) -> Values:
    """One transaction, normalised; names of what is not read are added to `noted`."""
    told = part(tree)
    name, body = _body(told)
    noted.update([key for key in told if key[0] != "@" and key not in KNOWN and key != name])
    if name in _BODIES:
        noted.update([key for key in body if key[0] != "@" and key not in KNOWN])
    data = _identity(told, body, context)
    lines = read_lines(many(body.get("LineItem") or body.get("lineItem")), noted)
    data["kind"] = _kind(told, body, name, lines, noted)
    data["mark_kind"] = _MARKS.get(data["kind"], data["kind"])
    if word := body.get("@TransactionStatus") or told.get("@TransactionStatus"):
        data["status"] = word
    if data["kind"] == "post_void":
        data["voided"] = _voided(told, body, data)
    if data["kind"] == "close":
        data.update(_close(body))
    if lines:
        data["lines"] = lines
    _totals(data, body, lines)
    _people(data, told, body)
    if data["kind"] in _MOVING:
        _divide(data, lines, noted)
    return data


def _body(told: Values) -> tuple[str, Values]:
    """What the transaction is about: its element and what is in it. POSLog 1 has the lines in the transaction itself."""
    for name in (*_BODIES, *_CONTROLS):
        if name in told:
            return name, part(told[name])
    for name in told:
        if name.endswith("Transaction"):
            return name, part(told[name])
    return "", told


# Who, where and when


def _identity(told: Values, body: Values, context: Values) -> Values:
    data: Values = {}
    root = context.get("root") or {}
    envelope = context.get("envelope") or {}
    for where in (told, root, body):
        version = where.get("@MajorVersion")
        if version:
            minor = where.get("@MinorVersion")
            data["version"] = f"{version}.{minor}" if minor else version
            break
        if version := where.get("@Version"):
            data["version"] = version
            break
    store = _store(told) or envelope.get("RetailStoreID", "")
    register, sequence = text(told.get("WorkstationID")), text(told.get("SequenceNumber"))
    sequence = sequence.lstrip("0") or sequence[:1]
    begin, end = moment(told.get("BeginDateTime")), moment(told.get("EndDateTime"))
    if not begin and not end:
        begin = moment(told.get("POSLogDateTime")) or moment(body.get("ReceiptDateTime"))
    business_day = day(text(told.get("BusinessDayDate")) or envelope.get("BusinessDayDate", "")) or day(begin or end)
    values = (
        ("store", store),
        ("register", register),
        ("till", text(told.get("TillID"))),
        ("operator", text(told.get("OperatorID"))),
        ("business_day", business_day),
        ("sequence", sequence),
        ("id", text(told.get("TransactionID"))),
        ("begin", begin),
        ("end", end),
        ("at", end or begin),
        ("currency", text(told.get("CurrencyCode")) or text(body.get("CurrencyCode")) or _currency(body)),
    )
    data.update([(name, value) for name, value in values if value])
    if store and register and business_day and sequence:
        data["key"] = key_of(store, register, business_day, sequence)
    for name, key in (("offline", "@OfflineFlag"), ("training", "@TrainingModeFlag"), ("canceled", "@CancelFlag")):
        if flag(told.get(key)):
            data[name] = True
    return data


def _store(told: Values) -> str:
    if store := text(told.get("RetailStoreID")):
        return store
    units = [unit for each in many(told.get("BusinessUnit")) for unit in many(part(each).get("UnitID"))]
    for unit in units:
        if part(unit).get("@TypeCode", "RetailStore") == "RetailStore":
            return text(unit)
    for level in many(told.get("OrganizationHierarchy")):
        if part(level).get("@Level", "").casefold() in ("store", "retailstore"):
            return text(level)
    return text(units[0]) if units else ""


def _currency(body: Values) -> str:
    """Version 6 has the currency at each amount."""
    for total in many(body.get("Total")):
        if currency := part(total).get("@CurrencyCode") or part(total).get("@Currency"):
            return str(currency)
    for line in many(body.get("LineItem")):
        for element in part(line).values():
            amount = part(element).get("ExtendedAmount") or part(element).get("Amount")
            if currency := part(amount).get("@Currency"):
                return str(currency)
    return ""


# What it is


def _kind(told: Values, body: Values, name: str, lines: list[Values], noted: set[str]) -> str:
    if flag(told.get("@TrainingModeFlag")) or flag(body.get("@TrainingModeFlag")):
        return "training"
    status = (body.get("@TransactionStatus") or told.get("@TransactionStatus") or "").rpartition(":")[2].casefold()
    if flag(told.get("@CancelFlag")) or flag(body.get("@CancelFlag")):
        return "void"
    if name in _CONTROLS or (name and name not in _BODIES):
        return _control(name, body)
    if flag(told.get("@SuspendFlag")) or flag(body.get("@SuspendFlag")) or status in SUSPENDED:
        return "suspend"
    type_code = (body.get("@TypeCode") or told.get("@TypeCode") or "").rpartition(":")[2].casefold()
    if name in ("PostVoidTransaction", "VoidTransaction") or status in POST_VOIDED or type_code in POST_VOIDED:
        return "post_void"
    if _void_link(told, body) is not None:
        return "post_void"
    if status in VOIDED:
        return "void"
    if flag(told.get("@VoidFlag")) or flag(body.get("@VoidFlag")):
        return "void"
    return _by_lines(name, lines, noted)


def _by_lines(name: str, lines: list[Values], noted: set[str]) -> str:
    kinds = {line["kind"] for line in lines if not line["voided"] and line["kind"] in GOODS}
    if "layaway" in kinds or name == "LayawayTransaction":
        return "layaway"
    if "order" in kinds or name == "CustomerOrderTransaction":
        return "customer_order"
    if kinds and kinds <= {"return"}:
        return "return"
    if "return" in kinds:
        return "exchange"
    if not kinds:
        noted.add("a sale without goods")
    return "sale"


def _control(name: str, body: Values) -> str:
    if name == "TenderControlTransaction":
        return "tender_control"
    words = [name, *(key for key in body if key[0] != "@"), text(body.get("ReasonCode")), body.get("@TypeCode", "")]
    if any(word.casefold() == "nosale" for word in words):
        return "no_sale"
    if any(CLOSES.fullmatch(word.rpartition(":")[2]) for word in words):
        return "close"
    if any("postvoid" in word.casefold() for word in words):
        return "post_void"
    return "control"


def _void_link(told: Values, body: Values) -> Values | None:
    """The link to a transaction that is made void by this one."""
    for where in (body, told):
        for link in many(where.get("TransactionLink")):
            reason = part(link).get("@ReasonCode", "") or part(link).get("@TypeCode", "")
            if "void" in reason.casefold():
                return part(link)
    return None


def _voided(told: Values, body: Values, data: Values) -> Values:
    """The transaction that was voided: the one that is named; or, where none is, the transaction itself, told again."""
    places = [_void_link(told, body), part(body.get("TransactionLink")), part(told.get("TransactionLink"))]
    places += [
        part(value) for key, value in body.items() if key in ("OriginalTransaction", "VoidedTransaction", "PostVoid")
    ]
    if "LineItem" not in body:
        places.append(body)
    for place in places:
        if place and (found := origin(place)) and "sequence" in found:
            for ours, theirs in (("store", "store"), ("register", "register"), ("day", "business_day")):
                if ours not in found and theirs in data:
                    found[ours] = data[theirs]
            if len(found.keys() & {"store", "register", "day"}) == 3:
                found["key"] = key_of(found["store"], found["register"], found["day"], found["sequence"])
            return found
    names = (
        ("store", "store"),
        ("register", "register"),
        ("day", "business_day"),
        ("sequence", "sequence"),
        ("key", "key"),
    )
    return {ours: data[theirs] for ours, theirs in names if theirs in data}


def _close(body: Values) -> Values:
    """What a register says of its day: its first and last number, and how many there were."""
    found: Values = {}
    waiting: list[Any] = [body]
    while waiting and len(found) < 3:
        here = waiting.pop()
        for key, value in part(here).items():
            for ours, theirs in (("first", FIRSTS), ("last", LASTS), ("count", COUNTS)):
                if key in theirs and (told := text(value)).isdecimal() and len(told) < _DIGITS_MAX:
                    found.setdefault(ours, int(told))
            waiting += [each for each in many(value) if each.__class__ is dict]
    return found


# What it comes to


def _totals(data: Values, body: Values, lines: list[Values]) -> None:
    totals: dict[str, Decimal] = {}
    for total in many(body.get("Total")):
        value = number(total)
        kind = part(total).get("@TotalType", "TransactionGrandAmount").rpartition(":")[2].casefold()
        if value is not None:
            totals.setdefault(kind.removeprefix("transaction"), value)
    counted = [line for line in lines if not line["voided"]]
    tax = totals.get("taxamount")
    if tax is None and any("tax" in line or line["kind"] == "tax" for line in counted):
        tax = sum((Decimal(line["amount"]) for line in counted if line["kind"] == "tax"), Decimal(0))
        tax = tax or sum((Decimal(line.get("tax", 0)) for line in counted), Decimal(0))
    for ours, value in (("total", totals.get("grandamount")), ("net", totals.get("netamount")), ("tax", tax)):
        if value is not None:
            data[ours] = plain(value)
    if "total" not in data and "netamount" in totals:
        data["total"] = plain(totals["netamount"] + (tax or 0))
    tenders = [line["tender"] for line in counted if line["kind"] == "tender"]
    if tenders:
        data["tenders"] = tenders
        paid = sum((_signed(tender) for tender in tenders), Decimal(0))
        data["paid"] = plain(paid)
        data.setdefault("total", data["paid"])


def _signed(tender: Values) -> Decimal:
    amount = Decimal(tender["amount"])
    return -amount if tender["type"] == "refund" else amount - Decimal(tender["change"])


def _people(data: Values, told: Values, body: Values) -> None:
    customer = part(body.get("Customer"))
    loyalty = part(body.get("LoyaltyAccount")) or part(told.get("LoyaltyAccount"))
    account = customer or loyalty
    if mine := text(account.get("CustomerID")) or text(body.get("CustomerID")) or text(told.get("CustomerID")):
        data["customer"] = mine
    if (
        card := text(loyalty.get("LoyaltyCardID"))
        or text(loyalty.get("LoyaltyProgramID"))
        or text(loyalty.get("AccountID"))
    ):
        data["loyalty"] = card
    if delivery := part(body.get("Delivery")):
        data["delivery"] = delivery_of(delivery)


def _divide(data: Values, lines: list[Values], noted: set[str]) -> None:
    """The goods by where they go: sold, come back, ordered; what each of these is worth."""
    goods = [line for line in lines if line["kind"] in GOODS and not line["voided"]]
    if any(not line["quantity"] for line in goods):
        noted.add("lines of quantity 0 were left out")
        goods = [line for line in goods if line["quantity"]]
    if not goods:
        return
    back = [line for line in goods if line["kind"] == "return"]
    sold = [line for line in goods if line["kind"] == "sale"]
    ordered = [line for line in goods if line["kind"] in ("order", "layaway")]
    total = Decimal(data["total"]) if "total" in data else None
    if data["kind"] == "post_void":
        worth = abs(total) if total is not None else _worth(sold)
        if sold and "key" in data["voided"]:
            data["returns"] = [_group(data["voided"], [{**line, "line": line["number"]} for line in sold], worth)]
        return
    returned = abs(total) if total and not sold and not ordered else _worth(back)
    if back:
        _give_back(data, back, returned)
    if sold:
        data["sold"] = sold
        amount = total + (returned if back else 0) if total is not None and not ordered else _worth(sold)
        data["sold_total"] = plain(max(amount, Decimal(0)))
    if ordered:
        key = f"{data['key']}-ORDER" if sold and "key" in data else data.get("key", "")
        amount = total if total is not None and not sold and not back and total >= _worth(ordered) else _worth(ordered)
        data["order"] = {"key": key, "lines": ordered, "total": plain(amount)}
        delivery = next((line["delivery"] for line in ordered if line.get("delivery")), data.get("delivery"))
        if delivery and delivery.get("country"):
            data["order"]["delivery"] = delivery
        if "paid" in data and not sold and not back:
            data["order"]["paid"] = plain(min(max(Decimal(data["paid"]), Decimal(0)), amount))
    if picked := [line for line in goods if line["kind"] == "pickup"]:
        data["picked_up"] = [{**line, "line": line.get("original", {}).get("line", line["number"])} for line in picked]


def _give_back(data: Values, back: list[Values], worth: Decimal) -> None:
    """Returns by the transaction that they name, each with its share of what was given back; those that name none are blind."""
    groups: dict[str, list[Values]] = {}
    blind: list[Values] = []
    for line in back:
        original = line.get("original", {})
        if "key" in original and "line" in original:
            groups.setdefault(original["key"], []).append({**line, "line": original["line"]})
        else:
            blind.append(line)
    if len(groups) == 1 and not blind:
        lines = next(iter(groups.values()))
        data["returns"] = [_group(lines[0]["original"], lines, worth)]
    elif groups:
        data["returns"] = [_group(lines[0]["original"], lines, _worth(lines)) for lines in groups.values()]
    if blind:
        data["blind"] = blind


def _group(original: Values, lines: list[Values], worth: Decimal) -> Values:
    return {"original": original["key"], "total": plain(worth), "lines": lines}


def _worth(lines: list[Values]) -> Decimal:
    total = Decimal(0)
    for line in lines:
        total += Decimal(line.get("extended", 0))
        if "tax" in line and not line["tax_included"]:
            total += Decimal(line["tax"])
    return total
