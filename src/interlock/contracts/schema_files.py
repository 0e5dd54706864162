"""JSON Schemas as files, in JSON or YAML: read safely, and refused with the file, the place, and what was expected."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.contracts.compatibility.schema import Schema, schema_of, sentence
from interlock.contracts.estate_yaml import compose
from interlock.contracts.json_text import BYTES_MAX, TextFlaw, decoded, read_json
from interlock.domain.errors import SchemaInvalid

_YAML = (".yaml", ".yml")
_SUFFIXES = (".json", *_YAML)


def load_schema(path: Path) -> Schema:
    """The JSON Schema in a file. Raises SchemaInvalid with every mistake."""
    return schema_of(load_value(path), str(path))


def load_versions(paths: Sequence[Path]) -> list[Schema]:
    """The schemas of files, and of all files in folders, in the order given; in a folder by the numbers in the names.

    Raises SchemaInvalid for a folder without schemas as well.
    """
    found: list[Schema] = []
    for path in paths:
        if not path.is_dir():
            found.append(load_schema(path))
            continue
        inside = [each for each in path.iterdir() if each.suffix.lower() in _SUFFIXES and each.is_file()]
        if not inside:
            raise SchemaInvalid([sentence(str(path), "", "a folder without schemas", "files ending in .json or .yaml")])
        found += [load_schema(each) for each in sorted(inside, key=_version_of)]
    return found


def load_value(path: Path) -> Any:
    """The JSON or YAML value in a file, without a look at what it means. Raises SchemaInvalid with every mistake."""
    try:
        with path.open("rb") as file:
            body = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SchemaInvalid([f"{path}: {reason}; expected a file with a schema"]) from None
    value, flaws = _yaml(body) if path.suffix.lower() in _YAML else read_json(body)
    if flaws:
        raise SchemaInvalid([sentence(str(path), flaw.place, flaw.found, flaw.expected) for flaw in flaws])
    return value


def _yaml(body: bytes) -> tuple[Any, list[TextFlaw]]:
    text, flaw = decoded(body)
    if flaw is not None:
        return None, [flaw]
    if not text.strip():
        return None, [TextFlaw("", "an empty file", "a schema")]
    root, flaws = compose(text)
    told = [
        TextFlaw(f"line {each.line}, column {each.column}", each.problem.removeprefix("found "), each.expected)
        for each in flaws
    ]
    return (root.plain() if root is not None and not told else None), told


def _version_of(path: Path) -> tuple[list[int], str]:
    """By the numbers in the name: 2 comes before 10."""
    return [int(digits) for digits in re.findall(r"\d{1,18}", path.stem)], path.name
