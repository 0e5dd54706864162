"""Where every transport hands over bytes: they are translated, kept and decided, in chunks, and counted.

    inlet = Inlet(translator, door, observers)
    taken = inlet.take(blocks, origin, reject=write_down)

When `take` returns, everything in the bytes has its outcome in the database: only then may a transport acknowledge, delete
or move what it has handed over. Taking the same bytes again does no harm, since the ledger knows each action.
Memory is bounded whatever the size of the input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import structlog

from interlock.connectors.formats.document import FormatUnreadable, Interchange
from interlock.connectors.mapping_errors import UNREADABLE
from interlock.connectors.receive import new_message_id
from interlock.connectors.translate import Reading, Translator
from interlock.domain.decision import Arrival, FieldError, Outcome, Problem

ARRIVALS_MAX: Final = 8_000
ARRIVAL_BYTES_MAX: Final = 4 * 1024 * 1024
INTERCHANGES_MAX: Final = 1_000
SKIPPED: Final = "nothing_to_do"

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder(decimal_format="string", enc_hook=str).encode


class Processor(Protocol):
    """What the inlet needs of the engine's door."""

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep, decide and commit; one outcome for each arrival, in order."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes came from: the name of the file, topic or request; `file` is a file's SHA-256 in hex, `entry` which
    file of an archive it is.
    """

    name: str
    received_at: datetime
    file: str | None = None
    entry: str = ""
    source_message_id: str | None = None
    trace_id: str | None = None
    context: Mapping[str, Any] = {}


class Rejected(NamedTuple):
    """Something that was not taken: where it stands, which field, what it holds, what was expected, and it itself."""

    place: str
    field: str
    value: str
    expected: str
    reason: str
    text: str


class Taken(msgspec.Struct, kw_only=True):
    """What became of all of it. `records` = the sum of `outcomes` (unreadable ones are quarantined) + `skipped`.

    `interchanges` are the first `INTERCHANGES_MAX`; observers are told of all.
    """

    records: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    notes: Counter[str] = msgspec.field(default_factory=Counter)
    skipped: int = 0
    interchanges: list[Interchange] = msgspec.field(default_factory=list)
    answers: list[Outcome] = msgspec.field(default_factory=list)
    readings: list[Reading] = msgspec.field(default_factory=list)


class Observer(Protocol):
    """Who wants to know what came in: after its chunk is committed, and again if the bytes come again."""

    def readings(
        self, translator: Translator, origin: Origin, readings: Sequence[Reading], outcomes: Sequence[Outcome]
    ) -> None:
        """Some readings; each outcome belongs to the reading at its place. What was skipped has the outcome `nothing_to_do`."""

    def interchange(self, translator: Translator, origin: Origin, interchange: Interchange) -> None:
        """An interchange that came to its end; its readings were observed before."""


class Inlet:
    """One link's way into the engine. Safe to share between threads."""

    def __init__(self, translator: Translator, door: Processor, observers: Sequence[Observer] = ()) -> None:
        self.translator = translator
        self._door = door
        self._observers = observers

    def take(
        self,
        source: Iterable[bytes],
        origin: Origin,
        *,
        reject: Callable[[Rejected], None] = lambda _: None,
        answers: bool = False,
        into: Taken | None = None,
    ) -> Taken:
        """Take all of it; `reject` is told of everything that could not be read; with `answers` the outcomes are kept.

        Raises FormatUnreadable (what came before that place has been taken, and is counted in `into`), DatabaseUnavailable
        or TransactionConflict.
        """
        taken = Taken() if into is None else into
        waiting: list[Reading] = []
        size = 0
        items = self.translator.read(source, origin.context)
        while True:
            try:
                item = next(items, None)
            except FormatUnreadable:
                self._process(waiting, origin, taken, answers)
                raise
            if item is None:
                break
            if isinstance(item, Interchange):
                self._process(waiting, origin, taken, answers)
                waiting, size = [], 0
                if len(taken.interchanges) < INTERCHANGES_MAX:
                    taken.interchanges.append(item)
                for observer in self._observers:
                    observer.interchange(self.translator, origin, item)
                continue
            taken.records += 1
            taken.notes.update(item.notes)
            if item.problem is not None:
                taken.rejected[item.problem.reason] += 1
                for rejected in _rejects(item):
                    reject(rejected)
            waiting.append(item)
            size += len(item.body)
            if len(waiting) >= ARRIVALS_MAX or size >= ARRIVAL_BYTES_MAX:
                self._process(waiting, origin, taken, answers)
                waiting, size = [], 0
        self._process(waiting, origin, taken, answers)
        return taken

    def refuse(self, origin: Origin, place: str, body: bytes, wrong: FormatUnreadable) -> Outcome:
        """Keep something that cannot be read on, or at all, as a quarantined message: a person sees it."""
        error = FieldError(wrong.field, wrong.value, wrong.expected)
        problem = Problem(reason=wrong.reason, explanation=str(wrong), errors=(error,))
        reading = Reading(place, "", body, self.translator.content_type, problem=problem)
        return self._door.process([self._arrival(reading, origin)])[0]

    def take_many(self, messages: Sequence[tuple[bytes, Origin]], *, answers: bool = False) -> list[Taken]:
        """Take whole messages together, in as few transactions as they need; one Taken for each.

        What cannot be read at all is quarantined as it is, so that it holds up nobody: nothing is raised for it. With
        `answers` the readings and their outcomes are kept. Raises DatabaseUnavailable or TransactionConflict.
        """
        read = [self._whole(body, origin) for body, origin in messages]
        real = [
            (each, origin)
            for items, (_, origin) in zip(read, messages, strict=True)
            for each in items
            if isinstance(each, Reading) and not _is_nothing(each)
        ]
        done: list[Outcome] = []
        for start in range(0, len(real), ARRIVALS_MAX):
            some = real[start : start + ARRIVALS_MAX]
            done += self._door.process([self._arrival(each, origin) for each, origin in some])
        coming = iter(done)
        return [
            self._settle_whole(items, origin, coming, answers)
            for items, (_, origin) in zip(read, messages, strict=True)
        ]

    def _whole(self, body: bytes, origin: Origin) -> list[Reading | Interchange]:
        """Everything that one message says; where it cannot be read on, the last thing is a problem with its bytes."""
        items: list[Reading | Interchange] = []
        try:
            for item in self.translator.read([body], origin.context):
                items.append(item)  # one by one: what came before a place that cannot be read stays
        except FormatUnreadable as wrong:
            error = FieldError(wrong.field, wrong.value, wrong.expected)
            problem = Problem(reason=wrong.reason, explanation=str(wrong), errors=(error,))
        except Exception as error:  # ours, most likely: it is kept for a person, and the messages behind it go on
            log.exception("message_failed", system=self.translator.system.id, origin=origin.name)
            problem = Problem(reason="internal_error", explanation=f"{type(error).__name__}: {error}")
        else:
            if len(items) == 1 and isinstance(items[0], Reading) and not items[0].body:
                return [items[0]._replace(body=body)]  # the reader kept nothing of the flaw: it is the message
            if items:
                return items
            problem = Problem(reason=UNREADABLE, explanation="there is nothing in it; expected a document")
        items.append(Reading(origin.name, "", body, self.translator.content_type, problem=problem))
        return items

    def _settle_whole(
        self, items: list[Reading | Interchange], origin: Origin, done: Iterator[Outcome], answers: bool
    ) -> Taken:
        taken = Taken()
        readings: list[Reading] = []
        for item in items:
            if isinstance(item, Interchange):
                self._settle(readings, origin, done, taken, answers)
                readings = []
                taken.interchanges.append(item)
                for observer in self._observers:
                    observer.interchange(self.translator, origin, item)
                continue
            taken.records += 1
            taken.notes.update(item.notes)
            if item.problem is not None:
                taken.rejected[item.problem.reason] += 1
            readings.append(item)
        self._settle(readings, origin, done, taken, answers)
        return taken

    def _process(self, readings: list[Reading], origin: Origin, taken: Taken, answers: bool) -> None:
        if not readings:
            return
        real = [each for each in readings if not _is_nothing(each)]
        done = iter(self._door.process([self._arrival(each, origin) for each in real]))
        self._settle(readings, origin, done, taken, answers)

    def _settle(
        self, readings: list[Reading], origin: Origin, done: Iterator[Outcome], taken: Taken, answers: bool
    ) -> None:
        """Count what became of readings, and tell the observers."""
        if not readings:
            return
        outcomes = []
        for each in readings:
            if _is_nothing(each):
                taken.skipped += 1
                outcomes.append(Outcome(message_id=new_message_id(), outcome="processed", reason=SKIPPED))
                continue
            outcome = next(done)
            taken.outcomes[outcome.outcome] += 1
            outcomes.append(outcome)
        if answers:
            taken.answers += outcomes
            taken.readings += readings
        for observer in self._observers:
            observer.readings(self.translator, origin, readings, outcomes)

    def _arrival(self, reading: Reading, origin: Origin) -> Arrival:
        return Arrival(
            message_id=new_message_id(),
            system=self.translator.system.id,
            received_at=origin.received_at,
            body=reading.body,
            content_type=reading.content_type,
            command=reading.command if reading.problem is None else None,
            problem=reading.problem,
            source_message_id=origin.source_message_id,
            trace_id=origin.trace_id,
            file=origin.file,
            record=f"{origin.entry}: {reading.place}" if origin.entry else reading.place,
            contract=reading.checked.name() if reading.checked is not None else self.translator.contract,
            context=_encode(origin.context) if origin.context else None,
        )


def _is_nothing(reading: Reading) -> bool:
    return reading.command is None and reading.problem is None


def _rejects(reading: Reading) -> list[Rejected]:
    problem = reading.problem
    assert problem is not None
    text = reading.body[:2_000].decode("utf-8", "replace")
    if not problem.errors:
        return [Rejected(reading.place, "", "", problem.explanation, problem.reason, text)]
    return [Rejected(reading.place, e.field, e.value, e.expected, problem.reason, text) for e in problem.errors]
