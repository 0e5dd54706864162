"""May this system decide the fact that its command would change, or only observe it?"""

from __future__ import annotations

from interlock.domain.commands import AnyCommand, AssignmentCommand, CreateOrder, StockCommand
from interlock.domain.errors import Refusal
from interlock.domain.estate import Estate, System
from interlock.domain.model import Order
from interlock.domain.values import SystemId

INTERLOCK = SystemId("interlock")
"""Ourselves: what time alone causes comes from here, by the same door as all else."""

_OFFICE = frozenset({"backoffice", "erp"})
"""Who oversees all nodes and channels."""

_FOR_OTHERS = _OFFICE | {"replenishment", "edi"}
"""Who tells of other systems' channels and nodes, because that is its trade."""

_OFFICE_ONLY = frozenset({"reservation.cancel"})
"""Actions on other systems' work: only who oversees all nodes may ask for them."""


def tells_for_others(system: System) -> bool:
    """Whether the system may tell orders of channels, and stock of nodes, that are another system's."""
    return system.kind in _FOR_OTHERS


def may(system: System, kind: type[AnyCommand]) -> bool:
    """Whether the estate lets the system ask for this kind of command."""
    return system.authority.get(kind.fact) == "decide" and (kind.action not in _OFFICE_ONLY or system.kind in _OFFICE)


def check(estate: Estate, system: SystemId, command: AnyCommand) -> None:
    """Raise Refusal, naming the rule, if the estate does not let the system decide this fact."""
    if system == INTERLOCK:
        return
    known = estate.systems.get(system)
    if known is None:
        raise Refusal("unknown_system", f"{system} is not a system of the estate")
    if known.authority.get(command.fact) != "decide":
        raise Refusal(
            "no_authority",
            f"systems.{system}.authority.{command.fact} is observe: {system} may not {command.action}",
        )
    if not may(known, type(command)):
        raise Refusal("no_authority", f"{command.action} is for systems of kind {' or '.join(sorted(_OFFICE))}")
    if not tells_for_others(known):
        _check_business(estate, known, command)


def _check_business(estate: Estate, system: System, command: AnyCommand) -> None:
    """A channel's orders are told by its own system, the stock of a node by the node's."""
    if isinstance(command, CreateOrder):
        channel = estate.channels.get(command.channel)
        if channel is not None and not _speaks_as(estate, system.id, channel.system, command):
            raise Refusal(
                "wrong_source", f"orders of channel {channel.id} are told by {channel.system}, not by {system.id}"
            )
    elif isinstance(command, StockCommand):
        node = estate.nodes.get(command.node)
        if node is not None and not _speaks_as(estate, system.id, node.system, command):
            raise Refusal("wrong_source", f"the stock of node {node.id} is told by {node.system}, not by {system.id}")


def _speaks_as(estate: Estate, system: SystemId, owner: SystemId, command: AnyCommand) -> bool:
    """Whether the system is the owner of what the command is about, or the other one of two masters."""
    if system == owner:
        return True
    pair = estate.pair_of(system, command.action)
    return pair is not None and owner in pair.systems


def check_assignment(estate: Estate, system: SystemId, command: AssignmentCommand, order: Order) -> None:
    """Raise Refusal if another system than the node's own (or the back office) speaks for its assignment."""
    if system == INTERLOCK or estate.systems[system].kind in _OFFICE:
        return
    assignment = order.assignments.get(command.assignment_no)
    if assignment is None:
        return
    if assignment.node not in estate.nodes:
        raise Refusal("unknown_node", f"node {assignment.node} is no longer in the estate: nobody speaks for it")
    speaker = estate.nodes[assignment.node].system
    if speaker != system:
        raise Refusal(
            "wrong_source",
            f"{order.order_id}/{command.assignment_no} is at node {assignment.node}, for which {speaker} speaks,"
            f" not {system}",
        )
