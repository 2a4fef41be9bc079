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

from online_lstm.backtest.file_values import read_values
from online_lstm.backtest.input_files import FORMATS, Line, open_input, size_of
from online_lstm.cli.backtest_options import (
    add_dialect,
    require_alone,
    require_passes,
    require_separate_files,
    settings_of,
)
from online_lstm.cli.options import add_assignments
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.settings import Settings
from online_lstm.shutdown import Shutdown
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar
from online_lstm.terminal.tables import make_console

if TYPE_CHECKING:  # they load what learning needs
    from online_lstm.backtest.epochs import Training
    from online_lstm.backtest.report.scorecard import Scorecard

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

        require_alone(arguments)
        compare(arguments.compare, {"json": arguments.json, "report": arguments.report})
        return ExitCode.OK
    if arguments.file is None:
        raise SettingsError("backtest: received neither FILE nor --compare A B, expected one of them")
    settings, layout = settings_of(arguments)
    require_separate_files(arguments)
    require_passes(arguments)
    name = os.fsencode(Path(arguments.file).name).decode(errors="replace")
    with ExitStack() as stack:
        file = stack.enter_context(open_input(arguments.file))
        results = Results(*[_create(stack, option, arguments) for option in Results._fields])
        lines = read_values(settings, file, arguments.file, layout, notify=_notify)
        with Shutdown(_announce_end) as shutdown:
            scored: Scorecard | Training
            if arguments.epochs > 1:
                scored = _learn_in_passes(settings, name, lines, arguments=arguments, shutdown=shutdown)
                scored.write(predictions=results.predictions, checkpoint=results.checkpoint)
            else:
                from online_lstm.backtest.runner import backtest

                with progress_bar("learning", size_of(arguments.file), unit="bytes") as show:
                    scored = backtest(
                        settings,
                        name,
                        _showing(lines, file, show),
                        predictions=results.predictions,
                        checkpoint=results.checkpoint,
                        shutdown=shutdown,
                    )
        _write_reports(results, settings, name, scored.to_json())
    taken = STANDARD_OUTPUT in {arguments.json, arguments.report, arguments.predictions}
    scored.print(make_console(stderr=taken), name)
    if scored.interrupted:
        raise KeyboardInterrupt
    return ExitCode.OK


def _learn_in_passes(
    settings: Settings, name: str, lines: Iterable[Line], *, arguments: argparse.Namespace, shutdown: Shutdown
) -> "Training":
    """Learn in several passes, and plot them if asked to."""
    from online_lstm.backtest.epochs import plot, require_plot, train

    if arguments.plot is not None:
        require_plot(Path(arguments.plot))
    read = list(lines)
    held_out = HELD_OUT if arguments.held_out is None else arguments.held_out
    with progress_bar("learning", round(arguments.epochs * (1 - held_out) * len(read)), unit="lines") as show:
        training = train(settings, name, read, epochs=arguments.epochs, held_out=held_out, show=show, shutdown=shutdown)
    if arguments.plot is not None:
        plot(training, Path(arguments.plot))
    return training


def _announce_end(number: signal.Signals) -> None:  # noqa: ARG001 - all signals are alike
    with suppress(OSError):  # the signal may have interrupted a print
        os.write(2, b"\nending with the records at hand; Ctrl-C once more ends at once\n")


def _notify(line: str) -> None:
    make_console(stderr=True).print(Text(line), soft_wrap=True)


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


def _write_reports(results: Results, settings: Settings, name: str, figures: dict[str, Any]) -> None:
    if results.json is None and results.report is None:
        return
    from online_lstm.backtest.report.html_report import render
    from online_lstm.backtest.report.report_content import report_content

    content = report_content(settings, name, figures)
    if results.json is not None:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        results.json.write(text.encode() + b"\n")
    if results.report is not None:
        results.report.write(render(content))
