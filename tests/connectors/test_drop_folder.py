"""The drop folder, with real files and the real engine: whole files only, each once, every row with an outcome."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from interlock.connectors.mapping import Mapper
from interlock.connectors.transports import directory, row_intake
from interlock.connectors.transports.files import DropFolder, FileResult
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import (
    Channel,
    Contact,
    Estate,
    FolderIn,
    Limits,
    Node,
    Place,
    SourcingPolicy,
    System,
)
from interlock.domain.values import NodeId, Sku, SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database

POS = System(
    id=SystemId("pos"),
    name="Tills",
    kind="pos",
    owner=Contact(team="stores", escalation="stores@example.test"),
    authority={"order": "decide", "payment": "decide", "fulfillment": "decide", "stock": "decide"},
    time_zone="America/Chicago",
    currency="USD",
    order_scope="pos",
    states={"tendered": "authorized", "invoiced": "shipped"},
)
NODE = Node(
    id=NodeId("S-1"),
    name="Store 1",
    kind="store",
    system=POS.id,
    place=Place(country="US"),
    time_zone="America/Chicago",
    fulfills=("carry_out", "delivery"),
)
ESTATE = Estate(
    retailer="Test",
    currency="USD",
    systems={POS.id: POS},
    nodes={NODE.id: NODE},
    channels={
        "stores": Channel(
            id="stores", system=POS.id, currency="USD", fulfills=("carry_out",), sourcing=SourcingPolicy(version="1")
        )
    },
    sku_aliases={POS.id: {"000123": Sku("SKU-1")}},
)
HEADER = "order_id,channel,placed_at,status,fulfillment,pickup_node,sku,quantity,unit_price\n"
HEAD = "stores,2026-01-05 13:22:00,invoiced,carry_out,S-1"


class FakeDoor:
    """Takes everything, and says so."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.sizes: list[int] = []

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        self.sizes.append(len(arrivals))
        self.arrivals += arrivals
        return [
            Outcome(message_id=each.message_id, outcome="quarantined" if each.problem else "processed")
            for each in arrivals
        ]


