"""Directories as a transport: claim a file so that only one process has it, put one down so that nobody sees a half.

A claim is an atomic rename to a name of our own; a lock on the claimed file says that its process lives, and dies with it.
So what a killed process has left can be told from what another one is working on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

import msgspec

TAKEN: Final = ".taken"
NAME_BYTES_MAX: Final = 180
_HALF_WRITTEN: Final = (".tmp", ".part", ".filepart")
_MARK: Final = "~"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is ours: its token, what it was called, and where it lies now."""

    token: str
    name: str
    path: Path


def candidates(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder and could be a whole file, oldest first: no hidden names, none of a file still in transfer."""
    with os.scandir(folder) as entries:
        found = [
            entry for entry in entries if not is_in_transfer(entry.name) and not entry.is_dir(follow_symlinks=False)
        ]
    aged = []
    for entry in found:
        with contextlib.suppress(FileNotFoundError):  # taken by another process meanwhile
            aged.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name, entry))
    return [entry for _, _, entry in sorted(aged, key=lambda one: one[:2])]


def claim(folder: Path, name: str) -> Claim | None:
    """Make a file ours by renaming it; None where another process was quicker, or its sender has taken it back."""
    token = uuid4().hex[:12]
    called = short(name)
    taken = folder / TAKEN / f"{token}{_MARK}{called}"
    try:
        (folder / name).rename(taken)
    except FileNotFoundError:
        return None
    return Claim(token=token, name=called, path=taken)


def short(name: str) -> str:
    """A name with room for our token in front and for the names of its results, whatever the sender's is like."""
    return os.fsdecode(os.fsencode(name)[-NAME_BYTES_MAX:]) if len(os.fsencode(name)) > NAME_BYTES_MAX else name


def is_in_transfer(name: str) -> bool:
    """Whether the name says that nobody should look at the file yet: it is hidden, or ends like a half."""
    return name.startswith(".") or name.endswith(_HALF_WRITTEN)


def claimed(folder: Path) -> list[Claim]:
    """Every claimed file of the folder, whoever has it, in the order of their names."""
    found = []
    for path in sorted((folder / TAKEN).iterdir(), key=lambda one: one.name.partition(_MARK)[2]):
        token, mark, name = path.name.partition(_MARK)
        if mark and not path.name.endswith(".tmp"):
            found.append(Claim(token=token, name=name, path=path))
    return found


@contextlib.contextmanager
def opened(claim: Claim) -> Iterator[BinaryIO | None]:
    """The claimed file, open and locked; None where another process has it, or is done with it."""
    try:
        descriptor = os.open(claim.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    with os.fdopen(descriptor, "rb") as file:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield file if _is_still_there(claim.path, descriptor) else None


def is_plain(path: Path) -> bool:
    """Whether it is a file: no link, no directory, no pipe. Raises FileNotFoundError if it is gone."""
    return stat.S_ISREG(path.lstat().st_mode)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone among our processes while names are given in the folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_still_there(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at the path: it may have been finished while we waited to look."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def write_atomically(path: Path, content: Iterable[bytes]) -> None:
    """Write a file that appears whole, or not at all, and is on the disk when it does. What was there is replaced.

    It is written beside itself as `.NAME.tmp`, which no reader that keeps the rules takes for a file.
    """
    half = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        with half.open("wb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        half.rename(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
    sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Rename within a file system, and have it on the disk on both sides."""
    source.rename(target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)


def rename_if_there(source: Path, target: Path) -> bool:
    """Rename within a file system; False where there is nothing to rename."""
    try:
        move(source, target)
    except FileNotFoundError:
        return False
    return True


def sync(folder: Path) -> None:
    """Have the folder's names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_name(folder: Path, name: str, token: str) -> str:
    """The name itself, or one with the token in it where a file or a result of that name is there already."""
    if os.path.lexists(folder / name) or os.path.lexists(folder / f"{name}.result.json"):
        return name_with_token(name, token)
    return name


def name_with_token(name: str, token: str) -> str:
    """The name, made unique: sales.csv becomes sales.TOKEN.csv."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}.{token}.{suffix}" if dot and stem else f"{name}.{token}"
