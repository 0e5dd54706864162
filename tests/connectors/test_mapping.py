"""Records to commands: one canonical form for equal payloads, and every mistake of a record at once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.mapping import Mapper, MappingFailed
from interlock.connectors.receive import new_message_id, receive, trace_id_of
from interlock.domain import commands
from interlock.domain.commands import COMMANDS, CancelReservation, payload_hash
from interlock.domain.estate import Estate, System
from interlock.domain.values import SystemId
from tests.web.conftest import order, small_estate

ESTATE = small_estate()
MAPPER = Mapper(ESTATE)
WEBSHOP = ESTATE.systems[SystemId("webshop")]
WMS = ESTATE.systems[SystemId("wms")]
POS = ESTATE.systems[SystemId("pos")]


def mistakes(system: System, action: str | None, body: bytes | dict[str, Any], **more: Any) -> dict[str, str]:
    """The mistakes that reading finds: field -> expected."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MappingFailed) as failed:
        MAPPER.read(system, action, raw, **more)
    return {error.field: error.expected for error in failed.value.errors}


def read(system: System, action: str, body: dict[str, Any], **more: Any) -> Any:
    return MAPPER.read(system, action, json.dumps(body).encode(), **more)


def test_an_order_is_read_with_its_defaults() -> None:
    command = read(WEBSHOP, "order.create", order(lines=[{"sku": "w-1", "quantity": 2, "unit_price": "9.99"}]))

    assert command == commands.CreateOrder(
        order_id="webshop:10001",
        number="WEB-10001",
        channel="web",
        placed_at=datetime(2026, 3, 1, 14, 30, tzinfo=UTC),
        time_zone="America/New_York",
        currency="USD",
        destination=command.destination,
        lines=(commands.NewLine(line_no=1, sku="SKU-1", quantity=2, unit_price=Decimal("9.99"), source_sku="w-1"),),
        total=Decimal("19.98"),
        authorized=Decimal("19.98"),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [{"sku": "SKU-1", "quantity": 2.0, "unit_price": 9.990}]},
        {"lines": [{"sku": "SKU-1", "quantity": "2", "unit_price": "9.9900", "line_no": 1, "uom": "each"}]},
        {"lines": [{"unit_price": "9.99", "line_no": "1", "quantity": "2.000", "sku": "SKU-1"}]},
        {"total": "19.98", "tax": 0, "shipping": None, "fulfillment": "delivery"},
        {"payment": {"authorized": 19.98, "captured": "0.00"}, "customer": ""},
        {"placed_at": "2026-03-01T09:30:00.000-05:00", "status": None},
        {"destination": {"postal_code": "10001", "country": "us", "region": "NY", "latitude": None}},
        {"order_id": "webshop:10001"},
    ],
)
def test_equal_orders_have_equal_hashes_however_they_are_written(change: dict[str, Any]) -> None:
    plain = read(WEBSHOP, "order.create", order())

    assert payload_hash(read(WEBSHOP, "order.create", order(**change))) == payload_hash(plain)


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [{"sku": "SKU-1", "quantity": 3, "unit_price": "9.99"}]},
        {"lines": [{"sku": "SKU-1", "quantity": 2, "unit_price": "9.98"}]},
        {"number": "10001"},
        {"placed_at": "2026-03-01T09:30:01-05:00"},
    ],
)
def test_other_orders_have_other_hashes(change: dict[str, Any]) -> None:
    plain = read(WEBSHOP, "order.create", order())

    assert payload_hash(read(WEBSHOP, "order.create", order(**change))) != payload_hash(plain)


@given(st.decimals(min_value=0, max_value=10**9, places=4), st.integers(0, 4))
def test_an_amount_means_the_same_with_any_number_of_zeros(amount: Decimal, zeros: int) -> None:
    body = {"order": "1", "ref": "r"}
    if amount == 0:
        return
    written = read(WEBSHOP, "order.authorize", body | {"amount": f"{amount:f}{'0' * zeros}"})
    shortest = read(WEBSHOP, "order.authorize", body | {"amount": f"{amount.normalize():f}"})

    assert written.amount == amount
    assert "E" not in str(written.amount)
    assert payload_hash(written) == payload_hash(shortest)


