"""The run: all peers together, from the first count sheet to the last closed order, and the report."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from interlock.simulation.estate_program.back_office import BackOffice
from interlock.simulation.estate_program.chance import Profile, share
from interlock.simulation.estate_program.floor import Floor
from interlock.simulation.estate_program.http import HttpClient, HttpServer
from interlock.simulation.estate_program.interlock_api import Bulk, Caller
from interlock.simulation.estate_program.journal import Journal, write_json
from interlock.simulation.estate_program.mailbox import Mailbox
from interlock.simulation.estate_program.plan import DC_USER, HOST_KEY_FILE, Plan
from interlock.simulation.estate_program.returns_desk import ReturnsDesk
from interlock.simulation.estate_program.slow_dc import SlowDc
from interlock.simulation.estate_program.stores import Stores
from interlock.simulation.estate_program.third_party import ThirdParty
from interlock.simulation.estate_program.tills import Tills
from interlock.simulation.estate_program.web_shop import SCOPE, WebShop

QUIET_S = 1.5
"""No release for so long, and nobody busy: the peers have done what they were told."""
FINAL = frozenset({"closed", "canceled", "returned", "refunded"})
SAMPLED = 0.04
"""Of orders that the shop believes are complete: asked for at the end all the same."""
ASKED_AT_ONCE = 16
UNSETTLED_MAX = 50
CAPTURE_RUN_S = 1.5
"""The shop captures in runs, as shops do."""
STORES_GATHER_S = 0.2


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to run; see the command line's help."""

    host: str
    port: int
    profile: Profile
    time_scale: float
    give_up_s: float
    settle_s: float
    concurrency: int
    report: Path
    progress: Path


async def run(plan: Plan, settings: Settings) -> dict[str, Any]:
    """Play the whole estate; writes the report and gives it back."""
    journal = Journal()
    floor = Floor(journal, settings.time_scale)
    writing = asyncio.create_task(journal.write_every_second(settings.progress))
    try:
        unsettled = await _Estate(plan, settings, journal, floor).run()
    finally:
        writing.cancel()
    journal.enter("done")
    given_up = sum(deeds["given_up"] for deeds in journal.counters.values())
    report = journal.state() | {
        "finished": not unsettled and not given_up,
        "given_up": given_up,
        "unsettled": len(unsettled),
        "unsettled_orders": dict(list(unsettled.items())[:UNSETTLED_MAX]),
    }
    write_json(settings.progress, report)
    write_json(settings.report, report)
    return report


