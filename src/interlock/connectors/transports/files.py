"""The drop folder: a system's files come in, whole files only, each once, every record with an outcome.

    FOLDER/sales.csv                     dropped by the system
    FOLDER/.taken/TOKEN~sales.csv        claimed by one of our processes; after a crash another goes on with it
    FOLDER/done/sales.csv                every record has its outcome, with
    FOLDER/done/sales.csv.result.json    the counts, and, if some were rejected,
    FOLDER/done/sales.csv.rejects.csv    each with field, value and what was expected
    FOLDER/rejected/sales.csv            what cannot be read as a whole, with its result; nothing of it was applied

What is in a file, a `RowReader` (plain CSV of ours) or a `DocumentReader` (any format, by a mapping) knows. Nothing here
decides anything: records go to the engine in chunks, and its ledger makes it harmless that they come again after a crash.
Memory is bounded whatever the file's size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

import msgspec
from msgspec.structs import replace

from interlock.connectors.formats.document import FormatUnreadable
from interlock.connectors.formats.tabular import blocks
from interlock.connectors.inlet import Inlet
from interlock.connectors.transports import directory, manifest
from interlock.connectors.transports.directory import Claim
from interlock.connectors.transports.document_intake import REFUSALS_MAX, DocumentReader
from interlock.connectors.transports.file_result import Arrived, Counts, EntryResult, FileResult, RejectsFile, text_of
from interlock.connectors.transports.row_intake import CommandReader, Processor, RowReader
from interlock.connectors.transports.unpack import Bounds, Content, contents, is_packed
from interlock.connectors.transports.whole_files import Patience, Whole, WholeFiles, manifest_names
from interlock.domain.errors import DatabaseUnavailable, TransactionConflict
from interlock.domain.estate import System
from interlock.domain.links import Files
from interlock.storage import files
from interlock.storage.database import Database

__all__ = ["DropFolder", "FileResult"]

DONE: Final = "done"
REJECTED: Final = "rejected"
_LINES: Final = ("csv", "ndjson", "fixed")


class FileReader(Protocol):
    """What a drop folder needs to know of what is in its files."""

    def check(self, content: Content) -> None:
        """What can be known before anything is taken. Raises FormatUnreadable."""

    def rows(self, content: Content) -> int:
        """How many rows of data there are. Raises FormatUnreadable."""

    def take(self, content: Content, arrived: Arrived, rejected: RejectsFile, counts: Counts) -> None:
        """Take it all in, and count it. Raises FormatUnreadable, and what the engine's door raises."""


