"""From the working tree to a released version: what differs, whether it may, and writing it.

    for standing in check(): ...            every contract: as released, changed (compatibly or not), new, gone, or edited
    release("events", "order.created", on)  the next version, or the draft written anew

A change is judged by the contract's mode against its current version, for the TRANSITIVE modes against every released version
whose sunset is not over. A field that was deprecated and whose sunset is over may go: such a break is excused.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from interlock.contracts.catalog import (
    MODES,
    RELEASED,
    Catalog,
    Contract,
    Kind,
    NoSuchContract,
    Version,
    digest,
    edited,
    path_of,
    read_catalog,
    write_catalog,
)
from interlock.contracts.compatibility import Break, compare
from interlock.contracts.generate import MEANINGS, Generated, generate, versioned
from interlock.domain.errors import InterlockError

COMBINED: Final = "COMBINED_TYPE"
"""How the kinds of break begin that say that some part of a whole changed: what changed is told beside them."""

State = Literal["released", "draft", "compatible", "breaking", "new", "gone", "edited"]


class BreaksContract(InterlockError):
    """What would be released breaks what was released before."""


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """One incompatible change against one released version; `excused` says why it may be all the same."""

    against: int
    pointer: str
    kind: str
    mode: str
    explanation: str
    excused: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the working tree stands to what was released of one contract."""

    contract: str
    state: State
    mode: str
    current: int
    words: str = ""
    breaks: tuple[Broken, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Whether the working tree must not go out like this."""
        return self.state in ("breaking", "gone", "edited")


def check(
    today: date, released: Path = RELEASED, meanings: Path = MEANINGS, generated: Generated | None = None
) -> list[Standing]:
    """Every contract, how it stands. Raises CatalogWrong where the tables cannot be read."""
    known = read_catalog(released)
    made = generate(meanings) if generated is None else generated
    damaged = {(kind, name): (version, words) for kind, name, version, words in edited(released, known)}
    found = []
    for key in sorted(known.keys() | made.keys()):
        kind, name = key
        contract = known.get(key)
        if key in damaged and contract is not None:
            version, words = damaged[key]
            found.append(_standing(kind, name, contract, "edited", f"version {version}: {words}"))
        elif contract is None:
            found.append(_standing(kind, name, None, "new", "not released yet: run `interlock contracts release`"))
        elif key not in made:
            found.append(_gone(kind, name, contract, today))
        else:
            found.append(_changed(kind, name, contract, made[key], released, today))
    return found


def release(
    kind: Kind,
    name: str,
    on: date,
    *,
    draft: bool = False,
    released: Path = RELEASED,
    meanings: Path = MEANINGS,
    generated: Generated | None = None,
) -> tuple[int, bool]:
    """Write the contract's next version, or its draft anew; a draft that is released gets its day. Gives the version, and
    whether anything was written. Raises BreaksContract, NoSuchContract and CatalogWrong.
    """
    made = (generate(meanings) if generated is None else generated).get((kind, name))
    if made is None:
        raise NoSuchContract(f"{kind}/{name} is in no table of meanings: there is nothing to release")
    known = read_catalog(released)
    contract = known.get((kind, name)) or Contract(mode=MODES[kind], current=0, versions={})
    for _, _, number, words in edited(released, {(kind, name): contract}):
        if contract.versions[number].released is not None:
            raise BreaksContract(f"{kind}/{name} version {number}: {words}")
    breaks = [each for each in breaks_of(kind, name, contract, made, released, on) if not each.excused]
    if breaks:
        told = "\n".join(
            f"  {each.pointer or '/'}: {each.kind} ({each.mode}, version {each.against})" for each in breaks
        )
        raise BreaksContract(f"{kind}/{name} is not released, because it breaks what was:\n{told}")
    number = draft_of(contract) or contract.current
    if number == contract.current and (not number or _differs(kind, name, contract, made, released)):
        number += 1
    before = contract.versions.get(number)
    if number == contract.current or (before and before.released):
        return number, False
    _write(kind, name, number, made, None if draft else on, known, contract, released)
    return number, True


def breaks_of(
    kind: Kind, name: str, contract: Contract, made: dict[str, Any], released: Path, today: date
) -> list[Broken]:
    """Every change that breaks a released version that the mode looks at."""
    if contract.mode == "NONE":
        return []
    plain = contract.mode.removesuffix("_TRANSITIVE")
    against = contract.lives(today)
    if plain == contract.mode:
        against = against[-1:]
    found: list[Broken] = []
    for number in against:
        old = msgspec.json.decode(path_of(released, kind, name, number).read_bytes())
        breaks = compare(old, _as_version(made, kind, name, number), plain)
        found += [_broken(each, number, contract, today) for each in breaks]
    return _following(found)


def draft_of(contract: Contract) -> int:
    """The version that is not released yet; 0 where there is none."""
    return max((number for number, version in contract.versions.items() if version.released is None), default=0)


def _changed(kind: Kind, name: str, contract: Contract, made: dict[str, Any], released: Path, today: date) -> Standing:
    if not _differs(kind, name, contract, made, released):
        return _standing(kind, name, contract, "released")
    breaks = breaks_of(kind, name, contract, made, released, today)
    if any(not each.excused for each in breaks):
        return _standing(kind, name, contract, "breaking", "breaks what was released", breaks)
    draft = draft_of(contract)
    if draft and not _differs(kind, name, contract, made, released, draft):
        return _standing(kind, name, contract, "draft", f"version {draft} is a draft, not released", breaks)
    words = f"changed compatibly, not released: run `interlock contracts release {kind}/{name}`"
    return _standing(kind, name, contract, "compatible", words, breaks)


def _gone(kind: Kind, name: str, contract: Contract, today: date) -> Standing:
    if not contract.lives(today):
        return _standing(kind, name, contract, "released", "gone, and every version is past its sunset")
    return _standing(kind, name, contract, "gone", "released, but the working tree does not have it any more")


def _differs(
    kind: Kind, name: str, contract: Contract, made: dict[str, Any], released: Path, number: int | None = None
) -> bool:
    number = contract.current if number is None else number
    path = path_of(released, kind, name, number)
    return not path.is_file() or path.read_bytes() != versioned(made, kind, name, number)


def _write(
    kind: Kind,
    name: str,
    number: int,
    made: dict[str, Any],
    on: date | None,
    known: Catalog,
    contract: Contract,
    released: Path,
) -> None:
    content = versioned(made, kind, name, number)
    path = path_of(released, kind, name, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    versions = contract.versions | {number: Version(sha256=digest(content), released=on)}
    current = contract.current if on is None else number
    known[kind, name] = msgspec.structs.replace(contract, versions=versions, current=current)
    write_catalog(released, known)


def _as_version(made: dict[str, Any], kind: Kind, name: str, number: int) -> dict[str, Any]:
    whole: dict[str, Any] = msgspec.json.decode(versioned(made, kind, name, number))
    return whole


def _following(found: list[Broken]) -> list[Broken]:
    """The same, where what only says that something below it broke is excused when all of that is."""
    kept: list[Broken] = []
    for each in found:
        below = [
            other
            for other in found
            if other.against == each.against
            and other.pointer.startswith(f"{each.pointer}/")
            and not other.kind.startswith(COMBINED)
        ]
        if each.kind.startswith(COMBINED) and below and all(other.excused for other in below):
            each = msgspec.structs.replace(each, excused=below[0].excused)
        kept.append(each)
    return kept


def _broken(each: Break, against: int, contract: Contract, today: date) -> Broken:
    return Broken(
        against=against,
        pointer=each.pointer,
        kind=each.kind,
        mode=each.mode,
        explanation=each.explanation,
        excused=_excuse(each.pointer, contract, today),
    )


def _excuse(pointer: str, contract: Contract, today: date) -> str:
    """Why a break at this place may be: the field was deprecated, and its day is over."""
    field = _field(pointer)
    deprecation = contract.deprecated.get(field)
    if deprecation is not None and deprecation.is_over(today):
        return f"{field} was deprecated on {deprecation.since}, and its sunset was {deprecation.sunset}"
    return ""


def _field(pointer: str) -> str:
    """The path of the property that a pointer into a schema leads to: destination/region. "" for the whole."""
    steps = pointer.split("/")[1:]
    names = [step for before, step in zip(["", *steps], steps, strict=False) if before in ("properties", "required")]
    return "/".join(name.replace("~1", "/").replace("~0", "~") for name in names)


def _standing(
    kind: Kind,
    name: str,
    contract: Contract | None,
    state: State,
    words: str = "",
    breaks: list[Broken] | None = None,
) -> Standing:
    return Standing(
        contract=f"{kind}/{name}",
        state=state,
        mode=contract.mode if contract else MODES[kind],
        current=contract.current if contract else 0,
        words=words,
        breaks=tuple(breaks or ()),
    )
