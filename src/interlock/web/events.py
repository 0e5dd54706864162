"""`GET /v1/events`: all that happened, in pages, from any position on, as CloudEvents. docs/events.md is the page.

    after      where to go on: `next` of the page before, or beginning (the default), or now
    limit      the most events of a page, 1 to 5000
    type       names or patterns such as order.* , with commas between or given several times
    channel    only events of orders of this channel; `system`: only those that it caused; both as often as wanted
    order      only the events of one order
    parts      only these of the 64 parts, such as 0-15,20: so that several readers share the work
    wait       seconds to wait for an event where there is none yet, 20 at most

The answer is an object with `events`, `next` and `more`; for who accepts application/cloudevents-batch+json it is the array
alone, and `next` stands in the headers Link and Interlock-Next, `more` in Interlock-More.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from interlock.contracts.cloudevents import BATCH, Envelope, batch
from interlock.contracts.estate_subscriptions import EVENT_TYPES
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.values import PARTS, OrderId
from interlock.storage import events_feed
from interlock.storage.database import Database, Transaction
from interlock.storage.events_feed import ALL_PARTS, BEGINNING, Cursor, Page, Wanted
from interlock.web.callers import Callers
from interlock.web.handling import bad, limit_of
from interlock.web.problems import JSON

READS_AT_ONCE_MAX: Final = 2
WAIT_S_MAX: Final = 20.0
WAITING_MAX: Final = 100
"""So many may wait at the same time; who comes then is answered at once."""
LOOK_EVERY_S: Final = 0.25

_NAMES: Final = frozenset({"after", "limit", "type", "channel", "system", "order", "parts", "wait"})
_SEVERAL: Final = frozenset({"type", "channel", "system"})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks for; no `after` is behind all that there is now."""

    after: Cursor | None
    limit: int
    wanted: Wanted
    order: OrderId | None
    parts: tuple[int, ...]
    wait_s: float


class EventFeed:
    """The feed of events over HTTP. Whoever has a system's API key may read it, as all reads."""

    def __init__(self, db: Database, estate: Estate, callers: Callers) -> None:
        self._db, self._estate, self._callers = db, estate, callers
        self._envelope = Envelope(estate.retailer)
        self._reading = asyncio.Semaphore(READS_AT_ONCE_MAX)
        self._waiting = 0

    async def events(self, request: Request) -> Response:
        """The next page of events."""
        self._callers.system(request)
        asked = _asked(request, self._estate)
        try:
            page = await self._page(asked)
        except InvalidValue as error:
            raise bad("after", request.query_params.get("after", ""), error.expected) from None
        token = page.cursor.token()
        body = batch(page.events, self._envelope)
        more = "true" if page.more else "false"
        if BATCH in request.headers.get("accept", ""):
            headers = {
                "Link": f'<{_address(request, token)}>; rel="next"',
                "Interlock-Next": token,
                "Interlock-More": more,
            }
            return Response(body, media_type=BATCH, headers=headers)
        return Response(b'{"events":%b,"next":"%b","more":%b}' % (body, token.encode(), more.encode()), media_type=JSON)

    async def _page(self, asked: Asked) -> Page:
        page = await self._read(asked)
        if page.events or page.more or not asked.wait_s or self._waiting >= WAITING_MAX:
            return page
        until = time.monotonic() + asked.wait_s
        self._waiting += 1
        try:
            while not page.events and not page.more and (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(LOOK_EVERY_S, left))
                page = await self._read(msgspec.structs.replace(asked, after=page.cursor))
        finally:
            self._waiting -= 1
        return page

    async def _read(self, asked: Asked) -> Page:
        async with self._reading:
            return await asyncio.to_thread(self._db.transaction, lambda tx: _read(tx, asked))


def _read(tx: Transaction, asked: Asked) -> Page:
    after = events_feed.now_cursor(tx) if asked.after is None else asked.after
    if asked.order is not None:
        return events_feed.read_order(tx, after, asked.limit, asked.order, asked.wanted)
    return events_feed.read_page(tx, after, asked.limit, asked.wanted, asked.parts)


def _asked(request: Request, estate: Estate) -> Asked:
    """The request's parameters. Raises ProblemRaised for one that is unknown, wrong or given twice."""
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in _NAMES:
            raise bad(name, value, f"one of {', '.join(sorted(_NAMES))}")
        if "\0" in value:
            raise bad(name, value, "text without control characters")
        if name in given and name not in _SEVERAL:
            raise bad(name, value, "it once")
        given.setdefault(name, []).extend(value.split(",") if name in _SEVERAL else [value])
    one = {name: values[0] for name, values in given.items() if values[0]}
    try:
        after = {"beginning": BEGINNING, "now": None}.get(word := one.get("after", "beginning"), BEGINNING)
        if word not in ("beginning", "now"):
            after = Cursor.of(word)
    except InvalidValue as error:
        raise bad("after", one["after"], error.expected) from None
    return Asked(
        after=after,
        limit=limit_of(one),
        wanted=Wanted(
            types=_types(given["type"]) if any(given.get("type", ())) else None,
            systems=_known("system", given, estate.systems),
            channels=_known("channel", given, estate.channels),
        ),
        order=OrderId(one["order"]) if "order" in one else None,
        parts=_parts(one["parts"]) if "parts" in one else ALL_PARTS,
        wait_s=_seconds(one.get("wait", "0")),
    )


def _types(patterns: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for pattern in filter(None, (each.strip() for each in patterns)):
        fitting = [each for each in EVENT_TYPES if fnmatchcase(each, pattern)]
        if not fitting:
            raise bad("type", pattern, f"a name or a pattern of {', '.join(EVENT_TYPES)}")
        found |= dict.fromkeys(fitting)
    return tuple(found)


def _known(name: str, given: Mapping[str, list[str]], known: Iterable[str]) -> tuple[str, ...] | None:
    asked = tuple(filter(None, (each.strip() for each in given.get(name, ()))))
    for each in asked:
        if each not in set(known):
            raise bad(name, each, f"one of {', '.join(known)}")
    return asked or None


def _parts(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for piece in text.split(","):
        first, _, last = piece.strip().partition("-")
        numbers = (first, last or first)
        if not all(each.isascii() and each.isdigit() and len(each) <= 2 and int(each) < PARTS for each in numbers):
            raise bad("parts", text, f"numbers from 0 to {PARTS - 1} and ranges of them, such as 0-15,20")
        found |= set(range(int(numbers[0]), int(numbers[1]) + 1))
    if not found:
        raise bad("parts", text, "ranges that begin with the lower number")
    return tuple(sorted(found))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= WAIT_S_MAX:
        raise bad("wait", text, f"seconds from 0 to {WAIT_S_MAX:g}")
    return seconds


def _address(request: Request, token: str) -> str:
    """The address of the next page: this one from the token on."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in [*pairs, ("after", token)])
    return f"{request.url.path}?{query}"
