"""What a mistake in an estate is, and the words it is told in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

Path = tuple[str | int, ...]

SECRET_FIELDS = re.compile("key|token|secret|passw|credential", re.IGNORECASE)
HOW_TO_HASH = "store only its hash under api_key_sha256: printf %s 'THE-KEY' | sha256sum"

_SHOWN_MAX = 80


class Mistake(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong in an estate file: where it stands, what was found, what was expected, and what was
    probably meant.

    `problem` tells what was found in words ("found 'x'", "missing"), `value` is the value alone as it is
    shown, `suggestion` what to do, where we can tell.
    """

    file: str
    line: int
    column: int
    path: str
    value: str
    problem: str
    expected: str
    suggestion: str = ""

    def __str__(self) -> str:
        """One line: file:line:column: path: problem; expected ...; suggestion."""
        place = f"{self.file}:{self.line}:{self.column}: " + (f"{self.path}: " if self.path else "")
        return f"{place}{self.problem}; expected {self.expected}" + (f"; {self.suggestion}" if self.suggestion else "")


def dotted(path: Path) -> str:
    """A path as people write it: `nodes.dc-1.hours[0].opens`; a key that is no plain word stands in
    quotes.
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]{1,100}", step):
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step)}]"
    return text


def expectation(rule: Mapping[str, Any]) -> str:
    """What the schema wants, in words."""
    if "x-expected" in rule:
        return str(rule["x-expected"])
    if "const" in rule:
        return f"the word {rule['const']}"
    if "enum" in rule:
        return "one of " + ", ".join(rule["enum"])
    kind = rule.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        return f"{noun} from {rule['minimum']:,} to {rule['maximum']:,}" if "maximum" in rule else noun
    if kind == "string":
        return f"text of at most {rule['maxLength']} characters"
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        return "a list"
    named = rule.get("properties")
    return (
        "a mapping with the fields " + ", ".join(rule.get("required") or named)
        if named
        else "a mapping of names to values"
    )


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)} fields"
    if isinstance(value, list):
        return f"a list of {len(value)} entries"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."


def may_be_secret(path: Path, found: Any) -> bool:
    """Whether this may be a key that somebody wrote in clear, or an address with a password in it."""
    if isinstance(found, str) and "://" in found and "@" in found:
        return True
    return path[:1] == ("systems",) and any(SECRET_FIELDS.search(str(step)) for step in path[2:])


def plainly(value: Any) -> str:
    """The value alone, for `Mistake.value`: text as it is, nothing as the empty text."""
    if value is None:
        return ""
    return value[:200] if isinstance(value, str) else shown(value)


def did_you_mean(found: str, names: Iterable[str]) -> str:
    """A guess at the name that was meant, or nothing."""
    folded = {name.casefold(): name for name in names}
    close = get_close_matches(found.casefold(), list(folded), 1, 0.6)
    return f"did you mean {folded[close[0]]}?" if close else ""
