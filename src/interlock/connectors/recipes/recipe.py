"""A compiled mapping for what comes in: documents to records.

    recipe.records(document)                  # list[Made]; raises MappingFailed
    recipe.traced(document, made, failed)     # the mapper's mistakes, with where in the document the fields came from
    recipe.origins(document, made)            # every field with where it came from, for `interlock connect try`

The way of live links makes records and nothing else. Only when something is wrong, or for people, is it gone again, noting what
came from where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, get_args

import msgspec

from interlock.connectors.formats.document import Document
from interlock.connectors.mapping_errors import MappingFailed, show
from interlock.connectors.recipes import numbers
from interlock.connectors.recipes.conditions import Holds, told
from interlock.connectors.recipes.made import Made
from interlock.connectors.recipes.scopes import Scope, text_of
from interlock.connectors.recipes.times import read_day
from interlock.connectors.recipes.unrolled import entries_that_hold, rules_that_hold, unrolled
from interlock.connectors.recipes.values import Entries, Found, Object
from interlock.connectors.recipes.wrong import Unfit
from interlock.domain.decision import FieldError
from interlock.domain.sequences import Mark, MarkKind

RULES_SHOWN_MAX: Final = 12
_KINDS: Final = get_args(MarkKind)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where one of our fields came from: `path` is in the document (or its context), `theirs` what stands there.

    `source` says so in a word: document, context, or mapping, where the mapping itself says it.
    """

    field: str
    value: Any
    source: str
    path: str
    theirs: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: when it holds, and the records that it makes then, or why it makes none."""

    place: int
    when: Any
    holds: Holds | None
    entries: Entries | None = None
    where: Holds | None = None
    action: str = ""
    fields: Object = Object({})
    skip: str = ""
    mark: Object | None = None


class Recipe:
    """What a mapping makes of documents. Safe to share between threads.

    With `segments` it is made for documents that are trees of segments, and takes any other.
    """

    def __init__(self, name: str, rules: Sequence[Rule], *, first: bool, segments: bool = False) -> None:
        self.name = name
        self._rules = tuple(rules)
        self._makers = {rule.place: unrolled(rule.fields, segments=segments) for rule in rules}
        self._entries = {
            rule.place: entries_that_hold(rule.entries.paths, rule.where, segments=segments)
            for rule in rules
            if rule.entries is not None
        }
        self._that_hold = rules_that_hold([(rule, rule.holds) for rule in rules], first=first, segments=segments)
        self._first = first
        self._last: tuple[Document, int, list[Scope]] | None = None

    def rules(self) -> str:
        """When its rules hold, shortly."""
        words = list(dict.fromkeys(told(rule.when) for rule in self._rules))
        more = f" and {len(words) - RULES_SHOWN_MAX} more" if len(words) > RULES_SHOWN_MAX else ""
        return "; ".join(words[:RULES_SHOWN_MAX]) + more

    def records(self, document: Document) -> list[Made]:
        """The records that a document becomes; none where no rule holds.

        Where a rule makes a record of each entry, one that cannot be made is given as `failed`, and its neighbours go on.
        Raises MappingFailed with every mistake where the document as a whole cannot be taken: which field, where in the
        document, what stands there and what was expected.
        """
        scope = Scope(document.data, None, 0, "", document)
        made: list[Made] = []
        mark: Mark | None = None
        held: list[Rule] = []
        try:
            held = self._that_hold(scope)
            for rule in held:
                self._make(rule, scope, made)
                if rule.mark is not None and mark is None:
                    mark = _mark(rule.mark, scope)
        except Unfit as unfit:
            raise self._failed(scope, unfit) from None
        if not made and held:
            made.append(_nothing(held, scope))
        if mark is not None and made:
            made[0] = made[0]._replace(mark=mark)
        return made

    def mark_of(self, document: Document) -> Mark | None:
        """A till's number of a document of which no record could be made: it was not missing, only not understood."""
        scope = Scope(document.data, None, 0, "", document)
        for rule in self._rules:
            try:
                if rule.mark is not None and (rule.holds is None or rule.holds(scope)):
                    return _mark(rule.mark, scope)
            except Unfit:
                return None
        return None

    def traced(self, document: Document, made: Made, failed: MappingFailed) -> MappingFailed:
        """The mistakes that the mapper found in a record, each field with where in the document it came from."""
        by_field = {each.field: each for each in self._walk(document, made)}
        return MappingFailed([_traced(error, by_field) for error in failed.errors])

    def origins(self, document: Document, made: Made) -> list[Origin]:
        """Every field of a record, with where it came from."""
        found = []
        for each in self._walk(document, made):
            if each.value is None or each.value == []:
                continue
            sources = [(path, theirs) for path, theirs in each.sources if theirs is not None]
            source = "mapping" if not each.sources else "context" if each.sources[0][0].startswith("@") else "document"
            found.append(
                Origin(
                    field=each.field,
                    value=each.value,
                    source=source,
                    path=", ".join(dict.fromkeys(path for path, _ in sources or each.sources)),
                    theirs=", ".join(_shown(theirs) for _, theirs in sources),
                )
            )
        return found

    # Making

    def _make(self, rule: Rule, scope: Scope, made: list[Made]) -> None:
        if rule.skip:
            made.append(Made("", {}, "", rule.skip, None, rule.place))
        elif rule.entries is None:
            made.append(Made(rule.action, self._makers[rule.place](scope), "", "", None, rule.place))
        else:
            action, make, place = rule.action, self._makers[rule.place], rule.place
            for at, inner in self._entries[place](scope):
                try:
                    made.append(Made(action, make(inner), inner.address(), "", None, place, at))
                except Unfit as unfit:
                    found = [_error(each, each.error) for each in rule.fields.walk(inner, "") if each.error is not None]
                    failed = MappingFailed(found or [FieldError("", show(unfit.value), unfit.expected)])
                    made.append(Made("", {}, inner.address(), "", None, place, at, failed))

    # For people

    def _walk(self, document: Document, made: Made) -> list[Found]:
        """Every field of a record that this recipe made of the document."""
        rule = next(rule for rule in self._rules if rule.place == made.rule)
        if rule.entries is None or not made.entry:
            return _combined(rule.fields.walk(Scope(document.data, None, 0, "", document), ""), made.fields)
        # A document may have many records that fail: its entries are looked up once.
        last = self._last
        if last is None or last[0] is not document or last[1] != rule.place:
            scopes = rule.entries.scopes(Scope(document.data, None, 0, "", document))
            self._last = last = (document, rule.place, scopes)
        return _combined(rule.fields.walk(last[2][made.entry - 1], ""), made.fields)

    def _failed(self, scope: Scope, unfit: Unfit) -> MappingFailed:
        """Every value of a document that cannot be taken."""
        errors: list[FieldError] = []
        for rule in self._rules:
            if rule.holds is not None and not rule.holds(scope):
                continue
            for found in self._all(rule, scope):
                if found.error is not None:
                    errors.append(_error(found, found.error))
            if self._first:
                break
        return MappingFailed(errors or [FieldError("", show(unfit.value), unfit.expected)])

    def _all(self, rule: Rule, scope: Scope) -> Iterator[Found]:
        if rule.entries is None:
            yield from rule.fields.walk(scope, "")
        else:
            for inner in rule.entries.scopes(scope):
                if rule.where is None or rule.where(inner):
                    yield from rule.fields.walk(inner, "")
        if rule.mark is not None:
            found = list(rule.mark.walk(scope, "mark"))
            yield from found
            if all(each.error is None for each in found):
                try:
                    _mark(rule.mark, scope)
                except Unfit as unfit:
                    yield Found(f"mark.{unfit.field}", None, _sources_of(found, f"mark.{unfit.field}"), unfit)


