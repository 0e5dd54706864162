"""Interchanges: what came in and goes out in envelopes, with control numbers, and who has acknowledged what.

    numbers = next_numbers(tx, "wms", 3)         # three that nobody else gets
    write_many(tx, "wms", [...], now)            # whole and numbered, before anybody sends them
    sent_many(tx, "wms", ids, now, 14_400.0)     # from now on an acknowledgment is awaited

Everything about a system's interchanges lies in the part of its name. What goes out keeps its bytes, so that it is the same
however often it is sent. docs/acknowledgments.md tells the states.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from interlock.domain.estate import Duty
from interlock.domain.values import PARTS, SystemId, part_of
from interlock.storage.arrays import BigInts, Bools, Bytes, Ints, Jsons, SmallInts, Texts, Times, Uuids
from interlock.storage.database import Transaction, queries

q = queries(__file__)

GROUPS_MAX: Final = 16
OVERDUE_MAX: Final = 1000
LISTED_MAX: Final = 500
ERROR_CHARACTERS_MAX: Final = 500


class Set(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A transaction set or message of an interchange.

    `group` and `code` are the control number and the kind of its group. Of what goes out, `message` is its id, `subject` the
    order, and `state` is empty until the partner has said something. Of what came in, `errors` are ours.
    """

    kind: str
    control: str
    group: str = ""
    code: str = ""
    message: str = ""
    subject: str = ""
    state: str = ""
    errors: list[str] = []


class Written(NamedTuple):
    """An interchange that goes out, whole. `answers`: the one that came in, if this is its acknowledgment."""

    interchange_id: UUID
    kind: Literal["messages", "acknowledgment"]
    standard: str
    number: int
    control: str
    version: str
    name: str
    groups: tuple[int, ...]
    contents: tuple[Set, ...]
    body: bytes
    answers: UUID | None = None


class Kept(NamedTuple):
    """What was written before."""

    interchange_id: UUID
    name: str
    contents: list[Set]
    body: bytes


class Waiting(NamedTuple):
    """An interchange that waits to be sent from its bytes alone."""

    interchange_id: UUID
    standard: str
    name: str
    body: bytes
    attempts: int


class Failure(NamedTuple):
    """Why an interchange was not sent, when to try again, and whether that is pointless."""

    interchange_id: UUID
    error: str
    due_at: datetime
    final: bool


class CameIn(NamedTuple):
    """An interchange that came in. `content` tells it from another one of the same number."""

    interchange_id: UUID
    kind: Literal["messages", "acknowledgment"]
    standard: str
    control: str
    partner: str
    version: str
    content: bytes
    name: str
    contents: tuple[Set, ...]
    rejected: int
    state: Literal["received", "partly", "rejected"]


class Asked(NamedTuple):
    """What an acknowledgment is about: the control number of an interchange or of a group in it; `place` is the answer's own."""

    place: int
    number: int
    of_group: bool


class Judged(NamedTuple):
    """What a partner has said of an interchange of ours; `whole`: of all of it."""

    interchange_id: UUID
    state: str
    contents: list[Set]
    rejected: int
    error: str
    whole: bool


class Finding(NamedTuple):
    """Work for a person: about which subject, the name of what it is about, and a sentence."""

    subject: str
    what: str
    explanation: str


# Going out


def next_numbers(tx: Transaction, system: SystemId, wanted: int) -> range:
    """So many control numbers that nobody else gets, of at most nine digits."""
    last: int = tx.query(q.next_numbers, part=part_of(system), system=system, wanted=wanted)[0][0]
    return range(last - wanted + 1, last + 1)


def find_many(tx: Transaction, system: SystemId, interchange_ids: Iterable[UUID]) -> dict[UUID, Kept]:
    """Those of these that were written before."""
    rows = tx.query(q.find_many, part=part_of(system), system=system, interchange_ids=Uuids(interchange_ids))
    return {row[0]: Kept(row[0], row[1], msgspec.convert(row[2], list[Set]), bytes(row[3])) for row in rows}


def write_many(tx: Transaction, system: SystemId, written: Sequence[Written], now: datetime) -> None:
    """Keep interchanges that go out. Messages are sent by who has their batch; acknowledgments wait by themselves."""
    tx.execute(
        q.write_many,
        part=part_of(system),
        system=system,
        now=now,
        interchange_ids=Uuids([each.interchange_id for each in written]),
        kinds=Texts([each.kind for each in written]),
        standards=Texts([each.standard for each in written]),
        numbers=BigInts([each.number for each in written]),
        controls=Texts([each.control for each in written]),
        versions=Texts([each.version for each in written]),
        names=Texts([each.name for each in written]),
        groups=Texts([msgspec.json.encode(each.groups).decode() for each in written]),
        contents=Jsons([msgspec.json.encode(each.contents) for each in written]),
        sets=Ints([len(each.contents) for each in written]),
        bodies=Bytes([each.body for each in written]),
        answers=Uuids([each.answers for each in written]),
    )


