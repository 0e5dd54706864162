"""`interlock reversal`: the table of reversals, what undoing something would come to, and doing it."""

from __future__ import annotations

from getpass import getuser
from typing import Annotated

import msgspec
import typer

from interlock.bootstrap import Settings, open_app
from interlock.cli.options import EXIT_BAD, DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.domain.commands import COMMANDS
from interlock.domain.errors import InvalidValue, NotReversible, PlanChanged
from interlock.domain.reversals import as_rows
from interlock.operations import reversals
from interlock.operations.reversals import Plan
from interlock.terminal import err, out, print_json, print_table

reversal_app = typer.Typer(
    help="What undoes what, and undoing it: by compensating entries, never by edits.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(reversal_app, name="reversal")


@reversal_app.command()
def show(
    action: Annotated[str | None, typer.Argument(help="Only this action.")] = None, as_json: JsonOption = False
) -> None:
    """Show the table: how each action is undone, by how far what it did has come."""
    if action is not None and action not in COMMANDS:
        raise InvalidValue("action", action, f"one of {', '.join(COMMANDS)}")
    rows = as_rows(action)
    if as_json:
        print_json(rows)
        return
    print_table(
        ["action", "it stands at", "reversal", "by", "then"],
        [[row["action"], row["standing"], row["how"], row["by"], row["then"]] for row in rows],
    )


@reversal_app.command()
def undo(
    identifier: Annotated[str, typer.Argument(help="Any id of the order, a SKU, or the id of the message itself.")],
    action: Annotated[str, typer.Argument(help="What was done; not needed with a message's id.")] = "",
    key: Annotated[str | None, typer.Option(help="Its key (ref), where there were several.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would follow.")] = False,
    expect: Annotated[str | None, typer.Option(help="Only do what the list with this digest said.")] = None,
    by: Annotated[str | None, typer.Option(help="Who asks for it. [default: the user's name]")] = None,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo what was done; with --dry-run only show every event, movement, message, refund and exception that would follow."""
    who = by if by is not None else getuser()
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        batcher = interlock.door.batcher
        if dry_run:
            _print(reversals.plan(batcher, identifier, action, key, by=who), as_json, done=False)
            return
        try:
            _print(reversals.apply(batcher, identifier, action, key, by=who, expect=expect), as_json, done=True)
        except (NotReversible, PlanChanged) as error:
            err.print(f"interlock: {error}", style="red", markup=False, highlight=False)
            _print(reversals.plan(batcher, identifier, action, key, by=who), as_json, done=False)
            raise typer.Exit(EXIT_BAD) from None


def _print(plan: Plan, as_json: bool, *, done: bool) -> None:
    if as_json:
        print_json({**msgspec.to_builtins(plan), "done": done})
        return
    out.print(
        f"{plan.action} of {plan.subject} {plan.key}: {plan.standing}, {plan.how}: {plan.then}".replace(" :", ":"),
        markup=False,
        highlight=False,
    )
    if plan.effects:
        print_table(
            ["what", "", "of", "says"],
            [
                [e.kind, e.name, e.about, " ".join(f"{name}={_short(value)}" for name, value in e.detail.items())]
                for e in plan.effects
            ],
        )
        end = (
            "done"
            if done
            else f"not done: {plan.refused}"
            if plan.refused
            else f"to do exactly this: --expect {plan.digest}"
        )
        out.print(end, markup=False, highlight=False)


def _short(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
