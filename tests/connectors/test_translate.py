"""Bytes to commands: format, mapping and mapper in one line, nothing written and nothing lost."""

from __future__ import annotations

from typing import Any

from interlock.connectors.mapping import Mapper
from interlock.connectors.recipes import compile_recipe
from interlock.connectors.translate import Reading, Translator
from interlock.domain.commands import CountStock
from interlock.domain.decision import FieldError
from interlock.domain.links import Format
from interlock.domain.values import SystemId
from tests.connectors.recipes.kit import mapping
from tests.web.conftest import small_estate

ESTATE = small_estate()
WMS = ESTATE.systems[SystemId("wms")]
MAPPING = """
records:
  - when: {kind: count}
    each: shelves
    action: stock.count
    fields: {sku: sku, node: =DC-EAST, ref: {join: [$.no, "#"], with: "-"}, counted: n}
  - {when: {kind: ping}, skip: a ping}
  - when: {"@topic": other}
    action: stock.count
    fields: {sku: sku, node: =DC-EAST, ref: "@topic", counted: {from: n, number: plain}}
"""


def readings(text: bytes, **context: Any) -> list[Reading]:
    form = Format(kind="json")
    recipe = compile_recipe("mine", mapping(MAPPING), system=WMS, form=form, settings={})
    translator = Translator(WMS, "shelves", form, recipe, Mapper(ESTATE))
    return [each for each in translator.read([text], context) if isinstance(each, Reading)]


def test_every_record_of_a_document_is_a_reading_and_the_first_one_has_its_bytes() -> None:
    text = b'[{"kind": "count", "no": 7, "shelves": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]}]'

    first, second = readings(text)

    assert first.command == CountStock(sku="A", node="DC-EAST", ref="7-1", counted=1)  # type: ignore[arg-type]
    assert (first.place, first.kind, first.body) == ("item 1 shelves[#1]", "item", text[1:-1])
    assert first.content_type == "application/json; link=shelves"
    assert second.place == "item 1 shelves[#2]"
    assert second.body == b'{"action":"stock.count","sku":"B","node":"DC-EAST","ref":"7-2","counted":2}'
    assert second.content_type == "application/vnd.interlock.record+json; of=item 1"


def test_what_is_skipped_refused_or_no_json_has_its_place_among_the_others() -> None:
    text = b'[{"kind": "ping"}, {"kind": "gift"}, NaN, {"kind": "count", "no": 1, "shelves": [{"sku": "A", "n": -1}]}]'

    ping, gift, broken, negative = readings(text)

    assert (ping.skipped, ping.command, ping.problem) == ("a ping", None, None)
    assert gift.problem is not None
    assert (gift.problem.reason, gift.problem.errors) == (
        "no_rule",
        (FieldError("", "item", "one of: kind count; kind ping; @topic other"),),
    )
    assert broken.problem is not None
    assert (broken.place, broken.problem.reason, broken.body) == ("item 3", "unreadable", b"NaN")
    assert negative.problem is not None
    assert negative.problem.errors == (FieldError("counted (from shelves[#1].n)", "-1", "zero or more"),)


def test_what_is_said_beside_the_bytes_is_context() -> None:
    (reading,) = readings(b'{"sku": "A", "n": "1,000"}', topic="other")

    assert reading.command == CountStock(sku="A", node="DC-EAST", ref="other", counted=1000)  # type: ignore[arg-type]


def test_an_entry_that_cannot_be_made_is_refused_alone_and_its_neighbours_go_on() -> None:
    recipe = compile_recipe(
        "mine",
        mapping(
            "records: [{each: shelves, action: stock.count,"
            " fields: {sku: sku, node: =DC-EAST, ref: '#', counted: {from: n, number: plain}}}]"
        ),
        system=WMS,
        form=Format(kind="json"),
        settings={},
    )
    text = b'{"shelves": [{"sku": "A", "n": "x1"}, {"sku": "B", "n": 2}, {"sku": "C", "n": "three"}, {"sku": "D", "n": 4}]}'
    found = list(Translator(WMS, "", Format(kind="json"), recipe, Mapper(ESTATE)).read([text]))

    told = [each for each in found if isinstance(each, Reading)]
    assert [each.command.sku if isinstance(each.command, CountStock) else None for each in told] == [
        None,
        "B",
        None,
        "D",
    ]
    assert told[0].body == text
    assert told[0].problem is not None
    assert told[0].problem.errors == (FieldError("counted (from shelves[#1].n)", '"x1"', "a number such as 1234.50"),)
    assert told[2].place == "object shelves[#3]"
    assert told[2].body == b'{"part":"shelves[#3]"}'


def test_a_transaction_that_cannot_be_read_still_counts_in_its_register() -> None:
    recipe = compile_recipe(
        "mine",
        mapping(
            "records: [{action: stock.adjust, fields: {sku: sku, node: =DC-EAST, ref: no, delta: {from: n, number: plain}},"
            " mark: {store: =S1, register: =R1, business_day: day, number: no}}]"
        ),
        system=WMS,
        form=Format(kind="json"),
        settings={},
    )
    text = b'{"no": 17, "day": "2026-03-01", "sku": "A", "n": "many"}'
    [reading] = Translator(WMS, "", Format(kind="json"), recipe, Mapper(ESTATE)).read([text])

    assert isinstance(reading, Reading)
    assert reading.problem is not None
    assert reading.mark is not None
    assert (reading.mark.store, reading.mark.number) == ("S1", 17)
