"""Dropping files as legacy systems do, and waiting for what Interlock says about them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from interlock.simulation.estate_program.journal import Journal

LOOK_AGAIN_S = 0.1
TORN_PIECES = 5
TORN_WAIT_S = 0.1


def drop(folder: Path, name: str, content: bytes) -> None:
    """Write the file whole: beside, then renamed into place."""
    beside = folder / f".{name}.tmp"
    beside.write_bytes(content)
    beside.replace(folder / name)


async def drop_torn(folder: Path, name: str, content: bytes) -> None:
    """Write the file in place, in pieces that end in the middle of rows, as an export over a slow line does."""
    size = len(content) // TORN_PIECES + 1
    with (folder / name).open("wb", buffering=0) as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            await asyncio.sleep(TORN_WAIT_S)


def _without_ids(result: dict[str, Any]) -> dict[str, Any]:
    """The result without what only Interlock can use."""
    return {name: value for name, value in result.items() if name not in ("file", "sha256", "claim", "system")}


async def result_of(folder: Path, name: str, journal: Journal, peer: str, give_up_s: float) -> dict[str, Any] | None:
    """What Interlock wrote about the file; None if nothing came in time."""
    until = time.monotonic() + give_up_s
    while time.monotonic() < until and not journal.is_hopeless:
        for place in ("done", "rejected"):
            path = folder / place / f"{name}.result.json"
            if path.exists():
                try:
                    result: dict[str, Any] = msgspec.json.decode(path.read_bytes())
                except msgspec.DecodeError:
                    continue  # being written
                journal.files.append({"peer": peer, "file": name, "place": place, **_without_ids(result)})
                journal.count(peer, f"files {place}")
                if result.get("duplicate_of"):
                    journal.count(peer, "files seen to be duplicates")
                return result
        await asyncio.sleep(LOOK_AGAIN_S)
    journal.give_up(peer)
    journal.surprise(peer, file=name, problem=f"no result in {give_up_s:g} s")
    return None
