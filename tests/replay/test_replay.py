"""History again on a real PostgreSQL: the same as it was, and as a candidate would have had it; nothing is changed by looking."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from interlock.domain.estate import SourcingPolicy
from interlock.domain.values import NodeId, Sku, SystemId
from interlock.engine.worker import Worker
from interlock.replay.translating import Translating
from interlock.storage.database import Database
from interlock.storage.history import Range
from tests.engine.truths import rows
from tests.replay.kit import Recorder, order_body, orders_said, replayed, two_warehouses, with_policy, without

ESTATE = two_warehouses()


@pytest.fixture
def history(db: Database) -> Recorder:
    """Two warehouses with stock."""
    recorder = Recorder(db, ESTATE)
    recorder.stock("n1", "wms", s1=10, s2=5)
    recorder.stock("n2", "west", s1=10, s2=5)
    return recorder


def test_history_comes_to_what_the_database_has_event_by_event(history: Recorder) -> None:
    history.say("web", "order.cancel", order="1", ref="early", reason="changed my mind")  # parked: it has no order yet
    history.order(1, s1=2)
    history.order(2, s1=3, s2=1)
    history.order(2, s1=3, s2=1)  # the same again
    history.say("web", "order.create", **order_body(2, s1=4))  # and otherwise: a conflict
    history.ship(2)
    history.order(3, s1=2)
    history.say("wms", "shipment.reject", assignment="web:3/1", ref="r", reason="short_pick")
    history.ship(3, 2, "west")
    history.say("web", "order.create", order_id="4", channel="nowhere", lines=[])  # cannot be read
    history.say("web", "refund.issue", order="2", amount="1.00", ref="no")  # refused

    report = replayed(history.db, ESTATE)

    values = report.values()
    assert values["baseline"] == {
        "orders": 3,
        "reproduced": 3,
        "exactly": 3,
        "not_reproduced": [],
        "exceptions_recorded": values["baseline"]["exceptions_replayed"],
        "exceptions_replayed": values["baseline"]["exceptions_recorded"],
    }
    assert values["messages"] == {
        "replayed": 17,
        "read_otherwise": 0,
        "answered_otherwise": 0,
        "put_away_then": {"unreadable": 1},
        "readable_now": 0,
        "otherwise": [],
    }
    assert [each.outcome for each in report.replayed.base.seen.values()].count("conflict") == 1


def test_a_changed_rule_tells_which_units_would_come_from_where_and_what_the_other_warehouse_would_have_shipped(
    history: Recorder,
) -> None:
    history.order(1, s1=2)
    history.ship(1)
    history.order(2, s2=1)
    history.say("web", "order.capture", order="1", amount="20.00", ref="c")

    report = replayed(history.db, ESTATE, without(ESTATE, "n1"))

    assert orders_said(report) == [
        "web:1: 2 units of s1 from n2 instead of n1",
        "web:2: 1 unit of s2 from n2 instead of n1",
    ]
    totals = report.totals()
    assert totals["units_moved"] == [{"was": "n1", "now": "n2", "units": 3}]
    assert totals["orders"] == {
        "compared": 2,
        "same": 0,
        "different": 2,
        "only_in_the_candidate": 0,
        "only_in_history": 0,
        "left_out": 0,
    }
    assert totals["said_for_other_nodes"] == 2
    assert totals["sent"] == {"west shipment.release": (0, 2), "wms shipment.release": (2, 0)}
    candidate = report.replayed.candidate
    assert candidate is not None
    assert candidate.physical(Sku("s1"), NodeId("n1")) == 10
    assert candidate.physical(Sku("s1"), NodeId("n2")) == 8
    assert {str(order.state) for order in candidate.store.orders.values()} == {"shipped", "released"}


def test_units_that_no_node_may_give_stay_open_or_are_canceled_and_it_is_said_so(history: Recorder) -> None:
    history.order(1, s1=12)  # from both
    nothing_split = SourcingPolicy(version="2", split_max=1, unfillable="cancel")

    report = replayed(history.db, ESTATE, with_policy(ESTATE, nothing_split))

    (said,) = orders_said(report)
    assert said.startswith("web:1: 2 units of s1 canceled instead of n2; 1 node instead of 2")
    assert report.totals()["nodes_per_order"] == {"more_split": 0, "less_split": 1}


def test_a_count_finds_what_it_found_and_not_the_number(history: Recorder) -> None:
    history.order(1, s1=2)
    history.ship(1)
    history.say("wms", "stock.count", sku="s1", node="n1", counted=7, ref="one is missing")  # 8 should be there

    report = replayed(history.db, ESTATE, without(ESTATE, "n1"))

    candidate = report.replayed.candidate
    assert candidate is not None
    assert report.replayed.base.physical(Sku("s1"), NodeId("n1")) == 7
    assert candidate.physical(Sku("s1"), NodeId("n1")) == 9


def test_what_was_parked_waits_in_the_replay_as_well_and_goes_on_when_it_did(history: Recorder) -> None:
    body = {**order_body(1, s1=2), "payment": {"authorized": "0.00"}}
    history.say("wms", "shipment.acknowledge", assignment="web:1/1", ref="a")
    history.say("web", "order.authorize", order="1", amount="20.00", ref="auth")
    history.say("web", "order.create", **body)

    report = replayed(history.db, ESTATE, without(ESTATE, "n1"))

    assert report.reproduced.exactly == 1
    assert orders_said(report) == ["web:1: 2 units of s1 from n2 instead of n1"]
    candidate = report.replayed.candidate
    assert candidate is not None
    assert not candidate.store.exceptions
    assert candidate.store.orders["web:1"].assignments[1].acknowledged_at is not None  # type: ignore[index]


def test_time_acts_when_it_did_and_on_what_only_the_candidate_leaves_open_when_that_is_due(db: Database) -> None:
    retry = SourcingPolicy(version="1", unfillable="backorder", backorder_retry_s=0.02, backorder_attempts_max=5_000)
    estate = with_policy(ESTATE, retry)
    history = Recorder(db, estate)
    history.stock("n1", "wms", s1=1)
    history.stock("n2", "west", s1=9)
    history.order(1, s1=2)
    history.order(2, s1=20)  # more than there is: tried again by time
    history.say("west", "stock.adjust", sku="s1", node="n2", delta=30, ref="more")
    while rows(db, "select from orders where state = 'authorized'"):
        Worker(history.door.batcher).run_once()
    history.say("west", "stock.adjust", sku="s1", node="n2", delta=1, ref="so that there is a last message")

    report = replayed(db, estate, replace(estate))
    assert (report.reproduced.exactly, report.changes) == (2, [])

    report = replayed(db, estate, without(estate, "n2"))
    assert report.reproduced.exactly == 2
    assert orders_said(report)[1] == (
        "web:2: 1 unit of s1 still open instead of n1; 19 units of s1 still open instead of n2; "
        "authorized instead of released"
    )


def test_a_range_begins_with_the_stock_the_orders_and_the_keys_of_its_time(history: Recorder) -> None:
    history.order(1, s1=2)
    history.order(2, s1=9)
    history.say("web", "order.cancel", order="9", ref="early")
    ((since,),) = rows(history.db, "select clock_timestamp()")
    history.order(1, s1=2)  # again: a duplicate
    history.ship(1)
    history.order(9, s1=1)  # for which a cancellation waits
    history.order(4, s1=2)

    report = replayed(history.db, ESTATE, without(ESTATE, "n1"), span=Range(since))

    assert report.reproduced.not_reproduced == []
    assert (report.reproduced.orders, report.replayed.messages) == (3, 6)
    assert [change.order_id for change in report.changes] == ["web:4"]
    until = replayed(history.db, ESTATE, span=Range(None, since))
    assert (until.reproduced.exactly, until.reproduced.not_reproduced) == (2, [])


def test_what_cannot_be_reproduced_is_named_with_why_and_left_out_of_the_verdict(history: Recorder) -> None:
    history.order(1, s1=2)
    history.order(2, s2=1)
    renamed = replace(ESTATE, sku_aliases={SystemId("web"): {"s1": Sku("s9")}})

    report = replayed(history.db, renamed, without(renamed, "n1"))

    (bad,) = report.reproduced.not_reproduced
    assert bad.order_id == "web:1"
    assert "nodes: n1 was recorded, none comes out" in bad.why
    assert [change.order_id for change in report.changes] == ["web:2"]


def test_only_the_orders_asked_for_are_reported_and_all_is_replayed(history: Recorder) -> None:
    history.order(1, s1=2)
    history.order(2, s2=1)
    history.ship(2)

    one = replayed(history.db, ESTATE, without(ESTATE, "n1"), orders=frozenset({"web:1"}))
    wms = replayed(history.db, ESTATE, without(ESTATE, "n1"), systems=frozenset({"wms"}))

    assert [change.order_id for change in one.changes] == ["web:1"]
    assert [change.order_id for change in wms.changes] == ["web:2"]
    assert one.replayed.messages == wms.replayed.messages


def test_a_replay_changes_nothing_and_says_the_same_bytes_each_time(history: Recorder) -> None:
    for number in range(1, 20):
        history.order(number, s1=1)
    history.ship(3)
    before = _everything(history.db)

    first = replayed(history.db, ESTATE, without(ESTATE, "n1"))
    second = replayed(history.db, ESTATE, without(ESTATE, "n1"))

    assert _everything(history.db) == before
    assert _bytes(first.values()) == _bytes(second.values())
    assert list(first.lines(5)) == list(second.lines(5))


def test_the_transaction_of_a_replay_cannot_write(history: Recorder) -> None:
    from interlock.storage import history as reads

    def work(tx: object) -> None:
        reads.open_snapshot(tx)  # type: ignore[arg-type]
        tx.execute("delete from messages")  # type: ignore[attr-defined]

    with pytest.raises(Exception, match="read-only transaction"):
        history.db.transaction(work)


def _everything(db: Database) -> list[tuple[str, str]]:
    """Every table with a hash of all its rows."""
    names = rows(db, "select tablename from pg_tables where schemaname = 'public' order by 1")
    return [
        (name, rows(db, f"select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {name} as t")[0][0])
        for (name,) in names
    ]


def _bytes(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)


def test_processes_beside_this_one_read_the_same(history: Recorder) -> None:
    for number in range(1, 8):
        history.order(number, s1=1)
    history.say("web", "order.create", order_id="bad")
    candidate = replace(without(ESTATE, "n1"), sku_aliases={SystemId("web"): {"s2": Sku("s1")}})
    alone = replayed(history.db, ESTATE, candidate)

    with Translating(ESTATE, candidate, processes=2) as translating:
        together = replayed(history.db, ESTATE, candidate, translating=translating)

    assert _bytes(together.values()) == _bytes(alone.values())
    assert len(together.changes) == 7
