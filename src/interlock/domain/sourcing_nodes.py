"""What the estate and the policy decide about nodes: who may serve, who is open at an hour, what each costs.

A `Scope` is one policy, channel and kind of fulfillment; it is worked out once and kept between plans.
Nothing here depends on an order's lines or on stock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fnmatch import fnmatchcase
from math import asin, cos, radians, sin, sqrt
from zoneinfo import ZoneInfo

from interlock.domain.estate import DAYS, Estate, Fulfillment, Node, Opening, Place, SourcingPolicy
from interlock.domain.values import NodeId, Sku

COST_PLACES = 4
"""Costs are compared as whole ten-thousandths of the estate's currency."""

EARTH_RADIUS_M = 6_371_008.8
UNKNOWN_DISTANCE_M = 20_038_000
"""What counts as the distance where either end has no coordinates: the far side of the Earth."""

UNKNOWN_ZONE_COST = Decimal(1_000_000)
"""What shipping counts as where no zone matches."""

COLLECTED: tuple[Fulfillment, ...] = ("bopis", "carry_out")
"""The customer takes the goods at the node: nothing is shipped, and only the pickup node may fill."""

_WEEK_AND_A_DAY = timedelta(days=8)
_COSTS_KEPT_MAX = 200_000
_SKUS_KEPT_MAX = 20_000
_POLICIES_KEPT_MAX = 256

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

Point = tuple[float, float, float]


class Scopes:
    """Every scope asked for so far. Equal policies share one, whether or not they are the same object."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._schedules: dict[tuple[str, tuple[Opening, ...]], Schedule] = {}
        self._points: dict[NodeId, Point | None] = {n.id: point(n.place) for n in estate.nodes.values()}
        self._by_identity: dict[int, tuple[SourcingPolicy, dict[tuple[str, Fulfillment], Scope]]] = {}
        self._by_policy: dict[SourcingPolicy, dict[tuple[str, Fulfillment], Scope]] = {}

    def scope(self, policy: SourcingPolicy, channel: str, fulfillment: Fulfillment) -> Scope:
        """The scope of this policy, channel and kind of fulfillment."""
        # hashing a policy takes too long for each plan: it is found by identity,
        # and held so that the identity stays its own
        known = self._by_identity.get(id(policy))
        if known is None:
            if len(self._by_identity) >= _POLICIES_KEPT_MAX:
                self._by_identity.clear()
                self._by_policy.clear()
            known = self._by_identity[id(policy)] = (policy, self._by_policy.setdefault(policy, {}))
        scope = known[1].get((channel, fulfillment))
        if scope is None:
            scope = Scope(self._estate, policy, channel, fulfillment, self._points, self._schedules)
            known[1][channel, fulfillment] = scope
        return scope


class Scope:
    """The nodes that may serve a channel and kind of fulfillment by a policy, and why others may not."""

    def __init__(
        self,
        estate: Estate,
        policy: SourcingPolicy,
        channel: str,
        fulfillment: Fulfillment,
        points: dict[NodeId, Point | None],
        schedules: dict[tuple[str, tuple[Opening, ...]], Schedule],
    ) -> None:
        self.estate = estate
        self.policy = policy
        self.collected = fulfillment in COLLECTED
        self.to_store = fulfillment == "ship_to_store"
        self.sites: dict[NodeId, Node] = {}
        self.refused: dict[NodeId, str] = {}
        self.refusals: dict[str, int] = {}
        for node in estate.nodes.values():
            reason = _standing_refusal(node, policy, channel, fulfillment)
            if reason is None:
                self.sites[node.id] = node
            else:
                self.refused[node.id] = reason
                self.refusals[reason] = self.refusals.get(reason, 0) + 1
        self.limits = {
            n.id: n.capacity_orders_per_day for n in self.sites.values() if n.capacity_orders_per_day is not None
        }
        self.choosy: dict[NodeId, _Holds] = {}
        alike: dict[tuple[tuple[str, ...], tuple[str, ...]], _Holds] = {}
        for node in self.sites.values():
            if node.skus_refused or node.skus_allowed != ("*",):
                self.choosy[node.id] = alike.setdefault((node.skus_allowed, node.skus_refused), _Holds(node))
        self.handling = {n.id: ten_thousandths(n.handling_cost) for n in self.sites.values()}
        self.points = points
        # ten-thousandths for a metre, as a ratio of whole numbers
        self.rate = (policy.cost_per_km * 10**COST_PLACES / 1000).as_integer_ratio()
        self._timed: list[tuple[NodeId, Schedule]] = []
        for node in self.sites.values():
            if node.hours:
                schedule = schedules.get((node.time_zone, node.hours))
                if schedule is None:
                    schedule = schedules[node.time_zone, node.hours] = Schedule(node.time_zone, node.hours)
                self._timed.append((node.id, schedule))
        self._lead = min(timedelta(hours=policy.opens_within_h), _WEEK_AND_A_DAY)
        self._known: tuple[datetime, datetime, frozenset[NodeId]] = (_NEVER, _NEVER, frozenset())
        self._tables: dict[Place | NodeId | None, Costs] = {}
        self._by_region: dict[tuple[str, str], int] = {}
        self.costs_kept = 0

    def closed(self, now: datetime) -> frozenset[NodeId]:
        """Nodes closed at `now` that do not open within the policy's time; one without hours never is."""
        since, until, closed = self._known
        if not self._timed or since <= now < until:
            return closed
        spells = {s: s.spell(now, self._lead) for s in {schedule for _, schedule in self._timed}}
        closed = frozenset(node for node, schedule in self._timed if not spells[schedule][0])
        since, until = max(s[1] for s in spells.values()), min(s[2] for s in spells.values())
        self._known = since, until, closed  # in one go: threads may share this
        return closed

    def costs(self, destination: Place | None, pickup_node: NodeId | None) -> Costs:
        """What each node costs for this destination: handling and shipping, in ten-thousandths."""
        key: Place | NodeId | None = destination
        if self.collected:
            key = None
        elif self.to_store and pickup_node in self.estate.nodes:
            key = pickup_node
        table = self._tables.get(key)
        if table is None or self.costs_kept > _COSTS_KEPT_MAX:
            if self.costs_kept > _COSTS_KEPT_MAX or len(self._tables) >= _COSTS_KEPT_MAX // 10:
                self._tables.clear()
                self._by_region.clear()
                self.costs_kept = 0
            place = self.estate.nodes[NodeId(key)].place if isinstance(key, str) else key
            table = self._tables[key] = Costs(self, place, NodeId(key) if isinstance(key, str) else None)
        return table

    def zone_cost(self, origin: str, destination: str) -> int:
        """Shipping between two regions by the first zone that matches."""
        cost = self._by_region.get((origin, destination))
        if cost is None:
            matching = (
                zone.cost
                for zone in self.estate.zones
                if fnmatchcase(origin, zone.origin) and fnmatchcase(destination, zone.destination)
            )
            cost = ten_thousandths(next(matching, UNKNOWN_ZONE_COST))
            self._by_region[origin, destination] = cost
        return cost


