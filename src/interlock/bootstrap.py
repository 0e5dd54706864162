"""Settings to a wired app: the only place that knows everything.

Order of choice for the database: a URL, then a given directory of PostgreSQL programs, then the embedded wheel's.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import structlog

from interlock.connectors.deliver import Delivery
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.files import DropFolder, FileResult
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue, StorageError
from interlock.domain.estate import Estate
from interlock.domain.values import part_of
from interlock.engine.door import Door
from interlock.engine.worker import Worker
from interlock.operations.clocks import ClockWatch
from interlock.storage import embedded, messages, outbox, signed
from interlock.storage.database import Database, Transaction, migrate

FOLDER_WAIT_S = 0.5
TROUBLE_WAIT_S = 1.0

log = structlog.get_logger()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is. Paths are resolved against the working directory."""

    estate: Path = Path("estate.yaml")
    database_url: str | None = None
    data_dir: Path = Path("var")
    pg_bin: Path | None = None
    pool_max: int = 12

    @staticmethod
    def of(environment: Mapping[str, str] = os.environ, **given: object) -> Settings:
        """From INTERLOCK_ESTATE, INTERLOCK_DATABASE_URL, INTERLOCK_DATA_DIR and INTERLOCK_PG_BIN; what is given wins."""
        values: dict[str, object] = {}
        for name, kind in _FROM_ENVIRONMENT.items():
            text = environment.get(f"INTERLOCK_{name.upper()}")
            if text:
                values[name] = kind(text)
        values.update({name: value for name, value in given.items() if value is not None})
        return Settings(**values)  # type: ignore[arg-type]  # each is of its field's type by the table above


_FROM_ENVIRONMENT: dict[str, Callable[[str], object]] = {
    "estate": Path,
    "database_url": str,
    "data_dir": Path,
    "pg_bin": Path,
}


@contextmanager
def open_database(settings: Settings, *, migrated: bool = True) -> Iterator[Database]:
    """The database, migrated unless told otherwise; without a URL the embedded server is started or adopted, and left."""
    dsn, server = embedded.resolve(settings.database_url, settings.data_dir, settings.pg_bin)
    try:
        with Database(dsn, pool_max=settings.pool_max) as db:
            if migrated:
                migrate(db)
            yield db
    finally:
        if server is not None:
            server.stop()


class App:
    """An estate on a database, with its engine, its mappings and its services."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self.db = db
        self.estate = estate
        self.door = Door(db, estate)
        self.mapper = Mapper(estate)
        self._signing_parts = {part_of(system.id) for system in estate.systems.values() if system.signature}
        self.folders = [
            DropFolder(system, folder, self.mapper, self.door, db)
            for system in estate.systems.values()
            for folder in system.inbound
        ]

    def folder(self, system_id: str, records: str | None = None) -> DropFolder:
        """The drop folder of a system (for that kind of records). Raises InvalidValue if there is none, or several."""
        found = [
            folder
            for folder in self.folders
            if folder.system.id == system_id and records in (None, folder.folder.records)
        ]
        if len(found) != 1:
            known = sorted({f"{f.system.id} ({f.folder.records})" for f in self.folders})
            raise InvalidValue(
                "system",
                system_id,
                f"a system with one such inbound folder in the estate; folders: {', '.join(known) or 'none'}",
            )
        return found[0]

    @contextmanager
    def services(self, *, workers: int = 1, folders: bool = True, delivery: bool = True) -> Iterator[threading.Event]:
        """Run workers, drop folders and delivery in threads of this process until the block ends; yields the stop signal."""
        stop = threading.Event()
        chores = (self._overdue, self._bad_signatures, ClockWatch(self.estate))
        jobs: list[tuple[str, Callable[[threading.Event], object]]] = [
            (f"worker-{number}", Worker(self.door.batcher, chores=chores).run) for number in range(1, workers + 1)
        ]
        if folders:
            jobs += [
                (f"folder-{drop.system.id}-{drop.folder.records}", partial(self._poll, drop)) for drop in self.folders
            ]
        deliveries = Delivery(self.db, self.estate) if delivery else None
        if deliveries is not None:
            jobs.append(("delivery", deliveries.loop))
        threads = [threading.Thread(target=run, args=(stop,), name=name, daemon=True) for name, run in jobs]
        for thread in threads:
            thread.start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=30)
            if deliveries is not None:
                deliveries.close()

    def _poll(self, drop: DropFolder, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                results = drop.poll(datetime.now(UTC))
            except (StorageError, OSError) as error:
                log.warning("folder_waits", folder=str(drop.path), error=str(error))
                stop.wait(TROUBLE_WAIT_S)
                continue
            for result in results:
                _tell(result)
            stop.wait(FOLDER_WAIT_S)

    def _bad_signatures(self, tx: Transaction, part: int, now: datetime) -> int:
        if part not in self._signing_parts:
            return 0
        return signed.alarm_many(tx, part, now, self.estate.duty("bad_signature"))

    def _overdue(self, tx: Transaction, part: int, now: datetime) -> int:
        return outbox.overdue_many(tx, part, now, self.estate.duty("ack_overdue")) + messages.overdue_parked(
            tx, part, now, self.estate.duty(messages.PARKED_TOO_LONG)
        )


@contextmanager
def open_app(settings: Settings) -> Iterator[App]:
    """Everything wired. Raises EstateInvalid, EmbeddedPostgresFailed, DatabaseUnavailable, and what `migrate` raises."""
    estate = load_estate(settings.estate)
    with open_database(settings) as db:
        yield App(db, estate)


def steady_memory() -> None:
    """Collect garbage seldom: a batch makes many small values, and none of them in circles.

    What was loaded until now is never looked at again. To be called once, when a process that serves or works is wired.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)


def _tell(result: FileResult) -> None:
    log.info("file_taken", **{k: v for k, v in msgspec.to_builtins(result).items() if v not in (None, [], {}, 0)})
