"""The inside of one schema document: its draft, every schema in it with its place, and what references lead to.

References lead to places in the same document only: by JSON pointer, by anchor, or by an `$id` in it. Nothing is
fetched. The whole document is looked through once, without recursion.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urljoin


class Draft(StrEnum):
    """The drafts of JSON Schema that are understood."""

    D4 = "http://json-schema.org/draft-04/schema"
    D6 = "http://json-schema.org/draft-06/schema"
    D7 = "http://json-schema.org/draft-07/schema"
    D2019 = "https://json-schema.org/draft/2019-09/schema"
    D2020 = "https://json-schema.org/draft/2020-12/schema"


class Unresolved(NamedTuple):
    """A place in a schema that cannot be understood."""

    pointer: str
    found: object
    expected: str


_ONE: Final = frozenset(
    ["additionalProperties", "additionalItems", "contains", "not", "if", "then", "else", "propertyNames",
     "unevaluatedItems", "unevaluatedProperties", "contentSchema", "items"]
)  # fmt: skip
_LISTS: Final = frozenset(["allOf", "anyOf", "oneOf", "prefixItems", "items"])
_MAPS: Final = frozenset(
    ["properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies"]
)
# These are asked of the same value: a circle of them alone never ends.
_IN_PLACE: Final = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")


def escaped(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1") if "~" in name or "/" in name else name


def draft_of(root: Any) -> Draft | None:
    """The draft that a document declares, or what its keywords tell; None where it declares one that is not known.

    Without `$schema` it is 2020-12, unless keywords stand in it that only earlier drafts have.
    """
    declared = root.get("$schema") if isinstance(root, dict) else None
    if isinstance(declared, str):
        plain = declared.strip().rstrip("#").replace("https://json-schema.org/draft-", "http://json-schema.org/draft-")
        plain = plain.replace("http://json-schema.org/draft/", "https://json-schema.org/draft/")
        return next((draft for draft in Draft if draft == plain), None)
    draft = Draft.D2020
    for schema, _ in schemas_in(root):
        if isinstance(schema.get("exclusiveMinimum"), bool) or isinstance(schema.get("exclusiveMaximum"), bool):
            return Draft.D4
        if "additionalItems" in schema or isinstance(schema.get("items"), list):
            draft = Draft.D7
    return draft


def schemas_in(root: Any, place: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Every schema object of a document with its JSON pointer, outer ones first; `place` is where the root stands."""
    waiting: list[tuple[Any, str]] = [(root, place)]
    while waiting:
        schema, pointer = waiting.pop()
        if isinstance(schema, dict):
            yield schema, pointer
            inner = list(_inside(schema, pointer))
            waiting += reversed(inner)


def _inside(schema: dict[str, Any], pointer: str) -> Iterator[tuple[Any, str]]:
    for keyword, value in schema.items():
        if isinstance(value, dict):
            if keyword in _ONE:
                yield value, f"{pointer}/{keyword}"
            elif keyword in _MAPS:
                for name, each in value.items():
                    yield each, f"{pointer}/{keyword}/{escaped(name)}"
        elif isinstance(value, list) and keyword in _LISTS:
            for index, each in enumerate(value):
                yield each, f"{pointer}/{keyword}/{index}"


_Referring = tuple[dict[str, Any], str, str]


