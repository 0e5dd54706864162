"""People who edit by hand, systems that say what they may not, and forgers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from interlock.domain.commands import (
    AdjustStock,
    AnyCommand,
    AssignmentCommand,
    AuthorizeOrder,
    AuthorizeReturn,
    CancelOrder,
    CaptureOrder,
    CloseOrder,
    ConfirmShipment,
    CountStock,
    CreateOrder,
    HoldReservation,
    IssueRefund,
    LineUnits,
    ReleaseShipment,
    StockCommand,
)
from interlock.domain.values import Sku, SystemId
from interlock.simulation.retail.agenda import HOUR, MINUTE, Agenda, chance_of
from interlock.simulation.retail.estate import (
    DCS,
    ERP,
    INSIGHT,
    MARKET,
    OFFICE,
    PARTNER,
    POS,
    PSP,
    SPEAKERS,
    STORES,
    THREEPL,
    WEB,
    WMS,
    Goods,
)
from interlock.simulation.retail.post import Letter, Post
from interlock.simulation.retail.shops import Sale

NOBODY = SystemId("nobody")


class Office:
    """The back office and the ERP: `acts_a_day` edits by hand, most of them sensible."""

    def __init__(self, agenda: Agenda, post: Post, goods: Goods, seed: int, acts_a_day: float) -> None:
        self.agenda, self.post, self.goods = agenda, post, goods
        self.acts_a_day = acts_a_day
        self.die = chance_of(seed, "office")
        self.ends = 0.0
        self.lately: deque[Sale] = deque(maxlen=500)
        self._refs = 0
        self._acts: list[Callable[[Sale], tuple[SystemId, AnyCommand]]] = [
            self._adjust,
            self._adjust,
            self._count,
            self._cancel,
            self._hold,
            self._release,
            self._authorize_more,
            self._capture_too_much,
            self._return_too_much,
            self._refund_for_nothing,
            self._close,
            self._observer,
            self._confirm_by_hand,
        ]

    def open(self, ends: float) -> None:
        """Work from now on, until then."""
        self.ends = ends
        self._plan_next()

    def _plan_next(self) -> None:
        self.agenda.after(self.die.expovariate(self.acts_a_day / (24 * HOUR)), self._act)

    def _act(self, _: Any) -> None:
        if self.agenda.now >= self.ends:
            return
        self._plan_next()
        if self.lately:
            sale = self.lately[self.die.randrange(len(self.lately))]
            system, command = self._acts[self.die.randrange(len(self._acts))](sale)
            self.post.send(system, command)

    def _adjust(self, _: Sale) -> tuple[SystemId, AnyCommand]:
        die = self.die
        sku = self.goods.pick(die.random())
        return OFFICE, AdjustStock(
            sku=sku, node=DCS[die.randrange(len(DCS))], ref=self._ref(), delta=die.choice((-3, -2, -1, 1, 5))
        )

    def _count(self, _: Sale) -> tuple[SystemId, AnyCommand]:
        die = self.die
        sku = self.goods.pick(die.random())
        return ERP, CountStock(
            sku=sku, node=DCS[die.randrange(len(DCS))], ref=self._ref(), counted=die.randrange(0, 60)
        )

    def _cancel(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        return OFFICE, CancelOrder(order_id=sale.order_id, ref=self._ref(), reason="fraud check")

    def _hold(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        node = DCS[self.die.randrange(len(DCS))] if self.die.random() < 0.3 else None
        return OFFICE, HoldReservation(order_id=sale.order_id, ref=self._ref(), node=node)

    def _release(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        return OFFICE, ReleaseShipment(order_id=sale.order_id, ref=self._ref())

    def _authorize_more(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        return ERP, AuthorizeOrder(order_id=sale.order_id, ref=self._ref(), amount=Decimal("5.00"))

    def _capture_too_much(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        return OFFICE, CaptureOrder(order_id=sale.order_id, ref=self._ref(), amount=sale.command.total * 3)

    def _return_too_much(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        line = sale.command.lines[0]
        return OFFICE, AuthorizeReturn(
            order_id=sale.order_id, ref=self._ref(), lines=(LineUnits(line.line_no, line.quantity + 5),)
        )

    def _refund_for_nothing(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        line = sale.command.lines[0]
        return OFFICE, IssueRefund(
            order_id=sale.order_id,
            ref=self._ref(),
            amount=line.unit_price * line.quantity * 2,
            lines=(LineUnits(line.line_no, line.quantity * 2),),
        )

    def _close(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        return ERP, CloseOrder(order_id=sale.order_id, ref=self._ref())

    def _observer(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        return INSIGHT, CancelOrder(order_id=sale.order_id, ref=self._ref(), reason="looked wrong in a report")

    def _confirm_by_hand(self, sale: Sale) -> tuple[SystemId, AnyCommand]:
        """Goods that somebody saw leave: the node's own word will come as well."""
        line = sale.command.lines[0]
        return OFFICE, ConfirmShipment(
            order_id=sale.order_id, assignment_no=1, ref=self._ref(), lines=(LineUnits(line.line_no, 1),)
        )

    def _ref(self) -> str:
        self._refs += 1
        return f"hand-{self._refs}"


