"""Where values come from when not from Kafka: files and standard input.

It reads lines and cells as the bytes that a record of the input topic would have; what they mean is the codec's
affair.
"""

import csv
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from daemon.errors import InputFileError
from daemon.homes import expand_home
from daemon.times import milliseconds_of

Format = Literal["text", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)
STANDARD_INPUT = "-"
MOST_MILLISECONDS = 2**63 - 1

_FORMAT_OF_SUFFIX: dict[str, Format] = {".csv": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Line:
    """One value of a file: the number of its line from 0, the bytes of value and key, and the time, -1 for none.

    ``label`` is the text of the cell of a label, None where there is no column of labels.
    """

    number: int
    value: bytes
    key: bytes | None = None
    timestamp_ms: int = -1
    label: str | None = None


def format_of(path: str) -> Format:
    """Say by the suffix how a file is read; whatever has none of the known ones is text.

    >>> format_of("june.csv"), format_of("-")
    ('csv', 'text')
    """
    return _FORMAT_OF_SUFFIX.get(Path(path).suffix.lower(), "text")


@contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for ``-``.

    Raises:
        InputFileError: There is no such file, or it cannot be read.
    """
    if path == STANDARD_INPUT:
        try:
            os.read(0, 0)
        except OSError as error:  # it is closed, or open for writing only
            raise InputFileError(
                f"standard input: {error.strerror}; expected values on standard input, or the path of a file"
            ) from error
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(expand_home(path).open("rb"))
        except OSError as error:
            raise InputFileError(
                f"{path}: {error.strerror}; expected a file of values, or - for standard input"
            ) from error
        yield file


def size_of(path: str) -> int | None:
    """Give a file's size in bytes, None where only its end tells."""
    return Path(path).stat().st_size if Path(path).is_file() else None


def read_lines(file: BinaryIO, name: str) -> Iterator[Line]:
    """Give every line as it is, blank ones too, without what ends it.

    Raises:
        InputFileError: It is UTF-16.
    """
    for number, line in enumerate(file):
        if number == 0 and line.startswith(_UTF16_MARKS):
            raise InputFileError(f"{name}: received UTF-16, expected UTF-8: iconv -f UTF-16 -t UTF-8 converts it")
        content = line.removeprefix(_UTF8_MARK) if number == 0 else line
        yield Line(number, content.removesuffix(b"\n").removesuffix(b"\r"))


def read_columns(
    file: BinaryIO,
    name: str,
    *,
    columns: Sequence[str] = (),
    key_column: str | None = None,
    time_column: str | None = None,
    label_column: str | None = None,
    numbers: bool = False,
) -> Iterator[Line]:
    """Give the cells of one column of CSV with a header, with the cells of other ones as keys and time stamps.

    The cells of several columns are one vector, a JSON array; one of them that is empty is missing, ``null``; so is one
    that is alone, of ``numbers``.

    Args:
        file: UTF-8 text.
        name: What messages call it.
        columns: Where the values are; none means the only column beside keys and times.
        key_column: Where the keys are, if there are any.
        time_column: Where the times are, if there are any: ISO 8601, UTC where it does not say, or milliseconds since
            1970. What is neither is none.
        label_column: Where the labels are, if there are any.
        numbers: Whether the values are numbers, which may be missing.

    Raises:
        InputFileError: A column is missing, or the file is neither UTF-8 nor CSV.
    """
    rows = _read_rows(file, name)
    _, header = next(rows, (0, []))
    if not header:
        return
    key_place = None if key_column is None else _place_of(key_column, header, name)
    time_place = None if time_column is None else _place_of(time_column, header, name)
    label_place = None if label_column is None else _place_of(label_column, header, name)
    others = [place for place in range(len(header)) if place not in {key_place, time_place, label_place}]
    if not columns and len(others) != 1:
        raise InputFileError(f"{name}: received the columns {', '.join(header)}; --column says which has the values")
    places = [_place_of(column, header, name) for column in columns] or others
    for number, row in rows:
        cells = dict(enumerate(row))
        key = None if key_place is None else cells.get(key_place, "").encode()
        time = -1 if time_place is None else _milliseconds(cells.get(time_place, ""))
        values = [cells.get(place, "") for place in places]
        alone = len(values) == 1 and bool(values[0].strip() or not numbers)
        label = None if label_place is None else cells.get(label_place, "")
        yield Line(number, (values[0] if alone else _vector(values)).encode(), key, time, label)


def _vector(cells: Sequence[str]) -> str:
    """Write cells as a JSON array: numbers as they stand there, other text as strings, which a learner refuses.

    >>> _vector(["0.10", "", "n/a", "+2"])
    '[0.10, null, "n/a", 2.0]'
    """
    return f"[{', '.join(map(_element, map(str.strip, cells)))}]"


def _element(cell: str) -> str:
    if not cell:
        return "null"
    if _JSON_NUMBER.fullmatch(cell):
        return cell
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    return repr(number) if math.isfinite(number) else json.dumps(cell, ensure_ascii=False)


def _milliseconds(text: str) -> int:
    """Read a time stamp.

    >>> [_milliseconds(text) for text in ("1970-01-01 00:00:01", "1970-01-01T01:00:00+01:00", "5", "T")]
    [1000, 0, 5, -1]
    """
    if text.isascii() and text.isdecimal():
        return min(int(text), MOST_MILLISECONDS)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return -1
    return max(-1, milliseconds_of(moment))


def _read_rows(file: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """Give rows that are not blank, each with the number of its first line from 0."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    rows = csv.reader(text, strict=True)
    try:
        number = 0
        for row in rows:
            if row:
                yield number, row
            number = rows.line_num
    except UnicodeDecodeError as error:
        raise InputFileError(f"{name}: received {error.object[error.start :][:1]!r}; expected CSV in UTF-8") from error
    except csv.Error as error:
        raise InputFileError(f"{name}: line {rows.line_num}: {error}; expected CSV") from error
    finally:
        if not file.closed:  # as it is when whoever read the rows gave up on them
            text.detach()


def _place_of(column: str, header: Sequence[str], name: str) -> int:
    if column not in header:
        raise InputFileError(f"{name}: no column {column!r}; expected one of {', '.join(header)}")
    return header.index(column)
