"""What a system may send: how much, how deep, how many lines, how fast; and what it is told beyond that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.receive import depth_of
from interlock.domain.estate import Estate, Limits
from interlock.domain.values import SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.web.pace import Pace
from interlock.web.problems import ProblemRaised
from tests.web.conftest import Client, Serve, client, order, small_estate
from tests.web.signing import ENVIRONMENT, signed_estate, webhook

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def hooks(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client without any API key, of an API whose systems sign."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    estate = signed_estate()
    serve = Serve(db, estate)
    try:
        with httpx.Client(base_url=serve(Door(db, estate)), timeout=30, trust_env=False) as http:
            yield http
    finally:
        serve.stop()
        serve.join()


# How deep


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 900_000,
        b'{"a":' * 150_000,
        b"[{" * 200_000 + b"}]" * 200_000,
        b'{"lines": ' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"order_id": "1", "lines": [' + b"{" * 40 + b'"a": 1' + b"}" * 40 + b"]}",
    ],
)
def test_a_bomb_of_brackets_is_refused_at_once_and_kept_for_a_look(webshop: Client, db: Database, bomb: bytes) -> None:
    started = time.monotonic()

    answer = webshop.post("/v1/orders", content=bomb, headers=JSON)

    assert time.monotonic() - started < 10
    assert (answer.status_code, answer.json()["reason"]) == (400, "unreadable")
    (error,) = answer.json()["errors"]
    assert error["value"].startswith("nested ")
    assert error["expected"] == "at most 32 levels (limits.depth_max of webshop in the estate)"
    assert db.transaction(lambda tx: tx.query("select outcome, length(body) from messages")) == [
        ("quarantined", len(bomb))
    ]


def test_the_depth_that_is_told_is_the_one_that_was_sent(webshop: Client) -> None:
    answer = webshop.post("/v1/orders", content=b'{"a": ' + b"[" * 49 + b"]" * 49 + b"}", headers=JSON)

    assert answer.json()["errors"][0]["value"] == "nested 50 levels deep"


def test_brackets_inside_of_texts_are_no_levels(webshop: Client) -> None:
    body = order("77", customer='[[[[{{{{ \\"[[ ' * 30 + "\\")

    answer = webshop.post("/v1/orders", json=body)

    assert answer.status_code == 201, answer.text


def test_many_lines_beside_each_other_are_not_deep(webshop: Client) -> None:
    lines = [{"sku": f"SKU-{n}", "quantity": 1} for n in range(500)]

    assert webshop.post("/v1/orders", json=order("78", lines=lines)).status_code == 201


def test_a_deep_line_of_many_spoils_no_other(webshop: Client) -> None:
    good = [json.dumps({"action": "order.create", **order(str(n))}) for n in (1, 2)]
    body = "\n".join([good[0], "[" * 100_000, good[1]])

    answer = webshop.post("/v1/bulk", content=body, headers={"Content-Type": "application/x-ndjson"})

    assert [json.loads(line)["status"] for line in answer.text.splitlines()] == [201, 400, 201]


@given(
    st.recursive(
        st.none() | st.text('[]{}"\\ab', max_size=6),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), x, max_size=3),
    )
)
def test_the_count_along_the_brackets_is_the_depth_of_the_value(value: object) -> None:
    def depth(each: object) -> int:
        inside = each.values() if isinstance(each, dict) else each if isinstance(each, list) else None
        return 0 if inside is None else 1 + max(map(depth, inside), default=0)

    assert depth_of(json.dumps(value).encode()) == depth(value)


@given(st.binary(max_size=60) | st.text('[]{}"\\', max_size=60).map(str.encode))
def test_the_count_takes_any_bytes(body: bytes) -> None:
    assert 0 <= depth_of(body) <= len(body)


# How many, how long


def test_the_line_that_is_one_too_many_is_named_and_the_good_ones_before_it_stay_done(
    base_url: str, db: Database
) -> None:
    body = "\n\n".join(json.dumps({"action": "order.create", **order(str(n), channel="outlet")}) for n in range(1, 6))
    with client(base_url, "small") as small:
        answer = small.post("/v1/bulk", content=body, headers={"Content-Type": "application/x-ndjson"})

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["line"] for line in lines] == [1, 3, 5, 7]
    assert (lines[-1]["status"], lines[-1]["reason"]) == (413, "too_large")
    assert lines[-1]["detail"].startswith(
        "line 7 is one too many, small may send 3 lines at a time (limits.rows_max in the estate)"
    )
    assert [line["status"] for line in lines[:-1]] == [201, 201, 201]
    assert db.transaction(lambda tx: tx.query("select count(*) from orders"))[0][0] == 3


def test_a_line_that_is_too_long_is_named_with_its_limit(base_url: str) -> None:
    body = json.dumps({"action": "order.create", **order("1", channel="outlet")}) + "\n" + "x" * 2_001
    with client(base_url, "small") as small:
        answer = small.post("/v1/bulk", content=body, headers={"Content-Type": "application/x-ndjson"})

    last = json.loads(answer.text.splitlines()[-1])
    assert (last["line"], last["status"]) == (2, 413)
    assert last["detail"].startswith("line 2 is too long, small may send 2000 bytes a line (limits.body_bytes_max")


def test_a_body_that_is_too_large_is_told_with_its_limit(base_url: str) -> None:
    with client(base_url, "small") as small:
        answer = small.post("/v1/orders", content=b" " * 2_001, headers=JSON)

    assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    assert (
        answer.json()["detail"] == "the body has 2001 bytes, small may send 2000 (limits.body_bytes_max in the estate)"
    )


# How fast


def test_a_system_beyond_its_pace_is_told_when_to_come_again_and_nothing_is_read(
    hooks: httpx.Client, db: Database
) -> None:
    answers = []
    for number in range(4):
        body = json.dumps({"sku": "SKU-1", "node": "DC-EAST", "ref": str(number), "delta": 1}).encode()
        answers.append(
            hooks.post("/v1/hooks/slow/stock.adjust", content=body, headers=webhook(body, message_id=str(number)))
        )

    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    told = answers[2]
    assert told.headers["content-type"] == "application/problem+json"
    assert 5 <= int(told.headers["retry-after"]) <= 10
    assert (told.json()["reason"], told.json()["status"]) == ("too_many_requests", 429)
    assert "slow may send 0.1 requests a second, 2 at once (limits.inbound_per_s" in told.json()["detail"]
    assert db.transaction(lambda tx: tx.query("select count(*) from messages"))[0][0] == 2


def test_forged_requests_do_not_use_up_the_pace_of_the_system(hooks: httpx.Client) -> None:
    body = b'{"sku": "SKU-1", "node": "DC-EAST", "delta": 1}'
    forged = [
        hooks.post("/v1/hooks/slow/stock.adjust", content=body, headers=webhook(body, secret=b"x")).status_code
        for _ in range(10)
    ]

    assert forged == [401] * 10
    assert hooks.post("/v1/hooks/slow/stock.adjust", content=body, headers=webhook(body)).status_code == 200


def test_reads_count_as_well_and_other_systems_are_left_alone(db: Database) -> None:
    estate = paced(Limits(inbound_per_s=0.01, inbound_burst=2))
    serve = Serve(db, estate)
    try:
        url = serve(Door(db, estate))
        with client(url, "watcher") as watcher, client(url, "webshop") as webshop:
            assert [watcher.get("/v1/positions").status_code for _ in range(3)] == [200, 200, 429]
            assert webshop.get("/v1/positions").status_code == 200
            assert watcher.get("/healthz").status_code == 200
    finally:
        serve.stop()
        serve.join()


def test_a_bucket_fills_again_at_its_rate_and_never_beyond_its_burst() -> None:
    system = paced(Limits(inbound_per_s=0.5, inbound_burst=3)).systems[SystemId("watcher")]
    now = 100.0
    pace = Pace(lambda: now)

    def taken() -> tuple[int, str]:
        for done in range(10):
            try:
                pace.take(system)
            except ProblemRaised as raised:
                return done, raised.headers["Retry-After"]
        raise AssertionError("no limit")

    assert taken() == (3, "2")
    now += 1
    assert taken() == (0, "1")
    now += 1.5
    assert taken() == (1, "2")
    now += 1_000
    assert taken() == (3, "2")


def paced(limits: Limits) -> Estate:
    estate = small_estate()
    watcher = estate.systems[SystemId("watcher")]
    fields = {name: getattr(watcher, name) for name in watcher.__struct_fields__} | {"limits": limits}
    whole = {name: getattr(estate, name) for name in estate.__struct_fields__}
    return Estate(**whole | {"systems": {**estate.systems, watcher.id: type(watcher)(**fields)}})
