"""Reversals on the real database: what is shown is what is done, or nothing is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from interlock.domain.commands import (
    AdjustStock,
    AnyCommand,
    AuthorizeReturn,
    CancelOrder,
    CaptureOrder,
    ConfirmShipment,
    IssueRefund,
    LineUnits,
    PackShipment,
    RejectShipment,
)
from interlock.domain.errors import InvalidValue, NotReversible, PlanChanged
from interlock.domain.estate import Estate
from interlock.domain.values import NodeId, OrderId, Sku
from interlock.engine.batch import Batcher
from interlock.engine.door import Door
from interlock.operations import reversals
from interlock.operations.audit import audit
from interlock.operations.reversals import Plan
from interlock.storage import views
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock

ESTATE = make_estate()
WEB1 = OrderId("web:1")


@pytest.fixture
def door(db: Database) -> Door:
    """A door with ten s1 at n1 and ten s2 at n2 behind it."""
    door = Door(db, ESTATE)
    door.process([arrival(stock("s1", "n1", 10), "wms"), arrival(stock("s2", "n2", 10), "wms")])
    return door


def send(door: Door, command: AnyCommand, by: str = "office") -> str:
    """Process one command; gives its message's id."""
    sent = arrival(command, by)
    (outcome,) = door.process([sent])
    assert outcome.outcome == "processed", outcome
    return str(sent.message_id)


def kinds(plan: Plan) -> list[tuple[str, str, str]]:
    """What would follow, in short."""
    return [(e.kind, e.name, e.about) for e in plan.effects]


def everything(db: Database) -> dict[str, Any]:
    """All rows of the tables that a reversal could change."""
    tables = ("orders", "lines", "reservations", "payments", "events", "outbox", "positions", "movements", "exceptions")
    return {
        table: sorted(map(str, db.transaction(lambda tx, t=table: tx.query(f"select * from {t}"))))  # type: ignore[misc]
        for table in (*tables, "messages", "ledger", "return_lines")
    }


def check(db: Database) -> None:
    """All that must always be true is true."""
    findings = audit(db, estate=ESTATE, now=datetime.now(UTC))
    assert [finding.name for finding in findings if not finding.holds] == []


def test_a_plan_lists_all_that_would_follow_and_changes_nothing(door: Door) -> None:
    send(door, order(1, [("s1", 2)], captured=Decimal("9.99")), "web")
    before = everything(door.db)

    plan = reversals.plan(door.batcher, "web:1", "order.create", by="Ann")

    assert (plan.standing, plan.how, plan.refused) == ("not packed", "automated", "")
    assert kinds(plan) == [
        ("event", "units.canceled", "web:1"),
        ("movement", "unreserve", "s1 at n1"),
        ("message", "shipment.cancel", "wms"),
        ("refund", "refund.issued", "web:1"),
        ("event", "payment.voided", "web:1"),
    ]
    assert [e.detail for e in plan.effects if e.kind in ("refund", "movement")] == [
        {"reserved": -2},
        {"ref": "undo/order.create#2", "amount": "9.99", "units": ({"line_no": 1, "quantity": 2},)},
    ]
    assert everything(door.db) == before


def test_what_is_done_is_exactly_what_was_shown(door: Door) -> None:
    send(door, order(1, [("s1", 2)], captured=Decimal("9.99")), "web")
    shown = reversals.plan(door.batcher, "web:1", "order.create", by="Ann")

    done = reversals.apply(door.batcher, "1", "order.create", by="Ann", expect=shown.digest)

    assert done == shown
    ((state, authorized, captured, refunded),) = door.db.transaction(
        lambda tx: tx.query("select state, authorized, captured, refunded from orders join payments using (order_id)")
    )
    assert (state, authorized, captured, refunded) == ("refunded", Decimal("9.99"), Decimal("9.99"), Decimal("9.99"))
    assert door.db.transaction(lambda tx: tx.query("select reserved from positions where sku = 's1'")) == [(0,)]
    told = [step.words for step in views.story(door.db, ESTATE, "web:1")]
    assert any("undone by Ann" in words for words in told)
    check(door.db)


def test_undoing_twice_has_no_second_effect_whoever_asks(door: Door) -> None:
    message = send(door, AdjustStock(sku=Sku("s1"), node=NodeId("n1"), ref="found", delta=3))
    reversals.apply(door.batcher, message, by="Ann")
    before = everything(door.db)

    again = reversals.plan(door.batcher, "s1", "stock.adjust", "n1/found", by="Bob")
    assert (again.standing, again.how, again.effects) == ("undone", "done", ())
    with pytest.raises(NotReversible, match="it was undone at"):
        reversals.apply(door.batcher, message, by="Bob")

    assert everything(door.db) == before
    check(door.db)


