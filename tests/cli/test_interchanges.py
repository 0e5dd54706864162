"""`interlock interchanges` and `interlock redeliver`, as people type them, on an estate file that speaks X12."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interlock.bootstrap import App
from interlock.cli import app
from interlock.connectors.deliver import Delivery
from interlock.connectors.formats.document import Numbers
from interlock.connectors.formats.x12 import acknowledge
from interlock.connectors.inlet import Inlet, Origin
from interlock.connectors.links import Links
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.domain.links import Envelope
from interlock.domain.values import SystemId
from interlock.operations.interchanges import interchanges_of
from interlock.storage import outbox
from interlock.storage.database import Database
from tests.connectors.edi import OURS, THEIRS, WAREHOUSE_X12, X12, envelope_of
from tests.connectors.outgoing import fill
from tests.connectors.test_acknowledge import shipped as shipped_945
from tests.connectors.test_acknowledge import spoil
from tests.contracts.tiny_estate import SMALL

WMS = SystemId("wms")
FORMAT = "{kind: x12, envelope: {ours: {id: INTERLOCK}, theirs: {id: WAREHOUSE}, version: '004010'}}"


class Town:
    """The estate on disk, its database, and the folder of the warehouse."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.out = db, folder / "out"
        self.path = folder / "estate.yaml"
        link = f"format: {FORMAT}, mapping: warehouse, acknowledged_by: '997', acknowledged_within: 1h"
        text = SMALL.replace(
            "      outbound: {kind: folder, path: out}\n",
            f"      inbound:\n        - {{kind: folder, path: {folder / 'in'}, pattern: '*', name: edi, format: {FORMAT},\n"
            "           mapping: reading, acknowledge: '997'}\n"
            f"      outbound: {{kind: folder, path: {self.out}, {link}}}\n",
        )
        reading = {"format": ["x12"], "records": [{"when": {"W06": {"exists": True}}, "skip": "shipped"}]}
        text += f"mappings:\n  warehouse: {json.dumps(WAREHOUSE_X12)}\n  reading: {json.dumps(reading)}\n"
        self.path.write_text(text)
        self.app = App(db, load_estate(self.path))
        self.delivery = Delivery(db, self.app.estate)
        system = self.app.estate.systems[WMS]
        links = Links(self.app.estate, self.app.mapper, self.app.door, self.app.book.observers)
        self.inlet: Inlet = links.inlet(system, system.inbound[0])

    def deliver(self) -> list[bytes]:
        before = set(self.out.iterdir()) if self.out.exists() else set()
        self.delivery.run_once(datetime.now(UTC))
        return [path.read_bytes() for path in set(self.out.iterdir()) - before]

    def hears(self, body: bytes) -> None:
        self.inlet.take([body], Origin(name="997.edi", received_at=datetime.now(UTC)))

    def run(self, *words: str) -> Result:
        options = ["--estate", str(self.path), "--database-url", self.db.dsn]
        return CliRunner().invoke(app, [*words, *options])

    def read(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.output)


@pytest.fixture
def town(db: Database, tmp_path: Path) -> Iterator[Town]:
    made = Town(db, tmp_path)
    yield made
    made.delivery.close()


def reply(body: bytes, number: int, *spoiled: int) -> bytes:
    partner = Envelope(ours=THEIRS, theirs=OURS, version="004010")
    return acknowledge(
        spoil(envelope_of(body, X12), spoiled), "997", partner, Numbers(number, datetime.now(UTC), number)
    )


def test_interchanges_are_listed_all_or_of_a_system_or_only_those_that_are_open(town: Town) -> None:
    fill(town.db, [("w:1", 5), ("w:2", 3)])
    (body,) = town.deliver()
    assert [(row["system"], row["control"], row["state"]) for row in town.read("interchanges", "--open")] == [
        ("wms", "000000001", "sent")
    ]

    town.hears(reply(body, 501))

    assert town.read("interchanges", "--open") == []
    assert [(row["direction"], row["state"]) for row in town.read("interchanges", "wms")] == [
        ("in", "received"),
        ("out", "accepted"),
    ]
    assert town.read("interchanges", "shop") == []
    assert "000000001" in town.run("interchanges").output
    assert isinstance(town.run("interchanges", "wsm").exception, InvalidValue)


def test_an_interchange_is_shown_set_by_set_with_what_was_said_of_it(town: Town) -> None:
    fill(town.db, [("w:1", 5), ("w:2", 3)])
    (body,) = town.deliver()
    town.hears(reply(body, 501, 1))

    (shown,) = town.read("interchanges", "show", "wms", "1")

    assert (shown["control"], shown["state"], shown["rejected"]) == ("000000001", "partly", 1)
    assert sorted(each["state"] for each in shown["contents"]) == ["accepted", "rejected"]
    assert "error 7" in shown["last_error"]
    assert "rejected" in town.run("interchanges", "show", "wms", "000000001").output
    assert isinstance(town.run("interchanges", "show", "wms", "77").exception, InvalidValue)


