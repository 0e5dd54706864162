"""What tills count: the number of each transaction, kept once, and what is stated of each register's day.

`save_many` is called for every chunk that comes in, `due_many` to `close_many` by the worker's chore, `days` by people.
A store's registers are in one part: part_of(system/store).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from interlock.domain.estate import Duty
from interlock.domain.sequences import RANGES_MAX, DaySeen, Hole, Mark, Range, Statement
from interlock.domain.values import PARTS, SystemId, part_of
from interlock.storage.arrays import BigInts, Bools, Bytes, Ints, Jsons, Texts, Times
from interlock.storage.database import Database, Transaction, queries

q = queries(__file__)

POS_GAP = "pos_gap"
POS_NUMBER_REUSED = "pos_number_reused"
POS_DAY_OPEN = "pos_day_open"
reasons = ("pos_gap", "pos_number_reused", "pos_day_open")

LOOK_AFTER_S = 15.0
"""A day is stated so long after it changed: a busy register is not summed up for each transaction."""
HOLES_MAX = 2_000


class Counted(NamedTuple):
    """A mark with the digest of the bytes that it came in, and how often it came in them."""

    mark: Mark
    digest: bytes
    times: int = 1


class Day(NamedTuple):
    """One register's business day; an empty register stands for the store."""

    system: SystemId
    store: str
    register: str
    business_day: date

    @property
    def subject(self) -> str:
        """Under which subject people are told of it."""
        return subject_of(self.system, self.store)


class DueDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day to look at: what came of it, what was stated, and what people were told."""

    day: Day
    seen: DaySeen
    state: str
    due_at: datetime | None
    repeats: int
    reused: int
    last_number: int | None
    told_missing: tuple[Range, ...]
    told_reused: int
    told_open: bool


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What is now stated of a day that was due, when to look again, and what people are told by now."""

    due: DueDay
    statement: Statement
    state: str
    due_at: datetime
    look_at: datetime | None
    told_missing: tuple[Range, ...]
    told_reused: int
    told_open: bool


class Told(NamedTuple):
    """Something to tell people of a day: one exception for each day and reason."""

    day: Day
    reason: str
    text: str


def subject_of(system: str, store: str) -> str:
    """What a store's exceptions are about, and its part's key."""
    return f"{system}/{store}"


def save_many(
    tx: Transaction, system: SystemId, marks: Sequence[Counted], received_at: datetime, now: datetime
) -> None:
    """Write marks of stores of one part down. The same key may be there several times, with other bytes each time."""
    part = part_of(subject_of(system, marks[0].mark.store))
    for some in _each_key_once(marks):
        closes = {(m.store, m.register, m.business_day): m for m, _, _ in some if m.kind == "close"}
        tx.execute(
            q.save_many,
            part=part,
            system=system,
            stores=Texts([m.store for m, _, _ in some]),
            registers=Texts([m.register for m, _, _ in some]),
            days=Texts([m.business_day.isoformat() for m, _, _ in some]),
            numbers=BigInts([m.number for m, _, _ in some]),
            kinds=Texts([m.kind for m, _, _ in some]),
            digests=Bytes([digest for _, digest, _ in some]),
            at=Times([m.at for m, _, _ in some]),
            times=Ints([times for _, _, times in some]),
            close_stores=Texts([store for store, _, _ in closes]),
            close_registers=Texts([register for _, register, _ in closes]),
            close_days=Texts([day.isoformat() for _, _, day in closes]),
            firsts=BigInts([m.first for m in closes.values()]),
            lasts=BigInts([m.last for m in closes.values()]),
            counts=BigInts([m.count for m in closes.values()]),
            received_at=received_at,
            now=now,
            look_at=now + timedelta(seconds=LOOK_AFTER_S),
        )
        whole = [(store, day) for store, register, day in closes if not register]
        if whole:
            tx.execute(
                q.look_in_store_many,
                part=part,
                systems=Texts([system for _ in whole]),
                stores=Texts([store for store, _ in whole]),
                days=Texts([day.isoformat() for _, day in whole]),
                now=now,
            )


def _each_key_once(marks: Sequence[Counted]) -> list[list[Counted]]:
    """The marks in as many rounds as one key has contents: nearly always one round."""
    by_key: dict[tuple[str, str, date, int], dict[bytes, Counted]] = {}
    for each in marks:
        mark, digest, times = each
        contents = by_key.setdefault((mark.store, mark.register, mark.business_day, mark.number), {})
        known = contents.get(digest)
        contents[digest] = each if known is None else known._replace(times=known.times + times)
    rounds: list[list[Counted]] = [[]]
    for contents in by_key.values():
        for place, each in enumerate(contents.values()):
            if place == len(rounds):
                rounds.append([])
            rounds[place].append(each)
    return rounds


def due_many(tx: Transaction, part: int, now: datetime, limit: int) -> list[DueDay]:
    """Days of a part to look at now, locked until the transaction ends; those that somebody works on are left out."""
    rows = tx.query(q.due_many, part=part, now=now, limit=limit)
    days = [Day(SystemId(row[0]), *row[1:4]) for row in rows]
    holes: dict[int, list[Hole]] = {}
    if rows:
        found = tx.query(q.holes_many, part=part, **_keys(days), holes_max=HOLES_MAX)
        for place, before, after, known_at in found:
            holes.setdefault(place, []).append(Hole(before, after, known_at))
    return [_due(day, row, holes.get(place, [])) for place, (day, row) in enumerate(zip(days, rows, strict=True), 1)]


