"""What one attempt at a micro-batch does, inside of its transaction: ledger, load, decide, save.

A step of the way never calls back: what was asked before is answered, what is new is decided one after the other (each seeing
what those before it did), what waited for it goes on, and everything is written at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from interlock.domain import authority, commands
from interlock.domain.commands import (
    AnyCommand,
    CancelOrder,
    CountStock,
    CreateOrder,
    HoldReservation,
    OrderCommand,
    RejectShipment,
)
from interlock.domain.decide import UNRECORDED, decide
from interlock.domain.decision import (
    Arrival,
    Decision,
    Outcome,
    OutcomeWord,
    Problem,
    Trouble,
    Version,
    VersionKey,
    World,
)
from interlock.domain.estate import PARKED_S, Estate
from interlock.domain.sourcing import Sourcing
from interlock.domain.two_masters import told
from interlock.domain.values import NodeId, OrderId
from interlock.domain.versions import fact_of, may_restate, numbers
from interlock.engine.desk import Desk, Wanted, Written
from interlock.engine.masters import Masters
from interlock.storage import ledger, messages

PARKED_MAX = 200
"""Messages that may be parked on one order: each command of the order decides them all again."""

_encode = msgspec.json.Encoder(decimal_format="string").encode
_UNREADABLE = Problem(reason="unreadable", explanation="it could not be read")


class WokenFailed(Exception):
    """A message that waited cannot be processed by our own code; what it waited for is innocent."""

    def __init__(self, arrival: Arrival, error: Exception) -> None:
        self.arrival = arrival
        self.error = error
        super().__init__(f"message {arrival.message_id}: {error}")


class Setting:
    """What every batch of an estate needs, made once."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.sourcing = Sourcing(estate)
        self._limited = {
            node.id: ZoneInfo(node.time_zone)
            for node in estate.nodes.values()
            if node.capacity_orders_per_day is not None
        }

    def days(self, now: datetime) -> dict[NodeId, date]:
        """The local day of each node that has a daily capacity."""
        minute = now.replace(second=0, microsecond=0)
        return {node: _day(zone, minute) for node, zone in self._limited.items()}


