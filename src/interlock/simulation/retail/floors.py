"""The nodes: what a DC, a 3PL or a store does when it is told to start, and when it is told not to."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from interlock.domain.commands import (
    AcknowledgeShipment,
    ConfirmShipment,
    LineUnits,
    Package,
    PackShipment,
    RejectReason,
    RejectShipment,
)
from interlock.domain.decision import Outcome
from interlock.domain.values import NodeId, OrderId, Quantity, SystemId
from interlock.simulation.port import Told
from interlock.simulation.retail.agenda import HOUR, MINUTE, Agenda, chance_of
from interlock.simulation.retail.post import Letter, Post


class Pace(msgspec.Struct, frozen=True):
    """How a node's system works: it looks for work every `poll_s`, and takes these hours (from, to) to pack and to ship."""

    poll_s: float
    acknowledges: float
    packs: float
    hours: tuple[float, float]
    rejects: float
    parts: float


PACES: dict[str, Pace] = {
    "wms": Pace(15 * MINUTE, 0.9, 0.5, (2.0, 14.0), 0.03, 0.2),
    "threepl": Pace(5 * MINUTE, 0.98, 0.8, (0.5, 4.0), 0.02, 0.05),
    "pos": Pace(20 * MINUTE, 0.5, 0.9, (0.5, 30.0), 0.08, 0.02),
}
"""By system. `acknowledges` and `packs` are shares that say so; `rejects` and `parts` shares that cannot, or ship in parts."""

_REASONS: tuple[RejectReason, ...] = ("short_pick", "not_found", "damaged", "refused")


class _Line(msgspec.Struct):
    line_no: int
    quantity: Quantity


class _Work(msgspec.Struct):
    node: NodeId
    lines: tuple[_Line, ...] = ()


_read = msgspec.json.Decoder(_Work, strict=False).decode


class Job:
    """An assignment at its node: units by line that have not left. What is packed is not taken out of its box again."""

    __slots__ = ("left", "node", "number", "order_id", "packed")

    def __init__(self, order_id: OrderId, number: int, node: NodeId, left: dict[int, Quantity]) -> None:
        self.order_id, self.number, self.node, self.left = order_id, number, node, left
        self.packed = False


class Floor:
    """All nodes of one system. `left` is told of every order of which something left: order, node, units."""

    def __init__(
        self,
        system: SystemId,
        agenda: Agenda,
        post: Post,
        seed: int,
        left: Callable[[OrderId, NodeId, dict[int, Quantity]], None],
    ) -> None:
        self.system, self.agenda, self.post, self.left = system, agenda, post, left
        self.pace = PACES[system]
        self.die = chance_of(seed, f"floor/{system}")
        self.jobs: dict[tuple[OrderId, int], Job] = {}
        self._heard: set[tuple[OrderId, int, str, int]] = set()
        self._refs = 0

    def hear(self, told: Told) -> None:
        """Interlock says: start, or stop. It may say so twice."""
        notice = (told.order_id, told.seq, told.message, told.assignment_no)
        if notice in self._heard:
            return
        self._heard.add(notice)
        place = (told.order_id, told.assignment_no)
        work = _read(told.body)
        if told.message == "shipment.cancel":
            job = self.jobs.get(place)
            if job is not None and not job.packed:
                for line in work.lines:
                    job.left[line.line_no] = max(0, job.left.get(line.line_no, 0) - line.quantity)
            return
        job = self.jobs[place] = Job(
            told.order_id, told.assignment_no, work.node, {u.line_no: u.quantity for u in work.lines}
        )
        die, pace, after = self.die, self.pace, self.agenda.after
        if die.random() < pace.acknowledges:
            after(die.uniform(1.0, 90.0) * MINUTE, self._acknowledge, job)
        if die.random() < pace.rejects:
            after(die.uniform(*pace.hours) * HOUR, self._reject, job)
            return
        wait = die.uniform(*pace.hours) * HOUR
        if die.random() < pace.packs:
            after(wait * 0.7, self._pack, job)
        after(wait, self._ship, job)

    def _acknowledge(self, job: Job) -> None:
        self.post.send(
            self.system,
            AcknowledgeShipment(
                order_id=job.order_id,
                assignment_no=job.number,
                ref="ack",
                warehouse_ref=self._ref("W"),
                occurred_at=self.post.clock(self.system),
            ),
        )

    def _pack(self, job: Job) -> None:
        units = _units(job.left)
        if units:
            job.packed = True
            self.post.send(
                self.system,
                PackShipment(order_id=job.order_id, assignment_no=job.number, ref=self._ref("P"), lines=units),
            )

    def _ship(self, job: Job) -> None:
        units = _units(job.left)
        if not units:
            return
        if self.die.random() < self.pace.parts and sum(u.quantity for u in units) > 1:
            first = units[0]
            rest = first.quantity // 2
            units = (LineUnits(first.line_no, first.quantity - rest),)
            self.agenda.after(self.die.uniform(1.0, 24.0) * HOUR, self._ship, job)
        for unit in units:
            job.left[unit.line_no] -= unit.quantity
        ref = self._ref("S")
        self.post.send(
            self.system,
            ConfirmShipment(
                order_id=job.order_id,
                assignment_no=job.number,
                ref=ref,
                lines=units,
                packages=(Package(tracking=f"1Z{ref}"),) if self.die.random() < 0.5 else (),
                carrier="Parcel",
                occurred_at=self.post.clock(self.system),
            ),
        )
        self.left(job.order_id, job.node, {u.line_no: u.quantity for u in units})

    def _reject(self, job: Job) -> None:
        """The node cannot ship one line, or all of it; the rest goes."""
        units = _units(job.left)
        if not units:
            return
        gone = units if self.die.random() < 0.4 else units[:1]
        for unit in gone:
            job.left[unit.line_no] = 0
        reason = _REASONS[self.die.randrange(len(_REASONS))]
        self._cannot(job, reason, gone, self._one_by_one(job, reason, gone))
        self.agenda.after(self.die.uniform(0.5, 4.0) * HOUR, self._ship, job)

    def _one_by_one(
        self, job: Job, reason: RejectReason, gone: tuple[LineUnits, ...]
    ) -> Callable[[Letter, Outcome], None]:
        """Some of it was canceled meanwhile, and so the whole was refused: say it again of each unit."""

        def done(letter: Letter, _: Outcome) -> None:
            if letter.answer == "refused":
                for unit in gone:
                    for _one in range(int(unit.quantity)):
                        self._cannot(job, reason, (LineUnits(unit.line_no, 1),))

        return done

    def _cannot(
        self,
        job: Job,
        reason: RejectReason,
        units: tuple[LineUnits, ...],
        done: Callable[[Letter, Outcome], None] | None = None,
    ) -> None:
        command = RejectShipment(
            order_id=job.order_id, assignment_no=job.number, ref=self._ref("R"), reason=reason, lines=units
        )
        self.post.send(self.system, command, done)

    def _ref(self, kind: str) -> str:
        self._refs += 1
        return f"{self.system}-{kind}{self._refs}"


def _units(left: dict[int, Quantity]) -> tuple[LineUnits, ...]:
    return tuple([LineUnits(line_no, quantity) for line_no, quantity in left.items() if quantity])
