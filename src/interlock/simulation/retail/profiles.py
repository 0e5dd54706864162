"""What goes wrong, and how often: shares of messages, and times a day for each system."""

from __future__ import annotations

import msgspec


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Shares from 0 to 1 of messages, steps or files; what happens by the day is a mean for each system."""

    name: str
    duplicate: float = 0.0
    """Of messages: sent twice at once."""
    duplicate_later: float = 0.0
    """Of messages: sent again, the same bytes, after one to six days."""
    drop_request: float = 0.0
    """Of messages: lost on the way to Interlock."""
    drop_answer: float = 0.0
    """Of answers: lost on the way back, so that the sender asks again."""
    delay: float = 0.0
    """Of messages: minutes to a day late; half of them are sent again meanwhile."""
    reorder: float = 0.0
    """Of messages: put before others that were sent earlier."""
    corrupt: float = 0.0
    """Of messages: a byte is flipped."""
    truncate: float = 0.0
    """Of messages: the end is missing."""
    forged: float = 0.0
    """Of messages: followed by one that nobody may send, or by another one under the same key."""
    partial_file: float = 0.0
    """Of files: cut off in the middle of a record, and dropped whole some hours later."""
    file_twice: float = 0.0
    """Of files: dropped again after hours."""
    notice_lost: float = 0.0
    """Of deliveries to a node: they do not arrive, and are tried again."""
    notice_twice: float = 0.0
    """Of deliveries to a node: they arrive, but Interlock does not learn of it."""
    crash: float = 0.0
    """Of steps: Interlock dies between two steps of a transaction."""
    deadlock: float = 0.0
    """Of steps: the transaction is thrown away before its commit, and run again at once."""
    restarts_a_day: float = 0.0
    """The database goes away for minutes."""
    outages_a_day: float = 0.0
    """A system is away for one to twelve hours, then sends its backlog all at once."""
    replays_a_day: float = 0.0
    """A system sends its last hour again."""
    skews_a_day: float = 0.0
    """A system's clock is put up to three hours ahead or behind."""


PROFILES: dict[str, Profile] = {
    "none": Profile(name="none"),
    "calm": Profile(
        name="calm",
        duplicate=0.002,
        duplicate_later=0.0005,
        drop_request=0.002,
        drop_answer=0.002,
        delay=0.001,
        reorder=0.005,
        corrupt=0.0002,
        truncate=0.0002,
        forged=0.0005,
        partial_file=0.01,
        file_twice=0.01,
        notice_lost=0.005,
        notice_twice=0.002,
        crash=0.0005,
        deadlock=0.001,
        restarts_a_day=0.05,
        outages_a_day=0.01,
        replays_a_day=0.02,
        skews_a_day=0.02,
    ),
    "usual": Profile(
        name="usual",
        duplicate=0.02,
        duplicate_later=0.004,
        drop_request=0.01,
        drop_answer=0.01,
        delay=0.01,
        reorder=0.03,
        corrupt=0.001,
        truncate=0.001,
        forged=0.003,
        partial_file=0.05,
        file_twice=0.04,
        notice_lost=0.02,
        notice_twice=0.01,
        crash=0.003,
        deadlock=0.005,
        restarts_a_day=0.2,
        outages_a_day=0.05,
        replays_a_day=0.1,
        skews_a_day=0.1,
    ),
    "storm": Profile(
        name="storm",
        duplicate=0.10,
        duplicate_later=0.02,
        drop_request=0.05,
        drop_answer=0.06,
        delay=0.06,
        reorder=0.12,
        corrupt=0.008,
        truncate=0.006,
        forged=0.015,
        partial_file=0.20,
        file_twice=0.15,
        notice_lost=0.10,
        notice_twice=0.08,
        crash=0.02,
        deadlock=0.03,
        restarts_a_day=1.5,
        outages_a_day=0.3,
        replays_a_day=0.5,
        skews_a_day=0.4,
    ),
}
"""By name, from nothing at all to worse than one will ever see."""
