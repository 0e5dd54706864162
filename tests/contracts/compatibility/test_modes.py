"""The modes, and beliefs about schemas that hold one another."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.contracts.compatibility import Mode, compare, differences, schema_of

V1 = {"type": "object", "properties": {"sku": {"type": "string"}}, "additionalProperties": False}
V2 = {**V1, "properties": {**V1["properties"], "gift": {"type": "boolean"}}}
V3 = {**V1, "properties": {**V1["properties"], "gift": {"type": "string"}}}


def kinds(old: Any, new: Any, mode: str) -> list[tuple[str, str, str]]:
    return [(each.direction, each.pointer, each.kind) for each in compare(old, new, mode)]


def test_a_property_added_to_closed_content_is_backward_and_not_forward_compatible() -> None:
    gone = ("forward", "/properties/gift", "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL")

    assert kinds(V1, V2, "BACKWARD") == []
    assert kinds(V1, V2, "FORWARD") == [gone]
    assert kinds(V1, V2, "FULL") == [gone]
    assert kinds(V1, V2, "NONE") == []


def test_a_property_added_to_open_content_is_forward_and_not_backward_compatible() -> None:
    old, new = {**V1, "additionalProperties": True}, {**V2, "additionalProperties": True}

    assert kinds(old, new, "BACKWARD") == [("backward", "/properties/gift", "PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL")]
    assert kinds(old, new, "FORWARD") == []


def test_only_a_transitive_mode_sees_what_an_earlier_version_had() -> None:
    versions = [V2, V1]

    assert kinds(versions, V3, "BACKWARD") == []
    assert kinds(versions, V3, "BACKWARD_TRANSITIVE") == [("backward", "/properties/gift", "TYPE_CHANGED")]


def test_a_break_says_what_was_what_is_and_against_which_version() -> None:
    old, new = schema_of({"type": "string", "maxLength": 9}, "v1"), schema_of({"type": "string", "maxLength": 5}, "v2")

    (broken,) = compare(old, new, Mode.FULL)

    assert (broken.kind, broken.pointer, broken.keyword) == ("MAX_LENGTH_DECREASED", "/maxLength", "maxLength")
    assert (broken.old, broken.new, broken.direction, broken.mode) == (9, 5, "backward", Mode.FULL)
    assert broken.against == "v1"
    assert broken.explanation == (
        "Old data may have text up to 9 characters here; a reader with the new schema takes at most 5."
    )


def test_forward_tells_old_and_new_in_the_order_of_time() -> None:
    (broken,) = compare({"type": "integer"}, {"type": "number"}, "FORWARD")

    assert (broken.kind, broken.old, broken.new) == ("TYPE_NARROWED", "integer", "number")
    assert broken.explanation == (
        "New data may have a number with a fraction here; a reader with the old schema takes only whole ones."
    )


def test_values_that_were_lost_are_named() -> None:
    (broken,) = compare({"enum": ["web", "pos", 7, None]}, {"enum": ["web"]})

    assert (
        broken.explanation
        == "Old data may have a value that a reader with the new schema takes no longer: pos, 7, null."
    )


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="SIDEWAYS"):
        compare({}, {}, "SIDEWAYS")


def test_no_versions_break_nothing() -> None:
    assert compare([], {"type": "string"}, "FULL_TRANSITIVE") == []
    assert compare([], {"type": "string"}, "FULL") == []


def test_numbers_larger_than_machine_words_are_told() -> None:
    (broken,) = compare({"maximum": 10**40}, {"maximum": 10**39})

    assert str(10**39) in broken.explanation


def test_what_was_believed_of_schemas_that_hold_one_another_is_worked_out_again_when_it_was_wrong() -> None:
    """The pair (a, x) is first asked for while (a, x) itself is compared, inside of a part that finds no counterpart.

    To keep what was found there would call `b` compatible with `y` though `b` holds an `a` that broke.
    """

    def holding(number: str) -> dict[str, Any]:
        first = {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}, "n": {"type": number}}}
        second = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}
        choice = {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}, {"$ref": "#/$defs/b"}]}
        return {**choice, "$defs": {"a": first, "b": second}}

    found = {(each.kind, each.pointer) for each in compare(holding("number"), holding("integer"))}

    assert ("COMBINED_TYPE_SUBSCHEMAS_CHANGED", "") in found
    assert ("TYPE_NARROWED", "/anyOf/0/properties/n") in found
    assert ("TYPE_NARROWED", "/anyOf/2/properties/a/properties/n") in found
    assert compare(holding("integer"), holding("number")) == []


def test_the_differences_of_a_direction_can_be_asked_for_alone() -> None:
    backward, forward = differences(V1, V2), differences(V1, V2, "forward")

    assert [(each.kind, each.compatible) for each in backward] == [
        ("OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", True)
    ]
    assert [(each.kind, each.compatible) for each in forward] == [("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", False)]
