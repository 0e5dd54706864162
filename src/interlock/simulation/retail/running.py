"""Interlock while it runs: batches of what has arrived, deliveries to nodes, the passing of time, crashes, and a check after
every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from interlock.domain.commands import encode
from interlock.domain.decision import Arrival
from interlock.domain.values import SystemId
from interlock.simulation.memory import MemoryInterlock
from interlock.simulation.port import Crashed, CrashPoint, InterlockPort, Told, Violation
from interlock.simulation.retail.agenda import MINUTE, Agenda, chance_of, moment
from interlock.simulation.retail.attempts import attempt_in_vain
from interlock.simulation.retail.auditor import Auditor
from interlock.simulation.retail.post import Parcel, Post
from interlock.simulation.retail.trace import Step

BATCH_MAX = 400
TELL_MAX = 200
WAKE_EVERY_S = 4 * MINUTE
"""How often Interlock looks whether time has something to do; what is overdue must be seen within five minutes."""
LINGER_S = 300.0
"""How long the first message of a batch waits for others, in virtual seconds."""

CRASH_POINTS: tuple[CrashPoint, ...] = ("ledger", "load", "decide", "save", "commit", "answer")
DEADLOCK_POINTS: tuple[CrashPoint, ...] = ("load", "save", "commit")


class Violated(Exception):
    """Something that is always true is not; the simulation stops at once."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.statement} ({v.subject}): {v.detail}" for v in violations))


