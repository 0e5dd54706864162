"""What goes out: messages of the outbox become parcels, each one file, request or interchange.

    packed = packer.pack(batch.batch_id, batch.notices, now)

    plain       our own JSON (HTTP, brokers) or our own CSV (folders, SFTP): here
    formatted   a partner's format, through a mapping: parcels_formatted

The same batch always gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID, uuid5

import msgspec

from interlock.connectors.formats.readers import media_type
from interlock.connectors.transports.release_file import file_name, line_count, made_at, release_file
from interlock.domain.errors import PeerRefused
from interlock.domain.links import Format
from interlock.storage.outbox import Notice

JSON: Final = Format(kind="json")
NDJSON_TYPE: Final = "application/x-ndjson"
ONES_MAX: Final = 32
BATCH_MAX: Final = 500


class Parcel(NamedTuple):
    """Bytes that go together, and the messages in them. `interchange_id`: where they are kept, if they are."""

    key: str
    name: str
    body: bytes
    media_type: str
    notices: tuple[Notice, ...]
    interchange_id: UUID | None = None


class Packed(NamedTuple):
    """What became of a batch: parcels, messages that cannot be written, and messages of which nothing is to be sent."""

    parcels: list[Parcel]
    refused: list[tuple[Notice, PeerRefused]]
    nothing: list[Notice]


class Packer(Protocol):
    """Makes parcels. `whole`: of a batch one, else of each message one; `keeps`: a batch stays together until it is settled."""

    whole: bool
    keeps: bool
    batch_max: int

    def choose(self, notices: list[Notice]) -> int:
        """How many of these go together, from the first on."""

    def pack(self, batch: UUID, notices: Sequence[Notice], now: datetime) -> Packed:
        """The parcels of a batch. Raises what the database raises."""

    def alone(self, batch: UUID, notice: Notice, now: datetime) -> Packed:
        """A parcel with one message of a batch that was refused as a whole."""


# Our own JSON and CSV


class Plain:
    """Messages as they are: JSON one by one (or NDJSON), or rows of our CSV."""

    keeps = False

    def __init__(self, *, whole: bool, csv: bool, delimiter: str = ",", rows_max: int = BATCH_MAX) -> None:
        self.whole = whole
        self.batch_max = rows_max if whole else ONES_MAX
        self._csv, self._delimiter, self._rows_max = csv, delimiter, rows_max

    def choose(self, notices: list[Notice]) -> int:
        if not self._csv:
            return len(notices)
        rows = 0
        for place, notice in enumerate(notices):
            rows += line_count(notice.body)
            if rows > self._rows_max:
                return max(1, place)  # a message is never torn apart
        return len(notices)

    def pack(self, batch: UUID, notices: Sequence[Notice], now: datetime) -> Packed:
        if not self.whole:
            parcels = [parcel for notice in notices for parcel in self.alone(batch, notice, now).parcels]
        else:
            parcels = [self._parcel(str(batch), batch, made_at(batch), notices)]
        return Packed(parcels, [], [])

    def alone(self, batch: UUID, notice: Notice, now: datetime) -> Packed:  # noqa: ARG002 - nothing is numbered
        message_id = id_of(notice.body).id
        return Packed([self._parcel(message_id, one_of(batch, notice), made_at(batch), [notice])], [], [])

    def _parcel(self, key: str, file_id: UUID, at: datetime, notices: Sequence[Notice]) -> Parcel:
        bodies = [notice.body for notice in notices]
        if self._csv:
            content = release_file(bodies, self._delimiter)
            return Parcel(key, file_name(file_id, "csv", at), content, "text/csv", tuple(notices))
        if not self.whole:
            return Parcel(key, file_name(file_id, "json", at), bodies[0].encode(), media_type_of(JSON), tuple(notices))
        lines = b"".join(msgspec.json.format(body, indent=-1).encode() + b"\n" for body in bodies)
        return Parcel(key, file_name(file_id, "ndjson", at), lines, NDJSON_TYPE, tuple(notices))


def media_type_of(form: Format) -> str:
    """The media type of a format; that of JSON without its module."""
    return "application/json" if form.kind == "json" else media_type(form.kind)


def one_of(batch: UUID, notice: Notice) -> UUID:
    """The id of a message's own parcel in a batch: the same whenever the batch is tried again."""
    return uuid5(batch, f"{notice.order_id}/{notice.seq}/{notice.message}/{notice.assignment_no}")


class _Identified(msgspec.Struct):
    id: str


id_of = msgspec.json.Decoder(_Identified).decode
