"""What every reader of a format gives: documents, what could not be read, and what was said around them.

    read(source, format) ─▶ Document     one thing that a partner says: an order, a row, a transaction set
                            Flaw         something that takes the place of one and cannot be read; its neighbours go on
                            Interchange  the end of an EDI envelope: what is acknowledged

A document's data is a tree of plain values, so that one language of paths (docs/mappings.md) reads all formats:

    dict   names to values: JSON, XML (`@name` for attributes, `#text` beside them), a row of a table
    list   several of the same
    Node   a segment of an interchange with what belongs to it: X12 and EDIFACT
    text, numbers, true and false, None
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from interlock.domain.errors import InterlockError
from interlock.domain.links import Format

Element = str | list[str]
Tree = Any
"""dict[str, Tree] | list[Tree] | Node | str | int | Decimal | bool | None"""

DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
"""No document is larger: a reader gives a Flaw for one that is, without keeping it."""


class Node:
    """A segment and the segments below it.

    `elements[0]` is its tag, so that `elements[3]` is what the standards call 03; one with components is a list of them.
    `children` holds, by tag, the segments that belong to it, each a node, in their order.
    A reader may leave both unset and give `text` and `cut` instead: then the elements are cut when they are first asked for,
    since most mappings ask for few.
    """

    __slots__ = ("children", "cut", "elements", "text")

    children: dict[str, list[Node]] | None
    cut: Callable[[str], list[Element]]
    elements: list[Element]
    text: str

    def __init__(self, elements: list[Element], children: dict[str, list[Node]] | None = None) -> None:
        self.elements = elements
        self.children = children

    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what is not set.
        if name == "elements":
            self.elements = elements = self.cut(self.text)
            return elements
        if name == "children":
            return None
        raise AttributeError(name)

    def __repr__(self) -> str:
        return f"Node({self.elements!r}, {self.children!r})"


class Document(NamedTuple):
    """One thing that a partner says.

    `kind` is what the format calls it (850, ORDERS, RetailTransaction, row); `place` is where it stands, for people; `raw` is it
    verbatim; `context` is what was said around it (envelope, header) and `notes` what was tolerated in reading it.
    """

    kind: str
    place: str
    data: Tree
    raw: bytes
    context: dict[str, Tree] = {}
    notes: tuple[str, ...] = ()


class Flaw(NamedTuple):
    """What cannot be read: where, the reason in a word, the field, what it holds, what was expected; `raw` as far as kept."""

    place: str
    reason: str
    field: str
    value: str
    expected: str
    raw: bytes = b""
    kind: str = ""


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction set (X12) or message (EDIFACT) of an interchange, and its syntax errors: what an acknowledgment says of it.

    An error is (segment tag, its position from 1, element position or 0, the standard's code, what was found).
    `version` is an EDIFACT message's own: version, release, agency and association, as in `D:96A:UN:EAN008`.
    """

    kind: str
    control: str
    accepted: bool
    version: str = ""
    errors: tuple[tuple[str, int, int, str, str], ...] = ()


class GroupResult(msgspec.Struct, frozen=True, kw_only=True):
    """One functional group; EDIFACT interchanges without groups have one with an empty code."""

    code: str
    control: str
    version: str
    stated: int
    sets: tuple[SetResult, ...] = ()
    errors: tuple[str, ...] = ()


class Interchange(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope that came to its end: who sent it to whom, and what became of what was in it.

    `sender` and `receiver` are (qualifier, id). `answers` are the functional acknowledgments that were in it: for each group
    or interchange of ours its control number and whether the partner took it. `dated`: its day and time as it states them.
    """

    standard: Literal["x12", "edifact"]
    control: str
    sender: tuple[str, str]
    receiver: tuple[str, str]
    version: str
    test: bool
    groups: tuple[GroupResult, ...] = ()
    answers: tuple[Answer, ...] = ()
    separators: str = ""
    errors: tuple[str, ...] = ()
    dated: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner's functional acknowledgment says of something that we sent.

    `scope` says what `control` numbers: the interchange, the group or the set. `state` is the partner's verdict.
    """

    scope: Literal["interchange", "group", "set"]
    control: str
    code: str
    state: Literal["accepted", "with_errors", "partly", "rejected"]
    sets: dict[str, str] = {}
    errors: tuple[str, ...] = ()


class FormatUnreadable(InterlockError):
    """The whole input cannot be read; `reason` is a word, the rest says what is wrong with it."""

    def __init__(self, reason: str, field: str, value: str, expected: str) -> None:
        self.reason = reason
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: {value!r} is not {expected}")


Item = Document | Flaw | Interchange
Reader = Callable[[Iterable[bytes], Format], Iterator[Item]]
"""A reader takes the bytes in blocks of any size, and keeps no more than a document of them. It raises FormatUnreadable."""
Writer = Callable[[list[Tree], Format, "Numbers"], bytes]
"""A writer makes the bytes of one file of documents (what templates make), strictly by the standard. Raises WriteRefused."""


class Numbers(NamedTuple):
    """Numbers and time of an interchange that is written: the same ones give the same bytes."""

    interchange: int
    at: Any
    group: int = 0


class WriteRefused(InterlockError):
    """A document cannot be written by its standard; says which field, what it holds, and what the standard wants."""

    def __init__(self, field: str, value: str, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: {value!r} is not {expected}")
