"""The contracts over HTTP, and what is said and counted when something deprecated is used."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from interlock.cli import app
from interlock.contracts import catalog as catalogs
from interlock.contracts.asyncapi import asyncapi
from interlock.contracts.catalog import RELEASED, Catalog, Deprecation, Version
from interlock.contracts.upcasters import Upcaster, Upcasters
from interlock.contracts.use import Contracts, Use
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.engine.door import Door
from interlock.storage import contract_use
from interlock.storage.contract_use import Count, Used
from interlock.storage.database import Database
from tests.contracts.tiny_estate import SMALL
from tests.web.conftest import Client, Serve, client, order

CREATE = ("commands", "order.create")
PAST = Deprecation(since=date(2026, 1, 1), sunset=date(2026, 3, 1), instead="number")
AHEAD = Deprecation(since=date(2026, 1, 1), sunset=date(2199, 6, 30))


def deprecating(fields: dict[str, Deprecation], version: Deprecation | None = None) -> Catalog:
    """The catalog in which fields of order.create are deprecated, or its version is."""
    known = dict(catalogs.catalog())
    contract = known[CREATE]  # type: ignore[index]
    versions = {1: msgspec.structs.replace(contract.versions[1], deprecated=version)}
    known[CREATE] = msgspec.structs.replace(contract, deprecated=fields, versions=versions)  # type: ignore[index]
    return known


@pytest.fixture
def fields() -> dict[str, Deprecation]:
    """The deprecated fields of order.create in a test."""
    return {"customer": AHEAD}


@pytest.fixture
def shop(
    fields: dict[str, Deprecation], serve_door: Serve, db: Database, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A web shop that speaks with an API for which fields are deprecated."""
    known = deprecating(fields)
    monkeypatch.setattr(catalogs, "catalog", lambda: known)
    with client(serve_door(Door(db, estate)), "webshop") as http:
        yield http


def used(db: Database) -> list[tuple[str, str, int, str, int]]:
    """What was counted, as soon as it is written."""
    rows = db.transaction(lambda tx: contract_use.read_many(tx, date(2020, 1, 1)))
    return [(row.system, row.contract, row.version, row.field, row.messages) for row in rows]


def until_counted(db: Database, messages: int) -> list[tuple[str, str, int, str, int]]:
    """The same, when so many messages were written; it takes about a second."""
    for _ in range(200):
        found = used(db)
        if sum(row[4] for row in found if not row[3]) >= messages:
            return found
        time.sleep(0.05)
    raise AssertionError(f"counted were only {used(db)}")


