"""Messages of history read again, here or by processes beside this one, and given back in their order.

    with Translating(present, candidate, processes=2) as translating:
        for read in translating.run(kept, files): ...

Reading takes longer than deciding, and asks nobody: so it is what other processes do, some thousand messages ahead.
They are begun before the database is opened, and never see it.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from multiprocessing.pool import AsyncResult, Pool
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import decode, encode
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId
from interlock.replay.reread import RECORD, Again, Rereader, reads_alike
from interlock.storage.history import Kept

CHUNK: Final = 1_000
AHEAD: Final = 3
"""Chunks that are under way for each process."""

Files = Mapping[tuple[str, str], tuple[str, str]]


class Read(NamedTuple):
    """A message, what the present estate reads it as, and what the candidate does; None where that is the same."""

    kept: Kept
    then: list[Again]
    otherwise: list[Again] | None


class Translating:
    """How the messages of a replay are read: by this process, or by so many beside it."""

    def __init__(self, present: Estate, candidate: Estate | None, *, processes: int = 0) -> None:
        self._estates = present, candidate
        self._processes = processes
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        if self._processes:
            # A fork: the children have all that is imported, and nothing else of ours is open yet.
            context = multiprocessing.get_context("fork")
            self._pool = context.Pool(self._processes, _begin, self._estates)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()
            self._pool = None

    def run(self, kept: Iterable[Kept], files: Files) -> Iterator[Read]:
        """Everything, read, in its order."""
        if self._pool is None:
            reader = _Reader(*self._estates, files)
            for each in kept:
                yield Read(each, *reader.read(each))
            return
        rows = iter(kept)
        under_way: deque[tuple[list[Kept], AsyncResult[Any]]] = deque()
        while True:
            while len(under_way) < AHEAD * self._processes and (chunk := list(islice(rows, CHUNK))):
                kinds = {key: files[key] for each in chunk if (key := (each.system, each.file or "")) in files}
                under_way.append((chunk, self._pool.apply_async(_work, (list(map(tuple, chunk)), kinds))))
            if not under_way:
                return
            chunk, result = under_way.popleft()
            for each, (then, otherwise) in zip(chunk, result.get(), strict=True):
                yield Read(each, _unpacked(then), None if otherwise is None else _unpacked(otherwise))


class _Reader:
    """Both readings of a message."""

    def __init__(self, present: Estate, candidate: Estate | None, files: Files) -> None:
        self._present, self._candidate = present, candidate
        self._then = Rereader(present, files)
        self._otherwise = Rereader(candidate, files) if candidate is not None else None
        self._alike: dict[SystemId, bool] = {}

    def know(self, files: Files) -> None:
        """Files of which more messages come."""
        self._then.know(files)
        if self._otherwise is not None:
            self._otherwise.know(files)

    def read(self, kept: Kept) -> tuple[list[Again], list[Again] | None]:
        """What the present estate reads, and the candidate where that may be something else."""
        if kept.system == INTERLOCK:
            return [Again(decode(kept.body))], None
        then = self._then.read(kept)
        if self._otherwise is None or self._reads_alike(kept.system):
            return then, None
        # What is further in a document comes with its first.
        return then, [] if kept.content_type.startswith(RECORD) else self._otherwise.read(kept)

    def _reads_alike(self, system: SystemId) -> bool:
        if system not in self._alike:
            assert self._candidate is not None
            self._alike[system] = reads_alike(self._present, self._candidate, system)
        return self._alike[system]


# In the processes beside this one

_readers: list[_Reader] = []
_Packed = tuple[Any, ...]


def _begin(present: Estate, candidate: Estate | None) -> None:
    _readers.append(_Reader(present, candidate, {}))


def _work(chunk: list[tuple[Any, ...]], files: Files) -> list[tuple[list[_Packed], list[_Packed] | None]]:
    (reader,) = _readers
    reader.know(files)
    done = []
    for row in chunk:
        then, otherwise = reader.read(Kept(*row))
        done.append((list(map(_pack, then)), None if otherwise is None else list(map(_pack, otherwise))))
    return done


def _pack(again: Again) -> _Packed:
    return (None if again.command is None else encode(again.command), *again[1:])


def _unpacked(packed: list[_Packed]) -> list[Again]:
    return [Again(None if each[0] is None else decode(each[0]), *each[1:]) for each in packed]
