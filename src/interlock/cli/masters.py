"""`interlock masters`: how much two masters both still tell, and where they do not agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from interlock.bootstrap import Settings, open_app
from interlock.cli.options import DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.domain.errors import InvalidValue
from interlock.operations.masters import divergences, standing
from interlock.terminal import print_json, print_table, say


@app.command()
def masters(
    pair: Annotated[str | None, typer.Argument(help="The name of a pair: then what does not agree is listed.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How many days back.")] = 30,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what two masters both told, what only one of them did, and where they do not agree."""
    now = datetime.now(UTC)
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        names = [each.name for each in interlock.estate.two_masters]
        if pair is not None and pair not in names:
            raise InvalidValue("pair", pair, f"the name of two_masters of the estate: {', '.join(names) or 'none'}")
        if pair is not None:
            found = divergences(interlock.db, pair, days=days, now=now)
            if as_json:
                print_json(found)
                return
            print_table(
                ["at (UTC)", "subject", "action", "key", "told by", "field", "first", "second"],
                [
                    [f"{each['at']:%Y-%m-%d %H:%M:%S}", each["subject"], each["action"], each["key"], each["system"]]
                    + [difference["field"], difference["first"], difference["second"]]
                    for each in found
                    for difference in each["differences"]
                ],
            )
            return
        stands = standing(interlock.db, interlock.estate, days=days, now=now)
    if as_json:
        print_json(stands)
    elif not stands:
        say("The estate names no two_masters.")
    else:
        print_table(
            ["pair", "told by both", "agree", "differ", "only by one", "may still come", "dual", "differ in"],
            [
                [
                    each.pair,
                    each.both_agree + each.both_diverge,
                    each.both_agree,
                    each.both_diverge,
                    ", ".join(f"{system}: {count}" for system, count in each.alone.items()),
                    each.waiting,
                    f"{each.dual:.1%}",
                    ", ".join(f"{field}: {count}" for field, count in each.fields.items()),
                ]
                for each in stands
            ],
        )
