"""Write the matrix of `interlock.domain.disorder` into docs/disorder.md, between its two marks; the prose stays as it is.

.venv/bin/python scripts/write_disorder_page.py
"""

from __future__ import annotations

from pathlib import Path

from interlock.domain import disorder

PAGE = Path(__file__).resolve().parent.parent / "docs" / "disorder.md"
BEGIN = "<!-- the matrix begins: made by scripts/write_disorder_page.py, do not edit -->\n"
END = "<!-- the matrix ends -->\n"


def with_matrix(page: str) -> str:
    """The page with the matrix as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError(f"{PAGE} has lost its marks: it needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{disorder.as_markdown()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_matrix(PAGE.read_text()))
