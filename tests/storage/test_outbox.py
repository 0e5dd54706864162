"""The outbox on a real PostgreSQL: order, leases, retries, dead letters, pace and overdue answers."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from interlock.domain.estate import Duty
from interlock.domain.values import OrderId, SystemId, part_of
from interlock.storage import outbox
from interlock.storage.arrays import Ints, Jsons, SmallInts, Texts, Times
from interlock.storage.database import Database
from interlock.storage.outbox import ALL_PARTS, Batch, Failure, Pace, Queue

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WMS, SHOP = SystemId("wms"), SystemId("shop")
DUTY = Duty(owner="fulfillment", within_s=3600)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def fill(
    db: Database,
    rows: list[tuple[str, int]],
    *,
    receiver: str = WMS,
    message: str = "shipment.release",
    answer_due_at: datetime | None = None,
) -> None:
    """Put one message in the outbox for each (order id, seq), as the engine does."""
    order_ids = [order_id for order_id, _ in rows]
    db.transaction(
        lambda tx: tx.execute(
            "insert into outbox (part, order_id, seq, receiver, message, assignment_no, body, created_at, due_at, "
            "answer_due_at) select part, order_id, seq, %(receiver)s, %(message)s, 1, body, %(now)s, %(now)s, due "
            "from unnest(%(parts)s, %(order_ids)s, %(seqs)s, %(bodies)s, %(dues)s) t (part, order_id, seq, body, due)",
            receiver=receiver,
            message=message,
            now=NOW,
            parts=SmallInts([part_of(order_id) for order_id in order_ids]),
            order_ids=Texts(order_ids),
            seqs=Ints([seq for _, seq in rows]),
            bodies=Jsons([b'{"id":"%s/%d/1","lines":[1]}' % (o.encode(), s) for o, s in rows]),
            dues=Times([answer_due_at] * len(rows)),
        )
    )


def claim(
    db: Database,
    *,
    now: datetime = NOW,
    limit: int = 100,
    number: int = 1,
    receiver: SystemId = WMS,
    pace: Pace | None = None,
) -> Batch | None:
    return db.transaction(
        lambda tx: outbox.claim_many(
            tx, ALL_PARTS, receiver, now=now, limit=limit, lease_s=60, batch=UUID(int=number), pace=pace
        )
    )


def places(batch: Batch | None) -> list[tuple[str, int]]:
    return [] if batch is None else sorted((notice.order_id, notice.seq) for notice in batch.notices)


def sent(db: Database, batch: Batch, *, now: datetime = NOW) -> int:
    return db.transaction(lambda tx: outbox.settle_sent_many(tx, batch, batch.notices, now=now))


def failed(
    db: Database, batch: Batch, *, due_at: datetime, final: bool = False, attempts_max: int = 3
) -> dict[str, int]:
    failures = [Failure(notice, "503 \0 busy", due_at, final) for notice in batch.notices]
    return db.transaction(
        lambda tx: outbox.settle_failed_many(tx, batch, failures, now=NOW, attempts_max=attempts_max, duty=DUTY)
    )


def claimed(batch: Batch | None) -> Batch:
    assert batch is not None
    return batch


def test_only_the_oldest_message_of_an_order_may_go(db: Database) -> None:
    fill(db, [("w:1", 5), ("w:1", 7), ("w:2", 3)])

    first = claimed(claim(db))
    assert places(first) == [("w:1", 5), ("w:2", 3)]
    assert claim(db, number=2) is None

    assert sent(db, first) == 2
    assert places(claim(db, number=3)) == [("w:1", 7)]


def test_other_receivers_of_the_same_order_do_not_wait_for_each_other(db: Database) -> None:
    fill(db, [("w:1", 5)])
    fill(db, [("w:1", 6)], receiver=SHOP)

    assert places(claim(db)) == [("w:1", 5)]
    assert places(claim(db, receiver=SHOP)) == [("w:1", 6)]


def test_a_dead_message_holds_up_those_behind_it_until_it_is_sent_again(db: Database) -> None:
    fill(db, [("w:1", 5), ("w:1", 7)])
    assert failed(db, claimed(claim(db)), due_at=NOW, final=True) == {"dead": 1}
    assert claim(db, number=2) is None

    assert db.transaction(lambda tx: outbox.redeliver_many(tx, ALL_PARTS, WMS, now=NOW)) == 1
    assert places(claim(db, number=3)) == [("w:1", 5)]


def test_redelivery_may_name_its_orders(db: Database) -> None:
    fill(db, [("w:1", 5), ("w:2", 5)])
    failed(db, claimed(claim(db)), due_at=NOW, final=True)

    wanted = [OrderId("w:2")]
    assert db.transaction(lambda tx: outbox.redeliver_many(tx, ALL_PARTS, WMS, now=NOW, order_ids=wanted)) == 1
    assert places(claim(db, number=2)) == [("w:2", 5)]


def test_a_failed_message_waits_for_its_time_and_dies_after_its_last_attempt(db: Database) -> None:
    fill(db, [("w:1", 5)])
    assert failed(db, claimed(claim(db)), due_at=after(10)) == {"waiting": 1}
    assert claim(db, now=after(9)) is None
    assert failed(db, claimed(claim(db, now=after(10), number=2)), due_at=after(30)) == {"waiting": 1}
    last = claimed(claim(db, now=after(30), number=3))
    assert last.notices[0].attempts == 2

    assert failed(db, last, due_at=after(90)) == {"dead": 1}

    assert claim(db, now=after(1000)) is None
    rows = db.transaction(
        lambda tx: tx.query("select subject, exception_id, reason, explanation, system, owner, due_at from exceptions")
    )
    assert rows == [
        (
            "w:1",
            "delivery_dead/5/shipment.release/1",
            "delivery_dead",
            "shipment.release of w:1/1 was given up after 3 attempts: 503 \ufffd busy",
            "wms",
            "fulfillment",
            after(3600),
        )
    ]


def test_the_same_death_again_opens_the_same_exception_again(db: Database) -> None:
    fill(db, [("w:1", 5)])
    failed(db, claimed(claim(db)), due_at=NOW, final=True)
    db.transaction(
        lambda tx: tx.execute("update exceptions set closed_at = %(n)s, closed_by = 'pat', evidence = 'x'", n=NOW)
    )
    db.transaction(lambda tx: outbox.redeliver_many(tx, ALL_PARTS, WMS, now=NOW))
    failed(db, claimed(claim(db, number=2)), due_at=NOW, final=True)

    assert db.transaction(lambda tx: tx.query("select times, closed_at from exceptions")) == [(2, None)]


def test_an_abandoned_batch_is_claimed_again_whole_and_under_its_own_id(db: Database) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(50)])
    first = claimed(claim(db, limit=20, number=7))
    assert len(first.notices) == 20
    fill(db, [("w:new", 1)])
    assert len(claimed(claim(db, now=after(59), number=8)).notices) == 31  # the lease still holds

    again = claimed(claim(db, now=after(61), limit=5, number=9))

    assert (again.batch_id, again.again) == (UUID(int=7), True)
    assert sorted(again.notices) == sorted(first.notices)


def test_of_two_senders_only_one_gets_an_abandoned_batch_and_it_gets_all_of_it(db: Database) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(400)])
    claim(db, limit=400, number=7)
    found: list[Batch | None] = []
    start = threading.Barrier(4)

    def take(number: int) -> None:
        start.wait()
        found.append(claim(db, now=after(61), limit=400, number=number))

    threads = [threading.Thread(target=take, args=(100 + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(0 if batch is None else len(batch.notices) for batch in found) == [0, 0, 0, 400]


def test_senders_at_the_same_time_share_the_messages_and_none_is_claimed_twice(db: Database) -> None:
    fill(db, [(f"w:{n}", seq) for n in range(500) for seq in (1, 2)])
    found: list[tuple[str, int]] = []

    def work(number: int) -> None:
        while (batch := claim(db, limit=37, number=number)) is not None:
            found.extend(places(batch))
            sent(db, batch)
            number += 10

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == len(set(found)) == 1000
    order = {}
    for order_id, seq in found:
        assert order.get(order_id, 0) < seq
        order[order_id] = seq


def test_who_comes_back_after_his_lease_cannot_fail_what_another_has(db: Database) -> None:
    fill(db, [("w:1", 5)])
    slow = claimed(claim(db))
    db.transaction(lambda tx: outbox.return_many(tx, slow, slow.notices, due_at=NOW))
    quick = claimed(claim(db, number=2))

    assert failed(db, slow, due_at=NOW, final=True) == {}
    assert sent(db, quick) == 1


def test_settling_twice_is_settling_once(db: Database) -> None:
    fill(db, [("w:1", 5)])
    batch = claimed(claim(db))

    assert [sent(db, batch), sent(db, batch)] == [1, 0]
    assert db.transaction(outbox.count_many) == [Queue(WMS, "sent", 1, NOW)]


def test_what_was_leased_and_not_tried_may_go_at_once_and_costs_no_attempt(db: Database) -> None:
    fill(db, [("w:1", 5)])
    batch = claimed(claim(db))
    assert db.transaction(lambda tx: outbox.return_many(tx, batch, batch.notices, due_at=NOW)) == 1

    again = claimed(claim(db, number=2))
    assert (again.again, again.notices[0].attempts) == (False, 0)


def test_the_pace_grants_a_burst_and_then_the_rate_to_all_processes_together(db: Database) -> None:
    pace = Pace(rate=10.0, burst=5)

    def take(wanted: int, now: datetime) -> int:
        return db.transaction(lambda tx: outbox.take_many(tx, WMS, wanted, pace, now))

    assert [take(3, NOW), take(3, NOW), take(3, NOW)] == [3, 2, 0]
    assert take(3, after(0.1)) == 1
    assert take(100, after(0.3)) == 2
    assert take(100, after(100)) == 5
    assert take(1, after(99)) == 0  # a process whose clock is behind takes nothing out of turn


def test_a_claim_takes_no_more_than_the_pace_grants(db: Database) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(10)])
    pace = Pace(rate=1.0, burst=4)

    assert len(claimed(claim(db, pace=pace)).notices) == 4
    assert claimed(claim(db, number=2, pace=pace)).notices == ()
    assert len(claimed(claim(db, now=after(2), number=3, pace=pace)).notices) == 2


def test_the_time_for_an_answer_runs_from_the_delivery(db: Database) -> None:
    fill(db, [("w:1", 5)], answer_due_at=after(100))
    sent(db, claimed(claim(db)), now=after(1000))

    rows = db.transaction(lambda tx: tx.query("select state, sent_at, answer_due_at, attempts from outbox"))
    assert rows == [("sent", after(1000), after(1100), 1)]


def test_an_unanswered_release_is_raised_once_and_an_answered_one_never(db: Database) -> None:
    fill(db, [("w:1", 5), ("w:2", 5), ("w:3", 5)], answer_due_at=after(100))
    batch = claimed(claim(db, limit=3))
    waiting = batch._replace(notices=tuple(n for n in batch.notices if n.order_id != "w:3"))
    sent(db, waiting)
    db.transaction(lambda tx: tx.execute("update outbox set answered_at = %(n)s where order_id = 'w:2'", n=NOW))

    def raised(now: datetime) -> int:
        return db.transaction(lambda tx: sum(outbox.overdue_many(tx, part, now, DUTY) for part in ALL_PARTS))

    assert [raised(after(100)), raised(after(101)), raised(after(500))] == [0, 1, 0]
    rows = db.transaction(
        lambda tx: tx.query("select subject, exception_id, owner, due_at, explanation from exceptions")
    )
    assert rows == [
        (
            "w:1",
            "ack_overdue/1",
            "fulfillment",
            after(101 + 3600),
            "wms has not acknowledged assignment w:1/1: delivered 2026-03-01T12:00:00Z, answer due 2026-03-01T12:01:40Z",
        )
    ]


def test_the_receivers_that_have_something_due_are_known(db: Database) -> None:
    fill(db, [("w:1", 5), ("w:1", 6)])
    fill(db, [("w:1", 7)], receiver=SHOP)
    failed(db, claimed(claim(db, receiver=SHOP)), due_at=after(10))

    assert db.transaction(lambda tx: outbox.receivers_due(tx, ALL_PARTS, NOW)) == {WMS: 2}
    assert db.transaction(lambda tx: outbox.receivers_due(tx, ALL_PARTS, after(10))) == {SHOP: 1, WMS: 2}
    assert db.transaction(lambda tx: outbox.next_due_at(tx, ALL_PARTS)) == NOW
