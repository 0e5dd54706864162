"""The slow DC: everything by CSV files, in waves; acknowledges in one, ships in the next, some of it in a third."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlock.simulation.estate_program.chance import Profile, share
from interlock.simulation.estate_program.files import drop, result_of
from interlock.simulation.estate_program.floor import Floor, Work

LOOK_S = 0.25
WAVE_ASSIGNMENTS = 300
"""A wave begins when so many wait, or when nothing new has come for `QUIET_S`."""
QUIET_S = 0.75
REPLAYED_WAVES = {3: "the same bytes", 4: "the same rows without the last message"}
HEADER = ("EVT", "ORDER_REF", "DOC_NO", "LINE", "QTY", "PICK_NO", "PRO_NO", "SCAC", "EVT_TIME")
EVENT_TIME = "2017-07-14T04:00:00"
"""The DC's clock runs on its own night; what matters is the order of the files."""

Events = list[tuple[str, ...]]


class SlowDc:
    """Reads `releases`, writes `events`."""

    name = "dc-wms"

    def __init__(
        self, floor: Floor, profile: Profile, seed: int, releases: Path, events: Path, give_up_s: float
    ) -> None:
        self._floor = floor
        self._profile = profile
        self._seed = seed
        self._releases = releases
        self._events = events
        self._give_up_s = give_up_s
        self._known: set[str] = set()
        self._work: dict[str, Work] = {}
        self._waiting: list[Work] = []
        self._acknowledged: list[Work] = []
        self._second_parts: list[tuple[Work, dict[int, int]]] = []
        self._wave = 0
        self._files = 0
        self._replayable: tuple[str, bytes] | None = None
        releases.joinpath("read").mkdir(exist_ok=True)

    @property
    def busy(self) -> bool:
        """Whether something is still to be acknowledged or shipped."""
        return bool(self._waiting or self._acknowledged or self._second_parts)

    async def run(self) -> None:
        """Look for releases, and work in waves, until canceled."""
        quiet_s = 0.0
        while True:
            new = list(self._take_releases())
            self._waiting += new
            quiet_s = 0.0 if new else quiet_s + LOOK_S
            if len(self._waiting) >= WAVE_ASSIGNMENTS or (self.busy and quiet_s >= QUIET_S):
                self._run_wave()
                quiet_s = 0.0
            await self._floor.wait(LOOK_S)

    def _run_wave(self) -> None:
        """What was acknowledged the last time is shipped, then what waits is acknowledged."""
        self._wave += 1
        last_time, self._acknowledged = self._acknowledged, self._waiting
        second_parts, self._second_parts = self._second_parts, []
        self._waiting = []
        shipped: list[tuple[Work, str, dict[int, int]]] = []
        events: Events = []
        for work, units in second_parts:
            events += self._ship(work, units, 2, shipped)
        for work in last_time:
            events += self._work_on(work, shipped)
        if events:
            self._write("SHP", events, shipped)
        if self._acknowledged:
            self._write("ACK", [_event("ACK", work, "ACK") for work in self._acknowledged], [])
        self._replay()

    def _take_releases(self) -> Iterator[Work]:
        """New assignments; cancellations are applied to what has not left."""
        for path in sorted(self._releases.glob("release-*.csv")):
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            path.replace(self._releases / "read" / path.name)
            self.count("release files read")
            messages: dict[str, list[dict[str, str]]] = {}
            for row in rows:
                messages.setdefault(row["id"], []).append(row)
            for key, lines in messages.items():
                yield from self._take(key, lines)

    def _take(self, key: str, rows: list[dict[str, str]]) -> Iterator[Work]:
        """One message of a release file; the same message again changes nothing."""
        first = rows[0]
        if key in self._known:
            self.count("messages come again")
            return
        self._known.add(key)
        self._floor.released()
        assignment = first["assignment"]
        units = {int(row["line_no"]): int(row["quantity"]) for row in rows}
        if first["message"] == "shipment.cancel":
            work = self._work.get(assignment)
            in_time = work is not None and work.cancel(
                [{"line_no": line_no, "quantity": quantity} for line_no, quantity in units.items()]
            )
            self.count("cancellations in time" if in_time else "cancellations after shipping")
            return
        work = Work(assignment, first["order"], first["node"], first["fulfillment"], units)
        self._work[assignment] = work
        self.count("assignments taken")
        yield work

    def _work_on(self, work: Work, shipped: list[tuple[Work, str, dict[int, int]]]) -> Events:
        """Tell what is short or damaged, ship the rest, or its first part."""
        events: Events = []
        for event, missing in self._missing(work).items():
            self.count(f"rejects: {event}")
            self.count("units rejected", sum(missing.values()))
            work.take_away(missing)
            events += [
                _event(event, work, event.upper(), str(line_no), str(quantity)) for line_no, quantity in missing.items()
            ]
        if not work.lines:
            return events
        units = dict(work.lines)
        if len(units) > 1 and share(self._seed, "dc partial", work.assignment) < self._profile.dc_partial:
            later = dict(list(units.items())[len(units) // 2 :])
            units = {line_no: quantity for line_no, quantity in units.items() if line_no not in later}
            self._second_parts.append((work, later))
            self.count("assignments shipped in two parts")
        work.shipped = True
        return events + self._ship(work, units, 1, shipped)

    def _ship(
        self, work: Work, units: dict[int, int], part: int, shipped: list[tuple[Work, str, dict[int, int]]]
    ) -> Events:
        number = work.assignment.replace(":", "").replace("/", "N").upper()
        ref = f"BOL-{number}-{part}"
        shipped.append((work, ref, units))
        self.count("shipments written")
        self.count("units shipped", sum(units.values()))
        tracking = f"PRO{number}P{part}"
        return [
            _event("SHP", work, ref, str(line_no), str(units[line_no]), tracking, "ODFL") for line_no in sorted(units)
        ]

    def _missing(self, work: Work) -> dict[str, dict[int, int]]:
        """Lines that the DC cannot ship, by the event that says so; of a short line one unit may be there."""
        missing: dict[str, dict[int, int]] = {}
        profile = self._profile
        for line_no, quantity in work.lines.items():
            drawn = share(self._seed, "dc short", f"{work.assignment}/{line_no}")
            if drawn < profile.dc_short:
                missing.setdefault("short_pick", {})[line_no] = max(1, quantity - 1)
            elif drawn < profile.dc_short + profile.dc_damaged:
                missing.setdefault("damaged", {})[line_no] = quantity
        return missing

    def _write(self, kind: str, events: Events, shipped: list[tuple[Work, str, dict[int, int]]]) -> None:
        """Drop one file, and when Interlock has read it, tell what left."""
        self._files += 1
        name = f"{kind}_{self._files:05}.csv"
        content = _csv(events)
        drop(self._events, name, content)
        self.count(f"files dropped: {kind}")
        if kind == "SHP" and self._replayable is None:
            self._replayable = (name, content)
        self._floor.spawn(self._watch(name, shipped))

    async def _watch(self, name: str, shipped: list[tuple[Work, str, dict[int, int]]]) -> None:
        result = await result_of(self._events, name, self._floor.journal, self.name, self._give_up_s)
        if result is not None:
            for work, ref, units in shipped:
                self._floor.spawn(self._floor.shipped(work, ref, units))

    def _replay(self) -> None:
        """Drop an old file once more: the same bytes under another name, then its rows without the last one."""
        what = REPLAYED_WAVES.get(self._wave)
        if what is None or self._replayable is None:
            return
        name, content = self._replayable
        again = f"AGAIN_{self._wave}_{name}"
        if what != "the same bytes":
            rows = content.split(b"\n")
            content = b"\n".join([rows[0], *_whole_messages(rows[1:-1]), b""])
        drop(self._events, again, content)
        self.count(f"old file replayed: {what}")
        self._floor.spawn(self._watch(again, []))

    def count(self, deed: str, times: int = 1) -> None:
        """Count a deed of the DC."""
        self._floor.journal.count(self.name, deed, times)


def _whole_messages(rows: list[bytes]) -> list[bytes]:
    """All rows but those of the last message, if there is another one: a message with rows missing would be another."""
    last = rows[-1].split(b",")[:3]
    return [row for row in rows if row.split(b",")[:3] != last] or rows


def _event(
    event: str, work: Work, ref: str, line_no: str = "", quantity: str = "", tracking: str = "", carrier: str = ""
) -> tuple[str, ...]:
    return (event, work.assignment, ref, line_no, quantity, f"PICK-{work.assignment}", tracking, carrier, EVENT_TIME)


def _csv(events: Events) -> bytes:
    text: Any = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n")
    out.writerow(HEADER)
    out.writerows(events)
    content: bytes = text.getvalue().encode()
    return content
