"""What came in: keep it verbatim, claim it, give it its outcome; and the parts that workers claim."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from interlock.domain import commands
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Duty
from interlock.domain.values import part_of
from interlock.storage.arrays import Bytes, Jsons, SmallInts, Texts, Times, Uuids
from interlock.storage.database import Row, Transaction, queries
from interlock.storage.together import Sender

q = queries(__file__)

PARKED_TOO_LONG = "parked_too_long"
OVERDUE_MAX = 500
"""Messages that one round of a part makes exceptions of."""


class Due(msgspec.Struct, frozen=True):
    """An order on which time itself acts now."""

    order_id: str
    seq: int
    state: str


def subject_of(arrival: Arrival) -> str:
    """What an arrival wants to change; where that could not be read, the message itself."""
    return arrival.command.subject if arrival.command is not None else str(arrival.message_id)


def part_of_arrival(arrival: Arrival) -> int:
    """The part that an arrival belongs to."""
    return part_of(subject_of(arrival))


def claim_part(tx: Transaction, part: int) -> bool:
    """Take the part for this transaction if nobody holds it."""
    return bool(tx.query(q.claim_part, part=part))


def lock_part(tx: Transaction, part: int) -> None:
    """Take the part for this transaction, waiting for whoever holds it."""
    tx.send(q.lock_part, part=part)


def keep_many(tx: Sender, part: int, arrivals: Sequence[Arrival], outcomes: Sequence[Outcome], now: datetime) -> None:
    """Keep arrivals of one part verbatim, with their outcomes; `received` ones wait for a worker."""
    read = [a.command for a in arrivals]
    words = [None if o.outcome == "received" else o.outcome for o in outcomes]
    tx.send(
        q.keep_many,
        part=part,
        now=now,
        subjects=Texts([subject_of(a) for a in arrivals]),
        message_ids=Uuids([a.message_id for a in arrivals]),
        systems=Texts([a.system for a in arrivals]),
        source_message_ids=Texts([a.source_message_id for a in arrivals]),
        files=Texts([a.file for a in arrivals]),
        records=Texts([a.record for a in arrivals]),
        received_at=Times([a.received_at for a in arrivals]),
        occurred_at=Times([c.occurred_at if c else None for c in read]),
        time_zones=Texts([c.time_zone or None if c else None for c in read]),
        trace_ids=Texts([a.trace_id for a in arrivals]),
        content_types=Texts([a.content_type for a in arrivals]),
        bodies=Bytes([a.body for a in arrivals]),
        actions=Texts([c.action if c else None for c in read]),
        business_keys=Texts([c.key if c else None for c in read]),
        commands=Jsons(
            [
                commands.encode(c) if c and word in (None, "parked") else None
                for c, word in zip(read, words, strict=True)
            ]
        ),
        outcomes=Texts(words),
        reasons=Texts([o.reason or None for o in outcomes]),
        waits_for=Texts([o.waits_for or None for o in outcomes]),
        waits_until=Times([o.waits_until for o in outcomes]),
        contracts=Texts([a.contract for a in arrivals]),
        contexts=Jsons([a.context for a in arrivals]),
    )


def settle_many(tx: Sender, part: int, arrivals: Sequence[Arrival], outcomes: Sequence[Outcome], now: datetime) -> None:
    """Give kept messages of one part their outcomes."""
    tx.send(
        q.settle_many,
        part=part,
        now=now,
        subjects=Texts([subject_of(a) for a in arrivals]),
        message_ids=Uuids([a.message_id for a in arrivals]),
        outcomes=Texts([o.outcome for o in outcomes]),
        reasons=Texts([o.reason or None for o in outcomes]),
        waits_for=Texts([o.waits_for or None for o in outcomes]),
        waits_until=Times([o.waits_until for o in outcomes]),
    )


def close_parked(tx: Transaction, part: int, woken: Sequence[tuple[Arrival, Outcome]], now: datetime) -> None:
    """What was parked too long has gone on: the exceptions that said so are closed, with what became of it."""
    gone_on = [(arrival, outcome) for arrival, outcome in woken if outcome.outcome != "parked"]
    if gone_on:
        tx.send(
            q.close_parked,
            part=part,
            now=now,
            subjects=Texts([subject_of(arrival) for arrival, _ in gone_on]),
            exception_ids=Texts([f"{PARKED_TOO_LONG}/{arrival.message_id}" for arrival, _ in gone_on]),
            outcomes=Texts([outcome.outcome for _, outcome in gone_on]),
        )


def overdue_parked(tx: Transaction, part: int, now: datetime, duty: Duty) -> int:
    """Open an exception for each message of the part that has been parked longer than it may; gives how many."""
    return len(
        tx.query(
            q.overdue_parked,
            part=part,
            now=now,
            owner=duty.owner,
            owner_due_at=now + timedelta(seconds=duty.within_s),
            limit=OVERDUE_MAX,
        )
    )


def waiting_many(tx: Transaction, part: int, limit: int) -> list[Arrival]:
    """The messages of a part that wait for a worker, oldest first."""
    return [_arrival(row) for row in tx.query(q.waiting_many, part=part, limit=limit)]


def parked_many(tx: Transaction, part: int, subjects: Sequence[str]) -> list[Arrival]:
    """The messages that wait for these subjects to exist, oldest first."""
    return [_arrival(row) for row in tx.query(q.parked_many, part=part, subjects=Texts(subjects))]


def waiting_parts(tx: Transaction, now: datetime) -> list[int]:
    """The parts where there is work: a hint, since others may take it first."""
    return [row[0] for row in tx.query(q.waiting_parts, now=now)]


def due_many(tx: Transaction, part: int, now: datetime, limit: int) -> list[Due]:
    """Orders of a part on which time itself acts now."""
    return [Due(*row) for row in tx.query(q.due_many, part=part, now=now, limit=limit)]


def open_keys(tx: Transaction, requests: Sequence[tuple[str, str, bytes]], now: datetime) -> list[bool]:
    """Write (system, request key, payload hash) down once each; False where the key stands for another payload."""
    rows = tx.query(
        q.open_keys,
        parts=SmallInts([part_of(f"{system}/{key}") for system, key, _ in requests]),
        systems=Texts([system for system, _, _ in requests]),
        keys=Texts([key for _, key, _ in requests]),
        hashes=Bytes([payload_hash for _, _, payload_hash in requests]),
        now=now,
    )
    return [row[0] for row in rows]


def _arrival(row: Row) -> Arrival:
    message_id, system, received_at, body, content_type, command, source_message_id, trace_id, file, record = row
    return Arrival(
        message_id=message_id,
        system=system,
        received_at=received_at,
        body=body,
        content_type=content_type,
        command=commands.decode(command),
        source_message_id=source_message_id,
        trace_id=trace_id,
        file=file,
        record=record,
    )
