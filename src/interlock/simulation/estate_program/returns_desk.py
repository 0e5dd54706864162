"""The returns desk: gives return numbers, and receives what comes back."""

from __future__ import annotations

from typing import Any

from interlock.simulation.estate_program.chance import Profile, share
from interlock.simulation.estate_program.floor import listed
from interlock.simulation.estate_program.interlock_api import Caller


class ReturnsDesk:
    """Takes units of an order back at a node."""

    def __init__(self, caller: Caller, profile: Profile, seed: int) -> None:
        self._caller = caller
        self._profile = profile
        self._seed = seed

    async def take_back(self, order: str, ref: str, node: str, units: dict[int, Any]) -> bool:
        """Authorize (a few come blind) and receive; whether they are back."""
        body: dict[str, Any] = {"order": order, "ref": f"REC-{ref}", "node": node}
        count = self._caller.journal.count
        if share(self._seed, "blind", order) < self._profile.blind_return:
            count("returns", "blind returns")
        else:
            rma = f"RMA-{ref}"
            count("returns", "return numbers given")
            asked = {"order": order, "ref": rma, "lines": listed(units), "reason": "does not fit"}
            if not (await self._caller.post("return.authorize", asked)).accepted:
                return False
            body["return_ref"] = rma
        drawn = share(self._seed, "disposition", order)
        disposition = "restock" if drawn < 0.7 else "damaged" if drawn < 0.9 else "scrap"
        body["lines"] = [{**line, "disposition": disposition} for line in listed(units)]
        count("returns", f"returns received: {disposition}")
        count("returns", "units received", sum(units.values()))
        return (await self._caller.post("return.receive", body)).accepted
