"""The door to the engine: arrivals in, outcomes out. "Accepted" is only ever said after the commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.engine.batch import BATCH_COMMANDS_MAX, Batcher
from interlock.storage import messages
from interlock.storage.database import Database, Transaction

Run = Callable[[int, Sequence[Arrival]], list[Outcome]]


class Door:
    """Where every edge hands over what came in. Safe to share between threads."""

    def __init__(self, db: Database, estate: Estate, batcher: Batcher | None = None) -> None:
        self.db = db
        self.batcher = batcher or Batcher(db, estate)

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep, decide and save in one transaction for each part: for callers that wait. One outcome each, in order.

        Raises DatabaseUnavailable or TransactionConflict. Parts that were done before it stay done, so that the caller
        sends everything again and the ledger answers what was processed already.
        """
        return self._by_part(arrivals, self.batcher.run)

    def accept(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Only keep: a worker processes them later. What could not be read is quarantined at once."""
        if any(a.command is None or a.problem is not None for a in arrivals):
            unread = [a for a in arrivals if a.command is None or a.problem is not None]
            put_away = dict(zip([a.message_id for a in unread], self.process(unread), strict=True))
            kept = self.accept([a for a in arrivals if a.message_id not in put_away])
            waiting = {o.message_id: o for o in kept}
            return [put_away.get(a.message_id) or waiting[a.message_id] for a in arrivals]
        return self._by_part(arrivals, self._keep)

    def open_keys(self, requests: Sequence[tuple[SystemId, str, bytes]]) -> list[bool]:
        """Write request keys (system, key, payload hash) down; False where one stands for another payload already."""
        return self.db.transaction(lambda tx: messages.open_keys(tx, requests, datetime.now(UTC)))

    def _keep(self, part: int, arrivals: Sequence[Arrival]) -> list[Outcome]:
        outcomes = [
            Outcome(
                message_id=a.message_id,
                outcome="received",
                first="received",
                answer=msgspec.Raw(msgspec.json.encode({"outcome": "received", "message_id": a.message_id})),
            )
            for a in arrivals
        ]

        def keep(tx: Transaction) -> None:
            messages.keep_many(tx, part, arrivals, outcomes, datetime.now(UTC))

        self.db.transaction(keep)
        return outcomes

    def _by_part(self, arrivals: Sequence[Arrival], run: Run) -> list[Outcome]:
        places: dict[int, list[int]] = {}
        for place, arrival in enumerate(arrivals):
            places.setdefault(messages.part_of_arrival(arrival), []).append(place)
        outcomes: dict[int, Outcome] = {}
        for part in sorted(places):
            mine = places[part]
            for start in range(0, len(mine), BATCH_COMMANDS_MAX):
                some = mine[start : start + BATCH_COMMANDS_MAX]
                outcomes.update(zip(some, run(part, [arrivals[place] for place in some]), strict=True))
        return [outcomes[place] for place in range(len(arrivals))]
