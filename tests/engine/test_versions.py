"""Sources that number, time or restate what they state as a whole: the newest wins, an older one has no effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest

from interlock.domain.commands import (
    AnyCommand,
    CancelOrder,
    ConfirmShipment,
    CreateOrder,
    LineUnits,
    NewLine,
    PackShipment,
    Received,
    ReceiveReturn,
)
from interlock.domain.decision import Outcome
from interlock.domain.estate import Estate, Place
from interlock.domain.values import NodeId, OrderId, Sku, SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import PRICE, arrival, make_estate, make_system, order, stock
from tests.engine.test_parking import is_sound
from tests.engine.truths import exceptions, rows, sold, stored_orders

ONE = OrderId("web:1")
Updates = Literal["content", "numbered", "timed", "restated"]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Source:
    """A source that tells its updates apart in one of the ways, and what it says."""

    def __init__(self, db: Database, updates: Updates, **changes: Any) -> None:
        estate = make_estate()
        source = make_system("source", "erp", updates=updates, **changes)
        twin = make_system("twin", "erp", updates=updates)
        self.estate: Estate = msgspec.structs.replace(
            estate, systems=estate.systems | {source.id: source, twin.id: twin}
        )
        self.door, self.db = Door(db, self.estate), db
        self.door.process([arrival(stock("s1"), "wms"), arrival(stock("s2"), "wms")])

    def says(self, command: AnyCommand, by: str = "source", **changes: Any) -> Outcome:
        """The source says it now, with a version or a time if one is given."""
        [outcome] = self.door.process([arrival(msgspec.structs.replace(command, **changes), by)])
        return outcome

    def at_once(self, *commands: AnyCommand) -> list[str]:
        """All of it in one batch; gives what became of each."""
        return [o.outcome for o in self.door.process([arrival(command, "source") for command in commands])]

    def units(self) -> tuple[Any, Any]:
        """Units of the order's first line that are held, and that were canceled."""
        line = stored_orders(self.db)[ONE].lines[1]
        return line.held, line.canceled

    def sound(self) -> None:
        """What is always true is true."""
        is_sound(self.db, self.estate)


def units(number: int, **changes: Any) -> CreateOrder:
    """The order as it is told: so many units of s1; what it costs stays as it was."""
    return order(1, [("s1", number)], **{"total": 4 * PRICE, "authorized": 4 * PRICE, **changes})


def reason(outcome: Outcome) -> tuple[str, str]:
    """An outcome, and what our own records say of it."""
    return outcome.outcome, outcome.reason


def test_the_newest_number_wins_and_an_older_one_has_no_effect(db: Database) -> None:
    source = Source(db, "numbered")
    assert source.says(units(4), version=10).outcome == "processed"

    newer = source.says(units(2), version=12)
    assert msgspec.json.decode(newer.answer)["restated"]["canceled"] == [{"line_no": 1, "quantity": 2}]
    assert (newer.outcome, source.units()) == ("processed", (2, 2))

    assert reason(source.says(units(3), version=11)) == ("stale", "source has told a newer version of web:1 before")
    assert source.units() == (2, 2)
    assert rows(db, "select number from versions") == [(12,)]
    assert exceptions(db) == []
    source.sound()


def test_versions_are_numbers_and_not_texts(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=9)

    assert source.says(units(3), version=10).outcome == "processed"
    assert source.says(units(2), version=2**62).outcome == "processed"
    source.sound()


def test_the_same_number_with_another_payload_is_a_conflict(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)

    assert reason(source.says(units(3), version=1)) == (
        "conflict",
        "web:1: another payload as the version that was applied last",
    )
    assert source.units() == (4, 0)
    assert exceptions(db) == [("web:1", "conflict/order.create/", 1)]
    source.sound()


def test_a_source_that_numbers_and_forgets_it_once_is_a_conflict(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)

    assert reason(source.says(units(3))) == ("conflict", "web:1: another payload, and nothing that says which is newer")
    assert source.says(stock("s1", units=70, ref="shelf"), version=5).outcome == "processed"
    assert source.says(stock("s1", units=60, ref="shelf")).outcome == "conflict"
    assert (source.units(), sold(db, "s1")) == ((4, 0), (70, 4))
    source.sound()


