"""Two accounts of the same orders, compared: by what was recorded (is the replay true?), and by what the candidate would do.

recorded = reproduce(tx, replayed)          # which orders the replay brings to just what the database has
changes = changes_of(replayed, recorded)    # what differs in the candidate, order by order
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from interlock.domain.events import AnyEvent, UnitsAllocated, UnitsBackordered, decode, encode
from interlock.domain.evolve import fold
from interlock.domain.model import Order
from interlock.domain.values import NodeId, OrderId, Quantity, Sku
from interlock.replay.run import Replayed
from interlock.replay.scratch import Scratch, orders_equal
from interlock.storage import history
from interlock.storage.database import Transaction

STEPS_DO_NOT: frozenset[str] = frozenset(
    {
        *("ack_overdue", "functional_ack_overdue", "delivery_dead", "interchange_rejected", "unknown_acknowledgment"),
        *(
            "control_number_reused",
            "clock_skew",
            "bad_signature",
            "pos_gap",
            "pos_reused",
            "pos_open",
            "contract_drift",
        ),
        *("subscription_paused", "event_undeliverable"),
    }
)
"""Exceptions that come from deliveries, tills, clocks and callers, and not from what messages say: they are not compared."""


class Place(msgspec.Struct, frozen=True, order=True):
    """Where units of a SKU are, or stay: at a node, or open, or canceled."""

    sku: Sku
    node: str


class Facts(msgspec.Struct, frozen=True):
    """What is compared of an order."""

    state: str
    lines: dict[int, dict[str, Quantity]]
    units: dict[Place, Quantity]
    money: dict[str, Decimal]
    exceptions: frozenset[str]
    nodes: tuple[NodeId, ...]


OPEN, CANCELED = "still open", "canceled"
_COUNTS = ("open", "allocated", "released", "packed", "shipped", "canceled", "returned", "refunded")


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a SKU that are elsewhere in the candidate; "" where one account does not have them at all."""

    sku: Sku
    units: Quantity
    was: str
    now: str


