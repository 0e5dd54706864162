"""`interlock interchanges`: what came in and went out in envelopes, who has acknowledged it, and sending it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from interlock.bootstrap import App, Settings, open_app
from interlock.cli.options import DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.domain.errors import InvalidValue
from interlock.domain.values import SystemId
from interlock.operations import interchanges as operations
from interlock.terminal import out, print_json, print_table

SETS_SHOWN_MAX = 200
LIST = "list"


class _Listing(TyperGroup):
    """A group whose name alone, or with a system, lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the word `list` where no sub-command is named."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = [LIST, *args]
        return super().parse_args(ctx, args)


interchanges_app = typer.Typer(
    cls=_Listing,
    help="Interchanges with partners: `interlock interchanges [SYSTEM] [--open]` lists them.",
    rich_markup_mode=None,
)
app.add_typer(interchanges_app, name="interchanges")

SystemArgument = Annotated[str, typer.Argument(help="The system that it went to, or came from.")]
ControlArgument = Annotated[str, typer.Argument(help="Its control number; leading zeros do not matter.")]


@interchanges_app.command(LIST, hidden=True)
def listed(
    system: Annotated[str | None, typer.Argument(help="Only those with this system.")] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only what is not sent, not answered or not accepted.")
    ] = False,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List interchanges, the newest first."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        name = None if system is None else _system(interlock, system)
        found = operations.interchanges_of(interlock.db, name, is_open=is_open)
    if as_json:
        print_json(found)
        return
    print_table(
        [
            "system",
            "",
            "control",
            "what",
            "state",
            "sets",
            "rejected",
            "made (UTC)",
            "sent",
            "answer due",
            "answered",
            "name",
        ],
        [
            [
                each["system"],
                each["direction"],
                each["control"],
                f"{each['standard']} {each['kind']}",
                each["state"],
                each["sets"],
                each["rejected"],
                *(_time(each[field]) for field in ("made_at", "sent_at", "answer_due_at", "answered_at")),
                each["name"],
            ]
            for each in found
        ],
    )


@interchanges_app.command()
def show(
    system: SystemArgument,
    control: ControlArgument,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is in an interchange, set by set, and what was said of it."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        found = operations.interchange(interlock.db, _system(interlock, system), control)
    if as_json:
        print_json(found)
        return
    for each in found:
        sets = each.pop("contents")
        said = "  ".join(f"{name}={_shown(value)}" for name, value in each.items() if value not in (None, "", 0))
        out.print(said, markup=False, highlight=False)
        print_table(
            ["set", "kind", "group", "state", "message", "errors"],
            [
                [
                    one["control"],
                    one["kind"],
                    one.get("group", ""),
                    one.get("state", ""),
                    one.get("message", ""),
                    "; ".join(one.get("errors", [])),
                ]
                for one in sets[:SETS_SHOWN_MAX]
            ],
        )
        if len(sets) > SETS_SHOWN_MAX:
            out.print(f"… and {len(sets) - SETS_SHOWN_MAX} more; --json has them all", highlight=False)


@interchanges_app.command()
def resend(
    system: SystemArgument,
    control: ControlArgument,
    anew: Annotated[
        bool, typer.Option("--anew", help="Its (rejected) messages, written again, in another one.")
    ] = False,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send an interchange again as it was, for one that was lost; or with --anew its messages in another one."""
    now = datetime.now(UTC)
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        name = _system(interlock, system)
        if anew:
            done: dict[str, Any] = {"messages_waiting": operations.send_anew(interlock.db, name, control, now)}
            said = f"{done['messages_waiting']} messages of interchange {control} wait for delivery in another one"
        else:
            done = operations.resend(interlock.db, name, control, now)
            said = f"interchange {done['control']} ({done['sets']} sets, {done['bytes']} bytes) waits to be sent again"
    if as_json:
        print_json({"system": name, "control": control, **done})
    else:
        out.print(said, highlight=False)


def _system(interlock: App, system: str) -> SystemId:
    if system not in interlock.estate.systems:
        raise InvalidValue("system", system, f"one of {', '.join(interlock.estate.systems)}")
    return SystemId(system)


def _time(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else ""


def _shown(value: object) -> object:
    return _time(value) if isinstance(value, datetime) else value
