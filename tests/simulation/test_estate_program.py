"""The simulated estate against a stand-in for Interlock: what it does, and that both sides count the same."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interlock.demo.slice import prepare
from interlock.simulation.estate_program.chance import PROFILES
from interlock.simulation.estate_program.plan import read_plan
from interlock.simulation.estate_program.program import Settings, run
from tests.simulation.fake_interlock import FakeInterlock


class Played:
    """A finished run: the plan, the estate's report, and the stand-in that it played against."""

    def __init__(self, folder: Path, orders: int, profile: str, cut_first: int = 0) -> None:
        self.plan = prepare(folder, orders=orders, seed=5).plan
        self.fake = FakeInterlock(folder, self.plan, free_port(), cut_first=cut_first)
        self.folder = folder
        self.report = asyncio.run(self._play(profile))

    async def _play(self, profile: str) -> dict[str, Any]:
        settings = Settings(
            host="127.0.0.1", port=self.fake.port, profile=PROFILES[profile], time_scale=0.3, give_up_s=20.0,
            settle_s=8.0, concurrency=32, report=self.folder / "report.json", progress=self.folder / "progress.json",
        )  # fmt: skip
        serving = asyncio.create_task(self.fake.run())
        await asyncio.sleep(0.05)
        try:
            return await run(read_plan(self.folder), settings)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def did(self, peer: str, deed: str) -> int:
        return int(self.report["counters"][peer].get(deed, 0))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return Played(tmp_path_factory.mktemp("usual"), orders=500, profile="usual", cut_first=9)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_order_of_the_plan_is_posted_and_comes_to_its_end(played: Played) -> None:
    assert played.report["finished"] is True
    assert played.report["surprises"] == []
    assert played.did("webshop", "orders accepted") == played.plan["orders"]["web"] == len(played.fake.orders)
    assert played.did("webshop", "lines posted") == played.plan["lines"]["web"]
    assert {order.state for order in played.fake.orders.values()} <= {"closed", "canceled"}


def test_calls_that_are_cut_or_put_off_are_made_again(played: Played) -> None:
    retries = sum(deeds.get("http_retries", 0) for deeds in played.report["counters"].values())

    assert retries == 9
    assert played.report["given_up"] == 0


def test_duplicates_and_conflicts_are_sent_on_purpose_and_their_answers_counted(played: Played) -> None:
    for kind in ("duplicates", "conflicts"):
        answered = "duplicates answered as the first" if kind == "duplicates" else "conflicts answered as such"
        assert played.did("webshop", f"{kind} sent on purpose") == played.did("webshop", answered)
    assert played.did("webshop", "duplicates sent on purpose") > 0


def test_every_row_of_the_exports_and_count_sheets_reaches_the_folders_once(played: Played) -> None:
    nights = played.plan["nights"]

    assert played.fake.rows["counts"] == played.plan["stock"]["rows"]
    assert played.fake.rows["sales"] == sum(night["sales_rows"] for night in nights)
    assert played.fake.rows["tendered"] == sum(night["tendered_rows"] for night in nights)
    assert played.did("pos", "files dropped twice") == played.did("pos", "files seen to be duplicates") == 1
    assert played.did("pos", "files written slowly, in pieces") == 1


def test_what_the_peers_ship_is_what_was_ordered_and_not_canceled(played: Played) -> None:
    shipped = sum(played.did(peer, "units shipped") for peer in ("dc-wms", "third-party", "stores"))
    canceled = sum(order.canceled for order in played.fake.orders.values())

    assert shipped == sum(order.shipped for order in played.fake.orders.values())
    assert shipped + canceled == played.plan["units"]["web"]


def test_the_dc_ships_in_parts_by_files_and_replays_old_ones(played: Played) -> None:
    assert played.did("dc-wms", "assignments shipped in two parts") > 0
    assert played.did("dc-wms", "old file replayed: the same bytes") == 1
    assert played.did("dc-wms", "groups acknowledged: A") > 0
    assert played.did("dc-wms", "functional acknowledgments sent") == played.fake.calls["functional acknowledgment"] > 0


def test_every_shipment_is_captured_and_every_return_refunded(played: Played) -> None:
    assert played.did("webshop", "captures asked") == sum(played.fake.captured.values())
    assert played.did("webshop", "refunds accepted") == sum(played.fake.refunded.values()) > 0
    received = sum(played.did("returns", f"returns received: {how}") for how in ("restock", "damaged", "scrap"))
    assert played.did("webshop", "refunds asked") == received


def test_the_report_and_the_last_progress_are_on_disk(played: Played) -> None:
    report = json.loads((played.folder / "report.json").read_text())

    assert report == json.loads((played.folder / "progress.json").read_text())
    assert report["phase"] == "done"
    assert set(report["seconds"]) == {"counting stock", "trading", "finishing", "counting again", "done"}


def test_a_calm_estate_does_nothing_out_of_turn(tmp_path: Path) -> None:
    played = Played(tmp_path, orders=60, profile="calm")

    deeds = {deed for counts in played.report["counters"].values() for deed in counts}
    assert played.report["finished"] is True
    assert not {deed for deed in deeds if "on purpose" in deed or "reject" in deed or "cancel" in deed}
    assert {order.state for order in played.fake.orders.values()} == {"closed"}


def test_a_rough_estate_comes_to_its_end_all_the_same(tmp_path: Path) -> None:
    played = Played(tmp_path, orders=300, profile="rough")

    assert played.report["finished"] is True
    assert played.report["surprises"] == []
    assert played.did("third-party", "messages taken and not answered on purpose") > 0
    assert played.did("stores", "rejects: short_pick") > 0


def test_the_program_gives_up_in_its_time_where_nobody_answers(tmp_path: Path) -> None:
    prepare(tmp_path, orders=5, seed=5)

    done = program(tmp_path, "--interlock", f"http://127.0.0.1:{free_port()}", "--give-up-s", "0.1", "--settle-s", "1")

    assert done.returncode == 3, done.stderr
    assert json.loads((tmp_path / "report.json").read_text())["finished"] is False


@pytest.mark.parametrize(
    "address", ["http://192.0.2.1:80", "https://127.0.0.1:80", "http://127.0.0.1", "http://shop.example:80"]
)
def test_the_program_talks_to_the_loopback_address_only(tmp_path: Path, address: str) -> None:
    prepare(tmp_path, orders=5, seed=5)

    done = program(tmp_path, "--interlock", address)

    assert done.returncode == 2
    assert f"{address!r} is not an http:// loopback address with a port" in done.stderr


def test_the_program_says_what_a_directory_without_a_plan_lacks(tmp_path: Path) -> None:
    done = program(tmp_path)

    assert done.returncode == 2
    assert "plan.json: No such file or directory; `interlock demo` writes it" in done.stderr


def program(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "interlock.simulation.estate_program", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)
