"""What a link would make of bytes, record by record and field by field, without writing anything and without a database.

    for tried in try_documents(translator, estate, blocks, context):      # a link with a mapping
    for tried in try_rows(mapper, system, folder, blocks):                # a folder of plain CSV
        tried.state        would be taken, would be skipped, or would be refused
        tried.fields       every field of ours: its value, where it came from, and what stands there

It asks the very functions that a live link asks, so what is shown is what would be. What the engine would then decide (whether
there is stock, whether the order is known) is not asked: that is for the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from interlock.connectors.formats.document import Document, Flaw, Interchange
from interlock.connectors.formats.tabular import Table
from interlock.connectors.mapping import Mapper, MappingFailed
from interlock.connectors.recipes import Made
from interlock.connectors.record_columns import Columns
from interlock.connectors.records import Record, Reject, read_records, rejects
from interlock.connectors.translate import Reading, Translator
from interlock.domain.decision import FieldError, Problem
from interlock.domain.estate import Estate, System
from interlock.domain.links import Files
from interlock.domain.sequences import Mark

_INSIDE: Final = ("lines", "packages", "destination", "payment")


class TriedField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of ours. `path` is where in the document it came from and `theirs` what stands there; `source` is document,
    context or mapping. `alias_of` is the system's own word, where the estate has another one for it.
    """

    field: str
    value: Any
    source: str = "document"
    path: str = ""
    theirs: str = ""
    alias_of: str = ""


class Tried(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one record, or of what takes the place of one.

    `why` says why it is skipped or refused, `errors` every mistake; `notes` what was tolerated in reading it.
    """

    place: str
    kind: str
    state: Literal["taken", "skipped", "refused", "interchange"]
    action: str = ""
    subject: str = ""
    fields: tuple[TriedField, ...] = ()
    mark: Mark | None = None
    why: str = ""
    reason: str = ""
    errors: tuple[FieldError, ...] = ()
    notes: tuple[str, ...] = ()


def try_documents(
    translator: Translator, estate: Estate, source: Iterable[bytes], context: Mapping[str, Any]
) -> Iterator[Tried]:
    """What a link with a mapping makes of bytes. Raises FormatUnreadable."""
    system = translator.system
    for item in translator.items(source):
        if isinstance(item, Flaw):
            yield _refused(translator.flawed(item))
        elif isinstance(item, Interchange):
            yield _interchange(item)
        else:
            document = translator.within(item, context)
            for reading, made in translator.pairs(document):
                yield _tried(translator, estate, system, document, reading, made)


def try_rows(mapper: Mapper, system: System, folder: Files, source: Iterable[bytes]) -> Iterator[Tried]:
    """What a folder of plain CSV makes of bytes. Raises TableUnreadable."""
    table = Table(source, encoding=folder.encoding, delimiter=folder.delimiter)
    columns = Columns(table.columns, system, folder)
    kind = folder.records or ""
    for item in read_records(table, system, folder):
        if isinstance(item, Reject):
            yield _refused_rows([item], f"row {item.line}", kind, item.reason)
            continue
        problem = item.problem
        subject = ""
        if problem is None:
            try:
                subject = mapper.record(system, item.action, item.fields).subject
            except MappingFailed as failed:
                problem = failed.problem
        if problem is not None:
            yield _refused_rows(rejects(item, problem, columns), item.place, kind, problem.reason)
            continue
        yield Tried(
            place=item.place,
            kind=kind,
            state="taken",
            action=item.action,
            subject=subject,
            fields=tuple(_column_fields(item, item.fields, columns, mapper.estate, system)),
        )


# With a mapping


def _tried(
    translator: Translator, estate: Estate, system: System, document: Document, reading: Reading, made: Made | None
) -> Tried:
    if reading.problem is not None:
        return _refused(reading, made.action if made is not None else "")
    if made is None or not made.action:
        return Tried(
            place=reading.place,
            kind=reading.kind,
            state="skipped",
            why=reading.skipped,
            mark=reading.mark,
            notes=reading.notes,
        )
    return Tried(
        place=reading.place,
        kind=reading.kind,
        state="taken",
        action=made.action,
        subject=reading.command.subject if reading.command is not None else "",
        fields=tuple(
            _field(estate, system, origin.field, origin.value, origin.source, origin.path, origin.theirs)
            for origin in translator.recipe.origins(document, made)
        ),
        mark=reading.mark,
        notes=reading.notes,
    )


def _field(estate: Estate, system: System, field: str, value: Any, source: str, path: str, theirs: str) -> TriedField:
    """A field, with our own word where the estate has one for the system's."""
    ours = value
    name = field.rpartition(".")[2]
    if isinstance(value, str) and name == "sku":
        ours = estate.sku(system.id, value)
    elif isinstance(value, str) and name in ("node", "pickup_node"):
        ours = estate.node_id(system.id, value)
    alias_of = value if ours != value else ""
    return TriedField(field=field, value=ours, source=source, path=path, theirs=theirs, alias_of=alias_of)


def _refused(reading: Reading, action: str = "") -> Tried:
    problem = reading.problem or Problem(reason="", explanation="")
    return Tried(
        place=reading.place,
        kind=reading.kind,
        state="refused",
        action=action,
        why=problem.explanation,
        reason=problem.reason,
        errors=problem.errors,
        notes=reading.notes,
    )


def _interchange(item: Interchange) -> Tried:
    sets = [each for group in item.groups for each in group.sets]
    wrong = sum(not each.accepted for each in sets)
    answers = f", {len(item.answers)} answers to ours" if item.answers else ""
    said = f"from {item.sender[1]} to {item.receiver[1]}: {len(sets)} sets, {wrong} of them rejected{answers}"
    return Tried(
        place=f"interchange {item.control}", kind=item.standard, state="interchange", why=said, notes=item.errors
    )


# Plain CSV


def _refused_rows(found: list[Reject], place: str, kind: str, reason: str) -> Tried:
    errors = tuple(FieldError(f"row {each.line}: {each.field}", each.value, each.expected) for each in found)
    return Tried(place=place, kind=kind, state="refused", reason=reason, errors=errors)


def _column_fields(
    record: Record, fields: Mapping[str, Any], columns: Columns, estate: Estate, system: System, above: str = ""
) -> Iterator[TriedField]:
    for name, value in fields.items():
        field = f"{above}{name}"
        if isinstance(value, dict):
            yield from _column_fields(record, value, columns, estate, system, f"{field}.")
        elif isinstance(value, list):
            for place, entry in enumerate(value):
                yield from _column_fields(record, entry, columns, estate, system, f"{field}[{place}].")
        else:
            theirs = columns.theirs(name)
            is_there = columns.cell(name, record.rows[0].cells) is not None
            source = "document" if is_there else "mapping"
            yield _field(estate, system, field, value, source, *((theirs, str(value)) if is_there else ("", "")))
