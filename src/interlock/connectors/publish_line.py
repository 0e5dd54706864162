"""One subscription's line: lease parts, read what is next in them, send it, settle; with its own breaker, budget and pace.

    lease parts ─▶ their next events, as parcels ─▶ part by part in order, several parts at once ─▶ settle

In a part one request is under way at a time. One that fails ends the part's turn: the same goes again after a while, until it was
taken, was refused for good, or was tried often enough; then it is a dead letter, and those behind it go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec

from interlock.connectors.lanes import backoff_s
from interlock.connectors.publish_ways import Parcel, publish_way
from interlock.connectors.transports.breaker import Breaker
from interlock.connectors.transports.budget import Budget
from interlock.connectors.transports.http_out import Later
from interlock.connectors.transports.webhook_out import NoLonger, TooMany
from interlock.contracts.cloudevents import Envelope
from interlock.contracts.estate_subscriptions import EVENT_TYPES
from interlock.domain.errors import PeerError, PeerRefused, PeerUnreachable
from interlock.domain.estate import Estate
from interlock.domain.subscriptions import Subscription
from interlock.domain.values import PARTS, SystemId
from interlock.storage import events_feed, outbox, subscriptions
from interlock.storage.database import Database, Transaction
from interlock.storage.events_feed import EventRow, Wanted
from interlock.storage.outbox import Pace
from interlock.storage.subscriptions import Lease, Letter, Served, Told

ROUND_EVENTS_MAX: Final = 1_000
"""Events that are looked at in one round."""
PARTS_PER_THREAD: Final = 2
LEASE_SPARE_S: Final = 15.0
PACE_PAUSE_S: Final = 1.0
Clock = Callable[[], datetime]


class LineReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass did for one subscription, in events: `failed` attempts, `dead` letters, whether it was `paused` for them."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    paused: bool = False
    error: str = ""


class Turn(NamedTuple):
    """A part that is ours for a round: what goes out of turn in it, what is next, and up to where these events reach."""

    lease: Lease
    letters: list[Letter]
    parcels: list[Parcel]
    until: int


class Line:
    """The way to one subscriber. One thread at a time runs it; it uses more to send."""

    def __init__(
        self,
        db: Database,
        estate: Estate,
        subscription: Subscription,
        envelope: Envelope,
        environment: Mapping[str, str],
        chance: Callable[[], float],
    ) -> None:
        self.subscription = subscription
        self._db, self._chance = db, chance
        self._paused_duty, self._dead_duty = estate.duty("subscription_paused"), estate.duty("event_undelivered")
        self._way = publish_way(subscription, envelope, environment)
        types = tuple(each for each in EVENT_TYPES if subscription.wants(each))
        self._wanted = Wanted(
            types=None if types == EVENT_TYPES else types,
            systems=subscription.systems or None,
            channels=subscription.channels or None,
        )
        self._pace: Pace | None = None
        if subscription.requests_per_s:
            self._pace = Pace(subscription.requests_per_s, max(1, subscription.burst))
        self._breaker, self._budget = Breaker(), Budget(subscription.budget)
        self._lease_s = LEASE_SPARE_S + 3 * self._way.timeout_s
        self._holder = uuid4()
        self._threads = ThreadPoolExecutor(subscription.at_once, thread_name_prefix=f"publish-{subscription.name}")

    def run(self, clock: Clock, stop: threading.Event | None) -> LineReport:
        """Send round after round until nothing may go; without a stop event, a pace that is used up ends it as well."""
        sent = failed = dead = 0
        paused, error = False, ""
        while not (paused or (stop is not None and stop.is_set())):
            now = clock()
            allowed = self._breaker.allows(now, PARTS)
            if not allowed:
                break
            turns, is_paced = self._db.transaction(partial(self._claim, allowed=allowed, now=now))
            if turns:
                done = self._serve(turns, clock, now + timedelta(seconds=self._lease_s), stop)
                paused = self._settle(done, clock())
                sent, failed, dead = sent + done.sent, failed + done.failed, dead + len(done.dead)
                error = done.why or error
            elif not is_paced or stop is None or self._pace is None:
                break
            else:
                stop.wait(min(PACE_PAUSE_S, 1 / self._pace.rate))
        return LineReport(sent=sent, failed=failed, dead=dead, paused=paused, error=error)

    def close(self) -> None:
        """End threads and connections."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._way.close()

    # What is next

    def _claim(self, tx: Transaction, *, allowed: int, now: datetime) -> tuple[list[Turn], bool]:
        """Lease parts and read what goes in them; no turns where there is nothing, or where (True) only the pace forbids it."""
        name = self.subscription.name
        leases = subscriptions.claim_many(
            tx,
            name,
            self._holder,
            now=now,
            until=now + timedelta(seconds=self._lease_s),
            limit=min(allowed, PARTS_PER_THREAD * self.subscription.at_once),
            fresh_only=not self._budget.allows_repeats(now),
        )
        if not leases:
            return [], False
        parts = [lease.part for lease in leases]
        letters = subscriptions.letters_due(tx, name, parts, now)
        untils = self._untils(tx, leases, 1 if allowed == 1 else ROUND_EVENTS_MAX)
        ranges = [(each.part, each.position, untils[each.part]) for each in leases if untils[each.part] > each.position]
        events: dict[int, list[EventRow]] = {part: [] for part in parts}
        for event in events_feed.read_ranges(tx, ranges, self._wanted) if ranges else ():
            events[event.part].append(event)
        turns = [
            Turn(
                lease,
                [letter for letter in letters if letter.event.part == lease.part],
                self._way.parcels(events[lease.part], self.subscription.batch_max),
                untils[lease.part],
            )
            for lease in leases
        ]
        if self._pace is None:
            return turns, False
        wanted = sum(len(turn.letters) + len(turn.parcels) for turn in turns)
        granted = outbox.take_many(tx, SystemId(f"subscription/{name}"), wanted, self._pace, now) if wanted else 0
        kept = _paced(turns, granted)
        self._give_back(tx, [turn.lease for turn in turns if turn.lease.part not in {k.lease.part for k in kept}], now)
        return kept, not kept

    def _untils(self, tx: Transaction, leases: Sequence[Lease], most: int) -> dict[int, int]:
        """Up to which position to look in each part."""
        heads = events_feed.heads(tx, [lease.part for lease in leases])
        asked = events_feed.shares({lease.part: heads[lease.part] - lease.position for lease in leases}, most)
        return {lease.part: lease.position + asked.get(lease.part, 0) for lease in leases}

    def _give_back(self, tx: Transaction, leases: Sequence[Lease], now: datetime) -> None:
        if leases:
            served = [Served(each.part, each.position, 0, each.failures, now, None) for each in leases]
            subscriptions.settle_many(tx, self.subscription.name, self._holder, served, now=now)

    # Sending

    def _serve(self, turns: Sequence[Turn], clock: Clock, held_until: datetime, stop: threading.Event | None) -> Round:
        # What is under way when the lease ends would go beside what a successor sends.
        done = Round(self, clock, held_until - timedelta(seconds=self._way.timeout_s), stop)
        list(self._threads.map(done.serve, turns))
        return done

    def attempt(self, parcel: Parcel, now: datetime, *, again: bool) -> PeerError | None:
        """Send a parcel, and tell breaker and budget what came of it."""
        self._budget.tried(now, firsts=not again, repeats=again)
        try:
            self._way.send(parcel, now)
        except PeerRefused as refused:
            self._breaker.succeeded()
            return refused
        except PeerUnreachable as unreachable:
            if isinstance(unreachable, Later):
                self._breaker.asked_to_wait(now, unreachable.after_s)
            else:
                self._breaker.failed(now)
            return unreachable
        self._breaker.succeeded()
        return None

    def may_go(self, now: datetime) -> bool:
        """Whether the breaker lets one more go."""
        return bool(self._breaker.allows(now, 1))

    def alone(self, parcel: Parcel) -> list[Parcel]:
        """A batch as single requests."""
        return self._way.parcels(parcel.events, 1)

    def next_attempt(self, attempts: int, error: PeerError, now: datetime) -> datetime:
        """When to try again what failed after so many attempts before this one."""
        pause_s = backoff_s(self.subscription.retry, attempts, self._chance())
        return now + timedelta(seconds=max(pause_s, error.after_s if isinstance(error, Later) else 0.0))

    # Settling

    def _settle(self, done: Round, now: datetime) -> bool:
        name, duty = self.subscription.name, self._dead_duty

        def settle(tx: Transaction) -> bool:
            ours = subscriptions.settle_many(
                tx,
                name,
                self._holder,
                done.served,
                now=now,
                letters=[*done.dead, *done.waiting],
                delivered=done.delivered,
            )
            if dead := [letter for letter in done.dead if letter.event.part in ours]:
                subscriptions.tell_undelivered(tx, name, dead, duty, now)
            elif done.delivered:
                subscriptions.close_undelivered(tx, name, now, "all of its events have been delivered since")
            pause_after = self.subscription.pause_after
            return subscriptions.tell(tx, name, done.told(), pause_after=pause_after, duty=self._paused_duty, now=now)

        return self._db.transaction(settle)


