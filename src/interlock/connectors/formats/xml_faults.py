"""What is said of XML that is none: a word for the reason, the place, what stands there and what was expected."""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat
from xml.parsers.expat import errors

from interlock.connectors.formats.document import FormatUnreadable

EMPTY: Final = b"/>"
_ENDS: Final = frozenset(
    {errors.XML_ERROR_NO_ELEMENTS, errors.XML_ERROR_UNCLOSED_TOKEN, errors.XML_ERROR_PARTIAL_CHAR}
    | {errors.XML_ERROR_UNCLOSED_CDATA_SECTION}
)
_REASONS: Final = {
    errors.XML_ERROR_TAG_MISMATCH: ("wrong_end_tag", "the end tag of the element that was opened last"),
    errors.XML_ERROR_DUPLICATE_ATTRIBUTE: ("double_attribute", "an attribute that is there once"),
    errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT: ("two_roots", "nothing after the end of the root element"),
    errors.XML_ERROR_UNDEFINED_ENTITY: (
        "unknown_entity",
        "one of &amp; &lt; &gt; &apos; &quot; or a number such as &#233;",
    ),
    errors.XML_ERROR_MISPLACED_XML_PI: ("two_roots", "one XML document, whose declaration is at its beginning"),
    errors.XML_ERROR_BAD_CHAR_REF: ("bad_character", "the number of a character that XML allows"),
    errors.XML_ERROR_UNKNOWN_ENCODING: ("bad_encoding", "a known encoding"),
    errors.XML_ERROR_INCORRECT_ENCODING: ("bad_encoding", "the encoding that the XML declares"),
}
_ALLOWED: Final = (9, 10, 13)


def fault_of(error: expat.ExpatError, stream: Any) -> FormatUnreadable:
    """Why the reading of a stream ended, in our words."""
    name = errors.messages.get(error.code, "")
    line = error.lineno + stream.encoded.lines_before
    where = f"XML at line {line}, column {error.offset + 1}"
    at = stream.parser.ErrorByteIndex - stream.base
    here = bytes(stream.window[at : at + 40]) if at >= 0 else b""
    if name in _ENDS and not here.strip():
        inside = f" inside of <{stream.name}> of line {stream.line}" if stream.begins is not None else ""
        return FormatUnreadable(
            "truncated", where, f"the end{inside}", "a whole document: it ends with the root's end tag"
        )
    if name in _REASONS:
        reason, expected = _REASONS[name]
        return FormatUnreadable(reason, where, shown(here.decode("utf-8", "replace")), expected)
    if name in _ENDS:
        return FormatUnreadable(
            "truncated", where, shown(here.decode("utf-8", "replace")), "its end: the file breaks off"
        )
    byte = here[:1]
    if byte and byte[0] < 32 and byte[0] not in _ALLOWED:
        return FormatUnreadable("bad_character", where, f"0x{byte[0]:02x}", "a character that XML allows")
    if byte and byte[0] >= 128:
        return FormatUnreadable("bad_encoding", where, f"0x{here[:4].hex()}", f"text in {stream.encoded.override}")
    begin = max(at - 30, 0)
    before = bytes(stream.window[begin : at + 1]) if at >= 0 else b""
    ampersand = before.rfind(b"&")
    if ampersand >= 0 and not set(before[ampersand:]) & set(b";<>"):
        value = bytes(stream.window[begin + ampersand :][:40]).decode("utf-8", "replace")
        return FormatUnreadable("bad_character", where, shown(value), "&amp; where an & is meant")
    return FormatUnreadable("not_well_formed", where, shown(here.decode("utf-8", "replace")), "well-formed XML")


def shown(value: str) -> str:
    """The value, shortened, on one line."""
    plain = " ".join(value.split())
    return plain if len(plain) <= 120 else plain[:117] + "..."
