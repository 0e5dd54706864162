"""`interlock pos`, as people type it, after tills' transactions came through a link with a mapping of the estate's own."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from interlock.bootstrap import App
from interlock.cli import app
from interlock.connectors.inlet import Origin, Taken
from interlock.contracts.estate_file import load_estate
from interlock.domain.errors import InvalidValue
from interlock.operations.pos import PosWatch
from interlock.storage.database import Database
from tests.contracts.tiny_estate import SMALL

LINK = """
    connection:
      inbound:
        - kind: webhook
          name: tills
          format: {kind: ndjson}
          mapping: journal
          settings: {pos_number_max: "9999"}
"""
MAPPING = """
mappings:
  journal:
    format: [ndjson]
    about: A till's journal
    records:
      - skip: its number is what counts
        mark: {store: store, register: register, business_day: day, number: number, kind: kind, count: count}
"""
NOW = datetime(2026, 3, 2, 20, tzinfo=UTC)


class Shop:
    """The small estate, whose POS reports its journal by a link."""

    def __init__(self, db: Database, tmp_path: Path) -> None:
        self.db = db
        self.path = tmp_path / "estate.yaml"
        self.path.write_text(with_link(SMALL))
        self.app = App(db, load_estate(self.path))
        self.system, self.link = next(self.app.links.mapped())

    def came(self, *lines: dict[str, object]) -> Taken:
        """These lines of the journal came."""
        usual = {"store": "dc", "register": "1", "day": "2026-03-02", "kind": "sale"}
        body = b"".join(json.dumps(usual | line).encode() + b"\n" for line in lines)
        return self.app.links.inlet(self.system, self.link).take([body], Origin(name="journal", received_at=NOW))

    def look(self) -> None:
        """The worker's chore comes by."""
        watch, now = PosWatch(self.app.estate), datetime.now(UTC)
        self.db.transaction(lambda tx: [watch(tx, part, now) for part in range(64)])

    def run(self, *words: str) -> Result:
        """`interlock pos`."""
        return CliRunner().invoke(app, ["pos", *words, "--estate", str(self.path), "--database-url", self.db.dsn])


def with_link(text: str) -> str:
    """The estate with a journal link for its first system."""
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip().startswith("authority:"))
    return "\n".join([*lines[:at], *LINK.strip("\n").splitlines(), *lines[at:]]) + MAPPING


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> Shop:
    """That estate."""
    return Shop(db, tmp_path)


def test_a_store_s_day_is_told_register_by_register(shop: Shop) -> None:
    shop.came(*({"number": n} for n in (9998, 9999, 1, 2, 5)), {"number": 6, "kind": "close", "count": 8})
    shop.came({"number": 3, "kind": "no_sale", "register": "2"})
    shop.look()

    told = shop.run("day", "dc", "2026-03-02")

    assert told.exit_code == 0, told.output
    assert "register 1 of" in told.output
    assert ": incomplete" in told.output
    assert "6 transactions, 9998-6: 1 close, 5 sale" in told.output
    assert "missing  2: 3-4" in told.output
    assert "the register says: count 8" in told.output
    assert "register 2 of" in told.output
    assert "not looked at yet" in told.output


def test_days_are_listed_and_asked_for(shop: Shop) -> None:
    shop.came({"number": 1}, {"number": 2, "kind": "close"})
    shop.came({"number": 1, "day": "2026-03-03"}, {"number": 3, "day": "2026-03-03", "kind": "close"})
    shop.look()

    everything = json.loads(shop.run("days", "--json").output)
    assert [(day["business_day"], day["state"]) for day in everything] == [
        ("2026-03-03", "incomplete"),
        ("2026-03-02", "complete"),
    ]
    unfinished = json.loads(shop.run("days", "--open", "--json").output)
    assert [day["missing"] for day in unfinished] == [[[2, 2]]]
    assert json.loads(shop.run("days", "--store", "elsewhere", "--json").output) == []
    assert "incomplete" in shop.run("days", "--day", "2026-03-03").output


def test_nothing_known_is_said_so(shop: Shop) -> None:
    assert shop.run("day", "dc", "2026-03-02").exit_code == 1
    assert isinstance(shop.run("day", "dc", "yesterday").exception, InvalidValue)


def test_a_number_that_cannot_be_one_is_left_out_and_the_rest_counts(shop: Shop) -> None:
    strange = [{"number": 3, "day": "9999-12-31"}, {"number": 4, "store": "s\u0001"}, {"number": 5, "register": ""}]
    taken = shop.came({"number": 1}, {"number": 2**60}, {"number": 2, "register": "x" * 300}, {"number": 2}, *strange)

    assert (taken.skipped, taken.records) == (6, 7)  # the mapping itself refuses one without a register
    (day,) = json.loads(shop.run("days", "--json").output)
    assert (day["register"], day["transactions"]) == ("1", 2)


def test_a_wrong_setting_of_the_check_is_a_mistake_of_the_link(db: Database, tmp_path: Path) -> None:
    path = tmp_path / "estate.yaml"
    path.write_text(with_link(SMALL).replace('pos_number_max: "9999"', 'pos_number_maximum: "9999"'))
    wired = App(db, load_estate(path))

    (mistake,) = wired.links.mistakes()
    assert "pos_number_maximum: '9999' is not a setting of the sequence check; there are: pos_numbering" in mistake
    with pytest.raises(InvalidValue):
        PosWatch(wired.estate)


def test_registers_of_a_store_that_come_at_once_hinder_nobody_and_lose_nothing(shop: Shop) -> None:
    """Six threads write overlapping numbers of the same registers while the chore states the days."""
    trouble: list[BaseException] = []
    over = threading.Event()

    def write(offset: int) -> None:
        try:
            for start in range(0, 200, 20):
                numbers = range(start, start + 30)
                order = numbers if offset % 2 else reversed(numbers)
                shop.came(
                    *({"number": n, "register": str(n % 3), "kind": "close" if n == 99 else "sale"} for n in order)
                )
        except BaseException as error:
            trouble.append(error)

    def watch() -> None:
        chore, later = PosWatch(shop.app.estate), datetime(2030, 1, 1, tzinfo=UTC)
        try:
            while not over.is_set():
                shop.db.transaction(lambda tx: [chore(tx, part, later) for part in range(64)])
        except BaseException as error:
            trouble.append(error)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    watcher = threading.Thread(target=watch)
    for each in [*writers, watcher]:
        each.start()
    for each in writers:
        each.join()
    over.set()
    watcher.join()

    assert trouble == []
    rows = shop.db.transaction(lambda tx: tx.query("select register, number, times, reused from pos_marks"))
    expected = Counter(n for start in range(0, 200, 20) for n in range(start, start + 30))
    assert {number: times for _, number, times, _ in rows} == {n: 6 * count for n, count in expected.items()}
    assert sum(reused for *_, reused in rows) == 0