class Running:
    """Interlock behind its port. `steps` are kept where a trace is wanted; `violations` end the run."""

    def __init__(
        self, port: InterlockPort, agenda: Agenda, post: Post, auditor: Auditor, seed: int, *, record: bool
    ) -> None:
        self.port, self.agenda, self.post, self.auditor = port, agenda, post, auditor
        self.die = chance_of(seed, "interlock")
        self.steps: list[Step] | None = [] if record else None
        self.inbox: list[Parcel] = []
        self.down_until = -1.0
        self.messages = 0
        self.batches = 0
        self.counts: dict[tuple[str, str], int] = {}
        self.heard: dict[SystemId, Callable[[Told], None]] = {}
        self._ids = 0
        self._woke_at = 0.0
        self._acted = 0
        self._told_all: dict[SystemId, int] = {}  # how often Interlock had acted when there was nothing more to tell
        # In memory nobody reads them, and they take longer to make than all else about a message.
        self._bodies = not isinstance(port, MemoryInterlock)
        self._restart = False
        post.deliver = self.push
        post.overtake = self.push_before

    def push(self, parcel: Parcel) -> None:
        """Something came to the door."""
        if self.down_until > self.agenda.now:
            self.post.lost(parcel)
            return
        if not self.inbox:
            self.agenda.after(LINGER_S, self._flush)
        self.inbox.append(parcel)

    def push_before(self, parcel: Parcel, drawn: float) -> None:
        """Something came to the door before others that had been sent earlier; or after later ones, where it is alone."""
        if self.inbox:
            self.inbox.insert(int(drawn * len(self.inbox)), parcel)
        else:
            self.agenda.after(LINGER_S * (1.0 + 3.0 * drawn), self.push, parcel)

    def restart_database(self, _: object = None) -> None:
        """The database goes away in the middle of the next batch, and is back after minutes."""
        self._restart = not self.post.quiet

    def _flush(self, _: object = None) -> None:
        self._catch_up()
        waiting, self.inbox = self.inbox, []
        for start in range(0, len(waiting), BATCH_MAX):
            if self.down_until > self.agenda.now:
                for parcel in waiting[start:]:
                    self.post.lost(parcel)
                return
            self._take(waiting[start : start + BATCH_MAX])

    def _take(self, parcels: list[Parcel]) -> None:
        now = moment(self.agenda.now)
        self._acted += 1
        arrivals = [self._arrival(parcel, now) for parcel in parcels]
        post = self.post
        drawn = 1.0 if post.quiet else self.die.random()
        if drawn < post.profile.deadlock:
            post.count("deadlock")
            self._die_at(self.die.choice(DEADLOCK_POINTS), arrivals, now)
        elif drawn < post.profile.deadlock + post.profile.crash or self._restart:
            point = self.die.choice(CRASH_POINTS)
            away = self.die.uniform(5.0, 90.0)
            if self._restart:
                self._restart = False
                away = self.die.uniform(2.0, 20.0) * MINUTE
                post.count("database_restart")
            else:
                post.count(f"crash_{point}")
            self._die_at(point, arrivals, now)
            self.down_until = self.agenda.now + away
            for parcel in parcels:
                post.lost(parcel)
            return
        outcomes = self.port.take(arrivals, now)
        self._note(Step("take", now, arrivals=arrivals))
        self.messages += len(arrivals)
        self.batches += 1
        self.auditor.took(arrivals, outcomes)
        self._check()
        counts = self.counts
        for parcel, outcome in zip(parcels, outcomes, strict=True):
            letter, word = parcel.letter, outcome.outcome
            name = (letter.command.action if parcel.problem is None else "unreadable", word)
            counts[name] = counts.get(name, 0) + 1
            if letter.answer is None or letter.answer == "parked":
                post.answered(letter, outcome)

    def outcomes(self) -> dict[str, int]:
        """How many messages of each action came to each outcome."""
        return {f"{action}: {word}": count for (action, word), count in sorted(self.counts.items())}

    def _die_at(self, point: CrashPoint, arrivals: list[Arrival], now: datetime) -> None:
        if point == "ledger" and all(arrival.command is None for arrival in arrivals):
            point = "load"  # the ledger is not asked about what cannot be read
        self._note(Step("take", now, arrivals=arrivals, crash=point))
        try:
            self.port.take(arrivals, now, crash=point)
        except Crashed:
            pass
        else:
            raise RuntimeError(f"the crash before {point} did not happen")
        self.messages += len(arrivals)
        self.auditor.crashed(arrivals, committed=point == "answer")
        self._check()

    def wake(self) -> None:
        """Let time itself act, where it has something to do."""
        if self.down_until > self.agenda.now:
            return
        self._woke_at = self.agenda.now
        due, now = self.port.next_wake(), moment(self.agenda.now)
        if due is not None and due <= now:
            self._acted += 1
            self._note(Step("wake", now))
            self.port.wake(now)
            self._check()

    def _catch_up(self) -> None:
        """Time comes first where Interlock was away when it should have acted."""
        if self.agenda.now - self._woke_at > WAKE_EVERY_S:
            self.wake()

    def tell(self, receiver: SystemId, again_s: float) -> int:
        """Deliver what the receiver must be told; gives how much arrived. Where it cannot be reached, in `again_s` again."""
        if self.down_until > self.agenda.now or self._told_all.get(receiver) == self._acted:
            return 0
        now, post = moment(self.agenda.now), self.post
        if post.roads[receiver].down:
            attempt_in_vain(self.port, receiver, now, again_s)
            return 0
        self._catch_up()
        settled: list[Told] = []
        heard: list[Told] = []
        hear, arrived = self.heard[receiver], 0
        due = self.port.due(receiver, now, TELL_MAX)
        if not due:
            self._told_all[receiver] = self._acted
        for told in due:
            drawn = 1.0 if post.quiet else self.die.random()
            if drawn < post.profile.notice_lost:
                post.count("notice_lost")
                continue
            arrived += 1
            self.auditor.told(told)
            if drawn < post.profile.notice_lost + post.profile.notice_twice:
                post.count("notice_twice")
                heard.append(told)
            else:
                settled.append(told)
            hear(told)
        if heard:
            self._note(Step("hear", now, told=heard))
            self._check()
        if settled:
            self._note(Step("settle", now, told=settled))
            self.port.settle(settled, now)
            self._check()
        return arrived

    def _check(self) -> None:
        violations = [*self.auditor.violations, *self.port.check()]
        if violations:
            raise Violated(violations)

    def _note(self, step: Step) -> None:
        if self.steps is not None:
            self.steps.append(step)

    def _arrival(self, parcel: Parcel, now: datetime) -> Arrival:
        self._ids += 1
        letter = parcel.letter
        return Arrival(
            message_id=UUID(int=_VERSION_7 + self._ids),
            system=letter.system,
            received_at=now,
            body=encode(letter.command) if self._bodies and parcel.problem is None else parcel.body,
            content_type="application/json",
            command=letter.command if parcel.problem is None else None,
            problem=parcel.problem,
        )


_VERSION_7 = (0x7 << 76) | (0x2 << 62)
