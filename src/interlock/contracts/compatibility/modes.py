"""The modes of Confluent's Schema Registry, and what breaks them.

BACKWARD asks whether a reader with the new schema can read what was written by the old one, FORWARD whether readers
with the old schema can read what is written by the new one, FULL asks both. A transitive mode asks it of every
version so far, the others only of the latest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from interlock.contracts.compatibility.kinds import KINDS, is_compatible
from interlock.contracts.compatibility.pairs import pair
from interlock.contracts.compatibility.schema import Schema, schema_of
from interlock.contracts.compatibility.walk import Finding, walk

Direction = Literal["backward", "forward"]
_SHOWN_MAX: Final = 60


class Mode(StrEnum):
    """Who must be able to read whose data."""

    BACKWARD = "BACKWARD"
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"
    FORWARD = "FORWARD"
    FORWARD_TRANSITIVE = "FORWARD_TRANSITIVE"
    FULL = "FULL"
    FULL_TRANSITIVE = "FULL_TRANSITIVE"
    NONE = "NONE"

    @property
    def transitive(self) -> bool:
        """Whether all earlier versions count, not only the latest."""
        return self.value.endswith("_TRANSITIVE")

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which questions the mode asks."""
        asked: dict[str, tuple[Direction, ...]] = {
            "BACKWARD": ("backward",),
            "FORWARD": ("forward",),
            "FULL": ("backward", "forward"),
            "NONE": (),
        }
        return asked[self.value.removesuffix("_TRANSITIVE")]


class Difference(msgspec.Struct, frozen=True):
    """A difference between an old and a new schema, as a reader sees it.

    `kind` is named as the registry names it. `pointer` is the way to it through the schema, references followed.
    `direction` says who reads: the new schema ("backward") or the old one ("forward"). `old` and `new` are the values
    of the keyword, or a schema in a few words. `against` is the name of the old version.
    """

    kind: str
    pointer: str
    keyword: str
    direction: Direction
    old: Any
    new: Any
    explanation: str
    against: str = ""

    @property
    def compatible(self) -> bool:
        """Whether it lets the writer's data through."""
        return is_compatible(self.kind)


class Break(Difference, frozen=True, kw_only=True):
    """A difference that breaks a mode."""

    mode: Mode


AnySchema = Schema | dict[str, Any] | bool


def compare(old: AnySchema | Sequence[AnySchema], new: AnySchema, mode: Mode | str = Mode.BACKWARD) -> list[Break]:
    """What breaks the mode where `new` follows `old`, or a list of versions with the latest last; none is compatible.

    Raises SchemaInvalid for what is no schema, ValueError for a mode that there is not.
    """
    mode = Mode(mode)
    versions: list[AnySchema] = [old] if isinstance(old, Schema | dict | bool) else list(old)
    found: list[Break] = []
    if mode is Mode.NONE:
        return found
    reader = _schema(new, "the new schema")
    for version in versions if mode.transitive else versions[-1:]:
        writer = _schema(version, "the old schema")
        for direction in mode.directions:
            found += [
                Break(**{name: getattr(each, name) for name in each.__struct_fields__}, mode=mode)
                for each in differences(writer, reader, direction)
                if not each.compatible
            ]
    return found


def differences(old: AnySchema, new: AnySchema, direction: Direction = "backward") -> list[Difference]:
    """Every difference, breaking or not, as a reader with the new schema sees it (or, "forward", with the old one)."""
    before, after = _schema(old, "the old schema"), _schema(new, "the new schema")
    backward = direction == "backward"
    writer, reader = (before, after) if backward else (after, before)
    findings = walk(writer.root(), reader.root(), pair)
    # What stands twice at a place, because two ways led to it, is told once.
    once = {(each.kind, each.pointer): each for each in reversed(findings)}
    return [_difference(each, direction, before.name) for each in reversed(once.values())]


def _difference(finding: Finding, direction: Direction, against: str) -> Difference:
    backward = direction == "backward"
    old, new = (finding.writes, finding.reads) if backward else (finding.reads, finding.writes)
    return Difference(
        kind=finding.kind,
        pointer=finding.pointer,
        keyword=finding.keyword,
        direction=direction,
        old=old,
        new=new,
        explanation=_explained(finding, direction),
        against=against,
    )


def _explained(finding: Finding, direction: Direction) -> str:
    """The sentence of the kind, about this place and this reader."""
    backward = direction == "backward"
    text = KINDS[finding.kind].sentence.format(
        data="old data" if backward else "new data",
        reader="a reader with the new schema" if backward else "a reader with the old schema",
        writes=_shown(finding.writes),
        reads=_shown(finding.reads),
        lost=_shown(finding.lost),
    )
    return text[0].upper() + text[1:]


def _shown(value: object) -> str:
    if isinstance(value, list):
        text = ", ".join(_shown(each) for each in value)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def _schema(value: AnySchema, name: str) -> Schema:
    return value if isinstance(value, Schema) else schema_of(value, name)