class Steps:
    """One attempt at `now`. `guilty` are parked messages to put away instead of deciding them."""

    def __init__(
        self,
        setting: Setting,
        desk: Desk,
        arrivals: Sequence[Arrival],
        now: datetime,
        *,
        guilty: Mapping[UUID, Problem],
    ) -> None:
        self.setting, self.desk, self.guilty = setting, desk, guilty
        self.arrivals, self.now = arrivals, now
        self.decided: list[tuple[Arrival, Decision]] = []
        self.results: dict[int, Outcome] = {}
        self.entries: dict[ledger.Key, ledger.Entry] = {}
        self.again: dict[ledger.Key, list[int]] = {}
        self.woken: dict[UUID, tuple[Arrival, Outcome]] = {}
        self.freed: list[ledger.Key] = []
        self.known: dict[ledger.Key, ledger.Known] = {}
        self.waiting: dict[str, list[tuple[int | None, Arrival]]] = {}
        self.retold: list[Arrival] = []
        self.masters = Masters(setting.estate, desk)

    def outcomes(self) -> list[Outcome]:
        """Do it: one outcome for each arrival, in order. Raises StockMissed if it must be run again, on locked rows."""
        readable = [(place, a, a.command) for place, a in enumerate(self.arrivals) if a.command and not a.problem]
        keys = [ledger_key(command) for _, _, command in readable]
        subjects = list(dict.fromkeys([c.order_id for _, _, c in readable if isinstance(c, OrderCommand)]))
        self.known, awaited = self.desk.known(keys, subjects) if keys else ({}, set())
        parked = self.desk.parked(sorted(awaited)) if awaited else []
        hashes = {place: commands.payload_hash(command) for place, _, command in readable}
        self.masters.load(arrival for _, arrival, _ in readable)

        fresh: list[int] = []
        first: set[ledger.Key] = set()
        later: list[tuple[int, ledger.Key]] = []
        for (place, arrival, command), key in zip(readable, keys, strict=True):
            seen = self.known.get(key)
            if key in first:
                later.append((place, key))
            elif seen is None or (seen.payload_hash != hashes[place] and self._may_restate(arrival, command)):
                first.add(key)
                fresh.append(place)
            else:
                self._answer_again(place, arrival, key, seen, hashes[place])

        for early in parked:
            self.waiting.setdefault(messages.subject_of(early), []).append((None, early))
        timers = [a for a in self.arrivals if a.problem is not None and a.system == authority.INTERLOCK]
        seen_by = [self.arrivals[place] for place in [*fresh, *(place for place, _ in later)]]
        world = self._load([*seen_by, *timers, *parked, *self.retold], set(self.known))
        self._note_versions(world)
        silent = self._decide(world, fresh, hashes)
        silent.update(self._silence(world, timer) for timer in timers)
        for place, key in later:
            silent |= self._come_again(world, place, key, hashes)
        for place, arrival in enumerate(self.arrivals):
            if arrival.problem is not None or arrival.command is None:
                self.results[place] = self._quarantined(arrival, arrival.problem or _UNREADABLE)
        results = [self.results[place] for place in range(len(self.arrivals))]
        self.desk.save(
            world,
            Written(
                arrivals=self.arrivals,
                results=results,
                woken=list(self.woken.values()),
                entries=list(self.entries.values()),
                again={key: (counts[0], counts[1]) for key, counts in self.again.items()},
                freed=self.freed,
                decided=self.decided,
                silent=silent,
                days=self.setting.days(self.now) if any(d.given for _, d in self.decided) else {},
                reports=self.masters.written,
            ),
        )
        return results

    def _come_again(self, world: World, place: int, key: ledger.Key, hashes: dict[int, bytes]) -> set[OrderId]:
        """A key that was new in this batch came twice in it: answer as the first time, or decide where that is free again."""
        arrival, entry = self.arrivals[place], self.entries.get(key)
        seen = ledger.Known(entry.payload_hash, entry.outcome, bytes(entry.answer)) if entry else self.known.get(key)
        if seen is None or (seen.payload_hash != hashes[place] and self._may_restate(arrival, _command(arrival))):
            # The first was refused for its sender alone, and the key is still free; or its source tells it otherwise now.
            return self._decide(world, [place], hashes)
        self._answer_again(place, arrival, key, seen, hashes[place])
        self._note_versions(world)
        return set()

    def _note_versions(self, world: World) -> None:
        """The same statement under a newer number of its source: what is older than that number is old from now on."""
        for arrival in self.retold:
            command = _command(arrival)
            key: VersionKey = (command.subject, fact_of(command), arrival.system)
            if command.version is not None and command.version > world.newest.get(key, -1):
                world.newest[key] = command.version
                version = Version(key, command.version)
                self.decided.append((arrival, Decision(outcome="duplicate", versions=[version])))
        self.retold.clear()

    def _may_restate(self, arrival: Arrival, command: AnyCommand) -> bool:
        return may_restate(self.setting.estate.systems.get(arrival.system), command)

    def _load(self, arrivals: Sequence[Arrival], known: set[ledger.Key]) -> World:
        """What these arrivals must see. Only what may be sourced or counted needs its stock read."""
        wanted = Wanted()
        estate = self.setting.estate
        for arrival in arrivals:
            command = arrival.command
            if isinstance(command, CreateOrder):
                if command.fulfillment != "carry_out":
                    wanted.skus.update([line.sku for line in command.lines])
                if ledger_key(command) in known:  # told again, otherwise
                    wanted.orders.add(command.order_id)
            elif isinstance(command, OrderCommand):
                wanted.orders.add(command.order_id)
                if isinstance(command, HoldReservation | RejectShipment):
                    wanted.sourced.add(command.order_id)
            elif command is not None:
                wanted.skus.add(command.sku)
                if isinstance(command, CountStock) and command.node in estate.nodes:
                    wanted.counted.append((command.sku, command.node))
            if command is not None and self._may_restate(arrival, command):
                wanted.versions.append((command.subject, fact_of(command), arrival.system))
        return self.desk.load(wanted, self.setting.days(self.now), self.now)

    def _decide(self, world: World, fresh: Sequence[int], hashes: dict[int, bytes]) -> set[OrderId]:
        """Decide what is new, and what waited for it. Gives the orders whose timer alone changed."""
        silent: set[OrderId] = set()
        for place in fresh:
            arrival = self.arrivals[place]
            command = _command(arrival)
            subject = command.subject
            created = isinstance(command, CreateOrder)
            if created and any(isinstance(early.command, CancelOrder) for _, early in self.waiting.get(subject, ())):
                world.early.add(OrderId(subject))
            decision = self._decide_one(world, place, arrival, hashes[place])
            if decision.outcome == "parked":
                self.waiting.setdefault(subject, []).append((place, arrival))
            elif decision.outcome == "processed" and subject in self.waiting:
                self._wake(world, subject, created=created)
            world.early.discard(OrderId(subject))
            timer_failed = arrival.system == authority.INTERLOCK and decision.outcome != "processed"
            if timer_failed and subject in world.orders:
                silent.add(self._silence(world, arrival))
        return silent

    def _wake(self, world: World, subject: str, *, created: bool) -> None:
        """Something became true of the order: what waits is decided in order of arrival, until nothing more can go on.

        When the order has just come, cancellations go first: what was canceled already shall not be told to anybody.
        """
        waiting = self.waiting.pop(subject)
        if created:
            waiting.sort(key=lambda item: not isinstance(item[1].command, CancelOrder))
        moved = True
        while moved and waiting:
            moved = False
            left: list[tuple[int | None, Arrival]] = []
            for place, early in waiting:
                outcome = self._go_on(world, place, early)
                if outcome == "parked":
                    left.append((place, early))
                moved = moved or outcome == "processed"
            waiting = left
        if waiting:
            self.waiting[subject] = waiting

    def _go_on(self, world: World, place: int | None, early: Arrival) -> OutcomeWord:
        """What waited is decided now; if it was kept (no place in this batch) and fails, it must not take others along."""
        problem = self.guilty.get(early.message_id)
        if problem is not None:
            self.freed.append(ledger_key(_command(early)))
            self.woken[early.message_id] = early, self._quarantined(early, problem)
            return "quarantined"
        try:
            return self._decide_one(world, place, early, commands.payload_hash(_command(early)), woken=True).outcome
        except Exception as error:
            if place is None:
                raise WokenFailed(early, error) from error
            raise

    def _silence(self, world: World, timer: Arrival) -> OrderId:
        """Time has nothing more to do for this order until something else happens to it."""
        order = world.orders[OrderId(_command(timer).subject)]
        order.wake_at = None
        return order.order_id

    def _decide_one(
        self, world: World, place: int | None, arrival: Arrival, payload_hash: bytes, *, woken: bool = False
    ) -> Decision:
        command = _command(arrival)
        decision = decide(world, arrival.system, command)
        if decision.outcome == "parked" and not woken and len(self.waiting.get(command.subject, ())) >= PARKED_MAX:
            decision = _crowded(command)
        answer = _encode(
            {"outcome": decision.outcome, **({"reason": decision.reason} if decision.reason else {}), **decision.answer}
        )
        outcome = Outcome(
            message_id=arrival.message_id,
            outcome=decision.outcome,
            first=decision.outcome,
            answer=msgspec.Raw(answer),
            reason=decision.explanation or decision.reason,
            waits_for=decision.waits_for,
            waits_until=self._waits_until(arrival, decision),
        )
        key = ledger_key(command)
        told_before = not woken and (key in self.known or key in self.entries)
        if told_before and decision.outcome != "processed":
            # A statement told again that changed nothing: the first answer stands.
            counts = self.again.setdefault(key, [0, 0])
            counts[0] += 1
            counts[1] += decision.outcome == "conflict"
        elif decision.reason not in UNRECORDED:
            self.entries[key] = ledger.Entry(
                key, payload_hash, arrival.system, arrival.message_id, decision.outcome, answer
            )
            self.masters.heard(arrival, key)
        elif self.entries.pop(key, None) is None and place is None:
            self.freed.append(key)  # it was parked before anybody could know that its sender may not ask for it
        self.decided.append((arrival, decision))
        if place is None:
            self.woken[arrival.message_id] = arrival, outcome
        else:
            self.results[place] = outcome
        return decision

    def _waits_until(self, arrival: Arrival, decision: Decision) -> datetime | None:
        if decision.outcome != "parked":
            return None
        system = self.setting.estate.systems.get(arrival.system)
        patience_s = system.parked_s(_command(arrival).action) if system is not None else PARKED_S
        return arrival.received_at + timedelta(seconds=patience_s)

    def _answer_again(
        self, place: int, arrival: Arrival, key: ledger.Key, seen: ledger.Known, payload_hash: bytes
    ) -> None:
        """The first answer to the same request; to another one under the same key, that it is a conflict."""
        report = self.masters.heard(arrival, key)
        same = seen.payload_hash == payload_hash or (report is not None and report.verdict == "agrees")
        counts = self.again.setdefault(key, [0, 0])
        counts[0] += 1
        counts[1] += not same
        word: OutcomeWord = "duplicate" if same else "conflict"
        what = f"{key[1]}/{key[2]}"
        if same:
            trouble, explanation = None, ""
        elif report is not None and report.other is not None:
            explanation = f"{report.system} tells {key[1]} {key[2] or key[0]} otherwise than {report.other}: "
            explanation += told(report.differences)
            trouble = Trouble(reason="divergence", what=what, explanation=explanation)
        else:
            explanation = f"{key[1]} {key[2] or key[0]} was asked before with another payload"
            trouble = Trouble(reason="conflict", what=what, explanation=explanation)
        self.results[place] = Outcome(
            message_id=arrival.message_id,
            outcome=word,
            first=seen.outcome,
            answer=msgspec.Raw(seen.answer),
            reason=explanation,
        )
        system = self.setting.estate.systems.get(arrival.system)
        if same and seen.outcome != "refused" and system is not None and numbers(system, _command(arrival)):
            self.retold.append(arrival)
        if trouble is not None:
            self.decided.append((arrival, Decision(outcome=word, reason=trouble.reason, troubles=[trouble])))

    def _quarantined(self, arrival: Arrival, problem: Problem) -> Outcome:
        """Put away what could not be read or processed, where a person finds it."""
        trouble = Trouble(reason="quarantined", what=problem.reason, explanation=problem.explanation)
        self.decided.append((arrival, Decision(outcome="quarantined", troubles=[trouble])))
        return Outcome(
            message_id=arrival.message_id,
            outcome="quarantined",
            first="quarantined",
            reason=f"{problem.reason}: {problem.explanation}",
            answer=msgspec.Raw(
                _encode(
                    {
                        "outcome": "quarantined",
                        "reason": problem.reason,
                        "detail": problem.explanation,
                        "errors": problem.errors,
                    }
                )
            ),
        )


def _crowded(command: AnyCommand) -> Decision:
    """No more may wait on this order: the sender may come again, and a person looks what is going on."""
    explanation = f"{PARKED_MAX} messages wait on {command.subject} already: come again when some have gone on"
    return Decision(
        outcome="refused",
        reason="too_many_parked",
        explanation=explanation,
        answer={"reason": "too_many_parked", "detail": explanation},
        troubles=[Trouble(reason="too_many_parked", what=command.action, explanation=explanation)],
    )


def ledger_key(command: AnyCommand) -> ledger.Key:
    """What the ledger knows a command by."""
    return command.subject, command.action, command.key


def _command(arrival: Arrival) -> AnyCommand:
    if arrival.command is None:
        raise ValueError(f"message {arrival.message_id} holds no command")
    return arrival.command


@lru_cache(maxsize=4096)
def _day(zone: ZoneInfo, minute: datetime) -> date:
    return minute.astimezone(zone).date()
