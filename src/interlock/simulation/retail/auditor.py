"""An independent auditor at Interlock's door: it sees what goes in, what is answered and what is told, and holds the one against
the other. It knows nothing of how Interlock decides.

It keeps a ledger of its own, reads authority and versions from the estate and the commands, and at rest compares what nodes
said they shipped, what payments say went back and what was told with what Interlock has in its books (`settlement.py`).
Its statements, beside those of the audit: `first_answer`, `newest_wins`, `canceled_first`, `told_once`, `books_agree`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.domain.commands import AnyCommand, AssignmentCommand, CancelOrder, CountStock, CreateOrder
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Estate, System
from interlock.domain.values import NodeId, OrderId, Quantity, Sku, SystemId
from interlock.domain.versions import may_restate
from interlock.simulation.port import InterlockPort, Told, Violation
from interlock.simulation.retail.books import books_of
from interlock.simulation.retail.settlement import Known, Settlement

Key = tuple[str, str, str]
Place = tuple[OrderId, int]

UNTOLD = "?"
"""The first outcome of what was committed in a transaction whose answers were lost."""

_OFFICE = frozenset({"backoffice", "erp"})
_SENDER = (b'"no_authority"', b'"unknown_system"', b'"wrong_source"')


class _Notice(msgspec.Struct):
    lines: tuple[_NoticeLine, ...] = ()


class _NoticeLine(msgspec.Struct):
    line_no: int
    quantity: Quantity


class _Change(msgspec.Struct):
    change: Quantity = 0


_change = msgspec.json.Decoder(_Change, strict=False).decode
_read = msgspec.json.Decoder(_Notice, strict=False).decode


class Auditor:
    """Sees everything that passes Interlock's door. `violations` are what it found."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.violations: list[Violation] = []
        self.known: dict[Key, Known] = {}
        self.released: dict[Place, tuple[int, dict[int, Quantity]]] = {}
        self.taken_back: dict[Place, dict[int, Quantity]] = {}
        self._receivers: dict[Place, SystemId] = {}
        self._notices: set[tuple[OrderId, int, str, int]] = set()
        self._lost: set[Key] = set()  # what was told again, and answered to nobody
        self._canceled_early: set[str] = set()
        self._versions: dict[tuple[str, str, SystemId], int] = {}
        self._counted: dict[tuple[Sku, NodeId], Quantity] = {}
        self._unsure: set[tuple[Sku, NodeId]] = set()
        self._may = {
            (system.id, fact)
            for system in estate.systems.values()
            for fact, may in system.authority.items()
            if may == "decide"
        }

    def took(self, arrivals: Sequence[Arrival], outcomes: Sequence[Outcome]) -> None:
        """A batch was answered."""
        if len(arrivals) != len(outcomes):
            self._say("nothing_vanishes", "", f"{len(arrivals)} messages got {len(outcomes)} answers")
            return
        known = self.known
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            command, word = arrival.command, outcome.outcome
            if command is None or arrival.problem is not None:
                if word != "quarantined":
                    self._say("nothing_vanishes", str(arrival.message_id), f"what could not be read was {word}")
                continue
            key = (command.subject, command.action, command.key)
            before = known.get(key)
            if before is None:
                self._first(key, arrival, command, outcome)
            elif before.command is command or before.command == command:
                self._again(key, before, arrival, outcome)
            else:
                self._otherwise(key, before, arrival, command, outcome)

    def _first(self, key: Key, arrival: Arrival, command: AnyCommand, outcome: Outcome) -> None:
        word = outcome.outcome
        if word == "duplicate":
            # Accepted, and yet not committed.
            self._say("first_answer", key[0], f"{key[1]} {key[2]} is called a duplicate, but none was ever committed")
            return
        if word == "processed":
            self._check_authority(arrival, command)
            self._applied(arrival.system, command, outcome)
        elif word == "refused" and (not self._may_send(arrival.system, command) or _for_its_sender(outcome)):
            return
        elif word == "parked" and isinstance(command, CancelOrder) and not command.lines:
            self._canceled_early.add(command.order_id)
        elif word == "conflict" and not (
            isinstance(command, CountStock) and may_restate(self._system(arrival), command)
        ):
            self._say("first_answer", key[0], f"{key[1]} {key[2]} is called a conflict with what was never committed")
        self.known[key] = Known(command, arrival.system, word)

    def _again(self, key: Key, before: Known, arrival: Arrival, outcome: Outcome) -> None:
        """The same payload under the same key: the first answer, whatever it was."""
        word, first = outcome.outcome, outcome.first or outcome.outcome
        restates = may_restate(self._system(arrival), before.command)
        if word == "duplicate":
            if before.word not in (UNTOLD, "parked") and first != before.word and not restates:
                self._say(
                    "first_answer", key[0], f"{key[1]} {key[2]} was {before.word}, and is said to have been {first}"
                )
            if before.word in (UNTOLD, "parked") and first == "processed":
                self._applied(arrival.system, before.command, outcome, late=True)
            before.word = first
        elif before.word == UNTOLD and word == "refused":
            del self.known[key]  # it was refused for its sender alone, and that answer was lost
        elif word == "refused" and not self._may_send(arrival.system, before.command):
            pass  # somebody else said the same, and may not
        elif not (restates and word in ("stale", "conflict")) and key not in self._lost:
            self._say("once", key[0], f"{key[1]} {key[2]} was {before.word} before, and is {word} now")

    def _otherwise(self, key: Key, before: Known, arrival: Arrival, command: AnyCommand, outcome: Outcome) -> None:
        """Another payload under a key that stands for one already."""
        word = outcome.outcome
        if word == "duplicate" and key in self._lost:
            # It was applied in a transaction whose answers were lost.
            self.known[key] = Known(command, before.system, outcome.first or word)
            return
        if before.word == UNTOLD:
            # Which of the two was first in the lost batch, nobody knows.
            if isinstance(command, CountStock):
                self._unsure.add((command.sku, command.node))
            return
        if word == "processed" and may_restate(self._system(arrival), command):
            self._check_authority(arrival, command)
            self._applied(arrival.system, command, outcome)
            self.known[key] = Known(command, arrival.system, word)
        elif word in ("processed", "parked", "duplicate"):
            self._say("once", key[0], f"{key[1]} {key[2]} has another payload than before, and is {word}")

    def crashed(self, arrivals: Sequence[Arrival], *, committed: bool) -> None:
        """A batch ended in a crash: before its commit nothing of it may be known, after it all of it is."""
        if not committed:
            return
        for arrival in arrivals:
            command = arrival.command
            if command is None or arrival.problem is not None:
                continue
            key = (command.subject, command.action, command.key)
            if key not in self.known:
                self.known[key] = Known(command, arrival.system, UNTOLD)
            elif may_restate(self._system(arrival), command):
                self._lost.add(key)
                if isinstance(command, CountStock):
                    self._unsure.add((command.sku, command.node))

    def told(self, told: Told) -> None:
        """A receiver was told something; perhaps not for the first time."""
        notice = (told.order_id, told.seq, told.message, told.assignment_no)
        if notice in self._notices:
            return
        self._notices.add(notice)
        place = (told.order_id, told.assignment_no)
        units: dict[int, Quantity] = {}
        for line in _read(told.body).lines:
            units[line.line_no] = units.get(line.line_no, 0) + line.quantity
        if told.message == "shipment.release":
            if told.order_id in self._canceled_early:
                self._say(
                    "canceled_first", told.order_id, f"{told.receiver} was told of what was canceled before it came"
                )
            if place in self.released:
                seq = self.released[place][0]
                self._say(
                    "told_once",
                    told.order_id,
                    f"assignment {place[1]} was released by event {seq}, and by {told.seq}",
                )
            self.released[place] = (told.seq, units)
            self._receivers[place] = told.receiver
            return
        if place not in self.released:
            self._say("told_once", told.order_id, f"assignment {place[1]} is taken back, but nobody was told of it")
        back = self.taken_back.setdefault(place, {})
        for line_no, quantity in units.items():
            back[line_no] = back.get(line_no, 0) + quantity

    def unsettled(self) -> list[tuple[AnyCommand, SystemId]]:
        """What a sender would ask for again, to learn what became of it."""
        return [(seen.command, seen.system) for seen in self.known.values() if seen.word in (UNTOLD, "parked")]

    def rest(self, port: InterlockPort) -> list[Violation]:
        """After a quiet time: what the estate knows, against Interlock's books."""
        settlement = Settlement(self.estate, self.known, self.released, self.taken_back, self._counted, self._unsure)
        return [*self.violations, *settlement.compare(books_of(port))]

    def _check_authority(self, arrival: Arrival, command: AnyCommand) -> None:
        if not self._may_send(arrival.system, command):
            self._say(
                "within_authority",
                command.subject,
                f"{arrival.system} may only observe {command.fact}: {command.action}",
            )
        elif isinstance(command, AssignmentCommand):
            receiver = self._receivers.get((command.order_id, command.assignment_no))
            speaks = self.estate.systems[arrival.system].kind in _OFFICE or receiver in (None, arrival.system)
            if not speaks:
                self._say("within_authority", command.subject, f"{arrival.system} has spoken for {receiver}")

    def _applied(self, system: SystemId, command: AnyCommand, outcome: Outcome, *, late: bool = False) -> None:
        """A statement of a source that numbers them is never applied after a newer one; a count says what it changed.

        `late`: it was applied at some time before, and only now do we hear of it.
        """
        if isinstance(command, CountStock):
            spot = (command.sku, command.node)
            self._counted[spot] = self._counted.get(spot, 0) + _change(bytes(outcome.answer)).change
        if late or command.version is None or not isinstance(command, CreateOrder | CountStock):
            return
        if self.estate.systems[system].updates != "numbered":
            return
        fact = (command.subject, f"{command.node}" if isinstance(command, CountStock) else "", system)
        newest = self._versions.get(fact, -1)
        if command.version < newest:
            self._say(
                "newest_wins", command.subject, f"{command.action} version {command.version} was applied after {newest}"
            )
        self._versions[fact] = max(newest, command.version)

    def _may_send(self, system: SystemId, command: AnyCommand) -> bool:
        return (system, command.fact) in self._may

    def _system(self, arrival: Arrival) -> System | None:
        return self.estate.systems.get(arrival.system)

    def _say(self, statement: str, subject: str, detail: str) -> None:
        self.violations.append(Violation(statement, subject, detail))


def _for_its_sender(outcome: Outcome) -> bool:
    """Whether it was refused because of who sent it: then somebody else may send it."""
    answer = bytes(outcome.answer)
    return any(reason in answer for reason in _SENDER)
