"""Reading the fields of one record: each value checked and brought to its one canonical form, each mistake
noted.

A `Form` is one JSON object (or what a file's rows were made into). Its methods take a field's name and give
the canonical value; what is wrong goes to the list of mistakes that all forms of a record share, and reading
goes on, so that a sender sees every mistake at once. What a method gives after a mistake must not be used:
the record is refused.

Canonical forms, so that equal payloads hash equally: "9.990", "9.99" and 9.99 are one amount; "2", 2 and 2.0
are one quantity; times are in UTC with the source's zone beside them; a field that is null or "" was not
given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

from interlock.connectors.mapping_errors import show, suggestion
from interlock.connectors.mapping_sender import Sender
from interlock.domain import values
from interlock.domain.decision import FieldError
from interlock.domain.errors import InvalidValue
from interlock.domain.values import EACH, NodeId, OrderId, Quantity, Sku

ANY_UNIT: Final = ""
"""Stands for the unit of measure where the record does not say it: the order's line knows."""

TEXT_LENGTH_MAX: Final = 500
LINES_MAX: Final = 10_000
LINE_NO_MAX: Final = 2**31 - 1
VERSION_MAX: Final = 2**63 - 1
"""What the database can count to."""
CACHED_MAX: Final = 50_000
YEAR_MIN, YEAR_MAX = 1970, 2200

# Never more than the 28 digits with which Python calculates, so that nothing is rounded unseen.
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,16}(?:\.[0-9]{1,12})?(?:[eE][+-]?[0-9]{1,3})?")
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,15}(?:\.0{1,9})?")
_VERSION: Final = re.compile(r"[0-9]{1,19}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")

W = TypeVar("W", bound=str)


