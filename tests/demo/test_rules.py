"""What becomes of a basket and of each of its lines."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from interlock.demo import rules
from interlock.demo.baskets import Basket, Row

AT = datetime(2017, 7, 1, 16, tzinfo=UTC)
BREAD = Row(1, 2, Decimal("3.00"))
FUEL = Row(6_534_178, 10_598, Decimal("24.79"), gasoline=True)
PREPAID_FUEL = Row(6_533_765, 1, Decimal("15.00"), gasoline=True)
COUPON = Row(9, 0, Decimal(0), coupon=True, known=False)
VOIDED = Row(1, 0, Decimal(0))
STRANGE = Row(9, 1, Decimal("1.00"), known=False)


@pytest.mark.parametrize(
    ("row", "web", "till", "tendered"),
    [
        (BREAD, "web_line", "till_line", "tendered_line"),
        (FUEL, "pump_line", "pump_line", "pump_line"),
        (PREPAID_FUEL, "pump_line", "pump_line", "pump_line"),
        (COUPON, "zero_quantity_coupon", "zero_quantity_exported", "zero_quantity_exported"),
        (VOIDED, "zero_quantity_item", "zero_quantity_exported", "zero_quantity_exported"),
        (STRANGE, "not_in_catalog", "till_line", "tendered_line"),
    ],
)
def test_every_line_has_one_outcome_by_what_it_is_and_where_it_was_bought(
    row: Row, web: str, till: str, tendered: str
) -> None:
    found = [rules.outcome_of(row, at_till, later) for at_till, later in ((False, False), (True, False), (True, True))]

    assert found == [web, till, tendered]
    assert {web, till, tendered} <= rules.ROW_OUTCOMES.keys()


def test_fuel_whose_unit_costs_next_to_nothing_is_sold_by_the_gallon_under_a_sku_of_its_own() -> None:
    assert rules.units_of(FUEL) == (Decimal("10.598"), "gallon")
    assert rules.sku_of(FUEL) == "6534178-GAL"
    assert rules.unit_price(FUEL) == Decimal("2.3391")
    assert rules.total_of([FUEL]) == Decimal("24.7898")


def test_prepaid_fuel_is_sold_by_the_piece() -> None:
    assert rules.units_of(PREPAID_FUEL) == (1, "each")
    assert rules.sku_of(PREPAID_FUEL) == "6533765"


def test_a_total_is_the_exact_sum_of_quantity_times_unit_price() -> None:
    third = Row(2, 3, Decimal("1.00"))

    assert rules.unit_price(third) == Decimal("0.3333")
    assert rules.total_of([BREAD, third]) == Decimal("3.9999")


def test_the_busiest_stores_are_tills_and_the_lower_number_wins_a_tie() -> None:
    baskets = {store: 10 for store in range(1, 97)} | {500: 11}

    assert rules.till_stores(baskets) == {500, *range(1, 16)}


def test_few_stores_still_leave_most_of_them_to_the_web() -> None:
    assert rules.till_stores({7: 1, 8: 2}) == {8}


def test_the_road_of_a_basket_follows_from_its_number_and_the_seed_alone() -> None:
    baskets = [Basket(number, 1, 1, AT, (BREAD,)) for number in range(4000)]
    roads = [rules.road(basket, 1) for basket in baskets]

    assert roads == [rules.road(basket, 1) for basket in baskets]
    assert roads != [rules.road(basket, 2) for basket in baskets]
    assert {road: roads.count(road) for road in dict(rules.ROADS)} == {
        "delivery": 3029, "ship_from_store": 228, "bopis": 374, "ship_to_store": 369,
    }  # fmt: skip


def test_a_basket_with_fuel_is_never_fetched_later() -> None:
    numbers = [n for n in range(1000) if rules.is_tendered(Basket(n, 1, 1, AT, (BREAD,)), 1)]

    assert len(numbers) == 26
    assert not any(rules.is_tendered(Basket(n, 1, 1, AT, (BREAD, FUEL)), 1) for n in numbers)


@pytest.mark.parametrize(
    ("longitude", "region"), [(-96.5, "west"), (-90.0, "central"), (-83.5, "east"), (-77.0, "east")]
)
def test_regions_begin_at_their_western_edge(longitude: float, region: str) -> None:
    assert rules.region_at(longitude) == region
