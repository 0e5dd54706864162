"""A document against the contract of its sender: which version it is of, what differs, and what becomes of it.

checker = Checker(contract)
checker.check(data, kind="850", version="")     # Checked, or None: the contract says nothing of such documents
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from interlock.contracts.external.columns import ColumnsCheck
from interlock.contracts.external.drift import Checked, Drift, shown
from interlock.contracts.external.segments import SegmentsCheck
from interlock.contracts.external.trees import TreeCheck
from interlock.domain.partner_contracts import ContractVersion, PartnerContract

_Check = TreeCheck | ColumnsCheck | SegmentsCheck


class _Version(NamedTuple):
    version: str
    passes: Callable[[Any], bool]
    drifts: Callable[[Any], list[Drift]]
    well: Checked


class Checker:
    """One contract, compiled once. Safe to share between threads."""

    def __init__(self, contract: PartnerContract) -> None:
        """Raises ValueError where a schema makes no sense; `read_contract` has said so before."""
        self.contract = contract
        self._sees_unknown = contract.becomes("unknown_field") != "ignore"
        self._kinds: dict[str, dict[str, _Version]] = {}
        for each in contract.versions:
            self._kinds.setdefault(each.kind, {})[each.version] = self._compiled(each)

    def check(self, data: Any, *, kind: str, version: str) -> Checked | None:
        """What one document is, by the version that it names; without one, by the contract's, or the only one."""
        versions = self._kinds.get(kind) or self._kinds.get("")
        if versions is None:
            return None
        version = version or self.contract.version
        chosen = versions.get(version) if version or len(versions) > 1 else next(iter(versions.values()))
        if chosen is not None:
            if chosen.passes(data):
                return chosen.well
            return self._judged(chosen, chosen.drifts(data))
        known = ", ".join(versions)
        drift = Drift("unknown_version", "", f"one of the versions {known}", shown(version) if version else "none")
        if self.contract.becomes("unknown_version") == "quarantine":
            return Checked(self.contract.name, version[:60], (drift,), "quarantine")
        # Let through: then it is held against the current one.
        current = list(versions.values())[-1]
        drifts = [] if current.passes(data) else current.drifts(data)
        return self._judged(current, [drift, *drifts])

    def _compiled(self, each: ContractVersion) -> _Version:
        check: _Check
        if each.columns:
            check = ColumnsCheck(each.columns)
        elif each.segments:
            check = SegmentsCheck(each.segments)
        else:
            check = TreeCheck(True if each.schema is None else each.schema, unknown_fields=self._sees_unknown)
        return _Version(each.version, check.passes, check.drifts, Checked(self.contract.name, each.version))

    def _judged(self, version: _Version, drifts: list[Drift]) -> Checked:
        """The drift that counts, what holds the document up first, and the strictest of what becomes of it."""
        kept = [each for each in drifts if self.contract.becomes(each.kind) != "ignore"]
        if not kept:
            return version.well
        kept.sort(key=lambda each: self.contract.becomes(each.kind) != "quarantine")
        held = self.contract.becomes(kept[0].kind) == "quarantine"
        return Checked(self.contract.name, version.version, tuple(kept), "quarantine" if held else "warn")
