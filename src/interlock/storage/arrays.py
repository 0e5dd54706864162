"""Arrays for set-based SQL, bound as binary PostgreSQL arrays at a few dozen nanoseconds an element.

Everything that storage writes travels as `unnest(%(keys)s, %(quantities)s, ...)`. Wrap each column:

    tx.execute(q.insert_many, keys=Texts(keys), quantities=Ints(quantities), at=Times(times))

    Texts  text[]        SmallInts  smallint[]    Ints  integer[]    BigInts  bigint[]    Numerics  numeric[]
    Times  timestamptz[] Bytes      bytea[]       Uuids uuid[]       Bools    boolean[]   Jsons     json[]

Every array takes None for a null. A value that PostgreSQL could not keep exactly raises `UnstorableValue`.

Why not the driver's own lists: it finds and calls a dumper for each element, in Python. Here a column is one
`b"".join`; numbers, which are few and come again and again, are encoded once with their length in front.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, ClassVar, Final, Generic, TypeVar

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from interlock.domain.errors import InvalidValue

T = TypeVar("T")

CACHED_VALUES_MAX: Final = 100_000
CACHED_BYTES_MAX: Final = 64
NUMERIC_INTEGER_DIGITS_MAX: Final = 131_072
NUMERIC_FRACTION_DIGITS_MAX: Final = 16_383


class UnstorableValue(InvalidValue):
    """A value of an array cannot be written to its PostgreSQL type without changing it."""

    def __init__(self, array: str, value: object, expected: str) -> None:
        super().__init__(array, value, f"{expected}, or None")


class Array(Generic[T]):
    """One column of values. A subclass says the PostgreSQL type and how its elements are encoded."""

    __slots__ = ("values",)

    array_oid: ClassVar[int]
    element_oid: ClassVar[int]

    def __init__(self, values: Iterable[T | None]) -> None:
        self.values: Sequence[T | None] = values if isinstance(values, (list, tuple)) else list(values)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.values!r})"

    def elements(self) -> bytes:
        """All elements, each with its length in front; -1 is the length of a null."""
        raise AssertionError(f"{type(self).__name__} does not say how it encodes its elements")

    def dump(self) -> bytes:
        """The binary form of a one-dimensional array from index 1; without elements it has no dimension."""
        if not self.values:
            return _EMPTY.pack(0, 0, self.element_oid)
        has_null = None in self.values
        return _HEADER.pack(1, has_null, self.element_oid, len(self.values), 1) + self.elements()


class Texts(Array[str]):
    """text[]; refuses U+0000 and lone surrogates, which PostgreSQL's UTF-8 cannot hold."""

    __slots__ = ()
    array_oid, element_oid = 1009, 25

    def elements(self) -> bytes:
        # Not from a cache: keys are new more often than not, and a miss costs several plain encodings.
        try:
            texts = [value for value in self.values if value is not None]
            if "\0" in "".join(texts):
                raise ValueError
            if len(texts) == len(self.values):
                return _with_lengths(list(map(str.encode, texts)))
            return b"".join(
                [
                    _NULL if value is None else _LENGTHS[len(encoded := value.encode())] + encoded
                    for value in self.values
                ]
            )
        except (TypeError, ValueError):
            wrong = next(value for value in self.values if not _is_text(value))
            raise UnstorableValue("Texts", wrong, "a str without U+0000 and lone surrogates") from None


class SmallInts(Array[int]):
    """smallint[]."""

    __slots__ = ()
    array_oid, element_oid = 1005, 21

    def elements(self) -> bytes:
        return _SMALL_INTS.encode_all(self.values)


class Ints(Array[int]):
    """integer[]."""

    __slots__ = ()
    array_oid, element_oid = 1007, 23

    def elements(self) -> bytes:
        return _INTS.encode_all(self.values)


class BigInts(Array[int]):
    """bigint[]."""

    __slots__ = ()
    array_oid, element_oid = 1016, 20

    def elements(self) -> bytes:
        return _BIG_INTS.encode_all(self.values)


