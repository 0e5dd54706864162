"""A warehouse that is told by X12 or EDIFACT: what tests of what goes out in envelopes share."""

from __future__ import annotations

from typing import Any

from interlock.connectors.formats.document import Answer, Document, Interchange
from interlock.connectors.formats.readers import reader
from interlock.domain.links import Envelope, Format, Party

OURS, THEIRS = Party(id="INTERLOCK"), Party(id="WAREHOUSE")
X12 = Format(kind="x12", envelope=Envelope(ours=OURS, theirs=THEIRS, version="004010"))
EDIFACT = Format(kind="edifact", envelope=Envelope(ours=OURS, theirs=THEIRS, version="D96A"))

WAREHOUSE_X12: dict[str, Any] = {
    "format": ["x12"],
    "about": "releases as 940; cancels as 940 with the status F",
    "messages": [
        {
            "when": {"message": "shipment.release"},
            "document": {
                "set": "940",
                "segments": [
                    ["W05", "=N", "assignment"],
                    ["N1", "=ST", "number"],
                    {"each": "lines", "segments": [["LX", "#"], ["W01", "quantity", "=EA", None, "=VN", "sku"]]},
                    ["W76", {"sum": "quantity", "each": "lines"}],
                ],
            },
        }
    ],
}
WAREHOUSE_EDIFACT: dict[str, Any] = {
    "format": ["edifact"],
    "about": "releases as ORDERS",
    "messages": [
        {
            "when": {"message": "shipment.release"},
            "document": {
                "set": "ORDERS",
                "segments": [
                    ["BGM", "=220", "assignment", "=9"],
                    ["DTM", ["=137", "released_at", "=102"]],
                    ["NAD", "=DP", ["node"]],
                    {
                        "each": "lines",
                        "segments": [["LIN", "#", None, ["sku", "=SA"]], ["QTY", ["=21", "quantity"]]],
                    },
                    ["UNS", "=S"],
                ],
            },
        }
    ],
}


def sets_of(body: bytes, form: Format) -> list[Document]:
    """The sets of an interchange, as a partner reads them."""
    return [item for item in reader(form.kind)([body], form) if isinstance(item, Document)]


def envelope_of(body: bytes, form: Format) -> Interchange:
    """Its envelope."""
    (found,) = [item for item in reader(form.kind)([body], form) if isinstance(item, Interchange)]
    return found


def answers_of(body: bytes, form: Format) -> tuple[Answer, ...]:
    """What it acknowledges."""
    return envelope_of(body, form).answers
