"""Signed requests through a real socket, the real engine and PostgreSQL: what fits is done once, and nothing else at all."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from interlock.contracts.estate_file import starter
from interlock.domain.estate import StandardWebhooks
from interlock.domain.values import SystemId, part_of
from interlock.engine.door import Door
from interlock.storage import signed
from interlock.storage.database import Database
from interlock.web.signatures import SecretsWrong, Signatures, secret_mistakes
from tests.web.conftest import Serve, free_port, order
from tests.web.signing import ENVIRONMENT, NEW, OLD, PLAIN, Headers, hex_of, signed_estate, webhook

ESTATE = signed_estate()
ADJUST = b'{"sku": "SKU-1", "node": "DC-EAST", "delta": 5}'
ROOT = Path(__file__).parents[2]


@pytest.fixture
def hooks(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client without any API key, of an API whose systems sign."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    serve = Serve(db, ESTATE)
    try:
        with httpx.Client(base_url=serve(Door(db, ESTATE)), timeout=30, trust_env=False) as http:
            yield http
    finally:
        serve.stop()
        serve.join()


def adjust(hooks: httpx.Client, headers: Headers, body: bytes = ADJUST, system: str = "shop") -> httpx.Response:
    return hooks.post(f"/v1/hooks/{system}/stock.adjust", content=body, headers=headers)


def physical(db: Database) -> int:
    rows = db.transaction(lambda tx: tx.query("select physical from positions where sku = 'SKU-1'"))
    return int(rows[0][0]) if rows else 0


def kept(db: Database) -> list[tuple[object, ...]]:
    """Of each message: system, source's id, outcome."""
    return db.transaction(
        lambda tx: tx.query("select system, source_message_id, outcome from messages order by message_id")
    )


def refused(answer: httpx.Response, field: str, words: str) -> None:
    """The answer is a 401 that names the field, and leaks no signature that would be right."""
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Signature"
    body = answer.json()
    assert (body["reason"], body["type"]) == ("bad_signature", "urn:interlock:problem:bad_signature")
    assert body["errors"][0]["field"] == field
    assert words in body["detail"], body["detail"]
    sent = answer.request.read()
    assert webhook(sent)["webhook-signature"][3:] not in answer.text
    assert hex_of(sent) not in answer.text


def test_a_signed_request_needs_no_api_key_and_its_id_is_kept_as_the_source_s(
    hooks: httpx.Client, db: Database
) -> None:
    answer = adjust(hooks, webhook(ADJUST, message_id="msg_2Lh9K"))

    assert (answer.status_code, answer.json()["outcome"]) == (200, "processed")
    assert kept(db) == [("shop", "msg_2Lh9K", "processed")]
    assert physical(db) == 5


def test_orders_come_by_their_own_address_or_by_their_action(hooks: httpx.Client) -> None:
    first = json.dumps(order("1")).encode()
    second = json.dumps(order("2")).encode()

    one = hooks.post("/v1/hooks/shop/orders", content=first, headers=webhook(first, message_id="a"))
    two = hooks.post("/v1/hooks/shop/order.create", content=second, headers=webhook(second, message_id="b"))

    assert (one.status_code, one.json()["order_id"]) == (201, "shop:1")
    assert (two.status_code, two.json()["order_id"]) == (201, "shop:2")


def test_both_live_keys_fit_alone_and_together_and_a_retired_one_does_not(hooks: httpx.Client, db: Database) -> None:
    new, old, gone = (webhook(ADJUST, secret=key, message_id="x") for key in (NEW, OLD, b"a retired key"))
    both = {**old, "webhook-signature": f"{gone['webhook-signature']} v1a,AAAA {new['webhook-signature']}"}

    assert [adjust(hooks, headers).status_code for headers in (new, old, both)] == [200, 200, 200]
    refused(adjust(hooks, gone), "webhook-signature", "no signature fits this body with a live secret")
    assert physical(db) == 5


def test_the_same_signed_request_again_gets_the_first_answer_and_has_no_second_effect(
    hooks: httpx.Client, db: Database
) -> None:
    headers = webhook(ADJUST, message_id="msg_7")
    first = adjust(hooks, headers)

    again = adjust(hooks, headers)
    retried = adjust(hooks, webhook(ADJUST, message_id="msg_7", at=time.time() + 2))  # signed anew, as senders do

    assert first.json()["replayed"] is False
    assert [(a.status_code, a.json()["replayed"]) for a in (again, retried)] == [(200, True), (200, True)]
    assert physical(db) == 5
    assert [outcome for _, _, outcome in kept(db)] == ["processed", "duplicate", "duplicate"]


