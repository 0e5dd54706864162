"""YAML text to plain values that remember their line and column.

The estate is read as YAML 1.2: `no` and `on` are words, `08:00` is text, and what looks like a number is one
unless it is in quotes. Tags, merge keys and more than one document are refused; anchors may be used, within
limits.

We compose from the parser's events ourselves, because only so every key and value keeps its mark, keys stay
the text that was written (`0012` is not 12), and a repeated key is seen. Where libyaml (`ruamel.yaml.clib`)
is installed the parser is some ten times faster. It refuses a few texts that YAML 1.2 allows, so what it
refuses is read again by the pure parser: answers and messages are the same with it and without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

BYTES_MAX = 5_000_000
VALUES_MAX = 1_000_000
DEPTH_MAX = 32

_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_WHOLE = re.compile(r"[-+]?[0-9]{1,30}")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Spot(msgspec.Struct, gc=False):
    """A value and where it stands; lines and columns count from 1.

    `value` is a scalar, a `dict[str, Spot]` or a `list[Spot]`. `keys` says where each key of a mapping
    stands. `raw` is a scalar as it was written, without its quotes.
    """

    value: Any
    line: int
    column: int
    raw: str = ""
    keys: dict[str, tuple[int, int]] = {}

    def plain(self) -> Any:
        """The value alone, all the way down."""
        if isinstance(self.value, dict):
            return {key: spot.plain() for key, spot in self.value.items()}
        if isinstance(self.value, list):
            return [spot.plain() for spot in self.value]
        return self.value


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong with the text as YAML: `problem` is what was found, `expected` what should be there."""

    line: int
    column: int
    path: tuple[str | int, ...]
    problem: str
    expected: str


class _Unreadable(Exception):
    """Nothing after this point can be trusted."""

    def __init__(self, flaw: Flaw) -> None:
        self.flaw = flaw


def compose(text: str) -> tuple[Spot | None, list[Flaw]]:
    """The one document in the text, and every flaw; no document where the text cannot be read to its end."""
    # Imported here: a process that never reads an estate does not pay for it.
    import ruamel.yaml

    if ruamel.yaml.__with_libyaml__:
        document, flaws = _composed(text, pure=False)
        if document is not None:
            return document, flaws
    return _composed(text, pure=True)


def _composed(text: str, pure: bool) -> tuple[Spot | None, list[Flaw]]:
    """The document and its flaws, by the pure parser or by libyaml."""
    flaws: list[Flaw] = []
    try:
        return _Composer(_events(text, pure), flaws).document(), flaws
    except _Unreadable as unreadable:
        return None, [*flaws, unreadable.flaw]


