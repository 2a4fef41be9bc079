"""Streams of symbols in files: the events of business processes, and the templates of logs.

Symbols are numbered in the order in which they first occur, since elements are numbers.
"""

from collections import defaultdict
from collections.abc import Iterator

from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.input_files import open_input
from online_lstm.devtools.csv_folder import columns_below
from online_lstm.devtools.sample_data import Element

TEMPLATE = "EventId"
"""The column of a log with the template of each line."""


def cases_of(path: str) -> Iterator[Element]:
    """Yield the activities of a CSV file with the columns case and activity; the key of a stream is the case.

    The first activity of a case is not scored.

    Raises:
        InputFileError: The file does not exist, or is not such a CSV file.
    """
    numbers: dict[bytes, int] = {}
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
    numbers: defaultdict[str, dict[bytes, int]] = defaultdict(dict)
    expected = f"the column {TEMPLATE}, expected one for each log"
    for name, line in columns_below(folder, lambda header: TEMPLATE if TEMPLATE in header else None, expected):
        known = numbers[name]
        scored = len(known) > 0
        yield Element(known.setdefault(line.value, len(known)), scored=scored, key=name)
