"""What the tests of replay share: a shop, two warehouses that say what they did, and their history on a real database."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from interlock.connectors.mapping import Mapper
from interlock.connectors.receive import receive
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Estate, SourcingPolicy
from interlock.domain.values import NodeId, SystemId
from interlock.engine.door import Door
from interlock.replay import replay
from interlock.replay.report import Report
from interlock.storage.database import Database
from interlock.storage.history import Range
from tests.builders import make_estate, make_system


def two_warehouses(**changes: Any) -> Estate:
    """Node n1 is that of `wms`, n2 that of `west`; n1 is nearer to everybody."""
    estate = make_estate(node_changes={"n2": {"system": SystemId("west")}}, **changes)
    return replace(estate, systems={**estate.systems, SystemId("west"): make_system("west", "wms")})


def without(estate: Estate, node: str) -> Estate:
    """A candidate in which a node is paused."""
    nodes = {**estate.nodes, NodeId(node): replace(estate.nodes[NodeId(node)], paused=True)}
    return replace(estate, nodes=nodes)


def with_policy(estate: Estate, policy: SourcingPolicy) -> Estate:
    """A candidate that sources otherwise."""
    return replace(estate, channels={name: replace(each, sourcing=policy) for name, each in estate.channels.items()})


class Recorder:
    """Sends bodies of the API as systems would, and so makes history."""

    def __init__(self, db: Database, estate: Estate) -> None:
        self.db, self.estate = db, estate
        self.mapper = Mapper(estate)
        self.door = Door(db, estate)

    def say(self, system: str, action: str, **body: Any) -> Outcome:
        """One message, processed."""
        return self.door.process([self.arrival(system, action, body)])[0]

    def arrival(self, system: str, action: str, body: dict[str, Any]) -> Arrival:
        """The message as it comes in."""
        return receive(self.mapper, self.estate.systems[SystemId(system)], action, json.dumps(body).encode())

    def stock(self, node: str, system: str, **units: int) -> None:
        """Count shelves."""
        for sku, counted in units.items():
            self.say(system, "stock.count", sku=sku, node=node, counted=counted, ref=f"first {sku} {node}")

    def order(self, number: int, **units: int) -> Outcome:
        """An order of the web shop, paid in advance."""
        return self.say("web", "order.create", **order_body(number, **units))

    def ship(self, number: int, assignment: int = 1, system: str = "wms") -> None:
        """A warehouse takes an assignment, packs it and ships it."""
        name = f"web:{number}/{assignment}"
        self.say(system, "shipment.acknowledge", assignment=name, ref=f"a{number}")
        self.say(system, "shipment.confirm", assignment=name, ref=f"s{number}")


def order_body(number: int | str, **units: int) -> dict[str, Any]:
    """An order as the API takes it: ten dollars a unit."""
    total = f"{sum(units.values()) * 10}.00"
    return {
        "order_id": str(number),
        "channel": "web",
        "currency": "USD",
        "placed_at": "2026-03-01T12:00:00Z",
        "destination": {"country": "US", "region": "NY", "latitude": 40.7, "longitude": -74.0},
        "lines": [{"sku": sku, "quantity": some, "unit_price": "10.00"} for sku, some in units.items()],
        "total": total,
        "payment": {"authorized": total},
    }


def replayed(db: Database, estate: Estate, candidate: Estate | None = None, **more: Any) -> Report:
    """A replay of everything."""
    return replay(db, estate, candidate, more.pop("span", Range()), **more)


def orders_said(report: Report) -> list[str]:
    """What a person reads of the orders that differ."""
    lines = list(report.lines(100))
    return lines[len(lines) - lines[::-1].index("") :] if report.changes else []
