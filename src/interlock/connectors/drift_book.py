"""Notes drift from contracts: of everything that comes in by a link with a contract, what was checked and what differed.

An observer of the inlet. It gathers in memory and writes once a second, so that no message costs a write; what was not written
when a process dies is lost to the counts, and the messages themselves are all kept.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from interlock.connectors.formats.document import Interchange
from interlock.connectors.inlet import SKIPPED, Origin
from interlock.connectors.translate import Reading, Translator
from interlock.domain.decision import Outcome
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.storage import drift
from interlock.storage.database import Database
from interlock.storage.drift import DriftKey, Example

FLUSH_EVERY_S: Final = 1.0
GATHERED_MAX: Final = 5_000
TEXT_MAX: Final = 300

log = structlog.get_logger(__name__)


class DriftBook:
    """Gathers and writes. Safe to share between threads."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self._db = db
        self._duty = estate.duty("contract_drift")
        self._digests = {name: contract.digest() for name, contract in estate.contracts.items()}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: Counter[tuple[DriftKey, datetime]] = Counter()
        self._examples: dict[DriftKey, Example] = {}
        self._timer: threading.Timer | None = None

    def readings(
        self, translator: Translator, origin: Origin, readings: Sequence[Reading], outcomes: Sequence[Outcome]
    ) -> None:
        """Gather what the contract said of some readings; nothing is written here."""
        if translator.contracted is None:
            return
        slot, at = drift.slot_of(origin.received_at), origin.received_at
        with self._lock:
            for reading, outcome in zip(readings, outcomes, strict=True):
                checked = reading.checked
                if checked is None:
                    continue
                whole = DriftKey(translator.system.id, checked.contract, _text(checked.version), "checked", "")
                self._counts[whole, slot] += 1
                if checked.verdict == "ok":
                    continue
                is_held = checked.verdict == "quarantine"
                self._counts[whole._replace(kind="held" if is_held else "warned"), slot] += 1
                digest = self._digests.get(checked.contract, "")
                message_id = None if outcome.reason == SKIPPED else outcome.message_id
                once = {(each.kind, each.general()): each for each in reversed(checked.drifts)}
                for (kind, path), each in once.items():
                    key = whole._replace(kind=kind, path=_text(path))
                    known = self._examples.get(key)
                    if known is None and len(self._examples) >= GATHERED_MAX:
                        continue
                    self._counts[key, slot] += 1
                    first_at = known.first_at if known is not None else at
                    self._examples[key] = Example(
                        digest, is_held, first_at, at, message_id, _text(each.expected), _text(each.found)
                    )
            if self._counts and self._timer is None:
                self._timer = threading.Timer(FLUSH_EVERY_S, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def interchange(self, translator: Translator, origin: Origin, interchange: Interchange) -> None:
        """Nothing: drift is in documents."""

    def flush(self) -> None:
        """Write what was gathered until now; where that fails it is kept for the next time, as far as it is bounded."""
        with self._writing:
            with self._lock:
                counts, self._counts = self._counts, Counter()
                examples, self._examples = self._examples, {}
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
            if not counts:
                return
            now = datetime.now(UTC)
            try:
                new = self._db.transaction(lambda tx: drift.add_many(tx, counts, examples, now, self._duty))
            except Exception as error:  # whatever it is: messages go on, and the next moment may be better
                log.warning("drift_waits", error=f"{type(error).__name__}: {error}")
                with self._lock:
                    if len(self._counts) + len(counts) <= 4 * GATHERED_MAX:
                        self._counts.update(counts)
                        self._examples = examples | self._examples
                return
        for system, contract in sorted({(key.system, key.contract) for key in new}):
            log.warning("contract_drift", system=system, contract=contract, new=_named(new, system, contract))


def _named(new: list[DriftKey], system: SystemId, contract: str) -> list[str]:
    return [f"{key.kind} {key.path}".strip() for key in new if (key.system, key.contract) == (system, contract)][:20]


def _text(text: str) -> str:
    """Text that can be stored, and is not long."""
    return text[:TEXT_MAX].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
