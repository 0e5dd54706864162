"""Recipes: which rules make records, what is refused and how it is told, marks, and where every field came from."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from interlock.connectors.mapping import MappingFailed
from interlock.connectors.recipes import Made
from interlock.domain.decision import FieldError
from interlock.domain.sequences import Mark
from tests.connectors.recipes.kit import counted, document, made_of, recipe

ADJUST = "action: stock.adjust, fields: {sku: sku, node: =N, ref: '#', delta: n}"


def skus(made: list[Made]) -> list[str]:
    return [each.fields["sku"] for each in made]


# Rules


def test_every_rule_that_holds_makes_records_in_order() -> None:
    text = f"""
records:
  - {{when: {{a: 1}}, {ADJUST}}}
  - {{when: {{a: 2}}, {ADJUST}}}
  - {{each: more, {ADJUST}}}
"""
    made = made_of(text, {"a": 1, "sku": "x", "more": [{"sku": "y"}, {"sku": "z"}]})

    assert [(each.fields["sku"], each.rule, each.entry, each.part) for each in made] == [
        ("x", 0, 0, ""),
        ("y", 2, 1, "more[#1]"),
        ("z", 2, 2, "more[#2]"),
    ]


def test_with_first_only_the_first_rule_that_holds_makes_records() -> None:
    text = f"first: true\nrecords: [{{when: {{a: 2}}, {ADJUST}}}, {{{ADJUST}}}, {{skip: never}}]"

    assert [each.rule for each in made_of(text, {"a": 1, "sku": "x"})] == [1]


def test_where_no_rule_holds_nothing_is_made() -> None:
    assert made_of(f"records: [{{when: {{a: 2}}, {ADJUST}}}]", {"a": 1}) == []


def test_a_skipped_document_says_why() -> None:
    assert made_of("records: [{skip: a ping}]", {}) == [Made("", {}, skipped="a ping")]


def test_entries_are_those_that_are_meant() -> None:
    text = f"records: [{{each: lines, where: {{n: {{above: 0}}}}, {ADJUST}}}]"

    made = made_of(text, {"lines": [{"sku": "a", "n": 0}, {"sku": "b", "n": 2}]})

    assert [(each.fields, each.part) for each in made] == [
        ({"sku": "b", "node": "N", "ref": "2", "delta": 2}, "lines[#2]")
    ]


def test_entries_of_which_none_is_meant_are_skipped_and_a_list_that_is_not_there_is_refused() -> None:
    text = f"records: [{{each: 'lines[kind=x]', {ADJUST}}}]"

    assert made_of(text, {"lines": [{"kind": "y"}]}) == [
        Made("", {}, skipped="none of its entries (lines[kind=x]) is meant")
    ]
    assert made_of(text, {"lines": []})[0].skipped == "none of its entries (lines[kind=x]) is meant"
    with pytest.raises(MappingFailed) as raised:
        made_of(text, {"lime": []})
    assert raised.value.errors == (
        FieldError("lines[kind=x]", "", "entries, of which each is a record; it is missing"),
    )


def test_entries_inside_of_entries_have_the_scopes_between() -> None:
    text = """
records:
  - each: [orders, lines]
    action: stock.adjust
    fields: {sku: sku, node: ^.^.store, ref: {join: [^.no, "#"], with: "-"}, delta: n}
