"""The description says what the API does: every route, every field, every error."""

from __future__ import annotations

import re
from typing import Any

import httpx
import msgspec
import pytest
from starlette.routing import Route

from interlock.connectors.mapping_actions import ACTIONS
from interlock.domain.commands import COMMANDS
from interlock.domain.estate import Estate
from interlock.storage.database import Database
from interlock.web.api import create_app
from interlock.web.openapi import openapi
from tests.web.test_door import FakeDoor

DOCUMENT = openapi()


def test_every_route_and_method_is_described(db: Database, estate: Estate) -> None:
    described = {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}
    routed = set()
    for route in create_app(db, estate, FakeDoor()).routes:
        assert isinstance(route, Route)
        path = re.sub(r"\{(\w+):path\}", r"{\1}", route.path)
        for action in COMMANDS if "{action}" in path else [""]:
            routed |= {(path.replace("{action}", action), method) for method in (route.methods or set()) - {"HEAD"}}

    assert described == routed


@pytest.mark.parametrize("action", COMMANDS)
def test_the_described_fields_of_an_action_are_those_that_are_read(action: str) -> None:
    body = DOCUMENT["paths"][f"/v1/actions/{action}"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "$ref"
    ]

    assert set(DOCUMENT["components"]["schemas"][body.rpartition("/")[2]]["properties"]) == set(ACTIONS[action][1])


def test_every_endpoint_has_a_description_and_its_errors_as_problems() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert operation["description"], path
            errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert errors, path
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in errors.values()), path


def test_every_reference_leads_to_a_schema_and_no_operation_has_the_name_of_another() -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            here = {value["$ref"]} if "$ref" in value else set()
            return here.union(*(references(each) for each in value.values()))
        return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()

    known = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    names = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]

    assert references(DOCUMENT) <= known
    assert len(names) == len(set(names))


def test_it_is_served_without_a_key(base_url: str) -> None:
    answer = httpx.get(f"{base_url}/openapi.json", trust_env=False)

    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")
    assert answer.json() == msgspec.json.decode(msgspec.json.encode(DOCUMENT))
