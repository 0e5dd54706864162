"""Deliberate defects, to prove that the simulator can fail: each breaks the real code in memory while it is switched on.

    with DEFECTS["double_refund"].planted():
        result = simulate(plan)

`statements` are those of which at least one must be found violated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch
from zlib import crc32

import msgspec

from interlock.domain import authority, evolve, versions
from interlock.domain.commands import CaptureOrder, IssueRefund
from interlock.domain.decide import DECIDERS, releases
from interlock.domain.decision import Arrival, Draft, Outcome, World
from interlock.domain.events import AssignmentAcknowledged, PaymentCaptured, RefundIssued
from interlock.domain.sourcing import Sourcing, StockSeen
from interlock.engine.desk import Written
from interlock.engine.steps import Steps
from interlock.simulation import memory
from interlock.simulation.memory import MemoryInterlock
from interlock.simulation.port import Crashed, CrashPoint
from interlock.storage import ledger

Patches = list[Any]


class Defect(msgspec.Struct, frozen=True):
    """One defect: what is wrong, what must be found, and how it is made."""

    name: str
    what: str
    statements: tuple[str, ...]
    make: Callable[[], Patches]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The code has the defect inside of the block."""
        patches = self.make()
        for each in patches:
            each.start()
        try:
            yield
        finally:
            for each in reversed(patches):
                each.stop()


def _no_ledger() -> Patches:
    real = memory._MemoryDesk.known  # noqa: SLF001 - a defect reaches into what it breaks

    def known(
        desk: Any, keys: Sequence[ledger.Key], subjects: Sequence[str]
    ) -> tuple[dict[ledger.Key, ledger.Known], set[str]]:
        return {}, real(desk, keys, subjects)[1]

    return [patch.object(memory._MemoryDesk, "known", known)]  # noqa: SLF001


def _oversell() -> Patches:
    real = Sourcing.plan

    def plan(self: Sourcing, policy: Any, request: Any, positions: Mapping[Any, Any], *rest: Any) -> Any:
        plenty = {
            sku: {node: StockSeen(at.sellable + 50, at.excluded_until) for node, at in nodes.items()}
            for sku, nodes in positions.items()
            if any(want.sku == sku for want in request.wants)
        }
        return real(self, policy, request, plenty, *rest)

    return [patch.object(Sourcing, "plan", plan)]


def _moves(change: Callable[[str, dict[str, Any]], bool]) -> Patches:
    """Movements as `change` leaves them; where it says False, none is made at all."""
    real = Draft.move

    def move(self: Draft, kind: str, sku: Any, node: Any, cause: str, **layers: Any) -> None:
        if change(kind, layers):
            real(self, kind, sku, node, cause, **layers)

    return [patch.object(Draft, "move", move)]


def _cancel_keeps() -> Patches:
    return _moves(lambda kind, _: kind != "unreserve")


def _ship_keeps_stock() -> Patches:
    def change(kind: str, layers: dict[str, Any]) -> bool:
        if kind == "ship":
            layers["physical"] = 0
        return True

    return _moves(change)


def _skipped_movement() -> Patches:
    real = Draft.move

    def move(self: Draft, kind: str, sku: Any, node: Any, cause: str, **layers: Any) -> None:
        real(self, kind, sku, node, cause, **layers)
        if kind == "sale":
            self.decision.movements.pop()

    return [patch.object(Draft, "move", move)]


def _stale_applied() -> Patches:
    def age(number: int | None, newest: int | None) -> str:
        return "unknown" if number is None else "first" if newest is None else "newer"

    return [patch.object(versions, "age", age)]


def _double_refund() -> Patches:
    def issue(draft: Draft, command: IssueRefund) -> None:
        draft.record(RefundIssued(ref=command.ref, amount=command.amount, units=command.lines))

    return [patch.dict(DECIDERS, {"refund.issue": issue})]


def _capture_unlimited() -> Patches:
    def capture(draft: Draft, command: CaptureOrder) -> None:
        draft.record(PaymentCaptured(ref=command.ref, amount=command.amount))

    return [patch.dict(DECIDERS, {"order.capture": capture})]


def _lost_parked() -> Patches:
    real = MemoryInterlock._settle_message  # noqa: SLF001

    def settle(self: MemoryInterlock, arrival: Arrival, outcome: Outcome, **more: Any) -> None:
        if outcome.outcome == "parked" and not more and crc32(arrival.message_id.bytes) % 3 == 0:
            self.store.outcomes["lost", "parked"] += 1
            return
        real(self, arrival, outcome, **more)

    return [patch.object(MemoryInterlock, "_settle_message", settle)]


def _no_authority() -> Patches:
    return [
        patch.object(authority, "check", lambda *_: None),
        patch.object(authority, "check_assignment", lambda *_: None),
    ]


def _released_twice() -> Patches:
    """After a crash, the last releases are written again."""
    real = MemoryInterlock.take

    def take(
        self: MemoryInterlock, arrivals: Sequence[Arrival], now: datetime, *, crash: CrashPoint | None = None
    ) -> list[Outcome]:
        try:
            return real(self, arrivals, now, crash=crash)
        except Crashed:
            for rows in self.store.outbox.values():
                again = [row for row in rows.values() if row.told.message == "shipment.release"][-3:]
                for row in again:
                    told = msgspec.structs.replace(row.told, seq=row.told.seq + 1_000)
                    key = (told.order_id, told.seq, told.message, told.assignment_no)
                    rows[key] = msgspec.structs.replace(row, told=told)
            raise

    return [patch.object(MemoryInterlock, "take", take)]


