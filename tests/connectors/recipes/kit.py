"""What the tests of mappings share: a system, and short ways to compile a mapping and to run it over a document."""

from __future__ import annotations

from typing import Any

from interlock.connectors.formats.document import Document
from interlock.connectors.recipes import Made, Recipe, Template, compile_recipe, compile_template
from interlock.contracts.mapping_files import read_mapping
from interlock.domain.estate import Contact, System
from interlock.domain.links import Format, FormatKind
from interlock.domain.values import SystemId

BERLIN = System(
    id=SystemId("shop"),
    name="Shop",
    kind="webshop",
    owner=Contact(team="Digital", escalation="digital@example.com"),
    authority={},
    time_zone="Europe/Berlin",
    currency="EUR",
    order_scope="shop",
)


def mapping(text: str) -> dict[str, Any]:
    """A mapping's text as plain values."""
    raw, flaws = read_mapping(text)
    assert raw is not None, flaws
    return raw


def recipe(text: str, kind: FormatKind | None = None, **settings: str) -> Recipe:
    """A mapping for what comes in, compiled."""
    form = None if kind is None else Format(kind=kind)
    return compile_recipe("mine", mapping(text), system=BERLIN, form=form, settings=settings)


def template(text: str, kind: FormatKind = "json", **settings: str) -> Template:
    """A mapping for what goes out, compiled."""
    return compile_template("mine", mapping(text), system=BERLIN, form=Format(kind=kind), settings=settings)


def document(data: Any, **context: Any) -> Document:
    """A document with some data."""
    return Document("thing", "item 1", data, b"", context)


def count(value: str, where: str = "") -> str:
    """A mapping with one rule whose `counted` is a value, so that nothing but that is of interest."""
    return f"records: [{{action: stock.count, fields: {{sku: =S, node: =N, ref: =R, counted: {value}}}}}]\n{where}"


def counted(value: str, data: Any, where: str = "", **context: Any) -> Any:
    """What a value gives for a document."""
    (made,) = recipe(count(value, where)).records(document(data, **context))
    return made.fields.get("counted")


def made_of(text: str, data: Any, **context: Any) -> list[Made]:
    """What a mapping makes of a document."""
    return recipe(text).records(document(data, **context))
