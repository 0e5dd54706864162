"""`interlock pos days | day`: is every transaction of the tills here?"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from interlock.bootstrap import Settings, open_app
from interlock.cli.options import EXIT_BAD, DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.domain.errors import InvalidValue
from interlock.domain.sequences import Range, shown
from interlock.storage import pos_marks
from interlock.terminal import err, out, print_json, print_rows

pos_app = typer.Typer(help="Completeness of what the tills send.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(pos_app, name="pos")


@pos_app.command("days")
def days(
    store: Annotated[str | None, typer.Option(help="Only this store.")] = None,
    day: Annotated[str | None, typer.Option(help="Only this business day: 2026-03-02.")] = None,
    unfinished: Annotated[bool, typer.Option("--open", help="Only those that are not stated complete.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 500,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what is stated of each register's business day: complete, or what is missing."""
    asked = _day(day) if day is not None else None
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        found = pos_marks.days(interlock.db, store=store, day=asked, unfinished=unfinished, limit=rows)
    if as_json:
        print_json(found)
    else:
        print_rows("register days", [_row(each) for each in found])


@pos_app.command("day")
def one_day(
    store: Annotated[str, typer.Argument(help="The store.")],
    day: Annotated[str, typer.Argument(help="The business day: 2026-03-02.")],
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the statement of a store's day: each register, what it said, what came, what is missing. 1 where it knows nothing."""
    asked = _day(day)
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        found = pos_marks.day_of_store(interlock.db, store, asked)
    if as_json:
        print_json(found)
    else:
        for each in found:
            out.print(_statement(each), markup=False, highlight=False)
    if not found:
        err.print(f"interlock: nothing came of {store} for {asked}", style="red", markup=False, highlight=False)
        raise typer.Exit(EXIT_BAD)


def _row(day: dict[str, Any]) -> dict[str, object]:
    return {
        "day": day["business_day"],
        "system": day["system"],
        "store": day["store"],
        "register": day["register"] or "(store)",
        "state": day["state"],
        "came": day["transactions"],
        "numbers": _numbers(day),
        "missing": _missing(day),
        "repeats": day["repeats"],
        "reused": day["reused"],
        "late": day["late"],
    }


def _statement(day: dict[str, Any]) -> str:
    lines = [
        f"{day['store']} {day['business_day']}  register {day['register'] or '(all)'} of {day['system']}: {day['state']}",
        f"  came     {day['transactions']} transactions, {_numbers(day)}: "
        + ", ".join(f"{count} {kind}" for kind, count in sorted(day["kinds"].items())),
        f"  missing  {_missing(day) or 'none'}",
    ]
    said = [f"{name} {day[f'said_{name}']}" for name in ("first", "last", "count") if day[f"said_{name}"] is not None]
    if day["closed_at"] is not None:
        says = f"; the register says: {', '.join(said)}" if said else ""
        lines.append(f"  closed   {day['closed_at']:%Y-%m-%d %H:%M:%SZ}{says}")
    elif day["due_at"] is not None:
        lines.append(f"  closed   no; stated without a close from {day['due_at']:%Y-%m-%d %H:%M:%SZ} on")
    if day["uncounted"]:
        more = "more" if day["uncounted"] > 0 else "fewer"
        lines.append(f"  counted  {abs(day['uncounted'])} {more} by the register than came")
    if day["late"] or day["repeats"] or day["reused"]:
        lines.append(
            f"  also     {day['late']} late, {day['repeats']} repeated, {day['reused']} under a number of another"
        )
    return "\n".join(lines)


def _numbers(day: dict[str, Any]) -> str:
    return "not looked at yet" if day["first_number"] is None else f"{day['first_number']}-{day['last_number']}"


def _missing(day: dict[str, Any]) -> str:
    if not day["missing_count"]:
        return ""
    return f"{day['missing_count']}: {shown([Range(*each) for each in day['missing']])}"


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidValue("day", text, "a day such as 2026-03-02") from None
