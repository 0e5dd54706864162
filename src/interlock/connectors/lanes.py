"""The lane to one receiver: claim, pack, send, settle; with its own breaker, budget, pace and patience.

    claim a batch ─▶ pack it into parcels ─▶ send each ─▶ settle: sent, again later, or dead

A lane sends what waits by itself first (acknowledgments, and interchanges that a person sends again), then the outbox.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast
from uuid import UUID

import msgspec

from interlock.connectors.formats.readers import media_type
from interlock.connectors.parcels import Packed, Packer, Parcel
from interlock.connectors.receive import new_message_id
from interlock.connectors.transports.breaker import Breaker
from interlock.connectors.transports.budget import Budget
from interlock.connectors.transports.http_out import Later
from interlock.connectors.ways import Sent, Way
from interlock.domain.errors import PeerError, PeerRefused, PeerUnreachable
from interlock.domain.estate import Estate, RetryPolicy
from interlock.domain.links import FormatKind
from interlock.domain.values import SystemId, part_of
from interlock.storage import interchanges, outbox
from interlock.storage.database import Database, Transaction
from interlock.storage.interchanges import Waiting
from interlock.storage.outbox import Batch, Failure, Pace

LEASE_SPARE_S: Final = 15.0
WAITING_MAX: Final = 16
WAITING_EVERY_S: Final = 1.0
PACE_PAUSE_S: Final = 1.0
ATTEMPTS_EVER: Final = 2**31 - 1
NOTHING_TO_SEND: Final = "nothing to send: the mapping has no rule for it"
Clock = Callable[[], datetime]


class ReceiverReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did for one receiver, in messages.

    `put_off` were claimed and not tried, because it failed meanwhile; `nothing` is of those that need not go, `interchanges` of
    those that went by themselves.
    """

    sent: int = 0
    failed: int = 0
    dead: int = 0
    put_off: int = 0
    nothing: int = 0
    interchanges: int = 0
    error: str = ""


class PutOff(PeerUnreachable):
    """Not tried, because the receiver has just failed for others."""


class Outcome(NamedTuple):
    """What became of a parcel: sent where there is no error."""

    parcel: Parcel
    error: PeerError | None


