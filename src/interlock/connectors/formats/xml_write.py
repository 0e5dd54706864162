"""Trees to XML, strictly: names that XML allows, prefixes that are declared, text without characters that XML forbids.

    written({"Order": {"@id": "1", "Line": [{"Sku": "A"}, {"Sku": "B"}]}}) ->  <Order id="1"><Line>...

A value that is None or an empty list is left out; an empty text is an empty element. Numbers are written plainly, true and
false as XML Schema has them. What cannot be written is refused with its path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from interlock.connectors.formats.document import Tree, WriteRefused

_NAME: Final = re.compile(r"(?:[A-Za-z_][\w.\-]*:)?[A-Za-z_][\w.\-]*", re.ASCII)
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)
_DEPTH_MAX: Final = 200


def merged(documents: list[Tree]) -> Mapping[str, Tree]:
    """The documents as one: the contents of their roots, which must be alike, follow one another. Raises WriteRefused."""
    if not documents:
        raise WriteRefused("documents", "none", "at least one document")
    roots = [root_of(document, place) for place, document in enumerate(documents, start=1)]
    name, first = roots[0]
    if len(roots) == 1:
        return {name: first}
    whole: dict[str, Any] = {}
    for place, (other, content) in enumerate(roots, start=1):
        if other != name or not isinstance(content, Mapping) or _head(content) != _head(first):
            raise WriteRefused(
                f"document {place}", other, f"one with the root <{name}> and its attributes, or a file of its own"
            )
        for key, value in content.items():
            if key.startswith("@"):
                whole[key] = value
            else:
                whole.setdefault(key, []).extend(value if isinstance(value, list) else [value])
    return {name: whole}


def root_of(document: Tree, place: int = 1) -> tuple[str, Tree]:
    """The root's name and its content. Raises WriteRefused."""
    if not isinstance(document, Mapping) or len(document) != 1:
        raise WriteRefused(f"document {place}", _shown(document), "an object with one entry: the root element")
    return next(iter(document.items()))


def written(document: Mapping[str, Tree], encoding: str = "UTF-8") -> bytes:
    """The bytes of one XML document. Raises WriteRefused."""
    name, content = root_of(document)
    out = [f'<?xml version="1.0" encoding="{encoding}"?>\n']
    _element(out, name, content, name, frozenset({"xml"}), 0)
    out.append("\n")
    try:
        # What the encoding does not have is written as its number, which every reader understands.
        return "".join(out).encode(encoding, "xmlcharrefreplace")
    except LookupError:
        raise WriteRefused("encoding", encoding, "a known encoding") from None


def _element(out: list[str], name: str, content: Tree, path: str, prefixes: frozenset[str], depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise WriteRefused(path, f"{depth} elements in one another", f"at most {_DEPTH_MAX}")
    if not _NAME.fullmatch(name):
        raise WriteRefused(path, name, "a name that XML allows")
    if not isinstance(content, Mapping):
        _declared(name, path, prefixes)
        text = _text(content, path).translate(_TEXT_ESCAPES)
        out.append(f"<{name}>{text}</{name}>" if text else f"<{name}/>")
        return
    told = {key[1:]: value for key, value in content.items() if key.startswith("@") and value is not None}
    prefixes = prefixes | {key[6:] for key in told if key.startswith("xmlns:")}
    _declared(name, path, prefixes)
    out.append(f"<{name}")
    for key, value in told.items():
        if not _NAME.fullmatch(key):
            raise WriteRefused(f"{path}.@{key}", key, "a name that XML allows")
        if not key.startswith("xmlns:"):
            _declared(key, f"{path}.@{key}", prefixes)
        out.append(f' {key}="{_text(value, f"{path}.@{key}").translate(_ATTRIBUTE_ESCAPES)}"')
    out.append(">")
    before = len(out)
    for key, value in content.items():
        if key.startswith("@") or value is None:
            continue
        if key == "#text":
            out.append(_text(value, path).translate(_TEXT_ESCAPES))
            continue
        for entry in value if isinstance(value, list | tuple) else (value,):
            if entry is not None:
                _element(out, key, entry, f"{path}.{key}", prefixes, depth + 1)
    if len(out) == before:
        out[-1] = "/>"
    else:
        out.append(f"</{name}>")


def _declared(name: str, path: str, prefixes: frozenset[str]) -> None:
    prefix, colon, _ = name.partition(":")
    if colon and prefix not in prefixes and prefix != "xmlns":
        raise WriteRefused(path, prefix, f"a prefix that is declared: @xmlns:{prefix} in it or above it")


def _text(value: Tree, path: str) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int):
        text = str(value)
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    elif isinstance(value, datetime | date):
        text = value.isoformat()
    elif value is None:
        text = ""
    else:
        raise WriteRefused(path, _shown(value), "a text, a number, or an object")
    bad = _FORBIDDEN.search(text)
    if bad is not None:
        raise WriteRefused(path, f"U+{ord(bad[0]):04X}", "text without characters that XML forbids")
    return text


def _head(content: Tree) -> dict[str, Tree]:
    return {key: value for key, value in content.items() if key.startswith("@")} if isinstance(content, Mapping) else {}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
