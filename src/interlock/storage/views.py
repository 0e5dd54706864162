"""Reads for people: an order by any identifier, its story in time order, stock, exceptions, messages,
receivers.

orders(db, estate, "1Z999AA10123456784")        # the order that this parcel belongs to, as JSON-able dicts
story(db, estate, "WEB-10001")                  # everything that happened to it, step by step

What these functions give is ready for JSON: quantities are numbers, amounts text, times aware. They read
committed rows, lock nothing, and always say how many rows they want at most. `close_exception` is the one
thing that a person does here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from interlock.domain.estate import Estate
from interlock.domain.values import PARTS, NodeId, part_of, plain
from interlock.storage.arrays import SmallInts, Texts
from interlock.storage.database import Database, Row, Transaction
from interlock.storage.queries import queries
from interlock.storage.story import Step, steps

q = queries(__file__)

JsonObject = dict[str, Any]

ORDERS_MAX: Final = 50
STORY_MESSAGES_MAX: Final = 10_000
_ALL_PARTS: Final = SmallInts(range(PARTS))


def resolve(db: Database, estate: Estate, identifier: str) -> list[str]:
    """The ids of the orders that an identifier leads to, at most 50; most often one, none if nobody knows it.

    In this order, and the first that finds something counts: an order's id, an assignment's or a release's,
    with its scope; the same without one, under every scope of the estate; then warehouse reference, shipment
    reference, tracking number, return number and the customer's number of an order.
    """
    return db.transaction(lambda tx: _resolve(tx, estate, identifier))


def orders(db: Database, estate: Estate, identifier: str) -> list[JsonObject]:
    """The orders that an identifier leads to, each whole; one that only messages speak of is not among them."""

    def read(tx: Transaction) -> list[JsonObject]:
        found = [_order(tx, order_id) for order_id in _resolve(tx, estate, identifier)]
        return [order for order in found if order is not None]

    return db.transaction(read)


def order(db: Database, order_id: str) -> JsonObject | None:
    """The whole order: header, lines, assignments, shipments, payment and returns; None if there is none."""
    return db.transaction(lambda tx: _order(tx, order_id))


def story(db: Database, estate: Estate, identifier: str) -> list[Step]:
    """Everything that happened to the orders that an identifier leads to, in time order.

    Messages (the refused, repeated and conflicting ones as well), events, deliveries and their answers,
    exceptions. An identifier of a SKU tells the story of its stock messages.
    """

    def read(tx: Transaction) -> list[Step]:
        subjects = _resolve(tx, estate, identifier)
        rows = []
        for subject in subjects[:ORDERS_MAX]:
            asked = {"part": part_of(subject), "subject": subject}
            with tx.pipeline():
                sent = [
                    tx.send(q.story_messages, limit=STORY_MESSAGES_MAX, **asked),
                    *(tx.send(query, **asked) for query in (q.story_events, q.story_outbox, q.story_exceptions)),
                ]
                rows.append((subject, *(pending.rows() for pending in sent)))
        return steps(rows)

    return db.transaction(read)


def positions(
    db: Database, estate: Estate, *, sku: str | None = None, node: str | None = None, limit: int = 500
) -> list[JsonObject]:
    """Stock in layers, by SKU and node; `sellable` is after what is reserved and after the estate's buffers."""

    def read(tx: Transaction) -> list[Row]:
        if sku is not None:
            return tx.query(q.positions_of_sku, part=part_of(sku), sku=sku, node=node, limit=limit)
        return tx.query(q.positions_of_node, all_parts=_ALL_PARTS, node=node, limit=limit)

    found = []
    for row in db.transaction(read):
        position = _named(
            ["sku", "node", "physical", "unsellable", "reserved", "excluded_until", "excluded_reason", "changed_at"],
            row,
        )
        at = position["node"]
        buffer = estate.buffer(position["sku"], NodeId(at)) if at in estate.nodes else 0
        available = position["physical"] - position["unsellable"]
        position |= {
            "available": plain(available),
            "buffer": buffer,
            "sellable": plain(available - position["reserved"] - buffer),
        }
        found.append(position)
    return found


