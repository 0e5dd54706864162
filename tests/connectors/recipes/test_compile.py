"""Compiling a mapping: every mistake is named with its place, what stands there and what was expected; and what goes out."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.connectors.mapping import MappingFailed
from interlock.connectors.mapping_actions import ACTIONS
from interlock.connectors.recipes import RecipeWrong, compile_recipe, compile_template, settings_of
from interlock.connectors.recipes.fields import NEEDED
from interlock.contracts.mapping_files import ready_made, ready_mapping
from interlock.domain.links import Format, FormatKind
from tests.connectors.recipes.kit import BERLIN, count, mapping, recipe, template


def mistakes(text: str, kind: FormatKind = "json", **settings: str) -> list[tuple[str, str, str]]:
    with pytest.raises(RecipeWrong) as raised:
        recipe(text, kind, **settings)
    return list(raised.value.mistakes)


def of_value(value: str) -> tuple[str, str, str]:
    (mistake,) = mistakes(count(value))
    return mistake


def test_every_mistake_is_named_at_once() -> None:
    text = """
format: [jsn]
tabels: {}
settings: {channel: null, mode: full}
records:
  - wen: {a: 1}
    action: order.creat
    fields: {}
  - action: order.close
    fields: {order: a..b, order_no: c}
  - just text
