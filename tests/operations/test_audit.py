"""The audit on a world where everything has happened: green as it stands, red where a row is spoilt, and only there.

Rows are spoilt by direct SQL, as a bug or a careless hand would; constraints that would refuse it are dropped first.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import conninfo, sql

from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    AuthorizeReturn,
    CancelOrder,
    CancelReservation,
    CancelReturn,
    CaptureOrder,
    CloseOrder,
    ConfirmShipment,
    IssueRefund,
    LineUnits,
    Package,
    PackShipment,
    Received,
    ReceiveReturn,
    RejectShipment,
    ReleaseShipment,
    VoidOrder,
)
from interlock.domain.estate import Duty, Estate
from interlock.domain.values import NodeId, OrderId, Sku, SystemId, part_of
from interlock.engine.door import Door
from interlock.operations.audit import STATEMENTS, Finding, audit, q
from interlock.operations.audit_fold import q as fold_queries
from interlock.storage import files, outbox
from interlock.storage.database import Database
from tests.builders import PLACED_AT, arrival, make_estate, order, stock

ESTATE = make_estate(
    observers={"pos": ("fulfillment",)},
    node_changes={"n2": {"capacity_orders_per_day": 100, "time_zone": "Asia/Tokyo"}},
)
NAMES = [statement.name for statement in STATEMENTS]
FILE = "f" * 64
AUDITS_MAX = 100


@pytest.fixture(scope="module")
def lived(server_dsn: str, template: str) -> Iterator[str]:
    """Name of a database in which every kind of thing has happened once, through the engine."""
    with copied(server_dsn, template) as name:
        with Database(conninfo.make_conninfo(server_dsn, dbname=name), pool_max=2) as db:
            live(db, ESTATE)
        yield name


@pytest.fixture
def world(server_dsn: str, lived: str) -> Iterator[Database]:
    """A copy of it, to be spoilt."""
    with copied(server_dsn, lived) as name, Database(conninfo.make_conninfo(server_dsn, dbname=name)) as db:
        yield db


@contextmanager
def copied(server_dsn: str, source: str) -> Iterator[str]:
    """A database of its own, copied from another that nobody uses; dropped afterwards."""
    name = f"audit_{uuid4().hex[:16]}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(source))
        )
        try:
            yield name
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_a_world_made_by_the_engine_is_green(world: Database) -> None:
    told: list[str] = []

    findings = audit(world, estate=ESTATE, now=datetime.now(UTC), progress=told.append)

    assert [(f.name, f.holds, f.rows, f.count) for f in findings] == [(name, True, [], 0) for name in NAMES]
    assert [line.partition(":")[0] for line in told] == [*NAMES[:7], "history_whole", *NAMES[7:]]


def test_the_world_of_these_tests_has_seen_every_outcome_state_and_event(world: Database) -> None:
    assert column(world, "select distinct outcome from messages where outcome is not null") == {
        *("processed", "duplicate", "stale", "parked", "conflict", "refused", "quarantined")
    }
    assert column(world, "select distinct state from outbox") == {"waiting", "sent", "dead"}
    assert len(column(world, "select distinct type from events")) == 19
    assert column(world, "select distinct reason from exceptions") >= {
        *("promise_broken", "delivery_dead", "ack_overdue", "no_authority", "wrong_source", "quarantined", "conflict")
    }


def test_an_empty_database_is_green(db: Database) -> None:
    assert red(audit(db, now=datetime.now(UTC))) == {}


def test_the_audit_cannot_write_and_sees_one_snapshot(world: Database) -> None:
    seen: list[Any] = []

    def spoil_meanwhile(line: str) -> None:
        if line.startswith("no_oversell"):
            run(world, "delete from movements where sku = 's3'", "update orders set customer = 'somebody else'")
        seen.append(line)

    assert red(audit(world, estate=ESTATE, now=datetime.now(UTC), progress=spoil_meanwhile)) == {}
    assert len(seen) == 11
    assert set(red(audit(world, estate=ESTATE, now=datetime.now(UTC)))) == {"stock_balances", "history_whole"}


SPOILS: dict[str, tuple[str, list[str], dict[str, dict[str, Any]]]] = {
    # what happened: the check that finds it, the SQL that does it, and the statements that turn red with what a row says
    "a movement is lost": (
        "position_sums",
        ["delete from movements where sku = 's1' and node = 'n1' and kind = 'count'"],
        {"stock_balances": {"sku": "s1", "node": "n1", "part": part_of("s1")}},
    ),
    "a position is lost": (
        "position_sums",
        ["delete from positions where sku = 's3' and node = 'n1'"],
        {"stock_balances": {"sku": "s3", "node": "n1", "physical": None, "moved_physical": 5}},
    ),
    "unsellable units appear": (
        "position_sums",
        ["update positions set unsellable = unsellable + 1 where sku = 's3' and node = 'n1'"],
        {"stock_balances": {"sku": "s3", "unsellable": 1, "moved_unsellable": 0}},
    ),
    "a reservation is kept in stock only": (
        "reserved_sums",
        [
            "update positions set reserved = reserved + 2 where sku = 's3' and node = 'n1'",
            "insert into movements values (part_of_s3, 's3', 'n1', 'x', 'reserve', 0, 0, 2, now())",
        ],
        {"stock_balances": {"sku": "s3", "node": "n1", "reserved": 2, "held": 0}},
    ),
    "a position is in a part where nobody looks": (
        "misplaced_skus",
        ["update positions set part = 7 where sku = 's3'", "update movements set part = 7 where sku = 's3'"],
        {"stock_balances": {"sku": "s3", "part": 7, "part_of_sku": part_of("s3")}},
    ),
    "a broken promise is closed though nothing is better": (
        "oversold_unseen",
        [
            "update exceptions set closed_at = now(), closed_by = 'pat', evidence = 'looked'"
            " where exception_id = 'promise_broken/n1'"
        ],
        {"no_oversell": {"sku": "s5", "node": "n1", "physical": 1, "reserved": 3}},
    ),
    "stock is below nothing and nobody is told": (
        "oversold_unseen",
        ["delete from exceptions where exception_id = 'negative_stock/n2'"],
        {"no_oversell": {"sku": "s9", "node": "n2", "physical": -3, "reserved": 0}},
    ),
    "a node was given more than its capacity": (
        "capacity_exceeded",
        ["update node_days set orders = 101 where node = 'n2'"],
        {"no_oversell": {"node": "n2", "orders": 101, "capacity": 100}},
    ),
    "a line lost a unit": (
        "line_sums",
        ["alter table lines drop constraint lines_check", "update lines set shipped = 1 where order_id = 'web:1'"],
        {
            "units_conserved": {"order_id": "web:1", "line_no": 1, "quantity": 3, "shipped": 1},
            "history_whole": {"order_id": "web:1", "wrong": ["lines 1: shipped is 1, history says 2"]},
        },
    ),
    "a count is below zero": (
        "line_sums",
        [
            "alter table lines drop constraint lines_open_check",
            "update lines set open = -1, quantity = quantity - 2 where order_id = 'web:10'",
        ],
        {"units_conserved": {"order_id": "web:10", "open": -1}, "history_whole": {"order_id": "web:10"}},
    ),
    "a reservation lost a unit": (
        "reservation_sums",
        [
            "alter table reservations drop constraint reservations_check",
            "update reservations set quantity = 9 where order_id = 'web:1'",
        ],
        {"units_conserved": {"order_id": "web:1", "quantity": 9}, "history_whole": {"order_id": "web:1"}},
    ),
    "a line says shipped and its reservation packed": (
        "lines_and_reservations",
        ["update lines set packed = packed - 1, shipped = shipped + 1 where order_id = 'web:8'"],
        {
            "units_conserved": {"order_id": "web:8", "packed": 0, "reservations_packed": 1},
            "history_whole": {"order_id": "web:8", "wrong_total": 2},
        },
    ),
    "a shipment says more than its reservation": (
        "shipped_sums",
        ["update shipment_lines set quantity = quantity + 1 where order_id = 'web:1'"],
        {
            "units_conserved": {"order_id": "web:1", "reservation_shipped": 3, "shipments_shipped": 5},
            "history_whole": {"order_id": "web:1"},
        },
    ),
    "a return is awaited that no return knows": (
        "return_sums",
        ["update lines set return_due = 1 where order_id = 'web:6'"],
        {
            "units_conserved": {"order_id": "web:6", "return_due": 1, "returns_due": 0},
            "history_whole": {"order_id": "web:6"},
        },
    ),
    "a row belongs to no order": (
        "orphans",
        ["insert into return_lines values (3, 'web:nowhere', 'R', 1, 0, 0)"],
        {"units_conserved": {"orphan": "return_lines", "order_id": "web:nowhere", "key": "R/1", "lacks": "lines"}},
    ),
    "an order has no payment": (
        "childless",
        ["delete from payments where order_id = 'web:9'"],
        {
            "units_conserved": {"childless": "orders", "order_id": "web:9", "lacks": "payments"},
            "money_agrees": {"order_id": "web:9", "authorized": None},
            "history_whole": {"order_id": "web:9"},
        },
    ),
    "an order's state is not that of its units": (
        "order_states",
        ["update orders set state = 'shipped' where order_id = 'web:2'"],
        {"units_conserved": {"order_id": "web:2", "state": "shipped", "of_units": "canceled"}},
    ),
    "an assignment's state is not that of its units": (
        "assignment_states",
        ["update assignments set state = 'allocated' where order_id = 'web:8'"],
        {"units_conserved": {"order_id": "web:8", "state": "allocated", "of_units": "packed"}},
    ),
    "a message has an outcome that is none": (
        "outcomes",
        [
            "alter table messages drop constraint messages_outcome_check",
            "update messages set outcome = 'lost' where outcome = 'duplicate'",
        ],
        {"nothing_vanishes": {"subject": "web:1", "outcome": "lost"}},
    ),
    "a parked message has forgotten what it waits for": (
        "outcomes",
        ["update messages set waits_for = null where outcome = 'parked'"],
        {"nothing_vanishes": {"subject": "web:never", "outcome": "parked", "waits_for": None}},
    ),
    "a parked message was not woken": (
        "parked_for_what_exists",
        [
            "update messages set subject = 'web:1', waits_for = 'web:1', part = 62 where outcome = 'parked'",
            "update ledger set subject = 'web:1', part = 62 where outcome = 'parked'",
        ],
        {"nothing_vanishes": {"subject": "web:1", "waits_for": "web:1"}},
    ),
    "nobody is told of what is parked for too long": (
        "parked_unchased",
        ["update messages set waits_until = now() - interval '6 min' where outcome = 'parked'"],
        {"nothing_vanishes": {"subject": "web:never", "waits_for": "web:never"}},
    ),
    "a message waits for hours": (
        "waiting_too_long",
        [
            "update messages set outcome = null, settled_at = null, command = '{}', received_at = now() - interval '2 h'"
            " where outcome = 'duplicate'"
        ],
        {"nothing_vanishes": {"subject": "web:1"}},
    ),
    "what was quarantined is shown to nobody": (
        "put_away_unseen",
        ["delete from exceptions where reason = 'quarantined'"],
        {"nothing_vanishes": {"outcome": "quarantined", "reason": "not_json: it is not JSON"}},
    ),
    "a file has lost a record": (
        "file_counts",
        ["update files set records = 3, rows = 3"],
        {"nothing_vanishes": {"sha256": FILE, "records": 3, "messages": 2}},
    ),
    "a file was never finished": (
        "file_counts",
        ["update files set finished_at = null, received_at = now() - interval '2 h'"],
        {"nothing_vanishes": {"sha256": FILE, "finished_at": None}},
    ),
    "an effect has no answer in the ledger": (
        "ledger_and_messages",
        ["delete from ledger where action = 'order.capture'"],
        {"once": {"subject": "web:1", "message_action": "order.capture", "ledger_key": None}},
    ),
    "the ledger answers what never came": (
        "ledger_and_messages",
        ["delete from messages where action = 'refund.issue' and outcome = 'processed' and subject = 'web:1'"],
        {"once": {"subject": "web:1", "ledger_action": "refund.issue", "message_action": None}},
    ),
    "a key stands in two parts": (
        "keys_twice",
        [
            "insert into ledger select 1, subject, action, business_key, payload_hash, l.system, m.message_id, now(), now(),"
            " 2, 0, 'processed', '{}' from ledger as l join messages as m using (subject, action, business_key)"
            " where m.outcome = 'duplicate'",
            "update messages set outcome = 'processed', part = 1 where outcome = 'duplicate'",
        ],
        {"once": {"subject": "web:1", "action": "order.create", "times": 2, "twice_in": "ledger"}},
    ),
    "the ledger did not count a repeat": (
        "repeats",
        ["update ledger set conflicts = 0"],
        {"once": {"subject": "web:1", "conflicts": 1, "ledger_conflicts": 0}},
    ),
    "an event was caused by nothing": (
        "effects",
        ["update events set message_id = '00000000-0000-7000-8000-000000000001' where order_id = 'web:9' and seq = 1"],
        {"once": {"order_id": "web:9", "seq": 1, "outcome": None}},
    ),
    "one shipment is there twice": (
        "shipments_twice",
        ["update shipments set ref = 'sh-1' where order_id = 'web:1'"],
        {"once": {"order_id": "web:1", "ref": "sh-1", "times": 2}, "history_whole": {"order_id": "web:1"}},
    ),
    "more was captured than authorized": (
        "payment_bounds",
        [
            "alter table payments drop constraint payments_check",
            "update payments set authorized = 1 where order_id = 'web:1'",
        ],
        {"money_agrees": {"order_id": "web:1", "authorized": 1}, "history_whole": {"order_id": "web:1"}},
    ),
    "a payment is not what its events say": (
        "payment_sums",
        ["update payments set authorized = 1000.5 where order_id = 'web:9'"],
        {
            "money_agrees": {"order_id": "web:9", "authorized": Decimal("1000.5")},
            "history_whole": {"order_id": "web:9"},
        },
    ),
    "units were refunded that never came back": (
        "refunded_units",
        ["update lines set refunded = 3 where order_id = 'web:1'"],
        {"money_agrees": {"order_id": "web:1", "refunded": 3, "returned": 1}, "history_whole": {"order_id": "web:1"}},
    ),
    "money went back for nothing": (
        "refunds_for_nothing",
        [
            'update events set body = \'{"type": "refund.issued", "ref": "rf-1", "amount": "9.99"}\''
            " where type = 'refund.issued'",
            "update lines set refunded = 0 where order_id = 'web:1'",
        ],
        {"money_agrees": {"order_id": "web:1", "without_units": 1, "units": 0}},
    ),
    "more money went back than the units were worth": (
        "refunds_for_nothing",
        [
            'update events set body = \'{"type": "refund.issued", "ref": "rf-1", "amount": "15",'
            ' "units": [{"line_no": 1, "quantity": 1}]}\' where type = \'refund.issued\'',
            "update payments set refunded = 15 where order_id = 'web:1'",
        ],
        {"money_agrees": {"order_id": "web:1", "refunded": 15, "worth": Decimal("9.99")}},
    ),
    "an event is lost": (
        "event_numbers",
        ["delete from events where order_id = 'web:6' and type = 'units.backordered'"],
        {"history_whole": {"order_id": "web:6", "seq": 3, "events": 2, "last": 2}},
    ),
    "events of an order have changed places for those who read them": (
        "event_positions",
        [
            "update events set position = -position where order_id = 'web:6'",
            "update events set position = 4 + position where order_id = 'web:6'",
        ],
        {"history_whole": {"order_id": "web:6", "seq": 1}},
    ),
    "an order's header is not what was created": (
        "folding",
        ["update orders set customer = 'somebody else' where order_id = 'web:9'"],
        {
            "history_whole": {
                "order_id": "web:9",
                "wrong": ["orders: customer is somebody else, history says empty"],
                "wrong_total": 1,
            }
        },
    ),
    "a package has another tracking number": (
        "folding",
        ["update packages set tracking = 'T-2'"],
        {
            "history_whole": {
                "order_id": "web:1",
                "wrong": ["packages 1/1: tracking is T-2, history says T-1"],
            }
        },
    ),
    "an event cannot be read": (
        "folding",
        ["update events set body = '{\"type\": \"order.beamed\"}' where order_id = 'web:9' and seq = 1"],
        {
            "history_whole": {
                "order_id": "web:9",
                "wrong": ["its events cannot be folded: ValidationError: Invalid value 'order.beamed' - at `$.type`"],
            }
        },
    ),
    "an event is kept under another name": (
        "folding",
        ["update events set type = 'order.reopened' where order_id = 'web:9' and seq = 1"],
        {"history_whole": {"wrong": ["event 1 is kept as order.reopened and says order.created"]}},
    ),
    "a release was never put into the outbox": (
        "releases_untold",
        ["delete from outbox where order_id = 'web:9'"],
        {"answered_or_chased": {"order_id": "web:9", "seq": 4}},
    ),
    "nobody chases an answer that is overdue": (
        "unanswered",
        ["delete from exceptions where reason = 'ack_overdue'"],
        {"answered_or_chased": {"order_id": "web:7", "assignment_no": 1, "receiver": "wms"}},
    ),
    "a dead letter is shown to nobody": (
        "undelivered",
        ["delete from exceptions where reason = 'delivery_dead'"],
        {"answered_or_chased": {"order_id": "web:5", "state": "dead", "last_error": "no such order"}},
    ),
    "nobody delivers": (
        "undelivered",
        ["update outbox set due_at = now() - interval '2 h' where order_id = 'web:9'"],
        {"answered_or_chased": {"order_id": "web:9", "state": "waiting"}},
    ),
    "nobody chases an acknowledgment that is missing": (
        "interchanges_unchased",
        [
            "insert into interchanges (part, system, direction, interchange_id, kind, standard, number, control, name, made_at,"
            " contents, sets, state, sent_at, answer_due_at) values (1, 'wms', 'out', gen_random_uuid(), 'messages', 'x12', 7,"
            " '000000007', 'a.x12', now(), '[]', 1, 'sent', now(), now() - interval '1 h')"
        ],
        {"answered_or_chased": {"system": "wms", "control": "000000007", "state": "sent"}},
    ),
    "an acknowledgment waits and nobody sends it": (
        "interchanges_unchased",
        [
            "insert into interchanges (part, system, direction, interchange_id, kind, standard, number, control, name, made_at,"
            " contents, sets, state, due_at) values (1, 'wms', 'out', gen_random_uuid(), 'acknowledgment', 'x12', 8,"
            " '000000008', 'b.x12', now(), '[]', 0, 'waiting', now() - interval '2 h')"
        ],
        {"answered_or_chased": {"control": "000000008", "state": "waiting"}},
    ),
    "an exception has no owner": (
        "unowned",
        ["update exceptions set owner = ' ' where reason = 'quarantined'"],
        {"exceptions_owned": {"reason": "quarantined", "owner": " "}},
    ),
    "an exception was closed without evidence": (
        "unowned",
        ["update exceptions set closed_at = now(), closed_by = 'pat', evidence = '' where reason = 'quarantined'"],
        {"exceptions_owned": {"reason": "quarantined", "closed_by": "pat", "evidence": ""}},
    ),
    "somebody decided what it may only observe": (
        "beyond_authority",
        [
            "update messages set system = 'pos' where action = 'shipment.acknowledge' and outcome = 'processed'"
            " and subject = 'web:8'"
        ],
        {"within_authority": {"subject": "web:8", "system": "pos", "action": "shipment.acknowledge"}},
    ),
    "somebody spoke for another's node": (
        "wrong_speaker",
        ["update messages set system = 'web' where action = 'shipment.pack' and outcome = 'processed'"],
        {"within_authority": {"subject": "web:8", "system": "web", "node": "n1", "speaker": "wms"}},
    ),
    "somebody told another's orders": (
        "wrong_teller",
        [
            "update messages set system = 'pos' where action = 'order.create' and outcome = 'processed' and subject = 'web:9'"
        ],
        {
            "within_authority": {
                "subject": "web:9",
                "system": "pos",
                "action": "order.create",
                "about": "channel",
                "id": "web",
                "teller": "web",
            }
        },
    ),
    "somebody counted another's stock": (
        "wrong_teller",
        [
            "update messages set system = 'web' where action = 'stock.count' and outcome = 'processed' and subject = 's2'"
        ],
        {"within_authority": {"subject": "s2", "system": "web", "about": "node", "id": "n2", "teller": "wms"}},
    ),
    "somebody adjusted another's stock": (
        "wrong_teller",
        ["update messages set system = 'pos' where action = 'stock.adjust' and outcome = 'processed'"],
        {"within_authority": {"subject": "s3", "system": "pos", "about": "node", "id": "n1", "teller": "wms"}},
    ),
    "a refusal is shown to nobody": (
        "refusals_unseen",
        ["delete from exceptions where reason in ('wrong_source', 'no_authority')"],
        {"within_authority": {"subject": "web:9", "system": "web", "action": "shipment.confirm"}},
    ),
}


@pytest.mark.parametrize("what", SPOILS)
def test_exactly_the_statements_that_a_spoilt_row_breaks_turn_red_and_name_it(world: Database, what: str) -> None:
    check, spoils, expected = SPOILS[what]
    statement = next(s.name for s in STATEMENTS if check in s.checks)
    run(world, *[spoil.replace("part_of_s3", str(part_of("s3"))) for spoil in spoils])

    found = red(audit(world, estate=ESTATE, now=datetime.now(UTC)))

    assert list(found) == list(expected)
    assert check in {row["check"] for finding in found.values() for row in finding.rows}
    for name, fields in expected.items():
        rows = [row for row in found[name].rows if row["check"] == check or name != statement]
        assert len([row for row in rows if fields.items() <= row.items()]) == 1, rows


WAITS: dict[str, tuple[list[Any], Any, str]] = {
    # what is parked last, after the commands before it; and the SQL that brings it what it waits for, past the engine
    "authorization": (
        [order("w", [("s1", 2)], authorized=Decimal(0))],
        CaptureOrder(order_id=OrderId("web:w"), ref="x", amount=Decimal(10)),
        "update payments set authorized = 10 where order_id = 'web:w'",
    ),
    "allocation": (
        [order("w", ["s404"])],
        ReleaseShipment(order_id=OrderId("web:w"), ref="x"),
        "update lines set open = 0, allocated = 1 where order_id = 'web:w'",
    ),
    "release": (
        [order("w", ["s1"], authorized=Decimal(0))],
        AcknowledgeShipment(order_id=OrderId("web:w"), assignment_no=1, ref="x"),
        "update assignments set state = 'released' where order_id = 'web:w'",
    ),
    "shipment": (
        [order("w", [("s1", 2)])],
        AuthorizeReturn(order_id=OrderId("web:w"), ref="R", lines=(LineUnits(1, 2),)),
        "update lines set released = 0, shipped = 2 where order_id = 'web:w'",
    ),
    "return": (
        [order("w", [("s1", 2)])],
        ReceiveReturn(
            order_id=OrderId("web:w"),
            ref="x",
            return_ref="R",
            node=NodeId("n1"),
            lines=(Received(line_no=1, quantity=1),),
        ),
        "insert into return_lines (part, order_id, ref, line_no, due, received) select part, order_id, 'R', 1, 1, 0"
        " from orders where order_id = 'web:w'",
    ),
    "return, for a refund of units": (
        [order("w", [("s1", 2)], captured=Decimal("19.98"))],
        IssueRefund(order_id=OrderId("web:w"), ref="x", amount=Decimal(5), lines=(LineUnits(1, 1),)),
        "update lines set released = 1, canceled = 1 where order_id = 'web:w'",
    ),
    "return, for a refund of whatever came back": (
        [order("w", [("s1", 2)], captured=Decimal("19.98"))],
        IssueRefund(order_id=OrderId("web:w"), ref="x", amount=Decimal(5)),
        "update lines set released = 1, canceled = 1 where order_id = 'web:w'",
    ),
    "capture": (
        [order("w", [("s1", 2)]), CancelOrder(order_id=OrderId("web:w"), ref="c")],
        IssueRefund(order_id=OrderId("web:w"), ref="x", amount=Decimal(5)),
        "update payments set captured = 5 where order_id = 'web:w'",
    ),
}


@pytest.mark.parametrize("wait", WAITS)
def test_what_is_parked_though_its_wait_is_fulfilled_is_found(db: Database, wait: str) -> None:
    before, parked, fulfill = WAITS[wait]
    door = Door(db, estate := make_estate())
    door.process([arrival(stock("s1"), "wms")])
    door.process([arrival(command, "office") for command in before])
    [outcome] = door.process([arrival(parked, "office")])
    assert (outcome.outcome, outcome.waits_for) == ("parked", wait.partition(",")[0])
    assert red(audit(db, estate=estate, now=datetime.now(UTC))) == {}

    run(db, fulfill)

    rows = red(audit(db, estate=estate, now=datetime.now(UTC)))["nothing_vanishes"].rows
    assert [(row["check"], row["subject"], row["waits_for"]) for row in rows] == [
        ("parked_for_what_exists", "web:w", wait.partition(",")[0])
    ]


def test_every_check_is_spoilt_by_some_test() -> None:
    checks = {check for statement in STATEMENTS for check in statement.checks}

    assert {check for check, _, _ in SPOILS.values()} == checks


def test_every_query_of_the_file_is_a_check_of_a_statement() -> None:
    checks = {check for statement in STATEMENTS for check in statement.checks}

    assert {query.name for query in q} - {"one_snapshot", "more_memory", "skus_after"} == checks - {
        "misplaced_skus",
        "folding",
    }
    assert all(query.meaning for query in [*q, *fold_queries])


def test_the_page_has_a_heading_for_each_statement_and_a_row_for_each_check() -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()

    assert re.findall(r"^### `(\w+)`$", page, flags=re.MULTILINE) == NAMES
    assert [s.name for s in STATEMENTS if s.sentence not in page] == []
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE) == [c for s in STATEMENTS for c in s.checks]


def test_all_rows_are_counted_and_only_the_first_are_shown(world: Database) -> None:
    run(world, "update lines set uom = 'case'", "update exceptions set owner = ''")
    orders = len(column(world, "select order_id from orders"))

    found = red(audit(world, estate=ESTATE, now=datetime.now(UTC), rows_max=3))

    assert list(found) == ["history_whole", "exceptions_owned"]
    assert [(len(f.rows), f.count) for f in found.values()] == [
        (3, orders),
        (3, len(column(world, "select exception_id || subject from exceptions"))),
    ]


def test_without_an_estate_what_needs_one_is_not_judged(world: Database) -> None:
    run(
        world,
        "update node_days set orders = 101",
        "update messages set system = 'nobody' where action = 'order.create'",
    )

    assert red(audit(world, now=datetime.now(UTC))) == {}
    assert list(red(audit(world, estate=ESTATE, now=datetime.now(UTC)))) == ["no_oversell", "within_authority"]


def test_what_was_settled_before_an_authority_came_into_force_is_not_judged_by_it(world: Database) -> None:
    now = datetime.now(UTC)
    cut_over = make_estate(observers={"web": ("order",), "pos": ("fulfillment",)})

    found = red(audit(world, estate=cut_over, now=now))["within_authority"]

    assert {(row["check"], row["system"]) for row in found.rows} == {("beyond_authority", "web")}
    assert red(audit(world, estate=cut_over, now=now, authority_since=now)) == {}


def test_the_capacity_of_days_before_yesterday_is_not_judged(world: Database) -> None:
    run(world, "insert into node_days select part, node, day - 3, 500 from node_days")

    assert red(audit(world, estate=ESTATE, now=datetime.now(UTC))) == {}


def test_a_message_behind_one_that_is_not_delivered_is_not_late_itself(world: Database) -> None:
    run(
        world,
        "update outbox set due_at = now() - interval '2 h' where state = 'waiting'",
        "insert into outbox (part, order_id, seq, receiver, message, assignment_no, body, created_at, due_at)"
        " select part, order_id, seq, receiver, 'shipment.stop', assignment_no, body, created_at, due_at"
        " from outbox where order_id = 'web:9'",
    )

    rows = red(audit(world, estate=ESTATE, now=datetime.now(UTC)))["answered_or_chased"].rows

    assert [row["message"] for row in rows if row["order_id"] == "web:9"] == ["shipment.release"]


def test_the_audit_is_green_while_orders_are_written(world: Database) -> None:
    door, stop = Door(world, ESTATE), threading.Event()
    written: list[int] = []
    failed: list[Exception] = []

    def write() -> None:
        number = 1000
        while not stop.is_set():
            try:
                batch = [order(n, [("s1", 1), ("s2", 1), ("s8", 2)]) for n in range(number, number + 20)]
                door.process([arrival(command) for command in batch])
                door.process([arrival(CancelOrder(order_id=c.order_id, ref="c"), "office") for c in batch[:10]])
                door.process(
                    [arrival(ConfirmShipment(order_id=c.order_id, assignment_no=1, ref="s"), "wms") for c in batch[10:]]
                )
                number += 20
                written.append(number)
            except Exception as error:  # it is raised in the test, below
                failed.append(error)
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        audits: list[dict[str, Finding]] = []
        while len(audits) < 4 or (len(written) < 4 and len(audits) < AUDITS_MAX and not failed):
            audits.append(red(audit(world, estate=ESTATE, now=datetime.now(UTC))))
    finally:
        stop.set()
        writer.join()

    assert failed == []
    assert [found for found in audits if found] == []
    assert len(written) > 2
    assert red(audit(world, estate=ESTATE, now=datetime.now(UTC))) == {}


def live(db: Database, estate: Estate) -> None:
    """Everything that can happen, in an order in which it does."""
    door = Door(db, estate)
    for sku, node, units in (
        ("s1", "n1", 10),
        ("s2", "n2", 10),
        ("s3", "n1", 5),
        ("s5", "n1", 3),
        ("s8", "n1", 10_000),
    ):
        door.process([arrival(stock(sku, node, units), "wms")])
    one = order(1, [("s1", 3)])
    door.process([arrival(one), arrival(order(1, [("s1", 4)]))])  # a conflict
    door.process([arrival(one)])  # a duplicate
    web1 = OrderId("web:1")
    money = Decimal("29.97")
    for command, system in (
        (AcknowledgeShipment(order_id=web1, assignment_no=1, ref="a", warehouse_ref="W-1"), "wms"),
        (ConfirmShipment(order_id=web1, assignment_no=1, ref="sh-1", lines=(LineUnits(1, 2),),
                         packages=(Package(tracking="T-1"),)), "wms"),
        (ConfirmShipment(order_id=web1, assignment_no=1, ref="sh-2"), "wms"),
        (AcknowledgeShipment(order_id=web1, assignment_no=1, ref="late"), "wms"),  # stale
        (CaptureOrder(order_id=web1, ref="cap-1", amount=money), "web"),
        (CloseOrder(order_id=web1, ref="x"), "office"),
        (AuthorizeReturn(order_id=web1, ref="R-1", lines=(LineUnits(1, 2),)), "web"),  # opens it again
        (ReceiveReturn(order_id=web1, ref="RR-1", return_ref="R-1", node=NodeId("n1"),
                       lines=(Received(line_no=1, quantity=1, disposition="damaged"),)), "wms"),
        (IssueRefund(order_id=web1, ref="rf-1", amount=Decimal("9.99"), lines=(LineUnits(1, 1),)), "web"),
        (IssueRefund(order_id=web1, ref="rf-2", amount=Decimal("9.99"), lines=(LineUnits(1, 3),)), "web"),  # refused
        (order(2, ["s1", "s2"]), "web"),
        (CancelOrder(order_id=OrderId("web:2"), ref="c", reason="changed my mind"), "web"),
        (CaptureOrder(order_id=OrderId("web:3"), ref="cap-3", amount=Decimal("1")), "web"),  # parked, then woken
        (order(3, [("s1", 1), ("s2", 1)], authorized=Decimal("1"), total=Decimal("19.98")), "web"),
        (order(4, [("s3", 2)], placed_at=PLACED_AT), "web"),
        (CancelOrder(order_id=OrderId("web:4"), ref="c"), "web"),
        (ConfirmShipment(order_id=OrderId("web:4"), assignment_no=1, ref="sh"), "wms"),  # nothing is held
        (ConfirmShipment(order_id=OrderId("web:4"), assignment_no=1, ref="sh2", lines=(LineUnits(1, 2),)), "wms"),
        (AdjustStock(sku=Sku("s3"), node=NodeId("n1"), ref="found", delta=2, reason="found"), "wms"),
        (order(5, [("s5", 3)]), "web"),
        (stock("s5", "n1", 1, "second count"), "wms"),  # a promise is broken
        (order(6, [("s6", 1)]), "web"),  # backordered
        (order(7, [("s2", 2)]), "web"),
        (order(8, [("s1", 1)]), "web"),
        (AcknowledgeShipment(order_id=OrderId("web:8"), assignment_no=1, ref="a"), "wms"),
        (PackShipment(order_id=OrderId("web:8"), assignment_no=1, ref="p"), "wms"),
        (order(9, [("s8", 1)]), "web"),
        (ConfirmShipment(order_id=OrderId("web:9"), assignment_no=1, ref="sh"), "web"),  # not web's node
        (ConfirmShipment(order_id=OrderId("web:9"), assignment_no=1, ref="sh"), "pos"),  # pos may only observe
        (order(10, [("s2", 3)]), "web"),
        (order(12, [("s2", 2)], authorized=Decimal("20"), total=Decimal("19.98")), "web"),
        (VoidOrder(order_id=OrderId("web:12"), ref="v", amount=Decimal("19")), "web"),
        (CancelReservation(order_id=OrderId("web:12"), ref="b", lines=(LineUnits(1, 1),), exclude=True), "office"),
        (AuthorizeReturn(order_id=web1, ref="R-2", lines=(LineUnits(1, 1),)), "web"),
        (CancelReturn(order_id=web1, ref="off", return_ref="R-2"), "web"),
        (order(13, [("s8", 1)]), "web"),
        (ConfirmShipment(order_id=OrderId("web:13"), assignment_no=1, ref="sh"), "wms"),
        (AuthorizeReturn(order_id=OrderId("web:13"), ref="R-13", lines=(LineUnits(1, 1),)), "web"),
        (ReceiveReturn(order_id=OrderId("web:13"), ref="no number", node=NodeId("n2"),
                       lines=(Received(line_no=1, quantity=1),)), "wms"),
        (RejectShipment(order_id=OrderId("web:10"), assignment_no=1, ref="r", reason="short_pick",
                        lines=(LineUnits(1, 1),)), "wms"),
        (CaptureOrder(order_id=OrderId("web:never"), ref="c", amount=Decimal("1")), "web"),  # parked
        (None, "web"),  # unreadable
        (order("S-1", ["s7"], order_id=OrderId("pos:S-1"), channel="stores", fulfillment="carry_out",
               pickup_node=NodeId("store1"), captured=Decimal("9.99")), "pos"),
        (order("S-2", [("s9", 3)], order_id=OrderId("pos:S-2"), channel="stores", fulfillment="carry_out",
               pickup_node=NodeId("n2")), "pos"),
    ):  # fmt: skip
        door.process([arrival(command, system)])
    now = datetime.now(UTC)
    deliver(db, {"web:1": "sent", "web:5": "dead", "web:7": "sent", "web:8": "sent"}, now)
    drop_file(db, door, now)
    door.accept([arrival(order(11, ["s8"]))])  # waits for a worker


def deliver(db: Database, fates: dict[str, str], now: datetime) -> None:
    """Let a sender deliver: what is fated to be sent is sent, what is fated to die is refused, the rest stays."""
    batch = db.transaction(
        lambda tx: outbox.claim_many(
            tx, outbox.ALL_PARTS, SystemId("wms"), now=now, limit=100, lease_s=60, batch=UUID(int=1)
        )
    )
    assert batch is not None
    duty = Duty(owner="operations", within_s=60)
    by_fate: dict[str, list[outbox.Notice]] = {}
    for notice in batch.notices:
        by_fate.setdefault(fates.get(notice.order_id, "waiting"), []).append(notice)
    sent = [notice for notice in by_fate["sent"] if notice.message == "shipment.release"]
    failures = [outbox.Failure(notice, "no such order", now, True) for notice in by_fate["dead"]]
    long_ago = now - timedelta(days=1)

    def settle(tx: Any) -> None:
        outbox.settle_sent_many(tx, batch, sent, now=now)
        outbox.settle_failed_many(tx, batch, failures, now=now, attempts_max=3, duty=duty)
        outbox.return_many(tx, batch, by_fate["waiting"], due_at=now)
        tx.execute("update outbox set answer_due_at = %(at)s where order_id = 'web:7'", at=long_ago)
        for part in outbox.ALL_PARTS:
            outbox.overdue_many(tx, part, now, duty)

    db.transaction(settle)


def drop_file(db: Database, door: Door, now: datetime) -> None:
    """A file of two records and a row that was rejected, taken in whole."""
    wms = SystemId("wms")
    db.transaction(
        lambda tx: files.take(
            tx, system=wms, sha256=FILE, name="counts.csv", records_kind="stock_counts", size_bytes=99, now=now
        )
    )
    door.process(
        [
            arrival(stock("s8", "n1", 9_000, f"file {row}"), "wms", file=FILE, record=f"rows {row}-{row}")
            for row in (2, 3)
        ]
    )
    db.transaction(lambda tx: files.finish(tx, system=wms, sha256=FILE, rows=3, rows_rejected=1, records=2, now=now))


def red(findings: list[Finding]) -> dict[str, Finding]:
    """The findings that do not hold, by name."""
    assert [finding.name for finding in findings] == NAMES
    assert all(finding.holds == (finding.count == 0) for finding in findings)
    return {finding.name: finding for finding in findings if not finding.holds}


def run(db: Database, *statements: str) -> None:
    """Spoil the database, past everything that should prevent it."""
    with psycopg.connect(db.dsn, autocommit=True) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


def column(db: Database, query: str) -> set[Any]:
    """The first column of an answer."""
    return {row[0] for row in db.transaction(lambda tx: tx.query(query))}
