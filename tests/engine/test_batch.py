"""Micro-batches on a real PostgreSQL: once, in order, and the guilty alone is put away."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    CancelOrder,
    CaptureOrder,
    ConfirmShipment,
    CreateOrder,
    HoldReservation,
    PackShipment,
)
from interlock.domain.decide import DECIDERS
from interlock.domain.decision import Arrival, Draft, Outcome
from interlock.domain.estate import SourcingPolicy
from interlock.domain.values import NodeId, OrderId, Sku, part_of
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.engine.truths import check_database, exceptions, outcomes, rows, sold, stored_orders

SPLIT_MAX_1 = SourcingPolicy(version="1", split_max=1)


@pytest.fixture
def door(db: Database) -> Door:
    """A door with a hundred s1 and a hundred s2 behind it, at n1."""
    door = Door(db, make_estate())
    door.process([arrival(stock("s1"), "wms"), arrival(stock("s2"), "wms")])
    return door


def words(results: list[Outcome]) -> list[str]:
    return [o.outcome for o in results]


def confirm(number: int | str = 1, ref: str = "ship", **changes: Any) -> ConfirmShipment:
    return ConfirmShipment(order_id=OrderId(f"web:{number}"), assignment_no=1, ref=ref, **changes)


def cancel(number: int | str = 1, ref: str = "c") -> CancelOrder:
    return CancelOrder(order_id=OrderId(f"web:{number}"), ref=ref)


def test_an_order_is_kept_reserved_and_released_in_one_transaction(door: Door) -> None:
    (outcome,) = door.process([arrival(order(1, [("s1", 2), ("s2", 1)]))])

    assert (outcome.outcome, outcome.first, outcome.reason) == ("processed", "processed", "")
    assert msgspec.json.decode(outcome.answer) == {
        "outcome": "processed",
        "order_id": "web:1",
        "state": "released",
        "seq": 4,
        "assignments": [{"assignment": "web:1/1", "node": "n1"}],
    }
    assert sold(door.db, "s1") == (100, 2)
    assert rows(door.db, "select order_id, receiver, message, assignment_no, state from outbox") == [
        ("web:1", "wms", "shipment.release", 1, "waiting")
    ]
    check_database(door.db)


def test_a_message_is_kept_verbatim_with_its_identifiers(door: Door) -> None:
    body = b'{"odd":  "bytes", \xf0\x9f\x91\x95 \x00}'
    sent = arrival(order(1), body=body, source_message_id="m-1", trace_id="t-1", file="f" * 64, record="line 3")

    door.process([sent])

    assert rows(
        door.db,
        "select message_id, system, body, source_message_id, trace_id, file, record, action, business_key, outcome,"
        " command is null from messages where subject = 'web:1'",
    ) == [(sent.message_id, "web", body, "m-1", "t-1", "f" * 64, "line 3", "order.create", "", "processed", True)]


def test_the_same_request_twice_in_one_batch_has_one_effect_and_one_answer(door: Door) -> None:
    first, again, third = door.process([arrival(order(1)), arrival(order(1)), arrival(order(1))])

    assert words([first, again, third]) == ["processed", "duplicate", "duplicate"]
    assert bytes(again.answer) == bytes(third.answer) == bytes(first.answer)
    assert sold(door.db, "s1") == (100, 1)
    assert rows(door.db, "select count(*) from messages where subject = 'web:1'") == [(3,)]
    check_database(door.db)


def test_the_same_request_later_gets_the_first_answer_byte_for_byte(door: Door) -> None:
    (first,) = door.process([arrival(order(1))])
    door.process([arrival(confirm(), "wms")])  # the order has gone on meanwhile

    (again,) = door.process([arrival(order(1))])

    assert (again.outcome, again.first) == ("duplicate", "processed")
    assert bytes(again.answer) == bytes(first.answer)
    assert rows(
        door.db, "select attempts, conflicts from ledger where subject = 'web:1' and action = 'order.create'"
    ) == [(2, 0)]
    assert exceptions(door.db) == []


def test_the_same_request_at_once_by_two_roads_has_one_effect(db: Database, dsn: str) -> None:
    with Database(dsn, pool_max=8) as wide:
        door = Door(wide, make_estate())
        door.process([arrival(stock("s1"), "wms")])
        gate = threading.Barrier(6)
        results: list[Outcome] = []

        def send() -> None:
            gate.wait()
            results.extend(door.process([arrival(order(1))]))

        run_together([send] * 6)

        assert sorted(words(results)) == ["duplicate"] * 5 + ["processed"]
        assert len({bytes(o.answer) for o in results}) == 1
        assert sold(wide, "s1") == (100, 1)
        check_database(wide)


def test_the_same_key_with_another_payload_is_a_conflict_for_a_person(door: Door) -> None:
    (first,) = door.process([arrival(order(1, [("s1", 1)]))])

    later, at_once = (
        door.process([arrival(order(1, [("s1", 5)]))])[0],
        door.process([arrival(order(2)), arrival(order(2, [("s1", 7)]))])[1],
    )

    assert (later.outcome, later.first, bytes(later.answer)) == ("conflict", "processed", bytes(first.answer))
    assert later.reason == "order.create web:1 was asked before with another payload"
    assert at_once.outcome == "conflict"
    assert sold(door.db, "s1") == (100, 2)
    assert exceptions(door.db) == [
        ("web:1", "conflict/order.create/", 1),
        ("web:2", "conflict/order.create/", 1),
    ]
    assert rows(door.db, "select conflicts from ledger where action = 'order.create' order by subject") == [(1,), (1,)]
    check_database(door.db)


def test_a_refusal_is_answered_again_and_leaves_nothing_but_its_ledger_row(door: Door) -> None:
    door.process([arrival(order(1))])
    before = stored_orders(door.db)
    capture = CaptureOrder(order_id=OrderId("web:1"), ref="p", amount=order(1).total * 2)

    first, again = door.process([arrival(capture)])[0], door.process([arrival(capture)])[0]

    assert (first.outcome, again.outcome, again.first) == ("refused", "duplicate", "refused")
    assert bytes(first.answer) == bytes(again.answer)
    assert msgspec.json.decode(first.answer)["reason"] == "over_captured"
    assert stored_orders(door.db) == before
    assert exceptions(door.db) == []


def test_a_cancellation_that_comes_before_its_order_waits_for_it(door: Door) -> None:
    (early,) = door.process([arrival(cancel())])
    assert (early.outcome, early.waits_for) == ("parked", "web:1")
    assert outcomes(door.db) == {"processed": 2, "parked": 1}

    (created,) = door.process([arrival(order(1))])

    assert created.outcome == "processed"
    assert stored_orders(door.db)[OrderId("web:1")].state == "canceled"
    assert outcomes(door.db) == {"processed": 4}
    assert sold(door.db, "s1") == (100, 0)
    (again,) = door.process([arrival(cancel())])
    assert (again.outcome, again.first) == ("duplicate", "processed")
    assert msgspec.json.decode(again.answer)["state"] == "canceled"
    assert rows(door.db, "select receiver, message from outbox") == []  # no node heard of an order that is over
    check_database(door.db)


def test_a_parked_message_that_comes_again_is_a_duplicate_and_acts_once(door: Door) -> None:
    first, again = door.process([arrival(cancel())])[0], door.process([arrival(cancel())])[0]
    assert (first.outcome, again.outcome, again.first) == ("parked", "duplicate", "parked")

    results = door.process([arrival(cancel(ref="other")), arrival(order(1)), arrival(cancel(ref="other"))])

    assert words(results) == ["stale", "processed", "duplicate"]  # the first cancellation acts first
    assert outcomes(door.db) == {"processed": 4, "duplicate": 2, "stale": 1}
    check_database(door.db)


def test_every_order_of_arrival_ends_with_the_same_units(door: Door) -> None:
    stories = list(itertools.permutations(range(4)))
    for step in range(4):
        batch = []
        for number, story in enumerate(stories):
            order_id = OrderId(f"web:{number}")
            batch.append(
                [
                    arrival(order(number, [("s1", 2)])),
                    arrival(AcknowledgeShipment(order_id=order_id, assignment_no=1, ref="a"), "wms"),
                    arrival(PackShipment(order_id=order_id, assignment_no=1, ref="p"), "wms"),
                    arrival(confirm(number), "wms"),
                ][story[step]]
            )
        door.process(batch)

    ends = {
        (o.lines[1].shipped, o.state, bool(o.assignments[1].acknowledged_at)) for o in stored_orders(door.db).values()
    }
    assert ends == {(2, "shipped", True)}
    assert sold(door.db, "s1") == (100 - 2 * len(stories), 0)
    assert rows(door.db, "select count(*) from outbox where answered_at is null") == [(0,)]
    assert rows(door.db, "select count(*) from messages where outcome = 'parked'") == [(0,)]
    check_database(door.db)


def test_a_whole_order_s_life_fits_into_one_batch(door: Door) -> None:
    results = door.process(
        [
            arrival(confirm(), "wms"),
            arrival(order(1, [("s1", 2), ("s3", 1)])),
            arrival(AdjustStock(sku=Sku("s3"), node=NodeId("n2"), ref="t", delta=4), "wms"),
            arrival(CaptureOrder(order_id=OrderId("web:1"), ref="p", amount=order(1).total)),
        ]
    )
    assert words(results) == ["processed"] * 4
    (held,) = door.process([arrival(HoldReservation(order_id=OrderId("web:1"), ref="h"), "office")])

    assert msgspec.json.decode(held.answer)["state"] == "released"
    check_database(door.db)


def test_what_could_not_be_read_is_put_away_whole_and_its_neighbours_go_on(door: Door) -> None:
    unreadable = arrival(None)

    results = door.process([arrival(order(1)), unreadable, arrival(order(2))])

    assert words(results) == ["processed", "quarantined", "processed"]
    assert msgspec.json.decode(results[1].answer) == {
        "outcome": "quarantined",
        "reason": "not_json",
        "detail": "it is not JSON",
        "errors": [],
    }
    assert rows(door.db, "select body, outcome from messages where message_id = %(id)s", id=unreadable.message_id) == [
        (b"\xff not JSON", "quarantined")
    ]
    assert exceptions(door.db) == [(str(unreadable.message_id), "quarantined/not_json", 1)]


def poison(monkeypatch: pytest.MonkeyPatch, *bad: str) -> None:
    """Make our own code fail on these orders."""
    create = DECIDERS["order.create"]

    def failing(draft: Draft, command: CreateOrder) -> None:
        if command.order_id in bad:
            raise RuntimeError("we made a mistake")
        create(draft, command)

    monkeypatch.setitem(DECIDERS, "order.create", failing)


def one_part(count: int) -> list[int]:
    """Numbers of orders that are all in the part of order 0."""
    numbers = (n for n in itertools.count() if part_of(f"web:{n}") == part_of("web:0"))
    return list(itertools.islice(numbers, count))


def test_one_poisonous_message_among_400_is_put_away_alone(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = one_part(400)
    door.process([arrival(stock("s1", "n2", 1000), "wms")])
    bad = numbers[277]
    poison(monkeypatch, f"web:{bad}")

    results = door.process([arrival(order(number)) for number in numbers])

    assert [n for n, o in zip(numbers, results, strict=True) if o.outcome != "processed"] == [bad]
    assert results[277].outcome == "quarantined"
    assert results[277].reason == "internal_error: RuntimeError: we made a mistake"
    assert exceptions(door.db) == [(f"web:{bad}", "quarantined/internal_error", 1)]
    assert rows(door.db, "select count(*) from orders") == [(399,)]
    check_database(door.db)

    monkeypatch.undo()  # the bug is mended, and the sender tries again
    (again,) = door.process([arrival(order(bad))])
    assert again.outcome == "processed"


def test_a_mistake_leaves_nothing_of_the_batch_s_first_attempt(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    first, bad = one_part(2)
    poison(monkeypatch, f"web:{bad}")

    assert words(door.process([arrival(order(first, [("s1", 3)])), arrival(order(bad))])) == [
        "processed",
        "quarantined",
    ]

    assert sold(door.db, "s1") == (100, 3)
    assert rows(door.db, "select count(*) from movements where kind = 'reserve'") == [(1,)]
    check_database(door.db)


def test_a_refusal_of_the_sender_leaves_the_key_for_the_system_that_may(db: Database) -> None:
    door = Door(db, make_estate(observers={"wms": ("order",)}))
    door.process([arrival(stock("s1"), "wms")])

    wrong = door.process([arrival(order(1), "wms")])[0]
    right = door.process([arrival(order(1))])[0]

    assert (wrong.outcome, right.outcome) == ("refused", "processed")
    assert exceptions(db) == [("web:1", "no_authority/order.create", 1)]
    check_database(db)


def test_what_another_system_tells_is_told_again_by_its_own_one_and_then_counts(db: Database) -> None:
    door = Door(db, make_estate())
    too_many = stock("s1", units=9_000)
    forged = [arrival(too_many, "web"), arrival(order(1, customer="a forger"), "pos"), arrival(too_many, "pos")]
    told = [arrival(stock("s1", units=5), "wms"), arrival(order(1), "web"), arrival(stock("s1", "store1", 3), "pos")]

    assert words(door.process(forged[:2])) == ["refused"] * 2
    assert words(door.process([*forged[2:], *told])) == ["refused"] + ["processed"] * 3
    assert (sold(db, "s1"), stored_orders(db)[OrderId("web:1")].customer) == ((5, 1), "")
    assert exceptions(db) == [("s1", "wrong_source/stock.count", 2), ("web:1", "wrong_source/order.create", 1)]
    assert words(door.process([arrival(stock("s1", "store1", 4, "by the office"), "office")])) == ["processed"]
    check_database(db)


def test_the_key_stays_free_within_one_batch_too(db: Database) -> None:
    door = Door(db, make_estate(observers={"wms": ("order",)}))
    door.process([arrival(stock("s1"), "wms"), arrival(stock("s2"), "wms")])

    results = door.process(
        [
            arrival(cancel()),
            arrival(order(1), "wms"),
            arrival(order(1), "wms"),
            arrival(order(1, [("s2", 4)])),
            arrival(order(1, [("s2", 4)])),
            arrival(order(1)),
        ]
    )

    assert words(results) == ["processed", "refused", "refused", "processed", "duplicate", "conflict"]
    assert [line.sku for line in stored_orders(db)[OrderId("web:1")].lines.values()] == ["s2"]
    assert stored_orders(db)[OrderId("web:1")].state == "canceled"
    check_database(db)


@pytest.mark.parametrize("batches", [1, 2])
def test_what_was_parked_for_the_wrong_system_leaves_the_key_for_the_right_one(door: Door, batches: int) -> None:
    early, created = arrival(confirm(), "pos"), arrival(order(1))
    for batch in [[early, created]] if batches == 1 else [[early], [created]]:
        door.process(batch)
    assert rows(door.db, "select outcome from messages where message_id = %(id)s", id=early.message_id) == [
        ("refused",)
    ]
    assert exceptions(door.db) == [("web:1", "wrong_source/shipment.confirm", 1)]

    (rightful,) = door.process([arrival(confirm(), "wms")])

    assert rightful.outcome == "processed"
    assert stored_orders(door.db)[OrderId("web:1")].state == "shipped"
    check_database(door.db)


def test_the_same_trouble_again_is_the_same_exception_seen_more_often(door: Door) -> None:
    door.process([arrival(order(1))])
    door.process([arrival(order(1, [("s1", 2)]))])
    door.process([arrival(order(1, [("s1", 3)]))])

    assert exceptions(door.db) == [("web:1", "conflict/order.create/", 2)]


def test_a_count_below_what_is_promised_is_a_broken_promise_at_once(door: Door) -> None:
    door.process([arrival(order(1, [("s1", 60)]))])

    (counted,) = door.process([arrival(stock("s1", units=40, ref="recount"), "wms")])

    assert counted.outcome == "processed"
    assert sold(door.db, "s1") == (40, 60)
    assert exceptions(door.db) == [("s1", "promise_broken/n1", 1)]
    assert rows(door.db, "select explanation from exceptions") == [("s1 at n1: 40 available, 60 promised",)]


def test_a_line_that_is_held_twice_at_one_node_can_be_canceled(door: Door) -> None:
    door.process([arrival(order(1, [("s3", 3)]))])
    for ref, units in (("t1", 1), ("t2", 2)):
        door.process([arrival(AdjustStock(sku=Sku("s3"), node=NodeId("n1"), ref=ref, delta=units), "wms")])
        door.process([arrival(HoldReservation(order_id=OrderId("web:1"), ref=ref), "office")])
    assert sold(door.db, "s3") == (3, 3)

    (canceled,) = door.process([arrival(cancel())])

    assert canceled.outcome == "processed"
    assert sold(door.db, "s3") == (3, 0)
    check_database(door.db)


def test_outcomes_come_in_the_order_of_arrivals_over_all_parts(door: Door) -> None:
    sent: list[Arrival] = [arrival(order(number)) for number in range(130)]

    results = door.process(sent)

    assert [o.message_id for o in results] == [a.message_id for a in sent]
    assert words(results) == ["processed"] * 100 + ["processed"] * 30
    assert sold(door.db, "s1") == (100, 100)
    assert rows(door.db, "select count(*) from orders where wake_at is not null") == [(30,)]
    check_database(door.db)


def run_together(tasks: list[Callable[[], None]]) -> None:
    """Run all at once, each in a thread; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_poisonous_message_that_waited_is_put_away_and_its_order_is_taken(
    door: Door, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    door.process([arrival(stock("s1", "n1", 5), "wms")])

    def failing(draft: Draft, command: CancelOrder) -> None:
        raise RuntimeError("we made a mistake")

    monkeypatch.setitem(DECIDERS, "order.cancel", failing)
    door.process([arrival(CancelOrder(order_id=OrderId("web:1"), ref="early"))])

    [created] = door.process([arrival(order(1))])

    assert created.outcome == "processed"
    rows = db.transaction(
        lambda tx: tx.query("select action, outcome from messages where subject = 'web:1' order by 1")
    )
    assert rows == [("order.cancel", "quarantined"), ("order.create", "processed")]


def test_what_is_decided_only_to_look_leaves_nothing_behind(door: Door) -> None:
    door.process([arrival(order(1, [("s1", 2)]))])
    groups = {
        part_of("web:1"): [arrival(cancel(), "office")],
        part_of("s2"): [arrival(stock("s2", "n1", 7, "c"), "wms")],
    }

    decided = door.batcher.decide_if(groups, lambda tx, decided, now: False)

    assert [(d.outcome, len(d.events), len(d.movements)) for _, d in decided] == [
        ("processed", 1, 1),
        ("processed", 0, 1),
    ]
    assert (sold(door.db, "s1"), sold(door.db, "s2")) == ((100, 2), (100, 0))
    assert rows(door.db, "select count(*) from messages") == [(3,)]

    door.batcher.decide_if(groups, lambda tx, decided, now: True)

    assert (sold(door.db, "s1"), sold(door.db, "s2")) == ((100, 0), (7, 0))
    check_database(door.db)
