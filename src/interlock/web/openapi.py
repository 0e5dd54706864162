"""The API described for programs: OpenAPI 3.1. Bodies are the released contracts, answers the structs of `schemas.py`."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from interlock.contracts.catalog import catalog, current_version, schema
from interlock.contracts.documents import components as contract_components
from interlock.domain.commands import COMMANDS
from interlock.web.problems import JSON, PROBLEM_JSON, Problem
from interlock.web.schemas import Answer, CloseException, Story

_ERRORS: Final = {
    "400": "The request or body could not be read; errors names every mistake",
    "401": "No system is known by this key; or the signature is missing, wrong or out of time",
    "403": "The system may only observe this fact, or another speaks for the node",
    "404": "There is nothing at this address, or by this identifier",
    "409": "The same key came before with another payload; or the identifier is not clear",
    "413": "The body is larger than the system may send",
    "415": "Another content type is expected",
    "429": "More requests than limits.inbound_per_s of the system allows: again after Retry-After",
    "422": "The rules do not allow it now; reason says why",
    "500": "An error of ours; it is in the log under the trace id",
    "503": "Too much is waiting, or the database cannot be reached: send the same again after Retry-After",
}
_COMMAND_ERRORS: Final = ("400", "401", "403", "409", "413", "415", "422", "429", "500", "503")
_READ_ERRORS: Final = ("400", "401", "404", "429", "500", "503")


def openapi() -> dict[str, Any]:
    """The whole document."""
    types = [CloseException, Answer, Story, Problem]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    components |= contract_components(catalog(), "commands")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Interlock",
            "version": "1",
            "description": "Orders, shipments, returns and stock, from and to every system of the estate.",
        },
        "security": [{"bearer": []}, {"key": []}],
        "paths": _command_paths() | _inbound_paths() | _read_paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "webhook-signature",
                    "description": "By Standard Webhooks, or the header that the estate names for the system",
                },
            },
        },
    }


def _command_paths() -> dict[str, Any]:
    paths: dict[str, Any] = {
        "/v1/orders": {
            "post": _command(
                "order.create", "order.create", "Take one order; or many, one a line, as application/x-ndjson"
            )
        },
        "/v1/bulk": {
            "post": _command(
                "bulk", None, "Many commands, one a line, each with its `action`; one answer a line, in order"
            )
        },
    }
    paths["/v1/orders"]["post"]["requestBody"]["content"] |= _lines()
    paths["/v1/orders"]["post"]["operationId"] = "orders"
    for action in COMMANDS:
        means = schema("commands", action, current_version("commands", action))["description"]
        paths[f"/v1/actions/{action}"] = {"post": _command(action, action, means)}
        paths[f"/v1/hooks/{{system}}/{action}"] = {"post": _hook(action, action)}
    paths["/v1/hooks/{system}/orders"] = {"post": _hook("orders", "order.create")}
    paths["/v1/hooks/{system}/orders"]["post"]["requestBody"]["content"] |= _lines()
    return paths


def _hook(name: str, body: str) -> dict[str, Any]:
    hook = _command(f"hook_{name}", body, f"The same as {name}, from a system that signs its requests")
    hook["security"] = [{"signature": []}]
    hook["parameters"] = [_path("system"), *hook["parameters"][1:]]
    return hook


def _inbound_paths() -> dict[str, Any]:
    def post(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        any_bytes = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        return {
            "operationId": name,
            "summary": "A webhook of any format",
            "description": "Bytes of a webhook link of the estate, in its format; the answer has each record's outcome",
            "security": [{"bearer": []}, {"key": []}, {"signature": []}],
            "parameters": [*parameters, _header("traceparent", "W3C trace context; kept with the messages")],
            "requestBody": {"required": True, "content": any_bytes},
            "responses": {
                "200": {"description": "Everything has its outcome", "content": {JSON: {"schema": {"type": "object"}}}},
                **_errors(("400", "401", "403", "404", "409", "413", "415", "422", "429", "500", "503")),
            },
        }

    return {
        "/v1/in/{system}": {"post": post("webhook", [_path("system")])},
        "/v1/in/{system}/{name}": {"post": post("webhook_of_link", [_path("system"), _path("name")])},
    }


def _command(name: str, body: str | None, description: str) -> dict[str, Any]:
    answers = {"200": "Done; or done before, and this is the first answer", "202": "Kept, and waits"}
    if body == "order.create":
        answers["201"] = "The order was taken"
    return {
        "operationId": name,
        "summary": name,
        "description": description,
        "parameters": [
            _header("Idempotency-Key", "Stands for this payload for ever; it is the `ref` if the body has none"),
            _header("Prefer", "respond-async: answer as soon as the message is kept"),
            _header("traceparent", "W3C trace context; the trace id is kept with the message"),
            _header(
                "Contract-Version", "The version of the contract that the body speaks, if it is not the current one"
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": _body(body)}} if body else _lines(),
        },
        "responses": {
            **{
                status: {"description": what, "content": {JSON: {"schema": _ref(Answer)}} if body else _lines()}
                for status, what in sorted(answers.items())
            },
            **_errors(_COMMAND_ERRORS),
        },
    }


def _read_paths() -> dict[str, Any]:
    identifier = {
        **_path("identifier"),
        "description": "order id, source id, number, assignment, warehouse or shipment ref, tracking or return number",
    }
    limit = _query("limit", "at most so many rows: 1 to 5000, 500 if left out")
    close = _read("close_exception", "Close an exception on evidence", [])
    close["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(CloseException)}}}
    close["responses"] |= _errors(("413", "415"))
    return {
        "/v1/orders/{identifier}": {"get": _read("order", "A whole order, by any identifier", [identifier])},
        "/v1/orders/{identifier}/story": {
            "get": _read("story", "Everything that happened to it, in time order", [identifier], Story)
        },
        "/v1/positions": {
            "get": _read(
                "positions",
                "Stock in layers: physical, available, sellable",
                [_query("sku", "one SKU"), _query("node", "one node"), limit],
            )
        },
        "/v1/exceptions": {
            "get": _read(
                "exceptions",
                "Work for people, what is due first coming first",
                [_query("reason", "of one reason"), _query("open", "true (the default) or false"), limit],
            )
        },
        "/v1/exceptions/close": {"post": close},
        "/v1/messages/{message_id}": {
            "get": _read(
                "message",
                "One message, verbatim, and what became of it",
                [_path("message_id"), _query("subject", "the order's id or SKU that it was about: found at once")],
            )
        },
        "/v1/clocks": {"get": _read("clocks", "How far the clock of each system is from ours", [])},
        "/v1/pos/days": {
            "get": _read(
                "pos_days",
                "What is stated of the tills' business days: complete, or what is missing",
                [
                    _query("store", "one store"),
                    _query("day", "one business day: 2026-03-02"),
                    _query("open", "true: those that are not complete; false (the default): all"),
                    limit,
                ],
            )
        },
        "/v1/interchanges": {
            "get": _read(
                "interchanges",
                "Interchanges with partners, the newest first",
                [_query("system", "with one system"), _query("open", "true: only what is not over yet"), limit],
            )
        },
        "/v1/events": {
            "get": _read(
                "events",
                "All that happened, as CloudEvents, from any position on; each order's events in their order",
                [
                    _query("after", "`next` of the page before, or beginning (the default), or now"),
                    _query("type", "names or patterns such as order.*, several with commas between"),
                    _query("channel", "only events of orders of these channels"),
                    _query("system", "only events that these systems caused"),
                    _query("order", "only the events of one order, by its id"),
                    _query("parts", "only these of the 64 parts, such as 0-15,20"),
                    _query("wait", "seconds to wait for an event where there is none yet, 20 at most"),
                    limit,
                ],
            )
        },
        "/v1/receivers": {"get": _read("receivers", "What receivers have still to be told, by state", [])},
        "/v1/contracts": {"get": _open("contracts", "Every contract, with its versions and what of it is deprecated")},
        "/v1/contracts/{kind}/{name}/{version}": {"get": _contract()},
        "/asyncapi.json": {"get": _open("asyncapi", "What is sent to subscriptions and receivers, as AsyncAPI 3.0")},
        "/healthz": {"get": _open("healthz", "The process runs")},
        "/readyz": {"get": _open("readyz", "The database answers", ("503",))},
        "/openapi.json": {"get": _open("openapi", "This document")},
    }


def _read(name: str, description: str, parameters: list[dict[str, Any]], answer: type | None = None) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": description,
        "description": description,
        "parameters": parameters,
        "responses": {**_ok(answer), **_errors(_READ_ERRORS)},
    }


def _open(name: str, description: str, errors: tuple[str, ...] = ("500",)) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": description,
        "description": description,
        "security": [],
        "responses": {**_ok(), **_errors(errors)},
    }


def _contract() -> dict[str, Any]:
    found = _open("contract", "The JSON Schema of one version, as it was released", ("400", "404", "500"))
    found["parameters"] = [
        {**_path("kind"), "description": "commands, events or messages"},
        {**_path("name"), "description": "order.created"},
        {**_path("version"), "description": "1"},
        _query("format", "json-schema (the default), or avro for events"),
    ]
    found["responses"]["200"]["content"] = {"application/schema+json": {"schema": {"type": "object"}}}
    return found


def _ok(answer: type | None = None) -> dict[str, Any]:
    return {"200": {"description": "Here it is", "content": {JSON: {"schema": _ref(answer)}}}}


def _errors(statuses: tuple[str, ...]) -> dict[str, Any]:
    return {
        status: {"description": _ERRORS[status], "content": {PROBLEM_JSON: {"schema": _ref(Problem)}}}
        for status in statuses
    }


def _body(action: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{action}"}


def _ref(kind: type | None) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"} if kind else {"type": "object"}


def _lines() -> dict[str, Any]:
    return {"application/x-ndjson": {"schema": {"type": "string", "description": "one JSON object a line"}}}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
