"""The contracts over HTTP: the list, each schema as it was released, and AsyncAPI. No key is needed: they hold nothing secret."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from interlock.contracts import catalog
from interlock.contracts.asyncapi import asyncapi
from interlock.contracts.avro import avro_schema
from interlock.contracts.catalog import KINDS, Catalog, Contract, Deprecation
from interlock.contracts.use import Use
from interlock.web.handling import bad, json_answer, nothing, parameters
from interlock.web.problems import JSON

SCHEMA_JSON: Final = "application/schema+json"
AVRO_JSON: Final = "application/vnd.apache.avro+json"


class ContractPages:
    """What each address about contracts gives."""

    def __init__(self, known: Catalog) -> None:
        self._known = known
        self._asyncapi = msgspec.json.encode(asyncapi(known))

    async def contracts(self, _: Request) -> Response:
        """Every contract, with its versions."""
        return json_answer({"contracts": [_listed(kind, name, of) for (kind, name), of in self._known.items()]})

    async def contract(self, request: Request) -> Response:
        """One version's schema, byte for byte as it was released; an event's in Avro as well, with `?format=avro`."""
        kind, name = request.path_params["kind"], request.path_params["name"]
        given = request.path_params["version"]
        contract = self._known.get(cast(Any, (kind, name)))
        if contract is None:
            raise nothing(
                f"there is no contract {kind}/{name}; the kinds are {', '.join(KINDS)}, GET /v1/contracts lists all"
            )
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
        version = contract.versions.get(number)
        if version is None:
            there = ", ".join(map(str, sorted(contract.versions)))
            raise nothing(f"{kind}/{name} has no version {given!r}; there are {there}")
        headers = Use(f"{kind}/{name}", number, {"": version.deprecated} if version.deprecated else {}).headers()
        headers["ETag"] = f'"{version.sha256[:32]}"'
        asked = parameters(request, {"format"}).get("format", "json-schema")
        if asked == "avro" and kind == "events":
            return Response(msgspec.json.encode(avro_schema(name, number)), media_type=AVRO_JSON, headers=headers)
        if asked != "json-schema":
            raise bad("format", asked, "json-schema, or avro for events")
        return Response(catalog.schema_bytes(kind, name, number), media_type=SCHEMA_JSON, headers=headers)

    async def asyncapi(self, _: Request) -> Response:
        """What is sent, described for programs."""
        return Response(self._asyncapi, media_type=JSON)


def _listed(kind: str, name: str, contract: Contract) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "version": contract.current,
        "mode": contract.mode,
        "schema": f"/v1/contracts/{kind}/{name}/{contract.current}",
        "versions": [
            {"version": number, "released": version.released, **_deprecated(version.deprecated)}
            for number, version in sorted(contract.versions.items())
        ],
        "deprecated": [
            {"field": field, **_deprecated(each)["deprecated"]} for field, each in contract.deprecated.items()
        ],
    }


def _deprecated(found: Deprecation | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"deprecated": {"since": found.since, "sunset": found.sunset, "instead": found.instead}}
