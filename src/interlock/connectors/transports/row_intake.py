"""Plain CSV of ours on its way in: rows to records, records to commands, what is rejected to its file, all counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from interlock.connectors.formats.document import FormatUnreadable
from interlock.connectors.formats.tabular import Table, TableUnreadable
from interlock.connectors.kept_rows import rows_type
from interlock.connectors.mapping import MappingFailed
from interlock.connectors.receive import new_message_id
from interlock.connectors.record_columns import Columns
from interlock.connectors.records import Record, Reject, read_records, rejects
from interlock.connectors.transports.file_result import Arrived, Counts, RejectsFile
from interlock.connectors.transports.unpack import Content
from interlock.contracts.upcasters import command_label
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import Arrival, Outcome, Problem
from interlock.domain.estate import System
from interlock.domain.links import Files

# The engine splits what it is given over 64 parts, a transaction each: many at once make few, full transactions.
ARRIVALS_MAX: Final = 8_000
ARRIVAL_BYTES_MAX: Final = 4 * 1024 * 1024
REJECT_COLUMNS: Final = ("row", "field", "value", "expected", "reason")


class CommandReader(Protocol):
    """What the drop folder needs of the mapping."""

    def record(self, system: System, action: str, record: Mapping[str, object]) -> AnyCommand:
        """The command that a record asks for, its local times in the system's zone; raises MappingFailed."""


class Processor(Protocol):
    """What the drop folder needs of the engine's door."""

    def process(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Keep, decide and commit; one outcome for each arrival, in order."""


class RowReader:
    """How the files of one link with `records` are read."""

    def __init__(self, system: System, link: Files, mapper: CommandReader, door: Processor) -> None:
        self.system, self.link = system, link
        self.mapper, self.door = mapper, door

    def check(self, content: Content) -> None:
        """Look at the header. Raises FormatUnreadable."""
        self.open(content.blocks())

    def rows(self, content: Content) -> int:
        """How many rows of data there are, the unreadable ones among them. Raises FormatUnreadable."""
        table, _ = self.open(content.blocks())
        return sum(len(chunk.rows) + len(chunk.bad) for chunk in table)

    def take(self, content: Content, arrived: Arrived, rejected: RejectsFile, counts: Counts) -> None:
        """Take it all in, and count it. Raises FormatUnreadable."""
        table, columns = self.open(content.blocks())
        _Intake(self, content.name, arrived, table, columns, rejected, counts).run()

    def open(self, blocks: Iterator[bytes]) -> tuple[Table, Columns]:
        """The table, its header read and checked. Raises FormatUnreadable."""
        try:
            table = Table(blocks, encoding=self.link.encoding, delimiter=self.link.delimiter)
            return table, Columns(table.columns, self.system, self.link)
        except TableUnreadable as error:
            raise FormatUnreadable(error.reason, error.field, error.value, error.expected) from None


class _Intake:
    """The rows of one table."""

    def __init__(
        self,
        home: RowReader,
        entry: str,
        arrived: Arrived,
        table: Table,
        columns: Columns,
        rejected: RejectsFile,
        counts: Counts,
    ) -> None:
        self._home, self._entry, self._arrived = home, entry, arrived
        self._table, self._columns = table, columns
        self._rejected, self._counts = rejected, counts
        self._content_type = rows_type(table.encoding, table.columns, table.delimiter)
        self._waiting: list[Arrival] = []
        self._waiting_bytes = 0

    def run(self) -> None:
        for item in read_records(self._table, self._home.system, self._home.link):
            if isinstance(item, Reject):
                self._reject([item])
            else:
                self._arrive(item)
                if len(self._waiting) >= ARRIVALS_MAX or self._waiting_bytes >= ARRIVAL_BYTES_MAX:
                    self._process()
        self._process()

    def _arrive(self, record: Record) -> None:
        self._counts.records += 1
        command, problem = None, record.problem
        if problem is None:
            try:
                command = self._home.mapper.record(self._home.system, record.action, record.fields)
            except MappingFailed as failed:
                problem = failed.problem
        if problem is None:
            self._counts.rows_taken += len(record.rows) - record.refused
        elif record.sources or not record.refused:
            self._reject(rejects(record, problem, self._columns))
        arrival = self._arrival(record, command, problem)
        self._waiting.append(arrival)
        self._waiting_bytes += len(arrival.body)

    def _arrival(self, record: Record, command: AnyCommand | None, problem: Problem | None) -> Arrival:
        return Arrival(
            message_id=new_message_id(),
            system=self._home.system.id,
            received_at=self._arrived.at,
            body=record.body,
            content_type=self._content_type,
            command=command,
            problem=problem,
            file=self._arrived.sha256,
            record=f"{self._entry}: {record.place}" if self._entry else record.place,
            contract=command_label(record.action) if record.action else None,
        )

    def _process(self) -> None:
        if self._waiting:
            self._counts.outcomes.update(outcome.outcome for outcome in self._home.door.process(self._waiting))
            self._waiting, self._waiting_bytes = [], 0

    def _reject(self, found: list[Reject]) -> None:
        """Write rows to the file of rejects; a row with several mistakes has several lines there and counts once."""
        self._rejected.begin((*REJECT_COLUMNS, *self._table.columns), self._table.delimiter)
        first_reasons = {reject.line: reject.reason for reject in reversed(found)}
        self._counts.rows_rejected += len(first_reasons)
        self._counts.rejected.update(first_reasons.values())
        for line, field, value, expected, reason, cells in found:
            row = f"{self._entry}: {line}" if self._entry else line
            self._rejected.write((row, field, value, expected, reason, *cells))