def test_a_default_that_is_said_aloud_is_the_same_as_one_that_is_left_out() -> None:
    adjust = {"sku": "A", "node": "DC-EAST", "ref": "r", "delta": 1}
    received = {"order": "1", "ref": "r", "node": "DC-EAST"}
    line = {"line_no": 1, "quantity": 1}

    assert payload_hash(read(WMS, "stock.adjust", adjust)) == payload_hash(
        read(WMS, "stock.adjust", adjust | {"reason": "adjusted", "uom": "each"})
    )
    assert payload_hash(read(WMS, "return.receive", received | {"lines": [line]})) == payload_hash(
        read(WMS, "return.receive", received | {"lines": [line | {"disposition": "restock"}]})
    )


def test_every_mistake_of_an_order_is_named_with_its_path() -> None:
    body = order(
        order_id="pos:1",
        chanel="web",
        channel="wbe",
        placed_at="2026-03-01T09:30:00",
        currency="usd",
        fulfillment="bopis",
        tax=-1,
        total="1,000",
        payment={"authorized": "5", "captured": "6"},
        destination={"country": "USA", "latitude": 91},
        lines=[
            {"sku": "A", "quantity": 0},
            {"sku": "", "quantity": -1, "line_no": 0},
            {"sku": 5, "quantity": True, "unit_price": "NaN"},
            {"sku": "B", "quantity": 1.5, "line_no": 1},
            "line",
            {"sku": "C", "uom": "kg", "quantity": "0.0000001"},
        ],
    )

    found = mistakes(WEBSHOP, "order.create", body)

    assert sorted(found) == [
        "chanel",
        "channel",
        "currency",
        "destination.country",
        "destination.latitude",
        "destination.longitude",
        "lines[0].quantity",
        "lines[1].line_no",
        "lines[1].quantity",
        "lines[1].sku",
        "lines[2].quantity",
        "lines[2].sku",
        "lines[2].unit_price",
        "lines[3].line_no",
        "lines[3].quantity",
        "lines[4]",
        "lines[5].quantity",
        "order_id",
        "payment.captured",
        "pickup_node",
        "placed_at",
        "tax",
        "total",
    ]
    assert "did you mean channel?" in found["chanel"]
    assert "did you mean web?" in found["channel"]
    assert found["lines[2].sku"] == "text, in quotes"
    assert found["lines[0].quantity"] == "more than zero"
    assert found["lines[3].quantity"] == "a whole number, because its unit of measure is each"
    assert "offset" in found["placed_at"]


def test_what_is_missing_is_named() -> None:
    assert sorted(mistakes(WEBSHOP, "order.create", {})) == [
        *("channel", "currency", "destination", "lines", "order_id", "placed_at")
    ]
    assert sorted(mistakes(WMS, "shipment.reject", {"reason": "lost"})) == ["assignment", "reason", "ref"]
    assert sorted(mistakes(WMS, "stock.count", {"uom": "kg"})) == ["counted", "node", "ref", "sku"]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "[]"),
        (b'"text"', "text"),
        (b"null", "null"),
        (b'{"a": 1}x', "trailing"),
        (b'{"a": NaN}', "invalid character"),
        (b'{"a": -Infinity}', "invalid"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a\xff": 1}', "byte 3 is not UTF-8"),
        (b'{"a": "\\ud800"}', ""),
        (b'{"a": 01}', ""),
        (b'{"a": 1,}', ""),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", ""),
    ],
)
def test_what_is_no_json_object_is_one_mistake(body: bytes, value: str) -> None:
    with pytest.raises(MappingFailed) as failed:
        MAPPER.read(WEBSHOP, "order.create", body)

    [error] = failed.value.errors
    assert error.field == ""
    assert value in error.value


