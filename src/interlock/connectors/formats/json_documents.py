"""JSON as documents: the whole text, or each entry of the list in it that `item` names, however large the text is.

    {"store": 5, "orders": [{...}, {...}]}      item: orders      two documents, with store 5 as @around.store
    [{...}, {...}]                              no item           two documents
    {...}                                       no item           one document

Numbers with a point stay exact. A text of ordinary size is read at once; a larger one, or one that is broken somewhere, is split
entry by entry, so that memory is bounded by an entry, and those before the broken place come through.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import msgspec

from interlock.connectors.formats.document import (
    DOCUMENT_BYTES_MAX,
    Document,
    Flaw,
    FormatUnreadable,
    Item,
    Numbers,
    Tree,
    WriteRefused,
)
from interlock.connectors.formats.json_split import Split, TooLarge, split
from interlock.domain.links import Format

MEDIA_TYPE: Final = "application/json"
AT_ONCE_BYTES_MAX: Final = 4 * 1024 * 1024
SHOWN_MAX: Final = 200
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_raw_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_raw_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BOM: Final = b"\xef\xbb\xbf"
_WIDE: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read(source: Iterable[bytes], form: Format) -> Iterator[Item]:
    """The documents of a JSON text. Raises FormatUnreadable for an encoding that is none."""
    blocks = iter(_utf8(source, form.encoding))
    head = bytearray()
    for block in blocks:
        head += block
        if len(head) > AT_ONCE_BYTES_MAX:
            break
    else:
        text = bytes(head)
        if text.startswith(_BOM):
            text = text[3:]
        try:
            items = list(_at_once(text, form.item))
        except (msgspec.DecodeError, RecursionError):
            pass
        else:
            yield from items
            return
        yield from _split(iter([text]), form.item, text)
        return
    yield from _split(chain([bytes(head).removeprefix(_BOM)], blocks), form.item)


def document(raw: bytes, kind: str, place: str, context: dict[str, Tree]) -> Document | Flaw:
    """One JSON value as a document, or what is wrong with it."""
    try:
        data = _decode(raw)
        # Each key is followed by a colon: where there are fewer keys than `":`, one may have been there twice.
        twice = _double_key(raw) if raw.count(b'":') != keys_in(data) else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Flaw(place, "unreadable", "JSON", str(error)[:SHOWN_MAX], "a JSON value in UTF-8", raw, kind)
    if twice:
        return Flaw(place, "unreadable", twice, "", "a key that is there only once in its object", raw, kind)
    return Document(kind, place, data, raw, context)


def keys_in(value: Any) -> int:
    """How many keys the objects in a value have together."""
    if type(value) is dict:
        count = len(value)
        for each in value.values():
            if type(each) is dict or type(each) is list:
                count += keys_in(each)
        return count
    if type(value) is list:
        return sum([keys_in(each) for each in value if type(each) is dict or type(each) is list])
    return 0


def _double_key(raw: bytes) -> str:
    """A key that one object has twice; "" where there is none."""
    twice: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                twice.append(name)
            seen.add(name)

    json.loads(raw, object_pairs_hook=note, parse_int=str)
    return twice[0] if twice else ""


def write(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:  # noqa: ARG001 - JSON has no control numbers
    """The documents as one JSON text: the only one as it is, several as a list; under `item` where the format names it.

    Raises WriteRefused for what JSON cannot say.
    """
    value: Any = documents[0] if len(documents) == 1 and not form.item else documents
    for name in reversed(form.item.split(".") if form.item else []):
        value = {name: value}
    return encoded(value)


def encoded(value: Tree) -> bytes:
    """A value as JSON, exact numbers as numbers. Raises WriteRefused."""
    try:
        return msgspec.json.Encoder(decimal_format="number").encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WriteRefused("JSON", type(value).__name__, f"a value that JSON can hold: {error}") from None


# At once


def _at_once(text: bytes, item: str) -> Iterator[Item]:
    """The documents of a text that is a whole. Raises DecodeError where it is not."""
    context: dict[str, Tree] = {}
    part = msgspec.Raw(text)
    for name in item.split(".") if item else ():
        found = _object(bytes(part))
        if found is None or name not in found:
            _decode(text)  # a broken text is told as such
            yield _no_item(item, bytes(part))
            return
        around = _around(found, name)
        context = {"around": around} if around else context
        part = found[name]
    raw = bytes(part).strip()
    if raw.startswith(b"["):
        for place, each in enumerate(_raw_list(raw), 1):
            yield document(bytes(each).strip(), "item", f"item {place}", context)
    elif raw == b"null" and item:
        return
    else:
        _decode(raw)
        yield document(raw, "object", "object", context)


def _object(raw: bytes) -> dict[str, msgspec.Raw] | None:
    return _raw_object(raw) if raw.lstrip().startswith(b"{") else None


def _around(found: dict[str, msgspec.Raw], until: str) -> dict[str, Tree]:
    """The single values that stand before the list: what a header says."""
    around: dict[str, Tree] = {}
    for name, raw in found.items():
        if name == until:
            break
        if not bytes(raw).startswith((b"{", b"[")):
            around[name] = _decode(raw)
    return around


def _no_item(item: str, raw: bytes) -> Flaw:
    return Flaw(
        "file", "unreadable", item, "", f"a list or an object at {item}; it is missing", raw[:DOCUMENT_BYTES_MAX]
    )


# Piece by piece


def _split(blocks: Iterable[bytes], item: str, whole: bytes = b"") -> Iterator[Item]:
    splitter = Split(item.split(".") if item else [], DOCUMENT_BYTES_MAX)
    context: dict[str, Tree] = {}
    place = 0
    for piece in split(splitter, blocks):
        place += 1
        if place == 1:
            header = splitter.header()
            context = {"around": header} if header else {}
        if isinstance(piece, TooLarge):
            expected = f"a document of at most {DOCUMENT_BYTES_MAX} bytes"
            yield Flaw(f"item {place}", "unreadable", "JSON", f"{piece.size} bytes", expected)
        else:
            kind, name = ("item", f"item {place}") if splitter.is_list else ("object", "object")
            yield document(piece, kind, name, context)
    if splitter.problem:
        where = f"after item {place}" if place else "beginning"
        yield Flaw(where, "unreadable", "JSON", splitter.found, splitter.problem, splitter.rest if place else whole)
    elif not splitter.reached:
        yield _no_item(item, b"")


def _utf8(source: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The text in UTF-8; one that says by its first bytes that it is UTF-16 is believed."""
    decode = None
    is_first = True
    name = (encoding or "utf-8").lower()
    for block in source:
        if is_first and block:
            is_first = False
            wide = next((wide for mark, wide in _WIDE if block.startswith(mark)), "")
            name = wide or name
            if name.replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
                try:
                    decode = codecs.getincrementaldecoder(name)("strict").decode
                except LookupError:
                    raise FormatUnreadable("bad_encoding", "encoding", name, "the name of a text encoding") from None
        if decode is None:
            yield block
            continue
        try:
            yield decode(block).encode()
        except UnicodeDecodeError as error:
            value = f"byte {error.object[error.start]:#04x}"
            raise FormatUnreadable("bad_encoding", "encoding", value, f"text in {name}") from None
