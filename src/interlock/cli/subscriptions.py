"""`interlock subscriptions` and `interlock events`: who is sent the events, how far each is, and the events themselves."""

from __future__ import annotations

import getpass
import sys
import time
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from interlock.bootstrap import Settings, open_app
from interlock.cli.options import EXIT_USAGE, DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.contracts.cloudevents import Envelope, structured
from interlock.contracts.estate_subscriptions import EVENT_TYPES
from interlock.domain.errors import InvalidValue
from interlock.domain.values import OrderId
from interlock.operations import subscriptions as operations
from interlock.storage import events_feed
from interlock.storage.database import Transaction
from interlock.storage.events_feed import BEGINNING, Cursor, EventRow, Page, Wanted
from interlock.terminal import err, out, print_json, print_table, say

LIST = "list"
PAGE_EVENTS = 500
FOLLOW_EVERY_S = 0.5


class _Listing(TyperGroup):
    """A group whose name alone lists."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments, with the word `list` where no sub-command is named."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = [LIST, *args]
        return super().parse_args(ctx, args)


subscriptions_app = typer.Typer(
    cls=_Listing,
    help="Who is sent the events: `interlock subscriptions` lists them.",
    rich_markup_mode=None,
)
app.add_typer(subscriptions_app, name="subscriptions")

NameArgument = Annotated[str, typer.Argument(help="The subscription, by its name in the estate.")]


@subscriptions_app.command(LIST, hidden=True)
def listed(
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List subscriptions, and how far each is."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        found = operations.standings(interlock.db, interlock.estate)
    if as_json:
        print_json(found)
        return
    if not found:
        say("The estate has no subscriptions.")
        return
    print_table(
        ["name", "state", "to", "sent", "behind", "oldest (UTC)", "dead", "failures", "last error"],
        [
            [
                each["name"],
                each["state"],
                each["to"],
                each.get("sent", ""),
                each.get("behind", ""),
                _time(each.get("oldest_at")),
                each.get("dead", ""),
                each.get("failures", ""),
                each.get("paused_why") or each.get("last_error") or "",
            ]
            for each in found
        ],
    )


@subscriptions_app.command()
def show(
    name: NameArgument,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one subscription: how far it is, and what it could not be given."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        found = operations.standing(interlock.db, interlock.estate, name)
    if as_json:
        print_json(found)
        return
    letters = found.pop("letters")
    for field, value in found.items():
        if value not in (None, ""):
            out.print(f"{field}: {_time(value) or value}", markup=False, highlight=False)
    if letters:
        print_table(
            ["event", "state", "attempts", "since (UTC)", "last error"],
            [
                [each["event"], each["state"], each["attempts"], _time(each["put_at"]), each["last_error"] or ""]
                for each in letters
            ],
        )


@subscriptions_app.command()
def pause(
    name: NameArgument,
    why: Annotated[str, typer.Option("--why", help="What others are told.")] = "",
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send it nothing until it is resumed; it loses nothing."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        by = getpass.getuser()
        done = operations.pause(interlock.db, interlock.estate, name, by, why, datetime.now(UTC))
    _said(
        {"subscription": name, "paused": done}, f"{name} is paused" if done else f"{name} was paused already", as_json
    )


@subscriptions_app.command()
def resume(
    name: NameArgument,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send it events again, from where it stopped."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        done = operations.resume(interlock.db, interlock.estate, name, datetime.now(UTC))
    _said({"subscription": name, "resumed": done}, f"{name} goes on" if done else f"{name} was not paused", as_json)


@subscriptions_app.command()
def redeliver(
    name: NameArgument,
    event: Annotated[str | None, typer.Option("--event", help="This event, such as webshop:10001/3.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that it could not be given.")] = False,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send it one event again, or all that it could not be given."""
    if dead == (event is not None):
        err.print("interlock: say either --event ID or --dead", style="red", highlight=False)
        raise typer.Exit(EXIT_USAGE)
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        count = operations.redeliver(interlock.db, interlock.estate, name, event, datetime.now(UTC))
    _said({"subscription": name, "waiting_again": count}, f"{count} events wait to go to {name} again", as_json)


@subscriptions_app.command()
def rewind(
    name: NameArgument,
    to: Annotated[str, typer.Option("--to", help="A token of the feed, or beginning, or now.")],
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send it everything from a position on, again or for the first time, under the same ids."""
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        behind = operations.rewind(interlock.db, interlock.estate, name, to, datetime.now(UTC))
    _said(
        {"subscription": name, "behind": behind}, f"{name} goes on from there: {behind} events are behind it", as_json
    )


@app.command()
def events(
    after: Annotated[str, typer.Option("--after", help="A token of the feed, or beginning, or now.")] = "beginning",
    order: Annotated[str | None, typer.Option("--order", help="Only those of one order, by its id.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only these: a name, or units.*")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = PAGE_EVENTS,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as they happen, until Ctrl-C.")] = False,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print events in their order, then the token of where to go on. With --json each is a CloudEvent on a line."""
    wanted = Wanted(types=_types(types) if types else None)
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        envelope = Envelope(interlock.estate.retailer)
        at = interlock.db.transaction(lambda tx: _cursor(tx, after))
        left = limit
        try:
            while True:
                many = PAGE_EVENTS if follow else min(left, PAGE_EVENTS)
                page = interlock.db.transaction(lambda tx, at=at, many=many: _page(tx, at, many, wanted, order))  # type: ignore[misc]
                for event in page.events:
                    _print(event, envelope, as_json=as_json)
                at, left = page.cursor, left - len(page.events)
                if not page.more and not follow or not follow and left <= 0:
                    break
                if not page.more:
                    time.sleep(FOLLOW_EVERY_S)
        except KeyboardInterrupt:
            pass
    say(f"next: {at.token()}")


def _page(tx: Transaction, at: Cursor, limit: int, wanted: Wanted, order: str | None) -> Page:
    if order is not None:
        return events_feed.read_order(tx, at, limit, OrderId(order), wanted)
    return events_feed.read_page(tx, at, limit, wanted)


def _cursor(tx: Transaction, after: str) -> Cursor:
    if after == "now":
        return events_feed.now_cursor(tx)
    return BEGINNING if after == "beginning" else Cursor.of(after)


def _types(patterns: list[str]) -> tuple[str, ...]:
    found = tuple(each for each in EVENT_TYPES if any(fnmatchcase(each, pattern) for pattern in patterns))
    if not found:
        raise InvalidValue("type", ", ".join(patterns), f"names or patterns of {', '.join(EVENT_TYPES)}")
    return found


def _print(event: EventRow, envelope: Envelope, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(structured(event, envelope).decode() + "\n")
        sys.stdout.flush()
        return
    at = _time(event.recorded_at)
    out.print(f"{at}  {event.order_id}/{event.seq}  {event.type}  by {event.system}", markup=False, highlight=False)


def _said(value: dict[str, object], text: str, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        out.print(text, markup=False, highlight=False)


def _time(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else ""
