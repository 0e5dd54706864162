"""Delimited text (CSV) to rows: streaming, with line numbers, and with a reason for every line that is no row.

    table = Table(blocks(file), encoding="utf-8-sig", delimiter=",")
    table.columns                       # the header, checked
    for chunk in table:
        chunk.rows                      # Row(line, cells, raw): cells fit the header, raw is the row verbatim
        chunk.bad                       # BadRow(line, reason, ...): the neighbours go on

Memory is bounded whatever the input: a block, a few thousand lines, never the file. A line number is where a row begins,
the header is line 1, so that editors and spreadsheets agree with us. Lines end with LF, CRLF or CR. Blank lines are no
rows. A quoted field may hold line ends; a quote that never closes costs the line where it opens, not the file.

Raises `TableUnreadable` where there is no table at all: no header, a wrong encoding, a repeated column.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import BinaryIO, NamedTuple

from interlock.domain.errors import InterlockError

BLOCK_BYTES = 256 * 1024
LINE_BYTES_MAX = 1024 * 1024
ROW_LINES_MAX = 500
CELL_CHARACTERS_MAX = 100_000
SHOWN_CHARACTERS_MAX = 200


class TableUnreadable(InterlockError):
    """The whole text cannot be read as a table; `field`, `value` and `expected` say what is wrong with it."""

    def __init__(self, reason: str, field: str, value: str, expected: str) -> None:
        self.reason = reason
        self.field = field
        self.value = value
        self.expected = expected
        super().__init__(f"{field}: {value!r} is not {expected}")


class Row(NamedTuple):
    """One row whose cells fit the header. `lines` is how many lines of the file it takes, `raw` what they hold."""

    line: int
    lines: int
    cells: list[str]
    raw: bytes


class BadRow(NamedTuple):
    """Something that takes the place of a row and is none. `cells` are its cells, or its text as the only one."""

    line: int
    reason: str
    field: str
    value: str
    expected: str
    cells: list[str]


class Chunk(NamedTuple):
    """Some rows in the order of the file, and the bad ones among them."""

    rows: list[Row]
    bad: list[BadRow]


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of an open file, block by block."""
    while block := file.read(BLOCK_BYTES):
        yield block


