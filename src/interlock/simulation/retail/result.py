"""What a simulation came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from interlock.simulation.port import Violation
from interlock.simulation.retail.trace import Trace


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of what happened. `outcomes` is by action and outcome, `orders` by state, `exceptions` the open ones by reason.

    `messages` are all that reached Interlock, `batches` the steps in which they did; `seconds` is real time.
    """

    plan: dict[str, Any]
    messages: int
    batches: int
    seconds: float
    faults: dict[str, int]
    outcomes: dict[str, int]
    orders: dict[str, int]
    exceptions: dict[str, int]
    violations: tuple[Violation, ...]
    digest: str
    trace: Trace | None = None

    @property
    def messages_per_s(self) -> float:
        """Messages in a second of real time, all included."""
        return self.messages / self.seconds if self.seconds else 0.0

    def as_object(self) -> dict[str, Any]:
        """For programs."""
        return {
            "plan": self.plan,
            "messages": self.messages,
            "messages_per_s": round(self.messages_per_s),
            "seconds": round(self.seconds, 3),
            "batches": self.batches,
            "faults": self.faults,
            "outcomes": self.outcomes,
            "orders": self.orders,
            "exceptions": self.exceptions,
            "violations": [msgspec.to_builtins(violation) for violation in self.violations],
            "digest": self.digest,
        }


def together(results: Sequence[Result]) -> Result:
    """Several runs as one: counts added up, violations in a row, a digest of the digests."""
    if len(results) == 1:
        return results[0]
    return Result(
        plan={**results[0].plan, "seed": [result.plan["seed"] for result in results]},
        messages=sum(result.messages for result in results),
        batches=sum(result.batches for result in results),
        seconds=sum(result.seconds for result in results),
        faults=_sum([result.faults for result in results]),
        outcomes=_sum([result.outcomes for result in results]),
        orders=_sum([result.orders for result in results]),
        exceptions=_sum([result.exceptions for result in results]),
        violations=tuple([violation for result in results for violation in result.violations]),
        digest=blake2b("".join(result.digest for result in results).encode(), digest_size=16).hexdigest(),
    )


def _sum(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(each.get(name, 0) for each in counts) for name in sorted({n for each in counts for n in each})}
