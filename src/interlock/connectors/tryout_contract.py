"""Samples through a link's contract and mapping, sample by sample, for the sender's own tests: no database, nothing written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from interlock.connectors.contracted import CONTRACT_DRIFT
from interlock.connectors.formats.document import FormatUnreadable, Interchange
from interlock.connectors.translate import Reading, Translator
from interlock.contracts.external.drift import Drift


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """One document: whether it is what was agreed, the drift, what it becomes, and what the mapping says against it."""

    file: str
    place: str
    verdict: Literal["ok", "warn", "quarantine"]
    contract: str = ""
    drift: tuple[Drift, ...] = ()
    becomes: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()


def tested_documents(
    translator: Translator, file: str, source: Iterable[bytes], context: Mapping[str, Any]
) -> Iterator[Tested]:
    """What becomes of each document of one file; one that cannot be read is quarantined."""
    try:
        for reading in translator.read(source, context):
            if not isinstance(reading, Interchange):
                yield _tested(file, reading)
    except FormatUnreadable as wrong:
        yield Tested(file=file, place="file", verdict="quarantine", mistakes=(str(wrong),))


def _tested(file: str, reading: Reading) -> Tested:
    checked, problem = reading.checked, reading.problem
    becomes: tuple[str, ...] = ()
    mistakes: tuple[str, ...] = ()
    if reading.command is not None and problem is None:
        becomes = (f"{reading.command.action} {reading.command.subject}",)
    elif problem is None:
        becomes = (f"nothing to do: {reading.skipped}" if reading.skipped else "nothing to do",)
    elif problem.reason != CONTRACT_DRIFT:
        told = tuple(f"{each.field}: {each.value or 'nothing'} is not {each.expected}" for each in problem.errors)
        mistakes = tuple(f"{problem.reason}: {each}" for each in told or (problem.explanation,))
    return Tested(
        file=file,
        place=reading.place,
        verdict="quarantine" if problem is not None else checked.verdict if checked is not None else "ok",
        contract=checked.name() if checked is not None else "",
        drift=checked.drifts if checked is not None else (),
        becomes=becomes,
        mistakes=mistakes,
    )
