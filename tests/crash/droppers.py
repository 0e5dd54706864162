"""Systems that drop files: the tills their sales, the back office its counts; some half at first and finished later."""

from __future__ import annotations

import csv
import io
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.crash.estate import COUNTS, COUNTS_STABLE_S, PRICE, SALES, STORE, TILL_SKUS
from tests.crash.journal import Journal, Lines

STALL_S_MAX = 1.0
GAP_S = COUNTS_STABLE_S / 20
"""Between two pieces of a file that has no marker: well below the time after which it counts as whole."""


@dataclass
class Dropped:
    """One file as its sender knows it. `orders` and `counts` are what its good rows ask for."""

    system: str
    folder: str
    name: str
    content: bytes
    rows: int = 0
    bad_rows: int = 0
    records: int = 0
    orders: dict[str, Lines] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    is_unreadable: bool = False


class Dropper(threading.Thread):
    """Drops one file after the other until told to stop; what it has begun it finishes."""

    def __init__(
        self,
        system: str,
        exchange: Path,
        make: Callable[[random.Random, int], Dropped],
        seed: int,
        journal: Journal,
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"dropper-{system}", daemon=True)
        self.dropped: list[Dropped] = []
        self._exchange, self._make, self._journal, self._stop_told = exchange, make, journal, stop
        self._chance = random.Random(f"{seed}/files/{system}")

    def run(self) -> None:
        """Most files are new, some are the same again under another name, some are no export at all."""
        try:
            while not self._stop_told.is_set():
                drawn, number = self._chance.random(), len(self.dropped) + 1
                good = [each for each in self.dropped if not each.is_unreadable]
                if drawn < 0.12 and good:
                    first, name = self._chance.choice(good), f"AGAIN-{number}.csv"
                    self._drop(replace(first, name=name, orders={}, counts={}))
                elif drawn < 0.17:
                    made = self._make(self._chance, number)
                    broken = b"this;is;another;report\r\n1;2;3;4\r\n" + str(number).encode()
                    self._drop(Dropped(made.system, made.folder, f"WRONG-{number}.csv", broken, is_unreadable=True))
                else:
                    self._drop(self._make(self._chance, number))
                self._stop_told.wait(self._chance.uniform(0.1, 0.6))
        except Exception as error:
            self._journal.violations.append(f"{self.name}: {type(error).__name__}: {error}")

    def _drop(self, file: Dropped) -> None:
        self.dropped.append(file)
        path = self._exchange / file.folder / file.name
        has_marker = file.folder == SALES
        if self._chance.random() < 0.5:
            beside = path.with_name(f"{file.name}.part")
            beside.write_bytes(file.content)
            beside.rename(path)
        else:
            # The sender is slow, and stops in the middle of a row; with a marker it may stop for as long as it likes.
            cuts = sorted(self._chance.sample(range(len(file.content)), min(3, len(file.content))))
            with path.open("wb", buffering=0) as out:
                for start, end in zip([0, *cuts], [*cuts, len(file.content)], strict=True):
                    out.write(file.content[start:end])
                    time.sleep(self._chance.uniform(0, STALL_S_MAX if has_marker else GAP_S))
        if has_marker:
            path.with_name(f"{file.name}.done").touch()


def sales(chance: random.Random, number: int) -> Dropped:
    """A till's export: carry-out sales of some rows each; a few rows have a quantity of zero and cannot be lines."""
    file = Dropped("pos", SALES, f"SALES-{number}.csv", b"")
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("order_id", "channel", "placed_at", "fulfillment", "pickup_node", "sku", "quantity", "unit_price"))
    for sale in range(chance.randint(5, 60)):
        order_id = f"{number}-{sale}"
        lines = [(sku, chance.randint(1, 3)) for sku in chance.sample(TILL_SKUS, chance.randint(1, 4))]
        bad = chance.random() < 0.05
        for sku, units in [*lines, *([("TILL-1", 0)] if bad else [])]:
            writer.writerow((order_id, "till", "2026-03-01T10:00:00", "carry_out", STORE, sku, units, PRICE))
        file.rows += len(lines) + bad
        file.bad_rows += bad
        file.orders[f"pos:{order_id}"] = tuple(lines)
    file.records = len(file.orders)
    file.content = out.getvalue().encode()
    return file


def counts(chance: random.Random, number: int) -> Dropped:
    """A count sheet of SKUs that nobody else touches, so that what was counted must be there in the end."""
    file = Dropped("backoffice", COUNTS, f"COUNT-{number}.csv", b"")
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(("sku", "node", "counted", "ref", "occurred_at"))
    for row in range(chance.randint(5, 80)):
        sku, units = f"SHELF-{number}-{row}", chance.randint(0, 50)
        writer.writerow((sku, STORE, units, f"COUNT-{number}", "2026-03-01T22:00:00"))
        file.counts[sku] = units
    file.rows = file.records = len(file.counts)
    file.content = out.getvalue().encode()
    return file
