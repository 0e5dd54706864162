"""Functional acknowledgments for an interchange that came in: 997 and 999 for its groups, TA1 for its envelope.

    997   AK1 (AK2 (AK3 (AK4)) AK5) AK9        999   AK1 (AK2 (IK3 (IK4)) IK5) AK9        TA1   one segment

A set that is an acknowledgment itself is never acknowledged: that would go on for ever.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any, Final, Literal

from interlock.connectors.formats.document import GroupResult, Interchange, Numbers, SetResult, WriteRefused
from interlock.connectors.formats.x12_sets import ACKNOWLEDGMENTS
from interlock.connectors.formats.x12_write import DEFAULT_VERSION, Group, encoded, interchange, isa, separators
from interlock.domain.links import Envelope

Kind = Literal["997", "999", "TA1"]
_FIRST_999: Final = "005010"
_GROUP: Final = re.compile("[A-Z0-9]{2}")
_VERSION: Final = re.compile("00[4-8][0-9]{3}")
_ENVELOPE: Final = frozenset({"ST", "SE"})
_CODES_MAX: Final = 5
_BAD_ELEMENT_MAX: Final = 99
_REFUSED_INTERCHANGE: Final = frozenset({"022"})

Error = tuple[str, int, int, str, str]


def acknowledge(received: Interchange, kind: Kind, envelope: Envelope, numbers: Numbers) -> bytes:
    """The acknowledgment of an interchange, as one interchange to its sender; empty if there is nothing to acknowledge in it.

    `envelope` is that of what we send to this partner. Raises WriteRefused.
    """
    if kind == "TA1":
        return _technical(received, envelope, numbers)
    if kind not in ("997", "999"):
        raise WriteRefused("acknowledge", kind, "997, 999 or TA1")
    by_version: list[Group] = []
    told = [group for group in received.groups if _GROUP.fullmatch(group.code) and group.code != "FA" and _own(group)]
    for version, groups in groupby(told, key=lambda group: _version(group, kind, envelope)):
        by_version.append(Group("FA", version, [(kind, _rows(group, kind)) for group in groups]))
    return interchange(by_version, envelope, numbers) if by_version else b""


def _own(group: GroupResult) -> bool:
    """Whether there is anything in a group but acknowledgments."""
    return not group.sets or any(each.kind not in ACKNOWLEDGMENTS for each in group.sets)


def _version(group: GroupResult, kind: str, envelope: Envelope) -> str:
    theirs = group.version[:6]
    version = theirs if _VERSION.fullmatch(theirs) else envelope.version or DEFAULT_VERSION
    return max(version, _FIRST_999) if kind == "999" else version


def _rows(group: GroupResult, kind: str) -> list[list[Any]]:
    sets = [each for each in group.sets if each.kind not in ACKNOWLEDGMENTS]
    about = ["AK1", group.code, _number(group.control)]
    if kind == "999":
        about.append("".join(each for each in group.version[:12] if each.isalnum()))
    rows: list[list[Any]] = [about]
    for each in sets:
        rows += _of_set(each, kind)
    accepted = sum(each.accepted for each in sets)
    codes = [error.partition(":")[0] for error in group.errors][:_CODES_MAX]
    if sets and accepted == len(sets):
        state = "E" if codes or any(each.errors for each in sets) else "A"
    else:
        state = "P" if accepted else "R" if sets or codes else "A"
    rows.append(["AK9", state, min(group.stated, 999_999), len(sets), accepted, *codes])
    return rows


def _of_set(result: SetResult, kind: str) -> list[list[Any]]:
    segment, element, verdict = ("IK3", "IK4", "IK5") if kind == "999" else ("AK3", "AK4", "AK5")
    rows: list[list[Any]] = [["AK2", _code(result.kind, 3, "000"), _number(result.control)]]
    inner = [each for each in result.errors if not (each[0] in _ENVELOPE and each[2] == 0)]
    for (position, tag), errors in groupby(sorted(inner, key=_place), key=lambda error: (error[1], error[0])):
        found = list(errors)
        whole = [error[3] for error in found if error[2] == 0]
        parts = [error for error in found if error[2] > 0]
        codes = [*dict.fromkeys(whole), *(["8"] if parts else [])][:_CODES_MAX]
        rows.append([segment, _code(tag, 2, "ZZ"), position, None, *codes])
        rows += [[element, each[2], None, each[3], _copy(each[4])] for each in parts]
    outer = [error[3] for error in result.errors if error[0] in _ENVELOPE and error[2] == 0]
    codes = [*(["5"] if inner else []), *dict.fromkeys(outer)][:_CODES_MAX]
    state = "R" if not result.accepted else "E" if result.errors else "A"
    rows.append([verdict, state, *(codes if state != "A" else [])])
    return rows


def _place(error: Error) -> tuple[int, str, int]:
    return error[1], error[0], error[2]


def _code(text: str, least: int, otherwise: str) -> str:
    kept = "".join(each for each in text.upper() if each.isascii() and each.isalnum())[:3]
    return kept if len(kept) >= least else otherwise


def _number(control: str) -> str:
    """A control number as it came, as far as it is one."""
    return "".join(each for each in control if each.isascii() and each.isalnum())[:9] or "0"


def _copy(value: str) -> str:
    """The bad element as it came, as far as it can be said again without being taken for something else."""
    return (
        "".join(each if each.isascii() and (each.isalnum() or each in " .-/") else " " for each in value)
        .strip()[:_BAD_ELEMENT_MAX]
        .strip()
    )


def _technical(received: Interchange, envelope: Envelope, numbers: Numbers) -> bytes:
    seps = separators(envelope)
    if not (received.control.isdigit() and len(received.control) <= 9):
        raise WriteRefused("ISA13", received.control, "a control number of up to nine digits")
    day, _, clock = received.dated.partition(" ")
    code = received.errors[0].partition(":")[0] if received.errors else "000"
    state = "A" if not received.errors else "R" if code in _REFUSED_INTERCHANGE else "E"
    version = envelope.version or DEFAULT_VERSION
    if not (len(day) == 6 and day.isdigit() and len(clock) == 4 and clock.isdigit()):
        day, clock = numbers.at.strftime("%y%m%d"), numbers.at.strftime("%H%M")
    texts = [
        isa(envelope, seps, numbers.interchange, numbers.at, version),
        seps.element.join(["TA1", received.control.zfill(9), day, clock, state, code]),
        seps.element.join(["IEA", "0", f"{numbers.interchange:09}"]),
    ]
    return encoded(texts, seps, envelope)
