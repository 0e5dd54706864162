"""The durable local queue: a SQLite file, on the disk before anybody is answered.

    with open_queue(directory, limits) as queue:
        placed = queue.put(item).result()        # its place; returns after the commit
        queue.heads(stream, after, limit)        # what waits of a stream, in order
        queue.done([place]).result()             # the centre has them

One thread writes: what is asked meanwhile is committed together (write-ahead log, synchronous = FULL). A file that is not
whole is put aside, never dropped, and what can be read of it is queued again (`salvage.py`).
"""

from __future__ import annotations

import fcntl
import os
import queue as queues
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from interlock.domain.errors import InvalidValue, StorageError
from interlock.edge.queue_file import INSERT, connect, digest_of
from interlock.edge.salvage import mend
from interlock.edge.settings import Limits

TOGETHER_MAX: Final = 500

HEADS: Final = (
    "select place, stream, key, path, headers, body, queued_at, attempts from items"
    " where stream = ? and state = 'waiting' and place > ? order by place limit ?"
)

log = structlog.get_logger(__name__)

T = Any


class QueueFull(StorageError):
    """There is no room: on the disk, or by the limits of `edge.yaml`. Nothing was queued."""


class QueueBroken(StorageError):
    """The queue's file cannot be written or read: nothing was queued. The process must be started again, which mends it."""


class New(NamedTuple):
    """Something to forward: to which address, under which key, with which headers (JSON)."""

    stream: str
    key: str
    path: str
    headers: str
    body: bytes
    queued_at: str

    @property
    def digest(self) -> bytes:
        """What makes it the same thing again."""
        return digest_of(self.path, self.body)


class Placed(NamedTuple):
    """Where it stands. `standing`: new, same (it waits already), other (its key stands for something else), dead."""

    place: int
    standing: str
    said: str = ""


class Item(NamedTuple):
    """Something that waits."""

    place: int
    stream: str
    key: str
    path: str
    headers: str
    body: bytes
    queued_at: str
    attempts: int


