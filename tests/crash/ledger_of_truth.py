"""What the senders know against what the database holds: each difference is a sentence.

    violations = disagreements(db, journal, dropped, exchange, warehouse)

Nothing here asks Interlock what it thinks of itself; that is the audit's part, which is run beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from interlock.storage.database import Database
from tests.crash.droppers import Dropped
from tests.crash.estate import INITIAL_STOCK, STORE
from tests.crash.journal import Answer, Journal, Lines, Request
from tests.crash.warehouse import Warehouse
from tests.engine.truths import rows

_LATER = {"processed", "duplicate", "stale", "refused", "parked"}


def disagreements(
    db: Database,
    journal: Journal,
    dropped: Sequence[Dropped],
    exchange: Path,
    warehouse: Warehouse,
    stock: Mapping[tuple[str, str], int] = INITIAL_STOCK,
) -> list[str]:
    """Every way in which the senders' journals and the database differ; `stock` is what everything began with."""
    checks = (
        orders_there_once(db, journal, dropped),
        answers_kept(db, journal),
        nothing_unsent(db, journal, dropped),
        ledger_agrees(db, journal, dropped),
        money_agrees(db, journal),
        shipments_there_once(db, journal),
        stock_agrees(db, dropped, stock),
        files_archived(db, dropped, exchange),
        told_at_least_once(db, warehouse),
    )
    return list(chain.from_iterable(checks))


def orders_there_once(db: Database, journal: Journal, dropped: Sequence[Dropped]) -> Iterator[str]:
    """Accepted: there exactly once with the same lines. Refused: not there. Unknown to its sender: as GET has told."""
    stored: dict[str, list[tuple[int, str, int]]] = {}
    for order_id, line_no, sku, quantity in rows(db, "select order_id, line_no, sku, quantity from lines"):
        stored.setdefault(order_id, []).append((line_no, sku, int(quantity)))
    there = Counter(order_id for (order_id,) in rows(db, "select order_id from orders"))
    expected: dict[str, Lines] = {}
    for request in _creates(journal):
        final = request.final
        if request.accepted or (request.gave_up and request.asked[-1:] == [True]):
            if expected.setdefault(request.subject, request.lines) != request.lines:
                yield f"{request.subject}: two different orders were accepted under one number"
        elif request.gave_up and not request.asked:
            yield f"{request.subject}: its sender does not know what became of it"
        elif not request.gave_up and (final is None or final.status not in (400, 403, 409, 422)):
            yield f"{request.subject}: neither accepted nor refused: {final} {request.settled}"
        if True in request.asked and request.asked[-1] is False:
            yield f"{request.subject}: GET said that it was there, and later that it was not"
    for file in dropped:
        expected.update(file.orders)
    for order_id, lines in expected.items():
        found = tuple((sku, units) for _, sku, units in sorted(stored.get(order_id, [])))
        if there[order_id] != 1 or found != lines:
            yield f"{order_id}: accepted with {lines}, and there {there[order_id]} times with {found}"
    for order_id in there.keys() - expected.keys():
        yield f"{order_id}: it is there, and nobody was told that it was accepted"


def answers_kept(db: Database, journal: Journal) -> Iterator[str]:
    """Every answer that a sender ever got names a message that is there, with its bytes and its outcome."""
    kept = {
        str(message_id): (system, bytes(body), outcome)
        for message_id, system, body, outcome in rows(db, "select message_id, system, body, outcome from messages")
    }
    for request in journal.requests:
        for answer in request.answers:
            message_id = str(answer.body.get("message_id", ""))
            if not message_id:
                if answer.status < 500:
                    yield f"{request.subject}: {answer.status} without a message: {dict(answer.body)}"
                continue
            if message_id not in kept:
                yield f"{request.subject}: answered {answer.status} {answer.outcome} for {message_id}, which is gone"
                continue
            system, body, outcome = kept[message_id]
            if (system, body) != (request.system, request.body):
                yield f"{request.subject}: message {message_id} is of {system} and has other bytes than were sent"
            if outcome not in _may_be(answer):
                yield f"{request.subject}: answered {answer.status} {answer.outcome}, kept as {outcome} ({message_id})"
        if any(answer.status == 500 for answer in request.answers):
            yield f"{request.action} of {request.subject}: an error of ours: {request.answers}"
        yield from _answers_differ(request)


def _may_be(answer: Answer) -> set[str]:
    """The outcomes that the message of such an answer may have in the end."""
    if answer.status == 409:
        return {"conflict"}
    if answer.outcome in ("parked", "received"):
        return _LATER
    # A commit whose confirmation was lost is run again: the message is its own duplicate then, and keeps its first outcome.
    return {answer.outcome, "duplicate"} if answer.outcome != "quarantined" else {"quarantined"}


