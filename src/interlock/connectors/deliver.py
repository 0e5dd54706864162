"""Outbox to receivers: in order per order, with retries, pace, circuit breaker and dead letters.

    delivery = Delivery(db, estate)
    delivery.run_once(now)          # one pass over all receivers that have something waiting
    delivery.loop(stop)             # until the event is set

Each receiver is served by a thread of its own, so that a slow or dead one delays nobody else. Any number of processes may
deliver at the same time: the leases of the outbox share the work out. Delivery is at least once; a message's id is its
Idempotency-Key (HTTP) or its `id` column (files), and stays the same however often it is sent.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from interlock.connectors.receive import new_message_id
from interlock.connectors.transports.breaker import Breaker
from interlock.connectors.transports.http_out import REQUESTS_AT_ONCE, HttpSender, Later
from interlock.connectors.transports.release_file import line_count, write_release_file
from interlock.domain.errors import PeerError, PeerRefused, PeerUnreachable, StorageError
from interlock.domain.estate import Estate, FolderOut, HttpOut, RetryPolicy, System
from interlock.domain.values import SystemId
from interlock.storage import outbox
from interlock.storage.database import Database, Transaction
from interlock.storage.outbox import ALL_PARTS, Batch, Failure, Notice, Pace

HTTP_BATCH_MAX: Final = 32
FOLDER_LEASE_S: Final = 30.0
HTTP_LEASE_SPARE_S: Final = 15.0
RECEIVERS_AT_ONCE_MAX: Final = 32
TICK_S: Final = 0.2
TROUBLE_PAUSE_S: Final = 1.0

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did for one receiver. `put_off` were claimed and not tried, because it failed meanwhile."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    put_off: int = 0
    error: str = ""


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did, receiver by receiver."""

    receivers: dict[SystemId, ReceiverReport]

    @property
    def sent(self) -> int:
        """Messages delivered to all receivers."""
        return sum(report.sent for report in self.receivers.values())


