"""What a partner has agreed to send: the values of `contracts:` in the estate. docs/contracts-external.md tells them.

A contract has versions. Each says what a document is: a JSON Schema (for trees: JSON, XML, POSLog, IDoc), columns (for rows), or
segments (for X12 and EDIFACT). What differs from it is drift, of one of five kinds, and the policy says what becomes of it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Literal

import msgspec

from interlock.domain.links import Base

DriftKind = Literal["unknown_version", "unknown_field", "missing_field", "changed_type", "other"]
DriftPolicy = Literal["quarantine", "warn", "ignore"]
CellType = Literal["text", "integer", "number", "boolean", "date", "time"]
Compatibility = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]
DRIFT_KINDS: tuple[DriftKind, ...] = ("unknown_version", "unknown_field", "missing_field", "changed_type", "other")


class Column(Base, frozen=True, kw_only=True):
    """A column of a table. `required`: it is there and filled in every row; else it may be empty, or not be there at all.

    `length_max` counts characters; `words` are all that may stand in it.
    """

    name: str
    type: CellType = "text"
    required: bool = True
    length_max: int | None = None
    words: tuple[str, ...] = ()


class ElementRule(Base, frozen=True, kw_only=True):
    """An element of a segment, by its place from 1 (`at`), or a component of it; `words` are the code list."""

    at: int
    component: int | None = None
    type: CellType = "text"
    required: bool = False
    length_max: int | None = None
    words: tuple[str, ...] = ()


class SegmentRule(Base, frozen=True, kw_only=True):
    """A segment by its way from the message's first one, such as `N1` or `PO1/PID`, and how often it stands there.

    `min` and `max` count below one parent. Elements that are not named may hold anything, unless `elements` says all of them
    (`closed`).
    """

    segment: str
    min: int = 0
    max: int | None = None
    elements: tuple[ElementRule, ...] = ()
    closed: bool = False


class ContractVersion(Base, frozen=True, kw_only=True):
    """One version of a contract, for documents of one kind (850, ORDERS, sale, a topic), or of all (`kind` empty)."""

    version: str
    kind: str = ""
    schema: dict[str, Any] | bool | None = None
    columns: tuple[Column, ...] = ()
    segments: tuple[SegmentRule, ...] = ()


class PartnerContract(Base, frozen=True, kw_only=True):
    """What a partner sends.

    `version_at` is the path of the version in a document (`@headers.x` beside it); `version` is the one that counts where it
    says none. `kind_at` is the path of the kind where it is not what the format calls the document. The last of the versions
    is the current one.
    """

    name: str
    versions: tuple[ContractVersion, ...]
    version_at: str = ""
    version: str = ""
    kind_at: str = ""
    policy: dict[DriftKind, DriftPolicy] = {}
    compatibility: Compatibility = "BACKWARD"
    about: str = ""

    def becomes(self, kind: DriftKind) -> DriftPolicy:
        """What becomes of a document with drift of this kind; unknown fields alone hold nothing up unless that is said."""
        return self.policy.get(kind, "warn" if kind == "unknown_field" else "quarantine")

    def digest(self) -> str:
        """A short name of all that it says: another one says that somebody has changed it."""
        text = msgspec.json.encode(msgspec.to_builtins(self, str_keys=True), order="sorted")
        return sha256(text).hexdigest()[:16]
