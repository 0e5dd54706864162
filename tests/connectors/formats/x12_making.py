"""X12 interchanges for the tests: right ones, which a test then breaks where it wants."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from interlock.connectors.formats.document import Document, Flaw, Interchange, Item
from interlock.connectors.formats.x12 import read
from interlock.domain.links import Format

FORM = Format(kind="x12")

ORDER = [
    "BEG*00*SA*PO-1**20260301",
    "CUR*BY*USD",
    "N1*ST*Jane Doe*92*0042",
    "N3*12 Elm Street",
    "N4*Springfield*IL*62701*US",
    "PO1*1*2*EA*19.95*PE*VN*SKU-1",
    "PID*F****Blue mug",
    "PO1*2*1*EA*5*PE*VN*SKU-2",
    "CTT*2",
]


def a_set(kind: str = "850", body: Iterable[str] = ORDER, control: str = "0001", count: int | None = None) -> list[str]:
    """ST, the segments, SE with the right count."""
    rows = list(body)
    return [f"ST*{kind}*{control}", *rows, f"SE*{len(rows) + 2 if count is None else count}*{control}"]


def a_group(*sets: list[str], code: str = "PO", control: str = "7", version: str = "004010", **wrong: str) -> list[str]:
    """GS, the sets, GE with the right count and number."""
    head = f"GS*{code}*SHOP*US*20260302*0930*{control}*X*{version}"
    trailer = f"GE*{wrong.get('count', len(sets))}*{wrong.get('trailer', control)}"
    return [head, *(row for each in sets for row in each), trailer]


def an_interchange(*groups: list[str], control: str = "000000042", version: str = "00401", **wrong: str) -> list[str]:
    """ISA, the groups, IEA with the right count and number."""
    repetition = "^" if version >= "00402" else "U"
    head = (
        f"ISA*00*          *00*          *ZZ*SHOP           *14*0012345678905  "
        f"*260302*0930*{repetition}*{version}*{control}*0*T*>"
    )
    trailer = f"IEA*{wrong.get('count', len(groups))}*{wrong.get('trailer', control)}"
    return [head, *(row for each in groups for row in each), trailer]


def as_bytes(rows: Iterable[str], *, separators: str = "*>~", end: str = "", encoding: str = "latin-1") -> bytes:
    """The segments as bytes, with other separators and ends of lines if wanted."""
    element, component, segment = tuple(separators)
    text = "".join(f"{row}\0{end}" for row in rows)
    table = str.maketrans({"*": element, ">": component, "\0": segment})
    return text.translate(table).encode(encoding)


def everything(data: bytes, block: int = 0, form: Format = FORM) -> list[Item]:
    """What is read, in blocks of so many bytes."""
    blocks = [data[at : at + block] for at in range(0, len(data), block)] if block else [data]
    return list(read(blocks, form))


def documents(data: bytes, **more: Any) -> list[Document]:
    """The documents in it."""
    return [each for each in everything(data, **more) if isinstance(each, Document)]


def flaws(data: bytes, **more: Any) -> list[Flaw]:
    """What is refused in it."""
    return [each for each in everything(data, **more) if isinstance(each, Flaw)]


def interchanges(data: bytes, **more: Any) -> list[Interchange]:
    """The envelopes in it."""
    return [each for each in everything(data, **more) if isinstance(each, Interchange)]


def shape(node: Any) -> Any:
    """A node's children as plain values: tags to lists of (elements, children)."""
    return {tag: [(each.elements[1:], shape(each)) for each in nodes] for tag, nodes in (node.children or {}).items()}
