"""What each of two masters said of a fact, and how much of the traffic both still tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from interlock.domain.two_masters import Report, ReportKey
from interlock.domain.values import SystemId
from interlock.storage.arrays import Jsons, Texts
from interlock.storage.database import Transaction, queries
from interlock.storage.together import Sender

q = queries(__file__)


def load_many(tx: Transaction, part: int, keys: Sequence[ReportKey]) -> dict[ReportKey, dict[SystemId, bytes]]:
    """What was said under these keys, by system."""
    found: dict[ReportKey, dict[SystemId, bytes]] = {}
    for subject, action, key, system, facts in tx.query(
        q.load_many,
        part=part,
        subjects=Texts([key[0] for key in keys]),
        actions=Texts([key[1] for key in keys]),
        keys=Texts([key[2] for key in keys]),
    ):
        found.setdefault((subject, action, key), {})[system] = facts.encode()
    return found


def save_many(tx: Sender, part: int, reports: Sequence[Report], now: datetime) -> None:
    """Write reports down; the first one of each master under a key stays."""
    tx.send(
        q.save_many,
        part=part,
        now=now,
        subjects=Texts([report.key[0] for report in reports]),
        actions=Texts([report.key[1] for report in reports]),
        keys=Texts([report.key[2] for report in reports]),
        systems=Texts([report.system for report in reports]),
        pairs=Texts([report.pair for report in reports]),
        facts=Jsons([report.facts for report in reports]),
        verdicts=Texts([report.verdict for report in reports]),
        differences=Jsons([msgspec.json.encode(report.differences) for report in reports]),
    )


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """How the facts of an action on a day (of the first report, UTC) were told: by both, or by one of them alone.

    `alone` has, by system, what that one told and no other within the pair's time; `waiting` may still be told by the other.
    `fields` counts the fields in which diverging reports differ.
    """

    pair: str
    action: str
    day: str
    both_agree: int
    both_diverge: int
    alone: dict[str, int]
    waiting: int
    fields: dict[str, int]

    @property
    def dual(self) -> float:
        """The share of settled facts that both told."""
        both = self.both_agree + self.both_diverge
        settled = both + sum(self.alone.values())
        return both / settled if settled else 0.0


def shares(tx: Transaction, pair: str, since: datetime, settled_before: datetime) -> list[Share]:
    """How the facts of a pair were told since a time, by action and day; what is younger than `settled_before` may wait."""
    return [
        Share(
            pair=pair,
            action=action,
            day=str(day),
            both_agree=agree,
            both_diverge=diverge,
            alone=alone or {},
            waiting=waiting,
            fields=fields or {},
        )
        for action, day, agree, diverge, alone, waiting, fields in tx.query(
            q.shares, pair=pair, since=since, settled_before=settled_before
        )
    ]


def divergences(tx: Transaction, pair: str, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The newest diverging reports of a pair."""
    return [
        {"at": at, "subject": subject, "action": action, "key": key, "system": system, "differences": differences}
        for at, subject, action, key, system, differences in tx.query(
            q.divergences, pair=pair, since=since, limit=limit
        )
    ]
