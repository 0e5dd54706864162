"""What `decide` may see (World) and what it may say (Decision)."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from interlock.domain.commands import AnyCommand
from interlock.domain.estate import ChannelMessage, Estate
from interlock.domain.events import AnyEvent
from interlock.domain.evolve import evolve
from interlock.domain.model import Order, Position
from interlock.domain.sourcing import Sourcing
from interlock.domain.values import NodeId, OrderId, Quantity, Sku, SystemId

OutcomeWord = Literal["received", "processed", "duplicate", "stale", "parked", "conflict", "refused", "quarantined"]


class FieldError(msgspec.Struct, frozen=True):
    """One mistake in what came in: the path to the field, what it held, and what was expected."""

    field: str
    value: str
    expected: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something that came in could not be read at all."""

    reason: str
    explanation: str
    errors: tuple[FieldError, ...] = ()


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One record that came in: verbatim, with who sent it, and the command that was read from it, if it could be.

    `contract` names contract and version by which it was read, or should have been; `context` is what was said beside it,
    as JSON.
    """

    message_id: UUID
    system: SystemId
    received_at: datetime
    body: bytes
    content_type: str
    command: AnyCommand | None
    problem: Problem | None = None
    source_message_id: str | None = None
    trace_id: str | None = None
    file: str | None = None
    record: str | None = None
    contract: str | None = None
    context: bytes | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one arrival. `answer` is a JSON object: the first answer, however often it is asked again.

    `first` is what became of it the first time: of a duplicate, it is what the original came to. What is parked names what
    it `waits_for`, and becomes an exception when that has not come by `waits_until`.
    """

    message_id: UUID
    outcome: OutcomeWord
    first: OutcomeWord | None = None
    answer: msgspec.Raw = msgspec.Raw(b"{}")
    reason: str = ""
    waits_for: str = ""
    waits_until: datetime | None = None


class Movement(msgspec.Struct, frozen=True):
    """One change of one position, layer by layer; `cause` makes it unique."""

    sku: Sku
    node: NodeId
    kind: str
    cause: str
    physical: Quantity = 0
    unsellable: Quantity = 0
    reserved: Quantity = 0


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must see: it opens (or touches again) the exception `reason/what` of the subject."""

    reason: str
    what: str
    explanation: str


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a receiver must be told, caused by the order's event `seq`. The body is JSON."""

    receiver: SystemId
    message: Literal["shipment.release", "shipment.cancel"] | ChannelMessage
    assignment_no: int
    seq: int
    body: bytes
    answer_within_s: float | None


class Exclusion(msgspec.Struct, frozen=True):
    """Sourcing leaves the node out for the SKU until then."""

    sku: Sku
    node: NodeId
    until: datetime
    reason: str


VersionKey = tuple[str, str, SystemId]
"""Subject, fact (see `versions.fact_of`) and system: what a source's versions are counted for."""


class Version(msgspec.Struct, frozen=True):
    """The newest statement of a source that was applied."""

    key: VersionKey
    number: int


class Decision(msgspec.Struct, kw_only=True):
    """Everything that follows from one command. It has no effect until it is saved.

    `seq_before` is the order's last event before these.
    `answered` are assignments whose release has been answered; `given` are nodes that got an order more today.
    """

    outcome: OutcomeWord
    reason: str = ""
    explanation: str = ""
    waits_for: str = ""
    answer: dict[str, object] = {}
    order_id: OrderId | None = None
    seq_before: int = 0
    events: list[AnyEvent] = []
    movements: list[Movement] = []
    troubles: list[Trouble] = []
    notices: list[Notice] = []
    answered: list[int] = []
    exclusions: list[Exclusion] = []
    given: list[NodeId] = []
    versions: list[Version] = []


class World:
    """What a batch has loaded, and what its decisions have made of it so far.

    `positions` holds every node of each SKU that the batch names. `strict` says that the positions are locked: what is
    seen there cannot change before the batch is saved, so absolute statements about stock (a count) are safe.
    `newest` are the versions of sources' statements that were applied last. `early` are orders that are created in this
    batch while a cancellation of theirs waits.
    """

    def __init__(
        self,
        estate: Estate,
        sourcing: Sourcing,
        now: datetime,
        orders: dict[OrderId, Order],
        positions: dict[Sku, dict[NodeId, Position]],
        load: dict[NodeId, int],
        newest: dict[VersionKey, int] | None = None,
    ) -> None:
        self.estate = estate
        self.sourcing = sourcing
        self.now = now
        self.orders = orders
        self.positions = positions
        self.load = load
        self.newest = newest if newest is not None else {}
        self.early: set[OrderId] = set()

    def position(self, sku: Sku, node: NodeId) -> Position:
        """The position of a SKU at a node; a new and empty one where there was none."""
        nodes = self.positions.setdefault(sku, {})
        position = nodes.get(node)
        if position is None:
            buffer = self.estate.buffer(sku, node) if node in self.estate.nodes else 0
            position = Position(0, 0, 0, buffer, -buffer, None, False)
            nodes[node] = position
        return position


class Draft:
    """One command while it is being decided: what it records takes effect in the world at once, and is kept.

    A function of `decide` raises its refusals before it records anything.
    """

    def __init__(self, world: World, system: SystemId, order: Order | None) -> None:
        self.world = world
        self.system = system
        self._order = order
        self.decision = Decision(
            outcome="processed",
            order_id=order.order_id if order else None,
            seq_before=order.seq if order else 0,
        )

    @property
    def order(self) -> Order:
        """The order that the command is about."""
        if self._order is None:
            raise ValueError("the order is not known yet")
        return self._order

    def record(self, event: AnyEvent) -> None:
        """Append an event; the order changes with it."""
        order = evolve(self._order, event)
        if self._order is None:
            self._order = order
            self.world.orders[order.order_id] = order
            self.decision.order_id = order.order_id
        self.decision.events.append(event)

    def move(
        self,
        kind: str,
        sku: Sku,
        node: NodeId,
        cause: str,
        *,
        physical: Quantity = 0,
        unsellable: Quantity = 0,
        reserved: Quantity = 0,
    ) -> None:
        """Change a position; `cause` must be unique for the SKU at the node."""
        position = self.world.position(sku, node)
        position.physical += physical
        position.unsellable += unsellable
        position.reserved += reserved
        position.sellable += physical - unsellable - reserved
        self.decision.movements.append(Movement(sku, node, kind, cause, physical, unsellable, reserved))

    def cause(self, line_no: int) -> str:
        """The cause of a movement that follows from the event recorded last, for one of its lines."""
        order = self.order
        return f"{order.order_id}/{order.seq}/{line_no}"

    def wait(self, waits_for: str, answer: dict[str, object] | None = None) -> None:
        """The precondition is not there yet: park. To be called before anything is recorded."""
        self.decision.outcome, self.decision.waits_for = "parked", waits_for
        self.decision.answer = {"waits_for": waits_for, **(answer or {})}

    def supersede(self, key: VersionKey, number: int | None) -> None:
        """This statement of a source is the newest one now."""
        if number is not None:
            self.world.newest[key] = number
            self.decision.versions.append(Version(key, number))

    def trouble(self, reason: str, what: str, explanation: str) -> None:
        """Show something to a person."""
        self.decision.troubles.append(Trouble(reason=reason, what=what, explanation=explanation))

    def exclude(self, sku: Sku, node: NodeId, until: datetime, reason: str) -> None:
        """Keep sourcing away from the node for the SKU for a time."""
        self.world.position(sku, node).excluded_until = until
        self.decision.exclusions.append(Exclusion(sku, node, until, reason))
