"""What every way in must do, the same for all: taken whole, once, in order, and told so only after the commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.conformance.carriers import (
    ApiCarrier,
    BrokerCarrier,
    Carrier,
    FolderCarrier,
    SftpCarrier,
    TableCarrier,
    WebhookCarrier,
    postgres_url,
)
from tests.servers.brokers import KINDS, TestBroker

BULK = 2_000
WITHIN_S = 30.0


class Watched:
    """The engine's door, with everything noted that goes through it; it may be away, or fall silent after the commit."""

    def __init__(self, real: Door) -> None:
        self._real = real
        self.arrivals: list[Arrival] = []
        self.away = False
        self.silent_after_commit = False
        self.refusals = 0

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        if self.away:
            self.refusals += 1
            raise DatabaseUnavailable("the test keeps the database away")
        outcomes = self._real.process(arrivals)
        self.arrivals += arrivals
        if self.silent_after_commit:
            self.refusals += 1
            raise DatabaseUnavailable("committed, but nobody heard of it")
        return outcomes


@pytest.fixture(params=[*KINDS, "api", "table-postgresql", "table-mariadb", "webhook", "folder", "sftp"])
def carrier(
    request: pytest.FixtureRequest, db: Database, brokers: Callable[[str], TestBroker], tmp_path: Path
) -> Iterator[Carrier]:
    """Each way in, over its real server."""
    kind: str = request.param
    made: Any
    if kind in KINDS:
        made = BrokerCarrier(db, brokers(kind))
    elif kind == "api":
        made = ApiCarrier(db)
    elif kind == "table-postgresql":
        made = TableCarrier(db, postgres_url(request.getfixturevalue("dsn")))
    elif kind == "table-mariadb":
        made = TableCarrier(db, request.getfixturevalue("mariadb"))
    elif kind == "webhook":
        made = WebhookCarrier(db)
    else:
        made = (FolderCarrier if kind == "folder" else SftpCarrier)(db, tmp_path / kind)
    made.name = kind
    if kind == "mqtt":  # nobody keeps messages for a session that was never opened
        with made.taking(Door(db, made.estate)):
            time.sleep(0.5)
    yield made
    if hasattr(made, "close"):
        made.close()


@pytest.fixture
def door(db: Database, carrier: Carrier) -> Watched:
    """The real engine, watched."""
    return Watched(Door(db, carrier.estate))


def record(number: int, sku: str = "s1", delta: object = 1) -> dict[str, object]:
    return {"ref": f"r{number:05}", "sku": sku, "delta": delta}


def until(holds: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def refs(arrivals: Sequence[Arrival]) -> list[str]:
    return [str(getattr(each.command, "ref", "")) for each in arrivals if each.command is not None]


def physical(db: Database) -> int:
    """All units in stock."""
    return int(db.transaction(lambda tx: tx.query("select coalesce(sum(physical), 0) from positions"))[0][0])


def outcomes(db: Database) -> dict[str, int]:
    sql = "select outcome, count(*) from messages group by outcome"
    return {outcome: int(count) for outcome, count in db.transaction(lambda tx: tx.query(sql))}


def test_a_message_is_taken_whole_and_once_and_then_acknowledged(carrier: Carrier, door: Watched, db: Database) -> None:
    with carrier.taking(door):
        carrier.send([record(1, delta=7)])
        until(lambda: physical(db) == 7)
        until(lambda: carrier.left() in (0, None))
        time.sleep(0.3)

    assert outcomes(db) == {"processed": 1}
    assert refs(door.arrivals) == ["r00001"]
    ids = {"table-postgresql": "1", "table-mariadb": "1", "webhook": None, "folder": None, "sftp": None}
    assert door.arrivals[0].source_message_id == ids.get(carrier.name, "r00001")


def test_messages_are_taken_in_their_order(carrier: Carrier, door: Watched, db: Database) -> None:
    carrier.send([record(number) for number in range(1, 31)])

    with carrier.taking(door):
        until(lambda: physical(db) == 30)

    assert refs(door.arrivals) == [f"r{number:05}" for number in range(1, 31)]


def test_what_was_committed_and_not_acknowledged_comes_again_and_has_no_second_effect(
    carrier: Carrier, door: Watched, db: Database
) -> None:
    door.silent_after_commit = True
    carrier.send([record(1), record(2), record(3)])

    with carrier.taking(door):
        until(lambda: door.refusals > 0)

    assert physical(db) in (1, 2, 3)
    door.silent_after_commit = False
    first = len(door.arrivals)
    with carrier.taking(door):
        until(lambda: set(refs(door.arrivals[first:])) == {"r00001", "r00002", "r00003"})
        until(lambda: physical(db) == 3)
        until(lambda: carrier.left() in (0, None))

    assert physical(db) == 3
    assert outcomes(db)["processed"] == 3
    assert outcomes(db)["duplicate"] >= 1


def test_what_cannot_be_read_is_quarantined_and_holds_nobody_up(carrier: Carrier, door: Watched, db: Database) -> None:
    carrier.send([record(1), record(2, delta="many"), record(3)])

    with carrier.taking(door):
        until(lambda: physical(db) == 2)
        until(lambda: outcomes(db).get("quarantined") == 1)
        until(lambda: carrier.left() in (0, None))

    assert outcomes(db) == {"processed": 2, "quarantined": 1}
    assert refs(door.arrivals) == ["r00001", "r00003"]


def test_while_the_database_is_away_nothing_is_acknowledged_and_it_comes_again(
    carrier: Carrier, door: Watched, db: Database
) -> None:
    door.away = True
    carrier.send([record(1), record(2)])

    with carrier.taking(door):
        until(lambda: door.refusals > 1)
        assert carrier.left() in (2, None)
    assert outcomes(db) == {}
    door.away = False
    with carrier.taking(door):
        until(lambda: physical(db) == 2)

    assert outcomes(db)["processed"] == 2


def test_two_thousand_messages_come_through_complete(carrier: Carrier, door: Watched, db: Database) -> None:
    carrier.send([record(number, sku=f"s{number % 5}") for number in range(1, BULK + 1)])

    with carrier.taking(door):
        until(lambda: physical(db) == BULK)
        until(lambda: carrier.left() in (0, None))

    assert outcomes(db)["processed"] == BULK
    assert sorted(set(refs(door.arrivals))) == [f"r{number:05}" for number in range(1, BULK + 1)]
