"""Save what a batch decided: every table in one statement each, all in one round trip, the stock last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import astuple

from interlock.domain import events
from interlock.domain.decision import Arrival, Decision, World
from interlock.domain.model import Assignment, Line, Order, Reservation, Return, Shipment
from interlock.domain.values import NodeId, OrderId
from interlock.storage import stock
from interlock.storage.arrays import Ints, Jsons, Numerics, Texts, Times, Uuids
from interlock.storage.database import Transaction, queries
from interlock.storage.together import Sender, Together
from interlock.storage.world import LINE_COUNTS, RESERVATION_COUNTS

q = queries(__file__)

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Before(msgspec.Struct, frozen=True):
    """How an order stood when it was loaded, so that only what changed is written."""

    lines: dict[int, tuple[Any, ...]]
    assignments: dict[int, tuple[Any, ...]]
    reservations: dict[tuple[int, int], tuple[Any, ...]]
    shipments: int
    payment: tuple[Any, ...]
    returns: dict[str, tuple[Any, ...]]

    @staticmethod
    def of(order: Order) -> Before:
        """Remember how the order stands."""
        return Before(
            {number: astuple(line) for number, line in order.lines.items()},
            {number: astuple(assignment) for number, assignment in order.assignments.items()},
            {key: astuple(reservation) for key, reservation in order.reservations.items()},
            len(order.shipments),
            astuple(order.payment),
            {ref: (dict(mine.due), dict(mine.received)) for ref, mine in order.returns.items()},
        )


def save_decisions(
    tx: Transaction,
    writes: Together,
    part: int,
    world: World,
    before: Mapping[OrderId, Before],
    decided: Sequence[tuple[Arrival, Decision]],
    woken: Iterable[OrderId],
    days: Mapping[NodeId, date],
    *,
    strict: bool,
) -> None:
    """Write the effects of a batch of one part, with the `writes` that go along. To be called inside of `tx.pipeline()`.

    `woken`: orders whose timer changed though no event did. `days`: each node's day. With `strict` the world was read
    under locks. Raises StockMissed where stock or capacity went to somebody else meanwhile.
    """
    dirty = {d.order_id for _, d in decided if d.order_id is not None and d.events}
    dirty.update(woken)
    orders = [world.orders[order_id] for order_id in dirty]
    if orders:
        _save_orders(writes, part, orders, before)
    _save_events(writes, part, decided, world.now)
    _save_notices(writes, part, decided, world)
    _save_exceptions(writes, part, decided, world)
    writes.flush()
    _save_answers(tx, part, decided, world.now)
    stock.move_many(tx, [d for _, d in decided], world, days, strict=strict)


def _save_orders(tx: Sender, part: int, orders: Sequence[Order], before: Mapping[OrderId, Before]) -> None:
    """New rows are inserted; of known ones what changed is written, and only that."""
    known = [(order, before[order.order_id]) for order in orders if order.order_id in before]
    new = [order for order in orders if order.order_id not in before]
    if new:
        _insert_orders(tx, part, new)
        _insert_lines(tx, part, [(o.order_id, line) for o in new for line in o.lines.values()])
        _insert_payments(tx, part, new)
    if known:
        _update_orders(tx, part, [order for order, _ in known])
        lines = [(o.order_id, line) for o, old in known for n, line in o.lines.items() if old.lines[n] != astuple(line)]
        if lines:
            _update_lines(tx, part, lines)
        payments = [order for order, old in known if old.payment != astuple(order.payment)]
        if payments:
            _update_payments(tx, part, payments)
    new_reservations = [(o.order_id, r) for o in new for r in o.reservations.values()]
    new_assignments = [(o, a) for o in new for a in o.assignments.values()]
    changed: list[tuple[OrderId, Reservation]] = []
    moved: list[tuple[Order, Assignment]] = []
    for order, old in known:
        numbers = set()
        for key, reservation in order.reservations.items():
            if key not in old.reservations:
                new_reservations.append((order.order_id, reservation))
            elif old.reservations[key] != astuple(reservation):
                changed.append((order.order_id, reservation))
                numbers.add(reservation.assignment_no)
        for number, assignment in order.assignments.items():
            if number not in old.assignments:
                new_assignments.append((order, assignment))
            elif number in numbers or old.assignments[number] != astuple(assignment):
                moved.append((order, assignment))
    if new_assignments:
        _insert_assignments(tx, part, new_assignments)
    if moved:
        _update_assignments(tx, part, moved)
    if new_reservations:
        _insert_reservations(tx, part, new_reservations)
    if changed:
        _update_reservations(tx, part, changed)
    shipments = [(o.order_id, s) for o in new for s in o.shipments.values()]
    shipments += [(o.order_id, s) for o, old in known for n, s in o.shipments.items() if n > old.shipments]
    if shipments:
        _write_shipments(tx, part, shipments)
    returns = [(o.order_id, r) for o in new for r in o.returns.values()]
    returns += [
        (o.order_id, r)
        for o, old in known
        for ref, r in o.returns.items()
        if old.returns.get(ref) != (r.due, r.received)
    ]
    if returns:
        _write_returns(tx, part, returns)


def _insert_orders(tx: Sender, part: int, orders: Sequence[Order]) -> None:
    tx.send(
        q.new_orders,
        part=part,
        systems=Texts([o.system for o in orders]),
        channels=Texts([o.channel for o in orders]),
        numbers=Texts([o.number for o in orders]),
        currencies=Texts([o.currency for o in orders]),
        placed_at=Times([o.placed_at for o in orders]),
        created_at=Times([o.created_at for o in orders]),
        time_zones=Texts([o.time_zone for o in orders]),
        words=Texts([o.word for o in orders]),
        fulfillments=Texts([o.fulfillment for o in orders]),
        destinations=Jsons([_encode(o.destination) if o.destination is not None else None for o in orders]),
        pickup_nodes=Texts([o.pickup_node for o in orders]),
        customers=Texts([o.customer for o in orders]),
        recipients=Jsons([_encode(o.recipient) if o.recipient is not None else None for o in orders]),
        totals=Numerics([o.total for o in orders]),
        taxes=Numerics([o.tax for o in orders]),
        shippings=Numerics([o.shipping for o in orders]),
        **_order_columns(orders),
    )


def _update_orders(tx: Sender, part: int, orders: Sequence[Order]) -> None:
    tx.send(q.orders, part=part, **_order_columns(orders))


def _order_columns(orders: Sequence[Order]) -> dict[str, Texts | Ints | Times]:
    return {
        "order_ids": Texts([o.order_id for o in orders]),
        "states": Texts([o.state for o in orders]),
        "seqs": Ints([o.seq for o in orders]),
        "hold_attempts": Ints([o.hold_attempts for o in orders]),
        "closed_at": Times([o.closed_at for o in orders]),
        "wake_at": Times([o.wake_at for o in orders]),
    }


def _insert_lines(tx: Sender, part: int, lines: Sequence[tuple[OrderId, Line]]) -> None:
    tx.send(
        q.new_lines,
        part=part,
        skus=Texts([x.sku for _, x in lines]),
        source_skus=Texts([x.source_sku for _, x in lines]),
        uoms=Texts([x.uom for _, x in lines]),
        unit_prices=Numerics([x.unit_price for _, x in lines]),
        quantities=Numerics([x.quantity for _, x in lines]),
        **_line_columns(lines),
    )


def _update_lines(tx: Sender, part: int, lines: Sequence[tuple[OrderId, Line]]) -> None:
    tx.send(q.lines, part=part, **_line_columns(lines))


def _line_columns(lines: Sequence[tuple[OrderId, Line]]) -> dict[str, Texts | Ints | Numerics]:
    return {
        "order_ids": Texts([order_id for order_id, _ in lines]),
        "line_nos": Ints([x.line_no for _, x in lines]),
        **{name: Numerics([getattr(x, name) for _, x in lines]) for name in LINE_COUNTS},
    }


def _insert_payments(tx: Sender, part: int, orders: Sequence[Order]) -> None:
    currencies = Texts([o.currency for o in orders])
    tx.send(q.new_payments, part=part, currencies=currencies, **_payment_columns(orders))


def _update_payments(tx: Sender, part: int, orders: Sequence[Order]) -> None:
    tx.send(q.payments, part=part, **_payment_columns(orders))


def _payment_columns(orders: Sequence[Order]) -> dict[str, Texts | Numerics]:
    return {
        "order_ids": Texts([o.order_id for o in orders]),
        "authorized": Numerics([o.payment.authorized for o in orders]),
        "captured": Numerics([o.payment.captured for o in orders]),
        "refunded": Numerics([o.payment.refunded for o in orders]),
    }


def _insert_assignments(tx: Sender, part: int, assignments: Sequence[tuple[Order, Assignment]]) -> None:
    tx.send(
        q.new_assignments,
        part=part,
        nodes=Texts([a.node for _, a in assignments]),
        created_at=Times([a.created_at for _, a in assignments]),
        **_assignment_columns(assignments),
    )


def _update_assignments(tx: Sender, part: int, assignments: Sequence[tuple[Order, Assignment]]) -> None:
    tx.send(q.assignments, part=part, **_assignment_columns(assignments))


def _assignment_columns(assignments: Sequence[tuple[Order, Assignment]]) -> dict[str, Texts | Ints | Times]:
    return {
        "order_ids": Texts([o.order_id for o, _ in assignments]),
        "assignment_nos": Ints([a.assignment_no for _, a in assignments]),
        "states": Texts([o.assignment_state(a.assignment_no) for o, a in assignments]),
        "released_at": Times([a.released_at for _, a in assignments]),
        "acknowledged_at": Times([a.acknowledged_at for _, a in assignments]),
        "warehouse_refs": Texts([a.warehouse_ref for _, a in assignments]),
    }


def _insert_reservations(tx: Sender, part: int, reservations: Sequence[tuple[OrderId, Reservation]]) -> None:
    tx.send(
        q.new_reservations,
        part=part,
        skus=Texts([r.sku for _, r in reservations]),
        nodes=Texts([r.node for _, r in reservations]),
        quantities=Numerics([r.quantity for _, r in reservations]),
        **_reservation_columns(reservations),
    )


def _update_reservations(tx: Sender, part: int, reservations: Sequence[tuple[OrderId, Reservation]]) -> None:
    tx.send(q.reservations, part=part, **_reservation_columns(reservations))


def _reservation_columns(reservations: Sequence[tuple[OrderId, Reservation]]) -> dict[str, Texts | Ints | Numerics]:
    return {
        "order_ids": Texts([order_id for order_id, _ in reservations]),
        "line_nos": Ints([r.line_no for _, r in reservations]),
        "assignment_nos": Ints([r.assignment_no for _, r in reservations]),
        **{name: Numerics([getattr(r, name) for _, r in reservations]) for name in RESERVATION_COUNTS},
    }


def _write_shipments(tx: Sender, part: int, shipments: Sequence[tuple[OrderId, Shipment]]) -> None:
    tx.send(
        q.shipments,
        part=part,
        order_ids=Texts([order_id for order_id, _ in shipments]),
        shipment_nos=Ints([s.shipment_no for _, s in shipments]),
        assignment_nos=Ints([s.assignment_no for _, s in shipments]),
        nodes=Texts([s.node for _, s in shipments]),
        refs=Texts([s.ref for _, s in shipments]),
        shipped_at=Times([s.shipped_at for _, s in shipments]),
    )
    units = [(order_id, s.shipment_no, *unit) for order_id, s in shipments for unit in s.units]
    tx.send(
        q.shipment_lines,
        part=part,
        order_ids=Texts([u[0] for u in units]),
        shipment_nos=Ints([u[1] for u in units]),
        line_nos=Ints([u[2] for u in units]),
        quantities=Numerics([u[3] for u in units]),
    )
    parcels = [(order_id, s.shipment_no, parcel) for order_id, s in shipments for parcel in s.packages]
    if parcels:
        tx.send(
            q.packages,
            part=part,
            order_ids=Texts([p[0] for p in parcels]),
            shipment_nos=Ints([p[1] for p in parcels]),
            package_nos=Ints([p[2].package_no for p in parcels]),
            trackings=Texts([p[2].tracking for p in parcels]),
            carriers=Texts([p[2].carrier for p in parcels]),
        )


def _write_returns(tx: Sender, part: int, returns: Sequence[tuple[OrderId, Return]]) -> None:
    rows = [
        (order_id, mine.ref, line_no, mine.due.get(line_no, 0), mine.received.get(line_no, 0))
        for order_id, mine in returns
        for line_no in sorted(mine.due.keys() | mine.received.keys())
    ]
    tx.send(
        q.return_lines,
        part=part,
        order_ids=Texts([r[0] for r in rows]),
        refs=Texts([r[1] for r in rows]),
        line_nos=Ints([r[2] for r in rows]),
        due=Numerics([r[3] for r in rows]),
        received=Numerics([r[4] for r in rows]),
    )


def _save_events(tx: Sender, part: int, decided: Sequence[tuple[Arrival, Decision]], now: datetime) -> None:
    rows = [
        (decision.order_id, seq, event, arrival)
        for arrival, decision in decided
        if decision.order_id is not None
        for seq, event in enumerate(decision.events, decision.seq_before + 1)
    ]
    if not rows:
        return
    tx.send(
        q.events,
        part=part,
        now=now,
        order_ids=Texts([r[0] for r in rows]),
        seqs=Ints([r[1] for r in rows]),
        types=Texts([r[2].type for r in rows]),
        bodies=Jsons([events.encode(r[2]) for r in rows]),
        message_ids=Uuids([r[3].message_id for r in rows]),
        systems=Texts([r[3].system for r in rows]),
        occurred_at=Times([r[3].command.occurred_at if r[3].command else None for r in rows]),
    )


def _save_notices(tx: Sender, part: int, decided: Sequence[tuple[Arrival, Decision]], world: World) -> None:
    now = world.now
    notices = [(d.order_id, notice) for _, d in decided for notice in d.notices]
    if notices:
        tx.send(
            q.outbox,
            part=part,
            now=now,
            order_ids=Texts([order_id for order_id, _ in notices]),
            seqs=Ints([n.seq for _, n in notices]),
            receivers=Texts([n.receiver for _, n in notices]),
            messages=Texts([n.message for _, n in notices]),
            assignment_nos=Ints([n.assignment_no for _, n in notices]),
            bodies=Jsons([n.body for _, n in notices]),
            answer_due_at=Times(
                [
                    now + timedelta(seconds=n.answer_within_s) if n.answer_within_s is not None else None
                    for _, n in notices
                ]
            ),
        )


def _save_answers(tx: Transaction, part: int, decided: Sequence[tuple[Arrival, Decision]], now: datetime) -> None:
    """After the notices: one of them may be answered in the same batch."""
    answered = sorted({(d.order_id or OrderId(""), number) for _, d in decided for number in d.answered})
    if answered:
        tx.send(
            q.answered,
            part=part,
            now=now,
            order_ids=Texts([order_id for order_id, _ in answered]),
            assignment_nos=Ints([number for _, number in answered]),
        )


def _save_exceptions(tx: Sender, part: int, decided: Sequence[tuple[Arrival, Decision]], world: World) -> None:
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for arrival, decision in decided:
        for trouble in decision.troubles:
            subject = arrival.command.subject if arrival.command else str(arrival.message_id)
            duty = world.estate.duty(trouble.reason)
            exception_id = f"{trouble.reason}/{trouble.what}"
            found[subject, exception_id] = (
                trouble.reason,
                trouble.explanation,
                arrival.system,
                arrival.message_id,
                duty.owner,
                world.now + timedelta(seconds=duty.within_s),
            )
    if not found:
        return
    rows = [(*key, *row) for key, row in sorted(found.items(), key=lambda item: item[0])]
    tx.send(
        q.exceptions,
        part=part,
        now=world.now,
        subjects=Texts([r[0] for r in rows]),
        exception_ids=Texts([r[1] for r in rows]),
        reasons=Texts([r[2] for r in rows]),
        explanations=Texts([r[3] for r in rows]),
        systems=Texts([r[4] for r in rows]),
        message_ids=Uuids([r[5] for r in rows]),
        owners=Texts([r[6] for r in rows]),
        due_at=Times([r[7] for r in rows]),
    )