"""
    assert mistakes(text, nod="x") == [
        (
            "tabels",
            '"tabels"',
            "a part of a mapping (did you mean tables?);"
            " there are about, first, format, messages, rates, records, settings, tables",
        ),
        (
            "format",
            '"jsn"',
            "a format (did you mean json?);"
            " there are csv, edifact, fixed, gs1, idoc_flat, idoc_xml, json, ndjson, poslog, ubl, x12, xml",
        ),
        ("format", '"json"', "a format that this mapping is meant for: jsn"),
        ("settings.nod", '"nod"', "a setting of this mapping; there are channel, mode"),
        ("settings.channel", "", "a value, which the link must give in its settings"),
        (
            "records[0].wen",
            '"wen"',
            "a part of a rule (did you mean when?); there are action, each, fields, mark, skip, when, where",
        ),
        (
            "records[0].action",
            '"order.creat"',
            f"an action (did you mean order.create?); there are {', '.join(sorted(ACTIONS))}",
        ),
        ("records[1].fields.order", '"a..b"', "a path: at character 3, a name should stand here"),
        (
            "records[1].fields.order_no",
            '"order_no"',
            "a field of the action (did you mean order?); there are occurred_at, order, ref, status, version",
        ),
        ("records[2]", '"just text"', "a rule: {when: ..., action: ..., fields: ...}"),
    ]


def test_a_mistake_is_a_sentence() -> None:
    with pytest.raises(RecipeWrong) as raised:
        recipe("records: [{action: order.close, fields: {order: 'a[b'}}]\nsettings: {x: null}")

    assert raised.value.sentences() == [
        "mapping mine: settings.x: missing: a value, which the link must give in its settings",
        'mapping mine: records[0].fields.order: "a[b" is not a path: at character 4, = or a closing bracket should stand here',
    ]


@pytest.mark.parametrize(
    ("value", "place", "found", "expected"),
    [
        (
            "{from: a, tabel: x}",
            ".tabel",
            '"tabel"',
            "something that goes with from (an object with a field from is written {object: ...}) (did you mean table?)",
        ),
        ("{from: a, table: nope}", ".table", '"nope"', "the name of a table of this mapping; there is none"),
        ("{from: a, table: 5}", ".table", "5", "the name of a table, or words and ours for them"),
        ("{from: 5}", ".from", "5", "a path"),
        ("'%nope'", "", '"%nope"', "a setting of this mapping; there is none"),
        ("{from: a, match: '['}", ".match", '"["', "a regular expression"),
        ("{from: a, upper: 1}", ".upper", "1", "true or false"),
        ("{from: a, gtin: 11}", ".gtin", "11", "true, try, or a length: 8, 12, 13, 14"),
        ("{from: a, number: roman}", ".number", '"roman"', "plain, comma, minor, or implied: and how many decimals"),
        ("{from: a, number: minor}", ".currency", "", "the currency whose minor units they are"),
        ("{from: a, currency: =EUR}", ".currency", '"=EUR"', "left out, since it goes with number: minor"),
        ("{from: a, round: -1}", ".round", "-1", "a whole number from 0 to 12"),
        ("{from: a, rate: {from: a}}", ".rate", '{"from":"a"}', "{from: currency, to: currency, at: day, table: name}"),
        (
            "{from: a, rate: {table: x, from: a, to: b, at: c}}",
            ".rate.table",
            '"x"',
            "the name of rates of this mapping",
        ),
        ("{first: a}", ".first", '"a"', "a list of values"),
        ("{join: []}", ".join", "[]", "a list of values"),
        ("{join: [a], with: 1}", ".with", "1", "text"),
        ("{if: {a: 1}}", ".then", "", "what it is then"),
        ("{if: {a: {abov: 1}}, then: a}", ".if.a", '"abov"', "a test (did you mean above?)"),
        ("{if: {a: []}, then: a}", ".if.a", "[]", "a value, or a list of values ({exists: false} for nothing)"),
        ("{if: {a: {exists: maybe}}, then: a}", ".if.a.exists", '"maybe"', "true or false"),
        ("{if: {a: {like: 1}}, then: a}", ".if.a.like", "1", "text with * and ?, such as SO*"),
        ("{if: {a: {above: x}}, then: a}", ".if.a.above", '"x"', "a number"),
        ("{if: {any: {a: 1}}, then: a}", ".if.any", '{"a":1}', "a list of conditions"),
        ("{if: a, then: b}", ".if", '"a"', "conditions: {path: what it must hold}"),
        ("{each: a}", ".fields", "", "what each entry becomes"),
        ("{each: a, fields: {b: c}, by: [d]}", ".by", '"d"', "a field of the entries; there are b"),
        ("{each: a, fields: b, by: [d]}", ".by", '["d"]', "left out, since the entries are no objects with fields"),
        ("{each: a, fields: b, by: d}", ".by", '"d"', "a list of names of fields"),
        ("{sum: a, times: b}", ".each", "", "the entries of which sum and times are multiplied"),
        ("{time: [a]}", ".time", '["a"]', "a path, or two: the date and the time of the day"),
        ("{time: a, format: '999'}", ".format", '"999"', "one of iso, epoch, epoch_ms"),
        ("{time: a, format: '%Q'}", ".format", '"%Q"', "a pattern that times can be read by"),
        ("{time: a, zone: '=Mars/Base'}", ".zone", '"Mars/Base"', "the IANA name of a zone"),
        ("{time: a, gap: back}", ".gap", '"back"', "one of refuse, forward"),
        ("{time: a, fold: both}", ".fold", '"both"', "one of earlier, later, refuse"),
        ("{time: a, as: 5}", ".as", "5", "a pattern such as %Y%m%d, or iso"),
    ],
)
def test_a_mistake_in_a_value_is_named(value: str, place: str, found: str, expected: str) -> None:
    where, shown, wanted = of_value(value)

    assert (where, shown) == (f"records[0].fields.counted{place}", found)
    assert wanted.startswith(expected)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("{}", ("records", "", "rules for what comes in")),
        ("records: []", ("records", "[]", "a list of rules")),
        ("records: [{skip: ''}]", ("records[0].skip", '""', "why there is nothing to do, in words")),
        (
            "records: [{skip: x, action: y}]",
            ("records[0].action", '"y"', "left out, since the rule skips the document"),
        ),
        ("records: [{fields: {}}]", ("records[0].action", "", "what the record asks for, or skip")),
        ("first: 1\nrecords: [{skip: x}]", ("first", "1", "true or false")),
        ("tables: {x: 1}\nrecords: [{skip: x}]", ("tables.x", "1", "words and ours for them")),
        (
            "rates: {EURUSD/: {2026-01-01: 1}}\nrecords: [{skip: x}]",
            ("rates.EURUSD/", '"EURUSD/"', "a pair of currencies such as EUR/USD"),
        ),
        (
            "rates: {EUR/USD: {2026-01-01: 0}}\nrecords: [{skip: x}]",
            ("rates.EUR/USD.2026-01-01", "0", "a rate above zero for a day such as 2026-01-01"),
        ),
        (
            "rates: {EUR/USD: {soon: 1}}\nrecords: [{skip: x}]",
            ("rates.EUR/USD.soon", "1", "a rate above zero for a day such as 2026-01-01"),
        ),
        (
            "records: [{skip: x, mark: {store: a, register: b, number: c}}]",
            ("records[0].mark.business_day", "", "the day that the till counts it to (or at)"),
        ),
        (
            "records: [{action: order.close, fields: {order: a}, where: {b: 1}}]",
            (
                "records[0].where",
                '{"b":1}',
                "left out, since there is no each (conditions on the document are its when)",
            ),
        ),
        (
            "records: [{action: order.close, fields: {}}]",
            ("records[0].fields.order", "", "where it comes from, which order.close needs"),
        ),
        ("records: [{action: order.close}]", ("records[0].fields", "", "our fields and where each comes from")),
    ],
)
def test_a_mistake_in_a_rule_is_named(text: str, mistake: tuple[str, str, str]) -> None:
    assert mistake in mistakes(text)


def test_fields_inside_of_lines_and_parcels_are_checked_too() -> None:
    text = """
