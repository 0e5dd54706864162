"""Delivery to real receivers: a threaded HTTP server that misbehaves as told, and real directories."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from interlock.connectors.deliver import Delivery, backoff_s
from interlock.connectors.transports.breaker import FAILURES_MAX, PAUSE_FIRST_S, Breaker
from interlock.connectors.transports.http_out import retry_after_s
from interlock.connectors.transports.release_file import file_name
from interlock.domain.estate import FolderOut, HttpOut, Limits, RetryPolicy
from interlock.domain.values import SystemId
from interlock.storage import outbox
from interlock.storage.database import Database
from interlock.storage.outbox import ALL_PARTS
from tests.connectors.outgoing import (
    DC,
    NOW,
    WMS,
    Receiver,
    after,
    body,
    deliver,
    estate,
    fill,
    http,
    http_receiver,
    states,
    system,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


def test_a_release_is_posted_with_its_id_as_idempotency_key_and_the_token_of_the_environment(
    db: Database, receiver: Receiver
) -> None:
    fill(db, [("w:1", 5)], lines=2)

    report = deliver(
        db, estate(system(WMS, http(receiver, token_env="WMS_TOKEN"))), environment={"WMS_TOKEN": "s3cret"}
    )

    assert report.sent == 1
    ((message_id, message, headers),) = receiver.got
    assert message_id == message["id"] == "w:1/5/1"
    assert message == json.loads(body("w:1", 5, 2))
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer s3cret", "application/json")
    assert states(db) == {("wms", "sent"): 1}


def test_messages_of_one_order_go_one_after_the_other_and_those_of_many_orders_at_once(
    db: Database, receiver: Receiver
) -> None:
    receiver.delay_s = 0.02
    fill(db, [(f"w:{n}", seq) for n in range(30) for seq in (1, 2, 3)])

    assert deliver(db, estate(system(WMS, http(receiver)))).sent == 90

    assert receiver.at_once_max > 2
    for n in range(30):
        assert [i for i in receiver.ids() if i.startswith(f"w:{n}/")] == [f"w:{n}/{seq}/1" for seq in (1, 2, 3)]


@pytest.mark.parametrize("answer", [(500, {}), (503, {}), (429, {}), (408, {}), (425, {}), (302, {}), "hang up"])
def test_what_may_pass_by_itself_is_tried_again_later_and_dies_after_the_last_attempt(
    db: Database, receiver: Receiver, answer: Any
) -> None:
    receiver.answers = [answer]
    fill(db, [("w:1", 5)])
    where = estate(system(WMS, http(receiver)))

    assert deliver(db, where).receivers[WMS].failed == 1
    assert deliver(db, where, after(9)).receivers == {}
    assert deliver(db, where, after(10)).receivers[WMS].failed == 1
    assert deliver(db, where, after(10 + 19)).receivers == {}
    assert deliver(db, where, after(10 + 20)).receivers[WMS].dead == 1
    assert deliver(db, where, after(10_000)).receivers == {}

    assert receiver.ids() == ["w:1/5/1"] * 3
    rows = db.transaction(lambda tx: tx.query("select reason, owner, due_at from exceptions"))
    assert rows == [("delivery_dead", "integration", after(30 + 600))]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
def test_what_is_refused_is_dead_at_once_with_what_the_receiver_said(
    db: Database, receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, {})]
    fill(db, [("w:1", 5)])

    report = deliver(db, estate(system(WMS, http(receiver)))).receivers[WMS]

    assert (report.dead, report.failed, len(receiver.got)) == (1, 0, 1)
    (row,) = db.transaction(lambda tx: tx.query("select explanation from exceptions"))
    assert f"answered {status}" in row[0]
    assert f'{{"said": "{status}"}}' in row[0]


def test_a_dead_message_that_is_sent_again_arrives(db: Database, receiver: Receiver) -> None:
    receiver.answers = [(400, {}), (200, {})]
    fill(db, [("w:1", 5), ("w:1", 6)])
    where = estate(system(WMS, http(receiver)))
    deliver(db, where)

    db.transaction(lambda tx: outbox.redeliver_many(tx, ALL_PARTS, WMS, now=after(1)))

    assert deliver(db, where, after(1)).sent == 2
    assert receiver.ids() == ["w:1/5/1", "w:1/5/1", "w:1/6/1"]


def test_retry_after_is_honoured_for_the_message_and_for_the_receiver(db: Database, receiver: Receiver) -> None:
    receiver.answers = [(429, {"Retry-After": "100"}), (200, {})]
    fill(db, [("w:1", 5)])
    delivery = Delivery(db, estate(system(WMS, http(receiver))), chance=lambda: 0.5)
    assert delivery.run_once(NOW).receivers[WMS].failed == 1
    fill(db, [("w:2", 5)])

    assert delivery.run_once(after(99)).sent == 0
    assert delivery.run_once(after(100)).sent == 2
    assert sorted(receiver.ids()) == ["w:1/5/1", "w:1/5/1", "w:2/5/1"]
    delivery.close()


def test_retry_after_may_be_seconds_or_a_date_and_nonsense_says_nothing() -> None:
    assert retry_after_s("120", NOW) == 120
    assert retry_after_s("Sun, 01 Mar 2026 12:01:00 GMT", NOW) == 60
    assert retry_after_s("Sun, 01 Mar 2020 12:01:00 GMT", NOW) == 0
    assert retry_after_s("9" * 50, NOW) == 86_400
    assert [retry_after_s(text, NOW) for text in (None, "soon", "-5", "")] == [None] * 4


def test_after_some_failures_in_a_row_the_rest_is_put_off_without_costing_an_attempt(
    db: Database, receiver: Receiver
) -> None:
    receiver.answers = [(500, {})]
    fill(db, [(f"w:{n:02}", 1) for n in range(30)])
    delivery = Delivery(db, estate(system(WMS, http(receiver))), chance=lambda: 0.5)

    report = delivery.run_once(NOW).receivers[WMS]

    assert FAILURES_MAX <= report.failed == len(receiver.got) < 20
    assert report.failed + report.put_off == 30
    tried = db.transaction(lambda tx: tx.query("select count(*) from outbox where attempts = 1"))
    assert tried == [(report.failed,)]
    assert delivery.run_once(after(PAUSE_FIRST_S - 1)).receivers[WMS].failed == 0

    receiver.answers = [(200, {})]
    assert delivery.run_once(after(PAUSE_FIRST_S)).sent == 30 - report.failed
    assert delivery.run_once(after(10)).sent == report.failed
    delivery.close()


def test_a_breaker_asks_once_after_its_pause_and_doubles_it_when_that_fails() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_MAX - 1):
        breaker.failed(NOW)
    assert breaker.allows(NOW, 10) == 10
    breaker.failed(NOW)
    breaker.failed(NOW)
    assert [breaker.allows(after(s), 10) for s in (0, PAUSE_FIRST_S - 0.1, PAUSE_FIRST_S)] == [0, 0, 1]

    breaker.failed(after(PAUSE_FIRST_S))

    assert [breaker.allows(after(s), 10) for s in (PAUSE_FIRST_S * 3 - 0.1, PAUSE_FIRST_S * 3)] == [0, 1]
    breaker.succeeded()
    assert breaker.allows(after(PAUSE_FIRST_S * 3), 10) == 10


def test_a_slow_and_a_dead_receiver_delay_nobody_else(db: Database, receiver: Receiver, tmp_path: Path) -> None:
    receiver.delay_s = 1.5
    dead = SystemId("dead")
    where = estate(
        system(WMS, http(receiver, timeout_s=1.0)),
        system(dead, HttpOut(url="http://127.0.0.1:9/none", timeout_s=1.0)),
        system(DC, FolderOut(path=str(tmp_path / "out"))),
    )
    fill(db, [(f"w:{n}", 1) for n in range(8)])
    fill(db, [(f"d:{n}", 1) for n in range(8)], to=dead)
    delivery = Delivery(db, where, clock=lambda: datetime.now(UTC))
    stop = threading.Event()
    thread = threading.Thread(target=delivery.loop, args=(stop,))
    thread.start()
    time.sleep(0.3)  # the slow receiver has its messages now
    began = time.monotonic()
    fill(db, [("f:1", 1)], to=DC)
    while ("dc", "sent") not in states(db) and time.monotonic() < began + 5:
        time.sleep(0.01)
    took_s = time.monotonic() - began
    stop.set()
    thread.join()
    delivery.close()

    assert len(list((tmp_path / "out").iterdir())) == 1
    assert took_s < 0.9


def test_no_answer_in_time_is_tried_again(db: Database, receiver: Receiver) -> None:
    receiver.delay_s = 0.6
    fill(db, [("w:1", 5)])

    report = deliver(db, estate(system(WMS, http(receiver, timeout_s=0.2)))).receivers[WMS]

    assert (report.failed, "ReadTimeout" in report.error) == (1, True)


def test_a_receiver_without_a_connection_is_work_for_a_person(db: Database) -> None:
    fill(db, [("w:1", 5)])
    fill(db, [("x:1", 5)], to=SystemId("gone"))

    deliver(db, estate(system(WMS, None)))

    assert states(db) == {("gone", "dead"): 1, ("wms", "dead"): 1}
    rows = db.transaction(lambda tx: tx.query("select explanation from exceptions order by subject"))
    assert "the estate has no outbound connection to wms" in rows[0][0]


def test_a_token_that_is_not_set_is_said_by_name_and_nothing_is_sent_without_it(
    db: Database, receiver: Receiver
) -> None:
    fill(db, [("w:1", 5)])

    report = deliver(db, estate(system(WMS, http(receiver, token_env="WMS_TOKEN"))), environment={})

    assert receiver.got == []
    assert "set the environment variable WMS_TOKEN" in report.receivers[WMS].error


def test_the_pace_of_a_receiver_holds(db: Database, receiver: Receiver) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(20)])
    where = estate(system(WMS, http(receiver), limits=Limits(requests_per_s=2.0, burst=5)))

    assert [deliver(db, where, after(s)).sent for s in (0, 0, 1, 2, 60)] == [5, 0, 2, 2, 5]


def test_releases_become_one_file_with_a_row_a_line(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC, lines=2)
    fill(db, [("w:3", 9)], to=DC, message="shipment.cancel")

    assert deliver(db, estate(system(DC, FolderOut(path=str(tmp_path))))).sent == 3

    (path,) = tmp_path.iterdir()
    rows = list(csv.reader(io.StringIO(path.read_text(), newline="")))
    assert ",".join(rows[0]) == (
        "message,id,assignment,order,number,node,fulfillment,line_no,sku,quantity,"
        "uom,country,region,postal_code,pickup_node,released_at"
    )
    assert sorted(row[:2] + row[7:10] for row in rows[1:]) == [
        ["shipment.cancel", "w:3/9/1", "1", "SKU-1", "1"],
        ["shipment.release", "w:1/5/1", "1", "SKU-1", "1"],
        ["shipment.release", "w:1/5/1", "2", "SKU-2", "2"],
        ["shipment.release", "w:2/3/1", "1", "SKU-1", "1"],
        ["shipment.release", "w:2/3/1", "2", "SKU-2", "2"],
    ]
    assert rows[1][10:] == ["each", "US", "NY", "01001", "", "2026-03-01T12:00:00Z"]


def test_a_file_holds_at_most_the_rows_that_the_estate_says_and_never_half_a_message(
    db: Database, tmp_path: Path
) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(10)], to=DC, lines=3)

    assert deliver(db, estate(system(DC, FolderOut(path=str(tmp_path), rows_max=10)))).sent == 10

    sizes = sorted(len(path.read_text().splitlines()) - 1 for path in tmp_path.iterdir())
    assert sizes == [3, 9, 9, 9]


def test_a_sender_that_died_leaves_a_batch_that_becomes_the_same_file_again(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    batch = UUID("019caa5e-7400-7000-8000-0000000000ff")
    db.transaction(lambda tx: outbox.claim_many(tx, ALL_PARTS, DC, now=NOW, limit=10, lease_s=30, batch=batch))
    fill(db, [("w:3", 1)], to=DC)
    where = estate(system(DC, FolderOut(path=str(tmp_path))))
    assert deliver(db, where).sent == 1

    assert deliver(db, where, after(31)).sent == 2

    path = tmp_path / file_name(batch)
    assert path.exists()
    assert sorted(row["order"] for row in csv.DictReader(path.read_text().splitlines())) == [
        "w:1",
        "w:2",
    ]


def test_a_file_s_name_says_when_it_was_made_and_which_batch_it_is() -> None:
    milliseconds = int(NOW.timestamp() * 1000)
    batch = UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | 0xABC)

    assert file_name(batch) == "release-20260301T120000-000000000abc.csv"


def test_a_folder_that_cannot_be_written_to_is_tried_again_and_leaves_nothing_half_written(
    db: Database, tmp_path: Path
) -> None:
    blocked = tmp_path / "out"
    blocked.write_text("a file where the folder should be")
    fill(db, [("w:1", 5)], to=DC)
    where = estate(system(DC, FolderOut(path=str(blocked))))

    report = deliver(db, where).receivers[DC]
    assert (report.failed, "check that it is there" in report.error) == (1, True)
    blocked.unlink()

    assert deliver(db, where, after(10)).sent == 1
    assert [path.suffix for path in blocked.iterdir()] == [".csv"]


def test_backoff_grows_to_its_limit_and_jitter_spreads_it() -> None:
    policy = RetryPolicy(first_s=1, factor=2, max_s=60, jitter=0.2)

    assert [backoff_s(policy, n, 0.5) for n in (0, 1, 5, 6, 1000)] == [1, 2, 32, 60, 60]
    assert backoff_s(policy, 0, 0.0) == pytest.approx(0.8)
    assert backoff_s(policy, 0, 1.0) == pytest.approx(1.2)


def test_two_deliveries_at_once_send_everything_once(db: Database, receiver: Receiver) -> None:
    fill(db, [(f"w:{n}", seq) for n in range(100) for seq in (1, 2)])
    deliveries = [Delivery(db, estate(system(WMS, http(receiver)))) for _ in range(2)]
    threads = [threading.Thread(target=each.run_once, args=(NOW,)) for each in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in deliveries:
        each.close()

    assert len(receiver.got) == len(set(receiver.ids()))
    remaining = deliver(db, estate(system(WMS, http(receiver)))).sent
    assert (len(receiver.got), len(set(receiver.ids()))) == (200, 200)
    assert remaining + states(db)[("wms", "sent")] >= 200
