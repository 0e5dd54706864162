"""Messages to a broker, one by one, each confirmed by it before `publish` returns.

    publisher = Publisher(out)
    publisher.publish(body, message_id="web:1/5/1", key="web:1", content_type="application/json")
    publisher.close()

    NATS        JetStream's acknowledgment; the message id is Nats-Msg-Id, by which the stream knows a repetition
    RabbitMQ    the publisher confirm, of a message that is kept on disk and reached a queue
    Kafka       acks=all; the key chooses the partition, so that messages of one order stay in order
    Redis       the reply to XADD; fields body, message_id, key, content_type and the headers
    MQTT        PUBACK (QoS 1)

Raises PeerUnreachable where another try is worth it, PeerRefused where the broker will never take this message.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import Any, Final, NamedTuple

from aiokafka.errors import MessageSizeTooLargeError, RecordTooLargeError  # type: ignore[import-untyped]
from aiormq.exceptions import PublishError
from faststream.kafka import KafkaBroker
from faststream.nats import NatsBroker
from faststream.rabbit import Channel, RabbitBroker
from faststream.redis import RedisBroker
from nats.errors import MaxPayloadError
from zmqtt import MQTTPublishError, QoS

from interlock.connectors.transports.brokers import QUIET, mqtt_broker, place_of
from interlock.domain.errors import PeerRefused, PeerUnreachable
from interlock.domain.links import Broker, BrokerOut

CLOSE_S_MAX: Final = 10.0


class Publisher:
    """The way to one topic of one broker. Safe to share between threads; connects when it is first used."""

    def __init__(self, out: BrokerOut, environment: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._environment = environment
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._road: _Road | None = None
        self._connecting: asyncio.Lock | None = None

    def publish(
        self,
        body: bytes,
        *,
        message_id: str,
        key: str = "",
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send one message, and return when the broker has it. Raises PeerUnreachable or PeerRefused."""
        said = {**(headers or {}), "content-type": content_type, "message_id": message_id}
        sending = asyncio.run_coroutine_threadsafe(self._send(body, message_id, key, said), self._started())
        try:
            sending.result(2 * self._out.timeout_s + 1)
        except WaitedTooLong as error:
            sending.cancel()
            raise PeerUnreachable(f"{self._where()}: it did not confirm within {self._out.timeout_s:g} s") from error

    def close(self) -> None:
        """End the connection and the thread."""
        with self._starting:
            loop, self._loop = self._loop, None
        if loop is not None:
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(self._leave(), loop).result(CLOSE_S_MAX)
            loop.call_soon_threadsafe(loop.stop)
            if self._thread is not None:
                self._thread.join(CLOSE_S_MAX)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run, args=(self._loop,), name=f"publish-{self._out.topic}", daemon=True
                )
                self._thread.start()
            return self._loop

    async def _send(self, body: bytes, message_id: str, key: str, headers: dict[str, str]) -> None:
        try:
            async with asyncio.timeout(self._out.timeout_s):
                road = await self._connected()
                await road.send(_Sent(body, message_id, key, headers))
        except PeerUnreachable:
            raise
        except _TOO_LARGE as error:
            raise PeerRefused(f"{self._where()}: {len(body)} bytes are more than it takes: {error}") from error
        except MQTTPublishError as error:
            if getattr(error, "reason_code", 0) in _MQTT_NEVER:
                raise PeerRefused(f"{self._where()}: {error}") from error
            raise PeerUnreachable(f"{self._where()}: {error}") from error
        except Exception as error:  # clients of five brokers raise what they like
            await self._leave()  # the next one begins with a new connection
            raise PeerUnreachable(f"{self._where()}: {type(error).__name__}: {error}".rstrip(": ")) from error

    async def _connected(self) -> _Road:
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._road is None:
                url = self._environment.get(self._out.url_env, "").strip()
                if not url:
                    raise PeerUnreachable(f"{self._where()}: set the environment variable {self._out.url_env}")
                road = _ROADS[self._out.broker](self._out, url)
                try:
                    await road.open()
                except BaseException:
                    await _quietly(road.close)
                    raise
                self._road = road
            return self._road

    async def _leave(self) -> None:
        road, self._road = self._road, None
        if road is not None:
            await _quietly(road.close)

    def _where(self) -> str:
        url = self._environment.get(self._out.url_env, "").split(",")[0]
        return f"{self._out.broker} {place_of(url) if url else ''} {self._out.topic}".replace("  ", " ")


