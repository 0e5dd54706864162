"""Any XML: each element of the name that the link gives as `item` is a document; without one, the whole is a single document.

The tree is that of xml_stream: children and attributes (`@name`) by their local names, text as `#text` beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from interlock.connectors.formats.document import Document, Flaw, Numbers, Tree
from interlock.connectors.formats.xml_stream import elements
from interlock.connectors.formats.xml_write import merged, written
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/xml"


def read(source: Iterable[bytes], form: Format) -> Iterator[Document | Flaw]:
    """The documents of an XML file; its context is what stands around them: `root`, `envelope`. Raises FormatUnreadable."""
    item = form.item.rpartition("/")[2].rpartition(":")[2]

    def wanted(name: str, depth: int) -> bool:
        return name == item if item else depth == 1

    for found in elements(source, wanted=wanted, encoding=form.encoding, expected=f"an element <{item}>"):
        if isinstance(found, Flaw):
            yield found
        else:
            yield Document(found.name, found.place, found.data, found.raw, found.context, found.notes)


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:  # noqa: ARG001
    """One XML file: each document is `{root: content}`. Several must have the same root, whose contents follow one another.

    Raises WriteRefused.
    """
    return written(merged(documents), form.encoding or "UTF-8")
