"""Telling the channel: one notice for each event that it wants to know, and none for others."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.domain.commands import CancelOrder, ConfirmShipment, LineUnits, Package
from interlock.domain.estate import Channel, FolderOut
from interlock.domain.values import OrderId, SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.engine.test_parking import is_sound
from tests.engine.truths import rows

ONE = OrderId("web:1")


def told(db: Database) -> list[tuple[str, dict[str, Any]]]:
    found = rows(db, "select message, body::text from outbox where receiver = 'web' order by order_id, seq")
    return [(message, msgspec.json.decode(body)) for message, body in found]


def make_door(db: Database, *tells: str) -> Door:
    estate = make_estate()
    web = msgspec.structs.replace(estate.systems[SystemId("web")], outbound=FolderOut(path="/nowhere"))
    channel: Channel = msgspec.structs.replace(estate.channels["web"], tells=tells)
    estate = msgspec.structs.replace(
        estate, systems=estate.systems | {web.id: web}, channels=estate.channels | {"web": channel}
    )
    door = Door(db, estate)
    door.process([arrival(stock("s1"), "wms"), arrival(stock("s2"), "wms")])
    return door


def play(door: Door) -> None:
    """An order of three lines' units: taken, one unit canceled, the rest shipped."""
    taken = order(1, [("s1", 2), ("s2", 1)])
    taken = msgspec.structs.replace(
        taken, lines=tuple(msgspec.structs.replace(line, source_sku=f"T-{line.sku}") for line in taken.lines)
    )
    cancel = CancelOrder(order_id=ONE, ref="c", lines=(LineUnits(line_no=1, quantity=1),), reason="changed mind")
    ship = ConfirmShipment(
        order_id=ONE,
        assignment_no=1,
        ref="S1",
        carrier="UPS",
        packages=(Package(tracking="1Z", carrier="UPS", lines=()),),
    )
    outcomes = door.process([arrival(taken), arrival(cancel), arrival(ship, "wms")])
    assert [outcome.outcome for outcome in outcomes] == ["processed"] * 3


def test_the_channel_is_told_what_it_wants_to_know_in_order(db: Database) -> None:
    door = make_door(db, "order.accepted", "order.shipped", "order.canceled")
    play(door)

    accepted, canceled, shipped = told(db)
    assert [accepted[0], canceled[0], shipped[0]] == ["order.accepted", "order.canceled", "order.shipped"]
    assert [(line["sku"], line["quantity"]) for line in accepted[1]["lines"]] == [("T-s1", 2), ("T-s2", 1)]
    assert [(line["sku"], line["quantity"], line["ordered"]) for line in canceled[1]["lines"]] == [("T-s1", 1, 2)]
    assert [(line["sku"], line["quantity"]) for line in shipped[1]["lines"]] == [("T-s1", 1), ("T-s2", 1)]
    assert (shipped[1]["source_id"], shipped[1]["shipment"], shipped[1]["carrier"]) == ("1", "S1", "UPS")
    assert shipped[1]["packages"][0]["tracking"] == "1Z"
    assert len({body["id"] for _, body in told(db)}) == 3
    is_sound(db, door.batcher.estate)


def test_it_is_not_told_what_it_does_not_want_to_know(db: Database) -> None:
    door = make_door(db, "order.shipped")
    play(door)

    assert [message for message, _ in told(db)] == ["order.shipped"]


def test_a_channel_that_wants_to_know_nothing_is_told_nothing(db: Database) -> None:
    play(make_door(db))

    assert told(db) == []