def test_two_who_undo_the_same_at_once_undo_it_once(door: Door) -> None:
    message = send(door, AdjustStock(sku=Sku("s1"), node=NodeId("n1"), ref="found", delta=3))
    results: list[str] = []

    def undo(by: str) -> None:
        try:
            results.append(reversals.apply(Batcher(door.db, ESTATE), message, by=by).digest)
        except (NotReversible, PlanChanged) as error:
            results.append(type(error).__name__)

    people = [threading.Thread(target=undo, args=(name,)) for name in ("Ann", "Bob", "Cem")]
    for person in people:
        person.start()
    for person in people:
        person.join()

    assert len([result for result in results if result in ("NotReversible", "PlanChanged")]) == 2
    assert door.db.transaction(lambda tx: tx.query("select physical from positions where sku = 's1'")) == [(10,)]
    check(door.db)


def test_nothing_is_done_where_something_else_would_follow_than_was_agreed_to(door: Door) -> None:
    send(door, order(1, [("s1", 2)]), "web")
    shown = reversals.plan(door.batcher, "web:1", "order.create", by="Ann")
    send(door, CancelOrder(order_id=WEB1, ref="c", lines=(LineUnits(1, 1),)), "web")
    before = everything(door.db)

    with pytest.raises(PlanChanged) as changed:
        reversals.apply(door.batcher, "web:1", "order.create", by="Ann", expect=shown.digest)

    assert changed.value.expected == shown.digest
    assert changed.value.found == reversals.plan(door.batcher, "web:1", "order.create").digest
    assert everything(door.db) == before


def test_what_the_table_leaves_to_a_person_is_refused_with_what_to_do(door: Door) -> None:
    send(door, order(1, [("s1", 1)]), "web")
    send(door, PackShipment(order_id=WEB1, assignment_no=1, ref="p"), "wms")
    before = everything(door.db)

    with pytest.raises(NotReversible, match=r"order\.create of web:1 \(packed\) .* manual: ask the node by phone"):
        reversals.apply(door.batcher, "web:1", "order.create", by="Ann")

    assert everything(door.db) == before


def test_money_that_went_back_cannot_be_undone(door: Door) -> None:
    send(door, order(1, [("s1", 1)], captured=Decimal("9.99")), "web")
    send(door, CancelOrder(order_id=WEB1, ref="c"), "web")
    send(door, IssueRefund(order_id=WEB1, ref="r", amount=Decimal("9.99")), "web")

    with pytest.raises(NotReversible, match="impossible: the money has gone"):
        reversals.apply(door.batcher, "web:1", "refund.issue", by="Ann")


def test_a_capture_goes_back_when_its_units_were_canceled(door: Door) -> None:
    send(door, order(1, [("s1", 2)]), "web")
    send(door, CaptureOrder(order_id=WEB1, ref="cap", amount=Decimal("9.99")), "web")
    send(door, CancelOrder(order_id=WEB1, ref="c", lines=(LineUnits(1, 1),)), "web")

    done = reversals.apply(door.batcher, "web:1", "order.capture", "cap", by="Ann")

    assert kinds(done) == [("refund", "refund.issued", "web:1")]
    check(door.db)


def test_a_rejection_s_stock_comes_back_in_every_sku_in_one_transaction(door: Door) -> None:
    send(door, stock("s3", "n1", 5), "wms")
    send(door, order(1, [("s1", 2), ("s3", 1)]), "web")
    reject = RejectShipment(order_id=WEB1, assignment_no=1, ref="no", reason="short_pick")
    send(door, reject, "wms")

    done = reversals.apply(door.batcher, "web:1", "shipment.reject", by="Ann")

    assert kinds(done) == [("movement", "adjust", "s1 at n1"), ("movement", "adjust", "s3 at n1")]
    physical = "select sku, physical from positions where node = 'n1' order by sku"
    assert door.db.transaction(lambda tx: tx.query(physical)) == [("s1", 10), ("s3", 5)]
    check(door.db)


