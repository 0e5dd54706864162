"""Times as partners write them: ISO 8601, X12, EDIFACT (data element 2379), epochs, or a format; local ones in a zone.

A local time that clocks skip (gap) or show twice (fold) is never taken silently for another one: what is to become of it is said
by the mapping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from interlock.connectors.recipes.scopes import text_of
from interlock.connectors.recipes.wrong import Unfit

Gap = Literal["refuse", "forward"]
Fold = Literal["earlier", "later", "refuse"]
NAMED_FORMATS: Final = ("iso", "epoch", "epoch_ms", "101", "102", "201", "202", "203", "204", "303", "304")
_EXPECTED: Final = "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"
_CENTURY_TURNS: Final = 70
_TIME: Final = re.compile(r"(\d{1,2}):?(\d{2})(?::?(\d{2})(?:[.,]?(\d{1,6}))?)? ?([AaPp][Mm])?")
_ISO_HEAD: Final = re.compile(r"\d{4}-\d")
EPOCH_MAX: Final = 7_258_118_400  # 2200-01-01
_READABLE: Final = frozenset({str, int, Decimal, datetime})
_CACHED_MAX: Final = 20_000


@cache
def zone_named(name: str) -> ZoneInfo | None:
    """The zone of the IANA name; None where there is none."""
    return ZoneInfo(name) if name in available_timezones() else None


class TimeReader:
    """Reads times in the given formats (or by their looks, with none). Safe to share between threads."""

    def __init__(self, formats: Sequence[str], gap: Gap = "refuse", fold: Fold = "earlier") -> None:
        self._formats = [_reader(each) for each in formats]
        self._expected = f"a time written as {' or '.join(formats)}" if formats else _EXPECTED
        self._gap = gap
        self._fold = fold
        self._known: dict[tuple[Any, ZoneInfo], datetime] = {}

    def read(self, value: Any, zone: ZoneInfo) -> datetime:
        """The instant that a value says, with its offset. Raises Unfit."""
        if type(value) not in _READABLE:
            raise Unfit(value, self._expected)
        key = (value, zone)
        known = self._known.get(key)
        if known is not None:
            return known
        at = value if isinstance(value, datetime) else self._parsed(value)
        if at.tzinfo is None:
            at = self._placed(at, zone, value)
        if len(self._known) >= _CACHED_MAX:
            self._known.clear()
        self._known[key] = at
        return at

    def read_pair(self, day: Any, clock: Any, zone: ZoneInfo) -> datetime:
        """The instant that a date and a time of the day say, each in a field of its own. Raises Unfit."""
        if clock is None:
            return self.read(day, zone)
        if self._formats:
            return self.read(f"{text_of(day)} {text_of(clock)}", zone)
        key = (f"{text_of(day)} {text_of(clock)}", zone)
        known = self._known.get(key)
        if known is None:
            if type(day) not in _READABLE:
                raise Unfit(day, self._expected)
            on = day.date() if isinstance(day, datetime) else self._parsed(day).date()
            at, shift = _clock(text_of(clock))
            try:
                local = datetime.combine(on, at) + shift
            except OverflowError:
                raise Unfit(key[0], self._expected) from None
            known = self._placed(local, zone, key[0]) if local.tzinfo is None else local
            if len(self._known) >= _CACHED_MAX:
                self._known.clear()
            self._known[key] = known
        return known

    def _parsed(self, value: Any) -> datetime:
        if type(value) is str and not self._formats and value[4:5] == "-" and len(value) > 18:
            try:
                return datetime.fromisoformat(value)  # what most systems write
            except ValueError:
                pass
        for read in self._formats:
            try:
                return read(value)
            except (ValueError, OverflowError, ArithmeticError):
                continue
        if not self._formats:
            try:
                return _by_looks(text_of(value))
            except (ValueError, OverflowError):
                pass
        raise Unfit(value, self._expected)

    def _placed(self, local: datetime, zone: ZoneInfo, value: Any) -> datetime:
        """A local time in its zone."""
        first = local.replace(tzinfo=zone, fold=0)
        second = local.replace(tzinfo=zone, fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        if before == after:
            return first
        assert before is not None and after is not None
        if before < after:
            if self._gap == "refuse":
                raise Unfit(value, f"a time that there is in {zone.key}: clocks were set forward over it")
            return first.astimezone(UTC).astimezone(zone)
        if self._fold == "refuse":
            raise Unfit(value, f"a time that there is only once in {zone.key}: clocks were set back over it")
        return first if self._fold == "earlier" else second


def read_day(value: Any) -> date:
    """The day that a value says. Raises Unfit."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return _by_looks(text_of(value)).date()
    except (ValueError, OverflowError):
        raise Unfit(value, "a day such as 2026-03-01 or 20260301") from None


