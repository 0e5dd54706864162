"""JSON Schema as a compatibility check sees it: each schema is one shape, or a combination of several.

A schema that says several things at once (`type` and `enum`, `properties` and `anyOf`) is a product of them, as if
they stood in an `allOf`; a list of types is a sum. This is how Confluent's Schema Registry takes schemas apart, and
the kinds of difference follow from it.

Nodes are made when they are asked for, one level at a time and once for each place: a schema that contains itself
needs no end, and a deep one no stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from interlock.contracts.compatibility.resolve import Draft, References

Shape = Literal[
    "any", "never", "string", "number", "boolean", "null", "array", "object",
    "enum", "const", "not", "conditional", "combined",
]  # fmt: skip
Rule = Literal["allOf", "anyOf", "oneOf"]

OLD_DRAFTS: Final = frozenset({Draft.D4, Draft.D6, Draft.D7})
_RULES: Final[tuple[Rule, ...]] = ("allOf", "anyOf", "oneOf")
_SHAPE_OF_TYPE: Final[dict[str, Shape]] = {
    "string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null",
    "array": "array", "object": "object",
}  # fmt: skip

_STRING: Final = ("minLength", "maxLength", "pattern")
_NUMBER: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_ARRAY: Final = ("items", "minItems", "maxItems", "uniqueItems", "contains")
_OBJECT: Final = (
    "properties", "required", "minProperties", "maxProperties", "dependencies", "patternProperties",
    "additionalProperties", "propertyNames",
)  # fmt: skip
_CONDITIONAL: Final = ("if", "then", "else")


def _keywords(draft: Draft) -> dict[Shape, frozenset[str]]:
    """What shape a keyword asks for where the schema names no type."""
    string, array, obj = [*_STRING], [*_ARRAY], [*_OBJECT]
    if draft in OLD_DRAFTS:
        string.append("format")
    if draft is not Draft.D2020:
        array.append("additionalItems")
    if draft not in OLD_DRAFTS:
        array += ["unevaluatedItems"]
        obj += ["dependentRequired", "dependentSchemas", "unevaluatedProperties"]
    if draft is Draft.D2020:
        array.append("prefixItems")
    found: dict[Shape, frozenset[str]] = {
        "array": frozenset(array),
        "object": frozenset(obj),
        "number": frozenset(_NUMBER),
        "string": frozenset(string),
    }
    if draft not in (Draft.D4, Draft.D6):
        found["conditional"] = frozenset(_CONDITIONAL)
    return found


_KEYWORDS: Final = {draft: _keywords(draft) for draft in Draft}


class Node:
    """A schema, or one of the things that it says at once. Nodes are the same only if they are identical.

    `written` tells of a combination whether it stands in the schema as `allOf`, `anyOf` or `oneOf`, or was made here.
    `whole` is false for a part of a schema, which has no title or default of its own.
    """

    __slots__ = ("integer", "members", "model", "raw", "rule", "shape", "whole", "written")

    def __init__(
        self,
        model: Model,
        raw: dict[str, Any],
        shape: Shape,
        *,
        rule: Rule = "allOf",
        members: Sequence[Any] = (),
        integer: bool = False,
        written: bool = False,
        whole: bool = False,
    ) -> None:
        self.model = model
        self.raw = raw
        self.shape = shape
        self.rule = rule
        self.members = members
        self.integer = integer
        self.written = written
        self.whole = whole

    def parts(self) -> list[Node]:
        """What a combination combines."""
        return [each if isinstance(each, Node) else self.model.node(each) for each in self.members]

    def child(self, schema: Any) -> Node:
        """The node of a schema inside of this one."""
        return self.model.node(schema)

    @property
    def draft(self) -> Draft:
        """By which draft the schema is read."""
        return self.model.references.draft


class Model:
    """The nodes of one schema document."""

    def __init__(self, references: References) -> None:
        self.references = references
        self._known: dict[int, Node] = {}
        self._any = Node(self, {}, "any")
        self._never = Node(self, {}, "never")

    def root(self) -> Node:
        """The node of the whole document."""
        return self.node(self.references.root)

    def node(self, schema: Any) -> Node:
        """The node of a schema of this document, references followed."""
        seen: list[int] = []
        while True:
            if schema is True:
                found = self._any
            elif schema is False:
                found = self._never
            else:
                if id(schema) not in self._known:
                    seen.append(id(schema))
                    made = self._made(schema)
                    if isinstance(made, _Elsewhere):
                        schema = made.schema
                        continue
                    self._known[id(schema)] = made
                found = self._known[id(schema)]
            for each in seen:
                self._known[each] = found
            return found

    def _made(self, raw: dict[str, Any]) -> Node | _Elsewhere:
        parts = list(self._said(raw))
        if not parts:
            return Node(self, raw, "any", whole=True)
        if len(parts) > 1:
            return Node(self, raw, "combined", members=parts, whole=True)
        only = parts[0]
        if isinstance(only, Node):
            only.whole = True
            return only
        return _Elsewhere(only)

    def _said(self, raw: dict[str, Any]) -> Iterator[Any]:
        """All that a schema says at once: nodes, and the schemas that it refers to."""
        target = self.references.target(raw)
        if target is not None:
            yield target
            if self.references.draft in OLD_DRAFTS:
                return  # up to draft 7, nothing beside a $ref counts
        if "enum" in raw:
            yield Node(self, raw, "enum")
        for rule in _RULES:
            if rule in raw:
                yield Node(self, raw, "combined", rule=rule, members=raw[rule], written=True)
        if "not" in raw:
            yield Node(self, raw, "not")
        if "const" in raw and self.references.draft is not Draft.D4:
            yield Node(self, raw, "const")
        types = raw.get("type")
        named: set[Shape] = set()
        if isinstance(types, str):
            named = {_SHAPE_OF_TYPE[types]}
            yield self._typed(raw, types)
        elif isinstance(types, list):
            named = {_SHAPE_OF_TYPE[each] for each in types}
            yield Node(self, raw, "combined", rule="anyOf", members=[self._typed(raw, each) for each in types])
        for shape, keywords in _KEYWORDS[self.references.draft].items():
            if shape not in named and not keywords.isdisjoint(raw):
                yield Node(self, raw, shape)

    def _typed(self, raw: dict[str, Any], name: str) -> Node:
        return Node(self, raw, _SHAPE_OF_TYPE[name], integer=name == "integer")


class _Elsewhere:
    """Not a node: the schema is nothing but a reference to this one."""

    __slots__ = ("schema",)

    def __init__(self, schema: Any) -> None:
        self.schema = schema


def described(node: Node) -> str:
    """A schema in a few words, for people."""
    if node.shape == "combined":
        count = len(node.members)
        if node.written and count == 1:
            return "one condition" if node.rule == "allOf" else "one alternative"
        if node.written:
            return f"{count} conditions" if node.rule == "allOf" else f"{node.rule[:3]} of {count} alternatives"
        words = [described(each) if isinstance(each, Node) else "a reference" for each in node.members]
        return (" or " if node.rule == "anyOf" else " and ").join(words)
    if node.shape == "number":
        return "integer" if node.integer else "number"
    return {"any": "anything", "never": "nothing", "conditional": "if/then/else"}.get(node.shape, node.shape)
