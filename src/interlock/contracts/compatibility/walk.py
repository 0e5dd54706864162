"""Walks two schemas side by side, from pair to pair, with a stack of its own: no depth is too deep.

A comparison of a pair is a generator: it yields the pairs inside that it wants compared, is sent their findings, and
returns its own. A pair that is asked for while it is being compared is taken to be compatible, which is right unless
the comparison shows otherwise; what was built on that belief is then forgotten and worked out again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from interlock.contracts.compatibility.kinds import is_compatible
from interlock.contracts.compatibility.model import Node
from interlock.domain.errors import SchemaInvalid

PAIRS_MAX: Final = 500_000
FINDINGS_MAX: Final = 20_000
LETTERS_MAX: Final = 50_000_000


class Finding(NamedTuple):
    """A difference at a place below the pair that was compared. `writes` is the writer's value, `reads` the reader's."""

    kind: str
    pointer: str
    keyword: str
    writes: object
    reads: object
    lost: object = None


class Below(NamedTuple):
    """What was found of a pair inside, as it is called from outside; `breaks` is how many of it break.

    It is kept as it is and only written out at the end: many ways may lead to a pair.
    """

    pointer: str
    findings: Findings
    breaks: int


Findings = list["Finding | Below"]
Pair = tuple[Node, Node]
Steps = Generator[Pair, Findings, Findings]
_Key = tuple[int, int]


def below(pointer: str, findings: Findings) -> Findings:
    """The findings of a pair as they are called from above it."""
    return [Below(pointer, findings, count_breaks(findings))] if pointer and findings else findings


def breaks(findings: Findings) -> bool:
    """Whether one of them does not let old data through."""
    return count_breaks(findings) > 0


def count_breaks(findings: Findings) -> int:
    """How many of them do not let old data through, by all the ways that lead to them."""
    return sum(each.breaks if isinstance(each, Below) else not is_compatible(each.kind) for each in findings)


def walk(writer: Node, reader: Node, compared: Callable[[Node, Node], Steps]) -> list[Finding]:
    """All findings of the pair, by every way that leads to them; after FINDINGS_MAX, each by one way only.

    Raises SchemaInvalid where the two would need more than PAIRS_MAX comparisons, or the ways LETTERS_MAX letters.
    """
    return _written_out(_Walk(compared).findings(writer, reader))


def _written_out(findings: Findings) -> list[Finding]:
    told: list[Finding] = []
    seen: set[int] = set()
    letters = 0
    stack = [("", iter(findings))]
    while stack:
        each = next(stack[-1][1], None)
        if each is None:
            stack.pop()
        elif isinstance(each, Finding):
            pointer = "".join([way for way, _ in stack]) + each.pointer
            told.append(each._replace(pointer=pointer))
            letters += len(pointer)
            if letters > LETTERS_MAX:
                raise SchemaInvalid(
                    ["the two schemas differ in too many places too deep inside; expected smaller ones"]
                )
        elif len(told) < FINDINGS_MAX or id(each.findings) not in seen:
            seen.add(id(each.findings))
            stack.append((each.pointer, iter(each.findings)))
    return told


class _Frame:
    """A comparison under way. `lowest` is the outermost pair under way that it has relied on."""

    __slots__ = ("beliefs", "key", "lowest", "steps")

    def __init__(self, key: _Key, steps: Steps, depth: int, beliefs: int) -> None:
        self.key = key
        self.steps = steps
        self.lowest = depth
        self.beliefs = beliefs


class _Walk:
    """One walk; `known` holds for good, `believed` as long as no pair under way turns out to be broken."""

    def __init__(self, compared: Callable[[Node, Node], Steps]) -> None:
        self.compared = compared
        self.known: dict[_Key, Findings] = {}
        self.believed: dict[_Key, tuple[Findings, int]] = {}
        self.beliefs: list[_Key] = []
        self.under_way: dict[_Key, int] = {}
        self.frames: list[_Frame] = []
        self.count = 0

    def findings(self, writer: Node, reader: Node) -> Findings:
        """Work until the first pair is done."""
        answer = self.begin((writer, reader))
        while self.frames:
            frame = self.frames[-1]
            try:
                asked = next(frame.steps) if answer is None else frame.steps.send(answer)
            except StopIteration as done:
                answer = self.end(frame, done.value)
            else:
                answer = self.begin(asked)
        return answer or []

    def begin(self, pair: Pair) -> Findings | None:
        """What is known or believed of the pair; None where its comparison has just begun."""
        key = (id(pair[0]), id(pair[1]))
        if key in self.known:
            return self.known[key]
        if key in self.believed:
            believed, lowest = self.believed[key]
            self.frames[-1].lowest = min(self.frames[-1].lowest, lowest)
            return believed
        if key in self.under_way:
            self.frames[-1].lowest = min(self.frames[-1].lowest, self.under_way[key])
            return []
        self.count += 1
        if self.count > PAIRS_MAX:
            raise SchemaInvalid([f"the two schemas need more than {PAIRS_MAX:,} comparisons; expected smaller ones"])
        self.under_way[key] = len(self.frames)
        self.frames.append(_Frame(key, self.compared(*pair), len(self.frames), len(self.beliefs)))
        return None

    def end(self, frame: _Frame, findings: Findings) -> Findings:
        """Keep what a comparison found: for good, or on the beliefs that it has relied on."""
        self.frames.pop()
        depth = self.under_way.pop(frame.key)
        broken = breaks(findings)
        if broken or frame.lowest >= depth:
            self.known[frame.key] = findings  # a break stays one, whatever was believed
        else:
            self.believed[frame.key] = findings, frame.lowest
        if frame.lowest >= depth or broken:
            # What was found below relied on this pair at the outermost, or must be asked anew.
            for key in self.beliefs[frame.beliefs :]:
                below, lowest = self.believed.pop(key)
                if not broken and lowest >= depth:
                    self.known[key] = below
            del self.beliefs[frame.beliefs :]
        else:
            self.beliefs.append(frame.key)
        if self.frames and frame.lowest < depth:
            self.frames[-1].lowest = min(self.frames[-1].lowest, frame.lowest)
        return findings
