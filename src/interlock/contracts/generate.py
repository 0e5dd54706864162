"""The contracts as the working tree has them: JSON Schema 2020-12, made of the tables of meanings and the event structs.

    for (kind, name), made in generate().items(): ...

    meanings/commands.yaml   what comes in: shapes and meanings
    meanings/events.yaml     meanings; the types are those of domain/events.py in the form that wire.py gives them
    meanings/messages.yaml   what receivers are told: shapes and meanings

Beside the keywords of JSON Schema each property has `x-presence` (required, optional, or derived: made by Interlock, always
there or not as `required` says), and where it is a quantity or an amount `x-measures`: what it is a measure of.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import inspect
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from interlock.contracts import shapes
from interlock.contracts.catalog import KINDS, CatalogWrong, Kind, identifier
from interlock.contracts.shapes import Shape
from interlock.contracts.wire import EVENTS, is_always
from interlock.domain.events import Event

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MEANINGS: Final = Path(__file__).parent / "meanings"

MEASURES: Final = frozenset(
    ["demand", "allocated", "released", "packed", "shipped", "canceled", "returned", "return_due", "refunded"]
    + ["on_hand", "delta", "money"]
)
"""What a quantity or an amount may be a measure of."""

Generated = dict[tuple[Kind, str], Shape]


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"is_": "is"}):
    """A row of a table of meanings. One of `is`, `one_of`, `object`, `list_of` and `constant` says the shape, but for events."""

    means: str
    is_: str = ""
    one_of: str = ""
    object: str = ""
    list_of: str = ""
    constant: Literal["", "name"] = ""
    presence: Literal["required", "optional", "derived"] = "optional"
    derived: bool = False
    nullable: bool = False
    measures: str = ""


class Piece(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object: a whole message, or a part of one."""

    means: str
    fields: dict[str, Field]


class Meanings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table: `always` are fields of every contract in it."""

    contracts: dict[str, Piece]
    pieces: dict[str, Piece] = {}
    always: dict[str, Field] = {}


def generate(folder: Path = MEANINGS, events: Mapping[str, type[Event]] = EVENTS) -> Generated:
    """Every contract's schema, without a version. Raises CatalogWrong where tables and structs do not fit each other."""
    tables: dict[Kind, Meanings] = {kind: read_meanings(folder / f"{kind}.yaml") for kind in KINDS}
    made: Generated = {}
    for name, piece in tables["commands"].contracts.items():
        made["commands", name] = _Written(tables["commands"], inbound=True).contract(name, piece)
    for name in sorted(events.keys() | tables["events"].contracts.keys()):
        if name not in events or name not in tables["events"].contracts:
            raise CatalogWrong(f"events/{name} is in only one of domain/events.py and meanings/events.yaml")
        made["events", name] = _OfStructs(tables["events"]).contract(name, events[name])
    for name, piece in tables["messages"].contracts.items():
        made["messages", name] = _Written(tables["messages"], inbound=False).contract(name, piece)
    return made


def versioned(made: Shape, kind: Kind, name: str, version: int) -> bytes:
    """A schema's file as one version of its contract."""
    head = {"$schema": DIALECT, "$id": identifier(kind, name, version)}
    return msgspec.json.format(msgspec.json.encode(head | made), indent=2) + b"\n"


