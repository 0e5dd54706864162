"""Files on OpenSSH's own server, which most partners run: its rename, its short words for what went wrong, its permissions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest

from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.sftp import Entry, FileChanging, SftpServer
from interlock.connectors.transports.sftp_in import SftpFolder
from interlock.domain.errors import PeerRefused, PeerUnreachable
from interlock.domain.links import SftpIn
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.connectors.transports.stock_files import CSV, counts, estate, inlet_of
from tests.servers.openssh import KEY_KINDS, OpenSsh, openssh

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[OpenSsh]:
    with openssh() as running:
        yield running


@pytest.fixture
def client(server: OpenSsh) -> Iterator[SftpServer]:
    found = SftpServer(server.host(), timeout_s=10, environment=server.environment)
    yield found
    found.close()


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(ask: Callable[[], object]) -> str:
    """What is told of something that the server does not do."""
    with pytest.raises(PeerUnreachable) as caught:
        ask()
    return str(caught.value)


# Getting in


def test_each_kind_of_host_key_and_of_client_key_is_spoken() -> None:
    with openssh(key_kinds=KEY_KINDS) as server:
        for kind in KEY_KINDS:
            client = SftpServer(server.host(kind), timeout_s=10, environment={"SFTP_KEY": server.key_file(kind)})
            assert client.look(str(server.root)) == []
            client.close()


def test_who_is_not_let_in_is_told(server: OpenSsh, tmp_path: Path) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_private_key(str(tmp_path / "key"))
    client = SftpServer(server.host(), timeout_s=10, environment={"SFTP_KEY": str(tmp_path / "key")})
    assert "does not let" in refused(lambda: client.look("/"))
    client.close()

    other = stranger.export_public_key().decode().strip()
    client = SftpServer(server.host(host_key=other), timeout_s=10, environment=server.environment)
    assert "shows another key than the estate's host_key: nothing was sent to it" in refused(lambda: client.look("/"))
    client.close()

    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().strip()
    client = SftpServer(server.host(host_key=other), timeout_s=10, environment=server.environment)
    assert "check host_key's kind" in refused(lambda: client.look("/"))
    client.close()


def test_a_server_that_went_and_came_back_is_reached_again(server: OpenSsh, client: SftpServer) -> None:
    client.put(str(server.root), "a", b"1")
    assert server.connections() == 1
    server.cut()
    client.put(str(server.root), "b", b"2")
    assert server.connections() == 1

    server.stop()
    assert "cannot be reached" in refused(lambda: client.put(str(server.root), "c", b"3"))
    server.start()
    client.put(str(server.root), "c", b"3")

    assert content_of(server.root) == {"a": b"1", "b": b"2", "c": b"3"}


# What lies there


def test_what_lies_there_is_told_with_kinds_sizes_and_names_in_any_encoding(
    server: OpenSsh, client: SftpServer
) -> None:
    os.utime(server.file("out/a.csv", b"12345"), (1_700_000_000, 1_700_000_000))
    (server.root / "out" / "dir").mkdir()
    (server.root / "out" / "link").symlink_to("a.csv")
    (server.root / "out" / "nowhere").symlink_to("gone")
    os.mkfifo(server.root / "out" / "pipe")
    server.file("out/" + os.fsdecode(b"caf\xe9.csv"), b"")

    found = client.look(f"{server.root}/out")

    assert found[0] == Entry("a.csv", "file", 5, 1_700_000_000)
    assert {entry.name: entry.kind for entry in found} == {
        "a.csv": "file", "dir": "directory", "link": "link", "nowhere": "link", "pipe": "other",
        os.fsdecode(b"caf\xe9.csv"): "file",
    }  # fmt: skip


def test_a_thousand_names_are_all_told(server: OpenSsh, client: SftpServer) -> None:
    for number in range(1_000):
        (server.root / f"{number:04}.csv").touch()

    assert [entry.name for entry in client.look(str(server.root))] == [f"{number:04}.csv" for number in range(1_000)]


def test_a_fetch_goes_on_where_an_earlier_one_ended_and_a_file_that_changes_is_told(
    server: OpenSsh, client: SftpServer, tmp_path: Path
) -> None:
    content = os.urandom(9_000_000)
    path = server.file("big", content)
    entry = client.look(str(server.root))[0]
    (tmp_path / "part").write_bytes(content[:6_000_001])

    client.fetch(f"{server.root}/big", tmp_path / "part", entry)

    assert (tmp_path / "part").read_bytes() == content
    assert client.read(f"{server.root}/big", 10) == content[:10]
    with path.open("ab") as file:
        file.write(b"more")
    assert not client.is_still(f"{server.root}/big", entry)
    with pytest.raises(FileChanging):
        client.fetch(f"{server.root}/big", tmp_path / "again", entry)


# Putting


def test_a_file_is_put_whole_with_its_marker_into_directories_that_are_made(
    server: OpenSsh, client: SftpServer
) -> None:
    content = os.urandom(9_000_000)

    client.put(f"{server.root}/in/deep/er", "orders.edi", content, ".done")

    assert content_of(server.root / "in" / "deep" / "er") == {"orders.edi": content, "orders.edi.done": b""}


def test_a_file_is_replaced_without_a_moment_in_which_there_is_none(server: OpenSsh, client: SftpServer) -> None:
    client.put(str(server.root), "prices.csv", b"0" * 100_000)
    seen: set[bytes] = set()
    gone: list[OSError] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            try:
                seen.add((server.root / "prices.csv").read_bytes())
            except OSError as error:
                gone.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 10):
        client.put(str(server.root), "prices.csv", b"%d" % number * 100_000)
    stop.set()
    watcher.join()

    assert gone == []
    assert seen <= {b"%d" % number * 100_000 for number in range(10)}
    assert [path.name for path in server.root.iterdir()] == ["prices.csv"]


def test_without_its_extensions_files_are_put_and_replaced_too() -> None:
    with openssh("-P posix-rename,fsync") as server:
        client = SftpServer(server.host(), timeout_s=10, environment=server.environment)
        for content in (b"a", b"b"):
            client.put(str(server.root), "orders.edi", content)
        client.close()

        assert content_of(server.root) == {"orders.edi": b"b"}


def test_names_as_long_as_names_may_be_are_put_and_longer_ones_refused(server: OpenSsh, client: SftpServer) -> None:
    names = ["x" * 246 + ".edi", "ü" * 123 + ".edi", "注" * 82 + ".edi"]
    for name in names:
        client.put(str(server.root), name, b"1", ".done")

    assert content_of(server.root) == {
        f"{name}{suffix}": b"" if suffix else b"1" for name in names for suffix in ("", ".done")
    }
    with pytest.raises(PeerRefused, match="at most 255 bytes"):
        client.put(str(server.root), "x" * 247 + ".edi", b"1", ".done")


# Moving and deleting


def test_a_file_is_moved_beside_one_of_the_same_name_and_deleting_twice_is_well(
    server: OpenSsh, client: SftpServer
) -> None:
    for content in (b"one", b"two"):
        server.file("a.csv", content)
        name = client.move(f"{server.root}/a.csv", f"{server.root}/done", "a.csv", f"a.{content.decode()}.csv")
        assert name == ("a.csv" if content == b"one" else "a.two.csv")
    assert content_of(server.root / "done") == {"a.csv": b"one", "a.two.csv": b"two"}
    assert client.move(f"{server.root}/a.csv", f"{server.root}/done", "a.csv", "b.csv") == ""

    for _ in range(2):
        client.delete(f"{server.root}/done/a.csv")
    assert content_of(server.root / "done") == {"a.two.csv": b"two"}


def test_links_that_lead_nowhere_are_moved_as_links(server: OpenSsh, client: SftpServer) -> None:
    server.file("out/a", b"")
    (server.root / "out" / "link").symlink_to("gone")

    assert client.move(f"{server.root}/out/link", f"{server.root}/rejected", "link", "link.2") == "link"

    assert (server.root / "rejected" / "link").readlink() == Path("gone")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file that is another user's")
def test_a_file_that_the_partner_owns_and_we_may_only_read_is_moved_too(server: OpenSsh, client: SftpServer) -> None:
    # OpenSSH's plain rename makes a second name first, which Linux does not let us do to such a file.
    server.file("a.csv", b"one", mine=False).chmod(0o644)
    server.file("done/b.csv", b"kept")

    assert client.move(f"{server.root}/a.csv", f"{server.root}/done", "a.csv", "a.2.csv") == "a.csv"
    server.file("b.csv", b"two", mine=False).chmod(0o644)
    assert client.move(f"{server.root}/b.csv", f"{server.root}/done", "b.csv", "b.2.csv") == "b.2.csv"

    assert content_of(server.root / "done") == {"a.csv": b"one", "b.csv": b"kept", "b.2.csv": b"two"}
    assert content_of(server.root) == {}


# What it does not do


def test_what_it_does_not_do_is_told_with_the_path_and_a_reason(
    server: OpenSsh, client: SftpServer, tmp_path: Path
) -> None:
    server.file("a.csv", b"1")
    server.file("locked/b.csv", b"1")
    (server.root / "locked").chmod(0)
    root = str(server.root)

    assert f"has no permission for {root}/locked: Permission denied" in refused(lambda: client.look(f"{root}/locked"))
    assert f"has no permission for {root}/locked/c" in refused(lambda: client.put(f"{root}/locked", "c", b"1"))
    assert f"{root}/gone is not there: No such file" in refused(lambda: client.look(f"{root}/gone"))
    assert f"{root}/a.csv" in refused(lambda: client.look(f"{root}/a.csv"))
    assert f"{root}/a.csv/b" in refused(lambda: client.put(f"{root}/a.csv", "b", b"1"))
    gone = Entry("gone", "file", 1, 0)
    assert f"{root}/gone is not there" in refused(lambda: client.fetch(f"{root}/gone", tmp_path / "part", gone))
    assert not client.is_still(f"{root}/gone", gone)
    (server.root / "locked").chmod(0o700)
    assert content_of(server.root / "locked") == {"b.csv": b"1"}


def test_a_bare_failure_is_told_with_what_it_may_be_and_nothing_half_is_left(
    server: OpenSsh, client: SftpServer
) -> None:
    server.file("prices/old", b"1")

    said = refused(lambda: client.put(str(server.root), "prices", b"1"))

    assert said.endswith(
        "/prices: Failure: the server gives no reason; its disk may be full, or something else of that name be in the way"
    )
    assert [path.name for path in server.root.iterdir()] == ["prices"]


def test_a_server_on_which_nothing_may_be_written_is_told() -> None:
    with openssh("-R") as server:
        server.file("out/a.csv", b"1")
        client = SftpServer(server.host(), timeout_s=10, environment=server.environment)
        assert "has no permission for" in refused(lambda: client.put(f"{server.root}/out", "b", b"1"))
        assert [entry.name for entry in client.look(f"{server.root}/out")] == ["a.csv"]
        client.close()


# The whole way in


class Link:
    """A link to the server over the real engine, polled by a clock of the test that goes on two seconds with each look."""

    def __init__(self, server: OpenSsh, db: Database, spool: Path) -> None:
        link = SftpIn(
            server=server.host(), path=f"{server.root}/out", pattern="*", mapping="counts", format=CSV, timeout_s=10.0
        )
        door = Door(db, estate(link))
        system, inlet = inlet_of(link, door)
        mapper = Mapper(estate(link))
        self.folder = SftpFolder(
            system, link, mapper, door, db, spool, inlet=inlet, environment=server.environment
        )  # fmt: skip
        self.now = NOW

    def look(self) -> list[tuple[str, str, int]]:
        self.now += timedelta(seconds=2)
        return [(result.file, result.state, result.records) for result in self.folder.poll(self.now)]


@pytest.fixture
def link(server: OpenSsh, db: Database, tmp_path: Path) -> Iterator[Link]:
    found = Link(server, db, tmp_path / "spool")
    yield found
    found.folder.close()


def outcomes(db: Database) -> dict[str, int]:
    sql = "select outcome, count(*)::int from messages group by outcome"
    return dict(db.transaction(lambda tx: tx.query(sql)))


def test_files_come_in_once_and_lie_in_done_afterwards(
    server: OpenSsh, link: Link, db: Database, tmp_path: Path
) -> None:
    server.file("out/counts.csv", counts(300))
    server.file("out/more.csv", counts(3, first=300))
    assert link.look() == []

    assert link.look() == [("counts.csv", "done", 300), ("more.csv", "done", 3)]

    assert outcomes(db) == {"processed": 303}
    assert content_of(server.root / "out") == {}
    assert content_of(server.root / "out" / "done") == {"counts.csv": counts(300), "more.csv": counts(3, first=300)}
    server.file("out/counts.csv", counts(300))
    link.look()
    server.cut()
    assert [(name, state) for name, state, _ in link.look()] == [("counts.csv", "duplicate")]
    assert len(content_of(server.root / "out" / "done")) == 3
    assert outcomes(db) == {"processed": 303}


def test_a_file_that_we_may_not_read_holds_up_no_other_and_is_told(server: OpenSsh, link: Link, db: Database) -> None:
    server.file("out/a.csv", counts(1, first=2)).chmod(0)
    server.file("out/b.csv", counts(2))
    link.look()

    assert link.look() == [("b.csv", "done", 2)]

    assert "has no permission for" in str(link.folder.trouble)
    assert "out/a.csv" in str(link.folder.trouble)
    link.look()
    assert "out/a.csv" in refused(link.look)
    (server.root / "out" / "a.csv").chmod(0o644)
    link.look()
    assert link.look() == [("a.csv", "done", 1)]
    assert outcomes(db) == {"processed": 3}
