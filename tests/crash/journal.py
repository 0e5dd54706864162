"""What the senders remember: every request with its bytes, every answer that came, and what they asked later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Lines = tuple[tuple[str, int], ...]
"""What was ordered: (SKU, quantity), line by line."""


@dataclass(frozen=True)
class Answer:
    """An answer as its sender read it, and what the message had become when a worker had taken it (`settled`)."""

    status: int
    body: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """What became of the message, in Interlock's word; empty where the answer names none."""
        return str(self.body.get("outcome", ""))

    @property
    def is_replay(self) -> bool:
        """Whether it says that the same was asked before."""
        return bool(self.body.get("replayed"))


@dataclass
class Request:
    """One thing that a sender wants done. It is sent until it is answered, always with the same bytes.

    `subject`, `action` and `key` are what the ledger knows it by. `settled` is the outcome that the sender asked for later,
    where the answer was only that the message is kept. `asked` is what GET said of the order after the sender had given up.
    """

    sender: str
    system: str
    action: str
    subject: str
    key: str
    body: bytes
    lines: Lines = ()
    amount: str = "0"
    captured: str = "0"
    wish: str = ""
    sent: int = 0
    lost: int = 0
    answers: list[Answer] = field(default_factory=list)
    gave_up: bool = False
    settled: str = ""
    asked: list[bool] = field(default_factory=list)

    @property
    def final(self) -> Answer | None:
        """The last answer: the one that the sender believes."""
        return self.answers[-1] if self.answers else None

    @property
    def accepted(self) -> bool:
        """Whether the sender has been told that it was done."""
        if self.settled:
            return self.settled in ("processed", "duplicate")
        return any(a.status in (200, 201) and a.outcome == "processed" for a in self.answers)

    @property
    def was_parked(self) -> bool:
        """Whether it came before its order, and waited for it."""
        return any(a.outcome == "parked" for a in self.answers)


class Journal:
    """The requests of all senders, and what went wrong for them. Lists are appended to by many threads."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.violations: list[str] = []

    def add(self, request: Request) -> Request:
        """Write a request down before it is sent for the first time."""
        self.requests.append(request)
        return request

    def write(self, path: Path) -> None:
        """All of it as JSON lines, for whoever wants to know what happened."""
        with path.open("w", encoding="utf-8") as file:
            for each in self.requests:
                told = {**vars(each), "body": each.body.decode(), "answers": [vars(a) for a in each.answers]}
                file.write(json.dumps(told, default=str) + "\n")
