"""Files that the systems of the house drop: each is claimed, queued whole under the digest of its bytes, and put into `done/`.

A file is claimed by an atomic rename and moved away after it is in the queue, so a crash between the two queues it again
under the same key, which is the same item. The folder is a stream: its files are forwarded in the order of their times.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import structlog

from interlock.connectors.transports import directory
from interlock.domain.errors import StorageError
from interlock.edge.queue import New, Placed, Queue
from interlock.edge.settings import EdgeSettings, Folder, address_of

DONE: Final = "done"
REJECTED: Final = "rejected"
POLL_S: Final = 0.5
TROUBLE_WAIT_S: Final = 5.0
CHUNK_BYTES: Final = 1 << 20

log = structlog.get_logger(__name__)


class FolderWatch:
    """One folder. `run` blocks until told to stop."""

    def __init__(self, folder: Folder, queue: Queue, settings: EdgeSettings) -> None:
        """Raises OSError where the folder cannot be made or read."""
        address = address_of(folder.post, settings.system)
        assert address is not None, "checked with the settings"
        self.path = Path(folder.path)
        self._folder, self._queue, self._settings, self._address = folder, queue, settings, address
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        for name in (directory.TAKEN, DONE, REJECTED):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def run(self, stop: threading.Event) -> None:
        """Queue what comes until told to stop; a queue without room is waited for."""
        wait_s = POLL_S
        while not stop.wait(wait_s):
            try:
                self.poll(time.monotonic())
                wait_s = POLL_S
            except (StorageError, OSError) as error:
                log.warning("folder_waits", folder=str(self.path), error=str(error))
                wait_s = TROUBLE_WAIT_S

    def poll(self, now_s: float) -> list[tuple[str, Placed | None]]:
        """Queue every file that is whole: names, with the places (None: rejected). Raises StorageError and OSError."""
        done = [self._take(claim) for claim in directory.claimed(self.path)]
        entries = directory.candidates(self.path)
        names = {entry.name for entry in entries}
        for name in self._seen.keys() - names:
            del self._seen[name]
        suffix = self._folder.done_suffix
        for entry in entries:
            if not fnmatchcase(entry.name, self._folder.pattern) or (suffix and entry.name.endswith(suffix)):
                continue
            if suffix is None:
                if not self._is_stable(entry.name, now_s):
                    continue
            elif entry.name + suffix not in names:
                continue
            claim = directory.claim(self.path, entry.name)
            if claim is not None:
                if suffix is not None:
                    (self.path / (entry.name + suffix)).unlink(missing_ok=True)
                done.append(self._take(claim))
        return done

    def _is_stable(self, name: str, now_s: float) -> bool:
        try:
            found = (self.path / name).lstat()
        except FileNotFoundError:
            return False
        state = (found.st_size, found.st_mtime_ns)
        known = self._seen.get(name)
        if known is None or known[0] != state:
            self._seen[name] = (state, now_s)
            return self._folder.stable_s <= 0
        return now_s - known[1] >= self._folder.stable_s

    def _take(self, claim: directory.Claim) -> tuple[str, Placed | None]:
        if not directory.is_plain(claim.path):
            return self._reject(claim, "not a plain file")
        limit = self._settings.limits.body_bytes_max
        if claim.path.lstat().st_size > limit:
            return self._reject(claim, f"more than {limit} bytes (limits.body_bytes_max)")
        body = claim.path.read_bytes()
        digest = sha256(self._address.encode() + b"\0" + body).hexdigest()
        headers = {"content-type": self._folder.content_type, "interlock-file": _ascii(claim.name)}
        new = New(
            stream=f"folder {self.path}",
            key=f"file-{digest}",
            path=self._address,
            headers=msgspec.json.encode(headers).decode(),
            body=body,
            queued_at=datetime.now(UTC).isoformat(),
        )
        placed = self._queue.put(new).result()
        if placed.standing == "dead":
            return self._reject(claim, f"the centre has refused these bytes: {placed.said}")
        with directory.locked(self.path):
            directory.move(
                claim.path, self.path / DONE / directory.free_name(self.path / DONE, claim.name, claim.token)
            )
        log.info("file_queued", file=claim.name, place=placed.place, standing=placed.standing, bytes=len(body))
        return claim.name, placed

    def _reject(self, claim: directory.Claim, why: str) -> tuple[str, None]:
        with directory.locked(self.path):
            name = directory.free_name(self.path / REJECTED, claim.name, claim.token)
            directory.move(claim.path, self.path / REJECTED / name)
        directory.write_atomically(self.path / REJECTED / f"{name}.result.json", [msgspec.json.encode({"why": why})])
        log.warning("file_rejected", file=claim.name, why=why)
        return claim.name, None


def _ascii(name: str) -> str:
    """The name as a header may carry it."""
    return "".join(letter if letter.isascii() and letter.isprintable() else "_" for letter in name)[:200]
