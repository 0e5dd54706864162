"""Conditions: what must hold in a document for a rule, an entry or a choice. Told in docs/mappings.md#conditions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fnmatch import translate
from typing import Any, Final, Protocol

from interlock.connectors.recipes import numbers
from interlock.connectors.recipes.paths import Path
from interlock.connectors.recipes.scopes import Scope, text_of
from interlock.connectors.recipes.wrong import Mistakes, Place, Unfit

Holds = Callable[[Scope], bool]
Test = Callable[[Any], bool]
_TESTS: Final = ("exists", "not", "like", "above", "below")


class Kitchen(Protocol):
    """What conditions need of the compiler."""

    mistakes: Mistakes

    def asked(self, path: str, place: Place) -> tuple[Callable[[Scope], Any], Path | None]:
        """The function of what stands at a path, and the path, if it is one; mistakes in it are noted."""


def read_condition(kitchen: Kitchen, raw: Any, place: Place) -> Holds | None:
    """The condition as a function; None where nothing is asked, so that it always holds."""
    if raw is None or raw == {}:
        return None
    if not isinstance(raw, Mapping):
        kitchen.mistakes.tell(place, raw, "conditions: {path: what it must hold}")
        return None
    checks: list[Holds] = []
    for path, wanted in raw.items():
        if path == "any":
            checks.append(_any(kitchen, wanted, (*place, "any")))
            continue
        get, read = kitchen.asked(path, (*place, path))
        checks.append(Check(get, read, _words_of(wanted), _test(kitchen, wanted, (*place, path))))
    return checks[0] if len(checks) == 1 else All(checks)


class Check:
    """One condition: what stands at a path must be one of the words, or pass the test."""

    def __init__(
        self, get: Callable[[Scope], Any], path: Path | None, words: frozenset[str] | None, test: Test
    ) -> None:
        self.get, self.path, self.words, self.test = get, path, words, test

    def __call__(self, scope: Scope) -> bool:
        value = self.get(scope)
        return value in self.words if self.words is not None and type(value) is str else self.test(value)


class All:
    """Conditions that must all hold."""

    def __init__(self, checks: Sequence[Holds]) -> None:
        self.checks = checks

    def __call__(self, scope: Scope) -> bool:
        for check in self.checks:  # noqa: SIM110 - all() takes twice as long
            if not check(scope):
                return False
        return True


class AnyOf:
    """Conditions of which one must hold."""

    def __init__(self, checks: Sequence[Holds]) -> None:
        self.checks = checks

    def __call__(self, scope: Scope) -> bool:
        for check in self.checks:  # noqa: SIM110 - any() takes twice as long
            if check(scope):
                return True
        return False


def _words_of(wanted: Any) -> frozenset[str] | None:
    """The words that text may be; None where something else is asked."""
    entries = wanted if isinstance(wanted, list) else [wanted]
    return frozenset(entries) if all(isinstance(each, str) for each in entries) else None


def told(raw: Any) -> str:
    """A condition as a short text, for messages."""
    if not isinstance(raw, Mapping) or not raw:
        return "anything"
    parts = []
    for path, wanted in raw.items():
        if path == "any" and isinstance(wanted, Sequence):
            parts.append("(" + " or ".join(told(each) for each in wanted) + ")")
        elif isinstance(wanted, Mapping):
            parts.append(" ".join(f"{path} {word} {_words(value)}" for word, value in wanted.items()))
        else:
            parts.append(f"{path} {_words(wanted)}")
    return ", ".join(parts)


def _words(value: Any) -> str:
    return " or ".join(text_of(each) for each in value) if isinstance(value, list) else text_of(value)


def _any(kitchen: Kitchen, raw: Any, place: Place) -> Holds:
    if not isinstance(raw, list) or not raw:
        kitchen.mistakes.tell(place, raw, "a list of conditions")
        return lambda _: False
    checks = [read_condition(kitchen, each, (*place, at)) for at, each in enumerate(raw)]
    return AnyOf([check or _always for check in checks])


def _always(_: Scope) -> bool:
    return True


def _test(kitchen: Kitchen, wanted: Any, place: Place) -> Test:
    if not isinstance(wanted, Mapping):
        return _equals(kitchen, wanted, place)
    tests: list[Test] = []
    for word, value in wanted.items():
        if word not in _TESTS:
            kitchen.mistakes.unknown(place, str(word), _TESTS, "a test")
        elif word == "exists":
            tests.append(_exists(kitchen, value, (*place, word)))
        elif word == "not":
            tests.append(_negated(_equals(kitchen, value, (*place, word))))
        elif word == "like":
            tests.append(_like(kitchen, value, (*place, word)))
        else:
            tests.append(_compared(kitchen, word == "above", value, (*place, word)))
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _equals(kitchen: Kitchen, wanted: Any, place: Place) -> Test:
    entries = wanted if isinstance(wanted, list) else [wanted]
    if not entries or any(isinstance(each, Mapping | list) or each is None for each in entries):
        kitchen.mistakes.tell(place, wanted, "a value, or a list of values ({exists: false} for nothing)")
    words = frozenset(text_of(each) for each in entries)
    if len(words) == 1:
        (only,) = words
        return lambda value: value == only if type(value) is str else value is not None and text_of(value) == only
    return lambda value: value is not None and text_of(value) in words


def _negated(test: Test) -> Test:
    return lambda value: not test(value)


def _exists(kitchen: Kitchen, wanted: Any, place: Place) -> Test:
    if wanted is True:
        return lambda value: value is not None
    if wanted is not False:
        kitchen.mistakes.tell(place, wanted, "true or false")
    return lambda value: value is None


def _like(kitchen: Kitchen, wanted: Any, place: Place) -> Test:
    entries = wanted if isinstance(wanted, list) else [wanted]
    if not entries or not all(isinstance(each, str) for each in entries):
        kitchen.mistakes.tell(place, wanted, "text with * and ?, such as SO*")
        return lambda _: False
    pattern = re.compile("|".join(translate(each) for each in entries))
    return lambda value: value is not None and pattern.fullmatch(text_of(value)) is not None


def _compared(kitchen: Kitchen, above: bool, wanted: Any, place: Place) -> Test:
    if isinstance(wanted, bool) or not isinstance(wanted, int | float | Decimal):
        kitchen.mistakes.tell(place, wanted, "a number")
        return lambda _: False
    limit = Decimal(str(wanted))

    def test(value: Any) -> bool:
        if value is None:
            return False
        if type(value) is str and value.isdigit() and value.isascii() and len(value) < 16:
            return int(value) > limit if above else int(value) < limit
        try:
            found = numbers.number(value)
        except Unfit:
            return False
        return found > limit if above else found < limit

    return test
