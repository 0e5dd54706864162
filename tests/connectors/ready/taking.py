"""Ready-made mappings at work, without a database: bytes of a partner to what they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from interlock.connectors.formats.document import Interchange
from interlock.connectors.mapping import Mapper
from interlock.connectors.recipes import compile_recipe, compile_template
from interlock.connectors.translate import Reading, Translator
from interlock.contracts.mapping_files import ready_mapping
from interlock.domain.estate import Channel, Estate, System
from interlock.domain.links import Format, FormatKind
from interlock.domain.values import SystemId
from tests.builders import make_estate, make_system

CORPORA = Path(__file__).parents[3].parent / "shared" / "corpora"
NO_CORPORA = "the corpora of real inputs are not beside this checkout"

ALIASES = {"487838322": "n1", "905684977": "n2", "1": "store1", "LOC1": "store1", "W1": "n1"}


def estate_of(**changes: Any) -> Estate:
    """The test estate with a system `peer` that speaks for all, and a channel of each name that ready mappings use."""
    estate = make_estate()
    peer = make_system("peer", "edi", **{"states": {}, **changes})
    shape = estate.channels["web"]
    names = ("web", "till", "amazon", "walmart", "stores", "edi")
    fulfills = ("delivery", "bopis", "ship_to_store", "carry_out")
    channels: dict[str, Channel] = {
        name: msgspec.structs.replace(shape, id=name, system=peer.id, fulfills=fulfills) for name in names
    }
    return msgspec.structs.replace(
        estate,
        systems=estate.systems | {peer.id: peer},
        channels=channels,
        node_aliases={peer.id: {theirs: estate.nodes[ours].id for theirs, ours in ALIASES.items()}},  # type: ignore[index]
    )


def translator(
    mapping: str,
    kind: FormatKind = "json",
    *,
    settings: dict[str, str] | None = None,
    estate: Estate | None = None,
    **form: Any,
) -> Translator:
    """A link of the peer with a ready-made mapping."""
    estate = estate or estate_of()
    system: System = estate.systems[SystemId("peer")]
    shape = Format(kind=kind, **form)
    recipe = compile_recipe(mapping, ready_mapping(mapping), system=system, form=shape, settings=settings or {})
    return Translator(system, "", shape, recipe, Mapper(estate))


def take(mapping: str, payload: Any, kind: FormatKind = "json", **more: Any) -> list[Reading]:
    """What a payload becomes: bytes as they are, everything else as JSON."""
    context = more.pop("context", {})
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    found = translator(mapping, kind, **more).read([body], context)
    return [each for each in found if not isinstance(each, Interchange)]


def one(mapping: str, payload: Any, **more: Any) -> Any:
    """The only command that a payload becomes."""
    [reading] = take(mapping, payload, **more)
    assert reading.problem is None, reading.problem
    assert reading.command is not None, reading.skipped
    return reading.command


def document(mapping: str, message: dict[str, Any], kind: FormatKind = "json", **form: Any) -> Any:
    """What one of our messages becomes."""
    system = estate_of().systems[SystemId("peer")]
    template = compile_template(
        mapping, ready_mapping(mapping), system=system, form=Format(kind=kind, **form), settings={}
    )
    return template.document(message)


RELEASE: dict[str, Any] = {
    "message": "shipment.release",
    "id": "web:10001/5/1",
    "assignment": "web:10001/1",
    "order": "web:10001",
    "number": "WEB-10001",
    "node": "n1",
    "fulfillment": "delivery",
    "destination": {"country": "US", "region": "NY", "postal_code": "10001"},
    "pickup_node": None,
    "lines": [
        {"line_no": 1, "sku": "SKU-1", "quantity": 2, "uom": "each"},
        {"line_no": 2, "sku": "SKU-2", "quantity": 1, "uom": "each"},
    ],
    "released_at": "2026-03-01T14:30:01Z",
}
CANCEL: dict[str, Any] = {
    "message": "shipment.cancel",
    "id": "web:10001/9/1",
    "assignment": "web:10001/1",
    "order": "web:10001",
    "node": "n1",
    "lines": [{"line_no": 1, "sku": "SKU-1", "quantity": 2}],
    "at": "2026-03-01T15:00:00Z",
}
