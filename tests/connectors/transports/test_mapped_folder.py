"""Drop folders of any format: what a mapping makes of the files, and what becomes of those that cannot be read."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from interlock.connectors.inlet import Origin
from interlock.connectors.transports import directory, document_intake
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.links import Field, Format, Layout, Totals
from interlock.engine.door import Door
from interlock.operations.audit import audit
from interlock.storage.database import Database
from tests.connectors.transports.stock_files import (
    HEADER,
    FakeDoor,
    counts,
    drop,
    estate,
    folder_of,
    later,
)

JSON = Format(kind="json")
MIXED = (HEADER + "SKU-1,5,R1,\nSKU-2,many,R2,\nSKU-3,1,R3,training\nSKU-4,1\nSKU-5,7,R5,\n").encode()


def result_of(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.with_name(path.name + ".result.json").read_text())
    return found


def rejects_in(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_a_mapped_file_becomes_counts_in_the_database_and_every_record_is_accounted_for(
    db: Database, tmp_path: Path
) -> None:
    drop(tmp_path, MIXED)
    folder = folder_of(tmp_path, db)
    door = Door(db, estate(folder.folder))  # type: ignore[arg-type]

    (result,) = folder_of(tmp_path, db, door).poll(later())

    assert (result.state, result.rows, result.rows_taken, result.rows_rejected, result.skipped) == ("done", 5, 3, 2, 1)
    assert (result.records, result.outcomes) == (4, {"processed": 2, "quarantined": 2})
    assert result.rejected == {"unreadable": 2}
    kept = db.transaction(lambda tx: tx.query("select record, outcome, file from messages order by message_id"))
    assert [(record, outcome) for record, outcome, _ in kept] == [
        ("row 2", "processed"),
        ("row 3", "quarantined"),
        ("row 5", "quarantined"),
        ("row 6", "processed"),
    ]
    assert {file for *_, file in kept} == {result.sha256} == {hashlib.sha256(MIXED).hexdigest()}
    stock = db.transaction(lambda tx: tx.query("select sku, physical from positions where physical > 0 order by sku"))
    assert stock == [("SKU-1", 5), ("SKU-5", 7)]
    with_rejects = rejects_in(tmp_path / "done" / "counts.csv.rejects.csv")
    assert [(row["place"], row["reason"], row["text"]) for row in with_rejects] == [
        ("row 3", "unreadable", "SKU-2,many,R2,\n"),
        ("row 5", "unreadable", "SKU-4,1"),
    ]
    assert (with_rejects[0]["field"], with_rejects[0]["value"]) == ("counted (from qty)", '"many"')
    findings = audit(db, estate=estate(folder.folder), now=later())  # type: ignore[arg-type]
    assert [finding.name for finding in findings if not finding.holds] == []


def test_the_same_bytes_again_are_a_no_op_and_another_file_of_the_name_is_kept_beside(
    db: Database, tmp_path: Path
) -> None:
    door = FakeDoor()
    folder = folder_of(tmp_path, db, door)
    for content in (counts(2), counts(2), counts(3)):
        drop(tmp_path, content)
        folder.poll(later())

    states = [json.loads(path.read_text())["state"] for path in sorted((tmp_path / "done").glob("*.result.json"))]
    assert sorted(states) == ["done", "done", "duplicate"]
    assert len(door.arrivals) == 5


@pytest.mark.parametrize(
    ("form", "content", "quantities"),
    [
        (JSON, b'[{"sku": "A", "qty": 1, "ref": "1"}, {"sku": "B", "qty": 2, "ref": "2"}]', [1, 2]),
        (Format(kind="ndjson"), b'{"sku": "A", "qty": 1, "ref": "1"}\n\n{"sku": "B", "qty": 2, "ref": "2"}', [1, 2]),
        (
            Format(
                kind="fixed",
                encoding="cp037",
                record_bytes=10,
                layouts=(
                    Layout(
                        name="count",
                        fields=(
                            Field(name="sku", start=1, length=5),
                            Field(name="qty", start=6, length=2, kind="packed"),
                            Field(name="ref", start=8, length=3),
                        ),
                    ),
                ),
            ),
            "SKU-1".encode("cp037") + b"\x01\x2c" + "R01".encode("cp037"),
            [12],
        ),
    ],
)
def test_any_format_goes_with_a_folder(
    db: Database, tmp_path: Path, form: Format, content: bytes, quantities: list[int]
) -> None:
    drop(tmp_path, content, "counts.dat")
    door = FakeDoor()
    (result,) = folder_of(tmp_path, db, door, form).poll(later())

    assert (result.state, result.records, result.outcomes) == ("done", len(quantities), {"processed": len(quantities)})
    assert [arrival.command.counted for arrival in door.arrivals] == quantities  # type: ignore[union-attr]


def test_a_file_that_cannot_be_read_at_all_is_put_aside_may_come_again_and_a_person_sees_it(
    db: Database, tmp_path: Path
) -> None:
    bad = b"sku,sku\n1,2\n"
    drop(tmp_path, bad)
    folder = folder_of(tmp_path, db, Door(db, estate(folder_of(tmp_path, db).folder)))  # type: ignore[arg-type]

    (result,) = folder.poll(later())

    assert result.state == "rejected"
    assert (tmp_path / "rejected" / "counts.csv").read_bytes() == bad
    assert db.transaction(lambda tx: tx.query("select count(*) from files")) == [(0,)]
    open_work = db.transaction(lambda tx: tx.query("select reason from exceptions"))
    assert open_work == [("quarantined",)]
    drop(tmp_path, bad)
    assert folder.poll(later())[0].state == "rejected"


def test_what_came_before_a_place_that_cannot_be_read_is_taken_and_the_rest_is_kept_for_a_person(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The look at the totals beforehand is left out, so that it is found out at the end of the second block of 256 KiB.
    monkeypatch.setattr(document_intake.DocumentReader, "check", lambda self, content: None)
    content = counts(20_000) + b"TRL,1,,\n"
    drop(tmp_path, content)
    door = FakeDoor()

    (result,) = folder_of(tmp_path, db, door, Format(kind="csv", totals=Totals(mark="TRL", count=2))).poll(later())

    assert (result.state, result.reason, result.records) == ("partial", "bad_totals", 20_001)
    assert (result.rows, result.rows_taken, result.rejected) == (20_001, 20_000, {"bad_totals": 1})
    assert result.explanation == (
        f"count: '1' is not 20000, the number of rows that are there (bytes 262145-{len(content)}, after 20000 records); "
        "what could be read was taken, the rest is kept as quarantined"
    )
    place = f"bytes 262145-{len(content)}, after 20000 records"
    assert len(door.arrivals) == 20_001
    assert door.arrivals[-1].record == place
    assert door.arrivals[-1].body == content[262_144:][:65_536]
    assert (tmp_path / "done" / "counts.csv").read_bytes() == content
    (rejected,) = rejects_in(tmp_path / "done" / "counts.csv.rejects.csv")
    assert (rejected["place"], rejected["reason"], rejected["value"]) == (place, "bad_totals", "1")
    known = db.transaction(lambda tx: tx.query("select records, finished_at is null from files"))
    assert known == [(20_001, False)]


def test_totals_that_do_not_agree_keep_the_whole_file_out(db: Database, tmp_path: Path) -> None:
    form = Format(kind="csv", totals=Totals(mark="TRL", count=2, sum=3, of="qty"))
    door = FakeDoor()
    folder = folder_of(tmp_path, db, door, form)
    drop(tmp_path, counts(3) + b"TRL,3,4,\n", "wrong.csv")
    drop(tmp_path, counts(3) + b"TRL,3,3,\n", "right.csv")

    results = {result.file: result for result in folder.poll(later())}

    assert (results["wrong.csv"].state, results["wrong.csv"].reason) == ("rejected", "bad_totals")
    assert (results["right.csv"].state, results["right.csv"].records) == ("done", 3)
    assert [each.record for each in door.arrivals if each.file] == ["row 2", "row 3", "row 4"]


def test_a_crash_in_the_middle_is_made_up_for(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, counts(2))
    folder = folder_of(tmp_path, db)
    real = directory.move

    def no_last_move(source: Path, target: Path) -> None:
        if target.name == "counts.csv":
            raise OSError("the power went")
        real(source, target)

    monkeypatch.setattr(directory, "move", no_last_move)
    assert folder.poll(later())[0].state == "failed"
    monkeypatch.setattr(directory, "move", real)

    (result,) = folder.poll(later())

    assert (result.state, result.records) == ("done", 2)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["counts.csv", "counts.csv.result.json"]


def test_a_file_that_grows_while_it_is_read_is_taken_up_again_whole(db: Database, tmp_path: Path) -> None:
    path = drop(tmp_path, counts(2))
    file = path.open("ab")

    class Meanwhile(FakeDoor):
        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            if not file.closed:
                file.write(b"SKU-9,9,R9,\n")
                file.close()
            return super().process(arrivals)

    folder = folder_of(tmp_path, db, Meanwhile())
    (first,) = folder.poll(later())
    (second,) = folder.poll(later())

    assert (first.state, second.state, second.records) == ("failed", "done", 3)


def test_a_file_that_fails_again_and_again_is_tried_less_and_less_often(db: Database, tmp_path: Path) -> None:
    class Broken(FakeDoor):
        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            raise ValueError("a mistake of ours")

    drop(tmp_path, counts(1))
    folder = folder_of(tmp_path, db, Broken())
    start = later()

    tried = [second for second in range(100) if folder.poll(start + timedelta(seconds=second))]

    assert tried == [0, 1, 2, 4, 8, 16, 32, 64]


# Packed files


def test_a_gz_file_is_read_like_what_is_in_it(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, gzip.compress(counts(2)) + gzip.compress(counts(3, 2)[len(HEADER) :]), "counts.csv.gz")
    door = FakeDoor()

    (result,) = folder_of(tmp_path, db, door).poll(later())

    assert (result.state, result.records) == ("done", 5)
    assert [arrival.record for arrival in door.arrivals] == [f"row {n}" for n in range(2, 7)]


def test_nothing_of_a_gz_file_that_is_cut_off_is_taken(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, gzip.compress(os.urandom(0) + counts(5000))[:-2000], "counts.csv.gz")
    door = FakeDoor()

    (result,) = folder_of(tmp_path, db, door).poll(later())

    assert (result.state, result.reason) == ("rejected", "truncated")
    assert [arrival.record for arrival in door.arrivals] == ["counts.csv.gz, as a whole"]


def test_each_file_of_a_zip_has_its_own_result_and_bad_ones_hold_up_nobody(db: Database, tmp_path: Path) -> None:
    content = zipped(
        {
            "a.csv": counts(2),
            "sub/b.csv": MIXED,
            "../../evil.csv": counts(1),
            "empty.csv": b"",
            "__MACOSX/._a.csv": b"\0\5\x16\7",
        }
    )
    drop(tmp_path, content, "counts.zip")
    door = FakeDoor()

    (result,) = folder_of(tmp_path, db, door).poll(later())

    assert result.state == "partial"
    assert [(entry.name, entry.state, entry.records, entry.reason) for entry in result.entries] == [
        ("a.csv", "done", 2, None),
        ("sub/b.csv", "done", 4, None),
        ("../../evil.csv", "rejected", 0, "unsafe_name"),
        ("empty.csv", "rejected", 0, "no_header"),
        ("__MACOSX/._a.csv", "skipped", 0, None),
    ]
    assert [arrival.record for arrival in door.arrivals] == [
        "a.csv: row 2",
        "a.csv: row 3",
        "sub/b.csv: row 2",
        "sub/b.csv: row 3",
        "sub/b.csv: row 5",
        "sub/b.csv: row 6",
        "../../evil.csv: counts.zip, as a whole",
        "empty.csv: counts.zip, as a whole",
    ]
    assert list(tmp_path.parent.glob("**/evil.csv")) == []
    rejects = rejects_in(tmp_path / "done" / "counts.zip.rejects.csv")
    assert [row["place"] for row in rejects] == ["sub/b.csv: row 3", "sub/b.csv: row 5"]


def test_a_bomb_is_refused_before_anything_of_it_is_taken(db: Database, tmp_path: Path) -> None:
    bomb = gzip.compress(counts(2) + b"\n" * 50_000_000)
    drop(tmp_path, bomb, "bomb.gz")
    drop(tmp_path, zipped({"bomb.csv": counts(2) + b"\n" * 50_000_000}), "bomb.zip")
    door = FakeDoor()

    results = folder_of(tmp_path, db, door).poll(later())

    assert [(result.state, result.reason) for result in results] == [("rejected", "unpacks_too_far")] * 2
    assert [arrival.file for arrival in door.arrivals] == [None, None]


def test_packed_files_come_into_folders_with_records_too(db: Database, tmp_path: Path) -> None:
    from tests.connectors import test_drop_folder as rows

    drop(tmp_path, gzip.compress(rows.sales(3).encode()), "sales.csv.gz")
    drop(tmp_path, zipped({"a.csv": rows.sales(2).encode(), "b.csv": b"x,y\n1,2\n"}), "sales.zip")
    door = rows.FakeDoor()

    results = rows.folder_of(tmp_path, db, door, pattern="*").poll(later())

    assert sorted((result.file, result.state, result.records) for result in results) == [
        ("sales.csv.gz", "done", 3),
        ("sales.zip", "partial", 2),
    ]
    assert {arrival.record for arrival in door.arrivals[-2:]} <= {
        "rows 2-3", "rows 4-5", "rows 6-7", "a.csv: rows 2-3", "a.csv: rows 4-5"
    }  # fmt: skip


# What must not come in


def test_a_file_larger_than_the_limit_is_not_even_read(db: Database, tmp_path: Path) -> None:
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(2 * 1024**3)
    door = FakeDoor()

    (result,) = folder_of(tmp_path, db, door, limits={"file_bytes_max": 1024**3}).poll(later())

    assert (result.state, result.reason, result.sha256) == ("rejected", "file_too_large", "")
    assert result.explanation is not None
    assert "2147483648 bytes" in result.explanation
    assert (tmp_path / "rejected" / "huge.csv").stat().st_size == 2 * 1024**3


def test_links_and_pipes_are_refused_and_vanished_files_are_nothing(db: Database, tmp_path: Path) -> None:
    drop(tmp_path / "elsewhere", counts(1))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "elsewhere" / "counts.csv")
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    door = FakeDoor()
    folder = folder_of(tmp_path / "in", db, door)

    results = folder.poll(later())

    assert [(result.file, result.reason) for result in results] == [
        ("link.csv", "not_a_file"),
        ("pipe.csv", "not_a_file"),
    ]
    assert [arrival.record for arrival in door.arrivals] == ["link.csv, as a whole", "pipe.csv, as a whole"]
    assert directory.claim(tmp_path / "in", "gone.csv") is None


# Manifests


def test_a_file_waits_for_its_manifest_and_is_taken_when_that_agrees(db: Database, tmp_path: Path) -> None:
    content = counts(3)
    folder = folder_of(tmp_path, db, manifest_suffix=".manifest")
    drop(tmp_path, content)
    assert folder.poll(later()) == []
    digest = hashlib.sha256(content).hexdigest()
    drop(tmp_path, f"bytes: {len(content)}\nsha256: {digest}\nrows: 3\n".encode(), "counts.csv.manifest")

    (result,) = folder.poll(later())

    assert (result.state, result.records) == ("done", 3)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == [
        "counts.csv",
        "counts.csv.manifest",
        "counts.csv.result.json",
    ]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"rows: 4\n", "3 rows' is not what its manifest says: 4 rows"),
        (b'{"bytes": 7, "md5": "%s"}' % (b"0" * 32), "bytes, md5"),
        (b"nothing", "is not lines such as `bytes: 1204`"),
        (b"rows: some", "manifest.rows: 'some' is not a whole number"),
    ],
)
def test_a_file_that_is_not_what_its_manifest_says_is_rejected_with_what_differs(
    db: Database, tmp_path: Path, said: bytes, told: str
) -> None:
    drop(tmp_path, counts(3))
    drop(tmp_path, said, "counts.manifest")
    door = FakeDoor()

    (result,) = folder_of(tmp_path, db, door, manifest_suffix=".manifest").poll(later())

    assert result.state == "rejected"
    assert result.reason in ("manifest_mismatch", "bad_manifest")
    assert told in str(result.explanation)
    assert [arrival.file for arrival in door.arrivals] == [None]
    assert (tmp_path / "rejected" / "counts.csv.manifest").read_bytes() == said


def test_after_a_crash_between_a_file_and_its_manifest_both_are_found_again(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, counts(3))
    drop(tmp_path, b"rows: 3", "counts.csv.manifest")
    (tmp_path / directory.TAKEN).mkdir()
    assert directory.claim(tmp_path, "counts.csv") is not None

    (result,) = folder_of(tmp_path, db, manifest_suffix=".manifest").poll(later())

    assert (result.state, result.records) == ("done", 3)


def test_observers_are_told_the_name_of_the_file_and_of_the_one_in_it(db: Database, tmp_path: Path) -> None:
    seen: list[Origin] = []

    class Watch:
        def readings(self, translator: object, origin: Origin, readings: object, outcomes: object) -> None:
            seen.append(origin)

        def interchange(self, translator: object, origin: Origin, interchange: object) -> None:
            raise AssertionError("a CSV has none")

    drop(tmp_path, zipped({"a.csv": counts(1)}), "counts.zip")

    folder_of(tmp_path, db, observers=[Watch()]).poll(later())

    assert [(origin.name, origin.entry, dict(origin.context)) for origin in seen] == [
        ("counts.zip", "a.csv", {"file": "counts.zip", "entry": "a.csv"})
    ]


def test_the_audit_holds_whatever_became_of_the_files(db: Database, tmp_path: Path) -> None:
    drop(tmp_path, zipped({"a.csv": counts(2), "b.csv": MIXED, "../c.csv": counts(9), "d.csv": b""}), "counts.zip")
    drop(tmp_path, gzip.compress(counts(4, 20)), "counts.gz")
    drop(tmp_path, gzip.compress(counts(4, 20)), "again.gz")
    drop(tmp_path, b"sku,sku\n", "bad.csv")
    drop(tmp_path, counts(3, 30), "totals.csv")
    link = folder_of(tmp_path, db).folder
    door = Door(db, estate(link))  # type: ignore[arg-type]

    results = folder_of(tmp_path, db, door).poll(later())

    assert sorted((result.file, result.state) for result in results) in (
        [
            ("again.gz", state),
            ("bad.csv", "rejected"),
            ("counts.gz", other),
            ("counts.zip", "partial"),
            ("totals.csv", "done"),
        ]
        for state, other in (("duplicate", "done"), ("done", "duplicate"))
    )
    findings = audit(db, estate=estate(link), now=later())  # type: ignore[arg-type]
    assert [(finding.name, finding.rows) for finding in findings if not finding.holds] == []
    known = db.transaction(lambda tx: tx.query("select rows, rows_rejected, records from files order by 1"))
    assert known == [(3, 0, 3), (4, 0, 4), (7, 2, 6)]
