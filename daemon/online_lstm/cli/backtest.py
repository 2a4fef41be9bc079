"""``online-lstm backtest``: run the learner over a file, without Kafka, and report its scores."""

import argparse
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from rich.text import Text

from online_lstm.backtest.backtest_options import (
    add_dialect,
    dialect_of,
    format_asked,
    require_passes,
    require_separate_files,
    settings_of,
)
from online_lstm.backtest.columns import read_columns
from online_lstm.backtest.input_files import FORMATS, Line, open_input, read_lines, size_of
from online_lstm.backtest.sequence_ends import ended
from online_lstm.cli.options import add_assignments
from online_lstm.codec.cells import Markers
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.settings import Settings
from online_lstm.settings.presets import TASKS
from online_lstm.shutdown import Shutdown
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar
from online_lstm.terminal.tables import make_console

if TYPE_CHECKING:  # it loads what learning needs
    from online_lstm.backtest.epochs import Training
    from online_lstm.backtest.report.scorecard import Scorecard

HELP = "learn from a file instead of Kafka, and show the scores"
HELD_OUT = 0.2
SHOWN_EVERY = 500
"""Number of lines between two updates of the progress bar."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, and options for its format and the results."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="input file: one value per line, JSON lines, or CSV; -: standard input"
    )
    parser.add_argument("--format", choices=FORMATS, help="format of FILE [default: by its suffix, else text]")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME",
        help="CSV: column of the values; repeat it for vectors [default: the only column]",
    )
    parser.add_argument("--key-column", metavar="NAME", help="CSV: column of the keys, which identify the streams")
    parser.add_argument("--time-column", metavar="NAME", help="CSV: column of the timestamps")
    parser.add_argument(
        "--label-column", metavar="NAME", help="CSV: column of the labels; the last row of a key ends its sequence"
    )
    parser.add_argument(
        "--task", metavar="TASK", help="what is predicted: symbol, number or label; short for --set task="
    )
    add_assignments(parser)
    parser.add_argument("--json", metavar="REPORT", help="write the scores as JSON; -: standard output")
    parser.add_argument(
        "--predictions", metavar="OUT", help="write the output messages, one per line; -: standard output"
    )
    parser.add_argument("--report", metavar="OUT", help="write an HTML report with charts; -: standard output")
    parser.add_argument("--checkpoint", metavar="OUT", help="write the learned state, for `run --warm-start OUT`")
    add_dialect(parser)
    passes = parser.add_argument_group("several passes over the file")
    passes.add_argument(
        "--epochs", type=int, default=1, metavar="N", help="number of passes; the best one is kept [default: 1]"
    )
    passes.add_argument(
        "--held-out",
        type=float,
        metavar="SHARE",
        help=f"share at the end of the file that decides which pass is best [default: {HELD_OUT}]",
    )
    passes.add_argument("--plot", metavar="OUT", help="plot the loss by epoch (.png, .svg, .pdf)")
    compared = parser.add_argument_group("instead of a file")
    compared.add_argument("--compare", nargs=2, metavar=("A", "B"), help="compare two reports written by --json")


class Results(NamedTuple):
    """The requested output files, open for writing."""

    json: BinaryIO | None
    report: BinaryIO | None
    predictions: BinaryIO | None
    checkpoint: BinaryIO | None


def main(arguments: argparse.Namespace) -> ExitCode:
    """Learn from the file and print the scores, or compare two reports."""
    if arguments.compare is not None:
        from online_lstm.backtest.report.compare_reports import compare

        return compare(arguments)
    if arguments.file is None:
        raise SettingsError("backtest: received neither FILE nor --compare A B, expected one of them")
    settings = settings_of(arguments)
    require_separate_files(arguments)
    require_passes(arguments)
    name = os.fsencode(Path(arguments.file).name).decode(errors="replace")
    with ExitStack() as stack:
        file = stack.enter_context(open_input(arguments.file))
        results = Results(*[_create(stack, option, arguments) for option in Results._fields])
        with Shutdown(_announce_end) as shutdown:
            take = _take_in_passes if arguments.epochs > 1 else _take_once
            scored = take(settings, name, file, arguments=arguments, results=results, shutdown=shutdown)
        if results.json is not None or results.report is not None:
            _write(results, _report(settings, name, scored.to_json()))
    taken = STANDARD_OUTPUT in {arguments.json, arguments.report, arguments.predictions}
    scored.print(make_console(stderr=taken), name)
    if scored.interrupted:
        raise KeyboardInterrupt
    return ExitCode.OK


def _announce_end(number: signal.Signals) -> None:  # noqa: ARG001 - all signals are alike
    with suppress(OSError):  # the signal may have interrupted a print
        os.write(2, b"\nending with the records at hand; Ctrl-C once more ends at once\n")


def _take_once(
    settings: Settings,
    name: str,
    file: BinaryIO,
    *,
    arguments: argparse.Namespace,
    results: Results,
    shutdown: Shutdown,
) -> "Scorecard":
    """Learn from the lines in one pass."""
    with progress_bar("learning", size_of(arguments.file), unit="bytes") as show:
        lines = _showing(_values(settings, file, arguments), file, show)
        return backtest(
            settings,
            name,
            lines,
            predictions=results.predictions,
            checkpoint=results.checkpoint,
            shutdown=shutdown,
        )


def _take_in_passes(
    settings: Settings,
    name: str,
    file: BinaryIO,
    *,
    arguments: argparse.Namespace,
    results: Results,
    shutdown: Shutdown,
) -> "Training":
    """Learn in several passes; messages and checkpoint come from the best one."""
    from online_lstm.backtest.epochs import plot, require_plot, train
    from online_lstm.checkpoint.hdf5 import pack
    from online_lstm.learning.network import fingerprint

    if arguments.plot is not None:
        require_plot(Path(arguments.plot))
    lines = list(_values(settings, file, arguments))
    held_out = HELD_OUT if arguments.held_out is None else arguments.held_out
    with progress_bar("learning", round(arguments.epochs * (1 - held_out) * len(lines)), unit="lines") as show:
        training = train(
            settings,
            name,
            lines,
            epochs=arguments.epochs,
            held_out=held_out,
            show=show,
            shutdown=shutdown,
        )
    if results.predictions is not None:
        results.predictions.writelines(message + b"\n" for message in training.messages)
    if results.checkpoint is not None:
        results.checkpoint.write(pack(training.state.to_arrays(), fingerprint()))
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
    shutdown: Shutdown | None = None,
) -> "Scorecard":
    """Learn from lines as if they were the records of partition 0 of a topic.

    The results are complete for the learned lines, even after an interruption.

    Args:
        settings: Settings for decoding and learning.
        name: Topic name in the output messages.
        lines: The values.
        predictions: File for the output messages, one per line.
        checkpoint: File for the learned state.
        chunk: Number of records processed at once, if not the default.
        shutdown: A stop request ends the run before the last line.

    Raises:
        InputFileError: There are no values, or none could be learned.
        KeyboardInterrupt: The run was interrupted before anything was learned.
    """
    from online_lstm.backtest.report.scorecard import Scorecard
    from online_lstm.backtest.runner import CHUNK, beginning, learn
    from online_lstm.checkpoint.hdf5 import pack
    from online_lstm.learning.network import fingerprint

    partition, scorecard = beginning(settings, name)(), Scorecard(settings)
    for messages in learn(partition, lines, scorecard, chunk=chunk or CHUNK, shutdown=shutdown):
        if predictions is not None:
            predictions.writelines(message + b"\n" for message in messages)
    if scorecard.interrupted and not scorecard.events:
        raise KeyboardInterrupt
    scorecard.require_events(name)
    if checkpoint is not None:
        checkpoint.write(pack(partition.state().to_arrays(), fingerprint()))
    return scorecard


def _values(settings: Settings, file: BinaryIO, arguments: argparse.Namespace) -> Iterator[Line]:
    """Yield the values of the file; a JSON line is a value exactly as in a topic."""
    if format_asked(arguments) == "csv":
        lines = read_columns(
            file,
            arguments.file,
            columns=arguments.column,
            key_column=arguments.key_column,
            time_column=arguments.time_column,
            label_column=arguments.label_column,
            markers=None if settings.task == "symbol" else Markers(settings.missing_values),
            dialect=dialect_of(arguments),
            tell=lambda told: make_console(stderr=True).print(Text(told), soft_wrap=True),
        )
        return ended(lines) if arguments.label_column else lines
    lines = read_lines(file, arguments.encoding)
    return _without_blanks(lines, kept=settings.task == "number")


def _without_blanks(lines: Iterable[Line], *, kept: bool) -> Iterator[Line]:
    """Drop blank lines; with ``kept``, blank lines between values stay, as missing numbers."""
    gaps: list[Line] = []
    for line in lines:
        if line.value.strip():
            yield from gaps
            gaps.clear()
            yield line
        elif kept:
            gaps.append(line)


def _showing(lines: Iterable[Line], file: BinaryIO, show: Callable[[int], None]) -> Iterator[Line]:
    """Yield the lines, and update the progress bar with the number of bytes read."""
    for count, line in enumerate(lines):
        if count % SHOWN_EVERY == 0 and file.seekable():
            show(file.tell())
        yield line


def _create(stack: ExitStack, option: str, arguments: argparse.Namespace) -> BinaryIO | None:
    """Open the output file of an option, before anything is learned."""
    path = getattr(arguments, option)
    return None if path is None else stack.enter_context(create_output(option, path))


def _write(results: Results, report: dict[str, Any]) -> None:
    if results.json is not None:
        text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
        results.json.write(text.encode() + b"\n")
    if results.report is not None:
        from online_lstm.backtest.report.html_report import render

        results.report.write(render(report))


def _report(settings: Settings, name: str, figures: dict[str, Any]) -> dict[str, Any]:
    from online_lstm.learning.model_factory import versions

    chosen = settings.of_kind("shape") | settings.of_kind("learning")
    usual = Settings.model_construct(**TASKS[settings.task], task=settings.task)
    default = usual.of_kind("shape") | usual.of_kind("learning")
    return {
        "file": name,
        **figures,
        "settings": chosen,
        "changed_settings": [setting for setting, value in chosen.items() if value != default[setting]],
        "versions": versions(),
    }
