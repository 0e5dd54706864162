"""`interlock contracts infer`, `test` and `drift`: for the integrator, who has samples, and for whoever looks at what drifts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from interlock.bootstrap import App, Settings, open_database
from interlock.cli import app
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.storage.database import Database
from tests.contracts.tiny_estate import SMALL
from tests.operations.test_drift import CONTRACT, LINK, MAPPING, order, take

ZONE = "    time_zone: America/New_York\n"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    path = tmp_path / "estate.yaml"
    path.write_text(SMALL.replace(ZONE, ZONE + LINK, 1) + MAPPING + CONTRACT.replace("POLICY", ""))
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = typer.testing.CliRunner().invoke(app, ["contracts", *map(str, arguments)])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.exit_code, result.output


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


# infer


def test_a_contract_is_drafted_and_taken_by_the_estate_as_it_is(estate: Path, tmp_path: Path) -> None:
    samples = write(tmp_path / "orders.json", [order(n, gift=True) for n in range(20)])
    draft = tmp_path / "drafted.yaml"

    code, said = run("infer", samples, "--out", draft, "--name", "shop-orders")

    assert code == 0
    assert said.splitlines()[0] == "Drafted from 20 samples of json; all of them pass it"
    text = estate.read_text()
    estate.write_text(text[: text.index("contracts:")] + "contracts: {shop-orders: {file: drafted.yaml}}\n")
    assert run("test", "shop", samples, "--estate", estate)[0] == 0
    assert run("test", "shop", write(tmp_path / "b.json", order(1, gift=0)), "--estate", estate)[0] == 1


def test_samples_of_a_link_are_read_by_its_format_and_may_be_packed(estate: Path, tmp_path: Path) -> None:
    packed = tmp_path / "one.bin.gz"
    packed.write_bytes(gzip.compress(json.dumps(order(1)).encode()))

    code, said = run("infer", packed, "--link", "shop/hook", "--estate", estate)

    assert code == 0
    assert said.startswith("# Drafted from 1 sample of json; all of them pass it\n# ? few samples (1)")
    assert "    required: [number, items]\n" in said


def test_tables_become_columns(tmp_path: Path) -> None:
    table = tmp_path / "stock.tsv"
    table.write_text("sku\tn\n" + "".join(f"A-{n}\t{n}\n" for n in range(20)))

    code, said = run("infer", table)

    assert code == 0
    assert '  columns:\n  - {name: sku, length_max: 10}\n  - {name: "n", type: integer}\n' in said


def test_what_cannot_be_read_is_told_and_exits_with_one(tmp_path: Path) -> None:
    lines = tmp_path / "orders.ndjson"
    lines.write_bytes(b'{"a": 1}\n{"a": \n{"a": 2, "a": 3}\n{"a": "\\ud800"}\n{"a": NaN}\n')

    code, said = run("infer", lines)

    assert code == 1
    assert "Drafted from 1 sample of ndjson; 4 could not be read; all of them pass it" in said


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.fixed", b"", "format"),
        ("a.json", b"", "no document"),
        ("a.json", b"[" * 2_000_000, "no document"),
        ("a.zip", b"PK\x03\x04 broken", "unpacked|format"),
    ],
)
def test_samples_that_give_nothing_are_a_clear_error(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidValue, match=says):
        run("infer", tmp_path / name)


def test_fixed_width_needs_its_layouts(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="cannot be read without its layouts"):
        run("infer", write(tmp_path / "a.txt", 1), "--format", "fixed")


# test


def test_each_sample_says_whether_it_is_what_was_agreed_and_what_it_becomes(estate: Path, tmp_path: Path) -> None:
    bad = {**order(3), "number": 3}
    samples = write(tmp_path / "orders.json", [order(1), order(2, gift=1), bad])

    code, said = run("test", "shop", samples, "--estate", estate)

    assert code == 1
    assert said.splitlines() == [
        "orders.json, item 1: ok [shop-orders/1]",
        "    -> order.create shop:N1",
        "orders.json, item 2: warn [shop-orders/1]",
        "    unknown_field gift: expected a field of the contract, found 1",
        "    -> order.create shop:N2",
        "orders.json, item 3: quarantine [shop-orders/1]",
        "    changed_type number: expected string, found integer 3",
        "3 samples: 1 ok, 1 warn, 1 quarantine",
    ]


def test_a_warning_is_no_failure_unless_that_is_asked(estate: Path, tmp_path: Path) -> None:
    sample = write(tmp_path / "a.json", order(1, gift=1))

    assert run("test", "shop", sample, "--estate", estate)[0] == 0
    assert run("test", "shop", sample, "--estate", estate, "--strict")[0] == 1


def test_what_the_mapping_refuses_fails_too_and_programs_read_it_as_json(estate: Path, tmp_path: Path) -> None:
    sample = write(tmp_path / "a.json", {**order(1), "items": []})

    code, said = run("test", "shop", sample, "--estate", estate, "--json")

    assert code == 1
    answer = json.loads(said)
    assert (answer["samples"], answer["bad"]) == (1, 1)
    assert answer["results"][0]["verdict"] == "quarantine"
    assert answer["results"][0]["drift"] == []
    assert answer["results"][0]["mistakes"]


def test_headers_beside_a_sample_say_its_version(estate: Path, tmp_path: Path) -> None:
    estate.write_text(estate.read_text().replace("version_at: v", 'version_at: "@headers.x-version"'))
    sample = write(tmp_path / "a.json", order(1))

    assert run("test", "shop", sample, "--estate", estate, "--context", "headers.x-version=1")[0] == 0
    code, said = run("test", "shop", sample, "--estate", estate, "--context", "headers.x-version=9")
    assert code == 1
    assert 'unknown_version (the whole): expected one of the versions 1, found "9"' in said


# drift


@pytest.fixture
def drifted(estate: Path, dsn: str) -> Iterator[str]:
    with Database(dsn, pool_max=2) as db:
        take(App(db, load_estate(estate)), order(1), order(2, gift=1), order(3, gift=2), {**order(4), "number": 4})
    yield dsn


def test_drift_is_shown_with_its_share_and_an_example(estate: Path, drifted: str) -> None:
    code, said = run("drift", "--estate", estate, "--database-url", drifted, "--json")

    assert code == 0
    report = json.loads(said)
    assert [(each["checked"], each["warned"], each["held"]) for each in report["totals"]] == [(4, 2, 1)]
    assert {(each["kind"], each["path"], each["messages"], each["found"]) for each in report["drift"]} == {
        ("unknown_field", "gift", 2, "2"),
        ("changed_type", "number", 1, "integer 4"),
    }
    assert run("drift", "--estate", estate, "--database-url", drifted, "--system", "wms")[1].startswith(
        "Nothing that came"
    )
    code, said = run("drift", "--estate", estate, "--database-url", drifted)
    assert code == 0
    assert "shop: shop-orders" in said
    assert "50.0%" in said


def test_drift_of_a_system_that_there_is_not_is_an_error(estate: Path, dsn: str) -> None:
    with pytest.raises(InvalidValue, match="a system of the estate"):
        run("drift", "--estate", estate, "--database-url", dsn, "--system", "nobody")


def test_what_is_taken_in_a_short_run_is_written_at_its_end(estate: Path, dsn: str) -> None:
    from interlock.bootstrap import open_app
    from interlock.connectors.inlet import Origin
    from tests.operations.test_drift import NOW

    with open_app(Settings.of(estate=estate, database_url=dsn)) as interlock:
        system, link = interlock.links.named("shop", "hook")
        body = json.dumps(order(1, gift=1)).encode()
        interlock.links.inlet(system, link).take([body], Origin(name="hook", received_at=NOW))

    with open_database(Settings.of(database_url=dsn)) as db:
        assert db.transaction(lambda tx: tx.query("select kind, path from contract_drift")) == [
            ("unknown_field", "gift")
        ]
