"""Every transaction of the tills, on a real database: what came, what is missing, who is told, and when it is taken back."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec
import pytest

from interlock.domain.estate import Contact, Duty, Estate, Node, Place, System
from interlock.domain.links import Format, WebhookIn
from interlock.domain.sequences import Mark
from interlock.domain.values import NodeId, SystemId, part_of
from interlock.operations.pos import PosWatch
from interlock.storage import edges, pos_marks
from interlock.storage.database import Database
from interlock.storage.edges import EdgeId, EdgeReport
from interlock.storage.pos_marks import Counted

POS = SystemId("pos")
T0 = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
OVER = datetime(2026, 3, 3, 17, 0, tzinfo=UTC)
"""Twelve hours after midnight in New York."""


def estate(**settings: str) -> Estate:
    """A POS with one store in New York; `settings` are those of its link, without `pos_`."""
    link = WebhookIn(
        name="pos", format=Format(kind="poslog"), mapping="own", settings={f"pos_{k}": v for k, v in settings.items()}
    )
    system = System(
        id=POS,
        name="POS",
        kind="pos",
        owner=Contact(team="stores", escalation="stores@example.com"),
        authority={},
        time_zone="UTC",
        currency="USD",
        order_scope="pos",
        inbound=(link,),
    )
    store = Node(
        id=NodeId("S1"),
        name="S1",
        kind="store",
        system=POS,
        place=Place(country="US"),
        time_zone="America/New_York",
        fulfills=("carry_out",),
    )
    return Estate(
        retailer="Test",
        currency="USD",
        systems={POS: system},
        nodes={store.id: store},
        channels={},
        duties={"pos_gap": Duty(owner="store-systems", within_s=3_600)},
    )


class Till:
    """The registers of store S1, and the watch over them."""

    def __init__(self, db: Database, watched: Estate) -> None:
        self._db, self._watch = db, PosWatch(watched)

    def came(
        self, numbers: Iterable[int], at: datetime = T0, *, day: date = TODAY, register: str = "1", body: str = ""
    ) -> None:
        """Sales with these numbers came in one file."""
        self.marks([mark(number, day=day, register=register) for number in numbers], at, body=body)

    def marks(self, marks: list[Mark], at: datetime = T0, *, body: str = "") -> None:
        """These marks came in one file; `body` makes their bytes others."""
        counted = [Counted(m, blake2b(f"{body}{m.number}".encode(), digest_size=16).digest()) for m in marks]
        self._db.transaction(lambda tx: pos_marks.save_many(tx, POS, counted, at, at))

    def close(self, number: int, at: datetime = T0, *, day: date = TODAY, register: str = "1", **said: int) -> None:
        """The close of a register's day came."""
        self.marks([mark(number, kind="close", day=day, register=register, **said)], at)

    def look(self, at: datetime) -> int:
        """The worker's chore comes by; gives how many days it stated."""
        return self._db.transaction(lambda tx: sum(self._watch(tx, part, at) for part in range(64)))

    def day(self, day: date = TODAY, register: str = "1") -> dict[str, Any]:
        """What is stated of a register's day."""
        (found,) = [d for d in pos_marks.days(self._db, store="S1", day=day) if d["register"] == register]
        return found

    def told(self) -> list[tuple[str, str, bool]]:
        """What people were told: id and explanation (or the evidence of what is closed), and whether it is open."""
        rows = self._db.transaction(
            lambda tx: tx.query(
                "select exception_id, coalesce(evidence, explanation), closed_at is null from exceptions"
                " where part = %(part)s and subject = 'pos/S1' order by exception_id",
                part=part_of("pos/S1"),
            )
        )
        return [tuple(row) for row in rows]  # type: ignore[misc]


def mark(number: int, **more: Any) -> Mark:
    """A sale of register 1 today."""
    day = more.pop("day", TODAY)
    return Mark(**({"store": "S1", "register": "1", "business_day": day, "number": number} | more))


