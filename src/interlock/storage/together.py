"""Several writes as one statement: what a small batch costs is the number of statements, not of rows.

    writes = Together(tx)
    writes.send(q.orders, part=part, ...)      # gathered
    writes.send(q.lines, part=part, ...)
    writes.flush()                             # with w0 as (insert ...), w1 as (insert ...) select 1

The writes are named queries of our own files, joined once for each combination and then kept. They run on one snapshot and in
no order, so no two of them may touch the same row, and none may read what another writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

from interlock.storage.database import Pending, Transaction
from interlock.storage.queries import Query

COMBINATIONS_MAX: Final = 512


class Sender(Protocol):
    """What takes writes: a transaction, or what gathers for it."""

    def send(self, sql: Query, /, **params: Any) -> Pending | None:
        """Send a write, now or with others."""


class Together:
    """Gathers writes for a transaction, and sends them as one statement."""

    __slots__ = ("_params", "_queries", "_tx")

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._queries: list[Query] = []
        self._params: dict[str, Any] = {}

    def send(self, sql: Query, /, **params: Any) -> None:
        """Gather a write."""
        place = len(self._queries)
        self._queries.append(sql)
        for name, value in params.items():
            self._params[f"w{place}_{name}"] = value

    def flush(self) -> None:
        """Send what was gathered."""
        if self._queries:
            self._tx.send(_joined(tuple(self._queries)), **self._params)
            self._queries, self._params = [], {}


_PARAMETER: Final = re.compile(r"%\((\w+)\)")


@lru_cache(maxsize=COMBINATIONS_MAX)
def _joined(statements: Sequence[Query]) -> Query:
    parts = []
    for place, statement in enumerate(statements):
        numbered = _PARAMETER.sub(rf"%(w{place}_\1)", statement)
        parts.append(f"w{place} as ({numbered})")
    name = "+".join(statement.name for statement in statements)
    return Query(name, "Writes that are sent together.", f"with {', '.join(parts)} select 1")
