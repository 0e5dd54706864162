"""The newest statement of each source about each thing: what is older than that has no effect."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from interlock.domain.decision import Version, VersionKey
from interlock.storage.arrays import BigInts, Texts
from interlock.storage.database import Transaction, queries
from interlock.storage.together import Sender

q = queries(__file__)


def load_many(tx: Transaction, part: int, keys: Sequence[VersionKey]) -> dict[VersionKey, int]:
    """The number of the newest statement under each key; a key that is missing has none."""
    rows = tx.query(
        q.load_many,
        part=part,
        subjects=Texts([key[0] for key in keys]),
        facts=Texts([key[1] for key in keys]),
        systems=Texts([key[2] for key in keys]),
    )
    return {(subject, fact, system): number for subject, fact, system, number in rows}


def save_many(tx: Sender, part: int, found: Sequence[Version], now: datetime) -> None:
    """These are the newest now; of one key the last counts."""
    newest = {version.key: version.number for version in found}
    tx.send(
        q.save_many,
        part=part,
        now=now,
        subjects=Texts([key[0] for key in newest]),
        facts=Texts([key[1] for key in newest]),
        systems=Texts([key[2] for key in newest]),
        numbers=BigInts(list(newest.values())),
    )
