"""A document against its contract: every kind of drift, what becomes of it, and which version it is held against."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Node
from interlock.contracts.external.checker import Checker
from interlock.contracts.external.drift import Checked, Drift
from interlock.contracts.external.read import read_contract
from interlock.contracts.external.trees import TreeCheck

ORDER: dict[str, Any] = {
    "type": "object",
    "required": ["id", "lines"],
    "properties": {
        "id": {"type": "integer"},
        "state": {"enum": ["open", "closed"]},
        "at": {"type": "string", "format": "date-time"},
        "customer": {"type": "object"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["sku"],
                "properties": {"sku": {"type": "string", "maxLength": 5}, "price": {"type": "number"}},
            },
        },
    },
}


def checker(**raw: Any) -> Checker:
    contract, mistakes = read_contract("agreed", raw, Path())
    assert mistakes == []
    assert contract is not None
    return Checker(contract)


def of(data: Any, kind: str = "", version: str = "", **raw: Any) -> Checked:
    found = checker(**({"versions": [{"version": "1", "schema": ORDER}]} | raw)).check(data, kind=kind, version=version)
    assert found is not None
    return found


def order(**more: Any) -> dict[str, Any]:
    return {"id": 1, "lines": [{"sku": "A", "price": Decimal("1.50")}], **more}


def test_a_document_that_is_what_was_agreed_has_no_drift() -> None:
    assert of(order(state="open", at="2026-03-01T09:30:00Z", customer={"anything": 1})) == Checked(
        "agreed", "1", (), "ok"
    )


@pytest.mark.parametrize(
    ("data", "drift", "verdict"),
    [
        (order(gift=True), Drift("unknown_field", "gift", "a field of the contract", "true"), "warn"),
        (
            {"id": 1, "lines": [{"price": 1}]},
            Drift("missing_field", "lines[0].sku", "a value, which is required", "nothing"),
            "quarantine",
        ),
        (order(id="1"), Drift("changed_type", "id", "integer", 'string "1"'), "quarantine"),
        (order(id=None), Drift("changed_type", "id", "integer", "null"), "quarantine"),
        (order(at="yesterday"), Drift("changed_type", "at", "text that is a date-time", '"yesterday"'), "quarantine"),
        ([1], Drift("changed_type", "", "object", "array [1]"), "quarantine"),
    ],
)
def test_each_kind_of_drift_is_told_with_its_place(data: Any, drift: Drift, verdict: str) -> None:
    assert of(data) == Checked("agreed", "1", (drift,), verdict)  # type: ignore[arg-type]


def test_words_and_lengths_are_drift_of_the_other_kind() -> None:
    found = of({"id": 1, "state": "lost", "lines": [{"sku": "ABCDEFG"}]})

    assert {(each.kind, each.path, each.found) for each in found.drifts} == {
        ("other", "lines[0].sku", '"ABCDEFG"'),
        ("other", "state", '"lost"'),
    }


def test_a_field_under_another_name_is_recognized() -> None:
    found = of({"id": 1, "Lines": []})

    assert [(each.kind, each.path, each.expected) for each in found.drifts] == [
        ("missing_field", "lines", "a value, which is required"),
        ("unknown_field", "Lines", "a field of the contract (is it lines under another name?)"),
    ]


def test_the_policy_says_what_becomes_of_drift_and_what_holds_it_up_comes_first() -> None:
    lenient = {"missing_field": "warn", "unknown_field": "ignore", "changed_type": "warn", "other": "ignore"}

    assert of({"gift": 1}, policy=lenient).verdict == "warn"
    assert of(order(gift=1, state="lost"), policy=lenient) == Checked("agreed", "1", (), "ok")
    assert of(order(gift=1), policy={"unknown_field": "quarantine"}).verdict == "quarantine"
    mixed = of({**order(gift=1), "id": "1"})
    assert [each.kind for each in mixed.drifts] == ["changed_type", "unknown_field"]


def test_at_most_fifty_differences_are_told_of_one_document() -> None:
    assert len(of({"id": 1, "lines": [{} for _ in range(500)]}).drifts) == 50


# Versions and kinds

TWO = {
    "version_at": "v",
    "versions": [
        {"version": "1", "schema": ORDER},
        {"version": "2", "schema": {"type": "object", "required": ["number"]}},
    ],
}


def test_a_document_is_held_against_the_version_that_it_names() -> None:
    assert of(order(), version="1", **TWO).verdict == "ok"
    assert of(order(), version="2", **TWO).drifts[0].path == "number"


def test_a_version_that_is_not_agreed_is_drift() -> None:
    unknown = Drift("unknown_version", "", "one of the versions 1, 2", '"3"')

    assert of(order(), version="3", **TWO) == Checked("agreed", "3", (unknown,), "quarantine")
    assert of(order(), version="", **TWO).drifts == (unknown._replace(found="none"),)


def test_an_unknown_version_that_is_let_through_is_held_against_the_current_one() -> None:
    found = of({"number": 1}, version="3", policy={"unknown_version": "warn"}, **TWO)
    assert (found.version, found.verdict, [each.kind for each in found.drifts]) == ("2", "warn", ["unknown_version"])

    found = of(order(), version="3", policy={"unknown_version": "ignore"}, **TWO)
    assert [each.kind for each in found.drifts] == ["missing_field"]


def test_the_version_of_the_contract_counts_where_the_document_names_none() -> None:
    agreed = checker(**TWO, version="1")

    found = agreed.check(order(), kind="", version="")
    assert found is not None
    assert (found.version, found.verdict) == ("1", "ok")


def test_kinds_of_documents_have_their_own_versions_and_others_are_not_checked() -> None:
    agreed = checker(versions=[{"version": "1", "kind": "850", "schema": ORDER}])

    assert agreed.check(order(), kind="850", version="").verdict == "ok"  # type: ignore[union-attr]
    assert agreed.check({"anything": 1}, kind="997", version="") is None


# Open and closed objects


@pytest.mark.parametrize(
    ("schema", "data", "unknown"),
    [
        ({"properties": {"a": {}}}, {"a": 1, "b": 2}, ["b"]),
        ({"properties": {"a": {}}, "additionalProperties": True}, {"b": 2}, []),
        ({"type": "object"}, {"b": 2}, []),
        ({"properties": {"a": {}}, "patternProperties": {"^x-": {}}}, {"x-1": 1, "b": 2}, ["b"]),
        ({"properties": {"a": {"properties": {"b": {}}}}}, {"a": {"c": 1}}, ["a.c"]),
        ({"items": {"properties": {"a": {}}}}, [{"a": 1}, {"c": 1}], ["[1].c"]),
        ({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}, {"a": 1, "b": 1, "c": 1}, ["c"]),
        (
            {"allOf": [{"$ref": "#/$defs/base"}], "properties": {"b": {}}, "$defs": {"base": {"properties": {"a": {}}}}},
            {"a": 1, "b": 1, "c": 1},
            ["c"],
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {}}}}}, {"b": 1}, ["b"]),
        (
            {
                "properties": {"n": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}},
                "$defs": {"x": {"properties": {"a": {}}}},
            },
            {"n": {"b": 1}},
            ["n.b"],
        ),
        ({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"type": "object"}]}, {"b": 1}, []),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {}}}, {"b": 1}, ["b"]),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "allOf": [{"$ref": "#/definitions/a"}, {"properties": {"b": {}}}],
                "definitions": {"a": {"properties": {"a": {}}}},
            },
            {"a": 1, "b": 1},
            [],
        ),
        (
            {"$ref": "#/$defs/tree", "$defs": {"tree": {"properties": {"of": {"$ref": "#/$defs/tree"}}}}},
            {"of": {"of": {"x": 1}}},
            ["of.of.x"],
        ),
    ],
)  # fmt: skip
def test_unknown_fields_are_seen_where_the_schema_names_some_and_does_not_say_that_there_may_be_others(
    schema: dict[str, Any], data: Any, unknown: list[str]
) -> None:
    found = TreeCheck(schema, unknown_fields=True).drifts(data)

    assert [each.path for each in found if each.kind == "unknown_field"] == unknown
    assert len(found) == len(unknown)
    assert TreeCheck(schema, unknown_fields=False).drifts(data) == []


def test_the_alternative_that_was_meant_is_the_one_that_is_told() -> None:
    schema = {"properties": {"p": {"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"]}]}}}

    assert TreeCheck(schema, unknown_fields=True).drifts({"p": {}}) == [
        Drift("missing_field", "p.a", "a value, which is required", "nothing")
    ]


@pytest.mark.parametrize(
    ("value", "kind"), [({"a": "\ud800"}, "other"), ({"a": Decimal("NaN")}, "changed_type"), ({1: 2}, "unknown_field")]
)
def test_what_no_json_can_hold_is_drift_and_no_crash(value: Any, kind: str) -> None:
    found = TreeCheck({"properties": {"a": {"type": "number"}}}, unknown_fields=True).drifts(value)

    assert [each.kind for each in found] == [kind]


def test_a_document_that_is_nested_very_deeply_is_checked() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"of": deep}
    schema = {"$ref": "#/$defs/t", "$defs": {"t": {"properties": {"of": {"$ref": "#/$defs/t"}}}}}

    assert TreeCheck(schema, unknown_fields=True).drifts(deep) == []


def test_a_pattern_that_could_run_for_ever_is_stopped() -> None:
    found = TreeCheck({"type": "string", "pattern": r"^(a+)+(?=x)b$"}, unknown_fields=True).drifts("a" * 40 + "!")

    assert [each.kind for each in found] == ["other"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(st.characters(codec=None), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "lines", "sku", "price", "x"]), inner)
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_whatever_comes_is_either_well_or_has_drift_and_nothing_is_raised(data: Any) -> None:
    for known in (True, False):
        check = TreeCheck(ORDER, unknown_fields=known)

        assert check.passes(data) is (check.drifts(data) == [])


# Columns

COLUMNS = {
    "versions": [
        {
            "version": "1",
            "columns": [
                {"name": "sku", "length_max": 6},
                {"name": "n", "type": "integer"},
                {"name": "price", "type": "number", "required": False},
                {"name": "day", "type": "date", "required": False},
                {"name": "state", "words": ["open", "closed"], "required": False},
            ],
        }
    ]
}
ROW = {"sku": "A-1", "n": "5", "price": "1.50", "day": "2026-03-01", "state": "open"}


@pytest.mark.parametrize(
    ("row", "drifts"),
    [
        (ROW, []),
        ({**ROW, "price": "", "day": " "}, []),
        ({"sku": "A", "n": "5"}, []),
        ({**ROW, "n": "5.5"}, [("changed_type", "n", '"5.5"')]),
        ({**ROW, "n": ""}, [("missing_field", "n", "an empty cell")]),
        ({"sku": "A"}, [("missing_field", "n", "no such column")]),
        ({**ROW, "gift": "Y"}, [("unknown_field", "gift", '"Y"')]),
        ({**ROW, "sku": "1234567"}, [("other", "sku", '7: "1234567"')]),
        ({**ROW, "state": "lost"}, [("other", "state", '"lost"')]),
        ({**ROW, "day": "soon"}, [("changed_type", "day", '"soon"')]),
        ({**ROW, "n": 5, "price": Decimal("1.5")}, []),
        ({**ROW, "n": Decimal("5.5")}, [("changed_type", "n", '"5.5"')]),
        ({"sku": "A", "rows": [ROW, {**ROW, "n": "x"}]}, [("changed_type", "rows[1].n", '"x"')]),
        ([], [("changed_type", "", "[]")]),
    ],
)
def test_rows_are_held_against_columns(row: Any, drifts: list[tuple[str, str, str]]) -> None:
    found = of(row, **COLUMNS)

    assert [(each.kind, each.path, each.found) for each in found.drifts] == drifts


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("integer", ["5", "-3", "+7", "007"], ["5.0", "5,5", "x", "1e3"]),
        ("number", ["5", "-3.5", ".5", "1,234.50", "1.234,50", "12,5", "5-"], ["1.2.3", "x", "--1"]),
        ("boolean", ["Y", "no", "TRUE", "0"], ["2", "maybe"]),
        ("date", ["2026-03-01", "20260301", "1.3.2026", "03/01/26", "01-MAR-2026"], ["2026-03", "20261301", "March"]),
        ("time", ["2026-03-01T09:30:00Z", "20260301 0930", "09:30", "9:30 PM", "2026-03-01"], ["soon", "25h"]),
    ],
)
def test_types_of_cells_are_what_partners_write(kind: str, right: list[str], wrong: list[str]) -> None:
    column = {"versions": [{"version": "1", "columns": [{"name": "c", "type": kind}]}]}

    assert [text for text in right if of({"c": text}, **column).drifts] == []
    assert [text for text in wrong if not of({"c": text}, **column).drifts] == []


# Segments

SEGMENTS = {
    "versions": [
        {
            "version": "1",
            "segments": [
                {
                    "segment": "BEG",
                    "min": 1,
                    "max": 1,
                    "elements": [{"at": 1, "words": ["00", "05"], "required": True}, {"at": 5, "type": "date"}],
                },
                {"segment": "N1"},
                {"segment": "PO1", "min": 1, "elements": [{"at": 2, "type": "number", "required": True}]},
                {"segment": "PO1/PID", "max": 2, "closed": True, "elements": [{"at": 5, "length_max": 5}]},
                {"segment": "QTY", "elements": [{"at": 1, "component": 2, "type": "number", "required": True}]},
            ],
        }
    ]
}  # fmt: skip


def message(*segments: list[Any]) -> Node:
    """A message of segments, those of PID below the PO1 before them."""
    root = Node(["ST", "850", "1"], {})
    parent = root
    for each in segments:
        node = Node(each, {})
        below = parent if each[0] == "PID" else root
        assert below.children is not None
        below.children.setdefault(each[0], []).append(node)
        parent = node if each[0] == "PO1" else parent
    return root


BEG, PO1 = ["BEG", "00", "SA", "P1", "", "20260301"], ["PO1", "1", "5", "EA"]


@pytest.mark.parametrize(
    ("segments", "drifts"),
    [
        ([BEG, PO1, ["PID", "", "", "", "", "Thing"]], []),
        ([PO1], [("missing_field", "BEG", "nothing")]),
        ([BEG, BEG, PO1], [("other", "BEG", "2")]),
        ([["BEG", "07", "SA"], PO1], [("other", "BEG.01", '"07"')]),
        ([["BEG", "", "SA"], PO1], [("missing_field", "BEG.01", "nothing")]),
        ([["BEG", "00", "", "", "", "tomorrow"], PO1], [("changed_type", "BEG.05", '"tomorrow"')]),
        ([BEG, PO1, ["PO1", "2", "five"]], [("changed_type", "PO1[1].02", '"five"')]),
        ([BEG, PO1, ["CTT", "1"]], [("unknown_field", "CTT", '"CTT*1"')]),
        ([BEG, PO1, ["PID", "F", "", "", "", "Thing"]], [("unknown_field", "PO1/PID.01", '"F"')]),
        ([BEG, PO1, ["PID", "", "", "", "", "A thing"]], [("other", "PO1/PID.05", '7: "A thing"')]),
        ([BEG, PO1, ["QTY", ["21", "five"]]], [("changed_type", "QTY.01.2", '"five"')]),
        ([BEG, PO1, ["QTY", "21"]], [("missing_field", "QTY.01.2", "nothing")]),
    ],
)
def test_messages_are_held_against_segments(segments: list[list[Any]], drifts: list[tuple[str, str, str]]) -> None:
    found = of(message(*segments), **SEGMENTS)

    assert [(each.kind, each.path, each.found) for each in found.drifts] == drifts


def test_what_is_no_message_is_drift_from_segments() -> None:
    assert of({"a": 1}, **SEGMENTS).drifts == (Drift("changed_type", "", "a message of segments", '{"a":1}'),)
