"""Events in their envelope: CloudEvents 1.0 to the letter, in all modes, whatever an order is called."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote
from uuid import UUID

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from interlock.contracts import avro
from interlock.contracts.asyncapi import ENVELOPE
from interlock.contracts.cloudevents import (
    Envelope,
    attributes,
    batch,
    binary,
    event_type,
    slug,
    structured,
    traceparent,
)
from interlock.contracts.wire import published
from interlock.domain import values
from tests.contracts.cloudevents_rules import REQUIRED, broken

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpora" / "09-conformance" / "cloudevents"
AT = datetime(2026, 3, 1, 14, 30, 1, 123456, UTC)
TRACE = "0af7651916cd43dd8448eb211c80319c"
MESSAGE = UUID("0199a4bb-1111-7000-8000-0000000000aa")
ENVELOPE_OF = Envelope("Acme & Söhne")


class Row(NamedTuple):
    """An event as the table has it."""

    order_id: str = "webshop:10001"
    seq: int = 3
    type: str = "payment.captured"
    body: bytes | str = b'{"type":"payment.captured","ref":"c-1","amount":"19.98"}'
    message_id: UUID = MESSAGE
    system: str = "webshop"
    occurred_at: datetime | None = datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
    recorded_at: datetime = AT
    trace_id: str | None = TRACE


def test_an_event_in_its_envelope_reads_like_this() -> None:
    assert msgspec.json.decode(structured(Row(), ENVELOPE_OF)) == {
        "specversion": "1.0",
        "id": "webshop:10001/3",
        "source": "/interlock/acme-sohne",
        "type": "interlock.payment.captured.v1",
        "subject": "webshop:10001",
        "time": "2026-03-01T14:30:01.123456Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:interlock:contract:events:payment.captured:1",
        "schemaversion": "1",
        "sequence": "3",
        "sequencetype": "Integer",
        "partitionkey": "webshop:10001",
        "correlationid": str(MESSAGE),
        "causationsystem": "webshop",
        "occurredat": "2026-03-01T14:30:00Z",
        "traceparent": f"00-{TRACE}-80000000000000aa-00",
        "data": {"type": "payment.captured", "ref": "c-1", "amount": "19.98"},
    }


def test_where_our_address_is_known_the_contract_is_named_by_its_address() -> None:
    found = attributes(Row(), Envelope("Acme", "https://orders.example/"))

    assert found["dataschema"] == "https://orders.example/v1/contracts/events/payment.captured/1"
    assert broken({**found, "data": {}}) == []


def test_what_the_source_did_not_say_is_left_out() -> None:
    found = attributes(Row(occurred_at=None, trace_id=None), ENVELOPE_OF)

    assert {"occurredat", "traceparent"} & set(found) == set()


@pytest.mark.parametrize("trace_id", ["", "0" * 32, "0AF7651916CD43DD8448EB211C80319C", "abc", TRACE + "0"])
def test_a_trace_id_that_w3c_does_not_allow_is_left_out(trace_id: str) -> None:
    assert traceparent(trace_id, MESSAGE) == ""


def test_the_parent_in_a_trace_is_never_zero() -> None:
    assert re.fullmatch(r"00-[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00", traceparent(TRACE, UUID(int=1 << 127 | 1 << 63)))


ORDER_IDS = st.text(min_size=1, max_size=40).filter(lambda text: _is_key(f"web:{text}")).map("web:{}".format)


def _is_key(text: str) -> bool:
    try:
        values.key("order_id", text)
    except values.InvalidValue:
        return False
    return True


@given(
    order_id=ORDER_IDS,
    seq=st.integers(1, 2**31 - 1),
    retailer=st.text(max_size=20),
    at=st.datetimes(timezones=st.just(UTC)),
)
def test_whatever_an_order_and_a_retailer_are_called_the_envelope_conforms(
    order_id: str, seq: int, retailer: str, at: datetime
) -> None:
    row = Row(order_id=order_id, seq=seq, recorded_at=at.replace(year=2026))
    found = msgspec.json.decode(structured(row, Envelope(retailer)))

    assert broken(found) == []
    assert jsonschema_rs.is_valid(ENVELOPE, found, validate_formats=True)
    assert unquote(found["subject"]) == order_id
    assert found["id"] == f"{found['subject']}/{seq}"


@given(order_id=ORDER_IDS)
def test_headers_hold_what_http_allows_and_say_the_same_as_the_structured_form(order_id: str) -> None:
    row = Row(order_id=order_id)
    headers, body = binary(row, ENVELOPE_OF)
    whole = msgspec.json.decode(structured(row, ENVELOPE_OF))

    assert all(re.fullmatch("[!-~]+", value) for value in headers.values())
    assert headers.pop("content-type") == whole.pop("datacontenttype") == "application/json"
    assert msgspec.json.decode(body) == whole.pop("data")
    assert {name.removeprefix("ce-"): unquote(value) for name, value in headers.items()} == whole


@pytest.mark.parametrize(
    ("binding", "name"),
    [("kafka", "ce_id"), ("nats", "ce-id"), ("amqp", "cloudEvents_id"), ("mqtt", "id"), ("http", "ce-id")],
)
def test_every_binding_has_its_prefix(binding: Any, name: str) -> None:
    headers, _ = binary(Row(order_id="web:ü"), ENVELOPE_OF, binding)

    assert unquote(headers[name]) == "web:ü/3"


def test_the_data_may_be_in_avro() -> None:
    headers, body = binary(Row(), ENVELOPE_OF, "kafka", as_avro=True)

    assert headers["content-type"] == "application/avro"
    assert avro.decode("payment.captured", body) == published("payment.captured", Row().body)


def test_many_events_are_one_array() -> None:
    rows = [Row(seq=1), Row(seq=2, body=str(Row().body, "utf-8"))]

    found = msgspec.json.decode(batch(rows, ENVELOPE_OF))

    assert [(each["id"], each["data"]["ref"]) for each in found] == [
        ("webshop:10001/1", "c-1"),
        ("webshop:10001/2", "c-1"),
    ]
    assert msgspec.json.decode(batch([], ENVELOPE_OF)) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Acme", "acme"),
        ("Acme & Söhne", "acme-sohne"),
        (" --- ", "---"),
        ("東京", "%E6%9D%B1%E4%BA%AC"),
        ("", "retailer"),
    ],
)
def test_a_retailers_name_becomes_a_segment_of_an_address(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_ids_never_repeat_between_events() -> None:
    rows = [Row(order_id=order, seq=seq) for order in ("a:1", "a:1%2F1") for seq in (1, 2)]
    ids = {attributes(row, ENVELOPE_OF)["id"] for row in rows}

    assert len(ids) == 4
    assert event_type("order.created", 2) == "interlock.order.created.v2"


# What others wrote


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora of real inputs are not beside this checkout")
def test_the_rules_take_what_others_wrote_and_find_what_is_wrong_in_it() -> None:
    events = list(_events_of_others())
    # Some files are no whole events, but what a tool adds to one.
    good = [each for each in events if each.get("specversion") == "1.0" and set(REQUIRED) <= set(each)]

    assert len(good) >= 10
    assert [found for each in good if (found := broken(each))] == []
    assert all(broken({key: value for key, value in each.items() if key != "id"}) == ["id is missing"] for each in good)
    assert broken({**good[0], "Time_": "x"}) == ["Time_: an attribute's name has only a-z and 0-9"]
    assert [broken(each) for each in events if each.get("specversion") == "0.3"][0][-1:] == ["specversion is '0.3'"]


def _events_of_others() -> Any:
    for path in sorted(CORPUS.glob("*.yaml")):
        for document in YAML(typ="base").load_all(path.read_text()):
            context = dict(document.get("ContextAttributes") or {}) if isinstance(document, dict) else {}
            extensions = context.pop("Extensions", None) or {}
            if context:
                # A value in the corpus may be of several lines, or another document's JSON: no text of an attribute.
                plain = {key: each.strip() for key, each in extensions.items() if "\n" not in each.strip()}
                yield {**context, **plain}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora of real inputs are not beside this checkout")
def test_our_headers_are_named_like_those_of_the_http_binding_scenarios() -> None:
    text = (CORPUS / "http-protocol-binding.feature").read_text().lower()
    theirs = set(re.findall(r"^\s*(ce-[a-z]+):", text, flags=re.MULTILINE))
    ours = set(binary(Row(), ENVELOPE_OF)[0])

    assert theirs >= {"ce-specversion", "ce-type", "ce-id", "ce-source", "ce-time"}
    assert theirs <= ours
    assert "application/cloudevents+json" in text
