"""Subscriptions in the estate: what is read, and what is told of those that cannot work."""

from __future__ import annotations

import pytest

from interlock.domain.links import RetryPolicy
from interlock.domain.subscriptions import Subscription, Topic, Webhook
from tests.contracts.tiny_estate import SMALL, estate, mistakes

HOOK = "{kind: webhook, url: 'https://crm.example/hook', secrets_env: [CRM_SECRET]}"
NATS = "{kind: broker, broker: nats, url_env: LAKE_URL, topic: retail.events}"


def with_subscription(fields: str, to: str = HOOK) -> str:
    return f"{SMALL}subscriptions:\n  crm: {{to: {to}{fields}}}\n"


def test_a_webhook_and_a_topic_are_read() -> None:
    text = with_subscription(
        ", types: [order.*], channels: [web], systems: [shop], retry: {attempts_max: 3, first: 5s}"
    )

    found = estate(f"{text}  lake: {{to: {NATS}, start: beginning, mode: binary}}\n").subscriptions

    assert found == {
        "crm": Subscription(
            name="crm",
            to=Webhook(url="https://crm.example/hook", secrets_env=("CRM_SECRET",)),
            types=("order.*",),
            channels=("web",),
            systems=("shop",),
            retry=RetryPolicy(attempts_max=3, first_s=5),
        ),
        "lake": Subscription(
            name="lake",
            to=Topic(broker="nats", url_env="LAKE_URL", topic="retail.events"),
            start="beginning",
            mode="binary",
        ),
    }


@pytest.mark.parametrize(
    ("fields", "to", "said"),
    [
        (", types: [order.cretaed]", HOOK, "'order.cretaed', which is the name of no event"),
        (", types: []", HOOK, "found an empty list"),
        (", channels: [wbe]", HOOK, "which channels does not have"),
        (", systems: [nobody]", HOOK, "which systems does not have"),
        (", batch_max: 10", NATS, "a message to a broker holds one event; expected 1, or a webhook"),
        (", batch_max: 10, mode: binary", HOOK, "several events cannot be headers and data"),
        (", start: yesterday", HOOK, "found 'yesterday'"),
        ("", "{kind: webhook, url: 'https://crm.example/hook'}", "secrets_env: missing"),
        ("", "{kind: webhook, url: 'https://u:p@crm.example', secrets_env: [A]}", "an http:// or https:// address"),
        ("", "{kind: mail, url: 'https://crm.example'}", "webhook"),
    ],
)
def test_what_cannot_work_is_told_once(fields: str, to: str, said: str) -> None:
    found = mistakes(with_subscription(fields, to))

    assert len(found) == 1, found
    assert said in found[0]
    assert "subscriptions.crm" in found[0]
