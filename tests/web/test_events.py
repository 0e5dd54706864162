"""The feed of events over HTTP: pages and tokens, filters, waiting, and both forms of the answer."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from interlock.storage.events_feed import BEGINNING
from tests.web.conftest import Client, client, order

BATCH = "application/cloudevents-batch+json"


@pytest.fixture
def told(webshop: Client, wms: Client) -> list[str]:
    """Some history; gives the ids of its orders."""
    wms.post("/v1/actions/stock.count", json={"sku": "SKU-1", "node": "DC-EAST", "counted": 100, "ref": "1"})
    for number in range(5):
        assert webshop.post("/v1/orders", json=order(str(number))).status_code == 201
    return [f"webshop:{number}" for number in range(5)]


def read(http: Client, **asked: object) -> dict[str, object]:
    answer = http.get("/v1/events", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_all_of_history_is_read_page_by_page(wms: Client, told: list[str]) -> None:
    whole = read(wms)
    events, after, more = [], "beginning", True
    while more:
        page = read(wms, after=after, limit=3)
        assert len(page["events"]) <= 3
        events += page["events"]
        after, more = page["next"], page["more"]

    assert {event["subject"] for event in whole["events"]} == set(told)
    assert (whole["more"], read(wms, after=whole["next"])["events"]) == (False, [])
    assert sorted(event["id"] for event in events) == sorted(event["id"] for event in whole["events"])
    assert events[0]["specversion"] == "1.0"
    assert events[0]["source"] == "/interlock/test"


def test_as_a_batch_it_is_the_array_alone_and_the_header_leads_on(wms: Client, told: list[str]) -> None:
    answer = wms.get("/v1/events", params={"limit": 4, "type": "order.created"}, headers={"Accept": BATCH})

    assert answer.headers["content-type"] == BATCH
    assert len(answer.json()) == 4
    assert answer.headers["interlock-more"] == "true"
    rest = wms.get(answer.links["next"]["url"], headers={"Accept": BATCH})
    assert sorted(each["subject"] for each in [*answer.json(), *rest.json()]) == told
    assert rest.headers["interlock-more"] == "false"


def test_filters_and_one_order(wms: Client, told: list[str]) -> None:
    created = read(wms, type="order.*")["events"]
    one = read(wms, order=told[2])["events"]
    several = wms.get("/v1/events?type=order.created,units.allocated&channel=web&system=webshop").json()["events"]

    assert sorted(event["subject"] for event in created) == told
    assert [event["sequence"] for event in one] == [str(n) for n in range(1, len(one) + 1)]
    assert {event["type"] for event in several} == {"interlock.order.created.v1", "interlock.units.allocated.v1"}
    assert read(wms, channel="outlet")["events"] == []
    parts = [read(wms, parts=each)["events"] for each in ("0-31", "32-62,63")]
    assert sum(map(len, parts)) == len(read(wms)["events"])


def test_who_waits_is_answered_when_something_happens(webshop: Client, wms: Client, told: list[str]) -> None:
    now = read(wms, after="now")
    assert now["events"] == []
    later = threading.Timer(0.5, lambda: webshop.post("/v1/orders", json=order("99")))
    later.start()

    began = time.monotonic()
    found = read(wms, after=now["next"], wait=10)
    took_s = time.monotonic() - began
    later.join()

    assert {event["subject"] for event in found["events"]} == {"webshop:99"}
    assert 0.3 < took_s < 5


def test_who_waits_in_vain_gets_an_empty_page_in_time(wms: Client, told: list[str]) -> None:
    began = time.monotonic()
    found = read(wms, after="now", wait="0.6")

    assert found["events"] == []
    assert 0.5 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("after=nonsense", "the parameter after is 'nonsense', expected a token of Interlock"),
        ("after=now&after=now", "expected it once"),
        ("limit=0", "a whole number from 1 to 5000"),
        ("type=order.cretaed", "a name or a pattern of order.created"),
        ("channel=webb", "one of web, outlet, stores"),
        ("system=nobody", "one of webshop, wms"),
        ("parts=64", "numbers from 0 to 63"),
        ("parts=9-3", "ranges that begin with the lower number"),
        ("wait=21", "seconds from 0 to 20"),
        ("wait=nan", "seconds from 0 to 20"),
        ("from=1", "one of after, channel, limit, order, parts, system, type, wait"),
    ],
)
def test_what_cannot_be_answered_is_a_clear_problem(wms: Client, query: str, said: str) -> None:
    answer = wms.get(f"/v1/events?{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert said in answer.json()["detail"]


def test_a_token_of_another_database_is_a_clear_problem(wms: Client) -> None:
    answer = wms.get("/v1/events", params={"after": BEGINNING.moved({1: 5}).token()})

    assert answer.status_code == 400
    assert "ahead of its history" in answer.json()["detail"]


def test_only_a_system_of_the_estate_reads(base_url: str) -> None:
    assert httpx.get(f"{base_url}/v1/events", trust_env=False).status_code == 401
    with client(base_url, "watcher") as watcher:
        assert watcher.get("/v1/events").status_code == 200
