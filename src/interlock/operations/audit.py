"""The audit: the ten things that are always true, each proved on every row.

    for finding in audit(db, estate=estate, now=datetime.now(UTC)):
        if not finding.holds:
            print(finding.name, finding.count, finding.rows)

All of it reads one snapshot, so it is right while the service runs, and it writes nothing. What each statement says, and
what to do when one does not hold, is in docs/audit.md. The queries are in audit.sql, the folding of history in audit_fold.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from time import perf_counter
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from interlock.domain.authority import INTERLOCK, may, tells_for_others
from interlock.domain.commands import COMMANDS
from interlock.domain.estate import Estate
from interlock.domain.values import part_of
from interlock.operations import audit_fold
from interlock.storage.arrays import Ints, Texts
from interlock.storage.database import Database, Query, Transaction, queries

q = queries(__file__)

WAIT_S_MAX: Final = 900.0
"""How long a message may wait for a worker."""
FILE_S_MAX: Final = 3_600.0
"""How long a dropped file may take from its arrival to its end."""
DELIVERY_S_MAX: Final = 3_600.0
"""How far past its time an outbox message may be whose turn it is."""
OVERDUE_GRACE_S: Final = 300.0
"""How long after an answer was due its exception may still be missing: the time of some rounds of the service."""
SKUS_MAX: Final = 10_000
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OFFICE: Final = ("backoffice", "erp")

Row = dict[str, Any]


class Statement(msgspec.Struct, frozen=True):
    """One thing that is always true; the name is stable, the sentence is for people. `checks` are its parts by name."""

    name: str
    sentence: str
    checks: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True):
    """Whether a statement holds. `rows` are the first that break it, each with the `check` that found it; `count` is all."""

    name: str
    holds: bool
    rows: list[Row]
    count: int
    seconds: float


STATEMENTS: tuple[Statement, ...] = (
    Statement(
        "stock_balances",
        "Every position equals the sum of its movements, layer by layer, and its reserved units are those of reservations.",
        ("position_sums", "reserved_sums", "misplaced_skus"),
    ),
    Statement(
        "no_oversell",
        "No node has promised more than it has, unless an open exception says so; none has more orders than its capacity.",
        ("oversold_unseen", "capacity_exceeded"),
    ),
    Statement(
        "units_conserved",
        "A line's units over all states add up to what was ordered, and every row belongs to an order that exists.",
        (
            "line_sums",
            "reservation_sums",
            "lines_and_reservations",
            "shipped_sums",
            "return_sums",
            "orphans",
            "childless",
            "order_states",
            "assignment_states",
        ),
    ),
    Statement(
        "nothing_vanishes",
        "Every message received has exactly one outcome, or waits for one and not too long; files are whole.",
        (
            "outcomes",
            "parked_for_what_exists",
            "parked_unchased",
            "waiting_too_long",
            "put_away_unseen",
            "file_counts",
        ),
    ),
    Statement(
        "once",
        "No action key has two effects.",
        ("ledger_and_messages", "keys_twice", "repeats", "effects", "shipments_twice"),
    ),
    Statement(
        "money_agrees",
        "Captured is at most authorized, refunded at most captured, and nothing was refunded that was not canceled or returned.",
        ("payment_bounds", "payment_sums", "refunded_units", "refunds_for_nothing"),
    ),
    Statement(
        "history_whole",
        "Events per order have no gap, and folding them gives the tables.",
        ("event_numbers", "event_positions", "folding"),
    ),
    Statement(
        "answered_or_chased",
        "What was sent has an answer, or is not due yet, or is in the exception queue.",
        ("releases_untold", "unanswered", "undelivered", "interchanges_unchased"),
    ),
    Statement(
        "exceptions_owned",
        "Every exception has an owner and a clock, and is closed on evidence.",
        ("unowned",),
    ),
    Statement(
        "within_authority",
        "Nobody acted beyond its authority, and whoever tried is in the exception queue.",
        ("beyond_authority", "wrong_speaker", "wrong_teller", "refusals_unseen"),
    ),
)

ESTATE_CHECKS: Final = frozenset({"capacity_exceeded", "beyond_authority", "wrong_speaker", "wrong_teller"})
"""Checks that can only be made against an estate; without one they are left out."""


def audit(
    db: Database,
    *,
    estate: Estate | None = None,
    now: datetime,
    rows_max: int = 20,
    progress: Callable[[str], None] | None = None,
    authority_since: datetime | None = None,
) -> list[Finding]:
    """One finding for each statement, in their order, all of one snapshot in a transaction that cannot write.

    `progress` is told in words how far it has come. `authority_since` is when the estate's present authorities came into
    force: what was settled before was decided under others, and is not judged. Raises DatabaseUnavailable.
    """
    tell = progress or _say_nothing

    def prove(tx: Transaction) -> list[Finding]:
        tx.execute(q.one_snapshot)
        tx.execute(q.more_memory)
        params = _params(estate, now, authority_since)
        findings = []
        for statement in STATEMENTS:
            tell(f"{statement.name}: {statement.sentence}")
            findings.append(_prove(tx, statement, estate, params, rows_max, tell))
        return findings

    return db.transaction(prove)


def _prove(
    tx: Transaction,
    statement: Statement,
    estate: Estate | None,
    params: dict[str, object],
    rows_max: int,
    tell: Callable[[str], None],
) -> Finding:
    begun = perf_counter()
    rows: list[Row] = []
    count = 0
    for check in statement.checks:
        if estate is None and check in ESTATE_CHECKS:
            continue
        found, some = _PROGRAMS[check](tx, rows_max, tell) if check in _PROGRAMS else _ask(tx, check, params, rows_max)
        count += found
        rows += [{"check": check, **row} for row in some]
    return Finding(statement.name, count == 0, rows[:rows_max], count, perf_counter() - begun)


def _ask(tx: Transaction, check: str, params: dict[str, object], rows_max: int) -> tuple[int, list[Row]]:
    """How many rows a query finds, and the first of them. The server counts; we hold no more than we show."""
    query: Query = getattr(q, check)
    found = tx.query(
        f"with broken as materialized (\n{query}\n)\n"
        "select (select count(*) from broken), to_jsonb(b)::text from (select * from broken limit %(rows_max)s) as b",
        **params,
        rows_max=rows_max,
    )
    return (found[0][0] if found else 0), [_row(text) for _, text in found]


_row = msgspec.json.Decoder(Row, float_hook=Decimal).decode


def _misplaced_skus(tx: Transaction, rows_max: int, _: Callable[[str], None]) -> tuple[int, list[Row]]:
    """Positions in another part than the published hash says: nobody who looks for them finds them."""
    rows: list[Row] = []
    count = 0
    for part, sku in _skus(tx):
        if part != part_of(sku):
            count += 1
            if len(rows) < rows_max:
                rows.append({"part": part, "sku": sku, "part_of_sku": part_of(sku)})
    return count, rows


def _skus(tx: Transaction) -> Iterator[tuple[int, str]]:
    part, sku = -1, ""
    while found := tx.query(q.skus_after, part=part, sku=sku, limit=SKUS_MAX):
        for part, sku in found:
            yield part, sku


_PROGRAMS: Final[dict[str, Callable[[Transaction, int, Callable[[str], None]], tuple[int, list[Row]]]]] = {
    "misplaced_skus": _misplaced_skus,
    "folding": audit_fold.fold_all,
}
"""The checks that SQL cannot make."""


def _params(estate: Estate | None, now: datetime, authority_since: datetime | None) -> dict[str, object]:
    """What the queries ask for: moments before which things should have happened, and what the estate says."""
    ago: Callable[[float], datetime] = partial(_ago, now)
    params: dict[str, object] = {
        "waiting_since": ago(WAIT_S_MAX),
        "unfinished_since": ago(FILE_S_MAX),
        "undelivered_since": ago(DELIVERY_S_MAX),
        "overdue_since": ago(OVERDUE_GRACE_S),
        "authority_since": authority_since or _LONG_AGO,
    }
    if estate is None:
        return params
    nodes = list(estate.nodes.values())
    allowed = [
        (system.id, action)
        for system in estate.systems.values()
        for action, command in COMMANDS.items()
        if may(system, command)
    ]
    twins = [
        (owner, twin, action)
        for pair in estate.two_masters
        for owner in pair.systems
        for twin in pair.systems
        if owner != twin
        for action in pair.actions
    ]
    limited = [(node, node.capacity_orders_per_day) for node in nodes if node.capacity_orders_per_day is not None]
    return params | {
        "systems": Texts([system for system, _ in allowed]),
        "actions": Texts([action for _, action in allowed]),
        "office": Texts([INTERLOCK, *(s.id for s in estate.systems.values() if s.kind in _OFFICE)]),
        "speaker_nodes": Texts([node.id for node in nodes]),
        "speakers": Texts([node.system for node in nodes]),
        "for_others": Texts([INTERLOCK, *(s.id for s in estate.systems.values() if tells_for_others(s))]),
        "channels": Texts(list(estate.channels)),
        "sellers": Texts([channel.system for channel in estate.channels.values()]),
        "twin_owners": Texts([owner for owner, _, _ in twins]),
        "twins": Texts([twin for _, twin, _ in twins]),
        "twin_actions": Texts([action for _, _, action in twins]),
        "nodes": Texts([node.id for node, _ in limited]),
        "days": Texts([now.astimezone(ZoneInfo(node.time_zone)).date().isoformat() for node, _ in limited]),
        "capacities": Ints([capacity for _, capacity in limited]),
    }


def _ago(now: datetime, seconds: float) -> datetime:
    return now - timedelta(seconds=seconds)


def _say_nothing(_: str) -> None:
    """Nobody wants to hear how far it has come."""
