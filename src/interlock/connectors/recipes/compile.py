"""A mapping as plain values to a recipe or a template, or all of its mistakes.

    recipe = compile_recipe("shopify", raw, system=system, form=form, settings={"channel": "web"})
    template = compile_template("warehouse-940", raw, system=system, form=form, settings={})

Both raise RecipeWrong. The language is told in docs/mappings.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from interlock.connectors.recipes.fields import check_fields
from interlock.connectors.recipes.kitchen import Kitchen
from interlock.connectors.recipes.numbers import Rates
from interlock.connectors.recipes.recipe import Recipe, Rule
from interlock.connectors.recipes.shapes import document_of
from interlock.connectors.recipes.template import Message, Template
from interlock.connectors.recipes.values import Object
from interlock.connectors.recipes.wrong import Mistakes, Place, RecipeWrong
from interlock.domain.estate import System
from interlock.domain.links import Format, FormatKind

TOP_PARTS: Final = ("format", "about", "settings", "tables", "rates", "records", "messages", "first")
RULE_PARTS: Final = ("when", "each", "where", "action", "fields", "skip", "mark")
MESSAGE_PARTS: Final = ("when", "document", "skip")
SEGMENTED: Final = ("x12", "edifact")
"""Formats whose documents are trees of segments."""
_MARK: Final = ("store", "register", "business_day", "number", "kind", "at", "first", "last", "count")
_MARK_NEEDED: Final = ("store", "register", "number")


def compile_recipe(
    name: str, raw: Mapping[str, Any], *, system: System, form: Format | None, settings: Mapping[str, str]
) -> Recipe:
    """What a mapping makes of the documents of a system. Raises RecipeWrong with every mistake."""
    mistakes = Mistakes()
    kitchen = _kitchen(raw, system, form, settings, mistakes, ours=True)
    rules = raw.get("records")
    if rules is None:
        mistakes.missing(("records",), "rules for what comes in")
    made = [_rule(kitchen, each, at, ("records", at)) for at, each in enumerate(_rules(rules, "records", mistakes))]
    is_first = raw.get("first", False)
    if not isinstance(is_first, bool):
        mistakes.tell(("first",), is_first, "true or false")
    if mistakes.found:
        raise RecipeWrong(name, mistakes.found)
    segments = form is not None and form.kind in SEGMENTED
    return Recipe(name, [rule for rule in made if rule is not None], first=is_first, segments=segments)


def compile_template(
    name: str, raw: Mapping[str, Any], *, system: System, form: Format | None, settings: Mapping[str, str]
) -> Template:
    """What a mapping makes of our messages for a system. Raises RecipeWrong with every mistake."""
    mistakes = Mistakes()
    kitchen = _kitchen(raw, system, form, settings, mistakes, ours=False)
    rules = raw.get("messages")
    if rules is None:
        mistakes.missing(("messages",), "rules for what goes out")
    made = [
        _message(kitchen, each, form, ("messages", at)) for at, each in enumerate(_rules(rules, "messages", mistakes))
    ]
    if mistakes.found:
        raise RecipeWrong(name, mistakes.found)
    return Template(name, [each for each in made if each is not None])


def settings_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a mapping has, and what each is if a link does not set it; None: a link must."""
    settings = raw.get("settings")
    return dict(settings) if isinstance(settings, Mapping) else {}


# What both have


def _kitchen(
    raw: Mapping[str, Any],
    system: System,
    form: Format | None,
    given: Mapping[str, str],
    mistakes: Mistakes,
    *,
    ours: bool,
) -> Kitchen:
    for key in raw:
        if key not in TOP_PARTS:
            mistakes.unknown((key,), key, TOP_PARTS, "a part of a mapping")
    _check_format(raw.get("format", []), form, mistakes)
    settings = _settings(raw, given, mistakes)
    return Kitchen(mistakes, system, settings, _tables(raw, mistakes), _rates(raw, mistakes), ours=ours)


def _check_format(raw: Any, form: Format | None, mistakes: Mistakes) -> None:
    kinds = raw if isinstance(raw, list) else [raw]
    for each in kinds:
        if each not in get_args(FormatKind):
            mistakes.unknown(("format",), str(each), get_args(FormatKind), "a format")
    if form is not None and kinds and form.kind not in kinds:
        mistakes.tell(("format",), form.kind, f"a format that this mapping is meant for: {', '.join(map(str, kinds))}")


def _settings(raw: Mapping[str, Any], given: Mapping[str, str], mistakes: Mistakes) -> dict[str, Any]:
    if not isinstance(raw.get("settings", {}), Mapping):
        mistakes.tell(("settings",), raw["settings"], "names and what each is if a link does not set it")
    settings = settings_of(raw)
    for name, value in given.items():
        if name not in settings:
            mistakes.unknown(("settings", name), name, settings, "a setting of this mapping")
        else:
            settings[name] = value
    for name, value in settings.items():
        if value is None:
            mistakes.missing(("settings", name), "a value, which the link must give in its settings")
        elif isinstance(value, Mapping | list):
            mistakes.tell(("settings", name), value, "one value")
    return settings


def _tables(raw: Mapping[str, Any], mistakes: Mistakes) -> dict[str, Mapping[str, Any]]:
    tables = raw.get("tables", {})
    if isinstance(tables, Mapping):
        for name, words in tables.items():
            if not isinstance(words, Mapping):
                mistakes.tell(("tables", name), words, "words and ours for them")
        return {name: words for name, words in tables.items() if isinstance(words, Mapping)}
    mistakes.tell(("tables",), tables, "names of tables, each with words and ours for them")
    return {}


