"""What a recipe makes of a document: records with our field names, ready for the mapper."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from interlock.domain.sequences import Mark


class Made(NamedTuple):
    """One record of a document, or the word that it is nothing to do (`skipped` says why; then `action` is empty).

    `part` says which part of the document it is, where that became several; `mark` is a till's number of the document.
    `rule` is the place of the rule in the recipe.
    """

    action: str
    fields: dict[str, Any]
    part: str = ""
    skipped: str = ""
    mark: Mark | None = None
    rule: int = 0

    def body(self) -> bytes:
        """The record as JSON."""
        return msgspec.json.encode({"action": self.action, **self.fields}, decimal_format="string")  # type: ignore[call-arg]
