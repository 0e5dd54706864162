"""Each broker's own ways, on its real server: what the suite of all transports cannot ask of all of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.broker_in import BrokerSource
from interlock.connectors.transports.broker_out import Publisher
from interlock.connectors.transports.brokers import place_of
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable, PeerRefused, PeerUnreachable
from interlock.domain.links import BrokerIn, BrokerOut, Format
from interlock.domain.values import SystemId
from interlock.engine.door import Door as RealDoor
from interlock.storage.database import Database
from tests.conformance.carriers import MAPPING, estate_with
from tests.servers.brokers import KINDS, TestBroker
from tests.servers.brokers import running as running_broker

ROOT = Path(__file__).parents[3]


class Door:
    """Takes everything, and notes with what context."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.away = False

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        if self.away:
            raise DatabaseUnavailable("away")
        self.arrivals += arrivals
        return [Outcome(message_id=a.message_id, outcome="quarantined" if a.problem else "processed") for a in arrivals]

    @property
    def refs(self) -> list[str]:
        return [str(getattr(each.command, "ref", "")) for each in self.arrivals if each.command is not None]


def source_of(
    db: Database, broker: TestBroker, topic: str, door: Any, mapping: Any = MAPPING, **how: Any
) -> BrokerSource:
    link = BrokerIn(
        name="b", broker=broker.kind, url_env="URL", topic=topic, mapping="m", format=Format(kind="json"), **how
    )  # type: ignore[arg-type]
    estate = msgspec.structs.replace(estate_with(link), mappings={"m": mapping})
    inlet = Links(estate, Mapper(estate), door).inlet(estate.systems[SystemId("wms")], link)
    return BrokerSource(inlet, link, db, environment={"URL": broker.url}, redeliver_s=1.0, pause_first_s=0.1)


@contextmanager
def running(source: BrokerSource) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=source.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=20)
        assert not thread.is_alive()


def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def body(ref: str, **more: Any) -> bytes:
    return json.dumps({"ref": ref, "sku": "s1", "delta": 1, **more}).encode()


@pytest.fixture
def topic() -> str:
    return f"t{uuid.uuid4().hex[:8]}.orders"


def test_an_address_is_told_without_its_password() -> None:
    assert place_of("amqp://user:secret@mq.example.com:5672/shop") == "amqp://mq.example.com:5672"
    assert place_of("kafka-1:9092") == "broker://kafka-1:9092"


