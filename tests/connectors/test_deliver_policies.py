"""What a receiver may ask for: only the newest, a budget of repeats; and that nobody's trouble is anybody else's."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interlock.connectors.deliver import Delivery
from interlock.connectors.transports.breaker import FAILURES_MAX, PAUSE_FIRST_S
from interlock.connectors.transports.budget import REPEATS_FREE, Budget
from interlock.domain.estate import FolderOut, HttpOut, RetryPolicy
from interlock.domain.values import SystemId, part_of
from interlock.storage.arrays import Ints, Jsons, SmallInts, Texts
from interlock.storage.database import Database
from tests.connectors.outgoing import (
    DC,
    NOW,
    WMS,
    Receiver,
    after,
    deliver,
    estate,
    fill,
    http_receiver,
    states,
    system,
)

DEAD, HANGING = SystemId("dead"), SystemId("hanging")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


def tell(db: Database, seq: int, message: str, *lines: tuple[int, int], order: str = "w:1", no: int = 1) -> None:
    """Put one message about an assignment into the outbox; lines are (line number, units)."""
    told = {
        "message": message,
        "id": f"{order}/{seq}/{no}",
        "assignment": f"{order}/{no}",
        "order": order,
        "lines": [{"line_no": line, "sku": f"SKU-{line}", "quantity": units} for line, units in lines],
    }
    db.transaction(
        lambda tx: tx.execute(
            "insert into outbox (part, order_id, seq, receiver, message, assignment_no, body, created_at, due_at,"
            " answer_due_at) select part, order_id, seq, 'wms', %(message)s, no, body, %(now)s, %(now)s, %(due)s"
            " from unnest(%(parts)s, %(orders)s, %(seqs)s, %(nos)s, %(bodies)s) t (part, order_id, seq, no, body)",
            message=message,
            now=NOW,
            due=after(60) if message == "shipment.release" else None,
            parts=SmallInts([part_of(order)]),
            orders=Texts([order]),
            seqs=Ints([seq]),
            nos=Ints([no]),
            bodies=Jsons([json.dumps(told).encode()]),
        )
    )


def sent_to(db: Database, receiver: Receiver, **more: Any) -> list[str]:
    deliver(db, estate(system(WMS, HttpOut(url=receiver.url, only_newest=True, timeout_s=2), **more)))
    return receiver.ids()


def notes(db: Database) -> list[tuple[int, str, str | None, datetime | None]]:
    return db.transaction(lambda tx: tx.query("select seq, state, note, answer_due_at from outbox order by seq"))  # type: ignore[return-value]


# Only the newest


def test_a_release_that_is_told_again_as_a_whole_is_not_sent(db: Database, receiver: Receiver) -> None:
    tell(db, 5, "shipment.release", (1, 2))
    tell(db, 7, "shipment.release", (1, 2), (2, 1))

    assert sent_to(db, receiver) == ["w:1/7/1"]
    assert notes(db) == [
        (5, "sent", "superseded: told again as w:1/7/1", None),
        (7, "sent", None, after(60)),
    ]


def test_a_release_that_is_wholly_canceled_is_not_sent_and_the_cancels_are(db: Database, receiver: Receiver) -> None:
    tell(db, 5, "shipment.release", (1, 2), (2, 1))
    tell(db, 7, "shipment.cancel", (1, 1))
    tell(db, 8, "shipment.cancel", (1, 1), (2, 1))

    assert sent_to(db, receiver) == ["w:1/7/1", "w:1/8/1"]
    assert notes(db)[0][:3] == (5, "sent", "superseded: all of it is canceled behind it")


def test_a_release_of_which_a_unit_is_left_is_sent_before_its_cancel(db: Database, receiver: Receiver) -> None:
    tell(db, 5, "shipment.release", (1, 2))
    tell(db, 7, "shipment.cancel", (1, 1))

    assert sent_to(db, receiver) == ["w:1/5/1", "w:1/7/1"]


def test_a_release_that_was_tried_is_sent_again_before_its_cancel_because_it_may_have_arrived(
    db: Database, receiver: Receiver
) -> None:
    receiver.answers = [(503, {}), (200, {})]
    where = estate(system(WMS, HttpOut(url=receiver.url, only_newest=True, timeout_s=2)))
    tell(db, 5, "shipment.release", (1, 2))
    deliver(db, where)
    tell(db, 7, "shipment.cancel", (1, 2))

    deliver(db, where, after(10))

    assert receiver.ids() == ["w:1/5/1", "w:1/5/1", "w:1/7/1"]


def test_a_release_with_a_cancel_between_it_and_its_repetition_is_sent(db: Database, receiver: Receiver) -> None:
    tell(db, 5, "shipment.release", (1, 3))
    tell(db, 6, "shipment.cancel", (1, 1))
    tell(db, 7, "shipment.release", (1, 2), (2, 1))

    assert sent_to(db, receiver) == ["w:1/5/1", "w:1/6/1", "w:1/7/1"]


def test_other_assignments_and_orders_supersede_nothing(db: Database, receiver: Receiver) -> None:
    tell(db, 5, "shipment.release", (1, 2))
    tell(db, 6, "shipment.cancel", (1, 2), no=2)
    tell(db, 7, "shipment.cancel", (1, 2), order="w:2")

    assert sorted(sent_to(db, receiver)) == ["w:1/5/1", "w:1/6/2", "w:2/7/1"]


def test_unless_it_is_asked_for_everything_goes(db: Database, receiver: Receiver) -> None:
    tell(db, 5, "shipment.release", (1, 2))
    tell(db, 7, "shipment.cancel", (1, 2))

    deliver(db, estate(system(WMS, HttpOut(url=receiver.url, timeout_s=2))))

    assert receiver.ids() == ["w:1/5/1", "w:1/7/1"]


# The budget of repeats


def test_a_budget_lets_some_repeats_through_and_then_its_share_of_an_hour() -> None:
    budget = Budget(0.2)
    for _ in range(REPEATS_FREE):
        assert budget.allows_repeats(NOW)
        budget.tried(NOW, repeats=1)
    assert not budget.allows_repeats(NOW)

    budget.tried(after(60), firsts=80)
    allowed = 0
    while budget.allows_repeats(after(60)):
        budget.tried(after(60), repeats=1)
        allowed += 1

    assert REPEATS_FREE + allowed == 20  # of 100
    assert budget.allows_repeats(after(3_660 + 60))
    assert Budget(1.0).allows_repeats(NOW)


def test_above_the_budget_repeats_wait_and_first_attempts_go(db: Database, receiver: Receiver) -> None:
    receiver.answers = [(503, {})]
    retry = RetryPolicy(first_s=1, factor=1, max_s=1, attempts_max=1000, jitter=0)
    where = estate(system(WMS, HttpOut(url=receiver.url, budget=0.1, timeout_s=2), retry=retry))
    delivery = Delivery(db, where, chance=lambda: 0.5)
    fill(db, [(f"w:{n}", 1) for n in range(4)])
    for second in range(0, 3_000, 130):  # past every pause of the breaker
        delivery.run_once(after(second))
    tries = len(receiver.got)
    receiver.answers = [(200, {})]
    fill(db, [("x:1", 1)])

    report = delivery.run_once(after(3_100))

    assert tries <= 4 + REPEATS_FREE + 4
    assert (report.sent, receiver.ids()[-1]) == (1, "x:1/1/1")
    assert delivery.run_once(after(4_100)).sent == 4  # an hour after the others
    delivery.close()


# The breaker under load


def test_a_receiver_that_comes_back_under_load_gets_everything_and_was_left_alone_meanwhile(
    db: Database, receiver: Receiver
) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(600)])
    receiver.answers = [(500, {})]
    retry = RetryPolicy(first_s=1, factor=1, max_s=1, attempts_max=1000, jitter=0)
    delivery = Delivery(db, estate(system(WMS, HttpOut(url=receiver.url, timeout_s=2), retry=retry)))
    for second in range(60):
        delivery.run_once(after(second))
    tries = len(receiver.got)
    assert FAILURES_MAX <= tries <= 40  # 5 at first, 8 at once, then one after 5, 10, 20 ... seconds

    receiver.answers = [(200, {})]
    sent = 0
    for second in range(60, 200):
        sent += delivery.run_once(after(second)).sent
    delivery.close()

    assert sent == 600
    assert len(receiver.got) == tries + 600
    assert PAUSE_FIRST_S == 5.0


# Nobody waits for anybody else


class Silence:
    """A server that takes connections and never answers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"

    def close(self) -> None:
        self.socket.close()


