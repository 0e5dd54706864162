"""Regular expressions of schemas: whether they can be read, and whether a name fits one.

They are read by the validator's engine, which knows their dialect (ECMA 262) and never takes long over a text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

# `[\w-.]`: a class and a hyphen, which browsers take for three things and stricter engines for a range that is none.
_LOOSE_HYPHEN: Final = re.compile(r"(\\[wdsWDS])-(?!\])")


def is_pattern(text: str) -> bool:
    """Whether it is a regular expression, if only to Python: what some engine reads is let through."""
    if _matcher(text) is not None:
        return True
    try:
        re.compile(_strict(text))
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def fits(pattern: str, name: str) -> bool:
    """Whether the pattern is found in the name; no where the engine cannot read the pattern."""
    matcher = _matcher(pattern)
    return matcher is not None and bool(matcher.is_valid(name))


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Any:
    import jsonschema_rs

    for text in (pattern, _strict(pattern)):
        try:
            return jsonschema_rs.Draft202012Validator({"pattern": text})
        except ValueError:  # the library's ValidationError is one
            continue
    return None


def _strict(pattern: str) -> str:
    return _LOOSE_HYPHEN.sub(r"\1\\-", pattern)
