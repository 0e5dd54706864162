"""Two masters in a micro-batch: each report of one of them is compared with what the other said of the same fact."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.domain.commands import AnyCommand
from interlock.domain.decision import Arrival
from interlock.domain.estate import Estate
from interlock.domain.two_masters import Report, ReportKey, Verdict, differences, facts_of
from interlock.domain.values import SystemId
from interlock.engine.desk import Desk


class Masters:
    """What a batch hears of facts that two systems tell. An estate without such pairs costs nothing."""

    def __init__(self, estate: Estate, desk: Desk) -> None:
        self._estate = estate
        self._desk = desk
        self._known: dict[ReportKey, dict[SystemId, bytes]] = {}
        self._written: dict[tuple[ReportKey, SystemId], Report] = {}

    @property
    def written(self) -> list[Report]:
        """What is to be written down: the last report of each master of each fact."""
        return list(self._written.values())

    def load(self, arrivals: Iterable[Arrival]) -> None:
        """Read what was said before of all facts in the batch that two masters tell."""
        if not self._estate.two_masters:
            return
        keys = {
            _key(arrival.command)
            for arrival in arrivals
            if arrival.command is not None and self._estate.pair_of(arrival.system, arrival.command.action) is not None
        }
        if keys:
            self._known = self._desk.reports(sorted(keys))

    def heard(self, arrival: Arrival, key: ReportKey) -> Report | None:
        """A master tells a fact: how that compares with what the other one said. None where it has no other.

        What the same master says again is compared with its own words alone: nothing is written, and there is no verdict.
        """
        command = arrival.command
        if not self._estate.two_masters or command is None:
            return None
        pair = self._estate.pair_of(arrival.system, command.action)
        if pair is None:
            return None
        facts = facts_of(command, pair.compare)
        said = self._known.setdefault(key, {})
        if arrival.system in said:
            verdict: Verdict = "agrees" if said[arrival.system] == facts else "first"
            return Report(pair=pair.name, key=key, system=arrival.system, facts=facts, verdict=verdict)
        other = next((system for system in said if system != arrival.system), None)
        found = differences(said[other], facts) if other is not None else ()
        verdict = "first" if other is None else "diverges" if found else "agrees"
        report = Report(
            pair=pair.name,
            key=key,
            system=arrival.system,
            facts=facts,
            verdict=verdict,
            other=other,
            differences=found,
        )
        said[arrival.system] = facts
        self._written[key, arrival.system] = report
        return report


def _key(command: AnyCommand) -> ReportKey:
    return command.subject, command.action, command.key
