"""One transaction set, from the bytes of ST to those of SE: its segments, its trailer, its tree and its errors."""

from __future__ import annotations

from typing import Final, NamedTuple

from interlock.connectors.formats.document import Node
from interlock.connectors.formats.x12_head import Separators
from interlock.connectors.formats.x12_tree import Seen, Tree, Wrong, grammar

TRAILER_MISSING, CONTROL_DIFFERS, COUNT_DIFFERS, SEGMENTS_WRONG, NO_KIND, NO_CONTROL = ["2", "3", "4", "5", "6", "7"]
NOT_SUPPORTED, NOT_UNIQUE = "1", "23"
"""Codes of AK502 and IK502, X12 element 718; in an error they stand at ST or SE with element 0."""
_BLANKS: Final = "\r\n\t \x00\x1a"
_SEGMENTS_MAX: Final = 500_000


class SetRead(NamedTuple):
    """A set: what it says, and what is wrong with it. `refused` is the error that it is refused for."""

    kind: str
    control: str
    node: Node
    wrongs: list[Wrong]
    notes: list[str]
    texts: list[str]
    refused: Wrong | None


def read_set(text: str, separators: Separators, version: str, seen: Seen) -> SetRead:
    """Read a set whose last segment is SE, or, if its trailer is missing, whatever came last."""
    notes: list[str] = []
    texts = split(text, separators.segment, notes)
    sep = separators.element
    head = texts[0].split(sep)
    kind = head[1].strip() if len(head) > 1 else ""
    control = head[2].strip() if len(head) > 2 else ""
    tail = texts[-1].split(sep)
    closed = tail[0].upper() == "SE"
    tree = Tree(grammar(kind if len(kind) == 3 else "", sep, separators.component), version, seen)
    node = tree.grow(texts[:-1] if closed else texts)
    wrongs = tree.wrongs
    trailer = _trailer(texts, tail, control) if closed else None
    if not closed:
        trailer = Wrong("SE", len(texts), 0, TRAILER_MISSING, "", f"SE*{len(texts) + 1}*{control}: it is missing", True)
    if len(kind) != 3 or not kind.isalnum():
        wrongs.append(Wrong("ST", 1, 0, NO_KIND, kind, "the number of a transaction set in ST01, such as 850", True))
    if not 1 <= len(control) <= 12:
        wrongs.append(Wrong("ST", 1, 0, NO_CONTROL, control, "a control number of 4 to 9 characters in ST02", True))
    if trailer is not None:
        wrongs.append(trailer)
    notes += tree.notes
    refused = None
    if wrongs:
        # A broken envelope explains the errors inside of it, so it is told first.
        fatal = [each for each in wrongs if each.fatal]
        refused = trailer or (fatal[0] if fatal else None)
    return SetRead(kind, control, node, wrongs, notes, texts, refused)


def _trailer(texts: list[str], tail: list[str], control: str) -> Wrong | None:
    stated = tail[1].strip() if len(tail) > 1 else ""
    theirs = tail[2].strip() if len(tail) > 2 else ""
    count = len(texts)
    if not (stated.isascii() and stated.isdigit() and len(stated) <= 10 and int(stated) == count):
        return Wrong(
            "SE", count, 0, COUNT_DIFFERS, stated, f"{count}, the number of segments from ST to SE (SE01)", True
        )
    if theirs != control and not same_number(theirs, control):
        return Wrong("SE", count, 0, CONTROL_DIFFERS, theirs, f"{control}, as in ST02 (SE02)", True)
    return None


def same_number(one: str, other: str) -> bool:
    """Whether two control numbers are the same, written with zeros before them or without."""
    return one == other or (
        one.isascii() and other.isascii() and one.isdigit() and other.isdigit() and one.lstrip("0") == other.lstrip("0")
    )


def split(text: str, terminator: str, notes: list[str]) -> list[str]:
    """The segments as text, without the ends of lines and the blanks that stand between them."""
    if terminator in "\r\n":
        return _split_lines(text, terminator, notes)
    if "\n" not in text and "\r" not in text:
        texts = text.split(terminator)
        if texts[-1] == "":
            texts.pop()
        if "" not in texts and f"{terminator} " not in text:
            return texts
        return _cleaned(texts, notes)
    end = "\r\n" if "\r\n" in text else "\n"
    texts = text.split(terminator + end)
    ends = len(texts) - 1
    regular = ends == text.count("\n") == text.count(terminator) - text.endswith(terminator)
    if regular and text.count("\r") in (0, ends) and not any(end + each in text for each in " \t") and "" not in texts:
        texts[-1] = texts[-1].removesuffix(terminator)
        return texts
    return _cleaned(text.split(terminator), notes)


def _split_lines(text: str, terminator: str, notes: list[str]) -> list[str]:
    texts = text.split(terminator)
    if terminator == "\r" or "\r" in text or "\n " in text or "\n\t" in text or "" in texts:
        return _cleaned(texts, notes)
    return texts


def _cleaned(texts: list[str], notes: list[str]) -> list[str]:
    cleaned = []
    for text in texts:
        text = text.lstrip(_BLANKS).rstrip("\r\n\t\x00\x1a")
        if not text:
            continue
        if "\n" in text or "\r" in text:
            notes.append("an element is broken by the end of a line")
            text = " ".join(text.replace("\r", "\n").split("\n"))
        cleaned.append(text)
    return cleaned or [""]
