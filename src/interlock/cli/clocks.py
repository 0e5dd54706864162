"""`interlock clocks`: how far the clock of each system is from ours."""

from __future__ import annotations

from interlock.bootstrap import Settings, open_app
from interlock.cli.options import DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.operations.clocks import Clock
from interlock.operations.clocks import clocks as read_clocks
from interlock.terminal import print_json, print_table


@app.command()
def clocks(
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far the clock of each system is from ours, by what it sent last."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        found = read_clocks(interlock.db, interlock.estate)
    if as_json:
        print_json(found)
    else:
        print_table(
            ["system", "clock", "skew s", "tolerance s", "latest s", "messages", "last message (UTC)"],
            [_cells(clock) for clock in found],
        )


def _cells(clock: Clock) -> list[object]:
    if clock.skew_s is None or clock.lag_max_s is None or clock.last_at is None:
        return [clock.system, clock.verdict, "", f"{clock.tolerance_s:g}", "", 0, ""]
    return [
        clock.system,
        clock.verdict,
        f"{clock.skew_s:+.1f}",
        f"{clock.tolerance_s:g}",
        f"{clock.lag_max_s:+.1f}",
        clock.messages,
        f"{clock.last_at:%Y-%m-%d %H:%M:%S}",
    ]
