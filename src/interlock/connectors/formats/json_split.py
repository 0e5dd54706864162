"""A JSON text of any size, split into the entries of one list in it without reading them: memory is bounded by an entry.

Only strings, brackets, braces, colons and commas are looked at; whether an entry is good JSON is found out when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

_MARK: Final = re.compile(rb'["{}\[\]:,]')
_BRACKET: Final = re.compile(rb'["{}\[\]]')
_STRING_END: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_OPEN: Final = {b"{": b"}", b"[": b"]"}
DEPTH_MAX: Final = 500
HEADER_BYTES_MAX: Final = 1024 * 1024
SHOWN_MAX: Final = 60


class TooLarge(NamedTuple):
    """An entry that is larger than a document may be."""

    size: int


class Split:
    """Where the splitting of one text stands, and what was wrong with it in the end.

    `reached`: the list was there. `is_list`: it is a list, and not a single object. `problem` says what was expected where the
    text broke off or was no JSON, `found` what stood there, and `rest` what was left over of an entry.
    """

    def __init__(self, path: Sequence[str], bytes_max: int) -> None:
        self.path = list(path)
        self.bytes_max = bytes_max
        self.reached = False
        self.is_list = False
        self.problem = ""
        self.found = ""
        self.rest = b""
        self.before = bytearray()
        self.before_size = 0

    def header(self) -> dict[str, Any]:
        """The single values that stood before the list, in the object that holds it."""
        if not self.path or not self.before:
            return {}
        text = bytes(self.before) + b"null" + b"}" * len(self.path)
        try:
            found = msgspec.json.Decoder(float_hook=Decimal).decode(text)
            for name in self.path[:-1]:
                found = found[name]
        except (msgspec.DecodeError, KeyError, TypeError):
            return {}
        return {
            name: value for name, value in found.items() if not isinstance(value, dict | list) and name != self.path[-1]
        }


def split(state: Split, blocks: Iterable[bytes]) -> Iterator[bytes | TooLarge]:
    """The entries as they are written; `state` says afterwards whether all was well.

    Several objects one after another are taken as such, though they are no one JSON text.
    """
    text = _Text(iter(blocks))
    opener = _find(state, text)
    if not opener:
        return
    state.reached = True
    state.is_list = opener == b"["
    depth, head = (0, b"") if state.is_list else (1, b"{")
    while True:
        if state.is_list:
            first = text.skip_blanks()
            if first == b"]":
                text.at += 1
                break
            if first == b",":
                text.at += 1
                continue
            if not first:
                _fail(state, text, "the end of the text", "a ] that ends the list")
                return
        entry = _take(state, text, depth, head)
        if entry is None:
            return
        yield entry
        if not state.is_list:
            if state.path or text.skip_blanks() != b"{":
                break
            text.at += 1
    _finish(state, text, len(state.path))


class _Text:
    """A window on the text: `buffer[at:]` is still to be looked at."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks
        self.buffer = b""
        self.at = 0

    def more(self, keep_from: int) -> bool:
        """Get another block, dropping what stands before `keep_from`; False at the end of the text."""
        for block in self.blocks:
            if block:
                self.buffer = self.buffer[keep_from:] + block
                self.at -= keep_from
                return True
        return False

    def skip_blanks(self) -> bytes:
        """Go to the next byte that is no blank, and give it; b"" at the end."""
        while True:
            while self.at < len(self.buffer) and self.buffer[self.at] in b" \t\r\n":
                self.at += 1
            if self.at < len(self.buffer):
                return self.buffer[self.at : self.at + 1]
            if not self.more(self.at):
                return b""


def _find(state: Split, text: _Text) -> bytes:
    """Go to the list or object at the path; gives its opening bracket, which was passed, or b"" if it is not there."""
    stack: list[bytes] = []
    keys: list[str] = []
    last_string = ""
    is_value = True
    while True:
        if is_value and len(stack) == len(state.path) == len(keys) and keys == state.path:
            first = text.skip_blanks()
            if first in (b"[", b"{"):
                text.at += 1
                return first
            if not state.path and first:
                _fail(state, text, _shown(text), "an object or a list")
                return b""
        mark = _MARK.search(text.buffer, text.at)
        if mark is None:
            _note(state, text, len(text.buffer))
            if not text.more(len(text.buffer)):
                if stack or not state.path:
                    _fail(state, text, "the end of the text", "the rest of it")
                return b""
            continue
        sign = mark.group()
        if sign == b'"':
            end = _STRING_END.match(text.buffer, mark.end())
            if end is None:
                if len(text.buffer) - mark.start() > state.bytes_max or not _keep(state, text, mark.start()):
                    _fail(state, text, "a text without an end", 'a " that ends it')
                    return b""
                continue
            last_string = text.buffer[mark.start() : end.end()].decode("utf-8", "replace")
            _note(state, text, end.end())
            is_value = False
            continue
        _note(state, text, mark.end())
        if sign in _OPEN:
            stack.append(sign)
            if sign == b"[":
                keys[len(stack) - 1 :] = [""]  # inside of a list no path goes on
            if len(stack) > DEPTH_MAX:
                _fail(state, text, f"{DEPTH_MAX} levels", "fewer levels")
                return b""
        elif sign in (b"}", b"]"):
            if not stack or _OPEN[stack.pop()] != sign:
                _fail(state, text, sign.decode(), "brackets in pairs")
                return b""
            del keys[len(stack) :]
            if not stack:
                return b""
        elif sign == b":":
            del keys[len(stack) - 1 :]
            keys.append(_key(last_string))
        is_value = sign == b":"


