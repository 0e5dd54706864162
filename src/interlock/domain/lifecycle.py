"""THE table: what happens to an action, by how far what it is about has come. `docs/lifecycle.md` is made from it.

The standing of an order is its derived state; of an assignment, the state of its units. `unknown` means that we have never
heard of the order. A verdict of "accept" lets the action's own function decide on units and money.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from interlock.domain.errors import Refusal
from interlock.domain.model import State

Verdict = Literal["accept", "park", "stale", "refuse"]


class Rule(NamedTuple):
    """What to do, and why: the reason is a stable code for "refuse", and what is waited for with "park" (else the order)."""

    verdict: Verdict
    reason: str
    because: str


UNKNOWN = "unknown"
NO_ASSIGNMENT = "no assignment"

ORDER_STANDINGS = (UNKNOWN, *(str(state) for state in State))
ASSIGNMENT_STANDINGS = (UNKNOWN, NO_ASSIGNMENT, "allocated", "released", "packed", "shipped", "canceled")


def _table(standings: tuple[str, ...], *rows: tuple[str, Verdict, str, str]) -> dict[str, Rule]:
    table = {standing: Rule("accept", "", "") for standing in standings}
    for names, verdict, reason, because in rows:
        for name in names.split(", "):
            if name not in table:
                raise ValueError(f"{name} is not one of {standings}")
            table[name] = Rule(verdict, reason, because)
    return table


_WAIT: tuple[str, Verdict, str, str] = ("unknown", "park", "", "waits for order.create")

ARRIVALS: dict[str, dict[str, Rule]] = {
    "order.create": _table(
        ORDER_STANDINGS,
        (", ".join(ORDER_STANDINGS[1:]), "stale", "", "the order is known; the ledger answers most of these before"),
    ),
    "order.authorize": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("canceled, refunded", "refuse", "order_over", "there is nothing left to pay for"),
    ),
    "order.capture": _table(ORDER_STANDINGS, _WAIT),
    "order.void": _table(ORDER_STANDINGS, _WAIT),
    "reservation.hold": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("allocated, released, packed, shipped, canceled, returned, refunded, closed", "stale", "", "no unit is open"),
    ),
    "reservation.cancel": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("packed", "refuse", "too_late", "the units are packed: their node may reject them"),
        (
            "shipped, returned, refunded, closed",
            "refuse",
            "too_late",
            "the goods have left: authorize a return instead",
        ),
        ("canceled", "stale", "", "no unit is held"),
    ),
    "shipment.release": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("released, packed, shipped, returned, refunded, closed", "stale", "", "already released"),
        ("canceled", "refuse", "order_over", "nothing is left to release"),
    ),
    "shipment.acknowledge": _table(
        ASSIGNMENT_STANDINGS,
        _WAIT,
        (NO_ASSIGNMENT, "refuse", "no_assignment", "the order has no such assignment"),
        ("allocated", "park", "release", "waits for the release that it answers"),
        ("packed, shipped, canceled", "stale", "", "the goods have told more than the acknowledgment would"),
    ),
    "shipment.pack": _table(
        ASSIGNMENT_STANDINGS,
        _WAIT,
        (NO_ASSIGNMENT, "refuse", "no_assignment", "the order has no such assignment"),
        ("packed, shipped", "stale", "", "already packed"),
        ("canceled", "refuse", "assignment_over", "its units were canceled or given to another node"),
    ),
    "shipment.confirm": _table(
        ASSIGNMENT_STANDINGS,
        _WAIT,
        (NO_ASSIGNMENT, "refuse", "no_assignment", "the order has no such assignment"),
        ("allocated", "accept", "", "goods left without a release: exception shipped_without_release"),
        ("released", "accept", "", "implies the acknowledgment, whose clock stops; a late one will be stale"),
        (
            "shipped",
            "accept",
            "",
            "units that we had canceled: exception shipped_after_cancel; none left: stale, exception over_shipped",
        ),
        ("canceled", "accept", "", "goods left after we canceled: exception shipped_after_cancel"),
    ),
    "shipment.reject": _table(
        ASSIGNMENT_STANDINGS,
        _WAIT,
        (NO_ASSIGNMENT, "refuse", "no_assignment", "the order has no such assignment"),
        ("shipped, canceled", "stale", "", "no unit is held there"),
    ),
    "order.cancel": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("canceled", "stale", "", "already canceled"),
        (
            "shipped, returned, refunded, closed",
            "refuse",
            "too_late",
            "the goods have left: authorize a return instead",
        ),
    ),
    "return.authorize": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("canceled", "refuse", "not_shipped", "nothing was shipped that could come back"),
    ),
    "return.cancel": _table(ORDER_STANDINGS, _WAIT),
    "return.receive": _table(
        ORDER_STANDINGS,
        _WAIT,
        (
            "canceled",
            "refuse",
            "unexpected_return",
            "nothing was shipped that could come back; goods may stand on the dock, so a person is shown",
        ),
    ),
    "refund.issue": _table(ORDER_STANDINGS, _WAIT),
    "order.close": _table(
        ORDER_STANDINGS,
        _WAIT,
        ("closed", "stale", "", "already closed"),
        (
            "created, authorized, allocated, released, packed",
            "refuse",
            "not_settled",
            "units are open or held: ship or cancel them first",
        ),
    ),
}
"""By action and standing. The stock actions have no lifecycle: they are always accepted."""


def verdict(action: str, standing: str) -> Rule:
    """The row for an action at this standing. Raises Refusal where the verdict is to refuse."""
    rule = ARRIVALS[action][standing]
    if rule.verdict == "refuse":
        raise Refusal(rule.reason, f"{action} on {standing}: {rule.because}")
    return rule


def as_markdown() -> str:
    """The table as the sections of docs/lifecycle.md."""
    lines = []
    for action, table in ARRIVALS.items():
        lines += [f"### {action}", "", "| it stands at | then | because |", "|---|---|---|"]
        lines += [
            f"| {standing} | {rule.verdict}{f' (`{rule.reason}`)' if rule.reason else ''} | {rule.because} |"
            for standing, rule in table.items()
        ]
        lines.append("")
    return "\n".join(lines)
