"""What was put away, again and for real, once its cause is mended: a mapping, an alias, the estate, our own code.

    for tried in Reprocess(db, rereader, door, observers).run(wanted): ...

A message that was quarantined keeps that outcome for ever. What it is read as now comes in as a new message with the same
bytes, through the same door as everything else, and the exception is closed with the new message as its evidence. Nothing is
done twice, however often it is run and wherever it was killed: the ledger knows each action, and an exception that is open
still is tried again. What cannot be read yet stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec
from msgspec.structs import replace

from interlock.connectors.inlet import Observer, Origin
from interlock.connectors.kept_rows import parameters
from interlock.connectors.receive import new_message_id
from interlock.connectors.translate import Reading, Translator
from interlock.contracts.upcasters import command_label
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import System
from interlock.domain.links import LinkIn
from interlock.replay.reread import NOT_ABOUT_READING, RECORD, Again, Rereader, as_arrival
from interlock.storage import put_away
from interlock.storage.database import Database
from interlock.storage.history import Kept
from interlock.storage.put_away import Mended, Wanted

AT_ONCE: Final = 2_000
"""Messages that are read, decided and closed together."""


class Tried(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became, or would become, of one message that was put away.

    `messages` are the new ones, `outcomes` theirs; `why` says why it stays put away.
    """

    message_id: UUID
    system: str
    record: str = ""
    reason: str
    state: Literal["taken", "would be taken", "nothing to do", "stays"]
    by: str = ""
    becomes: tuple[str, ...] = ()
    messages: tuple[UUID, ...] = ()
    outcomes: tuple[str, ...] = ()
    why: str = ""


