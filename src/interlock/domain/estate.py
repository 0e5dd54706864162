"""The estate: every system, node and channel, who may decide what, and by which rules orders are sourced.

`estate.yaml` is read and checked by `contracts/estate_file.py`; here are only the values and what can be asked of them.
"""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal

from interlock.domain.links import Base as Base
from interlock.domain.links import FolderIn as FolderIn
from interlock.domain.links import FolderOut as FolderOut
from interlock.domain.links import HttpOut as HttpOut
from interlock.domain.links import LinkIn, LinkOut, TwoMasters
from interlock.domain.links import RecordKind as RecordKind
from interlock.domain.links import RetryPolicy as RetryPolicy
from interlock.domain.partner_contracts import PartnerContract
from interlock.domain.subscriptions import Subscription
from interlock.domain.values import NodeId, Quantity, Sku, SystemId

SystemKind = Literal[
    "pos", "wms", "erp", "marketplace", "webshop", "returns", "edi", "replenishment", "backoffice", "3pl"
]
NodeKind = Literal["store", "dc", "3pl", "vendor"]
Fact = Literal["order", "payment", "fulfillment", "stock", "return", "refund"]
FACTS: tuple[Fact, ...] = ("order", "payment", "fulfillment", "stock", "return", "refund")
Authority = Literal["decide", "observe"]
Fulfillment = Literal["delivery", "bopis", "ship_to_store", "carry_out"]
Updates = Literal["content", "numbered", "timed", "restated"]
"""How a system's later word about the same thing is told from a mistake: docs/estate.md#updates."""
ChannelMessage = Literal["order.accepted", "order.shipped", "order.canceled"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PARKED_S = 86_400.0
"""How long a message may be parked where its system does not say, or is not in the estate any more."""


class Contact(Base, frozen=True, kw_only=True):
    """Who answers for a system: a team by name, and how to reach somebody when it hurts."""

    team: str
    escalation: str


class Limits(Base, frozen=True, kw_only=True):
    """What a system may send us and how fast, and how fast it may be sent to (`requests_per_s`, `burst`)."""

    requests_per_s: float | None = None
    burst: int = 10
    body_bytes_max: int = 1_048_576
    rows_max: int = 2_000_000
    file_bytes_max: int = 4 * 1024**3
    unpacked_bytes_max: int = 4 * 1024**3
    unpacked_ratio_max: int = 200
    depth_max: int = 32
    inbound_per_s: float | None = None
    inbound_burst: int = 20


class StandardWebhooks(Base, tag_field="kind", tag="standard_webhooks", frozen=True, kw_only=True):
    """Requests signed by the Standard Webhooks scheme: id, timestamp and body, HMAC-SHA256.

    `secrets_env` names the environment variables that hold the live secrets; `replay_s` is how long after its first arrival
    the same request may come again, None for ever; `with_api_key`: the system sends its API key as well.
    """

    secrets_env: tuple[str, ...]
    tolerance_s: float = 300.0
    replay_s: float | None = None
    with_api_key: bool = False


class HmacSignature(Base, tag_field="kind", tag="hmac", frozen=True, kw_only=True):
    """Requests signed by an HMAC in a header of their own; the rest as in StandardWebhooks.

    `signed` is what the HMAC is made of: text in which {body}, {timestamp} and {id} stand for these. The header holds one
    value, or several between commas or blanks; those that begin with `prefix` are signatures, and the timestamp may be
    among them after `timestamp_prefix`.
    """

    header: str
    secrets_env: tuple[str, ...]
    algorithm: Literal["sha256", "sha1", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    secret_encoding: Literal["text", "hex", "base64"] = "text"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str | None = None
    timestamp_prefix: str | None = None
    timestamp_format: Literal["seconds", "milliseconds", "iso"] = "seconds"
    id_header: str | None = None
    tolerance_s: float = 300.0
    replay_s: float | None = None
    with_api_key: bool = False


Signature = StandardWebhooks | HmacSignature


class System(Base, frozen=True, kw_only=True):
    """An outside party: what it is, who owns it, what it may decide, and how we talk with it.

    `parking`: by action, or `*` for the rest, the seconds after which a parked message is work for a person.
    `clock_tolerance_s`: by how much its clock may differ from ours before that is an exception. `deprecated`: what happens to a
    message that uses what is past its sunset.
    """

    id: SystemId
    name: str
    kind: SystemKind
    owner: Contact
    authority: dict[Fact, Authority]
    time_zone: str
    currency: str
    order_scope: str
    api_key_sha256: tuple[str, ...] = ()
    inbound: tuple[LinkIn, ...] = ()
    outbound: LinkOut | None = None
    signature: Signature | None = None
    ack_within_s: float = 14_400.0
    limits: Limits = Limits()
    retry: RetryPolicy = RetryPolicy()
    states: dict[str, str] = {}
    updates: Updates = "content"
    parking: dict[str, float] = {}
    clock_tolerance_s: float = 300.0
    deprecated: Literal["accept", "refuse"] = "accept"

    def parked_s(self, action: str) -> float:
        """Seconds for which a message of the action may stay parked before that is an exception; the message stays."""
        return self.parking.get(action, self.parking.get("*", PARKED_S))


class Place(Base, frozen=True, kw_only=True):
    """Where something is. Coordinates in degrees (WGS 84)."""

    country: str
    region: str = ""
    postal_code: str = ""
    latitude: float | None = None
    longitude: float | None = None


class Recipient(Base, frozen=True, kw_only=True, omit_defaults=True):
    """Who takes delivery of an order and at which door: what a label needs beside the place. Personal data, so kept apart.

    `instructions` are for the one who delivers.
    """

    name: str = ""
    street: str = ""
    street_2: str = ""
    city: str = ""
    phone: str = ""
    email: str = ""
    instructions: str = ""


class Opening(Base, frozen=True, kw_only=True):
    """Local opening hours on some days of the week; `closes` at or before `opens` means past midnight."""

    days: tuple[Day, ...]
    opens: time
    closes: time


class Node(Base, frozen=True, kw_only=True):
    """A place that holds stock and fulfills; `system` is told what to ship, `handling_cost` is in the estate's currency."""

    id: NodeId
    name: str
    kind: NodeKind
    system: SystemId
    place: Place
    time_zone: str
    fulfills: tuple[Fulfillment, ...]
    channels: tuple[str, ...] = ()
    capacity_orders_per_day: int | None = None
    hours: tuple[Opening, ...] = ()
    paused: bool = False
    handling_cost: Decimal = Decimal(0)
    skus_allowed: tuple[str, ...] = ("*",)
    skus_refused: tuple[str, ...] = ()

    def may_hold(self, sku: str) -> bool:
        """Whether this node may fulfill the SKU, by its allowed and refused patterns."""
        if self.skus_refused and any(fnmatchcase(sku, pattern) for pattern in self.skus_refused):
            return False
        return self.skus_allowed == ("*",) or any(fnmatchcase(sku, pattern) for pattern in self.skus_allowed)

    def serves(self, channel: str) -> bool:
        """Whether this node fulfills orders of the channel; with no channels named it serves all."""
        return not self.channels or channel in self.channels


class SourcingPolicy(Base, frozen=True, kw_only=True):
    """How orders of a channel are sourced.

    `split_max` is the most nodes that one order may ship from (1 is ship complete from one node).
    `unfillable`: what happens to units that no plan fills. `complete`: nothing ships unless everything can.
    """

    version: str
    split_max: int = 3
    complete: bool = False
    unfillable: Literal["backorder", "cancel"] = "backorder"
    ship_from_store: bool = True
    cost: Literal["distance", "zone"] = "distance"
    cost_per_km: Decimal = Decimal("0.01")
    opens_within_h: float = 24.0
    exclusion_s: float = 86_400.0
    backorder_retry_s: float = 3_600.0
    backorder_attempts_max: int = 24


class Channel(Base, frozen=True, kw_only=True):
    """Where orders come from, and how they are sourced and closed.

    `early_cancel`: whether a cancel that came before its order wins when the order comes, or is refused then.
    `tells`: what its system is told of its orders, by its outbound connection.
    """

    id: str
    system: SystemId
    currency: str
    fulfills: tuple[Fulfillment, ...]
    sourcing: SourcingPolicy
    release: Literal["when_authorized", "at_once", "by_command"] = "when_authorized"
    close_after_s: float | None = 0.0
    early_cancel: Literal["wins", "refuse"] = "wins"
    tells: tuple[ChannelMessage, ...] = ()


class Buffer(Base, frozen=True, kw_only=True):
    """Units held back from sale: for SKUs that match, at nodes (by id or kind) that match. The first that matches counts."""

    units: Quantity
    sku: str = "*"
    node: str = "*"
    kind: NodeKind | None = None


class Zone(Base, frozen=True, kw_only=True):
    """Shipping cost from a node's region to a destination's region (patterns), in the estate's currency."""

    origin: str
    destination: str
    cost: Decimal


class Duty(Base, frozen=True, kw_only=True):
    """Who works on a kind of exception, and within what time."""

    owner: str
    within_s: float
    runbook: str = ""


class Estate(Base, frozen=True, kw_only=True):
    """The whole catalog, checked. Look-ups raise KeyError: the file's check has made sure that every name exists."""

    retailer: str
    currency: str
    systems: dict[SystemId, System]
    nodes: dict[NodeId, Node]
    channels: dict[str, Channel]
    sku_aliases: dict[SystemId, dict[str, Sku]] = {}
    node_aliases: dict[SystemId, dict[str, NodeId]] = {}
    buffers: tuple[Buffer, ...] = ()
    zones: tuple[Zone, ...] = ()
    duties: dict[str, Duty] = {}
    default_duty: Duty = Duty(owner="operations", within_s=86_400.0)
    mappings: dict[str, dict[str, object]] = {}
    contracts: dict[str, PartnerContract] = {}
    two_masters: tuple[TwoMasters, ...] = ()
    subscriptions: dict[str, Subscription] = {}

    def sku(self, system: SystemId, theirs: str) -> Sku:
        """Our SKU for what the system calls `theirs`; the same word where no alias is given."""
        return self.sku_aliases.get(system, {}).get(theirs, Sku(theirs))

    def node_id(self, system: SystemId, theirs: str) -> NodeId:
        """Our node for what the system calls `theirs`; the same word where no alias is given."""
        return self.node_aliases.get(system, {}).get(theirs, NodeId(theirs))

    def state(self, system: SystemId, theirs: str) -> str | None:
        """The canonical word for the system's own state word, None where the estate does not map it."""
        return self.systems[system].states.get(theirs.casefold())

    def pair_of(self, system: SystemId, action: str) -> TwoMasters | None:
        """The masters, of whom this system is one, that both tell of such actions."""
        for pair in self.two_masters:
            if system in pair.systems and action in pair.actions:
                return pair
        return None

    def duty(self, reason: str) -> Duty:
        """Who owns exceptions of this reason."""
        return self.duties.get(reason, self.default_duty)

    def buffer(self, sku: str, node: NodeId) -> Quantity:
        """Units of the SKU that this node keeps back from sale."""
        for rule in self.buffers:
            if (
                fnmatchcase(node, rule.node)
                and fnmatchcase(sku, rule.sku)
                and (rule.kind is None or self.nodes[node].kind == rule.kind)
            ):
                return rule.units
        return 0
