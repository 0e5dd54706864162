"""The files of the benchmark of formats: each made of numbers alone, so that the same size gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from interlock.contracts.estate_file import read_estate
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.links import Field, Format, Layout
from interlock.domain.partner_contracts import ContractVersion, PartnerContract

FIXED_BYTES: Final = 40
CANONICAL: Final = "order.create"
"""Instead of a mapping: each line is a command of ours, as it is."""

_ESTATE: Final = """
interlock: 1
retailer: Bench
currency: USD
systems:
  peer:
    name: Peer
    kind: edi
    owner: {team: Bench, escalation: bench@example.com}
    authority: {order: decide, payment: decide, fulfillment: decide, stock: decide, return: decide, refund: decide}
    time_zone: America/New_York
    connection: {outbound: none}
nodes:
  N1: {name: N1, kind: dc, system: peer, place: {country: US}, time_zone: UTC, fulfills: [delivery, carry_out]}
channels:
  web: {system: peer, fulfills: [delivery], sourcing: {version: b}}
  till: {system: peer, fulfills: [carry_out], sourcing: {version: b}}
  edi: {system: peer, fulfills: [delivery], sourcing: {version: b}}
node_aliases: {peer: {"00001": N1, "1": N1}}
"""


class Sample(NamedTuple):
    """A file of the benchmark. `make` gives at least so many bytes of it, and how many units they hold."""

    name: str
    format: Format
    mapping: str
    make: Callable[[int], tuple[bytes, int]]
    unit: str = "documents"
    commands_per_unit: int = 1
    settings: Mapping[str, str] = {}
    inline: Mapping[str, Any] | None = None
    contract: PartnerContract | None = None


@cache
def estate() -> Estate:
    """The estate whose only system sends all of these files."""
    found, mistakes = read_estate(_ESTATE, "bench.yaml")
    if found is None:
        raise InvalidValue("estate", "; ".join(map(str, mistakes)), "the benchmark's own estate without a mistake")
    return found


def _until(size: int, pieces: Iterator[bytes], head: bytes = b"", tail: bytes = b"") -> tuple[bytes, int]:
    """Pieces between head and tail until there are so many bytes, and how many pieces."""
    found, length = [head], len(head)
    for piece in pieces:
        found.append(piece)
        length += len(piece)
        if length >= size:
            break
    return b"".join([*found, tail]), len(found) - 1


# Tables


def _counts(size: int) -> tuple[bytes, int]:
    rows = (f"SKU-{n % 50_000:06},N1,{n % 97},each,C-{n},2026-03-01T23:00:00\n".encode() for n in count())
    return _until(size, rows, b"sku,node,counted,uom,ref,occurred_at\n")


COUNT_MAPPING: Final[dict[str, Any]] = {
    "format": ["csv", "fixed"],
    "records": [
        {
            "action": "stock.count",
            "fields": {
                "sku": "ITEM",
                "node": "SITE",
                "counted": "QTY",
                "ref": "REF",
                "occurred_at": {"time": "AT", "format": "%Y-%m-%dT%H:%M:%S"},
            },
        }
    ],
}


def _mapped_counts(size: int) -> tuple[bytes, int]:
    rows = (f"SKU-{n % 50_000:06},N1,{n % 97},C-{n},2026-03-01T23:00:00\n".encode() for n in count())
    return _until(size, rows, b"ITEM,SITE,QTY,REF,AT\n")


FIXED_MAPPING: Final[dict[str, Any]] = {
    "format": ["fixed"],
    "records": [{"action": "stock.count", "fields": {"sku": "item", "node": "site", "counted": "qty", "ref": "ref"}}],
}
FIXED: Final = Format(
    kind="fixed",
    encoding="cp037",
    record_bytes=FIXED_BYTES,
    layouts=(
        Layout(
            name="count",
            fields=(
                Field(name="item", start=1, length=12),
                Field(name="site", start=13, length=5),
                Field(name="ref", start=18, length=12),
                Field(name="qty", start=30, length=4, kind="packed"),
            ),
        ),
    ),
)


def _fixed(size: int) -> tuple[bytes, int]:
    def record(n: int) -> bytes:
        text = f"SKU-{n % 50_000:08}{'N1':5}C{n:011}".encode("cp037")
        return text + bytes.fromhex(f"{n % 97:07}C") + " ".encode("cp037") * 7

    return _until(size, (record(n) for n in count()))


# Documents


def _shop_orders(size: int, more: Mapping[str, Any] = {}) -> tuple[bytes, int]:
    def order(n: int) -> bytes:
        lines = [
            {
                "id": 10**12 + place,
                "sku": f"SKU-{(n * 3 + place) % 9_000}",
                "quantity": 1 + place,
                "price": "19.99",
                "title": "A thing",
                "variant_id": 7,
            }
            for place in range(3)
        ]
        place = {
            "country_code": "US",
            "province_code": "KY",
            "zip": "40202",
            "city": "Louisville",
            "address1": "Main St 1",
        }
        body = {
            "id": n,
            "name": f"#{n}",
            "order_number": n,
            "created_at": "2026-03-01T09:30:00-05:00",
            "updated_at": "2026-03-01T09:31:00-05:00",
            "cancelled_at": None,
            "currency": "USD",
            "email": f"c{n}@example.com",
            "financial_status": "authorized",
            "test": False,
            "total_price": "119.94",
            "total_tax": "0.00",
            "customer": {"id": n % 5_000, "first_name": "Kim", "last_name": "Doe"},
            "shipping_address": place,
            "shipping_lines": [{"code": "Standard", "price": "0.00"}],
            "line_items": lines,
            "note": "",
            "tags": "",
            "gateway": "cards",
            **more,
        }
        return msgspec.json.encode(body) + b"\n"

    return _until(size, (order(n) for n in count(1)))


def _large_shop_orders(size: int) -> tuple[bytes, int]:
    """Orders of three lines with what shops send beside it: 1.2 kB each."""
    return _shop_orders(size, _BESIDE)


_BESIDE: Final[dict[str, Any]] = {
    "token": "2f1c8f0c6a5d4b7e9a3d1e0f5b6c7d8e",
    "cart_token": "68778783ad298f1c80c3bafcddeea02f",
    "source_name": "web",
    "buyer_accepts_marketing": False,
    "confirmed": True,
    "taxes_included": False,
    "total_discounts": "0.00",
    "subtotal_price": "119.94",
    "landing_site": "/collections/all?ref=newsletter",
    "browser_ip": "203.0.113.17",
    "processing_method": "direct",
    "discount_codes": [],
}


_TEXT: Final = {"type": "string", "maxLength": 255}
_AMOUNT: Final = {"type": "string", "pattern": "^-?[0-9]+([.][0-9]+)?$"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


SHOP_CONTRACT: Final = PartnerContract(
    name="shop-orders",
    versions=(
        ContractVersion(
            version="1",
            schema=_object(
                "id name created_at currency line_items",
                **{
                    **dict.fromkeys(("name", "note", "tags", "gateway"), _TEXT),
                    **dict.fromkeys(("id", "order_number"), {"type": "integer"}),
                    **dict.fromkeys(("created_at", "updated_at"), {"type": "string", "format": "date-time"}),
                    **dict.fromkeys(("total_price", "total_tax"), _AMOUNT),
                },
                **dict.fromkeys(("token", "cart_token", "source_name", "landing_site", "processing_method"), _TEXT),
                **dict.fromkeys(("total_discounts", "subtotal_price"), _AMOUNT),
                **dict.fromkeys(("buyer_accepts_marketing", "confirmed", "taxes_included"), {"type": "boolean"}),
                browser_ip={"type": "string", "format": "ipv4"},
                discount_codes={"type": "array"},
                cancelled_at={"type": ["string", "null"]},
                currency={"type": "string", "pattern": "^[A-Z]{3}$"},
                email={"type": "string", "format": "email"},
                financial_status={"enum": ["pending", "authorized", "paid", "voided", "refunded"]},
                test={"type": "boolean"},
                customer=_object("id", id={"type": "integer"}, first_name=_TEXT, last_name=_TEXT),
                shipping_address=_object(
                    "country_code", country_code=_TEXT, province_code=_TEXT, zip=_TEXT, city=_TEXT, address1=_TEXT
                ),
                shipping_lines={"type": "array", "items": _object("code price", code=_TEXT, price=_AMOUNT)},
                line_items={
                    "type": "array",
                    "items": _object(
                        "id sku quantity price",
                        **dict.fromkeys(("id", "quantity", "variant_id"), {"type": "integer", "minimum": 1}),
                        **dict.fromkeys(("sku", "title"), _TEXT),
                        price=_AMOUNT,
                    ),
                },
            ),
        ),
    ),
)


def _canonical_orders(size: int) -> tuple[bytes, int]:
    """Our own order.create of 1.2 kB, as the API and brokers take it."""

    def order(n: int) -> bytes:
        lines = [
            {
                "line_no": str(place),
                "sku": f"SKU-{(n * 3 + place) % 9_000:06}",
                "quantity": place,
                "unit_price": "19.99",
                "uom": "each",
            }
            for place in range(1, 11)
        ]
        body = {
            "order_id": f"WEB-{n:012}",
            "channel": "web",
            "placed_at": "2026-03-01T14:30:00Z",
            "currency": "USD",
            "fulfillment": "delivery",
            "customer": f"customer-{n % 5_000:08}",
            "destination": {"country": "US", "region": "KY", "postal_code": "40202"},
            "lines": lines,
            "shipping": "0.00",
            "tax": "0.00",
            "occurred_at": "2026-03-01T14:30:00Z",
            "status": "placed by the customer in the web shop",
        }
        return msgspec.json.encode(body) + b"\n"

    return _until(size, (order(n) for n in count(1)))


def _x12(code: str, group: str, body: Callable[[int], list[str]]) -> Callable[[int], tuple[bytes, int]]:
    def make(size: int) -> tuple[bytes, int]:
        isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'PEER':15}*ZZ*{'INTERLOCK':15}*260301*0930*U*00401*000000001*0*P*>~\n"
        head = f"{isa}GS*{group}*PEER*INTERLOCK*20260301*0930*1*X*004010~\n".encode()

        def one(n: int) -> bytes:
            segments = body(n)
            return (
                f"ST*{code}*{n:09}~\n"
                + "".join(f"{each}~\n" for each in segments)
                + f"SE*{len(segments) + 2}*{n:09}~\n"
            ).encode()

        content, units = _until(size, (one(n) for n in count(1)), head)
        return content + f"GE*{units}*1~\nIEA*1*000000001~\n".encode(), units

    return make


def _order_850(n: int) -> list[str]:
    lines = [
        line
        for place in range(1, 6)
        for line in (
            f"PO1*{place}*{place}*EA*19.99**VN*SKU-{(n + place) % 9_000:05}*UP*036000291452",
            "PID*F****A thing that is sold by the piece",
        )
    ]
    return [
        f"BEG*00*SA*PO{n:08}**20260301", "CUR*BY*USD", "REF*DP*038", "DTM*002*20260305",
        "N1*ST*A CUSTOMER*92*0001", "N3*1 MAIN STREET", "N4*LOUISVILLE*KY*40202*US", *lines, "CTT*5",
    ]  # fmt: skip


def _shipped_945(n: int) -> list[str]:
    lines = [
        line
        for place in range(1, 6)
        for line in (
            f"LX*{place}",
            f"MAN*GM*{'00':0>2}{n:013}{place:05}",
            f"W12*SH*{place}*{place}*0*EA**SK*SKU-{(n + place) % 9_000:05}",
            "G69*A thing that is sold by the piece",
            f"N9*LI*{place}",
        )
    ]
    return [
        f"W06*F*peer:{n:08}/1*20260305*SH{n:08}", "N1*SF*THE WAREHOUSE*92*0001", "N1*ST*A CUSTOMER*92*0002", "N3*1 MAIN STREET",
        "N4*LOUISVILLE*KY*40202*US", "G62*11*20260305*1*143000", "W27*M*UPSN*UPS GROUND", *lines, "W03*15*20*LB",
    ]  # fmt: skip


def _edifact(size: int) -> tuple[bytes, int]:
    def one(n: int) -> bytes:
        lines = [
            segment
            for place in range(1, 6)
            for segment in (
                f"LIN+{place}++4006381333931:EN'",
                f"PIA+1+SKU-{(n + place) % 9_000:05}:SA'",
                "IMD+F++:::A thing that is sold by the piece'",
                f"QTY+21:{place}:PCE'",
                "PRI+AAA:19.99'",
            )
        ]
        body = [
            f"BGM+220+PO{n:08}+9'",
            "DTM+137:20260301:102'",
            "NAD+BY+5412345000013::9'",
            "NAD+DP+5412345000020::9++A CUSTOMER+1 MAIN STREET+LOUISVILLE+KY+40202+US'",
            "CUX+2:USD:9'",
            *lines,
            "UNS+S'",
            "CNT+2:5'",
        ]
        return (f"UNH+{n}+ORDERS:D:96A:UN'\n" + "\n".join(body) + f"\nUNT+{len(body) + 2}+{n}'\n").encode()

    head = b"UNA:+.? '\nUNB+UNOC:3+PEER:14+INTERLOCK:14+260301:0930+1'\n"
    content, units = _until(size, (one(n) for n in count(1)), head)
    return content + f"UNZ+{units}+1'\n".encode(), units


def _poslog(size: int) -> tuple[bytes, int]:
    def one(n: int) -> bytes:
        items = "".join(
            f"<LineItem><SequenceNumber>{place}</SequenceNumber><Sale><ItemID>SKU-{(n + place) % 9_000:05}</ItemID>"
            f'<Quantity UnitOfMeasureCode="EA">{place}</Quantity><ActualSalesUnitPrice>2.50</ActualSalesUnitPrice>'
            f"<ExtendedAmount>{2.5 * place:.2f}</ExtendedAmount></Sale></LineItem>"
            for place in range(1, 6)
        )
        return (
            f"<Transaction><RetailStoreID>00001</RetailStoreID><WorkstationID>1</WorkstationID>"
            f"<SequenceNumber>{n}</SequenceNumber><BusinessDayDate>2026-03-01</BusinessDayDate>"
            "<BeginDateTime>2026-03-01T09:30:00</BeginDateTime><CurrencyCode>USD</CurrencyCode>"
            f'<RetailTransaction TransactionStatus="Finished">{items}<LineItem><SequenceNumber>6</SequenceNumber>'
            '<Tender TenderType="Cash"><Amount>37.50</Amount></Tender></LineItem>'
            '<Total TotalType="TransactionGrandAmount">37.50</Total></RetailTransaction></Transaction>\n'
        ).encode()

    head = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<POSLog xmlns="http://www.nrf-arts.org/IXRetail/namespace/" MajorVersion="6">\n'
    )
    return _until(size, (one(n) for n in count(1)), head, b"</POSLog>\n")


SAMPLES: Final = (
    Sample("csv, plain rows", Format(kind="csv"), "", _counts, "rows"),
    Sample("csv, by a mapping", Format(kind="csv"), "counts", _mapped_counts, "rows", inline=COUNT_MAPPING),
    Sample("fixed width, EBCDIC", FIXED, "counts", _fixed, "rows", inline=FIXED_MAPPING),
    Sample("json lines, shopify", Format(kind="ndjson"), "shopify", _shop_orders),
    Sample("json lines, canonical orders of 1.2 kB", Format(kind="ndjson"), CANONICAL, _canonical_orders),
    Sample(
        "json lines, shopify orders of 1.2 kB with a contract",
        Format(kind="ndjson"),
        "shopify",
        _large_shop_orders,
        contract=SHOP_CONTRACT,
    ),
    Sample(
        "x12 850", Format(kind="x12"), "x12-marketplace", _x12("850", "PO", _order_850), settings={"channel": "edi"}
    ),
    Sample("x12 945", Format(kind="x12"), "x12-warehouse", _x12("945", "SW", _shipped_945)),
    Sample("edifact ORDERS", Format(kind="edifact"), "edifact-retail", _edifact, settings={"channel": "edi"}),
    Sample("poslog", Format(kind="poslog"), "poslog-store", _poslog, settings={"channel": "till"}),
)
