"""Webhooks of any format, over a real socket: answered by what became of them, and refused like all calls."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import httpx
import msgspec
import pytest

from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable
from interlock.domain.estate import Estate, HmacSignature, Limits
from interlock.domain.links import Format, WebhookIn
from interlock.domain.values import SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.web.api import WebServer, create_app
from tests.conformance.carriers import KEY, MAPPING, estate_with
from tests.servers.process import free_port
from tests.web.conftest import wait_until_up

SECRET = "shop-secret"
BY_TOPIC = {
    "format": ["json"],
    "records": [
        {
            "when": {"@topic": ["adjust", "stock/adjust"]},
            "action": "stock.adjust",
            "fields": {"sku": "sku", "node": "=n1", "delta": "delta", "ref": "ref", "reason": "=received"},
        },
        {"when": {"@headers.x-kind": "ping"}, "skip": "a ping says nothing"},
    ],
}


def estate(**changes: Any) -> Estate:
    """The warehouse has three webhooks: by topic, JSON adjustments and CSV ones."""
    found = estate_with(WebhookIn(name="adjust", mapping="adjustments", format=Format(kind="json")))
    wms = msgspec.structs.replace(
        found.systems[SystemId("wms")],
        inbound=(
            WebhookIn(name="adjust", mapping="adjustments", format=Format(kind="json")),
            WebhookIn(name="topics", mapping="by_topic", format=Format(kind="json")),
            WebhookIn(name="sheet", mapping="sheet", format=Format(kind="csv")),
        ),
        **changes,
    )
    mappings = {"adjustments": MAPPING, "by_topic": BY_TOPIC, "sheet": {**MAPPING, "format": ["csv"]}}
    pos = msgspec.structs.replace(found.systems[SystemId("pos")], api_key_sha256=(sha256(b"till").hexdigest(),))
    return msgspec.structs.replace(found, systems={**found.systems, wms.id: wms, pos.id: pos}, mappings=mappings)


@contextmanager
def serving(db: Database, found: Estate, door: Any = None) -> Iterator[httpx.Client]:
    """The API with the webhooks, and a client with the warehouse's key."""
    port = free_port()
    server = WebServer(create_app(db, found, door or Door(db, found), environment={"SHOP": SECRET}), "127.0.0.1", port)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    wait_until_up(url)
    try:
        with httpx.Client(base_url=url, trust_env=False, headers={"X-API-Key": KEY}, timeout=30) as client:
            yield client
    finally:
        server.stop()
        thread.join(timeout=15)


@pytest.fixture
def client(db: Database) -> Iterator[httpx.Client]:
    with serving(db, estate()) as found:
        yield found


def adjustment(ref: str, **more: Any) -> dict[str, Any]:
    return {"ref": ref, "sku": "s1", "delta": 1, **more}


def kept(db: Database) -> list[tuple[Any, ...]]:
    sql = "select outcome, source_message_id, body from messages order by message_id"
    return db.transaction(lambda tx: tx.query(sql))


def test_each_record_is_answered_by_its_outcome(client: httpx.Client, db: Database) -> None:
    body = [adjustment("a"), adjustment("b", delta="many"), adjustment("c")]
    answer = client.post("/v1/in/wms/adjust", json=body, headers={"webhook-id": "w-1"})
    said = answer.json()

    assert answer.status_code == 200
    assert (said["records"], said["outcomes"]) == (3, {"processed": 2, "quarantined": 1})
    assert [each["outcome"] for each in said["results"]] == ["processed", "quarantined", "processed"]
    assert said["results"][1]["errors"][0]["value"] == '"many"'
    assert "delta" in said["results"][1]["errors"][0]["field"]
    assert [row[:2] for row in kept(db)] == [("processed", "w-1"), ("quarantined", "w-1"), ("processed", "w-1")]


def test_what_comes_again_is_answered_with_200_and_does_nothing(client: httpx.Client, db: Database) -> None:
    first = client.post("/v1/in/wms/adjust", json=adjustment("a"))
    again = client.post("/v1/in/wms/adjust", json=adjustment("a"))

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["results"][0]["outcome"] == "duplicate"
    assert again.json()["results"][0]["first"] == "processed"
    assert db.transaction(lambda tx: tx.query("select physical::int from positions")) == [(1,)]


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe\x00", b'{"ref": "x", "delta": {}}'])
def test_what_cannot_be_read_at_all_is_422_and_kept(client: httpx.Client, db: Database, body: bytes) -> None:
    answer = client.post("/v1/in/wms/adjust", content=body)
    said = answer.json()

    assert (answer.status_code, said["outcome"]) == (422, "quarantined")
    assert "it was kept" in said["detail"]
    assert [(row[0], row[2]) for row in kept(db)] == [("quarantined", body)]


def test_any_format_comes_in_by_a_webhook(client: httpx.Client) -> None:
    answer = client.post("/v1/in/wms/sheet", content=b"ref,sku,delta\nr1,s1,2\nr2,s1,x\nr3,s1,4\n")

    assert answer.json()["outcomes"] == {"processed": 2, "quarantined": 1}


