"""Undo what a message did, as the table of `domain/reversals.py` says: find it, show what would follow, do exactly that.

A plan is rehearsed: its commands are decided by the engine on locked rows, in a transaction that is rolled back. What would
follow is listed, and the list has a digest. Doing it decides the same commands again and commits only if the list is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

import msgspec

from interlock.domain import events, reversals
from interlock.domain.authority import INTERLOCK
from interlock.domain.commands import COMMANDS, AnyCommand, StockCommand, encode
from interlock.domain.decision import Arrival, Decision
from interlock.domain.errors import InvalidValue, NotReversible, PlanChanged
from interlock.domain.events import RefundIssued
from interlock.domain.reversals import Deed, Scene
from interlock.domain.values import OrderId, part_of
from interlock.engine.batch import Batcher, Decided
from interlock.engine.ids import new_message_id
from interlock.storage import views
from interlock.storage.arrays import SmallInts, Texts
from interlock.storage.database import Transaction, queries
from interlock.storage.world import load_orders

q = queries(__file__)

DEEDS_MAX = 20
"""Keys that are named where it is not clear which one is meant."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that would follow: what it is, what it is about, and what it says (without the times, which will differ)."""

    kind: Literal["event", "refund", "movement", "message", "exclusion", "exception"]
    name: str
    about: str
    detail: dict[str, Any]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How something that was done stands, and what undoing it would come to.

    `commands` and `effects` are empty unless `how` is "automated". `refused` says why it cannot be done now although it is;
    then it cannot be applied. `digest` stands for the list of effects.
    """

    subject: str
    action: str
    key: str
    standing: str
    how: reversals.How
    by: str
    then: str
    commands: tuple[dict[str, Any], ...] = ()
    effects: tuple[Effect, ...] = ()
    refused: str = ""
    digest: str = ""


def plan(batcher: Batcher, identifier: str, action: str = "", key: str | None = None, *, by: str = "") -> Plan:
    """What would follow if this were undone. Nothing is changed.

    `identifier` is a message's id, or any id of an order, or a SKU; then the action must be named, and its key if there are
    several. Raises InvalidValue where that leads to nothing, or to more than one thing.
    """
    scene = _find(batcher, identifier, action, key, by)
    shown = _as_it_stands(batcher, scene)
    if shown.how != "automated":
        return shown
    arrivals = _arrivals(scene)
    told: list[Plan] = []

    def look(tx: Transaction, decided: Decided, now: datetime) -> bool:
        told[:] = [_told(shown, tx, arrivals, decided, now)]
        return False

    batcher.decide_if(_by_part(arrivals), look)
    return told[0]


def apply(
    batcher: Batcher, identifier: str, action: str = "", key: str | None = None, *, by: str, expect: str | None = None
) -> Plan:
    """Undo it, on behalf of `by`: exactly what `plan` lists, or (`expect`) what the list with this digest said.

    Raises NotReversible where the table, or the engine, has no way; PlanChanged where something else would follow. Then
    nothing was changed.
    """
    if not by.strip():
        raise InvalidValue("by", by, "the name of the person who asks for it")
    agreed = plan(batcher, identifier, action, key, by=by)
    _check(agreed, expect)
    scene = _find(batcher, identifier, action, key, by)
    arrivals = _arrivals(scene)
    done: list[Plan] = []

    def keep(tx: Transaction, decided: Decided, now: datetime) -> bool:
        done[:] = [_told(agreed, tx, arrivals, decided, now)]
        _check(done[0], agreed.digest)
        return True

    batcher.decide_if(_by_part(arrivals), keep)
    return done[0]


def _check(shown: Plan, expect: str | None) -> None:
    if shown.how != "automated" or shown.refused:
        what = f"{shown.action} of {shown.subject} ({shown.standing}) is not undone by Interlock: {shown.how}"
        raise NotReversible(f"{what}: {shown.refused or shown.then}")
    if expect is not None and expect != shown.digest:
        raise PlanChanged(expect, shown.digest)


# What was done


def _find(batcher: Batcher, identifier: str, action: str, key: str | None, by: str) -> Scene:
    """The one thing that is meant, with all that it did."""
    message = _message(batcher, identifier)
    if message is not None:
        subject, found, key, outcome = message
        if found is None or (action and action != found):
            raise InvalidValue(
                "action", action, f"what message {identifier} asked for ({found or 'it cannot be read'})"
            )
        if outcome not in ("processed", "duplicate"):
            raise InvalidValue("identifier", identifier, f"a message that was processed: it is {outcome or 'waiting'}")
        action = found
    else:
        subject = _subject(batcher, identifier)
    if action not in COMMANDS:
        raise InvalidValue("action", action, f"one of {', '.join(COMMANDS)}")
    part = part_of(subject)

    def read(tx: Transaction) -> Scene:
        rows = tx.query(q.deeds, part=part, subject=subject, action=action, key=key, limit=DEEDS_MAX)
        if len(rows) != 1:
            keys = ", ".join(repr(row[0]) for row in rows)
            expected = f"the key of one {action} of {subject} that was processed: {keys or 'there is none'}"
            raise InvalidValue("key", key or "", expected)
        deed = _deed(tx, part, subject, action, rows[0][0], rows[0][1], batcher)
        orders = load_orders(tx, part, [OrderId(subject)]) if deed.node is None else {}
        return Scene(deed=deed, estate=batcher.estate, order=orders.get(OrderId(subject)), by=by)

    return batcher.db.transaction(read)


def _message(batcher: Batcher, identifier: str) -> tuple[str, str | None, str, str | None] | None:
    try:
        message_id = UUID(identifier)
    except ValueError:
        return None
    rows = batcher.db.transaction(lambda tx: tx.query(q.message, message_id=message_id))
    return (rows[0][0], rows[0][1], rows[0][2] or "", rows[0][3]) if rows else None


def _subject(batcher: Batcher, identifier: str) -> str:
    found = views.resolve(batcher.db, batcher.estate, identifier)
    if len(found) != 1:
        raise InvalidValue(
            "identifier",
            identifier,
            f"the id of one order, SKU or message: {', '.join(found) or 'nothing is known of it'}",
        )
    return found[0]


def _deed(tx: Transaction, part: int, subject: str, action: str, key: str, message_id: str, batcher: Batcher) -> Deed:
    if not issubclass(COMMANDS[action], StockCommand):
        rows = tx.query(q.events, part=part, subject=subject, message_id=message_id)
        return Deed(action=action, subject=subject, key=key, events=tuple(events.decode(row[0]) for row in rows))
    # A node's id may hold slashes itself: the longest that fits is meant.
    fits = [node for node in batcher.estate.nodes if key.startswith(f"{node}/")]
    if not fits:
        raise InvalidValue("key", key, "the key of a node that is still in the estate")
    node = max(fits, key=len)
    cause = f"{action.removeprefix('stock.')}/{key[len(node) + 1 :]}"
    moved = tx.query(q.movement, part=part, subject=subject, node=node, cause=cause)
    since = tx.query(q.counts_since, part=part, subject=subject, prefix=f"{node}/", message_id=message_id)
    return Deed(
        action=action,
        subject=subject,
        key=key,
        node=node,
        change=moved[0][0] if moved else 0,
        counted_since=since[0][0],
    )


def _as_it_stands(batcher: Batcher, scene: Scene) -> Plan:
    """What the table says of it; done, where it was undone before."""
    deed, made = scene.deed, reversals.commands_for(scene)
    asked = {(deed.subject, f"{deed.node}/{deed.stock_ref}" if deed.node is not None else deed.ref)}
    asked |= {(command.subject, command.key) for command in made}
    rows = batcher.db.transaction(
        lambda tx: tx.query(
            q.undone,
            parts=SmallInts([part_of(subject) for subject, _ in asked]),
            subjects=Texts([subject for subject, _ in asked]),
            keys=Texts([key for _, key in asked]),
        )
    )
    standing, way = reversals.way(scene)
    if rows:
        standing, way = "undone", reversals.Way("done", "", f"it was undone at {rows[0][3]:%Y-%m-%d %H:%M:%S} UTC")
    return Plan(
        subject=deed.subject,
        action=deed.action,
        key=deed.key,
        standing=standing,
        how=way.how,
        by=way.by,
        then=way.then,
        commands=tuple(msgspec.json.decode(encode(command)) for command in made) if not rows else (),
    )


# What follows


def _arrivals(scene: Scene) -> list[Arrival]:
    """The compensating commands as messages of ours, for the person who asked."""
    return [
        Arrival(
            message_id=new_message_id(),
            system=INTERLOCK,
            received_at=datetime.now(UTC),
            body=encode(command),
            content_type="application/json",
            command=command,
            source_message_id=scene.reason,
        )
        for command in reversals.commands_for(scene)
    ]


def _by_part(arrivals: Sequence[Arrival]) -> dict[int, list[Arrival]]:
    groups: dict[int, list[Arrival]] = {}
    for arrival in arrivals:
        groups.setdefault(part_of(_command(arrival).subject), []).append(arrival)
    return groups


def _told(shown: Plan, tx: Transaction, arrivals: Sequence[Arrival], decided: Decided, now: datetime) -> Plan:
    """The plan with what was decided."""
    by_message = {arrival.message_id: decision for arrival, decision in decided}
    short = []
    for arrival in arrivals:
        decision, command = by_message.get(arrival.message_id), _command(arrival)
        missed = reversals.shortfall(command, decision) if decision else "it was asked for before"
        if missed:
            short.append(f"{command.action}: {missed}")
    effects = [effect for arrival, decision in decided for effect in _effects(arrival, decision)]
    effects += _exceptions(tx, decided, now)
    return msgspec.structs.replace(
        shown, effects=tuple(effects), refused="; ".join(short), digest=_digest(effects) if effects else ""
    )


def _digest(effects: Sequence[Effect]) -> str:
    """The same for the same list; whoever asks, for the reason names the person."""
    anyone = [
        (e.kind, e.name, e.about, {name: each for name, each in e.detail.items() if name != "reason"}) for e in effects
    ]
    return blake2b(msgspec.json.encode(anyone, order="deterministic"), digest_size=8).hexdigest()


def _effects(arrival: Arrival, decision: Decision) -> list[Effect]:
    """Events and refunds, movements, messages and exclusions of one decision."""
    about = arrival.command.subject if arrival.command is not None else str(arrival.message_id)
    found = [
        Effect(
            kind="refund" if isinstance(event, RefundIssued) else "event",
            name=event.type,
            about=about,
            detail=_timeless(event),
        )
        for event in decision.events
    ]
    for m in decision.movements:
        layers = {"physical": m.physical, "unsellable": m.unsellable, "reserved": m.reserved}
        changed = {layer: _plain(units) for layer, units in layers.items() if units}
        found.append(Effect(kind="movement", name=m.kind, about=f"{m.sku} at {m.node}", detail=changed))
    for notice in decision.notices:
        body = _timeless(msgspec.json.decode(notice.body))
        found.append(Effect(kind="message", name=notice.message, about=notice.receiver, detail=body))
    for x in decision.exclusions:
        found.append(Effect(kind="exclusion", name=x.reason, about=f"{x.sku} at {x.node}", detail={}))
    return found


def _exceptions(tx: Transaction, decided: Decided, now: datetime) -> list[Effect]:
    """What a person would see: read back, because stock that falls below what is promised is only seen when it is moved."""
    subjects = {arrival.command.subject for arrival, _ in decided if arrival.command is not None}
    subjects |= {movement.sku for _, decision in decided for movement in decision.movements}
    rows = tx.query(
        q.touched_exceptions,
        parts=SmallInts(sorted({part_of(subject) for subject in subjects})),
        subjects=Texts(sorted(subjects)),
        now=now,
    )
    return [
        Effect(kind="exception", name=name, about=subject, detail={"closed" if closed else "opened": explanation})
        for subject, name, explanation, closed in rows
    ]


_TIMES = frozenset({"at", "released_at", "retry_at", "created_at", "receipt"})
"""What is another one each time that it is decided. A receipt holds the time of the choice, and how full nodes were."""


def _timeless(value: Any) -> dict[str, Any]:
    told = msgspec.to_builtins(value)
    return {name: each for name, each in told.items() if name not in _TIMES and name != "type"}


def _plain(units: Any) -> Any:
    return msgspec.to_builtins(units)


def _command(arrival: Arrival) -> AnyCommand:
    if arrival.command is None:
        raise ValueError(f"message {arrival.message_id} holds no command")
    return arrival.command