"""
    data = {
        "store": "s",
        "orders": [{"no": 1, "lines": [{"sku": "a"}]}, {"no": 2, "lines": [{"sku": "b"}, {"sku": "c"}]}],
    }

    made = made_of(text, data)

    assert [(each.fields["ref"], each.fields["node"], each.part) for each in made] == [
        ("1-1", "s", "orders[#1].lines[#1]"),
        ("2-1", "s", "orders[#2].lines[#1]"),
        ("2-2", "s", "orders[#2].lines[#2]"),
    ]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{}", True),
        ("{a: x}", True),
        ("{a: [y, x]}", True),
        ("{a: y}", False),
        ("{n: 5}", True),
        ("{n: '5'}", True),
        ("{n: [4, 5]}", True),
        ("{t: true}", True),
        ("{a: {exists: true}}", True),
        ("{b: {exists: true}}", False),
        ("{b: {exists: false}}", True),
        ("{blank: {exists: false}}", True),
        ("{a: {not: y}}", True),
        ("{a: {not: [x, y]}}", False),
        ("{b: {not: y}}", True),
        ("{a: {like: '?'}}", True),
        ("{a: {like: ['y*', 'x*']}}", True),
        ("{b: {like: '*'}}", False),
        ("{n: {above: 4, below: 6}}", True),
        ("{n: {above: 5}}", False),
        ("{a: {above: 0}}", False),
        ("{b: {below: 10}}", False),
        ("{d: {above: 1.4}}", True),
        ("{any: [{a: y}, {n: 5}]}", True),
        ("{any: [{a: y}, {n: 6}]}", False),
        ("{a: x, n: 6}", False),
        ("{'@topic': t, '@kind': thing}", True),
        ("{'%mode': full}", True),
        ("{'lines[k=2].v': w}", True),
        ("{lines: {exists: true}}", True),
    ],
)
def test_a_condition_holds_or_not(condition: str, holds: bool) -> None:
    data = {"a": "x", "n": 5, "t": True, "blank": " ", "d": Decimal("1.5"), "lines": [{"k": 1}, {"k": 2, "v": "w"}]}
    text = f"settings: {{mode: full}}\nrecords: [{{when: {condition}, skip: it holds}}]"

    assert bool(made_of(text, data, topic="t")) is holds


# Values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{sum: lines.n}", 5),
        ("{sum: n, each: lines}", 5),
        ("{sum: n, each: lines, times: p}", Decimal("9.5")),
        ("{sum: nothing, default: 7}", 7),
        ("{count: lines}", 2),
        ("{count: nothing}", 0),
        ("{object: {x: a, y: nothing}}", {"x": "A"}),
        ("{object: {x: a}, when: {a: B}}", None),
        ("{if: {a: A}, then: =yes, else: =no}", "yes"),
        ("{if: {a: B}, then: =yes}", None),
        ("{first: [nothing, blank, a]}", "A"),
        ("{value: {from: a}}", {"from": "a"}),
        ("[a, nothing, =x]", ["A", "x"]),
        ("{each: lines, fields: n}", ["2", 3]),
        ("{each: nothing, fields: n}", None),
        ("{each: lines, when: {n: 9}, fields: n}", []),
        ("{each: [groups, of], fields: .}", ["g1", "g2", "g3"]),
        ("{each: groups.of, fields: .}", ["g1", "g2", "g3"]),
        ("{each: one, fields: {v: v, none: none}}", [{"v": 1}]),
        ("{each: lines, by: [k], add: [n], fields: {k: k, n: n}}", [{"k": "k", "n": 5}]),
    ],
)
def test_a_value_gives_what_it_should(value: str, expected: Any) -> None:
    data = {
        **{"a": "A", "blank": " ", "one": {"v": 1}},
        "lines": [{"n": "2", "p": "1", "k": "k"}, {"n": 3, "p": Decimal("2.5"), "k": "k"}],
        "groups": [{"of": ["g1"]}, {"of": ["g2", "g3"]}],
    }

    assert counted(value, data) == expected


def test_a_setting_is_what_the_link_or_the_mapping_says() -> None:
    text = "settings: {a: mine, b: yours, c: ''}\nrecords: [{action: order.close, fields: {order: {join: ['%a', '%b', '%c']}}}]"

    (made,) = recipe(text, b="theirs").records(document({}))

    assert made.fields == {"order": "minetheirs"}


# What is wrong in a document

ORDER = """
records:
  - action: order.create
    fields:
      order_id: id
      channel: =web
      placed_at: at
      currency: =EUR
      total: {from: total, number: comma}
      destination: {country: to.country}
      lines: {each: items, fields: {sku: {from: ean, gtin: true}, quantity: {from: n, pack: {from: unit, table: {CA: 12}}}}}
"""


def test_every_mistake_is_named_with_our_field_the_path_what_stands_there_and_what_was_expected() -> None:
    items = [
        {"ean": "4006381333931", "n": 1, "unit": "CA"},
        {"ean": "1", "n": "x", "unit": "CA"},
        {"n": 1, "unit": "BX"},
    ]

    with pytest.raises(MappingFailed) as raised:
        made_of(ORDER, {"id": 1, "at": "soon", "total": "9.90", "items": items})

    assert raised.value.errors == (
        FieldError("placed_at (from at)", '"soon"', "a time such as 2026-03-01T09:30:00+01:00 or 202603010930"),
        FieldError("total (from total)", '"9.90"', "a number with a decimal comma, such as 1234,50"),
        FieldError(
            "lines[1].sku (from items[#2].ean)", '"1"', "a GTIN (UPC, EAN) of 6 to 14 digits whose check digit is right"
        ),
        FieldError("lines[1].quantity (from items[#2].n)", '"x"', "a number such as 1234.50"),
        FieldError("lines[2].quantity (from items[#3].n)", '"BX"', "a word of the table; known are CA"),
    )


def test_what_the_mapper_refuses_is_traced_to_the_document() -> None:
    mapped = recipe(ORDER)
    given = document(
        {"id": 1, "at": "20260301", "to": {"country": "DEU"}, "items": [{"ean": "40170725", "n": -1, "unit": "CA"}]}
    )
    (made,) = mapped.records(given)
    failed = MappingFailed(
        [
            FieldError("destination.country", '"DEU"', "an ISO 3166 country code"),
            FieldError("lines[0].quantity", "-12", "more than zero"),
            FieldError("total", "", "an amount; it is missing"),
            FieldError("nowhere", "", "something"),
        ]
    )

    assert mapped.traced(given, made, failed).errors == (
        FieldError("destination.country (from to.country)", '"DEU"', "an ISO 3166 country code"),
        FieldError("lines[0].quantity (from items[#1].n)", "-1", "more than zero"),
        FieldError("total (from total)", "", "an amount; it is missing"),
        FieldError("nowhere", "", "something"),
    )


def test_the_records_of_a_document_are_traced_each_to_its_own_entry() -> None:
    mapped = recipe(f"records: [{{each: lines, {ADJUST}}}]")
    given = document({"lines": [{"sku": "a", "n": 1}, {"sku": "b", "n": 0}]})
    first, second = mapped.records(given)
    failed = MappingFailed([FieldError("delta", "0", "not zero")])

    assert mapped.traced(given, second, failed).errors == (FieldError("delta (from lines[#2].n)", "0", "not zero"),)
    assert mapped.traced(given, first, failed).errors == (FieldError("delta (from lines[#1].n)", "1", "not zero"),)


def test_every_field_has_its_origin() -> None:
    text = """
