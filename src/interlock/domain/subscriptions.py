"""Subscriptions: who is sent the events that Interlock publishes, by which way, which of them, and what happens when that fails.

These are values of `estate.yaml` (`subscriptions:`); docs/events.md tells what each does.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from interlock.domain.links import Base, Broker, RetryPolicy


class Webhook(Base, tag_field="kind", tag="webhook", frozen=True, kw_only=True):
    """POSTs to an address, signed by the Standard Webhooks scheme.

    `secrets_env` names the environment variables that hold the secrets (`whsec_` and base64); each gives a signature, so that the
    subscriber may change over from one to the other.
    """

    url: str
    secrets_env: tuple[str, ...]
    token_env: str | None = None
    timeout_s: float = 15.0


class Topic(Base, tag_field="kind", tag="broker", frozen=True, kw_only=True):
    """A subject, queue, topic or stream of a message broker, whose address is in the variable `url_env`."""

    broker: Broker
    url_env: str
    topic: str
    stream: str = ""
    timeout_s: float = 10.0


class Subscription(Base, frozen=True, kw_only=True):
    """One subscriber and what it is sent.

    `types` are patterns over the names of events, `channels` those of the orders, `systems` those that caused the events; none is
    all. `start` is where it begins when it is seen for the first time. `batch_max` above 1 sends so many events of one part in a
    request. `at_once`: how many parts are served at the same time. `requests_per_s` and `burst` are its pace, `budget` the share
    of an hour's attempts that may be repeated ones. `pause_after` failures in a row pause it; 0 is never.
    """

    name: str
    to: Webhook | Topic
    types: tuple[str, ...] = ("*",)
    channels: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    start: Literal["now", "beginning"] = "now"
    mode: Literal["structured", "binary"] = "structured"
    batch_max: int = 1
    at_once: int = 16
    requests_per_s: float | None = None
    burst: int = 10
    retry: RetryPolicy = RetryPolicy()
    budget: float = 1.0
    pause_after: int = 20

    def wants(self, event_type: str) -> bool:
        """Whether events of that type are sent."""
        return any(fnmatchcase(event_type, pattern) for pattern in self.types)
