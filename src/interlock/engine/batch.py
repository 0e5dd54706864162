"""The micro-batch: ledger, authority, decide and save for whatever waits in one part, in one transaction.

Tried first on what is seen without locks, the stock being taken last and under a condition. Where somebody else took it
meanwhile, nothing is kept and the batch is decided again on locked rows. A batch that fails otherwise is cut in halves until
the guilty message stands alone; that one is quarantined, its neighbours go on. What one attempt does is in `steps.py`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec
import structlog

from interlock.domain.commands import CountStock
from interlock.domain.decision import Arrival, Decision, Outcome, Problem
from interlock.domain.errors import StorageError, TransactionConflict
from interlock.domain.estate import Estate
from interlock.engine.desk import SqlDesk
from interlock.engine.steps import Setting, Steps, WokenFailed
from interlock.storage import messages
from interlock.storage.database import Database, Transaction
from interlock.storage.stock import StockMissed

BATCH_COMMANDS_MAX = 400
STOCK_ATTEMPTS_MAX = 6

log = structlog.get_logger()

T = TypeVar("T")


def now_utc() -> datetime:
    """The clock on the wall."""
    return datetime.now(UTC)


Reader = Callable[[Transaction, int, int], list[Arrival]]
"""Reads what waits in a part: (transaction, part, limit) -> arrivals."""

Guilty = Mapping[UUID, Problem]
"""Parked messages that our own code cannot process, and why: put away when what they wait for comes."""

Groups = Mapping[int, Sequence[Arrival]]
"""Arrivals by the part that they belong to."""

Decided = list[tuple[Arrival, Decision]]

Judge = Callable[[Transaction, Decided, datetime], bool]
"""Whether what was decided at this time shall be kept."""


class _RolledBack(Exception):
    """Not an error: it was decided only to see what would follow."""

    def __init__(self, decided: Decided) -> None:
        self.decided = decided


class Batcher:
    """Runs batches for one estate on one database. Safe to share between threads. `clock` tells the time."""

    def __init__(self, db: Database, estate: Estate, clock: Callable[[], datetime] = now_utc) -> None:
        self.db = db
        self.estate = estate
        self.clock = clock
        self.setting = Setting(estate)

    def run(self, part: int, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep and process arrivals of one part and commit; one outcome for each, in order.

        Waits for whoever works on the part. Raises DatabaseUnavailable or TransactionConflict; then nothing was accepted.
        """

        def attempt(tx: Transaction, strict: bool, guilty: Guilty) -> list[Outcome]:
            with tx.pipeline():
                messages.lock_part(tx, part)
                steps = self._steps(tx, part, arrivals, self.clock(), kept=False, strict=strict, guilty=guilty)
                return steps.outcomes()

        try:
            return self._optimistic(attempt, strict=_must_lock(arrivals))
        except StorageError:
            raise
        except Exception as error:
            if len(arrivals) > 1:
                middle = len(arrivals) // 2
                return [*self.run(part, arrivals[:middle]), *self.run(part, arrivals[middle:])]
            if arrivals[0].problem is not None:
                raise
            return self.run(part, [_guilty(arrivals[0], error)])

    def work(self, part: int, limit: int, read: Reader, *, kept: bool) -> int:
        """Process what `read` finds waiting in the part, at most `limit`; gives how many, 0 if somebody else has the part."""
        found: list[Arrival] = []

        def attempt(
            tx: Transaction, strict: bool, guilty: Guilty, blamed: tuple[Arrival, Exception] | None = None
        ) -> int:
            found.clear()
            if not messages.claim_part(tx, part):
                return 0
            found.extend(read(tx, part, limit if blamed is None else 1))
            if not found:
                return 0
            if _must_lock(found) and not strict:
                strict = True
            arrivals = found
            if blamed is not None:
                # The part was free for a moment: another worker may have put the guilty one away already.
                if (found[0].system, found[0].command) != (blamed[0].system, blamed[0].command):
                    return 0
                arrivals = [_guilty(found[0], blamed[1])]
            with tx.pipeline():
                self._steps(tx, part, arrivals, self.clock(), kept=kept, strict=strict, guilty=guilty).outcomes()
            return len(found)

        try:
            return self._optimistic(attempt, strict=False)
        except StorageError:
            raise
        except Exception as error:
            if len(found) > 1:
                return self.work(part, len(found) // 2, read, kept=kept)
            if not found:
                raise
            return self._optimistic(partial(attempt, blamed=(found[0], error)), strict=False)

    def decide_if(self, groups: Groups, keep: Judge) -> Decided:
        """Decide arrivals of several parts on locked rows, in one transaction; committed only where `keep` says so.

        Gives every decision, of what was parked and goes on as well. Nobody else is blamed: an error ends it.
        """

        def attempt(tx: Transaction, _: bool, guilty: Guilty) -> Decided:
            now = self.clock()
            decided: Decided = []
            for part in sorted(groups):
                messages.lock_part(tx, part)
            for part, arrivals in groups.items():
                with tx.pipeline():
                    steps = self._steps(tx, part, arrivals, now, kept=False, strict=True, guilty=guilty)
                    steps.outcomes()
                decided += steps.decided
            if not keep(tx, decided, now):
                raise _RolledBack(decided)
            return decided

        try:
            return self._optimistic(attempt, strict=True)
        except _RolledBack as rolled_back:
            return rolled_back.decided

    def _steps(
        self,
        tx: Transaction,
        part: int,
        arrivals: Sequence[Arrival],
        now: datetime,
        *,
        kept: bool,
        strict: bool,
        guilty: Guilty,
    ) -> Steps:
        desk = SqlDesk(tx, part, self.estate, self.setting.sourcing, kept=kept, strict=strict)
        return Steps(self.setting, desk, arrivals, now, guilty=guilty)

    def _optimistic(self, attempt: Callable[[Transaction, bool, Guilty], T], *, strict: bool) -> T:
        """Run without locks on stock first, and on locked rows if somebody else took what was seen."""
        misses = 0
        guilty: dict[UUID, Problem] = {}
        while misses < STOCK_ATTEMPTS_MAX:
            locked = strict or misses > 0
            try:
                return self.db.transaction(lambda tx, locked=locked: attempt(tx, locked, guilty))  # type: ignore[misc]
            except StockMissed as missed:
                misses += 1
                log.debug("stock_missed", misses=misses, what=str(missed))
            except WokenFailed as failed:
                # It waited for something innocent: only it is put away.
                guilty[failed.arrival.message_id] = _problem(failed.arrival, failed.error)
        raise TransactionConflict(f"stock or capacity was taken by others {STOCK_ATTEMPTS_MAX} times: try again later")


def _must_lock(arrivals: Sequence[Arrival]) -> bool:
    """A count says what there is, not what changed: it must see stock that nobody else is changing."""
    return any(isinstance(arrival.command, CountStock) for arrival in arrivals)


def _guilty(arrival: Arrival, error: Exception) -> Arrival:
    """The one message that our own code cannot process, marked so that it is put away where a person finds it."""
    return msgspec.structs.replace(arrival, problem=_problem(arrival, error))


def _problem(arrival: Arrival, error: Exception) -> Problem:
    # The plain trace of this error alone: a rendering with local variables would log whole customers' orders.
    trace = "".join(traceback.format_exception(error, chain=False))
    log.error("message_quarantined", message_id=str(arrival.message_id), system=arrival.system, trace=trace)
    return Problem(reason="internal_error", explanation=f"{type(error).__name__}: {error}"[:500])