def test_the_same_id_with_another_payload_is_a_conflict(hooks: httpx.Client, db: Database) -> None:
    adjust(hooks, webhook(ADJUST, message_id="msg_8"))
    other = ADJUST.replace(b"5", b"50")

    answer = adjust(hooks, webhook(other, message_id="msg_8"), other)

    assert (answer.status_code, answer.json()["reason"]) == (409, "idempotency_key_reused")
    assert "the id 'msg_8' came before with another payload" in answer.json()["detail"]
    assert physical(db) == 5


def test_what_was_signed_for_one_action_does_nothing_at_another_address(hooks: httpx.Client, db: Database) -> None:
    create = json.dumps(order("9", payment={"authorized": "0"})).encode()
    hooks.post("/v1/hooks/hub/orders", content=create, headers=hub(create, "d-0"))
    body = b'{"order": "9", "ref": "pay-1", "amount": "9.99"}'
    done = hooks.post("/v1/hooks/hub/order.authorize", content=body, headers=hub(body, "d-1"))

    answer = hooks.post("/v1/hooks/hub/order.capture", content=body, headers=hub(body, "d-2"))

    assert done.status_code == 200, done.text
    assert answer.status_code == 409
    assert "came before for another action" in answer.json()["detail"]
    assert db.transaction(lambda tx: tx.query("select captured from payments"))[0][0] == 0


def test_an_idempotency_key_that_was_not_signed_does_not_make_a_replay_another_request(
    hooks: httpx.Client, db: Database
) -> None:
    headers = webhook(ADJUST)

    answers = [adjust(hooks, {**headers, "Idempotency-Key": key}) for key in ("one", "two")]

    assert [answer.json()["replayed"] for answer in answers] == [False, True]
    assert physical(db) == 5


def test_a_replay_under_another_id_that_is_not_signed_has_no_second_effect(hooks: httpx.Client, db: Database) -> None:
    answers = [adjust(hooks, hub(ADJUST, delivery), system="hub") for delivery in ("d-1", "d-2")]

    assert [(a.status_code, a.json()["replayed"]) for a in answers] == [(200, False), (200, True)]
    assert physical(db) == 5
    assert [source_id for _, source_id, _ in kept(db)] == ["d-1", "d-2"]


def test_an_unsigned_id_still_stands_for_one_payload(hooks: httpx.Client, db: Database) -> None:
    other = ADJUST.replace(b"5", b"50")
    adjust(hooks, hub(ADJUST, "d-1"), system="hub")

    answer = adjust(hooks, hub(other, "d-1"), other, system="hub")

    assert (answer.status_code, physical(db)) == (409, 5)


def test_beyond_the_replay_window_the_same_request_is_refused_though_its_timestamp_is_new(
    hooks: httpx.Client, db: Database
) -> None:
    first = adjust(hooks, webhook(ADJUST, message_id="m"), system="brief")
    at_once = adjust(hooks, webhook(ADJUST, message_id="m"), system="brief")
    time.sleep(3.2)

    late = adjust(hooks, webhook(ADJUST, message_id="m"), system="brief")

    assert (first.status_code, at_once.status_code, at_once.json()["replayed"]) == (200, 200, True)
    refused(late, "replay", "the same request came before, too long ago")
    assert [outcome for _, _, outcome in kept(db)] == ["processed", "duplicate"]


@pytest.mark.parametrize(
    ("apart", "words"),
    [(-301.5, "signed too long ago"), (330, "signed in our future"), (-1e9, "signed too long ago")],
)
def test_a_timestamp_beyond_the_tolerance_is_refused_either_way(
    hooks: httpx.Client, db: Database, apart: float, words: str
) -> None:
    refused(adjust(hooks, webhook(ADJUST, at=time.time() + apart)), "webhook-timestamp", words)
    assert kept(db) == []


