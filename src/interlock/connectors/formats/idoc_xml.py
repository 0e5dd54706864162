"""SAP IDocs as XML: each IDOC element is a document, as a tree of its segments; the control record is its EDI_DC40.

The kind is the message type (ORDERS, DESADV, SHPCON ...). Segments are named by their types: definitions (E2EDK01005), as some
adapters write them, become E1EDK01. The tree is the one that idoc_flat makes of the same IDoc.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from interlock.connectors.formats.document import Document, Flaw, Numbers, Tree
from interlock.connectors.formats.idoc_segments import CONTROL, OLD_CONTROL, type_of
from interlock.connectors.formats.idoc_write import idocs_of
from interlock.connectors.formats.xml_stream import elements
from interlock.connectors.formats.xml_write import written
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/xml"


def read(source: Iterable[bytes], form: Format) -> Iterator[Document | Flaw]:
    """Every IDoc of an XML file. Raises FormatUnreadable."""
    found = elements(
        source, wanted=lambda name, _: name == "IDOC", encoding=form.encoding, expected="an element <IDOC> in it"
    )
    for element in found:
        if isinstance(element, Flaw):
            yield element
            continue
        noted: set[str] = set()
        data = _by_type(element.data, noted)
        control = data.get(CONTROL) if isinstance(data, dict) else None
        if not isinstance(control, dict):
            expected = f"an IDoc with a control record, {CONTROL}"
            yield Flaw(element.place, "no_control_record", CONTROL, "", expected, element.raw, "IDOC")
            continue
        notes = (*element.notes, *sorted(noted))
        yield Document(control.get("MESTYP") or "IDOC", element.place, data, element.raw, element.context, notes)


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:
    """One file of IDocs of one basic type: each document is `{ORDERS05: {EDI_DC40: ..., E1EDK01: ...}}`. Raises WriteRefused."""
    root, idocs = idocs_of(documents, form, numbers)
    content: dict[str, Any] = {"IDOC": [{"@BEGIN": "1", **_marked(idoc)} for idoc in idocs]}
    return written({root: content}, form.encoding or "UTF-8")


def _by_type(tree: Tree, noted: set[str]) -> Tree:
    """The tree with segments named by their types."""
    if not isinstance(tree, dict):
        return tree
    plain: dict[str, Tree] = {}
    for name, value in tree.items():
        ours = CONTROL if name == OLD_CONTROL else type_of(name)
        if ours != name:
            noted.add(
                "segments named by their definitions" if ours != CONTROL else f"{OLD_CONTROL}: an old control record"
            )
        if isinstance(value, list):
            value = [_by_type(each, noted) for each in value]
        elif isinstance(value, dict):
            value = _by_type(value, noted)
        plain[ours] = value
    return plain


def _marked(segment: Mapping[str, Tree]) -> dict[str, Tree]:
    """The segments with the attribute that SAP's own have."""
    content: dict[str, Tree] = {}
    for name, value in segment.items():
        if isinstance(value, list):
            content[name] = [{"@SEGMENT": "1", **_marked(each)} for each in value]
        elif isinstance(value, Mapping):
            content[name] = {"@SEGMENT": "1", **_marked(value)}
        else:
            content[name] = value
    return content
