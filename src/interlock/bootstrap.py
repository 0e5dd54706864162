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
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from interlock.connectors.acknowledge import InterchangeBook
from interlock.connectors.deliver import Delivery
from interlock.connectors.drift_book import DriftBook
from interlock.connectors.inlet import Observer
from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.pos import MarkWriter
from interlock.connectors.publish import Publication
from interlock.connectors.transports.file_result import told
from interlock.connectors.transports.files import DropFolder
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import EstateInvalid, InvalidValue, StorageError
from interlock.domain.estate import Estate, System
from interlock.domain.links import ApiIn, BrokerIn, Files, LinkIn, SftpIn, TableIn
from interlock.domain.values import part_of
from interlock.engine.door import Door
from interlock.engine.worker import Worker
from interlock.operations.clocks import ClockWatch
from interlock.operations.drift import DriftWatch
from interlock.operations.pos import PosWatch
from interlock.storage import embedded, history, interchanges, messages, outbox, signed
from interlock.storage.database import Database, Transaction, migrate

if TYPE_CHECKING:
    from interlock.connectors.transports.sftp_in import SftpFolder
    from interlock.replay.reprocess import Reprocess

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


_SOURCES: dict[type, tuple[str, str, str]] = {
    BrokerIn: ("broker", "broker_in", "BrokerSource"),
    ApiIn: ("api", "api_poll", "ApiSource"),
    TableIn: ("table", "table_poll", "TableSource"),
}


