"""Two masters: the same fact told by two systems is done once, compared, and counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from interlock.domain.commands import AnyCommand, CreateOrder
from interlock.domain.decision import Outcome
from interlock.domain.estate import Estate
from interlock.domain.links import TwoMasters
from interlock.engine.door import Door
from interlock.storage import two_masters
from interlock.storage.database import Database
from interlock.storage.two_masters import Share
from tests.builders import PRICE, arrival, make_estate, make_system, order, stock
from tests.engine.test_parking import is_sound
from tests.engine.truths import exceptions, rows

EARLY = datetime(2020, 1, 1, tzinfo=UTC)
LATE = datetime(2100, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Pair:
    """The shop, which tells its orders itself, and the hook of its platform, which tells the same ones."""

    def __init__(self, db: Database, **changes: Any) -> None:
        estate = make_estate()
        hook = make_system("hook", "webshop", order_scope="web")
        pair = TwoMasters(name="shop", systems=("web", "hook"), **changes)
        self.estate: Estate = msgspec.structs.replace(
            estate, systems=estate.systems | {hook.id: hook}, two_masters=(pair,)
        )
        self.db, self.door = db, Door(db, self.estate)
        self.door.process([arrival(stock("s1"), "wms"), arrival(stock("s2"), "wms")])

    def tells(self, *told: tuple[str, AnyCommand]) -> list[Outcome]:
        """These systems tell these things, in one batch."""
        return self.door.process([arrival(command, system) for system, command in told])

    def shares(self, settled_before: datetime = LATE) -> list[Share]:
        """How the facts were told."""
        return self.db.transaction(lambda tx: two_masters.shares(tx, "shop", EARLY, settled_before))

    def sound(self) -> None:
        """What is always true is true."""
        is_sound(self.db, self.estate)


def an_order(number: int = 1, **changes: Any) -> CreateOrder:
    """An order of two units of s1 and one of s2."""
    return order(number, [("s1", 2), ("s2", 1)], **{"total": 3 * PRICE, "authorized": 3 * PRICE, **changes})


@pytest.mark.parametrize("batches", [1, 2])
def test_what_both_tell_in_their_own_words_is_done_once_and_agrees(db: Database, batches: int) -> None:
    pair = Pair(db)
    first = an_order(word="tendered", occurred_at=NOON)
    second = an_order(word="paid", occurred_at=NOON + timedelta(minutes=3), time_zone="UTC", number=1)

    if batches == 1:
        outcomes = pair.tells(("web", first), ("hook", second))
    else:
        outcomes = pair.tells(("web", first)) + pair.tells(("hook", second))

    assert [outcome.outcome for outcome in outcomes] == ["processed", "duplicate"]
    assert outcomes[1].answer == outcomes[0].answer
    assert exceptions(db) == []
    [share] = pair.shares()
    assert (share.both_agree, share.both_diverge, share.alone, share.dual) == (1, 0, {}, 1.0)
    pair.sound()


def test_the_other_master_may_be_first_and_lines_may_come_in_another_order(db: Database) -> None:
    pair = Pair(db)
    first = an_order()
    lines = tuple(
        msgspec.structs.replace(line, line_no=place, source_sku=f"THEIRS-{line.sku}")
        for place, line in enumerate(reversed(first.lines), start=1)
    )
    second = msgspec.structs.replace(first, lines=lines, total=Decimal("30.000"))

    assert [o.outcome for o in pair.tells(("hook", first))] == ["processed"]
    assert [o.outcome for o in pair.tells(("web", msgspec.structs.replace(second, total=first.total)))] == ["duplicate"]
    assert [(s.both_agree, s.both_diverge) for s in pair.shares()] == [(1, 0)]
    pair.sound()


def test_where_they_differ_the_first_stands_and_a_person_sees_every_difference(db: Database) -> None:
    pair = Pair(db)
    pair.tells(("web", an_order()))
    [outcome] = pair.tells(("hook", an_order(total=4 * PRICE, authorized=4 * PRICE, fulfillment="delivery")))

    assert outcome.outcome == "conflict"
    assert outcome.reason.startswith("hook tells order.create web:1 otherwise than web: total is ")
    assert exceptions(db) == [("web:1", "divergence/order.create/", 1)]
    assert rows(db, "select total from orders") == [(3 * PRICE,)]
    [share] = pair.shares()
    assert (share.both_agree, share.both_diverge, share.fields) == (0, 1, {"total": 1})
    [found] = db.transaction(lambda tx: two_masters.divergences(tx, "shop", EARLY, 10))
    assert (found["subject"], found["system"]) == ("web:1", "hook")
    assert found["differences"][0]["field"] == "total"
    pair.sound()


def test_what_a_master_says_again_is_a_duplicate_and_no_second_report(db: Database) -> None:
    pair = Pair(db)
    first, second = an_order(), an_order(word="paid", occurred_at=NOON)
    told = [("web", first), ("hook", second)] * 3

    assert [o.outcome for o in pair.tells(*told)] == ["processed", *["duplicate"] * 5]
    assert [o.outcome for o in pair.tells(*told)] == ["duplicate"] * 6
    assert rows(db, "select system, verdict from dual_reports order by 1") == [("hook", "agrees"), ("web", "first")]
    assert exceptions(db) == []


def test_a_master_that_changes_its_own_word_is_in_conflict_with_itself(db: Database) -> None:
    pair = Pair(db)
    pair.tells(("web", an_order()))
    [outcome] = pair.tells(("web", an_order(total=4 * PRICE, authorized=4 * PRICE)))

    assert outcome.outcome == "conflict"
    assert exceptions(db) == [("web:1", "conflict/order.create/", 1)]


def test_only_the_fields_that_are_named_are_compared(db: Database) -> None:
    pair = Pair(db, compare=("currency", "customer"))
    pair.tells(("web", an_order(customer="c1")))

    assert [
        o.outcome for o in pair.tells(("hook", an_order(customer="c1", total=4 * PRICE, authorized=4 * PRICE)))
    ] == ["duplicate"]


def test_what_one_tells_alone_is_counted_when_the_other_had_its_time(db: Database) -> None:
    pair = Pair(db)
    pair.tells(*[("web", an_order(number)) for number in range(1, 8)])
    pair.tells(*[("hook", an_order(number, word="paid")) for number in range(6, 11)])

    [share] = pair.shares()
    assert (share.both_agree, share.alone, share.waiting) == (2, {"hook": 3, "web": 5}, 0)
    assert share.dual == 0.2
    [young] = pair.shares(settled_before=EARLY)
    assert (young.alone, young.waiting) == ({}, 8)
    pair.sound()


def test_other_actions_and_other_systems_are_not_compared(db: Database) -> None:
    pair = Pair(db)
    pair.tells(("wms", stock("s1", units=3, ref="R1")))
    [outcome] = pair.tells(("wms", stock("s1", units=4, ref="R1")))

    assert outcome.outcome == "conflict"
    assert pair.shares() == []


def test_many_facts_told_twice_in_large_batches_all_agree(db: Database) -> None:
    pair = Pair(db)
    orders = [an_order(number) for number in range(1, 301)]
    both = [("web", each) for each in orders] + [("hook", msgspec.structs.replace(each, word="x")) for each in orders]

    outcomes = [o.outcome for o in pair.tells(*both)]

    assert (outcomes.count("processed"), outcomes.count("duplicate")) == (300, 300)
    assert [share.both_agree for share in pair.shares()] == [300]
    pair.sound()
