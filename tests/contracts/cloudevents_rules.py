"""The rules of CloudEvents 1.0, as a checker: attribute names, types, the values that the specification asks for."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
REFERENCE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;\s*[\w-]+=(\"[^\"]*\"|[\w.+-]+))*")
FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
REQUIRED = ("id", "source", "specversion", "type")
URIS = {"dataschema": ABSOLUTE, "source": REFERENCE}
TIMES = ("time", "occurredat")


def broken(event: dict[str, Any]) -> list[str]:
    """What an event in the JSON format has against the specification; nothing where it conforms."""
    found = [f"{name} is missing" for name in REQUIRED if name not in event]
    if "data" in event and "data_base64" in event:
        found.append("data and data_base64 exclude each other")
    for name, value in event.items():
        if name in ("data", "data_base64"):
            continue
        if not re.fullmatch("[a-z0-9]+", name):
            found.append(f"{name}: an attribute's name has only a-z and 0-9")
        if len(name) > 20:
            found.append(f"{name}: longer than 20 characters")
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int):
            if not -(2**31) <= value < 2**31:
                found.append(f"{name}: an integer has 32 bits")
            continue
        if not isinstance(value, str):
            found.append(f"{name}: {type(value).__name__} is no type of an attribute")
            continue
        found += _text(name, value)
    if event.get("specversion") not in (None, "1.0"):
        found.append(f"specversion is {event['specversion']!r}")
    return found


def _text(name: str, value: str) -> list[str]:
    found = []
    if not value:
        found.append(f"{name} is empty")
    if FORBIDDEN.search(value):
        found.append(f"{name} has a character that is not allowed")
    if name in URIS and not URIS[name].fullmatch(value):
        found.append(f"{name} is no {'absolute URI' if name == 'dataschema' else 'URI-reference'}: {value!r}")
    if name in TIMES:
        if not RFC_3339.fullmatch(value):
            found.append(f"{name} is no time of RFC 3339: {value!r}")
        else:
            datetime.fromisoformat(value)
    if name == "datacontenttype" and not MEDIA_TYPE.fullmatch(value):
        found.append(f"datacontenttype is no media type: {value!r}")
    return found
