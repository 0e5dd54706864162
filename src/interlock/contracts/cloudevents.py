"""CloudEvents 1.0, the envelope of what Interlock publishes: one event or many as JSON, or as headers with a body.

    envelope = Envelope("Acme Outdoors")
    structured(row, envelope)       # one JSON object             application/cloudevents+json
    batch(rows, envelope)           # a JSON array of them        application/cloudevents-batch+json
    binary(row, envelope)           # headers, and the data alone as the body

| attribute | holds |
|---|---|
| `id` | `ORDER_ID/SEQ`: the same whenever the event is sent again, so deduplicate by it |
| `source` | `/interlock/` and the retailer's name |
| `type` | `interlock.`, the event's name, `.v` and the version of its contract |
| `subject`, `partitionkey` | the order's id |
| `time` | when Interlock recorded it: processing time |
| `occurredat` | when the source says that it happened; left out where it did not say |
| `dataschema` | the contract: its address where ours is known, else its `$id` |
| `schemaversion` | the contract's version |
| `sequence` | the event's number in its order, from 1 without a gap; `sequencetype` is Integer |
| `correlationid`, `causationsystem` | the message that caused it, and the system that sent that |
| `traceparent` | W3C trace context of that message |

CloudEvents allows no control characters (C1 included) and no noncharacters in attributes: `id`, `subject` and
`partitionkey` hold them, and the percent sign itself, percent-encoded as in an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Final, Literal, Protocol
from unicodedata import normalize
from urllib.parse import quote
from uuid import UUID

import msgspec

from interlock.contracts import catalog
from interlock.contracts.wire import published

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
DATA: Final = "application/json"

Binding = Literal["http", "nats", "kafka", "amqp", "mqtt"]
_PREFIXES: Final[dict[Binding, str]] = {
    "http": "ce-",
    "nats": "ce-",
    "kafka": "ce_",
    "amqp": "cloudEvents_",
    "mqtt": "",
}

_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
_UNSAID: Final = re.compile(
    "[%\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)
_NO_HEADER: Final = re.compile(r'[^\x21-\x7e]|["%]')

_encode = msgspec.json.encode


class EventRow(Protocol):
    """One event as it is read from the table."""

    @property
    def order_id(self) -> str:
        """The order's id."""

    @property
    def seq(self) -> int:
        """Its number in the order, from 1."""

    @property
    def type(self) -> str:
        """The event's name."""

    @property
    def body(self) -> bytes | str:
        """Its JSON as stored."""

    @property
    def message_id(self) -> UUID:
        """The message that caused it."""

    @property
    def system(self) -> str:
        """Who sent that message."""

    @property
    def occurred_at(self) -> datetime | None:
        """When it happened, by the source's clock; None where it did not say."""

    @property
    def recorded_at(self) -> datetime:
        """When it was recorded, by ours."""

    @property
    def trace_id(self) -> str | None:
        """The trace of that message, 32 hexadecimal digits; None where there is none."""


class Envelope:
    """What all events of a retailer have in common; `base` is our public address where it is known."""

    __slots__ = ("base", "source")

    def __init__(self, retailer: str, base: str = "") -> None:
        self.source = f"/interlock/{slug(retailer)}"
        self.base = base.rstrip("/")

    def dataschema(self, name: str, version: int) -> str:
        """The contract of an event as an absolute URI: its address, or its `$id`."""
        if self.base:
            return f"{self.base}/v1/contracts/events/{name}/{version}"
        return catalog.identifier("events", name, version)


def attributes(event: EventRow, envelope: Envelope) -> dict[str, str]:
    """The context attributes of an event, all as their canonical text."""
    version = _version(event.type)
    subject = said(event.order_id)
    found = {
        "specversion": "1.0",
        "id": f"{subject}/{event.seq}",
        "source": envelope.source,
        "type": event_type(event.type, version),
        "subject": subject,
        "time": timestamp(event.recorded_at),
        "datacontenttype": DATA,
        "dataschema": envelope.dataschema(event.type, version),
        "schemaversion": str(version),
        "sequence": str(event.seq),
        "sequencetype": "Integer",
        "partitionkey": subject,
        "correlationid": str(event.message_id),
        "causationsystem": said(event.system),
    }
    if event.occurred_at is not None:
        found["occurredat"] = timestamp(event.occurred_at)
    parent = traceparent(event.trace_id, event.message_id)
    if parent:
        found["traceparent"] = parent
    return found


def structured(event: EventRow, envelope: Envelope) -> bytes:
    """One event as one JSON object (structured mode): STRUCTURED is its content type."""
    return _encode(attributes(event, envelope))[:-1] + b',"data":' + published(event.type, event.body) + b"}"


def batch(events: Iterable[EventRow], envelope: Envelope) -> bytes:
    """Many events as one JSON array (batched mode): BATCH is its content type."""
    return b"[" + b",".join(structured(event, envelope) for event in events) + b"]"


def binary(
    event: EventRow, envelope: Envelope, binding: Binding = "http", *, as_avro: bool = False
) -> tuple[dict[str, str], bytes]:
    """One event as headers (properties, for AMQP and MQTT) and its data as the body (binary mode); in Avro if asked."""
    prefix = _PREFIXES[binding]
    is_quoted = binding in ("http", "nats")
    body = published(event.type, event.body)
    headers = {"content-type": DATA}
    if as_avro:
        from interlock.contracts import avro  # only who speaks Avro loads the library

        headers, body = {"content-type": avro.CONTENT_TYPE}, avro.encode(event.type, body)
    for name, value in attributes(event, envelope).items():
        if name != "datacontenttype":
            headers[prefix + name] = _NO_HEADER.sub(_percent, value) if is_quoted else value
    return headers, body


def event_type(name: str, version: int) -> str:
    """The `type` of an event of this contract, as in interlock.order.created.v1."""
    return f"interlock.{name}.v{version}"


def traceparent(trace_id: str | None, message_id: UUID) -> str:
    """W3C trace context of what the message caused; "" where there is no trace id that can be said.

    The parent is the message: the last eight bytes of its id, which are never all zero in a UUID.
    """
    if trace_id is None or not _TRACE_ID.fullmatch(trace_id):
        return ""
    return f"00-{trace_id}-{message_id.hex[16:]}-00"


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC. A time without a zone is an error of the caller."""
    assert at.tzinfo is not None, "a time of an event needs a zone"
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def said(text: str) -> str:
    """Text as an attribute may hold it: what CloudEvents does not allow, and the percent sign, percent-encoded."""
    return _UNSAID.sub(_percent, text)


@cache
def slug(name: str) -> str:
    """A retailer's name as one segment of an address: "Acme & Söhne" is acme-sohne."""
    plain = normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain)) or quote(name.strip(), safe="") or "retailer"


@cache
def _version(name: str) -> int:
    return catalog.current_version("events", name)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))
