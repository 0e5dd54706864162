"""What people do with subscriptions: look, pause, resume, send again, rewind."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.subscriptions import Topic
from interlock.domain.values import OrderId
from interlock.storage import events_feed, subscriptions
from interlock.storage.database import Database, Transaction
from interlock.storage.events_feed import BEGINNING, Cursor

JsonObject = dict[str, Any]


def standings(db: Database, estate: Estate) -> list[JsonObject]:
    """Every subscription of the estate, and those that were served once and are not in it any more, by name.

    `state` is running, paused, failing, waiting (it was never served yet) or gone (not in the estate).
    """
    served = {each["name"]: each for each in subscriptions.show_many(db)}
    found = []
    for name in sorted({*served, *estate.subscriptions}):
        mine, of_estate = served.get(name, {}), estate.subscriptions.get(name)
        if of_estate is None:
            state = "gone"
        elif not mine:
            state = "waiting"
        else:
            state = "paused" if mine["paused_at"] else "failing" if mine["failures"] else "running"
        to = of_estate.to if of_estate else None
        where = f"{to.broker} {to.topic}" if isinstance(to, Topic) else to.url if to else ""
        found.append({"name": name, "state": state, "to": where, **{k: v for k, v in mine.items() if k != "name"}})
    return found


def standing(db: Database, estate: Estate, name: str) -> JsonObject:
    """One subscription with its letters, and the token of where it is. Raises InvalidValue where there is none."""
    found = next((each for each in standings(db, estate) if each["name"] == name), None)
    if found is None:
        raise _unknown(estate, name)

    def read(tx: Transaction) -> JsonObject:
        at = subscriptions.cursor_of(tx, name)
        return {"at": at.token() if at else None, "letters": subscriptions.letters_many(tx, name)}

    return {**found, **db.transaction(read)}


def pause(db: Database, estate: Estate, name: str, by: str, why: str, now: datetime) -> bool:
    """Serve it no more until it is resumed; False where it was paused already. Raises InvalidValue."""
    _check(estate, name)

    def work(tx: Transaction) -> bool:
        _begin(tx, estate, name, now)
        return subscriptions.pause(tx, name, by, why, now)

    return db.transaction(work)


def resume(db: Database, estate: Estate, name: str, now: datetime) -> bool:
    """Serve it again, from where it stopped; False where it was not paused. Raises InvalidValue."""
    _check(estate, name)
    return db.transaction(lambda tx: subscriptions.resume(tx, name, now))


def redeliver(db: Database, estate: Estate, name: str, event: str | None, now: datetime) -> int:
    """An event (ORDER_ID/NUMBER) goes to it once more, out of turn; without one, all that are dead. Gives how many.

    Raises InvalidValue.
    """
    _check(estate, name)
    if event is None:
        return db.transaction(lambda tx: subscriptions.redeliver_dead(tx, name, now))
    order_id, _, number = event.rpartition("/")
    expected = "the id of an event: the order's, a slash, and the event's number in it, such as webshop:10001/3"
    if not order_id or not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidValue("event", event, expected)
    order, seq = OrderId(order_id), int(number)
    if not db.transaction(lambda tx: subscriptions.redeliver_one(tx, name, order, seq, now)):
        raise InvalidValue("event", event, f"{expected}; there is none of this id")
    return 1


def rewind(db: Database, estate: Estate, name: str, to: str, now: datetime) -> int:
    """Serve it from a token, the beginning or now on; gives how many events are behind that. Raises InvalidValue."""
    _check(estate, name)

    def work(tx: Transaction) -> int:
        heads = events_feed.now_cursor(tx)
        at = {"beginning": BEGINNING, "now": heads}.get(to) or Cursor.of(to)
        events_feed.read_page(tx, at, 1)  # whether it is a token of this database
        _begin(tx, estate, name, now)
        subscriptions.rewind(tx, name, at, now)
        return sum(heads.positions) - sum(at.positions)

    return db.transaction(work)


def _begin(tx: Transaction, estate: Estate, name: str, now: datetime) -> None:
    """A person may be faster than the service that sees it first."""
    subscriptions.begin(tx, name, from_beginning=estate.subscriptions[name].start == "beginning", now=now)


def _check(estate: Estate, name: str) -> None:
    if name not in estate.subscriptions:
        raise _unknown(estate, name)


def _unknown(estate: Estate, name: str) -> InvalidValue:
    return InvalidValue(
        "subscription", name, f"one of {', '.join(estate.subscriptions) or 'none: the estate has none'}"
    )