def test_a_dead_and_a_hanging_receiver_with_long_queues_do_not_slow_down_a_healthy_one(
    db: Database, receiver: Receiver
) -> None:
    count = 500
    silence = Silence()
    healthy = system(WMS, HttpOut(url=receiver.url, timeout_s=5))

    def drained_s(where: Any, prefix: str) -> float:
        fill(db, [(f"{prefix}:{n}", 1) for n in range(count)])
        delivery = Delivery(db, where, clock=lambda: datetime.now(UTC))
        stop = threading.Event()
        thread = threading.Thread(target=delivery.loop, args=(stop,))
        began = time.monotonic()
        thread.start()
        while states(db).get((WMS, "waiting"), 0) and time.monotonic() < began + 60:
            time.sleep(0.05)
        took_s = time.monotonic() - began
        stop.set()
        thread.join()
        delivery.close()
        return took_s

    alone_s = drained_s(estate(healthy), "a")
    fill(db, [(f"d:{n}", 1) for n in range(count)], to=DEAD)
    fill(db, [(f"h:{n}", 1) for n in range(count)], to=HANGING)
    beside_s = drained_s(
        estate(
            healthy,
            system(DEAD, HttpOut(url="http://127.0.0.1:9/none", timeout_s=1)),
            system(HANGING, HttpOut(url=silence.url, timeout_s=2)),
        ),
        "b",
    )
    silence.close()

    assert states(db)[(WMS, "sent")] == 2 * count
    assert states(db)[(HANGING, "waiting")] == count
    assert beside_s < 1.5 * alone_s + 1


