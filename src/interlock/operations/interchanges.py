"""What a person does with interchanges: look, send one again as it was, or send its messages in another one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from interlock.domain.errors import InvalidValue
from interlock.domain.values import OrderId, SystemId
from interlock.storage import interchanges, outbox
from interlock.storage.database import Database, Transaction
from interlock.storage.interchanges import JsonObject


def interchanges_of(
    db: Database, system: str | None = None, *, is_open: bool = False, limit: int = interchanges.LISTED_MAX
) -> list[JsonObject]:
    """Interchanges with a system, or with all, the newest first; `is_open`: only those that are not over yet."""
    return db.transaction(lambda tx: interchanges.list_many(tx, system, is_open=is_open, limit=limit))


def interchange(db: Database, system: SystemId, control: str) -> list[JsonObject]:
    """Everything about a control number of a system, in both directions. Raises InvalidValue where there is nothing."""
    found = db.transaction(lambda tx: interchanges.show_many(tx, system, control))
    if not found:
        raise InvalidValue("control", control, f"a control number of an interchange with {system}")
    return found


def resend(db: Database, system: SystemId, control: str, now: datetime) -> JsonObject:
    """The interchange goes to the system once more, byte for byte, under its number: for what was lost on the way.

    Raises InvalidValue where nothing can go again under that number.
    """
    found = db.transaction(lambda tx: interchanges.resend(tx, system, _number(control), now))
    if found is None:
        expected = (
            f"the control number of something that was sent to {system}; what waits for its first delivery goes by itself, and "
            "what was given up goes by `interlock redeliver`"
        )
        raise InvalidValue("control", control, expected)
    return found


def send_anew(db: Database, system: SystemId, control: str, now: datetime) -> int:
    """The messages of an interchange go once more, in another one, as the mapping writes them now; gives how many.

    Those in sets that the system rejected or, where it has rejected none, all of them. Raises InvalidValue.
    """

    def again(tx: Transaction) -> int:
        found = interchanges.show_many(tx, system, control)
        ours = [each for each in found if each["direction"] == "out" and each["kind"] == "messages"]
        if not ours:
            raise InvalidValue("control", control, f"the control number of messages that were sent to {system}")
        sets: list[dict[str, Any]] = ours[0]["contents"]
        rejected = [each for each in sets if each.get("state") == "rejected"]
        wanted = [(OrderId(each["subject"]), each["message"]) for each in rejected or sets]
        if not rejected:
            interchanges.stop_waiting(tx, system, ours[0]["interchange_id"])
        return outbox.begin_again_many(tx, system, wanted, now=now)

    return db.transaction(again)


def _number(control: str) -> int:
    if not (control.isascii() and control.isdigit() and len(control) <= 9):
        raise InvalidValue("control", control, "a control number of ours: up to nine digits")
    return int(control)
