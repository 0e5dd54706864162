"""What Interlock was given, step by step: enough to run it again without the actors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from interlock.domain.commands import encode
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.simulation.port import Crashed, CrashPoint, InterlockPort, Told, Violation
from interlock.simulation.retail.auditor import Auditor

PortFactory = Callable[[Estate, datetime], InterlockPort]
"""Makes a fresh Interlock for the estate, at this time."""

_ASKED_AT_REST = 0xFFFE << 112

QUIET_HOURS = 84
"""How long the quiet time at the end is: past every retry, every answer that is due, and all that was parked."""


class Step(msgspec.Struct, frozen=True):
    """One thing that Interlock was made to do. `crash`: it died before this point of it.

    "settle": receivers were told this, and Interlock knows; "hear": they were, and it does not know.
    """

    kind: Literal["take", "wake", "settle", "hear"]
    at: datetime
    arrivals: Sequence[Arrival] = ()
    crash: CrashPoint | None = None
    told: Sequence[Told] = ()


class Trace(msgspec.Struct, frozen=True):
    """All steps of a run. `rested`: the run went through its quiet time, so that statements about rest are asked as well."""

    estate: Estate
    start: datetime
    steps: Sequence[Step]
    rested: bool


Listener = Callable[["Step", Sequence[Outcome] | None], None]
"""Hears of each step, with the outcomes of what was taken; None where there were none."""


def replay(trace: Trace, port_factory: PortFactory, listener: Listener = lambda _, __: None) -> list[Violation]:
    """Give a fresh Interlock the same, and say what is not true: after the first step that breaks something, or at rest."""
    port, auditor = port_factory(trace.estate, trace.start), Auditor(trace.estate)
    for step in trace.steps:
        listener(step, _again(port, auditor, step))
        violations = [*auditor.violations, *port.check()]
        if violations:
            return violations
    if not trace.rested:
        return []
    return rest(port, auditor, trace.estate, trace.steps[-1].at if trace.steps else trace.start)


def rest(port: InterlockPort, auditor: Auditor, estate: Estate, since: datetime) -> list[Violation]:
    """Let a quiet time pass, in which everything is told; then ask every statement."""
    now = since
    for _ in range(QUIET_HOURS):
        now += timedelta(hours=1)
        violations = quiet_hour(port, auditor, estate, now)
        if violations:
            return violations
    _ask_again(port, auditor, now)
    return [*port.check_all(now), *port.check_rest(now), *auditor.rest(port)]


def _ask_again(port: InterlockPort, auditor: Auditor, now: datetime) -> None:
    """Senders who were told to wait, or whose answer was lost, want to know what became of it."""
    arrivals = [
        Arrival(
            message_id=UUID(int=_ASKED_AT_REST + number),
            system=system,
            received_at=now,
            body=encode(command),
            content_type="application/json",
            command=command,
        )
        for number, (command, system) in enumerate(auditor.unsettled())
    ]
    if arrivals:
        auditor.took(arrivals, port.take(arrivals, now))


def quiet_hour(port: InterlockPort, auditor: Auditor, estate: Estate, now: datetime) -> list[Violation]:
    """Time acts, and everybody is told what there is to tell."""
    due = port.next_wake()
    if due is not None and due <= now:
        port.wake(now)
    for receiver in estate.systems:
        while told := port.due(receiver, now, 400):
            for one in told:
                auditor.told(one)
            port.settle(told, now)
    return [*auditor.violations, *port.check()]


def _again(port: InterlockPort, auditor: Auditor, step: Step) -> Sequence[Outcome] | None:
    outcomes: Sequence[Outcome] | None = None
    match step.kind:
        case "take":
            try:
                outcomes = port.take(step.arrivals, step.at, crash=step.crash)
            except Crashed:
                auditor.crashed(step.arrivals, committed=step.crash == "answer")
            else:
                auditor.took(step.arrivals, outcomes)
        case "wake":
            port.wake(step.at)
        case "settle" | "hear":
            _tell(port, auditor, step)
    return outcomes


def _tell(port: InterlockPort, auditor: Auditor, step: Step) -> None:
    """Deliver what was delivered then, as far as there is something like it: a shorter story may have less to tell."""
    wanted = {(told.order_id, told.seq) for told in step.told}
    for receiver in sorted({told.receiver for told in step.told}, key=str):
        found = [t for t in port.due(SystemId(receiver), step.at, 100_000) if (t.order_id, t.seq) in wanted]
        for told in found:
            auditor.told(told)
        if found and step.kind == "settle":
            port.settle(found, step.at)
