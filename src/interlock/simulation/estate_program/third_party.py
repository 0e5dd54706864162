"""The quick 3PL: acknowledges, packs and confirms over the API within moments; its own HTTP end fails now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from interlock.simulation.estate_program.chance import Profile, share
from interlock.simulation.estate_program.floor import Floor, Work, listed
from interlock.simulation.estate_program.http import Response
from interlock.simulation.estate_program.http_node import HttpNode
from interlock.simulation.estate_program.interlock_api import Caller

PACK_EVERY = 0.2
"""Of assignments: a pack message of its own."""
CALLS_AT_ONCE = 24
CLOCK_AHEAD = timedelta(seconds=40)
"""Its clock has been wrong for years: `interlock clocks` shows it."""
SLOW_S = 1.5
ANSWERED = (200, 422)
"""After a cancellation there may be nothing left to confirm, which is no surprise."""


class ThirdParty(HttpNode):
    """One HTTP call for each deed."""

    name = "third-party"

    def __init__(self, floor: Floor, caller: Caller, profile: Profile, seed: int) -> None:
        super().__init__(floor)
        self._caller = caller
        self._profile = profile
        self._seed = seed
        self._tries: Counter[str] = Counter()
        self._free = asyncio.Semaphore(CALLS_AT_ONCE)

    async def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        """The first try of some messages goes wrong, in one of four ways."""
        key = headers.get("idempotency-key", "")
        self._tries[key] += 1
        if self._tries[key] == 1 and (drawn := share(self._seed, "fault", key)) < self._profile.third_party_fault:
            return await self._fail(int(drawn / self._profile.third_party_fault * 4), method, path, headers, body)
        return await super().handle(method, path, headers, body)

    async def _fail(self, way: int, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        if way == 0:
            self.count("answers 503 on purpose")
            return Response(503, {}, b"")
        if way == 1:
            self.count("answers 429 on purpose")
            return Response(429, {"Retry-After": "1"}, b"")
        if way == 2:
            self.count("slow answers on purpose")
            await self.floor.wait(SLOW_S)
            return await super().handle(method, path, headers, body)
        self.count("messages taken and not answered on purpose")
        await super().handle(method, path, headers, body)
        return None

    async def fulfill(self, work: Work) -> None:
        """Acknowledge, set aside what is damaged, pack some, confirm the rest."""
        async with self._free:
            number = work.assignment
            await self._post("shipment.acknowledge", work, {"ref": "ACK", "warehouse_ref": f"3PL-{number}"})
            if share(self._seed, "3pl refuses", number) < self._profile.third_party_refused:
                self.count("assignments refused")
                await self._post(
                    "shipment.reject", work, {"ref": "REFUSE", "reason": "refused", "lines": work.as_lines()}
                )
                work.lines.clear()
                return
            damaged = {
                line_no: quantity
                for line_no, quantity in work.lines.items()
                if share(self._seed, "3pl damaged", f"{number}/{line_no}") < self._profile.third_party_damaged
            }
            if damaged:
                self.count("rejects: damaged")
                work.take_away(damaged)
                await self._post(
                    "shipment.reject", work, {"ref": "DAMAGED", "reason": "damaged", "lines": listed(damaged)}
                )
            if share(self._seed, "3pl packs", number) < PACK_EVERY and work.lines:
                await self._post("shipment.pack", work, {"ref": "PACK", "lines": work.as_lines()})
            await self.floor.wait(0.05)
            if not work.lines:
                return
            work.shipped = True
            units, ref = dict(work.lines), f"3S-{number}"
            package = {"tracking": f"1Z{number.replace(':', '').replace('/', 'N').upper()}", "carrier": "UPS"}
            body = {"ref": ref, "lines": listed(units), "packages": [package], "carrier": "UPS"}
            if await self._post("shipment.confirm", work, body):
                self.count("shipments confirmed")
                self.count("units shipped", sum(units.values()))
                self.floor.spawn(self.floor.shipped(work, ref, units))

    async def _post(self, action: str, work: Work, body: Mapping[str, object]) -> bool:
        ref, told = body["ref"], {"assignment": work.assignment, **body}
        told["occurred_at"] = (datetime.now(UTC) + CLOCK_AHEAD).isoformat(timespec="milliseconds")
        answer = await self._caller.post(action, told, key=f"{ref}-{work.assignment}", expected=ANSWERED)
        return answer.accepted