class Lane:
    """The way to one receiver. One thread at a time runs it; it may use more to send."""

    def __init__(
        self,
        db: Database,
        estate: Estate,
        parts: Sequence[int],
        receiver: SystemId,
        packer: Packer,
        way: Way,
        chance: Callable[[], float],
    ) -> None:
        self._db, self._parts, self.receiver, self._chance = db, parts, receiver, chance
        self._packer, self._way = packer, way
        system = estate.systems.get(receiver)
        out = system.outbound if system is not None else None
        self._policy = system.retry if system is not None else RetryPolicy()
        self._duty = estate.duty("delivery_dead")
        self._only_newest = out is not None and out.only_newest
        self._acknowledged_within_s = (
            out.acknowledged_within_s if out is not None and out.acknowledged_by != "none" else None
        )
        self._pace: Pace | None = None
        if system is not None and system.limits.requests_per_s and way.judges:
            self._pace = Pace(system.limits.requests_per_s, max(1, system.limits.burst))
        self._breaker = Breaker()
        self._budget = Budget(out.budget if out is not None else 1.0)
        rounds = 1.0 if packer.whole else packer.batch_max / way.at_once
        self._lease_s = LEASE_SPARE_S + way.timeout_s * rounds
        self._threads: ThreadPoolExecutor | None = None
        if way.at_once > 1:
            self._threads = ThreadPoolExecutor(way.at_once, thread_name_prefix=f"deliver-{receiver}")

    def run(self, clock: Clock, stop: threading.Event | None) -> ReceiverReport:
        """Send batch after batch until nothing may go; without a stop event, a pace that is used up ends it as well."""
        counts: Counter[str] = Counter()
        error, abandoned = "", True
        waited_at: datetime | None = None
        while stop is None or not stop.is_set():
            now = clock()
            if waited_at is None or (now - waited_at).total_seconds() >= WAITING_EVERY_S:
                waited_at = now
                error = self._send_waiting(clock, counts) or error
            allowed = self._breaker.allows(now, self._packer.batch_max)
            batch = self._claim(now, allowed, abandoned) if allowed else None
            if batch is None:
                break
            abandoned = batch.again  # there may be another; if this was none, the next pass looks for them again
            if not batch.notices:
                if stop is None or self._pace is None:
                    break
                stop.wait(min(PACE_PAUSE_S, 1 / self._pace.rate))
                continue
            packed = self._packer.pack(batch.batch_id, batch.notices, now)
            outcomes = self._send_all(batch, packed, clock)
            counts.update(self._settle(batch, packed, outcomes, clock()))
            errors = [*(why for _, why in packed.refused), *(each.error for each in outcomes if each.error)]
            error = str(errors[0]) if errors else error
        return ReceiverReport(
            sent=counts["sent"],
            failed=counts["waiting"],
            dead=counts["dead"],
            put_off=counts["put_off"],
            nothing=counts["nothing"],
            interchanges=counts["interchanges"],
            error=error,
        )

    def close(self) -> None:
        """End threads and connections."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        self._way.close()

    def _claim(self, now: datetime, limit: int, abandoned: bool) -> Batch | None:
        fresh = new_message_id()
        return self._db.transaction(
            lambda tx: outbox.claim_many(
                tx,
                self._parts,
                self.receiver,
                now=now,
                limit=limit,
                lease_s=self._lease_s,
                batch=fresh,
                pace=self._pace,
                choose=self._packer.choose,
                abandoned=abandoned,
                whole=self._packer.whole,
                only_newest=self._only_newest,
                fresh_only=not self._budget.allows_repeats(now),
                again_max=None if self._packer.whole else limit,
            )
        )

    # Sending

    def _send_all(self, batch: Batch, packed: Packed, clock: Clock) -> list[Outcome]:
        outcomes = []
        for sent in self._send_many(packed.parcels, clock):
            if isinstance(sent.error, PeerRefused) and len(sent.parcel.notices) > 1 and self._way.judges:
                outcomes += self._send_alone(batch, sent, packed, clock)
            else:
                outcomes.append(sent)
        return outcomes

    def _send_many(self, parcels: Sequence[Parcel], clock: Clock) -> list[Outcome]:
        if self._threads is None or len(parcels) < 2:
            return [Outcome(parcel, self._send(parcel, clock)) for parcel in parcels]
        return list(self._threads.map(lambda parcel: Outcome(parcel, self._send(parcel, clock)), parcels))

    def _send_alone(self, batch: Batch, whole: Outcome, packed: Packed, clock: Clock) -> list[Outcome]:
        """The receiver refuses several messages together: each goes alone, so that only the guilty ones are dead."""
        parcels: list[Parcel] = []
        for notice in whole.parcel.notices:
            alone = self._packer.alone(batch.batch_id, notice, clock())
            packed.refused.extend(alone.refused)
            packed.nothing.extend(alone.nothing)
            parcels += alone.parcels
        return [Outcome(whole.parcel._replace(notices=()), whole.error), *self._send_many(parcels, clock)]

    def _send(self, parcel: Parcel, clock: Clock) -> PeerError | None:
        if not self._breaker.allows(clock(), 1):
            return PutOff(f"{self.receiver} is left alone for a while")
        again = any(notice.attempts for notice in parcel.notices)
        self._budget.tried(clock(), firsts=not again, repeats=again)
        order = parcel.notices[0].order_id if len(parcel.notices) == 1 else ""
        return self._send_bytes(Sent(parcel.key, parcel.name, parcel.body, parcel.media_type, order), clock)

    def _send_bytes(self, sent: Sent, clock: Clock) -> PeerError | None:
        try:
            self._way.send(sent, clock())
        except PeerRefused as refused:
            self._breaker.succeeded()
            return refused
        except PeerUnreachable as unreachable:
            if isinstance(unreachable, Later):
                self._breaker.asked_to_wait(clock(), unreachable.after_s)
            else:
                self._breaker.failed(clock())
            return unreachable
        self._breaker.succeeded()
        return None

    # Settling

    def _settle(self, batch: Batch, packed: Packed, outcomes: Sequence[Outcome], now: datetime) -> dict[str, int]:
        keep = self._packer.keeps
        sent = [notice for each in outcomes if each.error is None for notice in each.parcel.notices]
        put_off = [n for each in outcomes if isinstance(each.error, PutOff) for n in each.parcel.notices]
        failed = [each for each in outcomes if each.error is not None and not isinstance(each.error, PutOff)]
        failures = [Failure(notice, str(why), now, True) for notice, why in packed.refused]
        given_up = []
        for parcel, error in failed:
            assert error is not None
            parcel_failures = self._failures(parcel, error, now)
            failures += parcel_failures
            if parcel.interchange_id is not None:
                final = isinstance(error, PeerRefused) or any(each.final for each in parcel_failures)
                given_up.append(interchanges.Failure(parcel.interchange_id, str(error), now, final))
        numbered = [each.parcel.interchange_id for each in outcomes if each.error is None]
        sent_ids = [each for each in numbered if each is not None]

        def settle(tx: Transaction) -> dict[str, int]:
            counts = {"put_off": len(put_off), "nothing": len(packed.nothing)}
            if sent:
                counts["sent"] = outbox.settle_sent_many(tx, batch, sent, now=now)
            if sent_ids:
                interchanges.sent_many(tx, self.receiver, sent_ids, now, self._acknowledged_within_s)
            if packed.nothing:
                outbox.settle_noted_many(tx, batch, packed.nothing, NOTHING_TO_SEND, now=now)
            if put_off:
                outbox.return_many(tx, batch, put_off, due_at=now, keep=keep)
            if failures:
                attempts_max = ATTEMPTS_EVER if keep else self._policy.attempts_max
                counts |= outbox.settle_failed_many(
                    tx, batch, failures, now=now, attempts_max=attempts_max, duty=self._duty, keep=keep
                )
            if given_up:
                interchanges.failed_many(tx, self.receiver, given_up, now)
            return counts

        return self._db.transaction(settle)

    def _failures(self, parcel: Parcel, error: PeerError, now: datetime) -> list[Failure]:
        final = isinstance(error, PeerRefused)
        if not self._packer.keeps:
            return [Failure(n, str(error), self._next_attempt(n.attempts, error, now), final) for n in parcel.notices]
        # What is kept together is tried, and given up, together.
        attempts = max((notice.attempts for notice in parcel.notices), default=0)
        final = final or attempts + 1 >= self._policy.attempts_max
        due_at = self._next_attempt(attempts, error, now)
        return [Failure(notice, str(error), due_at, final) for notice in parcel.notices]

    def _next_attempt(self, attempts: int, error: PeerError, now: datetime) -> datetime:
        pause_s = backoff_s(self._policy, attempts, self._chance())
        return now + timedelta(seconds=max(pause_s, error.after_s if isinstance(error, Later) else 0.0))

    # What waits by itself

    def _send_waiting(self, clock: Clock, counts: Counter[str]) -> str:
        """Send acknowledgments and interchanges that are sent again, from the bytes that are kept; gives the last error."""
        said = ""
        while self._breaker.allows(clock(), 1):
            now = clock()
            waiting = self._db.transaction(lambda tx, now=now: self._claim_waiting(tx, now))  # type: ignore[misc]
            if not waiting:
                break
            sent: list[UUID] = []
            failures: list[interchanges.Failure] = []
            for each in waiting:
                error = self._send_bytes(_sent(each), clock)
                if error is None:
                    sent.append(each.interchange_id)
                    continue
                said = str(error)
                final = isinstance(error, PeerRefused) or each.attempts + 1 >= self._policy.attempts_max
                due_at = self._next_attempt(each.attempts, error, now)
                failures.append(interchanges.Failure(each.interchange_id, said, due_at, final))
            self._settle_waiting(sent, failures, clock())
            counts["interchanges"] += len(sent)
            if failures:
                break
        return said

    def _claim_waiting(self, tx: Transaction, now: datetime) -> list[Waiting]:
        if self.receiver not in interchanges.receivers_due(tx, [part_of(self.receiver)], now):
            return []
        limit = WAITING_MAX if self._pace is None else outbox.take_many(tx, self.receiver, 1, self._pace, now)
        lease_s = LEASE_SPARE_S + self._way.timeout_s * WAITING_MAX
        return interchanges.claim_waiting(tx, self.receiver, now=now, lease_s=lease_s, limit=limit) if limit else []

    def _settle_waiting(self, sent: Sequence[UUID], failures: Sequence[interchanges.Failure], now: datetime) -> None:
        def settle(tx: Transaction) -> None:
            if sent:
                interchanges.sent_many(tx, self.receiver, sent, now, self._acknowledged_within_s)
            if failures:
                interchanges.failed_many(tx, self.receiver, failures, now, self._duty)

        self._db.transaction(settle)


def backoff_s(policy: RetryPolicy, attempts: int, chance: float) -> float:
    """Seconds until the next attempt, after so many that came before the one that failed; `chance` (0..1) spreads them."""
    pause_s = min(policy.max_s, policy.first_s * policy.factor ** min(attempts, 60))
    return pause_s * (1 + policy.jitter * (2 * chance - 1))


def _sent(waiting: Waiting) -> Sent:
    kind = cast(FormatKind, waiting.standard)
    return Sent(str(waiting.interchange_id), waiting.name, waiting.body, media_type(kind))
