"""Old versions of contracts to the current one: pure functions from a body to the body of the next version.

    UPCASTERS.upcast("command", "order.create", 1, body)     # the body as the current version has it
    UPCASTERS.current("command", "order.create")             # 1: nothing has to be done

An upcaster is written once, when a version is released after which bodies look otherwise, and never changed: what was kept
under version 1 is read through 1 -> 2 -> 3 for ever. It takes a plain value, gives a new one, and looks at nothing else.
Those of ours are in modules beside this one, a module a contract, named in `ALL`. None of ours has had to change yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from interlock.domain.errors import InvalidValue

Kind = Literal["command", "event", "message"]
Body = Mapping[str, Any]
Step = Callable[[Body], dict[str, Any]]


class Upcaster(NamedTuple):
    """How a body of one version of a contract becomes one of the next."""

    kind: Kind
    name: str
    from_version: int
    step: Step


class Upcasters:
    """All of them. Raises ValueError where one is given twice, or where a version between two is missing."""

    def __init__(self, upcasters: Iterable[Upcaster]) -> None:
        self._steps: dict[tuple[Kind, str], dict[int, Step]] = {}
        for kind, name, version, step in upcasters:
            mine = self._steps.setdefault((kind, name), {})
            if version in mine:
                raise ValueError(f"{kind} {name} has two upcasters from version {version}")
            mine[version] = step
        for (kind, name), mine in self._steps.items():
            missing = set(range(1, max(mine) + 1)) - mine.keys()
            if missing:
                raise ValueError(f"{kind} {name} has no upcaster from version {min(missing)}")

    def current(self, kind: Kind, name: str) -> int:
        """The version that bodies of this contract have now."""
        steps = self._steps.get((kind, name))
        return max(steps) + 1 if steps else 1

    def upcast(self, kind: Kind, name: str, version: int, body: Body) -> Body:
        """The body as the current version has it; the same one where there is nothing to do. What is given is not changed.

        Raises InvalidValue for a version that there is not.
        """
        current = self.current(kind, name)
        if not 1 <= version <= current:
            raise InvalidValue("version", version, f"a version of {name}: 1 to {current}")
        for number in range(version, current):
            body = self._steps[kind, name][number](body)
        return body

    def __iter__(self) -> Iterator[Upcaster]:
        for (kind, name), steps in sorted(self._steps.items()):
            for version in sorted(steps):
                yield Upcaster(kind, name, version, steps[version])


ALL: Final[tuple[Upcaster, ...]] = ()
"""Every upcaster of ours."""

UPCASTERS: Final = Upcasters(ALL)


def label(name: str, version: int) -> str:
    """How a message's contract is written down: `order.create/1`."""
    return f"{name}/{version}"


def command_label(action: str) -> str:
    """The contract of a command as it is read now."""
    return _LABELS.get(action) or _LABELS.setdefault(action, label(action, UPCASTERS.current("command", action)))


_LABELS: Final[dict[str, str]] = {}


def read_label(text: str | None) -> tuple[str, int] | None:
    """Name and version of a contract that was written down so; None where it is none of ours."""
    name, slash, version = (text or "").rpartition("/")
    return (name, int(version)) if slash and version.isascii() and version.isdigit() else None
