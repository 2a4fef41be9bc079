"""Input files and standard input, as sources of values instead of Kafka.

A line is read as the bytes that a record of the input topic would have; the codec decodes them.
"""

import codecs
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from online_lstm.backtest.compressed import SUFFIXES, decompressed
from online_lstm.backtest.delimited import marked_encoding
from online_lstm.errors import InputFileError
from online_lstm.home_directory import expand_home

Format = Literal["text", "csv", "jsonl"]
FORMATS: tuple[Format, ...] = get_args(Format)
STANDARD_INPUT = "-"

_FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One value of a file: line number from 0, bytes of value and key, and timestamp, -1 if missing.

    ``label`` is the text of the label cell, None without a label column. ``is_null`` says that the value is a record's
    null instead of ``value``.
    """

    number: int
    value: bytes
    key: bytes | None = None
    timestamp_ms: int = -1
    label: str | None = None
    is_null: bool = False


def format_of(path: str) -> Format:
    """Return the format of a file by its suffix, before that of a compression; text for any other suffix.

    >>> format_of("june.csv"), format_of("june.jsonl.gz"), format_of("-")
    ('csv', 'jsonl', 'text')
    """
    name = Path(path)
    name = name.with_suffix("") if name.suffix.lower() in SUFFIXES else name
    return _FORMAT_OF_SUFFIX.get(name.suffix.lower(), "text")


@contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for ``-``; the content of a compressed file is decompressed.

    Raises:
        InputFileError: The file does not exist, or cannot be read.
    """
    if path == STANDARD_INPUT:
        try:
            os.read(0, 0)
        except OSError as error:  # standard input is closed, or open for writing only
            raise InputFileError(
                f"standard input: {error.strerror}; expected values on standard input, or the path of a file"
            ) from error
        yield decompressed(sys.stdin.buffer, "standard input")  # type: ignore[arg-type]
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(expand_home(path).open("rb"))
        except OSError as error:
            raise InputFileError(
                f"{path}: {error.strerror}; expected a file of values, or - for standard input"
            ) from error
        yield decompressed(file, path)


def size_of(path: str) -> int | None:
    """Return the size of a file in bytes, None for a pipe, a device or a compressed file."""
    file = Path(path)
    return file.stat().st_size if file.is_file() and file.suffix.lower() not in SUFFIXES else None


def read_lines(file: BinaryIO, encoding: str | None = None) -> Iterator[Line]:
    """Yield every line, including blank ones, without its line ending.

    The bytes are unchanged; with an encoding, or a byte order mark of UTF-16 or UTF-32, the text is converted to UTF-8.
    """
    first = file.readline()
    encoding = encoding or marked_encoding(first[:4])
    lines: Iterable[bytes] = chain([first] if first else [], file)
    if encoding not in {None, "utf-8-sig"}:
        lines = _in_utf8(lines, encoding)
    for number, line in enumerate(lines):
        content = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
        yield Line(number, content.removesuffix(b"\n").removesuffix(b"\r"))


def _in_utf8(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    rest = ""
    for text in codecs.iterdecode(chunks, encoding, errors="replace"):
        *lines, rest = (rest + text).split("\n")
        yield from (line.encode() for line in lines)
    if rest:
        yield rest.encode()
