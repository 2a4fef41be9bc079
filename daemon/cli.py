"""The command line: picks a command, turns errors into messages and exit codes."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from daemon import __version__
from daemon.errors import ExitCode, OnlineLstmError

COMMANDS = ("run", "demo", "backtest", "produce", "watch", "broker", "bench")


def build_parser() -> argparse.ArgumentParser:
    """Describe all commands."""
    parser = argparse.ArgumentParser(
        prog="online-lstm",
        description="Learn from a Kafka topic while predicting it.",
        epilog="Every setting is also an environment variable: ONLINE_LSTM_ and its name in capitals.",
    )
    parser.add_argument("--version", action="version", version=f"online-lstm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"daemon.commands.{name}")
        command = commands.add_parser(name, help=module.HELP, description=(module.__doc__ or "").replace("``", ""))
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code."""
    try:
        arguments = build_parser().parse_args(argv)
        return int(arguments.main(arguments))
    except OnlineLstmError as error:
        print(f"online-lstm: {error}", file=sys.stderr)  # noqa: T201 - a message for the person at the terminal
        return int(error.exit_code)
    except KeyboardInterrupt:
        return 130
    except Exception:
        logging.getLogger(__name__).exception("unexpected error")
        return int(ExitCode.FAILURE)


if __name__ == "__main__":
    sys.exit(main())
