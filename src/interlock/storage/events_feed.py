"""The feed of events: all of history in pages, from any position on, each order's events in their order.

    page = db.transaction(lambda tx: read_page(tx, BEGINNING, 500))
    page.events                                       the next events
    page.cursor.token()                               where to go on; Cursor.of(token) reads it again

Events are numbered inside of each part in the order of their commits. A cursor says up to which number each of the 64 parts was
read: a vector, because the parts are written by different processes at the same time. Whoever reads from a cursor on misses
nothing and gets nothing twice, while others write.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID
from zlib import crc32

from interlock.domain.errors import InvalidValue
from interlock.domain.values import PARTS, OrderId, SystemId, part_of
from interlock.storage.arrays import BigInts, SmallInts, Texts
from interlock.storage.database import Transaction, queries

q = queries(__file__)

ALL_PARTS: Final = tuple(range(PARTS))
LOOKED_AT_MAX: Final = 20_000
"""How many events one page looks at where only some are wanted."""
TOKEN_CHARACTERS_MAX: Final = 1_000

_VERSION: Final = 1
_TOKEN: Final = "a token of Interlock, as it was given as `next`; or beginning, or now"


class EventRow(NamedTuple):
    """One event as the table has it; `body` is its JSON, `trace_id` that of the message that caused it."""

    part: int
    position: int
    order_id: OrderId
    seq: int
    type: str
    body: str
    message_id: UUID
    system: SystemId
    occurred_at: datetime | None
    recorded_at: datetime
    trace_id: str | None


class Wanted(NamedTuple):
    """Which events are wanted: of these types, caused by these systems, of orders of these channels; None is all."""

    types: tuple[str, ...] | None = None
    systems: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == EVERYTHING


EVERYTHING: Final = Wanted()


class Cursor(NamedTuple):
    """Up to which position each of the 64 parts was read."""

    positions: tuple[int, ...]

    def token(self) -> str:
        """The cursor as text that can stand in an address: a version, 64 numbers of as few bytes as they need, and a check."""
        packed = bytes([_VERSION]) + b"".join(_varint(position) for position in self.positions)
        return base64.urlsafe_b64encode(packed + crc32(packed).to_bytes(4, "big")).rstrip(b"=").decode()

    @staticmethod
    def of(token: str) -> Cursor:
        """The cursor that a token stands for. Raises InvalidValue where it is none of ours, or was cut or changed."""
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            raise InvalidValue("after", token[:60], _TOKEN)
        try:
            packed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidValue("after", token[:60], _TOKEN) from None
        body, check = packed[:-4], packed[-4:]
        if len(packed) < 5 or crc32(body).to_bytes(4, "big") != check:
            raise InvalidValue("after", token[:60], f"{_TOKEN}; this one was cut or changed")
        if body[0] != _VERSION:
            raise InvalidValue("after", token[:60], f"{_TOKEN}; this one is of another version of Interlock")
        positions = _numbers(body[1:])
        if positions is None:
            raise InvalidValue("after", token[:60], _TOKEN)
        return Cursor(positions)

    def moved(self, to: Mapping[int, int]) -> Cursor:
        """The cursor with other positions of some parts."""
        return Cursor(tuple(to.get(part, position) for part, position in enumerate(self.positions)))


BEGINNING: Final = Cursor((0,) * PARTS)


class Page(NamedTuple):
    """Events, the cursor after them, and whether more are there already."""

    events: list[EventRow]
    cursor: Cursor
    more: bool


def read_page(
    tx: Transaction, after: Cursor, limit: int, wanted: Wanted = EVERYTHING, parts: Sequence[int] = ALL_PARTS
) -> Page:
    """The next events after a cursor, at most `limit`, of these parts.

    Where only some are wanted, a page looks at `LOOKED_AT_MAX` events and may be empty though `more` are to be looked at.
    Raises InvalidValue where the cursor is ahead of what there is: it is of another database.
    """
    heads = _heads_after(tx, after, parts)
    at = {part: after.positions[part] for part in parts}
    found: list[EventRow] = []
    looked_at = 0
    while len(found) < limit and looked_at < LOOKED_AT_MAX:
        left = limit - len(found)
        asked = shares(
            {part: heads[part] - at[part] for part in parts}, left if wanted.is_all else max(left, LOOKED_AT_MAX // 8)
        )
        if not asked:
            break
        looked_at += sum(asked.values())
        untils = {part: at[part] + count for part, count in asked.items()}
        rows = read_ranges(tx, [(part, at[part], until) for part, until in untils.items()], wanted)
        if len(rows) > left:
            for row in reversed(rows[left:]):  # what does not go on the page is read again for the next one
                untils[row.part] = row.position - 1
            rows = rows[:left]
        found += rows
        at |= untils
    return Page(in_time(found), after.moved(at), any(heads[part] > at[part] for part in parts))


def read_order(tx: Transaction, after: Cursor, limit: int, order_id: OrderId, wanted: Wanted = EVERYTHING) -> Page:
    """The next events of one order. Raises InvalidValue as `read_page` does."""
    part = part_of(order_id)
    head = _heads_after(tx, after, [part])[part]
    rows = tx.query(
        q.read_order,
        part=part,
        order_id=order_id,
        after=after.positions[part],
        until=head,
        limit=limit + 1,
        **_wanted(wanted),
    )
    events = [EventRow(*row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(events, after.moved({part: events[-1].position if more else head}), more)


def heads(tx: Transaction, parts: Sequence[int] = ALL_PARTS) -> dict[int, int]:
    """The last position of each part, 0 where there is none."""
    return dict(tx.query(q.heads, parts=SmallInts(parts)))


def now_cursor(tx: Transaction) -> Cursor:
    """The cursor behind all that there is."""
    return BEGINNING.moved(heads(tx))


def read_ranges(tx: Transaction, ranges: Sequence[tuple[int, int, int]], wanted: Wanted = EVERYTHING) -> list[EventRow]:
    """The wanted events of ranges: of a part, after a position up to another. By part and position."""
    rows = tx.query(
        q.read_many,
        parts=SmallInts([part for part, _, _ in ranges]),
        afters=BigInts([after for _, after, _ in ranges]),
        untils=BigInts([until for _, _, until in ranges]),
        **_wanted(wanted),
    )
    return [EventRow(*row) for row in rows]


def shares(backlog: Mapping[int, int], limit: int) -> dict[int, int]:
    """How many events of each part to read, at most `limit` together: every part its share, and what one does not need goes
    to others.
    """
    given: dict[int, int] = {}
    waiting = sorted((count, part) for part, count in backlog.items() if count > 0)
    if limit < len(waiting):
        return {part: 1 for _, part in waiting[len(waiting) - limit :]}  # the longest first, so that none starves
    for place, (count, part) in enumerate(waiting):
        share = min(count, -(-limit // (len(waiting) - place)))
        if share <= 0:
            break
        given[part] = share
        limit -= share
    return given


def in_time(events: Iterable[EventRow]) -> list[EventRow]:
    """Events that are sorted by part and position in the order of time; those of a part stay in their order, whatever the
    clock did.
    """
    latest: dict[int, datetime] = {}
    stamped = []
    for event in events:
        at = latest[event.part] = max(event.recorded_at, latest.get(event.part, event.recorded_at))
        stamped.append((at, event.part, event.position, event))
    return [event for *_, event in sorted(stamped, key=lambda each: each[:3])]


def _heads_after(tx: Transaction, after: Cursor, parts: Sequence[int]) -> dict[int, int]:
    found = heads(tx, parts)
    if any(after.positions[part] > found[part] for part in parts):
        expected = "a token of this database: this one is ahead of its history; was the database restored? Begin anew"
        raise InvalidValue("after", after.token()[:60], expected)
    return found


def _wanted(wanted: Wanted) -> dict[str, object]:
    return {
        "all_types": wanted.types is None,
        "types": Texts(wanted.types or ()),
        "all_systems": wanted.systems is None,
        "systems": Texts(wanted.systems or ()),
        "all_channels": wanted.channels is None,
        "channels": Texts(wanted.channels or ()),
    }


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(packed: bytes) -> tuple[int, ...] | None:
    """The 64 numbers, below 2**63; None where these are not exactly that."""
    found: list[int] = []
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            continue
        if number >= 2**63:
            return None
        found.append(number)
        number = shift = 0
    return tuple(found) if len(found) == PARTS and shift == 0 else None
