"""The stock that the demo begins with."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from interlock.demo.stock import DC, QUICK, Count, Demand, initial_counts


def test_a_till_s_shelf_has_what_it_will_sell_but_for_a_few_positions_one_unit_short() -> None:
    demand = Demand(till=Counter({("STORE-1", str(sku)): 3 for sku in range(2000)}))

    counts = list(initial_counts(demand, seed=1))

    assert Counter(count.counted for count in counts) == {Decimal(3): 1992, Decimal(2): 8}


def test_fuel_is_counted_in_whole_gallons_with_ten_to_spare() -> None:
    demand = Demand(pump={("STORE-1", "7-GAL"): Decimal("20.598")})

    assert list(initial_counts(demand, seed=1)) == [Count("7-GAL", "STORE-1", Decimal(31), "gallon")]


def test_shipped_skus_lie_in_the_warehouses_and_most_are_enough() -> None:
    demand = Demand(shipped=Counter({str(sku): 10 for sku in range(1000)}))

    held: dict[str, dict[str, int]] = {}
    for count in initial_counts(demand, seed=1):
        held.setdefault(count.sku, {})[count.node] = int(count.counted)

    assert len(held) == 1000
    kinds = Counter(tuple(sorted(nodes.items())) for nodes in held.values())
    assert set(kinds) == {((QUICK, 6), (DC, 9)), ((QUICK, 11),), ((QUICK, 5),)}
    assert kinds[((QUICK, 5),)] == 11  # hot: half of what is asked for


def test_what_a_store_does_not_have_for_shipping_lies_in_a_warehouse() -> None:
    demand = Demand(local=Counter({("STORE-1", str(sku)): 1 for sku in range(400)}))

    nodes = Counter(count.node for count in initial_counts(demand, seed=1))

    assert nodes["STORE-1"] + nodes[DC] + nodes[QUICK] == 400
    assert nodes["STORE-1"] == 337
