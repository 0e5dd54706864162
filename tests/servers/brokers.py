"""Real brokers for tests: NATS, RabbitMQ, Redis and Mosquitto, and the Kafka protocol.

    with running("nats", folder) as broker:
        broker.make("topic")                 the queue, stream or topic is there
        broker.put("topic", [(b"{}", {"id": "1"})])
        broker.waiting("topic")              how many are there that were not acknowledged

What stands behind "kafka" is the broker that librdkafka has for tests, in this process: it speaks the protocol over a real socket
of the loopback (produce, fetch, groups, offsets), and keeps everything in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.servers.process import HOST, Server, free_port, program

T = TypeVar("T")
Sent = Sequence[tuple[bytes, dict[str, str]]]
KINDS = ("nats", "rabbitmq", "kafka", "redis", "mqtt")


class TestBroker:
    """What the tests ask of a broker, by its own client library and not by ours."""

    __test__ = False
    kind = ""
    remembers = True
    """Whether it still has its messages when it was killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.server: Server | None = None

    @property
    def url(self) -> str:
        """Its address."""
        raise AssertionError("each broker has its own")

    def start(self) -> None:
        """Start the server."""
        assert self.server is not None
        self.server.start()

    def stop(self) -> None:
        """End it."""
        assert self.server is not None
        self.server.kill()

    def make(self, topic: str, group: str = "interlock") -> None:
        """Let the queue, stream or topic be there."""

    def put(self, topic: str, messages: Sent) -> None:
        """Send messages in this order, and wait until the broker has them."""
        raise AssertionError("each broker has its own")

    def waiting(self, topic: str, group: str = "interlock") -> int:
        """How many messages the group has not acknowledged."""
        raise AssertionError("each broker has its own")


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[TestBroker]:
    """A broker of a kind, until the block ends. Skips the test where the machine does not have it."""
    folder.mkdir(parents=True, exist_ok=True)
    broker = _KINDS[kind](folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def wait_for(work: Awaitable[T]) -> T:
    """The result of something asynchronous."""

    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(bounded())


class NatsServer(TestBroker):
    kind = "nats"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        settings = folder / "nats.conf"
        settings.write_text(
            f'listen: "{HOST}:{self.port}"\njetstream {{ store_dir: "{folder}/jetstream", sync_interval: always }}\n'
        )
        here = Path(__import__("sys").executable).parent / "nats-server"
        self.server = Server([program("nats-server", str(here)), "-c", str(settings)], folder, self.port)

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    def make(self, topic: str, group: str = "interlock") -> None:
        async def make(stream: Any) -> None:
            await stream.add_stream(name=topic.split(".")[0].upper(), subjects=[f"{topic.split('.')[0]}.>"])

        with contextlib.suppress(Exception):
            wait_for(self._with(make))

    def put(self, topic: str, messages: Sent) -> None:
        async def put(stream: Any) -> None:
            for body, headers in messages:
                given = {name: value for name, value in headers.items() if name != "id"}
                if "id" in headers:
                    given["Nats-Msg-Id"] = headers["id"]
                await stream.publish(topic, body, headers=given)

        wait_for(self._with(put))

    def waiting(self, topic: str, group: str = "interlock") -> int:
        async def count(stream: Any) -> int:
            found = await stream.consumer_info(topic.split(".")[0].upper(), group)
            return int(found.num_pending + found.num_ack_pending)

        return wait_for(self._with(count))

    async def _with(self, work: Callable[[Any], Awaitable[T]]) -> T:
        import nats

        client = await nats.connect(self.url, allow_reconnect=False)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()


class RabbitServer(TestBroker):
    kind = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        server = program("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
        # The wrapper in /usr/sbin changes the user; the script behind it runs as whoever we are.
        server = "/usr/lib/rabbitmq/bin/rabbitmq-server" if Path("/usr/lib/rabbitmq/bin").is_dir() else server
        names = free_port()
        self._names = Server([program("epmd"), "-address", HOST, "-port", str(names)], folder, names)
        (folder / "rabbit.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\nvm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 10MB\n"
        )
        (folder / "plugins").write_text("[].")
        (folder / ".erlang.cookie").write_text("interlocktests")
        (folder / ".erlang.cookie").chmod(0o400)
        environment = {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbit.conf"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "expand"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self.server = Server([server], folder, self.port, environment=environment, within_s=60)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.port}/"

    def start(self) -> None:
        self._names.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self._names.kill()

    def make(self, topic: str, group: str = "interlock") -> None:
        async def make(channel: Any) -> None:
            await channel.declare_queue(topic, durable=True)

        wait_for(self._with(make))

    def put(self, topic: str, messages: Sent) -> None:
        import aio_pika

        async def put(channel: Any) -> None:
            for body, headers in messages:
                rest = {name: value for name, value in headers.items() if name != "id"}
                message = aio_pika.Message(
                    body, message_id=headers.get("id"), headers=rest, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                )
                await channel.default_exchange.publish(message, routing_key=topic)

        wait_for(self._with(put))

    def waiting(self, topic: str, group: str = "interlock") -> int:
        # A passive declaration tells what is ready; what is unacknowledged is told by nobody who is not its consumer. So this
        # is asked when the consumer has gone, and the broker has put it back.
        async def count(channel: Any) -> int:
            found = await channel.declare_queue(topic, durable=True, passive=True)
            return int(found.declaration_result.message_count or 0)

        return wait_for(self._with(count))

    async def _with(self, work: Callable[[Any], Awaitable[T]]) -> T:
        import aio_pika

        connection = await aio_pika.connect(self.url)
        async with connection, connection.channel() as channel:
            return await work(channel)


class KafkaServer(TestBroker):
    kind = "kafka"
    remembers = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mock: Any = None
        self._address = ""

    @property
    def url(self) -> str:
        return self._address

    def start(self) -> None:
        from confluent_kafka import Producer

        self._mock = Producer({"bootstrap.servers": f"{HOST}:1", "test.mock.num.brokers": 1, "log_level": 0})
        brokers = self._mock.list_topics(timeout=10).brokers.values()
        self._address = ",".join(f"{each.host}:{each.port}" for each in brokers)

    def stop(self) -> None:
        self._mock = None

    def put(self, topic: str, messages: Sent) -> None:
        from aiokafka import AIOKafkaProducer

        async def put() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self.url, acks="all")
            await producer.start()
            try:
                # One partition, for the order is of a partition.
                sent = [
                    await producer.send(
                        topic, body, partition=0, headers=[(n, v.encode()) for n, v in self._own(headers)]
                    )
                    for body, headers in messages
                ]
                await asyncio.gather(*sent)
            finally:
                await producer.stop()

        wait_for(put())

    @staticmethod
    def _own(headers: dict[str, str]) -> list[tuple[str, str]]:
        return [("message_id" if name == "id" else name, value) for name, value in headers.items()]

    def waiting(self, topic: str, group: str = "interlock") -> int:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        async def count() -> int:
            consumer = AIOKafkaConsumer(bootstrap_servers=self.url, group_id=group, enable_auto_commit=False)
            await consumer.start()
            try:
                place = TopicPartition(topic, 0)
                ends = await consumer.end_offsets([place])
                return int(ends[place] - (await consumer.committed(place) or 0))
            finally:
                await consumer.stop()

        return wait_for(count())


class RedisServer(TestBroker):
    kind = "redis"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = Server(
            [program("redis-server"), "--bind", HOST, "--port", str(self.port), "--dir", str(folder)]
            + ["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
            folder,
            self.port,
            ready=self._answers,
        )

    def _answers(self) -> bool:
        import redis

        with contextlib.suppress(redis.RedisError), redis.Redis(HOST, self.port) as client:
            return bool(client.ping())
        return False

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def put(self, topic: str, messages: Sent) -> None:
        import redis

        with redis.Redis(HOST, self.port) as client, client.pipeline() as many:
            for body, headers in messages:
                own = {"message_id" if name == "id" else name: value for name, value in headers.items()}
                many.xadd(topic, {"body": body, **own})
            many.execute()

    def waiting(self, topic: str, group: str = "interlock") -> int:
        import redis

        with redis.Redis(HOST, self.port) as client:
            found = next(each for each in client.xinfo_groups(topic) if each["name"] == group.encode())
            return int(found["pending"]) + int(found["lag"] or 0)


class MqttServer(TestBroker):
    kind = "mqtt"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        settings = folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous true\npersistence true\npersistence_location {folder}/\n"
            "autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\nuser root\n"
        )
        self.server = Server([program("mosquitto", "/usr/sbin/mosquitto"), "-c", str(settings)], folder, self.port)

    @property
    def url(self) -> str:
        return f"mqtt://{HOST}:{self.port}"

    def put(self, topic: str, messages: Sent) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.max_inflight_messages_set(20)
        client.connect(HOST, self.port)
        client.loop_start()
        try:
            sent = []
            for body, headers in messages:
                properties = Properties(PacketTypes.PUBLISH)
                own = [("message_id" if name == "id" else name, value) for name, value in headers.items()]
                if own:
                    properties.UserProperty = own
                sent.append(client.publish(topic, body, qos=1, properties=properties))
            for each in sent:
                each.wait_for_publish(20)
        finally:
            client.disconnect()
            client.loop_stop()

    def waiting(self, topic: str, group: str = "interlock") -> int:
        # MQTT has no way to ask. What was not acknowledged comes again to the next who opens the session.
        raise AssertionError("MQTT does not tell")


_KINDS: dict[str, type[TestBroker]] = {
    each.kind: each for each in (NatsServer, RabbitServer, KafkaServer, RedisServer, MqttServer)
}