def test_a_timestamp_within_the_tolerance_is_taken_either_way(hooks: httpx.Client) -> None:
    for number, apart in enumerate((-290, 290)):
        assert adjust(hooks, webhook(ADJUST, message_id=f"m{number}", at=time.time() + apart)).status_code == 200


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(hooks: httpx.Client, name: str) -> None:
    headers = webhook(ADJUST)
    del headers[name]

    refused(adjust(hooks, headers), name, "the header is missing")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("webhook-signature", "v1,", "no signature that can be read"),
        ("webhook-signature", "v2,{right}", "no signature that can be read"),
        ("webhook-signature", "{right}", "no signature that can be read"),
        ("webhook-signature", "v1,{hex}", "no signature fits"),
        ("webhook-signature", "v1,{right}=", "no signature that can be read"),
        ("webhook-signature", "v1,\u00e9\u00df\u00ff", "no signature that can be read"),
        ("webhook-signature", "v1," + "A" * 8_000, "the header is too long"),
        ("webhook-signature", " ".join(["v1,AAAA"] * 40), "too many signatures"),
        ("webhook-id", "x" * 300, "the header holds no id"),
        ("webhook-id", "", "the header holds no id"),
        ("webhook-timestamp", "soon", "no time"),
        ("webhook-timestamp", "\u0661\u0662\u0663", "no time"),
        ("webhook-timestamp", "-5", "no time"),
        ("webhook-timestamp", "1e9", "no time"),
        ("webhook-timestamp", "9" * 12, "no time"),
    ],
)
def test_every_strange_header_is_refused_by_name(
    hooks: httpx.Client, db: Database, name: str, value: str, words: str
) -> None:
    headers = webhook(ADJUST)
    right = headers["webhook-signature"][3:]
    value = value.replace("{right}", right).replace("{hex}", base64.b64decode(right).hex())
    encoded = value.encode("utf-8" if name == "webhook-timestamp" else "latin-1")
    raw = [(key.encode(), encoded if key == name else each.encode()) for key, each in headers.items()]

    answer = hooks.post("/v1/hooks/shop/stock.adjust", content=ADJUST, headers=raw)

    refused(answer, name, words)
    assert (kept(db), physical(db)) == ([], 0)


@pytest.mark.parametrize(
    ("name", "value"), [("webhook-id", "\u00e9v\u00e9nement".encode("latin-1")), ("webhook-timestamp", b"99999999999")]
)
def test_an_id_or_time_that_was_changed_does_not_fit(hooks: httpx.Client, name: str, value: bytes) -> None:
    raw = [(key.encode(), value if key == name else each.encode()) for key, each in webhook(ADJUST).items()]

    answer = hooks.post("/v1/hooks/shop/stock.adjust", content=ADJUST, headers=raw)

    refused(answer, "webhook-signature", "no signature fits")


def test_a_header_that_is_there_twice_is_refused(hooks: httpx.Client) -> None:
    headers = [*webhook(ADJUST).items(), ("webhook-signature", "v1,AAAA")]

    answer = hooks.post("/v1/hooks/shop/stock.adjust", content=ADJUST, headers=headers)

    refused(answer, "webhook-signature", "more than once")


def test_an_id_with_letters_beyond_ascii_may_be_signed(hooks: httpx.Client, db: Database) -> None:
    stamp = str(int(time.time()))
    message_id = "\u00e9v\u00e9nement-1".encode("latin-1")
    digest = hmac.new(NEW, message_id + b"." + stamp.encode() + b"." + ADJUST, "sha256").digest()
    headers = [
        (b"Content-Type", b"application/json"),
        (b"webhook-id", message_id),
        (b"webhook-timestamp", stamp.encode()),
        (b"webhook-signature", b"v1," + base64.b64encode(digest)),
    ]

    answer = hooks.post("/v1/hooks/shop/stock.adjust", content=ADJUST, headers=headers)

    assert answer.status_code == 200, answer.text
    assert kept(db) == [("shop", "\u00e9v\u00e9nement-1", "processed")]


def test_a_body_that_was_changed_by_one_byte_or_one_blank_is_refused(hooks: httpx.Client, db: Database) -> None:
    headers = webhook(ADJUST)
    for place in range(0, len(ADJUST), 7):
        changed = ADJUST[:place] + bytes([ADJUST[place] ^ 1]) + ADJUST[place + 1 :]
        refused(adjust(hooks, headers, changed), "webhook-signature", "no signature fits")
    refused(adjust(hooks, headers, ADJUST + b" "), "webhook-signature", "no signature fits")
    refused(adjust(hooks, headers, b""), "webhook-signature", "no signature fits")
    assert kept(db) == []


def test_one_system_s_signature_does_not_open_another_system_s_address(hooks: httpx.Client) -> None:
    refused(adjust(hooks, webhook(ADJUST), system="other"), "webhook-signature", "no signature fits")


