"""Drift from partners' contracts: counted by the hour, kept once for each kind and place with its last example, told when new.

Never a write for a message: what takes messages in gathers in memory, and adds it all once a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from interlock.domain.estate import Duty
from interlock.domain.values import SystemId, part_of
from interlock.storage.arrays import BigInts, Bools, SmallInts, Texts, Times, Uuids
from interlock.storage.database import Transaction, queries

q = queries(__file__)

SLOT_S: Final = 3_600
KEPT_S: Final = 7_776_000
QUIET_S: Final = 604_800
PATHS_MAX: Final = 200
OTHER_PATHS: Final = "(other places)"
TOLD_MAX: Final = 5
READ_MAX: Final = 2_000


class DriftKey(NamedTuple):
    """One kind of drift at one place, of a system by a version of a contract."""

    system: SystemId
    contract: str
    version: str
    kind: str
    path: str


class Example(NamedTuple):
    """The last message that showed it, when the first and the last of them came, and the contract that was in force."""

    digest: str
    is_held: bool
    first_at: datetime
    last_at: datetime
    message_id: UUID | None
    expected: str
    found: str


class DriftSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of drift at one place; `messages` since the beginning of the time asked for."""

    system: SystemId
    contract: str
    version: str
    kind: str
    path: str
    is_held: bool
    first_at: datetime
    last_at: datetime
    message_id: UUID | None
    expected: str
    found: str
    messages: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of a system that were checked against a version of a contract: all, let through with drift, and quarantined."""

    system: SystemId
    contract: str
    version: str
    checked: int
    warned: int
    held: int
    last_slot: datetime


def slot_of(at: datetime) -> datetime:
    """The hour that a moment belongs to."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % SLOT_S, UTC)


def add_many(
    tx: Transaction,
    counts: Mapping[tuple[DriftKey, datetime], int],
    examples: Mapping[DriftKey, Example],
    now: datetime,
    duty: Duty,
) -> list[DriftKey]:
    """Add what was gathered, by slot; what is new, or came under a changed contract, is told and given back.

    Of one version of a contract at most `PATHS_MAX` places are kept apart.
    """
    known = _known(tx, examples)
    places: Counter[tuple[str, str, str]] = Counter((key.system, key.contract, key.version) for key in known)
    bounded: dict[DriftKey, DriftKey] = {}
    saved: dict[DriftKey, Example] = {}
    for key in sorted(examples):
        ours = key
        if key not in known:
            of = (key.system, key.contract, key.version)
            if places[of] >= PATHS_MAX:
                ours = key._replace(path=OTHER_PATHS)
            else:
                places[of] += 1
        bounded[key] = ours
        saved[ours] = examples[key]
    slots: Counter[tuple[DriftKey, datetime]] = Counter()
    for (key, slot), messages in counts.items():
        slots[bounded.get(key, key), slot] += messages
    _count(tx, slots)
    if saved:
        _save(tx, saved)
    new = [key for key, example in saved.items() if known.get(key) != example.digest]
    if new:
        _tell(tx, {key: saved[key] for key in new}, now, duty)
    return new


def _known(tx: Transaction, examples: Mapping[DriftKey, Example]) -> dict[DriftKey, str]:
    if not examples:
        return {}
    contracts = sorted({(key.system, key.contract) for key in examples})
    rows = tx.query(
        q.known_many,
        parts=SmallInts(sorted({part_of(system) for system, _ in contracts})),
        systems=Texts([system for system, _ in contracts]),
        contracts=Texts([contract for _, contract in contracts]),
    )
    return {DriftKey(*row[:5]): row[5] for row in rows}


def _count(tx: Transaction, slots: Mapping[tuple[DriftKey, datetime], int]) -> None:
    tx.execute(
        q.count_many,
        parts=SmallInts([part_of(key.system) for key, _ in slots]),
        systems=Texts([key.system for key, _ in slots]),
        contracts=Texts([key.contract for key, _ in slots]),
        versions=Texts([key.version for key, _ in slots]),
        kinds=Texts([key.kind for key, _ in slots]),
        paths=Texts([key.path for key, _ in slots]),
        slots=Times([slot for _, slot in slots]),
        messages=BigInts(list(slots.values())),
    )


