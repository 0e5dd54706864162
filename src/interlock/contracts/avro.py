"""Events in Avro, the second language for brokers: schemas made of the released contracts, and data in both directions.

    avro_schema("order.created")            the Avro schema of the current version
    encode("order.created", data)           JSON as it is published ─▶ Avro's binary form
    decode("order.created", body)           and back: the same JSON

| JSON Schema | Avro |
|---|---|
| an amount of money | decimal, 24 digits, 4 places |
| a quantity | decimal, 18 digits, 6 places |
| a time | timestamp-micros |
| a closed list of words | enum |
| an object of unknown inside (a receipt) | string, with the JSON in it |
| a field that may be left out | union with null, null by default |

The library writes and reads the bytes; here is only what the one language says and the other has to be told.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

import fastavro
import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form

from interlock.contracts.catalog import current_version, schema
from interlock.domain.errors import InvalidValue
from interlock.domain.values import plain

CONTENT_TYPE: Final = "application/avro"
NAMESPACE: Final = "interlock.events"
MONEY: Final = {"type": "bytes", "logicalType": "decimal", "precision": 24, "scale": 4}
UNITS: Final = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 6}
TIME: Final = {"type": "long", "logicalType": "timestamp-micros"}
_MARKER: Final = b"\xc3\x01"

_encode_json = msgspec.json.Encoder(decimal_format="string").encode
Turn = Callable[[Any], Any]


class _Way(NamedTuple):
    """A type in Avro, and how a value goes there and comes back."""

    avro: Any
    there: Turn
    back: Turn


class _Language(NamedTuple):
    """One contract in Avro: its schema, the same as the library has parsed it, and its way."""

    avro: dict[str, Any]
    parsed: Any
    way: _Way


def avro_schema(name: str, version: int | None = None) -> dict[str, Any]:
    """The Avro schema of an event's contract, of its current version if none is given. Raises NoSuchContract."""
    return _language(name, version or current_version("events", name)).avro


def encode(name: str, data: bytes | str, version: int | None = None) -> bytes:
    """An event's data, JSON as it is published, in Avro's binary form. Raises InvalidValue for what does not fit."""
    language = _language(name, version or current_version("events", name))
    sink = io.BytesIO()
    try:
        fastavro.schemaless_writer(sink, language.parsed, language.way.there(msgspec.json.decode(data)), strict=True)
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise InvalidValue("data", name, f"data as the contract of {name} has it: {error}") from None
    return sink.getvalue()


def decode(name: str, body: bytes, version: int | None = None) -> bytes:
    """What `encode` was given. Raises InvalidValue for bytes that are no such event."""
    language = _language(name, version or current_version("events", name))
    source = io.BytesIO(body)
    try:
        found = fastavro.schemaless_reader(source, language.parsed, None)
        turned = language.way.back(found)
    except (EOFError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, MemoryError) as error:
        raise InvalidValue("body", name, f"an event {name} in Avro: {type(error).__name__}") from None
    if source.tell() != len(body):
        raise InvalidValue("body", name, f"an event {name} in Avro, and nothing after it")
    return _encode_json(turned)


def single_object(name: str, data: bytes | str, version: int | None = None) -> bytes:
    """The same in Avro's single-object encoding: a marker and the schema's fingerprint stand in front, for who keeps many."""
    number = version or current_version("events", name)
    return _MARKER + _fingerprint(name, number) + encode(name, data, number)


@cache
def _fingerprint(name: str, version: int) -> bytes:
    # The library writes the eight bytes as hexadecimal in the order in which they go over the wire.
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(_language(name, version).avro), "CRC-64-AVRO"))


@cache
def _language(name: str, version: int) -> _Language:
    whole = schema("events", name, version)
    translator = _Translator(name, whole.get("$defs", {}))
    way = translator.record(name.replace(".", "_"), whole)
    avro = {**way.avro, "namespace": NAMESPACE}
    return _Language(avro, fastavro.parse_schema(msgspec.json.decode(msgspec.json.encode(avro))), way)


