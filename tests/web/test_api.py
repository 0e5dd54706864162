"""The API over the real engine and PostgreSQL, asked through a real socket."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from interlock.storage.database import Database
from tests.web.conftest import Client, client, order

PROBLEM = "application/problem+json"


def stock(wms: Client, sku: str = "SKU-1", counted: int = 1000, node: str = "E") -> None:
    body = {"sku": sku, "node": node, "ref": f"count-{sku}-{node}", "counted": counted}
    answer = wms.post("/v1/actions/stock.count", json=body)
    assert answer.status_code == 200, answer.text


def test_an_order_is_taken_once_and_the_same_again_gets_the_first_answer(webshop: Client, wms: Client) -> None:
    stock(wms)

    first = webshop.post("/v1/orders", json=order())
    again = webshop.post("/v1/orders", json=order(lines=[{"quantity": 2.0, "unit_price": 9.990, "sku": "SKU-1"}]))

    assert first.status_code == 201
    assert first.headers["content-type"] == "application/json"
    body = first.json()
    assert (body["outcome"], body["order_id"], body["state"]) == ("processed", "webshop:10001", "released")
    assert body["replayed"] is False
    assert again.status_code == 200
    assert again.headers["idempotency-replayed"] == "true"
    repeated = again.json()
    assert repeated["replayed"] is True
    same = set(body) - {"message_id", "replayed"}
    assert {name: repeated[name] for name in same} == {name: body[name] for name in same}


def test_another_payload_under_the_same_order_id_is_a_conflict(webshop: Client, wms: Client) -> None:
    stock(wms)
    webshop.post("/v1/orders", json=order())

    answer = webshop.post("/v1/orders", json=order(customer="somebody else"))

    assert answer.status_code == 409
    assert answer.headers["content-type"] == PROBLEM
    assert (answer.json()["reason"], answer.json()["outcome"]) == ("conflict", "conflict")
    assert webshop.get("/v1/orders/10001").json()["customer"] == ""
    reasons = [each["reason"] for each in webshop.get("/v1/exceptions").json()["exceptions"]]
    assert reasons == ["conflict"]


def test_every_mistake_of_a_body_is_named_at_once(webshop: Client, db: Database) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    bad = order(channel="wbe", lines=[{"sku": "SKU-1", "quantity": 0}, {"sku": "", "quantity": -1, "sice": "L"}])

    answer = webshop.post("/v1/orders", json=bad, headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})

    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    body = answer.json()
    assert body["trace_id"] == trace
    assert body["type"] == "urn:interlock:problem:unreadable"
    assert sorted(error["field"] for error in body["errors"]) == [
        "channel",
        "lines[0].quantity",
        "lines[1].quantity",
        "lines[1].sice",
        "lines[1].sku",
    ]
    kept = webshop.get(f"/v1/messages/{body['message_id']}").json()
    assert (kept["outcome"], json.loads(kept["body"])) == ("quarantined", bad)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic web-secret"}, 401),
        ({"X-API-Key": "web-secret"}, 400),
        ({"Authorization": "bearer web-secret"}, 400),
    ],
)
def test_a_key_is_needed_and_may_come_in_either_header(base_url: str, headers: dict[str, str], status: int) -> None:
    answer = httpx.post(f"{base_url}/v1/orders", json={}, headers=headers, trust_env=False)

    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/orders/none-such", 404, "not_found"),
        ("GET", "/v1/orders/none-such/story", 404, "not_found"),
        ("GET", "/v1/messages/none-such", 404, "not_found"),
        ("GET", "/v1/messages/01890a5d-ac96-774b-bcce-b302099a8057", 404, "not_found"),
        ("DELETE", "/v1/orders", 405, "method_not_allowed"),
        ("GET", "/v1/bulk", 405, "method_not_allowed"),
        ("POST", "/v1/actions/order.creat", 404, "not_found"),
        ("GET", "/v1/positions?skuu=1", 400, "bad_request"),
        ("GET", "/v1/positions?limit=0", 400, "bad_request"),
        ("GET", "/v1/positions?sku=%00", 400, "bad_request"),
        ("GET", "/v1/orders/%00", 404, "not_found"),
        ("GET", "/v1/orders/%FF%FE", 404, "not_found"),
        ("GET", "/v1/orders/%ED%A0%80/story", 404, "not_found"),
        ("GET", "/v1/orders/../../healthz%3f", 404, "not_found"),
        ("GET", "/v1/exceptions?open=perhaps", 400, "bad_request"),
        ("POST", "/v1/orders", 415, "unsupported_media_type"),
        ("POST", "/v1/exceptions/close", 415, "unsupported_media_type"),
    ],
)
def test_every_refusal_is_a_problem_with_a_trace_id(
    webshop: Client, method: str, path: str, status: int, reason: str
) -> None:
    answer = webshop.request(method, path)

    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["reason"] == reason
    assert len(answer.json()["trace_id"]) == 32


@pytest.mark.parametrize(
    ("system", "action", "body"),
    [
        ("small", "order.create", order()),
        ("webshop", "stock.count", {"sku": "SKU-1", "node": "DC-EAST", "ref": "c", "counted": 9}),
        ("webshop", "stock.adjust", {"sku": "SKU-1", "node": "DC-EAST", "ref": "a", "delta": 9}),
    ],
)
def test_orders_and_stock_of_another_system_s_channel_or_node_are_forbidden(
    base_url: str, system: str, action: str, body: dict[str, object]
) -> None:
    with client(base_url, system) as http:
        answer = http.post(f"/v1/actions/{action}", json=body)

    assert (answer.status_code, answer.json()["reason"]) == (403, "wrong_source")
    assert answer.json()["title"] == "Another system speaks for this channel or node"


def test_a_body_over_the_system_s_limit_is_refused(base_url: str) -> None:
    def chunks() -> list[bytes]:
        return [b'{"customer": "' + b"x" * 1500, b"y" * 1500, b'"}']

    with client(base_url, "small") as small:
        told = small.post("/v1/orders", json=order(customer="x" * 3000))
        unannounced = small.post("/v1/orders", content=iter(chunks()), headers={"Content-Type": "application/json"})
        compressed = small.post("/v1/orders", json=order(), headers={"Content-Encoding": "gzip"})

    assert (told.status_code, unannounced.status_code, compressed.status_code) == (413, 413, 415)
    assert told.json()["reason"] == "too_large"


def test_who_may_only_observe_is_refused_and_nothing_changes(base_url: str) -> None:
    with client(base_url, "watcher") as watcher:
        answer = watcher.post("/v1/orders", json=order())

        assert (answer.status_code, answer.json()["reason"]) == (403, "no_authority")
        assert watcher.get("/v1/orders/watcher:10001").status_code == 404


def test_what_the_rules_do_not_allow_is_422_with_its_reason_and_again_when_repeated(
    webshop: Client, wms: Client
) -> None:
    stock(wms)
    webshop.post("/v1/orders", json=order())
    capture = {"order": "10001", "ref": "cap-1", "amount": "99999"}

    first = webshop.post("/v1/actions/order.capture", json=capture)
    again = webshop.post("/v1/actions/order.capture", json=capture)

    assert (first.status_code, first.json()["outcome"]) == (422, "refused")
    assert (again.status_code, again.json()["reason"]) == (422, first.json()["reason"])
    assert again.headers["idempotency-replayed"] == "true"
    assert webshop.get("/v1/orders/10001").json()["payment"]["captured"] == "0"


def test_a_command_ahead_of_its_order_is_parked(webshop: Client) -> None:
    answer = webshop.post("/v1/actions/order.cancel", json={"order": "777", "ref": "c-1"})

    assert answer.status_code == 202
    assert (answer.json()["outcome"], answer.json()["waits_for"]) == ("parked", "webshop:777")


@pytest.mark.parametrize("key", ["", "x" * 201, "caf\u00e9\u0085"])
def test_an_idempotency_key_that_is_no_key_is_refused(webshop: Client, key: str) -> None:
    answer = webshop.post("/v1/orders", json=order(), headers={"Idempotency-Key": key.encode("latin-1")})  # type: ignore[dict-item]

    assert (answer.status_code, answer.json()["reason"]) == (400, "bad_request")


def test_an_idempotency_key_is_the_ref_and_never_stands_for_two_payloads(webshop: Client, wms: Client) -> None:
    stock(wms)
    webshop.post("/v1/orders", json=order())
    capture = {"order": "10001", "amount": "10.00"}

    first = webshop.post("/v1/actions/order.capture", json=capture, headers={"Idempotency-Key": "k-1"})
    again = webshop.post("/v1/actions/order.capture", json=capture, headers={"Idempotency-Key": '"k-1"'})
    other = webshop.post(
        "/v1/actions/order.capture", json=capture | {"amount": "5.00"}, headers={"Idempotency-Key": "k-1"}
    )
    elsewhere = webshop.post("/v1/orders", json=order("10002"), headers={"Idempotency-Key": "k-1"})
    without = webshop.post("/v1/actions/order.capture", json=capture)

    assert first.status_code == 200
    assert (again.status_code, again.json()["replayed"]) == (200, True)
    assert (other.status_code, other.json()["reason"]) == (409, "idempotency_key_reused")
    assert elsewhere.status_code == 409
    assert (without.status_code, without.json()["errors"][0]["field"]) == (400, "ref")
    assert webshop.get("/v1/orders/10001").json()["payment"]["captured"] == "10"
    assert webshop.get("/v1/orders/10002").status_code == 404


def test_respond_async_answers_when_the_message_is_kept(webshop: Client) -> None:
    answer = webshop.post("/v1/orders", json=order(), headers={"Prefer": "respond-async"})

    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.json()["outcome"] == "received"
    kept = webshop.get(f"/v1/messages/{answer.json()['message_id']}", params={"subject": "webshop:10001"}).json()
    assert (kept["outcome"], kept["action"]) == ("received", "order.create")
    assert webshop.get("/v1/orders/10001").status_code == 404


def test_two_thousand_lines_with_bad_ones_between_get_one_answer_each_in_order(webshop: Client, wms: Client) -> None:
    stock(wms, counted=100_000)
    lines = []
    for number in range(1, 2001):
        if number % 100 == 0:
            lines.append("{not json")
        elif number % 250 == 7:
            lines.append(json.dumps(order(str(number - 1))))  # the line before once more
        else:
            lines.append(json.dumps(order(str(number))))
    body = "\n".join(lines[:1000] + ["", "  "] + lines[1000:])

    answer = webshop.post("/v1/orders", content=body, headers={"Content-Type": "application/x-ndjson"})

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    answers = [json.loads(line) for line in answer.text.splitlines()]
    assert [each["line"] for each in answers] == [n if n <= 1000 else n + 2 for n in range(1, 2001)]
    by_status: dict[int, int] = {}
    for each in answers:
        by_status[each["status"]] = by_status.get(each["status"], 0) + 1
    assert by_status == {201: 1972, 400: 20, 200: 8}
    assert answers[99]["errors"][0]["expected"] == "one JSON object (NaN and Infinity are no JSON)"


def test_bulk_names_the_action_in_each_line_and_keeps_the_order_of_one_order(webshop: Client, wms: Client) -> None:
    stock(wms)
    lines = [
        {"action": "order.create", **order("1")},
        {"action": "order.capture", "order": "1", "ref": "c", "amount": "19.98"},
        {"action": "order.levitate"},
        {"order": "1"},
        {"action": "order.cancel", "order": "1", "ref": "x"},
    ]
    body = "\r\n".join(json.dumps(line) for line in lines)

    answer = webshop.post("/v1/bulk", content=body, headers={"Content-Type": "application/x-ndjson"})

    answers = [json.loads(line) for line in answer.text.splitlines()]
    assert [(each["line"], each["status"]) for each in answers] == [(1, 201), (2, 200), (3, 400), (4, 400), (5, 200)]
    assert webshop.get("/v1/orders/1").json()["payment"]["captured"] == "19.98"


def test_a_bulk_beyond_its_limits_says_where_it_stopped(base_url: str) -> None:
    ndjson = {"Content-Type": "application/x-ndjson"}
    with client(base_url, "small") as small:
        rows = "\n".join(json.dumps(order(str(n), channel="outlet")) for n in range(5))
        many = small.post("/v1/orders", content=rows, headers=ndjson)
        long = small.post(
            "/v1/orders", content=json.dumps(order("9", channel="outlet")) + "\n" + "x" * 5000 + "\n{}", headers=ndjson
        )
        empty = small.post("/v1/orders", content=" \n\n", headers=ndjson)

    assert [json.loads(line)["status"] for line in many.text.splitlines()] == [201, 201, 201, 413]
    assert [json.loads(line)["status"] for line in long.text.splitlines()] == [201, 413]
    assert (empty.status_code, empty.json()["reason"]) == (400, "bad_request")


def test_many_clients_at_once_each_get_their_own_answer(webshop: Client, wms: Client, base_url: str) -> None:
    stock(wms, counted=100_000)

    def send(number: int) -> tuple[int, str]:
        answer = webshop.post("/v1/orders", json=order(str(number)))
        return answer.status_code, answer.json()["order_id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(300)))

    assert answers == [(201, f"webshop:{number}") for number in range(300)]


def test_the_whole_way_of_an_order_can_be_read_by_every_identifier(webshop: Client, wms: Client) -> None:
    stock(wms)
    webshop.post("/v1/orders", json=order())
    webshop.post("/v1/orders", json=order())
    webshop.post("/v1/orders", json=order(customer="other"))
    assignment = "webshop:10001/1"
    for action, body in (
        ("shipment.acknowledge", {"assignment": assignment, "warehouse_ref": "WMS-77"}),
        ("shipment.confirm", {"assignment": assignment, "ref": "SHP-5", "packages": [{"tracking": "1Z999"}]}),
    ):
        assert wms.post(f"/v1/actions/{action}", json=body).status_code == 200
    rma = {"order": "10001", "ref": "RMA-3", "lines": [{"line_no": 1, "quantity": 1}]}
    assert webshop.post("/v1/actions/return.authorize", json=rma).status_code == 200

    for identifier in (
        "webshop:10001",
        "10001",
        "WEB-10001",
        assignment,
        "10001/1",
        "WMS-77",
        "SHP-5",
        "1Z999",
        "RMA-3",
    ):
        found = webshop.get(f"/v1/orders/{identifier}")
        assert (identifier, found.status_code) == (identifier, 200)
        assert found.json()["order_id"] == "webshop:10001"
    whole = webshop.get("/v1/orders/1Z999").json()
    assert whole["shipments"][0]["packages"] == [{"package_no": 1, "tracking": "1Z999", "carrier": ""}]
    assert whole["assignments"][0]["warehouse_ref"] == "WMS-77"
    assert (whole["lines"][0]["shipped"], whole["lines"][0]["unit_price"]) == (2, "9.99")

    steps = webshop.get("/v1/orders/1Z999/story").json()["steps"]
    assert [step["at"] for step in steps] == sorted(step["at"] for step in steps)
    outcomes = [step["outcome"] for step in steps if step["kind"] == "message"]
    assert outcomes[:3] == ["processed", "duplicate", "conflict"]
    names = [step["name"] for step in steps if step["kind"] == "event"]
    assert names[0] == "order.created"
    assert {"units.allocated", "assignment.released", "units.shipped", "return.authorized"} <= set(names)
    shipped = next(step for step in steps if step["name"] == "units.shipped")
    assert "1Z999" in shipped["words"]
    assert shipped["source"] == "wms"
    assert {"message", "event", "delivery", "exception"} == {step["kind"] for step in steps}


def test_positions_receivers_and_exceptions_can_be_read_and_an_exception_closed(webshop: Client, wms: Client) -> None:
    stock(wms, counted=10)
    webshop.post("/v1/orders", json=order())
    webshop.post("/v1/orders", json=order(customer="other"))

    positions = webshop.get("/v1/positions", params={"sku": "SKU-1"}).json()["positions"]
    assert [(p["node"], p["physical"], p["reserved"], p["sellable"]) for p in positions] == [("DC-EAST", 10, 2, 8)]
    assert webshop.get("/v1/positions", params={"node": "DC-EAST"}).json()["positions"] == positions
    assert webshop.get("/v1/positions", params={"node": "DC-WEST"}).json()["positions"] == []
    [found] = webshop.get("/v1/exceptions", params={"reason": "conflict"}).json()["exceptions"]
    body = {"subject": found["subject"], "exception_id": found["exception_id"], "evidence": "called the shop"}
    closed = webshop.post("/v1/exceptions/close", json=body)
    assert (closed.status_code, closed.json()["closed_by"]) == (200, "webshop")
    assert webshop.post("/v1/exceptions/close", json=body).status_code == 404
    assert webshop.post("/v1/exceptions/close", json=body | {"evidence": " "}).status_code == 400
    assert webshop.get("/v1/exceptions", params={"reason": "conflict"}).json()["exceptions"] == []
    assert len(webshop.get("/v1/exceptions", params={"open": "false"}).json()["exceptions"]) == 1
    assert webshop.get("/v1/interchanges", params={"open": "true", "system": "wms"}).json() == {"interchanges": []}


def test_health_and_readiness_need_no_key(base_url: str) -> None:
    assert httpx.get(f"{base_url}/healthz", trust_env=False).json() == {"status": "ok"}
    ready = httpx.get(f"{base_url}/readyz", trust_env=False)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
