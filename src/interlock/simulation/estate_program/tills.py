"""The tills: their exports of each night, dropped as such systems do: one half-written at first, one twice."""

from __future__ import annotations

from interlock.simulation.estate_program.files import drop, drop_torn, result_of
from interlock.simulation.estate_program.floor import Floor
from interlock.simulation.estate_program.plan import Night, Plan

TORN_NIGHT, TWICE_NIGHT = 0, 1


class Tills:
    """Drops each night's two files; `drop_night` returns before they are read."""

    name = "pos"

    def __init__(self, plan: Plan, floor: Floor, give_up_s: float) -> None:
        self._plan = plan
        self._floor = floor
        self._give_up_s = give_up_s

    async def drop_night(self, place: int, night: Night) -> None:
        """The sales, and the orders that were paid and will be fetched; a night with none has no such file."""
        for kind, name, rows in (
            ("sales", night.sales, night.sales_rows),
            ("tendered", night.tendered, night.tendered_rows),
        ):
            if not rows:
                continue
            content = (self._plan.folder / name).read_bytes()
            folder, file = self._plan.path(kind), name.rpartition("/")[2]
            if kind == "sales" and place == TORN_NIGHT:
                await drop_torn(folder, file, content)
                self.count("files written slowly, in pieces")
            else:
                drop(folder, file, content)
            self.count(f"files dropped: {kind}")
            self.count(f"lines exported: {kind}", rows)
            self._floor.spawn(self._watch(kind, file))
            if kind == "sales" and place == TWICE_NIGHT:
                drop(folder, f"AGAIN_{file}", content)
                self.count("files dropped twice")
                self._floor.spawn(self._watch(kind, f"AGAIN_{file}"))

    async def _watch(self, kind: str, file: str) -> None:
        await result_of(self._plan.path(kind), file, self._floor.journal, self.name, self._give_up_s)

    def count(self, deed: str, times: int = 1) -> None:
        """Count a deed of the tills."""
        self._floor.journal.count(self.name, deed, times)