records:
  - action: shipment.confirm
    fields:
      assignment: a
      ref: b
      lines: {each: l, fields: {line_no: n, qty: q}}
      packages: [{tracking: t, lines: {if: {x: 1}, then: {each: m, fields: {sku: s}}}}]
"""
    assert [(place, found) for place, found, _ in mistakes(text)] == [
        ("records[0].fields.lines.fields.qty", '"qty"'),
        ("records[0].fields.packages[0].lines.then.fields.sku", '"sku"'),
    ]


def test_what_an_action_needs_is_a_field_that_it_has() -> None:
    assert NEEDED.keys() == ACTIONS.keys()
    assert all(set(needed) <= ACTIONS[action][1] for action, needed in NEEDED.items())


@pytest.mark.parametrize("name", ready_made())
def test_a_ready_made_mapping_compiles_for_each_of_its_formats(name: str) -> None:
    raw = ready_mapping(name)
    given = {setting: "x" for setting, value in settings_of(raw).items() if value is None}

    assert raw["about"]
    for kind in raw["format"]:
        form = Format(kind=kind)
        if "records" in raw:
            compile_recipe(name, raw, system=BERLIN, form=form, settings=given)
        if "messages" in raw:
            compile_template(name, raw, system=BERLIN, form=form, settings=given)


# What goes out

MESSAGE = {
    "message": "shipment.release",
    "order": "shop:1",
    "node": "dc",
    "lines": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
}


def sent(document: str, kind: FormatKind, message: dict[str, Any] = MESSAGE) -> Any:
    return template(f"messages: [{{document: {document}}}]", kind).document(message)


def test_a_message_goes_by_the_first_rule_that_holds_or_not_at_all() -> None:
    text = """
messages:
  - {when: {message: shipment.cancel}, skip: they do not want to know}
  - {when: {message: shipment.release, node: dc}, document: {id: order}}
  - {when: {node: dc}, document: {other: order}}
