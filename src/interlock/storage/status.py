"""Summaries for people: what is in hand, counted."""

from __future__ import annotations

from typing import Any, Final

from interlock.storage.database import Database, Transaction, queries

q = queries(__file__)

Rows = list[dict[str, Any]]

TOTALS: Final = (
    "orders", "lines", "units", "assignments", "split_orders", "shipments", "packages", "movements", "positions",
    "events", "messages",
)  # fmt: skip
UNITS: Final = ("open", "allocated", "released", "packed", "shipped", "canceled", "returned", "refunded")


def status(db: Database) -> dict[str, Rows]:
    """Orders by state, messages by outcome, receivers, open exceptions and files: a table each."""

    def read(tx: Transaction) -> dict[str, Rows]:
        return {
            "orders": _named(tx.query(q.orders_by_state), "state", "fulfillment", "orders"),
            "messages": _named(tx.query(q.messages_by_outcome), "action", "outcome", "messages"),
            "receivers": _named(tx.query(q.receivers), "receiver", "message", "state", "messages", "unanswered"),
            "exceptions": _named(tx.query(q.exceptions_by_reason), "reason", "owner", "open", "times", "first_due"),
            "files": _named(tx.query(q.files), "system", "records", "files", "rows", "rejected", "seen_again"),
        }

    return db.transaction(read)


def totals(db: Database) -> dict[str, Any]:
    """Everything counted once: rows of each table, units by state, events by type."""

    def read(tx: Transaction) -> dict[str, Any]:
        return {
            **dict(zip(TOTALS, tx.query(q.totals)[0], strict=True)),
            "units_by_state": dict(zip(UNITS, tx.query(q.units_by_state)[0], strict=True)),
            "events_by_type": dict(tx.query(q.events_by_type)),
        }

    return db.transaction(read)


def _named(rows: list[tuple[Any, ...]], *names: str) -> Rows:
    return [dict(zip(names, row, strict=True)) for row in rows]
