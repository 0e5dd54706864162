"""`interlock reversal`, as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from interlock.cli import app
from interlock.contracts.estate_file import load_estate
from interlock.domain.commands import COMMANDS, AdjustStock
from interlock.domain.errors import InvalidValue
from interlock.domain.reversals import as_rows
from interlock.domain.values import NodeId, Sku
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import arrival
from tests.contracts.tiny_estate import SMALL


@pytest.fixture
def options(db: Database, tmp_path: Path) -> list[str]:
    """Where a stock adjustment of three TEA at the DC was processed."""
    path = tmp_path / "estate.yaml"
    path.write_text(SMALL)
    found = AdjustStock(sku=Sku("TEA"), node=NodeId("dc"), ref="found", delta=3)
    (outcome,) = Door(db, load_estate(path)).process([arrival(found, "interlock")])
    assert outcome.outcome == "processed"
    return ["--estate", str(path), "--database-url", db.dsn]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["reversal", *words])


def physical(db: Database) -> int:
    ((units,),) = db.transaction(lambda tx: tx.query("select physical from positions"))
    return int(units)


def test_the_table_is_shown_whole_and_by_action() -> None:
    shown = run("show")
    assert shown.exit_code == 0
    assert all(action in shown.output for action in COMMANDS)
    assert json.loads(run("show", "order.close", "--json").output) == as_rows("order.close")
    assert isinstance(run("show", "order.clos").exception, InvalidValue)


def test_a_dry_run_lists_what_would_follow_and_does_nothing(db: Database, options: list[str]) -> None:
    shown = run("undo", "TEA", "stock.adjust", "--dry-run", *options)

    assert shown.exit_code == 0, shown.output
    assert "stock.adjust of TEA dc/found: any, automated: the same number of units the other way" in shown.output
    assert "TEA at dc" in shown.output
    assert physical(db) == 3


def test_exactly_the_list_that_was_agreed_to_is_done(db: Database, options: list[str]) -> None:
    shown = json.loads(run("undo", "TEA", "stock.adjust", "--dry-run", "--json", "--by", "Ann", *options).output)
    assert (shown["done"], [effect["kind"] for effect in shown["effects"]]) == (False, ["movement"])

    done = run("undo", "TEA", "stock.adjust", "--expect", shown["digest"], "--json", "--by", "Ann", *options)

    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {**shown, "done": True}
    assert physical(db) == 0


def test_another_list_than_was_agreed_to_is_shown_and_not_done(db: Database, options: list[str]) -> None:
    refused = run("undo", "TEA", "stock.adjust", "--expect", "0123456789abcdef", "--by", "Ann", *options)

    assert refused.exit_code == 1
    assert "to do exactly this: --expect" in refused.output
    assert physical(db) == 3


def test_undoing_it_twice_exits_with_1_and_says_when_it_was_done(db: Database, options: list[str]) -> None:
    assert run("undo", "TEA", "stock.adjust", "--key", "dc/found", *options).exit_code == 0
    again = run("undo", "TEA", "stock.adjust", *options)

    assert again.exit_code == 1
    assert "undone, done: it was undone at" in again.output
    assert physical(db) == 0
