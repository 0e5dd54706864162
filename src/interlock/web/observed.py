"""What is seen of callers, gathered in memory and written once a second: their clocks, their refused
signatures, what waits at the edges that relay, and what of our contracts they use.

Memory is bounded by the systems of the estate and the slots of five minutes; what a process had gathered when it was killed
is lost, and nothing depends on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from interlock.contracts.use import Use
from interlock.domain.values import SystemId
from interlock.storage import clocks, contract_use, edges, signed
from interlock.storage.clocks import Lags, Slot, slot_of
from interlock.storage.contract_use import Count, Used
from interlock.storage.database import Database, Transaction
from interlock.storage.edges import EdgeId, EdgeReport
from interlock.storage.signed import Refusals

FLUSH_EVERY_S = 1.0
LAG_S_MAX = 31_622_400.0
EDGES_MAX = 10_000

_RELAYED = re.compile(r'([A-Za-z0-9._-]{1,64}); waiting=(\d{1,15})(?:; queued="([^"]{1,40})")?')

log = structlog.get_logger(__name__)


class Observed:
    """Gathers in the event loop; `run` writes until it is canceled, and then what is left."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lags: dict[Slot, Lags] = {}
        self._refused: dict[Slot, Refusals] = {}
        self._edges: dict[EdgeId, EdgeReport] = {}
        self._used: dict[Used, Count] = {}

    def stated(self, system: SystemId, stated_at: datetime, received_at: datetime) -> None:
        """A live message of the system came at `received_at` and says of itself `stated_at`."""
        lag_s = (received_at - stated_at) / timedelta(seconds=1)
        if abs(lag_s) > LAG_S_MAX:
            return  # a time from another year is a mistake in the message, no clock
        slot = slot_of(system, received_at)
        one = Lags(
            system=system, messages=1, lag_min_s=lag_s, lag_max_s=lag_s, since=slot.starts_at, last_at=received_at
        )
        known = self._lags.get(slot)
        self._lags[slot] = one if known is None else _both(known, one)

    def refused(self, system: SystemId, why: str, at: datetime) -> None:
        """A request in the name of the system had no right signature."""
        slot = slot_of(system, at)
        known = self._refused.get(slot)
        self._refused[slot] = Refusals(known.times + 1 if known else 1, why, at)

    def relayed(self, system: SystemId, header: str, at: datetime) -> None:
        """A request came by an edge, which says what waits there: `S12; waiting=3; queued="2026-03-02T15:00:00+00:00"`."""
        found = _RELAYED.fullmatch(header)
        if found is None or len(self._edges) >= EDGES_MAX:
            return
        queued_at = None
        with contextlib.suppress(ValueError):
            queued_at = datetime.fromisoformat(found[3] or "")
        if queued_at is not None and queued_at.tzinfo is None:
            queued_at = None
        self._edges[EdgeId(system, found[1])] = EdgeReport(int(found[2]), queued_at, at)

    def used(self, system: SystemId, use: Use, at: datetime) -> None:
        """A message of the system used a contract, and these deprecated things of it."""
        self._use(Used(system, use.contract, use.version, "", at.date()), Count(1, at))
        for field in use.deprecated:
            if field:
                self._use(Used(system, use.contract, use.version, field, at.date()), Count(1, at))

    def _use(self, used: Used, more: Count) -> None:
        known = self._used.get(used)
        self._used[used] = Count(known.messages + more.messages, max(known.last_at, more.last_at)) if known else more

    async def run(self) -> None:
        """Write what was gathered, again and again."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                await self.flush()
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await self.flush()

    async def flush(self) -> None:
        """Write what was gathered until now, one statement for each kind; where that fails it is kept for the next time."""
        lags, self._lags = self._lags, {}
        refused, self._refused = self._refused, {}
        if lags and not await self._written(lambda tx: clocks.add_many(tx, lags)):
            for slot, kept in lags.items():
                known = self._lags.get(slot)
                self._lags[slot] = kept if known is None else _both(kept, known)
        reports, self._edges = self._edges, {}
        if reports and not await self._written(lambda tx: edges.save_many(tx, reports)):
            self._edges = reports | self._edges
        uses, self._used = self._used, {}
        if uses and not await self._written(lambda tx: contract_use.add_many(tx, uses)):
            for used, count in uses.items():
                self._use(used, count)
        if refused:
            log.warning("signatures_refused", systems={slot.system: each.times for slot, each in refused.items()})
            if not await self._written(lambda tx: signed.refused_many(tx, refused)):
                for slot, missed in refused.items():
                    later = self._refused.get(slot)
                    self._refused[slot] = Refusals(missed.times + later.times, *later[1:]) if later else missed

    async def _written(self, work: Callable[[Transaction], None]) -> bool:
        try:
            await asyncio.to_thread(self._db.transaction, work, retries_max=0)
        except Exception as error:  # whatever it is: gathering goes on, and the next moment may be better
            log.warning("observations_wait", error=f"{type(error).__name__}: {error}")
            return False
        return True


def _both(a: Lags, b: Lags) -> Lags:
    return msgspec.structs.replace(
        a,
        messages=a.messages + b.messages,
        lag_min_s=min(a.lag_min_s, b.lag_min_s),
        lag_max_s=max(a.lag_max_s, b.lag_max_s),
        last_at=max(a.last_at, b.last_at),
    )
