"""The words of POSLog, of all its versions, and ours for them; and how single values are taken out of the tree."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Values = dict[str, Any]
PLACES_MAX: Final = 18

LINES: Final[dict[str, str]] = {
    "Sale": "sale",
    "SaleForPickup": "order",
    "SaleForDelivery": "order",
    "CustomerOrderForPickup": "order",
    "CustomerOrderForDelivery": "order",
    "CustomerOrder": "order",
    "SpecialOrder": "order",
    "PreviousCustomerOrder": "pickup",
    "PreviousSpecialOrder": "pickup",
    "Layaway": "layaway",
    "PreviousLayaway": "pickup",
    "Return": "return",
    "Exchange": "return",
    "Tender": "tender",
    "Tax": "tax",
    "Discount": "discount",
    "LoyaltyReward": "discount",
    "Rounding": "rounding",
    "PaymentOnAccount": "payment",
    "PaymentOnLayaway": "payment",
    "PaymentOnCustomerOrder": "payment",
    "LayawayPayment": "payment",
    "Deposit": "payment",
    "Fee": "fee",
    "Donation": "fee",
}
"""What a line of a transaction is, by the element in its LineItem. `pickup` is goods that were ordered or laid away before."""

GOODS: Final = frozenset({"sale", "return", "layaway", "order", "pickup"})

UNITS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("", "EA", "EACH", "PC", "PCE", "PCS", "PIECE", "ST", "STK", "UN", "UNIT", "UNITS", "C62", "H87"), "each"
    ),
    **dict.fromkeys(("KG", "KGM", "KGS", "KILO"), "kg"),
    **dict.fromkeys(("G", "GR", "GRM"), "g"),
    **dict.fromkeys(("LB", "LBS", "LBR", "POUND"), "lb"),
    **dict.fromkeys(("OZ", "ONZ"), "oz"),
    **dict.fromkeys(("L", "LT", "LTR"), "l"),
    **dict.fromkeys(("M", "MT", "MTR"), "m"),
    **dict.fromkeys(("YD", "YRD"), "yd"),
    **dict.fromkeys(("FT", "FOT"), "ft"),
    **dict.fromkeys(("GLL", "GAL", "GALLON"), "gallon"),
}

DISPOSITIONS: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("damaged", "damage", "defective", "defect", "returntovendor", "rtv", "repair", "quarantine"), "damaged"
    ),
    **dict.fromkeys(
        ("destroy", "destroyed", "scrap", "scrapped", "dispose", "disposed", "discard", "waste", "trash"), "scrap"
    ),
}
"""What becomes of goods that came back; whatever is not here goes back to the shelf."""

VOIDED: Final = frozenset(
    {"void", "voided", "canceled", "cancelled", "cancel", "failed", "aborted", "suspendeddeleted"}
)
SUSPENDED: Final = frozenset({"suspended", "suspend"})
POST_VOIDED: Final = frozenset({"postvoid", "postvoided"})

CLOSES: Final = re.compile(
    r"(?i)(business|store|pos|workstation|register|terminal)?(eod|endofday|dayend|dayclose|closeday)(transaction)?"
    r"|(store|workstation|register|pos|terminal|businessday|day)close[d]?|close(store|workstation|register|pos|businessday)"
)
FIRSTS: Final = ("FirstSequenceNumber", "BeginningSequenceNumber", "BeginSequenceNumber", "StartSequenceNumber")
LASTS: Final = ("LastSequenceNumber", "EndingSequenceNumber", "EndSequenceNumber")
COUNTS: Final = ("TransactionCount", "NumberOfTransactions", "TransactionsCount", "CountOfTransactions")

_KNOWN: Final = (
    "RetailStoreID BusinessUnit OrganizationHierarchy WorkstationID TillID SequenceNumber TransactionID"
    " BusinessDayDate BeginDateTime EndDateTime POSLogDateTime ReceiptDateTime OperatorID CurrencyCode LineItem Total"
    " Customer CustomerID LoyaltyAccount TransactionLink Delivery ReasonCode ItemCount ReceiptNumber ReceiptImage"
    " Associate PerformanceMetrics TransactionCount OperatorBypassApproval RetailTransaction ControlTransaction"
    " TenderControlTransaction #text CustomerOrderTransaction LayawayTransaction PostVoidTransaction VoidTransaction"
    " InventoryControlTransaction POSIdentity ItemID Description UnitCostPrice UnitListPrice RegularSalesUnitPrice"
    " ActualSalesUnitPrice ExtendedAmount ExtendedDiscountAmount Quantity RetailPriceModifier Tax"
    " MerchandiseHierarchy SerialNumber ItemLink CreateNumber CreateRefNumber Disposal ScanData DiscountAmount"
    " AlternativeAmount Kit GiftReceiptFlag ForeignCurrency Authorization Amount TenderChange TenderID Cashback"
    " CreditDebit Voucher Check Coupon ReturnReasonCode ItemCondition PriorUnitPrice"
)
KNOWN: Final = frozenset(_KNOWN.split()) | frozenset(LINES)
"""Elements that say nothing of which we do not know: what is not here is noted."""

_DAY: Final = re.compile(r"\s*(\d{4})-?(\d\d)-?(\d\d)")
_TIME: Final = re.compile(
    r"\s*(\d{4})-?(\d\d)-?(\d\d)[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:?(?:\d\d)?)?\s*"
)
_OFFSET: Final = re.compile(r"([+-]?)(\d\d):?(\d\d)(?::\d\d)?")


def text(value: Any) -> str:
    """The text of an element: of the first, where there are several; without blanks around it."""
    if value.__class__ is list:
        value = value[0]
    if value.__class__ is dict:
        value = value.get("#text", "")
    return value.strip() if value else ""


def many(value: Any) -> list[Any]:
    """An element that may come several times."""
    return [] if value is None else value if value.__class__ is list else [value]


def part(value: Any) -> Values:
    """An element that has something in it; empty where it has not."""
    if value.__class__ is list:
        value = value[0]
    return value if value.__class__ is dict else {}


def flag(value: Any) -> bool:
    """Whether a flag is set."""
    return value is not None and value.strip().casefold() in ("true", "1", "y", "yes")


def number(value: Any) -> Decimal | None:
    """The number that an element holds; None where it holds none. A minus may stand behind it."""
    told = text(value)
    if not told:
        return None
    if told[-1] == "-":
        told = "-" + told[:-1]
    try:
        exact = Decimal(told)
    except InvalidOperation:
        return None
    # Without a bound, a few letters would be a number of millions of digits.
    exponent = exact.as_tuple().exponent
    return exact if type(exponent) is int and exponent > -PLACES_MAX and exact.adjusted() < PLACES_MAX else None


def plain(exact: Decimal) -> str:
    """The number as text, without an exponent."""
    return f"{exact:f}"


def day(value: str) -> str:
    """A business day as YYYY-MM-DD, whatever time or offset is behind it; empty where it is none."""
    found = _DAY.match(value)
    if found is None:
        return ""
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:
        return ""


def moment(value: Any) -> str:
    """A time in ISO 8601, with the offset if it is told (behind the time, or in an attribute); else as it is written."""
    told = text(value)
    found = _TIME.fullmatch(told)
    if found is None:
        return told
    year, month, days, hour, minute, second, fraction, zone = found.groups()
    at = f"{year}-{month}-{days}T{hour}:{minute}:{second or '00'}"
    if fraction and fraction.strip("0"):
        at += f".{fraction[:6]:0<6}"
    if not zone:
        if value.__class__ is list:
            value = value[0]
        offset = _OFFSET.fullmatch(value.get("@Offset", "").strip()) if value.__class__ is dict else None
        return f"{at}{offset[1] or '+'}{offset[2]}:{offset[3]}" if offset else at
    return at + ("+00:00" if zone == "Z" else zone if ":" in zone else f"{zone[:3]}:{zone[3:] or '00'}")
