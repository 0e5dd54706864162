"""The ready-made X12 mappings at work: a warehouse, a marketplace and a drop-ship vendor, from bytes to commands and back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.connectors.formats.document import Numbers
from interlock.connectors.formats.x12 import write
from interlock.connectors.translate import Reading
from interlock.domain import commands
from interlock.domain.commands import LineUnits, Package
from interlock.domain.links import Envelope, Format, Party
from tests.connectors.formats.x12_making import a_group, a_set, an_interchange, as_bytes, documents
from tests.connectors.ready.taking import CANCEL, RELEASE, document, take

DATA = Path(__file__).parents[2] / "data" / "x12"
MARKETPLACE = {"channel": "web"}
VENDOR = {"node": "n1"}
ENVELOPE = Envelope(ours=Party(id="INTERLOCK"), theirs=Party(id="PARTNER"))


def taken(mapping: str, file: str, **settings: str) -> list[Reading]:
    return take(mapping, (DATA / file).read_bytes(), "x12", settings=settings)


def made(mapping: str, file: str, **settings: str) -> list[Any]:
    """The commands of a file in which nothing is wrong."""
    readings = taken(mapping, file, **settings)
    assert [each.problem for each in readings] == [None] * len(readings)
    assert all(each.notes == () for each in readings)
    return [each.command for each in readings]


def told(mapping: str, kind: str, body: list[str], code: str, **settings: str) -> list[Reading]:
    """What one set becomes."""
    return take(mapping, as_bytes(an_interchange(a_group(a_set(kind, body), code=code))), "x12", settings=settings)


# Warehouse


def test_a_945_confirms_what_left_and_rejects_what_was_short() -> None:
    confirmed, short, nothing = made("x12-warehouse", "warehouse-945.edi")

    assert isinstance(confirmed, commands.ConfirmShipment)
    assert (confirmed.order_id, confirmed.assignment_no, confirmed.ref) == ("web:10001", 1, "SHP-1")
    assert confirmed.occurred_at == datetime(2026, 3, 2, 14, 5, tzinfo=UTC)
    assert confirmed.carrier == "UPSN"
    assert confirmed.lines == (LineUnits(line_no=1, quantity=Decimal(2)), LineUnits(line_no=2, quantity=Decimal(1)))
    assert confirmed.packages == (
        Package(tracking="1Z999AA10123456784", carrier="UPSN", lines=(LineUnits(line_no=1, quantity=Decimal(2)),)),
        Package(tracking="1Z999AA10123456785", carrier="UPSN", lines=(LineUnits(line_no=2, quantity=Decimal(1)),)),
    )
    assert isinstance(short, commands.RejectShipment)
    assert (short.order_id, short.reason, short.lines) == (
        *("web:10001", "short_pick"),
        (LineUnits(line_no=2, quantity=Decimal(2)),),
    )
    assert isinstance(nothing, commands.RejectShipment)
    assert (nothing.order_id, nothing.lines) == ("web:10002", (LineUnits(line_no=1, quantity=Decimal(4)),))
    assert len({confirmed.ref, short.ref, nothing.ref}) == 3


def test_the_same_line_in_two_packages_is_confirmed_once_with_its_sum() -> None:
    body = ["W06*F*web:1/1*20260302*S", "LX*1", "MAN*GM*C1", "W12*CC*3*1*0*EA", "N9*LI*1", "LX*2", "MAN*GM*C2"]

    [reading] = told("x12-warehouse", "945", [*body, "W12*CC*3*2*0*EA", "N9*LI*1", "W03*3"], "SW")

    command = reading.command
    assert isinstance(command, commands.ConfirmShipment)
    assert command.lines == (LineUnits(line_no=1, quantity=Decimal(3)),)
    assert [(each.tracking, each.lines) for each in command.packages] == [
        ("C1", (LineUnits(line_no=1, quantity=Decimal(1)),)),
        ("C2", (LineUnits(line_no=1, quantity=Decimal(2)),)),
    ]


def test_a_945_without_totals_confirms_the_lines_of_which_something_left() -> None:
    body = ["W06*F*web:1/1*20260302*S", "LX*1", "W12*CC*3*0*3*EA", "N9*LI*1", "LX*2", "W12*CC*3*3*0*EA", "N9*LI*2"]

    confirmed, short = [each.command for each in told("x12-warehouse", "945", body, "SW")]

    assert isinstance(confirmed, commands.ConfirmShipment) and isinstance(short, commands.RejectShipment)
    assert confirmed.lines == (LineUnits(line_no=2, quantity=Decimal(3)),)
    assert short.lines == (LineUnits(line_no=1, quantity=Decimal(3)),)


def test_a_945_of_which_nothing_left_rejects_the_whole_assignment() -> None:
    [reading] = told("x12-warehouse", "945", ["W06*F*web:1/1*20260302*S", "LX*1", "W12*CC*3*0", "W03*0"], "SW")

    assert isinstance(reading.command, commands.RejectShipment)
    assert (reading.command.reason, reading.command.lines) == ("short_pick", ())


def test_a_945_without_our_line_numbers_is_refused_by_the_path() -> None:
    body = ["W06*F*web:1/1*20260302*S", "LX*1", "W12*CC*3*1*0*EA**SK*SKU-1", "W03*1"]

    [reading] = told("x12-warehouse", "945", body, "SW")

    assert reading.command is None
    assert reading.problem is not None
    assert "N9[01=LI].02" in reading.problem.errors[0].field


def test_a_944_and_a_947_adjust_stock() -> None:
    received = made("x12-warehouse", "warehouse-944.edi")
    adjusted = made("x12-warehouse", "warehouse-947.edi")

    assert [(each.sku, each.node, each.delta, each.uom, each.reason, each.ref) for each in received] == [
        ("SKU-1", "n1", 24, "each", "receipt", "944-RCPT-77-1"),
        ("SKU-2", "n1", 2, "case", "receipt", "944-RCPT-77-2"),
    ]
    assert [(each.sku, each.node, each.delta, each.reason) for each in adjusted] == [
        ("SKU-1", "n1", -3, "AD"),
        ("SKU-2", "n1", 2, "AV"),
    ]


def test_an_846_counts_stock_as_of_its_time() -> None:
    counted = made("x12-warehouse", "warehouse-846.edi")

    assert [(each.sku, each.node, each.counted) for each in counted] == [("SKU-1", "n1", 120), ("SKU-2", "n1", 8)]
    assert {each.occurred_at for each in counted} == {datetime(2026, 3, 5, 22, tzinfo=UTC)}


def test_a_943_is_nothing_to_do() -> None:
    [reading] = told("x12-warehouse", "943", ["W06*F*A", "W04*1*EA", "W03*1"], "AR")

    assert reading.command is None and reading.problem is None
    assert reading.skipped.startswith("it announces")


def test_a_set_that_the_mapping_does_not_know_is_refused() -> None:
    [reading] = told("x12-warehouse", "850", ["BEG*00*SA*P**20260301", "PO1*1*1*EA"], "PO")

    assert reading.problem is not None
    assert reading.problem.reason == "no_rule"


# Marketplace


def test_an_850_is_an_order() -> None:
    first, second = made("x12-marketplace", "marketplace-850.edi", **MARKETPLACE)

    assert isinstance(first, commands.CreateOrder)
    assert (first.order_id, first.number, first.channel, first.currency) == ("peer:PO-7001", "PO-7001", "web", "USD")
    assert first.placed_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert first.destination is not None
    assert (first.destination.country, first.destination.region, first.destination.postal_code) == ("US", "IL", "62701")
    assert [(each.line_no, each.sku, each.quantity, each.unit_price) for each in first.lines] == [
        (1, "SKU-1", 2, Decimal("19.95")),
        (2, "SKU-2", 1, Decimal("5")),
    ]
    assert first.total == Decimal("44.9")
    assert second.destination is not None
    assert (second.destination.country, second.total, second.lines[0].line_no) == ("US", Decimal("22.5"), 1)


def test_an_860_cancels_the_order_or_single_lines_and_anything_else_is_refused() -> None:
    whole, line, other = taken("x12-marketplace", "marketplace-860.edi", **MARKETPLACE)

    assert isinstance(whole.command, commands.CancelOrder) and isinstance(line.command, commands.CancelOrder)
    assert (whole.command.order_id, whole.command.lines) == ("peer:PO-7001", ())
    assert (line.command.order_id, line.command.lines) == (
        "peer:PO-7002",
        (LineUnits(line_no=1, quantity=Decimal(3)),),
    )
    assert other.command is None
    assert other.problem is not None
    assert [(each.field, each.value) for each in other.problem.errors] == [("reason (from POC[#1].02)", '"QI"')]


def test_a_180_authorizes_a_return_and_tells_what_came_back() -> None:
    authorized, received = made("x12-marketplace", "marketplace-180.edi", **MARKETPLACE)

    assert isinstance(authorized, commands.AuthorizeReturn) and isinstance(received, commands.ReceiveReturn)
    assert (authorized.order_id, authorized.ref, authorized.lines) == (
        *("peer:PO-7001", "RMA-1"),
        (LineUnits(line_no=1, quantity=Decimal(1)),),
    )
    assert (received.ref, received.return_ref, received.node) == ("RCV-1", "RMA-1", "n1")


# Vendor


def test_an_855_acknowledges_or_rejects() -> None:
    taken_whole, taken_partly, line, refused = made("x12-vendor", "vendor-855.edi", **VENDOR)

    assert isinstance(taken_whole, commands.AcknowledgeShipment)
    assert (taken_whole.order_id, taken_whole.warehouse_ref) == ("web:10001", "SO-88")
    assert isinstance(taken_partly, commands.AcknowledgeShipment)
    assert isinstance(line, commands.RejectShipment)
    assert (line.order_id, line.reason, line.lines) == (
        *("web:10002", "refused"),
        (LineUnits(line_no=2, quantity=Decimal(1)),),
    )
    assert isinstance(refused, commands.RejectShipment)
    assert (refused.order_id, refused.lines) == ("web:10003", ())


def test_an_856_confirms_each_order_in_it_with_its_packages() -> None:
    packed, loose = made("x12-vendor", "vendor-856.edi", **VENDOR)

    assert (packed.order_id, packed.assignment_no, packed.ref) == ("web:10001", 1, "ASN-1-web:10001/1")
    assert packed.occurred_at == datetime(2026, 3, 2, 14, 21, tzinfo=UTC)
    assert packed.lines == (LineUnits(line_no=1, quantity=Decimal(3)), LineUnits(line_no=2, quantity=Decimal(1)))
    assert [(each.tracking, each.carrier, each.lines) for each in packed.packages] == [
        ("1Z999AA10123456784", "UPSN", (LineUnits(line_no=1, quantity=Decimal(2)),)),
        (
            *("1Z999AA10123456785", "UPSN"),
            (LineUnits(line_no=1, quantity=Decimal(1)), LineUnits(line_no=2, quantity=Decimal(1))),
        ),
    ]
    assert (loose.order_id, loose.lines, loose.packages) == (
        *("web:10002", (LineUnits(line_no=1, quantity=Decimal(5)),)),
        (),
    )


def test_an_856_without_numbers_of_packages_confirms_its_lines() -> None:
    body = [
        "BSN*00*A*20260302*1200",
        "HL*1**S",
        "HL*2*1*O",
        "PRF*web:1/1",
        "HL*3*2*P",
        "HL*4*3*I",
        "LIN*1*SK*S",
        "SN1**2*EA",
    ]

    [reading] = told("x12-vendor", "856", body, "SH")

    assert isinstance(reading.command, commands.ConfirmShipment)
    assert (reading.command.lines, reading.command.packages) == ((LineUnits(line_no=1, quantity=Decimal(2)),), ())


def test_a_vendors_846_counts_at_its_node_and_its_810_is_for_the_books() -> None:
    [counted] = made("x12-vendor", "vendor-846.edi", **VENDOR)
    [invoice] = taken("x12-vendor", "vendor-810.edi", **VENDOR)

    assert (counted.sku, counted.node, counted.counted) == ("SKU-1", "n1", 40)
    assert (invoice.command, invoice.problem, invoice.skipped) == (None, None, "an invoice is for the books")


# What goes out


@pytest.mark.parametrize("version", ["004010", "005010"])
@pytest.mark.parametrize(
    ("mapping", "message", "kind", "beginning"),
    [
        ("x12-warehouse", RELEASE, "940", ["W05", "N", "web:10001/1", "WEB-10001"]),
        ("x12-warehouse", CANCEL, "940", ["W05", "F", "web:10001/1"]),
        ("x12-vendor", RELEASE, "850", ["BEG", "00", "DS", "web:10001/1", "", "20260301"]),
        ("x12-vendor", CANCEL, "860", ["BCH", "04", "DS", "web:10001/1"]),
    ],
)
def test_our_messages_are_written_strictly_and_read_back(
    mapping: str, message: dict[str, Any], kind: str, beginning: list[str], version: str
) -> None:
    shape = Format(kind="x12", envelope=msgspec.structs.replace(ENVELOPE, version=version))

    data = write([document(mapping, message, "x12")], shape, Numbers(1, datetime(2026, 3, 1)))

    [found] = documents(data)
    assert found.kind == kind
    assert found.notes == ()
    assert found.data.children[beginning[0]][0].elements[: len(beginning)] == beginning


def test_a_release_names_our_lines_so_that_they_come_back() -> None:
    made_of = document("x12-warehouse", RELEASE, "x12")

    assert made_of["segments"] == [
        ["W05", "N", "web:10001/1", "WEB-10001"],
        ["N1", "SF", "", "92", "n1"],
        ["N1", "ST", "CUSTOMER"],
        ["N4", "", "NY", "10001", "US"],
        ["N9", "CO", "WEB-10001"],
        ["G62", "10", "20260301"],
        *(["LX", "1"], ["W01", "2", "EA", "", "SK", "SKU-1"], ["N9", "LI", "1"]),
        *(["LX", "2"], ["W01", "1", "EA", "", "SK", "SKU-2"], ["N9", "LI", "2"]),
        ["W76", "3"],
    ]


def test_a_region_that_is_no_state_of_two_letters_is_named_as_a_location() -> None:
    message = {**RELEASE, "destination": {"country": "DE", "region": "Bayern", "postal_code": "80331"}}

    rows = document("x12-warehouse", message, "x12")["segments"]

    assert ["N4", "", "", "80331", "DE", "SP", "Bayern"] in rows
