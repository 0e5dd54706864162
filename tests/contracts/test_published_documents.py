"""OpenAPI and AsyncAPI are made of the released contracts, and hang together."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from ruamel.yaml import YAML

from interlock.contracts.asyncapi import asyncapi
from interlock.contracts.catalog import Catalog, Deprecation, catalog
from interlock.contracts.documents import components, hoisted
from interlock.domain.commands import COMMANDS
from interlock.web.openapi import openapi
from tests.contracts.published import ALWAYS, BODIES, flaws
from tests.contracts.test_published_cloudevents import ENVELOPE_OF, Row, structured

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpora" / "09-conformance" / "asyncapi"
DOCUMENT: dict[str, Any] = msgspec.to_builtins(asyncapi(catalog()))


def references(value: Any) -> set[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        here = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return here.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def resolved(document: Any, reference: str) -> Any:
    """What a reference within a document leads to; raises KeyError."""
    found = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def asyncapi_flaws(document: dict[str, Any]) -> list[str]:
    """What AsyncAPI 3 asks of the structure of a document, and this one does not have."""
    found = [f"{name} is missing" for name in ("asyncapi", "info") if name not in document]
    found += [f"info.{name} is missing" for name in ("title", "version") if name not in document.get("info", {})]
    if not re.fullmatch(r"3\.\d+\.\d+", document.get("asyncapi", "")):
        found.append(f"asyncapi is {document.get('asyncapi')!r}")
    for reference in sorted(references(document)):
        if reference.startswith("#/"):
            try:
                resolved(document, reference)
            except (KeyError, TypeError):
                found.append(f"{reference} leads nowhere")
    for name, operation in document.get("operations", {}).items():
        if "$ref" in operation:
            continue
        if operation.get("action") not in ("send", "receive"):
            found.append(f"{name}: action is {operation.get('action')!r}")
        channel = operation.get("channel", {}).get("$ref", "")
        if not channel.startswith("#/channels/"):
            found.append(f"{name}: its channel is {channel!r}")
        for message in operation.get("messages", []):
            if not message["$ref"].startswith(f"{channel}/messages/"):
                found.append(f"{name}: {message['$ref']} is no message of its channel")
    for name in document.get("components", {}).get("schemas", {}):
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            found.append(f"{name} is no name of a component")
    return found


def test_asyncapi_has_a_channel_and_an_operation_for_all_that_is_sent_and_every_reference_resolves() -> None:
    sent = {f"{kind}.{name}" for kind, name in catalog() if kind != "commands"}

    assert asyncapi_flaws(DOCUMENT) == []
    assert set(DOCUMENT["channels"]) == sent
    assert set(DOCUMENT["operations"]) == {f"send.{each}" for each in sent}
    assert set(DOCUMENT["components"]["messages"]) == sent
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send"}
    assert "servers" not in DOCUMENT


def test_the_payload_of_asyncapi_takes_an_event_as_it_goes_out() -> None:
    payload = DOCUMENT["components"]["messages"]["events.payment.captured"]["payload"]
    whole = {**payload, "components": DOCUMENT["components"]}
    event = msgspec.json.decode(structured(Row(), ENVELOPE_OF))

    assert jsonschema_rs.is_valid(whole, event)
    assert not jsonschema_rs.is_valid(whole, {**event, "type": "interlock.order.closed.v1"})
    assert not jsonschema_rs.is_valid(whole, {**event, "data": {**event["data"], "amount": 19.98}})
    assert not jsonschema_rs.is_valid(whole, {key: value for key, value in event.items() if key != "sequence"})


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpora of real inputs are not beside this checkout")
def test_the_rules_of_asyncapi_take_the_examples_of_others_and_ours_has_no_part_that_they_do_not_know() -> None:
    examples = {path.name: YAML(typ="safe").load(path.read_text()) for path in sorted(CORPUS.glob("*.y*ml"))}
    whole = {name: each for name, each in examples.items() if isinstance(each, dict) and "asyncapi" in each}

    assert len(whole) >= 10
    assert {name: found for name, each in whole.items() if (found := asyncapi_flaws(each))} == {}
    known: set[str] = set().union(*(set(each) for each in whole.values()))
    assert set(DOCUMENT) <= known
    for part in ("channels", "operations"):
        theirs: set[str] = {"bindings"}
        for each in whole.values():
            theirs |= {key for one in each.get(part, {}).values() for key in one}
        assert {key for one in DOCUMENT[part].values() for key in one} <= theirs, part


def test_the_rules_of_asyncapi_bite() -> None:
    broken = {
        **DOCUMENT,
        "asyncapi": "2.6.0",
        "info": {"title": "x"},
        "operations": {
            "a": {"action": "publish", "channel": {"$ref": "#/channels/gone"}, "messages": [{"$ref": "#/x"}]}
        },
    }

    assert asyncapi_flaws(broken) == [
        "info.version is missing",
        "asyncapi is '2.6.0'",
        "#/channels/gone leads nowhere",
        "#/x leads nowhere",
        "a: action is 'publish'",
        "a: #/x is no message of its channel",
    ]


# OpenAPI


def test_every_schema_of_openapi_is_one_and_every_reference_resolves() -> None:
    document: dict[str, Any] = msgspec.to_builtins(openapi())

    for reference in references(document):
        resolved(document, reference)
    for name, each in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(each), name


@pytest.mark.parametrize("action", COMMANDS)
def test_openapi_takes_the_bodies_that_the_contracts_take(action: str) -> None:
    document: dict[str, Any] = msgspec.to_builtins(openapi())
    body = BODIES[action] | (ALWAYS if action != "shipment.confirm" else {})
    whole = {"$ref": f"#/components/schemas/{action}", "components": document["components"]}

    assert document["openapi"].startswith("3.1.")
    assert jsonschema_rs.is_valid(whole, body)
    assert flaws("commands", action, body) == []
    assert not jsonschema_rs.is_valid(whole, {**body, "odd": 1})


# Deprecations


def test_deprecated_fields_are_marked_in_documents_and_not_in_the_released_file() -> None:
    dying = Deprecation(since=date(2027, 1, 1), sunset=date(2027, 6, 30), instead="number")
    known: Catalog = {
        key: type(of)(
            mode=of.mode, current=of.current, versions=of.versions, deprecated={"customer": dying, "lines/uom": dying}
        )
        for key, of in catalog().items()
        if key == ("commands", "order.create")
    }

    made = components(known, "commands")

    assert made["order.create"]["properties"]["customer"]["deprecated"] is True
    assert made["order.create"]["properties"]["customer"]["description"].endswith("Sunset: 2027-06-30.")
    assert made["order.create.ordered_line"]["properties"]["uom"]["deprecated"] is True
    assert "deprecated" not in made["order.create"]["properties"]["number"]
    assert "deprecated" not in components(catalog(), "commands")["order.create"]["properties"]["customer"]


def test_the_parts_of_a_schema_are_components_of_their_own() -> None:
    whole = {
        "$schema": "x",
        "$id": "y",
        "properties": {"a": {"items": {"$ref": "#/$defs/b"}}},
        "$defs": {"b": {"properties": {"c": {"anyOf": [{"$ref": "#/$defs/b"}]}}}},
    }

    assert hoisted("n", whole) == {
        "n": {"properties": {"a": {"items": {"$ref": "#/components/schemas/n.b"}}}},
        "n.b": {"properties": {"c": {"anyOf": [{"$ref": "#/components/schemas/n.b"}]}}},
    }
