"""Releases as a CSV file: what a receiver that takes files is told, one row for each line of a message."""

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
from interlock.domain.estate import FolderOut

COLUMNS: Final = (
    *("message", "id", "assignment", "order", "number", "node", "fulfillment", "line_no", "sku", "quantity"),
    *("uom", "country", "region", "postal_code", "pickup_node", "released_at"),
)
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def write_release_file(out: FolderOut, batch: UUID, bodies: Sequence[str]) -> Path:
    """Put down one file with these messages (JSON); the same batch always gives the same file under the same name.

    Raises PeerUnreachable where the folder cannot be written to now.
    """
    folder = Path(out.path)
    path = folder / file_name(batch)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        directory.write_atomically(path, [release_file(bodies, out.delimiter)])
    except OSError as error:
        raise PeerUnreachable(
            f"cannot write {path.name} to {folder}: {error.strerror}; check that it is there, may be written to "
            "and has room"
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


def file_name(batch: UUID) -> str:
    """release-<UTC time>-<batch>.csv; the time is the one in the batch's id, a UUID of version 7."""
    at = datetime.fromtimestamp((batch.int >> 80) / 1000, UTC)
    return f"release-{at:%Y%m%dT%H%M%S}-{batch.hex[-12:]}.csv"


class _Lines(msgspec.Struct):
    lines: list[msgspec.Raw]


_lines_of = msgspec.json.Decoder(_Lines).decode
