"""Clocks of systems: gathered without a write for a message, judged by the least lag, told and taken back with evidence."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.bootstrap import App
from interlock.contracts.estate_file import starter
from interlock.domain.values import SystemId, part_of
from interlock.engine.door import Door
from interlock.operations.audit import audit
from interlock.operations.clocks import Clock, ClockWatch, clocks, judge
from interlock.storage import clocks as store
from interlock.storage.clocks import Lags, Slot, slot_of
from interlock.storage.database import Database
from interlock.web.observed import Observed
from tests.web.conftest import Serve, client, order, small_estate
from tests.web.signing import ENVIRONMENT, signed_estate, webhook

NOW = datetime(2026, 3, 2, 12, 2, 30, tzinfo=UTC)
SHOP, WMS = SystemId("webshop"), SystemId("wms")
PART = part_of(SHOP)
ESTATE = small_estate()


def seen(db: Database, lags_s: list[float], at: datetime = NOW, system: SystemId = SHOP) -> None:
    """Messages of a system that came at `at`, gathered and written."""
    lags = Lags(system=system, messages=len(lags_s), lag_min_s=min(lags_s), lag_max_s=max(lags_s), since=at, last_at=at)
    db.transaction(lambda tx: store.add_many(tx, {slot_of(system, at): lags}))


def look(db: Database, at: datetime = NOW) -> int:
    """One round of the chore in the shop's part."""
    watch = ClockWatch(ESTATE)
    return db.transaction(lambda tx: watch(tx, PART, at))


def clock(db: Database, system: SystemId = SHOP) -> Clock:
    return next(each for each in clocks(db, ESTATE) if each.system == system)


def told(db: Database) -> list[tuple[object, ...]]:
    return db.transaction(
        lambda tx: tx.query(
            "select subject, exception_id, system, times, closed_by, evidence, explanation from exceptions order by subject"
        )
    )


# What is kept


def test_a_slot_is_five_minutes_and_adds_up_whatever_the_order(db: Database) -> None:
    assert slot_of(SHOP, NOW) == Slot(SHOP, datetime(2026, 3, 2, 12, 0, tzinfo=UTC))
    seen(db, [2.0, 5.0], NOW)
    seen(db, [-1.5], NOW - timedelta(seconds=60))
    seen(db, [3.0, 900.0, 4.0], NOW - timedelta(seconds=30))

    rows = db.transaction(
        lambda tx: tx.query("select part, system, slot, messages, lag_min_s, lag_max_s, last_at from clock_lags")
    )

    assert rows == [(PART, "webshop", slot_of(SHOP, NOW).starts_at, 6, -1.5, 900.0, NOW)]


def test_the_last_quarter_of_an_hour_in_which_a_system_spoke_is_what_counts(db: Database) -> None:
    seen(db, [-900.0], NOW - timedelta(minutes=20))
    seen(db, [7.0], NOW - timedelta(minutes=10))
    seen(db, [2.0, 3.0])

    assert clock(db) == Clock(
        system=SHOP, verdict="right", tolerance_s=300.0, skew_s=2.0, lag_max_s=7.0, messages=3,
        since=slot_of(SHOP, NOW - timedelta(minutes=10)).starts_at, last_at=NOW,
    )  # fmt: skip
    assert clock(db, WMS) == Clock(system=WMS, verdict="unknown", tolerance_s=300.0)
    assert [each.system for each in clocks(db, ESTATE)] == list(ESTATE.systems)


def test_slots_older_than_a_week_are_dropped(db: Database) -> None:
    seen(db, [1.0], NOW - timedelta(days=7, minutes=5))
    seen(db, [1.0], NOW - timedelta(days=6))

    look(db)

    assert db.transaction(lambda tx: tx.query("select count(*) from clock_lags"))[0][0] == 1


# How it is judged


@pytest.mark.parametrize(
    ("lags_s", "verdict"),
    [
        ([0.2], "right"),
        ([-300.0], "right"),
        ([-300.1], "ahead"),
        ([-301.0, *[5.0] * 100], "ahead"),
        ([301.0] * 19, "unknown"),
        ([301.0] * 20, "behind"),
        ([299.0, *[9_000.0] * 100], "right"),
        ([301.0, *[9_000.0] * 100], "behind"),
    ],
)
def test_one_message_from_the_future_is_proof_and_lateness_takes_many(lags_s: list[float], verdict: str) -> None:
    lags = Lags(system=SHOP, messages=len(lags_s), lag_min_s=min(lags_s), lag_max_s=max(lags_s), since=NOW, last_at=NOW)

    assert judge(lags, 300.0) == verdict


@given(st.lists(st.floats(0, 250), min_size=20, max_size=40), st.floats(-5_000, 5_000))
def test_a_skew_is_found_whatever_the_delays_of_the_way(delays_s: list[float], skew_s: float) -> None:
    lags_s = [delay - skew_s for delay in delays_s]
    lags = Lags(system=SHOP, messages=len(lags_s), lag_min_s=min(lags_s), lag_max_s=max(lags_s), since=NOW, last_at=NOW)

    verdict = judge(lags, 300.0)

    if skew_s > 550:
        assert verdict == "ahead"
    if skew_s < -300:
        assert verdict == "behind"
    if -50 <= skew_s <= 300:
        assert verdict == "right"


