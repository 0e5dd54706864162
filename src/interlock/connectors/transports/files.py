"""The drop folder: a system's CSV files come in, whole files only, each once, every row with an outcome.

    FOLDER/sales.csv                     dropped by the system
    FOLDER/.taken/TOKEN~sales.csv        claimed by one of our processes; after a crash another goes on with it
    FOLDER/done/sales.csv                every row has its outcome, with
    FOLDER/done/sales.csv.result.json    the counts, and, if rows were rejected,
    FOLDER/done/sales.csv.rejects.csv    each with field, value and what was expected
    FOLDER/rejected/sales.csv            what cannot be read as a whole, with its result; nothing of it was applied

Nothing here decides anything: records go through the mapping to the engine, in chunks, and its ledger makes it harmless
that rows come again after a crash. Memory is bounded whatever the file's size.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol

import msgspec

from interlock.connectors.formats.tabular import Table, TableUnreadable, blocks
from interlock.connectors.mapping import MappingFailed
from interlock.connectors.receive import new_message_id
from interlock.connectors.records import Columns, Record, Reject, read_records, rejects
from interlock.connectors.transports import directory
from interlock.connectors.transports.directory import Claim
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import Arrival, Outcome, Problem
from interlock.domain.errors import DatabaseUnavailable, TransactionConflict
from interlock.domain.estate import FolderIn, System
from interlock.storage import files
from interlock.storage.database import Database

# The engine splits what it is given over 64 parts, a transaction each: many at once make few, full transactions.
ARRIVALS_MAX: Final = 8_000
ARRIVAL_BYTES_MAX: Final = 4 * 1024 * 1024
REJECT_COLUMNS: Final = ("row", "field", "value", "expected", "reason")
DONE: Final = "done"
REJECTED: Final = "rejected"
SIGHTINGS_MAX: Final = 100_000


class CommandReader(Protocol):
    """What the drop folder needs of the mapping."""

    def command(
        self, system: System, action: str | None, record: Mapping[str, object], *, local_times: bool = False
    ) -> AnyCommand:
        """The command that a record asks for; raises MappingFailed."""


class Processor(Protocol):
    """What the drop folder needs of the engine's door."""

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep, decide and commit; one outcome for each arrival, in order."""


class FileResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a file; written beside it as `NAME.result.json`.

    `rows` = `rows_rejected` + `rows_taken`. `outcomes` counts the `records` by outcome, the unreadable ones as quarantined.
    """

    file: str
    state: Literal["done", "duplicate", "rejected", "failed"]
    system: str
    sha256: str = ""
    received_at: datetime
    rows: int = 0
    rows_taken: int = 0
    rows_rejected: int = 0
    records: int = 0
    outcomes: dict[str, int] = {}
    rejected: dict[str, int] = {}
    duplicate_of: str | None = None
    reason: str | None = None
    explanation: str | None = None
    claim: str = ""


