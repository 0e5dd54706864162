"""What was put away is taken again for real once its cause is mended: once, however often and wherever it was interrupted."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from interlock.connectors.inlet import Origin
from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.connectors.transports.files import DropFolder
from interlock.contracts.mapping_files import read_mapping
from interlock.domain.decision import Arrival, Outcome
from interlock.domain.estate import Estate
from interlock.domain.links import FolderIn, Format, WebhookIn
from interlock.domain.values import Sku, SystemId
from interlock.engine.door import Door
from interlock.operations.audit import audit
from interlock.replay.reprocess import Reprocess, Tried
from interlock.replay.reread import Rereader
from interlock.storage import history
from interlock.storage.database import Database
from interlock.storage.put_away import Wanted
from tests.engine.truths import rows, stored_orders
from tests.replay.kit import Recorder, order_body, replayed, two_warehouses

BROKEN = """
records:
  - when: {"@topic": orders}
    action: order.create
    fields:
      order_id: id
      channel: =web
      placed_at: at
      currency: =USD
      destination: {country: =US}
      lines: {each: items, fields: {sku: sku, quantity: pieces, unit_price: price}}
"""
MENDED = BROKEN.replace("quantity: pieces", "quantity: qty")


def shop(mapping: str) -> Estate:
    """An estate whose shop posts orders of its own shape, read by this mapping."""
    estate = two_warehouses()
    raw, flaws = read_mapping(mapping)
    assert raw is not None, flaws
    link = WebhookIn(name="hook", mapping="mine", format=Format(kind="json"))
    web = replace(estate.systems[SystemId("web")], inbound=(link,))
    return replace(estate, systems={**estate.systems, web.id: web}, mappings={"mine": raw})


def posted(number: int | str) -> bytes:
    """An order as the shop posts it."""
    items = [{"sku": "s1", "qty": 1, "price": "5.00"}]
    return json.dumps({"id": str(number), "at": "2026-03-01T12:00:00Z", "items": items}).encode()


def post(db: Database, estate: Estate, *numbers: int | str) -> Counter[str]:
    """The shop posts orders; gives what became of them."""
    links = Links(estate, Mapper(estate), Door(db, estate))
    inlet = links.inlet(*links.named("web", "hook"))
    now = datetime.now(UTC)
    origin = Origin(name="hook", received_at=now, context={"topic": "orders", "headers": {"x-a": "1"}})
    found: Counter[str] = Counter()
    for taken in inlet.take_many([(posted(number), origin) for number in numbers]):
        found.update(taken.outcomes)
    return found


def reprocess(db: Database, estate: Estate, door: Any = None, **more: Any) -> list[Tried]:
    """Everything that is put away, by this estate."""
    reader = Rereader(estate, db.transaction(history.files))
    return list(Reprocess(db, reader, door or Door(db, estate)).run(more.pop("wanted", Wanted()), **more))


def green(db: Database, estate: Estate) -> None:
    """Everything that is always true holds."""
    assert [f.name for f in audit(db, estate=estate, now=datetime.now(UTC)) if not f.holds] == []


def test_a_mended_mapping_takes_what_it_could_not_read_once_and_the_exception_says_what_it_became(db: Database) -> None:
    assert post(db, shop(BROKEN), 1, 2) == {"quarantined": 2}
    mended = shop(MENDED)

    shown = reprocess(db, mended, dry_run=True)
    assert [(each.state, each.becomes, each.by) for each in shown] == [
        ("would be taken", ("order.create web:1",), "mapping mine"),
        ("would be taken", ("order.create web:2",), "mapping mine"),
    ]
    assert stored_orders(db) == {}

    tried = reprocess(db, mended)
    assert [(each.state, each.outcomes) for each in tried] == [("taken", ("processed",)), ("taken", ("processed",))]
    assert sorted(stored_orders(db)) == ["web:1", "web:2"]
    assert sorted(rows(db, "select outcome, count(*) from messages group by 1")) == [
        ("processed", 2),
        ("quarantined", 2),
    ]
    closed = rows(db, "select closed_by, evidence from exceptions where reason = 'quarantined' order by subject")
    assert closed == [
        ("interlock reprocess", f"reprocessed as {each.messages[0]} (processed) by mapping mine") for each in tried
    ]
    assert rows(db, "select distinct contract, context::text from messages") == [
        ("mapping:mine", '{"topic":"orders","headers":{"x-a":"1"}}')
    ]

    assert reprocess(db, mended) == []
    green(db, mended)


def test_what_still_cannot_be_read_stays_and_says_why(db: Database) -> None:
    post(db, shop(BROKEN), 1)

    (stays,) = reprocess(db, shop(BROKEN))

    assert (stays.state, stays.messages) == ("stays", ())
    assert "quantity" in stays.why
    assert rows(db, "select count(*) from messages") == [(1,)]
    assert rows(db, "select closed_at from exceptions") == [(None,)]


class _Killed(BaseException):
    """The process died."""


class _Dying(Door):
    """A door behind which everything was done when the process dies."""

    def process(self, arrivals: list[Arrival]) -> list[Outcome]:  # type: ignore[override]
        super().process(arrivals)
        raise _Killed


def test_killed_between_taking_and_closing_it_is_tried_again_and_done_once(db: Database) -> None:
    post(db, shop(BROKEN), 1, 2, 3)
    mended = shop(MENDED)
    with pytest.raises(_Killed):
        reprocess(db, mended, _Dying(db, mended))
    assert len(stored_orders(db)) == 3

    tried = reprocess(db, mended)

    assert [each.outcomes for each in tried] == [("duplicate",)] * 3
    assert rows(db, "select count(*) from events where type = 'order.created'") == [(3,)]
    assert rows(db, "select count(*) from exceptions where closed_at is null and reason = 'quarantined'") == [(0,)]
    green(db, mended)


def test_five_thousand_are_taken_in_bulk_while_what_cannot_be_read_stays_among_them(db: Database) -> None:
    post(db, shop(BROKEN), *range(1, 5_001), "")
    began = time.process_time()

    tried = reprocess(db, shop(MENDED))

    assert Counter(each.state for each in tried) == {"taken": 5_000, "stays": 1}
    assert rows(db, "select count(*) from orders") == [(5_000,)]
    assert rows(db, "select count(*) from exceptions where reason = 'quarantined' and closed_at is null") == [(1,)]
    assert time.process_time() - began < 30
    assert Counter(each.state for each in reprocess(db, shop(MENDED))) == {"stays": 1}


def test_only_those_asked_for_are_tried(db: Database) -> None:
    post(db, shop(BROKEN), 1, 2, 3)
    mended = shop(MENDED)

    assert reprocess(db, mended, wanted=Wanted(systems=("pos",))) == []
    assert reprocess(db, mended, wanted=Wanted(reason="no_such_reason")) == []
    assert reprocess(db, mended, wanted=Wanted(since=datetime.now(UTC))) == []
    assert len(reprocess(db, mended, limit=2)) == 2
    assert len(stored_orders(db)) == 2


def test_a_body_of_the_api_is_read_by_the_action_that_it_came_for(db: Database) -> None:
    estate = two_warehouses()
    recorder = Recorder(db, estate)
    recorder.order(1, s1=1)
    recorder.say("web", "order.authorize", order="1", amount="1.00", ref="x", currency="USD")  # a field too many
    recorder.say("pos", "stock.count", sku="s1", node="old name", counted=3, ref="c")
    renamed = replace(estate, node_aliases={SystemId("pos"): {"old name": "store1"}})  # type: ignore[dict-item]

    by_reason = {each.system: each for each in reprocess(db, renamed)}

    assert by_reason["web"].state == "stays"
    assert (by_reason["pos"].state, by_reason["pos"].becomes, by_reason["pos"].by) == (
        "taken",
        ("stock.count s1 store1/c",),
        "stock.count/1",
    )
    assert rows(db, "select sku, node, physical::int from positions where node = 'store1'") == [("s1", "store1", 3)]
    green(db, renamed)


def test_what_was_kept_before_contracts_were_is_read_by_the_only_action_that_can(db: Database) -> None:
    estate = two_warehouses()
    recorder = Recorder(db, estate)
    body = {**order_body(1, s1=1), "channel": "new"}
    amount = {"order": "1", "amount": "1.00", "ref": "x"}
    recorder.say("web", "order.create", **body)
    recorder.say("office", "order.authorize", **{**amount, "order": ""})
    db.transaction(lambda tx: tx.execute("update messages set contract = null"))
    opened = replace(estate, channels={**estate.channels, "new": replace(estate.channels["web"], id="new")})

    tried = {each.system: each for each in reprocess(db, opened)}

    assert tried["web"].becomes == ("order.create web:1",)
    assert tried["office"].state == "stays"


def test_rows_of_a_plain_file_are_read_by_the_columns_that_they_were_kept_with(db: Database, tmp_path: Any) -> None:
    estate = two_warehouses()
    columns = {"sku": "ITEM", "node": "SITE", "counted": "QTY", "ref": "NO"}
    folder = FolderIn(path=str(tmp_path), records="stock_counts", columns=columns, stable_s=0.0, delimiter=";")
    wms = replace(estate.systems[SystemId("wms")], inbound=(folder,))
    estate = replace(estate, systems={**estate.systems, wms.id: wms})
    (tmp_path / "c.csv").write_text("NO;SITE;ITEM;note, free;QTY\n1;n1;s1;x;4\n2;EAST;s2;y;5\n")
    DropFolder(wms, folder, Mapper(estate), Door(db, estate), db).poll(datetime.now(UTC))
    assert sorted(rows(db, "select outcome, record from messages")) == [
        ("processed", "rows 2-2"),
        ("quarantined", "rows 3-3"),
    ]
    mended = replace(estate, node_aliases={wms.id: {"EAST": "n1"}})  # type: ignore[dict-item]

    assert replayed(db, estate).replayed.read_otherwise == []
    assert replayed(db, mended).replayed.readable_now == 1
    (tried,) = reprocess(db, mended)

    assert (tried.record, tried.becomes) == ("rows 3-3", ("stock.count s2 n1/2",))
    assert rows(db, "select sku, physical::int from positions order by sku") == [("s1", 4), ("s2", 5)]
    green(db, mended)


def test_a_message_that_our_own_code_could_not_process_is_tried_again(db: Database, monkeypatch: Any) -> None:
    from interlock.domain.decide import DECIDERS

    estate = two_warehouses()
    recorder = Recorder(db, estate)
    recorder.order(1, s1=1)
    with monkeypatch.context() as broken:
        broken.setitem(DECIDERS, "order.authorize", lambda *_: 1 / 0)
        assert recorder.say("web", "order.authorize", order="1", amount="1.00", ref="x").outcome == "quarantined"

    (tried,) = reprocess(db, estate)

    assert (tried.state, tried.reason, tried.outcomes) == ("taken", "internal_error", ("processed",))
    assert rows(db, "select authorized from payments")[0][0] == 11
    assert rows(db, "select count(*) from exceptions where closed_at is null") == [(0,)]
    green(db, estate)


def test_another_mapping_of_a_link_is_compared_with_the_one_in_use(db: Database) -> None:
    estate = shop(MENDED)
    post(db, estate, 1, 2)
    twice = shop(MENDED.replace("quantity: qty", "quantity: =2"))

    report = replayed(db, estate, twice)

    assert report.reproduced.exactly == 2
    assert sorted((each.order_id, each.moves[0].sku) for each in report.changes) == [
        ("web:1", Sku("s1")),
        ("web:2", Sku("s1")),
    ]


SHELVES = """
records:
  - each: shelves
    action: stock.count
    fields: {sku: sku, node: =n1, ref: {join: [$.no, "#"], with: "-"}, counted: n}
