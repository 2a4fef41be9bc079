"""Delimited text files (CSV): encoding, separator and quotes, detected unless they are given.

The module yields rows of text with their line numbers, and does not know the meaning of the cells. The standard
library's ``csv`` handles the quotes; a stray opening quote damages its own row only.
"""

import codecs
import csv
import io
import shutil
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

MAX_ROW_LINES = 100
"""Maximum number of lines of a quoted cell; beyond it, the quote is taken as an ordinary character."""
SEPARATORS = (",", ";", "\t", "|")
SURVEYED_ROWS = 100
"""Number of rows from which the separator is detected."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # starts like the mark of UTF-16, so it is tested first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_REPLACEMENT = "\ufffd"

csv.field_size_limit(2**31 - 1)  # the topic limits the size of a value; other cells have no limit


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of the cells of a file; None means that the format is detected."""

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    time_format: str | None = None


class DelimitedRow(NamedTuple):
    """The cells of one row and the number of its first line, from 0; a blank line has no cells."""

    line: int
    cells: list[str]


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding of the byte order mark at the start of a file, None without a mark."""
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


class DelimitedFile:
    """The header and rows of a ``rereadable`` delimited file.

    ``shift`` is 1 if the rows begin with a row name, for which the header has no column; else 0.
    """

    def __init__(self, file: BinaryIO, *, dialect: Dialect, names: Sequence[str]) -> None:
        self._file = file
        self.encoding = dialect.encoding or self._encoding()
        self.separator = dialect.separator or max(SEPARATORS, key=lambda one: self._likelihood(one, names))
        self.header = self._header(self.separator)
        widths = [len(row.cells) for row in self._sample(self.separator)]
        self.shift = int(sum(width == len(self.header) + 1 for width in widths) > len(widths) / 2)

    def rows(self) -> Iterator[DelimitedRow]:
        """Yield the rows after the header, without comments and without surplus blank cells."""
        return islice(self._rows(self.separator), 1, None)

    def _sample(self, separator: str) -> list[DelimitedRow]:
        with closing(self._rows(separator)) as rows:
            return [row for row in islice(rows, 1, SURVEYED_ROWS) if row.cells]

    def _header(self, separator: str) -> list[str]:
        with closing(self._rows(separator)) as rows:
            first = next(rows, None)
        return [] if first is None else first.cells

    def _likelihood(self, separator: str, names: Sequence[str]) -> tuple[bool, float, int]:
        """Rank a separator: requested columns found, share of rows as wide as the header, width of the header."""
        header, rows = self._header(separator), self._sample(separator)
        alike = sum(len(row.cells) == len(header) for row in rows) if len(header) > 1 else 0
        return set(names) <= set(header), alike / max(1, len(rows)), len(header)

    def _rows(self, separator: str) -> Generator[DelimitedRow, None, None]:
        """Yield the header, then the other rows."""
        width = 0
        with self._text() as text:
            ahead: deque[str] = deque()
            number = 0
            while line := ahead.popleft() if ahead else next(text, ""):
                cells, further = _cells_of(line, text, ahead, separator=separator, width=width)
                row, number = DelimitedRow(number, cells), number + 1 + further
                if not width:
                    header = [cell.strip() for cell in _trimmed(cells, 0)]
                    if header and not header[0].startswith("#"):
                        width = len(header)
                        yield row._replace(cells=header)
                elif not (cells and cells[0].startswith("#") and len(cells) != width):
                    yield row

    @contextmanager
    def _text(self) -> Iterator[io.TextIOWrapper]:
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding=self.encoding, errors="replace", newline="")
        try:
            yield text
        finally:
            if not self._file.closed:  # closed if the reader abandoned the rows
                text.detach()

    def _encoding(self) -> str:
        """Return the encoding of the byte order mark; without one, UTF-8, or cp1252 if most non-ASCII is invalid."""
        self._file.seek(0)
        marked = marked_encoding(self._file.read(4))
        if marked is not None:
            return marked
        self.encoding, fits, does_not = "utf-8", 0, 0
        with self._text() as text:
            for line in text:
                if not line.isascii():
                    unknown = line.count(_REPLACEMENT)
                    does_not += unknown
                    fits += sum(not character.isascii() for character in line) - unknown
        return "cp1252" if does_not > fits else "utf-8"


@contextmanager
def rereadable(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield a file that can be read several times; the content of a pipe is copied to a temporary file."""
    if file.seekable():
        yield file
        return
    with TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        yield copy


def _cells_of(
    line: str, lines: Iterator[str], ahead: deque[str], *, separator: str, width: int
) -> tuple[list[str], int]:
    """Split a line into cells, together with the further lines of an open quote, and return the number of these.

    Lines that were read but belong to later rows stay in ``ahead``.
    """
    cells = _split(line, separator, strict=True)
    if cells is not None:
        return _trimmed(cells, width), 0
    text = line
    for count in range(1, MAX_ROW_LINES):
        if count > len(ahead) and not (further := next(lines, "")):
            break
        if count > len(ahead):
            ahead.append(further)
        text += ahead[count - 1]
        if text.count('"') % 2 == 0:
            cells = _split(text, separator, strict=True)
            if cells is not None and (not width or len(_trimmed(cells, width)) in {width, width + 1}):
                for _ in range(count):
                    ahead.popleft()
                return _trimmed(cells, width), count
            break
    tolerant = _split(line, separator, strict=False) or []
    literal = _split(line, separator, strict=False, quoting=csv.QUOTE_NONE) or []
    return _trimmed(literal if len(_trimmed(tolerant, width)) != width else tolerant, width), 0


def _split(text: str, separator: str, *, strict: bool, quoting: int = csv.QUOTE_MINIMAL) -> list[str] | None:
    """Return the cells of a row; None if ``strict`` and the row is invalid."""
    try:
        return next(csv.reader([text], delimiter=separator, strict=strict, quoting=quoting), [])  # type: ignore[arg-type]
    except csv.Error:
        return None


def _trimmed(cells: list[str], width: int) -> list[str]:
    """Remove blank cells beyond a width."""
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    return cells