@pytest.mark.parametrize(
    "body",
    [
        b'{"order":"1","order":"2"}',
        b'{"order" : "1", "order" :"2"}',
        b'{"order":"1","\\u006frder":"2"}',
        b'{"order"\n:"1","order":"2"}',
        b'{"order":"1","order":"1","ref":"a\\":b\\":c"}',
    ],
)
def test_a_field_that_is_there_twice_is_a_mistake_however_it_is_spelled(body: bytes) -> None:
    assert mistakes(WEBSHOP, "order.close", body) == {"order": "a field that is there only once"}


def test_a_field_that_is_there_twice_in_a_line_is_seen_among_other_lines() -> None:
    body = json.dumps(order(lines=[{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}])).encode()

    assert list(mistakes(WEBSHOP, "order.create", body.replace(b'"sku": "B"', b'"sku": "B", "sku": "C"'))) == ["sku"]


def test_harmless_colons_and_a_byte_order_mark_are_no_mistake() -> None:
    body = json.dumps(order(customer='says "hi": again : and "so":')).encode()

    assert MAPPER.read(WEBSHOP, "order.create", b"\xef\xbb\xbf" + body).customer == 'says "hi": again : and "so":'  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "value",
    [
        *("", "x" * 201, " A", "A ", "A\n", "A\x00B", "\ud800", "\x7f"),
        *(1, 1.5, True, [], {}),
    ],
)
def test_what_is_no_key_is_refused(value: object) -> None:
    record = {"order": value, "ref": "r", "amount": "1"}

    with pytest.raises(MappingFailed) as failed:
        MAPPER.command(WEBSHOP, "order.authorize", record)

    assert [error.field for error in failed.value.errors] == ["order"]


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "1e999", "1e999999999", "1_000", "٣", " 1", "1 ", "0x1", "1,5", "--1", "", [], {}, True],
)
@pytest.mark.parametrize(("action", "field"), [("order.authorize", "amount"), ("stock.adjust", "delta")])
def test_what_is_no_number_is_refused_at_once(action: str, field: str, value: object) -> None:
    record = {"order": "1", "ref": "r"} if field == "amount" else {"sku": "A", "node": "DC-EAST", "ref": "r"}

    with pytest.raises(MappingFailed) as failed:
        MAPPER.command(WEBSHOP, action, record | {field: value})

    assert [error.field for error in failed.value.errors] == [field]


def test_large_json_numbers_keep_every_digit() -> None:
    body = b'{"order": "1", "ref": "r", "amount": 12345678901234.5678}'

    assert MAPPER.read(WEBSHOP, "order.authorize", body).amount == Decimal("12345678901234.5678")  # type: ignore[union-attr]


def test_lines_are_numbered_limited_and_unlike() -> None:
    many = [{"line_no": n + 1, "quantity": 1} for n in range(10_001)]

    assert list(mistakes(WEBSHOP, "order.cancel", {"order": "1", "ref": "r", "lines": many})) == ["lines"]
    assert list(mistakes(WEBSHOP, "order.cancel", {"order": "1", "ref": "r", "lines": []})) == ["lines"]
    twice = [{"line_no": 2, "quantity": 1}, {"line_no": 2, "quantity": 1}]
    assert list(mistakes(WEBSHOP, "order.cancel", {"order": "1", "ref": "r", "lines": twice})) == ["lines[1].line_no"]
    assert len(read(WEBSHOP, "order.cancel", {"order": "1", "ref": "r", "lines": many[:-1]}).lines) == 10_000


def test_a_returned_line_may_come_with_several_dispositions() -> None:
    body = {"order": "1", "ref": "r", "node": "DC-EAST"}
    lines = [{"line_no": 1, "quantity": 1}, {"line_no": 1, "quantity": 1, "disposition": "scrap"}]

    assert [line.disposition for line in read(WEBSHOP, "return.receive", body | {"lines": lines}).lines] == [
        *("restock", "scrap")
    ]
    assert list(mistakes(WEBSHOP, "return.receive", body | {"lines": lines + lines[:1]})) == ["lines[2].line_no"]


