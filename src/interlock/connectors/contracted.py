"""Between format and mapping: is a document what its sender has agreed to send?

    contracted = Contracted(contract)
    checked = contracted.check(document)          # Checked, or None: the contract says nothing of such documents
    held(document, checked)                       # the Problem, where it is not to go on

What differs is quarantined, or goes on with a note, as the contract's policy says (docs/contracts-external.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from interlock.connectors.formats.document import Document
from interlock.connectors.recipes.following import follower
from interlock.connectors.recipes.paths import read_path
from interlock.connectors.recipes.scopes import Scope, text_of
from interlock.connectors.recipes.wrong import PathWrong, Unfit
from interlock.contracts.external.checker import Checker
from interlock.contracts.external.drift import Checked
from interlock.domain.decision import FieldError, Problem
from interlock.domain.errors import InvalidValue
from interlock.domain.partner_contracts import PartnerContract

CONTRACT_DRIFT: Final = "contract_drift"
VALUE_MAX: Final = 200


class Contracted:
    """One link's contract, compiled. Safe to share between threads."""

    def __init__(self, contract: PartnerContract) -> None:
        """Raises InvalidValue for a path that is none."""
        self.contract = contract
        self._checker = Checker(contract)
        self._version = _asked("version_at", contract.version_at)
        self._kind = _asked("kind_at", contract.kind_at)

    def check(self, document: Document) -> Checked | None:
        """What the document is by its contract."""
        kind = document.kind if self._kind is None else _text(self._kind, document) or document.kind
        version = "" if self._version is None else _text(self._version, document)
        return self._checker.check(document.data, kind=kind, version=version)


def held(document: Document, checked: Checked) -> Problem:
    """Why a document with drift is quarantined: every difference, with what was expected and what was found."""
    count = "1 place" if len(checked.drifts) == 1 else f"{len(checked.drifts)} places"
    return Problem(
        reason=CONTRACT_DRIFT,
        explanation=(
            f"this {document.kind} is not what the contract {checked.contract}, version {checked.version or 'unknown'}, "
            f"says, in {count}: change the contract and the mapping, or have the sender mend it"
        ),
        errors=tuple(
            FieldError(each.path, each.found[:VALUE_MAX], f"{each.expected} ({each.kind})") for each in checked.drifts
        ),
    )


def warned(checked: Checked) -> tuple[str, ...]:
    """The notes on a document that goes on in spite of drift."""
    return tuple(dict.fromkeys(f"drift from {checked.name()}: {each.kind} {each.general()}" for each in checked.drifts))


def _asked(name: str, path: str) -> Callable[[Scope], Any] | None:
    if not path:
        return None
    try:
        return follower(read_path(path), "raw")
    except PathWrong as wrong:
        raise InvalidValue(name, path, f"a path: {wrong}") from None


def _text(asked: Callable[[Scope], Any], document: Document) -> str:
    """What stands at a path as text; "" where there is nothing, or more than one value."""
    try:
        value = asked(Scope(document.data, None, 0, "", document))
        if isinstance(value, list):
            value = value[0] if value else None
        return text_of(value).strip()[:VALUE_MAX] if isinstance(value, str | int | float) or value else ""
    except Unfit:
        return ""
