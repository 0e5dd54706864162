"""Files for receivers: how they are named and put down, and releases as plain CSV, one row for each line of a message."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from interlock.connectors.transports import directory
from interlock.domain.errors import PeerUnreachable

COLUMNS: Final = (
    *("message", "id", "assignment", "order", "number", "node", "fulfillment", "line_no", "sku", "quantity"),
    *("uom", "country", "region", "postal_code", "pickup_node", "released_at"),
)
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def put_file(folder: Path, name: str, content: bytes, done_suffix: str | None = None) -> Path:
    """Put down one file, and its marker where one is wanted; the same name again replaces it.

    Raises PeerUnreachable where the folder cannot be written to now.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        directory.write_atomically(path, [content])
        if done_suffix:
            directory.write_atomically(folder / f"{name}{done_suffix}", [])
    except OSError as error:
        raise PeerUnreachable(
            f"cannot write {name} to {folder}: {error.strerror}; check that it is there, may be written to and has room"
        ) from error
    return path


def release_file(bodies: Sequence[str], delimiter: str = ",") -> bytes:
    """The file's content: a header, then a row for each line of each message, lines ending with CRLF."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", delimiter=delimiter)
    writer.writeheader()
    for body in bodies:
        message: dict[str, Any] = _decode(body)
        shared = {**(message.get("destination") or {}), **message}
        shared["released_at"] = message.get("released_at") or message.get("at") or ""
        writer.writerows({**shared, **line} for line in message["lines"])
    return text.getvalue().encode()


def line_count(body: str) -> int:
    """How many rows a message takes in a file."""
    return len(_lines_of(body).lines)


def file_name(batch: UUID, suffix: str = "csv", at: datetime | None = None) -> str:
    """release-<UTC time>-<batch>.<suffix>; without another time it is the one in the batch's id, a UUID of version 7."""
    return f"release-{at or made_at(batch):%Y%m%dT%H%M%S}-{batch.hex[-12:]}.{suffix}"


def made_at(batch: UUID) -> datetime:
    """When a UUID of version 7 was made."""
    return datetime.fromtimestamp((batch.int >> 80) / 1000, UTC)


class _Lines(msgspec.Struct):
    lines: list[msgspec.Raw]


_lines_of = msgspec.json.Decoder(_Lines).decode