class Numerics(Array[int | Decimal]):
    """numeric[], digit for digit and with the scale of the value: Decimal("1.10") comes back as "1.10"."""

    __slots__ = ()
    array_oid, element_oid = 1231, 1700

    def elements(self) -> bytes:
        types = set(map(type, self.values))
        if types == _INT_ALONE:
            return _WHOLE_NUMERICS.encode_all(self.values)
        if not types <= _NUMERIC_TYPES:
            wrong = next(value for value in self.values if type(value) not in _NUMERIC_TYPES)
            raise UnstorableValue("Numerics", wrong, "an int or a Decimal")
        # By its text: Decimal("1.1") and Decimal("1.10") are equal, and one entry for both would lose a
        # scale.
        return _NUMERICS.encode_all(map(str, self.values))


class Times(Array[datetime]):
    """timestamptz[] of aware datetimes, to the microsecond."""

    __slots__ = ()
    array_oid, element_oid = 1185, 1184

    def elements(self) -> bytes:
        cached = _UTC_TIMES
        # Only UTC goes through the cache: where clocks are set back, two instants are equal.
        try:
            return b"".join(
                [
                    cached[value] if value is None or value.tzinfo is UTC else _encode_time(value)
                    for value in self.values
                ]
            )
        except AttributeError:
            wrong = next(value for value in self.values if not isinstance(value, datetime | None))
            raise UnstorableValue("Times", wrong, "an aware datetime") from None


class Bytes(Array[bytes]):
    """bytea[]."""

    __slots__ = ()
    array_oid, element_oid = 1001, 17

    def elements(self) -> bytes:
        if not set(map(type, self.values)) <= _BYTES_TYPES:
            wrong = next(value for value in self.values if type(value) not in _BYTES_TYPES)
            raise UnstorableValue("Bytes", wrong, "bytes")
        if None in self.values:
            return b"".join([_NULL if value is None else _LENGTHS[len(value)] + value for value in self.values])
        return _with_lengths(self.values)  # type: ignore[arg-type]  # no null among them, as just seen


class Uuids(Array[uuid.UUID]):
    """uuid[]."""

    __slots__ = ()
    array_oid, element_oid = 2951, 2950

    def elements(self) -> bytes:
        try:
            return b"".join([_NULL if value is None else _LENGTH_16 + value.int.to_bytes(16) for value in self.values])
        except (AttributeError, TypeError):
            wrong = next(value for value in self.values if not isinstance(value, uuid.UUID | None))
            raise UnstorableValue("Uuids", wrong, "a UUID") from None


class Bools(Array[bool]):
    """boolean[]."""

    __slots__ = ()
    array_oid, element_oid = 1000, 16

    def elements(self) -> bytes:
        return _BOOLS.encode_all(self.values)


class Jsons(Array[bytes]):
    """json[] of JSON documents that are already encoded; the server refuses what is not JSON."""

    __slots__ = ()
    array_oid, element_oid = 199, 114

    def elements(self) -> bytes:
        try:
            return b"".join([_NULL if value is None else _LENGTHS[len(value)] + value for value in self.values])
        except TypeError:
            wrong = next(value for value in self.values if not isinstance(value, bytes | None))
            raise UnstorableValue("Jsons", wrong, "an encoded JSON document as bytes") from None


class _Encoded(dict[Any, bytes]):
    """Values and their encoded form; one that is missing is encoded, and kept while there is room."""

    def __init__(self, array: str, expected: str, encode: Callable[[Any], bytes]) -> None:
        super().__init__()
        self._array, self._expected, self._encode = array, expected, encode

    def encode_all(self, values: Iterable[Any]) -> bytes:
        try:
            return b"".join(map(self.__getitem__, values))
        except TypeError as error:  # not hashable: a list, a dict
            raise UnstorableValue(self._array, values, f"{self._expected} for each element") from error

    def __missing__(self, value: Hashable) -> bytes:
        try:
            encoded = self._encode(value)
        except UnstorableValue:
            raise
        except (AttributeError, TypeError, ValueError, ArithmeticError, struct.error):
            raise UnstorableValue(self._array, value, self._expected) from None
        if len(encoded) <= CACHED_BYTES_MAX:
            if len(self) >= CACHED_VALUES_MAX:
                self.clear()
            self[value] = encoded
        return encoded


_EMPTY: Final = struct.Struct("!iiI")
_HEADER: Final = struct.Struct("!iiIii")
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_LENGTH_16: Final = _LENGTH.pack(16)
_NUMERIC_TYPES: Final = {int, Decimal, type(None)}
_INT_ALONE: Final = {int}
_BYTES_TYPES: Final = {bytes, type(None)}
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DAY_US: Final = 86_400_000_000