@pytest.mark.parametrize("system", ["webshop", "nobody", "%00", "shop%2F.."])
def test_systems_that_do_not_sign_have_no_such_address(hooks: httpx.Client, system: str) -> None:
    answer = adjust(hooks, webhook(ADJUST), system=system)

    assert (answer.status_code, answer.json()["reason"]) in ((401, "unauthorized"), (404, "not_found"))


def test_a_body_beyond_the_limit_is_refused_before_its_signature_is_looked_at(hooks: httpx.Client) -> None:
    body = b'{"sku": "' + b"A" * 1_100_000 + b'"}'

    assert adjust(hooks, webhook(body), body).status_code == 413


def test_a_system_that_sends_its_key_as_well_needs_both_at_every_address(hooks: httpx.Client, db: Database) -> None:
    key = {"X-API-Key": "both-secret"}
    signature = webhook(ADJUST, message_id="b-1")

    def post(path: str, headers: Headers) -> int:
        return hooks.post(path, content=ADJUST, headers={"Content-Type": "application/json", **headers}).status_code

    for path in ("/v1/actions/stock.adjust", "/v1/hooks/both/stock.adjust"):
        assert [post(path, headers) for headers in ({}, key, signature)] == [401, 401, 401]
    assert post("/v1/hooks/both/stock.adjust", {**signature, "X-API-Key": "web-secret"}) == 401
    assert physical(db) == 0
    assert post("/v1/actions/stock.adjust", {**signature, **key}) == 200
    assert post("/v1/hooks/both/stock.adjust", {**signature, **key}) == 200
    assert physical(db) == 5
    assert hooks.get("/v1/positions", headers=key).status_code == 200


def test_many_lines_may_be_signed_together_and_each_has_its_own_id(hooks: httpx.Client, db: Database) -> None:
    lines = [{"action": "stock.adjust", "sku": "SKU-1", "node": "DC-EAST", "delta": n} for n in (1, 2)]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    headers = {**webhook(body, message_id="many"), "X-API-Key": "both-secret", "Content-Type": "application/x-ndjson"}

    first, again = (hooks.post("/v1/bulk", content=body, headers=headers) for _ in range(2))
    spoiled = hooks.post("/v1/bulk", content=body.replace(b"2", b"9"), headers=headers)

    assert [json.loads(line)["replayed"] for line in first.text.splitlines()] == [False, False]
    assert [json.loads(line)["replayed"] for line in again.text.splitlines()] == [True, True]
    refused(spoiled, "webhook-signature", "no signature fits")
    assert physical(db) == 3
    assert [source_id for _, source_id, _ in kept(db)] == ["many/1", "many/2"] * 2


# Signatures in a header of the system's own


def hub(body: bytes, delivery: str) -> Headers:
    return {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": f"sha256={hex_of(body)}",
        "X-Hub-Id": delivery,
    }


def pay(body: bytes, *, at: float | None = None) -> Headers:
    stamp = int(time.time() if at is None else at)
    right = hex_of(f"{stamp}.".encode() + body)
    return {"Content-Type": "application/json", "Pay-Signature": f"t={stamp},v1={'0' * 64},v1={right},v0=ab"}


def chat(body: bytes) -> Headers:
    stamp = datetime.now(UTC).isoformat()
    right = hex_of(f"v0:{stamp}:".encode() + body, "sha512")
    return {"Content-Type": "application/json", "X-Chat-Signature": f"v0={right.upper()}", "X-Chat-Time": stamp}


def cart(body: bytes) -> Headers:
    right = base64.b64encode(hmac.new(PLAIN.encode(), body, "sha256").digest()).decode()
    return {"Content-Type": "application/json", "X-Cart-Hmac": right}


@pytest.mark.parametrize(
    ("system", "sign"), [("hub", partial(hub, delivery="d")), ("pay", pay), ("chat", chat), ("cart", cart)]
)
def test_styles_are_configured_not_coded(
    hooks: httpx.Client, db: Database, system: str, sign: Callable[[bytes], Headers]
) -> None:
    headers = sign(ADJUST)  # now, and not when tests are collected: what is signed goes stale
    answers = [adjust(hooks, headers, system=system) for _ in range(2)]
    changed = adjust(hooks, headers, ADJUST.replace(b"5", b"6"), system=system)

    assert [(a.status_code, a.json()["replayed"]) for a in answers] == [(200, False), (200, True)]
    assert (changed.status_code, changed.json()["reason"]) == (401, "bad_signature")
    assert physical(db) == 5


