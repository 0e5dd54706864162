"""An HTTP API with the habits of real ones, on a real socket: nothing is lost, asked too fast, or goes on for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.api_poll import ApiSource, Round
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable
from interlock.domain.estate import Limits
from interlock.domain.links import ApiIn
from interlock.domain.values import SystemId
from interlock.storage import link_positions
from interlock.storage.database import Database
from tests.conformance.carriers import estate_with
from tests.servers.partner import Asked, Partner, Reply, partner

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Door:
    """Takes everything; may be away after so many calls."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.calls_left: int | None = None

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise DatabaseUnavailable("away")
        self.arrivals += arrivals
        return [Outcome(message_id=a.message_id, outcome="quarantined" if a.problem else "processed") for a in arrivals]

    @property
    def refs(self) -> list[str]:
        return [str(each.source_message_id) for each in self.arrivals]


class Api:
    """A link to a partner's API, and what was taken by it."""

    def __init__(self, db: Database, url: str, limits: Limits | None, **how: Any) -> None:
        usual: dict[str, Any] = {"name": "api", "mapping": "adjustments", "id": "ref", "requests_per_s": 500.0}
        self.link = ApiIn(url=f"{url}/records", **(usual | how))
        self.estate = estate_with(self.link)
        if limits is not None:
            system = msgspec.structs.replace(self.estate.systems[SystemId("wms")], limits=limits)
            self.estate = msgspec.structs.replace(self.estate, systems={**self.estate.systems, system.id: system})
        self.door = Door()
        self.db = db
        self.stop = threading.Event()
        self.environment: dict[str, str] = {}

    def source(self) -> ApiSource:
        system = self.estate.systems[SystemId("wms")]
        inlet = Links(self.estate, Mapper(self.estate), self.door).inlet(system, self.link)
        return ApiSource(inlet, self.link, self.db, environment=self.environment, pause_first_s=0.01)

    def poll(self) -> Round:
        """One round of a process that begins and ends with it."""
        source = self.source()
        try:
            done = source.poll(self.stop)
        finally:
            source.close()
        assert done is not None
        return done

    @property
    def position(self) -> dict[str, Any]:
        return self.db.transaction(lambda tx: link_positions.look(tx, SystemId("wms"), "api:api"))[0]


Start = Callable[..., tuple[Api, Partner]]


@pytest.fixture
def start(db: Database) -> Iterator[Start]:
    """A partner's API that answers as told, and our link to it."""
    running: list[Any] = []

    def begin(answer: Callable[[Asked], Reply], *, limits: Limits | None = None, **how: Any) -> tuple[Api, Partner]:
        context = partner(answer)
        running.append(context)
        there = context.__enter__()
        return Api(db, there.url, limits, **how), there

    yield begin
    for context in running:
        context.__exit__(None, None, None)


def record(number: int, **more: Any) -> dict[str, Any]:
    at = (T0 + timedelta(minutes=number)).isoformat().replace("+00:00", "Z")
    return {"ref": f"r{number}", "sku": "s1", "delta": 1, "changed": at, **more}


def reply(records: Sequence[dict[str, Any]], **headers: str) -> Reply:
    return Reply(json.dumps(list(records)).encode(), 200, headers)


def since(records: Sequence[dict[str, Any]], asked: Asked) -> list[dict[str, Any]]:
    return [each for each in records if each["changed"] >= asked.query.get("since", "")]


BY_TIME: dict[str, Any] = {"watermark": "changed", "watermark_param": "since"}


def test_pages_are_walked_by_the_link_header(start: Start) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("page", "1"))
        link = {"Link": f'</records?page={page + 1}>; rel="next"'} if page < 3 else {}
        return reply([record(page * 10 + n) for n in range(3)], **link)

    api, there = start(answer, page="link")
    done = api.poll()

    assert (done.pages, done.items, done.whole, done.trouble) == (3, 9, True, "")
    assert api.door.refs == [f"r{page}{n}" for page in (1, 2, 3) for n in range(3)]
    assert [asked.query.get("page") for asked in there.asked] == [None, "2", "3"]


