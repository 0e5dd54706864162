"""The page tells every kind, and on the right side."""

from __future__ import annotations

import re
from pathlib import Path

from interlock.contracts.compatibility.kinds import KINDS

PAGE = Path(__file__).parents[3] / "docs" / "contracts-compatibility.md"


def test_the_page_lists_every_kind_under_breaks_or_harmless_as_it_is() -> None:
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("|") and line.count("|") == 4]
    breaking = {kind for row in rows for kind in re.findall(r"`([A-Z_]+[A-Z])`", row[2])}
    harmless = {kind for row in rows for kind in re.findall(r"`([A-Z_]+[A-Z])`", row[3])}

    assert breaking & set(KINDS) == {kind for kind, told in KINDS.items() if not told.compatible}
    assert harmless & set(KINDS) == {kind for kind, told in KINDS.items() if told.compatible}


def test_what_the_page_says_passes_or_breaks_does_so() -> None:
    from interlock.contracts.compatibility import compare

    passes = [
        ({"type": "object"}, {"type": "object", "required": ["sku"]}),
        ({"maxLength": 5}, {"type": "string", "maxLength": 5}),
        ({"oneOf": [{"type": "integer"}]}, {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        ({"type": "string"}, {"type": "string", "format": "date"}),
        ({"patternProperties": {"^x": True}}, {"patternProperties": {"^x": False}}),
    ]
    breaks = [
        ({"const": 1}, {"enum": [1]}),
        ({"enum": ["a"]}, {"type": "string"}),
        ({"type": "array"}, {"type": "array", "items": {}}),
    ]

    assert [bool(compare(old, new)) for old, new in passes] == [False] * 5
    assert [bool(compare(old, new)) for old, new in breaks] == [True] * 3
