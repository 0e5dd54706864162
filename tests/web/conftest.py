"""A small estate with its keys, and the API on a real socket: over the real engine, or over a door of the test's own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import httpx
import pytest

from interlock.domain.estate import (
    Channel,
    Contact,
    Estate,
    Limits,
    Node,
    Place,
    SourcingPolicy,
    System,
)
from interlock.domain.values import NodeId, Sku, SystemId
from interlock.engine.door import Door
from interlock.storage.database import Database
from interlock.web.api import WebServer, create_app
from interlock.web.door import EngineDoor

KEYS = {"webshop": "web-secret", "wms": "wms-secret", "watcher": "watch-secret", "small": "small-secret"}

Client = httpx.Client


class Serve:
    """Serves the API over a door, on a port of its own."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self._db, self._estate = db, estate
        self._running: list[tuple[WebServer, threading.Thread]] = []

    def __call__(self, door: EngineDoor) -> str:
        server = WebServer(create_app(self._db, self._estate, door), "127.0.0.1", free_port())
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        self._running.append((server, thread))
        url = f"http://127.0.0.1:{server.port}"
        wait_until_up(url)
        return url

    def stop(self) -> None:
        """Tell all servers to stop."""
        for server, _ in self._running:
            server.stop()

    def join(self) -> None:
        """Wait until they have."""
        for _, thread in self._running:
            thread.join(timeout=15)
            assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def estate() -> Estate:
    """A web shop that decides orders, a warehouse that ships, a watcher that may only observe; a channel for each shop."""
    return small_estate()


def small_estate() -> Estate:
    """The estate of these tests."""
    owner = Contact(team="team", escalation="team@example.com")

    def system(name: str, kind: str, **more: object) -> System:
        defaults: dict[str, object] = {
            "id": SystemId(name),
            "name": name,
            "kind": kind,
            "owner": owner,
            "authority": {},
            "time_zone": "America/New_York",
            "currency": "USD",
            "order_scope": name,
            "api_key_sha256": (sha256(KEYS[name].encode()).hexdigest(),) if name in KEYS else (),
        }
        return System(**(defaults | more))  # type: ignore[arg-type]

    systems = [
        system(
            "webshop",
            "webshop",
            authority={
                "order": "decide",
                "payment": "decide",
                "return": "decide",
                "refund": "decide",
                "stock": "decide",
            },
        ),
        system(
            "wms", "wms", authority={"fulfillment": "decide", "stock": "decide", "return": "decide"}, time_zone="UTC"
        ),
        system("watcher", "erp"),
        system("small", "webshop", authority={"order": "decide"}, limits=Limits(body_bytes_max=2_000, rows_max=3)),
        system("pos", "pos", authority={"order": "decide"}, states={"tendered": "authorized", "voided": "canceled"}),
        system("office", "backoffice", authority={"stock": "decide"}),
    ]
    nodes = [
        Node(
            id=NodeId(name),
            name=name,
            kind="dc",
            system=SystemId("wms"),
            place=Place(country="US", region=region, latitude=40.0, longitude=-75.0),
            time_zone="UTC",
            fulfills=("delivery", "bopis"),
        )
        for name, region in (("DC-EAST", "PA"), ("DC-WEST", "NV"))
    ]
    channels = [
        Channel(
            id=name,
            system=SystemId(seller),
            currency="USD",
            fulfills=("delivery", "bopis"),
            sourcing=SourcingPolicy(version="1"),
        )
        for name, seller in (("web", "webshop"), ("outlet", "small"), ("stores", "pos"))
    ]
    return Estate(
        retailer="Test",
        currency="USD",
        systems={each.id: each for each in systems},
        nodes={each.id: each for each in nodes},
        channels={each.id: each for each in channels},
        sku_aliases={SystemId("webshop"): {"w-1": Sku("SKU-1")}},
        node_aliases={SystemId("wms"): {"E": NodeId("DC-EAST")}},
    )


@pytest.fixture
def serve_door(db: Database, estate: Estate) -> Iterator[Serve]:
    """Serve the API over a given door; gives the base URL. All servers end with the test."""
    with _servers(db, estate) as start:
        yield start


@pytest.fixture
def base_url(db: Database, estate: Estate) -> Iterator[str]:
    """The API over the real engine."""
    with _servers(db, estate) as start:
        yield start(Door(db, estate))


@pytest.fixture
def webshop(base_url: str) -> Iterator[Client]:
    """A client with the web shop's key."""
    with client(base_url, "webshop") as http:
        yield http


@pytest.fixture
def wms(base_url: str) -> Iterator[Client]:
    """A client with the warehouse's key."""
    with client(base_url, "wms") as http:
        yield http


def client(base_url: str, system: str) -> Client:
    """A client with the key of a system."""
    headers = {"Authorization": f"Bearer {KEYS[system]}"}
    return httpx.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False)


@contextmanager
def _servers(db: Database, estate: Estate) -> Iterator[Serve]:
    serve = Serve(db, estate)
    try:
        yield serve
    finally:
        serve.stop()
        serve.join()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(url: str) -> None:
    """Return when the server answers."""
    for _ in range(400):
        try:
            if httpx.get(f"{url}/healthz", trust_env=False, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.025)
    raise AssertionError(f"nothing answers at {url}")


def order(source_id: str = "10001", /, **more: object) -> dict[str, object]:
    """The body of a small order."""
    return {
        "order_id": source_id,
        "number": f"WEB-{source_id}",
        "channel": "web",
        "placed_at": "2026-03-01T09:30:00-05:00",
        "currency": "USD",
        "destination": {"country": "US", "region": "NY", "postal_code": "10001"},
        "lines": [{"sku": "SKU-1", "quantity": 2, "unit_price": "9.99"}],
        "payment": {"authorized": "19.98"},
    } | more
