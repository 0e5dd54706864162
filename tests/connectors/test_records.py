"""Rows to records: what belongs together is one record, and a row that cannot be part of one is rejected by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from interlock.connectors.formats.tabular import Table, TableUnreadable
from interlock.connectors.mapping import Mapper, MappingFailed
from interlock.connectors.record_columns import Columns
from interlock.connectors.records import Record, Reject, read_records, rejects
from interlock.domain.commands import AdjustStock, ConfirmShipment, CountStock, CreateOrder, RejectShipment
from interlock.domain.estate import (
    Channel,
    Contact,
    Estate,
    FolderIn,
    Node,
    Place,
    RecordKind,
    SourcingPolicy,
    System,
)
from interlock.domain.values import NodeId, Sku, SystemId

POS = System(
    id=SystemId("pos"),
    name="Tills",
    kind="pos",
    owner=Contact(team="stores", escalation="stores@example.test"),
    authority={"order": "decide", "stock": "decide", "fulfillment": "decide"},
    time_zone="America/Chicago",
    currency="USD",
    order_scope="pos",
    states={
        "tendered": "authorized",
        "invoiced": "shipped",
        "shp": "shipped",
        "short": "short_pick",
        "ack": "acknowledged",
    },
)
ESTATE = Estate(
    retailer="Test",
    currency="USD",
    systems={POS.id: POS},
    nodes={
        NodeId("S-1"): Node(
            id=NodeId("S-1"),
            name="Store 1",
            kind="store",
            system=POS.id,
            place=Place(country="US"),
            time_zone="America/Chicago",
            fulfills=("carry_out", "delivery"),
        )
    },
    channels={
        "stores": Channel(
            id="stores", system=POS.id, currency="USD", fulfills=("carry_out",), sourcing=SourcingPolicy(version="1")
        )
    },
    sku_aliases={POS.id: {"000123": Sku("SKU-1")}},
)
MAPPER = Mapper(ESTATE)
SALES = "order_id,channel,placed_at,status,fulfillment,pickup_node,line_no,sku,quantity,unit_price\n"
HEAD = "stores,2026-01-05 13:22:00,invoiced,carry_out,S-1"


def folder(records: RecordKind, **more: object) -> FolderIn:
    return FolderIn(path="in", records=records, **more)  # type: ignore[arg-type]


def read(text: str, records: RecordKind = "sales", **more: object) -> list[Record | Reject]:
    return list(read_records(Table([text.encode()]), POS, folder(records, **more)))


def records_of(found: list[Record | Reject]) -> list[Record]:
    return [item for item in found if isinstance(item, Record)]


def rejects_of(found: list[Record | Reject]) -> list[tuple[int, str, str, str]]:
    return [(item.line, item.field, item.value, item.reason) for item in found if isinstance(item, Reject)]


def test_consecutive_rows_of_one_order_are_one_command() -> None:
    found = read(f"{SALES}10,{HEAD},1,000123,2,3.50\n10,{HEAD},2,SKU-2,1,1.00\n11,{HEAD},1,SKU-3,1,2\n")

    first, second = records_of(found)
    command = MAPPER.command(POS, first.action, first.fields, local_times=True)
    assert isinstance(command, CreateOrder)
    assert (command.order_id, command.fulfillment, command.pickup_node) == ("pos:10", "carry_out", "S-1")
    assert command.placed_at == datetime(2026, 1, 5, 19, 22, tzinfo=UTC)  # 13:22 in Chicago
    assert [(line.line_no, line.sku, line.quantity) for line in command.lines] == [(1, "SKU-1", 2), (2, "SKU-2", 1)]
    assert (command.total, command.captured, command.word) == (Decimal("8"), Decimal("8"), "invoiced")
    assert (first.place, second.place) == ("rows 2-3", "rows 4-4")
    assert first.body == f"10,{HEAD},1,000123,2,3.50\n10,{HEAD},2,SKU-2,1,1.00\n".encode()


def test_a_line_of_quantity_zero_or_below_is_rejected_and_the_order_goes_on() -> None:
    found = read(f"{SALES}10,{HEAD},,SKU-1,0,1\n10,{HEAD},,SKU-2,2,1\n10,{HEAD},,SKU-3,-1,1\n10,{HEAD},,SKU-4,0.00,1\n")

    (order,) = records_of(found)
    assert order.fields["lines"] == [{"quantity": "2", "sku": "SKU-2", "unit_price": "1", "line_no": 2}]
    assert rejects_of(found) == [
        (2, "quantity", "0", "zero_quantity"),
        (4, "quantity", "-1", "negative_quantity"),
        (5, "quantity", "0.00", "zero_quantity"),
    ]
    assert (order.refused, len(order.rows)) == (3, 4)


def test_an_order_left_without_lines_has_that_problem() -> None:
    (order,) = records_of(read(f"{SALES}10,{HEAD},,SKU-1,0,1\n"))

    assert order.problem is not None
    assert order.problem.reason == "no_lines"
    assert order.body == f"10,{HEAD},,SKU-1,0,1\n".encode()


def test_one_sku_twice_in_an_order_stays_two_lines() -> None:
    (order,) = records_of(read(f"{SALES}10,{HEAD},,SKU-1,1,1\n10,{HEAD},,SKU-1,2,1\n"))

    command = MAPPER.command(POS, order.action, order.fields, local_times=True)
    assert isinstance(command, CreateOrder)
    assert [(line.line_no, line.sku, line.quantity) for line in command.lines] == [(1, "SKU-1", 1), (2, "SKU-1", 2)]


def test_the_estate_s_names_and_fixed_values_stand_in_for_columns() -> None:
    found = list(
        read_records(
            Table([b"TRANS;ITEM ;QTY;STORE\n10; SKU-1;1;S-1\n"], delimiter=";"),
            POS,
            folder(
                "sales",
                columns={"order_id": "TRANS", "sku": "ITEM", "quantity": "QTY", "pickup_node": "STORE"},
                fixed={"channel": "stores", "placed_at": "2026-01-05", "fulfillment": "carry_out"},
            ),
        )
    )

    (order,) = records_of(found)
    assert order.fields == {
        "order_id": "10",
        "channel": "stores",
        "placed_at": "2026-01-05",
        "fulfillment": "carry_out",
        "pickup_node": "S-1",
        "currency": "USD",
        "lines": [{"quantity": "1", "sku": "SKU-1", "line_no": 1}],
    }


def test_a_missing_column_makes_the_table_unreadable_and_suggests_the_one_that_was_meant() -> None:
    with pytest.raises(TableUnreadable, match="it has no column 'ORDERID'; is it 'ORDER_ID'\\?"):
        read("ORDER_ID,sku,quantity,channel,placed_at\n", columns={"order_id": "ORDERID"})


def test_rows_of_one_order_that_do_not_agree_about_it_are_a_problem_of_that_order_alone() -> None:
    other = HEAD.replace("invoiced", "tendered")
    found = read(f"{SALES}10,{HEAD},,SKU-1,1,1\n10,{other},,SKU-2,1,1\n11,{HEAD},,SKU-1,1,1\n")

    first, second = records_of(found)
    assert first.problem is not None
    assert (first.problem.reason, second.problem) == ("contradicting_rows", None)
    columns = Columns(SALES.strip().split(","), POS, folder("sales"))
    assert [(r.line, r.field, r.value, r.expected) for r in rejects(first, first.problem, columns)] == [
        (2, "", "", "a record that can be read: see row 3"),
        (3, "status", "tendered", "'invoiced', as the order's first row says"),
    ]


def test_later_rows_of_an_order_may_leave_out_what_the_first_has_said() -> None:
    (order,) = records_of(read(f"{SALES}10,{HEAD},,SKU-1,1,1\n10,,,,,,,SKU-2,1,1\n"))

    assert order.problem is None
    assert len(order.sources) == 2


def test_a_row_without_an_order_number_is_rejected() -> None:
    found = read(f"{SALES}10,{HEAD},,SKU-1,1,1\n,{HEAD},,SKU-2,1,1\n")

    assert rejects_of(found) == [(3, "order_id", "", "missing_value")]
    assert len(records_of(found)) == 1


def test_what_the_mapping_refuses_is_told_by_row_and_by_the_system_s_own_column_name() -> None:
    text = "TRANS,channel,placed_at,sku,QTY,fulfillment,pickup_node\n"
    text += "10,stores,2026-01-05,SKU-1,1,carry_out,S-1\n10,stores,2026-01-05,SKU-2,two,carry_out,S-1\n"
    how = folder("sales", columns={"order_id": "TRANS", "quantity": "QTY"})
    table = Table([text.encode()])
    (order,) = records_of(list(read_records(table, POS, how)))

    with pytest.raises(MappingFailed) as caught:
        MAPPER.command(POS, order.action, order.fields, local_times=True)

    found = rejects(order, caught.value.problem, Columns(table.columns, POS, how))
    assert [(r.line, r.field, r.value) for r in found] == [(2, "", ""), (3, "QTY", "two")]
    assert found[0].expected == "a record that can be read: see row 3"


def test_a_row_of_a_count_is_a_count_and_the_time_stands_in_for_a_reference() -> None:
    found = read("sku,node,counted,occurred_at\n000123,S-1,7,2026-01-05 06:00\n", "stock_counts")

    (count,) = records_of(found)
    command = MAPPER.command(POS, count.action, count.fields, local_times=True)
    assert isinstance(command, CountStock)
    assert (command.sku, command.node, command.counted, command.ref) == ("SKU-1", "S-1", 7, "2026-01-05 06:00")
    assert command.occurred_at == datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_an_adjustment_may_be_negative() -> None:
    (row,) = records_of(read("sku,node,delta,reason,ref\nSKU-1,S-1,-3,broken,A-1\n", "stock_adjustments"))

    command = MAPPER.command(POS, row.action, row.fields, local_times=True)
    assert isinstance(command, AdjustStock)
    assert (command.delta, command.reason, command.ref) == (-3, "broken", "A-1")


WAREHOUSE = "event,assignment,ref,line_no,quantity,warehouse_ref,tracking,carrier,occurred_at\n"


def test_rows_of_one_shipment_are_one_confirmation_with_its_parcels() -> None:
    text = WAREHOUSE + "SHP,pos:10/1,S-9,1,2,,T1,UPS,2026-01-06 09:00\nSHP,pos:10/1,S-9,1,1,,T2,UPS,\n"
    text += "SHP,pos:10/1,S-9,2,4,,T2,UPS,\nSHP,pos:10/1,S-10,,,,T3,,\n"
    first, second = records_of(read(text, "fulfillment"))

    command = MAPPER.command(POS, first.action, first.fields, local_times=True)
    assert isinstance(command, ConfirmShipment)
    assert (command.order_id, command.assignment_no, command.ref, command.word) == ("pos:10", 1, "S-9", "SHP")
    assert [(line.line_no, line.quantity) for line in command.lines] == [(1, 3), (2, 4)]
    assert [(p.tracking, [(u.line_no, u.quantity) for u in p.lines]) for p in command.packages] == [
        ("T1", [(1, 2)]),
        ("T2", [(1, 1), (2, 4)]),
    ]
    whole = MAPPER.command(POS, second.action, second.fields, local_times=True)
    assert isinstance(whole, ConfirmShipment)
    assert (whole.lines, [package.tracking for package in whole.packages]) == ((), ["T3"])


def test_a_short_pick_is_a_rejection_with_that_reason() -> None:
    (row,) = records_of(read(WAREHOUSE + "SHORT,pos:10/2,R-1,1,2,,,,\n", "fulfillment"))

    command = MAPPER.command(POS, row.action, row.fields, local_times=True)
    assert isinstance(command, RejectShipment)
    assert (command.reason, [(u.line_no, u.quantity) for u in command.lines]) == ("short_pick", [(1, 2)])


def test_a_shipment_whose_every_line_is_zero_does_not_become_everything() -> None:
    found = read(WAREHOUSE + "SHP,pos:10/1,S-9,1,0,,,,\n", "fulfillment")

    (row,) = records_of(found)
    assert row.problem is not None
    assert row.problem.reason == "no_lines"
    assert rejects_of(found) == [(2, "quantity", "0", "zero_quantity")]


def test_a_row_without_a_line_among_rows_with_lines_is_a_problem() -> None:
    (row,) = records_of(read(WAREHOUSE + "SHP,pos:10/1,S-9,1,1,,,,\nSHP,pos:10/1,S-9,,1,,,,\n", "fulfillment"))

    assert row.problem is not None
    assert [(error.field, error.expected) for error in row.problem.errors] == [
        ("lines[1].line_no", "the number of a line")
    ]


def test_a_word_that_the_estate_does_not_map_is_a_problem_that_names_it() -> None:
    (row,) = records_of(read(WAREHOUSE + "WAVED,pos:10/1,,,,W-1,,,\n", "fulfillment"))

    assert row.problem is not None
    assert row.problem.reason == "unknown_event"
    assert row.problem.errors[0].value == "WAVED"


def test_an_order_of_more_rows_than_an_order_has_is_a_problem_and_memory_stays_bounded() -> None:
    text = SALES + f"10,{HEAD},,SKU-1,1,1\n" * 25_000
    found = records_of(read(text))

    assert [len(record.rows) for record in found] == [10_000, 10_000, 5_000]
    assert [record.problem and record.problem.reason for record in found] == [None, "too_many_rows", "too_many_rows"]