class _Translator:
    """Turns the schemas of one contract; a part is told in full where it stands first, then by its name."""

    def __init__(self, name: str, parts: Mapping[str, Any]) -> None:
        self._name = name.replace(".", "_")
        self._parts = parts
        self._told: dict[str, _Way] = {}

    def record(self, name: str, said: Mapping[str, Any]) -> _Way:
        """An object with named fields."""
        required = set(said.get("required", ()))
        fields, there, back = [], {}, {}
        for field, of in said["properties"].items():
            way = self._way(of, f"{name}_{field}")
            row: dict[str, Any] = {"name": field, "doc": of.get("description", ""), "type": way.avro}
            if field not in required:
                row |= {"type": ["null", way.avro], "default": None}
                way = _or_none(way)
            fields.append(row)
            there[field], back[field] = way.there, way.back

        def out(value: Any) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise ValueError(f"{name} is no object")
            odd = value.keys() - there.keys()
            if odd:
                raise ValueError(f"{', '.join(sorted(odd))}: no field of this version")
            return {field: turn(value.get(field)) for field, turn in there.items()}

        def home(value: Mapping[str, Any]) -> dict[str, Any]:
            turned = ((field, turn(value[field])) for field, turn in back.items())
            return {field: each for field, each in turned if each is not None}

        return _Way({"type": "record", "name": name, "doc": said.get("description", ""), "fields": fields}, out, home)

    def _way(self, said: Mapping[str, Any], name: str) -> _Way:
        if "$ref" in said:
            return self._part(said["$ref"].rpartition("/")[2])
        kind = said.get("type")
        if kind == "array":
            entry = self._way(said["items"], name)
            return _Way({"type": "array", "items": entry.avro}, _each(entry.there), _each(entry.back))
        if kind == "object" and "additionalProperties" in said:
            of = self._way(said["additionalProperties"], name)
            return _Way({"type": "map", "values": of.avro}, _values(of.there), _values(of.back))
        if kind in ("object", ["object", "null"]):
            return _Way("string", lambda value: _encode_json(value).decode(), msgspec.json.decode)
        if "enum" in said and all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", word) for word in said["enum"]):
            return _Way({"type": "enum", "name": name, "symbols": list(said["enum"])}, _same, _same)
        if said.get("format") == "date-time":
            return _Way(TIME, datetime.fromisoformat, lambda at: at.astimezone(UTC))
        if kind == ["integer", "string"]:
            return _Way(UNITS, lambda value: Decimal(value), _units)
        if said.get("x-measures") == "money":
            return _Way(MONEY, Decimal, lambda value: _shortest(value))
        return _Way(
            {"string": "string", "integer": "long", "number": "double", "boolean": "boolean"}[str(kind)], _same, _same
        )

    def _part(self, part: str) -> _Way:
        known = self._told.get(part)
        if known is None:
            name = f"{self._name}_{part}"
            made = self.record(name, self._parts[part])
            self._told[part] = _Way(f"{NAMESPACE}.{name}", made.there, made.back)
            return made
        return known


def _same(value: Any) -> Any:
    return value


def _or_none(way: _Way) -> _Way:
    def there(value: Any) -> Any:
        return None if value is None else way.there(value)

    def back(value: Any) -> Any:
        return None if value is None else way.back(value)

    return _Way(way.avro, there, back)


def _each(turn: Turn) -> Turn:
    return lambda values: [turn(value) for value in values]


def _values(turn: Turn) -> Turn:
    return lambda values: {key: turn(value) for key, value in values.items()}


def _units(value: Decimal) -> int | str:
    whole = plain(value)
    return whole if isinstance(whole, int) else _shortest(value)


def _shortest(value: Decimal) -> str:
    """The number without an exponent and without zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