# How it is told


def test_a_clock_ahead_is_told_once_touched_once_a_minute_and_closed_with_figures_when_right(db: Database) -> None:
    seen(db, [-600.0, 2.0])

    assert [look(db), look(db, NOW + timedelta(seconds=5)), look(db, NOW + timedelta(seconds=30))] == [1, 0, 0]
    ((subject, exception_id, system, times, closed_by, _, explanation),) = told(db)
    assert (subject, exception_id, system, times, closed_by) == ("webshop", "clock_skew/webshop", "webshop", 1, None)
    assert explanation == (
        "the clock of webshop is 600.0 s ahead of ours or more (2 messages from 2026-03-02T12:00Z to 2026-03-02T12:02Z, "
        "tolerance 300 s)"
    )
    assert look(db, NOW + timedelta(seconds=61)) == 1
    assert told(db)[0][3] == 1
    later = NOW + timedelta(minutes=16)
    seen(db, [1.0, 2.0, 4.0], later)
    assert look(db, later) == 1
    assert told(db)[0][3:6] == (
        1,
        "interlock",
        "3 messages up to 2026-03-02T12:18Z: the least lag is 1.0 s, within 300 s",
    )
    assert look(db, later + timedelta(minutes=5)) == 0


def test_a_clock_behind_is_told_with_what_else_it_may_be(db: Database) -> None:
    seen(db, [3_600.0 + n for n in range(20)])

    assert look(db) == 1
    assert told(db)[0][6] == (
        "the clock of webshop is 3600.0 s behind ours, or all that it sends is at least so late (20 messages from "
        "2026-03-02T12:00Z to 2026-03-02T12:02Z, tolerance 300 s)"
    )


def test_it_opens_again_only_by_what_was_seen_after_it_was_closed(db: Database) -> None:
    seen(db, [-600.0])
    look(db)
    db.transaction(
        lambda tx: tx.execute(
            "update exceptions set closed_at = %(at)s, closed_by = 'pat', evidence = 'set by hand'",
            at=NOW + timedelta(seconds=10),
        )
    )

    assert look(db, NOW + timedelta(seconds=200)) == 0
    seen(db, [-600.0], NOW + timedelta(seconds=205))
    assert look(db, NOW + timedelta(seconds=206)) == 1
    assert told(db)[0][3:5] == (2, None)


def test_a_right_clock_opens_and_closes_nothing_and_other_parts_are_left_alone(db: Database) -> None:
    seen(db, [1.0])
    seen(db, [-900.0], system=WMS)

    assert look(db) == 0
    assert told(db) == []


def test_the_audit_holds_while_clocks_are_wrong_and_when_they_are_right_again(db: Database) -> None:
    seen(db, [-600.0])
    look(db)
    wrong = audit(db, estate=ESTATE, now=NOW)
    seen(db, [1.0], NOW + timedelta(minutes=20))
    look(db, NOW + timedelta(minutes=20))

    assert [finding.name for finding in (*wrong, *audit(db, estate=ESTATE, now=NOW)) if not finding.holds] == []
    assert told(db)[0][4] == "interlock"


# From a real request to the exception


