"""Real inputs written by others, through our readers and ready-made mappings: what each becomes, file by file.

    python -m tests.connectors.corpora          # writes the table of docs/corpora.md anew

The files are read where they lie, in `../shared/corpora` beside the checkout, and are no part of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from interlock.connectors.formats.document import Document, Flaw, FormatUnreadable
from interlock.connectors.formats.readers import reader
from interlock.connectors.mapping import Mapper
from interlock.connectors.recipes import compile_recipe
from interlock.connectors.translate import Reading, Translator
from interlock.contracts.mapping_files import ready_mapping
from interlock.domain.links import Format
from interlock.domain.values import SystemId
from tests.connectors.ready.taking import CORPORA, estate_of

PAGE: Final = Path(__file__).parents[2] / "docs" / "corpora.md"
BEGIN: Final = "<!-- table: written by python -m tests.connectors.corpora -->"
END: Final = "<!-- end of table -->"


class Seen(NamedTuple):
    """A file: documents by kind, and why the rest was refused. `refused` is a file of which nothing was read."""

    family: str
    name: str
    documents: int
    reasons: tuple[str, ...]

    @property
    def outcome(self) -> str:
        """read, read beside (something was refused, and the good went on) or refused."""
        if not self.reasons:
            return "read"
        return "beside" if self.documents else "refused"


class Became(NamedTuple):
    """What a file's records become by a ready-made mapping (or the one of this module)."""

    family: str
    mapping: str
    commands: Counter[str]
    skipped: int
    refused: Counter[str]


UCI_MAPPING: Final[dict[str, Any]] = {
    "format": ["csv"],
    "settings": {},
    "records": [
        {
            "when": {"rows.0.InvoiceNo": {"like": "C*"}},
            "each": "rows",
            "action": "stock.adjust",
            "fields": {
                "sku": {"from": "StockCode", "upper": True},
                "node": "=store1",
                "delta": {"from": "Quantity", "negate": True},
                "ref": {"join": ["InvoiceNo", "StockCode", "#"], "with": "/"},
                "reason": "=brought back",
                "occurred_at": {"time": "InvoiceDate", "zone": "Europe/London"},
            },
        },
        {
            "when": {"rows.0.Quantity": {"below": 0}},
            "each": "rows",
            "action": "stock.adjust",
            "fields": {
                "sku": {"from": "StockCode", "upper": True},
                "node": "=store1",
                "delta": "Quantity",
                "ref": {"join": ["InvoiceNo", "StockCode", "#"], "with": "/"},
                "reason": {"first": [{"from": "Description"}, "=written off"]},
                "occurred_at": {"time": "InvoiceDate", "zone": "Europe/London"},
            },
        },
        {
            "when": {"rows.0.Quantity": {"above": 0}},
            "action": "order.create",
            "fields": {
                "order_id": "rows.0.InvoiceNo",
                "channel": "=till",
                "currency": "=GBP",
                "placed_at": {"time": "rows.0.InvoiceDate", "zone": "Europe/London"},
                "fulfillment": "=carry_out",
                "pickup_node": "=store1",
                "customer": {"from": "rows.0.CustomerID"},
                "lines": {
                    "each": "rows",
                    "fields": {
                        "line_no": "#",
                        "sku": {"from": "StockCode", "upper": True},
                        "quantity": "Quantity",
                        "unit_price": "UnitPrice",
                    },
                },
            },
        },
    ],
}
"""A month of a shop's invoices: sales, what was brought back (numbers with a C), and stock that was written off."""

_PAYLOADS: Final = (
    ("shopify__order.json", "shopify", "order"),
    ("shopify__inventory_levels.json", "shopify", "inventory_levels"),
    ("shopify__inventory_level.json", "shopify", "inventory_level"),
    ("amazon_spapi__ordersV0__getOrders_200_*.json", "amazon-orders", "response.payload.Orders"),
    ("amazon_spapi__vendorDF_orders__getOrder_200_example.json", "amazon-vendor", "response"),
    ("amazon_spapi__vendorDF_orders__getOrders_200_example.json", "amazon-vendor", "response"),
    ("amazon_spapi__vendorOrders__getPurchaseOrder_200_?.json", "amazon-vendor", "sandbox.response.payload"),
    ("lightspeed__sale_*.json", "lightspeed", ""),
)


@cache
def survey() -> list[Seen]:
    """Every file of the kinds that connectors read."""
    found = []
    for folder, kind in (
        ("01-x12", "x12"),
        ("02-edifact", "edifact"),
        ("03-pos", "poslog"),
        ("06-sap-idoc", "idoc_xml"),
    ):
        for path in sorted((CORPORA / folder).iterdir()):
            found.append(_seen(folder, path, Format(kind=kind)))  # type: ignore[arg-type]
    for path in sorted((CORPORA / "05-api-json").glob("*.json")):
        found.append(_seen("05-api-json", path, Format(kind="json")))
    for path in sorted((CORPORA / "08-datasets").rglob("*.csv")):
        found.append(_seen("08-datasets", path, Format(kind="csv")))
    return found


