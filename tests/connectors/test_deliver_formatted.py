"""Delivery in a partner's format: interchanges with control numbers, over every transport, the same however often they go."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from nats import connect as nats_connect

from interlock.connectors.deliver import Delivery
from interlock.connectors.ways import SftpWay
from interlock.domain.estate import Estate, FolderOut, HttpOut, Limits, RetryPolicy
from interlock.domain.links import BrokerOut, Format, SftpOut
from interlock.domain.values import part_of
from interlock.storage import outbox
from interlock.storage.database import Database
from interlock.storage.outbox import ALL_PARTS
from tests.connectors.edi import EDIFACT, WAREHOUSE_EDIFACT, WAREHOUSE_X12, X12, envelope_of, sets_of
from tests.connectors.outgoing import (
    DC,
    NOW,
    Receiver,
    after,
    deliver,
    estate,
    fill,
    http_receiver,
    states,
    system,
)
from tests.connectors.transports.ssh_server import PASSWORD, ssh_server

JSON_MAPPING: dict[str, Any] = {
    "about": "one object for a release",
    "messages": [
        {
            "when": {"message": "shipment.release"},
            "document": {"fulfillmentOrder": "assignment", "lines": {"each": "lines", "fields": {"item": "sku"}}},
        }
    ],
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


def of_dc(outbound: Any, mapping: dict[str, Any], **more: Any) -> Estate:
    """An estate with one warehouse, told by this link, and the mapping `warehouse`."""
    base = estate(system(DC, outbound, **more))
    return Estate(
        retailer=base.retailer,
        currency=base.currency,
        systems=base.systems,
        nodes={},
        channels={},
        duties=base.duties,
        mappings={"warehouse": mapping},
    )


def x12_folder(path: Path, **more: Any) -> FolderOut:
    return FolderOut(path=str(path), format=X12, mapping="warehouse", **more)


def numbers(db: Database) -> list[tuple[Any, ...]]:
    return db.transaction(
        lambda tx: tx.query("select number, control, state, sets, attempts from interchanges order by number")
    )


def test_a_batch_becomes_one_interchange_with_a_set_for_each_message(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5), ("w:2", 3), ("w:3", 1)], to=DC, lines=2)

    assert deliver(db, of_dc(x12_folder(tmp_path), WAREHOUSE_X12)).sent == 3

    (path,) = tmp_path.iterdir()
    assert path.suffix == ".x12"
    sets = sets_of(path.read_bytes(), X12)
    assert sorted(each.data.children["W05"][0].elements[2] for each in sets) == ["w:1/1", "w:2/1", "w:3/1"]
    assert numbers(db) == [(1, "000000001", "sent", 3, 1)]
    assert states(db) == {("dc", "sent"): 3}


def test_control_numbers_go_on_from_batch_to_batch_and_each_system_has_its_own(db: Database, tmp_path: Path) -> None:
    where = of_dc(x12_folder(tmp_path), WAREHOUSE_X12)
    for number in (1, 2, 3):
        fill(db, [(f"w:{number}", 1)], to=DC)
        deliver(db, where, after(number))

    controls = sorted(envelope_of(path.read_bytes(), X12).control for path in tmp_path.iterdir())
    assert controls == ["000000001", "000000002", "000000003"]


def test_edifact_goes_out_in_the_same_way(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    out = FolderOut(path=str(tmp_path), format=EDIFACT, mapping="warehouse", done_suffix=".done")

    assert deliver(db, of_dc(out, WAREHOUSE_EDIFACT)).sent == 2

    path, done = sorted(tmp_path.iterdir())
    assert (path.suffix, done.name) == (".edi", f"{path.name}.done")
    assert [each.kind for each in sets_of(path.read_bytes(), EDIFACT)] == ["ORDERS", "ORDERS"]
    contents = db.transaction(lambda tx: tx.query("select control, contents from interchanges"))
    assert contents == [
        (
            "1",
            [
                {"kind": "ORDERS", "control": str(place), "message": message, "subject": message[:3]}
                for place, message in enumerate(sorted(["w:1/5/1", "w:2/3/1"], key=in_part), start=1)
            ],
        )
    ]


def in_part(message_id: str) -> Any:
    return part_of(message_id[:3]), message_id


def test_after_a_crash_the_same_bytes_go_again_under_the_same_number_even_if_the_mapping_was_changed(
    db: Database, tmp_path: Path
) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    batch = UUID("019caa5e-7400-7000-8000-0000000000ff")
    claimed = db.transaction(
        lambda tx: outbox.claim_many(tx, ALL_PARTS, DC, now=NOW, limit=10, lease_s=30, batch=batch, whole=True)
    )
    assert claimed is not None
    first = Delivery(db, of_dc(x12_folder(tmp_path), WAREHOUSE_X12))
    lane = first._lane(DC)
    (before,) = lane._packer.pack(claimed.batch_id, claimed.notices, NOW).parcels  # and here the process dies
    first.close()
    fill(db, [("w:3", 1)], to=DC)
    changed = json.loads(json.dumps(WAREHOUSE_X12).replace("=EA", "=CA"))

    assert deliver(db, of_dc(x12_folder(tmp_path), changed), after(31)).sent == 3

    assert (tmp_path / before.name).read_bytes() == before.body
    assert len(list(tmp_path.iterdir())) == 2
    assert [row[:3] for row in numbers(db)] == [(1, "000000001", "sent"), (2, "000000002", "sent")]


def test_what_could_not_be_delivered_goes_again_as_the_same_interchange_and_dies_together(
    db: Database, tmp_path: Path
) -> None:
    blocked = tmp_path / "out"
    blocked.write_text("a file where the folder should be")
    where = of_dc(x12_folder(blocked), WAREHOUSE_X12)
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    assert deliver(db, where).receivers[DC].failed == 2
    fill(db, [("w:3", 1)], to=DC)
    assert deliver(db, where, after(10)).receivers[DC].failed == 3
    assert deliver(db, where, after(30)).receivers[DC].dead == 2

    blocked.unlink()
    assert deliver(db, where, after(50)).sent == 1
    db.transaction(lambda tx: outbox.redeliver_many(tx, ALL_PARTS, DC, now=after(60)))
    assert deliver(db, where, after(60)).sent == 2

    assert [row[:3] + row[4:] for row in numbers(db)] == [
        (1, "000000001", "dead", 3),
        (2, "000000002", "sent", 3),
        (3, "000000003", "sent", 1),
    ]
    (path,) = [p for p in blocked.iterdir() if envelope_of(p.read_bytes(), X12).control == "000000003"]
    assert len(sets_of(path.read_bytes(), X12)) == 2


def test_a_message_that_cannot_be_written_is_dead_alone_with_the_reason(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    fill(db, [("w:3*x", 1)], to=DC)  # its id holds the element separator

    report = deliver(db, of_dc(x12_folder(tmp_path), WAREHOUSE_X12)).receivers[DC]

    assert (report.sent, report.dead) == (2, 1)
    rows = db.transaction(lambda tx: tx.query("select subject, reason, explanation from exceptions"))
    assert [row[:2] for row in rows] == [("w:3*x", "delivery_dead")]
    assert "W0502" in rows[0][2] and "w:3*x/1" in rows[0][2]
    (path,) = tmp_path.iterdir()
    assert len(sets_of(path.read_bytes(), X12)) == 2


def test_a_mapping_that_fails_on_a_message_refuses_it_alone(db: Database, tmp_path: Path) -> None:
    mapping = json.loads(json.dumps(WAREHOUSE_X12))
    mapping["messages"][0]["document"]["segments"][1] = ["N1", "=ST", {"from": "destination.city", "required": True}]
    fill(db, [("w:1", 5)], to=DC)

    report = deliver(db, of_dc(x12_folder(tmp_path), mapping)).receivers[DC]

    assert (report.sent, report.dead, list(tmp_path.iterdir())) == (0, 1, [])
    assert "because the mapping requires one" in report.error


def test_a_message_without_a_rule_is_settled_with_a_note_and_nothing_is_sent(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5)], to=DC, message="shipment.cancel")
    fill(db, [("w:2", 5)], to=DC)

    report = deliver(db, of_dc(x12_folder(tmp_path), WAREHOUSE_X12)).receivers[DC]

    assert (report.sent, report.nothing) == (1, 1)
    rows = db.transaction(lambda tx: tx.query("select order_id, state, note from outbox order by order_id"))
    assert rows == [("w:1", "sent", "nothing to send: the mapping has no rule for it"), ("w:2", "sent", None)]


def test_an_interchange_is_posted_under_its_media_type_and_a_key_that_stays(db: Database, receiver: Receiver) -> None:
    receiver.answers = [(503, {}), (200, {})]
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
    where = of_dc(HttpOut(url=receiver.url, format=X12, mapping="warehouse", batch=True), WAREHOUSE_X12)

    assert deliver(db, where).receivers[DC].failed == 2
    assert deliver(db, where, after(10)).sent == 2

    (key, body, headers), (key_again, body_again, _) = receiver.got
    assert (key, body) == (key_again, body_again)
    assert headers["Content-Type"] == "application/edi-x12"
    assert len(sets_of(body, X12)) == 2


def test_of_a_batch_that_is_refused_each_message_goes_alone_and_only_the_guilty_one_dies(
    db: Database, receiver: Receiver
) -> None:
    receiver.answers = [(422, {}), (200, {}), (422, {}), (200, {})]
    fill(db, [("w:1", 5), ("w:2", 3), ("w:3", 1)], to=DC)
    where = of_dc(HttpOut(url=receiver.url, format=X12, mapping="warehouse", batch=True), WAREHOUSE_X12)

    report = deliver(db, where).receivers[DC]

    assert (report.sent, report.dead) == (2, 1)
    assert [len(sets_of(body, X12)) for _, body, _ in receiver.got] == [3, 1, 1, 1]
    whole, *alone = numbers(db)
    assert whole[:4] == (1, "000000001", "dead", 3)
    assert sorted(row[2] for row in alone) == ["dead", "sent", "sent"]


def test_one_by_one_each_message_is_an_interchange_of_its_own(db: Database, receiver: Receiver) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(20)], to=DC)
    where = of_dc(HttpOut(url=receiver.url, format=X12, mapping="warehouse"), WAREHOUSE_X12)

    assert deliver(db, where).sent == 20

    controls = sorted(envelope_of(body, X12).control for _, body, _ in receiver.got)
    assert controls == [f"{n:09}" for n in range(1, 21)]
    assert sorted(receiver.ids()) == sorted(f"w:{n}/1/1" for n in range(20))


def test_json_through_a_mapping_is_posted_message_by_message(db: Database, receiver: Receiver) -> None:
    fill(db, [("w:1", 5)], to=DC, lines=2)
    out = HttpOut(url=receiver.url, format=Format(kind="json"), mapping="warehouse")

    assert deliver(db, of_dc(out, JSON_MAPPING)).sent == 1

    ((key, body, headers),) = receiver.got
    assert (key, headers["Content-Type"]) == ("w:1/5/1", "application/json")
    assert body == {"fulfillmentOrder": "w:1/1", "lines": [{"item": "SKU-1"}, {"item": "SKU-2"}]}
    assert numbers(db) == []


def test_our_own_messages_may_go_together_as_ndjson(db: Database, receiver: Receiver) -> None:
    fill(db, [("w:1", 5), ("w:2", 3)], to=DC)

    assert deliver(db, of_dc(HttpOut(url=receiver.url, batch=True), JSON_MAPPING)).sent == 2

    ((_, body, headers),) = receiver.got
    assert headers["Content-Type"] == "application/x-ndjson"
    assert sorted(json.loads(line)["order"] for line in body.splitlines()) == ["w:1", "w:2"]


def test_files_are_put_on_a_real_ssh_server_and_again_after_it_was_away(db: Database, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "remote") as server:
        out = SftpOut(server=server.host(), path="/in", format=X12, mapping="warehouse", timeout_s=5, done_suffix=".ok")
        where = of_dc(out, WAREHOUSE_X12)
        fill(db, [("w:1", 5), ("w:2", 3)], to=DC)
        assert deliver(db, where, environment={"SFTP_PASSWORD": PASSWORD}).sent == 2
        path, done = sorted((tmp_path / "remote" / "in").iterdir())
        assert len(sets_of(path.read_bytes(), X12)) == 2
        assert done.name == f"{path.name}.ok"

        server.full = True
        fill(db, [("w:3", 1)], to=DC)
        assert deliver(db, where, after(1), environment={"SFTP_PASSWORD": PASSWORD}).receivers[DC].failed == 1
        server.full = False
        assert deliver(db, where, after(11), environment={"SFTP_PASSWORD": PASSWORD}).sent == 1

    names = sorted(p.name for p in (tmp_path / "remote" / "in").iterdir())
    assert len(names) == 4 and not any(name.endswith(".tmp") for name in names)


def test_without_a_mapping_sftp_gets_our_csv(db: Database, tmp_path: Path) -> None:
    with ssh_server(tmp_path / "remote") as server:
        fill(db, [("w:1", 5)], to=DC)
        out = SftpOut(server=server.host(), path="/in", timeout_s=5)
        assert deliver(db, of_dc(out, JSON_MAPPING), environment={"SFTP_PASSWORD": PASSWORD}).sent == 1

    (path,) = (tmp_path / "remote" / "in").iterdir()
    assert path.name.startswith("release-") and path.suffix == ".csv"


def test_a_mapping_with_a_mistake_refuses_everything_and_says_which(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5)], to=DC)

    report = deliver(db, of_dc(x12_folder(tmp_path), {"messages": [{"document": {"sett": "940"}}]})).receivers[DC]

    assert report.dead == 1
    assert "the mapping of the outbound connection to dc is wrong" in report.error


def test_a_pace_counts_a_batch_once(db: Database, receiver: Receiver) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(20)], to=DC)
    out = HttpOut(url=receiver.url, format=X12, mapping="warehouse", batch=True)
    where = of_dc(out, WAREHOUSE_X12, limits=Limits(requests_per_s=1.0, burst=1))

    assert deliver(db, where).sent == 20
    fill(db, [("x:1", 1)], to=DC)
    assert deliver(db, where, after(0.5)).sent == 0
    assert deliver(db, where, after(1)).sent == 1


def test_ways_are_closed_with_their_lane(tmp_path: Path) -> None:
    closed = []

    class Server:
        def put(self, path: str, name: str, content: bytes, done_suffix: str | None = None) -> None: ...

        def close(self) -> None:
            closed.append(True)

    with ssh_server(tmp_path / "remote") as server:
        SftpWay(SftpOut(server=server.host(), path="/in"), Server()).close()

    assert closed == [True]


def test_two_deliveries_at_once_give_different_numbers(db: Database, tmp_path: Path) -> None:
    fill(db, [(f"w:{n}", 1) for n in range(200)], to=DC)
    where = of_dc(x12_folder(tmp_path, rows_max=10), WAREHOUSE_X12, retry=RetryPolicy(first_s=1))
    deliveries = [Delivery(db, where) for _ in range(2)]
    threads = [threading.Thread(target=each.run_once, args=(NOW,)) for each in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in deliveries:
        each.close()
    deliver(db, where)

    interchanges = [envelope_of(path.read_bytes(), X12) for path in tmp_path.iterdir()]
    assert len({each.control for each in interchanges}) == len(interchanges)
    assert sum(len(group.sets) for each in interchanges for group in each.groups) == 200
    assert states(db) == {("dc", "sent"): 200}


# Brokers


@contextmanager
def nats(folder: Path) -> Iterator[str]:
    """A real NATS server with JetStream, and a stream RELEASES for releases.>; gives its URL."""
    program = Path(sys.executable).parent / "nats-server"
    if not program.exists():
        pytest.skip("no nats-server: install the dev extra")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [str(program), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def stream(url: str) -> None:
    client = await nats_connect(url)
    await client.jetstream().add_stream(name="RELEASES", subjects=["releases.>"])
    await client.close()


async def kept(url: str) -> list[tuple[str, bytes]]:
    client = await nats_connect(url)
    try:
        jet = client.jetstream()
        state = (await jet.stream_info("RELEASES")).state
        messages = [await jet.get_msg("RELEASES", n) for n in range(1, state.messages + 1)]
        return [((each.headers or {})["Nats-Msg-Id"], each.data or b"") for each in messages]
    finally:
        await client.close()


def test_a_broker_gets_each_message_as_an_interchange_and_what_was_sent_twice_once(
    db: Database, tmp_path: Path
) -> None:
    fill(db, [(f"w:{n}", seq) for n in range(10) for seq in (1, 2)], to=DC)
    out = BrokerOut(
        broker="nats", url_env="NATS_URL", topic="releases.dc", stream="RELEASES", format=X12, mapping="warehouse"
    )
    where = of_dc(out, WAREHOUSE_X12)
    with nats(tmp_path / "js") as url:
        asyncio.run(stream(url))

        assert deliver(db, where, environment={"NATS_URL": url}).sent == 20
        db.transaction(
            lambda tx: tx.execute(
                "update outbox set state = 'waiting', sent_at = null, due_at = created_at where order_id = 'w:3' and seq = 1"
            )
        )
        assert deliver(db, where, after(1), environment={"NATS_URL": url}).sent == 1

        got = asyncio.run(kept(url))

    assert len(got) == 20
    for n in range(10):
        assert [key for key, _ in got if key.startswith(f"w:{n}/")] == [f"w:{n}/1/1", f"w:{n}/2/1"]
    assert len({envelope_of(body, X12).control for _, body in got}) == 20


def test_a_broker_that_is_away_is_tried_again(db: Database, tmp_path: Path) -> None:
    fill(db, [("w:1", 5)], to=DC)
    out = BrokerOut(broker="nats", url_env="NATS_URL", topic="releases.dc", stream="RELEASES", timeout_s=1)
    where = of_dc(out, JSON_MAPPING)
    report = deliver(db, where, environment={"NATS_URL": "nats://127.0.0.1:9"}).receivers[DC]
    assert (report.sent, report.failed) == (0, 1)

    with nats(tmp_path / "js") as url:
        asyncio.run(stream(url))
        assert deliver(db, where, after(10), environment={"NATS_URL": url}).sent == 1
        ((key, body),) = asyncio.run(kept(url))

    assert (key, json.loads(body)["order"]) == ("w:1/5/1", "w:1")