class DropFolder:
    """One folder where a system drops files of one kind of record. One thread at a time may poll it."""

    def __init__(self, system: System, folder: FolderIn, mapper: CommandReader, door: Processor, db: Database) -> None:
        self.system = system
        self.folder = folder
        self.path = Path(folder.path)
        self._mapper = mapper
        self._door = door
        self._db = db
        self._seen: dict[str, tuple[int, int, datetime]] = {}
        """Of each file that we wait for: size, time of change, and since when both are the same."""

    def poll(self, now: datetime) -> list[FileResult]:
        """One pass: what an earlier process has left, then every file that is whole. Gives what became of each.

        A file that could not be finished ("failed") stays claimed, and the next pass goes on with it. Raises
        DatabaseUnavailable; the files that were claimed by then are taken up again by the next pass as well.
        """
        for name in (directory.TAKEN, DONE, REJECTED):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        results = [self._take(claim, now) for claim in directory.claimed(self.path)]
        for name in self._whole_files(now):
            claim = directory.claim(self.path, name)
            if claim is not None:
                self._seen.pop(name, None)
                if self.folder.done_suffix:
                    (self.path / (name + self.folder.done_suffix)).unlink(missing_ok=True)
                results.append(self._take(claim, now))
        return [result for result in results if result is not None]

    def _whole_files(self, now: datetime) -> list[str]:
        entries = directory.candidates(self.path)
        names = {entry.name for entry in entries}
        waiting: dict[str, tuple[int, int, datetime]] = {}
        whole = []
        suffix = self.folder.done_suffix
        for entry in entries:
            if not fnmatchcase(entry.name, self.folder.pattern) or (suffix and entry.name.endswith(suffix)):
                continue
            if suffix:
                if entry.name + suffix in names:
                    whole.append(entry.name)
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            before = self._seen.get(entry.name)
            changed_at = datetime.fromtimestamp(found.st_mtime_ns / 1e9, UTC)
            if before is None:
                # As old as it says; if the clock that says so is ahead of ours, as old as our sight of it.
                since = min(changed_at, now)
            else:
                is_same = before[:2] == (found.st_size, found.st_mtime_ns)
                since = before[2] if is_same else now
            if (now - since).total_seconds() >= self.folder.stable_s:
                whole.append(entry.name)
            elif len(waiting) < SIGHTINGS_MAX:
                waiting[entry.name] = (found.st_size, found.st_mtime_ns, since)
        self._seen = waiting
        return whole

    def _take(self, claim: Claim, now: datetime) -> FileResult | None:
        try:
            if not directory.is_plain(claim.path):
                why = "a link, a pipe or a device is not a file that was sent"
                return self._put_away(REJECTED, claim, self._refusal(claim, now, "not_a_file", why))
            with directory.opened(claim) as file:
                return None if file is None else self._read(claim, file, now)
        except (DatabaseUnavailable, TransactionConflict):
            raise
        except FileNotFoundError:
            return None  # another process has just finished it
        except Exception as error:  # one file that cannot be finished does not hold up the others
            why = f"{type(error).__name__}: {error}; it stays in {directory.TAKEN} and is taken up again"
            return FileResult(
                file=_text(claim.name),
                state="failed",
                system=self.system.id,
                received_at=now,
                reason="failed",
                explanation=why,
                claim=claim.token,
            )

    def _read(self, claim: Claim, file: BinaryIO, now: datetime) -> FileResult:
        before = os.fstat(file.fileno())
        sha256, lines = _fingerprint(file)
        known = self._db.transaction(lambda tx: files.look(tx, system=self.system.id, sha256=sha256))
        if known is not None and known.finished_at is not None:
            settled = self._settled_before_the_crash(claim)
            return settled or self._duplicate(claim, sha256, before.st_size, now)
        file.seek(0)
        try:
            rows_max = self.system.limits.rows_max
            if lines > rows_max + 1:
                raise TableUnreadable(
                    "too_many_rows", "file", f"{lines} lines", f"a header and at most {rows_max} rows (limits.rows_max)"
                )
            table = Table(blocks(file), encoding=self.folder.encoding, delimiter=self.folder.delimiter)
            columns = Columns(table.columns, self.system, self.folder)
        except TableUnreadable as error:
            return self._put_away(REJECTED, claim, self._refusal(claim, now, error.reason, str(error), sha256))
        self._know(claim, sha256, before.st_size, now)
        intake = _Intake(self, claim, sha256, table, columns, now)
        result = intake.run()
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            intake.drop()
            raise BlockingIOError("it was still being written while it was read")
        return self._put_away(DONE, claim, result, rejects_csv=intake.close())

    def _know(self, claim: Claim, sha256: str, size_bytes: int, now: datetime) -> files.KnownFile:
        return self._db.transaction(
            lambda tx: files.take(
                tx,
                system=self.system.id,
                sha256=sha256,
                name=_text(claim.name),
                records_kind=self.folder.records,
                size_bytes=size_bytes,
                now=now,
            )
        )

    def _duplicate(self, claim: Claim, sha256: str, size_bytes: int, now: datetime) -> FileResult:
        known = self._know(claim, sha256, size_bytes, now)
        result = FileResult(
            file=_text(claim.name),
            state="duplicate",
            system=self.system.id,
            sha256=sha256,
            received_at=now,
            duplicate_of=known.name,
            explanation=f"these bytes came at {known.received_at.isoformat()} already: nothing was applied",
            claim=claim.token,
        )
        return self._put_away(DONE, claim, result)

    def _refusal(self, claim: Claim, now: datetime, reason: str, why: str, sha256: str = "") -> FileResult:
        return FileResult(
            file=_text(claim.name),
            state="rejected",
            system=self.system.id,
            sha256=sha256,
            received_at=now,
            reason=reason,
            explanation=f"{why}; nothing of the file was applied",
            claim=claim.token,
        )

    def _put_away(self, where: str, claim: Claim, result: FileResult, *, rejects_csv: Path | None = None) -> FileResult:
        """Write the result, note that the file is finished, and only then let go of it: each step may be the last."""
        folder = self.path / where
        with directory.locked(folder):
            name = self._name_in(folder, claim)
            if rejects_csv is not None:
                directory.move(rejects_csv, folder / f"{name}.rejects.csv")
            else:
                _rejects_path(claim).unlink(missing_ok=True)  # half of one, by a process that was killed over this file
            encoded = msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n"
            directory.write_atomically(folder / f"{name}.result.json", [encoded])
            if result.state == "done":
                self._finish(result)
            directory.move(claim.path, folder / name)
        return result

    def _finish(self, result: FileResult) -> bool:
        return self._db.transaction(
            lambda tx: files.finish(
                tx,
                system=self.system.id,
                sha256=result.sha256,
                rows=result.rows,
                rows_rejected=result.rows_rejected,
                records=result.records,
                now=result.received_at,
            )
        )

    def _name_in(self, folder: Path, claim: Claim) -> str:
        """The name it gets there: its own, or one with the token where that is another file's."""
        if self._own_result(folder, claim, claim.name) is not None:
            return claim.name
        return directory.free_name(folder, claim.name, claim.token)

    def _own_result(self, folder: Path, claim: Claim, name: str) -> FileResult | None:
        """The result that was written for this very claim before a crash."""
        try:
            result = msgspec.json.decode((folder / f"{name}.result.json").read_bytes(), type=FileResult)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        return result if result.claim == claim.token else None

    def _settled_before_the_crash(self, claim: Claim) -> FileResult | None:
        """The result of a file that is finished but for the last rename, which is made up for."""
        folder = self.path / DONE
        for name in (claim.name, directory.name_with_token(claim.name, claim.token)):
            result = self._own_result(folder, claim, name)
            if result is not None:
                directory.move(claim.path, folder / name)
                return result
        return None


