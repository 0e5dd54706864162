"""The fields of `estate.yaml` as Markdown tables, from the published schema.

docs/estate.md holds them between two marks; `python -m interlock.contracts.estate_fields docs/estate.md`
brings them up to date, and a test fails where they are not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from interlock.contracts.estate_mistakes import expectation
from interlock.contracts.estate_schema import Schema, resolved, schema

BEGIN = "<!-- fields: written from the published schema -->"
END = "<!-- end of fields -->"


def field_tables() -> str:
    """A heading and a table for the file and for each kind of entry in it."""
    return "\n".join(_tables())


def with_tables(page: str) -> str:
    """The page with the tables between its marks brought up to date. Raises ValueError where a mark is
    missing.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{field_tables()}\n{END}{after}"


def _tables() -> Iterator[str]:
    parts = {
        "the file": schema(),
        **{name: part for name, part in schema()["$defs"].items() if "properties" in part},
    }
    for name, part in parts.items():
        yield f"\n### {name}\n\n{part['description']}\n"
        yield "| field | must | meaning | expected | without it |"
        yield "|---|---|---|---|---|"
        for field, described in part["properties"].items():
            rule = resolved(described)
            must = "yes" if field in part["required"] else ""
            default = f"`{json.dumps(rule['default'])}`" if "default" in rule else ""
            yield f"| `{field}` | {must} | {rule['description']} | {_expected(rule)} | {default} |"


def _expected(rule: Schema) -> str:
    """What may stand there, in words; a reference to a section names it."""
    if "x-names" in rule:
        return f"the id of one of {rule['x-names']}"
    if rule.get("type") == "array":
        return f"a list; each: {_expected(resolved(rule['items']))}"
    if rule.get("type") == "object" and "additionalProperties" in rule and "properties" not in rule:
        return f"names to values; each value: {_expected(resolved(rule['additionalProperties']))}"
    return expectation(rule)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        page = Path(argument)
        page.write_text(with_tables(page.read_text("utf-8")), "utf-8")