class Table:
    """A delimited text whose header is read already; iterating gives the rows, once.

    With `columns` it has no header, and those are their names. `quote` is the character around cells, "" where there is none.
    """

    def __init__(
        self,
        source: Iterable[bytes],
        *,
        encoding: str = "utf-8-sig",
        delimiter: str = ",",
        quote: str = '"',
        columns: Sequence[str] = (),
    ) -> None:
        if len(delimiter) != 1 or delimiter in "\r\n\0" or delimiter == quote:
            raise TableUnreadable("bad_delimiter", "delimiter", delimiter, "one character other than a quote")
        if len(quote) > 1 or quote in ("\r", "\n", "\0"):
            raise TableUnreadable("bad_quote", "quote", quote, "one character, or none")
        self.delimiter = delimiter
        self._split = partial(
            csv.reader,
            delimiter=delimiter,
            quotechar=quote or None,
            quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
            strict=True,
        )
        name = _codec(encoding)
        self.encoding = "utf-8" if _is_wide(name) else name
        self._pieces = _lines(_narrow(source, name))
        self._begun: list[_Piece] = []
        self._quote = quote.encode(self.encoding) if quote else b"\0"
        self.columns: tuple[str, ...] = tuple(columns) or self._header()

    def __iter__(self) -> Iterator[Chunk]:
        open_row: _Piece | None = None
        for piece in chain(self._begun, self._pieces):
            if open_row is not None:
                piece = _Piece(open_row.line, [*open_row.lines, *piece.lines])
            chunk, open_row = self._read(piece, final=False)
            if chunk.rows or chunk.bad:
                yield chunk
        if open_row is not None:
            chunk, _ = self._read(open_row, final=True)
            yield chunk

    def _header(self) -> tuple[str, ...]:
        for line, lines in self._pieces:
            for place, raw in enumerate(lines):
                if raw is None or raw.strip():
                    self._begun.append(_Piece(line + place + 1, lines[place + 1 :]))
                    return self._columns(raw)
        raise TableUnreadable("no_header", "header", "", "a first line with the names of the columns")

    def _columns(self, raw: bytes | None) -> tuple[str, ...]:
        if raw is None:
            raise TableUnreadable("bad_header", "header", "", f"a line of at most {LINE_BYTES_MAX} bytes")
        try:
            text = raw.decode(self.encoding)
            cells = next(self._split([text]))
        except (UnicodeDecodeError, csv.Error):
            expected = f"names of columns in {self.encoding}, without stray quotes"
            raise TableUnreadable("bad_header", "header", _shown(raw), expected) from None
        names = [cell.strip() for cell in cells]
        while names and not names[-1]:  # a delimiter at the end of the line names no column
            names.pop()
        if "\0" in text or not names or "" in names:
            raise TableUnreadable("bad_header", "header", _shown(raw), "a name for every column")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise TableUnreadable("bad_header", "header", twice[0], "a name that only one column has")
        return tuple(names)

    def _read(self, piece: _Piece, *, final: bool) -> tuple[Chunk, _Piece | None]:
        """The rows of some lines, and the lines at their end where a row begins that goes on (never when `final`)."""
        chunk = self._read_plain(piece)
        if chunk is not None:
            return chunk, None
        chunk = Chunk([], [])
        open_row = self._read_quoted(piece, chunk, final)
        chunk.bad.sort()
        return chunk, open_row

    def _read_plain(self, piece: _Piece) -> Chunk | None:
        """Read lines that are a row each, fast. None where one of them needs a closer look."""
        if None in piece.lines:
            return None
        raws: list[bytes] = piece.lines  # type: ignore[assignment]  # no None among them
        data = b"".join(raws)
        if self._quote in data or b"\0" in data:
            return None
        try:
            texts = [raw.decode(self.encoding) for raw in raws]
            cells_of_all = list(self._split(texts))
        except (UnicodeDecodeError, csv.Error):
            return None
        if len(cells_of_all) != len(raws):
            return None
        width = len(self.columns)
        chunk = Chunk([], [])
        take = chunk.rows.append
        for line, cells, raw in zip(range(piece.line, piece.line + len(raws)), cells_of_all, raws, strict=True):
            if len(cells) == width:
                take(Row(line, 1, cells, raw))
            elif raw.strip():
                self._take(chunk, line, 1, cells, raw)
        return chunk

    def _read_quoted(self, piece: _Piece, chunk: Chunk, final: bool) -> _Piece | None:
        """Read row by row, and find the place again after each line that cannot be split."""
        lines, texts = piece.lines, self._decoded(piece, chunk)
        start, end = 0, len(texts)
        while start < end:
            if texts[start] is None:
                start += 1
                continue
            reader = self._split(_readable(texts, start))
            consumed = 0
            try:
                for cells in reader:
                    taken, consumed = reader.line_num - consumed, reader.line_num
                    raw = b"".join(part for part in lines[start : start + taken] if part)
                    if raw.strip() and not self._take(chunk, piece.line + start, taken, cells, raw):
                        start += 1
                        break
                    start += taken
            except csv.Error as error:
                # An open quote at the end of these lines may be closed by the next ones.
                is_open = start + reader.line_num - consumed >= end and end - start <= ROW_LINES_MAX
                if is_open and not final and sum(len(part or b"") for part in lines[start:]) <= LINE_BYTES_MAX:
                    return _Piece(piece.line + start, lines[start:])
                self._refuse(chunk, piece.line + start, lines[start] or b"", f"cells that can be split: {error}")
                start += 1
        return None

    def _decoded(self, piece: _Piece, chunk: Chunk) -> list[str | None]:
        """The lines as text; None for one that was refused."""
        texts: list[str | None] = []
        for line, raw in enumerate(piece.lines, piece.line):
            text = None
            if raw is None:
                expected = f"a line of at most {LINE_BYTES_MAX} bytes"
                chunk.bad.append(BadRow(line, "line_too_long", "row", "", expected, []))
            elif b"\0" in raw:
                self._refuse(chunk, line, raw, "text without NUL bytes", "nul_byte")
            else:
                try:
                    text = raw.decode(self.encoding)
                except UnicodeDecodeError as error:
                    wrong = f"text in {self.encoding}: byte {error.start + 1} of the line is {raw[error.start]:#04x}"
                    self._refuse(chunk, line, raw, wrong, "bad_encoding")
            texts.append(text)
        return texts

    def _take(self, chunk: Chunk, line: int, lines: int, cells: list[str], raw: bytes) -> bool:
        """Take cells that fit the header as a row. False where a quote has swallowed lines that it should not."""
        width = len(self.columns)
        fits = len(cells) == width or (len(cells) > width and not any(cells[width:]))
        if fits and lines <= ROW_LINES_MAX:
            chunk.rows.append(Row(line, lines, cells[:width], raw))
        elif lines > 1:
            self._refuse(chunk, line, raw.splitlines()[0], "a quote that closes where its cell ends")
            return False
        else:
            expected = f"{width} cells, as the header has"
            chunk.bad.append(BadRow(line, "wrong_column_count", "row", f"{len(cells)} cells", expected, cells))
        return True

    def _refuse(self, chunk: Chunk, line: int, raw: bytes, expected: str, reason: str = "unreadable_row") -> None:
        text = raw.decode(self.encoding, "replace").replace("\0", "\ufffd").rstrip("\r\n")
        chunk.bad.append(BadRow(line, reason, "row", _shown(raw), expected, [text[:CELL_CHARACTERS_MAX]]))


