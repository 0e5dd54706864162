"""The edge killed at any moment, before a real centre that goes and comes: what was answered 202 is done once, and in order."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from statistics import quantiles
from typing import Any

import httpx
import pytest

from interlock.domain.estate import Estate
from interlock.edge.queue import New, open_queue
from interlock.edge.settings import Limits
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.web.api import WebServer, create_app
from tests.edge.conftest import Edge, FakeCentre, free_port, until
from tests.web.conftest import small_estate, wait_until_up

MakeEdge = Callable[..., Edge]
QUEUED_AT = "2026-03-02T15:00:00+00:00"


class RealCentre:
    """The API over the real engine, which may be stopped and started again on its port."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self._db, self._estate = db, estate
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: WebServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve."""
        self._server = WebServer(
            create_app(self._db, self._estate, Door(self._db, self._estate)), "127.0.0.1", self.port
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until_up(self.url)

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join(15)
            self._server = None


@pytest.fixture
def real_centre(db: Database) -> Iterator[RealCentre]:
    """The real centre, not started yet."""
    centre = RealCentre(db, small_estate())
    yield centre
    centre.stop()


def adjust(number: int, sku: str) -> dict[str, Any]:
    """One unit more of a SKU; what makes it this one and no other is its key alone."""
    return {
        "sku": sku,
        "node": "DC-EAST",
        "delta": 1,
        "reason": "found",
        "occurred_at": f"2026-03-02T10:{number % 60:02}:00Z",
    }


def count(number: int, sku: str) -> dict[str, Any]:
    """A count of a SKU: the last one stands."""
    return {"sku": sku, "node": "DC-EAST", "counted": number, "ref": f"{sku}-{number}"}


def stock(db: Database) -> dict[str, int]:
    """Physical units by SKU."""
    return {
        sku: int(units) for sku, units in db.transaction(lambda tx: tx.query("select sku, physical from positions"))
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_was_answered_is_done_once_and_in_order_however_often_it_is_killed(
    make_edge: MakeEdge, real_centre: RealCentre, db: Database, seed: int
) -> None:
    chance = random.Random(seed)
    edge = make_edge(real_centre.url, key="wms-secret", system="wms").start()
    real_centre.start()
    answered: dict[str, int] = {}
    lock = threading.Lock()
    over = threading.Event()

    def till(name: str) -> None:
        """Posts adjustments and counts, each until it is answered, under one key."""
        with httpx.Client(base_url=edge.url, headers=edge.http.headers, timeout=5, trust_env=False) as http:
            number = 0
            while not over.is_set():
                number += 1
                for action, body, sku in (
                    ("stock.adjust", adjust(number, f"{name}-A"), f"{name}-A"),
                    ("stock.count", count(number, f"{name}-C"), f"{name}-C"),
                ):
                    headers = {
                        "Content-Type": "application/json",
                        "Idempotency-Key": f"{name}-{action}-{number}",
                        "Interlock-Stream": name,
                    }
                    while not over.is_set():
                        try:
                            said = http.post(f"/v1/actions/{action}", content=json.dumps(body), headers=headers)
                        except httpx.TransportError:
                            time.sleep(0.02)
                            continue
                        assert said.status_code == 202, said.text
                        with lock:
                            answered[sku] = number
                        break

    tills = [threading.Thread(target=till, args=(f"T{n}",)) for n in range(3)]
    for each in tills:
        each.start()
    for round_ in range(7):
        time.sleep(chance.uniform(0.1, 0.8))
        if round_ in (2, 5):
            real_centre.stop()
        edge.kill()
        edge.start()
        if round_ in (3, 6):
            real_centre.start()
    time.sleep(0.3)
    over.set()
    for each in tills:
        each.join()

    until(lambda: edge.status()["waiting"] == 0, f"it does not drain: {edge.status()}", 60)
    assert edge.status()["dead"] == 0, edge.status()["dead_letters"]
    found = stock(db)
    print(f"\nseed {seed}: {sum(answered.values())} answered over 7 kills")
    for sku, last in answered.items():
        # What was killed before its answer may be there as well: its till did not come to ask again.
        assert found[sku] in (last, last + 1), sku
    assert len(answered) == 6


def test_twenty_thousand_drain_in_order_beside_live_traffic(make_edge: MakeEdge, centre: FakeCentre) -> None:
    port = centre.port
    centre.stop()
    edge = make_edge(centre.url)
    streams, total = 10, 20_000
    began = time.perf_counter()
    with open_queue(edge.directory / "edge", Limits(free_bytes_min=0)) as queue:
        put = [
            queue.put(New(f"till-{n % streams}", f"{n % streams}-{n}", "/v1/orders", "{}", b'{"n": %d}' % n, QUEUED_AT))
            for n in range(total)
        ]
        for each in put:
            each.result()
    filled_s = time.perf_counter() - began
    edge.start()

    back = FakeCentre(port)
    try:
        until(lambda: back.came, "nothing moves")
        began = time.perf_counter()
        waits = []
        while edge.status()["waiting"] and time.perf_counter() - began < 60:
            asked = time.perf_counter()
            assert edge.post("/v1/orders", b"{}", key=f"live-{len(waits)}", stream="live").status_code == 202
            waits.append(time.perf_counter() - asked)
            time.sleep(0.05)
        drained_s = time.perf_counter() - began
        until(lambda: edge.status()["waiting"] == 0, "it did not drain")
        keys = back.keys
    finally:
        back.stop()

    print(
        f"\n{total} queued at {total / filled_s:,.0f}/s, drained at {total / drained_s:,.0f}/s; live posts answered within"
        f" {1000 * quantiles(waits, n=20)[18]:.0f} ms (19 of 20)"
    )
    assert len(set(keys)) == len(keys) == total + len(waits)
    for stream in range(streams):
        mine = [int(key.partition("-")[2]) for key in keys if key.startswith(f"{stream}-")]
        assert mine == list(range(stream, total, streams))


def test_a_backlog_drains_into_the_real_centre_beside_live_orders(
    make_edge: MakeEdge, real_centre: RealCentre, db: Database
) -> None:
    edge = make_edge(real_centre.url, key="wms-secret", system="wms", forward={"backlog_per_s": 300.0}).start()
    for number in range(600):
        edge.post(
            "/v1/actions/stock.adjust", adjust(number, f"S{number % 6}"), key=f"b{number}", stream=f"till-{number % 6}"
        )
    real_centre.start()
    took = []
    with httpx.Client(
        base_url=real_centre.url, headers={"Authorization": "Bearer wms-secret"}, timeout=30, trust_env=False
    ) as live:
        until(lambda: edge.status()["waiting"] < 590, "nothing moves")
        began = time.perf_counter()
        while waiting := edge.status()["waiting"]:
            asked = time.perf_counter()
            body = adjust(len(took), "LIVE")
            said = live.post("/v1/actions/stock.adjust", json=body, headers={"Idempotency-Key": f"live-{len(took)}"})
            assert said.status_code == 200, said.text
            took.append(time.perf_counter() - asked)
            assert time.perf_counter() - began < 60, waiting
        drained_s = time.perf_counter() - began

    print(
        f"\nthe backlog drained at {590 / drained_s:,.0f}/s; {len(took)} live calls at the centre took"
        f" {1000 * quantiles(took, n=20)[9]:.0f} ms, 19 of 20 at most {1000 * quantiles(took, n=20)[18]:.0f} ms"
    )
    assert {sku: units for sku, units in stock(db).items() if sku != "LIVE"} == {f"S{n}": 100 for n in range(6)}
    assert stock(db)["LIVE"] == len(took)
