"""A message that was kept, read again: which way it came is found out by its content type, and the same code reads it.

    application/json                    a body of our API: its action stands beside it, or in the contract that it was read by
    text/csv; header=absent; columns=…  rows of a plain CSV file: the folder of the estate that takes such rows reads them
    …; link=NAME                        a document of a link: its format and its mapping
    application/vnd.interlock.record+json   a further record of such a document: what the mapping had made of it

What is kept under an old version of a contract is lifted to the current one before it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from interlock.connectors.formats.document import FormatUnreadable, Interchange
from interlock.connectors.formats.readers import media_type
from interlock.connectors.formats.tabular import Table, TableUnreadable
from interlock.connectors.kept_rows import columns_of, delimiter_of, parameters
from interlock.connectors.links import JSON, Links
from interlock.connectors.mapping import UNREADABLE, Mapper, MappingFailed, read_object
from interlock.connectors.mapping_actions import ACTIONS
from interlock.connectors.recipes import RecipeWrong
from interlock.connectors.record_columns import FIELDS, Columns
from interlock.connectors.records import Reject, read_records
from interlock.connectors.translate import Reading, Translator
from interlock.contracts.upcasters import UPCASTERS, Upcasters, read_label
from interlock.domain.commands import AnyCommand
from interlock.domain.decision import Arrival, FieldError, Problem
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate, RecordKind, System
from interlock.domain.links import Files, LinkIn
from interlock.domain.sequences import Mark
from interlock.domain.values import SystemId
from interlock.storage.history import Kept

RECORD: Final = "application/vnd.interlock.record+json"
NOT_ABOUT_READING: Final = frozenset({"idempotency_key_reused"})
"""Reasons for which something was put away that reading it again cannot mend."""
_BODIES: Final = frozenset({"application/json", "application/x-ndjson"})
_KINDS: Final[dict[str, RecordKind]] = {
    "order.create": "sales",
    "stock.count": "stock_counts",
    "stock.adjust": "stock_adjustments",
}
_KIND_BY_LINK: Final = ("sales", "stock_counts", "stock_adjustments", "fulfillment")


class Again(NamedTuple):
    """What a message comes to now: a command or the problem; or neither, where the mapping says that it is nothing to do.

    `body` and `content_type` are those of a further record of a document, `mark` its place in the count of a till.
    """

    command: AnyCommand | None
    problem: Problem | None = None
    place: str | None = None
    body: bytes | None = None
    content_type: str = ""
    mark: Mark | None = None


class Rereader:
    """Reads kept messages by one estate. `files` are names and kinds of records by system and SHA-256."""

    def __init__(
        self,
        estate: Estate,
        files: Mapping[tuple[str, str], tuple[str, str]] = {},
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        self.estate = estate
        self.mapper = Mapper(estate)
        self.links = Links(estate, self.mapper, _Nowhere())
        self._files = dict(files)
        self._upcasters = upcasters
        self._ways: dict[tuple[str, str, bool], tuple[LinkIn, Translator] | Problem] = {}
        self._columns: dict[tuple[str, str, str], _Rows] = {}

    def know(self, files: Mapping[tuple[str, str], tuple[str, str]]) -> None:
        """Files of which more messages come."""
        self._files.update(files)

    def way_of(self, kept: Kept) -> str:
        """By what it is read, for people: the mapping's name, or the contract of its action."""
        found = self._way(kept)
        if isinstance(found, tuple):
            return f"mapping {found[1].recipe.name}"
        return kept.contract or kept.action or "our own contracts"

    def link_of(self, kept: Kept) -> tuple[LinkIn, Translator] | None:
        """The link by which it came, if that has a mapping."""
        found = self._way(kept)
        return found if isinstance(found, tuple) else None

    def read(self, kept: Kept) -> list[Again]:
        """What it comes to: one thing, or several where it is the first of a document with several records."""
        try:
            return self._read(kept)
        except Exception as error:  # ours, most likely: one message that we cannot read does not end the replay
            return [Again(None, Problem(reason="internal_error", explanation=f"{type(error).__name__}: {error}"[:500]))]

    def _read(self, kept: Kept) -> list[Again]:
        system = self.estate.systems.get(kept.system)
        if system is None:
            return [_no(f"the estate has no system {kept.system}")]
        if kept.content_type in _BODIES and kept.file is None and _is_body(kept):
            return [self._body(system, kept)]
        media, given = parameters(kept.content_type)
        try:
            if media == RECORD:
                return [self._record(system, kept)]
            if media == "text/csv" and given.get("header") == "absent":
                return [self._rows(system, kept, given)]
            found = self._way(kept)
            if found is None:
                return [self._body(system, kept)]
            if isinstance(found, Problem):
                return [Again(None, found)]
            return self._document(found[1], kept, given)
        except MappingFailed as failed:
            return [Again(None, failed.problem)]
        except (FormatUnreadable, TableUnreadable) as wrong:
            error = FieldError(wrong.field, wrong.value, wrong.expected)
            return [Again(None, Problem(reason=wrong.reason, explanation=str(wrong), errors=(error,)))]

    # Bodies of our API

    def _body(self, system: System, kept: Kept) -> Again:
        named = read_label(kept.contract)
        action = kept.action or (named[0] if named and named[0] in ACTIONS else None)
        version = named[1] if named and named[0] == action else 1
        body = kept.body
        try:
            if action is not None and version != self._upcasters.current("command", action):
                lifted = self._upcasters.upcast("command", action, version, read_object(body))
                body = _encode(lifted)
            if action is None:
                return self._of_some_action(system, body, kept)
            return Again(self._keyed(system, action, body, kept))
        except MappingFailed as failed:
            return Again(None, failed.problem)
        except InvalidValue as wrong:
            return _no(str(wrong))

    def _keyed(self, system: System, action: str | None, body: bytes, kept: Kept) -> AnyCommand:
        """Its fact may be named by the body, or by the key that came with it: as it was then."""
        if kept.source_message_id is None:
            return self._named(system, action, body, None)
        command = self._named(system, action, body, kept.source_message_id)
        if kept.business_key is not None and command.key != kept.business_key:
            own = kept.business_key.rpartition("/")[2]
            other = self._named(system, action, body, own)
            return other if other.key == kept.business_key else command
        return command

    def _named(self, system: System, action: str | None, body: bytes, key: str | None) -> AnyCommand:
        try:
            return self.mapper.read(system, action, body, idempotency_key=key)
        except MappingFailed:
            if action is None or b'"action"' not in body:
                raise
            return self.mapper.read(system, None, body, idempotency_key=key)

    def _of_some_action(self, system: System, body: bytes, kept: Kept) -> Again:
        """Kept before contracts were: the action was in the address. It is the only one that can read the body, if one can."""
        try:
            record = read_object(body)
        except MappingFailed as failed:
            return Again(None, failed.problem)
        if isinstance(record.get("action"), str):
            return Again(self._keyed(system, None, body, kept))
        fitting: list[AnyCommand] = []
        closest: MappingFailed | None = None
        for action in ACTIONS:
            try:
                fitting.append(self._keyed(system, action, body, kept))
            except MappingFailed as failed:
                if closest is None or len(failed.problem.errors) < len(closest.problem.errors):
                    closest = failed
        if len(fitting) == 1:
            return Again(fitting[0])
        if fitting:
            names = " or ".join(command.action for command in fitting)
            return _no(f"it may be {names}: which it is was not written down")
        return Again(None, closest.problem if closest is not None else None)

    # Rows

    def _rows(self, system: System, kept: Kept, given: dict[str, str]) -> Again:
        rows = self._rows_of(system, kept, given)
        if isinstance(rows, Problem):
            return Again(None, rows)
        table = Table([kept.body], encoding=rows.encoding, delimiter=rows.delimiter, columns=rows.names)
        items = list(read_records(table, system, rows.link))
        records = [item for item in items if not isinstance(item, Reject)]
        if len(records) != 1:
            return _no(f"the rows come to {len(records)} records, and were one")
        record = records[0]
        if record.problem is not None:
            return Again(None, record.problem)
        return Again(self.mapper.record(system, record.action, record.fields))

    def _rows_of(self, system: System, kept: Kept, given: dict[str, str]) -> _Rows | Problem:
        key = (system.id, kept.content_type, self._kind(system, kept))
        found = self._columns.get(key)
        if found is not None:
            return found
        link = _folder(system, key[2])
        if link is None:
            return _problem(f"{system.id} has no folder of {key[2] or 'rows'} any more")
        names = columns_of(given)
        delimiter = delimiter_of(given)
        if not names:  # kept before the columns were: they are taken to stand as the estate lists them
            names, delimiter = tuple(link.columns.values()) or FIELDS[link.records or "sales"], link.delimiter
        encoding = given.get("charset", link.encoding)
        rows = _Rows(names, encoding, delimiter, link)
        self._columns[key] = rows
        Columns(names, system, link)  # raises TableUnreadable where a column that is needed is not there
        return rows

    def _kind(self, system: System, kept: Kept) -> str:
        if kept.file is not None:
            known = self._files.get((system.id, kept.file))
            if known is not None and known[1] in _KIND_BY_LINK:
                return known[1]
        if kept.action is None:
            return ""
        return _KINDS.get(kept.action, "fulfillment" if kept.action.startswith("shipment.") else "")

    # Documents

    def _record(self, system: System, kept: Kept) -> Again:
        record = dict(read_object(kept.body))
        action = record.pop("action", None) or kept.action
        if not isinstance(action, str) or not action:
            return Again(None, None)
        return Again(self.mapper.record(system, action, record))

    def _document(self, translator: Translator, kept: Kept, given: dict[str, str]) -> list[Again]:
        names = columns_of(given)
        if names and translator.format.kind == "csv" and translator.format.header:
            form = msgspec.structs.replace(translator.format, header=False, columns=names, totals=None)
            translator = Translator(translator.system, "", form, translator.recipe, self.mapper, translator.contracted)
        context = msgspec.json.decode(kept.context) if kept.context else {}
        found = [
            _again(item, number)
            for number, item in enumerate(translator.read([kept.body], context))
            if not isinstance(item, Interchange)
        ]
        return found or [_no("there is nothing in it; expected a document")]

    def _way(self, kept: Kept) -> tuple[LinkIn, Translator] | Problem | None:
        """The link by which it came; None for what came without a mapping."""
        media, given = parameters(kept.content_type)
        is_body = kept.file is None and kept.record is None
        key = (kept.system, f"{media} {given.get('link', '')}", is_body)
        if key not in self._ways:
            self._ways[key] = self._find(kept.system, media, given.get("link", ""), is_body)  # type: ignore[assignment]
        return self._ways[key]

    def _find(self, system_id: str, media: str, name: str, is_body: bool) -> tuple[LinkIn, Translator] | Problem | None:
        system = next((each for each in self.estate.systems.values() if each.id == system_id), None)
        if system is None or media == RECORD:
            return None
        mapped = [link for link in system.inbound if link.mapping]
        if name:
            found = [link for link in mapped if link.name == name]
            if not found:
                return _problem(f"the estate has no link {name} of {system_id} with a mapping any more")
        else:
            found = [link for link in mapped if not link.name and media_type((link.format or JSON).kind) == media]
            if not found or (is_body and media in _BODIES):
                return None
        try:
            return found[0], self.links.translator(system, found[0])
        except (RecipeWrong, KeyError) as wrong:
            return _problem(f"the mapping {found[0].mapping} cannot be used: {wrong}")


