"""The roads between the estate's systems and Interlock: who sends what, and all that can go wrong on the way.

A sender repeats a message, the same bytes each time, until it has an answer. An answer of "parked" is asked for again later.
What goes wrong follows from the profile and from a die of each road's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from random import Random

import msgspec

from interlock.domain import commands
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import Outcome, Problem
from interlock.domain.values import SystemId
from interlock.simulation.retail.agenda import DAY, HOUR, MINUTE, Agenda, chance_of, moment
from interlock.simulation.retail.profiles import Profile

RETRY_FIRST_S, RETRY_MAX_S = 60.0, 3_600.0
PARKED_ASK_S, PARKED_ASKS_MAX = 8 * HOUR, 4
REPLAY_MAX = 400
"""Messages that a system sends again when it repeats its last hour."""


class Letter:
    """One message of a sender, with its first answer once it has one. `done` is told of it, once."""

    __slots__ = ("answer", "asks", "command", "done", "drop", "number", "system", "tries")

    def __init__(
        self, number: int, system: SystemId, command: AnyCommand, done: Callable[[Letter, Outcome], None] | None
    ) -> None:
        self.number, self.system, self.command, self.done = number, system, command, done
        self.tries = self.asks = 0
        self.answer: str | None = None
        self.drop: Drop | None = None


class Drop:
    """A file of records: it is dropped whole, in part, or again."""

    __slots__ = ("again", "letters", "system")

    def __init__(self, system: SystemId, letters: list[Letter]) -> None:
        self.system, self.letters, self.again = system, letters, False


class Parcel(msgspec.Struct, frozen=True):
    """What arrives at Interlock's door: a letter as it is, or (with a problem) what was left of its bytes."""

    letter: Letter
    problem: Problem | None = None
    body: bytes = b"{}"


class Road:
    """The way of one system to Interlock, its clock, and what it sent lately."""

    __slots__ = ("backlog", "die", "down", "recent", "skew")

    def __init__(self, seed: int, system: SystemId) -> None:
        self.die: Random = chance_of(seed, f"road/{system}")
        self.down = False
        self.skew = 0.0
        self.backlog: list[Letter | Drop] = []
        self.recent: deque[tuple[float, Letter]] = deque(maxlen=REPLAY_MAX)