def _answers_differ(request: Request) -> Iterator[str]:
    """The same bytes get the same answer, however often they are sent."""
    told = {
        msgspec.json.encode({n: v for n, v in a.body.items() if n not in _OF_THE_ATTEMPT}, order="sorted")
        for a in request.answers
        if a.status in (200, 201, 422) and a.outcome not in ("parked", "received")
    }
    if len(told) > 1:
        yield f"{request.action} of {request.subject}: the same request got {len(told)} answers: {sorted(told)}"


_OF_THE_ATTEMPT = frozenset({"replayed", "message_id", "trace_id", "line", "status"})


def nothing_unsent(db: Database, journal: Journal, dropped: Sequence[Dropped]) -> Iterator[str]:
    """No message in the database that no sender sent, and none more often than it was sent; all have an outcome."""
    sent: Counter[tuple[str, bytes]] = Counter()
    for request in journal.requests:
        sent[request.system, request.body] += request.sent
    query = "select system, body, count(*) from messages where file is null and system <> 'interlock' group by 1, 2"
    for system, body, count in rows(db, query):
        if count > sent[system, bytes(body)]:
            yield f"{system} sent this {sent[system, bytes(body)]} times, and it is there {count} times: {bytes(body)!r}"
    fingerprints = {(file.system, sha256(file.content).hexdigest()) for file in dropped if not file.is_unreadable}
    for system, file in rows(db, "select distinct system, file from messages where file is not null"):
        if (system, file) not in fingerprints:
            yield f"there are messages of a file {file} of {system} that nobody dropped"
    for subject, message_id in rows(db, "select subject, message_id from messages where outcome is null"):
        yield f"{subject}: message {message_id} has no outcome"
    for subject, action, reason in rows(
        db, "select subject, action, reason from messages where outcome = 'quarantined' and reason like 'internal%%'"
    ):
        yield f"{subject}: a {action} was put away for an error of ours: {reason}"


def ledger_agrees(db: Database, journal: Journal, dropped: Sequence[Dropped]) -> Iterator[str]:
    """Every action that was answered is in the ledger once, with that outcome; nothing is in it that nobody asked for."""
    query = "select subject, action, business_key, outcome from ledger where system = any(%(systems)s)"
    systems = sorted({request.system for request in journal.requests})
    found = {tuple(row[:3]): row[3] for row in rows(db, query, systems=systems)}
    asked = {(r.subject, r.action, r.key) for r in journal.requests}
    asked |= {(sku, "stock.count", f"{STORE}/{file.name[:-4]}") for file in dropped for sku in file.counts}
    for key in found.keys() - asked:
        yield f"the ledger has {key}, which nobody asked for"
    for request in journal.requests:
        final = request.final
        if final is None or final.status in (400, 403, 409):
            continue
        outcome = found.get((request.subject, request.action, request.key))
        told = request.settled.replace("duplicate", "processed") or final.outcome
        if outcome != told:
            yield f"{request.action} of {request.subject} was answered {told}, and the ledger says {outcome}"
        if outcome == "parked" and final.body.get("waits_for") == request.subject:
            yield f"{request.action} of {request.subject} waits for its order, which is there"


def money_agrees(db: Database, journal: Journal) -> Iterator[str]:
    """What was authorized, captured and refunded is what was asked for and accepted, each once."""
    given_up = {r.subject for r in _creates(journal) if r.gave_up}
    expected: dict[str, list[Decimal]] = {}
    for request in journal.requests:
        if not request.action.startswith(("order.", "refund.")) or not request.accepted or request.subject in given_up:
            continue
        sums = expected.setdefault(request.subject, [Decimal(0)] * 3)
        if request.action == "order.create" and request.wish != "unpaid":
            sums[0] += Decimal(request.amount)
            sums[1] += Decimal(request.captured)
        elif request.action == "order.authorize":
            sums[0] += Decimal(request.amount)
        elif request.action == "order.capture":
            sums[1] += Decimal(request.amount)
        elif request.action == "refund.issue":
            sums[2] += Decimal(request.amount)
    found = {row[0]: list(row[1:]) for row in rows(db, "select order_id, authorized, captured, refunded from payments")}
    for order_id, sums in expected.items():
        if found.get(order_id, [Decimal(0)] * 3) != sums:
            yield f"{order_id}: authorized, captured, refunded should be {sums}, and are {found.get(order_id)}"


def shipments_there_once(db: Database, journal: Journal) -> Iterator[str]:
    """Each shipment that the warehouse confirmed and was thanked for is there once, and no other."""
    confirmed = Counter(
        r.key.partition("/")[2] for r in journal.requests if r.action == "shipment.confirm" and r.accepted
    )
    found = Counter(ref for (ref,) in rows(db, "select ref from shipments where order_id like 'webshop:%%'"))
    for ref in confirmed.keys() | found.keys():
        if confirmed[ref] != found[ref]:
            yield f"shipment {ref} was confirmed {confirmed[ref]} times, and is there {found[ref]} times"


