"""What values look like on the wire, as JSON Schema: by a word that the tables of meanings use.

INBOUND shapes are what `connectors/mapping_fields.py` reads. A reader is patient: a field that is not required may be null or
"", which says that it is not given; numbers may be text. OUTBOUND shapes are what Interlock writes: one form for each.

Patterns hold to what ECMA-262, Python and Rust read alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

from interlock.domain.commands import Disposition, RejectReason
from interlock.domain.estate import Fulfillment
from interlock.domain.values import KEY_LENGTH_MAX

Shape = dict[str, Any]

WORDS: Final[dict[str, tuple[str, ...]]] = {
    "fulfillment": get_args(Fulfillment),
    "reject_reason": get_args(RejectReason),
    "disposition": get_args(Disposition),
}
"""Closed lists of words, as the domain has them."""

TEXT_LENGTH_MAX: Final = 500
LINES_MAX: Final = 10_000
KEYS_MAX: Final = 100
LINE_NO_MAX: Final = 2**31 - 1
VERSION_MAX: Final = 2**63 - 1
AMOUNT_BELOW: Final = 10**15
QUANTITY_BELOW: Final = 10**12

_CONTROL: Final = r"\u0000-\u001f\u007f"
_BLANK: Final = r"\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_KEY: Final = rf"[^{_CONTROL}{_BLANK}](?:[^{_CONTROL}]*[^{_CONTROL}{_BLANK}])?"
_DAY: Final = r"(?:19[7-9][0-9]|2[01][0-9]{2})-[0-9]{2}-[0-9]{2}"
_TIME: Final = (
    rf"{_DAY}[Tt ][0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:\.[0-9]{{1,9}})?)?(?:[Zz]|[+-][0-9]{{2}}:?[0-9]{{2}})"
)
_SOME: Final = "(?=[0-9.]*[1-9])"
_MONEY: Final = r"[0-9]{1,15}(?:\.[0-9]{1,4}0{0,8})?"
_UNITS: Final = r"[0-9]{1,12}(?:\.[0-9]{1,6}0{0,6})?"
_DEGREES: Final = r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,12})?"


def inbound(word: str, *, required: bool) -> Shape:
    """The schema of a value that comes in. Raises KeyError for a word that there is not."""
    found = dict(_INBOUND[word]())
    return found if required else _or_nothing(found)


def inbound_word(words: str, *, required: bool) -> Shape:
    """One of a closed list of words that comes in."""
    found: Shape = {"type": "string", "enum": list(WORDS[words])}
    return found if required else _or_nothing(found)


def inbound_list(of: str, *, required: bool) -> Shape:
    """A list of at least one object that comes in; left out, or null, it stands for all."""
    kinds: Any = "array" if required else ["array", "null"]
    return {"type": kinds, "items": {"$ref": f"#/$defs/{of}"}, "minItems": 1, "maxItems": LINES_MAX}


def outbound(word: str, *, nullable: bool = False) -> Shape:
    """The schema of a value that goes out. Raises KeyError for a word that there is not."""
    found = dict(_OUTBOUND[word])
    if nullable:
        kinds = found["type"]
        found["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    return found


def _or_nothing(shape: Shape) -> Shape:
    """The same, or null, or an empty text: not given."""
    kinds = shape["type"]
    given = [kinds] if isinstance(kinds, str) else list(kinds)
    if kinds == "array":
        return {**shape, "type": ["array", "null"]}
    optional = {**shape, "type": [*given, *(["string"] if "string" not in given else []), "null"]}
    if "enum" in shape:
        optional["enum"] = [*shape["enum"], "", None]
    if "pattern" in shape:
        optional["pattern"] = f"^(?:{shape['pattern'][1:-1]})?$"
    elif "enum" not in shape and "string" not in given:
        optional["pattern"] = "^$"
    optional.pop("minLength", None)
    return optional


def _number(below: int, pattern: str, **least: Any) -> Shape:
    return {"type": ["number", "string"], **least, "exclusiveMaximum": below, "pattern": f"^{pattern}$"}


_INBOUND: Final[dict[str, Callable[[], Shape]]] = {
    "key": lambda: {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": f"^{_KEY}$"},
    "keys": lambda: {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": f"^{_KEY}$"},
        "minItems": 1,
        "maxItems": KEYS_MAX,
    },
    "text": lambda: {"type": "string", "maxLength": TEXT_LENGTH_MAX, "pattern": f"^[^{_CONTROL}]*$"},
    "time": lambda: {"type": "string", "pattern": f"^{_TIME}$", "examples": ["2026-03-01T09:30:00+01:00"]},
    "amount": lambda: _number(AMOUNT_BELOW, rf"\+?{_MONEY}", minimum=0),
    "amount_above_zero": lambda: _number(AMOUNT_BELOW, rf"\+?{_SOME}{_MONEY}", exclusiveMinimum=0),
    "units": lambda: _number(QUANTITY_BELOW, rf"\+?{_SOME}{_UNITS}", exclusiveMinimum=0),
    "counted_units": lambda: _number(QUANTITY_BELOW, rf"\+?{_UNITS}", minimum=0),
    "delta_units": lambda: {
        **_number(QUANTITY_BELOW, rf"[+-]?{_SOME}{_UNITS}", exclusiveMinimum=-QUANTITY_BELOW),
        "not": {"const": 0},
    },
    "line_no": lambda: {
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": LINE_NO_MAX,
        "pattern": r"^\+?0{0,5}[1-9][0-9]{0,8}(?:\.0{1,9})?$",
    },
    "version": lambda: {
        "type": ["integer", "string"],
        "minimum": 0,
        "maximum": VERSION_MAX,
        "pattern": "^[0-9]{1,18}$",
    },
    "country": lambda: {"type": "string", "pattern": "^[A-Za-z]{2}$", "examples": ["US"]},
    "currency": lambda: {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["USD"]},
    "latitude": lambda: _degrees(90),
    "longitude": lambda: _degrees(180),
    "flag": lambda: {"type": ["boolean", "string"], "pattern": "^(?:true|false)$"},
    "assignment": lambda: {
        "type": "string",
        "minLength": 3,
        "maxLength": KEY_LENGTH_MAX,
        "pattern": rf"^[^{_CONTROL}{_BLANK}][^{_CONTROL}]*/(?=[0-9]{{1,9}}$)0*[1-9][0-9]*$",
        "examples": ["webshop:10001/1"],
    },
    "assignment_or_number": lambda: {
        "type": ["string", "integer"],
        "minimum": 1,
        "maximum": LINE_NO_MAX,
        "maxLength": KEY_LENGTH_MAX,
        "pattern": rf"^(?:[^{_CONTROL}{_BLANK}][^{_CONTROL}]*/(?=[0-9]{{1,9}}$))?0*[1-9][0-9]{{0,8}}$",
        "examples": ["webshop:10001/1", 1],
    },
}


def _degrees(most: int) -> Shape:
    return {"type": ["number", "string"], "minimum": -most, "maximum": most, "pattern": f"^{_DEGREES}$"}


_DECIMAL: Final = r"^-?[0-9]+(?:\.[0-9]+)?$"
_OUTBOUND: Final[dict[str, Shape]] = {
    "key": {"type": "string"},
    "text": {"type": "string"},
    "time": {"type": "string", "format": "date-time"},
    "amount": {"type": "string", "pattern": _DECIMAL, "examples": ["19.99"]},
    "units": {"type": ["integer", "string"], "pattern": _DECIMAL, "examples": [2, "1.5"]},
    "line_no": {"type": "integer", "minimum": 1},
    "number": {"type": "integer"},
    "degrees": {"type": "number"},
    "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "flag": {"type": "boolean"},
    "receipt": {"type": ["object", "null"]},
}
