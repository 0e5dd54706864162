"""What systems use of our contracts: how many messages of which version, and of which deprecated field, by day.

Never a write for a message: whoever takes messages in gathers in memory, and adds in one statement a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

import msgspec

from interlock.domain.values import PARTS, SystemId, part_of
from interlock.storage.arrays import BigInts, Ints, SmallInts, Texts, Times
from interlock.storage.database import Transaction, queries

q = queries(__file__)

KEPT_DAYS = 730


class Used(NamedTuple):
    """A version of a contract that a system used on a day; of `field`, if that is deprecated, else of the whole ("")."""

    system: SystemId
    contract: str
    version: int
    field: str
    day: date


class Count(NamedTuple):
    """How often, and when last."""

    messages: int
    last_at: datetime


class UseRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a system used since a day; `field` is "" for the whole message."""

    system: str
    contract: str
    version: int
    field: str
    messages: int
    first_day: date
    last_at: datetime


def add_many(tx: Transaction, seen: Mapping[Used, Count]) -> None:
    """Add what was gathered."""
    tx.execute(
        q.add_many,
        parts=SmallInts([part_of(used.system) for used in seen]),
        systems=Texts([used.system for used in seen]),
        contracts=Texts([used.contract for used in seen]),
        versions=Ints([used.version for used in seen]),
        fields=Texts([used.field for used in seen]),
        messages=BigInts([times.messages for times in seen.values()]),
        last_at=Times([times.last_at for times in seen.values()]),
    )


def read_many(tx: Transaction, since: date) -> list[UseRow]:
    """What all systems used since a day."""
    rows = tx.query(q.read_many, parts=SmallInts(range(PARTS)), since=since)
    return [
        UseRow(
            system=row[0],
            contract=row[1],
            version=row[2],
            field=row[3],
            messages=row[4],
            first_day=row[5],
            last_at=row[6],
        )
        for row in rows
    ]


def forget_many(tx: Transaction, part: int, now: datetime) -> int:
    """Drop what is older than two years; gives how many rows that were."""
    return tx.execute(q.forget_many, part=part, before=(now - timedelta(days=KEPT_DAYS)).date())
