"""`interlock simulate`: a whole retail estate in virtual time against the real decisions, with everything going wrong."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from interlock.bootstrap import Settings, open_database
from interlock.cli.options import EXIT_BAD, EXIT_USAGE, JsonOption, UrlOption, app
from interlock.domain.errors import InvalidValue
from interlock.simulation.on_postgres import PostgresInterlock
from interlock.simulation.retail.books import is_empty
from interlock.simulation.retail.defects import DEFECTS
from interlock.simulation.retail.profiles import PROFILES
from interlock.simulation.retail.result import Result, together
from interlock.simulation.retail.shrink import shrink, story
from interlock.simulation.retail.simulation import ORDERS_A_DAY, Plan, memory, simulate
from interlock.simulation.retail.trace import PortFactory, Trace
from interlock.terminal import err, out, print_json, print_table, say

DAYS = {"memory": 30.0, "postgres": 2.0}
ORDERS = {"memory": ORDERS_A_DAY, "postgres": 60}
VIOLATIONS_SHOWN = 20


@app.command("simulate")
def simulate_command(
    seed: Annotated[int | None, typer.Option(help="What chance follows from. [default: a fresh one, printed]")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="A..B", help="Several seeds, one after the other.")] = None,
    days: Annotated[float | None, typer.Option(min=0.1, help="Days of trading. [default: 30; on postgres 2]")] = None,
    faults: Annotated[str, typer.Option(help=f"How much goes wrong: {', '.join(PROFILES)}.")] = "usual",
    orders_per_day: Annotated[
        int | None, typer.Option(min=10, help="Orders of web shop and marketplace. [default: 1250; on postgres 60]")
    ] = None,
    on: Annotated[str, typer.Option(help="The store: memory, or a fresh postgres.")] = "memory",
    database_url: UrlOption = None,
    defect: Annotated[str | None, typer.Option(help="Plant this defect, to see it found; `list` names them.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a retail estate with faults; exits with 1, a seed and a short story if anything always true is not."""
    if defect == "list":
        print_table(["defect", "what is wrong"], [[each.name, each.what] for each in DEFECTS.values()])
        return
    for name, value, allowed in (("faults", faults, PROFILES), ("on", on, DAYS), ("defect", defect, DEFECTS)):
        if value is not None and value not in allowed:
            err.print(
                f"interlock: --{name} {value}: expected one of {', '.join(allowed)}", style="red", highlight=False
            )
            raise typer.Exit(EXIT_USAGE)
    results = []
    for number in _seeds(seed, seeds):
        plan = Plan(
            seed=number,
            days=days if days is not None else DAYS[on],
            profile=faults,
            orders_a_day=orders_per_day if orders_per_day is not None else ORDERS[on],
        )
        with DEFECTS[defect].planted() if defect else nullcontext(), _port(on, database_url) as factory:
            result = simulate(plan, factory, record=on == "postgres", progress=say)
            say(
                f"seed {number}: {result.messages:,} messages, {len(result.violations)} violations, digest {result.digest}"
            )
            results.append(result)
            if result.violations:
                _explain(result, plan, on, defect)
                break
    whole = together(results)
    if as_json:
        print_json(whole.as_object())
    else:
        _show(whole)
    if whole.violations:
        raise typer.Exit(EXIT_BAD)


def _seeds(seed: int | None, seeds: str | None) -> Sequence[int]:
    if seeds is None:
        return [seed if seed is not None else random.SystemRandom().randrange(1_000_000)]
    first, dots, last = seeds.partition("..")
    if not (dots and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise InvalidValue("--seeds", seeds, "two whole numbers such as 1..20, the smaller first")
    return range(int(first), int(last) + 1)


@contextmanager
def _port(on: str, database_url: str | None) -> Iterator[PortFactory]:
    """Memory, or a database that holds nothing: one of our own that is thrown away, or the one given."""
    if on == "memory":
        yield memory
        return
    with tempfile.TemporaryDirectory(prefix="interlock-simulate-") as directory:
        settings = Settings.of(database_url=database_url, data_dir=Path(directory))
        with open_database(settings) as db:
            if not is_empty(db):
                raise InvalidValue(
                    "--database-url", settings.database_url, "an empty database: this one holds messages"
                )
            yield lambda estate, _: PostgresInterlock(db, estate)


def _explain(result: Result, plan: Plan, on: str, defect: str | None) -> None:
    """The first violation as a short story, and how to see it again."""
    for violation in result.violations[:VIOLATIONS_SHOWN]:
        err.print(
            f"VIOLATED {violation.statement} ({violation.subject}): {violation.detail}", style="red", markup=False
        )
    rerun = f"interlock simulate --seed {plan.seed} --days {plan.days:g} --faults {plan.profile}"
    rerun += f" --orders-per-day {plan.orders_a_day}" + (f" --on {on}" if on != "memory" else "")
    say(f"to see it again: {rerun}{f' --defect {defect}' if defect else ''}")
    trace: Trace | None = result.trace or simulate(plan, record=True).trace
    if trace is None:
        return
    say("looking for a short story of it ...")
    short = shrink(trace, result.violations[0], memory)
    if not short.repeats:
        say("in memory it does not happen: only this store violates it")
        return
    say(f"{short.messages} messages are enough:")
    for line in story(short, memory):
        err.print(f"  {line}", markup=False, highlight=False)


def _show(result: Result) -> None:
    print_table(
        ["messages", "batches", "seconds", "messages/s"],
        [[f"{result.messages:,}", f"{result.batches:,}", f"{result.seconds:.1f}", f"{result.messages_per_s:,.0f}"]],
    )
    outcomes: dict[str, dict[str, int]] = {}
    for name, count in result.outcomes.items():
        action, _, word = name.partition(": ")
        outcomes.setdefault(action, {})[word] = count
    words = ["processed", "duplicate", "stale", "parked", "conflict", "refused", "quarantined"]
    out.print()
    print_table(["action", *words], [[action, *[c.get(word, "") for word in words]] for action, c in outcomes.items()])
    for title, counts in (
        ("fault", result.faults),
        ("orders", result.orders),
        ("open exceptions", result.exceptions),
    ):
        out.print()
        print_table([title, "count"], [[name, f"{count:,}"] for name, count in counts.items()])
    out.print(f"\nviolations: {len(result.violations)}\ndigest: {result.digest}", highlight=False)
