"""The contracts of commands say what the mapper reads: the same fields, the same values, refused for the same reasons."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.connectors.mapping import Mapper, MappingFailed
from interlock.connectors.mapping_actions import ACTIONS, PARTS
from interlock.contracts.catalog import catalog, schema
from interlock.domain.commands import COMMANDS
from interlock.domain.values import SystemId
from tests.contracts.published import ALWAYS, AT, BODIES, flaws, properties
from tests.web.conftest import small_estate

ESTATE = small_estate()
MAPPER = Mapper(ESTATE)
SHOP = ESTATE.systems[SystemId("webshop")]

VALUES: list[Any] = [
    *(
        None,
        "",
        " ",
        "x",
        " x",
        "x ",
        "x\ny",
        "x\x00",
        "x" * 200,
        "x" * 201,
        "x" * 500,
        "x" * 501,
        "é",
        "日本",
        "\u00a0x",
        "x\u2003",
    ),
    *(
        0,
        1,
        -1,
        2,
        1.0,
        1.5,
        0.0,
        -0.5,
        10**9,
        2**31 - 1,
        2**31,
        10**12,
        10**15,
        10**16,
        2**63 - 1,
        2**63,
        1e15,
        999999.9999,
    ),
    *(
        "0",
        "1",
        "-1",
        "+1",
        "1.0",
        "1.5",
        "01",
        "1.50",
        "1.23456",
        "1.2345678",
        "1e2",
        "0.0",
        "1,5",
        "٣",
        "1 ",
        "NaN",
        "Infinity",
    ),
    *("999999999999", "1000000000000", "999999999999999", "1000000000000000", "2147483647", "9223372036854775807"),
    *(
        True,
        False,
        "true",
        "false",
        "yes",
        [],
        {},
        [1],
        [None],
        [{}],
        {"a": 1},
        [[]],
        ["a", "b"],
        ["a", ""],
        [" a"],
        ["a"] * 101,
    ),
    *(
        "US",
        "us",
        "USA",
        "U1",
        "USD",
        "usd",
        "US$",
        "delivery",
        "bopis",
        "pigeon",
        "damaged",
        "restock",
        "scrap",
        "lost",
    ),
    *(AT, "2026-03-01T09:30:00Z", "2026-03-01T09:30Z", "2026-03-01 09:30:00+0100", "2026-03-01T09:30:00.123456-05:00"),
    *(
        "2026-03-01T09:30:00",
        "2026-03-01",
        "09:30",
        "yesterday",
        "1969-12-31T23:59:59Z",
        "2200-01-02T00:00:00Z",
        "2026-03-01T09:30Z ",
    ),
    *(
        "webshop:10001/1",
        "10001/1",
        "10001/0",
        "10001/",
        "/1",
        "10001/x",
        "10001/01",
        "10001/1234567890",
        "a/b/3",
        "1/1",
    ),
    *(
        [{"line_no": 1, "quantity": 1}],
        [{"line_no": 1}],
        [{"line_no": 1, "quantity": 1, "odd": 1}],
        [{"line_no": 0, "quantity": 1}],
    ),
]
"""Values to try in every field: what is right for some of them, and what is right for none."""

PATIENCE = ("1e2", "+1", "1.0", "2147483647", "9223372036854775807", "")
"""What the mapper reads here and there, though the contract does not promise it: exponents, the largest numbers as text, ..."""

NOT_OF_SHAPE = (
    "a node of the estate",
    "a channel of the estate",
    "an assignment of the order",
    "a word for a new order",
)
"""How the mapper begins what the estate, or another field, does not allow: that is no matter of the contract."""


@pytest.mark.parametrize("action", COMMANDS)
def test_the_fields_of_a_contract_are_those_that_the_mapper_reads(action: str) -> None:
    whole = dict(schema("commands", action, 1))

    assert {name for name, _ in properties(whole)} == set(paths(action))


def paths(action: str) -> Iterator[str]:
    """Every field that a body of the action may have, with those inside of it."""

    def inside(fields: frozenset[str], parts: dict[str, Any], path: str) -> Iterator[str]:
        for name in fields:
            yield f"{path}{name}"
            if name in parts:
                yield from inside(*parts[name], f"{path}{name}/")

    yield from inside(ACTIONS[action][1], PARTS.get(action, {}), "")


def test_every_action_has_a_contract_and_every_contract_an_action() -> None:
    assert {name for kind, name in catalog() if kind == "commands"} == set(ACTIONS) == set(BODIES)


@pytest.mark.parametrize("action", BODIES)
def test_a_body_with_every_field_is_read_and_is_as_its_contract_says(action: str) -> None:
    body = BODIES[action] | ALWAYS
    if action == "shipment.confirm":
        del body["occurred_at"]  # only one of it and shipped_at

    assert set(body) | {"occurred_at"} == set(ACTIONS[action][1])
    assert (refusals(action, body), flaws("commands", action, body)) == ([], [])


@pytest.mark.parametrize("action", BODIES)
def test_what_a_contract_allows_in_a_field_is_what_the_mapper_reads(action: str) -> None:
    differences = []
    for words, value, body in bodies(action):
        refused, wrong = refusals(action, body), flaws("commands", action, body)
        patient = not refused and value in PATIENCE
        if bool(refused) != bool(wrong) and not patient and not is_told_in_words(refused):
            differences.append((words, refused, wrong))

    assert differences == []


@pytest.mark.parametrize("action", BODIES)
def test_a_field_that_is_not_there_is_missed_by_both_or_by_none(action: str) -> None:
    for path in places(BODIES[action]):
        body = copy.deepcopy(BODIES[action])
        holder = at(body, path[:-1])
        del holder[path[-1]]
        if holder == [] or path[-1] in ("latitude", "longitude"):
            continue

        assert bool(refusals(action, body)) == bool(flaws("commands", action, body)), path


@given(st.data())
def test_any_text_and_number_is_read_by_the_mapper_exactly_if_the_contract_allows_it(data: st.DataObject) -> None:
    action = data.draw(st.sampled_from(sorted(BODIES)))
    path = data.draw(st.sampled_from(list(places(BODIES[action]))))
    value = data.draw(
        st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
        | st.integers(-(2**70), 2**70)
        | st.decimals(-(10**13), 10**13, places=3).map(str)
    )
    body = put(BODIES[action], path, value)

    refused, wrong = refusals(action, body), flaws("commands", action, body)

    patient = not refused and is_more_than_promised(value)
    assert bool(refused) == bool(wrong) or patient or is_told_in_words(refused), (path, refused, wrong)


def test_the_orders_of_the_documentation_are_as_the_contract_says() -> None:
    order = {
        "order_id": "10001",
        "channel": "web",
        "placed_at": "2026-03-01T09:30:00-05:00",
        "currency": "USD",
        "destination": {"country": "US", "region": "NY", "postal_code": "10001"},
        "lines": [{"sku": "SKU-1", "quantity": 2, "unit_price": "9.99"}],
        "payment": {"authorized": "19.98"},
    }

    assert flaws("commands", "order.create", order) == []
    assert flaws("commands", "order.create", {**order, "chanel": "web"}) != []
    assert flaws("commands", "order.create", {**order, "fulfillment": "bopis"}) != []


def refusals(action: str, body: dict[str, Any]) -> list[str]:
    """What the mapper says against the shape of a body."""
    try:
        MAPPER.read(SHOP, action, json.dumps(body).encode())
    except MappingFailed as failed:
        found = [f"{each.field}: {each.expected}" for each in failed.errors]
        return [each for each in found if not each.partition(": ")[2].startswith(NOT_OF_SHAPE)]
    return []


def bodies(action: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """The action's body with one value after the other in each of its fields."""
    for path in places(BODIES[action] | ALWAYS):
        for value in VALUES:
            whole = BODIES[action] | ({path[0]: None} if path[0] in ALWAYS else {})
            # A whole number with a point is an integer to JSON Schema, and none to who counts statements.
            if path != ("version",) or not isinstance(value, float):
                yield f"{'/'.join(map(str, path))} = {str(value)[:40]!r}", value, put(whole, path, value)
    yield "a field too many", 1, BODIES[action] | {"odd": 1}


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every field."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in entries:
        if isinstance(key, str) or not isinstance(each, dict):
            yield (*path, key)
        yield from places(each, (*path, key))


def put(body: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy of a body with another value in one of its fields."""
    copied = copy.deepcopy(body)
    at(copied, path[:-1])[path[-1]] = value
    return copied


def at(body: Any, path: tuple[str | int, ...]) -> Any:
    """What stands at a path."""
    for step in path:
        body = body[step]
    return body


def is_told_in_words(refused: list[str]) -> bool:
    """Whether the mapper refuses only what the contract tells in words: how one field depends on another, and places of
    numbers, which validators that calculate with floats would get wrong.
    """
    words = (
        "a whole number, because its unit of measure is each",
        "at most what was authorized",
        "only one of",
        "a number that no other line has",
        "an amount of money with at most four decimal places",
        "a finite number of at most 6 decimal places",
        "degrees, because",
        "a number after the scope",
        "the sender's own number of the order",
    )
    return bool(refused) and all(any(word in each for word in words) for each in refused)


def is_more_than_promised(value: object) -> bool:
    """Whether the mapper may be more patient with this than the contract promises."""
    return isinstance(value, str) and bool(re.fullmatch(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?", value))
