"""What one attempt at a micro-batch does, inside of its transaction: ledger, load, decide, save.

A step of the way never calls back: what was asked before is answered, what is new is decided one after the other (each seeing
what those before it did), what waited for it goes on, and everything is written at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from interlock.domain import authority, commands
from interlock.domain.commands import AnyCommand, CountStock, CreateOrder, HoldReservation, OrderCommand, RejectShipment
from interlock.domain.decide import UNRECORDED, decide
from interlock.domain.decision import Arrival, Decision, Outcome, OutcomeWord, Problem, Trouble, World
from interlock.domain.estate import Estate
from interlock.domain.sourcing import Sourcing
from interlock.domain.values import NodeId, OrderId, Sku
from interlock.storage import ledger, messages, stock
from interlock.storage import world as worlds
from interlock.storage.database import Transaction
from interlock.storage.save import Before, save_decisions
from interlock.storage.together import Together

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
    """One attempt. `guilty` are parked messages to put away instead of deciding them."""

    def __init__(
        self,
        setting: Setting,
        tx: Transaction,
        part: int,
        arrivals: Sequence[Arrival],
        *,
        kept: bool,
        strict: bool,
        guilty: Mapping[UUID, Problem],
    ) -> None:
        self.setting, self.tx, self.part, self.guilty = setting, tx, part, guilty
        self.arrivals, self.kept, self.strict = arrivals, kept, strict
        self.now = datetime.now(UTC)
        self.decided: list[tuple[Arrival, Decision]] = []
        self.results: dict[int, Outcome] = {}
        self.entries: dict[ledger.Key, ledger.Entry] = {}
        self.again: dict[ledger.Key, list[int]] = {}
        self.woken_outcomes: list[Outcome] = []
        self.freed: list[ledger.Key] = []
        self.waiting: dict[str, list[tuple[int | None, Arrival]]] = {}

    def outcomes(self) -> list[Outcome]:
        """Do it: one outcome for each arrival, in order. Raises StockMissed if it must be run again, on locked rows."""
        readable = [(place, a, a.command) for place, a in enumerate(self.arrivals) if a.command and not a.problem]
        keys = [ledger_key(command) for _, _, command in readable]
        created = [c.order_id for _, _, c in readable if isinstance(c, CreateOrder)]
        known, awaited = ledger.known(ledger.ask_many(self.tx, self.part, keys, created)) if keys else ({}, set())
        parked = messages.parked_many(self.tx, self.part, sorted(awaited)) if awaited else []
        hashes = {place: commands.payload_hash(command) for place, _, command in readable}

        fresh: list[int] = []
        first: dict[ledger.Key, int] = {}
        later: list[tuple[int, ledger.Key]] = []
        for (place, arrival, _), key in zip(readable, keys, strict=True):
            if key in known:
                self._answer_again(place, arrival, key, known[key], hashes[place])
            elif key in first:
                later.append((place, key))
            else:
                first[key] = place
                fresh.append(place)

        for early in parked:
            self.waiting.setdefault(messages.subject_of(early), []).append((None, early))
        timers = [a for a in self.arrivals if a.problem is not None and a.system == authority.INTERLOCK]
        seen_by = [self.arrivals[place] for place in [*fresh, *(place for place, _ in later)]]
        world, before = self._load([*seen_by, *timers, *parked])
        woken = self._decide(world, fresh, hashes)
        woken.update(self._silence(world, timer) for timer in timers)
        for place, key in later:
            if key not in self.entries:  # refused for its sender alone: the key is still free
                first[key] = place
                woken |= self._decide(world, [place], hashes)
                continue
            original = self.results[first[key]]
            seen = ledger.Known(hashes[first[key]], original.outcome, bytes(original.answer))
            self._answer_again(place, self.arrivals[place], key, seen, hashes[place])
        for place, arrival in enumerate(self.arrivals):
            if arrival.problem is not None or arrival.command is None:
                self.results[place] = self._quarantined(arrival, arrival.problem or _UNREADABLE)
        self._save(world, before, woken, parked)
        return [self.results[place] for place in range(len(self.arrivals))]

    def _load(self, arrivals: Sequence[Arrival]) -> tuple[World, dict[OrderId, Before]]:
        """What these arrivals must see. Only what may be sourced or counted needs its stock read."""
        order_ids: set[OrderId] = set()
        skus: set[Sku] = set()
        sourced: set[OrderId] = set()
        for arrival in arrivals:
            command = arrival.command
            if isinstance(command, CreateOrder):
                if command.fulfillment != "carry_out":
                    skus.update([line.sku for line in command.lines])
            elif isinstance(command, OrderCommand):
                order_ids.add(command.order_id)
                if isinstance(command, HoldReservation | RejectShipment):
                    sourced.add(command.order_id)
            elif command is not None:
                skus.add(command.sku)
        orders = worlds.load_orders(self.tx, self.part, order_ids) if order_ids else {}
        for order_id in sourced & orders.keys():
            skus.update([line.sku for line in orders[order_id].lines.values()])
        estate = self.setting.estate
        # Days before positions, as they are saved: whoever locks them in another order meets a deadlock.
        load = worlds.load_node_days(self.tx, self.setting.days(self.now), locked=self.strict) if skus else {}
        counted = [(c.sku, c.node) for c in (a.command for a in arrivals) if isinstance(c, CountStock)]
        if counted:
            known = [(sku, node) for sku, node in counted if node in estate.nodes]
            stock.open_many(self.tx, known, self.now)  # a row that is not there cannot be locked
        asked = worlds.ask_positions(self.tx, skus, locked=self.strict) if skus else None
        positions = worlds.positions(asked, estate) if asked else {}
        before = {order_id: Before.of(order) for order_id, order in orders.items()}
        return World(estate, self.setting.sourcing, self.now, orders, positions, load), before

    def _decide(self, world: World, fresh: Sequence[int], hashes: dict[int, bytes]) -> set[OrderId]:
        """Decide what is new, and what waited for it. Gives the orders whose timer alone changed."""
        woken: set[OrderId] = set()
        for place in fresh:
            arrival = self.arrivals[place]
            command = _command(arrival)
            decision = self._decide_one(world, place, arrival, hashes[place])
            if decision.outcome == "parked":
                self.waiting.setdefault(command.subject, []).append((place, arrival))
                continue
            if isinstance(command, CreateOrder) and decision.outcome == "processed":
                for waited, early in self.waiting.pop(command.subject, []):
                    self._go_on(world, waited, early)
            timer_failed = arrival.system == authority.INTERLOCK and decision.outcome != "processed"
            if timer_failed and command.subject in world.orders:
                woken.add(self._silence(world, arrival))
        return woken

    def _go_on(self, world: World, place: int | None, early: Arrival) -> None:
        """What waited is decided now; if it was kept (no place in this batch) and fails, it must not take others along."""
        problem = self.guilty.get(early.message_id)
        if problem is not None:
            self.freed.append(ledger_key(_command(early)))
            self.woken_outcomes.append(self._quarantined(early, problem))
            return
        try:
            self._decide_one(world, place, early, commands.payload_hash(_command(early)))
        except Exception as error:
            if place is None:
                raise WokenFailed(early, error) from error
            raise

    def _silence(self, world: World, timer: Arrival) -> OrderId:
        """Time has nothing more to do for this order until something else happens to it."""
        order = world.orders[OrderId(_command(timer).subject)]
        order.wake_at = None
        return order.order_id

    def _decide_one(self, world: World, place: int | None, arrival: Arrival, payload_hash: bytes) -> Decision:
        command = _command(arrival)
        decision = decide(world, arrival.system, command)
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
        )
        key = ledger_key(command)
        if decision.reason not in UNRECORDED:
            self.entries[key] = ledger.Entry(
                key, payload_hash, arrival.system, arrival.message_id, decision.outcome, answer
            )
        elif self.entries.pop(key, None) is None and place is None:
            self.freed.append(key)  # it was parked before anybody could know that its sender may not ask for it
        self.decided.append((arrival, decision))
        if place is None:
            self.woken_outcomes.append(outcome)
        else:
            self.results[place] = outcome
        return decision

    def _answer_again(
        self, place: int, arrival: Arrival, key: ledger.Key, seen: ledger.Known, payload_hash: bytes
    ) -> None:
        """The first answer to the same request; to another one under the same key, that it is a conflict."""
        same = seen.payload_hash == payload_hash
        counts = self.again.setdefault(key, [0, 0])
        counts[0] += 1
        counts[1] += not same
        word: OutcomeWord = "duplicate" if same else "conflict"
        explanation = "" if same else f"{key[1]} {key[2] or key[0]} was asked before with another payload"
        self.results[place] = Outcome(
            message_id=arrival.message_id,
            outcome=word,
            first=seen.outcome,
            answer=msgspec.Raw(seen.answer),
            reason=explanation,
        )
        if not same:
            trouble = Trouble(reason="conflict", what=f"{key[1]}/{key[2]}", explanation=explanation)
            self.decided.append((arrival, Decision(outcome=word, reason=word, troubles=[trouble])))

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

    def _save(
        self, world: World, before: dict[OrderId, Before], woken: set[OrderId], parked: Sequence[Arrival]
    ) -> None:
        tx, part, now = self.tx, self.part, self.now
        results = [self.results[place] for place in range(len(self.arrivals))]
        write = messages.settle_many if self.kept else messages.keep_many
        writes = Together(tx)
        write(writes, part, self.arrivals, results, now)
        if self.woken_outcomes:
            by_id = {arrival.message_id: arrival for arrival in parked}
            awaited = [by_id[outcome.message_id] for outcome in self.woken_outcomes]
            messages.settle_many(writes, part, awaited, self.woken_outcomes, now)
        if self.entries:
            ledger.record_many(writes, part, list(self.entries.values()), now)
        days = self.setting.days(now) if any(d.given for _, d in self.decided) else {}
        save_decisions(tx, writes, part, world, before, self.decided, woken, days, strict=self.strict)
        if self.again:
            # After the new keys: one of them may have come again in the same batch.
            ledger.touch_many(tx, part, {key: (n[0], n[1]) for key, n in self.again.items()}, now)
        if self.freed:
            ledger.forget_many(tx, part, self.freed)


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
