"""Deliveries that fail because the receiver's line is dead, as the real sender writes them down.

The store in memory keeps no attempts; on PostgreSQL the audit asks for them, so the outbox is claimed and given back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from interlock.domain.values import PARTS, SystemId
from interlock.simulation.on_postgres import PostgresInterlock
from interlock.simulation.port import InterlockPort
from interlock.storage import outbox
from interlock.storage.database import Transaction

ATTEMPTS_MAX = 10_000
NOTICES_MAX = 1_000


def attempt_in_vain(port: InterlockPort, receiver: SystemId, now: datetime, wait_s: float) -> None:
    """Try to tell the receiver what there is to tell, and try again after so many seconds."""
    if not isinstance(port, PostgresInterlock):
        return
    duty, again_at = port.estate.duty("delivery_dead"), now + timedelta(seconds=wait_s)

    def fail(tx: Transaction) -> None:
        claimed = outbox.claim_many(
            tx, range(PARTS), receiver, now=now, limit=NOTICES_MAX, lease_s=60.0, batch=uuid4(), abandoned=False
        )
        if claimed is None:
            return
        failures = [outbox.Failure(notice, "no route to host", again_at, final=False) for notice in claimed.notices]
        if failures:
            outbox.settle_failed_many(tx, claimed, failures, now=now, attempts_max=ATTEMPTS_MAX, duty=duty)

    port.db.transaction(fail)