settings: {channel: web}
records:
  - action: order.create
    fields:
      order_id: {join: [store, no], with: "-"}
      channel: "%channel"
      placed_at: {time: [day, clock]}
      currency: {first: [cur, "@currency"]}
      fulfillment: {if: {to: {exists: true}}, then: =delivery, else: =carry_out}
      lines: {each: items, by: [sku], fields: {sku: sku, quantity: n}}
"""
    mapped = recipe(text)
    items = [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}, {"sku": "a", "n": 3}]
    given = document({"store": 1, "no": "7", "day": "20260301", "clock": "0930", "items": items}, currency="USD")
    (made,) = mapped.records(given)

    at = datetime(2026, 3, 1, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert [(o.field, o.value, o.source, o.path, o.theirs) for o in mapped.origins(given, made)] == [
        ("order_id", "1-7", "document", "store, no", '1, "7"'),
        ("channel", "web", "mapping", "", ""),
        ("placed_at", at, "document", "day, clock", '"20260301", "0930"'),
        ("currency", "USD", "context", "@currency", '"USD"'),
        ("fulfillment", "carry_out", "mapping", "", ""),
        ("lines[0].sku", "a", "document", "items[#1].sku, items[#3].sku", '"a", "a"'),
        ("lines[0].quantity", 4, "document", "items[#1].n, items[#3].n", "1, 3"),
        ("lines[1].sku", "b", "document", "items[#2].sku", '"b"'),
        ("lines[1].quantity", 2, "document", "items[#2].n", "2"),
    ]
    assert made.fields["lines"] == [{"sku": "a", "quantity": 4}, {"sku": "b", "quantity": 2}]


# Marks

MARK = "mark: {store: shop, register: till, number: no, business_day: day, at: {time: at}, kind: kind}"


def test_the_first_record_of_a_document_carries_its_mark() -> None:
    text = f"records: [{{each: lines, {ADJUST}}}, {{skip: also, {MARK}}}]"
    data = {"shop": 12, "till": "03", "no": "000042", "day": "20260301", "at": "2026-03-02T00:10:00", "kind": "return"}

    made = made_of(text, {**data, "lines": [{"sku": "a"}, {"sku": "b"}]})

    assert [each.mark for each in made] == [
        Mark(
            store="12",
            register="03",
            business_day=date(2026, 3, 1),
            number=42,
            kind="return",
            at=datetime(2026, 3, 2, 0, 10, tzinfo=ZoneInfo("Europe/Berlin")),
        ),
        None,
        None,
    ]


def test_a_mark_has_the_day_of_its_time_where_it_says_no_other() -> None:
    text = "records: [{skip: x, mark: {store: =s, register: =r, number: 1, at: {time: at}, first: =1, last: '=9', count: 9}}]"

    mark = made_of(text, {"at": "2026-03-01T23:59:00-05:00"})[0].mark

    assert mark is not None
    assert (mark.business_day, mark.kind, mark.first, mark.last, mark.count) == (date(2026, 3, 1), "sale", 1, 9, 9)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"no": "x1"}, FieldError("mark.number (from no)", '"x1"', "a whole number")),
        ({"no": None}, FieldError("mark.number (from no)", "", "what every till's number has; it is missing")),
        ({"day": "soon"}, FieldError("mark.business_day (from day)", '"soon"', "a day such as 2026-03-01 or 20260301")),
        ({"kind": "gift"}, FieldError("mark.kind (from kind)", '"gift"', "one of sale, return")),
        ({"at": "late"}, FieldError("mark.at (from at)", '"late"', "a time such as")),
    ],
)
def test_a_mark_that_cannot_be_read_is_refused(change: dict[str, Any], error: FieldError) -> None:
    data = {"shop": 12, "till": "03", "no": "42", "day": "20260301", "kind": "sale", **change}

    with pytest.raises(MappingFailed) as raised:
        made_of(f"records: [{{skip: x, {MARK}}}]", data)

    (found,) = raised.value.errors
    assert (found.field, found.value) == (error.field, error.value)
    assert found.expected.startswith(error.expected)