class _Estate:
    """The peers and the clients that they share."""

    def __init__(self, plan: Plan, settings: Settings, journal: Journal, floor: Floor) -> None:
        self._journal = journal
        self._floor = floor
        self._settings = settings
        self._plan = plan
        client = HttpClient(settings.host, settings.port, settings.concurrency + 48)
        self._client = client
        profile, seed, give_up_s = settings.profile, plan.seed, settings.give_up_s

        def caller(system: str) -> Caller:
            return Caller(client, system, plan.keys[system], journal, give_up_s)

        self._web = caller("webshop")
        self._captures = Bulk(self._web, CAPTURE_RUN_S * settings.time_scale)
        self._store_calls = Bulk(caller("stores"), STORES_GATHER_S * settings.time_scale)
        desk = ReturnsDesk(caller("returns"), profile, seed)
        self._shop = WebShop(plan, profile, self._web, self._captures, floor, desk, settings.concurrency)
        self._tills = Tills(plan, floor, give_up_s)
        self._dc = SlowDc(floor, profile, seed, plan.path("dc_in"), plan.path("dc_out"), give_up_s)
        self._mailbox = Mailbox(
            plan.path("dc_in").parent, plan.ports["dc_sftp"], plan.folder / HOST_KEY_FILE, DC_USER, plan.keys["dc-sftp"]
        )
        self._third_party_calls = caller("third-party")
        self._third_party = ThirdParty(floor, self._third_party_calls, profile, seed)
        self._stores = Stores(floor, self._store_calls, profile, seed)
        self._office = BackOffice(plan, floor, caller("backoffice"), give_up_s)

    async def run(self) -> dict[str, str]:
        """Everything, in its order; gives the orders that did not come to an end, with their last known state."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._client.close)
            for name, peer in (("third_party", self._third_party), ("stores", self._stores)):
                await stack.enter_async_context(HttpServer(self._plan.ports[name], peer.handle))
            await stack.enter_async_context(self._mailbox)
            loops = [
                asyncio.create_task(job) for job in (self._dc.run(), self._captures.run(), self._store_calls.run())
            ]
            try:
                return await self._play(loops)
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.gather(*loops, return_exceptions=True)

    async def _play(self, loops: list[asyncio.Task[None]]) -> dict[str, str]:
        enter = self._journal.enter
        enter("counting stock")
        await self._office.count_at_first()
        enter("trading")
        for place, night in enumerate(self._plan.nights):
            await self._shop.post_night(night)
            await self._tills.drop_night(place, night)
            self._check(loops)
        await self._shop.make_wrong_calls()
        await self._act_beyond_authority()
        await self._office.find_some()
        enter("finishing")
        unsettled = await self._settle(loops)
        enter("counting again")
        await self._office.count_at_last()
        return unsettled

    async def _act_beyond_authority(self) -> None:
        """The 3PL cancels orders, which it may not, and somebody calls with a key that is none."""
        stranger = Caller(self._client, "stranger", "no-such-key", self._journal, self._settings.give_up_s)
        for number in list(self._shop.sold)[: self._settings.profile.wrong_calls]:
            body = {"order": f"{SCOPE}:{number}", "ref": f"WRONG-{number}"}
            self._journal.count("third-party", "calls beyond its authority on purpose")
            await self._third_party_calls.post("order.cancel", body, expected=(403,))
            self._journal.count("stranger", "calls with a wrong key on purpose")
            await stranger.post("order.cancel", body, expected=(401,))

    async def _settle(self, loops: list[asyncio.Task[None]]) -> dict[str, str]:
        """Wait until all peers are idle, then ask for the orders until each has come to its end, or nothing moves."""
        moved_at, seen, settled = time.monotonic(), (-1, 0), set[str]()
        waiting: dict[str, str] = {}
        asked = False
        while time.monotonic() - moved_at < self._settings.settle_s:
            self._check(loops)
            if (now := (self._journal.changes, len(settled))) != seen:
                moved_at, seen = time.monotonic(), now
            await asyncio.sleep(0.25)
            quiet = time.monotonic() - self._floor.last_release > QUIET_S * self._settings.time_scale
            if self._floor.busy or self._dc.busy or not quiet:
                continue
            waiting = await self._ask_for_orders(settled)
            asked = True
            if not waiting:
                break
        return waiting if asked else {number: "never asked" for number in self._shop.sold}

    async def _ask_for_orders(self, settled: set[str]) -> dict[str, str]:
        """The state of the orders that the shop believes are open, and of a sample of the others, where not final."""
        waiting: dict[str, str] = {}
        numbers = iter(
            [
                number
                for number, sold in self._shop.sold.items()
                if number not in settled and (sold.open_units > 0 or share(self._plan.seed, "asked", number) < SAMPLED)
            ]
        )

        async def work() -> None:
            for number in numbers:
                answer = await self._web.get(f"/v1/orders/{quote(f'{SCOPE}:{number}', safe='')}")
                state = str(answer.body.get("state", answer.word))
                if state in FINAL:
                    settled.add(number)
                    self._journal.counters["webshop"][f"orders seen {state} at the end"] += 1
                else:
                    waiting[number] = state

        async with asyncio.TaskGroup() as group:
            for _ in range(ASKED_AT_ONCE):
                group.create_task(work())
        return waiting

    def _check(self, loops: list[asyncio.Task[None]]) -> None:
        """A peer that failed ends the run with its error."""
        self._floor.check()
        for loop in loops:
            if loop.done():
                loop.result()
