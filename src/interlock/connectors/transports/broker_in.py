"""Messages of a broker come in: as many as wait are one batch, and are acknowledged when its transaction is committed.

    source = BrokerSource(inlet, link, db)
    source.run(stop)              # until the event is set; to be run in a thread of its own

    broker ─▶ queue of at most `batch_max` ─▶ Inlet.take_many ─▶ commit ─▶ acknowledged

At least once: a process that dies between the commit and the acknowledgment gets the same messages again, and the ledger
knows their actions. What cannot be read is kept as quarantined and acknowledged, so that it holds nobody up. While the
database is away nothing is acknowledged; the batch in hand is tried again, in its order, until it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Final, NamedTuple

import structlog

from interlock.connectors.inlet import Inlet, Origin, Taken
from interlock.connectors.receive import trace_id_of
from interlock.connectors.transports.brokers import REDELIVER_S, Message, Wire, open_wire, place_of
from interlock.domain.errors import InterlockError, StorageError
from interlock.domain.links import BrokerIn
from interlock.storage.database import Database
from interlock.storage.link_positions import Tenure

BATCH_BYTES_MAX: Final = 8 * 1024 * 1024
WAIT_S: Final = 0.2
LINGER_S: Final = 0.005
ALIVE_EVERY_S: Final = 5.0
OPEN_S_MAX: Final = 20.0
PAUSE_FIRST_S: Final = 0.5
PAUSE_S_MAX: Final = 15.0
CLOSE_S_MAX: Final = 10.0

log = structlog.get_logger(__name__)


class BrokerGone(InterlockError):
    """The broker does not answer any more, or does not give us messages."""


class Counts(NamedTuple):
    """What a source has taken since it began: messages, and their records by outcome."""

    messages: int
    outcomes: Counter[str]


class BrokerSource:
    """One link to a broker. `run` in one thread at a time."""

    def __init__(
        self,
        inlet: Inlet,
        link: BrokerIn,
        db: Database,
        *,
        environment: Mapping[str, str] = os.environ,
        redeliver_s: float = REDELIVER_S,
        pause_first_s: float = PAUSE_FIRST_S,
    ) -> None:
        self.inlet, self.link = inlet, link
        self.name = link.name or link.topic
        self._system = inlet.translator.system
        self._environment = environment
        self._redeliver_s, self._pause_first_s = redeliver_s, pause_first_s
        self._tenure = Tenure(db, self._system.id, f"broker:{self.name}", held_s=2 * redeliver_s)
        self._taken = Counts(0, Counter())

    @property
    def taken(self) -> Counts:
        """What was taken since this object was made."""
        return self._taken

    def run(self, stop: threading.Event) -> None:
        """Take what comes until the event is set; a broker or database that is away is waited for, with growing pauses."""
        pause_s = self._pause_first_s
        while not stop.is_set():
            began = monotonic()
            try:
                asyncio.run(self._session(stop))
            except Exception as error:  # clients of five brokers raise what they like
                if monotonic() - began > PAUSE_S_MAX:
                    pause_s = self._pause_first_s
                log.warning("broker_waits", **self._names(), error=f"{type(error).__name__}: {error}", pause_s=pause_s)
                stop.wait(pause_s)
                pause_s = min(PAUSE_S_MAX, pause_s * 2)

    async def _session(self, stop: threading.Event) -> None:
        """One connection, until it breaks or the event is set."""
        wire = open_wire(
            self.link,
            self._url(),
            owner=f"interlock-{socket.gethostname()}",
            session=re.sub(r"[^\w.-]+", "-", f"{self.link.group}.{self._system.id}.{self.name}"),
            redeliver_s=self._redeliver_s,
        )
        if wire.exclusive and not await self._alone(stop):
            return
        queue = _Queue(self.link.batch_max)
        try:
            async with asyncio.timeout(OPEN_S_MAX):
                await wire.open(queue.give)
            log.info("broker_connected", **self._names())
            await self._serve(wire, queue, stop)
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S_MAX):
                    await wire.give_back(queue.left())
            queue.close()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(CLOSE_S_MAX):
                    await wire.close()
            if wire.exclusive:
                with contextlib.suppress(StorageError):
                    await asyncio.to_thread(self._tenure.release)

    async def _serve(self, wire: Wire, queue: _Queue, stop: threading.Event) -> None:
        looked_at = heard_at = monotonic()
        while not stop.is_set():
            batch = await queue.batch(self.link.batch_max)
            if batch:
                try:
                    await self._take(wire, batch, stop)
                except BaseException:
                    with contextlib.suppress(Exception):
                        await wire.give_back(batch)
                    raise
                await wire.settle(batch)
                queue.settled(batch)
                heard_at = monotonic()
            if monotonic() - looked_at > (min(ALIVE_EVERY_S, self._redeliver_s) if wire.exclusive else ALIVE_EVERY_S):
                looked_at = monotonic()
                # Not while messages come: the answer to a question would wait behind them.
                if monotonic() - heard_at > ALIVE_EVERY_S and not await wire.is_alive():
                    raise BrokerGone("it does not answer")
                if wire.exclusive and await asyncio.to_thread(self._tenure.hold, datetime.now(UTC)) is None:
                    raise BrokerGone("another process reads this link now")

    async def _alone(self, stop: threading.Event) -> bool:
        """Wait until no other process reads the link; False where we are told to stop before that."""
        while not stop.is_set():
            if await asyncio.to_thread(self._tenure.hold, datetime.now(UTC)) is not None:
                return True
            await asyncio.sleep(WAIT_S)
        return False

    async def _take(self, wire: Wire, batch: list[Message], stop: threading.Event) -> None:
        """Return when the whole batch is committed; meanwhile the broker is told that we are at it."""
        holding = asyncio.create_task(self._hold(wire, batch))
        pause_s = self._pause_first_s
        try:
            while True:
                try:
                    return self._count(batch, await asyncio.to_thread(self._put, batch))
                except StorageError as error:
                    log.warning("broker_holds", **self._names(), messages=len(batch), error=str(error))
                if stop.is_set():
                    raise BrokerGone("stopped while the database was away: nothing of the batch is acknowledged")
                await asyncio.sleep(pause_s)
                pause_s = min(PAUSE_S_MAX, pause_s * 2)
        finally:
            holding.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await holding

    async def _hold(self, wire: Wire, batch: list[Message]) -> None:
        while True:
            await asyncio.sleep(self._redeliver_s / 3)
            await wire.hold(batch)

    def _put(self, batch: Sequence[Message]) -> list[Taken]:
        now = datetime.now(UTC)
        return self.inlet.take_many([(message.body, self._origin(message, now)) for message in batch])

    def _origin(self, message: Message, now: datetime) -> Origin:
        context = {"topic": message.topic, "headers": dict(message.headers)}
        if message.key:
            context["key"] = message.key
        if message.message_id is not None:
            context["message_id"] = message.message_id
        return Origin(
            name=message.topic,
            received_at=now,
            source_message_id=message.message_id,
            trace_id=trace_id_of(message.headers.get("traceparent")),
            context=context,
        )

    def _count(self, batch: list[Message], taken: list[Taken]) -> None:
        outcomes = Counter(self._taken.outcomes)
        for each in taken:
            outcomes.update(each.outcomes)
        self._taken = Counts(self._taken.messages + len(batch), outcomes)
        if any(each.rejected for each in taken):
            reasons: Counter[str] = sum((each.rejected for each in taken), Counter())
            log.info("broker_unreadable", **self._names(), reasons=dict(reasons))

    def _url(self) -> str:
        url = self._environment.get(self.link.url_env, "").strip()
        if not url:
            raise BrokerGone(
                f"{self.link.url_env}: this environment variable is not set; expected the broker's address"
            )
        return url

    def _names(self) -> dict[str, str]:
        url = self._environment.get(self.link.url_env, "")
        return {"system": self._system.id, "link": self.name, "broker": place_of(url.split(",")[0]) if url else "-"}


class _Queue:
    """Between the broker's client, which puts messages in, and the batches. It holds one batch; the client waits for room."""

    def __init__(self, size: int) -> None:
        self._waiting: asyncio.Queue[Message] = asyncio.Queue(size)
        self._unsettled = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    async def give(self, messages: list[Message], until_settled: bool) -> None:
        """Put them in; `until_settled` returns only when nothing is in hand any more."""
        if self._closed:
            raise BrokerGone("the connection is being ended")
        self._unsettled += len(messages)
        self._idle.clear()
        for message in messages:
            await self._waiting.put(message)
        if until_settled:
            await self._idle.wait()

    async def batch(self, count_max: int) -> list[Message]:
        """What waits, in its order: as soon as there is something; empty after a short while without."""
        try:
            async with asyncio.timeout(WAIT_S):
                found = [await self._waiting.get()]
        except TimeoutError:
            return []
        size = len(found[0].body)
        with contextlib.suppress(TimeoutError):
            while len(found) < count_max and size < BATCH_BYTES_MAX:
                if self._waiting.empty():
                    async with asyncio.timeout(LINGER_S):
                        found.append(await self._waiting.get())
                else:
                    found.append(self._waiting.get_nowait())
                size += len(found[-1].body)
        return found

    def settled(self, messages: Sequence[Message]) -> None:
        """They are acknowledged."""
        self._unsettled -= len(messages)
        if self._unsettled == 0:
            self._idle.set()

    def left(self) -> list[Message]:
        """What was never begun."""
        found = []
        while not self._waiting.empty():
            found.append(self._waiting.get_nowait())
        return found

    def close(self) -> None:
        """Let those who wait go on; nothing more is put in."""
        self._closed = True
        self._idle.set()