def test_a_lost_interchange_is_sent_again_and_a_rejected_message_in_another_one(town: Town) -> None:
    fill(town.db, [("w:1", 5), ("w:2", 3)])
    (body,) = town.deliver()
    for path in town.out.iterdir():
        path.unlink()

    assert town.read("interchanges", "resend", "wms", "1")["sets"] == 2
    assert town.deliver() == [body]

    town.hears(reply(body, 501, 0))
    assert town.read("interchanges", "resend", "wms", "1", "--anew")["messages_waiting"] == 1
    (second,) = town.deliver()
    assert envelope_of(second, X12).control == "000000002"
    assert isinstance(town.run("interchanges", "resend", "wms", "9").exception, InvalidValue)
    assert isinstance(town.run("interchanges", "resend", "wms", "X").exception, InvalidValue)


def test_all_messages_of_an_unanswered_interchange_may_go_anew_and_it_is_not_chased(town: Town) -> None:
    fill(town.db, [("w:1", 5), ("w:2", 3)])
    town.deliver()

    assert town.read("interchanges", "resend", "wms", "1", "--anew")["messages_waiting"] == 2
    assert len(town.deliver()) == 1
    rows = town.db.transaction(
        lambda tx: tx.query("select number, answer_due_at is not null from interchanges order by number")
    )
    assert rows == [(1, False), (2, True)]


def test_dead_letters_are_shown_and_sent_again_by_order_reason_and_age(town: Town) -> None:
    fill(town.db, [("w:1", 5), ("w:2", 3), ("w:3*", 1)])
    now = datetime.now(UTC)

    def kill(tx: Any) -> None:
        tx.execute("update outbox set state = 'dead', last_error = 'answered 404', created_at = %(then)s", then=now)
        tx.execute("update outbox set created_at = %(then)s where order_id = 'w:2'", then=now - timedelta(hours=3))
        tx.execute("update outbox set last_error = 'W0502: it holds *' where order_id = 'w:3*'")

    town.db.transaction(kill)

    def shown(*words: str) -> list[str]:
        return sorted(each["order_id"] for each in town.read("redeliver", "wms", *words, "--dry-run")["dead"])

    assert shown() == ["w:1", "w:2", "w:3*"]
    assert shown("w:1") == ["w:1"]
    assert shown("--reason", "w0502") == ["w:3*"]
    assert shown("--older-than", "2h") == ["w:2"]
    assert shown("--newer-than", "2h", "--reason", "404") == ["w:1"]
    assert "nothing was sent" in town.run("redeliver", "wms", "--dry-run").output
    assert isinstance(town.run("redeliver", "wms", "--older-than", "soon").exception, InvalidValue)
    assert [queue.state for queue in town.db.transaction(outbox.count_many)] == ["dead"]

    assert town.read("redeliver", "wms", "--reason", "404")["waiting_again"] == 2
    assert len(town.deliver()) == 1
    assert shown() == ["w:3*"]


def test_a_live_service_acknowledges_what_is_dropped_and_matches_what_comes_back(town: Town, tmp_path: Path) -> None:
    shipped = shipped_945(7, "w:1/1")
    (tmp_path / "in").mkdir()
    fill(town.db, [("w:1", 5)])

    def wait_for(count: int) -> list[bytes]:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            files = sorted(town.out.glob("*.x12")) if town.out.exists() else []
            if len(files) >= count:
                return [path.read_bytes() for path in files]
            time.sleep(0.05)
        raise AssertionError(f"{len(list(town.out.glob('*.x12')))} files instead of {count}")

    with town.app.services(workers=1):
        (tmp_path / "in" / "945.edi").write_text(shipped)
        bodies = wait_for(2)
        (release,) = [body for body in bodies if b"*940*" in body]
        (tmp_path / "in" / "997.edi").write_bytes(reply(release, 501))
        end = time.monotonic() + 20
        while interchanges_of(town.db, is_open=True) and time.monotonic() < end:
            time.sleep(0.2)
        for path in town.out.glob("997-*"):
            path.unlink()
        (tmp_path / "in" / "945-again.edi").write_text(shipped)
        bodies = wait_for(2)

    rows = town.read("interchanges", "wms")
    assert sorted((row["direction"], row["kind"], row["state"], row["times"]) for row in rows) == [
        ("in", "acknowledgment", "received", 1),
        ("in", "messages", "received", 2),
        ("out", "acknowledgment", "sent", 1),
        ("out", "messages", "accepted", 1),
    ]
    assert sum(b"*997*" in body for body in bodies) == 1
