"""X12: interchanges of ISA, GS and ST with any separators, read tolerantly and written strictly; told in docs/formats-x12.md.

read          x12_envelopes (the stream) ─ x12_head (separators) ─ x12_set (a set) ─ x12_tree and x12_checks (its segments)
as data       x12_segments (elements and conditions), x12_sets (loops, groups)
write         x12_write; acknowledgments: x12_answers (theirs), x12_acknowledge (ours)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from interlock.connectors.formats.document import Item
from interlock.connectors.formats.x12_acknowledge import acknowledge
from interlock.connectors.formats.x12_envelopes import Reading
from interlock.connectors.formats.x12_write import write
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/edi-x12"

__all__ = ["MEDIA_TYPE", "acknowledge", "read", "write"]


def read(source: Iterable[bytes], form: Format) -> Iterator[Item]:
    """The sets of all interchanges as documents, those that are refused as flaws, and each envelope when it ends.

    A 997, 999 or TA1 is no document: what it says is in the `answers` of its interchange. Raises FormatUnreadable.
    """
    return Reading(source, form).items()
