"""How far each link that we ask ourselves has been taken, and which process asks it now.

    tenure = Tenure(db, system.id, "orders")
    position = tenure.hold(now)              None where another process asks it
    tenure.move({"watermark": ...}, now)     after everything up to there has its outcome

A process asks a link only while it holds it, for `HELD_S` after it last said so. One that dies is succeeded after that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from interlock.domain.errors import StorageError
from interlock.domain.values import SystemId, part_of
from interlock.storage.database import Database, Transaction, queries

q = queries(__file__)

HELD_S: Final = 60.0

Position = dict[str, Any]


class NotHeld(StorageError):
    """Another process has taken the link over meanwhile: this one must ask it no further."""


class Tenure:
    """One process's right to ask one link. Not to be shared between threads."""

    def __init__(self, db: Database, system: SystemId, link: str, *, held_s: float = HELD_S) -> None:
        self.system, self.link = system, link
        self.held_s = held_s
        self._db = db
        self._holder = uuid4()

    def hold(self, now: datetime) -> Position | None:
        """Hold the link for `held_s` from now on, and give its position (empty at first); None while another process does."""
        return self._db.transaction(
            lambda tx: hold(tx, self.system, self.link, self._holder, now, now + timedelta(seconds=self.held_s))
        )

    def move(self, position: Position, now: datetime) -> None:
        """Everything up to this position has its outcome. Raises NotHeld where another process has taken over."""
        if not self._db.transaction(partial(self._moved, position=position, now=now)):
            raise NotHeld(f"{self.system}, {self.link}: another process asks this link now")

    def release(self) -> None:
        """Let another process ask it."""
        self._db.transaction(
            lambda tx: tx.execute(
                q.release, part=part_of(self.system), system=self.system, link=self.link, holder=self._holder
            )
        )

    def _moved(self, tx: Transaction, position: Position, now: datetime) -> bool:
        return move(tx, self.system, self.link, self._holder, position, now)


def hold(tx: Transaction, system: SystemId, link: str, holder: UUID, now: datetime, until: datetime) -> Position | None:
    """Become the one who asks, or stay it; gives the position, None where another one is."""
    rows = tx.query(q.hold, part=part_of(system), system=system, link=link, holder=holder, now=now, until=until)
    return (rows[0][0] or {}) if rows else None


def move(tx: Transaction, system: SystemId, link: str, holder: UUID, position: Position, now: datetime) -> bool:
    """Write the position down. False where somebody else holds the link."""
    written = msgspec.json.encode(position).decode()
    return (
        tx.execute(q.move, part=part_of(system), system=system, link=link, holder=holder, position=written, now=now)
        == 1
    )


def look(tx: Transaction, system: SystemId, link: str) -> tuple[Position, datetime | None]:
    """How far a link has been taken, and since when it is there."""
    rows = tx.query(q.look, part=part_of(system), system=system, link=link)
    return (rows[0][0] or {}, rows[0][1]) if rows else ({}, None)
