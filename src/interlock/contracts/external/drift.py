"""Drift: what differs between a document and its contract, and what is made of it."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final, Literal, NamedTuple

import msgspec

from interlock.domain.partner_contracts import DriftKind

DRIFTS_MAX: Final = 50
PATH_MAX: Final = 200
SHOWN_MAX: Final = 120
Verdict = Literal["ok", "warn", "quarantine"]


class Drift(NamedTuple):
    """One difference: where (`line_items[2].price`), what the contract expects there, and what was found."""

    kind: DriftKind
    path: str
    expected: str
    found: str

    def general(self) -> str:
        """The path without the places in lists: the same drift in every line counts as one."""
        return _PLACES.sub("[]", self.path)[:PATH_MAX]


_PLACES: Final = re.compile(r"\[\d+\]")


class Checked(NamedTuple):
    """What a check found: the contract and the version that it was checked against, the drift, and what becomes of it."""

    contract: str
    version: str
    drifts: tuple[Drift, ...] = ()
    verdict: Verdict = "ok"

    def name(self) -> str:
        """Contract and version in a word, as it is kept with the message."""
        return f"{self.contract}/{self.version}"


class ContractWrong(ValueError):
    """A contract makes no sense; each of `mistakes` is a path in it and a sentence."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(f"{path}: {sentence}" if path else sentence for path, sentence in mistakes[:5]))


def shown(value: Any) -> str:
    """A value as its sender wrote it, shortened."""
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = ascii(type(value).__name__)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


def type_name(value: Any) -> str:
    """What JSON Schema calls a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list | tuple):
        return "array"
    return "integer" if isinstance(value, int) else "number"


def renamed(drifts: list[Drift]) -> list[Drift]:
    """The drifts, a field that is not known beside one that is missing told as probably the same under another name."""
    missing = [each.path.rpartition(".")[2] for each in drifts if each.kind == "missing_field"]
    if not missing or len(drifts) > DRIFTS_MAX:
        return drifts
    told = []
    for each in drifts:
        if each.kind == "unknown_field":
            near = get_close_matches(_letters(each.path.rpartition(".")[2]), [_letters(m) for m in missing], 1, 0.8)
            if near:
                name = next(m for m in missing if _letters(m) == near[0])
                each = each._replace(expected=f"{each.expected} (is it {name} under another name?)")
        told.append(each)
    return told


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name[:100].casefold())
