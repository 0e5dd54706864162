"""Notes what tills count: of every transaction that comes in by a link, its number, whatever became of the transaction.

An observer of the inlet. A transaction is counted when its chunk is committed, so a number that is here has its message here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
import structlog

from interlock.connectors.formats.document import Interchange
from interlock.connectors.inlet import Origin
from interlock.connectors.translate import Reading, Translator
from interlock.domain.decision import Outcome
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.sequences import NUMBER_MAX, Mark
from interlock.domain.values import SystemId, key, part_of
from interlock.storage import pos_marks
from interlock.storage.database import Database
from interlock.storage.pos_marks import Counted

DIGEST_BYTES = 16
YEARS = range(1970, 2200)

log = structlog.get_logger(__name__)


class MarkWriter:
    """Writes the marks of what came in down, a transaction for each part. Safe to share between threads."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self._db = db
        self._estate = estate

    def readings(
        self,
        translator: Translator,
        origin: Origin,
        readings: Sequence[Reading],
        outcomes: Sequence[Outcome],  # noqa: ARG002 - the number came, whatever became of the transaction
    ) -> None:
        """Count the transactions among the readings. Raises DatabaseUnavailable or TransactionConflict."""
        system = translator.system.id
        parts: dict[int, list[Counted]] = {}
        for reading in readings:
            mark = reading.mark
            if mark is None:
                continue
            mark = self._ours(system, mark)
            if mark is None:
                # The message itself is kept; a number that cannot be one proves nothing.
                log.warning("mark_unusable", system=system, origin=origin.name, place=reading.place)
                continue
            digest = blake2b(reading.body, digest_size=DIGEST_BYTES).digest()
            parts.setdefault(part_of(pos_marks.subject_of(system, mark.store)), []).append(Counted(mark, digest))
        for marks in parts.values():
            self._save(system, marks, origin.received_at)

    def interchange(self, translator: Translator, origin: Origin, interchange: Interchange) -> None:
        """Nothing: tills count transactions, not interchanges."""

    def _save(self, system: SystemId, marks: list[Counted], received_at: datetime) -> None:
        now = datetime.now(UTC)
        self._db.transaction(lambda tx: pos_marks.save_many(tx, system, marks, received_at, now))

    def _ours(self, system: SystemId, mark: Mark) -> Mark | None:
        """The mark with our name of the store; None where it could not be stored."""
        store = str(self._estate.node_id(system, mark.store))
        numbers = [each for each in (mark.number, mark.first, mark.last, mark.count) if each is not None]
        try:
            key("store", store)
            if mark.register:
                key("register", mark.register)
        except InvalidValue:
            return None
        if not mark.register and mark.kind != "close" or not all(0 <= each <= NUMBER_MAX for each in numbers):
            return None
        if mark.business_day.year not in YEARS:
            return None
        if mark.at is not None and mark.at.tzinfo is None:
            mark = msgspec.structs.replace(mark, at=None)
        return mark if store == mark.store else msgspec.structs.replace(mark, store=store)
