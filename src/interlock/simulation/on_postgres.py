"""The simulation's port on the real engine: PostgreSQL, its transactions, and a clock that is set from outside.

A crash that is asked for is raised inside of the transaction, which rolls back as a connection's death would make it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime
from unittest.mock import patch
from uuid import UUID, uuid4

from interlock.domain.decision import Arrival, Outcome, World
from interlock.domain.estate import Estate
from interlock.domain.values import PARTS, NodeId, SystemId, part_of
from interlock.engine import batch
from interlock.engine.batch import Batcher
from interlock.engine.desk import SqlDesk, Wanted, Written
from interlock.engine.door import Door
from interlock.engine.worker import DUE_ORDERS_MAX, timer
from interlock.operations.audit import audit
from interlock.simulation.digest import digest
from interlock.simulation.port import Crashed, CrashPoint, Told, Violation
from interlock.storage import ledger, messages, outbox
from interlock.storage.arrays import SmallInts
from interlock.storage.database import Database, queries
from interlock.storage.world import load_orders

q = queries(__file__)

CHECK_EVERY = 40
"""Steps between two audits: each reads the whole database."""

_ALL = SmallInts(range(PARTS))


class PostgresInterlock:
    """The port on a database that holds nothing else."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self.db = db
        self.estate = estate
        self.now = datetime.fromtimestamp(0, UTC)
        self._batcher = Batcher(db, estate, clock=lambda: self.now)
        self._door = Door(db, estate, self._batcher)
        self._steps = 0
        self._count = 0

    def take(self, arrivals: Sequence[Arrival], now: datetime, *, crash: CrashPoint | None = None) -> list[Outcome]:
        """Keep, decide and commit, part by part; one outcome each, in order. Raises Crashed where that was asked for."""
        self.now = now
        with _crashing(crash):
            outcomes = self._door.process(arrivals)
        if crash == "answer":
            raise Crashed(crash)
        return outcomes

    def wake(self, now: datetime) -> int:
        """As a worker does it for every part."""
        self.now = now
        done = 0
        duty, patience = self.estate.duty("ack_overdue"), self.estate.duty(messages.PARKED_TOO_LONG)
        for part in range(PARTS):
            done += self.db.transaction(lambda tx, part=part: outbox.overdue_many(tx, part, now, duty))  # type: ignore[misc]
            done += self.db.transaction(lambda tx, part=part: messages.overdue_parked(tx, part, now, patience))  # type: ignore[misc]
            while True:
                due = self.db.transaction(lambda tx, part=part: messages.due_many(tx, part, now, DUE_ORDERS_MAX))  # type: ignore[misc]
                if not due:
                    break
                self._door.process([timer(each, now, self._next_id()) for each in due])
                done += len(due)
        return done

    def next_wake(self) -> datetime | None:
        """When time itself acts next."""
        rows = self.db.transaction(lambda tx: tx.query(q.next_wake, parts=_ALL))
        found: datetime | None = rows[0][0]
        return found

    def due(self, receiver: SystemId, now: datetime, limit: int) -> list[Told]:  # noqa: ARG002 - all is due at once
        """What the receiver must be told next."""
        rows = self.db.transaction(lambda tx: tx.query(q.due, parts=_ALL, receiver=receiver, limit=limit))
        return [Told(row[1], row[2], row[3], row[4], row[5], row[6].encode()) for row in rows]

    def settle(self, told: Sequence[Told], now: datetime) -> None:
        """These were delivered."""
        by_receiver: dict[SystemId, list[Told]] = {}
        for each in told:
            by_receiver.setdefault(each.receiver, []).append(each)
        for receiver, mine in by_receiver.items():
            notices = [
                outbox.Notice(part_of(t.order_id), t.order_id, t.seq, t.message, t.assignment_no, 0, t.body.decode())
                for t in mine
            ]
            sent = outbox.Batch(receiver, uuid4(), tuple(notices), again=False)
            self.db.transaction(lambda tx, sent=sent: outbox.settle_sent_many(tx, sent, sent.notices, now=now))  # type: ignore[misc]

    def check(self) -> list[Violation]:
        """Every so many steps, what the audit finds."""
        self._steps += 1
        return self.check_all(self.now) if self._steps % CHECK_EVERY == 0 else []

    def check_all(self, now: datetime) -> list[Violation]:
        """What `interlock audit` finds."""
        return [
            Violation(finding.name, str(row.get("subject") or row.get("order_id") or row.get("sku") or ""), str(row))
            for finding in audit(self.db, estate=self.estate, now=now)
            for row in finding.rows
        ]

    def check_rest(self, now: datetime) -> list[Violation]:
        """After a quiet time: nothing that nothing and nobody will move."""
        rows = self.db.transaction(lambda tx: tx.query(q.restless, parts=_ALL, now=now))
        return [Violation(*row) for row in rows]

    def digest(self) -> str:
        """A hash of all that is known: the same as of the store in memory after the same steps."""
        orders = [
            order
            for part in range(PARTS)
            for order in self.db.transaction(
                lambda tx, part=part: load_orders(tx, part, {row[0] for row in tx.query(q.order_ids, part=part)})  # type: ignore[misc]
            ).values()
        ]
        positions, answers, exceptions, parked = (
            self.db.transaction(lambda tx, query=query: tx.query(query, parts=_ALL))  # type: ignore[misc]
            for query in (q.positions, q.answers, q.exceptions, q.parked)
        )
        return digest(orders, positions, answers, exceptions, parked)

    def _next_id(self) -> UUID:
        self._count += 1
        return UUID(int=(0xFFFF << 112) + self._count)


def _crashing(crash: CrashPoint | None) -> AbstractContextManager[object]:
    """Batches whose desk dies at this point."""
    if crash is None or crash == "answer":
        return nullcontext()

    class DyingDesk(SqlDesk):
        def known(
            self, keys: Sequence[ledger.Key], subjects: Sequence[str]
        ) -> tuple[dict[ledger.Key, ledger.Known], set[str]]:
            self._point("ledger")
            return super().known(keys, subjects)

        def load(self, wanted: Wanted, days: Mapping[NodeId, date], now: datetime) -> World:
            self._point("load")
            world = super().load(wanted, days, now)
            self._point("decide")
            return world

        def save(self, world: World, written: Written) -> None:
            self._point("save")
            super().save(world, written)
            self._point("commit")

        def _point(self, point: CrashPoint) -> None:
            if crash == point:
                raise Crashed(point)

    return patch.object(batch, "SqlDesk", DyingDesk)