def test_the_same_statement_under_a_newer_number_says_nothing_new_but_makes_older_ones_old(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)
    assert source.says(units(4), version=3).outcome == "duplicate"

    assert source.says(units(2), version=2).outcome == "stale"
    assert source.units() == (4, 0)
    assert source.at_once(
        *(msgspec.structs.replace(units(n), version=version) for n, version in ((4, 8), (3, 7), (4, 6), (2, 9), (3, 8)))
    ) == ["duplicate", "stale", "duplicate", "processed", "stale"]
    assert (source.units(), rows(db, "select number from versions")) == ((2, 2), [(9,)])
    source.sound()


def test_several_versions_in_one_batch_come_to_the_newest(db: Database) -> None:
    source = Source(db, "numbered")

    assert source.at_once(
        *(
            msgspec.structs.replace(units(n), version=version)
            for n, version in ((4, 1), (2, 3), (3, 2), (3, 2), (1, 4), (1, 4), (2, 3))
        )
    ) == ["processed", "processed", "stale", "stale", "processed", "duplicate", "stale"]
    assert source.units() == (1, 3)
    assert exceptions(db) == []
    source.sound()


@pytest.mark.parametrize("updates", ["numbered", "restated"])
def test_more_money_of_a_restated_order_is_authorized_and_captured(db: Database, updates: Updates) -> None:
    source = Source(db, updates)
    source.says(units(4, authorized=Decimal(10)), version=1)
    assert stored_orders(db)[ONE].state == "allocated"

    outcome = source.says(units(3, authorized=Decimal("39.96"), captured=Decimal(5)), version=2)

    mine = stored_orders(db)[ONE]
    assert (outcome.outcome, mine.state) == ("processed", "released")
    assert (mine.payment.authorized, mine.payment.captured) == (Decimal("39.96"), Decimal(5))
    assert rows(db, "select type from events where seq > 3 order by seq") == [
        *[("units.canceled",), ("payment.authorized",), ("assignment.released",), ("payment.captured",)]
    ]
    source.sound()


def test_after_fewer_units_the_lower_total_is_no_difference(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)
    assert source.says(units(3, total=3 * PRICE), version=2).outcome == "processed"

    paid = source.says(units(3, total=3 * PRICE, captured=PRICE), version=3)

    assert (paid.outcome, source.units()) == ("processed", (3, 1))
    assert rows(db, "select captured from payments") == [(PRICE,)]
    source.sound()


def test_a_system_that_may_not_decide_payments_cannot_do_so_by_restating_an_order(db: Database) -> None:
    source = Source(db, "numbered", observes=["payment"])
    source.says(units(4, authorized=Decimal(0)), version=1)

    outcome = source.says(units(4, authorized=Decimal(10)), version=2)

    assert (outcome.outcome, msgspec.json.decode(outcome.answer)["outcome"]) == ("refused", "refused")
    assert stored_orders(db)[ONE].payment.authorized == 0
    assert exceptions(db) == [("web:1", "no_authority/order.create", 1)]
    source.sound()


def test_what_needs_a_person_is_a_conflict_that_names_every_difference_and_applies_none(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)
    lines = (
        NewLine(line_no=1, sku=Sku("s2"), quantity=5, unit_price=Decimal(8)),
        NewLine(line_no=2, sku=Sku("s1"), quantity=1),
    )

    outcome = source.says(
        units(4, customer="Ann", destination=Place(country="CA"), currency="CAD", total=Decimal(40)),
        lines=lines,
        version=2,
    )

    assert outcome.outcome == "conflict"
    told = outcome.reason.removeprefix("web:1: ").split("; ")
    assert [each for each in told if not each.startswith("destination")] == [
        "currency is USD, now CAD",
        "customer is , now Ann",
        "line 1: sku is s1, now s2",
        "line 1: unit_price is 9.99, now 8",
        "line 1: 4 units are wanted, now 5",
        "line 2 (1 of s1) is new",
        "total is 39.96, now 40",
    ]
    assert len(told) == 8
    assert source.units() == (4, 0)
    assert [e.type for e in events_of(db)] == [
        "order.created",
        "payment.authorized",
        "units.allocated",
        "assignment.released",
    ]
    assert source.says(units(3), version=3).outcome == "processed"  # the next one is compared with what is known
    source.sound()