class References:
    """What the references of a document lead to. `problems` are those that lead nowhere, or in a circle.

    `elsewhere` are schemas, with their pointers, that stand where no keyword has any, and that a reference leads to.
    """

    def __init__(self, root: Any, draft: Draft) -> None:
        self.root = root
        self.draft = draft
        self.problems: list[Unresolved] = []
        self._resources: dict[str, Any] = {"": root}
        self._anchors: dict[tuple[str, str], Any] = {}
        self._targets: dict[int, Any] = {}
        self._indexed: set[int] = set()
        self.elsewhere: list[tuple[dict[str, Any], str]] = []
        referring = self._index(root, "", "")
        while referring:
            referring += self._follow(*referring.pop())
        self.problems.reverse()
        if not self.problems:
            self._refuse_circles()

    def target(self, schema: dict[str, Any]) -> Any | None:
        """The schema that this one refers to, or None."""
        return self._targets.get(id(schema))

    def _index(self, root: Any, place: str, base: str) -> list[_Referring]:
        """Note every id and anchor inside; the schemas that refer to others, each with its pointer and base address."""
        word = "id" if self.draft is Draft.D4 else "$id"
        referring: list[_Referring] = []
        waiting: list[tuple[Any, str, str]] = [(root, place, base)]
        while waiting:
            schema, pointer, base = waiting.pop()
            if not isinstance(schema, dict) or id(schema) in self._indexed:
                continue
            self._indexed.add(id(schema))
            name = schema.get(word)
            if isinstance(name, str):
                if name.startswith("#"):
                    self._anchors[base, name[1:]] = schema
                else:
                    base = _joined(base, name)
                    base = base.partition("#")[0]
                    self._resources.setdefault(base, schema)
            for anchor in ("$anchor", "$dynamicAnchor"):
                if isinstance(schema.get(anchor), str):
                    self._anchors.setdefault((base, schema[anchor]), schema)
            if any(isinstance(schema.get(each), str) for each in _REFERENCES):
                referring.append((schema, pointer, base))
            waiting += [(each, at, base) for each, at in _inside(schema, pointer)]
        return referring

    def _follow(self, schema: dict[str, Any], pointer: str, base: str) -> list[_Referring]:
        """Note what a schema refers to; the further schemas that refer to others, where that had not been seen."""
        keyword = next(each for each in _REFERENCES if isinstance(schema.get(each), str))
        reference = schema[keyword]
        place = f"{pointer}/{keyword}"
        address, _, fragment = _joined(base, reference).partition("#")
        if address not in self._resources:
            expected = "a reference into this file: nothing is fetched"
            self.problems.append(Unresolved(place, reference, expected))
            return []
        fragment = unquote(fragment)
        found = self._at(self._resources[address], address, fragment)
        if not isinstance(found, dict | bool):
            self.problems.append(Unresolved(place, reference, "a reference to a schema that is there"))
            return []
        self._targets[id(schema)] = found
        if isinstance(found, bool) or id(found) in self._indexed:
            return []
        self.elsewhere.append((found, fragment))
        return self._index(found, fragment, address)

    def _at(self, resource: Any, address: str, fragment: str) -> Any:
        if not fragment:
            return resource
        if not fragment.startswith("/"):
            return self._anchors.get((address, fragment))
        found = resource
        for step in fragment[1:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdecimal() and len(step) < 9 and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found

    def _refuse_circles(self) -> None:
        """Note each schema that asks itself about the same value again, without a step into the data."""
        everywhere = [each for root, place in [(self.root, ""), *self.elsewhere] for each in schemas_in(root, place)]
        places = {id(schema): pointer for schema, pointer in everywhere}
        done: set[int] = set()
        for schema, pointer in everywhere:
            if id(schema) in done:
                continue
            path = {id(schema)}
            stack = [(schema, iter(self._same_value(schema)))]
            while stack:
                current, following = stack[-1]
                after = next(following, None)
                if after is None:
                    stack.pop()
                    path.discard(id(current))
                    done.add(id(current))
                elif id(after) in path:
                    place = places.get(id(after), pointer)
                    expected = "a recursion that steps into properties or items, so that it ends with the data"
                    self.problems.append(Unresolved(place, "asks itself again and again", expected))
                    done.update(path)
                    break
                elif id(after) not in done:
                    path.add(id(after))
                    stack.append((after, iter(self._same_value(after))))

    def _same_value(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """The schemas that a schema asks about the same value."""
        found: list[Any] = []
        target = self.target(schema)
        if target is not None:
            found.append(target)
            if self.draft in (Draft.D4, Draft.D6, Draft.D7):
                return [each for each in found if isinstance(each, dict)]
        for keyword in _IN_PLACE:
            value = schema.get(keyword)
            if isinstance(value, list):
                found += value
            elif isinstance(value, dict):
                found += value.values() if keyword in _MAPS else [value]
        return [each for each in found if isinstance(each, dict)]


def _joined(base: str, reference: str) -> str:
    """The address of a reference; `urn:` bases, that urljoin does not know, take a fragment as well."""
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference
