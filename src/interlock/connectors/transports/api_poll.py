"""An HTTP API is asked for what is new, page by page, and remembered how far it was taken.

    source = ApiSource(inlet, link, db)
    source.run(stop)                 # every `every_s`, until the event is set; in a thread of its own
    source.poll(stop)                # one round: gives what it took

The watermark is in the database, and moves only when everything up to it has its outcome there. A round that was cut short
(a page that failed, the process that died) moves it no further than where records that may still be missing begin: the next
round asks for some of them again, and the ledger knows those. One process at a time asks a link.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
import structlog

from interlock.connectors.inlet import Inlet, Origin
from interlock.connectors.transports.api_client import ApiClient, Page, PageFailed, found_at, same_host
from interlock.connectors.transports.watermarks import Watermark, is_ahead, set_back, watermark
from interlock.domain.errors import StorageError
from interlock.domain.links import ApiIn
from interlock.storage.database import Database
from interlock.storage.link_positions import NotHeld, Position, Tenure

ITEMS_AT_ONCE: Final = 500
SEEN_MAX: Final = 2_000
EMPTY_PAGES_MAX: Final = 20
TROUBLE_PAUSE_S: Final = 5.0

log = structlog.get_logger(__name__)
_decode = msgspec.json.Decoder().decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Round(msgspec.Struct, kw_only=True):
    """What one round came to. `known` of the items were the very same ones as the last time, and were not taken again.

    `whole`: it came to the last page. `trouble`: why it did not.
    """

    pages: int = 0
    items: int = 0
    known: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    without_id: int = 0
    without_watermark: int = 0
    ahead: int = 0
    whole: bool = False
    unchanged: bool = False
    trouble: str = ""
    after_s: float | None = None


class ApiSource:
    """One link to one API. `run` or `poll` in one thread at a time."""

    def __init__(
        self,
        inlet: Inlet,
        link: ApiIn,
        db: Database,
        *,
        environment: Mapping[str, str] = os.environ,
        pause_first_s: float = 1.0,
    ) -> None:
        self.inlet, self.link = inlet, link
        self._system = inlet.translator.system
        self.name = link.name or link.url
        self.tenure = Tenure(db, self._system.id, f"api:{self.name}", held_s=max(60.0, 3 * link.timeout_s))
        self._client = ApiClient(link, self._system, environment, pause_first_s=pause_first_s)

    def run(self, stop: threading.Event) -> None:
        """Ask every `every_s` until the event is set; trouble is told and the next round tries again."""
        try:
            while not stop.is_set():
                pause_s = self.link.every_s
                try:
                    done = self.poll(stop)
                    if done is not None:
                        self._tell(done)
                        pause_s = max(pause_s, done.after_s or 0.0)
                except StorageError as error:
                    log.warning("api_waits", system=self._system.id, link=self.name, error=str(error))
                    pause_s = min(pause_s, TROUBLE_PAUSE_S)
                except Exception:  # one API that answers with something unheard of ends no thread
                    log.exception("api_failed", system=self._system.id, link=self.name)
                stop.wait(pause_s)
        finally:
            self.close()

    def poll(self, stop: threading.Event) -> Round | None:
        """One round; None where another process asks this link. Raises what the database raises: then nothing has moved."""
        position = self.tenure.hold(datetime.now(UTC))
        if position is None:
            return None
        try:
            return _Walk(self, position, stop).run()
        except NotHeld:
            return None

    def close(self) -> None:
        """End the connections, and let another process ask."""
        self._client.close()
        try:
            self.tenure.release()
        except StorageError as error:
            log.info("api_not_released", link=self.name, error=str(error))

    @property
    def client(self) -> ApiClient:
        """The way to the API."""
        return self._client

    def _tell(self, done: Round) -> None:
        names = {"system": self._system.id, "link": self.name, "pages": done.pages, "items": done.items}
        if done.trouble:
            log.warning("api_round_cut_short", **names, why=done.trouble)
        elif done.items:
            log.info("api_round", **names, outcomes=dict(done.outcomes))
        if done.without_id or done.without_watermark or done.ahead:
            log.warning(
                "api_odd_records",
                **names,
                without_id=done.without_id,
                without_watermark=done.without_watermark,
                ahead_of_its_clock=done.ahead,
            )


class _Walk:
    """One round on its way from page to page."""

    def __init__(self, source: ApiSource, position: Position, stop: threading.Event) -> None:
        self._source, self._link, self._stop = source, source.link, stop
        self._position = position
        self._round = Round()
        self._from = watermark(position.get("watermark"))
        resumed = position.get("resume") or {}
        self._high: Watermark | None = watermark(resumed.get("high"))
        self._below: Watermark | None = None
        """The greatest watermark seen that is less than the greatest: up to there nothing can be missing."""
        self._sorted = not resumed
        self._first_page: Watermark | None = None
        self._ids: set[str] = set()
        self._drifted = False
        self._seen_before: list[str] = position.get("seen") or []
        self._seen: dict[str, Watermark | None] = {}
        """Hashes of this round's records: asked for again, as an overlap does, the same ones are not taken again."""
        self._next: dict[str, Any] = resumed.get("next") or {"page": 1}

    def run(self) -> Round:
        """Walk to the last page, or as far as it goes, and write down how far that was."""
        resumed = self._next != {"page": 1}
        seen: set[str] = set()
        last_content = b""
        empty = 0
        page: Page | None = None
        while True:
            place = msgspec.json.encode(self._next).decode()
            if place in seen:
                return self._cut_short(f"it goes round in circles: {place[:200]} came twice")
            if len(seen) >= self._link.pages_max:
                return self._to_be_continued()
            seen.add(place)
            try:
                page = self._ask(first=len(seen) == 1 and not resumed)
                if page.is_same:
                    self._round.unchanged = self._round.whole = True
                    return self._round
                items, following = self._read(page)
            except PageFailed as failed:
                if self._link.page == "number" and len(seen) > 1 and failed.status == 404:
                    return self._come_to_the_end(None)
                if resumed and len(seen) == 1 and 400 <= failed.status < 500 and failed.status not in (401, 403, 429):
                    self._save(self._from, None)  # what we remembered of the next page is no longer known there
                self._round.after_s = failed.after_s
                return self._cut_short(str(failed))
            content = sha256(b"\0".join(items)).digest()
            if items and content == last_content:
                return self._cut_short(
                    "the next page holds the very same records: the API does not turn pages as configured"
                )
            last_content = content
            empty = 0 if items else empty + 1
            if empty > EMPTY_PAGES_MAX:
                return self._cut_short(f"{empty} pages without a record followed each other")
            self._take(items, page.server_now)
            self._round.pages += 1
            if following is None or (self._link.page == "number" and not items):
                return self._come_to_the_end(page if len(seen) == 1 and not resumed else None)
            self._next = following
            if self._source.tenure.hold(datetime.now(UTC)) is None:
                raise NotHeld(f"{self._source.name}: another process asks it now")

    # Asking

    def _ask(self, *, first: bool) -> Page:
        link = self._link
        url = self._next.get("url", link.url)
        params: dict[str, str] = {} if "url" in self._next else dict(link.params)
        if "url" not in self._next:
            since = set_back(self._from, link.overlap_s) if self._from else link.watermark_first
            if link.watermark_param and since:
                params[link.watermark_param] = since
            if link.page == "number" and link.cursor_param:
                params[link.cursor_param] = str(self._next["page"])
            elif "cursor" in self._next:
                params[link.cursor_param] = str(self._next["cursor"])
        tags = {}
        known = self._position.get("tags") or {}
        if first and known.get("asked") == _asked(url, params):
            tags = {name: known[name] for name in ("If-None-Match", "If-Modified-Since") if known.get(name)}
        self._params = params
        return self._source.client.get(url, params, self._stop, tags)

    def _read(self, page: Page) -> tuple[list[bytes], dict[str, Any] | None]:
        """The records of a page as they stand there, and how the next one is asked for. Raises PageFailed."""
        form = self._link.format
        following: dict[str, Any] | None = None
        if self._link.page == "link" and page.next_link:
            if not same_host(page.next_link, self._link.url):
                raise PageFailed(
                    f"the next page is said to be at another server ({page.next_link[:200]}): it is not asked"
                )
            following = {"url": page.next_link}
        elif self._link.page == "number":
            following = {"page": int(self._next.get("page", 1)) + 1}
        if form is not None and form.kind not in ("json", "ndjson"):
            return ([page.body] if page.body.strip() else []), following
        try:
            if form is not None and form.kind == "ndjson":
                return [line for line in page.body.splitlines() if line.strip()], following
            items = _items(page.body, self._link.items)
            if self._link.page == "cursor":
                cursor = found_at(_decode(page.body), self._link.cursor)
                following = {"cursor": cursor} if cursor not in (None, "", False) else None
        except (msgspec.MsgspecError, RecursionError) as error:
            start = page.body[:80].decode("utf-8", "replace")
            raise PageFailed(f"{page.url}: {error}; it begins with {start!r}") from error
        return items, following

    # Taking

    def _take(self, items: list[bytes], server_now: datetime) -> None:
        """Hand over a page's records; returns when each has its outcome. Raises what the database raises."""
        messages: list[tuple[bytes, Origin]] = []
        now = datetime.now(UTC)
        known = set(self._seen_before)
        for body in items:
            name, mark = self._look_at(body, server_now)
            digest = sha256(body).hexdigest()[:16]
            self._seen[digest] = mark
            if digest in known:
                self._round.known += 1
                continue
            context = {"link": self._link.name, "url": self._link.url}
            origin = Origin(name=self._source.name, received_at=now, source_message_id=name, context=context)
            messages.append((body, origin))
        for start in range(0, len(messages), ITEMS_AT_ONCE):
            for taken in self._source.inlet.take_many(messages[start : start + ITEMS_AT_ONCE]):
                self._round.outcomes.update(taken.outcomes)
        self._round.items += len(items)
        if self._first_page is None:
            self._first_page = self._high

    def _look_at(self, body: bytes, server_now: datetime) -> tuple[str | None, Watermark | None]:
        """The record's id and watermark, which is followed."""
        if self._link.format is not None and self._link.format.kind not in ("json", "ndjson"):
            return None, None
        try:
            record = _decode(body)
        except (msgspec.MsgspecError, RecursionError):
            record = None
        name = found_at(record, self._link.id)
        if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
            self._round.without_id += 1
            name = None
        mark = watermark(found_at(record, self._link.watermark)) if self._link.watermark else None
        if self._link.watermark and mark is None:
            self._round.without_watermark += 1
        elif mark is not None and is_ahead(mark, server_now):
            self._round.ahead += 1
        elif mark is not None:
            self._follow(mark)
        if name is not None:
            # A record that comes again while we turn pages has moved, and so has what was between.
            self._drifted |= str(name) in self._ids
            self._ids.add(str(name))
        return (None if name is None else str(name)[:200]), mark

    def _follow(self, mark: Watermark) -> None:
        if self._high is None or mark.rank > self._high.rank:
            self._below, self._high = self._high, mark
        elif mark.rank < self._high.rank:
            self._sorted = False

    # How far it was

    def _come_to_the_end(self, only_page: Page | None) -> Round:
        """Every page was taken: up to the greatest watermark nothing is missing."""
        self._round.whole = True
        high = self._high
        if self._link.page == "number" and self._drifted and self._round.pages > 1:
            # Records moved while we counted pages, so some may have slipped from one that was to come to one that had been.
            high = self._first_page if self._sorted else self._from
        tags = {}
        if only_page is not None and (only_page.etag or only_page.modified):
            tags = {
                "asked": _asked(self._next.get("url", self._link.url), self._params),
                "If-None-Match": only_page.etag,
                "If-Modified-Since": only_page.modified,
            }
        self._save(_greater(self._from, high), None, tags)
        return self._round

    def _cut_short(self, why: str) -> Round:
        """Some page is missing: records that sort as the last ones may be on it, so those before them are the last sure ones."""
        self._round.trouble = why
        if self._sorted and self._below is not None and not self._drifted:
            self._save(_greater(self._from, self._below), None)
        return self._round

    def _to_be_continued(self) -> Round:
        """As many pages as a round may have: the next one goes on from here, and the watermark moves at the end."""
        high = self._high.text if self._high else None
        self._save(self._from, {"next": self._next, "high": high})
        return self._round

    def _save(self, mark: Watermark | None, resume: dict[str, Any] | None, tags: dict[str, Any] | None = None) -> None:
        position: Position = {}
        if mark is not None:
            position["watermark"] = mark.text
        if resume is not None:
            position["resume"] = resume
        if tags:
            position["tags"] = tags
        if seen := self._still_seen(mark):
            position["seen"] = seen
        if position != self._position:
            self._source.tenure.move(position, datetime.now(UTC))
            self._position = position

    def _still_seen(self, mark: Watermark | None) -> list[str]:
        """The hashes of the records that the next round will be given again, as far as we keep them."""
        since = watermark(set_back(mark, self._link.overlap_s)) if mark is not None else None
        seen = [
            digest
            for digest, own in self._seen.items()
            if own is None or since is None or own.rank[0] != since.rank[0] or own.rank >= since.rank
        ]
        before = [] if self._round.whole else self._seen_before
        return list(dict.fromkeys([*before, *seen]))[-SEEN_MAX:]


def _items(body: bytes, path: str) -> list[bytes]:
    """The records in a page, each verbatim. Raises msgspec's errors where the page or the list is none."""
    raw = msgspec.Raw(body)
    for step in path.split(".") if path else ():
        inside = _members(raw)
        if step not in inside:
            raise msgspec.ValidationError(
                f"items: the page has no {step!r}, only {', '.join(list(inside)[:8]) or 'nothing'}"
            )
        raw = inside[step]
    text = bytes(raw).strip()
    if text == b"null" or not text:
        return []
    if text[:1] == b"[":
        return [bytes(each) for each in _raws(text)]
    if path and text[:1] != b"{":
        raise msgspec.ValidationError(f"items: {text[:40]!r} is not a list of records")
    msgspec.json.decode(text)
    return [text]


def _asked(url: str, params: Mapping[str, str]) -> str:
    return sha256(msgspec.json.encode([url, sorted(params.items())])).hexdigest()


def _greater(one: Watermark | None, other: Watermark | None) -> Watermark | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda mark: mark.rank)
