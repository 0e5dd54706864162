"""Write the table of `interlock.domain.reversals` into docs/reversals.md, between its two marks; the prose stays as it is.

.venv/bin/python scripts/write_reversals_page.py
"""

from __future__ import annotations

from pathlib import Path

from interlock.domain import reversals

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reversals.md"
BEGIN = "<!-- the table begins: made by scripts/write_reversals_page.py, do not edit -->\n"
END = "<!-- the table ends -->\n"


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError(f"{PAGE} has lost its marks: it needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{reversals.as_markdown()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
