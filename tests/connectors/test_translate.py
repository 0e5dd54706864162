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
