"""The quick way of reading and the careful one: whatever the quick one takes, the careful one reads to the same."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.mapping import Mapper, MappingFailed
from interlock.connectors.mapping_fast import QuickReader
from interlock.connectors.mapping_json import read_object
from interlock.connectors.mapping_sender import Sender
from interlock.domain import commands
from interlock.domain.commands import AnyCommand, payload_hash
from interlock.domain.estate import System
from interlock.domain.values import SystemId
from tests.web.conftest import order, small_estate

ESTATE = small_estate()
SYSTEMS = [ESTATE.systems[SystemId(name)] for name in ("webshop", "wms", "pos")]
WEBSHOP, WMS, POS = SYSTEMS
QUICK = {system.id: QuickReader(Sender(ESTATE, system)) for system in SYSTEMS}
CAREFUL = Mapper(ESTATE)

PLACED = "2026-03-01T09:30:00-05:00"
LINES = [{"line_no": 1, "quantity": 2}, {"line_no": 2, "quantity": "3"}]
ORDINARY: dict[str, dict[str, Any]] = {
    "order.create": order(
        lines=[
            {"sku": "w-1", "quantity": 2, "unit_price": "9.90"},
            {"sku": "B", "quantity": "3", "unit_price": 4, "line_no": 7, "uom": "each"},
            {"sku": "C", "quantity": 1, "uom": "kg"},
        ],
        **{"tax": "1.00", "shipping": 2, "total": "40.80", "customer": "Zoë ", "occurred_at": PLACED},
        payment={"authorized": "40.8", "captured": "0.00"},
    ),
    "order.capture": {"order": "webshop:1", "ref": "c", "amount": "40.80", "status": "Paid", "occurred_at": PLACED},
    "shipment.acknowledge": {"assignment": "webshop:1/2", "ref": "a", "warehouse_ref": "W-1", "status": "ok"},
    "shipment.confirm": {
        **{"assignment": "webshop:1/2", "ref": "s", "carrier": "UPS", "shipped_at": PLACED, "lines": LINES},
        "packages": [{"tracking": "1Z", "carrier": "UPS", "lines": LINES}, {"tracking": "2Z"}],
    },
    "shipment.reject": {"assignment": "webshop:1/2", "ref": "r", "reason": "damaged", "lines": LINES, "status": "no"},
    "stock.count": {"sku": "w-1", "node": "DC-EAST", "counted": 0, "ref": "c-1", "occurred_at": PLACED, "uom": "each"},
    "stock.adjust": {
        "sku": "w-1",
        "node": "DC-EAST",
        "delta": "-2",
        "ref": "a-1",
        "reason": "cycle count",
        "status": "x",
    },
}


def quick(system: System, action: str, body: bytes, key: str | None = None) -> AnyCommand | None:
    return QUICK[system.id].read(action, body, key)


def careful(system: System, action: str, body: bytes, key: str | None = None) -> AnyCommand:
    return CAREFUL.command(system, action, read_object(body), idempotency_key=key)


def taken(system: System, action: str, body: bytes, key: str | None = None) -> bool:
    """Whether the quick way takes the body; if it does, the careful one must read it to the very same."""
    found = quick(system, action, body, key)
    if found is None:
        return False
    expected = careful(system, action, body, key)  # must not raise
    assert found == expected
    assert repr(found) == repr(expected)
    assert commands.encode(found) == commands.encode(expected)
    assert payload_hash(found) == payload_hash(expected)
    return True


def raw(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("action", ORDINARY)
def test_what_is_ordinary_is_read_quickly_and_to_the_same_command(action: str) -> None:
    body = ORDINARY[action]

    assert taken(WEBSHOP, action, raw(body))
    assert taken(WEBSHOP, action, json.dumps(body, ensure_ascii=False).encode())
    assert taken(WEBSHOP, action, json.dumps(body, ensure_ascii=False, indent=2).encode())
    assert CAREFUL.read(WEBSHOP, action, raw(body)) == quick(WEBSHOP, action, raw(body))


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "webshop:10001"},
        {"order_id": "other:7"},
        {"number": ""},
        {"placed_at": "2026-07-01T09:30:00.123456Z"},
        {"placed_at": "2026-07-01T09:30+05:30"},
        {"fulfillment": "bopis", "pickup_node": "DC-EAST"},
        {"fulfillment": "delivery", "status": "anything"},
        {"destination": {"country": "us", "region": "NY", "latitude": -0.0, "longitude": 5}},
        {"payment": {}},
        {"payment": {"captured": "3"}},
        {"lines": [{"sku": "A", "quantity": n + 1} for n in range(500)]},
    ],
)
def test_orders_of_many_forms_are_read_quickly(change: dict[str, Any]) -> None:
    assert taken(WEBSHOP, "order.create", raw(order(**change)))


def test_a_known_word_of_the_source_says_how_far_the_order_has_come() -> None:
    assert taken(POS, "order.create", raw(order(status="Tendered")))
    assert not taken(POS, "order.create", raw(order(status="voided")))
    assert not taken(POS, "order.create", raw(order(status="tenderd")))


def test_an_alias_of_a_node_is_read_quickly() -> None:
    assert taken(WMS, "order.create", raw(order(fulfillment="bopis", pickup_node="E")))


def test_an_idempotency_key_stands_in_for_a_ref_that_is_not_given() -> None:
    body = {"order": "1", "amount": "5"}

    assert taken(WEBSHOP, "order.capture", raw(body), "k")
    assert taken(WEBSHOP, "order.capture", raw(body | {"ref": ""}), "k")
    assert taken(WEBSHOP, "order.capture", raw(body | {"ref": "r"}), "k")
    assert not taken(WEBSHOP, "order.capture", raw(body))
    assert not taken(WEBSHOP, "order.capture", raw(body), " k")
    assert taken(WMS, "shipment.acknowledge", raw({"assignment": "1/1"}))
    assert taken(WMS, "shipment.acknowledge", raw({"assignment": "1/1"}), "k")


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b'"channel":"web"', b'"channel":"web","channel":"web"'),
        (b'"channel":"web"', b'"channel" :"web","channel":"web"'),
        (b'"channel":"web"', b'"channel"\t:"web","channel"\r\n:"web"'),
        (b'"channel":"web"', b'"channel":"web","ch\\u0061nnel":"web"'),
        (b'"channel":"web"', b'"channel":"web","customer":null,"customer":"x"'),
        (b'"sku":"C"', b'"sku":"B","sku":"C"'),
        (b'"country":"US"', b'"country":"CA","country":"US"'),
        (b'"captured":"0.00"', b'"captured":"0.00","captured":"0.00"'),
        (b'"lines":[', b'"lines":[{"sku":"A","quantity":1}],"lines":['),
        (b'"customer":"', b'"customer":":":"'),
        (b'"customer":"', b'"customer":"\xff'),
        (b'"customer":"', b'"customer":"\xed\xa0\x80'),
        (b'"customer":"', b'"customer":"\\ud800'),
        (b'"quantity":2', b'"quantity":2.0'),
        (b'"quantity":2', b'"quantity":2.00000000000000000001'),
        (b'"quantity":2', b'"quantity":true'),
        (b'"quantity":2', b'"quantity":NaN'),
        (b'"quantity":2', b'"quantity":0'),
        (b'"quantity":2', b'"quantity":' + b"9" * 5000),
        (b'"line_no":7', b'"line_no":1'),
        (b'"line_no":7', b'"line_no":1.00000000000000000001'),
        (b'"line_no":7', b'"line_no":2147483648'),
        (b'"uom":"kg"', b'"uom":" kg"'),
        (b'"shipping":2', b'"shipping":2.5'),
        (b'"tax":"1.00"', b'"tax":"1.00001"'),
        (b'"tax":"1.00"', b'"tax":"-1"'),
        (b'"tax":"1.00"', '"tax":"١"'.encode()),
        (b'"captured":"0.00"', b'"captured":"99"'),
        (b'"currency":"USD"', b'"currency":"usd"'),
        (b'"country":"US"', '"country":"ß"'.encode()),
        (b'"country":"US"', b'"country":"US","latitude":90.00000000000000000001,"longitude":0'),
        (b'"country":"US"', b'"country":"US","latitude":1'),
        (PLACED.encode(), b"2026-03-01T09:30:00"),
        (PLACED.encode(), b"1969-03-01T09:30:00Z"),
        (b"{", b"\xef\xbb\xbf{"),
        (b"{", b"[{"),
        (b'"channel"', b'"chanel"'),
        (b'"channel":"web"', b'"channel":"wbe"'),
        (b'"channel":"web"', b'"channel":"web","action":"order.create"'),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_careful_way(written: bytes, instead: bytes) -> None:
    body = raw(ORDINARY["order.create"])

    assert written in body
    assert not taken(WEBSHOP, "order.create", body.replace(written, instead, 1))


# The ordinary, changed in every way that a sender may think of

TEXTS = st.sampled_from(
    ["", " ", "A", " A", "A ", ":x", "webshop:", "webshop:1", "pos:1", "other:1", "x:", "a/b/1", "webshop:1/2", "1/0"]
    + ["w-1", "SKU-1", "E", "DC-EAST", "web", "each", "kg", "USD", "usd", "us", "ß", "é", "e\u0301", "ＵＳ", "\u00a0x"]
    + ["delivery", "bopis", "carry_out", "Tendered", "voided", "\x7f", "\n", 'say "hi": ', "\\", "\u2028", "😀"]
    + ["x" * 200, "x" * 201, "x" * 501, "NaN", "1_0", "+1", "-0", "1.", ".5", "1e3", "007", "0", "0.0000", "9.990"]
    + ["1.2345", "1.23456", "9" * 15, "9" * 16, "999999999", "1000000000", "２", " 1", "1 ", "0.5"]
    + [PLACED, "2026-03-01T09:30:00Z", "2026-03-01", "20260301T093000+0530", "2026-03-08T02:30:00-05:00"]
    + ["2026-11-01T01:30:00-05:00", "2026-11-01T01:30:00-04:00", "2026-03-01T09:30:00+05:30:15", "2026-W09-7T09:30Z"]
    + ["2199-12-31T23:59:59-05:00", "1970-01-01T00:00:00+14:00", "2026-03-01T09:30:00,5-00:00", "1699-01-01T00:00:00Z"]
).map(lambda text: json.dumps(text, ensure_ascii=False))
NUMBERS = st.sampled_from(
    ["0", "-0", "1", "2", "-1", "1.0", "1.5", "-0.0", "1e2", "1E-2", "90", "90.0", "89.99999999999999999999", "180"]
    + ["1e400", "1e-400", "2147483647", "2147483648", "999999999", "1000000000", "9" * 15, "9" * 16, "9" * 25, "01"]
    + ["0.1", "1.00000000000000000001", "123456789012.3456", "NaN", "-Infinity", "true", "null", "[]", "{}", "[{}]"]
)
VALUES = (
    TEXTS
    | NUMBERS
    | st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False))
    | st.text(max_size=8).map(json.dumps)
    | st.integers(-5, 10**16).map(str)
    | st.decimals(0, 10**6, places=3).map(lambda number: f'"{number}"')
    | st.floats(allow_nan=False, allow_infinity=False, width=64).map(repr)
    | st.floats(-180, 180).map(repr)
    | st.datetimes(timezones=st.sampled_from([WEBSHOP, WMS]).map(lambda s: QUICK[s.id].sender.zone)).map(
        lambda at: f'"{at.isoformat()}"'
    )
)
TIMES = st.datetimes(min_value=datetime(1960, 1, 1), max_value=datetime(2201, 1, 1)).flatmap(
    lambda at: st.sampled_from(["Z", "+00:00", "-05:00", "-04:00", "+05:30", "-00:44:30"]).map(
        lambda offset: f'"{at.isoformat()}{offset}"'
    )
)
AMOUNTS = st.decimals(0, 100, places=2).map(lambda amount: f'"{amount}"') | st.integers(0, 100).map(str)
COUNTS = st.integers(1, 12).map(str) | st.integers(1, 12).map('"{}"'.format)
DEGREES = st.floats(-90, 90).map(repr) | st.integers(-90, 90).map(str) | st.decimals(-90, 90, places=20).map(str)
LIKELY: dict[str, st.SearchStrategy[str]] = {
    **dict.fromkeys(["placed_at", "occurred_at", "shipped_at"], TIMES),
    **dict.fromkeys(["total", "tax", "shipping", "amount", "unit_price", "authorized", "captured"], AMOUNTS),
    **dict.fromkeys(["quantity", "line_no"], COUNTS),
    **dict.fromkeys(["latitude", "longitude"], DEGREES),
    "destination": st.builds('{{"country":"us","latitude":{},"longitude":{}}}'.format, DEGREES, DEGREES),
    "payment": st.builds('{{"authorized":{},"captured":{}}}'.format, AMOUNTS, AMOUNTS) | st.just("{}"),
    "fulfillment": st.sampled_from(['"delivery"', '"bopis"']),
    "pickup_node": st.sampled_from(['"DC-EAST"', '"E"']),
    "sku": st.sampled_from(['"w-1"', '"SKU-1"', '"A"']),
    "assignment": st.sampled_from(['"webshop:1/2"', '"a/1"', '"pos:x/y/03"']),
}
WORDS = st.sampled_from(["A", "b-2", "é x", "pos: 1", "Tendered"]).map(
    lambda text: json.dumps(text, ensure_ascii=False)
)
BLANKS = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n"])
NAMES = sorted(
    {"lines", "action", "other", "x:y"}
    | {"line_no", "sku", "quantity", "uom", "unit_price", "country", "latitude", "longitude", "region", "captured"}
    | {name for body in ORDINARY.values() for name in body}
    | {"number", "fulfillment", "pickup_node", "payment", "status", "occurred_at", "shipped_at"}
)


@st.composite
def bodies(draw: st.DrawFn, action: str) -> bytes:
    """The ordinary body, with up to three changes anywhere in it: values, fields more, less or twice, blanks."""
    changes = draw(st.integers(0, 3))
    before, after = draw(st.sampled_from(["", "", "", "", " ", "\n", "\t", "\r"])), draw(BLANKS)

    def members(value: Any) -> list[dict[str, Any]]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return ([value] if isinstance(value, dict) else []) + [each for one in inner for each in members(one)]

    places = len(members(ORDINARY[action]))
    planned: dict[int, list[tuple[str, str, str]]] = {}
    for _ in range(changes):
        at = draw(st.integers(0, places - 1))
        fields = sorted(members(ORDINARY[action])[at])
        kind = draw(st.sampled_from(["set", "set", "set", "set", "set", "add", "drop", "twice"]))
        name = draw(st.sampled_from(NAMES if kind == "add" else fields))
        value = LIKELY.get(name, WORDS) if draw(st.booleans()) else VALUES
        planned.setdefault(at, []).append((kind, name, draw(value)))
    counter = iter(range(places))

    def written(value: Any) -> str:
        if isinstance(value, list):
            return "[" + ",".join(written(each) for each in value) + "]"
        if not isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False)
        at = next(counter)
        pairs = [(name, written(inner)) for name, inner in value.items()]
        for kind, name, other in planned.get(at, []):
            if kind == "set":
                pairs = [(field, other if field == name else inner) for field, inner in pairs]
            elif kind == "drop":
                pairs = [pair for pair in pairs if pair[0] != name]
            elif kind == "add":
                pairs.append((name, other))
            else:
                pairs.insert(draw(st.integers(0, len(pairs))), (name, other))
        key = [json.dumps(name) for name, _ in pairs]
        blank = [before if place == 0 else "" for place in range(len(pairs))]
        return "{" + ",".join(f"{k}{b}:{after}{v}" for k, b, (_, v) in zip(key, blank, pairs, strict=True)) + "}"

    return written(ORDINARY[action]).encode(errors="surrogatepass")


@settings(max_examples=600, deadline=None)
@given(st.data())
@pytest.mark.parametrize("action", ORDINARY)
def test_the_quick_way_takes_nothing_that_the_careful_way_refuses_or_reads_otherwise(
    action: str, data: st.DataObject
) -> None:
    system = data.draw(st.sampled_from(SYSTEMS))
    body = data.draw(bodies(action))
    key = data.draw(st.sampled_from([None, None, "k", " k", ""]))

    taken(system, action, body, key)


MADE = st.one_of(
    st.datetimes(min_value=datetime(1960, 1, 1), max_value=datetime(2201, 1, 1)),
    st.datetimes(timezones=st.sampled_from([UTC, ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")])),
    st.decimals(-5, 10**6, places=2),
    st.sampled_from([Decimal("1E+3"), Decimal("0.00001"), Decimal("NaN"), Decimal("9.90"), Decimal(-1), Decimal("0")]),
    st.sampled_from([True, None, [], {}, 1.5, date(2026, 3, 1), "2026-03-08T02:30:00", "3", "-3", "03", "1.0"]),
)


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.parametrize("action", ORDINARY)
def test_a_record_of_a_recipe_is_read_quickly_to_what_the_careful_way_reads_or_not_at_all(
    action: str, data: st.DataObject
) -> None:
    system = data.draw(st.sampled_from(SYSTEMS))
    try:
        record = read_object(data.draw(bodies(action)))
    except MappingFailed:
        return
    for name in data.draw(st.lists(st.sampled_from(sorted(record)), max_size=2)) if record else ():
        record[name] = data.draw(MADE)
    inner = record.get("lines")
    if isinstance(inner, list) and inner and isinstance(inner[0], dict) and data.draw(st.booleans()):
        inner[0][data.draw(st.sampled_from(["line_no", "quantity", "unit_price"]))] = data.draw(MADE)

    quickly = QUICK[system.id].record(action, record)

    if quickly is not None:
        carefully = CAREFUL.command(system, action, record, local_times=True)
        assert quickly == carefully
        assert payload_hash(quickly) == payload_hash(carefully)


@pytest.mark.parametrize("action", ORDINARY)
def test_an_ordinary_record_of_a_recipe_is_read_quickly(action: str) -> None:
    record = ORDINARY[action]
    times = {name: datetime.fromisoformat(value) for name, value in record.items() if value == PLACED}

    quickly = QUICK[WEBSHOP.id].record(action, {**record, **times})

    assert quickly is not None
    assert quickly == CAREFUL.record(WEBSHOP, action, record)


@pytest.mark.parametrize(
    "at", ["2026-03-01T09:30:00", "2026-03-08T02:30:00", "2026-11-01T01:30:00", "2026-03-01 09:30"]
)
def test_a_local_time_of_a_record_is_in_the_zone_of_the_system_both_ways(at: str) -> None:
    record = {**ORDINARY["stock.count"], "occurred_at": at}

    quickly = QUICK[WEBSHOP.id].record("stock.count", record)

    assert quickly == CAREFUL.command(WEBSHOP, "stock.count", record, local_times=True)
    assert record["occurred_at"] == at


@given(st.datetimes(), st.integers(-1439, 1439))
def test_a_time_of_any_offset_is_read_to_the_same_zone(at: datetime, minutes: int) -> None:
    sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
    written = f"{at.isoformat()}{sign}{ahead // 60:02}:{ahead % 60:02}"

    taken(WEBSHOP, "order.create", raw(order(placed_at=written)))


@pytest.mark.parametrize("seconds", [(10, 50), (50, 10)])
def test_a_clock_that_was_set_within_a_minute_is_not_remembered_for_the_whole_minute(seconds: tuple[int, int]) -> None:
    system = msgspec.structs.replace(WEBSHOP, time_zone="Africa/Monrovia")
    reader = QuickReader(Sender(ESTATE, system))

    for second in seconds:  # the clocks of Monrovia went from 00:00:00 to 00:44:30
        body = raw(order(placed_at=f"1972-01-07T00:44:{second}+00:00"))
        assert reader.read("order.create", body, None) == careful(system, "order.create", body)


@given(st.binary(max_size=40), st.sampled_from(list(ORDINARY)))
def test_no_bytes_make_the_quick_way_fail(body: bytes, action: str) -> None:
    try:
        careful(WEBSHOP, action, body)
    except MappingFailed:
        assert quick(WEBSHOP, action, body) is None
