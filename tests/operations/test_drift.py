"""Drift from partners' contracts: counted by the hour, told once when it is new, closed only when it was dealt with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from interlock.bootstrap import App
from interlock.connectors.inlet import Origin, Taken
from interlock.domain.estate import Estate
from interlock.domain.values import SystemId, part_of
from interlock.operations.drift import DriftWatch, drift_report
from interlock.storage.database import Database
from tests.contracts.tiny_estate import SMALL, estate

NOW = datetime.now(UTC)
SHOP = SystemId("shop")
MAPPING = """\
mappings:
  own:
    records:
    - action: order.create
      fields:
        order_id: number
        channel: {value: web}
        placed_at: {value: "2026-03-01T12:00:00Z"}
        currency: {value: USD}
        fulfillment: {value: delivery}
        destination: {country: {value: US}}
        lines: {each: items, fields: {line_no: id, sku: sku, quantity: {value: "1"}, unit_price: {value: "1.00"}}}
"""
CONTRACT = """\
contracts:
  shop-orders:
    version_at: v
    version: "1"
    policy: {POLICY}
    versions:
    - version: "1"
      schema:
        type: object
        required: [number, items]
        properties:
          v: {type: string}
          number: {type: string}
          items:
            type: array
            items:
              type: object
              required: [id, sku]
              properties: {id: {type: string}, sku: {type: string}, n: {type: integer}, price: {type: string}}
"""
LINK = """\
    connection:
      inbound:
        - {kind: webhook, name: hook, format: json, mapping: own, contract: shop-orders}