class Costs(dict[NodeId, int]):
    """Node -> cost of filling from it, for one destination."""

    def __init__(self, scope: Scope, place: Place | None, home: NodeId | None) -> None:
        super().__init__()
        self._scope = scope
        self._place = place
        self._home = home
        self._point = point(place) if place is not None else None

    def __missing__(self, node: NodeId) -> int:
        scope = self._scope
        cost = scope.handling[node]
        if not scope.collected and node != self._home:  # goods that are already in the pickup store need no shipping
            if scope.policy.cost == "zone":
                region = self._place.region if self._place is not None else ""
                cost += scope.zone_cost(scope.sites[node].place.region, region)
            else:
                over, under = scope.rate
                cost += (distance_m(scope.points[node], self._point) * over * 2 + under) // (under * 2)
        self[node] = cost
        scope.costs_kept += 1
        return cost


class Schedule:
    """Opening hours in a time zone."""

    def __init__(self, time_zone: str, hours: Sequence[Opening]) -> None:
        self._zone = ZoneInfo(time_zone)
        self._hours = hours

    def spell(self, now: datetime, lead: timedelta) -> tuple[bool, datetime, datetime]:
        """Whether open at `now` or opening within `lead`; from when, and until before when, that holds.

        An opening time that a change of clocks skips comes as much later; a closing time that comes twice
        is the second one.
        """
        now = now.astimezone(UTC)
        today = now.astimezone(self._zone).date()
        since, until = now - timedelta(days=1), now + timedelta(days=1)
        inside = False
        for from_, to in self._spans(today - timedelta(days=3), 6 + lead.days):
            if (begin := from_ - lead) <= now < to:
                inside = True
            for edge in (begin, to):
                if edge <= now:
                    since = max(since, edge)
                else:
                    until = min(until, edge)
        return inside, since, until

    def _spans(self, first: date, days: int) -> list[tuple[datetime, datetime]]:
        """The openings that begin on these local days, in UTC."""
        spans = []
        for ahead in range(days):
            day = first + timedelta(days=ahead)
            for opening in self._hours:
                if DAYS[day.weekday()] in opening.days:
                    last = day if opening.closes > opening.opens else day + timedelta(days=1)
                    opens = datetime.combine(day, opening.opens, self._zone)
                    closes = datetime.combine(last, opening.closes, self._zone).replace(fold=1)
                    spans.append((opens.astimezone(UTC), closes.astimezone(UTC)))
        return spans


class _Holds(dict[Sku, bool]):
    """SKU -> whether nodes with these patterns may fulfill it, where they do not take every SKU."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._node = node

    def __missing__(self, sku: Sku) -> bool:
        if len(self) >= _SKUS_KEPT_MAX:
            self.clear()
        self[sku] = may = self._node.may_hold(sku)
        return may


def _standing_refusal(node: Node, policy: SourcingPolicy, channel: str, fulfillment: Fulfillment) -> str | None:
    if node.paused:
        return "paused"
    if not node.serves(channel):
        return "channel"
    if fulfillment not in node.fulfills:
        return "fulfillment"
    if node.kind == "store" and not policy.ship_from_store and fulfillment not in COLLECTED:
        return "not_store_eligible"
    return None


def ten_thousandths(amount: Decimal) -> int:
    """An amount as whole ten-thousandths, half to even."""
    return int((amount * 10**COST_PLACES).to_integral_value(ROUND_HALF_EVEN))


def point(place: Place) -> Point | None:
    """Where a place is on the unit sphere; None without coordinates."""
    if place.latitude is None or place.longitude is None:
        return None
    latitude, longitude = radians(place.latitude), radians(place.longitude)
    return cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)


def distance_m(one: Point | None, other: Point | None) -> int:
    """The great-circle distance in whole metres, so that nothing later depends on the noise of floats."""
    if one is None or other is None:
        return UNKNOWN_DISTANCE_M
    chord = sqrt((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2)
    return round(2 * EARTH_RADIUS_M * asin(min(1.0, chord / 2)))
