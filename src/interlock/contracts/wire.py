"""Events as consumers get them: the stored event with every field that always has a value, whether it is a default or not.

In the table a field that is its default is left out; a consumer should not have to know our defaults. So `tax` is there
though it is 0, and `fulfillment` though it is delivery. What there may be nothing of (a text that is empty, a list without
entries, null) is left out.

    data = published("order.created", row.body)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec import inspect

from interlock.domain.errors import InterlockError
from interlock.domain.events import AnyEvent

EVENTS: dict[str, type[AnyEvent]] = {kind.type: kind for kind in get_args(AnyEvent)}
"""Every canonical event's struct, by its name."""

NOTHING: tuple[object, ...] = (None, "", (), msgspec.Raw(b"null"))
"""Defaults that mean that there is nothing: such a field is left out where it has it."""

_encode = msgspec.json.Encoder(decimal_format="string").encode


class NoSuchEvent(InterlockError):
    """An event of a name that no contract has."""


def published(name: str, body: bytes | str) -> bytes:
    """The event's data as its contract promises it, from the JSON that was stored. Raises NoSuchEvent, or ValidationError of
    msgspec for a body that is no such event.
    """
    decode = decoders().get(name)
    if decode is None:
        raise NoSuchEvent(f"{name!r} is no event; there are {', '.join(EVENTS)}")
    return _encode(decode(body))


@cache
def decoders() -> Mapping[str, Callable[[bytes | str], Any]]:
    """Of every event what reads its stored JSON into its complete form."""
    made: dict[type, type] = {}
    return {
        name: msgspec.json.Decoder(_complete(kind, made, name), strict=False).decode for name, kind in EVENTS.items()
    }


def is_always(field: inspect.Field) -> bool:
    """Whether a field of an event always has a value."""
    if field.required:
        return not _may_be_none(field.type)
    return not any(type(field.default) is type(nothing) and field.default == nothing for nothing in NOTHING)


def _may_be_none(info: inspect.Type) -> bool:
    return isinstance(info, inspect.UnionType) and any(isinstance(each, inspect.NoneType) for each in info.types)


def _complete(kind: type, made: dict[type, type], tag: str | None = None) -> type:
    """The struct with the same fields of which the encoder leaves nothing out but what is nothing."""
    if kind in made:
        return made[kind]
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields: list[Any] = []
    for field in info.fields:
        of = _annotation(field.type, made)
        if field.required:
            fields.append((field.encode_name, of))
        elif is_always(field):
            # The encoder leaves out a default, but not what a factory made.
            fields.append((field.encode_name, of, msgspec.field(default_factory=_giving(field.default))))
        else:
            fields.append((field.encode_name, of, field.default))
    made[kind] = msgspec.defstruct(
        kind.__name__, fields, kw_only=True, omit_defaults=True, tag_field="type" if tag else None, tag=tag
    )
    return made[kind]


def _giving(value: object) -> Callable[[], object]:
    return lambda: value


def _annotation(info: inspect.Type, made: dict[type, type]) -> Any:
    """The annotation that a type was inspected from, its structs made complete."""
    match info:
        case inspect.StructType():
            return _complete(info.cls, made)
        case inspect.UnionType():
            union: Any = _annotation(info.types[0], made)
            for each in info.types[1:]:
                union = union | _annotation(each, made)
            return union
        case inspect.VarTupleType():
            entry: Any = _annotation(info.item_type, made)
            return tuple[entry, ...]
        case inspect.DictType():
            key: Any = _annotation(info.key_type, made)
            of: Any = _annotation(info.value_type, made)
            return dict[key, of]
        case inspect.RawType():
            return msgspec.Raw
        case inspect.NoneType():
            return None
        case inspect.DecimalType():
            return Decimal
        case inspect.DateTimeType():
            return datetime
        case inspect.BoolType():
            return bool
        case inspect.IntType():
            return int
        case inspect.FloatType():
            return float
        case inspect.StrType() | inspect.LiteralType():
            return str
        case _:
            raise TypeError(f"an event's field has a type that contracts do not know: {info}")
