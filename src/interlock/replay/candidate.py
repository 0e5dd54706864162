"""The estate to compare with: another file, or the present one with other mappings for some links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from interlock.connectors.links import Links
from interlock.connectors.mapping import Mapper
from interlock.contracts.mapping_files import read_mapping_file, ready_made
from interlock.domain.errors import EstateInvalid, InvalidValue
from interlock.domain.estate import Estate
from interlock.domain.links import LinkIn

_EXPECTED = "SYSTEM[/LINK]=NAME or FILE: a mapping of the estate, a ready-made one, or a file that holds one"


def with_mappings(estate: Estate, given: list[str]) -> Estate:
    """The estate with other mappings: each given as SYSTEM[/LINK]=NAME or FILE. Raises InvalidValue or EstateInvalid."""
    for text in given:
        where, equals, name = text.partition("=")
        system_id, _, link_name = where.partition("/")
        if not equals or not name:
            raise InvalidValue("mapping", text, _EXPECTED)
        system = next((each for each in estate.systems.values() if each.id == system_id), None)
        if system is None:
            raise InvalidValue("mapping", text, f"a system of the estate: {', '.join(estate.systems)}")
        found = [link for link in system.inbound if link.mapping and (not link_name or link.name == link_name)]
        if len(found) != 1:
            names = ", ".join(link.name or "(without a name)" for link in system.inbound if link.mapping) or "none"
            raise InvalidValue("mapping", text, f"one link of {system_id} that has a mapping; there are: {names}")
        mapping, estate = _mapping(estate, name)
        inbound = tuple(_with(link, mapping) if link is found[0] else link for link in system.inbound)
        estate = replace(estate, systems={**estate.systems, system.id: replace(system, inbound=inbound)})
    if given:
        _refuse_mistakes(estate)
    return estate


def _with(link: LinkIn, mapping: str) -> LinkIn:
    return replace(link, mapping=mapping)


def _mapping(estate: Estate, name: str) -> tuple[str, Estate]:
    if name in estate.mappings or name in ready_made():
        return name, estate
    path = Path(name)
    if not path.is_file():
        raise InvalidValue("mapping", name, _EXPECTED)
    raw: dict[str, Any] | None
    raw, flaws = read_mapping_file(path)
    if raw is None:
        raise EstateInvalid([f"{path}: {each}" for each in flaws])
    own = path.stem
    return own, replace(estate, mappings={**estate.mappings, own: raw})


def _refuse_mistakes(estate: Estate) -> None:
    mistakes = Links(estate, Mapper(estate), _Nowhere()).mistakes()
    if mistakes:
        raise EstateInvalid(mistakes)


class _Nowhere:
    """The door of what is only checked."""

    def process(self, arrivals: object) -> list[Any]:  # noqa: ARG002 - it is only asked by mistake
        raise AssertionError("a candidate takes nothing in")
