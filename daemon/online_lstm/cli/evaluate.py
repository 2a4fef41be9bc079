"""``online-lstm evaluate``: run the learner on public benchmark protocols and compare it with published figures.

Every value is predicted before it is learned. Seeds below 1,000 serve to choose settings; the published figures are
measured from seed 1,000 on, and no setting was chosen on these seeds.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO

from rich.console import Console

from online_lstm.cli.options import add_assignments
from online_lstm.devtools.number_streams import series_of
from online_lstm.devtools.sample_data import Element, taxi
from online_lstm.devtools.symbol_streams import cases_of, logs_of
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.evaluation.benchmarks import PROTOCOLS, BenchmarkProtocol
from online_lstm.evaluation.seed_statistics import BEGIN, END, Comparison, insert_figures
from online_lstm.settings import Settings, parse_assignments, read_settings
from online_lstm.terminal.output_file import STANDARD_OUTPUT, create_output
from online_lstm.terminal.progress import progress_bar

FIRST_SEED = 1000
_FILES: Mapping[str, tuple[Callable[[str], Iterable[Element]], str]] = {
    "taxi": (taxi, "--taxi CSV: the file nyc_taxi.csv of the public repository htmresearch"),
    "data": (series_of, "--data FOLDER: a folder with CSV files that have two columns, a time and a number"),
    "processes": (cases_of, "--processes CSV: a file with the columns case and activity"),
    "logs": (logs_of, "--logs FOLDER: a folder with CSV files that have a column EventId"),
}
"""The options for the streams of protocols: how to read them, and what is expected."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the protocols, and options for seeds, data and reports."""
    parser.add_argument(
        "protocols", nargs="*", metavar="PROTOCOL", help=f"{', '.join(PROTOCOLS)} [default: all with available data]"
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="number of seeds per protocol [default: 5; high-order 10]"
    )
    parser.add_argument(
        "--first-seed",
        type=int,
        default=FIRST_SEED,
        metavar="N",
        help=f"first seed; seeds below {FIRST_SEED} serve to choose settings [default: {FIRST_SEED}]",
    )
    parser.add_argument("--taxi", metavar="CSV", help="file nyc_taxi.csv, for the protocols taxi and taxi-calendar")
    parser.add_argument(
        "--data", metavar="FOLDER", help="folder with CSV files of a time and a number, for the protocol ordinary"
    )
    parser.add_argument(
        "--processes", metavar="CSV", help="file with the columns case and activity, for the protocol processes"
    )
    parser.add_argument(
        "--logs", metavar="FOLDER", help="folder with CSV files that have a column EventId, for the protocol logs"
    )
    parser.add_argument(
        "--events", type=int, metavar="N", help="number of elements per stream [default: the protocol's]"
    )
    add_assignments(parser)
    parser.add_argument("--json", metavar="REPORT", help="write the figures as JSON; -: standard output")
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        help=f"write the figures as Markdown, between the lines {BEGIN.strip()} and {END} of the file; "
        "-: standard output",
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run the protocols and print the results."""
    from online_lstm.evaluation.accuracy_report import read_document, to_json, to_markdown
    from online_lstm.evaluation.benchmark_runner import compare

    protocols = _protocols(arguments)
    settings = [_settings(arguments, protocol.settings) for protocol in protocols]
    document = read_document(arguments.markdown)
    console = Console(stderr=STANDARD_OUTPUT in {arguments.json, arguments.markdown}, highlight=False)
    comparisons: list[Comparison] = []
    with ExitStack() as stack:
        report = _create(stack, "json", arguments.json)
        markdown = _create(stack, "markdown", arguments.markdown)
        for protocol, chosen in zip(protocols, settings, strict=True):
            seeds = range(arguments.first_seed, arguments.first_seed + (arguments.seeds or protocol.seeds))
            events = arguments.events or protocol.events
            with progress_bar(protocol.name, len(seeds) * events, unit="events") as show:
                comparisons.append(compare(chosen, protocol, seeds=seeds, events=events, show=show))
            comparisons[-1].print(console)
        if report is not None:
            report.write(to_json(_settings(arguments, {}), comparisons))
        if markdown is not None:
            figures = to_markdown(_settings(arguments, {}), comparisons)
            markdown.write(insert_figures(figures, document, arguments.markdown).encode())
    return ExitCode.OK


def _protocols(arguments: argparse.Namespace) -> list[BenchmarkProtocol]:
    for option, minimum in (("seeds", 1), ("first_seed", 0), ("events", 1)):
        received = getattr(arguments, option)
        if received is not None and received < minimum:
            raise SettingsError(f"{option}: received {received}, expected {minimum} or more")
    unknown = [name for name in arguments.protocols if name not in PROTOCOLS]
    if unknown:
        raise SettingsError(f"no protocol {unknown[0]!r}; expected some of {', '.join(PROTOCOLS)}")
    chosen = [PROTOCOLS[name] for name in dict.fromkeys(arguments.protocols or PROTOCOLS)]
    streams: dict[str, list[Element]] = {"": []}
    for option, (read, expected) in _FILES.items():
        path = getattr(arguments, option)
        wanted = any(protocol.file == option for protocol in chosen)
        if path is None and arguments.protocols and wanted:
            raise SettingsError(f"{option}: expected {expected}")
        if path is not None and wanted:
            streams[option] = list(read(path))  # an invalid file is reported before anything is learned
    return [_with_stream(protocol, streams[protocol.file]) for protocol in chosen if protocol.file in streams]


def _with_stream(protocol: BenchmarkProtocol, elements: list[Element]) -> BenchmarkProtocol:
    """Return a protocol with the elements of its file, if it has one."""
    if not protocol.file:
        return protocol
    events = min(protocol.events, len(elements))
    return replace(protocol, stream=lambda _, events: islice(elements, events), events=events)


def _settings(arguments: argparse.Namespace, needed: Mapping[str, Any]) -> Settings:
    given = parse_assignments(arguments.set)
    if "seed" in given:
        raise SettingsError(f"seed: received {given['seed']} with --set; expected --first-seed")
    if STANDARD_OUTPUT == arguments.json == arguments.markdown:
        raise SettingsError("markdown: received -, which --json writes to; expected another file")
    return read_settings({**given, **needed}, config=arguments.config)


def _create(stack: ExitStack, option: str, path: str | None) -> BinaryIO | None:
    return None if path is None else stack.enter_context(create_output(option, path))
