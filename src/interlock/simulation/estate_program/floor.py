"""What the peers know of each other outside of Interlock: who is busy, and that goods left (by the customer's mail)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from interlock.simulation.estate_program.journal import Journal

Shipped = Callable[[str, str, str, dict[int, Any]], Awaitable[None]]
"""order, the shipment's number, the node, and units by line."""


class Work(msgspec.Struct):
    """One assignment at a peer: what is still to be shipped, by line."""

    assignment: str
    order: str
    node: str
    fulfillment: str
    lines: dict[int, Any]
    shipped: bool = False

    def cancel(self, lines: list[dict[str, Any]]) -> bool:
        """Take canceled units away; False where the goods have left already."""
        if self.shipped:
            return False
        for line in lines:
            left = self.lines.get(line["line_no"], 0) - line["quantity"]
            if left > 0:
                self.lines[line["line_no"]] = left
            else:
                self.lines.pop(line["line_no"], None)
        return True

    def take_away(self, lines: dict[int, Any]) -> None:
        """Units that this node will not ship."""
        self.cancel([{"line_no": line_no, "quantity": quantity} for line_no, quantity in lines.items()])

    def as_lines(self) -> list[dict[str, Any]]:
        """What is left, as a message has it."""
        return listed(self.lines)


def listed(lines: dict[int, Any]) -> list[dict[str, Any]]:
    """Units by line, as a message has them."""
    return [{"line_no": line_no, "quantity": quantity} for line_no, quantity in sorted(lines.items())]


class Floor:
    """Runs the peers' jobs, knows when all are idle, and tells the shop what has shipped."""

    def __init__(self, journal: Journal, time_scale: float) -> None:
        self.journal = journal
        self.on_shipped: Shipped | None = None
        self.last_release = time.monotonic()
        self._time_scale = time_scale
        self._jobs: set[asyncio.Task[None]] = set()
        self._failed: BaseException | None = None

    def spawn(self, job: Coroutine[Any, Any, None]) -> None:
        """Run a job beside the others; its failure ends the run."""
        task = asyncio.get_running_loop().create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failed = self._failed or error

    def check(self) -> None:
        """Raise what a job has raised."""
        if self._failed:
            raise self._failed

    @property
    def busy(self) -> int:
        """Jobs that are not done."""
        return len(self._jobs)

    async def wait(self, seconds: float) -> None:
        """A peer's own slowness."""
        await asyncio.sleep(seconds * self._time_scale)

    def released(self) -> None:
        """A peer was given work."""
        self.last_release = time.monotonic()

    async def shipped(self, work: Work, ref: str, lines: dict[int, Any]) -> None:
        """Goods left, and Interlock knows it."""
        if self.on_shipped:
            await self.on_shipped(work.order, ref, work.node, lines)