def sent_many(
    tx: Transaction,
    system: SystemId,
    interchange_ids: Iterable[UUID],
    now: datetime,
    acknowledged_within_s: float | None,
) -> int:
    """These were sent; an acknowledgment of each is due within so many seconds, or not awaited."""
    return tx.execute(
        q.sent_many,
        part=part_of(system),
        system=system,
        interchange_ids=Uuids(interchange_ids),
        now=now,
        acknowledged_within_s=acknowledged_within_s,
    )


def failed_many(
    tx: Transaction, system: SystemId, failures: Sequence[Failure], now: datetime, duty: Duty | None = None
) -> int:
    """These were tried in vain; with a duty, dead ones become the exception `delivery_dead`. Gives how many are dead.

    Without one their messages tell of themselves.
    """
    part = part_of(system)
    tx.execute(
        q.failed_many,
        part=part,
        system=system,
        interchange_ids=Uuids([each.interchange_id for each in failures]),
        errors=Texts([storable(each.error) for each in failures]),
        finals=Bools([each.final for each in failures]),
        due_ats=Times([each.due_at for each in failures]),
    )
    dead = [each.interchange_id for each in failures if each.final]
    if dead and duty is not None:
        tx.execute(q.give_up_many, part=part, system=system, interchange_ids=Uuids(dead), now=now, **_owned(duty, now))
    return len(dead)


def receivers_due(tx: Transaction, parts: Collection[int], now: datetime) -> set[SystemId]:
    """The systems for which an interchange waits by itself."""
    return {row[0] for row in tx.query(q.receivers_due, parts=SmallInts(parts), now=now)}


def claim_waiting(tx: Transaction, system: SystemId, *, now: datetime, lease_s: float, limit: int) -> list[Waiting]:
    """Lease what waits by itself: acknowledgments, and what a person sends again."""
    rows = tx.query(
        q.claim_waiting,
        part=part_of(system),
        system=system,
        now=now,
        leased_until=now + timedelta(seconds=lease_s),
        limit=limit,
    )
    return [Waiting(row[0], row[1], row[2], bytes(row[3]), row[4]) for row in rows]


# Coming in


def came_in(tx: Transaction, system: SystemId, came: CameIn, now: datetime, duty: Duty) -> tuple[UUID, int]:
    """Know an interchange; gives its id, and how often it has come.

    Where its sender used the control number for something else before, that is the exception `control_number_reused`.
    """
    part = part_of(system)
    found: tuple[UUID, int] = tx.query(
        q.came_in,
        part=part,
        system=system,
        now=now,
        interchange_id=came.interchange_id,
        kind=came.kind,
        standard=came.standard,
        control=storable(came.control),
        partner=storable(came.partner),
        version=storable(came.version),
        content=came.content,
        name=storable(came.name),
        contents=msgspec.json.encode(came.contents).decode(),
        sets=len(came.contents),
        rejected=came.rejected,
        state=came.state,
    )[0]
    if found[1] == 1:
        tx.execute(q.reused, part=part, system=system, interchange_id=found[0], now=now, **_owned(duty, now))
    return found[0], found[1]


def acknowledge_again(tx: Transaction, system: SystemId, interchange_id: UUID, now: datetime) -> int:
    """Send the acknowledgment of an interchange once more, if there is one; gives how many that are."""
    return tx.execute(q.acknowledge_again, part=part_of(system), system=system, interchange_id=interchange_id, now=now)


# Being acknowledged


class Found(NamedTuple):
    """An interchange of ours that an acknowledgment is about."""

    place: int
    interchange_id: UUID
    control: str


def find_answered(tx: Transaction, system: SystemId, asked: Sequence[Asked]) -> dict[int, Found]:
    """What went out under these numbers, by the place of the question; what we never sent is not there."""
    rows = tx.query(
        q.find_answered,
        part=part_of(system),
        system=system,
        places=Ints([each.place for each in asked]),
        firsts=BigInts([each.number - (GROUPS_MAX - 1 if each.of_group else 0) for each in asked]),
        lasts=BigInts([each.number for each in asked]),
        of_groups=Bools([each.of_group for each in asked]),
    )
    return {row[0]: Found(row[0], row[1], row[2]) for row in rows}


def lock_many(tx: Transaction, system: SystemId, interchange_ids: Iterable[UUID]) -> dict[UUID, list[Set]]:
    """The sets of these, as nobody else changes them until the commit."""
    rows = tx.query(q.lock_many, part=part_of(system), system=system, interchange_ids=Uuids(interchange_ids))
    return {row[0]: msgspec.convert(row[1], list[Set]) for row in rows}


def answered_many(tx: Transaction, system: SystemId, judged: Sequence[Judged], now: datetime) -> None:
    """Keep what the partner has said."""
    tx.execute(
        q.answered_many,
        part=part_of(system),
        system=system,
        now=now,
        interchange_ids=Uuids([each.interchange_id for each in judged]),
        states=Texts([each.state for each in judged]),
        contents=Jsons([msgspec.json.encode(each.contents) for each in judged]),
        rejected=Ints([each.rejected for each in judged]),
        errors=Texts([storable(each.error) for each in judged]),
        wholes=Bools([each.whole for each in judged]),
    )