def _save(tx: Transaction, saved: Mapping[DriftKey, Example]) -> None:
    examples = list(saved.values())
    tx.execute(
        q.save_many,
        parts=SmallInts([part_of(key.system) for key in saved]),
        systems=Texts([key.system for key in saved]),
        contracts=Texts([key.contract for key in saved]),
        versions=Texts([key.version for key in saved]),
        kinds=Texts([key.kind for key in saved]),
        paths=Texts([key.path for key in saved]),
        digests=Texts([each.digest for each in examples]),
        is_held=Bools([each.is_held for each in examples]),
        first_at=Times([each.first_at for each in examples]),
        last_at=Times([each.last_at for each in examples]),
        message_ids=Uuids([each.message_id for each in examples]),
        expected=Texts([each.expected for each in examples]),
        found=Texts([each.found for each in examples]),
    )


def _tell(tx: Transaction, new: Mapping[DriftKey, Example], now: datetime, duty: Duty) -> None:
    told: dict[tuple[SystemId, str], list[tuple[DriftKey, Example]]] = {}
    for key, example in new.items():
        told.setdefault((key.system, key.contract), []).append((key, example))
    tx.execute(
        q.open_many,
        parts=SmallInts([part_of(system) for system, _ in told]),
        systems=Texts([system for system, _ in told]),
        contracts=Texts([contract for _, contract in told]),
        explanations=Texts([explanation(some) for some in told.values()]),
        message_ids=Uuids([some[0][1].message_id for some in told.values()]),
        owner=duty.owner,
        now=now,
        due_at=now + timedelta(seconds=duty.within_s),
    )


def explanation(some: Sequence[tuple[DriftKey, Example]]) -> str:
    """What is new in what a system sends, in sentences."""
    first = some[0][0]
    each = "; ".join(
        f"{key.kind} {key.path or 'of the whole'} (version {key.version or 'none'}): expected {example.expected}, found "
        f"{example.found}, {'quarantined' if example.is_held else 'let through'}"
        for key, example in some[:TOLD_MAX]
    )
    more = f"; and {len(some) - TOLD_MAX} more" if len(some) > TOLD_MAX else ""
    return f"{first.system} sends what its contract {first.contract} does not say: {each}{more}"


def close_many(tx: Transaction, part: int, digests: Mapping[tuple[SystemId, str], str], now: datetime) -> int:
    """Close `contract_drift` where the contract was changed and no drift has come for a week; gives how many.

    `digests` are those of the contracts in force, by system and contract.
    """
    return tx.execute(
        q.close_many,
        part=part,
        systems=Texts([system for system, _ in digests]),
        contracts=Texts([contract for _, contract in digests]),
        digests=Texts(list(digests.values())),
        quiet_since=now - timedelta(seconds=QUIET_S),
        now=now,
    )


def forget_many(tx: Transaction, part: int, now: datetime) -> int:
    """Drop counts that are older than 90 days; gives how many rows that were."""
    return tx.execute(q.forget_many, part=part, before=now - timedelta(seconds=KEPT_S))


def read_drift(tx: Transaction, systems: Sequence[SystemId], since: datetime) -> list[DriftSeen]:
    """All drift of the systems, the newest of each contract first; messages are counted since then."""
    rows = tx.query(
        q.read_drift,
        parts=SmallInts(sorted({part_of(system) for system in systems})),
        systems=Texts(list(systems)),
        since=since,
        limit=READ_MAX,
    )
    return [DriftSeen(**dict(zip(DriftSeen.__struct_fields__, row, strict=True))) for row in rows]


def read_totals(tx: Transaction, systems: Sequence[SystemId], since: datetime) -> list[Totals]:
    """How many messages were checked since then, by system, contract and version."""
    rows = tx.query(
        q.read_totals,
        parts=SmallInts(sorted({part_of(system) for system in systems})),
        systems=Texts(list(systems)),
        since=since,
    )
    return [Totals(**dict(zip(Totals.__struct_fields__, row, strict=True))) for row in rows]