"""


def agreed(policy: str = "") -> Estate:
    zone = "    time_zone: America/New_York\n"
    contract = CONTRACT.replace("POLICY", policy)
    return estate(SMALL.replace(zone, zone + LINK, 1) + MAPPING + contract)


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"number": f"N{number}", "items": [{"id": "1", "sku": "A", "n": 1, "price": "1.00"}], **more}


def take(app: App, *documents: dict[str, Any], at: datetime = NOW) -> list[Taken]:
    """The documents by the webhook, as its transport hands them over; what was gathered is written."""
    system, link = app.links.named("shop", "hook")
    origin = Origin(name="hook", received_at=at)
    taken = app.links.inlet(system, link).take_many(
        [(json.dumps(each).encode(), origin) for each in documents], answers=True
    )
    app.drift.flush()
    return taken


def exceptions(db: Database, what: str = "contract_drift") -> list[tuple[Any, ...]]:
    return db.transaction(
        lambda tx: tx.query(
            "select subject, exception_id, times, closed_by, explanation from exceptions where reason = %(what)s",
            what=what,
        )
    )


def test_what_drifts_is_quarantined_with_its_bytes_and_its_neighbours_go_on(db: Database) -> None:
    app = App(db, agreed())
    bad = {**order(2), "items": [{"id": 1, "sku": "A"}], "number": None}

    taken = take(app, order(1), bad, order(3, gift=True))

    assert [dict(each.outcomes) for each in taken] == [{"processed": 1}, {"quarantined": 1}, {"processed": 1}]
    assert dict(taken[2].notes) == {"drift from shop-orders/1: unknown_field gift": 1}
    assert dict(taken[1].rejected) == {"contract_drift": 1}
    answer = msgspec.json.decode(taken[1].answers[0].answer)
    assert {(each["field"], each["value"], each["expected"]) for each in answer["errors"]} == {
        ("items[0].id", "integer 1", "string (changed_type)"),
        ("number", "null", "string (changed_type)"),
    }
    kept = db.transaction(
        lambda tx: tx.query("select body, contract, reason from messages where outcome = 'quarantined'")
    )
    ((body, contract, reason),) = kept
    assert (json.loads(bytes(body)), contract) == (bad, "shop-orders/1")
    assert reason.startswith(
        "contract_drift: this object is not what the contract shop-orders, version 1, says, in 2 places"
    )


def test_drift_is_counted_by_version_kind_and_place_with_its_share_and_an_example(db: Database) -> None:
    app = App(db, agreed())
    lines = [{"id": str(n), "sku": "A", "n": "x", "price": "1.00"} for n in range(3)]

    taken = take(app, order(1), order(2), {**order(3), "items": lines}, order(4, gift=1), order(5, gift=2))
    take(app, order(6, gift=3), order(7, v="9"))

    report = drift_report(db, app.estate, "shop", days=1, now=NOW)
    assert [(each.version, each.checked, each.warned, each.held) for each in report.totals] == [
        ("1", 6, 3, 1),
        ("9", 1, 0, 1),
    ]
    found = {(each.version, each.kind, each.path): each for each in report.drift}
    assert {key: (each.messages, each.is_held, each.found) for key, each in found.items()} == {
        ("1", "changed_type", "items[].n"): (1, True, 'string "x"'),
        ("1", "unknown_field", "gift"): (3, False, "3"),
        ("9", "unknown_version", ""): (1, True, '"9"'),
    }
    assert found["1", "changed_type", "items[].n"].message_id == taken[2].answers[0].message_id
    assert report.checked(found["1", "unknown_field", "gift"]) == 6


def test_new_drift_is_told_once_and_again_only_when_another_kind_or_place_drifts(db: Database) -> None:
    app = App(db, agreed())

    for number in range(3):
        take(app, order(number, gift=True))
    ((subject, exception_id, times, closed_by, explanation),) = exceptions(db)
    assert (subject, exception_id, times, closed_by) == ("shop", "contract_drift/shop-orders", 1, None)
    assert explanation == (
        "shop sends what its contract shop-orders does not say: unknown_field gift (version 1): "
        "expected a field of the contract, found true, let through"
    )

    db.transaction(lambda tx: tx.execute("update exceptions set closed_by = 'pat', evidence = 'ok', closed_at = now()"))
    take(app, order(7, gift=True))
    assert exceptions(db)[0][2:4] == (1, "pat")

    take(app, order(8, wrap="red"))
    assert exceptions(db)[0][2:4] == (2, None)


def test_drift_under_a_changed_contract_is_told_again(db: Database) -> None:
    take(App(db, agreed()), order(1, gift=True))
    db.transaction(lambda tx: tx.execute("update exceptions set closed_by = 'pat', evidence = 'ok', closed_at = now()"))

    take(App(db, agreed("missing_field: warn")), order(2, gift=True))

    assert exceptions(db)[0][2:4] == (2, None)


def test_it_closes_by_itself_only_after_a_week_without_drift_under_a_changed_contract(db: Database) -> None:
    take(App(db, agreed()), order(1, gift=True))
    part, later = part_of(SHOP), NOW + timedelta(days=8)

    def look(policy: str, at: datetime) -> int:
        watch = DriftWatch(agreed(policy))
        return db.transaction(lambda tx: watch(tx, part, at))

    assert look("", later) == 0, "the contract is still the same"
    assert look("unknown_field: ignore", NOW + timedelta(days=6)) == 0, "it is too early"
    assert look("unknown_field: ignore", later) == 1
    assert exceptions(db)[0][3] == "interlock"
    evidence = db.transaction(lambda tx: tx.query("select evidence from exceptions where reason = 'contract_drift'"))
    digest = agreed("unknown_field: ignore").contracts["shop-orders"].digest()
    assert evidence[0][0].startswith(
        f"the contract shop-orders was changed (now {digest}), and the last drift came at "
    )


def test_ignored_drift_is_neither_counted_nor_told(db: Database) -> None:
    app = App(db, agreed("unknown_field: ignore, unknown_version: ignore"))

    taken = take(app, order(1, gift=True), order(2, v="9"))

    assert [dict(each.outcomes) for each in taken] == [{"processed": 1}, {"processed": 1}]
    assert exceptions(db) == []
    assert [(each.checked, each.warned) for each in drift_report(db, app.estate, None, days=1, now=NOW).totals] == [
        (2, 0)
    ]


def test_a_sender_that_makes_up_names_of_fields_fills_no_table(db: Database) -> None:
    app = App(db, agreed())

    for start in range(0, 500, 25):
        take(app, *[order(number, **{f"id_{number}": 1}) for number in range(start, start + 25)])

    seen = drift_report(db, app.estate, "shop", days=1, now=NOW).drift
    assert len(seen) == 201
    assert {each.path: each.messages for each in seen}["(other places)"] == 300


def test_what_cannot_be_written_now_is_written_with_the_next(db: Database, monkeypatch: Any) -> None:
    app = App(db, agreed())
    real = app.drift._db.transaction
    app.drift._db = type("Away", (), {"transaction": lambda self, work: 1 / 0})()  # type: ignore[assignment]

    take(app, order(1, gift=True))
    assert exceptions(db) == []

    app.drift._db = type("Back", (), {"transaction": lambda self, work: real(work)})()  # type: ignore[assignment]
    take(app, order(2, gift=True))
    assert [each.messages for each in drift_report(db, app.estate, "shop", days=1, now=NOW).drift] == [2]


def test_old_counts_are_forgotten_and_what_was_seen_stays(db: Database) -> None:
    app = App(db, agreed())
    take(app, order(1, gift=True))
    watch, later = DriftWatch(app.estate), NOW + timedelta(days=91)

    db.transaction(lambda tx: watch(tx, part_of(SHOP), later))

    (seen,) = drift_report(db, app.estate, "shop", days=3650, now=NOW).drift
    assert (seen.path, seen.messages) == ("gift", 0)