def as_arrival(kept: Kept, again: Again) -> Arrival:
    """The message as it came, read again."""
    return Arrival(
        message_id=kept.message_id,
        system=kept.system,
        received_at=kept.received_at,
        body=kept.body if again.body is None else again.body,
        content_type=again.content_type or kept.content_type,
        command=again.command,
        problem=again.problem,
        source_message_id=kept.source_message_id,
        trace_id=kept.trace_id,
        file=kept.file,
        record=kept.record,
        contract=kept.contract,
        context=kept.context.encode() if kept.context else None,
    )


def reads_alike(one: Estate, other: Estate, system: SystemId) -> bool:
    """Whether two estates read the messages of a system alike: what neither reading nor mapping looks at may differ."""
    theirs = [
        (
            estate.systems.get(system),
            estate.sku_aliases.get(system),
            estate.node_aliases.get(system),
            {each.order_scope for each in estate.systems.values()},
            set(estate.nodes),
            set(estate.channels),
            {link.mapping: estate.mappings.get(link.mapping) for link in _inbound(estate, system)},
            {link.contract: estate.contracts.get(link.contract) for link in _inbound(estate, system)},
        )
        for estate in (one, other)
    ]
    return theirs[0] == theirs[1]


def _inbound(estate: Estate, system: str) -> Iterator[LinkIn]:
    found = next((each for each in estate.systems.values() if each.id == system), None)
    return iter(found.inbound if found is not None else ())