class Forger:
    """Makes, after a letter, one that nobody may send, or another one under the same key. Sends each once, and hears nothing."""

    def __init__(self, agenda: Agenda, post: Post, seed: int) -> None:
        self.agenda, self.post = agenda, post
        self.die = chance_of(seed, "forger")
        self._refs = 0
        self._kinds: list[Callable[[Letter], tuple[str, SystemId, AnyCommand] | None]] = [
            self._no_authority,
            self._unknown_system,
            self._wrong_source,
            self._other_payload,
            self._older_version,
        ]

    def forge(self, letter: Letter) -> None:
        """Forge something after this letter, where it lends itself to that."""
        made = self._kinds[self.die.randrange(len(self._kinds))](letter)
        if made is not None:
            # Some time later, when the true one has arrived, or has not.
            self.agenda.after(self.die.uniform(10.0, 240.0) * MINUTE, self._send, made)

    def _send(self, made: tuple[str, SystemId, AnyCommand]) -> None:
        name, system, command = made
        if not self.post.quiet:
            self.post.count(name)
            self.post.throw_in(system, command)

    def _no_authority(self, letter: Letter) -> tuple[str, SystemId, AnyCommand]:
        self._refs += 1
        who = (INSIGHT, PARTNER, WEB if letter.command.fact not in ("order",) else WMS)[self.die.randrange(3)]
        if isinstance(letter.command, CreateOrder | CountStock | AdjustStock):
            command: AnyCommand = AdjustStock(
                sku=_sku(letter.command), node=STORES[0], ref=f"forged-{self._refs}", delta=1_000
            )
            return "forged_no_authority", (INSIGHT, PARTNER, PSP)[self.die.randrange(3)], command
        return "forged_no_authority", who, msgspec.structs.replace(letter.command, ref=f"forged-{self._refs}")

    def _unknown_system(self, letter: Letter) -> tuple[str, SystemId, AnyCommand]:
        return "forged_unknown_system", NOBODY, letter.command

    def _wrong_source(self, letter: Letter) -> tuple[str, SystemId, AnyCommand] | None:
        """A node's system speaks for another's assignment or stock; a shop tells an order of another's channel."""
        command = letter.command
        if isinstance(command, CreateOrder) and letter.system in (WEB, MARKET):
            return "forged_wrong_source", MARKET if letter.system == WEB else WEB, command
        others = [each for each in (WMS, THREEPL, POS) if each != letter.system]
        if isinstance(command, StockCommand):
            mine = SPEAKERS.get(command.node, POS)
            others = [each for each in others if each != mine]
        elif not isinstance(command, AssignmentCommand) or letter.system not in (WMS, THREEPL):
            return None
        if not others:
            return None
        self._refs += 1
        other = others[self._refs % len(others)]
        return "forged_wrong_source", other, msgspec.structs.replace(command, ref=f"forged-{self._refs}")

    def _other_payload(self, letter: Letter) -> tuple[str, SystemId, AnyCommand] | None:
        command = letter.command
        match command:
            case IssueRefund() | CaptureOrder() | AuthorizeOrder():
                other: AnyCommand = msgspec.structs.replace(command, amount=command.amount + Decimal("1.00"))
            case AdjustStock():
                other = msgspec.structs.replace(command, delta=command.delta + 100)
            case CancelOrder():
                other = msgspec.structs.replace(command, reason="another reason")
            case CreateOrder():
                more = msgspec.structs.replace(command.lines[0], quantity=command.lines[0].quantity + 7)
                other = msgspec.structs.replace(command, lines=(more, *command.lines[1:]))
            case _:
                return None
        # The true one must have been answered before: else the forged one would be the true one.
        self.agenda.after(self.die.uniform(1.0, 12.0) * HOUR, self._other, (letter, other))
        return None

    def _other(self, what: tuple[Letter, AnyCommand]) -> None:
        letter, other = what
        if letter.answer == "processed":
            self._send(("forged_other_payload", letter.system, other))

    def _older_version(self, letter: Letter) -> tuple[str, SystemId, AnyCommand] | None:
        command = letter.command
        if not isinstance(command, CountStock) or command.version is None:
            return None
        self._refs += 1
        old = msgspec.structs.replace(
            command, ref=f"old-{self._refs}", version=command.version - 1, counted=command.counted + 500
        )
        return "forged_older_version", letter.system, old


def _sku(command: CreateOrder | CountStock | AdjustStock) -> Sku:
    return command.lines[0].sku if isinstance(command, CreateOrder) else command.sku