class DropFolder:
    """One folder where a system drops files of one kind. One thread at a time may poll it."""

    def __init__(
        self,
        system: System,
        folder: Files,
        mapper: CommandReader,
        door: Processor,
        db: Database,
        *,
        inlet: Inlet | None = None,
        path: Path | None = None,
    ) -> None:
        self.system = system
        self.folder = folder
        self.path = path or Path(folder.path)
        self._db = db
        self._documents = DocumentReader(inlet) if inlet is not None else None
        self._reader: FileReader = self._documents or RowReader(system, folder, mapper, door)
        self._whole = WholeFiles(self.path, folder)
        self._patience = Patience()
        self._bounds = Bounds(system.limits.unpacked_bytes_max, system.limits.unpacked_ratio_max)

    def poll(self, now: datetime) -> list[FileResult]:
        """One pass: what an earlier process has left, then every file that is whole. Gives what became of each.

        A file that could not be finished ("failed") stays claimed, and the next pass goes on with it. Raises
        DatabaseUnavailable; the files that were claimed by then are taken up again by the next pass as well.
        """
        for name in (directory.TAKEN, DONE, REJECTED):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        results = [
            self._take(claim, now) for claim in directory.claimed(self.path) if self._patience.is_over(claim, now)
        ]
        for whole in self._whole.look(now):
            claim = directory.claim(self.path, whole.name)
            if claim is not None:
                self._claim_what_belongs(claim, whole)
                results.append(self._take(claim, now))
        return [result for result in results if result is not None]

    def close(self) -> None:
        """Nothing is kept open between two polls."""

    def _claim_what_belongs(self, claim: Claim, whole: Whole) -> None:
        if whole.marker:
            (self.path / whole.marker).unlink(missing_ok=True)
        if whole.manifest:
            directory.rename_if_there(self.path / whole.manifest, _manifest_path(claim))

    def _take(self, claim: Claim, now: datetime) -> FileResult | None:
        try:
            if not directory.is_plain(claim.path):
                wrong = FormatUnreadable("not_a_file", "file", "a link, a pipe or a device", "a file that was sent")
                why = "a link, a pipe or a device is not a file that was sent"
                return self._refused(claim, Arrived(text_of(claim.name), "", now), wrong, why)
            with directory.opened(claim) as file:
                return None if file is None else self._read(claim, file, now)
        except (DatabaseUnavailable, TransactionConflict):
            raise
        except FileNotFoundError:
            return None  # another process has just finished it
        except Exception as error:  # one file that cannot be finished does not hold up the others
            self._patience.failed(claim, now)
            why = f"{type(error).__name__}: {error}; it stays in {directory.TAKEN} and is taken up again"
            return FileResult(
                file=text_of(claim.name),
                state="failed",
                system=self.system.id,
                received_at=now,
                reason="failed",
                explanation=why,
                claim=claim.token,
            )

    def _read(self, claim: Claim, file: BinaryIO, now: datetime) -> FileResult:
        before = os.fstat(file.fileno())
        bytes_max = self.system.limits.file_bytes_max
        if before.st_size > bytes_max:
            expected = f"at most {bytes_max} bytes (limits.file_bytes_max)"
            wrong = FormatUnreadable("file_too_large", "file", f"{before.st_size} bytes", expected)
            return self._refused(claim, Arrived(text_of(claim.name), "", now), wrong)
        sha256, lines = _fingerprint(file)
        arrived = Arrived(text_of(claim.name), sha256, now)
        known = self._db.transaction(lambda tx: files.look(tx, system=self.system.id, sha256=sha256))
        if known is not None and known.finished_at is not None:
            settled = self._settled_before_the_crash(claim)
            if settled is not None:
                return settled
            # Who sends an interchange again has missed our acknowledgment: it is taken once more, which changes nothing,
            # and answered.
            if self.folder.acknowledge == "none":
                return self._duplicate(claim, arrived, before.st_size)
        try:
            found = self._checked(contents(file, self._bounds), None if is_packed(file) else lines, before.st_size)
            self._check_manifest(claim, file, arrived, before.st_size, found)
        except FormatUnreadable as wrong:
            return self._refused(claim, arrived, wrong)
        is_new = self._know(arrived, before.st_size).received_at == now
        rejected = RejectsFile(_rejects_path(claim))
        try:
            result = self._take_in(claim, arrived, found, rejected)
        except BaseException:
            rejected.drop()
            raise
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            rejected.drop()
            raise BlockingIOError("it was still being written while it was read")
        if result.state == "rejected" and is_new:
            self._db.transaction(lambda tx: files.forget(tx, system=self.system.id, sha256=sha256))
        return self._put_away(REJECTED if result.state == "rejected" else DONE, claim, result, rejected.close())

    # What is in it

    def _checked(self, found: list[Content], lines: int | None, size: int) -> list[Content]:
        """Contents of which those that are refused say why. Raises FormatUnreadable where all of them are."""
        checked = []
        for content in found:
            if content.problem is None and not content.skipped:
                try:
                    self._refuse_rows(*(_measured(content.blocks()) if lines is None else (lines, size)))
                    self._reader.check(content)
                except FormatUnreadable as wrong:
                    content = content._replace(problem=wrong)
            checked.append(content)
        problems = [content.problem for content in checked if not content.skipped]
        if all(problems) and problems[0] is not None:
            raise problems[0]
        return checked

    def _refuse_rows(self, lines: int, size: int) -> None:
        form = self.folder.format
        if form is not None and form.kind not in _LINES:
            return
        rows_max = self.system.limits.rows_max
        if form is not None and form.kind == "fixed" and form.record_bytes:
            lines = size // form.record_bytes
        if lines > rows_max + 1:
            expected = f"a header and at most {rows_max} rows (limits.rows_max)"
            raise FormatUnreadable("too_many_rows", "file", f"{lines} lines", expected)

    def _check_manifest(self, claim: Claim, file: BinaryIO, arrived: Arrived, size: int, found: list[Content]) -> None:
        suffix = self.folder.manifest_suffix
        if not suffix:
            return
        # Between the claim of a file and that of its manifest a process may have died.
        places = [_manifest_path(claim), *(self.path / name for name in manifest_names(claim.name, suffix))]
        place = next((path for path in places if path.exists() and directory.is_plain(path)), None)
        if place is None:
            raise FormatUnreadable("no_manifest", "manifest", "", f"a manifest beside the file ({suffix})")
        with place.open("rb") as content:
            said = manifest.read_manifest(content.read(manifest.MANIFEST_BYTES_MAX + 1), claim.name)
        rows = None
        if said.rows is not None:
            taken = [content for content in found if content.problem is None and not content.skipped]
            rows = sum(self._reader.rows(content) for content in taken)
        md5 = _md5(file) if said.md5 else None
        is_so = manifest.Manifest(bytes=size, sha256=arrived.sha256, md5=md5, rows=rows)
        manifest.compare(said, is_so)

    def _take_in(self, claim: Claim, arrived: Arrived, found: list[Content], rejected: RejectsFile) -> FileResult:
        total = Counts()
        entries: list[EntryResult] = []
        problems: list[FormatUnreadable] = []
        unseen: list[tuple[Content, FormatUnreadable]] = []
        for content in found:
            counts = Counts()
            problem = content.problem
            if problem is None and not content.skipped:
                try:
                    self._reader.take(content, arrived, rejected, counts)
                except FormatUnreadable as wrong:
                    problem = wrong
            total.add(counts)
            if problem is not None:
                problems.append(problem)
                if not counts.outcomes:
                    unseen.append((content, problem))
            if content.name:
                entries.append(_entry(content, counts, problem))
        is_applied = bool(total.outcomes) or len(problems) < len(found)
        state: Literal["done", "partial", "rejected"] = "done"
        if problems:
            state = "partial" if is_applied else "rejected"
        if self._documents is not None:
            for content, problem in unseen[:REFUSALS_MAX]:
                self._documents.refuse(content, arrived, problem, known=state == "partial")
        return FileResult(
            file=arrived.name,
            state=state,
            system=self.system.id,
            sha256=arrived.sha256,
            received_at=arrived.at,
            **total.fields(),
            entries=tuple(entries),
            reason=problems[0].reason if problems else None,
            explanation=_why(problems[0], total.ended, len(problems), is_applied) if problems else None,
            claim=claim.token,
        )

    # What became of it

    def _know(self, arrived: Arrived, size_bytes: int) -> files.KnownFile:
        return self._db.transaction(
            lambda tx: files.take(
                tx,
                system=self.system.id,
                sha256=arrived.sha256,
                name=arrived.name,
                records_kind=self.folder.records or self.folder.mapping,
                size_bytes=size_bytes,
                now=arrived.at,
            )
        )

    def _duplicate(self, claim: Claim, arrived: Arrived, size_bytes: int) -> FileResult:
        known = self._know(arrived, size_bytes)
        result = FileResult(
            file=arrived.name,
            state="duplicate",
            system=self.system.id,
            sha256=arrived.sha256,
            received_at=arrived.at,
            duplicate_of=known.name,
            explanation=f"these bytes came at {known.received_at.isoformat()} already: nothing was applied",
            claim=claim.token,
        )
        return self._put_away(DONE, claim, result)

    def refusal(self, name: str, wrong: FormatUnreadable, now: datetime) -> FileResult:
        """The result of a file that was not even brought here; where a mapping reads such files, a person is told."""
        return self._refusal(Arrived(text_of(name), "", now), wrong)

    def _refused(self, claim: Claim, arrived: Arrived, wrong: FormatUnreadable, why: str = "") -> FileResult:
        """Put a file away of which nothing was applied."""
        return self._put_away(REJECTED, claim, replace(self._refusal(arrived, wrong, why), claim=claim.token))

    def _refusal(self, arrived: Arrived, wrong: FormatUnreadable, why: str = "") -> FileResult:
        if self._documents is not None:
            self._documents.refuse(Content("", lambda: iter(())), arrived, wrong, known=False)
        return FileResult(
            file=arrived.name,
            state="rejected",
            system=self.system.id,
            sha256=arrived.sha256,
            received_at=arrived.at,
            reason=wrong.reason,
            explanation=f"{why or wrong}; nothing of the file was applied",
        )

    def _put_away(self, where: str, claim: Claim, result: FileResult, rejects_csv: Path | None = None) -> FileResult:
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
            if result.state in ("done", "partial"):
                self._finish(result)
            self._put_manifest_away(claim, folder, name)
            directory.move(claim.path, folder / name)
        return result

    def _put_manifest_away(self, claim: Claim, folder: Path, name: str) -> None:
        if self.folder.manifest_suffix:
            directory.rename_if_there(_manifest_path(claim), folder / f"{name}{self.folder.manifest_suffix}")

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
                self._put_manifest_away(claim, folder, name)
                directory.move(claim.path, folder / name)
                return result
        return None


