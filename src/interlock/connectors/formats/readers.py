"""Which module reads and writes which format. Each is imported when it is first wanted: most processes need few."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final, cast

from interlock.connectors.formats.document import Reader, Writer
from interlock.domain.links import FormatKind

_HERE: Final = "interlock.connectors.formats"
_MODULES: Final[dict[FormatKind, str]] = {
    "json": "json_documents",
    "ndjson": "json_lines",
    "csv": "delimited",
    "fixed": "fixed_width",
    "xml": "xml_documents",
    "poslog": "poslog",
    "x12": "x12",
    "edifact": "edifact",
    "gs1": "gs1",
    "ubl": "ubl",
    "idoc_xml": "idoc_xml",
    "idoc_flat": "idoc_flat",
}
"""A module has `read`, and `write` where we can write the format, and `MEDIA_TYPE`."""


@cache
def reader(kind: FormatKind) -> Reader:
    """The reader of a format."""
    return cast(Reader, import_module(f"{_HERE}.{_MODULES[kind]}").read)


@cache
def writer(kind: FormatKind) -> Writer | None:
    """The writer of a format; None where we do not write it."""
    return cast("Writer | None", getattr(import_module(f"{_HERE}.{_MODULES[kind]}"), "write", None))


@cache
def media_type(kind: FormatKind) -> str:
    """The media type of a format."""
    return cast(str, import_module(f"{_HERE}.{_MODULES[kind]}").MEDIA_TYPE)
