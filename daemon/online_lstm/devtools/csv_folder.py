"""One column of each CSV file below a folder, as values for benchmarks."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.delimited import DelimitedFile, Dialect, rereadable
from online_lstm.backtest.input_files import Line, open_input
from online_lstm.codec.cell_text import Markers
from online_lstm.errors import InputFileError


def columns_below(
    folder: str, column_of: Callable[[Sequence[str]], str | None], expected: str, *, markers: Markers | None = None
) -> Iterator[tuple[str, Line]]:
    """Yield the lines of the files, one file after another by name, each with the path of its file below the folder.

    Args:
        folder: The folder.
        column_of: Returns the column of a file by its header, None to leave the file out.
        expected: The files, and what is expected, for the error.
        markers: Texts of missing numbers; None if the values are symbols.

    Raises:
        InputFileError: There is no such file, or one of them cannot be read.
    """
    found = False
    for path in sorted(Path(folder).rglob("*.csv")):
        name = str(path.relative_to(folder))
        with open_input(str(path)) as file, rereadable(file) as again:
            column = column_of(DelimitedFile(again, dialect=Dialect(), names=()).header)
            if column is None:
                continue
            again.seek(0)
            for line in read_columns(again, name, columns=(column,), markers=markers):
                found = True
                yield name, line
    if not found:
        raise InputFileError(f"{folder}: received no CSV file with {expected}")
