"""A small world for tests: an estate built in code, arrivals, and the commands that tests say most.

    door = Door(db, make_estate())
    door.process([arrival(stock("s1", "n1", 10), "wms"), arrival(order(1, [("s1", 2)]))])

`web` (web shop) sells on channel `web`, `pos` on channel `stores`, `office` (back office) may do anything; nodes n1, n2 … are
DCs for which `wms` speaks, `store1` is a store for which `pos` speaks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from interlock.domain.commands import AnyCommand, CountStock, CreateOrder, NewLine, encode
from interlock.domain.decision import Arrival, Problem
from interlock.domain.estate import (
    FACTS,
    Authority,
    Channel,
    Contact,
    Estate,
    Fact,
    Node,
    Place,
    SourcingPolicy,
    System,
    SystemKind,
)
from interlock.domain.values import NodeId, OrderId, Sku, SystemId
from interlock.engine.ids import new_message_id

PRICE = Decimal("9.99")
PLACED_AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DESTINATION = Place(country="US", region="NY", postal_code="10001", latitude=40.7, longitude=-74.0)


def make_estate(
    *,
    nodes: int = 2,
    policy: SourcingPolicy | None = None,
    observers: dict[str, tuple[Fact, ...]] | None = None,
    node_changes: dict[str, dict[str, Any]] | None = None,
    **changes: Any,
) -> Estate:
    """An estate with `nodes` DCs and one store. `observers`: facts that a system may only observe; it decides the rest.

    `node_changes` are fields of nodes by id (a capacity, say), `changes` fields of the estate itself.
    """
    policy = policy or SourcingPolicy(version="1")
    kinds: dict[str, SystemKind] = {"web": "webshop", "wms": "wms", "pos": "pos", "office": "backoffice"}
    systems = {
        SystemId(name): make_system(name, kind, observes=(observers or {}).get(name, ()))
        for name, kind in kinds.items()
    }
    places = {f"n{number}": ("dc", "wms", 40.0 + number) for number in range(1, nodes + 1)}
    places["store1"] = ("store", "pos", 47.0)
    estate = Estate(
        retailer="Test Retail",
        currency="USD",
        systems=systems,
        nodes={
            NodeId(name): Node(
                **{
                    "id": NodeId(name),
                    "name": name,
                    "kind": kind,
                    "system": SystemId(system),
                    "place": Place(country="US", latitude=latitude, longitude=-80.0),
                    "time_zone": "UTC",
                    "fulfills": ("delivery", "bopis", "ship_to_store", "carry_out"),
                    **(node_changes or {}).get(name, {}),
                }
            )
            for name, (kind, system, latitude) in places.items()
        },
        channels={
            "web": Channel(
                id="web", system=SystemId("web"), currency="USD", fulfills=("delivery", "bopis"), sourcing=policy
            ),
            "stores": Channel(
                id="stores", system=SystemId("pos"), currency="USD", fulfills=("carry_out",), sourcing=policy
            ),
        },
    )
    return msgspec.structs.replace(estate, **changes)


def make_system(name: str, kind: SystemKind, *, observes: Iterable[Fact] = (), **changes: Any) -> System:
    """A system that decides every fact but those that it only observes."""
    observed = set(observes)
    authority: dict[Fact, Authority] = {fact: "observe" if fact in observed else "decide" for fact in FACTS}
    return System(
        **{
            "id": SystemId(name),
            "name": name,
            "kind": kind,
            "owner": Contact(team="operations", escalation="operations@example.test"),
            "authority": authority,
            "time_zone": "UTC",
            "currency": "USD",
            "order_scope": name,
            **changes,
        }
    )


def arrival(command: AnyCommand | None, system: str = "web", **changes: Any) -> Arrival:
    """The command as it comes in now from a system; without a command, something that could not be read."""
    fields: dict[str, Any] = {
        "message_id": new_message_id(),
        "system": SystemId(system),
        "received_at": datetime.now(UTC),
        "body": encode(command) if command is not None else b"\xff not JSON",
        "content_type": "application/json",
        "command": command,
        "problem": None if command is not None else Problem(reason="not_json", explanation="it is not JSON"),
    }
    return Arrival(**fields | changes)


def order(number: int | str, lines: Iterable[tuple[str, int] | str] = (("s1", 1),), **changes: Any) -> CreateOrder:
    """Order `web:NUMBER` of these (SKU, units), paid in advance: authorized for its total. A bare SKU is one unit."""
    wanted = [(entry, 1) if isinstance(entry, str) else entry for entry in lines]
    total = sum((PRICE * units for _, units in wanted), Decimal(0))
    fields: dict[str, Any] = {
        "order_id": OrderId(f"web:{number}"),
        "channel": "web",
        "number": str(number),
        "placed_at": PLACED_AT,
        "currency": "USD",
        "lines": tuple(
            NewLine(line_no=line_no, sku=Sku(sku), quantity=units, unit_price=PRICE)
            for line_no, (sku, units) in enumerate(wanted, 1)
        ),
        "destination": DESTINATION,
        "total": total,
        "authorized": total,
        "ref": f"pay-{number}",
    }
    return CreateOrder(**fields | changes)


def stock(sku: str, node: str = "n1", units: int = 100, ref: str = "first count") -> CountStock:
    """A count: there are so many units of the SKU at the node."""
    return CountStock(sku=Sku(sku), node=NodeId(node), ref=ref, counted=units)
