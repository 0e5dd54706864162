"""What became of a file: counted while it is taken in, then written beside it as `NAME.result.json`."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from interlock.connectors.formats.document import Interchange

NOTES_MAX = 100
State = Literal["done", "partial", "duplicate", "rejected", "failed"]


class EntryResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one file in a zip file; `records` and `rejected` are its own."""

    name: str
    state: Literal["done", "partial", "rejected", "skipped"]
    records: int = 0
    rejected: int = 0
    reason: str | None = None
    explanation: str | None = None


class InterchangeResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An EDI envelope that came to its end, and whether its own counts and numbers agree with it."""

    standard: str
    control: str
    sender: str
    receiver: str
    version: str = ""
    sets: int = 0
    sets_rejected: int = 0
    errors: tuple[str, ...] = ()

    @staticmethod
    def of(found: Interchange) -> InterchangeResult:
        """The short form of an interchange."""
        sets = [each for group in found.groups for each in group.sets]
        return InterchangeResult(
            standard=found.standard,
            control=found.control,
            sender=":".join(part for part in found.sender if part),
            receiver=":".join(part for part in found.receiver if part),
            version=found.version,
            sets=len(sets),
            sets_rejected=sum(not each.accepted for each in sets),
            errors=(*found.errors, *(error for group in found.groups for error in group.errors)),
        )


class FileResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a file; written beside it as `NAME.result.json`.

    `rows` = `rows_rejected` + `rows_taken`; where a mapping reads the file, a row is whatever the format's documents become.
    `outcomes` counts the `records` by outcome, the unreadable ones as quarantined; `skipped` are those that the mapping passes
    over, `notes` what was tolerated (the most frequent), `interchanges` the first thousand. "partial" means that a part could
    not be read: what could was applied.
    """

    file: str
    state: State
    system: str
    sha256: str = ""
    received_at: datetime
    rows: int = 0
    rows_taken: int = 0
    rows_rejected: int = 0
    records: int = 0
    outcomes: dict[str, int] = {}
    rejected: dict[str, int] = {}
    skipped: int = 0
    notes: dict[str, int] = {}
    interchanges: tuple[InterchangeResult, ...] = ()
    entries: tuple[EntryResult, ...] = ()
    duplicate_of: str | None = None
    reason: str | None = None
    explanation: str | None = None
    claim: str = ""


class Arrived(NamedTuple):
    """A file that is taken in: its name as text, the SHA-256 of its bytes in hex, and when we took it."""

    name: str
    sha256: str
    at: datetime


class Counts(msgspec.Struct, kw_only=True):
    """What was counted of a file until now, or of one file in it."""

    rows_taken: int = 0
    rows_rejected: int = 0
    records: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    skipped: int = 0
    notes: Counter[str] = msgspec.field(default_factory=Counter)
    interchanges: list[InterchangeResult] = msgspec.field(default_factory=list)
    ended: str = ""
    """Where reading ended before its time, for people."""

    def add(self, other: Counts) -> None:
        """Add what another part of the file came to."""
        self.rows_taken += other.rows_taken
        self.rows_rejected += other.rows_rejected
        self.records += other.records
        self.outcomes += other.outcomes
        self.rejected += other.rejected
        self.skipped += other.skipped
        self.notes += other.notes
        self.interchanges += other.interchanges
        self.ended = self.ended or other.ended

    def fields(self) -> dict[str, Any]:
        """The same for a FileResult."""
        return {
            "rows": self.rows_taken + self.rows_rejected,
            "rows_taken": self.rows_taken,
            "rows_rejected": self.rows_rejected,
            "records": self.records,
            "outcomes": dict(sorted(self.outcomes.items())),
            "rejected": dict(sorted(self.rejected.items())),
            "skipped": self.skipped,
            "notes": dict(sorted(self.notes.most_common(NOTES_MAX))),
            "interchanges": tuple(self.interchanges),
        }


class RejectsFile:
    """The CSV with what was rejected of a file, gathered under a name that nobody takes for a file until it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._writer: Any = None
        path.unlink(missing_ok=True)  # half of one, by a process that was killed over this file

    def begin(self, columns: Sequence[str], delimiter: str = ",") -> None:
        """Write the header, if nothing was rejected yet."""
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8", errors="replace", newline="")
            self._writer = csv.writer(self._file, delimiter=delimiter)
            self._writer.writerow(columns)

    def write(self, cells: Sequence[object]) -> None:
        """Add a line; `begin` came before."""
        self._writer.writerow(cells)

    def close(self) -> Path | None:
        """The file, whole and on the disk; None where nothing was rejected."""
        if self._file is None:
            return None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._path

    def drop(self) -> None:
        """Forget what was rejected: the file will be read again."""
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)


def told(result: FileResult) -> dict[str, object]:
    """A result for the log, without what says nothing."""
    values: dict[str, object] = msgspec.to_builtins(result)
    return {name: value for name, value in values.items() if value not in (None, [], {}, 0)}


def text_of(name: str) -> str:
    """A file's name as text, whatever bytes it was made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
