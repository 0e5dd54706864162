"""Is every transaction of the tills here? Each register's day is stated complete, or with what is missing of it.

The worker's chore looks at the days that changed or that time has come for: holes that were waited for in vain, days that were
closed, or that should have been. It tells people, and takes back what it told when what was missing comes
(docs/pos-completeness.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from interlock.domain.estate import Duty, Estate
from interlock.domain.sequences import RANGES_MAX, DaySeen, Range, Rules, Statement, covers, rules_of, shown, state_day
from interlock.domain.values import NodeId, SystemId
from interlock.storage import edges
from interlock.storage import pos_marks as store
from interlock.storage.database import Transaction
from interlock.storage.edges import EdgeId, EdgeReport
from interlock.storage.pos_marks import POS_DAY_OPEN, POS_GAP, POS_NUMBER_REUSED, Day, DueDay, Stated, Told

DAYS_AT_ONCE_MAX = 200

Telling = tuple[Literal["tell", "retell", "close"], Told]


def rules_of_system(estate: Estate, system: SystemId) -> Rules:
    """How a system's registers count, by what its links set. Raises InvalidValue."""
    settings: dict[str, str] = {}
    known = estate.systems.get(system)
    for link in known.inbound if known else ():
        settings.update(link.settings)
    return rules_of(settings)


class PosWatch:
    """The worker's chore: states the days of a part that are due, and tells what is wrong with them."""

    def __init__(self, estate: Estate) -> None:
        """Raises InvalidValue where a link's settings of the sequence check are wrong."""
        self._estate = estate
        self._rules = {system: rules_of_system(estate, system) for system in estate.systems}
        self._duties: dict[str, Duty] = {reason: estate.duty(reason) for reason in store.reasons}

    def __call__(self, tx: Transaction, part: int, now: datetime) -> int:
        """Look at what is due of the part; gives how many days were stated."""
        due = store.due_many(tx, part, now, DAYS_AT_ONCE_MAX)
        if not due:
            return 0
        stated = [self._state(each, now) for each in due]
        store.state_many(tx, part, stated, now)
        held = edges.waiting(tx, part)
        tellings = [telling for each in stated for telling in _tellings(each, now, _held(each.due.day, held))]
        told, retold, right = ([t for kind, t in tellings if kind == want] for want in ("tell", "retell", "close"))
        if told:
            store.tell_many(tx, part, told, self._duties, now)
        if retold:
            store.retell_many(tx, part, retold, now)
        if right:
            store.close_many(tx, part, right, now)
        return len(stated)

    def _state(self, due: DueDay, now: datetime) -> Stated:
        day = due.day
        rules = self._rules.get(day.system, Rules())
        due_at = rules.due_at(day.business_day, self._zone(day))
        is_over = due.seen.is_closed or now >= due_at
        # Numbers under no register are those of the store's own close: nothing can be missing between them.
        seen = due.seen if day.register else _nothing_missing(due.seen)
        statement = state_day(msgspec.structs.replace(seen, is_closed=is_over), rules, now)
        wake_at = [at for at in (statement.waits_until, None if is_over else due_at) if at is not None]
        told = statement.due[:RANGES_MAX]
        return Stated(
            due=due,
            statement=statement,
            state=("complete" if statement.is_complete else "incomplete") if is_over else "open",
            due_at=due_at,
            look_at=min(wake_at, default=None),
            # What people know stays known until the day has no hole left, so that nothing is told to them twice.
            told_missing=_known_by_now(due, statement, told),
            told_reused=due.reused,
            told_open=rules.closes and not due.seen.is_closed and is_over,
        )

    def _zone(self, day: Day) -> str:
        node = self._estate.nodes.get(NodeId(day.store))
        if node is not None:
            return node.time_zone
        system = self._estate.systems.get(day.system)
        return system.time_zone if system is not None else "UTC"


def _known_by_now(due: DueDay, statement: Statement, told: tuple[Range, ...]) -> tuple[Range, ...]:
    if not statement.missing:
        return ()
    return due.told_missing if covers(due.told_missing, told) else told


def _nothing_missing(seen: DaySeen) -> DaySeen:
    return msgspec.structs.replace(seen, holes=(), said_first=None, said_last=None, said_count=None, last_before=None)


def _held(day: Day, held: Mapping[EdgeId, EdgeReport]) -> str:
    """What waits at the store's edge, if its name is the store's: it is late, not missing."""
    report = held.get(EdgeId(day.system, day.store))
    if report is None:
        return ""
    since = f", the oldest since {report.oldest_at:%Y-%m-%dT%H:%MZ}" if report.oldest_at else ""
    return f"; the edge of {day.store} said at {report.seen_at:%Y-%m-%dT%H:%MZ} that {report.waiting} wait there{since}"


def _tellings(stated: Stated, now: datetime, held: str) -> Sequence[Telling]:
    """What people are to be told of a day, and what no longer; `held` says what the store's edge may still have of it."""
    due, statement, day = stated.due, stated.statement, stated.due.day
    name = f"{f'register {day.register} of ' if day.register else ''}{day.store} on {day.business_day}"
    found: list[Telling] = []

    def say(kind: Literal["tell", "retell", "close"], reason: str, text: str) -> None:
        found.append((kind, Told(day, reason, text)))

    uncounted = statement.uncounted if stated.state == "incomplete" else 0
    if statement.due or uncounted > 0:
        text = f"{name}: {_missing(stated)}{held}"
        news = not covers(due.told_missing, statement.due[:RANGES_MAX]) or (uncounted > 0 and due.state != "incomplete")
        say("tell" if news else "retell", POS_GAP, text)
    elif statement.is_complete and (due.told_missing or due.state == "incomplete"):
        say("close", POS_GAP, f"all {due.seen.count} transactions from {statement.first} to {statement.last} are here")
    if due.reused > due.told_reused:
        say("tell", POS_NUMBER_REUSED, f"{name}: {due.reused} transactions came under a number that another one has")
    if stated.told_open and not due.told_open:
        closes = (
            f"no close came by {now:%Y-%m-%dT%H:%MZ}; so far {due.seen.count} transactions, {_missing(stated)}{held}"
        )
        say("tell", POS_DAY_OPEN, f"{name}: {closes}")
    elif due.told_open and due.seen.is_closed:
        say("close", POS_DAY_OPEN, f"the close came; {due.seen.count} transactions, {_missing(stated)}")
    return found


def _missing(stated: Stated) -> str:
    statement = stated.statement
    texts = []
    if statement.missing_count:
        verb = "is" if statement.missing_count == 1 else "are"
        texts.append(f"{statement.missing_count} {verb} missing: {shown(statement.missing)}")
    if statement.uncounted > 0:
        texts.append(f"the register counted {statement.uncounted} more than came, under no number that is known")
    return "; ".join(texts) or "none is missing"