def _accept_before_commit() -> Patches:
    """The answer is written down before the effects are."""
    real = memory._MemoryDesk.save  # noqa: SLF001

    def save(desk: Any, world: World, written: Written) -> None:
        for entry in written.entries:
            desk.interlock.store.ledger[entry.key] = ledger.Known(entry.payload_hash, entry.outcome, entry.answer)
        real(desk, world, written)

    return [patch.object(memory._MemoryDesk, "save", save)]  # noqa: SLF001


def _half_taken_back() -> Patches:
    """What a crash leaves of a transaction before its commit is kept."""
    return [patch.object(MemoryInterlock, "_take_back", lambda *_: None)]


def _dropped_notice() -> Patches:
    real = MemoryInterlock._commit_effects  # noqa: SLF001

    def commit(self: MemoryInterlock, written: Written, now: datetime) -> None:
        for _, decision in written.decided:
            if decision.notices and crc32(str(decision.order_id).encode()) % 20 == 0:
                decision.notices.clear()
        real(self, written, now)

    return [patch.object(MemoryInterlock, "_commit_effects", commit)]


def _wrong_units() -> Patches:
    real = evolve._move  # noqa: SLF001

    def move(order: Any, line_no: int, number: int, units: Any, sources: tuple[str, ...], target: str) -> None:
        real(order, line_no, number, units, sources, target)
        if target == "rejected":
            order.lines[line_no].open -= 1

    return [patch.object(evolve, "_move", move)]


def _cancel_untold() -> Patches:
    return [patch.object(releases, "take_back", lambda *_: None)]


def _early_cancel_loses() -> Patches:
    """Nobody looks for a cancellation that came before its order."""

    class Nothing(set[Any]):
        def __contains__(self, _: object) -> bool:
            return False

    real = World.__init__

    def init(self: World, *args: Any, **more: Any) -> None:
        real(self, *args, **more)
        self.early = Nothing()

    return [patch.object(World, "__init__", init)]


def _lost_event() -> Patches:
    real = Draft.record

    def record(self: Draft, event: Any) -> None:
        real(self, event)
        if isinstance(event, AssignmentAcknowledged):
            self.decision.events.pop()

    return [patch.object(Draft, "record", record)]


def _other_answer() -> Patches:
    real = Steps._answer_again  # noqa: SLF001

    def answer_again(self: Steps, place: int, *rest: Any) -> None:
        real(self, place, *rest)
        told = self.results[place]
        if told.first == "stale":
            self.results[place] = msgspec.structs.replace(told, first="processed")

    return [patch.object(Steps, "_answer_again", answer_again)]


def _endless_patience() -> Patches:
    return [patch.object(MemoryInterlock, "_lose_patience", lambda *_: 0)]


def _deaf_to_time() -> Patches:
    return [patch.object(MemoryInterlock, "_due_orders", lambda *_: [])]


def _unseen_promise() -> Patches:
    """More is promised than there is, and no exception says so."""
    real = MemoryInterlock._trouble  # noqa: SLF001

    def trouble(self: MemoryInterlock, subject: str, reason: str, what: str, now: datetime) -> None:
        if reason not in ("promise_broken", "negative_stock"):
            real(self, subject, reason, what, now)

    return [patch.object(MemoryInterlock, "_trouble", trouble)]


DEFECTS: dict[str, Defect] = {
    defect.name: defect
    for defect in (
        Defect("no_ledger", "the ledger is never asked", ("once",), _no_ledger),
        Defect("oversell", "units are reserved without looking at what is left", ("no_oversell",), _oversell),
        Defect("cancel_keeps_units", "a cancel does not give reserved units back", ("stock_balances",), _cancel_keeps),
        Defect("ship_keeps_stock", "goods leave, and the stock stays", ("books_agree",), _ship_keeps_stock),
        Defect("skipped_movement", "a position changes without a movement", ("stock_balances",), _skipped_movement),
        Defect(
            "stale_applied", "an older count or order is applied after a newer one", ("newest_wins",), _stale_applied
        ),
        Defect("double_refund", "refunds have no limit", ("money_agrees",), _double_refund),
        Defect("capture_unlimited", "captures have no limit", ("money_agrees",), _capture_unlimited),
        Defect("lost_parked", "some of what is parked is forgotten", ("nothing_vanishes",), _lost_parked),
        Defect("no_authority", "authority is not checked", ("within_authority",), _no_authority),
        Defect("released_twice", "a crash has the last releases written again", ("told_once",), _released_twice),
        Defect("accept_before_commit", "the answer stands before the commit", ("first_answer",), _accept_before_commit),
        Defect(
            "half_taken_back",
            "what was done before a crash is not taken back",
            ("stock_balances", "history_whole", "once"),
            _half_taken_back,
        ),
        Defect("dropped_notice", "some messages never get into the outbox", ("books_agree",), _dropped_notice),
        Defect("wrong_units", "a rejection opens one unit too few", ("units_conserved",), _wrong_units),
        Defect("cancel_untold", "a node is not told of a cancel", ("books_agree",), _cancel_untold),
        Defect(
            "early_cancel_loses", "a cancel that came first is not looked for", ("canceled_first",), _early_cancel_loses
        ),
        Defect("lost_event", "an event changes the order and is not kept", ("history_whole",), _lost_event),
        Defect("other_answer", "a repeated message gets another answer", ("first_answer",), _other_answer),
        Defect(
            "endless_patience", "what is parked too long is shown to nobody", ("nothing_vanishes",), _endless_patience
        ),
        Defect("deaf_to_time", "backorders and closings never have their turn", ("answered_or_chased",), _deaf_to_time),
        Defect("unseen_promise", "a broken promise opens no exception", ("no_oversell",), _unseen_promise),
    )
}
"""By name."""
