"""The ledger: have we seen this action on this key, and what did we answer?

One row for each (subject, action, business key). A part is worked by one transaction at a time, so reading first and writing
with the other effects is safe, and costs one row write instead of two: docs/decisions/0003-ledger-per-action.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from interlock.domain.decision import OutcomeWord
from interlock.storage.arrays import Bytes, Ints, Jsons, Texts, Uuids
from interlock.storage.database import Pending, Transaction, queries
from interlock.storage.together import Sender

q = queries(__file__)

Key = tuple[str, str, str]
"""Subject, action, business key."""


class Known(msgspec.Struct, frozen=True):
    """What was written down for a key: the hash of its payload, and the first answer."""

    payload_hash: bytes
    outcome: OutcomeWord
    answer: bytes


class Entry(msgspec.Struct, frozen=True):
    """A key to write down, with its first answer."""

    key: Key
    payload_hash: bytes
    system: str
    message_id: UUID
    outcome: OutcomeWord
    answer: bytes


def ask_many(tx: Transaction, part: int, keys: Sequence[Key], orders: Sequence[str]) -> Pending:
    """Ask for what is known of these keys, and whether anything is parked on the `orders`; `known` reads the answer."""
    return tx.send(
        q.read_many,
        part=part,
        subjects=Texts([key[0] for key in keys]),
        actions=Texts([key[1] for key in keys]),
        keys=Texts([key[2] for key in keys]),
        orders=Texts(orders),
    )


def known(asked: Pending) -> tuple[dict[Key, Known], set[str]]:
    """What `ask_many` found: known keys (a key that is missing is new), and the orders on which something is parked."""
    found: dict[Key, Known] = {}
    awaited: set[str] = set()
    for subject, action, key, payload_hash, outcome, answer in asked.rows():
        if outcome == "waits":
            awaited.add(subject)
        else:
            found[subject, action, key] = Known(payload_hash, outcome, answer.encode())
    return found, awaited


def record_many(tx: Sender, part: int, entries: Sequence[Entry], now: datetime) -> None:
    """Write new keys down, or the final answer of keys that were parked."""
    tx.send(
        q.record_many,
        part=part,
        now=now,
        subjects=Texts([e.key[0] for e in entries]),
        actions=Texts([e.key[1] for e in entries]),
        keys=Texts([e.key[2] for e in entries]),
        hashes=Bytes([e.payload_hash for e in entries]),
        systems=Texts([e.system for e in entries]),
        message_ids=Uuids([e.message_id for e in entries]),
        outcomes=Texts([e.outcome for e in entries]),
        answers=Jsons([e.answer for e in entries]),
    )


def touch_many(tx: Transaction, part: int, again: Mapping[Key, tuple[int, int]], now: datetime) -> None:
    """Count attempts and conflicts of keys that came again: key -> (attempts, conflicts)."""
    keys: Iterable[Key] = again.keys()
    tx.send(
        q.touch_many,
        part=part,
        now=now,
        subjects=Texts([key[0] for key in keys]),
        actions=Texts([key[1] for key in keys]),
        keys=Texts([key[2] for key in keys]),
        attempts=Ints([attempts for attempts, _ in again.values()]),
        conflicts=Ints([conflicts for _, conflicts in again.values()]),
    )


def forget_many(tx: Transaction, part: int, keys: Sequence[Key]) -> None:
    """Free keys that were parked for a sender who, as it turns out, may not use them."""
    tx.send(
        q.forget_many,
        part=part,
        subjects=Texts([key[0] for key in keys]),
        actions=Texts([key[1] for key in keys]),
        keys=Texts([key[2] for key in keys]),
    )
