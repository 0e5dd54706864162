"""The order in which a standard wants the elements of its documents, and which of them must be there: for what we write.

Only what is named here is checked: the content of other elements is written as the mapping gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from interlock.connectors.formats.document import Tree, WriteRefused


class Sequence(NamedTuple):
    """The children of an element, in their order, and those that must be there."""

    names: tuple[str, ...]
    needed: tuple[str, ...] = ()


def sequence(names: str, needed: str = "") -> Sequence:
    """A sequence from names with blanks between them."""
    return Sequence(tuple(names.split()), tuple(needed.split()))


def ordered(content: Mapping[str, Tree], name: str, sequences: Mapping[str, Sequence], path: str) -> dict[str, Any]:
    """The content with its children in the order of the standard, all the way down. Raises WriteRefused."""
    known = sequences.get(name)
    given = {key: value for key, value in content.items() if value is not None and value != [] and value != ""}
    if known is not None:
        for key in given:
            if key[0] != "@" and key != "#text" and key not in known.names:
                raise WriteRefused(
                    f"{path}.{key}", key, f"an element that <{name}> has: {', '.join(known.names)}"[:300]
                )
        for key in known.needed:
            if key not in given:
                raise WriteRefused(f"{path}.{key}", "nothing", f"the element, because <{name}> must have it")
        names = [key for key in given if key[0] == "@" or key == "#text"] + [key for key in known.names if key in given]
    else:
        names = list(given)
    return {key: _each(given[key], key, sequences, f"{path}.{key}") for key in names}


def _each(value: Tree, name: str, sequences: Mapping[str, Sequence], path: str) -> Tree:
    if isinstance(value, Mapping):
        return ordered(value, name, sequences, path)
    if isinstance(value, list | tuple):
        return [_each(entry, name, sequences, path) for entry in value]
    return value
