"""What can go wrong with a mapping: mistakes in it, found when it is compiled, and values in documents that it cannot take."""

from __future__ import annotations

from collections.abc import Iterable

from interlock.connectors.mapping_errors import show, suggestion
from interlock.domain.errors import InterlockError

Place = tuple[str | int, ...]
"""Where something stands in a mapping: names and positions from its top."""


class RecipeWrong(InterlockError):
    """A mapping has mistakes; `mistakes` holds all of them as (place in the mapping, what is there, what was expected)."""

    def __init__(self, name: str, mistakes: Iterable[tuple[str, str, str]]) -> None:
        self.name = name
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.sentences()))

    def sentences(self) -> list[str]:
        """Each mistake as a sentence."""
        return [
            f"mapping {self.name}: {path or 'the mapping'}: {value + ' is not ' if value else 'missing: '}{expected}"
            for path, value, expected in self.mistakes
        ]


class Mistakes:
    """Collects the mistakes of a mapping while it is compiled."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []

    def tell(self, place: Place, value: object, expected: str) -> None:
        """Note that the value at the place is not what was expected."""
        self.found.append((shown_place(place), show(value), expected))

    def missing(self, place: Place, expected: str) -> None:
        """Note that something is not there that must be."""
        self.found.append((shown_place(place), "", expected))

    def unknown(self, place: Place, key: str, known: Iterable[str], what: str) -> None:
        """Note a word that is not one of those that may stand there."""
        words = sorted(known)
        listed = f"; there are {', '.join(words)}" if words else "; there is none"
        self.found.append((shown_place(place), show(key), f"{what}{suggestion(key, words)}{listed}"))


def shown_place(place: Place) -> str:
    """A place as people write it: `records[0].fields.order_id`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class PathWrong(Exception):
    """A path that cannot be read: at which character (from 1), and what was expected there."""

    def __init__(self, position: int, expected: str) -> None:
        self.position = position
        self.expected = expected
        super().__init__(f"at character {position}, {expected}")


class Unfit(Exception):
    """A value in a document that the mapping cannot take: what it holds and what was expected."""

    def __init__(self, value: object, expected: str) -> None:
        self.value = value
        self.expected = expected
        self.field = ""
        super().__init__(expected)
