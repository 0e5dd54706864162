"""Events to subscribers: in order per order, with retries, pace, circuit breaker, pauses and dead letters.

    publication = Publication(db, estate)
    publication.run_once(now)       # one pass over all subscriptions that have something to be sent
    publication.loop(stop)          # until the event is set

Each subscription is served by a line with threads of its own, so that a slow or dead subscriber delays nobody else. Any number
of processes may run: a part of a subscription is leased to one of them at a time. Delivery is at least once; an event's id is
the same however often it is sent. What holds an event up holds up those behind it in its part, until it was taken or given up.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Final

import msgspec

from interlock.connectors.publish_line import Line, LineReport
from interlock.contracts.cloudevents import Envelope
from interlock.domain.errors import StorageError
from interlock.domain.estate import Estate
from interlock.storage import subscriptions
from interlock.storage.database import Database, Transaction

TICK_S: Final = 0.2
TROUBLE_PAUSE_S: Final = 1.0

Clock = Callable[[], datetime]

log = logging.getLogger(__name__)


class PublicationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did, subscription by subscription."""

    subscriptions: dict[str, LineReport]

    @property
    def sent(self) -> int:
        """Events that all subscribers took."""
        return sum(report.sent for report in self.subscriptions.values())


class Publication:
    """Sends events to the subscriptions of the estate. Close it to end its threads and connections."""

    def __init__(
        self,
        db: Database,
        estate: Estate,
        *,
        environment: Mapping[str, str] = os.environ,
        clock: Clock = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db, self._clock = db, clock
        envelope = Envelope(estate.retailer)
        self._lines = {
            name: Line(db, estate, each, envelope, environment, chance) for name, each in estate.subscriptions.items()
        }
        self._begun: set[str] = set()
        self._busy: dict[str, Future[LineReport]] = {}
        self._threads = ThreadPoolExecutor(max(1, len(self._lines)), thread_name_prefix="publish")

    def run_once(self, now: datetime) -> PublicationReport:
        """One pass, all of it at the time given: what may go to any subscriber is tried once.

        Raises what the database raises, after every subscription had its turn.
        """
        started = self._start(now, lambda: now, None)
        wait(started.values())
        return PublicationReport(subscriptions={name: future.result() for name, future in started.items()})

    def loop(self, stop: threading.Event) -> None:
        """Send until the event is set; trouble with the database is waited out."""
        while not stop.is_set():
            pause_s = TICK_S
            try:
                for name, future in self._start(self._clock(), self._clock, stop).items():
                    future.add_done_callback(lambda done, name=name: _log_trouble(name, done))  # type: ignore[misc]
            except StorageError as error:
                log.warning("publication waits for the database: %s", error)
                pause_s = TROUBLE_PAUSE_S
            stop.wait(pause_s)
        wait(list(self._busy.values()))

    def close(self) -> None:
        """End threads and connections; what is under way is finished first."""
        self._threads.shutdown(wait=True)
        for line in self._lines.values():
            line.close()

    def _start(self, now: datetime, clock: Clock, stop: threading.Event | None) -> dict[str, Future[LineReport]]:
        """Give every subscription that has something to be sent, and nobody here working for it, a thread."""
        self._busy = {name: future for name, future in self._busy.items() if not future.done()}
        if len(self._begun) < len(self._lines):
            self._db.transaction(lambda tx: self._begin(tx, now))
            self._begun = set(self._lines)
        free = [name for name in self._lines if name not in self._busy]
        due = self._db.transaction(lambda tx: subscriptions.due_many(tx, free, now)) if free else set()
        started = {name: self._threads.submit(self._lines[name].run, clock, stop) for name in sorted(due)}
        self._busy.update(started)
        return started

    def _begin(self, tx: Transaction, now: datetime) -> None:
        for name, line in self._lines.items():
            subscriptions.begin(tx, name, from_beginning=line.subscription.start == "beginning", now=now)


def _log_trouble(name: str, done: Future[LineReport]) -> None:
    error = done.exception()
    if error is not None:
        log.error("the subscription %s was cut short: %s", name, error)
    elif done.result().error:
        log.info("the subscription %s: %s", name, done.result().error)
