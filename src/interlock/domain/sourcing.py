"""Sourcing: which nodes fill an order, with the reason for each choice.

Refuse what cannot serve, then minimise exactly, in this order: units left open, nodes, cost, load, node ids.
Costs are whole ten-thousandths of the estate's currency, loads whole ten-thousandths of a node's capacity:
the same input gives the same plan everywhere. What only
the estate and the policy decide is worked out once and kept. The search over sets of nodes is in
`sourcing_search.py`; the page for people is `docs/sourcing.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import msgspec

from interlock.domain.estate import Estate, Fulfillment, Place, SourcingPolicy
from interlock.domain.sourcing_nodes import COST_PLACES, Costs, Scope, Scopes
from interlock.domain.sourcing_search import VISITS_MAX, choose
from interlock.domain.values import NodeId, Quantity, Sku, plain

REASONS: dict[str, str] = {
    "unknown_node": "the estate does not have this node",
    "pickup_node": "the customer collects elsewhere: only the pickup node may fill the order",
    "only_node": "a person or a command named another node",
    "paused": "the node is paused in the estate",
    "channel": "the node does not serve the order's channel",
    "fulfillment": "the node does not do this kind of fulfillment",
    "not_store_eligible": "the node is a store, and the policy does not ship from stores",
    "closed": "the node is closed, and does not open within the policy's time",
    "capacity": "the node has been given all the orders that it can take today",
    "sku_refused": "the node may not fulfill this SKU",
    "excluded": "the node is excluded for this SKU for a time, after a short pick or a rejection",
    "no_stock": "the node has nothing to sell of what is wanted",
}
"""Every reason why a node is refused, in the order in which they are asked."""

NAMED_MAX = 20
"""Nodes that a receipt names in one list; beyond that it counts."""

NEXT_MAX = 2
"""Candidates beside the chosen nodes whose stock and cost a receipt shows."""

UNLIMITED_ORDERS_PER_DAY = 10_000
"""What a node without a daily limit counts as when loads are compared."""

_LOAD_BITS = 32
_LOAD_MAX = 2**20
_LOAD_MASK = 2**_LOAD_BITS - 1
_RANK = {reason: rank for rank, reason in enumerate(REASONS)}
_ASKED_OF_ROWS = {"unknown_node", "capacity", "sku_refused", "excluded", "no_stock"}

Outcome = Literal["filled", "partial", "withheld", "nothing"]


class Want(msgspec.Struct, frozen=True):
    """Units of one line that are still to be sourced; above zero."""

    line_no: int
    sku: Sku
    quantity: Quantity


class Stock(Protocol):
    """What is asked of stock: units that can be sold, and until when the node is excluded for the SKU."""

    @property
    def sellable(self) -> Quantity:
        """Units that can be promised now."""

    @property
    def excluded_until(self) -> datetime | None:
        """Until when sourcing leaves the node out, None for not at all."""


class StockSeen(msgspec.Struct, frozen=True):
    """What one node can sell of one SKU, and until when it is excluded for that SKU."""

    sellable: Quantity
    excluded_until: datetime | None = None


_NO_ROWS: Mapping[NodeId, Stock] = {}


class Request(msgspec.Struct, frozen=True):
    """What is to be sourced, and where to. `only_node`: a person or a command named the node."""

    channel: str
    fulfillment: Fulfillment
    wants: tuple[Want, ...]
    destination: Place | None
    pickup_node: NodeId | None
    only_node: NodeId | None = None


class Pick(msgspec.Struct, frozen=True):
    """Units of a line that a node is to give."""

    line_no: int
    node: NodeId
    quantity: Quantity


class Receipt(msgspec.Struct, frozen=True):
    """Why the plan is what it is; small enough to be kept with every order.

    `rule`: the policy's version. `nodes`, `cost`, `balance`: what was minimised, as reached: nodes used,
    their cost in the estate's currency, the sum of their loads in ten-thousandths of capacity.
    `candidates`: nodes that could give at least one unit, the cheapest first, at most 20;
    `candidates_count`: all of them.
    `refused`: at most 20 nodes that hold a row of the SKUs wanted, with the reason; `refusals`: how many
    nodes of the estate, by reason. `sku_refusals`: at nodes that were not refused, the SKUs that they may
    not give, at most 20.
    `stock_seen`, `costs`: sellable units by SKU, and cost, of the nodes chosen and the next few candidates.
    `exact`: False where the search ran out of its `visits` and the plan is only the best one found.
    """

    rule: str
    outcome: Outcome
    candidates: tuple[NodeId, ...]
    refused: dict[NodeId, str]
    nodes: int
    cost: Decimal
    balance: int
    stock_seen: dict[Sku, dict[NodeId, Quantity]]
    costs: dict[NodeId, Decimal]
    candidates_count: int
    refusals: dict[str, int]
    sku_refusals: dict[Sku, dict[NodeId, str]]
    exact: bool = True
    visits: int = 0


class Plan(msgspec.Struct, frozen=True):
    """Picks by line, what stays open by line, and the receipt."""

    picks: tuple[Pick, ...]
    unfilled: tuple[tuple[int, Quantity], ...]
    receipt: Receipt


class Sourcing:
    """Plans for one estate. What it keeps comes from the estate alone: equal arguments give equal plans."""

    def __init__(self, estate: Estate, visits_max: int = VISITS_MAX) -> None:
        self._scopes = Scopes(estate)
        self._visits_max = visits_max

    def plan(
        self,
        policy: SourcingPolicy,
        request: Request,
        stock: Mapping[Sku, Mapping[NodeId, Stock]],
        load: Mapping[NodeId, int],
        now: datetime,
    ) -> Plan:
        """The best plan for the request, by the order of aims on top of this page.

        `stock`: the nodes' rows of the SKUs wanted; a node without a row has nothing.
        `load`: orders given to each node on its local day so far; a node that is missing has none.
        `now`: aware. A node that the estate no longer has is refused as `unknown_node`, it is no error.
        """
        scope = self._scopes.scope(policy, request.channel, request.fulfillment)
        wants = _by_line(request.wants)
        needs: dict[Sku, Quantity] = {}
        for want in wants:
            needs[want.sku] = needs[want.sku] + want.quantity if want.sku in needs else want.quantity
        survey = _survey(scope, request, needs, stock, load, now)
        have = survey.have

        costs = scope.costs(request.destination, request.pickup_node)
        limits = scope.limits
        ranked: list[tuple[int, NodeId]] = []
        for node in have:
            share = load.get(node, 0) * 10_000 // (limits.get(node) or UNLIMITED_ORDERS_PER_DAY)
            ranked.append(((costs[node] << _LOAD_BITS) + (share if share < _LOAD_MAX else _LOAD_MAX), node))
        ranked.sort()

        full = list(needs.values())
        for candidate in ranked:
            # what a node has is kept up to the need: equal lists mean that this node alone fills everything
            if have[candidate[1]] == full and policy.split_max > 0:
                node = candidate[1]
                picks = tuple([Pick(want.line_no, node, want.quantity) for want in wants])
                receipt = _receipt(policy, "filled", survey, ranked, [candidate], costs, stock, needs, True, 0)
                return Plan(picks, (), receipt)
        return _split(policy, wants, needs, survey, ranked, costs, stock, self._visits_max)


def _split(
    policy: SourcingPolicy,
    wants: Sequence[Want],
    needs: Mapping[Sku, Quantity],
    survey: _Survey,
    ranked: list[tuple[int, NodeId]],
    costs: Costs,
    stock: Mapping[Sku, Mapping[NodeId, Stock]],
    visits_max: int,
) -> Plan:
    """The plan where no node alone fills everything."""
    scale = _scale(needs.values(), survey.have.values())
    units = {node: [_units(amount, scale) for amount in survey.have[node]] for _, node in ranked}
    choice = choose(
        [_units(amount, scale) for amount in needs.values()],
        [units[node] for _, node in ranked],
        _weights(ranked, policy.split_max),
        policy.split_max,
        complete=policy.complete,
        visits_max=visits_max,
    )
    chosen = [ranked[place] for place in choice.nodes]
    picks: list[Pick] = []
    unfilled: list[tuple[int, Quantity]] = []
    skus = {sku: place for place, sku in enumerate(needs)}
    for want in wants:
        open_ = _units(want.quantity, scale)
        for _, node in chosen:
            given = min(open_, units[node][skus[want.sku]])
            if given > 0:
                units[node][skus[want.sku]] -= given
                open_ -= given
                picks.append(Pick(want.line_no, node, _quantity(given, scale)))
        if open_ > 0:
            unfilled.append((want.line_no, _quantity(open_, scale)))
    # a search cut short may hold a node that its neighbours make useless
    gave = {pick.node for pick in picks}
    chosen = [entry for entry in chosen if entry[1] in gave]
    outcome: Outcome = "nothing"
    if picks:
        outcome = "partial" if unfilled else "filled"
    elif policy.complete and ranked:
        outcome = "withheld"
    receipt = _receipt(policy, outcome, survey, ranked, chosen, costs, stock, needs, choice.exact, choice.visits)
    return Plan(tuple(picks), tuple(unfilled), receipt)


def _weights(ranked: Sequence[tuple[int, NodeId]], nodes_max: int) -> list[int]:
    """Cost, load and id of each node as one number: sums of it order sets by cost, load and sorted ids.

    Below cost and load lies one bit per node, the first id's the highest: of two sets of one size, the one
    that has the first id in which they differ weighs less. Hence no two sets of one size weigh the same.
    """
    count = len(ranked)
    room = count + nodes_max.bit_length()
    first = {node: place for place, node in enumerate(sorted(node for _, node in ranked))}
    return [(weight << room) + (1 << count) - (1 << (count - 1 - first[node])) for weight, node in ranked]


class _Survey(NamedTuple):
    """What each node that may serve has of each SKU, up to the need; and who was refused, for what."""

    have: dict[NodeId, list[Quantity]]
    refused: dict[NodeId, str]
    refusals: dict[str, int]
    sku_refusals: list[tuple[NodeId, Sku, str]]


def _survey(
    scope: Scope,
    request: Request,
    needs: Mapping[Sku, Quantity],
    stock: Mapping[Sku, Mapping[NodeId, Stock]],
    load: Mapping[NodeId, int],
    now: datetime,
) -> _Survey:
    """Which nodes may give what: of all nodes, or of the one that the request allows."""
    closed = scope.closed(now)
    only = request.only_node
    if only is None and (not scope.collected or (request.pickup_node is None and request.fulfillment != "bopis")):
        have, refused, sku_refusals = _look(scope, closed, needs, stock, load, now)
        refusals = dict(scope.refusals)
        if closed:
            refusals["closed"] = len(closed)
        rowless = len(scope.sites) - len(closed) - len(have)
        for node, reason in refused.items():
            if node in scope.sites and reason != "closed":
                rowless -= 1
            if reason in _ASKED_OF_ROWS:
                refusals[reason] = refusals.get(reason, 0) + 1
        if rowless:
            refusals["no_stock"] = refusals.get("no_stock", 0) + rowless
        return _Survey(have, refused, refusals, sku_refusals)

    # one node, or none, may fill: the others are refused without a look
    sole, others = (only, "only_node") if only is not None else (request.pickup_node, "pickup_node")
    refused = {}
    seen = [rows for sku in needs if (rows := stock.get(sku))]
    if all(len(rows) <= NAMED_MAX for rows in seen):
        refused = {node: others for rows in seen for node in rows if node != sole}
    refusals = {others: len(scope.estate.nodes) - (sole in scope.estate.nodes)}
    if sole is None:
        return _Survey({}, refused, refusals, [])
    narrow = {sku: {sole: rows[sole]} for sku in needs if sole in (rows := stock.get(sku, _NO_ROWS))}
    have, own, sku_refusals = _look(scope, closed, needs, narrow, load, now)
    if scope.collected and sole != request.pickup_node and (request.pickup_node or request.fulfillment == "bopis"):
        have, own, sku_refusals = {}, {sole: "pickup_node"}, []
    if sole not in have:
        reason = own.get(sole) or _standing(scope, closed, sole)
        refused = {sole: reason, **dict(sorted(refused.items())[: NAMED_MAX - 1])}  # this one is always named
        refusals[reason] = refusals.get(reason, 0) + 1
    return _Survey(have, refused, {reason: count for reason, count in refusals.items() if count}, sku_refusals)


def _look(
    scope: Scope,
    closed: frozenset[NodeId],
    needs: Mapping[Sku, Quantity],
    stock: Mapping[Sku, Mapping[NodeId, Stock]],
    load: Mapping[NodeId, int],
    now: datetime,
) -> tuple[dict[NodeId, list[Quantity]], dict[NodeId, str], list[tuple[NodeId, Sku, str]]]:
    """Go through every row of the SKUs wanted once; this is where a plan spends its time."""
    have: dict[NodeId, list[Quantity]] = {}
    refused: dict[NodeId, str] = {}
    sku_refusals: list[tuple[NodeId, Sku, str]] = []
    sites, limits, choosy = scope.sites, scope.limits, scope.choosy
    nothing: list[Quantity] = [0] * len(needs)
    for place, (sku, need) in enumerate(needs.items()):
        rows = stock.get(sku)
        if not rows:
            continue
        for node, seen in rows.items():
            amounts = have.get(node)
            if amounts is None:
                if node in refused:
                    continue
                if node not in sites or node in closed:
                    refused[node] = _standing(scope, closed, node)
                    continue
                if node in limits and load.get(node, 0) >= limits[node]:
                    refused[node] = "capacity"
                    continue
                amounts = have[node] = nothing.copy()
            sellable = seen.sellable
            until = seen.excluded_until
            if node in choosy and not choosy[node][sku]:
                sku_refusals.append((node, sku, "sku_refused"))
            elif until is not None and until > now:
                sku_refusals.append((node, sku, "excluded"))
            elif sellable > 0:
                amounts[place] = sellable if sellable < need else need
    empty = [node for node, amounts in have.items() if amounts == nothing]
    if empty:
        for node in empty:
            del have[node]
            reasons = [reason for of, _, reason in sku_refusals if of == node]
            refused[node] = min(reasons, key=_RANK.__getitem__, default="no_stock")
        sku_refusals = [refusal for refusal in sku_refusals if refusal[0] in have]
    return have, refused, sku_refusals


def _standing(scope: Scope, closed: frozenset[NodeId], node: NodeId) -> str:
    """Why a node cannot serve whatever is wanted; `no_stock` where only its stock is missing."""
    if node in scope.sites:
        return "closed" if node in closed else "no_stock"
    return scope.refused.get(node, "unknown_node")


def _receipt(
    policy: SourcingPolicy,
    outcome: Outcome,
    survey: _Survey,
    ranked: list[tuple[int, NodeId]],
    chosen: Sequence[tuple[int, NodeId]],
    costs: Costs,
    stock: Mapping[Sku, Mapping[NodeId, Stock]],
    needs: Iterable[Sku],
    exact: bool,
    visits: int,
) -> Receipt:
    """The receipt: what was reached, and no more of what was seen than a person will read."""
    near = [node for _, node in chosen]
    cost = balance = 0
    for weight, _ in chosen:
        cost += weight >> _LOAD_BITS
        balance += weight & _LOAD_MASK
    others = [node for _, node in ranked[: len(near) + NEXT_MAX] if node not in near]
    near += others[:NEXT_MAX]
    refused, sku_refusals = survey.refused, survey.sku_refusals
    if len(refused) > 1:
        refused = dict(sorted(refused.items())[:NAMED_MAX])
    may_not: dict[Sku, dict[NodeId, str]] = {}
    if sku_refusals:
        for node, sku, reason in sorted(sku_refusals)[:NAMED_MAX]:
            may_not.setdefault(sku, {})[node] = reason
    seen = {}
    for sku in needs:
        rows = stock.get(sku, _NO_ROWS)
        seen[sku] = {node: rows[node].sellable for node in near if node in rows}
    return Receipt(
        policy.version,
        outcome,
        tuple([node for _, node in ranked[:NAMED_MAX]]),
        refused,
        len(chosen),
        _money(cost),
        balance,
        seen,
        {node: _money(costs[node]) for node in near},
        len(ranked),
        survey.refusals,
        may_not,
        exact,
        visits,
    )


@lru_cache(maxsize=16_384)
def _money(cost: int) -> Decimal:
    """Ten-thousandths as an amount in the estate's currency."""
    return Decimal(cost).scaleb(-COST_PLACES)


def _by_line(wants: tuple[Want, ...]) -> tuple[Want, ...]:
    """The wants in order of their lines, without those that want nothing."""
    last = 0
    for want in wants:
        if want.line_no <= last or want.quantity <= 0:
            return tuple(sorted((w for w in wants if w.quantity > 0), key=lambda w: w.line_no))
        last = want.line_no
    return wants


def _scale(needs: Iterable[Quantity], have: Iterable[Sequence[Quantity]]) -> int:
    """The most decimal places among these quantities: units times ten to this are whole."""
    places = 0
    for amounts in (needs, *have):
        for amount in amounts:
            if isinstance(amount, Decimal):
                places = max(places, -int(amount.as_tuple().exponent))
    return places


def _units(amount: Quantity, scale: int) -> int:
    return int(amount) if not scale else int(Decimal(amount).scaleb(scale))


def _quantity(units: int, scale: int) -> Quantity:
    return units if not scale else plain(Decimal(units).scaleb(-scale))
