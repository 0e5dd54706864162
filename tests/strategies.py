"""The one home of hypothesis generators.

`values_of` makes any struct from its own annotations, so that a new command, event or field is tested on the day it is born.
`stories` are things that can happen to a small world: not all of them make sense, as in life.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from interlock.domain.commands import (
    AcknowledgeShipment,
    AdjustStock,
    AnyCommand,
    AuthorizeOrder,
    AuthorizeReturn,
    CancelOrder,
    CancelReservation,
    CancelReturn,
    CaptureOrder,
    CloseOrder,
    ConfirmShipment,
    CountStock,
    CreateOrder,
    HoldReservation,
    IssueRefund,
    LineUnits,
    PackShipment,
    Received,
    ReceiveReturn,
    RejectShipment,
    ReleaseShipment,
    VoidOrder,
)
from interlock.domain.values import OrderId
from tests.domain.worlds import EAST, SHIRT, SHOES, STORE, WEST, create, sale

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
"""Text with everything that JSON can carry: quotes, controls, emoji; no lone surrogates."""

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
AMOUNTS = st.decimals(Decimal(0), Decimal(10) ** 9, places=2)


def values_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any value of a msgspec struct type, by the types of its fields."""
    return _of(inspect.type_info(kind))


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType():
            fields = {field.name: _of(field.type) for field in info.fields}
            return st.builds(info.cls, **fields)
        case inspect.UnionType():
            return st.one_of([_of(option) for option in info.types])
        case inspect.VarTupleType():
            return st.lists(_of(info.item_type), max_size=3).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=3)
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.StrType():
            return TEXTS
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            return st.integers(-(10**12), 10**12)
        case inspect.FloatType():
            return st.floats(-180, 180)
        case inspect.DecimalType():
            return st.decimals(Decimal(-(10**9)), Decimal(10) ** 9, places=4)
        case inspect.DateTimeType():
            return TIMES
        case inspect.NoneType():
            return st.none()
        case inspect.RawType():
            return TEXTS.map(msgspec.json.encode).map(msgspec.Raw)
        case _:
            raise TypeError(f"no generator for {info}: add it to tests/strategies.py")


ORDERS = st.sampled_from([OrderId("shop:1"), OrderId("shop:2"), OrderId("till:1")])
NODES = st.sampled_from([EAST, WEST, STORE])
SKUS = st.sampled_from([SHIRT, SHOES])
FEW = st.integers(1, 4)
LINE_UNITS = st.builds(LineUnits, st.sampled_from([1, 1, 1, 2, 2, 3]), FEW)
SOME_LINES = st.lists(LINE_UNITS, max_size=3).map(tuple)
A_LINE_OR_MORE = st.lists(LINE_UNITS, min_size=1, max_size=3).map(tuple)
MONEY = st.sampled_from([Decimal("0.01"), Decimal(5), Decimal(10), Decimal(30), Decimal(80)])
DISPOSITIONS = st.sampled_from(["restock", "damaged", "scrap"])
CREATES = st.builds(
    lambda order_id, lines, authorized, captured: (
        sale(*lines, order_id=order_id)
        if order_id.startswith("till")
        else create(*lines, order_id=order_id, authorized=authorized, captured=min(captured, authorized))
    ),
    ORDERS,
    st.lists(st.tuples(SKUS, FEW), min_size=1, max_size=3),
    st.sampled_from([Decimal(0), Decimal(30), Decimal(500)]),
    st.sampled_from([Decimal(0), Decimal(30)]),
)
_ASSIGNMENTS = {"order_id": ORDERS, "assignment_no": st.sampled_from([1, 1, 1, 2, 2, 3])}
ANY_STEP: st.SearchStrategy[AnyCommand] = st.one_of(
    CREATES,
    st.builds(AuthorizeOrder, order_id=ORDERS, amount=MONEY),
    st.builds(CaptureOrder, order_id=ORDERS, amount=MONEY),
    st.builds(VoidOrder, order_id=ORDERS, amount=MONEY),
    st.builds(HoldReservation, order_id=ORDERS, lines=SOME_LINES, node=st.none() | NODES),
    st.builds(CancelReservation, order_id=ORDERS, lines=SOME_LINES, exclude=st.booleans()),
    st.builds(CancelReservation, **_ASSIGNMENTS),
    st.builds(ReleaseShipment, order_id=ORDERS, assignment_no=st.none() | st.integers(1, 3)),
    st.builds(AcknowledgeShipment, **_ASSIGNMENTS, warehouse_ref=st.sampled_from(["", "W1"])),
    st.builds(PackShipment, **_ASSIGNMENTS, lines=SOME_LINES),
    st.builds(ConfirmShipment, **_ASSIGNMENTS, lines=SOME_LINES),
    st.builds(
        RejectShipment,
        **_ASSIGNMENTS,
        lines=SOME_LINES,
        reason=st.sampled_from(["short_pick", "damaged", "not_found", "refused"]),
    ),
    st.builds(CancelOrder, order_id=ORDERS, lines=SOME_LINES),
    st.builds(AuthorizeReturn, order_id=ORDERS, lines=A_LINE_OR_MORE),
    st.builds(CancelReturn, order_id=ORDERS, return_ref=st.integers(0, 30).map("step-{}".format)),
    st.builds(
        ReceiveReturn,
        order_id=ORDERS,
        node=NODES,
        return_ref=st.sampled_from(["", *(f"step-{step}" for step in range(12))]),
        lines=st.lists(
            st.builds(Received, line_no=st.sampled_from([1, 1, 2]), quantity=FEW, disposition=DISPOSITIONS),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    st.builds(IssueRefund, order_id=ORDERS, amount=MONEY, lines=SOME_LINES),
    st.builds(CloseOrder, order_id=ORDERS),
    st.builds(AdjustStock, sku=SKUS, node=NODES, ref=st.just(""), delta=st.integers(-3, 8)),
    st.builds(CountStock, sku=SKUS, node=NODES, ref=st.just(""), counted=st.integers(0, 9)),
)


def stories(steps_max: int = 30) -> st.SearchStrategy[list[AnyCommand]]:
    """What happens, in order: two orders from the start, then anything. Every fact has its own `ref`."""
    first = st.tuples(CREATES, CREATES)
    rest = st.lists(ANY_STEP, min_size=3, max_size=steps_max)
    return st.tuples(first, rest).map(
        lambda both: [
            command if isinstance(command, CreateOrder) else msgspec.structs.replace(command, ref=f"step-{step}")
            for step, command in enumerate([*both[0], *both[1]])
        ]
    )
