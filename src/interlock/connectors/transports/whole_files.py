"""Which files of a folder are whole: their marker is there, or they have been still for long enough; and their manifest too."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from interlock.connectors.transports import directory
from interlock.connectors.transports.directory import Claim
from interlock.domain.links import Files

SIGHTINGS_MAX: Final = 100_000
PAUSE_S_MAX: Final = 300.0


class Whole(NamedTuple):
    """A file that may be claimed, and what belongs to it: the names of its marker and its manifest."""

    name: str
    marker: str = ""
    manifest: str = ""


class WholeFiles:
    """Looks at one folder again and again. One thread at a time may look."""

    def __init__(self, path: Path, link: Files) -> None:
        self._path = path
        self._link = link
        self._seen: dict[str, tuple[int, int, datetime]] = {}
        """Of each file that we wait for: size, time of change, and since when both are the same."""

    def look(self, now: datetime) -> list[Whole]:
        """Every file that is whole now, oldest first."""
        entries = {entry.name: entry for entry in directory.candidates(self._path)}
        waiting: dict[str, tuple[int, int, datetime]] = {}
        whole = []
        marker = self._link.done_suffix
        for name, entry in entries.items():
            if not self._link.wants(name):
                continue
            manifest = self._manifest(name, entries)
            if self._link.manifest_suffix and not manifest:
                continue
            if marker:
                if name + marker in entries:
                    whole.append(Whole(name, name + marker, manifest))
                continue
            sightings: dict[str, tuple[int, int, datetime]] = {}
            still = [self._is_still(each, now, sightings) for each in (entry, *_those(entries, manifest))]
            if all(still):
                whole.append(Whole(name, "", manifest))
            elif len(waiting) < SIGHTINGS_MAX:
                waiting |= sightings
        self._seen = waiting
        return whole

    def _manifest(self, name: str, entries: dict[str, os.DirEntry[str]]) -> str:
        """The manifest of a file: orders.csv.manifest or orders.manifest; empty where none is there."""
        suffix = self._link.manifest_suffix
        if not suffix:
            return ""
        for found in manifest_names(name, suffix):
            if found in entries and found != name:
                return found
        return ""

    def _is_still(
        self, entry: os.DirEntry[str], now: datetime, sightings: dict[str, tuple[int, int, datetime]]
    ) -> bool:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        before = self._seen.get(entry.name)
        changed_at = datetime.fromtimestamp(found.st_mtime_ns / 1e9, UTC)
        if before is None:
            # As old as it says; if the clock that says so is ahead of ours, as old as our sight of it.
            since = min(changed_at, now)
        else:
            is_same = before[:2] == (found.st_size, found.st_mtime_ns)
            since = before[2] if is_same else now
        sightings[entry.name] = (found.st_size, found.st_mtime_ns, since)
        return (now - since).total_seconds() >= self._link.stable_s


class Patience:
    """How long a claimed file that could not be finished is left alone: not at all once, then longer each time."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, datetime]] = {}

    def failed(self, claim: Claim, now: datetime) -> None:
        """It could not be finished now."""
        times = self._failures.get(claim.token, (0, now))[0] + 1
        pause_s = min(PAUSE_S_MAX, 2.0 ** min(times - 2, 20)) if times > 1 else 0.0
        self._failures[claim.token] = (times, now + timedelta(seconds=pause_s))

    def is_over(self, claim: Claim, now: datetime) -> bool:
        """Whether it may be tried again."""
        return claim.token not in self._failures or self._failures[claim.token][1] <= now


def manifest_names(name: str, suffix: str) -> tuple[str, str]:
    """What the manifest of a file may be called."""
    stem, dot, _ = name.rpartition(".")
    return f"{name}{suffix}", f"{stem if dot and stem else name}{suffix}"


def _those(entries: dict[str, os.DirEntry[str]], name: str) -> list[os.DirEntry[str]]:
    return [entries[name]] if name else []
