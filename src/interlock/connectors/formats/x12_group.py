"""What stands around X12 sets: the interchange's head as the documents' context, and the group that is open."""

from __future__ import annotations

import re
from typing import Any, Final

from interlock.connectors.formats.document import GroupResult, SetResult
from interlock.connectors.formats.x12_set import same_number

OLDEST: Final = "003010"
"""Older versions have other segments and other places in them: their groups are refused."""
READ_AS, _NEWEST = "004010", "005010"
_VERSION: Final = re.compile(r"[0-9]{6}")
VERSION_UNSUPPORTED, TRAILER_MISSING, CONTROL_DIFFERS, COUNT_DIFFERS = ["2", "3", "4", "5"]
"""Codes of AK905, X12 element 716."""


def told(isa: list[str]) -> dict[str, Any]:
    """What ISA says, by names."""
    return {
        "sender": isa[6],
        "sender_qualifier": isa[5],
        "receiver": isa[8],
        "receiver_qualifier": isa[7],
        "control": isa[13],
        "date": isa[9],
        "time": isa[10],
        "version": isa[12],
        "test": isa[15] == "T",
    }


class Group:
    """A functional group while it is read. Sets outside of any group are in one without a code and a number."""

    def __init__(
        self, code: str = "", control: str = "", version: str = "", sender: str = "", receiver: str = ""
    ) -> None:
        self.code = code
        self.control = control
        self.version = version
        self.context = {"code": code, "control": control, "version": version, "sender": sender, "receiver": receiver}
        self.results: list[SetResult] = []
        self.controls: set[str] = set()
        self.release = version[:6]
        self.refused = bool(_VERSION.fullmatch(self.release)) and self.release < OLDEST
        self.known = READ_AS <= self.release <= _NEWEST
        self.errors: list[str] = []
        if self.refused:
            self.errors.append(f"{VERSION_UNSUPPORTED}: version {self.release} is older than {OLDEST}")
        self._stated: int | None = None

    def ended(self, ge: list[str] | None) -> tuple[str, str, str, str] | None:
        """What is wrong with its trailer: reason, field, value, what was expected. `ge` is None where there is no trailer."""
        count = len(self.results)
        if ge is None:
            if not (self.code or self.control):
                return None
            wrong = (TRAILER_MISSING, "truncated", "GE", "", f"GE*{count}*{self.control}: it is missing")
        else:
            stated = ge[1]
            if stated.isascii() and stated.isdigit() and len(stated) < 10:
                self._stated = int(stated)
            if not same_number(ge[2], self.control):
                wrong = (CONTROL_DIFFERS, "control_number", "GE02", ge[2], f"{self.control}, as in GS06")
            elif not same_number(stated, str(count)):
                wrong = (COUNT_DIFFERS, "control_count", "GE01", stated, f"{count}, the number of its sets")
            else:
                return None
        code, reason, field, value, expected = wrong
        self.errors.append(f"{code}: {field} {value} is not {expected}")
        return reason, field, value, expected

    def result(self) -> GroupResult:
        """What became of it."""
        return GroupResult(
            code=self.code,
            control=self.control,
            version=self.version,
            stated=len(self.results) if self._stated is None else self._stated,
            sets=tuple(self.results),
            errors=tuple(self.errors),
        )
