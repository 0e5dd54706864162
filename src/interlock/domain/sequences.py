"""What tills count: store, register, business day and sequence number prove that nothing is missing.

    Mark        one transaction of a register, with its number
    Rules       how a system's registers count, and how long is waited for what is late
    DaySeen     what came of one register's day, as the database sums it up
    state_day   DaySeen and Rules to a Statement: complete, or what is missing

The holes between the numbers are found by the database; here is only what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from interlock.domain.errors import InvalidValue

MarkKind = Literal[
    "sale", "return", "exchange", "void", "post_void", "suspend", "no_sale", "training", "control", "close"
]
NUMBER_MAX = 2**53
RANGES_MAX = 500
RANGES_TOLD_MAX = 20


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of a register, whatever it was: each has its number, and none may be missing.

    A mark of kind `close` ends the business day; `first`, `last` and `count` are what the register says of it then, if it does.
    `at` is the till's own time of the transaction.
    """

    store: str
    register: str
    business_day: date
    number: int
    kind: MarkKind = "sale"
    at: datetime | None = None
    first: int | None = None
    last: int | None = None
    count: int | None = None


Numbering = Literal["auto", "continuous", "daily"]
"""Whether numbers run on over days, begin anew each day, or whichever of the two they seem to do."""
_NUMBERINGS: tuple[Numbering, ...] = ("auto", "continuous", "daily")
PREFIX = "pos_"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the registers of a system count, and how long is waited: the settings `pos_...` of its links.

    `number_max` is followed by `number_first` (9999, then 1). A hole is told of after `gap_grace_s`, or when the day is closed.
    A day that is not closed `close_within_s` after its midnight in the store's zone is stated as it is; with `closes` that is an
    exception, without it the register never says that a day is over.
    """

    numbering: Numbering = "auto"
    number_first: int | None = None
    number_max: int | None = None
    gap_grace_s: float = 3_600.0
    close_within_s: float = 43_200.0
    closes: bool = True

    def due_at(self, business_day: date, zone: str) -> datetime:
        """When a business day that was not closed is stated all the same: counted from the midnight that ends it there."""
        midnight = datetime.combine(business_day + timedelta(days=1), time(0), tzinfo=ZoneInfo(zone))
        return midnight.astimezone(UTC) + timedelta(seconds=self.close_within_s)


def rules_of(settings: Mapping[str, str]) -> Rules:
    """The rules that a link's settings give; those without `pos_` in front are the mapping's. Raises InvalidValue."""
    given: dict[str, object] = {}
    for name, text in settings.items():
        if not name.startswith(PREFIX):
            continue
        match name.removeprefix(PREFIX):
            case "numbering" if text in _NUMBERINGS:
                given["numbering"] = text
            case "numbering":
                raise InvalidValue(name, text, f"one of {', '.join(_NUMBERINGS)}")
            case "number_first" | "number_max" as field:
                given[field] = _whole(name, text)
            case "gap_grace_s" | "close_within_s" as field:
                given[field] = float(_whole(name, text))
            case "closes" if text.lower() in ("true", "false"):
                given["closes"] = text.lower() == "true"
            case "closes":
                raise InvalidValue(name, text, "true or false")
            case _:
                known = ", ".join(PREFIX + field for field in Rules.__struct_fields__)
                raise InvalidValue(name, text, f"a setting of the sequence check; there are: {known}")
    rules = Rules(**given)  # type: ignore[arg-type]  # each was read as its field's type
    if rules.number_max is not None and rules.number_max <= (rules.number_first or 0):
        raise InvalidValue("pos_number_max", str(rules.number_max), "above pos_number_first")
    return rules


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= NUMBER_MAX):
        raise InvalidValue(name, text, "a whole number of zero or more")
    return int(text)


class Range(NamedTuple):
    """Numbers from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


class Hole(NamedTuple):
    """Between two numbers that came, nothing did; it can be known since `known_at`."""

    before: int
    after: int
    known_at: datetime


class DaySeen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one register's day.

    `least` and `most` are its numbers, `holes` what lies between them (the widest, if there are too many), `closes` how many of
    the transactions were closes; `said_...` is what the register says of the day. `last_before` is where the register's day
    before ended; `began_at` when the first mark of this day came.
    """

    count: int
    least: int
    most: int
    began_at: datetime
    holes: Sequence[Hole] = ()
    closes: int = 0
    is_closed: bool = False
    said_first: int | None = None
    said_last: int | None = None
    said_count: int | None = None
    last_before: int | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one register's day. `first` and `last` are its numbers in the order in which they were given.

    `waits_until`: when the youngest hole of an open day has been waited for; None where none is waited for. `uncounted` is what
    the register counted more than came (less, where negative) and no missing number explains.
    """

    first: int
    last: int
    missing: tuple[Range, ...] = ()
    due: tuple[Range, ...] = ()
    waits_until: datetime | None = None
    uncounted: int = 0

    @property
    def missing_count(self) -> int:
        """How many numbers are missing."""
        return sum(each.last - each.first + 1 for each in self.missing)

    @property
    def is_complete(self) -> bool:
        """Whether every number came, and the register counted no more. Some count sales alone: fewer says nothing."""
        return not self.missing and self.uncounted <= 0


