"""THE table of reversals: for each action what undoes it, until when that is automated, and what to do instead after that.

A reversal is never an edit: it is compensating commands, decided like all others, whose entries stand beside what they undo.
What is undone is what a message *did* (its events, its movement of stock), not what it asked for. The page
`docs/reversals.md` is made from this table, and `operations/reversals.py` obeys it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from interlock.domain import reversal_makers as makers
from interlock.domain.commands import AnyCommand, HoldReservation
from interlock.domain.decision import Decision
from interlock.domain.events import UnitsBackordered, UnitsCanceled
from interlock.domain.reversal_makers import Deed, Scene

How = Literal["automated", "manual", "impossible", "done"]
Restored = Literal["units", "stock", "reserved", "money", "authorization"]
"""Where units stand, stock, what is reserved of it, what the customer paid, and what of the authorization is left."""


class Way(NamedTuple):
    """How it is undone at a standing: `by` which actions, and what follows (or what a person does instead)."""

    how: How
    by: str
    then: str


class Reversal(msgspec.Struct, frozen=True):
    """One action's row. `restores`: what is as it was before when an automated reversal is over; the history is longer."""

    restores: tuple[Restored, ...]
    standing: Callable[[Scene], str]
    commands: Callable[[Scene], list[AnyCommand]]
    ways: dict[str, Way]


_NEW_ORDER = "canceled units stay canceled, because their money may be on its way back: take a new order"
_CHARGE = "the money has gone: charge it anew outside, and tell with order.authorize and order.capture"
_ASK_NODE = (
    "ask the node by phone; if it can, it sends shipment.reject, and the units are open again (runbook cancel_too_late)"
)
_TAKE_BACK = "goods have left: return.authorize, and return.receive when they are back"