"""
    mapped = template(text)

    assert mapped.document(MESSAGE) == {"id": "shop:1"}
    assert mapped.document({"message": "x", "node": "dc", "order": "o"}) == {"other": "o"}
    assert mapped.document({"message": "shipment.cancel", "node": "dc"}) is None
    assert mapped.document({"message": "x"}) is None


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        (
            "json",
            "{order: {id: order}, items: {each: lines, fields: {s: sku, n: quantity}}}",
            {"order": {"id": "shop:1"}, "items": [{"s": "A", "n": 2}, {"s": "B", "n": 1}]},
        ),
        (
            "xml",
            '{Order: {"@id": order, Line: {each: lines, fields: {"@no": "#", Sku: sku}}}}',
            {"Order": {"@id": "shop:1", "Line": [{"@no": 1, "Sku": "A"}, {"@no": 2, "Sku": "B"}]}},
        ),
        (
            "csv",
            "{rows: {each: lines, fields: {ORDER: ^.order, SKU: sku}}}",
            {"rows": [{"ORDER": "shop:1", "SKU": "A"}, {"ORDER": "shop:1", "SKU": "B"}]},
        ),
        ("csv", "{rows: {ORDER: order}}", {"rows": [{"ORDER": "shop:1"}]}),
        (
            "fixed",
            "{records: [{layout: H, NO: order}, {each: lines, layout: D, fields: {SKU: sku}}]}",
            {"records": [{"layout": "H", "NO": "shop:1"}, {"layout": "D", "SKU": "A"}, {"layout": "D", "SKU": "B"}]},
        ),
        (
            "x12",
            "{set: 940, segments: [[W05, =N, order, ''], {each: lines, segments: [[LX, '#'], [W01, quantity, =EA]]}]}",
            {
                "set": "940",
                "segments": [["W05", "N", "shop:1"], ["LX", "1"], ["W01", "2", "EA"], ["LX", "2"], ["W01", "1", "EA"]],
            },
        ),
        (
            "edifact",
            "{set: DESADV, segments: [[BGM, [=351, '', =9], order], [LIN, '', [nothing, '']],"
            " {if: {node: xx}, then: [FTX, =a], else: [[NAD, =SF, [node]]]}]}",
            {"set": "DESADV", "segments": [["BGM", ["351", "", "9"], "shop:1"], ["NAD", "SF", ["dc"]]]},
        ),
    ],
)
def test_a_document_has_the_shape_of_its_format(kind: FormatKind, document: str, expected: Any) -> None:
    assert sent(document, kind) == expected


@pytest.mark.parametrize(
    ("kind", "document", "place", "expected"),
    [
        ("json", "text", "", "a mapping from names to values"),
        ("csv", "{a: b}", "", "{rows: ...}, as the format csv is written"),
        ("fixed", "{a: b}", "", "{records: ...}, as formats of fixed width are written"),
        ("fixed", "{records: [x]}", ".records[0]", "a record: {layout: NAME, fields: {...}}"),
        ("x12", "{segments: []}", "", "{set: ..., segments: [...]}, as X12 and EDIFACT are written"),
        ("x12", "{set: x, segments: x}", ".segments", "a list of segments: [TAG, value, ...]"),
        ("x12", "{set: x, segments: [[w05]]}", ".segments[0]", "a segment, whose first entry is its tag, such as W05"),
        ("x12", "{set: x, segments: [{}]}", ".segments[0]", "a segment [TAG, value, ...]"),
    ],
)
def test_a_document_of_another_shape_is_a_mistake(kind: FormatKind, document: str, place: str, expected: str) -> None:
    with pytest.raises(RecipeWrong) as raised:
        sent(document, kind)

    where, _, wanted = raised.value.mistakes[0]
    assert where == f"messages[0].document{place}"
    assert wanted.startswith(expected)


def test_a_message_that_a_mapping_cannot_take_is_refused() -> None:
    with pytest.raises(MappingFailed) as raised:
        sent("{node: {from: node, table: {n1: '01'}}}", "json")

    (error,) = raised.value.errors
    assert (error.field, error.value, error.expected) == (
        "shipment.release",
        '"dc"',
        "a word of the table; known are n1",
    )


def test_a_mapping_for_one_way_is_none_for_the_other() -> None:
    with pytest.raises(RecipeWrong) as raised:
        compile_template("mine", mapping("records: [{skip: x}]"), system=BERLIN, form=None, settings={})

    assert raised.value.mistakes == (("messages", "", "rules for what goes out"),)
