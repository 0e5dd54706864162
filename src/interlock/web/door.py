"""From many waiting requests to few transactions: what arrives is batched by part and handed to the engine.

    batcher = Batcher(engine_door)
    batcher.start()                                   # in the event loop that serves
    outcome = await batcher.process(arrival)          # returns after the commit
    await batcher.close()                             # takes nothing new, finishes what waits

A request alone goes at once: nobody waits for a batch to fill. While the worker threads are busy, what
arrives gathers, and the next batch is as large as the wait was long. A transaction touches one part, so a
batch holds one part, and no part is in two batches at a time: what was asked of one order in a row is done in
that order.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import structlog

from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import InterlockError
from interlock.domain.values import SystemId, part_of

Kind = Literal["process", "accept", "open_keys", "first_seen"]
Group = tuple[Kind, int]
KeyRequest = tuple[SystemId, str, bytes]
FirstSeen = Callable[[Sequence[tuple[SystemId, str]]], "list[datetime | None]"]
"""When each request key (system, key) came first; None where it did not come yet."""

log = structlog.get_logger(__name__)


class EngineDoor(Protocol):
    """What the edge asks of the engine: blocking calls on many at once, each answered in the order given."""

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep, decide and commit."""

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep and commit; decided later."""

    def open_keys(self, requests: Sequence[KeyRequest]) -> list[bool]:
        """Whether each Idempotency-Key stands for this payload: False if it stood for another one before."""


class Busy(InterlockError):
    """More is waiting than the limit allows, or the service is stopping: the sender should try again later."""

    def __init__(self, explanation: str, retry_after_s: int = 1) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(explanation)


class _Waiting(NamedTuple):
    item: Any
    future: asyncio.Future[Any]


class Batcher:
    """Batches what the event loop's requests ask, and runs it in `threads` threads.

    `waiting_max` bounds what is in hand, queued or running; beyond it a request is refused with Busy.
    `first_seen` is asked of signed requests that may come again for a limited time only.
    """

    def __init__(
        self,
        door: EngineDoor,
        *,
        first_seen: FirstSeen = lambda keys: [None] * len(keys),
        threads: int = 2,
        batch_commands_max: int = 400,
        waiting_max: int = 5_000,
    ) -> None:
        self._run: dict[Kind, Callable[[Any], list[Any]]] = {
            "process": door.process,
            "accept": door.accept,
            "open_keys": door.open_keys,
            "first_seen": first_seen,
        }
        self._batch_commands_max = batch_commands_max
        self._waiting_max = waiting_max
        self._queues: dict[Group, deque[_Waiting]] = {}
        """What waits, by kind and part; the group whose first has waited longest comes first."""
        self._running: set[Group] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._in_hand = 0
        self._room = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"batcher-{number}", daemon=True)
            for number in range(1, threads + 1)
        ]

    def start(self) -> None:
        """Start the threads; to be called in the event loop that will wait for the outcomes."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def close(self) -> None:
        """Take nothing new, finish what waits, and end the threads."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                await asyncio.to_thread(thread.join)

    @property
    def in_hand(self) -> int:
        """How many requests wait or run."""
        return self._in_hand

    async def process(self, arrival: Arrival) -> Outcome:
        """What became of the arrival, once that is committed. Raises Busy, or what the engine raises."""
        outcome: Outcome = await self._put("process", _part(arrival), arrival)
        return outcome

    async def accept(self, arrival: Arrival) -> Outcome:
        """Keep the arrival for a worker, and return once that is committed. Raises Busy, or what the engine
        raises.
        """
        outcome: Outcome = await self._put("accept", _part(arrival), arrival)
        return outcome

    async def open_key(self, system: SystemId, request_key: str, payload_hash: bytes) -> bool:
        """Whether this Idempotency-Key stands for this payload; it does from now on if it is new."""
        # One group for all parts: each key is a row of its own, written in one order.
        allowed: bool = await self._put("open_keys", 0, (system, request_key, payload_hash))
        return allowed

    async def first_seen(self, system: SystemId, request_key: str) -> datetime | None:
        """When this request key came first, None if it did not come yet."""
        at: datetime | None = await self._put("first_seen", 0, (system, request_key))
        return at

    async def room(self, count: int) -> None:
        """Wait until `count` more may be put, so that a bulk request fills the queue without being refused."""
        while 0 < self._in_hand > self._waiting_max - count and not self._closing:
            self._room.clear()
            await self._room.wait()

    def _put(self, kind: Kind, part: int, item: Any) -> asyncio.Future[Any]:
        if self._loop is None:
            raise AssertionError("the batcher was not started")
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._in_hand >= self._waiting_max:
            raise Busy(f"{self._waiting_max} requests wait already")
        with self._changed:
            if self._closing:
                raise Busy("the service is stopping", retry_after_s=5)
            self._queues.setdefault((kind, part), deque()).append(_Waiting(item, future))
            self._changed.notify()
        self._in_hand += 1
        return future

    # In the threads

    def _work(self) -> None:
        while True:
            with self._changed:
                group = self._next_group()
                while group is None:
                    if self._closing and not self._queues:
                        return
                    self._changed.wait()
                    group = self._next_group()
                batch = self._take(group)
            self._answer(group[0], batch)
            with self._changed:
                self._running.discard(group)
                self._changed.notify_all()  # the same group may wait again, and so may the end

    def _next_group(self) -> Group | None:
        for group in self._queues:
            if group not in self._running:
                return group
        return None

    def _take(self, group: Group) -> list[_Waiting]:
        waiting = self._queues.pop(group)
        batch = [waiting.popleft() for _ in range(min(len(waiting), self._batch_commands_max))]
        if waiting:
            self._queues[group] = waiting  # at the end: the other parts have waited too
        self._running.add(group)
        return batch

    def _answer(self, kind: Kind, batch: list[_Waiting]) -> None:
        try:
            answers = self._run[kind]([waiting.item for waiting in batch])
            if len(answers) != len(batch):
                raise AssertionError(f"the engine gave {len(answers)} answers to {len(batch)} requests")
        except Exception as error:
            log.error("batch_failed", kind=kind, commands=len(batch), error=f"{type(error).__name__}: {error}")
            self._hand_back(batch, None, error)
        else:
            self._hand_back(batch, answers, None)

    def _hand_back(self, batch: list[_Waiting], answers: list[Any] | None, error: Exception | None) -> None:
        assert self._loop is not None
        # One wake-up of the event loop for the whole batch.
        self._loop.call_soon_threadsafe(self._resolve, batch, answers, error)

    def _resolve(self, batch: list[_Waiting], answers: list[Any] | None, error: Exception | None) -> None:
        self._in_hand -= len(batch)
        self._room.set()
        for place, (_, future) in enumerate(batch):
            if future.done():
                continue  # the client went away
            if error is not None:
                future.set_exception(error)
            elif answers is not None:
                future.set_result(answers[place])


def _part(arrival: Arrival) -> int:
    # What could not be read changes nothing but its own row.
    return part_of(arrival.command.subject if arrival.command else str(arrival.message_id))
