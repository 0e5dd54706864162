"""All that a database would hold, in dictionaries."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

import msgspec

from interlock.domain.decision import Arrival, VersionKey
from interlock.domain.model import Order, Position
from interlock.domain.two_masters import ReportKey
from interlock.domain.values import NodeId, OrderId, Sku, SystemId
from interlock.simulation.port import Told
from interlock.storage import ledger


class Parked(msgspec.Struct):
    """A message that waits for something."""

    arrival: Arrival
    waits_for: str
    waits_until: datetime | None


class Row(msgspec.Struct):
    """One message of the outbox."""

    told: Told
    created_at: datetime
    answer_within_s: float | None
    answer_due_at: datetime | None = None
    answered: bool = False


class ExceptionRow(msgspec.Struct):
    """Work for a person; the same trouble again is the same row."""

    reason: str
    owner: str
    opened_at: datetime
    due_at: datetime
    times: int = 1
    evidence: str | None = None


class Store:
    """What the tables are elsewhere. `shadows` are the orders as their events leave them, kept apart from the orders."""

    def __init__(self) -> None:
        self.ledger: dict[ledger.Key, ledger.Known] = {}
        self.parked: dict[str, list[Parked]] = {}
        self.orders: dict[OrderId, Order] = {}
        self.shadows: dict[OrderId, Order] = {}
        self.positions: dict[Sku, dict[NodeId, Position]] = {}
        self.excluded: dict[tuple[Sku, NodeId], datetime] = {}
        self.node_days: dict[tuple[NodeId, date], int] = {}
        self.outbox: dict[SystemId, dict[tuple[OrderId, int, str, int], Row]] = {}
        self.unanswered: dict[tuple[OrderId, int], list[Row]] = {}
        self.exceptions: dict[tuple[str, str], ExceptionRow] = {}
        self.versions: dict[VersionKey, int] = {}
        self.reports: dict[ReportKey, dict[SystemId, bytes]] = {}
        self.outcomes: Counter[tuple[str, str]] = Counter()
