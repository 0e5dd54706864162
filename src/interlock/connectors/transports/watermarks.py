"""Watermarks: the value in a record that grows, by which an API is asked for what is new.

A number, a time (ISO 8601, or seconds or milliseconds since 1970 as a number) or any text that sorts by itself.
It is kept as the API wrote it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

AHEAD_MAX: Final = timedelta(days=1)
"""A time further ahead of the server's own clock is a mistake in the record: it moves nothing."""

_EPOCH_S: Final = (Decimal(10**8), Decimal(10**11))
_EPOCH_MS: Final = (Decimal(10**11), Decimal(10**14))


class Watermark(NamedTuple):
    """A value that can be compared with others of its kind, and as it was written."""

    rank: tuple[int, Decimal | datetime | str]
    text: str

    @property
    def at(self) -> datetime | None:
        """The time that it stands for, if it does."""
        value = self.rank[1]
        if isinstance(value, datetime):
            return value
        if isinstance(value, Decimal):
            if _EPOCH_S[0] <= value < _EPOCH_S[1]:
                return datetime.fromtimestamp(float(value), UTC)
            if _EPOCH_MS[0] <= value < _EPOCH_MS[1]:
                return datetime.fromtimestamp(float(value) / 1000, UTC)
        return None


def watermark(value: object) -> Watermark | None:
    """What a record holds as its watermark; None where it holds nothing that could be one."""
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if not text or len(text) > 200:
        return None
    try:
        return Watermark((0, Decimal(text)), text) if Decimal(text).is_finite() else None
    except InvalidOperation:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return Watermark((2, text), text)
    return Watermark((1, at if at.tzinfo else at.replace(tzinfo=UTC)), text)


def set_back(mark: Watermark, seconds: float) -> str:
    """The watermark so many seconds before this one, written in the same way; itself where it is no time."""
    if not seconds or mark.at is None:
        return mark.text
    value = mark.rank[1]
    if isinstance(value, Decimal):
        less = Decimal(str(seconds)) * (1000 if value >= _EPOCH_MS[0] else 1)
        return format(value - less, "f")
    written = datetime.fromisoformat(mark.text) - timedelta(seconds=seconds)
    fraction = mark.text.partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    text = written.isoformat(timespec="microseconds" if digits > 3 else "milliseconds" if digits else "seconds")
    return text.replace("+00:00", "Z") if mark.text.endswith(("Z", "z")) else text


def is_ahead(mark: Watermark, server_now: datetime) -> bool:
    """Whether it lies so far in the future that following it would blind us to what is new."""
    return mark.at is not None and mark.at > server_now + AHEAD_MAX
