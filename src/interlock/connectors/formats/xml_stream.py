"""XML as a stream of elements: hardened, bounded in memory, and each element with its bytes verbatim.

    for found in elements(blocks, wanted=lambda name, depth: name == "Transaction"):
        found                               # Element(name, data, raw, ...), or a Flaw that takes the place of one

The parser is expat, and never sees a DTD: a DOCTYPE is refused at its place, so that there are no entities but the five of
XML, nothing external and no network. What is not a wanted element is looked at and forgotten: memory is that of one element,
whatever the size of the input. Names are local ones: prefixes are dropped, and namespaces are not looked at, since partners
write them in every way.

An element is a dict of its children and attributes (`@name`), its own text under `#text`; one with neither is its text.
What comes several times is a list. Comments, processing instructions and blanks between elements are dropped.

A fault in the XML ends the reading, because nothing after it can be trusted: elements before it have been given. If there were
any, the fault is given as a Flaw, else FormatUnreadable is raised; both say line and column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple
from xml.parsers import expat

from interlock.connectors.formats.document import DOCUMENT_BYTES_MAX, Flaw, FormatUnreadable, Tree
from interlock.connectors.formats.xml_encoding import Encoded, opened
from interlock.connectors.formats.xml_faults import EMPTY, fault_of, shown

PIECE_BYTES: Final = 64 * 1024
TOKEN_BYTES_MAX: Final = 4 * 1024 * 1024
"""The longest tag, comment or processing instruction."""
TEXT_CHARACTERS_MAX: Final = 4 * 1024 * 1024
DEPTH_MAX: Final = 200
NESTED_MAX: Final = 5_000
"""So many open elements end the reading; above DEPTH_MAX only the element is a flaw."""
ATTRIBUTES_MAX: Final = 500
NODES_MAX: Final = 400_000
"""Elements with children or attributes, in one document."""
NAMES_MAX: Final = 20_000
"""Different names in the whole input: the parser remembers each."""
CONTEXT_MAX: Final = 64
FLAW_BYTES_MAX: Final = 64 * 1024

_TEXT: Final = "#text"
_NO_DATA: Final = ("xmlns", "schemaLocation", "noNamespaceSchemaLocation")


class Element(NamedTuple):
    """A wanted element. `context` has the root's name and attributes (`root`), the short elements beside it
    (`envelope`) and the headers asked for, by their names. `line` and `place` say where it begins.
    """

    name: str
    data: Tree
    raw: bytes
    line: int
    place: str
    context: dict[str, Tree]
    notes: tuple[str, ...]


def elements(
    source: Iterable[bytes],
    *,
    wanted: Callable[[str, int], bool],
    encoding: str = "",
    headers: frozenset[str] = frozenset(),
    expected: str = "",
) -> Iterator[Element | Flaw]:
    """The elements whose name and depth (the root's is 1) are wanted; what is inside of one belongs to it.

    `encoding` overrules what the XML says of itself. `expected` names what is wanted, for the error when nothing of it is there.
    Raises FormatUnreadable.
    """
    return _Stream(opened(source, encoding), wanted, headers, expected).read()


class _Names(dict[str, str]):
    """Qualified names to local ones; those of attributes have `@` in front."""

    def __init__(self, before: str = "") -> None:
        self._before = before

    def __missing__(self, name: str) -> str:
        if len(self) > NAMES_MAX:
            self.clear()
        local = self[name] = self._before + name[name.rfind(":") + 1 :]
        return local


class _Stream:
    """One reading of one input."""

    def __init__(
        self, encoded: Encoded, wanted: Callable[[str, int], bool], headers: frozenset[str], expected: str
    ) -> None:
        self.encoded = encoded
        self.wanted = wanted
        self.headers = headers
        self.expected = expected
        self.names = _Names()
        self.attribute_names = _Names("@")
        self.found: list[Element | Flaw] = []
        self.open: list[str] = []  # names of the elements around a wanted one
        self.envelope: dict[str, Tree] = {}
        self.context: dict[str, Tree] = {}
        self.text = ""
        self.children = False
        self.anything = False
        self.given = 0
        self.window = bytearray()
        self.base = 0  # where the window begins in what the parser was fed
        self.begins: int | None = None  # where the element that is being read begins
        self.line = 0
        self.column = 0
        self.name = ""
        self.nested = 0
        self.too = ("", "", "")  # why the element that is being read is a flaw: reason, field, what was expected
        self.spoiled = b""  # the beginning of such an element
        self.parser = self._parser()
        self.start_inside, self.end_inside, self.text_inside, self.drop = self._builder()
        self._look_around()

    def _parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate(self.encoded.override)
        parser.buffer_text = True
        parser.buffer_size = PIECE_BYTES
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        return parser

    # The loop

    def read(self) -> Iterator[Element | Flaw]:
        """Everything wanted, piece by piece."""
        try:
            for piece in self.encoded.pieces(PIECE_BYTES):
                self._feed(piece)
                if self.found:
                    self.given += len(self.found)
                    yield from self.found
                    self.found.clear()
            self.parser.Parse(b"", True)
        except expat.ExpatError as error:
            yield from self._ended(fault_of(error, self))
        except FormatUnreadable as unreadable:
            yield from self._ended(unreadable)
        if not self.given and self.anything:
            raise FormatUnreadable(
                "no_document", "the XML", self.context["root"]["name"], f"one that has {self.expected}"
            )

    def _feed(self, piece: bytes) -> None:
        self.window += piece
        self.parser.Parse(piece)
        fed = self.base + len(self.window)
        at = self.parser.CurrentByteIndex
        if self.begins is not None and not self.too[0] and fed - self.begins > DOCUMENT_BYTES_MAX:
            self._spoil("too_large", f"<{self.name}>", f"at most {DOCUMENT_BYTES_MAX} bytes")
        if self.begins is None or self.too[0]:
            done = max(at, self.base)
            del self.window[: done - self.base]
            self.base = done
        elif self.begins > self.base:
            del self.window[: self.begins - self.base]
            self.base = self.begins
        if fed - max(at, 0) > TOKEN_BYTES_MAX and not self.text:
            raise self.refusal("too_large", "a tag or comment", f"{fed - at} bytes", f"at most {TOKEN_BYTES_MAX} bytes")
        if len(self.parser.intern) > NAMES_MAX:
            raise self.refusal(
                "too_many_names", "names", str(len(self.parser.intern)), f"at most {NAMES_MAX} different ones"
            )

    def _ended(self, fault: FormatUnreadable) -> Iterator[Element | Flaw]:
        """What was found before a fault, and the fault."""
        if not self.given and not self.found:
            raise fault
        if self.begins is None:
            place, raw = "after the last whole one", b""
        else:
            place, raw = self._place(), self.spoiled or self._verbatim(self.begins, self.begins + FLAW_BYTES_MAX)
        yield from self.found
        self.given += len(self.found) + 1
        yield Flaw(place, fault.reason, fault.field, fault.value, fault.expected, raw, self.name)

    def refusal(self, reason: str, field: str, value: str, expected: str) -> FormatUnreadable:
        """Why the reading ends here, with line and column."""
        line = self.parser.CurrentLineNumber + self.encoded.lines_before
        where = f"{field} at line {line}, column {self.parser.CurrentColumnNumber + 1}"
        return FormatUnreadable(reason, where, shown(value), expected)

    def _refuse_doctype(self, name: str, system: str | None, public: str | None, _subset: int) -> None:
        told = " ".join(filter(None, (name, public, system)))
        raise self.refusal("doctype", "DOCTYPE", told, "XML without a document type: no DTD and no entity is read")

    # Around the wanted elements

    def _look_around(self) -> None:
        parser = self.parser
        parser.StartElementHandler = self._start_outside
        parser.EndElementHandler = self._end_outside
        parser.CharacterDataHandler = self._text_outside
        self.text = ""

    def _start_outside(self, name: str, attributes: dict[str, str]) -> None:
        local = self.names[name]
        self.open.append(local)
        depth = len(self.open)
        if depth == 1:
            self.context = {"root": {"name": local, **self._attributes(attributes)}, "envelope": self.envelope}
        elif depth > NESTED_MAX:
            raise self.refusal("too_deep", "elements", f"{depth} in one another", f"at most {NESTED_MAX}")
        self.anything = self.anything or depth > 1
        self.text = ""
        self.children = False
        if self.wanted(local, depth) or local in self.headers:
            self._begin(local, attributes)

    def _text_outside(self, data: str) -> None:
        if len(self.text) < 1000:
            self.text += data

    def _end_outside(self, _name: str) -> None:
        local = self.open.pop()
        if len(self.open) == 1 and not self.children and len(self.envelope) < CONTEXT_MAX:
            text = self.text.strip()
            if text:
                # Documents that were given share it: what comes later must not change what they were told.
                self.envelope = {**self.envelope, local: text}
                self.context = {**self.context, "envelope": self.envelope}
        self.text = ""
        self.children = True

    def _attributes(self, attributes: dict[str, str]) -> dict[str, Tree]:
        names = self.attribute_names
        return {
            names[name]: value
            for name, value in attributes.items()
            if not name.startswith("xmlns") and names[name][1:] not in _NO_DATA
        }

    # A wanted element

    def _begin(self, local: str, attributes: dict[str, str]) -> None:
        parser = self.parser
        self.begins = parser.CurrentByteIndex
        self.line = parser.CurrentLineNumber + self.encoded.lines_before
        self.column = parser.CurrentColumnNumber + 1
        self.name = local
        self.nested = 0
        parser.StartElementHandler = self.start_inside
        parser.EndElementHandler = self.end_inside
        parser.CharacterDataHandler = self.text_inside
        self.start_inside(local, attributes)

    def _place(self) -> str:
        return f"{self.name} {self.given + len(self.found) + 1}, line {self.line}"

    def _finish(self, data: Tree, childless: bool) -> None:
        begins = self.begins
        assert begins is not None
        self.open.pop()
        self.children = True
        if self.too[0]:
            reason, field, expected = self.too
            self.found.append(Flaw(self._place(), reason, field, "", expected, self.spoiled, self.name))
        else:
            raw = self._verbatim(begins, self._end_of_tag(childless))
            self._found(Element(self.name, data, raw, self.line, self._place(), self.context, self.encoded.notes))
        self.begins = None
        self.too, self.spoiled = ("", "", ""), b""
        self._look_around()

    def _found(self, element: Element) -> None:
        if element.name in self.headers and not self.wanted(element.name, len(self.open) + 1):
            self.context = {**self.context, element.name: element.data}
        else:
            self.found.append(element)

    def _end_of_tag(self, childless: bool) -> int:
        """Where the element ends: the parser says where its end tag begins, or where an empty element's tag ended."""
        at = self.parser.CurrentByteIndex - self.base
        if childless and self.window[at - 2 : at] == EMPTY:
            return self.base + at
        return self.base + self.window.index(b">", at) + 1

    def _verbatim(self, begins: int, ends: int) -> bytes:
        return self.encoded.original(bytes(self.window[max(begins - self.base, 0) : max(ends - self.base, 0)]))

    def _spoil(self, reason: str, field: str, expected: str) -> None:
        """The element is a flaw: what is left of it is passed over."""
        assert self.begins is not None
        self.too = (reason, field, expected)
        self.spoiled = self._verbatim(self.begins, self.begins + FLAW_BYTES_MAX)
        self.nested = self.drop()
        self.parser.StartElementHandler = self._start_spoiled
        self.parser.EndElementHandler = self._end_spoiled
        self.parser.CharacterDataHandler = None

    def _start_spoiled(self, _name: str, _attributes: dict[str, str]) -> None:
        self.nested += 1
        if self.nested > NESTED_MAX:
            raise self.refusal("too_deep", "elements", f"{self.nested} in one another", f"at most {NESTED_MAX}")

    def _end_spoiled(self, _name: str) -> None:
        self.nested -= 1
        if not self.nested:
            self._finish(None, False)

    def _builder(self) -> tuple[Any, Any, Any, Callable[[], int]]:
        """The handlers that build an element: closures, because they are called for every tag there is."""
        names, attribute_names, spoil = self.names, self.attribute_names, self._spoil
        above: list[dict[str, Any] | None] = []  # the elements that are open, without the innermost
        push, pop = above.append, above.pop
        node: dict[str, Any] | None = None  # the innermost; None while it has neither children nor attributes
        text = ""
        nodes = 0

        def start(_name: str, attributes: dict[str, str]) -> None:
            nonlocal node, text, nodes
            if text:
                if not text.isspace():
                    node = {} if node is None else node
                    node[_TEXT] = node[_TEXT] + text if _TEXT in node else text
                text = ""
            push(node)
            node = None
            if attributes:
                node = {
                    attribute_names[name]: value for name, value in attributes.items() if name[:5] != "xmlns"
                } or None
                nodes += 1
                if len(attributes) > ATTRIBUTES_MAX:
                    spoil("too_many_attributes", f"<{_name[:100]}>", f"at most {ATTRIBUTES_MAX} attributes")
                    return
            if len(above) > DEPTH_MAX:
                spoil("too_deep", f"<{_name[:100]}>", f"at most {DEPTH_MAX} elements in one another")

        def end(name: str) -> None:
            nonlocal node, text, nodes
            value: Any = text
            childless = node is None and not text
            if node is not None:
                if text and not text.isspace():
                    node[_TEXT] = node[_TEXT] + text if _TEXT in node else text
                value = node
            text = ""
            node = pop()
            if not above:
                node, nodes = None, 0
                self._finish(value, childless or (value.__class__ is dict and all([key[0] == "@" for key in value])))
                return
            key = names[name]
            if node is None:
                node = {key: value}
                nodes += 1
                if nodes > NODES_MAX:
                    spoil("too_many_elements", f"<{key[:100]}>", f"at most {NODES_MAX} elements with something in them")
            elif key in node:
                known = node[key]
                if known.__class__ is list:
                    known.append(value)
                else:
                    node[key] = [known, value]
            else:
                node[key] = value

        def characters(data: str) -> None:
            nonlocal text
            if text:
                text += data
                if len(text) > TEXT_CHARACTERS_MAX:
                    spoil("text_too_long", "text", f"at most {TEXT_CHARACTERS_MAX} characters in an element")
            else:
                text = data

        def drop() -> int:
            """Forget what was built; how many elements are open."""
            nonlocal node, text, nodes
            depth = len(above)
            above.clear()
            node, text, nodes = None, "", 0
            return depth

        return start, end, characters, drop