class _Intake:
    """One file on its way: records to arrivals, arrivals to the door, what is rejected to its file, all counted."""

    def __init__(
        self, home: DropFolder, claim: Claim, sha256: str, table: Table, columns: Columns, now: datetime
    ) -> None:
        self._home, self._claim, self._sha256, self._now = home, claim, sha256, now
        self._table, self._columns = table, columns
        self._waiting: list[Arrival] = []
        self._waiting_bytes = 0
        self._outcomes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._taken = self._rejected = self._records = 0
        self._rejects_path = _rejects_path(claim)
        self._rejects_file: Any = None
        self._rejects_writer: Any = None

    def run(self) -> FileResult:
        """Take in the whole file."""
        self._rejects_path.unlink(missing_ok=True)
        try:
            for item in read_records(self._table, self._home.system, self._home.folder):
                if isinstance(item, Reject):
                    self._reject([item])
                else:
                    self._arrive(item)
                    if len(self._waiting) >= ARRIVALS_MAX or self._waiting_bytes >= ARRIVAL_BYTES_MAX:
                        self._process()
            self._process()
        except BaseException:
            self.drop()
            raise
        return FileResult(
            file=_text(self._claim.name),
            state="done",
            system=self._home.system.id,
            sha256=self._sha256,
            received_at=self._now,
            rows=self._taken + self._rejected,
            rows_taken=self._taken,
            rows_rejected=self._rejected,
            records=self._records,
            outcomes=dict(sorted(self._outcomes.items())),
            rejected=dict(sorted(self._reasons.items())),
            claim=self._claim.token,
        )

    def close(self) -> Path | None:
        """The file of what was rejected, whole and on the disk; None where nothing was."""
        if self._rejects_file is None:
            return None
        self._rejects_file.flush()
        os.fsync(self._rejects_file.fileno())
        self._rejects_file.close()
        return self._rejects_path

    def drop(self) -> None:
        """Forget what was rejected: the file will be read again."""
        if self._rejects_file is not None:
            self._rejects_file.close()
        self._rejects_path.unlink(missing_ok=True)

    def _arrive(self, record: Record) -> None:
        self._records += 1
        command, problem = None, record.problem
        if problem is None:
            try:
                command = self._home._mapper.command(self._home.system, record.action, record.fields, local_times=True)
            except MappingFailed as failed:
                problem = failed.problem
        if problem is None:
            self._taken += len(record.rows) - record.refused
        elif record.sources or not record.refused:
            self._reject(rejects(record, problem, self._columns))
        arrival = self._arrival(record, command, problem)
        self._waiting.append(arrival)
        self._waiting_bytes += len(arrival.body)

    def _arrival(self, record: Record, command: AnyCommand | None, problem: Problem | None) -> Arrival:
        return Arrival(
            message_id=new_message_id(),
            system=self._home.system.id,
            received_at=self._now,
            body=record.body,
            content_type=f"text/csv; charset={self._table.encoding}; header=absent",
            command=command,
            problem=problem,
            file=self._sha256,
            record=record.place,
        )

    def _process(self) -> None:
        if self._waiting:
            self._outcomes.update(outcome.outcome for outcome in self._home._door.process(self._waiting))
            self._waiting, self._waiting_bytes = [], 0

    def _reject(self, found: list[Reject]) -> None:
        """Write rows to the file of rejects; a row with several mistakes has several lines there and counts once."""
        if self._rejects_writer is None:
            self._rejects_file = self._rejects_path.open("w", encoding="utf-8", errors="replace", newline="")
            self._rejects_writer = csv.writer(self._rejects_file, delimiter=self._table.delimiter)
            self._rejects_writer.writerow((*REJECT_COLUMNS, *self._table.columns))
        first_reasons = {reject.line: reject.reason for reject in reversed(found)}
        self._rejected += len(first_reasons)
        self._reasons.update(first_reasons.values())
        for line, field, value, expected, reason, cells in found:
            self._rejects_writer.writerow((line, field, value, expected, reason, *cells))


def _rejects_path(claim: Claim) -> Path:
    """Where the rejects of a claimed file are gathered until they are whole."""
    return claim.path.with_name(f"{claim.path.name}.rejects.csv.tmp")


def _fingerprint(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 of a file, in hex, and how many lines it has at least: the last one counts without an end too."""
    digest, lines, last = hashlib.sha256(), 0, b""
    for block in _all(file):
        digest.update(block)
        lines += max(block.count(b"\n"), block.count(b"\r"))
        last = block[-1:] or last
    return digest.hexdigest(), lines + (last not in b"\r\n")


def _all(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    yield from blocks(file)


def _text(name: str) -> str:
    """A file's name as text, whatever bytes it was made of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
