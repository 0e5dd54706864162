"""Schemas that a marketplace publishes, read where they lie in `../shared/corpora` beside the checkout."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.compatibility import compare, differences
from interlock.contracts.compatibility.kinds import is_compatible
from interlock.contracts.compatibility.resolve import escaped, schemas_in
from interlock.contracts.schema_files import load_schema
from interlock.domain.errors import SchemaInvalid
from tests.contracts.compatibility.made_up import plain_schema

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpora" / "05-api-json"
PUBLISHED = sorted(CORPUS.glob("*schema__*.json")) if CORPUS.is_dir() else []
# Published with an empty `definitions` that its root refers into.
BROKEN = "amazon_spapi__schema__ShipmentTrackingMilestoneChangedNotification.json"
SCHEMAS = [path for path in PUBLISHED if path.name != BROKEN]

pytestmark = pytest.mark.skipif(not SCHEMAS, reason="needs ../shared/corpora beside the checkout")


def test_a_schema_that_was_published_broken_is_refused_with_the_place() -> None:
    with pytest.raises(SchemaInvalid) as invalid:
        load_schema(CORPUS / BROKEN)

    assert [each.partition(".json: ")[2] for each in invalid.value.mistakes] == [
        "/$ref: found '#/definitions/Notification'; expected a reference to a schema that is there"
    ]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_a_published_schema_is_read_and_breaks_nothing_that_it_is(path: Path) -> None:
    schema = load_schema(path)

    assert compare(schema, load_schema(path), "FULL_TRANSITIVE") == []
    assert differences(schema, schema) == []


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_type_that_changes_is_found_at_its_place(path: Path) -> None:
    published = load_schema(path).value
    found = 0
    for _, pointer in list(schemas_in(published)):
        new = copy.deepcopy(published)
        place = at(new, pointer)
        if not isinstance(place.get("type"), str) or set(place) & {"enum", "const", "anyOf", "oneOf", "allOf"}:
            continue
        if "/anyOf/" in pointer or "/oneOf/" in pointer or "/definitions/" in pointer or "/$defs/" in pointer:
            continue
        other = "boolean" if place["type"] != "boolean" else "string"
        before = place["type"]
        place.clear()
        place["type"] = other

        broken = {(each.kind, each.pointer) for each in compare(published, new)}

        # A schema that says two things, such as `type: array` beside `properties`, is told as a combination too.
        assert ("TYPE_CHANGED", pointer) in broken, before
        assert {kind for kind, _ in broken} <= {"TYPE_CHANGED", "COMBINED_TYPE_SUBSCHEMAS_CHANGED"}
        assert all(pointer.startswith(place) for _, place in broken)
        found += 1
    assert found >= 5


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_property_that_is_added_removed_or_required_is_named(path: Path) -> None:
    published = load_schema(path).value
    for schema, pointer in list(schemas_in(published)):
        if not isinstance(schema.get("properties"), dict) or not schema["properties"] or "/anyOf/" in pointer:
            continue
        new = copy.deepcopy(published)
        changed = at(new, pointer)
        changed["properties"]["interlock added"] = {"type": "string"}
        gone = next(iter(schema["properties"]))
        del changed["properties"][gone]

        found = {(each.kind, each.pointer) for each in differences(published, new) if "properties" in each.pointer}

        assert any(kind.startswith("PROPERTY_ADDED") or "OPTIONAL_PROPERTY_ADDED" in kind for kind, _ in found)
        assert any(kind.startswith("PROPERTY_REMOVED") and at.endswith(f"/{escaped(gone)}") for kind, at in found)


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_changes_by_chance_are_told_without_a_crash_and_alike_from_both_sides(path: Path) -> None:
    published = load_schema(path).value
    for seed in range(20):
        chance = random.Random(seed)
        new = copy.deepcopy(published)
        places = [pointer for _, pointer in schemas_in(new) if pointer]
        for pointer in chance.sample(places, min(4, len(places))):
            above, _, step = pointer.rpartition("/")
            container = at(new, above)
            if not isinstance(container, dict | list):
                continue
            key: Any = int(step) if isinstance(container, list) else step.replace("~1", "/").replace("~0", "~")
            container[key] = plain_schema(chance, 2)

        try:
            forward = differences(published, new, "forward")
        except SchemaInvalid as invalid:
            assert all("a reference to a schema that is there" in each for each in invalid.mistakes), seed
            continue  # a change has taken away what another place refers to

        mirrored = differences(new, published)
        assert [(each.kind, each.pointer) for each in forward] == [(each.kind, each.pointer) for each in mirrored], seed
        assert bool(compare(new, published)) == any(not is_compatible(each.kind) for each in forward)


def at(value: Any, pointer: str) -> Any:
    """What a pointer leads to; None where a change has cut the way off."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
