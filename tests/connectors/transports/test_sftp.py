"""Files on a real SSH server: what is put there is whole, what is fetched is what lies there, and every trouble is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from interlock.connectors.transports.sftp import Entry, FileChanging, SftpServer
from interlock.domain.errors import PeerRefused, PeerUnreachable
from tests.connectors.transports.ssh_server import PASSWORD, SshServer, ssh_server

ENVIRONMENT = {"SFTP_PASSWORD": PASSWORD}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with ssh_server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def client(server: SshServer) -> Iterator[SftpServer]:
    found = SftpServer(server.host(), timeout_s=5, environment=ENVIRONMENT)
    yield found
    found.close()


def connect(server: SshServer, environment: dict[str, str] = ENVIRONMENT, **more: object) -> PeerUnreachable:
    """What a server that does not let us in is told as."""
    there = SftpServer(server.host(**more), timeout_s=5, environment=environment)
    try:
        with pytest.raises(PeerUnreachable) as caught:
            there.look("/")
    finally:
        there.close()
    return caught.value


def test_a_file_is_put_under_a_hidden_name_first_and_is_on_the_disk_before_it_is_renamed(
    server: SshServer, client: SftpServer
) -> None:
    client.put("/in", "orders.edi", b"ISA*", ".done")

    assert {path.name: path.read_bytes() for path in (server.root / "in").iterdir()} == {
        "orders.edi": b"ISA*",
        "orders.edi.done": b"",
    }
    begun = next(call for call in server.calls if call.startswith("open"))
    assert begun.startswith("open /in/.orders.edi.")
    assert begun.endswith(".tmp")
    assert server.calls.index("fsync") < server.calls.index("replace /in/orders.edi")


def test_the_same_name_again_replaces_the_file(server: SshServer, client: SftpServer) -> None:
    for content in (b"a" * 9_000_000, b"b"):
        client.put("/", "orders.edi", content)

        assert (server.root / "orders.edi").read_bytes() == content
    assert [path.name for path in server.root.iterdir()] == ["orders.edi"]


def test_a_server_without_extensions_gets_its_files_too_and_they_are_replaced_too(tmp_path: Path) -> None:
    with ssh_server(tmp_path, no_extensions=True) as server:
        client = SftpServer(server.host(), timeout_s=5, environment=ENVIRONMENT)
        for content in (b"a", b"b"):
            client.put("/", "orders.edi", content)
        client.close()

        assert {path.name: path.read_bytes() for path in server.root.iterdir()} == {"orders.edi": b"b"}


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "x" * 256, "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused_for_good_and_nothing_is_sent(
    server: SshServer, client: SftpServer, name: str
) -> None:
    with pytest.raises(PeerRefused):
        client.put("/", name, b"x")

    assert server.logins == 0


def test_what_lies_there_is_told_with_kinds_sizes_and_names_in_any_encoding(
    server: SshServer, client: SftpServer
) -> None:
    (server.root / "a.csv").write_bytes(b"12345")
    os.utime(server.root / "a.csv", (1_700_000_000, 1_700_000_000))
    (server.root / "dir").mkdir()
    (server.root / "link").symlink_to("a.csv")
    os.mkfifo(server.root / "pipe")
    (server.root / os.fsdecode(b"caf\xe9.csv")).write_bytes(b"")

    found = client.look("/")

    assert found[0] == Entry("a.csv", "file", 5, 1_700_000_000)
    assert {entry.name: entry.kind for entry in found} == {
        "a.csv": "file", "dir": "directory", "link": "link", "pipe": "other", os.fsdecode(b"caf\xe9.csv"): "file"
    }  # fmt: skip


def test_a_fetch_goes_on_where_an_earlier_one_ended(server: SshServer, client: SftpServer, tmp_path: Path) -> None:
    content = os.urandom(9_000_000)
    (server.root / "big").write_bytes(content)
    entry = client.look("/")[0]
    (tmp_path / "part").write_bytes(content[:6_000_000])

    client.fetch("/big", tmp_path / "part", entry)

    assert (tmp_path / "part").read_bytes() == content
    assert server.served == 3_000_000


def test_a_connection_that_is_cut_in_the_middle_of_a_file_costs_nothing_but_time(
    server: SshServer, client: SftpServer, tmp_path: Path
) -> None:
    content = os.urandom(12_000_000)
    (server.root / "big").write_bytes(content)
    entry = client.look("/")[0]
    server.cut_after = 5_000_000

    client.fetch("/big", tmp_path / "part", entry)

    assert (tmp_path / "part").read_bytes() == content
    assert server.served < 18_000_000  # it went on, and did not begin anew
    assert server.logins == 2


def test_a_file_that_changes_while_it_is_fetched_is_told(server: SshServer, client: SftpServer, tmp_path: Path) -> None:
    (server.root / "a.csv").write_bytes(b"12345")
    entry = client.look("/")[0]
    with (server.root / "a.csv").open("ab") as file:
        file.write(b"6")

    with pytest.raises(FileChanging, match="was changed while it was read"):
        client.fetch("/a.csv", tmp_path / "part", entry)


def test_a_file_is_moved_beside_one_of_the_same_name_not_over_it(server: SshServer, client: SftpServer) -> None:
    for content in ("one", "two"):
        (server.root / "a.csv").write_text(content)
        name = client.move("/a.csv", "/done", "a.csv", f"a.{content}.csv")
        assert name == ("a.csv" if content == "one" else "a.two.csv")

    assert {path.name: path.read_text() for path in (server.root / "done").iterdir()} == {
        "a.csv": "one",
        "a.two.csv": "two",
    }
    assert client.move("/a.csv", "/done", "a.csv", "b.csv") == ""


def test_a_server_with_another_key_gets_no_password(server: SshServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()

    error = connect(server, host_key=other)

    assert "shows another key than the estate's host_key: nothing was sent to it" in str(error)
    assert server.logins == 0


def test_a_server_with_a_key_of_another_kind_gets_no_password(server: SshServer) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().strip()

    error = connect(server, host_key=other)

    assert "host_key" in str(error)
    assert server.logins == 0


def test_a_wrong_password_is_told_with_the_variable_that_holds_it_and_without_it(server: SshServer) -> None:
    error = connect(server, {"SFTP_PASSWORD": "wrong-secret"})

    assert "does not let interlock in with what SFTP_PASSWORD holds" in str(error)
    assert "wrong-secret" not in str(error)


def test_a_missing_variable_is_told_by_its_name(server: SshServer) -> None:
    assert "needs the password: set the environment variable SFTP_PASSWORD" in str(connect(server, {}))
    error = connect(server, {}, password_env=None, key_file_env="SFTP_KEY")
    assert "needs the path of the private key: set the environment variable SFTP_KEY" in str(error)


def test_a_private_key_lets_in_and_one_that_is_none_is_told(server: SshServer, tmp_path: Path) -> None:
    server.client_key.write_private_key(str(tmp_path / "key"))
    host = server.host(password_env=None, key_file_env="SFTP_KEY")
    client = SftpServer(host, timeout_s=5, environment={"SFTP_KEY": str(tmp_path / "key")})
    assert client.look("/") == []
    client.close()

    (tmp_path / "bad").write_text("no key")
    error = connect(server, {"SFTP_KEY": str(tmp_path / "bad")}, password_env=None, key_file_env="SFTP_KEY")
    assert "the private key" in str(error)
    assert "cannot be read" in str(error)


def test_a_server_that_is_down_is_told_and_reached_again_when_it_is_back(server: SshServer, client: SftpServer) -> None:
    client.put("/", "a", b"1")
    server.stop()
    with pytest.raises(PeerUnreachable, match="cannot be reached"):
        client.put("/", "b", b"2")

    server.start()
    client.put("/", "b", b"2")

    assert (server.root / "b").read_bytes() == b"2"


def test_a_kept_connection_that_has_died_is_made_again_without_a_word(server: SshServer, client: SftpServer) -> None:
    client.put("/", "a", b"1")
    server.cut()

    client.put("/", "b", b"2")

    assert server.logins == 2


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = SshServer.__new__(SshServer)
        server.key, server.port = asyncssh.generate_private_key("ssh-ed25519"), silent.getsockname()[1]
        client = SftpServer(server.host(), timeout_s=0.3, environment=ENVIRONMENT)
        with pytest.raises(PeerUnreachable, match="cannot be reached"):
            client.look("/")
        client.close()


def test_no_permission_no_directory_and_no_room_are_told_as_such(server: SshServer, client: SftpServer) -> None:
    (server.root / "in").mkdir()
    server.refuses.add("/in")
    with pytest.raises(PeerUnreachable, match="interlock has no permission for /in: not yours"):
        client.look("/in")
    with pytest.raises(PeerUnreachable, match="/gone is not there"):
        client.look("/gone")
    server.full = True
    with pytest.raises(PeerUnreachable, match="/in/a: Failure: No space left on device"):
        client.put("/in", "a", b"1")
    assert list((server.root / "in").iterdir()) == []