def test_contracts_are_listed_and_their_schemas_served_as_they_were_released_without_a_key(base_url: str) -> None:
    listed = httpx.get(f"{base_url}/v1/contracts", trust_env=False).json()["contracts"]
    one = next(each for each in listed if each["kind"] == "events" and each["name"] == "order.created")
    answer = httpx.get(f"{base_url}{one['schema']}", trust_env=False)

    assert len(listed) == len(catalogs.catalog())
    assert (one["version"], one["mode"], one["deprecated"]) == (1, "FORWARD_TRANSITIVE", [])
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.content == (RELEASED / "events" / "order.created" / "1.json").read_bytes()
    assert "Deprecation" not in answer.headers
    in_avro = httpx.get(f"{base_url}{one['schema']}?format=avro", trust_env=False)
    assert (in_avro.headers["content-type"], in_avro.json()["name"]) == (
        "application/vnd.apache.avro+json",
        "order_created",
    )


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/v1/contracts/events/order.eaten/1", 404, "there is no contract events/order.eaten"),
        ("/v1/contracts/event/order.created/1", 404, "the kinds are commands, events, messages"),
        ("/v1/contracts/events/order.created/2", 404, "has no version '2'; there are 1"),
        ("/v1/contracts/events/order.created/x", 404, "has no version 'x'; there are 1"),
        ("/v1/contracts/events/order.created/99999999999999999999", 404, "there are 1"),
        ("/v1/contracts/commands/order.create/1?format=avro", 400, "json-schema, or avro for events"),
        ("/v1/contracts/events/..%2f..%2fcatalog/1", 404, "there is n"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(base_url: str, address: str, status: int, words: str) -> None:
    answer = httpx.get(f"{base_url}{address}", trust_env=False)

    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


def test_asyncapi_is_served(base_url: str) -> None:
    answer = httpx.get(f"{base_url}/asyncapi.json", trust_env=False)

    assert answer.json() == msgspec.json.decode(msgspec.json.encode(asyncapi(catalogs.catalog())))


def test_who_uses_a_deprecated_field_is_told_and_counted(shop: Client, db: Database) -> None:
    plain = shop.post("/v1/orders", json=order("1"))
    dying = shop.post("/v1/orders", json=order("2", customer="C-1"))
    again = shop.post("/v1/orders", json=order("2", customer="C-1"))

    assert (plain.status_code, "Deprecation" in plain.headers, "Sunset" in plain.headers) == (201, False, False)
    assert (dying.status_code, dying.headers["Deprecation"]) == (201, "@1767225600")
    assert dying.headers["Sunset"] == "Sun, 30 Jun 2199 00:00:00 GMT"
    assert (again.status_code, again.headers["Deprecation"]) == (200, "@1767225600")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert until_counted(db, 3) == [
        ("webshop", "commands/order.create", 1, "", 3),
        ("webshop", "commands/order.create", 1, "customer", 2),
    ]


@pytest.mark.parametrize("fields", [{"lines/uom": PAST, "customer": AHEAD}])
def test_past_its_sunset_a_field_is_taken_where_the_estate_does_not_refuse(shop: Client) -> None:
    line = {"sku": "SKU-1", "quantity": 1, "uom": "each"}
    answer = shop.post("/v1/orders", json=order("1", lines=[line], customer="C"))

    assert answer.status_code == 201
    assert answer.headers["Sunset"] == "Sun, 01 Mar 2026 00:00:00 GMT"  # the earliest


@pytest.mark.parametrize("fields", [{"customer": PAST}])
def test_past_its_sunset_a_field_is_refused_where_the_estate_says_so_and_the_message_is_kept(
    fields: dict[str, Deprecation], serve_door: Serve, db: Database, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_id = SystemId("webshop")
    estate.systems[shop_id] = msgspec.structs.replace(estate.systems[shop_id], deprecated="refuse")
    known = deprecating(fields)
    monkeypatch.setattr(catalogs, "catalog", lambda: known)
    with client(serve_door(Door(db, estate)), "webshop") as shop:
        refused = shop.post("/v1/orders", json=order("1", customer="C-1"))
        taken = shop.post("/v1/orders", json=order("1"))
        kept = shop.get(f"/v1/messages/{refused.json()['message_id']}").json()

    assert (refused.status_code, refused.json()["outcome"], taken.status_code) == (400, "quarantined", 201)
    assert refused.json()["detail"] == (
        "customer of commands/order.create was deprecated on 2026-01-01, and its sunset was 2026-03-01: use number"
    )
    assert refused.headers["Deprecation"] == "@1767225600"
    assert (kept["outcome"], kept["reason"].partition(":")[0]) == ("quarantined", "contract_over")


def test_a_version_that_is_deprecated_is_told_of_at_every_message(
    serve_door: Serve, db: Database, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = deprecating({}, AHEAD)
    monkeypatch.setattr(catalogs, "catalog", lambda: known)
    monkeypatch.setattr("interlock.web.api.catalog", lambda: known)
    with client(serve_door(Door(db, estate)), "webshop") as shop:
        answer = shop.post("/v1/orders", json=order("1"), headers={"Contract-Version": "1"})
        schema = shop.get("/v1/contracts/commands/order.create/1")

    assert (answer.status_code, answer.headers["Deprecation"]) == (201, "@1767225600")
    assert schema.headers["Sunset"] == "Sun, 30 Jun 2199 00:00:00 GMT"


@pytest.mark.parametrize("version", ["2", "0", "-1", "one", "1.0", "٣" * 30, "9" * 5000, ""])
def test_a_version_that_there_is_not_is_refused_before_anything_is_kept(webshop: Client, version: str) -> None:
    answer = webshop.post("/v1/orders", json=order(), headers={"Contract-Version": version.encode()})

    assert (answer.status_code, answer.json()["reason"]) == (400, "bad_request")
    assert "expected a version of order.create: 1" in answer.json()["detail"]


def test_lines_of_several_actions_speak_the_current_versions(webshop: Client) -> None:
    body = json.dumps({"action": "order.create", **order()})
    headers = {"Content-Type": "application/x-ndjson"}

    assert webshop.post("/v1/bulk", content=body, headers=headers).json()["status"] == 201
    refused = webshop.post("/v1/bulk", content=body, headers={**headers, "Contract-Version": "1"})
    assert (refused.status_code, "none here" in refused.json()["detail"]) == (400, True)


def test_an_older_version_is_lifted_to_the_current_one_before_it_is_read(
    serve_door: Serve, db: Database, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lift(body: Any) -> dict[str, Any]:
        return {key: each for key, each in body.items() if key != "shop_order"} | {"order_id": body["shop_order"]}

    known = dict(catalogs.catalog())
    contract = known[CREATE]  # type: ignore[index]
    second = Version(sha256=contract.versions[1].sha256, released=date(2026, 6, 1))
    known[CREATE] = msgspec.structs.replace(contract, current=2, versions={**contract.versions, 2: second})  # type: ignore[index]
    monkeypatch.setattr("interlock.web.intake.catalog", SimpleNamespace(catalog=lambda: known))
    monkeypatch.setattr(
        "interlock.connectors.receive.UPCASTERS", Upcasters([Upcaster("command", "order.create", 1, lift)])
    )
    old = {key: each for key, each in order().items() if key != "order_id"} | {"shop_order": "10001"}
    with client(serve_door(Door(db, estate)), "webshop") as shop:
        lifted = shop.post("/v1/orders", json=old, headers={"Contract-Version": "1"})
        now = shop.post("/v1/orders", json=order(), headers={"Contract-Version": "2"})
        unread = shop.post("/v1/orders", json=old)

    assert (lifted.status_code, now.status_code, unread.status_code) == (201, 200, 400)
    assert now.json()["replayed"] is True
    counted = [row for row in until_counted(db, 3) if not row[3]]
    assert counted == [("webshop", "commands/order.create", 1, "", 1), ("webshop", "commands/order.create", 2, "", 2)]


# Counting


def test_what_is_used_adds_up_by_day_and_is_forgotten_after_two_years(db: Database) -> None:
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    one = Used(SystemId("webshop"), "commands/order.create", 1, "", day.date())
    other = Used(SystemId("webshop"), "commands/order.create", 1, "customer", day.date())

    db.transaction(lambda tx: contract_use.add_many(tx, {one: Count(3, day), other: Count(1, day)}))
    db.transaction(lambda tx: contract_use.add_many(tx, {one: Count(4, day + timedelta(hours=1))}))

    assert [row[3:] for row in used(db)] == [("", 7), ("customer", 1)]
    part = contract_use.part_of("webshop")
    assert db.transaction(lambda tx: contract_use.forget_many(tx, part, day + timedelta(days=730))) == 0
    assert db.transaction(lambda tx: contract_use.forget_many(tx, part, day + timedelta(days=731))) == 2


def test_usage_shows_who_must_still_be_told(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(SMALL)
    at = datetime.now(UTC)
    seen = {
        Used(SystemId("webshop"), "commands/order.create", 1, "", at.date()): Count(5, at),
        Used(SystemId("webshop"), "commands/order.create", 1, "customer", at.date()): Count(2, at),
    }
    db.transaction(lambda tx: contract_use.add_many(tx, seen))
    options = ["--estate", str(path), "--database-url", db.dsn]

    shown = CliRunner().invoke(app, ["contracts", "usage", *options])
    told = CliRunner().invoke(app, ["contracts", "usage", "--deprecated", "--json", *options])

    assert [line.split()[:4] for line in shown.output.splitlines()[1:]] == [
        ["webshop", "commands/order.create", "1", "5"],
        ["webshop", "commands/order.create", "1", "customer"],
    ]
    assert [(row["field"], row["messages"]) for row in json.loads(told.output)] == [("customer", 2)]


def test_a_use_names_the_earliest_days_and_a_body_without_the_field_uses_nothing() -> None:
    known = Contracts(deprecating({"lines/uom": AHEAD, "recipient/phone": PAST}))

    def use(body: bytes) -> Use:
        found = known.use("commands", "order.create", None, body)
        assert found is not None
        return found

    assert use(b'{"lines":[{"sku":"a"},{"uom":"kg"}]}').deprecated == {"lines/uom": AHEAD}
    assert use(b'{"lines":[{"uom":null},{"uom":""}],"recipient":{}}').deprecated == {}
    assert use(b'{"recipient":{"phone":"1"}}').over(date(2026, 3, 1)) == [
        "recipient/phone of commands/order.create was deprecated on 2026-01-01, and its sunset was 2026-03-01: use number"
    ]
    assert use(b'{"recipient":{"phone":"1"}}').over(date(2026, 2, 28)) == []
    assert use(b"no json").deprecated == {}
    assert use(b"[" * 100_000).deprecated == {}
    assert known.use("commands", "order.eat", None, b"{}") is None
