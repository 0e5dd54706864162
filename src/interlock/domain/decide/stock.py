"""stock.adjust and stock.count: what outside systems know of our stock."""

from __future__ import annotations

from interlock.domain.commands import AdjustStock, CountStock, StockCommand
from interlock.domain.decision import Draft
from interlock.domain.errors import Refusal
from interlock.domain.values import Quantity


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
    draft.move("count", command.sku, command.node, f"count/{command.ref}", physical=difference)
    _tell(draft, command, difference)


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
