"""`interlock replay`: history again, as a candidate would have had it. `interlock reprocess`: what was put away, for real."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from interlock.bootstrap import Settings, open_app, open_database, steady_memory
from interlock.cli.options import EXIT_BAD, DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.replay import replay as run_replay
from interlock.replay.candidate import with_mappings
from interlock.replay.reprocess import Tried
from interlock.replay.translating import Translating
from interlock.storage.history import Range
from interlock.storage.put_away import Wanted
from interlock.terminal import out, print_json, say


@app.command("replay")
def replay(
    since: Annotated[str | None, typer.Option("--from", help="Only what took effect since then (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only what took effect before that.")] = None,
    system: Annotated[
        list[str] | None, typer.Option(help="Report only orders of which this system spoke; may be repeated.")
    ] = None,
    order: Annotated[list[str] | None, typer.Option(help="Report only this order; may be repeated.")] = None,
    candidate: Annotated[
        Path | None, typer.Option("--estate", "--candidate", help="The estate to compare with: a candidate.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(help="SYSTEM[/LINK]=NAME or FILE: another mapping to compare with; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="So many orders are told one by one.")] = 20,
    processes: Annotated[
        int, typer.Option(min=0, help="Processes that read messages, beside the one that decides.")
    ] = 1,
    present: Annotated[Path | None, typer.Option(help="The estate in use. [default: estate.yaml]")] = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send recorded history through another estate or mapping, and report what would differ. Nothing is changed."""
    settings = Settings.of(estate=present, database_url=database_url, data_dir=data_dir)
    in_use = load_estate(settings.estate)
    other = with_mappings(load_estate(candidate) if candidate is not None else in_use, mapping or [])
    span = Range(_time("--from", since), _time("--to", until))
    compared = None if other is in_use else other
    steady_memory()
    with Translating(in_use, compared, processes=processes) as translating, open_database(settings) as db:
        report = run_replay(
            db,
            in_use,
            compared,
            span,
            systems=frozenset(system or ()),
            orders=frozenset(order or ()),
            translating=translating,
        )
    seconds = report.replayed.seconds
    say(
        f"{report.replayed.messages / max(seconds['all'], 1e-9):,.0f} messages a second; "
        + ", ".join(f"{name} {spent:.2f} s" for name, spent in seconds.items())
    )
    if as_json:
        print_json(report.values())
    else:
        for line in report.lines(limit):
            out.print(line, markup=False, highlight=False)
    if report.reproduced.not_reproduced and report.reproduced.orders == len(report.reproduced.not_reproduced):
        raise typer.Exit(EXIT_BAD)


@app.command("reprocess")
def reprocess(
    system: Annotated[list[str] | None, typer.Option(help="Only what this system sent; may be repeated.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only what was put away with this text in the reason.")] = None,
    since: Annotated[str | None, typer.Option(help="Only what was received since then (ISO 8601).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what each would become.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take quarantined messages again once their cause is mended. (Dead letters go out again by `interlock redeliver`.)"""
    wanted = Wanted(tuple(system or ()), reason, _time("--since", since))
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        for name in wanted.systems:
            if name not in interlock.estate.systems:
                raise InvalidValue("system", name, f"one of {', '.join(interlock.estate.systems)}")
        tried = list(interlock.reprocess().run(wanted, limit=limit, dry_run=dry_run))
    states = Counter(each.state for each in tried)
    if as_json:
        print_json({"dry_run": dry_run, "states": dict(sorted(states.items())), "messages": tried})
        return
    for each in tried[:SHOWN_MAX]:
        out.print(_told(each), markup=False, highlight=False)
    if len(tried) > SHOWN_MAX:
        out.print(f"and {len(tried) - SHOWN_MAX:,} more, with --json", highlight=False)
    said = ", ".join(f"{count:,} {_STATES[state]}" for state, count in sorted(states.items())) or "nothing is put away"
    out.print(f"{said}{'; nothing was changed' if dry_run else ''}", markup=False, highlight=False)


SHOWN_MAX = 50
_STATES = {
    "taken": "taken",
    "would be taken": "would be taken",
    "nothing to do": "have nothing to do",
    "stays": "stay put away",
}


def _told(tried: Tried) -> str:
    where = f"{tried.system} {tried.record or tried.message_id}"
    if tried.state == "stays":
        return f"{where}: stays put away ({tried.reason}): {tried.why}"
    if tried.state == "nothing to do":
        return f"{where}: by {tried.by} there is nothing to do for it"
    words = ", ".join(tried.becomes)
    return f"{where}: {words} by {tried.by}" + (f": {', '.join(tried.outcomes)}" if tried.outcomes else "")


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(option, text, "a time such as 2026-03-02T12:00:00Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
