"""The back office: drops the count sheets that everything begins with, and counts a few positions again at the end."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from interlock.simulation.estate_program.chance import share
from interlock.simulation.estate_program.files import drop, result_of
from interlock.simulation.estate_program.floor import Floor
from interlock.simulation.estate_program.interlock_api import Caller
from interlock.simulation.estate_program.plan import Plan

FOUND_UNITS = 5


class BackOffice:
    """Says what is on the shelves."""

    name = "backoffice"

    def __init__(self, plan: Plan, floor: Floor, caller: Caller, give_up_s: float) -> None:
        self._plan = plan
        self._floor = floor
        self._caller = caller
        self._give_up_s = give_up_s

    async def count_at_first(self) -> None:
        """Drop every count sheet and wait until all of them are read."""
        folder = self._plan.path("counts")
        names = []
        for path in self._plan.counts:
            names.append(path.rpartition("/")[2])
            drop(folder, names[-1], (self._plan.folder / path).read_bytes())
            self.count("count sheets dropped")
        journal = self._floor.journal
        await asyncio.gather(*(result_of(folder, name, journal, self.name, self._give_up_s) for name in names))

    async def find_some(self) -> None:
        """A pallet was found: a few adjustments, the first of them told twice."""
        for place, (sku, node) in enumerate(self._plan.recount[:4]):
            body = {"sku": sku, "node": node, "ref": f"FOUND-{place}", "delta": FOUND_UNITS, "reason": "found"}
            for _ in range(2 if place == 0 else 1):
                self.count("adjustments sent")
                await self._caller.post("stock.adjust", body)

    async def count_at_last(self) -> None:
        """Count what Interlock believes is there; a third of the positions have one unit less than that."""
        for sku, node in self._plan.recount:
            answer = await self._caller.get(f"/v1/positions?{urlencode({'sku': sku, 'node': node})}")
            physical = _physical(answer.body, sku, node)
            if physical is None:
                self._floor.journal.surprise(self.name, problem=f"no position of {sku} at {node}", answer=answer.body)
                continue
            missing = 1 if physical > 0 and share(self._plan.seed, "recount", sku) < 1 / 3 else 0
            self.count("positions counted again")
            self.count("positions counted one unit short", missing)
            body = {"sku": sku, "node": node, "ref": "FINAL", "counted": physical - missing}
            await self._caller.post("stock.count", body)

    def count(self, deed: str, times: int = 1) -> None:
        """Count a deed of the back office."""
        self._floor.journal.count(self.name, deed, times)


def _physical(body: dict[str, Any], sku: str, node: str) -> int | None:
    """The physical units of the position in Interlock's answer."""
    for position in body.get("positions", ()):
        if position.get("sku") == sku and position.get("node") == node:
            return int(position["physical"])
    return None