def check_format(name: str) -> str:
    """What is wrong with the name of a format; "" where nothing is."""
    if name in NAMED_FORMATS:
        return ""
    if "%" not in name:
        return f"one of {', '.join(NAMED_FORMATS)}, or a pattern such as %d.%m.%Y %H:%M"
    try:
        datetime.strptime(datetime(2026, 11, 23, 14, 5, 6, tzinfo=UTC).strftime(name), name)
    except (ValueError, re.error):
        return "a pattern that times can be read by, such as %d.%m.%Y %H:%M"
    return ""


def _reader(name: str) -> Callable[[Any], datetime]:
    if name == "epoch":
        return lambda value: _epoch(value, 1)
    if name == "epoch_ms":
        return lambda value: _epoch(value, 1000)
    if name == "iso":
        return lambda value: datetime.fromisoformat(text_of(value))
    if name in NAMED_FORMATS:
        return lambda value: _by_code(text_of(value), name)
    return lambda value: datetime.strptime(text_of(value), name)


def _epoch(value: Any, unit: int) -> datetime:
    exact = Decimal(text_of(value)) / unit
    if not 0 <= exact < EPOCH_MAX:
        raise ValueError
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(exact * 1_000_000))


def _by_code(text: str, code: str) -> datetime:
    """By a code of EDIFACT's 2379: 101 YYMMDD, 102 CCYYMMDD, 201 to 204 with a time, 303 and 304 with a zone."""
    lengths = {"101": 6, "102": 8, "201": 10, "202": 12, "203": 12, "204": 14}
    if code in lengths:
        if len(text) != lengths[code]:
            raise ValueError
        if code in ("101", "201", "202"):
            return _digits(_century(text[:2]) + text)
        return _digits(text)
    split = 12 if code == "303" else 14
    at, zone = _digits(text[:split]), text[split:].strip().upper()
    if zone in ("", "Z", "UTC", "GMT"):
        return at.replace(tzinfo=UTC)
    return at.replace(tzinfo=_offset(zone))


def _offset(text: str) -> timezone:
    found = re.fullmatch(r"([+-]?)(\d{2}):?(\d{2})?", text)
    if not found:
        raise ValueError(text)
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def _by_looks(text: str) -> datetime:
    """By the looks of it: ISO 8601, or digits as X12 and EDIFACT have them."""
    text = text.strip()
    if _ISO_HEAD.match(text):
        return _iso(text)
    digits = text.replace(" ", "") if text[:1].isdigit() and " " in text else text
    if digits.isascii() and digits.isdigit():
        if len(digits) in (6, 10):  # two digits of the year
            return _digits(_century(digits[:2]) + digits)
        if len(digits) in (8, 12, 14):
            return _digits(digits)
        raise ValueError(text)
    return _iso(text)


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        if "24:00" in text:  # midnight at the end of the day, ISO 8601-1:2019/Amd 1:2022
            return datetime.fromisoformat(text.replace("24:00", "00:00", 1)) + timedelta(days=1)
        raise


def _century(year: str) -> str:
    return "19" if int(year) >= _CENTURY_TURNS else "20"


def _digits(text: str) -> datetime:
    """CCYYMMDD[HHMM[SS]]; 2400 is midnight at the end of the day."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    day = datetime(int(text[:4]), int(text[4:6]), int(text[6:8]))
    if len(text) == 8:
        return day
    hours, minutes, seconds = int(text[8:10]), int(text[10:12]), int(text[12:14] or 0)
    if hours > 24 or minutes > 59 or seconds > 59 or (hours == 24 and minutes + seconds):
        raise ValueError(text)
    return day + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _clock(text: str) -> tuple[time, timedelta]:
    """A time of the day, HHMM, HHMMSS, HHMMSSDD or with colons, and how much it goes beyond its day."""
    text = text.strip()
    found = _TIME.fullmatch(text.zfill(4) if text.isdigit() and len(text) == 3 else text)
    if not found:
        try:
            return time.fromisoformat(text), timedelta()
        except ValueError:
            raise Unfit(text, "a time of the day such as 0930 or 09:30:00") from None
    hours, minutes, seconds = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= hours <= 12:
            raise Unfit(text, "an hour from 1 to 12 before AM or PM")
        hours = hours % 12 + (12 if found[5].lower() == "pm" else 0)
    if hours == 24 and not minutes and not seconds:
        return time(0), timedelta(days=1)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise Unfit(text, "a time of the day such as 0930 or 09:30:00")
    return time(hours, minutes, seconds, int((found[4] or "").ljust(6, "0"))), timedelta()