def _keep(state: Split, text: _Text, start: int) -> bool:
    """Another block behind a string that began at `start`."""
    _note(state, text, start)
    return text.more(start)


def _note(state: Split, text: _Text, end: int) -> None:
    """Pass what stands up to `end`, keeping it as what stood before the list, as far as that is small."""
    state.before_size += end - text.at
    if state.before_size <= HEADER_BYTES_MAX:
        state.before += text.buffer[text.at : end]
    else:
        state.before.clear()  # too much: no header is told
    text.at = end


def _finish(state: Split, text: _Text, depth: int) -> None:
    """Look at what follows the list: the brackets around it close, and then nothing more comes."""
    while depth:
        mark = _BRACKET.search(text.buffer, text.at)
        if mark is None:
            text.at = len(text.buffer)
        elif mark.group() == b'"':
            end = _STRING_END.match(text.buffer, mark.end())
            if end is not None:
                text.at = end.end()
                continue
            text.at = mark.start()
        else:
            depth += 1 if mark.group() in _OPEN else -1
            text.at = mark.end()
            continue
        if len(text.buffer) - text.at > state.bytes_max or not text.more(text.at):
            _fail(state, text, "the end of the text", "the rest of it")
            return
    if text.skip_blanks():
        _fail(state, text, _shown(text), "the end of the text")


def _take(state: Split, text: _Text, depth: int, head: bytes) -> bytes | TooLarge | None:
    """The entry that begins here, `depth` brackets of which are open already; None where the text ends within."""
    start = text.at
    size = len(head)
    kept: list[bytes] | None = [head]
    while True:
        mark = (_BRACKET if depth else _MARK).search(text.buffer, text.at)
        if mark is not None and depth == 0 and mark.group() in (b",", b"]", b"}", b":"):
            return _done(kept, text, start, mark.start(), size, state.bytes_max)
        if mark is not None and mark.group() != b'"':
            depth += 1 if mark.group() in _OPEN else -1
            text.at = mark.end()
            if depth == 0:
                return _done(kept, text, start, text.at, size, state.bytes_max)
            continue
        if mark is not None:
            end = _STRING_END.match(text.buffer, mark.end())
            if end is not None:
                text.at = end.end()
                if depth == 0:
                    return _done(kept, text, start, text.at, size, state.bytes_max)
                continue
            text.at = mark.start()
        else:
            text.at = len(text.buffer)
        # The entry goes on beyond what was read. A string is looked at again from its beginning, unless it is too long.
        if len(text.buffer) - text.at > state.bytes_max:
            _fail(state, text, "a text without an end", 'a " that ends it')
            return None
        if kept is not None:
            kept.append(text.buffer[start : text.at])
        size += text.at - start
        if size > state.bytes_max:
            kept = None
        at = text.at
        if not text.more(at):
            state.rest = b"".join([*(kept or []), text.buffer[at:]])
            _fail(state, text, "the end of the text", "the rest of this entry")
            return None
        start = text.at


def _done(kept: list[bytes] | None, text: _Text, start: int, end: int, size: int, most: int) -> bytes | TooLarge:
    text.at = end
    size += end - start
    if kept is None or size > most:
        return TooLarge(size)
    return b"".join([*kept, text.buffer[start:end]]).strip()


def _fail(state: Split, text: _Text, found: str, expected: str) -> None:
    state.problem, state.found = expected, found
    if not state.rest:
        state.rest = text.buffer[text.at : text.at + SHOWN_MAX]


def _shown(text: _Text) -> str:
    return text.buffer[text.at : text.at + SHOWN_MAX].decode("utf-8", "replace")


def _key(string: str) -> str:
    try:
        return str(msgspec.json.decode(string))
    except msgspec.DecodeError:
        return string