def _entry(content: Content, counts: Counts, problem: FormatUnreadable | None) -> EntryResult:
    state: Literal["done", "partial", "rejected", "skipped"] = "skipped" if content.skipped else "done"
    if problem is not None:
        state = "partial" if counts.outcomes else "rejected"
    return EntryResult(
        name=content.name,
        state=state,
        records=counts.records,
        rejected=counts.rows_rejected,
        reason=problem.reason if problem else None,
        explanation=str(problem) if problem else content.skipped or None,
    )


def _why(problem: FormatUnreadable, ended: str, problems: int, is_applied: bool) -> str:
    told = f"{problem}{ended}" + (f" (and {problems - 1} more, see entries)" if problems > 1 else "")
    if not is_applied:
        return f"{told}; nothing of the file was applied"
    return f"{told}; what could be read was taken, the rest is kept as quarantined"


def _rejects_path(claim: Claim) -> Path:
    """Where the rejects of a claimed file are gathered until they are whole."""
    return claim.path.with_name(f"{claim.path.name}.rejects.csv.tmp")


def _manifest_path(claim: Claim) -> Path:
    """Where the manifest of a claimed file waits with it."""
    return claim.path.with_name(f"{claim.path.name}.manifest.tmp")


def _fingerprint(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 of a file, in hex, and how many lines it has at least: the last one counts without an end too."""
    digest = hashlib.sha256()

    def passing() -> Iterator[bytes]:
        file.seek(0)
        for block in blocks(file):
            digest.update(block)
            yield block

    lines, _ = _measured(passing())
    return digest.hexdigest(), lines


def _measured(source: Iterator[bytes]) -> tuple[int, int]:
    """How many lines there are at least, and how many bytes."""
    lines, size, last = 0, 0, b""
    for block in source:
        size += len(block)
        lines += max(block.count(b"\n"), block.count(b"\r"))
        last = block[-1:] or last
    return lines + (last not in b"\r\n"), size


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    file.seek(0)
    for block in blocks(file):
        digest.update(block)
    return digest.hexdigest()
