"""Outbox to receivers: in order per order, with retries, pace, circuit breaker and dead letters.

    delivery = Delivery(db, estate)
    delivery.run_once(now)          # one pass over all receivers that have something waiting
    delivery.loop(stop)             # until the event is set

Each receiver is served by a lane with a thread of its own, so that a slow or dead one delays nobody else. Any number of processes
may deliver at the same time: the leases of the outbox share the work out. Delivery is at least once; a message's id is its
Idempotency-Key (HTTP) or its `id` column (files), and stays the same however often it is sent.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Final

import msgspec

from interlock.connectors.lanes import Clock, Lane, ReceiverReport
from interlock.connectors.lanes import backoff_s as backoff_s
from interlock.connectors.parcels import Plain
from interlock.connectors.parcels_formatted import packer_of
from interlock.connectors.recipes import RecipeWrong
from interlock.connectors.ways import NoWay, way_of
from interlock.domain.errors import StorageError
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.storage import interchanges, outbox
from interlock.storage.database import Database, Transaction
from interlock.storage.outbox import ALL_PARTS

STRANGERS_MAX: Final = 32
"""Receivers that the estate does not have, and that are served at the same time all the same."""
TICK_S: Final = 0.2
TROUBLE_PAUSE_S: Final = 1.0

log = logging.getLogger(__name__)


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
        self._lanes: dict[SystemId, Lane] = {}
        self._busy: dict[SystemId, Future[ReceiverReport]] = {}
        # A thread for every receiver, so that none waits for one that hangs.
        self._threads = ThreadPoolExecutor(len(estate.systems) + STRANGERS_MAX, thread_name_prefix="deliver")

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
        due = self._db.transaction(lambda tx: self._due(tx, now))
        started = {}
        for receiver in sorted(due - self._busy.keys()):
            lane = self._lanes.get(receiver)
            if lane is None:
                lane = self._lanes[receiver] = self._lane(receiver)
            started[receiver] = self._threads.submit(lane.run, clock, stop)
        self._busy.update(started)
        return started

    def _due(self, tx: Transaction, now: datetime) -> set[SystemId]:
        return outbox.receivers_waiting(tx, self._parts, now) | interchanges.receivers_due(tx, self._parts, now)

    def _lane(self, receiver: SystemId) -> Lane:
        system = self._estate.systems.get(receiver)
        out = system.outbound if system is not None else None
        way = way_of(out, receiver, self._environment)
        try:
            packer = packer_of(self._db, self._estate, receiver)
        except (RecipeWrong, KeyError) as wrong:
            # Whoever starts the service is told of it before; a message that meets it all the same is work for a person.
            packer = Plain(whole=True, csv=False)
            way = NoWay(
                f"the mapping of the outbound connection to {receiver} is wrong: {wrong}; mend it, then send it again"
            )
        return Lane(self._db, self._estate, self._parts, receiver, packer, way, self._chance)


def _log_trouble(receiver: SystemId, done: Future[ReceiverReport]) -> None:
    error = done.exception()
    if error is not None:
        log.error("delivery to %s was cut short: %s", receiver, error)
    elif done.result().error:
        log.info("delivery to %s: %s", receiver, done.result().error)
