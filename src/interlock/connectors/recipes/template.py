"""A compiled mapping for what goes out: our messages to documents, which a format's writer writes.

tree = template.document(message)      # None: no rule holds, so nothing is sent
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from interlock.connectors.formats.document import Document, Tree
from interlock.connectors.mapping_errors import MappingFailed, show
from interlock.connectors.recipes.conditions import Holds
from interlock.connectors.recipes.following import Getter
from interlock.connectors.recipes.scopes import Scope
from interlock.connectors.recipes.wrong import Unfit
from interlock.domain.decision import FieldError


class Message(NamedTuple):
    """One rule: which messages it is for, and the document that they become (None: nothing is sent)."""

    holds: Holds | None
    make: Getter | None


class Template:
    """What a mapping makes of our messages. Safe to share between threads."""

    def __init__(self, name: str, rules: Sequence[Message]) -> None:
        self.name = name
        self._rules = tuple(rules)

    def document(self, message: Mapping[str, Any]) -> Tree | None:
        """The document that a message becomes by the first rule that holds; None where nothing is to be sent.

        Shapes are told in `shapes.py`. Raises MappingFailed for a value that the mapping cannot take.
        """
        kind = str(message.get("message", ""))
        scope = Scope(dict(message), None, 0, "", Document(kind, "", message, b""))
        for rule in self._rules:
            try:
                if rule.holds is None or rule.holds(scope):
                    return None if rule.make is None else rule.make(scope)
            except Unfit as unfit:
                raise MappingFailed([FieldError(kind, show(unfit.value), unfit.expected)]) from None
        return None
