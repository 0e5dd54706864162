"""The micro-batch: ledger, authority, decide and save for whatever waits in one part, in one transaction.

Tried first on what is seen without locks, the stock being taken last and under a condition. Where somebody else took it
meanwhile, nothing is kept and the batch is decided again on locked rows. A batch that fails otherwise is cut in halves until
the guilty message stands alone; that one is quarantined, its neighbours go on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache, partial
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec
import structlog

from interlock.domain import authority, commands
from interlock.domain.commands import AnyCommand, CountStock, CreateOrder, HoldReservation, OrderCommand, RejectShipment
from interlock.domain.decide import UNRECORDED, decide
from interlock.domain.decision import Arrival, Decision, Outcome, OutcomeWord, Problem, Trouble, World
from interlock.domain.errors import StorageError, TransactionConflict
from interlock.domain.estate import Estate
from interlock.domain.sourcing import Sourcing
from interlock.domain.values import NodeId, OrderId, Sku
from interlock.storage import ledger, messages
from interlock.storage import world as worlds
from interlock.storage.database import Database, Transaction
from interlock.storage.save import Before, save_decisions
from interlock.storage.stock import StockMissed
from interlock.storage.together import Together

BATCH_COMMANDS_MAX = 400
STOCK_ATTEMPTS_MAX = 6

log = structlog.get_logger()
_encode = msgspec.json.Encoder(decimal_format="string").encode


T = TypeVar("T")
Reader = Callable[[Transaction, int, int], list[Arrival]]
"""Reads what waits in a part: (transaction, part, limit) -> arrivals."""


class Batcher:
    """Runs batches for one estate on one database. Safe to share between threads."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self.db = db
        self.estate = estate
        self.sourcing = Sourcing(estate)
        self._limited = {
            node.id: ZoneInfo(node.time_zone)
            for node in estate.nodes.values()
            if node.capacity_orders_per_day is not None
        }

    def run(self, part: int, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep and process arrivals of one part and commit; one outcome for each, in order.

        Waits for whoever works on the part. Raises DatabaseUnavailable or TransactionConflict; then nothing was accepted.
        """

        def attempt(tx: Transaction, strict: bool) -> list[Outcome]:
            with tx.pipeline():
                messages.lock_part(tx, part)
                return self.run_in(tx, part, arrivals, kept=False, strict=strict)

        try:
            return self._optimistic(attempt, strict=_must_lock(arrivals))
        except StorageError:
            raise
        except Exception as error:
            if len(arrivals) > 1:
                middle = len(arrivals) // 2
                return [*self.run(part, arrivals[:middle]), *self.run(part, arrivals[middle:])]
            if arrivals[0].problem is not None:
                raise
            return self.run(part, [_guilty(arrivals[0], error)])

    def work(self, part: int, limit: int, read: Reader, *, kept: bool) -> int:
        """Process what `read` finds waiting in the part, at most `limit`; gives how many, 0 if somebody else has the part."""
        found: list[Arrival] = []

        def attempt(tx: Transaction, strict: bool, blamed: tuple[Arrival, Exception] | None = None) -> int:
            found.clear()
            if not messages.claim_part(tx, part):
                return 0
            found.extend(read(tx, part, limit if blamed is None else 1))
            if not found:
                return 0
            if _must_lock(found) and not strict:
                strict = True
            arrivals = found
            if blamed is not None:
                # The part was free for a moment: another worker may have put the guilty one away already.
                if (found[0].system, found[0].command) != (blamed[0].system, blamed[0].command):
                    return 0
                arrivals = [_guilty(found[0], blamed[1])]
            with tx.pipeline():
                self.run_in(tx, part, arrivals, kept=kept, strict=strict)
            return len(found)

        try:
            return self._optimistic(attempt, strict=False)
        except StorageError:
            raise
        except Exception as error:
            if len(found) > 1:
                return self.work(part, len(found) // 2, read, kept=kept)
            if not found:
                raise
            return self.db.transaction(partial(attempt, strict=False, blamed=(found[0], error)))

    def _optimistic(self, attempt: Callable[[Transaction, bool], T], *, strict: bool) -> T:
        """Run without locks on stock first, and on locked rows if somebody else took what was seen."""
        for misses in range(STOCK_ATTEMPTS_MAX):
            locked = strict or misses > 0
            try:
                return self.db.transaction(lambda tx, locked=locked: attempt(tx, locked))  # type: ignore[misc]
            except StockMissed as missed:
                log.debug("stock_missed", misses=misses + 1, what=str(missed))
        raise TransactionConflict(f"stock or capacity was taken by others {STOCK_ATTEMPTS_MAX} times: try again later")

    def run_in(
        self, tx: Transaction, part: int, arrivals: Sequence[Arrival], *, kept: bool, strict: bool
    ) -> list[Outcome]:
        """The same inside of a transaction that holds the part. Raises StockMissed if it must be run again, strictly."""
        return _Run(self, tx, part, arrivals, kept=kept, strict=strict).outcomes()

    def days(self, now: datetime) -> dict[NodeId, date]:
        """The local day of each node that has a daily capacity."""
        return {node: _day(zone, now.replace(second=0, microsecond=0)) for node, zone in self._limited.items()}


class _Run:
    """One attempt at one batch, inside of its transaction."""

    def __init__(
        self, batcher: Batcher, tx: Transaction, part: int, arrivals: Sequence[Arrival], *, kept: bool, strict: bool
    ) -> None:
        self.batcher, self.tx, self.part = batcher, tx, part
        self.arrivals, self.kept, self.strict = arrivals, kept, strict
        self.now = datetime.now(UTC)
        self.decided: list[tuple[Arrival, Decision]] = []
        self.results: dict[int, Outcome] = {}
        self.entries: dict[ledger.Key, ledger.Entry] = {}
        self.again: dict[ledger.Key, list[int]] = {}
        self.woken_outcomes: list[Outcome] = []
        self.waiting: dict[str, list[tuple[int | None, Arrival]]] = {}

    def outcomes(self) -> list[Outcome]:
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
                self._put_away(place, arrival)
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
        estate = self.batcher.estate
        # Days before positions, as they are saved: whoever locks them in another order meets a deadlock.
        load = worlds.load_node_days(self.tx, self.batcher.days(self.now), locked=self.strict) if skus else {}
        asked = worlds.ask_positions(self.tx, skus, locked=self.strict) if skus else None
        positions = worlds.positions(asked, estate) if asked else {}
        before = {order_id: Before.of(order) for order_id, order in orders.items()}
        return World(estate, self.batcher.sourcing, self.now, orders, positions, load), before

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
                    self._decide_one(world, waited, early, commands.payload_hash(_command(early)))
            timer_failed = arrival.system == authority.INTERLOCK and decision.outcome != "processed"
            if timer_failed and command.subject in world.orders:
                woken.add(self._silence(world, arrival))
        return woken

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

    def _put_away(self, place: int, arrival: Arrival) -> None:
        """Quarantine what could not be read."""
        problem = arrival.problem or Problem(reason="unreadable", explanation="it could not be read")
        self.results[place] = Outcome(
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
        trouble = Trouble(reason="quarantined", what=problem.reason, explanation=problem.explanation)
        self.decided.append((arrival, Decision(outcome="quarantined", troubles=[trouble])))

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
        days = self.batcher.days(now) if any(d.given for _, d in self.decided) else {}
        save_decisions(tx, writes, part, world, before, self.decided, woken, days, strict=self.strict)
        if self.again:
            # After the new keys: one of them may have come again in the same batch.
            ledger.touch_many(tx, part, {key: (n[0], n[1]) for key, n in self.again.items()}, now)


def ledger_key(command: AnyCommand) -> ledger.Key:
    """What the ledger knows a command by."""
    return command.subject, command.action, command.key


def _must_lock(arrivals: Sequence[Arrival]) -> bool:
    """A count says what there is, not what changed: it must see stock that nobody else is changing."""
    return any(isinstance(arrival.command, CountStock) for arrival in arrivals)


def _guilty(arrival: Arrival, error: Exception) -> Arrival:
    """The one message that our own code cannot process, marked so that it is put away where a person finds it."""
    # The plain trace of this error alone: a rendering with local variables would log whole customers' orders.
    trace = "".join(traceback.format_exception(error, chain=False))
    log.error("message_quarantined", message_id=str(arrival.message_id), system=arrival.system, trace=trace)
    explanation = f"{type(error).__name__}: {error}"[:500]
    return msgspec.structs.replace(arrival, problem=Problem(reason="internal_error", explanation=explanation))


def _command(arrival: Arrival) -> AnyCommand:
    if arrival.command is None:
        raise ValueError(f"message {arrival.message_id} holds no command")
    return arrival.command


@lru_cache(maxsize=4096)
def _day(zone: ZoneInfo, minute: datetime) -> date:
    return minute.astimezone(zone).date()
