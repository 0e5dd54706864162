"""The table of cases: each difference by kind and place, and whether it breaks."""

from __future__ import annotations

import pytest

from interlock.contracts.compatibility import Mode, compare, differences
from interlock.contracts.compatibility.kinds import KINDS
from tests.contracts.compatibility.cases import PLAIN, Case
from tests.contracts.compatibility.cases_inner import INNER

CASES = [*PLAIN, *INNER]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_differences_are_those_of_the_table(case: Case) -> None:
    found = [f"{'' if each.compatible else '!'}{each.kind} {each.pointer}" for each in differences(case.old, case.new)]

    assert found == case.expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_breaks_is_what_the_table_marks(case: Case) -> None:
    broken = compare(case.old, case.new, Mode.BACKWARD)

    assert [f"!{each.kind} {each.pointer}" for each in broken] == [each for each in case.expected if each[0] == "!"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_difference_is_explained_in_a_sentence_without_gaps(case: Case) -> None:
    for direction in ("backward", "forward"):
        for each in differences(case.old, case.new, direction):
            assert each.explanation[0].isupper() or not each.explanation[0].isalpha()
            assert each.explanation.endswith(".") and "{" not in each.explanation and "None" not in each.explanation


def test_the_names_of_the_cases_differ() -> None:
    names = [(case.name, str(case.old)) for case in CASES]

    assert len(set(names)) == len(names)


def test_every_kind_is_shown_by_a_case() -> None:
    shown = {each.lstrip("!").split(" ")[0] for case in CASES for each in case.expected}
    from_the_other_side = {each.kind for case in CASES for each in differences(case.old, case.new, "forward")}

    assert sorted(set(KINDS) - shown - from_the_other_side) == []
