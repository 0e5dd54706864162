"""What was kept under an old version is read as the current one has it, for every version that was ever released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from interlock.connectors.mapping import Mapper
from interlock.connectors.mapping_actions import ACTIONS
from interlock.contracts.catalog import catalog, schema
from interlock.contracts.upcasters import UPCASTERS, Body, Kind, Upcaster, Upcasters, command_label, read_label
from interlock.domain.errors import InvalidValue
from tests.builders import make_estate

SAMPLES = Path(__file__).parents[1] / "data" / "contracts"
GOLDEN = sorted(SAMPLES.glob("commands/*/*.json"))
SYSTEMS = {"stock": "wms", "shipment": "wms"}


def _split_name(body: Body) -> dict[str, Any]:
    first, _, last = body["name"].partition(" ")
    return {**{k: v for k, v in body.items() if k != "name"}, "first": first, "last": last}


def _cents(body: Body) -> dict[str, Any]:
    return {**body, "cents": body["euros"] * 100}


MADE_UP = Upcasters([Upcaster("command", "gift.send", 1, _split_name), Upcaster("command", "gift.send", 2, _cents)])


def test_an_old_body_goes_through_every_version_and_the_current_one_stays_as_it_is() -> None:
    old = {"name": "Ada Lovelace", "euros": 3}

    assert MADE_UP.current("command", "gift.send") == 3
    assert MADE_UP.upcast("command", "gift.send", 1, old) == {
        "first": "Ada",
        "last": "Lovelace",
        "euros": 3,
        "cents": 300,
    }
    assert MADE_UP.upcast("command", "gift.send", 2, {"euros": 1}) == {"euros": 1, "cents": 100}
    assert MADE_UP.upcast("command", "gift.send", 3, {"cents": 1}) == {"cents": 1}
    assert old == {"name": "Ada Lovelace", "euros": 3}


@pytest.mark.parametrize("version", [0, 4])
def test_a_version_that_there_is_not_is_named(version: int) -> None:
    with pytest.raises(InvalidValue, match="a version of gift.send: 1 to 3"):
        MADE_UP.upcast("command", "gift.send", version, {})


def test_a_version_between_two_cannot_be_missing_and_none_is_told_twice() -> None:
    with pytest.raises(ValueError, match="gift.send has no upcaster from version 1"):
        Upcasters([Upcaster("command", "gift.send", 2, _cents)])
    with pytest.raises(ValueError, match="gift.send has two upcasters from version 1"):
        Upcasters([Upcaster("command", "gift.send", 1, _cents)] * 2)


def test_upcasters_reach_the_version_that_is_released() -> None:
    """A version after which bodies need no change is reached by an upcaster that gives them back."""
    for (kinds, name), contract in catalog().items():
        kind: Kind = kinds.removesuffix("s")  # type: ignore[assignment]
        assert UPCASTERS.current(kind, name) == contract.current, f"{kind} {name}"


def test_there_is_a_golden_sample_of_every_version_of_every_command() -> None:
    there = {(path.parent.name, int(path.stem)) for path in GOLDEN}

    assert {name for name, _ in there} == set(ACTIONS)
    for action in ACTIONS:
        for version in range(1, UPCASTERS.current("command", action) + 1):
            assert (action, version) in there


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_golden_sample_is_lifted_fits_the_schema_of_the_current_version_and_is_read(path: Path) -> None:
    action, version = path.parent.name, int(path.stem)
    current = UPCASTERS.current("command", action)

    lifted = UPCASTERS.upcast("command", action, version, json.loads(path.read_bytes()))

    jsonschema_rs.Draft202012Validator(dict(schema("commands", action, current))).validate(dict(lifted))
    estate = make_estate()
    system = estate.systems[SYSTEMS.get(action.partition(".")[0], "web")]  # type: ignore[index]
    command = Mapper(estate).read(system, action, msgspec.json.encode(lifted))
    assert command.action == action


def test_the_contract_of_a_message_is_written_as_name_and_version() -> None:
    assert command_label("order.create") == f"order.create/{UPCASTERS.current('command', 'order.create')}"
    assert read_label("order.create/1") == ("order.create", 1)
    assert read_label("mapping:shopify") is None
    assert read_label(None) is None