class Post:
    """Carries letters to `deliver` (which is Interlock's inbox), and answers back.

    `open` are letters without an answer, `parked` those whose answer was that they wait. `forge` is asked for something
    forged after a letter. In `quiet` times nothing goes wrong any more.
    """

    def __init__(self, agenda: Agenda, profile: Profile, seed: int, systems: Iterable[SystemId]) -> None:
        self.agenda, self.profile = agenda, profile
        self.roads = {system: Road(seed, system) for system in systems}
        self.faults: dict[str, int] = {}
        self.open: dict[int, Letter] = {}
        self.parked: dict[int, Letter] = {}
        self.quiet = False
        self.letters = 0
        self.deliver: Callable[[Parcel], None] = lambda _: None
        self.overtake: Callable[[Parcel, float], None] = lambda _, __: None
        self.forge: Callable[[Letter], None] = lambda _: None
        shares = [
            (profile.drop_request, self._drop),
            (profile.duplicate, self._duplicate),
            (profile.duplicate_later, self._duplicate_later),
            (profile.delay, self._delay),
            (profile.reorder, self._reorder),
            (profile.corrupt, self._corrupt),
            (profile.truncate, self._truncate),
            (profile.forged, self._forged),
        ]
        self._any = sum(share for share, _ in shares)
        self._shares = shares
        self._drop_answer = profile.drop_answer

    # Sending

    def send(
        self, system: SystemId, command: AnyCommand, done: Callable[[Letter, Outcome], None] | None = None
    ) -> Letter:
        """Send a command for the first time; `done` gets the letter and its answer when there is one."""
        letter = self.write(system, command, done)
        self._post(letter)
        return letter

    def write(
        self, system: SystemId, command: AnyCommand, done: Callable[[Letter, Outcome], None] | None = None
    ) -> Letter:
        """A letter that is to be sent with a file."""
        self.letters += 1
        letter = Letter(self.letters, system, command, done)
        self.open[letter.number] = letter
        return letter

    def throw_in(self, system: SystemId, command: AnyCommand) -> None:
        """Something that is sent once, by somebody who hears no answer."""
        letter = Letter(0, system, command, None)
        letter.answer = "not heard"
        self.deliver(Parcel(letter))

    def count(self, fault: str, times: int = 1) -> None:
        """This really happened."""
        self.faults[fault] = self.faults.get(fault, 0) + times

    def clock(self, system: SystemId) -> datetime:
        """What time it is to the system."""
        skew = self.roads[system].skew
        if not skew:
            return moment(self.agenda.now)
        self.count("clock_skew")
        return moment(self.agenda.now + skew)

    def _post(self, letter: Letter) -> None:
        road = self.roads[letter.system]
        if road.down:
            road.backlog.append(letter)
            return
        road.recent.append((self.agenda.now, letter))
        drawn = 1.0 if self.quiet else road.die.random()
        if drawn >= self._any:
            self.deliver(Parcel(letter))
            return
        for share, fault in self._shares:
            if drawn < share:
                fault(letter, road.die)
                return
            drawn -= share
        self.deliver(Parcel(letter))

    # What goes wrong with a letter

    def _drop(self, letter: Letter, die: Random) -> None:
        self.count("drop_request")
        self._later(letter, die)

    def _duplicate(self, letter: Letter, _: Random) -> None:
        self.count("duplicate_at_once")
        self.deliver(Parcel(letter))
        self.deliver(Parcel(letter))

    def _duplicate_later(self, letter: Letter, die: Random) -> None:
        self.deliver(Parcel(letter))
        self.agenda.after(die.uniform(1.0, 6.0) * DAY, self._once_more, letter)

    def _once_more(self, letter: Letter) -> None:
        if not self.quiet:
            self.count("duplicate_after_days")
            self.deliver(Parcel(letter))

    def _delay(self, letter: Letter, die: Random) -> None:
        self.count("delay")
        self.agenda.after(MINUTE * 10.0 ** die.uniform(0.0, 3.1), self._arrive, letter)
        if die.random() < 0.5:
            self._later(letter, die)

    def _arrive(self, letter: Letter) -> None:
        self.deliver(Parcel(letter))

    def _reorder(self, letter: Letter, die: Random) -> None:
        self.count("reorder")
        self.overtake(Parcel(letter), die.random())

    def _corrupt(self, letter: Letter, die: Random) -> None:
        self.count("corrupt")
        body = bytearray(commands.encode(letter.command))
        body[die.randrange(len(body))] ^= 1 << die.randrange(8)
        self._spoiled(letter, bytes(body), die)

    def _truncate(self, letter: Letter, die: Random) -> None:
        self.count("truncate")
        body = commands.encode(letter.command)
        self._spoiled(letter, body[: die.randrange(len(body))], die)

    def _spoiled(self, letter: Letter, body: bytes, die: Random) -> None:
        """What can still be read is found out by its signature; the rest is kept, for a person. Both are sent again."""
        problem = unreadable(body)
        if problem is None:
            self.count("refused_at_the_door")
            self._later(letter, die)
        else:
            self.deliver(Parcel(letter, problem, body))

    def _forged(self, letter: Letter, _: Random) -> None:
        self.deliver(Parcel(letter))
        self.forge(letter)

    # Answers

    def answered(self, letter: Letter, outcome: Outcome) -> None:
        """Interlock says this to a letter without a final answer; whether it is heard is another matter."""
        road = self.roads[letter.system]
        if not self.quiet and letter.drop is None and road.die.random() < self._drop_answer:
            self.count("drop_answer")
            self._later(letter, road.die)
            return
        if outcome.outcome == "quarantined":
            self._later(letter, road.die)
            return
        first = outcome.first or outcome.outcome
        self.open.pop(letter.number, None)
        if first == "parked":
            letter.answer = first
            self.parked[letter.number] = letter
            if letter.asks < PARKED_ASKS_MAX:
                letter.asks += 1
                self.agenda.after(PARKED_ASK_S * letter.asks, self.ask_again, letter)
            return
        self.parked.pop(letter.number, None)
        letter.answer = outcome.outcome if outcome.outcome != "duplicate" else first
        if letter.done is not None:
            letter.done(letter, outcome)

    def ask_again(self, letter: Letter) -> None:
        """What was parked: has it gone on?"""
        if letter.answer == "parked" and letter.number in self.parked:
            self._post(letter)

    def lost(self, parcel: Parcel) -> None:
        """Interlock was gone before it answered."""
        letter = parcel.letter
        if letter.answer is None or letter.answer == "parked":
            self._later(letter, self.roads[letter.system].die)

    def _later(self, letter: Letter, die: Random) -> None:
        """No answer came: try again, each time after a longer wait. A file is dropped again as a whole."""
        if letter.drop is not None:
            if not letter.drop.again:
                letter.drop.again = True
                self.agenda.after(HOUR * die.uniform(0.2, 2.0), self._drop_again, letter.drop)
            return
        wait = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0**letter.tries)
        letter.tries += 1
        self.agenda.after(wait * die.uniform(0.5, 1.5), self._retry, letter)

    def _retry(self, letter: Letter) -> None:
        if letter.answer is None or letter.answer == "parked":
            self.count("sent_again")
            self._post(letter)

    # Files

    def drop_file(self, system: SystemId, letters: list[Letter]) -> None:
        """Drop a file of records; parts of it, the whole again, or late, as it happens."""
        drop = Drop(system, letters)
        for letter in letters:
            letter.drop = drop
        road = self.roads[system]
        if road.down:
            road.backlog.append(drop)
            return
        drawn = 1.0 if self.quiet else road.die.random()
        if drawn < self.profile.partial_file and len(letters) > 1:
            self.count("partial_file")
            whole = road.die.randrange(1, len(letters))
            self._deliver_file(drop, whole)
            body = commands.encode(letters[whole].command)
            body = body[: road.die.randrange(1, len(body))]
            problem = unreadable(body)
            if problem is not None:
                self.deliver(Parcel(letters[whole], problem, body))
            drop.again = True
            self.agenda.after(HOUR * road.die.uniform(1.0, 6.0), self._drop_again, drop)
            return
        self._deliver_file(drop, len(letters))
        if drawn < self.profile.partial_file + self.profile.file_twice:
            self.count("file_twice")
            self.agenda.after(HOUR * road.die.uniform(2.0, 30.0), self._drop_again, drop)

    def _deliver_file(self, drop: Drop, records: int) -> None:
        for letter in drop.letters[:records]:
            self.deliver(Parcel(letter))

    def _drop_again(self, drop: Drop) -> None:
        if self.roads[drop.system].down:
            self.roads[drop.system].backlog.append(drop)
            return
        drop.again = False
        self._deliver_file(drop, len(drop.letters))

    # What goes wrong with a system

    def go_away(self, system: SystemId) -> None:
        """The system's line is dead: it goes on working, and keeps what it would send."""
        self.roads[system].down = True

    def come_back(self, system: SystemId) -> None:
        """The line is up: the whole backlog at once."""
        road = self.roads[system]
        road.down = False
        backlog, road.backlog = road.backlog, []
        if backlog:
            self.count("backlog", len(backlog))
        for waiting in backlog:
            if isinstance(waiting, Letter):
                self._post(waiting)
            else:
                self._drop_again(waiting)

    def replay_hour(self, system: SystemId) -> None:
        """The system sends all of its last hour again."""
        since = self.agenda.now - HOUR
        again = [letter for at, letter in self.roads[system].recent if at >= since]
        self.count("replayed_messages", len(again))
        for letter in again:
            self.deliver(Parcel(letter))


def unreadable(body: bytes) -> Problem | None:
    """Why the real reader cannot read these bytes as a command; None where it can."""
    try:
        commands.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        return Problem(reason="unreadable", explanation=f"{type(error).__name__}: {error}"[:300])
    return None