class _Sent(NamedTuple):
    """One message that is to go out."""

    body: bytes
    message_id: str
    key: str
    headers: dict[str, str]


class _Road(ABC):
    """How one kind of broker is written to."""

    def __init__(self, out: BrokerOut, url: str) -> None:
        self.out, self.url = out, url
        self.broker: Any = None

    async def open(self) -> None:
        """Connect."""
        await self.broker.start()

    @abstractmethod
    async def send(self, sent: _Sent) -> None:
        """Send one, and wait until it is confirmed."""

    async def close(self) -> None:
        """End the connection."""
        if self.broker is not None:
            await self.broker.stop()


class _Nats(_Road):
    async def open(self) -> None:
        servers = [each.strip() for each in self.url.split(",")]
        self.broker = NatsBroker(servers, max_reconnect_attempts=-1, reconnect_time_wait=1, **QUIET)
        await super().open()

    async def send(self, sent: _Sent) -> None:
        given = {**sent.headers, "Nats-Msg-Id": sent.message_id}
        stream = self.out.stream or self.out.topic.split(".")[0].upper()
        await self.broker.publish(sent.body, self.out.topic, headers=given, stream=stream, timeout=self.out.timeout_s)


class _Rabbit(_Road):
    async def open(self) -> None:
        confirmed = Channel(publisher_confirms=True, on_return_raises=True)
        self.broker = RabbitBroker(self.url, default_channel=confirmed, **QUIET)
        await super().open()

    async def send(self, sent: _Sent) -> None:
        try:
            await self.broker.publish(
                sent.body,
                self.out.topic,
                mandatory=True,
                persist=True,
                message_id=sent.message_id,
                content_type=sent.headers["content-type"],
                headers={name: value for name, value in sent.headers.items() if name != "content-type"},
                timeout=self.out.timeout_s,
            )
        except PublishError as error:
            raise PeerUnreachable(f"rabbitmq has no queue {self.out.topic}, or its queue is full: {error}") from error


class _Kafka(_Road):
    async def open(self) -> None:
        servers = [each.strip().removeprefix("kafka://") for each in self.url.split(",")]
        self.broker = KafkaBroker(servers, acks="all", enable_idempotence=True, **QUIET)
        await super().open()

    async def send(self, sent: _Sent) -> None:
        await self.broker.publish(sent.body, self.out.topic, key=sent.key.encode() or None, headers=sent.headers)


class _Redis(_Road):
    async def open(self) -> None:
        self.broker = RedisBroker(self.url, **QUIET)
        self._client: Any = await self.broker.connect()
        await self._client.ping()

    async def send(self, sent: _Sent) -> None:
        # Not by FastStream's own envelope: who reads the stream need not know it.
        fields = {**sent.headers, "content_type": sent.headers["content-type"], "key": sent.key, "body": sent.body}
        del fields["content-type"]
        await self._client.xadd(self.out.topic, {name: value for name, value in fields.items() if value})


class _Mqtt(_Road):
    async def open(self) -> None:
        self.broker = mqtt_broker(self.url, {})
        await super().open()

    async def send(self, sent: _Sent) -> None:
        await self.broker.publish(sent.body, self.out.topic, qos=QoS.AT_LEAST_ONCE, headers=sent.headers)


_ROADS: Final[dict[Broker, type[_Road]]] = {
    "nats": _Nats,
    "rabbitmq": _Rabbit,
    "kafka": _Kafka,
    "redis": _Redis,
    "mqtt": _Mqtt,
}
_TOO_LARGE: Final = (MaxPayloadError, MessageSizeTooLargeError, RecordTooLargeError)
_MQTT_NEVER: Final = frozenset({0x90, 0x95, 0x99})
"""MQTT 5: topic name invalid, packet too large, payload format invalid."""


async def _quietly(work: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_S_MAX):
            await work()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        # What a client has left behind whose broker went away, so that nothing of it is found when the loop is gone.
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left, timeout=CLOSE_S_MAX))
    finally:
        loop.close()