_EXCEPTION: Final = (
    *("subject", "exception_id", "reason", "explanation", "system", "message_id", "owner", "opened_at", "due_at"),
    *("times", "last_seen_at", "closed_at", "closed_by", "evidence"),
)


def exceptions(db: Database, *, reason: str | None = None, is_open: bool = True, limit: int = 500) -> list[JsonObject]:
    """Work for people, what is due first coming first."""
    rows = db.transaction(
        lambda tx: tx.query(q.exceptions_many, all_parts=_ALL_PARTS, is_open=is_open, reason=reason, limit=limit)
    )
    return [_named(_EXCEPTION, row) for row in rows]


def close_exception(db: Database, subject: str, exception_id: str, closed_by: str, evidence: str) -> JsonObject | None:
    """Close an exception on evidence; None if there is none that is open. The same trouble again opens it
    again.
    """
    rows = db.transaction(
        lambda tx: tx.query(
            q.close_exception_if_open,
            part=part_of(subject),
            subject=subject,
            exception_id=exception_id,
            closed_by=closed_by,
            evidence=evidence,
            now=datetime.now(UTC),
        )
    )
    return _named(_EXCEPTION, rows[0]) if rows else None


_MESSAGE: Final = (
    *("message_id", "subject", "system", "source_message_id", "file", "record", "received_at", "occurred_at"),
    *("time_zone", "trace_id", "content_type", "body", "action", "business_key", "outcome", "reason", "settled_at"),
    "waits_for",
)


def message(db: Database, message_id: UUID, *, subject: str | None = None) -> JsonObject | None:
    """One message, verbatim (its body as text), and what became of it.

    With its subject (the order's id or SKU) it is found at once; without, all messages are looked through.
    """

    def read(tx: Transaction) -> list[Row]:
        about = subject or str(message_id)  # what could not be read has its own id as its subject
        rows = tx.query(q.message_of_subject, part=part_of(about), subject=about, message_id=message_id)
        if rows or subject is not None:
            return rows
        return tx.query(q.message_anywhere, all_parts=_ALL_PARTS, message_id=message_id)

    rows = db.transaction(read)
    if not rows:
        return None
    found = _named(_MESSAGE, rows[0])
    found["body"] = bytes(found["body"]).decode("utf-8", "backslashreplace")
    return found


def receivers(db: Database) -> list[JsonObject]:
    """How many messages each receiver has in each state (waiting, sent, dead), since when, and how many
    answers are late.
    """
    rows = db.transaction(lambda tx: tx.query(q.receivers_many, all_parts=_ALL_PARTS, now=datetime.now(UTC)))
    names = ("receiver", "state", "messages", "oldest_at", "next_at", "attempts_max", "overdue")
    return [_named(names, row) for row in rows]


def is_ready(db: Database) -> bool:
    """Whether the database answers; raises DatabaseUnavailable if it does not, after one try."""
    return db.transaction(lambda tx: bool(tx.query(q.ready)), retries_max=0)


# Identifiers


def _resolve(tx: Transaction, estate: Estate, identifier: str) -> list[str]:
    if not identifier or "\0" in identifier:
        return []
    scopes = sorted({system.order_scope for system in estate.systems.values()})
    # webshop:10001/1 is an assignment, webshop:10001/5/1 a release: but a source's id may hold slashes
    # itself.
    spellings = [identifier, *_without_numbers(identifier)]
    for candidates in (spellings, [f"{scope}:{each}" for each in spellings for scope in scopes]):
        found = tx.query(
            q.existing, parts=SmallInts([part_of(each) for each in candidates]), order_ids=Texts(candidates)
        )
        if found:
            ids = [row[0] for row in found]
            longest = max(len(_after_scope(each, scopes)) for each in ids)
            return [each for each in ids if len(_after_scope(each, scopes)) == longest]
    rows = tx.query(q.found_by_reference, all_parts=_ALL_PARTS, reference=identifier, limit=ORDERS_MAX)
    return [row[0] for row in rows]