@pytest.mark.parametrize(
    ("order_field", "order_id"),
    [
        ("10001", "webshop:10001"),
        ("webshop:10001", "webshop:10001"),
        ("pos:7", "pos:7"),
        ("other:7", "webshop:other:7"),
    ],
)
def test_an_order_without_a_known_scope_is_the_sender_s_own(order_field: str, order_id: str) -> None:
    assert read(WEBSHOP, "order.close", {"order": order_field}).order_id == order_id


@pytest.mark.parametrize(
    ("assignment", "read_as"),
    [("webshop:1/2", ("webshop:1", 2)), ("webshop:a/b/12", ("webshop:a/b", 12)), ("1/3", ("wms:1", 3))],
)
def test_an_assignment_is_split_at_its_last_slash(assignment: str, read_as: tuple[str, int]) -> None:
    command = read(WMS, "shipment.acknowledge", {"assignment": assignment})

    assert (command.order_id, command.assignment_no) == read_as


@pytest.mark.parametrize("assignment", ["webshop:1", "webshop:1/", "webshop:1/x", "webshop:1/0", "/1", "webshop:1/٣"])
def test_what_is_no_assignment_is_refused(assignment: str) -> None:
    assert list(mistakes(WMS, "shipment.acknowledge", {"assignment": assignment})) == ["assignment"]


def test_the_node_and_the_sku_of_the_sender_become_ours() -> None:
    command = read(WMS, "stock.count", {"sku": "w-1", "node": "E", "ref": "c", "counted": 0})
    aliased = read(WEBSHOP, "stock.count", {"sku": "w-1", "node": "DC-EAST", "ref": "c", "counted": "0"})

    assert (command.sku, command.node, command.counted) == ("w-1", "DC-EAST", 0)
    assert (aliased.sku, aliased.node) == ("SKU-1", "DC-EAST")
    assert (
        "did you mean DC-EAST?"
        in mistakes(WMS, "stock.count", {"sku": "A", "node": "DC-EASTT", "ref": "c", "counted": 1})["node"]
    )


@pytest.mark.parametrize(
    ("time", "zone"),
    [
        ("2026-03-01T09:30:00-05:00", "America/New_York"),
        ("2026-07-01T09:30:00-04:00", "America/New_York"),
        ("2026-03-01T09:30:00+05:30", "+05:30"),
        ("2026-03-01T09:30:00Z", "UTC"),
    ],
)
def test_the_zone_of_a_time_is_kept_beside_it(time: str, zone: str) -> None:
    command = read(WEBSHOP, "order.close", {"order": "1", "occurred_at": time})

    assert command.time_zone == zone
    assert command.occurred_at == datetime.fromisoformat(time)
    assert command.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    "time", ["yesterday", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00Z", 1700000000, "2026-03-01"]
)
def test_what_is_no_time_is_refused(time: object) -> None:
    assert list(mistakes(WEBSHOP, "order.close", {"order": "1", "occurred_at": time})) == ["occurred_at"]


def test_a_record_of_a_file_may_have_local_times() -> None:
    record = {"order": "1", "occurred_at": "2026-07-01T09:30:00"}
    command = MAPPER.command(WEBSHOP, "order.close", record, local_times=True)

    assert command.occurred_at == datetime(2026, 7, 1, 13, 30, tzinfo=UTC)
    assert command.time_zone == "America/New_York"


