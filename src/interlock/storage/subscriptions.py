"""Subscriptions: how far each has been served in each part, who serves it now, and what it could not be given.

    claim = db.transaction(lambda tx: claim_many(tx, "crm", holder, now=now, until=until, limit=64))
    ... send the events after each position ...
    db.transaction(lambda tx: settle_many(tx, "crm", holder, served, now=now))

A part of a subscription is served by one process at a time, for as long as its lease says. One that dies is succeeded after that,
from the last position that was settled: what it had sent since goes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from interlock.domain.estate import Duty
from interlock.domain.values import OrderId, part_of
from interlock.storage import events_feed
from interlock.storage.arrays import BigInts, Ints, SmallInts, Texts, Times
from interlock.storage.database import Database, Transaction, queries
from interlock.storage.events_feed import ALL_PARTS, BEGINNING, Cursor, EventRow

q = queries(__file__)

LETTERS_MAX: Final = 200
"""Letters that go out of turn in one round."""
SHOWN_MAX: Final = 1_000
ERROR_CHARACTERS_MAX: Final = 500
_ALL: Final = SmallInts(ALL_PARTS)

JsonObject = dict[str, Any]


class Lease(NamedTuple):
    """A part that is ours to serve: the position up to which it was, and how often the next event failed."""

    part: int
    position: int
    failures: int


class Served(NamedTuple):
    """What was done in a part: the position up to which it is served now, and why it is not further."""

    part: int
    position: int
    sent: int
    failures: int
    due_at: datetime
    error: str | None


class Letter(NamedTuple):
    """An event apart from the others: dead, or waiting to go out of turn."""

    event: EventRow
    attempts: int
    error: str | None
    state: str = "dead"
    due_at: datetime | None = None


class Told(NamedTuple):
    """What a round has seen of the subscriber as a whole.

    `failed` attempts in a row were the last ones, after a success where there was one; `gone`: it said that it wants no more;
    `quiet_until`: it asked to be left alone.
    """

    succeeded: bool
    failed: int
    gone: bool = False
    quiet_until: datetime | None = None
    why: str = ""


# Serving


def begin(tx: Transaction, name: str, *, from_beginning: bool, now: datetime) -> bool:
    """Begin to serve a subscription; False where it was begun before."""
    if not tx.query(q.begin_one, part=part_of(name), subscription=name, now=now):
        return False
    at = BEGINNING if from_beginning else events_feed.now_cursor(tx)
    tx.execute(q.begin_parts, subscription=name, now=now, **_positions(at))
    return True


def due_many(tx: Transaction, names: Sequence[str], now: datetime) -> set[str]:
    """Those of these subscriptions for which something may be done now."""
    homes = SmallInts([part_of(name) for name in names])
    rows = tx.query(q.due_many, homes=homes, subscriptions=Texts(names), parts=_ALL, now=now)
    return {row[0] for row in rows}


def claim_many(
    tx: Transaction,
    name: str,
    holder: UUID,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    fresh_only: bool = False,
) -> list[Lease]:
    """Take parts in which there is something to do, for us alone until the lease ends; none where it is paused."""
    rows = tx.query(
        q.claim_many,
        parts=_ALL,
        home=part_of(name),
        subscription=name,
        holder=holder,
        now=now,
        held_until=until,
        limit=limit,
        fresh_only=fresh_only,
    )
    return [Lease(*row) for row in rows]


def letters_due(tx: Transaction, name: str, parts: Sequence[int], now: datetime) -> list[Letter]:
    """What is to go out of turn in these parts, by part and position."""
    rows = tx.query(q.letters_due, parts=SmallInts(parts), subscription=name, now=now, limit=LETTERS_MAX)
    tried = {(part, position): attempts for part, position, attempts in rows}
    events = events_feed.read_ranges(tx, [(part, position - 1, position) for part, position in tried])
    return [Letter(event, tried[event.part, event.position], None, "waiting") for event in events]


def settle_many(
    tx: Transaction,
    name: str,
    holder: UUID,
    served: Sequence[Served],
    *,
    now: datetime,
    letters: Sequence[Letter] = (),
    delivered: Sequence[Letter] = (),
) -> set[int]:
    """Write down what was done, as far as the parts are still ours; gives which these are.

    `letters` are given up or tried again later, `delivered` ones are gone.
    """
    rows = tx.query(
        q.settle_parts,
        subscription=name,
        holder=holder,
        now=now,
        parts=SmallInts([each.part for each in served]),
        positions=BigInts([each.position for each in served]),
        sents=BigInts([each.sent for each in served]),
        failures=Ints([each.failures for each in served]),
        due_ats=Times([each.due_at for each in served]),
        errors=Texts([_storable(each.error) for each in served]),
    )
    ours = {row[0] for row in rows}
    if kept := [each for each in letters if each.event.part in ours]:
        put_letters(tx, name, kept, now)
    if gone := [each for each in delivered if each.event.part in ours]:
        tx.execute(
            q.drop_letters,
            subscription=name,
            parts=SmallInts([each.event.part for each in gone]),
            positions=BigInts([each.event.position for each in gone]),
        )
    return ours


def put_letters(tx: Transaction, name: str, letters: Sequence[Letter], now: datetime) -> None:
    """Put events apart from the others."""
    tx.execute(
        q.put_letters,
        subscription=name,
        now=now,
        parts=SmallInts([each.event.part for each in letters]),
        positions=BigInts([each.event.position for each in letters]),
        order_ids=Texts([each.event.order_id for each in letters]),
        seqs=Ints([each.event.seq for each in letters]),
        states=Texts([each.state for each in letters]),
        attempts=Ints([each.attempts for each in letters]),
        due_ats=Times([each.due_at or now for each in letters]),
        errors=Texts([_storable(each.error) for each in letters]),
    )


# The subscriber as a whole


def tell(tx: Transaction, name: str, told: Told, *, pause_after: int, duty: Duty, now: datetime) -> bool:
    """Count what a round has seen; True where the subscription is paused for it now, and an exception says so.

    `pause_after` failures in a row pause it, 0 is never. A success closes the exception once it was resumed.
    """
    if told.succeeded and not told.gone:
        _healed(tx, name, told.failed == 0, now)
    if not told.failed and not told.gone and told.quiet_until is None:
        return False
    failures, since, paused_at, _ = tx.query(q.lock_one, part=part_of(name), subscription=name)[0]
    failures = told.failed if told.succeeded else failures + told.failed
    pauses = paused_at is None and (told.gone or 0 < pause_after <= failures)
    why = told.why if told.gone else f"{failures} attempts in a row failed: {told.why}"
    tx.execute(
        q.failed_one,
        part=part_of(name),
        subscription=name,
        failures=failures,
        failing_since=(since if since and not told.succeeded else now) if told.failed else since,
        quiet_until=told.quiet_until,
        pauses=pauses,
        why=_storable(why),
        now=now,
    )
    if pauses:
        explanation = f"the subscription {name} was paused, and its subscriber misses events until it is resumed: {why}"
        _raise(tx, q.tell_paused, name, explanation, duty, now)
    return pauses


def tell_undelivered(tx: Transaction, name: str, letters: Sequence[Letter], duty: Duty, now: datetime) -> None:
    """An exception says that these events could not be given to the subscriber."""
    last = letters[-1]
    explanation = (
        f"the subscription {name} could not be given {last.event.type} of {last.event.order_id} (event "
        f"{last.event.order_id}/{last.event.seq}), after {last.attempts} "
        f"{'attempt' if last.attempts == 1 else 'attempts'}: {last.error}; "
        f"`interlock subscriptions show {name}` tells all such events"
    )
    _raise(tx, q.tell_undelivered, name, explanation, duty, now, events=len(letters))


def close_undelivered(tx: Transaction, name: str, now: datetime, evidence: str) -> None:
    """Close the exception where none of its events is left."""
    tx.execute(q.close_undelivered, part=part_of(name), subscription=name, parts=_ALL, now=now, evidence=evidence)


def _healed(tx: Transaction, name: str, is_whole: bool, now: datetime) -> None:
    if is_whole and tx.query(q.healed_one, part=part_of(name), subscription=name):
        evidence = "it was resumed, and its subscriber has taken events since"
        tx.execute(q.close_paused, part=part_of(name), subscription=name, now=now, evidence=evidence)


def _raise(tx: Transaction, query: str, name: str, explanation: str, duty: Duty, now: datetime, **more: object) -> None:
    tx.execute(
        query,
        part=part_of(name),
        subscription=name,
        explanation=_storable(explanation, 4 * ERROR_CHARACTERS_MAX),
        owner=duty.owner,
        now=now,
        owner_due_at=now + timedelta(seconds=duty.within_s),
        **more,
    )


# What people do


def pause(tx: Transaction, name: str, by: str, why: str, now: datetime) -> bool:
    """Serve it no more until it is resumed; False where it was paused already."""
    return bool(tx.query(q.pause_one, part=part_of(name), subscription=name, by=by, why=_storable(why), now=now))


def resume(tx: Transaction, name: str, now: datetime) -> bool:
    """Serve it again, from where it stopped; False where it was not paused."""
    if not tx.query(q.resume_one, part=part_of(name), subscription=name):
        return False
    tx.execute(q.resume_parts, parts=_ALL, subscription=name, now=now)
    return True


def rewind(tx: Transaction, name: str, to: Cursor, now: datetime) -> None:
    """Serve it from this cursor on: what comes after it goes (again) under the same ids, what comes before does not."""
    tx.execute(q.rewind_parts, subscription=name, now=now, **_positions(to))
    tx.execute(q.rewind_letters, subscription=name, **_positions(to))
    close_undelivered(tx, name, now, "it was rewound to before its undelivered events: they go again")


def redeliver_dead(tx: Transaction, name: str, now: datetime) -> int:
    """What is dead goes again; gives how many these are."""
    return tx.execute(q.redeliver_dead, parts=_ALL, subscription=name, now=now)


def redeliver_one(tx: Transaction, name: str, order_id: OrderId, seq: int, now: datetime) -> bool:
    """One event goes to it (again), out of turn; False where there is no such event."""
    rows = tx.query(q.event_at, part=part_of(order_id), order_id=order_id, seq=seq)
    for part, position, *_ in rows:
        events = events_feed.read_ranges(tx, [(part, position - 1, position)])
        put_letters(tx, name, [Letter(event, 0, None, "waiting") for event in events], now)
    return bool(rows)


_SHOWN: Final = (
    *("name", "begun_at", "paused_at", "paused_by", "paused_why", "quiet_until", "failures", "failing_since", "sent"),
    *("behind", "oldest_at", "moved_at", "next_at", "last_error", "dead", "waiting"),
)
_LETTER: Final = ("order_id", "seq", "state", "attempts", "put_at", "due_at", "last_error")


def show_many(db: Database) -> list[JsonObject]:
    """How far every subscription that was ever served is: sent, behind (also events that do not concern it), dead."""
    rows = db.transaction(lambda tx: tx.query(q.show_many))
    return [dict(zip(_SHOWN, row, strict=True)) for row in rows]


def letters_many(tx: Transaction, name: str, limit: int = SHOWN_MAX) -> list[JsonObject]:
    """What it could not be given, or is to go to it out of turn, the oldest first."""
    rows = tx.query(q.letters_many, parts=_ALL, subscription=name, limit=limit)
    return [{"event": f"{row[0]}/{row[1]}", **dict(zip(_LETTER, row, strict=True))} for row in rows]


def cursor_of(tx: Transaction, name: str) -> Cursor | None:
    """Where it is; None where it was never served."""
    found: Mapping[int, int] = dict(tx.query(q.positions_many, parts=_ALL, subscription=name))
    return BEGINNING.moved(found) if found else None


def _positions(at: Cursor) -> dict[str, object]:
    return {"parts": _ALL, "positions": BigInts(at.positions)}


def _storable(error: str | None, most: int = ERROR_CHARACTERS_MAX) -> str | None:
    """A subscriber's words as PostgreSQL can keep them."""
    if error is None:
        return None
    return error.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:most]