def state_day(seen: DaySeen, rules: Rules, now: datetime) -> Statement:
    """What is missing of a register's day, and what of it is to be told now: all of a closed day, else what was waited for."""
    first, last, inside = _unrolled(seen, rules)
    holes = [*inside, *_between_days(seen, rules, first), *_said(seen, first, last)]
    told = holes if seen.is_closed else [h for h in holes if h[1] + timedelta(seconds=rules.gap_grace_s) <= now]
    waiting = [each[1] for each in holes if each not in told]
    missing = merged(numbers for numbers, _ in holes)
    uncounted = 0
    if seen.said_count is not None:
        # Some registers count the close itself, others do not.
        short = seen.said_count - seen.count - sum(each.last - each.first + 1 for each in missing)
        uncounted = 0 if -seen.closes <= short <= 0 else short
    return Statement(
        first=first,
        last=last,
        missing=missing,
        due=merged(numbers for numbers, _ in told),
        waits_until=min(waiting) + timedelta(seconds=rules.gap_grace_s) if waiting else None,
        uncounted=uncounted,
    )


_Known = tuple[Range, datetime]
"""Numbers that are missing, and since when that can be known."""


def _unrolled(seen: DaySeen, rules: Rules) -> tuple[int, int, list[_Known]]:
    """Where the day begins and ends in its round of numbers, and what is missing between."""
    holes = [(Range(each.before + 1, each.after - 1), each.known_at) for each in seen.holes]
    top, bottom = rules.number_max, _round_first(rules)
    if top is None or not seen.holes:
        return seen.least, seen.most, holes
    # In a round, the day lies outside of the widest hole: 9998, 9999, 1, 2 has it between 2 and 9998.
    widest = max(seen.holes, key=lambda each: each.after - each.before)
    around = max(0, top - seen.most) + max(0, seen.least - bottom)
    if around >= widest.after - widest.before - 1:
        return seen.least, seen.most, holes
    holes = [each for each in holes if each[0].first != widest.before + 1]
    holes += [(each, seen.began_at) for each in _across(seen.most + 1, seen.least - 1, bottom, top)]
    return widest.after, widest.before, holes


def _between_days(seen: DaySeen, rules: Rules, first: int) -> list[_Known]:
    """What is missing between the end of the register's day before and the first number of this one."""
    if rules.numbering == "daily" or seen.last_before is None:
        begins = rules.number_first
        if rules.numbering != "daily" or begins is None or first <= begins:
            return []
        return [(Range(begins, first - 1), seen.began_at)]
    top, bottom = rules.number_max, _round_first(rules)
    expected = seen.last_before + 1
    if first >= expected:
        return [(Range(expected, first - 1), seen.began_at)] if first > expected else []
    if top is None or first < bottom:
        return []  # it began anew
    found = _across(expected, first - 1, bottom, top)
    size = sum(each.last - each.first + 1 for each in found)
    if rules.numbering == "auto" and size > (top - bottom) // 2:
        return []  # so much is never missing: it began anew
    return [(each, seen.began_at) for each in found]


def _said(seen: DaySeen, first: int, last: int) -> list[_Known]:
    """What is missing at the ends of the day, by what the register says of it."""
    found = []
    if seen.said_first is not None and seen.said_first < first:
        found.append((Range(seen.said_first, first - 1), seen.began_at))
    if seen.said_last is not None and seen.said_last > last:
        found.append((Range(last + 1, seen.said_last), seen.began_at))
    return found


def _round_first(rules: Rules) -> int:
    return 1 if rules.number_first is None else rules.number_first


def _across(first: int, last: int, bottom: int, top: int) -> list[Range]:
    """The numbers from `first` over the end of the round to `last`."""
    return [each for each in (Range(first, top), Range(bottom, last)) if each.first <= each.last]


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers in ascending ranges that do not touch."""
    found: list[Range] = []
    for each in sorted(ranges):
        if found and each.first <= found[-1].last + 1:
            found[-1] = Range(found[-1].first, max(found[-1].last, each.last))
        else:
            found.append(each)
    return tuple(found)


def covers(known: Sequence[Range], asked: Sequence[Range]) -> bool:
    """Whether all of the asked numbers are among the known ones; the known ones are merged."""
    return all(any(one.first <= each.first and each.last <= one.last for one in known) for each in asked)


def shown(ranges: Sequence[Range]) -> str:
    """Ranges for people: `17, 21-24 and 3 more ranges`."""
    texts = ", ".join(str(each) for each in ranges[:RANGES_TOLD_MAX])
    more = len(ranges) - RANGES_TOLD_MAX
    return f"{texts} and {more} more ranges" if more > 0 else texts
