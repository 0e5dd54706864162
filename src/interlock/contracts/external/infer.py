"""A contract drafted from samples of documents: types widened over all of them, required is what every sample has.

    draft = infer([(kind, data), ...])
    draft.contract        # as YAML and `read_contract` take it; every sample passes it
    draft.notes           # what was ambiguous, for the person who finishes the draft

A draft says what was seen, not what was agreed: notes name the guesses. Rows become columns (infer_tables), messages of X12 and
EDIFACT segments (infer_segments), all else a JSON Schema.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from interlock.contracts.external.drift import shown
from interlock.contracts.external.infer_segments import SegmentsSeen
from interlock.contracts.external.infer_tables import ColumnsSeen
from interlock.contracts.external.trees import TreeCheck, compiled

Form = Literal["schema", "columns", "segments"]
NOTES_MAX: Final = 60
FEW: Final = 10
LEVELS_MAX: Final = 26  # of YAML, which an estate reads 32 of
WORDS_MAX: Final = 12
WORDS_KEPT_MAX: Final = 200
SAMPLES_PER_WORD: Final = 4
SAMPLES_FOR_WORDS: Final = 12
KEYS_MAX: Final = 60
LENGTHS: Final = (10, 20, 40, 80, 160, 255, 500, 1000, 2000, 4000, 10_000, 100_000, 1_000_000)
_FORMATS: Final = ("date-time", "date", "uuid", "email", "uri")
_LIKE: Final = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d.*"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}"),
    "email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "uri": re.compile(r"[a-z][a-z0-9+.-]*://\S+"),
}
_DECIMAL_PATTERN: Final = r"^-?[0-9]+([.][0-9]+)?$"
_DECIMAL: Final = re.compile(_DECIMAL_PATTERN.replace("$", r"\Z"))
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]{0,39}")
_KEY: Final = re.compile(r"\S.{0,99}", re.DOTALL)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A drafted contract, how many samples it was made of, and what a person should look at."""

    contract: dict[str, Any]
    samples: int
    notes: tuple[str, ...]


def infer(documents: Iterable[tuple[str, Any]], name: str, form: Form, *, by_kind: bool, version: str = "1") -> Draft:
    """A contract that all of the documents fit. `by_kind`: whether documents of different kinds are described apart.

    Raises ValueError where there is no document, or one that no contract can describe.
    """
    seen: dict[str, _Value | ColumnsSeen | SegmentsSeen] = {}
    samples: Counter[str] = Counter()
    for kind, data in documents:
        kind = kind if by_kind else ""
        if kind not in seen:
            seen[kind] = ColumnsSeen() if form == "columns" else SegmentsSeen() if form == "segments" else _Value()
        seen[kind].add(data)
        samples[kind] += 1
    if not samples:
        raise ValueError("there is no document among the samples")
    notes: list[str] = []
    few: list[str] = []
    versions = []
    for kind in sorted(seen):
        entry: dict[str, Any] = {"version": version}
        if len(seen) > 1:
            entry["kind"] = kind
        mine: list[str] = []
        entry[form] = _described(seen[kind], mine)
        versions.append(entry)
        notes += [f"{kind}: {note}" if len(seen) > 1 else note for note in mine]
        if samples[kind] < FEW:
            few.append(f"{samples[kind]} of {kind}" if len(seen) > 1 else str(samples[kind]))
    if few:
        notes.insert(
            0, f"few samples ({', '.join(few)}): what is required, and what may be, is little more than a guess"
        )
    if len(notes) > NOTES_MAX:
        notes = [*notes[:NOTES_MAX], f"and {len(notes) - NOTES_MAX} more notes"]
    contract = {
        "name": name,
        "about": f"Drafted from {sum(samples.values())} samples; to be finished by hand.",
        "policy": {"unknown_field": "warn"},
        "versions": versions,
    }
    return Draft(contract=contract, samples=sum(samples.values()), notes=tuple(notes))


def _described(seen: _Value | ColumnsSeen | SegmentsSeen, notes: list[str]) -> Any:
    if not isinstance(seen, _Value):
        return seen.described(notes)
    schema = seen.schema("", 4, notes)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    TreeCheck(whole, unknown_fields=True)
    return whole


