"""Streams of symbols in files: the events of business processes, and the templates of logs.

Symbols are numbered in the order in which they first occur, since elements are numbers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.delimited import DelimitedFile, Dialect, rereadable
from online_lstm.backtest.input_files import open_input
from online_lstm.devtools.sample_data import Element
from online_lstm.errors import InputFileError

TEMPLATE = "EventId"
"""The column of a log with the template of each line."""


def cases_of(path: str) -> Iterator[Element]:
    """Yield the activities of a CSV file with the columns case and activity; the key of a stream is the case.

    The first activity of a case is not scored.

    Raises:
        InputFileError: The file does not exist, or is not such a CSV file.
    """
    numbers: dict[Any, int] = {}
    cases: set[str] = set()
    with open_input(path) as file:
        for line in read_columns(file, path, columns=("activity",), key_column="case"):
            case = (line.key or b"").decode()
            yield Element(numbers.setdefault(line.value, len(numbers)), scored=case in cases, key=case)
            cases.add(case)


def logs_of(folder: str) -> Iterator[Element]:
    """Yield the templates of the CSV files below a folder that have the column ``EventId``, one file after another.

    The key of a stream is the path of its file. The first line of a log is not scored.

    Raises:
        InputFileError: There is no such file, or one of them cannot be read.
    """
    found = False
    for path in sorted(Path(folder).rglob("*.csv")):
        name = str(path.relative_to(folder))
        numbers: dict[Any, int] = {}
        with open_input(str(path)) as file, rereadable(file) as again:
            if TEMPLATE not in DelimitedFile(again, dialect=Dialect(), names=()).header:
                continue
            again.seek(0)
            for index, line in enumerate(read_columns(again, name, columns=(TEMPLATE,))):
                found = True
                yield Element(numbers.setdefault(line.value, len(numbers)), scored=index > 0, key=name)
    if not found:
        raise InputFileError(f"{folder}: received no CSV file with the column {TEMPLATE}, expected one for each log")
