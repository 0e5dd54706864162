"""Files as they come, and what is in them: a gz file holds one, a zip file several; all others are themselves.

    for content in contents(file, name, bounds):
        content.problem         why this one is refused, in a zip; its neighbours go on
        content.blocks()        its bytes, as often as they are wanted

What a file is, its first bytes say, not its name. Nothing is written anywhere: bytes are unpacked as they are read, within
bounds of size and of growth, so a bomb costs no more than the bounds. Names in a zip are only words: nothing is opened by them.
Even so, one that would lead out of a directory is refused, because whoever wrote it meant no good.

Raises UnpackRefused where the whole file is refused; so does reading `blocks`, where the bytes are not what they should be.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from interlock.connectors.formats.document import FormatUnreadable
from interlock.connectors.formats.tabular import BLOCK_BYTES, blocks

ENTRIES_MAX: Final = 10_000
DIRECTORY_BYTES_MAX: Final = 8 * 1024 * 1024
FREE_BYTES: Final = 1024 * 1024
"""A small file may grow by more than the ratio: blanks pack well."""
_GZ: Final = b"\x1f\x8b"
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_COMMENT_MAX: Final = 65_535
_LOCAL_HEADER_BYTES: Final = 30
_ENCRYPTED: Final = 0x1
_GZIP_WINDOW: Final = 31
_METHODS: Final = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 99: "AES"}


class UnpackRefused(FormatUnreadable):
    """A packed file, or one entry of it, cannot be unpacked or may not be."""


class Bounds(NamedTuple):
    """How large what is unpacked may be, all of it together, and how many times larger than what came."""

    bytes_max: int
    ratio_max: int


class Content(NamedTuple):
    """One file: itself, or what is in a packed one. `name` is empty unless it is an entry of a zip file."""

    name: str
    blocks: Callable[[], Iterator[bytes]]
    problem: FormatUnreadable | None = None
    skipped: str = ""


def contents(file: BinaryIO, bounds: Bounds) -> list[Content]:
    """What an open file holds, in its order. Raises UnpackRefused."""
    file.seek(0)
    head = file.read(4)
    if head.startswith(_GZ):
        return [Content("", partial(_gunzipped, file, bounds))]
    if head in _ZIP:
        return _Zip(file, bounds).contents()
    return [Content("", partial(_as_it_is, file))]


def is_packed(file: BinaryIO) -> bool:
    """Whether it is a gz or zip file."""
    file.seek(0)
    head = file.read(4)
    return head.startswith(_GZ) or head in _ZIP


def _as_it_is(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    yield from blocks(file)


# gz


def _gunzipped(file: BinaryIO, bounds: Bounds) -> Iterator[bytes]:
    """The bytes of a gz file, all of its members one after the other."""
    file.seek(0)
    read = given = 0
    member: zlib._Decompress | None = None
    for block in blocks(file):
        read += len(block)
        rest = block
        while rest:
            at = read - len(rest)
            if member is None:
                rest = rest.lstrip(b"\0") if given or at else rest  # tapes and disks fill their last block with zeros
                if not rest:
                    break
                member = _member(rest, read)
            try:
                piece = member.decompress(rest, BLOCK_BYTES)
            except zlib.error as error:
                expected = f"a sound gz file: after byte {at} {_plain(error)}"
                raise UnpackRefused("bad_gzip", "file", "gz", expected) from None
            rest = member.unconsumed_tail
            if member.eof:
                rest, member = member.unused_data, None
            given += len(piece)
            _refuse_growth(given, read, bounds)
            if piece:
                yield _not_packed(piece) if given == len(piece) else piece
    if member is not None:
        expected = f"a whole gz file: it ends after {read} bytes, in the middle of what was packed"
        raise UnpackRefused("truncated", "file", "gz", expected)


def _member(rest: bytes, read: int) -> zlib._Decompress:
    if not _GZ.startswith(rest[:2]):
        expected = f"the end of the gz file, or another member of it, at byte {read - len(rest) + 1}"
        raise UnpackRefused("trailing_garbage", "file", _shown(rest[:20]), expected)
    return zlib.decompressobj(_GZIP_WINDOW)


def _refuse_growth(given: int, packed: int, bounds: Bounds) -> None:
    if given > bounds.bytes_max:
        expected = f"at most {bounds.bytes_max} bytes unpacked (limits.unpacked_bytes_max)"
        raise UnpackRefused("too_large_unpacked", "file", f"{given} bytes and more", expected)
    if given > FREE_BYTES and given > bounds.ratio_max * packed:
        expected = f"at most {bounds.ratio_max} times the {packed} bytes that were read (limits.unpacked_ratio_max)"
        raise UnpackRefused("unpacks_too_far", "file", f"{given} bytes and more", expected)


def _not_packed(first: bytes) -> bytes:
    """The first bytes of what was unpacked, which may not be a packed file again."""
    if first.startswith((_GZ, *_ZIP)):
        raise UnpackRefused("packed_twice", "file", "a packed file in a packed file", "data, packed once")
    return first


# zip


class _Zip:
    """A zip file whose directory is sound."""

    def __init__(self, file: BinaryIO, bounds: Bounds) -> None:
        self._file, self._bounds = file, bounds
        self._given = 0
        try:
            _refuse_large_directory(file)
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OverflowError) as error:
            expected = f"a whole zip file: {_plain(error)}"
            raise UnpackRefused("bad_zip", "file", "zip", expected) from None
        self._entries = self._zip.infolist()
        self._refuse_whole()

    def contents(self) -> list[Content]:
        """Every entry that is no directory; refused ones with the reason."""
        seen: set[str] = set()
        found = []
        for entry in self._entries:
            name = entry.orig_filename
            if entry.is_dir():
                continue
            skipped = _nobodys(name)
            problem = None if skipped else _problem(entry, name in seen)
            seen.add(name)
            found.append(Content(_printable(name), partial(self._unpacked, entry), problem, skipped))
        if not found:
            raise UnpackRefused("empty_zip", "file", "zip", "a zip file with at least one file in it")
        return found

    def _refuse_whole(self) -> None:
        entries = self._entries
        if any(entry.header_offset < 0 for entry in entries):
            raise UnpackRefused(
                "bad_zip", "file", "zip", "a whole zip file: its directory does not fit what is before it"
            )
        if len(entries) > ENTRIES_MAX:
            raise UnpackRefused("too_many_entries", "file", f"{len(entries)} entries", f"at most {ENTRIES_MAX}")
        if any(entry.orig_filename == "[Content_Types].xml" for entry in entries):
            raise UnpackRefused("office_document", "file", "a workbook or a document", "data: save the sheet as CSV")
        stated = sum(entry.file_size for entry in entries)
        if stated > self._bounds.bytes_max:
            expected = f"at most {self._bounds.bytes_max} bytes unpacked (limits.unpacked_bytes_max)"
            raise UnpackRefused("too_large_unpacked", "file", f"{stated} bytes", expected)
        before = None
        for entry in sorted(entries, key=lambda one: one.header_offset):
            if before is not None and entry.header_offset < _end_of(before):
                value = f"{_printable(before.orig_filename)} and {_printable(entry.orig_filename)}"
                raise UnpackRefused("overlapping_entries", "file", value, "entries that have their bytes to themselves")
            before = entry
        if before is not None and _end_of(before) > self._zip.start_dir:
            value = _printable(before.orig_filename)
            raise UnpackRefused("overlapping_entries", "file", value, "entries that end before the directory begins")

    def _unpacked(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        given = 0
        try:
            with self._zip.open(entry) as unpacked:
                while block := unpacked.read(BLOCK_BYTES):
                    given += len(block)
                    _refuse_growth(given, max(1, entry.compress_size), self._bounds)
                    yield _not_packed(block) if given == len(block) else block
        except UnpackRefused:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, RuntimeError, ValueError) as error:
            expected = f"a sound entry of a zip file: {_plain(error)}"
            raise UnpackRefused("bad_zip", _printable(entry.orig_filename), f"{given} bytes", expected) from None
        if given != entry.file_size:
            expected = f"{entry.file_size} bytes, as the directory says"
            raise UnpackRefused("bad_zip", _printable(entry.orig_filename), f"{given} bytes", expected)


def _refuse_large_directory(file: BinaryIO) -> None:
    """What the end of a zip file says of its directory, looked at before anybody reads that into memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _COMMENT_MAX))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_BYTES:
        raise zipfile.BadZipFile("its directory, which stands at the end, is not there")
    count, bytes_stated = struct.unpack_from("<HL", tail, at + 10)
    # More than fits here stands in the record for large files; its place is in the locator right before this one.
    if (bytes_stated == 0xFFFFFFFF or count == 0xFFFF) and at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        (record_at,) = struct.unpack_from("<Q", tail, at - 20 + 8)
        if record_at + 56 <= size:
            file.seek(record_at)
            count, bytes_stated = struct.unpack_from("<QQ", file.read(56), 32)
    if count > ENTRIES_MAX:
        raise UnpackRefused("too_many_entries", "file", f"{count} entries", f"at most {ENTRIES_MAX}")
    if bytes_stated > DIRECTORY_BYTES_MAX:
        expected = f"a directory of at most {DIRECTORY_BYTES_MAX} bytes"
        raise UnpackRefused("bad_zip", "file", f"{bytes_stated} bytes", expected)