class App:
    """An estate on a database, with its engine, its mappings and its services."""

    def __init__(self, db: Database, estate: Estate, data_dir: Path = Path("var")) -> None:
        self.db = db
        self.estate = estate
        self.data_dir = data_dir
        self.door = Door(db, estate)
        self.mapper = Mapper(estate)
        self.book = InterchangeBook(db, estate)
        self.marks = MarkWriter(db, estate)
        self.drift = DriftBook(db, estate)
        self.links = Links(estate, self.mapper, self.door, self._observers)
        self._signing_parts = {part_of(system.id) for system in estate.systems.values() if system.signature}

    def _observers(self, system: System, link: LinkIn) -> tuple[Observer, ...]:
        """Who is told what comes in by a link, after it is committed: the one place where they are named."""
        return (*self.book.observers(system, link), self.marks, *((self.drift,) if link.contract else ()))

    @cached_property
    def folders(self) -> list[DropFolder | SftpFolder]:
        """Every link by which files come, in the order of the estate. Raises EstateInvalid where mappings are wrong."""
        self._refuse_mistakes()
        found: list[DropFolder | SftpFolder] = []
        for system in self.estate.systems.values():
            for place, link in enumerate(system.inbound):
                if not isinstance(link, Files):
                    continue
                inlet = self.links.inlet(system, link) if link.mapping else None
                if isinstance(link, SftpIn):
                    from interlock.connectors.transports.sftp_in import SftpFolder  # only who needs SSH loads it

                    spool = self.data_dir / "sftp" / system.id / (link.name or f"_{place}")
                    found.append(SftpFolder(system, link, self.mapper, self.door, self.db, spool, inlet=inlet))
                else:
                    found.append(DropFolder(system, link, self.mapper, self.door, self.db, inlet=inlet))
        return found

    def folder(self, system_id: str, which: str | None = None) -> DropFolder | SftpFolder:
        """The link by which a system's files come: its only one, or the one of that name, kind of records or mapping.

        Raises InvalidValue if there is none, or several.
        """
        found = [
            folder
            for folder in self.folders
            if folder.system.id == system_id and (which is None or which in _names(folder.folder))
        ]
        if len(found) != 1:
            known = sorted({f"{f.system.id} ({_names(f.folder)[0]})" for f in self.folders})
            raise InvalidValue(
                "system",
                system_id,
                f"a system with one such inbound folder in the estate; folders: {', '.join(known) or 'none'}",
            )
        return found[0]

    def reprocess(self) -> Reprocess:
        """The way of what was put away, once its cause is mended. Raises EstateInvalid where mappings are wrong."""
        from interlock.replay.reprocess import Reprocess  # reads every way in: only who asks for it loads it
        from interlock.replay.reread import Rereader

        self._refuse_mistakes()
        files = self.db.transaction(history.files)
        return Reprocess(self.db, Rereader(self.estate, files), self.door, self._observers)

    @contextmanager
    def services(self, *, workers: int = 1, folders: bool = True, delivery: bool = True) -> Iterator[threading.Event]:
        """Run workers, what comes in (`folders`: also brokers, APIs and tables) and delivery in threads of this process until
        the block ends; yields the stop signal.
        """
        stop = threading.Event()
        watches = (ClockWatch(self.estate), PosWatch(self.estate), DriftWatch(self.estate))
        chores = (self._overdue, self._bad_signatures, *watches)
        jobs: list[tuple[str, Callable[[threading.Event], object]]] = [
            (f"worker-{number}", Worker(self.door.batcher, chores=chores).run) for number in range(1, workers + 1)
        ]
        if folders:
            for drop in self.folders:
                name = f"folder-{drop.system.id}-{_names(drop.folder)[0]}"
                jobs.append((name, partial(self._poll, drop) if isinstance(drop, DropFolder) else drop.run))
            jobs += self._sources()
        deliveries = Delivery(self.db, self.estate) if delivery else None
        if deliveries is not None:
            jobs.append(("delivery", deliveries.loop))
        publication = Publication(self.db, self.estate) if delivery and self.estate.subscriptions else None
        if publication is not None:
            jobs.append(("publication", publication.loop))
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
            if publication is not None:
                publication.close()

    def _sources(self) -> list[tuple[str, Callable[[threading.Event], object]]]:
        """What reads brokers, asks APIs and looks into tables, each in a thread of its own."""
        jobs: list[tuple[str, Callable[[threading.Event], object]]] = []
        for system, link in self.links.mapped():
            found = _SOURCES.get(type(link))
            if found is None:
                continue  # files and webhooks come by themselves
            # Imported when the estate has such a link: five brokers' clients and SQLAlchemy take a second.
            kind, module, name = found
            source = getattr(import_module(f"interlock.connectors.transports.{module}"), name)
            job = f"{kind}-{system.id}-{link.name or link.mapping}"
            jobs.append((job, source(self.links.inlet(system, link), link, self.db).run))
        return jobs

    def _refuse_mistakes(self) -> None:
        mistakes = self.links.mistakes()
        if mistakes:
            raise EstateInvalid(mistakes)

    def _poll(self, drop: DropFolder, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                results = drop.poll(datetime.now(UTC))
            except (StorageError, OSError) as error:
                log.warning("folder_waits", folder=str(drop.path), error=str(error))
                stop.wait(TROUBLE_WAIT_S)
                continue
            for result in results:
                log.info("file_taken", **told(result))
            stop.wait(FOLDER_WAIT_S)

    def _bad_signatures(self, tx: Transaction, part: int, now: datetime) -> int:
        if part not in self._signing_parts:
            return 0
        return signed.alarm_many(tx, part, now, self.estate.duty("bad_signature"))

    def _overdue(self, tx: Transaction, part: int, now: datetime) -> int:
        return (
            outbox.overdue_many(tx, part, now, self.estate.duty("ack_overdue"))
            + interchanges.overdue_many(tx, part, now, self.estate.duty("functional_ack_overdue"))
            + messages.overdue_parked(tx, part, now, self.estate.duty(messages.PARKED_TOO_LONG))
        )


@contextmanager
def open_app(settings: Settings) -> Iterator[App]:
    """Everything wired. Raises EstateInvalid, EmbeddedPostgresFailed, DatabaseUnavailable, and what `migrate` raises."""
    estate = load_estate(settings.estate)
    with open_database(settings) as db:
        app = App(db, estate, settings.data_dir)
        try:
            yield app
        finally:
            app.drift.flush()


def steady_memory() -> None:
    """Collect garbage seldom: a batch makes many small values, and none of them in circles.

    What was loaded until now is never looked at again. To be called once, when a process that serves or works is wired.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)


def _names(link: Files) -> list[str]:
    """What a link by which files come may be called: by its name, by what its rows are, by its mapping."""
    return [name for name in (link.name, link.records, link.mapping) if name]
