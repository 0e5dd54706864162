"""Every way by which messages come in, as one thing: a partner sends, we take.

    carrier.send([{"ref": "1", "sku": "s1", "delta": 1}])      what the partner does
    with carrier.taking(door): ...                             our side runs, over the door that is given
    carrier.left()                                             what would come again now, where the transport can tell

A message adds units to the stock of a SKU, so what came twice would be seen.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pymysql
import sqlalchemy as sa

from interlock.connectors.inlet import Inlet
from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.api_poll import ApiSource
from interlock.connectors.transports.broker_in import BrokerSource
from interlock.connectors.transports.files import DropFolder
from interlock.connectors.transports.sftp_in import SftpFolder
from interlock.connectors.transports.table_poll import TableSource
from interlock.domain.errors import StorageError
from interlock.domain.estate import Estate
from interlock.domain.links import ApiIn, BrokerIn, FolderIn, Format, LinkIn, SftpIn, TableIn, WebhookIn
from interlock.domain.values import SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.web.api import WebServer, create_app
from tests.builders import make_estate
from tests.connectors.transports.ssh_server import PASSWORD, ssh_server
from tests.servers.brokers import TestBroker
from tests.servers.partner import Asked, Reply, partner
from tests.servers.process import free_port

Record = dict[str, Any]
KEY = "conformance"
MAPPING = {
    "format": ["json"],
    "records": [
        {
            "action": "stock.adjust",
            "fields": {"sku": "sku", "node": "=n1", "delta": "delta", "ref": "ref", "reason": "=received"},
        }
    ],
}


class Carrier:
    """One way in. `db` is ours."""

    name = ""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.link = self.make_link()
        self.estate = estate_with(self.link)
        self.system = self.estate.systems[SystemId("wms")]

    def make_link(self) -> LinkIn:
        """The link as the estate has it."""
        raise AssertionError("each carrier has its own")

    def send(self, records: Sequence[Record]) -> None:
        """What the partner does; returns when the transport has them all."""
        raise AssertionError("each carrier has its own")

    def left(self) -> int | None:
        """How many messages the transport still has for us; None where it cannot say."""
        return None

    def inlet(self, door: Any) -> Inlet:
        """The link's inlet over a door."""
        return Links(self.estate, Mapper(self.estate), door).inlet(self.system, self.link)

    @contextmanager
    def taking(self, door: Any) -> Iterator[None]:
        """Our side runs until the block ends; then it is stopped, as a process is that is told to end."""
        stop = threading.Event()
        thread = threading.Thread(target=self.runner(door), args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=20)
            assert not thread.is_alive(), "our side did not stop"

    def runner(self, door: Any) -> Callable[[threading.Event], None]:
        """What runs on our side."""
        raise AssertionError("each carrier has its own")


def estate_with(link: LinkIn) -> Estate:
    """An estate whose warehouse has this link."""
    estate = make_estate()
    wms = msgspec.structs.replace(
        estate.systems[SystemId("wms")], inbound=(link,), api_key_sha256=(sha256(KEY.encode()).hexdigest(),)
    )
    return msgspec.structs.replace(estate, systems={**estate.systems, wms.id: wms}, mappings={"adjustments": MAPPING})


class BrokerCarrier(Carrier):
    def __init__(self, db: Database, broker: TestBroker) -> None:
        self.broker = broker
        self.topic = f"t{uuid.uuid4().hex[:8]}.stock"
        super().__init__(db)
        broker.make(self.topic)

    def make_link(self) -> LinkIn:
        return BrokerIn(
            name="stock",
            broker=self.broker.kind,  # type: ignore[arg-type]
            url_env="BROKER",
            topic=self.topic,
            mapping="adjustments",
            format=Format(kind="json"),
            batch_max=500,
        )

    def runner(self, door: Any) -> Callable[[threading.Event], None]:
        environment = {"BROKER": self.broker.url}
        return BrokerSource(
            self.inlet(door),
            self.link,
            self.db,
            environment=environment,
            redeliver_s=1.0,
            pause_first_s=0.1,  # type: ignore[arg-type]
        ).run

    def send(self, records: Sequence[Record]) -> None:
        self.broker.put(self.topic, [(json.dumps(each).encode(), {"id": str(each["ref"])}) for each in records])

    def left(self) -> int | None:
        return None if self.broker.kind in ("mqtt", "rabbitmq") else self.broker.waiting(self.topic)


