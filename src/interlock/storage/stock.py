"""Stock is a port of its own, keyed by SKU: what a batch decided about it, written last and under a condition.

Hot rows are locked for a moment only, in one order (part, sku, node). What would take a node below its sellable quantity
changes nothing, and the batch is decided again on locked rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from interlock.domain.decision import Decision, Movement, World
from interlock.domain.values import NodeId, Quantity, Sku, part_of
from interlock.storage.arrays import Ints, Numerics, SmallInts, Texts, Times
from interlock.storage.database import Pending, Transaction, queries

q = queries(__file__)


class StockMissed(Exception):
    """Stock or capacity that was seen was gone when it was to be taken: nothing may be kept, decide again on locked rows."""


def move_many(
    tx: Transaction,
    decisions: Sequence[Decision],
    world: World,
    days: Mapping[NodeId, date],
    *,
    strict: bool,
) -> None:
    """Apply what decisions do to stock and to nodes' days; to be called last, inside of `tx.pipeline()`.

    With `strict` the world was read under locks. Raises StockMissed where stock or capacity went to somebody else meanwhile.
    """
    movements = [m for d in decisions for m in d.movements]
    parts = {sku: part_of(sku) for sku in {m.sku for m in movements}}
    capacity = _give(tx, decisions, world, days)
    total: dict[tuple[int, Sku, NodeId], list[Quantity]] = {}
    for m in movements:
        key = (parts[m.sku], m.sku, m.node)
        sums = total.get(key)
        if sums is None:
            total[key] = [m.physical, m.unsellable, m.reserved]
        else:
            sums[0] += m.physical
            sums[1] += m.unsellable
            sums[2] += m.reserved
    if total:
        _move(tx, movements, total, world, strict=strict)
    excluded = {(part_of(x.sku), x.sku, x.node): x for d in decisions for x in d.exclusions}
    if excluded:
        keys = sorted(excluded)
        tx.send(
            q.exclusions,
            parts=SmallInts([key[0] for key in keys]),
            skus=Texts([key[1] for key in keys]),
            nodes=Texts([key[2] for key in keys]),
            untils=Times([excluded[key].until for key in keys]),
            reasons=Texts([excluded[key].reason for key in keys]),
        )
    if capacity is not None:
        asked, given = capacity
        if len(given.rows()) < asked:
            raise StockMissed("a node's capacity was used up meanwhile")


def _give(
    tx: Transaction, decisions: Sequence[Decision], world: World, days: Mapping[NodeId, date]
) -> tuple[int, Pending] | None:
    """Count orders against the capacity of the nodes that have one."""
    given: dict[NodeId, int] = {}
    for decision in decisions:
        for node in decision.given:
            if node in days:
                given[node] = given.get(node, 0) + 1
    if not given:
        return None
    rows = sorted((part_of(node), node) for node in given)
    return len(rows), tx.send(
        q.node_days,
        parts=SmallInts([part for part, _ in rows]),
        nodes=Texts([node for _, node in rows]),
        days=Texts([days[node].isoformat() for _, node in rows]),
        given=Ints([given[node] for _, node in rows]),
        capacities=Ints([world.estate.nodes[node].capacity_orders_per_day for _, node in rows]),
    )


def open_many(tx: Transaction, keys: Iterable[tuple[Sku, NodeId]], now: datetime) -> None:
    """Make sure that these positions are there, so that they can be locked; a new one is empty."""
    wanted = sorted({(part_of(sku), sku, node) for sku, node in keys})
    tx.send(q.new_positions, now=now, **_columns(wanted))


def _move(
    tx: Transaction,
    movements: Sequence[Movement],
    total: Mapping[tuple[int, Sku, NodeId], Sequence[Quantity]],
    world: World,
    *,
    strict: bool,
) -> None:
    keys = sorted(total)
    sums = [total[key] for key in keys]
    columns = _columns(keys)
    seen = [world.positions[key[1]][key[2]] for key in keys]
    if not all(position.exists for position in seen):
        tx.send(q.new_positions, now=world.now, **columns)
    parts = {key[1]: key[0] for key in keys}
    tx.send(
        q.movements,
        now=world.now,
        parts=SmallInts([parts[m.sku] for m in movements]),
        skus=Texts([m.sku for m in movements]),
        nodes=Texts([m.node for m in movements]),
        causes=Texts([m.cause for m in movements]),
        kinds=Texts([m.kind for m in movements]),
        physicals=Numerics([m.physical for m in movements]),
        unsellables=Numerics([m.unsellable for m in movements]),
        reserveds=Numerics([m.reserved for m in movements]),
        **{f"position_{name}": column for name, column in columns.items()},
    )
    # Under locks the sight was the truth: what is decided on it needs no condition.
    floors = [position.buffer if s[2] > 0 and not strict else None for position, s in zip(seen, sums, strict=True)]
    moved, *rest = tx.query(
        q.positions,
        now=world.now,
        **columns,
        physicals=Numerics([s[0] for s in sums]),
        unsellables=Numerics([s[1] for s in sums]),
        reserveds=Numerics([s[2] for s in sums]),
        floors=Numerics(floors),
    )
    if moved[0] < len(keys):
        raise StockMissed(f"{len(keys) - moved[0]} of {len(keys)} positions were taken by others meanwhile")
    broken = [row[1:] for row in (moved, *rest) if row[1] is not None]
    if broken:
        _tell_broken(tx, broken, world)


def _columns(keys: Sequence[tuple[int, Sku, NodeId]]) -> dict[str, SmallInts | Texts]:
    """Keys of positions, sorted by the caller into the one lock order, as columns."""
    return {
        "parts": SmallInts([key[0] for key in keys]),
        "skus": Texts([key[1] for key in keys]),
        "nodes": Texts([key[2] for key in keys]),
    }


def _tell_broken(tx: Transaction, broken: Sequence[tuple[Any, ...]], world: World) -> None:
    reasons = ["promise_broken" if reserved else "negative_stock" for _, _, _, reserved in broken]
    duties = [world.estate.duty(reason) for reason in reasons]
    tx.send(
        q.broken_promises,
        now=world.now,
        parts=SmallInts([part_of(row[0]) for row in broken]),
        skus=Texts([row[0] for row in broken]),
        nodes=Texts([row[1] for row in broken]),
        reasons=Texts(reasons),
        explanations=Texts(
            [
                f"{sku} at {node}: {available:f} available, {reserved:f} promised"
                for sku, node, available, reserved in broken
            ]
        ),
        owners=Texts([duty.owner for duty in duties]),
        due_at=Times([world.now + timedelta(seconds=duty.within_s) for duty in duties]),
    )
