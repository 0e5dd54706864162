"""The estate that is simulated: its systems, nodes and channels, what it sells, and where to.

`web` numbers its statements and is released when it is paid; `market` restates whole orders and is released at once; the
tills (`pos`) sell over the counter and number their counts. `wms` speaks for two DCs, `threepl` for one more, `pos` for the
stores. `office` and `erp` may do nearly everything by hand; `insight` and `partner` may only look on.
"""

from __future__ import annotations

from bisect import bisect
from decimal import Decimal
from itertools import accumulate

from interlock.domain.estate import (
    FACTS,
    Authority,
    Buffer,
    Channel,
    Contact,
    Estate,
    Fact,
    Fulfillment,
    Node,
    NodeKind,
    Place,
    SourcingPolicy,
    System,
    SystemKind,
)
from interlock.domain.values import NodeId, Sku, SystemId
from interlock.simulation.retail.agenda import chance_of

WEB, MARKET, POS = SystemId("web"), SystemId("market"), SystemId("pos")
WMS, THREEPL = SystemId("wms"), SystemId("threepl")
PORTAL, PSP = SystemId("portal"), SystemId("psp")
ERP, OFFICE, REPLENISHMENT = SystemId("erp"), SystemId("office"), SystemId("replenishment")
INSIGHT, PARTNER = SystemId("insight"), SystemId("partner")

DCS = (NodeId("dc-east"), NodeId("dc-west"), NodeId("tpl-south"))
STORES = tuple([NodeId(f"store-{number:02d}") for number in range(1, 9)])

SPEAKERS = {NodeId("dc-east"): WMS, NodeId("dc-west"): WMS, NodeId("tpl-south"): THREEPL}
"""Who speaks for a node; `pos` for the stores."""

_SYSTEMS: dict[SystemId, tuple[SystemKind, tuple[Fact, ...]]] = {
    WEB: ("webshop", ("order",)),
    MARKET: ("marketplace", ("order", "payment")),
    POS: ("pos", ("order", "payment", "fulfillment", "stock", "return")),
    WMS: ("wms", ("fulfillment", "stock")),
    THREEPL: ("3pl", ("fulfillment", "stock")),
    PORTAL: ("returns", ("return",)),
    PSP: ("edi", ("payment", "refund")),
    ERP: ("erp", FACTS),
    OFFICE: ("backoffice", FACTS),
    REPLENISHMENT: ("replenishment", ("stock",)),
    INSIGHT: ("edi", ()),
    PARTNER: ("edi", ()),
}
"""What each system is, and which facts it decides; the others it only observes."""

_PLACES: dict[NodeId, tuple[NodeKind, str, float, float]] = {
    NodeId("dc-east"): ("dc", "NJ", 40.7, -74.2),
    NodeId("dc-west"): ("dc", "CA", 34.0, -117.4),
    NodeId("tpl-south"): ("3pl", "TX", 32.8, -96.8),
    **{
        node: ("store", region, latitude, longitude)
        for node, (region, latitude, longitude) in zip(
            STORES,
            [
                ("NY", 40.76, -73.98),
                ("MA", 42.36, -71.06),
                ("IL", 41.88, -87.63),
                ("GA", 33.75, -84.39),
                ("TX", 29.76, -95.37),
                ("CO", 39.74, -104.99),
                ("CA", 34.05, -118.24),
                ("WA", 47.61, -122.33),
            ],
            strict=True,
        )
    },
}

HOMES = tuple(
    [
        Place(country="US", region=region, latitude=latitude, longitude=longitude)
        for _, region, latitude, longitude in _PLACES.values()
    ]
)
"""Where customers live."""


def make_estate(capacity: int) -> Estate:
    """The whole catalog; `capacity` is the most orders that dc-west takes in a day."""
    policy = SourcingPolicy(
        version="1",
        split_max=3,
        ship_from_store=False,
        exclusion_s=21_600.0,
        backorder_retry_s=21_600.0,
        backorder_attempts_max=6,
    )
    return Estate(
        retailer="Simulated Retail",
        currency="USD",
        systems={name: _system(name, kind, decides) for name, (kind, decides) in _SYSTEMS.items()},
        nodes={node: _node(node, capacity) for node in _PLACES},
        channels={
            "web": Channel(
                id="web",
                system=WEB,
                currency="USD",
                fulfills=("delivery", "bopis"),
                sourcing=policy,
                close_after_s=7_200.0,
            ),
            "market": Channel(
                id="market",
                system=MARKET,
                currency="USD",
                fulfills=("delivery",),
                sourcing=SourcingPolicy(version="1", split_max=1, unfillable="cancel", ship_from_store=False),
                release="at_once",
            ),
            "stores": Channel(id="stores", system=POS, currency="USD", fulfills=("carry_out",), sourcing=policy),
        },
        buffers=(Buffer(units=1, kind="store"), Buffer(units=2, sku="SKU-00*", kind="dc")),
    )


def _system(name: SystemId, kind: SystemKind, decides: tuple[Fact, ...]) -> System:
    authority: dict[Fact, Authority] = {fact: "decide" if fact in decides else "observe" for fact in FACTS}
    return System(
        id=name,
        name=str(name),
        kind=kind,
        owner=Contact(team="operations", escalation="operations@example.test"),
        authority=authority,
        time_zone="UTC",
        currency="USD",
        order_scope=str(name),
        updates="restated" if name == MARKET else "numbered" if name in (WEB, POS) else "content",
        parking={"order.cancel": 43_200.0, "*": 86_400.0},
    )


def _node(node: NodeId, capacity: int) -> Node:
    kind, region, latitude, longitude = _PLACES[node]
    fulfills: tuple[Fulfillment, ...] = ("bopis", "carry_out") if kind == "store" else ("delivery",)
    return Node(
        id=node,
        name=str(node),
        kind=kind,
        system=SPEAKERS.get(node, POS),
        place=Place(country="US", region=region, latitude=latitude, longitude=longitude),
        time_zone="UTC",
        fulfills=fulfills,
        capacity_orders_per_day=capacity if node == "dc-west" else None,
    )


class Goods:
    """What is sold: SKUs with prices, some of them hot. `pick` takes a number from 0 to 1."""

    def __init__(self, seed: int, skus: int) -> None:
        die = chance_of(seed, "goods")
        self.skus = [Sku(f"SKU-{number:03d}") for number in range(skus)]
        self.prices = {sku: Decimal(die.randrange(299, 9_999)) / 100 for sku in self.skus}
        weights = [1.0 / (place + 3) ** 0.8 for place in range(skus)]
        total = sum(weights)
        self.shares = {sku: weight / total for sku, weight in zip(self.skus, weights, strict=True)}
        self._reached = list(accumulate(weight / total for weight in weights))

    def pick(self, drawn: float) -> Sku:
        """The SKU that a customer wants."""
        return self.skus[min(bisect(self._reached, drawn), len(self.skus) - 1)]
