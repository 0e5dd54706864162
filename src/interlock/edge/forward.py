"""From the queue to the centre: each stream in its order, several streams at a time, the backlog at a pace of its own.

A stream where many items wait has a backlog. Streams without one go first, so that what happens now is not behind what happened
yesterday in another till; one call in four asks for the backlog first, so that it drains under any load.
Time here is the process's own (monotonic): setting the clock changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from random import uniform
from typing import Final

import structlog

from interlock.domain.errors import StorageError
from interlock.edge.centre import Answer, Centre
from interlock.edge.queue import Item, Queue
from interlock.edge.settings import EdgeSettings

AHEAD_MAX: Final = 50
AHEAD_BYTES_MAX: Final = 512 * 1024
BACKLOG_FIRST_EVERY: Final = 4
IDLE_WAIT_S: Final = 0.5
STREAMS_KEPT_MAX: Final = 10_000

log = structlog.get_logger(__name__)


class Stream:
    """What waits of one stream: `ahead` was read already, everything behind `read_to` was not.

    `waiting` is never less than what waits; `added` counts what was queued.
    """

    __slots__ = ("added", "ahead", "failures", "is_busy", "name", "not_before", "read_to", "starts_over", "waiting")

    def __init__(self, name: str, waiting: int = 0) -> None:
        self.name = name
        self.waiting = waiting
        self.added = 0
        self.starts_over = False
        self.ahead: deque[Item] = deque()
        self.read_to = 0
        self.is_busy = False
        self.not_before = 0.0
        self.failures = 0


class Gate:
    """Whether the centre is called at all: after a call in vain nobody calls for a while, twice as long each time."""

    def __init__(self, first_s: float, s_max: float) -> None:
        self._first_s, self._s_max = first_s, s_max
        self.failures = 0
        self.opens_at = 0.0

    def shut(self, now: float, retry_after_s: float | None = None, *, long: bool = False) -> None:
        """A call was in vain. Those that were under way with it count as one."""
        if now < self.opens_at:
            return
        wait_s = self._s_max if long else min(self._s_max, self._first_s * 2 ** min(self.failures, 20))
        self.failures += 1
        # What the centre asks for is kept; our own guess is spread, so that not all stores call at once.
        self.opens_at = now + max(retry_after_s or 0.0, wait_s * uniform(0.7, 1.0))

    def open(self) -> None:
        """The centre answered."""
        self.failures = 0
        self.opens_at = 0.0


class Forwarder:
    """Forwards what waits, with `in_flight` threads. `run` blocks until told to stop."""

    def __init__(
        self,
        queue: Queue,
        settings: EdgeSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._rules = settings.forward
        self._clock = clock
        self._gate = Gate(self._rules.wait_first_s, self._rules.wait_s_max)
        self._changed = threading.Condition()
        self._streams: dict[str, Stream] = {}
        self._backlog_calls = 0
        self._backlog_at = 0.0
        self._picks = 0
        self._undone: list[int] = []
        self.forwarded = 0
        self.last_error = ""
        queue.listener = self.added

    def added(self, stream: str) -> None:
        """Something was queued."""
        with self._changed:
            if len(self._streams) > STREAMS_KEPT_MAX:
                # Names of streams come and go with the addresses of callers.
                self._streams = {n: each for n, each in self._streams.items() if each.waiting or each.is_busy}
            known = self._streams.setdefault(stream, Stream(stream))
            known.waiting += 1
            known.added += 1
            self._changed.notify()

    def read_again(self) -> None:
        """Look at the whole queue again: at the start, and when dead letters were put back."""
        self._queue.recount()
        with self._changed:
            for name, waiting in self._queue.streams().items():
                stream = self._streams.setdefault(name, Stream(name))
                stream.waiting = max(stream.waiting, waiting)
                stream.starts_over = True
            self._changed.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Forward until told to stop; what is being sent then is waited for."""
        self.read_again()
        senders = [
            threading.Thread(target=self._send_all, args=(stop,), name=f"edge-sender-{number}", daemon=True)
            for number in range(1, self._rules.in_flight + 1)
        ]
        for sender in senders:
            sender.start()
        stop.wait()
        with self._changed:
            self._changed.notify_all()
        for sender in senders:
            sender.join(self._rules.timeout_s)

    def _send_all(self, stop: threading.Event) -> None:
        centre = Centre(self._settings)
        while not stop.is_set():
            picked = self._pick()
            if picked is None:
                continue
            stream, is_backlog = picked
            try:
                self._send(centre, stream)
            except StorageError as error:
                # The queue cannot be read or written now: its items are where they were.
                self._say(str(error))
                with self._changed:
                    self._gate.shut(self._clock())
            except Exception as error:  # a sender that ends in silence helps nobody
                log.error("forward_failed", error=f"{type(error).__name__}: {error}", exc_info=True)
                with self._changed:
                    self._gate.shut(self._clock())
            finally:
                with self._changed:
                    stream.is_busy = False
                    self._backlog_calls -= is_backlog
                    self._changed.notify()
        centre.close()

    # Which stream is next

    def _pick(self) -> tuple[Stream, bool] | None:
        """The stream to send from, and whether that is for its backlog; None after a wait in which nothing came up."""
        with self._changed:
            found = self._take(now := self._clock())
            if found is None:
                self._changed.wait(self._until(now))
            return found

    def _take(self, now: float) -> tuple[Stream, bool] | None:
        found = self._next(now) if now >= self._gate.opens_at else None
        if found is None:
            return None
        stream, is_backlog = found
        stream.is_busy = True
        # To the end: the others have waited too.
        self._streams[stream.name] = self._streams.pop(stream.name)
        self._picks += 1
        if is_backlog:
            self._backlog_calls += 1
            self._backlog_at = max(self._backlog_at, now - 1.0) + 1 / self._rules.backlog_per_s
        return found

    def _next(self, now: float) -> tuple[Stream, bool] | None:
        calls_max = max(1, self._rules.in_flight // 2)
        backlog_may = self._backlog_calls < calls_max and self._backlog_at <= now
        backlog_first = backlog_may and self._picks % BACKLOG_FIRST_EVERY == 0
        other: tuple[Stream, bool] | None = None
        for stream in self._streams.values():
            if stream.is_busy or not stream.waiting or stream.not_before > now:
                continue
            is_backlog = stream.waiting > self._rules.live_depth
            if is_backlog and not backlog_may:
                continue
            if is_backlog == backlog_first:
                return stream, is_backlog
            other = other or (stream, is_backlog)
        return other

    def _until(self, now: float) -> float:
        """Seconds until something may come up by time alone."""
        times = [each.not_before for each in self._streams.values() if each.waiting and not each.is_busy]
        ahead = [at - now for at in (*times, self._backlog_at, self._gate.opens_at) if at > now]
        return max(0.001, min([IDLE_WAIT_S, *ahead]))

    # One item

    def _send(self, centre: Centre, stream: Stream) -> None:
        item = self._head(stream)
        if item is None:
            return
        answer = centre.post(item, self._behind())
        now = self._clock()
        match answer.meaning:
            case "taken":
                self._answered(now)
                self._forget([item.place])
                self._step(stream, item)
                self.forwarded += 1
            case "refused":
                self._answered(now)
                self._refuse(stream, item, answer.said)
            case "failing":
                self._answered(now)
                self._fail(stream, item, answer, now)
            case "later" | "locked":
                self._say(answer.said)
                with self._changed:
                    self._gate.shut(now, answer.retry_after_s, long=answer.meaning == "locked")

    def _behind(self) -> int:
        """How many wait that nobody is sending now."""
        with self._changed:
            return max(0, sum(each.waiting - each.is_busy for each in self._streams.values()))

    def _head(self, stream: Stream) -> Item | None:
        if stream.starts_over:
            stream.starts_over = False
            stream.ahead.clear()
            stream.read_to = 0
        if not stream.ahead:
            added = stream.added
            found = self._queue.heads(stream.name, stream.read_to, AHEAD_MAX, AHEAD_BYTES_MAX)
            stream.ahead.extend(found)
            if not found:
                with self._changed:
                    if stream.added == added:
                        stream.waiting = 0
                return None
            stream.read_to = found[-1].place
        return stream.ahead[0]

    def _step(self, stream: Stream, item: Item) -> None:
        with self._changed:
            if stream.ahead and stream.ahead[0].place == item.place:
                stream.ahead.popleft()
            stream.waiting = max(0, stream.waiting - 1)
            stream.failures = 0
            stream.not_before = 0.0

    def _refuse(self, stream: Stream, item: Item, said: str) -> None:
        self._queue.refused(item.place, said).result()
        log.warning("refused", place=item.place, stream=item.stream, path=item.path, key=item.key, said=said)
        self._say(said)
        self._step(stream, item)

    def _fail(self, stream: Stream, item: Item, answer: Answer, now: float) -> None:
        self._say(answer.said)
        if item.attempts + 1 >= self._rules.attempts_max:
            self._refuse(stream, item, f"after {item.attempts + 1} attempts: {answer.said}")
            return
        self._queue.tried(item.place, answer.said).result()
        with self._changed:
            if stream.ahead and stream.ahead[0].place == item.place:
                stream.ahead[0] = item._replace(attempts=item.attempts + 1)
            wait_s = min(self._rules.wait_s_max, self._rules.wait_first_s * 2 ** min(stream.failures, 20))
            stream.failures += 1
            stream.not_before = now + max(answer.retry_after_s or 0.0, wait_s * uniform(0.7, 1.0))

    def _answered(self, now: float) -> None:
        with self._changed:
            if self._gate.failures and now >= self._gate.opens_at:
                self._gate.open()
                self._changed.notify_all()

    def _forget(self, places: Sequence[int]) -> None:
        """Not waited for: a crash before it is on the disk only has the centre asked again."""
        with self._changed:
            places, self._undone = [*places, *self._undone], []
        self._queue.done(places).add_done_callback(lambda future: self._forgotten(places, future))

    def _forgotten(self, places: Sequence[int], future: Future[None]) -> None:
        error = future.exception()
        if error is not None:
            self._say(f"what the centre has could not be removed from the queue yet: {error}")
            with self._changed:
                self._undone += places

    def _say(self, text: str) -> None:
        self.last_error = text
