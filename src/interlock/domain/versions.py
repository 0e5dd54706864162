"""Which of two statements about the same thing is the newer one.

Only actions that state a whole are superseded (RESTATED): an order as it should be, a position as it was counted. A delta (so
many shipped, so much captured) is a fact whenever it comes. How a source tells its updates apart is the estate's to say:
`systems.X.updates`.

    content    it does not: the same key with another payload is a conflict, for a person
    numbered   every statement carries the source's own number (`version`)
    timed      by `occurred_at` of the source's clock, never later than ours: a clock ahead cannot block what comes after
    restated   it does not, but the whole is told every time: the last to arrive is compared with what is known
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from interlock.domain.commands import AnyCommand, CountStock, CreateOrder
from interlock.domain.estate import System

RESTATED: frozenset[str] = frozenset({"order.create", "stock.count"})
"""The actions that state a whole."""

Age = Literal["first", "newer", "same", "older", "unknown"]


class Standing(NamedTuple):
    """The place of a statement in its source's sequence, and how it stands to the newest that was applied."""

    number: int | None
    age: Age


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def may_restate(system: System | None, command: AnyCommand) -> bool:
    """Whether another payload under the same key may be an update instead of a conflict.

    Of a count that does not say which it is, nothing can be said; an order is compared, so that a person sees what differs.
    """
    if system is None or system.updates == "content":
        return False
    if isinstance(command, CountStock):
        told = {"numbered": command.version, "timed": command.occurred_at}
        return system.updates == "restated" or told[system.updates] is not None
    return isinstance(command, CreateOrder)


def numbers(system: System, command: AnyCommand) -> bool:
    """Whether the source numbers this statement of a whole."""
    return system.updates == "numbered" and command.version is not None and command.action in RESTATED


def fact_of(command: AnyCommand) -> str:
    """What the versions of a source are counted for, within the command's subject: the order, or the stock at a node."""
    return f"{command.action}/{command.node}" if isinstance(command, CountStock) else command.action


def number_of(system: System, command: AnyCommand, now: datetime) -> int | None:
    """The place of this statement in its source's sequence; None where the source does not tell."""
    match system.updates:
        case "numbered":
            return command.version
        case "timed":
            if command.occurred_at is None:
                return None
            since = min(command.occurred_at, now) - _EPOCH
            return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        case _:
            return None


def standing(system: System, command: AnyCommand, now: datetime, newest: int | None) -> Standing:
    """How a statement stands to the newest that was applied. What a clock ahead tells counts as told now: by its arrival."""
    number = number_of(system, command, now)
    if system.updates == "timed" and number is not None and newest is not None and _ahead(command, now):
        number = max(number, newest + 1)
    return Standing(number, age(number, newest))


def _ahead(command: AnyCommand, now: datetime) -> bool:
    return command.occurred_at is not None and command.occurred_at > now


def age(number: int | None, newest: int | None) -> Age:
    """How a number stands to the newest that was applied."""
    if number is None:
        return "unknown"
    if newest is None:
        return "first"
    if number == newest:
        return "same"
    return "newer" if number > newest else "older"
