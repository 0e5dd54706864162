"""What Interlock sends, described for programs: AsyncAPI 3.0, made of the released contracts.

A channel for each event, and for each message to receivers. It has no address, and there are no servers: whom we send to is
a matter of the estate. Every event comes in a CloudEvents envelope; what is described is its structured form.
"""

from __future__ import annotations

from typing import Any, Final

from interlock.contracts.catalog import Catalog, Kind, schema
from interlock.contracts.cloudevents import STRUCTURED, event_type
from interlock.contracts.documents import COMPONENTS, components

VERSION: Final = "3.0.0"
HTTP_BINDING: Final = "0.3.0"
_TEXT: Final = {"type": "string", "minLength": 1}

ENVELOPE: Final[dict[str, Any]] = {
    "title": "CloudEvents 1.0",
    "description": "What stands around every event.",
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0", "description": "The version of CloudEvents."},
        "id": {
            **_TEXT,
            "description": "ORDER_ID/SEQ: the same whenever the event is sent again, so deduplicate by it.",
        },
        "source": {**_TEXT, "format": "uri-reference", "description": "/interlock/ and the retailer's name."},
        "type": {**_TEXT, "description": "The event's name and the version of its contract."},
        "subject": {**_TEXT, "description": "The order's id."},
        "time": {
            "type": "string",
            "format": "date-time",
            "description": "When Interlock recorded it: processing time.",
        },
        "datacontenttype": {"const": "application/json", "description": "What data is."},
        "dataschema": {**_TEXT, "format": "uri", "description": "The contract of data: its address, or its $id."},
        "schemaversion": {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "The version of the contract."},
        "sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "The event's number in its order, from 1 without a gap.",
        },
        "sequencetype": {"const": "Integer", "description": "How sequence is compared."},
        "partitionkey": {**_TEXT, "description": "The order's id: what has the same stays in order."},
        "correlationid": {**_TEXT, "description": "The id of the message that caused it."},
        "causationsystem": {**_TEXT, "description": "The system that sent that message."},
        "occurredat": {
            "type": "string",
            "format": "date-time",
            "description": "When the source says that it happened; left out where it did not say.",
        },
        "traceparent": {
            "type": "string",
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "description": "W3C trace context of that message.",
        },
        "data": {"type": "object", "description": "The event."},
    },
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"]
    + ["schemaversion", "sequence", "sequencetype", "partitionkey", "correlationid", "causationsystem", "data"],
}
"""The attributes of `cloudevents.py`, as a schema."""


def asyncapi(known: Catalog) -> dict[str, Any]:
    """The whole document."""
    events = [(name, contract.current) for (kind, name), contract in known.items() if kind == "events"]
    told = [(name, contract.current) for (kind, name), contract in known.items() if kind == "messages"]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Interlock",
            "version": "1",
            "description": "Events about orders, and messages that tell receivers what to do.",
        },
        "defaultContentType": "application/json",
        "channels": _channels("events", [name for name, _ in events])
        | _channels("messages", [name for name, _ in told]),
        "operations": _operations("events", [name for name, _ in events])
        | _operations("messages", [name for name, _ in told]),
        "components": {
            "schemas": {
                "cloudevent": ENVELOPE,
                **components(known, "events", "events."),
                **components(known, "messages", "messages."),
            },
            "messages": {f"events.{name}": _event(name, version) for name, version in events}
            | {f"messages.{name}": _message(name, version) for name, version in told},
        },
    }


def _channels(kind: Kind, names: list[str]) -> dict[str, Any]:
    where = {
        "events": "Sent to the subscriptions of the estate, in order per order, at least once.",
        "messages": "Sent to the system that a node belongs to, in order per order, until it says that it took it.",
    }
    return {
        f"{kind}.{name}": {
            "address": None,
            "description": where[kind],
            "messages": {name: {"$ref": f"#/components/messages/{kind}.{name}"}},
        }
        for name in names
    }


def _operations(kind: Kind, names: list[str]) -> dict[str, Any]:
    return {
        f"send.{kind}.{name}": {
            "action": "send",
            "channel": {"$ref": f"#/channels/{kind}.{name}"},
            "messages": [{"$ref": f"#/channels/{kind}.{name}/messages/{name}"}],
            "bindings": {"http": {"method": "POST", "bindingVersion": HTTP_BINDING}},
        }
        for name in names
    }


def _event(name: str, version: int) -> dict[str, Any]:
    return {
        "name": event_type(name, version),
        "title": name,
        "summary": schema("events", name, version)["description"],
        "contentType": STRUCTURED,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {
            "allOf": [
                {"$ref": f"{COMPONENTS}cloudevent"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": event_type(name, version)},
                        "data": {"$ref": f"{COMPONENTS}events.{name}"},
                    },
                },
            ]
        },
    }


def _message(name: str, version: int) -> dict[str, Any]:
    key = {"type": "string", "description": "The message's id: the same whenever it is sent again."}
    return {
        "name": name,
        "title": name,
        "summary": schema("messages", name, version)["description"],
        "contentType": "application/json",
        "headers": {"type": "object", "properties": {"Idempotency-Key": key}},
        "payload": {"$ref": f"{COMPONENTS}messages.{name}"},
    }
