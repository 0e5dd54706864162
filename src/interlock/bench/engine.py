"""Interlock through its engine: bytes in, committed outcomes back, in batches; some processes, each with its own parts.

Translation is part of it: each body is read by the mapping that HTTP uses. What is left out is HTTP itself.
"""

from __future__ import annotations

import time

import msgspec

from interlock.bench import workload
from interlock.bench.processes import BenchFailed, Clock
from interlock.bench.workload import Workload
from interlock.connectors.mapping import Mapper
from interlock.connectors.receive import receive
from interlock.engine.door import Door
from interlock.storage.database import Database


class EngineSpec(msgspec.Struct, frozen=True):
    """What one worker does: its share of the workload, for at most `seconds`."""

    dsn: str
    work: Workload
    worker: int
    seconds: float


class Done(msgspec.Struct, frozen=True):
    """What one worker has done: measured batches, and the time of each in seconds."""

    batches: int
    orders: int
    warm_up_orders: int
    took_s: list[float]


def work_engine(spec: EngineSpec, clock: Clock) -> Done:
    """Run one worker's batches through `Door.process`; every order must be processed."""
    estate = workload.estate()
    mapper, system = Mapper(estate), estate.systems[workload.SYSTEM]  # type: ignore[index]  # ids are plain text
    with Database(spec.dsn, pool_max=1) as db:
        door = Door(db, estate)

        def process(bodies: list[bytes]) -> None:
            outcomes = door.process([receive(mapper, system, "order.create", body) for body in bodies])
            for outcome in outcomes:
                if outcome.outcome != "processed":
                    raise BenchFailed(f"an order was not processed: {outcome}")

        warm_up, measured = spec.work.batches_of(spec.worker)
        for batch in warm_up:
            process(spec.work.bodies(batch))
        ready = [spec.work.bodies(batch) for batch in measured]
        took: list[float] = []
        clock.start()
        end = clock.began + spec.seconds
        for bodies in ready:
            began = time.monotonic()
            if began >= end and took:
                break
            process(bodies)
            took.append(time.monotonic() - began)
        clock.stop()
    per_batch = spec.work.batch_orders
    return Done(len(took), len(took) * per_batch, len(warm_up) * per_batch, took)
