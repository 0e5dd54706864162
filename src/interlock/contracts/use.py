"""What a message uses of its contract: which version, which deprecated fields, and until when that is taken.

    use = Contracts(catalog()).use("commands", "order.create", None, body)

Nearly no contract has anything deprecated, and then nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any

import msgspec

from interlock.contracts.catalog import Catalog, Contract, Deprecation, Kind


class Use(msgspec.Struct, frozen=True):
    """A contract and the version of it that was used; `deprecated` is what should not be used any more, "" the version itself."""

    contract: str
    version: int
    deprecated: dict[str, Deprecation] = {}

    def over(self, today: date) -> list[str]:
        """What should not be taken any more, each in a sentence."""
        return [
            f"{self.what(field)} was deprecated on {found.since}, and its sunset was {found.sunset}"
            + (f": use {found.instead}" if found.instead else "")
            for field, found in self.deprecated.items()
            if found.is_over(today)
        ]

    def what(self, field: str) -> str:
        """The field, or the version, in words."""
        return f"{field} of {self.contract}" if field else f"version {self.version} of {self.contract}"

    def headers(self) -> dict[str, str]:
        """What an HTTP answer says of it: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594), the earliest of each."""
        if not self.deprecated:
            return {}
        found = {"Deprecation": f"@{int(_midnight(min(each.since for each in self.deprecated.values())).timestamp())}"}
        sunsets = [each.sunset for each in self.deprecated.values() if each.sunset is not None]
        if sunsets:
            found["Sunset"] = format_datetime(_midnight(min(sunsets)), usegmt=True)
        return found


class Contracts:
    """The contracts that messages are held to. Safe to share between threads."""

    def __init__(self, known: Catalog) -> None:
        self._known = known
        self._plain = {
            key: Use("/".join(key), contract.current)
            for key, contract in known.items()
            if not contract.deprecated and not contract.versions[contract.current].deprecated
        }

    def versions(self, kind: Kind, name: str) -> list[int]:
        """The versions that were released, whether their day is over or not."""
        contract = self._known.get((kind, name))
        return [] if contract is None else [n for n, version in sorted(contract.versions.items()) if version.released]

    def use(self, kind: Kind, name: str, version: int | None, body: bytes) -> Use | None:
        """What a message uses; without a version it speaks the current one. None for what has no contract."""
        if version is None and (plain := self._plain.get((kind, name))) is not None:
            return plain
        contract = self._known.get((kind, name))
        if contract is None:
            return None
        number = contract.current if version is None else version
        return Use(f"{kind}/{name}", number, dict(_deprecated(contract, number, body)))


def _deprecated(contract: Contract, number: int, body: bytes) -> Iterable[tuple[str, Deprecation]]:
    version = contract.versions.get(number)
    if version is not None and version.deprecated is not None:
        yield "", version.deprecated
    if not contract.deprecated:
        return
    try:
        record = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return  # somebody else says what is wrong with it
    for field, deprecation in contract.deprecated.items():
        if _holds(record, field.split("/")):
            yield field, deprecation


def _holds(value: Any, path: list[str]) -> bool:
    """Whether a value holds something at a path; a list holds it where one of its entries does."""
    if isinstance(value, list):
        return any(_holds(entry, path) for entry in value)
    if not path:
        return value is not None and value != ""
    return isinstance(value, Mapping) and path[0] in value and _holds(value[path[0]], path[1:])


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
