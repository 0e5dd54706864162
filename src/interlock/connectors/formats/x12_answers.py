"""What a partner's 997, 999 or TA1 says of what we sent: for each group or interchange of ours whether it was taken."""

from __future__ import annotations

from typing import Final, Literal

from interlock.connectors.formats.document import Answer, Node

State = Literal["accepted", "with_errors", "partly", "rejected"]
_STATES: Final[dict[str, State]] = {"A": "accepted", "E": "with_errors", "P": "partly"}
"""AK501, AK901 and TA104; every other code (R, M, W, X) is a refusal."""
_ERRORS_MAX: Final = 20


def answers_of_set(node: Node) -> list[Answer]:
    """The answer in a 997 or 999: about the group that AK1 names."""
    segments = node.children or {}
    about, verdict = segments["AK1"][0], segments["AK9"][0]
    errors: list[str] = [f"AK9 {code}" for code in _rest(verdict, 5)]
    sets = {}
    for each in segments.get("AK2", ()):
        control = _text(each, 2)
        inner = each.children or {}
        results = inner.get("AK5") or inner.get("IK5") or []
        sets[control] = _STATES.get(_text(results[0], 1), "rejected") if results else "rejected"
        errors += [f"set {control}: {told}" for told in _told(inner)]
        errors += [f"set {control}: {_text(result, 0)} {code}" for result in results for code in _rest(result, 2)]
    return [
        Answer(
            scope="group",
            control=_text(about, 2),
            code=_text(about, 1),
            state=_STATES.get(_text(verdict, 1), "rejected"),
            sets=dict(sets),
            errors=tuple(errors[:_ERRORS_MAX]),
        )
    ]


def answers_of_ta1(elements: list[str]) -> list[Answer]:
    """The answer in a TA1: about the interchange that it names."""
    if not elements[1]:
        return []
    code = elements[5]
    errors = (f"TA1 {code}",) if code.strip("0") else ()
    state = _STATES.get(elements[4], "rejected")
    return [Answer(scope="interchange", control=elements[1], code="TA1", state=state, errors=errors)]


def _told(inner: dict[str, list[Node]]) -> list[str]:
    told = []
    for segment in (*inner.get("AK3", ()), *inner.get("IK3", ())):
        place = f"{_text(segment, 1)} at segment {_text(segment, 2)}"
        below = segment.children or {}
        elements = (*below.get("AK4", ()), *below.get("IK4", ()))
        for each in elements:
            value = _text(each, 4)
            told.append(f"{place}, element {_text(each, 1)}: error {_text(each, 3)}" + (f" ({value})" if value else ""))
        if not elements:
            told.append(f"{place}: error {_text(segment, 4) or 'unknown'}")
    return told


def _text(node: Node, place: int) -> str:
    if place >= len(node.elements):
        return ""
    element = node.elements[place]
    return (element if isinstance(element, str) else ":".join(element)).strip()


def _rest(node: Node, place: int) -> list[str]:
    return [text for at in range(place, len(node.elements)) if (text := _text(node, at))]
