"""Where a recipe is looking: the whole document, or one entry of a list in it, with the scopes around it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from interlock.connectors.formats.document import Document, Node
from interlock.connectors.recipes.wrong import Unfit


class Scope:
    """An item, the scope around it (none around the document), its place in its `each` from 1, and the path that led here.

    The scope of the document knows the document, with its context; inner ones find it above them.
    """

    __slots__ = ("document", "item", "path", "place", "up")

    def __init__(
        self, item: Any, up: Scope | None = None, place: int = 0, path: str = "", document: Document | None = None
    ) -> None:
        self.item = item
        self.up = up
        self.place = place
        self.path = path
        self.document = document

    def root(self) -> Scope:
        """The scope of the whole document."""
        scope = self
        while scope.up is not None:
            scope = scope.up
        return scope

    def address(self) -> str:
        """The path of the item from the document, in the language of paths; "" for the document itself."""
        if self.up is None:
            return ""
        return f"{absolute(self.path, self.up)}[#{self.place}]"


def absolute(path: str, scope: Scope) -> str:
    """A path as it is from the document."""
    if path.startswith("^"):
        at = scope
        while path.startswith("^"):
            at, path = at.up or at, path[1:].removeprefix(".")
        return absolute(path or ".", at)
    if path.startswith("$"):
        return path[1:].removeprefix(".") or "$"
    base = scope.address()
    if path[:1] == "@" or not base:
        return path
    if path == "#":
        return base
    if path.startswith("."):
        return base if path == "." else base + path
    return f"{base}.{path}"


def plain(value: Any) -> Any:
    """A value as it counts: of a list the first entry, of an XML element its text; None where nothing is given.

    Blanks around text do not count. Raises Unfit for a segment, which has no single value.
    """
    while True:
        kind = type(value)
        if kind is str:
            return value.strip() or None
        if kind is list:
            if not value:
                return None
            value = value[0]
        elif kind is dict:
            if "#text" not in value:
                return value or None
            value = value["#text"]
        elif kind is Node:
            raise Unfit(text_of(value.elements[0]), "one element of the segment, such as PO1.02")
        else:
            return value


def word(value: Any) -> Any:
    """The value, a number as text."""
    return text_of(value) if type(value) in _NUMBERS else value


_NUMBERS: Final = frozenset({int, float, Decimal})


def text_of(value: Any) -> str:
    """A value as text: numbers without an exponent, true and false as words."""
    if type(value) is str:
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, list):
        return text_of(value[0]) if value else ""
    if isinstance(value, Node):
        return text_of(value.elements[0])
    if isinstance(value, dict) and "#text" in value:
        return text_of(value["#text"])
    return "" if value is None else str(value)
