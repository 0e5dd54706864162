"""Rules about the subscriptions of an estate: whether what is subscribed to exists, and can go the way that is named."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, get_args

from interlock.contracts.estate_checks import UNKNOWN
from interlock.contracts.estate_mistakes import Path, did_you_mean, shown
from interlock.contracts.estate_schema import Walk
from interlock.domain.events import AnyEvent

Values = dict[str, Any]

EVENT_TYPES: tuple[str, ...] = tuple(event.type for event in get_args(AnyEvent))
"""The names of all events."""


def check_subscriptions(walk: Walk, estate: Values) -> None:
    """Every rule about subscriptions."""
    for name, entry in (estate.get("subscriptions") or {}).items():
        if not isinstance(entry, dict):
            continue
        path: Path = ("subscriptions", name)
        for place, pattern in enumerate(entry.get("types") or ()):
            if isinstance(pattern, str) and not any(fnmatchcase(each, pattern) for each in EVENT_TYPES):
                problem = f"found {shown(pattern)}, which is the name of no event"
                walk.tell_at((*path, "types", place), pattern, problem, "a name such as order.created, or a pattern such "
                             "as units.*", did_you_mean(pattern, EVENT_TYPES))  # fmt: skip
        _tell_batch(walk, path, entry)


def _tell_batch(walk: Walk, path: Path, entry: Values) -> None:
    batch, to = entry.get("batch_max", 1), entry.get("to")
    if batch is UNKNOWN or batch == 1 or not isinstance(to, dict):
        return
    if to.get("kind") == "broker":
        walk.tell_at((*path, "batch_max"), batch, "a message to a broker holds one event", "1, or a webhook")
    elif entry.get("mode") == "binary":
        walk.tell_at((*path, "batch_max"), batch, "several events cannot be headers and data", "1, or mode: structured")
