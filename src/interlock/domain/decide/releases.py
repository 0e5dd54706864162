"""Telling nodes: what a release and its cancellation say. Used by every action that lets units go or takes them back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from interlock.domain.commands import LineUnits
from interlock.domain.decision import Draft, Notice
from interlock.domain.events import AssignmentReleased
from interlock.domain.model import Assignment, Order

_encode = msgspec.json.Encoder(decimal_format="string").encode


def release_allocated(draft: Draft, only: int | None = None) -> int:
    """Release the assignments that hold allocated units (or only that one); gives how many were released."""
    order = draft.order
    ready = {r.assignment_no for r in order.reservations.values() if r.allocated}
    if only is not None:
        ready &= {only}
    for number in sorted(ready):
        draft.record(AssignmentReleased(assignment_no=number, at=draft.world.now))
        assignment = order.assignments[number]
        system = draft.world.estate.systems[draft.world.estate.nodes[assignment.node].system]
        draft.decision.notices.append(
            Notice(
                receiver=system.id,
                message="shipment.release",
                assignment_no=number,
                seq=order.seq,
                body=_encode(_release(draft, assignment)),
                answer_within_s=system.ack_within_s,
            )
        )
    return len(ready)


def take_back(draft: Draft, assignment_no: int, units: Sequence[LineUnits]) -> None:
    """Tell the node not to ship these units of what it was told to ship."""
    order = draft.order
    assignment = order.assignments[assignment_no]
    draft.decision.notices.append(
        Notice(
            receiver=draft.world.estate.nodes[assignment.node].system,
            message="shipment.cancel",
            assignment_no=assignment_no,
            seq=order.seq,
            body=_encode(
                {
                    **_head(order, assignment, "shipment.cancel"),
                    "lines": [
                        {"line_no": u.line_no, "sku": order.lines[u.line_no].sku, "quantity": u.quantity} for u in units
                    ],
                    "at": draft.world.now,
                }
            ),
            answer_within_s=None,
        )
    )


def _release(draft: Draft, assignment: Assignment) -> dict[str, object]:
    order = draft.order
    return {
        **_head(order, assignment, "shipment.release"),
        "number": order.number,
        "fulfillment": order.fulfillment,
        "destination": order.destination,
        **({"recipient": order.recipient} if order.recipient is not None else {}),
        "pickup_node": order.pickup_node,
        "lines": [
            {
                "line_no": held.line_no,
                "sku": held.sku,
                "quantity": held.released,
                "uom": order.lines[held.line_no].uom,
            }
            for held in order.held_at(assignment.assignment_no)
            if held.released
        ],
        "released_at": draft.world.now,
    }


def _head(order: Order, assignment: Assignment, message: str) -> dict[str, object]:
    return {
        "message": message,
        "id": f"{order.order_id}/{order.seq}/{assignment.assignment_no}",
        "assignment": f"{order.order_id}/{assignment.assignment_no}",
        "order": order.order_id,
        "node": assignment.node,
    }
