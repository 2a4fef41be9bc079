"""``online-lstm broker``: a local Kafka broker for experiments."""

import argparse
from pathlib import Path
from tempfile import TemporaryFile

from online_lstm.errors import ExitCode, SettingsError
from online_lstm.home_directory import expand_home


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for port and data directory."""
    parser.add_argument(
        "--port", type=int, default=9092, metavar="PORT", help="port to listen on; 0: a free port [default: 9092]"
    )
    parser.add_argument(
        "--data",
        type=expand_home,
        metavar="DIR",
        help="directory that keeps the topics between runs [default: a temporary one]",
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run the broker until a signal."""
    from online_lstm.devtools.local_kafka import run_broker

    if not 0 <= arguments.port <= 65535:
        raise SettingsError(f"port: received {arguments.port}, expected a number from 0 (any free port) to 65535")
    if arguments.data is not None:
        _require_directory(arguments.data)
    return run_broker(arguments.port, arguments.data)


def _require_directory(path: Path) -> None:
    """Raise if the broker cannot write its topics to the directory."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise SettingsError(
            f"data: cannot keep topics in {path}: {error.strerror}; expected a directory, or the path of a new one"
        ) from error
