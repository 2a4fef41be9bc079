"""Files of cells: encoding, separator and quotes, found from the file unless they are given.

It gives rows of text with their lines, and knows nothing of what the cells mean. Quotes are the affair of the standard
library's ``csv``; a quote that is open where it should not be costs its own row and no other.
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
"""A quoted cell that has no end within so many lines was not meant to be one."""
SEPARATORS = (",", ";", "\t", "|")
SURVEYED_ROWS = 100
"""Rows that the separator is found from."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_REPLACEMENT = "\ufffd"

csv.field_size_limit(2**31 - 1)  # the limit of a value is that of the topic, and other cells have none


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a file are written, as far as it is given; None is found from the file."""

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    time_format: str | None = None


class DelimitedRow(NamedTuple):
    """The cells of one row, and the number of its first line from 0; there are none in a blank line."""

    line: int
    cells: list[str]


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding that the mark at the start of a file names, None without a mark."""
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


class DelimitedFile:
    """The header and the rows of a ``rereadable`` file of cells.

    ``shift`` is 1 where the rows have a name as their first cell that the header has not.
    """

    def __init__(self, file: BinaryIO, *, dialect: Dialect, names: Sequence[str]) -> None:
        self._file = file
        self.encoding = dialect.encoding or self._encoding()
        self.separator = dialect.separator or max(SEPARATORS, key=lambda one: self._likelihood(one, names))
        self.header = self._header(self.separator)
        widths = [len(row.cells) for row in self._sample(self.separator)]
        self.shift = int(sum(width == len(self.header) + 1 for width in widths) > len(widths) / 2)

    def rows(self) -> Iterator[DelimitedRow]:
        """Yield the rows after the header, without comments, and without cells that are too many and blank."""
        return islice(self._rows(self.separator), 1, None)

    def _sample(self, separator: str) -> list[DelimitedRow]:
        with closing(self._rows(separator)) as rows:
            return [row for row in islice(rows, 1, SURVEYED_ROWS) if row.cells]

    def _header(self, separator: str) -> list[str]:
        with closing(self._rows(separator)) as rows:
            first = next(rows, None)
        return [] if first is None else first.cells

    def _likelihood(self, separator: str, names: Sequence[str]) -> tuple[bool, float, int]:
        """Judge a separator: by the names that are asked for, the rows that are as wide as the header, its width."""
        header, rows = self._header(separator), self._sample(separator)
        alike = sum(len(row.cells) == len(header) for row in rows) if len(header) > 1 else 0
        return set(names) <= set(header), alike / max(1, len(rows)), len(header)

    def _rows(self, separator: str) -> Generator[DelimitedRow, None, None]:
        """Yield the header, and then the other rows."""
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
            if not self._file.closed:  # as it is when whoever read the rows gave up on them
                text.detach()

    def _encoding(self) -> str:
        """Return UTF-8, or what the file's mark says; without one windows-1252 where most of what is no ASCII fits."""
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
    """Yield a file that can be read several times: a copy of what comes from a pipe."""
    if file.seekable():
        yield file
        return
    with TemporaryFile() as copy:
        shutil.copyfileobj(file, copy)
        yield copy


def _cells_of(
    line: str, lines: Iterator[str], ahead: deque[str], *, separator: str, width: int
) -> tuple[list[str], int]:
    """Split a line into cells, with the lines that belong to it as a quote is open, and return how many these are.

    Lines that were looked at and do not belong to it are left in ``ahead``.
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
    """Return the cells of a row, None if it is none where this is asked for strictly."""
    try:
        return next(csv.reader([text], delimiter=separator, strict=strict, quoting=quoting), [])  # type: ignore[arg-type]
    except csv.Error:
        return None


def _trimmed(cells: list[str], width: int) -> list[str]:
    """Leave out blank cells beyond a width."""
    while len(cells) > width and not cells[-1].strip():
        cells.pop()
    return cells