def test_our_token_is_not_carried_to_another_server(start: Start) -> None:
    api, there = start(
        lambda _: reply([record(1)], Link='<http://127.0.0.1:9/records>; rel="next"'), page="link", token_env="TOKEN"
    )
    api.environment = {"TOKEN": "secret"}
    done = api.poll()

    assert there.asked[0].headers["authorization"] == "Bearer secret"
    assert "at another server" in done.trouble
    assert (len(there.asked), api.door.refs) == (1, [])


def test_numbered_pages_end_with_an_empty_one_or_with_404(start: Start) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.query["p"])
        return reply([record(page)]) if page < 3 else Reply(b"{}", 404)

    api, _ = start(answer, page="number", cursor_param="p")
    done = api.poll()

    assert (done.whole, api.door.refs) == (True, ["r1", "r2"])


def test_the_watermark_moves_when_the_walk_is_whole_and_is_asked_from_the_next_time(start: Start) -> None:
    records = [record(n) for n in range(1, 6)]
    api, there = start(lambda asked: reply(since(records, asked)), **BY_TIME, watermark_first="2026-01-01T00:00:00Z")
    first = api.poll()
    again = api.poll()
    records += [record(6), record(7)]
    api.poll()

    assert [asked.query["since"] for asked in there.asked] == [
        "2026-01-01T00:00:00Z",
        "2026-03-01T12:05:00Z",
        "2026-03-01T12:05:00Z",
    ]
    assert (first.items, again.items, again.known) == (5, 1, 1)
    assert api.door.refs == [f"r{n}" for n in range(1, 8)]
    assert api.position["watermark"] == "2026-03-01T12:07:00Z"


def test_an_overlap_finds_what_was_filed_late_and_takes_nothing_twice(start: Start) -> None:
    records = [record(n) for n in range(1, 4)]
    api, there = start(lambda asked: reply(since(records, asked)), **BY_TIME, overlap_s=120)
    api.poll()
    records.insert(0, record(2, ref="late"))
    done = api.poll()

    assert there.asked[1].query["since"] == "2026-03-01T12:01:00Z"
    assert (done.items, done.known) == (4, 3)
    assert api.door.refs == ["r1", "r2", "r3", "late"]


def test_a_page_that_fails_holds_the_watermark_before_what_may_be_on_it(start: Start) -> None:
    broken = True

    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("page", "1"))
        if page == 2 and broken:
            return Reply(b'[{"ref": "r3", ', 200)
        # Records 2 and 3 were changed at the same moment, and lie on two pages.
        pages = {1: [record(1), record(2)], 2: [record(2, ref="r3"), record(4)]}
        return reply(pages.get(page, []))

    api, _ = start(answer, page="number", cursor_param="page", **BY_TIME)
    done = api.poll()

    assert "it begins with" in done.trouble
    assert api.position["watermark"] == "2026-03-01T12:01:00Z"  # not 12:02: another one of 12:02 is missing
    broken = False
    api.poll()
    assert api.door.refs == ["r1", "r2", "r3", "r4"]
    assert api.position["watermark"] == "2026-03-01T12:04:00Z"


def test_records_in_no_order_move_the_watermark_only_by_a_whole_walk(start: Start) -> None:
    broken = True

    def answer(asked: Asked) -> Reply:
        if asked.query.get("page", "1") == "1":
            return reply([record(9), record(3)])
        return Reply(b"oops", 500) if broken else reply([record(5)] if asked.query["page"] == "2" else [])

    api, _ = start(answer, page="number", cursor_param="page", **BY_TIME)
    api.poll()
    assert api.position == {}

    broken = False
    api.poll()
    assert api.position["watermark"] == "2026-03-01T12:09:00Z"


def test_records_that_move_between_pages_while_we_turn_them_are_not_lost(start: Start) -> None:
    records = [record(n) for n in range(1, 5)]
    asked_for = 0

    def answer(asked: Asked) -> Reply:
        nonlocal asked_for
        asked_for += 1
        if asked_for == 2:  # r1 is changed after the first page was read: r3 slips to the first page
            records.append({**records.pop(0), "changed": "2026-03-01T12:30:00Z"})
        page = int(asked.query["page"])
        return reply(since(records, asked)[(page - 1) * 2 : page * 2])

    api, _ = start(answer, page="number", cursor_param="page", **BY_TIME)
    api.poll()
    assert "r3" not in api.door.refs

    api.poll()
    assert set(api.door.refs) == {"r1", "r2", "r3", "r4"}
    assert api.position["watermark"] == "2026-03-01T12:30:00Z"