def later(seconds: float = 60) -> datetime:
    """A time at which what was written until now has been still for so many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def drop(path: Path, text: str | bytes, name: str = "sales.csv") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return path / name


def folder_of(path: Path, db: Database, door: object = None, **more: object) -> DropFolder:
    how = {"records": "sales", **more}
    system = how.pop("system", POS)
    folder = FolderIn(path=str(path), **how)  # type: ignore[arg-type]
    return DropFolder(system, folder, Mapper(ESTATE), door or FakeDoor(), db)  # type: ignore[arg-type]


def result_of(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.with_name(path.name + ".result.json").read_text())
    return found


def sales(orders: int, lines: int = 2) -> str:
    return HEADER + "".join(f"{n},{HEAD},SKU-{k},1,2.50\n" for n in range(orders) for k in range(lines))


UGLY = (
    HEADER
    + f"1,{HEAD},000123,2,3.50\n1,{HEAD},SKU-2,0,1.00\n"  # the second line was not sold
    + f"2,{HEAD},SKU-1,one,1.00\n2,{HEAD},SKU-2,1,1.00\n"  # cannot be read
    + f"3,{HEAD},SKU-9,1\n"  # a cell is missing
    + f'4,{HEAD},"SKU,1,2\n'  # a stray quote
    + f"5,{HEAD},SKU-1,-1,1\n"  # nothing is left of it
    + f"6,{HEAD},SKU-1,1,9.99\n"
    + f"1,{HEAD},000123,3,3.50\n"  # not the same order 1 as above
    + f"6,{HEAD},SKU-1,1,9.99\n"  # the same order 6 again
)


def test_a_file_with_bad_rows_becomes_orders_in_the_database_and_every_row_is_accounted_for(
    db: Database, tmp_path: Path
) -> None:
    drop(tmp_path, UGLY)

    (result,) = folder_of(tmp_path, db, Door(db, ESTATE)).poll(later())

    assert (result.state, result.rows, result.rows_taken, result.rows_rejected) == ("done", 10, 4, 6)
    assert result.rejected == {
        "negative_quantity": 1, "unreadable": 2, "unreadable_row": 1, "wrong_column_count": 1, "zero_quantity": 1
    }  # fmt: skip
    assert (result.records, result.outcomes) == (6, {"conflict": 1, "duplicate": 1, "processed": 2, "quarantined": 2})
    rows = db.transaction(
        lambda tx: tx.query("select order_id, line_no, sku, quantity, source_sku from lines order by order_id, line_no")
    )
    assert [tuple(row) for row in rows] == [
        ("pos:1", 1, "SKU-1", 2, "000123"),
        ("pos:6", 1, "SKU-1", 1, ""),
    ]
    kept = db.transaction(lambda tx: tx.query("select record, outcome, body, file from messages order by message_id"))
    assert [(record, outcome) for record, outcome, *_ in kept] == [
        ("rows 2-3", "processed"),
        ("rows 4-5", "quarantined"),
        ("rows 8-8", "quarantined"),
        ("rows 9-9", "processed"),
        ("rows 10-10", "conflict"),
        ("rows 11-11", "duplicate"),
    ]
    assert bytes(kept[0][2]) == f"1,{HEAD},000123,2,3.50\n1,{HEAD},SKU-2,0,1.00\n".encode()
    assert {row[3] for row in kept} == {result.sha256}
    known = db.transaction(
        lambda tx: tx.query("select name, rows, rows_rejected, records, finished_at is null from files")
    )
    assert known == [("sales.csv", 10, 6, 6, False)]


def test_rejected_rows_lie_beside_the_file_with_field_value_and_what_was_expected(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, UGLY)

    folder_of(tmp_path, db).poll(later())

    assert (tmp_path / "done" / "sales.csv").read_text() == UGLY
    table = list(csv.DictReader(io.StringIO((tmp_path / "done" / "sales.csv.rejects.csv").read_text())))
    found = {(row["row"], row["field"], row["value"], row["reason"]) for row in table}
    assert found == {
        ("3", "quantity", "0", "zero_quantity"),
        ("4", "quantity", "one", "unreadable"),
        ("5", "", "", "unreadable"),
        ("6", "row", "8 cells", "wrong_column_count"),
        ("7", "row", f'4,{HEAD},"SKU,1,2', "unreadable_row"),
        ("8", "quantity", "-1", "negative_quantity"),
    }
    assert next(row for row in table if row["row"] == "3")["sku"] == "SKU-2"
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == [
        "sales.csv",
        "sales.csv.rejects.csv",
        "sales.csv.result.json",
    ]
    assert list((tmp_path / ".taken").iterdir()) == []


def test_the_same_bytes_again_are_a_no_op_that_says_so(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, sales(3))
    door = FakeDoor()
    folder = folder_of(tmp_path, db, door)
    folder.poll(later())
    drop(tmp_path, sales(3), "again.csv")

    (result,) = folder.poll(later())

    assert (result.state, result.duplicate_of, result.rows) == ("duplicate", "sales.csv", 0)
    assert result_of(tmp_path / "done" / "again.csv")["duplicate_of"] == "sales.csv"
    assert len(door.arrivals) == 3
    assert db.transaction(lambda tx: tx.query("select times_seen from files")) == [(2,)]


def test_another_file_of_the_same_name_does_not_overwrite_the_first(db: Database, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, db)
    drop(tmp_path, sales(1))
    folder.poll(later())
    drop(tmp_path, sales(2))
    (second,) = folder.poll(later())

    assert (tmp_path / "done" / "sales.csv").read_text() == sales(1)
    assert (tmp_path / "done" / f"sales.{second.claim}.csv").read_text() == sales(2)
    assert result_of(tmp_path / "done" / "sales.csv")["records"] == 1
    assert result_of(tmp_path / "done" / f"sales.{second.claim}.csv")["records"] == 2


def test_a_file_that_is_still_changing_is_left_alone(db: Database, tmp_path: Path) -> None:
    path = drop(tmp_path, sales(1))
    folder = folder_of(tmp_path, db, stable_s=5.0)
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)

    assert folder.poll(written + timedelta(seconds=4)) == []
    with path.open("a") as file:
        file.write(f"9,{HEAD},SKU-1,1,1\n")
    os.utime(path, (written.timestamp(), written.timestamp()))  # a copy that keeps the old time
    assert folder.poll(written + timedelta(seconds=6)) == []
    assert folder.poll(written + timedelta(seconds=10)) == []
    (result,) = folder.poll(written + timedelta(seconds=11))

    assert result.records == 2


def test_a_file_from_a_clock_that_is_ahead_is_taken_when_it_has_been_still(db: Database, tmp_path: Path) -> None:
    path = drop(tmp_path, sales(1))
    now = datetime.now(UTC)
    ahead = now.timestamp() + 86_400
    os.utime(path, (ahead, ahead))
    folder = folder_of(tmp_path, db, stable_s=1.0)

    assert folder.poll(now) == []
    assert len(folder.poll(now + timedelta(seconds=1))) == 1


def test_with_a_marker_a_file_is_taken_only_when_the_marker_is_there(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, sales(1))
    folder = folder_of(tmp_path, db, pattern="*", done_suffix=".done")
    assert folder.poll(later()) == []

    drop(tmp_path, b"", "sales.csv.done")
    (result,) = folder.poll(datetime.now(UTC))

    assert result.file == "sales.csv"
    assert not (tmp_path / "sales.csv.done").exists()


@pytest.mark.parametrize("name", [".sales.csv", "sales.csv.tmp", "sales.csv.part", "sales.csv.filepart", "sales.txt"])
def test_names_of_files_in_transfer_and_of_no_interest_are_left_alone(db: Database, tmp_path: Path, name: str) -> None:
    path = drop(tmp_path, sales(1), name)

    assert folder_of(tmp_path, db, pattern="*.csv*").poll(later()) == []
    assert path.exists()


def test_links_and_pipes_are_refused_and_what_a_link_points_to_is_not_touched(db: Database, tmp_path: Path) -> None:
    secret = drop(tmp_path / "elsewhere", sales(1), "secret.csv")
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "link.csv").symlink_to(secret)
    os.mkfifo(inbox / "pipe.csv")

    results = folder_of(inbox, db).poll(later())

    assert sorted((r.file, r.state, r.reason) for r in results) == [
        ("link.csv", "rejected", "not_a_file"),
        ("pipe.csv", "rejected", "not_a_file"),
    ]
    assert secret.read_text() == sales(1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no_header"),
        (b"sku,quantity\nA,1\n", "missing_column"),
        (sales(1).encode("utf-16"), "bad_encoding"),
        (sales(30).encode(), "too_many_rows"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_put_aside_and_nothing_of_it_is_applied(
    db: Database, tmp_path: Path, data: bytes, reason: str
) -> None:
    drop(tmp_path, data)
    door = FakeDoor()
    (result,) = folder_of(tmp_path, db, door, system=replace(POS, limits=Limits(rows_max=50))).poll(later())

    assert (result.state, result.reason, door.arrivals) == ("rejected", reason, [])
    assert (tmp_path / "rejected" / "sales.csv").read_bytes() == data
    assert result_of(tmp_path / "rejected" / "sales.csv")["reason"] == reason


def test_a_rejected_file_may_come_again_when_the_estate_was_corrected(db: Database, tmp_path: Path) -> None:
    text = sales(1).replace("order_id", "TRANS")
    drop(tmp_path, text)
    assert folder_of(tmp_path, db).poll(later())[0].state == "rejected"
    drop(tmp_path, text)

    (result,) = folder_of(tmp_path, db, columns={"order_id": "TRANS"}).poll(later())
    assert (result.state, result.records) == ("done", 1)


def test_records_go_to_the_engine_in_chunks_of_a_number_and_of_a_size(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_intake, "ARRIVALS_MAX", 1000)
    drop(tmp_path, sales(2500, lines=1))
    drop(tmp_path, sales(3, lines=9000), "tall.csv")
    door = FakeDoor()
    folder = folder_of(tmp_path, db, door)

    folder.poll(later())
    assert door.sizes == [1000, 1000, 500, 3]

    monkeypatch.setattr(row_intake, "ARRIVAL_BYTES_MAX", 600_000)
    drop(tmp_path, sales(4, lines=9000))
    folder.poll(later())
    assert door.sizes[4:] == [1, 1, 1, 1]


def test_a_file_that_is_written_on_while_it_is_read_is_taken_up_again_whole(db: Database, tmp_path: Path) -> None:
    path = drop(tmp_path, sales(1100, lines=1))
    file = path.open("a")

    class Meanwhile(FakeDoor):
        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            if not file.closed:
                file.write(f"new,{HEAD},SKU-1,1,1\n")
                file.close()
            return super().process(arrivals)

    folder = folder_of(tmp_path, db, Meanwhile())
    (first,) = folder.poll(later())
    (second,) = folder.poll(later())

    assert (first.state, second.state, second.records) == ("failed", "done", 1101)


def test_one_file_that_fails_does_not_hold_up_the_others(db: Database, tmp_path: Path) -> None:
    class Choosy(FakeDoor):
        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            if any(b"poison" in each.body for each in arrivals):
                raise ValueError("poison")
            return super().process(arrivals)

    drop(tmp_path, HEADER + f"poison,{HEAD},SKU-1,1,1\n", "a.csv")
    drop(tmp_path, sales(1), "b.csv")

    results = folder_of(tmp_path, db, Choosy()).poll(later())

    assert sorted((r.file, r.state) for r in results) == [("a.csv", "failed"), ("b.csv", "done")]


def test_two_pollers_of_one_folder_take_each_file_once(db: Database, tmp_path: Path) -> None:
    for n in range(40):
        drop(tmp_path, sales(n + 1), f"sales-{n}.csv")
    door = FakeDoor()
    found: list[FileResult] = []
    folders = [folder_of(tmp_path, db, door) for _ in range(4)]
    start = threading.Barrier(4)

    def poll(folder: DropFolder) -> None:
        start.wait()
        found.extend(folder.poll(later()))

    threads = [threading.Thread(target=poll, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(r.file for r in found) == sorted(f"sales-{n}.csv" for n in range(40))
    assert {r.state for r in found} == {"done"}
    assert len(door.arrivals) == sum(range(1, 41))


def test_of_two_claims_at_the_same_moment_one_wins(tmp_path: Path) -> None:
    (tmp_path / directory.TAKEN).mkdir()
    drop(tmp_path, b"x", "a.csv")

    first, second = directory.claim(tmp_path, "a.csv"), directory.claim(tmp_path, "a.csv")

    assert first is not None
    assert second is None
    with directory.opened(first) as mine, directory.opened(first) as theirs:
        assert mine is not None
        assert theirs is None


def poll_until_killed(dsn: str, path: Path) -> None:
    with Database(dsn, pool_max=2) as db:
        folder_of(path, db, Door(db, ESTATE)).poll(later())


def test_after_a_kill_in_the_middle_the_next_poll_goes_on_and_nothing_is_lost_or_doubled(
    db: Database, dsn: str, tmp_path: Path
) -> None:
    orders = 4000
    drop(tmp_path, sales(orders))
    child = multiprocessing.get_context("spawn").Process(target=poll_until_killed, args=(dsn, tmp_path))
    child.start()
    deadline = time.monotonic() + 60
    count = 0
    while count < 500 and time.monotonic() < deadline and child.is_alive():
        count = db.transaction(lambda tx: tx.query("select count(*) from orders"))[0][0]
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    before = db.transaction(lambda tx: tx.query("select count(*) from orders"))[0][0]
    assert 500 <= before < orders
    assert len(list((tmp_path / ".taken").glob("*~sales.csv"))) == 1

    (result,) = folder_of(tmp_path, db, Door(db, ESTATE)).poll(later())

    assert db.transaction(lambda tx: tx.query("select count(*) from orders")) == [(orders,)]
    assert result.outcomes == {"duplicate": before, "processed": orders - before}
    assert (result.rows, result.rows_taken, result.records) == (2 * orders, 2 * orders, orders)
    assert folder_of(tmp_path, db).poll(later()) == []
    assert (tmp_path / "done" / "sales.csv").exists()


def test_a_crash_before_the_last_rename_is_made_up_for_without_calling_it_a_duplicate(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(tmp_path, sales(2))
    folder = folder_of(tmp_path, db)
    real = directory.move

    def no_last_move(source: Path, target: Path) -> None:
        if target.name == "sales.csv":
            raise OSError("the power went")
        real(source, target)

    monkeypatch.setattr(directory, "move", no_last_move)
    assert folder.poll(later())[0].state == "failed"
    monkeypatch.setattr(directory, "move", real)

    (result,) = folder.poll(later())

    assert (result.state, result.records) == ("done", 2)
    assert sorted(p.name for p in (tmp_path / "done").iterdir()) == ["sales.csv", "sales.csv.result.json"]


def test_a_name_of_any_length_and_bytes_gets_its_result(db: Database, tmp_path: Path) -> None:
    names = ["x" * 250 + ".csv", os.fsdecode(b"caf\xe9.csv"), "a~b.csv"]
    for n, name in enumerate(names):
        drop(tmp_path, sales(n + 1), name)

    results = folder_of(tmp_path, db).poll(later())

    assert sorted(r.state for r in results) == ["done"] * 3
    assert len(list((tmp_path / "done").glob("*.result.json"))) == 3


@pytest.mark.parametrize(("ending", "rows_max", "state"), [("\n", 6, "done"), ("", 6, "done"), ("", 5, "rejected")])
def test_the_row_limit_counts_the_last_row_whether_its_line_ends_or_not(
    db: Database, tmp_path: Path, ending: str, rows_max: int, state: str
) -> None:
    data = sales(3).rstrip("\n") + ending
    drop(tmp_path, data.encode())
    limited = replace(POS, limits=Limits(rows_max=rows_max))

    (result,) = folder_of(tmp_path, db, FakeDoor(), system=limited).poll(later())

    assert (result.state, len(data.splitlines())) == (state, 7)