def _nothing(held: Sequence[Rule], scope: Scope) -> Made:
    """What it means that rules hold and make nothing: entries are there and none is meant, or something is wrong."""
    missing = [rule.entries for rule in held if rule.entries is not None and not rule.entries.are_there(scope)]
    if missing and len(missing) == len(held):
        raise MappingFailed(
            [FieldError(each.text, "", "entries, of which each is a record; it is missing") for each in missing]
        )
    texts = ", ".join(rule.entries.text for rule in held if rule.entries is not None)
    return Made("", {}, "", f"none of its entries ({texts}) is meant", None, held[0].place)


def _combined(all_found: Iterator[Found], fields: dict[str, Any]) -> list[Found]:
    """What came to one field from several places, where entries became one: with what it came to in the end."""
    by_field: dict[str, Found] = {}
    for found in all_found:
        before = by_field.get(found.field)
        if before is not None:
            found = Found(found.field, _at(fields, found.field), (*before.sources, *found.sources))
        by_field[found.field] = found
    return list(by_field.values())


def _at(fields: Any, field: str) -> Any:
    """What a record holds at a field such as lines[0].quantity."""
    for name in field.replace("]", "").replace("[", ".").split("."):
        fields = fields[int(name)] if isinstance(fields, list) else fields.get(name)
    return fields