@pytest.fixture
def hooks(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of an API whose systems sign."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    serve = Serve(db, signed_estate())
    try:
        with httpx.Client(base_url=serve(Door(db, signed_estate())), timeout=30, trust_env=False) as http:
            yield http
    finally:
        serve.stop()
        serve.join()


def written(db: Database, messages: int) -> dict[str, tuple[int, float, float]]:
    """Count, least and greatest lag by system, once so many messages were seen."""
    for _ in range(80):
        rows = db.transaction(
            lambda tx: tx.query(
                "select system, sum(messages)::bigint, min(lag_min_s), max(lag_max_s) from clock_lags group by 1"
            )
        )
        if sum(row[1] for row in rows) >= messages:
            break
        time.sleep(0.1)
    return {row[0]: tuple(row[1:]) for row in rows}


def test_signed_times_are_measured_even_of_requests_that_are_refused_for_them(
    hooks: httpx.Client, db: Database
) -> None:
    body = b'{"sku": "SKU-1", "node": "DC-EAST", "delta": 1, "occurred_at": "2020-01-01T00:00:00Z"}'
    for number, apart in enumerate((-100, 0, 100, 1_000)):
        headers = webhook(body, message_id=f"m{number}", at=time.time() + apart)
        status = hooks.post("/v1/hooks/shop/stock.adjust", content=body, headers=headers).status_code
        assert status == (401 if apart == 1_000 else 200)
    hooks.post("/v1/hooks/shop/stock.adjust", content=body, headers=webhook(body, secret=b"x", at=time.time() + 5_000))

    found = written(db, 4)

    assert list(found) == ["shop"]
    count, least, greatest = found["shop"]
    assert count == 4
    assert -1_000 <= least < -970
    assert 99 < greatest < 130


def test_what_a_plain_request_says_of_its_fact_is_measured_and_lines_of_many_are_not(db: Database) -> None:
    serve = Serve(db, ESTATE)
    try:
        with client(serve(Door(db, ESTATE)), "webshop") as webshop:
            stated = (datetime.now(UTC) + timedelta(seconds=700)).isoformat()
            old = (datetime.now(UTC) - timedelta(days=3)).isoformat()
            assert webshop.post("/v1/orders", json=order("1", occurred_at=stated)).status_code == 201
            assert webshop.post("/v1/orders", json=order("2")).status_code == 201
            line = json.dumps({"action": "order.create", **order("3", occurred_at=old)})
            assert (
                webshop.post("/v1/bulk", content=line, headers={"Content-Type": "application/x-ndjson"}).status_code
                == 200
            )
            count, least, greatest = written(db, 1)["webshop"]
            rows = webshop.get("/v1/clocks").json()["clocks"]
    finally:
        serve.stop()
        serve.join()

    assert count == 1
    assert least == greatest
    assert -700 <= least < -690
    shown = next(row for row in rows if row["system"] == "webshop")
    assert (shown["verdict"], shown["messages"], shown["skew_s"], shown["tolerance_s"]) == ("ahead", 1, least, 300.0)
    assert [row["verdict"] for row in rows if row["system"] != "webshop"] == ["unknown"] * (len(ESTATE.systems) - 1)


def test_what_could_not_be_written_is_kept_for_the_next_moment(db: Database) -> None:
    observed = Observed(db)
    observed.stated(SHOP, NOW, NOW + timedelta(seconds=3))
    observed.refused(SHOP, "first", NOW)
    for table in ("clock_lags", "signature_refusals"):
        db.transaction(lambda tx, table=table: tx.script(f"alter table {table} rename to {table}_away"))  # type: ignore[misc]
    asyncio.run(observed.flush())
    observed.stated(SHOP, NOW, NOW + timedelta(seconds=1))
    observed.refused(SHOP, "second", NOW)
    asyncio.run(observed.flush())
    for table in ("clock_lags", "signature_refusals"):
        db.transaction(lambda tx, table=table: tx.script(f"alter table {table}_away rename to {table}"))  # type: ignore[misc]

    asyncio.run(observed.flush())
    asyncio.run(observed.flush())

    assert written(db, 2) == {"webshop": (2, 1.0, 3.0)}
    assert db.transaction(lambda tx: tx.query("select refusals, last_why from signature_refusals")) == [(2, "second")]


def test_a_time_from_another_year_says_nothing_of_a_clock(db: Database) -> None:
    observed = Observed(db)
    observed.stated(SHOP, datetime(1970, 1, 1, tzinfo=UTC), NOW)

    asyncio.run(observed.flush())

    assert db.transaction(lambda tx: tx.query("select count(*) from clock_lags"))[0][0] == 0


def test_what_was_gathered_is_written_when_the_service_ends(db: Database) -> None:
    serve = Serve(db, ESTATE)
    with client(serve(Door(db, ESTATE)), "webshop") as webshop:
        webshop.post("/v1/orders", json=order("1", occurred_at=datetime.now(UTC).isoformat()))
    serve.stop()
    serve.join()

    assert written(db, 1)["webshop"][0] == 1


def test_the_service_opens_and_closes_the_exception_by_itself(db: Database) -> None:
    now = datetime.now(UTC)
    seen(db, [-600.0], now - timedelta(minutes=30))
    app = App(db, ESTATE)

    def wait_until(closed: bool) -> bool:
        for _ in range(150):
            rows = told(db)
            if rows and (rows[0][4] is not None) == closed:
                return True
            time.sleep(0.1)
        return False

    with app.services(workers=1, folders=False, delivery=False) as stop:
        assert isinstance(stop, threading.Event)
        assert wait_until(closed=False)
        seen(db, [0.5], now)
        assert wait_until(closed=True)
    assert "the least lag is 0.5 s, within 300 s" in str(told(db)[0][5])


def test_the_command_prints_every_clock(db: Database, dsn: str, tmp_path: Path) -> None:
    (tmp_path / "estate.yaml").write_text(starter())
    seen(db, [-600.0, 3.0], datetime.now(UTC))
    environment = {**os.environ, "INTERLOCK_DATABASE_URL": dsn}

    def run(*options: str) -> str:
        command = [sys.executable, "-m", "interlock.cli", "clocks", *options]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    rows = msgspec.json.decode(run("--json"))
    shop = next(row for row in rows if row["system"] == "webshop")
    assert (shop["verdict"], shop["skew_s"], shop["lag_max_s"], shop["messages"]) == ("ahead", -600.0, 3.0, 2)
    assert len(rows) == 6
    line = next(line for line in run().splitlines() if line.startswith("webshop"))
    assert line.split()[:6] == ["webshop", "ahead", "-600.0", "300", "+3.0", "2"]
