"""From a long run that ends badly to a short story: what is not needed for the violation is left out, step by step.

First only the messages of the violation's subject are kept (or those that have to do with it, where that is not enough); then
ddmin takes away more and more, as long as the same statement is still violated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from interlock.domain.commands import (
    AnyCommand,
    AuthorizeOrder,
    CancelOrder,
    CaptureOrder,
    ConfirmShipment,
    CreateOrder,
    IssueRefund,
    PackShipment,
    RejectShipment,
    StockCommand,
)
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import InterlockError
from interlock.simulation.port import Violation
from interlock.simulation.retail.trace import PortFactory, Step, Trace, replay

REPLAYS_MAX = 400
"""How often the story is tried before it is short enough."""

Atom = tuple[int, int]
"""A step's place, and that of one of its arrivals, or of what was told in it; -1 where time acted."""


class Shrunk(msgspec.Struct, frozen=True):
    """The short trace, and what it still violates. `repeats`: False where the whole trace does not violate it again."""

    trace: Trace
    violation: Violation
    replays: int
    repeats: bool = True

    @property
    def messages(self) -> int:
        """How many messages it still takes."""
        return sum(len(step.arrivals) for step in self.trace.steps)


def shrink(trace: Trace, violation: Violation, port_factory: PortFactory) -> Shrunk:
    """The shortest trace found that violates the same statement. The whole trace where it cannot be repeated."""
    shrinker = _Shrinker(trace, violation, port_factory)
    atoms = shrinker.first(_related(trace, violation.subject))
    if atoms is None:
        return Shrunk(trace, violation, shrinker.replays, repeats=False)
    atoms = shrinker.without_more_and_more(atoms)
    return Shrunk(shrinker.built(atoms), shrinker.seen or violation, shrinker.replays)