def events_of(db: Database) -> list[Any]:
    """The order's events."""
    return [
        msgspec.json.decode(body, type=_Typed) for (body,) in rows(db, "select body::text from events order by seq")
    ]


class _Typed(msgspec.Struct):
    type: str


def test_fewer_units_than_can_still_be_canceled_are_a_conflict_that_a_person_sees(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)
    source.says(ConfirmShipment(order_id=ONE, assignment_no=1, ref="gone", lines=(LineUnits(1, 3),)))

    outcome = source.says(units(2), version=2)

    assert reason(outcome) == (
        "conflict",
        "web:1: line 1: 2 units are not wanted any more, 1 can still be canceled",
    )
    assert source.units() == (1, 0)
    assert stored_orders(db)[ONE].lines[1].shipped == 3
    assert exceptions(db) == [("web:1", "conflict/order.create/", 1)]
    assert source.says(units(3), version=3).outcome == "processed"  # one can: the conflict has used up nothing
    assert source.units() == (0, 1)
    source.sound()


def test_packed_units_that_are_not_wanted_any_more_are_a_conflict(db: Database) -> None:
    source = Source(db, "restated")
    source.says(units(4))
    source.says(PackShipment(order_id=ONE, assignment_no=1, ref="boxes"))

    assert reason(source.says(units(3))) == (
        "conflict",
        "web:1: line 1: 1 units are not wanted any more, 0 can still be canceled",
    )
    assert source.units() == (4, 0)
    source.sound()


@pytest.mark.parametrize("told", [4, 3])
def test_units_that_came_back_are_not_missing_when_the_order_is_told_again(db: Database, told: int) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)
    source.says(ConfirmShipment(order_id=ONE, assignment_no=1, ref="gone", lines=(LineUnits(1, 2),)))
    back = (Received(line_no=1, quantity=1),)
    source.says(ReceiveReturn(order_id=ONE, ref="box", node=NodeId("n1"), lines=back))

    assert reason(source.says(units(told, word="again"), version=2)) == ("stale", "it restates what is known")
    assert source.units() == (2, 0)
    assert source.says(units(2), version=3).outcome == "processed"  # one fewer than what did not come back
    assert source.units() == (1, 1)
    assert exceptions(db) == []
    source.sound()


def test_a_line_that_came_back_whole_may_be_left_out(db: Database) -> None:
    source = Source(db, "restated")
    both = order(1, [("s1", 4), ("s2", 2)])
    source.says(both)
    source.says(ConfirmShipment(order_id=ONE, assignment_no=1, ref="gone"))
    back = (Received(line_no=2, quantity=2),)
    source.says(ReceiveReturn(order_id=ONE, ref="box", node=NodeId("n1"), lines=back))

    assert reason(source.says(msgspec.structs.replace(both, lines=both.lines[:1]))) == (
        "stale",
        "it restates what is known",
    )
    source.sound()


def test_a_line_that_is_missing_is_canceled_and_what_a_customer_canceled_stays_so(db: Database) -> None:
    source = Source(db, "restated")
    both = order(1, [("s1", 4), ("s2", 2)])
    source.says(both)
    source.says(CancelOrder(order_id=ONE, ref="c", lines=(LineUnits(1, 1),)), "web")

    assert source.says(msgspec.structs.replace(both, lines=both.lines[:1])).outcome == "conflict"  # 4 are too many now
    three = msgspec.structs.replace(both.lines[0], quantity=3)
    assert source.says(msgspec.structs.replace(both, lines=(three,))).outcome == "processed"

    assert [line.canceled for line in stored_orders(db)[ONE].lines.values()] == [1, 2]
    assert reason(source.says(msgspec.structs.replace(both, lines=(three,), word="again"))) == (
        "stale",
        "it restates what is known",
    )
    source.sound()


def test_an_order_that_was_refused_may_be_told_again_rightly(db: Database) -> None:
    source = Source(db, "numbered")
    assert source.says(units(4, channel="unheard of"), version=1).outcome == "refused"

    assert source.says(units(4), version=2).outcome == "processed"
    assert source.units() == (4, 0)
    source.sound()


def test_without_versions_another_payload_is_a_conflict(db: Database) -> None:
    source = Source(db, "content")
    source.says(units(4), version=1)

    assert source.says(units(3), version=2).outcome == "conflict"
    assert source.units() == (4, 0)
    assert rows(db, "select count(*) from versions") == [(0,)]
    source.sound()


