"""stock.adjust and stock.count: what outside systems know of our stock."""

from __future__ import annotations

from interlock.domain.commands import AdjustStock, CountStock, StockCommand
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.values import Quantity
from interlock.domain.versions import fact_of, standing


def adjust(draft: Draft, command: AdjustStock) -> None:
    """The stock changed by so many units. docs/lifecycle.md#stockadjust"""
    _check(draft, command)
    draft.move("adjust", command.sku, command.node, f"adjust/{command.ref}", physical=command.delta)
    _tell(draft, command, command.delta)


def count(draft: Draft, command: CountStock) -> None:
    """There are so many units, held ones included: the difference becomes a movement. docs/lifecycle.md#stockcount"""
    _check(draft, command)
    position = draft.world.position(command.sku, command.node)
    difference = command.counted - position.physical
    world, cause = draft.world, f"count/{command.ref}"
    system, key = world.estate.systems.get(draft.system), (command.sku, fact_of(command), draft.system)
    if system is not None and system.updates == "restated":
        cause = f"{cause}/{world.now.isoformat()}/{command.counted}"  # one key may state many counts
    number, how_old = standing(system, command, world.now, world.newest.get(key)) if system else (None, "unknown")
    if number is not None:
        match how_old:
            case "older":
                draft.decision.outcome, draft.decision.reason = "stale", "older_version"
                draft.decision.explanation = f"{draft.system} has counted {command.sku} at {command.node} again since"
                return
            case "same":
                _twice_the_same(draft, command, difference)
                return
            case _:
                draft.supersede(key, number)
                cause = f"{cause}/{number}"
    draft.move("count", command.sku, command.node, cause, physical=difference)
    _tell(draft, command, difference)


def _twice_the_same(draft: Draft, command: CountStock, difference: Quantity) -> None:
    """The version that was applied last, under another name or with another payload."""
    decision = draft.decision
    decision.reason = "same_version"
    if not difference:
        decision.outcome, decision.explanation = "stale", "it restates what is known"
        return
    decision.outcome = "conflict"
    decision.explanation = f"{draft.system} has told two counts of {command.sku} at {command.node} as the same version"
    draft.trouble("conflict", f"{command.action}/{command.key}", decision.explanation)


def _check(draft: Draft, command: StockCommand) -> None:
    if command.node not in draft.world.estate.nodes:
        raise Refusal("unknown_node", f"node {command.node} is not in the estate", "node")


def _tell(draft: Draft, command: StockCommand, change: Quantity) -> None:
    position = draft.world.position(command.sku, command.node)
    draft.decision.answer = {
        "sku": command.sku,
        "node": command.node,
        "change": change,
        "physical": position.physical,
        "sellable": position.sellable,
    }