class ApiCarrier(Carrier):
    """An API that lists its records by number, a hundred a page."""

    def __init__(self, db: Database) -> None:
        self.records: list[Record] = []
        self._context = partner(self._answer)
        self.api = self._context.__enter__()
        super().__init__(db)

    def close(self) -> None:
        self._context.__exit__(None, None, None)

    def make_link(self) -> LinkIn:
        return ApiIn(
            name="stock",
            url=f"{self.api.url}/adjustments",
            mapping="adjustments",
            every_s=0.1,
            items="data",
            id="ref",
            watermark="number",
            watermark_param="from",
            page="cursor",
            cursor="next",
            cursor_param="after",
            requests_per_s=1_000,
        )

    def _answer(self, asked: Asked) -> Reply:
        begin = int(asked.query.get("after") or asked.query.get("from") or 0)
        page = [each for each in self.records if each["number"] >= begin][:101]
        following = page[100]["number"] if len(page) > 100 else None
        return Reply(json.dumps({"data": page[:100], "next": following}).encode())

    def send(self, records: Sequence[Record]) -> None:
        first = len(self.records) + 1
        self.records += [{**each, "number": number} for number, each in enumerate(records, first)]

    def runner(self, door: Any) -> Callable[[threading.Event], None]:
        return ApiSource(self.inlet(door), self.link, self.db, pause_first_s=0.05).run  # type: ignore[arg-type]


class TableCarrier(Carrier):
    """A table of a partner's database."""

    def __init__(self, db: Database, url: str) -> None:
        self.url = url
        self.table = f"out_{uuid.uuid4().hex[:8]}"
        self._engine = sa.create_engine(
            sa.make_url(url).set(drivername="postgresql+psycopg" if "postgresql" in url else "mariadb+pymysql")
        )
        with self._engine.begin() as connection:
            number = "serial" if "postgresql" in url else "int auto_increment"
            columns = f"number {number} primary key, ref varchar(40), sku varchar(40), delta varchar(20)"
            connection.exec_driver_sql(f"create table {self.table} ({columns})")
        super().__init__(db)

    def close(self) -> None:
        self._engine.dispose()

    def make_link(self) -> LinkIn:
        return TableIn(
            name="stock",
            url_env="PARTNER",
            table=self.table,
            key=("number",),
            mapping="adjustments",
            every_s=0.1,
            overlap_s=1.0,
            rows_max=500,
        )

    def send(self, records: Sequence[Record]) -> None:
        rows = [{name: str(each[name]) for name in ("ref", "sku", "delta")} for each in records]
        with self._engine.begin() as connection:
            connection.execute(sa.text(f"insert into {self.table} (ref, sku, delta) values (:ref, :sku, :delta)"), rows)

    def runner(self, door: Any) -> Callable[[threading.Event], None]:
        environment = {"PARTNER": self.url}
        return TableSource(self.inlet(door), self.link, self.db, environment=environment, trouble_pause_s=0.1).run  # type: ignore[arg-type]


class WebhookCarrier(Carrier):
    """A sender that posts until it gets a 2xx, in its order, as senders do."""

    def __init__(self, db: Database) -> None:
        self.waiting: list[Record] = []
        self._new = threading.Event()
        super().__init__(db)

    def make_link(self) -> LinkIn:
        return WebhookIn(name="stock", mapping="adjustments", format=Format(kind="json"))

    def send(self, records: Sequence[Record]) -> None:
        self.waiting += records
        self._new.set()

    def left(self) -> int | None:
        return len(self.waiting)

    @contextmanager
    def taking(self, door: Any) -> Iterator[None]:
        port = free_port()
        app = create_app(self.db, self.estate, _Keyed(door, self.db, self.estate), environment={})
        server = WebServer(app, "127.0.0.1", port)
        serving = threading.Thread(target=server.run, daemon=True)
        serving.start()
        stop = threading.Event()
        sending = threading.Thread(target=self._post, args=(f"http://127.0.0.1:{port}", stop), daemon=True)
        sending.start()
        try:
            yield
        finally:
            stop.set()
            self._new.set()
            sending.join(timeout=10)
            server.stop()
            serving.join(timeout=15)
            assert not sending.is_alive() and not serving.is_alive()

    def _post(self, url: str, stop: threading.Event) -> None:
        with httpx.Client(trust_env=False, headers={"X-API-Key": KEY}, timeout=30) as client:
            while not stop.is_set():
                if not self.waiting:
                    self._new.wait(0.05)
                    self._new.clear()
                    continue
                many = self.waiting[:500] if len(self.waiting) > 50 else self.waiting[:1]
                try:
                    body = json.dumps(many if len(many) > 1 else many[0])
                    answer = client.post(f"{url}/v1/in/wms/stock", content=body)
                except httpx.HTTPError:
                    stop.wait(0.05)
                    continue
                if answer.status_code in (200, 422):
                    del self.waiting[: len(many)]
                else:
                    stop.wait(0.05)


