"""The stores: pick from their shelves, cannot find some of it, ship parcels and hand over what is picked up."""

from __future__ import annotations

from interlock.simulation.estate_program.chance import Profile, share
from interlock.simulation.estate_program.floor import Floor, Work, listed
from interlock.simulation.estate_program.http_node import HttpNode
from interlock.simulation.estate_program.interlock_api import Bulk

PICKING_S = 0.15
ANSWERED = (200, 422)


class Stores(HttpNode):
    """All stores have one system, which gathers their messages and posts them together."""

    name = "stores"

    def __init__(self, floor: Floor, bulk: Bulk, profile: Profile, seed: int) -> None:
        super().__init__(floor)
        self._bulk = bulk
        self._profile = profile
        self._seed = seed

    async def fulfill(self, work: Work) -> None:
        """Acknowledge, pick, tell what is not there; pack for the customer who comes, or ship."""
        about = {"assignment": work.assignment}
        self._bulk.submit(
            "shipment.acknowledge", {**about, "ref": "ACK", "warehouse_ref": f"PICK-{work.assignment}"}, ANSWERED
        )
        await self.floor.wait(PICKING_S)
        for reason, missing in self._missing(work).items():
            self.count(f"rejects: {reason}")
            self.count("units rejected", sum(missing.values()))
            work.take_away(missing)
            await self._bulk.submit(
                "shipment.reject",
                {**about, "ref": reason.upper(), "reason": reason, "lines": listed(missing)},
                ANSWERED,
            )
        if not work.lines:
            return
        fetched = work.fulfillment == "bopis"
        if fetched:
            await self._bulk.submit("shipment.pack", {**about, "ref": "READY", "lines": work.as_lines()}, ANSWERED)
            await self.floor.wait(PICKING_S)
            if not work.lines:
                return
        work.shipped = True
        units, ref = dict(work.lines), f"SS-{work.assignment}"
        body = {**about, "ref": ref, "lines": listed(units)}
        if not fetched:
            body["packages"] = [
                {"tracking": f"SF{work.assignment.replace(':', '').replace('/', 'N').upper()}", "carrier": "USPS"}
            ]
        answer = await self._bulk.submit("shipment.confirm", body, ANSWERED)
        if answer.accepted:
            self.count("pick-ups handed over" if fetched else "shipments confirmed")
            self.count("units shipped", sum(units.values()))
            await self.floor.shipped(work, ref, units)

    def _missing(self, work: Work) -> dict[str, dict[int, int]]:
        """Lines that are not on the shelf, by reason: two in three are short picks, the others are not found at all."""
        missing: dict[str, dict[int, int]] = {}
        for line_no, quantity in work.lines.items():
            drawn = share(self._seed, "store short", f"{work.assignment}/{line_no}")
            if drawn < self._profile.store_short:
                reason = "short_pick" if drawn < self._profile.store_short * 2 / 3 else "not_found"
                missing.setdefault(reason, {})[line_no] = quantity
        return missing
