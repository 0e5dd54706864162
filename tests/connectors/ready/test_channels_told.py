"""What a channel is told of its orders: accepted, shipped, canceled, in its own format, and read back without a note."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from interlock.connectors.formats.document import Document, Numbers, Tree
from interlock.connectors.formats.readers import reader, writer
from interlock.connectors.recipes import compile_template
from interlock.contracts.mapping_files import ready_mapping
from interlock.domain.links import Envelope, Format, FormatKind, Party
from interlock.domain.values import SystemId
from tests.connectors.ready.taking import estate_of

LINE: dict[str, Any] = {
    "line_no": 1,
    "sku": "THEIRS-1",
    "quantity": 2,
    "ordered": 3,
    "uom": "each",
    "unit_price": "9.99",
}
HEAD = {
    "id": "peer:PO1/1",
    "order": "peer:PO1",
    "source_id": "PO1",
    "number": "PO1",
    "currency": "USD",
    "lines": [LINE],
}
ACCEPTED = {**HEAD, "message": "order.accepted", "placed_at": "2026-03-01T14:30:00Z", "at": "2026-03-01T14:30:01Z"}
CANCELED = {**HEAD, "message": "order.canceled", "reason": "no stock", "at": "2026-03-02T14:30:01Z"}
SHIPPED = {
    **HEAD,
    "message": "order.shipped",
    "shipment": "S-77",
    "carrier": "UPSN",
    "packages": [{"tracking": "1Z999", "carrier": "UPSN", "lines": []}],
    "shipped_at": "2026-03-03T10:00:00Z",
    "at": "2026-03-03T10:00:05Z",
}
ENVELOPE = Envelope(ours=Party(id="US"), theirs=Party(id="THEM"))


def written(mapping: str, kind: FormatKind, message: dict[str, Any]) -> tuple[Document, bytes]:
    """What the channel gets, read again as a stranger would; there must be nothing to tolerate in it."""
    raw = ready_mapping(mapping)
    form = Format(kind=kind, envelope=ENVELOPE)
    settings = {name: "edi" for name, value in raw["settings"].items() if value is None}
    system = estate_of().systems[SystemId("peer")]
    tree: Tree = compile_template(mapping, raw, system=system, form=form, settings=settings).document(message)
    write = writer(kind)
    assert write is not None
    content = write([tree], form, Numbers(7, datetime(2026, 3, 1)))
    [found] = [each for each in reader(kind)([content], form) if isinstance(each, Document)]
    assert found.notes == ()
    return found, content


@pytest.mark.parametrize(
    ("message", "kind", "has"),
    [
        (ACCEPTED, "855", [b"BAK*00*AC*PO1*20260301", b"PO1*1*3*EA*9.99**VN*THEIRS-1", b"ACK*IA*2*EA"]),
        (CANCELED, "855", [b"BAK*04*AC*PO1", b"ACK*IR*2*EA"]),
        (SHIPPED, "856", [b"BSN*00*S-77*20260303*1000", b"PRF*PO1", b"REF*CN*1Z999", b"SN1*1*2*EA", b"TD5**2*UPSN"]),
    ],
)
def test_a_marketplace_is_told_in_x12(message: dict[str, Any], kind: str, has: list[bytes]) -> None:
    found, content = written("x12-marketplace", "x12", message)
    assert found.kind == kind
    assert [part for part in has if part not in content] == []


@pytest.mark.parametrize(
    ("message", "kind", "has"),
    [
        (ACCEPTED, "ORDRSP", [b"BGM+231+peer?:PO1/1+29", b"RFF+ON:PO1", b"LIN+1+5+THEIRS-1:IN", b"QTY+21:2:PCE"]),
        (CANCELED, "ORDRSP", [b"LIN+1+7+THEIRS-1:IN"]),
        (SHIPPED, "DESADV", [b"BGM+351+S-77+9", b"RFF+CN:1Z999", b"QTY+12:2:PCE"]),
    ],
)
def test_a_retail_partner_is_told_in_edifact(message: dict[str, Any], kind: str, has: list[bytes]) -> None:
    found, content = written("edifact-retail", "edifact", message)
    assert found.kind == kind
    assert [part for part in has if part not in content] == []