@pytest.mark.parametrize("kind", KINDS)
def test_topic_headers_and_id_of_a_message_reach_the_mapping(
    kind: str, brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers(kind), Door()
    broker.make(topic)
    mapping = {
        "format": ["json"],
        "records": [
            {
                "when": {"@topic": topic, "@headers.kind": "stock"},
                "action": "stock.adjust",
                "fields": {
                    "sku": "@headers.article",
                    "node": "=n1",
                    "delta": "delta",
                    "ref": "@message_id",
                    "reason": "=received",
                },
            }
        ],
    }
    with running(source_of(db, broker, topic, door, mapping)):
        if kind == "mqtt":
            time.sleep(0.5)
        broker.put(topic, [(b'{"delta": 3}', {"id": "m-1", "Kind": "stock", "article": "s9"})])
        until(lambda: bool(door.arrivals))

    assert (door.arrivals[0].problem, door.refs) == (None, ["m-1"])
    assert door.arrivals[0].command.sku == "s9"  # type: ignore[union-attr]
    assert door.arrivals[0].source_message_id == "m-1"


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_nothing_at_all_are_kept_verbatim_and_the_next_goes_on(
    kind: str, brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers(kind), Door()
    broker.make(topic)
    with running(source_of(db, broker, topic, door)):
        if kind == "mqtt":
            time.sleep(0.5)
        broker.put(topic, [(b"\x00\xff{{{", {}), (body("good"), {})])
        until(lambda: len(door.arrivals) == 2)

    assert (door.arrivals[0].body, door.arrivals[0].command) == (b"\x00\xff{{{", None)
    assert door.refs == ["good"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_publish_is_confirmed_and_can_be_read_with_its_id(
    kind: str, brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers(kind), Door()
    broker.make(topic)
    out = BrokerOut(broker=kind, url_env="URL", topic=topic, timeout_s=10.0)  # type: ignore[arg-type]
    publisher = Publisher(out, {"URL": broker.url})
    with running(source_of(db, broker, topic, door)):
        if kind == "mqtt":
            time.sleep(0.5)
        for number in range(5):
            publisher.publish(
                body(f"r{number}"), message_id=f"web:{number}", key="web:1", headers={"x-kind": "release"}
            )
        until(lambda: len(door.arrivals) == 5)
    publisher.close()

    assert door.refs == [f"r{number}" for number in range(5)]
    assert [each.source_message_id for each in door.arrivals] == [f"web:{number}" for number in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_that_is_away_is_unreachable_and_not_a_refusal(kind: str) -> None:
    url = {"kafka": "127.0.0.1:9", "rabbitmq": "amqp://127.0.0.1:9/"}.get(kind, f"{kind}://127.0.0.1:9")
    out = BrokerOut(broker=kind, url_env="URL", topic="t.orders", timeout_s=1.5)  # type: ignore[arg-type]
    publisher = Publisher(out, {"URL": url})
    begin = time.monotonic()
    with pytest.raises(PeerUnreachable):
        publisher.publish(b"{}", message_id="1")
    publisher.close()

    assert time.monotonic() - begin < 8


def test_a_queue_or_stream_that_is_not_there_is_unreachable(brokers: Callable[[str], TestBroker]) -> None:
    for kind in ("rabbitmq", "nats"):
        out = BrokerOut(broker=kind, url_env="URL", topic="nobody.listens", timeout_s=5.0)  # type: ignore[arg-type]
        publisher = Publisher(out, {"URL": brokers(kind).url})
        with pytest.raises(PeerUnreachable):
            publisher.publish(b"{}", message_id="1")
        publisher.close()


def test_a_message_that_a_broker_will_never_take_is_refused(brokers: Callable[[str], TestBroker], topic: str) -> None:
    broker = brokers("nats")
    broker.make(topic)
    publisher = Publisher(BrokerOut(broker="nats", url_env="URL", topic=topic), {"URL": broker.url})
    with pytest.raises(PeerRefused, match="2000000 bytes are more than it takes"):
        publisher.publish(b"x" * 2_000_000, message_id="1")
    publisher.publish(b"{}", message_id="2")
    publisher.close()


def test_a_repetition_of_ours_is_known_to_jetstream_by_its_id(
    brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers("nats"), Door()
    broker.make(topic)
    publisher = Publisher(BrokerOut(broker="nats", url_env="URL", topic=topic), {"URL": broker.url})
    for _ in range(3):
        publisher.publish(body("once"), message_id="web:1/5/1")
    publisher.close()
    with running(source_of(db, broker, topic, door)):
        until(lambda: bool(door.arrivals))
        until(lambda: broker.waiting(topic) == 0)

    assert door.refs == ["once"]


@pytest.mark.parametrize("kind", ["nats", "redis", "mqtt"])
def test_a_broker_that_is_killed_and_comes_back_is_read_on(kind: str, db: Database, topic: str, tmp_path: Path) -> None:
    with running_broker(kind, tmp_path) as broker:
        broker.make(topic)
        door = Door()
        with running(source_of(db, broker, topic, door)):
            if kind == "mqtt":
                time.sleep(0.5)
            broker.put(topic, [(body("before"), {})])
            until(lambda: door.refs == ["before"])
            time.sleep(1.2 if kind == "mqtt" else 0.2)  # so that the acknowledgment, or the session, is on its disk
            broker.stop()
            time.sleep(0.3)
            broker.start()
            broker.put(topic, [(body("after"), {})])
            until(lambda: "after" in door.refs)

    assert sorted(set(door.refs)) == ["after", "before"]


def test_what_others_write_into_a_redis_stream_is_found_by_its_usual_names(
    brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers("redis"), Door()
    with redis.Redis(port=broker.port) as client:
        client.xadd(topic, {"payload": body("a"), "type": "x"})
        client.xadd(topic, {"only": body("b")})
        client.xadd(topic, {"ref": "c", "sku": "s1", "delta": "1"})
    with running(source_of(db, broker, topic, door)):
        until(lambda: len(door.arrivals) == 3)

    assert door.refs == ["a", "b", "c"]


def test_what_another_consumer_left_behind_is_claimed(
    brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers("redis"), Door()
    with redis.Redis(port=broker.port) as client:
        client.xgroup_create(topic, "interlock", id="0", mkstream=True)
        client.xadd(topic, {"body": body("left")})
        client.xreadgroup("interlock", "somebody-else", {topic: ">"})
    with running(source_of(db, broker, topic, door)):
        until(lambda: door.refs == ["left"])
        until(lambda: broker.waiting(topic) == 0)


def test_what_is_in_hand_while_the_database_is_away_is_not_taken_twice(
    brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker, door = brokers("redis"), Door()
    door.away = True
    broker.put(topic, [(body(f"r{n}"), {}) for n in range(3)])
    with running(source_of(db, broker, topic, door)):
        time.sleep(2.2)  # longer than what is left behind is left alone
        door.away = False
        until(lambda: broker.waiting(topic) == 0)

    assert door.refs == ["r0", "r1", "r2"]


def test_two_processes_share_a_queue(brokers: Callable[[str], TestBroker], db: Database, topic: str) -> None:
    broker, one, other = brokers("rabbitmq"), Door(), Door()
    broker.make(topic)
    sources = [source_of(db, broker, topic, door, batch_max=5) for door in (one, other)]
    with running(sources[0]), running(sources[1]):
        time.sleep(0.5)
        broker.put(topic, [(body(f"r{n}"), {}) for n in range(100)])
        until(lambda: len(one.arrivals) + len(other.arrivals) == 100)

    assert sorted(one.refs + other.refs) == sorted(f"r{n}" for n in range(100))
    assert one.refs and other.refs


def test_only_one_process_opens_an_mqtt_session(brokers: Callable[[str], TestBroker], db: Database, topic: str) -> None:
    broker, one, other = brokers("mqtt"), Door(), Door()
    first = source_of(db, broker, topic, one)
    with running(source_of(db, broker, topic, other)):
        time.sleep(0.5)
        with running(first):
            broker.put(topic, [(body(f"r{n}"), {}) for n in range(20)])
            until(lambda: len(other.arrivals) == 20)
            time.sleep(0.3)

    assert (len(one.arrivals), other.refs) == (0, [f"r{n}" for n in range(20)])


CONSUMER = """
import os, sys, threading
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.conformance.carriers import estate_with
from tests.connectors.transports.test_brokers import source_of

class Broker:
    kind, url = sys.argv[2], sys.argv[3]

class Dying:
    real = None
    def process(self, arrivals):
        outcomes = self.real.process(arrivals)
        print("committed", len(arrivals), flush=True)
        os.kill(os.getpid(), 9)

with Database(sys.argv[1], pool_max=3) as db:
    source = source_of(db, Broker(), sys.argv[4], Dying())
    Dying.real = Door(db, estate_with(source.link))
    source.run(threading.Event())
"""


@pytest.mark.parametrize("kind", ["nats", "redis"])
def test_a_process_killed_between_commit_and_acknowledgment_does_no_harm(
    kind: str, brokers: Callable[[str], TestBroker], db: Database, topic: str
) -> None:
    broker = brokers(kind)
    broker.make(topic)
    broker.put(topic, [(body(f"r{n}"), {}) for n in range(10)])
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
    dead = subprocess.run(
        [sys.executable, "-c", CONSUMER, db.dsn, kind, broker.url, topic],
        cwd=ROOT, env=environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert dead.returncode == -signal.SIGKILL, dead.stderr.decode()[-2_000:]
    first = int(dead.stdout.splitlines()[-1].removeprefix(b"committed "))
    physical = "select coalesce(sum(physical), 0)::int from positions"
    assert db.transaction(lambda tx: tx.query(physical)) == [(first,)]
    assert broker.waiting(topic) == 10

    source = source_of(db, broker, topic, None)
    door = RealDoor(db, estate_with(source.link))
    with running(source_of(db, broker, topic, door)):
        until(lambda: broker.waiting(topic) == 0)

    assert db.transaction(lambda tx: tx.query(physical)) == [(10,)]
    outcomes = dict(db.transaction(lambda tx: tx.query("select outcome, count(*)::int from messages group by outcome")))
    assert outcomes == {"processed": 10, "duplicate": first}


def test_no_loop_of_ours_is_left_behind(brokers: Callable[[str], TestBroker], topic: str) -> None:
    before = threading.active_count()
    publisher = Publisher(BrokerOut(broker="redis", url_env="URL", topic=topic), {"URL": brokers("redis").url})
    publisher.publish(b"{}", message_id="1")
    publisher.close()
    until(lambda: threading.active_count() <= before, 5)
