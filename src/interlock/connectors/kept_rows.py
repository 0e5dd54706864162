"""How rows that are kept without their header say what their columns are: in their content type, so that they can be read again.

text/csv; charset=cp1252; header=absent; delimiter=%3B; columns=TRANS_NO,STAT,LN        (RFC 4180, and our two more)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

COLUMNS_MAX: Final = 4_000
"""Characters: where the names of the columns are longer, they are left out, and such rows cannot be read again."""


def rows_type(encoding: str, columns: Sequence[str], delimiter: str) -> str:
    """The content type of rows of a table."""
    sign = "" if delimiter == "," else f"; delimiter={quote(delimiter, safe='')}"
    return with_columns(f"text/csv; charset={encoding}; header=absent{sign}", columns)


def with_columns(content_type: str, columns: Sequence[str]) -> str:
    """A content type that says what the columns are."""
    names = ",".join([quote(name, safe=" ") for name in columns])
    return f"{content_type}; columns={names}" if len(names) <= COLUMNS_MAX else content_type


@lru_cache(1_000)
def parameters(content_type: str) -> tuple[str, dict[str, str]]:
    """A content type's media type and parameters, in lower case but for the values."""
    media, *rest = content_type.split(";")
    pairs = (each.strip().partition("=") for each in rest)
    return media.strip().lower(), {name.lower(): value for name, _, value in pairs}


def columns_of(given: dict[str, str]) -> tuple[str, ...]:
    """The names of the columns; none where they were not written down."""
    text = given.get("columns", "")
    return tuple(unquote(name) for name in text.split(",")) if text else ()


def delimiter_of(given: dict[str, str]) -> str:
    """What stands between the cells."""
    return unquote(given.get("delimiter", ","))