class Differs(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is otherwise: a field, as it was and as it would be."""

    field: str
    was: object
    now: object


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs of one order."""

    order_id: OrderId
    kind: str
    moves: tuple[Move, ...]
    differs: tuple[Differs, ...]
    nodes_was: int
    nodes_now: int
    cost_was: Decimal
    cost_now: Decimal


class NotReproduced(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the replay does not bring to what the database has, and why, as far as that is known."""

    order_id: OrderId
    why: tuple[str, ...]


class Reproduced(msgspec.Struct, kw_only=True):
    """How true the replay is. `left_out` are the orders of which nothing is concluded."""

    orders: int = 0
    exactly: int = 0
    in_what_counts: int = 0
    not_reproduced: list[NotReproduced] = []
    left_out: set[OrderId] = set()
    exceptions_then: Counter[str] = msgspec.field(default_factory=Counter)
    exceptions_now: Counter[str] = msgspec.field(default_factory=Counter)


# Is it true?


def reproduce(tx: Transaction, replayed: Replayed) -> Reproduced:
    """Compare the account of history with what was recorded, order by order."""
    done, base, span = Reproduced(), replayed.base, replayed.span
    shown = _by_subject(
        (subject, reason) for subject, reason in history.exceptions(tx, span) if reason not in STEPS_DO_NOT
    )
    mine = _shown(base)
    done.exceptions_then.update(reason for reasons in shown.values() for reason in reasons)
    done.exceptions_now.update(reason for reasons in mine.values() for reason in reasons)
    met: set[OrderId] = set()
    for order_id, rows in groupby(history.events(tx, span.until), attrgetter("order_id")):
        recorded = [row.body for row in rows]
        if order_id not in replayed.touched and span.since is not None and order_id not in base.events:
            continue  # nothing happened to it in the range
        met.add(order_id)
        done.orders += 1
        events = base.events.get(order_id, [])
        then, now = shown.get(order_id, frozenset()), mine.get(order_id, frozenset())
        if then == now and len(events) == len(recorded) and all(map(_same, recorded, events)):
            done.exactly += 1
            continue
        was, order = fold(map(decode, recorded)), base.store.orders.get(order_id)
        why = _why_not(replayed, was, order, recorded, events, then, now)
        if why:
            done.not_reproduced.append(NotReproduced(order_id=order_id, why=why))
            done.left_out.add(order_id)
        else:
            done.in_what_counts += 1
    for order_id in sorted(base.store.orders.keys() - met):
        done.orders += 1
        done.left_out.add(order_id)
        why = ("the replay has this order, and the database has not", *_messages(replayed, order_id))
        done.not_reproduced.append(NotReproduced(order_id=order_id, why=why))
    return done


def _same(recorded: str, event: AnyEvent) -> bool:
    """Whether an event is the one that was recorded; a receipt's quantities may be written as text or as numbers."""
    text = encode(event).decode()
    return text == recorded or (isinstance(event, _SOURCED) and _plain(text) == _plain(recorded))


_SOURCED = (UnitsAllocated, UnitsBackordered)


def _plain(text: str) -> Any:
    value = msgspec.json.decode(text)
    seen = (value.get("receipt") or {}).get("stock_seen", {})
    for nodes in seen.values():
        for node, units in nodes.items():
            nodes[node] = str(units)
    return value


def _why_not(
    replayed: Replayed,
    was: Order,
    order: Order | None,
    recorded: list[str],
    events: list[AnyEvent],
    then: frozenset[str],
    now: frozenset[str],
) -> tuple[str, ...]:
    """Why the replay has come to something else; nothing where what counts is the same."""
    if order is None:
        return "the replay does not have this order", *_messages(replayed, was.order_id)
    differs = list(_differences(facts(was, then), facts(order, now)))
    if not differs:
        return ()
    why = list(_messages(replayed, was.order_id))
    seen = _stock_seen(recorded, events)
    if seen:
        why.append(seen)
    return *why, *(f"{each.field}: {text_of(each.was)} was recorded, {text_of(each.now)} comes out" for each in differs)


def _messages(replayed: Replayed, order_id: OrderId) -> Iterator[str]:
    for each in replayed.read_otherwise:
        if order_id in (each.subject, each.now.partition(" ")[2]):
            yield f"a message of {each.system} ({each.message_id}) is read otherwise: {each.then}, now {each.now}"
    for each in replayed.answered_otherwise:
        if each.subject == order_id:
            yield f"{each.then} ({each.system}, {each.message_id}), now it is {each.now}"


class _Receipt(msgspec.Struct):
    cost: Decimal = Decimal(0)
    stock_seen: dict[str, dict[str, Quantity]] = {}


_receipt = msgspec.json.Decoder(_Receipt | None, strict=False).decode


def _stock_seen(recorded: list[str], events: list[AnyEvent]) -> str:
    """Where sourcing has seen other stock than it saw then: orders that took it at the same moment came in another order."""
    for text, event in zip(recorded, events, strict=False):
        before = decode(text)
        if not isinstance(before, UnitsAllocated | UnitsBackordered) or type(before) is not type(event):
            continue
        then, now = _receipt(before.receipt), _receipt(event.receipt)
        for sku, nodes in (then.stock_seen if then else {}).items():
            for node, units in nodes.items():
                found = now.stock_seen.get(sku, {}).get(node) if now else None
                if found is not None and found != units:
                    return (
                        f"sourcing saw {units} of {sku} at {node}, and sees {found}: others moved it at the same moment"
                    )
    return ""


# What counts


def facts(order: Order, exceptions: frozenset[str]) -> Facts:
    """What is compared of an order; numbers and times of events are not."""
    units: dict[Place, Quantity] = {}
    nodes: dict[NodeId, None] = {}
    for r in order.reservations.values():
        some = r.quantity - r.rejected - r.canceled
        if some:
            place = Place(r.sku, r.node)
            units[place] = units.get(place, 0) + some
            nodes[r.node] = None
    for line in order.lines.values():
        for word, some in ((OPEN, line.open), (CANCELED, line.canceled)):
            if some:
                place = Place(line.sku, word)
                units[place] = units.get(place, 0) + some
    payment = order.payment
    return Facts(
        str(order.state),
        {n: {name: some for name in _COUNTS if (some := getattr(line, name))} for n, line in order.lines.items()},
        units,
        {"authorized": payment.authorized, "captured": payment.captured, "refunded": payment.refunded},
        exceptions,
        tuple(sorted(nodes)),
    )


def _differences(was: Facts, now: Facts) -> Iterator[Differs]:
    if was.state != now.state:
        yield Differs(field="state", was=was.state, now=now.state)
    for number in sorted(was.lines.keys() | now.lines.keys()):
        before, after = was.lines.get(number, {}), now.lines.get(number, {})
        if before != after:
            yield Differs(field=f"line {number}", was=before, now=after)
    if was.nodes != now.nodes:
        yield Differs(field="nodes", was=list(was.nodes), now=list(now.nodes))
    elif was.units != now.units:
        yield Differs(field="units", was=_at(was.units), now=_at(now.units))
    for name, amount in was.money.items():
        if amount != now.money[name]:
            yield Differs(field=name, was=amount, now=now.money[name])
    if was.exceptions != now.exceptions:
        yield Differs(field="exceptions", was=sorted(was.exceptions), now=sorted(now.exceptions))


def _at(units: Mapping[Place, Quantity]) -> dict[str, Quantity]:
    return {f"{place.sku} {place.node}": some for place, some in sorted(units.items())}


# What would be otherwise


def changes_of(replayed: Replayed, left_out: set[OrderId], wanted: Set[OrderId] | None = None) -> list[Change]:
    """What differs in the candidate, in the order in which orders were created; of `wanted` alone, if that is given."""
    base, candidate = replayed.base, replayed.candidate
    if candidate is None:
        return []
    shown, shown_now = _shown(base), _shown(candidate)
    found: list[Change] = []
    orders = {**candidate.store.orders, **base.store.orders}
    for order_id in sorted(orders, key=lambda each: (orders[each].created_at, each)):
        if order_id in left_out or (wanted is not None and order_id not in wanted):
            continue
        was, now = base.store.orders.get(order_id), candidate.store.orders.get(order_id)
        then, after = shown.get(order_id, frozenset()), shown_now.get(order_id, frozenset())
        if was is not None and now is not None and then == after and orders_equal(was, now):
            continue
        change = _change(base, candidate, order_id, was, now, then, after)
        if change is not None:
            found.append(change)
    return found


def _change(
    base: Scratch,
    candidate: Scratch,
    order_id: OrderId,
    was: Order | None,
    now: Order | None,
    then: frozenset[str],
    after: frozenset[str],
) -> Change | None:
    before = facts(was, then) if was is not None else None
    behind = facts(now, after) if now is not None else None
    differs = tuple(_differences(before, behind)) if before is not None and behind is not None else ()
    kind = "gone" if behind is None else "new" if before is None else "differs"
    if kind == "differs" and not differs:
        return None
    return Change(
        order_id=order_id,
        kind=kind,
        moves=tuple(moves_of(before.units if before else {}, behind.units if behind else {})),
        differs=differs,
        nodes_was=len(before.nodes) if before else 0,
        nodes_now=len(behind.nodes) if behind else 0,
        cost_was=cost_of(base.events.get(order_id, ())),
        cost_now=cost_of(candidate.events.get(order_id, ())),
    )


def moves_of(was: Mapping[Place, Quantity], now: Mapping[Place, Quantity]) -> Iterator[Move]:
    """Units of each SKU that are elsewhere, paired: as few moves as there are places."""
    lost: dict[Sku, list[list[object]]] = {}
    gained: dict[Sku, list[list[object]]] = {}
    for place in sorted(was.keys() | now.keys()):
        change = now.get(place, 0) - was.get(place, 0)
        if change:
            (gained if change > 0 else lost).setdefault(place.sku, []).append([place.node, abs(change)])
    for sku in sorted(lost.keys() | gained.keys()):
        froms, tos = lost.get(sku, []), gained.get(sku, [])
        while froms or tos:
            some = min(each[0][1] for each in (froms, tos) if each)  # type: ignore[type-var]  # quantities
            yield Move(
                sku=sku,
                units=some,  # type: ignore[arg-type]
                was=str(froms[0][0]) if froms else "",
                now=str(tos[0][0]) if tos else "",
            )
            for side in (froms, tos):
                if side:
                    side[0][1] -= some  # type: ignore[operator]
                    if not side[0][1]:
                        side.pop(0)


def cost_of(events: Iterable[AnyEvent]) -> Decimal:
    """What the nodes chosen cost, as sourcing has reckoned it."""
    total = Decimal(0)
    for event in events:
        if isinstance(event, UnitsAllocated):
            receipt = _receipt(event.receipt)
            total += receipt.cost if receipt is not None else 0
    return total


# Exceptions


def _shown(scratch: Scratch) -> dict[str, frozenset[str]]:
    return _by_subject((subject, row.reason) for (subject, _), row in scratch.store.exceptions.items())


def _by_subject(rows: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for subject, reason in rows:
        found.setdefault(subject, set()).add(reason)
    return {subject: frozenset(reasons) for subject, reasons in found.items()}


def exceptions_by_reason(scratch: Scratch) -> Counter[str]:
    """What is shown to people, by reason."""
    return Counter(row.reason for row in scratch.store.exceptions.values())


def text_of(value: object) -> str:
    """A compared value in words."""
    if isinstance(value, dict):
        return ", ".join(f"{some} {name}" for name, some in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
