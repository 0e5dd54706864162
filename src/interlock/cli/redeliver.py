"""`interlock redeliver`: dead letters go out again, once their cause is mended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from interlock.bootstrap import Settings, open_app
from interlock.cli.options import DataOption, EstateOption, JsonOption, UrlOption, app
from interlock.contracts.estate_checks import duration
from interlock.domain.errors import InvalidValue
from interlock.domain.values import OrderId, SystemId
from interlock.storage import outbox
from interlock.storage.outbox import Wanted
from interlock.terminal import out, print_json, print_table


@app.command()
def redeliver(
    receiver: Annotated[str, typer.Argument(help="The system whose dead letters go out again.")],
    orders: Annotated[list[str] | None, typer.Argument(help="Only those of these orders, by id.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only those whose last error holds this text.")] = None,
    older_than: Annotated[str | None, typer.Option(help="Only those written longer ago, such as 2h or 7d.")] = None,
    newer_than: Annotated[str | None, typer.Option(help="Only those written since then, such as 30m.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show which these are.")] = False,
    estate: EstateOption = None,
    database_url: UrlOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again, once their cause is mended."""
    now = datetime.now(UTC)
    wanted = Wanted(
        order_ids=tuple(OrderId(order) for order in orders) if orders else None,
        reason=reason,
        written_before=_ago("older-than", older_than, now),
        written_after=_ago("newer-than", newer_than, now),
    )
    with open_app(Settings.of(estate=estate, database_url=database_url, data_dir=data_dir)) as interlock:
        if receiver not in interlock.estate.systems:
            raise InvalidValue("receiver", receiver, f"one of {', '.join(interlock.estate.systems)}")
        system = SystemId(receiver)
        if dry_run:
            dead = interlock.db.transaction(lambda tx: outbox.dead_many(tx, outbox.ALL_PARTS, system, wanted))
            _show(receiver, dead, as_json=as_json)
            return
        count = interlock.db.transaction(
            lambda tx: outbox.redeliver_many(tx, outbox.ALL_PARTS, system, now=now, wanted=wanted)
        )
    if as_json:
        print_json({"receiver": receiver, "waiting_again": count})
    else:
        out.print(f"{count} dead letters of {receiver} wait for delivery again", highlight=False)


def _show(receiver: str, dead: list[outbox.Dead], *, as_json: bool) -> None:
    if as_json:
        print_json({"receiver": receiver, "dead": [each._asdict() for each in dead]})
        return
    print_table(
        ["message", "of", "written (UTC)", "attempts", "last error"],
        [
            [
                each.message,
                f"{each.order_id}/{each.assignment_no}",
                f"{each.created_at:%Y-%m-%d %H:%M:%S}",
                each.attempts,
                each.last_error or "",
            ]
            for each in dead
        ],
    )
    more = ", the oldest of them" if len(dead) == outbox.DEAD_MAX else ""
    out.print(f"{len(dead)} dead letters of {receiver}{more}; nothing was sent", highlight=False)


def _ago(option: str, text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        seconds = duration(text)
    except (ValueError, KeyError):
        seconds = None
    if seconds is None or seconds < 0:
        raise InvalidValue(option, text, "a duration such as 30m, 2h or 7d")
    return now - timedelta(seconds=seconds)
