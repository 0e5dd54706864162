"""Mappings as files: the ready-made ones beside this module, and those of an estate. Their language is told in docs/mappings.md.

Here they are only read as YAML: that a mapping makes sense is found out when it is compiled (`connectors/recipes`).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from interlock.contracts.estate_yaml import BYTES_MAX, Flaw, compose

_READY = "mappings"


@cache
def ready_made() -> tuple[str, ...]:
    """The names of the ready-made mappings."""
    folder = resources.files("interlock.contracts").joinpath(_READY)
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


@cache
def ready_mapping(name: str) -> dict[str, Any]:
    """A ready-made mapping. Raises KeyError for a name that there is not."""
    if name not in ready_made():
        raise KeyError(name)
    text = resources.files("interlock.contracts").joinpath(f"{_READY}/{name}.yaml").read_text("utf-8")
    mapping, flaws = read_mapping(text)
    if mapping is None:
        raise ValueError(f"{name}: {'; '.join(flaws)}")
    return mapping


def read_mapping_file(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """A mapping's file as plain values; None with the reasons where it cannot be read."""
    try:
        content = path.read_bytes()[: BYTES_MAX + 1]
        text = content.decode("utf-8")
    except OSError as error:
        return None, [error.strerror or "unreadable"]
    except UnicodeDecodeError as error:
        return None, [f"the byte 0x{content[error.start]:02x} at {error.start} is no text in UTF-8"]
    return read_mapping(text)


def read_mapping(text: str) -> tuple[dict[str, Any] | None, list[str]]:
    """A mapping's text as plain values; None with the reasons where it is no mapping."""
    root, flaws = compose(text)
    if flaws:
        return None, [_told(flaw) for flaw in flaws]
    value = root.plain() if root is not None else None
    if not isinstance(value, dict):
        return None, ["it is no mapping from names to values"]
    return value, []


def _told(flaw: Flaw) -> str:
    return f"line {flaw.line}: {flaw.problem}; expected {flaw.expected}"
