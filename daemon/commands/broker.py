"""``online-lstm broker``: a Kafka broker for trying things out, where there is none."""

import argparse
from pathlib import Path

from daemon.errors import ExitCode, SettingsError

HELP = "run a local Kafka broker, until Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where it listens and what it keeps."""
    parser.add_argument(
        "--port", type=int, default=9092, metavar="PORT", help="port to listen on, 0: a free one [default: 9092]"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="directory that keeps the topics until the next start [default: a temporary one]",
    )


def main(arguments: argparse.Namespace) -> ExitCode:
    """Run until SIGINT or SIGTERM."""
    from daemon.local_broker import run_broker

    if not 0 <= arguments.port <= 65535:
        raise SettingsError(f"port: received {arguments.port}, expected a number from 0 (any free port) to 65535")
    return run_broker(arguments.port, arguments.data)
