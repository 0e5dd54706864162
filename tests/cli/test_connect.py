"""`interlock connect`: what a file would become, without a database; the mappings and their mistakes."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interlock.cli import app
from interlock.contracts.mapping_files import ready_made

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "connect"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLES, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run(here: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["connect", *words, "--estate", str(here / "estate.yaml")])


def tried(here: Path, *words: str) -> tuple[int, dict[str, Any]]:
    result = run(here, "try", *words, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_a_file_is_shown_record_by_record_and_field_by_field(here: Path) -> None:
    code, found = tried(here, "webshop", str(here / "orders.json"), "--link", "orders")

    records = found["records"]
    assert code == 1
    assert [(each["place"], each["state"], each.get("action", "")) for each in records] == [
        ("item 1", "taken", "order.create"),
        ("item 2", "skipped", ""),
        ("item 3", "refused", ""),
        ("item 4", "refused", "order.create"),
        ("item 5 items[#1]", "taken", "order.cancel"),
        ("item 5 items[#2]", "refused", "order.cancel"),
        ("item 6", "refused", ""),
    ]
    assert records[0]["subject"] == "webshop:4711"
    assert records[0]["fields"][0] == {"field": "order_id", "value": "4711", "path": "id", "theirs": "4711"}
    assert records[0]["fields"][5] == {
        **{"field": "lines[0].sku", "value": "MUG-1", "alias_of": "MUG-OLD"},
        **{"path": "items[#1].article", "theirs": '"MUG-OLD"'},
    }
    assert records[1]["why"] == "a ping changes nothing"
    assert records[2]["errors"] == [
        {
            "field": "placed_at (from created)",
            "value": '"2026-03-08T02:30:00"',
            "expected": "a time that there is in America/New_York: clocks were set forward over it",
        }
    ]
    assert [error["field"] for error in records[3]["errors"]] == [
        "lines[0].quantity (from items[#1].n)",
        "destination.country (from ship_to.country)",
    ]
    assert records[6]["reason"] == "no_rule"
    assert {name: found[name] for name in ("taken", "skipped", "refused", "tolerated")} == {
        "taken": {"order.create": 1, "order.cancel": 1},
        "skipped": {"a ping changes nothing": 1},
        "refused": {"unreadable": 3, "no_rule": 1},
        "tolerated": {},
    }


def test_people_read_it_in_lines(here: Path) -> None:
    result = run(here, "try", "webshop", str(here / "orders.json"), "--link", "orders")

    assert result.exit_code == 1
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0] == f"{here / 'orders.json'} (json, mapping our-shop)"
    assert lines[2] == "item 1, item: order.create webshop:4711"
    assert (
        '  lines[0].sku             MUG-1                        items[#1].article = "MUG-OLD", alias of MUG-OLD'
        in lines
    )
    assert "  channel                  web                          the mapping says so" in lines
    assert "item 2, item: skipped: a ping changes nothing" in lines
    assert (
        '  lines[0].quantity (from items[#2].n): "all" is not a number of at most 16 digits before and 12 after the point'
        in lines
    )
    assert lines[-3:] == [
        "taken: 2 (order.cancel 1, order.create 1)",
        "skipped: 1 (a ping changes nothing 1)",
        "refused: 4 (no_rule 1, unreadable 3)",
    ]


def test_where_nothing_is_refused_the_exit_code_is_zero(here: Path) -> None:
    (here / "COUNT_2.csv").write_text("item;qty\nCAP-2;0\n")

    code, found = tried(here, "webshop", str(here / "COUNT_2.csv"))

    assert (code, found["taken"], found["refused"]) == (0, {"stock.count": 1}, {})


def test_the_link_is_the_one_whose_pattern_fits_the_file(here: Path) -> None:
    code, found = tried(here, "webshop", str(here / "COUNT_1.csv"), str(here / "plain1.csv"))

    assert code == 1
    assert [(Path(each["file"]).name, each["place"], each["state"]) for each in found["records"]] == [
        ("COUNT_1.csv", "row 2", "taken"),
        ("COUNT_1.csv", "row 3", "refused"),
        ("COUNT_1.csv", "row 4", "refused"),
        ("plain1.csv", "rows 2-2", "taken"),
        ("plain1.csv", "rows 3-3", "refused"),
    ]
    assert found["records"][0]["fields"][3] == {
        **{"field": "ref", "value": "COUNT_1.csv/MUG-OLD"},
        **{"source": "context", "path": "@file, item", "theirs": '"COUNT_1.csv", "MUG-OLD"'},
    }
    assert found["records"][3]["fields"][:2] == [
        {"field": "sku", "value": "MUG-1", "path": "ITEM", "theirs": "MUG-OLD", "alias_of": "MUG-OLD"},
        {"field": "node", "value": "dc-1", "source": "mapping"},
    ]
    assert found["records"][4]["errors"] == [{"field": "row 3: QTY", "value": "-1", "expected": "zero or more"}]


def test_a_mapping_can_be_tried_before_there_is_a_link(here: Path) -> None:
    order = {"type": "order", "id": 1, "created": "2026-03-01T10:00:00Z", "ship_to": {"country": "US"}}
    (here / "new.ndjson").write_text(json.dumps({**order, "items": [{"article": "A", "n": 1}]}) + "\n")
    options = ("--mapping", "our-shop", "--format", "ndjson")

    code, found = tried(here, "webshop", str(here / "new.ndjson"), *options, "--setting", "channel=web")
    assert (code, found["taken"]) == (0, {"order.create": 1})

    result = run(here, "try", "webshop", str(here / "new.ndjson"), *options)
    assert result.exit_code == 1
    assert (
        "mapping our-shop: settings.channel: missing: a value, which the link must give in its settings"
        in result.stderr
    )


def test_what_stands_beside_a_file_can_be_said(here: Path) -> None:
    (here / "estate.yaml").write_text(
        (here / "estate.yaml").read_text().replace('ref: {join: ["@file", item]', 'ref: {join: ["@topic", item]')
    )
    (here / "COUNT_2.csv").write_text("item;qty\nCAP-2;0\n")

    _, found = tried(here, "webshop", str(here / "COUNT_2.csv"), "--context", "topic=t1")

    assert found["records"][0]["fields"][3]["value"] == "t1/CAP-2"


def test_packed_files_are_unpacked(here: Path) -> None:
    text = b"item;qty\nCAP-2;0\n"
    (here / "COUNT_2.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(here / "counts.zip", "w") as packed:
        packed.writestr("a.csv", text)
        packed.writestr("../b.csv", text)

    code, found = tried(here, "webshop", str(here / "COUNT_2.csv.gz"), "--link", "counts")
    assert (code, found["taken"]) == (0, {"stock.count": 1})

    code, found = tried(here, "webshop", str(here / "counts.zip"), "--link", "counts")
    assert code == 1
    assert [(each["place"], each["state"]) for each in found["records"]] == [
        ("row 2", "taken"),
        ("../b.csv", "refused"),
    ]


def test_a_file_that_cannot_be_read_as_a_whole_is_refused(here: Path) -> None:
    (here / "COUNT_3.csv").write_bytes(b"")

    code, found = tried(here, "webshop", str(here / "COUNT_3.csv"))

    assert code == 1
    assert [(each["kind"], each["reason"]) for each in found["records"]] == [("file", "no_header")]


def test_more_than_the_limit_is_counted_and_not_shown(here: Path) -> None:
    (here / "COUNT_4.csv").write_text("item;qty\n" + "".join(f"S{place};1\n" for place in range(30)))

    code, found = tried(here, "webshop", str(here / "COUNT_4.csv"))
    assert (code, len(found["records"]), found["taken"]) == (0, 20, {"stock.count": 30})
    assert len(tried(here, "webshop", str(here / "COUNT_4.csv"), "--limit", "0")[1]["records"]) == 30
    result = run(here, "try", "webshop", str(here / "COUNT_4.csv"), "--limit", "3")
    assert "27 more are counted and not shown; --limit 0 shows all" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["webshp", "orders.json"], "system: 'webshp' is not a system of the estate: webshop"),
        (
            ["webshop", "orders.json"],
            "--link: '' is not the name of one link of webshop; there are: orders, counts, plain",
        ),
        (
            ["webshop", "orders.json", "--link", "x"],
            "--link: 'x' is not the name of one link of webshop; there are: orders, counts, plain",
        ),
        (
            ["webshop", "orders.json", "--format", "json"],
            "--mapping: '' is not the name of a mapping, which --format goes with",
        ),
        (
            ["webshop", "orders.json", "--mapping", "x"],
            "--mapping: 'x' is not the name of a mapping; see interlock connect mappings",
        ),
        (
            ["webshop", "orders.json", "--mapping", "our-shop", "--format", "jsn"],
            "--format: 'jsn' is not a format: json, ndjson",
        ),
        (["webshop", "orders.json", "--setting", "x"], "--setting: 'x' is not NAME=VALUE"),
    ],
)
def test_what_cannot_be_tried_is_said(here: Path, words: list[str], said: str) -> None:
    system, file, *options = words

    result = run(here, "try", system, str(here / file), *options)

    assert result.exit_code != 0
    assert str(result.exception).startswith(said)


def test_mappings_are_listed_with_their_settings(here: Path) -> None:
    result = run(here, "mappings", "--json")

    rows = {row["mapping"]: row for row in json.loads(result.stdout)}
    assert rows.keys() == {"our-shop", "our-counts", *ready_made()}
    assert rows["our-shop"] == {
        **{"mapping": "our-shop", "of": "estate", "formats": ["json", "ndjson"], "way": "in"},
        **{"settings": {"channel": None}, "shown": "channel (must be set)", "about": "Orders of our shop"},
    }
    assert "our-shop" in run(here, "mappings").stdout


def test_ready_made_mappings_are_listed_without_an_estate(tmp_path: Path) -> None:
    result = run(tmp_path, "mappings", "--json")

    assert [row["mapping"] for row in json.loads(result.stdout)] == list(ready_made())


def test_mistakes_in_mappings_are_found_by_both_checks(here: Path) -> None:
    assert run(here, "check").exit_code == 0
    (here / "our-shop.yaml").write_text((here / "our-shop.yaml").read_text().replace("order_id: id", "order_idd: id"))

    result = run(here, "check", "--json")
    of_estate = CliRunner().invoke(app, ["estate", "check", str(here / "estate.yaml")])

    assert (result.exit_code, of_estate.exit_code) == (1, 1)
    mistakes = json.loads(result.stdout)["mistakes"]
    assert [mistake.partition("; ")[0] for mistake in mistakes] == [
        "webshop, inbound orders: mapping our-shop: records[0].fields.order_idd:"
        ' "order_idd" is not a field of the action (did you mean order_id?)',
        "webshop, inbound orders: mapping our-shop: records[0].fields.order_id:"
        " missing: where it comes from, which order.create needs",
    ]
    assert [line.partition("; ")[0] for line in of_estate.stdout.splitlines()[:2]] == [
        mistake.partition("; ")[0] for mistake in mistakes
    ]
    assert "2 mistakes in mappings" in run(here, "check").stdout
