"""The comparison of journals and database finds every lie: a run that agrees is changed in one place, and that is told."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from interlock.domain.commands import CancelOrder, CreateOrder, encode
from interlock.domain.values import OrderId
from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order, stock
from tests.crash.droppers import Dropped
from tests.crash.estate import SALES
from tests.crash.journal import Answer, Journal, Lines, Request
from tests.crash.ledger_of_truth import disagreements
from tests.engine.truths import rows

SALE = b"order_id\n1\n"


class Run:
    """A small run that was honest: two orders, one of them canceled, a file, and everything that had to be told."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db, self.folder, self.journal = db, folder, Journal()
        door = Door(db, make_estate())
        self._ask(door, "stock.count", stock("s1", "n1", 10), "wms")
        self.kept = self._ask(door, "order.create", order(1, [("s1", 2)]))
        self.refused = self._ask(door, "order.create", order(2, channel="nowhere"))
        self._ask(door, "order.cancel", CancelOrder(order_id=OrderId("web:1"), ref="C"))
        self.dropped = [Dropped("pos", SALES, "a.csv", SALE, rows=1, records=1)]
        place = folder / SALES / "done"
        place.mkdir(parents=True)
        (folder / SALES / ".taken").mkdir()
        (place / "a.csv").write_bytes(SALE)
        result = {"state": "done", "rows": 1, "rows_taken": 1, "records": 1, "outcomes": {"processed": 1}}
        (place / "a.csv.result.json").write_bytes(msgspec.json.encode(result))
        rows(
            db,
            "insert into files (part, sha256, system, name, records_kind, bytes, received_at, finished_at, rows, records)"
            " values (1, %(sha256)s, 'pos', 'a.csv', 'sales', 11, now(), now(), 1, 1) returning part",
            sha256=sha256(SALE).hexdigest(),
        )
        rows(db, "update outbox set state = 'sent', receiver = 'warehouse' returning part")
        told = [body.encode() for (body,) in rows(db, "select body::text from outbox")]
        self.warehouse: Any = SimpleNamespace(bodies={msgspec.json.decode(b)["id"]: Counter([b]) for b in told})

    def disagreements(self) -> list[str]:
        """What is found now."""
        stocked = {("s1", "n1"): 10}
        return disagreements(self.db, self.journal, self.dropped, self.folder, self.warehouse, stocked)

    def _ask(self, door: Door, action: str, command: Any, system: str = "web") -> Request:
        (outcome,) = door.process([arrival(command, system)])
        body = msgspec.json.decode(outcome.answer) | {"outcome": outcome.outcome, "message_id": str(outcome.message_id)}
        lines: Lines = ()
        if isinstance(command, CreateOrder):
            lines = tuple((str(line.sku), int(line.quantity)) for line in command.lines)
        amount = str(getattr(command, "authorized", 0))
        request = Request("me", system, action, command.subject, command.key, encode(command), lines, amount)
        request.sent = 1
        request.answers.append(Answer(422 if outcome.outcome == "refused" else 200, body))
        return self.journal.add(request)


@pytest.fixture
def run(db: Database, tmp_path: Path) -> Run:
    """An honest run."""
    return Run(db, tmp_path)


def test_an_honest_run_has_no_disagreement(run: Run) -> None:
    assert run.disagreements() == []


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ("delete from orders where order_id = 'web:1'", "web:1: accepted with"),
        ("update lines set sku = 's2' where order_id = 'web:1'", "web:1: accepted with"),
        ("delete from messages where action = 'order.cancel'", "answered 200 processed for"),
        ("update messages set outcome = 'processed' where outcome = 'refused'", "kept as processed"),
        ("update messages set body = 'other' where subject = 'web:1'", "has other bytes than were sent"),
        ("update messages set outcome = null where subject = 'web:1'", "has no outcome"),
        ("update payments set authorized = 1000", "authorized, captured, refunded should be"),
        ("update outbox set state = 'waiting'", "is waiting"),
        ("delete from outbox", "which was never written down"),
        ("update positions set physical = 9", "10 were counted and 0 left, and 9 are there"),
        ("update ledger set outcome = 'refused' where subject = 'web:1'", "and the ledger says refused"),
        ("update ledger set subject = 'web:9' where subject = 'web:2'", "which nobody asked for"),
        ("update files set finished_at = null", "should be known with 1 rows"),
    ],
)
def test_a_changed_row_is_told(run: Run, lie: str, told: str) -> None:
    assert rows(run.db, f"{lie} returning part") != []

    assert [each for each in run.disagreements() if told in each] != []


def test_an_order_that_nobody_was_told_of_is_told(run: Run) -> None:
    run.journal.requests.remove(run.kept)

    assert "web:1: it is there, and nobody was told that it was accepted" in run.disagreements()


def test_a_message_that_is_there_more_often_than_it_was_sent_is_told(run: Run) -> None:
    run.kept.sent = 0

    assert [each for each in run.disagreements() if "sent this 0 times, and it is there 1 times" in each] != []


def test_a_sender_that_does_not_know_is_told(run: Run) -> None:
    run.refused.answers.clear()
    run.refused.gave_up = True

    assert "web:2: its sender does not know what became of it" in run.disagreements()


def test_an_order_that_get_denies_although_it_is_there_is_told(run: Run) -> None:
    run.kept.answers.clear()
    run.kept.gave_up, run.kept.asked = True, [True, False]

    found = run.disagreements()

    assert "web:1: GET said that it was there, and later that it was not" in found
    assert "web:1: it is there, and nobody was told that it was accepted" in found


def test_two_answers_to_the_same_bytes_are_told(run: Run) -> None:
    (first,) = run.kept.answers
    run.kept.answers.append(Answer(200, {**first.body, "seq": 99}))

    assert [each for each in run.disagreements() if "the same request got 2 answers" in each] != []


def test_a_delivery_under_one_id_with_two_contents_is_told(run: Run) -> None:
    (first, *_) = run.warehouse.bodies.values()
    first[b"something else"] += 1

    assert [each for each in run.disagreements() if "was told with 2 contents" in each] != []


def test_a_message_that_the_warehouse_never_saw_is_told(run: Run) -> None:
    run.warehouse.bodies.popitem()

    assert [each for each in run.disagreements() if "the warehouse has seen it 0 times" in each] != []


@pytest.mark.parametrize("name", ["a.csv", "a.csv.result.json"])
def test_a_file_that_is_not_archived_is_told(run: Run, name: str) -> None:
    (run.folder / SALES / "done" / name).unlink()

    assert "a.csv of pos is not archived with a result in done/" in run.disagreements()


def test_a_file_whose_every_copy_is_called_a_duplicate_is_told(run: Run) -> None:
    result = run.folder / SALES / "done" / "a.csv.result.json"
    result.write_bytes(msgspec.json.encode({"state": "duplicate"}))

    assert run.disagreements() == ["['a.csv'] are said to be duplicates, and none of them was taken"]


def test_a_file_that_still_lies_about_is_told(run: Run) -> None:
    (run.folder / SALES / ".taken" / "0~a.csv").write_bytes(SALE)

    assert run.disagreements() == [f"{SALES}/.taken/0~a.csv still lies there"]


def test_rows_that_do_not_add_up_are_told(run: Run) -> None:
    run.dropped[0].rows = 2

    assert [each for each in run.disagreements() if each.startswith("a.csv: 2 rows, 0 of them bad, became")] != []