class _Value:
    """All values that were seen at one place."""

    __slots__ = (
        "empty_texts",
        "entries",
        "formats",
        "is_decimal",
        "keys",
        "length_max",
        "lists",
        "points",
        "types",
        "words",
    )

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.keys: dict[str, _Value] = {}
        self.entries: _Value | None = None
        self.words: Counter[str] = Counter()
        self.formats = set(_FORMATS)
        self.is_decimal = True
        self.points = 0
        self.empty_texts = 0
        self.length_max = 0
        self.lists = 0

    def add(self, value: Any) -> None:
        """One more. Raises ValueError for what no JSON Schema describes."""
        if isinstance(value, str):
            self._add_text(value)
        elif value is None:
            self.types["null"] += 1
        elif isinstance(value, bool):
            self.types["boolean"] += 1
        elif isinstance(value, dict):
            self.types["object"] += 1
            for key, each in value.items():
                if not isinstance(key, str):
                    raise ValueError(f"a name is {shown(key)}, and not text")
                if not key.isascii():
                    _refuse_surrogates(key)
                (self.keys.get(key) or self.keys.setdefault(key, _Value())).add(each)
        elif isinstance(value, list | tuple):
            self.types["array"] += 1
            if self.entries is None:
                self.entries = _Value()
            for each in value:
                self.entries.add(each)
        elif isinstance(value, int):
            self.types["integer"] += 1
        elif hasattr(value, "as_tuple") or isinstance(value, float):  # a Decimal
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(f"{value} is no number")
            self.types["number"] += 1
        else:
            self._add_text(str(value))

    def _add_text(self, text: str) -> None:
        _refuse_surrogates(text)
        self.types["string"] += 1
        self.length_max = max(self.length_max, len(text))
        if not text.strip():
            self.empty_texts += 1
        if self.formats:
            self.formats = {each for each in self.formats if _LIKE[each].fullmatch(text) and _holds(each, text)}
        if self.is_decimal:
            self.is_decimal = _DECIMAL.match(text) is not None
            self.points += "." in text
        if len(self.words) < WORDS_KEPT_MAX:
            self.words[text[:100]] += 1

    def schema(self, path: str, level: int, notes: list[str]) -> dict[str, Any]:
        """What was seen as a JSON Schema; `level` is how deep in YAML it stands."""
        where = path or "the document"
        if level > LEVELS_MAX:
            notes.append(f"{where}: below it is nested too deeply to be described; anything may stand there")
            return {}
        types = set(self.types)
        if "number" in types:
            types.discard("integer")
        if not types:
            notes.append(f"{where}: only empty lists were seen; anything may stand in them")
            return {}
        made: dict[str, Any] = {"type": _one(sorted(types))}
        if types == {"null"}:
            notes.append(f"{where}: only null was seen; anything may stand there")
            return {}
        if len(types - {"null"}) > 1:
            counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.types.items()))
            notes.append(f"{where}: several types ({counts}); is that agreed?")
        if "string" in types:
            self._text(made, where, types, notes)
        if "array" in types:
            below = self.entries.schema(f"{path}[]", level + 1, notes) if self.entries else {}
            if below:
                made["items"] = below
        if "object" in types:
            self._object(made, path, level, notes)
        return made

    def _object(self, made: dict[str, Any], path: str, level: int, notes: list[str]) -> None:
        objects = self.types["object"]
        odd = [key for key in self.keys if not _KEY.fullmatch(key)]
        common = [key for key, each in self.keys.items() if each.count() * 2 > objects]
        if odd or (len(self.keys) > KEYS_MAX and len(common) < len(self.keys) / 10):
            notes.append(
                f"{path or 'the document'}: {len(self.keys)} different names; taken for a table from names to values"
            )
            below = _Value()
            for each in self.keys.values():
                below.merge(each)
            made["additionalProperties"] = below.schema(f"{path}.*", level + 1, notes) or True
            return
        made["properties"] = {
            key: each.schema(f"{path}.{key}" if path else key, level + 2, notes) for key, each in self.keys.items()
        }
        required = [key for key, each in self.keys.items() if each.count() == objects]
        if required:
            made["required"] = required
        rare = [key for key, each in self.keys.items() if objects >= 10 and each.count() * 10 <= objects]
        if rare:
            notes.append(f"{path or 'the document'}: seldom there: {', '.join(rare[:8])}")

    def _text(self, made: dict[str, Any], where: str, types: set[str], notes: list[str]) -> None:
        texts = self.types["string"]
        form = next((each for each in _FORMATS if each in self.formats), None)
        if form is not None:
            made["format"] = form
            return
        if self.is_decimal and self.points and "number" not in types and "integer" not in types:
            made["pattern"] = _DECIMAL_PATTERN
            notes.append(f"{where}: a decimal number as text, in {texts} samples")
            return
        words = self.words
        if (
            types <= {"string", "null"}
            and 2 <= len(words) <= WORDS_MAX
            and texts >= max(SAMPLES_FOR_WORDS, SAMPLES_PER_WORD * len(words))
            and all(_WORD.fullmatch(word) for word in words)
            and self.length_max <= 40
        ):
            made["enum"] = [*sorted(words), *([None] if "null" in types else [])]
            notes.append(
                f"{where}: {len(words)} words in {texts} samples ({', '.join(sorted(words)[:6])}); are there others?"
            )
            return
        made["maxLength"] = next((length for length in LENGTHS if length >= 2 * self.length_max), 2 * self.length_max)
        if self.empty_texts and self.empty_texts < texts:
            notes.append(f"{where}: sometimes empty text; does that mean that it is missing?")

    def count(self) -> int:
        """How often there was a value."""
        return self.types.total()

    def merge(self, other: _Value) -> None:
        """Take in what was seen at another place."""
        self.types.update(other.types)
        self.formats &= other.formats if other.types["string"] else self.formats
        self.is_decimal = self.is_decimal and (other.is_decimal or not other.types["string"])
        self.points += other.points
        self.empty_texts += other.empty_texts
        self.length_max = max(self.length_max, other.length_max)
        self.words.update(other.words)
        for key, each in other.keys.items():
            self.keys.setdefault(key, _Value()).merge(each)
        if other.entries is not None:
            self.entries = self.entries or _Value()
            self.entries.merge(other.entries)


_HOLDS: Final[dict[str, Any]] = {}


def _holds(form: str, text: str) -> bool:
    """Whether the text is of the format, as those who check it will ask."""
    if form not in _HOLDS:
        _HOLDS[form] = compiled({"format": form})
    return bool(_HOLDS[form].is_valid(text))


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"a text holds a lone surrogate: {ascii(text)[:80]}") from None


def _one(types: list[str]) -> str | list[str]:
    return types[0] if len(types) == 1 else types
