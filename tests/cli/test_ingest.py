"""`interlock ingest`, as people type it: folders of rows, folders of any format, and an SSH server, in one estate."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from interlock.bootstrap import App
from interlock.cli import app
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import EstateInvalid, InvalidValue
from interlock.storage.database import Database
from tests.connectors.transports.ssh_server import PASSWORD, SshServer, ssh_server
from tests.connectors.transports.stock_files import MAPPING, counts
from tests.contracts.tiny_estate import SMALL

ROWS = "sku,node,counted,ref\nSKU-1,dc,5,R1\n"


class Town:
    """The estate on disk with three links of the warehouse: `rows`, `any` and `far`."""

    def __init__(self, db: Database, base: Path, server: SshServer) -> None:
        self.db, self.base, self.server = db, base, server
        host = f"{{host: 127.0.0.1, port: {server.port}, user: interlock, password_env: SFTP_PASSWORD, host_key: "
        host += f"{server.host_key}}}"
        links = [
            "{kind: folder, path: rows, name: rows, records: stock_counts, stable: 0s}",
            "{kind: folder, path: any, name: any, format: csv, mapping: counts, stable: 0s}",
            f"{{kind: sftp, server: {host}, path: /out, name: far, format: csv, mapping: counts, stable: 0s}}",
        ]
        text = SMALL.replace(
            "    connection:\n      outbound", f"    connection:\n      inbound: [{', '.join(links)}]\n      outbound"
        )
        text = text.replace("    kind: wms\n", "    kind: wms\n    authority: {stock: decide}\n")
        mapping = json.dumps(MAPPING).replace("=DC-1", "=dc")
        self.path = base / "estate.yaml"
        self.path.write_text(f"{text}mappings:\n  counts: {mapping}\n")

    def run(self, *words: str) -> Result:
        options = ["--estate", str(self.path), "--database-url", self.db.dsn, "--data-dir", str(self.base / "var")]
        return CliRunner().invoke(app, ["ingest", *words, *options])

    def ingest(self, *words: str) -> list[dict[str, Any]]:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        found: list[dict[str, Any]] = json.loads(result.output)
        return found

    def stock(self) -> dict[str, int]:
        return dict(
            self.db.transaction(
                lambda tx: tx.query("select sku, physical from positions where physical > 0 order by 1")
            )
        )


@pytest.fixture
def town(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    with ssh_server(tmp_path / "server") as server:
        (server.root / "out").mkdir()
        yield Town(db, tmp_path, server)


def test_all_links_by_which_files_come_are_looked_at(town: Town) -> None:
    for name in ("rows", "any"):
        (town.base / name).mkdir()
    (town.base / "rows" / "a.csv").write_text(ROWS)
    (town.base / "any" / "b.dat").write_bytes(gzip.compress(counts(2, first=10)))
    (town.server.root / "out" / "c.txt").write_bytes(counts(2, first=20))

    results = town.ingest()

    assert sorted((row["file"], row["state"], row["records"]) for row in results) == [
        ("a.csv", "done", 1),
        ("b.dat", "done", 2),
        ("c.txt", "done", 2),
    ]
    assert town.stock() == {"SKU-1": 5, "SKU-10": 10, "SKU-11": 11, "SKU-20": 20, "SKU-21": 21}
    assert (town.server.root / "out" / "done" / "c.txt").exists()
    assert (town.base / "var" / "sftp" / "wms" / "far" / "done" / "c.txt.result.json").exists()


def test_files_are_dropped_into_the_link_that_is_named(town: Town) -> None:
    file = town.base / "mine.csv"
    file.write_bytes(counts(1, first=7))

    (result,) = town.ingest("wms", str(file), "--link", "any")

    assert (result["file"], result["state"]) == ("mine.csv", "done")
    assert town.stock() == {"SKU-7": 7}
    error = town.run("wms", str(file)).exception
    assert isinstance(error, InvalidValue)
    assert "folders: wms (any), wms (far), wms (rows)" in str(error)


def test_a_server_that_is_away_does_not_hold_up_the_folders(town: Town) -> None:
    town.server.stop()
    (town.base / "rows").mkdir()
    (town.base / "rows" / "a.csv").write_text(ROWS)

    result = town.run("--json")

    assert result.exit_code == 1
    assert town.stock() == {"SKU-1": 5}
    assert "cannot be reached" in result.stderr


def test_a_file_that_is_read_in_part_or_not_at_all_ends_with_1(town: Town) -> None:
    (town.base / "any").mkdir()
    (town.base / "any" / "bad.csv").write_text("")

    result = town.run()

    assert result.exit_code == 1
    assert town.stock() == {}
    assert (town.base / "any" / "rejected" / "bad.csv").exists()


def test_an_estate_whose_mapping_is_wrong_takes_nothing_and_says_what_is_wrong(db: Database, town: Town) -> None:
    town.path.write_text(town.path.read_text().replace('"action": "stock.count"', '"action": "stock.guess"'))

    with pytest.raises(EstateInvalid) as caught:
        _ = App(db, load_estate(town.path)).folders

    assert "stock.guess" in str(caught.value)


def test_the_services_watch_folders_and_servers(db: Database, town: Town) -> None:
    wired = App(db, load_estate(town.path), town.base / "var")
    (town.base / "any").mkdir()
    (town.base / "any" / "b.dat").write_bytes(counts(1, first=8))
    (town.server.root / "out" / "c.txt").write_bytes(counts(1, first=9))

    with wired.services(workers=0, delivery=False) as stop:
        for _ in range(200):
            if town.stock() == {"SKU-8": 8, "SKU-9": 9}:
                break
            stop.wait(0.1)

    assert town.stock() == {"SKU-8": 8, "SKU-9": 9}
