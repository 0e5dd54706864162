"""The worker: wait, batch, repeat; and what time alone causes.

Any number of workers, on any hosts, share the parts through row locks alone: who holds a part's row works on it, and a
worker that dies loses it with its connection. Time-driven work (backorders tried again, settled orders closed) enters as
commands at the same door, with the same ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from random import shuffle
from uuid import UUID

import structlog

from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import AnyCommand, CloseOrder, HoldReservation, encode
from interlock.domain.decision import Arrival
from interlock.domain.errors import StorageError
from interlock.domain.model import State
from interlock.domain.values import OrderId
from interlock.engine.batch import BATCH_COMMANDS_MAX, Batcher
from interlock.engine.ids import new_message_id
from interlock.storage import messages
from interlock.storage.database import Transaction

DUE_ORDERS_MAX = 200
IDLE_WAIT_S = 0.2
TROUBLE_WAIT_S = 1.0

log = structlog.get_logger()

Chore = Callable[[Transaction, int, datetime], int]
"""Something else to do for a part when time has come: gives how much it did."""


class Worker:
    """Processes what waits, part by part. `chores` are run for each part about every `chore_every_s`."""

    def __init__(self, batcher: Batcher, *, chores: tuple[Chore, ...] = (), chore_every_s: float = 5.0) -> None:
        self.batcher = batcher
        self.chores = chores
        self.chore_every_s = chore_every_s
        self._chores_at: datetime | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop; a database that is away is waited for."""
        while not stop.is_set():
            try:
                done = self.run_once()
            except StorageError as error:
                log.warning("worker_waits", error=str(error))
                stop.wait(TROUBLE_WAIT_S)
                continue
            except (
                Exception
            ) as error:  # a worker that ends in silence helps nobody: say it, and go on with what can be done
                log.error("worker_failed", error=f"{type(error).__name__}: {error}", exc_info=True)
                stop.wait(TROUBLE_WAIT_S)
                continue
            if not done:
                stop.wait(IDLE_WAIT_S)

    def run_once(self) -> int:
        """One pass over the parts where there is work; gives how many messages and orders it took care of."""
        now = datetime.now(UTC)
        self._do_chores(now)
        parts = self.batcher.db.transaction(lambda tx: messages.waiting_parts(tx, now))
        shuffle(parts)  # workers that begin at different ends meet less
        return sum(
            self.batcher.work(part, BATCH_COMMANDS_MAX, messages.waiting_many, kept=True)
            + self.batcher.work(part, DUE_ORDERS_MAX, _due, kept=False)
            for part in parts
        )

    def _do_chores(self, now: datetime) -> None:
        if not self.chores or (
            self._chores_at is not None and (now - self._chores_at).total_seconds() < self.chore_every_s
        ):
            return
        self._chores_at = now
        for part in range(64):
            self.batcher.db.transaction(lambda tx, part=part: self._chores_of(tx, part, now))  # type: ignore[misc]

    def _chores_of(self, tx: Transaction, part: int, now: datetime) -> int:
        if not messages.claim_part(tx, part):
            return 0
        return sum(chore(tx, part, now) for chore in self.chores)


def _due(tx: Transaction, part: int, limit: int) -> list[Arrival]:
    now = datetime.now(UTC)
    return [timer(order, now, new_message_id()) for order in messages.due_many(tx, part, now, limit)]


def timer(due: messages.Due, now: datetime, message_id: UUID) -> Arrival:
    """What time asks for: open units are sourced again, a settled order is closed."""
    order_id, ref = OrderId(due.order_id), f"wake/{due.seq}"
    command: AnyCommand = (
        HoldReservation(order_id=order_id, ref=ref)
        if due.state in (State.CREATED, State.AUTHORIZED)
        else CloseOrder(order_id=order_id, ref=ref)
    )
    return Arrival(
        message_id=message_id,
        system=INTERLOCK,
        received_at=now,
        body=encode(command),
        content_type="application/json",
        command=command,
    )
