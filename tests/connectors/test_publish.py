"""Events to webhooks over real sockets: once where all is well, in order per order always, and nothing is ever lost."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from interlock.bootstrap import App
from interlock.domain.commands import CancelOrder
from interlock.domain.values import OrderId, part_of
from interlock.engine.door import Door
from interlock.storage import events_feed, subscriptions
from interlock.storage.database import Database
from interlock.storage.events_feed import BEGINNING
from tests.builders import arrival, make_estate, order, stock
from tests.connectors.subscribers import (
    ENVIRONMENT,
    NOW,
    OTHER,
    SECRET,
    Got,
    after,
    assert_in_order,
    estate,
    history,
    is_signed_by,
    publishing,
    subscription,
    webhook,
)
from tests.engine.truths import rows

ORDERS = [f"web:{number}" for number in range(30)]
SAME_PART = [name for name in (f"web:{number}" for number in range(2_000)) if part_of(name) == 7][:3]


def standing(db: Database, name: str = "crm") -> dict[str, Any]:
    [found] = [each for each in subscriptions.show_many(db) if each["name"] == name]
    return found


def exceptions(db: Database) -> list[tuple[Any, ...]]:
    return rows(db, "select exception_id, closed_by from exceptions order by exception_id")


def test_every_event_comes_once_signed_and_in_the_order_of_its_order(db: Database) -> None:
    ids = history(db, ORDERS, 5)

    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        report = publication.run_once(NOW)

    assert_in_order(crm.ids())
    assert sorted(crm.ids()) == sorted(ids)
    assert (report.sent, report.subscriptions["crm"].error) == (150, "")
    assert all(is_signed_by(got, SECRET) and not is_signed_by(got, OTHER) for got in crm.got)
    first = crm.got[0]
    assert first.headers["content-type"] == "application/cloudevents+json"
    assert first.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert first.body["specversion"] == "1.0"
    assert first.body["id"] == first.webhook_id
    assert first.body["data"]["assignment_no"] == 1
    assert (standing(db)["sent"], standing(db)["behind"]) == (150, 0)


def test_with_two_secrets_each_request_has_two_signatures_and_one_may_be_missing(db: Database) -> None:
    history(db, ["web:1"], 1)

    with webhook() as crm, publishing(
        db, subscription(crm, secrets_env=("CRM_SECRET", "NEXT_SECRET", "MISSING_SECRET"))
    ) as publication:  # fmt: skip
        publication.run_once(NOW)

    assert is_signed_by(crm.got[0], SECRET)
    assert is_signed_by(crm.got[0], OTHER)


def test_without_any_secret_nothing_is_sent_and_it_is_said_why(db: Database) -> None:
    history(db, ["web:1"], 1)

    with webhook() as crm, publishing(db, subscription(crm, secrets_env=("NO_SECRET",))) as publication:
        publication.run_once(NOW)

    assert crm.got == []
    assert "set the environment variable NO_SECRET" in standing(db)["last_error"]


def test_in_binary_mode_the_attributes_are_headers(db: Database) -> None:
    history(db, ["web:1"], 1)

    with webhook() as crm, publishing(db, subscription(crm, mode="binary")) as publication:
        publication.run_once(NOW)

    headers = crm.got[0].headers
    assert (headers["ce-id"], headers["ce-type"]) == ("web:1/1", "interlock.assignment.released.v1")
    assert headers["content-type"] == "application/json"
    assert (crm.got[0].body["assignment_no"], crm.got[0].body["at"]) == (1, "2026-03-01T12:00:00Z")


def test_a_batch_holds_events_of_one_part_in_their_order(db: Database) -> None:
    ids = history(db, ORDERS, 10)

    with webhook() as crm, publishing(db, subscription(crm, batch_max=4)) as publication:
        publication.run_once(NOW)

    came = [[event["id"] for event in got.body] for got in crm.got]
    assert [got.webhook_id for got in crm.got] == [each[0] for each in came]
    assert_in_order([each for batch in came for each in batch])
    assert sorted(each for batch in came for each in batch) == sorted(ids)
    assert max(map(len, came)) == 4
    assert crm.got[0].headers["content-type"] == "application/cloudevents-batch+json"
    assert all(len({part_of(each.rsplit("/", 1)[0]) for each in batch}) == 1 for batch in came)


def test_only_what_is_subscribed_to_comes_and_the_rest_is_behind_it(db: Database) -> None:
    door = Door(db, make_estate())
    door.process([arrival(stock("s1"), "wms"), *(arrival(order(number)) for number in range(6))])
    door.process([arrival(CancelOrder(order_id=OrderId("web:3"), ref="c"), "office")])

    with (
        webhook() as types,
        webhook() as channels,
        webhook() as systems,
        publishing(
            db,
            subscription(types, "types", types=("order.*",)),
            subscription(channels, "channels", channels=("stores",)),
            subscription(systems, "systems", systems=("office",)),
        ) as publication,
    ):
        publication.run_once(NOW)

    assert {got.body["type"] for got in types.got} == {"interlock.order.created.v1"}
    assert sorted(got.body["subject"] for got in types.got) == [f"web:{number}" for number in range(6)]
    assert channels.got == []
    assert {(got.body["subject"], got.body["causationsystem"]) for got in systems.got} == {("web:3", "office")}
    assert [standing(db, name)["behind"] for name in ("types", "channels", "systems")] == [0, 0, 0]


def test_who_starts_now_has_no_history_and_who_starts_at_the_beginning_has_all_of_it(db: Database) -> None:
    old = history(db, ORDERS, 2)
    with webhook() as late, webhook() as whole:
        with publishing(db, subscription(late, "late", start="now")) as publication:
            publication.run_once(NOW)
        new = history(db, ORDERS, 1, first=3)

        with publishing(db, subscription(late, "late", start="now"), subscription(whole, "whole")) as publication:
            publication.run_once(after(1))

    assert sorted(late.ids()) == sorted(new)
    assert sorted(whole.ids()) == sorted(old + new)


def test_an_event_that_fails_holds_up_its_part_until_it_is_taken(db: Database) -> None:
    mine, neighbour, other = SAME_PART[0], SAME_PART[1], "web:1"
    history(db, [mine, neighbour, other], 2)
    bad = True

    def answer(got: Got) -> tuple[int, dict[str, str]]:
        return (503 if bad and got.webhook_id == f"{mine}/1" else 204), {}

    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        crm.answer = answer
        publication.run_once(NOW)
        assert sorted(crm.ids()) == [f"{other}/1", f"{other}/2"]
        publication.run_once(after(9))
        assert len(crm.got) == 3
        bad = False
        publication.run_once(after(10))

    assert_in_order(crm.ids())
    assert len(crm.ids()) == 6


def test_what_failed_too_often_is_a_dead_letter_and_goes_again_when_a_person_wants_it(db: Database) -> None:
    mine, neighbour = SAME_PART[:2]
    history(db, [mine, neighbour], 2)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        crm.answer = lambda got: (500 if got.webhook_id == f"{mine}/1" else 204, {})
        for seconds in (0, 10, 30):
            publication.run_once(after(seconds))

        assert crm.ids() == [f"{neighbour}/1", f"{mine}/2", f"{neighbour}/2"]
        assert [got.webhook_id for got in crm.got].count(f"{mine}/1") == 3
        [letter] = db.transaction(lambda tx: subscriptions.letters_many(tx, "crm"))
        assert (letter["event"], letter["state"], letter["attempts"]) == (f"{mine}/1", "dead", 3)
        assert exceptions(db) == [("event_undelivered/crm", None)]

        crm.answer = lambda _: (204, {})
        assert db.transaction(lambda tx: subscriptions.redeliver_dead(tx, "crm", after(40))) == 1
        publication.run_once(after(40))

    assert crm.ids()[3:] == [f"{mine}/1"]
    assert db.transaction(lambda tx: subscriptions.letters_many(tx, "crm")) == []
    assert exceptions(db) == [("event_undelivered/crm", "interlock")]


def test_what_is_refused_is_dead_at_once_and_of_a_batch_only_the_guilty(db: Database) -> None:
    history(db, SAME_PART, 2)
    guilty = f"{SAME_PART[1]}/1"

    def answer(got: Got) -> tuple[int, dict[str, str]]:
        events = got.body if isinstance(got.body, list) else [got.body]
        return (400 if guilty in [event["id"] for event in events] else 200), {}

    with webhook() as crm, publishing(db, subscription(crm, batch_max=10)) as publication:
        crm.answer = answer
        publication.run_once(NOW)

    assert [each["event"] for each in db.transaction(lambda tx: subscriptions.letters_many(tx, "crm"))] == [guilty]
    assert len(crm.ids()) == 5
    assert standing(db)["behind"] == 0


def test_a_batch_that_fails_to_the_last_attempt_costs_only_the_event_that_is_its_cause(db: Database) -> None:
    history(db, SAME_PART, 2)
    guilty = f"{SAME_PART[1]}/1"
    with webhook() as crm, publishing(db, subscription(crm, batch_max=3)) as publication:
        crm.answer = lambda got: (500 if guilty.encode() in got.raw else 200, {})
        for seconds in (0, 10, 30):
            publication.run_once(after(seconds))

    assert [each["event"] for each in db.transaction(lambda tx: subscriptions.letters_many(tx, "crm"))] == [guilty]
    assert standing(db)["behind"] == 0


def test_many_failures_in_a_row_pause_it_until_it_is_resumed_and_then_nothing_is_missing(db: Database) -> None:
    ids = history(db, SAME_PART[:1], 4)
    with webhook() as crm, publishing(db, subscription(crm, pause_after=2)) as publication:
        crm.answer = lambda _: (500, {})
        publication.run_once(NOW)
        assert standing(db)["paused_at"] is None
        assert publication.run_once(after(10)).subscriptions["crm"].paused
        assert standing(db)["paused_why"].startswith("2 attempts in a row failed: ")
        assert exceptions(db) == [("subscription_paused/crm", None)]
        crm.answer = lambda _: (204, {})
        assert publication.run_once(after(1_000)).sent == 0

        assert db.transaction(lambda tx: subscriptions.resume(tx, "crm", after(1_001)))
        assert exceptions(db) == [("subscription_paused/crm", None)]
        publication.run_once(after(1_001))

    assert crm.ids() == ids
    assert exceptions(db) == [("subscription_paused/crm", "interlock")]


def test_a_success_between_failures_counts_them_from_the_start(db: Database) -> None:
    history(db, [SAME_PART[0], "web:1"], 1)
    with webhook() as crm, publishing(db, subscription(crm, pause_after=3)) as publication:
        crm.answer = lambda got: (500 if got.webhook_id.startswith(SAME_PART[0]) else 204, {})
        for number, seconds in enumerate((0, 10, 30)):
            publication.run_once(after(seconds))
            history(db, ["web:1"], 1, first=number + 2)

    assert standing(db)["paused_at"] is None


def test_410_gone_pauses_at_once_and_loses_nothing(db: Database) -> None:
    ids = history(db, SAME_PART[:1], 3)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        crm.answer = lambda got: (410 if got.webhook_id.endswith("/2") else 204, {})
        assert publication.run_once(NOW).subscriptions["crm"].paused
        assert [got.webhook_id for got in crm.got] == ids[:2]
        assert "410 Gone" in standing(db)["paused_why"]

        crm.answer = lambda _: (204, {})
        db.transaction(lambda tx: subscriptions.resume(tx, "crm", after(1)))
        publication.run_once(after(1))

    assert crm.ids() == ids


def test_429_with_retry_after_is_kept_by_every_process_and_is_no_attempt(db: Database) -> None:
    ids = history(db, SAME_PART[:1], 2)
    with (
        webhook() as crm,
        publishing(db, subscription(crm)) as publication,
        publishing(db, subscription(crm)) as other,
    ):
        crm.answer = lambda _: (429, {"Retry-After": "120"})
        for seconds in (0, 120, 240, 360):
            publication.run_once(after(seconds))
            assert other.run_once(after(seconds + 119)).sent == 0
        assert len(crm.got) == 4
        crm.answer = lambda _: (204, {})
        other.run_once(after(480))

    assert crm.ids() == ids


def test_rewinding_sends_the_same_again_under_the_same_ids(db: Database) -> None:
    first = history(db, ORDERS, 2)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        publication.run_once(NOW)
        between = db.transaction(events_feed.now_cursor)
        second = history(db, ORDERS, 1, first=3)
        publication.run_once(after(1))
        once = {got.webhook_id: got.body for got in crm.got}

        db.transaction(lambda tx: subscriptions.rewind(tx, "crm", between, after(2)))
        publication.run_once(after(2))
        assert sorted(crm.ids()[90:]) == sorted(second)
        db.transaction(lambda tx: subscriptions.rewind(tx, "crm", BEGINNING, after(3)))
        publication.run_once(after(3))

    assert sorted(crm.ids()[120:]) == sorted(first + second)
    assert all(got.body == once[got.webhook_id] for got in crm.got)


def test_one_event_goes_again_out_of_turn(db: Database) -> None:
    history(db, ORDERS, 2)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        publication.run_once(NOW)
        assert db.transaction(lambda tx: subscriptions.redeliver_one(tx, "crm", OrderId("web:5"), 2, after(1)))
        assert not db.transaction(lambda tx: subscriptions.redeliver_one(tx, "crm", OrderId("web:5"), 9, after(1)))
        publication.run_once(after(1))

    assert crm.ids()[60:] == ["web:5/2"]


def test_its_pace_is_kept(db: Database) -> None:
    history(db, ORDERS, 1)
    with webhook() as crm, publishing(db, subscription(crm, requests_per_s=2.0, burst=4)) as publication:
        sent = [publication.run_once(after(seconds)).sent for seconds in (0, 1, 2, 10)]

    assert sent == [4, 2, 2, 4]


def test_a_subscriber_that_hangs_delays_nobody_else(db: Database) -> None:
    history(db, ORDERS, 1)
    stop = threading.Event()
    with (
        webhook() as hanging,
        webhook() as crm,
        publishing(db, subscription(hanging, "hanging", timeout_s=3), subscription(crm)) as publication,
    ):
        hanging.delay_s = 2.0
        began = time.monotonic()
        running = threading.Thread(target=publication.loop, args=(stop,))
        running.start()
        while len(crm.ids()) < 30 and time.monotonic() < began + 10:
            time.sleep(0.01)
        took_s = time.monotonic() - began
        stop.set()
        running.join()

    assert sorted(crm.ids()) == sorted(f"{each}/1" for each in ORDERS)
    assert took_s < 2.0


def test_several_processes_share_the_parts_and_nothing_comes_twice_or_out_of_order(dsn: str) -> None:
    with Database(dsn, pool_max=8) as db:
        ids = history(db, ORDERS, 20)
        stop = threading.Event()
        with (
            webhook() as crm,
            publishing(db, subscription(crm)) as one,
            publishing(db, subscription(crm)) as two,
        ):
            running = [threading.Thread(target=each.loop, args=(stop,)) for each in (one, two)]
            for thread in running:
                thread.start()
            end = time.monotonic() + 30
            while len(crm.ids()) < len(ids) and time.monotonic() < end:
                time.sleep(0.02)
            stop.set()
            for thread in running:
                thread.join()

        assert_in_order(crm.ids())
        assert sorted(crm.ids()) == sorted(ids)


@pytest.mark.parametrize(("status", "sent"), [(401, 1), (404, 1), (302, 1), (200, 2), (201, 2)])
def test_an_answer_about_our_address_or_right_is_tried_again(db: Database, status: int, sent: int) -> None:
    history(db, SAME_PART[:1], 2)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        crm.answer = lambda _: (status, {"Location": "http://127.0.0.1:1/"} if status == 302 else {})
        publication.run_once(NOW)

    assert len(crm.got) == sent
    assert db.transaction(lambda tx: subscriptions.letters_many(tx, "crm")) == []


def test_the_service_sends_what_happens_to_who_is_subscribed(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in ENVIRONMENT.items():
        monkeypatch.setenv(name, secret)
    with webhook() as crm, Database(dsn, pool_max=6) as db:
        app = App(db, estate(subscription(crm, start="now")))
        with app.services(folders=False):
            end = time.monotonic() + 20
            while not subscriptions.show_many(db) and time.monotonic() < end:
                time.sleep(0.05)
            app.door.process([arrival(stock("s1"), "wms"), arrival(order(1))])
            while not crm.ids() and time.monotonic() < end:
                time.sleep(0.05)

    assert crm.ids()[0] == "web:1/1"
    assert crm.got[0].body["type"] == "interlock.order.created.v1"


def test_a_connection_that_the_subscriber_has_closed_meanwhile_costs_no_attempt(db: Database) -> None:
    ids = history(db, SAME_PART[:1], 4)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        crm.closes = True
        report = publication.run_once(NOW)

    assert crm.ids() == ids
    assert report.subscriptions["crm"].failed == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "https://127.0.0.1:1/x", "http://no-such-host.invalid/x"])
def test_a_subscriber_that_is_not_there_is_tried_again(db: Database, url: str) -> None:
    history(db, SAME_PART[:1], 1)
    with publishing(db, subscription(url)) as publication:
        report = publication.run_once(NOW)

    assert (report.sent, report.subscriptions["crm"].failed) == (0, 1)
    assert standing(db)["last_error"].startswith(f"{url}: ")


def test_a_subscriber_that_says_nothing_is_not_waited_for_longer_than_its_timeout(db: Database) -> None:
    history(db, SAME_PART[:1], 2)
    with webhook() as crm, publishing(db, subscription(crm, timeout_s=0.3)) as publication:
        crm.delay_s = 2.0
        began = time.monotonic()
        report = publication.run_once(NOW)

    assert time.monotonic() - began < 5
    assert (report.sent, report.subscriptions["crm"].failed) == (0, 1)
    assert "timed out" in standing(db)["last_error"]


@pytest.mark.parametrize("status", [200, 204])
def test_a_long_answer_is_not_read_to_its_end_even_where_there_must_be_none(db: Database, status: int) -> None:
    history(db, SAME_PART[:1], 3)
    with webhook() as crm, publishing(db, subscription(crm)) as publication:
        crm.answer = lambda _: (status, {})
        crm.said = b"x" * 5_000_000
        report = publication.run_once(NOW)

    assert report.sent == 3
