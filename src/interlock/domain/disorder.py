"""THE matrix: what becomes of every action in every disorder. The tests play each cell; docs/disorder.md is made from it.

A disorder has a default, which counts for all actions but those that are named under it. An outcome is that of the disordered
message itself. What the estate may set otherwise (`updates`, `parking`, `early_cancel`) stands at its default, except where a
cell says so.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from interlock.domain.commands import COMMANDS

Settled = Literal["processed", "duplicate", "stale", "parked", "conflict", "refused", "quarantined"]


class Cell(NamedTuple):
    """What becomes of the message, why, and its code: the reason of what is refused or stale, what a parked one waits for."""

    outcome: Settled
    because: str
    code: str = ""


class Disorder(NamedTuple):
    """One way in which a message can come wrongly: what it means, what becomes of it, and of which actions something else."""

    meaning: str
    default: Cell
    others: dict[str, Cell]


_ORDER_ONLY = "it needs nothing but the order"
_NO_ORDER = "stock has no order: "
_GONE = Cell("refused", "the goods have left: authorize a return instead", "too_late")
_MANY = Cell("processed", "only these units; the others stay as they are")
_SOME_MONEY = Cell("processed", "only this amount; the rest may follow")
_SPEAKS = Cell("refused", "only the system of the assignment's node, or the back office, speaks for it", "wrong_source")
_OWN_STOCK = Cell("refused", "the stock of a node is told by the node's own system", "wrong_source")
_TOLD_MORE = Cell("stale", "the goods have told more already", "shipped")
_BACK_OFFICE = Cell("refused", "only who oversees all nodes may take units back from them", "no_authority")

DISORDERS: dict[str, Disorder] = {
    "twice_at_once": Disorder(
        "The same request twice in the same moment: two clicks, two threads, one batch.",
        Cell("duplicate", "the ledger knows the key; the second gets the answer of the first"),
        {},
    ),
    "twice_after_days": Disorder(
        "The same request again after days, when everything else has gone on.",
        Cell("duplicate", "the ledger does not forget: the first answer again, byte for byte"),
        {},
    ),
    "same_key_other_payload": Disorder(
        "The same action and key, and something else in it.",
        Cell("conflict", "two statements under one name: a person decides, and nothing changes"),
        {},
    ),
    "before_its_precondition": Disorder(
        "The order is there (for stock: the node), and what the action builds on is not yet.",
        Cell("processed", _ORDER_ONLY),
        {
            "order.create": Cell("processed", "nothing comes before an order"),
            "order.capture": Cell("parked", "money that was not authorized yet cannot be captured", "authorization"),
            "order.void": Cell("parked", "there is nothing yet that could be given up", "authorization"),
            "order.close": Cell(
                "refused", "units are open or held; Interlock closes when it is settled", "not_settled"
            ),
            "reservation.hold": Cell("processed", "no node has the units: they stay open, and are tried again"),
            "reservation.cancel": Cell("refused", "no node holds a unit that could be taken back", "not_held"),
            "shipment.release": Cell("parked", "no node holds a unit yet that could be released", "allocation"),
            "shipment.acknowledge": Cell("parked", "it answers a release that we have not sent yet", "release"),
            "shipment.pack": Cell("processed", "goods moved: believed, though the node was not told to start"),
            "shipment.confirm": Cell("processed", "goods moved: believed, with exception `shipped_without_release`"),
            "shipment.reject": Cell("processed", "the node cannot: better known before it was told to start"),
            "return.authorize": Cell("parked", "what has not left cannot come back", "shipment"),
            "return.cancel": Cell("parked", "the return that it ends is not known yet", "return"),
            "return.receive": Cell("parked", "the return that it names is not known yet", "return"),
            "refund.issue": Cell("parked", "no unit was canceled or came back yet", "return"),
            "stock.adjust": Cell("processed", _NO_ORDER + "a SKU that was never counted begins at nothing"),
            "stock.count": Cell("processed", _NO_ORDER + "a count is where a position begins"),
        },
    ),
    "after_the_state_moved_on": Disorder(
        "A request of its own (another key) that comes when what it speaks of is over.",
        _TOLD_MORE,
        {
            "order.create": Cell("duplicate", "an order has one key, its id: the first answer again"),
            "order.authorize": Cell("processed", "money is a fact, whenever it comes"),
            "order.capture": Cell("processed", "money is a fact, whenever it comes"),
            "order.void": Cell("refused", "what is captured cannot be given up: refund it", "over_voided"),
            "order.cancel": _GONE,
            "order.close": Cell("refused", "a return is on its way", "not_settled"),
            "reservation.hold": Cell("stale", "no unit is open", "released"),
            "reservation.cancel": _GONE,
            "shipment.confirm": Cell(
                "stale", "the node holds nothing more; units named: `over_shipped`", "nothing_held"
            ),
            "return.authorize": Cell("refused", "all units came back already", "not_shipped"),
            "return.cancel": Cell("stale", "all that was awaited has come", "nothing_due"),
            "return.receive": Cell(
                "refused",
                "all units came back already; what stands on the dock is shown to a person",
                "unexpected_return",
            ),
            "refund.issue": Cell("refused", "a unit is refunded once", "not_returned"),
            "stock.adjust": Cell("processed", _NO_ORDER + "a change counts, also after a count"),
            "stock.count": Cell("processed", _NO_ORDER + "the last to arrive counts, where no version says otherwise"),
        },
    ),
    "older_version": Disorder(
        "The source numbers its updates (`updates: numbered`), and a newer one was applied before.",
        Cell("processed", "it states a change, not a whole: a newer one does not take its place"),
        {
            "order.create": Cell(
                "stale", "the newest statement of the order counts; this one is kept", "older_version"
            ),
            "stock.count": Cell(
                "stale", "the newest count counts, under whatever key; this one is kept", "older_version"
            ),
        },
    ),
    "after_close": Disorder(
        "The order is closed.",
        _TOLD_MORE,
        {
            "order.create": Cell("duplicate", "an order has one key, its id: the first answer again"),
            "order.authorize": Cell("processed", "money is a fact, whenever it comes; the order stays closed"),
            "order.capture": Cell("processed", "money is a fact, whenever it comes; the order stays closed"),
            "order.void": Cell("processed", "what was not captured may be given up; the order stays closed"),
            "order.cancel": _GONE,
            "order.close": Cell("stale", "already closed", "closed"),
            "reservation.hold": Cell("stale", "no unit is open", "closed"),
            "reservation.cancel": _GONE,
            "shipment.release": Cell("stale", "already released", "closed"),
            "shipment.confirm": Cell(
                "stale", "the node holds nothing more; units named: `over_shipped`", "nothing_held"
            ),
            "return.authorize": Cell("processed", "the order is opened again"),
            "return.cancel": Cell("stale", "a closed order awaits no return", "nothing_due"),
            "return.receive": Cell("processed", "goods came back: the order is opened again"),
            "refund.issue": Cell("processed", "units that were canceled are refunded; the order stays closed"),
            "stock.adjust": Cell("processed", _NO_ORDER + "it is never closed"),
            "stock.count": Cell("processed", _NO_ORDER + "it is never closed"),
        },
    ),
    "half_of_it": Disorder(
        "It names some of the units, the money or the parts only.",
        _MANY,
        {
            "order.create": Cell(
                "conflict", "told again with a line less: a person decides (or `updates` in the estate)"
            ),
            "order.authorize": Cell("processed", "only this amount; the order waits for the rest"),
            "order.capture": _SOME_MONEY,
            "order.void": _SOME_MONEY,
            "order.close": Cell("refused", "half of it has left, the other half has not", "not_settled"),
            "shipment.release": Cell("processed", "only this assignment; the other waits"),
            "shipment.acknowledge": Cell("processed", "only this assignment; the other's clock runs on"),
            "return.cancel": Cell("processed", "half has come: the other half is not awaited any more"),
            "refund.issue": Cell("processed", "only these units, and what they cost at most"),
            "stock.adjust": Cell("processed", _NO_ORDER + "one node; the others stay as they are"),
            "stock.count": Cell("processed", _NO_ORDER + "one node was counted; the others stay as they are"),
        },
    ),
    "cut_off": Disorder(
        "The bytes end before the message does.",
        Cell("quarantined", "kept whole, with what is wrong with it; half a message is never half done"),
        {},
    ),
    "unknown_order": Disorder(
        "Nobody has ever told us of the order (or, for stock, of the SKU).",
        Cell("parked", "it waits for the order, and goes on in the transaction that creates it"),
        {
            "order.create": Cell("processed", "that is how an order becomes known"),
            "stock.adjust": Cell("processed", _NO_ORDER + "a new SKU begins at nothing"),
            "stock.count": Cell("processed", _NO_ORDER + "a new SKU begins with its count"),
        },
    ),
    "wrong_source": Disorder(
        "Another system says it than the one whose business it is, though it may decide such facts elsewhere.",
        Cell("processed", "authority is by fact: who may decide it is believed"),
        {
            "order.create": Cell("refused", "a channel's orders are told by its own system", "wrong_source"),
            "stock.adjust": _OWN_STOCK,
            "stock.count": _OWN_STOCK,
            "reservation.cancel": _BACK_OFFICE,
            "shipment.acknowledge": _SPEAKS,
            "shipment.pack": _SPEAKS,
            "shipment.confirm": _SPEAKS,
            "shipment.reject": _SPEAKS,
        },
    ),
    "no_authority": Disorder(
        "It comes from a system that may only observe the fact.",
        Cell("refused", "shown to a person, with the rule; the key stays free for who may", "no_authority"),
        {},
    ),
    "clock_ahead": Disorder(
        "The source's clock is a year ahead (`updates: timed`).",
        Cell("processed", "the order of events is that of arrival; no later message is held up by it"),
        {
            "order.create": Cell("processed", "it counts as told now, so that the next statement is newer"),
            "stock.count": Cell("processed", "it counts as told now, so that the next count is newer"),
        },
    ),
    "clock_behind": Disorder(
        "The source's clock is a year behind (`updates: timed`), and was right before.",
        Cell("processed", "it states a change: the order of events is that of arrival"),
        {
            "order.create": Cell("stale", "by its own clock it is older than what was applied", "older_version"),
            "stock.count": Cell("stale", "by its own clock it is older than what was applied", "older_version"),
        },
    ),
    "resent_after_downtime": Disorder(
        "One of us was away, and the source sends all of its last hours again, from the first to the last.",
        Cell("duplicate", "each of them is known by its key: the first answers again"),
        {},
    ),
    "same_fact_two_message_ids": Disorder(
        "The same fact in two messages, each with an id of its own: two feeds, or a retry that makes new ids.",
        Cell("duplicate", "a fact is known by its own key, not by the id of the message that brings it"),
        {},
    ),
    "same_message_id_two_systems": Disorder(
        "Two systems number their messages alike.",
        Cell("processed", "a message's id is its source's own: two sources never meet"),
        {},
    ),
}


def cell(action: str, disorder: str) -> Cell:
    """What becomes of this action in this disorder. Raises KeyError for what is not in the matrix."""
    if action not in COMMANDS:
        raise KeyError(f"{action} is no action: known are {', '.join(COMMANDS)}")
    row = DISORDERS[disorder]
    return row.others.get(action, row.default)


def as_markdown() -> str:
    """The matrix as one table, and a section with the reasons for each disorder."""
    titles = {name: name.replace("_", " ") for name in DISORDERS}
    lines = [
        "| action | " + " | ".join(f"[{title}](#{title.replace(' ', '-')})" for title in titles.values()) + " |",
        "|---" * (1 + len(titles)) + "|",
    ]
    for action in COMMANDS:
        lines.append(f"| `{action}` | " + " | ".join(_shown(cell(action, name)) for name in DISORDERS) + " |")
    for name, row in DISORDERS.items():
        lines += ["", f"### {titles[name]}", "", row.meaning, "", "| action | then | because |", "|---|---|---|"]
        lines += [
            f"| `{action}` | {_shown(other)} | {other.because} |"
            for action in COMMANDS
            if (other := row.others.get(action)) is not None
        ]
        rest = "all others" if row.others else "all"
        lines.append(f"| {rest} | {_shown(row.default)} | {row.default.because} |")
    return "\n".join(lines) + "\n"


def _shown(shown: Cell) -> str:
    return f"{shown.outcome} (`{shown.code}`)" if shown.code else shown.outcome
