"""What was recorded, read again as it took effect: messages in their order, events, stock and keys at a time. Only reads.

Everything is read in one snapshot: begin a transaction with `open_snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from interlock.domain.decision import OutcomeWord, VersionKey
from interlock.domain.events import AnyEvent, decode
from interlock.domain.values import NodeId, OrderId, Quantity, Sku, SystemId, plain
from interlock.storage import ledger
from interlock.storage.database import Transaction, queries

q = queries(__file__)


class Kept(NamedTuple):
    """A message as it was kept, with what became of it then. `effective_at` is the time of the batch in which it took effect."""

    effective_at: datetime
    part: int
    message_id: UUID
    system: SystemId
    received_at: datetime
    content_type: str
    body: bytes
    action: str | None
    subject: str
    business_key: str | None
    outcome: OutcomeWord
    reason: str | None
    source_message_id: str | None
    file: str | None
    record: str | None
    contract: str | None
    context: str | None
    trace_id: str | None


class Range(NamedTuple):
    """From a time (included) to another (not included); None is the beginning, or the end, of what there is."""

    since: datetime | None = None
    until: datetime | None = None


class Happened(NamedTuple):
    """An event as it was recorded: its body as text, byte for byte."""

    order_id: OrderId
    type: str
    body: str
    recorded_at: datetime


def open_snapshot(tx: Transaction) -> None:
    """The first thing in a transaction: everything after it sees one state, and nothing can be written."""
    tx.execute(q.one_snapshot)
    tx.execute(q.more_memory)


def messages(tx: Transaction, span: Range) -> Iterator[Kept]:
    """Messages that took effect in a range, in the order in which they did; also what was parked before it and went on in it."""
    tx.execute(q.open_messages, since=span.since, until=span.until)
    while rows := tx.query(q.next_messages):
        yield from map(Kept._make, rows)
    tx.execute(q.close_messages)


def timers(tx: Transaction, span: Range) -> dict[tuple[str, str], datetime]:
    """When time acted on orders, by order and the timer's key."""
    return {(subject, key): at for subject, key, at in tx.query(q.timers, since=span.since, until=span.until)}


def files(tx: Transaction) -> dict[tuple[str, str], tuple[str, str]]:
    """Name and kind of records of each file, by system and SHA-256."""
    return {(system, sha256): (name, kind) for system, sha256, name, kind in tx.query(q.files)}


def events(tx: Transaction, until: datetime | None) -> Iterator[Happened]:
    """What happened to orders up to a time, order by order, each in its order."""
    tx.execute(q.open_events, until=until)
    while rows := tx.query(q.next_events):
        yield from map(Happened._make, rows)
    tx.execute(q.close_events)


def events_before(tx: Transaction, since: datetime) -> dict[OrderId, list[AnyEvent]]:
    """The events, before a time, of the orders that have messages since then."""
    found: dict[OrderId, list[AnyEvent]] = {}
    for order_id, _, body in tx.query(q.events_before, since=since):
        found.setdefault(order_id, []).append(decode(body))
    return found


def waking(tx: Transaction) -> dict[OrderId, tuple[int, datetime]]:
    """When time acts next on orders, with the number of their last event."""
    return {order_id: (seq, wake_at) for order_id, seq, wake_at in tx.query(q.waking)}


def positions_before(tx: Transaction, since: datetime) -> list[tuple[Sku, NodeId, Quantity, Quantity, Quantity]]:
    """Stock at a time, as the movements before it come to: SKU, node, physical, unsellable, reserved."""
    return [
        (sku, node, plain(physical), plain(unsellable), plain(reserved))
        for sku, node, physical, unsellable, reserved in tx.query(q.positions_before, since=since)
    ]


def exclusions(tx: Transaction, since: datetime) -> dict[tuple[Sku, NodeId], datetime]:
    """Nodes that sourcing left out for a SKU at a time, as far as that is still known."""
    return {(sku, node): until for sku, node, until in tx.query(q.exclusions, since=since)}


def rejections_before(tx: Transaction, since: datetime) -> list[tuple[Sku, NodeId, str, datetime]]:
    """What nodes could not ship in the month before a time: SKU, node, the order's channel, when; the oldest first."""
    return [(sku, node, channel, at) for sku, node, channel, at in tx.query(q.rejections_before, since=since)]


def ledger_before(tx: Transaction, since: datetime) -> dict[ledger.Key, ledger.Known]:
    """What had been asked before a time, of what is asked about since then."""
    return {
        (subject, action, key): ledger.Known(payload_hash, outcome, answer.encode())
        for subject, action, key, payload_hash, outcome, answer in tx.query(q.ledger_before, since=since)
    }


def versions_before(tx: Transaction, since: datetime) -> dict[VersionKey, int]:
    """The newest statements of sources before a time, as far as they are still known."""
    return {
        (subject, fact, system): number for subject, fact, system, number in tx.query(q.versions_before, since=since)
    }


def allocations_before(tx: Transaction, since: datetime) -> list[tuple[NodeId, datetime]]:
    """Which node was given an order when, in the two days before a time."""
    return [(node, at) for node, at in tx.query(q.allocations_before, since=since)]


def exceptions(tx: Transaction, span: Range) -> list[tuple[str, str]]:
    """Subject and reason of what was shown to people in a range."""
    return [(subject, reason) for subject, reason in tx.query(q.exceptions, since=span.since, until=span.until)]


def sent(tx: Transaction, span: Range) -> dict[tuple[str, str], int]:
    """How many messages were written for each receiver in a range, by receiver and message."""
    return {
        (receiver, message): count for receiver, message, count in tx.query(q.sent, since=span.since, until=span.until)
    }
