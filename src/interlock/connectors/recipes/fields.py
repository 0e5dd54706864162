"""Whether the fields that a rule makes are those that its action has: found out when the mapping is compiled, not at night."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from interlock.connectors.mapping_actions import ACTIONS, PARTS
from interlock.connectors.recipes.values import Changed, Choice, Each, First, ListOf, Object, Value
from interlock.connectors.recipes.wrong import Mistakes, Place

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "order.create": ("order_id", "channel", "placed_at", "lines"),
    "order.authorize": ("order", "ref", "amount"),
    "order.capture": ("order", "ref", "amount"),
    "order.void": ("order", "ref", "amount"),
    "order.cancel": ("order", "ref"),
    "reservation.hold": ("order", "ref"),
    "reservation.cancel": ("order", "ref"),
    "shipment.release": ("order",),
    "shipment.acknowledge": ("assignment",),
    "shipment.pack": ("assignment", "ref"),
    "shipment.confirm": ("assignment", "ref"),
    "shipment.reject": ("assignment", "ref", "reason"),
    "return.authorize": ("order", "ref", "lines"),
    "return.cancel": ("order", "ref", "return_ref"),
    "return.receive": ("order", "ref", "node", "lines"),
    "refund.issue": ("order", "ref", "amount"),
    "stock.adjust": ("sku", "node", "ref", "delta"),
    "stock.count": ("sku", "node", "ref", "counted"),
    "order.close": ("order",),
}
"""Without these fields every record of the action would be refused."""


def check_fields(action: Any, fields: Object, place: Place, mistakes: Mistakes) -> None:
    """Note an action that there is not, fields that it does not have, and fields that it needs."""
    if action is None:
        mistakes.missing((*place, "action"), "what the record asks for, or skip")
        return
    if action not in ACTIONS:
        mistakes.unknown((*place, "action"), str(action), ACTIONS, "an action")
        return
    _check(fields, ACTIONS[action][1], PARTS.get(action, {}), (*place, "fields"), mistakes)
    for name in NEEDED[action]:
        if name not in fields.fields:
            mistakes.missing((*place, "fields", name), f"where it comes from, which {action} needs")


def _check(value: Value, allowed: frozenset[str], parts: Mapping[str, Any], place: Place, mistakes: Mistakes) -> None:
    if isinstance(value, Object):
        for name, each in value.fields.items():
            if name not in allowed:
                mistakes.unknown((*place, name), name, allowed, "a field of the action")
            elif name in parts:
                inner_allowed, inner_parts = parts[name]
                _check(each, inner_allowed, inner_parts, (*place, name), mistakes)
    elif isinstance(value, Each):
        _check(value.value, allowed, parts, (*place, "fields"), mistakes)
    elif isinstance(value, Choice):
        _check(value.then, allowed, parts, (*place, "then"), mistakes)
        _check(value.otherwise, allowed, parts, (*place, "else"), mistakes)
    elif isinstance(value, First | ListOf):
        for at, each in enumerate(value.values):
            _check(each, allowed, parts, (*place, at), mistakes)
    elif isinstance(value, Changed):
        _check(value.value, allowed, parts, place, mistakes)
