"""The embedded server's files: make a cluster, launch PostgreSQL on it, clear away what a killed one left.

Nothing here decides whether a server runs; that is `embedded.py`, which calls these only when none does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from interlock.domain.errors import EmbeddedPostgresFailed
from interlock.storage.binaries import Account, Programs

ROLE: Final = "interlock"
LOG_FILES_MAX: Final = 10
LINUX: bool = sys.platform == "linux"

SETTINGS: Final[Mapping[str, str]] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
    "jit": "off",
    "timezone": "UTC",
    # By count: an inbox that empties all day is a small table with many dead rows, and a share of it says
    # nothing.
    "autovacuum": "on",
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "10000",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_analyze_threshold": "5000",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%Y%m%d-%H%M%S.log",
    "log_rotation_age": "0",
    "log_rotation_size": "10MB",
    "log_timezone": "UTC",
    "log_lock_waits": "on",
}

ACCESS: Final = """\
# Written by Interlock. The socket lies in a directory that only the server's account can enter.
local all all trust
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
"""


def initialise(cluster_dir: Path, programs: Programs, account: Account) -> None:
    """Make the cluster beside its place, move it there when it is whole; clear away what a kill left."""
    for unfinished in cluster_dir.parent.glob(f"{cluster_dir.name}.new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if cluster_dir.exists() and any(cluster_dir.iterdir()):
        raise EmbeddedPostgresFailed(
            f"{cluster_dir} has files but no PG_VERSION, so it is no PostgreSQL cluster: "
            "move it away, or restore it from a backup"
        )
    making = cluster_dir.with_name(f"{cluster_dir.name}.new-{os.getpid()}")
    making.mkdir(mode=0o700)
    if account.is_other:
        os.chown(making, account.uid, account.gid)
    with _directory_for(account, making) as (path, inherited):
        command = [
            str(programs.bin_dir / "initdb"),
            "-D",
            path,
            "-U",
            ROLE,
            "--auth=trust",
            "--encoding=UTF8",
        ]
        done = subprocess.run(
            [*command, "--locale=C", "--data-checksums", "--no-instructions"],
            **account.as_popen(),
            check=False,
            cwd="/",
            env=_plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            umask=0o077,
            pass_fds=inherited,
        )
    if done.returncode != 0:
        shutil.rmtree(making, ignore_errors=True)
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise EmbeddedPostgresFailed(f"no PostgreSQL cluster could be made in {making.parent}: {advise(said)}")
    (making / "pg_hba.conf").write_text(ACCESS)
    with suppress(FileNotFoundError):
        cluster_dir.rmdir()
    making.rename(cluster_dir)
    _sync_directory(cluster_dir.parent)


def check_major(cluster_dir: Path, programs: Programs) -> None:
    """Raise EmbeddedPostgresFailed if the cluster was made by another major version of PostgreSQL."""
    have = (cluster_dir / "PG_VERSION").read_text().strip()
    if have != str(programs.major):
        raise EmbeddedPostgresFailed(
            f"{cluster_dir} was made by PostgreSQL {have}, but {programs.bin_dir} is {programs.major}: set "
            f"INTERLOCK_PG_BIN to programs of {have}, dump the data, and restore it into a new data directory"
        )


def sweep(cluster_dir: Path, socket_dir: Path) -> None:
    """Remove the pid file and sockets of a killed server, and all but the newest logs.

    The caller knows that no process that Interlock started is alive on this cluster. A server that somebody
    started by hand would be harmed, so one whose working directory this is raises EmbeddedPostgresFailed.
    """
    pid_file = cluster_dir / "postmaster.pid"
    with suppress(FileNotFoundError, ValueError, IndexError):
        pid = int(pid_file.read_text(errors="replace").splitlines()[0])
        if _works_in(pid, cluster_dir):
            raise EmbeddedPostgresFailed(
                f"a PostgreSQL that Interlock did not start (pid {pid}) runs on {cluster_dir}: "
                f"stop it with pg_ctl stop -D {cluster_dir}, or give its URL in INTERLOCK_DATABASE_URL"
            )
    for left in (pid_file, *socket_dir.glob(".s.PGSQL.*")):
        with suppress(FileNotFoundError):
            left.unlink()
    for old in sorted(cluster_dir.glob("log/*.log"))[: -LOG_FILES_MAX + 1]:
        with suppress(OSError):
            old.unlink()


def launch(
    cluster_dir: Path, programs: Programs, account: Account, settings: Mapping[str, str], server_lock: int
) -> None:
    """Start PostgreSQL, which inherits the open `server_lock`, and return before it is ready."""
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (
        _directory_for(account, cluster_dir) as (path, inherited),
        _startup_log(cluster_dir).open("wb") as log,
    ):
        # Through a shell that ends at once, so that the server is no child of ours: it may outlive us, be
        # ended by another process, and gets no Ctrl-C of our terminal.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", str(programs.bin_dir / "postgres"), "-D", path, *options],
            **account.as_popen(),
            check=True,
            cwd="/",
            env=_plain_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            umask=0o077,
            pass_fds=(server_lock, *inherited),
            start_new_session=True,
        )


def last_words(cluster_dir: Path) -> str:
    """The end of what the server wrote, with advice where we know the cause."""
    lines: list[str] = []
    for path in (_startup_log(cluster_dir), *sorted(cluster_dir.glob("log/*.log"))[-1:]):
        with suppress(OSError):
            lines += path.read_text(errors="replace").splitlines()[-8:]
    told = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines[-3:]
    return advise(" / ".join(told[-4:]) or f"it wrote nothing to {cluster_dir / 'log'}")


def advise(said: str) -> str:
    """What was said, and what a person can do about it where we know."""
    for sign, advice in (
        ("No space left on device", "the disk is full: free some space and start again"),
        ("Permission denied", "the server's account may not read or write there: check owner and mode"),
        ("Read-only file system", "the file system is read-only: choose another INTERLOCK_DATA_DIR"),
        ("Address already in use", "the TCP port is taken: choose another one"),
        ("could not create shared memory", "the system has too little shared memory: lower shared_buffers"),
        ("could not map anonymous shared memory", "the system has too little memory: lower shared_buffers"),
    ):
        if sign in said:
            return f"{said} ({advice})"
    return said


def parent_of(pid: int) -> int | None:
    """The parent of a live process."""
    if LINUX:  # small containers have no ps
        with suppress(OSError):
            return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return None
    said = _ps("ppid=", pid)
    return int(said) if said else None


@contextmanager
def _directory_for(account: Account, path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A name under which `account` can enter its directory `path`, and the descriptors to inherit for that.

    Root's own directories (/root) are closed to other accounts. On Linux an inherited descriptor leads to the
    directory without walking through those above it; nobody's permissions need to change.
    """
    if account.can("-x", path):
        yield str(path), ()
    elif LINUX:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)
    else:
        raise EmbeddedPostgresFailed(
            f"the account {account.name} cannot reach {path}: choose a directory outside of closed ones "
            "in INTERLOCK_DATA_DIR, or run Interlock as an ordinary user"
        )


def _works_in(pid: int, directory: Path) -> bool:
    """Whether a live process is a postmaster of `directory`, its working directory; a reused pid is not."""
    if not LINUX:
        return _ps("comm=", pid).endswith("postgres")
    try:
        return os.path.samestat(Path(f"/proc/{pid}/cwd").stat(), directory.stat())
    except OSError:
        return False


def _ps(column: str, pid: int) -> str:
    command = ["ps", "-o", column, "-p", str(pid)]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def _startup_log(cluster_dir: Path) -> Path:
    """Where the server writes until its own log is open."""
    return cluster_dir.with_name("startup.log")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain_environment() -> dict[str, str]:
    """Without PGDATA, PGPORT and the like, which would change what the programs do; messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}
