"""Files on an SSH server come in: fetched into a folder of ours, taken in there as any dropped file, then moved away over there.

    server: /out/a.edi ─▶ SPOOL/.a....part ─▶ SPOOL/a.edi ─▶ the drop folder's way ─▶ server: /out/done/a.edi

A file is fetched when its marker is there, or when two looks at least `stable_s` apart found it the same. It leaves its place on
the server only after everything in it has its outcome, and only if it is still what was fetched. So a crash at any place costs a
second fetch: the file's hash and the ledger make that harmless. A fetch that was cut goes on where it ended.

    /out/done/        what was taken, with results or rejects as they lie in SPOOL/done/ and SPOOL/rejected/
    /out/rejected/    what was not even fetched: links, devices, files that are too large
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import posixpath
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from msgspec.structs import replace

from interlock.connectors.formats.document import FormatUnreadable
from interlock.connectors.inlet import Inlet
from interlock.connectors.transports import directory, manifest
from interlock.connectors.transports.file_result import FileResult, text_of, told
from interlock.connectors.transports.files import DONE, REJECTED, DropFolder
from interlock.connectors.transports.row_intake import CommandReader, Processor
from interlock.connectors.transports.sftp import Entry, FileChanging, PathRefused, SftpServer, is_name
from interlock.connectors.transports.whole_files import manifest_names
from interlock.domain.errors import PeerError, PeerUnreachable, StorageError
from interlock.domain.estate import System
from interlock.domain.links import SftpIn
from interlock.storage.database import Database

BATCH_FILES_MAX: Final = 100
BATCH_BYTES_MAX: Final = 256 * 1024 * 1024
TROUBLE_S_FIRST: Final = 1.0
TROUBLE_S_MAX: Final = 300.0
_LOCK: Final = ".lock"

log = structlog.get_logger()


class _Remote(NamedTuple):
    """A file on the server that we want or have: with its marker and its manifest, and the claim that took it."""

    entry: Entry
    marker: str = ""
    manifest: str = ""
    claim: str = ""


class SftpFolder:
    """One directory of one server. One thread at a time may poll it; of several processes of a host, one does."""

    def __init__(
        self,
        system: System,
        link: SftpIn,
        mapper: CommandReader,
        door: Processor,
        db: Database,
        spool: Path,
        *,
        inlet: Inlet | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.system, self.folder, self.path = system, link, spool
        self.server = SftpServer(link.server, timeout_s=link.timeout_s, environment=environment)
        self.trouble: PeerUnreachable | None = None
        """What kept the last poll from its end after some files were taken."""
        # What lies in the spool is whole: here it was decided when to fetch it.
        here = replace(link, pattern="*", done_suffix=None, stable_s=0.0)
        self.local = DropFolder(system, here, mapper, door, db, inlet=inlet, path=spool)
        self._seen: dict[str, tuple[Entry, datetime]] = {}
        self._in_hand: dict[str, _Remote] = {}
        self._taken: list[_Remote] = []
        self._told: set[Entry] = set()
        self._withheld: PathRefused | None = None

    def poll(self, now: datetime) -> list[FileResult]:
        """One pass: what was fetched earlier, then every file that is whole. Gives what became of each.

        Raises PeerUnreachable where the server lets us do nothing, DatabaseUnavailable, and OSError where our own disk is
        full; files that were fetched by then are taken up again by the next pass.
        """
        self.trouble = self._withheld = None
        self.path.mkdir(parents=True, exist_ok=True)
        results: list[FileResult] = []
        with _alone(self.path) as mine:
            if not mine:
                return results
            try:
                self._pass(now, results)
            except PeerUnreachable as error:
                if not results:
                    raise
                self.trouble = error
        return results

    def run(self, stop: threading.Event) -> None:
        """Poll `every_s` until the event is set; trouble is told, and waited for with growing pauses."""
        trouble_s = TROUBLE_S_FIRST
        names = {"system": self.system.id, "server": self.server.name, "path": self.folder.path}
        try:
            while not stop.is_set():
                error: Exception | None = None
                try:
                    for result in self.poll(datetime.now(UTC)):
                        log.info("file_taken", **told(result))
                    error = self.trouble
                except (PeerError, StorageError, OSError) as raised:
                    error = raised
                except Exception:  # one server that does something unheard of ends no thread
                    log.exception("sftp_failed", **names)
                if error is not None and error is self._withheld:
                    log.warning("sftp_file_withheld", **names, error=str(error))
                elif error is not None:
                    log.warning("sftp_waits", **names, error=str(error), pause_s=trouble_s)
                    stop.wait(trouble_s)
                    trouble_s = min(TROUBLE_S_MAX, trouble_s * 2)
                    continue
                trouble_s = TROUBLE_S_FIRST
                # What is waited for to be still is looked at again as soon as it may be.
                stop.wait(
                    min(self.folder.every_s, max(0.1, self.folder.stable_s)) if self._seen else self.folder.every_s
                )
        finally:
            self.close()

    def close(self) -> None:
        """End the connection."""
        self.server.close()

    def _pass(self, now: datetime, results: list[FileResult]) -> None:
        self._take_what_is_here(now, results)
        self._finish()
        entries = {entry.name: entry for entry in self.server.look(self.folder.path)}
        batch: list[_Remote] = []
        size = 0
        for remote in self._wanted(entries, now, results):
            batch.append(remote)
            size += remote.entry.size
            if len(batch) >= BATCH_FILES_MAX or size >= BATCH_BYTES_MAX:
                self._fetch(batch, now, results)
                batch, size = [], 0
        self._fetch(batch, now, results)
        self._forget_parts(entries)
        if self._withheld is not None:
            raise self._withheld

    # Which files

    def _wanted(self, entries: dict[str, Entry], now: datetime, results: list[FileResult]) -> Iterator[_Remote]:
        """Files that are whole; those that nobody may fetch are put aside."""
        before, self._seen = self._seen, {}
        busy = {remote.entry.name for remote in (*self._in_hand.values(), *self._taken)}
        for name, entry in entries.items():
            if (
                entry.kind == "directory"
                or not self.folder.wants(name)
                or directory.is_in_transfer(name)
                or name in busy
            ):
                continue
            if wrong := self._refusal(entry):
                self._refuse(entry, wrong, now, results)
                continue
            remote = self._with_marker(entry, entries)
            if remote is None:
                continue
            beside = [entries[each] for each in (name, remote.manifest) if each]
            if remote.marker or all([self._is_still(each, before, now) for each in beside]):
                for each in beside:
                    self._seen.pop(each.name, None)
                yield remote

    def _refusal(self, entry: Entry) -> FormatUnreadable | None:
        if not is_name(entry.name) or entry.name in (DONE, REJECTED):
            return FormatUnreadable("unsafe_name", "name", text_of(entry.name), "a name that leads nowhere else")
        if entry.kind != "file":
            return FormatUnreadable("not_a_file", "file", "a link, a pipe or a device", "a file that was sent")
        bytes_max = self.system.limits.file_bytes_max
        if entry.size > bytes_max:
            expected = f"at most {bytes_max} bytes (limits.file_bytes_max)"
            return FormatUnreadable("file_too_large", "file", f"{entry.size} bytes", expected)
        return None

    def _with_marker(self, entry: Entry, entries: dict[str, Entry]) -> _Remote | None:
        """The file with what must lie beside it; None where that is not there yet."""
        marker, found = "", ""
        if self.folder.done_suffix:
            marker = entry.name + self.folder.done_suffix
            if marker not in entries:
                return None
        if self.folder.manifest_suffix:
            names = manifest_names(entry.name, self.folder.manifest_suffix)
            found = next((name for name in names if name in entries and entries[name].kind == "file"), "")
            if not found:
                return None
        return _Remote(entry, marker, found)

    def _is_still(self, entry: Entry, before: dict[str, tuple[Entry, datetime]], now: datetime) -> bool:
        """Whether an earlier look, long enough ago, found the same. The server's clock is not asked: it may be any."""
        seen, since = before.get(entry.name, (None, now))
        if seen != entry:
            since = now
        self._seen[entry.name] = (entry, since)
        return seen == entry and (now - since).total_seconds() >= self.folder.stable_s

    # Fetching and taking

    def _fetch(self, batch: list[_Remote], now: datetime, results: list[FileResult]) -> None:
        if not batch:
            return
        try:
            for remote in batch:
                try:
                    self._fetch_one(remote)
                except FileChanging:
                    continue  # its sender still writes it: the next look tells
                except PathRefused as error:
                    self._withheld = self._withheld or error  # it holds up no other
        finally:
            # Those that came before the trouble need not wait for its end.
            self._take_what_is_here(now, results)
        self._finish()

    def _fetch_one(self, remote: _Remote) -> None:
        entry = remote.entry
        key = _key(entry.name)
        if key in self._in_hand:
            return
        if remote.manifest:
            said = self.server.read(self._path(remote.manifest), manifest.MANIFEST_BYTES_MAX + 1)
            directory.write_atomically(self.path / f"{entry.name}{self.folder.manifest_suffix}", [said])
        part = self.path / _part(entry)
        try:
            self.server.fetch(self._path(entry.name), part, entry)
        except FileChanging:
            part.unlink(missing_ok=True)
            raise
        self._in_hand[key] = remote
        directory.move(part, self.path / entry.name)

    def _take_what_is_here(self, now: datetime, results: list[FileResult]) -> None:
        for result in self.local.poll(now):
            results.append(result)
            if result.state == "failed":
                continue
            remote = self._in_hand.pop(result.file, None)
            if remote is not None:
                self._taken.append(remote._replace(claim=result.claim))

    def _finish(self) -> None:
        """Let go of what was taken, over there: each file only if it is still the one that was fetched."""
        while self._taken:
            remote = self._taken[0]
            if self.server.is_still(self._path(remote.entry.name), remote.entry):
                if remote.marker:
                    self.server.delete(self._path(remote.marker))
                for name in (remote.manifest, remote.entry.name):
                    if name:
                        self._let_go(name, remote.claim)
            self._taken.pop(0)

    def _let_go(self, name: str, claim: str) -> None:
        if self.folder.after == "delete":
            self.server.delete(self._path(name))
        else:
            other = directory.name_with_token(name, claim)
            self.server.move(self._path(name), self._path(DONE), name, other)

    def _refuse(self, entry: Entry, wrong: FormatUnreadable, now: datetime, results: list[FileResult]) -> None:
        """Put aside, over there, what is not fetched; where that cannot be done, it is told once."""
        if entry in self._told:
            return
        self._told.add(entry)
        results.append(self.local.refusal(entry.name, wrong, now))
        if is_name(entry.name):
            other = directory.name_with_token(entry.name, _part(entry)[1:9])
            with contextlib.suppress(PeerUnreachable):
                self.server.move(self._path(entry.name), self._path(REJECTED), entry.name, other)

    def _forget_parts(self, entries: dict[str, Entry]) -> None:
        """Remove beginnings of files that are not there any more."""
        parts = {_part(entry) for entry in entries.values()}
        for path in self.path.glob(".*.part"):
            if path.name not in parts:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> str:
        return posixpath.join(self.folder.path, name)


@contextlib.contextmanager
def _alone(spool: Path) -> Iterator[bool]:
    """Whether no other process of this host is at this link."""
    descriptor = os.open(spool / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _key(name: str) -> str:
    """What the result of a file of that name is called."""
    return text_of(directory.short(name))


def _part(entry: Entry) -> str:
    """The hidden name of what was fetched of a file until now: another one for another content."""
    identity = f"{entry.size} {entry.changed_at} ".encode() + os.fsencode(entry.name)
    return f".{hashlib.sha256(identity).hexdigest()[:16]}.part"