class Delivery:
    """Delivers what waits in the outbox. Close it to end its threads and connections."""

    def __init__(
        self,
        db: Database,
        estate: Estate,
        *,
        parts: Sequence[int] = ALL_PARTS,
        environment: Mapping[str, str] = os.environ,
        clock: Clock = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db, self._estate, self._parts = db, estate, parts
        self._environment, self._clock, self._chance = environment, clock, chance
        self._lanes: dict[SystemId, _Lane] = {}
        self._busy: dict[SystemId, Future[ReceiverReport]] = {}
        self._threads = ThreadPoolExecutor(RECEIVERS_AT_ONCE_MAX, thread_name_prefix="deliver")

    def run_once(self, now: datetime) -> DeliveryReport:
        """One pass, all of it at the time given: whatever may go to any receiver is tried once.

        Raises what the database raises, after every receiver had its turn.
        """
        started = self._start(now, lambda: now, None)
        wait(started.values())
        return DeliveryReport(receivers={receiver: future.result() for receiver, future in started.items()})

    def loop(self, stop: threading.Event) -> None:
        """Deliver until the event is set; trouble with the database is waited out."""
        while not stop.is_set():
            pause_s = TICK_S
            try:
                for receiver, future in self._start(self._clock(), self._clock, stop).items():
                    future.add_done_callback(lambda done, receiver=receiver: _log_trouble(receiver, done))  # type: ignore[misc]
            except StorageError as error:
                log.warning("delivery waits for the database: %s", error)
                pause_s = TROUBLE_PAUSE_S
            stop.wait(pause_s)
        wait(list(self._busy.values()))

    def close(self) -> None:
        """End threads and connections; what is under way is finished first."""
        self._threads.shutdown(wait=True)
        for lane in self._lanes.values():
            lane.close()

    def _start(
        self, now: datetime, clock: Clock, stop: threading.Event | None
    ) -> dict[SystemId, Future[ReceiverReport]]:
        """Give every receiver that has something due, and nobody working for it, a thread."""
        self._busy = {receiver: future for receiver, future in self._busy.items() if not future.done()}
        due = self._db.transaction(lambda tx: outbox.receivers_due(tx, self._parts, now))
        started = {}
        for receiver in due:
            if receiver in self._busy:
                continue
            lane = self._lanes.get(receiver)
            if lane is None:
                lane = self._lanes[receiver] = self._lane(receiver)
            started[receiver] = self._threads.submit(lane.run, clock, stop)
        self._busy.update(started)
        return started

    def _lane(self, receiver: SystemId) -> _Lane:
        system = self._estate.systems.get(receiver)
        out = system.outbound if system is not None else None
        shared = (self._db, self._estate, self._parts, receiver, system, self._chance)
        if isinstance(out, FolderOut):
            return _FolderLane(*shared, out)
        if isinstance(out, HttpOut):
            return _HttpLane(*shared, out, HttpSender(out, self._environment))
        return _Lane(*shared)


class _Lane:
    """The way to one receiver. This one leads nowhere: the estate has no connection to it, so it refuses everything."""

    batch_max = 500
    lease_s = FOLDER_LEASE_S
    pace: Pace | None = None

    def __init__(
        self,
        db: Database,
        estate: Estate,
        parts: Sequence[int],
        receiver: SystemId,
        system: System | None,
        chance: Callable[[], float],
    ) -> None:
        self.db, self.parts, self.receiver, self.chance = db, parts, receiver, chance
        self.policy = system.retry if system is not None else RetryPolicy()
        self.duty = estate.duty("delivery_dead")
        self.breaker = Breaker()

    def run(self, clock: Clock, stop: threading.Event | None) -> ReceiverReport:
        """Send batch after batch until nothing may go; without a stop event, a pace that is used up ends it as well."""
        counts: Counter[str] = Counter()
        error, abandoned = "", True
        while stop is None or not stop.is_set():
            now = clock()
            allowed = self.breaker.allows(now, self.batch_max)
            batch = self._claim(now, allowed, abandoned) if allowed else None
            if batch is None:
                break
            abandoned = batch.again  # there may be another; if this was none, the next pass looks for them again
            if not batch.notices:
                if stop is None or self.pace is None:
                    break
                stop.wait(min(TROUBLE_PAUSE_S, 1 / self.pace.rate))
                continue
            outcomes = self.send(batch, clock)
            counts.update(self._settle(batch, outcomes, clock()))
            error = next((str(each) for each in outcomes if isinstance(each, PeerError)), error)
        return ReceiverReport(
            sent=counts["sent"],
            failed=counts["waiting"],
            dead=counts["dead"],
            put_off=counts["put_off"],
            error=error,
        )

    def send(self, batch: Batch, clock: Clock) -> list[PeerError | None]:  # noqa: ARG002 - the others need it
        """Send a batch; for each message None if it was delivered, else why it was not (`_PutOff`: not tried)."""
        why = f"the estate has no outbound connection to {self.receiver}: add one, then send it again"
        return [PeerRefused(why)] * len(batch.notices)

    def choose(self, notices: list[Notice]) -> int:
        """How many of these go together, from the first on."""
        return len(notices)

    def close(self) -> None:
        """End what is open."""

    def _claim(self, now: datetime, limit: int, abandoned: bool) -> Batch | None:
        fresh = new_message_id()
        return self.db.transaction(
            lambda tx: outbox.claim_many(
                tx,
                self.parts,
                self.receiver,
                now=now,
                limit=limit,
                lease_s=self.lease_s,
                batch=fresh,
                pace=self.pace,
                choose=self.choose,
                abandoned=abandoned,
            )
        )

    def _settle(self, batch: Batch, outcomes: Sequence[PeerError | None], now: datetime) -> dict[str, int]:
        sent, put_off, failures = [], [], []
        for notice, error in zip(batch.notices, outcomes, strict=True):
            if error is None:
                sent.append(notice)
            elif isinstance(error, _PutOff):
                put_off.append(notice)
            else:
                due_at = self._next_attempt(notice, error, now)
                failures.append(Failure(notice, str(error), due_at, isinstance(error, PeerRefused)))

        def settle(tx: Transaction) -> dict[str, int]:
            counts = {"put_off": len(put_off)}
            if sent:
                counts["sent"] = outbox.settle_sent_many(tx, batch, sent, now=now)
            if put_off:
                outbox.return_many(tx, batch, put_off, due_at=now)
            if failures:
                counts |= outbox.settle_failed_many(
                    tx, batch, failures, now=now, attempts_max=self.policy.attempts_max, duty=self.duty
                )
            return counts

        return self.db.transaction(settle)

    def _next_attempt(self, notice: Notice, error: PeerError, now: datetime) -> datetime:
        pause_s = backoff_s(self.policy, notice.attempts, self.chance())
        return now + timedelta(seconds=max(pause_s, error.after_s if isinstance(error, Later) else 0.0))


class _FolderLane(_Lane):
    """Batches as files."""

    def __init__(
        self,
        db: Database,
        estate: Estate,
        parts: Sequence[int],
        receiver: SystemId,
        system: System | None,
        chance: Callable[[], float],
        out: FolderOut,
    ) -> None:
        super().__init__(db, estate, parts, receiver, system, chance)
        self.out = out
        self.batch_max = out.rows_max

    def send(self, batch: Batch, clock: Clock) -> list[PeerError | None]:
        error: PeerError | None = None
        try:
            write_release_file(self.out, batch.batch_id, [notice.body for notice in batch.notices])
            self.breaker.succeeded()
        except PeerUnreachable as unreachable:
            error = unreachable
            self.breaker.failed(clock())
        return [error] * len(batch.notices)

    def choose(self, notices: list[Notice]) -> int:
        rows = 0
        for place, notice in enumerate(notices):
            rows += line_count(notice.body)
            if rows > self.out.rows_max:
                return max(1, place)  # a message is never torn apart
        return len(notices)


class _HttpLane(_Lane):
    """Messages one by one, several at a time; a batch holds at most one message of an order, so order is kept."""

    batch_max = HTTP_BATCH_MAX

    def __init__(
        self,
        db: Database,
        estate: Estate,
        parts: Sequence[int],
        receiver: SystemId,
        system: System | None,
        chance: Callable[[], float],
        out: HttpOut,
        sender: HttpSender,
    ) -> None:
        super().__init__(db, estate, parts, receiver, system, chance)
        self.sender = sender
        self.lease_s = HTTP_LEASE_SPARE_S + out.timeout_s * HTTP_BATCH_MAX / REQUESTS_AT_ONCE
        if system is not None and system.limits.requests_per_s:
            self.pace = Pace(system.limits.requests_per_s, max(1, system.limits.burst))
        self._threads = ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix=f"deliver-{receiver}")

    def send(self, batch: Batch, clock: Clock) -> list[PeerError | None]:
        return list(self._threads.map(lambda notice: self._send(notice, clock), batch.notices))

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.sender.close()

    def _send(self, notice: Notice, clock: Clock) -> PeerError | None:
        if not self.breaker.allows(clock(), 1):
            return _PutOff(f"{self.receiver} is left alone for a while")
        try:
            self.sender.send(_id_of(notice.body).id, notice.body, now=clock())
        except PeerRefused as refused:
            self.breaker.succeeded()
            return refused
        except PeerUnreachable as unreachable:
            if isinstance(unreachable, Later):
                self.breaker.asked_to_wait(clock(), unreachable.after_s)
            else:
                self.breaker.failed(clock())
            return unreachable
        self.breaker.succeeded()
        return None


class _PutOff(PeerUnreachable):
    """Not tried, because the receiver has just failed for others."""


class _Identified(msgspec.Struct):
    id: str


_id_of = msgspec.json.Decoder(_Identified).decode


def backoff_s(policy: RetryPolicy, attempts: int, chance: float) -> float:
    """Seconds until the next attempt, after so many that came before the one that failed; `chance` (0..1) spreads them."""
    pause_s = min(policy.max_s, policy.first_s * policy.factor ** min(attempts, 60))
    return pause_s * (1 + policy.jitter * (2 * chance - 1))


def _log_trouble(receiver: SystemId, done: Future[ReceiverReport]) -> None:
    error = done.exception()
    if error is not None:
        log.error("delivery to %s was cut short: %s", receiver, error)
    elif done.result().error:
        log.info("delivery to %s: %s", receiver, done.result().error)
