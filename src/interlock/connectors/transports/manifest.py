"""Manifests: what a sender says about a file in a small text beside it, and whether the file is that.

Three forms, told apart by how they look:

    bytes: 1204                          {"bytes": 1204, "rows": 12,           file,bytes,rows
    sha256: 9f86d081884c7d65...           "sha256": "9f86d081884c7d65..."}     orders.csv,1204,12
    rows: 12

and the line that `sha256sum` and `md5sum` print. A manifest may say `bytes`, `sha256`, `md5` and `rows`; others of its words are
passed over. `bytes` and the sums are of the file as it came, packed or not; `rows` are the rows of data in it, a header and a
trailer with totals not among them.
"""

from __future__ import annotations

import csv
import re
from typing import Any, Final

import msgspec

from interlock.connectors.formats.document import FormatUnreadable

MANIFEST_BYTES_MAX: Final = 64 * 1024
_WORDS: Final = {
    "bytes": "bytes",
    "size": "bytes",
    "sha256": "sha256",
    "sha-256": "sha256",
    "md5": "md5",
    "rows": "rows",
    "records": "rows",
    "file": "file",
    "filename": "file",
    "name": "file",
}
_HEX_DIGITS: Final = {"sha256": 64, "md5": 32}
_LINE: Final = re.compile(r"\s*([A-Za-z0-9_-]+)\s*[:=]\s*(.*?)\s*")
_SUM: Final = re.compile(r"([0-9A-Fa-f]{64}|[0-9A-Fa-f]{32}) [ *](.+)")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the file must be; None where nothing is said of it."""

    bytes: int | None = None
    rows: int | None = None
    sha256: str | None = None
    md5: str | None = None


def read_manifest(content: bytes, name: str) -> Manifest:
    """What a manifest says of the file of that name. Raises FormatUnreadable where it says nothing that can be checked."""
    if len(content) > MANIFEST_BYTES_MAX:
        raise _bad("manifest", f"{len(content)} bytes", f"at most {MANIFEST_BYTES_MAX} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _bad("manifest", content[:40].decode("ascii", "backslashreplace"), "text in UTF-8") from None
    said = {_WORDS[word]: value for word, value in _said(text.strip(), name).items() if word in _WORDS}
    if said.get("file") not in (None, "", name):
        raise _bad("file", said["file"], f"{name}, the name of the file that it lies beside")
    counts = {word: _whole(word, said[word]) for word in ("bytes", "rows") if said.get(word)}
    sums = {word: _sum(word, said[word]) for word in ("sha256", "md5") if said.get(word)}
    if not counts and not sums:
        raise _bad("manifest", text[:80], "one that says bytes, sha256, md5 or rows")
    return Manifest(bytes=counts.get("bytes"), rows=counts.get("rows"), sha256=sums.get("sha256"), md5=sums.get("md5"))


def compare(said: Manifest, is_so: Manifest) -> None:
    """Raises FormatUnreadable, which tells all that differs."""
    pairs = [(name, getattr(said, name), getattr(is_so, name)) for name in ("bytes", "rows", "sha256", "md5")]
    wrong = [(name, stated, found) for name, stated, found in pairs if stated is not None and stated != found]
    if wrong:
        found = ", ".join(
            f"{found} {name}" if isinstance(found, int) else f"{name} {found}" for name, _, found in wrong
        )
        stated = ", ".join(
            f"{value} {name}" if isinstance(value, int) else f"{name} {value}" for name, value, _ in wrong
        )
        raise FormatUnreadable("manifest_mismatch", "file", found, f"what its manifest says: {stated}")


def _said(text: str, name: str) -> dict[str, str]:
    """Words and values, whatever the form."""
    if text.startswith("{"):
        return _json(text)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in lines:
        found = _SUM.fullmatch(line.strip())
        if found and (len(lines) == 1 or found[2].rpartition("/")[2] == name):
            kind = "sha256" if len(found[1]) == _HEX_DIGITS["sha256"] else "md5"
            return {kind: found[1], "file": found[2].rpartition("/")[2]}
    pairs = [_LINE.fullmatch(line) for line in lines]
    if lines and all(pairs):
        return {pair[1].lower(): pair[2].strip("\"'") for pair in pairs if pair}
    return _table(lines, name)


def _json(text: str) -> dict[str, str]:
    try:
        values: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise _bad("manifest", text[:80], f"a JSON object: {error}") from None
    return {word.lower(): "" if value is None else str(value) for word, value in values.items()}


def _table(lines: list[str], name: str) -> dict[str, str]:
    """The row of the file in a CSV with a header; the only row there is, where none has its name."""
    delimiter = next((mark for mark in (",", ";", "\t", "|") if lines and mark in lines[0]), ",")
    rows = list(csv.reader(lines, delimiter=delimiter))
    if len(rows) < 2:
        raise _bad("manifest", lines[0][:80] if lines else "", "lines such as `bytes: 1204`, a JSON object, or a CSV")
    words = [cell.strip().lower() for cell in rows[0]]
    all_said = [dict(zip(words, (cell.strip() for cell in row), strict=False)) for row in rows[1:]]
    for said in all_said:
        if name in (said.get("file"), said.get("filename"), said.get("name")):
            return said
    if len(all_said) == 1:
        return all_said[0]
    raise _bad("manifest", lines[0][:80], f"a row for {name}")


def _whole(word: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise _bad(word, value, "a whole number")
    return int(value)


def _sum(word: str, value: str) -> str:
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{_HEX_DIGITS[word]}}}", value):
        raise _bad(word, value, f"{_HEX_DIGITS[word]} hex digits")
    return value.lower()


def _bad(field: str, value: str, expected: str) -> FormatUnreadable:
    return FormatUnreadable("bad_manifest", f"manifest.{field}".removesuffix(".manifest"), value, expected)
