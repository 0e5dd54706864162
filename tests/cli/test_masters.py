"""`interlock masters`, as people type it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from interlock.cli import app
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.domain.values import OrderId
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import arrival, order
from tests.contracts.test_estate_links import HOOK, MASTERS
from tests.contracts.tiny_estate import SMALL


@pytest.fixture
def options(db: Database, tmp_path: Path) -> list[str]:
    """Where two masters told three orders: one the same, one otherwise, one by the first alone."""
    path = tmp_path / "estate.yaml"
    hook = HOOK.replace("time_zone: UTC", "time_zone: UTC, authority: {order: decide}")
    path.write_text(SMALL.replace("  wms:\n", hook, 1) + MASTERS)
    door = Door(db, load_estate(path))
    told = [order(number, order_id=OrderId(f"shop:{number}"), channel="web") for number in (1, 2, 3)]
    door.process([arrival(each, "shop") for each in told])
    other = msgspec.structs.replace(told[1], total=Decimal(77))
    door.process([arrival(told[0], "hook"), arrival(other, "hook")])
    return ["--estate", str(path), "--database-url", db.dsn]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["masters", *words])


def test_a_pair_is_shown_with_what_agrees_and_what_does_not(options: list[str]) -> None:
    shown = run(*options)
    assert shown.exit_code == 0, shown.output
    assert "total: 1" in shown.output
    [pair] = json.loads(run("--json", *options).output)
    assert (pair["both_agree"], pair["both_diverge"], pair["waiting"]) == (1, 1, 1)
    assert (pair["dual"], pair["agreement"], pair["alone"]) == (1.0, 0.5, {"shop": 0, "hook": 0})


def test_what_does_not_agree_is_listed_field_by_field(options: list[str]) -> None:
    assert "shop:2" in run("pair", *options).output
    [found] = json.loads(run("pair", "--json", *options).output)
    assert (found["subject"], found["system"]) == ("shop:2", "hook")
    assert [each["field"] for each in found["differences"]] == ["total"]
    assert isinstance(run("pear", *options).exception, InvalidValue)
