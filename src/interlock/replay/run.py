"""The replay: recorded messages through the real steps, once as it was and once as a candidate has it, side by side.

    replayed = Replay(present, candidate).run(tx, span)

Both accounts get every batch of history at its time, in the order in which batches took effect. What the candidate cannot be
told as it was, because it follows from what history decided, is told so that it means the same (docs/replay.md):

    time        a timer acts on an order when history's did; where history's had nothing to do, when it is due
    counts      find what they found: the difference between the count and what was there, not the number
    warehouses  say of the candidate's assignments what history's said of theirs (`carry.py`)
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from heapq import heappop
from itertools import groupby
from typing import TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import AnyCommand, AssignmentCommand, CountStock
from interlock.domain.decision import Arrival, Decision, Problem
from interlock.domain.estate import Estate
from interlock.domain.model import Order
from interlock.domain.values import OrderId, Quantity
from interlock.engine.worker import timer
from interlock.replay.carry import placed_alike, stand_ins
from interlock.replay.reread import NOT_ABOUT_READING, Again, as_arrival
from interlock.replay.scratch import Scratch
from interlock.replay.translating import Read, Translating
from interlock.storage import history
from interlock.storage.database import Transaction
from interlock.storage.history import Kept, Range
from interlock.storage.messages import Due

OTHERWISE_MAX = 1_000

T = TypeVar("T")


class Otherwise(msgspec.Struct, frozen=True):
    """A message that is not read, or answered, as it was then."""

    message_id: UUID
    system: str
    subject: str
    place: str
    then: str
    now: str


class Replayed(msgspec.Struct, kw_only=True):
    """Both accounts at the end of the range, and how the messages were read. `seconds` are not part of any report."""

    span: Range
    base: Scratch
    candidate: Scratch | None
    ended_at: datetime | None = None
    messages: int = 0
    read_otherwise: list[Otherwise] = []
    read_otherwise_count: int = 0
    answered_otherwise: list[Otherwise] = []
    answered_otherwise_count: int = 0
    put_away_then: Counter[str] = msgspec.field(default_factory=Counter)
    readable_now: int = 0
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    carried: int = 0
    touched: set[OrderId] = set()
    spoken_of: set[OrderId] = set()
    seconds: dict[str, float] = {}


class Replay:
    """One replay. Without a candidate only history itself is done again."""

    def __init__(
        self,
        present: Estate,
        candidate: Estate | None = None,
        *,
        systems: frozenset[str] = frozenset(),
        translating: Translating | None = None,
    ) -> None:
        self._translating = translating or Translating(present, candidate)
        self._systems = systems
        self.present, self.changed = present, candidate
        self.base = Scratch(present)
        self.candidate = Scratch(candidate) if candidate is not None else None
        self._replayed = Replayed(span=Range(), base=self.base, candidate=self.candidate)
        self._timers: dict[tuple[str, str], datetime] = {}
        self._later: dict[UUID, Arrival] = {}
        self._counted: dict[tuple[str, str, Quantity], Quantity] = {}
        self._spent: defaultdict[str, float] = defaultdict(float)

    def run(self, tx: Transaction, span: Range) -> Replayed:
        """Do it, in a transaction whose snapshot is open. Nothing is written."""
        done = self._replayed
        done.span = span
        clock = time.perf_counter
        began = clock()
        files = history.files(tx)
        self._timers = history.timers(tx, span)
        if span.since is not None:
            self._begin(tx, span.since)
        self._spent["beginning"] = clock() - began
        kept = _timed(history.messages(tx, span), self._spent, "reading")
        read = _timed(self._translating.run(kept, files), self._spent, "translating")
        for (now, _), group in groupby(read, _batch):
            self._batch(list(group), now)
            done.ended_at = now
        end = span.until or done.ended_at
        if end is not None:
            for scratch in (self.base, self.candidate):
                if scratch is not None:
                    scratch.finish(end)
        self._spent["translating"] -= self._spent["reading"]
        done.seconds = {**self._spent, "all": clock() - began}
        return done

    # How it begins

    def _begin(self, tx: Transaction, since: datetime) -> None:
        known = history.events_before(tx, since)
        waking = history.waking(tx)
        stock = history.positions_before(tx, since)
        excluded = history.exclusions(tx, since)
        rejected = history.rejections_before(tx, since)
        ledger = history.ledger_before(tx, since)
        versions = history.versions_before(tx, since)
        given = history.allocations_before(tx, since)
        for scratch in (self.base, self.candidate):
            if scratch is None:
                continue
            for order_id, events in known.items():
                seq, wake_at = waking.get(order_id, (0, None))
                scratch.know_order(order_id, events, wake_at if seq == len(events) else None)
                acts_at = self._timers.get((order_id, f"wake/{len(events)}"))
                if acts_at is not None and scratch.store.orders[order_id].wake_at is None:
                    scratch.store.orders[order_id].wake_at = acts_at
            for sku, node, *layers in stock:
                scratch.know_position(sku, node, (layers[0], layers[1], layers[2]), excluded.get((sku, node)))
            for sku, node, channel, at in rejected:
                if channel in scratch.estate.channels:
                    until = at + timedelta(seconds=scratch.estate.channels[channel].sourcing.exclusion_s)
                    scratch.exclude(sku, node, until)
            scratch.store.ledger.update(ledger)
            scratch.store.versions.update(versions)
            for node, at in given:
                zone = scratch.estate.nodes[node].time_zone if node in scratch.estate.nodes else "UTC"
                key = (node, at.astimezone(ZoneInfo(zone)).date())
                scratch.store.node_days[key] = scratch.store.node_days.get(key, 0) + 1

    # One batch of history

    def _batch(self, batch: list[Read], now: datetime) -> None:
        clock = time.perf_counter
        then: list[Arrival] = []
        otherwise: list[Arrival] = []
        for each in batch:
            self._read(each, then, otherwise)
        read = clock()
        if self.candidate is None:
            self.base.run(then, now)
            self._spent["deciding as it was"] += clock() - read
        else:
            self._both(self.candidate, then, otherwise, now)
        for each in batch:
            self._check_outcome(each.kept)

    def _both(self, candidate: Scratch, then: list[Arrival], otherwise: list[Arrival], now: datetime) -> None:
        clock = time.perf_counter
        began = clock()
        self._wake(candidate, now)
        told = [each for arrival in otherwise if (each := self._told(candidate, arrival, now)) is not None]
        ready = clock()
        decided = self.base.run(then, now)
        based = clock()
        if told:
            candidate.run(told, now)
        for arrival, decision in decided:
            held = self._later.get(arrival.message_id)
            if held is not None and decision.outcome != "parked":
                del self._later[arrival.message_id]
                self._carry(candidate, held, decision, now)
        self._spent["deciding as it was"] += based - ready
        self._spent["deciding as the candidate"] += clock() - based + ready - began

    def _told(self, candidate: Scratch, arrival: Arrival, now: datetime) -> Arrival | None:
        """How the candidate is told of what history was told; None where that must wait for what history makes of it."""
        command = arrival.command
        if arrival.system == INTERLOCK:
            return self._timed(candidate, arrival, now)
        if isinstance(command, AssignmentCommand):
            was, is_now = self.base.store.orders.get(command.order_id), candidate.store.orders.get(command.order_id)
            if was is None or is_now is None or not placed_alike(was, is_now):
                self._later[arrival.message_id] = arrival
                return None
        elif isinstance(command, CountStock):
            return replace(arrival, command=self._recounted(candidate, command))
        return arrival

    def _carry(self, candidate: Scratch, arrival: Arrival, decision: Decision, now: datetime) -> None:
        """A warehouse's word of history that could not be told as it was: now it is known what followed from it."""
        command = arrival.command
        assert isinstance(command, AssignmentCommand)
        order = candidate.store.orders.get(command.order_id)
        was = self.base.store.orders.get(command.order_id)
        if order is None or was is None:
            self._replayed.left_out["of orders that the candidate does not have"] += 1
        elif _placed_as_before(was, decision, order):
            candidate.run([arrival], now)
        elif not decision.events:
            self._replayed.left_out["without effect in history"] += 1
        else:
            said = list(stand_ins(arrival, decision.events, order, candidate.estate, now))
            self._replayed.carried += len(said)
            if said:
                candidate.run(said, now)
            else:
                self._replayed.left_out[f"{command.action} of units that the candidate has elsewhere"] += 1

    def _recounted(self, candidate: Scratch, command: CountStock) -> CountStock:
        """A count of shelves from which the candidate has shipped otherwise: it finds the same difference."""
        key = (command.subject, command.key, command.counted)
        known = self._counted.get(key)
        if known is None:
            shift = candidate.physical(command.sku, command.node) - self.base.physical(command.sku, command.node)
            known = self._counted[key] = max(command.counted + shift, 0)
        return command if known == command.counted else replace(command, counted=known)

    # Time

    def _timed(self, candidate: Scratch, arrival: Arrival, now: datetime) -> Arrival | None:
        """History's timer acts on the candidate's order, if that is due by then."""
        command = arrival.command
        order = candidate.store.orders.get(OrderId(command.subject)) if command is not None else None
        if order is None or order.wake_at is None or order.wake_at > now:
            return None
        return timer(Due(order.order_id, order.seq, order.state), now, arrival.message_id)

    def _wake(self, candidate: Scratch, now: datetime) -> None:
        """Time acts on orders of the candidate where no timer of history will, and none of history's waits as well."""
        wakes = candidate._wakes  # noqa: SLF001 - it is the memory that we replay on
        while wakes and wakes[0][0] <= now:
            at, order_id = heappop(wakes)
            order = candidate.store.orders[order_id]
            if order.wake_at != at or (order_id, f"wake/{order.seq}") in self._timers:
                continue
            was = self.base.store.orders.get(order_id)
            if was is not None and was.seq == order.seq and was.wake_at == at:
                continue
            due = Due(order_id, order.seq, order.state)
            candidate.run([timer(due, at, uuid5(_TIMERS, f"{order_id}/{order.seq}/{at}"))], at)

    # Reading

    def _read(self, read: Read, then: list[Arrival], otherwise: list[Arrival]) -> None:
        kept, found, anew = read
        done = self._replayed
        done.messages += 1
        span = done.span
        if span.since is not None and kept.effective_at < span.since and kept.action is not None:
            for scratch in (self.base, self.candidate):  # it was parked when the range began, and is so again
                if scratch is not None:
                    scratch.store.ledger.pop((kept.subject, kept.action, kept.business_key or ""), None)
        if kept.system == INTERLOCK:
            then.append(as_arrival(kept, found[0]))
            otherwise.append(then[-1])
            return
        again = found[0]
        was_put_away = kept.outcome == "quarantined"
        if was_put_away:
            reason, _, explanation = (kept.reason or "unreadable").partition(": ")
            done.put_away_then[reason] += 1
            stays = Again(None, Problem(reason=reason, explanation=explanation))
            done.readable_now += again.command is not None and reason not in NOT_ABOUT_READING
            then.append(as_arrival(kept, stays))
            if reason in NOT_ABOUT_READING:
                otherwise.append(then[-1])
                return
        else:
            self._check_reading(kept, again)
            then.append(as_arrival(kept, again))
        if anew is not None:
            if anew and (anew[0].command is not None or anew[0].problem is not None):
                otherwise.append(as_arrival(kept, anew[0]))
            otherwise += self._further(kept, anew)
        elif was_put_away:
            otherwise.append(as_arrival(kept, again))
            otherwise += self._further(kept, found)
        else:
            otherwise.append(then[-1])

    def _further(self, kept: Kept, found: list[Again]) -> Iterable[Arrival]:
        for number, each in enumerate(found[1:], 2):
            if each.command is not None or each.problem is not None:
                arrival = as_arrival(kept, each)
                yield replace(arrival, message_id=uuid5(kept.message_id, str(number)), record=each.place)

    def _check_reading(self, kept: Kept, again: Again) -> None:
        command = again.command
        if command is not None and (command.action, command.subject, command.key) == (
            kept.action,
            kept.subject,
            kept.business_key,
        ):
            return
        now = _named(command) if command is not None else "nothing to do"
        if again.problem is not None:
            now = f"unreadable: {again.problem.explanation}"
        self._otherwise(self._replayed.read_otherwise, kept, f"{kept.action} {kept.subject}", now)
        self._replayed.read_otherwise_count += 1

    def _check_outcome(self, kept: Kept) -> None:
        seen = self.base.seen.get(kept.message_id)
        if kept.system != INTERLOCK:
            self._replayed.touched.add(OrderId(kept.subject))
            if kept.system in self._systems:
                self._replayed.spoken_of.add(OrderId(kept.subject))
        if seen is not None and seen.outcome != kept.outcome and seen.outcome != "parked":
            then = f"{kept.action} was {kept.outcome}"
            self._otherwise(self._replayed.answered_otherwise, kept, then, f"{seen.outcome} {seen.reason}".strip())
            self._replayed.answered_otherwise_count += 1

    def _otherwise(self, rows: list[Otherwise], kept: Kept, then: str, now: str) -> None:
        if len(rows) < OTHERWISE_MAX:
            rows.append(Otherwise(kept.message_id, kept.system, kept.subject, kept.record or "", then, now))


_TIMERS = UUID("6f2d3f2e-51c1-5a37-9c35-7d9b0a3a9f10")


def _placed_as_before(was: Order, decision: Decision, order: Order) -> bool:
    """Whether the candidate has placed the order as history had when it was told this."""
    return placed_alike(was, order) and not any(event.type == "units.allocated" for event in decision.events)


def _named(command: AnyCommand) -> str:
    return f"{command.action} {command.subject} {command.key}".strip()


def _batch(read: Read) -> tuple[datetime, int]:
    return read.kept.effective_at, read.kept.part


def _timed(rows: Iterable[T], spent: dict[str, float], name: str) -> Iterable[T]:
    clock = time.perf_counter
    source = iter(rows)
    while True:
        began = clock()
        row = next(source, None)
        spent[name] += clock() - began
        if row is None:
            return
        yield row