def _rates(raw: Mapping[str, Any], mistakes: Mistakes) -> dict[str, Rates]:
    """Rates by the name of their table; those that are written without one have the name ""."""
    written = raw.get("rates", {})
    if not isinstance(written, Mapping):
        mistakes.tell(("rates",), written, "pairs such as EUR/USD, each with rates by day")
        return {}
    loose = {pair: by_day for pair, by_day in written.items() if "/" in pair}
    tables: dict[str, tuple[Place, Any]] = {
        name: (("rates", name), pairs) for name, pairs in written.items() if "/" not in name
    }
    if loose or not tables:
        tables[""] = (("rates",), loose)
    return {name: Rates(_pairs(pairs, place, mistakes)) for name, (place, pairs) in tables.items()}


def _pairs(raw: Any, place: Place, mistakes: Mistakes) -> dict[str, dict[date, Decimal]]:
    pairs: dict[str, dict[date, Decimal]] = {}
    if not isinstance(raw, Mapping):
        mistakes.tell(place, raw, "pairs such as EUR/USD, each with rates by day")
        return {}
    for pair, by_day in raw.items():
        source, slash, target = pair.partition("/")
        if not (slash and len(source) == 3 and len(target) == 3 and pair.isupper()):
            mistakes.tell((*place, pair), pair, "a pair of currencies such as EUR/USD")
        if not isinstance(by_day, Mapping) or not by_day:
            mistakes.tell((*place, pair), by_day, "rates by day, such as 2026-01-01: 1.08")
            continue
        for day, rate in by_day.items():
            try:
                exact = Decimal(str(rate))
                if not (exact.is_finite() and exact > 0):
                    raise InvalidOperation
                pairs.setdefault(pair, {})[date.fromisoformat(day)] = exact
            except (ValueError, InvalidOperation):
                mistakes.tell((*place, pair, day), rate, "a rate above zero for a day such as 2026-01-01")
    return pairs


def _rules(raw: Any, name: str, mistakes: Mistakes) -> list[Any]:
    if isinstance(raw, list) and raw:
        return raw
    if raw is not None:
        mistakes.tell((name,), raw, "a list of rules")
    return []


# What comes in


def _rule(kitchen: Kitchen, raw: Any, at: int, place: Place) -> Rule | None:
    mistakes = kitchen.mistakes
    if not isinstance(raw, Mapping):
        mistakes.tell(place, raw, "a rule: {when: ..., action: ..., fields: ...}")
        return None
    for key in raw:
        if key not in RULE_PARTS:
            mistakes.unknown((*place, key), key, RULE_PARTS, "a part of a rule")
    holds = kitchen.condition(raw.get("when"), (*place, "when"))
    mark = _mark(kitchen, raw["mark"], (*place, "mark")) if "mark" in raw else None
    if "skip" in raw:
        for key in ("action", "fields", "each", "where"):
            if key in raw:
                mistakes.tell((*place, key), raw[key], "left out, since the rule skips the document")
        why = raw["skip"]
        if not isinstance(why, str) or not why:
            mistakes.tell((*place, "skip"), why, "why there is nothing to do, in words")
        return Rule(place=at, when=raw.get("when"), holds=holds, skip=str(why), mark=mark)
    entries = kitchen.entries(raw["each"], (*place, "each")) if "each" in raw else None
    if "where" in raw and "each" not in raw:
        mistakes.tell(
            (*place, "where"),
            raw["where"],
            "left out, since there is no each (conditions on the document are its when)",
        )
    where = kitchen.condition(raw.get("where"), (*place, "where"))
    fields = Object({})
    if "fields" not in raw:
        mistakes.missing((*place, "fields"), "our fields and where each comes from")
    else:
        fields = kitchen.object(raw["fields"], (*place, "fields"))
    action = raw.get("action")
    check_fields(action, fields, place, mistakes)
    return Rule(
        place=at,
        when=raw.get("when"),
        holds=holds,
        entries=entries,
        where=where,
        action=str(action),
        fields=fields,
        mark=mark,
    )


def _mark(kitchen: Kitchen, raw: Any, place: Place) -> Object:
    made = kitchen.object(raw, place)
    for name in made.fields:
        if name not in _MARK:
            kitchen.mistakes.unknown((*place, name), name, _MARK, "a field of a mark")
    for name in _MARK_NEEDED:
        if name not in made.fields:
            kitchen.mistakes.missing((*place, name), "what every till's number has")
    if "business_day" not in made.fields and "at" not in made.fields:
        kitchen.mistakes.missing((*place, "business_day"), "the day that the till counts it to (or at)")
    return made


# What goes out


def _message(kitchen: Kitchen, raw: Any, form: Format | None, place: Place) -> Message | None:
    mistakes = kitchen.mistakes
    if not isinstance(raw, Mapping):
        mistakes.tell(place, raw, "a rule: {when: ..., document: ...}")
        return None
    for key in raw:
        if key not in MESSAGE_PARTS:
            mistakes.unknown((*place, key), key, MESSAGE_PARTS, "a part of a rule for messages")
    holds = kitchen.condition(raw.get("when"), (*place, "when"))
    if "skip" in raw:
        if "document" in raw:
            mistakes.tell((*place, "document"), raw["document"], "left out, since the rule sends nothing")
        return Message(holds, None)
    if "document" not in raw:
        mistakes.missing((*place, "document"), "what the message becomes")
        return None
    return Message(holds, document_of(kitchen, raw["document"], form, (*place, "document")))
