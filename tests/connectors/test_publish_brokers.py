"""Events to real brokers: keyed by order, in order per order, known again by their ids, and nothing lost while one is away."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from interlock.domain.links import Broker
from interlock.domain.subscriptions import Topic
from interlock.storage import subscriptions
from interlock.storage.database import Database
from tests.connectors.subscribers import NOW, after, assert_in_order, history, publishing, subscription
from tests.servers.brokers import TestBroker, wait_for
from tests.servers.brokers import running as running_broker

ORDERS = [f"web:{number}" for number in range(20)]


def topic(kind: Broker, name: str) -> Topic:
    return Topic(broker=kind, url_env="BROKER_URL", topic=name, timeout_s=3)


def nats_messages(broker: TestBroker, name: str) -> list[Any]:
    """All messages of a subject, as a stranger reads them."""

    async def read() -> list[Any]:
        import nats

        client = await nats.connect(broker.url, allow_reconnect=False)
        try:
            reader = await client.jetstream().subscribe(name, ordered_consumer=True)
            stream = (await client.jetstream().stream_info(name.split(".")[0].upper())).state
            return [await reader.next_msg(timeout=5) for _ in range(stream.messages)]
        finally:
            await client.close()

    return wait_for(read())


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_nats_has_every_event_once_and_in_order_under_its_id(
    db: Database, brokers: Callable[[str], TestBroker], mode: str
) -> None:
    broker, name = brokers("nats"), f"t{uuid.uuid4().hex[:8]}.events"
    broker.make(name)
    ids = history(db, ORDERS, 5)

    with publishing(
        db, subscription("", to=topic("nats", name), mode=mode), environment={"BROKER_URL": broker.url}
    ) as publication:
        assert publication.run_once(NOW).sent == 100
        # Again, as after a crash: the stream knows them by their ids.
        db.transaction(lambda tx: subscriptions.rewind(tx, "crm", subscriptions.BEGINNING, after(1)))
        assert publication.run_once(after(1)).sent == 100

    found = nats_messages(broker, name)
    said = [each.headers["ce-id"] if mode == "binary" else json.loads(each.data)["id"] for each in found]
    assert_in_order(said)
    assert sorted(said) == sorted(ids)
    assert [each.headers["Nats-Msg-Id"] for each in found] == said
    assert {each.headers["content-type"] for each in found} == {
        "application/json" if mode == "binary" else "application/cloudevents+json"
    }


def test_redis_has_every_event_under_the_key_of_its_order(db: Database, brokers: Callable[[str], TestBroker]) -> None:
    broker, name = brokers("redis"), f"t{uuid.uuid4().hex[:8]}"
    broker.make(name)
    ids = history(db, ORDERS, 2)

    with publishing(
        db, subscription("", to=topic("redis", name)), environment={"BROKER_URL": broker.url}
    ) as publication:
        publication.run_once(NOW)

    entries = [fields for _, fields in redis.Redis.from_url(broker.url).xrange(name) if b"message_id" in fields]
    assert_in_order([entry[b"message_id"].decode() for entry in entries])
    assert sorted(entry[b"message_id"].decode() for entry in entries) == sorted(ids)
    assert all(entry[b"message_id"].rsplit(b"/", 1)[0] == entry[b"key"] for entry in entries)


@pytest.mark.parametrize("kind", ["rabbitmq", "kafka", "mqtt"])
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_other_brokers_confirm_every_event(
    db: Database, brokers: Callable[[str], TestBroker], kind: Broker, mode: str
) -> None:
    broker, name = brokers(kind), f"t{uuid.uuid4().hex[:8]}"
    broker.make(name)
    history(db, ORDERS[:3], 2)

    with publishing(
        db, subscription("", to=topic(kind, name), mode=mode), environment={"BROKER_URL": broker.url}
    ) as publication:
        report = publication.run_once(NOW)

    assert (report.sent, report.subscriptions["crm"].error) == (6, "")


def test_while_the_broker_is_away_nothing_is_lost(db: Database, tmp_path: Path) -> None:
    with running_broker("nats", tmp_path / "nats") as broker:
        broker.make("retail.events")
        stop = threading.Event()
        with publishing(
            db,
            subscription("", to=topic("nats", "retail.events")),
            environment={"BROKER_URL": broker.url},
            clock=lambda: datetime.now(UTC),
        ) as publication:
            first = history(db, ORDERS, 2)
            publication.run_once(datetime.now(UTC))
            broker.stop()
            second = history(db, ORDERS, 2, first=3)
            running = threading.Thread(target=publication.loop, args=(stop,))
            running.start()
            time.sleep(1.5)
            assert subscriptions.show_many(db)[0]["behind"] == len(second)
            broker.start()
            db.transaction(lambda tx: subscriptions.rewind(tx, "crm", subscriptions.cursor_of(tx, "crm"), datetime.now(UTC)))  # type: ignore[arg-type]  # fmt: skip
            end = time.monotonic() + 60
            while subscriptions.show_many(db)[0]["behind"] and time.monotonic() < end:
                time.sleep(0.1)
            stop.set()
            running.join()

        said = [each.headers["Nats-Msg-Id"] for each in nats_messages(broker, "retail.events")]
        assert_in_order(said)
        assert sorted(said) == sorted(first + second)