def _sources_of(found: Sequence[Found], field: str) -> tuple[tuple[str, Any], ...]:
    return next((each.sources for each in found if each.field == field), ())


def _error(found: Found, unfit: Unfit) -> FieldError:
    theirs = [value for _, value in found.sources if value is not None]
    value = unfit.value if unfit.value is not None or not theirs else theirs[0]
    return FieldError(_named(found), "" if value is None else _shown(value), unfit.expected)


def _traced(error: FieldError, by_field: dict[str, Found]) -> FieldError:
    found = by_field.get(error.field)
    if found is None or not found.sources:
        return error
    theirs = ", ".join(_shown(value) for _, value in found.sources if value is not None)
    return FieldError(_named(found), theirs or error.value, error.expected)


def _named(found: Found) -> str:
    paths = [path for path, value in found.sources if value is not None] or [path for path, _ in found.sources]
    return f"{found.field} (from {', '.join(dict.fromkeys(paths))})" if paths else found.field


def _shown(value: Any) -> str:
    return show(value if isinstance(value, str | int | bool | list | dict) else text_of(value))


# The numbers of tills


def _mark(fields: Object, scope: Scope) -> Mark:
    """The mark that a document has. Raises Unfit, which names the field."""
    made = fields.make(scope)
    at = made.get("at")
    if at is not None and not isinstance(at, datetime):
        raise _unfit("at", at, "a time, which {time: ...} reads")
    day = made.get("business_day", at)
    if day is None:
        raise _unfit("business_day", None, "the day that the till counts it to; it is missing")
    kind = made.get("kind", "sale")
    if kind not in _KINDS:
        raise _unfit("kind", kind, f"one of {', '.join(_KINDS)}")
    for name in ("store", "register", "number"):
        if name not in made:
            raise _unfit(name, None, "what every till's number has; it is missing")
    try:
        business_day = read_day(day)
    except Unfit as unfit:
        raise _unfit("business_day", unfit.value, unfit.expected) from None
    return Mark(
        store=text_of(made["store"]),
        register=text_of(made["register"]),
        business_day=business_day,
        number=_whole(made, "number") or 0,
        kind=kind,
        at=at,
        first=_whole(made, "first"),
        last=_whole(made, "last"),
        count=_whole(made, "count"),
    )


def _whole(made: dict[str, Any], name: str) -> int | None:
    value = made.get(name)
    if value is None or type(value) is int:
        return value
    try:
        exact = numbers.number(value)
    except Unfit:
        exact = None
    if exact is None or exact != int(exact) or exact < 0:
        raise _unfit(name, value, "a whole number")
    return int(exact)


def _unfit(field: str, value: Any, expected: str) -> Unfit:
    unfit = Unfit(value, expected)
    unfit.field = field
    return unfit