def _due(day: Day, row: tuple[Any, ...], holes: Sequence[Hole]) -> DueDay:
    began_at, closed_at, said_first, said_last, said_count, due_at, state, told, told_reused, told_open = row[4:14]
    transactions, least, most, repeats, reused, closes, last_number, last_before = row[14:22]
    return DueDay(
        day=day,
        seen=DaySeen(
            count=transactions,
            least=least,
            most=most,
            began_at=began_at,
            holes=holes,
            closes=closes,
            is_closed=closed_at is not None,
            said_first=said_first,
            said_last=said_last,
            said_count=said_count,
            last_before=last_before,
        ),
        state=state,
        due_at=due_at,
        repeats=repeats,
        reused=reused,
        last_number=last_number,
        told_missing=tuple(Range(*each) for each in told),
        told_reused=told_reused,
        told_open=told_open,
    )


def state_many(tx: Transaction, part: int, stated: Sequence[Stated], now: datetime) -> None:
    """Keep what is stated; a day whose end is another than before has the register's next day looked at."""
    tx.execute(
        q.state_many,
        part=part,
        now=now,
        **_keys([each.due.day for each in stated]),
        look_at=Times([each.look_at for each in stated]),
        due_at=Times([each.due_at for each in stated]),
        states=Texts([each.state for each in stated]),
        transactions=BigInts([each.due.seen.count for each in stated]),
        first_numbers=BigInts([each.statement.first for each in stated]),
        last_numbers=BigInts([each.statement.last for each in stated]),
        repeats=BigInts([each.due.repeats for each in stated]),
        reused=BigInts([each.due.reused for each in stated]),
        missing=Jsons([msgspec.json.encode(each.statement.missing[:RANGES_MAX]) for each in stated]),
        missing_counts=BigInts([each.statement.missing_count for each in stated]),
        uncounted=BigInts([each.statement.uncounted for each in stated]),
        told_missing=Jsons([msgspec.json.encode(each.told_missing) for each in stated]),
        told_reused=BigInts([each.told_reused for each in stated]),
        told_open=Bools([each.told_open for each in stated]),
    )
    moved = [each.due.day for each in stated if each.statement.last != each.due.last_number]
    if moved:
        tx.execute(q.look_after_many, part=part, now=now, **_keys(moved))


def tell_many(tx: Transaction, part: int, told: Sequence[Told], duties: dict[str, Duty], now: datetime) -> int:
    """Open exceptions, or open them again; gives how many rows changed."""
    return tx.execute(
        q.tell_many,
        part=part,
        now=now,
        subjects=Texts([each.day.subject for each in told]),
        exception_ids=Texts([_exception_id(each) for each in told]),
        reasons=Texts([each.reason for each in told]),
        explanations=Texts([each.text for each in told]),
        systems=Texts([each.day.system for each in told]),
        owners=Texts([duties[each.reason].owner for each in told]),
        within_s=BigInts([int(duties[each.reason].within_s) for each in told]),
    )


def retell_many(tx: Transaction, part: int, told: Sequence[Told], now: datetime) -> int:
    """Put the explanations of open exceptions right; gives how many."""
    return tx.execute(
        q.retell_many,
        part=part,
        now=now,
        subjects=Texts([each.day.subject for each in told]),
        exception_ids=Texts([_exception_id(each) for each in told]),
        explanations=Texts([each.text for each in told]),
    )


def close_many(tx: Transaction, part: int, right: Sequence[Told], now: datetime) -> int:
    """Close exceptions that are open, on what is said as evidence; gives how many."""
    return tx.execute(
        q.close_many,
        part=part,
        now=now,
        subjects=Texts([each.day.subject for each in right]),
        exception_ids=Texts([_exception_id(each) for each in right]),
        evidence=Texts([each.text for each in right]),
    )


def _exception_id(told: Told) -> str:
    return f"{told.reason}/{told.day.register}/{told.day.business_day}"


def _keys(days: Sequence[Day]) -> dict[str, Texts]:
    return {
        "systems": Texts([each.system for each in days]),
        "stores": Texts([each.store for each in days]),
        "registers": Texts([each.register for each in days]),
        "days": Texts([each.business_day.isoformat() for each in days]),
    }


# For people

_DAY = (
    *("system", "store", "register", "business_day", "state", "closed_at", "stated_at", "due_at", "transactions"),
    *("first_number", "last_number", "said_first", "said_last", "said_count", "repeats", "reused", "late", "missing"),
    *("missing_count", "uncounted"),
)


def days(
    db: Database,
    *,
    store: str | None = None,
    day: date | None = None,
    unfinished: bool = False,
    limit: int = 500,
) -> list[dict[str, Any]]:
    """What is stated of register days, the newest first; `unfinished` leaves the complete ones out."""
    rows = db.transaction(
        lambda tx: tx.query(
            q.days, all_parts=list(range(PARTS)), store=store, day=day, unfinished=unfinished, limit=limit
        )
    )
    return [dict(zip(_DAY, row, strict=True)) for row in rows]


def day_of_store(db: Database, store: str, day: date) -> list[dict[str, Any]]:
    """What is stated of each register of a store on a day, with how many transactions of each kind it had."""
    found = days(db, store=store, day=day)
    rows = db.transaction(lambda tx: tx.query(q.kinds, all_parts=list(range(PARTS)), store=store, day=day))
    kinds: dict[tuple[str, str], dict[str, int]] = {}
    for system, register, kind, count in rows:
        kinds.setdefault((system, register), {})[kind] = count
    return [{**each, "kinds": kinds.get((each["system"], each["register"]), {})} for each in found]
