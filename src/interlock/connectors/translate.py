"""Bytes to commands: the format reads documents, the mapping makes records of them, the mapper makes commands of those.

    source ─▶ reader(format) ─▶ contract ─▶ recipe(mapping) ─▶ mapper ─▶ Reading: a command, or the problem

Nothing is written here and nothing decided, so `interlock connect try` shows exactly what a live link would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from interlock.connectors.contracted import Contracted, held, warned
from interlock.connectors.formats.document import Document, Flaw, Interchange, Item
from interlock.connectors.formats.readers import media_type, reader
from interlock.connectors.kept_rows import with_columns
from interlock.connectors.mapping_errors import UNREADABLE, MappingFailed
from interlock.connectors.recipes import Made, Recipe
from interlock.contracts.external.drift import Checked
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import FieldError, Problem
from interlock.domain.estate import System
from interlock.domain.links import Format
from interlock.domain.sequences import Mark


class RecordReader(Protocol):
    """What translating needs of the mapper."""

    def record(self, system: System, action: str, record: Mapping[str, object]) -> AnyCommand:
        """The command that a record asks for, its local times in the system's zone; raises MappingFailed."""


class Reading(NamedTuple):
    """What one record came to: a command, or the problem; or neither, where the mapping says that it is nothing to do.

    Of several records of one document, only the first has its bytes as its `body`, its notes, and what its contract says of it.
    """

    place: str
    kind: str
    body: bytes
    content_type: str
    command: AnyCommand | None = None
    problem: Problem | None = None
    mark: Mark | None = None
    skipped: str = ""
    notes: tuple[str, ...] = ()
    checked: Checked | None = None


class Translator:
    """One link's way from bytes to commands. Safe to share between threads."""

    def __init__(
        self,
        system: System,
        link: str,
        form: Format,
        recipe: Recipe,
        mapper: RecordReader,
        contracted: Contracted | None = None,
    ) -> None:
        self.system = system
        self.format = form
        self.recipe = recipe
        self.contracted = contracted
        self._mapper = mapper
        self._read = reader(form.kind)
        self.content_type = f"{media_type(form.kind)}; link={link}" if link else media_type(form.kind)
        self.contract = f"mapping:{recipe.name}"
        self._columns: tuple[tuple[str, ...], str] = (), self.content_type
        self._has_header = form.kind == "csv" and form.header

    def read(self, source: Iterable[bytes], context: Mapping[str, Any] = {}) -> Iterator[Reading | Interchange]:
        """Everything that the bytes say, in their order; what is said beside them (a topic, headers) is `context`.

        Raises FormatUnreadable where nothing can be read at all, which may be found out at any place.
        """
        for item in self._read(source, self.format):
            if isinstance(item, Document):
                yield from self.readings(item, context)
            elif isinstance(item, Flaw):
                yield self.flawed(item)
            else:
                yield item

    def items(self, source: Iterable[bytes]) -> Iterator[Item]:
        """What the format reads, before anything is made of it. Raises FormatUnreadable."""
        return self._read(source, self.format)

    def readings(self, document: Document, context: Mapping[str, Any] = {}) -> list[Reading]:
        """What one document comes to: at least one reading."""
        return [reading for reading, _ in self.pairs(self.within(document, context))]

    def within(self, document: Document, context: Mapping[str, Any]) -> Document:
        """The document, with what was said beside it in its context."""
        return document._replace(context={**document.context, **context}) if context else document

    def pairs(self, document: Document) -> list[tuple[Reading, Made | None]]:
        """What one document comes to, each with the record that the mapping made; None where it could make none."""
        if self.contracted is None or (checked := self.contracted.check(document)) is None:
            return self._mapped(document)
        if checked.verdict == "quarantine":
            failed = self._failed(document, held(document, checked), checked)
            return [(failed._replace(mark=self.recipe.mark_of(document)), None)]
        if checked.verdict == "warn":
            document = document._replace(notes=(*document.notes, *warned(checked)))
        return self._mapped(document, checked)

    def _mapped(self, document: Document, checked: Checked | None = None) -> list[tuple[Reading, Made | None]]:
        try:
            made = self.recipe.records(document)
        except MappingFailed as failed:
            reading = self._failed(document, failed.problem, checked)
            return [(reading._replace(mark=self.recipe.mark_of(document)), None)]
        if not made:
            problem = Problem(
                reason="no_rule",
                explanation=f"the mapping {self.recipe.name} has no rule for this {document.kind}",
                errors=(FieldError("", document.kind, f"one of: {self.recipe.rules()}"),),
            )
            return [(self._failed(document, problem, checked), None)]
        first = self._made(document, made[0], document.raw, self._type_of(document), document.notes, checked), made[0]
        if len(made) == 1:
            return [first]
        content_type = f"application/vnd.interlock.record+json; of={document.place}"
        return [first, *[(self._made(document, each, each.body(), content_type, ()), each) for each in made[1:]]]

    def _made(
        self,
        document: Document,
        made: Made,
        body: bytes,
        content_type: str,
        notes: tuple[str, ...],
        checked: Checked | None = None,
    ) -> Reading:
        command: AnyCommand | None = None
        problem: Problem | None = made.failed.problem if made.failed is not None else None
        if made.action:
            try:
                command = self._mapper.record(self.system, made.action, made.fields)
            except MappingFailed as failed:
                problem = self.recipe.traced(document, made, failed).problem
        place = f"{document.place} {made.part}" if made.part else document.place
        return Reading(
            place, document.kind, body, content_type, command, problem, made.mark, made.skipped, notes, checked
        )

    def _failed(self, document: Document, problem: Problem, checked: Checked | None = None) -> Reading:
        content_type, notes = self._type_of(document), document.notes
        return Reading(
            document.place, document.kind, document.raw, content_type, problem=problem, notes=notes, checked=checked
        )

    def _type_of(self, document: Document) -> str:
        """Rows are kept without their header, and must say what their columns are."""
        if not self._has_header:
            return self.content_type
        names = tuple([name for name in document.data if name != "rows" or document.kind == "row"])
        if names != self._columns[0]:
            self._columns = names, with_columns(self.content_type, names)
        return self._columns[1]

    def flawed(self, flaw: Flaw) -> Reading:
        """What takes the place of a document and cannot be read."""
        problem = Problem(
            reason=flaw.reason or UNREADABLE,
            explanation=f"{flaw.place}: {flaw.field or 'this'} is not {flaw.expected}",
            errors=(FieldError(flaw.field, flaw.value, flaw.expected),),
        )
        return Reading(flaw.place, flaw.kind, flaw.raw, self.content_type, problem=problem)
