"""What answers look like, for the API's description. What bodies look like, their contracts say: `contracts/released`."""

from __future__ import annotations

import msgspec

from interlock.domain.decision import OutcomeWord
from interlock.storage.story import Step


class CloseException(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An exception that is over, and how that was seen."""

    subject: str
    exception_id: str
    evidence: str


class Answer(msgspec.Struct, kw_only=True):
    """What became of a command. What the action itself answers stands beside these fields."""

    outcome: OutcomeWord
    message_id: str
    replayed: bool
    order_id: str = ""
    state: str = ""
    seq: int = 0
    reason: str = ""
    waits_for: str = ""


class Story(msgspec.Struct):
    """Everything that happened to an order, in time order."""

    identifier: str
    steps: list[Step]
