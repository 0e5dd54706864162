"""Every error that Interlock raises.

    InterlockError
    ├── InvalidValue            a field holds what it may not; names field, value and expectation
    ├── EstateInvalid           estate.yaml has mistakes; carries every one of them
    ├── SchemaInvalid           a JSON Schema has mistakes; carries every one of them
    ├── Refusal                 a command that the rules do not allow; becomes an outcome, never a crash
    ├── NotReversible           what was done cannot be undone by us; says what to do instead
    ├── PlanChanged             what would follow is not what was agreed to; nothing was done
    ├── StorageError
    │   ├── DatabaseUnavailable     the server cannot be reached, or went away too often
    │   ├── TransactionConflict     deadlock or serialization failure outlived every retry
    │   ├── MigrationChanged        an applied migration's file is no longer what was applied
    │   ├── DatabaseIsNewer         the database knows migrations that this program does not
    │   └── EmbeddedPostgresFailed  our own server could not be made, started or adopted
    └── PeerError
        ├── PeerUnreachable     a receiver did not answer, or said "later": try again
        └── PeerRefused         a receiver answered that it will never take this

An *exception* in this house is work for a person and lives in the exception queue; what Python raises is an error.
"""

from __future__ import annotations

from collections.abc import Sequence


class InterlockError(Exception):
    """Interlock could not do what was asked."""


class InvalidValue(InterlockError):
    """A field holds a value that it may not hold."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        self.field = field
        self.value = value
        self.expected = expected
        shown = repr(value)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        super().__init__(f"{field}: {shown} is not {expected}")


class EstateInvalid(InterlockError):
    """The estate has mistakes; `mistakes` holds one sentence for each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes) or "the estate is invalid")


class SchemaInvalid(InterlockError):
    """What was given as a JSON Schema is none; `mistakes` holds one sentence for each, with the file and the place."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes) or "the schema is invalid")


class Refusal(InterlockError):
    """The rules do not allow this command now.

    `reason` is a stable code of the field ("not_shipped", "over_captured" ...), `explanation` a sentence for people.
    """

    def __init__(self, reason: str, explanation: str, field: str | None = None) -> None:
        self.reason = reason
        self.explanation = explanation
        self.field = field
        super().__init__(f"{reason}: {explanation}")


class NotReversible(InterlockError):
    """What was done cannot be undone by Interlock, or has been; the text says what to do instead."""


class PlanChanged(InterlockError):
    """What would follow now is not the list that was agreed to; nothing was done.

    `expected` and `found` are the digests of the two lists.
    """

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(
            f"expect: {expected} is not {found}, the digest of what would follow now; look at the new list, and agree to it"
        )


class StorageError(InterlockError):
    """The database could not do what was asked."""


class DatabaseUnavailable(StorageError):
    """The database cannot be reached, or the connection was lost more often than we retry."""


class TransactionConflict(StorageError):
    """A deadlock or serialization failure outlived every retry."""


class MigrationChanged(StorageError):
    """A migration that was applied has another content now; migrations are never edited, only added."""


class DatabaseIsNewer(StorageError):
    """The database knows migrations that this program does not: start the newer program instead."""


class EmbeddedPostgresFailed(StorageError):
    """The embedded PostgreSQL could not be initialised, started or adopted."""


class PeerError(InterlockError):
    """A receiver did not take what we sent."""


class PeerUnreachable(PeerError):
    """The receiver did not answer or said "later": worth another try."""


class PeerRefused(PeerError):
    """The receiver answered that it will not take this message, now or ever."""
