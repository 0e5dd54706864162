"""The page about mappings: every example on it is run."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from interlock.connectors.recipes.compile import MESSAGE_PARTS, RULE_PARTS, TOP_PARTS
from interlock.connectors.recipes.kitchen import OPERATIONS
from interlock.connectors.recipes.modifiers import ORDER
from tests.connectors.recipes.kit import document, recipe, template

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mappings.md"
BLOCK = re.compile(
    r"^```(\w+) (mapping|template|document|records|message|sent)(?: (\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL
)
SETTINGS = {"channel": "web"}


class Example(NamedTuple):
    line: int
    mapping: str
    kind: str
    given: str
    expected: str


def examples() -> list[Example]:
    """A mapping with each pair of what is given and what it becomes that follows it."""
    text = PAGE.read_text()
    found, mapping, kind, given = [], "", "", ""
    for block in BLOCK.finditer(text):
        _, word, kind_here, content = block.groups()
        if word in ("mapping", "template"):
            mapping, kind = content, kind_here or ""
        elif word in ("document", "message"):
            given = content
        else:
            found.append(Example(text.count("\n", 0, block.start()) + 1, mapping, kind, given, content))
    return found


EXAMPLES = examples()


def plain(value: Any) -> Any:
    """A value as JSON says it, decimals as text."""
    return msgspec.json.decode(msgspec.json.Encoder(decimal_format="string").encode(value))


def test_the_page_has_examples_of_both_ways() -> None:
    assert {bool(example.kind) for example in EXAMPLES} == {False, True}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line {example.line}")
def test_an_example_of_the_page_becomes_what_the_page_says(example: Example) -> None:
    given = msgspec.json.Decoder(float_hook=Decimal).decode(example.given)
    expected = msgspec.json.decode(example.expected)

    if example.kind:
        assert plain(template(example.mapping, example.kind).document(given)) == expected  # type: ignore[arg-type]
        return
    settings = SETTINGS if "%channel" in example.mapping else {}
    made = recipe(example.mapping, **settings).records(document(given))
    assert [{"action": each.action, **plain(each.fields)} for each in made] == expected


@pytest.mark.parametrize("word", [*ORDER, *OPERATIONS, *TOP_PARTS, *RULE_PARTS, *MESSAGE_PARTS])
def test_the_page_tells_every_word_of_the_language(word: str) -> None:
    assert re.search(rf"`[^`]*\b{word}\b[^`]*`", PAGE.read_text())
