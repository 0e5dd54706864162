"""What every peer did, counted, and written down once a second and at the end for whoever compares both sides."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec

SURPRISES_MAX = 100
TROUBLES = ("given_up", "surprises")


class Journal:
    """Counters by peer and deed; `surprises` are answers that a peer did not expect."""

    def __init__(self) -> None:
        self.counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.surprises: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.is_hopeless = False
        self.phase = "starting"
        self._phases: list[tuple[str, float]] = []
        self.changes = 0
        """Deeds that brought something forward: calls that fail are none."""
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def give_up(self, peer: str) -> None:
        """A peer has tried for as long as it may; from now on nobody tries anything twice."""
        self.count(peer, "given_up")
        self.is_hopeless = True

    def count(self, peer: str, deed: str, times: int = 1) -> None:
        """Count a deed of a peer."""
        self.counters[peer][deed] += times
        self.changes += not deed.startswith(("http_", *TROUBLES))

    def surprise(self, peer: str, **what: object) -> None:
        """Keep an unexpected answer; the first hundred are told in full."""
        self.count(peer, "surprises")
        if len(self.surprises) < SURPRISES_MAX:
            self.surprises.append({"peer": peer, **what})

    def enter(self, phase: str) -> None:
        """Begin a phase of the run."""
        self.phase = phase
        self._phases.append((phase, self.elapsed_s))

    def state(self) -> dict[str, Any]:
        """Everything so far, for JSON."""
        ends = [began for _, began in self._phases[1:]] + [self.elapsed_s]
        return {
            "phase": self.phase,
            "elapsed_s": round(self.elapsed_s, 3),
            "seconds": {phase: round(end - began, 3) for (phase, began), end in zip(self._phases, ends, strict=True)},
            "counters": {peer: dict(sorted(deeds.items())) for peer, deeds in sorted(self.counters.items())},
            "files": self.files,
            "surprises": self.surprises,
        }

    async def write_every_second(self, path: Path) -> None:
        """Write the state down until canceled."""
        while True:
            write_json(path, self.state())
            await asyncio.sleep(1.0)


def write_json(path: Path, value: object) -> None:
    """Write whole or not at all: readers never see a half."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
    beside.replace(path)
