"""The outbox: what receivers must be told, in order per order, with leases, retries, dead letters and a pace.

    batch = db.transaction(lambda tx: claim_many(tx, ALL_PARTS, "wms", now=now, limit=500, lease_s=60, batch=fresh))
    ... deliver ...
    db.transaction(lambda tx: settle_sent_many(tx, batch, batch.notices, now=now))

A claimed message is leased: its `due_at` lies ahead, and its `batch` says what was taken together. A sender that dies
leaves both behind; when the lease has ended, the next sender gets the same messages under the same batch id, so that it
can write the same file again instead of another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from interlock.domain.estate import Duty
from interlock.domain.values import PARTS, OrderId, SystemId
from interlock.storage.arrays import Bools, Ints, SmallInts, Texts, Times
from interlock.storage.database import Transaction, queries

q = queries(__file__)

ALL_PARTS: Final = tuple(range(PARTS))
OVERDUE_MAX: Final = 1000
ERROR_CHARACTERS_MAX: Final = 500


class Notice(NamedTuple):
    """One message as it waits: its place, how often it was tried, and what it says (JSON)."""

    part: int
    order_id: OrderId
    seq: int
    message: str
    assignment_no: int
    attempts: int
    body: str


class Batch(NamedTuple):
    """What a sender has until the lease ends. `again` says that another sender had the same and did not settle it."""

    receiver: SystemId
    batch_id: UUID
    notices: tuple[Notice, ...]
    again: bool


class Failure(NamedTuple):
    """Why a message was not delivered, when to try again, and whether that is pointless."""

    notice: Notice
    error: str
    due_at: datetime
    final: bool


class Pace(NamedTuple):
    """At most `rate` units a second, and `burst` at once after a pause."""

    rate: float
    burst: int


class Queue(NamedTuple):
    """How many messages of a receiver are in a state, and since when the oldest is there."""

    receiver: SystemId
    state: str
    messages: int
    oldest_at: datetime


def receivers_due(tx: Transaction, parts: Sequence[int], now: datetime) -> dict[SystemId, int]:
    """The receivers with messages whose time has come (of which some may have to wait for an earlier one)."""
    return dict(tx.query(q.receivers_due, parts=SmallInts(parts), now=now))


def next_due_at(tx: Transaction, parts: Sequence[int]) -> datetime | None:
    """When the next waiting message is due."""
    due: datetime | None = tx.query(q.next_due, parts=SmallInts(parts))[0][0]
    return due


def claim_many(
    tx: Transaction,
    parts: Sequence[int],
    receiver: SystemId,
    *,
    now: datetime,
    limit: int,
    lease_s: float,
    batch: UUID,
    pace: Pace | None = None,
    choose: Callable[[list[Notice]], int] = len,
    abandoned: bool = True,
) -> Batch | None:
    """Lease messages that may go to the receiver now: of each order the oldest, if nothing before it is undelivered.

    At most `limit`, at most what the pace grants, and at most the first `choose(notices)` of them; there may be more, so
    claim until it gives None. A batch that another sender has abandoned comes first, whole and under its own id; to look
    for one takes time where the queue is long, and `abandoned=False` spares it. None where nothing may go; a batch without
    notices where only the pace forbids it.
    """
    rows = []
    if abandoned:
        rows = tx.query(q.lock_abandoned_batch, parts=SmallInts(parts), receiver=receiver, now=now)
    again = bool(rows)
    if not again:
        rows = tx.query(
            q.lock_ready_many,
            parts=SmallInts(parts),
            receiver=receiver,
            now=now,
            limit=limit,
            # More than its share of each part, because they are never evenly filled.
            limit_of_part=min(limit, 4 * limit // len(parts) + 1),
        )
    notices = [Notice(*row[:7]) for row in rows]
    if not notices:
        return None
    if not again:
        notices = notices[: choose(notices)]
        if pace is not None:
            notices = notices[: take_many(tx, receiver, len(notices), pace, now)]
        if not notices:
            return Batch(receiver, batch, (), False)
    taken = Batch(receiver, rows[0][7] if again else batch, tuple(notices), again)
    leased_until = now + timedelta(seconds=lease_s)
    tx.execute(q.lease_many, **_keys(notices), receiver=receiver, batch=taken.batch_id, leased_until=leased_until)
    return taken


def return_many(tx: Transaction, batch: Batch, notices: Sequence[Notice], *, due_at: datetime) -> int:
    """Give back messages that were leased but not tried; they may go again from `due_at` on."""
    return tx.execute(q.return_many, **_keys(notices), receiver=batch.receiver, batch=batch.batch_id, due_at=due_at)


def settle_sent_many(tx: Transaction, batch: Batch, notices: Sequence[Notice], *, now: datetime) -> int:
    """These were delivered; gives how many were not settled already."""
    return tx.execute(q.settle_sent_many, **_keys(notices), receiver=batch.receiver, now=now)


def settle_failed_many(
    tx: Transaction,
    batch: Batch,
    failures: Sequence[Failure],
    *,
    now: datetime,
    attempts_max: int,
    duty: Duty,
) -> dict[str, int]:
    """These were not delivered: they wait for their next attempt, or are dead and an exception `delivery_dead`.

    Gives how many are in each state now.
    """
    rows = tx.query(
        q.settle_failed_many,
        **_keys([failure.notice for failure in failures]),
        due_ats=Times([failure.due_at for failure in failures]),
        errors=Texts([_storable(failure.error) for failure in failures]),
        finals=Bools([failure.final for failure in failures]),
        receiver=batch.receiver,
        batch=batch.batch_id,
        attempts_max=attempts_max,
        now=now,
        owner=duty.owner,
        owner_due_at=now + timedelta(seconds=duty.within_s),
    )
    return dict(rows)


def redeliver_many(
    tx: Transaction,
    parts: Sequence[int],
    receiver: SystemId,
    *,
    now: datetime,
    order_ids: Iterable[OrderId] | None = None,
) -> int:
    """Dead messages of a receiver wait again, with all their attempts; of these orders, or of all. Gives how many."""
    return tx.execute(
        q.redeliver_many,
        parts=SmallInts(parts),
        receiver=receiver,
        now=now,
        of_all=order_ids is None,
        order_ids=Texts(order_ids or ()),
    )


def take_many(tx: Transaction, receiver: SystemId, wanted: int, pace: Pace, now: datetime) -> int:
    """How many of the wanted units may go to the receiver now; all processes share its pace."""
    tx.execute(q.know_receiver, receiver=receiver, now=now)
    rows = tx.query(q.take_many, receiver=receiver, wanted=wanted, rate=pace.rate, burst=float(pace.burst), now=now)
    granted: int = rows[0][0]
    return granted


def overdue_many(tx: Transaction, part: int, now: datetime, duty: Duty, *, limit: int = OVERDUE_MAX) -> int:
    """Raise `ack_overdue`, once for each assignment, where a release was delivered and not answered in time.

    Gives how many exceptions are new.
    """
    due_at = now + timedelta(seconds=duty.within_s)
    return tx.execute(q.overdue_many, part=part, now=now, owner=duty.owner, owner_due_at=due_at, limit=limit)


def count_many(tx: Transaction) -> list[Queue]:
    """How many messages each receiver has in each state."""
    return [Queue(*row) for row in tx.query(q.count_many)]


def _keys(notices: Sequence[Notice]) -> dict[str, object]:
    return {
        "key_parts": SmallInts([notice.part for notice in notices]),
        "order_ids": Texts([notice.order_id for notice in notices]),
        "seqs": Ints([notice.seq for notice in notices]),
        "messages": Texts([notice.message for notice in notices]),
        "assignment_nos": Ints([notice.assignment_no for notice in notices]),
    }


def _storable(error: str) -> str:
    """A peer's words as PostgreSQL can keep them."""
    plain = error.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return plain[:ERROR_CHARACTERS_MAX]
