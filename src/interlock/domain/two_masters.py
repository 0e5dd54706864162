"""Two masters: during a migration one business fact may be told by two systems. Do they agree?

What is compared is what was bought, where and for how much: not when each of them said it, nor in which words. The first
report has its effect; the second one is a duplicate where it agrees, and where it does not, that is work for a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from interlock.domain.commands import AnyCommand, CreateOrder
from interlock.domain.estate import Place
from interlock.domain.values import SystemId

Verdict = Literal["first", "agrees", "diverges"]
ReportKey = tuple[str, str, str]
"""Subject, action, business key: as in the ledger."""

FACTS_OF_AN_ORDER: Final = ("lines", "total", "currency", "channel", "fulfillment", "pickup_node", "destination")
NEVER_COMPARED: Final = frozenset(
    {"order_id", "sku", "ref", "occurred_at", "placed_at", "time_zone", "word", "version", "number"}
)
"""What makes it the same fact, and what each source may say in its own way."""

_encode = msgspec.json.Encoder(decimal_format="string", order="deterministic").encode


class Difference(msgspec.Struct, frozen=True):
    """A field in which two reports differ, and what each holds, as JSON."""

    field: str
    first: str
    second: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one of the masters said of a fact, and how that compares with what the other had said before."""

    pair: str
    key: ReportKey
    system: SystemId
    facts: bytes
    verdict: Verdict
    other: SystemId | None = None
    differences: tuple[Difference, ...] = ()


def facts_of(command: AnyCommand, compare: Sequence[str] = ()) -> bytes:
    """The facts that are compared, as JSON: those named, or the usual ones. The order of lines says nothing."""
    usual: Sequence[str] = FACTS_OF_AN_ORDER if isinstance(command, CreateOrder) else command.__struct_fields__
    names = compare or [name for name in usual if name not in NEVER_COMPARED]
    return _encode({name: _fact(name, getattr(command, name, None)) for name in names})


def differences(first: bytes, second: bytes) -> tuple[Difference, ...]:
    """The fields in which two facts differ, by name."""
    ours: Mapping[str, Any] = msgspec.json.decode(first)
    theirs: Mapping[str, Any] = msgspec.json.decode(second)
    return tuple(
        Difference(name, _shown(ours.get(name)), _shown(theirs.get(name)))
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    )


def told(found: Sequence[Difference]) -> str:
    """Differences in a sentence."""
    return "; ".join(f"{each.field} is {each.first} in one and {each.second} in the other" for each in found)


def _fact(name: str, value: Any) -> Any:
    if name == "lines":
        lines = [{key: _plain(each) for key, each in msgspec.structs.asdict(line).items()} for line in value]
        for line in lines:
            if "sku" in line:  # each source numbers and names them in its own way
                line.pop("line_no", None)
                line.pop("source_sku", None)
        return sorted(lines, key=lambda line: _encode(line))
    if isinstance(value, Place):
        return {"country": value.country, "region": value.region, "postal_code": value.postal_code}
    return _plain(value)


def _plain(value: Any) -> Any:
    """Numbers as text, so that 2 and 2.0 are one, and amounts of one value look the same."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | Decimal):
        return f"{Decimal(value).normalize():f}"
    return value


def _shown(value: Any) -> str:
    shown = _encode(value).decode()
    return shown if len(shown) <= 300 else shown[:297] + "..."
