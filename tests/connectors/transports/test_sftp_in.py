"""Files come in from a real SSH server: each once, whatever breaks in between, and never away from there before it is taken."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.connectors.mapping import Mapper
from interlock.connectors.transports import sftp_in
from interlock.connectors.transports.sftp_in import SftpFolder
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.errors import DatabaseUnavailable, PeerUnreachable
from interlock.domain.links import SftpIn
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.connectors.transports.ssh_server import PASSWORD, SshServer, ssh_server
from tests.connectors.transports.stock_files import CSV, FakeDoor, counts, estate, inlet_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "server") as running:
        (running.root / "out").mkdir()
        yield running


class Link:
    """A link to the server, polled by a clock of the test that goes on two seconds with each look."""

    def __init__(self, server: SshServer, db: Database, spool: Path, door: object = None, **more: object) -> None:
        limits = {name: more.pop(name) for name in ("file_bytes_max",) if name in more}
        how = {"pattern": "*", "mapping": "counts", "format": CSV, "timeout_s": 5.0, **more}
        link = SftpIn(server=server.host(), path="/out", **how)  # type: ignore[arg-type]
        self.door = door or FakeDoor()
        system, inlet = inlet_of(link, self.door, **limits)  # type: ignore[arg-type]
        mapper = Mapper(estate(link))
        environment = {"SFTP_PASSWORD": PASSWORD}
        self.folder = SftpFolder(
            system,
            link,
            mapper,
            self.door,
            db,
            spool,
            inlet=inlet,
            environment=environment,  # type: ignore[arg-type]
        )
        self.now = NOW

    def look(self) -> list[tuple[str, str, int]]:
        self.now += timedelta(seconds=2)
        return [(result.file, result.state, result.records) for result in self.folder.poll(self.now)]

    def close(self) -> None:
        self.folder.close()


@pytest.fixture
def link(server: SshServer, db: Database, tmp_path: Path) -> Iterator[Link]:
    found = Link(server, db, tmp_path / "spool")
    yield found
    found.close()


def put(server: SshServer, content: bytes, name: str = "counts.csv") -> Path:
    path = server.root / "out" / name
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.exists() else []


def test_a_file_that_two_looks_found_the_same_is_taken_and_then_moved_away(
    server: SshServer, link: Link, tmp_path: Path
) -> None:
    put(server, counts(3))
    assert link.look() == []

    assert link.look() == [("counts.csv", "done", 3)]

    assert names(server.root / "out") == []
    assert (server.root / "out" / "done" / "counts.csv").read_bytes() == counts(3)
    assert (tmp_path / "spool" / "done" / "counts.csv").read_bytes() == counts(3)
    assert [arrival.record for arrival in link.door.arrivals] == ["row 2", "row 3", "row 4"]  # type: ignore[attr-defined]
    assert link.look() == link.look() == []


def test_a_file_that_still_grows_is_left_alone(server: SshServer, link: Link) -> None:
    for rows in (1, 2, 3):
        put(server, counts(rows))
        assert link.look() == []

    assert link.look() == [("counts.csv", "done", 3)]


def test_names_in_transfer_are_left_alone_and_a_marker_lets_a_file_in_at_once(
    server: SshServer, db: Database, tmp_path: Path
) -> None:
    link = Link(server, db, tmp_path / "spool", done_suffix=".done")
    for name in (".hidden.csv", "a.csv.tmp", "b.csv.part", "c.csv.filepart", "d.csv"):
        put(server, counts(1), name)
    assert link.look() == link.look() == []

    put(server, b"", "d.csv.done")

    assert link.look() == [("d.csv", "done", 1)]
    assert names(server.root / "out") == [".hidden.csv", "a.csv.tmp", "b.csv.part", "c.csv.filepart"]
    link.close()


def test_what_was_taken_is_deleted_where_the_estate_wants_it(server: SshServer, db: Database, tmp_path: Path) -> None:
    link = Link(server, db, tmp_path / "spool", after="delete")
    put(server, counts(1))
    link.look()

    assert link.look() == [("counts.csv", "done", 1)]

    assert list((server.root / "out").iterdir()) == []
    link.close()


def test_the_same_bytes_again_are_a_duplicate_and_lie_beside_the_first(server: SshServer, link: Link) -> None:
    for state in ("done", "duplicate"):
        put(server, counts(1))
        link.look()
        assert [(name, found) for name, found, _ in link.look()] == [("counts.csv", state)]

    assert len(names(server.root / "out" / "done")) == 2


def test_links_and_files_that_are_too_large_are_not_fetched_and_put_aside(
    server: SshServer, db: Database, tmp_path: Path
) -> None:
    link = Link(server, db, tmp_path / "spool", file_bytes_max=1000)
    (tmp_path / "secret.csv").write_bytes(counts(1))
    (server.root / "out" / "link.csv").symlink_to(tmp_path / "secret.csv")
    with put(server, b"", "huge.csv").open("wb") as file:
        file.truncate(2 * 1024**3)

    assert link.look() == [("huge.csv", "rejected", 0), ("link.csv", "rejected", 0)]

    assert names(server.root / "out") == []
    assert sorted(path.name for path in (server.root / "out" / "rejected").iterdir()) == ["huge.csv", "link.csv"]
    assert server.served == 0
    reasons = [arrival.problem.reason for arrival in link.door.arrivals]  # type: ignore[attr-defined]
    assert reasons == ["file_too_large", "not_a_file"]
    assert link.look() == []
    link.close()


def test_what_cannot_be_put_aside_is_told_once(server: SshServer, link: Link, tmp_path: Path) -> None:
    (server.root / "out" / "link.csv").symlink_to(tmp_path)
    server.refuses.add("/out/link.csv")

    assert link.look() == [("link.csv", "rejected", 0)]
    assert link.look() == []


def test_names_in_any_encoding_come_in(server: SshServer, link: Link) -> None:
    put(server, counts(1), os.fsdecode(b"caf\xe9.csv"))
    put(server, counts(2), "späti 1.csv")
    put(server, counts(3), "x" * 240 + ".csv")
    link.look()

    assert sorted(state for _, state, _ in link.look()) == ["done"] * 3
    assert len(names(server.root / "out" / "done")) == 3
    assert names(server.root / "out") == []


def test_a_file_that_cannot_be_read_is_away_from_the_server_too_and_a_person_sees_it(
    server: SshServer, link: Link, tmp_path: Path
) -> None:
    put(server, b"sku,sku\n")
    link.look()

    assert link.look() == [("counts.csv", "rejected", 0)]

    assert names(server.root / "out" / "done") == ["counts.csv"]
    assert names(tmp_path / "spool" / "rejected") == ["counts.csv", "counts.csv.result.json"]
    assert [arrival.record for arrival in link.door.arrivals] == ["counts.csv, as a whole"]  # type: ignore[attr-defined]


def test_a_manifest_comes_with_its_file(server: SshServer, db: Database, tmp_path: Path) -> None:
    link = Link(server, db, tmp_path / "spool", manifest_suffix=".mf")
    put(server, counts(2))
    assert link.look() == link.look() == []
    digest = hashlib.sha256(counts(2)).hexdigest()
    put(server, f"{digest}  counts.csv\n".encode(), "counts.csv.mf")
    link.look()

    assert link.look() == [("counts.csv", "done", 2)]

    assert names(server.root / "out" / "done") == ["counts.csv", "counts.csv.mf"]
    assert names(tmp_path / "spool" / "done") == ["counts.csv", "counts.csv.mf", "counts.csv.result.json"]
    link.close()


# What breaks


def test_a_file_is_fetched_over_several_connections_if_need_be(server: SshServer, link: Link) -> None:
    put(server, counts(200_000))
    link.look()
    server.cut_after = 1_000_000

    (found,) = link.look()

    assert found == ("counts.csv", "done", 200_000)
    assert server.logins == 2


def test_a_server_that_is_down_is_told_and_what_waits_is_taken_when_it_is_back(server: SshServer, link: Link) -> None:
    put(server, counts(1))
    link.look()
    server.stop()
    with pytest.raises(PeerUnreachable, match="cannot be reached"):
        link.look()

    server.start()

    assert link.look() == [("counts.csv", "done", 1)]


def test_a_file_that_cannot_be_moved_away_is_not_fetched_again_and_moved_when_that_can_be(
    server: SshServer, link: Link
) -> None:
    put(server, counts(1))
    link.look()
    server.refuses.add("/out/done/counts.csv")

    assert link.look() == [("counts.csv", "done", 1)]
    assert "no permission for" in str(link.folder.trouble)
    with pytest.raises(PeerUnreachable, match="no permission for"):
        link.look()
    fetched = sum(call == "open /out/counts.csv" for call in server.calls)
    server.refuses.clear()
    assert link.look() == []

    assert fetched == sum(call == "open /out/counts.csv" for call in server.calls) == 1
    assert names(server.root / "out" / "done") == ["counts.csv"]


def test_a_new_file_under_the_name_of_one_that_was_just_taken_is_not_moved_away_with_it(
    server: SshServer, db: Database, tmp_path: Path
) -> None:
    class Meanwhile(FakeDoor):
        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            if len(self.arrivals) == 0:
                put(server, counts(2, 10))
            return super().process(arrivals)

    link = Link(server, db, tmp_path / "spool", Meanwhile())
    put(server, counts(1))
    link.look()

    assert link.look() == [("counts.csv", "done", 1)]
    assert names(server.root / "out") == ["counts.csv"]
    link.look()
    assert link.look() == [("counts.csv", "done", 2)]
    link.close()


def test_while_the_database_is_away_the_file_stays_on_the_server_and_then_is_taken_once(
    server: SshServer, db: Database, tmp_path: Path
) -> None:
    class Away(FakeDoor):
        def __init__(self) -> None:
            super().__init__()
            self.away = True

        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            if self.away:
                raise DatabaseUnavailable("gone")
            return super().process(arrivals)

    door = Away()
    link = Link(server, db, tmp_path / "spool", door)
    put(server, counts(3))
    link.look()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            link.look()
        assert names(server.root / "out") == ["counts.csv"]
    door.away = False

    assert link.look() == [("counts.csv", "done", 3)]

    assert names(server.root / "out" / "done") == ["counts.csv"]
    assert len(door.arrivals) == 3
    assert sum(call == "open /out/counts.csv" for call in server.calls) == 1
    link.close()


@pytest.mark.parametrize("dies_at", ["fetched", "taken"])
def test_a_process_that_dies_in_between_is_followed_by_one_that_takes_the_file_once(
    server: SshServer, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    door = Door(db, estate(SftpIn(server=server.host(), path="/out", mapping="counts", format=CSV)))
    first = Link(server, db, tmp_path / "spool", door)
    put(server, counts(3))
    first.look()

    class Died(BaseException):
        """Nothing of the process goes on."""

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(SftpFolder, "_take_what_is_here" if dies_at == "fetched" else "_finish", _after_first(die))
        first.look()
    first.close()
    assert names(server.root / "out") == ["counts.csv"]

    second = Link(server, db, tmp_path / "spool", door)
    results = second.look() + second.look()
    second.close()

    assert {state for _, state, _ in results} <= {"done", "duplicate"}
    assert names(server.root / "out" / "done") == ["counts.csv"]
    assert names(server.root / "out") == []
    outcomes = db.transaction(lambda tx: tx.query("select outcome, count(*) from messages group by 1 order by 1"))
    assert outcomes == [("processed", 3)]


def _after_first(die: object) -> object:
    """The first call of a pass goes through, the second one is the end: what came before it is done."""
    calls = []
    real = {"_take_what_is_here": SftpFolder._take_what_is_here, "_finish": SftpFolder._finish}

    def called(self: SftpFolder, *rest: object) -> None:
        calls.append(1)
        if len(calls) > 1:
            die()  # type: ignore[operator]
        real["_take_what_is_here" if rest else "_finish"](self, *rest)  # type: ignore[operator]

    return called


def test_of_two_processes_at_one_link_one_looks(server: SshServer, db: Database, tmp_path: Path) -> None:
    put(server, counts(1))
    one, two = (Link(server, db, tmp_path / "spool") for _ in range(2))
    (tmp_path / "spool").mkdir()
    with sftp_in._alone(tmp_path / "spool") as mine:
        assert mine
        assert two.look() == two.look() == []
    one.look()
    assert one.look() == [("counts.csv", "done", 1)]
    assert server.logins == 1
    one.close()
    two.close()


def test_beginnings_of_files_that_are_gone_are_removed(server: SshServer, link: Link, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / ".0123456789abcdef.part").write_bytes(b"half")

    link.look()

    assert list((tmp_path / "spool").glob(".*.part")) == []


def test_it_runs_until_it_is_told_to_stop_and_outlives_a_server_that_is_away(
    server: SshServer, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_in, "TROUBLE_S_FIRST", 0.05)
    taken = threading.Event()

    class Telling(FakeDoor):
        def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
            outcomes = super().process(arrivals)
            taken.set()
            return outcomes

    door = Telling()
    link = Link(server, db, tmp_path / "spool", door, stable_s=0.1, every_s=0.1)
    put(server, counts(2))
    server.stop()
    stop = threading.Event()
    thread = threading.Thread(target=link.folder.run, args=(stop,))
    thread.start()
    stop.wait(0.3)
    server.start()
    assert taken.wait(20)
    stop.set()
    thread.join(10)

    assert not thread.is_alive()
    assert len(door.arrivals) == 2


def test_several_files_are_fetched_and_taken_in_batches(
    server: SshServer, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_in, "BATCH_FILES_MAX", 3)
    for n in range(8):
        put(server, counts(n + 1), f"{n}.csv")
    link.look()

    assert link.look() == [(f"{n}.csv", "done", n + 1) for n in range(8)]

    calls = [call.split()[0] for call in server.calls if call.startswith(("open /out/", "rename /out/"))]
    assert calls == (["open"] * 3 + ["rename"] * 3) * 2 + ["open"] * 2 + ["rename"] * 2
