"""Contracts drafted from samples: what they say, what they ask a person, and that every sample passes them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.connectors.formats.document import Document
from interlock.connectors.formats.readers import reader
from interlock.contracts.estate_file import read_estate
from interlock.contracts.estate_yaml import compose
from interlock.contracts.external.checker import Checker
from interlock.contracts.external.infer import Draft, Form, infer
from interlock.contracts.external.read import read_contract
from interlock.contracts.external.write import as_yaml
from interlock.domain.links import Format, FormatKind
from tests.contracts.tiny_estate import SMALL

HERE = Path(__file__).parent


def read_back(draft: Draft) -> Checker:
    """The draft as YAML, read as a contract of an estate."""
    root, flaws = compose(as_yaml(draft.contract, draft.notes))
    assert flaws == []
    assert root is not None
    contract, mistakes = read_contract("drafted", root.plain(), HERE)
    assert mistakes == []
    assert contract is not None
    return Checker(contract)


def drafted(documents: list[Any], form: Form = "schema") -> Any:
    draft = infer([("", each) for each in documents], "drafted", form, by_kind=False)
    return draft.contract["versions"][0][form]


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["2026-03-01", "2026-03-01T09:30:00Z", "12.50", "-3", "007", "open", "a@b.example", "http://a.b/c", "true"]
    ),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    st.uuids().map(str),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), TEXTS)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TREES, min_size=1, max_size=30))
def test_every_sample_passes_what_was_drafted_from_it(samples: list[Any]) -> None:
    checker = read_back(infer([("", each) for each in samples], "drafted", "schema", by_kind=False))

    for each in samples:
        checked = checker.check(each, kind="", version="")
        assert checked is not None
        assert checked.drifts == ()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=5, unique=True).flatmap(
        lambda names: st.lists(st.fixed_dictionaries({name: TEXTS for name in names}), min_size=1, max_size=80)
    )
)
def test_every_row_passes_the_columns_that_were_drafted_from_it(rows: list[dict[str, str]]) -> None:
    checker = read_back(infer([("row", each) for each in rows], "drafted", "columns", by_kind=False))

    assert [checker.check(each, kind="row", version="").drifts for each in rows] == [()] * len(rows)  # type: ignore[union-attr]


def test_types_are_widened_and_required_is_what_all_samples_have() -> None:
    samples: list[Any] = [
        {"id": 1, "total": 5, "note": None, "lines": [{"sku": "A", "n": 1}]},
        {"id": 2, "total": Decimal("5.5"), "note": "x", "gift": True, "lines": []},
        {"id": 3, "total": 7, "note": "y", "lines": [{"sku": "B"}]},
    ]

    assert drafted(samples) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "total": {"type": "number"},
            "note": {"type": ["null", "string"], "maxLength": 10},
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"sku": {"type": "string", "maxLength": 10}, "n": {"type": "integer"}},
                    "required": ["sku"],
                },
            },
            "gift": {"type": "boolean"},
        },
        "required": ["id", "total", "note", "lines"],
    }


@pytest.mark.parametrize(
    ("texts", "made"),
    [
        (["2026-03-01T09:30:00Z", "2026-03-01T09:30:00+01:00"], {"format": "date-time"}),
        (["2026-03-01", "2024-02-29"], {"format": "date"}),
        (["2026-03-01", "2026-02-30"], {"maxLength": 20}),
        (["7d444840-9dc0-11d1-b245-5ffdce74fad2"], {"format": "uuid"}),
        (["kim@example.com"], {"format": "email"}),
        (["https://shop.example.com/a"], {"format": "uri"}),
        (["19.99", "5", "-0.50"], {"pattern": "^-?[0-9]+([.][0-9]+)?$"}),
        (["40202", "10115"], {"maxLength": 10}),
        (["open", "closed", "open"] * 10, {"enum": ["closed", "open"]}),
        (["open", "closed"], {"maxLength": 20}),
        (["19.99", ""], {"maxLength": 10}),
    ],
)
def test_texts_become_formats_words_and_lengths(texts: list[str], made: dict[str, Any]) -> None:
    schema = drafted(texts)

    assert {key: value for key, value in schema.items() if key not in ("$schema", "type")} == made


def test_it_says_how_many_samples_there_were_and_what_was_ambiguous() -> None:
    samples = [{"state": "open" if n % 2 else "closed", "zip": 1 if n else "x", "price": "1.50"} for n in range(20)]

    draft = infer([("", each) for each in samples], "drafted", "schema", by_kind=False)

    assert draft.samples == 20
    assert draft.notes == (
        "state: 2 words in 20 samples (closed, open); are there others?",
        "zip: several types (19 integer, 1 string); is that agreed?",
        "price: a decimal number as text, in 20 samples",
    )
    few = infer([("", 1)], "drafted", "schema", by_kind=False)
    assert few.notes == ("few samples (1): what is required, and what may be, is little more than a guess",)


def test_many_names_that_hardly_come_twice_are_a_table_from_names_to_values() -> None:
    samples = [{"stock": {f"SKU-{n}-{place}": n for place in range(10)}} for n in range(20)]

    assert drafted(samples)["properties"]["stock"] == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_what_is_nested_deeper_than_an_estate_can_say_is_left_open() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}

    draft = infer([("", deep)], "drafted", "schema", by_kind=False)

    assert read_back(draft).check(deep, kind="", version="").verdict == "ok"  # type: ignore[union-attr]
    assert any("nested too deeply" in note for note in draft.notes)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("\ud800", "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        (Decimal("NaN"), "no number"),
        ({1: 2}, "not text"),
    ],
)
def test_what_no_schema_describes_is_refused(value: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        infer([("", value)], "drafted", "schema", by_kind=False)


def test_without_a_document_there_is_nothing_to_draft() -> None:
    with pytest.raises(ValueError, match="no document"):
        infer([], "drafted", "schema", by_kind=False)


def test_columns_have_the_narrowest_type_that_all_cells_have() -> None:
    rows = [
        {
            "id": str(n),
            "store": f"{n:05}",
            "price": f"{n}.50",
            "day": f"2026-03-{n % 28 + 1:02}",
            "at": f"2026-03-01T09:{n % 60:02}:00",
            "gift": "Y" if n % 2 else "N",
            "state": "open" if n % 3 else "closed",
            "note": "" if n % 2 else "hello",
        }
        for n in range(60)
    ]

    assert drafted(rows, "columns") == [
        {"name": "id", "type": "integer"},
        {"name": "store", "length_max": 10},
        {"name": "price", "type": "number"},
        {"name": "day", "type": "date"},
        {"name": "at", "type": "time"},
        {"name": "gift", "type": "boolean"},
        {"name": "state", "words": ["closed", "open"]},
        {"name": "note", "length_max": 10, "required": False},
    ]


SAMPLES: list[tuple[FormatKind, Form, str]] = [
    ("x12", "segments", "x12"),
    ("edifact", "segments", "edifact"),
    ("poslog", "schema", "poslog"),
    ("idoc_xml", "schema", "idoc"),
    ("ubl", "schema", "ubl"),
    ("gs1", "schema", "gs1"),
]


@pytest.mark.parametrize(("kind", "form", "folder"), SAMPLES)
def test_all_documents_of_a_format_pass_what_was_drafted_from_them(kind: FormatKind, form: Form, folder: str) -> None:
    documents: list[Document] = []
    for path in sorted((HERE.parent.parent / "data" / folder).rglob("*")):
        try:
            found = list(reader(kind)([path.read_bytes()], Format(kind=kind))) if path.is_file() else []
        except Exception:  # other files lie there as well, some of them broken on purpose
            continue
        documents += [each for each in found if isinstance(each, Document)]
    assert documents

    draft = infer([(each.kind, each.data) for each in documents], "drafted", form, by_kind=True)

    checker = read_back(draft)
    for each in documents:
        checked = checker.check(each.data, kind=each.kind, version="")
        assert checked is not None
        assert checked.drifts == ()


def test_a_draft_is_what_an_estate_takes() -> None:
    draft = infer([("", {"id": 1, "odd: name": "#x", "yes": "no"})], "drafted", "schema", by_kind=False)
    text = as_yaml(draft.contract)
    inline = "contracts:\n  drafted:\n" + "".join(f"    {line}\n" for line in text.splitlines())

    estate, mistakes = read_estate(SMALL + inline, "estate.yaml")

    assert mistakes == []
    assert estate is not None
    assert list(estate.contracts) == ["drafted"]
