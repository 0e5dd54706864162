"""Messages of five kinds of brokers, one shape: what FastStream gives us, and how each of them is told "taken" or "not yet".

    wire = open_wire(link, url, owner="interlock-shop7", session="interlock.wms.orders")
    await wire.open(give)            # `give` gets messages as they come, and makes the broker wait while it is full
    await wire.settle(messages)      # they are in the database: the broker may forget them
    await wire.hold(messages)        # we are still at them
    await wire.close()               # what was not settled comes again, to us or to another process

Each message is acknowledged by itself, never "all up to here": another process may have taken those before it.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from aiokafka import TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import CommitFailedError, IllegalStateError  # type: ignore[import-untyped]
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.mqtt import MQTTBroker
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.redis import RedisBroker, StreamSub
from nats.js.api import AckPolicy as JetStreamAck
from nats.js.api import ConsumerConfig, DeliverPolicy
from zmqtt import QoS, ReconnectConfig

from interlock.domain.links import Broker, BrokerIn

PING_S: Final = 5.0
REDELIVER_S: Final = 30.0
FETCH_S: Final = 0.25
HEADERS_MAX: Final = 100
UNACKNOWLEDGED_MAX: Final = 65_536
_BODY_FIELDS: Final = (b"body", b"data", b"payload", b"message", b"value", b"json")


class Message(NamedTuple):
    """One message as it came. `message_id` is the sender's or, where there is none, the broker's own name for it;
    `handle` is what FastStream needs to acknowledge it.
    """

    body: bytes
    topic: str
    key: str
    message_id: str | None
    headers: Mapping[str, str]
    handle: Any


Give = Callable[[list[Message], bool], Awaitable[None]]
"""Takes messages that came; with True it returns only when they are settled."""


class Wire(ABC):
    """One link to one broker. All of it runs in one event loop."""

    exclusive: ClassVar[bool] = False
    """Whether only one process may read at a time, because the broker knows no group of readers that share the work."""

    def __init__(self, link: BrokerIn, url: str, owner: str, session: str, redeliver_s: float) -> None:
        self.link, self.url, self.owner, self.session, self.redeliver_s = link, url, owner, session, redeliver_s
        self._broker: Any = None
        self._subscribers: list[Any] = []

    @abstractmethod
    async def open(self, give: Give) -> None:
        """Connect, and let messages come."""

    async def settle(self, messages: Sequence[Message]) -> None:
        """Acknowledge each of them."""
        for message in messages:
            await message.handle.ack()

    async def hold(self, messages: Sequence[Message]) -> None:  # noqa: B027 - most brokers wait
        """Say that we are still at them, where the broker would give them to another one after a time."""

    async def give_back(self, messages: Sequence[Message]) -> None:  # noqa: B027 - most brokers need not be told
        """Let them come again at once, where the broker would wait."""

    async def is_alive(self) -> bool:
        """Whether the broker answers and its messages still come to us."""
        return all(each.running for each in self._subscribers) and bool(await self._broker.ping(PING_S))

    async def close(self) -> None:
        """End the connection."""
        if self._broker is not None:
            await self._broker.stop()

    async def _start(self, broker: Any, subscribers: Sequence[Any], handler: Callable[[Any], Awaitable[None]]) -> None:
        self._broker, self._subscribers = broker, list(subscribers)
        for subscriber in subscribers:
            subscriber(handler)
        await broker.start()


def open_wire(link: BrokerIn, url: str, *, owner: str, session: str, redeliver_s: float = REDELIVER_S) -> Wire:
    """The wire of a link. `owner` names this process's host to the broker, `session` the link for ever; `redeliver_s` is after
    how long without a word from us a message is given to another process.
    """
    return _WIRES[link.broker](link, url, owner, session, redeliver_s)


def itself(message: Any) -> Any:
    """A FastStream decoder that decodes nothing: what a body means is our formats' affair."""
    return message


QUIET: Final[dict[str, Any]] = {"logger": None, "apply_types": False}
_BY_HAND: Final[dict[str, Any]] = {"ack_policy": AckPolicy.MANUAL, "no_reply": True, "decoder": itself}