class _Rows(NamedTuple):
    names: tuple[str, ...]
    encoding: str
    delimiter: str
    link: Files


class _Nowhere:
    """The door of what is only read."""

    def process(self, arrivals: object) -> list[Any]:  # noqa: ARG002 - it is only asked by mistake
        raise AssertionError("reading again writes nothing")


_encode: Callable[[Any], bytes] = msgspec.json.Encoder(decimal_format="number").encode


def _is_body(kept: Kept) -> bool:
    """Bodies alone have no place; lines of a request have theirs."""
    return kept.record is None or kept.record.startswith("line ")


def _folder(system: System, kind: str) -> Files | None:
    folders = [link for link in system.inbound if isinstance(link, Files) and not link.mapping and link.records]
    if kind:
        folders = [link for link in folders if link.records == kind]
    return folders[0] if folders else None


def _again(reading: Reading, number: int) -> Again:
    command = reading.command if reading.problem is None else None
    if not number:
        return Again(command, reading.problem, reading.place, mark=reading.mark)
    return Again(command, reading.problem, reading.place, reading.body, reading.content_type, reading.mark)


def _problem(explanation: str) -> Problem:
    return Problem(reason=UNREADABLE, explanation=explanation)


def _no(explanation: str) -> Again:
    return Again(None, _problem(explanation))
