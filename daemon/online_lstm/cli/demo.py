"""``online-lstm demo``: start a broker and a daemon for each of two streams, and read the predictions back.

The counting loop repeats after 27 values; the daily load has a season, noise, changes and outliers.
"""

import argparse

from online_lstm.errors import ExitCode, SettingsError
from online_lstm.shutdown import Shutdown, interrupt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the number of values and for keeping everything running."""
    parser.add_argument(
        "--events",
        type=int,
        metavar="N",
        help="number of values of each stream [default: 5000 of the counting loop, 2000 of the load]",
    )
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")
    parser.add_argument(
        "--install-s", type=float, metavar="SECONDS", help="duration of the installation, to be listed with the others"
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run the demonstration and print a summary."""
    if arguments.events is not None and arguments.events < 2:
        raise SettingsError(f"events: received {arguments.events}, expected 2 or more")
    from online_lstm.devtools.demonstration import demonstrate
    from online_lstm.devtools.elapsed_times import Durations

    durations = Durations()
    if arguments.install_s is not None:
        durations.add("install", arguments.install_s)
    with Shutdown(interrupt):  # closing the terminal stops everything, like Ctrl-C
        demonstrate(events=arguments.events, keep=arguments.keep, durations=durations)
    return ExitCode.OK