@pytest.fixture
def till(db: Database) -> Till:
    """A register of a POS with the usual rules."""
    return Till(db, estate())


def test_a_day_with_every_number_is_stated_complete_at_its_close(till: Till) -> None:
    till.came(range(1, 50))
    till.close(50)

    assert till.look(T0) == 1
    stated = till.day()
    assert (stated["state"], stated["transactions"], stated["first_number"], stated["last_number"]) == (
        "complete",
        50,
        1,
        50,
    )
    assert (stated["missing"], till.told()) == ([], [])


def test_the_close_of_an_incomplete_day_lists_what_is_missing(till: Till) -> None:
    till.came([1, 2, 5, 6, 9])
    till.close(10, first=1, last=12, count=12)
    till.look(T0)

    stated = till.day()
    assert (stated["state"], stated["missing"], stated["missing_count"]) == (
        "incomplete",
        [[3, 4], [7, 8], [11, 12]],
        6,
    )
    assert till.told() == [
        ("pos_gap/1/2026-03-02", "register 1 of S1 on 2026-03-02: 6 are missing: 3-4, 7-8, 11-12", True)
    ]


def test_what_fills_a_hole_closes_its_exception_with_the_evidence(till: Till) -> None:
    till.came([1, 2, 5])
    till.close(6)
    till.look(T0)
    till.came([3, 4], T0 + timedelta(hours=5))
    till.look(T0 + timedelta(hours=5))

    stated = till.day()
    assert (stated["state"], stated["late"], stated["transactions"]) == ("complete", 2, 6)
    assert till.told() == [("pos_gap/1/2026-03-02", "all 6 transactions from 1 to 6 are here", False)]


def test_a_hole_that_is_filled_in_time_is_nobody_s_business(till: Till) -> None:
    till.came([1, 2, 5])
    assert till.look(T0 + timedelta(seconds=20)) == 1
    assert till.day()["missing"] == [[3, 4]]
    till.came([3, 4], T0 + timedelta(minutes=59))
    till.look(T0 + timedelta(minutes=61))

    assert (till.day()["missing"], till.told()) == ([], [])


def test_a_hole_in_an_open_day_is_told_of_after_the_grace_and_once(till: Till) -> None:
    till.came([1, 2, 5])
    till.look(T0 + timedelta(seconds=20))
    assert till.told() == []

    assert till.look(T0 + timedelta(minutes=60)) == 1
    assert till.told() == [("pos_gap/1/2026-03-02", "register 1 of S1 on 2026-03-02: 2 are missing: 3-4", True)]
    assert till.day()["state"] == "open"

    till.came([6], T0 + timedelta(minutes=70))
    till.look(T0 + timedelta(minutes=71))
    assert len(till.told()) == 1


def test_what_a_person_has_closed_stays_closed_until_more_is_missing(till: Till, db: Database) -> None:
    till.came([1, 2, 5])
    till.close(6)
    till.look(T0)
    db.transaction(
        lambda tx: tx.execute("update exceptions set closed_at = now(), closed_by = 'p', evidence = 'no such sales'")
    )
    till.came([3], T0 + timedelta(hours=1))
    till.look(T0 + timedelta(hours=1))
    assert [(told, is_open) for _, told, is_open in till.told()] == [("no such sales", False)]

    till.came([9], T0 + timedelta(hours=2))
    till.look(T0 + timedelta(hours=2))
    assert till.told()[0][1:] == ("register 1 of S1 on 2026-03-02: 3 are missing: 4, 7-8", True)


def test_the_same_transaction_again_is_counted_and_harms_nothing(till: Till) -> None:
    till.came([1, 2, 3])
    till.came([2, 3], T0 + timedelta(seconds=5))
    till.close(4, T0 + timedelta(seconds=6))
    till.look(T0 + timedelta(seconds=6))

    stated = till.day()
    assert (stated["state"], stated["transactions"], stated["repeats"], stated["reused"]) == ("complete", 4, 2, 0)
    assert till.told() == []


