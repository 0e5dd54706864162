"""What must hold for all schemas: nothing breaks itself, directions mirror each other, and compatible means compatible."""

from __future__ import annotations

import random
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.contracts.compatibility import Break, Mode, compare, differences
from interlock.domain.errors import SchemaInvalid
from tests.contracts.compatibility.made_up import any_schema, changed, plain_schema, value_for

SEEDS = st.integers(0, 2**32)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def told(breaks: list[Break]) -> list[tuple[Any, ...]]:
    return [(each.kind, each.pointer, each.direction, each.old, each.new) for each in breaks]


def pair(seed: int) -> tuple[Any, Any]:
    """Two schemas: the second is changed from the first, or another one."""
    chance = random.Random(seed)
    while True:
        old = any_schema(chance)
        new = changed(chance, old) if chance.random() < 0.8 else any_schema(chance)
        try:
            compare(old, new)
        except SchemaInvalid:
            continue  # a reference that a change has cut off, or that asks itself for ever
        return old, new


@QUICK
@given(SEEDS, st.sampled_from(Mode))
def test_no_schema_breaks_itself(seed: int, mode: Mode) -> None:
    schema, _ = pair(seed)

    assert compare(schema, schema, mode) == []
    assert differences(schema, schema) == []


@QUICK
@given(SEEDS)
def test_full_is_backward_and_forward(seed: int) -> None:
    old, new = pair(seed)

    both = [*told(compare(old, new, "BACKWARD")), *told(compare(old, new, "FORWARD"))]
    assert told(compare(old, new, "FULL")) == both


@QUICK
@given(SEEDS)
def test_old_and_new_exchanged_exchange_the_directions(seed: int) -> None:
    old, new = pair(seed)

    mirrored = [(kind, pointer, "backward", b, a) for kind, pointer, _, a, b in told(compare(new, old, "FORWARD"))]
    assert told(compare(old, new, "BACKWARD")) == mirrored


@QUICK
@given(SEEDS)
def test_none_forbids_nothing(seed: int) -> None:
    assert compare(*pair(seed), "NONE") == []


@QUICK
@given(SEEDS, st.sampled_from(["BACKWARD", "FORWARD", "FULL"]))
def test_a_transitive_mode_asks_every_version_and_the_others_the_last(seed: int, mode: str) -> None:
    first, second = pair(seed)
    third = pair(seed + 1)[0]

    each = [*told(compare(first, third, mode)), *told(compare(second, third, mode))]
    assert told(compare([first, second], third, f"{mode}_TRANSITIVE")) == each
    assert told(compare([first, second], third, mode)) == told(compare(second, third, mode))


def values_that_break(seed: int) -> tuple[Any, Any, list[Any], bool, int]:
    """Old and new, the values that fit the old one only, whether new is told compatible, and how many fit the old."""
    chance = random.Random(seed)
    old = plain_schema(chance, 2)
    new = changed(chance, old)
    compatible = compare(old, new, "BACKWARD") == []
    before, after = jsonschema_rs.Draft202012Validator(old), jsonschema_rs.Draft202012Validator(new)
    values = [value_for(chance, chance.choice([old, old, new])) for _ in range(60)]
    fitting = [value for value in values if before.is_valid(value)]
    return old, new, [value for value in fitting if not after.is_valid(value)], compatible, len(fitting)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(SEEDS)
def test_what_fits_the_old_schema_fits_a_compatible_new_one(seed: int) -> None:
    old, new, broken, compatible, _ = values_that_break(seed)

    if compatible:
        assert broken == [], (old, new)


def test_the_search_for_values_that_break_looks_at_enough_of_them() -> None:
    compatible = told_to_break = found_to_break = values = 0
    for seed in range(1500):
        old, new, broken, fine, fitting = values_that_break(seed)
        compatible += fine
        values += fitting if fine else 0
        told_to_break += not fine
        found_to_break += bool(broken)
        assert not (fine and broken), (seed, old, new, broken)

    assert compatible > 300 and values > 5_000  # many are told compatible, and many values are tried on them
    assert found_to_break > told_to_break / 3  # and what is told to break often does, within sixty values