def test_topic_and_headers_reach_the_mapping(client: httpx.Client) -> None:
    by_topic = client.post("/v1/in/wms/topics", json=adjustment("a"), headers={"X-Shopify-Topic": "stock/adjust"})
    by_header = client.post("/v1/in/wms/topics", json=adjustment("b"), headers={"X-Kind": "ping"})
    neither = client.post("/v1/in/wms/topics", json=adjustment("c"))

    assert by_topic.json()["outcomes"] == {"processed": 1}
    assert by_header.json()["skipped"] == 1
    assert [(each["outcome"], each["reason"]) for each in by_header.json()["results"]] == [
        ("skipped", "a ping says nothing")
    ]
    assert (neither.status_code, neither.json()["reason"]) == (422, "no_rule")


def test_an_unknown_link_names_the_known_ones(client: httpx.Client, db: Database) -> None:
    wrong, unclear = client.post("/v1/in/wms/nope", json={}), client.post("/v1/in/wms", json={})

    assert (wrong.status_code, unclear.status_code) == (404, 404)
    assert "/v1/in/wms/adjust, /v1/in/wms/topics, /v1/in/wms/sheet" in wrong.json()["detail"]
    assert "several webhooks: say which" in unclear.json()["detail"]
    assert kept(db) == []


def test_only_the_system_itself_posts_to_its_address(client: httpx.Client, db: Database) -> None:
    none = client.post("/v1/in/wms/adjust", json=adjustment("a"), headers={"X-API-Key": "wrong"})
    other = client.post("/v1/in/wms/adjust", json=adjustment("a"), headers={"X-API-Key": "till"})
    unknown = client.post("/v1/in/nobody/adjust", json=adjustment("a"))

    assert (none.status_code, other.status_code, unknown.status_code) == (401, 403, 403)
    assert kept(db) == []


def test_a_body_beyond_the_limit_and_a_pace_beyond_it_are_refused(db: Database) -> None:
    found = estate(limits=Limits(body_bytes_max=100, inbound_per_s=0.01, inbound_burst=2))
    with serving(db, found) as client:
        large = client.post("/v1/in/wms/adjust", content=b" " * 200)
        client.post("/v1/in/wms/adjust", json=adjustment("a"))
        fast = client.post("/v1/in/wms/adjust", json=adjustment("b"))

    assert (large.status_code, fast.status_code) == (413, 429)
    assert len(kept(db)) == 1


SIGNATURE = HmacSignature(header="X-Shop-Hmac", signed="{body}", encoding="base64", secrets_env=("SHOP",))


def signature(body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, sha256).digest()
    return {"X-Shop-Hmac": base64.b64encode(digest).decode()}


def test_a_signed_webhook_needs_no_key_and_an_unsigned_one_is_refused(db: Database) -> None:
    body = json.dumps(adjustment("a")).encode()
    with serving(db, estate(signature=SIGNATURE)) as client:
        del client.headers["X-API-Key"]
        right = client.post("/v1/in/wms/adjust", content=body, headers=signature(body))
        again = client.post("/v1/in/wms/adjust", content=body, headers=signature(body))
        wrong = client.post("/v1/in/wms/adjust", content=body, headers=signature(b"something else"))
        without = client.post("/v1/in/wms/adjust", content=body)

    assert (right.status_code, again.status_code, wrong.status_code, without.status_code) == (200, 200, 401, 401)
    assert again.json()["results"][0]["outcome"] == "duplicate"
    assert wrong.json()["reason"] == "bad_signature"


def test_what_was_signed_for_one_address_is_refused_at_another(db: Database) -> None:
    body = json.dumps(adjustment("a")).encode()
    with serving(db, estate(signature=SIGNATURE)) as client:
        del client.headers["X-API-Key"]
        first = client.post("/v1/in/wms/adjust", content=body, headers=signature(body))
        moved = client.post("/v1/in/wms/sheet", content=body, headers=signature(body))

    assert (first.status_code, moved.status_code) == (200, 409)
    assert moved.json()["reason"] == "idempotency_key_reused"
    assert [row[0] for row in kept(db)] == ["processed", "quarantined"]


class Away:
    """A door behind which there is no database."""

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        raise DatabaseUnavailable("away")

    accept = process

    def open_keys(self, requests: Sequence[Any]) -> list[bool]:
        raise DatabaseUnavailable("away")


def test_while_the_database_is_away_the_sender_is_told_to_come_again(db: Database) -> None:
    with serving(db, estate(), Away()) as client:
        answer = client.post("/v1/in/wms/adjust", json=adjustment("a"))

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["reason"] == "database_unavailable"


def test_many_at_the_same_time_are_taken_together(db: Database) -> None:
    found = estate()
    real = Door(db, found)
    sizes: list[int] = []

    class Counting:
        accept, open_keys = real.accept, real.open_keys

        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            sizes.append(len(arrivals))
            return real.process(arrivals)

    with serving(db, found, Counting()) as client, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: client.post("/v1/in/wms/adjust", json=adjustment(f"r{n}")), range(200)))

    assert {answer.status_code for answer in answers} == {200}
    assert sum(sizes) == 200
    assert max(sizes) > 1
    assert db.transaction(lambda tx: tx.query("select physical::int from positions")) == [(200,)]