class Queue:
    """What waits for the centre. Safe to share between threads."""

    def __init__(self, path: Path, limits: Limits) -> None:
        """Raises QueueBroken; use `open_queue`."""
        self.path = path
        self.limits = limits
        self.listener: Callable[[str], None] | None = None
        self._asked: queues.SimpleQueue[tuple[Callable[[sqlite3.Connection], T], Future[T]] | None] = (
            queues.SimpleQueue()
        )
        self._reading = threading.Lock()
        self._reader = connect(path)
        self._reader.execute("pragma query_only = on")
        self._writer = connect(path)
        self._writer.execute(f"pragma max_page_count = {max(64, 2 * limits.queue_bytes_max // 4096)}")
        with self._reading:
            (self.items, self.bytes) = self._reader.execute(
                "select count(*), coalesce(sum(bytes), 0) from items where state = 'waiting'"
            ).fetchone()
        self._thread = threading.Thread(target=self._write, name="edge-queue", daemon=True)
        self._thread.start()

    def put(self, new: New) -> Future[Placed]:
        """Queue something; its place once that is on the disk. The future raises QueueFull or QueueBroken."""
        if self.items >= self.limits.queue_items_max or self.bytes + len(new.body) > self.limits.queue_bytes_max:
            return _failed(QueueFull(f"{self.items} items of {self.bytes} bytes wait already (limits of edge.yaml)"))
        with suppress(OSError):
            free = shutil.disk_usage(self.path.parent).free
            if free - len(new.body) < self.limits.free_bytes_min:
                return _failed(QueueFull(f"{free} bytes are free on the disk of {self.path.parent}"))
        future = self._ask(lambda db: self._put(db, new))
        future.add_done_callback(lambda done: self._tell(new.stream, done))
        return future

    def _tell(self, stream: str, done: Future[Placed]) -> None:
        if self.listener is None or done.cancelled() or done.exception() is not None:
            return
        if done.result().standing == "new":
            self.listener(stream)

    def done(self, places: Sequence[int]) -> Future[None]:
        """The centre has these: forget them."""
        return self._ask(lambda db: self._done(db, places))

    def refused(self, place: int, said: str) -> Future[None]:
        """The centre will never take this one: keep it as a dead letter with its words."""
        return self._ask(lambda db: self._refused(db, place, said))

    def tried(self, place: int, said: str) -> Future[None]:
        """An attempt was in vain."""
        return self._ask(
            lambda db: _nothing(
                db.execute("update items set attempts = attempts + 1, said = ? where place = ?", (said, place))
            )
        )

    def noted(self, name: str) -> str:
        """A note, empty where it was never written. Raises QueueBroken."""
        with self._reading:
            try:
                row = self._reader.execute("select text from notes where name = ?", (name,)).fetchone()
            except sqlite3.Error as error:
                raise QueueBroken(f"{self.path}: {error}") from error
        return str(row[0]) if row else ""

    def note(self, name: str, text: str) -> Future[None]:
        """Write a note for those who ask how it stands."""
        sql = "insert into notes values (?, ?) on conflict (name) do update set text = excluded.text"
        return self._ask(lambda db: _nothing(db.execute(sql, (name, text))))

    def heads(self, stream: str, after: int, limit: int, bytes_max: int) -> list[Item]:
        """What waits of a stream behind a place, in order: at least one, if there is one. Raises QueueBroken."""
        found: list[Item] = []
        size = 0
        with self._reading:
            try:
                cursor = self._reader.execute(HEADS, (stream, after, limit))
                for row in cursor:
                    found.append(Item(*row))
                    size += len(found[-1].body)
                    if size >= bytes_max:
                        break
                cursor.close()
                return found
            except sqlite3.Error as error:
                raise QueueBroken(f"{self.path}: {error}") from error

    def streams(self) -> dict[str, int]:
        """How many items of each stream wait. Raises QueueBroken."""
        sql = "select stream, count(*) from items where state = 'waiting' group by stream order by min(place)"
        with self._reading:
            try:
                return dict(self._reader.execute(sql))
            except sqlite3.Error as error:
                raise QueueBroken(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Write what was asked, and end."""
        self._asked.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    # In the writing thread

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        future: Future[T] = Future()
        self._asked.put((work, future))
        return future

    def _write(self) -> None:
        over = False
        while not over:
            asked = [self._asked.get()]
            while len(asked) < TOGETHER_MAX:
                try:
                    asked.append(self._asked.get_nowait())
                except queues.Empty:
                    break
            over = None in asked
            # Whoever has hung up meanwhile is not answered: nothing of his is queued.
            work = [each for each in asked if each is not None and each[1].set_running_or_notify_cancel()]
            if work and not self._commit(work) and len(work) > 1:
                # One of them may be what cannot be done: the others must not suffer for it.
                for each in work:
                    self._commit([each])

    def _commit(self, asked: Sequence[tuple[Callable[[sqlite3.Connection], T], Future[T]]]) -> bool:
        before = self.items, self.bytes
        try:
            self._writer.execute("begin immediate")
            results = [work(self._writer) for work, _ in asked]
            self._writer.execute("commit")
        except Exception as error:
            with suppress(sqlite3.Error):
                self._writer.execute("rollback")
            self.items, self.bytes = before
            if len(asked) == 1:
                asked[0][1].set_exception(_told(self.path, error))
            return False
        for (_, future), result in zip(asked, results, strict=True):
            future.set_result(result)
        return True

    def _put(self, db: sqlite3.Connection, new: New) -> Placed:
        digest = new.digest
        known = db.execute("select place, digest, state, said from items where key = ?", (new.key,)).fetchone()
        if known is not None:
            place, known_digest, state, said = known
            if known_digest != digest:
                return Placed(place, "other")
            return Placed(place, "dead", said) if state == "dead" else Placed(place, "same")
        row = (None, new.stream, new.key, new.path, new.headers, new.body, digest, len(new.body), new.queued_at)
        place = db.execute(INSERT, row).lastrowid
        self.items += 1
        self.bytes += len(new.body)
        assert place is not None
        return Placed(place, "new")

    def _done(self, db: sqlite3.Connection, places: Sequence[int]) -> None:
        for place in places:
            for size, state in db.execute("delete from items where place = ? returning bytes, state", (place,)):
                if state == "waiting":
                    self.items -= 1
                    self.bytes -= size
        if not self.items:
            db.execute("pragma incremental_vacuum(2000)").fetchall()

    def _refused(self, db: sqlite3.Connection, place: int, said: str) -> None:
        sql = (
            "update items set state = 'dead', attempts = attempts + 1, said = ?"
            " where place = ? and state = 'waiting' returning bytes"
        )
        for (size,) in db.execute(sql, (said, place)).fetchall():
            self.items -= 1
            self.bytes -= size

    def recount(self) -> None:
        """Count again what waits: somebody else may have put dead letters back."""

        def count(db: sqlite3.Connection) -> None:
            (self.items, self.bytes) = db.execute(
                "select count(*), coalesce(sum(bytes), 0) from items where state = 'waiting'"
            ).fetchone()

        self._ask(count).result()


@contextmanager
def open_queue(directory: Path, limits: Limits) -> Iterator[Queue]:
    """The queue of a directory, for this process alone. A file that is not whole is put aside first.

    Raises InvalidValue where another process has it, QueueBroken where not even a new file can be made, and OSError.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InvalidValue("directory", str(directory), "a directory that no other edge process uses") from error
        mend(directory / "queue.db")
        try:
            queue = Queue(directory / "queue.db", limits)
        except sqlite3.Error as error:
            raise QueueBroken(f"{directory / 'queue.db'}: {error}") from error
        try:
            yield queue
        finally:
            queue.close()
    finally:
        os.close(descriptor)


def _told(path: Path, error: Exception) -> Exception:
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return QueueFull(f"{path}: {error}")
    if isinstance(error, sqlite3.Error):
        log.error("queue_broken", path=str(path), error=str(error))
        return QueueBroken(f"{path}: {error}")
    return error


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _nothing(_: object) -> None:
    return None
