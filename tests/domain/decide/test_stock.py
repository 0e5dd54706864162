"""stock.adjust and stock.count."""

from __future__ import annotations

from decimal import Decimal

from interlock.domain.commands import AdjustStock, CountStock
from interlock.domain.estate import Buffer
from tests.domain.worlds import EAST, EAST_WMS, SHIRT, TEA, WEST, Stage, create, make_estate, moves


def test_an_adjustment_changes_the_stock_by_so_many_units() -> None:
    stage = Stage({(SHIRT, EAST): 5})

    more = stage.does(AdjustStock(sku=SHIRT, node=EAST, ref="t1", delta=7), by=EAST_WMS)
    less = stage.does(AdjustStock(sku=SHIRT, node=EAST, ref="t2", delta=-2), by=EAST_WMS)

    assert moves(more) == [("adjust", SHIRT, EAST, 7, 0, 0)]
    assert [m.cause for m in less.movements] == ["adjust/t2"]
    assert less.answer == {"sku": SHIRT, "node": EAST, "change": -2, "physical": 10, "sellable": 10}
    assert less.order_id is None


def test_a_position_that_nobody_has_seen_before_begins_empty() -> None:
    stage = Stage(estate=make_estate(buffers=(Buffer(units=4, node="west"),)))

    decision = stage.does(AdjustStock(sku=SHIRT, node=WEST, ref="t1", delta=10))

    assert decision.answer == {"sku": SHIRT, "node": WEST, "change": 10, "physical": 10, "sellable": 6}
    assert stage.world.position(SHIRT, WEST).exists is False


def test_a_count_moves_the_difference_and_leaves_what_is_reserved_reserved() -> None:
    stage = Stage({(SHIRT, EAST): 5})
    stage.does(create((SHIRT, 2)))

    decision = stage.does(CountStock(sku=SHIRT, node=EAST, ref="c1", counted=4), by=EAST_WMS)

    assert moves(decision) == [("count", SHIRT, EAST, -1, 0, 0)]
    assert decision.answer == {"sku": SHIRT, "node": EAST, "change": -1, "physical": 4, "sellable": 2}
    assert stage.stock(SHIRT, EAST) == (4, 0, 2)


def test_a_count_that_agrees_is_a_movement_of_nothing() -> None:
    stage = Stage({(SHIRT, EAST): 5})

    decision = stage.does(CountStock(sku=SHIRT, node=EAST, ref="c1", counted=5))

    assert moves(decision) == [("count", SHIRT, EAST, 0, 0, 0)]


def test_stock_may_fall_below_what_is_promised_because_outside_truth_counts() -> None:
    stage = Stage({(SHIRT, EAST): 5})
    stage.does(create((SHIRT, 4)))

    stage.does(CountStock(sku=SHIRT, node=EAST, ref="c1", counted=1))

    assert stage.stock(SHIRT, EAST) == (1, 0, 4)
    assert stage.world.position(SHIRT, EAST).sellable == -3


def test_stock_in_decimals_is_counted_exactly() -> None:
    stage = Stage({(TEA, EAST): Decimal("1.5")})

    stage.does(CountStock(sku=TEA, node=EAST, ref="c1", counted=Decimal("0.25"), uom="kg"))

    assert stage.stock(TEA, EAST) == (Decimal("0.25"), 0, 0)


def test_stock_at_a_node_that_the_estate_does_not_have_is_refused() -> None:
    stage = Stage()

    assert stage.refuses(AdjustStock(sku=SHIRT, node="moon", ref="t1", delta=1)) == "unknown_node"
    assert stage.refuses(CountStock(sku=SHIRT, node="moon", ref="c1", counted=1)) == "unknown_node"
    assert stage.world.positions == {}
