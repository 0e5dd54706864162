"""The feed of events on a real PostgreSQL: whole, in order per order, and the same for every reader, also while others write."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock import storage
from interlock.domain.commands import CancelOrder
from interlock.domain.errors import InvalidValue
from interlock.domain.values import OrderId, part_of
from interlock.engine.door import Door
from interlock.storage import events_feed
from interlock.storage.database import Database
from interlock.storage.events_feed import ALL_PARTS, BEGINNING, Cursor, EventRow, Page, Wanted, shares
from tests.builders import arrival, make_estate, order, stock
from tests.engine.test_batch import run_together
from tests.engine.truths import rows


def stocked(db: Database) -> Door:
    door = Door(db, make_estate())
    door.process([arrival(stock("s1", units=100_000), "wms")])
    return door


def fill(door: Door, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, 200):
        door.process([arrival(order(number)) for number in range(first, min(first + 200, numbers.stop))])


def page(db: Database, after: Cursor, limit: int, *args: object) -> Page:
    return db.transaction(lambda tx: events_feed.read_page(tx, after, limit, *args))  # type: ignore[arg-type]


def read_all(db: Database, limit: int, *args: object, after: Cursor = BEGINNING) -> list[EventRow]:
    found = []
    while True:
        read = page(db, after, limit, *args)
        assert len(read.events) <= limit
        found += read.events
        after = Cursor.of(read.cursor.token())
        if not read.more:
            return found


def ids(events: list[EventRow]) -> list[tuple[str, int]]:
    return [(event.order_id, event.seq) for event in events]


def assert_in_order(events: list[EventRow]) -> None:
    seen: dict[str, int] = defaultdict(int)
    for event in events:
        assert event.seq == seen[event.order_id] + 1, event
        seen[event.order_id] = event.seq


def test_every_event_is_numbered_in_its_part_without_a_gap_and_in_the_order_of_its_order(db: Database) -> None:
    fill(stocked(db), range(300))

    assert (
        rows(db, "select part from events group by part having max(position) <> count(*) or min(position) <> 1") == []
    )
    assert rows(db, "select count(*) > 0 from events") == [(True,)]
    wrong = "select from events as a join events as b using (part, order_id) where a.seq < b.seq and a.position > b.position"
    assert rows(db, wrong) == []


@pytest.mark.parametrize("limit", [1, 7, 64, 5_000])
def test_from_the_beginning_to_the_end_every_event_comes_once_and_in_order(db: Database, limit: int) -> None:
    fill(stocked(db), range(40))

    read = read_all(db, limit)

    assert_in_order(read)
    assert sorted(ids(read)) == rows(db, "select order_id, seq from events order by order_id, seq")


def test_nothing_is_missed_and_nothing_comes_twice_or_out_of_order_while_four_write(dsn: str) -> None:
    with Database(dsn, pool_max=8) as db:
        door = stocked(db)
        over = threading.Event()
        read: list[EventRow] = []

        def write(writer: int) -> None:
            for batch in range(12):
                first = writer * 10_000 + batch * 40
                door.process([arrival(order(number)) for number in range(first, first + 40)])
                door.process(
                    [
                        arrival(CancelOrder(order_id=OrderId(f"web:{number}"), ref="c"))
                        for number in range(first, first + 40, 2)
                    ]
                )

        def follow() -> None:
            after = BEGINNING
            while True:
                was_over = over.is_set()
                found = page(db, after, 97)
                read.extend(found.events)
                after = found.cursor
                if was_over and not found.more:
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        run_together([lambda writer=writer: write(writer) for writer in range(4)])  # type: ignore[misc]
        over.set()
        follower.join()

        assert_in_order(read)
        assert sorted(ids(read)) == rows(db, "select order_id, seq from events order by order_id, seq")
        assert len(read) > 4 * 12 * 40 * 2


def test_only_what_is_wanted_comes_and_the_cursor_goes_on_all_the_same(db: Database) -> None:
    fill(stocked(db), range(60))
    created = Wanted(types=("order.created",))

    read = read_all(db, 7, created)

    assert sorted(ids(read)) == sorted((f"web:{number}", 1) for number in range(60))
    last = page(db, BEGINNING, 5_000, created)
    assert (last.more, page(db, last.cursor, 10).events) == (False, [])
    assert read_all(db, 10, Wanted(systems=("pos",))) == []
    assert len(read_all(db, 10, Wanted(channels=("web",), systems=("web",)))) == len(read_all(db, 5_000))
    assert read_all(db, 10, Wanted(channels=("stores",))) == []


def test_readers_of_different_parts_have_everything_together(db: Database) -> None:
    fill(stocked(db), range(50))

    halves = [read_all(db, 11, Wanted(), ALL_PARTS[:32]), read_all(db, 11, Wanted(), ALL_PARTS[32:])]

    assert {event.part < 32 for event in halves[0]} == {True}
    assert sorted(ids(halves[0] + halves[1])) == sorted(ids(read_all(db, 5_000)))


def test_one_order_is_read_alone_and_its_cursor_is_as_good_as_any(db: Database) -> None:
    fill(stocked(db), range(30))
    mine = OrderId("web:7")

    first = db.transaction(lambda tx: events_feed.read_order(tx, BEGINNING, 2, mine))
    rest = db.transaction(lambda tx: events_feed.read_order(tx, first.cursor, 100, mine))

    count = rows(db, "select max(seq) from events where order_id = 'web:7'")[0][0]
    assert ids(first.events + rest.events) == [(mine, seq) for seq in range(1, count + 1)]
    assert (len(first.events), first.more, rest.more) == (2, True, False)
    assert page(db, rest.cursor, 5_000, Wanted(), [part_of(mine)]).events == []


def test_a_page_is_in_the_order_of_time_whatever_the_part(db: Database) -> None:
    door = stocked(db)
    for first in range(0, 60, 20):
        fill(door, range(first, first + 20))

    times = [event.recorded_at for event in page(db, BEGINNING, 5_000).events]

    assert times == sorted(times)


def test_an_event_has_the_trace_of_the_message_that_caused_it(db: Database) -> None:
    stocked(db).process([arrival(order(1), trace_id="0af7651916cd43dd8448eb211c80319c")])

    assert {event.trace_id for event in page(db, BEGINNING, 10).events} == {"0af7651916cd43dd8448eb211c80319c"}


@given(st.lists(st.integers(0, 2**63 - 1), min_size=64, max_size=64))
def test_a_token_stands_for_its_cursor(positions: list[int]) -> None:
    cursor = Cursor(tuple(positions))

    assert Cursor.of(cursor.token()) == cursor


@pytest.mark.parametrize(
    "token", ["", "x", "AAAA", "ä", "=" * 9, "A" * 2_000, BEGINNING.token()[:-1], BEGINNING.token().lower(), "\x00"]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidValue, match="a token of Interlock"):
        Cursor.of(token)


def test_a_token_of_another_database_is_refused(db: Database) -> None:
    ahead = BEGINNING.moved({3: 5})

    with pytest.raises(InvalidValue, match="ahead of its history"):
        page(db, ahead, 10)


@given(st.dictionaries(st.integers(0, 63), st.integers(0, 1_000)), st.integers(1, 500))
def test_shares_give_no_part_more_than_it_has_and_all_together_the_limit(backlog: dict[int, int], limit: int) -> None:
    given_ = shares(backlog, limit)

    assert all(0 < count <= backlog[part] for part, count in given_.items())
    assert sum(given_.values()) == min(limit, sum(backlog.values()))


def test_events_of_before_are_numbered_by_time_and_an_order_stays_in_its_order(empty_dsn: str) -> None:
    migrations = sorted((Path(storage.__file__).parent / "migrations").glob("*.sql"))
    with psycopg.connect(empty_dsn, autocommit=True) as old:
        for path in migrations[:7]:
            old.execute(path.read_text("utf-8"))
        for part, order_id, seq, at in [
            (1, "a", 1, "12:00"), (1, "a", 2, "11:00"), (1, "b", 1, "11:30"), (1, "a", 3, "12:30"), (2, "c", 1, "10:00")
        ]:  # fmt: skip
            old.execute(
                "insert into events (part, order_id, seq, type, body, message_id, system, recorded_at)"
                " values (%s, %s, %s, 'order.created', '{}', gen_random_uuid(), 'web', %s)",
                (part, order_id, seq, f"2026-03-01T{at}Z"),
            )
        old.execute(migrations[7].read_text("utf-8"))

        assert old.execute("select part, order_id, seq, position from events order by part, position").fetchall() == [
            (1, "b", 1, 1), (1, "a", 1, 2), (1, "a", 2, 3), (1, "a", 3, 4), (2, "c", 1, 1)
        ]  # fmt: skip