def test_another_transaction_under_the_same_number_is_work_for_a_person(till: Till) -> None:
    till.came([1, 2, 3])
    till.came([2, 3], T0, body="other")
    till.came([2], T0, body="other")
    till.look(T0 + timedelta(seconds=20))

    assert (till.day()["transactions"], till.day()["reused"]) == (3, 3)
    assert till.told() == [
        (
            "pos_number_reused/1/2026-03-02",
            "register 1 of S1 on 2026-03-02: 3 transactions came under a number that another one has",
            True,
        )
    ]


def test_the_same_number_twice_in_one_file_is_noticed_too(till: Till, db: Database) -> None:
    counted = [Counted(mark(1), digest) for digest in (b"a", b"b", b"a", b"b")]
    db.transaction(lambda tx: pos_marks.save_many(tx, POS, counted, T0, T0))
    till.look(T0 + timedelta(seconds=20))

    assert (till.day()["transactions"], till.day()["repeats"], till.day()["reused"]) == (1, 3, 2)


def test_a_day_that_nobody_closes_is_stated_when_its_time_is_over(till: Till) -> None:
    till.came([1, 2, 4])
    till.look(T0 + timedelta(seconds=20))
    assert till.look(OVER - timedelta(seconds=1)) == 1  # the hole's grace
    assert till.day()["state"] == "open"

    assert till.look(OVER) == 1
    assert till.day()["state"] == "incomplete"
    text = "register 1 of S1 on 2026-03-02: no close came by 2026-03-03T17:00Z; so far 3 transactions, 1 is missing: 3"
    assert ("pos_day_open/1/2026-03-02", text, True) in till.told()

    till.came([3], OVER + timedelta(hours=1))
    till.close(5, OVER + timedelta(hours=1))
    till.look(OVER + timedelta(hours=1))
    assert (till.day()["state"], till.day()["late"]) == ("complete", 1)
    assert [is_open for _, _, is_open in till.told()] == [False, False]


def test_a_register_that_never_closes_is_stated_without_a_word_about_it(db: Database) -> None:
    till = Till(db, estate(closes="false"))
    till.came([1, 2, 3])
    till.look(OVER)

    assert (till.day()["state"], till.told()) == ("complete", [])


def test_transactions_without_money_count_like_all_others(till: Till) -> None:
    kinds = ["sale", "no_sale", "training", "void", "suspend", "post_void", "control", "return"]
    till.marks([mark(number, kind=kind) for number, kind in enumerate(kinds, 1)])
    till.close(9)
    till.look(T0)

    assert (till.day()["state"], till.day()["transactions"]) == ("complete", 9)


def test_numbers_run_on_over_days_and_a_hole_between_two_days_is_found(till: Till) -> None:
    tomorrow = TODAY + timedelta(days=1)
    till.came([10, 11, 12])
    till.close(13)
    till.look(T0)
    till.came([16, 17], T0 + timedelta(days=1), day=tomorrow)
    till.close(18, T0 + timedelta(days=1), day=tomorrow)
    till.look(T0 + timedelta(days=1))
    assert (till.day(tomorrow)["state"], till.day(tomorrow)["missing"]) == ("incomplete", [[14, 15]])

    till.came([14, 15], T0 + timedelta(days=1, hours=1))
    assert till.look(T0 + timedelta(days=1, hours=1)) == 1  # the day before has another end now
    assert till.look(T0 + timedelta(days=1, hours=1)) == 1
    assert till.day(tomorrow)["state"] == "complete"
    assert [(told, is_open) for told, _, is_open in till.told()] == [("pos_gap/1/2026-03-03", False)]


def test_a_whole_day_that_comes_late_fills_the_hole_behind_it(till: Till) -> None:
    days = [TODAY + timedelta(days=n) for n in range(3)]
    for place in (0, 2, 1):
        first = 10 * place + 1
        till.came(range(first, first + 9), T0 + timedelta(days=3), day=days[place])
        till.close(first + 9, T0 + timedelta(days=3), day=days[place])
        till.look(T0 + timedelta(days=3))
        if place == 2:
            assert till.day(days[2])["missing"] == [[11, 20]]
    till.look(T0 + timedelta(days=3))

    assert [till.day(day)["state"] for day in days] == ["complete"] * 3