def _events(text: str, pure: bool) -> Iterator[Any]:
    """The parser's events; whatever the parser refuses becomes one flaw."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if (size := len(text.encode(errors="replace"))) > BYTES_MAX:
        raise _Unreadable(Flaw(1, 1, (), f"the file has {size:,} bytes", f"{BYTES_MAX:,} bytes at most"))
    if bad := _UNREADABLE.search(text):
        line, column = _position(text, bad.start())
        expected = "text without control characters"
        raise _Unreadable(Flaw(line, column, (), f"found the control character U+{ord(bad[0]):04X}", expected))
    try:
        yield from YAML(typ="safe", pure=pure).parse(text.removeprefix("\ufeff"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _Unreadable(Flaw(line, column, (), said or "unreadable", "valid YAML")) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise _Unreadable(
            Flaw(1, 1, (), str(error).splitlines()[0] if str(error) else "unreadable", "valid YAML")
        ) from None


class _Composer:
    """Builds spots from events; one use."""

    def __init__(self, events: Iterator[Any], flaws: list[Flaw]) -> None:
        self.events = events
        self.flaws = flaws
        self.anchors: dict[str, tuple[Spot, int] | None] = {}
        self.values = 0
        self.path: list[str | int] = []

    def document(self) -> Spot:
        """The only document; flawed where there is none or another one follows."""
        root: Spot | None = None
        for event in self.events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                if root is not None:
                    raise self.stop(event, "a second document begins", "one document")
                if event.tags:
                    raise self.stop(event, "found a %TAG directive", "plain values without tags")
                root = self.node(next(self.events))
        if root is None:
            raise _Unreadable(
                Flaw(1, 1, (), "the file is empty", "an estate; `interlock init` writes one to begin with")
            )
        return root

    def node(self, event: Any) -> Spot:
        """The value that begins with this event."""
        name = type(event).__name__
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        if name == "AliasEvent":
            return self.alias(event)
        self.count(event, 1)
        # The plain scalar "!" tag of quoted text is not written by anybody; every other tag is.
        if event.tag is not None and str(event.tag) != "!":
            self.flaws.append(
                Flaw(
                    line,
                    column,
                    tuple(self.path),
                    f"found the tag {event.tag}",
                    "a plain value without a tag",
                )
            )
        anchor = event.anchor
        before = self.values
        if anchor is not None:
            self.anchors[anchor] = None  # known, but not yet complete: an alias inside it would be endless
        if name == "ScalarEvent":
            raw = event.value
            spot = Spot(_scalar(raw) if not event.style else raw, line, column, raw)
        elif name == "MappingStartEvent":
            spot = Spot({}, line, column, "", {})
            self.deeper(event)
            self.mapping(spot)
        else:
            spot = Spot([], line, column)
            self.deeper(event)
            self.sequence(spot)
        if anchor is not None:
            self.anchors[anchor] = (spot, self.values - before + 1)
        return spot

    def mapping(self, spot: Spot) -> None:
        """Keys and values until the mapping ends; of a repeated key the first counts."""
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            if type(event).__name__ != "ScalarEvent":
                raise self.stop(event, "found a key that is a list, a mapping or an alias", "a key of plain text")
            key, mark = event.value, event.start_mark
            at = (mark.line + 1, mark.column + 1)
            self.path.append(key)
            value = self.node(next(self.events))
            if key in spot.value:
                first = spot.keys[key][0]
                self.flaws.append(Flaw(*at, tuple(self.path), f"written twice, first on line {first}", "each key once"))
            else:
                spot.value[key], spot.keys[key] = value, at
            self.path.pop()

    def sequence(self, spot: Spot) -> None:
        """Values until the sequence ends."""
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            self.path.append(len(spot.value))
            spot.value.append(self.node(event))
            self.path.pop()

    def alias(self, event: Any) -> Spot:
        """What the anchor stands for, counted as if it were written out."""
        if event.anchor not in self.anchors:
            raise self.stop(event, f"found the alias *{event.anchor}", f"an anchor &{event.anchor} before it")
        known = self.anchors[event.anchor]
        if known is None:
            raise self.stop(event, f"the alias *{event.anchor} is inside its own anchor", "a value that ends")
        spot, values = known
        self.count(event, values)
        return spot

    def count(self, event: Any, values: int) -> None:
        """Keep the whole within bounds, aliases written out."""
        self.values += values
        if self.values > VALUES_MAX:
            raise self.stop(
                event, "the file grows too large here", f"{VALUES_MAX:,} values at most, aliases written out"
            )

    def deeper(self, event: Any) -> None:
        """Keep the depth within bounds; an estate needs eight."""
        if len(self.path) >= DEPTH_MAX:
            raise self.stop(event, f"nested {len(self.path) + 1} deep", f"{DEPTH_MAX} levels at most")

    def stop(self, event: Any, problem: str, expected: str) -> _Unreadable:
        """The error that ends the reading at this event."""
        mark = event.start_mark
        return _Unreadable(Flaw(mark.line + 1, mark.column + 1, tuple(self.path), problem, expected))


def _scalar(raw: str) -> object:
    """An unquoted scalar by the YAML 1.2 core rules; numbers that no float or sane integer holds stay
    text.
    """
    if raw in _WORDS:
        return _WORDS[raw]
    if _WHOLE.fullmatch(raw):
        return int(raw)
    if _DECIMAL.fullmatch(raw):
        return float(raw)
    return raw


def _position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1
