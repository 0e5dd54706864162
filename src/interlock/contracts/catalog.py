"""The contracts that were released: which there are, by which mode they change, what is deprecated, and their schemas.

    catalog()                                   every contract, from released/catalog.yaml
    schema("events", "order.created", 1)        the JSON Schema of one version

A file that was released is never edited: catalog.yaml holds its hash, and a test and `interlock contracts check` compare.
Dates, modes and deprecations stand in catalog.yaml alone, so that a date can be moved without a new version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from interlock.domain.errors import InterlockError

Kind = Literal["commands", "events", "messages"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Mode = Literal["BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE", "NONE"]

MODES: Final[dict[Kind, Mode]] = {
    "commands": "BACKWARD_TRANSITIVE",  # senders still send what they learned: the new schema must take it
    "events": "FORWARD_TRANSITIVE",  # consumers still read by what they learned: it must take what is sent now
    "messages": "FORWARD_TRANSITIVE",
}
"""The mode that a new contract of each kind begins with."""

RELEASED: Final = Path(__file__).parent / "released"


class CatalogWrong(InterlockError):
    """The catalog of released contracts, or a file that it names, is not what it must be."""


class NoSuchContract(InterlockError):
    """No contract has this name, or no version this number."""


class Deprecation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something should not be used any more: since when, until when it is taken, and what to use instead."""

    since: date
    sunset: date | None = None
    instead: str = ""

    def is_over(self, today: date) -> bool:
        """Whether the day on which it ends has come."""
        return self.sunset is not None and self.sunset <= today


class Version(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One version: the hash of its file, and the day of its release; a draft has none, and may still change."""

    sha256: str
    released: date | None = None
    deprecated: Deprecation | None = None


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One contract. `current` is the version that we speak, 0 before there is one; `deprecated` are fields, by their path."""

    mode: Mode
    current: int
    versions: dict[int, Version]
    deprecated: dict[str, Deprecation] = {}

    def lives(self, today: date) -> list[int]:
        """The versions that were released and whose day is not over, the newest last."""
        return [
            number
            for number, version in sorted(self.versions.items())
            if version.released is not None and not (version.deprecated and version.deprecated.is_over(today))
        ]


Catalog = dict[tuple[Kind, str], Contract]


@cache
def catalog() -> Catalog:
    """The catalog that comes with the program."""
    return read_catalog(RELEASED)


@cache
def schema(kind: str, name: str, version: int) -> Mapping[str, Any]:
    """The schema of a version that comes with the program; do not change it. Raises NoSuchContract."""
    found: dict[str, Any] = msgspec.json.decode(schema_bytes(kind, name, version))
    return found


@cache
def schema_bytes(kind: str, name: str, version: int) -> bytes:
    """The same as it stands in its file. Raises NoSuchContract."""
    contract = catalog().get((cast(Kind, kind), name))
    if contract is None or version not in contract.versions:
        raise NoSuchContract(f"there is no contract {kind}/{name} of version {version}")
    return path_of(RELEASED, kind, name, version).read_bytes()


def current_version(kind: Kind, name: str) -> int:
    """The version of a contract that we speak. Raises NoSuchContract."""
    contract = catalog().get((kind, name))
    if contract is None:
        raise NoSuchContract(f"there is no contract {kind}/{name}")
    return contract.current


def identifier(kind: str, name: str, version: int) -> str:
    """The `$id` of a version: a name, no address."""
    return f"urn:interlock:contract:{kind}:{name}:{version}"


def path_of(folder: Path, kind: str, name: str, version: int) -> Path:
    """Where a version's schema stands."""
    return folder / kind / name / f"{version}.json"


def find(known: Catalog, words: str) -> tuple[Kind, str]:
    """The contract that a person means by commands/order.create, or by order.create where one kind alone has it.

    Raises NoSuchContract.
    """
    kind, slash, name = words.rpartition("/")
    found = [key for key in known if key[1] == name and (not slash or key[0] == kind)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchContract(f"{words} is in several kinds: say {' or '.join('/'.join(key) for key in found)}")
    raise NoSuchContract(f"there is no contract {words}; `interlock contracts list` tells which there are")


def digest(content: bytes) -> str:
    """The hash by which a released file is held to what it was."""
    return sha256(content).hexdigest()


def read_catalog(folder: Path) -> Catalog:
    """The catalog in a folder; empty where there is none yet. Raises CatalogWrong."""
    path = folder / "catalog.yaml"
    try:
        read = YAML(typ="safe").load(path.read_text("utf-8")) or {}
        kinds = msgspec.convert(read, dict[Kind, dict[str, Contract]])
    except FileNotFoundError:
        return {}
    except (YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise CatalogWrong(f"{path.name}: {error}") from None
    return {(kind, name): contract for kind, contracts in kinds.items() for name, contract in contracts.items()}


def write_catalog(folder: Path, known: Catalog) -> None:
    """Write the catalog, in the order of kinds and names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalog.yaml").write_text("\n".join([*_lines(known), ""]), "utf-8")


def edited(folder: Path, known: Catalog) -> Iterator[tuple[Kind, str, int, str]]:
    """Versions whose file is not what the catalog holds: kind, name, version, and what is wrong with it."""
    for (kind, name), contract in known.items():
        for number, version in contract.versions.items():
            path = path_of(folder, kind, name, number)
            if not path.is_file():
                yield kind, name, number, "the file is not there"
            elif digest(path.read_bytes()) != version.sha256:
                yield kind, name, number, "the file was edited after its release"


def _lines(known: Catalog) -> Iterator[str]:
    yield "# The released contracts. `interlock contracts release` writes this; people set modes, deprecations and sunsets."
    for kind in KINDS:
        yield f"{kind}:"
        for (of, name), contract in sorted(known.items()):
            if of == kind:
                yield from _contract_lines(name, contract)


def _contract_lines(name: str, contract: Contract) -> Iterator[str]:
    yield f"  {name}:"
    yield f"    mode: {contract.mode}"
    yield f"    current: {contract.current}"
    yield "    versions:"
    for number, version in sorted(contract.versions.items()):
        yield f"      {number}:"
        if version.released is not None:
            yield f"        released: {version.released}"
        yield f"        sha256: {version.sha256}"
        if version.deprecated is not None:
            yield f"        deprecated: {_deprecation(version.deprecated)}"
    if contract.deprecated:
        yield "    deprecated:"
        for field, deprecation in sorted(contract.deprecated.items()):
            yield f"      {_quoted(field)}: {_deprecation(deprecation)}"


def _deprecation(deprecation: Deprecation) -> str:
    parts = [f"since: {deprecation.since}"]
    if deprecation.sunset is not None:
        parts.append(f"sunset: {deprecation.sunset}")
    if deprecation.instead:
        parts.append(f"instead: {_quoted(deprecation.instead)}")
    return "{" + ", ".join(parts) + "}"


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
