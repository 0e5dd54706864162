"""The simulator can fail: each deliberate defect is found, by the statement that it breaks, and without it all is green."""

from __future__ import annotations

import pytest

from interlock.simulation.retail.defects import DEFECTS, Defect
from interlock.simulation.retail.shrink import shrink
from interlock.simulation.retail.simulation import Plan, memory, simulate

SEEDS = (1, 2, 3, 4)


def plan(seed: int) -> Plan:
    """A short storm."""
    return Plan(seed=seed, days=3, profile="storm", orders_a_day=120)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_defect_these_seeds_are_green(seed: int) -> None:
    assert simulate(plan(seed)).violations == ()


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_found_by_the_statement_that_it_breaks_and_told_in_few_messages(defect: Defect) -> None:
    with defect.planted():
        for seed in SEEDS:
            result = simulate(plan(seed), record=True)
            found = [violation for violation in result.violations if violation.statement in defect.statements]
            if found:
                assert result.trace is not None
                short = shrink(result.trace, found[0], memory)
                break
        else:
            pytest.fail(f"{defect.name} was not found with the seeds {SEEDS}: {defect.what}")

    assert short.repeats
    assert short.violation.statement in defect.statements
    assert short.messages < 12


def test_there_are_more_than_a_dozen_defects_and_all_are_gone_afterwards() -> None:
    before = simulate(plan(1)).digest
    for defect in DEFECTS.values():
        with defect.planted():
            pass

    assert len(DEFECTS) >= 14
    assert simulate(plan(1)).digest == before