class FolderCarrier(Carrier):
    """Files in a folder, each a list of records, renamed into it when it is whole."""

    def __init__(self, db: Database, path: Path) -> None:
        self.path = path
        self._sent: dict[str, int] = {}
        path.mkdir(parents=True, exist_ok=True)
        super().__init__(db)

    def make_link(self) -> LinkIn:
        return FolderIn(path=str(self.path), **self.how)

    @property
    def how(self) -> dict[str, Any]:
        """What links have by which files come."""
        return {"mapping": "adjustments", "format": Format(kind="json"), "pattern": "*.json", "stable_s": 0.05}

    def send(self, records: Sequence[Record]) -> None:
        name = f"{len(self._sent):03}.json"
        (self.path / f"{name}.tmp").write_text(json.dumps(records))
        (self.path / f"{name}.tmp").rename(self.path / name)
        self._sent[name] = len(records)

    def left(self) -> int | None:
        return sum(count for name, count in self._sent.items() if not (self.path / "done" / name).exists())

    def runner(self, door: Any) -> Callable[[threading.Event], None]:
        folder = DropFolder(self.system, self.link, Mapper(self.estate), door, self.db, inlet=self.inlet(door))  # type: ignore[arg-type]

        def run(stop: threading.Event) -> None:
            while not stop.is_set():
                with suppress(StorageError):
                    folder.poll(datetime.now(UTC))
                stop.wait(0.05)

        return run


class SftpCarrier(FolderCarrier):
    """Files on an SSH server."""

    def __init__(self, db: Database, path: Path) -> None:
        self._context = ssh_server(path / "server")
        self._server = self._context.__enter__()
        self._spool = path / "spool"
        super().__init__(db, self._server.root / "out")

    def close(self) -> None:
        self._context.__exit__(None, None, None)

    def make_link(self) -> LinkIn:
        return SftpIn(server=self._server.host(), path="/out", every_s=0.05, timeout_s=5.0, **self.how)

    def runner(self, door: Any) -> Callable[[threading.Event], None]:
        return SftpFolder(
            self.system,
            self.link,  # type: ignore[arg-type]
            Mapper(self.estate),
            door,
            self.db,
            self._spool,
            inlet=self.inlet(door),
            environment={"SFTP_PASSWORD": PASSWORD},
        ).run


class _Keyed:
    """The test's door for what comes in, with the rest of a real one."""

    def __init__(self, door: Any, db: Database, estate: Estate) -> None:
        real = Door(db, estate)
        self.process, self.accept, self.open_keys = door.process, real.accept, real.open_keys


def empty_partner_database(url: str) -> None:
    """Nothing is left in a partner's MariaDB."""
    parts = sa.make_url(url)
    with pymysql.connect(host=parts.host, port=parts.port or 3306, user="root", autocommit=True) as connection:
        connection.cursor().execute("drop database partner")
        connection.cursor().execute("create database partner character set utf8mb4")


def postgres_url(dsn: str) -> str:
    """A DSN of key words as the URL that an estate's variable would hold."""
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    query = {name: str(given[name]) for name in ("host", "port") if name in given}
    return sa.URL.create(
        "postgresql", username=str(given.get("user", "")) or None, password=str(given.get("password") or "") or None,
        database=str(given["dbname"]), query=query,
    ).render_as_string(hide_password=False)  # fmt: skip