def test_registers_and_stores_are_apart_and_a_store_s_close_closes_all(till: Till) -> None:
    till.came([1, 2], register="1")
    till.came([7, 9], register="2")
    till.close(0, register="")
    till.look(T0)

    assert [till.day(register=name)["state"] for name in ("1", "2", "")] == ["complete", "incomplete", "complete"]
    assert [told for told, _, _ in till.told()] == ["pos_gap/2/2026-03-02"]


def test_what_waits_at_the_store_s_edge_is_said_beside_what_is_missing(till: Till, db: Database) -> None:
    report = EdgeReport(1_204, T0 - timedelta(hours=2), T0 - timedelta(minutes=3))
    db.transaction(lambda tx: edges.save_many(tx, {EdgeId(POS, "S1"): report, EdgeId(POS, "S2"): report}))
    older = report._replace(waiting=9, seen_at=T0 - timedelta(hours=1))
    db.transaction(lambda tx: edges.save_many(tx, {EdgeId(POS, "S1"): older}))
    till.came([1, 3])
    till.close(4)
    till.look(T0)

    text = (
        "register 1 of S1 on 2026-03-02: 1 is missing: 2; the edge of S1 said at 2026-03-02T14:57Z that 1204 wait there,"
        " the oldest since 2026-03-02T13:00Z"
    )
    assert till.told() == [("pos_gap/1/2026-03-02", text, True)]


def test_the_owner_of_a_gap_is_the_estate_s_duty(till: Till, db: Database) -> None:
    till.came([1, 3])
    till.close(4)
    till.look(T0)

    rows = db.transaction(lambda tx: tx.query("select owner, due_at, system, times from exceptions"))
    assert rows == [("store-systems", T0 + timedelta(hours=1), "pos", 1)]


def test_two_hundred_thousand_marks_are_written_and_stated_in_bulk(db: Database) -> None:
    till = Till(db, estate())
    total, chunk = 200_000, 8_000
    lost = {n for n in range(total) if n % 1_000 == 500}
    marks = [
        Counted(mark(n // 50, register=str(n % 50), day=TODAY + timedelta(days=n // 20_000)), n.to_bytes(16))
        for n in range(total)
        if n not in lost
    ]
    began = time.process_time(), time.perf_counter()
    for start in range(0, len(marks), chunk):
        some = marks[start : start + chunk]
        db.transaction(lambda tx, some=some: pos_marks.save_many(tx, POS, some, T0, T0))  # type: ignore[misc]
    cpu_s, wall_s = time.process_time() - began[0], time.perf_counter() - began[1]
    began_looking = time.perf_counter()
    stated = 0
    while done := till.look(T0 + timedelta(days=30)):
        stated += done
    looking_s = time.perf_counter() - began_looking
    print(
        f"\n{len(marks) / wall_s:,.0f} marks/s ({len(marks) / cpu_s:,.0f} by our own CPU); {stated} days in {looking_s:.2f} s"
    )

    days = pos_marks.days(db, store="S1", limit=1_000)
    assert len(days) == 500
    assert sum(day["transactions"] for day in days) == len(marks)
    assert sum(day["missing_count"] for day in days) == len(lost)
    assert len(marks) / wall_s > 3_000


def test_a_statement_is_json_as_people_and_programs_read_it(till: Till, db: Database) -> None:
    till.came([1, 3])
    till.close(4, count=4)
    till.look(T0)
    (found,) = pos_marks.day_of_store(db, "S1", TODAY)

    assert found["kinds"] == {"close": 1, "sale": 2}
    assert msgspec.json.decode(msgspec.json.encode(found))["missing"] == [[2, 2]]
