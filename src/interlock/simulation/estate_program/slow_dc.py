"""The slow DC: everything by X12 over SFTP, in waves; ships in the wave after that in which it was told, some of it later.

Its mailbox has two directories: partners put release orders (940) and acknowledgments (997) into `in`, and fetch its shipping
advices (945) and acknowledgments from `out`. That a 945 was taken it knows by the 997 that names its group.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from interlock.simulation.estate_program import x12_words as x12
from interlock.simulation.estate_program.chance import Profile, share
from interlock.simulation.estate_program.files import drop
from interlock.simulation.estate_program.floor import Floor, Work

LOOK_S = 0.25
WAVE_ASSIGNMENTS = 300
"""A wave begins when so many wait, or when nothing new has come for `QUIET_S`."""
QUIET_S = 0.75
REPLAYED_WAVES = {3: "the same bytes", 4: "the same advices under a new number"}
SHIPPED_AT = ("20170714", "0400")
"""The DC's clock runs on its own night; what matters is the order of the files."""

Lines = dict[int, int]


class Shipment(NamedTuple):
    """What left together: units by line, and the units of the same lines that are short; one advice."""

    work: Work
    ref: str
    units: Lines
    short: Lines


class SlowDc:
    """Reads `releases` (the mailbox's `in`), writes `advices` (its `out`)."""

    name = "dc-wms"

    def __init__(
        self, floor: Floor, profile: Profile, seed: int, releases: Path, advices: Path, give_up_s: float
    ) -> None:
        self._floor = floor
        self._profile = profile
        self._seed = seed
        self._releases = releases
        self._advices = advices
        self._give_up_s = give_up_s
        self._known: set[str] = set()
        self._work: dict[str, Work] = {}
        self._skus: dict[str, dict[int, str]] = {}
        self._waiting: list[Work] = []
        self._taken: list[Work] = []
        self._second_parts: list[tuple[Work, Lines]] = []
        self._acknowledged: dict[str, asyncio.Event] = {}
        self._wave = 0
        self._number = 0
        self._replayable: tuple[str, bytes, list[list[list[str]]]] | None = None
        releases.joinpath("read").mkdir(exist_ok=True)

    @property
    def busy(self) -> bool:
        """Whether something is still to be shipped."""
        return bool(self._waiting or self._taken or self._second_parts)

    async def run(self) -> None:
        """Look for releases, and work in waves, until canceled."""
        quiet_s = 0.0
        while True:
            new = list(self._take_files())
            self._waiting += new
            quiet_s = 0.0 if new else quiet_s + LOOK_S
            if len(self._waiting) >= WAVE_ASSIGNMENTS or (self.busy and quiet_s >= QUIET_S):
                self._run_wave()
                quiet_s = 0.0
            await self._floor.wait(LOOK_S)

    def _run_wave(self) -> None:
        """What was taken the last time is shipped, then what waits is taken to the floor."""
        self._wave += 1
        last_time, self._taken = self._taken, self._waiting
        second_parts, self._second_parts = self._second_parts, []
        self._waiting = []
        shipments = [self._ship(work, units, 2, {}) for work, units in second_parts]
        shipments += [shipment for work in last_time for shipment in self._work_on(work)]
        if shipments:
            self._tell(shipments)
        self._replay()

    def _take_files(self) -> Iterator[Work]:
        """New assignments from the files in the mailbox; each interchange of orders is acknowledged."""
        for path in sorted(path for path in self._releases.iterdir() if path.is_file() and path.name[0] != "."):
            sets = list(x12.read(path.read_bytes()))
            path.replace(self._releases / "read" / path.name)
            orders = [each for each in sets if each.code == "940"]
            self.count("release files read" if orders else "acknowledgment files read")
            for each in sets:
                if each.code == "997":
                    self._take_acknowledgment(each)
                else:
                    yield from self._take_order(each)
            if orders:
                content = x12.acknowledgment(orders, self._next_number())
                drop(self._advices, f"997_{self._number:05}.edi", content)
                self.count("functional acknowledgments sent")

    def _take_acknowledgment(self, told: x12.TransactionSet) -> None:
        """The partner has read a group of ours, and says whether it was in order."""
        group = next(segment for segment in told.segments if segment[0] == "AK1")
        verdict = next(segment for segment in told.segments if segment[0] == "AK9")
        self.count(f"groups acknowledged: {verdict[1]}")
        self._acknowledged.setdefault(group[2], asyncio.Event()).set()

    def _take_order(self, told: x12.TransactionSet) -> Iterator[Work]:
        """One 940; the same one again changes nothing."""
        key = f"{told.interchange}/{told.control}"
        if key in self._known:
            self.count("messages come again")
            return
        self._known.add(key)
        self._floor.released()
        head = next(segment for segment in told.segments if segment[0] == "W05")
        assignment = head[2]
        units, skus = _lines(told.segments)
        if head[1] == "F":
            work = self._work.get(assignment)
            in_time = work is not None and work.cancel(
                [{"line_no": line_no, "quantity": quantity} for line_no, quantity in units.items()]
            )
            self.count("cancellations in time" if in_time else "cancellations after shipping")
            return
        parties = {segment[1]: segment for segment in told.segments if segment[0] == "N1"}
        node = parties["SF"][4]
        fulfillment = "ship_to_store" if len(parties["ST"]) > 4 else "delivery"
        work = Work(assignment, assignment.rpartition("/")[0], node, fulfillment, dict(units))
        self._work[assignment] = work
        self._skus[assignment] = skus
        self.count("assignments taken")
        yield work

    def _work_on(self, work: Work) -> Iterator[Shipment]:
        """Ship what is there, or its first part; what is short is told with it."""
        short: Lines = {}
        for why, missing in self._missing(work).items():
            self.count(f"rejects: {why}")
            self.count("units rejected", sum(missing.values()))
            work.take_away(missing)
            for line_no, quantity in missing.items():
                short[line_no] = short.get(line_no, 0) + quantity
        units = dict(work.lines)
        if not units:
            if short:
                yield self._advice(work, {}, 1, short)
            return
        if len(units) > 1 and share(self._seed, "dc partial", work.assignment) < self._profile.dc_partial:
            later = dict(list(units.items())[len(units) // 2 :])
            units = {line_no: quantity for line_no, quantity in units.items() if line_no not in later}
            self._second_parts.append((work, later))
            self.count("assignments shipped in two parts")
        work.shipped = True
        yield self._ship(work, units, 1, short)

    def _ship(self, work: Work, units: Lines, part: int, short: Lines) -> Shipment:
        self.count("shipments written")
        self.count("units shipped", sum(units.values()))
        return self._advice(work, units, part, short)

    def _advice(self, work: Work, units: Lines, part: int, short: Lines) -> Shipment:
        number = work.assignment.replace(":", "").replace("/", "N").upper()
        return Shipment(work, f"BOL{number}-{part}", units, short)

    def _missing(self, work: Work) -> dict[str, Lines]:
        """Lines that the DC cannot ship, by why; of a short line one unit may be there."""
        missing: dict[str, Lines] = {}
        profile = self._profile
        for line_no, quantity in work.lines.items():
            drawn = share(self._seed, "dc short", f"{work.assignment}/{line_no}")
            if drawn < profile.dc_short:
                missing.setdefault("short_pick", {})[line_no] = max(1, quantity - 1)
            elif drawn < profile.dc_short + profile.dc_damaged:
                missing.setdefault("damaged", {})[line_no] = quantity
        return missing

    def _tell(self, shipments: list[Shipment]) -> None:
        """Drop one file of advices, and when Interlock has acknowledged it, tell what left."""
        bodies = [self._body(shipment) for shipment in shipments]
        number = self._next_number()
        name, content = f"945_{number:05}.edi", x12.write("945", bodies, number)
        drop(self._advices, name, content)
        self.count("files dropped: 945")
        if self._replayable is None:
            self._replayable = (name, content, bodies)
        self._floor.spawn(self._watch(number, shipments))

    def _body(self, shipment: Shipment) -> list[list[str]]:
        """The segments of a 945 between ST and SE."""
        work, skus = shipment.work, self._skus[shipment.work.assignment]
        body = [
            ["W06", "N", work.assignment, SHIPPED_AT[0], shipment.ref],
            ["N1", "SF", "", "92", work.node],
            ["G62", "11", *SHIPPED_AT[:1]],
            ["W27", "M", "ODFL"],
            ["LX", "1"],
        ]
        if shipment.units:
            body.append(["MAN", "CP", f"PRO{shipment.ref[3:]}"])
        for line_no in sorted({*shipment.units, *shipment.short}):
            shipped, short = shipment.units.get(line_no, 0), shipment.short.get(line_no, 0)
            status = "SH" if shipped else "CP"
            differs = str(short) if short else ""
            body.append(
                ["W12", status, str(shipped + short), str(shipped), differs, "EA", "", "SK", skus.get(line_no, "")]
            )
            body.append(["N9", "LI", str(line_no)])
        body.append(["W03", str(sum(shipment.units.values()))])
        return body

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    async def _watch(self, number: int, shipments: list[Shipment]) -> None:
        """Wait for the 997 of a group; goods that left are known to Interlock then."""
        told = self._acknowledged.setdefault(str(number), asyncio.Event())
        until = time.monotonic() + self._give_up_s
        while not told.is_set() and not self._floor.journal.is_hopeless:
            if time.monotonic() > until:
                self._floor.journal.give_up(self.name)
                self._floor.journal.surprise(self.name, group=number, problem=f"no 997 in {self._give_up_s:g} s")
                return
            await self._floor.wait(LOOK_S)
        for work, ref, units, _ in shipments:
            if units:
                self._floor.spawn(self._floor.shipped(work, ref, dict(units)))

    def _replay(self) -> None:
        """Drop an old file once more: the same bytes under another name, then its advices but the last, newly numbered."""
        what = REPLAYED_WAVES.get(self._wave)
        if what is None or self._replayable is None:
            return
        name, content, bodies = self._replayable
        if what != "the same bytes":
            content = x12.write("945", bodies[:-1] or bodies, self._next_number())
        drop(self._advices, f"AGAIN_{self._wave}_{name}", content)
        self.count(f"old file replayed: {what}")

    def count(self, deed: str, times: int = 1) -> None:
        """Count a deed of the DC."""
        self._floor.journal.count(self.name, deed, times)


def _lines(segments: list[x12.Segment]) -> tuple[Lines, dict[int, str]]:
    """Units and SKUs by our partner's line number, which stands in the N9 after each W01."""
    units: Lines = {}
    skus: dict[int, str] = {}
    quantity, sku = 0, ""
    for segment in segments:
        if segment[0] == "W01":
            quantity, sku = int(segment[1]), segment[5]
        elif segment[0] == "N9" and segment[1] == "LI":
            units[int(segment[2])] = quantity
            skus[int(segment[2])] = sku
    return units, skus
