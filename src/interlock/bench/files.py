"""How fast files become commands, on one core, format by format, against a bare parser of the format.

    report = interlock.bench.files.run(mb=8)

Each measure reads a file that is made before the clock starts: format, mapping and the mapper's checks, to canonical
commands; nothing is written anywhere. The bare parser only takes the same bytes apart (cells, segments, elements), and builds
nothing of them. CPU time is measured, not the clock's: the machine may be busy with something else.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from interlock.bench.file_samples import CANONICAL, SAMPLES, Sample, estate
from interlock.bootstrap import steady_memory
from interlock.connectors.contracted import Contracted
from interlock.connectors.formats.tabular import Table as Rows
from interlock.connectors.links import mapping_of
from interlock.connectors.mapping import Mapper
from interlock.connectors.receive import receive
from interlock.connectors.recipes import compile_recipe
from interlock.connectors.records import Record, read_records
from interlock.connectors.translate import Reading, Translator
from interlock.domain.errors import InterlockError
from interlock.domain.links import FolderIn
from interlock.domain.values import SystemId

MB_DEFAULT: Final = 8.0
BLOCK_BYTES: Final = 256 * 1024
ROUNDS: Final = 3


class FileMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """One format: its file, the commands made of it, and the speeds; `ratio` is that of the bare parser which was reached.

    `units` are what the issue of the format is counted in: rows of a table, documents of all else.
    """

    name: str
    mb: float
    units: int
    unit: str
    commands: int
    mb_per_s: float
    units_per_s: float
    bare_mb_per_s: float
    ratio: float


class FilesReport(msgspec.Struct, frozen=True, kw_only=True):
    """All formats."""

    measures: tuple[FileMeasure, ...]

    def as_json(self) -> bytes:
        """One JSON object."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


class FilesFailed(InterlockError):
    """A file did not become the commands that it should."""


def run(
    *, mb: float = MB_DEFAULT, only: str | None = None, tell: Callable[[str], None] = lambda _: None
) -> FilesReport:
    """Measure every format with files of so many megabytes. Raises FilesFailed where a record was not read."""
    steady_memory()  # as in a process that serves
    measures = []
    for sample in SAMPLES:
        if only is not None and only != sample.name:
            continue
        tell(f"{sample.name}: {mb:g} MB")
        measures.append(_measure(sample, mb))
    return FilesReport(measures=tuple(measures))


def _measure(sample: Sample, mb: float) -> FileMeasure:
    content, units = sample.make(int(mb * 1_000_000))
    read = {"": _plain_rows, CANONICAL: _commands}.get(sample.mapping, _translated)(sample)
    commands, took_s = min((_timed(lambda: read(content)) for _ in range(ROUNDS)), key=lambda each: each[1])
    if commands != units * sample.commands_per_unit:
        raise FilesFailed(f"{sample.name}: {units:,} {sample.unit} became {commands:,} commands")
    _, bare_s = min(
        (_timed(lambda: BARE[sample.format.kind](content)) for _ in range(ROUNDS)), key=lambda each: each[1]
    )
    size = len(content) / 1_000_000
    return FileMeasure(
        name=sample.name,
        mb=round(size, 1),
        units=units,
        unit=sample.unit,
        commands=commands,
        mb_per_s=round(size / took_s, 2),
        units_per_s=round(units / took_s),
        bare_mb_per_s=round(size / bare_s, 1),
        ratio=round(bare_s / took_s, 3),
    )


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    begun = time.process_time()
    found = work()
    return found, time.process_time() - begun


def _translated(sample: Sample) -> Callable[[bytes], int]:
    found = estate()
    system = found.systems[SystemId("peer")]
    recipe = compile_recipe(
        sample.mapping,
        sample.inline or mapping_of(found, sample.mapping),
        system=system,
        form=sample.format,
        settings=sample.settings,
    )
    contracted = Contracted(sample.contract) if sample.contract is not None else None
    translator = Translator(system, "", sample.format, recipe, Mapper(found), contracted)

    def read(content: bytes) -> int:
        commands = 0
        for item in translator.read(_blocks(content)):
            if isinstance(item, Reading):
                if item.problem is not None or (item.checked is not None and item.checked.drifts):
                    raise FilesFailed(f"{sample.name}, {item.place}: {item.problem or item.checked}")
                commands += item.command is not None
        return commands

    return read


def _plain_rows(sample: Sample) -> Callable[[bytes], int]:
    found = estate()
    system = found.systems[SystemId("peer")]
    folder = FolderIn(path="", records="stock_counts")
    mapper = Mapper(found)

    def read(content: bytes) -> int:
        commands = 0
        for item in read_records(Rows(_blocks(content)), system, folder):
            if not isinstance(item, Record):
                raise FilesFailed(f"{sample.name}: {item}")
            mapper.record(system, item.action, item.fields)
            commands += 1
        return commands

    return read


def _commands(_: Sample) -> Callable[[bytes], int]:
    found = estate()
    system = found.systems[SystemId("peer")]
    mapper = Mapper(found)

    def read(content: bytes) -> int:
        return sum(receive(mapper, system, CANONICAL, line).command is not None for line in content.splitlines())

    return read


def _blocks(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), BLOCK_BYTES):
        yield content[start : start + BLOCK_BYTES]


# Bare parsers: what takes the bytes apart, and no more


def _bare_csv(content: bytes) -> int:
    return sum(1 for _ in csv.reader(io.StringIO(content.decode(), newline="")))


def _bare_json_lines(content: bytes) -> int:
    decode = msgspec.json.Decoder().decode
    return sum(1 for line in content.splitlines() if decode(line))


def _bare_segments(segment: str, element: str) -> Callable[[bytes], int]:
    def take_apart(content: bytes) -> int:
        return sum(len(each.split(element)) for each in content.decode("latin-1").split(segment))

    return take_apart


def _bare_xml(content: bytes) -> int:
    from lxml import etree

    count = 0
    events: Iterable[Any] = etree.iterparse(io.BytesIO(content), events=("end",), resolve_entities=False)
    for _, element in events:
        count += 1
        element.clear(keep_tail=False)
        while element.getprevious() is not None:
            del element.getparent()[0]
    return count


def _bare_fixed(content: bytes) -> int:
    return sum(len(line.decode("cp037")) for line in _records(content))


def _records(content: bytes) -> Iterator[bytes]:
    from interlock.bench.file_samples import FIXED_BYTES

    for start in range(0, len(content), FIXED_BYTES):
        yield content[start : start + FIXED_BYTES]


BARE: Final[dict[str, Callable[[bytes], int]]] = {
    "csv": _bare_csv,
    "ndjson": _bare_json_lines,
    "x12": _bare_segments("~", "*"),
    "edifact": _bare_segments("'", "+"),
    "poslog": _bare_xml,
    "fixed": _bare_fixed,
}


def print_files(report: FilesReport, console: Console) -> None:
    """The table for people."""
    table = Table(title="Files to canonical commands, one core, CPU time")
    table.add_column("file")
    for name in ("MB", "units", "commands", "MB/s", "units/s", "bare parser MB/s", "ratio"):
        table.add_column(name, justify="right")
    for one in report.measures:
        table.add_row(
            one.name,
            f"{one.mb:.1f}",
            f"{one.units:,} {one.unit}",
            f"{one.commands:,}",
            f"{one.mb_per_s:.1f}",
            f"{one.units_per_s:,.0f}",
            f"{one.bare_mb_per_s:.0f}",
            f"{one.ratio:.1%} of bare",
        )
    console.print(table)
