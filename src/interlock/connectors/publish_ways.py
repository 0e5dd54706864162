"""Ways to a subscriber: an event, or several, as CloudEvents in a signed POST or in a message to a broker.

    way = publish_way(subscription, envelope, environment)
    for parcel in way.parcels(events):
        way.send(parcel, now)               # returns when the subscriber has it

A way raises PeerUnreachable where another try is worth it, PeerRefused where none is, NoLonger where nothing more is wanted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import quote

from interlock.connectors.transports.webhook_out import WebhookSender
from interlock.contracts.cloudevents import BATCH, STRUCTURED, Binding, Envelope, attributes, batch, binary, structured
from interlock.domain.links import Broker, BrokerOut
from interlock.domain.subscriptions import Subscription, Topic, Webhook
from interlock.storage.events_feed import EventRow

if TYPE_CHECKING:
    from interlock.connectors.transports.broker_out import Publisher

BATCH_BYTES_MAX: Final = 1_000_000
"""A batch is closed before it would be larger; one event alone may be."""
_SAFE: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
_BINDINGS: Final[dict[Broker, Binding]] = {
    "nats": "nats",
    "rabbitmq": "amqp",
    "kafka": "kafka",
    "redis": "nats",
    "mqtt": "mqtt",
}


class Parcel(NamedTuple):
    """What goes in one request: the events of it, under the id of the first."""

    events: tuple[EventRow, ...]
    message_id: str
    body: bytes
    headers: dict[str, str]


class PublishWay(Protocol):
    """One subscriber's transport. Safe to share between threads."""

    @property
    def timeout_s(self) -> float:
        """How long one request may take."""

    def parcels(self, events: Sequence[EventRow], batch_max: int) -> list[Parcel]:
        """The events as they go, in their order, at most so many together."""

    def send(self, parcel: Parcel, now: datetime) -> None:
        """Return when the subscriber has it. Raises PeerUnreachable, PeerRefused or NoLonger."""

    def close(self) -> None:
        """End what is open."""


def publish_way(
    subscription: Subscription, envelope: Envelope, environment: Mapping[str, str] = os.environ
) -> PublishWay:
    """The way that a subscription describes."""
    match subscription.to:
        case Webhook() as to:
            return WebhookWay(to, subscription, envelope, environment)
        case Topic() as to:
            from interlock.connectors.transports.broker_out import Publisher  # five brokers' clients are heavy

            out = BrokerOut(
                broker=to.broker, url_env=to.url_env, topic=to.topic, stream=to.stream, timeout_s=to.timeout_s
            )
            return BrokerWay(to, subscription, envelope, Publisher(out, environment))


class WebhookWay:
    """Signed POSTs."""

    def __init__(
        self, to: Webhook, subscription: Subscription, envelope: Envelope, environment: Mapping[str, str]
    ) -> None:
        self.timeout_s = to.timeout_s
        self._envelope, self._binary = envelope, subscription.mode == "binary"
        self._sender = WebhookSender(to, environment)

    def parcels(self, events: Sequence[EventRow], batch_max: int) -> list[Parcel]:
        if batch_max > 1:
            return [self._batch(each) for each in _batches(events, batch_max)]
        return [self._single(event) for event in events]

    def _single(self, event: EventRow) -> Parcel:
        message_id = attributes(event, self._envelope)["id"]
        if self._binary:
            headers, body = binary(event, self._envelope)
        else:
            headers, body = {"content-type": STRUCTURED}, structured(event, self._envelope)
        return Parcel((event,), quote(message_id, safe=_SAFE), body, headers)

    def _batch(self, events: Sequence[EventRow]) -> Parcel:
        message_id = attributes(events[0], self._envelope)["id"]
        body = batch(events, self._envelope)
        return Parcel(tuple(events), quote(message_id, safe=_SAFE), body, {"content-type": BATCH})

    def send(self, parcel: Parcel, now: datetime) -> None:
        self._sender.send(parcel.message_id, parcel.body, parcel.headers, now)

    def close(self) -> None:
        self._sender.close()


class BrokerWay:
    """Messages to a broker, one an event, those of an order under one key."""

    def __init__(self, to: Topic, subscription: Subscription, envelope: Envelope, publisher: Publisher) -> None:
        self.timeout_s = 2 * to.timeout_s + 1  # connecting, and the broker's word
        self._envelope, self._publisher = envelope, publisher
        binding = _BINDINGS[to.broker]
        self._written = partial(binary, binding=binding) if subscription.mode == "binary" else _whole

    def parcels(self, events: Sequence[EventRow], batch_max: int) -> list[Parcel]:  # noqa: ARG002 - always one
        parcels = []
        for event in events:
            headers, body = self._written(event, self._envelope)
            parcels.append(Parcel((event,), f"{event.order_id}/{event.seq}", body, headers))
        return parcels

    def send(self, parcel: Parcel, now: datetime) -> None:  # noqa: ARG002 - a broker asks for no signature
        headers = {name: value for name, value in parcel.headers.items() if name != "content-type"}
        self._publisher.publish(
            parcel.body,
            message_id=parcel.message_id,
            key=parcel.events[0].order_id,
            content_type=parcel.headers["content-type"],
            headers=headers,
        )

    def close(self) -> None:
        self._publisher.close()


def _whole(event: EventRow, envelope: Envelope) -> tuple[dict[str, str], bytes]:
    return {"content-type": STRUCTURED}, structured(event, envelope)


def _batches(events: Sequence[EventRow], batch_max: int) -> list[list[EventRow]]:
    """The events in their order, so many together as a request may hold."""
    batches: list[list[EventRow]] = []
    size = 0
    for event in events:
        length = len(event.body) + 1_000  # what the envelope says of it beside the data
        if not batches or len(batches[-1]) == batch_max or size + length > BATCH_BYTES_MAX:
            batches.append([])
            size = 0
        batches[-1].append(event)
        size += length
    return batches
