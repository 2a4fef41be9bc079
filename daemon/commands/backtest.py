"""``online-lstm backtest``: the same learner over a file, without Kafka, and what it scored."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rich.console import Console

from daemon import __version__
from daemon.commands.inputs import (
    FORMATS,
    Line,
    format_of,
    open_input,
    read_columns,
    read_lines,
    size_of,
)
from daemon.commands.progress import progress_bar
from daemon.errors import ExitCode, InputFileError, SettingsError
from daemon.records import InputRecord, TopicPartition
from daemon.settings import Settings, parse_assignments, read_settings

if TYPE_CHECKING:  # it loads what learning needs
    from daemon.commands.scorecard import Scorecard

HELP = "learn from a file instead of Kafka, and show the scores"
CHUNK = 500
"""Records that are taken at once; the outputs do not depend on it."""

STANDARD_OUTPUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a file, how it is read, and where the results go."""
    parser.add_argument("file", metavar="FILE", help="a value a line, JSON lines, or CSV; -: standard input")
    parser.add_argument("--format", choices=FORMATS, help="how FILE is read [default: by its suffix, else text]")
    parser.add_argument("--column", metavar="NAME", help="CSV: where the values are [default: the only column]")
    parser.add_argument("--key-column", metavar="NAME", help="CSV: where the keys are, which name the streams")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable")
    parser.add_argument("--config", type=Path, metavar="TOML", help="TOML file of settings")
    parser.add_argument("--json", metavar="REPORT", help="write the scores as JSON; -: standard output")
    parser.add_argument("--predictions", metavar="OUT", help="write the output messages, one a line")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Learn from the file and print what was scored."""
    settings = _settings(arguments)
    name = Path(arguments.file).name
    with ExitStack() as stack:
        file = stack.enter_context(open_input(arguments.file))
        report = _create(stack, "json", arguments)
        predictions = _create(stack, "predictions", arguments)
        with progress_bar("learning", size_of(arguments.file)) as show:
            lines = _showing(_values(file, arguments), file, show)
            scorecard = backtest(settings, name, lines, predictions=predictions)
        if report is not None:
            report.write(_report(settings, name, scorecard))
    scorecard.print(Console(stderr=STANDARD_OUTPUT in {arguments.json, arguments.predictions}, highlight=False), name)
    return ExitCode.OK


def backtest(
    settings: Settings,
    name: str,
    lines: Iterable[Line],
    *,
    predictions: BinaryIO | None = None,
    chunk: int = CHUNK,
) -> "Scorecard":
    """Learn from lines as if they were the records of partition 0 of a topic.

    Args:
        settings: How to read and to learn.
        name: The topic that the output messages name.
        lines: The values.
        predictions: Where the output messages go, one a line.
        chunk: Records taken at once.

    Raises:
        InputFileError: There are no lines.
    """
    from daemon.commands.networks import networks_of
    from daemon.commands.scorecard import Scorecard
    from daemon.partition import Partition, first_mark

    source = TopicPartition(name, 0)
    partition = Partition(settings, source, first_mark(settings, source, 0), networks_of(settings))
    scorecard = Scorecard()
    records = (InputRecord(name, 0, line.number, -1, line.key, line.value) for line in lines)
    while batch := list(islice(records, chunk)):
        processed = partition.process(batch)
        scorecard.add(processed)
        if predictions is not None:
            messages = [output.value or b"" for output in processed.outputs if not output.dead_letter]
            predictions.writelines(message + b"\n" for message in messages)
    if not scorecard.lines:
        raise InputFileError(f"{name}: received no values, expected at least one line that is not blank")
    return scorecard


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = read_settings(parse_assignments(arguments.set), config=arguments.config)
    if settings.value_format not in {"auto", "string"}:
        raise SettingsError(
            f"value_format: received {settings.value_format}, expected auto or string: a file has text, "
            "where the topic has the bytes of a serializer; --set value_format=auto"
        )
    if (arguments.column or arguments.key_column) and _format(arguments) != "csv":
        raise SettingsError(f"column: {arguments.file} is read as {_format(arguments)}, expected --format csv")
    return settings


def _format(arguments: argparse.Namespace) -> str:
    return arguments.format or format_of(arguments.file)


def _values(file: BinaryIO, arguments: argparse.Namespace) -> Iterator[Line]:
    """Read the file in its format; a JSON line is a value as it may stand in the topic."""
    if _format(arguments) == "csv":
        return read_columns(file, arguments.file, column=arguments.column, key_column=arguments.key_column)
    return (line for line in read_lines(file, arguments.file) if line.value.strip())


def _showing(lines: Iterable[Line], file: BinaryIO, show: Callable[[int], None]) -> Iterator[Line]:
    """Tell the progress bar now and then how many bytes were read."""
    for count, line in enumerate(lines):
        if count % CHUNK == 0 and file.seekable():
            show(file.tell())
        yield line


def _create(stack: ExitStack, option: str, arguments: argparse.Namespace) -> BinaryIO | None:
    """Open the file of an option for writing, before anything is learned."""
    path = getattr(arguments, option)
    if path is None:
        return None
    if path == STANDARD_OUTPUT:
        return sys.stdout.buffer
    try:
        if Path(path).exists() and Path(path).samefile(arguments.file):
            raise SettingsError(f"{option}: received {path}, which is the input; expected another file")
        return stack.enter_context(Path(path).open("wb"))
    except OSError as error:
        raise SettingsError(f"{option}: cannot write {path}: {error.strerror}; expected a new file's path") from error


def _report(settings: Settings, name: str, scorecard: "Scorecard") -> bytes:
    from daemon.network import fingerprint

    report = {
        "file": name,
        **scorecard.to_json(),
        "settings": settings.of_kind("shape") | settings.of_kind("learning"),
        "versions": {"online-lstm": __version__, **fingerprint()},
    }
    return json.dumps(report, indent=2, ensure_ascii=False).encode() + b"\n"
