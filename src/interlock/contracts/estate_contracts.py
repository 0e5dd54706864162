"""Rules about the contracts of partners in an estate: whether each makes sense, and whether it fits the links that name it."""

from __future__ import annotations

import pathlib
import re
from typing import Any, Final

from interlock.contracts.estate_checks import UNKNOWN
from interlock.contracts.estate_mistakes import Path
from interlock.contracts.estate_schema import Walk
from interlock.domain.partner_contracts import PartnerContract

Values = dict[str, Any]
_ROWS: Final = ("csv", "fixed")
_SEGMENTS: Final = ("x12", "edifact")


def check_contracts(walk: Walk, estate: Values, base: pathlib.Path) -> dict[str, set[str]]:
    """Every contract read; gives for those that can be what their versions say: schema, columns, segments."""
    forms: dict[str, set[str]] = {}
    for name, raw in (estate.get("contracts") or {}).items():
        if raw is UNKNOWN:
            continue
        # Only an estate that has contracts loads what reads them.
        from interlock.contracts.external.read import read_contract

        contract, mistakes = read_contract(name, raw, base)
        for path, sentence in mistakes:
            place: Path = ("contracts", name, *_steps(path if "file" not in raw else ""))
            prefix = f"{path}: " if path and "file" in raw else ""
            walk.tell_at(place, None, f"{prefix}{sentence}", "a contract of what a partner sends")
        if contract is not None:
            forms[name] = _forms(contract)
    return forms


def tell_contract(walk: Walk, path: Path, link: Values, forms: dict[str, set[str]]) -> None:
    """A link's contract is of the kind that its documents can be held against."""
    name = link.get("contract")
    if not isinstance(name, str):
        return
    if "mapping" not in link:
        walk.tell_at(
            (*path, "contract"), name, "a contract for rows that no mapping reads", "a format and a mapping beside it"
        )
    form = link.get("format")
    kind = form.get("kind") if isinstance(form, dict) else form
    if not isinstance(kind, str):
        return
    fitting = (
        {"segments"}
        if kind in _SEGMENTS
        else {"columns", "schema"}
        if kind in (*_ROWS, "json", "ndjson")
        else {"schema"}
    )
    for wrong in sorted(forms.get(name, set()) - fitting):
        problem = f"the contract {name} says {wrong}, which documents of the format {kind} do not have"
        walk.tell_at((*path, "contract"), name, problem, f"a contract with {' or '.join(sorted(fitting))}")


def _forms(contract: PartnerContract) -> set[str]:
    return {"columns" if each.columns else "segments" if each.segments else "schema" for each in contract.versions}


def _steps(path: str) -> Path:
    return tuple(int(place) if place else name for place, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path))
