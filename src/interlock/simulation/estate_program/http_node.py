"""What the 3PL and the stores share: taking releases and cancellations over HTTP, each message once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from interlock.simulation.estate_program.floor import Floor, Work
from interlock.simulation.estate_program.http import Response

TAKEN = Response(200, {"Content-Type": "application/json"}, b'{"taken":true}')


class HttpNode:
    """Remembers what it was told by Idempotency-Key; a subclass fulfills."""

    name = ""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.work: dict[str, Work] = {}
        self._known: set[str] = set()

    async def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response | None:
        """Answer one message from Interlock."""
        key = headers.get("idempotency-key", "")
        if method != "POST" or path != "/interlock":
            return Response(404, {}, b"")
        try:
            message: dict[str, Any] = msgspec.json.decode(body)
            kind, assignment, lines = message["message"], message["assignment"], message["lines"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            self.floor.journal.surprise(self.name, problem=f"unreadable message: {error!r}")
            return Response(400, {}, b"")
        if key in self._known:
            self.count("messages come again")
            return TAKEN
        self._known.add(key)
        self.floor.released()
        if kind == "shipment.cancel":
            work = self.work.get(assignment)
            in_time = work is not None and work.cancel(lines)
            self.count("cancellations in time" if in_time else "cancellations after shipping")
        elif assignment in self.work:
            self.floor.journal.surprise(
                self.name, problem=f"assignment {assignment} released twice", id=message.get("id")
            )
        else:
            units = {line["line_no"]: line["quantity"] for line in lines}
            work = Work(assignment, message["order"], message["node"], message["fulfillment"], units)
            self.work[assignment] = work
            self.count("assignments taken")
            self.floor.spawn(self.fulfill(work))
        return TAKEN

    async def fulfill(self, work: Work) -> None:
        """Everything that the node does with one assignment."""
        raise TypeError(f"{type(self).__name__} does not say how it fulfills {work.assignment}")

    def count(self, deed: str, times: int = 1) -> None:
        """Count a deed of this node."""
        self.floor.journal.count(self.name, deed, times)
