"""What systems send that their contracts do not say: shown to people, and told no longer when it was dealt with.

That something new drifts is told at once, by what takes messages in (`connectors/drift_book.py`). A person closes the exception
when the contract was changed, or the sender has mended it. It closes by itself only where the contract was changed since and no
drift has come for a week.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId, part_of
from interlock.storage import drift as store
from interlock.storage.database import Database, Transaction
from interlock.storage.drift import DriftSeen, Totals


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """All drift of the systems asked for; `since` begins the time in which messages are counted."""

    since: datetime
    totals: tuple[Totals, ...]
    drift: tuple[DriftSeen, ...]

    def checked(self, seen: DriftSeen) -> int:
        """How many messages were held against the contract and version that this is drift from."""
        return sum(
            each.checked
            for each in self.totals
            if (each.system, each.contract, each.version) == (seen.system, seen.contract, seen.version)
        )


def drift_report(db: Database, estate: Estate, system: str | None, *, days: int, now: datetime) -> DriftReport:
    """What the store knows of the last days. Raises InvalidValue for a system that there is not."""
    systems = [SystemId(system)] if system else list(estate.systems)
    if system and SystemId(system) not in estate.systems:
        raise InvalidValue("system", system, f"a system of the estate: {', '.join(estate.systems)}")
    since = now - timedelta(days=days)

    def read(tx: Transaction) -> DriftReport:
        return DriftReport(
            since=since,
            totals=tuple(store.read_totals(tx, systems, since)),
            drift=tuple(store.read_drift(tx, systems, since)),
        )

    return db.transaction(read)


class DriftWatch:
    """The worker's chore: closes `contract_drift` where it was dealt with, and forgets old counts."""

    def __init__(self, estate: Estate) -> None:
        self._parts: dict[int, dict[tuple[SystemId, str], str]] = {}
        for system in estate.systems.values():
            for link in system.inbound:
                if link.contract:
                    digests = self._parts.setdefault(part_of(system.id), {})
                    digests[system.id, link.contract] = estate.contracts[link.contract].digest()

    def __call__(self, tx: Transaction, part: int, now: datetime) -> int:
        """Look at the part's systems; gives how many exceptions were closed."""
        digests = self._parts.get(part)
        if not digests:
            return 0
        store.forget_many(tx, part, now)
        return store.close_many(tx, part, digests, now)
