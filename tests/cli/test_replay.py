"""`interlock replay` and `interlock reprocess`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from interlock.cli import app
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.storage.database import Database
from tests.contracts.tiny_estate import SMALL
from tests.replay.kit import Recorder, order_body

ESTATE = SMALL.replace(
    "    kind: wms\n    owner", "    kind: wms\n    authority: {stock: decide, fulfillment: decide}\n    owner", 1
)


@pytest.fixture
def files(db: Database, tmp_path: Path) -> list[str]:
    """An order, and one that could not be read; the options that name database and estate, and a candidate beside them."""
    present = tmp_path / "estate.yaml"
    present.write_text(ESTATE)
    recorder = Recorder(db, load_estate(present))
    node = next(iter(recorder.estate.nodes))
    recorder.stock(node, "wms", s1=5)
    body = {**order_body(1, s1=2), "channel": next(iter(recorder.estate.channels))}
    assert recorder.say("shop", "order.create", **body).outcome == "processed"
    recorder.say("shop", "order.create", **{**body, "order_id": "2", "lines": []})
    return ["--database-url", db.dsn]


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_replay_says_whether_it_is_true_and_what_a_candidate_would_change(files: list[str], tmp_path: Path) -> None:
    present = tmp_path / "estate.yaml"
    alone = run("replay", "--present", str(present), *files)
    assert alone.exit_code == 0, alone.output
    assert "as it was: 1 of 1 orders come to what the database has, 1 event by event" in alone.output

    candidate = tmp_path / "candidate.yaml"
    candidate.write_text(ESTATE.replace("nodes:\n", "buffers:\n  - {node: '*', sku: '*', units: 4}\nnodes:\n", 1))
    shown = run("replay", "--present", str(present), "--estate", str(candidate), "--processes", "0", *files)
    assert shown.exit_code == 0, shown.output
    assert "the candidate: of 1 orders 0 the same, 1 different" in shown.output
    assert "shop:1: " in shown.output
    told = json.loads(run("replay", "--present", str(present), "--estate", str(candidate), "--json", *files).stdout)
    assert told["totals"]["orders"]["different"] == 1
    assert told["orders"][0]["order_id"] == "shop:1"


def test_what_is_put_away_is_shown_with_why_it_stays(files: list[str], tmp_path: Path) -> None:
    shown = run("reprocess", "--estate", str(tmp_path / "estate.yaml"), "--dry-run", *files)

    assert shown.exit_code == 0, shown.output
    assert "stays put away (unreadable)" in shown.output
    assert "1 stay put away; nothing was changed" in shown.output
    told = json.loads(run("reprocess", "--estate", str(tmp_path / "estate.yaml"), "--json", *files).stdout)
    assert told["states"] == {"stays": 1}


@pytest.mark.parametrize("given", ["nobody=x", "shop", "shop=x"])
def test_a_mapping_that_cannot_be_is_refused_with_what_there_is(files: list[str], tmp_path: Path, given: str) -> None:
    shown = run("replay", "--present", str(tmp_path / "estate.yaml"), "--mapping", given, *files)

    assert isinstance(shown.exception, InvalidValue)
