"""Columns of a delimited file as the values, keys, timestamps and labels of records.

The notation of numbers and times is detected from the whole file before the first row is yielded, and reported. A row
is one moment: a number that cannot be read counts as missing, and is counted.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NoReturn

from online_lstm.backtest.delimited import DelimitedFile, DelimitedRow, Dialect, rereadable
from online_lstm.backtest.input_files import Line
from online_lstm.backtest.notation import name_of_form, number_votes, since_1970, time_votes
from online_lstm.codec.cell_text import Markers, parse_label, quote
from online_lstm.codec.number_notation import PLAIN
from online_lstm.errors import InputFileError
from online_lstm.timestamps import EPOCH_UNITS, ISO

_BLANK = Markers()


def read_columns(
    file: BinaryIO,
    name: str,
    *,
    columns: Sequence[str] = (),
    key_column: str | None = None,
    time_column: str | None = None,
    label_column: str | None = None,
    markers: Markers | None = None,
    dialect: Dialect | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[Line]:
    """Yield the values of a CSV file with a header, with keys, timestamps and labels from other columns.

    The cells of several value columns form one vector, a JSON array.

    Args:
        file: The file; a file that can be read only once is copied to a temporary file first.
        name: Name of the file in messages.
        columns: Columns of the values; empty for the only column besides keys, timestamps and labels.
        key_column: Column of the keys, if any.
        time_column: Column of the timestamps, if any; a timestamp that cannot be read counts as missing.
        label_column: Column of the labels, if any.
        markers: Texts of missing numbers; None if the values are symbols.
        dialect: Format of the file, as far as given.
        notify: Called with a line about the detected format and a line about missing data, if there is any.

    Raises:
        InputFileError: A column does not exist, most of its cells cannot be read, or its notation is ambiguous.
    """
    dialect = dialect or Dialect()
    others = (key_column, time_column, label_column)
    names = [column for column in (*columns, *others) if column is not None]
    with rereadable(file) as again:
        cells = DelimitedFile(again, dialect=dialect, names=names)
        header = cells.header
        if not header:
            return
        key, time, label = [None if column is None else _column_index(column, header, name) for column in others]
        indices = [_column_index(column, header, name) for column in columns]
        if not indices:
            indices = [index for index in range(len(header)) if index not in {key, time, label}]
            if len(indices) != 1:
                raise InputFileError(
                    f"{name}: received the columns {', '.join(header)}; expected --column with the name of the column "
                    "of values"
                )
        numbers = [_NumberCells(header[index], index, cells.separator, dialect, markers) for index in indices]
        survey = _Survey(name, cells, dialect, numbers, key=key, time=time, label=label)
        for notice in survey.notices():
            notify(notice)
        yield from survey.lines()


def _column_index(column: str, header: Sequence[str], name: str) -> int:
    if column not in header:
        raise InputFileError(f"{name}: no column {column!r}; expected one of {', '.join(header)}")
    if header.count(column) > 1:
        raise InputFileError(f"{name}: received {header.count(column)} columns {column!r}, expected one: rename them")
    return header.index(column)


class _NumberCells:
    """A column of values: the notation of its numbers and the markers of missing ones, None for texts."""

    def __init__(self, name: str, index: int, separator: str, dialect: Dialect, markers: Markers | None) -> None:
        self.name, self.index = name, index
        self.markers = markers
        self.votes = number_votes(separator, dialect.decimal, dialect.thousands)
        self.missing = self.json = 0

    def add(self, cell: str, line: int) -> None:
        """Count one cell."""
        if self.markers is not None and cell in self.markers:
            self.missing += 1
        elif self._is_json(cell):
            self.json += 1
        else:
            self.votes.add(cell, line)

    def element(self, cell: str) -> str:
        """Return a cell as JSON; null for a missing or unreadable number."""
        number = self.votes.best.number(cell)
        if self.markers is None:
            return number[1] if number else quote(cell)
        if self._is_json(cell):
            return cell
        return "null" if cell in self.markers or number is None or number[0] in self.markers else number[1]

    def text(self, cell: str) -> str:
        """Return the cell of a single value column as the value of a record."""
        if self.markers is not None:
            element = self.element(cell)
            return "[null]" if element == "null" else element  # with a label, a plain null would not be a sample
        number = None if self.votes.best == PLAIN else self.votes.best.number(cell)
        return number[1] if number else cell

    @staticmethod
    def _is_json(cell: str) -> bool:
        return cell.lstrip()[:1] in {"[", "{", '"'}


class _Survey:
    """The findings over all rows: the notation of numbers and times, and the unreadable cells."""

    def __init__(
        self,
        name: str,
        cells: DelimitedFile,
        dialect: Dialect,
        numbers: Sequence[_NumberCells],
        *,
        key: int | None,
        time: int | None,
        label: int | None,
    ) -> None:
        self._name, self._cells, self._dialect, self._numbers = name, cells, dialect, numbers
        self._key, self._time, self._label = key, time, label
        self._markers = numbers[0].markers
        self._times = time_votes(dialect.time_format)
        self._rows = self._ragged = self._labels = 0
        self._first_ragged = ""
        for row in self._moments():
            self._add(row)
        if self._rows:
            self._require_readable()

    def lines(self) -> Iterator[Line]:
        """Yield the requested columns of each row; a row of the wrong length has no value."""
        for row in self._moments():
            values = [(one, "" if self._is_ragged(row) else self._cell(row, one.index)) for one in self._numbers]
            text = values[0][0].text(values[0][1])
            if len(values) > 1:
                text = f"[{', '.join(one.element(cell) for one, cell in values)}]"
            key = None if self._key is None else self._cell(row, self._key).encode()
            time = since_1970(self._cell(row, self._time), self._times.best)
            yield Line(row.line, text.encode(), key, -1 if time is None else time, self._label_in(row))

    def notices(self) -> Iterator[str]:
        """Yield a line about the detected format and a line about missing data, if there is any."""
        given, cells = self._dialect, self._cells
        notations = {str(one.votes.best): None for one in self._numbers if one.votes.best != PLAIN}
        assumed = {
            "encoding": "" if given.encoding or cells.encoding.startswith("utf-8") else cells.encoding,
            "separator": "" if given.separator or cells.separator == "," else repr(cells.separator),
            "numbers with": "" if given.decimal or given.thousands else " and ".join(notations),
            "times as": name_of_form(self._times.best) if self._times.cells and not given.time_format else "",
            "rows": "begin with their name" if cells.shift else "",
        }
        if any(assumed.values()):
            yield f"{self._name}: read as: {', '.join(f'{what} {how}' for what, how in assumed.items() if how)}"
        if faults := [*self._faults()]:
            yield f"{self._name}: of {self._rows:,} rows {'; '.join(faults)}"

    def _faults(self) -> Iterator[str]:
        if self._ragged:
            yield f"{self._ragged:,} of another length than the header, taken without values ({self._first_ragged})"
        for one in self._numbers:
            unread = one.votes.unread
            if one.markers is not None and one.missing:
                yield f"{one.missing:,} without {one.name}"
            if one.markers is not None and unread:
                yield f"{unread:,} whose {one.name} is no number, taken as missing ({one.votes.failure})"
        if self._times.unread:
            yield f"{self._times.unread:,} whose time is not read ({self._times.failure})"

    def _moments(self) -> Iterator[DelimitedRow]:
        """Yield the rows, including blank rows that may be missing numbers, but no blank rows at the end."""
        gaps: list[DelimitedRow] = []
        for row in self._cells.rows():
            if any(cell.strip() for cell in row.cells):
                yield from gaps
                gaps.clear()
                if row.cells != self._cells.header:  # concatenated files repeat the header
                    yield row
            elif self._markers is not None and self._key is None and len(row.cells or [""]) == len(self._cells.header):
                gaps.append(row)

    def _is_ragged(self, row: DelimitedRow) -> bool:
        return bool(row.cells) and len(row.cells) != len(self._cells.header) + self._cells.shift

    def _cell(self, row: DelimitedRow, index: int | None) -> str:
        index = len(row.cells) if index is None else index + self._cells.shift
        return row.cells[index] if index < len(row.cells) else ""

    def _label_in(self, row: DelimitedRow) -> str | None:
        cell = self._cell(row, self._label)
        return None if parse_label(cell, self._markers or _BLANK) is None else cell

    def _add(self, row: DelimitedRow) -> None:
        self._rows += 1
        if self._is_ragged(row):
            self._ragged += 1
            example = (
                f"the first in line {row.line + 1}: {len(row.cells)} cells, the header has {len(self._cells.header)}"
            )
            self._first_ragged = self._first_ragged or example
        else:
            for one in self._numbers:
                one.add(self._cell(row, one.index), row.line + 1)
        if (time := self._cell(row, self._time)) not in _BLANK:
            self._times.add(time, row.line + 1)
        self._labels += self._label_in(row) is not None

    def _require_readable(self) -> None:
        """Raise if most cells of a requested column cannot be read, or their notation is ambiguous."""
        if 2 * self._ragged > self._rows:
            self._refuse(f"most rows are of another length than the header ({self._first_ragged})", "--separator")
        for one in self._numbers if self._markers is not None else ():
            if 2 * one.votes.unread > one.votes.cells:
                self._refuse(
                    f"most cells of {one.name} are no numbers ({one.votes.failure})",
                    "--column, --decimal, --thousands or missing_values",
                )
            if not one.votes.cells and not one.json:
                self._refuse(f"every number of {one.name} is missing", "--column or missing_values")
        for one in self._numbers if self._cells.separator != "," else ():
            if one.votes.best != PLAIN and (rival := one.votes.rival):
                self._refuse(f"{one.name} can be read in two ways ({rival})", "--decimal or --thousands")
        forms = f"--time-format ({', '.join((*EPOCH_UNITS, ISO))}, or a pattern like %d/%m/%Y), or no --time-column"
        if rival := self._times.rival:
            self._refuse(f"times can be read in two ways ({rival})", forms)
        if 2 * self._times.unread > self._times.cells:
            self._refuse(f"most times are not read as times since 1970 of one form ({self._times.failure})", forms)
        if self._label is not None and not self._labels:
            self._refuse("every label is missing", "--label-column or missing_values")

    def _refuse(self, fault: str, options: str) -> NoReturn:
        raise InputFileError(f"{self._name}: {fault}; the way out is {options}")