def close_overdue(tx: Transaction, system: SystemId, evidence: dict[str, str], now: datetime) -> int:
    """Close `functional_ack_overdue` of these control numbers on this evidence."""
    return tx.execute(
        q.close_overdue,
        part=part_of(system),
        system=system,
        controls=Texts(list(evidence)),
        evidence=Texts(list(evidence.values())),
        now=now,
    )


def open_rejected(tx: Transaction, system: SystemId, troubles: Sequence[Finding], now: datetime, duty: Duty) -> int:
    """Open `interchange_rejected`, once for each message (or, where none is known, for the system)."""
    return tx.execute(q.open_rejected, **_troubles(troubles), **_owned(duty, now), system=system, now=now)


def close_rejected(tx: Transaction, accepted: Sequence[Finding], now: datetime) -> int:
    """Close `interchange_rejected` of messages that were accepted later; `explanation` is the evidence."""
    given = _troubles(accepted)
    return tx.execute(
        q.close_rejected,
        parts=given["parts"],
        subjects=given["subjects"],
        whats=given["whats"],
        evidence=given["explanations"],
        now=now,
    )


def open_unknown(tx: Transaction, system: SystemId, troubles: Sequence[Finding], now: datetime, duty: Duty) -> int:
    """Open `unknown_acknowledgment`."""
    given = _troubles(troubles)
    return tx.execute(
        q.open_unknown,
        part=part_of(system),
        system=system,
        whats=given["whats"],
        explanations=given["explanations"],
        now=now,
        **_owned(duty, now),
    )


def overdue_many(tx: Transaction, part: int, now: datetime, duty: Duty, *, limit: int = OVERDUE_MAX) -> int:
    """Raise `functional_ack_overdue` where an interchange was sent and not acknowledged in time; gives how many are new."""
    return tx.execute(q.overdue_many, part=part, now=now, limit=limit, **_owned(duty, now))


# For people

JsonObject = dict[str, Any]
_LISTED: Final = (
    *("system", "direction", "kind", "standard", "control", "partner", "name", "state", "sets", "rejected", "attempts"),
    *("times", "made_at", "sent_at", "answer_due_at", "answered_at", "last_error"),
)
_SHOWN: Final = (
    *("interchange_id", "direction", "kind", "standard", "control", "partner", "version", "name", "state", "sets"),
    *("rejected", "attempts", "times", "made_at", "due_at", "sent_at", "answer_due_at", "answered_at", "last_error"),
    *("contents", "acknowledgment", "acknowledgment_state", "bytes"),
)


def list_many(tx: Transaction, system: str | None, *, is_open: bool, limit: int = LISTED_MAX) -> list[JsonObject]:
    """Interchanges, the newest first; `is_open`: only those that were not sent, not answered, or not accepted."""
    parts = range(PARTS) if system is None else [part_of(system)]
    rows = tx.query(q.list_many, parts=SmallInts(parts), system=system, is_open=is_open, limit=limit)
    return [dict(zip(_LISTED, row, strict=True)) for row in rows]


def show_many(tx: Transaction, system: SystemId, control: str, *, limit: int = 20) -> list[JsonObject]:
    """Everything about a control number of a system, in both directions, with its sets; leading zeros do not matter."""
    rows = tx.query(q.show_many, part=part_of(system), system=system, control=control, limit=limit)
    return [dict(zip(_SHOWN, row, strict=True)) for row in rows]


def resend(tx: Transaction, system: SystemId, number: int, now: datetime) -> JsonObject | None:
    """What went out last under the number waits to be sent again, byte for byte; None where there is nothing to send."""
    rows = tx.query(q.resend, part=part_of(system), system=system, number=number, now=now)
    names = ("interchange_id", "kind", "control", "sets", "bytes")
    return dict(zip(names, rows[0], strict=True)) if rows else None


def stop_waiting(tx: Transaction, system: SystemId, interchange_id: UUID) -> None:
    """Its acknowledgment is not awaited any more."""
    tx.execute(q.stop_waiting, part=part_of(system), system=system, interchange_id=interchange_id)


# Helping


def storable(text: str) -> str:
    """A peer's words as PostgreSQL can keep them."""
    plain = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return plain[:ERROR_CHARACTERS_MAX]


def _owned(duty: Duty, now: datetime) -> dict[str, Any]:
    return {"owner": duty.owner, "due_at": now + timedelta(seconds=duty.within_s)}


def _troubles(found: Sequence[Finding]) -> dict[str, Any]:
    # A statement may write a row once only: of what is told twice, the last word counts.
    once = list({(each.subject, each.what): each for each in found}.values())
    return {
        "parts": SmallInts([part_of(each.subject) for each in once]),
        "subjects": Texts([each.subject for each in once]),
        "whats": Texts([storable(each.what) for each in once]),
        "explanations": Texts([storable(each.explanation) for each in once]),
    }