def test_while_our_database_is_away_the_watermark_stays(start: Start) -> None:
    records = [record(n) for n in range(1, 4)]
    api, _ = start(lambda asked: reply(since(records, asked)), **BY_TIME)
    api.door.calls_left = 0
    with pytest.raises(DatabaseUnavailable):
        api.poll()

    assert (api.position, api.door.refs) == ({}, [])
    api.door.calls_left = None
    api.poll()
    assert api.door.refs == ["r1", "r2", "r3"]


def test_a_record_that_cannot_be_mapped_is_quarantined_and_does_not_hold_the_watermark(start: Start) -> None:
    api, _ = start(lambda asked: reply(since([record(1), record(2, delta="many"), record(3)], asked)), **BY_TIME)
    done = api.poll()

    assert done.outcomes == {"processed": 2, "quarantined": 1}
    assert api.position["watermark"] == "2026-03-01T12:03:00Z"


def test_a_page_without_news_is_not_sent_again(start: Start) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"v1"':
            return Reply(b"", 304)
        return reply([record(1)], ETag='"v1"', **{"Last-Modified": format_datetime(T0, usegmt=True)})

    api, there = start(answer)
    first, second = api.poll(), api.poll()

    assert (first.unchanged, second.unchanged) == (False, True)
    assert there.asked[1].headers["if-modified-since"] == "Sun, 01 Mar 2026 12:00:00 GMT"
    assert api.door.refs == ["r1"]


def test_the_same_page_without_tags_is_not_taken_again(start: Start) -> None:
    api, _ = start(lambda _: reply([record(1), record(2)]))
    api.poll()
    done = api.poll()

    assert (done.items, done.known) == (2, 2)
    assert api.door.refs == ["r1", "r2"]


def test_429_is_waited_out_and_asked_again(start: Start) -> None:
    answers = [Reply(b"", 429, {"Retry-After": "1"}), Reply(b"", 503), reply([record(1)])]
    api, there = start(lambda _: answers.pop(0))
    done = api.poll()

    assert (done.whole, len(there.asked)) == (True, 3)
    assert there.asked[1].at - there.asked[0].at >= 0.99


def test_a_long_retry_after_ends_the_round_and_is_heeded(start: Start) -> None:
    api, there = start(lambda _: Reply(b"", 429, {"Retry-After": "3600"}))
    done = api.poll()

    assert (done.after_s, len(there.asked)) == (3600.0, 1)


def test_requests_keep_their_pace_even_from_page_to_page(start: Start) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("page", "1"))
        return reply([record(page)] if page < 6 else [])

    api, there = start(answer, page="number", cursor_param="page", requests_per_s=20.0)
    api.poll()

    gaps = [after.at - before.at for before, after in zip(there.asked, there.asked[1:], strict=False)]
    assert len(gaps) == 5
    assert min(gaps) >= 0.04  # 50 ms between the beginnings, less what the loopback takes


@pytest.mark.parametrize("page", ["cursor", "link"])
def test_a_server_that_names_the_same_next_page_for_ever_is_cut_off(start: Start, page: str) -> None:
    api, there = start(
        lambda asked: Reply(
            json.dumps({"data": [record(len(there.asked))], "next": "x"}).encode(),
            200,
            {"Link": '</records?a=1>; rel="next"'},
        ),
        items="data",
        page=page,
        cursor="next",
        cursor_param="after",
    )
    done = api.poll()

    assert "in circles" in done.trouble
    assert len(there.asked) == 2


def test_a_server_that_ignores_the_pages_number_is_cut_off(start: Start) -> None:
    api, there = start(lambda _: reply([record(1), record(2)]), page="number", cursor_param="page")
    done = api.poll()

    assert "the very same records" in done.trouble
    assert (len(there.asked), api.door.refs) == (2, ["r1", "r2"])


