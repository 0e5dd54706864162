"""What differs between two schemas at one place, whatever their shapes: the way into all comparisons.

combination against combination   combined.py
object, array                     objects.py, arrays.py
everything else                   scalars.py
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

from interlock.contracts.compatibility.arrays import arrays
from interlock.contracts.compatibility.combined import combinations, nearest
from interlock.contracts.compatibility.model import Node, Shape, described
from interlock.contracts.compatibility.objects import objects
from interlock.contracts.compatibility.resolve import Draft
from interlock.contracts.compatibility.scalars import constants, enumerations, numbers, same_json, strings
from interlock.contracts.compatibility.walk import Finding, Findings, Pair, Steps, below, breaks

_PLAIN: Final[dict[Shape, Callable[[Node, Node], Findings]]] = {
    "string": strings,
    "number": numbers,
    "enum": enumerations,
    "const": constants,
}
_WORDS: Final = (
    ("TITLE_CHANGED", "title"),
    ("DESCRIPTION_CHANGED", "description"),
    ("DEFAULT_CHANGED", "default"),
)


# What was found, if it fits; else what stood in the way.
Attempt = Generator[Pair, Findings, tuple[Findings | None, Findings]]


def pair(writer: Node, reader: Node) -> Steps:
    """The findings where data by `writer` is read by `reader`."""
    if writer is reader:
        return []
    tried: Findings = []
    if writer.shape != "combined" and reader.shape == "combined":
        found, tried = yield from _into_combination(writer, reader)
        if found is not None:
            return found
    elif writer.shape == "combined" and reader.shape != "combined":
        found, tried = yield from _out_of_combination(writer, reader)
        if found is not None:
            return found
    if writer.shape != reader.shape:
        if writer.shape == "never" or reader.shape == "any":
            return []
        return [Finding("TYPE_CHANGED", "", "type", described(writer), described(reader)), *tried]
    findings: Findings = words(writer, reader) if writer.whole and reader.whole else []
    if writer.shape in _PLAIN:
        findings += _PLAIN[writer.shape](writer, reader)
    elif writer.shape == "object":
        findings += yield from objects(writer, reader)
    elif writer.shape == "array":
        findings += yield from arrays(writer, reader)
    elif writer.shape == "combined":
        findings += yield from combinations(writer, reader)
    elif writer.shape == "not":
        findings += yield from _prohibitions(writer, reader)
    return findings


def _into_combination(writer: Node, reader: Node) -> Attempt:
    """A plain schema that became a combination: fine where one part of a sum, or the only part, takes its data."""
    parts = reader.parts()
    if len(parts) != 1 and reader.rule == "allOf":
        return None, (yield from _unmet(writer, reader, parts))
    tried: list[tuple[Node, Findings]] = []
    for part in parts:
        found = yield writer, part
        if not breaks(found):
            if len(parts) == 1:
                return found, []
            extended = Finding("SUM_TYPE_EXTENDED", "", _keyword(reader), described(writer), described(reader))
            return [*found, extended], []
        tried.append((part, found))
    return None, nearest(writer, tried)


def _unmet(writer: Node, reader: Node, parts: list[Node]) -> Steps:
    """What each condition of a product asks for in vain, where it is one about the writer's shape."""
    unmet: Findings = []
    for place, part in enumerate(parts):
        if part.shape == writer.shape:
            found = yield writer, part
            unmet += below(f"/allOf/{place}" if reader.written else "", found if breaks(found) else [])
    return unmet


def _out_of_combination(writer: Node, reader: Node) -> Attempt:
    """A combination that became a plain schema: fine where the only part, or one of a product, has data that fits."""
    parts = writer.parts()
    single_or_product = len(parts) == 1 or writer.rule == "allOf"
    tried: list[tuple[Node, Findings]] = []
    for part in parts:
        if not single_or_product and part.shape != reader.shape:
            continue
        found = yield part, reader
        if single_or_product and not breaks(found):
            if len(parts) == 1:
                return found, []
            narrowed = Finding("PRODUCT_TYPE_NARROWED", "", _keyword(writer), described(writer), described(reader))
            return [*found, narrowed], []
        tried.append((part, found))
    return None, nearest(reader, tried)


def _prohibitions(writer: Node, reader: Node) -> Steps:
    """`not` turns things round: the reader must forbid no more than the writer did."""
    found = yield reader.child(reader.raw["not"]), writer.child(writer.raw["not"])
    if same_json(writer.raw["not"], reader.raw["not"]) and not breaks(found):
        return []
    kind = "NOT_TYPE_EXTENDED" if breaks(found) else "NOT_TYPE_NARROWED"
    return [Finding(kind, "/not", "not", writer.raw["not"], reader.raw["not"])]


def words(writer: Node, reader: Node) -> Findings:
    """Id, title, description and default, which bind no data."""
    before, after = writer.raw.get(_id(writer)), reader.raw.get(_id(reader))
    found: Findings = [Finding("ID_CHANGED", "", _id(reader), before, after)] if before != after else []
    for kind, keyword in _WORDS:
        if (keyword in writer.raw or keyword in reader.raw) and not same_json(
            writer.raw.get(keyword), reader.raw.get(keyword)
        ):
            found.append(Finding(kind, "", keyword, writer.raw.get(keyword), reader.raw.get(keyword)))
    return found


def _id(node: Node) -> str:
    return "id" if node.draft is Draft.D4 else "$id"


def _keyword(node: Node) -> str:
    return node.rule if node.written else "type"
