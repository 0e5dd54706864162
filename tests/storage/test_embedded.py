"""The embedded server under everything that kills: real servers, real processes, real kill -9.

Run by root, the servers run under a system account and the test directories are closed to it, which is the
harder case; run by anybody else, they are his own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import conninfo

from interlock.domain.errors import EmbeddedPostgresFailed
from interlock.storage import binaries
from interlock.storage.binaries import server_account
from interlock.storage.cluster import advise
from interlock.storage.database import Database
from interlock.storage.embedded import EmbeddedPostgres, resolve, resolve_from

SMALL = "16MB"

USER = """
import os, sys
from pathlib import Path
from interlock.storage.embedded import EmbeddedPostgres
if len(sys.argv) > 2:  # only now: the interpreter may lie where this account cannot read
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
server = EmbeddedPostgres(Path(sys.argv[1]), shared_buffers="16MB")
print(server.start(), flush=True)
sys.stdin.readline()
server.stop()
print("left", flush=True)
"""


class User:
    """Another process that uses the server until it is told to leave, or killed."""

    def __init__(self, data_dir: Path, uid: int | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir), *([] if uid is None else [str(uid)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def dsn(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> str:
        return self.process.communicate("leave\n", timeout=60)[0].strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture
def users(data_dir: Path) -> Iterator[list[User]]:
    """Users to be killed after the test; then the server of `data_dir` is ended, however the test went."""
    started: list[User] = []
    yield started
    for user in started:
        user.kill()


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("made") / "var"
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL):
        pass
    return data_dir


@pytest.fixture
def made(made_once: Path, data_dir: Path) -> None:
    """Let the data directory have a cluster already: a copy takes less time than a making."""
    subprocess.run(["cp", "-a", made_once, data_dir], check=True)


@pytest.fixture(autouse=True)
def no_server_is_left(data_dir: Path) -> Iterator[None]:
    yield
    if not (data_dir / "server.lock").exists():
        return
    with (data_dir / "server.lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with EmbeddedPostgres(data_dir):
                pass
            raise AssertionError("the test left a server running") from None


def answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
        return True
    except psycopg.OperationalError:
        return False


def keep(dsn: str, word: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists kept (word text)")
        connection.execute("insert into kept values (%s)", (word,))


def kept(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return [word for (word,) in connection.execute("select word from kept order by word")]


def postmaster(dsn: str) -> psutil.Process:
    with psycopg.connect(dsn) as connection:
        parent = psutil.Process(connection.info.backend_pid).parent()
    assert parent is not None and parent.name() == "postgres"
    return parent


def gone(process: psutil.Process) -> bool:
    """Ended; whether init has collected it already is not ours to say."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_cold_start_makes_a_cluster_and_a_warm_start_finds_its_data(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        first = server.dsn
        keep(first, "apple")
    assert not answers(first)

    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        assert server.dsn == first
        assert kept(server.dsn) == ["apple"]
        with psycopg.connect(server.dsn) as connection:
            shown = connection.execute(
                "select current_setting('server_encoding'), current_setting('data_checksums'),"
                " current_setting('fsync'), current_setting('synchronous_commit'),"
                " current_setting('full_page_writes'), current_setting('listen_addresses'),"
                " current_setting('shared_buffers'), current_setting('autovacuum'),"
                " (select datcollate from pg_database where datname = 'interlock')"
            ).fetchone()
    assert shown == ("UTF8", "on", "on", "on", "on", "", "16MB", "on", "C")
    assert not answers(first)


@pytest.mark.usefixtures("made")
def test_the_server_goes_on_until_its_last_user_leaves(data_dir: Path, users: list[User]) -> None:
    users += [User(data_dir), User(data_dir)]
    dsn = users[0].dsn()
    assert users[1].dsn() == dsn
    started = postmaster(dsn)

    assert users[0].leave() == "left"
    assert postmaster(dsn) == started

    assert users[1].leave() == "left"
    assert not answers(dsn)
    assert gone(started)


def test_four_processes_that_start_at_once_share_one_server(data_dir: Path, users: list[User]) -> None:
    users += [User(data_dir) for _ in range(4)]

    assert len({user.dsn() for user in users}) == 1
    assert [path.name for path in data_dir.glob("postgres*")] == ["postgres"]
    assert [user.leave() for user in users] == ["left"] * 4


@pytest.mark.usefixtures("made")
def test_a_starter_killed_leaves_the_server_to_the_others_and_to_the_next_start(
    data_dir: Path, users: list[User]
) -> None:
    users.append(User(data_dir))
    dsn = users[0].dsn()
    users.append(User(data_dir))
    assert users[1].dsn() == dsn
    started = postmaster(dsn)

    users[0].kill()
    keep(dsn, "apple")
    users[1].kill()
    assert postmaster(dsn) == started

    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        assert postmaster(server.dsn) == started
        assert kept(server.dsn) == ["apple"]
    assert not answers(dsn)
    assert gone(started)


