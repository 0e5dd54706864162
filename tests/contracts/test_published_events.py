"""The contracts of events and of messages to receivers say what goes out, with every field's meaning."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings

from interlock.contracts.avro import avro_schema, decode, encode, single_object
from interlock.contracts.catalog import RELEASED, catalog, current_version, edited, identifier, schema
from interlock.contracts.generate import DIALECT, MEASURES
from interlock.contracts.upcasters import UPCASTERS
from interlock.contracts.wire import EVENTS, NoSuchEvent, published
from interlock.domain import events
from interlock.domain.commands import AnyCommand
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Recipient
from interlock.domain.events import AnyEvent
from tests.contracts.published import flaws, properties
from tests.domain.worlds import EAST, OFFICE, ORDER, SHIRT, WEST, Stage, cancel, create
from tests.strategies import stories

QUANTITIES = {
    "quantity",
    "amount",
    "delta",
    "counted",
    "total",
    "tax",
    "shipping",
    "unit_price",
    "authorized",
    "captured",
}
EVERY = sorted(catalog())
STOCK = {(SHIRT, EAST): 4, (SHIRT, WEST): 3}


def stored(event: AnyEvent) -> tuple[str, bytes]:
    """An event's name, and its JSON as it stands in the table."""
    return event.type, events.encode(event)


ORDER_CREATED = stored(Stage(STOCK).send(create((SHIRT, 2))).events[0])


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_version_that_was_released_is_a_schema_by_its_own_name(kind: Any, name: str) -> None:
    for number in catalog()[kind, name].versions:
        whole = dict(schema(kind, name, number))
        jsonschema_rs.meta.validate(whole)

        assert (whole["$schema"], whole["$id"], whole["title"]) == (DIALECT, identifier(kind, name, number), name)


def test_no_released_file_was_edited_and_none_stands_beside_the_catalog() -> None:
    files = {str(path.relative_to(RELEASED)) for path in RELEASED.rglob("*.json")}

    assert list(edited(RELEASED, catalog())) == []
    assert files == {f"{kind}/{name}/{n}.json" for (kind, name), of in catalog().items() for n in of.versions}


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_property_says_what_it_means_and_what_it_measures(kind: Any, name: str) -> None:
    whole = dict(schema(kind, name, current_version(kind, name)))
    for path, said in properties(whole):
        field = path.rpartition("/")[2]

        assert len(said["description"]) > 5, path
        assert said["x-presence"] in ("required", "optional", "derived"), path
        assert ("x-measures" in said) == (field in QUANTITIES), path
        assert said.get("x-measures", "money") in MEASURES, path


def test_what_is_required_or_optional_is_said_twice_alike() -> None:
    for kind, name in EVERY:
        whole = dict(schema(kind, name, current_version(kind, name)))
        for part in (whole, *whole.get("$defs", {}).values()):
            said = {field for field, of in part["properties"].items() if of["x-presence"] == "required"}
            optional = {field for field, of in part["properties"].items() if of["x-presence"] == "optional"}

            assert said <= set(part.get("required", ())) <= set(part["properties"]) - optional, (kind, name)


@pytest.mark.parametrize("name", EVENTS)
def test_the_fields_of_an_event_are_those_of_its_contract(name: str) -> None:
    assert set(schema("events", name, current_version("events", name))["properties"]) == {
        "type",
        *EVENTS[name].__struct_fields__,
    }


def test_every_event_has_a_contract_and_every_contract_an_event() -> None:
    assert {name for kind, name in catalog() if kind == "events"} == set(EVENTS)


def test_the_order_placed_event_carries_what_readers_need() -> None:
    name, body = ORDER_CREATED
    data = msgspec.json.decode(published(name, body))
    whole = schema("events", "order.created", 1)

    assert set(whole["required"]) >= {
        *("order_id", "system", "channel", "currency", "lines", "total", "tax", "shipping", "fulfillment"),
        *("placed_at", "created_at"),
    }
    assert set(whole["properties"]) >= {"destination", "pickup_node", "recipient", "preferred_node", "promotions"}
    assert "instructions" in whole["$defs"]["recipient"]["properties"]
    assert (data["tax"], data["shipping"], data["fulfillment"]) == ("0", "0", "delivery")
    assert "tax" not in msgspec.json.decode(body)  # what is its default is not stored, and published all the same
    assert flaws("events", name, data) == []


