"""reservation.hold."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from interlock.domain.commands import AdjustStock, HoldReservation
from interlock.domain.model import State
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    NOW,
    ORDER,
    SHIRT,
    SHOES,
    STORE,
    TILL,
    WEST,
    WEST_WMS,
    Stage,
    cancel,
    confirm,
    counts,
    create,
    kinds,
    make_estate,
    told,
    troubles,
    units,
)


def hold(*pairs: tuple[int, int], ref: str = "again", node: str | None = None) -> HoldReservation:
    return HoldReservation(order_id=ORDER, ref=ref, lines=units(*pairs), node=node)


def arrive(stage: Stage, sku: str, node: str, delta: int, ref: str = "truck") -> None:
    stage.does(AdjustStock(sku=sku, node=node, ref=ref, delta=delta))


def test_a_backorder_is_filled_and_released_when_stock_has_come() -> None:
    stage = Stage({(SHIRT, EAST): 1})
    stage.does(create((SHIRT, 3)))
    arrive(stage, SHIRT, WEST, 5)

    decision = stage.does(hold())

    assert kinds(decision) == ["units.allocated", "assignment.released"]
    assert told(decision) == [(WEST_WMS, "shipment.release", 2)]
    assert counts(stage.line()) == {"released": 3}
    assert stage.order.wake_at is None
    assert stage.stock(SHIRT, WEST) == (5, 0, 2)


def test_a_hold_of_named_units_leaves_the_others_open() -> None:
    stage = Stage()
    stage.does(create((SHIRT, 3), (SHOES, 1)))
    arrive(stage, SHIRT, EAST, 9)
    arrive(stage, SHOES, EAST, 9)

    stage.does(hold((1, 1), (1, 1)))

    assert [counts(line) for line in stage.order.lines.values()] == [{"open": 1, "released": 2}, {"open": 1}]


def test_a_hold_at_a_node_takes_only_from_that_node() -> None:
    stage = Stage()
    stage.does(create((SHIRT, 3)))
    arrive(stage, SHIRT, EAST, 9)
    arrive(stage, SHIRT, STORE, 2)

    decision = stage.does(hold(node=STORE))

    assert told(decision) == [(TILL, "shipment.release", 1)]
    assert counts(stage.line()) == {"open": 1, "released": 2}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (hold(node="moon"), "unknown_node"),
        (hold((9, 1)), "no_line"),
        (hold((1, 4)), "not_open"),
        (hold((1, 2), (1, 2)), "not_open"),
    ],
)
def test_a_hold_that_cannot_be_meant_is_refused(command: HoldReservation, reason: str) -> None:
    stage = Stage()
    stage.does(create((SHIRT, 3)))

    assert stage.refuses(command) == reason


def test_a_hold_where_no_unit_is_open_is_stale() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))
    assert stage.ignores(hold()).reason == "released"
    stage.does(cancel())
    assert stage.ignores(hold(ref="b")).reason == "canceled"


def test_every_vain_attempt_is_counted_until_a_person_is_asked() -> None:
    stage = Stage(estate=make_estate(policy={"backorder_attempts_max": 3, "backorder_retry_s": 60.0}))
    stage.does(create((SHIRT, 1)))

    stage.pass_time(minutes=5)
    second = stage.does(hold(ref="2"))
    assert (stage.order.hold_attempts, stage.order.wake_at) == (2, NOW + timedelta(minutes=6))
    assert second.troubles == []

    third = stage.does(hold(ref="3"))
    assert (stage.order.hold_attempts, stage.order.wake_at) == (3, None)
    assert troubles(third) == [("backorder_exhausted", ORDER)]
    assert stage.order.state == State.AUTHORIZED


def test_an_order_that_is_not_paid_for_is_held_and_not_released() -> None:
    stage = Stage()
    stage.does(create((SHIRT, 1), authorized=Decimal(0)))
    assert stage.order.state == State.CREATED
    arrive(stage, SHIRT, EAST, 1)

    assert kinds(stage.does(hold())) == ["units.allocated"]
    assert counts(stage.line()) == {"allocated": 1}


def test_shipped_units_do_not_hinder_that_open_ones_are_held() -> None:
    stage = Stage({(SHIRT, EAST): 1})
    stage.does(create((SHIRT, 2)))
    stage.does(confirm(), by=EAST_WMS)
    assert stage.order.wake_at == NOW + timedelta(hours=1)
    arrive(stage, SHIRT, EAST, 1)

    stage.does(hold())

    assert counts(stage.line()) == {"released": 1, "shipped": 1}