@cache
def read_meanings(path: Path) -> Meanings:
    """A table of meanings. Raises CatalogWrong."""
    try:
        found = msgspec.convert(YAML(typ="safe").load(path.read_text("utf-8")), Meanings)
    except (OSError, YAMLError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise CatalogWrong(f"meanings/{path.name}: {error}") from None
    for name, piece in [
        *found.contracts.items(),
        *found.pieces.items(),
        ("always", Piece(means="-", fields=found.always)),
    ]:
        for field, row in piece.fields.items():
            if row.measures and row.measures not in MEASURES:
                words = f"measures {row.measures!r}, expected one of {', '.join(sorted(MEASURES))}"
                raise CatalogWrong(f"meanings/{path.name}: {name}.{field}: {words}")
    return found


class _Written:
    """Makes schemas of tables that say the shapes themselves."""

    def __init__(self, table: Meanings, *, inbound: bool) -> None:
        self._table = table
        self._inbound = inbound
        self._defs: dict[str, Shape] = {}

    def contract(self, name: str, piece: Piece) -> Shape:
        whole = Piece(means=piece.means, fields=self._table.always | piece.fields)
        if self._inbound:  # what every command may have stands last
            whole = Piece(means=piece.means, fields=piece.fields | self._table.always)
        return {"title": name, **self._object(whole, name), **_rules(name), **_defs(self._defs)}

    def _object(self, piece: Piece, name: str, measures: str = "") -> Shape:
        properties = {
            field: _described(self._shape(row, name, measures), row, measures if field == "quantity" else "")
            for field, row in piece.fields.items()
        }
        required = [field for field, row in piece.fields.items() if row.presence != "optional"]
        return _object(piece.means, properties, required, closed=self._inbound)

    def _shape(self, row: Field, name: str, measures: str) -> Shape:
        required = row.presence != "optional"
        if row.constant:
            return {"type": "string", "const": name}
        if row.list_of:
            part = self._part(row.list_of, row.measures)
            if self._inbound:
                return shapes.inbound_list(part, required=required)
            return {"type": "array", "items": {"$ref": f"#/$defs/{part}"}, "minItems": 1}
        if row.object:
            part = self._part(row.object, measures)
            if required and not row.nullable:
                return {"$ref": f"#/$defs/{part}"}
            if self._inbound or row.nullable:
                return {"anyOf": [{"$ref": f"#/$defs/{part}"}, {"type": "null"}]}
            return {"$ref": f"#/$defs/{part}"}
        if row.one_of:
            if self._inbound:
                return shapes.inbound_word(row.one_of, required=required)
            return {"type": "string", "enum": list(shapes.WORDS[row.one_of])}
        if self._inbound:
            return shapes.inbound(row.is_, required=required)
        return shapes.outbound(row.is_, nullable=row.nullable)

    def _part(self, of: str, measures: str) -> str:
        part = f"{of}_{measures}" if measures else of
        if part not in self._defs:
            self._defs[part] = {}  # its place; parts hold no part of their own kind
            self._defs[part] = self._object(self._table.pieces[of], of, measures)
        return part


class _OfStructs:
    """Makes schemas of the event structs, in the form that consumers get."""

    def __init__(self, table: Meanings) -> None:
        self._table = table
        self._defs: dict[str, Shape] = {}

    def contract(self, name: str, kind: type[Event]) -> Shape:
        whole = self._object(kind, self._table.contracts[name], f"events/{name}")
        tag = {"description": "The event's name.", "type": "string", "const": name, "x-presence": "required"}
        whole["properties"] = {"type": tag, **whole["properties"]}
        whole["required"] = ["type", *whole["required"]]
        return {"title": name, **whole, **_rules(name), **_defs(self._defs)}

    def _object(self, kind: type[Any], piece: Piece, name: str, measures: str = "") -> Shape:
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        fields = {field.encode_name: field for field in info.fields}
        if fields.keys() != piece.fields.keys():
            odd = ", ".join(sorted(fields.keys() ^ piece.fields.keys()))
            raise CatalogWrong(f"{name}: {odd}: in only one of the struct {kind.__name__} and meanings/events.yaml")
        properties, required = {}, []
        for field, has in fields.items():
            row = piece.fields[field]
            always = is_always(has)
            if always:
                required.append(field)
            presence: Any = "derived" if row.derived else "required" if always else "optional"
            row = msgspec.structs.replace(row, presence=presence)
            shape = self._shape(has.type, row, name, always)
            properties[field] = _described(shape, row, measures if field == "quantity" else "")
        return _object(piece.means, properties, required, closed=False)

    def _shape(self, info: inspect.Type, row: Field, name: str, always: bool) -> Shape:
        if row.is_:
            return shapes.outbound(row.is_)
        match info:
            case inspect.UnionType():
                kinds = [each for each in info.types if not isinstance(each, inspect.NoneType)]
                if {type(each) for each in kinds} == {inspect.IntType, inspect.DecimalType}:
                    return shapes.outbound("units")
                if len(kinds) == 1:
                    return self._shape(kinds[0], row, name, always)
            case inspect.StructType():
                return {"$ref": f"#/$defs/{self._part(info.cls, row.measures)}"}
            case inspect.VarTupleType():
                items = {"type": "array", "items": self._shape(info.item_type, row, name, always)}
                # What is empty is left out, but for a list that is always there.
                return items if always else {**items, "minItems": 1}
            case inspect.DictType(key_type=inspect.IntType()):
                of = self._shape(info.value_type, row, name, always)
                return {"type": "object", "propertyNames": {"pattern": "^[1-9][0-9]*$"}, "additionalProperties": of}
            case inspect.LiteralType():
                return {"type": "string", "enum": list(info.values)}
            case _:
                word = _WORDS.get(type(info))
                if word:
                    return shapes.outbound(word)
        raise CatalogWrong(f"{name}: a field has a type that contracts do not know: {info}")

    def _part(self, kind: type[Any], measures: str) -> str:
        part = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).strip("_")
        part = f"{part}_{measures}" if measures else part
        if part not in self._defs:
            self._defs[part] = {}
            self._defs[part] = self._object(kind, self._table.pieces[kind.__name__], kind.__name__, measures)
        return part


_WORDS: Final[dict[type[inspect.Type], str]] = {
    inspect.StrType: "text",
    inspect.BoolType: "flag",
    inspect.IntType: "number",
    inspect.FloatType: "degrees",
    inspect.DecimalType: "amount",
    inspect.DateTimeType: "time",
}


def _object(means: str, properties: dict[str, Shape], required: list[str], *, closed: bool) -> Shape:
    made: Shape = {"description": means, "type": "object", "properties": properties}
    if required:
        made["required"] = required
    return {**made, "additionalProperties": False} if closed else made


def _described(shape: Shape, row: Field, measures: str) -> Shape:
    made = {"description": row.means, **shape, "x-presence": row.presence}
    found = row.measures or measures
    # A list's measure stands at the quantities of its entries.
    if found and "$ref" not in shape and shape.get("type") != "array" and "items" not in shape:
        made["x-measures"] = found
    return made


def _defs(made: dict[str, Shape]) -> Shape:
    return {"$defs": dict(sorted(made.items()))} if made else {}


def _rules(name: str) -> Shape:
    """What the fields of an order have to do with each other."""
    if name not in ("order.create", "order.created"):
        return {}
    is_delivery: Shape = {"properties": {"fulfillment": {"enum": ["delivery", "", None]}}}
    place: Shape = {"required": ["destination"]}
    node: Shape = {"required": ["pickup_node"]}
    if name == "order.create":
        place["properties"] = {"destination": {"type": "object"}}
        node["properties"] = {"pickup_node": {"type": "string", "minLength": 1}}
    return {"if": is_delivery, "then": place, "else": node}