def _is_text(value: object) -> bool:
    try:
        return value is None or (isinstance(value, str) and b"\0" not in value.encode())
    except UnicodeEncodeError:
        return False


def _with_lengths(values: Sequence[bytes]) -> bytes:
    return b"".join(chain.from_iterable(zip(map(_LENGTHS.__getitem__, map(len, values)), values, strict=True)))


def _integer_encoder(layout: str) -> Callable[[int | None], bytes]:
    packed = struct.Struct(layout)
    width = packed.size - 4

    def encode(value: int | None) -> bytes:
        return _NULL if value is None else packed.pack(width, value)

    return encode


def _encode_bool(value: bool | None) -> bytes:
    if value is None:
        return _NULL
    if value is not True and value is not False:
        raise TypeError
    return _LENGTH.pack(1) + (b"\x01" if value else b"\x00")


def _encode_time(value: datetime | None) -> bytes:
    if value is None:
        return _NULL
    try:
        since: timedelta = value - _EPOCH
    except TypeError:
        raise UnstorableValue("Times", value, "an aware datetime (one with a time zone)") from None
    return _TIME.pack(8, since.days * _DAY_US + since.seconds * 1_000_000 + since.microseconds)


_TIME: Final = struct.Struct("!iq")


def _encode_numeric(text: str) -> bytes:
    """PostgreSQL's numeric: digits to the base 10,000, the weight of the first, the sign, the scale shown."""
    if text == "None":
        return _NULL
    sign, digits, exponent = Decimal(text).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("NaN and Infinity are no quantities and no money")
    scale = max(0, -exponent)
    if scale > NUMERIC_FRACTION_DIGITS_MAX or len(digits) + exponent > NUMERIC_INTEGER_DIGITS_MAX:
        raise ValueError
    decimals = "".join(map(str, digits)) + "0" * max(0, exponent)
    decimals = decimals.rjust(scale + 1, "0")
    whole, fraction = decimals[: len(decimals) - scale], decimals[len(decimals) - scale :]
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-scale // 4) * 4, "0")
    groups = [int(decimals[i : i + 4]) for decimals in (whole, fraction) for i in range(0, len(decimals), 4)]
    weight = len(whole) // 4 - 1
    first, last = 0, len(groups)
    while first < last and groups[first] == 0:
        first += 1
    while last > first and groups[last - 1] == 0:
        last -= 1
    kept = groups[first:last]
    if not kept:  # zero has no weight and no sign, only a scale
        return struct.pack("!iHhHH", 8, 0, 0, 0, scale)
    return struct.pack(
        f"!iHhHH{len(kept)}H",
        8 + 2 * len(kept),
        len(kept),
        weight - first,
        0x4000 if sign else 0,
        scale,
        *kept,
    )


_SMALL_INTS: Final = _Encoded("SmallInts", "an int from -32768 to 32767", _integer_encoder("!ih"))
_INTS: Final = _Encoded("Ints", "an int from -2147483648 to 2147483647", _integer_encoder("!ii"))
_BIG_INTS: Final = _Encoded("BigInts", "an int from -2**63 to 2**63 - 1", _integer_encoder("!iq"))
_NUMERICS: Final = _Encoded(
    "Numerics",
    f"a finite int or Decimal of at most {NUMERIC_INTEGER_DIGITS_MAX} digits before and "
    f"{NUMERIC_FRACTION_DIGITS_MAX} after the point",
    _encode_numeric,
)
_WHOLE_NUMERICS: Final = _Encoded(
    "Numerics", f"an int of at most {NUMERIC_INTEGER_DIGITS_MAX} digits", lambda value: _encode_numeric(str(value))
)
_UTC_TIMES: Final = _Encoded("Times", "an aware datetime", _encode_time)
_BOOLS: Final = _Encoded("Bools", "True or False", _encode_bool)
_LENGTHS: Final = _Encoded("Bytes", "bytes", _LENGTH.pack)


def _register(array: type[Array[Any]]) -> None:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = array.array_oid

        def dump(self, obj: Array[Any]) -> Buffer | None:
            return obj.dump()

    psycopg.adapters.register_dumper(array, ArrayDumper)


for _array in (Texts, SmallInts, Ints, BigInts, Numerics, Times, Bytes, Uuids, Bools, Jsons):
    _register(_array)
