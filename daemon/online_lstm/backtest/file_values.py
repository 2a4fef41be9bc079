"""The values of an input file, in whichever format it is, as the records of a topic would have them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.delimited import Dialect
from online_lstm.backtest.input_files import Format, Line, read_lines
from online_lstm.backtest.json_files import read_json
from online_lstm.backtest.sequence_ends import ended
from online_lstm.codec.cell_text import Markers
from online_lstm.settings import Settings


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The format of a file, and for CSV the names of its columns and its dialect; None or empty if not given."""

    format: Format
    columns: tuple[str, ...]
    key_column: str | None
    time_column: str | None
    label_column: str | None
    dialect: Dialect


def read_values(
    settings: Settings, file: BinaryIO, name: str, layout: FileLayout, *, notify: Callable[[str], None]
) -> Iterator[Line]:
    """Yield the values of a file; a JSON line is a value exactly as in a topic.

    Args:
        settings: The task, and the markers of missing numbers.
        file: The file, open for reading.
        name: Its name in messages.
        layout: Its format and columns.
        notify: Called with each line about the detected dialect.

    Raises:
        InputFileError: The file cannot be read in this format.
    """
    if layout.format == "csv":
        lines = read_columns(
            file,
            name,
            columns=layout.columns,
            key_column=layout.key_column,
            time_column=layout.time_column,
            label_column=layout.label_column,
            markers=None if settings.task == "symbol" else Markers(settings.missing_values),
            dialect=layout.dialect,
            notify=notify,
        )
        return ended(lines) if layout.label_column else lines
    if layout.format == "jsonl":
        lines = read_json(file, name, layout.dialect.encoding, notify=notify)
    else:
        lines = read_lines(file, layout.dialect.encoding)
    return _without_blanks(lines, kept=settings.task == "number")


def _without_blanks(lines: Iterable[Line], *, kept: bool) -> Iterator[Line]:
    """Drop blank lines; with ``kept``, blank lines between values stay, as missing numbers."""
    gaps: list[Line] = []
    for line in lines:
        if line.is_null or line.value.strip():
            yield from gaps
            gaps.clear()
            yield line
        elif kept:
            gaps.append(line)
