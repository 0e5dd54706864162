"""What goes out in a partner's format: mapping ─▶ documents ─▶ writer ─▶ bytes, numbered and kept where the format has numbers.

    packer = packer_of(db, estate, receiver)

Where a format has control numbers, number, time and bytes are kept in `interchanges` before anything is sent, so that neither a
crash nor a new mapping changes what the receiver gets. A message that cannot be written is refused alone; the others go.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from interlock.connectors.formats.document import FormatUnreadable, Interchange, Numbers, Tree, Writer, WriteRefused
from interlock.connectors.formats.readers import media_type, reader, writer
from interlock.connectors.links import mapping_of
from interlock.connectors.mapping_errors import MappingFailed
from interlock.connectors.parcels import BATCH_MAX, JSON, ONES_MAX, Packed, Packer, Parcel, Plain, id_of, one_of
from interlock.connectors.recipes import Template, compile_template
from interlock.connectors.transports.release_file import file_name, made_at
from interlock.domain.errors import PeerRefused
from interlock.domain.estate import Estate
from interlock.domain.links import FolderOut, Format, FormatKind, LinkOut, SftpOut
from interlock.domain.values import SystemId
from interlock.storage import interchanges
from interlock.storage.database import Database, Transaction
from interlock.storage.interchanges import Set, Written
from interlock.storage.outbox import Notice

ENVELOPED: Final = ("x12", "edifact")
NUMBERED: Final[frozenset[FormatKind]] = frozenset({"x12", "edifact", "idoc_xml", "idoc_flat"})
"""Formats whose receivers tell one file from another by its control number."""
_SUFFIXES: Final[dict[FormatKind, str]] = {
    "fixed": "txt",
    "poslog": "xml",
    "edifact": "edi",
    "gs1": "xml",
    "ubl": "xml",
    "idoc_xml": "xml",
    "idoc_flat": "idoc",
}
_NUMBER_MAX: Final = 999_999_999


def packer_of(db: Database, estate: Estate, receiver: SystemId) -> Packer:
    """What a receiver's outbound link makes of messages. Raises RecipeWrong."""
    system = estate.systems.get(receiver)
    out = system.outbound if system is not None else None
    if system is None or out is None:
        return Plain(whole=True, csv=False)
    files = isinstance(out, FolderOut | SftpOut)
    whole = files if out.batch is None else out.batch
    is_ours = not out.mapping and (out.format is None or out.format.kind not in ("json", "ndjson"))
    if is_ours:
        return Plain(whole=whole, csv=files, delimiter=_delimiter(out), rows_max=_rows_max(out))
    form = out.format or JSON
    template = None
    if out.mapping:
        raw = mapping_of(estate, out.mapping)
        template = compile_template(out.mapping, raw, system=system, form=form, settings=out.settings)
    return Formatted(db, receiver, form, template, whole=whole, batch_max=_rows_max(out))


def _rows_max(out: LinkOut) -> int:
    return out.rows_max if isinstance(out, FolderOut | SftpOut) else BATCH_MAX


def _delimiter(out: LinkOut) -> str:
    return out.delimiter if isinstance(out, FolderOut) else ","