def test_the_source_s_word_says_how_far_a_new_order_has_come() -> None:
    tendered = read(POS, "order.create", order(payment=None, status="Tendered"))

    assert (tendered.word, tendered.authorized, tendered.captured) == ("Tendered", Decimal("19.98"), 0)
    assert "did you mean tendered?" in mistakes(POS, "order.create", order(status="tenderd"))["status"]
    assert list(mistakes(POS, "order.create", order(status="voided"))) == ["status"]
    assert read(WEBSHOP, "order.create", order(status="anything")).word == "anything"


def test_an_idempotency_key_is_the_ref_where_none_is_given_and_no_part_of_a_new_order() -> None:
    body = {"order": "1", "amount": "5"}

    assert read(WEBSHOP, "order.capture", body, idempotency_key="k").ref == "k"
    assert read(WEBSHOP, "order.capture", body | {"ref": "r"}, idempotency_key="k").ref == "r"
    assert read(WEBSHOP, "order.create", order(), idempotency_key="k") == read(WEBSHOP, "order.create", order())


def test_when_a_shipment_left_is_said_once() -> None:
    body = {"assignment": "webshop:1/1", "ref": "s", "shipped_at": "2026-03-01T10:00:00Z"}

    assert read(WMS, "shipment.confirm", body).occurred_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    both = body | {"occurred_at": "2026-03-01T10:00:00Z"}
    assert list(mistakes(WMS, "shipment.confirm", both)) == ["shipped_at"]


@pytest.mark.parametrize(
    ("value", "means"), [(True, True), (False, False), ("true", True), ("false", False), (None, False)]
)
def test_yes_and_no_are_said_as_such_or_as_text(value: object, means: bool) -> None:
    command = read(WEBSHOP, "reservation.cancel", {"order": "1", "ref": "r", "exclude": value})

    assert isinstance(command, CancelReservation)
    assert command.exclude is means


@pytest.mark.parametrize("value", [1, "yes", [], "True"])
def test_what_is_neither_yes_nor_no_is_named(value: object) -> None:
    body = {"order": "1", "ref": "r", "exclude": value}

    assert mistakes(WEBSHOP, "reservation.cancel", body) == {"exclude": "true or false"}


def test_units_are_taken_back_only_from_an_assignment_of_their_order() -> None:
    body = {"order": "1", "ref": "r", "assignment": "webshop:2/1"}

    assert list(mistakes(WEBSHOP, "reservation.cancel", body)) == ["assignment"]


def test_an_unknown_action_is_named_with_what_was_probably_meant() -> None:
    assert "did you mean order.create?" in mistakes(WEBSHOP, "order.creat", {})["action"]
    assert list(mistakes(WEBSHOP, None, {"order": "1"})) == ["action"]
    assert MAPPER.read(WEBSHOP, None, b'{"action": "order.close", "order": "1"}') == read(
        WEBSHOP, "order.close", {"order": "1"}
    )


EXAMPLES: dict[str, dict[str, Any]] = {
    "order.create": order(fulfillment="bopis", pickup_node="DC-EAST", tax="1.00", shipping=2, status="new"),
    "order.authorize": {"order": "1", "ref": "r", "amount": "1.00"},
    "order.capture": {"order": "1", "ref": "r", "amount": 1},
    "order.void": {"order": "1", "ref": "r", "amount": "1.00"},
    "reservation.cancel": {
        **{"order": "1", "ref": "r", "assignment": "webshop:1/1", "exclude": True, "reason": "too far"},
        "lines": [{"line_no": 1, "quantity": 1}],
    },
    "reservation.hold": {"order": "1", "ref": "r", "node": "DC-EAST", "lines": [{"line_no": 1, "quantity": "0.5"}]},
    "shipment.release": {"order": "1", "assignment": "webshop:1/2"},
    "shipment.acknowledge": {"assignment": "webshop:1/1", "warehouse_ref": "W-1"},
    "shipment.pack": {"assignment": "webshop:1/1", "ref": "r"},
    "shipment.confirm": {
        **{"assignment": "webshop:1/1", "ref": "s", "carrier": "UPS"},
        "packages": [{"tracking": "1Z", "lines": [{"line_no": 1, "quantity": 1}]}],
    },
    "shipment.reject": {"assignment": "webshop:1/1", "ref": "r", "reason": "short_pick"},
    "order.cancel": {"order": "1", "ref": "r", "reason": "changed mind"},
    "return.authorize": {"order": "1", "ref": "r", "lines": [{"line_no": 1, "quantity": 1}]},
    "return.cancel": {"order": "1", "ref": "r", "return_ref": "RMA-1"},
    "return.receive": {"order": "1", "ref": "r", "node": "DC-EAST", "lines": [{"line_no": 1, "quantity": 1}]},
    "refund.issue": {"order": "1", "ref": "r", "amount": "1"},
    "stock.adjust": {"sku": "A", "node": "DC-EAST", "ref": "r", "delta": "-1.5", "uom": "kg"},
    "stock.count": {"sku": "A", "node": "DC-EAST", "ref": "r", "counted": 5},
    "order.close": {"order": "1"},
}