def test_the_newest_time_wins(db: Database) -> None:
    source = Source(db, "timed")
    source.says(units(4), occurred_at=NOON)
    assert source.says(units(2), occurred_at=NOON + timedelta(minutes=2)).outcome == "processed"

    assert source.says(units(3), occurred_at=NOON + timedelta(minutes=1)).outcome == "stale"
    assert source.says(units(1)).outcome == "conflict"  # it does not say when
    assert source.units() == (2, 2)
    source.sound()


def test_a_clock_that_is_ahead_holds_nothing_up(db: Database) -> None:
    source = Source(db, "timed")
    ahead = datetime.now(UTC) + timedelta(days=400)

    assert source.says(units(4), occurred_at=ahead).outcome == "processed"
    assert source.says(units(3), occurred_at=datetime.now(UTC)).outcome == "processed"
    assert source.says(units(2), occurred_at=ahead - timedelta(days=9)).outcome == "processed"
    counts = [msgspec.structs.replace(stock("s2", units=n, ref=f"shelf {n}"), occurred_at=ahead) for n in (9, 7, 8)]
    assert source.at_once(*counts) == ["processed"] * 3  # in order of arrival

    assert (source.units(), sold(db, "s2")) == ((2, 2), (8, 0))
    source.sound()


@pytest.mark.parametrize("updates", ["numbered", "timed"])
def test_an_older_count_is_stale_under_whatever_key(db: Database, updates: Updates) -> None:
    source = Source(db, updates)

    def count(units: int, place: int, ref: str, by: str = "source") -> str:
        said = {"version": place} if updates == "numbered" else {"occurred_at": NOON + timedelta(seconds=place)}
        return source.says(stock("s1", units=units, ref=ref), by, **said).outcome

    assert count(50, 5, "monday") == "processed"
    assert [count(60, 4, "monday"), count(61, 3, "sunday"), count(62, 4, "a new ref")] == ["stale"] * 3
    assert sold(db, "s1") == (50, 0)
    assert count(40, 6, "monday") == "processed"  # the same key, told anew
    assert count(40, 6, "tuesday") == "stale"  # the same statement under another name
    assert count(41, 6, "wednesday") == "conflict"
    assert count(30, 1, "first", by="twin") == "processed"  # another source counts for itself
    assert sold(db, "s1") == (30, 0)
    assert exceptions(db) == [("s1", "conflict/stock.count/n1/wednesday", 1)]
    source.sound()


def test_counts_of_two_nodes_are_two_facts(db: Database) -> None:
    source = Source(db, "numbered")

    assert source.says(stock("s1", "n1", 50, "a"), version=5).outcome == "processed"
    assert source.says(stock("s1", "n2", 20, "b"), version=4).outcome == "processed"
    assert source.says(stock("s2", "n1", 20, "c"), version=3).outcome == "processed"
    source.sound()


def test_a_source_that_restates_its_counts_is_believed_in_order_of_arrival(db: Database) -> None:
    source = Source(db, "restated")

    assert [source.says(stock("s1", units=n, ref="shelf")).outcome for n in (50, 70, 50)] == ["processed"] * 3
    assert source.says(stock("s1", units=50, ref="shelf")).outcome == "duplicate"
    assert source.at_once(*(stock("s1", units=n, ref="shelf") for n in (30, 31, 30, 31))) == ["processed"] * 4
    assert sold(db, "s1") == (31, 0)
    source.sound()


def test_a_delta_is_never_superseded(db: Database) -> None:
    source = Source(db, "numbered")
    source.says(units(4), version=1)

    for number, version in ((1, 9), (2, 5)):
        cancel = CancelOrder(order_id=ONE, ref=f"c{number}", lines=(LineUnits(1, 1),))
        assert source.says(cancel, version=version).outcome == "processed"

    assert source.units() == (2, 2)
    source.sound()


def test_a_version_is_no_part_of_the_payload(db: Database) -> None:
    source = Source(db, "numbered")
    cancel = CancelOrder(order_id=ONE, ref="c", lines=(LineUnits(1, 1),))
    source.says(units(4), version=1)
    source.says(cancel, version=2)

    assert source.says(cancel, version=3).outcome == "duplicate"
    assert SystemId("source") in source.estate.systems
    source.sound()
