"""JSON text to values with the traps of JSON closed, and every flaw named with its place.

For files that people or other systems hand in: contracts, samples. Bodies of messages are read by
`connectors/mapping_json.py`, which is faster and says less.
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import accumulate
from typing import Any, Final, NamedTuple

BYTES_MAX: Final = 16_000_000
DEPTH_MAX: Final = 200
DIGITS_MAX: Final = 300
FLAWS_MAX: Final = 20

_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS: Final = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\xfe\xff", "UTF-16"),
    (b"\xff\xfe", "UTF-16"),
)
_UTF8_MARK: Final = b"\xef\xbb\xbf"


class TextFlaw(NamedTuple):
    """What is wrong with a text: where (a JSON pointer, a line and column, or nothing), what stands there, what should."""

    place: str
    found: str
    expected: str


def depth_of(body: bytes) -> int:
    """How deep JSON is nested, counted along its brackets: nothing is built, however deep it is.

    Of bytes that are no JSON it is right up to the place where a parser would stop.
    """
    brackets = _TEXT.sub(b"", body).translate(None, _NO_BRACKETS)
    return max(accumulate(array("b", brackets.translate(_STEPS)), initial=0))


def read_json(body: bytes, *, depth_max: int = DEPTH_MAX, bytes_max: int = BYTES_MAX) -> tuple[Any, list[TextFlaw]]:
    """The JSON value that the bytes hold, and every flaw; the value counts only where there is no flaw.

    Refused are other encodings than UTF-8 (a byte order mark is let through), what is nested too deeply, a key that
    stands twice in an object, NaN and Infinity, numbers that no double holds, and lone surrogates.
    """
    text, flaw = decoded(body, bytes_max)
    if flaw is not None:
        return None, [flaw]
    if not text.strip():
        return None, [TextFlaw("", "an empty file", "a JSON value")]
    if body.count(b"[") + body.count(b"{") > depth_max and (depth := depth_of(body)) > depth_max:
        return None, [TextFlaw("", f"brackets nested {depth} levels deep", f"at most {depth_max} levels")]
    reader = _Reader()
    try:
        value = json.loads(
            text,
            object_pairs_hook=reader.object,
            parse_constant=_Odd,
            parse_int=_whole,
            parse_float=_fraction,
        )
    except RecursionError:  # the caller stands so deep already that even this little is too much
        return None, [TextFlaw("", "brackets nested too deeply", "fewer levels")]
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        return None, [TextFlaw(place, _at(text, error.pos), f"JSON ({error.msg})")]
    # Most texts have no trap: they are not looked through value by value.
    if reader.twice or _Odd.seen_in(text) or "\\u" in text:
        return value, _flaws(value, reader.twice)
    return value, []


def decoded(body: bytes, bytes_max: int = BYTES_MAX) -> tuple[str, TextFlaw | None]:
    """Bytes as text, or the reason why they are not text in UTF-8."""
    if len(body) > bytes_max:
        return "", TextFlaw("", f"{len(body):,} bytes", f"{bytes_max:,} bytes at most")
    for mark, name in _MARKS:
        if body.startswith(mark):
            return "", TextFlaw("byte 0", f"text in {name}", "text in UTF-8")
    if b"\0" in body[:4]:
        name = "UTF-32" if body[:4].count(0) == 3 else "UTF-16" if body[:4].count(0) == 2 else ""
        return "", TextFlaw("byte 0", f"text in {name}" if name else "a byte 0", "text in UTF-8")
    try:
        return body.removeprefix(_UTF8_MARK).decode("utf-8"), None
    except UnicodeDecodeError as error:
        start = error.start + (len(_UTF8_MARK) if body.startswith(_UTF8_MARK) else 0)
        line = body.count(b"\n", 0, start) + 1
        return "", TextFlaw(f"line {line}, byte {start}", f"the byte 0x{body[start]:02x}", "text in UTF-8")


class _Odd:
    """A number that is no number, or too large; `text` is how it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    @staticmethod
    def seen_in(text: str) -> bool:
        """Whether one may be in the text: a quick look that errs only towards yes."""
        return bool(_MAYBE_ODD.search(text))


_MAYBE_ODD: Final = re.compile(rf"NaN|Infinity|\d{{{DIGITS_MAX}}}|\d[eE]\+?\d\d")


def _whole(text: str) -> int | _Odd:
    return int(text) if len(text) <= DIGITS_MAX else _Odd(text)


def _fraction(text: str) -> float | _Odd:
    number = float(text)
    return _Odd(text) if number in (float("inf"), float("-inf")) else number


class _Reader:
    """Notes the keys that stand twice, by the object that they stand in."""

    def __init__(self) -> None:
        self.twice: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            seen: set[str] = set()
            repeated = [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
            self.twice[id(value)] = value, list(dict.fromkeys(repeated))
        return value


def _flaws(root: Any, twice: dict[int, tuple[dict[str, Any], list[str]]]) -> list[TextFlaw]:
    """Every trap in a value with its JSON pointer, in the order of the text."""
    found: list[TextFlaw] = []
    waiting: list[tuple[Any, str]] = [(root, "")]
    while waiting and len(found) < FLAWS_MAX:
        value, pointer = waiting.pop()
        if isinstance(value, dict):
            for key in twice[id(value)][1] if id(value) in twice else ():
                found.append(
                    TextFlaw(_below(pointer, key), f"the key {_quoted(key)} twice", "each key once in an object")
                )
            for key in value:
                if _SURROGATE.search(key):
                    found.append(TextFlaw(pointer, f"a lone surrogate in the key {_quoted(key)}", "whole characters"))
            waiting += reversed([(each, _below(pointer, key)) for key, each in value.items()])
        elif isinstance(value, list):
            waiting += reversed([(each, f"{pointer}/{index}") for index, each in enumerate(value)])
        elif isinstance(value, str) and _SURROGATE.search(value):
            found.append(TextFlaw(pointer, f"a lone surrogate in {_quoted(value)}", "whole characters"))
        elif isinstance(value, _Odd):
            small = len(value.text) <= 30
            shown = value.text if small else f"{value.text[:20]}... ({len(value.text)} characters)"
            found.append(TextFlaw(pointer, f"the number {shown}", "a number that a double can hold"))
    return found


def _below(pointer: str, key: str) -> str:
    """The pointer of a key; surrogates are shown as they were written, so that it can be printed."""
    step = key.replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{step.encode('utf-8', 'backslashreplace').decode()}"


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else f"{text[:57]}...")


def _at(text: str, position: int) -> str:
    """What stands at a position of a text."""
    rest = text[position : position + 20].split("\n")[0]
    return f"{rest!r}" if rest else "the end of the text" if position >= len(text) else "the end of the line"
