"""JSON bytes to one object, with the traps of JSON closed: no key twice, no NaN, no bad UTF-8, no float that
lost digits.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from interlock.connectors.mapping_errors import MappingFailed, show
from interlock.domain.decision import FieldError

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_BLANK_BEFORE_COLON: Final = re.compile(rb"\s:").search
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read_object(body: bytes) -> dict[str, object]:
    """The JSON object that the bytes hold, numbers with a point as Decimal.

    Raises MappingFailed with one error, whose field is "" because no field can be named, or the key that is
    there twice.
    """
    try:
        record = _decode(body)
        if not isinstance(record, dict):
            raise MappingFailed([FieldError("", show(record), "a JSON object")])
        # Each key is followed by a colon, so fewer keys than `":` may mean that one was there twice. Counting
        # costs a twentieth of looking, and it errs only towards looking.
        if body.count(b'":') != _keys(record) or _BLANK_BEFORE_COLON(body):
            _refuse_double_keys(body)
    except UnicodeDecodeError as error:
        at = error.start if error.object == body else _first_bad_byte(body)
        raise _no_json(f"byte {at} is not UTF-8", "JSON in UTF-8") from None
    except RecursionError:
        raise _no_json("nested too deeply", "a JSON object of a few levels") from None
    except msgspec.DecodeError as error:
        if body.startswith(BYTE_ORDER_MARK):
            return read_object(body[len(BYTE_ORDER_MARK) :])
        raise _no_json(str(error), "one JSON object (NaN and Infinity are no JSON)") from None
    return cast(dict[str, object], record)


def _keys(value: Any) -> int:
    """How many keys the objects inside have together."""
    if type(value) is dict:
        count = len(value)
        for each in value.values():
            if type(each) is dict or type(each) is list:
                count += _keys(each)
        return count
    return sum([_keys(each) for each in value if type(each) is dict or type(each) is list])


def _refuse_double_keys(body: bytes) -> None:
    twice: list[FieldError] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for name, value in pairs:
            if name in seen:
                twice.append(FieldError(name, show(value), "a field that is there only once"))
            seen.add(name)

    json.loads(body, object_pairs_hook=note, parse_int=str)
    if twice:
        raise MappingFailed(twice)


def _first_bad_byte(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _no_json(found: str, expected: str) -> MappingFailed:
    return MappingFailed([FieldError("", found, expected)])