class Processor(Protocol):
    """What is needed of the engine's door."""

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep, decide and commit; one outcome for each arrival, in order."""


class _Work(NamedTuple):
    kept: Kept
    found: list[Again]
    arrivals: list[Arrival]


class Reprocess:
    """One estate's way to take what was put away. `observers` are those of a link, as everything that comes in by it has."""

    def __init__(
        self,
        db: Database,
        rereader: Rereader,
        door: Processor,
        observers: Callable[[System, LinkIn], Sequence[Observer]] = lambda _system, _link: (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db, self._rereader, self._door = db, rereader, door
        self._observers, self._clock = observers, clock

    def run(self, wanted: Wanted, *, limit: int | None = None, dry_run: bool = False) -> Iterator[Tried]:
        """Try all of them, the oldest first, at most `limit`. Raises DatabaseUnavailable or TransactionConflict: what was
        told by then is done.
        """
        after: UUID | None = None
        left = limit
        while left is None or left > 0:
            size = AT_ONCE if left is None else min(AT_ONCE, left)
            kept = self._db.transaction(
                lambda tx, after=after, size=size: put_away.put_away_many(tx, wanted, after, size)  # type: ignore[misc]
            )
            if not kept:
                return
            after = kept[-1].message_id
            left = None if left is None else left - len(kept)
            work = self._further([self._read(each) for each in kept])
            yield from map(self._shown, work) if dry_run else self._take(work)

    def _read(self, kept: Kept) -> _Work:
        reason = (kept.reason or "").partition(": ")[0]
        found = [] if reason in NOT_ABOUT_READING else self._rereader.read(kept)
        return self._work(kept, found)

    def _work(self, kept: Kept, found: list[Again]) -> _Work:
        """What comes in: nothing where the first record cannot be read, else every record; of what fails, that it failed."""
        if not found or found[0].problem is not None:
            return _Work(kept, found, [])
        now = self._clock()
        real = [each for each in found if each.command is not None or each.problem is not None]
        return _Work(kept, found, [self._arrival(kept, each, now) for each in real])

    def _further(self, work: list[_Work]) -> list[_Work]:
        """A further record of a document, as the mapping made it then: it is made again, from the document's bytes."""
        asked = [
            (each.kept, document_of(each.kept))
            for each in work
            if each.found and each.found[0].problem is not None and each.kept.content_type.startswith(RECORD)
        ]
        if not asked:
            return work
        firsts = self._db.transaction(lambda tx: put_away.firsts_many(tx, asked))
        places = {kept.message_id: document for kept, document in asked}
        again: list[_Work] = []
        for each in work:
            first, kept = firsts.get(each.kept.message_id), each.kept
            if first is not None:
                part = (kept.record or "").removeprefix(places[kept.message_id])
                found = [one for one in self._rereader.read(first) if part and (one.place or "").endswith(part)]
                each = self._work(kept, found) if len(found) == 1 else each
            again.append(each)
        return again

    def _arrival(self, kept: Kept, again: Again, now: datetime) -> Arrival:
        arrival = as_arrival(kept, again)
        label = arrival.contract or (command_label(again.command.action) if again.command is not None else None)
        return replace(arrival, message_id=new_message_id(), received_at=now, contract=label)

    def _take(self, work: list[_Work]) -> list[Tried]:
        """Decide them, tell who wants to know what came in, and close what was done: in this order, so that nothing is lost."""
        arrivals = [arrival for each in work for arrival in each.arrivals]
        outcomes = iter(self._door.process(arrivals))
        tried: list[Tried] = []
        mended: dict[tuple[int, str, str], Mended | None] = {}
        now = self._clock()
        for each in work:
            mine = [next(outcomes) for _ in each.arrivals]
            self._observe(each, mine)
            told = self._done(each, mine)
            tried.append(told)
            kept = each.kept
            key = (kept.part, kept.subject, put_away.exception_id(kept))
            if told.state == "stays" or mended.get(key, ...) is None:
                mended[key] = None  # another message of the same subject stays put away, and so does the exception
            else:
                mended[key] = Mended(*key, _evidence(told))
        closing = [each for each in mended.values() if each is not None]
        if closing:
            self._db.transaction(lambda tx: put_away.close_many(tx, closing, now))
        return tried

    def _done(self, work: _Work, outcomes: Sequence[Outcome]) -> Tried:
        shown = self._shown(work)
        if shown.state != "would be taken":
            return shown
        is_taken = any(outcome.outcome != "quarantined" for outcome in outcomes)
        return replace(
            shown,
            state="taken" if is_taken else "stays",
            messages=tuple(outcome.message_id for outcome in outcomes),
            outcomes=tuple(outcome.outcome for outcome in outcomes),
            why="" if is_taken else outcomes[0].reason,
        )

    def _shown(self, work: _Work) -> Tried:
        kept, found = work.kept, work.found
        tried = Tried(
            message_id=kept.message_id,
            system=kept.system,
            record=kept.record or "",
            reason=(kept.reason or "").partition(": ")[0],
            state="stays",
            by=self._rereader.way_of(kept),
        )
        if not found:
            return replace(tried, why="reading it again does not mend this: its sender must send it anew")
        problem = found[0].problem
        if problem is not None:
            first = "".join(f"; {e.field} {e.value!r}: expected {e.expected}" for e in problem.errors[:1])
            return replace(tried, why=f"{problem.explanation}{first}")
        commands = [each.command for each in found if each.command is not None]
        return replace(
            tried,
            state="would be taken" if commands else "nothing to do",
            becomes=tuple(f"{c.action} {c.subject} {c.key}".strip() for c in commands),
        )

    def _observe(self, work: _Work, outcomes: Sequence[Outcome]) -> None:
        """Tills are counted by what came in, whenever it could be read."""
        way = self._rereader.link_of(work.kept)
        if way is None or not outcomes:
            return
        link, translator = way
        observers = self._observers(translator.system, link)
        if observers:
            kept = work.kept
            origin = Origin(name=kept.record or link.name, received_at=kept.received_at, file=kept.file)
            real = [each for each in work.found if each.command is not None or each.problem is not None]
            readings = [_reading(kept, each, translator) for each in real]
            for observer in observers:
                observer.readings(translator, origin, readings, outcomes)


def _reading(kept: Kept, again: Again, translator: Translator) -> Reading:
    place = again.place or kept.record or ""
    body = again.body or kept.body
    return Reading(place, "", body, translator.content_type, again.command, again.problem, again.mark)


def document_of(kept: Kept) -> str:
    """Where the document of a further record stands, as its first record has it."""
    place = parameters(kept.content_type)[1].get("of", "")
    entry, colon, _ = (kept.record or "").partition(f": {place}")
    return f"{entry}{colon}" if colon and not (kept.record or "").startswith(place) else place


def _evidence(tried: Tried) -> str:
    if tried.state == "nothing to do":
        return f"reprocessed by {tried.by}: there is nothing to do for it"
    made = ", ".join(f"{m} ({o})" for m, o in zip(tried.messages, tried.outcomes, strict=True))
    return f"reprocessed as {made} by {tried.by}"
