"""A process that sells, for the test that kills it: `python -m tests.engine.selling_process DSN FROM TO`.

It processes orders FROM..TO of two SKUs one by one, and prints an order's number only when it was told "processed".
"""

from __future__ import annotations

import sys

from interlock.engine.door import Door
from interlock.storage.database import Database
from tests.builders import arrival, make_estate, order


def main(dsn: str, first: int, last: int) -> None:
    """Sell until all orders are done, or until somebody kills us."""
    with Database(dsn, pool_max=2) as db:
        door = Door(db, make_estate())
        for number in range(first, last):
            door.process([arrival(order(number, ["s1", "s2"]))])
            print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
