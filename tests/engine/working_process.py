"""A worker as a process of its own, for the test that kills it: `python -m tests.engine.working_process DSN`."""

from __future__ import annotations

import sys
import threading

from interlock.engine.batch import Batcher
from interlock.engine.worker import Worker
from interlock.storage.database import Database
from tests.engine.test_kill_workers import ESTATE


def main(dsn: str) -> None:
    """Work until somebody kills us."""
    with Database(dsn, pool_max=2) as db:
        Worker(Batcher(db, ESTATE)).run(threading.Event())


if __name__ == "__main__":
    main(sys.argv[1])
