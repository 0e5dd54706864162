"""A store's day by POSLog, through the real engine into a real database: goods, money and stock are as the tills say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from interlock.connectors.inlet import Inlet, Origin
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.connectors.ready.taking import translator
from tests.connectors.ready.test_xml_family import estate

DATA = Path(__file__).parents[2] / "data" / "poslog"


def test_a_stores_day_ships_captures_returns_and_refunds(db: Database) -> None:
    known = estate(_0101="store1", _0102="store1")
    inlet = Inlet(translator("poslog-store", "poslog", estate=known), Door(db, known))
    origin = Origin(name="v2-day.xml", received_at=datetime(2026, 3, 8, tzinfo=UTC))
    taken = inlet.take([(DATA / "v2-day.xml").read_bytes()], origin, answers=True)

    # The post void lists no lines, so that it can only ask to cancel goods that have left: a person is shown.
    refused = [each.reason for each in taken.answers if each.outcome == "refused"]
    assert refused == ["order.cancel on shipped: the goods have left: authorize a return instead"]
    assert (taken.records, taken.skipped, taken.outcomes["processed"]) == (13, 6, 6)
    orders = db.transaction(lambda tx: tx.query("select order_id, state from orders order by order_id"))
    stock = db.transaction(lambda tx: tx.query("select sku, physical from positions order by sku"))
    paid = db.transaction(lambda tx: tx.query("select order_id, captured, refunded from payments order by order_id"))
    assert orders == [("peer:0101-3-20260307-451", "shipped"), ("peer:0101-3-20260307-453", "shipped")]
    assert stock == [("KETTLE-1", -1), ("PEG-10", -1), ("POT-1", 1), ("TENT-2P-GRN", -1)]
    assert paid == [
        ("peer:0101-3-20260307-451", Decimal("138.24"), Decimal("4.86")),
        ("peer:0101-3-20260307-453", Decimal(42), 0),
    ]


def test_the_same_log_again_changes_nothing(db: Database) -> None:
    known = estate(_0101="store1", _0102="store1")
    inlet = Inlet(translator("poslog-store", "poslog", estate=known), Door(db, known))
    origin = Origin(name="v6-store.xml", received_at=datetime(2026, 3, 8, tzinfo=UTC))
    whole = (DATA / "v6-store.xml").read_bytes()
    first = inlet.take([whole], origin)
    again = inlet.take([whole], origin)
    assert dict(first.outcomes) == {"processed": 4}
    assert dict(again.outcomes) == {"duplicate": 4}
