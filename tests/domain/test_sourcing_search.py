"""The search over sets of nodes, against trying every set, and at its full size."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.domain.sourcing_search import VISITS_MAX, choose


def many(seed: int, nodes: int, want: int, units: int) -> list[list[int]]:
    """Nodes that all hold about the same number of units, spread differently: no bound sees far here."""
    chance = random.Random(seed)
    rows = []
    for _ in range(nodes):
        row = [0] * 10
        for _ in range(units):
            row[chance.randrange(10)] += 1
        rows.append([min(held, want) for held in row])
    return rows


def weights(count: int) -> list[int]:
    return [(1000 + place << count) + (1 << count) - (1 << (count - 1 - place)) for place in range(count)]


def objective(
    wants: list[int], rows: list[list[int]], heavy: list[int], nodes: tuple[int, ...]
) -> tuple[int, int, int]:
    filled = sum(min(want, sum(rows[n][s] for n in nodes)) for s, want in enumerate(wants))
    return -filled, len(nodes), sum(heavy[n] for n in nodes)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], list[list[int]], list[int], int]:
    # the large units make fields of 8 and of more than 8 bytes a node
    unit = draw(st.sampled_from([1, 1, 1, 10**5, 10**16, 10**25]))
    wants = draw(st.lists(st.integers(1, 8).map(lambda n: n * unit), min_size=1, max_size=4))
    amounts = st.sampled_from([0, 0, 1, 2, 3, 5, 8])
    count = draw(st.integers(1, 8))
    rows = [[min(want, draw(amounts) * unit + draw(st.integers(0, 1))) for want in wants] for _ in range(count)]
    steps = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    ids = [1 << place for place in draw(st.permutations(range(count)))]
    heavy = [(sum(steps[: place + 1]) << count + 4) - id for place, id in enumerate(ids)]
    return wants, rows, heavy, draw(st.integers(1, 5))


@settings(max_examples=500, deadline=None)
@given(problems())
def test_the_set_chosen_is_the_best_of_all_sets(problem: Any) -> None:
    wants, rows, heavy, nodes_max = problem
    sets = (s for size in range(nodes_max + 1) for s in itertools.combinations(range(len(rows)), size))
    best = min(sets, key=lambda nodes: objective(wants, rows, heavy, nodes))
    choice = choose(wants, rows, heavy, nodes_max)
    assert (choice.nodes, choice.exact) == (best, True)
    whole = -objective(wants, rows, heavy, best)[0] == sum(wants)
    assert choose(wants, rows, heavy, nodes_max, complete=True).nodes == (best if whole else ())


@pytest.mark.parametrize(("want", "units"), [(4, 19), (4, 21), (9, 46), (100, 480)])
def test_ten_lines_at_two_hundred_nodes_of_partial_stock_are_solved_exactly(want: int, units: int) -> None:
    rows = many(units, 200, want, units)
    heavy = weights(200)

    choice = choose([want] * 10, rows, heavy, 2)
    sets = (s for size in (1, 2) for s in itertools.combinations(range(200), size))
    best = min(sets, key=lambda nodes: objective([want] * 10, rows, heavy, nodes))
    assert (choice.nodes, choice.exact) == (best, True)


def test_three_and_four_of_two_hundred_nodes_are_proven_best_within_the_visits_allowed() -> None:
    for nodes_max, units in ((3, 30), (3, 34), (4, 23), (4, 25)):
        choice = choose([9] * 10, many(units, 200, 9, units), weights(200), nodes_max)
        assert choice.exact
        assert 0 < choice.visits < VISITS_MAX // 30
