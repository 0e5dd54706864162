"""Who asks a link, and how far it was taken: one process at a time, and none sets back what its successor has done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from interlock.domain.values import SystemId
from interlock.storage import link_positions
from interlock.storage.database import Database
from interlock.storage.link_positions import NotHeld, Tenure

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WMS = SystemId("wms")


def test_a_link_has_one_holder_until_it_lets_go_or_falls_silent(db: Database) -> None:
    one, other = Tenure(db, WMS, "orders"), Tenure(db, WMS, "orders")

    assert one.hold(NOW) == {}
    assert other.hold(NOW + timedelta(seconds=59)) is None
    one.release()
    assert other.hold(NOW + timedelta(seconds=59)) == {}
    assert one.hold(NOW + timedelta(seconds=60)) is None
    assert one.hold(NOW + timedelta(seconds=120)) == {}


def test_a_position_is_found_by_the_next_holder(db: Database) -> None:
    one, other = Tenure(db, WMS, "orders"), Tenure(db, WMS, "orders")
    one.hold(NOW)
    one.move({"watermark": "2026", "seen": ["a"]}, NOW)
    one.release()

    assert other.hold(NOW) == {"watermark": "2026", "seen": ["a"]}
    position = db.transaction(lambda tx: link_positions.look(tx, WMS, "orders"))
    assert position == ({"watermark": "2026", "seen": ["a"]}, NOW)


def test_who_was_taken_for_dead_moves_nothing(db: Database) -> None:
    one, other = Tenure(db, WMS, "orders"), Tenure(db, WMS, "orders")
    one.hold(NOW)
    other.hold(NOW + timedelta(minutes=2))
    other.move({"watermark": "new"}, NOW)

    with pytest.raises(NotHeld, match="wms, orders: another process asks this link now"):
        one.move({"watermark": "old"}, NOW)
    one.release()
    assert db.transaction(lambda tx: link_positions.look(tx, WMS, "orders"))[0] == {"watermark": "new"}


def test_links_are_held_one_by_one(db: Database) -> None:
    tenures = [Tenure(db, WMS, "orders"), Tenure(db, WMS, "stock"), Tenure(db, SystemId("pos"), "orders")]

    assert [tenure.hold(NOW) for tenure in tenures] == [{}, {}, {}]
    assert db.transaction(lambda tx: link_positions.look(tx, WMS, "nothing")) == ({}, None)
