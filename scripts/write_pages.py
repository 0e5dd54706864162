"""Write the tables that are data of the program into the pages that show them, between two marks; the prose stays as it is.

.venv/bin/python scripts/write_pages.py
"""

from __future__ import annotations

from pathlib import Path

from interlock.domain import disorder, lifecycle, reversals

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN = "<!-- the table begins: made by scripts/write_pages.py, do not edit -->\n"
END = "<!-- the table ends -->\n"
TABLES = {
    "lifecycle.md": lifecycle.as_markdown,
    "disorder.md": disorder.as_markdown,
    "reversals.md": reversals.as_markdown,
}


def with_table(page: str, table: str) -> str:
    """The page with this table. Raises ValueError where it has lost its marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has lost its marks: it needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    for name, table in TABLES.items():
        page = DOCS / name
        page.write_text(with_table(page.read_text(), table()))
