"""An order's story: messages, events, deliveries and exceptions as steps in time order, each told in a
sentence.

`views.story` reads the rows; here they become steps. Nothing here asks the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, assert_never

import msgspec

from interlock.domain import events
from interlock.domain.commands import LineUnits, Received
from interlock.domain.events import AnyEvent, Held
from interlock.domain.values import ZERO, Quantity, plain

StepKind = Literal["message", "event", "delivery", "exception"]
Rows = Sequence[Sequence[Any]]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    `lag_s` is the time since the step before, `source` the system that it came from or went to, `name` its
    short name (an action, an event's type, ...), `words` the sentence for people, `ids` what it can be found
    by. `occurred_at` is the source's own time for it, where it said one.
    """

    at: datetime
    lag_s: float
    kind: StepKind
    name: str
    source: str
    subject: str
    words: str
    ids: dict[str, str]
    outcome: str = ""
    occurred_at: datetime | None = None


class _Happened(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    rank: int
    kind: StepKind
    name: str
    source: str
    subject: str
    words: str
    ids: Mapping[str, Any]
    outcome: str = ""
    occurred_at: datetime | None = None


def steps(subjects: Iterable[Sequence[Any]]) -> list[Step]:
    """The steps of some subjects, each given as (subject, messages, events, outbox, exceptions), in time
    order.
    """
    happened: list[_Happened] = []
    for subject, messages, recorded, outbox, exceptions in subjects:
        happened += _messages(subject, messages)
        happened += _events(subject, recorded)
        happened += _deliveries(subject, outbox)
        happened += _exceptions(subject, exceptions)
    happened.sort(key=lambda each: (each.at, each.rank))
    told: list[Step] = []
    before: datetime | None = None
    for each in happened:
        told.append(
            Step(
                at=each.at,
                lag_s=round((each.at - before).total_seconds(), 6) if before else 0.0,
                kind=each.kind,
                name=each.name,
                source=each.source,
                subject=each.subject,
                words=each.words,
                ids={name: str(value) for name, value in each.ids.items() if value not in (None, "")},
                outcome=each.outcome,
                occurred_at=each.occurred_at,
            )
        )
        before = each.at
    return told


_BECAME: Final[dict[str, str]] = {
    "received": "it waits to be processed",
    "processed": "processed",
    "duplicate": "the same as before: nothing was done again",
    "stale": "stale: nothing new in it",
    "parked": "parked, it waits for {waits_for}",
    "conflict": "conflict: the same key came before with another payload",
    "refused": "refused",
    "quarantined": "quarantined",
}
_WITH_REASON: Final = frozenset({"stale", "refused", "quarantined"})


def _messages(subject: str, rows: Rows) -> Iterator[_Happened]:
    for row in rows:
        (message_id, system, source_message_id, file, record, received_at, occurred_at, trace_id, action, key) = row[
            :10
        ]
        outcome, reason, settled_at, waits_for = row[10:]
        became = _BECAME.get(outcome or "received", str(outcome)).format(waits_for=waits_for)
        if reason and outcome in _WITH_REASON:
            became += f" ({reason})"
        where = f" in {record} of a file" if file else f" in {record} of a request" if record else ""
        late = (settled_at - received_at).total_seconds() if settled_at else 0.0
        waited = f", after {late:.1f} s" if late >= 1 else ""
        yield _Happened(
            at=received_at,
            rank=0,
            kind="message",
            name=action or "unreadable",
            source=system,
            subject=subject,
            words=f"{system} sent {action or 'something that could not be read'}{where}: {became}{waited}",
            ids={
                "message_id": message_id,
                "ref": key,
                "source_message_id": source_message_id,
                "file_sha256": file,
                "trace_id": trace_id,
            },
            outcome=outcome,
            occurred_at=occurred_at,
        )


def _events(subject: str, rows: Rows) -> Iterator[_Happened]:
    for seq, body, message_id, system, occurred_at, recorded_at in rows:
        event = events.decode(body)
        words, ids = _told(event)
        yield _Happened(
            at=recorded_at,
            rank=1,
            kind="event",
            name=event.type,
            source=system,
            subject=subject,
            words=words,
            ids={"seq": seq, **ids, "message_id": message_id},
            occurred_at=occurred_at,
        )


def _told(event: AnyEvent) -> tuple[str, dict[str, Any]]:
    """The event in words, and what it can be found by."""
    match event:
        case events.OrderCreated():
            units = plain(sum((line.quantity for line in event.lines), start=ZERO))
            words = (
                f"order {event.number} taken from channel {event.channel}: {_count(len(event.lines), 'line')}, "
                f"{_count(units, 'unit')}, {event.total} {event.currency}, {event.fulfillment}"
            )
            return words + (f" (the source says {event.word!r})" if event.word else ""), {"number": event.number}
        case events.PaymentAuthorized():
            return f"payment authorized: {event.amount} more", {"ref": event.ref}
        case events.PaymentCaptured():
            return f"payment captured: {event.amount} more", {"ref": event.ref}
        case events.PaymentVoided():
            return f"authorization given up: {event.amount} of it", {"ref": event.ref}
        case events.UnitsAllocated():
            nodes = ", ".join(
                f"{_held([h for h in event.held if h.assignment_no == number])} at {node} (assignment {number})"
                for number, node in event.nodes.items()
            )
            return f"reserved {nodes or _held(event.held)}", {}
        case events.UnitsBackordered():
            again = f"; tried again at {event.retry_at:%Y-%m-%d %H:%M:%S} UTC" if event.retry_at else ""
            return f"no node can fill {_units(event.units)} now{again}", {}
        case events.ReservationCanceled():
            because = f": {event.reason}" if event.reason else ""
            again = f"; sourced again at {event.retry_at:%Y-%m-%d %H:%M:%S} UTC at the latest"
            return f"taken back {_held(event.held)}{because}{again}", {"ref": event.ref}
        case events.AssignmentReleased():
            return f"assignment {event.assignment_no} released to its node", {"assignment_no": event.assignment_no}
        case events.AssignmentAcknowledged():
            ref = f", as its {event.warehouse_ref}" if event.warehouse_ref else ""
            return (
                f"assignment {event.assignment_no} taken by its node{ref}",
                {"assignment_no": event.assignment_no, "warehouse_ref": event.warehouse_ref},
            )
        case events.UnitsPacked():
            return f"packed {_units(event.units)} of assignment {event.assignment_no}", {}
        case events.UnitsShipped():
            tracking = ", ".join(package.tracking for package in event.packages)
            by = f" by {event.carrier}" if event.carrier else ""
            parcels = f", tracking {tracking}" if tracking else ""
            late = f"; {_units(event.after_cancel)} had been canceled" if event.after_cancel else ""
            return (
                f"shipped {_units(event.units)} of assignment {event.assignment_no}{by}{parcels}{late}",
                {"ref": event.ref, "tracking": tracking},
            )
        case events.UnitsRejected():
            return (
                f"the node of assignment {event.assignment_no} cannot ship {_units(event.units)}: {event.reason}",
                {"assignment_no": event.assignment_no},
            )
        case events.UnitsCanceled():
            parts = [_units(event.open), _held(event.held)]
            because = f": {event.reason}" if event.reason else ""
            return f"canceled {' and '.join(part for part in parts if part)}{because}", {"ref": event.ref}
        case events.ReturnAuthorized():
            because = f": {event.reason}" if event.reason else ""
            return f"the customer may return {_units(event.units)}{because}", {"return_ref": event.ref}
        case events.ReturnCanceled():
            because = f": {event.reason}" if event.reason else ""
            words = f"{_units(event.units)} of return {event.return_ref} is not awaited any more{because}"
            return words, {"ref": event.ref, "return_ref": event.return_ref}
        case events.UnitsReturned():
            return (
                f"{_units(event.units)} came back to {event.node}",
                {"ref": event.ref, "return_ref": event.return_ref},
            )
        case events.RefundIssued():
            of = f" for {_units(event.units)}" if event.units else ""
            return f"refunded {event.amount}{of}", {"ref": event.ref}
        case events.OrderClosed():
            return "closed: nothing is left to do", {}
        case events.OrderReopened():
            return f"opened again: {event.because}", {}
        case _:
            assert_never(event)


def _units(units: Sequence[LineUnits | Received]) -> str:
    return ", ".join(
        f"{each.quantity} of line {each.line_no}"
        + (f" ({each.disposition})" if isinstance(each, Received) and each.disposition != "restock" else "")
        for each in units
    )


def _held(held: Sequence[Held]) -> str:
    return ", ".join(f"{each.quantity} of line {each.line_no}" for each in held)


def _count(number: Quantity, one: str, many: str = "") -> str:
    return f"1 {one}" if number == 1 else f"{number} {many or one + 's'}"


def _deliveries(subject: str, rows: Rows) -> Iterator[_Happened]:
    for row in rows:
        _, receiver, message, assignment_no, created_at, state, attempts, due_at, _ = row[:9]
        sent_at, answer_due_at, answered_at, last_error, note = row[9:]

        def step(at: datetime, rank: int, outcome: str, words: str, row: Any = row) -> _Happened:
            seq, receiver, message, assignment_no, batch = row[0], row[1], row[2], row[3], row[8]
            return _Happened(
                at=at,
                rank=rank,
                kind="delivery",
                name=message,
                source=receiver,
                subject=subject,
                words=words,
                ids={
                    "id": f"{subject}/{seq}/{assignment_no}",
                    "assignment": f"{subject}/{assignment_no}",
                    "batch": batch,
                },
                outcome=outcome,
            )

        about = f"{message} of assignment {assignment_no}"
        tried = f" after {_count(attempts, 'try', 'tries')}" if attempts > 1 else ""
        said = f" (last: {last_error})" if last_error else ""
        yield step(created_at, 2, "waiting", f"{about} is to be sent to {receiver}")
        if state == "waiting" and attempts:
            yield step(due_at, 6, "waiting", f"{about} will be sent to {receiver} again{tried}{said}")
        if state == "dead":
            yield step(sent_at or due_at, 3, "dead", f"{receiver} did not take {about}{tried}{said}: given up")
        elif sent_at is not None and note is not None:
            yield step(sent_at, 3, "sent", f"{about} was not sent to {receiver}: {note}")
        elif sent_at is not None:
            yield step(sent_at, 3, "sent", f"{about} was delivered to {receiver}{tried}")
        if answered_at is not None:
            words = f"{receiver} answered {about}"
            if answer_due_at is not None and answered_at > answer_due_at:
                words += f", {(answered_at - answer_due_at).total_seconds():.0f} s late"
            yield step(answered_at, 4, "answered", words)


def _exceptions(subject: str, rows: Rows) -> Iterator[_Happened]:
    for row in rows:
        exception_id, reason, explanation, system, message_id, owner, opened_at = row[:7]
        due_at, times, last_seen_at, closed_at, closed_by, evidence = row[7:]
        ids = {"exception_id": exception_id, "message_id": message_id}
        often = f", seen {times} times, last at {last_seen_at:%Y-%m-%d %H:%M:%S} UTC" if times > 1 else ""
        yield _Happened(
            at=opened_at,
            rank=5,
            kind="exception",
            name=reason,
            source=system,
            subject=subject,
            words=f"exception for {owner}, due {due_at:%Y-%m-%d %H:%M} UTC{often}: {explanation}",
            ids=ids,
            outcome="closed" if closed_at else "open",
        )
        if closed_at is not None:
            yield _Happened(
                at=closed_at,
                rank=6,
                kind="exception",
                name=reason,
                source=closed_by,
                subject=subject,
                words=f"exception closed by {closed_by}: {evidence}",
                ids=ids,
                outcome="closed",
            )
