"""``online-lstm backtest``: the same learner over a file, without Kafka, and what it scored."""

import argparse
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from daemon.commands.inputs import (
    FORMATS,
    STANDARD_INPUT,
    Line,
    format_of,
    open_input,
    read_columns,
    read_lines,
    size_of,
)
from daemon.commands.outputs import STANDARD_OUTPUT, create_output
from daemon.commands.progress import progress_bar
from daemon.commands.sequences import ended
from daemon.commands.tables import console_for
from daemon.errors import ExitCode, SettingsError
from daemon.settings import Settings, parse_assignments, read_settings

if TYPE_CHECKING:  # it loads what learning needs
    from daemon.commands.scorecard import Scorecard
    from daemon.commands.training import Training

HELP = "learn from a file instead of Kafka, and show the scores"
HELD_OUT = 0.2
SHOWN_EVERY = 500
"""Lines between two looks at how far the file was read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a file, how it is read, and where the results go."""
    parser.add_argument("file", metavar="FILE", help="a value a line, JSON lines, or CSV; -: standard input")
    parser.add_argument("--format", choices=FORMATS, help="how FILE is read [default: by its suffix, else text]")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME",
        help="CSV: where the values are [default: the only column]; several times: vectors, empty cells are missing",
    )
    parser.add_argument("--key-column", metavar="NAME", help="CSV: where the keys are, which name the streams")
    parser.add_argument("--time-column", metavar="NAME", help="CSV: where the times are, ISO 8601 or milliseconds")
    parser.add_argument(
        "--label-column", metavar="NAME", help="CSV: where the labels are; the last row of a key ends its sequence"
    )
    parser.add_argument(
        "--task", metavar="TASK", help="what is predicted: symbol, number or label; short for --set task="
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; repeatable")
    parser.add_argument("--config", type=Path, metavar="TOML", help="TOML file of settings")
    parser.add_argument("--json", metavar="REPORT", help="write the scores as JSON; -: standard output")
    parser.add_argument(
        "--predictions", metavar="OUT", help="write the output messages, one a line; -: standard output"
    )
    parser.add_argument("--checkpoint", metavar="OUT", help="write what was learned, for `run --warm-start OUT`")
    passes = parser.add_argument_group("several passes over the file")
    passes.add_argument("--epochs", type=int, default=1, metavar="N", help="learn it so many times, keep the best")
    passes.add_argument(
        "--held-out", type=float, metavar="SHARE", help=f"judged by this last share [default: {HELD_OUT}]"
    )
    passes.add_argument("--plot", metavar="OUT", help="draw the losses by epoch (.png, .svg, .pdf)")


class Results(NamedTuple):
    """The files that were asked for, open for writing."""

    json: BinaryIO | None
    predictions: BinaryIO | None
    checkpoint: BinaryIO | None


def main(arguments: argparse.Namespace) -> ExitCode:
    """Learn from the file and print what was scored."""
    settings = _settings(arguments)
    _require_separate_files(arguments)
    _require_passes(arguments)
    name = os.fsencode(Path(arguments.file).name).decode(errors="replace")
    with ExitStack() as stack:
        file = stack.enter_context(open_input(arguments.file))
        results = Results(*[_create(stack, option, arguments) for option in Results._fields])
        take = _take_in_passes if arguments.epochs > 1 else _take_once
        scored = take(settings, name, file, arguments, results)
        if results.json is not None:
            results.json.write(_report(settings, name, scored.to_json()))
    scored.print(console_for(stderr=STANDARD_OUTPUT in {arguments.json, arguments.predictions}), name)
    return ExitCode.OK


def _take_once(
    settings: Settings, name: str, file: BinaryIO, arguments: argparse.Namespace, results: Results
) -> "Scorecard":
    """Learn from each line as it comes."""
    with progress_bar("learning", size_of(arguments.file), unit="bytes") as show:
        lines = _showing(_values(settings, file, arguments), file, show)
        return backtest(settings, name, lines, predictions=results.predictions, checkpoint=results.checkpoint)


def _take_in_passes(
    settings: Settings, name: str, file: BinaryIO, arguments: argparse.Namespace, results: Results
) -> "Training":
    """Learn in several passes; messages and checkpoint are those of the best one."""
    from daemon.checkpoint.hdf5 import pack
    from daemon.commands.training import plot, require_plot, train
    from daemon.network import fingerprint

    if arguments.plot is not None:
        require_plot(Path(arguments.plot))
    lines = list(_values(settings, file, arguments))
    held_out = HELD_OUT if arguments.held_out is None else arguments.held_out
    with progress_bar("learning", round(arguments.epochs * (1 - held_out) * len(lines)), unit="lines") as show:
        training = train(settings, name, lines, epochs=arguments.epochs, held_out=held_out, show=show)
    if results.predictions is not None:
        results.predictions.writelines(message + b"\n" for message in training.messages)
    if results.checkpoint is not None:
        results.checkpoint.write(pack(training.state, fingerprint()))
    if arguments.plot is not None:
        plot(training, Path(arguments.plot))
    return training


def backtest(
    settings: Settings,
    name: str,
    lines: Iterable[Line],
    *,
    predictions: BinaryIO | None = None,
    checkpoint: BinaryIO | None = None,
    chunk: int | None = None,
) -> "Scorecard":
    """Learn from lines as if they were the records of partition 0 of a topic.

    Args:
        settings: How to read and to learn.
        name: The topic that the output messages name.
        lines: The values.
        predictions: Where the output messages go, one a line.
        checkpoint: Where what was learned goes.
        chunk: Records taken at once, if not as many as usual.

    Raises:
        InputFileError: There are no values, or none that could be learned from.
    """
    from daemon.checkpoint.hdf5 import pack
    from daemon.commands.learning import CHUNK, beginning, learn
    from daemon.commands.scorecard import Scorecard
    from daemon.network import fingerprint

    partition, scorecard = beginning(settings, name)(), Scorecard(settings)
    for messages in learn(partition, lines, scorecard, chunk=chunk or CHUNK):
        if predictions is not None:
            predictions.writelines(message + b"\n" for message in messages)
    scorecard.require_events(name)
    if checkpoint is not None:
        checkpoint.write(pack(partition.state(), fingerprint()))
    return scorecard


def _settings(arguments: argparse.Namespace) -> Settings:
    task = {"task": arguments.task} if arguments.task else {}
    settings = read_settings({**parse_assignments(arguments.set), **task}, config=arguments.config)
    if settings.value_format not in {"auto", "string"}:
        raise SettingsError(
            f"value_format: received {settings.value_format}, expected auto or string: a file has text, "
            "where the topic has the bytes of a serializer; --set value_format=auto"
        )
    if settings.calendar and not arguments.time_column:
        raise SettingsError("calendar: received true without times, expected CSV with a --time-column")
    columns = (arguments.column, arguments.key_column, arguments.time_column, arguments.label_column)
    if any(columns) and _format(arguments) != "csv":
        raise SettingsError(f"column: {arguments.file} is read as {_format(arguments)}, expected --format csv")
    if arguments.label_column:
        _require_labels(settings, arguments)
    return settings


def _require_labels(settings: Settings, arguments: argparse.Namespace) -> None:
    """Refuse a column of labels where nothing would be done with it."""
    if settings.task != "label":
        raise SettingsError(f"label_column: expected --task label, received task {settings.task}")
    if not arguments.key_column:
        raise SettingsError("label_column: expected a --key-column as well: its keys tell the sequences apart")
    if settings.value_path or settings.label_path != "label":
        raise SettingsError(
            "label_column: expected value_path and label_path as they are by default: columns are named"
        )


def _format(arguments: argparse.Namespace) -> str:
    return arguments.format or format_of(arguments.file)


def _values(settings: Settings, file: BinaryIO, arguments: argparse.Namespace) -> Iterator[Line]:
    """Read the file in its format; a JSON line is a value as it may stand in the topic."""
    if _format(arguments) == "csv":
        lines = read_columns(
            file,
            arguments.file,
            columns=arguments.column,
            key_column=arguments.key_column,
            time_column=arguments.time_column,
            label_column=arguments.label_column,
            numbers=settings.task != "symbol",
        )
        return ended(lines) if arguments.label_column else lines
    return (line for line in read_lines(file, arguments.file) if line.value.strip())


def _showing(lines: Iterable[Line], file: BinaryIO, show: Callable[[int], None]) -> Iterator[Line]:
    """Tell the progress bar now and then how many bytes were read."""
    for count, line in enumerate(lines):
        if count % SHOWN_EVERY == 0 and file.seekable():
            show(file.tell())
        yield line


def _require_separate_files(arguments: argparse.Namespace) -> None:
    """Refuse to write two results, or a result and the input, to one place."""
    results = {
        "json": arguments.json,
        "predictions": arguments.predictions,
        "checkpoint": arguments.checkpoint,
        "plot": arguments.plot,
    }
    taken = {} if arguments.file == STANDARD_INPUT else {_place_of(arguments.file): "the input"}
    for option, path in results.items():
        if path is None:
            continue
        place = _place_of(path)
        if place in taken:
            raise SettingsError(f"{option}: received {path}, which is {taken[place]}; expected another file")
        taken[place] = f"where --{option} goes"


def _place_of(path: str) -> object:
    """Give what is equal for all paths of a file."""
    if path == STANDARD_OUTPUT:
        return path
    target = Path(path)
    return (target.stat().st_dev, target.stat().st_ino) if target.is_file() else target.resolve()


def _require_passes(arguments: argparse.Namespace) -> None:
    if arguments.epochs < 1:
        raise SettingsError(f"epochs: received {arguments.epochs}, expected at least 1")
    if arguments.epochs == 1 and (arguments.held_out is not None or arguments.plot is not None):
        raise SettingsError("held-out, plot: received without several passes, expected --epochs N beside them")
    if arguments.held_out is not None and not 0 < arguments.held_out < 1:
        raise SettingsError(f"held-out: received {arguments.held_out:g}, expected a share between 0 and 1")


def _create(stack: ExitStack, option: str, arguments: argparse.Namespace) -> BinaryIO | None:
    """Open the file of an option for writing, before anything is learned."""
    path = getattr(arguments, option)
    return None if path is None else stack.enter_context(create_output(option, path))


def _report(settings: Settings, name: str, figures: dict[str, Any]) -> bytes:
    from daemon.commands.networks import versions

    report = {
        "file": name,
        **figures,
        "settings": settings.of_kind("shape") | settings.of_kind("learning"),
        "versions": versions(),
    }
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