"""


def test_a_further_record_of_a_document_is_made_again_from_the_bytes_that_its_first_one_has(db: Database) -> None:
    def wms(mapping: str) -> Estate:
        estate = two_warehouses()
        raw, flaws = read_mapping(mapping)
        assert raw is not None, flaws
        link = WebhookIn(name="shelves", mapping="counts", format=Format(kind="json"))
        system = replace(estate.systems[SystemId("wms")], inbound=(link,))
        return replace(estate, systems={**estate.systems, system.id: system}, mappings={"counts": raw})

    estate = wms(SHELVES)
    links = Links(estate, Mapper(estate), Door(db, estate))
    inlet = links.inlet(*links.named("wms", "shelves"))
    shelves = [{"sku": "s1", "n": 4}, {"sku": "s2", "n": None, "packs": 2}, {"sku": "s3", "n": 1}]
    origin = Origin(name="shelves", received_at=datetime.now(UTC))
    inlet.take_many([(json.dumps({"no": 7, "shelves": shelves}).encode(), origin)])
    assert sorted(rows(db, "select outcome, count(*) from messages group by 1")) == [
        ("processed", 2),
        ("quarantined", 1),
    ]

    assert [each.state for each in reprocess(db, estate)] == ["stays"]
    mended = wms(SHELVES.replace("counted: n", "counted: {first: [n, packs]}"))
    (tried,) = reprocess(db, mended)

    assert (tried.state, tried.becomes) == ("taken", ("stock.count s2 n1/7-2",))
    assert rows(db, "select sku, physical::int from positions order by sku") == [("s1", 4), ("s2", 2), ("s3", 1)]
    assert reprocess(db, mended) == []
    green(db, mended)
    assert replayed(db, mended).reproduced.not_reproduced == []


def test_rows_that_a_mapping_reads_are_kept_with_their_columns_too(db: Database, tmp_path: Any) -> None:
    def wms(counted: str) -> Estate:
        estate = two_warehouses()
        raw, flaws = read_mapping(
            f"records: [{{action: stock.count, fields: {{sku: Item, node: =n1, ref: No, counted: {counted}}}}}]"
        )
        assert raw is not None, flaws
        link = FolderIn(
            path=str(tmp_path), name="counts", mapping="m", format=Format(kind="csv", delimiter=";"), stable_s=0
        )
        system = replace(estate.systems[SystemId("wms")], inbound=(link,))
        return replace(estate, systems={**estate.systems, system.id: system}, mappings={"m": raw})

    estate = wms("Qty")
    system = estate.systems[SystemId("wms")]
    links = Links(estate, Mapper(estate), Door(db, estate))
    (tmp_path / "c.csv").write_text('No;Item;"On hand; all";Qty\n1;s1;9;4\n2;s2;5;none\n')
    link = system.inbound[0]
    DropFolder(system, link, Mapper(estate), Door(db, estate), db, inlet=links.inlet(system, link)).poll(
        datetime.now(UTC)
    )  # type: ignore[arg-type]
    assert rows(db, "select distinct content_type from messages") == [
        ("text/csv; link=counts; columns=No,Item,On hand%3B all,Qty",)
    ]

    assert replayed(db, estate).reproduced.not_reproduced == []
    (tried,) = reprocess(db, wms("On hand; all"))

    assert (tried.state, tried.becomes) == ("taken", ("stock.count s2 n1/2",))
    assert rows(db, "select sku, physical::int from positions order by sku") == [("s1", 4), ("s2", 5)]
