"""``online-lstm bench``: measure speed on this machine, from the learning engine alone to Kafka and back."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from online_lstm import logs
from online_lstm.errors import ExitCode, SettingsError
from online_lstm.settings import read_settings

if TYPE_CHECKING:  # it loads TensorFlow and the Kafka client
    from online_lstm.evaluation.speed import BenchFigure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the number of events and the output format."""
    parser.add_argument(
        "--events", type=int, default=50_000, metavar="N", help="number of values in the backlog [default: 50000]"
    )
    parser.add_argument(
        "--live", type=int, default=200, metavar="N", help="number of values sent one by one [default: 200]"
    )
    parser.add_argument("--json", action="store_true", help="write the figures as JSON")


def main(arguments: argparse.Namespace) -> ExitCode:
    """Measure with the settings of the environment, and print the figures."""
    from online_lstm.evaluation.speed import engine_figures, kafka_figures, machine, partition_figure

    for name in ("events", "live"):
        if getattr(arguments, name) < 2:
            raise SettingsError(f"{name}: received {getattr(arguments, name)}, expected 2 or more")
    settings = read_settings()
    if settings.task != "symbol":
        raise SettingsError(f"task: received {settings.task}, expected symbol, the task that is measured")
    logs.configure_command(level=settings.log_level, style=settings.log_format, secrets=settings.secrets())
    announce = Console(stderr=True, highlight=False).print
    announce("measuring the engine and the partition")
    figures = [*engine_figures(settings), partition_figure(settings)]
    figures += kafka_figures(events=arguments.events, live=arguments.live, announce=announce)
    if arguments.json:
        written = {"figures": [asdict(figure) for figure in figures], "machine": machine()}
        sys.stdout.write(json.dumps(written, indent=2) + "\n")
    else:
        _print(figures, machine())
    return ExitCode.OK


def _print(figures: Sequence["BenchFigure"], machine: Mapping[str, object]) -> None:
    table = Table("what", Column("figure", justify="right"), "unit")
    for figure in figures:
        precision = 3 if figure.value < 1 else 1 if figure.value < 1000 else 0
        table.add_row(Text(figure.what), f"{figure.value:,.{precision}f}", figure.unit)
    console = Console(highlight=False)
    console.print(table)
    for name, value in machine.items():
        console.print(Text(f"{name}: {value}"), soft_wrap=True)