def test_empty_pages_without_an_end_are_cut_off(start: Start) -> None:
    api, there = start(
        lambda _: Reply(json.dumps({"data": [], "next": len(there.asked)}).encode()),
        items="data", page="cursor", cursor="next", cursor_param="after",
    )  # fmt: skip
    assert "21 pages without a record" in api.poll().trouble


def test_a_round_of_too_many_pages_goes_on_in_the_next_one(start: Start) -> None:
    def answer(asked: Asked) -> Reply:
        cursor = int(asked.query.get("after", "0"))
        following = cursor + 1 if cursor < 6 else None
        return Reply(json.dumps({"data": [record(9 - cursor)], "next": following}).encode())

    api, there = start(answer, items="data", page="cursor", cursor="next", cursor_param="after", pages_max=3, **BY_TIME)
    rounds = [api.poll().pages for _ in range(3)]

    assert rounds == [3, 3, 1]
    assert [asked.query.get("after") for asked in there.asked] == [None, "1", "2", "3", "4", "5", "6"]
    assert api.position["watermark"] == "2026-03-01T12:09:00Z"


def test_a_page_that_is_too_large_is_refused_before_it_is_held(start: Start) -> None:
    api, _ = start(lambda _: reply([record(n) for n in range(200)]), limits=Limits(body_bytes_max=5_000))
    done = api.poll()

    assert "a page of more than 5000 bytes (limits.body_bytes_max of wms)" in done.trouble
    assert api.door.refs == []


def test_a_page_that_is_no_list_is_told_with_what_it_holds(start: Start) -> None:
    api, _ = start(lambda _: Reply(b'{"errors": "maintenance"}'), items="data.orders")
    done = api.poll()

    assert "the page has no 'data', only errors" in done.trouble


def test_records_without_id_or_watermark_are_taken_and_told(start: Start) -> None:
    bare = {"ref": None, "sku": "s1", "delta": 1}
    api, _ = start(lambda _: reply([record(1), bare]), **BY_TIME)
    done = api.poll()

    assert (done.without_id, done.without_watermark, done.items) == (1, 1, 2)
    assert api.position["watermark"] == "2026-03-01T12:01:00Z"


def test_a_time_far_ahead_of_the_servers_clock_does_not_blind_us(start: Start) -> None:
    api, _ = start(lambda _: reply([record(1), record(2, changed="2099-01-01T00:00:00Z")]), **BY_TIME)
    done = api.poll()

    assert (done.ahead, done.items) == (1, 2)
    assert api.position["watermark"] == "2026-03-01T12:01:00Z"


def test_a_cursor_that_the_server_has_forgotten_is_dropped(start: Start) -> None:
    expired = False

    def answer(asked: Asked) -> Reply:
        cursor = asked.query.get("after")
        if expired and cursor:
            return Reply(b"", 410)
        return Reply(json.dumps({"data": [record(int(cursor or 0))], "next": str(int(cursor or 0) + 1)}).encode())

    api, _ = start(answer, items="data", page="cursor", cursor="next", cursor_param="after", pages_max=2, **BY_TIME)
    api.poll()
    assert api.position["resume"]["next"] == {"cursor": "2"}

    expired = True
    api.poll()
    assert "resume" not in api.position


def test_a_missing_token_is_named_and_nothing_is_asked(start: Start) -> None:
    api, there = start(lambda _: reply([]), token_env="SHOP_TOKEN")
    done = api.poll()

    assert "set the environment variable SHOP_TOKEN" in done.trouble
    assert there.asked == []


def test_two_processes_do_not_ask_the_same_link(start: Start) -> None:
    api, there = start(lambda _: reply([record(1)]))
    one, other = api.source(), api.source()
    assert one.poll(api.stop) is not None

    assert other.poll(api.stop) is None
    assert len(there.asked) == 1
    one.close()
    assert other.poll(api.stop) is not None
    other.close()


def test_a_stop_is_heeded_while_we_wait_for_our_turn(start: Start) -> None:
    api, there = start(lambda _: Reply(b"", 429, {"Retry-After": "60"}))
    thread = threading.Thread(target=api.source().run, args=(api.stop,))
    thread.start()
    while not there.asked:
        pass
    api.stop.set()
    thread.join(timeout=10)

    assert (thread.is_alive(), len(there.asked)) == (False, 1)