REVERSALS: dict[str, Reversal] = {
    "order.create": Reversal(
        ("stock", "reserved", "money", "authorization"),
        makers.standing_of_order,
        makers.cancel_order,
        {
            "not packed": Way(
                "automated",
                "order.cancel, refund.issue, order.void",
                "all units are canceled; what is captured goes back; the rest of the authorization is given up",
            ),
            "packed": Way("manual", "shipment.reject", _ASK_NODE),
            "shipped": Way("impossible", "", _TAKE_BACK),
            "overpaid": Way(
                "manual",
                "order.cancel",
                "more is captured than its units are worth: pay that back outside, then cancel",
            ),
            "canceled": Way("done", "", "no unit of it is left"),
            "restated": Way("impossible", "", "it told an order again that was known: its source tells it once more"),
        },
    ),
    "order.authorize": Reversal(
        ("units", "stock", "reserved", "money", "authorization"),
        makers.standing_of_authorization,
        makers.void_authorization,
        {
            "not captured": Way(
                "automated",
                "order.void, reservation.cancel, reservation.hold",
                "the amount is given up; what it released is taken back and held where it was, if the channel releases only"
                " what is authorized",
            ),
            "packed": Way(
                "manual", "order.void", f"goods that it released are packed or gone: {_ASK_NODE}; then void the amount"
            ),
            "captured": Way("manual", "refund.issue", "undo the capture first; what is captured cannot be given up"),
        },
    ),
    "order.capture": Reversal(
        ("units", "stock", "reserved", "money"),
        makers.standing_of_capture,
        makers.refund_capture,
        {
            "units came back": Way(
                "automated",
                "refund.issue",
                "the amount goes back, for as many canceled or returned units as it takes to be worth it",
            ),
            "goods are kept": Way(
                "manual",
                "refund.issue",
                "money goes back only for units that were canceled or returned: cancel them or take them back first",
            ),
        },
    ),
    "order.void": Reversal(
        ("units", "stock", "reserved", "money", "authorization"),
        makers.standing_of_void,
        makers.authorize_again,
        {
            "there is something to pay for": Way(
                "automated", "order.authorize", "the amount is authorized again, and what waited for it is released"
            ),
            "the order is over": Way("impossible", "", "there is nothing left to pay for"),
        },
    ),
    "reservation.hold": Reversal(
        ("units", "stock", "reserved"),
        makers.standing_of_hold,
        makers.take_back,
        {
            "not packed": Way(
                "automated",
                "reservation.cancel",
                "the units are open again; a node that was told to start is told not to; they are sourced again after the"
                " policy's backorder_retry_s, or by the next reservation.hold;"
                " what the policy canceled because no node had it stays canceled",
            ),
            "packed": Way("manual", "shipment.reject", _ASK_NODE),
            "shipped": Way("impossible", "", _TAKE_BACK),
            "not held": Way("done", "", "it holds nothing any more"),
        },
    ),
    "reservation.cancel": Reversal(
        ("units", "stock", "reserved"),
        makers.standing_of_taken_back,
        makers.hold_again,
        {
            "open": Way(
                "automated",
                "reservation.hold, shipment.release",
                "the units are held where they were, and released if they had been; refused if the node is left out or has"
                " no stock",
            ),
            "not open": Way("done", "", "the units were held again or canceled: undo that instead"),
        },
    ),
    "shipment.release": Reversal(
        ("units", "stock", "reserved"),
        makers.standing_of_release,
        makers.take_back_and_hold,
        {
            "not packed": Way(
                "automated",
                "reservation.cancel, reservation.hold",
                "the node is told not to start, and the units are held there again, unreleased; where the channel would"
                " release at once, they stay open until they are sourced again",
            ),
            "packed": Way("manual", "shipment.reject", _ASK_NODE),
            "shipped": Way("impossible", "", _TAKE_BACK),
            "not held": Way("done", "", "nothing of it is held any more"),
        },
    ),
    "shipment.acknowledge": Reversal(
        (),
        makers.always,
        makers.nothing,
        {
            "any": Way(
                "impossible",
                "",
                "the node has said so, and neither units nor stock nor money hang on it; if it was wrong, the node can"
                " still shipment.reject",
            )
        },
    ),
    "shipment.pack": Reversal(
        (),
        makers.standing_of_pack,
        makers.nothing,
        {
            "packed": Way("manual", "shipment.reject", _ASK_NODE),
            "not packed": Way("done", "", "they have left, or were rejected"),
        },
    ),
    "shipment.confirm": Reversal(
        (),
        makers.standing_of_shipment,
        makers.nothing,
        {
            "shipped": Way(
                "manual",
                "return.receive",
                "find out where the goods are; if they never left or are back, return.receive with disposition restock at"
                " the node, then refund or replace",
            ),
            "returned": Way("done", "", "its units came back"),
        },
    ),
    "shipment.reject": Reversal(
        ("stock",),
        makers.standing_of_reject,
        makers.stock_back,
        {
            "taken off stock": Way(
                "automated",
                "stock.adjust",
                "the units are stock of the node again; the order keeps its new nodes; the node is left out until the"
                " exclusion ends by time",
            ),
            "damaged": Way("manual", "stock.adjust", "count the SKU at the node, and correct it with stock.adjust"),
            "refused": Way("done", "", "no stock was taken off; the exclusion of the node ends by time"),
        },
    ),
    "order.cancel": Reversal((), makers.always, makers.nothing, {"any": Way("impossible", "", _NEW_ORDER)}),
    "return.authorize": Reversal(
        ("units", "stock", "reserved", "money"),
        makers.standing_of_return,
        makers.cancel_return,
        {
            "awaited": Way(
                "automated", "return.cancel", "what has not come is not awaited any more; what came stays returned"
            ),
            "received": Way("impossible", "", "the goods are back: send them again as a new order"),
            "canceled": Way("done", "", "nothing of it is awaited"),
        },
    ),
    "return.cancel": Reversal(
        (),
        makers.always,
        makers.nothing,
        {"any": Way("manual", "return.authorize", "authorize the return anew; a return's number is given once")},
    ),
    "return.receive": Reversal(
        (),
        makers.always,
        makers.nothing,
        {
            "any": Way(
                "manual",
                "stock.adjust",
                "the units stay returned; if the goods are not there, take them off with stock.adjust; if money went back:"
                f" {_CHARGE}",
            )
        },
    ),
    "refund.issue": Reversal((), makers.always, makers.nothing, {"any": Way("impossible", "", _CHARGE)}),
    "order.close": Reversal(
        (),
        makers.standing_of_close,
        makers.nothing,
        {
            "closed": Way("manual", "return.authorize", "closing hinders nothing: a return opens the order again"),
            "open again": Way("done", "", "it was opened again"),
        },
    ),
    "stock.adjust": Reversal(
        ("stock", "reserved"),
        makers.standing_of_adjustment,
        makers.adjust_back,
        {
            "any": Way("automated", "stock.adjust", "the same number of units the other way"),
            "no difference": Way("done", "", "it changed nothing"),
        },
    ),
    "stock.count": Reversal(
        ("stock", "reserved"),
        makers.standing_of_count,
        makers.adjust_back,
        {
            "newest count": Way("automated", "stock.adjust", "the difference that it made, the other way"),
            "counted since": Way("done", "", "a newer count has replaced it"),
            "no difference": Way("done", "", "it changed nothing"),
        },
    ),
}
"""By action, then by how what it did stands now."""