def test_a_retry_that_is_signed_anew_without_an_id_is_the_same_request(hooks: httpx.Client, db: Database) -> None:
    answers = [adjust(hooks, pay(ADJUST, at=time.time() - n), system="pay") for n in (3, 2, 1)]

    assert [answer.json()["replayed"] for answer in answers] == [False, True, True]
    assert physical(db) == 5


def test_the_timestamp_among_the_signatures_is_held_to_the_tolerance(hooks: httpx.Client) -> None:
    refused(adjust(hooks, pay(ADJUST, at=time.time() - 400), system="pay"), "Pay-Signature", "signed too long ago")
    without = {"Content-Type": "application/json", "Pay-Signature": f"v1={hex_of(b'.' + ADJUST)}"}
    refused(adjust(hooks, without, system="pay"), "Pay-Signature", "no clear timestamp in it")


@pytest.mark.parametrize(
    ("system", "headers", "words"),
    [
        ("hub", {"X-Hub-Signature-256": hex_of(ADJUST)}, "no signature that can be read"),
        ("hub", {"X-Hub-Signature-256": f"sha256={'g' * 64}"}, "no signature that can be read"),
        (
            "hub",
            {"X-Hub-Signature-256": f"sha256={base64.b64encode(b'x' * 32).decode()}"},
            "no signature that can be read",
        ),
        ("hub", {"X-Hub-Signature-256": f"sha256={hex_of(ADJUST)[:62]}"}, "no signature fits"),
        ("cart", {"X-Cart-Hmac": hex_of(ADJUST)}, "no signature fits"),
        ("cart", {}, "the header is missing"),
    ],
)
def test_a_signature_in_the_wrong_form_is_refused(
    hooks: httpx.Client, system: str, headers: Headers, words: str
) -> None:
    answer = adjust(hooks, {"Content-Type": "application/json", **headers}, system=system)

    assert (answer.status_code, answer.json()["reason"]) == (401, "bad_signature")
    assert words in answer.json()["detail"]


# Refusals are counted, and many of them are told


def test_a_flood_of_refused_signatures_is_one_row_and_one_exception(hooks: httpx.Client, db: Database) -> None:
    for _ in range(120):
        assert adjust(hooks, webhook(ADJUST, secret=b"forged")).status_code == 401
    adjust(hooks, webhook(ADJUST, secret=b"forged"), system="other")
    now = wait_for_refusals(db, 121)

    opened = db.transaction(lambda tx: signed.alarm_many(tx, part_of("shop"), now, ESTATE.duty("bad_signature")))

    rows = db.transaction(
        lambda tx: tx.query("select system, sum(refusals), count(*) from signature_refusals group by 1 order by 1")
    )
    assert [(system, int(times)) for system, times, _ in rows] == [("other", 1), ("shop", 120)]
    assert all(count <= 2 for _, _, count in rows)  # two where five minutes ended in between
    assert opened == 1
    explanation = exceptions(db)[0][2]
    assert re.fullmatch(
        r"signatures of shop were refused 120 times since \S+; the last one: webhook-signature: "
        "no signature fits this body with a live secret",
        explanation,
    )
    assert kept(db) == []


def test_an_exception_of_refusals_is_opened_again_only_by_refusals_after_it_was_closed(db: Database) -> None:
    part, duty = part_of("shop"), ESTATE.duty("bad_signature")
    now = datetime.now(UTC).replace(minute=31, second=0, microsecond=0)

    def refuse(times: int, at: datetime) -> int:
        slot = signed.Slot(SystemId("shop"), at.replace(minute=at.minute - at.minute % 5, second=0))
        refusals = {slot: signed.Refusals(times, "the header is missing", at)}
        db.transaction(lambda tx: signed.refused_many(tx, refusals))
        return alarm(at)

    def alarm(at: datetime) -> int:
        return db.transaction(lambda tx: signed.alarm_many(tx, part, at, duty))

    assert refuse(9, now) == 0
    assert refuse(1, now + timedelta(seconds=1)) == 1
    assert alarm(now + timedelta(seconds=30)) == 0
    assert refuse(5, now + timedelta(seconds=90)) == 1
    assert exceptions(db)[0][3:] == (2, None)
    db.transaction(
        lambda tx: tx.execute(
            "update exceptions set closed_at = %(at)s, closed_by = 'x', evidence = 'x'", at=now + timedelta(seconds=100)
        )
    )
    assert alarm(now + timedelta(seconds=200)) == 0
    assert exceptions(db)[0][4] is not None
    assert refuse(1, now + timedelta(seconds=210)) == 1
    assert exceptions(db)[0][3:] == (3, None)
    assert alarm(now + timedelta(hours=1)) == 0
    alarm(now + timedelta(days=8))
    assert db.transaction(lambda tx: tx.query("select count(*) from signature_refusals"))[0][0] == 0


