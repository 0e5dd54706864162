"""The links of an estate, wired: each system's ways in, every one with its format, its mapping and its inlet.

    links = Links(estate, mapper, door, observers)
    links.inlet(system, link)               # bytes of that link go in here, whatever transport brought them
    links.mistakes()                        # what is wrong with the mappings of the estate, in sentences

Transports know nothing of formats and mappings, and those nothing of transports: that is why any goes with any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from interlock.connectors.contracted import Contracted
from interlock.connectors.inlet import Inlet, Observer, Processor
from interlock.connectors.mapping import Mapper
from interlock.connectors.recipes import Recipe, RecipeWrong, compile_recipe, compile_template
from interlock.connectors.translate import Translator
from interlock.contracts.mapping_files import ready_mapping
from interlock.domain.errors import InvalidValue
from interlock.domain.estate import Estate, System
from interlock.domain.links import Files, Format, LinkIn
from interlock.domain.sequences import PREFIX, rules_of

JSON = Format(kind="json")


class Links:
    """All inbound links of an estate. Safe to share between threads."""

    def __init__(
        self,
        estate: Estate,
        mapper: Mapper,
        door: Processor,
        observers: Callable[[System, LinkIn], Sequence[Observer]] = lambda _system, _link: (),
    ) -> None:
        self.estate = estate
        self._mapper = mapper
        self._door = door
        self._observers = observers
        self._inlets: dict[tuple[str, int], Inlet] = {}
        self._contracted: dict[str, Contracted] = {}

    def inlet(self, system: System, link: LinkIn) -> Inlet:
        """The inlet of a link that has a mapping. Raises RecipeWrong."""
        key = (system.id, system.inbound.index(link))
        if key not in self._inlets:
            self._inlets[key] = Inlet(self.translator(system, link), self._door, self._observers(system, link))
        return self._inlets[key]

    def translator(self, system: System, link: LinkIn) -> Translator:
        """What a link's bytes mean, without a way to write anything. Raises RecipeWrong."""
        recipe, contracted = self.recipe(system, link), self.contracted(link)
        return Translator(system, link.name, link.format or JSON, recipe, self._mapper, contracted)

    def contracted(self, link: LinkIn) -> Contracted | None:
        """The compiled contract of a link; None where it names none. Raises InvalidValue for a path in it that is none."""
        if not link.contract:
            return None
        if link.contract not in self._contracted:
            self._contracted[link.contract] = Contracted(self.estate.contracts[link.contract])
        return self._contracted[link.contract]

    def recipe(self, system: System, link: LinkIn) -> Recipe:
        """The compiled mapping of a link. Raises RecipeWrong."""
        return compile_recipe(
            link.mapping,
            mapping_of(self.estate, link.mapping),
            system=system,
            form=link.format or JSON,
            # Those of the sequence check are for the whole system, whatever the mapping is.
            settings={name: text for name, text in link.settings.items() if not name.startswith(PREFIX)},
        )

    def named(self, system_id: str, name: str) -> tuple[System, LinkIn]:
        """A system's link by its name, or its only one. Raises InvalidValue, which tells which there are."""
        system = next((each for each in self.estate.systems.values() if each.id == system_id), None)
        if system is None:
            raise InvalidValue("system", system_id, f"a system of the estate: {', '.join(self.estate.systems)}")
        mapped = [link for link in system.inbound if link.mapping]
        found = [link for link in mapped if not name or link.name == name]
        if len(found) != 1:
            names = ", ".join(link.name or "(without a name)" for link in mapped) or "none"
            raise InvalidValue(
                "link", name, f"the name of a link of {system_id} that has a mapping; there are: {names}"
            )
        return system, found[0]

    def mapped(self) -> Iterator[tuple[System, LinkIn]]:
        """Every inbound link that has a mapping."""
        for system in self.estate.systems.values():
            for link in system.inbound:
                if link.mapping:
                    yield system, link

    def mistakes(self) -> list[str]:
        """What is wrong with the mappings that links of this estate use, each in a sentence; none where all is well."""
        found: list[str] = []
        for system, link in self.mapped():
            where = link.path if isinstance(link, Files) else link.name
            try:
                self.recipe(system, link)
                rules_of(link.settings)
                self.contracted(link)
            except RecipeWrong as wrong:
                found += [f"{system.id}, inbound {where or link.mapping}: {each}" for each in wrong.sentences()]
            except InvalidValue as wrong:
                found.append(f"{system.id}, inbound {where or link.mapping}: {wrong}")
        for system in self.estate.systems.values():
            out = system.outbound
            if out is None or not out.mapping:
                continue
            try:
                raw = mapping_of(self.estate, out.mapping)
                compile_template(out.mapping, raw, system=system, form=out.format or JSON, settings=out.settings)
            except RecipeWrong as wrong:
                found += [f"{system.id}, outbound: {each}" for each in wrong.sentences()]
        return found


def mapping_of(estate: Estate, name: str) -> dict[str, object]:
    """A mapping by its name: the estate's own wins over a ready-made one. Raises KeyError."""
    own = estate.mappings.get(name)
    return own if own is not None else ready_mapping(name)
