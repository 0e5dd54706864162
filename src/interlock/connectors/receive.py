"""Bytes and who sent them become an Arrival: identified, timed, traced, and read as far as it can be.

Receiving cannot fail on a bad document: what cannot be read arrives without a command and with the problem,
and is kept like everything else, so that somebody can look at it and the sender can be shown what was wrong.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import Final

from interlock.connectors.mapping import Mapper, MappingFailed, read_object
from interlock.contracts.json_text import depth_of as depth_of
from interlock.contracts.upcasters import UPCASTERS, command_label, label
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import Arrival, FieldError, Problem
from interlock.domain.estate import System
from interlock.engine.ids import new_message_id as new_message_id

JSON: Final = "application/json"


def receive(
    mapper: Mapper,
    system: System,
    action: str | None,
    body: bytes,
    *,
    content_type: str = JSON,
    idempotency_key: str | None = None,
    source_message_id: str | None = None,
    trace_id: str | None = None,
    record: str | None = None,
    version: int | None = None,
) -> Arrival:
    """One JSON body that came in now; without an action, the body names it itself.

    `version` is the version of our contract that it speaks, where that is not the current one: it is lifted to that first.
    The source's own id of the message is its idempotency key, where it has no other.
    """
    command: AnyCommand | None = None
    problem: Problem | None = None
    try:
        _refuse_depth(system, body)
        if version is None or action is None:
            command = mapper.read(system, action, body, idempotency_key=idempotency_key)
        else:
            lifted = UPCASTERS.upcast("command", action, version, read_object(body))
            command = mapper.command(system, action, lifted, idempotency_key=idempotency_key)
    except MappingFailed as failed:
        problem = failed.problem
    return Arrival(
        message_id=new_message_id(),
        system=system.id,
        received_at=datetime.now(UTC),
        body=body,
        content_type=content_type,
        command=command,
        problem=problem,
        source_message_id=source_message_id or idempotency_key,
        trace_id=trace_id,
        record=record,
        contract=_contract(command.action if command is not None else action, version),
    )


def _contract(action: str | None, version: int | None) -> str | None:
    if not action:
        return None
    return command_label(action) if version is None else label(action, version)


def _refuse_depth(system: System, body: bytes) -> None:
    depth_max = system.limits.depth_max
    # Fewer brackets than levels, as in almost all bodies: nothing to count.
    if body.count(b"[") + body.count(b"{") <= depth_max or (depth := depth_of(body)) <= depth_max:
        return
    expected = f"at most {depth_max} levels (limits.depth_max of {system.id} in the estate)"
    raise MappingFailed([FieldError("", f"nested {depth} levels deep", expected)])


_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def trace_id_of(traceparent: str | None) -> str:
    """The trace's id from a W3C `traceparent` header; a new one where there is none, or none that can be
    read.
    """
    found = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
    if found and found[1] != "0" * 32:
        return found[1]
    return os.urandom(16).hex()
