"""order.create, .authorize, .capture, .cancel and .close."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from interlock.domain.commands import (
    AdjustStock,
    AuthorizeOrder,
    CaptureOrder,
    CloseOrder,
    HoldReservation,
    ReleaseShipment,
    VoidOrder,
)
from interlock.domain.decide import answer
from interlock.domain.estate import Buffer
from interlock.domain.events import OrderCreated, UnitsBackordered, UnitsCanceled
from interlock.domain.model import State
from interlock.domain.values import OrderId
from tests.domain.worlds import (
    EAST,
    EAST_WMS,
    NOW,
    ORDER,
    PLACED,
    SHIRT,
    SHOES,
    SHOP,
    STORE,
    TEA,
    TILL,
    WEST,
    WEST_WMS,
    Stage,
    cancel,
    check_units,
    confirm,
    counts,
    create,
    kinds,
    make_estate,
    moves,
    pack,
    reject,
    sale,
    told,
    troubles,
    units,
)


def test_an_order_is_accepted_reserved_and_released_in_one_decision() -> None:
    stage = Stage({(SHIRT, EAST): 5, (SHIRT, WEST): 5})

    decision = stage.does(create((SHIRT, 2), captured=Decimal(20)), by=SHOP)

    assert kinds(decision) == [
        "order.created",
        "payment.authorized",
        "payment.captured",
        "units.allocated",
        "assignment.released",
    ]
    assert moves(decision) == [("reserve", SHIRT, EAST, 0, 0, 2)]
    assert [m.cause for m in decision.movements] == ["shop:1/4/1"]
    assert told(decision) == [(EAST_WMS, "shipment.release", 1)]
    assert decision.given == [EAST]
    assert counts(stage.line()) == {"released": 2}
    assert (stage.order.state, stage.order.system, stage.order.seq) == (State.RELEASED, SHOP, 5)
    assert (stage.order.payment.authorized, stage.order.payment.captured) == (Decimal(20), Decimal(20))
    assert decision.answer == {
        "order_id": ORDER,
        "state": "released",
        "seq": 5,
        "assignments": [{"assignment": "shop:1/1", "node": EAST}],
    }


def test_a_release_tells_the_node_what_to_ship_and_where() -> None:
    stage = Stage({(SHIRT, EAST): 5, (SHOES, EAST): 5})

    (notice,) = stage.does(create((SHIRT, 2), (SHOES, 1))).notices

    assert (notice.seq, notice.answer_within_s) == (4, 14_400.0)
    assert msgspec.json.decode(notice.body) == {
        "message": "shipment.release",
        "id": "shop:1/4/1",
        "assignment": "shop:1/1",
        "order": "shop:1",
        "node": "east",
        "number": "1",
        "fulfillment": "delivery",
        "destination": {
            "country": "US",
            "region": "OH",
            "postal_code": "43004",
            "latitude": 40.0,
            "longitude": -83.0,
        },
        "pickup_node": None,
        "lines": [
            {"line_no": 1, "sku": "SHIRT", "quantity": 2, "uom": "each"},
            {"line_no": 2, "sku": "SHOES", "quantity": 1, "uom": "each"},
        ],
        "released_at": "2024-05-06T16:00:00Z",
    }


def test_an_order_that_no_node_fills_alone_is_split_into_assignments() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHOES, WEST): 1})

    decision = stage.does(create((SHIRT, 2), (SHOES, 1)))

    assert told(decision) == [(EAST_WMS, "shipment.release", 1), (WEST_WMS, "shipment.release", 2)]
    assert {n: a.node for n, a in stage.order.assignments.items()} == {1: EAST, 2: WEST}
    assert decision.given == [EAST, WEST]


def test_an_order_that_is_known_is_not_created_again() -> None:
    stage = Stage({(SHIRT, EAST): 5})
    stage.does(create((SHIRT, 1)))

    assert stage.ignores(create((SHIRT, 2))).reason == "released"


def test_an_order_of_an_unknown_channel_is_refused() -> None:
    stage = Stage({(SHIRT, EAST): 2})

    assert stage.refuses(create((SHIRT, 1), channel="fax")) == "unknown_channel"
    assert stage.world.orders == {}


def test_an_order_that_its_channel_does_not_fulfill_is_refused() -> None:
    assert Stage().refuses(create((SHIRT, 1), fulfillment="carry_out", pickup_node=STORE)) == "not_fulfilled"


@pytest.mark.parametrize("fulfillment", ["bopis", "ship_to_store"])
def test_an_order_to_be_collected_needs_a_node_that_we_know(fulfillment: str) -> None:
    stage = Stage({(SHIRT, STORE): 2})

    assert stage.refuses(create((SHIRT, 1), fulfillment=fulfillment)) == "no_pickup_node"
    assert stage.refuses(create((SHIRT, 1), fulfillment=fulfillment, pickup_node="moon")) == "unknown_node"


def test_an_order_cannot_come_with_more_captured_than_authorized() -> None:
    stage = Stage({(SHIRT, EAST): 2})

    assert stage.refuses(create((SHIRT, 1), authorized=Decimal(5), captured=Decimal("5.01"))) == "over_captured"


def test_an_order_collected_in_store_is_filled_by_that_store_alone() -> None:
    stage = Stage({(SHIRT, EAST): 5, (SHIRT, STORE): 1})

    decision = stage.does(create((SHIRT, 2), fulfillment="bopis", pickup_node=STORE))

    assert moves(decision) == [("reserve", SHIRT, STORE, 0, 0, 1)]
    assert counts(stage.line()) == {"open": 1, "released": 1}


def test_an_order_shipped_to_a_store_goes_from_the_node_nearest_to_the_store() -> None:
    stage = Stage({(SHIRT, EAST): 5, (SHIRT, WEST): 5})

    stage.does(create((SHIRT, 2), fulfillment="ship_to_store", pickup_node=STORE))

    assert [a.node for a in stage.order.assignments.values()] == [WEST]  # east is nearest to the customer's home


def test_a_sale_at_the_till_is_shipped_at_once_whatever_our_stock_says() -> None:
    stage = Stage({(SHIRT, STORE): 1})
    sold = OrderId("till:7")

    decision = stage.does(sale((SHIRT, 3), order_id=sold), by=TILL)

    order = stage.world.orders[sold]
    assert kinds(decision) == [
        "order.created",
        "payment.authorized",
        "payment.captured",
        "units.allocated",
        "units.shipped",
    ]
    assert moves(decision) == [("sale", SHIRT, STORE, -3, 0, 0)]
    assert stage.stock(SHIRT, STORE) == (-2, 0, 0)
    assert (order.state, order.shipments[1].shipped_at, order.wake_at) == (State.SHIPPED, PLACED, NOW)
    assert told(decision) == []


def test_units_that_nobody_has_are_backordered_and_tried_again() -> None:
    stage = Stage({(SHIRT, EAST): 1}, estate=make_estate(policy={"backorder_retry_s": 60.0}))

    decision = stage.does(create((SHIRT, 3)))

    backordered = next(e for e in decision.events if isinstance(e, UnitsBackordered))
    assert backordered.units == units((1, 2))
    assert backordered.retry_at == stage.order.wake_at == NOW + timedelta(seconds=60)
    assert counts(stage.line()) == {"open": 2, "released": 1}
    assert (stage.order.state, stage.order.hold_attempts) == (State.AUTHORIZED, 1)


def test_units_that_nobody_has_are_canceled_where_the_policy_says_so() -> None:
    stage = Stage({(SHIRT, EAST): 1}, estate=make_estate(policy={"unfillable": "cancel"}))

    decision = stage.does(create((SHIRT, 3)))

    assert next(e for e in decision.events if isinstance(e, UnitsCanceled)) == UnitsCanceled(
        ref="", reason="unfillable", open=units((1, 2))
    )
    assert counts(stage.line()) == {"released": 1, "canceled": 2}


def test_an_order_that_nothing_can_fill_is_canceled_whole_and_wakes_to_be_closed() -> None:
    stage = Stage(estate=make_estate(policy={"unfillable": "cancel"}))

    stage.does(create((SHIRT, 3)))

    assert (stage.order.state, stage.order.wake_at) == (State.CANCELED, NOW)


def test_an_order_that_must_ship_complete_waits_until_everything_is_there() -> None:
    stage = Stage({(SHIRT, EAST): 1}, estate=make_estate(policy={"complete": True}))

    decision = stage.does(create((SHIRT, 1), (SHOES, 1)))

    assert decision.movements == []
    assert [counts(line) for line in stage.order.lines.values()] == [{"open": 1}, {"open": 1}]


def test_a_buffer_is_not_sold() -> None:
    stage = Stage({(SHIRT, EAST): 5}, estate=make_estate(buffers=(Buffer(units=3),)))

    stage.does(create((SHIRT, 4)))

    assert counts(stage.line()) == {"open": 2, "released": 2}
    assert stage.world.position(SHIRT, EAST).sellable == 0


def test_an_order_is_sourced_elsewhere_when_a_node_has_all_the_orders_of_its_day() -> None:
    stage = Stage({(SHIRT, EAST): 9, (SHIRT, WEST): 9}, estate=make_estate(capacities={EAST: 2}))

    for number in range(4):
        stage.does(create((SHIRT, 1), order_id=OrderId(f"shop:{number}")))

    nodes = [stage.world.orders[OrderId(f"shop:{number}")].assignments[1].node for number in range(4)]
    assert nodes == [EAST, EAST, WEST, WEST]


@pytest.mark.parametrize(
    ("mode", "authorized", "state"),
    [
        ("at_once", Decimal(0), "released"),
        ("when_authorized", Decimal(0), "allocated"),
        ("when_authorized", Decimal("19.99"), "allocated"),
        ("when_authorized", Decimal(20), "released"),
        ("by_command", Decimal(20), "allocated"),
    ],
)
def test_the_channel_says_when_nodes_are_told(mode: str, authorized: Decimal, state: str) -> None:
    stage = Stage({(SHIRT, EAST): 2}, estate=make_estate(channel={"release": mode}))

    decision = stage.does(create((SHIRT, 2), authorized=authorized))

    assert counts(stage.line()) == {state: 2}
    assert len(decision.notices) == (state == "released")


def test_an_authorization_that_covers_the_order_releases_what_waited_for_it() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), authorized=Decimal(0)))

    first = stage.does(AuthorizeOrder(order_id=ORDER, ref="a1", amount=Decimal(15)))
    second = stage.does(AuthorizeOrder(order_id=ORDER, ref="a2", amount=Decimal(5)))

    assert (kinds(first), told(first)) == (["payment.authorized"], [])
    assert kinds(second) == ["payment.authorized", "assignment.released"]
    assert told(second) == [(EAST_WMS, "shipment.release", 1)]
    assert counts(stage.line()) == {"released": 2}


def test_an_authorization_releases_nothing_where_releases_come_by_command() -> None:
    stage = Stage({(SHIRT, EAST): 2}, estate=make_estate(channel={"release": "by_command"}))
    stage.does(create((SHIRT, 2), authorized=Decimal(0)))

    assert kinds(stage.does(AuthorizeOrder(order_id=ORDER, ref="a1", amount=Decimal(20)))) == ["payment.authorized"]
    assert counts(stage.line()) == {"allocated": 2}


def test_a_canceled_order_takes_no_further_authorization() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    stage.does(cancel())

    assert stage.refuses(AuthorizeOrder(order_id=ORDER, ref="a2", amount=Decimal(5))) == "order_over"


def test_captures_add_up_to_what_was_authorized_and_not_to_a_cent_more() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    stage.does(CaptureOrder(order_id=ORDER, ref="p1", amount=Decimal("12.50")))
    assert stage.refuses(CaptureOrder(order_id=ORDER, ref="p2", amount=Decimal("7.51"))) == "over_captured"
    stage.does(CaptureOrder(order_id=ORDER, ref="p3", amount=Decimal("7.50")))

    assert stage.order.payment.captured == stage.order.payment.authorized == Decimal(20)


def test_a_canceled_order_gives_its_stock_back_and_tells_the_node() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    decision = stage.does(cancel(reason="changed my mind"))

    assert kinds(decision) == ["units.canceled"]
    assert moves(decision) == [("unreserve", SHIRT, EAST, 0, 0, -2)]
    assert told(decision) == [(EAST_WMS, "shipment.cancel", 1)]
    assert msgspec.json.decode(decision.notices[0].body) == {
        "message": "shipment.cancel",
        "id": "shop:1/5/1",
        "assignment": "shop:1/1",
        "order": "shop:1",
        "node": "east",
        "lines": [{"line_no": 1, "sku": "SHIRT", "quantity": 2}],
        "at": "2024-05-06T16:00:00Z",
    }
    assert stage.stock(SHIRT, EAST) == (2, 0, 0)
    assert (stage.order.state, stage.order.wake_at) == (State.CANCELED, NOW)
    assert "too_late" not in decision.answer


def test_canceling_what_was_not_released_tells_nobody() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), authorized=Decimal(0)))

    assert told(stage.does(cancel())) == []
    assert stage.stock(SHIRT, EAST) == (2, 0, 0)


def test_one_line_is_canceled_and_the_other_goes_on() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHOES, EAST): 1})
    stage.does(create((SHIRT, 2), (SHOES, 1)))

    stage.does(cancel((2, 1)))

    assert [counts(line) for line in stage.order.lines.values()] == [{"released": 2}, {"canceled": 1}]
    assert stage.order.state == State.RELEASED


def test_open_units_are_canceled_before_allocated_ones_and_those_before_released_ones() -> None:
    stage = Stage({(SHIRT, EAST): 1}, estate=make_estate(channel={"release": "by_command"}))
    stage.does(create((SHIRT, 3)))
    stage.does(ReleaseShipment(order_id=ORDER, ref="go"))
    stage.world.position(SHIRT, WEST).physical = stage.world.position(SHIRT, WEST).sellable = 1
    stage.does(HoldReservation(order_id=ORDER, ref="again"))
    assert counts(stage.line()) == {"open": 1, "allocated": 1, "released": 1}

    assert told(stage.does(cancel((1, 1), ref="c1"))) == []
    assert counts(stage.line()) == {"allocated": 1, "released": 1, "canceled": 1}
    assert told(stage.does(cancel((1, 1), ref="c2"))) == []
    assert counts(stage.line()) == {"released": 1, "canceled": 2}
    assert told(stage.does(cancel((1, 1), ref="c3"))) == [(EAST_WMS, "shipment.cancel", 1)]
    assert counts(stage.line()) == {"canceled": 3}


def test_a_line_named_twice_in_a_cancellation_counts_twice() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))

    stage.does(cancel((1, 1), (1, 1)))

    assert counts(stage.line()) == {"released": 1, "canceled": 2}


def test_a_line_held_twice_at_one_node_is_canceled_by_movements_of_different_causes() -> None:
    stage = Stage({(SHIRT, EAST): 1})
    stage.does(create((SHIRT, 3)))
    stage.does(AdjustStock(sku=SHIRT, node=EAST, ref="truck", delta=2))
    stage.does(HoldReservation(order_id=ORDER, ref="again"))
    assert [(r.node, r.released) for r in stage.order.reservations.values()] == [(EAST, 1), (EAST, 2)]

    decision = stage.does(cancel())

    assert moves(decision) == [("unreserve", SHIRT, EAST, 0, 0, -1), ("unreserve", SHIRT, EAST, 0, 0, -2)]
    assert len({m.cause for m in decision.movements}) == 2
    assert told(decision) == [(EAST_WMS, "shipment.cancel", 1), (EAST_WMS, "shipment.cancel", 2)]


def test_packed_units_are_too_late_to_cancel() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    stage.does(pack(), by=EAST_WMS)

    assert stage.refuses(cancel()) == "too_late"
    assert counts(stage.line()) == {"packed": 2}


def test_what_is_too_late_is_named_in_the_answer_and_shown_to_a_person() -> None:
    stage = Stage({(SHIRT, EAST): 3})
    stage.does(create((SHIRT, 3)))
    stage.does(pack((1, 2)), by=EAST_WMS)

    decision = stage.does(cancel())

    assert counts(stage.line()) == {"packed": 2, "canceled": 1}
    assert decision.answer["too_late"] == [{"line_no": 1, "quantity": 2}]
    assert troubles(decision) == [("cancel_too_late", "c-1")]


def test_shipped_units_cannot_be_canceled() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    stage.does(confirm(), by=EAST_WMS)

    assert stage.refuses(cancel()) == "too_late"


def test_canceling_twice_is_stale() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    stage.does(cancel())

    decision = stage.ignores(cancel(ref="c-2"))

    assert (decision.reason, decision.explanation, decision.troubles) == ("canceled", "already canceled", [])
    assert decision.answer == answer(stage.order)


def test_a_line_that_the_order_does_not_have_cannot_be_canceled() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))

    assert stage.refuses(cancel((9, 1))) == "no_line"


def test_a_command_about_an_order_that_is_not_known_yet_is_parked() -> None:
    stage = Stage()

    decision = stage.send(cancel())

    assert (decision.outcome, decision.waits_for) == ("parked", ORDER)
    assert decision.answer == {"order_id": ORDER, "waits_for": ORDER}


def test_an_order_is_closed_when_all_units_have_reached_an_end() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2)))
    assert stage.refuses(CloseOrder(order_id=ORDER, ref="x1")) == "not_settled"
    stage.does(confirm(), by=EAST_WMS)
    assert stage.order.wake_at == NOW

    decision = stage.does(CloseOrder(order_id=ORDER, ref="x2"))

    assert kinds(decision) == ["order.closed"]
    assert (stage.order.state, stage.order.closed_at, stage.order.wake_at) == (State.CLOSED, NOW, None)
    assert stage.ignores(CloseOrder(order_id=ORDER, ref="x3")).reason == "closed"


def test_an_order_with_open_units_is_not_settled() -> None:
    stage = Stage()
    stage.does(create((TEA, 1)))

    assert stage.refuses(CloseOrder(order_id=ORDER, ref="x1")) == "not_settled"


def test_a_channel_that_never_closes_orders_by_time_sets_no_timer() -> None:
    stage = Stage({(SHIRT, EAST): 2}, estate=make_estate(channel={"close_after_s": None}))
    stage.does(create((SHIRT, 2)))

    stage.does(confirm(), by=EAST_WMS)

    assert stage.order.wake_at is None


def test_the_created_event_keeps_the_source_s_words_and_zone() -> None:
    stage = Stage({(SHIRT, EAST): 2})

    decision = stage.does(create((SHIRT, 2), word="tendered", time_zone="America/Chicago", customer="c-9"))

    event = decision.events[0]
    assert isinstance(event, OrderCreated)
    assert (event.word, event.time_zone, event.customer) == ("tendered", "America/Chicago", "c-9")
    assert (event.placed_at, event.created_at) == (PLACED, NOW)


def test_units_are_conserved_through_the_whole_life_of_an_order() -> None:
    stage = Stage({(SHIRT, EAST): 2, (SHIRT, WEST): 5, (SHOES, WEST): 1})
    stage.does(create((SHIRT, 4), (SHOES, 2)))
    stage.does(pack((1, 1)), by=WEST_WMS)
    stage.does(confirm((1, 1)), by=WEST_WMS)
    stage.does(reject((1, 1)), by=WEST_WMS)
    stage.does(cancel((2, 1)))

    check_units(stage.world.orders.values(), stage.world.positions)


def void(amount: str, ref: str = "v-1") -> VoidOrder:
    return VoidOrder(order_id=ORDER, ref=ref, amount=Decimal(amount))


def test_an_authorization_is_given_up_as_far_as_it_is_not_captured() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), captured=Decimal(5)))

    decision = stage.does(void("15"))

    assert kinds(decision) == ["payment.voided"]
    assert (stage.order.payment.authorized, stage.order.payment.captured) == (5, 5)
    assert decision.movements == []


def test_no_more_can_be_given_up_than_is_authorized_and_not_captured() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), captured=Decimal(5)))

    assert stage.refuses(void("15.01")) == "over_voided"


def test_giving_up_what_is_not_authorized_yet_waits_for_the_authorization() -> None:
    stage = Stage({(SHIRT, EAST): 2})
    stage.does(create((SHIRT, 2), authorized=Decimal(5)))

    early = stage.send(void("20"))
    assert (early.outcome, early.waits_for) == ("parked", "authorization")
    assert stage.refuses(void("20.01")) == "over_voided"


def test_an_order_whose_authorization_is_given_up_is_not_authorized_any_more() -> None:
    stage = Stage()
    stage.does(create((SHIRT, 2)))
    assert stage.order.state == State.AUTHORIZED

    stage.does(void("0.01"))

    assert stage.order.state == State.CREATED