class _Piece(NamedTuple):
    """Some whole lines with their ends, and the number of the first; None is a line too long to keep."""

    line: int
    lines: Sequence[bytes | None]


def _readable(texts: list[str | None], start: int) -> Iterator[str]:
    """The texts from `start` on, up to a line that was refused: no row goes on beyond it."""
    for place in range(start, len(texts)):
        text = texts[place]
        if text is None:
            return
        yield text


def _lines(source: Iterable[bytes]) -> Iterator[_Piece]:
    """Whole lines, some thousand at a time; one that is longer than a line may be is dropped as it comes."""
    line, tail, dropping = 1, b"", False
    for block in source:
        lines: list[bytes | None] = list((tail + block).splitlines(keepends=True))
        # A CR at the very end may be half of a CRLF, so such a line waits for the next block as well.
        tail = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()  # type: ignore[union-attr, assignment]
        if dropping and lines:
            lines[0], dropping = None, False
        if dropping or len(tail) > LINE_BYTES_MAX:
            tail, dropping = tail[-1:], True  # what is kept may be the CR that ends it
        lines = [None if raw is None or len(raw) > LINE_BYTES_MAX else raw for raw in lines]
        if lines:
            yield _Piece(line, lines)
            line += len(lines)
    if tail:
        yield _Piece(line, [None if dropping else tail])


def _narrow(source: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The same text without a byte-order mark, in an encoding whose line ends are single bytes.

    UTF-16 and its like (and EBCDIC) become UTF-8; what is no text in them becomes a byte that is none in UTF-8.
    """
    decode = codecs.getincrementaldecoder(encoding)("replace").decode if _is_wide(encoding) else None
    is_first = True
    for block in chain(source, [b""] if decode else []):
        if is_first and decode is None and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise TableUnreadable(
                "bad_encoding", "encoding", "UTF-16", f"{encoding}, as the estate says of this folder's files"
            )
        if decode:
            text = decode(block, not block).replace("\x85", "\n")  # EBCDIC's own line end
            block = text.encode("utf-8", "surrogatepass").replace(b"\xef\xbf\xbd", b"\xff")
        if is_first and block:
            is_first = False
            if encoding == "utf-8" or decode:
                block = block.removeprefix(codecs.BOM_UTF8)
        yield block


def _codec(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        "\n".encode(name)
    except (LookupError, UnicodeError):
        raise TableUnreadable("bad_encoding", "encoding", encoding, "the name of a text encoding") from None
    return name.removesuffix("-sig")


def _is_wide(encoding: str) -> bool:
    return "\n,".encode(encoding) != b"\n,"


def _shown(raw: bytes) -> str:
    text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n").replace("\0", "\\x00")
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."