def test_more_hanging_receivers_than_threads_ever_were_do_not_keep_a_folder_waiting(
    db: Database, tmp_path: Path
) -> None:
    silence = Silence()
    hanging = [SystemId(f"hanging-{n}") for n in range(40)]
    where = estate(
        *(system(each, HttpOut(url=silence.url, timeout_s=120)) for each in hanging),
        system(DC, FolderOut(path=str(tmp_path))),
    )
    for each in hanging:
        fill(db, [(f"{each}:1", 1)], to=each)
    delivery = Delivery(db, where, clock=lambda: datetime.now(UTC))
    stop = threading.Event()
    thread = threading.Thread(target=delivery.loop, args=(stop,))
    thread.start()
    while len(leased(db)) < len(hanging):  # now all of them hang
        time.sleep(0.05)
    fill(db, [("f:1", 1)], to=DC)
    began = time.monotonic()
    while (DC, "sent") not in states(db) and time.monotonic() < began + 60:
        time.sleep(0.02)
    served, still_hanging = states(db).get((DC, "sent")), leased(db)
    stop.set()
    silence.close()  # which ends what hangs
    thread.join()
    delivery.close()

    assert served == 1
    assert len(still_hanging) == 40


def leased(db: Database) -> list[Any]:
    return db.transaction(
        lambda tx: tx.query(
            "select receiver from outbox where state = 'waiting' and batch is not null and attempts = 0"
        )
    )
