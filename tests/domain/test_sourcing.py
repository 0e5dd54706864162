"""Sourcing: every filter by example, and the choice itself against trying all sets of nodes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.domain.estate import DAYS, Estate, Node, Opening, Place, SourcingPolicy, Zone
from interlock.domain.sourcing import REASONS, Pick, Plan, Receipt, Request, Sourcing, StockSeen, Want

NOON = datetime(2024, 5, 6, 16, tzinfo=UTC)  # a Monday, 12:00 in New York
POLICY = SourcingPolicy(version="v7")
HOME = Place(country="US", region="OH", latitude=40.0, longitude=-83.0)
DAYTIME = (Opening(days=DAYS, opens=time(9), closes=time(21)),)


def node(id: str, **changes: Any) -> Node:
    fields: dict[str, Any] = {
        "name": id, "kind": "dc", "system": "wms", "place": HOME, "time_zone": "America/New_York",
        "fulfills": ("delivery", "bopis", "ship_to_store", "carry_out"),
    }  # fmt: skip
    return Node(id=id, **{**fields, **changes})


def estate(*nodes: Node, zones: tuple[Zone, ...] = ()) -> Estate:
    return Estate(
        retailer="r", currency="USD", systems={}, nodes={n.id: n for n in nodes}, channels={}, zones=zones
    )  # fmt: skip


def asks(*wants: tuple[Any, Any], **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "channel": "web",
        "fulfillment": "delivery",
        "destination": HOME,
        "pickup_node": None,
    }
    lines = tuple(Want(place, sku, quantity) for place, (sku, quantity) in enumerate(wants, 1))
    return Request(wants=lines, **{**fields, **changes})


def holding(**rows: dict[str, Any]) -> dict[Any, dict[Any, StockSeen]]:
    """SKU -> node -> units."""
    return {
        sku: {n: v if isinstance(v, StockSeen) else StockSeen(v) for n, v in row.items()} for sku, row in rows.items()
    }


def planned(
    world: Estate,
    request: Request,
    stock: Any,
    policy: SourcingPolicy = POLICY,
    load: Any = None,
    now: datetime = NOON,
) -> Plan:
    return Sourcing(world).plan(policy, request, stock, load or {}, now)


def refused_alone(reason: str, changes: dict[str, Any], **arguments: Any) -> None:
    """Node a is refused for this reason although it holds everything; b, which is only far, fills."""
    far = Place(country="US", latitude=10.0, longitude=-83.0)
    request = arguments.pop("request", asks(("A", 1)))
    plan = planned(
        estate(node("a", **changes), node("b", place=far)), request, holding(A={"a": 5, "b": 5}), **arguments
    )
    assert plan.receipt.refused == {"a": reason}
    assert plan.receipt.refusals == {reason: 1}
    assert plan.receipt.candidates == ("b",)
    assert plan.picks == (Pick(1, "b", 1),)


def test_one_node_that_has_everything_fills_the_whole_order() -> None:
    plan = planned(
        estate(node("a"), node("b")),
        asks(("A", 2), ("B", 3)),
        holding(A={"a": 1, "b": 2}, B={"a": 3, "b": 9}),
    )
    assert plan.picks == (Pick(1, "b", 2), Pick(2, "b", 3))
    assert plan.unfilled == ()
    assert plan.receipt.outcome == "filled"
    assert plan.receipt.nodes == 1
    assert plan.receipt.candidates == ("a", "b")
    assert plan.receipt.stock_seen == {"A": {"b": 2, "a": 1}, "B": {"b": 9, "a": 3}}
    assert plan.receipt.rule == "v7"


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("paused", {"paused": True}),
        ("channel", {"channels": ("store",)}),
        ("fulfillment", {"fulfills": ("bopis",)}),
        ("sku_refused", {"skus_refused": ("A*",)}),
        ("sku_refused", {"skus_allowed": ("B", "C*")}),
        ("capacity", {"capacity_orders_per_day": 0}),
    ],
)
def test_a_node_is_refused_by_what_the_estate_says_of_it(reason: str, changes: dict[str, Any]) -> None:
    refused_alone(reason, changes)


def test_a_store_does_not_ship_where_the_policy_says_so_but_is_still_collected_from() -> None:
    policy = msgspec.structs.replace(POLICY, ship_from_store=False)
    refused_alone("not_store_eligible", {"kind": "store"}, policy=policy)
    world = estate(node("a", kind="store"))
    bopis = asks(("A", 1), fulfillment="bopis", pickup_node="a")
    assert planned(world, bopis, holding(A={"a": 1}), policy).picks == (Pick(1, "a", 1),)


def test_a_node_with_its_days_orders_is_refused_and_one_short_of_it_is_not() -> None:
    refused_alone("capacity", {"capacity_orders_per_day": 3}, load={"a": 3})
    plan = planned(estate(node("a", capacity_orders_per_day=3)), asks(("A", 1)), holding(A={"a": 1}), load={"a": 2})
    assert plan.receipt.outcome == "filled"


def test_an_excluded_sku_is_refused_until_the_exclusion_ends() -> None:
    world = estate(node("a"), node("b"))
    stock = holding(A={"a": StockSeen(5, NOON), "b": StockSeen(5, NOON + timedelta(seconds=1))})
    plan = planned(world, asks(("A", 5)), stock)
    assert plan.picks == (Pick(1, "a", 5),)
    assert plan.receipt.refused == {"b": "excluded"}


def test_a_candidate_that_may_not_give_one_sku_still_gives_the_other() -> None:
    stock = holding(A={"a": StockSeen(5, NOON + timedelta(days=1))}, B={"a": 5})
    plan = planned(estate(node("a")), asks(("A", 1), ("B", 2)), stock)
    assert plan.picks == (Pick(2, "a", 2),)
    assert plan.unfilled == ((1, 1),)
    assert plan.receipt.refused == {}
    assert plan.receipt.sku_refusals == {"A": {"a": "excluded"}}
    assert plan.receipt.outcome == "partial"


def test_nodes_without_stock_are_counted_and_those_with_an_empty_row_are_named() -> None:
    plan = planned(estate(node("a"), node("b"), node("c")), asks(("A", 1)), holding(A={"a": 0, "b": -2}))
    assert plan.receipt.refused == {"a": "no_stock", "b": "no_stock"}
    assert plan.receipt.refusals == {"no_stock": 3}
    assert plan.receipt.outcome == "nothing"
    assert plan.picks == ()
    assert plan.unfilled == ((1, 1),)


def test_a_row_of_a_node_that_the_estate_no_longer_has_is_refused_not_an_error() -> None:
    plan = planned(estate(node("a")), asks(("A", 1)), holding(A={"a": 1, "gone": 9}))
    assert plan.receipt.refused == {"gone": "unknown_node"}
    assert plan.receipt.refusals == {"unknown_node": 1}
    assert planned(estate(node("a")), asks(("A", 1), only_node="gone"), {}).receipt.refused == {"gone": "unknown_node"}


@pytest.mark.parametrize(
    ("local", "within_h", "open_"),
    [
        ("2024-05-06T08:59", 0, False), ("2024-05-06T09:00", 0, True), ("2024-05-06T20:59", 0, True),
        ("2024-05-06T21:00", 0, False), ("2024-05-06T07:00", 2, True), ("2024-05-06T06:59", 2, False),
        ("2024-05-06T21:00", 24, True), ("2024-05-06T21:00", 12, True), ("2024-05-06T21:00", 11.99, False),
    ],
)  # fmt: skip
def test_a_node_must_be_open_or_open_within_the_policys_time(local: str, within_h: float, open_: bool) -> None:
    assert is_open(node("a", hours=DAYTIME), local, within_h) is open_


@pytest.mark.parametrize(
    ("local", "open_"),
    [
        ("2024-05-10T23:30", True),
        ("2024-05-11T01:59", True),
        ("2024-05-11T02:00", False),
        ("2024-05-11T23:30", False),
    ],
)
def test_hours_past_midnight_belong_to_the_day_they_begin_on(local: str, open_: bool) -> None:
    friday = (Opening(days=("fri",), opens=time(22), closes=time(2)),)
    assert is_open(node("a", hours=friday), local, 0) is open_


def test_equal_opening_and_closing_times_mean_the_whole_day() -> None:
    sunday = (Opening(days=("sun",), opens=time(0), closes=time(0)),)
    at = ["2024-05-04T23:59", "2024-05-05T00:00", "2024-05-05T23:59", "2024-05-06T00:00"]
    assert [is_open(node("a", hours=sunday), local, 0) for local in at] == [False, True, True, False]


def test_hours_follow_the_change_of_clocks() -> None:
    """New York put its clocks forward on 2024-03-10: 09:00 was 14:00 UTC the day before, 13:00 UTC then."""
    world = Sourcing(estate(node("a", hours=DAYTIME)))
    policy = msgspec.structs.replace(POLICY, opens_within_h=0)
    seen = []
    for at in (
        "2024-03-09T13:30",
        "2024-03-09T14:00",
        "2024-03-10T12:59",
        "2024-03-10T13:00",
        "2024-03-09T13:30",
    ):
        now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        plan = world.plan(policy, asks(("A", 1)), holding(A={"a": 1}), {}, now)
        seen.append(plan.receipt.outcome == "filled")
    assert seen == [False, True, False, True, False]


def test_a_closed_node_says_so() -> None:
    policy = msgspec.structs.replace(POLICY, opens_within_h=1)
    night = NOON + timedelta(hours=12)
    refused_alone("closed", {"hours": DAYTIME}, policy=policy, now=night)
    never = (Opening(days=(), opens=time(9), closes=time(21)),)
    refused_alone("closed", {"hours": never}, policy=msgspec.structs.replace(POLICY, opens_within_h=1000))


def is_open(n: Node, local: str, within_h: float) -> bool:
    now = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(n.time_zone)).astimezone(UTC)
    policy = msgspec.structs.replace(POLICY, opens_within_h=within_h)
    return planned(estate(n), asks(("A", 1)), holding(A={"a": 1}), policy, now=now).receipt.outcome == "filled"


def test_only_the_pickup_node_fills_what_the_customer_collects() -> None:
    world = estate(node("a", handling_cost=Decimal("2.5")), node("b"), node("c"))
    plan = planned(world, asks(("A", 3), fulfillment="bopis", pickup_node="a"), holding(A={"a": 2, "b": 9}))
    assert plan.picks == (Pick(1, "a", 2),)
    assert plan.unfilled == ((1, 1),)
    assert plan.receipt.cost == Decimal("2.5")
    assert plan.receipt.refused == {"b": "pickup_node"}
    assert plan.receipt.refusals == {"pickup_node": 2}
    nobody = planned(world, asks(("A", 3), fulfillment="bopis"), holding(A={"a": 2}))
    assert (nobody.picks, nobody.receipt.refusals) == ((), {"pickup_node": 3})


def test_a_named_node_is_the_only_one_considered_and_still_has_to_pass_every_filter() -> None:
    world = estate(node("a"), node("b", paused=True), node("c"))
    stock = holding(A={"a": 9, "b": 9, "c": 9})
    plan = planned(world, asks(("A", 1), only_node="c"), stock)
    assert plan.picks == (Pick(1, "c", 1),)
    assert plan.receipt.refused == {"a": "only_node", "b": "only_node"}
    paused = planned(world, asks(("A", 1), only_node="b"), stock)
    assert paused.picks == ()
    assert paused.receipt.refused == {"a": "only_node", "b": "paused", "c": "only_node"}
    elsewhere = planned(world, asks(("A", 1), only_node="c", fulfillment="bopis", pickup_node="a"), stock)
    assert elsewhere.picks == ()
    assert elsewhere.receipt.refused["c"] == "pickup_node"


def test_the_one_node_allowed_is_named_however_many_others_hold_the_goods() -> None:
    names = [f"n{place:02}" for place in range(40)]
    stock = holding(A=dict.fromkeys(names[:20], 1), B=dict.fromkeys(names[20:], 1))
    world = estate(*map(node, names), node("z", paused=True))
    plan = planned(world, asks(("A", 1), ("B", 1), only_node="z"), stock)
    assert plan.receipt.refused == dict.fromkeys(names[:19], "only_node") | {"z": "paused"}
    assert plan.receipt.refusals == {"only_node": 40, "paused": 1}


def test_ship_to_store_ships_to_the_pickup_nodes_place_and_costs_nothing_from_there() -> None:
    far = Place(country="US", latitude=30.0, longitude=-83.0)
    near_far = Place(country="US", latitude=30.1, longitude=-83.0)
    world = estate(node("at_home"), node("near", place=near_far), node("store", place=far))
    request = asks(("A", 1), fulfillment="ship_to_store", pickup_node="store")
    plan = planned(world, request, holding(A={"at_home": 1, "near": 1}))
    assert plan.picks == (Pick(1, "near", 1),)
    assert plan.receipt.cost == Decimal("0.1112")  # 11.119 km at 0.01
    own = planned(world, request, holding(A={"at_home": 1, "near": 1, "store": 1}))
    assert (own.picks[0].node, own.receipt.cost) == ("store", Decimal(0))


def test_distance_costs_kilometres_and_an_unknown_place_counts_as_the_far_side_of_the_earth() -> None:
    away = Place(country="US", latitude=41.0, longitude=-83.0)
    world = estate(node("a", place=away), node("b", place=Place(country="US"), handling_cost=Decimal("0.5")))
    plan = planned(world, asks(("A", 1)), holding(A={"a": 1, "b": 1}))
    assert plan.receipt.costs == {"a": Decimal("1.1120"), "b": Decimal("200.8800")}
    assert plan.receipt.cost == Decimal("1.1120")


def test_the_first_zone_that_matches_sets_the_cost_and_none_is_a_million() -> None:
    zones = (
        Zone(origin="OH", destination="O*", cost=Decimal("4.25")),
        Zone(origin="*", destination="OH", cost=Decimal(9)),
    )
    world = estate(node("a"), node("b", place=Place(country="US", region="TX")), zones=zones)
    policy = msgspec.structs.replace(POLICY, cost="zone")
    stock = holding(A={"a": 1, "b": 1})
    assert planned(world, asks(("A", 1)), stock, policy).receipt.costs == {
        "a": Decimal("4.25"),
        "b": Decimal(9),
    }
    west = asks(("A", 1), destination=Place(country="US", region="CA"))
    assert planned(world, west, stock, policy).receipt.cost == Decimal(1_000_000)


def test_fewer_nodes_come_before_cost_and_cost_before_load_and_load_before_the_id() -> None:
    dear = node("dear", handling_cost=Decimal(50))
    stock = holding(A={"a": 1, "dear": 1}, B={"b": 1, "dear": 1})
    assert {p.node for p in planned(estate(node("a"), node("b"), dear), asks(("A", 1), ("B", 1)), stock).picks} == {
        "dear"
    }
    three = estate(node("a", handling_cost=Decimal("0.0001")), node("b", capacity_orders_per_day=100), node("c"))
    everywhere = holding(A={"a": 1, "b": 1, "c": 1})

    def first(load: Mapping[str, int]) -> str:
        return planned(three, asks(("A", 1)), everywhere, load=load).picks[0].node

    assert first({}) == "b"
    assert first({"b": 1, "c": 99}) == "c"  # one of 100 is as much as 100 of 10,000
    assert first({"b": 1, "c": 100}) == "b"
    assert first({"b": 1, "c": 101}) == "b"


def test_a_line_is_split_over_nodes_when_no_node_has_it_all_and_the_cheapest_gives_first() -> None:
    world = estate(node("a", handling_cost=Decimal(3)), node("b", handling_cost=Decimal(1)), node("c"))
    plan = planned(world, asks(("A", 5)), holding(A={"a": 4, "b": 4, "c": 0}))
    assert plan.picks == (Pick(1, "b", 4), Pick(1, "a", 1))
    assert (plan.receipt.nodes, plan.receipt.cost) == (2, Decimal(4))


def test_two_lines_of_one_sku_share_its_stock() -> None:
    plan = planned(estate(node("a"), node("b")), asks(("A", 2), ("A", 2)), holding(A={"a": 3, "b": 1}))
    assert plan.picks == (Pick(1, "a", 2), Pick(2, "a", 1), Pick(2, "b", 1))
    short = planned(estate(node("a")), asks(("A", 2), ("A", 2)), holding(A={"a": 3}))
    assert short.unfilled == ((2, 1),)


def test_more_units_with_the_nodes_allowed_come_before_everything_else() -> None:
    world = estate(node("a"), node("b"), node("c"), node("d", handling_cost=Decimal(100)))
    stock = holding(A={"a": 1, "b": 2, "c": 2, "d": 3})
    policy = msgspec.structs.replace(POLICY, split_max=2)
    plan = planned(world, asks(("A", 8)), stock, policy)
    assert plan.picks == (Pick(1, "b", 2), Pick(1, "d", 3))
    assert plan.unfilled == ((1, 3),)
    assert planned(world, asks(("A", 8)), stock, msgspec.structs.replace(POLICY, split_max=4)).unfilled == ()


def test_ship_complete_picks_nothing_unless_everything_can_be_filled() -> None:
    complete = msgspec.structs.replace(POLICY, complete=True, split_max=2)
    world = estate(node("a"), node("b"), node("c"))
    stock = holding(A={"a": 1, "b": 1, "c": 1})
    withheld = planned(world, asks(("A", 3), ("A", 1)), stock, complete)
    assert withheld.picks == ()
    assert withheld.unfilled == ((1, 3), (2, 1))
    assert (withheld.receipt.outcome, withheld.receipt.nodes, withheld.receipt.cost) == ("withheld", 0, 0)
    assert planned(world, asks(("A", 2)), stock, complete).receipt.outcome == "filled"


def test_decimal_quantities_are_shared_out_exactly() -> None:
    stock = holding(A={"a": Decimal("0.75"), "b": Decimal("0.500001")}, B={"b": 2})
    plan = planned(estate(node("a"), node("b")), asks(("A", Decimal("1.25")), ("B", 2)), stock)
    assert plan.picks == (Pick(1, "a", Decimal("0.75")), Pick(1, "b", Decimal("0.5")), Pick(2, "b", 2))
    short = planned(estate(node("a")), asks(("A", Decimal("1.25"))), stock)
    assert short.unfilled == ((1, Decimal("0.5")),)


def test_a_receipt_stays_small_and_survives_json() -> None:
    names = [f"n{place:03}" for place in range(300)]
    world = estate(*(node(n, paused=place % 2 == 1) for place, n in enumerate(names)))
    plan = planned(
        world,
        asks(("A", 1), ("B", Decimal("0.5"))),
        holding(A=dict.fromkeys(names, 5), B=dict.fromkeys(names, Decimal("1.5"))),
    )
    assert len(plan.receipt.candidates) == 20
    assert plan.receipt.candidates_count == 150
    assert list(plan.receipt.refused) == names[1:41:2]
    assert plan.receipt.refusals == {"paused": 150}
    assert [list(rows) for rows in plan.receipt.stock_seen.values()] == [["n000", "n002", "n004"]] * 2
    written = msgspec.json.encode(plan.receipt)
    assert len(written) < 1500
    assert msgspec.json.decode(written, type=Receipt) == plan.receipt


def test_the_page_for_people_explains_every_reason() -> None:
    page = (Path(__file__).parents[2] / "docs" / "sourcing.md").read_text(encoding="utf-8")
    assert [reason for reason in REASONS if f"`{reason}`" not in page] == []


# ---- the choice itself, against trying every set ----

AMOUNTS = st.sampled_from([0, 0, 1, 1, 2, 3, 5, Decimal("0.5"), Decimal("1.25"), Decimal("2.999999")])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Estate, SourcingPolicy, Request, Any, dict[Any, int]]:
    names = [f"n{place}" for place in range(draw(st.integers(1, 6)))]
    limits = st.sampled_from([None, None, 3, 10])
    costs = st.sampled_from([Decimal(0), Decimal(0), Decimal(1), Decimal("2.5")])
    world = estate(*(node(n, handling_cost=draw(costs), capacity_orders_per_day=draw(limits)) for n in names))
    skus = [f"S{place}" for place in range(draw(st.integers(1, 4)))]
    stock = {sku: {n: StockSeen(draw(AMOUNTS)) for n in names if draw(st.booleans())} for sku in skus}
    wants = draw(st.lists(st.tuples(st.sampled_from(skus), AMOUNTS.filter(bool)), min_size=1, max_size=5))
    policy = msgspec.structs.replace(POLICY, split_max=draw(st.integers(1, 4)), complete=draw(st.booleans()))
    load = {n: draw(st.integers(0, 4)) for n in names if draw(st.booleans())}
    return world, policy, asks(*wants), stock, load


def best_of_all(world: Estate, policy: SourcingPolicy, request: Request, stock: Any, load: Any) -> tuple[Any, ...]:
    """(units open, nodes, cost, load, node ids) of the best set, by trying all of them."""
    needs: dict[str, Fraction] = {}
    for want in request.wants:
        needs[want.sku] = needs.get(want.sku, Fraction(0)) + Fraction(want.quantity)
    able = [
        n
        for n in world.nodes.values()
        if n.capacity_orders_per_day is None or load.get(n.id, 0) < n.capacity_orders_per_day
    ]

    def objective(nodes: tuple[Node, ...]) -> tuple[Any, ...]:
        has = {
            s: sum((Fraction(stock[s][n.id].sellable) for n in nodes if n.id in stock[s]), Fraction(0)) for s in needs
        }
        left = sum((need - min(need, has[s]) for s, need in needs.items()), Fraction(0))
        shares = sum(load.get(n.id, 0) * 10_000 // (n.capacity_orders_per_day or 10_000) for n in nodes)
        return left, len(nodes), sum(n.handling_cost for n in nodes), shares, sorted(n.id for n in nodes)

    sets = (s for size in range(policy.split_max + 1) for s in itertools.combinations(able, size))
    best = min(map(objective, sets))
    return objective(()) if policy.complete and best[0] else best


@settings(max_examples=400, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_the_plan_is_the_exact_best_and_the_order_of_the_input_does_not_matter(
    case: Any, chance: random.Random
) -> None:
    world, policy, request, stock, load = case
    plan = planned(world, request, stock, policy, load)
    left = sum((Fraction(quantity) for _, quantity in plan.unfilled), Fraction(0))
    used = sorted({pick.node for pick in plan.picks})
    receipt = plan.receipt
    assert (left, receipt.nodes, receipt.cost, receipt.balance, used) == best_of_all(
        world, policy, request, stock, load
    )
    assert receipt.exact

    given_: dict[tuple[str, str], Fraction] = {}
    by_line: dict[int, Fraction] = {line: Fraction(quantity) for line, quantity in plan.unfilled}
    skus = {want.line_no: want.sku for want in request.wants}
    for pick in plan.picks:
        assert pick.quantity > 0
        key = skus[pick.line_no], pick.node
        given_[key] = given_.get(key, Fraction(0)) + Fraction(pick.quantity)
        by_line[pick.line_no] = by_line.get(pick.line_no, Fraction(0)) + Fraction(pick.quantity)
    assert all(units <= stock[sku][n].sellable for (sku, n), units in given_.items())
    assert by_line == {want.line_no: want.quantity for want in request.wants}

    def mixed(rows: dict[Any, Any]) -> dict[Any, Any]:
        return dict(chance.sample(list(rows.items()), len(rows)))

    shuffled = msgspec.structs.replace(request, wants=tuple(chance.sample(request.wants, len(request.wants))))
    other = msgspec.structs.replace(world, nodes=mixed(world.nodes))
    again = planned(other, shuffled, mixed({s: mixed(rows) for s, rows in stock.items()}), policy, mixed(load))
    assert msgspec.json.encode(again, order="sorted") == msgspec.json.encode(plan, order="sorted")


def test_a_search_that_runs_out_of_visits_says_so_and_still_fills() -> None:
    chance = random.Random(3)
    names = [f"n{place:03}" for place in range(60)]
    held = {n: chance.choices(range(10), k=23) for n in names}  # 23 units of ten SKUs each, spread differently
    stock = {f"S{s}": {n: StockSeen(held[n].count(s)) for n in names} for s in range(10)}
    request = asks(*((f"S{s}", 9) for s in range(10)))
    policy = msgspec.structs.replace(POLICY, split_max=4)
    world = estate(*map(node, names))
    cut = Sourcing(world, visits_max=20).plan(policy, request, stock, {}, NOON)
    whole = Sourcing(world).plan(policy, request, stock, {}, NOON)
    assert (cut.receipt.exact, cut.receipt.visits, whole.receipt.exact) == (False, 20, True)
    assert 0 < sum(pick.quantity for pick in cut.picks) <= sum(pick.quantity for pick in whole.picks)
    assert Sourcing(world, visits_max=20).plan(policy, request, stock, {}, NOON) == cut
