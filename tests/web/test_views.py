"""What people read, straight from the views: identifiers, stories of all kinds, messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.connectors.mapping import Mapper
from interlock.connectors.receive import receive
from interlock.domain.decision import Outcome
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.engine.door import Door
from interlock.storage import views
from interlock.storage.database import Database
from tests.web.conftest import order


class Sender:
    """Sends messages through the engine."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self.door, self.mapper, self.estate = Door(db, estate), Mapper(estate), estate

    def __call__(self, system: str, action: str, body: dict[str, Any] | bytes) -> Outcome:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        [outcome] = self.door.process([receive(self.mapper, self.estate.systems[SystemId(system)], action, raw)])
        return outcome


@pytest.fixture
def send(db: Database, estate: Estate) -> Sender:
    return Sender(db, estate)


def test_a_number_of_two_scopes_leads_to_both_orders(db: Database, estate: Estate, send: Sender) -> None:
    send("webshop", "order.create", order("7"))
    send("pos", "order.create", order("7", number="R-7", channel="stores"))

    assert views.resolve(db, estate, "7") == ["pos:7", "webshop:7"]
    assert views.resolve(db, estate, "pos:7") == ["pos:7"]
    assert views.resolve(db, estate, "R-7") == ["pos:7"]
    assert [found["order_id"] for found in views.orders(db, estate, "7")] == ["pos:7", "webshop:7"]


def test_an_order_whose_number_holds_a_slash_is_not_taken_for_an_assignment(
    db: Database, estate: Estate, send: Sender
) -> None:
    send("webshop", "order.create", order("A"))
    send("webshop", "order.create", order("A/1"))

    assert views.resolve(db, estate, "webshop:A/1") == ["webshop:A/1"]
    assert views.resolve(db, estate, "A/1/1") == ["webshop:A/1"]
    assert views.resolve(db, estate, "A/2") == ["webshop:A"]


@pytest.mark.parametrize("identifier", ["", "nobody", "\0", "a" * 5000, "webshop:", "/", "1/1/1/1"])
def test_what_nobody_knows_leads_nowhere(db: Database, estate: Estate, identifier: str) -> None:
    assert views.resolve(db, estate, identifier) == []
    assert views.story(db, estate, identifier) == []


def test_an_order_that_has_not_come_has_a_story_but_is_no_order(db: Database, estate: Estate, send: Sender) -> None:
    send("webshop", "order.cancel", {"order": "9", "ref": "c-1"})

    assert views.orders(db, estate, "9") == []
    [step] = views.story(db, estate, "9")
    assert (step.name, step.outcome, step.subject) == ("order.cancel", "parked", "webshop:9")
    assert step.words == "webshop sent order.cancel: parked, it waits for webshop:9"


def test_the_story_of_a_sku_tells_its_counts(db: Database, estate: Estate, send: Sender) -> None:
    send("wms", "stock.count", {"sku": "SKU-9", "node": "E", "ref": "c1", "counted": 5})
    send("office", "stock.count", {"sku": "SKU-9", "node": "DC-EAST", "ref": "c2", "counted": 4})

    assert [step.source for step in views.story(db, estate, "SKU-9")] == ["wms", "office"]


def test_the_story_goes_from_the_first_message_to_the_door_in_words(db: Database, estate: Estate, send: Sender) -> None:
    send("wms", "stock.count", {"sku": "SKU-1", "node": "E", "ref": "c", "counted": 10})
    send("webshop", "order.create", order())
    send("wms", "shipment.acknowledge", {"assignment": "webshop:10001/1", "warehouse_ref": "W-1"})
    send("wms", "shipment.confirm", {"assignment": "webshop:10001/1", "ref": "S-1", "packages": [{"tracking": "1Z"}]})
    refund = {"order": "10001", "ref": "F-1", "amount": "5"}
    send("webshop", "refund.issue", refund)

    steps = views.story(db, estate, "1Z")

    words = [step.words for step in steps]
    assert words[0] == "webshop sent order.create: processed"
    assert words[1] == "order WEB-10001 taken from channel web: 1 line, 2 units, 19.98 USD, delivery"
    assert "reserved 2 of line 1 at DC-EAST (assignment 1)" in words
    assert "shipment.release of assignment 1 is to be sent to wms" in words
    assert "assignment 1 taken by its node, as its W-1" in words
    assert "wms answered shipment.release of assignment 1" in words
    assert "shipped 2 of line 1 of assignment 1, tracking 1Z" in words
    assert "webshop sent refund.issue: parked, it waits for return" in words
    assert steps[0].lag_s == 0
    assert sum(step.lag_s for step in steps) == pytest.approx((steps[-1].at - steps[0].at).total_seconds(), abs=1e-3)


def test_a_message_is_found_by_its_id_with_or_without_what_it_was_about(
    db: Database, estate: Estate, send: Sender
) -> None:
    taken = send("webshop", "order.create", order())
    unread = send("webshop", "order.create", b"\xff{")

    by_subject = views.message(db, taken.message_id, subject="webshop:10001")
    assert by_subject is not None
    assert by_subject == views.message(db, taken.message_id)
    assert json.loads(by_subject["body"]) == order()
    assert views.message(db, taken.message_id, subject="webshop:2") is None
    found = views.message(db, unread.message_id)
    assert found is not None
    assert (found["body"], found["outcome"], found["action"]) == ("\\xff{", "quarantined", None)


def test_rows_are_limited(db: Database, estate: Estate, send: Sender) -> None:
    for number in range(5):
        send("wms", "stock.count", {"sku": f"SKU-{number}", "node": "E", "ref": "c", "counted": number})
        send("webshop", "order.create", b"{")

    assert len(views.positions(db, estate, limit=3)) == 3
    assert len(views.exceptions(db, limit=2)) == 2
    assert len(views.exceptions(db, reason="quarantined")) == 5