def way(scene: Scene) -> tuple[str, Way]:
    """How the deed stands, and the row of the table for it."""
    if not scene.deed.events and scene.deed.node is None:
        return "no effect", Way("done", "", "it changed nothing: there is nothing to undo")
    row = REVERSALS[scene.deed.action]
    standing = row.standing(scene)
    return standing, row.ways[standing]


def commands_for(scene: Scene) -> list[AnyCommand]:
    """The compensating commands, in the order in which they are decided; none where the table says that there are none."""
    _, row = way(scene)
    return REVERSALS[scene.deed.action].commands(scene) if row.how == "automated" else []


def shortfall(command: AnyCommand, decision: Decision) -> str:
    """Why a compensating command did not do what it was made for; "" where it did."""
    if decision.outcome != "processed":
        return decision.explanation or decision.reason or f"{command.action} came out as {decision.outcome}"
    missed = any(isinstance(event, UnitsBackordered | UnitsCanceled) for event in decision.events)
    if isinstance(command, HoldReservation) and missed:
        return f"{command.node} cannot hold the units again: it has none to sell, is left out, closed or full"
    return ""


def as_rows(action: str | None = None) -> list[dict[str, str]]:
    """The table as rows: action, standing, how, by, then; of one action or of all."""
    return [
        {"action": name, "standing": standing, "how": row.how, "by": row.by, "then": row.then}
        for name, reversal in REVERSALS.items()
        if action in (None, name)
        for standing, row in reversal.ways.items()
    ]


def as_markdown() -> str:
    """The table as the sections of docs/reversals.md."""
    lines = []
    for action, reversal in REVERSALS.items():
        lines += [f"### {action}", ""]
        if reversal.restores:
            lines += [f"An automated reversal restores: {', '.join(reversal.restores)}.", ""]
        lines += ["| what it did stands at | reversal | by | then |", "|---|---|---|---|"]
        for standing, row in reversal.ways.items():
            by = ", ".join(f"`{action}`" for action in row.by.split(", ") if action)
            lines.append(f"| {standing} | {row.how} | {by} | {row.then} |")
        lines.append("")
    return "\n".join(lines)


__all__ = [
    "REVERSALS",
    "Deed",
    "How",
    "Reversal",
    "Scene",
    "Way",
    "as_markdown",
    "as_rows",
    "commands_for",
    "shortfall",
    "way",
]
