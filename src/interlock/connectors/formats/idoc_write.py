"""What IDocs that we write have in common, as XML and as flat files: the control record, and checks of every field.

A document is `{ORDERS05: {EDI_DC40: {...}, E1EDK01: {...}, E1EDP01: [...]}}`: the basic type, and the segments by their types,
each with its fields and the segments that belong to it. Segments and fields that we do not know are refused, unless the
segment's name begins with Z; so is what is longer than its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from interlock.connectors.formats.document import Numbers, Tree, WriteRefused
from interlock.connectors.formats.idoc_segments import CONTROL, CONTROL_FIELDS, DATA_BYTES, FIELDS, PARENTS
from interlock.connectors.formats.xml_write import root_of
from interlock.domain.links import Format

_NUMBERS_IN_FILE: Final = 10_000


def idocs_of(documents: list[Tree], form: Format, numbers: Numbers) -> tuple[str, list[dict[str, Any]]]:
    """The basic type, and the checked IDocs with their control records first. Raises WriteRefused."""
    if not documents:
        raise WriteRefused("documents", "none", "at least one IDoc")
    basic_type = ""
    idocs = []
    for place, document in enumerate(documents):
        name, content = root_of(document, place + 1)
        if isinstance(content, Mapping) and set(content) == {"IDOC"}:
            content = content["IDOC"]
        if not isinstance(content, Mapping):
            raise WriteRefused(name, repr(content)[:80], "the segments of an IDoc")
        if basic_type and name != basic_type:
            raise WriteRefused(f"document {place + 1}", name, f"an IDoc of the type {basic_type}, or a file of its own")
        basic_type = name
        control = _control(content.get(CONTROL) or {}, name, form, numbers, place)
        segments = {key: value for key, value in content.items() if key != CONTROL and value is not None}
        if not segments:
            raise WriteRefused(name, "no segment", "at least one segment beside the control record")
        idocs.append({CONTROL: control, **_segments(segments, name, "")})
    return basic_type, idocs


def _control(given: Tree, basic_type: str, form: Format, numbers: Numbers, place: int) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise WriteRefused(CONTROL, repr(given)[:80], "an object: the fields of the control record")
    at = numbers.at if isinstance(numbers.at, datetime) else None
    ours = form.envelope.ours.id if form.envelope else ""
    theirs = form.envelope.theirs.id if form.envelope else ""
    defaults: dict[str, Tree] = {
        "TABNAM": CONTROL,
        "DOCNUM": f"{numbers.interchange * _NUMBERS_IN_FILE + place:016d}",
        "DIRECT": "2",
        "TEST": "X" if form.envelope and form.envelope.test else "",
        "IDOCTYP": basic_type,
        "SNDPRT": "LS",
        "SNDPRN": ours,
        "RCVPRT": "LS",
        "RCVPRN": theirs,
        "CREDAT": f"{at:%Y%m%d}" if at else "",
        "CRETIM": f"{at:%H%M%S}" if at else "",
    }
    fields = {name: value for name, value in {**defaults, **given}.items() if value not in (None, "")}
    checked = {name: _field(CONTROL, CONTROL_FIELDS, name, value) for name, value in fields.items()}
    for name in ("MESTYP", "SNDPRN", "RCVPRN"):
        if not checked.get(name):
            expected = (
                "the message type, such as ORDERS"
                if name == "MESTYP"
                else "a partner number, or an envelope of the format"
            )
            raise WriteRefused(f"{CONTROL}.{name}", "", expected)
    return {name: checked[name] for name in CONTROL_FIELDS if name in checked}


def _segments(content: Mapping[str, Tree], path: str, parent: str) -> dict[str, Any]:
    """The fields of a segment in their order, then the segments below it as they are given."""
    known = FIELDS.get(parent, {})
    fields: dict[str, Any] = {}
    below: dict[str, Any] = {}
    for name, value in content.items():
        if value is None or value == "":
            continue
        if isinstance(value, Mapping | list):
            for each in value if isinstance(value, list) else [value]:
                if not isinstance(each, Mapping):
                    raise WriteRefused(f"{path}.{name}", repr(each)[:80], "a segment: an object with its fields")
                _allowed(name, path, parent)
                below.setdefault(name, []).append(_segments(each, f"{path}.{name}", name))
        elif not parent:
            raise WriteRefused(f"{path}.{name}", str(value)[:80], "a segment: an object with its fields")
        else:
            fields[name] = _field(path, known, name, value) if known else _text(value, f"{path}.{name}", DATA_BYTES)
    if not fields and not below:
        raise WriteRefused(path, "nothing", "a segment with at least one field")
    ordered = {name: fields[name] for name in known if name in fields} if known else fields
    return {**ordered, **below}


def _allowed(name: str, path: str, parent: str) -> None:
    if name.startswith("Z"):
        return
    if name not in FIELDS:
        raise WriteRefused(f"{path}.{name}", name, "a segment that we know, or one of the customer's own (Z...)")
    belongs = PARENTS.get(name, "")
    if belongs != parent and not parent.startswith("Z"):
        raise WriteRefused(f"{path}.{name}", name, f"in {belongs or 'the IDoc itself'}, where it belongs")


def _field(path: str, known: Mapping[str, int], name: str, value: Tree) -> str:
    if name not in known:
        raise WriteRefused(f"{path}.{name}", name, f"a field of the segment: {', '.join(known)}"[:200])
    return _text(value, f"{path}.{name}", known[name])


def _text(value: Tree, path: str, width: int) -> str:
    if isinstance(value, bool):
        text = "X" if value else ""
    elif isinstance(value, Decimal):
        text = f"{value:f}"
    else:
        text = str(value)
    if len(text) > width:
        raise WriteRefused(path, text[:80], f"at most {width} characters")
    if any(ord(letter) < 32 for letter in text):
        raise WriteRefused(path, ascii(text)[:80], "text without control characters")
    return text