def test_a_count_is_undone_unless_it_was_counted_since(door: Door) -> None:
    first = send(door, stock("s1", "n1", 4, "first"), "wms")
    assert reversals.plan(door.batcher, first).standing == "newest count"
    send(door, stock("s1", "n1", 5, "second"), "wms")

    assert reversals.plan(door.batcher, first).how == "done"
    done = reversals.apply(door.batcher, "s1", "stock.count", "n1/second", by="Ann")

    assert [e.detail for e in done.effects] == [{"physical": -1}]


def test_a_promise_that_would_break_is_in_the_list(door: Door) -> None:
    message = send(door, AdjustStock(sku=Sku("s1"), node=NodeId("n1"), ref="found", delta=3))
    send(door, order(1, [("s1", 12)]), "web")

    plan = reversals.plan(door.batcher, message)

    assert kinds(plan) == [("movement", "adjust", "s1 at n1"), ("exception", "promise_broken/n1", "s1")]
    assert door.db.transaction(lambda tx: tx.query("select from exceptions where subject = 's1'")) == []


def test_what_waited_and_would_go_on_is_in_the_list(door: Door) -> None:
    send(door, order(1, [("s1", 1)], captured=Decimal("9.99")), "web")
    early = IssueRefund(order_id=WEB1, ref="early", amount=Decimal("5"), lines=(LineUnits(1, 1),))
    (parked,) = door.process([arrival(early, "web")])
    assert parked.outcome == "parked"

    plan = reversals.plan(door.batcher, "web:1", "order.create")

    # The refund that waited takes the unit first; what is left of the money cannot go back for it a second time.
    assert ("refund", "refund.issued", "web:1") in kinds(plan)
    assert plan.refused.startswith("refund.issue: ")
    with pytest.raises(NotReversible, match="refund.issue"):
        reversals.apply(door.batcher, "web:1", "order.create", by="Ann")
    check(door.db)


def test_a_return_is_undone_by_its_number(door: Door) -> None:
    send(door, order(1, [("s1", 1)]), "web")
    send(door, ConfirmShipment(order_id=WEB1, assignment_no=1, ref="s"), "wms")
    send(door, AuthorizeReturn(order_id=WEB1, ref="RMA-1", lines=(LineUnits(1, 1),)), "web")

    done = reversals.apply(door.batcher, "RMA-1", "return.authorize", by="Ann")

    assert kinds(done) == [("event", "return.canceled", "web:1")]
    check(door.db)


@pytest.mark.parametrize(
    ("identifier", "action", "key", "said"),
    [
        ("web:99", "order.create", None, "identifier: 'web:99' is not the id of one order, SKU or message: nothing"),
        ("web:1", "order.creat", None, "action: 'order.creat' is not one of order.create"),
        ("web:1", "order.capture", None, "key: '' is not the key of one order.capture of web:1 .* there is none"),
        ("s1", "stock.adjust", None, "key: '' is not the key .*: 'n1/a', 'n1/b'"),
    ],
)
def test_what_leads_to_nothing_or_to_several_things_is_named(
    door: Door, identifier: str, action: str, key: str | None, said: str
) -> None:
    send(door, order(1, [("s1", 1)]), "web")
    for ref in ("a", "b"):
        send(door, AdjustStock(sku=Sku("s1"), node=NodeId("n1"), ref=ref, delta=1))

    with pytest.raises(InvalidValue, match=said):
        reversals.plan(door.batcher, identifier, action, key)


def test_a_message_that_did_nothing_and_one_of_another_action_are_named(door: Door) -> None:
    sent = arrival(CaptureOrder(order_id=WEB1, ref="early", amount=Decimal(1)), "web")
    door.process([sent])
    with pytest.raises(InvalidValue, match="a message that was processed: it is parked"):
        reversals.plan(door.batcher, str(sent.message_id))
    with pytest.raises(InvalidValue, match="what message .* asked for"):
        reversals.plan(door.batcher, str(sent.message_id), "order.create")


def test_nobody_undoes_without_a_name(door: Door) -> None:
    send(door, order(1, [("s1", 1)]), "web")

    with pytest.raises(InvalidValue, match="by: ' ' is not the name of the person"):
        reversals.apply(door.batcher, "web:1", "order.create", by=" ")


def test_an_adjustment_at_a_node_that_is_gone_is_named(door: Door) -> None:
    send(door, AdjustStock(sku=Sku("s2"), node=NodeId("n2"), ref="a", delta=1))
    smaller: Estate = make_estate(nodes=1)

    with pytest.raises(InvalidValue, match="the key of a node that is still in the estate"):
        reversals.plan(Batcher(door.db, smaller), "s2", "stock.adjust")
