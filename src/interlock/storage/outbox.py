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
from interlock.domain.values import PARTS, OrderId, SystemId, part_of
from interlock.storage.arrays import Bools, Ints, SmallInts, Texts, Times
from interlock.storage.database import Transaction, queries

q = queries(__file__)

ALL_PARTS: Final = tuple(range(PARTS))
OVERDUE_MAX: Final = 1000
DEAD_MAX: Final = 1000
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


def receivers_waiting(tx: Transaction, parts: Sequence[int], now: datetime) -> set[SystemId]:
    """The same receivers, without counting what waits for them."""
    return {row[0] for row in tx.query(q.receivers_waiting, parts=SmallInts(parts), now=now)}


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
    whole: bool = False,
    only_newest: bool = False,
    fresh_only: bool = False,
    again_max: int | None = None,
) -> Batch | None:
    """Lease messages that may go to the receiver now: of each order the oldest, if nothing before it is undelivered.

    At most `limit`, at most what the pace grants, and at most the first `choose(notices)` of them; there may be more, so
    claim until it gives None. A batch that another sender has abandoned comes first, under its own id; to look for one takes
    time where the queue is long, and `abandoned=False` spares it. None where nothing may go; a batch without notices where
    only the pace forbids it.

    `whole`: the batch goes as one thing, so that it counts once for the pace and is never torn apart. `only_newest`: releases
    that messages behind them supersede are settled, with a note. `fresh_only`: no repeated attempts. `again_max`: an abandoned
    batch need not stay whole, and at most so many of it are taken.
    """
    rows = []
    if abandoned:
        rows = tx.query(
            q.lock_abandoned_batch, parts=SmallInts(parts), receiver=receiver, now=now, fresh_only=fresh_only
        )
    again = bool(rows)
    notices = [Notice(*row[:7]) for row in rows]
    if again:
        notices = notices[:again_max]
    else:
        notices = _ready(tx, parts, receiver, now, limit, fresh_only, only_newest)
        notices = notices[: choose(notices)] if notices else []
    if not notices:
        return None
    if pace is not None:
        granted = take_many(tx, receiver, 1 if whole else len(notices), pace, now)
        notices = notices if whole and granted else notices[:granted]
        if not notices:
            return Batch(receiver, batch, (), False)
    # In one order, however it was claimed: what is made of a batch is the same again.
    taken = Batch(receiver, rows[0][7] if again else batch, tuple(sorted(notices)), again)
    leased_until = now + timedelta(seconds=lease_s)
    tx.execute(q.lease_many, **_keys(notices), receiver=receiver, batch=taken.batch_id, leased_until=leased_until)
    return taken


def _ready(
    tx: Transaction,
    parts: Sequence[int],
    receiver: SystemId,
    now: datetime,
    limit: int,
    fresh_only: bool,
    only_newest: bool,
) -> list[Notice]:
    while True:
        rows = tx.query(
            q.lock_ready_many,
            parts=SmallInts(parts),
            receiver=receiver,
            now=now,
            limit=limit,
            # More than its share of each part, because they are never evenly filled.
            limit_of_part=min(limit, 4 * limit // len(parts) + 1),
            fresh_only=fresh_only,
        )
        notices = [Notice(*row[:7]) for row in rows]
        if not only_newest or not notices:
            return notices
        gone = {tuple(row) for row in tx.query(q.supersede_many, **_keys(notices), receiver=receiver, now=now)}
        left = [notice for notice in notices if notice[:5] not in gone]
        if left or not gone:
            return left


def return_many(
    tx: Transaction, batch: Batch, notices: Sequence[Notice], *, due_at: datetime, keep: bool = False
) -> int:
    """Give back messages that were leased but not tried; they may go again from `due_at` on, with `keep` as this batch."""
    return tx.execute(
        q.return_many, **_keys(notices), receiver=batch.receiver, batch=batch.batch_id, due_at=due_at, keep=keep
    )


def settle_sent_many(tx: Transaction, batch: Batch, notices: Sequence[Notice], *, now: datetime) -> int:
    """These were delivered; gives how many were not settled already."""
    return tx.execute(q.settle_sent_many, **_keys(notices), receiver=batch.receiver, now=now)


def settle_noted_many(tx: Transaction, batch: Batch, notices: Sequence[Notice], note: str, *, now: datetime) -> int:
    """These need not be sent, for the reason that the note says; gives how many were not settled already."""
    return tx.execute(q.settle_noted_many, **_keys(notices), receiver=batch.receiver, note=note, now=now)


def settle_failed_many(
    tx: Transaction,
    batch: Batch,
    failures: Sequence[Failure],
    *,
    now: datetime,
    attempts_max: int,
    duty: Duty,
    keep: bool = False,
) -> dict[str, int]:
    """These were not delivered: they wait for their next attempt, or are dead and an exception `delivery_dead`.

    With `keep` the next attempt is of the same batch. Gives how many are in each state now.
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
        keep=keep,
        now=now,
        owner=duty.owner,
        owner_due_at=now + timedelta(seconds=duty.within_s),
    )
    return dict(rows)


class Wanted(NamedTuple):
    """Which dead messages are meant: of these orders, with this in their last error, written in this time; all, if nothing is
    said.
    """

    order_ids: tuple[OrderId, ...] | None = None
    reason: str | None = None
    written_before: datetime | None = None
    written_after: datetime | None = None


class Dead(NamedTuple):
    """A message that was given up."""

    order_id: OrderId
    seq: int
    message: str
    assignment_no: int
    created_at: datetime
    attempts: int
    last_error: str | None


def dead_many(
    tx: Transaction, parts: Sequence[int], receiver: SystemId, wanted: Wanted, *, limit: int = DEAD_MAX
) -> list[Dead]:
    """The dead messages of a receiver that are meant, the oldest first."""
    rows = tx.query(q.dead_many, parts=SmallInts(parts), receiver=receiver, limit=limit, **_wanted(wanted))
    return [Dead(*row) for row in rows]


def redeliver_many(
    tx: Transaction,
    parts: Sequence[int],
    receiver: SystemId,
    *,
    now: datetime,
    order_ids: Iterable[OrderId] | None = None,
    wanted: Wanted | None = None,
) -> int:
    """Dead messages of a receiver wait again, with all their attempts; of these orders, those meant, or all. Gives how many."""
    if wanted is None:
        wanted = Wanted(order_ids=None if order_ids is None else tuple(order_ids))
    return tx.execute(q.redeliver_many, parts=SmallInts(parts), receiver=receiver, now=now, **_wanted(wanted))


def begin_again_many(
    tx: Transaction, receiver: SystemId, messages: Sequence[tuple[OrderId, str]], *, now: datetime
) -> int:
    """Messages (order and message id) that were sent wait again, with all their attempts; gives how many."""
    return tx.execute(
        q.begin_again_many,
        parts=SmallInts([part_of(order_id) for order_id, _ in messages]),
        order_ids=Texts([order_id for order_id, _ in messages]),
        ids=Texts([message_id for _, message_id in messages]),
        receiver=receiver,
        now=now,
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


def _wanted(wanted: Wanted) -> dict[str, object]:
    return {
        "of_all": wanted.order_ids is None,
        "order_ids": Texts(wanted.order_ids or ()),
        "reason": wanted.reason,
        "written_before": wanted.written_before,
        "written_after": wanted.written_after,
    }


def _storable(error: str) -> str:
    """A peer's words as PostgreSQL can keep them."""
    plain = error.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return plain[:ERROR_CHARACTERS_MAX]