class _Shrinker:
    def __init__(self, trace: Trace, violation: Violation, port_factory: PortFactory) -> None:
        self.trace, self.violation, self.port_factory = trace, violation, port_factory
        self.replays = 0
        self.seen: Violation | None = None

    def first(self, candidates: Sequence[list[Atom]]) -> list[Atom] | None:
        """The first selection that still fails."""
        return next((atoms for atoms in candidates if self._fails(atoms)), None)

    def without_more_and_more(self, atoms: list[Atom]) -> list[Atom]:
        """ddmin: leave out ever smaller pieces."""
        pieces = 2
        while len(atoms) > 1 and self.replays < REPLAYS_MAX:
            size = -(-len(atoms) // pieces)
            for start in range(0, len(atoms), size):
                shorter = atoms[:start] + atoms[start + size :]
                if shorter and self._fails(shorter):
                    atoms, pieces = shorter, max(2, pieces - 1)
                    break
            else:
                if size == 1:
                    break
                pieces = min(len(atoms), pieces * 2)
        return atoms

    def built(self, atoms: Sequence[Atom]) -> Trace:
        """The trace of these pieces alone."""
        steps: dict[int, list[int]] = {}
        for where, arrival in atoms:
            steps.setdefault(where, []).append(arrival)
        kept = []
        for place in sorted(steps):
            step = self.trace.steps[place]
            if step.kind == "take":
                step = msgspec.structs.replace(step, arrivals=[step.arrivals[arrival] for arrival in steps[place]])
            elif step.kind in ("settle", "hear"):
                step = msgspec.structs.replace(step, told=[step.told[number] for number in steps[place]])
            kept.append(step)
        return msgspec.structs.replace(self.trace, steps=kept)

    def _fails(self, atoms: Sequence[Atom]) -> bool:
        self.replays += 1
        try:
            violations = replay(self.built(atoms), self.port_factory)
        except (InterlockError, ArithmeticError, LookupError, ValueError):
            return False  # something else went wrong: another story
        same = [v for v in violations if v.statement == self.violation.statement]
        if same:
            self.seen = next((v for v in same if v.subject == self.violation.subject), same[0])
        return bool(same)


def _related(trace: Trace, subject: str) -> list[list[Atom]]:
    """Selections, the smallest first: the subject's own messages; with its stock, or the orders of it; with their stock; all."""
    wanted = {subject}
    found = []
    everything = _atoms(trace)
    for _ in range(3):
        found.append([atom for atom, about in everything if about is None or about in wanted])
        for step in trace.steps:
            for arrival in step.arrivals:
                if isinstance(arrival.command, CreateOrder):
                    skus = {str(line.sku) for line in arrival.command.lines}
                    if arrival.command.order_id in wanted:
                        wanted |= skus
                    elif skus & wanted:
                        wanted.add(arrival.command.order_id)
    return [*found, [atom for atom, _ in everything]]


def _atoms(trace: Trace) -> list[tuple[Atom, str | None]]:
    """Every piece, and what it is about; None where it is about everything, or cannot be read."""
    found: list[tuple[Atom, str | None]] = []
    for place, step in enumerate(trace.steps):
        match step.kind:
            case "take":
                for number, arrival in enumerate(step.arrivals):
                    found.append(((place, number), arrival.command.subject if arrival.command else None))
            case "settle" | "hear":
                found += [((place, number), told.order_id) for number, told in enumerate(step.told)]
            case "wake":
                found.append(((place, -1), None))
    return found


def story(shrunk: Shrunk, port_factory: PortFactory) -> list[str]:
    """The short trace in plain words, a line for each thing that happened; the last is what is not true."""
    lines: list[str] = []

    def hear(step: Step, outcomes: Sequence[Outcome] | None) -> None:
        at = f"{step.at:%Y-%m-%d %H:%M:%S}"
        for place, arrival in enumerate(step.arrivals):
            became = outcomes[place] if outcomes is not None else None
            lines.append(f"{at}  {_told(arrival)}  ->  {_became(became)}")
        if step.crash is not None:
            where = "after its commit, before it answers" if step.crash == "answer" else f"before {step.crash}"
            lines.append(f"{at}  Interlock dies {where}")
        if step.kind == "wake":
            lines.append(f"{at}  time acts")
        for told in step.told:
            lines.append(f"{at}  {told.receiver} is told {told.message} of {told.order_id}/{told.assignment_no}")

    replay(shrunk.trace, port_factory, hear)
    if shrunk.trace.rested:
        lines.append("then nothing more comes, until all is at rest")
    violation = shrunk.violation
    return [*lines, f"VIOLATED {violation.statement} ({violation.subject}): {violation.detail}"]


def _told(arrival: Arrival) -> str:
    command = arrival.command
    if command is None:
        return f"{arrival.system} sends {len(arrival.body)} bytes that cannot be read"
    key = f" [{command.key}]" if command.key else ""
    return f"{arrival.system} {command.action} {command.subject}{key}{_detail(command)}"


def _detail(command: AnyCommand) -> str:
    words: Callable[[Sequence[object]], str] = lambda lines: ", ".join(map(str, lines))  # noqa: E731 - two words long
    match command:
        case CreateOrder():
            goods = words([f"{line.quantity} of {line.sku}" for line in command.lines])
            return f": {goods}; authorized {command.authorized} of {command.total}"
        case AuthorizeOrder() | CaptureOrder() | IssueRefund():
            return f": {command.amount}"
        case CancelOrder() | PackShipment() | ConfirmShipment() | RejectShipment():
            return f": {words([f'{unit.quantity} of line {unit.line_no}' for unit in command.lines]) or 'all'}"
        case StockCommand():
            return f": {getattr(command, 'counted', getattr(command, 'delta', ''))} at {command.node}"
        case _:
            return ""


def _became(outcome: Outcome | None) -> str:
    if outcome is None:
        return "no answer"
    first = f" (first: {outcome.first})" if outcome.outcome == "duplicate" and outcome.first else ""
    reason = f", {outcome.reason}" if outcome.reason else ""
    return f"{outcome.outcome}{first}{reason}"
