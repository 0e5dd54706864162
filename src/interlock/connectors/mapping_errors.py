"""What is said about a record that could not be read: every mistake, with the value and the word probably
meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

import msgspec

from interlock.domain.decision import FieldError, Problem
from interlock.domain.errors import InterlockError

UNREADABLE: Final = "unreadable"


class MappingFailed(InterlockError):
    """A record could not be read; `errors` names every mistake in it, never only the first."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{e.field}: {e.value or 'nothing'} is not {e.expected}" for e in self.errors[:20]))

    @property
    def problem(self) -> Problem:
        """What is kept and answered about a message that could not be read."""
        count = "1 mistake" if len(self.errors) == 1 else f"{len(self.errors)} mistakes"
        return Problem(
            reason=UNREADABLE,
            explanation=f"the message has {count}; correct the fields named in errors and send it again",
            errors=self.errors,
        )


def show(value: object) -> str:
    """The value as the sender wrote it, shortened."""
    try:
        shown = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        shown = ascii(value)
    return shown if len(shown) <= 120 else shown[:117] + "..."


def suggestion(value: object, known: Iterable[str]) -> str:
    """The known word that was probably meant, as an appendix to a sentence."""
    if not isinstance(value, str):
        return ""
    by_fold = {word.casefold(): word for word in known}
    near = get_close_matches(value.casefold()[:100], by_fold, n=1, cutoff=0.6)
    return f" (did you mean {by_fold[near[0]]}?)" if near else ""
