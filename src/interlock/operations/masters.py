"""Two masters, for people: how much both still tell, how much of it agrees, and where it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from interlock.domain.estate import Estate
from interlock.domain.links import TwoMasters
from interlock.storage import two_masters as store
from interlock.storage.database import Database
from interlock.storage.two_masters import Share


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a pair stands over a time: the days one by one, and all of them together.

    `dual` is the share of settled facts that both told, `agreement` that of these which agree. A pair can be ended when one
    of its systems tells nothing alone any more, or when `dual` has gone to nothing.
    """

    pair: str
    systems: tuple[str, ...]
    both_agree: int
    both_diverge: int
    alone: dict[str, int]
    waiting: int
    dual: float
    agreement: float
    fields: dict[str, int]
    days: tuple[Share, ...]


def standing(db: Database, estate: Estate, *, days: int, now: datetime) -> list[Standing]:
    """How every pair of the estate stands over its last days."""
    return [_standing(db, pair, days=days, now=now) for pair in estate.two_masters]


def divergences(db: Database, pair: str, *, days: int, now: datetime, limit: int = 100) -> list[dict[str, Any]]:
    """The newest reports of a pair that do not agree, with what differs."""
    return db.transaction(lambda tx: store.divergences(tx, pair, now - timedelta(days=days), limit))


def _standing(db: Database, pair: TwoMasters, *, days: int, now: datetime) -> Standing:
    settled_before = now - timedelta(seconds=pair.within_s)
    shares = db.transaction(lambda tx: store.shares(tx, pair.name, now - timedelta(days=days), settled_before))
    return _sum(pair, shares)


def _sum(pair: TwoMasters, shares: Sequence[Share]) -> Standing:
    alone: Counter[str] = Counter(dict.fromkeys(pair.systems, 0))
    fields: Counter[str] = Counter()
    for share in shares:
        alone.update(share.alone)
        fields.update(share.fields)
    agree, diverge = sum(s.both_agree for s in shares), sum(s.both_diverge for s in shares)
    both = agree + diverge
    settled = both + sum(alone.values())
    return Standing(
        pair=pair.name,
        systems=pair.systems,
        both_agree=agree,
        both_diverge=diverge,
        alone=dict(alone),
        waiting=sum(share.waiting for share in shares),
        dual=both / settled if settled else 0.0,
        agreement=agree / both if both else 0.0,
        fields=dict(fields.most_common()),
        days=tuple(shares),
    )
