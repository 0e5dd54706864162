"""The DC's own X12: just enough to read release orders and to write what a warehouse answers.

Written by itself, as a stranger's translator would be: nothing here is shared with Interlock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

US, THEM = "DCWMS", "INTERLOCK"
"""Our interchange id, and the one of who sends us releases."""

Segment = list[str]
_GROUPS = {"945": "SW", "944": "RE", "846": "IB", "947": "AW", "997": "FA"}


class TransactionSet(NamedTuple):
    """A transaction set between ST and SE, with the envelope that it came in."""

    code: str
    control: str
    segments: list[Segment]
    group: tuple[str, str]
    interchange: str


def read(content: bytes) -> Iterator[TransactionSet]:
    """The transaction sets of interchanges; counts and control numbers must be right. Raises ValueError with what is wrong."""
    text = content.decode("latin-1").lstrip()
    while text.startswith("ISA"):
        element, end = text[3], text[105]
        cut = text.index(end + "IEA" if end + "IEA" in text else end + "\nIEA") + 1
        cut = text.index(end, cut) + 1
        segments = [part.strip().split(element) for part in text[:cut].split(end) if part.strip()]
        yield from _sets(segments)
        text = text[cut:].lstrip()
    if text:
        raise ValueError(f"{text[:20]!r} is no interchange")


def _sets(segments: list[Segment]) -> Iterator[TransactionSet]:
    interchange, group = segments[0][13], ("", "")
    body: list[Segment] = []
    for segment in segments[1:]:
        match segment[0]:
            case "GS":
                group = (segment[1], segment[6])
            case "ST":
                body = [segment]
            case "SE":
                if int(segment[1]) != len(body) + 1 or segment[2] != body[0][2]:
                    raise ValueError(f"SE {segment} does not end {body[0]} of {len(body) + 1} segments")
                yield TransactionSet(body[0][1], body[0][2], body[1:], group, interchange)
            case "IEA":
                if segment[2] != interchange:
                    raise ValueError(f"IEA {segment} does not end interchange {interchange}")
            case _:
                body.append(segment)


def write(code: str, bodies: Sequence[Sequence[Sequence[str]]], number: int, version: str = "004010") -> bytes:
    """One interchange with transaction sets of a kind; the number is that of the interchange and its group."""
    now = datetime.now(UTC)
    segments: list[str] = [
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{US:15}*ZZ*{THEM:15}*{now:%y%m%d}*{now:%H%M}*U*00401*{number:09}*0*P*>",
        f"GS*{_GROUPS[code]}*{US}*{THEM}*{now:%Y%m%d}*{now:%H%M}*{number}*X*{version}",
    ]
    for place, body in enumerate(bodies, start=1):
        segments.append(f"ST*{code}*{place:04}")
        segments += ["*".join(segment).rstrip("*") for segment in body]
        segments.append(f"SE*{len(body) + 2}*{place:04}")
    segments += [f"GE*{len(bodies)}*{number}", f"IEA*1*{number:09}"]
    return "".join(f"{segment}~\n" for segment in segments).encode("latin-1")


def acknowledgment(sets: Sequence[TransactionSet], number: int) -> bytes:
    """A 997 for what came in, accepted as it was read: one for each of its groups."""
    groups: dict[tuple[str, str], list[TransactionSet]] = {}
    for each in sets:
        groups.setdefault(each.group, []).append(each)
    bodies = []
    for (code, control), members in groups.items():
        body: list[list[str]] = [["AK1", code, control]]
        for each in members:
            body += [["AK2", each.code, each.control], ["AK5", "A"]]
        count = str(len(members))
        body.append(["AK9", "A", count, count, count])
        bodies.append(body)
    return write("997", bodies, number)