def stock_agrees(db: Database, dropped: Sequence[Dropped], stock: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """What is there is what was counted less what left; of the scarce no more is promised or gone than there was."""
    left: Counter[tuple[str, str]] = Counter()
    query = (
        "select l.sku, s.node, sum(x.quantity) from shipment_lines x join shipments s using (part, order_id, shipment_no)"
        " join lines l using (part, order_id, line_no) group by 1, 2"
    )
    for sku, node, units in rows(db, query):
        left[sku, node] += int(units)
    short = {row[:2]: int(row[2]) for row in rows(db, _SHORT)}
    found = {row[:2]: row[2:] for row in rows(db, "select sku, node, physical, reserved from positions")}
    counted = {(sku, STORE): units for file in dropped for sku, units in file.counts.items()}
    for place, units in {**stock, **counted}.items():
        physical, reserved = found.get(place, (None, 0))
        expected = units - left[place] + short.get(place, 0)
        if physical != expected:
            yield f"{place}: {units} were counted and {left[place]} left, and {physical} are there instead of {expected}"
        elif reserved > physical and place[1] != STORE:
            yield f"{place}: {reserved} are promised of {physical}"


_SHORT = "select sku, node, sum(physical) from movements where kind = 'short_pick' group by 1, 2"


def files_archived(db: Database, dropped: Sequence[Dropped], exchange: Path) -> Iterator[str]:
    """Every file is archived with its result, its rows and records add up, and nothing lies about half done."""
    known = {row[:2]: row[2:] for row in rows(db, "select system, sha256, finished_at, rows, rows_rejected from files")}
    taken = Counter[bytes]()
    for file in dropped:
        place = exchange / file.folder / ("rejected" if file.is_unreadable else "done")
        archived, told = place / file.name, place / f"{file.name}.result.json"
        if not archived.exists() or not told.exists():
            yield f"{file.name} of {file.system} is not archived with a result in {place.name}/"
            continue
        if archived.read_bytes() != file.content:
            yield f"{file.name} of {file.system} has other bytes in {place.name}/ than were dropped"
        result: dict[str, Any] = msgspec.json.decode(told.read_bytes())
        state = result["state"]
        if state == "done":
            taken[file.content] += 1
            yield from _rows_add_up(file, result)
        elif state != ("rejected" if file.is_unreadable else "duplicate"):
            yield f"{file.name} of {file.system} ended as {state}: {result.get('explanation')}"
        if not file.is_unreadable:
            row = known.get((file.system, sha256(file.content).hexdigest()))
            if row is None or row[0] is None or row[1:] != (file.rows, file.bad_rows):
                yield f"{file.name} of {file.system} should be known with {file.rows} rows, and is as {row}"
    # Of the same bytes under several names any may be the one that was taken: a crash can let a later one overtake.
    for content in {file.content for file in dropped if not file.is_unreadable} - taken.keys():
        names = [file.name for file in dropped if file.content == content]
        yield f"{names} are said to be duplicates, and none of them was taken"
    for folder in {file.folder for file in dropped}:
        for path in sorted([*(exchange / folder).iterdir(), *(exchange / folder / ".taken").iterdir()]):
            if not path.is_dir():
                yield f"{path.relative_to(exchange)} still lies there"


def _rows_add_up(file: Dropped, result: dict[str, Any]) -> Iterator[str]:
    rejected, outcomes = result.get("rows_rejected", 0), result.get("outcomes", {})
    if (result["rows"], rejected, result["rows_taken"]) != (file.rows, file.bad_rows, file.rows - file.bad_rows):
        yield f"{file.name}: {file.rows} rows, {file.bad_rows} of them bad, became {result}"
    if sum(outcomes.values()) != result["records"] or result["records"] != file.records:
        yield f"{file.name}: {file.records} records became {outcomes}"
    if not outcomes.keys() <= {"processed", "duplicate"}:
        yield f"{file.name}: some of it was not processed: {outcomes}"


def told_at_least_once(db: Database, warehouse: Warehouse) -> Iterator[str]:
    """All that the warehouse must be told has reached it, under one id with one content each, and nothing else."""
    query = "select body::text, state from outbox where receiver = 'warehouse'"
    written = {msgspec.json.decode(body)["id"]: (body.encode(), state) for body, state in rows(db, query)}
    for message_id, (body, state) in written.items():
        seen = warehouse.bodies.get(message_id) or Counter[bytes]()
        if state != "sent" or not seen:
            yield f"{message_id} is {state}, and the warehouse has seen it {sum(seen.values())} times"
        elif set(seen) != {body}:
            yield f"{message_id} was told with {len(seen)} contents, or another one than was written down"
    for message_id in warehouse.bodies.keys() - written.keys():
        yield f"the warehouse was told {message_id}, which was never written down"
    releases = Counter(
        msgspec.json.decode(body)["assignment"]
        for body, _ in written.values()
        if b'"message":"shipment.release"' in body.replace(b" ", b"")
    )
    yield from (f"{assignment} was released {count} times" for assignment, count in releases.items() if count > 1)


def _creates(journal: Journal) -> list[Request]:
    return [request for request in journal.requests if request.action == "order.create"]