def test_delivery_instructions_promotions_and_the_preferred_warehouse_go_from_the_order_to_its_event() -> None:
    wishes: Any = {"preferred_node": WEST, "promotions": ("SPRING",), "recipient": Recipient(instructions="ring twice")}
    decision = Stage(STOCK).send(create((SHIRT, 2), **wishes))
    data = msgspec.json.decode(published(*stored(decision.events[0])))

    assert (data["preferred_node"], data["promotions"]) == (WEST, ["SPRING"])
    assert data["recipient"] == {"instructions": "ring twice"}
    assert flaws("events", "order.created", data) == []
    release = next(each for each in decision.notices if each.message == "shipment.release")
    assert msgspec.json.decode(release.body)["recipient"] == {"instructions": "ring twice"}


@settings(max_examples=150, deadline=None)
@given(story=stories())
def test_whatever_happens_what_goes_out_is_as_its_contract_says_in_json_and_in_avro(story: list[AnyCommand]) -> None:
    stage = Stage(STOCK)
    for command in story:
        decision = stage.send(command, OFFICE)
        for event in decision.events:
            data = published(*stored(event))

            assert flaws("events", event.type, msgspec.json.decode(data)) == []
            assert numbers(decode(event.type, encode(event.type, data))) == numbers(data)
        for notice in decision.notices:
            assert flaws("messages", notice.message, msgspec.json.decode(notice.body)) == []


def numbers(data: bytes) -> object:
    """JSON in which amounts are numbers: 10.00 and 10 are one amount, and Avro knows no difference."""

    def turned(value: Any) -> object:
        if isinstance(value, dict):
            return {key: turned(each) for key, each in value.items()}
        if isinstance(value, list):
            return [turned(each) for each in value]
        return Decimal(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) else value

    return turned(msgspec.json.decode(data))


def test_a_cancellation_to_a_node_is_as_its_contract_says() -> None:
    stage = Stage(STOCK)
    stage.send(create((SHIRT, 2), order_id=ORDER))
    notices = stage.send(cancel()).notices

    assert [notice.message for notice in notices] == ["shipment.cancel"]
    body = msgspec.json.decode(notices[0].body)
    assert flaws("messages", "shipment.cancel", body) == []
    assert set(schema("messages", "shipment.cancel", 1)["properties"]) == set(body)


def test_an_event_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(NoSuchEvent, match="'order.eaten' is no event; there are order.created, "):
        published("order.eaten", b"{}")


def test_every_version_that_was_released_can_be_lifted_to_the_current_one() -> None:
    kinds: Any = {"commands": "command", "events": "event", "messages": "message"}
    for (kind, name), contract in catalog().items():
        assert UPCASTERS.current(kinds[kind], name) == contract.current, (kind, name)


# Avro


def test_amounts_and_quantities_are_decimals_and_times_are_times_in_avro() -> None:
    fields = {field["name"]: field["type"] for field in avro_schema("order.created")["fields"]}
    line = {field["name"]: field["type"] for field in fields["lines"]["items"]["fields"]}

    assert fields["tax"] == {"type": "bytes", "logicalType": "decimal", "precision": 24, "scale": 4}
    assert line["quantity"] == {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}
    assert fields["placed_at"] == {"type": "long", "logicalType": "timestamp-micros"}
    assert fields["fulfillment"]["symbols"] == ["bopis", "carry_out", "delivery", "ship_to_store"]
    assert fields["pickup_node"] == ["null", "string"]


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_a_schema_in_avro_whose_names_are_allowed(name: str) -> None:
    made = avro_schema(name)

    assert re.fullmatch("[a-z_]+", made["name"])
    assert [field["name"] for field in made["fields"]] == list(schema("events", name, 1)["properties"])


def test_a_single_object_says_by_which_schema_it_was_written() -> None:
    body = single_object(*ORDER_CREATED[:1], published(*ORDER_CREATED))

    assert body[:2] == b"\xc3\x01"
    assert decode("order.created", body[10:]) == decode(
        "order.created", encode("order.created", published(*ORDER_CREATED))
    )


@pytest.mark.parametrize(
    "body", [b"", b"\xff" * 40, b"\x1a", b"\x18units.packed\x02\x04\x02\x06\x1e\x84\x80\x04\x06\x16\xe3`\x00x"]
)
def test_bytes_that_are_no_event_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidValue, match="units.packed in Avro"):
        decode("units.packed", body)


@pytest.mark.parametrize(
    "data",
    [b'{"type":"units.packed"}', b'{"type":"units.packed","assignment_no":1,"units":[],"odd":1}', b"[]", b'"x"', b"{"],
)
def test_data_that_is_no_event_is_not_written_in_avro(data: bytes) -> None:
    with pytest.raises(InvalidValue, match="data as the contract of units.packed has it"):
        encode("units.packed", data)