def wait_for_refusals(db: Database, times: int) -> datetime:
    for _ in range(100):
        found = db.transaction(lambda tx: tx.query("select coalesce(sum(refusals), 0) from signature_refusals"))
        if int(found[0][0]) == times:
            return datetime.now(UTC)
        time.sleep(0.1)
    raise AssertionError(f"{found[0][0]} refusals were written, expected {times}")


def exceptions(db: Database) -> list[tuple[object, ...]]:
    return db.transaction(
        lambda tx: tx.query("select reason, subject, explanation, times, closed_at from exceptions order by subject")
    )


# Secrets


def test_every_secret_that_is_missing_or_malformed_is_told_at_the_start_and_never_shown() -> None:
    environment = {"SHOP_NEW": "whsec_not*base64", "HEX": "zz", "PLAIN": "  "}

    found = secret_mistakes(ESTATE, environment)

    assert "SHOP_OLD: this environment variable is not set" in found[1]
    assert found[0].startswith("SHOP_NEW: this environment variable holds something else; expected base64")
    assert "(systems.shop.connection.signature.secrets_env)" in found[0]
    assert "expected hex digits" in next(each for each in found if each.startswith("HEX"))
    assert "is not set" in next(each for each in found if each.startswith("PLAIN"))
    assert "not*base64" not in str(found)
    with pytest.raises(SecretsWrong, match="SHOP_OLD"):
        Signatures(ESTATE, environment)


def test_the_service_does_not_start_without_its_secrets_and_a_command_says_so_beforehand(
    dsn: str, tmp_path: Path
) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(starter().replace("# signature: {", "signature: {"))
    told = (
        "WEBSHOP_WEBHOOK_SECRET: this environment variable is not set; expected the secret of the signature "
        "(systems.webshop.connection.signature.secrets_env)"
    )

    def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "WEBSHOP_WEBHOOK_SECRET"} | more
        program = [sys.executable, "-m", "interlock.cli", *command]
        return subprocess.run(
            program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    served = run("serve", "--database-url", dsn, "--port", str(free_port()))
    checked = run("estate", "secrets")
    right = run("estate", "secrets", "--json", WEBSHOP_WEBHOOK_SECRET=ENVIRONMENT["SHOP_NEW"])

    assert (served.returncode, served.stderr.splitlines()[-1]) == (1, f"interlock: {told}")
    assert (checked.returncode, checked.stdout) == (1, f"{told}\n")
    assert (right.returncode, json.loads(right.stdout)) == (
        0,
        {"file": "estate.yaml", "systems": ["webshop"], "valid": True, "mistakes": []},
    )


def test_the_known_answer_of_the_standard_s_own_example_is_right() -> None:
    """Id, timestamp, secret and body as the specification's libraries test themselves with."""
    from starlette.datastructures import Headers as Received

    environment = {**ENVIRONMENT, "SHOP_NEW": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    body = b'{"test": 2432232314}'
    headers = Received(
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }
    )
    system = ESTATE.systems[SystemId("shop")]
    assert isinstance(system.signature, StandardWebhooks)

    found = Signatures(ESTATE, environment).check(system, headers, body, datetime.fromtimestamp(1614265330, UTC))

    assert found.source_id == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert found.sent_at == datetime(2021, 2, 25, 15, 2, 10, tzinfo=UTC)


# The page


def test_the_worked_example_of_the_page_runs_as_it_stands(hooks: httpx.Client, db: Database, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "signatures.md").read_text("utf-8")
    scripts = re.findall(r"```sh\n(secret=.*?)```", page, flags=re.DOTALL)
    assert len(scripts) == 1
    body = re.search(r"^body='(.*)'$", scripts[0], flags=re.MULTILINE)
    assert body is not None

    script = scripts[0].replace("http://HOST", str(hooks.base_url)).replace("WEBHOOK_SECRET", ENVIRONMENT["SHOP_NEW"])
    ran = [
        subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
        for _ in range(2)
    ]

    answers = [json.loads(each.stdout) for each in ran]
    assert [answer.get("outcome") for answer in answers] == ["processed", "processed"], ran
    assert [answer["replayed"] for answer in answers] == [False, True]
    assert physical(db) == json.loads(body[1])["delta"]
