"""Records to commands: the system's words, SKUs, nodes and zones become ours, or every mistake is named.

    mapper = Mapper(estate)
    command = mapper.read(system, "order.create", body)         # JSON bytes
    command = mapper.command(system, "stock.count", record)     # a record made of a file's rows

Both raise `MappingFailed`, whose `errors` hold all mistakes of the record, each with the path to the field,
what it held and what was expected. The same facts always give an equal command, so that its payload hash
tells a repetition from a conflict.

Which fields an action has is in `mapping_actions.py`, how single values are read in `mapping_fields.py`, how
the traps of JSON are closed in `mapping_json.py`. The bodies that come most, and have nothing out of the ordinary,
are read by `mapping_fast.py`, to the same command.
"""

from __future__ import annotations

from collections.abc import Mapping

from interlock.connectors.mapping_actions import ACTIONS
from interlock.connectors.mapping_errors import UNREADABLE, MappingFailed, show, suggestion
from interlock.connectors.mapping_fast import QuickReader
from interlock.connectors.mapping_fields import Form
from interlock.connectors.mapping_json import read_object
from interlock.connectors.mapping_orders import create_order
from interlock.connectors.mapping_sender import Sender
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import FieldError
from interlock.domain.estate import Estate, System
from interlock.domain.values import SystemId

__all__ = ["UNREADABLE", "Mapper", "MappingFailed", "read_object"]


class Mapper:
    """Reads the records of all systems of an estate. Safe to share between threads."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self._readers: dict[SystemId, QuickReader] = {}

    def read(
        self, system: System, action: str | None, body: bytes, *, idempotency_key: str | None = None
    ) -> AnyCommand:
        """The command that a JSON body asks for; without an action, the body names it in its field `action`.

        Raises MappingFailed: for bytes that are no JSON object (not UTF-8, malformed, NaN, a key twice ...)
        with one error, else with all mistakes of its fields.
        """
        quick = self._quick(system).read(action, body, idempotency_key)
        if quick is not None:
            return quick
        return self.command(system, action, read_object(body), idempotency_key=idempotency_key)

    def command(
        self,
        system: System,
        action: str | None,
        record: Mapping[str, object],
        *,
        idempotency_key: str | None = None,
        local_times: bool = False,
    ) -> AnyCommand:
        """The command that a record asks for; `local_times` takes times without an offset to be in the
        system's zone.

        The Idempotency-Key stands in for a `ref` that the record does not give. Raises MappingFailed.
        """
        if action is None:
            named, record = record.get("action"), {k: v for k, v in record.items() if k != "action"}
            if not isinstance(named, str):
                raise MappingFailed([FieldError("action", show(named) if named else "", "the name of an action")])
            action = named
        known = ACTIONS.get(action)
        if known is None:
            expected = f"an action{suggestion(action, ACTIONS)}; known are {', '.join(ACTIONS)}"
            raise MappingFailed([FieldError("action", show(action), expected)])
        build, allowed = known
        errors: list[FieldError] = []
        form = Form(self._quick(system).sender, record, allowed, errors, local_times=local_times)
        if idempotency_key and build is not create_order and not form.given("ref"):
            form.record = {**record, "ref": idempotency_key}
        command = build(form)
        if errors:
            raise MappingFailed(errors)
        return command

    def record(self, system: System, action: str, record: Mapping[str, object]) -> AnyCommand:
        """The command that a record asks for that a recipe has made; local times in it are in the system's zone, amounts without
        a currency in the system's own. Raises MappingFailed.
        """
        if action == "order.create" and not record.get("currency"):
            record = {**record, "currency": system.currency}
        quick = self._quick(system).record(action, record)
        return quick if quick is not None else self.command(system, action, record, local_times=True)

    def _quick(self, system: System) -> QuickReader:
        reader = self._readers.get(system.id)
        if reader is None or reader.sender.system is not system:
            reader = self._readers[system.id] = QuickReader(Sender(self.estate, system))
        return reader
