"""The services of a process read every link of the estate that does not come by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import msgspec
import psycopg
import pytest

from interlock.bootstrap import App
from interlock.domain.links import ApiIn, BrokerIn, Format, TableIn
from interlock.domain.values import SystemId
from interlock.storage import link_positions
from interlock.storage.database import Database
from tests.conformance.carriers import estate_with, postgres_url
from tests.servers.brokers import TestBroker
from tests.servers.partner import Reply, partner


def test_an_api_a_broker_and_a_table_are_read_side_by_side(
    db: Database, brokers: Callable[[str], TestBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = brokers("nats")
    broker.make("sources.moves")
    broker.put("sources.moves", [(json.dumps({"ref": "b", "sku": "s1", "delta": 1}).encode(), {})])
    monkeypatch.setenv("BROKER", broker.url)
    monkeypatch.setenv("PARTNER", postgres_url(db.dsn))
    with psycopg.connect(db.dsn) as connection:
        connection.execute("create table moves (id int primary key, ref text, sku text, delta int)")
        connection.execute("insert into moves values (1, 't', 's1', 10)")
    page = json.dumps([{"id": 1, "ref": "a", "sku": "s1", "delta": 100}]).encode()
    with partner(lambda _: Reply(page)) as api:
        json_ = Format(kind="json")
        links = (
            BrokerIn(
                name="queue",
                broker="nats",
                url_env="BROKER",
                topic="sources.moves",
                mapping="adjustments",
                format=json_,
            ),
            ApiIn(name="api", url=f"{api.url}/moves", mapping="adjustments", every_s=0.1),
            TableIn(name="table", url_env="PARTNER", table="moves", key=("id",), mapping="adjustments", every_s=0.1),
        )
        estate = estate_with(links[0])
        wms = msgspec.structs.replace(estate.systems[SystemId("wms")], inbound=links)
        app = App(db, msgspec.structs.replace(estate, systems={**estate.systems, wms.id: wms}))
        end = time.monotonic() + 40
        with app.services(workers=0, delivery=False):
            while time.monotonic() < end and _physical(db) != 111:
                time.sleep(0.05)

    assert _physical(db) == 111
    assert db.transaction(lambda tx: link_positions.look(tx, wms.id, "table:table"))[0]["trail"][-1][1] == [1]
    held = db.transaction(lambda tx: tx.query("select link from link_positions where holder is not null"))
    assert held == []


def _physical(db: Database) -> int:
    rows = db.transaction(lambda tx: tx.query("select coalesce(sum(physical), 0)::int from positions"))
    return int(rows[0][0])
