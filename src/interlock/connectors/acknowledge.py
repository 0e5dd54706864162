"""Functional acknowledgments: what came in is acknowledged, and what went out is matched with what the partner says of it.

    book = InterchangeBook(db, estate)
    observers = book.observers(system, link)      # for the inlet of a link

    an interchange comes in ─▶ kept ─▶ our 997, 999, TA1 or CONTRL waits for delivery      in one transaction
                                  └─▶ its answers are matched with what we sent

It hears of an interchange after everything in it is committed, and once more if the bytes come again: then it answers with the
same acknowledgment, and nothing is matched twice.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final, Literal, Protocol, cast
from uuid import UUID, uuid5

import msgspec

from interlock.connectors.formats.document import Answer, Interchange, Numbers, WriteRefused
from interlock.connectors.inlet import Origin
from interlock.connectors.receive import new_message_id
from interlock.connectors.translate import Reading, Translator
from interlock.domain.decision import Outcome
from interlock.domain.estate import Estate, System
from interlock.domain.links import Envelope, Link
from interlock.domain.values import SystemId
from interlock.storage import interchanges
from interlock.storage.database import Database, Transaction
from interlock.storage.interchanges import Asked, CameIn, Finding, Judged, Set, Written

ACKNOWLEDGED_SETS_MAX: Final = 20_000
_ACKNOWLEDGMENTS: Final = frozenset({"997", "999", "CONTRL"})
_SUFFIXES: Final = {"x12": "x12", "edifact": "edi"}


class Maker(Protocol):
    """What a format has to acknowledge with: `formats.x12.acknowledge`, `formats.edifact.acknowledge`."""

    def __call__(self, interchange: Interchange, kind: str, envelope: Envelope, numbers: Numbers) -> bytes: ...


class InterchangeBook:
    """Keeps the interchanges of an estate. Safe to share between threads."""

    def __init__(
        self, db: Database, estate: Estate, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._db, self._estate, self._clock = db, estate, clock

    def observers(self, system: System, link: Link) -> list[BookObserver]:  # noqa: ARG002 - as `Links` asks
        """Who watches a link: one observer where its format has envelopes, none where not."""
        if link.format is None or link.format.kind not in _SUFFIXES:
            return []
        return [BookObserver(self, link)]

    def came(self, system: SystemId, link: Link, origin: Origin, interchange: Interchange, content: bytes) -> None:
        """Keep an interchange, with its acknowledgment and what it says of ours. Raises what the database raises."""
        now = self._clock()
        fresh, answer_id = new_message_id(), new_message_id()
        self._db.transaction(
            lambda tx: self._keep(tx, system, link, origin, interchange, content, now, fresh, answer_id)
        )

    def _keep(
        self,
        tx: Transaction,
        system: SystemId,
        link: Link,
        origin: Origin,
        interchange: Interchange,
        content: bytes,
        now: datetime,
        fresh: UUID,
        answer_id: UUID,
    ) -> None:
        came = came_in(interchange, fresh, content, origin.name)
        duty = self._estate.duty("control_number_reused")
        interchange_id, times = interchanges.came_in(tx, system, came, now, duty)
        if times > 1:
            interchanges.acknowledge_again(tx, system, interchange_id, now)
            return
        if link.acknowledge != "none" and came.kind != "acknowledgment":
            self._acknowledge(tx, system, link, interchange, interchange_id, answer_id, now)
        if interchange.answers:
            self._match(tx, system, interchange, now)

    def _acknowledge(
        self,
        tx: Transaction,
        system: SystemId,
        link: Link,
        interchange: Interchange,
        interchange_id: UUID,
        answer_id: UUID,
        now: datetime,
    ) -> None:
        envelope = link.format.envelope if link.format is not None else None
        assert envelope is not None, "the estate's check has seen to it"
        make = cast(Maker, import_module(f"interlock.connectors.formats.{interchange.standard}").acknowledge)
        kinds = ([link.acknowledge] if interchange.groups or interchange.standard != "x12" else []) + (
            # What is wrong with an envelope is not in a 997.
            ["TA1"] if interchange.standard == "x12" and interchange.errors else []
        )
        written, failures = [], []
        for place, (kind, number) in enumerate(
            zip(kinds, interchanges.next_numbers(tx, system, len(kinds)), strict=True)
        ):
            own_id = uuid5(answer_id, kind) if place else answer_id
            try:
                body = make(interchange, kind, envelope, Numbers(number, now, number))
            except WriteRefused as error:
                body = b""
                failures.append(interchanges.Failure(own_id, f"the {kind} cannot be written: {error}", now, True))
            else:
                if not body:
                    continue  # there is nothing to acknowledge in it
            written.append(_written(own_id, kind, number, now, envelope, interchange, interchange_id, body))
        interchanges.write_many(tx, system, written, now)
        if failures:
            interchanges.failed_many(tx, system, failures, now, self._estate.duty("delivery_dead"))

    # What a partner says of ours

    def _match(self, tx: Transaction, system: SystemId, interchange: Interchange, now: datetime) -> None:
        asked, unknown = _asked(interchange.answers)
        found = interchanges.find_answered(tx, system, asked) if asked else {}
        unknown += [interchange.answers[each.place] for each in asked if each.place not in found]
        contents = interchanges.lock_many(tx, system, {each.interchange_id for each in found.values()})
        judged: dict[UUID, Judged] = {}
        for place, each in found.items():
            answer = interchange.answers[place]
            said = apply(answer, contents[each.interchange_id], interchange.standard)
            before = judged.get(each.interchange_id)
            errors = "; ".join(answer.errors)
            error = f"{before.error}; {errors}" if before is not None and before.error and errors else errors
            judged[each.interchange_id] = verdict(each.interchange_id, said, error)
        if judged:
            interchanges.answered_many(tx, system, list(judged.values()), now)
            controls = {each.interchange_id: each.control for each in found.values()}
            self._tell(tx, system, interchange, judged, controls, now)
        if unknown:
            duty = self._estate.duty("unknown_acknowledgment")
            interchanges.open_unknown(tx, system, [_unknown(each, interchange) for each in unknown], now, duty)

    def _tell(
        self,
        tx: Transaction,
        system: SystemId,
        interchange: Interchange,
        judged: dict[UUID, Judged],
        controls: dict[UUID, str],
        now: datetime,
    ) -> None:
        """Open and close exceptions by what was said."""
        answered = {
            controls[each.interchange_id]: f"{system} answered in interchange {interchange.control}: {each.state}"
            for each in judged.values()
            if each.whole
        }
        interchanges.close_overdue(tx, system, answered, now)
        rejected, accepted = [], []
        for each in judged.values():
            control = controls[each.interchange_id]
            for one in each.contents:
                if one.state == "rejected":
                    rejected.append(_rejected(system, one, control, each.error))
                elif one.state and one.message:
                    evidence = f"{system} accepted it in set {one.control} of interchange {control}"
                    accepted.append(Finding(one.subject, one.message, evidence))
        if rejected:
            duty = self._estate.duty("interchange_rejected")
            interchanges.open_rejected(tx, system, rejected, now, duty)
        if accepted:
            interchanges.close_rejected(tx, accepted, now)


class BookObserver:
    """Watches one link for the book. What was read since the last envelope tells one interchange from another of its number."""

    def __init__(self, book: InterchangeBook, link: Link) -> None:
        self._book, self._link = book, link
        self._now = threading.local()

    def readings(
        self, translator: Translator, origin: Origin, readings: Sequence[Reading], outcomes: Sequence[Outcome]
    ) -> None:
        """Add to what is known of the interchange that is being read."""
        del translator, outcomes
        if getattr(self._now, "first", None) == readings[0].place:
            self._now.origin = None  # it is read again from its beginning
        content = self._content(origin)
        if self._now.first is None:
            self._now.first = readings[0].place
        for reading in readings:
            if not reading.content_type.startswith("application/vnd.interlock.record"):
                content.update(b"%d:" % len(reading.body))
                content.update(reading.body)

    def interchange(self, translator: Translator, origin: Origin, interchange: Interchange) -> None:
        """Keep it."""
        content = self._content(origin)
        self._now.origin = self._now.first = None
        content.update(msgspec.json.encode((interchange.standard, interchange.groups, interchange.answers)))
        self._book.came(translator.system.id, self._link, origin, interchange, content.digest())

    def _content(self, origin: Origin) -> Any:
        # An inlet is read by one thread from its beginning to its end, and another origin is another input.
        if getattr(self._now, "origin", None) is not origin:
            self._now.origin, self._now.content, self._now.first = origin, hashlib.sha256(), None
        return self._now.content


# What is made of an interchange that came in


def came_in(interchange: Interchange, fresh: UUID, content: bytes, name: str) -> CameIn:
    """The row of an interchange."""
    sets: list[Set] = []
    for group in interchange.groups:
        for each in group.sets:
            sets.append(
                Set(
                    kind=each.kind,
                    control=each.control,
                    group=group.control,
                    code=group.code,
                    state="accepted" if each.accepted else "rejected",
                    errors=[_error(error) for error in each.errors],
                )
            )
    rejected = sum(each.state == "rejected" for each in sets)
    troubled = bool(interchange.errors or any(group.errors for group in interchange.groups))
    state: Literal["received", "partly", "rejected"] = "received"
    if rejected or troubled:
        state = "partly" if rejected < len(sets) else "rejected"
    only_answers = bool(interchange.answers) and all(each.kind.partition(":")[0] in _ACKNOWLEDGMENTS for each in sets)
    return CameIn(
        interchange_id=fresh,
        kind="acknowledgment" if only_answers else "messages",
        standard=interchange.standard,
        control=interchange.control,
        partner=":".join(interchange.sender),
        version=interchange.version,
        content=content,
        name=name,
        contents=tuple(sets[:ACKNOWLEDGED_SETS_MAX]),
        rejected=rejected,
        state=state,
    )


def _written(
    own_id: UUID,
    kind: str,
    number: int,
    now: datetime,
    envelope: Envelope,
    interchange: Interchange,
    interchange_id: UUID,
    body: bytes,
) -> Written:
    return Written(
        interchange_id=own_id,
        kind="acknowledgment",
        standard=interchange.standard,
        number=number,
        control=f"{number:09}" if interchange.standard == "x12" else str(number),
        version=envelope.version,
        name=f"{kind.lower()}-{now:%Y%m%dT%H%M%S}-{own_id.hex[-12:]}.{_SUFFIXES[interchange.standard]}",
        groups=(number,),
        contents=(),
        body=body,
        answers=interchange_id,
    )


def _error(error: tuple[str, int, int, str, str]) -> str:
    segment, position, element, code, found = error
    place = f"{segment}{element:02}" if element else segment
    return f"{place}, segment {position}: code {code}" + (f", found {found!r}" if found else "")


# What is made of what a partner says


def apply(answer: Answer, sets: list[Set], standard: str) -> list[Set]:
    """Write an answer into the sets that it is about, and give all sets."""
    if answer.scope == "interchange" and standard == "x12" and answer.state != "rejected":
        return sets  # a TA1 says that the envelope came; what is in it, a 997 says
    said = {_plain(control): state for control, state in answer.sets.items()}
    default = "accepted" if answer.state == "partly" else answer.state
    for one in sets:
        # The groups of an interchange may share a number; then their codes tell them apart.
        in_group = _plain(one.group) == _plain(answer.control) and one.code in ("", answer.code)
        if answer.scope == "interchange" or in_group:
            state = said.get(_plain(one.control), default)
            one.state = "with_errors" if state == "partly" else state
    return sets


def verdict(interchange_id: UUID, sets: list[Set], error: str) -> Judged:
    """What the sets of an interchange come to; as long as some have no answer it is still only sent."""
    states = {one.state for one in sets}
    rejected = sum(one.state == "rejected" for one in sets)
    if "" in states:
        state = "sent" if not rejected else "partly"
    elif rejected:
        state = "rejected" if states == {"rejected"} else "partly"
    else:
        state = "with_errors" if "with_errors" in states else "accepted"
    return Judged(interchange_id, state, sets, rejected, error, "" not in states)


def _asked(answers: Sequence[Answer]) -> tuple[list[Asked], list[Answer]]:
    """The questions which of our interchanges are meant; and the answers whose numbers cannot be ours."""
    asked, unknown = [], []
    for place, answer in enumerate(answers):
        control = answer.control.strip()
        if answer.scope != "set" and control.isascii() and control.isdigit() and len(control) <= 14:
            asked.append(Asked(place, int(control), answer.scope == "group"))
        else:
            unknown.append(answer)
    return asked, unknown


def _unknown(answer: Answer, interchange: Interchange) -> Finding:
    said = ":".join(interchange.sender)
    return Finding(
        "",
        f"{answer.scope}/{answer.control}",
        f"{said} acknowledges the {answer.scope} {answer.control} ({answer.code}: {answer.state}) in interchange "
        f"{interchange.control}; nothing with that number went to it",
    )


def _rejected(system: SystemId, one: Set, control: str, error: str) -> Finding:
    what = f"{one.message} of {one.subject}" if one.message else "it"
    return Finding(
        one.subject or system,
        one.message or f"{control}/{one.control}",
        f"{system} rejected {what}, set {one.control} ({one.kind}) of interchange {control}: {error or 'it does not say why'}",
    )


def _plain(control: str) -> str:
    return control.strip().lstrip("0")