@pytest.mark.usefixtures("made")
def test_a_server_killed_with_its_users_recovers_what_was_committed(data_dir: Path, users: list[User]) -> None:
    users.append(User(data_dir))
    dsn = users[0].dsn()
    started = postmaster(dsn)
    keep(dsn, "apple")
    users[0].kill()
    started.kill()

    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        assert kept(server.dsn) == ["apple"]
        assert postmaster(server.dsn) != started


@pytest.mark.usefixtures("made")
def test_a_server_killed_under_its_user_comes_back_without_being_asked(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server, Database(server.dsn) as db:
        keep(server.dsn, "apple")
        for word in ("pear", "plum"):
            postmaster(server.start()).kill()
            db.transaction(lambda tx, word=word: tx.execute("insert into kept values (%(word)s)", word=word))  # type: ignore[misc]

        assert kept(server.start()) == ["apple", "pear", "plum"]


@pytest.mark.usefixtures("made")
def test_a_killed_backend_harms_nobody_else(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server, Database(server.dsn) as db:
        keep(server.dsn, "apple")
        started = postmaster(server.dsn)
        ((pid,),) = db.transaction(lambda tx: tx.query("select pg_backend_pid()"))
        os.kill(pid, signal.SIGKILL)

        assert db.transaction(lambda tx: tx.query("select word from kept")) == [("apple",)]
        assert postmaster(server.dsn) == started


@pytest.mark.usefixtures("made")
def test_left_over_files_that_name_a_stranger_neither_harm_him_nor_prevent_the_start(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        keep(server.dsn, "apple")
        socket_dir = Path(str(conninfo.conninfo_to_dict(server.dsn)["host"]))
    account = server_account()
    stranger = subprocess.Popen(["sleep", "60"], **account.as_popen())
    try:
        socket_dir.mkdir(mode=0o700, exist_ok=True)
        os.chown(socket_dir, account.uid, account.gid)
        pid_file = f"{stranger.pid}\n{data_dir}/postgres\n1700000000\n5432\n{socket_dir}\n\n  1  2\nready\n"
        for left in (data_dir / "postgres/postmaster.pid", socket_dir / ".s.PGSQL.5432.lock"):
            left.write_text(pid_file)
            os.chown(left, account.uid, account.gid)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(socket_dir / ".s.PGSQL.5432"))

        with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
            assert kept(server.dsn) == ["apple"]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.usefixtures("made")
def test_a_server_that_somebody_started_by_hand_is_left_alone(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL):
        pass
    account = server_account()
    stranger = subprocess.Popen(["sleep", "60"], cwd=data_dir / "postgres")  # as a postmaster has it
    try:
        pid_file = data_dir / "postgres/postmaster.pid"
        pid_file.write_text(f"{stranger.pid}\n")
        os.chown(pid_file, account.uid, account.gid)

        with pytest.raises(EmbeddedPostgresFailed, match=rf"did not start \(pid {stranger.pid}\)"):
            EmbeddedPostgres(data_dir).start()
        assert pid_file.read_text() == f"{stranger.pid}\n"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_cluster_whose_making_was_killed_is_made_again(data_dir: Path, users: list[User]) -> None:
    users.append(User(data_dir))
    deadline = time.monotonic() + 30
    while not list(data_dir.glob("postgres.new-*/base")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    users[0].kill()
    assert not (data_dir / "postgres").exists()

    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        keep(server.dsn, "apple")
        assert kept(server.dsn) == ["apple"]


def test_a_path_too_long_for_a_socket_gets_a_short_socket_directory(tmp_path: Path) -> None:
    long = tmp_path / ("long-" * 20) / ("longer-" * 10)

    with EmbeddedPostgres(long, shared_buffers=SMALL) as server:
        assert answers(server.dsn)
        socket_dir = Path(str(conninfo.conninfo_to_dict(server.dsn)["host"]))
        assert socket_dir.parent == Path("/tmp")
        assert socket_dir.stat().st_mode & 0o777 == 0o700
    assert not socket_dir.exists()


def test_an_ordinary_user_runs_the_server_as_himself() -> None:
    nobody = 65534 if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        if nobody is not None:
            os.chown(directory, nobody, nobody)
        user = User(Path(directory) / "var", nobody)
        try:
            dsn = user.dsn()
            assert conninfo.conninfo_to_dict(dsn)["host"] == f"{directory}/var/run"
            assert postmaster(dsn).uids().real == Path(directory).stat().st_uid
            assert user.leave() == "left"
            assert not answers(dsn)
        finally:
            user.kill()


@pytest.mark.usefixtures("made")
def test_a_socket_directory_that_others_can_enter_is_refused(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
        socket_dir = Path(str(conninfo.conninfo_to_dict(server.dsn)["host"]))
    shutil.rmtree(socket_dir, ignore_errors=True)
    socket_dir.mkdir()
    socket_dir.chmod(0o777)
    try:
        with pytest.raises(EmbeddedPostgresFailed, match=rf"{socket_dir} must be a directory of .* mode 0700"):
            EmbeddedPostgres(data_dir).start()
    finally:
        socket_dir.rmdir()


@pytest.mark.usefixtures("made")
def test_tcp_is_there_only_when_asked_and_wants_the_password(data_dir: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with EmbeddedPostgres(data_dir, port=port, shared_buffers=SMALL) as server:
        with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as joined:
            assert joined.dsn == server.dsn
        with psycopg.connect(server.tcp_dsn) as connection:
            assert connection.info.host == "127.0.0.1"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(conninfo.make_conninfo(server.tcp_dsn, password="guess"))

    with EmbeddedPostgres(data_dir, shared_buffers=SMALL):
        with pytest.raises(EmbeddedPostgresFailed, match=f"runs already, without TCP port {port}"):
            EmbeddedPostgres(data_dir, port=port).start()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.tcp_dsn)


@pytest.mark.usefixtures("made")
def test_programs_that_the_account_cannot_reach_are_copied_to_where_it_can(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "site-packages"
    hidden.mkdir(mode=0o700)
    package = binaries._wheel_package()
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            shutil.copytree(part, hidden / part.name, ignore=shutil.ignore_patterns("include"))
    monkeypatch.setattr(binaries, "_wheel_package", lambda: hidden / package.name)
    with tempfile.TemporaryDirectory(dir="/tmp") as open_place:
        Path(open_place).chmod(0o755)
        monkeypatch.setattr(binaries, "COPIES", (tmp_path / "closed", Path(open_place) / "programs"))

        with EmbeddedPostgres(data_dir, shared_buffers=SMALL) as server:
            program = Path(postmaster(server.dsn).exe())
            expected = Path(open_place) if server_account().is_other else hidden
            assert program.is_relative_to(expected)
    assert hidden.stat().st_mode & 0o777 == 0o700


def test_a_cluster_of_another_major_version_says_what_to_do(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres/PG_VERSION").write_text("12\n")

    with pytest.raises(EmbeddedPostgresFailed, match="was made by PostgreSQL 12, but .* set INTERLOCK_PG_BIN to"):
        EmbeddedPostgres(data_dir).start()


def test_a_directory_with_strange_files_is_not_overwritten(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres/letters.txt").write_text("dear")

    with pytest.raises(EmbeddedPostgresFailed, match="has files but no PG_VERSION"):
        EmbeddedPostgres(data_dir).start()

    assert [path.name for path in (data_dir / "postgres").iterdir()] == ["letters.txt"]


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(EmbeddedPostgresFailed, match=rf"{tmp_path}/file/var.*INTERLOCK_DATA_DIR"):
        EmbeddedPostgres(tmp_path / "file" / "var").start()


def test_a_directory_without_programs_is_named(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresFailed, match=rf"{tmp_path}/initdb does not run .* INTERLOCK_PG_BIN"):
        EmbeddedPostgres(data_dir, bin_dir=tmp_path).start()


@pytest.mark.usefixtures("made")
def test_a_server_that_refuses_its_settings_repeats_what_it_said(data_dir: Path) -> None:
    with pytest.raises(EmbeddedPostgresFailed, match='ended while it started: .*"max_connections"'):
        EmbeddedPostgres(data_dir, settings={"max_connections": "none"}).start()


def test_known_troubles_come_with_advice() -> None:
    assert advise("could not write: No space left on device") == (
        "could not write: No space left on device (the disk is full: free some space and start again)"
    )


def test_a_given_url_is_used_and_no_server_is_started(data_dir: Path) -> None:
    assert resolve("postgresql://db.example/shop", data_dir) == ("postgresql://db.example/shop", None)
    assert resolve_from(
        {"INTERLOCK_DATABASE_URL": "postgresql://db.example/shop", "INTERLOCK_DATA_DIR": str(data_dir)}
    ) == ("postgresql://db.example/shop", None)
    assert not data_dir.exists()


def test_without_a_url_the_server_of_the_named_directory_is_started(data_dir: Path) -> None:
    dsn, server = resolve_from({"INTERLOCK_DATA_DIR": str(data_dir)})
    try:
        assert answers(dsn)
        assert (data_dir / "postgres" / "PG_VERSION").exists()
    finally:
        assert server is not None
        server.stop()
    assert not answers(dsn)
