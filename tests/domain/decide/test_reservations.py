"""reservation.hold and reservation.cancel."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from interlock.domain.commands import AdjustStock, CancelReservation, HoldReservation
from interlock.domain.model import State
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    NOW,
    OFFICE,
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
    moves,
    pack,
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


def take_back(*pairs: tuple[int, int], ref: str = "back", **changes: Any) -> CancelReservation:
    return CancelReservation(order_id=ORDER, ref=ref, lines=units(*pairs), **changes)


def test_released_units_that_are_taken_back_are_open_again_and_their_node_is_told() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))

    decision = stage.does(take_back((1, 2)))

    assert kinds(decision) == ["reservation.canceled"]
    assert counts(stage.line()) == {"open": 2, "released": 1}
    assert counts(stage.order.reservations[1, 1]) == {"released": 1, "rejected": 2}
    assert moves(decision) == [("unreserve", SHIRT, EAST, 0, 0, -2)]
    assert stage.stock(SHIRT, EAST) == (3, 0, 1)
    assert told(decision) == [(EAST_WMS, "shipment.cancel", 1)]
    assert decision.answered == []


def test_allocated_units_go_back_before_released_ones_and_in_silence() -> None:
    stage = Stage({(SHIRT, EAST): 3}, estate=make_estate(channel={"release": "by_command"}))
    stage.does(create((SHIRT, 3)))

    decision = stage.does(take_back())

    assert counts(stage.line()) == {"open": 3}
    assert (told(decision), stage.stock(SHIRT, EAST)) == ([], (3, 0, 0))


def test_an_assignment_that_holds_nothing_any_more_awaits_no_answer() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))

    assert stage.does(take_back()).answered == [1]
    assert stage.order.assignment_state(1) == State.CANCELED


def test_what_was_taken_back_is_sourced_again_after_the_policy_s_wait() -> None:
    stage = Stage({(SHIRT, EAST): 3}, estate=make_estate(policy={"backorder_retry_s": 60.0}))
    stage.does(create((SHIRT, 3)))

    stage.does(take_back())
    assert (stage.order.wake_at, stage.order.hold_attempts) == (NOW + timedelta(seconds=60), 0)

    stage.does(hold())
    assert (counts(stage.line()), stage.order.wake_at) == ({"released": 3}, None)


def test_a_node_that_is_excluded_is_left_out_when_the_units_are_sourced_again() -> None:
    stage = Stage({(SHIRT, EAST): 3, (SHIRT, WEST): 3})
    stage.does(create((SHIRT, 3)))

    decision = stage.does(take_back(exclude=True))
    assert [(x.node, x.reason, x.until) for x in decision.exclusions] == [
        (EAST, "reservation_canceled", NOW + timedelta(days=1))
    ]
    assert told(stage.does(hold())) == [(WEST_WMS, "shipment.release", 2)]


def test_only_the_assignment_that_is_named_is_taken_back() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHIRT, WEST): 1})
    stage.does(create((SHIRT, 3)))

    decision = stage.does(take_back(assignment_no=2))

    assert told(decision) == [(WEST_WMS, "shipment.cancel", 2)]
    assert [counts(r) for r in stage.order.reservations.values()] == [{"released": 2}, {"rejected": 1}]


def test_packed_units_are_too_late_to_be_taken_back() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))
    stage.does(pack((1, 2)))

    assert stage.refuses(take_back((1, 2))) == "too_late"
    stage.does(take_back((1, 1)))
    assert counts(stage.line()) == {"open": 1, "packed": 2}
    assert stage.refuses(take_back(ref="more")) == "too_late"
    stage.does(confirm())
    assert stage.refuses(take_back(ref="gone")) == "not_held"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (take_back((9, 1)), "no_line"),
        (take_back((1, 4)), "not_held"),
        (take_back(assignment_no=7), "no_assignment"),
    ],
)
def test_units_that_are_not_held_cannot_be_taken_back(command: CancelReservation, reason: str) -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))

    assert stage.refuses(command) == reason


def test_only_who_oversees_all_nodes_may_take_units_back() -> None:
    stage = Stage({(SHIRT, EAST): 1})
    stage.does(create((SHIRT, 1)))

    assert stage.refuses(take_back(), by=EAST_WMS) == "no_authority"
    stage.does(take_back(), by=OFFICE)


def test_what_is_taken_back_of_an_unknown_order_waits_for_it() -> None:
    decision = Stage().send(take_back())

    assert (decision.outcome, decision.waits_for) == ("parked", ORDER)
