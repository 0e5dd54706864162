"""Files of any format on their way in: through the link's inlet, what is rejected to its file, all counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from interlock.connectors.formats.document import FormatUnreadable, Interchange
from interlock.connectors.formats.readers import reader
from interlock.connectors.inlet import Inlet, Origin, Rejected, Taken
from interlock.connectors.transports.file_result import Arrived, Counts, InterchangeResult, RejectsFile
from interlock.connectors.transports.unpack import Content

REJECT_COLUMNS: Final = ("place", "field", "value", "expected", "reason", "text")
REST_BYTES_MAX: Final = 64 * 1024
REFUSALS_MAX: Final = 100
"""So many unreadable files of one zip file are kept as messages of their own; all are in its result."""


class DocumentReader:
    """How the files of one link with a format and a mapping are read."""

    def __init__(self, inlet: Inlet) -> None:
        self.inlet = inlet
        self.format = inlet.translator.format

    def check(self, content: Content) -> None:
        """Where the format has control totals, see that they agree before anything is taken. Raises FormatUnreadable."""
        if self.format.totals is not None and self.format.kind == "csv":
            from interlock.connectors.formats.delimited import check_totals  # only who has totals needs it

            check_totals(content.blocks(), self.format)

    def rows(self, content: Content) -> int:
        """How many rows or records of data there are, the unreadable ones among them. Raises FormatUnreadable."""
        if self.format.kind == "fixed":
            from interlock.connectors.formats.fixed_width import count_records

            return count_records(content.blocks(), self.format)
        read = reader(self.format.kind)
        items = read(content.blocks(), replace(self.format, group_by=()))
        return sum(not isinstance(item, Interchange) for item in items)

    def take(self, content: Content, arrived: Arrived, rejected: RejectsFile, counts: Counts) -> None:
        """Take it all in, and count it. Raises FormatUnreadable: what came before that place is taken, and counted.

        Where something was taken, the rest is kept as a quarantined message then.
        """

        def reject(found: Rejected) -> None:
            rejected.begin(REJECT_COLUMNS)
            place = f"{content.name}: {found.place}" if content.name else found.place
            rejected.write((place, found.field, found.value, found.expected, found.reason, found.text))

        origin = _origin(arrived, content.name)
        passing = _Passing(content.blocks())
        taken = Taken()
        try:
            self.inlet.take(iter(passing), origin, reject=reject, into=taken)
        except FormatUnreadable as wrong:
            _count(taken, counts)
            if taken.outcomes:
                place = f"{passing.place()}, after {taken.records} records"
                counts.ended = f" ({place})"
                outcome = self.inlet.refuse(origin, place, passing.last[:REST_BYTES_MAX], wrong)
                counts.outcomes[outcome.outcome] += 1
                counts.records += 1
                counts.rows_rejected += 1
                counts.rejected[wrong.reason] += 1
                reject(Rejected(place, wrong.field, wrong.value, wrong.expected, wrong.reason, ""))
            raise
        _count(taken, counts)

    def refuse(self, content: Content, arrived: Arrived, wrong: FormatUnreadable, *, known: bool) -> None:
        """Have a person see a file, or one in a zip file, of which nothing was taken; `known`: whether its bytes are noted."""
        head = b""
        if content.problem is None:
            try:
                head = next(content.blocks(), b"")
            except (FormatUnreadable, OSError):
                head = b""  # it cannot even be unpacked
        origin = replace(_origin(arrived, content.name), file=arrived.sha256 if known else None)
        self.inlet.refuse(origin, f"{arrived.name}, as a whole", head[:REST_BYTES_MAX], wrong)


def _origin(arrived: Arrived, entry: str) -> Origin:
    context = {"file": arrived.name, "entry": entry} if entry else {"file": arrived.name}
    return Origin(name=arrived.name, received_at=arrived.at, file=arrived.sha256, entry=entry, context=context)


def _count(taken: Taken, counts: Counts) -> None:
    refused = sum(taken.rejected.values())
    counts.rows_taken += taken.records - refused
    counts.rows_rejected += refused
    counts.records += taken.records - taken.skipped
    counts.outcomes += taken.outcomes
    counts.rejected += taken.rejected
    counts.skipped += taken.skipped
    counts.notes += taken.notes
    counts.interchanges += [InterchangeResult.of(each) for each in taken.interchanges]


class _Passing:
    """Blocks that pass by: which bytes were read last, for where reading ends."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._read = 0
        self.last = b""

    def __iter__(self) -> Iterator[bytes]:
        for block in self._blocks:
            self._read += len(block)
            self.last = block
            yield block

    def place(self) -> str:
        """Which bytes were read last, from 1."""
        return f"bytes {self._read - len(self.last) + 1}-{self._read}"