def _end_of(entry: zipfile.ZipInfo) -> int:
    """The first byte that cannot belong to the entry any more; its local header may be longer, never shorter."""
    name_bytes = len(entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437", "replace"))
    return entry.header_offset + _LOCAL_HEADER_BYTES + name_bytes + entry.compress_size


def _problem(entry: zipfile.ZipInfo, is_repeated: bool) -> UnpackRefused | None:
    name = entry.orig_filename
    shown = _printable(name)
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or parts[0].endswith(":") or ".." in parts or "\0" in name:
        return UnpackRefused("unsafe_name", "name", shown, "a name that leads into no other directory")
    if is_repeated:
        return UnpackRefused("repeated_name", "name", shown, "a name that only one entry has")
    if stat.S_ISLNK(entry.external_attr >> 16):
        return UnpackRefused("not_a_file", "name", shown, "a file: it is a symbolic link")
    if entry.flag_bits & _ENCRYPTED:
        return UnpackRefused("encrypted", "name", shown, "a file that is not encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        method = _METHODS.get(entry.compress_type, f"method {entry.compress_type}")
        return UnpackRefused("unknown_packing", shown, method, "stored or deflated")
    return None


def _nobodys(name: str) -> str:
    """Why an entry is passed over: what file managers put into archives for themselves."""
    last = name.rpartition("/")[2]
    if name.startswith("__MACOSX/") or last in (".DS_Store", "Thumbs.db", "desktop.ini"):
        return "a file manager's own"
    return ""


def _printable(name: str) -> str:
    return name.encode("unicode_escape", "backslashreplace").decode("ascii") if not name.isprintable() else name


def _plain(error: Exception) -> str:
    return str(error) or type(error).__name__


def _shown(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")