def _without_numbers(identifier: str) -> Iterable[str]:
    rest = identifier
    for _ in range(2):
        rest, slash, number = rest.rpartition("/")
        if not slash or not rest or not number.isdigit():
            return
        yield rest


def _after_scope(order_id: str, scopes: Sequence[str]) -> str:
    scope, colon, rest = order_id.partition(":")
    return rest if colon and scope in scopes else order_id


# An order and its parts

_HEADER: Final = (
    *("order_id", "system", "channel", "number", "currency", "placed_at", "created_at", "time_zone", "word"),
    *("fulfillment", "destination", "pickup_node", "customer", "recipient", "total", "tax", "shipping", "state", "seq"),
    *("hold_attempts", "closed_at", "wake_at", "authorized", "captured", "refunded"),
)
_LINE: Final = (
    *("line_no", "sku", "source_sku", "uom", "unit_price", "quantity", "open", "allocated", "released", "packed"),
    *("shipped", "canceled", "returned", "refunded", "return_due"),
)
_ASSIGNMENT: Final = (
    *("assignment_no", "node", "state", "created_at", "released_at", "acknowledged_at", "warehouse_ref"),
)
_RESERVATION: Final = (
    *("assignment_no", "line_no", "sku", "quantity", "allocated", "released", "packed", "shipped", "canceled"),
    "rejected",
)


def _order(tx: Transaction, order_id: str) -> JsonObject | None:
    asked = {"part": part_of(order_id), "order_id": order_id}
    with tx.pipeline():
        header, lines, assignments, reservations, shipments, shipped, packages, returns = [
            tx.send(query, **asked)
            for query in (
                *(q.order_header, q.order_lines, q.order_assignments, q.order_reservations),
                *(q.order_shipments, q.order_shipment_lines, q.order_packages, q.order_returns),
            )
        ]
        rows = header.rows()
        if not rows:
            return None
        found = _money(_named(_HEADER, rows[0]), "total", "tax", "shipping", "authorized", "captured", "refunded")
        found["payment"] = {name: found.pop(name) for name in ("authorized", "captured", "refunded")}
        found["lines"] = [_money(_named(_LINE, row), "unit_price") for row in lines.rows()]
        held = [_named(_RESERVATION, row) for row in reservations.rows()]
        found["assignments"] = [
            {
                "assignment": f"{order_id}/{each['assignment_no']}",
                **each,
                "reservations": _of(held, "assignment_no", each["assignment_no"]),
            }
            for each in (_named(_ASSIGNMENT, row) for row in assignments.rows())
        ]
        units = [_named(("shipment_no", "line_no", "quantity"), row) for row in shipped.rows()]
        parcels = [_named(("shipment_no", "package_no", "tracking", "carrier"), row) for row in packages.rows()]
        found["shipments"] = [
            {
                **each,
                "lines": _of(units, "shipment_no", each["shipment_no"]),
                "packages": _of(parcels, "shipment_no", each["shipment_no"]),
            }
            for each in (
                _named(("shipment_no", "assignment_no", "node", "ref", "shipped_at"), row) for row in shipments.rows()
            )
        ]
        found["returns"] = [_named(("ref", "line_no", "due", "received"), row) for row in returns.rows()]
        return found


def _of(rows: Iterable[JsonObject], name: str, value: object) -> list[JsonObject]:
    """The rows of one parent, without its number in each."""
    return [{key: cell for key, cell in row.items() if key != name} for row in rows if row[name] == value]


def _named(names: Sequence[str], row: Row) -> JsonObject:
    return {name: plain(cell) if isinstance(cell, Decimal) else cell for name, cell in zip(names, row, strict=True)}


def _money(row: JsonObject, *names: str) -> JsonObject:
    """The row with these amounts as text, as JSON's numbers are no place for money."""
    for name in names:
        if row[name] is not None:
            row[name] = f"{row[name]:f}" if isinstance(row[name], Decimal) else str(row[name])
    return row