class _Nats(Wire):
    """NATS JetStream: a durable pull consumer, explicit acknowledgment of each message."""

    async def open(self, give: Give) -> None:
        # Were it to give up, FastStream would ask a closed connection in a loop that lets nothing else run.
        broker = NatsBroker(_servers(self.url), max_reconnect_attempts=-1, reconnect_time_wait=1, **QUIET)
        config = ConsumerConfig(
            ack_policy=JetStreamAck.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=self.redeliver_s,
            max_ack_pending=max(1_000, 4 * self.link.batch_max),
        )
        subscriber = broker.subscriber(
            self.link.topic,
            durable=self.link.group,
            config=config,
            pull_sub=PullSub(batch_size=self.link.batch_max, timeout=FETCH_S, batch=True),
            stream=JStream(self.link.stream or _stream_name(self.link.topic), declare=False),
            **_BY_HAND,
        )

        async def handle(batch: Any) -> None:
            await give([_nats_message(each) for each in batch.raw_message], True)

        await self._start(broker, [subscriber], handle)

    async def hold(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await message.handle.in_progress()

    async def give_back(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await message.handle.nak()


def _nats_message(message: Any) -> Message:
    headers = _headers((message.headers or {}).items())
    place = message.metadata
    own = f"{place.stream}:{place.sequence.stream}"
    return Message(message.data, message.subject, "", headers.get("nats-msg-id", own), headers, message)


class _Rabbit(Wire):
    """RabbitMQ: a queue that is there (we declare none, since its arguments are its owner's); two batches are in hand at most."""

    async def open(self, give: Give) -> None:
        broker = RabbitBroker(self.url, fail_fast=True, reconnect_interval=2.0, **QUIET)
        channel = Channel(prefetch_count=min(65_535, 2 * self.link.batch_max))
        queue = RabbitQueue(self.link.topic, durable=True, declare=False)
        subscriber = broker.subscriber(queue, RabbitExchange(""), channel=channel, **_BY_HAND)

        early: dict[int, Any] = {}
        channel_now: Any = None
        expected = 1
        in_turn = asyncio.Lock()

        async def handle(message: Any) -> None:
            # Each message is handled in a task of its own, and those overtake each other: the channel's numbers say the order.
            nonlocal channel_now, expected
            raw = message.raw_message
            if raw.channel is not channel_now:
                channel_now, expected = raw.channel, 1
                early.clear()
            early[raw.delivery_tag] = message
            async with in_turn:
                while (following := early.pop(expected, None)) is not None:
                    expected += 1
                    await give([_rabbit_message(following)], False)

        await self._start(broker, [subscriber], handle)


def _rabbit_message(message: Any) -> Message:
    raw = message.raw_message
    headers = _headers({**(raw.headers or {}), "content-type": raw.content_type, "type": raw.type}.items())
    return Message(raw.body, raw.routing_key or "", "", raw.message_id, headers, message)


class _Kafka(Wire):
    """Kafka: a consumer group whose offsets are committed by us, partition by partition."""

    async def open(self, give: Give) -> None:
        broker = KafkaBroker(_servers(self.url), client_id=self.owner, **QUIET)
        subscriber = broker.subscriber(
            self.link.topic,
            group_id=self.link.group,
            batch=True,
            max_records=self.link.batch_max,
            batch_timeout_ms=int(FETCH_S * 1000),
            auto_offset_reset="earliest",
            session_timeout_ms=max(6_000, int(self.redeliver_s * 1000)),
            heartbeat_interval_ms=2_000,
            **_BY_HAND,
        )

        async def handle(batch: Any) -> None:
            await give([_kafka_message(each, batch) for each in batch.raw_message], True)

        await self._start(broker, [subscriber], handle)

    async def settle(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        offsets: dict[TopicPartition, int] = {}
        for message in messages:
            record, _ = message.handle
            place = TopicPartition(record.topic, record.partition)
            offsets[place] = max(offsets.get(place, 0), record.offset + 1)
        # Where the partition is another process's by now, that takes them again, and the ledger knows them.
        with contextlib.suppress(CommitFailedError, IllegalStateError):
            await messages[0].handle[1].consumer.commit(offsets)


def _kafka_message(record: Any, batch: Any) -> Message:
    headers = _headers(record.headers or ())
    own = f"{record.topic}:{record.partition}:{record.offset}"
    key = record.key.decode("utf-8", "replace") if record.key else ""
    return Message(record.value or b"", record.topic, key, headers.get("message_id", own), headers, (record, batch))


class _Redis(Wire):
    """Redis streams: a consumer group; what another consumer left unacknowledged is claimed after `redeliver_s`."""

    async def open(self, give: Give) -> None:
        broker = RedisBroker(self.url, parser=_redis_parser, **QUIET)
        ours: dict[str, Any] = {"stream": self.link.topic, "group": self.link.group, "consumer": self.owner}
        fresh = StreamSub(**ours, last_id=">", polling_interval=250, max_records=self.link.batch_max)
        left = StreamSub(**ours, polling_interval=1_000, min_idle_time=int(self.redeliver_s * 1000))
        in_hand = self._in_hand = set[bytes]()

        async def handle(message: Any) -> None:
            # What we are still at, because the database is away, comes again as left behind: it is in hand already.
            if message.raw_message["message_ids"][0] not in in_hand:
                in_hand.add(message.raw_message["message_ids"][0])
                await give([_redis_message(message)], False)

        client = await broker.connect()
        await _ensure_group(client, self.link.topic, self.link.group)
        await self._start(broker, [broker.subscriber(stream=each, **_BY_HAND) for each in (fresh, left)], handle)

    async def settle(self, messages: Sequence[Message]) -> None:
        ids = [message.handle.raw_message["message_ids"][0] for message in messages]
        if ids:
            await (await self._broker.connect()).xack(self.link.topic, self.link.group, *ids)
        self._in_hand.difference_update(ids)


async def _ensure_group(client: Any, stream: str, group: str) -> None:
    """Make the group at the stream's beginning, so that nothing is missed that came before us."""
    try:
        await client.xgroup_create(stream, group, id="0", mkstream=True)
    except Exception as error:
        if "BUSYGROUP" not in str(error):
            raise


async def _redis_parser(message: dict[str, Any], original: Callable[[Any], Awaitable[Any]]) -> Any:
    """Make FastStream see one field only; what others wrote stays beside it."""
    fields = message["data"]
    message["fields"] = fields
    message["data"] = {b"__data__": _redis_body(fields)}
    return await original(message)


def _redis_body(fields: Mapping[bytes, bytes]) -> bytes:
    """The field that holds the body, by its usual names or as the only one; else all fields as a JSON object."""
    for name in (b"__data__", *_BODY_FIELDS):
        if name in fields:
            return fields[name]
    if len(fields) == 1:
        return next(iter(fields.values()))
    return msgspec.json.encode({_text(name): _text(value) for name, value in fields.items()})


def _redis_message(message: Any) -> Message:
    raw = message.raw_message
    fields = {name: value for name, value in raw["fields"].items() if name not in (b"__data__", *_BODY_FIELDS)}
    headers = _headers([*fields.items(), *message.headers.items()])
    name = _text(raw["channel"])
    own = f"{name}:{_text(raw['message_ids'][0])}"
    given = headers.get("message_id") or headers.get("id")
    return Message(bytes(message.body), name, headers.get("key", ""), given or own, headers, message)


class _Mqtt(Wire):
    """MQTT 5, QoS 1: one session for all processes, kept for a week, read by one of them at a time."""

    exclusive = True

    async def open(self, give: Give) -> None:
        # How many may be in hand is the broker's own limit: some pass over a smaller one of ours when a session is taken up.
        kept = {"session_expiry_interval": 7 * 86_400}
        broker = mqtt_broker(self.url, kept, client_id=self.session, clean_session=False, session_replay_buffer_size=0)
        subscriber = broker.subscriber(self.link.topic, qos=QoS.AT_LEAST_ONCE, **_BY_HAND)

        async def handle(message: Any) -> None:
            await give([_mqtt_message(message)], False)

        # A session that is taken up sends all that waits before it answers: as many as may be unacknowledged must find room,
        # or the answer is never read.
        client = await broker.connect()
        vars(client)["subscribe"] = partial(client.subscribe, receive_buffer_size=UNACKNOWLEDGED_MAX)
        await self._start(broker, [subscriber], handle)

    async def close(self) -> None:
        # FastStream would unsubscribe, and the broker forget what comes until we are back: only the connection ends.
        if self._broker is not None:
            for subscriber in self._subscribers:
                subscription, subscriber._subscription = subscriber._subscription, None
                if subscription is not None:
                    await subscription.detach()
            await self._broker.stop()


def mqtt_broker(url: str, of_version_5: Mapping[str, Any], **how: Any) -> MQTTBroker:
    """A broker that speaks MQTT 5, or 3.1.1 where the address ends in `?version=3.1.1`."""
    address, _, version = url.partition("?version=")
    options = {"version": "3.1.1"} if version == "3.1.1" else {"version": "5.0", **of_version_5}
    return MQTTBroker(address, reconnect=ReconnectConfig(enabled=False), **options, **how, **QUIET)


def _mqtt_message(message: Any) -> Message:
    raw = message.raw_message
    headers = _headers(message.headers.items())
    if message.content_type:
        headers.setdefault("content-type", message.content_type)
    return Message(bytes(raw.payload), raw.topic, "", headers.get("message_id"), headers, message)


_WIRES: Final[dict[Broker, type[Wire]]] = {
    "nats": _Nats,
    "rabbitmq": _Rabbit,
    "kafka": _Kafka,
    "redis": _Redis,
    "mqtt": _Mqtt,
}


def place_of(url: str) -> str:
    """The address without user and password, for people."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    return f"{parts.scheme or 'broker'}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"


def _servers(url: str) -> list[str]:
    return [each.strip().removeprefix("kafka://") for each in url.split(",") if each.strip()]


def _stream_name(topic: str) -> str:
    """The stream that a subject usually lies in, where the estate names none: its first word in capital letters."""
    return topic.split(".")[0].upper()


def _headers(items: Any) -> dict[str, str]:
    """Headers by their names in small letters, all of them text."""
    found: dict[str, str] = {}
    for name, value in items:
        if value is not None and len(found) < HEADERS_MAX:
            found[_text(name).lower()] = _text(value)
    return found


def _text(value: object) -> str:
    return cast(bytes, value).decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