class Round:
    """What comes of one round; its methods are called by several threads."""

    def __init__(self, line: Line, clock: Clock, until: datetime, stop: threading.Event | None) -> None:
        self._line, self._clock, self._until, self._stop = line, clock, until, stop
        self._guard = threading.Lock()
        self._in_a_row = 0
        self._succeeded = self._gone = False
        self._quiet_until: datetime | None = None
        self.served: list[Served] = []
        self.dead: list[Letter] = []
        self.waiting: list[Letter] = []
        self.delivered: list[Letter] = []
        self.sent = self.failed = 0
        self.why = ""

    def told(self) -> Told:
        """What was seen of the subscriber as a whole."""
        return Told(self._succeeded, self._in_a_row, self._gone, self._quiet_until, self.why)

    def serve(self, turn: Turn) -> None:
        """Send what goes in a part, one after the other, until one must wait."""
        out = self._out_of_turn(turn)
        served = self._in_turn(turn) if out is None else _unmoved(turn.lease, out, self.why)
        with self._guard:
            letters = sum(each.event.part == turn.lease.part for each in self.delivered)
            self.served.append(served._replace(sent=served.sent + letters))

    def _out_of_turn(self, turn: Turn) -> datetime | None:
        """Send the letters; gives when to go on where one must wait."""
        policy = self._line.subscription.retry
        held_up: set[str] = set()
        for letter in turn.letters:
            if letter.event.order_id in held_up:
                continue
            now = self._clock()
            if not self._may_go(now):
                return now
            [parcel] = self._line.alone(Parcel((letter.event,), "", b"", {}))
            error = self._attempt(parcel, now, again=letter.attempts > 0)
            attempts = letter.attempts + (not isinstance(error, TooMany))
            with self._guard:
                if error is None:
                    self.delivered.append(letter)
                elif isinstance(error, NoLonger):
                    return now
                elif isinstance(error, PeerRefused) or attempts >= policy.attempts_max:
                    self.dead.append(Letter(letter.event, attempts, str(error)))
                else:
                    held_up.add(letter.event.order_id)
                    due_at = self._line.next_attempt(letter.attempts, error, now)
                    self.waiting.append(Letter(letter.event, attempts, str(error), "waiting", due_at))
        return None

    def _in_turn(self, turn: Turn) -> Served:
        part, position, failures = turn.lease
        policy = self._line.subscription.retry
        sent, said = 0, ""
        queue = [(parcel, False) for parcel in reversed(turn.parcels)]
        while queue:
            parcel, is_last_try = queue.pop()
            now = self._clock()
            if not self._may_go(now):
                return Served(part, position, sent, failures, now, said or None)
            error = self._attempt(parcel, now, again=failures > 0)
            if error is None:
                position, failures = parcel.events[-1].position, 0
                sent += len(parcel.events)
                continue
            said = str(error)
            if isinstance(error, NoLonger):
                return Served(part, position, sent, failures, now, said)
            tries = failures + (not isinstance(error, TooMany))
            if not (is_last_try or isinstance(error, PeerRefused) or tries >= policy.attempts_max):
                return Served(part, position, sent, tries, self._line.next_attempt(failures, error, now), said)
            if len(parcel.events) > 1:
                # Only the guilty ones are to be dead: each goes alone, once.
                is_last_try = not isinstance(error, PeerRefused)
                queue += [(single, is_last_try) for single in reversed(self._line.alone(parcel))]
                continue
            with self._guard:
                self.dead.append(Letter(parcel.events[0], tries, said))
            position, failures = parcel.events[0].position, 0
        return Served(part, max(position, turn.until), sent, 0, self._clock(), said or None)

    def _may_go(self, now: datetime) -> bool:
        stopped = self._stop is not None and self._stop.is_set()
        return not (stopped or self._gone) and now < self._until and self._line.may_go(now)

    def _attempt(self, parcel: Parcel, now: datetime, *, again: bool) -> PeerError | None:
        error = self._line.attempt(parcel, now, again=again)
        with self._guard:
            if error is None:
                self._in_a_row, self._succeeded = 0, True
                self.sent += len(parcel.events)
                return None
            self._in_a_row += not isinstance(error, TooMany)
            self.failed += 1
            self.why = str(error)
            self._gone = self._gone or isinstance(error, NoLonger)
            if isinstance(error, Later):
                until = now + timedelta(seconds=error.after_s)
                self._quiet_until = max(until, self._quiet_until or until)
        return error


def _unmoved(lease: Lease, due_at: datetime, why: str) -> Served:
    return Served(lease.part, lease.position, 0, lease.failures, due_at, why or None)


def _paced(turns: Sequence[Turn], granted: int) -> list[Turn]:
    """As much of the turns as the pace grants, from the first on; what concerns nobody needs no grant."""
    kept = []
    for turn in turns:
        if not granted and (turn.letters or turn.parcels):
            continue
        letters = turn.letters[:granted]
        granted -= len(letters)
        parcels = turn.parcels[:granted]
        granted -= len(parcels)
        until = turn.until
        if len(parcels) < len(turn.parcels):
            until = parcels[-1].events[-1].position if parcels else turn.lease.position
        kept.append(Turn(turn.lease, letters, parcels, until))
    return kept