@pytest.mark.parametrize("action", COMMANDS)
def test_every_action_is_read_and_comes_back_from_storage_as_it_went(action: str) -> None:
    command = read(WEBSHOP, action, EXAMPLES[action] | {"occurred_at": "2026-03-01T10:00:00Z"})

    assert type(command) is COMMANDS[action]
    assert commands.decode(commands.encode(command)) == command


@given(
    st.sampled_from(list(COMMANDS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=8,
    ),
    st.data(),
)
def test_no_value_in_any_field_makes_reading_fail_otherwise_than_by_naming_it(
    action: str, value: Any, data: st.DataObject
) -> None:
    example = EXAMPLES[action]
    field = data.draw(st.sampled_from([*example, "other"]))

    try:
        command = read(WEBSHOP, action, {**example, field: value})
    except MappingFailed as failed:
        assert failed.errors != ()
    else:
        assert commands.decode(commands.encode(command)) == command


@given(st.binary(max_size=60))
def test_no_bytes_make_receiving_fail(body: bytes) -> None:
    arrival = receive(MAPPER, WEBSHOP, "order.close", body)

    assert (arrival.command is None) == (arrival.problem is not None)


def test_what_cannot_be_read_arrives_with_its_problem_and_its_bytes() -> None:
    arrival = receive(MAPPER, WEBSHOP, "order.close", b"{}", idempotency_key="k", trace_id="t", record="line 3")

    assert arrival.command is None
    assert arrival.problem is not None
    assert (arrival.problem.reason, [e.field for e in arrival.problem.errors]) == ("unreadable", ["order"])
    assert (arrival.body, arrival.source_message_id, arrival.trace_id, arrival.record) == (b"{}", "k", "t", "line 3")


def test_message_ids_are_uuid_7_and_grow_within_a_process() -> None:
    made: list[list[UUID]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda ids=ids: ids.extend(new_message_id() for _ in range(2000))) for ids in made
    ]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(ids == sorted(ids) for ids in made)
    together = [each for ids in made for each in ids]
    assert len(set(together)) == 8000
    assert {(each.version, each.variant) for each in together} == {(7, "specified in RFC 4122")}
    assert abs((together[0].int >> 80) / 1000 - datetime.now(UTC).timestamp()) < 60


def test_the_trace_id_is_that_of_the_traceparent_or_a_new_one() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    assert trace_id_of(f"00-{trace}-00f067aa0ba902b7-01") == trace
    for bad in (None, "", trace, f"ff-{trace}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01"):
        fresh = trace_id_of(bad)
        assert len(fresh) == 32
        assert fresh != trace


def test_reading_is_the_same_from_many_threads(estate: Estate = ESTATE) -> None:
    mapper = Mapper(estate)
    body = json.dumps(order()).encode()
    results: list[bytes] = []

    def work() -> None:
        results.extend(payload_hash(mapper.read(WEBSHOP, "order.create", body)) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 800
    assert len(set(results)) == 1