def _seen(folder: str, path: Path, form: Format) -> Seen:
    documents, reasons = 0, []
    try:
        for item in reader(form.kind)([path.read_bytes()], form):
            if isinstance(item, Document):
                documents += 1
            elif isinstance(item, Flaw):
                reasons.append(item.reason)
    except FormatUnreadable as error:
        reasons.append(error.reason)
    answers = folder in ("01-x12", "02-edifact") and path.name[:3] in ("997", "999", "TA1")
    # An acknowledgment is read as what it says of an interchange of ours, and is no document.
    return Seen(folder, path.name, documents + (answers and not reasons), tuple(reasons))


@cache
def became() -> list[Became]:
    """What the records of the corpora become by mappings."""
    folders = {
        "01-x12": (("850*", "x12-marketplace"), ("855*", "x12-vendor"), ("856*", "x12-vendor"), ("860*", "x12-marketplace"),
                   ("180*", "x12-marketplace"), ("945*", "x12-warehouse"), ("846*", "x12-warehouse")),
        "02-edifact": (("ORDERS*", "edifact-retail"), ("ORDRSP*", "edifact-retail")),
        "06-sap-idoc": (("*ORDERS*", "sap-idoc"), ("*[dD][eE][lL][vV][rR][yY]*", "sap-idoc"), ("*INVOIC*", "sap-idoc")),
        "03-pos": (("*", "poslog-store"),),
    }  # fmt: skip
    kinds = {"01-x12": "x12", "02-edifact": "edifact", "06-sap-idoc": "idoc_xml", "03-pos": "poslog"}
    found: list[Became] = []
    for folder, patterns in folders.items():
        for pattern, mapping in patterns:
            files = sorted((CORPORA / folder).glob(pattern))
            found.append(_became(f"{folder} {pattern}", mapping, files, Format(kind=kinds[folder])))  # type: ignore[arg-type]
    for pattern, mapping, item in _PAYLOADS:
        files = sorted((CORPORA / "05-api-json").glob(pattern))
        found.append(_became(f"05-api-json {pattern}", mapping, files, Format(kind="json", item=item)))
    files = sorted((CORPORA / "08-datasets").rglob("*.csv"))
    found.append(_became("08-datasets *.csv", "", files, Format(kind="csv", group_by=("InvoiceNo",))))
    return found


def _became(family: str, mapping: str, files: list[Path], form: Format) -> Became:
    estate = estate_of()
    system = estate.systems[SystemId("peer")]
    raw = ready_mapping(mapping) if mapping else UCI_MAPPING
    settings = {name: "edi" for name, value in (raw.get("settings") or {}).items() if value is None}
    recipe = compile_recipe(mapping or "uci", raw, system=system, form=form, settings=settings)
    lenient = msgspec.structs.replace(estate, nodes=_AnyNode(estate.nodes))
    translator = Translator(system, "", form, recipe, Mapper(lenient))
    commands: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    skipped = 0
    for path in files:
        try:
            for reading in translator.read([path.read_bytes()]):
                if not isinstance(reading, Reading):
                    continue
                if reading.problem is not None:
                    refused[reading.problem.reason] += 1
                elif reading.command is not None:
                    commands[reading.command.action] += 1
                else:
                    skipped += 1
        except FormatUnreadable as error:
            refused[error.reason] += 1
    return Became(family, mapping or "of its own", commands, skipped, refused)


class _AnyNode(dict[Any, Any]):
    """Nodes of strangers: every name is one, since only they know theirs."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: Any) -> Any:
        return next(iter(self.values()))


# The page


def table() -> str:
    """Both tables as Markdown."""
    return "\n".join([*_read_table(survey()), "", *_became_table(became())])


def _read_table(seen: list[Seen]) -> Iterator[str]:
    yield "| folder | files | read whole | read beside | refused whole | documents | reasons of what was refused |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for family in dict.fromkeys(each.family for each in seen):
        mine = [each for each in seen if each.family == family]
        outcomes = Counter(each.outcome for each in mine)
        reasons = Counter(reason for each in mine for reason in each.reasons)
        told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        documents = sum(each.documents for each in mine)
        yield (
            f"| {family} | {len(mine)} | {outcomes['read']} | {outcomes['beside']} | {outcomes['refused']} "
            f"| {documents:,} | {told} |"
        )


def _became_table(found: list[Became]) -> Iterator[str]:
    yield "| files | mapping | commands | nothing to do | refused |"
    yield "|---|---|---|---:|---|"
    for each in found:
        commands = ", ".join(f"{action} {count:,}" for action, count in sorted(each.commands.items()))
        refused = ", ".join(f"{reason} {count}" for reason, count in sorted(each.refused.items()))
        yield f"| `{each.family}` | {each.mapping} | {commands} | {each.skipped or ''} | {refused} |"


def with_table(page: str) -> str:
    """The page with its tables made anew."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