class Formatted:
    """Messages through a mapping into a format. Without a mapping, a document is the message itself."""

    def __init__(
        self,
        db: Database,
        receiver: SystemId,
        form: Format,
        template: Template | None,
        *,
        whole: bool,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self.whole = whole
        self.keeps = form.kind in NUMBERED
        self.batch_max = batch_max if whole else ONES_MAX
        self._db, self._receiver, self._form, self._template = db, receiver, form, template
        self._media_type = media_type(form.kind)

    def choose(self, notices: list[Notice]) -> int:
        """All of them: `batch_max` is their limit."""
        return len(notices)

    def pack(self, batch: UUID, notices: Sequence[Notice], now: datetime) -> Packed:
        """One parcel, or one of each message; what was written before goes as it was."""
        ones = [(one_of(batch, notice), [notice]) for notice in notices]
        if not self.whole:
            return self._pack(ones, batch, now)
        return self._pack([(batch, list(notices))], batch, now, ones)

    def alone(self, batch: UUID, notice: Notice, now: datetime) -> Packed:
        """A parcel with this message alone."""
        return self._pack([(one_of(batch, notice), [notice])], batch, now)

    def _pack(self, groups: list[_Group], batch: UUID, now: datetime, ones: list[_Group] | None = None) -> Packed:
        packed = Packed([], [], [])
        loads: list[_Load] = []
        kept = self._kept(groups) if self.keeps else {}
        if ones is not None and any(not kept[each].holds(group) for each, group in groups if each in kept):
            # The whole was refused before, and some of it has arrived alone.
            groups, kept = ones, self._kept(ones)
        for load_id, group in groups:
            before = kept.get(load_id)
            left = group if before is None else self._again(packed, before, group)
            load = self._load(packed, load_id, left)
            if load.documents:
                loads.append(load)
        self._write(packed, loads, batch, now)
        return packed

    def _kept(self, groups: Sequence[_Group]) -> dict[UUID, _Kept]:
        ids = [load_id for load_id, _ in groups]
        found = self._db.transaction(lambda tx: interchanges.find_many(tx, self._receiver, ids))
        return {load_id: _Kept(*each) for load_id, each in found.items()}

    def _again(self, packed: Packed, kept: _Kept, group: Sequence[Notice]) -> list[Notice]:
        """Send what was written before; gives the messages that are not in it."""
        by_id = {id_of(notice.body).id: notice for notice in group}
        notices = tuple(by_id.pop(each.message) for each in kept.contents)
        load = _Load(kept.interchange_id, list(notices), [each.message for each in kept.contents], [])
        packed.parcels.append(self._parcel(load, kept.name, kept.body, kept.interchange_id))
        return list(by_id.values())

    def _load(self, packed: Packed, load_id: UUID, group: Iterable[Notice]) -> _Load:
        load = _Load(load_id, [], [], [])
        for notice in group:
            message = _decode(notice.body)
            try:
                document = message if self._template is None else self._template.document(message)
            except MappingFailed as failed:
                packed.refused.append((notice, PeerRefused(f"the mapping cannot write it: {failed}")))
                continue
            except Exception as error:  # ours: this message is put aside, and the others go on
                why = f"our own code failed on it: {type(error).__name__}: {error}"
                packed.refused.append((notice, PeerRefused(why)))
                continue
            if document is None:
                packed.nothing.append(notice)
                continue
            load.notices.append(notice)
            load.ids.append(message["id"])
            load.documents.append(document)
        return load.by_kind() if self._form.kind in ENVELOPED else load

    def _write(self, packed: Packed, loads: list[_Load], batch: UUID, now: datetime) -> None:
        if not loads:
            return
        if self.keeps:
            refused, parcels = self._db.transaction(lambda tx: self._numbered(tx, loads, batch, now))
        else:
            refused, parcels = [], []
            for load in loads:
                number = int(load.load_id.hex[-12:], 16) % _NUMBER_MAX + 1
                body = self._bytes(load, Numbers(number, made_at(batch), number), refused)
                if body is not None:
                    name = file_name(load.load_id, suffix_of(self._form), made_at(batch))
                    parcels.append(self._parcel(load, name, body, None))
        packed.parcels.extend(parcels)
        packed.refused.extend(refused)

    def _numbered(
        self, tx: Transaction, loads: list[_Load], batch: UUID, now: datetime
    ) -> tuple[list[tuple[Notice, PeerRefused]], list[Parcel]]:
        refused: list[tuple[Notice, PeerRefused]] = []
        parcels: list[Parcel] = []
        written: list[Written] = []
        numbers = interchanges.next_numbers(tx, self._receiver, len(loads))
        for first, number in zip(loads, numbers, strict=True):
            load = first.copy()  # the transaction may be run again
            body = self._bytes(load, Numbers(number, now, number), refused)
            if body is None:
                continue
            name = file_name(load.load_id, suffix_of(self._form), made_at(batch))
            try:
                written.append(_written(self._form, load, number, name, body))
            except WriteRefused as error:
                refused += [(notice, PeerRefused(f"it was written wrongly: {error}")) for notice in load.notices]
                continue
            parcels.append(self._parcel(load, name, body, load.load_id))
        interchanges.write_many(tx, self._receiver, written, now)
        return refused, parcels

    def _parcel(self, load: _Load, name: str, body: bytes, interchange_id: UUID | None) -> Parcel:
        key = str(load.load_id) if self.whole and len(load.ids) != 1 else load.ids[0]
        return Parcel(key, name, body, self._media_type, tuple(load.notices), interchange_id)

    def _bytes(self, load: _Load, numbers: Numbers, refused: list[tuple[Notice, PeerRefused]]) -> bytes | None:
        """The load as bytes; what the writer refuses is taken out of it. None where nothing is left."""
        write = self._writer()
        while load.documents:
            try:
                return write(load.documents, self._form, numbers)
            except WriteRefused as error:
                found = self._guilty(write, load, numbers)
                # Each alone can be written, and all together cannot: then it is nobody's fault but ours.
                for place, why in reversed(found or [(n, error) for n in range(len(load.documents))]):
                    refused.append(
                        (load.notices[place], PeerRefused(f"the {self._form.kind} writer refuses it: {why}"))
                    )
                    load.take_out(place)
        return None

    def _guilty(self, write: Writer, load: _Load, numbers: Numbers) -> list[tuple[int, WriteRefused]]:
        found = []
        for place, document in enumerate(load.documents):
            try:
                write([document], self._form, numbers)
            except WriteRefused as error:
                found.append((place, error))
        return found

    def _writer(self) -> Writer:
        return _careful(writer(self._form.kind))


_Group = tuple[UUID, list[Notice]]
"""Messages that go together, and under which id."""


class _Kept(interchanges.Kept):
    """What was written before."""

    def holds(self, group: Sequence[Notice]) -> bool:
        """Whether all that is in it is still to be sent."""
        ids = {id_of(notice.body).id for notice in group}
        return all(each.message in ids for each in self.contents)


class _Load(NamedTuple):
    """What becomes one parcel: messages, their ids, and their documents, place by place."""

    load_id: UUID
    notices: list[Notice]
    ids: list[str]
    documents: list[Tree]

    def copy(self) -> _Load:
        return _Load(self.load_id, [*self.notices], [*self.ids], [*self.documents])

    def by_kind(self) -> _Load:
        """Documents of one kind of set together: they share a group."""
        kinds = [_set_kind(document.get("set", "")) for document in self.documents if isinstance(document, dict)]
        if len(kinds) != len(self.documents) or len(set(kinds)) < 2:
            return self
        order = sorted(range(len(kinds)), key=lambda place: (kinds.index(kinds[place]), place))
        return _Load(
            self.load_id,
            [self.notices[n] for n in order],
            [self.ids[n] for n in order],
            [self.documents[n] for n in order],
        )

    def take_out(self, place: int) -> None:
        for each in (self.notices, self.ids, self.documents):
            del each[place]


def _written(form: Format, load: _Load, number: int, name: str, body: bytes) -> Written:
    """The row of an interchange: what our own reader finds in what our writer made."""
    end = read_back(form, body) if form.kind in ENVELOPED else None
    groups: tuple[int, ...]
    if end is None:
        control, version, groups = str(number), "", ()
        sets = [
            Set(kind=form.kind, control=str(place), message=message, subject=notice.order_id)
            for place, (message, notice) in enumerate(zip(load.ids, load.notices, strict=True), start=1)
        ]
    else:
        control, version = end.control, end.version
        groups = tuple(int(group.control) for group in end.groups if group.control.isdigit())
        sets = contents_of(end, load)
    return Written(load.load_id, "messages", form.kind, number, control, version, name, groups, tuple(sets), body)


def read_back(form: Format, body: bytes) -> Interchange:
    """The envelope of what was written. Raises WriteRefused: then our writer and our reader do not agree, and nothing is sent."""
    try:
        found = [item for item in reader(form.kind)([body], form) if isinstance(item, Interchange)]
    except FormatUnreadable as error:
        raise WriteRefused(form.kind, repr(body[:80]), f"what our own reader reads ({error})") from error
    if len(found) != 1:
        raise WriteRefused(form.kind, repr(body[:80]), "one interchange")
    return found[0]


def contents_of(end: Interchange, load: _Load) -> list[Set]:
    """Which message is in which set: of each kind of set, in the order of the messages. Raises WriteRefused."""
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for place, document in enumerate(load.documents):
        waiting[_set_kind(document["set"])].append(place)
    sets = []
    for group in end.groups:
        for each in group.sets:
            places = waiting[_set_kind(each.kind)]
            if not places:
                raise WriteRefused("set", each.kind, "a set for each message")
            place = places.popleft()
            sets.append(
                Set(
                    kind=each.kind,
                    control=each.control,
                    group=group.control,
                    code=group.code,
                    message=load.ids[place],
                    subject=load.notices[place].order_id,
                )
            )
    return sets


def _set_kind(kind: str) -> str:
    return str(kind).partition(":")[0].upper()


def suffix_of(form: Format) -> str:
    """The suffix of files of a format."""
    return _SUFFIXES.get(form.kind, form.kind)


def _careful(write: Writer | None) -> Writer:
    """A writer that refuses what it fails on, so that the documents beside it go on."""

    def careful(documents: list[Tree], form: Format, numbers: Numbers) -> bytes:
        if write is None:
            raise WriteRefused("format", form.kind, "a format that we write")
        try:
            return write(documents, form, numbers)
        except WriteRefused:
            raise
        except Exception as error:
            raise WriteRefused("document", f"{type(error).__name__}: {error}", "what our writer can write") from error

    return careful


_decode: Final[Callable[[str], dict[str, Any]]] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
