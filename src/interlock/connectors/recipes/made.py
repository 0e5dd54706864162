"""What a recipe makes of a document: records with our field names, ready for the mapper."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from interlock.connectors.mapping_errors import MappingFailed
from interlock.domain.sequences import Mark

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Made(NamedTuple):
    """One record of a document, or the word that it is nothing to do (`skipped` says why; then `action` is empty).

    `part` says which part of the document it is, where that became several; `mark` is a till's number of the document.
    `rule` is the place of the rule in the recipe, `entry` that of the entry (from 1) where the rule makes one for each; then
    `failed` says why none could be made of this one.
    """

    action: str
    fields: dict[str, Any]
    part: str = ""
    skipped: str = ""
    mark: Mark | None = None
    rule: int = 0
    entry: int = 0
    failed: MappingFailed | None = None

    def body(self) -> bytes:
        """The record as JSON; of an entry that failed, which one it was."""
        if self.failed is not None:
            return _encode({"part": self.part})
        return _encode({"action": self.action, **self.fields})
