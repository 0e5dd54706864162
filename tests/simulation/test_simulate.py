"""The simulated estate: every seed is green, the same seed is the same run, and a failure becomes a short story."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

import pytest

from interlock.domain.decision import Outcome
from interlock.simulation.memory import MemoryInterlock
from interlock.simulation.on_postgres import PostgresInterlock
from interlock.simulation.port import Violation
from interlock.simulation.retail.agenda import HOUR, START, moment
from interlock.simulation.retail.defects import DEFECTS
from interlock.simulation.retail.estate import WMS, make_estate
from interlock.simulation.retail.post import unreadable
from interlock.simulation.retail.profiles import PROFILES
from interlock.simulation.retail.result import Result, together
from interlock.simulation.retail.shrink import shrink, story
from interlock.simulation.retail.simulation import Plan, Simulation, memory, simulate
from interlock.simulation.retail.trace import replay
from interlock.storage.database import Database

COUNTED = ("messages", "messages_per_s", "seconds", "faults", "outcomes", "violations", "digest")


@pytest.fixture(scope="module")
def stormy() -> Result:
    """A run in which everything goes wrong, with its trace."""
    return simulate(Plan(seed=4, days=6, profile="storm", orders_a_day=200), record=True)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_that_is_always_true_is_violated(profile: str, seed: int) -> None:
    result = simulate(Plan(seed=seed, days=3, profile=profile, orders_a_day=150))

    assert (result.violations, result.messages > 2_000) == ((), True)


def test_a_fresh_seed_is_as_good_as_any() -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"interlock simulate --seed {seed} --days 4 --faults storm --orders-per-day 200")

    assert simulate(Plan(seed=seed, days=4, profile="storm", orders_a_day=200)).violations == ()


def test_a_storm_has_every_kind_of_fault(stormy: Result) -> None:
    assert stormy.violations == ()
    assert {fault.partition("_")[0] if fault.startswith("crash") else fault for fault in stormy.faults} >= {
        "backlog",
        "clock_skew",
        "corrupt",
        "crash",
        "database_restart",
        "deadlock",
        "delay",
        "drop_answer",
        "drop_request",
        "duplicate_after_days",
        "duplicate_at_once",
        "file_twice",
        "forged_no_authority",
        "forged_older_version",
        "forged_other_payload",
        "forged_unknown_system",
        "forged_wrong_source",
        "notice_lost",
        "notice_twice",
        "outage",
        "partial_file",
        "refused_at_the_door",
        "reorder",
        "replay_history",
        "truncate",
    }


def test_a_storm_meets_what_comes_before_its_precondition(stormy: Result) -> None:
    for action in ("order.cancel", "order.authorize", "order.capture", "refund.issue", "return.authorize"):
        assert stormy.outcomes[f"{action}: parked"] > 0, action


def test_without_faults_there_are_none() -> None:
    result = simulate(Plan(seed=5, days=2, profile="none", orders_a_day=60))

    assert result.faults == {}
    assert "unreadable: quarantined" not in result.outcomes


def test_the_same_seed_is_the_same_run_in_any_process() -> None:
    runs = [_run_in_a_process(hash_seed) for hash_seed in ("1", "4711")]

    assert runs[0] == runs[1]
    assert runs[0]["messages"] > 1_000


def test_another_seed_is_another_run() -> None:
    digests = {simulate(Plan(seed=seed, days=1, profile="none", orders_a_day=40)).digest for seed in (1, 2)}

    assert len(digests) == 2


def test_the_trace_gives_interlock_the_same_again_without_the_actors(stormy: Result) -> None:
    assert stormy.trace is not None
    ports: list[MemoryInterlock] = []

    def factory(estate: Any, _: Any) -> MemoryInterlock:
        ports.append(MemoryInterlock(estate))
        return ports[0]

    assert replay(stormy.trace, factory) == []
    assert len(ports[0].store.orders) == sum(stormy.orders.values())


def test_a_failure_is_shrunk_to_a_story_of_a_few_messages() -> None:
    with DEFECTS["early_cancel_loses"].planted():
        result = simulate(Plan(seed=2, days=2, profile="storm", orders_a_day=120), record=True)
        assert result.trace is not None
        short = shrink(result.trace, result.violations[0], memory)
        told = story(short, memory)

    assert (short.repeats, short.violation.statement, short.messages <= 4) == (True, "canceled_first", True)
    assert [line for line in told if "order.cancel" in line and "parked" in line]
    assert told[-1].startswith("VIOLATED canceled_first")


def test_a_violation_that_does_not_repeat_is_not_told_as_a_story() -> None:
    result = simulate(Plan(seed=3, days=1, profile="calm", orders_a_day=40), record=True)
    assert result.trace is not None
    invented = Violation("units_conserved", "web:000001", "never happened")

    assert not shrink(result.trace, invented, memory).repeats


def test_the_same_scenario_runs_on_the_real_database_to_the_same_books(db: Database) -> None:
    plan = Plan(seed=6, days=1, profile="storm", orders_a_day=30)
    real = simulate(plan, lambda estate, _: PostgresInterlock(db, estate))
    imagined = simulate(plan, lambda estate, _: MemoryInterlock(estate, by_part=True))

    assert real.violations == ()
    assert (real.digest, real.outcomes, real.orders) == (imagined.digest, imagined.outcomes, imagined.orders)


def test_a_delivery_to_a_dead_line_is_written_down_as_tried_and_is_due_again(db: Database) -> None:
    plan = Plan(seed=6, days=1, profile="none", orders_a_day=20)
    world = Simulation(plan, lambda estate, _: PostgresInterlock(db, estate), record=False)
    world.post.go_away(WMS)
    world.run_until(20 * HOUR)

    attempts = db.transaction(lambda tx: tx.query("select attempts, state from outbox where receiver = 'wms'"))
    assert {state for _, state in attempts} == {"waiting"}
    assert max(tried for tried, _ in attempts) > 1
    assert world.port.due(WMS, moment(world.agenda.now), 10)
    assert world.port.check_all(moment(world.agenda.now)) == []


def test_an_interlock_that_swallows_answers_is_found_at_once() -> None:
    class Swallowing(MemoryInterlock):
        def take(self, *args: Any, **more: Any) -> list[Outcome]:
            return super().take(*args, **more)[:-1]

    result = simulate(Plan(seed=1, days=1, profile="none", orders_a_day=20), lambda estate, _: Swallowing(estate))

    assert [violation.statement for violation in result.violations] == ["nothing_vanishes"]


def test_what_the_command_prints_for_programs_ends_with_one_object() -> None:
    done = _simulate("--seed", "3", "--days", "1", "--faults", "usual", "--orders-per-day", "40", "--json")

    found = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0
    assert {name: type(found[name]).__name__ for name in COUNTED} == {
        "messages": "int",
        "messages_per_s": "int",
        "seconds": "float",
        "faults": "dict",
        "outcomes": "dict",
        "violations": "list",
        "digest": "str",
    }


def test_the_command_says_how_to_see_a_violation_again_and_exits_with_1() -> None:
    options = ["--seed", "1", "--days", "1", "--faults", "storm", "--orders-per-day", "60"]
    done = _simulate(*options, "--defect", "double_refund")

    assert done.returncode == 1
    assert f"interlock simulate {' '.join(options)} --defect double_refund" in done.stderr
    assert "VIOLATED money_agrees" in done.stderr


@pytest.mark.parametrize(
    "options", [("--faults", "hail"), ("--on", "paper"), ("--defect", "unknown"), ("--seeds", "9..3")]
)
def test_an_option_that_is_not_understood_says_what_is(options: tuple[str, str]) -> None:
    done = _simulate(*options)

    assert done.returncode in (1, 2)
    assert options[1] in done.stderr
    assert "expected one of" in done.stderr or "two whole numbers" in done.stderr


def test_several_runs_are_added_up() -> None:
    runs = [simulate(Plan(seed=seed, days=1, profile="none", orders_a_day=20)) for seed in (1, 2)]

    whole = together(runs)

    assert whole.messages == runs[0].messages + runs[1].messages
    assert whole.plan["seed"] == [1, 2]
    assert together(runs[:1]) is runs[0]


def test_what_the_real_reader_cannot_read_is_a_problem_and_what_it_can_is_none() -> None:
    assert unreadable(b'{"action":"order.close","order_id":"web:1"') is not None
    assert unreadable(b"\xff\xfe") is not None
    assert unreadable(b'{"action":"order.close","order_id":"web:1"}') is None


def test_the_estate_gives_each_system_its_own_facts() -> None:
    estate = make_estate(10)
    decides = {name: {f for f, may in s.authority.items() if may == "decide"} for name, s in estate.systems.items()}

    assert decides["psp"] == {"payment", "refund"}
    assert decides["insight"] == set()
    assert START.tzinfo is not None


def _run_in_a_process(hash_seed: str) -> dict[str, Any]:
    done = _simulate(
        "--seed", "9", "--days", "2", "--faults", "storm", "--orders-per-day", "80", "--json", PYTHONHASHSEED=hash_seed
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for name in ("seconds", "messages_per_s"):
        del found[name]
    return found


def _simulate(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "interlock.cli", "simulate", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
