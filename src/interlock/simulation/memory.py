"""Interlock in memory: the real steps and decisions on a store of dictionaries, with time given from outside.

    interlock = MemoryInterlock(estate)
    outcomes = interlock.take(arrivals, now)
    violations = interlock.check()

One transaction after the other; what a crash before the commit would lose is taken back. Decisions change orders and positions
in place, as they do on loaded copies elsewhere; so taking back means that orders are copied from their shadows and movements are
reversed. What happens to rows alone (outbox, exceptions, the parked) is what `storage/` says in SQL, said again in the plainest
way; `on_postgres.py` runs the same scenarios on the SQL itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import date, datetime, timedelta
from heapq import heappop, heappush
from uuid import UUID

import msgspec

from interlock.domain.decision import Arrival, Decision, Outcome, Problem, World
from interlock.domain.estate import Estate
from interlock.domain.two_masters import ReportKey
from interlock.domain.values import NodeId, OrderId, SystemId
from interlock.engine.desk import Wanted, Written
from interlock.engine.steps import Setting, Steps, WokenFailed
from interlock.engine.worker import DUE_ORDERS_MAX, timer
from interlock.simulation.digest import digest
from interlock.simulation.port import Crashed, CrashPoint, Told, Violation
from interlock.simulation.store import ExceptionRow, Parked, Row, Store
from interlock.simulation.truths import Truths
from interlock.storage import ledger
from interlock.storage.messages import PARKED_TOO_LONG, Due, part_of_arrival, subject_of

_encode = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode


class MemoryInterlock:
    """The port on a store in memory. `by_part`: one transaction for each part, as on PostgreSQL, instead of one for all."""

    def __init__(self, estate: Estate, *, by_part: bool = False) -> None:
        self.estate = estate
        self.store = Store()
        self.by_part = by_part
        self._setting = Setting(estate)
        self._truths = Truths(estate, self.store)
        self._wakes: list[tuple[datetime, OrderId]] = []
        self._patience: list[tuple[datetime, UUID, str]] = []
        self._answers: list[tuple[datetime, int, Row]] = []
        self._count = 0

    # The port

    def take(self, arrivals: Sequence[Arrival], now: datetime, *, crash: CrashPoint | None = None) -> list[Outcome]:
        """Keep, decide and commit; one outcome each, in order. Raises Crashed where that was asked for."""
        outcomes = self._take(arrivals, now, crash)
        if crash == "answer":
            raise Crashed(crash)
        return outcomes

    def _take(self, arrivals: Sequence[Arrival], now: datetime, crash: CrashPoint | None) -> list[Outcome]:
        if not self.by_part:
            return self._transaction(arrivals, now, crash)
        parts: dict[int, list[int]] = {}
        for place, arrival in enumerate(arrivals):
            parts.setdefault(part_of_arrival(arrival), []).append(place)
        outcomes: dict[int, Outcome] = {}
        for part in sorted(parts):
            some = self._transaction([arrivals[place] for place in parts[part]], now, crash)
            outcomes.update(zip(parts[part], some, strict=True))
        return [outcomes[place] for place in range(len(arrivals))]

    def wake(self, now: datetime) -> int:
        """Do what time alone causes: backorders tried again, settled orders closed, answers chased, parked ones timed out."""
        done = self._chase(now) + self._lose_patience(now)
        while True:
            due = self._due_orders(now)
            if not due:
                return done
            self.take([timer(each, now, self._next_id()) for each in due], now)
            done += len(due)

    def next_wake(self) -> datetime | None:
        """When time itself acts next, None if on nothing."""
        while self._wakes:
            at, order_id = self._wakes[0]
            if self.store.orders[order_id].wake_at == at:
                break
            heappop(self._wakes)
        heads = [heap[0][0] for heap in (self._wakes, self._patience, self._answers) if heap]
        return min(heads) if heads else None

    def due(self, receiver: SystemId, now: datetime, limit: int) -> list[Told]:  # noqa: ARG002 - all is due at once
        """What the receiver must be told next; of one order only the oldest that was not delivered."""
        found: list[Told] = []
        seen: set[OrderId] = set()
        for row in sorted(self.store.outbox.get(receiver, {}).values(), key=_turn):
            if row.told.order_id not in seen:
                seen.add(row.told.order_id)
                found.append(row.told)
                if len(found) == limit:
                    break
        return found

    def settle(self, told: Sequence[Told], now: datetime) -> None:
        """These were delivered: the time for their answers runs from now."""
        for each in told:
            row = self.store.outbox[each.receiver].pop(_key(each), None)
            if row is not None and row.answer_within_s is not None and not row.answered:
                row.answer_due_at = now + timedelta(seconds=row.answer_within_s)
                self._count += 1
                heappush(self._answers, (row.answer_due_at, self._count, row))

    def check(self) -> list[Violation]:
        """What is not true of what was touched since the last call."""
        return self._truths.check()

    def check_all(self, now: datetime) -> list[Violation]:
        """Every statement on everything."""
        return self._truths.check_all() + [
            Violation("answered_or_chased", row.told.order_id, f"assignment {row.told.assignment_no} is overdue unseen")
            for rows in self.store.unanswered.values()
            for row in rows
            if row.answer_due_at is not None and row.answer_due_at < now and not self._is_chased(row)
        ]

    def check_rest(self, now: datetime) -> list[Violation]:
        """After a quiet time: nothing held without an exception or a timer, an exception for all that waits."""
        found: list[Violation] = []
        for receiver, rows in self.store.outbox.items():
            found += [Violation("answered_or_chased", k[0], f"{receiver} was never told {k[2]}") for k in rows]
        subjects = {subject for (subject, _), row in self.store.exceptions.items() if row.evidence is None}
        for subject, parked in self.store.parked.items():
            impatient = [each for each in parked if each.waits_until is None or each.waits_until < now]
            if impatient and subject not in subjects:
                waits = ", ".join(sorted({each.waits_for for each in parked}))
                found.append(Violation("nothing_vanishes", subject, f"parked for {waits}, and nobody was told"))
        for order in self.store.orders.values():
            held = [line for line in order.lines.values() if line.held or line.open]
            if order.wake_at is not None and order.wake_at <= now:
                found.append(Violation("answered_or_chased", order.order_id, "its time has come, and nothing happened"))
            if held and order.wake_at is None and order.order_id not in subjects:
                state = f"{order.state} with units held or open, and neither time nor a person will move it"
                found.append(Violation("answered_or_chased", order.order_id, state))
        return found

    def digest(self) -> str:
        """A hash of orders, positions, ledger, exceptions and what is parked."""
        store = self.store
        return digest(
            store.orders.values(),
            [
                (sku, node, p.physical, p.unsellable, p.reserved)
                for sku, nodes in store.positions.items()
                for node, p in nodes.items()
                if p.exists
            ],
            [(*key, known.outcome) for key, known in store.ledger.items()],
            [(*key, row.times, row.evidence is None) for key, row in store.exceptions.items()],
            [(subject, each.waits_for) for subject, parked in store.parked.items() for each in parked],
        )

    # The desk

    def _transaction(self, arrivals: Sequence[Arrival], now: datetime, crash: CrashPoint | None) -> list[Outcome]:
        guilty: dict[UUID, Problem] = {}
        while True:
            desk = _MemoryDesk(self, crash)
            steps = Steps(self._setting, desk, arrivals, now, guilty=guilty)
            try:
                outcomes = steps.outcomes()
            except WokenFailed as failed:
                self._take_back(desk, steps.decided)
                explanation = f"{type(failed.error).__name__}: {failed.error}"
                guilty[failed.arrival.message_id] = Problem(reason="internal_error", explanation=explanation)
                continue
            except BaseException:
                if not desk.committed:
                    self._take_back(desk, steps.decided)
                raise
            return outcomes

    def _take_back(self, desk: _MemoryDesk, decided: Sequence[tuple[Arrival, Decision]]) -> None:
        store = self.store
        for order_id, wake_at in desk.loaded.items():
            order = deepcopy(store.shadows[order_id])
            order.wake_at = wake_at
            store.orders[order_id] = order
        for _, decision in decided:
            for m in decision.movements:
                position = store.positions[m.sku][m.node]
                position.physical -= m.physical
                position.unsellable -= m.unsellable
                position.reserved -= m.reserved
                position.sellable -= m.physical - m.unsellable - m.reserved
            for x in decision.exclusions:
                store.positions[x.sku][x.node].excluded_until = store.excluded.get((x.sku, x.node))

    def commit(self, world: World, written: Written, loaded: Mapping[OrderId, datetime | None]) -> None:
        """Write down what a batch has come to; nothing in here fails."""
        store, now = self.store, world.now
        for arrival, outcome in zip(written.arrivals, written.results, strict=True):
            self._settle_message(arrival, outcome)
        woken = {arrival.message_id for arrival, _ in written.woken}
        for arrival, outcome in written.woken:
            subject = subject_of(arrival)
            left = [p for p in store.parked.get(subject, ()) if p.arrival.message_id not in woken]
            store.parked[subject] = left
            if not left:
                del store.parked[subject]
            self._close_parked(subject, arrival.message_id, outcome)
        for arrival, outcome in written.woken:
            self._settle_message(arrival, outcome, again=True)
        for entry in written.entries:
            store.ledger[entry.key] = ledger.Known(entry.payload_hash, entry.outcome, entry.answer)
        for key in written.freed:
            store.ledger.pop(key, None)
        changed = {d.order_id for _, d in written.decided if d.order_id is not None and d.events} | set(written.silent)
        for order_id in sorted(changed):
            order = store.orders[order_id] = world.orders[order_id]
            if order.wake_at is not None and loaded.get(order_id) != order.wake_at:
                heappush(self._wakes, (order.wake_at, order_id))
        for order_id, wake_at in loaded.items():
            if order_id not in changed:
                store.orders[order_id].wake_at = wake_at  # only what has events or a silent timer is written
        self._commit_effects(written, now)
        self._truths.committed(written.decided, written.arrivals, written.results)

    def _commit_effects(self, written: Written, now: datetime) -> None:
        store = self.store
        for report in written.reports:
            store.reports.setdefault(report.key, {}).setdefault(report.system, report.facts)
        for arrival, decision in written.decided:
            for version in decision.versions:
                store.versions[version.key] = version.number
            for node in decision.given:
                if node in written.days:
                    key = (node, written.days[node])
                    store.node_days[key] = store.node_days.get(key, 0) + 1
            for x in decision.exclusions:
                store.excluded[x.sku, x.node] = x.until
            if decision.notices and decision.order_id is not None:
                for n in decision.notices:
                    told = Told(decision.order_id, n.seq, n.receiver, n.message, n.assignment_no, n.body)
                    row = Row(told, now, n.answer_within_s)
                    store.outbox.setdefault(n.receiver, {})[_key(told)] = row
                    if n.answer_within_s is not None:
                        store.unanswered.setdefault((decision.order_id, n.assignment_no), []).append(row)
            for trouble in decision.troubles:
                subject = arrival.command.subject if arrival.command else str(arrival.message_id)
                self._trouble(subject, trouble.reason, trouble.what, now)
        for _, decision in written.decided:
            for number in decision.answered:
                for row in store.unanswered.pop((decision.order_id or OrderId(""), number), ()):
                    row.answered = True
        for sku, node in {(m.sku, m.node): None for _, d in written.decided for m in d.movements}:
            position = store.positions[sku][node]
            position.exists = True
            if position.reserved > position.available:
                self._trouble(sku, "promise_broken" if position.reserved else "negative_stock", node, now)

    def _settle_message(self, arrival: Arrival, outcome: Outcome, *, again: bool = False) -> None:
        action = arrival.command.action if arrival.command is not None else "unreadable"
        if again:
            self.store.outcomes[action, "parked"] -= 1
        self.store.outcomes[action, outcome.outcome] += 1
        if outcome.outcome == "parked":
            parked = Parked(arrival, outcome.waits_for, outcome.waits_until)
            mine = self.store.parked.setdefault(subject_of(arrival), [])
            mine.append(parked)
            mine.sort(key=lambda each: each.arrival.message_id)
            if outcome.waits_until is not None:
                heappush(self._patience, (outcome.waits_until, arrival.message_id, subject_of(arrival)))

    def _close_parked(self, subject: str, message_id: UUID, outcome: Outcome) -> None:
        row = self.store.exceptions.get((subject, f"{PARKED_TOO_LONG}/{message_id}"))
        if row is not None and outcome.outcome != "parked":
            row.evidence = f"what it waited for came, and it was {outcome.outcome}"

    def _trouble(self, subject: str, reason: str, what: str, now: datetime) -> None:
        duty = self.estate.duty(reason)
        row = self.store.exceptions.get((subject, f"{reason}/{what}"))
        if row is None:
            due_at = now + timedelta(seconds=duty.within_s)
            self.store.exceptions[subject, f"{reason}/{what}"] = ExceptionRow(reason, duty.owner, now, due_at)
        else:
            row.times += 1
            row.evidence = None

    # Time

    def _due_orders(self, now: datetime) -> list[Due]:
        found: dict[OrderId, Due] = {}
        while self._wakes and self._wakes[0][0] <= now and len(found) < DUE_ORDERS_MAX:
            at, order_id = heappop(self._wakes)
            order = self.store.orders[order_id]
            if order.wake_at == at:
                found[order_id] = Due(order_id, order.seq, order.state)
        return list(found.values())

    def _chase(self, now: datetime) -> int:
        """Delivered, and not answered in time: work for a person, once for each assignment."""
        chased = 0
        while self._answers and self._answers[0][0] < now:
            row = heappop(self._answers)[2]
            if not row.answered and not self._is_chased(row):
                self._trouble(row.told.order_id, "ack_overdue", str(row.told.assignment_no), now)
                chased += 1
        return chased

    def _is_chased(self, row: Row) -> bool:
        return (row.told.order_id, f"ack_overdue/{row.told.assignment_no}") in self.store.exceptions

    def _lose_patience(self, now: datetime) -> int:
        lost = 0
        while self._patience and self._patience[0][0] < now:
            until, message_id, subject = heappop(self._patience)
            for parked in self.store.parked.get(subject, ()):
                if parked.arrival.message_id == message_id and parked.waits_until == until:
                    parked.waits_until = None
                    if (subject, f"{PARKED_TOO_LONG}/{message_id}") not in self.store.exceptions:
                        self._trouble(subject, PARKED_TOO_LONG, str(message_id), now)
                    lost += 1
        return lost

    def _next_id(self) -> UUID:
        self._count += 1
        return UUID(int=(0xFFFF << 112) + self._count)


class _MemoryDesk:
    """One attempt: what it has loaded, so that it can be taken back."""

    def __init__(self, interlock: MemoryInterlock, crash: CrashPoint | None) -> None:
        self.interlock = interlock
        self.crash = crash
        self.loaded: dict[OrderId, datetime | None] = {}
        self.committed = False

    def known(
        self, keys: Sequence[ledger.Key], subjects: Sequence[str]
    ) -> tuple[dict[ledger.Key, ledger.Known], set[str]]:
        """What the ledger knows, and where something is parked."""
        self._point("ledger")
        store = self.interlock.store
        known = {key: seen for key in keys if (seen := store.ledger.get(key)) is not None}
        return known, {subject for subject in subjects if subject in store.parked} if store.parked else set()

    def parked(self, subjects: Sequence[str]) -> list[Arrival]:
        """In order of arrival."""
        found = [each.arrival for subject in subjects for each in self.interlock.store.parked.get(subject, ())]
        return sorted(found, key=lambda arrival: arrival.message_id)

    def reports(self, keys: Sequence[ReportKey]) -> dict[ReportKey, dict[SystemId, bytes]]:
        """Copies, so that an attempt that fails leaves nothing behind."""
        store = self.interlock.store
        return {key: dict(store.reports[key]) for key in keys if key in store.reports}

    def load(self, wanted: Wanted, days: Mapping[NodeId, date], now: datetime) -> World:
        """The orders themselves, not copies: see `_take_back`."""
        self._point("load")
        store = self.interlock.store
        orders = {order_id: order for order_id in wanted.orders if (order := store.orders.get(order_id)) is not None}
        self.loaded = {order_id: order.wake_at for order_id, order in orders.items()}
        load = {node: store.node_days.get((node, day), 0) for node, day in days.items()}
        newest = {key: number for key in wanted.versions if (number := store.versions.get(key)) is not None}
        self._point("decide")
        estate, sourcing = self.interlock.estate, self.interlock._setting.sourcing  # noqa: SLF001 - its own desk
        return World(estate, sourcing, now, orders, store.positions, load, newest)

    def save(self, world: World, written: Written) -> None:
        """Nothing is kept before this, and all of it after."""
        self._point("save")
        self._point("commit")
        self.interlock.commit(world, written, self.loaded)
        self.committed = True

    def _point(self, point: CrashPoint) -> None:
        if self.crash == point:
            raise Crashed(point)


def _turn(row: Row) -> tuple[datetime, OrderId, int, str, int]:
    return row.created_at, row.told.order_id, row.told.seq, row.told.message, row.told.assignment_no


def _key(told: Told) -> tuple[OrderId, int, str, int]:
    return told.order_id, told.seq, told.message, told.assignment_no
