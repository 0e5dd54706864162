"""What a simulation asks of Interlock: the same questions of the real engine in memory and on PostgreSQL.

    outcomes = interlock.take(arrivals, now)
    for told in interlock.due("wms", now, 50): ...
    interlock.settle([told, ...], now)

Virtual time comes in with every call; nothing here reads a clock. A crash that is asked for raises `Crashed` at that point
of the transaction, and then what a real process would lose is lost: before the commit everything, after it the answer alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from interlock.domain.decision import Arrival, Outcome
from interlock.domain.values import OrderId, SystemId

CrashPoint = Literal["ledger", "load", "decide", "save", "commit", "answer"]
"""Before which step of a transaction the process dies; "answer" is after the commit."""


class Crashed(BaseException):
    """The process died at this point of a batch, as it was asked to. Nothing that handles errors may handle this."""


class Told(msgspec.Struct, frozen=True):
    """One message of the outbox: its key, and the JSON that the receiver gets."""

    order_id: OrderId
    seq: int
    receiver: SystemId
    message: str
    assignment_no: int
    body: bytes


class Violation(msgspec.Struct, frozen=True):
    """Something always true that does not hold: the statement's name (as `interlock audit` has it), of what, and how."""

    statement: str
    subject: str
    detail: str


class InterlockPort(Protocol):
    """Interlock as the simulated estate and the simulator see it."""

    def take(self, arrivals: Sequence[Arrival], now: datetime, *, crash: CrashPoint | None = None) -> list[Outcome]:
        """Keep, decide and commit; one outcome each, in order. Raises Crashed where that was asked for."""

    def wake(self, now: datetime) -> int:
        """Do what time alone causes: backorders tried again, settled orders closed, answers chased, parked ones timed out."""

    def next_wake(self) -> datetime | None:
        """When time itself acts next on an order, None if on none."""

    def due(self, receiver: SystemId, now: datetime, limit: int) -> list[Told]:
        """What the receiver must be told next, at most so many; of one order only the oldest that was not delivered."""

    def settle(self, told: Sequence[Told], now: datetime) -> None:
        """These were delivered."""

    def check(self) -> list[Violation]:
        """What is not true of the subjects touched since the last call; cheap, for after every step."""

    def check_all(self, now: datetime) -> list[Violation]:
        """Every statement on everything, as `interlock audit` asks them."""

    def check_rest(self, now: datetime) -> list[Violation]:
        """After a quiet time: no reservation without a live order; an exception for all that is parked or unanswered."""

    def digest(self) -> str:
        """A hash of all that is known: orders, positions, outcomes, exceptions; the same run gives the same one."""
