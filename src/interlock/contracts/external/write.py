"""A contract as YAML such as the estate takes: block style, quotes wherever a word could be read as something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$./-]*(?: [A-Za-z0-9_$./-]+)*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def as_yaml(value: dict[str, Any], comments: Iterable[str] = ()) -> str:
    """The text, comments first, a line each."""
    lines = [f"# {' '.join(_printable(each).split())}" for each in comments]
    return "\n".join([*lines, *_block(value, "")]) + "\n"


def _block(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if _is_block(each):
                yield f"{indent}{_scalar(key)}:"
                yield from _block(each, indent + ("  " if isinstance(each, dict) else ""))
            else:
                yield f"{indent}{_scalar(key)}: {_flow(each)}"
    else:
        for each in value:
            if _is_block(each):
                first, *others = _block(each, indent + "  ")
                yield f"{indent}- {first.removeprefix(indent + '  ')}"
                yield from others
            else:
                yield f"{indent}- {_flow(each)}"


def _is_block(value: Any) -> bool:
    """Whether a value needs lines of its own: what is short and has nothing below stands in one."""
    if isinstance(value, dict | list) and value:
        return any(
            isinstance(each, dict | list) for each in (value.values() if isinstance(value, dict) else value)
        ) or (len(_flow(value)) > 100)
    return False


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.casefold() not in _WORDS and len(text) < 100:
        return text
    return f'"{"".join(map(_character, text))}"'


def _character(one: str) -> str:
    if one in '"\\':
        return "\\" + one
    if one.isprintable() and one != "\ufeff":
        return one
    code = ord(one)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)
