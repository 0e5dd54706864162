"""What an estate says of signatures, parking, updates, limits and clocks: read as meant, and told where it makes no sense."""

from __future__ import annotations

import pytest

from interlock.contracts.estate_file import starter
from interlock.contracts.estate_map import estate_rows
from interlock.domain.estate import HmacSignature, Limits, StandardWebhooks
from tests.contracts.tiny_estate import SMALL, changed, estate

WMS = "      outbound: {kind: folder, path: out}\n"


def signed(fields: str) -> str:
    return f"{WMS}      signature: {{{fields}}}\n"


def test_a_standard_webhooks_signature_arrives_with_its_defaults() -> None:
    read = estate(
        SMALL.replace(WMS, signed("kind: standard_webhooks, secrets_env: [NEW, OLD], tolerance: 1m, replay: 3d"))
    )
    assert read.systems["wms"].signature == StandardWebhooks(
        secrets_env=("NEW", "OLD"), tolerance_s=60.0, replay_s=259_200.0, with_api_key=False
    )
    assert read.systems["shop"].signature is None
    assert [row["inbound"] for row in estate_rows(read)["systems"]] == ["", "signed calls"]


def test_an_hmac_signature_says_all_that_is_needed_to_check_it() -> None:
    fields = (
        "kind: hmac, header: Stripe-Signature, secrets_env: [S], prefix: v1=, timestamp_prefix: t=, "
        'signed: "{timestamp}.{body}", id_header: X-Id'
    )
    assert estate(SMALL.replace(WMS, signed(fields))).systems["wms"].signature == HmacSignature(
        header="Stripe-Signature", secrets_env=("S",), algorithm="sha256", encoding="hex", prefix="v1=",
        signed="{timestamp}.{body}", timestamp_prefix="t=", id_header="X-Id", tolerance_s=300.0, replay_s=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "kind: hmac, header: X, secrets_env: [S], timestamp_header: T",
            "timestamp is not signed: anybody could change it",
        ),
        (
            'kind: hmac, header: X, secrets_env: [S], signed: "{id}.{body}"',
            "{id} is signed, but nothing says where it is",
        ),
        ('kind: hmac, header: X, secrets_env: [S], signed: "{id}", id_header: I', "in which no body is signed"),
        ('kind: hmac, header: X, secrets_env: [S], signed: "{url}{body}"', "expected text with {body}"),
        (
            'kind: hmac, header: X, secrets_env: [S], signed: "{timestamp}{body}", timestamp_header: T, timestamp_prefix: t=',
            "timestamp_header and timestamp_prefix are both there",
        ),
        ("kind: hmac, header: X, secrets_env: []", "found an empty list"),
        ("kind: hmac, header: X Y, secrets_env: [S]", "expected the name of an HTTP header"),
        ("kind: hmac, header: X, secrets_env: [whsec_abc/+=]", "a value that is not repeated here"),
        ("kind: pgp, secrets_env: [S]", "found 'pgp'; expected one of standard_webhooks, hmac"),
        ("kind: hmac, header: X, secrets_env: [S], algorithm: md5", "expected one of sha256, sha1, sha512"),
        ("kind: standard_webhooks, secrets_env: [S], header: X", "unknown field 'header'"),
        (
            "kind: standard_webhooks, secrets_env: [S], with_api_key: true",
            "with_api_key is true, but wms has no API key",
        ),
    ],
)
def test_a_signature_that_could_not_be_checked_is_a_mistake(fields: str, told: str) -> None:
    found = changed(WMS, signed(fields))
    assert len(found) == 1
    assert told in found[0]
    assert "whsec_abc" not in found[0]


def test_parking_is_by_action_with_a_rest_and_a_default() -> None:
    read = estate(starter())
    shop, pos = read.systems["webshop"], read.systems["pos"]
    assert (shop.parked_s("order.cancel"), shop.parked_s("order.capture")) == (3_600.0, 86_400.0)
    assert pos.parking == {}
    assert pos.parked_s("order.cancel") == 86_400.0
    only = estate(
        SMALL.replace("    authority: {order: decide}\n", "    authority: {order: decide}\n    parking: {'*': 10m}\n")
    )
    assert only.systems["shop"].parked_s("order.cancel") == 600.0


@pytest.mark.parametrize(
    ("parking", "told"),
    [
        ("{order.cancle: 1h}", "found 'order.cancle', which is no action; expected an action such as order.cancel, or * for all"
         " others; did you mean order.cancel?"),
        ("{cancel: 1h}", "expected an action such as order.cancel, or * for all others"),
        ("{order.cancel: never}", "expected a duration"),
    ],
)  # fmt: skip
def test_parking_of_something_that_is_no_action_is_a_mistake(parking: str, told: str) -> None:
    found = changed("    authority: {order: decide}\n", f"    authority: {{order: decide}}\n    parking: {parking}\n")
    assert len(found) == 1
    assert told in found[0]


def test_a_whole_number_may_be_written_with_an_exponent() -> None:
    written = estate(
        SMALL.replace("kind: webshop\n", "kind: webshop\n    limits: {body_bytes_max: 2.5e6, rows_max: 2e3}\n")
    )
    assert written.systems["shop"].limits == Limits(body_bytes_max=2_500_000, rows_max=2_000)


def test_updates_limits_clocks_and_early_cancels_have_their_documented_values() -> None:
    read = estate()
    shop = read.systems["shop"]
    assert (shop.updates, shop.clock_tolerance_s, read.channels["web"].early_cancel) == ("content", 300.0, "wins")
    assert shop.limits == Limits(depth_max=32, inbound_per_s=None, inbound_burst=20, rows_max=2_000_000)
    written = estate(
        SMALL.replace("authority: {order: decide}\n", (
            "authority: {order: decide}\n    updates: numbered\n    clock_tolerance: 30s\n"
            "    limits: {depth_max: 4, inbound_per_s: 0.5, inbound_burst: 2}\n"
        )).replace("sourcing: {", "early_cancel: refuse, sourcing: {")
    )  # fmt: skip
    shop = written.systems["shop"]
    assert (shop.updates, shop.clock_tolerance_s, written.channels["web"].early_cancel) == ("numbered", 30.0, "refuse")
    assert shop.limits == Limits(depth_max=4, inbound_per_s=0.5, inbound_burst=2)
    assert (
        "expected one of content, numbered, timed, restated"
        in changed("kind: webshop", "kind: webshop\n    updates: new")[0]
    )