class Form:
    """One object of a record: where it stands, what it may hold, and the mistakes found so far."""

    __slots__ = ("errors", "local_times", "path", "record", "sender")

    def __init__(
        self,
        sender: Sender,
        record: Mapping[str, object],
        allowed: frozenset[str],
        errors: list[FieldError],
        path: str = "",
        local_times: bool = False,
    ) -> None:
        self.sender = sender
        self.record = record
        self.errors = errors
        self.path = path
        self.local_times = local_times
        if not record.keys() <= allowed:
            self._name_unknown_fields(allowed)

    # What goes wrong

    def wrong(self, name: str, expected: str) -> None:
        """Note a mistake in a field of this form."""
        value = self.record.get(name)
        shown = "" if name not in self.record else show(value)
        self.errors.append(FieldError(self.path + name, shown, expected))

    def missing(self, name: str, expected: str) -> None:
        """Note that a field that must be there is not."""
        self.errors.append(FieldError(self.path + name, "", f"{expected}; it is missing"))

    def _name_unknown_fields(self, allowed: frozenset[str]) -> None:
        for name in self.record.keys() - allowed:
            shown = name if isinstance(name, str) else repr(name)
            self.errors.append(
                FieldError(
                    (self.path + shown)[:TEXT_LENGTH_MAX],
                    show(self.record[name]),
                    f"no field of this name{suggestion(shown, allowed)}; there are {', '.join(sorted(allowed))}",
                )
            )

    def given(self, name: str) -> bool:
        """Whether the field holds something."""
        value = self.record.get(name)
        return value is not None and value != ""

    # Words

    def key(self, name: str, default: str | None = None) -> str:
        """An identifier (see `values.key`); it must be given if there is no default."""
        value = self.record.get(name)
        # Nearly all keys are printable without a blank at either end, and that is cheap to see.
        if type(value) is str and 0 < len(value) <= values.KEY_LENGTH_MAX and value.isprintable():
            if value[0] != " " and value[-1] != " ":
                return value
        elif value is None or value == "":
            if default is not None:
                return default
            if value is None:
                self.missing(name, f"text of 1 to {values.KEY_LENGTH_MAX} characters")
                return ""
        try:
            return values.key(name, value)
        except InvalidValue as error:
            self.wrong(name, error.expected + (", in quotes" if type(value) in (int, Decimal) else ""))
            return ""

    def text(self, name: str) -> str:
        """Free text without outer blanks; "" if it is not given."""
        value = self.record.get(name)
        if value is None or value == "":
            return ""
        if type(value) is not str:
            self.wrong(name, "text, in quotes")
            return ""
        if len(value) > TEXT_LENGTH_MAX or not (value.isprintable() or not _CONTROL.search(value)):
            self.wrong(name, f"text of at most {TEXT_LENGTH_MAX} characters, without control characters")
            return ""
        return value.strip()

    def flag(self, name: str) -> bool:
        """Yes or no; no if it is not given. Files and forms say it as text."""
        value = self.record.get(name)
        if value is None or value == "":
            return False
        if type(value) is bool:
            return value
        if isinstance(value, str) and value in ("true", "false"):
            return value == "true"
        self.wrong(name, "true or false")
        return False

    def one_of(self, name: str, words: Sequence[W], default: W | None = None) -> W:
        """One of the words that the field may hold."""
        value = self.record.get(name)
        if value is None or value == "":
            if default is None:
                self.missing(name, f"one of {', '.join(words)}")
                return words[0]
            return default
        if value not in words:
            self.wrong(name, f"one of {', '.join(words)}{suggestion(value, words)}")
            return words[0]
        # Our own object, not an equal one: a field is left out of the canonical payload if it *is* its default.
        return words[words.index(cast(W, value))]

    def uom(self) -> str:
        """The unit of measure: each, if none is given."""
        uom = self.key("uom", EACH)
        return EACH if uom == EACH else uom

    def sku(self, name: str) -> Sku:
        """Our SKU for the one that the sender names."""
        theirs = self.record.get(name)
        known = self.sender.skus
        if type(theirs) is str and theirs in known:
            return known[theirs]
        before = len(self.errors)
        checked = self.key(name)
        ours = self.sender.estate.sku(self.sender.system.id, checked)
        if len(self.errors) == before:
            if len(known) >= CACHED_MAX:
                known.clear()
            known[checked] = ours
        return ours

    def node(self, name: str) -> NodeId:
        """The node that the sender names, in our words or by an alias of the estate."""
        before = len(self.errors)
        theirs = self.key(name)
        estate, system = self.sender.estate, self.sender.system.id
        ours = estate.node_id(system, theirs)
        if len(self.errors) == before and ours not in estate.nodes:
            known = [*estate.nodes, *estate.node_aliases.get(system, {})]
            self.wrong(name, f"a node of the estate, or an alias of one{suggestion(theirs, known)}")
        return ours

    def channel(self, name: str) -> str:
        """A channel of the estate."""
        known = self.sender.estate.channels
        before = len(self.errors)
        channel = self.key(name)
        if len(self.errors) == before and channel not in known:
            self.wrong(name, f"a channel of the estate{suggestion(channel, known)}")
        return channel

    def currency(self, name: str) -> str:
        """An ISO 4217 code."""
        value = self.record.get(name)
        if value is None or value == "":
            self.missing(name, "an ISO 4217 currency code such as USD")
            return ""
        try:
            return values.currency(name, value)
        except InvalidValue as error:
            self.wrong(name, error.expected)
            return ""

    def country(self, name: str) -> str:
        """An ISO 3166 code, two letters."""
        value = self.record.get(name)
        if type(value) is str and _COUNTRY.fullmatch(value.upper()):
            return value.upper()
        self.wrong(name, "an ISO 3166 country code of two letters, such as US")
        return ""

    # Orders

    def new_order_id(self, name: str) -> tuple[str, OrderId]:
        """The source's own id of a new order, and ours: its scope stands in front."""
        theirs = self.key(name)
        own = self.sender.system.order_scope
        scope, colon, rest = theirs.partition(":")
        if colon and scope == own:
            theirs = rest
            if not rest:
                self.wrong(name, f"a number after the scope {own}:")
        elif colon and scope in self.sender.scopes:
            self.wrong(name, f"the sender's own number of the order: the scope {scope}: is another system's")
        return theirs, values.order_id(own, theirs)

    def order_id(self, name: str) -> OrderId:
        """An order that exists: by its id, or by the number that the sender gave it."""
        return self._scoped(self.key(name))

    def assignment(self, name: str) -> tuple[OrderId, int]:
        """An assignment: the order's id and the assignment's number, as in webshop:10001/1."""
        before = len(self.errors)
        whole = self.key(name)
        order, _, number = whole.rpartition("/")
        if number.isascii() and number.isdigit() and order and 1 <= len(number) <= 9 and int(number) > 0:
            return self._scoped(order), int(number)
        if len(self.errors) == before:
            self.wrong(
                name,
                "an assignment: the order's id, a slash and the assignment's number, as in webshop:10001/1",
            )
        return OrderId(whole), 0

    def _scoped(self, order: str) -> OrderId:
        scope, colon, _ = order.partition(":")
        if colon and scope in self.sender.scopes:
            return OrderId(order)
        return values.order_id(self.sender.system.order_scope, order)

    # Numbers

    def whole(self, name: str, default: int | None = None) -> int:
        """A line's number: whole, from 1."""
        value = self.record.get(name)
        if type(value) is int and 0 < value <= LINE_NO_MAX:
            return value
        if value is None or value == "":
            if default is not None:
                return default
            self.missing(name, "a whole number from 1")
            return 0
        if isinstance(value, str | Decimal) and _WHOLE.fullmatch(str(value)):
            number = int(Decimal(value))
            if 0 < number <= LINE_NO_MAX:
                return number
        self.wrong(name, f"a whole number from 1 to {LINE_NO_MAX}")
        return 0

    def version(self, name: str) -> int | None:
        """The source's own number of this statement: whole, from 0; None if it is not given."""
        value = self.record.get(name)
        if value is None or value == "":
            return None
        told = str(value)
        if not isinstance(value, bool) and _VERSION.fullmatch(told) and int(told) <= VERSION_MAX:
            return int(told)
        self.wrong(name, f"a whole number from 0 to {VERSION_MAX}")
        return None

    def quantity(self, name: str, uom: str, *, zero: bool = False, signed: bool = False) -> Quantity:
        """Units of a SKU: whole for each, and more than nothing unless told otherwise."""
        value = self.record.get(name)
        if type(value) is int and 0 < value < 1_000_000_000:
            return value
        if value is None or value == "":
            self.missing(name, "a quantity")
            return 1
        exact = _decimal(value)
        if exact is None:
            self.wrong(name, "a number of at most 16 digits before and 12 after the point")
            return 1
        if not -values.QUANTITY_MAX < exact < values.QUANTITY_MAX:
            self.wrong(name, f"a number below {values.QUANTITY_MAX:f}")
            return 1
        try:
            checked = values.quantity(name, exact.normalize(), uom, zero=zero, signed=signed)
        except InvalidValue as error:
            expected = error.expected
            if expected == "positive":
                expected = "zero or more" if zero else "more than zero"
            self.wrong(name, expected)
            return 1
        return checked

    def amount(self, name: str, default: Decimal | None = None, *, zero: bool = True) -> Decimal:
        """An amount of money, in its shortest form."""
        value = self.record.get(name)
        if type(value) is str and value in _AMOUNTS and (zero or _AMOUNTS[value]):
            return _AMOUNTS[value]
        if value is None or value == "":
            if default is not None:
                return default
            self.missing(name, "an amount of money")
            return values.ZERO
        exact = _decimal(value)
        if exact is None:
            self.wrong(name, 'an amount of money, such as "19.99"')
            return values.ZERO
        if not -values.AMOUNT_MAX < exact < values.AMOUNT_MAX:
            self.wrong(name, f"an amount of money below {values.AMOUNT_MAX:f}")
            return values.ZERO
        try:
            checked = plain(values.amount(name, exact.normalize(), zero=zero))
        except InvalidValue as error:
            self.wrong(name, error.expected)
            return values.ZERO
        if type(value) is str:
            if len(_AMOUNTS) >= CACHED_MAX:
                _AMOUNTS.clear()
            _AMOUNTS[value] = checked
        return checked

    def degrees(self, name: str, most: int) -> float | None:
        """A coordinate in degrees (WGS 84)."""
        value = self.record.get(name)
        if value is None or value == "":
            return None
        exact = value if type(value) is Decimal else _decimal(value)
        if exact is None or not -most <= exact <= most:
            self.wrong(name, f"degrees from -{most} to {most}")
            return None
        return float(exact)

    # Time

    def time(self, name: str) -> tuple[datetime, str] | None:
        """An instant in UTC, and the zone in which the source said it; None if it is not given.

        The zone is the system's own where the offset agrees with it, else the offset itself ("+02:00").
        """
        value = self.record.get(name)
        if value is None or value == "":
            return None
        try:
            at = value if isinstance(value, datetime) else datetime.fromisoformat(cast(str, value))
        except (TypeError, ValueError):
            self.wrong(name, "a time such as 2026-03-01T09:30:00+01:00")
            return None
        zone = self.sender.zone
        if at.tzinfo is None:
            if not self.local_times:
                self.wrong(name, "a time with an offset from UTC, such as 2026-03-01T09:30:00+01:00 or ...Z")
                return None
            at = at.replace(tzinfo=zone)
        if not YEAR_MIN <= at.year < YEAR_MAX:
            self.wrong(name, f"a time from {YEAR_MIN} to {YEAR_MAX - 1}")
            return None
        utc = at.astimezone(UTC)
        if at.tzinfo is zone or at.replace(tzinfo=zone).utcoffset() == at.utcoffset():
            return utc, self.sender.system.time_zone
        offset = at.strftime("%z")
        return utc, f"{offset[:3]}:{offset[3:5]}" if at.utcoffset() else "UTC"

    # What a record is made of

    def forms(self, name: str, allowed: frozenset[str]) -> list[Form]:
        """The objects of a list, at most 10,000; none if it is not given. A list that is given must hold
        something.
        """
        value = self.record.get(name)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            self.wrong(name, "a list of objects")
            return []
        if not 0 < len(value) <= LINES_MAX:
            self.errors.append(
                FieldError(
                    self.path + name,
                    f"{len(value)} entries",
                    f"1 to {LINES_MAX} entries (leave the field out where all is meant)",
                )
            )
            return []
        found = []
        for place, entry in enumerate(value):
            path = f"{self.path}{name}[{place}]"
            if isinstance(entry, dict):
                found.append(Form(self.sender, entry, allowed, self.errors, path + ".", self.local_times))
            else:
                self.errors.append(FieldError(path, show(entry), "an object"))
        return found

    def form(self, name: str, allowed: frozenset[str]) -> Form | None:
        """The object that the field holds; None if it is not given."""
        value = self.record.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.wrong(name, "an object")
            return None
        return Form(self.sender, value, allowed, self.errors, f"{self.path}{name}.", self.local_times)


_AMOUNTS: Final[dict[str, Decimal]] = {}
"""Amounts that were checked already, by their text: prices come again and again."""


def plain(amount: Decimal) -> Decimal:
    """The same amount without trailing zeros and without an exponent, so that equal amounts look equal."""
    whole = amount.to_integral_value()
    return Decimal(int(whole)) if whole == amount else amount.normalize()


def _decimal(value: Any) -> Decimal | None:
    """The number that a JSON number or text holds; None where it is none. Never NaN, never an absurd
    exponent.
    """
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Decimal | float):
        value = str(value)
    if type(value) is not str or not _NUMBER.fullmatch(value):
        return None
    return Decimal(value)
