"""Interchanges for tests: written here, segment by segment, with right counts unless a test wants wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from interlock.connectors.formats.document import Document, Flaw, Interchange, Item
from interlock.connectors.formats.edifact import read
from interlock.domain.links import Format

SAMPLES = Path(__file__).parents[2] / "data" / "edifact"
EDIFACT = Format(kind="edifact")
ORDER = ("BGM+220+4711+9", "DTM+137:20260302:102", "LIN+1++4000862141404:EN", "QTY+21:3:PCE", "UNS+S")


def message(
    *body: str, kind: str = "ORDERS", release: str = "96A", reference: str = "1", count: int | None = None
) -> str:
    """A message of these segments."""
    segments = [f"UNH+{reference}+{kind}:D:{release}:UN", *body]
    return "'".join([*segments, f"UNT+{len(segments) + 1 if count is None else count}+{reference}", ""])


def interchange(
    *messages: str, level: str = "UNOC:3", control: str = "77", count: int | None = None, una: str = ""
) -> str:
    """An interchange of these messages."""
    header = f"UNB+{level}+4000001000005:14+4000002000004:14+260302:0815+{control}'"
    return f"{una}{header}{''.join(messages)}UNZ+{len(messages) if count is None else count}+{control}'"


def items(text: str | bytes, form: Format = EDIFACT, block: int = 1 << 20) -> list[Item]:
    """Everything that is in it."""
    return list(read(blocks(text.encode("iso8859-1") if isinstance(text, str) else text, block), form))


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    """The bytes in blocks of that size."""
    return (data[at : at + size] for at in range(0, len(data), size))


def documents(found: list[Item]) -> list[Document]:
    """The documents among them."""
    return [each for each in found if isinstance(each, Document)]


def flaws(found: list[Item]) -> list[Flaw]:
    """The flaws among them."""
    return [each for each in found if isinstance(each, Flaw)]


def ends(found: list[Item]) -> list[Interchange]:
    """The ends of interchanges among them."""
    return [each for each in found if isinstance(each, Interchange)]


def only(text: str | bytes, form: Format = EDIFACT) -> Document:
    """The only document, with nothing wrong beside it."""
    found = items(text, form)
    assert flaws(found) == []
    [document] = documents(found)
    return document


def flaw(text: str | bytes) -> Flaw:
    """The only flaw, with no document beside it."""
    found = items(text)
    assert documents(found) == []
    [only_flaw] = flaws(found)
    return only_flaw
