"""shipment.release, .acknowledge, .pack, .confirm and .reject."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from interlock.domain.commands import CreateOrder, HoldReservation, IssueRefund, LineUnits, Package, ReleaseShipment
from interlock.domain.events import UnitsBackordered, UnitsShipped
from interlock.domain.model import Parcel, State
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    NOW,
    ORDER,
    PLACED,
    SHIRT,
    SHOES,
    STORE,
    WEST,
    WEST_WMS,
    Stage,
    acknowledge,
    cancel,
    confirm,
    counts,
    create,
    kinds,
    make_estate,
    moves,
    pack,
    reject,
    told,
    troubles,
    units,
)

BY_COMMAND = make_estate(channel={"release": "by_command"})


def release(number: int | None = None, ref: str = "go") -> ReleaseShipment:
    return ReleaseShipment(order_id=ORDER, assignment_no=number, ref=ref)


def released(quantity: int = 2) -> Stage:
    """An order of that many shirts, released to east, which has no more of them."""
    stage = Stage({(SHIRT, EAST): quantity})
    stage.does(create((SHIRT, quantity)))
    return stage


def split(order: CreateOrder | None = None) -> Stage:
    """Shirts held at east (assignment 1) and shoes at west (2), both waiting for a command."""
    stage = Stage({(SHIRT, EAST): 2, (SHOES, WEST): 1}, estate=BY_COMMAND)
    stage.does(order or create((SHIRT, 2), (SHOES, 1)))
    return stage


def test_all_assignments_are_released_at_once_or_one_by_one() -> None:
    stage = split()
    assert told(stage.does(release(2))) == [(WEST_WMS, "shipment.release", 2)]
    assert [counts(line) for line in stage.order.lines.values()] == [{"allocated": 2}, {"released": 1}]
    assert told(stage.does(release(ref="rest"))) == [(EAST_WMS, "shipment.release", 1)]

    assert told(split().does(release())) == [(EAST_WMS, "shipment.release", 1), (WEST_WMS, "shipment.release", 2)]


def test_a_release_of_nothing_is_refused_or_stale() -> None:
    stage = split()
    assert stage.refuses(release(3)) == "nothing_allocated"
    stage.does(release())
    assert stage.ignores(release(ref="b")).explanation == "already released"
    stage.does(cancel())
    assert stage.refuses(release(ref="c")) == "order_over"


def test_the_release_of_an_order_without_stock_waits_for_its_allocation() -> None:
    stage = Stage(estate=BY_COMMAND)
    stage.does(create((SHIRT, 1)))

    assert stage.parks(release()) == "allocation"
    assert stage.refuses(release(1)) == "nothing_allocated"  # nobody can know this number yet


def test_an_acknowledgment_stops_the_clock_and_brings_the_node_s_own_number() -> None:
    stage = released()

    decision = stage.does(acknowledge(warehouse_ref="W-77"), by=EAST_WMS)

    assert kinds(decision) == ["assignment.acknowledged"]
    assert decision.answered == [1]
    assert (stage.order.assignments[1].acknowledged_at, stage.order.assignments[1].warehouse_ref) == (NOW, "W-77")


def test_the_acknowledgment_of_what_was_not_released_waits_for_its_release() -> None:
    stage = split()

    assert stage.parks(acknowledge(), by=EAST_WMS) == "release"
    stage.does(release(2))
    assert stage.parks(acknowledge(), by=EAST_WMS) == "release"
    stage.does(release(1, ref="go-1"))
    assert kinds(stage.does(acknowledge(), by=EAST_WMS)) == ["assignment.acknowledged"]


@pytest.mark.parametrize("command", [acknowledge(9), pack(number=9), confirm(number=9), reject(number=9)])
def test_an_assignment_that_the_order_does_not_have_is_refused(command: object) -> None:
    assert released().refuses(command) == "no_assignment"


@pytest.mark.parametrize("command", [acknowledge(), pack(), confirm(), reject(), release()])
def test_what_a_node_says_before_the_order_is_known_is_parked(command: object) -> None:
    assert Stage().send(command).outcome == "parked"


def test_units_are_packed_some_first_and_then_the_rest() -> None:
    stage = released(3)

    first = stage.does(pack((1, 1)), by=EAST_WMS)
    assert kinds(first) == ["assignment.acknowledged", "units.packed"]
    assert counts(stage.line()) == {"released": 2, "packed": 1}

    rest = stage.does(pack(ref="pack-2"), by=EAST_WMS)
    assert kinds(rest) == ["units.packed"]
    assert counts(stage.line()) == {"packed": 3}
    assert stage.ignores(pack(ref="pack-3"), by=EAST_WMS).explanation == "already packed"


def test_more_units_than_are_there_to_pack_are_refused() -> None:
    stage = released(2)
    assert stage.refuses(pack((1, 3)), by=EAST_WMS) == "not_held"
    assert stage.refuses(pack((2, 1)), by=EAST_WMS) == "no_line"
    stage.does(pack((1, 1)), by=EAST_WMS)
    assert stage.refuses(pack((1, 1), (1, 1)), by=EAST_WMS) == "not_held"


def test_units_that_were_canceled_cannot_be_packed() -> None:
    stage = released()
    stage.does(cancel())

    assert stage.refuses(pack(), by=EAST_WMS) == "assignment_over"


def test_a_confirmation_ships_what_is_held_and_answers_the_release() -> None:
    stage = released()
    boxes = (
        Package(tracking="T1", carrier="UPS", lines=(LineUnits(1, 1),)),
        Package(tracking="T2", lines=(LineUnits(1, 1),)),
    )

    decision = stage.does(confirm(occurred_at=PLACED, packages=boxes, carrier="DHL", word="manifested"), by=EAST_WMS)

    assert kinds(decision) == ["assignment.acknowledged", "units.shipped"]
    assert (decision.answered, decision.troubles, decision.notices) == ([1], [], [])
    assert moves(decision) == [("ship", SHIRT, EAST, -2, 0, -2)]
    assert stage.stock(SHIRT, EAST) == (0, 0, 0)
    assert (counts(stage.line()), stage.order.state) == ({"shipped": 2}, State.SHIPPED)
    shipment = stage.order.shipments[1]
    assert (shipment.ref, shipment.shipped_at, shipment.units) == ("ship-1", PLACED, ((1, 2),))
    assert shipment.packages == (
        Parcel(package_no=1, tracking="T1", carrier="UPS"),
        Parcel(package_no=2, tracking="T2", carrier="DHL"),
    )
    assert isinstance(decision.events[1], UnitsShipped)
    assert decision.events[1].word == "manifested"
    assert stage.order.wake_at == NOW


def test_an_assignment_ships_in_several_shipments() -> None:
    stage = released(3)

    stage.does(confirm((1, 1), ref="s1"), by=EAST_WMS)
    assert counts(stage.line()) == {"released": 2, "shipped": 1}
    stage.does(confirm((1, 1), (1, 1), ref="s2"), by=EAST_WMS)

    assert counts(stage.line()) == {"shipped": 3}
    assert [(s.ref, s.units) for s in stage.order.shipments.values()] == [("s1", ((1, 1),)), ("s2", ((1, 2),))]


def test_packed_units_ship_before_those_that_are_not_packed() -> None:
    stage = released(3)
    stage.does(pack((1, 1)), by=EAST_WMS)

    stage.does(confirm((1, 1)), by=EAST_WMS)

    assert counts(stage.line()) == {"released": 2, "shipped": 1}


def test_a_late_acknowledgment_after_the_goods_left_changes_nothing() -> None:
    stage = released()
    stage.does(confirm(), by=EAST_WMS)

    assert stage.ignores(acknowledge(), by=EAST_WMS).troubles == []


def test_goods_that_left_before_their_release_are_believed_and_shown_to_a_person() -> None:
    stage = split()

    decision = stage.does(confirm(), by=EAST_WMS)

    assert counts(stage.line()) == {"shipped": 2}
    assert troubles(decision) == [("shipped_without_release", "shop:1/1")]
    assert stage.stock(SHIRT, EAST) == (0, 0, 0)


def test_goods_that_left_after_they_were_canceled_are_shipped_all_the_same() -> None:
    stage = released()
    stage.does(cancel())
    assert stage.stock(SHIRT, EAST) == (2, 0, 0)

    decision = stage.does(confirm((1, 2)), by=EAST_WMS)

    assert moves(decision) == [("ship", SHIRT, EAST, -2, 0, 0)]
    assert counts(stage.line()) == {"shipped": 2}
    assert troubles(decision) == [("shipped_after_cancel", "shop:1/1/ship-1")]
    assert stage.stock(SHIRT, EAST) == (0, 0, 0)


def test_held_units_ship_before_canceled_ones() -> None:
    stage = released(3)
    stage.does(cancel((1, 1)))

    decision = stage.does(confirm((1, 3)), by=EAST_WMS)

    event = decision.events[1]
    assert isinstance(event, UnitsShipped)
    assert (event.units, event.after_cancel) == (units((1, 2)), units((1, 1)))
    assert moves(decision) == [("ship", SHIRT, EAST, -3, 0, -2)]


def test_a_confirmation_of_nothing_after_a_cancellation_is_stale() -> None:
    stage = released()
    stage.does(cancel())

    assert stage.ignores(confirm(), by=EAST_WMS).reason == "nothing_held"


def test_canceled_units_whose_money_went_back_stay_canceled_when_they_ship() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), captured=Decimal(20)))
    stage.does(cancel())
    stage.does(IssueRefund(order_id=ORDER, ref="r", amount=Decimal(20)))

    decision = stage.ignores(confirm((1, 2)), by=EAST_WMS)

    assert troubles(decision) == [("over_shipped", "shop:1/1/ship-1")]
    assert counts(stage.line()) == {"canceled": 2}


def test_more_than_the_node_held_ships_what_was_held_and_asks_a_person() -> None:
    stage = released(2)

    decision = stage.does(confirm((1, 5)), by=EAST_WMS)

    assert counts(stage.line()) == {"shipped": 2}
    assert troubles(decision) == [("over_shipped", "shop:1/1/ship-1")]
    assert decision.troubles[0].explanation == "shop:1/1: 3 of line 1 shipped beyond what the node held"


def test_shipping_again_under_another_number_is_stale_and_shown_to_a_person() -> None:
    stage = released(2)
    stage.does(confirm((1, 2), ref="s1"), by=EAST_WMS)

    assert troubles(stage.ignores(confirm((1, 2), ref="s2"), by=EAST_WMS)) == [("over_shipped", "shop:1/1/s2")]
    assert troubles(stage.ignores(confirm((1, 2), ref="s1"), by=EAST_WMS)) == []
    assert troubles(stage.ignores(confirm(ref="s3"), by=EAST_WMS)) == []


def test_a_line_that_the_node_does_not_hold_cannot_be_confirmed() -> None:
    stage = split()

    assert stage.refuses(confirm((2, 1), number=1), by=EAST_WMS) == "no_line"


@pytest.mark.parametrize(
    ("reason", "physical", "unsellable"),
    [("short_pick", 0, 0), ("not_found", 0, 0), ("damaged", 2, 2), ("refused", 2, 0)],
)
def test_a_rejection_corrects_the_stock_by_its_reason(reason: str, physical: int, unsellable: int) -> None:
    stage = released(2)

    decision = stage.does(reject(reason=reason), by=EAST_WMS)

    assert moves(decision) == [(reason, SHIRT, EAST, physical - 2, unsellable, -2)]
    assert stage.stock(SHIRT, EAST) == (physical, unsellable, 0)
    assert decision.answered == [1]


def test_a_short_pick_excludes_the_node_for_that_sku_and_is_filled_elsewhere_at_once() -> None:
    stage = Stage({(SHIRT, EAST): 9, (SHIRT, WEST): 2})
    stage.does(create((SHIRT, 2)))

    decision = stage.does(reject((1, 1)), by=EAST_WMS)

    assert kinds(decision) == [
        "assignment.acknowledged",
        "units.rejected",
        "units.allocated",
        "assignment.released",
    ]
    assert moves(decision) == [("short_pick", SHIRT, EAST, -1, 0, -1), ("reserve", SHIRT, WEST, 0, 0, 1)]
    assert told(decision) == [(WEST_WMS, "shipment.release", 2)]
    (excluded,) = decision.exclusions
    assert (excluded.sku, excluded.node, excluded.reason) == (SHIRT, EAST, "short_pick")
    assert excluded.until == NOW + timedelta(days=1)
    assert counts(stage.order.reservations[1, 1]) == {"released": 1, "rejected": 1}
    assert counts(stage.order.reservations[1, 2]) == {"released": 1}
    assert counts(stage.line()) == {"released": 2}


def test_the_excluded_node_is_asked_again_when_its_time_is_over() -> None:
    stage = Stage({(SHIRT, EAST): 9}, estate=make_estate(policy={"exclusion_s": 60.0}))
    stage.does(create((SHIRT, 1)))
    stage.does(reject(), by=EAST_WMS)
    assert counts(stage.line()) == {"open": 1}
    stage.pass_time(seconds=59)
    stage.does(HoldReservation(order_id=ORDER, ref="1"))
    assert counts(stage.line()) == {"open": 1}
    stage.pass_time(seconds=1)
    stage.does(HoldReservation(order_id=ORDER, ref="2"))
    assert counts(stage.line()) == {"released": 1}


def test_a_rejection_that_nobody_else_can_fill_is_a_backorder() -> None:
    stage = released(2)

    decision = stage.does(reject(), by=EAST_WMS)

    assert isinstance(decision.events[-1], UnitsBackordered)
    assert counts(stage.line()) == {"open": 2}
    assert stage.order.wake_at == NOW + timedelta(hours=1)
    assert stage.order.state == State.AUTHORIZED


def test_a_rejection_takes_units_that_are_not_packed_first() -> None:
    stage = released(2)
    stage.does(pack((1, 1)), by=EAST_WMS)

    stage.does(reject((1, 1)), by=EAST_WMS)

    assert counts(stage.line()) == {"open": 1, "packed": 1}


def test_a_rejection_sources_only_the_lines_that_it_speaks_of() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHIRT, STORE): 2})
    stage.does(create((SHIRT, 2), (SHOES, 1)))
    assert [counts(line) for line in stage.order.lines.values()] == [{"released": 2}, {"open": 1}]

    decision = stage.does(reject(), by=EAST_WMS)

    assert [counts(line) for line in stage.order.lines.values()] == [{"released": 2}, {"open": 1}]
    assert "units.backordered" not in kinds(decision)
    assert stage.order.wake_at == NOW + timedelta(hours=1)  # the shoes are still waited for


def test_more_than_is_held_cannot_be_rejected() -> None:
    stage = released(2)
    assert stage.refuses(reject((1, 3)), by=EAST_WMS) == "not_held"
    stage.does(confirm(), by=EAST_WMS)
    assert stage.ignores(reject(), by=EAST_WMS).reason == "shipped"


def test_units_that_ship_after_the_node_rejected_them_are_shown_to_a_person() -> None:
    stage = released(2)
    stage.does(reject(), by=EAST_WMS)

    decision = stage.ignores(confirm((1, 2)), by=EAST_WMS)

    assert (decision.reason, troubles(decision)) == ("nothing_held", [("over_shipped", "shop:1/1/ship-1")])


def test_an_acknowledgment_of_what_was_canceled_is_stale() -> None:
    stage = released()
    stage.does(cancel())

    assert stage.ignores(acknowledge(), by=EAST_WMS).reason == "canceled"


def test_a_canceled_unit_that_ships_after_the_others_is_taken_down_and_shown() -> None:
    stage = released(2)
    stage.does(confirm((1, 1), ref="s1"), by=EAST_WMS)
    stage.does(cancel((1, 1)))

    decision = stage.does(confirm((1, 1), ref="s2"), by=EAST_WMS)

    assert troubles(decision) == [("shipped_after_cancel", "shop:1/1/s2")]
    assert (stage.line().shipped, stage.line().canceled) == (2, 0)
    assert [(m.kind, m.physical, m.reserved) for m in decision.movements] == [("ship", -1, 0)]
